"""How many tuples fit under a chain of levels (defined in checker/attention/classes), for whole arrays of them."""

import math
from collections.abc import Sequence
from typing import Any


def fitting_tuples(widths: Sequence[Any], numbers: Sequence[int]) -> Any:
    """Number of fitting tuples. widths: how many tokens each level adds, as arrays of one shape (float64 tensors for the
    search, numpy arrays of Python integers for exact counts); numbers: how many tokens of the tuple belong to each level.
    """
    total = sum(numbers)
    ways: dict[int, Any] = {0: widths[0] * 0 + 1}  # by the number of tokens placed so far
    needed = 0
    for width, number in zip(widths, numbers, strict=True):
        needed += number
        powers = [width * 0 + 1]
        for _ in range(total - min(ways)):
            powers.append(powers[-1] * width)
        ways = {
            placed: sum(
                before * powers[placed - used] * math.comb(total - used, placed - used)
                for used, before in ways.items()
                if used <= placed
            )
            for placed in range(needed, total + 1)
        }
    return ways[total]
