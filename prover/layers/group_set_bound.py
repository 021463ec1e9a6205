"""Theorem 1 of rule `set-output` in float64, term by term, differentiable (notation: checker/layers/set_output)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from certificates import Step, integer_tensor
from certificates.tensor_file import IntArray
from prover.layers.group_actions import BoolArray, FloatArray, GroupSet, generators, inverses, side_by_side
from prover.layers.hidden_layer import HiddenLayer
from prover.layers.two_input_problem import Hidden
from prover.surrogate import soft_maximum, soft_minimum

_BITS = 40
"""Accuracy of t in certificates, relative to the largest."""


@dataclass(frozen=True)
class SetBlock:
    """Neurons "i" at cells (beta, gamma) of two sets, cell by cell; they unembed t "i" times the kernel "x y"."""

    first: GroupSet
    second: GroupSet
    kernel: IntArray
    neurons: IntArray
    beta: IntArray
    gamma: IntArray
    t: FloatArray

    @property
    def cells(self) -> IntArray:
        """The number of each neuron's cell."""
        return self.beta * self.second.size + self.gamma

    def __getitem__(self, some: BoolArray) -> "SetBlock":
        arrays = (self.neurons, self.beta, self.gamma, self.t)
        return SetBlock(self.first, self.second, self.kernel, *(array[some] for array in arrays))

    @property
    def at_z(self) -> IntArray:
        """What the kernel says that each neuron writes, "i z"."""
        values: IntArray = self.kernel[self.beta[:, None], self.second.action[:, self.gamma].T]
        return values


def sets_step(table: IntArray, blocks: Sequence[SetBlock]) -> Step:
    """The step that has the checker evaluate the bounds of all blocks, whose neurons the tables have one after the other.

    Every block has points of its own.
    """
    actions, beta, gamma, start = list[IntArray](), list[IntArray](), list[IntArray](), 0
    kernel = np.zeros((sum(block.first.size + block.second.size for block in blocks),) * 2, np.int64)
    for block in blocks:
        sets = [block.first] if block.first is block.second else [block.first, block.second]
        second = start + (len(sets) - 1) * block.first.size
        kernel[start : start + block.first.size, second : second + block.second.size] = block.kernel
        beta.append(start + block.beta)
        gamma.append(second + block.gamma)
        actions += [one.action for one in sets]
        start = second + block.second.size
    t = np.concatenate([block.t for block in blocks])
    scale = _BITS - int(np.frexp(np.abs(t).max())[1])
    hints = {
        "action": side_by_side(actions),
        "generators": generators(table),
        "kernel": kernel[:start, :start],
        "beta": np.concatenate(beta),
        "gamma": np.concatenate(gamma),
        "t": np.rint(np.ldexp(t, scale)).astype(np.int64),
    }
    return Step("set-output", (0,), {"scale": scale}, {name: integer_tensor(hint) for name, hint in hints.items()})


@dataclass(frozen=True)
class SetBound:
    """What a block adds at least to the logit of ab less that of agb, term by term.

    gap "g": if M were the same in all cells; unevenness "g": what its minima are short of that, above all where a cell has no
    neuron; left, right "g": the errors of either embedding, B + C(g); unembedding: A.
    """

    gap: Tensor
    unevenness: Tensor
    left: Tensor
    right: Tensor
    unembedding: Tensor

    @property
    def margin(self) -> Tensor:
        """The sum of all terms, "g"."""
        return self.gap - self.unevenness - self.left - self.right - self.unembedding


def profiles(values: Tensor, group_set: GroupSet, points: IntArray) -> tuple[Tensor, Tensor]:
    """The middles "x i" of values "g i" over the g with g point_i = x, and how far "i" values are from them at most."""
    order = torch.as_tensor(np.argsort(group_set.action[:, points], axis=0, kind="stable"), device=values.device)
    by_place = values.gather(0, order).reshape(group_set.size, -1, len(points))
    high, low = by_place.amax(1), by_place.amin(1)
    return (high + low) / 2, (high - low).amax(0) / 2


def sides(hidden: Hidden, table: IntArray) -> tuple[FloatArray, FloatArray]:
    """Both embeddings "g i" as functions that sit on sets alike: left at a = g^-1, with the bias, and right at b = g."""
    return (hidden.left + hidden.bias)[inverses(table)], hidden.right


def fitted_t(layer: HiddenLayer, block: SetBlock) -> Tensor:
    """The t "i" for which the kernel is nearest to what neurons write, constants aside, by least squares."""
    written = layer.unembed[torch.as_tensor(block.neurons, device=layer.unembed.device)]
    at_z = torch.as_tensor(block.at_z, device=written.device).to(written.dtype)
    centred = at_z - at_z.mean(1, keepdim=True)
    return (written * centred).sum(1) / centred.square().sum(1).clamp_min(1e-300)


def set_bound(
    layer: Hidden | HiddenLayer, table: IntArray, block: SetBlock, t: Tensor | None = None, temperature: float = 0.0
) -> SetBound:
    """Evaluate the theorem. t: instead of the block's; minima over cells are soft at a temperature."""
    tables = (layer.left, layer.right, layer.bias, layer.unembed)
    left_side, right_side, bias, unembed = (torch.as_tensor(values) for values in tables)
    device, neurons = unembed.device, torch.as_tensor(block.neurons, device=unembed.device)
    kernel, at_z = (torch.as_tensor(numbers, device=device).to(unembed.dtype) for numbers in (block.kernel, block.at_z))
    t = torch.as_tensor(block.t, device=device) if t is None else t
    reached = (left_side[:, neurons] + bias[neurons])[torch.as_tensor(inverses(table), device=device)]
    lam, left = profiles(reached, block.first, block.beta)
    mu, right = profiles(right_side[:, neurons], block.second, block.gamma)
    active = (lam.T[:, :, None] + mu.T[:, None, :]).relu()  # "i x y"
    r = _range(unembed[neurons] - t[:, None] * at_z)

    def per_cell(values: Tensor) -> Tensor:
        cells = torch.as_tensor(block.cells, device=device)
        return values.new_zeros(kernel.numel(), *values.shape[1:]).index_add(0, cells, values)

    main, loose = per_cell(t[:, None, None] * active), per_cell(r[:, None, None] * active)
    change = kernel - kernel[:, torch.as_tensor(block.second.action, device=device)].movedim(1, 0)  # "g x y"
    gap = (change * main.mean(0)).sum((1, 2))
    least, most = soft_minimum(main, 0, temperature), soft_maximum(main, 0, temperature)
    evenly = (change.relu() * least - (-change).relu() * most).sum((1, 2))
    moved = change.abs().flatten(1).sort(1).values
    loads = [per_cell(side * t.abs()) for side in (left, right)]
    order = torch.argsort(loads[0] + loads[1])
    left_error, right_error = (side @ r + moved @ load[order] for side, load in zip((left, right), loads, strict=True))
    unembedding = torch.minimum(loose.amax(0).sum(), loose.amax((1, 2)).sum())
    return SetBound(gap, gap - evenly, left_error, right_error, unembedding)


def _range(values: Tensor) -> Tensor:
    return values.amax(1) - values.amin(1)
