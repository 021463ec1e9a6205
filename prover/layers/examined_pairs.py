"""The pairs of inputs that a proof looks at one by one, and what it would certify about them, differentiable."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from prover.layers.group_actions import FloatArray
from prover.layers.hidden_layer import HiddenLayer, hidden_layer
from prover.layers.two_input_problem import TwoInputProblem
from prover.surrogate import Claims, Surrogate, soft_maximum
from prover.weights import Weights

_AT_ONCE = 4096


@dataclass(frozen=True)
class ExaminedPairs:
    """First and second inputs and true outputs "p"."""

    first: Tensor
    second: Tensor
    true: Tensor

    @classmethod
    def every(cls, problem: TwoInputProblem) -> "ExaminedPairs":
        """All pairs; of mirror images only one, where the network is symmetric."""
        table = torch.as_tensor(problem.task.table, dtype=torch.long, device=problem.device)
        pairs = (torch.ones_like(table).triu() if problem.mirrored else torch.ones_like(table)).nonzero()
        return cls(pairs[:, 0], pairs[:, 1], table[pairs[:, 0], pairs[:, 1]])

    def lead(self, values: Tensor, rivals: Tensor, temperature: float = 0.0) -> Tensor:
        """By how much the true output leads in values "p z" over others' in rivals "p z", whose maximum is soft."""
        true = self.true[:, None]
        others = rivals.scatter(1, true, -torch.inf)
        return values.gather(1, true)[:, 0] - soft_maximum(others, 1, temperature)

    def inputs(self, mirrored: bool) -> Tensor:
        """How many inputs each of them stands for, "p"."""
        return torch.where(self.first == self.second, 1, 2 if mirrored else 1)

    def split(self) -> Iterator["ExaminedPairs"]:
        """Parts that fit into memory."""
        parts = zip(*(tensor.split(_AT_ONCE) for tensor in (self.first, self.second, self.true)), strict=True)
        return (ExaminedPairs(*part) for part in parts)


Leads = Callable[[HiddenLayer, ExaminedPairs, float], Tensor]
"""From all neurons, pairs and a temperature to what must be positive "p" for the pairs to be certified."""

_PULL, _NOTHING = 10.0, 1e-300


def leads_of_all(problem: TwoInputProblem, leads: Leads) -> FloatArray:
    """The leads "a b" of all pairs."""
    pairs = ExaminedPairs.every(problem)
    found = torch.cat([leads(problem.layer, part, 0.0) for part in pairs.split()]).cpu().numpy()
    first, second = pairs.first.cpu().numpy(), pairs.second.cpu().numpy()
    result = np.empty(problem.task.table.shape)
    if problem.mirrored:
        result[second, first] = found
    result[first, second] = found
    return result


def surrogate_by_pairs(
    problem: TwoInputProblem, leads: Leads, rest: Callable[[HiddenLayer], Tensor] | None = None
) -> Surrogate:
    """One claim for each pair. All of them at every step: claims about some would not be a bound for all.

    rest: what a structure leaves out of the unembedding, "i z"; its share of the square is to become small as well.
    """
    pairs = ExaminedPairs.every(problem)
    share = pairs.inputs(problem.mirrored).to(problem.layer.left.dtype) / problem.total
    usual = torch.cat([leads(problem.layer, part, 0.0) for part in pairs.split()]).abs().mean().clamp_min(_NOTHING)
    size = problem.layer.unembed.square().sum().clamp_min(_NOTHING)

    def claims(weights: Weights, temperature: float) -> Claims:
        layer = hidden_layer(weights, problem.model.config)
        left_out = None if rest is None else _PULL * rest(layer).square().sum() / size
        return Claims(leads(layer, pairs, temperature)[:, None] / usual, share, left_out)

    return claims
