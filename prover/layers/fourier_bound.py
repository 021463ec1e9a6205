"""The bound of rule `fourier-output` in floats, differentiable (theorem and notation: checker/layers/fourier_output).

Vectors of entries and what neurons read ideally are Fourier coefficients, so they follow the weights; which entries there are
is given.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from prover.layers.examined_pairs import ExaminedPairs
from prover.layers.hidden_layer import HiddenLayer

_LARGEST_WEIGHT = 24
_NOTHING = 1e-24
"""The least number of which a square root is taken: there is no derivative at 0."""


@dataclass(frozen=True)
class Waves:
    """Coordinates of functions on the residues along cos(2 pi j z / p) and sin(2 pi j z / p): waves "j z", j = 0 .. p // 2."""

    cos: Tensor
    sin: Tensor

    @staticmethod
    def of(p: int, like: Tensor) -> "Waves":
        steps = torch.outer(torch.arange(p // 2 + 1), torch.arange(p)) % p
        angle = (2 * math.pi / p * steps).to(like)
        return Waves(angle.cos(), angle.sin())

    def coefficients(self, functions: Tensor) -> Tensor:
        """Of functions "... z": "... j 2", zero at j = 0."""
        p, ways = self.cos.shape[1], torch.stack([self.cos, self.sin], 2)
        share = torch.full((len(self.cos),), 2 / p).to(functions)
        share[0] = 0
        if p % 2 == 0:
            share[-1] = 1 / p
        return torch.einsum("...z,jzc->...jc", functions, ways) * share[:, None]

    def functions(self, coefficients: Tensor) -> Tensor:
        """From coefficients "... j 2" to "... z"."""
        return coefficients[..., 0] @ self.cos + coefficients[..., 1] @ self.sin


@dataclass(frozen=True)
class Entries:
    """Which neurons have entries of which frequency, exact and ideal, "i j"; and what neurons read, "i"."""

    exact: Tensor
    ideal: Tensor
    reading: Tensor


@dataclass(frozen=True)
class FourierBound:
    """vectors "i j 2", reading "i 2" (alpha and beta); ahead, across "p j": P_j and Q_j of pairs; logarithms of weights: weight
    "i", entry_weight "i j". What is taken off: deviations "d", d = 1 .. p // 2, of what neurons read; uncovered, of what they
    write; beside, of the path around the MLP.
    """

    vectors: Tensor
    reading: Tensor
    ahead: Tensor
    across: Tensor
    deviations: Tensor
    uncovered: Tensor
    beside: Tensor
    weight: Tensor
    entry_weight: Tensor
    waves: Waves

    def margins(self, bucket: Tensor, buckets: int) -> Tensor:
        """What the inequality leaves, "bucket d", from the numbers "p" of the pairs' buckets."""
        where = bucket[:, None].expand_as(self.ahead)
        empty = self.ahead.new_zeros(buckets, self.ahead.shape[1])
        least = empty.scatter_reduce(0, where, self.ahead, "amin", include_self=False)
        most = empty.scatter_reduce(0, where, self.across.abs(), "amax", include_self=False)
        return self._left(least, most)

    @property
    def of_pairs(self) -> Tensor:
        """What it would leave if each pair had a bucket of its own, "p d"."""
        return self._left(self.ahead, self.across.abs())

    @property
    def allowed(self) -> Tensor:
        """All that is taken off, "d"."""
        return self.deviations + self.uncovered + self.beside

    def _left(self, least: Tensor, most: Tensor) -> Tensor:
        steps = slice(1, len(self.waves.cos))
        return least @ (1 - self.waves.cos[:, steps]) - most @ self.waves.sin[:, steps].abs() - self.allowed


def fourier_bound(layer: HiddenLayer, neurons: Tensor, entries: Entries, pairs: ExaminedPairs) -> FourierBound:
    """Evaluate the theorem for these neurons."""
    left, right, bias = layer.left[:, neurons] + layer.bias[neurons], layer.right[:, neurons], layer.bias[neurons]
    p, unembed = len(left), layer.unembed[neurons]
    waves = Waves.of(p, left)
    vectors = waves.coefficients(unembed)
    exact, ideal = vectors * entries.exact[..., None], vectors * entries.ideal[..., None]
    rest = unembed - waves.functions(exact + ideal)
    rest = rest - rest.mean(1, keepdim=True)
    used = (entries.exact | entries.ideal).any(0)[:, None]

    read = _at(waves.coefficients((left - bias).T), entries.reading)  # i 2
    cos, sin = waves.cos[entries.reading].T, waves.sin[entries.reading].T
    part = read[:, 0] * cos + read[:, 1] * sin
    alone = [torch.einsum("ai,ijc->ajc", side, ideal) for side in (left, right)]
    direct, constant = waves.coefficients(2 * layer.direct) * used, waves.coefficients(2 * layer.constant) * used
    beside = 2 * _range(2 * layer.direct - waves.functions(direct)).amax() + _range(
        2 * layer.constant - waves.functions(constant)
    )

    difference, total = pairs.first - pairs.second, pairs.first + pairs.second
    active = (left[pairs.first] + right[pairs.second]).relu()
    sizes = 2 * _half(p, difference, entries.reading).cos().abs()
    turned = _half(p, total, entries.reading)
    sizes = sizes * (read[:, 0] * turned.cos() + read[:, 1] * turned.sin()).abs()
    coordinates = 2 * torch.einsum("pi,ijc->pjc", active, exact) + torch.einsum("pi,ijc->pjc", sizes, ideal)
    coordinates = coordinates + (alone[0] + direct)[pairs.first] + (alone[1] + direct)[pairs.second] + constant
    label = total % p
    c, s = waves.cos[:, label].T, waves.sin[:, label].T
    x, y = coordinates.unbind(2)

    mean = [(side - part).square().mean(0) for side in (left, right)]
    entry_weight = _weights((mean[0] + mean[1])[:, None], ideal.square().sum(2))
    weighted = ideal * 2.0 ** entry_weight[..., None]
    gram = torch.einsum("ijc,ijd->jcd", weighted, weighted)
    sigma = torch.maximum(gram[:, 0, 0], gram[:, 1, 1]) + gram[:, 0, 1].abs()
    shares = entries.ideal * 4.0**-entry_weight
    away = [((side - part).square() @ shares).clamp_min(_NOTHING).sqrt().amax(0) for side in (left, right)]
    steps = torch.outer(torch.arange(1, p // 2 + 1), torch.arange(p // 2 + 1)) % (2 * p)
    turns = 2 * (math.pi / p * steps).to(left).sin().abs()  # d j
    deviations = turns @ ((away[0] + away[1]) * sigma.clamp_min(_NOTHING).sqrt())
    weight = _weights(left.relu().square().mean(0) + right.relu().square().mean(0), rest.square().mean(1))
    reached = sum((side.relu() * 2.0**-weight).norm(dim=1).amax() for side in (left, right))
    uncovered = 4 * reached * (rest * 2.0 ** weight[:, None]).square().sum(0).clamp_min(_NOTHING).sqrt().amax()
    errors = deviations, uncovered, beside
    return FourierBound(vectors, read, x * c + y * s, y * c - x * s, *errors, weight, entry_weight, waves)


@torch.no_grad()
def _weights(read: Tensor, written: Tensor) -> Tensor:
    """Logarithms of the weights for which Cauchy and Schwarz lose least, from mean squares."""
    exponents = (read.clamp_min(_NOTHING) / written.clamp_min(_NOTHING)).log2() / 4
    exponents = exponents - exponents.mean()
    return exponents.round().clamp(-_LARGEST_WEIGHT, _LARGEST_WEIGHT)


def _at(coefficients: Tensor, frequency: Tensor) -> Tensor:
    return coefficients[torch.arange(len(frequency), device=frequency.device), frequency]


def _half(p: int, number: Tensor, frequency: Tensor) -> Tensor:
    """Pi k n / p."""
    return math.pi / p * (torch.outer(number, frequency) % (2 * p)).to(torch.float64)


def _range(values: Tensor) -> Tensor:
    return values.amax(-1) - values.amin(-1)
