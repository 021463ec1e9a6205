"""Model files: TransformerLens tensor names in a safetensors container, with the configuration in its metadata.

This module decides which configurations and tensors carry meaning, and binds them in a digest. What the model computes
(its semantics) is the checker's business.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from certificates.canonical_json import Json, dumps, loads_config, loads_relaxed
from certificates.errors import FormatError
from certificates.tensor_file import RawTensor, read_tensor_file, serialize_tensor_file, write_atomically

SIZE_KEYS = ("d_head", "d_model", "d_vocab", "d_vocab_out", "n_ctx")
"""Configuration keys that must be present (d_vocab_out defaults to d_vocab) and fix the tensors' shapes."""

REQUIRED_VALUES: Mapping[str, tuple[Any, Any]] = {
    # key: (the only supported value, TransformerLens' value when the key is absent)
    "architecture": ("attention-only", "attention-only"),
    "attention_dir": ("causal", "causal"),
    "attn_only": (True, False),
    "attn_types": (None, None),
    "attn_scores_soft_cap": (-1, -1),
    "experts_per_token": (None, None),
    "load_in_4bit": (False, False),
    "n_heads": (1, None),
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
"""Keys that change what the model computes, with the one value whose meaning this version implements."""

# fmt: off
IGNORED_KEYS = frozenset({
    "NTK_by_parts_factor", "NTK_by_parts_high_freq_factor", "NTK_by_parts_low_freq_factor", "NTK_original_ctx_len",
    "act_fn", "checkpoint_index", "checkpoint_label_type", "checkpoint_value", "d_mlp", "decoder_start_token_id",
    "default_prepend_bos", "device", "dtype", "eps", "final_rms", "from_checkpoint", "gated_mlp", "init_mode",
    "init_weights", "initializer_range", "model_name", "n_devices", "n_params", "norm_topk_prob",
    "original_architecture", "rotary_adjacent_pairs", "rotary_base", "rotary_base_local", "rotary_dim", "seed",
    "tie_word_embeddings", "tokenizer_name", "tokenizer_prepends_bos", "trust_remote_code",
    "ungroup_grouped_query_attention", "use_NTK_by_parts_rope", "use_attn_in", "use_attn_result", "use_hook_mlp_in",
    "use_hook_tokens", "use_split_qkv_input",
})
# fmt: on
"""Keys without influence on a one-layer, attention-only, unnormalised model with standard positions."""

_MASK, _IGNORE = "blocks.0.attn.mask", "blocks.0.attn.IGNORE"
_MAX_VOCAB, _MAX_CTX = 2048, 64


@dataclass(frozen=True)
class ModelConfig:
    """The sizes of a one-layer, one-head, attention-only transformer."""

    d_head: int
    d_model: int
    d_vocab: int
    d_vocab_out: int
    n_ctx: int

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every tensor that carries meaning; biases may be absent, which means zero."""
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
class Model:
    """A model file's content: sizes, raw weights by TransformerLens name, and the task it says it was trained for."""

    config: ModelConfig
    tensors: Mapping[str, RawTensor]
    task: Json

    def digest(self) -> str:
        """SHA-256 (hex) over the meaningful configuration and the contents of every weight tensor (FORMAT.md)."""
        sha = hashlib.sha256()

        def absorb(data: bytes) -> None:
            sha.update(len(data).to_bytes(8, "little"))
            sha.update(data)

        absorb(b"compact-proof-model-1")
        absorb(dumps({"architecture": "attention-only", **vars(self.config)}).encode())
        for name in sorted(self.tensors):
            tensor = self.tensors[name]
            absorb(dumps([name, tensor.dtype, list(tensor.shape)]).encode())
            absorb(tensor.data)
        return sha.hexdigest()


def _size(config: Mapping[str, Any], key: str, least: int, most: int) -> int:
    value = config.get(key)
    if type(value) is not int or not least <= value <= most:
        raise FormatError(f"config {key} must be an integer from {least} to {most}, found {value!r}")
    return value


def parse_config(config: dict[str, Any]) -> ModelConfig:
    """Check a TransformerLens configuration (decimals as Fractions) and keep its sizes.

    Raises FormatError naming the key when the configuration is one whose meaning is not implemented.
    """
    for key, value in config.items():
        if key in REQUIRED_VALUES:
            wanted = REQUIRED_VALUES[key][0]
            if value != wanted or isinstance(value, bool) != isinstance(wanted, bool):
                raise FormatError(f"config {key}={value!r} is not supported: only {wanted!r} is")
        elif key not in SIZE_KEYS and key not in IGNORED_KEYS and key != "attn_scale":
            raise FormatError(f"config key {key!r} is unknown; remove it if it has no influence on the model")
    for key, (wanted, default) in REQUIRED_VALUES.items():
        if key not in config and default != wanted:
            raise FormatError(f"config key {key!r} is missing and must be {wanted!r}")
    d_vocab = _size(config, "d_vocab", 2, _MAX_VOCAB)
    if config.get("d_vocab_out", -1) == -1:
        config = {**config, "d_vocab_out": d_vocab}
    sizes = ModelConfig(
        d_head=_size(config, "d_head", 1, 2**20),
        d_model=_size(config, "d_model", 1, 2**20),
        d_vocab=d_vocab,
        d_vocab_out=_size(config, "d_vocab_out", 2, _MAX_VOCAB),
        n_ctx=_size(config, "n_ctx", 2, _MAX_CTX),
    )
    given = config.get("attn_scale", -1)
    if isinstance(given, bool) or not isinstance(given, int | Fraction):
        raise FormatError(f"config attn_scale={given!r} is not a number")
    scale = Fraction(given)
    if scale != -1 and (scale <= 0 or abs(scale * scale / sizes.d_head - 1) > Fraction(1, 10**6)):
        raise FormatError("config attn_scale must be sqrt(d_head); it is recomputed exactly")
    return sizes


def _is_causal_mask(tensor: RawTensor, n_ctx: int) -> bool:
    rows = b"".join(b"\x01" * (i + 1) + b"\x00" * (n_ctx - i - 1) for i in range(n_ctx))
    return tensor == RawTensor("BOOL", (n_ctx, n_ctx), rows)


def _is_minus_infinity(tensor: RawTensor) -> bool:
    patterns = {"F32": b"\x00\x00\x80\xff", "F64": b"\x00" * 6 + b"\xf0\xff", "F16": b"\x00\xfc", "BF16": b"\x80\xff"}
    return math.prod(tensor.shape) == 1 and tensor.data == patterns.get(tensor.dtype)


def build_model(config: dict[str, Any], tensors: Mapping[str, RawTensor], task: Json) -> Model:
    """Check names, shapes and buffers of a TransformerLens state dict against its configuration."""
    sizes = parse_config(config)
    weights: dict[str, RawTensor] = {}
    shapes = sizes.tensor_shapes()
    for name, tensor in tensors.items():
        if name == _MASK:
            if not _is_causal_mask(tensor, sizes.n_ctx):
                raise FormatError(f"buffer {name} is not the causal mask")
        elif name == _IGNORE:
            if not _is_minus_infinity(tensor):
                raise FormatError(f"buffer {name} is not -infinity")
        elif name not in shapes:
            raise FormatError(f"tensor {name!r} is unknown to a one-layer attention-only model")
        elif tensor.shape != shapes[name]:
            raise FormatError(f"tensor {name!r} has shape {list(tensor.shape)}, expected {list(shapes[name])}")
        elif tensor.dtype not in ("F16", "BF16", "F32", "F64"):
            raise FormatError(f"tensor {name!r} has dtype {tensor.dtype}; weights are F16, BF16, F32 or F64")
        else:
            weights[name] = tensor
    for name in shapes:
        if name not in weights and ".b_" not in name:
            raise FormatError(f"tensor {name!r} is missing")
    return Model(sizes, weights, task)


def read_model(path: Path) -> Model:
    """Read a model file. Raises FormatError with the reason if it is not one."""
    file = read_tensor_file(path)
    try:
        if "config" not in file.metadata:
            raise FormatError("metadata has no config: not a model file (see `prover import`)")
        unknown = set(file.metadata) - {"config", "task", "format"}
        if unknown:
            raise FormatError(f"unknown metadata {sorted(unknown)}")
        task = loads_relaxed(file.metadata["task"]) if "task" in file.metadata else None
        return build_model(loads_config(file.metadata["config"]), file.tensors, task)
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error


def write_model(path: Path, model: Model) -> None:
    """Write a model file atomically; `read_model` gives the same model, with the same digest."""
    sizes = vars(model.config)
    config = {
        **sizes,
        **{key: wanted for key, (wanted, default) in REQUIRED_VALUES.items() if wanted != default},
        "attention_dir": "causal",
    }
    metadata = {"config": dumps(config), "format": "pt"}
    if model.task is not None:
        metadata["task"] = dumps(model.task)
    write_atomically(path, serialize_tensor_file(metadata, model.tensors))
