"""Strategy `regions`: inputs that a one-layer transformer treats alike, found by a finer automaton for each query."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from certificates import RawTensor, Step, Transformer
from certificates.tensor_file import IntArray
from checker.transformer.all_reads import all_reads
from checker.transformer.forward import Forward
from checker.transformer.regions import Read, regions
from checker.transformer.transformer_forward import transformer_forward
from prover.problem import Problem
from prover.strategy import DoesNotFit, Evidence, Strategy
from prover.transformer.finer_automaton import FinerAutomaton, ReadSums
from prover.transformer.problem import TransformerProblem

_COARSEST, _CUT_FROM = 2, 6
"""The first grid; and the first one in which boxes are cut."""


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
    cuts: int = 8
    states: int = 20_000

    def prove(self, problem: Problem) -> Evidence:
        """Refine until every region is proved, or the grid is as fine as allowed."""
        config = problem.model.config
        if not isinstance(problem, TransformerProblem) or not isinstance(config, Transformer) or config.n_layers != 1:
            raise DoesNotFit(f"{self.name} is for models of the architecture `transformer` with one layer")
        if problem.automaton is None:
            raise DoesNotFit(f"{self.name} is about tasks that are automata: give one with --task FILE.json")
        first, found = transformer_forward(problem.setting, problem.classifier, ()), dict[int, dict[int, FinerAutomaton]]()
        reads = [(number, *read) for number, read in enumerate(problem.automaton.reads.tolist())]
        asked = [(number, p, steps, query) for number, p, steps in reads for query in problem.queries(p)]
        order = problem.cut_order(self.cuts)
        for number, position, steps, query in problem.track(asked, self.name):
            own = self._search(problem, first.forward, ReadSums(problem, position, query), number, steps, order)
            if own.sizes[-1]:
                found.setdefault(number, {})[query] = own
        if len(found) < len(reads):
            raise DoesNotFit(
                f"{self.name} proves nothing at read {min(set(range(len(reads))) - set(found))}: every region fails"
            )
        proof = [regions_step(number, found[number], order) for number in range(len(reads))]
        facts = tuple(regions(problem.setting, step, (first,)) for step in problem.track(proof, f"{self.name}, check"))
        last = Step("all-reads", tuple(range(1, len(reads) + 1)))
        correct = all_reads(problem.setting, last, facts).correct
        return Evidence((problem.classifier, *proof, last), correct, problem.total, np.zeros((0, 0), object))

    def _search(
        self, problem: TransformerProblem, forward: Forward, sums: ReadSums, number: int, steps: int, order: IntArray
    ) -> FinerAutomaton:
        read = Read(problem.setting, forward, problem.setting.task, sums.position, np.array([sums.query]))
        best, proved = sums.refined(None, [], steps, 2.0**-_COARSEST), np.zeros(0, np.bool_)
        for fine in [_COARSEST, *range(_COARSEST + 2, self.fine + 1)]:
            if fine > _COARSEST:
                finer = sums.refined(best, best.settled(proved), steps, 2.0**-fine)
                if sum(finer.sizes) > self.states:
                    break
                best = finer
            node, boxes, _ = read.walked(best.tables, best.sizes)
            rows, outputs = np.flatnonzero(~best.known), problem.automaton.outputs[number][node]
            proved = best.known.copy()
            cuts = order.tolist() if fine >= min(_CUT_FROM, self.fine) else []
            proved[rows] = read.leads(0 * rows, boxes[rows], outputs[rows], cuts)
            if proved.all():
                break
        return best.without(~proved)


def regions_step(number: int, found: dict[int, FinerAutomaton], cuts: IntArray) -> Step:
    """The rule's step for a read by its number, for finer automata by their queries."""
    every = [found[query] for query in sorted(found)]
    sizes, rows = np.array([own.sizes for own in every]), list[IntArray]()
    for step in range(sizes.shape[1]):
        before = np.cumsum([0, *sizes[:-1, step]])
        rows += [np.where(own.tables[step] < 0, -1, own.tables[step] + start) for own, start in zip(every, before, strict=True)]
    hints = {"queries": np.array(sorted(found)), "sizes": sizes.sum(axis=0), "finer": np.concatenate(rows), "cuts": cuts}
    return Step("regions", (0,), {"read": number}, {name: RawTensor.of_integers(hint) for name, hint in hints.items()})
