"""The shipped transformers: every input is proved right, and runs say so too."""

from pathlib import Path

import numpy as np
import pytest
import torch
from thorough import THOROUGH, some

import certificates
from certificates import read_model, write_certificate
from certificates.automaton import read_automaton
from checker import covers, verify
from prover.known_tasks import balanced_brackets, in_context_copying, number_addition, running_sum_sign
from prover.proving import problem_about, prove
from prover.strategies.pair_tables import PairTables
from prover.strategies.potentials import Potentials
from prover.strategies.regions import Regions
from prover.transformer.forward import transformer_logits
from prover.transformer.walks import walks
from prover.weights import load_weights

FOLDER = Path(certificates.__file__).parent / "transformers"
MODEL, TASK, CERTIFICATE = (FOLDER / f"addition-10.{ending}" for ending in ("safetensors", "json", "cert"))
SUMS, SIGNS = (FOLDER / f"running-sum-20.{ending}" for ending in ("safetensors", "json"))
COPIES, COPYING = (FOLDER / f"in-context-copying-26.{ending}" for ending in ("safetensors", "json"))
BRACKETS, BALANCED = (FOLDER / f"balanced-brackets-32.{ending}" for ending in ("safetensors", "json"))
INPUTS = some(24_000)
by_the_demo = pytest.mark.skipif(not THOROUGH, reason="make demo proves it, too")


def test_every_sum_is_proved() -> None:
    task = read_automaton(TASK)
    assert task.digest == number_addition(10).digest and task.count() == 10**20
    verdict = verify(CERTIFICATE, MODEL, task={"automaton": task.digest})
    assert verdict.accepted and verdict.correct == verdict.total == 10**20


def test_what_is_covered_runs_right() -> None:
    """Digits at random and many carries, in float64 and float32; sums by Python's own addition."""
    model, task, rng = read_model(MODEL), read_automaton(TASK), np.random.default_rng(0)
    inputs = np.concatenate([walks(task, INPUTS // 2, rng, by_state) for by_state in (False, True)])
    assert np.all(covers(CERTIFICATE, MODEL, inputs) >= 0)
    weights = load_weights(model, torch.device("cpu"))
    digits = [[int(d) for d in str(_number(row[:10]) + _number(row[10:20])).zfill(11)[::-1]] for row in inputs.tolist()]
    for dtype in (torch.float64, torch.float32):
        own = {name: weight.to(dtype) for name, weight in weights.items()}
        found = transformer_logits(model.config, own, torch.as_tensor(inputs))[:, 20:].argmax(2)
        assert found.tolist() == digits


@by_the_demo
def test_every_running_sum_is_proved(tmp_path: Path) -> None:
    """All 11^20 sequences, at all 20 positions; and what runs say of some, with sums by Python."""
    model, task, rng = read_model(SUMS), read_automaton(SIGNS), np.random.default_rng(0)
    assert task.digest == running_sum_sign(20, 5).digest and task.count() == 11**20
    problem = problem_about(model, torch.device("cpu"), automaton=task)
    certificate, evidence = prove(problem, Potentials())
    assert evidence.correct == 11**20
    write_certificate(tmp_path / "cert", certificate)
    verdict = verify(tmp_path / "cert", SUMS, task={"automaton": task.digest})
    assert verdict.accepted and verdict.correct == verdict.total == 11**20 and verdict.operations <= 2 * 10**7
    inputs = np.concatenate([walks(task, INPUTS // 2, rng, by_state) for by_state in (False, True)])
    assert np.all(covers(tmp_path / "cert", SUMS, inputs[:1000]) >= 0)
    total = np.cumsum(np.where(inputs > 5, inputs - 11, inputs), axis=1)
    found = transformer_logits(model.config, load_weights(model, torch.device("cpu")), torch.as_tensor(inputs)).argmax(2)
    assert np.array_equal(found.numpy(), 1 + np.sign(total))


@by_the_demo
def test_every_copy_is_proved(tmp_path: Path) -> None:
    """All 26 x 8 x 25^8 sequences; and what runs say of some: which token followed the last one where it occurred before."""
    model, task, rng = read_model(COPIES), read_automaton(COPYING), np.random.default_rng(0)
    assert task.digest == in_context_copying(10, 26).digest and task.count() == 26 * 8 * 25**8
    problem = problem_about(model, torch.device("cpu"), automaton=task)
    certificate, evidence = prove(problem, PairTables())
    assert evidence.correct == task.count()
    write_certificate(tmp_path / "cert", certificate)
    verdict = verify(tmp_path / "cert", COPIES, task={"automaton": task.digest})
    assert verdict.accepted and verdict.correct == verdict.total == task.count() and verdict.operations <= 2 * 10**9
    inputs = np.concatenate([walks(task, INPUTS // 2, rng, by_state) for by_state in (False, True)])
    assert np.all(covers(tmp_path / "cert", COPIES, inputs[:1000]) >= 0)
    found = transformer_logits(model.config, load_weights(model, torch.device("cpu")), torch.as_tensor(inputs))[:, -1].argmax(1)
    assert found.tolist() == [row[row.index(row[-1]) + 1] for row in inputs.tolist()]


def _number(digits: list[int]) -> int:
    return int("".join(map(str, digits[::-1])))


@by_the_demo
def test_all_brackets_are_proved(tmp_path: Path) -> None:
    """All 2^32 sequences; and what runs say of some, with depths by numpy."""
    model, task, rng = read_model(BRACKETS), read_automaton(BALANCED), np.random.default_rng(0)
    assert task.digest == balanced_brackets(32).digest and task.count() == 2**32
    problem = problem_about(model, torch.device("cpu"), automaton=task)
    certificate, evidence = prove(problem, Regions())
    assert evidence.correct == 2**32
    write_certificate(tmp_path / "cert", certificate)
    verdict = verify(tmp_path / "cert", BRACKETS, task={"automaton": task.digest})
    assert verdict.accepted and verdict.correct == verdict.total == 2**32 and verdict.operations <= 10**8
    inputs = np.concatenate([walks(task, INPUTS // 2, rng, by_state) for by_state in (False, True)])
    assert np.all(covers(tmp_path / "cert", BRACKETS, inputs[:1000]) >= 0)
    depth = np.cumsum(1 - 2 * inputs, axis=1)
    found = transformer_logits(model.config, load_weights(model, torch.device("cpu")), torch.as_tensor(inputs))[:, -1].argmax(1)
    assert np.array_equal(found.numpy() == 1, (depth[:, -1] == 0) & (depth.min(1) >= 0))
