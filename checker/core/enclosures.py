"""The interface of enclosures: arrays of real numbers known up to an interval.

An `Enclosure` stands for an array of real numbers, of which it knows an interval each: lower <= value <= upper. Every
operation returns an enclosure of the exact result. Rules are written against this interface only; `scaled_integers` is
the fast implementation and `mpmath_intervals` an independent, slow one.

This is the one layer that counts. Public methods charge the meter from the shapes they process and check the size of
the result before it exists; subclasses implement the underscored kernels. One operation per element for add, subtract,
multiply, compare, minimum, maximum, absolute value, square root and exp; 2nkm for a matrix product. Structure (indexing,
reshaping) is free.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from certificates.tensor_file import IntArray
from checker.core.meter import Meter

BoolArray = NDArray[np.bool_]


class Enclosure(ABC):
    """An array of intervals around real numbers. Shapes broadcast as in numpy."""

    meter: Meter
    element_bytes: int
    """Memory per element of an array that an operation needs, temporary arrays included (roughly)."""
    slowness: int
    """How much longer an operation takes than on machine integers (roughly)."""
    exp_slowness: int
    """The same, for an exponential."""
    sqrt_slowness: int
    """The same, for a square root."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""

    def _charge_elementwise(self, *others: tuple[int, ...], each: int = 1, slowness: int | None = None) -> None:
        elements = math.prod(np.broadcast_shapes(self.shape, *others))
        self.meter.allocate(elements * self.element_bytes)
        self.meter.charge(each * elements, self.slowness if slowness is None else slowness)

    def _charge_reduction(self, axis: int) -> None:
        elements = math.prod(self.shape)
        self.meter.charge(elements - elements // self.shape[axis], self.slowness)

    def __add__(self, other: Self) -> Self:
        self._charge_elementwise(other.shape)
        return self._add(other)

    def __sub__(self, other: Self) -> Self:
        self._charge_elementwise(other.shape)
        return self._subtract(other)

    def __mul__(self, other: Self) -> Self:
        self._charge_elementwise(other.shape)
        return self._multiply(other)

    def __matmul__(self, other: Self) -> Self:
        """Matrix product of two-dimensional enclosures."""
        (n, k), (_, m) = self.shape, other.shape
        self.meter.allocate(n * m * self.element_bytes)
        self.meter.charge(2 * n * k * m, self.slowness)
        return self._matmul(other)

    def times(self, counts: IntArray) -> Self:
        """Elementwise product with exact integers."""
        self._charge_elementwise(counts.shape)
        return self._times(counts)

    def exp(self) -> Self:
        """Elementwise exponential."""
        self._charge_elementwise(slowness=self.exp_slowness)
        return self._exp()

    def sqrt(self) -> Self:
        """Elementwise square root of the value, or of 0 if that is greater."""
        self._charge_elementwise(slowness=self.sqrt_slowness)
        return self._sqrt()

    def square(self) -> Self:
        """Elementwise square."""
        self._charge_elementwise()
        return self._square()

    def __abs__(self) -> Self:
        self._charge_elementwise()
        return self._abs()

    def relu(self) -> Self:
        """Elementwise maximum with 0."""
        self._charge_elementwise()
        return self._relu()

    def sum(self, axis: int) -> Self:
        """Sum along an axis."""
        self._charge_reduction(axis)
        return self._sum(axis)

    def lengths(self) -> Self:
        """The Euclidean lengths of the columns of a matrix."""
        return self.square().sum(0).sqrt()

    def minimum(self, other: Self) -> Self:
        """Elementwise minimum of two enclosures."""
        self._charge_elementwise(other.shape)
        return self._minimum(other)

    def maximum(self, other: Self) -> Self:
        """Elementwise maximum of two enclosures."""
        self._charge_elementwise(other.shape)
        return self._maximum(other)

    def min(self, axis: int) -> Self:
        """Minimum along an axis."""
        self._charge_reduction(axis)
        return self._reduce(axis, largest=False)

    def max(self, axis: int) -> Self:
        """Maximum along an axis."""
        self._charge_reduction(axis)
        return self._reduce(axis, largest=True)

    def range(self, axis: int) -> Self:
        """Maximum less minimum along an axis."""
        return self.max(axis) - self.min(axis)

    def running_min(self, axis: int) -> Self:
        """Minimum of each prefix along an axis (same shape)."""
        self._charge_reduction(axis)
        return self._accumulate(axis, largest=False)

    def running_max(self, axis: int) -> Self:
        """Maximum of each prefix along an axis (same shape)."""
        self._charge_reduction(axis)
        return self._accumulate(axis, largest=True)

    def segment_min(self, starts: IntArray) -> Self:
        """Minima of consecutive, non-empty segments of axis 0; segment i is starts[i] .. starts[i+1]-1."""
        rows, columns = self.shape[0], math.prod(self.shape[1:])
        self.meter.charge((rows - len(starts)) * columns, self.slowness)
        return self._segment_min(starts)

    def segment_sum(self, starts: IntArray) -> Self:
        """Sums of consecutive, non-empty segments of axis 0, as for `segment_min`."""
        rows, columns = self.shape[0], math.prod(self.shape[1:])
        self.meter.charge((rows - len(starts)) * columns, self.slowness)
        return self._segment_sum(starts)

    def sort(self, axis: int) -> Self:
        """The numbers in ascending order along an axis; counted as n log2 n comparisons, rounded up."""
        self._charge_elementwise(each=(self.shape[axis] - 1).bit_length())
        return self._sort(axis)

    def least_product(self, low: Self, high: Self) -> Self:
        """Min over w in [low, high] of w * value, elementwise, for real numbers 0 <= low <= high.

        The minimum is low * value where value >= 0 and high * value elsewhere: one comparison, one multiplication.
        """
        self._charge_elementwise(low.shape, high.shape, each=2)
        return self._least_product(low, high)

    @abstractmethod
    def up_to(self, upper: Self) -> Self:
        """Any numbers that lie, elementwise, between those of this array and those of `upper` (of the same shape)."""

    def positive(self) -> BoolArray:
        """Where the value is *proved* to be greater than zero."""
        self.meter.charge(math.prod(self.shape), self.slowness)
        return self._positive()

    @abstractmethod
    def representative(self) -> Self:
        """Numbers of our choice inside each interval, known exactly (intervals of width zero)."""

    @abstractmethod
    def __getitem__(self, index: Any) -> Self:
        """Numpy indexing."""

    @abstractmethod
    def reshape(self, *shape: int) -> Self:
        """Numpy reshape."""

    @property
    @abstractmethod
    def T(self) -> Self:
        """The array with its axes reversed."""

    @abstractmethod
    def concatenate(self, others: Sequence[Self], axis: int) -> Self:
        """This array followed by others along an axis."""

    @abstractmethod
    def _add(self, other: Self) -> Self: ...
    @abstractmethod
    def _subtract(self, other: Self) -> Self: ...
    @abstractmethod
    def _multiply(self, other: Self) -> Self: ...
    @abstractmethod
    def _matmul(self, other: Self) -> Self: ...
    @abstractmethod
    def _times(self, counts: IntArray) -> Self: ...
    @abstractmethod
    def _exp(self) -> Self: ...
    @abstractmethod
    def _sqrt(self) -> Self: ...
    @abstractmethod
    def _square(self) -> Self: ...
    @abstractmethod
    def _abs(self) -> Self: ...
    @abstractmethod
    def _relu(self) -> Self: ...
    @abstractmethod
    def _sum(self, axis: int) -> Self: ...
    @abstractmethod
    def _segment_sum(self, starts: IntArray) -> Self: ...
    @abstractmethod
    def _sort(self, axis: int) -> Self: ...
    @abstractmethod
    def _minimum(self, other: Self) -> Self: ...
    @abstractmethod
    def _maximum(self, other: Self) -> Self: ...
    @abstractmethod
    def _reduce(self, axis: int, largest: bool) -> Self: ...
    @abstractmethod
    def _accumulate(self, axis: int, largest: bool) -> Self: ...
    @abstractmethod
    def _segment_min(self, starts: IntArray) -> Self: ...
    @abstractmethod
    def _least_product(self, low: Self, high: Self) -> Self: ...
    @abstractmethod
    def _positive(self) -> BoolArray: ...


class Arithmetic(ABC):
    """Makes enclosures of known numbers; every enclosure made by one arithmetic charges its meter."""

    meter: Meter
    element_bytes: int

    @abstractmethod
    def exact(self, mantissas: IntArray, exponents: IntArray) -> Enclosure:
        """Enclose mantissa * 2**exponent, elementwise; |mantissa| < 2**53."""

    @abstractmethod
    def reciprocal_sqrt(self, number: int) -> Enclosure:
        """Enclose 1 / sqrt(number) for a positive integer (shape (1, 1)); counts two operations."""
