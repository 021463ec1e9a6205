"""`prover prove`: a search."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from textwrap import fill

import click

from certificates import read_model, write_certificate
from certificates.decimals import decimal
from checker import verify
from prover.commands.options import (
    ANY_TASK,
    DEVICE,
    MODEL,
    OUTPUT,
    SETTINGS,
    STRATEGY,
    build_strategy,
    counted,
    keep_apart,
    limited,
    parse_margin,
    problem_of,
    progress_bars,
    read_table,
    resumable,
)
from prover.deployed import FORMATS
from prover.layers.dictionaries import Dictionary
from prover.layers.two_input_problem import TwoInputProblem
from prover.proving import deployable, prove
from prover.strategies import all_strategies_for
from prover.strategies.dictionary_output import DictionaryOutput
from prover.strategy import MLPEvidence, Strategy
from prover.studies.rounding import floor_percent
from prover.transformer.kept_searches import forget, kept_in


def _folder(output: Path) -> Path:
    """Where a search keeps what it has found."""
    return output.with_name(f"{output.stem}-search")


@contextmanager
def _resumed(search: Strategy, output: Path) -> Iterator[Path | None]:
    """The folder from which a search goes on, if it is one that does; tells what there is, and what is left."""
    if not search.resumes:
        yield None
        return
    folder = _folder(output)

    def kept() -> str:
        parts = len(kept_in(folder))
        return f"{counted(parts, 'part')} of the search kept in {folder}" if parts else ""

    if kept():
        click.echo(f"continuing: {kept()}", err=True)
    with resumable(kept):
        yield folder


@click.command(
    "prove",
    short_help="Search for a proof and write a certificate.",
    epilog="Example: prover prove model.safetensors --strategy classes -o proof.cert --check\n\n"
    "A task of your own: prover prove model.safetensors --strategy enumerate --task balanced.json -o proof.cert\n\n"
    "Also in float32: prover prove model.safetensors --strategy classes --deployed float32 -o proof.cert\n\n"
    "With a margin: prover prove model.safetensors --strategy classes --margin 0.1 -o proof.cert",
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
@click.option(
    "--table", type=click.Path(path_type=Path), help="Multiplication table, a JSON list of rows, for group-composition."
)
@click.option(
    "--dictionary", type=click.Path(path_type=Path), help="For dictionary and crosscoder: safetensors with W_enc, W_dec."
)
@click.option("--margin", help="By more than this the true outputs' logits are to lead, as a decimal number: 0.1.")
@click.option(
    "--deployed",
    type=click.Choice(list(FORMATS)),
    help="Prove it of every execution in this floating-point format, too.",
)
@click.option("--precision", type=click.IntRange(12, 256), default=30, help="Bits to which the checker rounds.")
@click.option("--check", is_flag=True, help="Run the checker on what was written.")
@DEVICE
@OUTPUT
def prove_command(
    model: Path,
    strategy: str,
    settings: tuple[str, ...],
    task: str | None,
    table: Path | None,
    dictionary: Path | None,
    margin: str | None,
    deployed: str | None,
    precision: int,
    check: bool,
    device: str,
    output: Path,
) -> None:
    """Search for a proof about MODEL and write it as a certificate.

    If a long search of strategy regions is interrupted, the folder OUTPUT-search keeps what was found: the same command goes on
    from there.
    """
    keep_apart(output, model)
    parsed = read_model(model)
    search = build_strategy(all_strategies_for(parsed), strategy, settings)
    with progress_bars() as track:
        given = None if table is None else read_table(table)
        required = parse_margin(margin)
        problem = problem_of(model, parsed, task, device, track, precision, given=given, margin=required)
        search = limited(search, problem, settings)
        if dictionary is not None:
            if not isinstance(problem, TwoInputProblem) or not isinstance(search, DictionaryOutput):
                raise click.ClickException("--dictionary is for strategies dictionary and crosscoder")
            problem = replace(problem, dictionary=Dictionary.read(dictionary))
        if deployed is not None:
            problem = deployable(problem, deployed)
        with _resumed(search, output) as folder:
            certificate, evidence = prove(replace(problem, folder=folder), search, deployed)
    size = write_certificate(output, certificate)
    if search.resumes:
        forget(_folder(output))
    if isinstance(evidence, MLPEvidence):
        click.echo(f"wrote {output} ({size} bytes)")
        for claim in evidence.claims:
            unit = 2.0**-evidence.scale
            click.echo(f"  frequency {claim.frequency}: amplitude {claim.amplitude * unit:.5g}, error {claim.error * unit:.5g}")
    else:
        click.echo(f"wrote {output} ({size} bytes); expected bound: {floor_percent(evidence.correct, problem.total)}")
        margin_text = f", by a margin of more than {decimal(problem.margin)}" if problem.margin else ""
        click.echo(f"  {evidence.correct} of {problem.total} inputs{margin_text}")
        if not evidence.correct:
            click.echo(fill(f"The proof is vacuous. {search.vacuous}", 80, initial_indent="  ", subsequent_indent="  "))
    if check:
        verdict = verify(output, model)
        click.echo(f"checker: {'ACCEPTED' if verdict.accepted else 'NOT ACCEPTED'}: {verdict.theorem or verdict.reason}")
        sys.exit(verdict.exit_code)
