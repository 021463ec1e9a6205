"""Finite groups by their tables: subgroups up to conjugacy, transitive actions, and real irreducible characters.

Everything here is a search for hints; the checker verifies that a table is an action.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from certificates.tensor_file import IntArray

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]

_MOST_CLASSES = 400


def inverses(table: IntArray) -> IntArray:
    """The inverse "g" of every element, given the multiplication table "a b"."""
    return np.argmax(table == identity(table), 1)


def identity(table: IntArray) -> int:
    """The number of the identity."""
    return int(np.argmax(table[:, 0] == 0))


def generated(table: IntArray, elements: Iterable[int]) -> BoolArray:
    """The subgroup that elements generate, as a mask "g"."""
    chosen = list(elements)
    members = np.zeros(len(table), np.bool_)
    frontier = np.array([identity(table)])
    while len(frontier):
        members[frontier] = True
        reached = np.unique(table[np.ix_(frontier, chosen)]) if chosen else frontier[:0]
        frontier = reached[~members[reached]]
    return members


def generators(table: IntArray) -> IntArray:
    """Few elements that generate the group: each the one that adds most to what those before it generate."""
    found: list[int] = []
    members = generated(table, found)
    while not members.all():
        grown = [(int(generated(table, [*found, int(g)]).sum()), -int(g)) for g in np.flatnonzero(~members)]
        found.append(-max(grown)[1])
        members = generated(table, found)
    return np.array(found, np.int64)


def subgroup_classes(table: IntArray, largest_index: int) -> list[BoolArray]:
    """Subgroups "g" of index 2 to largest_index, one of each class of conjugates, largest first.

    Subgroups are found by adding one element at a time to those found before, from the trivial one up; the search ends after
    400 classes, which only large elementary abelian groups have.
    """
    size = len(table)
    inverse = inverses(table)
    conjugates = table[table, inverse[:, None]]  # "g h": g h g^-1
    first = generated(table, [])
    found = {first.tobytes(): (first, list[int]())}
    queue = [(first, list[int]())]
    while queue and len(found) < _MOST_CLASSES:
        subgroup, chosen = queue.pop()
        tried = subgroup.copy()
        while not tried.all():
            element = int(np.argmin(tried))
            larger = generated(table, [*chosen, element])
            tried |= larger if len(chosen) == 0 and _prime(int(larger.sum())) else _same(table, subgroup, element)
            name = min(np.unique(np.sort(conjugates[:, larger], 1), axis=0).tolist())
            mask = np.zeros(size, np.bool_)
            mask[name] = True
            if mask.tobytes() not in found:
                found[mask.tobytes()] = (mask, _few_generators(table, mask))
                queue.append(found[mask.tobytes()])
    masks = [mask for mask, _ in found.values() if 1 < size // int(mask.sum()) <= largest_index]
    return sorted(masks, key=lambda mask: (-int(mask.sum()), np.flatnonzero(mask).tolist()))


def _prime(number: int) -> bool:
    return number > 1 and all(number % divisor for divisor in range(2, int(number**0.5) + 1))


def _same(table: IntArray, subgroup: BoolArray, element: int) -> BoolArray:
    """Elements that add the same to a subgroup as this one: its cosets on both sides."""
    mask = np.zeros(len(table), np.bool_)
    mask[table[subgroup, element]] = True
    mask[table[element, subgroup]] = True
    return mask


def _few_generators(table: IntArray, subgroup: BoolArray) -> list[int]:
    chosen: list[int] = []
    members = generated(table, chosen)
    while (left := np.flatnonzero(subgroup & ~members)).size:
        chosen.append(int(left[-1]))
        members = generated(table, chosen)
    return chosen


@dataclass(frozen=True)
class GroupSet:
    """A transitive action: action "g x" is the point gx."""

    action: IntArray

    @property
    def size(self) -> int:
        """The number of points."""
        return self.action.shape[1]

    @property
    def stabilisers(self) -> BoolArray:
        """Which elements fix which point, "g x"."""
        return self.action == np.arange(self.size)

    def twins(self, point: int) -> IntArray:
        """The points with the same stabiliser as one: the images of it under maps that commute with the action."""
        fixed = self.stabilisers
        return np.flatnonzero(np.all(fixed == fixed[:, [point]], 0))

    def symmetries(self) -> list[IntArray]:
        """The permutations "x" of the points that commute with the action, the identity first."""
        maps = []
        for image in self.twins(0):
            permutation = np.empty(self.size, np.int64)
            permutation[self.action[:, 0]] = self.action[:, image]
            maps.append(permutation)
        return maps


def coset_action(table: IntArray, subgroup: BoolArray) -> GroupSet:
    """The action of a group on the cosets gH of a subgroup given as a mask "g"."""
    cosets = table[:, subgroup].min(1)
    points, of = np.unique(cosets, return_inverse=True)
    home = int(of[identity(table)])
    order = np.array([home, *(x for x in range(len(points)) if x != home)])
    position = np.argsort(order)
    return GroupSet(position[of[table[:, points[order]]]])


def orbits(first: GroupSet, second: GroupSet) -> IntArray:
    """The number of the orbit of each pair "x y" under the group, from 0, in order of appearance."""
    size = first.size * second.size
    pairs = first.action[:, :, None] * second.size + second.action[:, None, :]
    least = pairs.reshape(-1, size).min(0)
    return np.unique(least, return_inverse=True)[1].reshape(first.size, second.size)


def real_characters(table: IntArray) -> FloatArray:
    """Characters "r g" of the irreducible real representations; of norm 1, so that those of complex type are divided by sqrt 2
    and those of quaternionic type by 2.

    A generic symmetric element of the centre of the group algebra has one eigenspace in the regular representation for each
    irreducible real representation; the projection to it is the central idempotent e, and e(g) is proportional to chi(g).
    """
    size = len(table)
    inverse = inverses(table)
    conjugates = table[table, inverse[:, None]]
    _, name = np.unique(np.minimum(conjugates.min(0), conjugates.min(0)[inverse]), return_inverse=True)
    values = np.random.default_rng(0).normal(size=name.max() + 1)[name]
    matrix = values[table[:, inverse]]  # "g h": value at g h^-1, which commutes with translations
    eigenvalues, vectors = np.linalg.eigh(matrix)
    starts = np.flatnonzero(np.diff(eigenvalues, prepend=-np.inf) > 1e-8 * np.abs(eigenvalues).max())
    idempotents = []
    for start, end in zip(starts, [*starts[1:], size], strict=True):
        space = vectors[:, start:end]
        idempotents.append(space @ space[identity(table)] * size / np.sqrt(end - start))
    return np.array(idempotents)
