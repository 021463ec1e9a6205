(* SHA-256 (FIPS 180-4) of a string, in lower-case hexadecimal. *)
let primes count =
  let rec next found n =
    if List.length found = count then List.rev found
    else if List.exists (fun p -> n mod p = 0) found then next found (n + 1)
    else next (n :: found) (n + 1)
  in
  next [] 2

(* The first 32 bits of the fractional part of a root: floor (2^32 p^(1/k)) mod 2^32. *)
let root_bits k p = Z.to_int (Z.extract (Z.root (Z.shift_left (Z.of_int p) (32 * k)) k) 0 32)
let start = Array.of_list (List.map (root_bits 2) (primes 8))
let constants = Array.of_list (List.map (root_bits 3) (primes 64))
let mask = 0xffffffff
let turn x n = ((x lsr n) lor (x lsl (32 - n))) land mask

let digest text =
  let length = String.length text in
  let padded = Bytes.make ((length + 9 + 63) / 64 * 64) '\000' in
  Bytes.blit_string text 0 padded 0 length;
  Bytes.set padded length '\x80';
  Bytes.set_int64_be padded (Bytes.length padded - 8) (Int64.of_int (8 * length));
  let state = Array.copy start and w = Array.make 64 0 in
  for block = 0 to (Bytes.length padded / 64) - 1 do
    for i = 0 to 15 do
      w.(i) <- Int32.to_int (Bytes.get_int32_be padded ((64 * block) + (4 * i))) land mask
    done;
    for i = 16 to 63 do
      let x = w.(i - 15) and y = w.(i - 2) in
      let s0 = turn x 7 lxor turn x 18 lxor (x lsr 3) and s1 = turn y 17 lxor turn y 19 lxor (y lsr 10) in
      w.(i) <- (w.(i - 16) + s0 + w.(i - 7) + s1) land mask
    done;
    let h = Array.copy state in
    for i = 0 to 63 do
      let s1 = turn h.(4) 6 lxor turn h.(4) 11 lxor turn h.(4) 25 in
      let choice = h.(4) land h.(5) lxor (lnot h.(4) land mask land h.(6)) in
      let t1 = h.(7) + s1 + choice + constants.(i) + w.(i) in
      let s0 = turn h.(0) 2 lxor turn h.(0) 13 lxor turn h.(0) 22 in
      let majority = h.(0) land h.(1) lxor (h.(0) land h.(2)) lxor (h.(1) land h.(2)) in
      Array.blit h 0 h 1 7;
      h.(4) <- (h.(4) + t1) land mask;
      h.(0) <- (t1 + s0 + majority) land mask
    done;
    Array.iteri (fun i x -> state.(i) <- (state.(i) + x) land mask) h
  done;
  String.concat "" (List.map (Printf.sprintf "%08x") (Array.to_list state))
