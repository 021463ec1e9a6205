(* Multiplication tables of finite groups, as FORMAT.md 3.2 numbers their elements. *)
open Refused

(* Permutations of 0 .. n-1 in lexicographic order. *)
let permutations n =
  let rec extend chosen =
    let further i = if List.mem i chosen then [] else extend (i :: chosen) in
    if List.length chosen = n then [ Array.of_list (List.rev chosen) ] else List.concat_map further (List.init n Fun.id)
  in
  extend []

let is_even p =
  let inversions = ref 0 in
  Array.iteri (fun i x -> Array.iteri (fun j y -> if i < j && x > y then incr inversions) p) p;
  !inversions mod 2 = 0

let permuting kept n =
  let all = Array.of_list (List.filter kept (permutations n)) in
  let number = Hashtbl.create (Array.length all) in
  Array.iteri (fun g p -> Hashtbl.add number p g) all;
  (Array.length all, fun g h -> Hashtbl.find number (Array.map (fun i -> all.(g).(i)) all.(h)))

(* How many elements a named group has, and the product of two; at most `most` of them. *)
let rec named name most =
  let counted family text =
    let first = String.length text > 0 && text.[0] <> '0' in
    let digits = first && String.length text <= 4 && String.for_all (fun c -> '0' <= c && c <= '9') text in
    if not digits then None
    else
      let n = int_of_string text in
      let factorial = if n > 8 then max_int else List.fold_left ( * ) 1 (List.init n succ) in
      match family with
      | "cyclic" when n <= most -> Some (n, fun a b -> (a + b) mod n)
      | "dihedral" when 2 * n <= most ->
          let product a b =
            let turned = if a < n then a + b else a - b in
            ((((turned mod n) + n) mod n) + (n * (a / n lxor (b / n))))
          in
          Some (2 * n, product)
      | "symmetric" when factorial <= most -> Some (permuting (fun _ -> true) n)
      | "alternating" when factorial <= 2 * most -> Some (permuting is_even n)
      | _ -> None
  in
  let length = String.length name in
  if length > 9 && String.sub name 0 8 = "product(" && name.[length - 1] = ')' then begin
    let count c text = List.length (List.filter (Char.equal c) (List.of_seq (String.to_seq text))) in
    let balanced text = count '(' text = count ')' text in
    let parts at = (String.sub name 8 (at - 8), String.sub name (at + 1) (length - at - 2)) in
    let splits at = name.[at] = ',' && balanced (fst (parts at)) && balanced (snd (parts at)) in
    match List.find_opt splits (List.init (length - 9) (Int.add 8)) with
    | None -> None
    | Some at -> (
        let first, second = parts at in
        match named first most with
        | None -> None
        | Some (n, left) -> (
            match named second (most / n) with
            | None -> None
            | Some (k, right) -> Some (n * k, fun a b -> (left (a / k) (b / k) * k) + right (a mod k) (b mod k))))
  end
  else
    match String.index_opt name ':' with
    | None -> None
    | Some at -> counted (String.sub name 0 at) (String.sub name (at + 1) (length - at - 1))

(* The table of a named group of that many elements. *)
let table name size =
  match if String.length name <= 200 then named name size else None with
  | Some (n, product) when n = size && n >= 2 -> Array.init n (fun a -> Array.init n (product a))
  | _ -> malformed "%s is not the name of a group of %d elements" name size

let digest table =
  let spelled row = "[" ^ String.concat "," (List.map string_of_int (Array.to_list row)) ^ "]" in
  Texts.digest ("[" ^ String.concat "," (List.map spelled (Array.to_list table)) ^ "]")
