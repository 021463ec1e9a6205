"""Benchmarks: how long checking takes, on one machine in one run, against a yardstick. Ratios are printed: times vary.

The yardstick for sequences is what a careful user would write without this project: for every query, batched sums of float64
table look-ups over all inputs, and the arg-max compared with the label. For two inputs it is the checker's own brute force.
"""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from certificates import read_model
from certificates.writing import write_atomically
from prover.attention.sequence_problem import SequenceProblem
from prover.problem import Problem, Track
from prover.proving import problem_about
from prover.strategies import BRUTE_FORCE, strategies_for
from prover.strategy import DoesNotFit
from prover.studies.checked import check_measuring_memory, prove_to
from prover.studies.rounding import ceil_scientific, floor_percent
from prover.studies.tables import terminal_table

_LARGEST_ENUMERATION = 10**8
_COLUMNS = ("certified", "operations", "of brute force", "prove s", "check s", "check / yardstick", "peak MiB")


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


def bench_table(models: Sequence[Path], output: Path, device: torch.device, track: Track) -> Table:
    """Prove and check every strategy on every model; writes bench.json and returns the table."""
    title = "checking, start-up excluded (yardstick: PyTorch enumerating all sequences in float64; brute force on two inputs)"
    table = terminal_table(title, ("model", "strategy"), _COLUMNS)
    results: list[dict[str, Any]] = []
    for path in track(models, "models"):
        results += _bench(problem_about(read_model(path), device, track=track), path, output, table)
        table.add_section()
    write_atomically(output / "bench.json", json.dumps(results, indent=1).encode())
    return table


def _bench(problem: Problem, path: Path, output: Path, table: Table) -> list[dict[str, Any]]:
    """All strategies on one model; adds a row for each."""
    results: list[dict[str, Any]] = []
    yardstick, brute_operations = None, None
    if isinstance(problem, SequenceProblem) and problem.total <= _LARGEST_ENUMERATION:
        started = time.perf_counter()
        correct = enumerate_with_pytorch(problem)
        yardstick = time.perf_counter() - started
        estimate = f"{100 * correct / problem.total:.4f}%"
        table.add_row(path.stem, "PyTorch enumeration", estimate, "", "", "", f"{yardstick:.2f}", "1.00", "")
    for name, strategy in strategies_for(problem.model).items():
        certificate = output / f"{path.stem}-{name}.cert"
        try:
            _, prove_seconds = prove_to(certificate, problem, strategy())
        except DoesNotFit:
            table.add_row(path.stem, name, "does not fit")
            continue
        verdict = check_measuring_memory(certificate, path)
        results.append({**verdict, "model": path.stem, "strategy": name})
        if not verdict["accepted"]:
            table.add_row(path.stem, name, verdict["reason"])
            continue
        seconds = float(verdict["seconds"])
        if name == BRUTE_FORCE:
            brute_operations = verdict["operations"]
            if not isinstance(problem, SequenceProblem):
                yardstick = max(seconds, 1e-3)
        table.add_row(
            path.stem,
            name,
            floor_percent(verdict["correct"], verdict["total"]),
            ceil_scientific(verdict["operations"]),
            "" if brute_operations is None else f"{verdict['operations'] / brute_operations:.2g}",
            f"{prove_seconds:.2f}",
            f"{seconds:.2f}",
            "" if yardstick is None else f"{seconds / yardstick:.2f}",
            str(verdict["peak_mib"]),
        )
    return [{**result, "yardstick": yardstick} for result in results]
