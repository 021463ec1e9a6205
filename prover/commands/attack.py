"""`prover attack`: inputs that a model gets wrong."""

import sys
from pathlib import Path

import click
import numpy as np

from certificates import read_model
from certificates.tensor_file import IntArray
from checker import refutes
from prover.attack import FailingRegion, Found, attack, failing_regions
from prover.commands.options import (
    ANY_TASK,
    DEVICE,
    MODEL,
    SETTINGS,
    build_strategy,
    problem_of,
    progress_bars,
)
from prover.strategies.regions import Regions
from prover.strategy import DoesNotFit
from prover.transformer.problem import TransformerProblem

_Line = tuple[str, IntArray, IntArray]
"""A text; and of an input that is wrong its tokens and answers, or nothing."""


@click.command(
    "attack",
    short_help="Look for inputs that a model gets wrong.",
    epilog="Examples: prover attack adder.safetensors --task adds.json --tries 1000000\n\n"
    "Where the proof fails: prover attack adder.safetensors --task adds.json --regions",
)
@MODEL
@ANY_TASK
@click.option("--tries", type=click.IntRange(1), help="Random inputs.  [default: 100000; of each region: 200]")
@click.option("--regions", is_flag=True, help="Only inputs of regions that strategy `regions` does not prove.")
@SETTINGS
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--show", type=click.IntRange(0), default=5, show_default=True, help="So many of those found are printed.")
@DEVICE
def attack_command(
    model: Path,
    task: str | None,
    tries: int | None,
    regions: bool,
    settings: tuple[str, ...],
    seed: int,
    show: int,
    device: str,
) -> None:
    """Evaluate random inputs of MODEL's task in float64; print those that come out wrong, and whether the checker proves it.

    Half of them are uniform, token by token; the others take every state that may come next as often as any other, which
    finds rare ones. From those with the least leads, tokens are changed one by one as long as the lead falls. With
    --regions, every region that is not proved is looked at instead, and listed with an input that is wrong there, if one
    was found. The exit status is 0 if nothing was found, 1 otherwise.
    """
    strategy = build_strategy({Regions.name: Regions}, Regions.name, settings)
    assert isinstance(strategy, Regions)
    with progress_bars() as track:
        parsed = read_model(model)
        problem = problem_of(model, parsed, task, device, track)
        if not isinstance(problem, TransformerProblem):
            raise DoesNotFit("attack is for models of the architecture `transformer`; others are small enough to enumerate")
        if regions:
            lines, count = _by_region(failing_regions(problem, strategy, tries or 200, seed), problem, show)
        else:
            lines, count = _at_random(attack(problem, tries or 100_000, seed), show)
    file = task or (model.with_suffix(".json") if problem.automaton is not None else None)
    option = f" --task {file}" if file else ""
    for text, tokens, answers in lines:
        if text:
            click.echo(text)
        if len(tokens):
            said = (problem.stated_task, problem.given_tensors, tokens.tolist(), answers.tolist())
            proved = "proved wrong" if refutes(parsed, *said) else "wrong in float64, but too close to prove it"
            click.echo(f"  {proved}: checker refute {model} {_listed(tokens)} {_listed(answers)}{option}")
    sys.exit(1 if count else 0)


def _at_random(found: Found, show: int) -> tuple[list[_Line], int]:
    """What to print, and how many inputs are wrong."""
    nothing = np.zeros(0, np.int64)
    said = (
        f"{found.tried} inputs tried, and changed from {found.descents} of them on: {len(found.wrong)} different ones wrong; "
    )
    said += f"least lead {found.least:.4g}"
    wrong = [("", *pair) for pair in zip(found.wrong, found.answers, strict=True)][:show]
    return [(said, nothing, nothing), *wrong], len(found.wrong)


def _by_region(failing: list[FailingRegion], problem: TransformerProblem, show: int) -> tuple[list[_Line], int]:
    """What to print, and in how many regions an input is wrong."""
    nothing = np.zeros(0, np.int64)
    share, wrong = sum(region.share for region in failing), sum(len(region.wrong) > 0 for region in failing)
    said = f"{len(failing)} regions fail, {share:.3g} of all inputs at most; an input that is wrong was found in {wrong}"
    lines: list[_Line] = [(said, nothing, nothing)]
    for region in failing[:show]:
        where = f"position {problem.reads[region.read]}, query {region.query}, output {region.output}"
        what = "wrong:" if len(region.wrong) else "none found wrong"
        lines.append((f"{where}: {region.share:.3g} of all inputs; {what}", region.wrong, region.answers))
    return lines, wrong


def _listed(numbers: IntArray) -> str:
    return ",".join(map(str, numbers.tolist()))
