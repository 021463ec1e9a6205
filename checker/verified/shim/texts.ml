(* Strings as the extracted functions take them and give them. *)
let bytes text = { Counts.n_bytes = String.length text; byte_at = String.get text }
let to_bytes text = List.init (String.length text) (String.get text)
let of_bytes found = String.of_seq (List.to_seq found)

(* SHA-256, in lower-case hexadecimal. *)
let digest text = of_bytes (Counts.in_hex (Counts.sha256 (bytes text)))
