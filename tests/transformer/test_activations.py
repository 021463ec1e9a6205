"""Activations and rotations in enclosures, against mpmath: of intervals, and tight where a number is known exactly."""

from fractions import Fraction

import mpmath
import numpy as np
import pytest
from test_enclosures import ends, make

from checker.core.facts import Setting
from checker.transformer.activations import ACTIVATIONS
from checker.transformer.rotary import rotations

EXACT = {
    "gelu": lambda x: x * mpmath.ncdf(x),
    "gelu_new": lambda x: x / (1 + mpmath.exp(-2 * mpmath.sqrt(2 / mpmath.pi) * (x + mpmath.mpf("0.044715") * x**3))),
    "relu": lambda x: max(x, mpmath.mpf(0)),
    "silu": lambda x: x / (1 + mpmath.exp(-x)),
}


def real(number: Fraction) -> mpmath.mpf:
    return mpmath.mpf(number.numerator) / number.denominator


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("kind", [12, 30, 64, "mpmath"])
def test_activations_enclose(kind: object, name: str) -> None:
    """Between -24 and 24, around 3 and the least values above all; intervals of many widths."""
    rng = np.random.default_rng(1)
    centres = np.concatenate([np.linspace(-24, 24, 30), rng.normal(size=12) * 3, [0, 3, -3, -0.75, -1.28, -1.42, 1.42]])
    for width in (0, 2**-20, 2**-8, 1, 20):
        low, high = (np.rint((centres + sign * width / 2) * 2**24).astype(np.int64) for sign in (-1, 1))
        arithmetic = make(kind)
        exponents = np.full((1, len(low)), -24, np.int64)
        x = arithmetic.exact(low[None], exponents).up_to(arithmetic.exact(high[None], exponents))
        below, above = ends(ACTIVATIONS[name](x))
        with mpmath.workdps(50):
            for i in range(len(low)):
                points = [real(Fraction(int(low[i]) + (int(high[i]) - int(low[i])) * k // 8, 2**24)) for k in range(9)]
                values = [EXACT[name](point) for point in points]
                assert real(below[0, i]) <= min(values) and max(values) <= real(above[0, i]), (centres[i], width)
                if width == 0 and kind != 12:
                    assert above[0, i] - below[0, i] < 24 * Fraction(1, 2**20 if kind == 30 else 2**38)


@pytest.mark.parametrize("base", [Fraction(1), Fraction(3), Fraction(5, 2), Fraction(10000), Fraction(10**59)])
def test_rotations_enclose(base: Fraction) -> None:
    for dim, positions, kind in ((2, 3, 12), (8, 60, 30), (6, 256, 64)):
        arithmetic = make(kind)
        setting = Setting(None, None, arithmetic, arithmetic.meter)  # type: ignore[arg-type]
        cosine, sine = (ends(table) for table in rotations(setting, base, dim, positions))
        with mpmath.workdps(60):
            for position in range(0, positions, 7):
                for i in range(dim // 2):
                    angle = position * mpmath.power(real(base), -mpmath.mpf(2 * i) / dim)
                    for (low, high), wanted in ((cosine, mpmath.cos(angle)), (sine, mpmath.sin(angle))):
                        assert real(low[position, i]) <= wanted <= real(high[position, i])
                        assert high[position, i] - low[position, i] <= Fraction(4, 2 ** min(kind, 49))
