"""Proofs from Python: the same as the commands do, without files in between. Names are exported by the package `prover`.

A model is a `Model`, or the path of a model file. A task is what --task takes ("min-of-k", "brackets.json"), what a statement
names ({"name": "nth-max-of-k", "n": 2}), an `Automaton`, or None: the model file's. jobs: processes on this machine; scheduler:
address of a Dask scheduler ("tcp://head-node:8786"), whose workers do it instead. Results do not depend on either.
"""

import tempfile
import warnings
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from certificates import Certificate, Model, read_model, write_certificate, write_model
from certificates.automaton import Automaton
from certificates.canonical_json import Json, loads_config
from certificates.tensor_file import IntArray
from checker import Verdict
from checker import covers as covers_file
from checker import verify as verify_file
from prover import proving
from prover.importing import jsonable, model_of
from prover.layers.two_input_problem import TwoInputProblem
from prover.layouts import mapped
from prover.problem import Problem
from prover.representations.representation_search import search_settings
from prover.representations.search_folder import write_search
from prover.strategies import all_strategies_for, known_strategy, strategies_for
from prover.strategy import DoesNotFit, Strategy
from prover.studies.frontier import Frontier, explore, write_results
from prover.studies.interpret import Finding, findings
from prover.studies.study import run_study
from prover.studies.study_plan import read_plan
from prover.studies.summary import Summary, summary
from prover.studies.workers import Workers
from prover.tasks import task_beside, task_named
from prover.training import finetuning


@dataclass(frozen=True)
class Proof:
    """A certificate, and the model that it is about. correct: inputs that the prover expects to be certified, of `total`."""

    certificate: Certificate
    model: Model
    correct: int
    total: int

    @property
    def bound(self) -> Fraction:
        """The expected bound, exactly: what counts is what `verify` says."""
        return Fraction(self.correct, self.total)

    def verify(self, **pins: Any) -> Verdict:
        """The checker's verdict; pins: those of `checker.verify`, such as at_least="0.9995"."""
        with tempfile.TemporaryDirectory() as folder:
            return verify_file(*self._written(Path(folder)), **pins)

    def covers(self, inputs: Sequence[Sequence[int]] | IntArray) -> IntArray:
        """For each input, the step that certifies it, or -1. Raises CheckError if the certificate is not accepted."""
        with tempfile.TemporaryDirectory() as folder:
            return covers_file(*self._written(Path(folder)), inputs)

    def save(self, path: Path | str) -> None:
        """Write the certificate."""
        write_certificate(Path(path), self.certificate)

    def _written(self, folder: Path) -> tuple[Path, Path]:
        self.save(folder / "proof.cert")
        save_model(self.model, folder / "model.safetensors")
        return folder / "proof.cert", folder / "model.safetensors"


def load_model(path: Path | str) -> Model:
    """Read a model file. Raises FormatError if it is none."""
    return read_model(Path(path))


def save_model(model: Model, path: Path | str) -> None:
    """Write a model file."""
    write_model(Path(path), model)


def model_from_state(
    state: Mapping[str, Tensor],
    config: Mapping[str, Any],
    task: Json = None,
    n_ctx: int | None = None,
    mapping: Mapping[str, Any] | None = None,
) -> Model:
    """A model from a state dict and its configuration, named as in TransformerLens or Hugging Face, or by a mapping.

    task: a name, or what a statement names. For a HookedTransformer: model_from_state(model.state_dict(), model.cfg.to_dict()).
    Raises FormatError naming whatever would change the function.
    """
    named = state if mapping is None else mapped(mapping, state)
    return model_of(named, loads_config(jsonable(config)), {"name": task} if isinstance(task, str) else task, n_ctx)


def prove(
    model: Model | Path | str,
    strategy: str,
    *,
    task: "Json | Automaton" = None,
    margin: Fraction | str = Fraction(0),
    precision: int = 30,
    device: str = "cpu",
    **switches: int,
) -> Proof:
    """Search for a proof. switches: those of the strategy (`prover explain`); one that is larger than makes a difference is
    taken as the largest that does, with a warning. Raises DoesNotFit, FormatError, ValueError.
    """
    if isinstance(margin, float):
        raise ValueError(f'a margin of {margin} may be meant otherwise than it is stated: write "{margin}", in quotes')
    problem = _problem(model, task, precision, device, Fraction(margin))
    search = _strategy(all_strategies_for(problem.model), strategy, switches, problem)
    certificate, evidence = proving.prove(problem, search)
    return Proof(certificate, problem.model, getattr(evidence, "correct", 0), problem.total)


def from_transformer_lens(model: Any, task: Json = None) -> Model:
    """A HookedTransformer, or a bridge of version 4, as a model. Raises FormatError as `model_from_state` does."""
    return model_from_state(model.state_dict(), model.cfg.to_dict(), task)


def frontier(
    model: Model | Path | str,
    folder: Path | str,
    strategies: Sequence[str] = (),
    jobs: int = 1,
    scheduler: str | None = None,
    *,
    task: "Json | Automaton" = None,
) -> Frontier:
    """Prove with every strategy at many settings, check all, and keep the certificates in a folder, from which it goes on.

    `frontier_figure` (prover.studies.frontier_figures) draws what comes out. Raises InUse if another process works there.
    """
    problem = _problem(model, task, 30, "cpu", Fraction(0))
    return _explored(problem, model, Path(folder), tuple(strategies), Workers(jobs, scheduler))


def interpret(model: Model | Path | str, folder: Path | str, jobs: int = 1, scheduler: str | None = None) -> list[Finding]:
    """What each interpretation of a network on two inputs proves, and what it gets wrong, from the most to the least proved.

    Certificates are kept in the folder, as `frontier` does.
    """
    problem = _problem(model, None, 30, "cpu", Fraction(0))
    if not isinstance(problem, TwoInputProblem):
        raise DoesNotFit("interpret is for networks on two inputs; use frontier for this model")
    return findings(problem, _explored(problem, model, Path(folder), (), Workers(jobs, scheduler)))


def search(
    model: Model | Path | str,
    folder: Path | str,
    family: str = "low-rank",
    objective: str = "both",
    jobs: int = 1,
    scheduler: str | None = None,
    *,
    device: str = "cpu",
) -> Frontier:
    """Factors of a model's tables, small and large, trained to reconstruct them or for the bound, each certified.

    family: low-rank, sparse-dictionary or crosscoder (the latter two for networks on two inputs); objective: reconstruction,
    bound or both. The folder gets certificates, dictionaries and report.html; as `frontier`, it goes on from what is there.
    """
    problem, output = _problem(model, None, 30, device, Fraction(0)), Path(folder)
    found = _explored(problem, model, output, search_settings(problem.model, family, objective), Workers(jobs, scheduler))
    write_search(problem, found, output)
    return found


def study(plan: Path | str, folder: Path | str, jobs: int = 1, scheduler: str | None = None) -> Summary:
    """Many models, many strategies, summed up: docs/studies.md. plan: the path of a TOML file. Raises InUse as `frontier`."""
    return summary(run_study(read_plan(Path(plan)), Path(folder), Workers(jobs, scheduler)))


def finetune(
    model: Model | Path | str,
    strategy: str,
    *,
    task: "Json | Automaton" = None,
    steps: int = finetuning.Recipe.steps,
    seed: int = 0,
    device: str = "cpu",
    **switches: int,
) -> Model:
    """Move a model by gradient steps until the strategy proves more about it; the best one found. switches: as for `prove`."""
    problem = _problem(model, task, 30, device, Fraction(0))
    wanted = _strategy(strategies_for(problem.model), strategy, switches, problem)
    *_, last = finetuning.finetune(problem, wanted, finetuning.Recipe(steps=steps, seed=seed))
    return last.best


def _problem(model: Model | Path | str, task: "Json | Automaton", precision: int, device: str, margin: Fraction) -> Problem:
    parsed = model if isinstance(model, Model) else load_model(model)
    if isinstance(task, str):
        task = task_named(task)
    elif task is None and not isinstance(model, Model):
        task = task_beside(Path(model), parsed)
    elif not isinstance(task, dict | Automaton | None):
        raise ValueError(f'a task is a name such as "min-of-k", a dict, or an Automaton, not {task!r}')
    own, named = (task, None) if isinstance(task, Automaton) else (None, task)
    return proving.problem_about(parsed, torch.device(device), precision, task=named, margin=margin, automaton=own)


def _strategy(known: Mapping[str, type[Strategy]], name: str, switches: Mapping[str, int], problem: Problem) -> Strategy:
    wanted = known_strategy(known, name).with_settings({key: str(value) for key, value in switches.items()})
    found, told = wanted.limited(problem, switches)
    for text in told:
        warnings.warn(text, stacklevel=3)
    return found


def _explored(
    problem: Problem, model: Model | Path | str, output: Path, strategies: Sequence[str | Strategy], workers: Workers
) -> Frontier:
    path = output / "model.safetensors" if isinstance(model, Model) else Path(model)
    if isinstance(model, Model):
        save_model(model, path)
    with closing(explore(problem, path, output, strategies, workers)) as states:
        *_, found = states
    write_results(found, output)
    return found
