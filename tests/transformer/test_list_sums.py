"""Sums over sorted lists, and the task itself, for random transformers, against an oracle that evaluates every input."""

import itertools
import math
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from test_regions import spoiled
from thorough import parts
from transformer_models import draw_model, stored_weights
from transformer_oracle import torch_logits

from certificates import AttentionOnly, FormatError, Model, RawTensor, Step, Transformer, integer_tensor
from checker.core.errors import OverBudget, Refused
from checker.core.facts import Setting
from checker.core.meter import Budget, Meter
from checker.core.scaled_integers import ScaledArithmetic
from checker.decide import parse_task
from checker.transformer.finer import RightAtRead
from checker.transformer.list_sums import Attended, Families, list_sums
from checker.transformer.sorted_lists import parse_sorted_lists
from checker.transformer.transformer_forward import transformer_forward
from prover.proving import problem_about
from prover.strategies.list_sums import ListSums

TASK = {"name": "sorted-lists"}
SURE = 1e-6
CHANGES = (-3, -2, -1, 1, 2, 2**20, -(2**24), 2**52)
"""By which a number in a hint may be spoiled."""
Hints = dict[str, np.ndarray]


def draw_fitting(seed: int, **fixed: Any) -> Model:
    """Every feature that the rule is about, by turns: lists of 1 to 3 of 2 to 5 numbers."""
    heads, groups = ((1, 1), (2, 2), (3, 3), (2, 1), (4, 2))[seed % 5]
    length = 1 + seed % 3
    tokens = length + 2 + seed // 3 % 2
    config = {
        "n_layers": 1,
        "n_heads": heads,
        "n_key_value_heads": groups,
        "n_ctx": 2 * length + 1,
        "d_vocab": tokens,
        "d_vocab_out": tokens if seed % 4 == 1 else tokens - 1 + seed % 2,
        "attn_only": True,
        "attention_dir": "causal",
        "pad_token": -1,
        **fixed,
    }
    model = draw_model(seed, size=(0.3, 0.6, 1.2)[seed % 3], **config)
    if seed // 2 % 2:
        return replace(model, task=TASK)
    kept = {name: tensor for name, tensor in model.tensors.items() if name not in ("unembed.b_U", "ln_final.b")}
    return replace(model, tensors=kept, task=TASK)


def every_input(model: Model) -> np.ndarray:
    """All sequences that the task is about, list by list."""
    length, tokens = model.config.n_ctx // 2, model.config.d_vocab
    lists = itertools.permutations(range(tokens - 1), length)
    return np.array([[*one, tokens - 1, *sorted(one)] for one in lists])


def true_leads(model: Model, rows: np.ndarray) -> np.ndarray:
    """By how much the next token leads at each read, "n r"."""
    length = model.config.n_ctx // 2
    logits = torch_logits(vars(model.config), stored_weights(model), rows).numpy()[:, length : 2 * length]
    own = rows[:, length + 1 :, None]
    others = logits.copy()
    np.put_along_axis(others, own, -np.inf, 2)
    return np.take_along_axis(logits, own, 2)[..., 0] - others.max(2)


def setting_for(model: Model, precision: int = 30, margin: Fraction = Fraction(0), operations: int = 10**11) -> Setting:
    meter = Meter(Budget(operations=operations))
    task = parse_sorted_lists(TASK, model.config, {}, meter)
    return Setting(model, task, ScaledArithmetic(precision, meter), meter, margin=margin)


def established(setting: Setting, read: int, hints: Hints) -> RightAtRead:
    step = Step("list-sums", (0,), {"read": read}, {name: integer_tensor(hint) for name, hint in hints.items()})
    return list_sums(setting, step, (transformer_forward(setting, Step("transformer-forward"), ()),))


def families_of(length: int, numbers: int, read: int) -> list[tuple[int, int]]:
    """Queries and what may come next, from all sets of numbers."""
    sets = itertools.combinations(range(numbers), length)
    return sorted({(one[read - 1] if read else numbers, one[read]) for one in sets})


def drawn_hints(model: Model, read: int, rng: np.random.Generator, bins: int = 2) -> Hints:
    """Ratios that rise, and anything for what enforces them."""
    config, length = model.config, model.config.n_ctx // 2
    families, others = families_of(length, config.d_vocab - 1, read), config.n_heads - 1
    ratios = np.sort(np.exp(rng.normal(size=(len(families), others, bins + 1)) * 2), axis=2)
    ratios[..., 0], ratios[..., -1] = ratios[..., 0] / 100, ratios[..., -1] * 100
    enforced = rng.normal(size=(len(families), bins**others, config.d_vocab_out - 1, others))
    return {
        "families": np.array(families).reshape(-1, 2),
        "groups": rng.integers(0, length, length),
        "ratios": np.rint(ratios.clip(max=2**15) * 2**24).astype(np.int64),
        "enforced": np.rint(enforced * 2**24).astype(np.int64),
    }


def found_hints(model: Model, read: int, **switches: int) -> Hints:
    """What the search finds."""
    with torch.no_grad():
        step = ListSums(**switches)._step(problem_about(model, torch.device("cpu")), read)
    return {name: tensor.integers() for name, tensor in step.hints.items()}


def check_truth(model: Model, read: int, fact: RightAtRead, margin: float = 0.0) -> np.ndarray:
    """What is covered is right, and is what is counted."""
    rows = every_input(model)
    covered = fact.covers(rows)
    assert fact.correct == np.count_nonzero(covered)
    assert np.all(true_leads(model, rows)[covered, read] > margin - SURE)
    return covered


@pytest.mark.parametrize("seed", parts(60))
def test_what_is_found_is_true(seed: int) -> None:
    model = draw_fitting(seed)
    for read in range(model.config.n_ctx // 2):
        for switches in ({"bins": 1, "together": 1}, {"bins": 2}) if seed % 5 != 4 else ({"bins": 1},):
            check_truth(model, read, established(setting_for(model), read, found_hints(model, read, **switches)))


@pytest.mark.parametrize("seed", parts(60))
def test_anything_in_hints_proves_what_is_true(seed: int) -> None:
    model, rng = draw_fitting(seed, n_heads=2, n_key_value_heads=1 + seed % 2), np.random.default_rng(seed)
    setting = setting_for(model)
    for _ in range(4):
        read = int(rng.integers(model.config.n_ctx // 2))
        check_truth(model, read, established(setting, read, drawn_hints(model, read, rng, int(rng.integers(1, 4)))))


@pytest.mark.parametrize("seed", parts(40))
def test_spoiled_hints_are_refused_or_prove_what_is_true(seed: int) -> None:
    model, rng = draw_fitting(seed), np.random.default_rng(seed)
    setting, read = setting_for(model), int(rng.integers(model.config.n_ctx // 2))
    hints = found_hints(model, read, bins=1 + int(rng.integers(2))) if seed % 5 != 4 else found_hints(model, read, bins=1)
    for _ in range(12):
        try:
            fact = established(setting, read, spoiled(hints, rng, sorted(hints), CHANGES))
        except Refused:
            continue
        check_truth(model, read, fact)


@pytest.mark.parametrize("seed", parts(30))
def test_one_head_without_positions_is_exact(seed: int) -> None:
    """Whatever stands where in the list is then alike, so a family is proved exactly if all of its inputs are right."""
    norm = ("RMSPre", "LNPre", None)[seed % 3]
    model = draw_fitting(
        seed,
        n_heads=1,
        n_key_value_heads=1,
        positional_embedding_type="none",
        normalization_type=norm,
        tie_word_embeddings=False,
    )
    if norm is not None:
        kept = {name: tensor for name, tensor in model.tensors.items() if name not in ("unembed.b_U", "ln_final.b")}
        model = replace(model, tensors=kept)
    rows, length = every_input(model), model.config.n_ctx // 2
    leads = true_leads(model, rows)
    for read in range(length):
        fact = established(setting_for(model), read, found_hints(model, read))
        pairs = rows[:, length + read] * model.config.d_vocab + rows[:, length + 1 + read]
        right = {pair: leads[pairs == pair, read].min() for pair in np.unique(pairs).tolist()}
        covered = fact.covers(rows)
        for pair, least in right.items():
            if abs(least) > SURE:
                assert covered[pairs == pair].all() == covered[pairs == pair].any() == (least > 0)


def test_ties_prove_nothing() -> None:
    model = draw_fitting(7, n_heads=2, n_key_value_heads=2)
    for name in ("unembed.W_U", "unembed.b_U", "ln_final.b"):
        if name in model.tensors:
            alike = np.zeros(model.tensors[name].shape, "<f4")
            model = replace(model, tensors={**model.tensors, name: RawTensor("F32", alike.shape, alike.tobytes())})
    for read in range(model.config.n_ctx // 2):
        assert established(setting_for(model), read, found_hints(model, read)).correct == 0


@pytest.mark.parametrize("seed", parts(24))
@pytest.mark.parametrize("size", [1e-30, 12.0])
def test_extreme_weights(seed: int, size: float) -> None:
    model, grown = draw_fitting(seed), dict[str, RawTensor]()
    for name, tensor in model.tensors.items():
        weight = stored_weights(model)[name] * (size if ".W_" in name else 1)
        grown[name] = RawTensor("F64", tensor.shape, weight.astype("<f8").tobytes())
    model = replace(model, tensors=grown)
    for read in range(model.config.n_ctx // 2):
        try:
            fact = established(setting_for(model), read, drawn_hints(model, read, np.random.default_rng(seed), 1))
        except Refused:  # scores beyond what exponentials are taken of
            continue
        check_truth(model, read, fact)


@pytest.mark.parametrize("seed", parts(16))
def test_margins_count(seed: int) -> None:
    model, margin = draw_fitting(seed), Fraction(1, 8)
    read = seed % (model.config.n_ctx // 2)
    hints = found_hints(model, read, bins=1)
    fact = established(setting_for(model, margin=margin), read, hints)
    check_truth(model, read, fact, float(margin))
    assert fact.correct <= established(setting_for(model), read, hints).correct


@pytest.mark.parametrize("seed", parts(12))
def test_more_precision_proves_no_less(seed: int) -> None:
    model = draw_fitting(seed)
    read = seed % (model.config.n_ctx // 2)
    hints = found_hints(model, read, bins=1)
    usual, fine = (established(setting_for(model, precision), read, hints).correct for precision in (30, 60))
    assert fine >= usual


def test_boxes_without_a_ratio_are_left_out_and_gaps_are_not() -> None:
    """Whether edges fall or meet: every ratio between the first and the last one is in a box that is looked at."""
    model = draw_fitting(1, n_heads=2, n_key_value_heads=2)
    for read in range(model.config.n_ctx // 2):
        hints = found_hints(model, read, bins=1)
        low, high = hints["ratios"][..., :1], hints["ratios"][..., -1:]
        whole = established(setting_for(model), read, hints)
        for edges in ([low, high, high], [low, low, high], [low, high, low, high], [low, high + 5, high]):
            boxes = len(edges) - 1
            more = {"ratios": np.concatenate(edges, axis=2), "enforced": np.repeat(hints["enforced"], boxes, axis=1)}
            check_truth(model, read, fact := established(setting_for(model), read, {**hints, **more}))
            assert fact.correct == whole.correct or len(edges) > 2
        first = {"ratios": np.concatenate([low, low, high], axis=2), "enforced": hints["enforced"].repeat(2, axis=1)}
        first["enforced"][:, 0] = 2**40  # of a box without a ratio
        assert established(setting_for(model), read, {**hints, **first}).correct == whole.correct
        nothing = {"ratios": np.concatenate([high, high], axis=2)}
        assert established(setting_for(model), read, {**hints, **nothing}).correct == 0


@pytest.mark.parametrize("seed", parts(120))
def test_sums_are_the_least_of_all_lists(seed: int) -> None:
    """Against the sum for each set of numbers, with terms that are integers: positive exactly if all are."""
    rng, length = np.random.default_rng(seed), 1 + seed % 4
    number, numbers = int(rng.integers(length)), length + 1 + seed // 4 % 4
    setting = setting_for(draw_fitting(0))
    families = families_of(length, numbers, number)
    target = families[int(rng.integers(len(families)))][1]
    query = np.array([one for one, other in families if other == target])
    widths = [numbers] * 2 + [1] + [numbers] * (number - 1) + [1] * bool(number)
    drawn = [rng.integers(-9, 10, (len(query), width)) for width in widths]
    listed, after = np.minimum(*drawn[:2]), drawn[2:]
    for f, one in enumerate(query):
        sums = [
            listed[f, [*below, *([one] * bool(number)), target, *above]].sum()
            + sum(after[1 + i][f, x] for i, x in enumerate(below))
            + (after[number][f, 0] if number else 0)
            for below in itertools.combinations(range(one), max(number - 1, 0))
            for above in itertools.combinations(range(target + 1, numbers), length - number - 1)
        ]
        after[0][f] = f % 2 - min(sums)
    places = [Attended([setting.arithmetic.exact(table, np.zeros(table.shape, np.int64))], []) for table in drawn]
    lists: Any = SimpleNamespace(number=number, groups=np.arange(length))
    none = setting.arithmetic.exact(np.zeros((1, 1, 1), np.int64), np.zeros((1, 1, 1), np.int64))
    every = Families(lists, target, query, none, places[:2], places[2:])
    found = every._positive(lambda place: place.weights[0].reshape(len(query), -1, 1))
    assert np.array_equal(found, np.arange(len(query)) % 2 == 1)


@pytest.mark.parametrize("seed", range(0, 12, 2))
def test_whatever_enforces_ratios_proves_what_is_true(seed: int) -> None:
    model, rng = draw_fitting(seed, n_heads=2, n_key_value_heads=2), np.random.default_rng(seed)
    for read in range(model.config.n_ctx // 2):
        hints = drawn_hints(model, read, rng, bins=1)
        for size in (-(2**40), 2**40):
            check_truth(model, read, established(setting_for(model), read, {**hints, "enforced": 0 * hints["enforced"] + size}))


def test_what_is_no_input_is_not_covered() -> None:
    for seed in (0, 1, 6, 7):
        model = draw_fitting(seed)
        every = np.array(list(itertools.product(range(model.config.d_vocab), repeat=model.config.n_ctx)))
        inputs = set(map(tuple, every_input(model).tolist()))
        for read in range(model.config.n_ctx // 2):
            fact = established(setting_for(model), read, found_hints(model, read, bins=1))
            assert {tuple(row) for row in every[fact.covers(every)].tolist()} <= inputs


def test_what_is_refused() -> None:
    model = draw_fitting(1, n_heads=2, n_key_value_heads=2)
    read, setting = 1, setting_for(model)
    hints = found_hints(model, read, bins=1)
    count, last = len(hints["families"]), model.config.d_vocab - 1
    wrong: list[Hints] = [
        {"families": hints["families"][::-1].copy()},
        {"families": np.repeat(hints["families"][:1], count, axis=0)},
        *(
            {"families": np.concatenate([hints["families"][:-1], [pair]])}
            for pair in ((last, 1), (2, 2), (3, last), (2, 2**61))
        ),
        {"families": np.concatenate([[[-1, 1]], hints["families"][1:]])},
        {"groups": hints["groups"] - 1},
        {"groups": hints["groups"] + len(hints["groups"])},
        {"ratios": hints["ratios"][..., :1]},
        {"ratios": hints["ratios"][..., :1], "enforced": hints["enforced"][:, :0]},
        {"ratios": hints["ratios"][1:]},
        {"ratios": hints["ratios"] + 2**53},
        {"enforced": hints["enforced"][1:]},
        {"enforced": hints["enforced"] - 2**53},
        {"enforced": np.repeat(hints["enforced"], 2, axis=1)},
        {"ratios": np.repeat(hints["ratios"], 40, axis=2), "enforced": np.repeat(hints["enforced"], 79, axis=1)},
    ]
    for change in wrong:
        with pytest.raises(Refused):
            established(setting, read, {**hints, **change})
    for number in (-1, model.config.n_ctx // 2):
        with pytest.raises(Refused, match="no read"):
            established(setting, number, hints)
    with pytest.raises(OverBudget):
        established(setting_for(model, operations=1000), read, hints)
    for change in ({"attention_dir": "bidirectional"}, {"pad_token": 0}, {"attn_only": False}, {"n_layers": 2}, {"n_heads": 8}):
        other = draw_fitting(1, **{"n_heads": 2, "n_key_value_heads": 2, **change})
        with pytest.raises(Refused, match="sorted lists"):
            established(setting_for(other), read, hints)


def test_no_families_prove_nothing() -> None:
    model = draw_fitting(3)
    none = {name: hint[:0] for name, hint in drawn_hints(model, 0, np.random.default_rng(0)).items()}
    none["groups"] = np.zeros(model.config.n_ctx // 2, np.int64)
    assert established(setting_for(model), 0, none).correct == 0


@pytest.mark.parametrize(("length", "tokens"), [(1, 2), (1, 4), (2, 4), (3, 4), (3, 5)])
def test_the_task(length: int, tokens: int) -> None:
    config = replace(draw_fitting(0).config, n_ctx=2 * length + 1, d_vocab=tokens, d_vocab_out=max(2, tokens - 1))
    task = parse_sorted_lists(TASK, config, {}, Meter(Budget()))
    every = np.array(list(itertools.product(range(tokens), repeat=2 * length + 1)))
    outputs = task.outputs_of(every)
    inputs = {tuple(row) for row in every[outputs[:, 0] >= 0].tolist()}
    lists = itertools.permutations(range(tokens - 1), length)
    assert inputs == {(*one, tokens - 1, *sorted(one)) for one in lists}
    assert len(inputs) == task.total == math.perm(tokens - 1, length)
    assert np.all((outputs >= 0).all(axis=1) == (outputs >= 0).any(axis=1))
    assert np.all((outputs == every[:, length + 1 :]).all(axis=1) == (outputs[:, 0] >= 0))
    assert task.reads == tuple(range(length, 2 * length))


def test_models_that_the_task_does_not_fit() -> None:
    config = draw_fitting(0).config
    assert isinstance(config, Transformer)
    for change in ({"n_ctx": 4}, {"n_ctx": 2 * config.d_vocab + 1}, {"d_vocab_out": config.d_vocab - 2}):
        with pytest.raises(FormatError, match="sorted-lists"):
            parse_sorted_lists(TASK, replace(config, **change), {}, Meter(Budget()))
    with pytest.raises(FormatError, match="needs none"):
        parse_sorted_lists(TASK, config, {"table": integer_tensor(np.zeros((1, 1), np.int64))}, Meter(Budget()))
    plain = AttentionOnly(d_model=2, d_head=2, d_vocab=4, d_vocab_out=4, n_ctx=5)
    with pytest.raises(FormatError, match="for the architecture"):
        parse_task(TASK, plain, {}, Meter(Budget()))
    for task in ({**TASK, "n": 3}, "sorted-lists", ["sorted-lists"], {"name": ["sorted-lists"]}):
        with pytest.raises(FormatError, match="unknown"):
            parse_task(task, config, {}, Meter(Budget()))
