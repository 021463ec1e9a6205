"""Rule `structured-output`: neurons that write on a set on which the group acts; rivals as an assignment problem.

*Theorem.* Let T and s be those of a fact of hidden-tables, h = relu(left[a] + right[b] + bias), U = unembed, direct = 0. Let
the group G act on a finite set Y; let neuron i have points beta_i, gamma_i of Y and a number t_i, and let r_i be the range
(greatest less least) over z of U_i(z) - t_i [z gamma_i = beta_i]. For a pair (a, b) with the true output c = ab put

    V(x, y) = sum of t_i h_i over the neurons with beta_i = x and gamma_i = y,
    gap(y) = V(cy, y) - p(cy) - max of V(x, y) - p(x) over the x in the orbit of y other than cy,

for any numbers p(x). If for every g in G other than 1 the sum, over all orbits, of as many of the orbit's smallest gaps as g
moves of its points is greater than sum_i h_i r_i + range(constant) + s, then (a, b) is classified correctly.

*Proof.* Let z be another output and g = c^-1 z, which is not 1. With f(z) = sum over y of V(zy, y) = sum over i of t_i h_i
[z gamma_i = beta_i], T(c) - T(z) >= f(c) - f(z) - sum_i h_i r_i - range(constant). As zy and cy run over Y once, p drops out:
f(c) - f(z) = sum over y of (V(cy, y) - p(cy)) - (V(zy, y) - p(zy)). The terms with gy = y vanish, as then zy = cy; each of the
others is at least gap(y), for zy is in the orbit of y; and of each orbit there are as many as g moves.

The rule takes p(cy) near half of V(cy, y) + (the mean of V(cy, .) - the mean of V(., y) over the orbit), which makes the gaps
of two points with each other alike.

*Premise:* the tables, without a direct path. *Parameters:* `mirrored` (see pairs), `scale`. *Hints:* `pairs` "a b", 1 for
the pairs to look at, 0 for all others; `action` "g y", `generators` "r"; for all neurons of the tables, cell by cell (beta
first): `beta`, `gamma`, `t` in units of 2**-scale, all "i". *Checked:* that this is an action (group_laws); the rest is
computed.
"""

from dataclasses import dataclass

import numpy as np

from certificates.certificate import Step
from certificates.tensor_file import IntArray
from checker.core.enclosed_weights import zeros
from checker.core.enclosures import Enclosure
from checker.core.errors import Refused
from checker.core.facts import CertifiedInputs, Fact, Setting, take_hints, take_parameters
from checker.layers.composition import composition
from checker.layers.facts import take_hidden_tables
from checker.layers.group_laws import Group
from checker.layers.pairs import Pairs
from checker.rules.projections import hinted


def structured_output(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> CertifiedInputs:
    """Apply the rule to the tables of a hidden layer."""
    tables = take_hidden_tables(step, premises)
    mirrored, scale = take_parameters(step, "mirrored", "scale")
    size, (neurons, outputs) = composition(setting).d_vocab, tables.unembed.shape
    one_each = dict.fromkeys(("beta", "gamma", "t"), (neurons,))
    hints = take_hints(setting, step, pairs=(size, size), action=(size, None), generators=(None,), **one_each)
    if len(premises) != 1 or tables.direct is not None or outputs != size:
        raise Refused("structured-output takes one premise, and needs one output for each element and no direct path")
    action, beta, gamma = hints["action"], hints["beta"], hints["gamma"]
    points = action.shape[1]
    setting.meter.hold(8 * size * points**2)
    cell = beta * points + gamma
    if np.any((beta < 0) | (beta >= points) | (gamma < 0) | (gamma >= points)) or np.any(np.diff(cell) < 0):
        raise Refused("beta and gamma are points of the set, and neurons in the order of their cells")
    group = Group.of(setting, hints["generators"])
    group.require_action(setting, action)
    pairs = Pairs.of(setting, tables, hints["pairs"], mirrored)

    t = hinted(setting, hints["t"].reshape(-1, 1), scale)
    hit = (action[:, gamma] == beta).T.astype(np.int64)  # i z
    r = (tables.unembed - t.times(hit)).range(1).reshape(-1, 1)
    starts = np.flatnonzero(np.diff(cell, prepend=-1))
    place = np.full(points**2, len(starts), np.int64)  # of a zero, for cells without neurons
    place[cell[starts]] = np.arange(len(starts))
    orbits = _orbits(group, action, place.reshape(points, points))
    if not orbits:
        raise Refused("the action moves no point")
    moves = np.unique(np.array([orbit.moved for orbit in orbits], np.int64)[:, np.arange(size) != group.unit], axis=1)

    allowed = tables.slack + tables.constant.range(1).reshape(1, 1)
    left, right = (tables.left + tables.bias).T, tables.right.T
    for block in pairs.blocks(max(neurons, points**2, size)):
        active = (left[:, block.left] + right[:, block.right]).relu()  # i p
        zero = zeros(setting, 1, len(block.left))
        cells = (active * t).segment_sum(starts).concatenate([zero], axis=0).T  # p cell
        lead = zero.reshape(-1, 1)
        for orbit, counts in zip(orbits, moves, strict=True):
            lead = lead + orbit.least_sums(setting, cells, block.label)[:, counts]
        block.require((lead.min(1) - ((active * r).sum(0) + allowed.reshape(1))).positive())
    return pairs.certified(setting)


@dataclass(frozen=True)
class _Orbit:
    """One orbit of the action, of at least two points, which are numbered anew.

    place "x y": which column of the cells holds V(x, y). action and its inverse, "g y"; others "g y k": all points but gy.
    moved "g": how many points g moves.
    """

    place: IntArray
    action: IntArray
    back: IntArray
    others: IntArray
    moved: IntArray

    def least_sums(self, setting: Setting, cells: Enclosure, true: IntArray) -> Enclosure:
        """The sums "p d" of the d smallest gaps, d = 0 .. |Y|, from cells "p c" and the true outputs "p"."""
        points, rows = len(self.place), np.arange(len(true))
        values = cells[:, self.place]  # p x y
        at = self.action[true]  # p y: cy
        own = values[rows[:, None], at, np.arange(points)]
        along, across = values.sum(2)[rows[:, None], at], values.sum(1)
        share = hinted(setting, np.array([[(1 << 30) // (2 * points)]]), 30)
        half = hinted(setting, np.ones((1, 1), np.int64), 1)
        potential = (own * half + (along - across) * share).representative()  # p y: p(cy), any numbers will do
        values = values - potential[rows[:, None], self.back[true]].reshape(len(true), points, 1)
        rivals = values[rows[:, None, None], self.others[true], np.arange(points)[:, None]].max(2)
        gaps = (own - potential - rivals).sort(1)
        sums = [zeros(setting, len(true), 1)]
        for smallest in range(points):
            sums.append(sums[-1] + gaps[:, smallest : smallest + 1])
        return sums[0].concatenate(sums[1:], axis=1)


def _orbits(group: Group, action: IntArray, place: IntArray) -> list[_Orbit]:
    """The orbits with at least two points."""
    first = action.min(axis=0)  # of the orbit of each point
    orbits = []
    for representative in np.unique(first):
        points = np.flatnonzero(first == representative)
        count = len(points)
        if count == 1:
            continue
        own = np.searchsorted(points, action[:, points])
        rest = np.arange(count - 1)
        others = rest + (rest >= own[:, :, None])
        moved = np.count_nonzero(own != np.arange(count), axis=1)
        orbits.append(_Orbit(place[np.ix_(points, points)], own, own[group.inverse], others, moved))
    return orbits
