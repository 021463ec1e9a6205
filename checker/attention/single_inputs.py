"""Inputs one by one: whether the inequality of additive_tables holds for every output but the true one."""

import numpy as np

from certificates.tensor_file import IntArray
from checker.attention.order_statistic import order_statistic
from checker.attention.tables import AdditiveTables
from checker.core.enclosed_weights import plus_margin
from checker.core.enclosures import BoolArray
from checker.core.facts import Setting

_BLOCK = 2**19
"""Elements in the largest array of one block of inputs."""


def classified_correctly(setting: Setting, tables: AdditiveTables, inputs: IntArray) -> BoolArray:
    """Which of some inputs, "n k", are proved to be classified correctly: with r the largest score of x, for every rival o

    sum over j of exp(score_j - r) * (v_j[m] - margin - v_j[o]) > 0,    v_j = direct[q] + token_value[x_j] + position_value[j].
    """
    task = order_statistic(setting)
    proved = np.zeros(len(inputs), np.bool_)
    outputs = tables.direct.shape[1]
    per_block = max(1, _BLOCK // (outputs * task.n_ctx))
    for start in range(0, len(inputs), per_block):
        block = inputs[start : start + per_block]
        rows, (query, label, _) = np.arange(len(block)), task.cells_of(block)
        score = tables.token_score[query[:, None], block] + tables.position_score[query]
        weight = (score - score.max(1).reshape(-1, 1).representative()).exp()
        value = tables.direct[query].reshape(-1, 1, outputs) + tables.token_value[block] + tables.position_value
        gap = plus_margin(setting, value[rows, :, label].reshape(-1, task.n_ctx, 1), -1) - value
        positive = (gap * weight.reshape(-1, task.n_ctx, 1)).sum(1).positive()
        positive[rows, label] = True
        proved[start : start + per_block] = positive.all(axis=1)
    return proved
