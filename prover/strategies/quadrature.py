"""Strategy `quadrature`: every neuron reads one frequency, and the MLP sums over angles (Yip et al. 2024, Gross et al.).

No neuron is evaluated on any pair (rule wave-output without exact entries). Amplitudes and phases are those of the discrete
Fourier transform; what a neuron reads beside its frequency, and its bias, are errors.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch

from prover.error_terms import ErrorTerms, greatest_cause
from prover.layers.examined_pairs import ExaminedPairs
from prover.layers.two_input_problem import TwoInputProblem
from prover.layers.wave_bound import Entries
from prover.layers.wave_proof import Candidates, WaveProof, require_addition
from prover.strategy import DoesNotFit, Evidence, Strategy, switch
from prover.surrogate import Surrogate

_PULL = 20.0
"""Weight of the distance from single waves: most errors are maxima, which move one weight at a time; squares move all."""
_UNSAID, _UNTAUGHT = (1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 2e-6, 1e-6, 7e-7, 5e-7, 3e-7), 1e-4
"""Shares of what neurons write, squared, that may have no entry: in proofs, and in what fine-tuning moves networks towards."""
_BUCKETS = 2


@dataclass(frozen=True)
class Quadrature(Strategy):
    """See the module's docstring."""

    name: ClassVar[str] = "quadrature"
    cost: ClassVar[str] = "n^2 m; outputs=1: n m"
    summary: ClassVar[str] = "every neuron reads a single frequency; one sum over angles for each difference of the inputs"
    rules: ClassVar[tuple[str, ...]] = ("hidden-tables", "wave-output")
    origin: ClassVar[str] = (
        "Yip et al. 2024. The bound of what neurons read and write beside their frequency is of this project."
    )
    vacuous: ClassVar[str] = (
        "If neurons read several frequencies, or have biases: all of it is an error. `prover interpret` says how "
        "much. `fourier` evaluates neurons instead; fine-tuning makes them simpler."
    )

    outputs: int = switch(
        0,
        "1: what a neuron writes is a single wave as well: no sums for pairs; 0: as many waves as needed",
    )

    @classmethod
    def sweep(cls, problem: TwoInputProblem) -> tuple[Self, ...]:
        """Both ways."""
        return cls(), cls(outputs=1)

    def prove(self, problem: TwoInputProblem) -> Evidence:
        """Fit waves, and list the differences or pairs for which the bound holds beyond rounding."""
        return self._found(problem).evidence

    def surrogate(self, problem: TwoInputProblem) -> Surrogate:
        """One claim for each difference, or half of one; the neurons and their frequencies are those of the problem."""
        return self._found(problem, (_UNTAUGHT,)).surrogate(_PULL)

    def error_terms(self, problem: TwoInputProblem) -> ErrorTerms:
        """What makes the margin of the difference, or pair, that is proved best, or would be."""
        found = self._found(problem)
        bound, slack = found.bound, problem.slack(problem.neurons)
        left = bound.of_each
        best = int(left.amin(1).argmax())
        rival = int(left[best].argmin())
        gap, unread = float(left[best, rival] + bound.allowed[rival]), float(bound.deviations[rival])
        unwritten, beside = float(bound.uncovered), float(bound.beside)
        terms = ErrorTerms(gap, unread / 2, unread / 2, unwritten, 0.0, beside, slack, 0.0)
        if terms.margin > problem.tolerance:
            return replace(terms, conclusion=f"of a gap of {gap:.3g} at the best difference, errors leave {terms.margin:.3g}")
        causes = {
            "what neurons read beside their frequency, and their biases,": unread,
            "the path around the MLP, and the output's bias,": beside,
            "what neurons write beside their waves": unwritten,
        }
        return replace(terms, conclusion=f"vacuous: {greatest_cause(causes)}, and the gap is at most {gap:.3g}")

    def _found(self, problem: TwoInputProblem, shares: tuple[float, ...] = _UNSAID) -> WaveProof:
        """The proof that certifies most, the shortest of those."""
        if self.outputs not in (0, 1):
            raise DoesNotFit("quadrature needs outputs 0 or 1")
        require_addition(problem)
        candidates, pairs = Candidates.of(problem), ExaminedPairs.every(problem)
        if self.outputs:
            main = torch.nn.functional.one_hot(candidates.reading, candidates.says.shape[1]).bool()
            entries = Entries(torch.zeros_like(main), main, candidates.reading)
            return WaveProof.of(problem, pairs, entries, _BUCKETS, angles=True)
        tried = [WaveProof.of(problem, pairs, candidates.chosen(1.0, share), _BUCKETS) for share in shares]
        most = 2 * problem.hidden.left.size * len(problem.task.table)  # half of what a table of angles by outputs takes
        cheap = [found for found, share in zip(tried, shares, strict=True) if share >= _UNTAUGHT or found.operations <= most]
        return max(cheap, key=lambda found: (found.covered, -found.operations))
