"""Tasks as finite automata: which sequences are inputs, how many there are, and their true outputs.

*Automaton.* It reads the positions of a sequence of n tokens in a stated order, starting in state 0, and goes from state s with
a token t to transitions[step, s, t], or dies (-1). The sequence is an input if it lives to the end and the last state s has an
output, outputs[s] >= 0 (-1: none); that is its true output.

*Number.* Every sequence has one run. So if ways(s) of the tokens that are read in some steps lead to the state s, then the sum
of ways(s) over all s and t with transitions[step, s, t] = s' is the number of those one token longer that lead to s'.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from certificates.canonical_json import Json, dumps, loads_relaxed
from certificates.errors import FormatError
from certificates.tensor_file import IntArray

TABLES = ("order", "outputs", "transitions")
"""The names of an automaton's tables, in a JSON file and among the tensors of a certificate."""
_DEPTH = {"order": 1, "outputs": 1, "transitions": 3}


@dataclass(frozen=True)
class Automaton:
    """order "n": the positions as they are read. transitions "1 s t" (the same for every step) or "n s t". outputs "s"."""

    order: IntArray
    transitions: IntArray
    outputs: IntArray

    @staticmethod
    def of(order: IntArray, transitions: IntArray, outputs: IntArray) -> "Automaton":
        """From tables that may be anything. Raises FormatError with the reason unless they are an automaton."""
        if order.ndim != 1 or not np.array_equal(np.sort(order), np.arange(len(order))):
            raise FormatError("the order of an automaton names every position of the sequence once")
        if transitions.ndim != 3 or outputs.ndim != 1 or 0 in transitions.shape or not len(order):
            raise FormatError("an automaton has an order [n], transitions [1 or n, states, tokens] and outputs [states]")
        steps, states, _ = transitions.shape
        if steps not in (1, len(order)) or len(outputs) != states:
            raise FormatError(f"transitions are for 1 or {len(order)} steps, and every state has an output (-1: none)")
        if np.any(transitions < -1) or np.any(transitions >= states):
            raise FormatError("a transition leads to a state (0, 1, ..) or is -1, which is none")
        if np.any(outputs < -1):
            raise FormatError("an output is 0, 1, .. or -1, which is none")
        return Automaton(order, transitions, outputs)

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of canonical JSON: an object with the three tables as nested lists."""
        tables: dict[str, Json] = {name: getattr(self, name).tolist() for name in TABLES}
        return hashlib.sha256(dumps(tables).encode()).hexdigest()

    def outputs_of(self, inputs: IntArray) -> IntArray:
        """The true outputs "k" of sequences "k n"; -1: no input."""
        state = np.zeros(len(inputs), np.int64)
        for step, position in enumerate(self.order.tolist()):
            state = np.where(state < 0, -1, self._at(step)[state, inputs[:, position]])
        return np.asarray(np.where(state < 0, -1, self.outputs[state]), np.int64)

    def count(self) -> int:
        """How many inputs there are."""
        states = len(self.outputs)
        ways: dict[int, int] = {0: 1}
        for step in range(len(self.order)):
            table = self._at(step)
            edges = (np.arange(states)[:, None] * states + table)[table >= 0]
            edges, times = np.unique(edges, return_counts=True)
            longer: dict[int, int] = {}
            for before, after, number in zip(*(x.tolist() for x in (*np.divmod(edges, states), times)), strict=True):
                if before in ways:
                    longer[after] = longer.get(after, 0) + number * ways[before]
            ways = longer
        accepting: list[int] = np.flatnonzero(self.outputs >= 0).tolist()
        return sum(ways.get(state, 0) for state in accepting)

    def _at(self, step: int) -> IntArray:
        table: IntArray = self.transitions[step if len(self.transitions) > 1 else 0]
        return table


def read_automaton(path: Path) -> Automaton:
    """From a JSON file: an object with exactly `order`, `outputs` and `transitions`, nested lists of integers.

    Raises FormatError with the reason if it is none.
    """
    try:
        tables = loads_relaxed(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"cannot read {path}: {error}") from error
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error
    if not isinstance(tables, dict) or set(tables) != set(TABLES):
        raise FormatError(f"{path}: an automaton is an object with exactly {list(TABLES)}")
    arrays = {name: _array(path, name, tables[name]) for name in TABLES}
    try:
        return Automaton.of(arrays["order"], arrays["transitions"], arrays["outputs"])
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error


def _array(path: Path, name: str, table: Json) -> IntArray:
    entries, shape = [table], list[int]()
    for _ in range(_DEPTH[name]):
        sizes = {len(entry) if isinstance(entry, list) else -1 for entry in entries}
        shape += sizes
        entries = [part for entry in entries if isinstance(entry, list) for part in entry]
    if -1 in shape or len(shape) != _DEPTH[name] or not all(type(x) is int and abs(x) < 2**62 for x in entries):
        raise FormatError(f"{path}: {name} is {_DEPTH[name]} deep, lists of one length on each level, of integers")
    return np.array(entries, np.int64).reshape(shape)
