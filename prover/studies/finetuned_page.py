"""What fine-tuning changed, for a terminal, as JSON, and as a page (the report of `prover finetune`)."""

import json
import math
from dataclasses import asdict
from pathlib import Path
from textwrap import wrap

import plotly.graph_objects as go
from rich.table import Table

from certificates import Model
from certificates.writing import write_atomically
from prover.error_terms import ERRORS
from prover.studies.finetuned import Comparison, Side
from prover.studies.frontier_figures import COLOURS, SYMBOLS
from prover.studies.page import card, embed, page, paragraphs, styled
from prover.studies.rounding import ceil_scientific, ceil_share, floor_percent
from prover.studies.tables import html_table, terminal_table


def comparison_table(comparison: Comparison) -> Table:
    """For a terminal."""
    title = f"fine-tuned towards {comparison.strategy.name}: {comparison.stopped}"
    table = terminal_table(title, ("",), ("before", "after"))
    for row in _rows(comparison):
        table.add_row(*row)
    return table


def _rows(comparison: Comparison) -> list[tuple[str, str, str]]:
    before, after = comparison.before, comparison.after
    rows = [("certified accuracy", *(_bound(side) for side in (before, after)))]
    rows += [("operations", *(ceil_scientific(side.verdict["operations"] or 0) for side in (before, after)))]
    every = before.examples == before.verdict["total"]
    measured = "all inputs, in floating point" if every else f"{before.examples:,} random inputs"
    rows += [(f"accuracy ({measured})", *(floor_percent(side.right, side.examples) for side in (before, after)))]
    unit = "" if "gap" in before.losses else "lost by "
    for name in {**before.losses, **after.losses}:
        rows.append((unit + name, *(_loss(side, name) for side in (before, after))))
    rows.append(("distance moved, relative", "", f"{comparison.moved['all weights']:.4f}"))
    rows.append(("predictions changed", "", f"{comparison.changed:.4%}"))
    return rows


def _bound(side: Side) -> str:
    verdict = side.verdict
    return floor_percent(verdict["correct"], verdict["total"]) if verdict["accepted"] else str(verdict["reason"])


def _loss(side: Side, name: str) -> str:
    if name not in side.losses:
        return "-"
    value = side.losses[name]
    return f"{value:.3g} logits" if name in ("gap", *ERRORS) else f"{100 * value:+.3g}%"


def write_comparison(comparison: Comparison, model_name: str, model: Model, folder: Path) -> None:
    """Write finetuning.json and report.html."""
    record = {
        "strategy": comparison.strategy.name,
        "parameters": asdict(comparison.strategy),
        "before": asdict(comparison.before),
        "after": asdict(comparison.after),
        "relative_distance": comparison.moved,
        "predictions_changed": comparison.changed,
        "stopped": comparison.stopped,
        "history": [
            {name: None if isinstance(v, float) and math.isnan(v) else v for name, v in asdict(milestone).items()}
            for milestone in comparison.history
        ],
    }
    write_atomically(folder / "finetuning.json", json.dumps(record, indent=1).encode())
    total = comparison.after.verdict["total"]
    missing = [ceil_share(side.verdict["total"] - (side.verdict["correct"] or 0), total) for side in _sides(comparison)]
    content = page(
        f"{model_name}: fine-tuned",
        f"{model_name}, fine-tuned towards {comparison.strategy.name}",
        model.digest(),
        "finetuned.html",
        cards=card(_bound(comparison.before), "certified before")
        + card(_bound(comparison.after), "certified after")
        + card(f"{100 * missing[0]:.3g}% to {100 * missing[1]:.3g}%", "not certified, before and after")
        + card(f"{comparison.moved['all weights']:.3f}", "relative distance moved"),
        theorem=str(comparison.after.verdict["theorem"] or comparison.after.verdict["reason"]),
        table=html_table(("", "before", "after"), _rows(comparison), "names"),
        history=embed(_history_figure(comparison, total), "history-figure"),
        losses=_losses_part(comparison),
        moved=embed(_moved_figure(comparison), "moved-figure"),
        strategy=comparison.strategy.name,
    )
    write_atomically(folder / "report.html", content.encode())


def _losses_part(comparison: Comparison) -> str:
    if not comparison.after.losses:
        return paragraphs(f"What <code>{comparison.strategy.name}</code> simplifies is not told apart for such models.")
    text = (
        "The gap, and the errors that must stay below it."
        if _in_logits(comparison)
        else "The share of inputs that each simplification loses against the one before it, from exact proofs to cheap ones."
    )
    return embed(_losses_figure(comparison), "losses-figure") + paragraphs(text)


def _in_logits(comparison: Comparison) -> bool:
    """Whether losses are the gap and errors of a network on two inputs; else they are shares of inputs."""
    return "gap" in comparison.after.losses


def _sides(comparison: Comparison) -> tuple[Side, Side]:
    return comparison.before, comparison.after


_LABEL = 26
"""Letters in a line of a label, so that it leaves room beside it in a narrow window."""


def _history_figure(comparison: Comparison, total: int) -> go.Figure:
    history = comparison.history
    steps = [milestone.step for milestone in history]
    open_share = [max((total - milestone.correct) / total, 1e-20) for milestone in history]
    least = 10 ** (math.floor(math.log10(min([share for share in open_share if share > 1e-19] or [0.1]))) - 1)
    figure = go.Figure()
    shown = [max(share, least) for share in open_share]
    figure.add_scatter(x=steps, y=shown, name="not certified", mode="lines+markers", line_color=COLOURS[0])
    wrong = [max(1 - milestone.right / milestone.examples, least) for milestone in history]
    figure.add_scatter(x=steps, y=wrong, name="wrong on examples", mode="lines", line={"dash": "dot", "color": COLOURS[3]})
    figure.update_xaxes(title="steps", rangemode="tozero")
    figure.update_yaxes(type="log", title="share of inputs (lowest: none)", exponentformat="power", dtick=1)
    return styled(figure, 420)


def _losses_figure(comparison: Comparison) -> go.Figure:
    figure = go.Figure()
    looks = ((SYMBOLS[0], 15, COLOURS[3]), (SYMBOLS[1], 9, COLOURS[0]))
    for name, side, (symbol, size, colour) in zip(("before", "after"), _sides(comparison), looks, strict=True):
        labels = ["<br>".join(wrap(loss, _LABEL)) for loss in side.losses]
        marker = {"symbol": f"{symbol}-open", "size": size, "color": colour, "line": {"width": 2.5}}
        figure.add_scatter(y=labels, x=list(side.losses.values()), name=name, mode="markers", marker=marker)
    title, ticks = ("logits", "") if _in_logits(comparison) else ("inputs lost", ".2~%")
    figure.update_xaxes(title=title, tickformat=ticks, rangemode="tozero")
    figure.update_yaxes(autorange="reversed", automargin=True, ticklabelstandoff=8)
    return styled(figure, 140 + 64 * len(comparison.after.losses))


def _moved_figure(comparison: Comparison) -> go.Figure:
    names, changes = list(comparison.moved), list(comparison.moved.values())
    figure = go.Figure(go.Bar(y=names, x=changes, orientation="h", marker_color=COLOURS[0]))
    figure.update_xaxes(title="relative change", rangemode="tozero")
    figure.update_yaxes(autorange="reversed", automargin=True)
    return styled(figure, 120 + 34 * len(comparison.moved))
