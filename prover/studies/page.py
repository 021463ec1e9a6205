"""What all report pages share: one self-contained file each, which loads nothing, and whose policy forbids it to.

What is large, the plotting library and what it plots, is compressed; the browser unpacks it.
"""

import base64
import gzip
import json
import math
from collections.abc import Iterable
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

INK, PAPER, GRID = "#1f2933", "#ffffff", "#dfe4ea"
SCALE = ("#eef3f8", "#a9cbe4", "#4a98c9", "#1f5a94", "#0b1f3f")
"""Colours by day, from none to all; page.html knows what each of these becomes by night."""


def page(title: str, heading: str, digest: str, body: str, **parts: str) -> str:
    """The whole page: the frame of page.html around the file `body`, in which $names stand for `parts` (both HTML)."""
    frame, inner = (Template(Path(__file__).with_name(name).read_text(encoding="utf-8")) for name in ("page.html", body))
    return frame.substitute(
        title=escape(title),
        heading=escape(heading),
        digest=f"model SHA-256 {digest}" if digest else "",
        plotly=packed(get_plotlyjs()),
        body=inner.substitute(parts),
    )


def packed(text: str) -> str:
    """For `unpacked` of page.html: gzip in base64."""
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def embed(figure: go.Figure, name: str) -> str:
    """A figure as HTML: its place, and the call of page.html's `draw` that fills it."""
    options: dict[str, Any] = {
        "displaylogo": False,
        "responsive": True,
        "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
    }
    place = f'<div id="{name}" class="figure" style="height: {figure.layout.height}px"></div>'
    return f'{place}\n<script>draw("{name}", "{packed(str(figure.to_json()))}", {json.dumps(options)});</script>'


def styled(figure: go.Figure, height: int, **layout: Any) -> go.Figure:
    """The look that figures of all pages share, and what else the layout needs; buttons stand beside the plot, not above it."""
    family = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"
    look: dict[str, Any] = {
        "font": {"family": family, "size": 13, "color": INK},
        "hoverlabel": {"align": "left"},
        "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0},
        "margin": {"l": 70, "r": 30, "t": 20, "b": 60},
        "modebar": {"orientation": "v"},
    }
    figure.update_layout(template="plotly_white", height=height, paper_bgcolor=PAPER, plot_bgcolor=PAPER, **look)
    for axes in (figure.update_xaxes, figure.update_yaxes):
        axes(gridcolor=GRID, zerolinecolor=GRID, title_font_size=14)
    return figure.update_layout(**layout)


def log_axis(values: Iterable[float]) -> dict[str, Any]:
    """An axis for positive values. A short one has ticks at one, two and five times a power of ten, and ends at such."""
    positive = [value for value in values if value > 0] or [1.0]
    lowest, highest = min(positive), max(positive)
    if highest > 100 * lowest:
        return {"type": "log", "exponentformat": "power", "dtick": 1 if highest < 10**6 * lowest else 2}
    powers = range(math.floor(math.log10(lowest)) - 1, math.ceil(math.log10(highest)) + 1)
    ticks = {step * 10.0**power: f"{step}e{power}" for power in powers for step in (1, 2, 5)}
    low = max(tick for tick in ticks if tick < lowest)
    high = min(tick for tick in ticks if tick > highest)
    shown = [tick for tick in ticks if low <= tick <= high]
    texts = [f"{tick:g}" if 0.001 <= tick < 10**5 else ticks[tick] for tick in shown]
    return {"type": "log", "tickvals": shown, "ticktext": texts, "range": [math.log10(low), math.log10(high)]}


def paragraphs(*texts: str) -> str:
    """Explanations."""
    return "".join(f'<p class="explanation">{text}</p>' for text in texts)


def card(number: str, label: str) -> str:
    """A number that matters, and what it is."""
    return f'<div class="card"><b>{number}</b><span>{escape(label)}</span></div>'
