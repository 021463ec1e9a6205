"""Padding: attention does not look at it, whatever it would say; where there is nothing else, heads read zero."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
import torch
from test_forward import all_inputs, bounds, setting_of
from test_potentials import applied as by_potentials
from test_potentials import draw_claims, draw_fitting, reads_that_fit
from test_regions import applied, draw_automaton, draw_hints, every_input, setting_for, true_leads, width
from thorough import parts
from transformer_models import draw_model, stored_weights
from transformer_oracle import exact_logits, torch_logits

from certificates import Model, RawTensor, write_certificate, write_model
from checker import verify
from prover.known_tasks import balanced_brackets
from prover.proving import problem_about, prove
from prover.strategies.potentials import Potentials
from prover.strategies.regions import Regions
from prover.transformer.forward import transformer_logits
from prover.weights import load_weights

CPU = torch.device("cpu")
SURE = 1e-9


def loud(model: Model, factor: float) -> Model:
    """The same with an embedding of the padding token so many times as large: its score could drown all others."""
    embedding = stored_weights(model)["embed.W_E"].copy()
    embedding[model.config.pad_token] *= factor
    raw = RawTensor("F64", embedding.shape, embedding.astype("<f8").tobytes())
    return replace(model, tensors={**model.tensors, "embed.W_E": raw})


def padded(seed: int, **fixed: Any) -> Model:
    kind = ("standard", "rotary", "alibi", "none")[seed % 4]
    rotary = {"d_head": 4, "rotary_dim": 4} if kind == "rotary" else {"rotary_dim": 2}
    direction = ("causal", "bidirectional")[seed // 4 % 2]
    sizes = {"positional_embedding_type": kind, "attention_dir": direction, "pad_token": seed % 2, "tie_word_embeddings": False}
    model = loud(draw_model(seed, **{**sizes, **rotary, **fixed}), (1.0, 5.0, 300.0)[seed % 3])
    if seed % 8 == 2:  # so steep that whatever is next to a query drowns all that is further away
        steep = np.full(model.config.n_heads, 90.0)
        raw = {n: RawTensor("F64", steep.shape, steep.astype("<f8").tobytes()) for n in model.tensors if n.endswith("slopes")}
        model = replace(model, tensors={**model.tensors, **raw})
    return model


@pytest.mark.parametrize("seed", parts(48))
@pytest.mark.parametrize("precision", [30, 64])
def test_forward_passes_enclose_the_oracle(seed: int, precision: int) -> None:
    """Of all inputs, those of padding only among them, of one or two layers; and the search computes the same."""
    model = padded(seed, d_vocab=2 + seed % 2, n_ctx=2 + seed // 2 % 2, normalization_type=(None, "RMSPre")[seed // 3 % 2])
    inputs, config = all_inputs(model), vars(model.config)
    low, high = bounds(setting_of(model, precision), inputs)
    every = torch_logits(config, stored_weights(model), inputs)
    assert torch.allclose(transformer_logits(model.config, load_weights(model, CPU), torch.as_tensor(inputs)), every, atol=1e-9)
    only = np.flatnonzero(np.all(inputs == model.config.pad_token, axis=1))
    for row in [*only, *np.random.default_rng(seed).choice(len(inputs), 2)]:
        exact = exact_logits(config, stored_weights(model), inputs[row].tolist())
        with mpmath.workdps(60):
            for least, logit, most in zip(low[row], exact, high[row], strict=True):
                below, above = (mpmath.mpf(end.numerator) / end.denominator for end in (least, most))
                assert below - 1e-40 <= logit <= above + 1e-40  # the oracle rounds, too
                assert precision == 30 or above - below < 1e-6 * max(1, *map(abs, exact))


@pytest.mark.parametrize("seed", parts(40))
def test_regions_prove_what_is_true_and_single_inputs(seed: int) -> None:
    model, rng = padded(seed, n_layers=1, d_vocab=2 + seed % 2, n_ctx=2 + seed % 3, d_vocab_out=2), np.random.default_rng(seed)
    automaton = draw_automaton(model, rng)
    rows, setting = every_input(automaton), setting_for(model, automaton, 64)
    leads, padding = true_leads(model, automaton, rows), rows == model.config.pad_token
    for read, (position, steps) in enumerate(automaton.reads.tolist()):
        seen = slice(position + 1 if model.config.attention_dir == "causal" else None)
        blind = np.all(padding[:, seen], axis=1)
        for memory in (1, 3, 10**9):
            hints = draw_hints(automaton, read, rng, memory, width(model))
            fact = applied(setting, read, hints)
            held = fact.covers(rows)
            assert fact.correct == np.count_nonzero(held)
            assert np.all(leads[held, read] > -SURE) and not np.any(held[blind])
        alone = not np.isin(automaton.order[steps:], np.arange(len(automaton.order))[seen]).any()
        clear = np.isin(rows[:, position], hints["queries"]) & (leads[:, read] > 1e-5) & ~blind
        clear &= ~padding[:, position]  # a loud query's scores are so far apart that weights round to 0
        assert not alone or np.all(held[clear])
        for row in np.flatnonzero(clear)[:2] if alone else []:  # what it leads by is what is proved, and no more
            for share in (1 - 1e-6, 1 + 1e-6):
                exact = setting_for(model, automaton, 64, Fraction(float(leads[row, read] * share)))
                assert applied(exact, read, hints).covers(rows[[row]])[0] == (share < 1)


@pytest.mark.parametrize("seed", parts(48))
def test_potentials_prove_what_is_true(seed: int) -> None:
    kind = {"positional_embedding_type": ("standard", "alibi", "none")[seed % 3], "pad_token": seed % 2}
    model = loud(draw_fitting(seed, **kind, tie_word_embeddings=False), (1.0, 5.0)[seed % 2])
    rng = np.random.default_rng(seed)
    automaton = draw_automaton(model, rng)
    rows, setting = every_input(automaton), setting_for(model, automaton, 64)
    leads = true_leads(model, automaton, rows)
    for read in reads_that_fit(model, automaton):
        for memory in (1, 10**9):
            held = by_potentials(setting, read, draw_claims(model, automaton, read, rng, memory)).covers(rows)
            assert np.all(leads[held, read] > -SURE)


@pytest.mark.parametrize("strategy", [Regions(fine=8, cuts=3), Potentials()], ids=["regions", "potentials"])
@pytest.mark.parametrize("seed", range(4))
def test_strategies_find_what_is_accepted(seed: int, strategy: Regions | Potentials, tmp_path: Path) -> None:
    """Are up to four brackets balanced? A random model knows of some."""
    sizes = {"d_vocab": 3, "n_ctx": 4, "d_vocab_out": 2, "pad_token": 2, "tie_word_embeddings": False}
    model = draw_fitting(seed, **sizes)
    automaton = balanced_brackets(4, 1)
    problem = problem_about(model, CPU, automaton=automaton)
    certificate, evidence = prove(problem, strategy)
    write_model(tmp_path / "model", model)
    write_certificate(tmp_path / "cert", certificate)
    verdict = verify(tmp_path / "cert", tmp_path / "model")
    assert verdict.accepted and verdict.correct == evidence.correct and verdict.total == 2 + 4 + 8 + 16
    leads = true_leads(model, automaton, every_input(automaton))
    assert evidence.correct <= np.count_nonzero(leads > 0)
