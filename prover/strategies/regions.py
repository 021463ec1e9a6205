"""Strategy `regions`: inputs that a one-layer transformer treats alike, found by a finer automaton for each query."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from certificates import Certificate, RawTensor, Statement, Step, Transformer
from certificates.tensor_file import IntArray
from checker import Budget, shows
from prover.problem import Problem
from prover.strategy import DoesNotFit, Evidence, Strategy
from prover.transformer.finer_automaton import FinerAutomaton, ReadSums
from prover.transformer.problem import TransformerProblem

_COARSEST, _CUT_FROM, _FEW = 2, 6, 5
"""The first grid; the first one in which boxes are cut, and how often: what takes more is refined instead, if it may be."""
_ROOM = 2.0**-24
"""How far leads are from zero, relative to the greatest, that the checker surely proves at 30 bits."""


@dataclass(frozen=True)
class Regions(Strategy):
    """See checker/transformer/regions. fine: grids are made finer up to 2^-fine; cuts: how often boxes are cut in halves;
    states: the most states of a finer automaton, for each read and query.
    """

    name: ClassVar[str] = "regions"
    cost: ClassVar[str] = "reads V states K d_head"
    summary: ClassVar[str] = "all inputs that a transformer of one layer treats alike, at once: for tasks of one's own"
    any_task: ClassVar[bool] = True

    fine: int = 10
    cuts: int = 12
    states: int = 20_000

    def prove(self, problem: Problem) -> Evidence:
        """Refine until every region is proved, or the grid is as fine as allowed."""
        config = problem.model.config
        if not isinstance(problem, TransformerProblem) or not isinstance(config, Transformer) or config.n_layers != 1:
            raise DoesNotFit(f"{self.name} is for models of the architecture `transformer` with one layer")
        if problem.automaton is None:
            raise DoesNotFit(f"{self.name} is about tasks that are automata: give one with --task FILE.json")
        reads = range(len(problem.automaton.reads))
        asked = [ReadSums(problem, read, query) for read in reads for query in problem.queries(read)]
        found: dict[int, dict[int, FinerAutomaton]] = {read: {} for read in reads}
        for sums in problem.track(asked, self.name):
            own = self._search(sums)
            if own.sizes[-1]:
                found[sums.read][sums.query] = own
        nothing = [read for read in reads if not found[read]]
        if nothing:
            raise DoesNotFit(f"{self.name} proves nothing at the reads {nothing} (numbered from 0): every region fails")
        proof = tuple(regions_step(read, found[read], self.cuts, problem.influence) for read in reads)
        steps = (problem.classifier, *proof, Step("all-reads", tuple(range(1, len(reads) + 1))))
        statement = Statement(problem.model.digest(), {"automaton": problem.automaton.digest}, 0, problem.total, problem.margin)
        certificate = Certificate(statement, problem.precision, steps, problem.given_tensors)
        correct = shows(certificate, problem.model, Budget(operations=10**15, memory=2**40))
        return Evidence(steps, correct, problem.total, np.zeros((0, 0), object))

    def _search(self, sums: ReadSums) -> FinerAutomaton:
        best = sums.refined(None, [], 2.0**-_COARSEST)
        proved = sums.proved(best, 0, _ROOM)
        for fine in range(_COARSEST + 2, self.fine + 1):
            if proved.all():
                return best
            finer = sums.refined(best, best.settled(proved), 2.0**-fine)
            if sum(finer.sizes) > self.states:
                break
            best, proved = finer, sums.proved(finer, min(self.cuts, _FEW) if fine >= _CUT_FROM else 0, _ROOM)
        proved = sums.proved(replace(best, known=proved), self.cuts, _ROOM)
        return best.without(~proved)


def regions_step(number: int, found: dict[int, FinerAutomaton], cuts: int, scale: IntArray) -> Step:
    """The rule's step for a read by its number, for finer automata by their queries."""
    every = [found[query] for query in sorted(found)]
    sizes, rows = np.array([own.sizes for own in every]), list[IntArray]()
    for step in range(sizes.shape[1]):
        before = np.cumsum([0, *sizes[:-1, step]])
        rows += [np.where(own.tables[step] < 0, -1, own.tables[step] + start) for own, start in zip(every, before, strict=True)]
    hints = {"queries": np.array(sorted(found)), "sizes": sizes.sum(axis=0), "finer": np.concatenate(rows), "scale": scale}
    return Step(
        "regions", (0,), {"cuts": cuts, "read": number}, {name: RawTensor.of_integers(hint) for name, hint in hints.items()}
    )
