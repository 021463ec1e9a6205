"""`prover demo`, `frontier`, `interpret`, `bench`: many proofs, compared."""

import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import click

import certificates
from certificates import read_model
from prover.commands.options import (
    ANY_TASK,
    CONSOLE,
    DEVICE,
    FOLDER,
    MODEL,
    STRATEGY,
    WORKERS,
    counted,
    pick_device,
    problem_of,
    progress_bars,
    resumable,
)
from prover.layers.two_input_problem import TwoInputProblem
from prover.problem import Problem
from prover.proving import problem_about
from prover.spelling import meant
from prover.strategies import SEQUENCE_STRATEGIES, known_strategy, strategies_for
from prover.strategy import Strategy
from prover.studies.bench import bench_table
from prover.studies.demo import demo_table
from prover.studies.expected import runs_ahead
from prover.studies.finetuning_bench import finetuning_bench
from prover.studies.float_runs import float_runs_table
from prover.studies.frontier import (
    Frontier,
    explore,
    frontier_table,
    missing,
    planned_runs,
    results_in,
    write_results,
)
from prover.studies.frontier_page import write_report
from prover.studies.growth import growth_table
from prover.studies.interpret import findings, findings_table, write_findings
from prover.studies.interpret_page import write_page
from prover.studies.mlp_findings import mlp_findings, mlp_table
from prover.studies.tables import print_table, write_table
from prover.studies.workers import Workers, WorkersLost


def explored(
    problem: Problem,
    path: Path,
    output: Path,
    strategies: Sequence[str | Strategy],
    workers: Workers,
    report: Callable[[Frontier, Path], None] | None = None,
) -> Frontier:
    """What is known when all runs are done, or were interrupted; frontier.json and the report are written in either case."""

    def kept() -> str:
        done = len(results_in(output, problem))
        return f"{counted(done, 'result')} kept in {output}" if done else ""

    with ExitStack() as stack:
        stack.enter_context(resumable(kept))
        track = stack.enter_context(progress_bars())
        states = stack.enter_context(closing(explore(problem, path, output, strategies, workers, track)))
        frontier = next(states)
        planned = planned_runs(problem, strategies)
        if todo := missing(planned, frontier.results):
            click.echo(runs_ahead(todo, len(planned), problem), err=True)
        try:
            for frontier in states:  # noqa: B007 - the last one is what matters
                pass
        except WorkersLost as error:
            raise click.ClickException(str(error)) from error
        finally:
            if frontier.results or frontier.misfits:
                write_results(frontier, output)
                if report is not None:
                    report(frontier, output)
    return frontier


@click.command(
    "demo",
    short_help="Every strategy on one model, as a table.",
    epilog="Example: prover demo certificates/models/max-of-4.safetensors -o demo-out",
)
@MODEL
@ANY_TASK
@click.option("--strategy", "names", type=STRATEGY, multiple=True, help="Only this one; may be given again (default: all).")
@DEVICE
@FOLDER
def demo_command(model: Path, task: str | None, names: tuple[str, ...], device: str, output: Path) -> None:
    """Prove with every strategy, check each certificate in a separate process, and print one table."""
    with progress_bars() as track:
        parsed = read_model(model)
        problem = problem_of(model, parsed, task, device, track)
        table, accepted = demo_table(problem, model, output, names)
    print_table(table, CONSOLE)
    report = ", report.html" if (output / "report.html").exists() else ""
    click.echo(f"certificates, results.json{report} are in {output}")
    sys.exit(0 if accepted else 1)


def _parse_names(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[str, ...]:
    """The value of --strategies."""
    names = tuple(name.strip() for name in value.split(",")) if value else ()
    unknown = [name for name in names if name not in SEQUENCE_STRATEGIES]
    if unknown:
        hint = meant(unknown[0], SEQUENCE_STRATEGIES) or f"; there are {', '.join(SEQUENCE_STRATEGIES)}"
        raise click.BadParameter(f"unknown: {', '.join(unknown)}{hint}", context, parameter)
    return names


@click.command(
    "frontier",
    short_help="Every strategy at many settings, as a report.",
    epilog="Example: prover frontier certificates/models/max-of-4.safetensors -o frontier-out --jobs 2",
)
@MODEL
@ANY_TASK
@click.option("--strategies", callback=_parse_names, metavar="NAME,NAME,..", help="Only these (default: all).")
@WORKERS
@DEVICE
@FOLDER
def frontier_command(
    model: Path, task: str | None, strategies: tuple[str, ...], workers: Workers, device: str, output: Path
) -> None:
    """Prove with every strategy at many settings, check every certificate, and write a report about all of them.

    Writes certificates, frontier.json and report.html. Whatever OUTPUT already holds about this model is kept and shown;
    an interrupted run continues where it stopped.
    """
    parsed = read_model(model)
    problem = problem_of(model, parsed, task, device)
    if isinstance(problem, TwoInputProblem):
        raise click.ClickException("frontier is for transformers on sequences; use `prover interpret` for this model")
    for name in strategies:
        known_strategy(strategies_for(parsed), name)
    frontier = explored(problem, model, output, strategies, workers, write_report)
    print_table(frontier_table(frontier), CONSOLE)
    click.echo(f"certificates, frontier.json and report.html are in {output}")
    sys.exit(0 if all(result.accepted for result in frontier.results) else 1)


@click.command(
    "interpret",
    short_help="Compare interpretations of a network on two inputs by what they prove.",
    epilog="Example: prover interpret certificates/models/symmetric-5.safetensors -o interpret-out",
)
@MODEL
@WORKERS
@DEVICE
@FOLDER
def interpret_command(model: Path, workers: Workers, device: str, output: Path) -> None:
    """Prove with every interpretation of MODEL, check every certificate, and say what each is worth.

    Writes certificates, frontier.json, interpretations.json and report.html. An interrupted run continues where it stopped.
    """
    problem = problem_about(read_model(model), pick_device(device))
    if not isinstance(problem, TwoInputProblem):
        raise click.ClickException("interpret is for networks on two inputs; use `prover frontier` for this model")
    frontier = explored(problem, model, output, (), workers)
    found = findings(problem, frontier)
    mlp = mlp_findings(problem, model, output)
    write_findings(found, mlp, output)
    write_page(frontier, found, mlp, output)
    print_table(findings_table(model.stem, found), CONSOLE)
    if mlp is not None:
        print_table(mlp_table(mlp), CONSOLE)
    click.echo(f"certificates, frontier.json, interpretations.json and report.html are in {output}")
    sys.exit(0 if all(result.accepted for result in frontier.results) else 1)


@click.command(
    "bench",
    short_help="Time proving and checking.",
    epilog="Example: prover bench -o bench-out certificates/models/max-of-4-seed123.safetensors",
)
@click.argument("models", nargs=-1, type=click.Path(path_type=Path))
@DEVICE
@FOLDER
def bench_command(models: tuple[Path, ...], device: str, output: Path) -> None:
    """Time proving and checking on MODELS, against PyTorch enumerating all inputs, or brute force on pairs of inputs.

    Without MODELS: on the shipped ones; how proofs grow with the vocabulary, on models trained for it (some minutes); and steps
    of fine-tuning per second.
    """
    paths = list(models) or sorted((Path(certificates.__file__).parent / "models").glob("*.safetensors"))
    with progress_bars() as track:
        where = pick_device(device)
        tables = {"bench": lambda: bench_table(paths, output, where, track)}
        if not models:
            tables["growth"] = lambda: growth_table(output, where, track)
            tables["finetuning"] = lambda: finetuning_bench(paths, where, track)
        for name, make in tables.items():
            table = make()
            print_table(table, CONSOLE)
            write_table(table, output / f"{name}.table.json")


@click.command(
    "deployed",
    short_help="What is proved in real arithmetic and in float32, and runs in float32.",
    epilog="Example: prover deployed certificates/models/*.safetensors -o deployed-out",
)
@click.argument("models", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--inputs", type=click.IntRange(1), default=10**6, help="How many random inputs to run, of each model.")
@DEVICE
@FOLDER
def deployed_command(models: tuple[Path, ...], inputs: int, device: str, output: Path) -> None:
    """Prove each of MODELS in real arithmetic and of every execution in float32, and run inputs through PyTorch in float32.

    Run are random inputs, and of those that lead by more than the margin the closest ones, by several implementations and in
    batches of several sizes. The exit status is 1 if one was classified wrongly, or was further off than the bound says.
    """
    with progress_bars() as track:
        problems = {path: problem_of(path, read_model(path), None, device, track) for path in models}
        table, fine = float_runs_table(problems, output, inputs)
    print_table(table, CONSOLE)
    write_table(table, output / "float32.table.json")
    sys.exit(0 if fine else 1)
