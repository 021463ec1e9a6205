"""Classes keyed by their cell, each proved by one inequality: what the rules prefix-chains and group-chains share.

Notation of classes and label_terms. A rule claims at most one class for every (q, m, c, a), a free tokens lying above m.

*Theorem.* A class whose members have the true output m is classified correctly if for every block B of rivals with a rival of m

    own(q, B) + c H(q, m, B) + sum over its sides and levels i of k_i g_i(B) > 0,

where g_i(B) is at most H(q, t, B) for every token t in L_i.

*Proof.* By the lemma of label_terms a free copy of m contributes H(q, m, B) or more for every rival in B, and another free
token t H(q, t, B) or more; by the lemma of classes the latter add up to the sum of the k_i g_i(B), or more.

Rules differ in the sets L_i that can be named, and in how g_i is found.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from certificates.tensor_file import IntArray
from checker.attention.classes import Classes, bytes_to_hold
from checker.attention.label_terms import LabelGaps, LabelTerms, Scores, ValueLeads
from checker.attention.order_statistic import order_statistic
from checker.attention.rival_blocks import RivalBlocks
from checker.attention.tables import AdditiveTables
from checker.core.enclosures import BoolArray, Enclosure
from checker.core.errors import Refused
from checker.core.facts import Setting

_BLOCK = 2**19
"""Elements in the largest array of one block of classes."""

Minima: TypeAlias = Callable[[IntArray, int, int], Enclosure]
"""For some classes "x", a side and a level i, which they use: g_i "x b"."""


@dataclass(frozen=True)
class Cells:
    """The keys of the classes that a step claims, sorted by label, then query: all "x"."""

    query: IntArray
    label: IntArray
    copies: IntArray
    above: IntArray

    @staticmethod
    def claimed(setting: Setting, claimed: BoolArray, numbers: int) -> "Cells":
        """From a mask "q m c a"; refuses keys without inputs. numbers: how many k_i each class has."""
        classes = int(np.count_nonzero(claimed))
        setting.meter.hold(bytes_to_hold(classes, numbers))
        setting.meter.gathering(claimed.size + 8 * classes * (numbers + 6))
        label, query, copies, above = np.nonzero(claimed.transpose(1, 0, 2, 3))
        rank, larger = order_statistic(setting).rank, above + (query > label)
        if np.any((larger >= rank) | (rank > larger + copies + (query == label))):
            raise Refused("a class is claimed in a cell (q, m, c) without inputs: their true output would be another one")
        return Cells(query, label, copies, above)


def require_correct(
    setting: Setting,
    tables: AdditiveTables,
    leads_over: tuple[IntArray, int],
    cells: Cells,
    classes: Classes,
    tokens: int,
    minima: Callable[[LabelTerms, IntArray], Minima],
) -> None:
    """Check the inequality for all classes. leads_over: the hint `rivals` and the parameter `joint`. tokens: how many of them
    `minima` looks at for each class.
    """
    (rivals, joint), task = leads_over, order_statistic(setting)
    if joint not in (0, 1):
        raise Refused("joint is 0 or 1")
    blocks = RivalBlocks.of(rivals, task.d_vocab)
    scores, leads = Scores.of(tables), ValueLeads.of(setting, tables, blocks, joint == 1)
    per_block = max(1, _BLOCK // (tokens * blocks.most))

    def check_label(label: int) -> None:
        gaps = LabelGaps.of(leads, label, label + 1 if task.rank == 1 else task.d_vocab)
        begin, end = np.searchsorted(cells.label, [label, label + 1]).tolist()
        while begin < end:
            last = cells.query[min(begin + per_block, end) - 1]
            part = np.arange(begin, begin + int(np.searchsorted(cells.query[begin:end], last, side="right")))
            setting.meter.sorting(3 * len(part))
            terms = LabelTerms.of(setting, leads, scores, gaps, np.unique(cells.query[part]))
            _check(cells, classes, terms, part, minima(terms, part))
            begin = int(part[-1]) + 1

    list(setting.in_order(setting.meter, check_label, np.unique(cells.label).tolist()))


def _check(cells: Cells, classes: Classes, terms: LabelTerms, part: IntArray, least: Minima) -> None:
    """Check the inequality for the classes `part`, those that use the same levels at a time."""
    label, levels = terms.gaps.label, classes.sizes.shape[2]
    copy = terms.worst(slice(label, label + 1))[:, 0]
    numbers = classes.numbers.table[classes.row[part]].reshape(len(part), -1)
    pattern = (numbers > 0) @ (1 << np.arange(numbers.shape[1]))
    for used in np.unique(pattern).tolist():
        which, of_level = part[pattern == used], numbers[pattern == used]
        row = terms.rows(cells.query[which])
        margin = terms.own[row] + copy[row].times(cells.copies[which].reshape(-1, 1))
        for column in np.flatnonzero(of_level[0]).tolist():
            margin = margin + least(which, *divmod(column, levels)).times(of_level[:, column].reshape(-1, 1))
        proved = margin.positive().all(axis=1)
        if not proved.all():
            bad = int(np.argmin(proved))
            raise Refused(
                f"class (query {cells.query[which[bad]]}, true output {label}, copies {cells.copies[which[bad]]}, "
                f"numbers {of_level[bad].tolist()}, sizes {classes.sizes[which[bad]].tolist()}) is not proved correct"
            )
