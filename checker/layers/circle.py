"""Cosines and sines of the multiples of a p-th of the circle, enclosed.

*Computation.* In fixed point with 128 bits: pi = 16 arctan(1/5) - 4 arctan(1/239) by the alternating series of arctan, and for
x = 2 pi j / p, 0 <= j < p, the Taylor series of cos x and sin x, in which each term is made from the one before, rounded down.
*Error.* Below, units of 2**-128. At most 60 terms of arctan, each off by at most 2, times 20, make pi off by less than 2**12,
and x by less than 2**14. A term x^n/n! is at most 600, and so is the sum of all, which is also the most by which an error of x
is magnified: 2**24. Each term carries over the error of the one before times x/n, and adds at most 1, so that the at most 80
terms together are off by less than 80 * 600 < 2**16; what comes after the last is less than 2. In all less than 2**28.
"""

from dataclasses import dataclass

import numpy as np

from certificates.tensor_file import IntArray
from checker.core.enclosures import Enclosure
from checker.core.facts import Setting

_BITS, _ERROR, _KEPT = 128, 1 << 28, 50
_SLOWNESS = 2500
"""Some 50 terms of either series, each as long as about 50 operations on arrays of machine integers."""


@dataclass(frozen=True)
class Circle:
    """Its points "2 n": the cosines and sines of 2 pi j / n, j < n."""

    points: Enclosure

    @staticmethod
    def of(setting: Setting, parts: int) -> "Circle":
        """Divided into so many parts."""
        setting.meter.charge(2 * parts, _SLOWNESS)
        pi = 16 * _arctan_of_inverse(5) - 4 * _arctan_of_inverse(239)
        values = np.array([_cos_and_sin(2 * pi * j // parts) for j in range(parts)], object).T
        drop = _BITS - _KEPT
        low, high = (values - _ERROR) >> drop, -((-values - _ERROR) >> drop)
        exponents = np.full(values.shape, -_KEPT, np.int64)
        ends = [setting.arithmetic.exact(end.astype(np.int64), exponents) for end in (low, high)]
        return Circle(ends[0].up_to(ends[1]))

    @property
    def parts(self) -> int:
        """How many there are."""
        return self.points.shape[1]

    def at(self, places: IntArray) -> Enclosure:
        """Cosines and sines "j 2 n" at some of its parts "j n", in any number of turns."""
        self.points.meter.allocate(2 * places.size * self.points.element_bytes)
        self.points.meter.gathering(4 * places.size)
        return self.points[np.arange(2)[:, None], places[:, None] % self.parts]


def _arctan_of_inverse(number: int) -> int:
    power, total, k = (1 << _BITS) // number, 0, 0
    while power:
        total += (-1) ** k * (power // (2 * k + 1))
        power //= number * number
        k += 1
    return total


def _cos_and_sin(x: int) -> tuple[int, int]:
    term, sums, n = 1 << _BITS, [0, 0], 0
    while term:
        sums[n % 2] += -term if n % 4 >= 2 else term
        n += 1
        term = term * x // (n << _BITS)
    return sums[0], sums[1]
