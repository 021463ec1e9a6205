"""Rule `all-reads`: inputs that are right at every read.

*Theorem.* If for each of a task's reads at least c_i of its n inputs are right there, then at least n - sum (n - c_i) are right
at all of them. *Proof.* Every other input is among the at most n - c_i that are not counted at some read i.

*Checked:* there is one premise for each read, in their order.
"""

import numpy as np

from certificates.certificate import Step
from certificates.tensor_file import IntArray
from checker.core.enclosures import BoolArray
from checker.core.errors import Refused
from checker.core.facts import CertifiedInputs, Fact, Setting, no_cells, take_hints, take_parameters
from checker.transformer.finer import RightAtRead


def take_reads(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> list[RightAtRead]:
    """The premises of a step without parameters and hints: a fact about each read of the task, in their order."""
    take_parameters(step)
    take_hints(setting, step)
    facts = [premise for premise in premises if isinstance(premise, RightAtRead)]
    if len(facts) < len(premises) or [fact.read for fact in facts] != list(range(len(setting.task.reads))):
        raise Refused(f"{step.rule} needs a premise about each of the {len(setting.task.reads)} reads, in this order")
    return facts


def right_at_all(setting: Setting, facts: list[RightAtRead], correct: int) -> CertifiedInputs:
    """So many inputs, which all facts are about."""

    def covers(inputs: IntArray) -> BoolArray:
        found = np.ones(len(inputs), np.bool_)
        for fact in facts:
            found &= fact.covers(inputs)
        return found

    formats = {fact.deployed for fact in facts}
    return CertifiedInputs(correct, ~no_cells(setting), covers, covers, deployed=formats.pop() if len(formats) == 1 else None)


def all_reads(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> CertifiedInputs:
    """Apply the rule to facts about single reads. Takes no parameters or hints."""
    facts, total = take_reads(setting, step, premises), setting.task.total
    return right_at_all(setting, facts, max(0, total - sum(total - fact.correct for fact in facts)))
