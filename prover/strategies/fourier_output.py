"""Strategy `fourier`: every neuron writes along few frequencies (addition modulo p; rule fourier-output).

What matters most is exact: neurons are evaluated on every pair, at four operations for each frequency that they write. Where
neurons nearly read a single frequency, what they write beside their main frequency is taken from the sum over angles, as in
`quadrature`: only the deviation from that, times the little that is written there, is an error.
"""

import itertools
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from certificates import RawTensor, Step
from certificates.tensor_file import IntArray
from prover.error_terms import ErrorTerms, greatest_cause
from prover.layers.examined_pairs import ExaminedPairs
from prover.layers.fourier_bound import Entries, FourierBound, Waves, fourier_bound
from prover.layers.hidden_layer import hidden_layer
from prover.layers.two_input_problem import TwoInputProblem
from prover.strategy import DoesNotFit, Evidence, Strategy
from prover.surrogate import Claims, Surrogate
from prover.weights import Weights

_SCALE_BITS = 28
_EXACT, _IDEAL = (300, 200, 150, 100, 70, 50, 35, 20, 10, 3, 1), (100, 30, 10, 3, 1)
_OPEN = (0.03, 0.2)
"""Shares of the median margin that the bases of a transformer may leave open."""
_NEARLY = 200
"""Nearly as much: within total / 200 pairs."""
_NOTHING = 1e-300


@dataclass(frozen=True)
class _Found:
    """Tables, entries, their bound, the pairs with their buckets "p"; right "p": those proved, in all so many inputs (covered),
    for about so many operations.
    """

    problem: TwoInputProblem
    entries: Entries
    bound: FourierBound
    pairs: ExaminedPairs
    bucket: Tensor
    right: Tensor
    covered: int
    operations: int


@dataclass(frozen=True)
class Fourier(Strategy):
    """exact: how much of all deviations, squared, may be left to ideal entries, in thousandths. ideal: how much of what neurons
    write, squared, may have no entry, in parts of 100,000. 0: the shortest proof among several. buckets: for each difference of
    the inputs. projected: 1: the tables of a transformer by few directions, 0: folded exactly.
    """

    name: ClassVar[str] = "fourier"
    cost: ClassVar[str] = "n^2 m"
    summary: ClassVar[str] = "every neuron writes along few frequencies, mostly one (cyclic groups)"

    exact: int = 0
    ideal: int = 0
    buckets: int = 2
    projected: int = 1

    @classmethod
    def sweep(cls, problem: TwoInputProblem) -> tuple[Self, ...]:
        """More and less of everything."""
        return (*(cls(exact, ideal) for exact in (100, 20, 3) for ideal in (100, 10, 1)), cls())

    def prove(self, problem: TwoInputProblem) -> Evidence:
        """Choose entries, and list the buckets for which the bound holds beyond rounding."""
        found = self._found(problem)
        problem, entries, bound = found.problem, found.entries, found.bound
        scale = _SCALE_BITS - int(
            np.frexp(max(float(bound.vectors.abs().max()), float(bound.reading.abs().max()), _NOTHING))[1]
        )

        def stored(numbers: Tensor) -> IntArray:
            return np.rint(np.ldexp(numbers.cpu().numpy(), scale)).astype(np.int64)

        hints = {
            "weight": bound.weight.cpu().numpy().astype(np.int64),
            "reading": entries.reading.cpu().numpy(),
            "alpha": stored(bound.reading[:, 0]),
            "beta": stored(bound.reading[:, 1]),
        }
        for name, mask in (("exact", entries.exact), ("ideal", entries.ideal)):
            frequency, neuron = mask.T.nonzero().T
            listed, vectors = torch.stack([frequency, neuron], 1), bound.vectors[neuron, frequency]
            weight = bound.entry_weight[neuron, frequency]
            if not len(listed):  # the rule wants one: neuron 0 writes nothing of frequency 1
                listed, vectors, weight = torch.tensor([[1, 0]]), torch.zeros((1, 2)), torch.zeros(1)
            hints["entry_weight"] = weight.cpu().numpy().astype(np.int64)  # of the ideal ones, which come last
            hints[name], hints[f"{name}_vectors"] = listed.cpu().numpy(), stored(vectors)
        right = found.right.cpu().numpy()
        first, second = (part.cpu().numpy()[right] for part in (found.pairs.first, found.pairs.second))
        bucket = np.full(problem.task.table.shape, -1)
        bucket[first, second] = found.bucket.cpu().numpy()[right]
        tensors = {name: RawTensor.of_integers(hint) for name, hint in {"bucket": bucket, **hints}.items()}
        cells = bucket >= 0
        cells = cells | cells.T if problem.mirrored else cells
        step = Step("fourier-output", (0,), {"mirrored": int(problem.mirrored), "scale": scale}, tensors)
        return Evidence((problem.hidden_step(problem.neurons), step), int(cells.sum()), problem.total, cells)

    def surrogate(self, problem: TwoInputProblem) -> Surrogate:
        """One claim for each bucket; entries and buckets are those found, vectors follow the weights."""
        found = self._found(problem)
        neurons = torch.as_tensor(found.problem.neurons)
        images = found.pairs.inputs(problem.mirrored).to(problem.layer.left.dtype)
        buckets = int(found.bucket.max()) + 1
        share = images.new_zeros(buckets).index_add(0, found.bucket, images) / problem.total
        usual = (found.bound.of_pairs + found.bound.allowed).amin(1).abs().mean().clamp_min(_NOTHING)
        constant = 2 * found.problem.slack(found.problem.neurons) - 2 * float(problem.layer.slack(neurons))

        def claims(weights: Weights, temperature: float) -> Claims:
            layer = hidden_layer(weights, problem.model.config)
            bound = fourier_bound(layer, neurons, found.entries, found.pairs)
            left = bound.margins(found.bucket, buckets) - constant - 2 * layer.slack(neurons)
            return Claims(left / usual, share)

        return claims

    def error_terms(self, problem: TwoInputProblem) -> ErrorTerms:
        """What makes the margin of the pair and rival for which least is left."""
        found = self._found(problem)
        bound, slack = found.bound, found.problem.slack(found.problem.neurons)
        left = bound.of_pairs
        rival = int(left.amin(0).argmin())
        gap, deviations = float((left[:, rival] + bound.allowed[rival]).min()) / 2, float(bound.deviations[rival]) / 2
        written, beside = float(bound.uncovered) / 2, float(bound.beside) / 2
        terms = ErrorTerms(gap, deviations / 2, deviations / 2, written, 0.0, beside, slack, 0.0)
        if terms.margin > 2 * problem.tolerance:
            return replace(terms, conclusion=f"of a gap of {gap:.3g} at the worst pair, errors leave {terms.margin:.3g}")
        causes = {
            "what neurons read beside one frequency": deviations,
            "what neurons write beside their entries": written,
            "the path around the MLP": beside,
            "neurons and directions left out": slack,
        }
        outcome = "not all pairs" if found.covered else "vacuous"
        return replace(terms, conclusion=f"{outcome}: {greatest_cause(causes)}, and the gap is {gap:.3g}")

    def _found(self, problem: TwoInputProblem) -> _Found:
        """The shortest proof that proves nearly as much as any that was tried."""
        if min(self.exact, self.ideal, self.buckets - 1) < 0 or self.projected not in (0, 1):
            raise DoesNotFit("fourier needs exact and ideal of at least 0, one bucket or more, and projected 0 or 1")
        if not problem.task.is_addition or problem.hidden.unembed.shape[1] != len(problem.task.table):
            raise DoesNotFit("fourier is about addition modulo p, with one output for each residue")
        settings = list(itertools.product((self.exact,) if self.exact else _EXACT, (self.ideal,) if self.ideal else _IDEAL))
        ways = [problem.projected(share) for share in _OPEN] if self.projected else [problem]
        tried = []
        for folded in ways:
            candidates, pairs = _Candidates.of(folded), ExaminedPairs.every(folded)
            tried += [self._tried(folded, pairs, candidates.chosen(exact / 1e3, ideal / 1e5)) for exact, ideal in settings]
        most = max(found.covered for found in tried)
        return min((f for f in tried if _NEARLY * (most - f.covered) <= problem.total), key=lambda found: found.operations)

    def _tried(self, problem: TwoInputProblem, pairs: ExaminedPairs, entries: Entries) -> _Found:
        bound = fourier_bound(problem.layer, torch.as_tensor(problem.neurons), entries, pairs)
        p, each = len(problem.task.table), bound.of_pairs.amin(1)
        difference = (pairs.first - pairs.second) % p
        kind = torch.minimum(difference, p - difference)
        order = torch.as_tensor(np.lexsort((each.cpu().numpy(), kind.cpu().numpy())), device=kind.device)
        bucket, kinds = torch.empty_like(kind), kind[order]
        starts = torch.searchsorted(kinds, kinds)
        sizes = torch.bincount(kinds, minlength=p)[kinds]
        bucket[order] = kinds * self.buckets + (torch.arange(len(order), device=starts.device) - starts) * self.buckets // sizes
        bucket = bucket.unique(return_inverse=True)[1]
        left = bound.margins(bucket, int(bucket.max()) + 1).amin(1)
        right = (left > 2 * problem.slack(problem.neurons) + 4 * problem.tolerance)[bucket]
        written, evaluated = int(entries.exact.sum()), int(entries.exact.any(1).sum())
        frequencies = int((entries.exact | entries.ideal).any(0).sum())
        price = len(each) * (2 * evaluated + 4 * written + 16 * frequencies) + p * (4 * written + 15 * int(entries.ideal.sum()))
        price += problem.bases.price if problem.bases else 0
        return _Found(problem, entries, bound, pairs, bucket, right, int(pairs.inputs(problem.mirrored)[right].sum()), price)


@dataclass(frozen=True)
class _Candidates:
    """All entries "i j": what they say, and what they would cost if they were ideal, squared; and what neurons read, "i"."""

    says: Tensor
    costs: Tensor
    reading: Tensor

    @staticmethod
    def of(problem: TwoInputProblem) -> "_Candidates":
        """Of the neurons that matter."""
        neurons = torch.as_tensor(problem.neurons)
        left, unembed = problem.layer.left[:, neurons], problem.layer.unembed[neurons]
        waves = Waves.of(len(left), left)
        read = waves.coefficients(left.T)
        reading = read.square().sum(2).argmax(1)
        of_main = read * torch.nn.functional.one_hot(reading, len(waves.cos))[..., None]
        away = (left.T - waves.functions(of_main) + problem.layer.bias[neurons, None] / 2).square().mean(1)
        written = waves.coefficients(unembed).square().sum(2)  # i j
        return _Candidates(written * left.square().mean(0)[:, None], written * away[:, None], reading)

    def chosen(self, exact: float, ideal: float) -> Entries:
        """Those that would cost most are exact, all but a share `exact`; of the others those that say most are ideal, all but a
        share `ideal` of what all entries say.
        """
        all_exact = _most(self.costs, exact)
        rest = torch.where(all_exact, 0, self.says)
        allowed = ideal * float(self.says.sum()) / max(float(rest.sum()), _NOTHING)
        return Entries(all_exact, _most(rest, allowed), self.reading)


def _most(values: Tensor, left: float) -> Tensor:
    """The largest of values "i j" but for a share `left` of their sum."""
    order = values.flatten().argsort(descending=True)
    before = torch.cumsum(values.flatten()[order], 0) - values.flatten()[order]
    result = torch.zeros(values.numel(), dtype=torch.bool, device=values.device)
    result[order[before < (1 - left) * values.sum()]] = True
    return result.view_as(values)
