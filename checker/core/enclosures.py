"""The interface of enclosures: arrays of real numbers known up to an interval.

An `Enclosure` stands for an array of real numbers, of which it knows an interval each: lower <= value <= upper. Every
operation returns an enclosure of the exact result. Rules are written against this interface only; `scaled_integers` is
the fast implementation and `mpmath_intervals` an independent, slow one.

This is the one layer that counts: whatever operation a class of enclosures defines charges the meter what is declared for it
here, from the shapes it is about to process, and announces the memory, before it runs. One operation per element for add,
subtract, multiply, compare, minimum, maximum, absolute value, square root and exp; 2nkm for a matrix product. Structure
(indexing, reshaping) is no operation, but takes effort where numbers are copied.
"""
# mypy: disable-error-code="empty-body"
# Operations are abstract, which mypy does not see behind `_costs`.

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from certificates.tensor_file import IntArray
from checker.core.meter import Meter

BoolArray = NDArray[np.bool_]


class Work(NamedTuple):
    """What a call will do: operations for the proof's length, steps that take time, numbers in memory, calls of numpy."""

    operations: int
    steps: int
    numbers: int
    calls: int = 1


def reached(elements: int) -> int:
    """Steps for so many elements: longer ones beyond the processor's cache, and where arrays are of new memory every time."""
    return elements * (1 if elements <= _IN_CACHE else 2 if elements <= _KEPT_AT_HAND else 3)


def _each(operations: int) -> Callable[..., Work]:
    """So many operations on every element."""

    def work(array: "Enclosure", *others: Any) -> Work:
        elements = math.prod(np.broadcast_shapes(array.shape, *(other.shape for other in others)))
        return Work(operations * elements, reached(elements), elements, 2)

    return work


def _exponentials(array: "Enclosure") -> Work:
    elements, terms = math.prod(array.shape), array.arithmetic.exp_terms
    return Work(elements, reached(elements) * terms, elements, terms)


def _along(array: "Enclosure", axis: int) -> Work:
    """Numpy's inner loop goes along some axis, if need be the shortest; beginning one takes like 6 elements, or 8."""
    elements, shortest = math.prod(array.shape), min((size for size in array.shape if size > 1), default=1)
    steps = reached(elements) + 6 * elements // shortest + 4 * elements // shortest**2
    return Work(elements - elements // (array.shape[axis] or 1), steps, elements, 2)


def _segments(array: "Enclosure", starts: IntArray) -> Work:
    rows, columns = array.shape[0], math.prod(array.shape[1:])
    return Work((rows - len(starts)) * columns, reached(rows * columns), rows * columns)


def _sorted(array: "Enclosure", axis: int) -> Work:
    elements, comparisons = math.prod(array.shape), (array.shape[axis] - 1).bit_length()
    return Work(elements * comparisons, elements * (comparisons + 6), elements)


def _product(left: "Enclosure", right: "Enclosure") -> Work:
    (*stack, n, k), (*other, _, m) = left.shape, right.shape
    matrices = math.prod(np.broadcast_shapes(tuple(stack), tuple(other)))
    numbers, products = matrices * (n * k + k * m + n * m), 2 * matrices * n * k * m
    return Work(products, products * left.arithmetic.product_slowness // left.slowness + 6 * numbers, numbers, 9)


def _gathered(array: "Enclosure", index: Any) -> Work:
    """Numbers are copied if there are arrays in the index (or lists); it may have new axes or an ellipsis otherwise only.

    From anywhere in a large array it takes three times as long.
    """
    parts = [
        np.asarray(part, np.int64) if isinstance(part, list) else part
        for part in (index if isinstance(index, tuple) else (index,))
    ]
    arrays = [part for part in parts if isinstance(part, np.ndarray)]
    if not arrays:
        return Work(0, 0, 0, 0)
    if any(part.dtype == np.bool_ for part in arrays):
        kept = math.prod(array.shape)
    else:
        others = [size for size, part in zip(array.shape, parts, strict=False) if isinstance(part, slice)]
        kept = math.prod([*np.broadcast_shapes(*(part.shape for part in arrays)), *others, *array.shape[len(parts) :]])
    return Work(0, kept if math.prod(array.shape) <= _IN_CACHE // 4 else 3 * kept, kept)


def _converted(array: "Enclosure", _: "Arithmetic") -> Work:
    elements = math.prod(array.shape)
    return Work(0, reached(elements), elements)


def _joined(array: "Enclosure", others: Sequence["Enclosure"], axis: int) -> Work:
    elements = sum(math.prod(part.shape) for part in (array, *others))
    return Work(0, reached(elements), elements, 1 + len(others))


_IN_CACHE = 2**18
"""Elements that a block of `brute-force` has at most: they fit into the processor's cache."""
_KEPT_AT_HAND = 2**22
"""Elements of the largest arrays whose memory is used again without asking the system for it."""
_CALL = 1500
"""What a call of numpy takes, however few numbers it is about, in elements: some 5 microseconds."""

_COSTS: dict[str, tuple[Callable[..., Work], int]] = {}
_Operation = TypeVar("_Operation", bound=Callable[..., Any])


def _costs(work: Callable[..., Work], effort: int) -> Callable[[_Operation], _Operation]:
    """Declares an operation: what it does, and the effort of a step on machine integers, in operations of `brute-force` (4 ns).

    The effort is what tests/core/primitive_pace.py measures in the worst layout of a million numbers, a quarter added.
    """

    def declared(operation: _Operation) -> _Operation:
        _COSTS[operation.__name__] = work, effort
        return abstractmethod(operation)

    return declared


def _charged(kernel: Callable[..., Any], work: Callable[..., Work], effort: int) -> Callable[..., Any]:
    """The operation that charges, then calls the kernel with arrays that have axes.

    Of an array of objects without axes, numpy makes a bare integer, and of that, in the next step, a machine number.
    """

    @wraps(kernel)
    def operation(*arguments: Any, **named: Any) -> Any:
        operations, steps, numbers, calls = work(*arguments, **named)
        own = arguments[0]
        own.meter.allocate(numbers * own.element_bytes)
        own.meter.toil(effort * (own.slowness * steps + _CALL * calls))
        own.meter.charge(operations, 0)
        result = kernel(*(x.reshape(1) if isinstance(x, Enclosure) and not x.shape else x for x in arguments), **named)
        return result if any(getattr(x, "shape", ()) for x in arguments) else result[0, ...]

    return operation


class Enclosure(ABC):
    """An array of intervals around real numbers. Shapes broadcast as in numpy."""

    def __init_subclass__(cls) -> None:
        """Every operation of an implementation charges for what it does; none may be missing."""
        for name, (work, effort) in _COSTS.items():
            setattr(cls, name, _charged(cls.__dict__[name], work, effort))

    def __init__(self, arithmetic: "Arithmetic") -> None:
        self.arithmetic, self.meter = arithmetic, arithmetic.meter
        self.element_bytes, self.slowness = arithmetic.element_bytes, arithmetic.slowness

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""

    @_costs(_each(1), 2)
    def __add__(self, other: Self) -> Self: ...
    @_costs(_each(1), 2)
    def __sub__(self, other: Self) -> Self: ...
    @_costs(_each(1), 8)
    def __mul__(self, other: Self) -> Self: ...

    @_costs(_product, 1)
    def __matmul__(self, other: Self) -> Self:
        """Matrix product; with more than two axes, of stacks of matrices, as in numpy."""

    @_costs(_each(1), 3)
    def times(self, counts: IntArray) -> Self:
        """Elementwise product with exact integers."""

    @_costs(_exponentials, 3)
    def exp(self) -> Self:
        """Elementwise exponential."""

    @_costs(_each(1), 66)
    def sqrt(self) -> Self:
        """Elementwise square root of the value, or of 0 if that is greater."""

    @_costs(_each(1), 24)
    def over(self, other: Self) -> Self:
        """Elementwise quotient by numbers that are proved to be positive. Refuses others."""

    @_costs(_each(1), 4)
    def square(self) -> Self:
        """Elementwise square."""

    @_costs(_each(1), 3)
    def __abs__(self) -> Self: ...

    @_costs(_each(1), 2)
    def relu(self) -> Self:
        """Elementwise maximum with 0."""

    @_costs(_each(1), 2)
    def minimum(self, other: Self) -> Self:
        """Elementwise minimum of two enclosures."""

    @_costs(_each(1), 2)
    def maximum(self, other: Self) -> Self:
        """Elementwise maximum of two enclosures."""

    @_costs(_along, 2)
    def sum(self, axis: int) -> Self:
        """Sum along an axis."""

    @_costs(_along, 2)
    def min(self, axis: int) -> Self:
        """Minimum along an axis."""

    @_costs(_along, 2)
    def max(self, axis: int) -> Self:
        """Maximum along an axis."""

    @_costs(_along, 4)
    def running_min(self, axis: int) -> Self:
        """Minimum of each prefix along an axis (same shape)."""

    @_costs(_along, 4)
    def running_max(self, axis: int) -> Self:
        """Maximum of each prefix along an axis (same shape)."""

    @_costs(_segments, 5)
    def segment_sum(self, starts: IntArray) -> Self:
        """Sums of consecutive, non-empty segments of axis 0; segment i is starts[i] .. starts[i+1]-1."""

    @_costs(_segments, 5)
    def segment_hull(self, starts: IntArray) -> Self:
        """Any numbers that lie, for each segment and column, between the least and the greatest of those in the segment."""

    @_costs(_sorted, 2)
    def sort(self, axis: int) -> Self:
        """The numbers in ascending order along an axis; counted as n log2 n comparisons, rounded up."""

    @_costs(_each(2), 6)
    def least_product(self, low: Self, high: Self) -> Self:
        """Min over w in [low, high] of w * value, elementwise, for real numbers 0 <= low <= high.

        The minimum is low * value where value >= 0 and high * value elsewhere: one comparison, one multiplication.
        """

    @_costs(_each(1), 1)
    def positive(self) -> BoolArray:
        """Where the value is *proved* to be greater than zero."""

    @_costs(_along, 3)
    def widest(self, axis: int) -> IntArray:
        """Where along an axis an interval is widest, or nearly so. Nothing may depend on it but how far a proof gets."""

    @_costs(_each(0), 2)
    def up_to(self, upper: Self) -> Self:
        """Any numbers that lie, elementwise, between those of this array and those of `upper` (of the same shape)."""

    @abstractmethod
    def ends(self) -> tuple[Self, Self]:
        """Numbers, known exactly, of which the first are at most the value, and the others at least."""

    @_costs(_gathered, 8)
    def __getitem__(self, index: Any) -> Self:
        """Numpy indexing."""

    @abstractmethod
    def reshape(self, *shape: int) -> Self:
        """Numpy reshape."""

    @property
    @abstractmethod
    def T(self) -> Self:
        """The array with its axes reversed."""

    @_costs(_joined, 2)
    def concatenate(self, others: Sequence[Self], axis: int) -> Self:
        """This array followed by others along an axis."""

    @_costs(_converted, 4)
    def within(self, arithmetic: Any) -> Self:
        """The same numbers in another arithmetic of the same kind, rounded to its precision."""

    def representative(self) -> Self:
        """The upper ends, known exactly (intervals of width zero)."""
        return self.ends()[1]

    def lengths(self) -> Self:
        """The Euclidean lengths of the columns of a matrix."""
        return self.square().sum(0).sqrt()

    def inverse_sqrt(self) -> Self:
        """1 / sqrt(x) of numbers that are proved to be positive. Refuses others."""
        one = self.arithmetic.exact(np.ones((1,) * len(self.shape), np.int64), np.zeros((1,) * len(self.shape), np.int64))
        return one.over(self.sqrt())  # type: ignore[return-value]

    def range(self, axis: int) -> Self:
        """Maximum less minimum along an axis."""
        return self.max(axis) - self.min(axis)


class Arithmetic(ABC):
    """Makes enclosures of known numbers; every enclosure made by one arithmetic charges its meter."""

    meter: Meter
    element_bytes: int
    """Memory per element of an array that an operation needs, temporary arrays included (roughly)."""
    slowness: int
    """How much longer an operation takes than on machine integers (roughly)."""
    product_slowness: int
    """The same for the multiplications within a product of matrices."""
    exp_terms: int
    """So many terms of a series make an exponential."""

    @abstractmethod
    def exact(self, mantissas: IntArray, exponents: IntArray) -> Enclosure:
        """Enclose mantissa * 2**exponent, elementwise; |mantissa| < 2**53."""

    @abstractmethod
    def finer(self) -> "Arithmetic":
        """One with at least 64 bits, and the same meter."""

    @abstractmethod
    def reciprocal_sqrt(self, number: int) -> Enclosure:
        """Enclose 1 / sqrt(number) for a positive integer (shape (1, 1)); counts two operations."""
