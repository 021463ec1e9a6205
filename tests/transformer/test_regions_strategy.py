"""Strategy `regions`: what it proves is accepted, true, and not less than what is clearly right."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from test_regions import draw_automaton, every_input, one_layer, true_leads

from certificates import Model, write_certificate, write_model
from certificates.automaton import Automaton
from checker import covers, verify
from prover.proving import problem_about, prove
from prover.strategies.regions import Regions
from prover.strategy import DoesNotFit, Strategy
from prover.tasks import automaton_from
from prover.transformer.finer_automaton import ReadSums
from prover.transformer.last_layer import LastLayer
from prover.transformer.problem import TransformerProblem

CPU = torch.device("cpu")


def assert_accepted_and_true(seed: int, model: Model, automaton: Automaton, strategy: Strategy, folder: Path) -> None:
    """What a strategy proves, of one precision and margin or another."""
    rows = every_input(automaton)
    leads = true_leads(model, automaton, rows).min(1)
    margin = Fraction(1, 16) if seed % 3 == 0 else Fraction(0)
    problem = problem_about(model, CPU, (30, 64)[seed % 2], automaton=automaton, margin=margin)
    certificate, evidence = prove(problem, strategy)
    write_model(folder / "model", model)
    write_certificate(folder / "cert", certificate)
    verdict = verify(folder / "cert", folder / "model")
    assert verdict.accepted and verdict.correct == evidence.correct and verdict.total == len(rows)
    held = covers(folder / "cert", folder / "model", rows) >= 0
    assert evidence.correct == np.count_nonzero(held) and np.all(leads[held] > float(margin) - 1e-9)


@pytest.mark.parametrize("seed", range(18))
def test_proofs_are_accepted_and_true(seed: int, tmp_path: Path) -> None:
    rng, model = np.random.default_rng(seed), one_layer(seed)
    automaton = draw_automaton(model, rng)
    assert_accepted_and_true(seed, model, automaton, Regions(fine=(4, 8, 12)[seed % 3], cuts=seed % 4), tmp_path)


@pytest.mark.parametrize("seed", range(18))
def test_the_search_sees_what_the_checker_proves(seed: int) -> None:
    """With a finer automaton that remembers all, whatever clearly leads is found, if nothing else is read later."""
    model = one_layer(seed)
    length, vocab = model.config.input_shape
    automaton = automaton_from(
        0, lambda state, token, _: token, lambda state: min(state, model.config.d_vocab_out - 1), length, vocab
    )
    problem = problem_about(model, CPU, automaton=automaton)
    assert isinstance(problem, TransformerProblem)
    rows = every_input(automaton)
    clear = (true_leads(model, automaton, rows)[:, 0] > 1e-4) & np.any(rows != model.config.pad_token, axis=1)
    layer = LastLayer.of_tokens(problem)
    for query in layer.queries(0):
        sums = ReadSums(problem, layer, 0, query)
        finest = sums.refined(None, [], 2.0**-40)
        proved = sums.proved(finest, 0, 0.0)
        assert len(proved) == vocab ** (length - 1) or len(proved) < len(rows)
        if len(proved) == vocab ** (length - 1):
            seen = finest.sighted.all()  # the checker loses sight of weights that are next to nothing
            clearly = np.count_nonzero(clear[rows[:, -1] == query])
            assert np.count_nonzero(proved) == clearly if seen else np.count_nonzero(proved) <= clearly


def test_models_and_tasks_that_do_not_fit() -> None:
    model = one_layer(0)
    with pytest.raises(DoesNotFit, match="--task FILE"):
        prove(problem_about(model, CPU), Regions())
    deep = one_layer(0, n_layers=2, attention_dir="bidirectional")
    length, vocab = model.config.input_shape
    automaton = automaton_from(0, lambda state, token, _: 0, lambda state: 1, length, vocab)
    with pytest.raises(DoesNotFit, match="several layers, this is for causal models"):
        prove(problem_about(deep, CPU, automaton=automaton), Regions())
