"""Rule hidden-tables with bases: whatever the bases, tables and slack are true of the network, and those of the theorem."""

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pair_oracle
import pytest
import torch
from hidden_oracle import ATTENTION, MLP, QUARTERS, WILD, HiddenModel, pack, shapes
from test_enclosures import ends
from test_hidden_rules import Check, evaluated, of_integers, small
from test_quadrature import transformer

from certificates import RawTensor, Step
from checker.core.errors import OverBudget, Refused
from checker.core.meter import Budget
from checker.decide import check_proof
from checker.registry import RULES
from checker.reporting.verdict import ARITHMETICS
from checker.rules.projections import Basis
from prover.layers.two_input_problem import TwoInputProblem
from prover.proving import prove
from prover.strategies.fourier_output import Fourier

ONE = 2**30
CPU = torch.device("cpu")


def addition(p: int) -> np.ndarray:
    return np.add.outer(np.arange(p), np.arange(p)) % p


def attending(p: int, rng: random.Random) -> HiddenModel:
    """A random transformer, more outputs than elements at times: numbers of one size, of all sizes, or exact ones."""
    sizes, hidden, outputs = [rng.randint(1, n) for n in (5, 3, 3)], rng.randint(1, 5), p + rng.choice([0, 0, 1])
    few = rng.choice([None, None, QUARTERS, [x for x in WILD if abs(x) < 1e5]])
    weights = {
        name: np.reshape([rng.gauss(0, 1) if few is None else rng.choice(few) for _ in range(int(np.prod(shape)))], shape)
        for name, shape in shapes(True, p, hidden, outputs, *sizes).items()
        if ".b_" not in name or rng.random() < 0.6
    }
    return HiddenModel(pack(weights, "F64"), {"name": "modular-addition", "modulus": p}, addition(p))


def numbers(tiny: HiddenModel, name: str) -> np.ndarray:
    weight = tiny.weight(name).astype(float)
    return weight.reshape(-1, weight.shape[2]) if name.endswith("W_O") else weight


def tilt_of(basis: np.ndarray) -> int:
    """The greatest that is true, 30 at most; below 2 if the basis is none."""
    exact = pair_oracle.fractions(basis) / ONE
    excess = exact.T @ exact - pair_oracle.fractions(np.eye(basis.shape[1]))
    size, tilt = (excess**2).sum(), 0
    while tilt < 30 and size * 4 ** (tilt + 1) <= 1:
        tilt += 1
    return tilt


def basis(tiny: HiddenModel, rng: random.Random, writes: bool) -> np.ndarray:
    """Main directions of what there is to read or write, or any others, more or less orthonormal, "d r"."""
    normal = np.random.default_rng(rng.randrange(2**32))
    d = tiny.weight("unembed.W_U").shape[0]
    rank = rng.choice([d, rng.randint(1, d)])
    if rng.random() < 0.6:
        rows = [numbers(tiny, MLP + "W_out")] if writes else [numbers(tiny, ATTENTION + "W_O"), numbers(tiny, MLP + "W_in").T]
        columns = np.linalg.svd(np.concatenate([*rows, 0.1 * numbers(tiny, "unembed.W_U").T]))[2].T[:, :rank]
    else:
        columns = np.linalg.qr(normal.normal(size=(d, rank)))[0]
    off = rng.choice([0, 0, 0, 1e-6, 1e-3, 0.05, 0.12])
    return np.rint(ONE * (columns + off / d * normal.normal(size=columns.shape))).astype(np.int64)


def step_of(chosen: Any, reading: Any, writing: Any, tilt: int) -> Step:
    hints = {"neurons": of_integers(chosen), "reading": of_integers(reading), "writing": of_integers(writing)}
    return Step("hidden-tables", (), {"tilt": tilt}, hints)


def oracle_of(tiny: HiddenModel, chosen: list[int], reading: Any, writing: Any, tilt: int) -> pair_oracle.Tables:
    tensors = {name: RawTensor(*tensor) for name, tensor in tiny.tensors.items()}
    return pair_oracle.Tables.projected(tensors, chosen, reading, writing, tilt)


def is_enclosed(table: Any, value: Any) -> None:
    low, high = ends(table)
    assert np.all(low <= value) and np.all(value <= high)


def adding(p: int, seed: int, noise: float) -> HiddenModel:
    """A transformer that adds, more or less."""
    model = transformer(p, seed, noise)
    return HiddenModel({n: (t.dtype, t.shape, t.data) for n, t in model.tensors.items()}, model.task, addition(p))


def case(seed: int, adds: bool = False) -> tuple[HiddenModel, list[int], np.ndarray, np.ndarray, int] | None:
    """A network, chosen neurons, two bases and their tilt; None: they are no bases."""
    rng = random.Random(seed)
    tiny = adding(2 + seed % 4, seed, rng.choice([1e-4, 1e-3])) if adds else attending(2 + seed % 4, rng)
    hidden = tiny.weight(MLP + "W_in").shape[1]
    chosen = rng.sample(range(hidden), rng.randint(max(1, hidden - 2), hidden))
    reading, writing = (basis(tiny, rng, writes) for writes in (False, True))
    most = min(tilt_of(reading), tilt_of(writing))
    return (tiny, chosen, reading, writing, rng.choice([most, most, max(2, most - 1), 2])) if most >= 2 else None


@pytest.mark.parametrize("part", range(4))
def test_tables_are_off_by_the_slack_at_most(part: int) -> None:
    """All neurons count in N, only chosen ones in T; and the slack is that of the theorem."""
    tight = 0.0
    for seed in range(25 * part, 25 * part + 25):
        found = case(seed)
        if found is None:
            continue
        tiny, chosen, reading, writing, tilt = found
        check, expected = Check(tiny, 64), oracle_of(*found)
        tables = check.apply(step_of(chosen, reading, writing, tilt))
        assert tables.symmetric
        for name in ("left", "right", "unembed", "direct"):
            is_enclosed(getattr(tables, name), getattr(expected, name))
        is_enclosed(tables.bias, expected.bias[None])
        is_enclosed(tables.constant, expected.constant[None])
        low, high = (float(end[0, 0]) for end in ends(tables.slack))
        slack = float(expected.slack)
        assert low <= slack * (1 + 1e-6) + 1e-9 and slack * (1 - 1e-6) - 1e-9 <= high
        if min(oracle_rests(*found)) > 1e-6:  # roots of small differences are known less well
            assert high - low <= 1e-3 * slack
        off = [3 * check.truth.logits[pair] - expected.outputs(*pair) for pair in np.ndindex(len(tiny.table), len(tiny.table))]
        most = max(float(max(row) - min(row)) for row in off)
        assert most <= high
        tight = max(tight, most / high if high else 0)
    assert tight > 0.1


def oracle_rests(tiny: HiddenModel, chosen: list[int], reading: np.ndarray, writing: np.ndarray, tilt: int) -> list[float]:
    """Squares of rests, next to those of lengths."""
    shares, unembed = [], numbers(tiny, "unembed.W_U").T
    read, write = numbers(tiny, MLP + "W_in").T[chosen], numbers(tiny, MLP + "W_out")[chosen]
    output = numbers(tiny, ATTENTION + "W_O")
    for rows, hint in ((read, reading), (output, reading), (unembed, reading), (write, writing), (unembed, writing)):
        lengths = (rows**2).sum(1)
        rest = lengths - (1 - 3 * 2.0**-tilt) * ((rows @ hint / ONE) ** 2).sum(1)
        shares += list(rest / max(lengths.max(), 1e-300))
    return shares


@pytest.mark.parametrize("part", range(2))
def test_pairs_proved_by_such_tables_are_right(part: int) -> None:
    """Of random networks, and of those that add; with the strategy's bases, or others."""
    accepted = 0
    for seed in range(1000 + 25 * part, 1025 + 25 * part):
        found = case(seed, seed % 2 == 0)
        if found is not None:
            tiny, *hints = found
            check = Check(tiny, random.Random(seed).choice([20, 30, 64]))
            tables = check.apply(step_of(*hints))
            cells = check.one_by_one(tables, evaluated)
            check.assert_true(cells)
            accepted += int(cells.sum())
    assert accepted > 10


@pytest.mark.parametrize(("p", "seed", "noise"), [(3, 0, 1e-5), (4, 1, 1e-4), (5, 2, 1e-4), (6, 3, 1e-5), (7, 4, 1e-4)])
def test_the_strategy_finds_narrow_bases(p: int, seed: int, noise: float) -> None:
    model = transformer(p, seed, noise)
    certificate, evidence = prove(TwoInputProblem(model, CPU), Fourier(exact=20, ideal=10))
    assert certificate.steps[0].rule == "hidden-tables"
    assert certificate.steps[0].hints["reading"].shape[1] < model.config.d_model  # type: ignore[union-attr]
    result = check_proof(certificate, model).result
    assert result.correct == evidence.correct > p * p / 3
    Check(adding(p, seed, noise)).assert_true(result.cells)


# --- refusals ----------------------------------------------------------------------------------------------------------------


def test_a_basis_is_refused_where_its_tilt_is_too_large() -> None:
    """By one: the tilt is compared exactly, whatever the precision."""
    for seed in range(40):
        rng = random.Random(seed)
        check = Check(attending(3, rng), rng.choice([12, 30, 64]))
        columns = basis(check.tiny, rng, False)
        tilt = tilt_of(columns)
        if tilt >= 2:
            Basis.of(check.setting, columns, tilt)
        if tilt < 30:
            with pytest.raises(Refused, match="nearly orthonormal is not proved" if tilt >= 1 else "."):
                Basis.of(check.setting, columns, tilt + 1)


def three_dimensions() -> Check:
    return Check(attending_with(3, 3, 4, 3))


def attending_with(p: int, d: int, hidden: int, outputs: int) -> HiddenModel:
    rng = np.random.default_rng(p)
    weights = {name: rng.normal(size=shape) for name, shape in shapes(True, p, hidden, outputs, d, 2, 1).items()}
    return HiddenModel(pack(weights, "F64"), {"name": "modular-addition", "modulus": p}, addition(p))


@pytest.mark.parametrize(
    ("column", "beyond"), [([2**29, 2**29, 2**29], [2**29, 2**29, 2**29 - 1]), ([ONE, 2**29, 0], [ONE, 2**29, 1])]
)
def test_the_largest_tilt_is_just_allowed(column: list[int], beyond: list[int]) -> None:
    """|g|^2 = 3/4 or 5/4 exactly, and a little less or more."""
    setting = three_dimensions().setting
    Basis.of(setting, np.array(column)[:, None], 2)
    with pytest.raises(Refused, match="nearly orthonormal is not proved"):
        Basis.of(setting, np.array(beyond)[:, None], 2)


def good(check: Check) -> dict[str, Any]:
    d = int(check.model.config.d_model)  # type: ignore[union-attr]
    return {"neurons": np.arange(check.neurons), "reading": ONE * np.eye(d), "writing": ONE * np.eye(d)}


def refused(check: Check, hints: dict[str, Any], tilt: int = 20, *premises: Any) -> str:
    step = Step("hidden-tables", (), {"tilt": tilt}, {name: of_integers(hint) for name, hint in hints.items()})
    with pytest.raises(Refused) as error:
        RULES[step.rule](check.setting, step, premises)
    return str(error.value)


@pytest.mark.parametrize(
    ("match", "tilt", "changes"),
    [
        ("tilt from 2 to 30", 1, {}),
        ("tilt from 2 to 30", 31, {}),
        ("tilt from 2 to 30", -(2**63), {}),
        ("nearly orthonormal", 20, {"reading": 2**29 * np.eye(3)}),
        ("nearly orthonormal", 20, {"writing": 2**52 * np.ones((3, 3))}),
        ("nearly orthonormal", 20, {"reading": -np.zeros((3, 2))}),
        ("nearly orthonormal", 2, {"writing": ONE * np.array([[1, 1], [0, 0], [0, 0]])}),
        ("no more columns than rows", 20, {"reading": ONE * np.eye(3, 4)}),
        ("at least one column", 20, {"writing": np.zeros((3, 0))}),
        ("beyond 53 bits", 20, {"reading": np.full((3, 1), 2**53)}),
        ("beyond 53 bits", 20, {"writing": np.full((3, 1), 1 - 2**62)}),
        ("has shape", 20, {"reading": ONE * np.eye(4)}),
        ("has shape", 20, {"writing": ONE * np.ones(3)}),
        ("has shape", 20, {"neurons": np.zeros((1, 1))}),
        ("must be at least one, and different", 20, {"neurons": [0, 1, 0]}),
        ("must be at least one, and different", 20, {"neurons": []}),
        ("must be at least one, and different", 20, {"neurons": [4]}),
        ("must be at least one, and different", 20, {"neurons": [-1]}),
        ("exactly the hints", 20, {"more": [0]}),
    ],
)
def test_wrong_hints_are_refused(match: str, tilt: int, changes: dict[str, Any]) -> None:
    check = three_dimensions()
    hints = {name: np.asarray(hint).astype(np.int64) for name, hint in {**good(check), **changes}.items()}
    assert match in refused(check, hints, tilt)


def test_only_transformers_on_two_inputs() -> None:
    check = three_dimensions()
    assert "takes no premises" in refused(check, good(check), 20, check.tables())
    assert "exactly the parameters" in refused(small(), {"neurons": [0]})
    assert "exactly the parameters" in refused(small(), {"neurons": [0], "reading": [[ONE]], "writing": [[ONE]]})
    untilted = Step("hidden-tables", (), {}, {name: of_integers(np.array(hint)) for name, hint in good(check).items()})
    with pytest.raises(Refused, match="exactly the parameters"):
        RULES["hidden-tables"](check.setting, untilted, ())
    for name in ("reading", "writing"):
        one = {key: hint for key, hint in good(check).items() if key != name}
        assert "exactly the" in refused(check, one)


def test_bases_of_no_transformer_are_no_hints() -> None:
    hints = {"neurons": [0], "reading": [[ONE]], "writing": [[ONE]]}
    with pytest.raises(Refused, match="exactly the hints"):
        RULES["hidden-tables"](
            small().setting, Step("hidden-tables", (), {}, {n: of_integers(h) for n, h in hints.items()}), ()
        )


def test_with_whole_bases_tables_are_those_that_are_folded() -> None:
    """But for rounding, as an identity leaves nothing out; what is not explained is counted."""
    check = Check(attending_with(4, 3, 5, 5))
    exact = check.tables([3, 0, 2])
    hints = {**good(check), "neurons": [3, 0, 2]}
    tables = check.apply(Step("hidden-tables", (), {"tilt": 30}, {n: of_integers(np.array(h)) for n, h in hints.items()}))
    assert tables.unexplained_dimension == 3 * (4 + 3 + 5) + 3 * (3 + 5) + 2 * 3
    for name in ("left", "right", "bias", "unembed", "direct", "constant"):
        for one, other in zip(ends(getattr(tables, name)), ends(getattr(exact, name)), strict=True):
            assert np.all(abs(one - other).astype(float) < 1e-9)
    assert abs(float(ends(tables.slack)[0][0, 0] - ends(exact.slack)[1][0, 0])) < 0.02 * float(ends(exact.slack)[1][0, 0])


def test_both_arithmetics_agree_and_budgets_are_respected() -> None:
    check = three_dimensions()
    marks = 0 * check.tiny.table
    hints = {name: of_integers(np.array(hint)) for name, hint in {**good(check), "neurons": [2, 0]}.items()}
    steps = (Step("hidden-tables", (), {"tilt": 30}, hints), evaluated(marks))
    certificate = check.certificate(steps, 0)
    proof = check_proof(certificate, check.model)
    assert check_proof(certificate, check.model, arithmetic=ARITHMETICS["mpmath"]).operations == proof.operations
    check_proof(certificate, check.model, budget=Budget(operations=proof.operations))
    for operations in (0, 1, proof.operations // 2, proof.operations - 1):
        with pytest.raises(OverBudget):
            check_proof(certificate, check.model, budget=Budget(operations=operations))
    for memory in (0, 1, 1000):
        with pytest.raises(OverBudget):
            check_proof(certificate, check.model, budget=Budget(memory=memory))


def test_bases_take_effort_and_memory() -> None:
    """Python's integers are slow, and many bytes each."""
    tiny = attending_with(2, 96, 1, 2)
    meter = Check(tiny).setting.meter
    hint = (ONE * np.eye(96)).astype(np.int64)
    setting = replace(Check(tiny, 30).setting)
    before = setting.meter.effort
    Basis.of(setting, hint, 30)
    assert setting.meter.effort - before > 2 * 96**3 * 40
    assert meter is not setting.meter
    setting.meter.budget = Budget(memory=2**21)
    with pytest.raises(OverBudget):
        Basis.of(setting, hint, 30)
