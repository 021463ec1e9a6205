"""The nearest network that fills whole sets: what fine-tuning for `rho-sets` moves towards (notation: the rule's docstring).

A trained network may sit on sets exactly and yet prove nothing: every cell needs the same neurons, and often some have none, or
several functions share one set. Of the blocks that were found, the nearest network keeps some. In each of them all neurons get
one lam and one mu up to size, the main direction of those they have, and all cells the same sum of sizes times t, enough for a
loss near zero. Empty cells get the neurons that have least far to go; what is then left over stops writing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch

from certificates.tensor_file import IntArray
from prover.layers.group_actions import FloatArray, GroupSet, identity, inverses
from prover.layers.group_set_bound import SetBlock, profiles, sides
from prover.layers.group_set_search import TOLERANCES, Interpretation, block_of, clusters
from prover.layers.two_input_problem import Hidden

_TOLERANCES = (*TOLERANCES, 0.9)
"""Loose ones, too: they seat neurons on sets that explain only part of what they read."""
_MOST_BLOCKS = 6
_MOST_SHORT, _MOST_FACTOR = 10, 3
"""How much less than enough blocks may add to leads, and how many times larger t may become."""
_LEAST_SIZE = 0.3
_SIZES = np.geomspace(_LEAST_SIZE, 1.5, 6)
"""How large lam and mu may become for neurons that are moved to empty cells, relative to the others'."""


@dataclass(frozen=True)
class Ideal:
    """A block all of whose neurons read size * lam and size * mu; total: the sum of sizes times t that all cells are to have.

    lead "g": what the block then adds to the lead of ab over agb.
    """

    block: SetBlock
    lam: FloatArray
    mu: FloatArray
    size: FloatArray
    total: float
    lead: FloatArray

    @classmethod
    def of(cls, block: SetBlock, hidden: Hidden, table: IntArray) -> "Ideal":
        """Lam and mu by the neurons whose t has the sign of most; the rest are left out of the block."""
        left, right = (torch.as_tensor(side[:, block.neurons]) for side in sides(hidden, table))
        lam, mu = profiles(left, block.first, block.beta)[0], profiles(right, block.second, block.gamma)[0]
        read = torch.cat([lam, mu]).T.numpy()
        strength = np.linalg.norm(read, axis=1) * np.abs(block.t)
        kept = np.sign(block.t) == (1 if strength @ np.sign(block.t) >= 0 else -1)
        block, read, strength = block[kept], read[kept], strength[kept]
        scaled = read * np.abs(block.t)[:, None]
        main = np.linalg.svd(scaled, full_matrices=False)[2][0]
        main = main * (1 if (scaled @ main).sum() > 0 else -1)
        main = main * np.sqrt(strength @ (read**2).sum(1) / strength.sum())
        size = np.maximum(read @ main / (main @ main), _LEAST_SIZE)
        lam, mu = main[: block.first.size], main[block.first.size :]
        change = block.kernel - np.moveaxis(block.kernel[:, block.second.action], 1, 0)
        total = float(size @ block.t) / len(np.unique(block.cells))
        lead = total * (change * np.maximum(lam[:, None] + mu, 0)).sum((1, 2))
        return cls(block, lam, mu, size, total, lead)

    def rows(self, table: IntArray, cells: IntArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """left, right and unembed (about its mean), "c g", of a neuron of size 1 and t = 1 in each of some cells."""
        beta, gamma = np.divmod(cells, self.block.second.size)
        written = self.block.kernel[beta[:, None], self.block.second.action[:, gamma].T]
        left, right = self.lam[self.block.first.action[inverses(table)][:, beta]], self.mu[self.block.second.action[:, gamma]]
        return left.T, right.T, written - written.mean(1, keepdims=True)


@dataclass(frozen=True)
class CompleteNetwork:
    """left (with the bias), right "a i" and unembed "i z" of a network on whole sets; distance: squared, from the original."""

    left: FloatArray
    right: FloatArray
    unembed: FloatArray
    distance: float


def nearest_complete(
    hidden: Hidden, table: IntArray, sets: Sequence[GroupSet], interpretation: Interpretation
) -> CompleteNetwork | None:
    """The nearest that was found; None if no set has few enough cells for the neurons there are."""
    others, wanted = np.arange(len(table)) != identity(table), np.log(len(table))
    best: CompleteNetwork | None = None
    for tolerance in _TOLERANCES:
        found, _ = clusters(sets, hidden, table, tolerance)
        kernels = [(cluster, interpretation(cluster)) for cluster in found if cluster.orbit.size <= len(hidden.bias)]
        blocks = [block_of(cluster, kernel, hidden) for cluster, kernel in kernels if kernel is not None and np.ptp(kernel)]
        blocks.sort(key=lambda block: -float(hidden.reach[block.neurons].sum()))
        ideals = [Ideal.of(block, hidden, table) for block in blocks[:_MOST_BLOCKS] if block.t.any()]
        for count in range(1, len(ideals) + 1):
            for chosen in combinations(ideals, count):
                lead = sum(ideal.lead for ideal in chosen)[others].min()
                if lead * _MOST_SHORT > wanted:
                    factor = float(np.clip(wanted / lead, 1, _MOST_FACTOR))
                    best = _completed(hidden, table, chosen, factor, best) or best
    return best


def _completed(
    hidden: Hidden, table: IntArray, chosen: Sequence[Ideal], factor: float, best: CompleteNetwork | None
) -> CompleteNetwork | None:
    """With these blocks, `factor` times as strong; None if there are too few neurons, or if it is not nearer than the best."""
    old = hidden.left + hidden.bias, hidden.right, hidden.unembed - hidden.unembed.mean(1, keepdims=True)
    left, right, unembed = old[0].copy(), old[1].copy(), np.zeros_like(old[2])
    rest = np.ones(len(hidden.bias), np.bool_)
    rest[np.concatenate([ideal.block.neurons for ideal in chosen])] = False
    empty = [np.setdiff1d(np.arange(ideal.block.kernel.size), ideal.block.cells) for ideal in chosen]
    if sum(len(cells) for cells in empty) > rest.sum():
        return None
    for ideal in chosen:
        block, size = ideal.block, ideal.size[:, None]
        filled = np.bincount(block.cells, ideal.size * block.t, block.kernel.size)
        t = factor * ideal.total / filled[block.cells] * block.t
        rows = ideal.rows(table, block.cells)
        left[:, block.neurons], right[:, block.neurons] = (size * rows[0]).T, (size * rows[1]).T
        unembed[block.neurons] = t[:, None] * rows[2]

    def distance() -> float:
        return float(sum(((new - one) ** 2).sum() for new, one in zip((left, right, unembed), old, strict=True)))

    if best is not None and distance() >= best.distance:  # moving neurons to empty cells only adds to it, but for rounding
        return None
    for ideal, cells in zip(chosen, empty, strict=True):
        for neuron, cell, size in _movers(old, np.flatnonzero(rest), ideal.rows(table, cells), factor * ideal.total):
            rows = ideal.rows(table, cells[[cell]])
            left[:, neuron], right[:, neuron] = size * rows[0][0], size * rows[1][0]
            unembed[neuron] = factor * ideal.total / size * rows[2][0]
            rest[neuron] = False
    if best is not None and distance() >= best.distance:
        return None
    mean = hidden.unembed.mean(1, keepdims=True)
    return CompleteNetwork(left, right, unembed + mean, distance())


def _movers(
    old: tuple[FloatArray, FloatArray, FloatArray],
    neurons: IntArray,
    rows: tuple[FloatArray, FloatArray, FloatArray],
    total: float,
) -> list[tuple[int, int, float]]:
    """Which neuron is to move to which of the cells whose `rows` are given, and its size: greedily those with least far to go.

    Far is relative to just stopping to write.
    """
    left, right, unembed = old[0][:, neurons].T, old[1][:, neurons].T, old[2][neurons]
    read = left @ rows[0].T + right @ rows[1].T  # "i c"
    written = unembed @ rows[2].T
    reads, writes = (rows[0] ** 2).sum(1) + (rows[1] ** 2).sum(1), (rows[2] ** 2).sum(1)
    stays = (left**2).sum(1) + (right**2).sum(1)
    costs = np.array(
        [stays[:, None] - 2 * s * read + s**2 * reads - 2 * total / s * written + (total / s) ** 2 * writes for s in _SIZES]
    )
    size, cost, found = _SIZES[costs.argmin(0)], costs.min(0), list[tuple[int, int, float]]()
    for _ in range(len(reads)):
        i, c = np.unravel_index(np.argmin(cost), cost.shape)
        found.append((int(neurons[i]), int(c), float(size[i, c])))
        cost[i], cost[:, c] = np.inf, np.inf
    return found
