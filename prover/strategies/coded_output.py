"""What strategies have in common whose evidence is a code for what neurons write, and perhaps read (rule coded-output)."""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from certificates.tensor_file import IntArray
from prover.layers.examined_pairs import ExaminedPairs, surrogate_by_pairs
from prover.layers.group_actions import BoolArray
from prover.layers.hidden_layer import HiddenLayer
from prover.layers.output_factors import Factors, coded_leads, proved_pairs
from prover.layers.two_input_problem import TwoInputProblem
from prover.strategies.evaluated_pairs import pairs_evidence
from prover.strategy import Evidence, Strategy
from prover.surrogate import Surrogate

_SCALE_BITS = 24
_OPEN = 0.05
"""Share of the median margin that the bases of a transformer may leave open."""
_NEARLY = 200
"""Nearly as much: within total / 200 pairs."""


@dataclass(frozen=True)
class Code:
    """Some neurons, factors in units of 2**-scale, and the atoms `listed` "i s" of each neuron, beside which codes are 0."""

    neurons: IntArray
    listed: IntArray
    factors: Factors
    scale: int

    @staticmethod
    def of(neurons: IntArray, listed: IntArray, factors: Factors) -> "Code":
        """Rounds the factors."""
        return Code(neurons, listed, *factors.rounded(_SCALE_BITS))


class CodedOutput(Strategy):
    """Subclasses have these switches, and find codes. follows: whether what neurons write along their atoms follows the weights
    in fine-tuning.
    """

    pairwise: int
    projected: int
    follows: ClassVar[bool] = False

    @abstractmethod
    def codes(self, problem: TwoInputProblem) -> Iterator[Code]:
        """What is tried, the cheapest first. Raises DoesNotFit for unknown switches, and where there is no such code."""

    def prove(self, problem: TwoInputProblem) -> Evidence:
        """Find a code, and list the pairs for which the bound holds beyond rounding."""
        problem = self._folded(problem)
        code, right = self._best(problem)
        parameters = {"pairwise": self.pairwise, "scale": code.scale}
        hints = code.factors.hints(code.listed, code.scale)
        return pairs_evidence(problem, (problem.hidden_step(code.neurons),), "coded-output", right, parameters, hints)

    def surrogate(self, problem: TwoInputProblem) -> Surrogate:
        """The pairs, by the code found."""
        folded = self._folded(problem)
        code, _ = self._best(folded)
        neurons, left_open = torch.as_tensor(code.neurons), 4 * folded.left_open
        first = problem.layer.unembed[neurons]

        def factors(layer: HiddenLayer) -> Factors:
            if not self.follows:
                return code.factors
            return code.factors.following(_about_mean(layer.unembed[neurons] - first), code.listed)

        def leads(layer: HiddenLayer, pairs: ExaminedPairs, temperature: float) -> Tensor:
            found = coded_leads(layer, neurons, factors(layer), self.pairwise, pairs, temperature)
            return found - 4 * layer.slack(neurons) - left_open

        def rest(layer: HiddenLayer) -> Tensor:
            return _about_mean(layer.unembed[neurons] - factors(layer).product)

        return surrogate_by_pairs(problem, leads, rest if self.follows else None)

    def _folded(self, problem: TwoInputProblem) -> TwoInputProblem:
        return problem.projected(_OPEN) if self.projected else problem

    def _best(self, problem: TwoInputProblem) -> tuple[Code, BoolArray]:
        """The first code that proves nearly as much as any, and the pairs "a b" that can be proved with it."""
        found = [(code, proved_pairs(problem, code.neurons, code.factors, self.pairwise)) for code in self.codes(problem)]
        most = max(int(right.sum()) for _, right in found)
        return next(one for one in found if _NEARLY * (most - one[1].sum()) <= problem.total)


def _about_mean(rows: Tensor) -> Tensor:
    return rows - rows.mean(1, keepdim=True)
