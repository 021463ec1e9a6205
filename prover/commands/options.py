"""What commands share: options, the values of options, and how progress is shown."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import click
import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress

from certificates import Model
from certificates.automaton import Automaton, read_automaton
from certificates.canonical_json import Json, loads_relaxed
from certificates.tensor_file import IntArray
from prover.problem import Track
from prover.strategy import Strategy

CONSOLE = Console()

MODEL = click.argument("model", type=click.Path(path_type=Path))
DEVICE = click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", help="Where to compute.")
OUTPUT = click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="File to write.")
FOLDER = click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to write to.",
)
JOBS = click.option("--jobs", type=click.IntRange(1), default=1, help="Number of processes.")
TASK = click.option("--task", help="Task: a name or JSON; default: the model file's.")
ANY_TASK = click.option(
    "--task", help="Task: a name, JSON, or a file with an automaton, .json. Default: what the model file names, or MODEL.json."
)
SETTINGS = click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Set a switch of the strategy.")


def wide(columns: int) -> Console:
    """A console for tables that need so many columns, wherever they are printed."""
    return Console(width=max(CONSOLE.width, columns))


@contextmanager
def progress_bars() -> Iterator[Track]:
    """A function that iterates over items and shows a progress bar for them (on a terminal)."""
    with Progress(console=CONSOLE, transient=True, disable=not CONSOLE.is_terminal) as progress:
        yield lambda items, what: progress.track(list(items), description=what)


def pick_device(name: str) -> torch.device:
    """The device of a --device option."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise click.ClickException("no CUDA device is available; use --device cpu")
    return torch.device(name)


def parse_task(text: str | None) -> Json:
    """The value of a --task option: JSON, or just a name."""
    if text is None:
        return None
    return loads_relaxed(text) if text.lstrip().startswith("{") else {"name": text}


def parse_any_task(text: str | None, path: Path, model: Model) -> tuple[Json, Automaton | None]:
    """The value of a --task option that may also be the name of a file with an automaton: a task with a name, or that.

    Without one, the file that is named like the model's, .json, is taken if it holds the automaton that the model file names.
    """
    if text is not None and text.endswith(".json"):
        return None, read_automaton(Path(text))
    beside = path.with_suffix(".json")
    if text is None and isinstance(model.task, dict) and "automaton" in model.task and beside.exists():
        automaton = read_automaton(beside)
        if model.task == {"automaton": automaton.digest}:
            return None, automaton
    return parse_task(text), None


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
    if name not in known:
        raise click.ClickException(f"strategy {name} is not for models like this one; there are {', '.join(known)}")
    for setting in settings:
        if "=" not in setting:
            raise click.ClickException(f"--set takes KEY=VALUE, found {setting!r}")
    pairs = dict(setting.partition("=")[::2] for setting in settings)
    try:
        return known[name].with_settings(pairs)
    except ValueError as error:
        raise click.ClickException(str(error)) from error


def keep_apart(output: Path, model: Path) -> None:
    """Refuse to write over the model."""
    if output.exists() and output.resolve() == model.resolve():
        raise click.ClickException(f"{output} is the model itself; name another file to write")
