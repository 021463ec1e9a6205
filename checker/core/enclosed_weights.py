"""The model's weights, and the statement's margin, as enclosures."""

import math
from fractions import Fraction

import numpy as np

from certificates.tensor_file import IntArray
from checker.core.enclosures import Enclosure
from checker.core.exact_weights import decode
from checker.core.facts import Setting


def weight(setting: Setting, name: str) -> Enclosure:
    """A weight as a matrix, the heads side by side (in W_O: below each other); a bias as a row."""

    def arranged(array: IntArray) -> IntArray:
        if ".b_" in name:
            return array.reshape(1, -1)
        if name.endswith("W_O"):
            return array.reshape(-1, array.shape[2])
        return array.transpose(1, 0, 2).reshape(array.shape[1], -1) if array.ndim == 3 else array

    setting.meter.gathering(3 * math.prod(setting.model.tensors[name].shape))
    mantissas, exponents = decode(name, setting.model.tensors[name])
    return setting.arithmetic.exact(arranged(mantissas), arranged(exponents))


def plus_bias(setting: Setting, value: Enclosure, name: str, columns: IntArray | slice = slice(None)) -> Enclosure:
    """A matrix plus a bias (some of its entries), if the model has it: absent biases are zero."""
    return value + weight(setting, name)[:, columns] if name in setting.model.tensors else value


def dyadic(setting: Setting, number: Fraction, up: bool = False) -> Enclosure:
    """A number >= 0 "1 1", rounded down, or up, to 52 bits or to a multiple of 2**-1100, which are exact."""
    exponent = min(52 - number.numerator.bit_length() + number.denominator.bit_length() - 1, 1100)
    scaled = number * Fraction(2) ** exponent
    floor, ceiling = scaled.numerator // scaled.denominator, -(-scaled.numerator // scaled.denominator)
    return setting.arithmetic.exact(np.full((1, 1), ceiling if up else floor, np.int64), np.full((1, 1), -exponent, np.int64))


def plus_margin(setting: Setting, value: Enclosure, times: int) -> Enclosure:
    """A value plus `times` the margin, which is rounded up."""
    if not setting.margin:
        return value
    return value + dyadic(setting, setting.margin, up=True).times(np.full((1, 1), times, np.int64))


def zeros(setting: Setting, *shape: int) -> Enclosure:
    """Zeros, known exactly."""
    setting.meter.allocate(math.prod(shape) * setting.arithmetic.element_bytes)
    return setting.arithmetic.exact(np.zeros(shape, np.int64), np.zeros(shape, np.int64))


def ones(setting: Setting, rows: int, columns: int) -> Enclosure:
    """A matrix of ones."""
    return setting.arithmetic.exact(np.ones((rows, columns), np.int64), np.zeros((rows, columns), np.int64))
