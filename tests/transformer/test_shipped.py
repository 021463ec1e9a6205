"""The shipped adder: every sum of two ten-digit numbers is proved right, and runs say so too."""

from pathlib import Path

import numpy as np
import torch
from thorough import some

import certificates
from certificates import read_model
from certificates.automaton import read_automaton
from checker import covers, verify
from prover.known_tasks import number_addition
from prover.transformer.forward import transformer_logits
from prover.transformer.walks import walks
from prover.weights import load_weights

FOLDER = Path(certificates.__file__).parent / "transformers"
MODEL, TASK, CERTIFICATE = (FOLDER / f"addition-10.{ending}" for ending in ("safetensors", "json", "cert"))
INPUTS = some(60_000)


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


def _number(digits: list[int]) -> int:
    return int("".join(map(str, digits[::-1])))
