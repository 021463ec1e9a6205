"""Strategy `quadrature`: every neuron reads one frequency, and the MLP sums over angles (Yip et al. 2024, Gross et al.).

Certifies whole differences a - b at a time, pair by pair nothing. Amplitudes and phases are those of the discrete Fourier
transform; what a neuron reads beside its frequency, and its bias, are errors.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from certificates import RawTensor, Step
from prover.error_terms import ErrorTerms
from prover.group_actions import FloatArray
from prover.pair_problem import Hidden, PairProblem
from prover.strategy import DoesNotFit, Evidence, Strategy

_SCALE_BITS = 40


@dataclass(frozen=True)
class Waves:
    """frequency "i"; alpha, beta "i": left[a] is about alpha cos(2 pi k a / p) + beta sin(2 pi k a / p)."""

    frequency: np.ndarray
    alpha: FloatArray
    beta: FloatArray

    def ideal(self, p: int) -> FloatArray:
        """What neurons of one frequency each read, "a i"."""
        angle = 2 * np.pi * np.outer(np.arange(p), self.frequency) / p
        ideal: FloatArray = self.alpha * np.cos(angle) + self.beta * np.sin(angle)
        return ideal


@dataclass(frozen=True)
class Quadrature(Strategy):
    """See the module's docstring."""

    name: ClassVar[str] = "quadrature"
    cost: ClassVar[str] = "n^2 m"
    summary: ClassVar[str] = "every neuron reads a single frequency; one sum over angles for each difference of the inputs"

    def prove(self, problem: PairProblem) -> Evidence:
        """Fit waves, and list the differences for which the bound holds beyond rounding."""
        hidden, waves = self._fitted(problem)
        p = len(problem.task.table)
        margins = lead_by_difference(hidden, waves) - sum(self._errors(problem, hidden, waves).values())
        claimed = margins.min(1) > problem.slack(problem.neurons) + problem.tolerance
        scale = _SCALE_BITS - int(np.frexp(max(np.abs(waves.alpha).max(), np.abs(waves.beta).max()))[1])
        hints = {
            "frequency": waves.frequency,
            "alpha": np.rint(np.ldexp(waves.alpha, scale)).astype(np.int64),
            "beta": np.rint(np.ldexp(waves.beta, scale)).astype(np.int64),
            "claimed": claimed.astype(np.uint8),
        }
        stored = {name: RawTensor.of_integers(hint) for name, hint in hints.items()}
        half = np.subtract.outer(np.arange(p), np.arange(p)) * ((p + 1) // 2) % p
        cells = claimed[np.minimum(half, p - half)]
        steps = (problem.hidden_step(problem.neurons), Step("quadrature", (0,), {"scale": scale}, stored))
        return Evidence(steps, int(cells.sum()), problem.total, cells)

    def error_terms(self, problem: PairProblem) -> ErrorTerms:
        """What makes the margin of the difference that is proved best, or would be."""
        hidden, waves = self._fitted(problem)
        errors = self._errors(problem, hidden, waves)
        gap = float(lead_by_difference(hidden, waves).min(1).max())
        unread, bias = errors["unread"], errors["bias"]
        terms = ErrorTerms(gap, unread / 2, unread / 2, errors["direct"], 0.0, bias, problem.slack(problem.neurons), 0.0)
        largest = max(errors, key=lambda name: errors[name])
        said = {
            "unread": "what neurons read beside their frequency",
            "bias": "the neurons' biases and the output's",
            "direct": "the path around the MLP",
        }
        if terms.margin > problem.tolerance:
            return replace(terms, conclusion=f"of a gap of {gap:.3g} at the best difference, errors leave {terms.margin:.3g}")
        return replace(
            terms, conclusion=f"vacuous: {said[largest]} may cost {errors[largest]:.3g}, and the gap is at most {gap:.3g}"
        )

    def _fitted(self, problem: PairProblem) -> tuple[Hidden, Waves]:
        table = problem.task.table
        p = len(table)
        cyclic = np.array_equal(table, np.add.outer(np.arange(p), np.arange(p)) % p)
        hidden = problem.hidden.of(problem.neurons)
        if not cyclic or p % 2 == 0 or not hidden.symmetric or hidden.unembed.shape[1] != p:
            raise DoesNotFit("quadrature is about addition modulo an odd number by a network that treats both inputs alike")
        spectrum = np.fft.rfft(hidden.left, axis=0)
        frequency = 1 + np.abs(spectrum[1:]).argmax(0)
        top = 2 * spectrum[frequency, np.arange(len(frequency))] / p
        return hidden, Waves(frequency, top.real, -top.imag)

    @staticmethod
    def _errors(problem: PairProblem, hidden: Hidden, waves: Waves) -> dict[str, float]:
        """By how much differences of logits can deviate, by cause."""
        off = np.abs(hidden.left - waves.ideal(len(hidden.left))).max(0)
        reach = np.ptp(hidden.unembed, axis=1)
        return {
            "unread": float(2 * off @ reach),
            "bias": float(np.abs(hidden.bias) @ reach + np.ptp(hidden.constant)),
            "direct": float(2 * np.ptp(hidden.direct, axis=1).max()),
        }


def lead_by_difference(hidden: Hidden, waves: Waves) -> FloatArray:
    """The left-hand side of the rule's inequality, "d delta" for d = 0 .. (p - 1)/2 and delta = 1 .. p - 1."""
    p = len(hidden.left)
    ideal, s = waves.ideal(p), np.arange(p)
    total = np.zeros((p // 2 + 1, p))
    for k in np.unique(waves.frequency):
        here = waves.frequency == k
        cosine = np.cos(2 * np.pi * k * np.arange(p // 2 + 1) / p)
        for sign in (1, -1):
            values = np.maximum(sign * ideal[:, here], 0) @ hidden.unembed[here]
            shifted = values[s[:, None], (2 * s[:, None] + s) % p]
            least = (shifted[:, :1] - shifted).min(0)
            total += 2 * np.outer(np.where(sign * cosine > 0, np.abs(cosine), 0), least)
    return total[:, 1:]
