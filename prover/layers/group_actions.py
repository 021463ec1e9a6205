"""Finite groups by their tables: subgroups up to conjugacy, transitive actions, and real irreducible characters.

Everything here is a search for hints; the checker verifies that a table is an action.
"""

from collections.abc import Iterable, Sequence
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


def generators(table: IntArray, subgroup: BoolArray | None = None) -> IntArray:
    """Few elements that generate the group, or a subgroup given as a mask "g": each one that those before it don't generate."""
    wanted = np.ones(len(table), np.bool_) if subgroup is None else subgroup
    found: list[int] = []
    members = generated(table, found)
    while (left := np.flatnonzero(wanted & ~members)).size:
        found.append(int(left[-1]))
        members = generated(table, found)
    return np.array(found, np.int64)


def is_group(table: IntArray) -> bool:
    """Whether a table is the multiplication table of a group (see checker/layers/group_laws)."""
    every = np.broadcast_to(np.arange(len(table)), table.shape)
    latin = np.array_equal(np.sort(table, 1), every) and np.array_equal(np.sort(table.T, 1), every)
    if not latin or not np.array_equal(table[identity(table)], every[0]):
        return False
    return all(np.array_equal(table[table[:, s]], table[:, table[s]]) for s in generators(table))


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
    seen = {first.tobytes()}
    while queue and len(found) < _MOST_CLASSES:
        subgroup, chosen = queue.pop()
        tried = subgroup.copy()
        while not tried.all():
            element = int(np.argmin(tried))
            larger = generated(table, [*chosen, element])
            tried |= larger if len(chosen) == 0 and _prime(int(larger.sum())) else _same(table, subgroup, element)
            if larger.tobytes() in seen:
                continue
            seen.add(larger.tobytes())
            name = min(np.unique(np.sort(conjugates[:, larger], 1), axis=0).tolist())
            mask = np.zeros(size, np.bool_)
            mask[name] = True
            if mask.tobytes() not in found:
                found[mask.tobytes()] = (mask, generators(table, mask).tolist())
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


def coset_action(table: IntArray, subgroup: BoolArray) -> GroupSet:
    """The action of a group on the cosets gH of a subgroup given as a mask "g"."""
    cosets = table[:, subgroup].min(1)
    points, of = np.unique(cosets, return_inverse=True)
    home = int(of[identity(table)])
    order = np.array([home, *(x for x in range(len(points)) if x != home)])
    position = np.argsort(order)
    return GroupSet(position[of[table[:, points[order]]]])


def side_by_side(actions: Sequence[IntArray]) -> IntArray:
    """The action "g x" on the union of sets, from the actions on each; their points are numbered one set after the other."""
    starts = np.cumsum([0, *(action.shape[1] for action in actions)])
    return np.concatenate([action + start for action, start in zip(actions, starts, strict=False)], axis=1)


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


def isotypic_projections(table: IntArray) -> FloatArray:
    """For every real irreducible representation but the trivial one, the projection "r g h" onto its matrix entries.

    Its row of the identity is the central idempotent, e(h); the others are e(g^-1 h).
    """
    characters, one = real_characters(table), identity(table)
    idempotents = characters * characters[:, one, None] / len(table)
    projections: FloatArray = idempotents[np.ptp(idempotents, axis=1) > 1e-9][:, table[inverses(table)]]
    return projections
