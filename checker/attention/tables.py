"""The fact that all rules about attention-only transformers build on."""

from dataclasses import dataclass

from certificates.certificate import Step
from checker.core.enclosures import Enclosure
from checker.core.errors import Refused
from checker.core.facts import Fact


@dataclass(frozen=True)
class AdditiveTables(Fact):
    """Tables with which every logit is a ratio of sums of per-position look-ups (see additive_tables).

    token_score "q t", position_score "q j", direct "q o", token_value "t o", position_value "j o".
    """

    token_score: Enclosure
    position_score: Enclosure
    direct: Enclosure
    token_value: Enclosure
    position_value: Enclosure
    unexplained_dimension: int


def take_tables(step: Step, premises: tuple[Fact, ...]) -> AdditiveTables:
    """The only premise of a rule that works on tables."""
    if len(premises) != 1 or not isinstance(premises[0], AdditiveTables):
        raise Refused(f"{step.rule} needs exactly one premise, which establishes additive tables")
    return premises[0]
