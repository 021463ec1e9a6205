"""Writes what is generated in README.md and docs/: tables from docs/results, pages about code, the picture of a frontier.

`make figures` runs the studies and then `python docs/make_pages.py --take`, which copies their results first. A test sees that
the pages are as this script writes them.
"""

import argparse
import importlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import finetuning_tables
import interpretation_tables
import search_tables
from command_tables import commands_text
from json_tables import WRITTEN, json_table
from rules_page import rules_page
from strategy_pages import strategy_pages, vacuous_table

from prover.strategies import FAMILIES
from prover.strategies.interpretation import Interpretation
from prover.studies.checked import VERDICT_COLUMNS, verdict_cells
from prover.studies.frontier_figures import PUBLISHED
from prover.studies.rounding import ceil_scientific, floor_percent, floor_share

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs" / "results"
SEARCHES = (
    *("dictionaries-modular-addition-59", "low-rank-symmetric-5", "low-rank-max-of-4-seed123"),
    *("crosscoders-symmetric-5", "crosscoders-modular-addition-59"),
)
RUNS = {
    "demo": "demo-out/results.json",
    "addition": "demo-out/addition-10/results.json",
    "running-sum": "demo-out/running-sum-20/results.json",
    "copying": "demo-out/in-context-copying-26/results.json",
    "brackets": "demo-out/balanced-brackets-32/results.json",
    "frontier-max-of-4-seed123": "frontier-out/max-of-4-seed123/frontier.json",
    "frontier-max-of-10-seed1": "frontier-out/max-of-10-seed1/frontier.json",
    "bench": "bench-out/bench.table.json",
    "growth": "bench-out/growth.table.json",
    "float": "float32-out/float32.table.json",
    "float-transformers": "float32-out/transformers/float32.table.json",
    "study-max-of-4": "study-out/max-of-4/study.json",
    "study-symmetric-5": "study-out/symmetric-5/study.json",
    "finetuning": "finetune-out/finetuning.json",
    "interpretations": "interpret-out/interpretations.json",
    **{name: f"search-out/{name}/frontier.json" for name in SEARCHES},
    **{f"{name}-terms": f"search-out/{name}/crosscoders.json" for name in SEARCHES if name.startswith("crosscoders")},
}
"""Where a run leaves what is kept in docs/results."""
KEPT = (
    *("strategy", "parameters", "accepted", "correct", "total", "covered", "operations", "unexplained_dimension"),
    *("certificate_bytes", "prove_seconds", "seconds", "accuracy"),
)
MORE_DEMOS = {
    "addition-10": "addition",
    "running-sum-20": "running-sum",
    "in-context-copying-26": "copying",
    "balanced-brackets-32": "brackets",
}
"""The general transformers of `make demo`, and where their results are kept."""
Result = Mapping[str, Any]


def take(name: str) -> None:
    """Keep the results of a run."""
    found = json.loads((ROOT / RUNS[name]).read_text())
    if isinstance(found, dict):  # as it is to be kept
        (RESULTS / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n")
        return
    kept = [{key: one[key] for key in KEPT if key in one} for one in found]
    lines = ",\n".join(json.dumps(one) for one in kept)
    (RESULTS / f"{name}.json").write_text(f"[\n{lines}\n]\n")


def results(name: str) -> list[Result]:
    """What was kept, as far as it was accepted."""
    return [one for one in json.loads((RESULTS / f"{name}.json").read_text()) if one["accepted"]]


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1) -> str:
    """A table in Markdown, the first `words` columns to the left."""
    rule = ["---"] * words + ["---:"] * (len(headings) - words)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (headings, rule, *rows))


def demo_table(name: str) -> str:
    """Every strategy on one model."""
    columns = ("strategy", "inputs covered", *VERDICT_COLUMNS)
    return table(
        columns,
        [
            (one["strategy"], str(one["covered"]), *verdict_cells(one, one["prove_seconds"])[:-1])  # less the verdict
            for one in results(name)
        ],
    )


def more_demos_table() -> str:
    """One strategy on each of the general transformers."""
    columns = ("model", "strategy", "inputs covered", "certified", "operations", "bytes", "prove s", "check s")
    rows = []
    for model, name in MORE_DEMOS.items():
        (one,) = results(name)
        certified, operations, _, *others = verdict_cells(one, one["prove_seconds"])[:-1]
        rows.append((model, one["strategy"], str(one["covered"]), certified, operations, *others))
    return table(columns, rows, 2)


def printed_table(name: str, words: int) -> str:
    """A table as it was printed."""
    found = json.loads((RESULTS / f"{name}.json").read_text())
    return table(found["headings"], [[cell.replace("\n", " ") for cell in row] for row in found["rows"]], words)


def shortest_table() -> str:
    """The best bound within some numbers of operations, next to published ones."""
    published = {point.operations: f"{point.bound:.2%} ({point.label})" for point in PUBLISHED}
    published |= dict.fromkeys((2.9e6, 2.2e6, 1.5e6, 1.0e6), "")
    names = ("max-of-4-seed123", "max-of-10-seed1")
    rows = []
    for most, bound in published.items():
        row = [ceil_scientific(int(most)), bound]
        for name in names:
            within = [one for one in results(f"frontier-{name}") if one["operations"] <= most]
            best = max(within, key=lambda one: (one["correct"], -one["operations"]))
            row += [floor_percent(best["correct"], best["total"]), f"{named(best)}: {ceil_scientific(best['operations'])}"]
        rows.append(row)
    return table(
        ("operations", "published (means over 151 models)", *(part for name in names for part in (name, "by"))), rows, 2
    )


CLAIMS = {
    "none: the circuits as they are": {"attention": -1},
    "attention follows one direction, the size of a token": {},
    "attention follows four directions": {"attention": 4},
    "the output-value circuit copies along eight directions": {"attention": -1, "copying": 8},
    "and a token's effect on its own output, as it is": {"attention": -1, "copying": 8, "diagonal": 1},
    "the direct path is the same for all queries": {"attention": -1, "direct": 0},
}
"""Claims about a Max-of-K model, as switches of `interpretation`."""


def claims_table() -> str:
    """What each claim alone certifies, and for how many operations, by how what it leaves out is bounded."""
    usual = vars(Interpretation())
    known = (one for one in results("frontier-max-of-4-seed123") if one["strategy"] == "interpretation")
    found = {tuple(one["parameters"].items()): one for one in known}
    rows = []
    for claim, switches in CLAIMS.items():
        cells = []
        for residual in range(3):
            one = found.get(tuple((usual | switches | {"residual": residual}).items()))
            cells.append(f"{floor_percent(one['correct'], one['total'])}, {ceil_scientific(one['operations'])}" if one else "")
        rows.append((claim, *cells))
    return table(("claim", "residual by lengths about the mean", "by row differences", "by a spectral norm"), rows)


def study_of(name: str) -> Result:
    """A study's sums (prover/studies/summary)."""
    return json.loads((RESULTS / f"study-{name}.json").read_text())  # type: ignore[no-any-return]


def mean_bound(setting: Result) -> str:
    """Of a study's models, with its deviation."""
    return f"{floor_share(setting['bound']['mean'])} ± {100 * setting['bound']['deviation']:.2f}%"


def mean_length(setting: Result) -> str:
    """Of a study's proofs."""
    return ceil_scientific(math.ceil(setting["operations"]["mean"]))


def study_table(name: str) -> str:
    """Every setting of a study, from the longest proofs on; of a strategy with many, what the best one of each model proves."""
    rows, settings = [], study_of(name)["settings"]
    many = {one["strategy"] for one in settings if sum(other["strategy"] == one["strategy"] for other in settings) > 8}
    for one in settings:
        if one["bound"] is not None and (one["strategy"] not in many or one["parameters"] is None):
            quantiles = one["bound"]["quantiles"]
            spread = [floor_share(quantiles[part]) for part in ("least", "median", "greatest")]
            counts = (str(one["models"]), str(one["much"]), str(one["nothing"]))
            rows.append((f"`{one['name']}`", mean_bound(one), *spread, *counts, mean_length(one)))
    headings = (
        "setting",
        "bound, mean ± sd",
        "least",
        "median",
        "greatest",
        "models",
        "95% or more",
        "nothing",
        "operations, mean",
    )
    return table(headings, rows)


HEADLINE = {
    "brute force": ("brute-force", "brute force"),
    "the exact number, without enumerating": ("exact", ""),
    "cubic: tables, rivals together": ("classes-fine=0", "cubic"),
    "sub-cubic: chains of prefixes": ("pessimized", "sub-cubic"),
    "few directions": ("interpretation-copying=11-direct=0-diagonal=1", ""),
    "no table at all": ("low-rank-chains", ""),
}
"""Kinds of proofs: our setting, and the published one beside it."""


def headline_table() -> str:
    """Means over 151 models next to published means over 151 models."""
    study = study_of("max-of-4")
    by_name = {one["name"]: one for one in study["settings"]}
    published = {
        point.label: f"{point.bound:.2%} at {point.operations:.2e}".replace("e+", "e").replace("e0", "e") for point in PUBLISHED
    }
    rows = []
    for kind, (name, other) in HEADLINE.items():
        one = by_name[name]
        rows.append((kind, f"`{one['strategy']}`", mean_bound(one), mean_length(one), published.get(other, "")))
    models = len(study["models"])
    return table(("proof", "strategy", f"bound, mean ± sd of {models}", "operations, mean", "published, means of 151"), rows, 2)


def group_headline_table() -> str:
    """Of the hundred networks for a group, what the interpretations prove."""
    by_name = {one["name"]: one for one in study_of("symmetric-5")["settings"]}
    rows = []
    for name in ("brute-force", "structured-output", "rho-sets", "cosets"):
        one = by_name[name]
        rows.append((f"`{name}`", mean_bound(one), str(one["much"]), str(one["nothing"]), mean_length(one)))
    models = len(study_of("symmetric-5")["models"])
    return table(("strategy", f"bound, mean ± sd of {models}", "95% or more", "nothing", "operations, mean"), rows)


def named(one: Result) -> str:
    """A strategy with those switches that are not as usual."""
    strategies = {name: strategy for family in FAMILIES.values() for name, strategy in reversed(family.items())}
    usual = vars(strategies[one["strategy"]]())
    switches = [f"{key}={value}" for key, value in one["parameters"].items() if usual[key] != value]
    return ", ".join([one["strategy"], *switches])


# --- pages and the picture ----------------------------------------------------------------------------------------------------


def hyphened(name: str) -> str:
    """SecondVerdict is second-verdict."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower()


TABLES = {
    "demo": lambda: demo_table("demo"),
    "more-demos": more_demos_table,
    "shortest": shortest_table,
    "bench": lambda: printed_table("bench", 2),
    "growth": lambda: printed_table("growth", 1),
    "float": lambda: printed_table("float", 2),
    "float-transformers": lambda: printed_table("float-transformers", 2),
    "claims": claims_table,
    "study-max-of-k": lambda: study_table("max-of-4"),
    "study-groups": lambda: study_table("symmetric-5"),
    "headline": headline_table,
    "headline-groups": group_headline_table,
    "interpretations": lambda: table(*interpretation_tables.compared()),
    "quadrature": lambda: table(*interpretation_tables.quadrature()),
    "searched-dictionaries": lambda: table(
        *search_tables.by_objective(
            "dictionaries-modular-addition-59", {"atoms": "atoms", "sparsity": "of which each neuron has"}
        )
    ),
    "searched-directions": lambda: table(*search_tables.by_objective("low-rank-symmetric-5", {"rank": "directions"})),
    "searched-circuits": lambda: table(
        *search_tables.by_objective(
            "low-rank-max-of-4-seed123", {switch: switch for switch in ("attention", "copying", "direct")}
        )
    ),
    "searched-crosscoders": lambda: table(
        *search_tables.crosscoders(("symmetric-5", "modular-addition-59"), objective=0), words=1
    ),
    "finetuned": lambda: table(*finetuning_tables.one_run()),
    "finetuned-all": lambda: table(*finetuning_tables.all_runs(), words=2),
    "finetuned-groups": lambda: table(*finetuning_tables.groups(), words=2),
    "finetuned-cheaper": lambda: table(*finetuning_tables.cheaper()),
    "commands": commands_text,
    **{f"json-{hyphened(kind.__name__)}": partial(lambda kind: table(*json_table(kind), words=3), kind) for kind in WRITTEN},
    "vacuous": lambda: table(*vacuous_table(), words=2),
}


def rewritten(text: str) -> str:
    """A page with its tables made anew: what stands between `<!-- name -->` and `<!-- end -->`."""
    return re.sub(
        r"<!-- ([a-z-]+) -->\n.*?<!-- end -->",
        lambda found: f"<!-- {found[1]} -->\n{TABLES[found[1]]()}\n<!-- end -->",
        text,
        flags=re.DOTALL,
    )


def pages() -> dict[Path, str]:
    """All that is generated, but for the picture."""
    written = {path: rewritten(path.read_text()) for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))}
    return written | {ROOT / "docs" / name: text for name, text in (strategy_pages() | {"rules.md": rules_page()}).items()}


def draw_frontier() -> None:
    """docs/frontier.svg."""
    matplotlib = importlib.import_module("matplotlib")
    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "compact proofs", "svg.fonttype": "none", "font.size": 11})
    pyplot = importlib.import_module("matplotlib.pyplot")
    known = results("frontier-max-of-4-seed123")
    figure, axes = pyplot.subplots(figsize=(9, 4.2), layout="constrained")
    markers = dict(zip(dict.fromkeys(one["strategy"] for one in known), "osD^vPX*", strict=False))
    for strategy, marker in markers.items():
        ours = [one for one in known if one["strategy"] == strategy]
        axes.scatter(
            [one["operations"] for one in ours],
            [100 * one["correct"] / one["total"] for one in ours],
            marker=marker,
            s=26,
            alpha=0.75,
            label=strategy,
        )
    published = {point.label: (point.operations, 100 * point.bound) for point in PUBLISHED}
    for name, point in published.items():
        axes.annotate(name, point, textcoords="offset points", xytext=(0, -15), ha="center", color="0.35")
    axes.scatter(*zip(*published.values(), strict=True), marker="+", s=90, color="0.35", label="published (Gross et al. 2024)")
    axes.set(xscale="log", xlabel="operations of the proof", ylabel="certified accuracy, %", ylim=(0, 103))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9, loc="lower right", ncols=2)
    figure.savefig(ROOT / "docs" / "frontier.svg", metadata={"Date": None})


def main() -> None:
    """Write all of it."""
    parser = argparse.ArgumentParser(description="Write the generated parts of README.md and docs/.")
    parser.add_argument("--take", action="store_true", help="keep the results of runs first, those that are there")
    if parser.parse_args().take:
        RESULTS.mkdir(exist_ok=True)
        for name, path in RUNS.items():
            if (ROOT / path).exists():
                take(name)
    for path, text in pages().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    draw_frontier()


if __name__ == "__main__":
    main()
