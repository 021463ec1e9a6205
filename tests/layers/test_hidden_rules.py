"""Networks with one hidden layer: every pair that the checker certifies is really classified correctly (hidden_oracle).

Rules hidden-tables and coded-output (without a code, and by blocks), and the sum of what they certify: whatever the hints are,
what is accepted is true; with all neurons and exact numbers, all that is true is accepted without a code.
"""

import math
import random
import tracemalloc
from collections import Counter
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
import pytest
import torch
from hidden_oracle import (
    ATTENTION,
    GROUPS,
    MLP,
    QUARTERS,
    WILD,
    HiddenModel,
    Truth,
    activations,
    built_models,
    leads,
    pack,
    random_models,
    relu,
    shapes,
    slack_of,
    truth,
    unembed_of,
)
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from test_enclosures import ends
from thorough import some

from certificates import (
    Certificate,
    GroupMLP,
    Model,
    RawTensor,
    Statement,
    Step,
    UniformAttention,
    integer_tensor,
    write_certificate,
    write_model,
)
from certificates.groups import table_digest
from checker import CheckError, InvalidInput, OverBudget, Refused, covers, verify
from checker.core.enclosures import Enclosure
from checker.core.facts import CertifiedInputs, Fact, Setting
from checker.core.meter import Budget, Meter
from checker.core.scaled_integers import ScaledArithmetic
from checker.decide import Pins, check_proof, parse_task
from checker.layers.composition import Composition
from checker.layers.facts import HiddenTables
from checker.layers.hidden_tables import most_of_neurons
from checker.registry import RULES
from checker.reporting.verdict import ARITHMETICS
from prover.layers.two_input_problem import TwoInputProblem
from prover.proving import prove
from prover.strategies.all_inputs import Enumerate
from prover.strategies.evaluated_pairs import BruteForcePairs

HYPOTHESIS = settings(
    deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
EXACT = st.one_of(random_models(st.just(QUARTERS)), built_models(st.just(0.0)), built_models(st.just(0.0)))
TAME = st.one_of(EXACT, built_models(st.sampled_from([0.001, 0.02, 0.1])))
ANY = st.one_of(TAME, random_models(st.just(WILD)))
PRECISIONS = st.sampled_from([12, 20, 30, 30, 31, 64])
SIDES = st.integers(0, 1)


# --- talking to the checker -------------------------------------------------------------------------------------------


def as_model(tiny: HiddenModel) -> Model:
    """The project's view of the same stored bytes."""
    tensors = {name: RawTensor(*tensor) for name, tensor in tiny.tensors.items()}
    if not tiny.transformer:
        size, hidden = tensors["embed_left.W_E"].shape
        return Model(GroupMLP(hidden, size, tiny.outputs), tensors, None)
    tokens, d = tensors["embed.W_E"].shape
    heads, _, d_head = tensors[ATTENTION + "W_V"].shape
    hidden = tensors[MLP + "W_in"].shape[1]
    return Model(UniformAttention(d_head, hidden, d, tokens, tiny.outputs, 3, heads), tensors, None)


def of_integers(numbers: Any) -> RawTensor:
    return integer_tensor(np.array(numbers, np.int64))


@dataclass(frozen=True)
class Check:
    """A network, what it does, and the checker's rules on it. No step is refused for the budget."""

    tiny: HiddenModel
    precision: int = 64
    margin: Fraction = Fraction(0)
    setting: Setting = field(init=False)
    model: Model = field(init=False)
    task: Any = field(init=False)
    table: dict[str, RawTensor] = field(init=False)

    def __post_init__(self) -> None:
        model, meter = as_model(self.tiny), Meter(Budget(operations=10**12))
        digest = {"name": "group-composition", "table": table_digest(self.tiny.table)}
        task, table = (self.tiny.task, {}) if self.tiny.task else (digest, {"table": of_integers(self.tiny.table)})
        known = parse_task(task, model.config, table, Meter(Budget()))
        assert isinstance(known, Composition) and np.array_equal(known.table, self.tiny.table)
        setting = Setting(model, known, ScaledArithmetic(self.precision, meter), meter, margin=self.margin)
        for name, value in (("model", model), ("task", task), ("table", table), ("setting", setting)):
            object.__setattr__(self, name, value)

    @cached_property
    def truth(self) -> Truth:
        return truth(self.tiny)

    @property
    def neurons(self) -> int:
        return int(self.model.config.d_mlp)

    def apply(self, step: Step, *premises: Fact) -> Any:
        """The fact, or None if the step is refused."""
        try:
            return RULES[step.rule](self.setting, step, premises)
        except Refused:
            return None

    def established(self, steps: list[Step]) -> list[Any]:
        """The facts of the steps, up to the first that is refused."""
        facts: list[Any] = []
        for step in steps:
            fact = self.apply(step, *(facts[premise] for premise in step.premises))
            if fact is None:
                break
            facts.append(fact)
        return facts

    def tables(self, chosen: Any = None) -> HiddenTables:
        return self.apply(tables_step(np.arange(self.neurons) if chosen is None else chosen))

    def one_by_one(self, tables: HiddenTables, step: Any) -> np.ndarray:
        """Which pairs "a b" are accepted when they alone are marked. `step`: from the marks."""
        size = len(self.tiny.table)
        accepted = np.zeros((size, size), np.bool_)
        for pair in np.ndindex(size, size):
            fact = self.apply(step(marked(size, pair)), tables)
            if fact is not None:
                expected = marked(size, pair) | (marked(size, pair[::-1]) if fact.cells.sum() > 1 else 0)
                assert np.array_equal(fact.cells, expected) and fact.correct == expected.sum()
                accepted |= fact.cells
        return accepted

    def assert_true(self, cells: np.ndarray) -> None:
        wrong = np.argwhere(cells & ~self.truth.correct)
        assert not len(wrong), f"certified, but classified wrongly: {wrong.tolist()}"

    def certificate(self, steps: tuple[Step, ...], correct: int) -> Certificate:
        statement = Statement(self.model.digest(), self.task, correct, self.tiny.table.size)
        return Certificate(statement, self.precision, steps, self.table)


def marked(size: int, *pairs: tuple[int, int]) -> np.ndarray:
    marks = np.zeros((size, size), np.int64)
    for pair in pairs:
        marks[pair] = 1
    return marks


def tables_step(chosen: Any) -> Step:
    return Step("hidden-tables", (), {}, {"neurons": of_integers(chosen)})


def evaluated(marks: np.ndarray, mirrored: int = 0, premise: int = 0) -> Step:
    return Step("coded-output", (premise,), {"mirrored": mirrored}, {"pairs": of_integers(marks)})


@dataclass(frozen=True)
class Factors:
    """Blocks of neurons from `starts` on: left "i r", right "B r z", centre "i", in units of 2**-scale."""

    starts: np.ndarray
    left: np.ndarray
    right: np.ndarray
    centre: np.ndarray
    scale: int
    pairwise: int = 0

    def step(self, marks: np.ndarray, mirrored: int = 0, premise: int = 0) -> Step:
        parameters = {"mirrored": mirrored, "pairwise": self.pairwise, "scale": self.scale}
        blocks, rank, outputs = self.right.shape
        arrays = {
            "pairs": marks,
            "atoms": rank * self.block[:, None] + np.arange(rank),
            "codes": self.left,
            "dictionary": self.right.reshape(blocks * rank, outputs),
            "centre": self.centre,
        }
        return Step("coded-output", (premise,), parameters, {name: of_integers(array) for name, array in arrays.items()})

    @property
    def block(self) -> np.ndarray:
        return np.searchsorted(self.starts, np.arange(len(self.left)), side="right") - 1


def values_of(check: Check, chosen: Any) -> np.ndarray:
    """The logits without the neurons that are not chosen, "a b z", according to the oracle."""
    others = np.setdiff1d(np.arange(check.neurons), chosen).astype(int)
    return check.truth.logits - relu(activations(check.tiny)[:, :, others]) @ unembed_of(check.tiny)[others]


def slack_without(check: Check, chosen: Any) -> Fraction:
    return slack_of(check.tiny, np.setdiff1d(np.arange(check.neurons), chosen))


# --- hidden-tables --------------------------------------------------------------------------------------------------------


@settings(HYPOTHESIS, max_examples=some(60))
@given(tiny=EXACT, data=st.data())
def test_tables_are_those_of_the_network(tiny: HiddenModel, data: st.DataObject) -> None:
    """Number by number: with them the formula of the theorem gives the logits (three times, for transformers)."""
    check, times = Check(tiny), 3 if tiny.transformer else 1
    chosen = data.draw(st.lists(st.integers(0, check.neurons - 1), min_size=1, unique=True))
    tables = check.tables(chosen)
    left, right, bias, unembed, constant = (
        exact_numbers(table) for table in (tables.left, tables.right, tables.bias, tables.unembed, tables.constant)
    )
    inputs = left[:, None] + right[None] + bias[0]
    assert np.all(inputs == activations(tiny)[:, :, chosen] * times) and np.all(unembed == unembed_of(tiny)[chosen])
    values = relu(inputs) @ unembed + constant[0]
    if tables.direct is not None:
        direct = exact_numbers(tables.direct)
        values = values + direct[:, None] + direct[None]
    assert np.all(values == values_of(check, chosen) * times)
    if tiny.transformer:  # where it is bounded by lengths
        assert ends(tables.slack)[1][0, 0] >= slack_without(check, chosen) * times
    else:
        assert exact_numbers(tables.slack)[0, 0] == slack_without(check, chosen)
    assert tables.symmetric == tiny.symmetric


def exact_numbers(table: Enclosure) -> np.ndarray:
    """The numbers of an enclosure without width."""
    low, high = ends(table)
    assert np.all(low == high)
    return low


# --- coded-output without a code ------------------------------------------------------------------------------------------


@settings(HYPOTHESIS, max_examples=some(60))
@given(tiny=EXACT, data=st.data())
def test_with_all_neurons_exactly_the_correct_pairs_are_accepted(tiny: HiddenModel, data: st.DataObject) -> None:
    """Ties are errors. The order of the neurons does not matter; mirrored pairs count twice, where they may be used."""
    check = Check(tiny)
    tables = check.tables(data.draw(st.permutations(range(check.neurons))))
    correct = check.truth.correct
    assert np.array_equal(check.one_by_one(tables, evaluated), correct)
    whole = check.apply(evaluated(correct.astype(np.int64)), tables)
    assert whole.correct == correct.sum() and np.array_equal(whole.cells, correct)
    mirrored = check.one_by_one(tables, lambda marks: evaluated(marks, 1))
    if tiny.symmetric and tiny.commutative:
        assert np.array_equal(mirrored, correct)
        half = check.apply(evaluated(np.triu(correct), 1), tables)
        assert half.correct == correct.sum() and np.array_equal(half.cells, correct)
    else:
        assert not mirrored.any()


@settings(HYPOTHESIS, max_examples=some(60))
@given(tiny=EXACT, data=st.data())
def test_exactly_the_pairs_that_lead_by_more_than_the_margin_are_accepted(tiny: HiddenModel, data: st.DataObject) -> None:
    """The margin is the lead of some pair: a tie. Also one by one, as inputs of any task."""
    positive = sorted({lead for lead in Check(tiny).truth.lead.flat if lead > 0})
    assume(positive)
    margin = data.draw(st.sampled_from(positive))
    check = Check(tiny, 64, margin)
    tables, expected = check.tables(), check.truth.lead > margin
    assert np.array_equal(check.one_by_one(tables, evaluated), expected)
    pairs = np.argwhere(expected | ~expected)
    found = tables.classifies(check.setting, pairs, tiny.table.reshape(-1, 1))
    assert np.array_equal(found.reshape(expected.shape), expected)
    problem = TwoInputProblem(check.model, torch.device("cpu"), 40, task_json=check.task, margin=_decimal(margin))
    problem = replace(problem, given=tiny.table if check.table else None)
    for strategy in (BruteForcePairs(), Enumerate()):
        certificate, evidence = prove(problem, strategy)
        proof = check_proof(certificate, check.model, pins=Pins(margin_at_least=_decimal(margin)))
        covered = proof.result.covers(pairs).reshape(expected.shape)
        assert not np.any(covered & ~(check.truth.lead > _decimal(margin)))
        assert covered.sum() == proof.result.correct == evidence.correct


def _decimal(number: Fraction) -> Fraction:
    """Cut off, so that it can be written down."""
    return Fraction(math.floor(number * 10**9), 10**9)


@settings(HYPOTHESIS, max_examples=some(60))
@given(tiny=TAME, precision=PRECISIONS)
def test_with_all_neurons_pairs_are_accepted_if_their_lead_is_not_tiny(tiny: HiddenModel, precision: int) -> None:
    check = Check(tiny, precision)
    accepted = check.one_by_one(check.tables(), evaluated)
    check.assert_true(accepted)
    assert np.all(accepted[check.truth.lead > check.truth.reach * Fraction(2**8, 2 ** min(precision, 28))])


@settings(HYPOTHESIS, max_examples=some(60))
@given(tiny=ANY, precision=PRECISIONS, data=st.data())
def test_with_some_neurons_what_is_accepted_is_true(tiny: HiddenModel, precision: int, data: st.DataObject) -> None:
    check = Check(tiny, precision)
    chosen = data.draw(st.lists(st.integers(0, check.neurons - 1), min_size=1, unique=True))
    accepted = check.one_by_one(check.tables(chosen), evaluated)
    check.assert_true(accepted)
    if tiny.exact and precision == 64:  # then exactly what the theorem says
        assert np.array_equal(accepted, leads(values_of(check, chosen), tiny.table) > slack_without(check, chosen))


@settings(HYPOTHESIS, max_examples=some(60))
@given(tiny=EXACT, data=st.data())
def test_a_lead_must_exceed_the_slack(tiny: HiddenModel, data: st.DataObject) -> None:
    """The constant of one output is chosen so that a pair's lead is the slack, or just more, to 2**-20.

    In group MLPs; for transformers the slack is bounded by lengths (the golden corpus has cases at that bound). Also with a
    code that leaves nothing out, an atom for each neuron.
    """
    assume(not tiny.transformer)
    chosen = data.draw(st.lists(st.integers(0, Check(tiny).neurons - 1), min_size=1, unique=True))
    pair = data.draw(st.tuples(st.sampled_from(tiny.elements), st.sampled_from(tiny.elements)))
    check, true = Check(tiny), tiny.table[pair]
    missing = slack_without(check, chosen) - leads(values_of(check, chosen), tiny.table)[pair]
    constant = tiny.weight("unembed.b_U") + np.zeros(tiny.outputs, object)
    constant[true] += Fraction(math.floor(missing * 2**20), 2**20)
    rows, count = unembed_of(tiny)[chosen], len(chosen)
    code = Factors(
        np.arange(count), np.full((count, 1), 2**8), rounded(rows[:, None], 8), np.arange(count), 8, data.draw(SIDES)
    )
    for expected in (False, True):
        packed = pack({"unembed.b_U": constant.astype(float)}, "F64")
        moved = Check(replace(tiny, tensors={**tiny.tensors, **packed}))
        for step in (evaluated, code.step):
            fact = moved.apply(step(marked(len(tiny.table), pair)), moved.tables(chosen))
            assert (fact is not None) == expected
        constant[true] += Fraction(1, 2**20)


# --- coded-output by blocks -----------------------------------------------------------------------------------------------


@st.composite
def starts_of_blocks(draw: Any, neurons: int) -> np.ndarray:
    return np.array([0, *sorted(draw(st.sets(st.integers(1, neurons - 1)) if neurons > 1 else st.just(set())))])


def rounded(numbers: Any, scale: int) -> np.ndarray:
    """In units of 2**-scale, cut off at 52 bits."""
    limit = 2**52
    flat = [max(-limit, min(limit, round(Fraction(x) * 2**scale))) for x in np.reshape(numbers, -1).tolist()]
    return np.array(flat, np.int64).reshape(np.shape(numbers))


@st.composite
def factors(draw: Any, check: Check, chosen: list[int]) -> Factors:
    """Factors that are exact (a row for each neuron of a block), rounded singular vectors, or nonsense; any centre."""
    unembed = unembed_of(check.tiny)[chosen]
    starts = draw(starts_of_blocks(len(chosen)))
    parts = np.split(np.arange(len(chosen)), starts[1:])
    kind = draw(st.sampled_from(["exact", "vectors", "vectors", "zero", "nonsense"]))
    scale = draw(st.sampled_from([0, 4, 12, 20]))
    rank = max(map(len, parts)) if kind == "exact" else draw(st.integers(1, 3))
    left, right = np.zeros((len(chosen), rank), object), np.zeros((len(parts), rank, check.tiny.outputs), object)
    for b, part in enumerate(parts):
        if kind == "exact":
            left[part, np.arange(len(part))], right[b, : len(part)] = 1, unembed[part]
        elif kind == "vectors":
            u, s, v = np.linalg.svd(np.clip(unembed[part].astype(float), -1e9, 1e9), full_matrices=False)
            kept = min(rank, len(s))
            left[np.ix_(part, range(kept))], right[b, :kept] = u[:, :kept], s[:kept, None] * v[:kept]
        elif kind == "nonsense":
            numbers = st.sampled_from([0, 1, -1, 2, -3, 100])
            left[part] = draw(st.lists(numbers, min_size=rank, max_size=rank))
            right[b] = draw(numbers)
    centre = np.array(draw(st.lists(st.sampled_from([0, 0, 1, 2, 3, -5]), min_size=len(chosen), max_size=len(chosen))))
    if draw(st.booleans()) and not check.tiny.transformer:
        centre = abs(activations(check.tiny)[:, :, chosen]).mean(axis=(0, 1))
    parts_of = (rounded(numbers, scale) for numbers in (left, right, centre))
    return Factors(starts, *parts_of, scale, draw(SIDES))


def test_what_is_proved_by_blocks_is_true_whatever_the_hints() -> None:
    counts: Counter[str] = Counter()

    @settings(HYPOTHESIS, max_examples=some(240))
    @given(tiny=ANY, precision=PRECISIONS, data=st.data())
    def run(tiny: HiddenModel, precision: int, data: st.DataObject) -> None:
        check = Check(tiny, precision)
        every = list(range(check.neurons))
        chosen = data.draw(st.permutations(every))
        if data.draw(st.integers(0, 3)) == 0:
            chosen = chosen[: data.draw(st.integers(1, len(chosen)))]
        tables, hints = check.tables(chosen), data.draw(factors(check, chosen))
        accepted = check.one_by_one(tables, hints.step)
        check.assert_true(accepted)
        whole = check.apply(hints.step(accepted.astype(np.int64)), tables)  # rounding may differ, where there is any
        assert whole.correct == accepted.sum() if whole else not (tiny.exact and precision == 64)
        mirrored = check.one_by_one(tables, lambda marks: hints.step(marks, 1))
        check.assert_true(mirrored)
        assert (tiny.symmetric and tiny.commutative) or not mirrored.any()
        if tiny.exact and precision == 64:
            lead, unit = low_rank_leads(check, chosen, hints)
            assert np.all(accepted[lead > unit]) and not np.any(accepted[lead < -unit])
        exact = np.all(product_of(hints) == unembed_of(tiny)[chosen])
        counts["exact" if exact else "inexact"] += int(accepted.sum())
        counts["correct"] += int(check.truth.correct.sum())

    run()
    assert counts["exact"] > some(40) and counts["inexact"] > some(80)  # or nothing would have been tested


def low_rank_leads(check: Check, chosen: list[int], hints: Factors) -> tuple[np.ndarray, float]:
    """By what the inequality of the theorem holds, "a b", and a number that is small beside what it is made of.

    Everything is as for three times the network if it is a transformer.
    """
    times = 3 if check.tiny.transformer else 1
    x, unembed = abs(activations(check.tiny)[:, :, chosen]) * times, unembed_of(check.tiny)[chosen]
    centre, product = hints.centre.astype(object) * Fraction(1, 2**hints.scale), product_of(hints)
    rest = unembed - product
    values = x @ product + 2 * times * values_of(check, chosen) - x @ unembed + centre @ rest
    slack = 2 * times * slack_without(check, chosen)
    lead, reach = np.zeros(check.tiny.table.shape), 0.0
    for pair in np.ndindex(lead.shape):
        true, off = check.tiny.table[pair], x[pair] - centre
        leads_over = []
        for z in range(check.tiny.outputs):
            first, second = rest[:, true], rest[:, z]
            loss = length(off) * (length(first - second) if hints.pairwise else length(first) + length(second))
            reach = max(reach, loss, abs(float(values[pair][z])))
            if z != true:
                leads_over.append(float(values[pair][true] - values[pair][z] - slack) - loss)
        lead[pair] = min(leads_over)
    return lead, max(reach, float(slack)) * 2.0**-20


def length(vector: np.ndarray) -> float:
    return math.sqrt(sum(x * x for x in vector))


def product_of(hints: Factors) -> np.ndarray:
    """P Q "i z", exactly."""
    rows = [hints.left[i].astype(object) @ hints.right[b].astype(object) for i, b in enumerate(hints.block)]
    return np.array(rows, object) * Fraction(1, 4**hints.scale)


@settings(HYPOTHESIS, max_examples=some(40))
@given(tiny=EXACT, data=st.data())
def test_exact_factors_accept_exactly_the_correct_pairs(tiny: HiddenModel, data: st.DataObject) -> None:
    """Nothing is left out, so centre and distances have no influence."""
    check = Check(tiny)
    starts = data.draw(starts_of_blocks(check.neurons))
    parts = np.split(np.arange(check.neurons), starts[1:])
    rank = max(map(len, parts))
    left, right = np.zeros((check.neurons, rank)), np.zeros((len(parts), rank, tiny.outputs), object)
    for b, part in enumerate(parts):
        left[part, np.arange(len(part))], right[b, : len(part)] = 1, unembed_of(tiny)[part]
    centre = np.array(data.draw(st.lists(st.integers(-3, 3), min_size=check.neurons, max_size=check.neurons)))
    hints = Factors(starts, *(rounded(x, 8) for x in (left, right, centre)), 8, data.draw(SIDES))
    assert np.array_equal(check.one_by_one(check.tables(), hints.step), check.truth.correct)


# --- whole certificates ---------------------------------------------------------------------------------------------------


def test_certificates_in_files_say_what_covers_says(tmp_path: Any) -> None:
    """All that can be proved, in two or three disjoint parts that use different tables; also with the other arithmetic."""
    cert, file = tmp_path / "certificate", tmp_path / "model"
    proved = 0

    @settings(HYPOTHESIS, max_examples=some(40))
    @given(tiny=ANY, precision=PRECISIONS, data=st.data())
    def run(tiny: HiddenModel, precision: int, data: st.DataObject) -> None:
        nonlocal proved
        check = Check(tiny, precision)
        every = list(range(check.neurons))
        some = data.draw(st.permutations(every))[: data.draw(st.integers(1, len(every)))]
        hints, size = data.draw(factors(check, some)), len(tiny.table)
        mirrored = data.draw(SIDES) if tiny.symmetric and tiny.commutative else 0
        by_rank = check.one_by_one(check.tables(some), lambda marks: hints.step(marks, mirrored))
        by_value = check.one_by_one(check.tables(every), lambda marks: evaluated(marks, mirrored)) & ~by_rank
        by_rank_marks, by_value_marks = (np.triu(x) if mirrored else x.astype(np.int64) for x in (by_rank, by_value))
        steps = (
            tables_step(some),
            hints.step(by_rank_marks, mirrored),
            tables_step(every),
            evaluated(by_value_marks, mirrored, premise=2),
            Step("disjoint-sum", (1, 3)),
        )
        correct = int(by_rank.sum() + by_value.sum())
        proved += correct
        write_model(file, check.model)
        write_certificate(cert, check.certificate(steps, correct))
        verdict = verify(cert, file, task=check.task)
        assert verdict.accepted, verdict.reason
        assert verify(cert, file, arithmetic="mpmath").exit_code in (0, 1)
        pairs = np.argwhere(np.ones((size, size)))
        found = covers(cert, file, pairs).reshape(size, size)
        assert np.array_equal(found, np.where(by_rank, 1, np.where(by_value, 3, -1)))
        check.assert_true(found >= 0)
        for claimed in (correct - 1, correct + 1):
            write_certificate(cert, check.certificate(steps, max(claimed, 0)))
            assert claimed < 0 or not verify(cert, file).accepted

    run()
    assert proved > some(100)


def test_covers_is_asked_about_pairs_of_elements(tmp_path: Any) -> None:
    check, cert, file = Check(biased(2)), tmp_path / "certificate", tmp_path / "model"
    write_model(file, check.model)
    write_certificate(cert, check.certificate((tables_step([0]), evaluated(marked(2, (0, 1)))), 1))
    assert covers(cert, file, [[0, 1], [1, 0], [1, 1]]).tolist() == [1, -1, -1]
    for wrong in ([[0, 2]], [[-1, 0]], [[0, 1, 0]], [[0]], [0, 1], [["0", "1"]], [[0.0, 1.0]]):
        with pytest.raises(InvalidInput):
            covers(cert, file, wrong)


def test_both_arithmetics_agree_on_exact_networks() -> None:
    @settings(HYPOTHESIS, max_examples=some(15))
    @given(tiny=EXACT)
    def run(tiny: HiddenModel) -> None:
        check = Check(tiny)
        marks = check.truth.correct.astype(np.int64)
        certificate = check.certificate((tables_step(range(check.neurons)), evaluated(marks)), int(marks.sum()))
        fast, slow = (check_proof(certificate, check.model, arithmetic=ARITHMETICS[name]) for name in ("integers", "mpmath"))
        assert fast.operations == slow.operations and fast.unexplained_dimension == slow.unexplained_dimension

    run()


def test_changed_certificates_are_refused_or_still_true() -> None:
    """Numbers of hints and parameters changed at random; regions added to each other, themselves and their mirror images."""
    counts: Counter[bool] = Counter()

    @settings(HYPOTHESIS, max_examples=some(80))
    @given(tiny=TAME, seed=st.integers(0, 2**32), data=st.data())
    def run(tiny: HiddenModel, seed: int, data: st.DataObject) -> None:
        check, rng = Check(tiny, 30), random.Random(seed)
        every = list(range(check.neurons))
        hints, tables = data.draw(factors(check, every)), check.tables()
        by_rank, by_value = (check.one_by_one(tables, step).astype(np.int64) for step in (hints.step, evaluated))
        start = (tables_step(every), evaluated(by_value & ~by_rank), hints.step(by_rank), Step("disjoint-sum", (1, 2)))
        for _ in range(12):
            steps = list(start)
            for _ in range(rng.choice((1, 1, 2))):
                i = rng.randrange(3)
                steps[i] = changed(rng, steps[i])
            facts = check.established(steps)
            for fact in facts[1:]:
                assert isinstance(fact, CertifiedInputs)
                check.assert_true(fact.cells)
                assert fact.correct == fact.cells.sum() <= check.truth.correct.sum()
            counts[len(facts) == len(steps) and facts[-1].correct > 0] += 1

    run()
    assert counts[True] > some(100) and counts[False] > some(100)


def changed(rng: random.Random, step: Step) -> Step:
    if step.parameters and rng.random() < 0.3:
        name = rng.choice(sorted(step.parameters))
        return replace(step, parameters={**step.parameters, name: rng.choice((-1, 0, 1, 2, 12))})
    name = rng.choice(sorted(step.hints))
    numbers = step.hints[name].integers().copy()
    place = tuple(rng.randrange(size) for size in numbers.shape)
    numbers[place] = rng.choice((0, 1, -1, 2, numbers[place] + 1, numbers[place] - 1, -numbers[place], 2 * numbers[place]))
    return replace(step, hints={**step.hints, name: of_integers(numbers)})


# --- refusals -------------------------------------------------------------------------------------------------------------


def small(task: str = "cyclic:5", hidden: int = 3, tied: bool = True, outputs: int = 0, transformer: bool = False) -> Check:
    """A network that is right about everything, by its biases: its table is that of a constant, or of a group."""
    table = GROUPS[task]
    size = len(table)
    sizes = shapes(transformer, size, hidden, outputs or size, 2, 2, 1)
    rng = np.random.default_rng(5)
    weights = {name: rng.integers(-4, 5, shape) / 4 for name, shape in sizes.items()}
    if tied and not transformer:
        weights["embed_right.W_E"] = weights["embed_left.W_E"]
    return Check(HiddenModel(pack(weights, "F32"), {"name": "group-composition", "group": task}, table, True))


def refusal(check: Check, *steps: Step) -> str:
    with pytest.raises(CheckError) as caught:
        check_proof(check.certificate(steps, 0), check.model)
    return str(caught.value)


@pytest.mark.parametrize(
    "chosen",
    [[], [3], [-1], [0, 0], [0, 1, 2, 0], [[0, 1]], [2**62], [-(2**63)], [0, -3], [0, 3]],
)
def test_neurons_are_different_ones_of_the_model(chosen: Any) -> None:
    check = small()
    none = evaluated(np.zeros((5, 5), np.int64))
    for wrong in (chosen, np.array(chosen, np.int64)):
        assert "step 0 (hidden-tables)" in refusal(check, tables_step(wrong), none)


def test_networks_that_are_not_symmetric_are_not_mirrored() -> None:
    """Nor those with the same numbers in another dtype, nor tasks that are not commutative."""
    nothing = np.zeros((5, 5), np.int64)
    assert check_proof(small().certificate((tables_step([0]), evaluated(nothing, 1)), 0), small().model)
    untied = small(tied=False)
    same = dict(small().tiny.tensors)
    weight = small().tiny.weight("embed_left.W_E").astype(float)
    other = Check(replace(small().tiny, tensors=same | {"embed_right.W_E": pack({"x": weight}, "F64")["x"]}))
    zero = Check(
        replace(small().tiny, tensors=same | pack({"embed_left.W_E": 0 * weight, "embed_right.W_E": -0.0 * weight}, "F32"))
    )
    six = np.zeros((6, 6), np.int64)
    for check, marks in (
        (untied, nothing),
        (other, nothing),
        (zero, nothing),
        (small("symmetric:3"), six),
        (small("symmetric:3", transformer=True), six),
    ):
        assert "mirrored" in refusal(check, tables_step([0]), evaluated(marks, 1))
        hints = simple_factors(check)
        assert "mirrored" in refusal(check, tables_step([0, 1, 2]), hints.step(marks, 1))
    below = marked(5, (1, 0))
    assert "a <= b" in refusal(small(), tables_step([0, 1, 2]), evaluated(below, 1))
    assert "a <= b" in refusal(small(), tables_step([0, 1, 2]), simple_factors(small()).step(below, 1))


def simple_factors(check: Check) -> Factors:
    """Two blocks, of neurons 0 and 1 .."""
    hidden = check.neurons
    zeros = np.zeros((2, 1, check.tiny.outputs), np.int64)
    return Factors(np.array([0, 1]), np.zeros((hidden, 1), np.int64), zeros, np.zeros(hidden, np.int64), 3)


@pytest.mark.parametrize("mark", [2, -1, 3, 256, 2**32 + 1, 2**62 - 1])
def test_pairs_are_marked_by_one(mark: int) -> None:
    check = small()
    marks = mark * marked(5, (1, 2))
    for step in (evaluated(marks), simple_factors(check).step(marks)):
        assert "marked by 1" in refusal(check, tables_step([0, 1, 2]), step)


@pytest.mark.parametrize(
    "change",
    [
        {"mirrored": 2},
        {"mirrored": -1},
        {"mirrored": 256},
        {"pairwise": 2},
        {"pairwise": -1},
        {"scale": 1101},
        {"scale": -1101},
        {"scale": 2**63 - 1},
        {"scale": -(2**63)},
        {"other": 0},
    ],
)
def test_parameters_out_of_range_are_refused(change: dict[str, int]) -> None:
    check, marks = small(), np.zeros((5, 5), np.int64)
    for step in (evaluated(marks), simple_factors(check).step(marks)):
        if next(iter(change)) in step.parameters or "other" in change:
            assert "step 1" in refusal(check, tables_step([0, 1, 2]), replace(step, parameters={**step.parameters, **change}))
        for name in step.parameters:
            less = {key: value for key, value in step.parameters.items() if key != name}
            assert "exactly the parameters" in refusal(check, tables_step([0, 1, 2]), replace(step, parameters=less))


WRONG_HINTS: list[tuple[str, Any]] = [
    ("pairs", np.zeros((5, 4))),
    ("pairs", np.zeros((4, 5))),
    ("pairs", np.zeros((25,))),
    ("pairs", np.zeros((6, 6))),
    ("atoms", [[0], [0], [2]]),
    ("atoms", [[0], [1], [-1]]),
    ("atoms", [[-(2**63)], [0], [1]]),
    ("atoms", [[0], [0], [2**40]]),
    ("atoms", [[0], [0], [0]]),
    ("atoms", [[0], [1]]),
    ("atoms", [[0, 1], [0, 1], [0, 1]]),
    ("atoms", np.zeros((3, 0))),
    ("atoms", [0, 1, 1]),
    ("codes", np.zeros((2, 1))),
    ("codes", np.zeros((4, 1))),
    ("codes", np.zeros((3, 2))),
    ("codes", np.zeros((3,))),
    ("codes", np.full((3, 1), 2**53)),
    ("codes", np.full((3, 1), -(2**53))),
    ("codes", np.full((3, 1), -(2**63))),
    ("dictionary", np.zeros((2, 4))),
    ("dictionary", np.zeros((2, 6))),
    ("dictionary", np.zeros((0, 5))),
    ("dictionary", np.zeros((1, 5))),
    ("dictionary", np.zeros((3, 5))),
    ("dictionary", np.zeros((2, 1, 5))),
    ("dictionary", np.full((2, 5), 2**53)),
    ("centre", np.zeros((2,))),
    ("centre", np.zeros((4,))),
    ("centre", np.zeros((3, 1))),
    ("centre", np.full((3,), 2**53)),
]


@pytest.mark.parametrize(("name", "numbers"), WRONG_HINTS)
def test_wrong_hints_are_refused(name: str, numbers: Any) -> None:
    check, marks = small(), np.zeros((5, 5), np.int64)
    steps = [simple_factors(check).step(marks)] + ([evaluated(marks)] if name == "pairs" else [])
    check_proof(check.certificate((tables_step([0, 1, 2]), steps[0]), 0), check.model)
    for step in steps:
        wrong = replace(step, hints={**step.hints, name: integer_tensor(np.array(numbers).astype(np.int64))})
        assert "step 1" in refusal(check, tables_step([0, 1, 2]), wrong)
        without = {key: value for key, value in step.hints.items() if key != name}
        assert "step 1 (coded-output)" in refusal(check, tables_step([0, 1, 2]), replace(step, hints=without))
        more = {**step.hints, "more": step.hints[name]}
        assert "exactly the hints" in refusal(check, tables_step([0, 1, 2]), replace(step, hints=more))


@pytest.mark.parametrize("atoms", [[1, 0], [0, 0], [1, 1], [2**62 - 1, -2], [1 - 2**62, 1], [0, 2**62 - 1], [-2, -1]])
def test_the_atoms_of_a_neuron_ascend(atoms: list[int]) -> None:
    check = small()
    step = simple_factors(check).step(np.zeros((5, 5), np.int64))
    for row in range(3):
        numbers = np.tile([0, 1], (3, 1))
        step = replace(step, hints={**step.hints, "codes": of_integers(0 * numbers), "atoms": of_integers(numbers)})
        check_proof(check.certificate((tables_step([0, 1, 2]), step), 0), check.model)
        numbers[row] = atoms
        wrong = replace(step, hints={**step.hints, "atoms": of_integers(numbers)})
        expected = "in ascending order" if set(atoms) <= {0, 1} else "atom of the dictionary"
        assert expected in refusal(check, tables_step([0, 1, 2]), wrong)


@pytest.mark.parametrize("dtype", ["BOOL", "F32", "BF16"])
def test_hints_are_integers(dtype: str) -> None:
    check = small()
    step = evaluated(np.zeros((5, 5), np.int64))
    width = {"BOOL": 1, "F32": 4, "BF16": 2}[dtype]
    wrong = replace(step, hints={"pairs": RawTensor(dtype, (5, 5), bytes(25 * width))})
    assert "integer tensor" in refusal(check, tables_step([0]), wrong)


def test_bytes_of_a_hint_are_read_with_their_sign() -> None:
    """255 in U8 is no -1, and -1 in I8 no 255."""
    check = small()
    for dtype in ("U8", "I8"):
        marks = RawTensor(dtype, (5, 5), b"\xff" + bytes(24))
        assert "marked by 1" in refusal(check, tables_step([0]), Step("coded-output", (0,), {"mirrored": 0}, {"pairs": marks}))
        wrong = Step("hidden-tables", (), {}, {"neurons": RawTensor(dtype, (1,), b"\xff")})
        assert "different neurons" in refusal(check, wrong, evaluated(np.zeros((5, 5), np.int64)))


def test_premises_are_the_tables_and_nothing_else() -> None:
    check, marks = small(), np.zeros((5, 5), np.int64)
    tables, first = tables_step([0, 1, 2]), evaluated(marks)
    for step in (first, simple_factors(check).step(marks)):
        for premises in ((), (0, 0), (1,), (0, 1)):
            assert "step 2" in refusal(check, tables, first, replace(step, premises=premises), Step("disjoint-sum", (1, 2)))
    assert "premises" in refusal(check, tables, replace(tables, premises=(0,)), replace(first, premises=(1,)))
    assert "does not establish" in refusal(check, tables)
    for rule in ("additive-tables", "enumeration", "further-inputs"):
        assert "step 0" in refusal(check, Step(rule))
    for step in (tables, replace(tables, parameters={})):
        more = replace(step, parameters={"mirrored": 0})
        assert "exactly the parameters" in refusal(check, more, first)


def test_a_pair_is_not_counted_twice() -> None:
    """Neither by itself, nor by its mirror image, nor by another rule or other tables."""
    tiny = biased(2)
    check = Check(tiny)
    tables, other = tables_step([0]), tables_step([0])
    above, below, diagonal = marked(2, (0, 1)), marked(2, (1, 0)), marked(2, (0, 0))
    low = simple_low(check)
    for pieces in (
        (evaluated(diagonal), evaluated(diagonal)),
        (evaluated(above, 1), evaluated(below)),
        (evaluated(above, 1), low.step(below)),
        (low.step(above, 1), evaluated(below)),
        (evaluated(above), low.step(above)),
    ):
        steps = (tables, *pieces, Step("disjoint-sum", (1, 2)))
        for correct in range(5):
            with pytest.raises(Refused, match="disjoint-sum"):
                check_proof(check.certificate(steps, correct), check.model)
        apart = (tables, other, pieces[0], replace(pieces[1], premises=(1,)), Step("disjoint-sum", (2, 3)))
        with pytest.raises(Refused, match="disjoint-sum"):
            check_proof(check.certificate(apart, 2), check.model)
        assert "disjoint-sum" in refusal(check, tables, pieces[0], Step("disjoint-sum", (1, 1)))
    whole = (tables, evaluated(above, 1), evaluated(diagonal), low.step(marked(2, (1, 1))), Step("disjoint-sum", (1, 2, 3)))
    assert check_proof(check.certificate(whole, 4), check.model).result.correct == 4


def biased(size: int) -> HiddenModel:
    """A network of one neuron that is right about everything: all products are 1."""
    weights = {name: np.zeros(shape) for name, shape in shapes(False, size, 1, size, 0, 0, 0).items()}
    weights["unembed.b_U"][1] = 1
    return HiddenModel(pack(weights, "F16"), None, np.ones((size, size), np.int64), True)


def simple_low(check: Check) -> Factors:
    hidden, outputs = check.neurons, check.tiny.outputs
    zeros = np.zeros(hidden, np.int64)
    return Factors(np.array([0]), zeros.reshape(-1, 1), np.zeros((1, 1, outputs), np.int64), zeros, 0)


def test_the_table_must_be_that_of_the_statement() -> None:
    """It cannot be exchanged, left out, or added where the task names a group."""
    tiny = biased(2)
    check, steps = Check(tiny), (tables_step([0]), evaluated(np.ones((2, 2), np.int64)))
    right = check.certificate(steps, 4)
    check_proof(right, check.model)
    for table in (None, of_integers([[1, 1], [1, 0]]), of_integers([1, 1, 1, 1]), RawTensor("F32", (2, 2), bytes(16))):
        with pytest.raises(InvalidInput):
            check_proof(replace(right, given={} if table is None else {"table": table}), check.model)
    named = replace(right.statement, task={"name": "modular-addition", "modulus": 2})
    with pytest.raises(InvalidInput, match="needs none"):
        check_proof(replace(right, statement=named), check.model)
    with pytest.raises(Refused, match="not proved correct"):
        check_proof(replace(right, statement=named, given={}), check.model)
    for total in (3, 5, 8):
        with pytest.raises(InvalidInput, match="total"):
            check_proof(replace(right, statement=replace(right.statement, total=total)), check.model)


def test_outputs_that_are_no_elements_are_rivals_too() -> None:
    """The last output is greater than all elements, or ties with them: nothing is right."""
    for lead in (1.0, 0.0, -1.0):
        weights = {name: np.zeros(shape) for name, shape in shapes(False, 2, 1, 3, 0, 0, 0).items()}
        weights["unembed.b_U"][:] = [0, 1, 1 + lead]
        check = Check(HiddenModel(pack(weights, "F32"), None, np.ones((2, 2), np.int64), True))
        for step in (evaluated, simple_low(check).step):
            accepted = check.one_by_one(check.tables(), step)
            assert np.array_equal(accepted, check.truth.correct) and accepted.all() == (lead < 0)


@pytest.mark.parametrize(("transformer", "tied", "of_inputs"), [(False, False, 2), (False, True, 1), (True, False, 1)])
def test_the_unexplained_dimension_counts_the_neurons_of_interest(transformer: bool, tied: bool, of_inputs: int) -> None:
    check = small("cyclic:5", 3, tied, 6, transformer)
    for chosen in ([1], [2, 0], [0, 1, 2]):
        certificate = check.certificate((tables_step(chosen), evaluated(np.zeros((5, 5), np.int64))), 0)
        assert check_proof(certificate, check.model).unexplained_dimension == len(chosen) * (of_inputs * 5 + 6)


# --- limits ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transformer", [False, True])
def test_budgets_are_respected(transformer: bool) -> None:
    """With less than what the whole check takes, operations or memory, it is refused, and never by another exception."""
    check, marks = small(transformer=transformer, hidden=3), np.zeros((5, 5), np.int64)
    marks[:] = check.truth.correct
    assert marks.any()
    for step, correct in ((evaluated(marks), int(marks.sum())), (simple_low(check).step(0 * marks), 0)):
        certificate = check.certificate((tables_step([2, 0, 1]), step), correct)
        proof = check_proof(certificate, check.model)
        for operations in (0, 1, proof.operations // 2, proof.operations - 1):
            with pytest.raises(OverBudget):
                check_proof(certificate, check.model, budget=Budget(operations=operations))
        check_proof(certificate, check.model, budget=Budget(operations=proof.operations))
        for memory in (0, 1, 1000):
            with pytest.raises(OverBudget):
                check_proof(certificate, check.model, budget=Budget(memory=memory))


def test_many_blocks_of_large_rank_stay_within_the_budget() -> None:
    """Whether it is refused or not: 16 blocks whose coordinates take 1 MiB each for 64 pairs, and twice that to join them."""
    hidden, size, rank = 16, 8, 2**10
    weights = {name: np.zeros(shape) for name, shape in shapes(False, size, hidden, size, 0, 0, 0).items()}
    weights["unembed.b_U"][1] = 1
    check = Check(HiddenModel(pack(weights, "F16"), None, np.ones((size, size), np.int64), True), 30)
    right, centre = np.zeros((hidden, rank, size), np.int64), np.zeros(hidden, np.int64)
    hints = Factors(np.arange(hidden), np.zeros((hidden, rank), np.int64), right, centre, 0)
    certificate = check.certificate((tables_step(range(hidden)), hints.step(np.ones((size, size), np.int64))), size**2)
    tracemalloc.start()
    try:
        check_proof(certificate, check.model, budget=Budget(memory=2**24))
    except OverBudget:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 2 * 2**24  # budgets are meant roughly


def test_a_large_table_is_refused_before_it_is_decoded() -> None:
    check = small()
    certificate = check.certificate((tables_step([0]), evaluated(np.zeros((5, 5), np.int64))), 0)
    tracemalloc.start()
    try:
        with pytest.raises(CheckError):
            wrong = replace(certificate, given={"table": RawTensor("U8", (2**22,), bytes(2**22))})
            check_proof(wrong, check.model, budget=Budget(memory=2**22))
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 3 * 2**22  # its bytes are held in any case


def test_neurons_that_are_never_active_add_nothing_to_what_others_can() -> None:
    """One is active up to 2 and writes a range of 2; the other, whose range is 10, stays at least 5 below."""
    arithmetic = ScaledArithmetic(30, Meter(Budget()))
    given = ([[1, -5], [2, -6]], [[0, -1], [0, 0]], [[0, 0]], [[1, 3], [0, 10]])
    left, right, bias, unembed = (arithmetic.exact(np.array(table), np.zeros_like(table)) for table in given)
    for neurons, most in (([0], 4), ([1], 0), ([0, 1], 4)):
        assert [end.item() for end in ends(most_of_neurons(left, right, bias, unembed, np.array(neurons)))] == [most, most]
