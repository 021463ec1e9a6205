"""Rule `disjoint-sum`: certified inputs of disjoint regions add up.

*Theorem.* If facts i certify correct_i inputs each, all of them in the cells C_i, and the C_i are pairwise disjoint, then at
least sum_i correct_i inputs are classified correctly. *Proof.* Every input lies in exactly one cell, so no input is among
those counted by two facts. *Checked:* that no cell occurs in two of the premises.
"""

from functools import reduce

import numpy as np

from certificates.certificate import Step
from certificates.tensor_file import IntArray
from checker.core.enclosures import BoolArray
from checker.core.errors import Refused
from checker.core.facts import CertifiedInputs, Fact, Setting, no_cells, take_hints, take_parameters

_STEPS_OF_A_LOOKUP = 4
"""What asking a premise about inputs takes beside what the premise announces."""
_EFFORT_PER_TOKEN = 16
"""What one more premise may take to tell whether it counted some inputs, for each of their tokens."""


def disjoint_sum(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> CertifiedInputs:
    """Apply the rule to facts about certified inputs. Takes no parameters or hints."""
    take_parameters(step)
    take_hints(setting, step)
    cells = no_cells(setting)
    parts: list[CertifiedInputs] = []
    for premise in premises:
        if not isinstance(premise, CertifiedInputs):
            raise Refused("disjoint-sum adds facts about certified inputs only")
        setting.meter.charge(cells.size)
        if np.any(cells & premise.cells):
            cell = tuple(int(axis[0]) for axis in np.nonzero(cells & premise.cells))
            raise Refused(f"two premises both count inputs of the cell {cell}")
        cells |= premise.cells
        if premise.cells.any():  # otherwise it counts nothing
            parts.append(premise)

    def covers(tokens: IntArray) -> BoolArray:
        return reduce(np.logical_or, (part.covers(tokens) for part in parts), np.zeros(len(tokens), np.bool_))

    def may_count(tokens: IntArray) -> BoolArray:
        setting.meter.scripting(_STEPS_OF_A_LOOKUP * len(parts))
        setting.meter.toil(_EFFORT_PER_TOKEN * len(parts[1:]) * tokens.size)  # whoever asks has counted the first
        return reduce(np.logical_or, (part.may_count(tokens) for part in parts), np.zeros(len(tokens), np.bool_))

    last = max((part.last for part in parts), default=())
    return CertifiedInputs(sum(part.correct for part in parts), cells, covers, may_count, last=last)
