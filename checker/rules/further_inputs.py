"""Rule `further-inputs`: inputs certified one by one, beside those that another fact certifies.

*Theorem.* Let a fact count n inputs, and let a list of l inputs have none that this fact may have counted. If a classifier
proves that all in the list are classified as their true outputs, then at least n + l inputs are classified correctly.

*Proof.* Those in the list are distinct, and none of them is among the n.

*Premises:* the classifier (tables, a forward pass), then the fact. *Hint:* `inputs` "x k", in strictly increasing order: by
their cells, then lexicographically. *Checked:* that they are inputs, in order, all of them after those that were listed for the
fact, if any, none that the fact may have counted otherwise, and what the classifier says of each.
"""

import numpy as np

from certificates.certificate import Step
from certificates.tensor_file import IntArray
from checker.core.enclosures import BoolArray
from checker.core.errors import Refused
from checker.core.facts import CertifiedInputs, Classifier, Fact, Setting, no_cells, take_hints, take_parameters
from checker.core.ordering import strictly_increasing

_EFFORT_PER_TOKEN, _BYTES_PER_TOKEN = 64, 64
"""What sorting the tokens of an input and comparing it with others takes, for each token, and for 1600 more in any case."""


def further_inputs(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> CertifiedInputs:
    """Apply the rule to a classifier and certified inputs. Hint: `inputs` "x k"."""
    take_parameters(step)
    task = setting.task
    inputs = take_hints(setting, step, inputs=(None, task.n_ctx))["inputs"]
    classifier, before = premises if len(premises) == 2 else (None, None)
    if not isinstance(classifier, Classifier) or not isinstance(before, CertifiedInputs):
        raise Refused("further-inputs takes two premises: tables or a forward pass, and a fact about certified inputs")
    if np.any(inputs < 0) or np.any(inputs >= task.d_vocab):
        raise Refused("an input has a token out of range")
    setting.meter.toil(_EFFORT_PER_TOKEN * (inputs.size + 1600))
    setting.meter.allocate(_BYTES_PER_TOKEN * inputs.size)
    outputs, cells_of = task.outputs_of(inputs), task.cells_of(inputs)
    if np.any(outputs < 0):
        raise Refused(f"{inputs[np.argmin(outputs[:, 0])].tolist()} is no input of the task")
    rows = np.column_stack([*cells_of, inputs])
    if not strictly_increasing(rows) or any(tuple(row) <= before.last for row in rows[:1].tolist()):
        raise Refused("inputs must increase strictly, cell by cell: one of them is repeated or out of order")
    already = before.may_count(inputs)
    if already.any():
        raise Refused(f"input {inputs[np.argmax(already)].tolist()} may have been counted already")
    proved = classifier.classifies(setting, inputs, outputs)
    if not proved.all():
        raise Refused(f"input {inputs[np.argmin(proved)].tolist()} is not proved correct")
    cells = no_cells(setting) | before.cells
    cells[cells_of] = True

    def covers(tokens: IntArray) -> BoolArray:
        _, number = np.unique(np.concatenate([inputs, tokens]), axis=0, return_inverse=True)
        listed, asked = np.split(number.reshape(-1), [len(inputs)])
        return before.covers(tokens) | np.isin(asked, listed)

    last = max([before.last, *map(tuple, rows[-1:].tolist())])
    return CertifiedInputs(before.correct + len(inputs), cells, covers, before.may_count, last=last)
