"""The demo's table: every strategy proved, and checked in a separate process."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table

from certificates.writing import write_atomically
from prover.attention.sequence_problem import SequenceProblem
from prover.problem import Problem
from prover.strategies import known_strategy, strategies_for
from prover.strategy import DoesNotFit
from prover.studies.checked import VERDICT_COLUMNS, misfit_cells, prove_and_check, verdict_cells
from prover.studies.frontier import Frontier, in_order, require_same_model
from prover.studies.frontier_page import write_report
from prover.studies.runs import Misfit, Result, cells_of
from prover.studies.tables import terminal_table


def demo_table(problem: Problem, model: Path, output: Path, names: Sequence[str]) -> tuple[Table, bool]:
    """Prove with strategies for such models, all if none is named; write `output`/*.cert, results.json and, but for networks on
    two inputs, report.html. The table, and whether all were accepted. Raises ValueError if one is for other models,
    FormatError if `output` holds results about another model.
    """
    require_same_model(output, problem.model)
    headings = ("inputs covered", *VERDICT_COLUMNS)
    table = terminal_table(f"{model.name}: {problem.total} inputs", ("strategy",), headings, ("verdict",))
    records: list[dict[str, Any]] = []
    results: list[Result] = []
    misfits: list[Misfit] = []
    known = strategies_for(problem.model)
    strategies = [known_strategy(known, name)() for name in names or known]
    for strategy in problem.track(strategies, "proving and checking"):
        name = strategy.name
        try:
            checked = prove_and_check(problem, strategy, model, output / f"{name}.cert")
        except DoesNotFit as error:
            table.add_row(name, "-", *misfit_cells(str(error)))
            misfits.append(Misfit(name, str(error)))
            continue
        verdict, seconds = checked.verdict, checked.seconds
        cells = cells_of(checked.evidence, verdict)
        results.append(Result(name, name, asdict(strategy), round(seconds, 3), verdict, cells))
        records.append({**results[-1].record, "covered": checked.evidence.covered})
        covered = str(checked.evidence.covered) if verdict["accepted"] else "-"
        table.add_row(name, covered, *verdict_cells(verdict, seconds))
    write_atomically(output / "results.json", json.dumps(records, indent=1).encode())
    if isinstance(problem, SequenceProblem) or problem.automaton is not None:
        write_report(Frontier(model.stem, problem.model, in_order(results), tuple(misfits), problem.automaton), output)
    return table, all(result.accepted for result in results)
