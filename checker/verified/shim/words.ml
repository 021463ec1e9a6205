(* Words of 32 bits, which Sha256.v defines as numbers below 2^32, as machine integers: what extraction/Extract.v says. All of it is
   trusted. *)
let mask = 0xffffffff
let of_integer z = Z.to_int (Z.extract z 0 32)
let integer f x = f (Z.of_int x)
let plus x y = (x + y) land mask
let both x y = x land y
let xor x y = x lxor y
let inverse x = x lxor mask
let shift n x = x lsr n
let turn n x = (x lsr n) lor ((x lsl (32 - n)) land mask)
let of_bytes a b c d = (Char.code a lsl 24) lor (Char.code b lsl 16) lor (Char.code c lsl 8) lor Char.code d
let byte i x = Char.unsafe_chr ((x lsr (8 * (3 - i))) land 0xff)
