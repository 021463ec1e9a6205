"""Pairs of inputs that a rule is to prove correct one by one.

*Lemma.* Where the tables of a hidden layer are symmetric and the task is commutative, (b, a) is classified correctly if (a, b)
is: both have the same logits, up to a positive factor, and the same true output.

So with the parameter `mirrored` = 1 it is enough to look at pairs a <= b; each also certifies its mirror image.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from certificates.tensor_file import IntArray
from checker.core.enclosures import BoolArray, Enclosure
from checker.core.errors import Refused
from checker.core.facts import CertifiedInputs, Setting
from checker.layers.composition import composition
from checker.layers.facts import HiddenTables

_BLOCK = 2**18
"""Elements in the largest array of one block of pairs: small enough for the processor's cache."""


@dataclass(frozen=True)
class Pairs:
    """Pairs (left[p], right[p]) with the true outputs label[p]."""

    left: IntArray
    right: IntArray
    label: IntArray
    mirrored: bool

    @staticmethod
    def of(setting: Setting, tables: HiddenTables, wanted: IntArray, mirrored: int) -> "Pairs":
        """From a hint "a b" that marks pairs by 1."""
        task = composition(setting)
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
        return Pairs(left, right, task.table[left, right], bool(mirrored))

    def blocks(self, width: int) -> Iterator["Pairs"]:
        """Consecutive pairs, few enough for arrays with `width` elements for each."""
        size = max(1, _BLOCK // width)
        for start in range(0, len(self.left), size):
            part = slice(start, start + size)
            yield Pairs(self.left[part], self.right[part], self.label[part], self.mirrored)

    def of_true_output(self, values: Enclosure) -> Enclosure:
        """From values "p z" that of the true output, "p 1"."""
        return values[np.arange(len(self.label)), self.label].reshape(-1, 1)

    def require_lead(self, true: Enclosure, rivals: Enclosure) -> None:
        """Refuse unless `true` "p 1" is proved to be greater than `rivals` "p z" at all outputs but the true one."""
        proved = (true - rivals).positive()
        proved[np.arange(len(self.label)), self.label] = True
        self.require(np.asarray(proved.all(axis=1), np.bool_))

    def require(self, proved: BoolArray) -> None:
        """Refuse unless all pairs "p" are proved correct."""
        if not proved.all():
            first = int(np.argmin(proved))
            raise Refused(f"the pair ({self.left[first]}, {self.right[first]}) is not proved correct")

    def certified(self, setting: Setting) -> CertifiedInputs:
        """That all of them are correct, and their mirror images."""
        size = composition(setting).d_vocab
        setting.meter.hold(size**2)
        cells = np.zeros((size, size), np.bool_)
        cells[self.left, self.right] = True
        return certified_pairs(cells | cells.T if self.mirrored else cells)


def certified_pairs(cells: BoolArray) -> CertifiedInputs:
    """The fact that the pairs marked, "a b", are classified correctly."""

    def member(pairs: IntArray) -> BoolArray:
        return np.asarray(cells[pairs[:, 0], pairs[:, 1]], np.bool_)

    return CertifiedInputs(int(np.count_nonzero(cells)), cells, member, member)
