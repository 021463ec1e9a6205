"""The checker's rounding of matrices, modelled in float64 on the safe side, so that what the prover writes is accepted."""

from dataclasses import dataclass

from torch import Tensor

_FLOAT64 = 2.0**-50


@dataclass(frozen=True)
class Approximate:
    """A matrix and the largest half-width of the checker's intervals (so an endpoint is at most twice that away)."""

    value: Tensor
    radius: float
    precision: int

    @property
    def largest(self) -> float:
        return float(self.value.detach().abs().max()) + self.radius

    def rounded(self, bits: int) -> "Approximate":
        return Approximate(self.value, self.radius + self.largest * 2.0 ** (1 - bits), self.precision)

    def __add__(self, other: "Approximate") -> "Approximate":
        return Approximate(self.value + other.value, self.radius + other.radius, self.precision)

    def __matmul__(self, other: "Approximate") -> "Approximate":
        terms = self.value.shape[1]
        bits = (59 - terms.bit_length()) // 2
        a, b = self.rounded(min(bits, self.precision)), other.rounded(min(bits, self.precision))
        radius = (
            float(a.value.detach().abs().sum(1).max()) * b.radius
            + float(b.value.detach().abs().sum(0).max()) * a.radius
            + terms * (a.radius * b.radius + a.largest * b.largest * _FLOAT64)
        )
        return Approximate(a.value @ b.value, radius, self.precision)

    def __sub__(self, other: "Approximate") -> "Approximate":
        return Approximate(self.value - other.value, self.radius + other.radius, self.precision)

    def __mul__(self, other: "Approximate") -> "Approximate":
        a, b = self.rounded(self.precision), other.rounded(self.precision)
        radius = a.largest * b.radius + b.largest * a.radius + a.radius * b.radius + a.largest * b.largest * _FLOAT64
        return Approximate(a.value * b.value, radius, self.precision)

    def times(self, factor: float) -> "Approximate":
        rounded = self.rounded(self.precision)
        radius = rounded.radius + rounded.largest * 2.0 ** (3 - self.precision)
        return Approximate(self.value * factor, radius * factor, self.precision)

    @property
    def T(self) -> "Approximate":
        return Approximate(self.value.T, self.radius, self.precision)

    @property
    def upper(self) -> Tensor:
        """Above the upper endpoints."""
        return self.value + 2 * self.radius

    @staticmethod
    def of(value: Tensor, precision: int) -> "Approximate":
        """A number that the checker reads off a file."""
        return Approximate(value, float(value.detach().abs().max()) * 2.0 ** (1 - precision), precision)
