"""Strategy `mlp-quadrature`: what the MLP adds to the logits is numerical integration (Yip et al. 2024).

Every neuron reads one frequency and, weakly, its double; neurons of a frequency differ in size and phase only. The
certificate is about the MLP's output, not about accuracy. With mechanism = 0 it says nothing about neurons: the naive bound.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from certificates import FrequencyClaim, Step, integer_tensor
from prover.layers.mlp_bound import Bound, Interpretation, Layer, bound_of
from prover.layers.two_input_problem import TwoInputProblem
from prover.strategy import DoesNotFit, MLPEvidence, Strategy, switch

_SCALE, _UNIT = 10, 30
_SHARE = 0.02
"""A frequency is primary if neurons whose strongest it is have at least this share of what all read."""


@dataclass(frozen=True)
class MLPQuadrature(Strategy):
    """See the module's docstring."""

    name: ClassVar[str] = "mlp-quadrature"
    cost: ClassVar[str] = "weights"
    summary: ClassVar[str] = "not accuracy: what the MLP adds is a quadrature's, frequency by frequency, up to an error"
    rules: ClassVar[tuple[str, ...]] = ("mlp-quadrature",)
    origin: ClassVar[str] = "Yip et al. 2024. The bound is of this project."
    vacuous: ClassVar[str] = (
        "If at every frequency the error is as great as the amplitude: neurons read several frequencies, or their "
        "phases are few. Try `--set further=8`, which bounds more of what they read wave by wave."
    )

    parts: int = switch(4, "phases are multiples of 1/(2 p parts) of the circle")
    further: int = switch(0, "waves to be read off the embedding beside frequencies and their doubles")
    rank: int = switch(0, "columns of the basis; 0: one for each cosine and sine that is read")
    mechanism: int = switch(1, "0: the naive bound")

    def largest(self, problem: TwoInputProblem) -> Mapping[str, int]:
        """All waves; as many columns as the residual stream or the neurons have."""
        layer = Layer.of(problem)
        return {"further": layer.p // 2, "rank": min(layer.into.shape)}

    def prove(self, problem: TwoInputProblem) -> MLPEvidence:
        """Read the interpretation off the weights; claim the amplitude at which the error is relatively least."""
        layer = Layer.of(problem)
        said = self.interpretation(layer, problem.precision)
        bound = bound_of(layer, said)
        unit = 2.0**_SCALE
        amplitude = np.rint(_amplitudes(bound) * unit) if self.mechanism else np.zeros(len(said.frequency))
        rounding = layer.p * 2.0 ** (15 - problem.precision)  # what the checker's may add, relatively, by experience
        error = np.ceil(bound.error(amplitude / unit) * unit * (1 + rounding) + 1)
        hints = {
            "frequency": said.frequency,
            "read": said.read,
            "amplitude": amplitude,
            "error": error,
            "group": said.group,
            "phase": said.phase,
            "size": np.rint(said.size * layer.p * unit),
            "second": np.rint(np.ldexp(said.second, _UNIT)),
            "bias": np.rint(np.ldexp(said.bias, _UNIT)),
            "basis": np.rint(np.ldexp(said.basis, _UNIT)),
        }
        stored = {name: integer_tensor(hint.astype(np.int64)) for name, hint in hints.items()}
        step = Step("mlp-quadrature", (), {"parts": self.parts, "scale": _SCALE, "tilt": said.tilt}, stored)
        claims = zip(said.frequency.tolist(), amplitude.astype(int).tolist(), error.astype(int).tolist(), strict=True)
        return MLPEvidence((step,), _SCALE, tuple(FrequencyClaim(*claim) for claim in claims))

    def interpretation(self, layer: Layer, precision: int) -> Interpretation:
        """What neurons ideally do."""
        every = np.arange(1, layer.p // 2 + 1)
        constant, waves, _ = layer.waves(every)
        strongest = np.abs(waves).argmax(0)
        power = np.bincount(strongest, (np.abs(waves) ** 2).sum(0), len(every))
        frequency = every[power > _SHARE * power.sum()]
        if not len(frequency):
            raise DoesNotFit("no neuron reads anything")
        double = np.minimum(2 * frequency % layer.p, -2 * frequency % layer.p)
        if not double.all():
            raise DoesNotFit("a frequency is half the modulus")
        strength = np.linalg.norm(waves, axis=1)
        strength[np.concatenate([frequency, double]) - 1] = 0
        further = every[np.argsort(-strength)][: self.further]
        read = np.array(list(dict.fromkeys([*frequency, *double, *further])))
        own = waves[frequency - 1]
        group = np.abs(own).argmax(0)
        size, angle = np.abs(own[group, np.arange(len(group))]), -np.angle(own[group, np.arange(len(group))])
        if not self.mechanism:
            size = np.zeros(len(size))
        total = 2 * layer.p * self.parts
        phase = np.rint(angle / (2 * np.pi) * total).astype(np.int64) % total
        twice = waves[double[group] - 1, np.arange(len(group))]
        twice = np.where((2 * frequency % layer.p == double)[group], twice, twice.conj()) * np.exp(2j * angle)
        weight = np.maximum(np.bincount(group, size, len(frequency)), 1e-300)
        second = np.bincount(group, twice.real * (size > 0), len(frequency)) / weight
        bias = np.bincount(group, (2 * constant + layer.constant) * (size > 0), len(frequency)) / weight
        rank = min(self.rank or 2 * len(read), *layer.into.shape)
        tilt = max(2, min(18, precision - 13))  # the checker sees the columns of the basis orthonormal up to some rounding
        basis = np.linalg.svd(layer.into, full_matrices=False)[0][:, :rank]
        return Interpretation(frequency, read, group, size, phase, second, bias, basis, tilt, self.parts)


def _amplitudes(bound: Bound) -> np.ndarray:
    """The amplitudes "k" at which the errors are least relative to them, among multiples of a thousandth."""
    best = np.abs(bound.main[:, 0])
    candidates = np.outer(np.arange(500, 1501) / 1000, best)
    relative = np.array([bound.error(amplitude) / np.maximum(amplitude, 1e-300) for amplitude in candidates])
    chosen: np.ndarray = candidates[relative.argmin(0), np.arange(len(best))]
    return chosen
