"""Strategy `brute-force` for networks on two inputs: every pair is evaluated, neuron by neuron."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from certificates import RawTensor, Step, integer_tensor
from prover.layers.examined_pairs import ExaminedPairs, surrogate_by_pairs
from prover.layers.hidden_layer import HiddenLayer
from prover.layers.two_input_problem import TwoInputProblem
from prover.strategy import Evidence, Strategy
from prover.surrogate import Surrogate


@dataclass(frozen=True)
class BruteForcePairs(Strategy):
    """All correct pairs; of mirror images only one, where the network is symmetric."""

    name: ClassVar[str] = "brute-force"
    cost: ClassVar[str] = "n^2 m n"
    summary: ClassVar[str] = "every pair, evaluated: the exact number, and the yardstick for all others"
    rules: ClassVar[tuple[str, ...]] = ("hidden-tables", "coded-output")
    origin: ClassVar[str] = "A baseline of this project."
    vacuous: ClassVar[str] = (
        "Only if no pair is right, or none by more than the margin. See with `prover inspect` whether it is the right task."
    )

    def expected_operations(self, problem: TwoInputProblem) -> int:
        """One for each pair, neuron and output."""
        config = problem.model.config
        return problem.total // (1 + problem.mirrored) * config.d_mlp * config.d_vocab_out

    def prove(self, problem: TwoInputProblem) -> Evidence:
        """List the pairs that are right beyond rounding."""
        neurons = problem.neurons
        right = problem.margins > 2 * problem.slack(neurons) + problem.tolerance
        return pairs_evidence(problem, (problem.hidden_step(neurons),), "coded-output", right, {}, {})

    def surrogate(self, problem: TwoInputProblem) -> Surrogate:
        """The margins of all pairs."""
        neurons = torch.as_tensor(problem.neurons)

        def leads(layer: HiddenLayer, pairs: ExaminedPairs, temperature: float) -> Tensor:
            logits = layer.times * layer.logits(pairs.first, pairs.second)
            return pairs.lead(logits, logits, temperature) - 2 * layer.slack(neurons)

        return surrogate_by_pairs(problem, leads)


def pairs_evidence(
    problem: TwoInputProblem,
    steps: tuple[Step, ...],
    rule: str,
    right: np.ndarray,
    parameters: dict[str, int],
    hints: dict[str, RawTensor],
) -> Evidence:
    """Evidence of a rule that looks at pairs, those marked in `right` "a b"; the first step establishes the tables."""
    marked = problem.marked(right)
    certified = marked | marked.T if problem.mirrored else marked
    pairs = {"pairs": integer_tensor(marked.astype(np.uint8))}
    step = Step(rule, (0,), {"mirrored": int(problem.mirrored), **parameters}, {**hints, **pairs})
    return Evidence((*steps, step), int(certified.sum()), problem.total, certified)
