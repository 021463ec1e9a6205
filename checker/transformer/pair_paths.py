"""Inputs with given tokens at the last positions, as paths: every step of a path adds what a pair of neighbours stands for.

*Task.* An automaton with one read, at the last position p after all steps. It reads the other positions from the first to the
last, and p at any time.

*Paths.* A *family* are the inputs with a given token q at p and, perhaps, a given token before it. A *state* is a node
(`reads`: a state of the automaton, and q) with the token read last, the one at p left aside. Inputs of the family are paths
through states, one each; those that end in the same state have the same true output, and the same tokens at the last two
positions. The step that reads a position j other than p stands for the pair of the tokens at j - 1 and j (at the first
position, of 0 and the token there); the last state stands for the pair of those at p - 1 and p.

*Sums.* Let every pair that a step or a last state stands for have numbers F, of several columns. Let before(s) be at most the
sum over the steps of any path to the state s, column by column, and after(s) at most that over the steps from s on and the last
state: minima over the steps that lead to s, or from it. If before(s) + F + after(s') > 0 in all columns for some step of a path
from s to s', then the sums of all paths with this step are positive. So all paths have positive sums but, perhaps, those that
take *doubtful* steps only, which can be counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from certificates.tensor_file import IntArray
from checker.core.enclosed_weights import zeros
from checker.core.enclosures import BoolArray, Enclosure
from checker.core.facts import Setting
from checker.transformer.reads import Read

_EFFORT_PER_TOKEN = 100
"""What following an input takes, for each of its tokens."""
_SORTS = 4
"""What finding or choosing paths takes, for each position: like so many sorts of what leads on."""


@dataclass(frozen=True)
class Steps:
    """By number "e": the states that they lead from, ascending, and to; and the pair, by its number among those that occur."""

    source: IntArray
    target: IntArray
    pair: IntArray


@dataclass(frozen=True)
class Paths:
    """steps: by which each position is read. states: how many there are before each step, and after the last one. last: the
    pair of each last state.
    """

    setting: Setting
    steps: list[Steps]
    states: list[int]
    last: IntArray

    def least(self, terms: Mapping[int, Enclosure]) -> list[Enclosure]:
        """For the states before each step, and the last ones, after(s), "s x": the first are the least sums of all paths.

        terms: F "pair x" of each step, by its number, that adds anything; and of last states.
        """
        final = terms[len(self.steps)]
        self.setting.meter.allocate(sum(self.states) * final.shape[1] * final.element_bytes // 4)
        after = [final[self.last].ends()[0]]
        for number, steps in reversed(list(enumerate(self.steps))):
            sums = after[0][steps.target]
            sums = sums + terms[number][steps.pair] if number in terms else sums
            after.insert(0, sums.segment_hull(_starts(steps.source)).ends()[0])
        return after

    def doubtful(self, terms: Mapping[int, Enclosure]) -> list[BoolArray]:
        """Which steps. terms: as for `least`."""
        after = self.least(terms)
        if after[0].positive().all():
            return [np.zeros(len(steps.source), np.bool_) for steps in self.steps]
        before, found = zeros(self.setting, *after[0].shape), list[BoolArray]()
        for number, (steps, rest) in enumerate(zip(self.steps, after[1:], strict=True)):
            sums = before[steps.source]
            sums = sums + terms[number][steps.pair] if number in terms else sums
            found.append(~np.asarray((sums + rest[steps.target]).positive().all(axis=1), np.bool_))
            self.setting.meter.sorting(len(steps.target))
            order = np.argsort(steps.target, kind="stable")
            before = sums[order].segment_hull(_starts(steps.target[order])).ends()[0]
        return found

    def count(self, taken: list[BoolArray] | None = None) -> int:
        """How many paths there are (that take some steps only)."""
        ways = np.ones(1, object)
        for number, (steps, states) in enumerate(zip(self.steps, self.states[1:], strict=True)):
            self.setting.meter.scripting(len(steps.source))
            kept = slice(None) if taken is None else taken[number]
            longer = np.zeros(states, object)
            np.add.at(longer, steps.target[kept], ways[steps.source[kept]])
            ways = longer
        total: int = ways.sum()
        return total


@dataclass(frozen=True)
class Family:
    """Inputs with the token `query` at p, and the token `before` it (-1: any); the read's queries are all tokens.

    paths: all of them. pairs: numbers a x d_vocab + b of the pairs that occur in each step, and after the last one. outputs:
    true ones of the last states.
    """

    read: Read
    query: int
    before: int
    paths: Paths
    pairs: list[IntArray]
    outputs: IntArray

    @cached_property
    def numbers(self) -> frozenset[int]:
        """All true outputs."""
        return frozenset(self.outputs.tolist())

    @cached_property
    def _keys(self) -> list[IntArray]:
        """For each step by its number the state before it times d_vocab, plus the token that is read: increasing."""
        steps, vocab = self.paths.steps, self.read.task.d_vocab
        self.read.setting.meter.gathering(4 * sum(len(own.source) for own in steps))
        self.read.setting.meter.hold(8 * sum(len(own.source) for own in steps))
        return [own.source * vocab + pairs[own.pair] % vocab for own, pairs in zip(steps, self.pairs, strict=False)]

    @staticmethod
    def of(read: Read, query: int, before: int) -> "Family":
        """There may be no inputs in it."""
        meter, vocab, position = read.setting.meter, read.task.d_vocab, read.position
        state, states, steps, pairs = np.array([query * vocab]), [1], list[Steps](), list[IntArray]()
        for after, place in zip(read.after, read.task.automaton.order.tolist(), strict=True):
            node, previous = np.divmod(state, vocab)
            meter.gathering(3 * len(node) * vocab)
            meter.allocate(16 * len(node) * vocab)
            source, token = np.nonzero(after[node] >= 0)
            meter.hold(64 * len(source))
            for _ in range(_SORTS):
                meter.sorting(len(source))
            if place == position - 1 and before >= 0:
                source, token = source[token == before], token[token == before]
            own, pair = np.unique(previous[source] * vocab + token, return_inverse=True)
            kept = previous[source] if place == position else token
            state, target = np.unique(after[node[source], token] * vocab + kept, return_inverse=True)
            steps.append(Steps(source, target.reshape(-1), pair.reshape(-1)))
            pairs.append(own)
            states.append(len(state))
        node, previous = np.divmod(state, vocab)
        own, last = np.unique(previous * vocab + query, return_inverse=True)
        outputs = read.task.automaton.outputs[0][node // len(read.queries)]
        return Family(read, query, before, Paths(read.setting, steps, states, last.reshape(-1)), [*pairs, own], outputs)

    def followed(self, inputs: IntArray) -> IntArray:
        """The numbers "n k" of the steps that inputs of the family take."""
        vocab, order = self.read.task.d_vocab, self.read.task.automaton.order.tolist()
        self.read.setting.meter.toil(_EFFORT_PER_TOKEN * (inputs.size + _EFFORT_PER_TOKEN * len(order)))
        state, found = np.zeros(len(inputs), np.int64), list[IntArray]()
        for steps, keys, place in zip(self.paths.steps, self._keys, order, strict=True):
            found.append(np.searchsorted(keys, state * vocab + inputs[:, place]))
            state = steps.target[found[-1]]
        return np.stack(found, axis=1)

    def to(self, output: int) -> tuple[Paths, list[IntArray]]:
        """The paths to states with an output; and for each of their steps the number among those of all paths."""
        paths, meter = self.paths, self.paths.setting.meter
        rows = np.flatnonzero(self.outputs == output)
        last, steps, numbers, states = paths.last[rows], list[Steps](), list[IntArray](), [len(rows)]
        for every, before, after in zip(*(x[::-1] for x in (paths.steps, paths.states[:-1], paths.states[1:])), strict=True):
            for _ in range(_SORTS):
                meter.gathering(3 * len(every.source) + before + after)
            place = np.full(after, -1, np.int64)
            place[rows] = np.arange(len(rows))
            taken = np.flatnonzero(place[every.target] >= 0)
            target = place[every.target[taken]]
            starts = _starts(every.source[taken])
            rows = every.source[taken][starts]
            source = np.cumsum(np.diff(every.source[taken], prepend=-1) != 0) - 1
            steps.insert(0, Steps(source, target, every.pair[taken]))
            numbers.insert(0, taken)
            states.insert(0, len(rows))
        return Paths(paths.setting, steps, states, last), numbers


def _starts(ascending: IntArray) -> IntArray:
    """Where each number begins, in a sorted array without gaps in what it names."""
    return np.flatnonzero(np.diff(ascending, prepend=-1) != 0)
