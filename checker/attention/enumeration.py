"""Rule `enumeration`: all inputs of some cells (or all with some tokens), each evaluated by table look-ups.

*Theorem.* Let every position, and the label, have a range. Of the inputs x whose tokens x_j and whose maximum m are all in
their ranges, count those that are not skipped and for which every output o != m has

    sum over all positions j of h_j(q, x_j, o)  >  0,
    h_j(q, t, o) = w_j(q, t) * ( (direct[q, m] - direct[q, o] - margin) + (token_value[t, m] - token_value[t, o])
                                 + (position_value[j, m] - position_value[j, o]) ).

At least as many inputs as are counted are classified correctly.

*Proof.* By additive-tables the inequality says that x is classified as m by more than the margin. No input is counted twice:
it has one query q, one maximum m, and one first free position that holds m (K-1 where only the query does); the inputs of given
(q, m, first) are a product of sets of tokens -- m there, smaller ones before it, none larger after it -- and all of a product's
members are different. Inputs whose margin is too close to zero to decide are not counted.

*Hints:* `ranges` "K+1 2": from, and up to but without, for the tokens of every position, then for the label. `skip` "n 2": runs
of the inputs with tokens in the ranges, in lexicographic order, that are not counted even if they could be. (The prover, which
computes in floating point, names the inputs where it and the checker might disagree, so that both arrive at the same number.)
"""

import math
from dataclasses import dataclass

import numpy as np

from certificates.certificate import Step
from certificates.tensor_file import IntArray
from checker.attention.order_statistic import order_statistic
from checker.attention.tables import AdditiveTables, take_tables
from checker.core.enclosed_weights import plus_margin
from checker.core.enclosures import BoolArray, Enclosure
from checker.core.errors import Refused
from checker.core.facts import CertifiedInputs, Fact, Setting, no_cells, take_hints, take_parameters
from checker.core.meter import Meter

_BLOCK = 2**18
"""Elements in the largest array of one block: small enough for the processor's cache."""
_EFFORT_OF_A_PRODUCT = 4000
"""What it takes to find out whether a product of sets has members."""
_EFFORT_PER_TOKEN = 32
"""What it takes to find the place of an input, for each token."""


@dataclass(frozen=True)
class CellTerms:
    """The summands of the inequality for one query q and label m, rivals o being all outputs but m.

    own "1 o": h_{K-1}(q, q, o); free[j] "t o": h_j(q, t, o) for the tokens t <= m in the range of the free position j.
    """

    own: Enclosure
    free: tuple[Enclosure, ...]

    @staticmethod
    def of(setting: Setting, tables: AdditiveTables, query: int, label: int, first: IntArray, end: IntArray) -> "CellTerms":
        """Tables of h, with scores relative to the largest one that an input with this query and label can have."""
        rivals = np.delete(np.arange(tables.direct.shape[1]), label)

        def gap(value: Enclosure) -> Enclosure:
            return value[:, label : label + 1] - value[:, rivals]

        at, tokens = slice(query, query + 1), slice(label + 1)
        score = tables.token_score[at, tokens] + tables.position_score[at, :-1].T
        own_score = tables.token_score[at, at] + tables.position_score[at, -1:]
        largest = score.reshape(1, -1).max(1).reshape(1, 1).maximum(own_score).representative()
        weight = (score - largest).exp()
        direct = plus_margin(setting, gap(tables.direct[at]), -1)
        value, position = direct + gap(tables.token_value[tokens]), gap(tables.position_value)
        within = [slice(a, min(b, label + 1)) for a, b in zip(first, end, strict=True)][: len(first) - 2]
        free = [(value[t] + position[j : j + 1]) * weight[j, t].reshape(-1, 1) for j, t in enumerate(within)]
        return CellTerms((value[at] + position[-1:]) * (own_score - largest).exp(), tuple(free))


@dataclass(frozen=True)
class Region:
    """What is counted at most. first, end: the ranges, of tokens by position and of the label; edges: where runs of skipped
    inputs begin and end, in turn; strides: how far apart inputs are, in lexicographic order, that differ by one at a position.
    """

    meter: Meter
    first: IntArray
    end: IntArray
    edges: IntArray
    strides: IntArray

    def skipped(self, places: IntArray) -> BoolArray:
        """Which places in the lexicographic order of the inputs with tokens in the ranges are skipped."""
        return np.asarray(np.searchsorted(self.edges, places, side="right") % 2 == 1, np.bool_)

    def holds(self, inputs: IntArray) -> BoolArray:
        """Which of some inputs "n k" are in the ranges, and not skipped."""
        self.meter.toil(_EFFORT_PER_TOKEN * (inputs.size + 300))
        known = np.column_stack([inputs, inputs.max(axis=1)])
        held = np.all((self.first <= known) & (known < self.end), axis=1)
        held[held] = ~self.skipped((inputs[held] - self.first[:-1]) @ self.strides)
        return np.asarray(held, np.bool_)

    def proved(self, terms: CellTerms, query: int, low: IntArray, high: IntArray) -> int:
        """How many inputs with this query and low_j <= x_j - first_j < high_j at free positions are proved, and not skipped."""
        widths, outputs = high - low, terms.own.shape[1]
        *outer, inner = np.argsort(widths, kind="stable").tolist()  # the widest last: sums over all others serve many times
        divisible = [j for j in outer if widths[j] > 1]
        if math.prod(widths.tolist()) * outputs > _BLOCK and divisible:
            here, middle = np.arange(len(low)) == divisible[0], (low + high) // 2
            lower = self.proved(terms, query, low, np.where(here, middle, high))
            return lower + self.proved(terms, query, np.where(here, middle, low), high)
        margin, place = terms.own, np.array((query - self.first[-2]) * self.strides[-1], np.int64)
        along = [np.arange(a, b) * stride for a, b, stride in zip(low, high, self.strides[:-1], strict=True)]
        for j in outer:
            margin = (margin.reshape(-1, 1, outputs) + terms.free[j][low[j] : high[j]]).reshape(-1, outputs)
            place = np.add.outer(place, along[j]).reshape(-1)
        last = terms.free[inner][low[inner] : high[inner]]
        margin = margin.T.reshape(outputs, -1, 1) + last.T.reshape(outputs, 1, -1)
        place = np.add.outer(place, along[inner]).reshape(-1)
        self.meter.toil(len(place) * len(self.edges).bit_length())
        return int(np.count_nonzero(margin.min(0).positive().reshape(-1) & ~self.skipped(place)))


def enumeration(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> CertifiedInputs:
    """Apply the rule to additive tables. Hints: `ranges` "K+1 2", `skip` "n 2"."""
    tables, task = take_tables(step, premises), order_statistic(setting)
    take_parameters(step)
    hints = take_hints(setting, step, ranges=(task.n_ctx + 1, 2), skip=(None, 2))
    task.require_largest(step.rule)
    (first, end), edges = hints["ranges"].T, hints["skip"].reshape(-1)
    if np.any(first < 0) or np.any(first >= end) or np.any(end > task.d_vocab):
        raise Refused(f"a range is empty or not within the {task.d_vocab} tokens")

    def with_tokens_below(limit: int) -> int:
        return math.prod(np.maximum(np.minimum(end[:-1], limit) - first[:-1], 0).tolist())

    inputs = with_tokens_below(int(end[-1])) - with_tokens_below(int(first[-1]))
    setting.meter.check_affordable(2 * inputs * (tables.direct.shape[1] - 1), 2 * tables.direct.slowness)
    within = with_tokens_below(task.d_vocab)
    if within >= 2**62:  # so that places in their order are machine integers
        raise Refused(f"{within} inputs have tokens in the ranges, which is not less than 2**62")
    if np.any(edges < 0) or np.any(edges > within) or np.any(edges[1:] <= edges[:-1]):
        raise Refused("runs of skipped inputs must be non-empty, apart, in increasing order, and within the ranges")
    strides = np.cumprod([1, *(end - first)[-2:0:-1]])[::-1]
    region = Region(setting.meter, first, end, edges, strides)
    free = np.arange(task.free)

    def count_query(query: int) -> int:
        counted = 0
        for label in range(max(query, first[-1]), end[-1]):
            terms = CellTerms.of(setting, tables, query, label, first, end)
            for copy in range(task.n_ctx if label == query else task.free):  # the first free position that holds the label
                setting.meter.toil(_EFFORT_OF_A_PRODUCT)
                low = np.where(free == copy, np.maximum(label - first[:-2], 0), 0)
                high = np.minimum(end[:-2], label + (free >= copy)) - first[:-2]
                if np.all(low < high):
                    counted += region.proved(terms, query, low, high)
        return counted

    correct = sum(setting.in_order(setting.meter, count_query, range(first[-2], end[-2])))
    cells = no_cells(setting)
    cells[first[-2] : end[-2], first[-1] : end[-1]] = True

    def covers(inputs: IntArray) -> BoolArray:
        """In another order of summation than the count, which may round differently."""
        held = region.holds(inputs)
        query, label, _ = task.cells_of(inputs)
        for q, m in np.unique(np.stack([query, label], axis=1)[held], axis=0).tolist():
            here = np.flatnonzero(held & (query == q) & (label == m))
            terms = CellTerms.of(setting, tables, q, m, first, end)
            margin = terms.own
            for j in reversed(range(task.free)):
                margin = margin + terms.free[j][inputs[here, j] - first[j]]
            held[here] = margin.min(1).positive()
        return held

    return CertifiedInputs(correct, cells, covers, region.holds)
