"""Enclosures: the operations that only rules about networks on two inputs use (the others are in test_enclosures)."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import test_enclosures as base
from hypothesis import given
from hypothesis import strategies as st

from checker.enclosures import Enclosure

Exact = base.Exact
KINDS = base.KINDS


def clipped(numbers: Exact) -> Exact:
    return np.maximum(numbers, Fraction(0))


def segments(numbers: Exact, starts: list[int]) -> Exact:
    stops = [*starts[1:], len(numbers)]
    return np.stack([np.add.reduce(numbers[start:stop], axis=0) for start, stop in zip(starts, stops, strict=True)])


@pytest.mark.parametrize("name", ["abs", "relu"])
@pytest.mark.parametrize("kind", KINDS)
@base.quick
@given(data=st.data())
def test_abs_and_relu_enclose(kind: base.Kind, name: str, data: st.DataObject) -> None:
    a = data.draw(base.operands(base.make(kind), data.draw(base.shapes)))
    result, exact = (abs(a), np.abs) if name == "abs" else (a.relu(), clipped)
    low, high = base.ends(a)
    base.assert_encloses(result, exact(low), exact(high), exact(data.draw(base.members(a))))
    narrowest = exact(low), exact(high)
    crosses = (low < 0) & (high > 0)
    least = np.where(crosses, Fraction(0), np.minimum(*narrowest))
    base.assert_encloses(result, least)
    lower, upper = base.ends(result)
    assert np.all((lower == least) | crosses) and np.all(upper == np.maximum(*narrowest))


@pytest.mark.parametrize("kind", KINDS)
@base.quick
@given(data=st.data())
def test_sums_enclose(kind: base.Kind, data: st.DataObject) -> None:
    arithmetic = base.make(kind)
    rows, columns = data.draw(st.tuples(st.integers(1, 6), st.integers(1, 3)))
    a = data.draw(base.operands(arithmetic, (rows, columns)))
    starts = [0, *sorted(data.draw(st.sets(st.integers(1, rows - 1), max_size=3) if rows > 1 else st.just(set())))]
    values = (*base.ends(a), data.draw(base.members(a)))
    for axis in (0, 1):
        base.assert_encloses(a.sum(axis), *(np.add.reduce(x, axis=axis) for x in values))
    base.assert_encloses(a.segment_sum(np.array(starts)), *(segments(x, starts) for x in values))


@pytest.mark.parametrize("terms", [1, 2, 3, 7, 8, 255, 4096])
@pytest.mark.parametrize("precision", [12, 30, 31])
def test_sums_of_the_largest_numbers_do_not_overflow(precision: int, terms: int) -> None:
    arithmetic = base.make(precision)
    top = base.largest_magnitude(arithmetic)
    for low, high in ((top, top), (-top, top), (-top, -top), (top - 1, top)):
        a = base.interval(arithmetic, [low] * terms, [high] * terms, 0, (terms, 1))
        sums = [base.objects([Fraction(terms * x)], (1, 1)) for x in (low, high)]
        base.assert_encloses(a.sum(0).reshape(1, 1), *sums)
        base.assert_encloses(a.segment_sum(np.array([0])), *sums)


@pytest.mark.parametrize("kind", KINDS)
@base.quick
@given(data=st.data())
def test_sorted_numbers_are_enclosed(kind: base.Kind, data: st.DataObject) -> None:
    a = data.draw(base.operands(base.make(kind), data.draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))))
    for axis in (0, 1):
        result = a.sort(axis)
        base.assert_encloses(result, np.sort(data.draw(base.members(a)), axis=axis))
        for end, sorted_end in zip(base.ends(a), base.ends(result), strict=True):
            assert np.all(sorted_end == np.sort(end, axis=axis))


def assert_roots(result: Enclosure, *squares: Exact) -> None:
    """That the result encloses the roots of these numbers, or 0 where they are negative."""
    base.check_invariants(result)
    low, high = base.ends(result)
    assert np.all(low >= 0)
    for numbers in squares:
        assert np.all(low**2 <= clipped(numbers)) and np.all(clipped(numbers) <= high**2)


@pytest.mark.parametrize("kind", KINDS)
@base.thorough
@given(data=st.data())
def test_square_roots_enclose(kind: base.Kind, data: st.DataObject) -> None:
    a = data.draw(base.operands(base.make(kind), data.draw(base.shapes)))
    assert_roots(a.sqrt(), *base.ends(a), data.draw(base.members(a)))


@pytest.mark.parametrize("kind", KINDS)
def test_square_roots_of_simple_numbers_are_exact(kind: base.Kind) -> None:
    arithmetic = base.make(kind)
    numbers = np.array([[0, 1, 4, 9, 25, 100, 361, 16]])
    for exponent in (-8, -2, 0, 4):
        result = arithmetic.exact(numbers, np.full(numbers.shape, exponent)).sqrt()
        for end in base.ends(result):
            assert np.all(end**2 == numbers.astype(object) * base.power(exponent))
    below = arithmetic.exact(np.array([[-4, 9]]), np.zeros((1, 2), np.int64))
    assert base.ends(below.sqrt())[0].tolist() == base.ends(below.sqrt())[1].tolist() == [[0, 3]]


@pytest.mark.parametrize("kind", KINDS)
@base.quick
@given(data=st.data())
def test_square_roots_are_narrow(kind: base.Kind, data: st.DataObject) -> None:
    numbers = data.draw(st.lists(st.integers(2**52, 2**53 - 1), min_size=1, max_size=3))
    exponent = data.draw(st.integers(-900, 900))
    result = base.make(kind).exact(np.array([numbers]), np.full((1, len(numbers)), exponent)).sqrt()
    bits = kind if isinstance(kind, int) else 150
    low, high = base.ends(result)
    assert np.all(high - low <= high * Fraction(8, 2**bits))


@pytest.mark.parametrize("kind", KINDS)
@base.quick
@given(data=st.data())
def test_lengths_enclose(kind: base.Kind, data: st.DataObject) -> None:
    a = data.draw(base.operands(base.make(kind), data.draw(base.shapes)))
    values = (*base.ends(a), data.draw(base.members(a)))
    assert_roots(a.lengths().reshape(1, -1), *(np.add.reduce(x * x, axis=0).reshape(1, -1) for x in values))


@pytest.mark.parametrize("kind", KINDS)
def test_lengths_of_columns(kind: base.Kind) -> None:
    a = base.make(kind).exact(np.array([[3, 5, 0], [-4, 12, 0]]), np.zeros((2, 3), np.int64))
    for end in base.ends(a.lengths()):
        assert end.tolist() == [5, 13, 0]


COUNTS: dict[str, tuple[int, Callable[[Any], Any]]] = {
    "abs": (12, abs),
    "relu": (12, lambda a: a.relu()),
    "sqrt": (12, lambda a: a.sqrt()),
    "sum over rows": (8, lambda a: a.sum(0)),
    "sum over columns": (9, lambda a: a.sum(1)),
    "segment_sum": (4, lambda a: a.segment_sum(np.array([0, 2]))),
    "sort": (24, lambda a: a.sort(1)),
    "lengths": (12 + 8 + 4, lambda a: a.lengths()),
}


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("kind", [30, 64, "mpmath"])
def test_operations_are_counted_alike(name: str, kind: base.Kind) -> None:
    operations, call = COUNTS[name]
    arithmetic = base.make(kind)
    call(base.zeros(arithmetic, 3, 4))
    assert arithmetic.meter.operations == operations
    just_too_few = base.make(kind, base.Budget(operations=operations - 1))
    with pytest.raises(base.OverBudget):
        call(base.zeros(just_too_few, 3, 4))
