"""How many tuples have their ordered entries below given sizes: an exact count in integers.

Let s_1 <= .. <= s_r be sizes (*levels*) and k_1 + .. + k_r = n. An n-tuple of non-negative integers *fits* if, sorted as
y_1 <= .. <= y_n, its first k_1 entries are below s_1, the next k_2 below s_2, and so on: in other words, if at least
k_1 + .. + k_i entries lie below s_i, for every i. With s_0 = 0, let ways_i[a] be the number of ways to choose a of the n places
and to fill them with entries below s_i such that the first i of these conditions hold. Then ways_0[0] = 1, and

    ways_i[a] = sum over b <= a of ways_{i-1}[b] * (n - b choose a - b) * (s_i - s_{i-1})**(a - b)

for k_1 + .. + k_i <= a <= n, since exactly b of the entries lie below s_{i-1}, and the others in between. All n places are
filled in the end: ways_r[n] is the number of fitting tuples.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from certificates.tensor_file import IntArray
from checker.core.meter import Meter

_SLOWNESS = 256
"""How much slower a step on Python integers is than an operation on arrays of machine integers."""
_BYTES_PER_INTEGER = 64


def _steps(numbers: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """All (i, b, a) of the sum above, in order, for k_1, .., k_r = `numbers`."""
    least = needed = 0
    for level, number in enumerate(numbers):
        needed += number
        for after in range(needed, sum(numbers) + 1):
            for before in range(least, (after if level else 0) + 1):
                yield level, before, after
        least = needed


def charge_for_counting(meter: Meter, rows: int, numbers: Sequence[int]) -> None:
    """Charge one operation for each of `rows` counts, and the time and memory that they really take."""
    steps = sum(1 for _ in _steps(numbers))
    meter.toil(_SLOWNESS * steps * (rows + 16))
    meter.allocate(_BYTES_PER_INTEGER * (len(numbers) + 1) * (sum(numbers) + 1) * rows)
    meter.charge(rows)


def fitting_tuples(sizes: IntArray, numbers: Sequence[int]) -> IntArray:
    """Number of fitting tuples for each row of levels `sizes` "x r", as Python integers "x"."""
    total = sum(numbers)
    widths = np.diff(sizes, axis=1, prepend=0).astype(object)
    ways = np.zeros((len(numbers) + 1, total + 1, len(sizes)), object)
    ways[0, 0] = 1
    for level, before, after in _steps(numbers):
        choices = math.comb(total - before, after - before)
        ways[level + 1, after] += ways[level, before] * choices * widths[:, level] ** (after - before)
    fitting: IntArray = ways[-1, total]
    return fitting
