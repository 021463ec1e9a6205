"""The length of a proof: counts operations as they are carried out, and refuses before a budget is exceeded."""

from dataclasses import dataclass

from checker.errors import OverBudget


@dataclass(frozen=True)
class Budget:
    """Upper limits for one check: real-number operations in total, and elements in any one array."""

    operations: int = 10**11
    elements: int = 2**25


class Meter:
    """Counts real-number operations (DESIGN: add, multiply, compare, .. one each; keeping two endpoints is free)."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.operations = 0

    def check_affordable(self, operations: int) -> None:
        """Raise OverBudget at once if a long computation that takes at least this many operations will not fit."""
        if self.operations + operations > self.budget.operations:
            raise OverBudget(
                f"checking takes at least {self.operations + operations} operations, more than the budget of "
                f"{self.budget.operations}; allow more with --max-operations if you trust the file"
            )

    def charge(self, operations: int) -> None:
        """Count operations about to be carried out. Raises OverBudget before they are."""
        self.check_affordable(operations)
        self.operations += operations

    def allocate(self, elements: int) -> None:
        """Announce an array about to be allocated. Raises OverBudget if it is too large."""
        if elements > self.budget.elements:
            raise OverBudget(f"an array of {elements} elements exceeds the budget of {self.budget.elements}")
