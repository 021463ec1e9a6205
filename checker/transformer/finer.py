"""Finer automata: they divide the inputs of a task, as they are read, into regions.

*Task.* An automaton; one of its reads: the position p, after m steps.

*Finer automaton* (hints). At the start it has a state for each of some *queries*, tokens at p. Every later state stands for a
state of the task's automaton and a query, the first ones for the start and their query. In step i <= m, a state and a token
lead to a state, or to none. *Checked:* if to one, then the task's automaton goes on likewise from what the state stands for,
and can still accept; the query stays the same, and if the position read is p, it is the token; and every state is led to. So
an input x is led to at most one state after step m, by its tokens and its query x_p. Those led to one state are a *region*:
they have the same query, and the same output at the read, as they lead the task's automaton to the same state.

*Number.* Regions are disjoint, so the inputs of some add up: for each, the ways that lead to its state, times the ways from
there on that the task's automaton accepts (with the query's token at p).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from certificates.certificate import Step
from certificates.tensor_file import IntArray
from checker.core.automata import AutomatonTask
from checker.core.enclosures import BoolArray
from checker.core.errors import Refused
from checker.core.facts import Fact, Setting, take_hints
from checker.transformer.reads import Counts, Edges, Read
from checker.transformer.transformer_forward import take_forward

_EFFORT_PER_TOKEN = 100
"""What following an input takes, for each of its tokens."""


@dataclass(frozen=True)
class RightAtRead(Fact):
    """At a read, by its number, at least `correct` inputs are right. covers: which of some inputs "k n" are proved to be.

    followed: if these are the inputs of some regions of a finer automaton, it and which regions "f".
    """

    read: int
    correct: int
    covers: Callable[[IntArray], BoolArray]
    followed: "tuple[FinerAutomaton, BoolArray] | None" = None
    unexplained_dimension: int = 0


@dataclass(frozen=True)
class FinerAutomaton:
    """For a read: tables "s v" for each of its steps. nodes: what the states before each step stand for, and the last ones,
    which are the regions. ways: how many inputs these have.
    """

    read: Read
    number: int
    tables: list[IntArray]
    nodes: list[IntArray]
    ways: Counts

    @property
    def query(self) -> IntArray:
        """Of each region, by its number among the queries."""
        return np.asarray(self.nodes[-1] % len(self.read.queries), np.int64)

    @property
    def outputs(self) -> IntArray:
        """True outputs of regions."""
        outputs: IntArray = self.read.task.automaton.outputs[self.number][self.nodes[-1] // len(self.read.queries)]
        return outputs

    def edges(self, step: int) -> Edges:
        """From the states before a step to those after it."""
        source, token = np.nonzero(self.tables[step] >= 0)
        query = np.asarray(self.nodes[step][source] % len(self.read.queries), np.int64)
        return Edges(source, self.tables[step][source, token], query, token)

    def right(self, proved: BoolArray) -> RightAtRead:
        """All inputs of the regions "f" that are proved are right at the read."""
        read, count = self.read, len(self.read.queries)

        def covers(inputs: IntArray) -> BoolArray:
            read.setting.meter.toil(_EFFORT_PER_TOKEN * inputs.size)
            asked = inputs[:, read.position]
            state = np.minimum(np.searchsorted(read.queries, asked), count - 1)
            state[(read.queries[state] != asked) | (read.task.outputs_of(inputs)[:, 0] < 0)] = -1
            for table, position in zip(self.tables, read.task.automaton.order.tolist(), strict=False):
                state = np.where(state < 0, -1, table[state, inputs[:, position]])
            return np.asarray((state >= 0) & proved[state], np.bool_)

        return RightAtRead(self.number, sum(self.ways[proved].tolist()), covers, (self, proved))


def finer_automaton(
    setting: Setting, step: Step, premises: tuple[Fact, ...], number: int, **shapes: tuple[int | None, ...]
) -> tuple[FinerAutomaton, dict[str, IntArray]]:
    """From the premise, a forward pass, and the hints `queries` "q", `sizes` "m" and `finer` "x v". Also the other hints.

    sizes: how many states there are after each step. finer has a row for every state, but for those after step m: where each
    token leads, or -1.
    """
    task = setting.task
    forward = take_forward(step, premises)
    if not isinstance(task, AutomatonTask) or forward.config.n_layers != 1:
        raise Refused(f"{step.rule} is about a transformer with one layer, and a task that is an automaton")
    if not 0 <= number < len(task.reads):
        raise Refused(f"the task has the reads 0 to {len(task.reads) - 1}, but no read {number}")
    position, steps = task.automaton.reads[number].tolist()
    hints = take_hints(setting, step, queries=(None,), sizes=(steps,), finer=(None, task.d_vocab), **shapes)
    queries, sizes, finer = hints["queries"], np.append(len(hints["queries"]), hints["sizes"]), hints["finer"]
    if not len(queries) or np.any(np.diff(queries, prepend=-1) <= 0) or queries[-1] >= task.d_vocab:
        raise Refused("queries are tokens, in increasing order, at least one")
    if np.any(sizes < 1) or np.any(sizes[:-1] > len(finer)) or sizes[-1] > finer.size or sizes[:-1].sum() != len(finer):
        raise Refused("the finer automaton has as many rows as it has states before its last step")
    read, tables = Read(setting, forward, task, position, queries), np.split(finer, np.cumsum(sizes[:-1]))[:-1]
    nodes, ways = _followed(read, tables, sizes[1:].tolist())
    return FinerAutomaton(read, number, tables, nodes, ways), hints


def _followed(read: Read, tables: list[IntArray], sizes: list[int]) -> tuple[list[IntArray], Counts]:
    """The nodes of all states, step by step, and how many inputs are led to the last ones."""
    setting, count = read.setting, len(read.queries)
    found, ways = [np.arange(count)], np.ones(count, object)
    if np.any(read.after[0][found[0]].max(axis=1) < 0):
        raise Refused("no input has one of the queries")
    for step, (table, states) in enumerate(zip(tables, sizes, strict=True)):
        setting.meter.gathering(8 * table.size)
        source, token = np.nonzero(table >= 0)
        target = table[source, token]
        after, led = read.after[step][found[-1][source], token], np.full(states, -1, np.int64)
        if np.any(table < -1) or np.any(target >= states) or np.any(after < 0):
            raise Refused(f"step {step} of the finer automaton leads to what is no state, or where no input goes")
        led[target] = after
        if np.any(led < 0) or np.any(led[target] != after):
            raise Refused(f"step {step} of the finer automaton leads to a state it does not stand for, or to one from nowhere")
        ways = Edges(source, target, found[-1][source] % count, token).counts(setting, ways, states)
        found.append(led)
    nodes, further = read.last, np.ones(len(read.last), object)
    for _, nodes, edges in read.backwards(len(sizes)):
        further = edges.counts(setting, further, len(nodes))
    return found, ways * further[np.searchsorted(nodes, found[-1])]
