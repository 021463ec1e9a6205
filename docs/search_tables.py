"""The tables of docs/representations.md, from what `make search` found."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prover.studies.rounding import ceil_scientific, floor_percent

RESULTS = Path(__file__).resolve().parent / "results"
Found = Mapping[str, Any]
Rows = list[tuple[str, ...]]


def found_in(name: str) -> list[Found]:
    """Accepted results of a search."""
    every: list[Found] = json.loads((RESULTS / f"{name}.json").read_text())
    return [one for one in every if one["accepted"]]


def by_objective(name: str, switches: Mapping[str, str]) -> tuple[Sequence[str], Rows]:
    """For each setting of some switches (with their headings) what factors certify that were trained for either objective."""
    rows: dict[tuple[int, ...], dict[int, Found]] = {}
    for one in found_in(name):
        setting = tuple(one["parameters"][switch] for switch in switches)
        rows.setdefault(setting, {})[one["parameters"]["objective"]] = one
    headings = (*switches.values(), "trained to reconstruct", "trained for the bound", "operations")
    return headings, [
        (
            *("as it is" if part < 0 else str(part) for part in setting),
            *(floor_percent(both[i]["correct"], both[i]["total"]) for i in (0, 1)),
            ceil_scientific(both[1]["operations"]),
        )
        for setting, both in sorted(rows.items())
    ]


KINDS = {
    "two each, without penalty, cut to one": {"sparsity": 2, "penalty": 0, "single": 1},
    "two each, with penalty, cut to one": {"sparsity": 2, "penalty": 1, "single": 1},
    "one each": {"sparsity": 1},
    "two each, without penalty": {"sparsity": 2, "penalty": 0, "single": 0},
    "two each, with penalty": {"sparsity": 2, "penalty": 1, "single": 0},
}
"""Crosscoders: how many features neurons have in training, and in the proof."""


def crosscoders(names: Sequence[str], objective: int) -> tuple[Sequence[str], Rows]:
    """What remains if neurons read nothing but their features (accuracy, not certified), and what is certified."""
    rows = Rows()
    for name in names:
        every = json.loads((RESULTS / f"crosscoders-{name}-terms.json").read_text())
        accuracies = {tuple(one["parameters"].items()): one["accuracy"] for one in every}
        chosen = [one for one in found_in(f"crosscoders-{name}") if one["parameters"]["objective"] == objective]
        for features in sorted({one["parameters"]["atoms"] for one in chosen}):
            cells = []
            for kind in KINDS.values():
                wanted = {"atoms": features, **kind}
                (one,) = (one for one in chosen if wanted.items() <= one["parameters"].items())
                accuracy, certified = accuracies[tuple(one["parameters"].items())], floor_percent(one["correct"], one["total"])
                cells.append(f"{100 * accuracy:.2f}% ({certified})")
            rows.append((name, str(features), *cells))
    return ("model", "features", *KINDS), rows
