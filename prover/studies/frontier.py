"""The whole frontier: every strategy with its parameters swept, every certificate checked, nothing done twice.

A run of one strategy leaves two files, each written whole or not at all: NAME.cert, and after the check NAME.json, the
*sidecar*: the verdict, how the certificate was made, and its SHA-256. A run whose two files agree with each other, with
the model and with the strategy's parameters, and whose certificate was accepted, is not repeated, so an interrupted
frontier continues where it stopped.
"""

import hashlib
import json
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from certificates import FormatError, Model, __version__
from certificates.automaton import Automaton
from certificates.writing import write_atomically
from prover.attention.tasks import OrderStatistic, parse_task
from prover.problem import Problem, Track, silent
from prover.strategies import known_strategy, strategies_for
from prover.strategy import Strategy
from prover.studies.checked import VERDICT_COLUMNS, misfit_cells, verdict_cells
from prover.studies.runs import Misfit, Result, Run, carry_out, certificate_name, packed
from prover.studies.sole_use import sole_use
from prover.studies.tables import terminal_table
from prover.studies.workers import Workers
from prover.transformer.sorted_lists import SORTED_LISTS


@dataclass(frozen=True)
class Frontier:
    """What is known about one model: results from the longest proof to the shortest, refused ones last, and misfits."""

    model_name: str
    model: Model
    results: tuple[Result, ...]
    misfits: tuple[Misfit, ...]
    automaton: Automaton | None = None

    @property
    def is_about_order(self) -> bool:
        """Whether the model should find the largest token, or the like: then every input is in a cell with its true output."""
        return self.automaton is None and self.model.task != SORTED_LISTS

    @property
    def task(self) -> OrderStatistic:
        """What the model was trained for, if that is about order. Raises FormatError if it is unknown."""
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


def in_order(results: Iterable[Result]) -> tuple[Result, ...]:
    """From the longest proof to the shortest, refused ones last."""
    return tuple(sorted(results, key=lambda r: (not r.accepted, -r.operations if r.accepted else 0, r.name)))


def explore(
    problem: Problem,
    path: Path,
    output: Path,
    strategies: Sequence[str | Strategy] = (),
    workers: Workers = Workers(),  # noqa: B008 - frozen
    track: Track = silent,
) -> Generator[Frontier, None, None]:
    """Prove and check what is still missing in `output`; yields what is known at the start and after every run.

    problem: about the model stored at `path`. strategies: those to sweep, by name (default: all), or single ones as they are
    set. workers: who does it. Raises FormatError if `output` holds results about another model, InUse if another process works
    there. Closing the iterator, or an exception in it (KeyboardInterrupt), stops all processes and leaves whole files only.
    """
    with sole_use(output):
        yield from _explore(problem, path, output, strategies, workers, track)


def _explore(
    problem: Problem, path: Path, output: Path, strategies: Sequence[str | Strategy], workers: Workers, track: Track
) -> Generator[Frontier, None, None]:
    require_same_model(output, problem.model)
    planned = planned_runs(problem, strategies)
    results = {result.name: result for result in results_in(output, problem)}
    todo = missing(planned, results.values())
    misfits: list[Misfit] = []

    def known() -> Frontier:
        return Frontier(path.stem, problem.model, in_order(results.values()), _by_reason(misfits), problem.automaton)

    yield known()
    sent = packed(problem)
    with closing(workers.outcomes(carry_out, [Run(sent, strategy) for strategy in todo])) as outcomes:
        for _ in track(range(len(todo)), f"{len(todo)} of {len(planned)} runs to do"):
            outcome, certificate = next(outcomes)
            if isinstance(outcome, Misfit):
                results.pop(outcome.name, None)
                misfits.append(outcome)
            else:
                _keep(outcome, certificate, problem.model, output)
                results[outcome.name] = outcome
            yield known()


def planned_runs(problem: Problem, strategies: Sequence[str | Strategy]) -> list[Strategy]:
    """Every setting of strategies that are named (none: of all), and single ones as they are set."""
    known = strategies_for(problem.model)
    return [
        one
        for wanted in dict.fromkeys(strategies or known)
        for one in ((wanted,) if isinstance(wanted, Strategy) else known_strategy(known, wanted).sweep(problem))
    ]


def missing(planned: Sequence[Strategy], results: Iterable[Result]) -> list[Strategy]:
    """The planned runs without an accepted result."""
    done = {result.name: result for result in results if result.accepted}

    def is_done(strategy: Strategy) -> bool:
        result = done.get(certificate_name(strategy))
        return result is not None and result.parameters == asdict(strategy)

    return [strategy for strategy in planned if not is_done(strategy)]


def _by_reason(misfits: Sequence[Misfit]) -> tuple[Misfit, ...]:
    """Several settings that do not fit for one reason are one misfit."""
    alike: dict[str, list[Misfit]] = {}
    for misfit in misfits:
        alike.setdefault(misfit.reason, []).append(misfit)
    found = []
    for reason, own in alike.items():
        name = own[0].name if len(own) == 1 else f"{own[0].name} and {len(own) - 1} more"
        found.append(Misfit(name, reason, tuple(dict.fromkeys(one for misfit in own for one in misfit.strategies))))
    return tuple(found)


def write_results(frontier: Frontier, output: Path) -> None:
    """Write frontier.json."""
    records = [result.record for result in frontier.results]
    write_atomically(output / "frontier.json", json.dumps(records, indent=1).encode())


def frontier_table(frontier: Frontier) -> Table:
    """All results and misfits, for a terminal. A star marks the frontier."""
    title = f"{frontier.model_name}: certified accuracy against the length of the proof"
    table = terminal_table(title, ("certificate",), VERDICT_COLUMNS, ("verdict",))
    table.caption = "*: no proof that is as short, or shorter, certifies as much"
    best = {result.name for result in frontier.best}
    for result in frontier.results:
        star = " *" if result.name in best else ""
        table.add_row(f"{result.name}{star}", *verdict_cells(result.verdict, result.prove_seconds))
    for misfit in frontier.misfits:
        table.add_row(misfit.name, *misfit_cells(misfit.reason))
    return table


# --- files ------------------------------------------------------------------------------------------------------------------


def _keep(result: Result, certificate: bytes, model: Model, output: Path) -> None:
    """Write a certificate, and then its sidecar."""
    file = output / f"{result.name}.cert"
    write_atomically(file, certificate)
    sidecar = {
        "certificate_sha256": hashlib.sha256(certificate).hexdigest(),
        "model_digest": model.digest(),
        "version": __version__,
        "strategy": result.strategy,
        "parameters": result.parameters,
        "prove_seconds": result.prove_seconds,
        "verdict": result.verdict,
        "cells": None if result.cells is None else result.cells.tolist(),
    }
    write_atomically(file.with_suffix(".json"), json.dumps(sidecar).encode())


def require_same_model(output: Path, model: Model) -> None:
    """Raises FormatError if a folder has results about another model, or of another version: they would be lost among these."""
    this = model.digest()
    for file in sorted(output.glob("*.json")):
        try:
            found = json.loads(file.read_bytes())
        except (OSError, ValueError):
            continue
        for about, version in _models_in(found):
            if (about, version) != (this, __version__):
                raise FormatError(
                    f"{output} holds results about model {str(about)[:12]}.. of version {version}, this is model "
                    f"{this[:12]}.. and version {__version__}: name another folder with -o, or delete that one"
                )


def _models_in(found: Any) -> list[tuple[Any, Any]]:
    """The models that a sidecar or a table of results is about, and of which version (tables do not say)."""
    if isinstance(found, dict) and "certificate_sha256" in found:
        return [(found.get("model_digest"), found.get("version"))]
    if (
        isinstance(found, dict) and {"before", "after"} <= found.keys()
    ):  # of a model that was fine-tuned, which comes out as another
        return [(None, None)]
    records = found if isinstance(found, list) else []
    return [(one["model_digest"], __version__) for one in records if isinstance(one, dict) and one.get("model_digest")]


def _read_result(certificate: Path) -> Result | None:
    """What the sidecar says, unless there is none or it is not about this certificate; that it is about this model is known."""
    try:
        sidecar = json.loads(certificate.with_suffix(".json").read_bytes())
        if sidecar["certificate_sha256"] != hashlib.sha256(certificate.read_bytes()).hexdigest():
            return None
        cells = None if sidecar["cells"] is None else np.array(sidecar["cells"], object)
        made = (sidecar["strategy"], sidecar["parameters"], sidecar["prove_seconds"])
        return Result(certificate.stem, *made, sidecar["verdict"], cells)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def results_in(output: Path, problem: Problem) -> list[Result]:
    """What a folder has about a problem: certificates that were checked."""
    found = [_read_result(certificate) for certificate in sorted(output.glob("*.cert"))]
    return [result for result in found if result is not None and result.verdict["task"] in (problem.stated_task, None)]
