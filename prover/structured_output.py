"""Only the output side on sets: every pair's activations are computed, and its rivals are bounded as an assignment problem.

*Theorem.* Let blocks k of neurons sit at cells (beta_i, gamma_i) of X_k x Y_k with invariant kernels K_k, and let r_i be the
range over z of U_i(z) - t_i K(beta_i, z gamma_i). For a pair (a, b) with c = ab and activations h_i put

    V_k(x, y) = sum over the neurons i of block k with gamma_i = y of t_i h_i K_k(beta_i, x)   for x and y in Y_k.

Then for all z, logit(c) - logit(z) is at least f(c) - f(z) - sum_i h_i r_i - the slack of all other neurons, where f(z) = sum
over k and y of V_k(z y, y): *exact rivals*, in n sum |Y_k| additions. And for any numbers p_k(x) and

    gap_k(y) = V_k(c y, y) - p_k(c y) - max over x != c y of V_k(x, y) - p_k(x),

f(c) - f(z) is at least the least sum over k of the d_k smallest gaps, over the tuples (d_k) of numbers of points of Y_k that
some g != 1 moves: *assignment*, in 5 sum |Y_k|^2 operations or so.

*Proof.* sum_i h_i t_i K(beta_i, z gamma_i) = sum over y of V(z y, y). As z y runs over Y once, p drops out of f(c) - f(z) = sum
over y of (V(c y, y) - p(c y)) - (V(z y, y) - p(z y)), whose terms vanish where z y = c y and are at least gap(y) for the other
y, which are as many as c^-1 z moves. (V_k is a table on Y_k x Y_k, whatever X_k: z gamma is a point of Y_k.)
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from certificates.tensor_file import IntArray
from prover.group_actions import BoolArray, FloatArray, identity
from prover.group_set_bound import SetBlock
from prover.pair_problem import Hidden


@dataclass(frozen=True)
class StructuredBound:
    """Which pairs "a b" are certified by either bound of the rivals; operations as fractions of brute force on live neurons.

    error: the largest sum of h_i r_i over pairs; slack: of the neurons in no block.
    """

    assignment: BoolArray
    exact: BoolArray
    assignment_fraction: float
    exact_fraction: float
    error: float
    slack: float


def structured_bound(hidden: Hidden, table: IntArray, blocks: Sequence[SetBlock]) -> StructuredBound:
    """Evaluate the theorem in float64, with these p: for x = c y, half of V(x, y) + the mean of row x - the mean of column y.

    Then the gaps of two points with each other are equal, on average over points.
    """
    size, pairs = len(table), len(table) ** 2
    active = np.maximum((hidden.left + hidden.bias)[:, None] + hidden.right, 0).reshape(pairs, -1)
    product = table.reshape(-1)
    others = np.arange(size) != identity(table)
    used = np.concatenate([block.neurons for block in blocks])
    alive = int((hidden.reach > 1e-6 * hidden.reach.max()).sum())
    slack = float(np.delete(hidden.reach, used).sum()) + float(np.ptp(hidden.constant))
    errors, logits = np.zeros(pairs), np.zeros((pairs, size))
    moved = np.array([(block.second.action != np.arange(block.second.size)).sum(1)[others] for block in blocks])
    tuples = np.unique(moved, axis=1).T
    least = np.zeros((pairs, len(tuples)))
    entries = adds = mixed = 0
    for k, block in enumerate(blocks):
        kernel, action, points = block.kernel.astype(np.float64), block.second.action, block.second.size
        h = active[:, block.neurons]
        rows = block.t[:, None] * kernel[block.beta]  # "i x"
        rest = hidden.unembed[block.neurons] - np.take_along_axis(rows, action[:, block.gamma].T, 1)
        errors += h @ np.ptp(rest, axis=1)
        spread = np.zeros((len(block.neurons), points, points))
        spread[np.arange(len(block.neurons)), :, block.gamma] = rows
        values = (h @ spread.reshape(len(h.T), -1)).reshape(pairs, points, points)  # "p x y"
        columns = np.arange(points)
        for z in range(size):
            logits[:, z] += values[:, action[z], columns].sum(1)
        least += _least_sums(values, action[product])[:, tuples[:, k]]
        others_in_column = kernel != np.median(kernel, axis=0)
        mixing = 2 * int(others_in_column.sum()) * points if others_in_column.sum(0).max() > 1 else 0
        entries, adds, mixed = entries + points**2, adds + points, mixed + mixing
    right = np.take_along_axis(logits, product[:, None], 1)[:, 0]
    np.put_along_axis(logits, product[:, None], -np.inf, 1)
    brute, layer = 2 * alive * (size + 1), 2 * alive + 4 * len(used) + mixed
    return StructuredBound(
        (least.min(1) > errors + slack).reshape(size, size),
        (right - logits.max(1) > errors + slack).reshape(size, size),
        (layer + 5 * entries) / brute,
        (layer + size * (adds + 1)) / brute,
        float(errors.max()),
        slack,
    )


def _least_sums(values: FloatArray, right: IntArray) -> FloatArray:
    """The least sums "p d" of d = 0 .. |Y| gaps of tables "p x y" with the right answers "p y"."""
    points = values.shape[1]
    own = np.take_along_axis(values, right[:, None], 1)[:, 0]  # "p y"
    potential = np.empty_like(own)
    np.put_along_axis(potential, right, (own - values.mean(1)) / 2, 1)
    potential += values.mean(2) / 2
    values = values - potential[:, :, None]
    own = own - np.take_along_axis(potential, right, 1)
    np.put_along_axis(values, right[:, None], -np.inf, 1)
    gaps = np.sort(own - values.max(1), axis=1)
    return np.concatenate([np.zeros((len(gaps), 1)), np.cumsum(gaps, axis=1)], 1).reshape(-1, points + 1)
