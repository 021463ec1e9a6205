"""How long work takes, as far as that is known before it begins, in words."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from prover.strategy import Strategy

PROVED, CHECKED = 4e8, 3e8
"""Operations in a second, about, that one core proves, and checks; whole minutes may be more or less on other machines."""


def duration(seconds: float) -> str:
    """Rounded to what matters."""
    if seconds < 90:
        return f"about {max(1, math.ceil(seconds))} s"
    return f"about {math.ceil(seconds / 60)} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"


def expected_operations(strategies: Iterable[Strategy], problem: Any) -> tuple[int, str] | None:
    """Of the strategies that can tell, the most operations, and which one takes them."""
    known = [(count, one.name) for one in strategies if (count := one.expected_operations(problem)) is not None]
    return max(known, default=None)


def runs_ahead(todo: Sequence[Strategy], planned: int, problem: Any) -> str:
    """What is said before runs: how many there are, and how long the longest one takes that is known to be long."""
    told = f"{len(todo)} of {planned} runs to do, each proved and checked"
    longest = expected_operations(todo, problem)
    if longest is not None:
        operations, name = longest
        seconds = operations / PROVED + operations / CHECKED
        told += f"; {name} takes {operations:.1e} operations, {duration(seconds)}"
    return f"{told}; what is left is estimated after the first"


def proofs_ahead(strategy: Strategy, problem: Any, steps: int, proofs: int) -> str:
    """What is said before fine-tuning that takes so many steps, and proofs on the way, at most."""
    told = f"at most {steps} steps, and {proofs} proofs on the way"
    longest = expected_operations([strategy], problem)
    if longest is not None:
        seconds = longest[0] / PROVED
        told += f" of {longest[0]:.1e} operations, {duration(seconds)} for one and {duration(proofs * seconds)} for all"
    return f"{told}; what is left is estimated after the first"
