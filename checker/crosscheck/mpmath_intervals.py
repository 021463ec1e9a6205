"""A second implementation of enclosures, element by element over mpmath's interval arithmetic. Slow, independent.

`--arithmetic mpmath` uses it to cross-check the integer arithmetic: it must reach the same verdict, and charges the same
operations, on every certificate that the prover wrote. It is imported where somebody asks for it (in deciding), and nowhere
else: no verdict in integers depends on anything here, or on mpmath being installed right.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from mpmath.ctx_iv import MPIntervalContext
from mpmath.libmp import from_man_exp, mpf_gt, mpf_lt, mpf_sub
from numpy.typing import NDArray

from certificates.tensor_file import IntArray
from checker.core.enclosures import Arithmetic, BoolArray, Enclosure
from checker.core.errors import Refused
from checker.core.meter import Meter

Intervals = NDArray[np.object_]
_CONTEXT: Any = MPIntervalContext()
_CONTEXT.prec = 160
_EXP_LIMIT = from_man_exp(1, 20)
_ZERO = from_man_exp(0, 0)
_SLACK: Any = _CONTEXT.mpf([1, 1]) + _CONTEXT.mpf([-1, 1]) * _CONTEXT.ldexp(_CONTEXT.mpf(1), -150)
"""mpmath's interval exp rounds an approximation, which can be off by a hair: 1 +- 2**-150 makes up for it."""


def _of_endpoints(low: Any, high: Any) -> Any:
    return _CONTEXT.make_mpf((low, high))


@dataclass(frozen=True)
class _End:
    """A number that can be sorted."""

    number: Any

    def __lt__(self, other: "_End") -> bool:
        return bool(mpf_lt(self.number, other.number))


def _least(a: Any, b: Any) -> Any:
    return a if mpf_lt(a, b) else b


def _greatest(a: Any, b: Any) -> Any:
    return a if mpf_gt(a, b) else b


def _minimum(x: Any, y: Any) -> Any:
    return _of_endpoints(_least(x._mpi_[0], y._mpi_[0]), _least(x._mpi_[1], y._mpi_[1]))


def _maximum(x: Any, y: Any) -> Any:
    return _of_endpoints(_greatest(x._mpi_[0], y._mpi_[0]), _greatest(x._mpi_[1], y._mpi_[1]))


def _exp(x: Any) -> Any:
    if mpf_gt(x._mpi_[1], _EXP_LIMIT):
        raise Refused("exp of a number beyond 2**20: the scores are out of range")
    if mpf_lt(x._mpi_[0], from_man_exp(-1, 20)):
        high = _of_endpoints(*(2 * [_greatest(x._mpi_[1], from_man_exp(-1, 20))]))
        return _of_endpoints(_ZERO, (_CONTEXT.exp(high) * _SLACK)._mpi_[1])
    return _CONTEXT.exp(x) * _SLACK


_MINIMUM = np.frompyfunc(_minimum, 2, 1)
_MAXIMUM = np.frompyfunc(_maximum, 2, 1)
_EXP = np.frompyfunc(_exp, 1, 1)
_SIZE = np.frompyfunc(lambda x: _maximum(_maximum(x, -x), _CONTEXT.mpf(0)), 1, 1)
_SQRT = np.frompyfunc(lambda x: _CONTEXT.sqrt(_maximum(x, _CONTEXT.mpf(0))), 1, 1)
_TO_INTERVAL = np.frompyfunc(lambda number: _CONTEXT.mpf(int(number)), 1, 1)
_POSITIVE = np.frompyfunc(lambda x: bool(mpf_gt(x._mpi_[0], _ZERO)), 1, 1)
_HULL = np.frompyfunc(lambda x, y: _of_endpoints(_least(x._mpi_[0], y._mpi_[0]), _greatest(x._mpi_[1], y._mpi_[1])), 2, 1)
_LOWER_END = np.frompyfunc(lambda x: _End(x._mpi_[0]), 1, 1)
_UPPER_END = np.frompyfunc(lambda x: _End(x._mpi_[1]), 1, 1)
_OF_END = np.frompyfunc(lambda end: _of_endpoints(end.number, end.number), 1, 1)
_WIDTH = np.frompyfunc(lambda x: _End(mpf_sub(x._mpi_[1], x._mpi_[0])), 1, 1)
_LOWER = np.frompyfunc(lambda x: _of_endpoints(x._mpi_[0], x._mpi_[0]), 1, 1)
_UPPER = np.frompyfunc(lambda x: _of_endpoints(x._mpi_[1], x._mpi_[1]), 1, 1)


class MpmathArithmetic(Arithmetic):
    """Intervals with 160-bit endpoints, each element with its own exponent."""

    def __init__(self, meter: Meter) -> None:
        self.meter, self.element_bytes, self.slowness, self.exp_terms = meter, 2048, 512, 8
        self.product_slowness = self.slowness

    def exact(self, mantissas: IntArray, exponents: IntArray) -> "MpmathIntervals":
        """See Arithmetic. A 53-bit mantissa is exact at this precision."""

        def interval(mantissa: int, exponent: int) -> Any:
            number = from_man_exp(int(mantissa), int(exponent))
            return _of_endpoints(number, number)

        values = np.frompyfunc(interval, 2, 1)(mantissas, exponents)
        return MpmathIntervals(self, np.asarray(values, object))

    def finer(self) -> "MpmathArithmetic":
        """See Arithmetic."""
        return self

    def reciprocal_sqrt(self, number: int) -> "MpmathIntervals":
        """See Arithmetic."""
        self.meter.charge(2)
        value = np.empty((1, 1), object)
        value[0, 0] = _CONTEXT.mpf(1) / _CONTEXT.sqrt(_CONTEXT.mpf(number))
        return MpmathIntervals(self, value)


class MpmathIntervals(Enclosure):
    """An object array of mpmath intervals."""

    def __init__(self, arithmetic: Arithmetic, values: Intervals) -> None:
        super().__init__(arithmetic)
        self.values = values

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    def _new(self, values: Any) -> Self:
        return type(self)(self.arithmetic, np.asarray(values, object))

    def __add__(self, other: Self) -> Self:
        return self._new(self.values + other.values)

    def __sub__(self, other: Self) -> Self:
        return self._new(self.values - other.values)

    def __mul__(self, other: Self) -> Self:
        return self._new(self.values * other.values)

    def __matmul__(self, other: Self) -> Self:
        return self._new(self.values @ other.values)

    def times(self, counts: IntArray) -> Self:
        return self._new(self.values * _TO_INTERVAL(counts))

    def exp(self) -> Self:
        return self._new(_EXP(self.values))

    def sqrt(self) -> Self:
        return self._new(_SQRT(self.values))

    def over(self, other: Self) -> Self:
        if not np.asarray(_POSITIVE(other.values), np.bool_).all():
            raise Refused("a division by a number that is not proved to be positive; a higher precision may help")
        return self._new(self.values / other.values)

    def square(self) -> Self:
        size = _SIZE(self.values)
        return self._new(size * size)

    def __abs__(self) -> Self:
        return self._new(_SIZE(self.values))

    def relu(self) -> Self:
        return self._new(_MAXIMUM(self.values, _CONTEXT.mpf(0)))

    def sum(self, axis: int) -> Self:
        return self._new(np.add.reduce(self.values, axis=axis))

    def segment_sum(self, starts: IntArray) -> Self:
        return self._new(np.add.reduceat(self.values, starts))

    def segment_hull(self, starts: IntArray) -> Self:
        return self._new(_HULL.reduceat(self.values, starts))

    def sort(self, axis: int) -> Self:
        lower = np.sort(_LOWER_END(self.values), axis=axis)
        upper = np.sort(_UPPER_END(self.values), axis=axis)
        return self._new(_HULL(_OF_END(lower), _OF_END(upper)))

    def minimum(self, other: Self) -> Self:
        return self._new(_MINIMUM(self.values, other.values))

    def maximum(self, other: Self) -> Self:
        return self._new(_MAXIMUM(self.values, other.values))

    def min(self, axis: int) -> Self:
        return self._new(_MINIMUM.reduce(self.values, axis=axis))

    def max(self, axis: int) -> Self:
        return self._new(_MAXIMUM.reduce(self.values, axis=axis))

    def running_min(self, axis: int) -> Self:
        return self._new(_MINIMUM.accumulate(self.values, axis=axis))

    def running_max(self, axis: int) -> Self:
        return self._new(_MAXIMUM.accumulate(self.values, axis=axis))

    def least_product(self, low: Self, high: Self) -> Self:
        return self._new(_MINIMUM(low.values * self.values, high.values * self.values))

    def positive(self) -> BoolArray:
        return np.asarray(_POSITIVE(self.values), np.bool_)

    def widest(self, axis: int) -> IntArray:
        return np.asarray(np.argmax(_WIDTH(self.values), axis=axis), np.int64)

    def up_to(self, upper: Self) -> Self:
        return self._new(_HULL(self.values, upper.values))

    def ends(self) -> tuple[Self, Self]:
        return self._new(_LOWER(self.values)), self._new(_UPPER(self.values))

    def __getitem__(self, index: Any) -> Self:
        return self._new(self.values[index])

    def reshape(self, *shape: int) -> Self:
        return self._new(self.values.reshape(shape))

    @property
    def T(self) -> Self:
        return self._new(self.values.T)

    def within(self, arithmetic: Arithmetic) -> Self:
        return type(self)(arithmetic, self.values)

    def concatenate(self, others: Sequence[Self], axis: int) -> Self:
        return self._new(np.concatenate([self.values, *(other.values for other in others)], axis=axis))
