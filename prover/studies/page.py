"""What all report pages share: one self-contained file each, which loads nothing, and whose policy forbids it to.

What is large, the plotting library and what it plots, is compressed; the browser unpacks it.
"""

import base64
import gzip
import json
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

INK = "#1f2933"


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
    font, hover = {"family": family, "size": 13, "color": INK}, {"align": "left"}
    return figure.update_layout(
        template="plotly_white", height=height, font=font, margin={"t": 20}, hoverlabel=hover, modebar={"orientation": "v"}
    ).update_layout(**layout)


def paragraphs(*texts: str) -> str:
    """Explanations."""
    return "".join(f'<p class="explanation">{text}</p>' for text in texts)


def card(number: str, label: str) -> str:
    """A number that matters, and what it is."""
    return f'<div class="card"><b>{number}</b><span>{escape(label)}</span></div>'
