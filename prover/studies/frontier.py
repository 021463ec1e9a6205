"""The whole frontier: every strategy with its parameters swept, every certificate checked, nothing done twice.

A run of one strategy leaves two files, each written whole or not at all: NAME.cert, and after the check NAME.json, the
*sidecar*: the verdict, how the certificate was made, and its SHA-256. A run whose two files agree with each other, with
the model and with the strategy's parameters, and whose certificate was accepted, is not repeated, so an interrupted
frontier continues where it stopped.
"""

import hashlib
import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.table import Table

from certificates import FormatError, Model, __version__, read_model
from certificates.writing import write_atomically
from prover.attention.tasks import OrderStatistic, parse_task
from prover.problem import Problem, Track, silent
from prover.proving import problem_about
from prover.strategies import strategies_for
from prover.strategy import DoesNotFit, Strategy
from prover.studies.checked import VERDICT_COLUMNS, misfit_cells, prove_and_check, verdict_cells
from prover.studies.tables import terminal_table


@dataclass(frozen=True)
class Result:
    """A certificate that was written and checked.

    verdict: the checker's JSON. cells: those of `Evidence`, None if they do not add up to what the checker found.
    """

    name: str
    strategy: str
    parameters: Mapping[str, int]
    prove_seconds: float
    verdict: Mapping[str, Any]
    cells: np.ndarray | None

    @property
    def accepted(self) -> bool:
        """Whether the checker accepted the certificate: only then are there a bound and operations."""
        return bool(self.verdict["accepted"])

    @property
    def correct(self) -> int:
        """Certified inputs."""
        return int(self.verdict["correct"])

    @property
    def total(self) -> int:
        """All inputs."""
        return int(self.verdict["total"])

    @property
    def operations(self) -> int:
        """Length of the proof."""
        return int(self.verdict["operations"])

    @property
    def record(self) -> dict[str, Any]:
        """This result's entry in frontier.json."""
        made = {"strategy": self.strategy, "parameters": dict(self.parameters), "prove_seconds": self.prove_seconds}
        return {**self.verdict, **made}


@dataclass(frozen=True)
class Misfit:
    """A strategy that could not be used on this model, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Frontier:
    """What is known about one model: results from the longest proof to the shortest, refused ones last, and misfits."""

    model_name: str
    model: Model
    results: tuple[Result, ...]
    misfits: tuple[Misfit, ...]

    @property
    def task(self) -> OrderStatistic:
        """What the model was trained for. Raises FormatError if it is unknown."""
        return parse_task(self.model.task, self.model.config)

    @property
    def accepted(self) -> tuple[Result, ...]:
        """The results that are theorems."""
        return tuple(result for result in self.results if result.accepted)

    @property
    def best(self) -> tuple[Result, ...]:
        """The Pareto frontier: results that certify more than every other one of at most their length, shortest first."""
        found: list[Result] = []
        for result in sorted(self.accepted, key=lambda r: (r.operations, -r.correct, r.name)):
            if not found or result.correct > found[-1].correct:
                found.append(result)
        return tuple(found)


def certificate_name(strategy: Strategy) -> str:
    """The stem of the certificate's file: the strategy and those of its parameters that differ from the defaults."""
    changed = [
        f"{field.name}={getattr(strategy, field.name)}"
        for field in fields(strategy)
        if getattr(strategy, field.name) != field.default
    ]
    return "-".join([strategy.name, *changed])


def explore(
    problem: Problem,
    path: Path,
    output: Path,
    strategies: Sequence[str | Strategy] = (),
    jobs: int = 1,
    track: Track = silent,
) -> Generator[Frontier, None, None]:
    """Prove and check what is still missing in `output`; yields what is known at the start and after every run.

    problem: about the model stored at `path`. strategies: those to sweep, by name (default: all), or single ones as they are
    set. jobs: processes. Raises FormatError if `output` holds results about another model. Closing the iterator, or an
    exception in it (KeyboardInterrupt), stops all processes and leaves whole files only.
    """
    _require_same_model(output, problem.model)
    known_strategies = strategies_for(problem.model)
    planned = [
        one
        for wanted in dict.fromkeys(strategies or known_strategies)
        for one in ((wanted,) if isinstance(wanted, Strategy) else known_strategies[wanted].sweep(problem))
    ]
    results = {result.name: result for result in _results_in(output, problem.model)}
    todo = [strategy for strategy in planned if not _is_finished(results.get(certificate_name(strategy)), strategy)]
    misfits: list[Misfit] = []

    def known() -> Frontier:
        shown = sorted(results.values(), key=lambda r: (not r.accepted, -r.operations if r.accepted else 0, r.name))
        return Frontier(path.stem, problem.model, tuple(shown), tuple(misfits))

    yield known()
    outcomes = _one_by_one(problem, path, output, todo) if jobs == 1 else _in_processes(problem, path, output, todo, jobs)
    with closing(outcomes):
        for _ in track(range(len(todo)), f"{len(todo)} of {len(planned)} runs to do"):
            outcome = next(outcomes)
            if isinstance(outcome, Misfit):
                results.pop(outcome.name, None)
                misfits.append(outcome)
            else:
                results[outcome.name] = outcome
            yield known()


def write_results(frontier: Frontier, output: Path) -> None:
    """Write frontier.json."""
    records = [result.record for result in frontier.results]
    write_atomically(output / "frontier.json", json.dumps(records, indent=1).encode())


def frontier_table(frontier: Frontier) -> Table:
    """All results and misfits, for a terminal. A star marks the frontier."""
    title = f"{frontier.model_name}: certified accuracy against the length of the proof"
    table = terminal_table(title, ("certificate", ""), VERDICT_COLUMNS, ("verdict",))
    best = {result.name for result in frontier.best}
    for result in frontier.results:
        star = "*" if result.name in best else ""
        table.add_row(result.name, star, *verdict_cells(result.verdict, result.prove_seconds))
    for misfit in frontier.misfits:
        table.add_row(misfit.name, "", *misfit_cells(misfit.reason))
    return table


# --- one run ----------------------------------------------------------------------------------------------------------------


def carry_out(problem: Problem, path: Path, output: Path, strategy: Strategy) -> Result | Misfit:
    """Prove, write the certificate, check it in a separate process, write the sidecar."""
    name = certificate_name(strategy)
    file = output / f"{name}.cert"
    try:
        checked = prove_and_check(problem, strategy, path, file)
    except DoesNotFit as error:
        return Misfit(name, str(error))
    found, verdict = checked.evidence.cells, checked.verdict
    cells = found if found.sum() == verdict["correct"] else None
    result = Result(name, strategy.name, asdict(strategy), round(checked.seconds, 3), verdict, cells)
    sidecar = {
        "certificate_sha256": _sha256(file),
        "model_digest": problem.model.digest(),
        "version": __version__,
        "strategy": result.strategy,
        "parameters": result.parameters,
        "prove_seconds": result.prove_seconds,
        "verdict": verdict,
        "cells": None if cells is None else cells.tolist(),
    }
    write_atomically(file.with_suffix(".json"), json.dumps(sidecar).encode())
    return result


def _require_same_model(output: Path, model: Model) -> None:
    """Raises FormatError if a folder has results about another model, or of another version: they would be lost among these."""
    this = model.digest()
    for sidecar in sorted(output.glob("*.json")):
        try:
            found = json.loads(sidecar.read_bytes())
        except (OSError, ValueError):
            continue
        if isinstance(found, dict) and "certificate_sha256" in found:
            about, version = found.get("model_digest"), found.get("version")
            if (about, version) != (this, __version__):
                raise FormatError(
                    f"{output} holds results about model {str(about)[:12]}.. of version {version}, this is model "
                    f"{this[:12]}.. and version {__version__}: name another folder with -o, or delete that one"
                )


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _read_result(certificate: Path) -> Result | None:
    """What the sidecar says, unless there is none or it is not about this certificate; that it is about this model is known."""
    try:
        sidecar = json.loads(certificate.with_suffix(".json").read_bytes())
        if sidecar["certificate_sha256"] != _sha256(certificate):
            return None
        cells = None if sidecar["cells"] is None else np.array(sidecar["cells"], object)
        made = (sidecar["strategy"], sidecar["parameters"], sidecar["prove_seconds"])
        return Result(certificate.stem, *made, sidecar["verdict"], cells)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _results_in(output: Path, model: Model) -> list[Result]:
    found = [_read_result(certificate) for certificate in sorted(output.glob("*.cert"))]
    return [result for result in found if result is not None and result.verdict["task"] in (model.task, None)]


def _is_finished(result: Result | None, strategy: Strategy) -> bool:
    return result is not None and result.accepted and result.parameters == asdict(strategy)


# --- many runs --------------------------------------------------------------------------------------------------------------


@contextmanager
def _single_thread() -> Iterator[None]:
    """As in the worker processes, so that certificates do not depend on the number of jobs (sums depend on threads)."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _one_by_one(problem: Problem, path: Path, output: Path, todo: Sequence[Strategy]) -> Generator[Result | Misfit, None, None]:
    with _single_thread():
        for strategy in todo:
            yield carry_out(problem, path, output, strategy)


def _in_processes(
    problem: Problem, path: Path, output: Path, todo: Sequence[Strategy], jobs: int
) -> Generator[Result | Misfit, None, None]:
    """As `_one_by_one`, in any order. Raises BrokenProcessPool if a process dies (of too little memory, most likely)."""
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _start_worker) as pool:
        try:
            with _ctrl_c_held_back():
                futures = [pool.submit(_work, path, problem.device, problem.precision, output, strategy) for strategy in todo]
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            for process in multiprocessing.active_children():
                process.terminate()
            pool.shutdown(cancel_futures=True)
            raise


@contextmanager
def _ctrl_c_held_back() -> Iterator[None]:
    """Processes started meanwhile never see Ctrl-C, which a terminal sends to all; this one sees it a moment later."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker() -> None:
    """The parent ends its workers by SIGTERM: unwind the stack, so that no temporary files or checkers stay behind."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


@lru_cache(maxsize=1)
def _problem(path: Path, device: torch.device, precision: int) -> Problem:
    return problem_about(read_model(path), device, precision)


def _work(path: Path, device: torch.device, precision: int, output: Path, strategy: Strategy) -> Result | Misfit:
    try:
        return carry_out(_problem(path, device, precision), path, output, strategy)
    except SystemExit:  # SIGTERM; the pool would take it for a failed run and go on with the next
        os._exit(128 + signal.SIGTERM)
