"""The demo's table: every strategy proved, and checked in a separate process."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table

from certificates.writing import write_atomically
from prover.problem import Problem
from prover.strategies import known_strategy, strategies_for
from prover.strategy import DoesNotFit
from prover.studies.checked import VERDICT_COLUMNS, misfit_cells, prove_and_check, verdict_cells
from prover.studies.tables import terminal_table


def demo_table(problem: Problem, model: Path, output: Path, names: Sequence[str]) -> tuple[Table, bool]:
    """Prove with strategies for such models, all if none is named; write `output`/*.cert and results.json. The table, and
    whether all were accepted. Raises ValueError if one is for other models.
    """
    headings = ("inputs covered", *VERDICT_COLUMNS)
    table = terminal_table(f"{model.name}: {problem.total} inputs", ("strategy",), headings, ("verdict",))
    results: list[dict[str, Any]] = []
    known = strategies_for(problem.model)
    strategies = [known_strategy(known, name)() for name in names or known]
    for strategy in problem.track(strategies, "proving and checking"):
        name = strategy.name
        try:
            checked = prove_and_check(problem, strategy, model, output / f"{name}.cert")
        except DoesNotFit as error:
            table.add_row(name, "-", *misfit_cells(str(error)))
            continue
        verdict, seconds = checked.verdict, checked.seconds
        made = {"strategy": name, "parameters": asdict(strategy), "prove_seconds": round(seconds, 3)}
        results.append({**verdict, **made, "covered": checked.evidence.covered})
        covered = str(checked.evidence.covered) if verdict["accepted"] else "-"
        table.add_row(name, covered, *verdict_cells(verdict, seconds))
    write_atomically(output / "results.json", json.dumps(results, indent=1).encode())
    return table, all(result["accepted"] for result in results)
