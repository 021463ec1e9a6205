"""Tasks known by name, on all sequences of small sizes, against what Python says of them."""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from certificates import FormatError
from certificates.automaton import Automaton, read_automaton
from prover.commands import cli
from prover.known_tasks import KNOWN_TASKS
from prover.tasks import automaton_from

Truth = Callable[[list[int]], list[int] | int | None]


def copied(row: list[int]) -> int | None:
    *before, last = row
    places = [i for i, token in enumerate(before) if token == last]
    return before[places[0] + 1] if len(places) == 1 and places[0] < len(before) - 1 else None


def added(row: list[int]) -> list[int] | None:
    a, b, equals, low = row
    return [(a + b) % 10, (a + b) // 10] if a < 10 and b < 10 and equals == 10 and low == (a + b) % 10 else None


def balanced(row: list[int]) -> int:
    heights = np.cumsum([1 - 2 * bracket for bracket in row])
    return int(heights[-1] == 0 and heights.min() >= 0)


def balanced_beginning(row: list[int]) -> int | None:
    length = row.index(2) if 2 in row else len(row)
    return balanced(row[:length]) if length and set(row[length:]) <= {2} else None


def signs(row: list[int]) -> list[int]:
    return [int(np.sign(s)) + 1 for s in np.cumsum([t if t <= 2 else t - 5 for t in row])]


CASES: list[tuple[str, dict[str, int], Truth]] = [
    ("addition", {"digits": 1}, added),
    ("balanced-brackets", {"length": 8}, balanced),
    ("balanced-brackets", {"length": 7}, balanced),
    ("balanced-brackets", {"length": 6, "padded": 1}, balanced_beginning),
    ("first-occurrence", {"length": 5, "vocab": 3}, lambda row: row.index(row[-1]) if row.index(row[-1]) < 4 else None),
    ("in-context-copying", {"length": 6, "vocab": 4}, copied),
    ("kth-smallest", {"length": 5, "vocab": 3, "k": 2}, lambda row: sorted(row)[1]),
    ("kth-smallest", {"length": 4, "vocab": 4, "k": 4}, max),
    ("modular-addition", {"modulus": 7}, lambda row: sum(row[:2]) % 7 if max(row[:2]) < 7 and row[2] == 7 else None),
    ("palindrome", {"length": 6, "vocab": 3}, lambda row: int(row == row[::-1])),
    ("palindrome", {"length": 5, "vocab": 3}, lambda row: int(row == row[::-1])),
    ("parity", {"length": 6}, lambda row: sum(row) % 2),
    ("parity", {"length": 6, "counted": 3}, lambda row: sum(row[:3]) % 2),
    ("running-sum-sign", {"length": 5, "largest": 2}, signs),
    ("running-sum-sign", {"length": 5, "largest": 2, "every": 0}, lambda row: signs(row)[-1]),
    ("sortedness", {"length": 5, "vocab": 4}, lambda row: int(row == sorted(row))),
]


@pytest.mark.parametrize(("name", "parameters", "truth"), CASES)
def test_outputs_are_what_they_say(name: str, parameters: dict[str, int], truth: Truth) -> None:
    automaton = KNOWN_TASKS[name](**parameters)
    rows = list(itertools.product(range(automaton.transitions.shape[2]), repeat=len(automaton.order)))
    found = automaton.outputs_of(np.array(rows))
    inputs = 0
    for row, outputs in zip(rows, found.tolist(), strict=True):
        expected = truth(list(row))
        inputs += expected is not None
        true = [-1] * len(outputs) if expected is None else [expected] if isinstance(expected, int) else expected
        assert outputs == true, row
    assert automaton.count() == inputs > 0


def test_every_task_has_a_case() -> None:
    assert {name for name, _, _ in CASES} == set(KNOWN_TASKS)


def test_copying_of_the_literature() -> None:
    assert KNOWN_TASKS["in-context-copying"](length=6, vocab=10).count() == 262_440


def test_outputs_are_integers() -> None:
    """A half was once cut down to 0: another task, about which a theorem would have been proved."""
    with pytest.raises(FormatError, match=r"the output of state 0 is 0\.0: outputs are integers"):
        automaton_from(0, lambda total, token, _: (total + token) % 2, lambda total: total / 2, 3, 4)  # type: ignore[arg-type, return-value]


def test_the_command(tmp_path: Path) -> None:
    run, file = CliRunner(), tmp_path / "task.json"
    done = run.invoke(cli, ["task", "balanced-brackets", "length=16", "-o", str(file)])
    assert done.exit_code == 0 and "65536 inputs" in done.output
    automaton: Automaton = read_automaton(file)
    assert automaton.digest == KNOWN_TASKS["balanced-brackets"](length=16).digest
    for wrong in (["length"], ["width=3"], ["length=x"], [], ["length=3", "k=1"]):
        done = run.invoke(cli, ["task", "balanced-brackets", *wrong, "-o", str(file)])
        assert done.exit_code != 0 and "takes length" in done.output
    assert "in-context-copying" in run.invoke(cli, ["task", "--help"]).output
