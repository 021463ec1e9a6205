"""Interpretations of one network compared by what they prove: for each, its best certificate, its price, its errors.

A price is a fraction of brute force: operations over those of the accepted `brute-force` certificate of the same model, which
uses the same neurons and the same symmetry.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.table import Table

from certificates import UniformAttention
from certificates.writing import write_atomically
from prover.error_terms import ErrorTerms
from prover.layers.group_interpretations import irrep_claim
from prover.layers.two_input_problem import TwoInputProblem
from prover.strategies import BRUTE_FORCE, TWO_INPUT_STRATEGIES
from prover.strategy import DoesNotFit
from prover.studies.frontier import Frontier
from prover.studies.mlp_findings import MLPFindings
from prover.studies.rounding import ceil_scientific, floor_percent
from prover.studies.runs import Result
from prover.studies.tables import terminal_table

_WITHIN = 200
"""Of the certificates within half a percent of the best bound, the shortest is shown: total / 200."""


@dataclass(frozen=True)
class Finding:
    """One interpretation: the certificate that speaks for it, if there is one, and its error terms, if they are known."""

    name: str
    result: Result | None
    fraction: float | None
    terms: ErrorTerms | None
    conclusion: str


def findings(problem: TwoInputProblem, frontier: Frontier) -> list[Finding]:
    """What is known about every interpretation, from the most to the least proved."""
    brute = next((result for result in frontier.accepted if result.strategy == BRUTE_FORCE), None)
    reasons = {strategy: misfit.reason for misfit in frontier.misfits for strategy in misfit.strategies}
    found = []
    for name, strategy in TWO_INPUT_STRATEGIES.items():
        terms = _error_terms(problem, name)
        result = _best(frontier, name)
        if result is None:
            told = f"not for this network: {reasons[name]}" if name in reasons else "not tried yet"
            found.append(Finding(name, None, None, terms, told))
            continue
        fraction = result.operations / brute.operations if brute else None
        proved = f"{floor_percent(result.correct, result.total)} at {_price(fraction)} of brute force"
        if not result.correct:
            proved = terms.conclusion if terms else f"vacuous: {strategy.summary}, but that leaves too much open"
        found.append(Finding(name, result, fraction, terms, proved))
    if not isinstance(problem.model.config, UniformAttention):
        claim = irrep_claim(problem.hidden, problem.task.table).terms
        found.append(Finding("irreps", None, None, claim, claim.conclusion))
    return sorted(found, key=lambda finding: (-(finding.result.correct if finding.result else -1), finding.fraction or 0.0))


def _error_terms(problem: TwoInputProblem, name: str) -> ErrorTerms | None:
    try:
        return TWO_INPUT_STRATEGIES[name]().error_terms(problem)
    except DoesNotFit:
        return None


def _best(frontier: Frontier, name: str) -> Result | None:
    """The shortest of a strategy's certificates within half a percent of its best bound."""
    results = [result for result in frontier.accepted if result.strategy == name]
    most = max((result.correct for result in results), default=0)
    near = [result for result in results if _WITHIN * (most - result.correct) <= result.total]
    return min(near, key=lambda result: (result.operations, result.name), default=None)


def _price(fraction: float | None) -> str:
    return "?" if fraction is None else f"{fraction:.2g}"


def findings_table(model: str, found: list[Finding]) -> Table:
    """For a terminal; `interpretations.json` and the page tell the errors one by one."""
    numbers = ("certified", "operations", "of brute force", "gap", "errors")
    table = terminal_table(f"{model}: interpretations by what they prove", ("interpretation",), numbers, ("conclusion",))
    for finding in found:
        result, terms = finding.result, finding.terms
        shown = ["-"] * 3
        if result is not None:
            shown = [
                floor_percent(result.correct, result.total),
                ceil_scientific(result.operations),
                _price(finding.fraction),
            ]
        errors = ["-"] * 2 if terms is None else [f"{terms.gap:.3g}", f"{sum(terms.errors.values()):.3g}"]
        table.add_row(finding.name, *shown, *errors, finding.conclusion)
    return table


def write_findings(found: list[Finding], mlp: MLPFindings | None, output: Path) -> None:
    """Write interpretations.json, and mlp.json if something is known about an MLP."""
    records = [
        {
            "interpretation": finding.name,
            "certificate": None if finding.result is None else f"{finding.result.name}.cert",
            "verdict": None if finding.result is None else finding.result.verdict,
            "fraction_of_brute_force": finding.fraction,
            "error_terms": None if finding.terms is None else asdict(finding.terms),
            "conclusion": finding.conclusion,
        }
        for finding in found
    ]
    write_atomically(output / "interpretations.json", json.dumps(records, indent=1).encode())
    if mlp is not None:
        write_atomically(output / "mlp.json", json.dumps(asdict(mlp), indent=1).encode())
