"""Enclosures as pairs of integer arrays: lo * 2**-shift <= value <= hi * 2**-shift, one shift per array.

*Rounding.* Every operation is exact, or rounds the lower endpoints down and the upper endpoints up (right shifts).

*No overflow.* Each array carries `bound` >= max(|lo|, |hi|). With `precision` P <= 30 the arrays are int64 and every
operation first makes sure, from the operands' bounds, that no intermediate magnitude exceeds 2**62: sums and products that
might are preceded by rounding the operands (products: to P bits or fewer). With P > 30 the same code runs on arrays of
Python integers, whose magnitudes are kept below 2**(2P + 64) only to save time.
"""

import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from certificates.tensor_file import IntArray
from checker.core.enclosures import Arithmetic, BoolArray, Enclosure, reached
from checker.core.errors import Refused
from checker.core.meter import Meter

LARGEST_MACHINE_PRECISION = 30
SMALLEST_PRECISION, LARGEST_PRECISION = 12, 256
_FINE = 64
_EFFORT_OF_EXACT, _MANTISSA = 20, 1 << 53
_EXP_LIMIT = 20
"""Arguments of exp are handled up to 2**20 in magnitude (below: the lower bound becomes 0; above: refused)."""


class ScaledArithmetic(Arithmetic):
    """Block floating point: arrays rounded to about `precision` bits relative to their largest element."""

    def __init__(self, precision: int, meter: Meter) -> None:
        if not SMALLEST_PRECISION <= precision <= LARGEST_PRECISION:
            raise Refused(f"precision must be {SMALLEST_PRECISION} to {LARGEST_PRECISION} bits, found {precision}")
        self.precision = precision
        self.meter = meter
        self.machine = precision <= LARGEST_MACHINE_PRECISION
        self.width = 62 if self.machine else 2 * precision + 64
        self.dtype = np.dtype(np.int64) if self.machine else np.dtype(object)
        self.element_bytes = 128 if self.machine else 1024
        self.exp_bits = precision if self.machine else precision + 16
        self.ln2_bits = self.exp_bits + (10 if self.machine else 32)
        self.ln2, self.ln2_above = _ln2(self.ln2_bits)
        self.exp_terms = _exp_terms(self.exp_bits)
        self.slowness = 1 if self.machine else 96 + precision // 2
        self.product_slowness = 1 if self.machine else ((precision + 32) // 25) ** 2  # as many products of digits, at most

    def exact(self, mantissas: IntArray, exponents: IntArray) -> "ScaledIntegers":
        """See Arithmetic. The largest element keeps `precision` bits; smaller ones lose what lies below that."""
        if mantissas.size and not -_MANTISSA < int(mantissas.min()) <= int(mantissas.max()) < _MANTISSA:
            raise AssertionError("a mantissa of more than 53 bits: a bug of the checker")
        self.meter.allocate(mantissas.size * self.element_bytes)
        self.meter.toil(_EFFORT_OF_EXACT * (reached(mantissas.size) + 1500))
        nonzero = mantissas != 0
        tops = (_bit_length(np.abs(mantissas)) + exponents)[nonzero]
        shift = self.precision - (int(tops.max()) if tops.size else 0)
        up = np.where(nonzero, exponents + shift, 0)
        values = mantissas.astype(self.dtype)
        # Elements with up > 0 end below 2**precision by the choice of shift; the others are only shifted right.
        shifted: IntArray = np.left_shift(values, np.maximum(up, 0).astype(self.dtype))
        down = np.minimum(np.maximum(-up, 0), 63).astype(self.dtype)
        return ScaledIntegers(self, shifted >> down, _ceil_shift(shifted, down), shift, 1 << self.precision if tops.size else 0)

    def finer(self) -> "ScaledArithmetic":
        """See Arithmetic."""
        return self if self.precision >= _FINE else ScaledArithmetic(_FINE, self.meter)

    def reciprocal_sqrt(self, number: int) -> "ScaledIntegers":
        """See Arithmetic. With r = isqrt(4**k // n): r <= 2**k / sqrt(n) < r + 1."""
        self.meter.charge(2, 1000)
        k = self.precision + number.bit_length() // 2
        root = math.isqrt((1 << (2 * k)) // number)
        exact = root * root * number == 1 << (2 * k)
        low = np.full((1, 1), root, self.dtype)
        return ScaledIntegers(self, low, low if exact else low + 1, k, root + 1)


class ScaledIntegers(Enclosure):
    """See the module's docstring. Immutable; arrays may be shared between enclosures."""

    arithmetic: ScaledArithmetic

    def __init__(self, arithmetic: ScaledArithmetic, lo: IntArray, hi: IntArray, shift: int, bound: int) -> None:
        if lo.dtype != arithmetic.dtype or hi.dtype != arithmetic.dtype or bound >= 1 << (arithmetic.width + 1):
            raise AssertionError("an enclosure of the wrong type or size: a bug of the checker")
        super().__init__(arithmetic)
        self.lo, self.hi, self.shift, self.bound = lo, hi, shift, bound

    @property
    def shape(self) -> tuple[int, ...]:
        return self.lo.shape

    def _new(self, lo: IntArray, hi: IntArray, shift: int | None = None, bound: int | None = None) -> Self:
        return type(self)(
            self.arithmetic,
            _array(lo),
            _array(hi),
            self.shift if shift is None else shift,
            self.bound if bound is None else bound,
        )

    def _rounded(self, bits: int) -> Self:
        """Drop low-order bits, outward, until magnitudes are at most 2**bits."""
        if self.bound <= 1 << bits:
            return self
        if self.lo.size == 0:
            return self._new(self.lo, self.hi, bound=0)
        actual = max(-int(self.lo.min()), int(self.hi.max()))
        drop = max(actual.bit_length() - bits, 0)
        if drop == 0:
            return self._new(self.lo, self.hi, bound=actual)
        return self._new(self.lo >> drop, _ceil_shift(self.hi, drop), self.shift - drop, (actual >> drop) + 1)

    def _rescaled(self, shift: int) -> Self:
        """The same values at another shift: exact to the left, outward to the right."""
        if shift == self.shift:
            return self
        if self.bound == 0:
            return self._new(self.lo, self.hi, shift)
        up = shift - self.shift
        if up >= 0:
            return self._new(self.lo << up, self.hi << up, shift, self.bound << up)
        down = min(-up, self.arithmetic.width + 1)
        return self._new(self.lo >> down, _ceil_shift(self.hi, down), shift, (self.bound >> down) + 1)

    def _aligned(self, other: Self) -> tuple[Self, Self]:
        """Both operands at one shift, with |self| + |other| <= 2**width."""
        pair = (self, other)
        shift = max((part.shift for part in pair if part.bound), default=0)
        top = max(part.bound.bit_length() + shift - part.shift if part.bound else 0 for part in pair)
        shift -= max(top + 1 - self.arithmetic.width, 0)
        return self._rescaled(shift), other._rescaled(shift)

    def __add__(self, other: Self) -> Self:
        a, b = self._aligned(other)
        return self._new(a.lo + b.lo, a.hi + b.hi, a.shift, a.bound + b.bound)

    def __sub__(self, other: Self) -> Self:
        a, b = self._aligned(other)
        return self._new(a.lo - b.hi, a.hi - b.lo, a.shift, a.bound + b.bound)

    def _factors(self, other: Self) -> tuple[Self, Self]:
        """Both operands rounded, if need be, so that products stay within 2**width."""
        if self.bound * other.bound <= 1 << self.arithmetic.width:
            return self, other
        return self._rounded(self.arithmetic.precision), other._rounded(self.arithmetic.precision)

    def __mul__(self, other: Self) -> Self:
        a, b = self._factors(other)
        products = (a.lo * b.lo, a.lo * b.hi, a.hi * b.lo, a.hi * b.hi)
        low = np.minimum(np.minimum(products[0], products[1]), np.minimum(products[2], products[3]))
        high = np.maximum(np.maximum(products[0], products[1]), np.maximum(products[2], products[3]))
        return self._new(low, high, a.shift + b.shift, a.bound * b.bound)

    def __matmul__(self, other: Self) -> Self:
        """Midpoint-radius product: with M = lo + hi, R = hi - lo (both at shift + 1), |AB - M_A M_B| <= radius, where
        radius = (|M_A| + R_A) R_B + R_A |M_B|. Each |M| + R is at most 2 bound, which bounds every partial sum.
        """
        terms = self.shape[-1]
        bits = (self.arithmetic.width - 3 - terms.bit_length()) // 2
        a = self._rounded(min(bits, self.arithmetic.precision))
        b = other._rounded(min(bits, self.arithmetic.precision))
        middle_a, radius_a = a.lo + a.hi, a.hi - a.lo
        middle_b, radius_b = b.lo + b.hi, b.hi - b.lo
        middle = _product(middle_a, middle_b)
        radius = _product(np.abs(middle_a) + radius_a, radius_b) + _product(radius_a, np.abs(middle_b))
        return self._new(middle - radius, middle + radius, a.shift + b.shift + 2, 8 * terms * a.bound * b.bound)

    def times(self, counts: IntArray) -> Self:
        factor = max(int(counts.max()), -int(counts.min())) if counts.size else 0
        room = self.arithmetic.width - factor.bit_length()
        if room < 0:
            raise Refused(f"a factor of {factor} is out of range")
        a = self._rounded(room)
        exact = counts.astype(self.arithmetic.dtype)
        products = (a.lo * exact, a.hi * exact)
        return self._new(np.minimum(*products), np.maximum(*products), a.shift, a.bound * factor)

    def exp(self) -> Self:
        low, low_exponent = self._exp_endpoint(self.lo, upper=False)
        high, high_exponent = self._exp_endpoint(self.hi, upper=True)
        top = int(high_exponent.max()) if high_exponent.size else 0
        down_low = np.minimum(top - low_exponent, self.arithmetic.width + 1)
        down_high = np.minimum(top - high_exponent, self.arithmetic.width + 1)
        bits = self.arithmetic.exp_bits
        return self._new(low >> down_low, _ceil_shift(high, down_high), bits - top, 1 << (bits + 2))

    def _exp_endpoint(self, values: IntArray, upper: bool) -> tuple[IntArray, IntArray]:
        """Mantissas m and exponents n with m * 2**(n - exp_bits) a lower (upper) bound of exp(values * 2**-shift).

        x = n ln 2 + r with 0 <= r < 1.1, where L <= 2**g ln 2 <= L' are integers; then exp(x) = 2**n exp(r), and exp(r)
        by Horner's scheme for the Taylor series, T_k = 1 + r T_{k+1} / k, in which all quantities are positive:
        rounding every step down (up) bounds it from below (above). The tail T_{N+1} lies between 1 and 2.
        """
        arithmetic = self.arithmetic
        f, g = arithmetic.exp_bits, arithmetic.ln2_bits
        # |x| <= 2**20 beyond this line, so that x at shift g (at most 40 for machine integers) stays within 2**60.
        limit = min(1 << (_EXP_LIMIT + self.shift), 1 << arithmetic.width) if _EXP_LIMIT + self.shift >= 0 else 0
        if values.size and int(values.max()) > limit:
            raise Refused(f"exp of a number beyond 2**{_EXP_LIMIT}: the scores are out of range")
        underflow = values < -limit
        clipped = np.maximum(values, -limit)
        up, sign = g - self.shift, -1 if upper else 1  # sign * (sign * y >> b) is y / 2**b, rounded up or down
        x = clipped << (up if limit else 0) if up >= 0 else sign * (sign * clipped >> min(-up, arithmetic.width + 1))
        below, above = (np.full(x.shape, bound, arithmetic.dtype) for bound in (arithmetic.ln2, arithmetic.ln2_above))
        ln2 = np.where(x < 0, below, above)
        n = x // ln2
        r = x - n * ln2 + (np.abs(n) * (arithmetic.ln2_above - arithmetic.ln2) if upper else 0)
        signed_r = sign * r >> (g - f)
        one = 1 << f
        total = np.full(r.shape, 2 * one if upper else one, arithmetic.dtype)
        for k in range(arithmetic.exp_terms, 0, -1):
            total = one + sign * ((signed_r * total >> f) // k)
        if not upper:
            total = np.where(underflow, 0, total).astype(arithmetic.dtype)
        return total, n

    def sqrt(self) -> Self:
        """Scaled so that s + up is even, and v * 2**up within the width: half the shift is that of the root."""
        up = self.arithmetic.width - self.bound.bit_length()
        up -= (self.shift + up) % 2
        a = self._rescaled(self.shift + up)
        low, high = (np.asarray(_isqrt_each(np.maximum(end, 0)), self.arithmetic.dtype) for end in (a.lo, a.hi))
        high = np.where(high * high < np.maximum(a.hi, 0), high + 1, high).astype(self.arithmetic.dtype)
        return self._new(low, high, a.shift // 2, math.isqrt(a.bound) + 1)

    def over(self, other: Self) -> Self:
        b = other._rounded(self.arithmetic.precision)
        smallest = int(b.lo.min()) if b.lo.size else 1
        if smallest <= 0:
            raise Refused("a division by a number that is not proved to be positive; a higher precision may help")
        a = self._rounded(self.arithmetic.precision)
        up = self.arithmetic.width - a.bound.bit_length()
        low, high = a.lo << up, a.hi << up
        least = low // np.where(low >= 0, b.hi, b.lo)
        most = -(-high // np.where(high >= 0, b.lo, b.hi))
        return self._new(least, most, a.shift + up - b.shift, (a.bound << up) // smallest + 1)

    def square(self) -> Self:
        a = self._size()._rounded(self.arithmetic.width // 2)
        return self._new(a.lo * a.lo, a.hi * a.hi, 2 * a.shift, a.bound**2)

    def __abs__(self) -> Self:
        return self._size()

    def _size(self) -> Self:
        return self._new(np.maximum(np.maximum(self.lo, -self.hi), 0), np.maximum(np.abs(self.lo), np.abs(self.hi)))

    def relu(self) -> Self:
        return self._new(np.maximum(self.lo, 0), np.maximum(self.hi, 0))

    def sum(self, axis: int) -> Self:
        terms = self.shape[axis]
        a = self._rounded(self.arithmetic.width - terms.bit_length())
        return self._new(np.add.reduce(a.lo, axis=axis), np.add.reduce(a.hi, axis=axis), a.shift, terms * a.bound)

    def segment_sum(self, starts: IntArray) -> Self:
        a = self._rounded(self.arithmetic.width - self.shape[0].bit_length())
        return self._new(np.add.reduceat(a.lo, starts), np.add.reduceat(a.hi, starts), a.shift, self.shape[0] * a.bound)

    def segment_hull(self, starts: IntArray) -> Self:
        return self._new(np.minimum.reduceat(self.lo, starts), np.maximum.reduceat(self.hi, starts))

    def sort(self, axis: int) -> Self:
        """The k-th smallest of some numbers lies between the k-th smallest of their lower and that of their upper ends."""
        return self._new(np.sort(self.lo, axis=axis), np.sort(self.hi, axis=axis))

    def minimum(self, other: Self) -> Self:
        a, b = self._aligned(other)
        return self._new(np.minimum(a.lo, b.lo), np.minimum(a.hi, b.hi), a.shift, max(a.bound, b.bound))

    def maximum(self, other: Self) -> Self:
        a, b = self._aligned(other)
        return self._new(np.maximum(a.lo, b.lo), np.maximum(a.hi, b.hi), a.shift, max(a.bound, b.bound))

    def min(self, axis: int) -> Self:
        return self._new(np.minimum.reduce(self.lo, axis=axis), np.minimum.reduce(self.hi, axis=axis))

    def max(self, axis: int) -> Self:
        return self._new(np.maximum.reduce(self.lo, axis=axis), np.maximum.reduce(self.hi, axis=axis))

    def running_min(self, axis: int) -> Self:
        return self._new(np.minimum.accumulate(self.lo, axis=axis), np.minimum.accumulate(self.hi, axis=axis))

    def running_max(self, axis: int) -> Self:
        return self._new(np.maximum.accumulate(self.lo, axis=axis), np.maximum.accumulate(self.hi, axis=axis))

    def least_product(self, low: Self, high: Self) -> Self:
        """Where an endpoint g of the value is negative, the largest weight makes the product least, else the smallest.

        Lower: w >= 0 gives w v >= w g; least at w = low.lo if g >= 0, at high.hi if g < 0.
        Upper: the minimum is at most low * v <= low.hi * g if g >= 0; if g < 0, it is high * v <= high.lo * g.
        """
        low, high = low._aligned(high)
        value, high = self._factors(high)
        low = low._rescaled(high.shift)
        lowest, highest = np.maximum(low.lo, 0), np.maximum(high.lo, 0)  # within [0, high.bound], as is all below
        lower = np.where(value.lo >= 0, lowest, high.hi) * value.lo
        upper = np.where(value.hi >= 0, np.minimum(low.hi, high.hi), highest) * value.hi
        return self._new(lower, upper, value.shift + high.shift, value.bound * high.bound)

    def positive(self) -> BoolArray:
        return np.asarray(self.lo > 0, np.bool_)

    def widest(self, axis: int) -> IntArray:
        return np.asarray(np.argmax(self.hi - self.lo, axis=axis), np.int64)

    def up_to(self, upper: Self) -> Self:
        a, b = self._aligned(upper)
        return self._new(np.minimum(a.lo, b.lo), np.maximum(a.hi, b.hi), a.shift, max(a.bound, b.bound))

    def ends(self) -> tuple[Self, Self]:
        return self._new(self.lo, self.lo), self._new(self.hi, self.hi)

    def __getitem__(self, index: Any) -> Self:
        return self._new(self.lo[index], self.hi[index])

    def reshape(self, *shape: int) -> Self:
        lo, hi = self.lo.reshape(shape), self.hi.reshape(shape)
        if not np.may_share_memory(lo, self.lo):  # then it has been copied
            self.meter.gathering(lo.size)
        return self._new(lo, hi)

    @property
    def T(self) -> Self:
        return self._new(self.lo.T, self.hi.T)

    def within(self, arithmetic: ScaledArithmetic) -> Self:
        a = self._rounded(arithmetic.precision)
        return type(self)(arithmetic, a.lo.astype(arithmetic.dtype), a.hi.astype(arithmetic.dtype), a.shift, a.bound)

    def concatenate(self, others: Sequence[Self], axis: int) -> Self:
        parts = [self, *others]
        shift = min((part.shift for part in parts if part.bound), default=0)
        aligned = [part._rescaled(shift) for part in parts]
        lo = np.concatenate([part.lo for part in aligned], axis=axis)
        hi = np.concatenate([part.hi for part in aligned], axis=axis)
        return self._new(lo, hi, shift, max(part.bound for part in aligned))


def _array(values: Any) -> IntArray:
    """Numpy hands out scalars of object arrays as bare integers: make an array of them again."""
    array: IntArray = np.array(values, object) if type(values) is int else values
    return array


def _product(a: IntArray, b: IntArray) -> IntArray:
    """The matrix product, exactly: of machine integers that are known to be small enough, or of Python integers.

    Those are sums of digits below 2**bits, times powers of that: products of digits add up to less than 2**62.
    """
    if a.dtype != object:
        # On integers, einsum is at its best in any layout, and @ up to 10 times slower in the wrong one.
        return np.asarray(np.einsum("ik,kj->ij" if a.ndim == b.ndim == 2 else "...ik,...kj->...ij", a, b), np.int64)
    bits = (62 - a.shape[-1].bit_length()) // 2
    total = np.zeros((), object)
    for i, left in enumerate(_digits(a, bits)):
        for j, right in enumerate(_digits(b, bits)):
            total = total + (_product(left, right).astype(object) << bits * (i + j))
    return np.asarray(total, object)


def _digits(numbers: IntArray, bits: int) -> list[IntArray]:
    """Machine integers d_0, d_1, .. with numbers = sum of d_i 2**(i bits), |d_i| <= 2**bits; all but the last are natural."""
    digits = []
    while numbers.size and max(int(numbers.max()), -int(numbers.min())) > 1 << bits:
        digits.append((numbers & ((1 << bits) - 1)).astype(np.int64))
        numbers = numbers >> bits
    return [*digits, numbers.astype(np.int64)]


def _ceil_shift(numbers: IntArray, bits: IntArray | int) -> IntArray:
    """Numbers / 2**bits, rounded up (>> alone rounds down)."""
    return -(-numbers >> bits)


_isqrt_each = np.frompyfunc(math.isqrt, 1, 1)
"""The largest r with r * r <= number, elementwise, as Python integers."""


def _bit_length(numbers: IntArray) -> IntArray:
    """Bit lengths of non-negative int64 numbers: how many powers of two are not greater."""
    return np.asarray(np.searchsorted(1 << np.arange(63, dtype=np.int64), numbers, side="right"), np.int64)


def _ln2(bits: int) -> tuple[int, int]:
    """Integers L <= 2**bits ln 2 <= L', from ln 2 = 2 artanh(1/3) = sum over k of 2 / ((2k+1) 3**(2k+1)).

    With 32 guard bits; rounding each term down loses less than three units of them, and so does the tail.
    """
    power, total, k = (2 << (bits + 32)) // 3, 0, 0
    while power:
        total += power // (2 * k + 1)
        power //= 9
        k += 1
    return total >> 32, (total + 3 * (k + 1) >> 32) + 1


def _exp_terms(bits: int) -> int:
    """Number of Taylor terms after which 0.7**n / n! is below 2**-bits."""
    term, n = 1 << bits, 0
    while term:
        n += 1
        term = term * 7 // (10 * n)
    return n
