"""Rule `composition-classes`: inputs grouped by how many of their tokens come from which group, rivals one by one.

*Classes.* A *grouping* assigns to every token below m a group 1..r, or 0 (excluded). For a cell (q, m, c), c >= 1 if q < m,
and a grouping, class (k_1, .., k_r) with c + sum k_i = K-1 holds the inputs with query q, maximum m, exactly c free copies
of m, and k_i free tokens in group i. It has (K-1)! / (c! k_1! .. k_r!) * prod |G_i|**k_i members. Classes of different cells,
or of one cell with different k, are disjoint, because each token is in one group at most.

*Theorem.* The class is classified correctly if for every output o != m (notation of rules/label_terms)

    own(q, o) + c * copy(q, o) + sum_i k_i * min over t in G_i of H(q, t, o)  >  0,
    H(q, t, o) = min(low(q, t) g, high(q, t) g),    g = free(q, o) + token gap(t, o).

*Proof.* As for rules/thresholds: every free token t of group i at position j has h_j(q, t, o) >= H(q, t, o), by the lemma
of label_terms, hence at least the group's minimum, and a member has exactly k_i tokens of group i.

*Hints.* `groupings` "g v": rows of group numbers (entries for tokens >= m are not used, so rows can be shared).
`cells` "n 4": rows (m, q, c, grouping), strictly increasing in (m, q, c). `classes` "n 1+r": rows (cell, k_1, .., k_r),
strictly increasing. *Checked:* the ordering (so no class is counted twice), the ranges, that no non-empty choice is made
from an empty group, and the inequality for every class and rival.
"""

import math
from dataclasses import dataclass

import numpy as np

from certificates.certificate import Step
from certificates.tensor_file import IntArray
from checker.enclosures import BoolArray, Enclosure
from checker.errors import Refused
from checker.facts import (
    AdditiveTables,
    CertifiedInputs,
    Fact,
    Setting,
    no_cells,
    take_hints,
    take_parameters,
    take_tables,
)
from checker.rules.label_terms import LabelGaps, LabelTerms, Scores
from checker.tasks import MaxOfK

_BLOCK = 2**19
"""Elements in the largest array of one block."""
_MAX_GROUPS = 32


def _strictly_increasing(rows: IntArray) -> bool:
    """Whether the rows of a matrix increase strictly in lexicographic order."""
    difference = rows[1:] - rows[:-1]
    first = np.argmax(difference != 0, axis=1) if rows.shape[1] else np.zeros(len(difference), np.int64)
    return bool(np.all(difference[np.arange(len(difference)), first] > 0))


@dataclass(frozen=True)
class Classes:
    """The classes a step claims. label, query, copies, grouping: per cell; cell, chosen "n r": per class."""

    task: MaxOfK
    groupings: IntArray
    label: IntArray
    query: IntArray
    copies: IntArray
    grouping: IntArray
    cell: IntArray
    chosen: IntArray

    @staticmethod
    def claimed(setting: Setting, step: Step) -> "Classes":
        """Read the hints; refuses what is not a list of disjoint classes."""
        task = setting.task
        take_parameters(step)
        hints = take_hints(setting, step, groupings=(None, task.d_vocab), cells=(None, 4), classes=(None, None))
        groupings, cells, rows = hints["groupings"], hints["cells"], hints["classes"]
        groups = rows.shape[1] - 1
        if not 1 <= groups <= _MAX_GROUPS:
            raise Refused(f"classes have {groups} groups; 1 to {_MAX_GROUPS} are allowed")
        if np.any(groupings < 0) or np.any(groupings > groups):
            raise Refused(f"a grouping has an entry outside 0..{groups}")
        label, query, copies, grouping = cells.T
        if np.any(cells < 0) or np.any(label >= task.d_vocab) or np.any(grouping >= len(groupings)):
            raise Refused("a cell has an entry out of range")
        if np.any(query > label) or np.any(copies > task.free) or np.any((copies == 0) & (query < label)):
            raise Refused("a cell (m, q, c) has no inputs: q > m, c > K-1, or q < m and c = 0")
        if not _strictly_increasing(cells[:, :3]) or not _strictly_increasing(rows):
            raise Refused("cells and classes must be strictly increasing: one of them is repeated or out of order")
        cell, chosen = rows[:, 0], rows[:, 1:]
        if np.any(rows < 0) or np.any(cell >= len(cells)) or np.any(chosen > task.free):
            raise Refused("a class has an entry out of range")
        if np.any(chosen.sum(axis=1) + copies[cell] != task.free):
            raise Refused("a class does not fill all free positions")
        return Classes(task, groupings, label, query, copies, grouping, cell, chosen)

    def group_sizes(self) -> IntArray:
        """Number of tokens below the label in each group, "cell group"."""
        groups = self.chosen.shape[1]
        upto = np.zeros((len(self.groupings), self.task.d_vocab + 1, groups), np.int64)
        for group in range(groups):
            np.cumsum(self.groupings == group + 1, axis=1, out=upto[:, 1:, group])
        sizes: IntArray = upto[self.grouping, self.label]
        return sizes

    def count(self) -> int:
        """Number of inputs in all classes together."""
        rows = np.concatenate([self.copies[self.cell, None], self.chosen, self.group_sizes()[self.cell]], axis=1)
        groups, correct = self.chosen.shape[1], 0
        for row, number in zip(*np.unique(rows, axis=0, return_counts=True), strict=True):
            copies, *rest = (int(entry) for entry in row)
            members = math.factorial(self.task.free) // math.factorial(copies)
            for chosen, size in zip(rest[:groups], rest[groups:], strict=True):
                members = members // math.factorial(chosen) * size**chosen
            correct += int(number) * members
        return correct

    def certified(self, setting: Setting) -> CertifiedInputs:
        """The fact that all classes are classified correctly: called by the rule only, after its checks."""
        cells = no_cells(setting)
        cells[self.query, self.label, self.copies] = True
        return CertifiedInputs(self.count(), cells, self._covers)

    def _covers(self, tokens: IntArray) -> BoolArray:
        index = np.full((self.task.d_vocab, self.task.d_vocab, self.task.n_ctx), -1)
        index[self.query, self.label, self.copies] = np.arange(len(self.label))
        query, label, copies = self.task.cells_of(tokens)
        cell = index[query, label, copies]
        result = cell >= 0
        if not result.all():
            result[result] = self._covers(tokens[result])
            return np.asarray(result, np.bool_)
        group = self.groupings[self.grouping[cell][:, None], tokens[:, :-1]]
        is_label = tokens[:, :-1] == label[:, None]
        numbers = np.stack([((group == g + 1) & ~is_label).sum(axis=1) for g in range(self.chosen.shape[1])], axis=1)
        known = {(int(c), *map(int, chosen)) for c, chosen in zip(self.cell, self.chosen, strict=True)}
        keys = zip(cell, numbers, strict=True)
        return np.array([(int(c), *map(int, chosen)) in known for c, chosen in keys], np.bool_)


def composition_classes(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> CertifiedInputs:
    """Apply the rule to additive tables. Hints: `groupings`, `cells`, `classes` (see the module's docstring)."""
    tables = take_tables(step, premises)
    classes = Classes.claimed(setting, step)
    setting.meter.allocate(8 * classes.chosen.shape[1] * (2 * classes.groupings.size + len(classes.groupings)))
    setting.meter.allocate(64 * classes.chosen.size)
    if np.any((classes.group_sizes()[classes.cell] == 0) & (classes.chosen > 0)):
        raise Refused("a class chooses tokens from an empty group")
    scores = Scores.of(tables)
    outputs = tables.direct.shape[1]
    starts = np.searchsorted(classes.cell, np.arange(len(classes.label) + 1))
    for label in np.unique(classes.label):
        gaps = LabelGaps.of(tables, int(label))
        first, stop = np.searchsorted(classes.label, [label, label + 1])
        queries, cell_starts = np.unique(classes.query[first:stop], return_index=True)
        bounds = np.append(first + cell_starts, stop)
        per_block = max(1, _BLOCK // ((int(label) + 1) * outputs))
        for start in range(0, len(queries), per_block):
            block = queries[start : start + per_block]
            cells = slice(bounds[start], bounds[start + len(block)])
            part = slice(starts[cells.start], starts[cells.stop])
            _check_block(classes, tables, scores, gaps, block, cells, part)
    return classes.certified(setting)


def _check_block(
    classes: Classes,
    tables: AdditiveTables,
    scores: Scores,
    gaps: LabelGaps,
    queries: IntArray,
    cells: slice,
    part: slice,
) -> None:
    """Check the classes `part` of the cells `cells`, whose label is that of `gaps` and whose queries are `queries`."""
    label = gaps.label
    terms = LabelTerms.of(tables, scores, gaps, queries)
    least, segment = _group_minima(classes, tables, scores, gaps, terms, queries, cells)
    row = np.searchsorted(queries, classes.query[cells])
    per_block = max(1, _BLOCK // len(gaps.rivals))
    for start in range(part.start, part.stop, per_block):
        cell = classes.cell[start : min(start + per_block, part.stop)]
        chosen = classes.chosen[start : min(start + per_block, part.stop)]
        local = cell - cells.start
        margin = terms.own[row[local]] + terms.copy[row[local]].times(classes.copies[cell][:, None])
        for group in range(chosen.shape[1]):
            # Groups without chosen tokens contribute nothing: only classes with some pay for the addition.
            if least is not None and np.any(chosen[:, group]):
                index = np.maximum(segment[local, group], 0)
                margin = margin + least[index].times(chosen[:, group][:, None])
        proved = margin.positive().all(axis=1)
        if not proved.all():
            bad = int(np.argmin(proved))
            raise Refused(
                f"class (query {classes.query[cell[bad]]}, maximum {label}, copies {classes.copies[cell[bad]]}, "
                f"groups {chosen[bad].tolist()}) is not proved correct"
            )


def _group_minima(
    classes: Classes,
    tables: AdditiveTables,
    scores: Scores,
    gaps: LabelGaps,
    terms: LabelTerms,
    queries: IntArray,
    cells: slice,
) -> tuple[Enclosure | None, IntArray]:
    """Minima of H over the groups of each cell: rows "segment o", and the row of each "cell group" (-1: empty group)."""
    label, groups = gaps.label, classes.chosen.shape[1]
    rivals = len(gaps.rivals)
    row = np.searchsorted(queries, classes.query[cells])
    pairs, pair = np.unique(np.stack([row, classes.grouping[cells]], axis=1), axis=0, return_inverse=True)
    group_of = classes.groupings[pairs[:, 1], :label]  # "pair t"
    order = np.argsort(group_of, axis=1, kind="stable")
    which, rank = np.nonzero(np.take_along_axis(group_of, order, axis=1) > 0)
    if not which.size:
        return None, np.full((len(row), groups), -1)
    token = order[which, rank]
    tables.direct.meter.allocate(len(which) * rivals * tables.direct.element_bytes)
    key = which * (groups + 1) + group_of[which, token]
    starts = np.flatnonzero(np.diff(key, prepend=-1))
    segment = np.full((len(pairs), groups + 1), -1)
    segment.reshape(-1)[key[starts]] = np.arange(len(starts))

    token_score = scores.token[queries, :label] - terms.reference
    low, high = ((token_score + free[queries]).exp() for free in (scores.free_low, scores.free_high))
    shape = (len(queries), label, 1)
    gap = terms.free.reshape(len(queries), 1, rivals) + gaps.token[:label].reshape(1, label, rivals)
    worst = gap.least_product(low.reshape(*shape), high.reshape(*shape)).reshape(len(queries) * label, rivals)
    least = worst[pairs[which, 0] * label + token].segment_min(starts)
    return least, segment[pair.reshape(-1), 1:]
