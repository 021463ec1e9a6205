(* Finer automata (FORMAT.md 5.17), checked as the format asks, and the bounds that are claimed of sums over the ways to their
   states. The extracted functions believe nothing of them. *)
open Refused

(* In the layer that is read, symbols are tokens, or states of an automaton of classes of prefixes (by_state). *)
type source = { automaton : Counts.automaton; states : int; by_state : bool }

(* Of a read by its number; `nodes` are what states stand for, and `on_the_way` says of each query which symbols inputs have at a
   position (of tokens: with any query). *)
type t = {
  number : int;
  position : int;
  steps : int;
  queries : int array;
  before : int array;
  target : int -> int -> int -> int;
  nodes : int array array;
  symbol : int -> int -> int; (* from the node after a step, and the token *)
  on_the_way : bool array array array;
  order : int -> int;
  vocab : int;
  outputs : int -> int option;
}

(* For each step, state of the automaton, query and token: the state after it, or -1 if no input goes on like this. *)
let followers { automaton; states; by_state } ~positions ~vocab position queries =
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
      let node = (target * count) + c and symbol = if by_state then target else t in
      if target < 0 || (not !alive.(node)) || (automaton.order i = position && queries.(c) <> symbol) || (i > 0 && not (due i s))
        then -1 else node
    in
    let table = Array.init (states * count) (fun node -> Array.init vocab (after node)) in
    found := table :: !found;
    alive := Array.map (Array.exists (fun node -> node >= 0)) table
  done;
  Array.of_list !found

let parse (step : Certificate.step) source (config : Counts.architecture) =
  let { automaton; states; by_state } = source in
  let positions = config.n_ctx and vocab = config.d_vocab in
  let number = List.assoc "read" step.parameters in
  let reads = Array.of_list automaton.reads in
  need (0 <= number && number < Array.length reads) "the task has no such read";
  let position, steps = reads.(number) in
  if by_state && steps <= position then unfounded "a layer that works on classes is read at a position that the read's steps read";
  let array name shape = let shape, at = Certificate.hint step name shape in Array.init (Array.fold_left ( * ) 1 shape) at in
  let queries = array "queries" [ -1 ] and sizes = array "sizes" [ steps ] in
  let shape, finer = Certificate.hint step "finer" [ -1; vocab ] in
  need (queries <> [||]) "there are no queries";
  Array.iteri (fun c q -> need ((if c = 0 then -1 else queries.(c - 1)) < q && q < if by_state then states else vocab)
    "queries are tokens, or classes, in increasing order") queries;
  Array.iter (fun n -> need (1 <= n && n <= shape.(0) * vocab) "there are states after each step") sizes;
  let count = Array.length queries in
  let before = Array.append [| count |] sizes in
  let starts = Array.make (steps + 1) 0 in
  for i = 1 to steps do starts.(i) <- starts.(i - 1) + before.(i - 1) done;
  need (starts.(steps) = shape.(0)) "the finer automaton has as many rows as it has states before its last step";
  let target i u t = finer (((starts.(i) + u) * vocab) + t) in
  let after = followers source ~positions ~vocab position queries in
  let nodes = Array.map (fun n -> Array.make n (-1)) before in
  Array.iteri (fun c _ -> nodes.(0).(c) <- c; need (Array.exists (fun node -> node >= 0) after.(0).(c))
    "no input has one of the queries") queries;
  for i = 0 to steps - 1 do
    for u = 0 to before.(i) - 1 do
      for t = 0 to vocab - 1 do
        let led = target i u t in
        need (-1 <= led && led < before.(i + 1)) "the finer automaton leads to what is no state";
        if led >= 0 then begin
          let node = after.(i).(nodes.(i).(u)).(t) in
          if node < 0 then unfounded "the finer automaton leads where no input goes";
          if nodes.(i + 1).(led) >= 0 && nodes.(i + 1).(led) <> node then unfounded
            "the finer automaton leads to a state it does not stand for";
          nodes.(i + 1).(led) <- node
        end
      done
    done;
    if Array.mem (-1) nodes.(i + 1) then unfounded "nothing leads to one of the states"
  done;
  (* The symbols that inputs have at each position. *)
  let symbol node t = if by_state then node / count else t in
  let table () = Array.make_matrix positions (if by_state then states else vocab) false in
  let on_the_way = if by_state then Array.init count (fun _ -> table ()) else Array.make count (table ()) in
  let reached = ref (Array.init (states * count) (fun node -> node < count)) in
  Array.iteri
    (fun i table ->
      let next = Array.make (states * count) false in
      Array.iteri
        (fun node row ->
          let mark t led =
            if led >= 0 then (on_the_way.(led mod count).(automaton.order i).(symbol led t) <- true; next.(led) <- true) in
          if !reached.(node) then Array.iteri mark row)
        table;
      reached := next)
    after;
  { number; position; steps; queries; before; target; nodes; symbol; on_the_way; order = automaton.order; vocab;
    outputs = (fun u -> automaton.output number (nodes.(steps).(u) / count)) }

(* Which symbols inputs have at a position, with any query, and with one. *)
let present finer =
  let any j t = Array.exists (fun table -> table.(j).(t)) finer.on_the_way in
  let symbols = Array.length finer.on_the_way.(0).(0) in
  let known = Array.mapi (fun j _ -> Array.init symbols (any j)) finer.on_the_way.(0) in
  fun j t -> known.(j).(t)

(* Of each query its number. *)
let number_of finer =
  let known = Hashtbl.create 64 in
  Array.iteri (fun c q -> Hashtbl.add known q c) finer.queries;
  Hashtbl.find_opt known
let with_query finer =
  let number = number_of finer in
  fun q j t -> match number q with Some c -> finer.on_the_way.(c).(j).(t) | None -> false

(* With bounds of sums of so many numbers. *)
let bounded finer ~size term =
  let { steps; queries; before; target; nodes; symbol; order; vocab; _ } = finer in
  let count = Array.length queries in
  let bounds = Array.map (fun n -> Array.make n [||]) before in
  Array.iteri (fun u _ -> bounds.(0).(u) <- Array.make size (Z.zero, Z.zero)) bounds.(0);
  for i = 0 to steps - 1 do
    let least = Array.make before.(i + 1) [||] and most = Array.make before.(i + 1) [||] in
    for u = 0 to before.(i) - 1 do
      let from = bounds.(i).(u) in
      for t = 0 to vocab - 1 do
        let led = target i u t in
        if led >= 0 && Array.length from = size then
          match term queries.(nodes.(i).(u) mod count) (symbol nodes.(i + 1).(led) t) (order i) with
          | None -> ()
          | Some term ->
              let low k = Z.add (fst from.(k)) (fst (term k)) and high k = Z.add (snd from.(k)) (snd (term k)) in
              if Array.length least.(led) < size then begin
                least.(led) <- Array.init size low;
                most.(led) <- Array.init size high
              end
              else
                let own_least = least.(led) and own_most = most.(led) in
                for k = 0 to size - 1 do
                  own_least.(k) <- Z.min own_least.(k) (low k);
                  own_most.(k) <- Z.max own_most.(k) (high k)
                done
      done
    done;
    Array.iteri (fun u low -> bounds.(i + 1).(u) <- Array.map2 (fun a b -> (a, b)) low most.(u)) least
  done;
  let zero = Array.make size (Z.zero, Z.zero) in
  { Counts.leads_to = (fun i u t -> let led = target i u t in if led < 0 then None else Some led);
    stands_for = (fun i u -> nodes.(i).(u) / count); of_query = (fun i u -> queries.(nodes.(i).(u) mod count));
    sum_bounds = (fun i u -> Array.get (if Array.length bounds.(i).(u) < size then zero else bounds.(i).(u)));
    state_sizes = Array.get before }
