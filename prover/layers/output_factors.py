"""Factors of a hidden layer's unembedding, and the margins that rule coded-output has with them, differentiable."""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from certificates import RawTensor, integer_tensor
from certificates.tensor_file import IntArray
from prover.layers.examined_pairs import ExaminedPairs, leads_of_all
from prover.layers.group_actions import BoolArray, FloatArray
from prover.layers.hidden_layer import HiddenLayer
from prover.layers.two_input_problem import Hidden, TwoInputProblem

_NOTHING = 1e-24
"""The least number of which a square root is taken: there is no derivative at 0."""


@dataclass(frozen=True)
class Factors:
    """U by atoms: codes "i k", atoms "k z"; centre "i" of |x|.

    features "2 a k": what atoms read of either input (see rule coded-output). Then `centre` is that of |x| less what is
    expected from them.
    """

    codes: Tensor
    atoms: Tensor
    centre: Tensor
    features: Tensor | None = None

    @property
    def arrays(self) -> tuple[Tensor, ...]:
        """All numbers, in the order of the fields."""
        parts = (self.codes, self.atoms, self.centre)
        return parts if self.features is None else (*parts, self.features)

    def rounded(self, bits: int) -> "tuple[Factors, int]":
        """In units of 2**-scale, which leave the largest number about so many bits; and scale."""
        largest = max(float(part.abs().max()) for part in self.arrays)
        scale = min(bits - math.ceil(math.log2(max(largest, 1e-300))), 1000)
        return Factors(*((part * 2.0**scale).round() * 2.0**-scale for part in self.arrays)), scale

    @property
    def product(self) -> Tensor:
        """What the factors say of U, "i z"."""
        return self.codes @ self.atoms

    def following(self, change: Tensor, listed: IntArray) -> "Factors":
        """The same atoms when U has changed by "i z": those of a neuron, `listed` "i s", are orthogonal to each other."""
        lengths = self.atoms.square().sum(1).clamp_min(_NOTHING)
        shift = change @ self.atoms.T / lengths
        mask = torch.zeros_like(shift).scatter(1, torch.as_tensor(listed, device=shift.device), 1.0)
        return replace(self, codes=self.codes + shift * mask)

    def tolerance(self, unembed: Tensor, precision: int) -> float:
        """How far the checker's rounding of what features add can shift a difference of the rule's values, generously."""
        if self.features is None:
            return 0.0
        expected = float(self.codes.abs().sum(1).max() * self.features.abs().amax((1, 2)).sum())
        return 2.0 ** (9 - precision) * len(unembed) * expected * float((unembed - self.product).abs().max())

    def hints(self, listed: IntArray, scale: int) -> dict[str, RawTensor]:
        """Those of the rule, but for the pairs, in units of 2**-scale; `listed` "i s": atoms of each neuron, ascending, beside
        which its codes are 0. Atoms of no neuron are left out.
        """
        used, numbers = np.unique(listed, return_inverse=True)
        codes, atoms, centre, *features = (part.cpu().numpy() for part in self.arrays)
        parts = {"codes": np.take_along_axis(codes, listed, 1), "dictionary": atoms[used], "centre": centre}
        if features:
            parts["left_features"], parts["right_features"] = features[0][:, :, used]
        hints = {name: np.rint(np.ldexp(part, scale)).astype(np.int64) for name, part in parts.items()}
        hints["atoms"] = numbers.reshape(listed.shape)
        return {name: integer_tensor(hint) for name, hint in hints.items()}


def mean_size(hidden: Hidden) -> FloatArray:
    """The mean "i" of |left[a] + right[b] + bias| over all pairs."""
    total: FloatArray = sum(np.abs(row + hidden.right + hidden.bias).mean(0) for row in hidden.left) / len(hidden.left)
    return total


def proved_pairs(problem: TwoInputProblem, neurons: IntArray, factors: Factors, pairwise: int) -> BoolArray:
    """The pairs "a b" that the rule proves with these factors, rounding allowed for."""
    chosen = torch.as_tensor(neurons)

    def leads(layer: HiddenLayer, pairs: ExaminedPairs, temperature: float) -> Tensor:
        return coded_leads(layer, chosen, factors, pairwise, pairs, temperature)

    rounding = 4 * problem.tolerance + factors.tolerance(problem.layer.unembed[chosen], problem.precision)
    return leads_of_all(problem, leads) > 2 * problem.slack(neurons) + rounding


def coded_leads(
    layer: HiddenLayer, neurons: Tensor, factors: Factors, pairwise: int, pairs: ExaminedPairs, temperature: float = 0.0
) -> Tensor:
    """The least "p" of what the rule compares with twice the slack (see checker/layers/coded_output)."""
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
    values = size @ factors.codes @ factors.atoms + of_left[pairs.first] + of_right[pairs.second] + constant
    beside = size - factors.centre
    if factors.features is not None:
        seen = (factors.features[0][pairs.first] + factors.features[1][pairs.second]).abs()
        values, beside = values + seen @ (factors.codes.T @ rest), beside - seen @ factors.codes.T
    length = beside.square().sum(1).clamp_min(_NOTHING).sqrt()
    return pairs.lead(values, values + length[:, None] * distances[pairs.true], temperature)
