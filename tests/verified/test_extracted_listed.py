"""The extracted checker on inputs of transformers that are evaluated one by one: ranges, what is skipped, further inputs, and
sums of disjoint facts, against the checker in Python. All of it is in numbers of tokens.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_every_input import RANKED, true_margins
from test_extracted import asked, pytestmark
from test_extracted_transformers import drawn
from test_regions import draw_automaton, every_input, true_leads
from thorough import some

from certificates import Certificate, Model, RawTensor, Statement, Step, integer_tensor, write_certificate, write_model
from checker import Budget, CheckError, shows

__all__ = ["pytestmark"]
TASKS = ("max-of-k", "min-of-k", "nth-max-of-k", "automaton")


def step_of(rule: str, premises: tuple[int, ...], **hints: np.ndarray) -> Step:
    tensors = {name: integer_tensor(np.asarray(hint, np.int64)) for name, hint in hints.items()}
    return Step(rule, premises, {}, tensors)


def all_of(model: Model, query: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Ranges of inputs that end with a token, some of which are skipped."""
    length, vocab = model.config.input_shape
    ranges = np.array([[0, vocab]] * (length - 1) + [[query, query + 1]])
    if rng.random() < 0.5:
        ranges[0] = np.sort(rng.choice(vocab + 1, 2, replace=False))
    size = int(np.prod(ranges[:, 1] - ranges[:, 0]))
    edges = np.sort(rng.choice(size + 1, min(size + 1, 2 * int(rng.integers(0, 3))) // 2 * 2, replace=False))
    return {"ranges": ranges, "skip": edges.reshape(-1, 2)}


def held(rows: np.ndarray, ranges: np.ndarray, skip: np.ndarray) -> np.ndarray:
    """Which are in the ranges, and not skipped."""
    sizes = ranges[:, 1] - ranges[:, 0]
    places = (rows - ranges[:, 0]) @ np.array([sizes[1] * sizes[2], sizes[2], 1])
    inside = np.all((ranges[:, 0] <= rows) & (rows < ranges[:, 1]), axis=1)
    return np.asarray(inside & (np.searchsorted(skip.reshape(-1), places, side="right") % 2 == 0), np.bool_)


def ordered(rows: np.ndarray, named: bool, place: int) -> list[list[int]]:
    """By cells, then lexicographically; in tasks about the order of tokens, the output is at a place among them, the largest
    first.
    """

    def key(row: list[int]) -> tuple[Any, ...]:
        true = sorted(row, reverse=True)[place]
        return (row[-1], true, row[:-1].count(true), row) if named else (row[-1], row)

    return sorted(rows.tolist(), key=key)


@pytest.mark.parametrize("seed", range(some(64)))
def test_listed_inputs_are_judged_alike(seed: int, tmp_path: Path) -> None:
    """Some inputs by ranges, others one by one, and both for another last token, added up: the numbers are the same; and what
    is not in order, or counted twice, is refused.
    """
    rng, name = np.random.default_rng(seed), TASKS[seed % 4]
    model = drawn(seed, d_vocab=3, n_ctx=3, d_vocab_out=3, n_layers=1 + seed // 4 % 2)
    tensors, task, length = dict[str, RawTensor](), dict[str, Any](), 3
    if name == "automaton":
        automaton = draw_automaton(model, rng)
        rows = every_input(automaton)
        leads = true_leads(model, automaton, rows).min(1)
        task = {"automaton": automaton.digest}
        tensors = {part: integer_tensor(table) for part, table in automaton.tables.items()}
    else:
        leads = true_margins(model, RANKED[name] or length)
        rows = np.array([*np.ndindex(*(3,) * length)])
        task = {"name": name, "n": 2} if name == "nth-max-of-k" else {"name": name}
    numbers = 2 - rows if name == "min-of-k" else rows
    right, place = numbers[leads > 1e-6], 1 if name == "nth-max-of-k" else 0
    steps, parts = [Step("transformer-forward")], list[int]()
    for query in range(3):
        hints = all_of(model, query, rng)
        steps.append(step_of("all-inputs", (0,), **hints))
        free = right[(right[:, -1] == query) & (~held(right, **hints) | (rng.random(len(right)) < 0.02))]
        listed = ordered(rng.permutation(free)[: int(rng.integers(0, 4))], name != "automaton", place)
        listed = listed[::-1] if rng.random() < 0.05 else listed
        steps.append(step_of("further-inputs", (0, len(steps) - 1), inputs=np.array(listed).reshape(-1, length)))
        parts.append(len(steps) - 1)
        if seed % 9 == 1 and query == 1:
            parts.append(parts[0])
    steps.append(step_of("disjoint-sum", tuple(parts)))
    certificate = Certificate(Statement(model.digest(), task, 0, len(rows)), 60, tuple(steps), tensors)
    write_model(tmp_path / "model", model)
    try:
        correct = shows(certificate, model, Budget())
    except CheckError:
        write_certificate(tmp_path / "cert", certificate)
        assert asked(tmp_path / "cert", tmp_path / "model")[0] in (1, 2)
        return
    write_certificate(tmp_path / "cert", replace(certificate, statement=replace(certificate.statement, correct=correct)))
    status, answer = asked(tmp_path / "cert", tmp_path / "model")
    assert status == 0 and int(answer["established"]) == correct, answer
    assert answer["theorem"] == "count_transformer_sound"
