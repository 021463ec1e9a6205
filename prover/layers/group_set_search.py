"""The search for hints of the rule `set-output`: on which finite sets the neurons of a group network sit.

An ideal neuron has left[a] = lam(a^-1 beta), right[b] = mu(b gamma), unembed[z] = t K(beta, z gamma) (Wu et al., "Towards a
unified and verified understanding of group-operation networks", ICLR 2025). As functions of g = a^-1 or b, both sides are f(gx)
for a point x of a transitive set; averaging over the g that take x to each point finds f, and how much varies within says
whether x fits. Neurons on the same sets whose kernels K agree up to scale are a cluster. An interpretation is a choice of one
kernel for each cluster; with it, a cluster becomes a block.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from certificates.tensor_file import IntArray
from prover.layers.group_actions import BoolArray, FloatArray, GroupSet, coset_action, identity, orbits, subgroup_classes
from prover.layers.group_set_bound import SetBlock, SetBound, set_bound, sides
from prover.layers.two_input_problem import Hidden

_LARGEST_SET = 60
_MOST_CELLS = 2000
_LEAST_REACH = 1e-3
"""Neurons that can do less than this share of what the strongest can are left over."""
TOLERANCES = (0.03, 0.1, 0.3)
_KERNEL_STEPS = 4096


def transitive_sets(table: IntArray) -> list[GroupSet]:
    """Transitive actions on 2 to 60 points, smallest first."""
    return [coset_action(table, subgroup) for subgroup in subgroup_classes(table, _LARGEST_SET)]


@dataclass(frozen=True)
class Seat:
    """Where one side of a neuron can sit: number of the set, and the points, which differ by maps that commute with the
    action; values "p x": the function f for each of the points.
    """

    of: int
    points: IntArray
    values: FloatArray


def seats(values: FloatArray, sets: Sequence[GroupSet], tolerance: float) -> list[Seat | None]:
    """For functions values "g i", the smallest set with a point x such that values[g] is within tolerance of f(gx).

    tolerance: root mean square of what varies within a point, relative to that of the function less its mean.
    """
    total = np.maximum(values.var(0), 1e-300)
    found: list[Seat | None] = [None] * values.shape[1]
    for number, group_set in enumerate(sets):
        waiting = np.array([i for i, seat in enumerate(found) if seat is None], np.int64)
        if not len(waiting):
            break
        means = np.array([_means(group_set, x, values[:, waiting]) for x in range(group_set.size)])  # "p x i"
        kept = means.var(1) / total[waiting]
        best = np.argmax(kept, 0)
        for k in np.flatnonzero(1 - kept.max(0) < tolerance**2):
            points = group_set.twins(int(best[k]))
            found[waiting[k]] = Seat(number, points, means[points, :, k])
    return found


Sides = tuple[Seat, Seat]
"""Where both sides of a neuron sit."""


def _means(group_set: GroupSet, point: int, values: FloatArray) -> FloatArray:
    """The mean of values "g i" over the g that take a point to x, "x i"."""
    places = np.argsort(group_set.action[:, point], kind="stable")
    means: FloatArray = values[places].reshape(group_set.size, -1, values.shape[1]).mean(1)
    return means


@dataclass(frozen=True)
class Cluster:
    """Neurons "i" at cells (beta, gamma) of two sets: functions lam "i x" and mu "i y", kernels "i o" by number of orbit.

    orbit "x y": the number of the orbit of each pair of points under the group.
    """

    first: GroupSet
    second: GroupSet
    orbit: IntArray
    neurons: IntArray
    beta: IntArray
    gamma: IntArray
    lam: FloatArray
    mu: FloatArray
    kernels: FloatArray

    @staticmethod
    def places(sets: tuple[GroupSet, GroupSet], orbit: IntArray, neuron: int, row: FloatArray, sides: "Sides") -> "Cluster":
        """One neuron at all its places; its kernels are the means of its row of U over orbits, less that of the whole row."""
        left, right = sides
        beta, lam = (np.repeat(values, len(right.points), 0) for values in (left.points, left.values))
        gamma, mu = (np.tile(values.T, len(left.points)).T for values in (right.points, right.values))
        count = int(orbit.max()) + 1
        at_z = orbit[beta[:, None], sets[1].action[:, gamma].T] + count * np.arange(len(beta))[:, None]
        sums = np.bincount(at_z.ravel(), np.tile(row - row.mean(), len(beta)), count * len(beta))
        sizes = np.maximum(np.bincount(at_z.ravel(), minlength=count * len(beta)), 1)
        return Cluster(*sets, orbit, np.full(len(beta), neuron), beta, gamma, lam, mu, (sums / sizes).reshape(-1, count))

    def __getitem__(self, index: IntArray) -> "Cluster":
        arrays = (self.neurons, self.beta, self.gamma, self.lam, self.mu, self.kernels)
        return Cluster(self.first, self.second, self.orbit, *(array[index] for array in arrays))

    @staticmethod
    def join(parts: Sequence["Cluster"]) -> "Cluster":
        """All in one, in this order."""
        names = ("neurons", "beta", "gamma", "lam", "mu", "kernels")
        arrays = [np.concatenate([getattr(part, name) for part in parts]) for name in names]
        return Cluster(parts[0].first, parts[0].second, parts[0].orbit, *arrays)

    def apart(self, others: "Cluster") -> FloatArray:
        """How far kernels "i j" are from being multiples of each other, to three digits; constants don't count.

        A small share of how far lam and mu are from being positive multiples decides between places that fit alike.
        """
        kernels, functions = (
            one @ two.T
            for one, two in ((_units(self.kernels), _units(others.kernels)), (self._functions(), others._functions()))
        )
        distances: FloatArray = np.sqrt(np.maximum(1 - kernels**2, 0)).round(3) + 1e-4 * (1 - functions)
        return distances

    def _functions(self) -> FloatArray:
        centred = [values - values.mean(1, keepdims=True) for values in (self.lam, self.mu)]
        return _units(np.concatenate(centred, 1))


def _units(rows: FloatArray) -> FloatArray:
    units: FloatArray = rows / (np.linalg.norm(rows, axis=1, keepdims=True) + 1e-150)
    return units


@dataclass(frozen=True)
class Orbits:
    """Two sets, whose sizes are given, and how many of their cells have neurons at most; reach: what these can do."""

    first: int
    second: int
    filled: int
    reach: float

    @property
    def cells(self) -> int:
        """The number of cells, all of which need a neuron."""
        return self.first * self.second


def clusters(sets: Sequence[GroupSet], hidden: Hidden, table: IntArray, tolerance: float) -> tuple[list[Cluster], list[Orbits]]:
    """Neurons by sets and kernels, strongest first; and sets that have too many cells to be of use."""
    reach = hidden.reach
    alive = np.flatnonzero(reach > _LEAST_REACH * reach.max())
    alive = alive[np.argsort(-reach[alive], kind="stable")]
    lefts, rights = (seats(side[:, alive], sets, tolerance) for side in sides(hidden, table))
    pairs: dict[tuple[int, int], list[tuple[int, Sides]]] = {}
    for neuron, left, right in zip(alive.tolist(), lefts, rights, strict=True):
        if left and right:
            pairs.setdefault((left.of, right.of), []).append((neuron, (left, right)))
    found, vast = [], []
    for (x, y), members in pairs.items():
        if sets[x].size * sets[y].size > _MOST_CELLS:
            strength = float(sum(reach[neuron] for neuron, _ in members))
            vast.append(Orbits(sets[x].size, sets[y].size, len(members), strength))
            continue
        orbit = orbits(sets[x], sets[y])
        groups: list[list[Cluster]] = []
        for neuron, both in members:
            places = Cluster.places((sets[x], sets[y]), orbit, neuron, hidden.unembed[neuron], both)
            apart = places.apart(Cluster.join([group[0] for group in groups])) if groups else np.ones((1, 1))
            place, nearest = np.unravel_index(np.argmin(apart), apart.shape)
            if apart[place, nearest] < tolerance:
                groups[nearest].append(places[[place]])
            else:
                groups.append([places[[0]]])
        found += [Cluster.join(group) for group in groups]
    return found, vast


Interpretation = Callable[[Cluster], IntArray | None]
"""Chooses the kernel "x y" of a cluster; None: its neurons do not fit the interpretation at all."""


def any_kernel(cluster: Cluster) -> IntArray:
    """The kernel that fits the neurons' best, in integers up to a constant: 0 and 1 if it has two values."""
    values = np.linalg.svd(cluster.kernels, full_matrices=False)[2][0]
    rounded = np.rint((values - values.min()) / (np.ptp(values) or 1) * _KERNEL_STEPS).astype(np.int64)
    rounded -= np.bincount(rounded).argmax()
    divisor = int(np.gcd.reduce(rounded)) or 1
    kernel: IntArray = (rounded // divisor)[cluster.orbit]
    return kernel


def block_of(cluster: Cluster, kernel: IntArray, hidden: Hidden) -> SetBlock:
    """A cluster with a kernel: t is chosen neuron by neuron."""
    order = np.lexsort((cluster.neurons, cluster.gamma, cluster.beta))
    neurons, beta, gamma = cluster.neurons[order], cluster.beta[order], cluster.gamma[order]
    at_z, rows = kernel[beta[:, None], cluster.second.action[:, gamma].T], hidden.unembed[neurons]
    centred = at_z - at_z.mean(1, keepdims=True)
    guess = (rows * centred).sum(1) / np.maximum((centred**2).sum(1), 1e-300)
    t = _least(lambda t: np.ptp(rows - t[:, None] * at_z, axis=1), guess - np.abs(guess), guess + np.abs(guess))
    return SetBlock(cluster.first, cluster.second, kernel, neurons, beta, gamma, t)


def _least(function: Callable[[FloatArray], FloatArray], low: FloatArray, high: FloatArray) -> FloatArray:
    """Where convex functions "i" of one number each are least between low and high."""
    for _ in range(60):
        first, second = low + (high - low) / 3, high - (high - low) / 3
        smaller: BoolArray = function(first) < function(second)
        low, high = np.where(smaller, low, first), np.where(smaller, second, high)
    middle: FloatArray = (low + high) / 2
    return middle


@dataclass(frozen=True)
class SetProof:
    """Blocks with their bounds; incomplete: of all sets that neurons sit on, those with cells that have none.

    leftover: what neurons in no block can do; bias: what the output's bias does; margin "g" (infinite at 1).
    """

    blocks: tuple[SetBlock, ...]
    bounds: tuple[SetBound, ...]
    incomplete: tuple[Orbits, ...]
    leftover: float
    bias: float
    margin: FloatArray

    @property
    def worst(self) -> float:
        """The least margin over all g but 1; positive: every pair is certified."""
        return float(self.margin.min())

    @property
    def neurons(self) -> IntArray:
        """All neurons of the blocks, in order."""
        return np.concatenate([np.zeros(0, np.int64), *(block.neurons for block in self.blocks)])


def search(hidden: Hidden, table: IntArray, sets: Sequence[GroupSet], interpretation: Interpretation) -> SetProof:
    """The best proof of theorem 1 of rule `set-output` found, whether or not it certifies anything."""
    proofs = []
    for tolerance in TOLERANCES:
        found, vast = clusters(sets, hidden, table, tolerance)
        kernels = [(cluster, interpretation(cluster)) for cluster in found]
        blocks = [block_of(cluster, kernel, hidden) for cluster, kernel in kernels if kernel is not None and np.ptp(kernel)]
        proofs.append(assemble(hidden, table, blocks, vast))
    return max(proofs, key=lambda proof: proof.worst)


def assemble(hidden: Hidden, table: IntArray, blocks: Sequence[SetBlock], vast: Sequence[Orbits] = ()) -> SetProof:
    """The proof from these blocks, less those that cost more than their neurons left over.

    If that certifies, less those, too, without which at least half of the least margin is left, the largest first.
    """
    bounds, bias = [set_bound(hidden, table, block) for block in blocks], float(np.ptp(hidden.constant))
    reach = np.array([float(hidden.reach[block.neurons].sum()) for block in blocks])
    filled = [len(np.unique(block.cells)) for block in blocks]
    orbits_of = [
        Orbits(block.first.size, block.second.size, cells, strength)
        for block, cells, strength in zip(blocks, filled, reach.tolist(), strict=True)
    ]
    gains = np.array([bound.margin.numpy() for bound in bounds]).reshape(len(blocks), len(table)) + reach[:, None]  # "k g"
    gains = np.delete(gains, identity(table), 1)
    total = gains.sum(0)
    kept = list(range(len(blocks)))
    while kept:
        without = (total - gains[kept]).min(1)
        if without.max() <= total.min():
            break
        total = total - gains[kept.pop(int(np.argmax(without)))]
    needed = float(hidden.reach.sum()) + bias
    worst = float(total.min()) - needed
    for k in sorted(kept, key=lambda k: -blocks[k].kernel.size):
        if worst > 0 and (total - gains[k]).min() - needed >= worst / 2:
            total = total - gains[k]
            kept.remove(k)
    used = tuple(blocks[k] for k in kept)
    neurons = np.concatenate([np.zeros(0, np.int64), *(block.neurons for block in used)])
    leftover = float(np.delete(hidden.reach, neurons).sum())
    margin = sum((bounds[k].margin.numpy() for k in kept), np.full(len(table), -leftover - bias))
    margin[identity(table)] = np.inf
    incomplete = (*vast, *(one for one in orbits_of if one.filled < one.cells))
    return SetProof(used, tuple(bounds[k] for k in kept), incomplete, leftover, bias, margin)
