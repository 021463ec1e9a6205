"""On how many lines of code a verdict rests: those of the core, and of the rules that its proof names
(with what these import); with several processes, of what divides the work between them, too.
"""

from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Any

from certificates.canonical_json import loads_relaxed


@cache
def _table() -> Any:
    """Made by `make size`: the files of the core, what rules, tasks and several processes need beyond it, and the lines of
    each file.
    """
    return loads_relaxed(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))


def trusted_lines(tasks: str, rules: Collection[str], jobs: int) -> int:
    """Lines without blank ones, comments and docstrings: of the core, of tasks (an architecture's, or automata), and rules."""
    table = _table()
    dividing = table["processes"] if jobs > 1 else ()
    files = set(table["core"]).union(table["tasks"][tasks], dividing, *(table["rules"][rule] for rule in rules))
    return sum(table["lines"][file] for file in files)
