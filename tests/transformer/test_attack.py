"""Looking for wrong inputs, and proving that they are wrong."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from test_regions import draw_automaton, every_input, one_layer, true_leads
from transformer_models import draw_model, stored_weights

from certificates import RawTensor, write_model
from certificates.automaton import Automaton
from checker.reporting.cli import cli as checker
from prover.attack import attack
from prover.commands import cli as prover
from prover.proving import problem_about
from prover.tasks import addition, automaton_from, write_automaton
from prover.transformer.problem import TransformerProblem
from prover.transformer.walks import walks

CPU = torch.device("cpu")


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("by_state", [False, True])
def test_walks_are_inputs_and_reach_all(seed: int, by_state: bool) -> None:
    rng = np.random.default_rng(seed)
    automaton = draw_automaton(one_layer(seed), rng)
    found, rows = walks(automaton, 2000, rng, by_state), every_input(automaton)
    assert np.all(automaton.outputs_of(found) >= 0)
    assert len(np.unique(found, axis=0)) == len(rows)


def test_walks_by_state_take_rare_states() -> None:
    """A carry after seven digits that add up to 9 is next to impossible otherwise."""
    automaton = addition(range(8), range(8, 16), range(16, 25), {})
    rng = np.random.default_rng(0)
    nines = [int((walks(automaton, 4000, rng, by)[:, :8] == 9).sum()) for by in (False, True)]
    assert nines[1] != nines[0]


@pytest.mark.parametrize("seed", [0, 4, 7, 13, 20])
def test_what_is_found_is_wrong_and_can_be_proved(seed: int, tmp_path: Path) -> None:
    rng, model = np.random.default_rng(seed), one_layer(seed)
    automaton = draw_automaton(model, rng)
    rows = every_input(automaton)
    leads = true_leads(model, automaton, rows).min(1)
    problem = problem_about(model, CPU, automaton=automaton)
    assert isinstance(problem, TransformerProblem)
    found = attack(problem, 40_000)
    assert {tuple(row) for row in found.wrong.tolist()} == {tuple(row) for row in rows[leads <= 0].tolist()}
    assert found.least == pytest.approx(leads.min(), abs=1e-6)
    write_model(tmp_path / "model", model)
    write_automaton(tmp_path / "task.json", automaton)
    command = ["attack", str(tmp_path / "model"), "--task", str(tmp_path / "task.json"), "--tries", "20000", "--show", "2"]
    result = CliRunner().invoke(prover, command)
    assert result.exit_code == (1 if len(found.wrong) else 0), result.output
    for line in result.stdout.splitlines()[1:]:
        said, _, command = line.partition(": ")
        name, *arguments = command.split()
        assert said == "  proved wrong"
        proved = CliRunner().invoke(checker, arguments)
        assert name == "checker" and proved.exit_code == 0 and "REFUTED" in proved.output, proved.output


def test_what_few_tries_miss_is_found_nearby() -> None:
    """A model of ten tokens that is right but for few inputs: with a bias so large that only the least lead is negative."""
    model, length = one_layer(3, d_vocab=3, n_ctx=6, normalization_type=None, d_vocab_out=2, tie_word_embeddings=False), 6
    automaton = automaton_from(0, lambda state, token, _: 0, lambda state: 0, length, 3)
    rows = every_input(automaton)
    leads = true_leads(model, automaton, rows)[:, 0]
    bias = stored_weights(model).get("unembed.b_U", np.zeros(2)) - np.array([np.sort(leads)[:2].mean(), 0])
    raw = RawTensor("F64", (2,), bias.astype("<f8").tobytes())
    problem = problem_about(replace(model, tensors={**model.tensors, "unembed.b_U": raw}), CPU, automaton=automaton)
    assert isinstance(problem, TransformerProblem)
    found = attack(problem, 10)
    assert found.wrong.tolist() == [rows[leads.argmin()].tolist()] and found.least < 0 and found.descents == 10


def test_refutations_that_are_none(tmp_path: Path) -> None:
    model = draw_model(1, d_vocab=3, n_ctx=2, n_layers=2)
    write_model(tmp_path / "model", model)
    problem = problem_about(model, CPU)
    assert isinstance(problem, TransformerProblem)
    rows = np.array([[a, b] for a in range(3) for b in range(3)])
    said = problem.answers(rows)[:, 0]

    def refute(tokens: str, answers: str, task: str = "max-of-k") -> tuple[int, str]:
        result = CliRunner().invoke(checker, ["refute", str(tmp_path / "model"), tokens, answers, "--task", task])
        return result.exit_code, result.output + str(result.exception)

    for (a, b), answer in zip(rows.tolist(), said.tolist(), strict=True):
        code, output = refute(f"{a},{b}", str(answer))
        assert code == (1 if answer == max(a, b) else 0) and ("NOT" in output) == bool(code), output
        code, output = refute(f"{a},{b}", str((answer + 1) % 3))
        assert code == 1 and "not proved" in output
    for arguments, reason in (
        (("1", "1"), "2 tokens"),
        (("1,3", "1"), "2 tokens"),
        (("1,2", "1,1"), "1 answers"),
        (("1,2", "3"), "outputs from"),
        (("1,x", "1"), "list of integers"),
        (("1,2", "1", "nonsense"), "nonsense"),
    ):
        assert reason in refute(*arguments)[1]
    small = Automaton.of(np.arange(2), np.array([[[0, -1, 0]]]), np.array([1]))
    write_automaton(tmp_path / "task.json", small)
    assert "no input" in refute("1,2", "1", str(tmp_path / "task.json"))[1]
