"""Classes of inputs that are told apart by how many of their tokens lie on which level: what all rules about chains count.

*Classes.* Fix a cell (q, m, c), and let N = K-1-c be the number of free tokens other than m. They lie on two *sides*, below
and above m (in Max-of-K: below only). A class names for each side nested sets L_1 <= .. <= L_r of tokens of that side, 1 <= r
<= 4 -- those of *level* i or less -- and numbers k_1, .., k_r >= 0, where k_i = 0 if L_i is empty; all numbers add up to N.
Its members are the inputs of the cell that have, on each side, k_1 + .. + k_r free tokens, all of them in L_r, and at least
k_1 + .. + k_i of them in L_i, for every i.

*Lemma (levels).* If g_i is at most what any token in L_i contributes to a sum, the free tokens of a member on a side
contribute at least sum_i k_i g_i. *Proof.* Sort them by the first of the sets that holds them. The first k_1 + .. + k_i lie
in L_i; so the k_i in the places after the first k_1 + .. + k_{i-1} contribute at least g_i each.

*Truth.* Let A be the number of free tokens above m, plus one if q > m. The true output, the n-th largest token, is m if and
only if A < n <= A + c + [q = m]. All members agree on A and c.

*Disjointness.* Query, true output, the number c of its free copies and the number a of free tokens above it are functions of
the input. A rule that claims at most one class for every (q, m, c, a) counts no input twice.

*Number.* A class has (K-1)! / (c! N_1! N_2!) * fitting_1 * fitting_2 members, where N_1 and N_2 are the numbers of free
tokens on its sides and fitting is, for a side with N tokens and s_i = |L_i|, the number of N-tuples of tokens in L_r that
have at least k_1 + .. + k_i entries in L_i for every i. With s_0 = 0, let ways_i[a] be the number of ways to choose a of the
N places and to fill them with tokens in L_i such that the first i of these conditions hold. Then ways_0[0] = 1, and

    ways_i[a] = sum over b <= a of ways_{i-1}[b] * (N - b choose a - b) * (s_i - s_{i-1})**(a - b),    k_1 + .. + k_i <= a <= N,

since exactly b of the entries lie in L_{i-1}, and the others in L_i beyond it. All N places are filled in the end: ways_r[N].
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from certificates.tensor_file import IntArray
from checker.attention.order_statistic import OrderStatistic
from checker.core.enclosures import BoolArray
from checker.core.errors import Refused
from checker.core.meter import Meter

_MOST_LEVELS = 4
_SLOWNESS = 256
"""How much slower a step on Python integers is than an operation on arrays of machine integers."""


@dataclass(frozen=True)
class Numbers:
    """Rows of numbers k_i, "n s r": of every side and level. copies, above "n": c, and the number of free tokens above m."""

    table: IntArray
    copies: IntArray
    above: IntArray

    @staticmethod
    def hinted(task: OrderStatistic, hint: IntArray) -> "Numbers":
        """From a hint "n s r"; copies are what the tokens of a row leave of the free positions."""
        _, sides, levels = hint.shape
        if sides != min(task.rank, 2) or not 1 <= levels <= _MOST_LEVELS:
            raise Refused(f"a class has 1 to {_MOST_LEVELS} levels, on one side for the largest token, else on two")
        if np.any(hint < 0) or np.any(hint > task.free):
            raise Refused(f"the numbers of tokens per level must lie between 0 and {task.free}")
        return Numbers(hint, task.free - hint.sum(axis=(1, 2)), hint[:, 1:].sum(axis=(1, 2)))

    def fit(self, row: IntArray, within: IntArray) -> BoolArray:
        """Which inputs are members of their cell's class, which has this row. within "x s r": how many tokens lie in L_i."""
        return np.asarray((within >= np.cumsum(self.table[row], axis=2)).all(axis=(1, 2)), np.bool_)


@dataclass(frozen=True)
class Classes:
    """The classes that a step claims. row "x": that of `numbers`; sizes "x s r": s_i."""

    numbers: Numbers
    row: IntArray
    sizes: IntArray

    @staticmethod
    def of(
        task: OrderStatistic, numbers: Numbers, key: tuple[IntArray, IntArray, IntArray | int], row: IntArray, sizes: IntArray
    ) -> "Classes":
        """Refuses what are no classes. key: labels, copies and numbers of tokens above, "x"."""
        label, copies, above = key
        if np.any(numbers.copies[row] != copies) or np.any(numbers.above[row] != above):
            raise Refused("the levels of a class must fill all free positions that the copies leave")
        tokens = np.stack([label, task.d_vocab - 1 - label], axis=1)[:, : sizes.shape[1]]
        if np.any(sizes < 0) or np.any(sizes > tokens[:, :, None]) or np.any(sizes[:, :, 1:] < sizes[:, :, :-1]):
            raise Refused("the sizes of a class must not decrease, and lie between 0 and the number of tokens on their side")
        if np.any((sizes == 0) & (numbers.table[row] > 0)):
            raise Refused("a class takes tokens from an empty level")
        return Classes(numbers, row, sizes)

    def count(self, task: OrderStatistic, meter: Meter, times: IntArray) -> int:
        """The number of members, those of class x taken times[x] times."""
        _, sides, levels = self.sizes.shape
        meter.allocate(8 * len(self.row) * (8 * sides * levels + 6))
        columns = np.stack([self.numbers.table[self.row], self.sizes], axis=1).reshape(len(self.row), 2 * sides * levels)
        meter.sorting(columns.size)
        order = np.lexsort(columns.T[::-1])
        columns = columns[order]
        starts = _starts(columns)
        kinds, times = columns[starts].reshape(-1, 2, sides, levels), np.add.reduceat(times[order], starts)
        members = 0
        for start, stop in pairwise([*_starts(columns[starts, : sides * levels]).tolist(), len(kinds)]):
            ways, left = times[start:stop].astype(object), task.free
            arrangements = math.factorial(task.free)
            for side, numbers in enumerate(kinds[start, 0].tolist()):
                ways = ways * fitting_tuples(meter, kinds[start:stop, 1, side], numbers)
                left -= sum(numbers)
                arrangements //= math.factorial(sum(numbers))
            members += arrangements // math.factorial(left) * sum(map(int, ways))
        return members


def bytes_to_hold(classes: int, numbers: int) -> int:
    """Memory for so many classes, with so many numbers k_i each, and what belongs to them."""
    return 8 * classes * (numbers + 6)


def _starts(rows: IntArray) -> IntArray:
    """Where rows of natural numbers differ from the one before, the first among them."""
    return np.flatnonzero(np.diff(rows, axis=0, prepend=-1).any(axis=1))


def fitting_tuples(meter: Meter, sizes: IntArray, numbers: Sequence[int]) -> IntArray:
    """For rows of sizes s_i, "x r", and k_1, .., k_r = `numbers`: how many tuples fit, as Python integers "x"."""
    total = sum(numbers)
    bits = total * int(sizes.max(initial=1)).bit_length()
    meter.allocate((bits // 7 + 40) * (2 * total + 5) * len(sizes))
    meter.charge(len(sizes))
    ways, needed = {0: np.ones(len(sizes), object)}, 0
    for width, number in zip(np.diff(sizes, axis=1, prepend=0).T.astype(object), numbers, strict=True):
        needed += number
        steps = sum(before <= after for after in range(needed, total + 1) for before in ways)
        meter.toil(_SLOWNESS * steps * (len(sizes) + 16))
        ways = {
            after: sum(
                ways[before] * math.comb(total - before, after - before) * width ** (after - before)
                for before in ways
                if before <= after
            )
            for after in range(needed, total + 1)
        }
    return np.asarray(ways[total], object)
