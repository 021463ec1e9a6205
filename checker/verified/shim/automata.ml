(* Tasks for sequences: automata, whose tables come with the certificate (FORMAT.md 3.3), and how many inputs a task has. *)
open Refused

let most_entries = 1 lsl 22

(* How many inputs an automaton has, some of whose states are below a number. *)
let count (automaton : Counts.automaton) ~positions ~vocab ~states =
  let reads = List.mapi (fun r (_, after) -> (r, after)) automaton.reads in
  let due i s = List.for_all (fun (r, after) -> after <> i || automaton.output r s <> None) reads in
  (* How many ways lead to each state. *)
  let longer ways i =
    let next = Array.make states Z.zero and due = Array.init states (due (i + 1)) in
    let add s t =
      match automaton.transition i s t with
      | Some target when due.(target) -> next.(target) <- Z.add next.(target) ways.(s)
      | _ -> ()
    in
    Array.iteri (fun s number -> if Z.sign number > 0 then for t = 0 to vocab - 1 do add s t done) ways;
    next
  in
  let ways = List.fold_left longer (Array.init states (fun s -> if s = 0 then Z.one else Z.zero)) (List.init positions Fun.id) in
  Array.fold_left Z.add Z.zero ways

(* An automaton as the extracted functions take it, its number of inputs, and that of its states. *)
let of_tables (given : (string * Container.tensor) list) digest ~positions ~vocab ~outputs:model_outputs =
  let names = List.sort compare (List.map fst given) in
  let with_reads = names = [ "order"; "outputs"; "reads"; "transitions" ] in
  need (with_reads || names = [ "order"; "outputs"; "transitions" ]) "an automaton comes with exactly order, outputs and
    transitions, perhaps reads";
  let shape name = (List.assoc name given).Container.shape in
  let steps, states =
    match shape "transitions" with
    | [ steps; states; tokens ] when tokens = vocab && states > 0 && (steps = 1 || steps = positions) -> (steps, states)
    | _ -> malformed "transitions are [1 or %d, states, %d]" positions vocab
  in
  need (shape "order" = [ positions ]) "an order is [%d]" positions;
  let number = match if with_reads then shape "reads" else [ 1; 2 ] with [ r;
    2 ] when r > 0 -> r | _ -> malformed "reads are [r, 2]" in
  need (shape "outputs" = if with_reads then [ number; states ] else [ states ]) "there is an output for every state, or for
    each read";
  need ((steps * states * vocab) + (number * states) <= most_entries) "the automaton has more than %d transitions and outputs"
    most_entries;
  let table name = let tensor = List.assoc name given in Array.init (Container.count tensor) (Container.integer tensor) in
  let order = table "order" and transitions = table "transitions" and outputs = table "outputs" in
  let reads = if with_reads then table "reads" else [| positions - 1; positions |] in
  need (List.sort compare (Array.to_list order) = List.init positions Fun.id) "the order of an automaton names every position
    once";
  Array.iter (fun s -> need (-1 <= s && s < states) "a transition leads to a state, or is -1") transitions;
  Array.iter (fun o -> need (-1 <= o && o < model_outputs) "an output is one of the model's, or -1") outputs;
  let read r = (reads.(2 * r), reads.((2 * r) + 1)) in
  for r = 0 to number - 1 do
    let position, after = read r in
    need (0 <= position && position < positions && 1 <= after && after <= positions) "a read is a position and a number of
      steps";
    need (r = 0 || fst (read (r - 1)) < position) "reads are in the order of their positions"
  done;
  need (not (with_reads && number = 1 && read 0 = (positions - 1, positions))) "an automaton with the usual read has no reads";
  let buffer = Buffer.create 4096 in
  let rec spelled table at = function
    | [] -> Buffer.add_string buffer (string_of_int table.(at))
    | n :: rest ->
        let each = List.fold_left ( * ) 1 rest in
        Buffer.add_char buffer '[';
        for i = 0 to n - 1 do
          if i > 0 then Buffer.add_char buffer ',';
          spelled table (at + (i * each)) rest
        done;
        Buffer.add_char buffer ']'
  in
  let member (name, table) =
    Buffer.add_string buffer (Printf.sprintf "%s\"%s\":" (if Buffer.length buffer > 1 then "," else "") name);
    spelled table 0 (shape name)
  in
  Buffer.add_char buffer '{';
  List.iter member ([ ("order", order); ("outputs", outputs) ] @ (if with_reads then [ ("reads", reads) ] else []) @ [
    ("transitions", transitions) ]);
  Buffer.add_char buffer '}';
  need (Texts.digest (Buffer.contents buffer) = digest) "the automaton with this certificate has another digest";
  let some n = if n < 0 then None else Some n in
  let target i s t = transitions.(((((if steps = 1 then 0 else i) * states) + s) * vocab) + t) in
  let automaton =
    { Counts.order = Array.get order; transition = (fun i s t -> some (target i s t));
      output = (fun r s -> some outputs.((r * states) + s)); reads = List.init number read }
  in
  let total = count automaton ~positions ~vocab ~states in
  need (Z.sign total > 0) "the automaton accepts no sequence";
  (automaton, total, states)

(* The task, as the extracted functions take it, its number of inputs, and that of its automaton's states. *)
let task (model : Model.t) (certificate : Certificate.t) =
  let size = Model.size model in
  let positions = size "n_ctx" and vocab = size "d_vocab" and outputs = size "d_vocab_out" in
  match certificate.task with
  | Automaton digest ->
      let automaton, total, states = of_tables certificate.automaton digest ~positions ~vocab ~outputs in
      (Counts.By_automaton automaton, total, states)
  | named ->
      need (outputs >= vocab) "the model has fewer outputs than tokens";
      let found =
        match named with
        | Smallest -> Counts.Smallest
        | Nth_largest n -> need (n <= positions) "there is no token number %d in descending order" n; Counts.Nth_largest (n - 1)
        | _ -> malformed "the task is not about sequences"
      in
      (found, Z.pow (Z.of_int vocab) positions, 0)
