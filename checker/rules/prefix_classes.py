"""The classes of the rules `thresholds` and `pessimized`: non-maximum tokens from a prefix of the vocabulary.

Class (q, m, c; s), for q <= m, c >= 1 if q < m: the inputs with query q and maximum m, exactly c free copies of m, and all
K-1-c other free tokens below s, where s <= m. It has (K-1 choose c) * s**(K-1-c) members (0**0 = 1), and classes of
different cells (q, m, c) are disjoint. The hint `size` "q m c" gives s, or -1 where nothing is claimed.
"""

import math
from dataclasses import dataclass

import numpy as np

from certificates.certificate import Step
from certificates.tensor_file import IntArray
from checker.enclosures import BoolArray
from checker.errors import Refused
from checker.facts import CertifiedInputs, Setting, take_hints, take_parameters
from checker.tasks import MaxOfK


@dataclass(frozen=True)
class PrefixClasses:
    """All classes that a step claims, sorted by label: parallel arrays of query, label, copies and prefix size."""

    task: MaxOfK
    size_of_cell: IntArray
    query: IntArray
    label: IntArray
    copies: IntArray
    size: IntArray

    @staticmethod
    def claimed(setting: Setting, step: Step) -> "PrefixClasses":
        """Read the hint; refuses claims that are no classes."""
        task = setting.task
        take_parameters(step)
        vocab, n_ctx = task.d_vocab, task.n_ctx
        size = take_hints(setting, step, size=(vocab, vocab, n_ctx))["size"]
        label, query, copies = np.nonzero(size.transpose(1, 0, 2) != -1)
        chosen = size[query, label, copies]
        if np.any(query > label) or np.any((copies == 0) & (query < label)):
            raise Refused("a class is claimed in a cell (q, m, c) without inputs: q > m, or q < m and c = 0")
        if np.any(chosen < 0) or np.any(chosen > label):
            raise Refused("a prefix size must lie between 0 and the label")
        if np.any((copies < task.free) & (chosen == 0)):
            raise Refused("an empty prefix is claimed where free tokens remain to be chosen")
        return PrefixClasses(task, size, query, label, copies, chosen)

    def refusal(self, index: int) -> Refused:
        """The refusal of one class, in words."""
        return Refused(
            f"class (query {self.query[index]}, maximum {self.label[index]}, copies {self.copies[index]}, "
            f"other tokens below {self.size[index]}) is not proved correct"
        )

    def certified(self) -> CertifiedInputs:  # constructs a fact: called by rules only, after their checks
        """The fact that all claimed classes are classified correctly."""
        keys = np.stack([self.copies, self.size], axis=1)
        kinds, numbers = np.unique(keys, axis=0, return_counts=True)
        free = self.task.free
        correct = sum(
            int(number) * math.comb(free, int(copies)) * int(size) ** (free - int(copies))
            for (copies, size), number in zip(kinds, numbers, strict=True)
        )
        return CertifiedInputs(correct, np.asarray(self.size_of_cell != -1, np.bool_), self._covers)

    def _covers(self, tokens: IntArray) -> BoolArray:
        query, label, copies = self.task.cells_of(tokens)
        size = self.size_of_cell[query, label, copies]
        others = np.where(tokens[:, :-1] == label[:, None], -1, tokens[:, :-1])
        return np.asarray((size != -1) & np.all(others < size[:, None], axis=1), np.bool_)
