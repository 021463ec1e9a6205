(* Rule `potentials` (FORMAT.md 5.18), checked as the format asks: what is claimed of a read. The extracted functions believe
   nothing of it. They bound sums over all ways to each region, without numbers of states and multipliers. *)
open Refused

let most_heads, most_boxes, steepest = (6, 64, 256)
let largest_number, largest_multiplier = (1 lsl 20, 1 lsl 40)
let most_sums = 1 lsl 25 (* of all states *)

let rec power base n = if n = 0 then 1 else base * power base (n - 1)

let parse (step : Certificate.step) source (config : Counts.architecture) =
  Certificate.taken step [ "read" ]
    [ "enforced"; "finer"; "inner"; "numbers"; "outer"; "outputs"; "pattern"; "queries"; "ratios"; "sizes"; "slopes" ];
  if source.Finer.by_state then unsupported "potentials of several layers";
  if config.n_layers <> 1 then unfounded "potentials of several layers takes what prefix-classes says as its premise";
  if config.n_heads > most_heads then unfounded "potentials is about at most %d heads" most_heads;
  let normed = config.normalization_type <> Counts.No_norm in
  if not (config.attn_only || (config.act_fn = Counts.Relu && (not config.gated_mlp) && not normed)) then
    unfounded "potentials is about models without an MLP or with one of relu units that no norm precedes";
  if normed then unsupported "potentials of a transformer with norms";
  let units = if config.attn_only then 0 else config.d_mlp and outs = config.d_vocab_out in
  let rivals = outs - 1 and others = config.n_heads - 1 in
  let corners = power 2 others in
  let finer = Finer.parse step source config in
  let seen j = config.bidirectional || j <= finer.position in
  for i = finer.steps to config.n_ctx - 1 do
    if seen (finer.order i) then unfounded "potentials needs a read in whose steps all positions are read that it sees"
  done;
  let hint name shape =
    let shape, at = Certificate.hint step name shape in
    (shape, Array.init (Array.fold_left ( * ) 1 shape) at)
  in
  let _, pattern = hint "pattern" [ -1 ] and _, outputs = hint "outputs" [ -1 ] in
  let rows, slopes = hint "slopes" [ -1; units ] and _, numbers = hint "numbers" [ -1 ] in
  let edges, ratios = hint "ratios" [ -1; others; -1 ] and sums, enforced = hint "enforced" [ -1; -1; others ] in
  let inner, of_inner = hint "inner" [ -1; -1; 2 * ((units * corners) + others) ] in
  let outer, of_outer = hint "outer" [ -1; -1; rivals * corners ] in
  let count = Array.length outputs and queries = Array.length finer.queries and regions = finer.before.(finer.steps) in
  need (rows.(0) = count) "every pattern has an output and slopes";
  Array.iter (fun o -> need (0 <= o && o < outs) "a pattern has an output of the model") outputs;
  Array.iter (fun s -> need (0 <= s && s <= steepest) "slopes are from 0 to %d" steepest) slopes;
  let gaps = edges.(2) - 1 in
  need (1 <= gaps && (others = 0 || gaps <= most_boxes) && power gaps others <= most_boxes) "ratios make 1 to %d boxes"
    most_boxes;
  let boxes = power gaps others and functions = units + (count * rivals) in
  need (Array.length pattern = boxes * regions) "every region has a pattern for each box, or -1";
  Array.iter (fun k -> need (-1 <= k && k < count) "there is no such pattern") pattern;
  need (edges.(0) = queries && sums.(0) = queries && sums.(1) = functions * boxes)
    "there are ratios of every query, and of each sum what enforces them";
  let within largest = Array.for_all (fun z -> -largest <= z && z <= largest) in
  need (within largest_multiplier ratios && within largest_multiplier enforced) "a ratio, or what enforces it, is too large";
  Array.iteri
    (fun at k ->
      if k >= 0 && finer.outputs (at mod regions) <> Some outputs.(k) then unfounded
        "a region has a pattern with another output")
    pattern;
  if numbers <> [||] && Array.exists (fun k -> k >= 0) pattern then begin
    need (Array.length numbers = Array.fold_left ( + ) 0 finer.before && within largest_number numbers)
      "every state has a number";
    let families key =
      let claimed x u = let k = pattern.((x * regions) + u) in if k < 0 then None else Some (key u k) in
      let of_box x = List.filter_map (claimed x) (List.init regions Fun.id) in
      List.fold_left (fun n x -> n + List.length (List.sort_uniq compare (of_box x))) 0 (List.init boxes Fun.id)
    in
    let query u = finer.nodes.(finer.steps).(u) mod queries in
    let fits shape all families = shape.(0) = families && shape.(1) >= 1 && within largest_multiplier all in
    need (fits inner of_inner (families (fun u _ -> (query u, 0))) && fits outer of_outer (families (fun u k -> (query u, k))))
      "every family has multipliers, none of which is too large"
  end;
  (* The number of a box there; places of the last head change first. *)
  let digit x o = x / power gaps o mod gaps in
  let box x = List.fold_left (fun at o -> (at * gaps) + digit x o) 0 (List.init others Fun.id) in
  let number_of = Array.make config.d_vocab 0 in
  Array.iteri (fun c q -> number_of.(q) <- c) finer.queries;
  let output_of k = if k < count then outputs.(k) else 0 (* which is asked if there is no pattern at all *) in
  let edge_of q o i = Z.of_int ratios.((((number_of.(q) * others) + o) * (gaps + 1)) + i) in
  let enforced_of q x y o =
    let of_lead = y - units in
    let k = of_lead / outs and r = of_lead mod outs in
    let column =
      if y < units then Some y
      else if r = outputs.(k) then None
      else Some (units + (k * rivals) + ((r - outputs.(k) - 1 + outs) mod outs))
    in
    match column with
    | None -> Z.zero
    | Some column -> Z.of_int enforced.((((number_of.(q) * boxes * functions) + (box x * functions) + column) * others) + o)
  in
  let pattern_in x u = let k = pattern.((box x * regions) + u) in if k < 0 then None else Some k in
  let claimed = Array.init regions (fun u -> List.filter (fun x -> pattern_in x u <> None) (List.init boxes Fun.id)) in
  let first_gap u o = List.fold_left (fun least x -> Int.min least (digit x o)) gaps claimed.(u) in
  let last_gap u o = List.fold_left (fun most x -> Int.max most (digit x o + 1)) 0 claimed.(u) in
  let size = (boxes * (units + (count * outs)) * corners) + (others * (gaps + 1)) in
  if size * Array.fold_left ( + ) 0 finer.before > most_sums then unsupported "more than %d sums" most_sums;
  { Regions.number = finer.number; finer;
    by_potentials =
      Some
        { Counts.patterns = count; output_of; slope_of = (fun k n -> Z.of_int slopes.((k * units) + n)); gaps_of = gaps;
          edge_of; enforced_of; pattern_in; first_gap; last_gap };
    of_read =
      { Counts.query_starts = Finer.number_of finer; present = Finer.present finer; with_query = Finer.with_query finer;
        most_cuts = 0; cut_at = (fun _ -> 0); finer_of = Finer.bounded finer ~size } }
