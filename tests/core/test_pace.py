"""No file is checked for more than twice as long as `brute-force` takes for the budget: time is in proportion to effort."""

import random
import struct
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import make_golden
import mutate
import numpy as np
import pace_search
import primitive_pace
import pytest
from pace_search import CAP, LIMIT, Search, candidate, fitted, peak
from primitive_pace import Numbers, brute_force_pace
from test_attacks import HEADERS, random_model

from certificates import Step
from checker import verify
from checker.attention.additive_tables import additive_tables
from checker.attention.enumeration import enumeration
from checker.attention.further_inputs import further_inputs
from checker.core.decide import parse_task
from checker.core.errors import OverBudget
from checker.core.facts import CertifiedInputs, Setting
from checker.core.meter import Budget, Meter
from checker.core.scaled_integers import ScaledArithmetic
from checker.rules import RULES
from checker.rules.disjoint_sum import disjoint_sum

SEEDS = range(12)
TOLERANCE = 1.25
"""For what else the machine does meanwhile."""
MEMORY = 2**25


@pytest.fixture(scope="module")
def pace() -> float:
    """Operations of `brute-force` per second."""
    return brute_force_pace(tries=3)


@pytest.mark.parametrize("rule", sorted(RULES))
def test_no_grown_certificate_takes_longer_than_its_effort_says(rule: str, pace: float) -> None:
    search = Search(rule, pace)
    for seed in SEEDS:
        search.look_at(seed)
    assert search.tried > len(SEEDS) / 3
    assert search.slowest <= TOLERANCE * LIMIT, search.what


@pytest.mark.parametrize("rule", sorted(RULES))
def test_no_grown_certificate_takes_more_memory_than_the_budget(rule: str) -> None:
    """Whatever it asks for: within a budget, a quarter more, and some megabytes for all that is small."""
    for seed in SEEDS:
        try:
            subject, done = fitted(candidate(rule, seed), random.Random(f"fit {rule} {seed}"))
        except (OverflowError, ValueError):
            continue
        if done.effort > CAP // 30:  # large enough to matter
            assert peak(subject, MEMORY) < MEMORY * 5 // 4 + 2**23, (seed, subject.name)


def test_a_rule_that_takes_time_without_saying_so_is_found(pace: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The search finds what there is to be found: here decoding that is not announced, and slow."""

    def slow(premises: Any, *more: Any) -> Any:
        started = time.process_time()
        while time.process_time() - started < 0.5:
            pass
        return disjoint_sum(premises, *more)

    monkeypatch.setitem(RULES, "disjoint-sum", slow)  # type: ignore[arg-type]
    search = Search("disjoint-sum", pace)
    for seed in range(6):
        search.look_at(seed)
    assert search.slowest > 2 * LIMIT


def test_brute_force_is_within_its_own_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its effort is less than that of the least budget of operations that it fits into: two and a half times."""
    meters = []

    def meter(budget: Budget) -> Meter:
        meters.append(Meter(budget))
        return meters[-1]

    monkeypatch.setattr(primitive_pace, "Meter", meter)
    brute_force_pace(length=5, tries=1)
    assert meters[0].effort < 2.5 * meters[0].operations


def setting_of(vocab: int, n_ctx: int) -> Setting:
    """Inputs of so many tokens, a model with noise for weights, and a budget that is never used up."""
    model, meter = random_model(vocab, n_ctx), Meter(Budget(operations=10**15, memory=2**40))
    return Setting(model, parse_task({"name": "max-of-k"}, model.config, None, meter), ScaledArithmetic(30, meter), meter)


def enumerated(setting: Setting, tables: Any, query: int) -> CertifiedInputs:
    task = setting.task
    ranges = [(0, 1)] * (task.n_ctx - 1) + [(query, query + 1)]
    return enumeration(setting, replace(make_golden.enumeration(ranges)), (tables,))


@pytest.mark.parametrize(("vocab", "n_ctx", "inputs"), [(64, 2, 200_000), (64, 8, 20_000), (64, 3, 10)])
def test_asking_a_sum_about_inputs_takes_effort(vocab: int, n_ctx: int, inputs: int, pace: float) -> None:
    """For every premise: there may be 255, and as many lists of inputs."""
    setting = setting_of(vocab, n_ctx)
    tables = additive_tables(setting, Step("additive-tables"), ())
    parts = tuple(enumerated(setting, tables, query) for query in range(vocab))
    fact = disjoint_sum(setting, Step("disjoint-sum"), parts)
    tokens = np.random.default_rng(0).integers(0, vocab, (inputs, n_ctx))
    before, seconds = setting.meter.effort, []
    for _ in range(3):
        started = time.process_time()
        fact.may_count(tokens)
        seconds.append(time.process_time() - started)
    effort = (setting.meter.effort - before) // 3
    assert min(seconds) * pace / effort <= TOLERANCE * LIMIT


def test_listing_inputs_takes_effort_even_beside_nothing() -> None:
    """Sorting their tokens and comparing them: refused before it begins."""
    setting = setting_of(8, 4)
    tables = additive_tables(setting, Step("additive-tables"), ())
    nothing = disjoint_sum(setting, Step("disjoint-sum"), ())
    inputs = np.array(make_golden.by_cell(map(tuple, make_golden.all_inputs(8, 4))))
    step = replace(make_golden.further(inputs), premises=(0, 1))
    setting.meter.most_effort = setting.meter.effort + 40 * inputs.size
    with pytest.raises(OverBudget, match="takes as long as"):
        further_inputs(setting, step, (tables, nothing))
    assert setting.meter.effort <= setting.meter.most_effort - 20 * inputs.size  # nothing beyond reading the hint


def test_lists_in_an_index_are_charged_as_arrays_are() -> None:
    numbers = Numbers(30)
    table, places = numbers(100, 100), np.arange(100)
    efforts = []
    for columns in (places, places.tolist()):
        before = numbers.arithmetic.meter.effort
        table[places[:, None], columns]
        table[columns]
        efforts.append(numbers.arithmetic.meter.effort - before)
    assert efforts[0] == efforts[1] > 8 * 2 * 100 * 100


def test_copies_made_by_reshaping_are_charged() -> None:
    numbers = Numbers(30)
    table, efforts = numbers(300, 300), []
    for turned in (table, table.T):
        before = numbers.arithmetic.meter.effort
        turned.reshape(-1)
        efforts.append(numbers.arithmetic.meter.effort - before)
    assert efforts[0] == 0 and efforts[1] > 300 * 300


@pytest.mark.parametrize("precision", [30, 31])
@pytest.mark.parametrize("name", ["multiply", "sqrt", "matmul", "gather", "segment_sum"])
def test_primitives_keep_the_pace(name: str, precision: int, pace: float) -> None:
    """A few of them, on arrays of a thousand numbers; all are measured by `make bench`."""
    for one in primitive_pace.measure(precision, (1000,), name, 0.002):
        assert one.relative(pace) < 1.5 * LIMIT, one.case


@pytest.mark.parametrize("name", HEADERS)
def test_reading_takes_little_time(name: str, tmp_path: Path) -> None:
    """Beside which effort does not count it."""
    text = HEADERS[name].encode()
    mutate.put(tmp_path / "file", struct.pack("<Q", len(text)) + text)
    started = time.process_time()
    verify(tmp_path / "file", tmp_path / "file")
    assert time.process_time() - started < 5


def test_decimals_of_a_configuration_take_little_time(tmp_path: Path) -> None:
    decimals = ",".join(["9.9e-999"] * 100_000)
    metadata = {"config": '{"seed":[' + decimals + "]}"}
    mutate.put(tmp_path / "file", mutate.container(metadata, {}))
    started = time.process_time()
    verify(tmp_path / "file", tmp_path / "file")
    assert time.process_time() - started < 5


def test_every_rule_has_something_to_grow() -> None:
    assert set(pace_search.subjects()) == set(RULES)
    assert all(pace_search.subjects().values())
