"""How long the primitives of enclosures take for the effort that the meter counts, relative to `brute-force`.

The budget promises that no file is checked for much longer than `brute-force` takes for as many operations. So every primitive
is measured here, on arrays of 1 to a million numbers, in machine and in Python integers, in the layouts that are worst for
it, and its seconds per effort are divided by the seconds per operation of an enumeration in the same run: 1 is the pace of
`brute-force`, more is time that the meter does not see. `python tests/core/primitive_pace.py` prints the table (`make bench`).
"""

import argparse
import itertools
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from certificates import AttentionOnly, RawTensor, Step, integer_tensor
from certificates.model_file import Model
from checker.attention.additive_tables import additive_tables
from checker.attention.enumeration import enumeration
from checker.core.facts import Setting
from checker.core.meter import Budget, Meter
from checker.core.scaled_integers import ScaledArithmetic
from checker.decide import parse_task

SIZES = (1, 30, 1000, 30_000, 1_000_000)
OBJECT_SIZES = (1, 100, 10_000)
_AMPLE = Budget(operations=10**18, memory=2**50)
Operation = Callable[..., Any]


def fastest(function: Callable[[], object], seconds: float) -> float:
    """Seconds of processor time of one call, of the fastest of some batches."""
    calls, best = 1, math.inf
    for _ in range(3):
        while True:
            started = time.process_time()
            for _ in range(calls):
                function()
            spent = time.process_time() - started
            if spent >= seconds:
                break
            calls = math.ceil(calls * min(100, 1.2 * seconds / max(spent, 1e-6)))
        best = min(best, spent / calls)
    return best


def brute_force_pace(vocab: int = 64, length: int = 4, queries: int = 2, tries: int = 2) -> float:
    """Operations per second of `brute-force` on a model with noise for weights: its inputs with some queries."""
    config = AttentionOnly(1, 8, vocab, vocab, length)
    rng = np.random.default_rng(0)
    tensors = {
        name: RawTensor("F16", shape, rng.normal(size=shape).astype("<f2").tobytes())
        for name, shape in config.tensor_shapes().items()
        if ".b_" not in name
    }
    model, best = Model(config, tensors, None), math.inf
    ranges = [(0, vocab)] * (length - 1) + [(vocab // 2, vocab // 2 + queries), (0, vocab)]
    hints = {"ranges": np.array(ranges), "skip": np.zeros((0, 2), np.int64)}
    step = Step("enumeration", (0,), {}, {name: integer_tensor(hint) for name, hint in hints.items()})
    for _ in range(tries):
        meter = Meter(_AMPLE)
        setting = Setting(model, parse_task({"name": "max-of-k"}, config, {}, meter), ScaledArithmetic(30, meter), meter)
        tables = additive_tables(setting, Step("additive-tables"), ())
        before, started = meter.operations, time.process_time()
        enumeration(setting, step, (tables,))
        best = min(best, (time.process_time() - started) / (meter.operations - before))
    return 1 / best


class Numbers:
    """Enclosures of some numbers in some layout: wide intervals around noise, near the magnitudes that need rounding."""

    def __init__(self, precision: int, seed: int = 0) -> None:
        self.arithmetic = ScaledArithmetic(precision, Meter(_AMPLE))
        self.rng = np.random.default_rng(seed)

    def __call__(self, *shape: int, exponent: int = -52) -> Any:
        mantissas = self.rng.integers(-(2**53) + 1, 2**53, shape)
        return self.arithmetic.exact(mantissas, np.full(shape, exponent))

    def wide(self, *shape: int) -> Any:
        """Products: twice as many bits, so that most operations round first."""
        return self(*shape) * self(*shape)

    def indices(self, count: int, below: int) -> Any:
        return self.rng.integers(0, below, count)


@dataclass(frozen=True)
class Case:
    """One primitive on operands of some shape: name, layout, and the call to be measured."""

    name: str
    layout: str
    call: Callable[[], object]


BINARY: dict[str, Operation] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "minimum": lambda a, b: a.minimum(b),
    "maximum": lambda a, b: a.maximum(b),
    "up_to": lambda a, b: a.up_to(b),
    "least_product": lambda a, b: a.least_product(b, b),
}
UNARY: dict[str, Operation] = {
    "exp": lambda a: a.exp(),
    "sqrt": lambda a: a.sqrt(),
    "square": lambda a: a.square(),
    "abs": abs,
    "relu": lambda a: a.relu(),
    "positive": lambda a: a.positive(),
    "representative": lambda a: a.representative(),
}
ALONG: dict[str, Operation] = {
    "sum": lambda a, axis: a.sum(axis),
    "min": lambda a, axis: a.min(axis),
    "max": lambda a, axis: a.max(axis),
    "range": lambda a, axis: a.range(axis),
    "widest": lambda a, axis: a.widest(axis),
    "running_min": lambda a, axis: a.running_min(axis),
    "running_max": lambda a, axis: a.running_max(axis),
    "sort": lambda a, axis: a.sort(axis),
}


def cases(numbers: Numbers, size: int) -> Iterator[Case]:
    """All primitives on arrays of about `size` numbers."""
    n = max(1, math.isqrt(size))
    square, wide, far = numbers(n, n), numbers.wide(n, n), numbers(n, n, exponent=-40)
    for name, operation in BINARY.items():
        layouts = {"plain": (square, square), "transposed": (square, square.T), "rounded": (wide, far.T)}
        layouts |= {"row and column": (numbers(1, n), numbers(n, 1)), "wide row": (wide, numbers(1, n))}
        for layout, operands in layouts.items():
            yield Case(name, layout, lambda f=operation, o=operands: f(*o))  # type: ignore[misc]
    for name, operation in UNARY.items():
        for layout, operand in {
            "plain": square,
            "transposed": square.T,
            "rounded": wide,
            "strided": numbers(2 * n, n)[::2],
        }.items():
            yield Case(name, layout, lambda f=operation, o=operand: f(o))  # type: ignore[misc]
    shapes = {(n, n), (size, 1), (1, size), (max(1, size // 2), 2), (2, max(1, size // 2))}
    for name, operation in ALONG.items():
        for shape, axis, turned in itertools.product(sorted(shapes), (0, 1), (False, True)):
            operand = numbers.wide(*shape[::-1]).T if turned else numbers.wide(*shape)
            layout = f"{shape} along {axis}{' transposed' if turned else ''}"
            yield Case(name, layout, lambda f=operation, o=operand, a=axis: f(o, a))  # type: ignore[misc]
    for step, columns in itertools.product((1, 2, 1000), (1, n)):
        operand, starts = numbers.wide(max(1, size // columns), columns), np.arange(0, max(1, size // columns), step)
        yield Case("segment_sum", f"{columns} columns, every {step}", lambda o=operand, s=starts: o.segment_sum(s))  # type: ignore[misc]
        yield Case("segment_hull", f"{columns} columns, every {step}", lambda o=operand, s=starts: o.segment_hull(s))  # type: ignore[misc]
    counts = numbers.rng.integers(0, 60, (n, n))
    yield Case("times", "plain", lambda: square.times(counts))
    yield Case("times", "rounded", lambda: wide.T.times(counts * 2**50))
    mantissas, exponents = numbers.rng.integers(-(2**53), 2**53, (n, n)), numbers.rng.integers(-90, 0, (n, n))
    yield Case("exact", "plain", lambda: numbers.arithmetic.exact(mantissas, exponents))
    column, rows = numbers(size, 1), numbers.indices(size, size)
    yield Case("gather", "one by one", lambda: column[rows])
    one, other, few = rows % n, rows[::-1] % n, rows[:n] % n
    yield Case("gather", "pairs", lambda: square[one, other])
    yield Case("gather", "rows", lambda: square[few])
    yield Case("gather", "columns", lambda: square[:, few])
    yield Case("gather", "rows and columns", lambda: square[np.ix_(few, few)])
    yield Case("gather", "mask", lambda: square[mantissas > 0])
    yield Case("view", "row", lambda: square[0])
    yield Case("view", "reshaped", lambda: square.reshape(-1))
    yield Case("view", "copied", lambda: square.T.reshape(-1))
    yield Case("concatenate", "same scale", lambda: square.concatenate([square], 0))
    yield Case("concatenate", "other scale", lambda: square.concatenate([far], 1))
    many = [numbers(1, 1) for _ in range(min(size, 1000))]
    yield Case("concatenate", "many", lambda: many[0].concatenate(many[1:], 1))
    yield Case("lengths", "columns", square.lengths)
    yield Case("reciprocal_sqrt", "", lambda: numbers.arithmetic.reciprocal_sqrt(size))
    k = round(size ** (1 / 3))
    products = {(k, k, k), (1, n, n), (n, n, 1), (n, 1, n), (1, size, 1), (n, 2, n), (2, n, n), (4, max(1, size // 16), 4)}
    for shape, turned in itertools.product(sorted(products), range(4)):
        (rows_, inner, columns_) = shape
        left = numbers.wide(inner, rows_).T if turned & 1 else numbers.wide(rows_, inner)
        right = numbers.wide(columns_, inner).T if turned & 2 else numbers.wide(inner, columns_)
        yield Case("matmul", f"{shape} {turned}", lambda a=left, b=right: a @ b)  # type: ignore[misc]


@dataclass(frozen=True)
class Pace:
    """Seconds of a call, and the effort and operations that the meter counts for it."""

    case: Case
    size: int
    seconds: float
    effort: int
    operations: int

    def relative(self, pace: float) -> float:
        """Seconds per effort, in those of an operation of brute force."""
        return self.seconds * pace / max(self.effort, 1)


def measure(precision: int, sizes: tuple[int, ...], only: str, seconds: float) -> Iterator[Pace]:
    """All primitives whose name contains `only`, of all sizes."""
    for size in sizes:
        numbers = Numbers(precision)
        meter = numbers.arithmetic.meter
        for case in cases(numbers, size):
            if only not in case.name:
                continue
            effort, operations = meter.effort, meter.operations
            case.call()
            effort, operations = meter.effort - effort, meter.operations - operations
            yield Pace(case, size, fastest(case.call, seconds), effort, operations)


def main() -> None:
    """Print the slowest layout of every primitive at every size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="")
    parser.add_argument("--precision", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0.01)
    parser.add_argument("--raw", action="store_true")
    options = parser.parse_args()
    pace = brute_force_pace()
    print(f"brute-force: {pace:.3g} operations per second")
    for precision, sizes in ((30, SIZES), (31, OBJECT_SIZES), (256, OBJECT_SIZES)):
        if options.precision not in (0, precision):
            continue
        found = list(measure(precision, sizes, options.only, options.seconds))
        print(f"\nprecision {precision}: seconds per effort, relative to those per operation of brute-force")
        for name in dict.fromkeys(one.case.name for one in found):
            cells = []
            for size in sizes:
                worst = max(
                    (o for o in found if (o.case.name, o.size) == (name, size)),
                    key=lambda o: o.seconds if options.raw else o.relative(pace),
                )
                cells.append(f"{worst.relative(pace):7.2f} ({worst.seconds * pace / size:8.1f} {worst.case.layout[:22]:22})")
            print(f"{name:16}" + "".join(cells))
            sys.stdout.flush()


if __name__ == "__main__":
    main()
