"""`prover attack`: inputs that a model gets wrong."""

import sys
from pathlib import Path

import click

from certificates import read_model
from prover.attack import attack
from prover.commands.options import DEVICE, MODEL, parse_any_task, pick_device, progress_bars
from prover.prove import problem_about
from prover.strategy import DoesNotFit
from prover.transformer.problem import TransformerProblem


@click.command(
    "attack",
    short_help="Look for inputs that a model gets wrong.",
    epilog="Example: prover attack adder.safetensors --task adds.json --tries 1000000",
)
@MODEL
@click.option("--task", help="Task: a name, JSON, or a file with an automaton, .json; default: the model file's.")
@click.option("--tries", type=click.IntRange(1), default=100_000, show_default=True, help="Random inputs.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--show", type=click.IntRange(0), default=5, show_default=True, help="So many of those found are printed.")
@DEVICE
def attack_command(model: Path, task: str | None, tries: int, seed: int, show: int, device: str) -> None:
    """Evaluate random inputs of MODEL's task in float64; print those that come out wrong, with the commands that prove it.

    Half of them are uniform, token by token; the others take every state that may come next as often as any other, which
    finds rare ones. The exit status is 0 if nothing was found, 1 otherwise.
    """
    with progress_bars() as track:
        named, automaton = parse_any_task(task)
        problem = problem_about(read_model(model), pick_device(device), track=track, task=named, automaton=automaton)
        if not isinstance(problem, TransformerProblem):
            raise DoesNotFit("attack is for models of the architecture `transformer`; others are small enough to enumerate")
        found = attack(problem, tries, seed)
    click.echo(f"{found.tried} inputs tried, {len(found.wrong)} different ones wrong; least lead {found.least:.4g}")
    option = f" --task {task}" if task else ""
    for tokens, answers in list(zip(found.wrong.tolist(), found.answers.tolist(), strict=True))[:show]:
        click.echo(f"checker refute {model} {','.join(map(str, tokens))} {','.join(map(str, answers))}{option}")
    sys.exit(1 if len(found.wrong) else 0)
