"""Factorisations searched by what they prove: for each family, reconstruction and bound as objectives, side by side.

Hints are untrusted, so they can be learned. A family is a set of settings of one strategy, whose switch `objective` says what
its factors are trained for: to reconstruct a table of the model, as is usual, or to prove the most (layers/factor_search).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from html import escape
from pathlib import Path

import numpy as np
import plotly.graph_objects as go

from certificates import AttentionOnly, Model, read_certificate
from certificates.writing import write_atomically
from prover.layers.dictionaries import Dictionary
from prover.spelling import meant
from prover.strategies.crosscoder_output import CrosscoderOutput
from prover.strategies.dictionary_output import DictionaryOutput
from prover.strategies.interpretation import Interpretation
from prover.strategies.low_rank_output import LowRankOutput
from prover.strategy import DoesNotFit, Strategy
from prover.studies.frontier import Frontier
from prover.studies.frontier_figures import COLOURS, SYMBOLS
from prover.studies.page import embed, log_axis, page, styled
from prover.studies.rounding import ceil_scientific, floor_percent
from prover.studies.runs import Result
from prover.studies.tables import html_table

OBJECTIVES = {"reconstruction": 0, "bound": 1}
BOTH = "both"
_SIDES = ("dictionary", "left_features", "right_features")
_MARKERS = {
    "reconstruction": {"symbol": SYMBOLS[0], "size": 13, "color": COLOURS[3]},
    "bound": {"symbol": SYMBOLS[1], "size": 8, "color": COLOURS[0]},
}


def _low_rank() -> list[Strategy]:
    return [LowRankOutput(rank=rank) for rank in (2, 4, 5, 6, 8, 10, 12, 16, 20, 24)]


def _sparse() -> list[Strategy]:
    return [DictionaryOutput(atoms, sparsity) for atoms in (4, 6, 8, 12, 16, 24) for sparsity in (1, 2, 3)]


def _crosscoders() -> list[Strategy]:
    found: list[Strategy] = []
    for features in (8, 12, 16, 24, 32):
        found.append(CrosscoderOutput(features, 1, penalty=0))  # one feature has nothing to interact with
        found += [CrosscoderOutput(features, 2, penalty=p, single=single) for p in (0, 1) for single in (0, 1)]
    return found


def _of_circuits() -> list[Strategy]:
    """Query-key circuit, output-value circuit with its diagonal, and direct path, on few directions each."""
    copying = [Interpretation(1, rank, diagonal=1) for rank in (1, 2, 4, 6, 8, 12)]
    return copying + [Interpretation(rank, 8, direct, diagonal=1) for rank in (0, 1, 2) for direct in (0, 2, 4)]


FAMILIES: Mapping[str, Callable[[], list[Strategy]]] = {
    "low-rank": _low_rank,
    "sparse-dictionary": _sparse,
    "crosscoder": _crosscoders,
}
"""The settings of every family, for networks on two inputs."""


def search_settings(model: Model, family: str, objective: str = BOTH) -> list[Strategy]:
    """All runs of a search. Raises ValueError if a name is unknown, DoesNotFit if such a model has nothing to factor so."""
    for name, known, what in ((family, [*FAMILIES], "family"), (objective, [*OBJECTIVES, BOTH], "objective")):
        if name not in known:
            raise ValueError(f"there is no {what} {name!r}{meant(name, known) or '; there are ' + ', '.join(known)}")
    numbers = list(OBJECTIVES.values()) if objective == BOTH else [OBJECTIVES[objective]]
    settings = FAMILIES[family]
    if isinstance(model.config, AttentionOnly):
        if family != "low-rank":
            raise DoesNotFit(f"{family} is about the neurons of a hidden layer; for this model there is --family low-rank")
        settings = _of_circuits
    return [replace(one, objective=number) for one in settings() for number in numbers]  # type: ignore[call-arg]


def objective_of(result: Result) -> str | None:
    """What a result's factors were trained for; None if it is not of a search."""
    number = result.parameters.get("objective")
    return next((name for name, known in OBJECTIVES.items() if known == number), None)


def shape_of(result: Result) -> str:
    """The size of a result's factors."""
    switches = ("rank", "atoms", "sparsity", "penalty", "single", "attention", "copying", "direct")
    return ", ".join(f"{name} {result.parameters[name]}" for name in switches if name in result.parameters)


def compared(frontier: Frontier) -> list[tuple[str, dict[str, Result]]]:
    """For every size of the factors, the accepted result of each objective."""
    found: dict[str, dict[str, Result]] = {}
    for result in frontier.accepted:
        objective = objective_of(result)
        if objective and shape_of(result):
            found.setdefault(f"{result.strategy}: {shape_of(result)}", {})[objective] = result
    return sorted(found.items(), key=lambda item: min(result.operations for result in item[1].values()))


def conclusion(frontier: Frontier) -> str:
    """Which objective certifies more at equal size, counted."""
    pairs = [found for _, found in compared(frontier) if len(found) == len(OBJECTIVES)]
    if not pairs:
        return "Only one objective was tried."
    more = sum(found["bound"].correct > found["reconstruction"].correct for found in pairs)
    less = sum(found["bound"].correct < found["reconstruction"].correct for found in pairs)
    nothing = sum(not found["bound"].correct and not found["reconstruction"].correct for found in pairs)
    return (
        f"Of {len(pairs)} settings, factors trained for the bound certify more on {more}, less on {less}, the same on "
        f"{len(pairs) - more - less} (on {nothing} of them neither certifies anything)."
    )


def write_dictionaries(frontier: Frontier, output: Path) -> None:
    """For every certificate with a dictionary, the folder NAME.dictionary that SAELens loads; of a crosscoder, a file."""
    for result in frontier.accepted:
        if result.strategy in (DictionaryOutput.name, CrosscoderOutput.name):
            step = read_certificate(output / f"{result.name}.cert")[0].steps[-1]
            scale = -step.parameters["scale"]
            sides = [np.ldexp(step.hints[name].integers().astype(np.float64), scale) for name in _SIDES if name in step.hints]
            found = Dictionary.of_sides([*(side.T for side in sides[1:]), sides[0]])
            if found.sides == 1:
                found.write_folder(output / f"{result.name}.dictionary", result.parameters["sparsity"])
            else:
                found.write(output / f"{result.name}.dictionary.safetensors")


def write_search_page(frontier: Frontier, output: Path, crosscoders: str = "") -> None:
    """Write report.html. crosscoders: a section about them, in HTML."""
    content = page(
        f"{frontier.model_name}: representations",
        f"Representations of {frontier.model_name} by what they prove",
        frontier.model.digest(),
        "search.html",
        conclusion=escape(conclusion(frontier)),
        operations=embed(_figure(frontier), "operations-figure"),
        table=_table(frontier),
        crosscoders=crosscoders,
    )
    write_atomically(output / "report.html", content.encode())


def _figure(frontier: Frontier) -> go.Figure:
    """Both frontiers: operations against the bound."""
    figure = go.Figure()
    for objective in OBJECTIVES:
        results = [result for result in frontier.accepted if objective_of(result) == objective]
        results.sort(key=lambda result: result.operations)
        figure.add_scatter(
            x=[result.operations for result in results],
            y=[result.correct / result.total for result in results],
            text=[f"{shape_of(result)}: {floor_percent(result.correct, result.total)}" for result in results],
            hovertemplate="%{text}<extra></extra>",
            name=f"trained for {'the bound' if objective == 'bound' else objective}",
            mode="markers",
            marker=_MARKERS[objective],
        )
        best = [
            result for i, result in enumerate(results) if result.correct > max((r.correct for r in results[:i]), default=-1)
        ]
        figure.add_scatter(
            x=[result.operations for result in best],
            y=[result.correct / result.total for result in best],
            mode="lines",
            line={"shape": "hv", "color": _MARKERS[objective]["color"], "width": 1.5},
            showlegend=False,
            hoverinfo="skip",
        )
    figure.update_xaxes(log_axis(result.operations for result in frontier.accepted), title="operations")
    figure.update_yaxes(title="certified accuracy", tickformat=".0%", range=[-0.03, 1.05])
    return styled(figure, 430)


def _table(frontier: Frontier) -> str:
    names = list(OBJECTIVES)
    rows = []
    for size, found in compared(frontier):
        cells = [size]
        for name in names:
            result = found.get(name)
            cells += ["-", "-"] if result is None else [_bound(result), ceil_scientific(result.operations)]
        rows.append(cells)
    return html_table(["factors", *(heading for name in names for heading in (name, "operations"))], rows)


def _bound(result: Result) -> str:
    return floor_percent(result.correct, result.total)
