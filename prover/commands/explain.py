"""`prover strategies`, `explain`, `inspect` and `doctor`: what there is, what it does, what fits a model, and what works."""

import inspect
import math
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from textwrap import fill

import click
import torch

from certificates import FormatError, read_model, write_certificate, write_model
from certificates.canonical_json import dumps
from checker import verify
from prover.commands.options import ANY_TASK, MODEL, STRATEGY, parse_any_task, pick_device
from prover.layers.two_input_problem import TwoInputProblem
from prover.papers import cited
from prover.problem import Problem
from prover.proving import problem_about, prove
from prover.strategies import FAMILIES, all_strategies_for
from prover.strategies.enumeration import BruteForce
from prover.strategies.fourier_output import Fourier
from prover.strategies.quadrature import Quadrature
from prover.strategy import DoesNotFit, Strategy
from prover.training.examples import count_right, random_examples
from prover.training.max_of_k import MaxOfKRecipe, train_max_of_k
from prover.transformer.problem import TransformerProblem
from prover.weights import load_weights

SYMBOLS: Mapping[str, str] = {
    "V": "tokens",
    "K": "positions",
    "d": "d_model",
    "out": "outputs",
    "r": "directions or atoms",
    "blocks": "blocks of rivals",
    "rest": "inputs that no class covers",
    "balls": "balls that hold a label's rivals",
    "bands": "bands of queries",
    "inputs": "inputs that are looked at",
    "n": "elements of the group",
    "m": "neurons",
    "s": "atoms of a neuron",
    "X": "points of the set on the left",
    "Y": "points of the set on the right",
    "reads": "positions at which the model is read",
    "states": "states of the finer automaton",
    "weights": "weights of the model",
}
"""What stands in costs, beside keys of configurations."""
_SAMPLE, _WIDEST = 2000, 118


@click.command("strategies", short_help="List the strategies.", epilog="Example: prover strategies")
def strategies_command() -> None:
    """List the strategies, with their asymptotic cost; `prover explain NAME` says more."""
    for title, strategies in FAMILIES.items():
        click.echo(f"\n{title}:")
        for strategy in strategies.values():
            click.echo(_filled(strategy.summary, f"  {strategy.name:18} ", 21))
            click.echo(_filled(f"cost {strategy.cost}" + _switches(strategy, "; switches "), " " * 21, 21))
    click.echo("\n" + _filled(f"In costs: {legend(*SYMBOLS)}."))


def _filled(text: str, first: str = "", indent: int = 0) -> str:
    """A paragraph as wide as the terminal, if that is not very wide."""
    width = min(_WIDEST, shutil.get_terminal_size().columns)
    return fill(
        text, width, initial_indent=first, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
    )


def legend(*costs: str) -> str:
    """What the symbols in some costs stand for."""
    met = {symbol for cost in costs for symbol in re.findall(r"\w+", cost)}
    return ", ".join(f"{symbol}: {meaning}" for symbol, meaning in SYMBOLS.items() if symbol in met)


def _switches(strategy: type[Strategy], before: str) -> str:
    known = ", ".join(f"{one.name}={one.default}" for one in strategy.switches())
    return before + known if known else ""


@click.command(
    "explain",
    short_help="Say what a strategy does, and what its switches mean.",
    epilog="Example: prover explain low-rank-chains",
)
@click.argument("strategy", type=STRATEGY)
def explain_command(strategy: str) -> None:
    """Say what STRATEGY does, what its switches mean, which theorems its proofs rest on, and when it proves nothing."""
    for family, strategies in FAMILIES.items():
        if strategy in strategies:
            click.echo("\n".join(explained(strategies[strategy], family)))


def explained(strategy: type[Strategy], family: str) -> Iterator[str]:
    """Paragraphs for a person."""
    yield _filled(f"{strategy.name}: {strategy.summary}")
    yield ""
    yield _filled(family, "  for       ", 12)
    yield _filled(f"{strategy.cost} ({legend(strategy.cost)})", "  cost      ", 12)
    yield _filled(f"{', '.join(strategy.rules)} (checker rules NAME prints one with its proof)", "  theorems  ", 12)
    yield ""
    for paragraph in "\n".join(ideas(strategy)).split("\n\n"):
        yield _filled(paragraph, "  ", 2)
        yield ""
    if strategy.switches():
        yield "  switches (--set key=value):"
    for one in strategy.switches():
        yield _filled(str(one.metadata.get("meaning", "")), f"    {f'{one.name}={one.default}':18} ", 23)
    yield ""
    yield _filled(strategy.origin, "  origin    ", 12)
    for name, paper in cited(strategy.origin).items():
        yield _filled(f"{name}: {paper.title}. {paper.venue}, {paper.address}", " " * 12, 12)
    yield ""
    yield _filled(strategy.vacuous, "  bound 0%  ", 12)
    yield ""


def ideas(strategy: type[Strategy]) -> Iterator[str]:
    """What the strategy's file and class say about it, less what names it."""
    of_file = (inspect.getdoc(sys.modules[strategy.__module__]) or "").partition(": ")[2]
    yield from (of_file[:1].upper() + of_file[1:]).splitlines()
    own = inspect.getdoc(strategy) or ""
    if not own.startswith("See "):
        yield from ("", *own.splitlines())


@click.command(
    "inspect",
    short_help="Say what a model file is, and which strategies fit it.",
    epilog="Example: prover inspect certificates/models/max-of-4.safetensors",
)
@MODEL
@ANY_TASK
def inspect_command(model: Path, task: str | None) -> None:
    """Say what MODEL is, how many inputs its task has, about how many come out right, and which strategies fit."""
    parsed = read_model(model)
    config = ", ".join(f"{key} {value}" for key, value in asdict(parsed.config).items() if value not in (None, False))
    weights = sum(math.prod(tensor.shape) for tensor in parsed.tensors.values())
    rows = {
        "architecture": parsed.config.architecture,
        "configuration": config,
        "weights": f"{weights:,} in {len(parsed.tensors)} tensors",
        "digest": parsed.digest(),
    }
    try:
        named, automaton = parse_any_task(task, model, parsed)
        problem = problem_about(parsed, torch.device("cpu"), task=named, automaton=automaton)
        rows |= {"task": dumps(problem.stated_task), "inputs": f"{problem.total:,}", "accuracy": _estimate(problem)}
        fitting = tuple(_fitting(problem))
    except FormatError as error:
        rows["task"] = f"none that is known: {error}"
        fitting = ()
    for key, value in rows.items():
        click.echo(_filled(value, f"{key:15}", 15))
    if not fitting:
        click.echo("\nName the task: --task max-of-k, or a file with an automaton (`prover task --help`).")
        return
    click.echo("\nStrategies that fit:")
    for strategy in fitting:
        click.echo(_filled(strategy.summary, f"  {strategy.name:18} ", 21))
        click.echo(_filled(f"cost {strategy.cost}", " " * 21, 21))
    click.echo(_filled(f"In costs: {legend(*(strategy.cost for strategy in fitting))}."))
    option = f" --task {task}" if task else ""
    click.echo(f"\nNext: prover demo {model}{option} -o demo-out, which tries all that are quick,")
    click.echo(f"or one of them: prover prove {model}{option} --strategy NAME -o proof.cert --check")


def _estimate(problem: Problem) -> str:
    if problem.automaton is not None and not isinstance(problem, TransformerProblem):
        return "not estimated for tasks of one's own on such models: prove with enumerate"
    examples = random_examples(problem, _SAMPLE, torch.Generator().manual_seed(0))
    right = count_right(problem, load_weights(problem.model, problem.device), examples)
    return f"{right} of {len(examples)} random inputs right, in floating point (an estimate, not a bound)"


def _fitting(problem: Problem) -> Iterator[type[Strategy]]:
    """The strategies whose conditions on architecture, task and number of inputs hold."""
    for strategy in all_strategies_for(problem.model).values():
        if strategy in (Fourier, Quadrature) and not (isinstance(problem, TwoInputProblem) and problem.task.is_addition):
            continue
        if problem.automaton is not None and not strategy.any_task:
            continue
        try:
            strategy().fitting(problem)
        except DoesNotFit:
            continue
        yield strategy


@click.command("doctor", short_help="Say which versions are installed, and whether they work.", epilog="Example: prover doctor")
def doctor_command() -> None:
    """Say which versions are installed and where models are computed, and prove and check something small.

    The exit status is 0 if that works.
    """
    for name in ("compact-proofs", "torch", "numpy", "safetensors", "plotly", "click", "rich", "mpmath"):
        try:
            click.echo(f"{name:15}{version(name)}")
        except PackageNotFoundError:
            click.echo(f"{name:15}not installed")
    click.echo(f"{'python':15}{sys.version.split()[0]} at {sys.executable}")
    click.echo(f"{'device':15}{pick_device('auto')}")
    model = train_max_of_k(MaxOfKRecipe(length=2, vocab=4, d_model=8, d_head=8, steps=50), torch.device("cpu"))
    with tempfile.TemporaryDirectory() as folder:
        certificate, file = Path(folder) / "proof.cert", Path(folder) / "model.safetensors"
        write_model(file, model)
        write_certificate(certificate, prove(problem_about(model, torch.device("cpu")), BruteForce())[0])
        verdict = verify(certificate, file)
    click.echo(f"{'self-test':15}" + ("proved and checked" if verdict.accepted else f"FAILED: {verdict.reason}"))
    sys.exit(verdict.exit_code)
