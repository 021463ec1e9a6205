(* Certificates about transformers of any depth: which inputs their steps look at, and how many the extracted functions find
  right. *)
open Refused

let most_sequences = 1 lsl 27

(* Bits after the point, and how exp is computed. Errors grow by some 20 bits in a layer; the further ones are for what those
   before do not find. *)
let precisions layers = List.map (fun p -> (p, 7, (p / 5) + 4)) (let least = 32 + (16 * layers) in [ least; 2 * least;
  4 * least ])

(* looked: of every sequence, in lexicographic order, a byte: whether it is to be counted if it is found right. *)
(* Region: what is claimed of a read. Reads: of all, in their order. *)
type fact = Forward | Inputs of Bytes.t | Region of Regions.claim | Reads of Regions.claim list

let accepted (task : Counts.task) positions x = Counts.truth task positions x <> None

let all_inputs step (task : Counts.task) ~positions ~vocab =
  Certificate.taken step [] [ "ranges"; "skip" ];
  let _, range = Certificate.hint step "ranges" [ positions; 2 ] in
  for j = 0 to positions - 1 do
    need (0 <= range (2 * j) && range (2 * j) < range ((2 * j) + 1) && range ((2 * j) + 1) <= vocab) "a range is empty, or not
      within the tokens"
  done;
  let shape, edge = Certificate.hint step "skip" [ -1; 2 ] in
  let edges = 2 * shape.(0) in
  let sizes = Array.init positions (fun j -> range ((2 * j) + 1) - range (2 * j)) in
  let within = Array.fold_left (fun product n -> Z.mul product (Z.of_int n)) Z.one sizes in
  need (Z.lt within (Z.shift_left Z.one 62)) "too many sequences have tokens in the ranges";
  for i = 0 to edges - 1 do need (edge i > if i > 0 then edge (i - 1) else -1) "runs of skipped inputs do not increase" done;
  need (edges = 0 || Z.leq (Z.of_int (edge (edges - 1))) within) "more inputs are skipped than there are";
  let every = Z.pow (Z.of_int vocab) positions in
  if Z.gt every (Z.of_int most_sequences) then unsupported "more than %d sequences" most_sequences;
  let looked = Bytes.make (Z.to_int every) '\000' in
  let x = Array.init positions (fun j -> range (2 * j)) and next_edge = ref 0 in
  for place = 0 to Z.to_int within - 1 do
    while !next_edge < edges && edge !next_edge <= place do incr next_edge done;
    if !next_edge mod 2 = 0 && accepted task positions (Array.to_list x) then
      Bytes.set looked (Array.fold_left (fun at t -> (at * vocab) + t) 0 x) '\001';
    (* The next sequence. *)
    let j = ref (positions - 1) in
    while !j >= 0 && x.(!j) = range ((2 * !j) + 1) - 1 do x.(!j) <- range (2 * !j); decr j done;
    if !j >= 0 then x.(!j) <- x.(!j) + 1
  done;
  Inputs looked

(* Whether sequences are looked at that begin with some tokens, the last one first. *)
let beginnings looked ~positions ~vocab =
  let shorter known = Bytes.init (Bytes.length known / vocab) (fun at -> if Bytes.contains_from (Bytes.sub known (at * vocab)
    vocab) 0 '\001' then '\001' else '\000') in
  let levels = Array.make (positions + 1) looked in
  for n = positions - 1 downto 0 do levels.(n) <- shorter levels.(n + 1) done;
  fun prefix ->
    let rec place = function [] -> (0, 0) | t :: before -> let n, at = place before in (n + 1, (at * vocab) + t) in
    let n, at = place prefix in
    Bytes.get levels.(n) at = '\001'

let tensors (model : Model.t) layers =
  let w = Model.tensor model in
  let block i =
    let attn name = w (Printf.sprintf "blocks.%d.attn.%s" i name) and mlp name = w (Printf.sprintf "blocks.%d.mlp.%s" i name) in
    let norm name = w (Printf.sprintf "blocks.%d.%s" i name) in
    { Counts.ln1_w = norm "ln1.w"; ln1_b = norm "ln1.b"; attn_W_Q = attn "W_Q"; attn_b_Q = attn "b_Q"; attn_W_K = attn "W_K";
      attn_b_K = attn "b_K";
      attn_W_V = attn "W_V"; attn_b_V = attn "b_V"; attn_W_O = attn "W_O"; attn_b_O = attn "b_O"; attn_slopes = attn "slopes";
      attn_q_norm = attn "q_norm.w"; attn_k_norm = attn "k_norm.w";
        ln2_w = norm "ln2.w";
      ln2_b = norm "ln2.b"; mlp_W_in = mlp "W_in"; mlp_W_gate = mlp "W_gate"; mlp_b_in = mlp "b_in"; mlp_W_out = mlp "W_out";
        mlp_b_out = mlp "b_out" }
  in
  { Counts.embed_W_E = w "embed.W_E"; pos_embed_W_pos = w "pos_embed.W_pos"; all_blocks = List.init layers block;
    ln_final_w = w "ln_final.w";
    ln_final_b = w "ln_final.b"; unembed_W_U = w "unembed.W_U"; unembed_b_U = w "unembed.b_U" }

(* The number of inputs that the last step establishes, and the theorem about it. *)
let established (model : Model.t) (found : Transformers.t) (task : Counts.task) ~states (certificate : Certificate.t) =
  let config = found.config in
  let positions = config.n_ctx and vocab = config.d_vocab in
  let facts = Array.make (Array.length certificate.steps) Forward in
  let apply i (step : Certificate.step) =
    let premises = List.map (Array.get facts) step.premises in
    facts.(i) <-
      (match step.rule with
      | "transformer-forward" -> need (premises = []) "transformer-forward takes no premise"; Certificate.taken step [] [];
        Forward
      | "all-inputs" -> need (premises = [ Forward ]) "all-inputs takes one premise: a forward pass";
        all_inputs step task ~positions ~vocab
      | "regions" -> (
          need (premises = [ Forward ]) "regions takes one premise: a forward pass";
          match task with
          | By_automaton automaton -> Region (Regions.parse step automaton ~states config)
          | _ -> unfounded "regions is about a task that is an automaton")
      | "all-reads" ->
          Certificate.taken step [] [];
          let about = function Region claim -> claim | _ -> malformed "all-reads needs facts about reads" in
          let claims = List.map about premises in
          let reads = match task with By_automaton automaton -> List.length automaton.reads | _ -> 1 in
          if List.map (fun (claim : Regions.claim) -> claim.number) claims <> List.init reads Fun.id then
            unfounded "all-reads needs a premise about each read, in their order";
          Reads claims
      | rule -> unsupported "rule %s about this architecture" rule)
  in
  Array.iteri apply certificate.steps;
  let z = Z.of_int in
  let e = Model.scale 0 model and tensors = tensors model config.n_layers in
  let mn = Q.num certificate.margin and md = Q.den certificate.margin in
  let count, theorem =
    match (facts.(Array.length facts - 1), task) with
    | Inputs looked, _ ->
        let looked_at = beginnings looked ~positions ~vocab in
        let inputs = Bytes.fold_left (fun n c -> if c = '\001' then n + 1 else n) 0 looked in
        (* What the first layer makes of a token is computed once if it is computed often. *)
        let shared = if inputs > vocab * positions then (positions, vocab) else (0, 0) in
        ( (fun (precision, halvings, terms) ->
            Counts.count_transformer task config found.tied tensors (z e) (z precision) mn md halvings terms (fst shared) (snd
              shared) looked_at),
          "count_transformer_sound" )
    | Reads claims, By_automaton automaton ->
        let claims = Array.of_list (List.map (fun (claim : Regions.claim) -> claim.of_read) claims) in
        let steps = Array.make positions 0 in
        for i = 0 to positions - 1 do steps.(automaton.order i) <- i done;
        ( (fun (precision, halvings, terms) ->
            Counts.count_regions_at_reads automaton states (Array.get steps) (Array.get claims) config found.tied tensors (z e)
              (z precision) mn md
              halvings terms),
          "count_regions_sound" )
    | _ -> malformed "the last step says nothing about inputs"
  in
  let rec most best = function
    | [] -> best
    | precision :: rest ->
        let found = Z.max best (count precision) in
        if Z.geq found certificate.correct then found else most found rest
  in
  (most Z.zero (precisions config.n_layers), theorem)
