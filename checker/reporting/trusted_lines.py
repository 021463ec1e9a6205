"""On how many lines of code a verdict rests: those of the core, and of the rules that its proof names
(with what these import).
"""

from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Any

from certificates.canonical_json import loads_relaxed


@cache
def _table() -> Any:
    """Made by `make size`: the files of the core, those that each rule and task needs beyond it, and the lines of each file."""
    return loads_relaxed(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))


def trusted_lines(tasks: str, rules: Collection[str]) -> int:
    """Lines without blank ones, comments and docstrings: of the core, of tasks (an architecture's, or automata), and rules."""
    table = _table()
    files = set(table["core"]).union(table["tasks"][tasks], *(table["rules"][rule] for rule in rules))
    return sum(table["lines"][file] for file in files)
