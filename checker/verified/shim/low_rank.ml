(* The classes of low-rank-chains (FORMAT.md 5.4): of prefixes, so that a theorem about classes is one about them. All else that a step
   gives is an argument for them without tables of V x V entries, which is not needed where there are such tables. *)
open Refused

let parameters = [ "allowance"; "direct_radius"; "key_tilt"; "position_radius"; "pull"; "scale"; "unembed_radius"; "value_tilt" ]

let plain = [ "order"; "runs"; "cover"; "numbers"; "band"; "own"; "size" ]

(* Parameters, fixed-point numbers, bases and balls: of their form, all that FORMAT.md asks. *)
let check_form (step : Certificate.step) shape at read outputs =
  let value name = List.assoc name step.parameters in
  ignore (Fixed_point.scale step);
  let radii = List.map value [ "direct_radius"; "position_radius"; "pull"; "allowance"; "unembed_radius" ] in
  let z name = Z.of_int (value name) in
  need (List.for_all (fun x -> 0 <= x && x < 1 lsl 53) radii) "radii lie between 0 and 2^53";
  need (Z.geq (Z.mul (Z.of_int 2) (Z.mul (z "pull") (z "allowance"))) (Z.mul (z "direct_radius") (z "direct_radius"))) "twice pull * allowance is at least direct_radius squared";
  List.iter (fun name -> need (2 <= value name && value name <= 30) "a tilt is from 2 to 30") [ "value_tilt"; "key_tilt" ];
  List.iter
    (fun (name, (shape, at)) ->
      if not (List.mem name plain) then
        Fixed_point.check name shape at)
    read;
  let rank = (shape "value_basis").(1) in
  need (1 <= rank && rank <= (shape "value_basis").(0)) "a basis has at least one column, no more columns than rows";
  let balls = (shape "runs").(0) and first i = at "runs" (2 * i) and last i = at "runs" ((2 * i) + 1) in
  need ((shape "centre") = [| balls; rank |] && (shape "radius").(0) = balls) "every ball has one radius, and a centre with as many coordinates as there are";
  need (balls > 0) "there is no ball";
  for i = 0 to balls - 1 do need (0 <= first i && first i < last i && last i <= outputs) "balls are runs of the order, none of them empty" done;
  let place = Array.make outputs (-1) in
  for i = 0 to outputs - 1 do
    let o = at "order" i in
    need (0 <= o && o < outputs && place.(o) < 0) "the order of the outputs must be a permutation";
    place.(o) <- i
  done;
  (* Balls of a label follow each other, and leave out the label at most. *)
  let follows m before after = before = after || (before + 1 = after && before = place.(m)) in
  let count = (shape "cover").(0) and label i = at "cover" (2 * i) and ball i = at "cover" ((2 * i) + 1) in
  for i = 0 to count - 1 do
    need (0 <= label i && label i < outputs && 0 <= ball i && ball i < balls) "a cover names a label or a ball that does not exist";
    let starts = i = 0 || label (i - 1) <> label i and ends = i = count - 1 || label (i + 1) <> label i in
    need (i = 0 || label (i - 1) <= label i) "covers are in the order of their labels";
    let whole = follows (label i) (if starts then 0 else last (ball (i - 1))) (first (ball i)) && ((not ends) || follows (label i) (last (ball i)) outputs) in
    if not whole then unfounded "balls do not cover all other outputs one after another"
  done

(* Levels of a cell, as sizes and numbers, or none. *)
let claims (step : Certificate.step) ~v ~outputs ~d ~k ~biased =
  let w = if biased then d + 1 else d in
  let shapes =
    [
      ("unembed_centre", [ w ]); ("direct_centre", [ d ]); ("position_centre", [ d ]); ("token_centre", [ d ]); ("value_basis", [ w; -1 ]);
      ("key_basis", [ d; 1 ]); ("value_length", [ v ]); ("lead_length", [ v ]); ("lead_rest", [ v ]); ("unembed_rest", [ outputs ]);
      ("unembed_square", [ outputs ]); ("query_rest", [ v ]); ("token_rest", [ v ]); ("order", [ outputs ]); ("runs", [ -1; 2 ]);
      ("centre", [ -1; -1 ]); ("radius", [ -1 ]); ("cover", [ -1; 2 ]); ("log_gain", [ v ]); ("log_loss", [ v ]); ("log_own", [ -1 ]);
      ("log_share", [ -1; k; -1 ]); ("numbers", [ k; -1 ]); ("band", [ v ]); ("own", [ v; -1; -1 ]); ("size", [ v; -1; -1; k; -1 ]);
    ]
  in
  Certificate.taken step parameters (List.sort compare (List.map fst shapes));
  let read = List.map (fun (name, shape) -> (name, Certificate.hint step name shape)) shapes in
  let shape name = fst (List.assoc name read) and at name = snd (List.assoc name read) in
  check_form step shape at read outputs;
  let r = (shape "numbers").(1) and bands = (shape "own").(1) and profiles = (shape "own").(2) in
  Prefixes.check_depth r;
  need (profiles >= 1) "there is one profile at least";
  need (shape "size" = [| v; bands; profiles + 1; k; r |]) "`size` must fit `own` and `numbers`";
  need (shape "log_own" = [| profiles |] && shape "log_share" = [| profiles + 1; k; r |]) "`log_own` and `log_share` must fit `own` and `numbers`";
  let number = at "numbers" and band = at "band" and size = at "size" and cover = at "cover" in
  Prefixes.check_numbers k (k * r) number;
  for q = 0 to v - 1 do need (0 <= band q && band q < bands) "a query is in a band that does not exist" done;
  let own m b p = at "own" ((((m * bands) + b) * profiles) + p) in
  for i = 0 to (v * bands) - 1 do
    let m = i / bands and b = i mod bands in
    for p = 0 to profiles - 1 do
      need ((if p = 0 then 0 else own m b (p - 1)) <= own m b p && own m b p <= m) "sizes of profiles do not increase from 0 to the label"
    done
  done;
  let covered = Array.make v false in
  for i = 0 to (shape "cover").(0) - 1 do
    need (0 <= cover (2 * i) && cover (2 * i) < v) "a cover names a label that does not exist";
    covered.(cover (2 * i)) <- true
  done;
  let queried = Array.make bands false in
  for q = 0 to v - 1 do queried.(band q) <- true done;
  let levels m b p c =
    let sizes = List.init r (fun i -> size ((((((((m * bands) + b) * (profiles + 1)) + p) * k) + c) * r) + i)) in
    let own found =
      if c + List.fold_left (fun total (_, n) -> total + n) 0 found <> k - 1 then unfounded "the numbers of a class do not add up to K-1";
      if (p < profiles && c = 0) || (p = profiles && band m <> b) || not queried.(b) then unfounded "a class is claimed that has no inputs";
      if not covered.(m) then unfounded "a class is claimed for a label whose lead has no cover";
      found
    in
    Option.map own (Prefixes.claimed m sizes (fun i -> number ((c * r) + i)))
  in
  (* All that are claimed are looked at, also those without a query. *)
  for i = 0 to (v * bands * (profiles + 1) * k) - 1 do
    ignore (levels (i / (bands * (profiles + 1) * k)) (i / ((profiles + 1) * k) mod bands) (i / k mod (profiles + 1)) (i mod k))
  done;
  fun q m c ->
    if q > m then None
    else
      let b = band q in
      let rec profile p = if p < profiles && own m b p <= q then profile (p + 1) else p in
      let p = if q = m then profiles else profile 0 in
      if q < m && p = profiles then None else levels m b p c
