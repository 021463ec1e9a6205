"""Rule `enumeration`: a contiguous range of inputs, each evaluated by table look-ups.

*Theorem.* Number all V**K inputs as in certificates/input_order. Of those with start <= rank < stop, count the inputs x
with maximum m that are not skipped and for which every output o != m has

    sum over all positions j of h_j(q, x_j, o)  >  0         (notation of label_terms).

At least as many inputs of the range as are counted are classified correctly.
*Proof.* By additive-tables the inequality, which is strict, says that x is classified as m. Ranks are unique, so no input
is counted twice. Inputs whose margin is too close to zero to decide are not counted.

*Parameters:* start, stop. *Hint:* `skip` "n 2": disjoint, increasing runs [from, to) of ranks minus start, which are not
counted even if they could be. (The prover, which computes in floating point, lists the inputs where it and the checker
might disagree, so that both arrive at the same number.)
"""

from dataclasses import dataclass

import numpy as np

from certificates.certificate import Step
from certificates.input_order import Box, boxes, rank_of
from certificates.tensor_file import IntArray
from checker.attention.label_terms import Scores
from checker.attention.order_statistic import OrderStatistic, order_statistic
from checker.attention.tables import AdditiveTables, take_tables
from checker.core.enclosures import BoolArray, Enclosure
from checker.core.errors import Refused
from checker.core.facts import CertifiedInputs, Fact, Setting, no_cells, take_hints, take_parameters
from checker.core.parallel import in_order

_BLOCK = 2**18
"""Elements in the largest array of one block: small enough for the processor's cache."""
_PIECE = 2**20
"""Inputs of one box handled at a time."""


@dataclass(frozen=True)
class LabelGaps:
    """Value gaps between label m and its rivals, all outputs but m: token "t o" for t <= m, position "j o"."""

    label: int
    rivals: IntArray
    token: Enclosure
    position: Enclosure

    @staticmethod
    def of(tables: AdditiveTables, label: int) -> "LabelGaps":
        """The gaps of one label."""
        rivals = np.delete(np.arange(tables.direct.shape[1]), label)
        token = tables.token_value[: label + 1, label : label + 1] - tables.token_value[: label + 1, rivals]
        return LabelGaps(label, rivals, token, tables.position_value[:, label : label + 1] - tables.position_value[:, rivals])


@dataclass(frozen=True)
class CellTerms:
    """The summands of the inequality for one query and label. own: "1 o"; position[j]: h_j, "t o" for t <= label."""

    own: Enclosure
    position: tuple[Enclosure, ...]

    @staticmethod
    def of(tables: AdditiveTables, scores: Scores, gaps: LabelGaps, query: int) -> "CellTerms":
        """Tables of h for one query."""
        label, index, row = gaps.label, np.array([query]), slice(query, query + 1)
        direct = tables.direct[index, label].reshape(1, 1) - tables.direct[np.ix_(index, gaps.rivals)]
        value = direct + gaps.token
        score = scores.token[index, : label + 1] - scores.reference(index, label + 1)

        def term(token: slice, j: int) -> Enclosure:
            position = slice(j, j + 1)
            return (value[token] + gaps.position[position]) * (score[:, token].T + scores.position[index, position]).exp()

        last = scores.position.shape[1] - 1
        return CellTerms(term(row, last), tuple(term(slice(None), j) for j in range(last)))


@dataclass(frozen=True)
class Enumeration:
    """A checked range: evaluates inputs of given query and label on demand."""

    task: OrderStatistic
    tables: AdditiveTables
    start: int
    stop: int
    skip: IntArray

    def proved_in_box(self, terms: CellTerms, box: Box, first: int, stop: int) -> BoolArray:
        """Which of the inputs first .. stop-1 of the box (numbered within it) satisfy the inequality."""
        base = terms.own
        if box.first < self.task.free:
            base = base + terms.position[box.first][box.label : box.label + 1]
        if not box.positions:
            return base.min(1).positive()
        *outer, inner = box.positions
        width = box.choices[-1]
        fastest = terms.position[inner][:width].T
        outputs = fastest.shape[0]
        rows = np.arange(first // width, -(-stop // width))
        per_block = max(1, _BLOCK // (width * outputs))
        proved = []
        for begin in range(0, len(rows), per_block):
            digits = rows[begin : begin + per_block]
            partial = base
            for position, choice in zip(reversed(outer), reversed(box.choices[:-1]), strict=True):
                partial = terms.position[position][digits % choice] + partial
                digits = digits // choice
            margin = partial.T.reshape(outputs, -1, 1) + fastest.reshape(outputs, 1, width)
            proved.append(margin.min(0).positive().reshape(-1))
        offset = first - int(rows[0]) * width
        return np.concatenate(proved)[offset : offset + stop - first]

    def skipped(self, ranks: IntArray) -> BoolArray:
        """Which ranks (minus start) the skip list names."""
        run = np.searchsorted(self.skip[:, 0], ranks, side="right") - 1
        return np.asarray((run >= 0) & (ranks < np.append(self.skip[:, 1], 0)[run]), np.bool_)

    def may_count(self, tokens: IntArray) -> BoolArray:
        """Which of some inputs, shape "n k", are in the range and not skipped."""
        vocab = self.task.d_vocab
        ranks = [rank_of(tuple(map(int, row)), vocab) for row in tokens]
        inside = np.array([self.start <= rank < self.stop for rank in ranks], np.bool_)
        relative = np.array([rank - self.start if ok else 0 for rank, ok in zip(ranks, inside, strict=True)], np.int64)
        return inside & ~self.skipped(relative)

    def covers(self, tokens: IntArray) -> BoolArray:
        """Which of these are proved correct, by a sum in an order that may round differently than the one of the count."""
        result = self.may_count(tokens)
        query, label, _ = self.task.cells_of(tokens)
        scores = Scores.of(self.tables)
        for m in np.unique(label[result]):
            gaps = LabelGaps.of(self.tables, int(m))
            for q in np.unique(query[result & (label == m)]):
                members = np.flatnonzero(result & (label == m) & (query == q))
                terms = CellTerms.of(self.tables, scores, gaps, int(q))
                margin = terms.own
                for j, table in enumerate(terms.position):
                    margin = table[tokens[members, j]] + margin
                result[members] = margin.min(1).positive()
        return result


def enumeration(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> CertifiedInputs:
    """Apply the rule to additive tables. Parameters: start, stop. Hint: `skip` "n 2"."""
    tables = take_tables(step, premises)
    start, stop = take_parameters(step, "start", "stop")
    skip = take_hints(setting, step, skip=(None, 2))["skip"]
    task = order_statistic(setting)
    task.require_largest(step.rule)
    if not 0 <= start < stop <= task.total:
        raise Refused(f"the range {start}..{stop} is empty or not within the {task.total} inputs")
    edges = skip.reshape(-1)
    if np.any(skip[:, 0] >= skip[:, 1]) or np.any(edges[1:] < edges[:-1]) or np.any((edges < 0) | (edges > stop - start)):
        raise Refused("skipped runs must be non-empty, increasing, disjoint and inside the range")
    setting.meter.check_affordable(2 * (stop - start) * (tables.direct.shape[1] - 1), tables.direct.slowness)
    run = Enumeration(task, tables, start, stop, skip)
    scores = Scores.of(tables)
    cells = no_cells(setting)

    def count_query(query: int) -> tuple[int, list[int]]:
        """The inputs counted, and the labels looked at."""
        correct, labels = 0, list[int]()
        begin, end = max(start, query * per_query), min(stop, (query + 1) * per_query)
        for box in boxes(task.d_vocab, task.n_ctx, begin, end):
            if not labels or labels[-1] != box.label:
                labels.append(box.label)
                terms = CellTerms.of(tables, scores, LabelGaps.of(tables, box.label), query)
            last = min(end - box.start, box.size)
            for first in range(max(begin - box.start, 0), last, _PIECE):
                piece = np.arange(first, min(first + _PIECE, last))
                proved = run.proved_in_box(terms, box, first, first + len(piece))
                if len(skip):
                    proved &= ~run.skipped(piece + (box.start - start))
                correct += int(np.count_nonzero(proved))
        return correct, labels

    per_query = task.d_vocab**task.free
    queries = range(start // per_query, -(-stop // per_query))
    correct = 0
    for query, (counted, labels) in zip(queries, in_order(setting.meter, setting.jobs, count_query, queries), strict=True):
        correct += counted
        cells[query, labels] = True
    return CertifiedInputs(correct, cells, run.covers, run.may_count)
