"""The shipped models: what is certified, what `covers` says about random inputs, and what a forward pass says.

Also the order of inputs in which enumerations and samples are stated.
"""

import itertools
import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

import certificates
from certificates import read_model, write_certificate
from certificates.input_order import boxes, rank_of
from checker import covers
from checker.core.decide import Proof, check_proof
from prover.attention.sequence_problem import SequenceProblem
from prover.prove import prove
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


@pytest.mark.parametrize(("name", "strategy"), FIGURES)
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
    assert proof_of("max-of-4", "pessimized").operations == 1_614_374


def test_exact_proves_what_brute_force_does():
    """But for inputs so close to a tie that neither can tell."""
    exact, brute_force = (proof_of("max-of-4", strategy).result.correct for strategy in ("exact", "brute-force"))
    assert abs(exact - brute_force) <= 3


@pytest.mark.parametrize("name", ["max-of-4", "max-of-10"])
def test_inputs_inside_a_sampled_range(name):
    """A uniform input is hardly ever in the range; these all are: those with the largest ranks."""
    proof = proof_of(name, "sampling")
    vocab, n_ctx = proof.task.d_vocab, proof.task.n_ctx
    parameters = proof.certificate.steps[1].parameters
    start, stop = parameters["start"], parameters["stop"]
    tokens = np.concatenate([_inputs_of(box, n_ctx, start, stop) for box in boxes(vocab, n_ctx, start, stop)])
    assert len(np.unique(tokens, axis=0)) == len(tokens) == stop - start == 100_000
    assert all(start <= rank_of(tuple(row), vocab) < stop for row in tokens[::97].tolist())
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


# --- the order of inputs ---------------------------------------------------------------------------------------------


def _inputs_of(box, n_ctx: int, start: int, stop: int) -> np.ndarray:
    """The inputs of a box with start <= rank < stop, in order, from the definition."""
    index = np.arange(max(start - box.start, 0), min(stop - box.start, box.size))
    tokens = np.full((len(index), n_ctx), box.label)
    tokens[:, -1] = box.query
    for position, choice in zip(reversed(box.positions), reversed(box.choices), strict=True):
        tokens[:, position] = index % choice
        index = index // choice
    return tokens


SIZES = [(vocab, n_ctx) for vocab in range(2, 7) for n_ctx in range(2, 6) if vocab**n_ctx <= 1500]


@pytest.mark.parametrize(("vocab", "n_ctx"), SIZES)
def test_boxes_partition_all_inputs_in_the_order_of_their_ranks(vocab, n_ctx):
    total = vocab**n_ctx
    everything = list(boxes(vocab, n_ctx, 0, total))
    assert [box.start for box in everything] == [0, *itertools.accumulate(box.size for box in everything)][:-1]
    seen = []
    for box in everything:
        tokens = _inputs_of(box, n_ctx, 0, total)
        assert len(tokens) == box.size == math.prod(box.choices)
        for i, row in enumerate(map(tuple, tokens.tolist())):
            assert len(row) == n_ctx and row[-1] == box.query and max(row) == box.label
            free = row[:-1]
            assert (free.index(box.label) if box.label in free else n_ctx - 1) == box.first
            assert rank_of(row, vocab) == box.start + i
            seen.append(row)
    assert sorted(seen) == list(itertools.product(range(vocab), repeat=n_ctx))


@pytest.mark.parametrize(("vocab", "n_ctx"), SIZES)
def test_ranks_order_by_query_then_maximum_then_first_copy_then_lexicographically(vocab, n_ctx):
    def key(x):
        free, label = x[:-1], max(x)
        return x[-1], label, free.index(label) if label in free else n_ctx - 1, free

    inputs = sorted(itertools.product(range(vocab), repeat=n_ctx), key=key)
    assert [rank_of(x, vocab) for x in inputs] == list(range(len(inputs)))


@pytest.mark.parametrize(("vocab", "n_ctx"), [(2, 2), (2, 4), (3, 3), (5, 2), (4, 3)])
def test_a_range_meets_exactly_the_boxes_of_its_inputs(vocab, n_ctx):
    everything = list(boxes(vocab, n_ctx, 0, vocab**n_ctx))
    for start in range(vocab**n_ctx):
        for stop in range(start + 1, vocab**n_ctx + 1):
            met = [box for box in everything if box.start < stop and box.start + box.size > start]
            assert list(boxes(vocab, n_ctx, start, stop)) == met


def test_ranks_of_inputs_beyond_64_bits():
    vocab, n_ctx = 4096, 64
    assert rank_of((0,) * n_ctx, vocab) == 0
    assert rank_of((vocab - 1,) * n_ctx, vocab) < vocab**n_ctx
    last = (*[vocab - 2] * (n_ctx - 1), vocab - 1)
    assert rank_of(last, vocab) == vocab**n_ctx - 1
