"""`prover finetune`: towards a strategy's proof."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
from rich.progress import Progress

from certificates import read_model, write_model
from prover.commands.options import (
    ANY_TASK,
    CONSOLE,
    DEVICE,
    MODEL,
    OUTPUT,
    SETTINGS,
    STRATEGY,
    build_strategy,
    keep_apart,
    limited,
    problem_of,
    resumable,
)
from prover.strategies import strategies_for
from prover.studies.expected import duration, proofs_ahead
from prover.studies.finetuned import compare
from prover.studies.finetuned_page import comparison_table, write_comparison
from prover.studies.rounding import floor_percent
from prover.studies.tables import print_table
from prover.tasks import write_automaton
from prover.training.checkpoints import read_checkpoint, run_key, write_checkpoint
from prover.training.finetuning import Recipe, State, finetune


@click.command(
    "finetune",
    short_help="Move a model towards a strategy's proof of it.",
    epilog="Example: prover finetune model.safetensors --strategy pessimized -o tuned.safetensors",
)
@MODEL
@click.option(
    "--strategy",
    required=True,
    type=STRATEGY,
    help="See `prover strategies`.",
)
@SETTINGS
@ANY_TASK
@click.option("--steps", type=click.IntRange(1), default=Recipe.steps, help="Gradient steps at most.")
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="Learning rate; default: the strategy's.")
@click.option(
    "--keep-accuracy",
    type=click.FloatRange(0, 1),
    default=Recipe.keep_accuracy,
    help="Share of the model's accuracy that must be kept.",
)
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=Recipe.seed)
@DEVICE
@OUTPUT
def finetune_command(
    model: Path,
    strategy: str,
    settings: tuple[str, ...],
    task: str | None,
    steps: int,
    rate: float | None,
    keep_accuracy: float,
    seed: int,
    device: str,
    output: Path,
) -> None:
    """Move the weights of MODEL by gradient steps until STRATEGY proves more about them, and certify both models.

    Writes the new model (and its task, if the model file names an automaton), and beside it a folder OUTPUT-finetuning with
    both certificates, finetuning.json, report.html and a checkpoint: an interrupted run continues where it stopped. The bound
    is that of the certificates, whatever the steps did.
    """
    keep_apart(output, model)
    parsed = read_model(model)
    search = build_strategy(strategies_for(parsed), strategy, settings)
    problem = problem_of(model, parsed, task, device)
    search = limited(search, problem, settings)
    recipe = Recipe(steps=steps, rate=rate, keep_accuracy=keep_accuracy, seed=seed)
    folder = output.with_name(f"{output.stem}-finetuning")
    checkpoint, key = folder / "checkpoint.pt", run_key(problem, search, recipe)
    start = read_checkpoint(checkpoint, key, parsed) if checkpoint.exists() else None
    if start:
        click.echo(f"continuing at step {start.step} ({checkpoint})")
    kept = start
    ahead = steps - (start.step if start else 0)
    click.echo(proofs_ahead(search.at_milestones(), problem, ahead, ahead // recipe.milestone + 1), err=True)
    with resumable(lambda: f"step {kept.step} is kept in {checkpoint}" if kept else ""):
        for state in _with_progress(finetune(problem, search, recipe, start), problem.total, recipe):
            write_checkpoint(checkpoint, key, state)
            kept = state
    write_model(output, state.best)
    if problem.automaton is not None and state.best.task == problem.stated_task:
        write_automaton(output.with_suffix(".json"), problem.automaton)
    comparison = compare(problem, model, output, search, state, folder)
    write_comparison(comparison, output.stem, state.best, folder)
    print_table(comparison_table(comparison), CONSOLE)
    click.echo(f"wrote {output}; certificates, finetuning.json and report.html are in {folder}")
    sys.exit(0 if comparison.accepted else 1)


def _with_progress(states: Iterator[State], total: int, recipe: Recipe) -> Iterator[State]:
    """The same states, shown as they come: as a bar on a terminal, else line by line, with the time that all steps take."""
    started = time.monotonic()
    first: tuple[int, float] | None = None
    with Progress(console=CONSOLE, transient=True, disable=not CONSOLE.is_terminal) as progress:
        bar = progress.add_task("fine-tuning", total=recipe.steps)
        for state in states:
            last = state.history[-1]
            text = f"certified {floor_percent(last.correct, total)}, accuracy {floor_percent(last.right, last.examples)}"
            now = time.monotonic()
            first = first or (last.step, now)
            if last.step == first[0]:  # a proof, and no steps yet
                left = f"proofs alone may take {duration((now - started) * (recipe.steps - last.step) / recipe.milestone)}"
            else:
                left = f"at most {duration((now - first[1]) / (last.step - first[0]) * (recipe.steps - last.step))} left"
            progress.update(bar, completed=last.step, description=f"{text}, {left}")
            if not CONSOLE.is_terminal:
                click.echo(f"step {last.step}: {text}")
                if not state.stopped:
                    click.echo(f"  {left}", err=True)
            yield state
