"""The shipped models: what is certified, what `covers` says about random inputs, and what a forward pass says."""

import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from thorough import THOROUGH

import certificates
from certificates import read_model, write_certificate
from checker import covers
from checker.decide import Proof, check_proof
from prover.attention.sequence_problem import SequenceProblem
from prover.proving import prove
from prover.strategies import ATTENTION_STRATEGIES
from prover.weights import load_weights, logits

torch.set_num_threads(1)
CPU = torch.device("cpu")
MODELS = Path(certificates.__file__).parent / "models"
SAMPLES = 100_000
SIGMAS = 5

# model, strategy: (least accuracy, most operations or None, unexplained dimension)
FIGURES = {
    ("max-of-4", "brute-force"): (0.9997, 3_000_000_000, 12_800),
    ("max-of-4", "exact"): (0.9997, 9_500_000, 12_800),
    ("max-of-4", "classes"): (0.9996, 7_000_000, 12_800),
    ("max-of-4", "thresholds"): (0.985, 6_500_000, 12_800),
    ("max-of-4", "pessimized"): (0.957, 2_000_000, 12_800),
    ("max-of-4", "sampling"): (0.99 * 100_000 / 64**4, None, 12_800),
    ("max-of-10", "classes"): (0.998, 11_000_000, 13_568),
    ("max-of-10", "thresholds"): (0.992, 18_000_000, 13_568),
    ("max-of-10", "pessimized"): (0.95, 2_500_000, 13_568),
    ("max-of-10", "sampling"): (0.99 * 100_000 / 64**10, None, 13_568),
}

SLOW = {("max-of-4", "brute-force"), ("max-of-4", "exact"), ("max-of-10", "classes"), ("max-of-10", "thresholds")}
"""Left to `make thorough`."""


@cache
def proof_of(name: str, strategy: str) -> Proof:
    """An accepted proof, made now."""
    model = read_model(MODELS / f"{name}.safetensors")
    certificate, _ = prove(SequenceProblem(model, CPU), ATTENTION_STRATEGIES[strategy]())
    return check_proof(certificate, model)


def classified(proof: Proof, tokens: np.ndarray) -> np.ndarray:
    """Which inputs "n k" a float64 forward pass classifies correctly, strictly."""
    weights = load_weights(proof.model, CPU)
    right = []
    with torch.no_grad():
        for part in torch.from_numpy(tokens).split(20_000):
            scores = logits(weights, part)
            true = scores.gather(1, part.amax(1, keepdim=True))
            rivals = scores.scatter(1, part.amax(1, keepdim=True), -math.inf)
            right.append(true[:, 0] > rivals.amax(1))
    return torch.cat(right).numpy()


@pytest.mark.parametrize(("name", "strategy"), sorted(FIGURES if THOROUGH else FIGURES.keys() - SLOW))
def test_figures_and_coverage_of_the_shipped_models(name, strategy):
    proof = proof_of(name, strategy)
    vocab, n_ctx, total = proof.task.d_vocab, proof.task.n_ctx, proof.task.total
    accuracy, operations, dimension = FIGURES[name, strategy]
    assert proof.result.correct >= accuracy * total
    assert operations is None or proof.operations <= operations
    assert proof.unexplained_dimension == dimension == 3 * vocab**2 + 2 * vocab * n_ctx

    tokens = np.random.default_rng(0).integers(0, vocab, (SAMPLES, n_ctx))
    covered = proof.result.covers(tokens)
    assert not np.any(covered & ~classified(proof, tokens))
    share = proof.result.correct / total
    assert abs(covered.mean() - share) <= SIGMAS * math.sqrt(share * (1 - share) / SAMPLES) + 1 / SAMPLES


def test_golden_operation_count():
    """What one certificate costs, to the operation: it changes only if the checks or the definition of the figure do."""
    assert proof_of("max-of-4", "pessimized").operations == 1_603_922


@pytest.mark.skipif(not THOROUGH, reason="make demo shows it, too")
def test_exact_proves_what_brute_force_does():
    """But for inputs so close to a tie that neither can tell."""
    exact, brute_force = (proof_of("max-of-4", strategy).result.correct for strategy in ("exact", "brute-force"))
    assert abs(exact - brute_force) <= 3


@pytest.mark.parametrize("name", ["max-of-4", "max-of-10"])
def test_inputs_inside_sampled_ranges(name):
    """A uniform input is hardly ever in the ranges; these all are."""
    proof = proof_of(name, "sampling")
    ranges = proof.certificate.steps[1].hints["ranges"].integers()[:-1]
    tokens = np.stack(np.meshgrid(*(np.arange(*bounds) for bounds in ranges), indexing="ij"), axis=-1)
    tokens = tokens.reshape(-1, proof.task.n_ctx)
    assert len(tokens) == 100_000
    covered = proof.result.covers(tokens)
    assert covered.sum() == proof.result.correct
    right = classified(proof, tokens)
    assert not np.any(covered & ~right)
    assert covered.sum() >= 0.999 * right.sum()  # all but near ties


@pytest.mark.parametrize("name", ["max-of-4", "max-of-10"])
def test_the_public_query_names_the_certifying_step(name, tmp_path):
    proof = proof_of(name, "classes")
    write_certificate(tmp_path / "classes.cert", proof.certificate)
    tokens = np.random.default_rng(1).integers(0, 64, (2_000, proof.task.n_ctx))
    step = covers(tmp_path / "classes.cert", MODELS / f"{name}.safetensors", tokens)
    assert np.array_equal(step >= 0, proof.result.covers(tokens))
    for index, fact in enumerate(proof.facts):
        if proof.certificate.steps[index].rule == "group-chains":
            assert np.array_equal(step == index, fact.covers(tokens)), "classes are disjoint"
    rules = [proof.certificate.steps[index].rule for index in np.unique(step[step >= 0])]
    assert set(rules) == {"group-chains"} and (step >= 0).mean() > 0.99
