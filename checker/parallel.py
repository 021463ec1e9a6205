"""Independent parts of a check, in several processes: the same results, charges and refusals as one after the other.

Processes are forked, so that they find everything in memory as it was; each part is a function of its item alone. Whatever is
unusual about a part -- an exception, or a budget that runs out -- is left to the parent, which repeats the part at its turn
and so fails in the same way, with the same words, as it would have without any other process.
"""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from checker.meter import Meter

Item = TypeVar("Item")
Result = TypeVar("Result")

_inherited: tuple[Callable[[Any], Any], Meter] | None = None
"""What forked processes work on."""


def _attempt(item: Any) -> tuple[int, Any] | None:
    """Operations and result of one part; None if there was anything unusual about it."""
    assert _inherited is not None
    function, meter = _inherited
    before = meter.operations
    try:
        result = function(item)
        return meter.operations - before, result
    except Exception:
        return None
    finally:
        meter.operations = before


def in_order(meter: Meter, jobs: int, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """The results of function(item) for all items, in order, computed by up to `jobs` processes."""
    global _inherited  # noqa: PLW0603 - the way into forked processes
    if min(jobs, len(items)) <= 1 or "fork" not in multiprocessing.get_all_start_methods():
        yield from map(function, items)
        return
    _inherited = (function, meter)
    with multiprocessing.get_context("fork").Pool(min(jobs, len(items))) as pool:
        for item, outcome in zip(items, pool.imap(_attempt, items), strict=True):
            if outcome is None or meter.operations + outcome[0] > meter.budget.operations:
                yield function(item)
                continue
            meter.operations += outcome[0]
            yield outcome[1]
