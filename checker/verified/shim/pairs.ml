(* Certificates about networks on two inputs: from their steps to the claims that the extracted functions judge (FORMAT.md 5.5,
   5.8 to 5.11).

   What a claim says wrongly, they do not count. So what is checked here is what FORMAT.md says of a file's form. *)
open Refused

(* What neurons read is in units of 2^-read, what they write of 2^-write; so many bits of these are left out at first. *)
type units = { read : int; write : int; cut_read : int; cut_write : int }

(* Neurons by their numbers, in the order that they are to have. Claims are made when the units are known. Pairs are marked by
   bytes, row by row. last: the last pair that is listed, or (-1, -1). *)
type fact =
  | Neurons of int array
  | Inputs of { claims : (units -> Counts.claim) list; cells : Bytes.t; counted : Bytes.t; last : int * int }

let kept = 28 (* bits after the point, where some are left out *)
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
  let by_bases = model.architecture = "uniform-attention" && List.mem_assoc "reading" step.hints in
  let parameters, bases = if by_bases then ([ "tilt" ], [ "reading"; "writing" ]) else ([], []) in
  Certificate.taken step parameters ("neurons" :: bases);
  (* Not used, but to be as FORMAT.md says: the tables of the extracted functions are exact. *)
  let check name = Codes.check_basis step name (Model.size model "d_model") (List.assoc "tilt" step.parameters) in
  List.iter check bases;
  let shape, neuron = Certificate.hint step "neurons" [ -1 ] in
  let seen = Array.make (Model.size model "d_mlp") false in
  need (shape.(0) > 0) "no neuron is chosen";
  let chosen i =
    let number = neuron i in
    let ok = 0 <= number && number < Array.length seen && not seen.(number) in
    need ok "the chosen neurons are not different neurons of the model";
    seen.(number) <- true;
    number
  in
  Neurons (Array.init shape.(0) chosen)

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
  let _, mark = Certificate.hint step "pairs" [ n; n ] in
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

let z = Z.of_int
let evaluated units = Counts.Evaluated (z units.cut_read, z units.cut_write)
let claim model neurons marked mirrored by_method =
  { Counts.chosen = Codes.by_neuron (Model.size model "d_mlp") neurons false (fun _ -> true); marked; mirrored; by_method }

(* Pairs that a step marks, each of which it proves by itself. *)
let each_pair model table step neurons by_method =
  let n = Array.length table and marked, mirrored = marked_pairs model table step in
  let meant at = at_of marked n (at / n) (at mod n) || (mirrored && at_of marked n (at mod n) (at / n)) in
  let cells = Bytes.init (n * n) (fun at -> if meant at then yes else no) in
  let claims = [ (fun units -> claim model neurons (at_of marked n) mirrored (by_method units)) ] in
  Inputs { claims; cells; counted = cells; last = (-1, -1) }

let coded_output model table (step : Certificate.step) premises =
  let coded = List.mem_assoc "codes" step.hints and n = Array.length table in
  let features = if coded && List.mem_assoc "left_features" step.hints then [ "left_features"; "right_features" ] else [] in
  let of_code = if coded then [ "atoms"; "centre"; "codes"; "dictionary" ] else [] in
  let parameters = if coded then [ "mirrored"; "pairwise"; "scale" ] else [ "mirrored" ] in
  Certificate.taken step parameters (List.sort compare (("pairs" :: of_code) @ features));
  match premises with
  | [ Neurons neurons ] when not coded -> each_pair model table step neurons evaluated
  | [ Neurons neurons ] ->
      let code = Codes.code step n (Model.size model "d_vocab_out") (Model.size model "d_mlp") neurons in
      let by_code units =
        let rough = code (units.read - units.cut_read) (units.write - units.cut_write) in
        Counts.By_code (z units.cut_read, z units.cut_write, rough, code units.read units.write)
      in
      each_pair model table step neurons by_code
  | _ -> malformed "%s takes one premise: hidden tables" step.rule

let set_output (model : Model.t) (certificate : Certificate.t) table (step : Certificate.step) premises =
  let n = Array.length table and singly = List.mem_assoc "pairs" step.hints in
  let parameters, hints = if singly then ([ "mirrored"; "scale" ], [ "pairs"; "t" ]) else ([ "scale" ], [ "kernel"; "t" ]) in
  Certificate.taken step parameters ([ "action"; "beta"; "gamma"; "generators" ] @ hints);
  match premises with
  | [ Neurons neurons ] when model.architecture = "group-mlp" && Model.size model "d_vocab_out" = n ->
      let named = match certificate.task with Group _ -> true | _ -> false in
      let sets = Sets.sets step table named (Model.size model "d_mlp") neurons in
      let by_cells units =
        Counts.By_cells (z units.cut_read, z units.cut_write, sets (units.write - units.cut_write), sets units.write)
      in
      if singly then each_pair model table step neurons by_cells
      else
        let cells = Bytes.make (n * n) yes in
        let claims = [ (fun units -> claim model neurons (fun _ _ -> true) false (Counts.By_sets (sets units.write))) ] in
        Inputs { claims; cells; counted = cells; last = (-1, -1) }
  | _ -> malformed "set-output takes one premise, and needs one output for each element and no direct path"

let disjoint_sum n (step : Certificate.step) premises =
  Certificate.taken step [] [];
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

let further_inputs model n (step : Certificate.step) premises =
  Certificate.taken step [] [ "inputs" ];
  match premises with
  | [ Neurons neurons; Inputs known ] ->
      let shape, element = Certificate.hint step "inputs" [ -1; 2 ] in
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
      let claims = (fun units -> claim model neurons (at_of listed n) false (evaluated units)) :: known.claims in
      Inputs { known with claims; cells; last = !last }
  | _ -> malformed "further-inputs takes two premises: tables, and a fact about inputs"

(* The number of pairs that the last step establishes, and the theorem about it. format: of executions in floating point, if they are meant. *)
let established format (model : Model.t) (certificate : Certificate.t) =
  let table = table_of model certificate in
  let n = Array.length table in
  let facts = Array.make (Array.length certificate.steps) (Neurons [||]) in
  let apply i (step : Certificate.step) =
    let premises = List.map (Array.get facts) step.premises in
    facts.(i) <-
      (match step.rule with
      | "hidden-tables" -> need (premises = []) "hidden-tables takes no premise"; hidden_tables model step
      | "coded-output" -> coded_output model table step premises
      | "set-output" -> set_output model certificate table step premises
      | "disjoint-sum" -> disjoint_sum n step premises
      | "further-inputs" -> further_inputs model n step premises
      | rule -> unsupported "rule %s" rule)
  in
  Array.iteri apply certificate.steps;
  let claims =
    match facts.(Array.length facts - 1) with
    | Inputs found -> found.claims
    | Neurons _ -> malformed "the last step says nothing about inputs"
  in
  let w = Model.tensor model and size = Model.size model and at_least = Model.scale_of model in
  let mn = Q.num certificate.margin and md = Q.den certificate.margin in
  let product a b = table.(a).(b) and m = size "d_mlp" and outputs = size "d_vocab_out" in
  ignore (Model.scale 0 model);
  (* Hints are in units of 2^-scale. Numbers near the middle of others are rounded, to a little less than weights are. *)
  let of_step least (step : Certificate.step) =
    match List.assoc_opt "scale" step.parameters with Some scale -> max least (scale + 10) | None -> least
  in
  let hinted = Array.fold_left of_step 0 certificate.steps in
  let finer = if hinted > 0 then 10 else 0 in
  let with_units claims read write =
    let cut bits = max 0 (bits - max kept hinted) in
    let units = { read; write; cut_read = cut read; cut_write = cut write } in
    List.map (fun claim -> claim units) claims
  in
  if model.architecture = "group-mlp" then
    let weights =
      { Counts.mLeft = w "embed_left.W_E"; mRight = w "embed_right.W_E"; mBin = w "mlp.b_in"; mWU = w "unembed.W_U";
        mBU = w "unembed.b_U" }
    in
    let read = finer + at_least hinted [ "embed_left.W_E"; "embed_right.W_E"; "mlp.b_in" ] in
    let write = max (at_least hinted [ "unembed.W_U" ]) (at_least 0 [ "unembed.b_U" ] - read) in
    let claims = with_units claims read write in
    let count = Counts.count_mlp_pairs n m outputs (z read) (z write) mn md weights product claims in
    let in_format format = Counts.in_format_mlp format n m outputs (z (Model.scale 0 model)) mn md weights in
    Deployed.established format (count, "count_mlp_pairs_sound") in_format
  else
    let head = ( ^ ) "blocks.0.attn." and mlp = ( ^ ) "blocks.0.mlp." in
    let weights =
      { Counts.uWE = w "embed.W_E"; uWP = w "pos_embed.W_pos"; uWV = w (head "W_V"); uBV = w (head "b_V"); uWO = w (head "W_O");
        uBO = w (head "b_O"); uWin = w (mlp "W_in"); uBin = w (mlp "b_in"); uWout = w (mlp "W_out"); uBout = w (mlp "b_out");
        uWU = w "unembed.W_U"; uBU = w "unembed.b_U" }
    in
    let e = at_least 0 [ "embed.W_E"; "pos_embed.W_pos" ] in
    let v = max (at_least 0 [ head "W_V" ]) (at_least 0 [ head "b_V" ] - e) in
    let o = max (at_least 0 [ head "W_O" ]) (at_least 0 [ head "b_O"; mlp "b_out" ] - e - v) in
    let r = max (at_least hinted [ mlp "W_in" ]) (at_least 0 [ mlp "b_in" ] - e - v - o) in
    let u = max (at_least hinted [ "unembed.W_U" ]) (at_least 0 [ "unembed.b_U" ] - e - v - o) in
    let out = at_least 0 [ mlp "W_out" ] in
    let claims = with_units claims (e + v + o + r) (out + u) in
    let d = size "d_model" and h = size "d_head" and heads = size "n_heads" in
    let count = Counts.count_uniform_pairs n d h heads m outputs (z e) (z v) (z o) (z r) (z out) (z u) mn md weights product claims in
    let in_format format = Counts.in_format_uniform format n d h heads m outputs (z (Model.scale 0 model)) mn md weights in
    Deployed.established format (count, "count_uniform_pairs_sound") in_format
