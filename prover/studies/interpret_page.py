"""The page of `prover interpret`: self-contained, as the report of `prover frontier`."""

from html import escape
from pathlib import Path

import plotly.graph_objects as go

from certificates.writing import write_atomically
from prover.error_terms import ERRORS
from prover.strategies import BRUTE_FORCE
from prover.studies.frontier import Frontier
from prover.studies.frontier_figures import COLOURS, SYMBOLS
from prover.studies.interpret import Finding
from prover.studies.mlp_findings import MLPFindings, mlp_html
from prover.studies.page import INK, card, embed, log_axis, page, paragraphs, styled
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
        cards=_cards(found),
        theorem=_theorem(found),
        table=_table(found),
        frontier=embed(_frontier_figure(frontier), "frontier-figure"),
        mlp=_MLP.format(table=mlp_html(mlp)) if mlp else "",
        errors=_errors(found),
    )
    write_atomically(output / "report.html", content.encode())


_MLP = """<section>
<h2>What the MLP adds to the logits, as a quadrature</h2>
<div class="scroll">{table}</div>
<p class="explanation">At each primary frequency k, the MLP is proved to add A |cos(&pi; k (a &minus; b) / p)| cos(2&pi; k (a +
b &minus; z) / p) to the logit of z, on every input, up to the error, in logits. The naive bound is the same rule without a
mechanism: how much the MLP can add at all.</p>
</section>"""


def _cards(found: list[Finding]) -> str:
    proved = [finding for finding in found if finding.result and finding.result.correct and finding.name != BRUTE_FORCE]
    cards = [card(f"{len(proved)} of {len(found)}", "interpretations prove something")]
    cheapest = min(
        (f for f in proved if f.result and f.fraction is not None and f.result.correct == f.result.total),
        key=lambda finding: finding.fraction or 0.0,
        default=None,
    )
    if cheapest is not None and cheapest.fraction is not None:
        cards.append(card(f"{cheapest.fraction:.2g}", f"of brute force proves every pair ({cheapest.name})"))
    return "".join(cards)


def _theorem(found: list[Finding]) -> str:
    best = next((finding.result for finding in found if finding.result and finding.result.correct), None)
    if best is None:
        return ""
    return f'<section class="theorem"><h2>The best bound, in full</h2><p>{escape(best.verdict["theorem"])}</p></section>'


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
    """Every certificate. Marks are open, and those of later strategies smaller, so that none hides another."""
    figure = go.Figure()
    brute = [result.operations for result in frontier.accepted if result.strategy == BRUTE_FORCE]
    unit = brute[0] if brute else 1
    for number, name in enumerate(dict.fromkeys(result.strategy for result in frontier.accepted)):
        results = [result for result in frontier.accepted if result.strategy == name]
        symbol, colour = SYMBOLS[number % len(SYMBOLS)], COLOURS[number % len(COLOURS)]
        figure.add_scatter(
            x=[result.operations / unit for result in results],
            y=[100 * result.correct / result.total for result in results],
            text=[result.name for result in results],
            name=name,
            mode="markers",
            marker={"size": max(26 - 2.7 * number, 6), "symbol": f"{symbol}-open", "color": colour, "line": {"width": 2.5}},
            hovertemplate="%{text}<br>%{y:.4f}%<extra></extra>",
        )
    title = "operations, as a fraction of brute force" if brute else "operations"
    figure.update_xaxes(log_axis(result.operations / unit for result in frontier.accepted), title=title)
    figure.update_yaxes(title="certified accuracy, %", range=[-6, 106])
    return styled(figure, 480)


_NOTHING = 1e-6
"""Errors of at most so many logits are those of the search's own arithmetic."""
_ERRORS_TEXT = paragraphs(
    "All in logits, at the place that is worst for the proof; on a logarithmic scale; less than a millionth is not drawn. "
    "The proof holds for every pair if the sum of the errors is less than the gap.",
    "<em>gap</em>: by how much the true output would lead if the interpretation were exact. <em>left</em>, <em>right</em>, "
    "<em>unembedding</em>: what the interpretation does not tell of the weights that read the first and the second input, and "
    "of those that write. <em>unevenness</em>: activations that depend on more than it says, above all incomplete orbits. "
    "<em>bias</em>: of the output. <em>leftover</em>: neurons that it does not explain.",
)


def _errors(found: list[Finding]) -> str:
    known = [finding for finding in found if finding.terms is not None]
    if not known:
        return paragraphs("No interpretation that fits this network has error terms.")
    return embed(_errors_figure(known), "errors-figure") + _ERRORS_TEXT


def _errors_figure(known: list[Finding]) -> go.Figure:
    figure = go.Figure()
    rows = [(finding.name, finding.terms) for finding in known if finding.terms is not None]
    parts = {error: [(name, terms.errors[error]) for name, terms in rows] for error in ERRORS}
    parts["sum of the errors"] = [(name, sum(terms.errors.values())) for name, terms in rows]
    for number, (error, values) in enumerate(parts.items()):
        shown = [(name, value) for name, value in values if value > _NOTHING]
        symbol, colour = SYMBOLS[number % len(SYMBOLS)], COLOURS[number % len(COLOURS)]
        size = {"symbol": "x-open", "size": 15} if number == len(ERRORS) else {"symbol": f"{symbol}-open", "size": 13}
        figure.add_scatter(
            y=[name for name, _ in shown],
            x=[value for _, value in shown],
            name=error,
            mode="markers",
            marker={**size, "color": INK if number == len(ERRORS) else colour, "line": {"width": 2.5}},
            hovertemplate=f"{error}: %{{x:.3g}}<extra></extra>",
        )
    marker = {"symbol": "line-ns-open", "size": 34, "color": INK, "line": {"width": 3}}
    gaps = [(name, terms.gap) for name, terms in rows if terms.gap > 0]
    figure.add_scatter(
        y=[name for name, _ in gaps],
        x=[gap for _, gap in gaps],
        name="gap",
        mode="markers",
        marker=marker,
        hovertemplate="gap: %{x:.3g}<extra></extra>",
    )
    figure.update_xaxes(log_axis(value for trace in figure.data for value in trace.x), title="logits")
    return styled(figure, 230 + 70 * len(known))
