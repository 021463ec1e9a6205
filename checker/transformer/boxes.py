"""Activation functions and norms over boxes: of numbers that may be anything in wide intervals.

*Activations.* gelu, gelu_new and silu fall up to a number m, and rise from there. So over an interval from a to b, each is at
most the greater one of its values at a and at b, and at least that at the point of the interval that is next to m.
For x >= 0 they rise, being products of x and of something positive that rises. For x = -z < 0 the derivative has the sign of

    gelu      Q(z) / phi(z) - z              (Q(z) = Phi(-z); the quotient is the integral of exp(-z t - t^2 / 2) over t >= 0)
    silu      1 - z s(z)                     (s(z) = 1 / (1 + exp(-z)))
    gelu_new  1 - 2 z u'(z) s(2 u(z))        (u(z) = sqrt(2 / pi) (z + 0.044715 z^3); z, u' and u rise)

which falls as z grows, and is positive at one end of the interval below and negative at the other.

*Norms.* Let y = x / sqrt((sum x^2) / n + eps). With R the sum of the other squares, y_i = sqrt(n) x_i / sqrt(x_i^2 + R + n eps)
rises with x_i. So it lies between its values at the ends of x_i's interval, with R anywhere in its own.
"""

from fractions import Fraction

import numpy as np

from checker.core.enclosures import Enclosure
from checker.transformer.activations import ACTIVATIONS, fraction

_TURNS = {"gelu": Fraction("0.7517915"), "gelu_new": Fraction("0.7524614"), "silu": Fraction("1.2784645")}
"""-m is between this and 10^-7 more."""


def activated(act_fn: str | None, x: Enclosure) -> Enclosure:
    """The activation function over boxes."""
    activation = ACTIVATIONS[act_fn]
    if act_fn not in _TURNS:  # relu
        return activation(x)
    least = fraction(x.arithmetic, _TURNS[act_fn])
    turn = least.up_to(least + fraction(x.arithmetic, Fraction(1, 10**7)))
    low, high = x.ends()
    zero = low - low
    lowest = activation((zero - turn).maximum(low).minimum(high))
    return lowest.up_to(activation(low).maximum(activation(high)))


def normalised(x: Enclosure, eps: Enclosure) -> Enclosure:
    """Vectors "n d" over boxes become sqrt(d) x / sqrt(sum x^2 + eps). Refuses if that may be a division by zero."""
    size, arithmetic = x.shape[1], x.arithmetic
    places = np.arange(size)
    others = arithmetic.exact((places[:, None] != places).astype(np.int64), np.zeros((size, size), np.int64))
    rest = x.square() @ others + eps
    root = arithmetic.reciprocal_sqrt(size).times(np.full((1, 1), size, np.int64))  # of the size
    low, high = (end * ((end.square() + rest).inverse_sqrt() * root) for end in x.ends())
    return low.up_to(high)
