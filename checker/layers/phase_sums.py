"""Sums of one even function at many phases: numerical integration, and how far it is off.

On the N-th parts of the circle, N even, let x = 2 pi n / N. All harmonics h below are whole numbers from 0 to N/2.

*Lemma 1.* Let P and Q be vectors of the plane. For all angles y, |cos y P + sin y Q| <= sway(P, Q), which is half of |(P_1 +
Q_2, P_2 - Q_1)| + |(P_1 - Q_2, P_2 + Q_1)|. *Proof.* As complex numbers, cos y P + sin y Q is (e^iy (P - iQ) + e^-iy (P +
iQ)) / 2; of these the absolute values are those lengths.

*Lemma 2.* Let f be an even function on the parts of the circle, s_i vectors of the plane, y_i parts of the circle, P_h =
sum_i s_i cos(h y_i), Q_h = sum_i s_i sin(h y_i), and c_h the mean over x of f(x) cos(h x). Then at every x

    sum_i s_i f(x - y_i) = c_0 P_0 + sum over 0 < h < N/2 of 2 c_h (cos(h x) P_h + sin(h x) Q_h) + c_{N/2} cos(N x / 2) P_{N/2},

and for h > 0, N |c_h| <= B (N^2 / (pi h)^2 + 3/5) / 4, where B = sum over x of |f(x + 2 pi/N) + f(x - 2 pi/N) - 2 f(x)|.

*Proof.* The first is the discrete Fourier series of f, an even function, and cos(h(x - y)) = cos hx cos hy + sin hx sin hy;
at h = N/2 the sines vanish. The second difference of f has the coefficients (2 cos(2 pi h / N) - 2) c_h = -4 sin(t)^2 c_h
with t = pi h / N, and a mean over x of B / N in absolute value. And 1 / sin(t)^2 = sum over all whole n of 1 / (t + pi n)^2,
in which the terms n != 0 together are convex and even in t, so at 0 < t <= pi/2 at most what they are at pi/2: 1 - 4 / pi^2 <
3/5.
"""

import numpy as np

from certificates.tensor_file import IntArray
from checker.core.enclosures import Enclosure
from checker.core.facts import Setting

_BITS = 20


def sway(p: Enclosure, q: Enclosure) -> Enclosure:
    """Twice that of lemma 1, "h k", for vectors P and Q "h k" whose first coordinates come first: "h 2k"."""
    half = p.shape[1] // 2
    first, second = (slice(0, half), slice(half, 2 * half))
    forth = length(p[:, first] + q[:, second], p[:, second] - q[:, first])
    return forth + length(p[:, first] - q[:, second], p[:, second] + q[:, first])


def length(first: Enclosure, second: Enclosure) -> Enclosure:
    """The lengths of vectors of the plane, from their coordinates."""
    return (first.square() + second.square()).sqrt()


def bends(values: Enclosure) -> Enclosure:
    """B of lemma 2, "d 1", for functions "d n" on the circle."""
    parts = np.arange(values.shape[1])
    steps = values[:, (parts + 1) % len(parts)] - values
    return abs(steps - steps[:, parts - 1]).sum(1).reshape(-1, 1)


def coefficient_bounds(setting: Setting, parts: int) -> Enclosure:
    """N / B times the bounds for |c_h| of lemma 2, "h 1", for h = 1 .. N/2."""
    # A quarter of N^2 / (pi h)^2 + 3/5, in units of 2**-20, rounded up: pi^2 > 9.8696.
    numbers = [(parts**2 * 10**4 << _BITS) // (4 * 98696 * h**2) + 1 for h in range(1, parts // 2 + 1)]
    mantissas: IntArray = np.array(numbers, np.int64).reshape(-1, 1) + ((3 << _BITS) // 20 + 1)
    return setting.arithmetic.exact(mantissas, np.full(mantissas.shape, -_BITS, np.int64))
