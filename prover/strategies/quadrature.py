"""Strategy `quadrature`: every neuron reads one frequency, and the MLP sums over angles (Yip et al. 2024, Gross et al.).

Certifies whole differences a - b at a time, pair by pair nothing. Amplitudes and phases are those of the discrete Fourier
transform; what a neuron reads beside its frequency, and its bias, are errors.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from certificates import RawTensor, Step
from prover.error_terms import ErrorTerms, greatest_cause
from prover.layers.hidden_layer import hidden_layer
from prover.layers.two_input_problem import TwoInputProblem
from prover.layers.wave_bound import WaveBound, strongest_frequencies, wave_bound
from prover.strategy import DoesNotFit, Evidence, Strategy
from prover.surrogate import Claims, Surrogate
from prover.weights import Weights

_SCALE_BITS = 40
_PULL, _NOTHING = 10.0, 1e-300
"""Weight of the distance from single waves: most errors are maxima, which move one weight at a time; squares move all."""


@dataclass(frozen=True)
class Quadrature(Strategy):
    """outputs: whether what a neuron writes is a wave as well (1: rule quadrature-waves, far cheaper), or as it is (0)."""

    name: ClassVar[str] = "quadrature"
    cost: ClassVar[str] = "n^2 m; outputs=1: n m"
    summary: ClassVar[str] = "every neuron reads a single frequency; one sum over angles for each difference of the inputs"

    outputs: int = 0

    @classmethod
    def sweep(cls, problem: TwoInputProblem) -> tuple[Self, ...]:
        """Both rules."""
        return cls(), cls(outputs=1)

    def prove(self, problem: TwoInputProblem) -> Evidence:
        """Fit waves, and list the differences for which the bound holds beyond rounding."""
        frequency, bound = self._bound(problem)
        p = len(problem.task.table)
        claimed = bound.margins.cpu().numpy() > problem.slack(problem.neurons) + problem.tolerance
        amplitudes = dict(zip(("alpha", "beta"), bound.read.cpu().numpy(), strict=True))
        if self.outputs:
            amplitudes |= zip(("gamma", "eta"), bound.written.cpu().numpy(), strict=True)
        scale = _SCALE_BITS - int(np.frexp(max(np.abs(numbers).max() for numbers in amplitudes.values()))[1])
        hints = {"frequency": frequency.cpu().numpy(), "claimed": claimed.astype(np.uint8)}
        hints |= {name: np.rint(np.ldexp(numbers, scale)).astype(np.int64) for name, numbers in amplitudes.items()}
        stored = {name: RawTensor.of_integers(hint) for name, hint in hints.items()}
        half = np.subtract.outer(np.arange(p), np.arange(p)) * ((p + 1) // 2) % p
        cells = claimed[np.minimum(half, p - half)]
        steps = (
            problem.hidden_step(problem.neurons),
            Step("quadrature-waves" if self.outputs else "quadrature", (0,), {"scale": scale}, stored),
        )
        return Evidence(steps, int(cells.sum()), problem.total, cells)

    def surrogate(self, problem: TwoInputProblem) -> Surrogate:
        """One claim for each difference; the neurons and their frequencies are those of the problem.

        Margins are relative to the mean of the leads, so that larger weights are no progress.
        """
        frequency, bound = self._bound(problem)
        neurons = torch.as_tensor(problem.neurons)
        p = len(problem.task.table)
        share = torch.full((p // 2 + 1,), 2 / p, dtype=bound.lead.dtype, device=problem.device)
        share[0] = 1 / p

        def claims(weights: Weights, temperature: float) -> Claims:
            layer = hidden_layer(weights, problem.model.config)
            now = wave_bound(layer, neurons, frequency, self.outputs == 1, temperature)
            margin = now.lead - now.unread - now.bias - now.direct - now.unwritten - layer.slack(neurons)
            return Claims(margin / now.lead.abs().mean().clamp_min(_NOTHING), share, _PULL * now.unlike)

        return claims

    def error_terms(self, problem: TwoInputProblem) -> ErrorTerms:
        """What makes the margin of the difference that is proved best, or would be."""
        _, bound = self._bound(problem)
        gap = float(bound.lead.amin(1).max())
        errors = (bound.unread, bound.bias, bound.direct, bound.unwritten)
        unread, bias, direct, unwritten = (float(error) for error in errors)
        terms = ErrorTerms(gap, unread / 2, unread / 2, direct + unwritten, 0.0, bias, problem.slack(problem.neurons), 0.0)
        if terms.margin > problem.tolerance:
            return replace(terms, conclusion=f"of a gap of {gap:.3g} at the best difference, errors leave {terms.margin:.3g}")
        causes = {
            "what neurons read beside their frequency": unread,
            "the neurons' biases and the output's": bias,
            "the path around the MLP": direct,
            "what neurons write beside their frequency": unwritten,
        }
        return replace(terms, conclusion=f"vacuous: {greatest_cause(causes)}, and the gap is at most {gap:.3g}")

    def _bound(self, problem: TwoInputProblem) -> tuple[Tensor, WaveBound]:
        """The frequencies of the neurons that matter, and what they prove."""
        layer, p = problem.layer, len(problem.task.table)
        if self.outputs not in (0, 1):
            raise DoesNotFit("quadrature needs outputs 0 or 1")
        if not problem.task.is_addition or p % 2 == 0 or not problem.hidden.symmetric or layer.unembed.shape[1] != p:
            raise DoesNotFit("quadrature is about addition modulo an odd number by a network that treats both inputs alike")
        neurons = torch.as_tensor(problem.neurons)
        frequency = strongest_frequencies(layer.left[:, neurons])
        return frequency, wave_bound(layer, neurons, frequency, self.outputs == 1)
