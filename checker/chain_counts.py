"""How many tuples have their ordered entries below given sizes: an exact count in integers.

Let s_1 <= .. <= s_r be sizes (*levels*) and k_1 + .. + k_r = n. An n-tuple of non-negative integers *fits* if, sorted as
y_1 <= .. <= y_n, its first k_1 entries are below s_1, the next k_2 below s_2, and so on: in other words, if at least
k_1 + .. + k_i entries lie below s_i, for every i. With s_0 = 0, sorted by the number a_i of entries in s_{i-1} .. s_i - 1,
the fitting tuples are

    sum over *patterns* (a_1, .., a_r) of  n! / (a_1! .. a_r!) * prod (s_i - s_{i-1})**a_i

many, where a pattern has a_1 + .. + a_i >= k_1 + .. + k_i for every i, and a_1 + .. + a_r = n.
"""

import math
from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from certificates.tensor_file import IntArray


def patterns(numbers: Sequence[int]) -> list[tuple[int, ...]]:
    """All patterns for k_1, .., k_r = `numbers`; no more than (n + r - 1 choose r - 1)."""
    total = sum(numbers)
    found: list[tuple[int, ...]] = [()]
    for needed in list(accumulate(numbers))[:-1]:
        found = [(*a, more) for a in found for more in range(max(needed - sum(a), 0), total - sum(a) + 1)]
    return [(*a, total - sum(a)) for a in found]


def fitting_tuples(sizes: IntArray, numbers: Sequence[int]) -> IntArray:
    """Number of fitting tuples for each row of levels `sizes` "x r", as Python integers "x"."""
    widths = np.diff(sizes, axis=1, prepend=0).astype(object)
    count = np.zeros(len(sizes), object)
    for pattern in patterns(numbers):
        term = np.full(len(sizes), math.factorial(sum(numbers)) // math.prod(map(math.factorial, pattern)), object)
        for width, exponent in zip(widths.T, pattern, strict=True):
            if exponent:
                term = term * width**exponent
        count += term
    return count
