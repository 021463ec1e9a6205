"""No file is checked for more than twice as long as `brute-force` takes for the budget: time is in proportion to effort.

Tests that compare seconds are marked `timed`: they want a machine that does nothing else, so `make pace` runs them, not
`make test`.
"""

import math
import random
import struct
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import make_golden
import mutate
import numpy as np
import pace_search
import primitive_pace
import pytest
from pace_search import CAP, LIMIT, Search, candidate, check, fitted, peak
from primitive_pace import Numbers, brute_force_pace
from test_attacks import HEADERS, random_model
from test_classes import group_step, nothing_to_check, prefix_step

from certificates import Step
from checker import verify
from checker.attention import group_chains, prefix_chains
from checker.attention.additive_tables import additive_tables
from checker.core.errors import OverBudget
from checker.core.facts import CertifiedInputs, Setting
from checker.core.meter import Budget, Meter
from checker.core.scaled_integers import ScaledArithmetic
from checker.decide import parse_task
from checker.registry import RULES
from checker.rules.disjoint_sum import disjoint_sum
from checker.rules.further_inputs import further_inputs

SEEDS, SEEDS_OF_MEMORY = range(30), range(12)
TOLERANCE = 1.25
"""For what else the machine does meanwhile."""
MEMORY = 2**25


@pytest.fixture(scope="module")
def pace() -> float:
    """Operations of `brute-force` per second."""
    return brute_force_pace(tries=3)


@pytest.mark.timed
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
    for seed in SEEDS_OF_MEMORY:
        try:
            subject, done = fitted(candidate(rule, seed), random.Random(f"fit {rule} {seed}"))
        except (OverflowError, ValueError):
            continue
        if done.effort > CAP // 30:  # large enough to matter
            assert peak(subject, MEMORY) < MEMORY * 5 // 4 + 2**23, (seed, subject.name)


@pytest.mark.timed
def test_time_that_a_rule_does_not_announce_is_found(pace: float, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*arguments: Any) -> CertifiedInputs:
        started = time.process_time()
        while time.process_time() - started < 0.5:
            pass
        return disjoint_sum(*arguments)

    monkeypatch.setitem(RULES, "disjoint-sum", slow)  # type: ignore[arg-type]
    assert check(pace_search.subjects()["disjoint-sum"][0]).relative(pace) > 2 * LIMIT


def test_brute_force_is_within_its_own_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its effort is less than that of the least budget of operations that it fits into: two and a half times."""
    meters = []

    def meter(budget: Budget) -> Meter:
        meters.append(Meter(budget))
        return meters[-1]

    monkeypatch.setattr(primitive_pace, "Meter", meter)
    brute_force_pace(vocab=48, length=5, queries=1, tries=1)
    assert meters[0].effort < 2.5 * meters[0].operations


def setting_of(vocab: int, n_ctx: int, task: Any = make_golden.TASK) -> Setting:
    """Inputs of so many tokens, a model with noise for weights, and a budget that is never used up."""
    model, meter = random_model(vocab, n_ctx), Meter(Budget(operations=10**15, memory=2**40))
    return Setting(model, parse_task(task, model.config, {}, meter), ScaledArithmetic(30, meter), meter)


FACTS: dict[str, tuple[dict[str, Any], Callable[[], Step]]] = {
    "enumeration": ({"name": "max-of-k"}, lambda: make_golden.everything(4, 3)),
    "prefix-chains": ({"name": "max-of-k"}, lambda: prefix_step(16, 3)),
    "group-chains": ({"name": "nth-max-of-k", "n": 2}, lambda: group_step(16, 3, 100)),
}


@pytest.mark.timed
@pytest.mark.parametrize("inputs", [3, 100_000])
@pytest.mark.parametrize("rule", FACTS)
def test_asking_a_sum_about_inputs_takes_effort(rule: str, inputs: int, pace: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """For every premise: there may be 255, and as many lists of inputs."""
    for module in (group_chains, prefix_chains):
        monkeypatch.setattr(module, "require_correct", nothing_to_check)
    task, step = FACTS[rule]
    setting = setting_of(4 if rule == "enumeration" else 16, 3, task)
    fact = RULES[rule](setting, step(), (additive_tables(setting, Step("additive-tables"), ()),))
    assert isinstance(fact, CertifiedInputs)
    shape = fact.cells.shape
    parts = tuple(replace(fact, cells=(np.arange(math.prod(shape)) == i).reshape(shape)) for i in range(20))
    total = disjoint_sum(setting, Step("disjoint-sum"), parts)
    tokens = np.random.default_rng(0).integers(0, setting.task.d_vocab, (inputs, 3))
    before, seconds = setting.meter.effort, []
    for _ in range(3):
        started = time.process_time()
        total.may_count(tokens)
        seconds.append(time.process_time() - started)
    effort = (setting.meter.effort - before) // 3
    assert min(seconds) * pace / effort <= TOLERANCE * LIMIT


def test_every_premise_of_a_sum_counts_as_steps_of_a_script() -> None:
    """However few inputs are asked about: a premise is a call in Python."""
    setting = setting_of(4, 3)
    cells = np.zeros(setting.task.cell_shape, np.bool_)
    efforts = []
    for count in (10, 20):
        parts = []
        for i in range(count):
            own = cells.copy()
            own.reshape(-1)[i] = True
            parts.append(CertifiedInputs(1, own, lambda tokens: tokens[:, 0] < 0, lambda tokens: tokens[:, 0] < 0))
        total = disjoint_sum(setting, Step("disjoint-sum"), tuple(parts))
        before = setting.meter.effort
        total.may_count(np.zeros((0, 3), np.int64))
        efforts.append(setting.meter.effort - before)
    none, steps = Meter(Budget()), Meter(Budget())
    none.scripting(0)
    steps.scripting(10)
    assert efforts[1] - efforts[0] > steps.effort - none.effort > 0


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


@pytest.mark.timed
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
