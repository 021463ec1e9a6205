(* Model files of the architectures attention-only, group-mlp and uniform-attention: FORMAT.md 2.1 to 2.3, and 2.5. *)
open Refused

type t = { architecture : string; sizes : (string * int) list; weights : (string * Container.tensor) list }

let size model name = List.assoc name model.sizes

(* Keys of TransformerLens with one supported value, and whether the key may be absent. *)
let transformer =
  let none = [ "attn_types"; "experts_per_token"; "n_key_value_heads"; "num_experts"; "relative_attention_max_distance"; "relative_attention_num_buckets"; "window_size" ] in
  let no = [ "load_in_4bit"; "parallel_attn_mlp"; "post_embedding_ln"; "scale_attn_by_inverse_layer_idx"; "use_local_attn"; "use_normalization_before_and_after"; "use_qk_norm" ] in
  Json.
    [
      ("n_layers", ([ Int Z.one; Decimal Q.one ], false)); ("normalization_type", ([ Null ], false));
      ("attention_dir", ([ String "causal" ], true)); ("positional_embedding_type", ([ String "standard" ], true));
      ("use_attn_scale", ([ Bool true ], true)); ("attn_scores_soft_cap", ([ Int Z.minus_one; Decimal Q.minus_one ], true));
      ("output_logits_soft_cap", ([ Int Z.minus_one; Decimal Q.minus_one ], true));
    ]
  @ List.map (fun key -> (key, ([ Json.Null ], true))) none
  @ List.map (fun key -> (key, ([ Json.Bool false ], true))) no

let without_influence =
  [
    "NTK_by_parts_factor"; "NTK_by_parts_high_freq_factor"; "NTK_by_parts_low_freq_factor"; "NTK_original_ctx_len";
    "checkpoint_index"; "checkpoint_label_type"; "checkpoint_value"; "decoder_start_token_id"; "default_prepend_bos";
    "device"; "dtype"; "eps"; "final_rms"; "from_checkpoint"; "init_mode"; "init_weights"; "initializer_range";
    "model_name"; "n_devices"; "n_params"; "norm_topk_prob"; "original_architecture"; "rotary_adjacent_pairs"; "rotary_base";
    "rotary_base_local"; "rotary_dim"; "seed"; "tie_word_embeddings"; "tokenizer_name"; "tokenizer_prepends_bos";
    "trust_remote_code"; "ungroup_grouped_query_attention"; "use_NTK_by_parts_rope"; "use_attn_in"; "use_attn_result";
    "use_hook_mlp_in"; "use_hook_tokens"; "use_split_qkv_input";
  ]

(* What a configuration may say of an architecture; shapes: of its tensors, from sizes. Of these, biases and those unused may be absent. *)
type architecture = {
  name : string;
  ranges : (string * (int * int)) list;
  required : (string * (Json.t list * bool)) list;
  ignored : string list;
  unused : string list;
  shapes : (string -> int) -> (string * int list) list;
}

let width = (1, 1 lsl 20)
let vocab = (2, 2048)

(* Of attention, with that many heads. *)
let attention n heads =
  let d = n "d_model" and h = n "d_head" and name = ( ^ ) "blocks.0.attn." in
  [
    ("embed.W_E", [ n "d_vocab"; d ]); ("pos_embed.W_pos", [ n "n_ctx"; d ]); (name "W_Q", [ heads; d; h ]); (name "W_K", [ heads; d; h ]);
    (name "W_V", [ heads; d; h ]); (name "W_O", [ heads; h; d ]); (name "b_Q", [ heads; h ]); (name "b_K", [ heads; h ]);
    (name "b_V", [ heads; h ]); (name "b_O", [ d ]); ("unembed.W_U", [ d; n "d_vocab_out" ]); ("unembed.b_U", [ n "d_vocab_out" ]);
  ]

let attention_only =
  {
    name = "attention-only";
    ranges = [ ("d_head", width); ("d_model", width); ("d_vocab", vocab); ("d_vocab_out", vocab); ("n_ctx", (2, 64)) ];
    required = (Json.[ ("attn_only", ([ Bool true ], false)); ("n_heads", ([ Int Z.one; Decimal Q.one ], false)) ]) @ transformer;
    ignored = [ "act_fn"; "d_mlp"; "gated_mlp" ] @ without_influence;
    unused = [];
    shapes = (fun n -> attention n 1);
  }

let uniform_attention =
  let with_equals = (3, 2049) in
  {
    name = "uniform-attention";
    ranges =
      [ ("d_head", width); ("d_mlp", width); ("d_model", width); ("d_vocab", with_equals); ("d_vocab_out", (2, 2049)); ("n_ctx", (3, 3)); ("n_heads", (1, 1024)) ];
    required =
      Json.
        [
          ("act_fn", ([ String "relu" ], false)); ("attention_pattern", ([ String "uniform" ], false)); ("attn_only", ([ Bool false ], true));
          ("gated_mlp", ([ Bool false ], true));
        ]
      @ transformer;
    ignored = without_influence;
    unused = [ "blocks.0.attn.W_Q"; "blocks.0.attn.W_K" ];
    shapes =
      (fun n ->
        let d = n "d_model" and m = n "d_mlp" in
        ("blocks.0.mlp.W_in", [ d; m ]) :: ("blocks.0.mlp.b_in", [ m ]) :: ("blocks.0.mlp.W_out", [ m; d ]) :: ("blocks.0.mlp.b_out", [ d ])
        :: attention n (n "n_heads"));
  }

let group_mlp =
  {
    name = "group-mlp";
    ranges = [ ("d_mlp", width); ("d_vocab", vocab); ("d_vocab_out", vocab) ];
    required = [ ("act_fn", ([ Json.String "relu" ], true)) ];
    ignored = without_influence;
    unused = [];
    shapes =
      (fun n ->
        let v = n "d_vocab" and m = n "d_mlp" and o = n "d_vocab_out" in
        [ ("embed_left.W_E", [ v; m ]); ("embed_right.W_E", [ v; m ]); ("mlp.b_in", [ m ]); ("unembed.W_U", [ m; o ]); ("unembed.b_U", [ o ]) ]);
  }

(* How many elements there are: the token "=" of uniform attention is none. *)
let elements model = size model "d_vocab" - if model.architecture = "uniform-attention" then 1 else 0

(* attn_scale: a number. For attention-only -1, or within a relative 5e-7 of sqrt (d_head), which is meant; the others have no scores. *)
let check_scale d_head = function
  | None -> ()
  | Some value ->
      let scale = match value with Json.Int z -> Q.of_bigint z | Json.Decimal q -> q | _ -> malformed "attn_scale is no number" in
      let near factor d = Q.mul (Q.mul factor factor) (Q.of_int d) and square = Q.mul scale scale in
      let off = Q.of_ints 5 10_000_000 in
      let within d = Q.leq (near (Q.sub Q.one off) d) square && Q.leq square (near (Q.add Q.one off) d) in
      Option.iter (fun d -> need (Q.equal scale Q.minus_one || (Q.sign scale > 0 && within d)) "attn_scale is not sqrt(d_head)") d_head

let architecture_of config =
  let default = if List.mem_assoc "attention_pattern" config then "uniform-attention" else "attention-only" in
  match Option.value (List.assoc_opt "architecture" config) ~default:(Json.String default) with
  | Json.String name -> (
      match List.find_opt (fun one -> one.name = name) [ attention_only; uniform_attention; group_mlp ] with
      | Some architecture -> architecture
      | None -> unsupported "architecture %s" name)
  | _ -> malformed "architecture is no string"

let sizes_of { ranges; required; ignored; name; _ } config =
  let found key = List.assoc_opt key config in
  List.iter
    (fun (key, _) ->
      let known = List.mem_assoc key ranges || List.mem_assoc key required || List.mem key ("architecture" :: "attn_scale" :: ignored) in
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
  check_scale (if name = "attention-only" then List.assoc_opt "d_head" sizes else None) (found "attn_scale");
  sizes

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
  let config = Json.members "the configuration" (Json.parse config) in
  let architecture = architecture_of config in
  let sizes = sizes_of architecture config in
  let shapes = architecture.shapes (fun key -> List.assoc key sizes) and positions = List.assoc_opt "n_ctx" sizes in
  let is_weight (name, (tensor : Container.tensor)) =
    match (name, positions) with
    | "blocks.0.attn.mask", Some n -> need (is_mask n tensor) "buffer %s is not the causal mask" name; false
    | "blocks.0.attn.IGNORE", Some _ -> need (is_minus_infinity tensor) "buffer %s is not -infinity" name; false
    | _ ->
        need (List.assoc_opt name shapes = Some tensor.shape) "tensor %s is unknown, or has another shape" name;
        need (List.mem tensor.dtype [ "F16"; "BF16"; "F32"; "F64" ]) "tensor %s has dtype %s" name tensor.dtype;
        true
  in
  let weights = List.filter is_weight file.tensors in
  let may_be_absent name = String.sub name (String.rindex name '.' + 1) 1 = "b" || List.mem name architecture.unused in
  List.iter (fun (name, _) -> need (may_be_absent name || List.mem_assoc name weights) "tensor %s is missing" name) shapes;
  { architecture = architecture.name; sizes; weights }

let digest model =
  let block text = let length = Bytes.create 8 in Bytes.set_int64_le length 0 (Int64.of_int (String.length text)); Bytes.to_string length ^ text in
  let number n = Json.Int (Z.of_int n) in
  let sizes = ("architecture", Json.String model.architecture) :: List.map (fun (key, n) -> (key, number n)) model.sizes in
  let weight (name, (t : Container.tensor)) =
    [ block (Json.spelled (List [ String name; String t.dtype; List (List.map number t.shape) ])); block (Container.bytes t) ]
  in
  let sorted = List.sort (fun (a, _) (b, _) -> String.compare a b) model.weights in
  Sha256.digest (String.concat "" (block "compact-proof-model-1" :: block (Json.spelled (Object sizes)) :: List.concat_map weight sorted))

(* A number e, at least some number, such that the weights of these names are z 2^-e for integers z. What is counted is 0 if it is
   too small. *)
let scale_of model least names =
  let needed fraction exponent bits =
    let field = Z.to_int (Z.extract bits fraction exponent) in
    need (field < (1 lsl exponent) - 1) "a weight is not finite";
    let mantissa = Z.add (Z.extract bits 0 fraction) (if field > 0 then Z.shift_left Z.one fraction else Z.zero) in
    if Z.equal mantissa Z.zero then least else (1 lsl (exponent - 1)) - 1 + fraction - max field 1 - Z.trailing_zeros mantissa
  in
  let of_tensor e (name, tensor) =
    if not (List.mem name names) then e
    else
      let fraction, exponent = Container.format tensor and bits = Container.bits tensor in
      List.fold_left (fun e i -> max e (needed fraction exponent (bits i))) e (List.init (Container.count tensor) Fun.id)
  in
  List.fold_left of_tensor least model.weights

let scale least model = scale_of model least (List.map fst model.weights)

(* A tensor as the extracted functions take it; biases that are absent are zero. *)
let tensor model name =
  match List.assoc_opt name model.weights with
  | None -> { Counts.fraction_bits = Z.of_int 23; exponent_bits = Z.of_int 8; rows = 0; columns = 0; bits = (fun _ _ -> Z.zero) }
  | Some tensor ->
      let fraction, exponent = Container.format tensor and bits = Container.bits tensor in
      let columns = List.nth tensor.shape (List.length tensor.shape - 1) in
      let rows = Container.count tensor / max columns 1 in
      { Counts.fraction_bits = Z.of_int fraction; exponent_bits = Z.of_int exponent; rows; columns; bits = (fun i j -> bits ((i * columns) + j)) }
