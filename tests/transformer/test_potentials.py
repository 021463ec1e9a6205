"""Potentials for random automata and transformers of one layer and head, against an oracle that evaluates every input."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from test_regions import SMALL, SURE, WHOLE, draw_automaton, draw_hints, every_input, setting_for, true_leads
from transformer_models import draw_model, stored_weights

from certificates import AttentionOnly, Model, RawTensor, Step
from certificates.automaton import Automaton
from checker.core.errors import OverBudget, Refused
from checker.core.facts import Setting
from checker.transformer.finer import RightAtRead
from checker.transformer.potentials import potentials
from checker.transformer.regions import regions
from checker.transformer.transformer_forward import transformer_forward

Hints = dict[str, np.ndarray]


def one_head(seed: int, **fixed: Any) -> Model:
    """Every feature that the rule is about, by turns; after a last norm there are no biases."""
    attn_only = seed % 3 == 1
    norm = (None, "LN", "RMS", "LNPre", "RMSPre")[seed // 3 % 5] if attn_only else None
    sizes = {"n_layers": 1, "n_heads": 1, "n_key_value_heads": 1, "d_vocab": 2 + seed % 2, "n_ctx": 2 + seed % 3}
    kind = {
        "attn_only": attn_only,
        "normalization_type": norm,
        "act_fn": "relu",
        "gated_mlp": False,
        "d_mlp": 1 + seed // 2 % 3,
    }
    config = {**sizes, **kind, "d_vocab_out": sizes["d_vocab"] if seed % 4 == 1 else 2 + seed % 2, **fixed}
    model = draw_model(seed, size=(0.3, 0.6, 1.2)[seed % 3], **config)
    if norm is None:
        return model
    return replace(model, tensors={n: t for n, t in model.tensors.items() if n not in ("unembed.b_U", "ln_final.b")})


def reads_that_fit(model: Model, automaton: Automaton) -> list[int]:
    """Those that see nothing that is read later."""
    causal, order = model.config.attention_dir == "causal", automaton.order.tolist()
    return [
        read
        for read, (position, steps) in enumerate(automaton.reads.tolist())
        if all(place > position and causal for place in order[steps:])
    ]


def regions_of(hints: Hints, automaton: Automaton, read: int, rows: np.ndarray) -> np.ndarray:
    """The region of each input, or -1: by walking through the finer automaton."""
    asked = rows[:, automaton.reads[read, 0]].tolist()
    tables = np.split(hints["finer"], np.cumsum([len(hints["queries"]), *hints["sizes"][:-1]])[:-1])
    found = []
    for row, query in zip(rows.tolist(), asked, strict=True):
        state = hints["queries"].tolist().index(query) if query in hints["queries"] else -1
        for table, place in zip(tables, automaton.order.tolist(), strict=False):
            state = int(table[state, row[place]]) if state >= 0 else -1
        found.append(state)
    return np.array(found)


def with_claims(hints: Hints, pattern: np.ndarray, outputs: Sequence[int], slopes: np.ndarray) -> Hints:
    """Without numbers and multipliers."""
    units = slopes.shape[1]
    claims = {"pattern": pattern, "outputs": np.array(outputs), "slopes": slopes, "numbers": np.zeros(0)}
    kept = {name: hint for name, hint in hints.items() if name != "scale"}
    return {**kept, **claims, "inner": np.zeros((0, 0, 2 * units)), "outer": np.zeros((0, 0, 0))}


def numbered(hints: Hints, query_of: np.ndarray, rivals: int, rng: np.random.Generator, size: float) -> Hints:
    """With random numbers, and some multipliers for every family."""
    claimed = hints["pattern"] >= 0
    pairs = np.column_stack([query_of, hints["pattern"]])[claimed]
    families, pieces, units = len(np.unique(pairs, axis=0)), int(rng.integers(1, 4)), hints["inner"].shape[2]
    draw = [
        rng.normal(size=shape) * size * 2**24
        for shape in ((len(np.unique(pairs[:, 0])), pieces, units), (families, pieces, rivals))
    ]
    numbers = rng.integers(-3, 4, len(hints["finer"]) + len(hints["pattern"]))
    return {**hints, "numbers": numbers, "inner": np.rint(draw[0]), "outer": np.rint(draw[1])}


def draw_claims(model: Model, automaton: Automaton, read: int, rng: np.random.Generator, memory: int) -> Hints:
    """A finer automaton with random patterns, in half of the cases with numbers."""
    hints = draw_hints(automaton, read, rng, memory, 1, 0.05)
    rows = every_input(automaton)
    region = regions_of(hints, automaton, read, rows)
    true = automaton.outputs_of(rows)[:, read]
    position = automaton.reads[read, 0]
    own = [np.flatnonzero(region == number)[:1] for number in range(hints["sizes"][-1])]
    outputs, units = rng.permutation(np.repeat(np.arange(model.config.d_vocab_out), 4)), model.config.d_mlp
    slopes = rng.choice([0, 256, int(rng.integers(257))], (len(outputs), units))
    pattern, query_of = np.full(len(own), -1), np.zeros(len(own), int)
    for number, one in enumerate(own):
        if len(one) and rng.random() < 0.95:  # a region may have no input, if what was dropped leads to all
            pattern[number] = rng.choice(np.flatnonzero(outputs == true[one[0]]))
            query_of[number] = np.searchsorted(hints["queries"], rows[one[0], position])
    hints = with_claims(hints, pattern, outputs, slopes)
    hints["outer"] = np.zeros((0, 0, model.config.d_vocab_out - 1))
    if rng.random() < 0.5:
        return hints
    return numbered(hints, query_of, model.config.d_vocab_out - 1, rng, float(rng.choice([0, 0.1, 1])))


def step_of(read: int, hints: Hints) -> Step:
    tensors = {name: RawTensor.of_integers(np.asarray(hint, np.int64)) for name, hint in hints.items()}
    return Step("potentials", (0,), {"read": read}, tensors)


def applied(setting: Setting, read: int, hints: Hints) -> RightAtRead:
    return potentials(setting, step_of(read, hints), (transformer_forward(setting, Step("transformer-forward"), ()),))


@pytest.mark.parametrize("seed", range(80))
def test_what_is_proved_is_true(seed: int) -> None:
    """Of every kind of model and task; the margin is that by which some input leads."""
    rng, model = np.random.default_rng(seed), one_head(seed)
    automaton = draw_automaton(model, rng)
    rows = every_input(automaton)
    leads = true_leads(model, automaton, rows)
    positive = leads[leads > 0]
    with_margin = len(positive) and seed % 4 == 0 and model.config.normalization_type is None
    margin = Fraction(float(rng.choice(positive))).limit_denominator(10**6) if with_margin else Fraction(0)
    setting = setting_for(model, automaton, (30, 64)[seed % 2], margin)
    fitting = reads_that_fit(model, automaton)
    for read in range(len(automaton.reads)):
        for memory in (1, 3, 10**9):
            hints = draw_claims(model, automaton, read, rng, memory)
            if read not in fitting:
                with pytest.raises(Refused, match="all positions are read"):
                    applied(setting, read, hints)
                continue
            fact = applied(setting, read, hints)
            held = fact.covers(rows)
            assert fact.correct == np.count_nonzero(held)
            assert np.all(leads[held, read] > float(margin) - SURE)


def slopes_of(units: int) -> np.ndarray:
    return np.array(list(itertools.product([0, 256], repeat=units)), np.int64).reshape(2**units, units)


@pytest.mark.parametrize("seed", range(40))
def test_a_margin_decides_about_single_inputs(seed: int) -> None:
    """All sums of a region with one input are exact: with the right slopes, what it leads by is what is proved; never more."""
    rng, model = np.random.default_rng(seed), one_head(seed, normalization_type=None)
    while not reads_that_fit(model, automaton := draw_automaton(model, rng)):
        pass
    read = int(rng.choice(reads_that_fit(model, automaton)))
    rows = every_input(automaton)
    leads, hints = true_leads(model, automaton, rows)[:, read], draw_hints(automaton, read, rng, 10**9, 1)
    region, units = regions_of(hints, automaton, read, rows), model.config.d_mlp
    slopes = np.concatenate([slopes_of(units), rng.integers(1, 256, (4, units))])  # those of units that harm may be any
    inside, times = np.unique(region[region >= 0], return_counts=True)
    alone = np.isin(region, inside[times == 1]) & (leads > 1e-3)
    for row in rng.permutation(np.flatnonzero(alone))[:2].tolist():
        output = int(automaton.outputs_of(rows[row : row + 1])[0, read])
        pattern = np.full(int(hints["sizes"][-1]), -1)
        for share, expected in ((1 - 1e-6, True), (1 + 1e-6, False)):
            margin = Fraction(float(leads[row] * share))
            setting, proved = setting_for(model, automaton, 64, margin), []
            for number in range(len(slopes)):
                pattern[region[row]] = number
                claims = with_claims(hints, pattern, [output] * len(slopes), slopes)
                claims["outer"] = np.zeros((0, 0, model.config.d_vocab_out - 1))
                more = numbered(claims, np.zeros(len(pattern), int), model.config.d_vocab_out - 1, rng, 1.0)
                proved.append([applied(setting, read, hints).correct for hints in (claims, more)])
            assert np.all(np.max(proved, axis=0) == int(expected))
            assert all(hulls == multiplied for hulls, multiplied in proved)


@pytest.mark.parametrize("seed", range(30))
def test_a_margin_decides_about_families(seed: int) -> None:
    """With all inputs of one query and output in one region, what is proved is at most the least lead, by either way."""
    rng, model = np.random.default_rng(seed), one_head(seed, normalization_type=None)
    length, vocab = model.config.input_shape
    automaton = Automaton.of(np.arange(length), np.zeros((1, 1, vocab), np.int64), np.array([int(rng.integers(2))]))
    rows = every_input(automaton)
    leads, hints = true_leads(model, automaton, rows)[:, 0], draw_hints(automaton, 0, rng, 1, 1)
    query = int(rng.integers(len(hints["queries"])))
    least = leads[rows[:, -1] == hints["queries"][query]].min()
    if least < 1e-3:
        return
    slopes = slopes_of(model.config.d_mlp)
    pattern = np.where(np.arange(len(hints["queries"])) == query, 0, -1)
    for share in (0.25, 1 + 1e-6):
        setting = setting_for(model, automaton, 64, Fraction(float(least * share)))
        for one in slopes:
            claims = with_claims(hints, pattern, [int(automaton.outputs[0, 0])], one[None])
            claims["outer"] = np.zeros((0, 0, model.config.d_vocab_out - 1))
            more = numbered(claims, np.zeros(len(pattern), int), model.config.d_vocab_out - 1, rng, 0.3)
            for own in (claims, more):
                assert share < 1 or applied(setting, 0, own).correct == 0


@pytest.mark.parametrize("seed", range(25))
def test_spoiled_hints_are_refused_or_prove_what_is_true(seed: int) -> None:
    rng, model = np.random.default_rng(seed), one_head(seed)
    while not reads_that_fit(model, automaton := draw_automaton(model, rng)):
        pass
    rows = every_input(automaton)
    leads, refused = true_leads(model, automaton, rows), 0
    setting, read = setting_for(model, automaton), reads_that_fit(model, automaton)[0]
    hints = draw_claims(model, automaton, read, rng, 2)
    names = [*hints, "finer", "pattern", "outputs", "numbers", "inner", "outer"]
    for _ in range(30):
        name = str(rng.choice(names))
        array = hints[name].copy()
        kind = rng.integers(4)
        if kind == 0 and array.size:
            array.reshape(-1)[rng.integers(array.size)] += rng.choice([-3, -1, 1, 2, 2.0**40])
        elif kind == 1 and len(array):
            array = np.delete(array, rng.integers(len(array)), axis=0)
        elif kind == 2 and len(array):
            array = np.concatenate([array, array[rng.integers(len(array))][None]])
        elif len(array):
            array = array[rng.permutation(len(array))]
        try:
            fact = applied(setting, read, {**hints, name: array})
        except (Refused, OverBudget):
            refused += 1
            continue
        held = fact.covers(rows)
        assert fact.correct == np.count_nonzero(held) and np.all(leads[held, read] > -SURE)
    assert refused


def whole(model: Model, **change: Any) -> Hints:
    """Claims about all regions of WHOLE (see test_regions), with numbers: the sums so far."""
    units, rivals = model.config.d_mlp, model.config.d_vocab_out - 1
    hints = {**WHOLE, "pattern": [0, 1, 1, 0], "outputs": [0, 1], "slopes": np.zeros((2, units))}
    hints |= {
        "numbers": [0, 0, 0, 1, 1, 2, 0, 1, 1, 2],
        "inner": np.zeros((2, 1, 2 * units)),
        "outer": np.zeros((4, 1, rivals)),
    }
    return {name: np.array(hint, np.int64) for name, hint in {**hints, **change}.items() if name != "scale"}


def small_model(**fixed: Any) -> Model:
    sizes = {"n_layers": 1, "n_heads": 1, "n_key_value_heads": 1, "d_vocab": 2, "n_ctx": 2, "d_head": 3, "d_mlp": 2}
    kind = {"attention_dir": "bidirectional", "normalization_type": None, "gated_mlp": False, "act_fn": "relu"}
    return draw_model(0, **{**sizes, **kind, **fixed})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"numbers": [], "inner": np.zeros((0, 0, 4)), "outer": np.zeros((0, 0, 1))}, None),
        ({"pattern": [0, 1, 1]}, "every region has a pattern"),
        ({"pattern": [0, 1, 1, 2]}, "every region has a pattern"),
        ({"pattern": [0, 1, 1, -2]}, "every region has a pattern"),
        ({"pattern": [0, 0, 1, 0]}, "another output"),
        ({"outputs": [1, 1]}, "another output"),
        ({"outputs": [0, 2]}, "output of the model"),
        ({"outputs": [0, -1]}, "output of the model"),
        ({"outputs": [0, 1, 1]}, "output of the model"),
        ({"slopes": [[0, -1], [0, 0]]}, "slopes"),
        ({"slopes": [[0, 257], [0, 0]]}, "slopes"),
        ({"numbers": [0] * 9}, "has a number"),
        ({"numbers": [0] * 9 + [2**20 + 1]}, "has a number"),
        ({"numbers": [0] * 9 + [-(2**20) - 1]}, "has a number"),
        ({"inner": np.zeros((1, 1, 4))}, "2 families"),
        ({"inner": np.zeros((2, 0, 4))}, "at least one"),
        ({"inner": np.full((2, 1, 4), 2**40 + 1)}, "too large"),
        ({"outer": np.zeros((3, 1, 1))}, "4 families"),
        ({"outer": np.zeros((4, 0, 1))}, "at least one"),
        ({"outer": np.full((4, 1, 1), -(2**40) - 1)}, "too large"),
        ({"finer": [[0, 1], [2, 3], [0, -1], [1, -1], [-1, 2], [-1, 2]]}, "does not stand for"),
    ],
)
def test_claims_of_another_form_are_refused(change: dict[str, Any], reason: str | None) -> None:
    model = small_model()
    setting, hints = setting_for(model, SMALL), whole(model, **change)
    if reason is None:
        applied(setting, 0, hints)
        return
    with pytest.raises(Refused, match=reason):
        applied(setting, 0, hints)


def test_models_and_premises_that_do_not_fit_are_refused() -> None:
    model = small_model()
    setting, step = setting_for(model, SMALL), step_of(0, whole(model))
    forward = transformer_forward(setting, Step("transformer-forward"), ())
    own = potentials(setting, step, (forward,))
    for premises in ((), (forward, forward), (own,)):
        with pytest.raises(Refused, match="one premise"):
            potentials(setting, step, premises)
    with pytest.raises(Refused, match="no read"):
        potentials(setting, step_of(2, whole(model)), (forward,))
    others: list[dict[str, Any]] = [
        {"n_layers": 2},
        {"n_heads": 2},
        {"n_heads": 2, "n_key_value_heads": 2},
        {"act_fn": "gelu"},
        {"gated_mlp": True},
        {"normalization_type": "RMS"},
        {"normalization_type": "LNPre"},
    ]
    for other in others:
        unfit = small_model(**other)
        elsewhere = setting_for(unfit, SMALL)
        with pytest.raises(Refused, match="one layer and one head"):
            potentials(elsewhere, step, (transformer_forward(elsewhere, Step("transformer-forward"), ()),))
    normed = small_model(attn_only=True, normalization_type="RMS", d_mlp=None, act_fn=None)
    without = replace(normed, tensors={n: t for n, t in normed.tensors.items() if not n.startswith("unembed.b")})
    applied(setting_for(without, SMALL), 0, whole(without))
    bias = RawTensor("F32", (2,), np.zeros(2, "<f4").tobytes())
    with_bias = replace(without, tensors={**without.tensors, "unembed.b_U": bias})
    for place in (setting_for(with_bias, SMALL), setting_for(without, SMALL, margin=Fraction(1, 2**60))):
        with pytest.raises(Refused, match="after a last norm"):
            applied(place, 0, whole(without))
    tables = replace(setting, model=Model(AttentionOnly(2, 1, 1, 2, 2), {}, None))
    with pytest.raises(Refused, match="one layer and one head"):
        potentials(tables, step, (forward,))


def test_ties_are_not_proved() -> None:
    model = small_model(tie_word_embeddings=False, d_vocab_out=3)
    columns = np.array(stored_weights(model)["unembed.W_U"])
    columns[:, 2] = columns[:, 1]
    raw = RawTensor("F32", columns.shape, columns.astype("<f4").tobytes())
    model = replace(model, tensors={**{n: t for n, t in model.tensors.items() if n != "unembed.b_U"}, "unembed.W_U": raw})
    for output in (0, 1):
        automaton = Automaton.of(np.arange(2), np.array([[[0, 0]]]), np.array([output]))
        hints = {"queries": [0, 1], "sizes": [2, 2], "finer": [[0, 0], [1, 1], [0, -1], [-1, 1]]}
        for slopes in slopes_of(2):
            claims = with_claims({n: np.array(h) for n, h in hints.items()}, np.array([0, 0]), [output], slopes[None])
            claims["outer"] = np.zeros((0, 0, 2))
            if output == 1:
                assert applied(setting_for(model, automaton), 0, claims).correct == 0


def test_the_same_regions_are_proved_by_boxes_or_by_sums() -> None:
    """With single inputs, both rules prove the same: everything that clearly leads."""
    for seed in range(0, 12, 2):
        model, rng = (
            one_head(seed, attn_only=True, normalization_type=None, d_mlp=None, act_fn=None),
            np.random.default_rng(seed),
        )
        length, vocab = model.config.input_shape
        automaton = Automaton.of(np.arange(length), np.zeros((1, 1, vocab), np.int64), np.array([1]))
        hints, setting = draw_hints(automaton, 0, rng, 10**9, model.config.d_head), setting_for(model, automaton, 64)
        regional = {name: RawTensor.of_integers(np.asarray(hint, np.int64)) for name, hint in hints.items()}
        forward = transformer_forward(setting, Step("transformer-forward"), ())
        boxes = regions(setting, Step("regions", (0,), {"cuts": 0, "read": 0}, regional), (forward,))
        claims = with_claims(hints, np.zeros(int(hints["sizes"][-1]), int), [1], np.zeros((1, 0)))
        claims["outer"] = np.zeros((0, 0, model.config.d_vocab_out - 1))
        assert applied(setting, 0, claims).correct == boxes.correct
