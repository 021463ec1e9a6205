"""The demo's table: every strategy proved, and checked in a separate process."""

import json
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table

from certificates import write_certificate
from certificates.tensor_file import write_atomically
from prover.problem import Problem
from prover.prove import prove
from prover.strategies import strategies_for
from prover.strategy import DoesNotFit


def floor_percent(correct: int, total: int) -> str:
    """correct/total in percent with four decimals, rounded down."""
    whole, rest = divmod(correct * 10**6 // total, 10**4)
    return f"{whole}.{rest:04d}%"


def ceil_scientific(number: int) -> str:
    """A count with three significant digits, rounded up."""
    digits = len(str(number))
    if digits <= 4:
        return str(number)
    mantissa = -(-number // 10 ** (digits - 3))
    return f"{mantissa / 100:.2f}e{digits - 1}" if mantissa < 1000 else f"1.00e{digits}"


def check_in_separate_process(certificate: Path, model: Path) -> dict[str, Any]:
    """What `checker verify --json` says."""
    command = [sys.executable, "-m", "checker", "verify", str(certificate), "--model", str(model), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    verdict: dict[str, Any] = json.loads(done.stdout)
    return verdict


def demo_table(problem: Problem, model: Path, output: Path) -> tuple[Table, bool]:
    """Prove with every strategy, write `output`/*.cert and results.json; the table, and whether all were accepted."""
    table = Table(title=f"{model.name}: {problem.total} inputs")
    for heading, justify in [
        ("strategy", "left"),
        ("inputs covered", "right"),
        ("certified accuracy", "right"),
        ("operations", "right"),
        ("unexplained dim.", "right"),
        ("bytes", "right"),
        ("prove s", "right"),
        ("check s", "right"),
        ("verdict", "left"),
    ]:
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    results: list[dict[str, Any]] = []
    strategies = strategies_for(problem.model)
    for name in problem.track(strategies, "proving and checking"):
        strategy = strategies[name]()
        started = time.perf_counter()
        try:
            certificate, evidence = prove(problem, strategy)
        except DoesNotFit as error:
            table.add_row(name, *["-"] * 7, f"does not fit: {error}")
            continue
        seconds = time.perf_counter() - started
        path = output / f"{name}.cert"
        write_certificate(path, certificate)
        verdict = check_in_separate_process(path, model)
        results.append({**verdict, "strategy": name, "parameters": asdict(strategy), "prove_seconds": round(seconds, 3)})
        if verdict["accepted"]:
            table.add_row(
                name,
                str(evidence.covered),
                floor_percent(verdict["correct"], verdict["total"]),
                ceil_scientific(verdict["operations"]),
                str(verdict["unexplained_dimension"]),
                str(verdict["certificate_bytes"]),
                f"{seconds:.2f}",
                verdict["seconds"],
                "[green]accepted",
            )
        else:
            table.add_row(name, *["-"] * 7, f"[red]{verdict['reason']}")
    write_atomically(output / "results.json", json.dumps(results, indent=1).encode())
    return table, all(result["accepted"] for result in results)
