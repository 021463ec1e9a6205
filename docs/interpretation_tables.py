"""The tables of docs/interpretations.md, from what docs/interpretation_runs.py gathered."""

import json
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from prover.studies.rounding import ceil_scientific, ceil_share, floor_percent

RESULTS = Path(__file__).resolve().parent / "results" / "interpretations.json"
SHOWN = ("low-rank-output", "dictionary", "crosscoder", "fourier", "structured-output", "rho-sets", "cosets")


def networks() -> list[Mapping[str, Any]]:
    """What was gathered."""
    found: list[Mapping[str, Any]] = json.loads(RESULTS.read_text())["networks"]
    return found


def cell(found: Mapping[str, Any] | None, brute: Mapping[str, Any]) -> str:
    """What is certified, and at which share of brute force."""
    if found is None:
        return "-"
    if not found["correct"]:
        return "vacuous"
    share = "100%" if found["correct"] == found["total"] else floor_percent(found["correct"], found["total"])
    return f"{share} at {ceil_share(found['operations'], brute['operations']):.3g}"


def compared() -> tuple[Sequence[str], list[tuple[str, ...]]]:
    """A row for each network, a column for each interpretation."""
    rows = []
    for one in networks():
        found = one["interpretations"]
        brute, name = found["brute-force"], f"`train {one['train']}`" if one["train"] else one["name"]
        rows.append((name, ceil_scientific(brute["operations"]), *(cell(found.get(kind), brute) for kind in SHOWN)))
    return ("network", "brute-force", *SHOWN), rows


def quadrature() -> tuple[Sequence[str], list[tuple[str, ...]]]:
    """Of modular-addition-59: amplitudes and errors of its MLP, with and without a mechanism."""
    (mlp,) = (one["mlp"] for one in networks() if one["name"] == "modular-addition-59")
    pairs = list(zip(mlp["quadrature"]["mlp"], mlp["naive"]["mlp"], strict=True))
    lengths = [ceil_scientific(mlp[side]["operations"]) for side in ("quadrature", "naive")]

    def up(number: str, digits: int = 2) -> str:
        return f"{-(-Fraction(number) * 10**digits // 1) / 10**digits:.{digits}f}"

    return ("modular-addition-59", *(f"k = {own['frequency']}" for own, _ in pairs), "operations"), [
        ("amplitude A, logits", *(f"{float(Fraction(own['amplitude'])):.2f}" for own, _ in pairs), ""),
        ("error e (e / A)", *(f"{up(own['error'])} ({up(own['relative_error'], 3)})" for own, _ in pairs), lengths[0]),
        ("naive bound", *(up(naive["error"]) for _, naive in pairs), lengths[1]),
    ]
