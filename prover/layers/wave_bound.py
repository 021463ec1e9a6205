"""The bound of rule `wave-output` in floats, differentiable (theorem and notation: checker/layers/wave_output).

Vectors of entries and what neurons read ideally are Fourier coefficients, so they follow the weights; which entries there are
is given.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from prover.layers.examined_pairs import ExaminedPairs
from prover.layers.hidden_layer import HiddenLayer
from prover.surrogate import soft_maximum, soft_minimum

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

    def turned(self, vectors: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """P and Q "n j" of vectors "n j 2" at true outputs "n"."""
        c, s = self.cos[:, label].T, self.sin[:, label].T
        x, y = vectors.unbind(-1)
        return x * c + y * s, y * c - x * s

    def leads(self, least: Tensor, most: Tensor) -> Tensor:
        """What extrema "n j" of P and |Q| leave for d = 1 .. p // 2, "n d"."""
        steps = slice(1, len(self.cos))
        return least @ (1 - self.cos[:, steps]) - most @ self.sin[:, steps].abs()


@dataclass(frozen=True)
class Entries:
    """Which neurons have entries of which frequency, exact and ideal, "i j"; and what neurons read, "i"."""

    exact: Tensor
    ideal: Tensor
    reading: Tensor

    @property
    def rows(self) -> int:
        """How many pairs of what is written and what is read the ideal ones have."""
        readers, written = torch.nn.functional.one_hot(self.reading).bool(), self.ideal
        return int((readers.T.double() @ written.double() > 0).sum())


@dataclass(frozen=True)
class WaveBound:
    """What neurons say and read, as waves: vectors "i j 2", wave "i 2" (alpha and beta), level "i"; logarithms of weights:
    weight "i", entry_weight "i j".

    What is taken off: deviations "d", d = 1 .. p // 2, of what neurons read (by pairs; by angle twice that); uncovered, of what
    they write; beside, of the path around the MLP. unlike: how far neurons are from what is said of them, as shares of squares.
    By pairs: ahead, across "p j", P and Q. By angle: lead "q d", for a difference of q = 0 .. p // 2 (otherwise empty).
    """

    vectors: Tensor
    wave: Tensor
    level: Tensor
    weight: Tensor
    entry_weight: Tensor
    deviations: Tensor
    uncovered: Tensor
    beside: Tensor
    unlike: Tensor
    waves: Waves
    ahead: Tensor
    across: Tensor
    lead: Tensor

    def margins(self, bucket: Tensor, buckets: int, temperatures: Tensor | None = None) -> Tensor:
        """What the inequality leaves, "bucket d", from the numbers "p" of the pairs' buckets; with extrema soft at
        temperatures "j", all of them positive.
        """
        least = _greatest_of_buckets(-self.ahead, bucket, buckets, temperatures)
        most = _greatest_of_buckets(self.across.abs(), bucket, buckets, temperatures)
        return self.waves.leads(-least, most) - self.allowed

    @property
    def of_each(self) -> Tensor:
        """What it would leave if each pair had a bucket of its own, "p d"; by angle, what it leaves, "q d"."""
        return (self.lead if len(self.lead) else self.waves.leads(self.ahead, self.across.abs())) - self.allowed

    @property
    def allowed(self) -> Tensor:
        """All that is taken off, "d"."""
        return self.deviations + self.uncovered + self.beside


def wave_bound(
    layer: HiddenLayer,
    neurons: Tensor,
    entries: Entries,
    pairs: ExaminedPairs | None,
    symmetric: bool,
    temperature: float = 0.0,
) -> WaveBound:
    """Evaluate the theorem for these neurons: by pairs, or, without them, by angle, with extrema soft at a temperature."""
    unembed, bias = layer.unembed[neurons], layer.bias[neurons]
    left, right = layer.left[:, neurons] + bias / (1 + symmetric), layer.right[:, neurons] + bias / 2 * symmetric
    p, waves = len(left), Waves.of(len(left), left)
    vectors = waves.coefficients(unembed)
    exact, ideal = vectors * entries.exact[..., None], vectors * entries.ideal[..., None]
    rest = unembed - waves.functions(exact + ideal)
    level = rest.mean(1)
    rest = rest - level[:, None]

    wave = _at(waves.coefficients(layer.left[:, neurons].T), entries.reading)  # i 2
    cos, sin = waves.cos[entries.reading].T, waves.sin[entries.reading].T
    part = wave[:, 0] * cos + wave[:, 1] * sin
    off = [(side - part).square() for side in (left, right)]
    mean = off[0].mean(0) + off[1].mean(0)
    entry_weight = _weights(mean[:, None], ideal.square().sum(2))
    weighted = ideal * 2.0 ** entry_weight[..., None]
    gram = torch.einsum("ijc,ijd->jcd", weighted, weighted)
    sigma = torch.maximum(gram[:, 0, 0], gram[:, 1, 1]) + gram[:, 0, 1].abs()
    shares = entries.ideal * 4.0**-entry_weight
    away = [_greatest((side @ shares).clamp_min(_NOTHING).sqrt(), temperature) for side in off]
    steps = torch.outer(torch.arange(1, p // 2 + 1), torch.arange(p // 2 + 1)) % (2 * p)
    turns = (math.pi / p * steps).to(left).sin().abs()  # d j
    deviations = turns @ ((away[0] + away[1]) * sigma.clamp_min(_NOTHING).sqrt())

    active = left.relu().square().mean(0) + right.relu().square().mean(0)
    weight = _weights(active, rest.square().mean(1))
    active_at = [(side.relu() * 2.0**-weight).square().sum(1) for side in (left, right)]
    reached, written = (
        sum(_greatest(squares.clamp_min(_NOTHING).sqrt(), temperature) for squares in parts)
        for parts in (active_at, [(rest * 2.0 ** weight[:, None]).square().sum(0)])
    )
    uncovered = 2 * reached * written
    around, power = layer.direct + layer.constant / 2, layer.left[:, neurons].square().sum(0)
    told = unembed.square().sum(1)
    unlike = p * (mean @ told) / (power @ told).clamp_min(_NOTHING)
    unlike = unlike + rest.square().sum(1) @ power / (told @ power).clamp_min(_NOTHING)

    none = left.new_zeros(0, len(waves.cos))
    if pairs is None:
        lead = _by_angle(waves, entries.reading, wave, ideal, temperature)
        parts = 2 * deviations, uncovered, 2 * _range(around).amax(), unlike, waves, none, none, lead
        return WaveBound(vectors, wave, level, weight, entry_weight, *parts)
    path = waves.coefficients(around) * (entries.exact | entries.ideal).any(0)[:, None]
    beside = 2 * _range(around - waves.functions(path)).amax()
    vector = torch.einsum("pi,ijc->pjc", (left[pairs.first] + right[pairs.second]).relu(), exact)
    sizes = _half(p, pairs.first - pairs.second, entries.reading).cos().abs()
    turned = _half(p, pairs.first + pairs.second, entries.reading)
    sizes = sizes * (wave[:, 0] * turned.cos() + wave[:, 1] * turned.sin()).abs()
    vector = vector + torch.einsum("pi,ijc->pjc", sizes, ideal)
    alone = [torch.einsum("ai,ijc->ajc", side, ideal) / 2 + path for side in (left, right)]
    ahead, across = waves.turned(vector + alone[0][pairs.first] + alone[1][pairs.second], pairs.true)
    parts = deviations, uncovered, beside, unlike, waves, ahead, across, none
    return WaveBound(vectors, wave, level, weight, entry_weight, *parts)


def _by_angle(waves: Waves, reading: Tensor, wave: Tensor, ideal: Tensor, temperature: float) -> Tensor:
    """The lead "q d" of all differences."""
    p = waves.cos.shape[1]
    every = torch.arange(p, device=wave.device)
    angle = _half(p, every, reading)
    straight = wave[:, 0] * angle.cos() + wave[:, 1] * angle.sin()  # c i
    total: Tensor | float = 0.0
    for k in reading.unique():
        here = reading == k
        parts = [torch.einsum("ci,ijd->cjd", values[:, here], ideal[here]) for values in (straight.abs(), straight)]
        (ahead, across), (less, more) = (waves.turned(vectors, every) for vectors in parts)
        least, most = ahead - less.abs(), across.abs() + more.abs()
        told = ideal[here].detach().abs().sum((0, 2)) > 0  # what is not written has no extrema, not even soft ones
        extrema = told * soft_minimum(least, 0, temperature), told * soft_maximum(most, 0, temperature)
        size = _half(p, every[: p // 2 + 1], k.reshape(1)).cos().abs()  # q 1
        total = total + size * waves.leads(*(values[None] for values in extrema))
    assert isinstance(total, Tensor)
    return total


@torch.no_grad()
def _weights(read: Tensor, written: Tensor) -> Tensor:
    """Logarithms of the weights for which Cauchy and Schwarz lose least, from mean squares."""
    exponents = (read.clamp_min(_NOTHING) / written.clamp_min(_NOTHING)).log2() / 4
    exponents = exponents - exponents.mean()
    return exponents.round().clamp(-_LARGEST_WEIGHT, _LARGEST_WEIGHT)


def _at(coefficients: Tensor, frequency: Tensor) -> Tensor:
    return coefficients[torch.arange(len(frequency), device=frequency.device), frequency]


def _greatest(values: Tensor, temperature: float) -> Tensor:
    """At least the greatest of positive values along the first dimension: their norm of order 1 / temperature."""
    return soft_maximum(values.log(), 0, temperature).exp()


def _greatest_of_buckets(values: Tensor, bucket: Tensor, buckets: int, temperatures: Tensor | None) -> Tensor:
    """At least the greatest of values "p j" in each bucket, "bucket j"; soft at temperatures "j", if any."""
    empty, where = values.new_zeros(buckets, values.shape[1]), bucket[:, None].expand_as(values)
    greatest = empty.scatter_reduce(0, where, values, "amax", include_self=False)
    if temperatures is None:
        return greatest
    greatest = greatest.detach()
    sums = empty.index_add(0, bucket, ((values - greatest[bucket]) / temperatures).exp())
    return greatest + temperatures * sums.log()


def _half(p: int, number: Tensor, frequency: Tensor) -> Tensor:
    """Pi k n / p."""
    return math.pi / p * (torch.outer(number, frequency) % (2 * p)).to(torch.float64)


def _range(values: Tensor) -> Tensor:
    return values.amax(-1) - values.amin(-1)
