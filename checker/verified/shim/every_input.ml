(* Certificates about transformers of any depth: which inputs their steps look at, and how many the extracted functions find
  right. *)
open Refused

(* Bits after the point, and how exp is computed. Errors grow by some 20 bits in a layer; the further ones are for what those
   before do not find. *)
let precisions layers = List.map (fun p -> (p, 7, (p / 5) + 4)) (let least = 32 + (16 * layers) in [ least; 2 * least;
  4 * least ])

(* Region: what is claimed of a read. Reads: of all, in their order, and whether each input is to be counted once. Both with the
   classes of prefixes that they are about, if there are several layers. *)
type fact =
  | Forward
  | Inputs of Listed.t
  | Classes of Prefix_classes.t
  | Region of Regions.claim * Prefix_classes.t option
  | Reads of Regions.claim list * bool * Prefix_classes.t option

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
  let about = { Listed.task; positions; vocab } in
  let facts = Array.make (Array.length certificate.steps) Forward in
  let apply i (step : Certificate.step) =
    let premises = List.map (Array.get facts) step.premises in
    facts.(i) <-
      (match step.rule with
      | "transformer-forward" -> need (premises = []) "transformer-forward takes no premise"; Certificate.taken step [] [];
        Forward
      | "all-inputs" ->
          need (premises = [ Forward ]) "all-inputs takes one premise: a forward pass";
          Inputs (Listed.all_inputs step about)
      | "further-inputs" -> (
          match premises with
          | [ Forward; Inputs fact ] -> Inputs (Listed.further_inputs step about fact)
          | [ Forward; (Reads _ as fact) ] ->
              if Listed.number step about > 0 then unsupported "further-inputs beside facts about reads";
              fact
          | _ -> malformed "further-inputs takes two premises: a forward pass, and a fact about inputs")
      | "disjoint-sum" -> (
          let of_reads = List.filter (function Reads _ -> true | _ -> false) premises in
          let inputs = function
            | Inputs fact -> Some fact
            | Reads _ -> None
            | _ -> malformed "disjoint-sum adds facts about inputs"
          in
          let sum = Listed.disjoint_sum step about (List.filter_map inputs premises) in
          (* Facts about reads have all cells. *)
          match of_reads with
          | [] -> Inputs sum
          | [ fact ] when not (Listed.has_cells sum) -> fact
          | _ -> unfounded "two premises both count inputs of a cell")
      | "prefix-classes" -> (
          match (premises, task) with
          | [ Forward ], By_automaton automaton -> Classes (Prefix_classes.parse step automaton ~total:certificate.total config)
          | [ Forward ], _ -> unfounded "prefix-classes is about a task that is an automaton"
          | _ -> malformed "prefix-classes takes one premise: a forward pass")
      | "regions" | "potentials" -> (
          let parse = if step.rule = "regions" then Regions.parse else Potentials.parse in
          match (premises, task) with
          | [ Forward ], By_automaton automaton -> Region (parse step { Finer.automaton; states; by_state = false } config, None)
          | [ Classes classes ], By_automaton automaton -> Region (parse step (Prefix_classes.source classes automaton) config, Some classes)
          | ([ Forward ] | [ Classes _ ]), _ -> unfounded "%s is about a task that is an automaton" step.rule
          | _ -> malformed "%s takes one premise: a forward pass, or classes of prefixes" step.rule)
      | "all-reads" | "joint-reads" ->
          Certificate.taken step [] [];
          let about = function Region (claim, on) -> (claim, on) | _ -> malformed "%s needs facts about reads" step.rule in
          let claims, classes = List.split (List.map about premises) in
          let first = match classes with [] -> None | first :: _ -> first in
          if List.exists (fun other -> other <> first) classes then unsupported "reads that are about different classes of prefixes";
          let reads = match task with By_automaton automaton -> List.length automaton.reads | _ -> 1 in
          if List.map (fun (claim : Regions.claim) -> claim.number) claims <> List.init reads Fun.id then
            unfounded "%s needs a premise about each read, in their order" step.rule;
          Reads (claims, step.rule = "joint-reads", first)
      | rule -> unsupported "rule %s about this architecture" rule)
  in
  Array.iteri apply certificate.steps;
  let z = Z.of_int in
  let e = Model.scale 0 model and tensors = tensors model config.n_layers in
  let mn = Q.num certificate.margin and md = Q.den certificate.margin in
  let count, theorem =
    match (facts.(Array.length facts - 1), task) with
    | Inputs fact, _ ->
        let looked_at = Listed.beginnings fact about in
        let inputs = Bytes.fold_left (fun n c -> if c = Listed.yes then n + 1 else n) 0 fact.looked in
        (* What the first layer makes of a token is computed once if it is computed often. *)
        let shared = if inputs > vocab * positions then (positions, vocab) else (0, 0) in
        ( (fun (precision, halvings, terms) ->
            Counts.count_transformer task config found.tied tensors (z e) (z precision) mn md halvings terms (fst shared) (snd
              shared) looked_at),
          "count_transformer_sound" )
    | Reads (claims, once, classes), By_automaton automaton ->
        let finer = Array.of_list (List.map (fun (claim : Regions.claim) -> claim.finer) claims) in
        let potentials = Array.of_list (List.map (fun (claim : Regions.claim) -> claim.by_potentials) claims) in
        let claims = Array.of_list (List.map (fun (claim : Regions.claim) -> claim.of_read) claims) in
        let steps = Array.make positions 0 in
        for i = 0 to positions - 1 do steps.(automaton.order i) <- i done;
        let in_steps = Array.get steps and claimed = Array.get claims and of_sums = Array.get potentials in
        let by_regions = Array.for_all Option.is_none potentials in
        let watch r = Joint_reads.watch finer.(r) ~positions in
        let count (precision, halvings, terms) =
          let counted count = count config found.tied tensors (z e) (z precision) mn md halvings terms in
          match classes with
          | None when once ->
              let joint = Joint_reads.joint automaton ~positions ~vocab in
              counted (Counts.count_joint_reads automaton states in_steps claimed Prefix_classes.none of_sums watch joint)
          | None when by_regions -> counted (Counts.count_regions_at_reads automaton states in_steps claimed Prefix_classes.none)
          | None -> counted (Counts.count_potentials automaton states in_steps claimed Prefix_classes.none of_sums)
          | Some classes ->
              let source = Prefix_classes.source classes automaton in
              let leads_to = Prefix_classes.leads_to classes and stands_for = Prefix_classes.stands_for classes in
              let bounds = Prefix_classes.claims classes ~size:(config.n_heads * (config.d_head + 1)) in
              if once then
                let joint = Joint_reads.joint source.automaton ~positions ~vocab in
                counted (Counts.count_class_joint_reads automaton leads_to stands_for source.states in_steps claimed bounds watch joint)
              else counted (Counts.count_class_regions automaton leads_to stands_for source.states in_steps claimed bounds)
        in
        let theorem = if once then "joint_reads" else if by_regions then "regions" else "potentials" in
        (count, (if classes = None then "count_" else "count_class_") ^ theorem ^ "_sound")
    | _ -> malformed "the last step says nothing about inputs"
  in
  let rec most best = function
    | [] -> best
    | precision :: rest ->
        let found = Z.max best (count precision) in
        if Z.geq found certificate.correct then found else most found rest
  in
  (most Z.zero (precisions config.n_layers), theorem)
