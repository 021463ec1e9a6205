"""TransformerLens 3 and 4 in the keys and names of TransformerLens 2, as far as the function is the same.

Version 3 has new keys, and empty causal masks. Version 4 has no HookedTransformer: `TransformerBridge.boot_native` makes models
whose tensors are those of torch.nn.Linear and torch.nn.Embedding.
"""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from certificates import FormatError
from certificates.configuration import size
from prover.transformer.names import read_by_heads, written_by_heads

Config = dict[str, Any]

NATIVE = "TransformerLensNative"
"""What version 4 says of its own architecture, under the key that this project uses for something else."""
_NEUTRAL: Mapping[str, tuple[Any, ...]] = {  # values with which newer keys change nothing
    "clip_qkv": (None,),
    "layer_norm_folding": (False,),
    "mm_tokens_per_image": (None,),
    "per_layer_head_dim": (None,),
    "per_layer_num_key_value_heads": (None,),
    "qk_norm_after_rope": (False,),
    "quantization_method": (None,),
    "rmsnorm_uses_offset": (False,),
    "rotary_interleaved_cos_sin": (False,),
    "rotary_scaling_factor": (1,),
    "rope_scaling": (None,),
    "scale_embedding": (None, False),
    "use_attention_sinks": (False,),
    "use_dynamic_ntk_rope": (False,),
    "use_logn_attn": (False,),
    "use_yarn_rope": (False,),
}
_IGNORED = {
    *("attn_implementation", "default_padding_side", "is_audio_model", "is_multimodal", "is_stateful", "is_visual_model"),
    *("split_attention_weights", "tokenizer_appends_eos", "train_seq_length", "vision_hidden_size", "vision_num_heads"),
    *("vision_num_layers", "yarn_attention_factor", "yarn_beta_fast", "yarn_beta_slow", "yarn_factor", "yarn_global_attn_only"),
    *("yarn_original_max_position_embeddings", "yarn_truncate"),
}
_WHOLE = {"embed.weight": "embed.W_E", "pos_embed.weight": "pos_embed.W_pos", "unembed.bias": "unembed.b_U"}
_NORM = re.compile(r"((?:blocks\.\d+\.)?(?:ln1|ln2|ln_final|attn\.[qk]_norm))\.(w|b)(?:eight|ias)")
_LINEAR = re.compile(r"(blocks\.\d+\.(?:attn|mlp))\.(q|k|v|o|in|out|gate)\.(weight|bias)")


def as_before(config: Config, state: Mapping[str, Tensor]) -> tuple[Config, dict[str, Tensor]]:
    """Keys and tensors as version 2 has them. Raises FormatError naming a newer key whose meaning is not implemented."""
    rms = str(config.get("normalization_type")).startswith("RMS")
    neutral = {**_NEUTRAL, "uses_rms_norm": (False, True) if rms else (False,)}
    if config.get("final_rms") and config.get("normalization_type") is not None and not rms:
        raise FormatError("config final_rms=True is not supported where other norms are not RMS")
    for key, value in config.items():
        if key in neutral and value not in neutral[key]:
            raise FormatError(f"config {key}={value!r} is not supported: it is {' or '.join(map(repr, neutral[key]))}")
    kept = {key: value for key, value in config.items() if key not in neutral and key not in _IGNORED}
    if kept.get("architecture") == NATIVE:
        kept = _native(kept)
    tensors = {name: tensor for name, tensor in state.items() if not (name.endswith(".attn.mask") and not tensor.numel())}
    if "embed.weight" in tensors:
        tensors = dict(_renamed(name, tensor, size(config, "d_head", 1, 512)) for name, tensor in tensors.items())
    return kept, tensors


def _native(config: Config) -> Config:
    """What version 4 does itself, whatever its configuration says: adjacent pairs are rotated, scores are always scaled."""
    if config.get("use_qk_norm"):
        raise FormatError(f"config use_qk_norm=True is not supported for {NATIVE}")
    scaled = config.get("use_attn_scale", True) and config.get("attn_scale", -1) > 0
    own = {"attn_scale": config["attn_scale"] if scaled else -1, "use_attn_scale": True}
    if config.get("positional_embedding_type") == "rotary":
        own["rotary_adjacent_pairs"] = True
    return {key: value for key, value in config.items() if key != "architecture"} | own


def _renamed(name: str, tensor: Tensor, d_head: int) -> tuple[str, Tensor]:
    """A tensor of version 4: x @ W, where torch.nn.Linear has W @ x; heads on an axis of their own."""
    if name in _WHOLE:
        return _WHOLE[name], tensor
    if name == "unembed.weight":
        return "unembed.W_U", tensor.T
    if norm := _NORM.fullmatch(name):
        return f"{norm[1]}.{norm[2]}", tensor
    linear = _LINEAR.fullmatch(name)
    whole = linear is not None and tensor.ndim == 1 + (linear[3] == "weight")
    if whole and linear[2] in "qkvo":  # the axis of heads is a multiple of d_head, but for the bias that is added to all
        heads = tensor.shape[-1 if linear[2] == "o" else 0]
        whole = heads % d_head == 0 or (linear[2] == "o" and linear[3] == "bias")
    if linear is None or not whole:
        raise FormatError(f"tensor {name!r}, of shape {list(tensor.shape)}, is not one of TransformerLens that is implemented")
    owner, part, weight = linear[1], linear[2], linear[3] == "weight"
    letter = part.upper() if owner.endswith("attn") else part
    new = f"{owner}.{'W' if weight else 'b'}_{letter}"
    if part in ("q", "k", "v"):
        return new, read_by_heads(tensor, d_head)
    if part == "o":
        return new, written_by_heads(tensor, d_head)
    return new, tensor.T if weight else tensor
