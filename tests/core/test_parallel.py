"""Several processes give what one gives: the same results, charges and refusals, whatever becomes of the processes."""

import multiprocessing
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from checker.core.errors import OverBudget, Refused
from checker.core.meter import Budget, Meter
from checker.core.parallel import in_processes
from checker.reporting.cli import _unwind

PARENT = os.getpid()


@pytest.mark.parametrize("items", [0, 1, 9, 3000])
@pytest.mark.parametrize("dying", ["none", "all", "some"])
def test_processes_that_die_change_nothing(items: int, dying: str) -> None:
    """Also where one dies before all parts have been handed out."""
    meter = Meter(Budget())

    def part(item: int) -> int:
        if os.getpid() != PARENT and (dying == "all" or (dying == "some" and item % 100 == 7)):
            os._exit(1)
        meter.charge(item)
        return item * item

    assert list(in_processes(3, meter, part, range(items))) == [item * item for item in range(items)]
    assert meter.operations == sum(range(items))


@pytest.mark.parametrize("jobs", [1, 3])
def test_the_first_refusal_in_order_is_the_one_that_counts(jobs: int) -> None:
    meter = Meter(Budget())

    def part(item: int) -> int:
        meter.charge(1)
        if item >= 40:
            raise Refused(f"part {item}")
        return item

    found = in_processes(jobs, meter, part, range(100))
    assert [next(found) for _ in range(40)] == [*range(40)]
    with pytest.raises(Refused, match="part 40"):
        next(found)
    assert meter.operations == 41


@pytest.mark.parametrize("jobs", [1, 3])
def test_the_budget_is_that_of_all_parts_together(jobs: int) -> None:
    meter, done = Meter(Budget(operations=1000)), []
    with pytest.raises(OverBudget):
        for item in in_processes(jobs, meter, lambda item: meter.charge(90) or item, range(50)):  # type: ignore[func-returns-value]
            done.append(item)
    assert done == [*range(11)] and meter.operations == 990


@pytest.mark.parametrize("allowed", [0, 1])
def test_a_system_that_allows_no_more_processes_makes_no_difference(allowed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever cannot be given away, the parent does itself; no process is left behind."""
    fork, forked = os.fork, []

    def limited() -> int:
        if len(forked) >= allowed:
            raise BlockingIOError("Resource temporarily unavailable")
        forked.append(True)
        return fork()

    monkeypatch.setattr(os, "fork", limited)
    meter = Meter(Budget())
    assert list(in_processes(3, meter, lambda number: number**2, range(5))) == [0, 1, 4, 9, 16]
    for process in multiprocessing.active_children():
        process.join(10)
    assert not multiprocessing.active_children()


def test_a_process_that_is_terminated_is_gone_whatever_the_parent_would_do() -> None:
    """It inherits the command's handler, whose SystemExit the pool took for the part's result, and went on."""
    before = signal.signal(signal.SIGTERM, _unwind)

    def part(item: int) -> int:
        if os.getpid() != PARENT:
            os.kill(os.getpid(), signal.SIGTERM)
        return item * item

    try:
        assert list(in_processes(2, Meter(Budget()), part, range(4))) == [0, 1, 4, 9]
    finally:
        signal.signal(signal.SIGTERM, before)
    assert not multiprocessing.active_children()


def test_threads_that_check_different_things_do_not_meet() -> None:
    """What a forked process works on is its own: a thread once counted what another one's model got right."""

    def check(factor: int) -> list[int]:
        meter = Meter(Budget())
        return list(in_processes(2, meter, lambda number: number * factor, range(6)))

    with ThreadPoolExecutor(4) as threads:
        for _ in range(10):
            found = list(threads.map(check, range(4)))
            assert found == [[number * factor for number in range(6)] for factor in range(4)]


def _in_a_daemon(queue: "multiprocessing.Queue[list[int]]") -> None:
    queue.put(list(in_processes(2, Meter(Budget()), lambda number: number + 1, range(3))))


def test_daemons_do_it_themselves() -> None:
    """A process of multiprocessing.Pool must have no children."""
    fork = multiprocessing.get_context("fork")
    queue: multiprocessing.Queue[list[int]] = fork.Queue()
    process = fork.Process(target=_in_a_daemon, args=(queue,), daemon=True)
    process.start()
    assert queue.get(timeout=60) == [1, 2, 3]
    process.join()


def test_only_its_own_processes_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    other = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    other.start()

    def no_more() -> int:
        raise BlockingIOError("Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", no_more)
    assert list(in_processes(3, Meter(Budget()), lambda number: number**2, range(5))) == [0, 1, 4, 9, 16]
    assert other.is_alive()
    other.terminate()
    other.join()
