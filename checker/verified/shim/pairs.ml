(* Certificates about networks on two inputs: from their steps to the claims that the extracted functions judge (FORMAT.md 5.5,
   5.8 to 5.11).

   What a claim says wrongly, they do not count. So what is checked here is what FORMAT.md says of a file's form. *)
open Refused

(* Marked pairs are bytes, row by row. last: the last pair that is listed, or (-1, -1). *)
type fact =
  | Neurons of bool array
  | Inputs of { claims : Counts.claim list; cells : Bytes.t; counted : Bytes.t; last : int * int }

let yes = '\001' and no = '\000'
let total model = let n = Model.elements model in Z.of_int (n * n)

let table_of (model : Model.t) (certificate : Certificate.t) =
  let n = Model.elements model in
  need (Model.size model "d_vocab_out" >= n) "the model has fewer outputs than elements";
  match (certificate.task, certificate.table) with
  | Group name, _ -> Groups.table name n
  | Table digest, Some tensor ->
      need (tensor.shape = [ n; n ]) "the multiplication table is no square of %d elements" n;
      let entry = Container.integer tensor in
      let table = Array.init n (fun a -> Array.init n (fun b -> entry ((a * n) + b))) in
      Array.iter (Array.iter (fun c -> need (0 <= c && c < n) "a multiplication table holds numbers below its size")) table;
      need (Groups.digest table = digest) "the multiplication table has another digest";
      table
  | _ -> malformed "the task is not about products of two elements"

let hidden_tables (model : Model.t) (step : Certificate.step) =
  if List.mem_assoc "reading" step.hints then unsupported "rule hidden-tables by bases";
  Proof.taken step [] [ "neurons" ];
  let shape, neuron = Proof.hint step "neurons" [ -1 ] in
  let m = Model.size model "d_mlp" in
  let chosen = Array.make m false in
  need (shape.(0) > 0) "no neuron is chosen";
  for i = 0 to shape.(0) - 1 do
    need (0 <= neuron i && neuron i < m && not chosen.(neuron i)) "the chosen neurons are not different neurons of the model";
    chosen.(neuron i) <- true
  done;
  Neurons chosen

(* Left and right embedding are the same. *)
let symmetric (model : Model.t) =
  let content name = let t = List.assoc name model.weights in (t.Container.dtype, Container.bytes t) in
  model.architecture = "uniform-attention" || content "embed_left.W_E" = content "embed_right.W_E"

let all_of n holds = List.for_all holds (List.init n Fun.id)
let commutative table =
  let n = Array.length table in
  all_of n (fun a -> all_of n (fun b -> table.(a).(b) = table.(b).(a)))

(* The pairs that a step marks, and whether their mirror images are meant, too. *)
let marked_pairs model table (step : Certificate.step) =
  let n = Array.length table in
  let _, mark = Proof.hint step "pairs" [ n; n ] in
  let mirrored = List.assoc "mirrored" step.parameters in
  need (mirrored = 0 || mirrored = 1) "mirrored is 0 or 1";
  if mirrored = 1 && not (symmetric model && commutative table)
    then unfounded "only pairs of a symmetric network and a commutative task can be mirrored";
  let entry at =
    need (mark at = 0 || mark at = 1) "pairs are marked by 1, all others by 0";
    need (mark at = 0 || mirrored = 0 || at / n <= at mod n) "where pairs are mirrored, only those with a <= b are marked";
    if mark at = 1 then yes else no
  in
  let marked = Bytes.init (n * n) entry in
  (marked, mirrored = 1)

let at_of bytes n a b = Bytes.get bytes ((a * n) + b) = yes

let inputs n chosen marked mirrored =
  let meant at = at_of marked n (at / n) (at mod n) || (mirrored && at_of marked n (at mod n) (at / n)) in
  let cells = Bytes.init (n * n) (fun at -> if meant at then yes else no) in
  let claim = { Counts.chosen = Array.get chosen; marked = at_of marked n; mirrored } in
  Inputs { claims = [ claim ]; cells; counted = cells; last = (-1, -1) }

let coded_output model table (step : Certificate.step) premises =
  if List.mem_assoc "codes" step.hints then unsupported "rule coded-output with a code";
  Proof.taken step [ "mirrored" ] [ "pairs" ];
  match premises with
  | [ Neurons chosen ] ->
      let marked, mirrored = marked_pairs model table step in
      inputs (Array.length table) chosen marked mirrored
  | _ -> malformed "%s takes one premise: hidden tables" step.rule

let disjoint_sum n (step : Certificate.step) premises =
  Proof.taken step [] [];
  let cells = Bytes.make (n * n) no and counted = Bytes.make (n * n) no in
  let add (claims, last) = function
    | Neurons _ -> malformed "disjoint-sum adds facts about inputs"
    | Inputs part ->
        let mark at owned =
          if owned = yes then begin
            if Bytes.get cells at = yes then unfounded "two premises both count the pair (%d, %d)" (at / n) (at mod n);
            Bytes.set cells at yes
          end
        in
        Bytes.iteri mark part.cells;
        Bytes.iteri (fun at c -> if c = yes then Bytes.set counted at yes) part.counted;
        (part.claims @ claims, max last part.last)
  in
  let claims, last = List.fold_left add ([], (-1, -1)) premises in
  Inputs { claims; cells; counted; last }

let further_inputs n (step : Certificate.step) premises =
  Proof.taken step [] [ "inputs" ];
  match premises with
  | [ Neurons chosen; Inputs known ] ->
      let shape, element = Proof.hint step "inputs" [ -1; 2 ] in
      let listed = Bytes.make (n * n) no and last = ref known.last in
      for i = 0 to shape.(0) - 1 do
        let a = element (2 * i) and b = element ((2 * i) + 1) in
        need (0 <= a && a < n && 0 <= b && b < n) "an input has an element out of range";
        if (a, b) <= !last then unfounded "inputs do not increase strictly";
        if at_of known.counted n a b then unfounded "the pair (%d, %d) may have been counted already" a b;
        last := (a, b);
        Bytes.set listed ((a * n) + b) yes
      done;
      let cells = Bytes.mapi (fun at c -> if Bytes.get listed at = yes then yes else c) known.cells in
      let claim = { Counts.chosen = Array.get chosen; marked = at_of listed n; mirrored = false } in
      Inputs { known with claims = claim :: known.claims; cells; last = !last }
  | _ -> malformed "further-inputs takes two premises: tables, and a fact about inputs"

(* The number of pairs that the last step establishes, and the theorem about it. *)
let established (model : Model.t) (certificate : Certificate.t) =
  let table = table_of model certificate in
  let n = Array.length table in
  let facts = Array.make (Array.length certificate.steps) (Neurons [||]) in
  let apply i (step : Certificate.step) =
    let premises = List.map (Array.get facts) step.premises in
    facts.(i) <-
      (match step.rule with
      | "hidden-tables" -> need (premises = []) "hidden-tables takes no premise"; hidden_tables model step
      | "coded-output" -> coded_output model table step premises
      | "disjoint-sum" -> disjoint_sum n step premises
      | "further-inputs" -> further_inputs n step premises
      | rule -> unsupported "rule %s" rule)
  in
  Array.iteri apply certificate.steps;
  let claims =
    match facts.(Array.length facts - 1) with
    | Inputs found -> found.claims
    | Neurons _ -> malformed "the last step says nothing about inputs"
  in
  let w = Model.tensor model and size = Model.size model in
  let z = Z.of_int (Model.scale 0 model) and mn = Q.num certificate.margin and md = Q.den certificate.margin in
  let product a b = table.(a).(b) and m = size "d_mlp" and outputs = size "d_vocab_out" in
  if model.architecture = "group-mlp" then
    let weights = { Counts.mLeft = w "embed_left.W_E"; mRight = w "embed_right.W_E"; mBin = w "mlp.b_in"; mWU = w "unembed.W_U";
      mBU = w "unembed.b_U" } in
    (Counts.count_mlp_pairs n m outputs z mn md weights product claims, "count_mlp_pairs_sound")
  else
    let head = ( ^ ) "blocks.0.attn." and mlp = ( ^ ) "blocks.0.mlp." in
    let weights =
      { Counts.uWE = w "embed.W_E"; uWP = w "pos_embed.W_pos"; uWV = w (head "W_V"); uBV = w (head "b_V"); uWO = w (head "W_O");
        uBO = w (head "b_O");
        uWin = w (mlp "W_in"); uBin = w (mlp "b_in"); uWout = w (mlp "W_out"); uBout = w (mlp "b_out"); uWU = w "unembed.W_U";
          uBU = w "unembed.b_U" }
    in
    (Counts.count_uniform_pairs n (size "d_model") (size "d_head") (size "n_heads") m outputs z mn md weights product claims,
      "count_uniform_pairs_sound")
