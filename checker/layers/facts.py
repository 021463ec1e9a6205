"""Facts about one hidden layer on two inputs."""

from dataclasses import dataclass

from certificates.certificate import Step
from checker.core.enclosures import Enclosure
from checker.core.errors import Refused
from checker.core.facts import Fact


@dataclass(frozen=True)
class HiddenTables(Fact):
    """One hidden layer on two inputs (see hidden_tables): neurons of interest, and the `slack` "1 1": what a
    difference of their logits must exceed, because of all others and of the margin.

    left "a i", right "b i", bias "1 i", unembed "i z". direct "a z": what either input adds to the logits by itself (None:
    nothing). constant "1 z". `symmetric`: left and right are the same, so that (a, b) and (b, a) have the same logits.
    """

    left: Enclosure
    right: Enclosure
    bias: Enclosure
    unembed: Enclosure
    direct: Enclosure | None
    constant: Enclosure
    slack: Enclosure
    symmetric: bool
    unexplained_dimension: int


def take_hidden_tables(step: Step, premises: tuple[Fact, ...]) -> HiddenTables:
    """The first premise of a rule that works on a hidden layer."""
    if not premises or not isinstance(premises[0], HiddenTables):
        raise Refused(f"the first premise of {step.rule} establishes the tables of a hidden layer")
    return premises[0]
