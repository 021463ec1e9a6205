"""A certificate written, and checked in a process of its own: what the demo and the benchmark are made of."""

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from certificates import write_certificate
from prover.problem import Problem
from prover.proving import prove
from prover.strategy import Evidence, MLPEvidence, Strategy
from prover.studies.rounding import ceil_scientific, floor_percent

Verdict = Mapping[str, Any]
"""What `checker verify --json` says."""
VERDICT_COLUMNS = ("certified accuracy", "operations", "unexplained dim.", "bytes", "prove s", "check s")
"""Headings of `verdict_cells`, which one more column follows: the verdict."""


@dataclass(frozen=True)
class Checked:
    """What the prover says that it found, how many seconds it searched, and what the checker says of it."""

    evidence: Evidence | MLPEvidence
    seconds: float
    verdict: Verdict


def prove_and_check(problem: Problem, strategy: Strategy, model: Path, certificate: Path) -> Checked:
    """Prove something about the model stored at a path, write the certificate, and have it checked.

    Raises DoesNotFit if the model is out of the strategy's reach.
    """
    evidence, seconds = prove_to(certificate, problem, strategy)
    return Checked(evidence, seconds, check_in_separate_process(certificate, model))


def prove_to(certificate: Path, problem: Problem, strategy: Strategy) -> tuple[Evidence | MLPEvidence, float]:
    """Prove, write the certificate; what was found, and the seconds that it took. Raises DoesNotFit as `prove` does."""
    started = time.perf_counter()
    proof, evidence = prove(problem, strategy)
    seconds = time.perf_counter() - started
    write_certificate(certificate, proof)
    return evidence, seconds


def check_in_separate_process(certificate: Path, model: Path) -> Verdict:
    """What `checker verify --json` says."""
    command = [sys.executable, "-m", "checker", "verify", str(certificate), "--model", str(model), "--json"]
    verdict: Verdict = json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout)
    return verdict


# A process between, small and without PyTorch: a child's peak memory includes what it shares with its parent at first.
_WITH_PEAK_MEMORY = (
    "import resource, subprocess, sys; subprocess.call(sys.argv[1:]); "
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
)


def check_measuring_memory(certificate: Path, model: Path) -> Verdict:
    """As `check_in_separate_process`, with peak_mib: that process's peak memory in MiB."""
    check = ["-m", "checker", "verify", str(certificate), "--model", str(model), "--json"]
    command = [sys.executable, "-c", _WITH_PEAK_MEMORY, sys.executable, *check]
    verdict, kibibytes = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return {**json.loads(verdict), "peak_mib": -(-int(kibibytes) // 1024)}


def verdict_cells(verdict: Verdict, seconds: float) -> tuple[str, ...]:
    """A row of a terminal's table: VERDICT_COLUMNS and the verdict; seconds: of the search."""
    if not verdict["accepted"]:
        return *["-"] * len(VERDICT_COLUMNS), f"[red]{verdict['reason']}"
    return (
        floor_percent(verdict["correct"], verdict["total"]),
        ceil_scientific(verdict["operations"]),
        str(verdict["unexplained_dimension"]),
        str(verdict["certificate_bytes"]),
        f"{seconds:.2f}",
        verdict["seconds"],
        "[green]accepted",
    )


def misfit_cells(reason: str) -> tuple[str, ...]:
    """Such a row about a strategy that could not be used."""
    return *["-"] * len(VERDICT_COLUMNS), f"does not fit: {reason}"
