"""The fact that all rules about attention-only transformers build on."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from certificates.certificate import Step
from certificates.tensor_file import IntArray
from checker.core.enclosed_weights import plus_margin
from checker.core.enclosures import BoolArray, Enclosure
from checker.core.errors import Refused
from checker.core.facts import Classifier, Fact, Setting

_BLOCK = 2**19
"""Elements in the largest array of one block of inputs."""


@dataclass(frozen=True)
class AdditiveTables(Classifier):
    """Tables with which every logit is a ratio of sums of per-position look-ups (see additive_tables).

    token_score "q t", position_score "q j", direct "q o", token_value "t o", position_value "j o".
    """

    token_score: Enclosure
    position_score: Enclosure
    direct: Enclosure
    token_value: Enclosure
    position_value: Enclosure
    unexplained_dimension: int

    @cached_property
    def least_work(self) -> tuple[int, int]:
        """Four operations on every output at every position, on numbers that are looked up first."""
        operations = 4 * self.position_value.shape[0] * self.direct.shape[1]
        return operations, 6 * self.direct.slowness * operations

    def classifies(self, setting: Setting, inputs: IntArray, outputs: IntArray) -> BoolArray:
        """Where the inequality of additive_tables holds: with r the largest score of x, m its output, for every rival o

        sum over j of exp(score_j - r) (v_j[m] - margin - v_j[o]) > 0,   v_j = direct[q] + token_value[x_j] + position_value[j].
        """
        proved, (count, length), width = np.zeros(len(inputs), np.bool_), inputs.shape, self.direct.shape[1]
        per_block = max(1, _BLOCK // (width * length))
        for start in range(0, count, per_block):
            tokens, labels = inputs[start : start + per_block], outputs[start : start + per_block, 0]
            rows, query = np.arange(len(tokens)), tokens[:, -1]
            score = self.token_score[query[:, None], tokens] + self.position_score[query]
            weight = (score - score.max(1).reshape(-1, 1).representative()).exp()
            value = self.direct[query].reshape(-1, 1, width) + self.token_value[tokens] + self.position_value
            gap = plus_margin(setting, value[rows, :, labels].reshape(-1, length, 1), -1) - value
            positive = (gap * weight.reshape(-1, length, 1)).sum(1).positive()
            positive[rows, labels] = True
            proved[start : start + per_block] = positive.all(axis=1)
        return proved


def take_tables(step: Step, premises: tuple[Fact, ...]) -> AdditiveTables:
    """The only premise of a rule that works on tables."""
    if len(premises) != 1 or not isinstance(premises[0], AdditiveTables):
        raise Refused(f"{step.rule} needs exactly one premise, which establishes additive tables")
    return premises[0]
