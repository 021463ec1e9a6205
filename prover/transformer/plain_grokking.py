"""The layout of the checkpoints of "Progress measures for grokking via mechanistic interpretability" (Nanda et al. 2023).

Their transformer is older than TransformerLens and shares its names, but not its axes: embeddings and neurons come last,
W_K "head d_head d_model", W_O "d_model (head d_head)", W_E "d_model d_vocab". There is no normalisation (its class has one that
is never used), and no bias but in the MLP.
"""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from certificates import FormatError

_NAMES = {"num_layers": "n_layers", "num_heads": "n_heads", "act_type": "act_fn"}
_IGNORED = {
    *("lr", "weight_decay", "p", "fn_name", "frac_train", "num_epochs", "save_models", "save_every", "stopping_thresh", "seed"),
    *("batch_style", "device", "take_metrics_every_n_epochs", "use_ln"),
}
"""Of training; and use_ln, which nothing in their class reads."""
_ACTIVATIONS = {"ReLU": "relu", "GeLU": "gelu"}
_NEEDED = ("embed.W_E", "pos_embed.W_pos", "unembed.W_U", "blocks.0.attn.W_K", "blocks.0.mlp.W_in")
_READ_BY_HEADS = ("attn.W_K", "attn.W_Q", "attn.W_V")


def is_plain_grokking(state: Mapping[str, Tensor]) -> bool:
    """Whether a state dict has this layout: only here, the heads' outputs are not an axis of their own."""
    output = state.get("blocks.0.attn.W_O")
    return output is not None and output.ndim == 2


def from_plain_grokking(keys: Mapping[str, Any], state: Mapping[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """In TransformerLens' keys and names. Sizes are those of the tensors; keys say the activation (default ReLU).

    Raises FormatError if the keys say something else than the tensors do, or something unknown.
    """
    missing = [name for name in _NEEDED if name not in state]
    if missing:
        raise FormatError(f"there is no tensor {missing[0]!r}, which the layout of progress measures has")
    tensors = dict(_renamed(name, tensor, state) for name, tensor in state.items())
    layers = 1 + max(int(found[1]) for name in tensors if (found := re.match(r"blocks\.([0-9]{1,2})\.", name)))
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
        "act_fn": _activation(keys),
        "normalization_type": None,
        "attention_dir": "causal",
    }
    for key, value in keys.items():
        known = _NAMES.get(key, key)
        if key in _IGNORED:
            continue
        if known not in found:
            raise FormatError(f"config key {key!r} is unknown in this layout; remove it if it has no influence on the model")
        if known != "act_fn" and value != found[known]:
            raise FormatError(f"config {key}={value!r}, but the layout and its tensors say {found[known]}")
    return found, tensors


def _activation(keys: Mapping[str, Any]) -> str:
    said = keys.get("act_type", keys.get("act_fn", "ReLU"))
    for theirs, ours in _ACTIVATIONS.items():
        if said in (theirs, ours):
            return ours
    raise FormatError(f"config act_type={said!r} is not supported: it is ReLU or GeLU")


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
