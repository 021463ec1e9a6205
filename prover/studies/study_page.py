"""The report of `prover study`: means and quantiles over many models, as one page."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

import plotly.graph_objects as go

from certificates.writing import write_atomically
from prover.studies.frontier_figures import Published, strategy_marker
from prover.studies.page import INK, card, embed, log_axis, page, paragraphs, styled
from prover.studies.rounding import ceil_scientific, floor_share
from prover.studies.summary import Summary, summary_table
from prover.studies.tables import html_table, table_content


def write_study_page(found: Summary, name: str, published: Sequence[Published], output: Path) -> None:
    """Write report.html. published: points of others, about models like these."""
    content = page(
        f"{name}: a study",
        f"{name}: what is proved about {len(found.models)} models",
        "",
        "study.html",
        models=str(len(found.models)),
        cards=_cards(found),
        budget_figure=embed(_budget_figure(found, published), "budget-figure"),
        published_text=_published_text(published),
        settings_figure=embed(_settings_figure(found), "settings-figure"),
        table=html_table(*table_content(summary_table(found)), "names"),
        published_table=_published_table(published),
    )
    write_atomically(output / "report.html", content.encode())


def _cards(found: Summary) -> str:
    cards = [
        card(str(len(found.models)), "models"),
        card(str(sum(one.parameters is not None for one in found.settings)), "settings"),
    ]
    if found.missing:
        cards.append(card(str(found.missing), "runs not done yet"))
    if found.budgets:
        last = found.budgets[-1]
        cards.append(card(floor_share(last.bound.mean), "mean of the best bound of each model"))
    return "".join(cards)


def _budget_figure(found: Summary, published: Sequence[Published]) -> go.Figure:
    figure = go.Figure()
    lengths = [budget.operations for budget in found.budgets]
    low, high = ([budget.bound.quantiles[part] for budget in found.budgets] for part in ("5%", "95%"))
    figure.add_scatter(x=lengths, y=high, mode="lines", line={"width": 0, "shape": "hv"}, showlegend=False, hoverinfo="skip")
    figure.add_scatter(
        x=lengths,
        y=low,
        mode="lines",
        line={"width": 0, "shape": "hv"},
        fill="tonexty",
        fillcolor="rgba(0, 114, 178, 0.18)",
        name="5% to 95% of the models",
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=lengths,
        y=[budget.bound.mean for budget in found.budgets],
        text=[f"{floor_share(b.bound.mean)} within {ceil_scientific(b.operations)} operations" for b in found.budgets],
        hovertemplate="%{text}<extra></extra>",
        mode="lines",
        line={"width": 2.5, "shape": "hv", "color": "#0072b2"},
        name="mean of the best bounds",
    )
    if published:
        figure.add_scatter(
            x=[point.operations for point in published],
            y=[point.bound for point in published],
            text=[f"  {point.label}  " for point in published],
            textposition=[point.text_position for point in published],
            mode="markers+text",
            marker={"symbol": "diamond-open", "size": 11, "color": INK, "line": {"width": 2}},
            name="published (Gross et al. 2024)",
            hovertemplate="published%{text}%{y:.2%}<extra></extra>",
        )
    return _axes(figure)


def _settings_figure(found: Summary) -> go.Figure:
    figure = go.Figure()
    for strategy in dict.fromkeys(one.strategy for one in found.settings):
        shown = [one for one in found.settings if one.strategy == strategy and one.bound and one.operations]
        figure.add_scatter(
            x=[one.operations.mean for one in shown if one.operations],
            y=[one.bound.mean for one in shown if one.bound],
            error_y={"array": [one.bound.deviation for one in shown if one.bound], "thickness": 1},
            text=[f"{escape(one.name)}<br>{floor_share(one.bound.mean)}" for one in shown if one.bound],
            hovertemplate="%{text}<extra></extra>",
            mode="markers",
            marker=strategy_marker(strategy, 10),
            name=strategy,
        )
    return _axes(figure)


def _axes(figure: go.Figure) -> go.Figure:
    figure.update_xaxes(log_axis(length for trace in figure.data for length in trace.x), title="operations")
    figure.update_yaxes(title="certified accuracy", tickformat=".0%", range=[-0.03, 1.05])
    return styled(figure, 480, showlegend=True)


def _published_text(published: Sequence[Published]) -> str:
    if not published:
        return ""
    return paragraphs(
        "Diamonds: published proofs for such models (Gross et al., NeurIPS 2024: means over 151 models, in float32)."
    )


def _published_table(published: Sequence[Published]) -> str:
    if not published:
        return ""
    rows = [
        (p.label, f"{100 * p.bound:.2f}%", *(ceil_scientific(int(n)) for n in (p.operations, p.unexplained_dimension)))
        for p in published
    ]
    table = html_table(("proof", "bound, mean", "operations", "unexplained dim."), rows)
    return f'<h2>Published</h2><div class="scroll">{table}</div>'
