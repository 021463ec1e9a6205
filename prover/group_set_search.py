"""The search for hints of the rule `group-sets`: on which finite sets the neurons of a group network sit.

An ideal neuron has left[a] = s lam(a^-1 beta), right[b] = s mu(b gamma), unembed[z] = t K(beta, z gamma) (Wu et al., "Towards a
unified and verified understanding of group-operation networks", ICLR 2025). As functions of g = a^-1 or b, both sides are
s f(g x) for a point x of a transitive set; averaging over the g that take x to each point finds f, and how much varies within
says whether x fits. Neurons whose (lam, mu, K) agree up to scale are a block: an ideal network if they fill X x Y evenly.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from certificates.tensor_file import IntArray
from prover.group_actions import (
    BoolArray,
    FloatArray,
    GroupSet,
    coset_action,
    generators,
    identity,
    inverses,
    orbits,
    subgroup_classes,
)

S_BITS = 30
_KERNEL_STEPS = 256
_LARGEST_SET = 60


@dataclass(frozen=True)
class Layer:
    """A hidden layer: left "a i" (with the bias added), right "b i", unembed "i z"; range of the output bias."""

    left: FloatArray
    right: FloatArray
    unembed: FloatArray
    bias_range: float = 0.0

    @property
    def slack(self) -> FloatArray:
        """What each neuron "i" can at most add to a difference of logits."""
        return np.maximum(self.left.max(0) + self.right.max(0), 0) * np.ptp(self.unembed, axis=1)


@dataclass(frozen=True)
class GroupSetBlock:
    """Hints of one step of rule `group-sets` (shapes and units there). neurons: columns of the layer, cell by cell."""

    action_x: IntArray
    action_y: IntArray
    generators: IntArray
    kernel: IntArray
    lam: IntArray
    mu: IntArray
    weight: int
    neurons: IntArray
    beta: IntArray
    gamma: IntArray
    s: IntArray
    t: IntArray
    scale: int
    weight_scale: int
    background: int

    @property
    def cells(self) -> IntArray:
        """The number of the cell of each neuron "i"."""
        return self.beta * len(self.mu) + self.gamma

    @property
    def filled(self) -> int:
        """How many cells have a neuron."""
        return len(np.unique(self.cells))

    @property
    def ideal(self) -> FloatArray:
        """H "x y"."""
        return np.maximum(self.lam[:, None] + self.mu, 0) * 2.0**-self.scale


@dataclass(frozen=True)
class Bound:
    """The bound of rule `group-sets` for one block: the ideal margin "g" and the error terms that lower it.

    `unevenness` and `unembedding` are the two parts of A; `left` and `right` those of B + C.
    """

    gap: FloatArray
    unevenness: float
    unembedding: float
    left: float
    right: float

    @property
    def error(self) -> float:
        """A + B + C."""
        return self.unevenness + self.unembedding + self.left + self.right

    @property
    def margin(self) -> FloatArray:
        """What the neurons of the block add at least to the margin over z = a g b, "g"."""
        return self.gap - self.error


def bound(layer: Layer, block: GroupSetBlock) -> Bound:
    """Evaluate the theorem of rule `group-sets` in float64."""
    s, t, kernel = block.s * 2.0**-S_BITS, block.t * 2.0**-block.weight_scale, block.kernel.astype(np.float64)
    weight, spread = block.weight * 2.0**-block.weight_scale, np.ptp(kernel)
    cells, shape = block.cells, kernel.shape
    left, right = _embedding_errors(layer, block)
    rest = np.ptp(_unembedding_residual(layer, block), axis=1)

    def per_cell(values: FloatArray) -> FloatArray:
        return np.bincount(cells, values, kernel.size)

    uneven, loose = np.abs(weight - per_cell(s * t)) * spread, per_cell(s * rest)
    order = np.argsort(uneven + loose)
    ideal = np.sort(block.ideal, axis=None)
    ideal_logits = np.einsum("xy,xgy->g", block.ideal, kernel[:, block.action_y])
    one = int(np.argmax(np.all(block.action_y == np.arange(shape[1]), 1) & np.all(block.action_x == np.arange(shape[0]), 1)))
    differing = 2 * int((block.kernel != block.background).sum(0).max())
    loads = per_cell((left + right) * np.abs(t) * spread).reshape(shape)
    chosen = np.argsort(-loads, axis=0)[:differing]
    embedding = [
        float(side @ rest + np.take_along_axis(per_cell(side * np.abs(t) * spread).reshape(shape), chosen, 0).sum())
        for side in (left, right)
    ]
    return Bound(
        weight * (ideal_logits[one] - ideal_logits), float(ideal @ uneven[order]), float(ideal @ loose[order]), *embedding
    )


def _embedding_errors(layer: Layer, block: GroupSetBlock) -> tuple[FloatArray, FloatArray]:
    """Both summands of e_i."""
    s, unit = block.s * 2.0**-S_BITS, 2.0**-block.scale
    at_a = np.argsort(block.action_x, 1)[:, block.beta]  # g^-1 x: the place of x in the row of g
    left = layer.left[:, block.neurons] - s * block.lam[at_a] * unit
    right = layer.right[:, block.neurons] - s * block.mu[block.action_y[:, block.gamma]] * unit
    return np.abs(left).max(0), np.abs(right).max(0)


def _unembedding_residual(layer: Layer, block: GroupSetBlock) -> FloatArray:
    """U_i(z) - t_i K(beta_i, z gamma_i), "i z"."""
    at_z = block.kernel[block.beta[:, None], block.action_y[:, block.gamma].T]
    return layer.unembed[block.neurons] - (block.t * 2.0**-block.weight_scale)[:, None] * at_z


@dataclass(frozen=True)
class Proof:
    """Blocks with their bounds, and what all else costs: `leftover` (neurons in no block) and `bias` (range of b_U)."""

    blocks: tuple[GroupSetBlock, ...]
    bounds: tuple[Bound, ...]
    leftover: float
    bias: float
    margin: FloatArray

    @property
    def worst(self) -> float:
        """The least margin over all g but 1; positive: every pair is certified."""
        return float(self.margin.min())


def best_subset(
    layer: Layer, neurons: Sequence[IntArray], margins: Sequence[FloatArray]
) -> tuple[list[int], float, FloatArray]:
    """Which blocks to use, given the neurons and the margin "g" of each: all but those that cost more than leaving them.

    Returns their numbers, what the neurons in none of them cost, and the total margin "g", less the range of b_U.
    """

    def total(kept: Sequence[int]) -> tuple[float, float, FloatArray]:
        rest = float(np.delete(layer.slack, np.concatenate([np.zeros(0, np.int64), *(neurons[k] for k in kept)])).sum())
        margin = sum((margins[k] for k in kept), np.full(len(layer.left) - 1, -rest - layer.bias_range))
        return float(margin.min()), rest, margin

    kept = list(range(len(neurons)))
    while kept:
        gain, without = max((total([j for j in kept if j != k])[0], k) for k in kept)
        if gain <= total(kept)[0]:
            break
        kept.remove(without)
    return kept, *total(kept)[1:]


def assemble(layer: Layer, table: IntArray, blocks: Sequence[GroupSetBlock]) -> Proof:
    """The proof from these blocks, or from fewer where a block costs more than its neurons left over."""
    others = np.arange(len(table)) != identity(table)
    bounds = [bound(layer, block) for block in blocks]
    kept, leftover, margin = best_subset(layer, [block.neurons for block in blocks], [one.margin[others] for one in bounds])
    return Proof(tuple(blocks[k] for k in kept), tuple(bounds[k] for k in kept), leftover, layer.bias_range, margin)


@dataclass(frozen=True)
class Seat:
    """Where one side of a neuron can sit: number of the set, and the points, which differ by maps that commute with the
    action; values "p x": the function f for each of the points.
    """

    of: int
    points: IntArray
    values: FloatArray


def seats(values: FloatArray, sets: Sequence[GroupSet], tolerance: float) -> list[Seat | None]:
    """For functions values "g i", the smallest set with a point x such that values[g] is within tolerance of f(g x).

    tolerance: root mean square of what varies within a point, relative to that of the function less its mean.
    """
    centred = values - values.mean(0)
    total = np.maximum((centred**2).mean(0), 1e-300)
    found: list[Seat | None] = [None] * values.shape[1]
    for number, group_set in enumerate(sets):
        waiting = np.array([i for i, seat in enumerate(found) if seat is None], np.int64)
        if not len(waiting):
            break
        share = group_set.size / len(values)
        means = np.array([_means(group_set, x, values[:, waiting]) for x in range(group_set.size)])  # "p x i"
        kept = ((means - values[:, waiting].mean(0)) ** 2).sum(1) * share * len(values) / group_set.size / total[waiting]
        kept /= len(values) * share
        best = np.argmax(kept, 0)
        for k in np.flatnonzero(1 - kept.max(0) < tolerance**2):
            points = group_set.twins(int(best[k]))
            found[waiting[k]] = Seat(number, points, means[points][:, :, k])
    return found


def _means(group_set: GroupSet, point: int, values: FloatArray) -> FloatArray:
    """The mean of values "g i" over the g that take a point to x, "x i"."""
    places = np.argsort(group_set.action[:, point], kind="stable")
    means: FloatArray = values[places].reshape(group_set.size, -1, values.shape[1]).mean(1)
    return means


@dataclass(frozen=True)
class Placed:
    """A neuron at a cell: lam "x", mu "y" and kernel "o" (by orbit) are its own, with its own scales."""

    neuron: int
    beta: int
    gamma: int
    lam: FloatArray
    mu: FloatArray
    kernel: FloatArray


def transitive_sets(table: IntArray) -> list[GroupSet]:
    """Transitive actions on 2 to 60 points, smallest first."""
    return [coset_action(table, subgroup) for subgroup in subgroup_classes(table, _LARGEST_SET)]


def search(
    layer: Layer,
    table: IntArray,
    sets: Sequence[GroupSet] | None = None,
    tolerances: Sequence[float] = (0.03, 0.1, 0.25),
    place: Callable[[Sequence[GroupSet], Layer, IntArray, float], list[GroupSetBlock]] | None = None,
) -> Proof:
    """The best proof of rule `group-sets` found, whether or not it certifies anything."""
    sets = transitive_sets(table) if sets is None else sets
    proofs = [assemble(layer, table, (place or group_set_blocks)(sets, layer, table, tolerance)) for tolerance in tolerances]
    return max(proofs, key=lambda proof: proof.worst)


def group_set_blocks(sets: Sequence[GroupSet], layer: Layer, table: IntArray, tolerance: float) -> list[GroupSetBlock]:
    """Neurons whose (lam, mu, K) agree up to scale within tolerance, strongest first."""
    blocks = []
    for first, second, groups in clusters(sets, layer, table, tolerance):
        orbit = orbits(first, second)
        blocks += [fitted(layer, table, first, second, orbit, group) for group in groups]
    return blocks


def clusters(
    sets: Sequence[GroupSet], layer: Layer, table: IntArray, tolerance: float, same_functions: bool = True
) -> list[tuple[GroupSet, GroupSet, list[list[Placed]]]]:
    """Placed neurons by pair of sets, and then by agreement: of lam, mu and K, or of K only (not same_functions)."""
    alive = np.flatnonzero(layer.slack > 1e-3 * layer.slack.max())
    lefts = seats(layer.left[inverses(table)][:, alive], sets, tolerance)
    rights = seats(layer.right[:, alive], sets, tolerance)
    pairs: dict[tuple[int, int], list[tuple[int, Seat, Seat]]] = {}
    for neuron, left, right in zip(alive, lefts, rights, strict=True):
        if left and right:
            pairs.setdefault((left.of, right.of), []).append((int(neuron), left, right))
    found = []
    for (x, y), members in pairs.items():
        orbit = orbits(sets[x], sets[y])
        groups: list[list[Placed]] = []
        for neuron, left, right in sorted(members, key=lambda member: -layer.slack[member[0]]):
            choices = [
                _placed(layer, neuron, int(beta), int(gamma), lam, mu, orbit, sets[y])
                for beta, lam in zip(left.points, left.values, strict=True)
                for gamma, mu in zip(right.points, right.values, strict=True)
            ]
            fits = [
                (*min((_distance(group[0], choice, same_functions), c) for c, choice in enumerate(choices)), k)
                for k, group in enumerate(groups)
            ]
            if fits and min(fits)[0][0] < tolerance:
                groups[min(fits)[2]].append(choices[min(fits)[1]])
            else:
                groups.append([choices[0]])
        found.append((sets[x], sets[y], groups))
    return found


def _placed(
    layer: Layer, neuron: int, beta: int, gamma: int, lam: FloatArray, mu: FloatArray, orbit: IntArray, second: GroupSet
) -> Placed:
    """A neuron with its kernel: the mean of its row of U over each orbit, less the mean of the whole row."""
    at_z, row = orbit[beta, second.action[:, gamma]], layer.unembed[neuron]
    kernel = np.bincount(at_z, row - row.mean(), orbit.max() + 1) / np.maximum(np.bincount(at_z, minlength=orbit.max() + 1), 1)
    return Placed(neuron, beta, gamma, lam, mu, kernel)


def _distance(first: Placed, second: Placed, same_functions: bool) -> tuple[float, float]:
    """How far two neurons are from being multiples of each other, relative to their size; constants don't count.

    The first number decides whether they may be in one block; the second, which of the points with one stabiliser to choose.
    """
    sides = [np.concatenate([one.lam - one.lam.mean(), one.mu - one.mu.mean()]) for one in (first, second)]
    functions = _sine(*sides) if sides[0] @ sides[1] > 0 else 1.0
    kernels = _sine(first.kernel, second.kernel)
    return (max(functions, kernels), 0.0) if same_functions else (kernels, functions)


def _sine(first: FloatArray, second: FloatArray) -> float:
    cosine = first @ second / np.sqrt((first @ first) * (second @ second) + 1e-300)
    return float(np.sqrt(max(0.0, 1 - cosine**2)))


def fitted(
    layer: Layer, table: IntArray, first: GroupSet, second: GroupSet, orbit: IntArray, group: Sequence[Placed]
) -> GroupSetBlock:
    """The hints for a block of placed neurons: K, lam, mu by weighted averages, s and t neuron by neuron, and then W."""
    group = sorted(group, key=lambda placed: (placed.beta, placed.gamma, placed.neuron))
    neurons = np.array([placed.neuron for placed in group])
    beta, gamma = np.array([placed.beta for placed in group]), np.array([placed.gamma for placed in group])
    kernel = integer_kernel(main_direction(np.array([placed.kernel for placed in group])))[orbit]
    profile = main_direction(np.array([np.concatenate([placed.lam, placed.mu]) for placed in group]), positive=True)
    profile /= np.abs(profile).max()
    lam, mu = profile[: first.size], profile[first.size :]
    scale = 20
    at_a = first.action[inverses(table)][:, beta]
    ideal = np.concatenate([lam[at_a], mu[second.action[:, gamma]]])
    wanted = np.concatenate([layer.left[:, neurons], layer.right[:, neurons]])
    sides = np.repeat([[True], [False]], len(table), 0)[:, 0]

    def embedding(s: FloatArray) -> FloatArray:
        gaps = np.abs(wanted - s * ideal)
        total: FloatArray = gaps[sides].max(0) + gaps[~sides].max(0)
        return total

    s = minimised(embedding, np.zeros(len(neurons)), 2 * (wanted * ideal).sum(0).clip(0) / (ideal**2).sum(0))
    at_z, rows = kernel[beta[:, None], second.action[:, gamma].T], layer.unembed[neurons]
    centred = at_z - at_z.mean(1, keepdims=True)
    guess = (rows * centred).sum(1) / np.maximum((centred**2).sum(1), 1e-300)
    t = minimised(lambda t: np.ptp(rows - t[:, None] * at_z, axis=1), guess - np.abs(guess), guess + np.abs(guess))
    weight_scale = min(30, 38 - int(np.ceil(np.log2(np.abs(t).max() * max(s.max(), 1) * len(t) + 1e-9))))
    block = GroupSetBlock(
        first.action,
        second.action,
        generators(table),
        kernel,
        np.rint(lam * 2**scale).astype(np.int64),
        np.rint(mu * 2**scale).astype(np.int64),
        0,
        neurons,
        beta,
        gamma,
        np.rint(s * 2**S_BITS).astype(np.int64),
        np.rint(t * 2**weight_scale).astype(np.int64),
        scale,
        weight_scale,
        _background(kernel),
    )
    others = np.arange(len(table)) != identity(table)
    sums = np.bincount(block.cells, s * t, kernel.size)
    weights = np.rint(np.unique([*sums, sums.mean(), np.median(sums)]) * 2**weight_scale).astype(np.int64)
    trials = [replace(block, weight=int(weight)) for weight in weights]
    return max(trials, key=lambda trial: float(bound(layer, trial).margin[others].min()))


def main_direction(rows: FloatArray, positive: bool = False) -> FloatArray:
    """The vector whose multiples fit the rows best, pointing the way most of them do (positive: as the rows' sum does)."""
    vector = np.linalg.svd(rows, full_matrices=False)[2][0]
    along = rows @ vector
    sign = np.sign(along.sum() if positive else along[np.argmax(np.abs(along))])
    result: FloatArray = vector * (sign or 1)
    return result


def integer_kernel(values: FloatArray) -> IntArray:
    """Integers "o" in proportion to the values up to a constant: 0 and 1 if there are two of them."""
    spread = np.ptp(values)
    rounded = np.rint((values - values.min()) / (spread or 1) * _KERNEL_STEPS).astype(np.int64)
    rounded -= np.bincount(rounded).argmax()
    divisor = np.gcd.reduce(rounded) or 1
    return rounded // divisor


def _background(kernel: IntArray) -> int:
    """The value that leaves fewest other entries in the worst column."""
    return int(min(np.unique(kernel), key=lambda value: int((kernel != value).sum(0).max())))


def minimised(function: Callable[[FloatArray], FloatArray], low: FloatArray, high: FloatArray) -> FloatArray:
    """Where convex functions "i" of one number each are least between low and high."""
    for _ in range(60):
        first, second = low + (high - low) / 3, high - (high - low) / 3
        smaller: BoolArray = function(first) < function(second)
        low, high = np.where(smaller, low, first), np.where(smaller, second, high)
    middle: FloatArray = (low + high) / 2
    return middle
