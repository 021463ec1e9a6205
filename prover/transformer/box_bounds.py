"""Lower bounds on leads over boxes of what the heads of a transformer's last layer read, in float64.

They are what the checker computes (checker/transformer/after_attention and boxes), but for rounding.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import torch
from torch import Tensor

from certificates.transformer import Transformer
from prover.transformer.forward import ACTIVATIONS, of_block, unembedding
from prover.weights import Weights

_TURNS = {"gelu": -0.7517915247, "gelu_new": -0.7524614221, "silu": -1.2784645428}
"""Where activations have their least values."""


@dataclass(frozen=True)
class Box:
    """Intervals from `low` to `high`."""

    low: Tensor
    high: Tensor

    def __matmul__(self, matrix: Tensor) -> "Box":
        middle, radius = (self.low + self.high) / 2 @ matrix, (self.high - self.low) / 2 @ matrix.abs()
        return Box(middle - radius, middle + radius)

    def __add__(self, other: "Box | Tensor") -> "Box":
        low, high = (other.low, other.high) if isinstance(other, Box) else (other, other)
        return Box(self.low + low, self.high + high)

    def __mul__(self, other: "Box | Tensor") -> "Box":
        ends = (other.low, other.high) if isinstance(other, Box) else (other,)
        products = torch.stack([a * b for a in (self.low, self.high) for b in ends])
        return Box(products.amin(0), products.amax(0))

    def over(self, positive: "Box") -> "Box":
        """The quotient."""
        return self * Box(1 / positive.high, 1 / positive.low)

    def square(self) -> "Box":
        """Elementwise."""
        inside = (self.low < 0) & (self.high > 0)
        ends = torch.stack([self.low**2, self.high**2])
        return Box(torch.where(inside, 0.0, ends.amin(0)), ends.amax(0))

    def at(self, rows: Tensor) -> "Box":
        """Some rows."""
        return Box(self.low[rows], self.high[rows])

    def halves(self, scale: Tensor) -> "Box":
        """All lower halves, then all upper halves: along the coordinate of each in which it is widest, times a scale."""
        widest = ((self.high - self.low) * scale).argmax(1, keepdim=True)
        middle = ((self.low + self.high) / 2).gather(1, widest)
        below, above = self.high.scatter(1, widest, middle), self.low.scatter(1, widest, middle)
        return Box(torch.cat([self.low, above]), torch.cat([below, self.high]))


@dataclass(frozen=True)
class BoxBounds:
    """base "d": the residual stream after attention is that plus z O, z being what the heads read less a centre."""

    config: Transformer
    weights: Weights
    base: Tensor
    margin: float

    def leads(self, z: Box, outputs: Tensor) -> Tensor:
        """At least by how much outputs "n" lead for all z in boxes "n z", relative to the greatest lead there may be."""
        found, greatest = self.least_leads(z, outputs)
        return found / greatest.clamp_min(1e-300)

    def least_leads(self, z: Box, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """The same in logits, times the last norm's divisor if there is one; and the greatest, "", of all boxes."""
        hidden = None if self.config.attn_only else self._hidden(z)
        unembed, bias = self._unembedding
        sigma = None if self.config.normalization_type is None else self._sigma(z, hidden)
        found = torch.full(outputs.shape, torch.inf, dtype=z.low.dtype, device=z.low.device)
        greatest = z.low.new_zeros(())
        for output in torch.unique(outputs).tolist():
            own = torch.nonzero(outputs == output)[:, 0]
            columns = unembed[:, output : output + 1] - unembed
            beta = bias[output] - bias - self.margin
            lead = self._through(columns, z.at(own), hidden.at(own) if hidden else None)
            lead = lead + (Box(sigma.low[own], sigma.high[own]) * beta if sigma else beta)
            greatest = torch.maximum(greatest, lead.high.abs().amax())
            lead.low[:, output] = torch.inf
            found[own] = lead.low.amin(1)
        return found, greatest

    def _through(self, columns: Tensor, z: Box, hidden: Box | None) -> Box:
        found = z @ (self._out @ columns) + self.base @ columns
        if hidden is None:
            return found
        return found + hidden @ (self._block["mlp.W_out"] @ columns) + self._block["mlp.b_out"] @ columns

    def _hidden(self, z: Box) -> Box:
        config, own = self.config, self._block
        names = ("W_gate", "W_in") if config.gated_mlp else ("W_in",)
        if config.normalization_type is None:
            first, *inner = (self._through(own[f"mlp.{name}"], z, None) for name in names)
        else:
            y = self._normalised(self._through(self.centring, z, None))
            y = y * own["ln2.w"] if "ln2.w" in own else y
            y = y + own["ln2.b"] if "ln2.b" in own else y
            first, *inner = (y @ own[f"mlp.{name}"] for name in names)
        bias = own["mlp.b_in"]
        return self._activated(first) * inner[0] + bias if inner else self._activated(first + bias)

    def _activated(self, x: Box) -> Box:
        act = ACTIVATIONS[str(self.config.act_fn)]
        if self.config.act_fn not in _TURNS:
            return Box(act(x.low), act(x.high))
        turn = torch.full_like(x.low, _TURNS[self.config.act_fn])
        return Box(act(turn.maximum(x.low).minimum(x.high)), torch.maximum(act(x.low), act(x.high)))

    def _normalised(self, x: Box) -> Box:
        size, eps = x.low.shape[1], float(Fraction(self.config.eps))
        squares = x.square()
        ends = []
        for end, sign in ((x.low, 1), (x.high, -1)):
            rest = [total.sum(1, keepdim=True) - total for total in (squares.low, squares.high)]
            most, least = rest[1], rest[0].clamp_min(0)
            other = torch.where((end * sign) > 0, most, least)
            ends.append(size**0.5 * end / (end**2 + other + size * eps).sqrt())
        return Box(*ends)

    def _sigma(self, z: Box, hidden: Box | None) -> Box:
        squares = self._through(self.centring, z, hidden).square()
        low, high = (end.mean(1, keepdim=True) + float(Fraction(self.config.eps)) for end in (squares.low, squares.high))
        return Box(low.sqrt(), high.sqrt())

    @cached_property
    def _out(self) -> Tensor:
        return self._block["attn.W_O"].flatten(0, 1)

    @cached_property
    def _block(self) -> Weights:
        return of_block(self.weights, self.config.n_layers - 1)

    @cached_property
    def centring(self) -> Tensor:
        """The matrix that subtracts the mean, or the identity if norms do not."""
        return centring(self.config, self.base)

    @cached_property
    def _unembedding(self) -> tuple[Tensor, Tensor]:
        return unembedding_after_norm(self.config, self.weights)


def subtracts_means(config: Transformer) -> bool:
    """Whether norms do. The checker multiplies by d_model then what they read."""
    return config.normalization_type in ("LN", "LNPre")


def centring(config: Transformer, like: Tensor) -> Tensor:
    """See BoxBounds; of the kind of numbers, and where, another tensor is."""
    identity = torch.eye(config.d_model, dtype=like.dtype, device=like.device)
    return identity - 1 / config.d_model if subtracts_means(config) else identity


def unembedding_after_norm(config: Transformer, weights: Weights) -> tuple[Tensor, Tensor]:
    """What leads are made of: the unembedding, times the last norm's weights and less its mean, and biases of logits."""
    unembed = unembedding(config, weights)
    bias = weights["unembed.b_U"] + (weights["ln_final.b"] @ unembed if "ln_final.b" in weights else 0)
    scaled = unembed * weights["ln_final.w"][:, None] if "ln_final.w" in weights else unembed
    return centring(config, unembed) @ scaled, bias
