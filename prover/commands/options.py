"""What commands share: options, the values of options, and how progress is shown."""

import json
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from functools import wraps
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress, TimeRemainingColumn

from certificates import Model
from certificates.automaton import Automaton
from certificates.canonical_json import Json, dumps
from certificates.tensor_file import IntArray
from prover.commands.names import Name
from prover.problem import Problem, Track, silent
from prover.proving import problem_about
from prover.strategies import FAMILIES, known_strategy
from prover.strategy import Strategy
from prover.studies.expected import duration
from prover.studies.workers import Workers
from prover.tasks import task_beside, task_named

CONSOLE = Console()
_SECONDS_BETWEEN_LINES = 15
_SECONDS_TO_FIRST_LINE = 3


STRATEGY = Name("a strategy", tuple(dict.fromkeys(name for strategies in FAMILIES.values() for name in strategies)))
MODEL = click.argument("model", type=click.Path(path_type=Path))
DEVICE = click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", help="Where to compute.")


def _writable_file(context: click.Context, parameter: click.Parameter, value: Path) -> Path:
    """The path, if a file can be written there: asked before the work, not after it."""
    if value.is_dir():
        raise click.BadParameter(f"{value} is a folder: name a file", context, parameter)
    _writable_folder(context, parameter, value.parent)
    return value


def _writable_folder(context: click.Context, parameter: click.Parameter, value: Path) -> Path:
    try:
        value.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=value):
            return value
    except OSError as error:
        raise click.BadParameter(f"cannot write to {value}: {error.strerror}", context, parameter) from error


OUTPUT = click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), callback=_writable_file, help="File to write."
)
FOLDER = click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), callback=_writable_folder, help="Folder to write to."
)


def WORKERS(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options --jobs and --scheduler: the command gets `workers`."""

    @wraps(command)
    def with_workers(*, jobs: int, scheduler: str | None, **others: Any) -> Any:
        return command(workers=Workers(jobs, scheduler), **others)

    for option in (
        click.option("--scheduler", metavar="TCP://HOST:PORT", help="A Dask scheduler, whose workers do it instead."),
        click.option("--jobs", type=click.IntRange(1), default=1, help="Number of processes."),
    ):
        with_workers = option(with_workers)
    return with_workers


ANY_TASK = click.option(
    "--task", help="Task: a name, JSON, or a file with an automaton, .json. Default: what the model file names, or MODEL.json."
)
SETTINGS = click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Set a switch of the strategy.")


@contextmanager
def resumable(kept: Callable[[], str]) -> Iterator[None]:
    """For work that goes on where it stopped: an interruption notes what is kept, as `kept` tells (an empty text: nothing)."""
    try:
        yield
    except KeyboardInterrupt as stop:
        what = kept()
        stop.add_note(f"{what}: the same command goes on from there" if what else "nothing is kept: nothing was finished yet")
        raise


def counted(number: int, what: str) -> str:
    """So many of a thing: "1 run", "3 runs"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


@contextmanager
def progress_bars() -> Iterator[Track]:
    """A function that iterates over items and shows how far it is: by a bar on a terminal, elsewhere by lines: one when the
    first item is done, unless that took no time, and then now and then.
    """
    if not CONSOLE.is_terminal:
        yield _lines
        return
    columns = (*Progress.get_default_columns()[:-1], TimeRemainingColumn(elapsed_when_finished=True))
    with Progress(*columns, console=CONSOLE, transient=True) as progress:
        yield lambda items, what: progress.track(list(items), description=what)


def _lines(items: Iterable[Any], what: str) -> Iterator[Any]:
    known = list(items)
    started = said = time.monotonic()
    for number, item in enumerate(known):
        now = time.monotonic()
        if number and now - said > (_SECONDS_TO_FIRST_LINE if said == started else _SECONDS_BETWEEN_LINES):
            said, left = now, (now - started) / number * (len(known) - number)
            click.echo(f"{what}: {number} of {len(known)}, {duration(left)} left", err=True)
        yield item


def pick_device(name: str) -> torch.device:
    """The device of a --device option."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise click.ClickException("no CUDA device is available; use --device cpu")
    return torch.device(name)


def parse_any_task(text: str | None, path: Path, model: Model) -> tuple[Json, Automaton | None]:
    """The value of a --task option that may also be the name of a file with an automaton: a task with a name, or that.

    Without one, the file that is named like the model's, .json, is taken if it holds the automaton that the model file names.
    """
    found = task_beside(path, model) if text is None else task_named(text)
    return (None, found) if isinstance(found, Automaton) else (found, None)


def problem_of(
    path: Path, model: Model, task: str | None, device: str, track: Track = silent, precision: int = 30, **about: Any
) -> Problem:
    """What options say that there is to prove about a model (see `problem_about`). Warns if its file says another task."""
    named, automaton = parse_any_task(task, path, model)
    problem = problem_about(model, pick_device(device), precision, track, named, automaton=automaton, **about)
    if model.task is not None and problem.stated_task != model.task:
        click.echo(f"warning: the model file says {dumps(model.task)}, this is about {dumps(problem.stated_task)}", err=True)
    return problem


def parse_margin(text: str | None) -> Fraction:
    """The value of a --margin option, exactly."""
    if text is not None and not re.fullmatch(r"[0-9]{1,20}(\.[0-9]{1,60})?", text):
        raise click.ClickException(f"--margin: {text!r} is not a decimal number such as 0.1")
    return Fraction(text or 0)


def read_table(path: Path) -> IntArray:
    """A multiplication table: a file with a JSON list of rows, table[a][b] = ab."""
    try:
        table = np.array(json.loads(path.read_text()))
    except (OSError, ValueError) as error:
        raise click.ClickException(f"cannot read the table {path}: {error}") from error
    if table.ndim != 2 or table.shape[0] != table.shape[1] or table.dtype.kind != "i":
        raise click.ClickException(f"{path} is not a multiplication table: a square JSON list of rows of integers")
    return table.astype(np.int64)


def build_strategy(known: Mapping[str, type[Strategy]], name: str, settings: tuple[str, ...]) -> Strategy:
    """The strategy of --strategy, as --set says, if it is among the known ones."""
    try:
        strategy = known_strategy(known, name)
        for setting in settings:
            if "=" not in setting:
                raise click.ClickException(f"--set takes KEY=VALUE, found {setting!r}")
        return strategy.with_settings(dict(setting.partition("=")[::2] for setting in settings))
    except ValueError as error:
        raise click.ClickException(str(error)) from error


def limited(strategy: Strategy, problem: Problem, settings: tuple[str, ...]) -> Strategy:
    """The strategy with nothing that --set says larger than makes a difference to the problem; warns of what was."""
    found, told = strategy.limited(problem, [setting.partition("=")[0] for setting in settings])
    for text in told:
        click.echo(f"warning: {text}", err=True)
    return found


def keep_apart(output: Path, model: Path) -> None:
    """Refuse to write over the model."""
    if output.exists() and output.resolve() == model.resolve():
        raise click.ClickException(f"{output} is the model itself; name another file to write")
