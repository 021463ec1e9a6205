"""Independent parts of a check, in several processes: the same results, charges and refusals as one after the other.

Processes are forked, so that they find everything in memory as it was; each part is a function of its item alone, and charges
the meter for all that it does. Whatever is unusual about a part -- an exception, a budget that runs out, a process that dies --
is left to the parent, which does the part itself at its turn and so fails in the same way, with the same words, as it would
have without any other process.

A check rests on this file only if more than one process is asked for.
"""

import multiprocessing
import signal
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeAlias

from checker.core.in_order import Item, Result
from checker.core.meter import Meter

_SECONDS_UNTIL_A_LOOK = 5

_inherited: tuple[Callable[[Any], Any], Meter] | None = None
"""What a forked process works on. Set there only: threads of the process that forks may check different things at a time."""


def _inherit(function: Callable[[Any], Any], meter: Meter) -> None:
    global _inherited  # noqa: PLW0603 - see above
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a handler's exception the pool would take for a part's, and go on
    _inherited = (function, meter)


def _attempt(item: Any) -> tuple[int, int, Any] | None:
    """Operations, effort and result of one part; None if there was anything unusual about it."""
    assert _inherited is not None
    function, meter = _inherited
    operations, effort = meter.operations, meter.effort
    try:
        result = function(item)
        return meter.operations - operations, meter.effort - effort, result
    except Exception:
        return None
    finally:
        meter.operations, meter.effort = operations, effort


_Promised: TypeAlias = "Future[tuple[int, int, Any] | None] | None"


def _submitted(pool: ProcessPoolExecutor, item: Any, others: Collection[Any]) -> _Promised:
    try:
        return pool.submit(_attempt, item)
    except BrokenProcessPool:  # one of the processes has died already
        return None
    except OSError:  # the system allows no more processes: those that there are would wait for ever
        for process in multiprocessing.active_children():
            if process not in others:
                process.terminate()
        return None


def _outcome(future: _Promised, others: Collection[Any]) -> tuple[int, int, Any] | None:
    """What a process found; None if it died. Now and then a pool that breaks forgets a part, which nobody will do then."""
    while future is not None:
        try:
            return future.result(_SECONDS_UNTIL_A_LOOK)
        except BrokenProcessPool:
            return None
        except TimeoutError:
            if all(process in others for process in multiprocessing.active_children()):
                return None
    return None


def in_processes(jobs: int, meter: Meter, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """By up to `jobs` processes, as far as the system allows any."""
    able = "fork" in multiprocessing.get_all_start_methods() and not multiprocessing.current_process().daemon
    if min(jobs, len(items)) <= 1 or not able:
        yield from map(function, items)
        return
    others, fork = multiprocessing.active_children(), multiprocessing.get_context("fork")
    with ProcessPoolExecutor(min(jobs, len(items)), fork, _inherit, (function, meter)) as pool:
        futures = [_submitted(pool, item, others) for item in items]
        try:
            for item, future in zip(items, futures, strict=True):
                outcome = _outcome(future, others)
                if (
                    outcome is None
                    or meter.operations + outcome[0] > meter.budget.operations
                    or meter.effort + outcome[1] > meter.most_effort
                ):
                    yield function(item)
                    continue
                meter.operations += outcome[0]
                meter.effort += outcome[1]
                yield outcome[2]
        finally:
            pool.shutdown(cancel_futures=True)
