"""The page of `prover interpret`: self-contained, as the report of `prover frontier`."""

from pathlib import Path

import plotly.graph_objects as go

from certificates.writing import write_atomically
from prover.error_terms import ERRORS
from prover.strategies import BRUTE_FORCE
from prover.studies.frontier import Frontier
from prover.studies.interpret import Finding
from prover.studies.mlp_findings import MLPFindings, mlp_html
from prover.studies.page import embed, page, styled
from prover.studies.rounding import ceil_scientific, floor_percent
from prover.studies.tables import html_table

_HEADINGS = ("interpretation", "certified", "operations", "of brute force", "gap", "errors", "conclusion")


def write_page(frontier: Frontier, found: list[Finding], mlp: MLPFindings | None, output: Path) -> None:
    """Write report.html."""
    content = page(
        f"{frontier.model_name}: interpretations",
        f"What interpretations of {frontier.model_name} prove",
        frontier.model.digest(),
        "interpret.html",
        table=_table(found),
        frontier=embed(_frontier_figure(frontier), "frontier-figure"),
        mlp=mlp_html(mlp),
        errors=embed(_errors_figure(found), "errors-figure"),
    )
    write_atomically(output / "report.html", content.encode())


def _table(found: list[Finding]) -> str:
    rows = []
    for finding in found:
        result, terms = finding.result, finding.terms
        cells = [finding.name, "-", "-", "-", "-", "-", finding.conclusion]
        if result is not None:
            cells[1:3] = floor_percent(result.correct, result.total), ceil_scientific(result.operations)
            cells[3] = f"{finding.fraction:.2g}" if finding.fraction is not None else "-"
        if terms is not None:
            cells[4:6] = f"{terms.gap:.3g}", f"{sum(terms.errors.values()):.3g}"
        rows.append(cells)
    return html_table(_HEADINGS, rows, "prose")


def _frontier_figure(frontier: Frontier) -> go.Figure:
    figure = go.Figure()
    brute = [result.operations for result in frontier.accepted if result.strategy == BRUTE_FORCE]
    unit = brute[0] if brute else 1
    for name in dict.fromkeys(result.strategy for result in frontier.accepted):
        results = [result for result in frontier.accepted if result.strategy == name]
        figure.add_scatter(
            x=[result.operations / unit for result in results],
            y=[100 * result.correct / result.total for result in results],
            text=[result.name for result in results],
            name=name,
            mode="markers",
            marker={"size": 11},
        )
    figure.update_xaxes(type="log", title="operations, as a fraction of brute force" if brute else "operations")
    figure.update_yaxes(title="certified accuracy, %", range=[-3, 103])
    return styled(figure, 460)


def _errors_figure(found: list[Finding]) -> go.Figure:
    known = [finding for finding in found if finding.terms is not None]
    names = [finding.name for finding in known]
    figure = go.Figure()
    for error in ERRORS:
        figure.add_bar(
            y=names, x=[finding.terms.errors[error] for finding in known if finding.terms], name=error, orientation="h"
        )
    gaps = [finding.terms.gap for finding in known if finding.terms]
    marker = {"symbol": "line-ns-open", "size": 28, "color": "black"}
    figure.add_scatter(y=names, x=gaps, name="gap", mode="markers", marker=marker)
    figure.update_xaxes(title="logits")
    return styled(figure, 120 + 70 * len(known), barmode="stack")
