(* Configurations of the architecture `transformer`: FORMAT.md 2.6. *)
open Refused

(* What the extracted functions take, and tie_word_embeddings; sizes, what a digest says of the configuration, shapes of
  tensors. *)
type t = {
  config : Counts.architecture;
  tied : bool;
  sizes : (string * int) list;
  described : (string * Json.t) list;
  shapes : (string * int list) list;
}

let choices =
  Json.
    [
      ("act_fn", ([ String "relu"; String "gelu"; String "gelu_new"; String "silu" ], None));
      ("attention_dir", ([ String "causal"; String "bidirectional" ], Some (String "causal")));
      ("attn_only", ([ Bool false; Bool true ], Some (Bool false))); ("gated_mlp", ([ Bool false;
        Bool true ], Some (Bool false)));
      ("normalization_type", ([ Null; String "LN"; String "LNPre"; String "RMS"; String "RMSPre" ], Some (String "LN")));
      ("positional_embedding_type", ([ String "standard"; String "rotary"; String "alibi";
        String "none" ], Some (String "standard")));
      ("rotary_adjacent_pairs", ([ Bool false; Bool true ], Some (Bool false)));
      ("tie_word_embeddings", ([ Bool false; Bool true ], Some (Bool false))); ("use_attn_scale", ([ Bool true;
        Bool false ], Some (Bool true)));
      ("use_qk_norm", ([ Bool false; Bool true ], Some (Bool false)));
    ]

let vocab = (2, 2048)
let ranges =
  [
    ("d_head", (1, 512)); ("d_mlp", (1, 4096)); ("d_model", (1, 512)); ("d_vocab", vocab); ("d_vocab_out", vocab);
      ("n_ctx", (2, 256));
    ("n_heads", (1, 16)); ("n_key_value_heads", (1, 16)); ("n_layers", (1, 8)); ("rotary_dim", (2, 512));
  ]
let numbers = [ "attn_scale"; "eps"; "rotary_base" ]
let same = [ ("gelu_pytorch_tanh", "gelu_new") ]

let choice config key =
  let values, absent = List.assoc key choices in
  let given =
    match List.assoc_opt key config with
    | Some (Json.String text) -> Some (Json.String (Option.value (List.assoc_opt text same) ~default:text))
    | Some value -> Some value
    | None -> absent
  in
  match given with
  | Some value when List.mem value values -> value
  | _ -> malformed "config %s has a value that is not supported" key

(* A number, or a text "p" or "p/q". *)
let number config key least =
  let most = Z.pow (Z.of_int 10) 60 in
  let is_digits text = text <> "" && String.length text <= 60 && String.for_all (fun c -> '0' <= c && c <= '9') text in
  let fraction text =
    let minus = String.length text > 0 && text.[0] = '-' in
    let text = if minus then String.sub text 1 (String.length text - 1) else text in
    let above, below =
      match String.index_opt text '/' with
      | None -> (text, "1")
      | Some at -> (String.sub text 0 at, String.sub text (at + 1) (String.length text - at - 1))
    in
    let rec nonzero text = if text <> "" && text.[0] = '0' then nonzero (String.sub text 1 (String.length text - 1)) else text
      in
    need (is_digits above && is_digits (nonzero below) && String.for_all (fun c -> '0' <= c && c <= '9') below) "config %s is
      no fraction" key;
    let found = Q.make (Z.of_string above) (Z.of_string below) in
    if minus then Q.neg found else found
  in
  let found =
    match List.assoc_opt key config with
    | Some (Json.Int z) -> Q.of_bigint z
    | Some (Json.Decimal q) -> q
    | Some (Json.String text) -> fraction text
    | _ -> malformed "config %s is no number" key
  in
  need (Q.leq (Q.of_int least) found && Q.lt found (Q.of_bigint most) && Z.lt (Q.den found) most) "config %s is out of range"
    key;
  found

(* None stands for sqrt (d_head). *)
let scale config d_head =
  if not (List.mem_assoc "attn_scale" config) then None
  else
    let found = number config "attn_scale" (-1) in
    let off = Q.abs (Q.sub (Q.mul found found) (Q.of_int d_head)) in
    if Q.equal found Q.minus_one || Q.leq off (Q.make (Z.of_int d_head) (Z.of_int 1_000_000)) then None
    else begin
      need (Q.sign found > 0) "config attn_scale must be positive, or -1";
      Some found
    end

let is_true = function
  | None | Some Json.(Null | Bool false | String "" | List [] | Object []) -> false
  | Some (Json.Int z) -> Z.sign z <> 0
  | Some (Json.Decimal q) -> Q.sign q <> 0
  | Some _ -> true

let parse config =
  let required = Keys.always @ [ ("use_NTK_by_parts_rope", ([ Json.Bool false ], true)) ] in
  let own = List.map fst choices @ List.map fst ranges @ numbers @ [ "architecture"; "pad_token" ] in
  Keys.check config required (own @ Keys.without_influence);
  let chosen = choice config in
  let yes key = chosen key = Json.Bool true in
  let attn_only = yes "attn_only" and qk_norm = yes "use_qk_norm" and tied = yes "tie_word_embeddings" in
  let position = chosen "positional_embedding_type" and kind = chosen "normalization_type" in
  let subtracts = List.mem kind Json.[ String "LN"; String "LNPre" ] in
  need (not (subtracts && is_true (List.assoc_opt "final_rms" config))) "config final_rms is for RMS";
  let given key other =
    match List.assoc_opt key config with
    | None | Some Json.Null -> List.assoc_opt other config
    | Some value when List.mem value Keys.minus_one -> List.assoc_opt other config
    | value -> value
  in
  let size key =
    let found =
      match key with
      | "d_vocab_out" -> given key "d_vocab"
      | "n_key_value_heads" -> given key "n_heads"
      | "rotary_dim" -> given key "d_head"
      | _ -> List.assoc_opt key config
    in
    let absent = (key = "d_mlp" && attn_only) || (key = "rotary_dim" && position <> Json.String "rotary") in
    if absent then 0 else Keys.size key (List.assoc key ranges) found
  in
  let sizes = List.map (fun (key, _) -> (key, size key)) ranges in
  let n key = List.assoc key sizes in
  need (n "n_heads" mod n "n_key_value_heads" = 0) "n_heads is no multiple of n_key_value_heads";
  need ((not tied) || n "d_vocab" = n "d_vocab_out") "tie_word_embeddings needs d_vocab_out = d_vocab";
  let act = if attn_only then Json.Null else chosen "act_fn" and gated = (not attn_only) && yes "gated_mlp" in
  let eps = if kind = Json.Null && not qk_norm then Q.zero else number config "eps" 0 in
  let pad = match List.assoc_opt "pad_token" config with None | Some Json.Null -> -1 | value -> Keys.size "pad_token" (-1, n
    "d_vocab" - 1) value in
  let scale = if yes "use_attn_scale" then scale config (n "d_head") else Some Q.one in
  let rotary = position = Json.String "rotary" in
  need ((not rotary) || (n "rotary_dim" mod 2 = 0 && n "rotary_dim" <= n "d_head")) "rotary_dim must be even, and at most d_head";
  let adjacent = rotary && yes "rotary_adjacent_pairs" in
  let base = if rotary then number config "rotary_base" 1 else Q.zero in
  let act_fn =
    match act with
    | Json.Null | Json.String "relu" -> Counts.Relu
    | Json.String "silu" -> Counts.Silu
    | Json.String "gelu_new" -> Counts.Gelu_new
    | Json.String name -> unsupported "the activation %s" name
    | _ -> assert false
  in
  let pair q = (Q.num q, Q.den q) in
  let config =
    {
      Counts.d_vocab = n "d_vocab"; d_vocab_out = n "d_vocab_out"; n_ctx = n "n_ctx"; n_layers = n "n_layers";
        n_heads = n "n_heads";
      n_key_value_heads = n "n_key_value_heads"; d_model = n "d_model"; d_head = n "d_head"; attn_only; d_mlp = n "d_mlp";
        gated_mlp = gated;
      act_fn;
      normalization_type =
        (match kind with
        | Json.String "LN" -> Counts.LN
        | Json.String "LNPre" -> Counts.LNPre
        | Json.String "RMS" -> Counts.RMS
        | Json.String "RMSPre" -> Counts.RMSPre
        | _ -> Counts.No_norm);
      eps0 = pair eps; bidirectional = (chosen "attention_dir" = Json.String "bidirectional");
        pad_token = (if pad < 0 then None else Some pad);
      attn_scale = Option.map pair scale; use_qk_norm = qk_norm; rotary_dim = n "rotary_dim"; rotary_base = pair base;
      rotary_adjacent_pairs = adjacent;
    }
  in
  let fraction q = Json.String (Q.to_string q) in
  let described =
    Json.
      [
        ("act_fn", act); ("attention_dir", chosen "attention_dir"); ("attn_only", Bool attn_only);
        ("attn_scale", match scale with None -> String "-1" | Some q -> fraction q); ("eps", fraction eps);
          ("gated_mlp", Bool gated);
        ("normalization_type", kind); ("positional_embedding_type", position); ("rotary_adjacent_pairs", Bool adjacent);
          ("rotary_base", fraction base);
        ("tie_word_embeddings", Bool tied); ("use_qk_norm", Bool qk_norm);
      ]
    @ (if pad < 0 then [] else [ ("pad_token", Json.Int (Z.of_int pad)) ])
  in
  let d = n "d_model" and h = n "d_head" and m = n "d_mlp" in
  let norm name =
    match kind with
    | Json.String "LN" -> [ (name ^ ".w", [ d ]); (name ^ ".b", [ d ]) ]
    | Json.String "RMS" -> [ (name ^ ".w", [ d ]) ]
    | _ -> []
  in
  let block i =
    let block = Printf.sprintf "blocks.%d." i in
    let attn = ( ^ ) (block ^ "attn.") and mlp = ( ^ ) (block ^ "mlp.") in
    let projection letter heads = [ (attn ("W_" ^ letter), [ heads; d; h ]); (attn ("b_" ^ letter), [ heads; h ]) ] in
    let qk_norms = if qk_norm then [ (attn "q_norm.w", [ h ]); (attn "k_norm.w", [ h ]) ] else [] in
    norm (block ^ "ln1") @ projection "Q" (n "n_heads") @ projection "K" (n "n_key_value_heads") @ projection "V" (n
      "n_key_value_heads")
    @ [ (attn "W_O", [ n "n_heads"; h; d ]); (attn "b_O", [ d ]) ]
    @ (if position = Json.String "alibi" then [ (attn "slopes", [ n "n_heads" ]) ] else [])
    @ qk_norms
    @
    if attn_only then []
    else
      norm (block ^ "ln2")
      @ List.map (fun name -> (mlp name, [ d; m ])) (if gated then [ "W_in"; "W_gate" ] else [ "W_in" ])
      @ [ (mlp "b_in", [ m ]); (mlp "W_out", [ m; d ]); (mlp "b_out", [ d ]) ]
  in
  let shapes =
    [ ("embed.W_E", [ n "d_vocab"; d ]) ]
    @ (if position = Json.String "standard" then [ ("pos_embed.W_pos", [ n "n_ctx"; d ]) ] else [])
    @ List.concat_map block (List.init (n "n_layers") Fun.id)
    @ norm "ln_final"
    @ (if tied then [] else [ ("unembed.W_U", [ d; n "d_vocab_out" ]) ])
    @ [ ("unembed.b_U", [ n "d_vocab_out" ]) ]
  in
  { config; tied; sizes; described; shapes }
