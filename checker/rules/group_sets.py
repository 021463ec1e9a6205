"""Rule `group-sets`: neurons that sit on two finite sets on which the group acts.

Notation of rules/hidden_tables: h_i(a, b) = relu(left[a, i] + right[b, i] + bias_i), U = unembed. G is the group of the task.

*Theorem.* Let G act on finite sets X and Y, and let K "x y", lam "x" and mu "y" be real tables with K(gx, gy) = K(x, y) for all
g. Let S be a set of neurons; neuron i is at the cell (beta_i, gamma_i) of X x Y, with numbers s_i >= 0 and t_i. Let W be a
number. Put, with the ranges max - min over all places,

    e_i = max_a |left[a, i] + bias_i - s_i lam(a^-1 beta_i)| + max_b |right[b, i] - s_i mu(b gamma_i)|
    r_i = range over z of U_i(z) - t_i K(beta_i, z gamma_i)
    H(x, y) = relu(lam(x) + mu(y)),    F(g) = sum over x, y of H(x, y) K(x, g y)
    v(cell) = |W - sum of s_i t_i| range(K) + sum of s_i r_i,    k(cell) = sum of e_i |t_i| range(K),  over the neurons i there.

Then for all a, b and z, with c = ab and g = a^-1 z b^-1 (which is 1 only for z = c),

    sum over i in S of h_i(a, b) (U_i(c) - U_i(z))  >=  W (F(1) - F(g)) - A - B - C

where A is the sum of the products of all H and all v, both sorted; B the sum over i of e_i r_i; and C the sum over gamma of the
2q largest k(beta, gamma), if no column of K has more than q entries that differ from some number K0.

*Proof.* Let h'_i = relu(s_i lam(a^-1 beta_i) + s_i mu(b gamma_i)) = s_i H(a^-1 beta_i, b gamma_i) be the ideal activation and
d_i = K(beta_i, c gamma_i) - K(beta_i, z gamma_i), so that U_i(c) - U_i(z) is within r_i of t_i d_i. Now h_i (U_i(c) - U_i(z)) =
h'_i t_i d_i + h'_i (U_i(c) - U_i(z) - t_i d_i) + (h_i - h'_i)(U_i(c) - U_i(z)).

(1) The first terms add to the sum over cells of (W + (sum of s_i t_i - W)) H(a^-1 beta, b gamma) d. For fixed a and b,
(x, y) = (a^-1 beta, b gamma) runs over X x Y once as the cell does. With W alone: K(beta, c gamma) = K(ax, ay) = K(x, y), and
K(beta, z gamma) = K(ax, z b^-1 y) = K(x, gy); so W (F(1) - F(g)).
(2) What remains of the first terms, and the second terms, are, cell by cell, at most H(a^-1 beta, b gamma) v(cell), as |d| is
at most range(K). Whatever permutation takes cells to (x, y), the sum is at most that of both sorted (rearrangement inequality).
(3) ReLU changes no faster than its argument, so |h_i - h'_i| <= e_i, and the third terms are at most e_i (r_i + |t_i d_i|). d_i
is 0 unless K(beta_i, c gamma_i) or K(beta_i, z gamma_i) differs from K0: for given gamma_i that leaves 2q values of beta_i.

*Premise:* the tables. *Parameters:* `scale` (lam, mu), `weight_scale` (t, W; s is in units of 2**-30), `background` (K0).
*Hints:* `action_x` "g x", `action_y` "g y", `generators` "r" (elements that generate G), `kernel` "x y" (integers), `lam` "x",
`mu` "y", `weight` "1" (W), and for the neurons, cell by cell (beta first): `neurons`, `beta`, `gamma`, `s`, `t`, all "i".
*Checked:* that these are actions (rules/group_laws) and K is invariant; the rest is computed.
"""

import math

import numpy as np

from certificates.certificate import Step
from certificates.tensor_file import IntArray
from checker.enclosures import Enclosure
from checker.errors import Refused
from checker.facts import (
    Fact,
    HiddenTables,
    MarginPart,
    Setting,
    take_hidden_tables,
    take_hints,
    take_parameters,
)
from checker.rules.group_laws import Group
from checker.rules.projections import UNIT_BITS, hinted

_LARGEST_KERNEL = 2**20


def group_sets(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> MarginPart:
    """Apply the rule to the tables of a hidden layer."""
    tables = take_hidden_tables(step, premises)
    scale, weight_scale, background = take_parameters(step, "scale", "weight_scale", "background")
    if len(premises) != 1:
        raise Refused("group-sets takes one premise")
    if abs(background) > _LARGEST_KERNEL:
        raise Refused(f"the background is an entry of the kernel: at most {_LARGEST_KERNEL}")
    hints = _take_hints(setting, step, tables)
    group = Group.of(setting, hints["generators"])
    kernel, action_x, action_y = hints["kernel"], hints["action_x"], hints["action_y"]
    group.require_action(setting, action_x)
    group.require_action(setting, action_y)
    setting.meter.charge(len(group.generators) * kernel.size)
    for generator in group.generators:
        if not np.array_equal(kernel[np.ix_(action_x[generator], action_y[generator])], kernel):
            raise Refused("the kernel is not invariant under the group")
    neurons, beta, gamma = hints["neurons"], hints["beta"], hints["gamma"]
    rows = np.arange(len(neurons))
    spread = int(kernel.max()) - int(kernel.min())

    # Deviations, "a i" and the like.
    s, t = hinted(setting, hints["s"].reshape(-1, 1), UNIT_BITS), hinted(setting, hints["t"].reshape(-1, 1), weight_scale)
    lam, mu = hinted(setting, hints["lam"].reshape(1, -1), scale), hinted(setting, hints["mu"].reshape(1, -1), scale)
    at_x, at_y = action_x[group.inverse][:, beta], action_y[:, gamma]
    ideal_left = (s * lam - tables.bias[:, neurons].T)[rows, at_x]
    ideal_right = (s * mu)[rows, at_y]
    ideal_unembed = t.times(kernel[beta])[rows, at_y]
    e = abs(tables.left[:, neurons] - ideal_left).max(0) + abs(tables.right[:, neurons] - ideal_right).max(0)
    off = tables.unembed[neurons].T - ideal_unembed
    e, r = e.reshape(-1, 1), (off.max(0) - off.min(0)).reshape(-1, 1)

    # Cell by cell, "c 1".
    cell = beta * kernel.shape[1] + gamma
    starts = np.flatnonzero(np.diff(cell, prepend=-1))
    weight = hinted(setting, hints["weight"].reshape(1, 1), weight_scale)
    in_units = np.full((1, 1), spread, np.int64)
    uneven = abs(weight - (s * t).segment_sum(starts)).times(in_units) + (s * r).segment_sum(starts)
    empty = np.zeros(kernel.size - len(starts), np.int64)
    uneven = uneven.concatenate([abs(weight).times(in_units)[empty]], axis=0)
    active = (lam.T + mu).relu()
    error = (active.reshape(kernel.size, 1).sort(0) * uneven.sort(0)).sum(0) + (e * r).sum(0)
    moved = (e * abs(t)).segment_sum(starts).times(in_units)
    error = error + _largest_of_columns(setting, moved, cell[starts], kernel, background)

    gap = _ideal_gap(setting, active, kernel - background, action_y[group.inverse], group.unit)
    mask = np.zeros(tables.bias.shape[1], np.bool_)
    mask[neurons] = True
    return MarginPart(tables, mask, weight.reshape(1) * gap - error)


def _take_hints(setting: Setting, step: Step, tables: HiddenTables) -> dict[str, IntArray]:
    """The hints, all in range."""
    size, kernel = setting.composition.d_vocab, step.hints.get("kernel")
    if tables.unembed.shape[1] != size:
        raise Refused("group-sets needs one output for each element, and no other")
    x, y = kernel.shape if kernel is not None and len(kernel.shape) == 2 else (1, 1)
    count = math.prod(step.hints["neurons"].shape) if "neurons" in step.hints else 0
    one_each = dict.fromkeys(("neurons", "beta", "gamma", "s", "t"), (count,))
    sets = {"action_x": (size, x), "action_y": (size, y), "kernel": (x, y), "lam": (x,), "mu": (y,)}
    hints = take_hints(setting, step, generators=(None,), weight=(1,), **sets, **one_each)
    limits = {"neurons": tables.bias.shape[1], "beta": x, "gamma": y}
    if not count or not x * y or any(np.any((hints[name] < 0) | (hints[name] >= most)) for name, most in limits.items()):
        raise Refused("there must be neurons, and sets for them; neurons, beta and gamma must be in range")
    if len(np.unique(hints["neurons"])) < count or np.any(np.diff(hints["beta"] * y + hints["gamma"]) < 0):
        raise Refused("neurons must be different, and in the order of their cells")
    if np.any(hints["s"] < 0) or np.any(np.abs(hints["kernel"]) > _LARGEST_KERNEL):
        raise Refused(f"s must not be negative, nor entries of the kernel larger than {_LARGEST_KERNEL}")
    return hints


def _ideal_gap(setting: Setting, active: Enclosure, kernel: IntArray, back: IntArray, unit: int) -> Enclosure:
    """F(1) - F(g), "g": F(g) is the sum over the non-zero K(x, y) of H(x, g^-1 y) K(x, y). K0 may have been taken off K."""
    x, y = np.nonzero(kernel)
    if not len(x):
        return hinted(setting, np.zeros(len(back), np.int64), 0)
    total = active[x, back[:, y]].times(kernel[x, y]).sum(1)
    return total[unit : unit + 1] - total


def _largest_of_columns(setting: Setting, moved: Enclosure, cells: IntArray, kernel: IntArray, background: int) -> Enclosure:
    """The sum over the columns of the 2q largest of the numbers `moved` "c 1" at some cells, "1"."""
    place = np.full(kernel.size, len(cells))  # of a zero, for all other cells
    place[cells] = np.arange(len(cells))
    padded = moved.concatenate([hinted(setting, np.zeros((1, 1), np.int64), 0)], axis=0)
    columns = padded.reshape(-1)[place.reshape(kernel.shape)].sort(0)
    most = 2 * int(np.count_nonzero(kernel != background, axis=0).max())
    largest = columns[max(kernel.shape[0] - most, 0) :]
    if not most:
        return hinted(setting, np.zeros(1, np.int64), 0)
    return largest.sum(0).reshape(-1, 1).sum(0)
