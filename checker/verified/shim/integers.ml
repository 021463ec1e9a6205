(* Coq's Z as Zarith's integers, bytes as characters, and memo1 as an array: what extraction/Extract.v says. All of it is trusted. *)
include Z

let twice x = Z.shift_left x 1
let twice_and_one x = Z.succ (twice x)

(* A match on a positive number: 2 p + 1, 2 p, or 1. *)
let positive odd even one p =
  if Z.equal p Z.one then one () else if Z.is_odd p then odd (Z.shift_right p 1) else even (Z.shift_right p 1)

(* A match on an integer: 0, a positive one, or the negative of a positive one. *)
let sign zero pos neg z =
  let s = Z.sign z in
  if Int.equal s 0 then zero () else if s > 0 then pos z else neg (Z.neg z)

(* Coq's: rounded down, x / 0 = 0 and x mod 0 = x (of natural numbers, too); x ^ y = 0 for y < 0; the root of a negative number is 0. *)
let floor_div a b = if Z.equal b Z.zero then Z.zero else Z.fdiv a b
let floor_mod a b = Z.sub a (Z.mul b (floor_div a b))
let quotient a b = if Int.equal b 0 then 0 else Int.div a b
let rest a b = if Int.equal b 0 then a else Int.rem a b
let two = Z.of_int 2
let power a b = if Z.sign b < 0 then Z.zero else if Z.equal a two then Z.shift_left Z.one (Z.to_int b) else Z.pow a (Z.to_int b)
let square_root a = if Z.sign a < 0 then Z.zero else Z.sqrt a

(* By a negative number, the other way. *)
let left a n =
  let n = Z.to_int n in
  if n >= 0 then Z.shift_left a n else Z.shift_right a (Int.neg n)

let right a n =
  let n = Z.to_int n in
  if n >= 0 then Z.shift_right a n else Z.shift_left a (Int.neg n)

(* The largest power of two at most a number; 0 for those below 1. *)
let log2 a = Z.of_int (if Z.sign a > 0 then Int.pred (Z.numbits a) else 0)

let memo n f =
  let known = Array.init n f in
  fun i -> if i < n then known.(i) else f i

let of_byte b = Z.of_int (Char.code b)
let to_byte z = Char.chr (Z.to_int (Z.extract z 0 8))
