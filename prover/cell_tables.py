"""A stronger form of rule `group-sets`: neurons that share sets and kernel, each with its own functions on the sets.

Notation of checker/rules/group_sets. *Theorem.* Let G act on finite sets X and Y, K "x y" be invariant, and neuron i of S be at the
cell (beta_i, gamma_i) with *its own* tables lam_i "x" and mu_i "y" and a number t_i. With ranges max - min over all places, put

    e_i = max_a |left[a, i] + bias_i - lam_i(a^-1 beta_i)| + max_b |right[b, i] - mu_i(b gamma_i)|
    r_i = range over z of E_i(z),   E_i(z) = U_i(z) - t_i K(beta_i, z gamma_i)
    M(cell, x, y) = sum over the neurons i of the cell of t_i H_i(x, y),   H_i(x, y) = relu(lam_i(x) + mu_i(y))
    N(cell, x, y), Q(cell, x, y): the same sums of r_i H_i and of H_i^2;  D_g(x, y) = K(x, y) - K(x, g y).

Then for all a, b and z, with c = ab and g = a^-1 z b^-1,

    sum over i in S of h_i(a, b) (U_i(c) - U_i(z))  >=  sum over x, y of min over cells of M(cell, x, y) D_g(x, y)  -  A - B - C_g
    A = the least of: sum over x, y of max over cells of N;  sum over cells of max over x, y of N;
                      sqrt(sum over x, y of max over cells of Q) max over y, z of |E(y) - E(z)|  (Cauchy-Schwarz)
    B = sum of e_i r_i,   C_g = the lesser of: the sum of the products of k(cell) = sum of e_i |t_i| and |D_g(x, y)|, both sorted;
    and the C of rule `group-sets`.

*Proof.* With x = a^-1 beta_i and y = b gamma_i, the ideal activation is H_i(x, y), and K(beta_i, c gamma_i) - K(beta_i, z gamma_i) =
K(x, y) - K(x, gy) = D_g(x, y), as in rule `group-sets`. As cells run over X x Y, so does (x, y), each once; hence sum_i t_i H_i D_g is a
sum over (x, y) of M(cell, x, y) D_g(x, y) for some bijection of cells to places, and at least that of the minima. The terms A, B and C
follow in the same way (|h_i - H_i| <= e_i; rearrangement). No two neurons need the same lam, mu or scale, no number W is needed,
and several incomplete orbits on the same sets complete each other: what counts is that M is alike in all cells. lam_i and mu_i need
not be hints: the checker takes the middle of the range of the n/|X| entries of left that have the same a^-1 beta_i.

*Symmetries.* Let sigma and tau be permutations of X and Y that commute with the action, with K(sigma x, tau y) = K(x, y). A neuron at
(beta, gamma) with lam and mu is also one at (sigma beta, tau gamma) with lam o sigma^-1 and mu o tau^-1. So it may be divided evenly
among its places under a group of such pairs, with t, r, e and H^2 divided by their number.

*Halves.* relu(u) = u/2 + |u|/2. With H_i = |lam_i + mu_i|/2 and e_i halved, the theorem holds for the absolute values alone; to the
right side comes the linear part, exactly: for all a and b, P(a, c) - P(a, z) + Q(b, c) - Q(b, z), where P = (left + bias) U/2 and
Q = right U/2 are n x n tables of the neurons in S; at least minus the largest range over z of P(a, z), minus that of Q(b, z).
Halves are alike under lam, mu -> -lam, -mu, so that with symmetries a cell is filled where only its opposite has neurons.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from certificates.tensor_file import IntArray
from prover.group_actions import FloatArray, GroupSet, identity, inverses, orbits
from prover.group_set_search import Layer, Placed, best_subset, clusters, integer_kernel, main_direction, minimised

_MOST_CELLS = 2000


@dataclass(frozen=True)
class CellBlock:
    """Neurons "i" of a layer at cells (beta, gamma) of two sets, with kernel "x y" (integers) and t "i" (float)."""

    first: GroupSet
    second: GroupSet
    kernel: IntArray
    neurons: IntArray
    beta: IntArray
    gamma: IntArray
    t: FloatArray
    symmetries: tuple[tuple[IntArray, IntArray], ...]
    halves: bool

    @property
    def filled(self) -> int:
        """How many cells have a neuron."""
        return len(np.unique(self.beta * self.second.size + self.gamma))


@dataclass(frozen=True)
class CellBound:
    """The terms of the theorem: gap "g" (the sum of minima), unembedding (A), embedding "g" (B + C_g)."""

    gap: FloatArray
    unembedding: float
    embedding: FloatArray

    @property
    def margin(self) -> FloatArray:
        """What the block adds at least to the margin over z = a g b, "g"."""
        return self.gap - self.unembedding - self.embedding


def profiles(values: FloatArray, group_set: GroupSet, points: IntArray) -> tuple[FloatArray, FloatArray]:
    """The middles "x i" of values "g i" over the g with g point_i = x, and how far "i" values are from them at most."""
    middles = np.empty((group_set.size, len(points)))
    errors = np.empty(len(points))
    for k, point in enumerate(points):
        places = np.argsort(group_set.action[:, point], kind="stable")
        sorted_values = values[places, k].reshape(group_set.size, -1)
        high, low = sorted_values.max(1), sorted_values.min(1)
        middles[:, k], errors[k] = (high + low) / 2, (high - low).max() / 2
    return middles, errors


def cell_bound(layer: Layer, table: IntArray, block: CellBlock) -> CellBound:
    """Evaluate the theorem in float64, without the linear part."""
    kernel = block.kernel.astype(np.float64)
    shape = kernel.shape
    lam, left = profiles(layer.left[inverses(table)][:, block.neurons], block.first, block.beta)
    mu, right = profiles(layer.right[:, block.neurons], block.second, block.gamma)
    inner = lam.T[:, :, None] + mu.T[:, None, :]  # "i x y"
    active = np.abs(inner) / 2 if block.halves else np.maximum(inner, 0)
    at_z = kernel[block.beta[:, None], block.second.action[:, block.gamma].T]
    rest = layer.unembed[block.neurons] - block.t[:, None] * at_z
    r, e = np.ptp(rest, axis=1), (left + right) / (2 if block.halves else 1)

    def per_cell(values: FloatArray) -> FloatArray:
        total = np.zeros((kernel.size, *values.shape[1:]))
        for sigma, tau in block.symmetries:
            moved = values[:, np.argsort(sigma)][:, :, np.argsort(tau)] if values.ndim == 3 else values
            np.add.at(total, sigma[block.beta] * shape[1] + tau[block.gamma], moved / len(block.symmetries))
        return total

    tables, loose = per_cell(block.t[:, None, None] * active), per_cell(r[:, None, None] * active)
    squares = np.sqrt(per_cell(active**2).max(0).sum())
    gram = rest.T @ rest
    apart = np.sqrt(max(0.0, (np.diag(gram)[:, None] + np.diag(gram) - 2 * gram).max()))
    change = kernel - np.moveaxis(kernel[:, block.second.action], 1, 0)  # "g x y"
    low, high = tables.min(0), tables.max(0)
    gap = (np.maximum(change, 0) * low - np.maximum(-change, 0) * high).sum((1, 2))
    loads = per_cell(e * np.abs(block.t))
    differing = 2 * min(int((block.kernel != value).sum(0).max()) for value in np.unique(block.kernel))
    columns = np.sort(loads.reshape(shape), axis=0)[::-1][:differing].sum() * np.ptp(kernel)
    placed = np.sort(np.abs(change).reshape(len(table), -1), 1) @ np.sort(loads)
    embedding = e @ r + np.minimum(placed, columns)
    return CellBound(gap, float(min(loose.max(0).sum(), loose.max((1, 2)).sum(), squares * apart)), embedding)


def linear_part(layer: Layer, table: IntArray, neurons: IntArray) -> tuple[FloatArray, float]:
    """The least value "g" of the linear part of halves over all a and b, and the cheaper bound by ranges."""
    first, second = (side[:, neurons] @ layer.unembed[neurons] / 2 for side in (layer.left, layer.right))

    def at(z: IntArray) -> FloatArray:
        return np.take_along_axis(first, z, 1) + np.take_along_axis(second, z.T, 1).T

    right = at(table)
    least = np.array([(right - at(table[table[:, g]])).min() for g in range(len(table))])
    return least, -float(np.ptp(first, axis=1).max() + np.ptp(second, axis=1).max())


def cell_blocks(
    sets: Sequence[GroupSet], layer: Layer, table: IntArray, tolerance: float, halves: bool = False
) -> list[CellBlock]:
    """Neurons that have the same sets and kernels, up to scale."""
    blocks = []
    for first, second, groups in clusters(sets, layer, table, tolerance, same_functions=False):
        if first.size * second.size <= _MOST_CELLS:
            blocks += [_cell_block(layer, first, second, group, halves) for group in groups]
    return blocks


def _cell_block(layer: Layer, first: GroupSet, second: GroupSet, group: Sequence[Placed], halves: bool) -> CellBlock:
    neurons, beta, gamma = (np.array([getattr(placed, name) for placed in group]) for name in ("neuron", "beta", "gamma"))
    kernel = integer_kernel(main_direction(np.array([placed.kernel for placed in group])))[orbits(first, second)]
    at_z, rows = kernel[beta[:, None], second.action[:, gamma].T], layer.unembed[neurons]
    centred = at_z - at_z.mean(1, keepdims=True)
    guess = (rows * centred).sum(1) / np.maximum((centred**2).sum(1), 1e-300)
    t = minimised(lambda t: np.ptp(rows - t[:, None] * at_z, axis=1), guess - np.abs(guess), guess + np.abs(guess))
    pairs = [(sigma, tau) for sigma in first.symmetries() for tau in second.symmetries()]
    kept = tuple((sigma, tau) for sigma, tau in pairs if np.array_equal(kernel[np.ix_(sigma, tau)], kernel))
    return CellBlock(first, second, kernel, neurons, beta, gamma, t, kept if halves else kept[:1], halves)


@dataclass(frozen=True)
class CellProof:
    """Blocks and bounds, what neurons in no block cost, and margin and linear part "g" without the identity (range: cheaper)."""

    blocks: tuple[CellBlock, ...]
    bounds: tuple[CellBound, ...]
    leftover: float
    margin: FloatArray
    linear: FloatArray
    linear_range: float

    @property
    def worst(self) -> float:
        """The least margin over all g but 1; positive: every pair is certified."""
        return float((self.margin + self.linear).min())


def cell_search(
    layer: Layer,
    table: IntArray,
    sets: Sequence[GroupSet],
    tolerances: Sequence[float] = (0.03, 0.1, 0.3),
    halves: bool = False,
) -> CellProof:
    """The best proof by the theorem that is found, whether or not it certifies anything."""
    others = np.arange(len(table)) != identity(table)
    found = []
    for tolerance in tolerances:
        blocks = cell_blocks(sets, layer, table, tolerance, halves)
        bounds = [cell_bound(layer, table, block) for block in blocks]
        kept, leftover, margin = best_subset(layer, [block.neurons for block in blocks], [one.margin[others] for one in bounds])
        used = np.concatenate([np.zeros(0, np.int64), *(blocks[k].neurons for k in kept)]) if halves else np.zeros(0, np.int64)
        linear, by_range = linear_part(layer, table, used)
        found.append(
            CellProof(
                tuple(blocks[k] for k in kept), tuple(bounds[k] for k in kept), leftover, margin, linear[others], by_range
            )
        )
    return max(found, key=lambda proof: proof.worst)
