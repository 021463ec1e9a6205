"""Rule `group-chains`: inputs whose tokens fall into nested groups, not too many of them into the worse ones.

A *grouping* assigns to every token a level 1..r, or 0 (excluded), and names numbers k_1 .. k_r for the tokens below the label
and, unless the task is about the largest token, k'_1 .. k'_r for those above it.

*Theorem.* Consider the classes (see classes, cell_classes) that a grouping makes of a cell: on either side of m, L_i holds
the tokens with a level from 1 to i. Their inequality may be used with g_i = min over L_i of H(q, t, B).

*Proof.* It is the least such number.

*Parameter:* joint (0 or 1; see label_terms). *Hints:* `rivals` "l o": the block of every output, for every label or for all
(see rival_blocks). `levels` "g v" and `numbers` "g s r": the groupings. `grouping` "q m c a": the grouping of the class of
inputs with query q, label m, c free copies of it and a < n free tokens above it (n: the task's), or -1 where nothing is
claimed. *Checked:* that the claims are such classes, and the inequality for every class and block.
"""

import numpy as np

from certificates.certificate import Step
from certificates.tensor_file import IntArray
from checker.attention.cell_classes import Cells, Minima, require_correct
from checker.attention.classes import Classes, Numbers
from checker.attention.label_terms import LabelTerms
from checker.attention.order_statistic import order_statistic
from checker.attention.tables import take_tables
from checker.core.enclosures import BoolArray, Enclosure
from checker.core.errors import Refused
from checker.core.facts import CertifiedInputs, Fact, Setting, take_hints, take_parameters

_GATHERED_PER_TOKEN = 3
"""How many numbers could be gathered while a token's level is looked up and compared."""


def group_chains(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> CertifiedInputs:
    """Apply the rule to additive tables. Parameter: `joint`. Hints: `rivals`, `levels`, `numbers`, `grouping`."""
    tables = take_tables(step, premises)
    (joint,) = take_parameters(step, "joint")
    task, outputs = order_statistic(setting), tables.direct.shape[1]
    vocab, keys = task.d_vocab, (task.d_vocab, task.d_vocab, task.n_ctx, task.rank)
    shapes = {"rivals": (None, outputs), "levels": (None, vocab), "numbers": (None, None, None), "grouping": keys}
    hints = take_hints(setting, step, **shapes)
    levels, grouping, numbers = hints["levels"], hints["grouping"], Numbers.hinted(task, hints["numbers"])
    groupings, sides, depth = numbers.table.shape
    if len(levels) != groupings or np.any(levels < 0) or np.any(levels > depth):
        raise Refused(f"`levels` and `numbers` must have a row for every grouping, the levels being 0 to {depth}")
    if np.any(grouping < -1) or np.any(grouping >= groupings):
        raise Refused("a class names a grouping that does not exist")
    setting.meter.hold(2 * grouping.size)
    claimed = grouping != -1
    cells = Cells.claimed(setting, claimed, 2 * depth)
    row = grouping[cells.query, cells.label, cells.copies, cells.above]
    sizes = _sizes(setting, levels, depth, row, cells.label)[:, :sides]
    classes = Classes.of(task, numbers, (cells.label, cells.copies, cells.above), row, sizes)
    setting.meter.hold(8 * (levels.size + groupings))
    setting.meter.allocate(24 * levels.size)
    setting.meter.sorting(levels.size)
    kinds, kind = np.unique(levels, axis=0, return_inverse=True)  # groupings may differ in their numbers only
    kind = kind.reshape(-1)

    def minima(terms: LabelTerms, part: IntArray) -> Minima:
        label, top = terms.gaps.label, terms.gaps.free.shape[0]
        pairs, pair = np.unique(terms.rows(cells.query[part]) * groupings + kind[row[part]], return_inverse=True)
        query, group = np.divmod(pairs, groupings)
        used = np.where(numbers.table[row[part]] > 0, classes.sizes[part], 0).max(axis=(0, 2), initial=0)
        least_upto = {}
        for side, tokens in enumerate((slice(0, label), slice(label + 1, top))[:sides]):
            if used[side]:
                setting.meter.charge(len(pairs) * (tokens.stop - tokens.start))
                setting.meter.sorting(len(pairs) * (tokens.stop - tokens.start))
                setting.meter.allocate(len(pairs) * (32 * top + int(used[side]) * terms.own.shape[1] * terms.own.element_bytes))
                # Level 0 becomes 255: excluded tokens come last, beyond all that are used.
                order = np.argsort((kinds[group, tokens] - 1).astype(np.uint8), axis=1, kind="stable")[:, : used[side]]
                least_upto[side] = terms.worst(tokens)[query.reshape(-1, 1), order].running_min(1)

        def least(which: IntArray, side: int, level: int) -> Enclosure:
            return least_upto[side][pair[which - part[0]], classes.sizes[which, side, level] - 1]

        return least

    require_correct(setting, tables, (hints["rivals"], joint), cells, classes, vocab, minima)

    def covers(tokens: IntArray) -> BoolArray:
        setting.meter.gathering(_GATHERED_PER_TOKEN * (tokens.size + 1000) * depth * sides)
        query, label, copies = task.cells_of(tokens)
        free = tokens[:, :-1]
        of_input = grouping[query, label, copies, (free > label[:, None]).sum(axis=1)]
        members = of_input != -1
        free, label, of_input = free[members], label[members, None], of_input[members]
        level = levels[of_input[:, None], free]
        within = [
            [(on_side & (level > 0) & (level <= upto)).sum(axis=1) for upto in range(1, depth + 1)]
            for on_side in (free < label, free > label)[:sides]
        ]
        members[np.flatnonzero(members)] = numbers.fit(of_input, np.moveaxis(np.array(within, np.int64), 2, 0))
        return np.asarray(members, np.bool_)

    correct = classes.count(task, setting.meter, np.ones(len(row), np.int64))
    return CertifiedInputs(correct, claimed.any(axis=3), covers, covers)


def _sizes(setting: Setting, levels: IntArray, depth: int, grouping: IntArray, label: IntArray) -> IntArray:
    """How many tokens below and above a label have a level from 1 to i: "x side level", for groupings and labels "x"."""
    setting.meter.gathering(depth * (2 * levels.size + 4 * len(label)))
    setting.meter.allocate(depth * (12 * (levels.size + len(levels)) + 48 * len(label)))
    upto = np.zeros((len(levels), levels.shape[1] + 1, depth), np.int64)
    np.cumsum((levels[:, :, None] > 0) & (levels[:, :, None] <= np.arange(1, depth + 1)), axis=1, out=upto[:, 1:])
    return np.stack([upto[grouping, label], upto[grouping, -1] - upto[grouping, label + 1]], axis=1)
