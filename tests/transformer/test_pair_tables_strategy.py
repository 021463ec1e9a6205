"""Strategy `pair-tables`: what it proves is accepted and true; what it tells of models; and fine-tuning towards it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from test_pair_tables import draw_automaton, draw_fitting
from test_regions_strategy import assert_accepted_and_true
from transformer_models import draw_model

from certificates import Model
from prover.known_tasks import in_context_copying
from prover.proving import problem_about, prove
from prover.strategies.pair_tables import PairTables
from prover.strategy import DoesNotFit
from prover.tasks import automaton_from, read_automaton_from
from prover.training.finetuning import Recipe, finetune
from prover.training.own_task import OwnTaskRecipe, train_own_task
from prover.transformer.descent import descended
from prover.transformer.forward import attention_pattern, embedded, first_heads, of_block, transformer_logits
from prover.transformer.neighbours import Observed, beyond_neighbours
from prover.transformer.problem import TransformerProblem
from prover.weights import load_weights

CPU = torch.device("cpu")


@pytest.mark.parametrize("seed", range(20))
def test_proofs_are_accepted_and_true(seed: int, tmp_path: Path) -> None:
    model = draw_fitting(seed)
    automaton = draw_automaton(model, np.random.default_rng(seed))
    head = seed % 3 % (model.config.n_heads + 1) - 1
    assert_accepted_and_true(seed, model, automaton, PairTables(before=seed // 2 % 2, head=head), tmp_path)


@pytest.fixture(scope="module")
def trained() -> tuple[Model, TransformerProblem]:
    """A small model that copies."""
    task = in_context_copying(5, 5)
    recipe = OwnTaskRecipe(layers=2, heads=1, d_model=16, d_head=16, d_mlp=0, steps=700, batch=256, rate=0.01)
    model = train_own_task(recipe, task, CPU)
    problem = problem_about(model, CPU, automaton=task)
    assert isinstance(problem, TransformerProblem) and model.config.attn_only
    return model, problem


def test_the_head_and_what_it_attends_to(trained: tuple[Model, TransformerProblem]) -> None:
    """With one head there is no choice; it attends most to what follows the last token's earlier occurrence."""
    observed = Observed(trained[1])
    assert observed.head() == 0
    references = observed.references(0)
    assert references.shape == (5, 3) and np.all(references[:, 1] == np.arange(5))


def test_descent_finds_smaller_leads(trained: tuple[Model, TransformerProblem]) -> None:
    """Of inputs of the task; and least ones where a look at every input finds no less nearby."""
    problem, rng = trained[1], np.random.default_rng(0)
    start = problem.random_inputs(30, rng, by_state=False)
    found = descended(problem, start, 2, rng)
    before, after = (problem.margins(rows, problem.outputs_of(rows)) for rows in (start, found))
    assert np.all(problem.outputs_of(found) >= 0) and np.all(after <= before) and after.mean() < before.mean() - 0.1


@pytest.mark.parametrize("before", [False, True])
def test_attention_beyond_neighbours(trained: tuple[Model, TransformerProblem], before: bool) -> None:
    """No input attends to others by more than is said of all: of the sum over positions, in logarithms."""
    model, problem = trained
    weights = load_weights(model, CPU)
    far = float(beyond_neighbours(first_heads(model.config, weights), before))
    inputs = torch.as_tensor(problem.random_inputs(500, np.random.default_rng(1), by_state=False))
    nothing = torch.zeros(inputs.shape, dtype=torch.bool)
    pattern = attention_pattern(model.config, of_block(weights, 0), embedded(model.config, weights, inputs), nothing)[0][:, 0]
    near = torch.diagonal(pattern, dim1=1, dim2=2)[:, 1:].clone()
    near[:, : len(near[0]) if before else -1] += torch.diagonal(pattern, -1, 1, 2)[:, : len(near[0]) if before else -1]
    share = (1 / near - 1).clamp_min(0)[:, 1:]  # positions from 2 on, where there is anything beyond
    assert float((1 + share / 1e-3).log().mean()) <= far + 1.0 and far > 0.1


def test_fine_tuning_makes_every_input_provable(trained: tuple[Model, TransformerProblem]) -> None:
    """As trained, nothing or little is; and few predictions change."""
    problem = trained[1]
    *_, state = finetune(problem, PairTables(), Recipe(steps=500, rate=3e-3))
    assert state.history[0].correct < problem.total / 2 and state.best_correct == problem.total
    inputs = torch.as_tensor(problem.random_inputs(500, np.random.default_rng(1), by_state=False))
    logits = transformer_logits(state.best.config, load_weights(state.best, CPU), inputs)
    assert np.array_equal(logits[:, -1].argmax(1).numpy(), problem.outputs_of(inputs.numpy())[:, 0])


def test_scores_that_are_out_of_range_are_told() -> None:
    """The strategy does not fit then, instead of failing."""
    model = draw_fitting(0, d_vocab=2, n_ctx=3, d_vocab_out=2, size=1e4)
    with pytest.raises(DoesNotFit, match="out of range"):
        prove(problem_about(model, CPU, automaton=in_context_copying(3, 2)), PairTables())


def test_models_and_tasks_that_do_not_fit() -> None:
    task = in_context_copying(3, 3)
    sizes = {"d_vocab": 3, "n_ctx": 3, "d_vocab_out": 3}
    with pytest.raises(DoesNotFit, match="--task FILE"):
        prove(problem_about(draw_fitting(0, **sizes), CPU), PairTables())
    with pytest.raises(DoesNotFit, match="two layers, attention only"):
        prove(problem_about(draw_model(0, **sizes), CPU, automaton=task), PairTables())
    backwards = automaton_from(0, lambda state, token, _: token, lambda state: state, 3, 3, [1, 0, 2])
    early = read_automaton_from(0, lambda state, token, _: token, {1: (3, lambda state: state)}, 3, [0, 1, 2])
    for other in (backwards, early):
        with pytest.raises(DoesNotFit, match="last position only"):
            prove(problem_about(draw_fitting(0, **sizes), CPU, automaton=other), PairTables())
    for strategy in (PairTables(before=2), PairTables(head=9)):
        with pytest.raises(DoesNotFit, match="before=0 or 1"):
            prove(problem_about(draw_fitting(0, **sizes), CPU, automaton=task), strategy)
