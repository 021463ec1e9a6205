"""Proofs by rule `wave-output` from given entries: what they certify, what they cost, their certificate, their surrogate."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from certificates import Step, integer_tensor
from certificates.tensor_file import IntArray
from prover.layers.examined_pairs import ExaminedPairs
from prover.layers.hidden_layer import hidden_layer
from prover.layers.two_input_problem import TwoInputProblem
from prover.layers.wave_bound import Entries, WaveBound, Waves, wave_bound
from prover.strategy import DoesNotFit, Evidence
from prover.surrogate import Claims, Surrogate
from prover.weights import Weights

_SCALE_BITS = 28
_NOTHING = 1e-300
_LEAST = 0.1
"""What fine-tuning takes for the least lead, as a share of the mean: conditions are relative to their leads."""


def require_addition(problem: TwoInputProblem) -> None:
    """Raises DoesNotFit if the rule is not about this task or these outputs."""
    if not problem.task.is_addition or problem.hidden.unembed.shape[1] != len(problem.task.table):
        raise DoesNotFit("waves are about addition modulo p, with one output for each residue")


@dataclass(frozen=True)
class Candidates:
    """All entries "i j": what they say, and what they would cost if they were ideal, squared; and what neurons read, "i"."""

    says: Tensor
    costs: Tensor
    reading: Tensor

    @staticmethod
    def of(problem: TwoInputProblem) -> "Candidates":
        """Of the neurons that matter."""
        neurons = torch.as_tensor(problem.neurons)
        left, unembed = problem.layer.left[:, neurons], problem.layer.unembed[neurons]
        waves = Waves.of(len(left), left)
        read = waves.coefficients(left.T)
        reading = read.square().sum(2).argmax(1)
        of_main = read * torch.nn.functional.one_hot(reading, len(waves.cos))[..., None]
        away = (left.T - waves.functions(of_main) + problem.layer.bias[neurons, None] / 2).square().mean(1)
        written = waves.coefficients(unembed).square().sum(2)  # i j
        return Candidates(written * left.square().mean(0)[:, None], written * away[:, None], reading)

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


@dataclass(frozen=True)
class WaveProof:
    """Tables, entries, their bound, the pairs with their buckets "p"; right "p": those proved, in all so many inputs (covered),
    for about so many operations. angles: whether by angle; then buckets are the differences, 0 .. p // 2.
    """

    problem: TwoInputProblem
    entries: Entries
    angles: bool
    bound: WaveBound
    pairs: ExaminedPairs
    bucket: Tensor
    right: Tensor
    covered: int
    operations: int

    @staticmethod
    def of(problem: TwoInputProblem, pairs: ExaminedPairs, entries: Entries, buckets: int, angles: bool = False) -> "WaveProof":
        """With so many buckets for each difference of the inputs."""
        neurons, symmetric = torch.as_tensor(problem.neurons), problem.hidden.symmetric
        bound = wave_bound(problem.layer, neurons, entries, None if angles else pairs, symmetric)
        p = len(problem.task.table)
        difference = (pairs.first - pairs.second) % p
        bucket = kind = torch.minimum(difference, p - difference)
        if not angles:
            each = bound.of_each.amin(1)
            order = torch.as_tensor(np.lexsort((each.cpu().numpy(), kind.cpu().numpy())), device=kind.device)
            bucket, kinds = torch.empty_like(kind), kind[order]
            places = torch.arange(len(order), device=kind.device) - torch.searchsorted(kinds, kinds)
            bucket[order] = kinds * buckets + places * buckets // torch.bincount(kinds, minlength=p)[kinds]
            bucket = bucket.unique(return_inverse=True)[1]
        enough = problem.slack(problem.neurons) + 2 * problem.tolerance
        right = (_margins(bound, bucket, angles).amin(1) > enough)[bucket]
        written, told = int(entries.exact.sum()), int(entries.ideal.sum())
        frequencies = int((entries.exact | entries.ideal).any(0).sum())
        price = p * (3 * written + 12 * told)
        price += 0 if angles else len(kind) * (6 * written + 4 * entries.rows + 13 * frequencies)
        price += problem.bases.price if problem.bases else 0
        covered = int(pairs.inputs(problem.mirrored)[right].sum())
        return WaveProof(problem, entries, angles, bound, pairs, bucket, right, covered, price)

    @property
    def evidence(self) -> Evidence:
        """The steps of the proof."""
        problem, bound, entries, p = self.problem, self.bound, self.entries, len(self.problem.task.table)
        largest = max(float(part.abs().max()) for part in (bound.vectors, bound.wave, bound.level))
        scale = _SCALE_BITS - int(np.frexp(max(largest, _NOTHING))[1])

        def stored(numbers: Tensor) -> IntArray:
            return np.rint(np.ldexp(numbers.cpu().numpy(), scale)).astype(np.int64)

        ideal = entries.ideal.clone()
        ideal[0] |= entries.exact.any(0) & ~ideal.any(0)  # the rule wants an ideal entry of every frequency: it says nothing
        ideal[0, 1] |= not bool(ideal.any())
        hints = {
            "weight": bound.weight.cpu().numpy().astype(np.int64),
            "reading": entries.reading.cpu().numpy(),
            "wave": stored(bound.wave),
            "level": stored(bound.level),
        }
        for name, mask, said in (("exact", entries.exact, entries.exact), ("ideal", ideal, entries.ideal)):
            frequency, neuron = mask.T.nonzero().cpu().numpy().T
            order = np.lexsort((hints["reading"][neuron], frequency))
            frequency, neuron = frequency[order], neuron[order]
            hints[name] = np.stack([frequency, neuron], 1)
            hints[f"{name}_vectors"] = stored((bound.vectors * said[..., None])[neuron, frequency])
            hints["entry_weight"] = bound.entry_weight.cpu().numpy()[neuron, frequency].astype(np.int64)  # of the ideal ones
        right = self.right.cpu().numpy()
        first, second = (part.cpu().numpy()[right] for part in (self.pairs.first, self.pairs.second))
        bucket = np.full((p, p), -1)
        bucket[first, second] = 0 if self.angles else self.bucket.cpu().numpy()[right]
        tensors = {name: integer_tensor(hint) for name, hint in {"bucket": bucket, **hints}.items()}
        cells = bucket >= 0
        cells = cells | cells.T if problem.mirrored else cells
        parameters = {"angles": int(self.angles), "mirrored": int(problem.mirrored), "scale": scale}
        steps = (problem.hidden_step(problem.neurons), Step("wave-output", (0,), parameters, tensors))
        return Evidence(steps, int(cells.sum()), problem.total, cells)

    def surrogate(self, pull: float = 0.0) -> Surrogate:
        """One claim for each bucket; entries and buckets are those found, vectors follow the weights.

        pull: how much it counts that neurons are unlike what is said of them; then larger weights are no progress either.
        """
        problem, angles, bucket = self.problem, self.angles, self.bucket
        neurons, symmetric = torch.as_tensor(problem.neurons), problem.hidden.symmetric
        images = self.pairs.inputs(problem.mirrored).to(problem.layer.left.dtype)
        share = images.new_zeros(int(bucket.max()) + 1).index_add(0, bucket, images) / problem.total
        usual = (self.bound.of_each + self.bound.allowed).amin(1).abs().mean().clamp_min(_NOTHING)
        unit = self.bound.ahead.abs().mean(0).clamp_min(_NOTHING)
        constant = problem.slack(problem.neurons) - float(problem.layer.slack(neurons))

        def claims(weights: Weights, temperature: float) -> Claims:
            layer = hidden_layer(weights, problem.model.config)
            bound = wave_bound(layer, neurons, self.entries, None if angles else self.pairs, symmetric, temperature)
            left = (
                _margins(bound, bucket, angles, temperature * unit if temperature else None) - constant - layer.slack(neurons)
            )
            if not pull:
                return Claims(left / usual, share)
            lead = left + constant + layer.slack(neurons) + bound.allowed
            size = lead.maximum(_LEAST * lead.abs().mean()).clamp_min(_NOTHING)
            return Claims(left / size, share, pull * bound.unlike)

        return claims


def _margins(bound: WaveBound, bucket: Tensor, angles: bool, temperatures: Tensor | None = None) -> Tensor:
    """What the inequality leaves, "bucket d"."""
    return bound.of_each if angles else bound.margins(bucket, int(bucket.max()) + 1, temperatures)
