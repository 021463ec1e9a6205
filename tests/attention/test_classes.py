"""Classes of the rules about chains: what they cost in memory and time, and hints at the edge of what they may be."""

import json
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import oracle
import pytest
import torch
from test_attacks import random_model
from test_theorems import as_model

import certificates
from certificates import AttentionOnly, Model, RawTensor, Step, integer_tensor
from checker import verify
from checker.attention import cell_classes
from checker.attention import group_chains as of_groups
from checker.attention import low_rank_chains as of_ranks
from checker.attention import prefix_chains as of_prefixes
from checker.attention.additive_tables import additive_tables
from checker.attention.cell_classes import Cells
from checker.attention.classes import fitting_tuples
from checker.core.errors import OverBudget
from checker.core.facts import CertifiedInputs, Setting
from checker.core.meter import Budget, Meter
from checker.core.scaled_integers import ScaledArithmetic, ScaledIntegers
from checker.decide import check_proof, parse_task
from prover.attention.sequence_problem import SequenceProblem
from prover.proving import prove
from prover.strategies.classes import Classes
from prover.strategies.prefix_chains import Pessimized, Thresholds
from prover.strategy import DoesNotFit


class Recorder(Meter):
    """Remembers the most memory that was announced."""

    most = 0

    def allocate(self, size: int) -> None:
        self.most = max(self.most, self.held + size)
        super().allocate(size)


def setting_for(model: Model, task: Any, budget: Budget | None = None) -> Setting:
    meter = Recorder(budget or Budget())
    return Setting(model, parse_task(task, model.config, {}, meter), ScaledArithmetic(30, meter), meter)


def nothing_to_check(*arguments: object) -> None:
    """In the place of the inequality."""


def prefix_step(vocab: int, n_ctx: int) -> Step:
    """Every class that there can be, with sizes that all differ."""
    rng = np.random.default_rng(0)
    query, label, copies = np.ogrid[:vocab, :vocab, :n_ctx]
    possible = ((query < label) & (copies > 0)) | ((query == label) & (label > 0))
    sizes = np.sort(1 + rng.integers(0, 2**30, (vocab, vocab, n_ctx, 4)) % np.maximum(label, 1)[..., None], axis=3)
    free = n_ctx - 1 - np.arange(n_ctx)
    numbers = np.stack([free - 3 * (free // 4), *[free // 4] * 3], axis=1)
    hints = {"rivals": np.zeros((1, vocab)), "numbers": numbers, "size": np.where(possible[..., None], sizes, -1)}
    stored = {name: integer_tensor(hint.astype(np.int64)) for name, hint in hints.items()}
    return Step("prefix-chains", (0,), {"joint": 0}, stored)


def group_step(vocab: int, n_ctx: int, groupings: int) -> Step:
    """Every class of the second largest token that there can be, with random groupings."""
    rng = np.random.default_rng(0)
    levels = rng.integers(1, 5, (groupings, vocab))
    levels[:, [0, 1, -2, -1]] = 1
    query, label, copies, above = np.ogrid[:vocab, :vocab, :n_ctx, :2]
    larger = above + (query > label)
    possible = (larger < 2) & (larger + copies + (query == label) >= 2) & (copies + above <= n_ctx - 1)
    possible &= (label > 0) & (label < vocab - 1)
    patterns = {(c, a): i for i, (c, a) in enumerate((c, a) for c in range(n_ctx) for a in range(2) if c + a < n_ctx)}
    numbers = np.zeros((groupings, 2, 4), np.int64)
    kind = np.full(possible.shape, -1)
    for (c, a), i in patterns.items():
        rows = np.arange(i, groupings, len(patterns))
        numbers[rows, 0, 1] = (n_ctx - 1 - c - a) // 2
        numbers[rows, 0, 0] = n_ctx - 1 - c - a - (n_ctx - 1 - c - a) // 2
        numbers[rows, 1, 0] = a
        kind[:, :, c, a] = np.where(possible[:, :, c, a], rows[rng.integers(0, len(rows), (vocab, vocab))], -1)
    hints = {"rivals": np.zeros((1, vocab)), "levels": levels, "numbers": numbers, "grouping": kind}
    stored = {name: integer_tensor(hint.astype(np.int64)) for name, hint in hints.items()}
    return Step("group-chains", (0,), {"joint": 0}, stored)


def peak_and_announced(setting: Setting, compute: Callable[[], object]) -> tuple[int, int]:
    tracemalloc.start()
    try:
        compute()
        return tracemalloc.get_traced_memory()[1], setting.meter.most  # type: ignore[attr-defined]
    finally:
        tracemalloc.stop()


CASES = {
    "prefix-chains": (of_prefixes, of_prefixes.prefix_chains, {"name": "max-of-k"}, lambda: prefix_step(96, 12)),
    "group-chains": (of_groups, of_groups.group_chains, {"name": "nth-max-of-k", "n": 2}, lambda: group_step(64, 8, 3000)),
}


def test_the_keys_and_sizes_of_classes_are_held() -> None:
    """Those of each class, and its numbers."""
    setting = setting_for(random_model(8, 4), {"name": "max-of-k"})
    claimed = prefix_step(8, 4).hints["size"].integers()[:, :, :, :1] >= 0
    before = setting.meter.held
    cells = Cells.claimed(setting, claimed, 12)
    keys = (cells.query, cells.label, cells.copies, cells.above)
    assert setting.meter.held - before >= sum(key.nbytes for key in keys) + 12 * 8 * len(cells.label) > 0


@pytest.mark.parametrize("name", CASES)
def test_classes_take_no_more_memory_than_was_announced(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not half of it either: what is announced is what a file can be refused for."""
    module, rule, task, step = CASES[name]
    monkeypatch.setattr(module, "require_correct", nothing_to_check)
    claimed = step()
    vocab, _, n_ctx, *_ = claimed.hints["size" if name == "prefix-chains" else "grouping"].shape
    setting = setting_for(random_model(vocab, n_ctx), task)
    tables = additive_tables(setting, Step("additive-tables"), ())
    peak, announced = peak_and_announced(setting, lambda: rule(setting, claimed, (tables,)))
    assert announced / 3 < peak < announced
    small = setting_for(random_model(vocab, n_ctx), task, Budget(memory=announced // 2))
    with pytest.raises(OverBudget):
        rule(small, claimed, (additive_tables(small, Step("additive-tables"), ()),))


def test_classes_of_low_rank_chains_take_no_more_memory_than_was_announced() -> None:
    vocab, n_ctx, bands, profiles, levels = 64, 8, 8, 5, 3
    rng = np.random.default_rng(0)
    band = np.arange(vocab) % bands
    own = np.sort(rng.integers(0, 2**30, (vocab, bands, profiles)) % (np.arange(vocab)[:, None, None] + 1), axis=2)
    sizes = np.sort(
        1
        + rng.integers(0, 2**30, (vocab, bands, profiles + 1, n_ctx, levels))
        % np.maximum(np.arange(vocab), 1).reshape(-1, 1, 1, 1, 1),
        axis=4,
    )
    sizes[:, :, :profiles, 0] = sizes[0] = -1
    for m in range(vocab):
        sizes[m, np.arange(bands) != band[m], profiles] = -1
    free = n_ctx - 1 - np.arange(n_ctx)
    numbers = np.stack([free - 2 * (free // 3), free // 3, free // 3], axis=1)
    hints = {"numbers": numbers, "band": band, "own": own, "size": sizes}
    config = AttentionOnly(1, 1, vocab, vocab, n_ctx)
    setting = setting_for(Model(config, {}, None), {"name": "max-of-k"})

    def count() -> CertifiedInputs:
        claims = of_ranks.Claims.of(of_ranks.order_statistic(setting), hints, setting.meter)
        return claims.certified(setting, 0)

    peak, announced = peak_and_announced(setting, count)
    assert announced / 3 < peak < announced


def test_whether_an_input_may_have_been_counted_is_looked_up_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many classes there are."""
    monkeypatch.setattr(of_groups, "require_correct", nothing_to_check)
    setting = setting_for(random_model(64, 8), {"name": "nth-max-of-k", "n": 2})
    tables = additive_tables(setting, Step("additive-tables"), ())
    fact = of_groups.group_chains(setting, group_step(64, 8, 3000), (tables,))
    began = time.process_time()
    for row in np.random.default_rng(0).integers(0, 64, (1000, 8)):
        fact.may_count(row[None])
    assert time.process_time() - began < 5


@pytest.mark.parametrize("place", ["largest", "smallest", "middle"])
def test_exp_sees_no_positive_numbers_but_for_rounding(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The query's own score is among those that scores are relative to; for half of the models it is far above the others."""
    seen = []

    def recorded(
        scores: ScaledIntegers, exp: Callable[[ScaledIntegers], ScaledIntegers] = ScaledIntegers.exp
    ) -> ScaledIntegers:
        if scores.hi.size:
            seen.append((int(scores.hi.max()), scores.shift, scores.bound))
        return exp(scores)

    monkeypatch.setattr(ScaledIntegers, "exp", recorded)
    for seed in range(30):
        tiny = oracle.random_model(seed, ("tilted", "edge", "maximum", "integers"), largest=130, place=place)
        weights = {name: np.array([float(x) for x in tiny.numbers(name)]).reshape(tiny.shapes[name]) for name in tiny.tensors}
        if seed % 2:
            weights["pos_embed.W_pos"][-1] *= 8.0
        problem = SequenceProblem(as_model(oracle.pack(weights, "F64", rank=tiny.rank)), torch.device("cpu"))
        for strategy in (Pessimized(), Thresholds(), Classes()):
            try:
                certificate, _ = prove(problem, strategy)
            except DoesNotFit:
                continue
            check_proof(certificate, problem.model)
    assert len(seen) > 200
    for top, shift, bound in seen:
        assert top <= (bound >> 24) + (1 << max(shift - 20, 0)), (top, shift, bound)


def test_blocks_of_single_queries_change_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """The golden certificates of classes, looked at query by query."""
    monkeypatch.setattr(cell_classes, "_BLOCK", 1)
    folder = Path(certificates.__file__).parent / "golden"
    cases = [case for case in json.loads((folder / "verdicts.json").read_text()) if "-chains" in case["certificate"]]
    for case in cases:
        verdict = verify(folder / case["certificate"], folder / case["model"])
        assert verdict.exit_code == case["exit_code"], case
        assert not verdict.accepted or str(verdict.correct) == str(case["correct"])
    assert len(cases) > 80


def test_minima_of_prefixes_are_at_most_the_terms_of_all_their_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """In models where scores depend on positions as much as on tokens, and most terms are negative."""
    compared = []

    def compare(cells: Any, classes: Any, terms: Any, part: np.ndarray, least: Any) -> None:
        worst = terms.worst(slice(0, max(terms.gaps.label, 1)))
        for level in range(classes.sizes.shape[2]):
            which = part[classes.numbers.table[classes.row[part], 0, level] > 0]
            if not len(which):
                continue
            found, row = least(which, 0, level), terms.rows(cells.query[which])
            for i, (size, q) in enumerate(zip(classes.sizes[which, 0, level], row, strict=True)):
                all_terms = np.ldexp(worst.hi[q, :size].astype(float), -worst.shift).min(axis=0)
                bound = np.ldexp(found.lo[i].astype(float), -found.shift)
                assert np.all(bound <= all_terms + 1e-6 * (1 + np.abs(all_terms)))
                compared.append(bool((bound < 0).any()))

    monkeypatch.setattr(cell_classes, "_check", compare)
    for scale in (1, 4):
        model = random_model(6, 4, d_model=3)
        weights = {
            name: RawTensor(t.dtype, t.shape, (scale * np.frombuffer(t.data, "<f2")).tobytes())
            for name, t in model.tensors.items()
        }
        setting = setting_for(Model(model.config, weights, None), {"name": "max-of-k"})
        tables = additive_tables(setting, Step("additive-tables"), ())
        of_prefixes.prefix_chains(setting, prefix_step(6, 4), (tables,))
    assert sum(compared) > 50


def test_counting_tuples_announces_the_time_that_it_takes() -> None:
    """A step on Python integers for every row of sizes."""
    meter = Meter(Budget())
    fitting_tuples(meter, np.full((1000, 3), [3, 5, 9]), [4, 4, 4])
    assert meter.effort > 10**7
