"""The surrogate of `potentials`: at the weights for which it was made its leads are those of the search."""

from pathlib import Path

import numpy as np
import pytest
import torch
from test_potentials import draw_fitting, reads_that_fit
from test_region_margins import assert_gradients_are_slopes
from test_regions import draw_automaton

from certificates import write_certificate, write_model
from checker import verify
from prover.proving import problem_about, prove
from prover.strategies.potentials import Potentials
from prover.tasks import automaton_from
from prover.training.finetuning import Recipe, finetune
from prover.transformer.finer_automaton import ReadSums
from prover.transformer.last_layer import LastLayer
from prover.transformer.problem import TransformerProblem
from prover.transformer.ratio_boxes import RatioBoxes
from prover.transformer.sum_margins import SumLeads, sum_margins
from prover.transformer.token_sums import DividedInputs
from prover.transformer.token_terms import Summands

CPU = torch.device("cpu")


def drawn(seed: int) -> TransformerProblem:
    """A random model with a random task that fit."""
    rng, model = np.random.default_rng(seed), draw_fitting(seed)
    while len(reads_that_fit(model, automaton := draw_automaton(model, rng))) < len(automaton.reads):
        pass
    problem = problem_about(model, CPU, automaton=automaton)
    assert isinstance(problem, TransformerProblem)
    return problem


@pytest.mark.parametrize("seed", range(30))
def test_leads_are_those_of_the_search(seed: int) -> None:
    """Or more with several heads, as the search leaves some room beyond ratios."""
    problem, share = drawn(seed), 0.0
    for read in range(len(problem.reads)):
        layer = LastLayer.of_tokens(problem)
        sums = [ReadSums(problem, layer, read, query) for query in layer.queries(read)]
        divided = [DividedInputs.of(one, one.greatest(one.met), one.refined(None, [], 2.0 ** -(seed % 4))) for one in sums]
        (search,) = RatioBoxes.of(Summands(problem, problem.weights), divided, 1).searches
        for number, inputs in enumerate(divided):
            leads = SumLeads.of(search, number)
            expected = search.candidates.least[number].max(1)
            assert np.array_equal(leads.regions, np.flatnonzero(expected > -np.inf))
            expected, (found, usual) = expected[leads.regions], (part.detach().numpy() for part in leads.sums(problem.weights))
            if np.all((inputs.ratios > 2.0**-13) & (inputs.ratios < 2.0**13)):  # ratios are bounded well
                assert np.all(found > expected - 1e-9 * (1 + usual)) and np.all(usual >= 0)
            if inputs.corners == 1:
                assert np.allclose(found, expected, rtol=1e-6, atol=1e-9)
            share += leads.share.sum()
    assert share < len(problem.reads) + 1e-9, "every input is in one region at most at every read"


@pytest.mark.parametrize("seed", range(15))
def test_gradients_are_slopes(seed: int) -> None:
    problem = drawn(seed)
    assert_gradients_are_slopes(problem, sum_margins(problem, LastLayer.of_tokens(problem), np.random.default_rng(0)), seed)


def assert_certifies_more(problem: TransformerProblem, recipe: Recipe, folder: Path) -> float:
    """What the checker proves of the tuned model, too: the share."""
    first, *_, last = finetune(problem, Potentials(), recipe)
    certificate, _ = prove(problem_about(last.best, CPU, automaton=problem.automaton), Potentials())
    write_model(folder / "model", last.best)
    write_certificate(folder / "cert", certificate)
    verdict = verify(folder / "cert", folder / "model")
    assert verdict.accepted and verdict.correct is not None
    assert verdict.correct >= last.best_correct >= first.best_correct
    return verdict.correct / problem.total


@pytest.mark.parametrize("seed", [0, 11])
def test_fine_tuning_certifies_more(seed: int, tmp_path: Path) -> None:
    """A random model, with or without units, norms and further heads, learns to count."""
    model = draw_fitting(seed)
    length, vocab = model.config.input_shape
    automaton = automaton_from(0, lambda seen, token, _: min(seen + token, 1), lambda seen: seen, length, vocab)
    problem = problem_about(model, CPU, automaton=automaton)
    assert isinstance(problem, TransformerProblem)
    recipe = Recipe(steps=300, milestone=75, rate=2e-2, keep_accuracy=0.0)
    assert assert_certifies_more(problem, recipe, tmp_path) > 0.8
