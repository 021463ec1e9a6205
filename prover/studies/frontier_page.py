"""The report of `prover frontier`: one page about one model's frontier."""

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

import numpy as np

from certificates.writing import write_atomically
from prover.attention.cells import by_token, cell_totals
from prover.studies.frontier import Frontier
from prover.studies.frontier_figures import (
    BASELINE,
    cells_figure,
    dimension_figure,
    frontier_figure,
    missing_text,
    published_for,
    staged_results,
    stages_for,
    strategy_colour,
    waterfall_figure,
)
from prover.studies.page import card, embed, packed, page, paragraphs
from prover.studies.rounding import ceil_scientific, ceil_share, floor_percent
from prover.studies.runs import Result

_MOST_CELLS = 96
"""A heat map has at most this many rows; more tokens are merged into ranges."""
_TARGETS = (90, 95, 99)
_ORDINALS = {2: "second", 3: "third"}


def write_report(frontier: Frontier, output: Path) -> None:
    """Write report.html."""
    write_atomically(output / "report.html", report_page(frontier).encode())


def report_page(frontier: Frontier) -> str:
    """The whole page as HTML."""
    return page(
        f"{frontier.model_name}: compact proofs",
        f"What can be proved about {frontier.model_name}",
        frontier.model.digest(),
        "frontier.html",
        theorem=_theorem(frontier),
        frontier_figure=embed(frontier_figure(frontier), "frontier-figure"),
        naive_text=_NAIVE_TEXT if any(result.strategy == BASELINE for result in frontier.accepted) else "",
        published_text=_PUBLISHED_TEXT if published_for(frontier.model) else "",
        dimension_figure=embed(dimension_figure(frontier), "dimension-figure"),
        waterfall=_waterfall(frontier),
        cells=_cells(frontier),
        table=_table(frontier),
        misfits=_misfits(frontier),
        cell_data=packed(json.dumps(_cell_data(frontier), separators=(",", ":"))),
    )


def _task(frontier: Frontier) -> str:
    """What the model should do, in words."""
    config, automaton = frontier.model.config, frontier.automaton
    if frontier.is_about_order:
        return f"name the {_true_output(frontier)} of {config.n_ctx} tokens out of {config.d_vocab}"
    if automaton is None:
        return f"sort lists of {config.n_ctx // 2} out of {config.d_vocab - 1} numbers"
    reads = len(automaton.reads)
    where = "at the end" if reads == 1 else f"at {reads} positions"
    return (
        f"give the right outputs, {where}, for {automaton.count():,} sequences of {config.n_ctx} tokens out of "
        f"{config.d_vocab}, as the automaton says that has digest {automaton.digest[:12]}.."
    )


def _true_output(frontier: Frontier) -> str:
    """What the model should name, in words."""
    task = frontier.task
    if task.rank > 1:
        return f"{_ORDINALS.get(task.rank, f'{task.rank}th')} largest"
    return "minimum" if task.reverse else "maximum"


# --- the head of the page --------------------------------------------------------------------------------------------------


def _theorem(frontier: Frontier) -> str:
    task = _task(frontier)
    if not frontier.best:
        return f"<section><p>No certificate was accepted. The task: to {task}.</p></section>"
    best = frontier.best[-1]
    cards = [card(floor_percent(best.correct, best.total), f"best certified accuracy ({best.name})")]
    for target in _TARGETS:
        enough = [result for result in frontier.best if 100 * result.correct >= target * result.total]
        if enough:
            cards.append(card(ceil_scientific(enough[0].operations), f"operations prove {target}% ({enough[0].name})"))
    introduction = (
        f"This transformer should {task}. Every point below is a <em>theorem</em> about its accuracy on all "
        f"{best.total:,} inputs: a certificate file that a small program without floating point has checked. A proof may be "
        "as long as running the model on every input; proofs that use what the model does inside are shorter, and what they "
        "still prove measures how well the mechanism was understood."
    )
    return (
        f'<div class="cards">{"".join(cards)}</div><p>{introduction}</p>'
        f'<section class="theorem"><h2>The best bound, in full</h2><p>{escape(best.verdict["theorem"])}</p></section>'
    )


# --- figures and their explanations -------------------------------------------------------------------------------------------


_NAIVE_TEXT = paragraphs(
    "The dotted line is the proof without any understanding: enumerate some inputs (<code>sampling</code>), at the end all of "
    "them (<code>brute-force</code>, if that is possible), and claim nothing about the rest. The distance from it is what the "
    "mechanism is worth."
)
_PUBLISHED_TEXT = paragraphs(
    "Diamonds: published proofs for models of this size (Gross et al., NeurIPS 2024: means over 151 models, in float32, "
    "without certificates)."
)


def _waterfall(frontier: Frontier) -> str:
    stages = staged_results(frontier)
    if len(stages) < 2:
        names = ", ".join(f"<code>{name}</code>" for name in dict.fromkeys(name for _, name, _ in stages_for(frontier)))
        return paragraphs(f"This figure compares {names}; fewer than two of them have results here.")
    first, last = stages[0][1], stages[-1][1]
    if all(result.correct == result.total for _, result in stages):
        return paragraphs(f"From <code>{first.strategy}</code> to <code>{last.strategy}</code>, all prove every input.")
    return embed(waterfall_figure(stages), "waterfall-figure") + paragraphs(
        "Cheap proofs simplify, and every simplification costs some inputs: the model may well get them right, but the proof "
        "can no longer tell. From top to bottom, the proofs become shorter. The first bar is what "
        f"<code>{first.strategy}</code>, the most exact one, leaves open (among it the model's real mistakes); each further "
        f"bar is what one more simplification adds; the last is what <code>{last.strategy}</code> leaves open in total. A "
        "long bar is where a sharper idea of the mechanism would pay most. In brackets: operations."
    )


def _cells(frontier: Frontier) -> str:
    best = {result.name for result in frontier.best}
    known = [result for result in frontier.accepted if result.cells is not None]
    if not frontier.is_about_order:
        return paragraphs(
            "Of a task of one's own, <code>prover attack --regions</code> lists what <code>regions</code> does not prove, and "
            "<code>checker covers</code> tells of single inputs whether a certificate proves them."
        )
    if not known:
        return paragraphs("No certificate here has counts by query and true output.")
    chosen = _shown_first(frontier, known)

    def options(on_frontier: bool) -> str:
        return "".join(
            f'<option value="{escape(r.name)}"{" selected" if r is chosen else ""}>'
            f"{escape(r.name)}: {floor_percent(r.correct, r.total)} at {ceil_scientific(r.operations)} operations</option>"
            for r in known
            if (r.name in best) == on_frontier
        )

    groups = f'<optgroup label="on the frontier">{options(True)}</optgroup><optgroup label="others">{options(False)}</optgroup>'
    picker = f'<label>Certificate: <select id="choose-certificate">{groups}</select></label>'
    figure = embed(cells_figure(_true_output(frontier)), "cells-figure")
    return f'{picker}<div class="beside"><div>{figure}</div><div>{_cells_text(_true_output(frontier))}</div></div>'


def _cells_text(true_output: str) -> str:
    heavy = {
        "maximum": ": large maxima have far more inputs than small ones, so a strong row at the bottom costs little",
        "minimum": ": small minima have far more inputs than large ones, so a strong row at the top costs little",
    }
    return paragraphs(
        f"The model attends from the last token, the <em>query</em>, and should answer with the <em>{true_output}</em> of all "
        "tokens. Each square holds all inputs with one query and one true output; the stronger its colour, the more of them "
        "the chosen proof does not certify (logarithmic, rounded up). Where there is no square there are no inputs.",
        f"Squares are not equally heavy{heavy.get(true_output, '')}. Strong columns are queries whose attention is not sharp "
        "enough for the proof; strong rows are outputs that it cannot tell from others.",
    )


def _shown_first(frontier: Frontier, known: Sequence[Result]) -> Result:
    """The cheapest proof on the frontier of at least half of the inputs: that is where there is something to see."""
    names = {result.name for result in frontier.best if 2 * result.correct >= result.total}
    return next((result for result in reversed(known) if result.name in names), known[0])


def _ranges(size: int) -> list[tuple[int, int]]:
    """At most _MOST_CELLS ranges [start, stop) of tokens, of nearly equal length."""
    width = -(-size // _MOST_CELLS)
    return [(start, min(start + width, size)) for start in range(0, size, width)]


def _merged(cells: np.ndarray) -> list[list[int]]:
    """Counts "m q", summed over ranges of tokens, rows by true output."""
    starts = [start for start, _ in _ranges(len(cells))]
    merged: list[list[int]] = np.add.reduceat(np.add.reduceat(cells, starts, axis=0), starts, axis=1).T.tolist()
    return merged


def _cell_data(frontier: Frontier) -> dict[str, object]:
    """Shares of inputs not certified for every certificate, rows by true output, columns by query; null without inputs."""
    if not frontier.is_about_order:
        return {"ticks": [], "missing": {}}
    config = frontier.model.config
    task = frontier.task
    totals = _merged(by_token(cell_totals(config.d_vocab, config.n_ctx, task.rank), task))
    missing = {}
    for result in frontier.accepted:
        if result.cells is not None:
            rows = zip(_merged(by_token(result.cells, task)), totals, strict=True)
            missing[result.name] = [
                [ceil_share(total - part, total) if total else None for part, total in zip(parts, row, strict=True)]
                for parts, row in rows
            ]
    ranges = _ranges(config.d_vocab)
    ticks = [start if stop == start + 1 else f"{start} to {stop - 1}" for start, stop in ranges]
    return {"ticks": ticks, "missing": missing}


# --- the table ---------------------------------------------------------------------------------------------------------------

_COLUMNS = (
    "certificate",
    "certified",
    "not certified",
    "operations",
    "unexplained dim.",
    "bytes",
    "prove s",
    "check s",
)


def _table(frontier: Frontier) -> str:
    best = {result.name for result in frontier.best}
    head = "".join(f"<th>{name}</th>" for name in _COLUMNS)
    rows = "".join(_row(result, result.name in best) for result in frontier.results)
    return f'<div class="scroll"><table id="certificates"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _misfits(frontier: Frontier) -> str:
    if not frontier.misfits:
        return ""
    rows = "".join(f'<tr><td>{escape(m.name)}</td><td class="reason">{escape(m.reason)}</td></tr>' for m in frontier.misfits)
    return f'<h2>Did not fit this model</h2><div class="scroll"><table>{rows}</table></div>'


def _row(result: Result, best: bool) -> str:
    dot = f'<span class="dot" style="background:{strategy_colour(result.strategy)}"></span>'
    link = f'<td>{dot}<a href="{quote(result.name)}.cert">{escape(result.name)}</a></td>'
    verdict = result.verdict
    if not result.accepted:
        return f'<tr>{link}<td class="reason" colspan="{len(_COLUMNS) - 1}">{escape(verdict["reason"])}</td></tr>'
    missing = result.total - result.correct
    values = (
        (result.correct / result.total, floor_percent(result.correct, result.total)),
        (missing / result.total, missing_text(result)),
        (result.operations, ceil_scientific(result.operations)),
        (verdict["unexplained_dimension"], f"{verdict['unexplained_dimension']:,}"),
        (verdict["certificate_bytes"], f"{verdict['certificate_bytes']:,}"),
        (result.prove_seconds, f"{result.prove_seconds:.2f}"),
        (verdict["seconds"], verdict["seconds"]),
    )
    cells = "".join(f'<td data-value="{value}">{text}</td>' for value, text in values)
    return f"<tr{' class=best' if best else ''}>{link}{cells}</tr>"
