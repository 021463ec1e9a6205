"""Tasks of one's own, as automata (certificates/automaton): from a start state, a step function and an output function.

Is a sequence of six brackets, 0 for ( and 1 for ), balanced? The state is how many are open, or -1 once one was closed that
was not open:

    def step(opened, bracket, position):
        return -1 if opened < 0 else opened + 1 - 2 * bracket

    write_automaton(Path("balanced.json"), automaton_from(0, step, lambda opened: int(opened == 0), length=6, tokens=2))

If such sequences are to be no inputs at all, step returns None there. What is built is minimal: it has no state that cannot be
reached or that leads nowhere, and no two with the same outputs and successors.

A model may be read at several positions: `read_automaton_from` takes an output function for each of them, of the state after so
many steps.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from certificates import FormatError, Model
from certificates.automaton import Automaton, read_automaton
from certificates.canonical_json import Json, dumps, loads_relaxed
from certificates.tensor_file import IntArray
from certificates.writing import write_atomically


def task_named(text: str) -> "Json | Automaton":
    """What a user calls a task: a name, JSON such as {"name": "nth-max-of-k", "n": 2}, or a file with an automaton, .json."""
    if text.endswith(".json"):
        return read_automaton(Path(text))
    return loads_relaxed(text) if text.lstrip().startswith("{") else {"name": text}


def task_beside(path: Path, model: Model) -> Automaton | None:
    """The automaton that a model file names, if it is in the file beside it that is named like it, .json."""
    file = path.with_suffix(".json")
    if not isinstance(model.task, dict) or "automaton" not in model.task or not file.exists():
        return None
    automaton = read_automaton(file)
    return automaton if model.task == {"automaton": automaton.digest} else None


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
        return read_automaton_from(start, step, {length - 1: (length, output)}, tokens, positions)
    table, states = one
    last = np.zeros(1, np.int64)
    for _ in positions:
        last = np.unique(table[last][table[last] >= 0])
    outputs = np.full(len(states), -1, np.int64)
    outputs[last] = _outputs(output, [states[number] for number in last.tolist()])
    return _minimal(order_read, table, outputs)


def read_automaton_from(
    start: State,
    step: _Step[State],
    reads: Mapping[int, tuple[int, Callable[[State], int | None]]],
    tokens: int,
    order: Sequence[int],
) -> Automaton:
    """The minimal automaton of a task whose model is read at several positions: a number of steps and an output function each.

    Beyond that, as `automaton_from`. output(state): the true output at a position, of the state after so many steps.
    """
    states, tables = _tables(start, step, list(order), tokens)
    sorted_reads = sorted(reads.items())
    due = []
    for after, here in enumerate(states, 1):
        found = [_outputs(output, here) for _, (steps, output) in sorted_reads if steps == after]
        due.append(np.array(found, np.int64).reshape(len(found), len(here)).T)
    order_read, pairs = np.array(order, np.int64), np.array([(position, steps) for position, (steps, _) in sorted_reads])
    return _minimal_by_step(order_read, tables, due, pairs.reshape(-1, 2))


def addition(a: Sequence[int], b: Sequence[int], total: Sequence[int], fixed: Mapping[int, int]) -> Automaton:
    """Addition of two numbers: are all digits of the sum right in greedy decoding, one after the other?

    a, b, total: the positions of their digits, from the lowest digit to the highest; the sum has one more. fixed: the token at
    every other position. The model is read before each digit of the sum, which inputs have as the right digit there, but for
    the last position of all: a sequence ends before it. Tokens above 9 are no digits.
    """
    length, place = max(total), {position: i for number in (a, b, total) for i, position in enumerate(number)}
    tokens = max([9, *fixed.values()]) + 1
    order, steps = [*fixed], list[int]()
    for digits in zip(a, b, total, strict=False):
        order += digits[:2]
        steps.append(len(order))
        order += [position for position in digits[2:] if position < length]
    steps.append(len(order))
    order += [position for position in total[len(a) :] if position < length]

    def step(state: tuple[int, ...], token: int, position: int) -> tuple[int, ...] | None:
        """(carry) before a digit of a, (carry, digit of a) after it, and (carry, digit of the sum) after that of b."""
        if position in fixed:
            return state if token == fixed[position] else None
        if token > 9:
            return None
        if position in a:
            return (state[0], token)
        if position in b:
            return divmod(state[0] + state[1] + token, 10)
        return state[:1] if token == state[place[position] < len(a)] else None

    if max(*a, *b, *fixed, -1) > length or sorted(order) != list(range(length)):
        raise ValueError("every position has a digit or a fixed token, and a digit of the sum comes last")
    digits = [lambda state: state[1]] * len(a) + [lambda state: state[0]]
    reads = {position - 1: read for position, read in zip(total, zip(steps, digits, strict=True), strict=True)}
    return read_automaton_from((0,), step, reads, tokens, order)


def _outputs(output: Callable[[State], int | None], states: list[State]) -> IntArray:
    found = [output(state) for state in states]
    for state, value in zip(states, found, strict=True):
        if value is not None and not isinstance(value, int | np.integer):
            raise FormatError(f"the output of state {state!r} is {value!r}: outputs are integers, or None where there is none")
    return np.array([-1 if value is None else value for value in found], np.int64)


def write_automaton(path: Path, automaton: Automaton) -> None:
    """As a JSON file, which `prover prove --task FILE` takes."""
    tables = {name: table.tolist() for name, table in automaton.tables.items()}
    write_atomically(path, (dumps(tables) + "\n").encode())


def _tables(start: State, step: _Step[State], positions: list[int], tokens: int) -> tuple[list[list[State]], list[IntArray]]:
    """The states after every step, and for every step a table "s t", whose entries number the states after it."""
    states, met, tables = [start], [], []
    for position in positions:
        numbers: dict[State, int] = {}
        table = np.full((len(states), tokens), -1, np.int64)
        for row, state in zip(table, states, strict=True):
            for token in range(tokens):
                after = step(state, token, position)
                if after is not None:
                    row[token] = numbers.setdefault(after, len(numbers))
        states = list(numbers)
        met.append(states)
        tables.append(table)
    return met, tables


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


def _minimal_by_step(order: IntArray, tables: list[IntArray], due: list[IntArray], reads: IntArray) -> Automaton:
    """A table for every step: backwards, states with equal rows become one, and those that lead nowhere none.

    due: for every step, the outputs "s r" of the states after it that belong to reads then.
    """
    _, merged, values = _distinct(due[-1])
    layers, outputs = list[IntArray](), [values]
    for step, table in reversed(list(enumerate(tables))):
        rows = np.where(table >= 0, merged[table] if len(merged) else -1, -1)
        before = due[step - 1] if step else np.zeros((1, 0), np.int64)
        some = (rows >= 0).any(axis=1)
        own, merged, values = _distinct(np.where(some[:, None], np.column_stack([before, rows]), -1), len(before.T))
        layers.insert(0, rows[own])
        outputs.insert(0, values)
    states = max([1, *map(len, outputs)])
    transitions = np.full((len(layers), states, tables[0].shape[1]), -1, np.int64)
    for step, layer in enumerate(layers):
        transitions[step, : len(layer)] = layer
    if (transitions == transitions[0]).all():
        transitions = transitions[:1]
    table = np.full((len(reads), states), -1, np.int64)
    for after in np.unique(reads[:, 1]).tolist():
        table[np.flatnonzero(reads[:, 1] == after)[:, None], np.arange(len(outputs[after]))] = outputs[after].T
    usual = np.array_equal(reads, [[len(order) - 1, len(order)]])
    return Automaton.of(order, transitions, *((table[0],) if usual else (table, reads)))


def _distinct(rows: IntArray, labels: int | None = None) -> tuple[IntArray, IntArray, IntArray]:
    """Of rows "s c", one of each kind, by number; which kind every row is, -1 for those with a -1 among the first `labels`; and
    these first entries of each kind. Rows of -1 alone are of no kind.
    """
    labels = rows.shape[1] if labels is None else labels
    alive = ~np.any(rows[:, :labels] < 0, axis=1) & ((rows >= 0).any(axis=1) | (rows.shape[1] == labels))
    number, kind = np.flatnonzero(alive), np.full(len(rows), -1, np.int64)
    _, first, kind[alive] = _unique_rows(rows[alive])
    own = number[first]
    return own, kind, rows[own, :labels]


def _unique_rows(rows: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    if rows.shape[1] == 0:
        return rows[:1], np.zeros(min(1, len(rows)), np.int64), np.zeros(len(rows), np.int64)
    distinct, first, kind = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    return distinct, first, kind.reshape(-1)
