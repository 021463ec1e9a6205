"""Strategy `fourier`: every neuron writes along few frequencies (addition modulo p; rule wave-output, by pairs).

What matters most is exact: neurons are evaluated on every pair, at six operations for each frequency that they write. Where
neurons nearly read a single frequency, what they write beside their main frequency is taken from the sum over angles, as in
`quadrature`: only the deviation from that, times the little that is written there, is an error.
"""

import itertools
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from prover.error_terms import ErrorTerms, greatest_cause
from prover.layers.examined_pairs import ExaminedPairs
from prover.layers.two_input_problem import TwoInputProblem
from prover.layers.wave_proof import Candidates, WaveProof, require_addition
from prover.strategy import DoesNotFit, Evidence, Strategy, switch
from prover.surrogate import Surrogate

_EXACT, _IDEAL = (300, 200, 150, 100, 70, 50, 35, 20, 10, 3, 1), (100, 30, 10, 3, 1)
_OPEN = (0.03, 0.2)
"""Shares of the median margin that the bases of a transformer may leave open."""
_NEARLY = 200
"""Nearly as much: within total / 200 pairs."""


@dataclass(frozen=True)
class Fourier(Strategy):
    """See the module's docstring."""

    name: ClassVar[str] = "fourier"
    cost: ClassVar[str] = "n^2 m"
    summary: ClassVar[str] = "every neuron writes along few frequencies, mostly one (cyclic groups)"
    rules: ClassVar[tuple[str, ...]] = ("hidden-tables", "wave-output")
    origin: ClassVar[str] = (
        "Neurons of one frequency: Nanda et al. 2023. The sum over angles: Yip et al. 2024. The exact part, and the "
        "bound, are of this project."
    )
    vacuous: ClassVar[str] = (
        "If neurons write along many frequencies. Try `--set exact=1 --set ideal=1`, which leaves least to bounds, "
        "then `low-rank-output`."
    )

    exact: int = switch(
        0, "how much of all deviations, squared, may be left to ideal entries, in thousandths; 0: what makes the proof shortest"
    )
    ideal: int = switch(0, "how much of what neurons write, squared, may have no entry, in parts of 100,000; 0: likewise")
    buckets: int = switch(2, "in how many parts the differences of inputs are taken")
    projected: int = switch(1, "1: the tables of a transformer by few directions; 0: folded exactly")

    @classmethod
    def sweep(cls, problem: TwoInputProblem) -> tuple[Self, ...]:
        """More and less of everything."""
        return (*(cls(exact, ideal) for exact in (100, 20, 3) for ideal in (100, 10, 1)), cls())

    def prove(self, problem: TwoInputProblem) -> Evidence:
        """Choose entries, and list the buckets for which the bound holds beyond rounding."""
        return self._found(problem).evidence

    def surrogate(self, problem: TwoInputProblem) -> Surrogate:
        """One claim for each bucket; entries and buckets are those found, vectors follow the weights."""
        return self._found(problem).surrogate()

    def error_terms(self, problem: TwoInputProblem) -> ErrorTerms:
        """What makes the margin of the pair and rival for which least is left."""
        found = self._found(problem)
        bound, slack = found.bound, found.problem.slack(found.problem.neurons)
        left = bound.of_each
        rival = int(left.amin(0).argmin())
        gap, deviations = float((left[:, rival] + bound.allowed[rival]).min()), float(bound.deviations[rival])
        written, beside = float(bound.uncovered), float(bound.beside)
        terms = ErrorTerms(gap, deviations / 2, deviations / 2, written, 0.0, beside, slack, 0.0)
        if terms.margin > problem.tolerance:
            return replace(terms, conclusion=f"of a gap of {gap:.3g} at the worst pair, errors leave {terms.margin:.3g}")
        causes = {
            "what neurons read beside one frequency": deviations,
            "what neurons write beside their entries": written,
            "the path around the MLP": beside,
            "neurons and directions left out": slack,
        }
        outcome = "not all pairs" if found.covered else "vacuous"
        return replace(terms, conclusion=f"{outcome}: {greatest_cause(causes)}, and the gap is {gap:.3g}")

    def _found(self, problem: TwoInputProblem) -> WaveProof:
        """The shortest proof that proves nearly as much as any that was tried."""
        if min(self.exact, self.ideal, self.buckets - 1) < 0 or self.projected not in (0, 1):
            raise DoesNotFit("fourier needs exact and ideal of at least 0, one bucket or more, and projected 0 or 1")
        require_addition(problem)
        settings = list(itertools.product((self.exact,) if self.exact else _EXACT, (self.ideal,) if self.ideal else _IDEAL))
        ways = [problem.projected(share) for share in _OPEN] if self.projected else [problem]
        tried: list[WaveProof] = []
        for folded in ways:
            candidates, pairs = Candidates.of(folded), ExaminedPairs.every(folded)
            chosen = [candidates.chosen(exact / 1e3, ideal / 1e5) for exact, ideal in settings]
            tried += [WaveProof.of(folded, pairs, entries, self.buckets) for entries in chosen]
        most = max(found.covered for found in tried)
        return min((f for f in tried if _NEARLY * (most - f.covered) <= problem.total), key=lambda found: found.operations)
