"""Independent parts of a check, one after the other; whoever checks may put something else in this place (parallel, shards)."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from checker.core.meter import Meter

Item = TypeVar("Item")
Result = TypeVar("Result")


class InOrder(Protocol):
    """The results of function(item) for all items, in order; function charges the meter."""

    def __call__(self, meter: Meter, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]: ...


def in_turn(meter: Meter, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """One after the other."""
    return map(function, items)
