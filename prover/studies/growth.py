"""How proofs grow with the vocabulary: the same task, 64 to 512 tokens, every strategy side by side.

The models are trained on the spot, long enough to be at least 99% accurate, and kept, so that a second run starts at once.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.table import Table

from certificates import read_model, write_model
from prover.attention.sequence_problem import SequenceProblem
from prover.problem import Track
from prover.strategies import ATTENTION_STRATEGIES
from prover.strategy import DoesNotFit
from prover.studies.checked import prove_and_check
from prover.studies.rounding import ceil_scientific, floor_percent
from prover.studies.tables import terminal_table
from prover.training.max_of_k import MaxOfKRecipe, sampled_accuracy, train_max_of_k

_STEPS = {64: 3_000, 128: 5_000, 256: 8_000, 512: 15_000}
_LENGTH = 4
_LONGEST = 4 * 10**8
"""Proofs expected to be longer than this many operations are left out: they take minutes each."""


@dataclass(frozen=True)
class _Point:
    operations: int
    text: str


def growth_table(output: Path, device: torch.device, track: Track) -> Table:
    """Train, prove, check; one row for each strategy, one column for each vocabulary, and the exponent of growth."""
    title = f"operations and certified accuracy of Max-of-{_LENGTH} against the number of tokens V"
    table = terminal_table(title, ("strategy",), [*(f"V = {vocab}" for vocab in _STEPS), "exponent"])
    table.show_lines = True
    paths = {vocab: _trained(output, vocab, device, track) for vocab in _STEPS}
    problems = {vocab: SequenceProblem(read_model(path), device, track=track) for vocab, path in paths.items()}
    accuracies = [f"{sampled_accuracy(problem.model, 100_000, device):.2%}" for problem in problems.values()]
    table.add_row("accuracy, sampled", *accuracies, "")
    for name, strategy in ATTENTION_STRATEGIES.items():
        if name == "sampling":
            continue
        points: dict[int, _Point] = {}
        for vocab, problem in problems.items():
            before = [(v, p.operations) for v, p in points.items()]
            if before and before[-1][1] * (vocab / before[-1][0]) ** _exponent(before) > _LONGEST:
                break
            try:
                certificate = output / f"growth-{vocab}-{name}.cert"
                verdict = prove_and_check(problem, strategy(), paths[vocab], certificate).verdict
            except DoesNotFit:
                break
            if not verdict["accepted"]:
                points[vocab] = _Point(1, f"[red]{verdict['reason']}")
                break
            bound = floor_percent(verdict["correct"], verdict["total"])
            points[vocab] = _Point(verdict["operations"], f"{ceil_scientific(verdict['operations'])}\n{bound}")
        cells = [points[vocab].text if vocab in points else "too long" for vocab in _STEPS]
        measured = [(vocab, point.operations) for vocab, point in points.items()]
        table.add_row(name, *cells, f"{_exponent(measured):.2f}" if len(measured) > 1 else "")
    return table


def _exponent(points: list[tuple[int, int]]) -> float:
    """The exponent of growth between the first and the last point; 4 where there is one only."""
    (first, least), (last, most) = points[0], points[-1]
    return math.log(most / least) / math.log(last / first) if last > first else 4.0


def _trained(output: Path, vocab: int, device: torch.device, track: Track) -> Path:
    path = output / "models" / f"max-of-{_LENGTH}-of-{vocab}.safetensors"
    if not path.exists():
        write_model(path, train_max_of_k(MaxOfKRecipe(length=_LENGTH, vocab=vocab, seed=1, steps=_STEPS[vocab]), device, track))
    return path
