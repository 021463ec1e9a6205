(* Hints of set-output, as an argument of the extracted functions (FORMAT.md 5.10 and 5.11). *)
open Refused

let largest_kernel = 1 lsl 20
let rec bits n = if n = 0 then 0 else 1 + bits (n / 2)
let find n holds = List.find_opt holds (List.init n Fun.id)

(* The unit and the inverses of a group; if its table is only given, it is checked to be that of one, by elements that generate
   it. *)
let group table named generators =
  let n = Array.length table in
  let product a b = table.(a).(b) and all holds = List.for_all holds (List.init n Fun.id) in
  need (List.length generators < bits n) "there are more generators than log2 of how many elements there are";
  List.iter (fun s -> need (0 <= s && s < n) "a generator is no element") generators;
  let one = Option.value (find n (fun a -> product a a = a)) ~default:0 in
  let inverse = Array.init n (fun a -> Option.value (find n (fun b -> product a b = one)) ~default:0) in
  if not named then begin
    let associates s = all (fun x -> all (fun y -> product (product x s) y = product x (product s y))) in
    if not (List.for_all associates generators) then unfounded
      "the multiplication table is not a group's: it is not associative";
    if not (all (fun x -> product x one = x && product x inverse.(x) = one))
      then unfounded "the multiplication table is not a group's"
  end;
  let reached = Array.make n false in
  let rec reach g =
    if not reached.(g) then begin
      reached.(g) <- true;
      List.iter (fun s -> reach (product g s)) generators
    end
  in
  List.iter reach generators;
  if not (Array.for_all Fun.id reached) then unfounded "the elements given do not generate the group";
  (one, inverse)

let sets step table named m neurons =
  let n = Array.length table and count = Array.length neurons in
  let sizes, action = Certificate.hint step "action" [ n; -1 ] in
  let points = sizes.(1) in
  let sizes, generator = Certificate.hint step "generators" [ -1 ] in
  let generators = List.init sizes.(0) generator in
  let _, beta = Certificate.hint step "beta" [ count ] in
  let _, gamma = Certificate.hint step "gamma" [ count ] in
  let _, times = Codes.fixed step "t" [ count ] in
  let kernel =
    if not (List.mem_assoc "kernel" step.hints) then fun x y -> Bool.to_int (x = y)
    else
      let _, entry = Certificate.hint step "kernel" [ points; points ] in
      fun x y -> entry ((x * points) + y)
  in
  let act g x = action ((g * points) + x) in
  let every = List.init points Fun.id and elements = List.init n Fun.id in
  let each holds = List.for_all (fun x -> List.for_all (holds x) every) every in
  need (each (fun x y -> abs (kernel x y) <= largest_kernel)) "the kernel has an entry of more than %d" largest_kernel;
  let is_point x = 0 <= x && x < points in
  for i = 0 to count - 1 do need (is_point (beta i) && is_point (gamma i)) "beta and gamma are points" done;
  let one, inverse = group table named generators in
  need (List.for_all (fun g -> List.for_all (fun x -> is_point (act g x)) every) elements) "an action maps points to points";
  let acts s = List.for_all (fun g -> List.for_all (fun x -> act table.(s).(g) x = act s (act g x)) every) elements in
  if not (List.for_all (fun x -> act one x = x) every && List.for_all acts generators)
    then unfounded "this is no action of the group";
  let invariant s = each (fun x y -> kernel (act s x) (act s y) = kernel x y) in
  if not (List.for_all invariant generators) then unfounded "the kernel is not invariant under the group";
  (* Orbits by their least points; parts by the orbits of the two points of a neuron. *)
  let orbit = Array.init points (fun x -> List.fold_left (fun least g -> min least (act g x)) x elements) in
  let part i = (orbit.(beta i), orbit.(gamma i)) in
  let place i = (part i, beta i, gamma i) in
  for i = 1 to count - 1 do
    if compare (place (i - 1)) (place i) > 0 then unfounded "neurons are not in the order of their parts and cells"
  done;
  let parts = Array.of_list (List.sort_uniq compare (List.init count part)) in
  let number = Hashtbl.create 16 in
  Array.iteri (fun p orbits -> Hashtbl.add number orbits p) parts;
  let members least = List.filter (fun x -> orbit.(x) = least) every in
  let firsts = Array.map (fun (x, _) -> members x) parts and seconds = Array.map (fun (_, y) -> members y) parts in
  fun unit ->
    { Counts.points; act; inverse = Array.get inverse; one; kernel = (fun x y -> Z.of_int (kernel x y));
      beta = Codes.by_neuron m neurons 0 beta; gamma = Codes.by_neuron m neurons 0 gamma;
      times = Codes.by_neuron m neurons Z.zero (times unit);
      part = Codes.by_neuron m neurons 0 (fun i -> Hashtbl.find number (part i)); how_many = Array.length parts;
      firsts = Array.get firsts; seconds = Array.get seconds }
