"""Benchmark of fine-tuning: steps per second, the search for a proof at every milestone included."""

import time
from dataclasses import replace
from pathlib import Path

import torch
from rich.table import Table

from certificates import read_model
from prover.problem import Track
from prover.proving import problem_about
from prover.strategies import strategies_for
from prover.strategy import DoesNotFit
from prover.studies.rounding import floor_percent
from prover.studies.tables import terminal_table
from prover.training.finetuning import Recipe, finetune

_STEPS = 100
_TIMED = ("pessimized", "interpretation", "low-rank-chains", "rho-sets", "quadrature")


def finetuning_bench(models: list[Path], device: torch.device, track: Track) -> Table:
    """The first steps of a run of every strategy that is timed, on every model it is for."""
    title = f"fine-tuning: the first {_STEPS} steps, with a proof before and after"
    table = terminal_table(title, ("model", "strategy"), ("steps / s", "certified before", "after"))
    for path in track(models, "fine-tuning"):
        problem = problem_about(read_model(path), device)
        for name in (name for name in _TIMED if name in strategies_for(problem.model)):
            recipe = replace(Recipe(), milestone=_STEPS)
            states = finetune(problem, strategies_for(problem.model)[name](), recipe)
            try:
                first = next(states)
            except DoesNotFit:
                continue
            if first.stopped:  # everything is certified already
                continue
            started = time.perf_counter()
            last = next(states)
            speed = _STEPS / (time.perf_counter() - started)
            bounds = (floor_percent(state.history[-1].correct, problem.total) for state in (first, last))
            table.add_row(path.stem, name, f"{speed:.1f}", *bounds)
    return table
