"""The trusted side: re-establishes a certificate's theorem in exact integer arithmetic. See `verify`.

Its names are loaded when one is first asked for: `checker verify --verified-only` does without numpy.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from checker.public import *

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


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from checker import public  # noqa: PLC0415 - see above

    return getattr(public, name)
