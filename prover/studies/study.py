"""Many models, many strategies: every model trained or taken, every run proved and checked once, and all of it summed up.

A study's folder has models/NAME.safetensors, and for every run runs/KEY.json: what was proved, or why nothing could be. KEY is
a digest of everything that a run depends on: the model's digest, the task, strategy and switches, precision, version. So a
study goes on where it stopped, does no run twice when models, seeds or strategies are added, and takes over the runs of
another folder by copying files. study.json (prover/studies/summary) depends on the runs only, not on who did them, when, or
in what order.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from certificates import FormatError, Model, __version__, write_model
from certificates.automaton import Automaton
from certificates.canonical_json import dumps
from certificates.writing import write_atomically
from prover.problem import Problem, Track, silent
from prover.proving import problem_about
from prover.strategy import Strategy
from prover.studies.runs import Misfit, Run, carry_out, certificate_name, packed, require_version
from prover.studies.sole_use import sole_use
from prover.studies.study_plan import Plan, Source
from prover.studies.workers import Workers
from prover.training.by_name import trained

_KEPT = ("accepted", "reason", "correct", "total", "operations", "unexplained_dimension", "certificate_bytes", "rules")
"""Of the checker's verdict, what a record holds."""
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Record:
    """A run of the study: about which model, by which strategy, and what came out.

    misfit: why the strategy could not be used, else None, and verdict says what the checker found (see _KEPT).
    seconds: for proving and checking, which is all that differs between two that do the same.
    """

    model: str
    name: str
    strategy: str
    parameters: dict[str, int]
    misfit: str | None
    verdict: dict[str, Any]
    certificate_sha256: str | None
    seconds: dict[str, float]

    @property
    def accepted(self) -> bool:
        """Whether there is a theorem."""
        return self.misfit is None and bool(self.verdict["accepted"])


@dataclass(frozen=True)
class Study:
    """What is known: digests of models by name, the records of all runs that the plan asks for, and how many are missing."""

    models: dict[str, str]
    records: tuple[Record, ...]
    missing: int


@dataclass(frozen=True)
class _Planned:
    key: str
    model: str
    run: Run


@dataclass(frozen=True)
class _Done:
    key: str
    record: Record
    certificate: bytes


def run_study(
    plan: Plan,
    output: Path,
    workers: Workers = Workers(),  # noqa: B008 - frozen
    keep: bool = False,
    track: Track = silent,
) -> Study:
    """Do what is missing in a folder, and return what is then known. keep: certificates, too, as certificates/KEY.cert.

    Raises FormatError and ValueError if the plan does not fit its models, InUse if another process works in the folder, and
    WorkersLost if nobody is left to do it.
    """
    with sole_use(output):
        return _run_study(plan, output, workers, keep, track)


def _run_study(plan: Plan, output: Path, workers: Workers, keep: bool, track: Track) -> Study:
    if any((output / name).exists() for name in ("frontier.json", "results.json")):
        raise FormatError(f"{output} holds results about a single model: name another folder with -o")
    for folder in ("models", "runs", *(("certificates",) if keep else ())):
        (output / folder).mkdir(parents=True, exist_ok=True)
    _take_models(plan, output, workers, track)
    planned = _planned(plan, _models(plan, output))
    todo = [one for one in planned if not _is_done(one, output, keep)]
    with closing(workers.outcomes(_do, todo)) as outcomes:
        for _ in track(range(len(todo)), f"proving and checking, {len(todo)} of {len(planned)} runs"):
            done = next(outcomes)
            if keep and done.certificate:
                write_atomically(output / "certificates" / f"{done.key}.cert", done.certificate)
            write_atomically(_record_file(output, done.key), json.dumps(asdict(done.record), indent=1).encode())
    return known_study(plan, output)


def known_study(plan: Plan, output: Path) -> Study:
    """What a folder knows of a plan, without doing anything."""
    models = _models(plan, output)
    planned = _planned(plan, models)
    records = tuple(record for one in planned if (record := _read_record(output, one)) is not None)
    return Study({name: model.digest() for name, model in models.items()}, records, len(planned) - len(records))


def take_over(other: Path, output: Path) -> int:
    """Copy models and runs that another study's folder has and this one lacks; how many runs. Raises FormatError."""
    if not (other / "runs").is_dir():
        raise FormatError(f"{other} is no study's folder: it has no runs")
    taken = 0
    for folder, pattern in (("models", "*.safetensors"), ("runs", "*.json"), ("certificates", "*.cert")):
        for file in sorted((other / folder).glob(pattern)):
            target = output / folder / file.name
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                temporary = target.with_name(f".{target.name}")
                shutil.copyfile(file, temporary)
                temporary.replace(target)
                taken += folder == "runs"
    return taken


# --- models -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Training:
    source: Source
    automaton: Automaton | None
    version: str = __version__


def _train(task: _Training) -> tuple[Source, Model]:
    require_version(task.version)
    return task.source, trained(task.source.recipe, _CPU, automaton=task.automaton)[0]


def _take_models(plan: Plan, output: Path, workers: Workers, track: Track) -> None:
    todo = [_Training(source, plan.automaton) for source in plan.sources if not source.path_in(output).exists()]
    with closing(workers.outcomes(_train, todo)) as outcomes:
        for _ in track(range(len(todo)), f"training, {len(todo)} of {len(plan.sources)} models"):
            source, model = next(outcomes)
            write_model(source.path_in(output), model)


# --- runs -------------------------------------------------------------------------------------------------------------------


def _models(plan: Plan, output: Path) -> dict[str, Model]:
    """The models that are there, by name."""
    return {source.name: source.model_in(output) for source in plan.sources if source.path_in(output).exists()}


def _planned(plan: Plan, models: Mapping[str, Model]) -> list[_Planned]:
    """All runs about these models; two names of the same model are one model."""
    found: dict[str, _Planned] = {}
    for model in models.values():
        problem = problem_about(model, _CPU, plan.precision, automaton=plan.automaton)
        sent, digest = packed(problem), model.digest()
        for strategy in plan.strategies_for(model, problem):
            key = _key(digest, problem, strategy)
            found[key] = _Planned(key, digest, Run(sent, strategy))
    return list(found.values())


def _key(digest: str, problem: Problem, strategy: Strategy) -> str:
    """The name of a run's file: a digest of all that the run depends on."""
    about = {"model": digest, "task": problem.stated_task, "precision": problem.precision, "version": __version__}
    content = {**about, "strategy": strategy.name, "parameters": asdict(strategy)}
    return hashlib.sha256(dumps(content).encode()).hexdigest()[:40]


def _do(planned: _Planned) -> _Done:
    """Carry out a run. Whatever goes wrong in it is recorded as a refusal, which is tried again: other runs go on."""
    require_version(planned.run.version)
    strategy = planned.run.strategy
    made = (planned.model, certificate_name(strategy), strategy.name, asdict(strategy))
    try:
        outcome, certificate = carry_out(planned.run)
    except Exception as error:
        failed = {"accepted": False, "reason": f"{type(error).__name__}: {error}"}
        return _Done(planned.key, Record(*made, None, failed, None, {}), b"")
    if isinstance(outcome, Misfit):
        return _Done(planned.key, Record(*made, outcome.reason, {}, None, {}), certificate)
    verdict = {name: outcome.verdict[name] for name in _KEPT}
    seconds = {"prove": outcome.prove_seconds, "check": float(outcome.verdict["seconds"])}
    return _Done(planned.key, Record(*made, None, verdict, hashlib.sha256(certificate).hexdigest(), seconds), certificate)


def _record_file(output: Path, key: str) -> Path:
    return output / "runs" / f"{key}.json"


def _read_record(output: Path, planned: _Planned) -> Record | None:
    """What is written about a run, unless there is nothing, or it is about another one."""
    try:
        record = Record(**json.loads(_record_file(output, planned.key).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
    strategy = planned.run.strategy
    about = (planned.model, certificate_name(strategy), strategy.name, asdict(strategy))
    return record if (record.model, record.name, record.strategy, record.parameters) == about else None


def _is_done(planned: _Planned, output: Path, keep: bool) -> bool:
    """Whether a run need not be done again; one that was refused is: it may have been for want of memory."""
    record = _read_record(output, planned)
    if record is None or (record.misfit is None and not record.accepted):
        return False
    if not keep or not record.accepted:
        return True
    try:
        kept = (output / "certificates" / f"{planned.key}.cert").read_bytes()
    except OSError:
        return False
    return hashlib.sha256(kept).hexdigest() == record.certificate_sha256
