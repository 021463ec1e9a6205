"""A bar on the terminal (standard error) while parts of a long check are done."""

import sys
from collections.abc import Callable, Iterator, Sequence

import click

from checker.core.in_order import InOrder, Item, Result
from checker.core.meter import Meter


def shown(in_order: InOrder) -> InOrder:
    """The same, with a bar if there are several parts and somebody looks."""

    def watched(meter: Meter, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        results = in_order(meter, function, items)
        if len(items) < 2 or not sys.stderr.isatty():
            yield from results
            return
        with click.progressbar(results, length=len(items), label="checking", file=sys.stderr) as bar:
            yield from bar

    return watched
