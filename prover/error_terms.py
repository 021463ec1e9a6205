"""How much of a network's margin an interpretation explains, and what it leaves unexplained: the terms of a report."""

from collections.abc import Mapping
from dataclasses import dataclass

ERRORS = ("left", "right", "unembedding", "unevenness", "bias", "leftover")
"""The names of those terms that lower the gap."""


def greatest_cause(causes: Mapping[str, float]) -> str:
    """Which of several errors, in logits, is the greatest: for a conclusion."""
    cause = max(causes, key=lambda name: causes[name])
    return f"{cause} may cost {causes[cause]:.3g}"


@dataclass(frozen=True)
class ErrorTerms:
    """The gap between the true output and others if the interpretation were exact, and the errors that lower it, in logits.

    All are taken at the difference that is proved worst. left, right, unembedding: what the interpretation does not tell of
    the weights. unevenness: activations that depend on more than it says, above all incomplete orbits. bias: of the output.
    leftover: neurons it does not explain. beside: how far the network is from what the interpretation says beside; it lowers
    nothing. conclusion: one sentence.
    """

    gap: float
    left: float
    right: float
    unembedding: float
    unevenness: float
    bias: float
    leftover: float
    beside: float
    conclusion: str = ""

    @property
    def errors(self) -> dict[str, float]:
        """The errors by name."""
        return {name: getattr(self, name) for name in ERRORS}

    @property
    def margin(self) -> float:
        """What the errors leave of the gap."""
        return self.gap - sum(self.errors.values())
