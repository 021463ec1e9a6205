"""Strategy `exact`: classes where they suffice, and every other correct input one by one.

On models that classes explain almost completely this proves the same number as brute force, for little more than the price of
the classes. What is left over is decided by evaluating the inputs that no class covers.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from certificates import Step
from prover.attention.full_prefixes import full_prefixes
from prover.attention.sequence_problem import SequenceProblem
from prover.attention.single_inputs import count_by_cell, further_inputs, surely_correct
from prover.strategies.classes import Classes
from prover.strategy import DoesNotFit, Evidence, Strategy
from prover.surrogate import Surrogate

_LARGEST = 10**8
_MOST_FURTHER = 10**6


@dataclass(frozen=True)
class Exact(Strategy):
    """See the module's docstring."""

    name: ClassVar[str] = "exact"
    cost: ClassVar[str] = "V^3 out + rest K out"
    summary: ClassVar[str] = "classes, and what they miss input by input: the exact number without enumerating everything"
    rules: ClassVar[tuple[str, ...]] = ("additive-tables", "group-chains", "disjoint-sum", "further-inputs")
    origin: ClassVar[str] = "Of this project."
    vacuous: ClassVar[str] = (
        "Only if no input is right, or none by more than the margin. See with `prover inspect` whether it is the right task."
    )

    def surrogate(self, problem: SequenceProblem) -> Surrogate:
        """Cells in which every smaller token is harmless."""
        return full_prefixes(problem)

    def fitting(self, problem: SequenceProblem) -> SequenceProblem:
        """See Strategy."""
        if problem.total > _LARGEST:
            raise DoesNotFit(f"exact looks at all {problem.total:.1e} inputs, more than {_LARGEST:.0e}; use classes")
        return problem

    def prove(self, problem: SequenceProblem) -> Evidence:
        """Search classes, then evaluate what they do not cover."""
        self.fitting(problem)
        by_classes = Classes().prove(problem)
        parts = [_Coverage.of(problem, step) for step in by_classes.steps if step.rule == "group-chains"]
        found = []
        for query in problem.track(range(problem.d_vocab), "inputs that no class covers"):
            inputs = _inputs(problem, query)
            for part in parts:
                inputs = inputs[~part.holds(inputs)]
            found.append(inputs[surely_correct(problem, inputs)])
        further = torch.cat(found)
        if len(further) > _MOST_FURTHER:
            raise DoesNotFit(f"classes miss {len(further)} correct inputs, more than {_MOST_FURTHER:.0e}; use brute-force")
        if not len(further):
            return by_classes
        steps = by_classes.steps if parts else (Step("additive-tables"), *by_classes.steps)
        cells = by_classes.cells + count_by_cell(problem, further)
        return Evidence(
            (*steps, further_inputs(problem, len(steps) - 1, further)), by_classes.correct + len(further), problem.total, cells
        )


@dataclass(frozen=True)
class _Coverage:
    """Which inputs the classes of a step hold.

    row "q m c a": the grouping, or -1; level "g v"; needed "g side level": cumulative numbers.
    """

    problem: SequenceProblem
    row: Tensor
    level: Tensor
    needed: Tensor

    @staticmethod
    def of(problem: SequenceProblem, step: Step) -> "_Coverage":
        row, level, numbers = (
            torch.as_tensor(step.hints[name].integers(), device=problem.device) for name in ("grouping", "levels", "numbers")
        )
        return _Coverage(problem, row, level, numbers.cumsum(2))

    def holds(self, numbers: Tensor) -> Tensor:
        """Which of some inputs "n k", of one query, are in a class."""
        free, query = numbers[:, :-1], numbers[:, -1]
        true = numbers.sort(1).values[:, self.problem.n_ctx - self.problem.task.rank, None]
        row = self.row[query, true[:, 0], (free == true).sum(1), (free > true).sum(1)]
        level = self.level[row[:, None], free]
        held = row >= 0
        for side in range(self.needed.shape[1]):
            on_side = free > true if side else free < true
            held &= ~(on_side & (level == 0)).any(1)
            for upto in range(self.needed.shape[2]):
                held &= (on_side & (level <= upto + 1)).sum(1) >= self.needed[row, side, upto]
        return held


def _inputs(problem: SequenceProblem, query: int) -> Tensor:
    """All inputs "n k" with this query."""
    every = torch.arange(problem.d_vocab, device=problem.device)
    free = torch.cartesian_prod(*[every] * (problem.n_ctx - 1)).reshape(-1, problem.n_ctx - 1)
    return torch.cat([free, torch.full_like(free[:, :1], query)], 1)
