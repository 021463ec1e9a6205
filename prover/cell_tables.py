"""A stronger form of rule `group-sets`: neurons that share sets and kernel, each with its own functions on the sets.

Notation of checker/rules/group_sets. *Theorem.* Let G act on finite sets X and Y, K "x y" be invariant, and neuron i of S be at
the cell (beta_i, gamma_i), with tables lam_i "x" and mu_i "y" and numbers t_i and m_i *of its own*. With ranges max - min over
all places, put

    e_i = max_a |left[a, i] + bias_i - lam_i(a^-1 beta_i)| + max_b |right[b, i] - mu_i(b gamma_i)|
    E_i(z) = U_i(z) - t_i K(beta_i, z gamma_i),   r_i = range of E_i,   H_i(x, y) = relu(lam_i(x) + mu_i(y))
    M(cell, x, y) = sum over the neurons i of the cell of t_i H_i(x, y);
    N(cell, x, y) and Q(cell, x, y), the same sums of r_i |H_i - m_i| and of (H_i - m_i)^2;   D_g(x, y) = K(x, y) - K(x, g y).

Then for all a, b and z, with c = ab and g = a^-1 z b^-1,

    sum over i in S of h_i(a, b) (U_i(c) - U_i(z))  >=  sum over x, y of min over cells of M(cell, x, y) D_g(x, y) - A - B - C_g

where A is the range over z of sum_i m_i E_i(z), plus the least of: the sum over x, y of the maxima of N over cells; the sum
over cells of the maxima of N over x, y; the root of the sum over x, y of the maxima of Q over cells, times the largest distance
|E(y) - E(z)| of two columns. B is the sum of e_i r_i. C_g is the lesser of: the sum of the products of all k(cell) = sum of e_i
|t_i| and all |D_g(x, y)|, both sorted; and the C of rule `group-sets`.

*Proof.* With x = a^-1 beta_i and y = b gamma_i the ideal activation is H_i(x, y), and K(beta_i, c gamma_i) - K(beta_i, z
gamma_i) is K(x, y) - K(x, gy) = D_g(x, y), as in rule `group-sets`. As the cells run over X x Y, so do the places (x, y), each
once; hence the sum of t_i H_i D_g over all neurons is one of M(cell, x, y) D_g(x, y) over places, for some bijection of cells
to places, and at least that of the minima. What remains of H_i (U_i(c) - U_i(z)) is H_i (E_i(c) - E_i(z)); with m_i for H_i,
these add to at least minus the range of the sum; with H_i - m_i, to at most the sum of N over the same bijection, or by
Cauchy-Schwarz the third bound. B and C follow as in rule `group-sets` (|h_i - H_i| <= e_i; rearrangement).

So no two neurons need the same functions or scale, no number W is needed, and incomplete orbits on the same sets complete each
other: what counts is that M is alike in all cells. lam_i, mu_i and m_i need not be hints: the checker takes the middle of the
range of those entries of left that have the same a^-1 beta_i, and 0 or the mean of H_i.

*Symmetries.* Let sigma and tau be permutations of X and Y that commute with the action, with K(sigma x, tau y) = K(x, y). A
neuron at (beta, gamma) with lam and mu is also one at (sigma beta, tau gamma) with lam o sigma^-1 and mu o tau^-1. So it may be
divided evenly among its places under a group of such pairs, each with its share of M, N, Q and k.

*Halves.* relu(u) = u/2 + |u|/2. With H_i = |lam_i + mu_i|/2, and e_i halved, the theorem holds for the absolute values alone.
The linear part adds exactly P(a, c) - P(a, z) + Q(b, c) - Q(b, z), where P = (left + bias) U/2 and Q = right U/2 are n x n
tables of the neurons in S; at least minus the largest range over z of P(a, z), minus that of Q(b, z). With symmetries that
change the signs of lam and mu, a cell is filled where only its opposite has neurons.
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

    tables = per_cell(block.t[:, None, None] * active)
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
    terms = []
    for middle in (np.zeros(len(r)), active.mean((1, 2))):
        off = active - middle[:, None, None]
        loose, squares = per_cell(r[:, None, None] * np.abs(off)), np.sqrt(per_cell(off**2).max(0).sum())
        terms.append(min(loose.max(0).sum(), loose.max((1, 2)).sum(), squares * apart) + np.ptp(middle @ rest))
    return CellBound(gap, float(min(terms)), embedding)


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
    """Blocks and bounds, what neurons in no block cost; margin and linear part "g" without 1; linear_range, the cheaper one."""

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
