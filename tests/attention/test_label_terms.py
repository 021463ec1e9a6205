"""The terms of the classification inequality, for tables drawn at random, against the definitions in ordinary arithmetic."""

from fractions import Fraction

import numpy as np
import oracle
import pytest
from test_enclosures import NEAR, numbers
from test_theorems import as_model

from checker.attention.label_terms import LabelGaps, LabelTerms, Scores, ValueLeads
from checker.attention.order_statistic import order_statistic
from checker.attention.rival_blocks import RivalBlocks
from checker.attention.tables import AdditiveTables
from checker.core.facts import Setting
from checker.core.meter import Budget, Meter
from checker.core.scaled_integers import ScaledArithmetic
from checker.decide import parse_task


@pytest.mark.parametrize("seed", range(24))
def test_the_terms_are_what_the_lemmas_say(seed: int) -> None:
    rng = np.random.default_rng(seed)
    vocab, n_ctx, outputs, joint, margin = (
        3,
        int(rng.integers(2, 5)),
        int(rng.integers(3, 6)),
        seed % 2 == 0,
        Fraction(seed % 3, 4),
    )
    shapes = {"score": (vocab, vocab), "place": (vocab, n_ctx), "direct": (vocab, outputs)}
    shapes |= {"value": (vocab, outputs), "shift": (n_ctx, outputs)}
    drawn = {name: rng.integers(-16, 17, shape) for name, shape in shapes.items()}
    score, place, direct, value, shift = (drawn[name] / 8 for name in shapes)

    tiny = oracle.pack({name: np.zeros(size) for name, size in oracle.shapes(vocab, n_ctx, 1, 1, outputs).items()}, "F32")
    model, meter = as_model(tiny), Meter(Budget())
    arithmetic = ScaledArithmetic(30, meter)
    task = parse_task({"name": "max-of-k"}, model.config, {}, meter)
    setting = Setting(model, task, arithmetic, meter, margin=margin)
    assert order_statistic(setting).n_ctx == n_ctx
    tables = AdditiveTables(*(arithmetic.exact(table, np.full_like(table, -3)) for table in drawn.values()), 0)

    rows = rng.integers(0, rng.integers(1, outputs + 1), (1 if seed % 3 else vocab, outputs))
    block = np.array([np.unique(row, return_inverse=True)[1] for row in rows])
    blocks, scores = RivalBlocks.of(block, vocab), Scores.of(tables)
    leads = ValueLeads.of(setting, tables, blocks, joint)
    assert np.allclose(numbers(scores.prefix_low), np.minimum.accumulate(score, axis=1), atol=NEAR)
    assert np.allclose(numbers(scores.prefix_high), np.maximum.accumulate(score, axis=1), atol=NEAR)
    common = (direct.max(axis=0) + direct.min(axis=0)) / 2
    for label in range(vocab):
        top = int(rng.integers(label + 1, vocab + 1))
        queries = np.flatnonzero(rng.random(top) < 0.7)
        terms = LabelTerms.of(setting, leads, scores, LabelGaps.of(leads, label, top), queries)
        worst = numbers(terms.worst(slice(0, top)))
        own = numbers(terms.own)
        of_label = block[label % len(block)]
        rivals = [np.setdiff1d(np.flatnonzero(of_label == number), [label]) for number in range(outputs)]
        rivals = [members for members in rivals if len(members)]
        for row, q in enumerate(queries):
            largest = max(score[q, :top].max() + place[q, :-1].max(), score[q, q] + place[q, -1])
            weights = np.exp(score[q, :top, None] + place[q] - largest)
            for b, members in enumerate(rivals):

                def lead(table: np.ndarray, members: np.ndarray = members, label: int = label) -> np.ndarray:
                    return np.asarray(table[..., label] - table[..., members].max(axis=-1))

                shifted = value[:top] + common
                of_token = lead(shifted[:, None] + shift) if joint else lead(shifted)[:, None] + lead(shift)
                gap = (
                    lead(direct[q] - common)
                    - float(margin)
                    + of_token.min(axis=1, where=np.arange(n_ctx) < n_ctx - 1, initial=9e9)
                )
                low, high = weights[:, :-1].min(axis=1), weights[:, :-1].max(axis=1)
                assert np.allclose(worst[row, :, b], np.minimum(low * gap, high * gap), atol=10 * NEAR)
                last = lead(direct[q] - common) - float(margin) + of_token[q, -1]
                assert abs(own[row, b] - weights[q, -1] * last) < 10 * NEAR
                for rival in members:  # what both are bounds for
                    ahead = direct[q, label] - direct[q, rival] - float(margin)
                    ahead = ahead + (value[:top, label] - value[:top, rival])[:, None] + shift[:, label] - shift[:, rival]
                    assert np.all((weights * ahead)[:, :-1] >= worst[row, :, b, None] - 10 * NEAR)
                    assert (weights * ahead)[q, -1] >= own[row, b] - 10 * NEAR
