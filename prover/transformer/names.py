"""State dicts of other libraries in the names and keys of model files (certificates/FORMAT.md, 2.6)."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from certificates import FormatError
from certificates.configuration import size

State = Mapping[str, Tensor]
Config = dict[str, Any]

_MEANING = {
    "hidden_size": "d_model",
    "intermediate_size": "d_mlp",
    "max_position_embeddings": "n_ctx",
    "num_attention_heads": "n_heads",
    "num_hidden_layers": "n_layers",
    "num_key_value_heads": "n_key_value_heads",
    "vocab_size": "d_vocab",
}
_ONLY: Mapping[str, tuple[Any, ...]] = {  # keys of which only these values are implemented
    "attention_bias": (False, True),  # the tensors tell
    "layer_types": (None,),
    "mlp_bias": (False, True),
    "model_type": ("llama", "mistral", "qwen2", "qwen3"),
    "pretraining_tp": (1,),
    "rope_scaling": (None,),
    "use_sliding_window": (False,),
}
_OWN = {"head_dim", "hidden_act", "partial_rotary_factor", "rms_norm_eps", "rope_parameters", "rope_theta", "sliding_window"}
_IGNORED = {
    *("_name_or_path", "architectures", "attention_dropout", "bos_token_id", "dtype", "eos_token_id", "initializer_range"),
    *("max_window_layers", "pad_token_id", "tie_word_embeddings", "torch_dtype", "transformers_version", "use_cache"),
}
_ACTIVATIONS = {"gelu": "gelu", "gelu_new": "gelu_new", "gelu_pytorch_tanh": "gelu_new", "relu": "relu", "silu": "silu"}
_NORMS = {"input_layernorm": "ln1", "post_attention_layernorm": "ln2", "self_attn.q_norm": "attn.q_norm"}
_NORMS |= {"self_attn.k_norm": "attn.k_norm"}
_MLP = {"gate_proj.weight": "W_gate", "up_proj.weight": "W_in", "down_proj.weight": "W_out", "down_proj.bias": "b_out"}


def from_hugging_face(config: Config, state: State) -> tuple[Config, dict[str, Tensor]]:
    """A Llama, Mistral, Qwen2 or Qwen3 model in TransformerLens' keys and names.

    Raises FormatError naming the key or tensor whose meaning is not implemented.
    """
    if set(config.get("layer_types") or ()) == {"full_attention"}:
        config = {**config, "layer_types": None}
    for key, value in config.items():
        if key in _ONLY and value not in _ONLY[key]:
            raise FormatError(f"config {key}={value!r} is not supported: it is one of {', '.join(map(repr, _ONLY[key]))}")
        if key not in {*_MEANING, *_ONLY, *_OWN, *_IGNORED}:
            raise FormatError(f"config key {key!r} is unknown; remove it if it has no influence on the model")
    if config.get("sliding_window") is not None and config.get("use_sliding_window", True):
        raise FormatError(f"config sliding_window={config['sliding_window']!r} is not supported: only null is")
    rope = config.get("rope_parameters") or {"rope_theta": config.get("rope_theta", 10000)}
    if rope.get("rope_type", "default") != "default" or set(rope) - {"rope_theta", "rope_type", "partial_rotary_factor"}:
        raise FormatError(f"config rope_parameters={rope!r} is not supported: only the default type is")
    act = config.get("hidden_act", "silu")
    if act not in _ACTIVATIONS:
        raise FormatError(f"config hidden_act={act!r} is not supported: it is one of {', '.join(_ACTIVATIONS)}")
    missing = [key for key in ("hidden_size", "num_attention_heads", "vocab_size") if type(config.get(key)) is not int]
    if missing:
        raise FormatError(f"config key {missing[0]!r} is missing, or not an integer")
    heads = config["num_attention_heads"]
    head = config.get("head_dim") or config["hidden_size"] // max(heads, 1)
    turned = head * config.get("partial_rotary_factor", rope.get("partial_rotary_factor", 1))
    tied = bool(config.get("tie_word_embeddings", "lm_head.weight" not in state))
    if tied and "lm_head.weight" in state and not torch.equal(state["lm_head.weight"], state["model.embed_tokens.weight"]):
        raise FormatError("tie_word_embeddings is true, but lm_head.weight differs from model.embed_tokens.weight")
    named = {new: config[key] for key, new in _MEANING.items() if key in config} | {
        "act_fn": _ACTIVATIONS[act],
        "architecture": "transformer",
        "d_head": head,
        "eps": config.get("rms_norm_eps", "1/1000000"),
        "gated_mlp": True,
        "normalization_type": "RMS",
        "positional_embedding_type": "rotary",
        "rotary_base": rope["rope_theta"],
        "rotary_dim": int(turned) if turned == int(turned) else turned,
        "tie_word_embeddings": tied,
        "use_qk_norm": any(name.endswith("q_norm.weight") for name in state),
    }
    kept = {name: tensor for name, tensor in state.items() if not (tied and name == "lm_head.weight")}
    return named, dict(_renamed(name, tensor, head) for name, tensor in kept.items())


def read_by_heads(tensor: Tensor, d_head: int) -> Tensor:
    """W_Q, W_K or W_V "h d e" of a torch.nn.Linear's weight, or the bias "h e" of its bias."""
    heads = tensor.reshape(-1, d_head, *tensor.shape[1:])
    return heads.transpose(1, 2) if heads.ndim == 3 else heads


def written_by_heads(tensor: Tensor, d_head: int) -> Tensor:
    """W_O "h e d" of a torch.nn.Linear's weight; its bias, which is added for all heads at once, as it is."""
    return tensor.T.reshape(-1, d_head, tensor.shape[0]) if tensor.ndim == 2 else tensor


def _renamed(name: str, tensor: Tensor, d_head: int) -> tuple[str, Tensor]:
    """A tensor in TransformerLens' name and layout: x @ W, where torch.nn.Linear has W @ x; heads on an axis of their own."""
    whole = {"model.embed_tokens.weight": "embed.W_E", "model.norm.weight": "ln_final.w"}
    if name in whole:
        return whole[name], tensor
    if name == "lm_head.weight":
        return "unembed.W_U", tensor.T
    prefix, _, rest = name.partition("model.layers.")
    layer, _, part = rest.partition(".")
    block, (owner, _, kind) = f"blocks.{layer}.", part.rpartition(".")
    if not prefix and layer.isdecimal() and tensor.ndim == 2 - (kind == "bias" or owner in _NORMS):
        if owner in _NORMS and kind == "weight":
            return f"{block}{_NORMS[owner]}.w", tensor
        if owner == "self_attn.o_proj":
            return f"{block}attn.{'W' if kind == 'weight' else 'b'}_O", written_by_heads(tensor, d_head)
        if owner in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj") and tensor.shape[0] % d_head == 0:
            letter = owner.removeprefix("self_attn.")[0].upper()
            return f"{block}attn.{'W' if kind == 'weight' else 'b'}_{letter}", read_by_heads(tensor, d_head)
        own = part.removeprefix("mlp.")
        if part.startswith("mlp.") and own in _MLP:
            return f"{block}mlp.{_MLP[own]}", tensor.T if tensor.ndim == 2 else tensor
    raise FormatError(
        f"tensor {name!r}, of shape {list(tensor.shape)}, is not one of a Llama or Qwen model that is implemented"
    )


def from_transformer_lens(config: Config, state: State, n_ctx: int | None = None) -> tuple[Config, dict[str, Tensor]]:
    """A HookedTransformer's state dict without its buffers, for inputs of n_ctx tokens (default: as configured).

    Raises FormatError if a buffer is not what the configuration says.
    """
    length = config.get("n_ctx") if n_ctx is None else n_ctx
    config, tensors = {**config, "n_ctx": length}, dict[str, Tensor]()
    for name, tensor in state.items():
        owner, _, last = name.rpartition(".")
        if last in ("mask", "IGNORE") and owner.endswith(".attn"):
            # Scores of -100,000, in older versions, weigh exactly 0 in floating point, as minus infinity does.
            standard = torch.equal(tensor, torch.ones_like(tensor).tril()) if last == "mask" else bool((tensor <= -1e5).all())
            if not standard:
                raise FormatError(f"buffer {name} is not the standard one")
        elif last in ("rotary_sin", "rotary_cos") and config.get("positional_embedding_type") == "rotary":
            _require_rotary(config, name, tensor)
        elif name == "pos_embed.W_pos" and config.get("positional_embedding_type", "standard") != "standard":
            continue  # made by TransformerLens, and not used
        else:
            tensors[f"{owner}.{last.removeprefix('_')}" if last.startswith(("_W_", "_b_")) else name] = tensor
    if config.get("positional_embedding_type") == "alibi":
        tensors = _with_slopes(config, tensors)
    if n_ctx is not None and "pos_embed.W_pos" in tensors:
        tensors["pos_embed.W_pos"] = tensors["pos_embed.W_pos"][:n_ctx]
    if config.get("tie_word_embeddings") and "unembed.W_U" in tensors:  # TransformerLens uses what is stored
        same = torch.equal(tensors["unembed.W_U"], tensors.get("embed.W_E", torch.zeros(0)).T)
        config["tie_word_embeddings"] = same
        tensors = {name: tensor for name, tensor in tensors.items() if not (same and name == "unembed.W_U")}
    return config, tensors


def _with_slopes(config: Config, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """With the slopes that TransformerLens computes, in float32, where they are not stored."""
    layers, heads = size(config, "n_layers", 1, 8), size(config, "n_heads", 1, 16)
    made = {f"blocks.{layer}.attn.slopes": alibi_slopes(heads) for layer in range(layers)}
    if config.get("attention_dir", "causal") != "causal" and not made.keys() <= tensors.keys():
        raise FormatError("bidirectional attention with ALiBi is another function in TransformerLens: give slopes as tensors")
    return {**made, **tensors}


def alibi_slopes(heads: int) -> Tensor:
    """2^(-8 (h + 1) / heads), in float32."""
    start: float = 2 ** (-8 / heads)
    return start * start ** torch.arange(heads)


def _require_rotary(config: Config, name: str, tensor: Tensor) -> None:
    width = config.get("rotary_dim") or config["d_head"]
    angle = torch.arange(len(tensor))[:, None] / float(config.get("rotary_base", 10000)) ** (
        torch.arange(width // 2) * 2 / width
    )
    angle = angle.repeat_interleave(2, 1) if config.get("rotary_adjacent_pairs") else angle.repeat(1, 2)
    wanted = angle.sin() if name.endswith("sin") else angle.cos()
    if tensor.shape != wanted.shape or not torch.allclose(tensor.float(), wanted, atol=1e-2):
        raise FormatError(
            f"buffer {name} is not what rotary_base and rotary_dim say: other rotary embeddings are not supported"
        )
