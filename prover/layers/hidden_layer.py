"""A hidden layer on two inputs as tables of its neurons, differentiable in the weights (see checker/layers/hidden_tables)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from certificates import GroupMLP, ModelConfig, UniformAttention
from prover.weights import Weights


@dataclass(frozen=True)
class HiddenLayer:
    """logits = relu(left[a] + right[b] + bias) unembed + direct[a] + direct[b] + constant, up to the positive factor `times`.

    left, right "a i", bias "i", unembed "i z", direct "a z", constant "z". reach "i": what a neuron that is not chosen is taken
    to add to a difference of logits at most.
    """

    left: Tensor
    right: Tensor
    bias: Tensor
    unembed: Tensor
    direct: Tensor
    constant: Tensor
    reach: Tensor
    times: int

    def slack(self, neurons: Tensor) -> Tensor:
        """What all neurons but these can at most add to a difference of logits."""
        return self.reach.sum() - self.reach[neurons].sum()

    def logits(self, a: Tensor, b: Tensor) -> Tensor:
        """Logits "n z" of pairs "n"."""
        active = (self.left[a] + self.right[b] + self.bias).relu()
        return (active @ self.unembed + self.direct[a] + self.direct[b] + self.constant) / self.times


def hidden_layer(weights: Weights, config: ModelConfig) -> HiddenLayer:
    """Fold the weights of a network with one hidden layer. Raises ValueError for other architectures."""
    if isinstance(config, GroupMLP):
        return _group_mlp(weights)
    if isinstance(config, UniformAttention):
        return _uniform_attention(weights, config.d_vocab - 1)
    raise ValueError(f"a {config.described} has no hidden layer on two inputs")


def _group_mlp(weights: Weights) -> HiddenLayer:
    left, right = weights["embed_left.W_E"], weights["embed_right.W_E"]
    bias, unembed, constant = weights["mlp.b_in"], weights["unembed.W_U"], weights["unembed.b_U"]
    reach = (left.amax(0) + right.amax(0) + bias).relu() * (unembed.amax(1) - unembed.amin(1))
    return HiddenLayer(left, right, bias, unembed, unembed.new_zeros(len(left), len(constant)), constant, reach, 1)


def _uniform_attention(weights: Weights, elements: int) -> HiddenLayer:
    """The logits three times as large."""
    attention, mlp = "blocks.0.attn.", "blocks.0.mlp."
    embed, positions, unembed = weights["embed.W_E"], weights["pos_embed.W_pos"], weights["unembed.W_U"]
    read, write = weights[mlp + "W_in"], weights[mlp + "W_out"]
    moving = torch.einsum("hdk,hke->de", weights[attention + "W_V"], weights[attention + "W_O"])
    always = torch.einsum("hk,hke->e", weights[attention + "b_V"], weights[attention + "W_O"]) + weights[attention + "b_O"]
    constant = 3 * (embed[elements] + positions[2] + always) + (positions.sum(0) + embed[elements]) @ moving
    moved = embed[:elements] @ moving
    left = moved @ read
    bias = constant @ read + 3 * weights[mlp + "b_in"]
    farthest = 2 * unembed.norm(dim=0).max()
    reach = (2 * moved.norm(dim=1).max() * read.norm(dim=0) + bias.abs()) * write.norm(dim=1) * farthest
    out = (constant + 3 * weights[mlp + "b_out"]) @ unembed + 3 * weights["unembed.b_U"]
    return HiddenLayer(left, left, bias, write @ unembed, moved @ unembed, out, reach, 3)
