(* The characters of a text in UTF-8. *)
open Refused

(* The code point at a place, and how many bytes it takes. Neither surrogates nor longer spellings than needed are allowed. *)
let decode text i =
  let byte k =
    need (i + k < String.length text) "text is not UTF-8";
    Char.code text.[i + k]
  in
  let rest k =
    need (byte k land 0xc0 = 0x80) "text is not UTF-8";
    byte k land 0x3f
  in
  let first = byte 0 in
  let code, length, least =
    if first < 0x80 then (first, 1, 0)
    else if first land 0xe0 = 0xc0 then (((first land 0x1f) lsl 6) lor rest 1, 2, 0x80)
    else if first land 0xf0 = 0xe0 then (((first land 0x0f) lsl 12) lor (rest 1 lsl 6) lor rest 2, 3, 0x800)
    else if first land 0xf8 = 0xf0 then
      (((first land 0x07) lsl 18) lor (rest 1 lsl 12) lor (rest 2 lsl 6) lor rest 3, 4, 0x10000)
    else malformed "text is not UTF-8"
  in
  need (code >= least && Uchar.is_valid code) "text is not UTF-8";
  (code, length)

let rec check text i = if i < String.length text then check text (i + snd (decode text i))
