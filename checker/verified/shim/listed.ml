(* Facts about inputs of transformers, each of which is evaluated: rules `all-inputs` (FORMAT.md 5.16), `further-inputs` and
   `disjoint-sum` (5.5). *)
open Refused

let most_sequences, most_cells = (1 lsl 27, 1 lsl 27)
let yes, no = ('\001', '\000')

(* Of sequences in lexicographic order a byte each: whether they are counted if they are found right, and whether they may have
   been counted but for listed ones. Of cells a byte each: whether inputs in them are counted. The last listed input, with its
   cell. *)
type t = { looked : Bytes.t; may : Bytes.t; cells : Bytes.t; last : (int list * int list) option }

type about = { task : Counts.task; positions : int; vocab : int }

(* All that hints say about tokens is in their numbers: reversed if the smallest one is asked for. *)
let reversed about =
  about.positions > 1 && match about.task with Smallest -> true | Nth_largest passed -> passed = about.positions - 1 | _ ->
    false
let numbered about t = if reversed about then about.vocab - 1 - t else t
let accepted about numbers = Counts.truth about.task about.positions (List.map (numbered about) numbers) <> None
let place about numbers = List.fold_left (fun at t -> (at * about.vocab) + numbered about t) 0 numbers

let sequences about =
  let every = Z.pow (Z.of_int about.vocab) about.positions in
  if Z.gt every (Z.of_int most_sequences) then unsupported "more than %d sequences" most_sequences;
  Z.to_int every

(* A cell is a last token; in tasks about the order of tokens, it, the true output, and how many others equal that. *)
let by_order about = match about.task with By_automaton _ -> false | _ -> true
let cells_of_token about = if by_order about then about.vocab * about.positions else 1
let no_cells about =
  if about.vocab * cells_of_token about > most_cells then unsupported "more than %d cells" most_cells;
  Bytes.make (about.vocab * cells_of_token about) no
let cell_of about numbers =
  let last = List.nth numbers (about.positions - 1) in
  if not (by_order about) then [ last ]
  else
    let above = match about.task with Nth_largest passed when not (reversed about) -> passed | _ -> 0 in
    let true_output = List.nth (List.sort (fun a b -> compare b a) numbers) above in
    let equal = List.length (List.filter (Int.equal true_output) numbers) - if last = true_output then 1 else 0 in
    [ last; true_output; equal ]
let cell_number about = function
  | [ q; m; c ] -> (((q * about.vocab) + m) * about.positions) + c
  | cell -> List.hd cell

(* No bytes stand for as many that say no. *)
let bytes about known = if Bytes.length known = 0 then Bytes.make (sequences about) no else Bytes.copy known

let all_inputs step about =
  let { positions; vocab; _ } = about in
  Certificate.taken step [] [ "ranges"; "skip" ];
  let _, range = Certificate.hint step "ranges" [ positions; 2 ] in
  for j = 0 to positions - 1 do
    need (0 <= range (2 * j) && range (2 * j) < range ((2 * j) + 1) && range ((2 * j) + 1) <= vocab)
      "a range is empty, or not within the tokens"
  done;
  let shape, edge = Certificate.hint step "skip" [ -1; 2 ] in
  let edges = 2 * shape.(0) in
  let sizes = Array.init positions (fun j -> range ((2 * j) + 1) - range (2 * j)) in
  let within = Array.fold_left (fun product n -> Z.mul product (Z.of_int n)) Z.one sizes in
  need (Z.lt within (Z.shift_left Z.one 62)) "too many sequences have tokens in the ranges";
  for i = 0 to edges - 1 do need (edge i > if i > 0 then edge (i - 1) else -1) "runs of skipped inputs do not increase" done;
  need (edges = 0 || Z.leq (Z.of_int (edge (edges - 1))) within) "more inputs are skipped than there are";
  let looked = Bytes.make (sequences about) no in
  let x = Array.init positions (fun j -> range (2 * j)) and next_edge = ref 0 in
  for at = 0 to Z.to_int within - 1 do
    while !next_edge < edges && edge !next_edge <= at do incr next_edge done;
    if !next_edge mod 2 = 0 then begin
      let numbers = Array.to_list x in
      if accepted about numbers then Bytes.set looked (place about numbers) yes
    end;
    (* The next sequence. *)
    let j = ref (positions - 1) in
    while !j >= 0 && x.(!j) = range ((2 * !j) + 1) - 1 do x.(!j) <- range (2 * !j); decr j done;
    if !j >= 0 then x.(!j) <- x.(!j) + 1
  done;
  let cells = no_cells about and own = cells_of_token about in
  let last = positions - 1 in
  Bytes.fill cells (range (2 * last) * own) (sizes.(last) * own) yes;
  { looked; may = looked; cells; last = None }

(* How many inputs are listed. *)
let number step about =
  Certificate.taken step [] [ "inputs" ];
  (fst (Certificate.hint step "inputs" [ -1; about.positions ])).(0)

let has_cells fact = Bytes.contains fact.cells yes

let further_inputs step about fact =
  Certificate.taken step [] [ "inputs" ];
  let shape, token = Certificate.hint step "inputs" [ -1; about.positions ] in
  let looked = bytes about fact.looked and may = bytes about fact.may and cells = Bytes.copy fact.cells in
  let add last i =
    let numbers = List.init about.positions (fun j -> token ((i * about.positions) + j)) in
    List.iter (fun t -> need (0 <= t && t < about.vocab) "an input has a token out of range") numbers;
    need (accepted about numbers) "a listed sequence is no input of the task";
    let own = (cell_of about numbers, numbers) in
    if (match last with Some before -> compare before own >= 0 | None -> false) then
      unfounded "inputs do not increase strictly, cell by cell";
    if Bytes.get may (place about numbers) = yes then unfounded "an input may have been counted already";
    Bytes.set looked (place about numbers) yes;
    Bytes.set cells (cell_number about (fst own)) yes;
    Some own
  in
  let last = List.fold_left add fact.last (List.init shape.(0) Fun.id) in
  { looked; may; cells; last }

let disjoint_sum step about facts =
  Certificate.taken step [] [];
  let cells = no_cells about in
  let add fact =
    Bytes.iteri (fun at c -> if c = yes && Bytes.get cells at = yes then unfounded "two premises both count inputs of a cell")
      fact.cells;
    Bytes.iteri (fun at c -> if c = yes then Bytes.set cells at yes) fact.cells
  in
  List.iter add facts;
  let parts = List.filter has_cells facts in
  let union = function
    | [] -> Bytes.empty
    | first :: rest ->
        let all = Bytes.copy first in
        List.iter (Bytes.iteri (fun at c -> if c = yes then Bytes.set all at yes)) rest;
        all
  in
  { looked = union (List.map (fun fact -> fact.looked) parts); may = union (List.map (fun fact -> fact.may) parts); cells;
    last = List.fold_left (fun last fact -> max last fact.last) None parts }

(* Whether sequences of tokens are looked at that begin with some, the last one first. *)
let beginnings fact about =
  let { positions; vocab; _ } = about in
  let some known at = Bytes.contains_from (Bytes.sub known (at * vocab) vocab) 0 yes in
  let shorter known = Bytes.init (Bytes.length known / vocab) (fun at -> if some known at then yes else no) in
  let levels = Array.make (positions + 1) (bytes about fact.looked) in
  for n = positions - 1 downto 0 do levels.(n) <- shorter levels.(n + 1) done;
  fun prefix ->
    let rec place = function [] -> (0, 0) | t :: before -> let n, at = place before in (n + 1, (at * vocab) + t) in
    let n, at = place prefix in
    Bytes.get levels.(n) at = yes
