"""The public names of `checker`, which the package itself loads only when one is asked for."""

from checker.core.errors import CheckError, ClaimNotMet, InvalidInput, OverBudget, Refused
from checker.core.meter import Budget
from checker.reporting.coverage import covers, shows
from checker.reporting.outcome import Verdict
from checker.reporting.refutation import refutes
from checker.reporting.verdict import verify

__all__ = [
    "Budget",
    "CheckError",
    "ClaimNotMet",
    "InvalidInput",
    "OverBudget",
    "Refused",
    "Verdict",
    "covers",
    "refutes",
    "shows",
    "verify",
]
