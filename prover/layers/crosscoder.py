"""Crosscoders: one dictionary for all sides of a hidden layer on two inputs, what neurons read of either and what they write.

A neuron is a row of three sides: its columns of `left` and `right`, with half of its bias each, and its row of the unembedding.
A feature has a shape on each side, l_f, r_f and u_f, and reads g_f(a, b) = l_f[a] + r_f[b]. A neuron has codes c_if >= 0 for
few features, the same on all sides, and signs s_if: it is taken to read x^ = sum_f c_if s_if g_f and to write sum_f c_if u_f.
Signs are free, as 2 relu(x) = x + |x|: the linear half needs no description, and |x^| = c |g| for a neuron with one feature,
whatever its sign. The *feature interaction* is |x^| - sum_f c_if |g_f| (see checker/layers/coded_output).

`train` is the TopK variant (Gao et al. 2024) of a crosscoder (Lindsey et al. 2024, "Sparse Crosscoders for Cross-Layer Features
and Model Diffing"): an encoder that sees all sides, whose `sparsity` largest activations are kept, and a decoder for each side;
Adam on the mean squared error of all sides together. What a neuron reads counts up to its sign. The penalty is the mean square
of the feature interaction over random pairs, on the scale of the error of reading (after Manning-Coe et al. 2026).
"""

from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import torch
from torch import Tensor

from certificates import Step
from prover.layers.dictionaries import Dictionary
from prover.layers.two_input_problem import Hidden
from prover.strategy import DoesNotFit

SIDES = 3
_STEPS = 2000
_RATE = 1e-2
_PAIRS = 256
_NOTHING = 1e-300


@dataclass(frozen=True)
class Crosscoder:
    """Features: left "a f", right "b f", output "f z"; codes "i f"; signs "i f" of what is read."""

    left: Tensor
    right: Tensor
    output: Tensor
    codes: Tensor
    signs: Tensor

    @staticmethod
    def of_step(step: Step, hidden: Hidden) -> "Crosscoder":
        """From the hints of rule coded-output, features included. The signs are those with which reading fits best."""
        unit = 2.0 ** -step.parameters["scale"]
        numbers = {name: torch.as_tensor(hint.integers().astype(np.float64)) * unit for name, hint in step.hints.items()}
        left, right, output = (numbers[name] for name in ("left_features", "right_features", "dictionary"))
        atoms = torch.as_tensor(step.hints["atoms"].integers().astype(np.int64))
        values, reading = numbers["codes"], _sides(hidden)[0]
        parts = values[:, :, None] * torch.cat([left, right]).T[atoms]  # i k (a b)
        patterns = torch.as_tensor(list(product((1.0, -1.0), repeat=atoms.shape[1])), dtype=values.dtype)
        errors = torch.stack([((parts * pattern[:, None]).sum(1) - reading).square().sum(1) for pattern in patterns])
        best = patterns[errors.argmin(0)]  # i k
        codes = torch.zeros((len(atoms), len(output)), dtype=values.dtype).scatter_add(1, atoms, values)
        return Crosscoder(left, right, output, codes, torch.ones_like(codes).scatter(1, atoms, best))

    @staticmethod
    def of_dictionary(dictionary: Dictionary, hidden: Hidden, sparsity: int) -> "Crosscoder":
        """Neurons by the features of a dictionary with three sides: matching pursuit, what is read up to its sign."""
        size, outputs = len(hidden.left), hidden.unembed.shape[1]
        count, width = len(dictionary.atoms), dictionary.atoms.shape[1] // dictionary.sides
        if dictionary.sides != SIDES or width != max(size, outputs):
            raise DoesNotFit(f"the dictionary has {dictionary.sides} x {width} numbers an atom, not 3 x {max(size, outputs)}")
        by_side = torch.as_tensor(dictionary.atoms.reshape(count, SIDES, width))
        shapes = torch.cat([by_side[:, 0, :size], by_side[:, 1, :size]], 1)
        reading, writing = _sides(hidden)
        units = _unit(reading), _unit(writing)
        read, written = shapes / units[0], by_side[:, 2, :outputs] / units[1]
        codes = torch.zeros((len(reading), count), dtype=read.dtype)
        signs = torch.where(reading @ read.T < 0, -1.0, 1.0).to(read.dtype)
        for i, row in enumerate(torch.cat([reading / units[0], writing / units[1]], 1)):
            rest, chosen = row, list[int]()
            atoms = torch.cat([read * signs[i][:, None], written], 1)
            lengths = atoms.norm(dim=1).clamp_min(_NOTHING)
            for _ in range(min(sparsity, count)):
                common = atoms @ rest / lengths
                common[chosen] = -torch.inf
                chosen.append(int(common.argmax()))
                fitted = torch.linalg.lstsq(atoms[chosen].T, row[:, None]).solution[:, 0].clamp_min(0)
                rest = row - fitted @ atoms[chosen]
            codes[i, chosen] = fitted
        return Crosscoder(shapes[:, :size].T, shapes[:, size:].T, by_side[:, 2, :outputs], codes, signs)

    def kept(self, sparsity: int) -> "Crosscoder":
        """The largest codes of each neuron only."""
        places = self.codes.topk(min(sparsity, self.codes.shape[1]), 1).indices
        return replace(self, codes=torch.zeros_like(self.codes).scatter(1, places, self.codes.gather(1, places)))

    def seen(self, first: Tensor, second: Tensor) -> Tensor:
        """What features read, g "p f", at pairs "p"."""
        return self.left[first] + self.right[second]

    def read(self, seen: Tensor) -> Tensor:
        """x^ "p i"."""
        return seen @ (self.codes * self.signs).T

    def interaction(self, seen: Tensor) -> Tensor:
        """The feature interaction "p i"."""
        return self.read(seen).abs() - seen.abs() @ self.codes.T

    def of_reading(self, hidden: Hidden) -> tuple[Tensor, Tensor]:
        """Errors of reading either input, "a i" and "b i", the constant part of both shared equally."""
        codes = self.codes * self.signs
        left = torch.as_tensor(hidden.left + hidden.bias) - self.left @ codes.T
        right = torch.as_tensor(hidden.right) - self.right @ codes.T
        shift = (left.mean(0) - right.mean(0)) / 2
        return left - shift, right + shift

    def centre(self, hidden: Hidden) -> Tensor:
        """The mean "i" over all pairs of what sizes |x| are beside what is expected."""
        left, right = torch.as_tensor(hidden.left + hidden.bias), torch.as_tensor(hidden.right)
        pairs = zip(left, self.left, strict=True)
        beside = [((row + right).abs() - (own + self.right).abs() @ self.codes.T).mean(0) for row, own in pairs]
        return torch.stack(beside).mean(0)


def _sides(hidden: Hidden) -> tuple[Tensor, Tensor]:
    """What neurons read "i (a b)", and what they write "i z", about its mean."""
    half = hidden.bias / 2
    reading = np.concatenate([hidden.left + half, hidden.right + half]).T
    return torch.as_tensor(reading), torch.as_tensor(hidden.unembed - hidden.unembed.mean(1, keepdims=True))


def _unit(rows: Tensor) -> float:
    return float(rows.square().sum(1).mean().sqrt().clamp_min(_NOTHING))


def train(hidden: Hidden, features: int, sparsity: int, penalty: float, seed: int = 0) -> Crosscoder:
    """Reconstruct the neurons of a hidden layer by `sparsity` of `features` features each."""
    generator = torch.Generator().manual_seed(seed)
    reading, writing = _sides(hidden)
    units = _unit(reading), _unit(writing)
    reading, writing = reading / units[0], writing / units[1]
    size, neurons = len(hidden.left), len(reading)
    picked = torch.randperm(neurons, generator=generator)[torch.arange(features) % neurons]
    noise = [torch.randn((features, side.shape[1]), generator=generator, dtype=side.dtype) for side in (reading, writing)]
    shape, written = _normalised(reading[picked] + 1e-2 * noise[0], writing[picked] + 1e-2 * noise[1])
    decoders = [shape.clone().requires_grad_(), written.clone().requires_grad_()]
    encoders = [shape.T.clone().requires_grad_(), written.T.clone().requires_grad_()]
    encoder_bias = torch.zeros(features, dtype=shape.dtype, requires_grad=True)
    adam = torch.optim.Adam([*decoders, *encoders, encoder_bias], lr=_RATE)

    def crosscoder() -> Crosscoder:
        shape, written = _normalised(*decoders)
        common = reading @ encoders[0]
        best = (common.abs() + writing @ encoders[1] + encoder_bias).topk(sparsity, 1)
        codes = torch.zeros_like(common).scatter(1, best.indices, best.values.relu())
        signs = torch.where(common < 0, -1.0, 1.0).to(common.dtype)
        return Crosscoder(shape[:, :size].T, shape[:, size:].T, written, codes, signs)

    for step in range(_STEPS):
        adam.param_groups[0]["lr"] = _RATE * min(1.0, 5 * (_STEPS - step) / _STEPS)
        found = crosscoder()
        described = found.read(torch.cat([found.left, found.right])).T  # i (a b)
        loss = (described - reading).square().sum() + (found.codes @ found.output - writing).square().sum()
        if penalty:
            seen = found.seen(*torch.randint(size, (2, _PAIRS), generator=generator))
            loss = loss + penalty * size * found.interaction(seen).square().mean(0).sum()
        adam.zero_grad()
        (loss / neurons).backward()
        adam.step()
    with torch.no_grad():
        found = crosscoder()
        shapes = (found.left * units[0], found.right * units[0], found.output * units[1])
        return Crosscoder(*shapes, found.codes, found.signs)


def _normalised(shape: Tensor, written: Tensor) -> tuple[Tensor, Tensor]:
    """Features of length one, over all sides."""
    length = (shape.square().sum(1, keepdim=True) + written.square().sum(1, keepdim=True)).sqrt().clamp_min(_NOTHING)
    return shape / length, written / length
