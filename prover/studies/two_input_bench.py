"""Benchmarks of networks on two inputs: operations and seconds of every strategy, as fractions of the checker's brute force."""

import json
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from certificates import read_model
from certificates.tensor_file import write_atomically
from prover.layers.two_input_problem import TwoInputProblem
from prover.problem import Track
from prover.strategies import TWO_INPUT_STRATEGIES
from prover.strategy import DoesNotFit
from prover.studies.bench import measured
from prover.studies.demo import ceil_scientific, floor_percent
from prover.studies.interpret import BRUTE_FORCE


def pair_bench(models: list[Path], output: Path, device: torch.device, track: Track) -> Table:
    """Prove and check every strategy on every model; writes pair-bench.json and returns the table."""
    table = Table(title="checking, start-up excluded, against the checker's own brute force")
    for heading in (
        "model",
        "strategy",
        "certified",
        "operations",
        "/ brute force",
        "prove s",
        "check s",
        "/ brute force",
        "MiB",
    ):
        table.add_column(heading, justify="left" if heading in ("model", "strategy") else "right")
    results: list[dict[str, Any]] = []
    for path in track(models, "models"):
        problem = TwoInputProblem(read_model(path), device, track=track)
        brute: dict[str, Any] | None = None
        for name, strategy in TWO_INPUT_STRATEGIES.items():
            try:
                prove_seconds, verdict, memory = measured(problem, strategy(), path, output)
            except DoesNotFit:
                table.add_row(path.stem, name, "does not fit")
                continue
            brute = verdict if name == BRUTE_FORCE else brute
            results.append({**verdict, "model": path.stem, "strategy": name, "peak_mib": memory})
            if not verdict["accepted"] or brute is None:
                table.add_row(path.stem, name, verdict["reason"])
                continue
            table.add_row(
                path.stem,
                name,
                floor_percent(verdict["correct"], verdict["total"]),
                ceil_scientific(verdict["operations"]),
                f"{verdict['operations'] / brute['operations']:.2g}",
                f"{prove_seconds:.2f}",
                verdict["seconds"],
                f"{float(verdict['seconds']) / max(float(brute['seconds']), 1e-3):.2f}",
                str(memory),
            )
        table.add_section()
    write_atomically(output / "pair-bench.json", json.dumps(results, indent=1).encode())
    return table
