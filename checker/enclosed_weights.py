"""The model's weights as enclosures."""

import numpy as np

from certificates.tensor_file import IntArray
from checker.enclosures import Enclosure
from checker.exact_weights import decode
from checker.facts import Setting


def weight(setting: Setting, name: str) -> Enclosure:
    """A weight of the one head, or of none, as a matrix; a bias as a row."""
    mantissas, exponents = decode(name, setting.model.tensors[name])
    if mantissas.ndim == 3:  # one head
        mantissas, exponents = mantissas[0], exponents[0]
    if mantissas.ndim == 1:
        mantissas, exponents = mantissas[None], exponents[None]
    return setting.arithmetic.exact(mantissas, exponents)


def plus_bias(setting: Setting, value: Enclosure, name: str, columns: IntArray | slice = slice(None)) -> Enclosure:
    """A matrix plus a bias (some of its entries), if the model has it: absent biases are zero."""
    return value + weight(setting, name)[:, columns] if name in setting.model.tensors else value


def ones(setting: Setting, rows: int, columns: int) -> Enclosure:
    """A matrix of ones."""
    return setting.arithmetic.exact(np.ones((rows, columns), np.int64), np.zeros((rows, columns), np.int64))
