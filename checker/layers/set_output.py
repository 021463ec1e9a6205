"""Rule `set-output`: neurons that write on a finite set on which the group acts; all pairs at once, or each by itself.

Notation of hidden_tables: T and s, h_i(a, b) = relu(left[a, i] + right[b, i] + bias_i), U = unembed; direct = 0, and outputs
are the elements of the group G of the task. Let G act on a finite set of *points*, and let K be integers with K(gx, gy) =
K(x, y) for all g and all points x, y. Let every neuron i of the tables have points beta_i, gamma_i and a number t_i, and put

    E_i(z) = U_i(z) - t_i K(beta_i, z gamma_i),    r_i = the range (greatest less least) of E_i.

For a pair (a, b) let c = ab be the true output. The neurons with beta_i in one orbit X and gamma_i in one orbit Y (perhaps the
same) are a *part*, those with beta_i = x and gamma_i = y a *cell* of it.

*Theorem 1 (all pairs).* Let lam_i "x", mu_i "y" be any numbers for the points of the orbits of beta_i and gamma_i, and put

    e_i = max_a |left[a, i] + bias_i - lam_i(a^-1 beta_i)| + max_b |right[b, i] - mu_i(b gamma_i)|
    H_i(x, y) = relu(lam_i(x) + mu_i(y)),    D_g(x, y) = K(x, y) - K(x, gy)

and, summed over the neurons of a cell, M(cell, x, y) of t_i H_i(x, y), N(cell, x, y) of r_i H_i(x, y) and k(cell) of e_i |t_i|.
For each part, the x, y and cells below being those of X x Y, let

    margin(g) = sum over x, y of min over cells of M(cell, x, y) D_g(x, y)  -  A - B - C(g)

where A is the lesser of the sum over x, y of the maxima of N over cells and the sum over cells of the maxima of N over x, y; B
is the sum of e_i r_i; and C(g) the sum of the products of all k and all |D_g|, both sorted. If for every g other than 1 the
margins of all parts add up to more than range(constant) + s, then all pairs are classified correctly.

*Proof.* Let z be another output than c, and g = a^-1 z b^-1, which is not 1. For the neurons of a part put (x_i, y_i) = (a^-1
beta_i, b gamma_i). As the cells run over X x Y, so do these places, each once. By invariance K(beta_i, c gamma_i) = K(a x_i, ab
b^-1 y_i) = K(x_i, y_i), and K(beta_i, z gamma_i) = K(x_i, g y_i). So U_i(c) - U_i(z) = t_i D_g(x_i, y_i) + (E_i(c) - E_i(z)).
Write h_i = H_i(x_i, y_i) + (h_i - H_i(x_i, y_i)); ReLU changes no faster than its argument, so |h_i - H_i(x_i, y_i)| <= e_i.
What the part adds to T(c) - T(z), the sum of h_i (U_i(c) - U_i(z)), is that of four terms.
(1) t_i H_i D_g: cell by cell M(cell, x, y) D_g(x, y) at the cell's place; over all cells at least the sum over places of the
minima. (2) H_i (E_i(c) - E_i(z)) >= -r_i H_i: cell by cell at least -N(cell, x, y); over all cells at least -A, either way.
(3) (h_i - H_i)(E_i(c) - E_i(z)) >= -e_i r_i. (4) (h_i - H_i) t_i D_g >= -e_i |t_i| |D_g|: over all cells at least minus the sum
of k(cell) |D_g(x, y)| at the cells' places, which is at most that of both sorted (rearrangement inequality).

*Theorem 2 (each pair).* Let K(x, y) be 1 if x = y, else 0. For a pair put, summed over the neurons of the cell (x, y),

    V(x, y) of t_i h_i,    gap(y) = V(cy, y) - p(cy) - max of V(x, y) - p(x) over the x in the orbit of y other than cy,

for any numbers p(x). If for every g in G other than 1 the sum, over all orbits, of as many of the orbit's smallest gaps as g
moves of its points is greater than sum_i h_i r_i + range(constant) + s, then the pair is classified correctly.

*Proof.* Let z be another output and g = c^-1 z, which is not 1. With f(z) = sum over y of V(zy, y) = sum over i of t_i h_i
K(beta_i, z gamma_i), T(c) - T(z) >= f(c) - f(z) - sum_i h_i r_i - range(constant). As zy and cy run over each orbit once, p
drops out: f(c) - f(z) = sum over y of (V(cy, y) - p(cy)) - (V(zy, y) - p(zy)). The terms with gy = y vanish, as then zy = cy;
each of the others is at least gap(y), for zy is in the orbit of y; and of each orbit there are as many as g moves. (An orbit
whose cells have no neurons adds nothing: V = 0, so with p = 0 its gaps are 0.)

The rule takes for lam_i(x) a number near the middle of the left[a, i] + bias_i with a^-1 beta_i = x, for mu_i likewise, and for
p(cy) one near half of V(cy, y) + (the mean of V(cy, .) - the mean of V(., y) over the orbit), which makes the gaps of two
points with each other alike.

*Premise:* the tables. *Parameters:* `scale`; for each pair, `mirrored` (see pairs). *Hints:* `action` "g x", the point gx;
`generators` "r", elements that generate G; for every neuron of the tables `beta`, `gamma`, and `t` in units of 2**-scale, all
"i", in ascending order of (orbit of beta, orbit of gamma, beta, gamma). And either `kernel` "x y", for theorem 1, or `pairs`
"a b", 1 for the pairs to look at, 0 for all others, for theorem 2. *Checked:* that this is an action (group_laws), and that K
is invariant; the rest is computed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from certificates.certificate import Step
from certificates.tensor_file import IntArray
from checker.core.enclosed_weights import zeros
from checker.core.enclosures import Enclosure
from checker.core.errors import Refused
from checker.core.facts import CertifiedInputs, Fact, Setting, no_cells, take_hints, take_parameters
from checker.core.ordering import strictly_increasing
from checker.layers.composition import composition
from checker.layers.facts import HiddenTables, take_hidden_tables
from checker.layers.group_laws import Group
from checker.layers.pairs import Pairs, certified_pairs
from checker.rules.projections import hinted

_LARGEST_KERNEL = 2**20


@dataclass(frozen=True)
class Part:
    """Neurons with beta in an orbit X and gamma in an orbit Y, cell by cell; the points of both orbits are numbered from 0.

    neurons, beta, gamma "i"; t, r "i 1"; kernel "x y"; first "g x" and second "g y": gx and gy. starts: where the cells that
    have neurons begin; place "x y": which of these a cell is, or the next number if it has no neurons. diagonal: X = Y.
    """

    neurons: IntArray
    beta: IntArray
    gamma: IntArray
    t: Enclosure
    r: Enclosure
    kernel: IntArray
    first: IntArray
    second: IntArray
    starts: IntArray
    place: IntArray
    diagonal: bool

    def sums(self, setting: Setting, values: Enclosure) -> Enclosure:
        """The sums "c k" over the neurons of each cell that has any, of values "i k"; and, last, zeros."""
        return values.segment_sum(self.starts).concatenate([zeros(setting, 1, values.shape[1])], axis=0)


def set_output(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> CertifiedInputs:
    """Apply the rule to the tables of a hidden layer."""
    tables, size, singly = take_hidden_tables(step, premises), composition(setting).d_vocab, "pairs" in step.hints
    if len(premises) != 1 or tables.direct is not None or tables.unembed.shape[1] != size:
        raise Refused("set-output takes one premise, and needs one output for each element and no direct path")
    scale, *mirrored = take_parameters(step, "scale", *("mirrored",) * singly)
    one_each = dict.fromkeys(("beta", "gamma", "t"), tables.unembed.shape[:1])
    more: dict[str, tuple[int | None, ...]] = {"pairs": (size, size)} if singly else {"kernel": (None, None)}
    hints = take_hints(setting, step, action=(size, None), generators=(None,), **one_each, **more)
    action, beta, gamma, rows = hints["action"], hints["beta"], hints["gamma"], np.arange(len(hints["beta"]))[:, None]
    points = action.shape[1]
    setting.meter.hold(32 * points**2 + 16 * action.size)
    kernel = hints.get("kernel", (np.arange(points)[:, None] == np.arange(points)).astype(np.int64))
    if kernel.shape != (points, points) or np.any((kernel > _LARGEST_KERNEL) | (kernel < -_LARGEST_KERNEL)):
        raise Refused(f"the kernel has an entry for any two points, of at most {_LARGEST_KERNEL}")
    if np.any((beta < 0) | (beta >= points) | (gamma < 0) | (gamma >= points)):
        raise Refused("beta and gamma must be points")
    group = Group.of(setting, hints["generators"])
    group.require_action(setting, action)
    group.require_invariant(setting, action, kernel)

    setting.meter.gathering(2 * len(rows) * size)
    setting.meter.allocate(len(rows) * max(size, points) * setting.arithmetic.element_bytes)
    t = hinted(setting, hints["t"].reshape(-1, 1), scale)
    ideal = t.times(kernel[beta])[rows, action[:, gamma].T]  # i z
    r = (tables.unembed - ideal).range(1).reshape(-1, 1)
    parts = _parts(setting, action, kernel, beta, gamma, t, r)
    allowed = tables.slack.reshape(1) + tables.constant.range(1)
    if singly:
        pairs = Pairs.of(setting, tables, hints["pairs"], *mirrored)
        several = [part for part in parts if part.diagonal and len(part.place) > 1]
        return _each_pair(setting, tables, group, several, pairs, r, allowed)
    margin = zeros(setting, size) - allowed
    for part in parts:
        margin = margin + ideal_margin(setting, tables, group, part)
    proved = margin.positive()
    proved[group.unit] = True
    if not proved.all():
        raise Refused(f"the margin for the element {int(np.argmin(proved))} is not proved to be positive")
    return certified_pairs(~no_cells(setting))


def _parts(
    setting: Setting, action: IntArray, kernel: IntArray, beta: IntArray, gamma: IntArray, t: Enclosure, r: Enclosure
) -> Iterator[Part]:
    """All parts, one after the other."""
    setting.meter.gathering(10 * len(beta))
    orbit = action.min(axis=0)  # of a point, by its least one
    earlier = np.arange(len(orbit)) < np.arange(len(orbit))[:, None]
    rank = np.count_nonzero((orbit[:, None] == orbit) & earlier, axis=1)  # of a point in its orbit
    rows = np.stack([orbit[beta], orbit[gamma], beta, gamma, np.arange(len(beta))], axis=1)
    if not strictly_increasing(rows):
        raise Refused("neurons must be in the order of their parts, and of their cells")
    begin = np.flatnonzero(np.any(np.diff(rows[:, :2], axis=0, prepend=-1) != 0, axis=1))
    for some in np.split(np.arange(len(beta)), begin[1:]):
        xs, ys = (np.flatnonzero(orbit == orbit[side[some[0]]]) for side in (beta, gamma))
        setting.meter.scripting(100)
        setting.meter.gathering(len(orbit) + len(action) * (len(xs) + len(ys)))
        x, y = rank[beta[some]], rank[gamma[some]]
        starts = np.flatnonzero(np.diff(x * len(ys) + y, prepend=-1))
        place = np.full((len(xs), len(ys)), len(starts), np.int64)
        place[x[starts], y[starts]] = np.arange(len(starts))
        first, second = rank[action[:, xs]], rank[action[:, ys]]
        yield Part(some, x, y, t[some], r[some], kernel[np.ix_(xs, ys)], first, second, starts, place, bool(xs[0] == ys[0]))


def ideal_margin(setting: Setting, tables: HiddenTables, group: Group, part: Part) -> Enclosure:
    """The margin "g" of a part (theorem 1)."""
    some, kernel, size = part.neurons, part.kernel, len(group.table)
    count, cells = len(some), kernel.size
    setting.meter.allocate(max(count * size, max(count, cells, size) * cells) * tables.left.element_bytes)
    lam, e_left = _profiles(setting, tables.left[:, some].T, part.first[group.inverse], part.beta)
    mu, e_right = _profiles(setting, tables.right[:, some].T, part.second, part.gamma)
    lam, e = lam + tables.bias[:, some].T, (e_left + e_right).reshape(count, 1)
    active = (lam.reshape(count, -1, 1) + mu.reshape(count, 1, -1)).relu().reshape(count, cells)
    summed = (part.sums(setting, values) for values in (active * part.t, active * part.r, e * abs(part.t)))
    main, loose, load = (sums[part.place.reshape(-1)] for sums in summed)

    change = (kernel - kernel[:, part.second].transpose(1, 0, 2)).reshape(size, cells)  # g xy
    setting.meter.charge(change.size * (cells - 1).bit_length())
    signed = [np.maximum(change, 0), np.minimum(change, 0), -np.sort(np.abs(change), axis=1)]
    weighted = main.min(0).concatenate([main.max(0), load.sort(0).reshape(-1)], axis=0)
    gap = hinted(setting, np.concatenate(signed, axis=1), 0) @ weighted.reshape(-1, 1)
    beside = loose.max(0).sum(0).minimum(loose.max(1).sum(0)).reshape(1, 1) + (e * part.r).sum(0).reshape(1, 1)
    return (gap - beside).reshape(-1)


def _profiles(setting: Setting, values: Enclosure, action: IntArray, points: IntArray) -> tuple[Enclosure, Enclosure]:
    """Numbers "i x" near the middle of the values "i g" over the g with g point = x, and how far off "i" they are at most."""
    setting.meter.sorting(action.size)
    setting.meter.gathering(2 * len(action) * len(points))
    order = np.argsort(action, axis=0, kind="stable")[:, points].T
    by_place = values[np.arange(len(points))[:, None], order].reshape(len(points), action.shape[1], -1)
    high, low = by_place.max(2), by_place.min(2)
    middle = ((high + low) * hinted(setting, np.ones((1, 1), np.int64), 1)).representative()  # any numbers will do
    return middle, (high - middle).maximum(middle - low).max(1)


def _each_pair(
    setting: Setting, tables: HiddenTables, group: Group, parts: Sequence[Part], pairs: Pairs, r: Enclosure, allowed: Enclosure
) -> CertifiedInputs:
    """Pair by pair (theorem 2), by the parts with X = Y of several points."""
    size, largest = len(group.table), max((part.place.size for part in parts), default=0)
    moved = np.array([np.count_nonzero(part.first != part.first[group.unit], axis=1) for part in parts], np.int64)
    setting.meter.sorting(moved.size)
    moves = np.unique(np.delete(moved.reshape(-1, size), group.unit, axis=1), axis=1)
    left, right = (tables.left + tables.bias).T, tables.right.T
    for block in pairs.blocks(max(left.shape[0], largest, size)):
        active = (left[:, block.left] + right[:, block.right]).relu()  # i p
        lead = zeros(setting, len(block.left), 1)
        for part, counts in zip(parts, moves, strict=True):
            lead = lead + _least_sums(setting, part, active[part.neurons] * part.t, block.label)[:, counts]
        block.require((lead.min(1) - ((active * r).sum(0) + allowed)).positive())
    return pairs.certified(setting)


def _least_sums(setting: Setting, part: Part, written: Enclosure, true: IntArray) -> Enclosure:
    """The sums "p d" of the d smallest gaps, d = 0 .. |Y|, from what neurons write "i p", and the true outputs "p"."""
    points, every = len(part.place), np.arange(len(part.place))
    values = part.sums(setting, written)[part.place[part.first[true]], np.arange(len(true))[:, None, None]]  # p x y: V(cx, y)
    share = hinted(setting, np.array([[(1 << 30) // (2 * points)]]), 30)
    own = values[:, every, every].times(np.full((1, 1), points, np.int64))
    potential = ((own + values.sum(2) - values.sum(1)) * share).representative()  # p(cx), any numbers will do
    values = values - potential.reshape(-1, points, 1)
    rivals = values[:, (every[:, None] + every[1:]) % points, every[:, None]].max(2)
    gaps = (values[:, every, every] - rivals).sort(1)
    sums = [zeros(setting, len(true), 1)]
    for smallest in range(points):
        sums.append(sums[-1] + gaps[:, smallest : smallest + 1])
    return sums[0].concatenate(sums[1:], axis=1)
