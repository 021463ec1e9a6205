"""Fixed-point hints and nearly orthonormal bases, on the safe side of what the checker finds (checker/rules/projections)."""

import math
from dataclasses import dataclass

import numpy as np
import torch

from prover.approximate import Approximate
from prover.strategy import DoesNotFit

UNIT_BITS = 30
_LARGEST_BITS = 44


@dataclass(frozen=True)
class Grid:
    """Fixed-point numbers in units of 2**-scale."""

    scale: int
    precision: int

    @staticmethod
    def fitting(largest: float, precision: int) -> "Grid":
        """Units small enough, and large enough for numbers up to `largest`."""
        if not math.isfinite(largest) or largest > 2.0**500:
            raise DoesNotFit("low-rank-chains: the weights are too large")
        return Grid(min(UNIT_BITS, _LARGEST_BITS - math.ceil(math.log2(max(largest, 1.0)))), precision)

    def nearest(self, values: np.ndarray) -> np.ndarray:
        """Integers near some values."""
        return np.rint(np.ldexp(values, self.scale)).astype(np.int64)

    def above(self, values: np.ndarray) -> np.ndarray:
        """Integers that stand for more than some values, by more than the checker's rounding of them."""
        largest = float(np.abs(values).max()) if np.size(values) else 0.0
        if math.ldexp(largest, self.scale) > 2.0**52:
            raise DoesNotFit("low-rank-chains: numbers too large for fixed point")
        return self.nearest(values + largest * 2.0 ** (4 - self.precision)) + 2

    def exact(self, integers: np.ndarray) -> Approximate:
        """What the checker makes of integers, as a matrix."""
        return Approximate.of(torch.as_tensor(np.ldexp(integers.astype(np.float64), -self.scale)), self.precision)


def inner(left: Approximate, right: Approximate) -> Approximate:
    """Inner products of rows, "n 1"."""
    products = left * right
    return products @ Approximate.of(torch.ones(products.value.shape[1], 1, dtype=torch.float64), left.precision)


def safe_root(squares: Approximate, unit: float) -> np.ndarray:
    """Numbers whose squares the checker finds larger than these squares "n 1", where roots are in multiples of `unit`."""
    precision = squares.precision
    upper = squares.upper.clamp_min(0)
    slack = float(upper.max()) * 2.0 ** (5 - min(precision, 26)) + 4 * squares.radius + unit**2
    return np.asarray((upper + slack).sqrt()[:, 0])


@dataclass(frozen=True)
class Basis:
    """A nearly orthonormal basis as hinted: `hint` "d r" in units of 2**-30, and the tilt that the checker can prove."""

    hint: np.ndarray
    tilt: int
    matrix: Approximate

    @staticmethod
    def of(columns: np.ndarray, precision: int) -> "Basis":
        """Round orthonormal columns."""
        grid = Grid(UNIT_BITS, precision)
        hint = grid.nearest(columns)
        matrix = grid.exact(hint)
        exact = hint.astype(object)
        excess = exact.T @ exact - (np.eye(hint.shape[1], dtype=np.int64).astype(object) << (2 * UNIT_BITS))
        size = math.isqrt(int((excess**2).sum())) + 1  # in units of 2**-60
        tilt = min(2 * UNIT_BITS - (size - 1).bit_length(), UNIT_BITS)
        if tilt < 2:
            raise DoesNotFit("low-rank-chains needs more precision")
        return Basis(hint, tilt, matrix)

    @property
    def share(self) -> Approximate:
        """1 - 3 eps, "1 1"."""
        value = torch.full((1, 1), 1 - 3 * 2.0**-self.tilt, dtype=torch.float64)
        return Approximate(value, 2.0**-30, self.matrix.precision)

    def split(self, vectors: Approximate, grid: Grid) -> tuple[Approximate, np.ndarray]:
        """Coordinates of vectors "n d", and the hint for their rests "n"."""
        inside = vectors @ self.matrix
        outside = inner(vectors, vectors) - inner(inside, inside) * self.share
        return inside, grid.above(safe_root(outside, 2.0**-grid.scale))
