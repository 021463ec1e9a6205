"""What configurations of all architectures share: keys of TransformerLens, and ranges of sizes."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from certificates.errors import FormatError

Values: TypeAlias = dict[str, tuple[Any, Any]]
"""Configuration keys that change what a model computes: the one value that is implemented, and what an absent key means."""

# fmt: off
_FALSE = (
    "load_in_4bit", "parallel_attn_mlp", "post_embedding_ln", "scale_attn_by_inverse_layer_idx", "use_local_attn",
    "use_normalization_before_and_after", "use_qk_norm",
)
_NONE = (
    "attn_types", "experts_per_token", "n_key_value_heads", "num_experts", "relative_attention_max_distance",
    "relative_attention_num_buckets", "window_size",
)
TRANSFORMER: Values = {  # absent keys: TransformerLens' defaults
    "attention_dir": ("causal", "causal"),
    "attn_scores_soft_cap": (-1, -1),
    "n_layers": (1, None),
    "normalization_type": (None, "LN"),
    "output_logits_soft_cap": (-1, -1),
    "positional_embedding_type": ("standard", "standard"),
    "use_attn_scale": (True, True),
    **dict.fromkeys(_FALSE, (False, False)),
    **dict.fromkeys(_NONE, (None, None)),
}
WITHOUT_INFLUENCE = frozenset({
    "NTK_by_parts_factor", "NTK_by_parts_high_freq_factor", "NTK_by_parts_low_freq_factor", "NTK_original_ctx_len",
    "checkpoint_index", "checkpoint_label_type", "checkpoint_value", "decoder_start_token_id",
    "default_prepend_bos", "device", "dtype", "eps", "final_rms", "from_checkpoint", "init_mode",
    "init_weights", "initializer_range", "model_name", "n_devices", "n_params", "norm_topk_prob",
    "original_architecture", "rotary_adjacent_pairs", "rotary_base", "rotary_base_local", "rotary_dim", "seed",
    "tie_word_embeddings", "tokenizer_name", "tokenizer_prepends_bos", "trust_remote_code",
    "ungroup_grouped_query_attention", "use_NTK_by_parts_rope", "use_attn_in", "use_attn_result", "use_hook_mlp_in",
    "use_hook_tokens", "use_split_qkv_input",
})
# fmt: on
VOCAB, WIDTH = (2, 2048), (1, 2**20)


def size(config: Mapping[str, Any], key: str, least: int, most: int) -> int:
    """A size in a configuration. Raises FormatError unless it is an integer within its range."""
    value = config.get(key)
    if type(value) is not int or not least <= value <= most:
        raise FormatError(f"config {key} must be an integer from {least} to {most}, found {value!r}")
    return value
