"""What is proved at single reads of a task, put together."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

import numpy as np

from certificates import Certificate, Statement, Step
from certificates.tensor_file import IntArray
from checker import Budget, CheckError, shows
from prover.strategy import DoesNotFit, Evidence
from prover.transformer.problem import TransformerProblem


class Tables(Protocol):
    """A finer automaton for one query: for each step a table "s v", and the number of states after it."""

    @property
    def tables(self) -> Sequence[IntArray]: ...
    @property
    def sizes(self) -> Sequence[int]: ...


def merged_tables(every: Sequence[Tables]) -> dict[str, IntArray]:
    """The hints `sizes` and `finer` for finer automata in the order of their queries."""
    sizes, rows = np.array([own.sizes for own in every]), list[IntArray]()
    for step in range(sizes.shape[1]):
        before = np.cumsum([0, *sizes[:-1, step]])
        rows += [np.where(own.tables[step] < 0, -1, own.tables[step] + start) for own, start in zip(every, before, strict=True)]
    return {"sizes": sizes.sum(axis=0), "finer": np.concatenate(rows)}


def evidence_of_reads(problem: TransformerProblem, reads: Sequence[Step], layer: Step | None = None) -> Evidence:
    """From a step for each read of the task, in this order: inputs that are right at all of them.

    layer: a step about what the last layer works on, which the reads' steps take in place of the forward pass. Those that are
    not proved at some read are counted once, if that is affordable: several reads may leave the same ones.
    Raises DoesNotFit if the checker refuses the steps, as it does if scores are out of its range.
    """
    if len(reads) > 1 and problem.automaton is not None:
        with suppress(DoesNotFit):
            found = _together(problem, _with_all(problem, reads, layer, "joint-reads"), Budget())
            if found.correct < problem.total:
                return found
            # all-reads shows as much, if at every read all inputs are right
            return replace(found, steps=_with_all(problem, reads, layer, "all-reads"))
    return _together(problem, _with_all(problem, reads, layer, "all-reads"), Budget(operations=10**15, memory=2**40))


def _with_all(problem: TransformerProblem, reads: Sequence[Step], layer: Step | None, rule: str) -> tuple[Step, ...]:
    before = (problem.classifier,) if layer is None else (problem.classifier, layer)
    own = (replace(read, premises=(len(before) - 1,)) for read in reads)
    return (*before, *own, Step(rule, tuple(range(len(before), len(before) + len(reads)))))


def _together(problem: TransformerProblem, steps: tuple[Step, ...], budget: Budget) -> Evidence:
    statement = Statement(problem.model.digest(), problem.stated_task, 0, problem.total, problem.margin)
    certificate = Certificate(statement, problem.precision, steps, problem.given_tensors)
    try:
        correct = shows(certificate, problem.model, budget)
    except CheckError as error:
        raise DoesNotFit(f"the checker refuses what was found: {error}") from error
    return Evidence(steps, correct, problem.total, np.zeros((0, 0), object))
