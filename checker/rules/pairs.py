"""Pairs of inputs that a rule is to prove correct one by one.

*Lemma.* Where the tables of a hidden layer are symmetric and the task is commutative, (b, a) is classified correctly if (a, b)
is: both have the same logits, up to a positive factor, and the same true output.

So with the parameter `mirrored` = 1 it is enough to look at pairs a <= b; each also certifies its mirror image.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from certificates.tensor_file import IntArray
from checker.enclosures import BoolArray, Enclosure
from checker.errors import Refused
from checker.facts import CertifiedInputs, HiddenTables, Setting

_BLOCK = 2**18
"""Elements in the largest array of one block of pairs: small enough for the processor's cache."""


@dataclass(frozen=True)
class Pairs:
    """Pairs (left[p], right[p]) with the true outputs label[p], sorted by label; all arrays "p"."""

    left: IntArray
    right: IntArray
    label: IntArray
    mirrored: bool

    @staticmethod
    def of(setting: Setting, tables: HiddenTables, wanted: IntArray, mirrored: int) -> "Pairs":
        """From a hint "a b" that marks pairs by 1."""
        task = setting.composition
        if np.any((wanted != 0) & (wanted != 1)):
            raise Refused("pairs are marked by 1, all others by 0")
        if mirrored not in (0, 1):
            raise Refused("mirrored is 0 or 1")
        if mirrored and not (tables.symmetric and task.commutative):
            raise Refused("only pairs of a symmetric network and a commutative task can be mirrored")
        left, right = np.nonzero(wanted)
        if mirrored and np.any(left > right):
            raise Refused("where pairs are mirrored, only those with a <= b are marked")
        setting.meter.hold(64 * len(left))
        order = np.argsort(task.table[left, right], kind="stable")
        left, right = left[order], right[order]
        return Pairs(left, right, task.table[left, right], bool(mirrored))

    def blocks(self, width: int) -> Iterator["Pairs"]:
        """Consecutive pairs, few enough for arrays with `width` elements for each."""
        size = max(1, _BLOCK // width)
        for start in range(0, len(self.left), size):
            yield self.part(slice(start, start + size))

    def part(self, where: slice) -> "Pairs":
        """Some of them."""
        return Pairs(self.left[where], self.right[where], self.label[where], self.mirrored)

    def by_label(self) -> Iterator[tuple[int, slice]]:
        """Every label that occurs, and where."""
        starts = np.flatnonzero(np.diff(self.label, prepend=-1))
        for start, stop in zip(starts, [*starts[1:], len(self.label)], strict=True):
            yield int(self.label[start]), slice(int(start), int(stop))

    def inputs_of_neurons(self, tables: HiddenTables) -> Enclosure:
        """What the ReLUs are applied to, "p i"."""
        return (tables.left + tables.bias)[self.left] + tables.right[self.right]

    def margins(self, values: Enclosure) -> Enclosure:
        """The values "p z" of the true output less those of every other, "p z"."""
        true = values[np.arange(len(self.label)), self.label].reshape(-1, 1)
        return true - values

    def require_positive(self, margins: Enclosure) -> None:
        """Refuse unless the margins "p z" over all outputs but the true one are proved to be positive."""
        proved = margins.positive()
        proved[np.arange(len(self.label)), self.label] = True
        right = proved.all(axis=1)
        if not right.all():
            first = int(np.argmin(right))
            raise Refused(f"the pair ({self.left[first]}, {self.right[first]}) is not proved correct")

    def certified(self, setting: Setting) -> CertifiedInputs:
        """That all of them are correct, and their mirror images."""
        size = setting.composition.d_vocab
        setting.meter.hold(size**2)
        cells = np.zeros((size, size), np.bool_)
        cells[self.left, self.right] = True
        return certified_pairs(cells | cells.T if self.mirrored else cells)


def certified_pairs(cells: BoolArray) -> CertifiedInputs:
    """The fact that the pairs marked, "a b", are classified correctly."""

    def member(pairs: IntArray) -> BoolArray:
        return np.asarray(cells[pairs[:, 0], pairs[:, 1]], np.bool_)

    return CertifiedInputs(int(np.count_nonzero(cells)), cells, member, member)
