"""The layout of the checkpoints of "Progress measures for grokking via mechanistic interpretability" (Nanda et al. 2023).

Their transformer is older than TransformerLens and shares its names, but not its axes: embeddings and neurons come last,
W_K "head d_head d_model", W_O "d_model (head d_head)", W_E "d_model d_vocab". There is no normalisation (its class has one that
is never used), and no bias but in the MLP.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from certificates import FormatError

_KEYS = {"num_layers", "num_heads", "d_model", "d_mlp", "d_vocab", "n_ctx", "act_type", "use_ln", "p"}
_ACTIVATIONS = {"ReLU": "relu", "GeLU": "gelu"}
_READ_BY_HEADS = ("attn.W_K", "attn.W_Q", "attn.W_V")


def is_plain_grokking(state: Mapping[str, Tensor]) -> bool:
    """Whether a state dict has this layout: only here, the heads' outputs are not an axis of their own."""
    output = state.get("blocks.0.attn.W_O")
    return output is not None and output.ndim == 2


def from_plain_grokking(keys: Mapping[str, Any], state: Mapping[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """In TransformerLens' keys and names. Sizes are those of the tensors; keys say the activation (default ReLU).

    Raises FormatError if the keys say something else than the tensors do.
    """
    tensors = dict(_renamed(name, tensor, state) for name, tensor in state.items())
    layers = 1 + max(int(name.split(".")[1]) for name in tensors if name.startswith("blocks."))
    heads, d_model, d_head = tensors["blocks.0.attn.W_K"].shape
    found = {
        "n_layers": layers,
        "n_heads": heads,
        "d_model": d_model,
        "d_head": d_head,
        "d_mlp": tensors["blocks.0.mlp.W_in"].shape[1],
        "d_vocab": len(tensors["embed.W_E"]),
        "d_vocab_out": tensors["unembed.W_U"].shape[1],
        "n_ctx": len(tensors["pos_embed.W_pos"]),
        "act_fn": _ACTIVATIONS.get(keys.get("act_type", "ReLU")),
        "normalization_type": None,
        "attention_dir": "causal",
    }
    if found["act_fn"] is None:
        raise FormatError(f"config act_type={keys['act_type']!r} is not supported: it is ReLU or GeLU")
    names = {"num_layers": "n_layers", "num_heads": "n_heads"}
    for key, value in keys.items():
        known = found.get(names.get(key, key))
        if key in _KEYS - {"act_type", "p", "use_ln"} and value != known:
            raise FormatError(f"config {key}={value!r}, but the tensors say {known}")
    return found, tensors


def _renamed(name: str, tensor: Tensor, state: Mapping[str, Tensor]) -> tuple[str, Tensor]:
    _, _, part = name.rpartition("blocks.")[2].partition(".")
    own = part if name.startswith("blocks.") else name
    axes = {"attn.W_O": 2, "mlp.W_in": 2, "mlp.W_out": 2, "embed.W_E": 2, **dict.fromkeys(_READ_BY_HEADS, 3)}
    if own in axes and tensor.ndim != axes[own]:
        raise FormatError(f"tensor {name!r} has {tensor.ndim} axes, in the layout of progress measures it has {axes[own]}")
    if own in _READ_BY_HEADS:
        return name, tensor.transpose(1, 2)
    if own == "attn.W_O":
        keys = state.get(name.replace("W_O", "W_K"))
        heads = 1 if keys is None else len(keys)
        if not heads or tensor.shape[1] % heads:
            raise FormatError(f"tensor {name!r} has {tensor.shape[1]} columns: not a multiple of {heads} heads")
        return name, tensor.T.reshape(heads, -1, len(tensor))
    if own in axes:
        return name, tensor.T
    return name, tensor
