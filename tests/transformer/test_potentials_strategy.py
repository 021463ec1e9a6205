"""Strategy `potentials`: what it proves is accepted and true; numbers of tokens; small models that count."""

from pathlib import Path

import numpy as np
import pytest
import torch
from test_potentials import draw_fitting, reads_that_fit
from test_regions import draw_automaton, every_input, setting_for, true_leads
from test_regions_strategy import assert_accepted_and_true

from certificates import Model, Step, write_certificate, write_model
from certificates.automaton import Automaton
from checker import covers, verify
from checker.transformer.potentials import potentials
from checker.transformer.transformer_forward import transformer_forward
from prover.known_tasks import (
    balanced_brackets,
    in_context_copying,
    kth_smallest,
    modular_addition,
    parity,
    running_sum_sign,
    sortedness,
)
from prover.proving import problem_about, prove
from prover.strategies.potentials import Potentials, potentials_step
from prover.strategy import DoesNotFit
from prover.tasks import automaton_from
from prover.training.own_task import OwnTaskRecipe, train_own_task
from prover.transformer.finer_automaton import ReadSums
from prover.transformer.last_layer import LastLayer
from prover.transformer.problem import TransformerProblem
from prover.transformer.ratio_boxes import RatioBoxes
from prover.transformer.token_numbers import token_numbers
from prover.transformer.token_sums import DividedInputs
from prover.transformer.token_terms import Summands

CPU = torch.device("cpu")
SUM = running_sum_sign(4, 2)


@pytest.mark.parametrize("seed", range(24))
def test_proofs_are_accepted_and_true(seed: int, tmp_path: Path) -> None:
    rng, model = np.random.default_rng(seed), draw_fitting(seed)
    while len(reads_that_fit(model, automaton := draw_automaton(model, rng))) < len(automaton.reads):
        pass
    assert_accepted_and_true(seed, model, automaton, Potentials(fine=(0, 4, 8)[seed % 3], linear=seed % 2), tmp_path)


@pytest.fixture(scope="module")
def adding() -> Model:
    """A small model of the sign of a sum, trained for a second."""
    return train_own_task(OwnTaskRecipe(heads=1, d_model=8, d_head=4, d_mlp=6, steps=250, batch=64, rate=1e-2), SUM, CPU)


@pytest.mark.parametrize("linear", [0, 1])
def test_a_model_that_adds_is_proved_on_most_inputs(linear: int, adding: Model, tmp_path: Path) -> None:
    """At most what is right, and nearly that."""
    automaton, model = SUM, adding
    rows = every_input(automaton)
    leads = true_leads(model, automaton, rows)
    problem = problem_about(model, CPU, automaton=automaton)
    certificate, evidence = prove(problem, Potentials(linear=linear))
    write_model(tmp_path / "model", model)
    write_certificate(tmp_path / "cert", certificate)
    held = covers(tmp_path / "cert", tmp_path / "model", rows) >= 0
    assert np.all(leads[held] > 0)
    wrong_somewhere = sum(np.count_nonzero(lead <= 0) for lead in leads.T)
    assert verify(tmp_path / "cert", tmp_path / "model").correct == evidence.correct <= len(rows) - wrong_somewhere
    assert evidence.correct > 0.9 * (len(rows) - wrong_somewhere) > 0


@pytest.mark.parametrize("seed", [1, 4, 7, 10, 13, 16, 19, 22, 25, 28, 34, 40])
def test_the_checker_proves_what_multipliers_claim(seed: int) -> None:
    """Also before a last norm, in whose unit they are."""
    model = draw_fitting(seed)
    length, vocab = model.config.input_shape
    wide = automaton_from(
        0, lambda total, token, _: total + token, lambda total: total % model.config.d_vocab_out, length, vocab
    )
    problem = problem_about(model, CPU, automaton=wide)
    assert model.config.attn_only and isinstance(problem, TransformerProblem)
    layer = LastLayer.of_tokens(problem)
    sums = [ReadSums(problem, layer, 0, query) for query in layer.queries(0)]
    met = np.any([one.met for one in sums], axis=0)
    divided = [DividedInputs.by_number(one, one.greatest(met), np.arange(vocab)) for one in sums]
    boxes = RatioBoxes.of(Summands(problem, problem.weights), divided, 1)
    (search,) = boxes.searches
    step = potentials_step(0, boxes, [search.multipliers()])
    claimed = np.flatnonzero(step.hints["pattern"].integers() >= 0)
    setting = setting_for(model, wide)
    _, proved = potentials(setting, step, (transformer_forward(setting, Step("transformer-forward"), ()),)).followed
    assert np.array_equal(np.flatnonzero(proved), claimed)


def test_numbers_of_tokens() -> None:
    """Sums have them, up to a constant and a factor; of two tokens, one is counted."""
    sums = [running_sum_sign(8, 3), running_sum_sign(8, 3, every=0)]
    for automaton in sums:
        found = token_numbers(automaton)
        assert found is not None and found.tolist() in ([3, 4, 5, 6, 0, 1, 2], [3, 2, 1, 0, 6, 5, 4])
    doubled = automaton_from(0, lambda total, token, _: total + 4 * token, lambda total: int(total > 9), 6, 3)
    assert token_numbers(doubled).tolist() == [0, 1, 2]  # type: ignore[union-attr]
    assert [token_numbers(task).tolist() for task in (balanced_brackets(10), parity(6))] == [[0, 1]] * 2  # type: ignore[union-attr]
    ends = Automaton.of(np.array([1, 0]), np.array([[[0, -1, 0]], [[-1, 0, -1]]]), np.array([0]))
    assert token_numbers(ends).tolist() == [0, 0, 1]  # type: ignore[union-attr]  # no two pairs of tokens are alike
    for task in (modular_addition(5), kth_smallest(5, 4, 2), sortedness(4, 5), in_context_copying(5, 4)):
        assert token_numbers(task) is None


def test_models_and_tasks_that_do_not_fit() -> None:
    model = draw_fitting(0)
    with pytest.raises(DoesNotFit, match="--task FILE"):
        prove(problem_about(model, CPU), Potentials())
    length, vocab = model.config.input_shape
    automaton = automaton_from(0, lambda state, token, _: 0, lambda state: 1, length, vocab)
    for other in ({"n_heads": 7, "n_key_value_heads": 7}, {"act_fn": "silu"}, {"normalization_type": "LN"}):
        with pytest.raises(DoesNotFit, match="up to 6 heads"):
            prove(problem_about(draw_fitting(0, **other), CPU, automaton=automaton), Potentials())
    later = automaton_from(0, lambda state, token, _: 0, lambda state: 1, length, vocab)
    early = type(later).of(later.order[::-1], later.transitions, later.outputs, np.array([[length - 1, 1]]))
    both = draw_fitting(0, attention_dir="bidirectional")
    with pytest.raises(DoesNotFit, match="reads later"):
        prove(problem_about(both, CPU, automaton=early), Potentials())
