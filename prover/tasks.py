"""Tasks of one's own, as automata (certificates/automaton): from a start state, a step function and an output function.

Is a sequence of six brackets, 0 for ( and 1 for ), balanced? The state is how many are open, or -1 once one was closed that
was not open:

    def step(opened, bracket, position):
        return -1 if opened < 0 else opened + 1 - 2 * bracket

    write_automaton(Path("balanced.json"), automaton_from(0, step, lambda opened: int(opened == 0), length=6, tokens=2))

If such sequences are to be no inputs at all, step returns None there. What is built is minimal: it has no state that cannot be
reached or that leads nowhere, and no two with the same output and successors.
"""

from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from certificates.automaton import TABLES, Automaton
from certificates.canonical_json import dumps
from certificates.tensor_file import IntArray
from certificates.writing import write_atomically

State = TypeVar("State", bound=Hashable)
_Step = Callable[[State, int, int], State | None]


def automaton_from(
    start: State,
    step: _Step[State],
    output: Callable[[State], int | None],
    length: int,
    tokens: int,
    order: Sequence[int] | None = None,
) -> Automaton:
    """The minimal automaton of a task on sequences of `length` tokens from 0 to tokens - 1.

    It reads the positions in this order (default: from first to last). step(state, token, position): the next state, or None if
    no input goes on like this. output(state): the true output after the last step, or None if no input ends like this.
    """
    positions = list(range(length)) if order is None else list(order)
    order_read, one = np.array(positions, np.int64), _one_table(start, step, positions, tokens)
    if one is None:
        tables, ends = _tables(start, step, positions, tokens)
        return _minimal_by_step(order_read, tables, _outputs(output, ends))
    table, states = one
    last = np.zeros(1, np.int64)
    for _ in positions:
        last = np.unique(table[last][table[last] >= 0])
    outputs = np.full(len(states), -1, np.int64)
    outputs[last] = _outputs(output, [states[number] for number in last.tolist()])
    return _minimal(order_read, table, outputs)


def _outputs(output: Callable[[State], int | None], states: list[State]) -> IntArray:
    found = [output(state) for state in states]
    return np.array([-1 if value is None else value for value in found], np.int64)


def write_automaton(path: Path, automaton: Automaton) -> None:
    """As a JSON file, which `prover prove --task FILE` takes."""
    tables = {name: getattr(automaton, name).tolist() for name in TABLES}
    write_atomically(path, (dumps(tables) + "\n").encode())


def _tables(start: State, step: _Step[State], positions: list[int], tokens: int) -> tuple[list[IntArray], list[State]]:
    """A table "s t" for every step, whose entries number the states after it, and the states after the last one."""
    states, tables = [start], []
    for position in positions:
        numbers: dict[State, int] = {}
        table = np.full((len(states), tokens), -1, np.int64)
        for row, state in zip(table, states, strict=True):
            for token in range(tokens):
                after = step(state, token, position)
                if after is not None:
                    row[token] = numbers.setdefault(after, len(numbers))
        states = list(numbers)
        tables.append(table)
    return tables, states


def _one_table(start: State, step: _Step[State], positions: list[int], tokens: int) -> tuple[IntArray, list[State]] | None:
    """A table "s t" for all steps, and its states, if the step function does not depend on the position."""
    numbers, rows, begin = {start: 0}, list[list[int]](), 0
    for _ in positions:
        states, begin = list(numbers)[begin:], len(numbers)
        for state in states:
            row = []
            for token in range(tokens):
                after, *others = [step(state, token, position) for position in positions]
                if any(other != after for other in others):
                    return None
                row.append(-1 if after is None else numbers.setdefault(after, len(numbers)))
            rows.append(row)
    rows += [[-1] * tokens] * (len(numbers) - len(rows))  # what is reached by the last step only
    return np.array(rows, np.int64), list(numbers)


def _minimal(order: IntArray, table: IntArray, outputs: IntArray) -> Automaton:
    """One table for all steps: states that lead to no output are left out, and those that do the same become one."""
    alive = outputs >= 0
    for _ in order:
        alive = alive | ((table >= 0) & alive[table]).any(axis=1)
    table = np.where((table >= 0) & alive[table], table, -1)
    kind = np.unique(outputs, return_inverse=True)[1].reshape(-1)
    while True:
        rows = np.column_stack([kind, np.where(table >= 0, kind[table], -1)])
        _, first, finer = np.unique(rows, axis=0, return_index=True, return_inverse=True)
        finer = finer.reshape(-1)
        if len(first) == kind.max() + 1:
            break
        kind = finer
    # The start becomes state 0, and only what it leads to is kept, in the order in which it is met.
    met = [int(finer[0])]
    for state in met:
        met += [
            after for after in dict.fromkeys(finer[table[first[state]][table[first[state]] >= 0]].tolist()) if after not in met
        ]
    number = np.full(len(first), -1, np.int64)
    number[met] = np.arange(len(met))
    of_met = table[first[met]]
    return Automaton.of(order, np.where(of_met >= 0, number[finer[of_met]], -1)[None], outputs[first[met]])


def _minimal_by_step(order: IntArray, tables: list[IntArray], outputs: IntArray) -> Automaton:
    """A table for every step: backwards, states with equal rows become one, and those that lead nowhere none."""
    values, classes = np.unique(outputs[outputs >= 0], return_inverse=True)
    merged = np.full(len(outputs), -1, np.int64)
    merged[outputs >= 0] = classes
    layers: list[IntArray] = []
    for table in reversed(tables):
        rows = np.where(table >= 0, merged[table] if len(merged) else -1, -1)
        alive = (rows >= 0).any(axis=1)
        distinct, classes = np.unique(rows[alive], axis=0, return_inverse=True)
        merged = np.full(len(rows), -1, np.int64)
        merged[alive] = classes.reshape(-1)
        layers.insert(0, distinct.reshape(-1, table.shape[1]))
    states = max([1, len(values), *map(len, layers)])
    transitions = np.full((len(layers), states, tables[0].shape[1]), -1, np.int64)
    for step, layer in enumerate(layers):
        transitions[step, : len(layer)] = layer
    if (transitions == transitions[0]).all():
        transitions = transitions[:1]
    return Automaton.of(order, transitions, np.concatenate([values, np.full(states - len(values), -1, np.int64)]))
