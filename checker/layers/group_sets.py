"""Rule `group-sets`: neurons that sit on two finite sets on which the group acts ("rho-sets").

Notation of hidden_tables: h_i(a, b) = relu(left[a, i] + right[b, i] + bias_i), U = unembed. G is the group of the task.

*Theorem.* Let G act on finite sets X and Y, transitively, and let K "x y" be integers with K(gx, gy) = K(x, y) for all g. Let S
be a set of neurons; neuron i is at the cell (beta_i, gamma_i) of X x Y, with real tables lam_i "x", mu_i "y" and a number t_i.
Put

    e_i = max_a |left[a, i] + bias_i - lam_i(a^-1 beta_i)| + max_b |right[b, i] - mu_i(b gamma_i)|
    r_i = the range (greatest - least) over z of E_i(z) = U_i(z) - t_i K(beta_i, z gamma_i)
    H_i(x, y) = relu(lam_i(x) + mu_i(y)),    D_g(x, y) = K(x, y) - K(x, gy)

and, summed over the neurons of a cell, M(cell, x, y) of t_i H_i(x, y), N(cell, x, y) of r_i H_i(x, y) and k(cell) of e_i |t_i|.
Then for all a, b and z, with c = ab and g = a^-1 z b^-1 (which is 1 only for z = c),

    sum over i in S of h_i(a, b) (U_i(c) - U_i(z))
        >=  sum over x, y of min over cells of M(cell, x, y) D_g(x, y)  -  A - B - C(g)

where A is the lesser of the sum over x, y of the maxima of N over cells and the sum over cells of the maxima of N over x, y; B
is the sum of e_i r_i; and C(g) the sum of the products of all k and all |D_g|, both sorted.

*Proof.* For fixed a and b put (x_i, y_i) = (a^-1 beta_i, b gamma_i). As the cells run over X x Y, so do these places, each
once. By invariance K(beta_i, c gamma_i) = K(a x_i, ab b^-1 y_i) = K(x_i, y_i), and K(beta_i, z gamma_i) = K(x_i, g y_i). So
U_i(c) - U_i(z) = t_i D_g(x_i, y_i) + (E_i(c) - E_i(z)). Write h_i = H_i(x_i, y_i) + (h_i - H_i(x_i, y_i)); ReLU changes no
faster than its argument, so |h_i - H_i(x_i, y_i)| <= e_i. The sum over S is that of four terms.
(1) t_i H_i D_g: cell by cell M(cell, x, y) D_g(x, y) at the cell's place; over all cells at least the sum over places of the
minima. (2) H_i (E_i(c) - E_i(z)) >= -r_i H_i: cell by cell at least -N(cell, x, y); over all cells at least -A, either way.
(3) (h_i - H_i)(E_i(c) - E_i(z)) >= -e_i r_i. (4) (h_i - H_i) t_i D_g >= -e_i |t_i| |D_g|: over all cells at least minus the sum
of k(cell) |D_g(x, y)| at the cells' places, which is at most that of both sorted (rearrangement inequality).

The rule takes for lam_i(x) a number near the middle of the left[a, i] + bias_i with a^-1 beta_i = x, and for mu_i likewise.

*Premise:* the tables. *Parameter:* `scale`. *Hints:* `action_x` "g x", `action_y` "g y", `generators` "r" (elements that
generate G), `kernel` "x y"; and for the neurons, cell by cell (beta first): `neurons`, `beta`, `gamma`, and `t` in units of
2**-scale, all "i". *Checked:* that these are transitive actions (group_laws) and K is invariant; the rest is computed.
"""

import math

import numpy as np

from certificates.certificate import Step
from certificates.tensor_file import IntArray
from checker.core.enclosed_weights import zeros
from checker.core.enclosures import Enclosure
from checker.core.errors import Refused
from checker.core.facts import Fact, Setting, take_hints, take_parameters
from checker.layers.composition import composition
from checker.layers.facts import HiddenTables, MarginPart, take_hidden_tables
from checker.layers.group_laws import Group
from checker.rules.projections import hinted

_LARGEST_KERNEL = 2**20


def group_sets(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> MarginPart:
    """Apply the rule to the tables of a hidden layer."""
    tables = take_hidden_tables(step, premises)
    (scale,) = take_parameters(step, "scale")
    if len(premises) != 1:
        raise Refused("group-sets takes one premise")
    hints = _take_hints(setting, step, tables)
    group = Group.of(setting, hints["generators"])
    kernel, action_x, action_y = hints["kernel"], hints["action_x"], hints["action_y"]
    for action in (action_x, action_y):
        group.require_action(setting, action)
        if len(np.unique(action[:, 0])) < action.shape[1]:
            raise Refused("an action is not transitive")
    setting.meter.charge(len(group.generators) * kernel.size)
    for generator in group.generators:
        if not np.array_equal(kernel[np.ix_(action_x[generator], action_y[generator])], kernel):
            raise Refused("the kernel is not invariant under the group")
    neurons, beta, gamma = hints["neurons"], hints["beta"], hints["gamma"]

    count, cells, rows = len(neurons), kernel.size, np.arange(len(neurons))
    setting.meter.allocate(max(count, len(kernel), composition(setting).d_vocab) * cells * tables.left.element_bytes)

    lam, e_left = _profiles(setting, tables.left[:, neurons].T, action_x[group.inverse], beta)
    mu, e_right = _profiles(setting, tables.right[:, neurons].T, action_y, gamma)
    lam = lam + tables.bias[:, neurons].T
    e = (e_left + e_right).reshape(count, 1)
    t = hinted(setting, hints["t"].reshape(count, 1), scale)
    off = tables.unembed[neurons].T - t.times(kernel[beta])[rows, action_y[:, gamma]]  # z i
    r = off.range(0).reshape(count, 1)

    cell = beta * kernel.shape[1] + gamma
    starts = np.flatnonzero(np.diff(cell, prepend=-1))
    active = (lam.reshape(count, -1, 1) + mu.reshape(count, 1, -1)).relu().reshape(count, cells)
    main, loose = (active * t).segment_sum(starts), (active * r).segment_sum(starts)
    least, greatest = main.min(0), main.max(0)
    load = (e * abs(t)).segment_sum(starts).reshape(-1)
    if len(starts) < cells:  # the other cells have nothing
        nothing = zeros(setting, cells)
        least, greatest = least.minimum(nothing), greatest.maximum(nothing)
        load = load.concatenate([nothing[len(starts) :]], axis=0)

    change = (kernel.reshape(-1, 1, kernel.shape[1]) - kernel[:, action_y]).transpose(1, 0, 2).reshape(-1, cells)  # g xy
    up, down = (hinted(setting, np.maximum(sign * change, 0), 0) for sign in (1, -1))
    setting.meter.charge(change.size * (cells - 1).bit_length())
    moved = hinted(setting, np.sort(np.abs(change), axis=1), 0) @ load.sort(0).reshape(cells, 1)
    gap = up @ least.reshape(cells, 1) - down @ greatest.reshape(cells, 1) - moved
    at_least = loose.max(0).sum(0).minimum(loose.max(1).sum(0))
    error = at_least.reshape(1, 1) + (e * r).sum(0).reshape(1, 1)
    mask = np.zeros(tables.bias.shape[1], np.bool_)
    mask[neurons] = True
    return MarginPart(tables, mask, (gap - error).reshape(-1))


def _profiles(setting: Setting, values: Enclosure, action: IntArray, points: IntArray) -> tuple[Enclosure, Enclosure]:
    """Numbers "i x" near the middle of the values "i g" over the g with g point = x, and how far off "i" they are at most."""
    order = np.argsort(action, axis=0, kind="stable")[:, points].T
    by_place = values[np.arange(len(points))[:, None], order].reshape(len(points), action.shape[1], -1)
    high, low = by_place.max(2), by_place.min(2)
    middle = ((high + low) * hinted(setting, np.ones((1, 1), np.int64), 1)).representative()  # any numbers will do
    return middle, (high - middle).maximum(middle - low).max(1)


def _take_hints(setting: Setting, step: Step, tables: HiddenTables) -> dict[str, IntArray]:
    """The hints, all in range."""
    size, kernel = composition(setting).d_vocab, step.hints.get("kernel")
    if tables.unembed.shape[1] != size:
        raise Refused("group-sets needs one output for each element, and no other")
    x, y = kernel.shape if kernel is not None and len(kernel.shape) == 2 else (1, 1)
    count = math.prod(step.hints["neurons"].shape) if "neurons" in step.hints else 0
    one_each = dict.fromkeys(("neurons", "beta", "gamma", "t"), (count,))
    sets = {"action_x": (size, x), "action_y": (size, y), "kernel": (x, y)}
    hints = take_hints(setting, step, generators=(None,), **sets, **one_each)
    limits = {"neurons": tables.bias.shape[1], "beta": x, "gamma": y}
    if not count or not x * y or any(np.any((hints[name] < 0) | (hints[name] >= most)) for name, most in limits.items()):
        raise Refused("there must be neurons, and sets for them; neurons, beta and gamma must be in range")
    if len(np.unique(hints["neurons"])) < count or np.any(np.diff(hints["beta"] * y + hints["gamma"]) < 0):
        raise Refused("neurons must be different, and in the order of their cells")
    if np.any((hints["kernel"] > _LARGEST_KERNEL) | (hints["kernel"] < -_LARGEST_KERNEL)):
        raise Refused(f"entries of the kernel must not be larger than {_LARGEST_KERNEL}")
    return hints
