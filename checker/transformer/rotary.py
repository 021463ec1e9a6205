"""Cosines and sines of rotary embeddings: of position x base^(-2 i / dim), for i = 0 .. dim / 2 - 1.

*Root.* Let g = base^(-2 / dim), base >= 1, so that g^(dim / 2) = 1 / base and 0 < g <= 1. An integer L is at most 2^B g
exactly if (L / 2^B)^(dim / 2) <= 1 / base, which bisection decides in integers. *One step.* The angle is theta = g^i, in
(0, 1]; for such angles the terms of the Taylor series of sine and cosine alternate and fall, so that what is left out is at
most the first term left out. *All positions.* As complex numbers, the point of a sum is the product of the points: that of
a position is made of those of its halves, so that few roundings add up.

Everything is an interval [low, high] of integers in units of 2^-B, rounded outward.
"""

from fractions import Fraction

import numpy as np

from certificates.tensor_file import IntArray
from checker.core.enclosures import Enclosure
from checker.core.facts import Setting

_BITS = 96
_TERMS = 30
"""1 / 30! < 2^-96."""
_EFFORT_OF_A_ROOT = 2 * 10**6
Interval = tuple[int, int]


def _times(a: Interval, b: Interval) -> Interval:
    products = [x * y for x in a for y in b]
    return min(products) >> _BITS, -(-max(products) >> _BITS)


def _root(base: Fraction, degree: int) -> Interval:
    """base^(-1 / degree)."""
    low, high = 0, 1 << _BITS
    while high - low > 1:
        middle = (low + high) // 2
        fits = middle**degree * base.numerator <= base.denominator << (_BITS * degree)
        low, high = (middle, high) if fits else (low, middle)
    return low, high


def _cosine_and_sine(angle: Interval) -> tuple[Interval, Interval]:
    """Of an angle from 0 to 1."""
    sums, power = [[0, 0], [0, 0]], (1 << _BITS, 1 << _BITS)
    for n in range(_TERMS):
        low, high = power if n % 4 < 2 else (-power[1], -power[0])
        sums[n % 2][0] += low
        sums[n % 2][1] += high
        low, high = _times(power, angle)
        power = (low // (n + 1), -(-high // (n + 1)))
    (a, b), (c, d) = sums
    return (a - power[1], b + power[1]), (c - power[1], d + power[1])


def rotations(setting: Setting, base: Fraction, dim: int, positions: int) -> tuple[Enclosure, Enclosure]:
    """Cosines and sines, "position dim/2"."""
    setting.meter.toil(_EFFORT_OF_A_ROOT * (1 + dim * dim // 4096))
    setting.meter.scripting(32 * positions * dim)
    ratio, angle = _root(base, dim // 2), (1 << _BITS, 1 << _BITS)
    table = np.zeros((2, 2, positions, dim // 2), np.int64)  # cosine or sine, low or high
    for i in range(dim // 2):
        points = [((1 << _BITS, 1 << _BITS), (0, 0)), _cosine_and_sine(angle)]
        for position in range(2, positions):
            (a, b), (c, d) = points[position // 2], points[position - position // 2]
            (low, high), (less, more) = _times(a, c), _times(b, d)
            (e, f), (g, h) = _times(a, d), _times(b, c)
            points.append(((low - more, high - less), (e + g, f + h)))
        for position, point in enumerate(points[:positions]):
            for which, (low, high) in enumerate(point):
                table[which, :, position, i] = low >> (_BITS - 50), -(-high >> (_BITS - 50))
        angle = _times(angle, ratio)
    return _enclosed(setting, table[0]), _enclosed(setting, table[1])


def _enclosed(setting: Setting, ends: IntArray) -> Enclosure:
    found = setting.arithmetic.exact(ends, np.full(ends.shape, -50, np.int64))
    return found[0].up_to(found[1])
