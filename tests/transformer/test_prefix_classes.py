"""Classes of prefixes: random deep transformers and random classes, against an oracle that evaluates every input."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from test_enclosures import ends
from test_potentials import draw_claims, draw_fitting
from test_potentials import step_of as potentials_step
from test_regions import (
    SMALL,
    SURE,
    draw_automaton,
    draw_hints,
    every_input,
    setting_for,
    spoiled,
    states_after,
    step_of,
    true_leads,
    width,
    within,
)
from thorough import parts
from transformer_models import draw_model

from certificates import Model, Step, integer_tensor
from certificates.automaton import Automaton
from checker.core.errors import OverBudget, Refused
from checker.core.facts import Setting
from checker.transformer.all_reads import all_reads
from checker.transformer.finer import RightAtRead
from checker.transformer.joint_reads import joint_reads
from checker.transformer.potentials import potentials
from checker.transformer.prefix_classes import prefix_classes
from checker.transformer.reads import LayerInput, Read
from checker.transformer.regions import regions
from checker.transformer.transformer_forward import transformer_forward
from prover.proving import problem_about, prove
from prover.strategies.potentials import Potentials
from prover.strategies.regions import Regions
from prover.strategy import DoesNotFit
from prover.transformer.forward import residual_stream
from prover.weights import load_weights

CPU = torch.device("cpu")
FORWARD = Step("transformer-forward")
Hints = dict[str, np.ndarray]


def deep(seed: int, **fixed: Any) -> Model:
    """Every feature of causal models by turns, two or three layers."""
    sizes = {
        "n_layers": (2, 3, 2, 2)[seed % 4],
        "d_vocab": 2 + seed % 2,
        "n_ctx": 2 + seed % 3,
        "d_vocab_out": 2 + seed // 2 % 2,
    }
    if seed % 4 == 1:
        sizes["d_vocab_out"] = sizes["d_vocab"]  # tied
    kind = {"attention_dir": "causal", "pad_token": -1}
    return draw_model(seed, size=(0.3, 0.6, 1.2)[seed // 3 % 3], **{**sizes, **kind, **fixed})


def in_order(model: Model, rng: np.random.Generator) -> Automaton:
    """Any that reads the positions from the first to the last."""
    while True:
        drawn = draw_automaton(model, rng)
        automaton = replace(drawn, order=np.arange(len(drawn.order)))
        if automaton.count():
            return automaton


def draw_classes(automaton: Automaton, rng: np.random.Generator, memory: int) -> tuple[Hints, Automaton]:
    """Classes remember, beside the task's state, one of `memory` random numbers; and their automaton."""
    rows, length = every_input(automaton), len(automaton.order)
    states, tables = [0], list[np.ndarray]()
    outputs = list[list[int]]()
    for step in range(length):
        before, after = (states_after(automaton, rows, step + i) for i in range(2))
        met = {state: set[tuple[int, int]]() for state in states}
        for own, token, led in zip(before.tolist(), rows[:, step].tolist(), after.tolist(), strict=True):
            met.setdefault(own, set()).add((token, led))
        numbers, table = dict[tuple[int, int], int](), np.full((len(states), automaton.transitions.shape[2]), -1)
        for number, state in enumerate(states):
            for token, led in sorted(met[state]):
                table[number, token] = numbers.setdefault((led, int(rng.integers(memory))), len(numbers))
        states = [led for led, _ in numbers]
        tables.append(table)
        outputs.append(states)
    most = max(map(len, outputs))
    transitions = np.stack([np.pad(t, ((0, max(most, 1) - len(t)), (0, 0)), constant_values=-1)[:most] for t in tables])
    found = np.full((len(automaton.reads), most), -1)
    for read, steps in enumerate(automaton.reads[:, 1].tolist()):
        found[read, : len(outputs[steps - 1])] = automaton.outputs[read, outputs[steps - 1]]
    hints = {"sizes": np.array([len(own) for own in outputs]), "classes": np.concatenate(tables)}
    return hints, Automaton(automaton.order, transitions, found, automaton.reads)


def classes_step(hints: Hints) -> Step:
    return Step("prefix-classes", (0,), {}, {name: integer_tensor(np.asarray(h, np.int64)) for name, h in hints.items()})


def applied(setting: Setting, hints: Hints) -> LayerInput:
    return prefix_classes(setting, classes_step(hints), (transformer_forward(setting, FORWARD, ()),))


def drawn_margin(leads: np.ndarray, rng: np.random.Generator, seed: int) -> Fraction:
    """That by which some input leads, or 0."""
    positive = leads[leads > 0]
    return Fraction(float(rng.choice(positive))).limit_denominator(10**6) if len(positive) and seed % 3 == 0 else Fraction(0)


@pytest.mark.parametrize("seed", parts(60))
def test_what_is_proved_by_regions_is_true(seed: int) -> None:
    """Of every kind of model and task; the margin is that by which some input leads."""
    rng, model = np.random.default_rng(seed), deep(seed)
    automaton = in_order(model, rng)
    rows = every_input(automaton)
    leads = true_leads(model, automaton, rows)
    margin = drawn_margin(leads, rng, seed)
    setting = setting_for(model, automaton, (30, 64)[seed % 2], margin)
    classes, finer = draw_classes(automaton, rng, int(rng.choice([1, 2, 60])))
    layer, facts = applied(setting, classes), list[RightAtRead]()
    for read, (position, steps) in enumerate(automaton.reads.tolist()):
        hints = draw_hints(finer, read, rng, int(rng.choice([1, 2, 60])), width(model), 0.1 * (seed % 4 == 1), by_state=True)
        step = step_of(read, hints, int(rng.integers(0, 4)))
        if steps <= position:
            with pytest.raises(Refused, match="read in the read's steps"):
                regions(setting, step, (layer,))
            return
        fact = regions(setting, step, (layer,))
        held = fact.covers(rows)
        assert fact.correct == np.count_nonzero(held)
        assert np.all(leads[held, read] > float(margin) - SURE)
        facts.append(fact)
    total = all_reads(setting, Step("all-reads"), tuple(facts))
    joint = joint_reads(setting, Step("joint-reads"), tuple(facts))
    held = joint.covers(rows)
    assert total.correct <= joint.correct == np.count_nonzero(held)
    assert np.all(leads[held].min(1) > float(margin) - SURE)


@pytest.mark.parametrize("seed", parts(32))
def test_what_is_proved_by_potentials_is_true(seed: int) -> None:
    rng, model = np.random.default_rng(seed), draw_fitting(seed, n_layers=2, n_heads=1, n_key_value_heads=1, pad_token=-1,
                                                           attention_dir="causal")  # fmt: skip
    automaton = in_order(model, rng)
    rows = every_input(automaton)
    leads = true_leads(model, automaton, rows)
    margin = drawn_margin(leads, rng, seed)
    setting = setting_for(model, automaton, (30, 64)[seed % 2], margin)
    classes, finer = draw_classes(automaton, rng, int(rng.choice([1, 2, 60])))
    layer = applied(setting, classes)
    for read, (position, steps) in enumerate(automaton.reads.tolist()):
        if steps <= position:
            continue
        for memory in (1, 3, 10**9):
            hints = draw_claims(model, finer, read, rng, memory, by_state=True)
            fact = potentials(setting, potentials_step(read, hints), (layer,))
            held = fact.covers(rows)
            assert fact.correct == np.count_nonzero(held)
            assert np.all(leads[held, read] > float(margin) - SURE)


@pytest.mark.parametrize("seed", parts(36))
def test_the_residual_stream_is_in_the_boxes(seed: int) -> None:
    """Of every input, at every position; and of two layers they are points if every prefix has a class of its own."""
    rng, model = np.random.default_rng(seed), deep(seed, n_layers=2 + seed % 2)
    automaton = in_order(model, rng)
    rows, setting = every_input(automaton), setting_for(model, automaton, (30, 64)[seed // 2 % 2])
    memory = (1, 2, 10**9)[seed % 3]
    classes, finer = draw_classes(automaton, rng, memory)
    try:
        layer = applied(setting, classes)
    except Refused as error:
        assert (memory < 3 or model.config.n_layers > 2) and "division" in str(error)  # a norm may be undefined in a wide box
        return
    low, high = ends(layer.stream)
    weights = load_weights(model, CPU)
    true = residual_stream(model.config, weights, torch.as_tensor(rows), model.config.n_layers - 1).numpy()  # type: ignore[arg-type]
    for position in range(model.config.n_ctx):
        place = layer.first[position] + states_after(finer, rows, position + 1)
        assert np.all(low[place] - SURE < true[:, position]) and np.all(true[:, position] < high[place] + SURE)
        if memory > 2 and model.config.n_layers == 2:
            assert np.all(high[place] - low[place] < 1e-5)


@pytest.mark.parametrize("seed", parts(24))
def test_the_residual_stream_is_in_the_boxes_of_all_that_is_looked_at(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing else is known of the mean: as if no weight were proved to be positive."""
    mixed = Read.mixed

    def none(read: Read, *arguments: Any) -> tuple[Any, np.ndarray]:
        z, rows = mixed(read, *arguments)
        return z[:0], rows[:0]

    monkeypatch.setattr(Read, "mixed", none)
    rng, model = np.random.default_rng(seed), deep(seed, n_layers=2)
    automaton = in_order(model, rng)
    classes, finer = draw_classes(automaton, rng, int(rng.choice([1, 2, 60])))
    rows = every_input(automaton)
    try:
        low, high = ends((layer := applied(setting_for(model, automaton), classes)).stream)
    except Refused as error:
        assert "division" in str(error)  # a norm may be undefined in a wide box
        return
    true = residual_stream(model.config, load_weights(model, CPU), torch.as_tensor(rows), 1).numpy()  # type: ignore[arg-type]
    for position in range(model.config.n_ctx):
        place = layer.first[position] + states_after(finer, rows, position + 1)
        assert np.all(low[place] - SURE < true[:, position]) and np.all(true[:, position] < high[place] + SURE)


@pytest.mark.parametrize("seed", parts(36))
def test_what_a_query_looks_at_are_the_classes_on_its_ways(seed: int) -> None:
    """Were there others, their scores could be so high that nothing is left of its own."""
    rng, model = np.random.default_rng(seed), deep(seed, normalization_type=None, use_qk_norm=False)
    automaton = in_order(model, rng)
    rows, setting = every_input(automaton), setting_for(model, automaton, 30)
    classes, finer = draw_classes(automaton, rng, 3)
    met = [states_after(finer, rows, place + 1) for place in range(model.config.n_ctx)]
    position = int(rng.integers(model.config.n_ctx))
    queries = np.unique(met[position])
    read = Read(setting, applied(setting, classes), setting.task, position, queries)  # type: ignore[arg-type]
    for place in range(position):
        pairs = np.unique([np.searchsorted(queries, met[position]), np.searchsorted(read.symbols[place], met[place])], axis=1)
        assert np.array_equal(read.symbols[place], np.unique(met[place]))
        assert np.array_equal(np.argwhere(read.visible(place)), pairs.T)
    assert read.visible(position).all()
    for head, largest in enumerate(read.largest):
        seen = [np.where(read.visible(place), ends(of[head])[1], -(2**62)).max(axis=1) for place, of in enumerate(read.scores)]
        assert np.allclose(np.asarray(ends(largest)[1].reshape(-1) - np.max(seen, axis=0), np.float64), 0, atol=1e-6)


@pytest.mark.parametrize("seed", range(0, 60, 8))
def test_single_sequences_are_proved_if_they_are_clearly_right(seed: int) -> None:
    """With a class for every prefix and a region for every sequence."""
    rng, model = np.random.default_rng(seed), deep(seed)
    automaton = in_order(model, rng)
    rows, setting = every_input(automaton), setting_for(model, automaton, 64)
    classes, finer = draw_classes(automaton, rng, 10**9)
    layer = applied(setting, classes)
    for read, (position, steps) in enumerate(automaton.reads.tolist()):
        if steps <= position:
            continue
        hints = draw_hints(finer, read, rng, 10**9, width(model), by_state=True)
        held = regions(setting, step_of(read, hints), (layer,)).covers(rows)
        asked = np.isin(states_after(finer, rows, position + 1), hints["queries"])
        assert np.all(held[asked & (true_leads(model, automaton, rows)[:, read] > 1e-6)])


@pytest.mark.parametrize("seed", parts(80))
def test_spoiled_classes_prove_nothing_false(seed: int) -> None:
    rng, model = np.random.default_rng(seed), deep(4 * (seed % 9) + seed % 3)
    automaton = in_order(model, rng)
    rows = every_input(automaton)
    leads, setting = true_leads(model, automaton, rows), setting_for(model, automaton)
    classes, finer = draw_classes(automaton, rng, 2)
    read, (position, steps) = 0, automaton.reads[0].tolist()
    if steps <= position:
        return
    hints = draw_hints(finer, read, rng, 2, width(model), by_state=True)
    if seed % 3:
        classes = spoiled(classes, rng, ["sizes", "classes"])
    else:
        hints = spoiled(hints, rng, ["queries", "sizes", "finer"])
    try:
        fact = regions(setting, step_of(read, hints), (applied(setting, classes),))
    except (Refused, OverBudget):
        return
    held = fact.covers(rows)
    assert fact.correct == np.count_nonzero(held) and np.all(leads[held, read] > -SURE)


def test_models_tasks_and_premises_that_do_not_fit_are_refused() -> None:
    model = deep(0, d_vocab=2, n_ctx=2)
    automaton = replace(SMALL, order=np.arange(2))
    classes, _ = draw_classes(automaton, np.random.default_rng(0), 1)
    setting = setting_for(model, automaton)
    layer, forward = applied(setting, classes), transformer_forward(setting, FORWARD, ())
    for premises in ((), (forward, forward), (layer,)):
        with pytest.raises(Refused, match="one premise"):
            prefix_classes(setting, classes_step(classes), premises)
    for other in ({"attention_dir": "bidirectional"}, {"pad_token": 1}, {"n_layers": 1}):
        unfit = setting_for(deep(0, d_vocab=2, n_ctx=2, **other), automaton)
        with pytest.raises(Refused, match="causal transformers with several layers, without padding"):
            applied(unfit, classes)
    backwards = setting_for(model, replace(SMALL, order=np.array([1, 0])))
    with pytest.raises(Refused, match="from the first to the last"):
        applied(backwards, classes)
    every = setting_for(model, Automaton.of(np.arange(2), np.zeros((1, 1, 2), int), np.zeros(1, int)))
    applied(every, {"sizes": np.array([1, 1]), "classes": np.array([[0, 0], [0, 0]])})
    with pytest.raises(Refused, match="in no class"):
        applied(every, {"sizes": np.array([1, 1]), "classes": np.array([[0, 0], [0, -1]])})
    with pytest.raises(Refused, match="the hints"):
        prefix_classes(setting, Step("prefix-classes", (0,)), (forward,))


def test_refined_automata_are_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    """With as many states after every step as after that with most."""
    model = deep(0)
    automaton = in_order(model, np.random.default_rng(0))
    classes, _ = draw_classes(automaton, np.random.default_rng(0), 60)
    setting, held, most, refined = setting_for(model, automaton), list[int](), list[int](), Automaton.refined

    def noting(self: Automaton, tables: Any, states: Any) -> Automaton:
        most.append(max(map(len, states)))
        return refined(self, tables, states)

    monkeypatch.setattr(Automaton, "refined", noting)
    monkeypatch.setattr(setting.meter, "hold", held.append)
    applied(setting, classes)
    assert 8 * most[0] * (model.config.n_ctx * model.config.d_vocab + len(automaton.reads)) in held


def test_what_is_kept_is_announced() -> None:
    """Boxes of all classes in memory, before they are computed."""
    model = deep(0)
    automaton = in_order(model, np.random.default_rng(0))
    classes, _ = draw_classes(automaton, np.random.default_rng(0), 60)
    setting = setting_for(model, automaton)
    applied(setting, classes)
    for part in (3, 5, 8):
        with pytest.raises(OverBudget, match="--max-memory"):
            applied(within(setting, setting.meter.held * part // 10), classes)


@pytest.mark.parametrize("seed", range(0, 36, 6))
def test_strategies_find_what_is_true(seed: int) -> None:
    """With a class for every prefix, all inputs that are clearly right."""
    rng, model = np.random.default_rng(seed), deep(seed, n_layers=2)
    automaton = in_order(model, rng)
    if np.any(automaton.reads[:, 1] <= automaton.reads[:, 0]):
        return
    problem = problem_about(model, CPU, precision=64, automaton=automaton)
    rows = every_input(automaton)
    clear = np.count_nonzero(true_leads(model, automaton, rows).min(1) > 1e-6)
    true = np.count_nonzero(true_leads(model, automaton, rows).min(1) > -SURE)
    for recent, counted in ((1, 0), (1, 1), (4, 0)):
        found = prove(problem, Regions(recent=recent, counted=counted, fine=12))[0].statement.correct  # type: ignore[union-attr]
        assert (clear if recent == 4 else 0) <= found <= true


def test_potentials_of_two_layers() -> None:
    """Of a model without norms: all inputs that are clearly right, if every prefix has a class of its own."""
    for seed in (1, 2, 4, 7):
        rng = np.random.default_rng(seed)
        model = draw_fitting(seed, n_layers=2, pad_token=-1, attention_dir="causal", normalization_type=None)
        automaton = in_order(model, rng)
        if np.any(automaton.reads[:, 1] <= automaton.reads[:, 0]):
            continue
        rows = every_input(automaton)
        leads = true_leads(model, automaton, rows).min(1)
        problem = problem_about(model, CPU, precision=64, automaton=automaton)
        found = prove(problem, Potentials(recent=4))[0].statement.correct  # type: ignore[union-attr]
        assert np.count_nonzero(leads > 1e-3) <= found <= np.count_nonzero(leads > -SURE)


def test_problems_that_do_not_fit() -> None:
    length, vocab = 3, 2
    automaton = Automaton.of(np.arange(length), np.zeros((1, 1, vocab), int), np.zeros(1, int))
    backwards = replace(automaton, order=np.array([1, 0, 2]))
    model = deep(0, n_layers=2, n_ctx=length, d_vocab=vocab)
    with pytest.raises(DoesNotFit, match="read the positions in their order"):
        prove(problem_about(model, CPU, automaton=backwards), Regions())
    with pytest.raises(DoesNotFit, match="recent is 1 or more"):
        prove(problem_about(model, CPU, automaton=automaton), Regions(recent=0))
    with pytest.raises(DoesNotFit, match="counted=0"):
        long = deep(0, n_layers=2, n_ctx=64, d_vocab=3)
        every = Automaton.of(np.arange(64), np.zeros((1, 1, 3), int), np.zeros(1, int))
        prove(problem_about(long, CPU, automaton=every), Regions(recent=8))
