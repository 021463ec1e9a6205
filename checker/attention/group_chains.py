"""Rule `group-chains`: inputs whose tokens fall into nested groups, not too many of them into the worse ones.

*Classes.* A *grouping* assigns to every token a level 1..r, or 0 (excluded). For a cell (q, m, c), the free tokens other
than m lie on two *sides*, below and above m. A class names a grouping and numbers k_1 .. k_r of tokens below, k'_1 .. k'_r of
tokens above m, with c + sum k_i + sum k'_i = K-1. It holds the inputs of the cell with sum k_i free tokens below and
sum k'_i above m, none of them excluded, which *fit* on each side in the sense of chain_counts, with levels in the
place of entries: for every i, at least k_1 + .. + k_i of those below m have level i or less, and likewise above. All inputs of
a class have the true output m: with A = sum k'_i + [q > m] tokens above it, m is the n-th largest iff
A < n <= A + c + [q = m]. (In Max-of-K, n = 1: nothing lies above, and the k' are not even written.) The class has

    (K-1)! / (c! (sum k_i)! (sum k'_i)!) * fitting tuples below * fitting tuples above

members. Classes are disjoint if they differ in q, m, c or the number of tokens above.

*Theorem.* The class is classified correctly if for every block B of rivals with a rival of m (notation of label_terms)

    own(q, B) + c * H(q, m, B) + sum_i k_i min over t < m of level <= i of H(q, t, B) + (the same above m) > 0.

*Proof.* Give a member's free tokens below m, in ascending order of level, the numbers 1 (k_1 times), 2 (k_2 times), ..: a token
with number i has level i or less. By the lemma of label_terms, it contributes at least H(q, t, B) for every rival in B, hence
at least the minimum over that side and level. Likewise above; the copies of m contribute at least H(q, m, B) each.

*Parameter:* joint (0 or 1; see label_terms). *Hints:* `rivals` "l o": the block of every output, for every label or for all
(see rival_blocks). `groupings` "g v". `cells` "x 4": rows (m, q, c, grouping). `numbers` "x r" (for n > 1: "x 2r"): k_1 .. k_r
(and k'_1 .. k'_r) of every class. The rows (m, q, c, number above) must increase strictly. *Checked:* that, the ranges, the
true output, that no token is taken from an empty level, and the inequality for every class and block.
"""

import math
from dataclasses import dataclass

import numpy as np

from certificates.certificate import Step
from certificates.tensor_file import IntArray
from checker.attention.chain_counts import charge_for_counting, fitting_tuples
from checker.attention.label_terms import LabelGaps, LabelTerms, Scores, ValueLeads
from checker.attention.order_statistic import OrderStatistic, order_statistic
from checker.attention.rival_blocks import RivalBlocks
from checker.attention.tables import take_tables
from checker.core.enclosures import BoolArray, Enclosure
from checker.core.errors import Refused
from checker.core.facts import CertifiedInputs, Fact, Setting, no_cells, take_hints, take_parameters
from checker.core.ordering import strictly_increasing
from checker.core.parallel import in_order

_BLOCK = 2**19
"""Elements in the largest array of one block."""
_MAX_LEVELS = 4


@dataclass(frozen=True)
class Classes:
    """The classes a step claims. label, query, copies, grouping: "x"; numbers: "x side level"; groupings: "g v"."""

    task: OrderStatistic
    groupings: IntArray
    label: IntArray
    query: IntArray
    copies: IntArray
    grouping: IntArray
    numbers: IntArray

    @staticmethod
    def claimed(task: OrderStatistic, groupings: IntArray, cells: IntArray, flat_numbers: IntArray) -> "Classes":
        """From the hints; refuses what is not a list of disjoint classes."""
        sides = 1 if task.rank == 1 else 2
        levels, rest = divmod(flat_numbers.shape[1], sides)
        if rest or not 1 <= levels <= _MAX_LEVELS or len(flat_numbers) != len(cells):
            raise Refused(f"numbers must have a row for every cell, with 1 to {_MAX_LEVELS} levels for each of {sides} sides")
        if np.any(groupings < 0) or np.any(groupings > levels):
            raise Refused(f"a grouping has an entry outside 0..{levels}")
        label, query, copies, grouping = cells.T
        tokens = cells[:, :2]
        if np.any(cells < 0) or np.any(tokens >= task.d_vocab) or np.any(copies > task.free):
            raise Refused("a cell has an entry out of range")
        if np.any(grouping >= len(groupings)) or np.any(flat_numbers < 0) or np.any(flat_numbers > task.free):
            raise Refused("a class names a grouping, or a number of tokens, that is out of range")
        numbers = flat_numbers.reshape(len(cells), sides, levels)
        above = numbers[:, 1:].sum(axis=(1, 2))
        if np.any(numbers.sum(axis=(1, 2)) + copies != task.free):
            raise Refused("a class does not fill all free positions")
        larger = above + (query > label)
        if np.any((larger >= task.rank) | (task.rank > larger + copies + (query == label))):
            raise Refused("the true output of a class's inputs is not m")
        if not strictly_increasing(np.stack([label, query, copies, above], axis=1)):
            raise Refused("classes must be strictly increasing: one of them is repeated or out of order")
        return Classes(task, groupings, label, query, copies, grouping, numbers)

    def level_sizes(self) -> IntArray:
        """How many tokens on each side of the label have at most each level, "x side level"."""
        levels = self.numbers.shape[2]
        upto = np.zeros((len(self.groupings), self.task.d_vocab + 1, levels), np.int64)
        for level in range(levels):
            members = (self.groupings > 0) & (self.groupings <= level + 1)
            np.cumsum(members, axis=1, out=upto[:, 1:, level])
        below = upto[self.grouping, self.label]
        above = upto[self.grouping, -1] - upto[self.grouping, self.label + 1]
        sizes: IntArray = np.stack([below, above][: self.numbers.shape[1]], axis=1)
        return sizes

    def count(self, setting: Setting) -> int:
        """Number of inputs in all classes together."""
        _, sides, levels = self.numbers.shape
        parts = [self.copies[:, None], self.numbers.reshape(-1, sides * levels), self.level_sizes().reshape(-1, sides * levels)]
        rows, multiplicity = np.unique(np.concatenate(parts, axis=1), axis=0, return_counts=True)
        kinds, starts = np.unique(rows[:, : 1 + sides * levels], axis=0, return_index=True)  # rows are sorted
        correct = 0
        for (copies, *flat), start, stop in zip(kinds.tolist(), starts, np.append(starts, len(rows))[1:], strict=True):
            tuples = multiplicity[start:stop].astype(object)
            arrangements = math.factorial(self.task.free) // math.factorial(copies)
            for side in range(sides):
                numbers = flat[side * levels : (side + 1) * levels]
                charge_for_counting(setting.meter, int(stop - start), numbers)
                first = 1 + (sides + side) * levels
                tuples = tuples * fitting_tuples(rows[start:stop, first : first + levels], numbers)
                arrangements //= math.factorial(sum(numbers))
            correct += arrangements * sum(map(int, tuples))
        return correct

    def certified(self, setting: Setting) -> CertifiedInputs:
        """The fact that all classes are classified correctly: called by the rule only, after its checks."""
        cells = no_cells(setting)
        cells[self.query, self.label, self.copies] = True
        return CertifiedInputs(self.count(setting), cells, self._covers, self._covers)

    def _covers(self, tokens: IntArray) -> BoolArray:
        query, label, copies = self.task.cells_of(tokens)
        free = tokens[:, :-1]
        above = (free > label[:, None]).sum(axis=1)
        keys = np.stack([self.label, self.query, self.copies, self.numbers[:, 1:].sum(axis=(1, 2))], axis=1)
        index = {tuple(key): row for row, key in enumerate(keys.tolist())}
        wanted = np.stack([label, query, copies, above], axis=1).tolist()
        row = np.array([index.get(tuple(key), -1) for key in wanted], np.int64)
        result = row >= 0
        if not result.any():
            return np.asarray(result, np.bool_)
        level = self.groupings[self.grouping[row][:, None], free]
        for side in range(self.numbers.shape[1]):
            on_side = free > label[:, None] if side else free < label[:, None]
            for upto in range(self.numbers.shape[2]):
                needed = self.numbers[row, side, : upto + 1].sum(axis=1)
                # The last condition is that all tokens on the side, just as many as there are numbers, have a level.
                result &= (on_side & (level > 0) & (level <= upto + 1)).sum(axis=1) >= needed
        return np.asarray(result, np.bool_)


def group_chains(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> CertifiedInputs:
    """Apply the rule to additive tables. Parameter: `joint`. Hints: `rivals`, `groupings`, `cells`, `numbers`."""
    tables = take_tables(step, premises)
    (joint,) = take_parameters(step, "joint")
    task, outputs = order_statistic(setting), tables.direct.shape[1]
    shapes = {"rivals": (None, outputs), "groupings": (None, task.d_vocab), "cells": (None, 4), "numbers": (None, None)}
    hints = take_hints(setting, step, **shapes)
    if joint not in (0, 1):
        raise Refused("joint is 0 or 1")
    setting.meter.allocate(8 * 2 * _MAX_LEVELS * (hints["groupings"].size + 4 * len(hints["cells"])))
    classes = Classes.claimed(task, hints["groupings"], hints["cells"], hints["numbers"])
    if np.any((classes.level_sizes() == 0) & (classes.numbers > 0)):
        raise Refused("a class takes tokens from an empty level")
    blocks = RivalBlocks.of(hints["rivals"], task.d_vocab)
    scores = Scores.of(tables)
    leads = ValueLeads.of(setting, tables, blocks, joint == 1)

    def check_label(label: int) -> None:
        top = label + 1 if task.rank == 1 else task.d_vocab
        gaps = LabelGaps.of(leads, label, top)
        first, stop = np.searchsorted(classes.label, [label, label + 1])
        queries, starts = np.unique(classes.query[first:stop], return_index=True)
        bounds = np.append(first + starts, stop)
        per_block = max(1, _BLOCK // (top * blocks.most))
        for start in range(0, len(queries), per_block):
            block = queries[start : start + per_block]
            terms = LabelTerms.of(leads, scores, gaps, block)
            _check(classes, scores, gaps, terms, block, slice(bounds[start], bounds[start + len(block)]))

    list(in_order(setting.meter, setting.jobs, check_label, np.unique(classes.label).tolist()))
    return classes.certified(setting)


def _check(classes: Classes, scores: Scores, gaps: LabelGaps, terms: LabelTerms, queries: IntArray, part: slice) -> None:
    """Check the inequality for the classes `part`, of one label, whose queries are `queries`."""
    least, side_of = _level_minima(classes, scores, gaps, terms, queries, part)
    all_rows = np.searchsorted(queries, classes.query[part])
    per_block = max(1, _BLOCK // max(terms.own.shape[1], 1))
    for start in range(0, len(all_rows), per_block):
        rows = all_rows[start : start + per_block]
        chosen = slice(part.start + start, part.start + start + len(rows))
        margin = terms.own[rows] + terms.copy[rows].times(classes.copies[chosen].reshape(-1, 1))
        numbers = classes.numbers[chosen]
        for level, minima in enumerate(least):
            for side, of_side in enumerate(side_of[start : start + per_block].T):
                # Levels without tokens contribute nothing: only blocks in which some class has some pay for the addition.
                if np.any(numbers[:, side, level]):
                    margin = margin + minima[of_side].times(numbers[:, side, level].reshape(-1, 1))
        proved = margin.positive().all(axis=1)
        if not proved.all():
            bad = int(np.argmin(proved))
            raise Refused(
                f"class (query {queries[rows[bad]]}, label {gaps.label}, copies {classes.copies[chosen][bad]}, "
                f"numbers {numbers[bad].tolist()}) is not proved correct"
            )


def _level_minima(
    classes: Classes, scores: Scores, gaps: LabelGaps, terms: LabelTerms, queries: IntArray, part: slice
) -> tuple[list[Enclosure], IntArray]:
    """For every level, the minima of H over the tokens of that level or less, "s b", where s runs over sides of the label of
    pairs of a query and a grouping; and the s of every class, "x side". Where a level has no tokens, those of the next level
    stand in for them: no class takes any from it, and further minima contain them anyway.
    """
    label, top = gaps.label, gaps.free.shape[0]
    _, sides, levels = classes.numbers.shape
    pairs, pair = np.unique(
        np.stack([np.searchsorted(queries, classes.query[part]), classes.grouping[part]], axis=1), axis=0, return_inverse=True
    )
    side_of = pair.reshape(-1, 1) * sides + np.arange(sides)
    terms.own.meter.allocate(8 * 8 * len(pairs) * top)
    terms.own.meter.charge(len(pairs) * top)  # sorting by level
    tokens = np.delete(np.arange(top), label)
    level = classes.groupings[pairs[:, 1]][:, tokens]  # "pair t"
    column = np.where(level > 0, (tokens > label) * levels + level - 1, sides * levels)  # excluded tokens come last
    order = np.argsort(column, axis=1, kind="stable")
    column = np.take_along_axis(column, order, axis=1)
    which, place = np.nonzero(column < sides * levels)
    if not which.size:
        return [], side_of
    token = order[which, place]
    terms.own.meter.allocate(len(which) * terms.own.shape[1] * terms.own.element_bytes)
    key = which * (sides * levels) + column[which, place]
    starts = np.flatnonzero(np.diff(key, prepend=-1))
    segment = np.full(len(pairs) * sides * levels, -1)
    segment[key[starts]] = np.arange(len(starts))

    token_score = scores.token[np.ix_(queries, tokens)] - terms.reference
    low, high = ((token_score + free[queries]).exp() for free in (scores.free_low, scores.free_high))
    shape = (len(queries), len(tokens), 1)
    value = terms.direct.reshape(len(queries), 1, terms.direct.shape[1]) + gaps.free[tokens].reshape(
        1, *gaps.free[tokens].shape
    )
    worst = value.least_product(low.reshape(*shape), high.reshape(*shape)).reshape(len(queries) * len(tokens), value.shape[2])
    of_level = worst[pairs[which, 0] * len(tokens) + token].segment_min(starts)
    filled = _fill(segment.reshape(-1, levels))
    least = [of_level[filled[:, 0]]]
    for column_of_level in filled[:, 1:].T:
        least.append(least[-1].minimum(of_level[column_of_level]))
    return least, side_of


def _fill(segment: IntArray) -> IntArray:
    """Replace -1 by the nearest number before it in its row, else by the nearest after it, else by 0."""
    before = np.maximum.accumulate(segment, axis=1)
    unknown = np.iinfo(np.int64).max
    after = np.minimum.accumulate(np.where(segment < 0, unknown, segment)[:, ::-1], axis=1)[:, ::-1]
    filled: IntArray = np.where(before >= 0, before, np.where(after < unknown, after, 0))
    return filled
