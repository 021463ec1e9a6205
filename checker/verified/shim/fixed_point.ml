(* Hints in fixed point: integers below 2^53, in units of 2^-scale, or of a fixed power of two. *)
open Refused

let scale (step : Certificate.step) =
  match List.assoc_opt "scale" step.parameters with
  | Some scale when abs scale <= 1100 -> scale
  | Some _ -> malformed "a scale must lie between -1100 and 1100"
  | None -> malformed "%s takes other parameters" step.rule

let check name shape at =
  for i = 0 to Array.fold_left ( * ) 1 shape - 1 do need (abs (at i) < 1 lsl 53) "hint %s has a number of more than 53 bits" name done

(* The shape and the numbers of a hint. *)
let numbers step name shape =
  let shape, at = Certificate.hint step name shape in
  check name shape at;
  (shape, at)

(* x 2^k, rounded up, or down. *)
let shifted up x k = if k >= 0 then Z.shift_left x k else if up then Z.neg (Z.shift_right (Z.neg x) (-k)) else Z.shift_right x (-k)
