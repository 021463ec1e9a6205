"""The activation functions of an MLP, as enclosures. Each is x times a number between 0 and 1: of the logistic function, or of
the normal distribution. (ReLU is an operation of enclosures.)

*Logistic function.* Let a = min(x, 0) and b = max(x, 0). One of them is 0, so 1 / (1 + exp(-x)) = exp(a) / (exp(a) + exp(-b)),
the sum being at least 1, and no exponential above that. *gelu_new* is x (1 + tanh u) / 2 = x / (1 + exp(-2 u)), u being
sqrt(2 / pi) (x + 0.044715 x^3).

*Normal distribution* Phi, density phi, tail Q = 1 - Phi. With s = max(-2, min(x, 2)), Phi(x) = Phi(s) + Q(max(-x, 2)) -
Q(max(x, 2)): at least one of the tails is Q(2), and they cancel if both are. Series: integrating by parts again and
again, Phi(s) = 1/2 + phi(s) S(s), S(s) = sum over n >= 0 of s^(2n+1) / (2n+1)!!. Since phi(s) |s|^45 grows up to |s| = 2, the
terms from n = 22 on add at most phi(2) 2^45 / 45!! / (1 - 4 / 47) < 2^-45. Tail, for z >= 2: let I_{-1} = phi, and I_n(z)
be the integral of I_{n-1} from z on, which is positive. Then I_{n-1} = z I_n + (n+1) I_{n+1}, so h_n = I_n / I_{n-1} > 0 is
1 / (z + (n+1) h_{n+1}), and between 0 and 1 / z; and Q(z) = I_0 = h_0 phi(z).

All this is for a number c that is known exactly. Then gelu(x) = gelu(c) + (x - c) times a slope between -1/4 and 5/4, since
the derivative Phi(x) + x phi(x) has its extrema, which are above -0.13 and below 1.13, at x^2 = 2.
"""

from collections.abc import Callable, Mapping
from fractions import Fraction

import numpy as np

from checker.core.enclosures import Arithmetic, Enclosure

_PEAK = Fraction(39894228040143267793, 10**20)
"""The number 1 / sqrt(2 pi) is between this and 10^-20 more."""
_TERMS, _STEPS = 22, 60


def fraction(arithmetic: Arithmetic, number: Fraction, units: int = 1) -> Enclosure:
    """From a fraction >= 0, rounded down to 50 bits, to so many units of the last one more: "1 1"."""
    shift = 50 - number.numerator.bit_length() + number.denominator.bit_length()
    floor = (number.numerator << max(shift, 0)) // (number.denominator << max(-shift, 0))
    ends = arithmetic.exact(np.array([[floor], [floor + units]], np.int64), np.full((2, 1), -shift, np.int64))
    return ends[:1].up_to(ends[1:])


def _constant(x: Enclosure, number: int) -> Enclosure:
    return x.arithmetic.exact(np.full((1, 1), number, np.int64), np.zeros((1, 1), np.int64))


def _logistic(x: Enclosure) -> Enclosure:
    zero = _constant(x, 0)
    below, above = x.minimum(zero).exp(), (zero - x.relu()).exp()
    return below.over((below + above).maximum(_constant(x, 1)))


def _gelu_new(x: Enclosure) -> Enclosure:
    factor = fraction(x.arithmetic, _PEAK, 2).times(np.full((1, 1), 4, np.int64))  # 2 sqrt(2 / pi) = 4 / sqrt(2 pi)
    cubic = fraction(x.arithmetic, Fraction(44715, 10**6)) * x.square() + _constant(x, 1)
    return x * _logistic(factor * (x * cubic))


def _gelu(x: Enclosure) -> Enclosure:
    known, quarter = x.representative(), fraction(x.arithmetic, Fraction(1, 4))
    return _gelu_of_known(known) + (x - known) * (_constant(x, 0) - quarter).up_to(_constant(x, 1) + quarter)


def _gelu_of_known(x: Enclosure) -> Enclosure:
    zero, one, two = _constant(x, 0), _constant(x, 1), _constant(x, 2)
    peak = fraction(x.arithmetic, _PEAK, 2)

    def halved(square: Enclosure) -> Enclosure:
        return square * fraction(x.arithmetic, Fraction(1, 2))

    def tail(z: Enclosure) -> Enclosure:
        ratio = zero.up_to(fraction(x.arithmetic, Fraction(1, 2)))  # h_n, n = _STEPS
        for n in range(_STEPS, 0, -1):
            ratio = one.over(z + ratio.times(np.full((1, 1), n, np.int64)))
        return ratio * ((zero - halved(z.square())).exp() * peak)

    middle = x.minimum(two).maximum(zero - two)
    square, series = middle.square(), one
    for n in range(_TERMS - 1, 0, -1):
        series = one + square * fraction(x.arithmetic, Fraction(1, 2 * n + 1)) * series
    density = (zero - halved(square)).exp() * peak
    slack = x.arithmetic.exact(np.array([[-1], [1]], np.int64), np.full((2, 1), -40, np.int64))
    centre = fraction(x.arithmetic, Fraction(1, 2)) + slack[:1].up_to(slack[1:]) + density * (middle * series)
    return x * (centre + tail((zero - x).maximum(two)) - tail(x.maximum(two)))


ACTIVATIONS: Mapping[str | None, Callable[[Enclosure], Enclosure]] = {
    "gelu": _gelu,
    "gelu_new": _gelu_new,
    "relu": lambda x: x.relu(),
    "silu": lambda x: x * _logistic(x),
}
"""By their names in configurations."""
