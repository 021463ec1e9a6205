"""The lemmas of phase sums, for vectors and functions drawn at random, against the definitions in ordinary arithmetic."""

import numpy as np
import pytest
from test_enclosures import NEAR, numbers
from test_quadrature import setting_of

from checker.core.enclosures import Enclosure
from checker.core.facts import Setting
from checker.layers.phase_sums import bends, coefficient_bounds, length, sway


def enclosed(setting: Setting, numbers: np.ndarray) -> Enclosure:
    """Whole numbers, taken as eighths."""
    return setting.arithmetic.exact(numbers, np.full_like(numbers, -3))


@pytest.mark.parametrize("seed", range(12))
def test_sway_is_the_largest_sum_of_a_wave(seed: int) -> None:
    """Twice the largest |cos y P + sin y Q| of all angles y: some angle comes near."""
    setting, random = setting_of(30), np.random.default_rng(seed)
    waves, vectors = random.integers(1, 4), random.integers(1, 5)
    p, q = random.integers(-16, 17, (2, waves, 2, vectors))  # coordinates "2 h d k"
    flat = [enclosed(setting, part.reshape(waves, -1)) for part in (p, q)]
    y = np.linspace(0, np.pi, 4000)[:, None, None, None]
    sums = np.hypot(*np.moveaxis(np.cos(y) * p / 8 + np.sin(y) * q / 8, 2, 0)).max(axis=0)
    assert np.allclose(numbers(sway(*flat)), 2 * sums, atol=1e-4)
    assert np.allclose(numbers(length(flat[0], flat[1])), np.hypot(p, q).reshape(waves, -1) / 8, atol=NEAR)


@pytest.mark.parametrize("seed", range(24))
def test_coefficients_are_within_their_bounds(seed: int) -> None:
    """Of even functions; the bound at N/2 is reached by one that turns at every step, but for what pi is rounded by."""
    setting, random = setting_of(30), np.random.default_rng(seed)
    parts = 2 * int(random.integers(1, 30))
    x = np.arange(parts)
    functions = random.integers(-16, 17, (3, parts)) if seed % 3 else np.array([(-1) ** x, x == 0, x == parts // 2]) * 8
    functions = functions[:, np.minimum(x, -x % parts)]  # even
    values = functions / 8
    second = np.roll(values, 1, axis=1) + np.roll(values, -1, axis=1) - 2 * values
    found = numbers(bends(enclosed(setting, functions)))
    assert np.allclose(found[:, 0], abs(second).sum(axis=1), atol=NEAR)
    harmonics = np.arange(1, parts // 2 + 1)
    bounds = numbers(coefficient_bounds(setting, parts))[:, 0]
    sums = values @ np.cos(2 * np.pi * np.outer(x, harmonics) / parts)  # N c_h "f h"
    assert np.all(abs(sums) <= found * bounds + NEAR)
    true = (parts**2 / (np.pi * harmonics) ** 2 + 3 / 5) / 4
    assert np.all(bounds >= true) and np.allclose(bounds, true, rtol=1e-5, atol=NEAR)
    if seed % 3 == 0:
        assert found[0, 0] * (bounds[-1] - NEAR) <= abs(sums[0, -1]) * 1.01
