"""The bound of rule `group-sets` in float64, term by term (theorem and notation: checker/rules/group_sets)."""

from dataclasses import dataclass

import numpy as np

from certificates import RawTensor, Step
from certificates.tensor_file import IntArray
from prover.group_actions import FloatArray, GroupSet, generators, inverses
from prover.pair_problem import Hidden


@dataclass(frozen=True)
class SetBlock:
    """Neurons "i" at cells (beta, gamma) of two sets, cell by cell, with kernel "x y", and t "i" in units of 2**-scale."""

    first: GroupSet
    second: GroupSet
    kernel: IntArray
    neurons: IntArray
    beta: IntArray
    gamma: IntArray
    units: IntArray
    scale: int

    @property
    def t(self) -> FloatArray:
        """By how much each neuron unembeds the kernel."""
        numbers: FloatArray = np.ldexp(self.units.astype(np.float64), -self.scale)
        return numbers

    @property
    def cells(self) -> IntArray:
        """The number of each neuron's cell."""
        return self.beta * self.second.size + self.gamma

    def step(self, table: IntArray, start: int) -> Step:
        """The step that has the checker evaluate the bound, where the tables have the block's neurons from `start` on."""
        hints = {
            "action_x": self.first.action,
            "action_y": self.second.action,
            "generators": generators(table),
            "kernel": self.kernel,
            "neurons": np.arange(start, start + len(self.neurons)),
            "beta": self.beta,
            "gamma": self.gamma,
            "t": self.units,
        }
        stored = {name: RawTensor.of_integers(hint) for name, hint in hints.items()}
        return Step("group-sets", (0,), {"scale": self.scale}, stored)


@dataclass(frozen=True)
class SetBound:
    """What a block adds at least to the logit of ab less that of agb, term by term.

    gap "g": if M were the same in all cells; unevenness "g": what its minima are short of that, above all where a cell has no
    neuron; left, right "g": the errors of either embedding, B + C(g); unembedding: A.
    """

    gap: FloatArray
    unevenness: FloatArray
    left: FloatArray
    right: FloatArray
    unembedding: float

    @property
    def margin(self) -> FloatArray:
        """The sum of all terms, "g"."""
        return self.gap - self.unevenness - self.left - self.right - self.unembedding


def profiles(values: FloatArray, group_set: GroupSet, points: IntArray) -> tuple[FloatArray, FloatArray]:
    """The middles "x i" of values "g i" over the g with g point_i = x, and how far "i" values are from them at most."""
    order = np.argsort(group_set.action[:, points], axis=0, kind="stable")
    by_place = np.take_along_axis(values, order, 0).reshape(group_set.size, -1, len(points))
    high, low = by_place.max(1), by_place.min(1)
    return (high + low) / 2, (high - low).max(0) / 2


def sides(hidden: Hidden, table: IntArray) -> tuple[FloatArray, FloatArray]:
    """Both embeddings "g i" as functions that sit on sets alike: left at a = g^-1, with the bias, and right at b = g."""
    return (hidden.left + hidden.bias)[inverses(table)], hidden.right


def set_bound(hidden: Hidden, table: IntArray, block: SetBlock) -> SetBound:
    """Evaluate the theorem."""
    kernel, t = block.kernel.astype(np.float64), block.t
    left_side, right_side = sides(hidden.of(block.neurons), table)
    lam, left = profiles(left_side, block.first, block.beta)
    mu, right = profiles(right_side, block.second, block.gamma)
    active = np.maximum(lam.T[:, :, None] + mu.T[:, None, :], 0)  # "i x y"
    at_z = kernel[block.beta[:, None], block.second.action[:, block.gamma].T]
    r = np.ptp(hidden.unembed[block.neurons] - t[:, None] * at_z, axis=1)

    def per_cell(values: FloatArray) -> FloatArray:
        total = np.zeros((kernel.size, *values.shape[1:]))
        np.add.at(total, block.cells, values)
        return total

    main, loose = per_cell(t[:, None, None] * active), per_cell(r[:, None, None] * active)
    change = kernel - np.moveaxis(kernel[:, block.second.action], 1, 0)  # "g x y"
    gap = (change * main.mean(0)).sum((1, 2))
    least = (np.maximum(change, 0) * main.min(0) - np.maximum(-change, 0) * main.max(0)).sum((1, 2))
    moved = np.sort(np.abs(change).reshape(len(change), -1), 1)
    loads = [per_cell(side * np.abs(t)) for side in (left, right)]
    order = np.argsort(loads[0] + loads[1])
    left_error, right_error = (side @ r + moved @ load[order] for side, load in zip((left, right), loads, strict=True))
    unembedding = min(float(loose.max(0).sum()), float(loose.max((1, 2)).sum()))
    return SetBound(gap, gap - least, left_error, right_error, unembedding)
