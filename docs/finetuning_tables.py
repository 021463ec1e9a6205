"""The tables of docs/finetuning.md, from what docs/finetuning_runs.py gathered."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prover.studies.rounding import ceil_scientific, ceil_share, floor_percent

RESULTS = Path(__file__).resolve().parent / "results" / "finetuning.json"
Run = Mapping[str, Any]
Rows = list[tuple[str, ...]]


def runs(*tables: str) -> list[Run]:
    """What was gathered for some tables, in the order of the runs."""
    return [run for run in json.loads(RESULTS.read_text())["runs"] if run["table"] in tables]


def bound(side: Mapping[str, Any]) -> str:
    """Certified accuracy."""
    return floor_percent(side["correct"], side["total"])


def accuracy(side: Mapping[str, Any]) -> str:
    """In floating point."""
    return floor_percent(side["right"], side["examples"])


def one_run() -> tuple[Sequence[str], Rows]:
    """A single run in detail."""
    (run,) = runs("one")
    before, after = run["before"], run["after"]
    losses = [
        (f"lost by {name}", *(f"{100 * side['losses'].get(name, 0):+.3g}%" for side in (before, after)))
        for name in before["losses"]
    ]
    return ("", "before", "after"), [
        ("certified accuracy", bound(before), bound(after)),
        ("operations", ceil_scientific(before["operations"]), ceil_scientific(after["operations"])),
        ("accuracy (all inputs, in floating point)", accuracy(before), accuracy(after)),
        *losses,
        ("distance moved, relative", "", f"{run['moved']:.4f}"),
        ("predictions changed", "", f"{100 * run['changed']:.4f}%"),
        ("steps", "", str(run["steps"])),
    ]


def all_runs() -> tuple[Sequence[str], Rows]:
    """Models and strategies, a row each."""
    rows = []
    for run in runs("one", "all", "usual"):
        before, after = run["before"], run["after"]
        lengths = [ceil_scientific(side["operations"]) if side["correct"] else "" for side in (before, after)]
        if "brute_force" in run:
            lengths[1] += f" ({ceil_share(after['operations'], run['brute_force']):.3g} of brute force)"
        model = f"`train {run['train']}`" if run["train"] else run["model"]
        switches = run["finetune"].removeprefix("--strategy ")
        rows.append((model, f"`{switches}`", bound(before), bound(after), *lengths, str(run["steps"])))
    return ("model", "strategy", "certified before", "after", "operations before", "after", "steps"), rows


def groups() -> tuple[Sequence[str], Rows]:
    """Networks that no interpretation explains as trained: how many seeds of each group are certified on every pair."""
    found: dict[tuple[str, str], list[Run]] = {}
    for run in runs("groups", "symmetric"):
        name = run["train"].removeprefix("group-composition --group ").partition(" --seed")[0]
        found.setdefault((name, run["finetune"].split()[1]), []).append(run)
    rows = []
    for (name, strategy), seeds in found.items():
        whole = [run for run in seeds if run["after"]["correct"] == run["after"]["total"]]
        before = sum(bool(run["before"]["correct"]) for run in seeds)
        lengths = sorted(run["after"]["operations"] for run in whole)
        shares = sorted(ceil_share(run["after"]["operations"], run["brute_force"]) for run in whole)
        steps = sorted(run["steps"] for run in whole)
        rows.append(
            (
                name,
                strategy,
                f"{before} of {len(seeds)}",
                f"{len(whole)} of {len(seeds)}",
                *(
                    f"{write(values[0])} to {write(values[-1])}" if values else ""
                    for values, write in ((lengths, ceil_scientific), (shares, "{:.3g}".format), (steps, str))
                ),
            )
        )
    headings = ("group", "strategy", "something certified before", "every pair after", "operations", "of brute force", "steps")
    return headings, rows


def cheaper() -> tuple[Sequence[str], Rows]:
    """Models that grow into a shorter proof: a column each."""
    found = runs("cheap")
    names = [run["model"].removeprefix("max-of-4-").replace("of-", "V = ") for run in found]
    return ("", *names), [
        ("certified before", *(bound(run["before"]) for run in found)),
        ("certified after", *(bound(run["after"]) for run in found)),
        ("operations after", *(ceil_scientific(run["after"]["operations"]) for run in found)),
        ("accuracy after, of all inputs or 100,000", *(accuracy(run["after"]) for run in found)),
        ("distance moved, relative", *(f"{run['moved']:.4f}" for run in found)),
    ]
