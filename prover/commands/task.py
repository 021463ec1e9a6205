"""`prover task`: tasks as files."""

import inspect
from pathlib import Path

import click

from prover.commands.names import Name
from prover.commands.options import OUTPUT
from prover.known_tasks import KNOWN_TASKS
from prover.spelling import meant
from prover.tasks import write_automaton


def _parameters(name: str) -> str:
    found = inspect.signature(KNOWN_TASKS[name]).parameters.values()
    return " ".join(p.name if p.default is p.empty else f"[{p.name}={p.default}]" for p in found)


@click.command(
    "task",
    short_help="Write a task that is known by name as an automaton.",
    epilog="Tasks and their parameters:\n\n\b\n"
    + "\n".join(f"  {name:20}{_parameters(name)}" for name in KNOWN_TASKS)
    + "\n\nExample: prover task balanced-brackets length=16 -o brackets.json",
)
@click.argument("name", type=Name("a known task", tuple(KNOWN_TASKS)))
@click.argument("parameters", nargs=-1, metavar="[KEY=VALUE]...")
@OUTPUT
def task_command(name: str, parameters: tuple[str, ...], output: Path) -> None:
    """Write the task NAME to a JSON file, which --task takes. For tasks of your own, see docs/own-model-and-task.md."""
    build = KNOWN_TASKS[name]
    pairs, known = [text.partition("=") for text in parameters], inspect.signature(build).parameters
    for key, _, _ in pairs:
        if key not in known:
            raise click.ClickException(
                f"{name} has no parameter {key!r}{meant(key, known) or f'; it takes {_parameters(name)}'}"
            )
    try:
        values = {key: int(value) for key, _, value in pairs}
        inspect.signature(build).bind(**values)  # raises if one is missing
        automaton = build(**values)
    except (TypeError, ValueError) as error:
        raise click.ClickException(f"{name} takes {_parameters(name)} as KEY=INTEGER: {error}") from error
    write_automaton(output, automaton)
    _, states, tokens = automaton.transitions.shape
    click.echo(f"wrote {output}: {automaton.count()} inputs of {len(automaton.order)} tokens from 0 to {tokens - 1}")
    click.echo(f"  {states} states, read at {automaton.reads[:, 0].tolist()}; {inspect.getdoc(build)}")
