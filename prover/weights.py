"""Model files as float64 tensors, and the plain forward pass that defines what a model predicts."""

from collections.abc import Mapping

import torch
from torch import Tensor

from certificates import Model, RawTensor

Weights = Mapping[str, Tensor]
"""Tensors by TransformerLens name; biases always present."""

TYPES = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64}
"""The types in which weights are stored, by their names in model files."""


def load_weights(model: Model, device: torch.device) -> dict[str, Tensor]:
    """All tensors of a model in float64; absent biases become zeros."""
    weights = {}
    for name, shape in model.config.tensor_shapes().items():
        raw = model.tensors.get(name)
        if raw is None:
            weights[name] = torch.zeros(shape, dtype=torch.float64, device=device)
        else:
            weights[name] = stored_tensor(raw).to(device, torch.float64)
    return weights


def stored_tensor(raw: RawTensor) -> Tensor:
    """A weight tensor as it is stored, in its own type."""
    return torch.frombuffer(bytearray(raw.data), dtype=TYPES[raw.dtype]).reshape(raw.shape)


def raw_tensor(tensor: Tensor) -> RawTensor:
    """A weight tensor as it is stored in a model file."""
    names = {dtype: name for name, dtype in TYPES.items()} | {torch.bool: "BOOL"}
    plain = tensor.detach().cpu().contiguous()
    data = plain.reshape(-1).view(torch.uint8).numpy().tobytes() if plain.numel() else b""
    return RawTensor(names[plain.dtype], tuple(plain.shape), data)


def logits(weights: Weights, tokens: Tensor) -> Tensor:
    """Logits at the last position, "n out", of the attention-only transformer for inputs "n k"."""
    attn = {name.removeprefix("blocks.0.attn."): w for name, w in weights.items() if name.startswith("blocks.0.attn.")}
    residual = weights["embed.W_E"][tokens] + weights["pos_embed.W_pos"]
    last = residual[:, -1]
    query = last @ attn["W_Q"][0] + attn["b_Q"][0]
    keys = residual @ attn["W_K"][0] + attn["b_K"][0]
    values = residual @ attn["W_V"][0] + attn["b_V"][0]
    scores = torch.einsum("nh,njh->nj", query, keys) / attn["W_K"].shape[-1] ** 0.5
    mixed = torch.einsum("nj,njh->nh", scores.softmax(-1), values)
    return (last + mixed @ attn["W_O"][0] + attn["b_O"]) @ weights["unembed.W_U"] + weights["unembed.b_U"]
