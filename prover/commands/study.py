"""`prover study`: many models, many strategies."""

import sys
from pathlib import Path

import click

from prover.commands.options import CONSOLE, FOLDER, WORKERS, counted, progress_bars, resumable
from prover.studies.frontier_figures import published_for
from prover.studies.study import Study, known_study, run_study, take_over
from prover.studies.study_page import write_study_page
from prover.studies.study_plan import Plan, read_plan
from prover.studies.summary import Summary, summary, summary_table, write_summary
from prover.studies.tables import print_table
from prover.studies.workers import Workers, WorkersLost


@click.command(
    "study",
    short_help="Many models, many strategies, summed up.",
    epilog="Example: prover study docs/studies/max-of-4.toml -o study-out --jobs 2\n\n"
    "On a cluster: prover study study.toml -o study-out --scheduler tcp://head-node:8786",
)
@click.argument("plan", metavar="STUDY.TOML", type=click.Path(path_type=Path))
@click.option("--take", "others", multiple=True, type=click.Path(path_type=Path), help="Take over another study's runs first.")
@click.option("--keep", is_flag=True, help="Keep the certificates, too.")
@WORKERS
@FOLDER
def study_command(plan: Path, others: tuple[Path, ...], keep: bool, workers: Workers, output: Path) -> None:
    """Train or take the models that STUDY.TOML names, prove with its strategies, check everything, and sum it up.

    Writes models, what each run proved, study.json and report.html. A study that was interrupted, or whose file has more seeds,
    models or strategies by now, goes on with what is missing. With --scheduler the workers of a Dask cluster do the work; they
    need this package, but no files.
    """
    wanted = read_plan(plan)
    for other in others:
        click.echo(f"took over {take_over(other, output)} runs of {other}")
    try:
        with resumable(lambda: _kept(wanted, output)), progress_bars() as track:
            study = run_study(wanted, output, workers, keep, track)
    except ValueError as error:
        raise click.ClickException(f"{plan}: {error}") from error
    except WorkersLost as error:
        _sum_up(known_study(wanted, output), wanted, plan.stem, output)
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        _sum_up(known_study(wanted, output), wanted, plan.stem, output)
        raise
    summed = _sum_up(study, wanted, plan.stem, output)
    print_table(summary_table(summed), CONSOLE)
    click.echo(f"study.json and report.html are in {output}")
    sys.exit(1 if any(setting.refused for setting in summed.settings) else 0)


def _kept(plan: Plan, output: Path) -> str:
    known = known_study(plan, output)
    trained, done = sum(source.file is None for source in plan.sources if source.name in known.models), len(known.records)
    what = [*([counted(trained, "model")] if trained else []), *([counted(done, "run")] if done else [])]
    return f"{' and '.join(what)} kept in {output}" if what else ""


def _sum_up(study: Study, plan: Plan, name: str, output: Path) -> Summary:
    """Write study.json and the page about what is known."""
    found = summary(study)
    write_summary(found, output)
    models = [source.model_in(output) for source in plan.sources if source.path_in(output).exists()]
    alike = {published_for(model) for model in models}
    write_study_page(found, name, alike.pop() if len(alike) == 1 else (), output)
    return found
