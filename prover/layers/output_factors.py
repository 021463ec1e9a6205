"""Factors of a hidden layer's unembedding, and the margins that rule low-rank-output has with them, differentiable."""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from certificates.tensor_file import IntArray
from prover.layers.examined_pairs import ExaminedPairs, leads_of_all
from prover.layers.group_actions import BoolArray, FloatArray
from prover.layers.hidden_layer import HiddenLayer
from prover.layers.two_input_problem import Hidden, TwoInputProblem

_NOTHING = 1e-24
"""The least number of which a square root is taken: there is no derivative at 0."""


@dataclass(frozen=True)
class Factors:
    """U by blocks of consecutive neurons, which begin at `starts` "B": left "i r", right "B r z"; centre "i" of |x|.

    features "2 a r": what features read of either input (one block; see rule crosscoder-output). Then `centre` is that
    of |x| less what is expected from them.
    """

    starts: IntArray
    left: Tensor
    right: Tensor
    centre: Tensor
    features: Tensor | None = None

    @property
    def arrays(self) -> tuple[Tensor, ...]:
        """All numbers, to be changed together (see `having`)."""
        parts = (self.left, self.right, self.centre)
        return parts if self.features is None else (*parts, self.features)

    def having(self, left: Tensor, right: Tensor, centre: Tensor, features: Tensor | None = None) -> "Factors":
        """The same blocks with other numbers."""
        return Factors(self.starts, left, right, centre, features)

    def split(self, values: Tensor) -> tuple[Tensor, ...]:
        """Values "i ..." by blocks."""
        return values.tensor_split(self.starts[1:].tolist())

    def rounded(self, bits: int) -> "tuple[Factors, int]":
        """In units of 2**-scale, which leave the largest number about so many bits; and scale."""
        largest = max(float(part.abs().max()) for part in self.arrays)
        scale = min(bits - math.ceil(math.log2(max(largest, 1e-300))), 1000)
        return self.having(*((part * 2.0**scale).round() * 2.0**-scale for part in self.arrays)), scale

    @property
    def product(self) -> Tensor:
        """What the factors say of U, "i z"."""
        return torch.cat([left @ right for left, right in zip(self.split(self.left), self.right, strict=True)])

    def tolerance(self, unembed: Tensor, precision: int) -> float:
        """How far the checker's rounding of what features add can shift a difference of the rule's values, generously."""
        if self.features is None:
            return 0.0
        expected = float(self.left.abs().sum(1).max() * self.features.abs().amax((1, 2)).sum())
        return 2.0 ** (9 - precision) * len(unembed) * expected * float((unembed - self.product).abs().max())

    def moved(self, change: Tensor) -> "Factors":
        """The factors in the same directions when U has changed by "i z": rows of `right` are orthogonal to each other."""
        lengths = self.right.square().sum(2).clamp_min(_NOTHING)
        parts = zip(self.split(change), self.right, lengths, strict=True)
        shift = [part @ right.T / length for part, right, length in parts]
        return replace(self, left=self.left + torch.cat(shift))


def mean_size(hidden: Hidden) -> FloatArray:
    """The mean "i" of |left[a] + right[b] + bias| over all pairs."""
    total: FloatArray = sum(np.abs(row + hidden.right + hidden.bias).mean(0) for row in hidden.left) / len(hidden.left)
    return total


def proved_pairs(problem: TwoInputProblem, neurons: IntArray, factors: Factors, pairwise: int) -> BoolArray:
    """The pairs "a b" that the rule proves with these factors, rounding allowed for."""
    chosen = torch.as_tensor(neurons)

    def leads(layer: HiddenLayer, pairs: ExaminedPairs, temperature: float) -> Tensor:
        return low_rank_leads(layer, chosen, factors, pairwise, pairs, temperature)

    rounding = 4 * problem.tolerance + factors.tolerance(problem.layer.unembed[chosen], problem.precision)
    return leads_of_all(problem, leads) > 2 * problem.slack(neurons) + rounding


def low_rank_leads(
    layer: HiddenLayer, neurons: Tensor, factors: Factors, pairwise: int, pairs: ExaminedPairs, temperature: float = 0.0
) -> Tensor:
    """The least "p" of what the rule compares with twice the slack (see checker/layers/low_rank_output, crosscoder_output)."""
    left, right, bias = layer.left[:, neurons], layer.right[:, neurons], layer.bias[neurons]
    unembed = layer.unembed[neurons]
    rest = unembed - factors.product
    products = rest.T @ rest
    squares = products.diagonal()
    if pairwise:
        distances = (squares[:, None] + squares - 2 * products).clamp_min(_NOTHING).sqrt()
    else:
        lengths = squares.clamp_min(_NOTHING).sqrt()
        distances = lengths[:, None] + lengths
    constant = bias @ unembed + factors.centre @ rest + 2 * layer.constant
    of_left, of_right = (side @ unembed + 2 * layer.direct for side in (left, right))
    size = (left[pairs.first] + right[pairs.second] + bias).abs()
    blocks = zip(factors.split(size.T), factors.split(factors.left), factors.right, strict=True)
    modelled = sum((part.T @ columns @ rows for part, columns, rows in blocks), torch.zeros_like(constant))
    values = modelled + of_left[pairs.first] + of_right[pairs.second] + constant
    beside = size - factors.centre
    if factors.features is not None:
        seen = (factors.features[0][pairs.first] + factors.features[1][pairs.second]).abs()
        values, beside = values + seen @ (factors.left.T @ rest), beside - seen @ factors.left.T
    length = beside.square().sum(1).clamp_min(_NOTHING).sqrt()
    return pairs.lead(values, values + length[:, None] * distances[pairs.true], temperature)
