(* The hints of projected-tables (FORMAT.md 5.1) in the units in which the extracted functions check them: 2^-e for rows, 2^-3e for vectors. *)
open Refused

type table = { tilt : int; shape_of_basis : int array; numbers : (string * (int -> int)) list }
type t = { scale : int; residual : int; diagonal : bool; width : int; tables : (string * table) list; centres : (string * (int -> int)) list }

let names = [ "score"; "direct"; "value" ]
let lengths, differences, norms = (0, 1, 2)
(* The direct path has no matrix: it takes lengths where others take a norm. *)
let residual_of residual name = if name = "direct" && residual = norms then lengths else residual

let parse (step : Certificate.step) ~v ~outputs ~d ~biased =
  let parameter name = match List.assoc_opt name step.parameters with Some x -> x | None -> malformed "%s takes other parameters" step.rule in
  let residual = parameter "residual" and diagonal = parameter "diagonal" in
  let tilts = List.map (fun name -> (name, parameter name)) names in
  need (List.for_all (fun (_, tilt) -> -1 <= tilt && tilt <> 1 && tilt <= 30) tilts) "score, direct and value are -1, 0, or from 2 to 30";
  need (lengths <= residual && residual <= norms) "residual is 0, 1 or 2";
  need (diagonal = 0 || diagonal = 1) "diagonal is 0 or 1";
  let width = if biased then d + 1 else d in
  let shapes (name, tilt) =
    let dimensions = if name = "score" then d else width and columns = if name = "score" then v else outputs in
    let how = residual_of residual name in
    if tilt < 0 then []
    else
      [ ("centre", [ (if how = norms then d else dimensions) ]) ]
      @ (if how = differences then [] else [ ("left", [ v ]); ("right", [ columns ]) ])
      @ (if how = norms then [ ("norm", [ 1 ]) ] else [])
      @ if tilt > 0 then [ ("basis", [ dimensions; -1 ]) ] else []
  in
  let wanted = List.map (fun (name, tilt) -> (name, tilt, shapes (name, tilt))) tilts in
  let hints_of (name, _, shapes) = List.map (fun (hint, _) -> name ^ "_" ^ hint) shapes in
  Certificate.taken step ("scale" :: "residual" :: "diagonal" :: names |> List.sort compare)
    (List.sort compare ("token_centre" :: "unembed_centre" :: List.concat_map hints_of wanted));
  let scale = Fixed_point.scale step in
  let table (name, tilt, shapes) =
    let found = List.map (fun (hint, shape) -> (hint, Fixed_point.numbers step (name ^ "_" ^ hint) shape)) shapes in
    let shape_of_basis = match List.assoc_opt "basis" found with Some (shape, _) -> shape | None -> [| 0; 0 |] in
    need (tilt <= 0 || (1 <= shape_of_basis.(1) && shape_of_basis.(1) <= shape_of_basis.(0))) "a basis has at least one column, no more columns than rows";
    (name, { tilt; shape_of_basis; numbers = List.map (fun (hint, (_, at)) -> (hint, at)) found })
  in
  let centres = [ ("token", snd (Fixed_point.numbers step "token_centre" [ d ])); ("unembed", snd (Fixed_point.numbers step "unembed_centre" [ width ])) ] in
  { scale; residual; diagonal = diagonal = 1; width; tables = List.map table wanted; centres }

(* What is proved does not depend on how hints are rounded; so that no claim gets lost, those that are multiplied by an irrational root get a
   little more. *)
let guard = 60

let source (model : Model.t) e { scale; residual; diagonal; width; tables; centres } =
  let d = Model.size model "d_model" in
  (* sqrt (d_head) 2^60, from below: scores are multiplied by it, as in Coq its inverse comes last. *)
  let root = Z.sqrt (Z.shift_left (Z.of_int (Model.size model "d_head")) (2 * guard)) in
  let projection (name, table) =
    if table.tilt < 0 then (name, None)
    else begin
      let how = residual_of residual name in
      let at hint i = Z.of_int ((List.assoc hint table.numbers) i) in
      let about_scores = name = "score" in
      let scaled up units x = if about_scores then Fixed_point.shifted up (Z.mul x root) ((units * e) - scale - guard) else Fixed_point.shifted up x ((units * e) - scale) in
      let rest units x =
        if Z.sign x < 0 then Z.minus_one
        else Z.add (scaled true units (Z.shift_left x guard)) (if about_scores then Z.shift_left Z.one (guard + 2) else Z.zero)
      in
      let plain_rest x = Fixed_point.shifted true x (e + guard - scale) in
      let last = if name = "direct" then Z.shift_left Z.one (3 * e) else Z.zero in
      let centre l =
        if how = norms then if l < d then Fixed_point.shifted false (at "centre" l) (e - scale) else Z.zero
        else if l < (if about_scores then d else width) then scaled false 3 (at "centre" l)
        else last
      in
      let r = table.shape_of_basis.(1) in
      let basis i a = if i < table.shape_of_basis.(0) then at "basis" ((i * r) + a) else Z.zero in
      let eps = if table.tilt > 0 then Z.shift_left Z.one (60 - table.tilt) else Z.zero in
      let way = if how = lengths then Counts.Lengths else if how = differences then Counts.Differences else Counts.Norm in
      let rest_left i = if how = norms then plain_rest (at "left" i) else if how = lengths then rest 3 (at "left" i) else Z.zero in
      let rest_right o = if how = differences then Z.zero else plain_rest (at "right" o) in
      let norm = if how = norms then rest 2 (at "norm" 0) else Z.zero in
      (name, Some { Counts.residual = way; rank = r; basis; eps; centre; rest_left; rest_right; norm })
    end
  in
  let projections = List.map projection tables in
  let centre name size l = if l < size then Fixed_point.shifted false (Z.of_int ((List.assoc name centres) l)) (e - scale) else Z.zero in
  { Counts.token_centre = centre "token" d; output_centre = centre "unembed" width; on_score = List.assoc "score" projections;
    on_direct = List.assoc "direct" projections; on_value = List.assoc "value" projections; diagonal }
