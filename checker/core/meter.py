"""The length of a proof: counts operations as they are carried out, and refuses before a budget is exceeded."""

from dataclasses import dataclass

from checker.core.errors import OverBudget


@dataclass(frozen=True)
class Budget:
    """Upper limits for one check: real-number operations in total, and bytes of memory for arrays (roughly)."""

    operations: int = 2 * 10**10
    memory: int = 2**31


_SMALL_EFFORT = 2 * 10**9
"""Effort that is allowed in any case: some seconds."""

# Effort is measured in what an operation of `brute-force` takes: 3 to 5 nanoseconds.
_EFFORT_OF_A_CALL = 1500
"""What a call of numpy takes, however few numbers it is about."""
_EFFORT_OF_A_COMPARISON = 16
"""Within a sort: from 1 (np.sort) over 4 (np.lexsort) to 15 (np.unique, searching millions)."""
_EFFORT_OF_A_GATHERED_NUMBER = 6
"""From 1 (in cache) to 5 (millions)."""
_EFFORT_OF_A_SCRIPTED_STEP = 400
"""A step of a loop in Python over numbers or tuples: some microseconds."""


class Meter:
    """Counts real-number operations (add, multiply, compare, .. one each; keeping two endpoints is free) and memory.

    Beside the operations, which are the length of the proof, it counts *effort*: time, in operations of `brute-force`, never
    much too low, and up to a few times too high where it depends on how numbers lie in memory. `brute-force` itself is
    counted two and a half times: that often effort may exceed the budget of operations, so that time is limited to about twice
    what `brute-force` would take, whatever a file asks for: the seconds for each effort are at most 2 / 2.5 of those that
    `brute-force` takes for each operation (tests/core: primitive_pace measures it, pace_search looks for exceptions).
    """

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.most_effort = max(5 * budget.operations // 2, _SMALL_EFFORT)
        self.operations = self.effort = self.held = 0

    def check_affordable(self, operations: int, slowness: int = 1) -> None:
        """Raise OverBudget at once if a long computation that takes at least this many operations will not fit."""
        if self.operations + operations > self.budget.operations:
            raise OverBudget(
                f"checking takes at least {self.operations + operations} operations, more than the budget of "
                f"{self.budget.operations}; allow more with --max-operations if you trust the file"
            )
        self.toil(operations * slowness, really=False)

    def charge(self, operations: int, slowness: int = 1) -> None:
        """Count operations about to be carried out. Raises OverBudget before they are."""
        self.check_affordable(operations, slowness)
        self.operations += operations
        self.effort += operations * slowness + _EFFORT_OF_A_CALL

    def toil(self, effort: int, really: bool = True) -> None:
        """Count effort that is no part of the proof's length (or only see whether there is enough left for it)."""
        if self.effort + effort > self.most_effort:
            raise OverBudget(
                f"checking takes as long as {self.effort + effort} operations on machine integers, more than the "
                f"{self.most_effort} allowed; if you trust it, allow --max-operations {-(-2 * (self.effort + effort) // 5)}"
            )
        self.effort += effort if really else 0

    def sorting(self, numbers: int) -> None:
        """Announce a sort of so many machine integers, or as many binary searches among them (argsort, unique, isin ..)."""
        self.toil(_EFFORT_OF_A_CALL + _EFFORT_OF_A_COMPARISON * numbers * numbers.bit_length())

    def gathering(self, numbers: int) -> None:
        """Announce so many machine integers to be looked up, copied, or scattered by index."""
        self.toil(_EFFORT_OF_A_CALL + _EFFORT_OF_A_GATHERED_NUMBER * numbers)

    def scripting(self, steps: int) -> None:
        """Announce a Python loop of so many short steps (each some microseconds)."""
        self.toil(_EFFORT_OF_A_CALL + _EFFORT_OF_A_SCRIPTED_STEP * steps)

    def allocate(self, size: int) -> None:
        """Announce `size` bytes about to be used for a while. Raises OverBudget if there are not that many left."""
        if self.held + size > self.budget.memory:
            raise OverBudget(
                f"checking takes about {(self.held + size) >> 20} MiB, more than the budget of "
                f"{self.budget.memory >> 20} MiB; allow more with --max-memory if you trust the file"
            )

    def hold(self, size: int) -> None:
        """Announce `size` bytes about to be used until the check ends. Raises OverBudget before they are."""
        self.allocate(size)
        self.held += size
