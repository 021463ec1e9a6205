(* The hints of coded-output with a code, as an argument of the extracted functions (FORMAT.md 5.9). *)
open Refused

(* The numbers of a hint in units of 2^-scale, as multiples of 2^-unit (rounded down, if unit is less). *)
let fixed step name shape =
  let scale = Fixed_point.scale step and sizes, number = Fixed_point.numbers step name shape in
  (sizes, fun unit i -> Fixed_point.shifted false (Z.of_int (number i)) (unit - scale))

(* Something for each of m neurons, from something for each of those chosen. *)
let by_neuron m neurons otherwise of_chosen =
  let table = Array.make m otherwise in
  Array.iteri (fun i number -> table.(number) <- of_chosen i) neurons;
  Array.get table

let code step n outputs m neurons =
  let count = Array.length neurons in
  let scale = Fixed_point.scale step in
  let pairwise = List.assoc "pairwise" step.parameters in
  need (pairwise = 0 || pairwise = 1) "pairwise is 0 or 1";
  let sizes, dictionary = fixed step "dictionary" [ -1; outputs ] in
  let k = sizes.(0) in
  let sizes, atom = Certificate.hint step "atoms" [ count; -1 ] in
  let s = sizes.(1) in
  need (s > 0) "a neuron has no atoms";
  let used = Array.make k false in
  for at = 0 to (count * s) - 1 do
    need (0 <= atom at && atom at < k) "a neuron has an atom that there is not";
    need (at mod s = 0 || atom (at - 1) < atom at) "the atoms of a neuron are not in ascending order";
    used.(atom at) <- true
  done;
  need (Array.for_all Fun.id used) "an atom is no neuron's";
  let _, codes = fixed step "codes" [ count; s ] in
  let _, centre = fixed step "centre" [ count ] in
  let features name = if List.mem_assoc name step.hints then snd (fixed step name [ n; k ]) else fun _ _ -> Z.zero in
  let left = features "left_features" and right = features "right_features" in
  let unit = max scale 0 in
  let parts = by_neuron m neurons [] (fun i -> List.init s (fun j -> (atom ((i * s) + j), codes unit ((i * s) + j)))) in
  (* Digits that are enough for what atoms write, if what neurons read is below 2^8. With too few, it only takes longer. *)
  let sums = Array.make k Z.zero in
  Array.iter (fun i -> List.iter (fun (atom, code) -> sums.(atom) <- Z.add sums.(atom) (Z.abs code)) (parts i)) neurons;
  let most = Array.fold_left Z.max Z.zero sums in
  fun read write ->
    let atom a z = dictionary write ((a * outputs) + z) in
    let largest = ref Z.zero in
    for a = 0 to k - 1 do for z = 0 to outputs - 1 do largest := Z.max !largest (Z.abs (atom a z)) done done;
    let digits = unit + Z.numbits most + read + 8 + Z.numbits !largest + Z.numbits (Z.of_int k) + 2 in
    { Counts.per_one = Z.shift_left Z.one unit; atoms = k; parts; atom; expected = by_neuron m neurons Z.zero (centre read);
      reads_left = (fun a j -> left read ((a * k) + j)); reads_right = (fun b j -> right read ((b * k) + j));
      digits = Z.of_int digits }

(* G^T G is the identity up to 2^-tilt (Frobenius), for G in units of 2^-30. *)
let check_basis step name rows tilt =
  let sizes, number = Fixed_point.numbers step name [ rows; -1 ] in
  let columns = sizes.(1) and one = Z.shift_left Z.one 60 in
  need (2 <= tilt && tilt <= 30 && 1 <= columns && columns <= rows)
    "a basis has too many columns or none, or its tilt is not from 2 to 30";
  let column j = Array.init rows (fun i -> Z.of_int (number ((i * columns) + j))) in
  let all = Array.init columns column in
  let off = ref Z.zero in
  let add i x j y =
    let product = ref (if i = j then Z.neg one else Z.zero) in
    Array.iteri (fun k z -> product := Z.add !product (Z.mul z y.(k))) x;
    off := Z.add !off (Z.mul !product !product)
  in
  Array.iteri (fun i x -> Array.iteri (add i x) all) all;
  if Z.gt (Z.shift_left !off (2 * tilt)) (Z.mul one one) then unfounded "a basis is not as orthonormal as its tilt says"
