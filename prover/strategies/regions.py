"""Strategy `regions`: inputs that a transformer treats alike, found by a finer automaton for each query of its last layer."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from certificates import Step, Transformer, integer_tensor
from certificates.tensor_file import IntArray
from prover.problem import BoolArray, Problem
from prover.strategy import DoesNotFit, Evidence, Strategy, switch
from prover.surrogate import Surrogate
from prover.transformer.finer_automaton import FinerAutomaton, ReadSums
from prover.transformer.kept_searches import Found, KeptSearches
from prover.transformer.last_layer import COUNTED, RECENT, classes_that_fit, last_layer
from prover.transformer.problem import TransformerProblem
from prover.transformer.read_evidence import Tables, evidence_of_reads, merged_tables
from prover.transformer.region_margins import region_margins

_COARSEST, _CUT_FROM, _FEW = 2, 6, 5
"""The first grid; the first one in which boxes are cut, and how often: what takes more is refined instead, if it may be."""
_AT_MILESTONES = 3000, 0
"""States and cuts in fine-tuning."""
_SPARE = 4
"""Cuts that the checker may make beyond those of the search, where rounding decides."""


@dataclass(frozen=True)
class Regions(Strategy):
    """See checker/transformer/regions."""

    name: ClassVar[str] = "regions"
    cost: ClassVar[str] = "reads V states K d_head"
    summary: ClassVar[str] = "all inputs that a transformer treats alike, at once: for tasks of one's own"
    rules: ClassVar[tuple[str, ...]] = (
        "transformer-forward",
        "executed-forward",
        "prefix-classes",
        "regions",
        "all-reads",
        "joint-reads",
        "further-inputs",
        "disjoint-sum",
    )
    origin: ClassVar[str] = (
        "Bounds of boxes through transformers, in floating point: Shi et al. 2020. Regions of inputs, found and "
        "counted by a finer automaton, are of this project."
    )
    vacuous: ClassVar[str] = (
        "If attention leaks: many tokens have small weights, and each of them could be anything. Try `--set fine=12 "
        "--set states=100000`, then `potentials`, then fine-tune with this strategy. Of several layers: if those before the "
        "last see more than classes of prefixes tell; try `--set recent=2`."
    )
    any_task: ClassVar[bool] = True
    resumes: ClassVar[bool] = True
    rate: ClassVar[float] = 2e-3

    fine: int = switch(10, "grids are made finer up to 2^-fine")
    cuts: int = switch(12, "how often boxes are cut in halves")
    states: int = switch(20_000, "the most states of a finer automaton, for each read and query")
    recent: int = switch(1, RECENT)
    counted: int = switch(1, COUNTED)

    @classmethod
    def sweep(cls, problem: Problem) -> tuple[Self, ...]:
        """Grids from coarse to fine; boxes that are cut, or not."""
        return (cls(), *(cls(fine=fine, cuts=0) for fine in (4, 6, 8)), cls(cuts=0))

    def prove(self, problem: Problem) -> Evidence:
        """Refine until every region is proved, or the grid is as fine as allowed."""
        asked = self.asked(problem)
        problem, layer = asked[0].problem, asked[0].layer
        reads = range(len(problem.reads))
        found: dict[int, dict[int, Tables]] = {read: {} for read in reads}
        kept = KeptSearches(problem, self)
        with kept.or_written():
            for sums in problem.track(asked, self.name):
                own = kept.known(sums.read, sums.query)
                if own is None:
                    whole, proved = self.searched(sums)
                    left = whole.without(~proved)
                    own = Found(list(left.tables), list(left.sizes))
                    kept.add(sums.read, sums.query, own)
                if own.sizes[-1]:
                    found[sums.read][sums.query] = own
        vacuous = [read for read in reads if not found[read]]
        for read in vacuous:  # a step has regions, and these count nothing
            sums = ReadSums(problem, layer, read, layer.queries(read)[0])
            found[read] = {sums.query: sums.refined(None, [], 1.0)}
        proof = tuple(
            regions_step(read, found[read], 0 if read in vacuous else self.cuts + _SPARE, problem.influence) for read in reads
        )
        return evidence_of_reads(problem, proof, layer.step)

    def asked(self, problem: Problem) -> list[ReadSums]:
        """What regions are found for: every read and query. Raises DoesNotFit as `prove` does."""
        about = self.fitting(problem)
        layer = last_layer(about, self.recent, self.counted)
        return [ReadSums(about, layer, read, query) for read in range(len(about.reads)) for query in layer.queries(read)]

    def at_milestones(self) -> "Regions":
        """Few states: models that are not tuned yet take many, for nothing."""
        return replace(self, states=min(self.states, _AT_MILESTONES[0]), cuts=min(self.cuts, _AT_MILESTONES[1]))

    def surrogate(self, problem: Problem) -> Surrogate:
        """Leads of regions, mostly of those that fail."""
        about = self.fitting(problem)
        rng = np.random.default_rng(int(about.model.digest()[:16], 16))
        return region_margins(about, last_layer(about, self.recent, self.counted), rng)

    def fitting(self, problem: Problem) -> TransformerProblem:
        """See Strategy."""
        config = problem.model.config
        if not isinstance(problem, TransformerProblem) or not isinstance(config, Transformer):
            raise DoesNotFit(f"{self.name} is for models of the architecture `transformer`")
        if problem.automaton is None:
            raise DoesNotFit(f"{self.name} is about tasks that are automata: give one with --task FILE.json")
        classes_that_fit(problem, self.recent, self.counted)
        return problem

    def searched(self, sums: ReadSums) -> tuple[FinerAutomaton, BoolArray]:
        """The finer automaton for a read and query, and which of its regions are proved."""
        best = sums.refined(None, [], 2.0**-_COARSEST)
        proved = sums.proved(best, 0, sums.problem.room)
        for fine in range(_COARSEST + 2, self.fine + 1):
            if proved.all():
                return best, proved
            finer = sums.refined(best, best.settled(proved), 2.0**-fine)
            if sum(finer.sizes) > self.states:
                break
            best, proved = finer, sums.proved(finer, min(self.cuts, _FEW) if fine >= _CUT_FROM else 0, sums.problem.room)
        return best, sums.proved(replace(best, known=proved), self.cuts, sums.problem.room)


def regions_step(number: int, found: Mapping[int, Tables], cuts: int, scale: IntArray) -> Step:
    """The rule's step for a read by its number, for finer automata by their queries."""
    every = [found[query] for query in sorted(found)]
    hints = {"queries": np.array(sorted(found)), **merged_tables(every), "scale": scale}
    return Step("regions", (0,), {"cuts": cuts, "read": number}, {name: integer_tensor(hint) for name, hint in hints.items()})
