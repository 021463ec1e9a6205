"""The surrogate of `regions`: at the weights for which it was made its leads are those of the search, and so are its shares."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_regions import draw_automaton, one_layer

from certificates import write_certificate, write_model
from checker import verify
from prover.proving import problem_about, prove
from prover.strategies.regions import Regions
from prover.surrogate import Surrogate
from prover.tasks import automaton_from
from prover.training.finetuning import Recipe, finetune
from prover.transformer.box_bounds import Box
from prover.transformer.finer_automaton import ReadSums
from prover.transformer.last_layer import LastLayer
from prover.transformer.problem import TransformerProblem
from prover.transformer.region_margins import leads, region_margins
from prover.transformer.region_paths import RegionPaths
from prover.weights import load_weights, raw_tensor

CPU = torch.device("cpu")


def drawn(seed: int) -> TransformerProblem:
    """A random model with a random task."""
    model = one_layer(seed)
    problem = problem_about(model, CPU, automaton=draw_automaton(model, np.random.default_rng(seed)))
    assert isinstance(problem, TransformerProblem)
    return problem


@pytest.mark.parametrize("seed", range(24))
def test_leads_are_those_of_the_search(seed: int) -> None:
    problem, share = drawn(seed), 0.0
    for read in range(len(problem.reads)):
        layer = LastLayer.of_tokens(problem)
        for query in layer.queries(read):
            sums = ReadSums(problem, layer, read, query)
            finer = sums.refined(None, [], 2.0 ** -(seed % 4))
            paths = RegionPaths.of(sums, finer)
            share += paths.share.sum()
            if not sums.met.any():
                continue  # nothing is seen but padding
            found = leads(paths, problem.weights, layer).numpy()
            boxes = (torch.as_tensor(end) for end in finer.boxes)
            expected = sums.bounds.least_leads(Box(*boxes), torch.as_tensor(finer.outputs))[0].numpy()
            assert np.allclose(found, expected, rtol=1e-6, atol=1e-9)
    assert abs(share - len(problem.reads)) < 1e-9, "every input is in one region at every read"


def assert_gradients_are_slopes(problem: TransformerProblem, claims: Surrogate, seed: int) -> None:
    """But at kinks, where several paths come to the same: of one entry of each weight."""
    weights = {name: weight.clone().requires_grad_() for name, weight in problem.weights.items()}
    claims(weights, 0.0).margin.sum().backward()
    rng, agree, step = np.random.default_rng(seed), [], 1e-6
    for name in sorted(name for name, weight in weights.items() if weight.grad is not None):
        place, ends = tuple(rng.integers(weights[name].shape)), []
        for sign in (1, -1):
            moved = {other: weight.detach().clone() for other, weight in weights.items()}
            moved[name][place] += sign * step
            ends.append(float(claims(moved, 0.0).margin.detach().sum()))
        gradient = weights[name].grad
        assert gradient is not None
        slope, expected = (ends[0] - ends[1]) / (2 * step), float(gradient[place])
        agree.append(abs(slope - expected) <= 1e-3 * max(1.0, abs(slope), abs(expected)))
    assert np.mean(agree) > 0.7


@pytest.mark.parametrize("seed", [0, 8, 12, 20])
def test_gradients_are_slopes(seed: int) -> None:
    problem = drawn(seed)
    assert_gradients_are_slopes(problem, region_margins(problem, LastLayer.of_tokens(problem), np.random.default_rng(0)), seed)


def test_narrower_boxes_have_more_room() -> None:
    """If nothing is read, boxes are points: leads are four times what is enough."""
    problem = drawn(1)
    model = problem.model
    weights = load_weights(model, CPU)
    sharp = {**weights, "blocks.0.attn.W_V": torch.zeros_like(weights["blocks.0.attn.W_V"])}
    tensors = {**model.tensors, "blocks.0.attn.W_V": raw_tensor(sharp["blocks.0.attn.W_V"])}
    blind = replace(problem, model=replace(model, tensors=tensors))
    found = region_margins(blind, LastLayer.of_tokens(blind), np.random.default_rng(0))(load_weights(blind.model, CPU), 0.0)
    assert float(found.margin.abs().median()) == pytest.approx(4.0, rel=0.1)


@pytest.mark.parametrize("seed", [0, 3, 7, 12])
def test_fine_tuning_certifies_more(seed: int, tmp_path: Path) -> None:
    """A random model learns to tell whether its first token is 0, until all inputs are proved or nearly so."""
    model = one_layer(seed)
    length, vocab = model.config.input_shape
    automaton = automaton_from(None, lambda s, t, _: min(t, 1) if s is None else s, lambda s: s, length, vocab)
    problem = problem_about(model, CPU, automaton=automaton)
    recipe = Recipe(steps=150, milestone=75, rate=2e-2, keep_accuracy=0.0)
    first, *_, last = finetune(problem, Regions(fine=4, cuts=2), recipe)
    tuned = replace(problem, model=last.best)
    certificate, _ = prove(tuned, Regions(fine=4, cuts=2))
    write_model(tmp_path / "model", last.best)
    write_certificate(tmp_path / "cert", certificate)
    verdict = verify(tmp_path / "cert", tmp_path / "model")
    assert verdict.accepted and verdict.correct == last.best_correct >= first.best_correct
    assert last.best_correct > 0.8 * problem.total
