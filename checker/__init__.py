"""The trusted side: re-establishes a certificate's theorem in exact integer arithmetic. See `verify`."""

from checker.core.errors import CheckError, ClaimNotMet, InvalidInput, OverBudget, Refused
from checker.core.meter import Budget
from checker.reporting.coverage import covers, shows
from checker.reporting.refutation import refutes
from checker.reporting.verdict import Verdict, verify

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
