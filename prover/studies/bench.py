"""Benchmarks: how long checking takes, against PyTorch enumerating all inputs, in one run on one machine.

The yardstick is what a careful user would write without this project: for every query, batched sums of float64 table
look-ups over all inputs, and the arg-max compared with the label. Ratios are printed, since absolute times vary.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from certificates import read_model, write_certificate
from certificates.tensor_file import write_atomically
from prover.attention.sequence_problem import SequenceProblem
from prover.problem import Problem, Track
from prover.prove import prove
from prover.strategies import ATTENTION_STRATEGIES
from prover.strategy import DoesNotFit, Strategy
from prover.studies.demo import ceil_scientific, floor_percent

_LARGEST_ENUMERATION = 10**8


def enumerate_with_pytorch(problem: SequenceProblem) -> int:
    """Correct inputs of Max-of-K, by batched additive tables in float64 (ties and rounding not controlled)."""
    tables, vocab = problem.tables, problem.d_vocab
    values = tables.token_value[None] + tables.position_value[:, None]  # j t o
    tokens = torch.arange(vocab, device=problem.device)
    correct = 0
    for query in range(vocab):
        score = tables.token_score[query] + tables.position_score[query, :, None]  # j t
        terms = (score - score.max()).exp()[..., None] * (values + tables.direct[query])
        inner, label = terms[-1, query] + terms[0], tokens.clamp(min=query)
        for j in range(1, problem.n_ctx - 2):
            inner = (inner[:, None] + terms[j]).reshape(-1, inner.shape[-1])
            label = torch.maximum(label[:, None], tokens).reshape(-1)
        for token in range(vocab):  # the last free position, so that a batch holds V^(K-2) inputs
            batch = inner + terms[problem.n_ctx - 2, token]
            correct += int((batch.argmax(1) == label.clamp(min=token)).sum())
    return correct


# A process between, small and without PyTorch: a child's peak memory includes what it shares with its parent at first.
_WITH_PEAK_MEMORY = (
    "import resource, subprocess, sys; subprocess.call(sys.argv[1:]); "
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
)


def _timed_check(certificate: Path, model: Path) -> tuple[dict[str, Any], int]:
    """The checker's verdict, from a process of its own, and that process's peak memory in MiB."""
    check = ["-m", "checker", "verify", str(certificate), "--model", str(model), "--json"]
    command = [sys.executable, "-c", _WITH_PEAK_MEMORY, sys.executable, *check]
    verdict, kibibytes = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return json.loads(verdict), -(-int(kibibytes) // 1024)


def measured(problem: Problem, strategy: Strategy, path: Path, output: Path) -> tuple[float, dict[str, Any], int]:
    """Prove, write the certificate, check it: seconds of the proof, the verdict, and the checker's peak memory in MiB.

    Raises DoesNotFit if the model is out of the strategy's reach.
    """
    started = time.perf_counter()
    certificate, _ = prove(problem, strategy)
    seconds = time.perf_counter() - started
    file = output / f"{path.stem}-{strategy.name}.cert"
    write_certificate(file, certificate)
    return seconds, *_timed_check(file, path)


def bench(models: list[Path], output: Path, device: torch.device, track: Track) -> Table:
    """Prove and check every strategy on every model; writes bench.json and returns the table."""
    table = Table(title="checking, start-up excluded, against PyTorch enumerating all inputs in float64")
    for heading in ("model", "strategy", "certified", "operations", "prove s", "check s", "/ PyTorch", "peak MiB"):
        table.add_column(heading, justify="left" if heading in ("model", "strategy") else "right")
    results: list[dict[str, Any]] = []
    for path in track(models, "models"):
        problem = SequenceProblem(read_model(path), device, track=track)
        yardstick: float | None = None
        if problem.total <= _LARGEST_ENUMERATION:
            started = time.perf_counter()
            correct = enumerate_with_pytorch(problem)
            yardstick = time.perf_counter() - started
            estimate = f"{100 * correct / problem.total:.4f}%"
            table.add_row(path.stem, "PyTorch enumeration", estimate, "", "", f"{yardstick:.2f}", "1.00", "")
        for name, strategy in ATTENTION_STRATEGIES.items():
            try:
                prove_seconds, verdict, memory = measured(problem, strategy(), path, output)
            except DoesNotFit:
                table.add_row(path.stem, name, "does not fit")
                continue
            seconds = float(verdict["seconds"])
            results.append({**verdict, "model": path.stem, "strategy": name, "peak_mib": memory, "pytorch": yardstick})
            table.add_row(
                path.stem,
                name,
                floor_percent(verdict["correct"], verdict["total"]) if verdict["accepted"] else verdict["reason"],
                ceil_scientific(verdict["operations"] or 0),
                f"{prove_seconds:.2f}",
                f"{seconds:.2f}",
                "" if yardstick is None else f"{seconds / yardstick:.2f}",
                str(memory),
            )
        table.add_section()
    write_atomically(output / "bench.json", json.dumps(results, indent=1).encode())
    return table
