(* Keys of TransformerLens in configurations: FORMAT.md 2.1. *)
open Refused

let minus_one = Json.[ Int Z.minus_one; Decimal Q.minus_one ]
let none = [ "attn_types"; "experts_per_token"; "num_experts"; "relative_attention_max_distance";
  "relative_attention_num_buckets"; "window_size" ]
let no =
  [ "load_in_4bit"; "parallel_attn_mlp"; "post_embedding_ln"; "scale_attn_by_inverse_layer_idx"; "use_local_attn";
    "use_normalization_before_and_after" ]

(* With one supported value in every architecture that has attention; and whether the key may be absent. *)
let always =
  [ ("attn_scores_soft_cap", (minus_one, true)); ("output_logits_soft_cap", (minus_one, true)) ]
  @ List.map (fun key -> (key, ([ Json.Null ], true))) none
  @ List.map (fun key -> (key, ([ Json.Bool false ], true))) no

(* With one supported value where there is one layer only. *)
let one_layer =
  Json.
    [
      ("n_layers", ([ Int Z.one; Decimal Q.one ], false)); ("normalization_type", ([ Null ], false));
      ("attention_dir", ([ String "causal" ], true)); ("positional_embedding_type", ([ String "standard" ], true));
      ("use_attn_scale", ([ Bool true ], true)); ("n_key_value_heads", ([ Null ], true));
        ("use_qk_norm", ([ Bool false ], true));
    ]
  @ always

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

(* Those that are there are known, and have a supported value. *)
let check config required free =
  List.iter (fun (key, _) -> need (List.mem_assoc key required || List.mem key free) "unknown config key %s" key) config;
  List.iter
    (fun (key, (values, optional)) ->
      match List.assoc_opt key config with
      | None -> need optional "config %s is missing" key
      | Some value -> need (List.mem value values) "config %s has a value that is not supported" key)
    required

(* A size, which is an integer. *)
let size key (least, most) = function
  | Some (Json.Int z) when Z.leq (Z.of_int least) z && Z.leq z (Z.of_int most) -> Z.to_int z
  | _ -> malformed "config %s is no integer from %d to %d" key least most
