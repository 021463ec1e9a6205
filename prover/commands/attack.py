"""`prover attack`: inputs that a model gets wrong."""

import sys
from pathlib import Path

import click

from certificates import read_model
from certificates.tensor_file import IntArray
from prover.attack import attack, failing_regions
from prover.commands.options import (
    ANY_TASK,
    DEVICE,
    MODEL,
    SETTINGS,
    build_strategy,
    parse_any_task,
    pick_device,
    progress_bars,
)
from prover.prove import problem_about
from prover.strategies.regions import Regions
from prover.strategy import DoesNotFit
from prover.transformer.problem import TransformerProblem


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
    """Evaluate random inputs of MODEL's task in float64; print those that come out wrong, with the commands that prove it.

    Half of them are uniform, token by token; the others take every state that may come next as often as any other, which
    finds rare ones. With --regions, every region that is not proved is looked at instead, and listed with an input that is
    wrong there, if one was found. The exit status is 0 if nothing was found, 1 otherwise.
    """
    strategy = build_strategy({Regions.name: Regions}, Regions.name, settings)
    assert isinstance(strategy, Regions)
    with progress_bars() as track:
        parsed = read_model(model)
        named, automaton = parse_any_task(task, model, parsed)
        problem = problem_about(parsed, pick_device(device), track=track, task=named, automaton=automaton)
        if not isinstance(problem, TransformerProblem):
            raise DoesNotFit("attack is for models of the architecture `transformer`; others are small enough to enumerate")
        if regions:
            failing = failing_regions(problem, strategy, tries or 200, seed)
        else:
            found = attack(problem, tries or 100_000, seed)
    file = task or (model.with_suffix(".json") if automaton is not None else None)
    option = f" --task {file}" if file else ""

    def refute(tokens: IntArray, answers: IntArray) -> str:
        return f"checker refute {model} {','.join(map(str, tokens.tolist()))} {','.join(map(str, answers.tolist()))}{option}"

    if not regions:
        click.echo(f"{found.tried} inputs tried, {len(found.wrong)} different ones wrong; least lead {found.least:.4g}")
        for tokens, answers in list(zip(found.wrong, found.answers, strict=True))[:show]:
            click.echo(refute(tokens, answers))
        sys.exit(1 if len(found.wrong) else 0)
    wrong = [region for region in failing if len(region.wrong)]
    share = sum(region.share for region in failing)
    click.echo(
        f"{len(failing)} regions fail, with {share:.3g} of all inputs at most; in {len(wrong)} an input was found that is wrong"
    )
    for region in failing[:show]:
        where = f"position {problem.reads[region.read]}, query {region.query}, output {region.output}"
        click.echo(f"{where}: {region.share:.3g} of all inputs; {'wrong:' if len(region.wrong) else 'none found wrong'}")
        if len(region.wrong):
            click.echo(f"  {refute(region.wrong, region.answers)}")
    sys.exit(1 if wrong else 0)
