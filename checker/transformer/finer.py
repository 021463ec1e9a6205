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

In a layer that works on classes of prefixes (`prefix_classes`), all this is about their automaton in place of the task's, and
queries are the classes that inputs are in when p has been read, which is one of the first m steps (checked).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from certificates.certificate import Step
from certificates.tensor_file import IntArray
from checker.core.automata import AutomatonTask
from checker.core.enclosures import BoolArray
from checker.core.errors import Refused
from checker.core.facts import Fact, Setting, take_hints
from checker.transformer.reads import Counts, Edges, LayerInput, Read
from checker.transformer.transformer_forward import take_forward

_EFFORT_PER_TOKEN = 100
"""What following an input takes, for each of its tokens."""
_BYTES_PER_TOKEN = 64
"""What a step takes, for each of its states and tokens: where they lead, and from where."""


@dataclass(frozen=True)
class RightAtRead(Fact):
    """At a read, by its number, at least `correct` inputs are right. covers: which of some inputs "k n" are proved to be.

    followed: if these are the inputs of some regions of a finer automaton, it and which regions "f". deployed: as of
    `CertifiedInputs`.
    """

    read: int
    correct: int
    covers: Callable[[IntArray], BoolArray]
    followed: "tuple[FinerAutomaton, BoolArray] | None" = None
    deployed: str | None = None
    unexplained_dimension: int = 0


@dataclass(frozen=True)
class FinerAutomaton:
    """For a read: tables "s v" for each of its steps. nodes: what the states before each step stand for, and the last ones,
    which are the regions.
    """

    read: Read
    number: int
    tables: list[IntArray]
    nodes: list[IntArray]

    @property
    def query(self) -> IntArray:
        """Of each region, by its number among the queries."""
        return np.asarray(self.nodes[-1] % len(self.read.queries), np.int64)

    @property
    def outputs(self) -> IntArray:
        """True outputs of regions."""
        outputs: IntArray = self.read.automaton.outputs[self.number][self.nodes[-1] // len(self.read.queries)]
        return outputs

    def edges(self, step: int) -> Edges:
        """From the states before a step to those after it."""
        source, token = np.nonzero(self.tables[step] >= 0)
        target = self.tables[step][source, token]
        query = np.asarray(self.nodes[step][source] % len(self.read.queries), np.int64)
        return Edges(source, target, query, self.read.symbol_of(self.nodes[step + 1][target], token))

    @cached_property
    def ways(self) -> Counts:
        """How many inputs regions have: the ways that lead there, times those that lead on to the end."""
        setting, ways = self.read.setting, np.ones(len(self.read.queries), object)
        for step, after in enumerate(self.nodes[1:]):
            ways = self.edges(step).counts(setting, ways, len(after))
        last, further = self.read.last, np.ones(len(self.read.last), object)
        for _, last, edges in self.read.backwards(len(self.tables)):
            further = edges.counts(setting, further, len(last))
        return ways * further[np.searchsorted(last, self.nodes[-1])]

    def right(self, proved: BoolArray, deployed: str | None = None) -> RightAtRead:
        """All inputs of the regions "f" that are proved are right at the read; deployed: in executions, too."""
        read, count = self.read, len(self.read.queries)

        def covers(inputs: IntArray) -> BoolArray:
            read.setting.meter.toil(_EFFORT_PER_TOKEN * inputs.size)
            asked = read.symbols_at(inputs)
            state = np.minimum(np.searchsorted(read.queries, asked), count - 1)
            state[(read.queries[state] != asked) | (read.task.outputs_of(inputs)[:, 0] < 0)] = -1
            for table, position in zip(self.tables, read.automaton.order.tolist(), strict=False):
                state = np.where(state < 0, -1, table[state, inputs[:, position]])
            return np.asarray((state >= 0) & proved[state], np.bool_)

        return RightAtRead(self.number, sum(self.ways[proved].tolist()), covers, (self, proved), deployed)


def finer_automaton(
    setting: Setting, step: Step, premises: tuple[Fact, ...], number: int, **shapes: tuple[int | None, ...]
) -> tuple[FinerAutomaton, dict[str, IntArray]]:
    """From the premise, a forward pass or classes of prefixes, and the hints `queries` "q", `sizes` "m" and `finer` "x v". Also
    the other hints.

    sizes, finer: see `stood_for`.
    """
    task = setting.task
    if not isinstance(task, AutomatonTask):
        raise Refused(f"{step.rule} is about a task that is an automaton")
    source = _source(step, premises, task)
    if not 0 <= number < len(task.reads):
        raise Refused(f"the task has the reads 0 to {len(task.reads) - 1}, but no read {number}")
    position, steps = task.automaton.reads[number].tolist()
    if source.by_state and steps <= position:
        raise Refused("a layer that works on classes of prefixes is read at a position that is read in the read's steps")
    hints = take_hints(setting, step, queries=(None,), sizes=(steps,), finer=(None, task.d_vocab), **shapes)
    queries, sizes = hints["queries"], np.append(len(hints["queries"]), hints["sizes"])
    symbols = source.automaton.transitions.shape[1 if source.by_state else 2]
    if not len(queries) or np.any(np.diff(queries, prepend=-1) <= 0) or queries[-1] >= symbols:
        raise Refused("queries are tokens, or classes of prefixes, in increasing order, at least one")
    read, count = Read(setting, source, task, position, queries), len(queries)
    if np.any(read.after[0][:count].max(axis=1) < 0):
        raise Refused("no input has one of the queries")
    tables = tables_of(hints["finer"], sizes)
    nodes = stood_for(setting, tables, sizes, np.arange(count), read.after)
    return FinerAutomaton(read, number, tables, nodes), hints


def _source(step: Step, premises: tuple[Fact, ...], task: AutomatonTask) -> LayerInput:
    if len(premises) == 1 and isinstance(premises[0], LayerInput):
        return premises[0]
    forward = take_forward(step, premises)
    if forward.config.n_layers > 1:
        raise Refused(f"{step.rule} is about the last layer: of several, it takes what prefix-classes says as its premise")
    return LayerInput.of_tokens(forward, task)


def tables_of(rows: IntArray, sizes: IntArray) -> list[IntArray]:
    """The tables of a finer automaton, step by step, from one row for every state but those after the last step.

    sizes: how many states there are before each step, and after the last one.
    """
    if np.any(sizes < 1) or np.any(sizes[:-1] > len(rows)) or sizes[-1] > rows.size or sizes[:-1].sum() != len(rows):
        raise Refused("the finer automaton has as many rows as it has states before its last step")
    return np.split(rows, np.cumsum(sizes[:-1]))[:-1]


def stood_for(
    setting: Setting, tables: list[IntArray], sizes: IntArray, first: IntArray, coarser: Sequence[IntArray]
) -> list[IntArray]:
    """What all states of a finer automaton stand for, step by step, in a coarser one.

    For each step, tables tell where each token leads from a state, or -1; coarser ones likewise. sizes: as in `tables_of`.
    first: what the first states stand for.
    """
    found = [first]
    for step, (table, states) in enumerate(zip(tables, sizes[1:].tolist(), strict=True)):
        setting.meter.gathering(8 * table.size)
        setting.meter.allocate(_BYTES_PER_TOKEN * table.size)
        source, token = np.nonzero(table >= 0)
        target = table[source, token]
        after, led = coarser[step][found[-1][source], token], np.full(states, -1, np.int64)
        if np.any(table < -1) or np.any(target >= states) or np.any(after < 0):
            raise Refused(f"step {step} of the finer automaton leads to what is no state, or where no input goes")
        led[target] = after
        if np.any(led < 0) or np.any(led[target] != after):
            raise Refused(f"step {step} of the finer automaton leads to a state it does not stand for, or to one from nowhere")
        found.append(led)
    return found
