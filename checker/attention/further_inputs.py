"""Rule `further-inputs`: inputs certified one by one, beside those that another fact certifies.

*Theorem.* Let a fact count n inputs, and let x be in a list of inputs, none of which that fact may have counted. If for every
output o other than the true output m of x

    sum over all positions j of w_j(q, x_j) * ( (direct[q, m] - direct[q, o]) + (token_value[x_j, m] - token_value[x_j, o])
                                                + (position_value[j, m] - position_value[j, o]) )  >  0,

and this for every x in the list, of length l, then at least n + l inputs are classified correctly.

*Proof.* By additive-tables each x in the list is classified correctly. They are distinct, and none of them is among the n.

*Premises:* the tables, then the fact. *Hint:* `inputs` "x k", strictly increasing (lexicographically). *Checked:* that they
are inputs, in order, none that the fact may have counted, and the inequality for each of them and every rival.
"""

import numpy as np

from certificates.certificate import Step
from certificates.tensor_file import IntArray
from checker.attention.order_statistic import order_statistic
from checker.attention.tables import AdditiveTables
from checker.core.enclosures import BoolArray
from checker.core.errors import Refused
from checker.core.facts import CertifiedInputs, Fact, Setting, no_cells, take_hints, take_parameters
from checker.core.ordering import strictly_increasing

_BLOCK = 2**19
"""Elements in the largest array of one block of inputs."""
_BYTES_PER_INPUT = 512
"""Memory to remember an input, roughly."""


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
    if not strictly_increasing(inputs):
        raise Refused("inputs must be strictly increasing: one of them is repeated or out of order")
    setting.meter.hold(_BYTES_PER_INPUT * len(inputs))
    already = before.may_count(inputs)
    if already.any():
        raise Refused(f"input {inputs[np.argmax(already)].tolist()} may have been counted already")
    per_block = max(1, _BLOCK // tables.direct.shape[1])
    for start in range(0, len(inputs), per_block):
        block = inputs[start : start + per_block]
        proved = _classified_correctly(setting, tables, block)
        if not proved.all():
            raise Refused(f"input {block[np.argmin(proved)].tolist()} is not proved correct")
    query, label, copies = task.cells_of(inputs)
    cells = no_cells(setting) | before.cells
    cells[query, label, copies] = True
    listed = {tuple(row) for row in inputs.tolist()}

    def in_list(tokens: IntArray) -> BoolArray:
        return np.array([tuple(row) in listed for row in tokens.tolist()], np.bool_)

    return CertifiedInputs(
        before.correct + len(inputs),
        cells,
        covers=lambda tokens: before.covers(tokens) | in_list(tokens),
        may_count=lambda tokens: before.may_count(tokens) | in_list(tokens),
    )


def _classified_correctly(setting: Setting, tables: AdditiveTables, inputs: IntArray) -> BoolArray:
    """Which inputs "x k" satisfy the theorem's inequality for every rival."""
    rows = np.arange(len(inputs))
    query, label, _ = order_statistic(setting).cells_of(inputs)
    scores = [
        tables.token_score[query, inputs[:, j]] + tables.position_score[query, j] for j in range(order_statistic(setting).n_ctx)
    ]
    reference = scores[0]
    for score in scores[1:]:
        reference = reference.maximum(score)
    reference = reference.representative()  # any real number will do
    margin = None
    for j, score in enumerate(scores):
        value = tables.direct[query] + tables.token_value[inputs[:, j]] + tables.position_value[j : j + 1]
        gap = value[rows, label].reshape(-1, 1) - value
        term = gap * (score - reference).exp().reshape(-1, 1)
        margin = term if margin is None else margin + term
    assert margin is not None
    proved = margin.positive()
    proved[rows, label] = True
    return np.asarray(proved.all(axis=1), np.bool_)
