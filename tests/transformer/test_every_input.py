"""From a model file to a verdict: every input of small transformers, against the oracle in multiple precision."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from test_architecture import Watch
from test_forward import all_inputs
from test_regions import draw_automaton, every_input, true_leads
from transformer_models import draw_model, stored_weights
from transformer_oracle import exact_logits

from certificates import Certificate, Model, RawTensor, Statement, Step, integer_tensor, write_certificate, write_model
from checker import covers, verify
from prover.known_tasks import modular_addition
from prover.proving import problem_about, prove
from prover.strategies.all_inputs import Enumerate
from prover.tasks import automaton_from
from prover.transformer.problem import TransformerProblem

CPU = torch.device("cpu")
RANKED = {"max-of-k": 1, "min-of-k": None, "nth-max-of-k": 2}


def true_margins(model: Model, rank: int) -> np.ndarray:
    """By how much the true output leads every other one."""
    found = []
    for tokens in all_inputs(model).tolist():
        logits = exact_logits(vars(model.config), stored_weights(model), tokens)
        true = logits.pop(sorted(tokens, reverse=True)[rank - 1])
        found.append(true - max(logits))
    return np.array(found)


def certificate(model: Model, correct: int, skip: list[list[int]], steps: tuple[Step, ...] = ()) -> Certificate:
    length, vocab = model.config.input_shape
    hints = {"ranges": np.array([[0, vocab]] * length), "skip": np.array(skip, np.int64).reshape(-1, 2)}
    every = Step("all-inputs", (0,), {}, {name: integer_tensor(hint) for name, hint in hints.items()})
    steps, total = steps or (Step("transformer-forward"), every), vocab**length
    return Certificate(Statement(model.digest(), {"name": "max-of-k"}, correct, total), 30, steps)


@pytest.mark.parametrize(("seed", "task"), [(1, "max-of-k"), (5, "min-of-k"), (10, "nth-max-of-k"), (14, "max-of-k")])
def test_the_number_is_that_of_the_oracle(seed: int, task: str, tmp_path: Path) -> None:
    model = draw_model(seed, d_vocab=2, n_ctx=3, d_vocab_out=2 + seed % 2 * (seed % 4 != 1), n_layers=1 + seed % 2)
    margins = true_margins(model, RANKED[task] or 3)
    full = {"name": task, "n": 2} if task == "nth-max-of-k" else {"name": task}
    write_model(tmp_path / "model", model)
    for precision in (30, 64):
        problem = problem_about(model, CPU, precision, task=full)
        found, _ = prove(problem, Enumerate())
        write_certificate(tmp_path / "cert", found)
        verdict = verify(tmp_path / "cert", tmp_path / "model")
        assert verdict.accepted, verdict.reason
        held = covers(tmp_path / "cert", tmp_path / "model", all_inputs(model)) >= 0
        assert verdict.correct == np.count_nonzero(held) and np.all(margins[held] > 0)
        assert np.all(held[margins > (0.1 if precision == 30 else 1e-6)]), "what is clearly right is proved"


@pytest.mark.parametrize("seed", range(16))
def test_models_read_at_several_positions(seed: int, tmp_path: Path) -> None:
    """Random automata with reads of their own, in any order: inputs are right if they are at all of them, by the margin."""
    rng, model = np.random.default_rng(seed), draw_model(seed, d_vocab=3, n_ctx=4, d_vocab_out=3, n_layers=1 + seed % 2)
    automaton = draw_automaton(model, rng)
    rows = every_input(automaton)
    leads = true_leads(model, automaton, rows).min(1)
    margin = Fraction(int(1000 * np.median(leads[leads > 0])), 1000) if seed % 2 and np.any(leads > 0) else Fraction(0)
    leads -= float(margin)
    problem = problem_about(model, CPU, 64, automaton=automaton, margin=margin)
    found, evidence = prove(problem, Enumerate())
    write_model(tmp_path / "model", model)
    write_certificate(tmp_path / "cert", found)
    verdict = verify(tmp_path / "cert", tmp_path / "model")
    assert verdict.accepted and verdict.correct == evidence.correct and verdict.total == len(rows)
    held = covers(tmp_path / "cert", tmp_path / "model", rows) >= 0
    assert np.array_equal(held[abs(leads) > 1e-4], leads[abs(leads) > 1e-4] > 0)


@pytest.mark.parametrize("seed", [3, 4, 8])
def test_a_task_with_few_inputs_among_many_sequences(seed: int, tmp_path: Path) -> None:
    """Beginnings at random are hardly ever those of right inputs: the checker is asked about inputs, not beginnings."""
    model = draw_model(seed, d_vocab=12, n_ctx=3, d_vocab_out=12, n_layers=1)
    automaton = modular_addition(11)
    problem = problem_about(model, CPU, automaton=automaton)
    certificate, evidence = prove(problem, Enumerate())
    inputs = all_inputs(model)
    outputs = automaton.outputs_of(inputs)
    inputs, outputs = inputs[outputs[:, 0] >= 0], outputs[outputs[:, 0] >= 0]
    assert isinstance(problem, TransformerProblem)
    clear = problem.margins(inputs, outputs) > 1e-4
    assert 0 < np.count_nonzero(clear) <= evidence.correct
    write_model(tmp_path / "model", model)
    write_certificate(tmp_path / "cert", certificate)
    verdict = verify(tmp_path / "cert", tmp_path / "model")
    assert verdict.accepted and verdict.correct == evidence.correct and verdict.total == 121


@pytest.mark.parametrize("seed", [2])
def test_margins_are_kept(seed: int, tmp_path: Path) -> None:
    """Also by the input that leads by just that much."""
    model = draw_model(seed, d_vocab=2, n_ctx=3, n_layers=1)
    margins = true_margins(model, 1)
    write_model(tmp_path / "model", model)
    for lead in sorted(float(margin) for margin in margins if margin > 0):
        for margin, led in (
            (lead * 0.999, margins >= lead * 0.9999),
            (lead, margins > lead * 1.0001),
            (lead * 1.001, margins > lead * 1.002),
        ):
            own = Fraction(margin).limit_denominator(10**9) + (Fraction(1, 10**9) if margin == lead else 0)
            found, _ = prove(problem_about(model, CPU, 64, margin=Fraction(round(own * 10**9), 10**9)), Enumerate())
            write_certificate(tmp_path / "cert", found)
            verdict = verify(tmp_path / "cert", tmp_path / "model")
            assert verdict.accepted and verdict.correct == np.count_nonzero(led)


def test_tasks_of_ones_own(tmp_path: Path) -> None:
    """Is the number of ones odd? Sequences that begin with two ones are no inputs."""

    def step(state: tuple[int, int], token: int, position: int) -> tuple[int, int] | None:
        return None if position == 1 and state[1] == token == 1 else ((state[0] + token) % 2, token)

    automaton = automaton_from((0, 0), step, lambda state: state[0], length=3, tokens=2)
    model = draw_model(12, d_vocab=2, n_ctx=3, d_vocab_out=2)
    right = 0
    for tokens in all_inputs(model).tolist():
        logits = exact_logits(vars(model.config), stored_weights(model), tokens)
        right += tokens[:2] != [1, 1] and logits[sum(tokens) % 2] > logits[1 - sum(tokens) % 2]
    found, _ = prove(problem_about(model, CPU, automaton=automaton), Enumerate())
    write_model(tmp_path / "model", model)
    write_certificate(tmp_path / "cert", found)
    verdict = verify(tmp_path / "cert", tmp_path / "model")
    assert verdict.accepted and verdict.correct == right and verdict.total == 6


@pytest.mark.parametrize("seed", [7, 11, 13])
def test_no_floating_point_at_run_time(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = draw_model(seed, d_vocab=2, n_ctx=2)
    found, evidence = prove(problem_about(model, CPU), Enumerate())
    write_model(tmp_path / "model", model)
    write_certificate(tmp_path / "cert", found)
    watch = Watch(monkeypatch)
    verdict = watch.run(lambda: verify(tmp_path / "cert", tmp_path / "model"))
    assert verdict.accepted and verdict.correct == evidence.correct and watch.enclosures > 100
    assert not watch.found, sorted(watch.found)


def test_ties_are_errors(tmp_path: Path) -> None:
    model = draw_model(0, d_vocab=3, n_ctx=2, normalization_type=None, tie_word_embeddings=False, d_vocab_out=4)
    columns = np.array(stored_weights(model)["unembed.W_U"])
    columns[:, 3] = columns[:, 2]  # so 2 is never the only greatest one
    tensors = {**model.tensors, "unembed.W_U": RawTensor("F32", columns.shape, columns.astype("<f4").tobytes())}
    model = replace(model, tensors={name: t for name, t in tensors.items() if name != "unembed.b_U"})
    margins = true_margins(model, 1)
    assert np.count_nonzero(margins == 0) + np.count_nonzero(margins < 0) >= 5
    write_model(tmp_path / "model", model)
    for correct in range(10):
        write_certificate(tmp_path / "cert", certificate(model, correct, []))
        assert verify(tmp_path / "cert", tmp_path / "model").accepted == (correct == np.count_nonzero(margins > 0))


@pytest.mark.parametrize(
    "skip", [[[1, 1]], [[2, 1]], [[0, 2], [2, 3]], [[3, 4], [1, 2]], [[-1, 2]], [[0, 10]], [[0, 9], [9, 9]], [[0, 3], [1, 4]]]
)
def test_runs_that_are_no_runs_are_refused(skip: list[list[int]], tmp_path: Path) -> None:
    model = draw_model(0, d_vocab=3, n_ctx=2)
    write_model(tmp_path / "model", model)
    write_certificate(tmp_path / "cert", certificate(model, 0, skip))
    verdict = verify(tmp_path / "cert", tmp_path / "model")
    assert not verdict.accepted and "runs of skipped inputs" in verdict.reason
    write_certificate(tmp_path / "cert", certificate(model, 0, [[0, 9]]))
    assert verify(tmp_path / "cert", tmp_path / "model").accepted


def test_steps_of_the_wrong_kind_are_refused(tmp_path: Path) -> None:
    model = draw_model(0, d_vocab=3, n_ctx=2)
    write_model(tmp_path / "model", model)
    forward, every = certificate(model, 0, [[0, 9]]).steps
    write_certificate(tmp_path / "cert", certificate(model, 0, [], (forward, every)))
    assert verify(tmp_path / "cert", tmp_path / "model").accepted
    for steps in (
        (Step("additive-tables"), every),
        (forward, replace(every, premises=())),
        (forward, replace(every, premises=(0, 0))),
        (forward, replace(every, hints={})),
        (forward, replace(every, parameters={"first": 0})),
        (forward, replace(forward, premises=(0,))),
        (forward, replace(forward, premises=(0,)), replace(every, premises=(1,))),
        (replace(forward, parameters={"layer": 1}), every),
        (replace(forward, hints=every.hints), every),
        (forward,),
    ):
        write_certificate(tmp_path / "cert", certificate(model, 0, [], steps))
        assert not verify(tmp_path / "cert", tmp_path / "model").accepted, steps


def test_a_norm_that_may_divide_by_zero_is_refused(tmp_path: Path) -> None:
    settings = {"normalization_type": "RMSPre", "positional_embedding_type": "none", "n_layers": 1}
    model = draw_model(0, d_vocab=3, n_ctx=2, eps=0, **settings)
    embedding = np.array(stored_weights(model)["embed.W_E"])
    embedding[1] = 0
    raw = RawTensor("F32", embedding.shape, embedding.astype("<f4").tobytes())
    model = replace(model, tensors={**model.tensors, "embed.W_E": raw})
    write_model(tmp_path / "model", model)
    write_certificate(tmp_path / "cert", certificate(model, 0, [[0, 9]]))
    verdict = verify(tmp_path / "cert", tmp_path / "model")
    assert not verdict.accepted and "positive" in verdict.reason
