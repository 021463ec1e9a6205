(* Model files of the architecture attention-only: FORMAT.md 2.1 to 2.3. *)
open Refused

type t = { sizes : (string * int) list; weights : (string * Container.tensor) list }

let size model name = List.assoc name model.sizes

(* One supported value, and whether the key may be absent. *)
let required =
  let none = [ "attn_types"; "experts_per_token"; "n_key_value_heads"; "num_experts"; "relative_attention_max_distance"; "relative_attention_num_buckets"; "window_size" ] in
  let no = [ "load_in_4bit"; "parallel_attn_mlp"; "post_embedding_ln"; "scale_attn_by_inverse_layer_idx"; "use_local_attn"; "use_normalization_before_and_after"; "use_qk_norm" ] in
  Json.
    [
      ("attn_only", ([ Bool true ], false)); ("n_heads", ([ Int Z.one; Decimal Q.one ], false)); ("n_layers", ([ Int Z.one; Decimal Q.one ], false));
      ("normalization_type", ([ Null ], false)); ("architecture", ([ String "attention-only" ], true));
      ("attention_dir", ([ String "causal" ], true)); ("positional_embedding_type", ([ String "standard" ], true));
      ("use_attn_scale", ([ Bool true ], true)); ("attn_scores_soft_cap", ([ Int Z.minus_one; Decimal Q.minus_one ], true));
      ("output_logits_soft_cap", ([ Int Z.minus_one; Decimal Q.minus_one ], true));
    ]
  @ List.map (fun key -> (key, ([ Json.Null ], true))) none
  @ List.map (fun key -> (key, ([ Json.Bool false ], true))) no

let ignored =
  [
    "NTK_by_parts_factor"; "NTK_by_parts_high_freq_factor"; "NTK_by_parts_low_freq_factor"; "NTK_original_ctx_len"; "act_fn";
    "checkpoint_index"; "checkpoint_label_type"; "checkpoint_value"; "d_mlp"; "decoder_start_token_id"; "default_prepend_bos";
    "device"; "dtype"; "eps"; "final_rms"; "from_checkpoint"; "gated_mlp"; "init_mode"; "init_weights"; "initializer_range";
    "model_name"; "n_devices"; "n_params"; "norm_topk_prob"; "original_architecture"; "rotary_adjacent_pairs"; "rotary_base";
    "rotary_base_local"; "rotary_dim"; "seed"; "tie_word_embeddings"; "tokenizer_name"; "tokenizer_prepends_bos";
    "trust_remote_code"; "ungroup_grouped_query_attention"; "use_NTK_by_parts_rope"; "use_attn_in"; "use_attn_result";
    "use_hook_mlp_in"; "use_hook_tokens"; "use_split_qkv_input";
  ]

let width = (1, 1 lsl 20)
let vocab = (2, 2048)
let ranges = [ ("d_head", width); ("d_model", width); ("d_vocab", vocab); ("d_vocab_out", vocab); ("n_ctx", (2, 64)) ]

(* attn_scale: -1, or within a relative 5e-7 of sqrt (d_head), which is meant. *)
let check_scale d_head = function
  | None -> ()
  | Some value ->
      let scale = match value with Json.Int z -> Q.of_bigint z | Json.Decimal q -> q | _ -> malformed "attn_scale is no number" in
      let near factor = Q.mul (Q.mul factor factor) (Q.of_int d_head) and square = Q.mul scale scale in
      let off = Q.of_ints 5 10_000_000 in
      let within = Q.leq (near (Q.sub Q.one off)) square && Q.leq square (near (Q.add Q.one off)) in
      need (Q.equal scale Q.minus_one || (Q.sign scale > 0 && within)) "attn_scale is not sqrt(d_head)"

let sizes_of config =
  let found key = List.assoc_opt key config in
  (match (found "architecture", found "attention_pattern") with
  | None, None | Some (Json.String "attention-only"), _ -> ()
  | Some (Json.String other), _ -> unsupported "architecture %s" other
  | None, Some _ -> unsupported "architecture uniform-attention"
  | Some _, _ -> malformed "architecture is no string");
  List.iter
    (fun (key, _) ->
      let known = List.mem_assoc key ranges || List.mem_assoc key required || List.mem key ignored || key = "attn_scale" in
      need known "unknown config key %s" key)
    config;
  List.iter
    (fun (key, (values, optional)) ->
      match found key with
      | None -> need optional "config %s is missing" key
      | Some value -> need (List.mem value values) "config %s has a value that is not supported" key)
    required;
  let size (key, (least, most)) =
    let value =
      match (key, found key) with
      | "d_vocab_out", None -> found "d_vocab"
      | "d_vocab_out", Some (Json.Int z) when Z.equal z Z.minus_one -> found "d_vocab"
      | _, value -> value
    in
    match value with
    | Some (Json.Int z) when Z.leq (Z.of_int least) z && Z.leq z (Z.of_int most) -> (key, Z.to_int z)
    | _ -> malformed "config %s is no integer from %d to %d" key least most
  in
  let sizes = List.map size ranges in
  check_scale (List.assoc "d_head" sizes) (found "attn_scale");
  sizes

let shapes sizes =
  let n key = List.assoc key sizes in
  let d = n "d_model" and h = n "d_head" in
  [
    ("embed.W_E", [ n "d_vocab"; d ]); ("pos_embed.W_pos", [ n "n_ctx"; d ]); ("blocks.0.attn.W_Q", [ 1; d; h ]);
    ("blocks.0.attn.W_K", [ 1; d; h ]); ("blocks.0.attn.W_V", [ 1; d; h ]); ("blocks.0.attn.W_O", [ 1; h; d ]);
    ("blocks.0.attn.b_Q", [ 1; h ]); ("blocks.0.attn.b_K", [ 1; h ]); ("blocks.0.attn.b_V", [ 1; h ]); ("blocks.0.attn.b_O", [ d ]);
    ("unembed.W_U", [ d; n "d_vocab_out" ]); ("unembed.b_U", [ n "d_vocab_out" ]);
  ]

let is_mask n (t : Container.tensor) =
  let row i = String.make (i + 1) '\001' ^ String.make (n - i - 1) '\000' in
  t.dtype = "BOOL" && t.shape = [ n; n ] && Container.bytes t = String.concat "" (List.init n row)

let is_minus_infinity (t : Container.tensor) =
  let patterns = [ ("F32", "\x00\x00\x80\xff"); ("F64", "\x00\x00\x00\x00\x00\x00\xf0\xff"); ("F16", "\x00\xfc"); ("BF16", "\x80\xff") ] in
  Container.count t = 1 && List.assoc_opt t.dtype patterns = Some (Container.bytes t)

let parse (file : Container.file) =
  List.iter (fun (key, _) -> need (List.mem key [ "config"; "task"; "format" ]) "unknown metadata %s" key) file.metadata;
  Option.iter (fun task -> ignore (Json.parse task)) (List.assoc_opt "task" file.metadata);
  let config = match List.assoc_opt "config" file.metadata with Some text -> text | None -> malformed "metadata has no config: not a model file" in
  let sizes = sizes_of (Json.members "the configuration" (Json.parse config)) in
  let shapes = shapes sizes in
  let is_weight (name, (tensor : Container.tensor)) =
    match name with
    | "blocks.0.attn.mask" -> need (is_mask (List.assoc "n_ctx" sizes) tensor) "buffer %s is not the causal mask" name; false
    | "blocks.0.attn.IGNORE" -> need (is_minus_infinity tensor) "buffer %s is not -infinity" name; false
    | _ ->
        need (List.assoc_opt name shapes = Some tensor.shape) "tensor %s is unknown, or has another shape" name;
        need (List.mem tensor.dtype [ "F16"; "BF16"; "F32"; "F64" ]) "tensor %s has dtype %s" name tensor.dtype;
        true
  in
  let weights = List.filter is_weight file.tensors in
  let bias name = String.length name > 2 && String.sub name (String.rindex name '.' + 1) 1 = "b" in
  List.iter (fun (name, _) -> need (bias name || List.mem_assoc name weights) "tensor %s is missing" name) shapes;
  { sizes; weights }

let digest model =
  let block text = let length = Bytes.create 8 in Bytes.set_int64_le length 0 (Int64.of_int (String.length text)); Bytes.to_string length ^ text in
  let number n = Json.Int (Z.of_int n) in
  let sizes = ("architecture", Json.String "attention-only") :: List.map (fun (key, n) -> (key, number n)) model.sizes in
  let weight (name, (t : Container.tensor)) =
    [ block (Json.spelled (List [ String name; String t.dtype; List (List.map number t.shape) ])); block (Container.bytes t) ]
  in
  let sorted = List.sort (fun (a, _) (b, _) -> String.compare a b) model.weights in
  Sha256.digest (String.concat "" (block "compact-proof-model-1" :: block (Json.spelled (Object sizes)) :: List.concat_map weight sorted))

(* A number e, at least some number, such that all weights are z 2^-e for integers z. What is counted is 0 if it is too small. *)
let scale least model =
  let needed fraction exponent bits =
    let field = Z.to_int (Z.extract bits fraction exponent) in
    need (field < (1 lsl exponent) - 1) "a weight is not finite";
    let mantissa = Z.add (Z.extract bits 0 fraction) (if field > 0 then Z.shift_left Z.one fraction else Z.zero) in
    if Z.equal mantissa Z.zero then least else (1 lsl (exponent - 1)) - 1 + fraction - max field 1 - Z.trailing_zeros mantissa
  in
  let of_tensor e (_, tensor) =
    let fraction, exponent = Container.format tensor and bits = Container.bits tensor in
    List.fold_left (fun e i -> max e (needed fraction exponent (bits i))) e (List.init (Container.count tensor) Fun.id)
  in
  List.fold_left of_tensor least model.weights

(* A tensor as the extracted functions take it; biases that are absent are zero. *)
let tensor model name =
  match List.assoc_opt name model.weights with
  | None -> { Counts.fraction_bits = Z.of_int 23; exponent_bits = Z.of_int 8; rows = 0; columns = 0; bits = (fun _ _ -> Z.zero) }
  | Some tensor ->
      let fraction, exponent = Container.format tensor and bits = Container.bits tensor in
      let columns = List.nth tensor.shape (List.length tensor.shape - 1) in
      let rows = Container.count tensor / max columns 1 in
      { Counts.fraction_bits = Z.of_int fraction; exponent_bits = Z.of_int exponent; rows; columns; bits = (fun i j -> bits ((i * columns) + j)) }
