"""What a search leaves in its folder beside certificates: dictionaries, what crosscoders leave out, and the report."""

from pathlib import Path

from prover.layers.two_input_problem import TwoInputProblem
from prover.problem import Problem
from prover.representations.crosscoder_search import (
    CrosscoderResult,
    crosscoder_results,
    crosscoder_section,
    write_crosscoders,
)
from prover.representations.representation_search import write_dictionaries, write_search_page
from prover.studies.frontier import Frontier


def write_search(problem: Problem, frontier: Frontier, output: Path) -> list[CrosscoderResult]:
    """Write dictionaries, crosscoders.json (if there are crosscoders) and report.html; what is known of crosscoders."""
    write_dictionaries(frontier, output)
    crosscoders = crosscoder_results(problem, frontier, output) if isinstance(problem, TwoInputProblem) else []
    write_search_page(frontier, output, crosscoder_section(crosscoders) if crosscoders else "")
    if crosscoders:
        write_crosscoders(crosscoders, output)
    return crosscoders
