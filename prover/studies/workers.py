"""Where runs are carried out: in this process, in a pool of processes, or by the workers of a Dask cluster.

A run is a function of one argument; both travel to the worker, and what it returns travels back, so workers need no files of
ours. Runs are handed out a few at a time. What comes out does not depend on where it was done: one thread computes each.
"""

import logging
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TypeVar

import torch

_AHEAD = 4
"""For each worker, so many runs are handed out at once."""
_PATIENCE = 15
"""Seconds to wait for a scheduler to answer."""

Task, Outcome = TypeVar("Task"), TypeVar("Outcome")


class WorkersLost(RuntimeError):
    """No worker is left that could go on; the message says what to do."""


@dataclass(frozen=True)
class Workers:
    """jobs: processes on this machine. scheduler: address of a Dask scheduler, whose workers are used instead."""

    jobs: int = 1
    scheduler: str | None = None

    def outcomes(self, run: Callable[[Task], Outcome], tasks: Sequence[Task]) -> Generator[Outcome, None, None]:
        """What `run` (a function of a module) returns for each task, in any order.

        Raises what a run raises, and WorkersLost. Closing the iterator, or an exception in it (KeyboardInterrupt), stops what
        has been handed out.
        """
        if not tasks:
            return
        if self.scheduler is None and self.jobs == 1:
            with _single_thread():
                for task in tasks:
                    yield run(task)
            return
        if self.scheduler is None:
            with _pool(self.jobs) as executor:
                yield from _handed_out(executor, lambda: self.jobs, partial(_in_pool, run), tasks)
        else:
            with _cluster(self.scheduler) as (executor, size):
                yield from _handed_out(executor, size, partial(_alone, run), tasks)


def _handed_out(
    executor: Executor, size: Callable[[], int], run: Callable[[Task], Outcome], tasks: Sequence[Task]
) -> Generator[Outcome, None, None]:
    """size: how many workers there are by now."""
    left = iter(tasks)
    with _ctrl_c_held_back():
        pending = {executor.submit(run, task) for task in islice(left, _AHEAD * size())}
    try:
        while pending:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            pending |= {executor.submit(run, task) for task in islice(left, max(_AHEAD * size() - len(pending), 0))}
            for future in done:
                yield future.result()
    finally:
        for future in pending:
            future.cancel()


def _alone(run: Callable[[Task], Outcome], task: Task) -> Outcome:
    """A run on a worker. Sums depend on the number of threads, and certificates on sums."""
    torch.set_num_threads(1)
    return run(task)


@contextmanager
def _single_thread() -> Iterator[None]:
    """As on a worker."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


# --- processes on this machine --------------------------------------------------------------------------------------------


@contextmanager
def _pool(jobs: int) -> Iterator[Executor]:
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), unwind_when_terminated) as pool:
        try:
            yield pool
        except BaseException as error:
            for process in multiprocessing.active_children():
                process.terminate()
            pool.shutdown(cancel_futures=True)
            if isinstance(error, BrokenExecutor):
                raise WorkersLost("a process died, of too little memory? Run again with fewer --jobs.") from error
            raise


@contextmanager
def _ctrl_c_held_back() -> Iterator[None]:
    """Processes started meanwhile never see Ctrl-C, which a terminal sends to all; this one sees it a moment later."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def unwind_when_terminated() -> None:
    """From now on, SIGTERM unwinds the stack, so that no temporary files, workers or checkers stay behind.

    Only the first one does: a pool that breaks sends its workers a second, which must not interrupt what they clean up.
    """

    def unwind(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sys.exit(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, unwind)


def _in_pool(run: Callable[[Task], Outcome], task: Task) -> Outcome:
    try:
        return _alone(run, task)
    except SystemExit:  # SIGTERM; the pool would take it for a failed run and go on with the next
        os._exit(128 + signal.SIGTERM)


# --- a cluster --------------------------------------------------------------------------------------------------------------


@contextmanager
def _cluster(address: str) -> Iterator[tuple[Executor, Callable[[], int]]]:
    try:
        from distributed import Client  # noqa: PLC0415 - an extra, and slow to import
    except ModuleNotFoundError as error:
        raise WorkersLost("--scheduler needs Dask: pip install 'compact-proofs[cluster]'") from error
    for name in ("distributed", "distributed.client"):  # both have levels of their own
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what goes wrong is said below, in one line
    try:
        client = Client(address, timeout=_PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise WorkersLost(f"no Dask scheduler answers at {address}: start one by `dask scheduler`, or see its log") from error
    with client:
        try:
            client.wait_for_workers(1, _PATIENCE)
        except TimeoutError as error:
            raise WorkersLost(f"the scheduler at {address} has no workers: start some by `dask worker {address}`") from error
        try:
            yield client.get_executor(pure=False), lambda: max(sum(client.ncores().values()), 1)
        except Exception as error:
            if client.status == "running" and type(error).__name__ != "KilledWorker":
                raise
            raise WorkersLost(
                f"the scheduler at {address}, or its workers, went away ({type(error).__name__}); "
                "what was finished is kept: the same command goes on from there"
            ) from error
