"""Models that always say the same: whatever a rule takes for an input with that output is proved to be right.

So nothing but the rule's own checks stands between a wrong list or class and a false count.
"""

from itertools import product

import numpy as np
import pytest

from certificates import AttentionOnly, Certificate, Model, RawTensor, Statement, Step, integer_tensor
from certificates.automaton import Automaton
from checker.attention.classes import fitting_tuples
from checker.core.errors import Refused
from checker.core.meter import Budget, Meter
from checker.decide import check_proof
from prover.problem import tensors_of

VOCAB, LENGTH = 4, 3
CONFIG = AttentionOnly(n_ctx=LENGTH, d_model=1, d_head=1, d_vocab=VOCAB, d_vocab_out=VOCAB)


def constant_model(output: int) -> Model:
    """All weights zero, and a bias for one output."""
    tensors = {}
    for name, shape in CONFIG.tensor_shapes().items():
        values = np.zeros(shape, "<f4")
        if name == "unembed.b_U":
            values[output] = 1
        tensors[name] = RawTensor("F32", shape, values.tobytes())
    return Model(CONFIG, tensors, None)


def listed(rows: list[tuple[int, ...]]) -> tuple[Step, ...]:
    """Rows, beside no other input: one that is listed first stands for a fact about inputs."""
    none = Step("all-inputs", (0,), {}, {"ranges": tensor([(0, 1)] * LENGTH), "skip": tensor([(0, 1)])})
    return Step("additive-tables"), none, Step("further-inputs", (0, 1), {}, {"inputs": tensor(rows)})


def tensor(values: object) -> RawTensor:
    return integer_tensor(np.array(values))


def check(model: Model, task: object, count: int, total: int, steps: tuple[Step, ...], given: object = None) -> int:
    tables = {} if given is None else tensors_of(given)  # type: ignore[arg-type]
    statement = Statement(model.digest(), task, count, total)  # type: ignore[arg-type]
    return check_proof(Certificate(statement, 30, steps, tables), model).result.correct


def in_order(rows: set[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """By query, true output, copies, and the tokens themselves."""
    return sorted(rows, key=lambda row: (row[-1], max(row), row[:-1].count(max(row)), row))


def test_a_token_out_of_range_is_no_further_input() -> None:
    model, task = constant_model(VOCAB - 1), {"name": "max-of-k"}
    right = {row for row in product(range(VOCAB), repeat=LENGTH) if max(row) == VOCAB - 1}
    assert check(model, task, len(right), VOCAB**LENGTH, listed(in_order(right))) == len(right)
    for token in (-1, -VOCAB, VOCAB, VOCAB + 3):
        rows = in_order(right | {(token, VOCAB - 1, VOCAB - 1)})
        with pytest.raises(Refused, match="token out of range"):
            check(model, task, len(rows), VOCAB**LENGTH, listed(rows))


def test_what_is_no_input_of_an_automaton_is_no_further_input() -> None:
    """The last output is also what -1, which stands for none, would be in a table."""
    no_zero = Automaton.of(np.arange(LENGTH), np.array([[[-1, 0, 0, 0]]]), np.array([VOCAB - 1]))
    model, task = constant_model(VOCAB - 1), {"automaton": no_zero.digest}
    inputs = sorted(product(range(1, VOCAB), repeat=LENGTH), key=lambda row: (row[-1], row))
    assert check(model, task, 27, 27, listed(inputs), no_zero) == 27
    for wrong in ((0, 1, 1), (1, 0, 1), (1, 1, 0)):
        rows = sorted([*inputs[1:], wrong], key=lambda row: (row[-1], row))
        with pytest.raises(Refused, match="no input of the task"):
            check(model, task, 27, 27, listed(rows), no_zero)


def test_chains_are_about_the_largest_token_only() -> None:
    """For the second largest they would count inputs whose largest token is the model's answer."""
    size = np.full((VOCAB, VOCAB, LENGTH, 1), -1)
    size[0, VOCAB - 1, 1, 0] = VOCAB - 1
    hints = {"rivals": tensor([[0] * VOCAB]), "numbers": tensor([[2], [1], [0]]), "size": tensor(size)}
    steps = Step("additive-tables"), Step("prefix-chains", (0,), {"joint": 1}, hints)
    model = constant_model(VOCAB - 1)
    assert check(model, {"name": "max-of-k"}, 6, VOCAB**LENGTH, steps) == 6
    with pytest.raises(Refused, match="largest or smallest token only"):
        check(model, {"name": "nth-max-of-k", "n": 2}, 6, VOCAB**LENGTH, steps)


def test_enumeration_is_about_the_largest_token_only() -> None:
    """The same: it takes the largest token for the true output."""
    hints = {"ranges": tensor([[0, VOCAB]] * (LENGTH + 1)), "skip": tensor(np.zeros((0, 2), np.int64))}
    steps = Step("additive-tables"), Step("enumeration", (0,), {}, hints)
    model, right = constant_model(VOCAB - 1), VOCAB**LENGTH - (VOCAB - 1) ** LENGTH
    assert check(model, {"name": "max-of-k"}, right, VOCAB**LENGTH, steps) == right
    with pytest.raises(Refused, match="largest or smallest token only"):
        check(model, {"name": "nth-max-of-k", "n": 2}, right, VOCAB**LENGTH, steps)


def test_counting_tuples_takes_effort() -> None:
    """Forty levels take some ten thousand products of large integers."""
    meter = Meter(Budget())
    fitting_tuples(meter, np.tile(np.arange(1, 41), (10, 1)), [1] * 40)
    assert meter.effort > 10**6
