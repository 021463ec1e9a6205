"""One run of a study: a strategy on a model, proved, written down and checked, on whatever worker; only bytes travel."""

import pickle
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from certificates import FormatError, __version__, write_model
from checker import verify
from prover.problem import Problem, silent
from prover.strategy import DoesNotFit, Evidence, MLPEvidence, Strategy
from prover.studies.checked import prove_to


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
    """A strategy that could not be used on this model, and why; if several could not for one reason, `strategies` has all."""

    name: str
    reason: str
    strategies: tuple[str, ...] = ()


@dataclass(frozen=True)
class Run:
    """What a worker needs to know: a pickled problem (`packed`), a strategy, and which version of this package planned it."""

    problem: bytes
    strategy: Strategy
    version: str = __version__


def certificate_name(strategy: Strategy) -> str:
    """The stem of the certificate's file: the strategy and those of its parameters that differ from the defaults."""
    changed = [
        f"{field.name}={getattr(strategy, field.name)}"
        for field in fields(strategy)
        if getattr(strategy, field.name) != field.default
    ]
    return "-".join([strategy.name, *changed])


def packed(problem: Problem) -> bytes:
    """A problem to send to workers: without what has been computed about it, which they compute again."""
    return pickle.dumps(replace(problem, track=silent))


@lru_cache(maxsize=2)
def _unpacked(problem: bytes) -> Problem:
    found: Problem = pickle.loads(problem)
    return found


def cells_of(evidence: Evidence | MLPEvidence, verdict: Mapping[str, Any]) -> np.ndarray | None:
    """The counts by query and true output, if they add up to what the checker found."""
    found = evidence.cells if isinstance(evidence, Evidence) else None
    return found if found is not None and found.size and found.sum() == verdict["correct"] else None


def require_version(version: str) -> None:
    """Raises FormatError if this worker has another version than the process that planned its work."""
    if version != __version__:
        raise FormatError(f"this worker has version {__version__}, the study is run by {version}: install one version")


def carry_out(run: Run) -> tuple[Result | Misfit, bytes]:
    """Prove, and have the certificate checked; the certificate's bytes, none for a misfit."""
    require_version(run.version)
    problem, strategy, name = _unpacked(run.problem), run.strategy, certificate_name(run.strategy)
    with tempfile.TemporaryDirectory() as folder:
        model, certificate = Path(folder, "model.safetensors"), Path(folder, "proof.cert")
        write_model(model, problem.model)
        try:
            evidence, seconds = prove_to(certificate, problem, strategy)
        except DoesNotFit as error:
            return Misfit(name, str(error), (strategy.name,)), b""
        verdict = verify(certificate, model).as_json()
        result = Result(name, strategy.name, asdict(strategy), round(seconds, 3), verdict, cells_of(evidence, verdict))
        return result, certificate.read_bytes()
