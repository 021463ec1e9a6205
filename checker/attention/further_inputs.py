"""Rule `further-inputs`: inputs certified one by one, beside those that another fact certifies.

*Theorem.* Let a fact count n inputs, and let x be in a list of inputs, none of which that fact may have counted. If for every
output o other than the true output m of x

    sum over all positions j of w_j(q, x_j) * ( (direct[q, m] - direct[q, o] - margin)
        + (token_value[x_j, m] - token_value[x_j, o]) + (position_value[j, m] - position_value[j, o]) )  >  0,

and this for every x in the list, of length l, then at least n + l inputs are classified correctly.

*Proof.* By additive-tables each x in the list is classified correctly. They are distinct, and none of them is among the n.

*Premises:* the tables, then the fact. *Hint:* `inputs` "x k", in strictly increasing order: by their cells (q, m, c), then
lexicographically. *Checked:* that they are inputs, in order, all of them after the inputs that were listed for the fact, if
any, none that the fact may have counted otherwise, and the inequality for each of them and every rival.
"""

import numpy as np

from certificates.certificate import Step
from certificates.tensor_file import IntArray
from checker.attention.order_statistic import order_statistic
from checker.attention.single_inputs import classified_correctly
from checker.attention.tables import AdditiveTables
from checker.core.enclosures import BoolArray
from checker.core.errors import Refused
from checker.core.facts import CertifiedInputs, Fact, Setting, no_cells, take_hints, take_parameters
from checker.core.ordering import strictly_increasing

_EFFORT_PER_TOKEN, _BYTES_PER_TOKEN = 64, 64
"""What sorting the tokens of an input and comparing it with others takes, for each token."""


def further_inputs(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> CertifiedInputs:
    """Apply the rule to additive tables and certified inputs. Hint: `inputs` "x k"."""
    take_parameters(step)
    task = order_statistic(setting)
    inputs = take_hints(setting, step, inputs=(None, task.n_ctx))["inputs"]
    tables, before = premises if len(premises) == 2 else (None, None)
    if not isinstance(tables, AdditiveTables) or not isinstance(before, CertifiedInputs):
        raise Refused("further-inputs takes two premises: additive tables, and a fact about certified inputs")
    if np.any(inputs < 0) or np.any(inputs >= task.d_vocab):
        raise Refused("an input has a token out of range")
    setting.meter.toil(_EFFORT_PER_TOKEN * inputs.size)
    setting.meter.allocate(_BYTES_PER_TOKEN * inputs.size)
    rows = np.column_stack([*task.cells_of(inputs), inputs])
    if not strictly_increasing(rows) or any(tuple(row) <= before.last for row in rows[:1].tolist()):
        raise Refused("inputs must increase strictly, cell by cell: one of them is repeated or out of order")
    already = before.may_count(inputs)
    if already.any():
        raise Refused(f"input {inputs[np.argmax(already)].tolist()} may have been counted already")
    proved = classified_correctly(setting, tables, inputs)
    if not proved.all():
        raise Refused(f"input {inputs[np.argmin(proved)].tolist()} is not proved correct")
    cells = no_cells(setting) | before.cells
    cells[tuple(rows[:, :3].T)] = True

    def covers(tokens: IntArray) -> BoolArray:
        _, number = np.unique(np.concatenate([inputs, tokens]), axis=0, return_inverse=True)
        listed, asked = np.split(number.reshape(-1), [len(inputs)])
        return before.covers(tokens) | np.isin(asked, listed)

    last = max([before.last, *map(tuple, rows[-1:].tolist())])
    return CertifiedInputs(before.correct + len(inputs), cells, covers, before.may_count, last=last)
