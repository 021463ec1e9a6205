"""`prover search`: factorisations of a network by what they prove."""

import sys
from pathlib import Path

import click

from certificates import read_model
from prover.commands.names import Name
from prover.commands.options import CONSOLE, DEVICE, FOLDER, MODEL, WORKERS, pick_device
from prover.commands.studies import explored
from prover.proving import problem_about
from prover.representations.crosscoder_search import crosscoder_table, single_feature_conclusion
from prover.representations.representation_search import BOTH, FAMILIES, OBJECTIVES, conclusion, search_settings
from prover.representations.search_folder import write_search
from prover.studies.frontier import frontier_table
from prover.studies.tables import print_table
from prover.studies.workers import Workers

_OBJECTIVES = (*OBJECTIVES, BOTH)


@click.command(
    "search",
    short_help="Search factorisations of a network by what they prove.",
    epilog="Example: prover search certificates/models/modular-addition-59.safetensors --family low-rank -o search-out",
)
@MODEL
@click.option(
    "--family",
    type=Name("a family", tuple(FAMILIES)),
    required=True,
    metavar="|".join(FAMILIES),
    help="What is factored, and how.",
)
@click.option(
    "--objective",
    type=Name("an objective", _OBJECTIVES),
    default=BOTH,
    metavar="|".join(_OBJECTIVES),
    help="What the factors are trained for.",
)
@WORKERS
@DEVICE
@FOLDER
def search_command(model: Path, family: str, objective: str, workers: Workers, device: str, output: Path) -> None:
    """Train factors of MODEL's tables, small and large, to reconstruct them or for the bound; certify each; compare.

    Factored are the unembedding of a hidden layer; in family crosscoder also what neurons read, with and without a penalty on
    the interaction of features; of an attention-only transformer (family low-rank), its circuits. Writes certificates,
    frontier.json, report.html and dictionaries; an interrupted run continues where it stopped.
    """
    problem = problem_about(read_model(model), pick_device(device))
    wanted = search_settings(problem.model, family, objective)
    frontier = explored(problem, model, output, wanted, workers)
    crosscoders = write_search(problem, frontier, output)
    print_table(frontier_table(frontier), CONSOLE)
    click.echo(conclusion(frontier))
    if crosscoders:
        print_table(crosscoder_table(crosscoders), CONSOLE)
        click.echo(single_feature_conclusion(crosscoders))
    click.echo(f"certificates, frontier.json, report.html and dictionaries are in {output}")
    sys.exit(0 if all(result.accepted for result in frontier.results) else 1)
