"""Tasks as finite automata: which sequences are inputs, how many there are, and their true outputs.

*Automaton.* It reads the positions of a sequence of n tokens in a stated order, starting in state 0, and goes from state s with
a token t to transitions[step, s, t], or dies (-1). A *read* is a position at which a model is read, and a number of steps; in
the state s after these steps, the true output there is outputs[read, s], or there is none (-1). The sequence is an input if
it lives to the end and has a true output at every read. Most tasks have one read: the last position, after all steps.

*Number.* Every sequence has one run. So if ways(s) of the tokens that are read in some steps lead to the state s, then the sum
of ways(s) over all s and t with transitions[step, s, t] = s' is the number of those one token longer that lead to s'; states
without an output that is due are left out.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from certificates.canonical_json import Json, dumps, loads_relaxed
from certificates.errors import FormatError
from certificates.tensor_file import IntArray

TABLES = frozenset({"order", "outputs", "transitions"})
"""The names of an automaton's tables, in a JSON file and among the tensors of a certificate."""
WITH_READS = TABLES | {"reads"}
"""Those of automata with reads of their own."""


@dataclass(frozen=True)
class Automaton:
    """order "n": the positions as they are read. transitions "1 s t" (the same for every step) or "n s t". outputs "r s". reads
    "r 2": a position and a number of steps each.
    """

    order: IntArray
    transitions: IntArray
    outputs: IntArray
    reads: IntArray

    @staticmethod
    def of(order: IntArray, transitions: IntArray, outputs: IntArray, reads: IntArray | None = None) -> "Automaton":
        """From tables that may be anything; without reads, outputs "s" are those at the last position, after all steps.

        Raises FormatError with the reason unless they are an automaton.
        """
        if order.ndim != 1 or not np.array_equal(np.sort(order), np.arange(len(order))):
            raise FormatError("the order of an automaton names every position of the sequence once")
        if transitions.ndim != 3 or 0 in transitions.shape or not len(order):
            raise FormatError("an automaton has an order [n] and transitions [1 or n, states, tokens]")
        steps, states, _ = transitions.shape
        if reads is None:
            outputs, reads = outputs[None], _usual(len(order))
        elif np.array_equal(reads, _usual(len(order))):
            raise FormatError("an automaton with one read, at the last position after all steps, has no reads")
        if steps not in (1, len(order)) or reads.ndim != 2 or outputs.shape != (len(reads), states) or not outputs.size:
            raise FormatError(
                f"transitions are for 1 or {len(order)} steps, and every state has an output (-1: none), or one for each read"
            )
        if reads.shape[1] != 2 or np.any(reads < (0, 1)) or np.any(reads > (len(order) - 1, len(order))):
            raise FormatError("a read is a position (0, 1, ..) and a number of steps (1, 2, ..)")
        if np.any(np.diff(reads[:, 0]) <= 0):
            raise FormatError("reads are in the order of their positions, of which none occurs twice")
        if np.any(transitions < -1) or np.any(transitions >= states):
            raise FormatError("a transition leads to a state (0, 1, ..) or is -1, which is none")
        if np.any(outputs < -1):
            raise FormatError("an output is 0, 1, .. or -1, which is none")
        return Automaton(order, transitions, outputs, reads)

    @property
    def tables(self) -> dict[str, IntArray]:
        """What `of` takes."""
        tables = {"order": self.order, "outputs": self.outputs[0], "transitions": self.transitions}
        usual = np.array_equal(self.reads, _usual(len(self.order)))
        return tables if usual else {**tables, "outputs": self.outputs, "reads": self.reads}

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of canonical JSON: an object with the tables as nested lists."""
        tables: dict[str, Json] = {name: table.tolist() for name, table in self.tables.items()}
        return hashlib.sha256(dumps(tables).encode()).hexdigest()

    def outputs_of(self, inputs: IntArray) -> IntArray:
        """The true outputs "k r" of sequences "k n" at the reads; -1 everywhere: no input."""
        state, found = np.zeros(len(inputs), np.int64), np.full((len(inputs), len(self.reads)), -1, np.int64)
        for step, position in enumerate(self.order.tolist()):
            state = np.where(state < 0, -1, self.at(step)[state, inputs[:, position]])
            due = self.reads[:, 1] == step + 1
            found[:, due] = np.where(state < 0, -1, self.outputs[due][:, state]).T
        return np.asarray(np.where((state < 0) | np.any(found < 0, axis=1), -1, found.T).T, np.int64)

    def due(self, step: int) -> IntArray:
        """Which states "s" a run may be in after so many steps: those with all outputs that are due then (True or False)."""
        return np.asarray(np.all(self.outputs[self.reads[:, 1] == step] >= 0, axis=0), np.bool_)

    def refined(self, tables: Sequence[IntArray], states: Sequence[IntArray]) -> "Automaton":
        """One whose states stand for this one's, with the same order, outputs and reads.

        tables "s t", for each step: where its states lead, or -1. states "s": what they stand for before each step, and after
        the last one.
        """
        most, tokens = max(map(len, states)), tables[0].shape[1]
        transitions = np.full((len(tables), most, tokens), -1, np.int64)
        outputs = np.full((len(self.reads), most), -1, np.int64)
        for step, table in enumerate(tables):
            transitions[step, : len(table)] = table
        for read, steps in enumerate(self.reads[:, 1].tolist()):
            outputs[read, : len(states[steps])] = self.outputs[read, states[steps]]
        return Automaton(self.order, transitions, outputs, self.reads)

    def count(self) -> int:
        """How many inputs there are."""
        states = self.transitions.shape[1]
        ways: dict[int, int] = {0: 1}
        for step in range(len(self.order)):
            table, due = self.at(step), self.due(step + 1)
            edges = (np.arange(states)[:, None] * states + table)[(table >= 0) & due[table]]
            edges, times = np.unique(edges, return_counts=True)
            longer: dict[int, int] = {}
            for before, after, number in zip(*(x.tolist() for x in (*np.divmod(edges, states), times)), strict=True):
                if before in ways:
                    longer[after] = longer.get(after, 0) + number * ways[before]
            ways = longer
        return sum(ways.values())

    def followers(self, position: int, queries: IntArray, by_state: bool = False) -> list[IntArray]:
        """For each step "node v": the node after it, or -1 if no input goes on like this.

        A *node* is a state times the number of queries, plus the number of a query: a token that inputs have at the position,
        or (by_state) a state that they are in when it has been read.
        """
        count, (_, _, tokens), length = len(queries), self.transitions.shape, len(self.order)
        alive, found = np.repeat(self.due(length), count), list[IntArray]()
        for step in reversed(range(length)):
            table = self.at(step)[:, None, :]
            after = np.where(table < 0, -1, table * count + np.arange(count)[:, None])
            fits = (after >= 0) & alive[after]
            if self.order[step] == position:
                fits &= queries[:, None] == (table if by_state else np.arange(tokens))
            if step:
                fits &= self.due(step)[:, None, None]
            found.insert(0, np.where(fits, after, -1).reshape(-1, tokens))
            alive = np.any(found[0] >= 0, axis=1)
        return found

    def at(self, step: int) -> IntArray:
        """The transitions of a step, "s t"."""
        table: IntArray = self.transitions[step if len(self.transitions) > 1 else 0]
        return table


def _usual(length: int) -> IntArray:
    return np.array([[length - 1, length]], np.int64)


def read_automaton(path: Path) -> Automaton:
    """From a JSON file: an object with exactly `order`, `outputs` and `transitions`, or `reads` too: nested lists of integers.

    Raises FormatError with the reason if it is none.
    """
    try:
        tables = loads_relaxed(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"cannot read {path}: {error}") from error
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error
    if not isinstance(tables, dict) or set(tables) not in (TABLES, WITH_READS):
        raise FormatError(f"{path}: an automaton is an object with exactly {sorted(TABLES)}, or with reads too")
    depth = {"order": 1, "outputs": 2 if "reads" in tables else 1, "reads": 2, "transitions": 3}
    arrays = {name: _array(path, name, table, depth[name]) for name, table in tables.items()}
    try:
        return Automaton.of(**arrays)
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error


def _array(path: Path, name: str, table: Json, depth: int) -> IntArray:
    entries, shape = [table], list[int]()
    for _ in range(depth):
        sizes = {len(entry) if isinstance(entry, list) else -1 for entry in entries}
        shape += sizes
        entries = [part for entry in entries if isinstance(entry, list) for part in entry]
    if -1 in shape or len(shape) != depth or not all(type(x) is int and abs(x) < 2**62 for x in entries):
        raise FormatError(f"{path}: {name} is {depth} deep, lists of one length on each level, of integers")
    return np.array(entries, np.int64).reshape(shape)
