(* Strings as the extracted functions take them and give them. *)
let bytes text =
  let size = String.length text in
  { Counts.n_bytes = size; byte_at = (fun i -> if i < size then text.[i] else '\000') }

let to_bytes text = List.init (String.length text) (String.get text)
let of_bytes found = String.of_seq (List.to_seq found)

(* SHA-256, in lower-case hexadecimal. *)
let digest text = of_bytes (Counts.in_hex (Counts.sha256 (bytes text)))
