"""Which networks have a meaning here: their configuration keys, sizes and weights. FORMAT.md says what they compute."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar, TypeAlias

from certificates.errors import FormatError

Values: TypeAlias = dict[str, tuple[Any, Any]]
"""Configuration keys that change what a model computes: the one value that is implemented, and what an absent key means."""

_TRANSFORMER: Values = {  # absent keys: TransformerLens' defaults
    "attention_dir": ("causal", "causal"),
    "attn_types": (None, None),
    "attn_scores_soft_cap": (-1, -1),
    "experts_per_token": (None, None),
    "load_in_4bit": (False, False),
    "n_key_value_heads": (None, None),
    "n_layers": (1, None),
    "normalization_type": (None, "LN"),
    "num_experts": (None, None),
    "output_logits_soft_cap": (-1, -1),
    "parallel_attn_mlp": (False, False),
    "positional_embedding_type": ("standard", "standard"),
    "post_embedding_ln": (False, False),
    "relative_attention_max_distance": (None, None),
    "relative_attention_num_buckets": (None, None),
    "scale_attn_by_inverse_layer_idx": (False, False),
    "use_attn_scale": (True, True),
    "use_local_attn": (False, False),
    "use_normalization_before_and_after": (False, False),
    "use_qk_norm": (False, False),
    "window_size": (None, None),
}

# fmt: off
_WITHOUT_INFLUENCE = frozenset({
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
_VOCAB, _WIDTH = (2, 2048), (1, 2**20)


@dataclass(frozen=True)
class AttentionOnly:
    """A one-layer, one-head transformer without MLP or normalisation, read at the last of n_ctx positions."""

    architecture: ClassVar[str] = "attention-only"
    described: ClassVar[str] = "attention-only transformer"
    ranges: ClassVar[Mapping[str, tuple[int, int]]] = {
        "d_head": _WIDTH,
        "d_model": _WIDTH,
        "d_vocab": _VOCAB,
        "d_vocab_out": _VOCAB,
        "n_ctx": (2, 64),
    }
    required: ClassVar[Values] = _TRANSFORMER | {"attn_only": (True, False), "n_heads": (1, None)}
    ignored: ClassVar[frozenset[str]] = _WITHOUT_INFLUENCE | {"act_fn", "d_mlp", "gated_mlp"}
    unused: ClassVar[frozenset[str]] = frozenset()

    d_head: int
    d_model: int
    d_vocab: int
    d_vocab_out: int
    n_ctx: int

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every tensor that carries meaning."""
        d, h = self.d_model, self.d_head
        return {
            "embed.W_E": (self.d_vocab, d),
            "pos_embed.W_pos": (self.n_ctx, d),
            "blocks.0.attn.W_Q": (1, d, h),
            "blocks.0.attn.W_K": (1, d, h),
            "blocks.0.attn.W_V": (1, d, h),
            "blocks.0.attn.W_O": (1, h, d),
            "blocks.0.attn.b_Q": (1, h),
            "blocks.0.attn.b_K": (1, h),
            "blocks.0.attn.b_V": (1, h),
            "blocks.0.attn.b_O": (d,),
            "unembed.W_U": (d, self.d_vocab_out),
            "unembed.b_U": (self.d_vocab_out,),
        }


@dataclass(frozen=True)
class UniformAttention:
    """A one-layer transformer with a ReLU MLP, whose last position attends to all n_ctx positions equally ("pizza").

    Inputs are a, b and the token "=", which is the last one. Query and key weights may be in the file: they mean nothing.
    """

    architecture: ClassVar[str] = "uniform-attention"
    described: ClassVar[str] = "one-layer transformer with uniform attention and a ReLU MLP"
    ranges: ClassVar[Mapping[str, tuple[int, int]]] = {
        "d_head": _WIDTH,
        "d_mlp": _WIDTH,
        "d_model": _WIDTH,
        "d_vocab": (3, 2049),
        "d_vocab_out": (2, 2049),
        "n_ctx": (3, 3),
        "n_heads": (1, 1024),
    }
    required: ClassVar[Values] = _TRANSFORMER | {
        "act_fn": ("relu", None),
        "attention_pattern": ("uniform", None),
        "attn_only": (False, False),
        "gated_mlp": (False, False),
    }
    ignored: ClassVar[frozenset[str]] = _WITHOUT_INFLUENCE
    unused: ClassVar[frozenset[str]] = frozenset({"blocks.0.attn.W_Q", "blocks.0.attn.W_K"})

    d_head: int
    d_mlp: int
    d_model: int
    d_vocab: int
    d_vocab_out: int
    n_ctx: int
    n_heads: int

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every tensor that carries meaning, or could."""
        d, head, heads = self.d_model, self.d_head, self.n_heads
        inner = {f"blocks.0.attn.W_{name}": (heads, d, head) for name in "QKV"}
        biases = {f"blocks.0.attn.b_{name}": (heads, head) for name in "QKV"}
        return {
            "embed.W_E": (self.d_vocab, d),
            "pos_embed.W_pos": (self.n_ctx, d),
            **inner,
            "blocks.0.attn.W_O": (heads, head, d),
            **biases,
            "blocks.0.attn.b_O": (d,),
            "blocks.0.mlp.W_in": (d, self.d_mlp),
            "blocks.0.mlp.b_in": (self.d_mlp,),
            "blocks.0.mlp.W_out": (self.d_mlp, d),
            "blocks.0.mlp.b_out": (d,),
            "unembed.W_U": (d, self.d_vocab_out),
            "unembed.b_U": (self.d_vocab_out,),
        }


@dataclass(frozen=True)
class GroupMLP:
    """One hidden layer on two inputs: logits(a, b) = relu(W_L[a] + W_R[b] + b_in) W_U + b_U."""

    architecture: ClassVar[str] = "group-mlp"
    described: ClassVar[str] = "network with one hidden layer"
    ranges: ClassVar[Mapping[str, tuple[int, int]]] = {"d_mlp": _WIDTH, "d_vocab": _VOCAB, "d_vocab_out": _VOCAB}
    required: ClassVar[Values] = {"act_fn": ("relu", "relu")}
    ignored: ClassVar[frozenset[str]] = _WITHOUT_INFLUENCE
    unused: ClassVar[frozenset[str]] = frozenset()

    d_mlp: int
    d_vocab: int
    d_vocab_out: int

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every tensor that carries meaning."""
        return {
            "embed_left.W_E": (self.d_vocab, self.d_mlp),
            "embed_right.W_E": (self.d_vocab, self.d_mlp),
            "mlp.b_in": (self.d_mlp,),
            "unembed.W_U": (self.d_mlp, self.d_vocab_out),
            "unembed.b_U": (self.d_vocab_out,),
        }


ModelConfig: TypeAlias = AttentionOnly | UniformAttention | GroupMLP
_ARCHITECTURES: tuple[type[ModelConfig], ...] = (AttentionOnly, UniformAttention, GroupMLP)


def _size(config: Mapping[str, Any], key: str, least: int, most: int) -> int:
    value = config.get(key)
    if type(value) is not int or not least <= value <= most:
        raise FormatError(f"config {key} must be an integer from {least} to {most}, found {value!r}")
    return value


def _architecture(config: Mapping[str, Any]) -> type[ModelConfig]:
    name = config.get("architecture", "uniform-attention" if "attention_pattern" in config else "attention-only")
    for architecture in _ARCHITECTURES:
        if name == architecture.architecture:
            return architecture
    known = ", ".join(architecture.architecture for architecture in _ARCHITECTURES)
    raise FormatError(f"config architecture={name!r} is not supported: there are {known}")


def parse_config(config: dict[str, Any]) -> ModelConfig:
    """Check a configuration with TransformerLens' keys (decimals as Fractions) and keep its sizes.

    Raises FormatError naming the key when the configuration is one whose meaning is not implemented.
    """
    architecture = _architecture(config)
    free = {"architecture", "attn_scale", *architecture.ranges, *architecture.ignored}
    for key, value in config.items():
        if key in architecture.required:
            wanted = architecture.required[key][0]
            if value != wanted or isinstance(value, bool) != isinstance(wanted, bool):
                raise FormatError(f"config {key}={value!r} is not supported: only {wanted!r} is")
        elif key not in free:
            raise FormatError(f"config key {key!r} is unknown; remove it if it has no influence on the model")
    for key, (wanted, default) in architecture.required.items():
        if key not in config and default != wanted:
            raise FormatError(f"config key {key!r} is missing and must be {wanted!r}")
    if config.get("d_vocab_out", -1) == -1:
        config = {**config, "d_vocab_out": config.get("d_vocab")}
    sizes = architecture(**{key: _size(config, key, *limits) for key, limits in architecture.ranges.items()})
    given = config.get("attn_scale", -1)
    if isinstance(given, bool) or not isinstance(given, int | Fraction):
        raise FormatError(f"config attn_scale={given!r} is not a number")
    scale = Fraction(given)
    if not isinstance(sizes, AttentionOnly) or scale == -1:
        return sizes
    if scale <= 0 or abs(scale * scale / sizes.d_head - 1) > Fraction(1, 10**6):
        raise FormatError("config attn_scale must be sqrt(d_head); it is recomputed exactly")
    return sizes
