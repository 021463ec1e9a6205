"""The report's figures (Plotly). Every strategy has one colour in all of them; texts round bounds down and costs up."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from certificates import AttentionOnly, Model
from prover.strategies import BRUTE_FORCE, SEQUENCE_STRATEGIES
from prover.studies.frontier import Frontier
from prover.studies.page import INK, PAPER, SCALE, log_axis, styled
from prover.studies.rounding import ceil_percent, ceil_scientific, floor_percent
from prover.studies.runs import Result

COLOURS = ("#0072b2", "#009e73", "#e69f00", "#d55e00", "#cc79a7", "#56b4e9", "#9467bd", "#8c6d31", "#bcbd22", "#17becf")
SYMBOLS = ("circle", "square", "triangle-up", "pentagon", "hexagon2")
"""Colours that colour-blind people can tell apart, and symbols beside them."""
_BASELINE_COLOUR = "#9aa0a6"
BASELINE = "sampling"
"""The naive baseline: certify what was enumerated."""


@dataclass(frozen=True)
class Published:
    """A published proof: means over 151 models, in float32, without certificates."""

    label: str
    operations: float
    unexplained_dimension: float
    bound: float
    text_position: str


PUBLISHED = (
    Published("brute force", 1.41e11, 1.07e9, 0.9992, "bottom left"),
    Published("cubic", 3.51e7, 1.28e4, 0.9531, "bottom right"),
    Published("sub-cubic", 4.68e6, 4.42e3, 0.2841, "top right"),
)
"""Gross et al. (NeurIPS 2024), Max-of-4 over 64 tokens."""

STAGES: tuple[tuple[str, str, dict[str, int]], ...] = (
    ("every correct input", "exact", {}),
    ("inputs counted in classes,<br>positions at their worst", "classes", {}),
    ("all rivals at their worst<br>at once, tokens<br>sorted by harm", "classes", {"fine": 0}),
    ("tokens up to thresholds,<br>not sorted by harm", "pessimized", {}),
    ("position and token at<br>their worst separately", "pessimized", {"joint": 0}),
    ("one threshold<br>instead of a chain", "pessimized", {"joint": 0, "levels": 1}),
)
"""From the most exact strategy to the cheapest: what each one simplifies, its name, its parameters (others: defaults)."""

OWN_STAGES: tuple[tuple[str, str, dict[str, int]], ...] = (
    ("every correct input", "enumerate", {}),
    ("small boxes of what<br>heads read, cut where<br>they are not proved", "regions", {}),
    ("boxes that are not cut", "regions", {"cuts": 0}),
    ("larger boxes", "regions", {"cuts": 0, "fine": 6}),
    ("sums over tokens,<br>told apart by what<br>they add up to", "potentials", {"linear": 0, "fine": 4}),
    ("potentials linear<br>in one number", "potentials", {}),
    ("pairs of neighbours,<br>the last pair known", "pair-tables", {"before": 1}),
    ("of the last pair only<br>the last token known", "pair-tables", {}),
)
"""The same for tasks of one's own; strategies for different models, so that a report has few of them."""


def published_for(model: Model) -> tuple[Published, ...]:
    """The published points, if they are about models like this one."""
    config = model.config
    alike = isinstance(config, AttentionOnly) and (config.d_vocab, config.n_ctx, model.task) == (64, 4, {"name": "max-of-k"})
    return PUBLISHED if alike else ()


def missing_text(result: Result) -> str:
    """The share of inputs that a proof leaves open, in percent, rounded up."""
    return ceil_percent(result.total - result.correct, result.total)


# --- bound against the length of the proof, and against unexplained dimension -------------------------------------------


def frontier_figure(frontier: Frontier) -> go.Figure:
    """Operations against the bound, with the Pareto frontier and the naive baseline."""
    published = published_for(frontier.model)
    figure = _two_scales(frontier.accepted, published, _operations, lambda p: p.operations)
    longest = max([p.operations for p in published] + [result.operations for result in frontier.accepted], default=1)
    _add_lines(figure, frontier, 3 * longest)
    figure.update_xaxes(title="operations: length of the proof", row=2)
    return _with_both_ranges(figure, [result.operations for result in frontier.accepted if result.strategy != BRUTE_FORCE])


def dimension_figure(frontier: Frontier) -> go.Figure:
    """Unexplained dimension against the bound, without the baseline, which has no explanation to measure."""
    results = [result for result in frontier.accepted if result.strategy != BASELINE]
    figure = _two_scales(results, published_for(frontier.model), _unexplained, lambda p: p.unexplained_dimension)
    figure.update_xaxes(title="unexplained dimension", row=2)
    return _with_both_ranges(figure, [_unexplained(result) for result in results if result.strategy != BRUTE_FORCE])


def _with_both_ranges(figure: go.Figure, lengths: Sequence[int]) -> go.Figure:
    """Two buttons: everything, or closer, without what is published and brute force, which may lie far to the right."""
    if not lengths:
        return figure
    closer = [math.log10(max(min(lengths), 1)) - 0.1, math.log10(max(*lengths, 1)) + 0.1]
    axes, whole = ("xaxis", "xaxis2"), figure.layout.xaxis.range
    changes = (
        ("closer", {f"{axis}.range": closer for axis in axes}),
        ("everything", {f"{axis}.{'range' if whole else 'autorange'}": whole or True for axis in axes}),
    )
    buttons = [{"label": label, "method": "relayout", "args": [change]} for label, change in changes]
    menu = {"type": "buttons", "direction": "right", "buttons": buttons, "showactive": False, "pad": {"t": 60}}
    look = {"bgcolor": PAPER, "bordercolor": _BASELINE_COLOUR}
    figure.update_layout(updatemenus=[{**menu, **look, "x": 1, "xanchor": "right", "y": 0, "yanchor": "top"}])
    return figure.update_layout(margin_b=100)


def _operations(result: Result) -> int:
    return result.operations


def _unexplained(result: Result) -> int:
    return int(result.verdict["unexplained_dimension"])


@dataclass(frozen=True)
class _Panel:
    """One of the two panels: its row, and where the log scale of the upper one shows that nothing is missing."""

    row: int
    nothing: float

    def height(self, missing: float) -> float:
        """Where a share of missing inputs is drawn: as it is in the upper panel, as a bound in the lower one."""
        return max(missing, self.nothing) if self.row == 1 else 1 - missing


def _two_panels(results: Iterable[Result], published: Iterable[Published]) -> tuple[_Panel, _Panel]:
    shares = [1 - p.bound for p in published] + [_missing(result) for result in results]
    lowest = math.floor(math.log10(min((share for share in shares if share > 0), default=0.1)))
    nothing = 10 ** (lowest - 1.0)
    return _Panel(1, nothing), _Panel(2, nothing)


def _two_scales(
    results: Sequence[Result],
    published: Sequence[Published],
    x_of: Callable[[Result], float],
    x_of_published: Callable[[Published], float],
) -> go.Figure:
    """The bound on a log scale of what is missing (above), and on a linear scale (below)."""
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.06, row_heights=[0.55, 0.45])
    panels = _two_panels(results, published)
    for panel in panels:
        for name in _strategies(results):
            chosen = [result for result in results if result.strategy == name]
            _add(figure, panel, name, chosen, x_of, mode="markers", marker=strategy_marker(name, 11))
        for point in published:
            _add_published(figure, panel, point, x_of_published(point))
    last = round(math.log10(panels[0].nothing))
    perfect = any(result.correct == result.total for result in results)
    figure.update_yaxes(
        type="log",
        range=[0.2, last - 0.25 if perfect else last + 0.7],
        tickvals=[10.0**power for power in range(0, last - 1, -1)],
        ticktext=[*(f"{10.0 ** (power + 2):g}%" for power in range(0, last, -1)), "nothing"],
        title="not certified (log scale)",
        row=1,
    )
    figure.update_yaxes(range=[-0.04, 1.06], tickformat=".0%", title="certified accuracy", row=2)
    figure.update_xaxes(log_axis([*map(x_of, results), *map(x_of_published, published)]))
    return styled(figure, 720)


def _add_lines(figure: go.Figure, frontier: Frontier, right: float) -> None:
    """The frontier, up to x = right, and the naive baseline."""
    naive = sorted((r for r in frontier.accepted if r.strategy in (BASELINE, BRUTE_FORCE)), key=_operations)
    best = frontier.best
    for panel in _two_panels(frontier.accepted, published_for(frontier.model)):
        if any(result.strategy == BASELINE for result in naive):
            style = {"dash": "dot", "width": 2, "color": _BASELINE_COLOUR}
            name = "naive baseline: enumerate"
            _add(figure, panel, name, naive, _operations, mode="lines", line=style, hoverinfo="skip")
        if best:
            figure.add_scatter(
                x=[*map(_operations, best), right],
                y=[panel.height(_missing(result)) for result in (*best, best[-1])],
                mode="lines",
                line={"shape": "hv", "width": 1.5, "color": INK},
                name="the frontier",
                legendgroup="the frontier",
                showlegend=panel.row == 1,
                hoverinfo="skip",
                zorder=-1,
                row=panel.row,
                col=1,
            )


def _add(
    figure: go.Figure, panel: _Panel, name: str, results: Sequence[Result], x_of: Callable[[Result], float], **style: Any
) -> None:
    hover = {} if "hoverinfo" in style else {"text": list(map(_hover, results)), "hovertemplate": "%{text}<extra></extra>"}
    figure.add_scatter(
        x=list(map(x_of, results)),
        y=[panel.height(_missing(result)) for result in results],
        name=name,
        legendgroup=name,
        showlegend=panel.row == 1,
        row=panel.row,
        col=1,
        **hover,
        **style,
    )


def _add_published(figure: go.Figure, panel: _Panel, point: Published, x: float) -> None:
    figure.add_scatter(
        x=[x],
        y=[panel.height(1 - point.bound)],
        mode="markers+text",
        marker={"symbol": "diamond-open", "size": 11, "color": INK, "line": {"width": 2}},
        text=[f"  published: {point.label}  "],
        textposition=point.text_position,
        textfont={"color": INK, "size": 12},
        cliponaxis=False,
        name="published (Gross et al. 2024)",
        legendgroup="published",
        showlegend=panel.row == 1 and point is PUBLISHED[0],
        hovertemplate=f"published {point.label}: {100 * point.bound:.2f}%<extra></extra>",
        row=panel.row,
        col=1,
    )


def _strategies(results: Iterable[Result]) -> list[str]:
    present = {result.strategy for result in results}
    return [name for name in SEQUENCE_STRATEGIES if name in present] + sorted(present - set(SEQUENCE_STRATEGIES))


def strategy_colour(name: str) -> str:
    """The colour of a strategy in all figures and the table."""
    return _BASELINE_COLOUR if name == BASELINE else COLOURS[_number(name) % len(COLOURS)]


def _number(name: str) -> int:
    names = [known for known in SEQUENCE_STRATEGIES if known != BASELINE]
    return names.index(name) if name in names else len(names)


def strategy_marker(name: str, size: int) -> dict[str, Any]:
    """Its symbol in its colour."""
    symbol = "x-thin" if name == BASELINE else SYMBOLS[_number(name) % len(SYMBOLS)]
    colour = strategy_colour(name)
    line = {"width": 2 if name == BASELINE else 1, "color": colour if name == BASELINE else PAPER}
    return {"symbol": symbol, "size": size, "color": colour, "line": line}


def _missing(result: Result) -> float:
    return (result.total - result.correct) / result.total


def _hover(result: Result) -> str:
    lines = (
        f"<b>{result.name}</b>",
        f"certified: {floor_percent(result.correct, result.total)} (missing {missing_text(result)})",
        f"operations: {ceil_scientific(result.operations)}",
        f"unexplained dimension: {result.verdict['unexplained_dimension']:,}",
        f"certificate: {result.verdict['certificate_bytes']:,} bytes, checked in {result.verdict['seconds']} s",
    )
    return "<br>".join(lines)


# --- where accuracy is lost -----------------------------------------------------------------------------------------------


def stages_for(frontier: Frontier) -> tuple[tuple[str, str, dict[str, int]], ...]:
    """Those for its task."""
    return STAGES if frontier.is_about_order else OWN_STAGES


def staged_results(frontier: Frontier) -> list[tuple[str, Result]]:
    """The stages that were run, with their labels."""
    found = []
    for label, name, parameters in stages_for(frontier):
        wanted = {**asdict(SEQUENCE_STRATEGIES[name]()), **parameters}
        found += [(label, r) for r in frontier.accepted if r.strategy == name and r.parameters == wanted]
    return found


def waterfall_figure(stages: Sequence[tuple[str, Result]]) -> go.Figure:
    """What each simplification adds to the share of inputs not certified. At least two stages."""
    results = [result for _, result in stages]
    changes = [_missing(results[0])] + [_missing(b) - _missing(a) for a, b in pairwise(results)]
    labels = [f"<b>{r.strategy}</b> ({ceil_scientific(r.operations)})<br>{label}" for label, r in stages]
    texts = [missing_text(results[0]), *(f"{100 * change:+.3g}%" for change in changes[1:]), missing_text(results[-1])]
    figure = go.Figure(
        go.Waterfall(
            orientation="h",
            y=[*labels, f"<b>in all, by<br>{results[-1].strategy}</b>"],
            x=[*changes, None],
            measure=["absolute", *["relative"] * (len(results) - 1), "total"],
            text=texts,
            textposition="outside",
            cliponaxis=False,
            increasing={"marker": {"color": COLOURS[3]}},
            decreasing={"marker": {"color": COLOURS[1]}},
            totals={"marker": {"color": COLOURS[0]}},
            connector={"line": {"color": _BASELINE_COLOUR, "width": 1}},
            hovertemplate="%{text}<extra></extra>",
        )
    )
    figure.update_yaxes(autorange="reversed", automargin=True, ticklabelstandoff=8)
    ceiling = 1.4 * max(*map(_missing, results), 1e-9)
    figure.update_xaxes(tickformat=".2~%", title="not certified", range=[0, ceiling], nticks=6)
    return styled(figure, 130 + 75 * (len(results) + 1))


def cells_figure(true_output: str) -> go.Figure:
    """An empty heat map over (query, true output); the page fills it with the certificate that is chosen."""
    powers = (-4, -2, 0)
    bar = {"title": {"text": "not certified", "side": "top"}, "orientation": "h", "thickness": 14, "y": 1, "yanchor": "bottom"}
    figure = go.Figure(
        go.Heatmap(
            zmin=-5,
            zmax=0,
            colorscale=list(zip((0, 0.25, 0.5, 0.75, 1), SCALE, strict=True)),
            colorbar={"tickvals": powers, "ticktext": [f"{10.0 ** (power + 2):g}%" for power in powers], **bar},
            hovertemplate="query %{x}, " + true_output + " %{y}<br>not certified: %{customdata}<extra></extra>",
            hoverongaps=False,
        )
    )
    figure.update_xaxes(title="query (last token)", constrain="domain", showgrid=False, zeroline=False)
    figure.update_yaxes(title=true_output, scaleanchor="x", constrain="domain", constraintoward="top")
    figure.update_yaxes(showgrid=False, zeroline=False)
    return styled(figure, 620)
