"""What an enumeration announces before it begins: never more than it takes, and enough to refuse at once what does not fit."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_attacks import random_model
from test_regions import draw_automaton, setting_for
from thorough import parts
from transformer_models import draw_model

from certificates import (
    Certificate,
    GroupMLP,
    Model,
    Statement,
    Step,
    integer_tensor,
    write_certificate,
    write_model,
)
from checker import verify
from checker.attention.additive_tables import additive_tables
from checker.core.errors import Refused
from checker.core.facts import Classifier, Setting
from checker.core.meter import Budget
from checker.layers.hidden_tables import hidden_tables
from checker.rules.all_inputs import all_inputs
from checker.transformer.transformer_forward import transformer_forward
from prover.attention.sequence_problem import SequenceProblem
from prover.known_tasks import parity, sortedness
from prover.proving import problem_about
from prover.strategies.all_inputs import Enumerate
from prover.strategies.enumeration import BruteForce
from prover.strategy import DoesNotFit
from prover.weights import raw_tensor


def every(length: int, vocab: int, skip: list[list[int]]) -> Step:
    hints = {"ranges": np.array([[0, vocab]] * length), "skip": np.array(skip, np.int64).reshape(-1, 2)}
    return Step("all-inputs", (0,), {}, {name: integer_tensor(hint) for name, hint in hints.items()})


def require_no_more_than_done(setting: Setting, classifier: Classifier, rng: np.random.Generator) -> None:
    """Of all inputs, and with any skipped: a budget that is just enough is never refused."""
    meter, length, vocab = setting.meter, setting.task.n_ctx, setting.task.d_vocab
    first, end = sorted(rng.choice(vocab**length + 1, 2, replace=False).tolist())
    for skip in ([], [[first, end]]):
        before, effort, step = meter.operations, meter.effort, every(length, vocab, skip)
        all_inputs(setting, step, (classifier,))
        done = meter.operations - before, meter.effort - effort
        announced = classifier.least_work
        assert skip or all(setting.task.total * least <= most for least, most in zip(announced, done, strict=True))
        budget, most = meter.budget, meter.most_effort
        meter.budget, meter.most_effort = Budget(meter.operations + done[0], budget.memory), meter.effort + done[1]
        all_inputs(setting, step, (classifier,))
        meter.budget, meter.most_effort = budget, most


@pytest.mark.parametrize("seed", parts(32))
@pytest.mark.parametrize("precision", [12, 30, 64])
def test_no_more_is_announced_than_is_done(seed: int, precision: int) -> None:
    """By forward passes of every kind, of random automata that are read anywhere."""
    sizes = {"d_model": 16, "d_head": 8, "d_mlp": 24, "rotary_dim": 8} if seed % 2 else {}
    model, rng = draw_model(seed, **sizes), np.random.default_rng(seed)
    setting = setting_for(model, draw_automaton(model, rng), precision)
    forward = transformer_forward(setting, Step("transformer-forward"), ())
    try:
        require_no_more_than_done(setting, forward, rng)
    except Refused as error:
        assert "not proved to be positive" in str(error)


@pytest.mark.parametrize("precision", [30, 64])
@pytest.mark.parametrize(("d_model", "d_mlp"), [(1, 500), (4, 256), (16, 300)])
def test_nor_of_wide_layers(d_model: int, d_mlp: int, precision: int) -> None:
    """Where nearly all is spent on units without biases, which are no more than compared with 0."""
    sizes = {"n_layers": 1, "n_heads": 1, "n_key_value_heads": 1, "d_head": 1, "d_vocab": 2, "d_vocab_out": 2, "n_ctx": 6}
    plain = {"normalization_type": None, "act_fn": "relu", "positional_embedding_type": "none", "use_qk_norm": False}
    drawn = draw_model(0, d_model=d_model, d_mlp=d_mlp, attn_only=False, gated_mlp=False, **sizes, **plain)
    model = replace(drawn, tensors={name: one for name, one in drawn.tensors.items() if ".b_" not in name})
    setting = setting_for(model, parity(6), precision)
    forward = transformer_forward(setting, Step("transformer-forward"), ())
    require_no_more_than_done(setting, forward, np.random.default_rng(precision))


@pytest.mark.parametrize("precision", [12, 30, 64])
@pytest.mark.parametrize(("vocab", "length"), [(2, 2), (3, 4), (6, 3)])
def test_nor_by_tables(vocab: int, length: int, precision: int) -> None:
    setting = setting_for(random_model(vocab, length), parity(length) if vocab == 2 else sortedness(length, vocab), precision)
    tables = additive_tables(setting, Step("additive-tables"), ())
    require_no_more_than_done(setting, tables, np.random.default_rng(precision))


def test_what_does_not_fit_is_refused_at_once(tmp_path: Path) -> None:
    """A quarter of a million inputs at 50 bits; with nearly all of them skipped, the rest is looked at."""
    sizes = {"n_ctx": 9, "d_vocab": 4, "d_model": 32, "d_head": 16, "d_mlp": 64, "n_heads": 4, "n_key_value_heads": 4}
    model = draw_model(1, n_layers=1, normalization_type=None, act_fn="relu", use_qk_norm=False, rotary_dim=2, **sizes)
    write_model(tmp_path / "model", model)

    def reason(skip: list[list[int]]) -> str:
        statement = Statement(model.digest(), {"name": "max-of-k"}, 4**9, 4**9)
        steps = (Step("transformer-forward"), every(9, 4, skip))
        write_certificate(tmp_path / "cert", Certificate(statement, 50, steps))
        return verify(tmp_path / "cert", tmp_path / "model").reason

    started = time.process_time()
    refusal = reason([])
    assert time.process_time() - started < 5
    assert refusal.startswith("step 1 (all-inputs): checking takes as long as") and "allow --max-operations" in refusal
    assert int(refusal.split()[-1]) > 10 * 2 * 10**10, "all that it takes, about, and not just the little that was done"
    assert "its proof shows 3" in reason([[10, 4**9]])


@pytest.mark.parametrize("precision", [30, 64])
def test_nor_by_a_hidden_layer(precision: int) -> None:
    config, rng = GroupMLP(24, 6, 6), np.random.default_rng(0)
    shapes = config.tensor_shapes()
    tensors = {name: raw_tensor(torch.tensor(rng.normal(size=shape), dtype=torch.float32)) for name, shape in shapes.items()}
    setting = setting_for(Model(config, tensors, None), sortedness(2, 6), precision)
    hints = {"neurons": integer_tensor(np.arange(24))}
    tables = hidden_tables(setting, Step("hidden-tables", (), {}, hints), ())
    require_no_more_than_done(setting, tables, np.random.default_rng(precision))


def test_the_prover_says_so_before_it_begins() -> None:
    """Where the checker takes a hundred times as long."""
    model = draw_model(1, n_ctx=11, d_vocab=4, n_layers=1)
    Enumerate().fitting(problem_about(model, torch.device("cpu"), 30))
    with pytest.raises(DoesNotFit, match=r"4.2e.06, more than 1e.06 at 50 bits"):
        Enumerate().fitting(problem_about(model, torch.device("cpu"), 50))
    tables = random_model(64, 4)
    BruteForce().fitting(SequenceProblem(tables, torch.device("cpu"), 30, task_json={"name": "max-of-k"}))
    with pytest.raises(DoesNotFit, match=r"more than 3.0e.08 at 31 bits"):
        BruteForce().fitting(SequenceProblem(tables, torch.device("cpu"), 31, task_json={"name": "max-of-k"}))
