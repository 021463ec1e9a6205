(* Rule `regions` (FORMAT.md 5.17): a finer automaton, checked as the format asks, and the bounds that it claims of sums.
The extracted
   functions believe nothing of it. *)
open Refused

type claim = { number : int; of_read : Counts.read_claim }

let largest_scale, most_cuts = (1 lsl 20, 64)

(* For each step, state of the automaton, query and token: the state after it, or -1 if no input goes on like this. *)
let followers (automaton : Counts.automaton) ~positions ~vocab ~states position queries =
  let reads = Array.of_list automaton.reads and some = function None -> -1 | Some s -> s in
  let due i s =
    let holds = ref true in
    Array.iteri (fun r (_, after) -> if after = i && automaton.output r s = None then holds := false) reads;
    !holds
  in
  let count = Array.length queries in
  let alive = ref (Array.init (states * count) (fun node -> due positions (node / count))) and found = ref [] in
  for i = positions - 1 downto 0 do
    let after node t =
      let s = node / count and c = node mod count in
      let target = some (automaton.transition i s t) in
      let node = (target * count) + c in
      if target < 0 || (not !alive.(node)) || (automaton.order i = position && queries.(c) <> t) || (i > 0 && not (due i s))
        then -1 else node
    in
    let table = Array.init (states * count) (fun node -> Array.init vocab (after node)) in
    found := table :: !found;
    alive := Array.map (Array.exists (fun node -> node >= 0)) table
  done;
  Array.of_list !found

let parse (step : Certificate.step) (automaton : Counts.automaton) ~states (config : Counts.architecture) =
  Certificate.taken step [ "cuts"; "read" ] [ "finer"; "queries"; "scale"; "sizes" ];
  let positions = config.n_ctx and vocab = config.d_vocab and width = config.n_heads * config.d_head in
  if config.n_layers <> 1 then unfounded "regions is about a transformer with one layer";
  if config.normalization_type <> Counts.No_norm && Z.sign (fst config.eps0) = 0 then
    unsupported "regions of a transformer whose norms have eps 0";
  let parameter name = List.assoc name step.parameters in
  let number = parameter "read" and cuts = parameter "cuts" in
  let reads = Array.of_list automaton.reads in
  need (0 <= number && number < Array.length reads) "the task has no such read";
  let position, steps = reads.(number) in
  let array name shape = let shape, at = Certificate.hint step name shape in Array.init (Array.fold_left ( * ) 1 shape) at in
  let queries = array "queries" [ -1 ] and sizes = array "sizes" [ steps ] and scale = array "scale" [ -1 ] in
  let shape, finer = Certificate.hint step "finer" [ -1; vocab ] in
  need (0 <= cuts && cuts <= most_cuts) "there are 0 to %d cuts" most_cuts;
  need (Array.length scale = width && Array.for_all (fun z -> 1 <= z && z <= largest_scale) scale) "there are %d scales" width;
  need (queries <> [||]) "there are no queries";
  Array.iteri (fun c q -> need ((if c = 0 then -1 else queries.(c - 1)) < q && q < vocab) "queries are tokens, in increasing
    order") queries;
  Array.iter (fun n -> need (1 <= n && n <= shape.(0) * vocab) "there are states after each step") sizes;
  let count = Array.length queries in
  let before = Array.append [| count |] sizes in
  let starts = Array.make (steps + 1) 0 in
  for i = 1 to steps do starts.(i) <- starts.(i - 1) + before.(i - 1) done;
  need (starts.(steps) = shape.(0)) "the finer automaton has as many rows as it has states before its last step";
  let target i u t = finer (((starts.(i) + u) * vocab) + t) in
  let after = followers automaton ~positions ~vocab ~states position queries in
  let nodes = Array.map (fun n -> Array.make n (-1)) before in
  Array.iteri (fun c _ -> nodes.(0).(c) <- c; need (Array.exists (fun node -> node >= 0) after.(0).(c)) "no input has one of
    the queries") queries;
  for i = 0 to steps - 1 do
    for u = 0 to before.(i) - 1 do
      for t = 0 to vocab - 1 do
        let led = target i u t in
        need (-1 <= led && led < before.(i + 1)) "the finer automaton leads to what is no state";
        if led >= 0 then begin
          let node = after.(i).(nodes.(i).(u)).(t) in
          if node < 0 then unfounded "the finer automaton leads where no input goes";
          if nodes.(i + 1).(led) >= 0 && nodes.(i + 1).(led) <> node then unfounded "the finer automaton leads to a state it
            does not stand for";
          nodes.(i + 1).(led) <- node
        end
      done
    done;
    if Array.mem (-1) nodes.(i + 1) then unfounded "nothing leads to one of the states"
  done;
  (* The tokens that inputs have at each position. *)
  let present = Array.make_matrix positions vocab false in
  let reached = ref (Array.init (states * count) (fun node -> node < count)) in
  Array.iteri
    (fun i table ->
      let next = Array.make (states * count) false in
      Array.iteri
        (fun node row -> if !reached.(node) then Array.iteri (fun t led -> if led >= 0 then (present.(automaton.order i).(t) <-
          true; next.(led) <- true)) row)
        table;
      reached := next)
    after;
  let size = config.n_heads * (config.d_head + 1) in
  let finer_of term =
    let zero = Array.make size (Z.zero, Z.zero) in
    let bounds = Array.map (fun n -> Array.make n zero) before in
    for i = 0 to steps - 1 do
      let known = Array.make before.(i + 1) false and own = bounds.(i + 1) in
      for u = 0 to before.(i) - 1 do
        for t = 0 to vocab - 1 do
          let led = target i u t in
          if led >= 0 then
            match term queries.(nodes.(i).(u) mod count) t (automaton.order i) with
            | None -> ()
            | Some term ->
                let from = bounds.(i).(u) in
                let sum k = let lo, hi = from.(k) and low, high = term k in (Z.add lo low, Z.add hi high) in
                if known.(led) then own.(led) <- Array.mapi (fun k (lo, hi) -> let low, high = sum k in (Z.min lo low, Z.max hi
                  high)) own.(led)
                else own.(led) <- Array.init size sum;
                known.(led) <- true
        done
      done
    done;
    { Counts.leads_to = (fun i u t -> let led = target i u t in if led < 0 then None else Some led);
      stands_for = (fun i u -> nodes.(i).(u) / count); of_query = (fun i u -> queries.(nodes.(i).(u) mod count));
      sum_bounds = (fun i u -> Array.get bounds.(i).(u)); state_sizes = Array.get before }
  in
  let cut_at box =
    let widest = ref 0 and most = ref Z.minus_one in
    for k = 0 to width - 1 do
      let lo, hi = box k in
      let wide = Z.mul (Z.sub hi lo) (Z.of_int scale.(k)) in
      if Z.gt wide !most then (most := wide; widest := k)
    done;
    !widest
  in
  let query_starts q = let found = ref None in Array.iteri (fun c own -> if own = q then found := Some c) queries; !found in
  { number; of_read = { Counts.query_starts; present = (fun j t -> present.(j).(t)); most_cuts = cuts; cut_at; finer_of } }
