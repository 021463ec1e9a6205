"""Tables of the commands on a terminal of 80 columns: nothing sticks out, and what a row is about is told whole."""

import io
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from rich.table import Table

import prover.studies.bench
import prover.studies.demo
import prover.studies.finetuning_bench
import prover.studies.float_runs
import prover.studies.growth
from certificates import read_model
from prover.attention.sequence_problem import SequenceProblem
from prover.error_terms import ErrorTerms
from prover.problem import silent
from prover.representations.crosscoder_search import CrosscoderResult, CrosscoderTerms, crosscoder_table
from prover.strategies import ATTENTION_STRATEGIES, TWO_INPUT_STRATEGIES
from prover.strategies.crosscoder_output import CrosscoderOutput
from prover.strategies.interpretation import Interpretation
from prover.strategies.prefix_chains import Pessimized
from prover.strategy import Evidence, Strategy
from prover.studies.checked import Checked
from prover.studies.finetuned import Comparison, Side
from prover.studies.finetuned_page import comparison_table
from prover.studies.float_runs import Executed
from prover.studies.frontier import Frontier, frontier_table, in_order
from prover.studies.interpret import Finding, findings_table
from prover.studies.mlp_findings import MLPFindings, mlp_table
from prover.studies.runs import Misfit, Result, certificate_name
from prover.studies.study import Record, Study
from prover.studies.summary import summary, summary_table
from prover.studies.tables import print_table, terminal_table

MODEL = Path(__file__).resolve().parents[2] / "certificates" / "models" / "max-of-10-seed1.safetensors"
CPU = torch.device("cpu")
VERDICT: dict[str, Any] = {
    "accepted": True,
    "theorem": "",
    "reason": "",
    "correct": 10**20 - 1,
    "total": 10**20,
    "operations": 123_456_789,
    "unexplained_dimension": 12800,
    "certificate_bytes": 12_345_678,
    "seconds": "123.456",
    "peak_mib": 12_345,
    "rules": [],
}
"""As wide as figures get."""
REFUSED = {**VERDICT, "accepted": False, "reason": "step 1: a reason of many words, each of which is shown, " * 3}
LONGEST = Interpretation(4, 11, 12, 0, 2, 2, 1, 1)


def printed(table: Table, width: int = 80) -> str:
    out = io.StringIO()
    print_table(table, Console(file=out, width=width))
    return out.getvalue()


def require_whole(table: Table, *names: str) -> None:
    """At 80 columns, and without changes where there is room."""
    told, at_large = printed(table), printed(table, 1000)
    assert all(len(line) <= 80 for line in told.splitlines()), told
    for name in names:
        assert name in told.replace("\n", "") and name in at_large, (name, told)


@pytest.fixture(scope="module")
def problem() -> SequenceProblem:
    return SequenceProblem(read_model(MODEL), CPU)


def result(strategy: Strategy, verdict: dict[str, Any] = VERDICT) -> Result:
    return Result(certificate_name(strategy), strategy.name, asdict(strategy), 123.456, verdict, None)


def test_frontiers(problem: SequenceProblem) -> None:
    strategies = [LONGEST, *(one for kind in ATTENTION_STRATEGIES.values() for one in kind.sweep(problem))]
    results = [result(one) for one in strategies] + [result(Pessimized(rivals=12345), REFUSED)]
    found = Frontier("m", problem.model, in_order(results), (Misfit("brute-force and 3 more", "takes long, " * 20),))
    names = [one.name for one in results]
    require_whole(frontier_table(found), *names, "brute-force and 3 more")


def test_interpretations() -> None:
    terms = ErrorTerms(*(123.456 * sign for sign in (1, -1, 1, -1, 1, -1, 1, -1)))
    found = [Finding(name, result(LONGEST), 1.2e-3, terms, "a conclusion, in words; " * 9) for name in TWO_INPUT_STRATEGIES]
    require_whole(findings_table("modular-addition-59", found), *TWO_INPUT_STRATEGIES)
    bound = {"frequency": 12, "amplitude": "12345678/1", "error": "1/3000000", "relative_error": "0.123456789"}
    verdict = {**VERDICT, "mlp": [bound]}
    require_whole(mlp_table(MLPFindings(verdict, verdict)), "12", "0.123456789")


def test_studies(problem: SequenceProblem) -> None:
    strategies = [LONGEST, *Interpretation.sweep(problem)]
    records = [Record("0", certificate_name(one), one.name, asdict(one), None, VERDICT, "", {}) for one in strategies]
    table = summary_table(summary(Study({"m": "0"}, tuple(records), 0)))
    require_whole(table, *(record.name for record in records), f"interpretation (best of {len(records)})")


def test_fine_tuning() -> None:
    losses = {"interpretation: a stage that has a long name, and what it simplifies beside the others": 0.123}
    side = Side(VERDICT, 99_999, 100_000, losses)
    comparison = Comparison(
        LONGEST, side, replace(side, verdict=REFUSED), {"all weights": 0.1}, 0.5, (), "all steps were taken"
    )
    require_whole(comparison_table(comparison), "lost by " + next(iter(losses)))


def test_crosscoders() -> None:
    strategies = [CrosscoderOutput(32, 2, penalty=penalty, single=single) for penalty in (0, 1) for single in (0, 1)]
    found = [CrosscoderResult(result(one), CrosscoderTerms(*[1234.5] * 5)) for one in strategies]
    require_whole(crosscoder_table(found), *(one.kind for one in found))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is proved or checked."""
    evidence = Evidence((), 10**20 - 1, 10**20, np.zeros(0))
    checked = Checked(evidence, 123.456, VERDICT)
    monkeypatch.setattr(prover.studies.demo, "write_report", lambda *_: None)
    monkeypatch.setattr(prover.studies.growth, "sampled_accuracy", lambda *_: 0.999)
    for module in (prover.studies.demo, prover.studies.growth):
        monkeypatch.setattr(module, "prove_and_check", lambda *_: checked)
    monkeypatch.setattr(prover.studies.bench, "prove_to", lambda *_: (evidence, 123.456))
    monkeypatch.setattr(prover.studies.bench, "check_measuring_memory", lambda *_: VERDICT)
    monkeypatch.setattr(prover.studies.float_runs, "prove", lambda *_: (None, evidence))
    monkeypatch.setattr(prover.studies.float_runs, "write_certificate", lambda *_: None)
    monkeypatch.setattr(prover.studies.float_runs, "check_in_separate_process", lambda *_: VERDICT)
    monkeypatch.setattr(prover.studies.float_runs, "execute", lambda *_: Executed(1_000_000, 12, 0, 1.2e-3))


@pytest.mark.usefixtures("quick")
def test_demo_and_benchmarks(problem: SequenceProblem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_whole(prover.studies.demo.demo_table(problem, MODEL, tmp_path, ())[0], *ATTENTION_STRATEGIES)
    for table in (
        prover.studies.bench.bench_table([MODEL], tmp_path, CPU, silent),
        prover.studies.float_runs.float_runs_table({MODEL: problem}, tmp_path, 1)[0],
    ):
        require_whole(table, MODEL.stem)
    monkeypatch.setattr(prover.studies.growth, "_STEPS", dict.fromkeys((64, 128, 256, 512), 1))
    monkeypatch.setattr(prover.studies.growth, "_trained", lambda *_: MODEL)
    names = [name for name in ATTENTION_STRATEGIES if name != "sampling"]
    require_whole(prover.studies.growth.growth_table(tmp_path, CPU, silent), *names)


def test_a_table_that_fits_stays_one() -> None:
    table = terminal_table("title", ("name",), ("number",))
    table.add_row("a name", "7")
    assert "━" in printed(table) and "━" not in printed(table, 10)
