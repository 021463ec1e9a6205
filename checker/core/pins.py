"""What a verifier asks for, beside a proof of the statement."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from certificates.canonical_json import Json


@dataclass(frozen=True)
class Pins:
    """task: the statement's. at_least: a least accuracy. margin_at_least: a least margin. deployed: a floating-point format.
    error_at_most: greatest relative errors e / A of an MLP's frequencies. rules: the only ones that may be used (None: all).
    """

    task: Json = None
    at_least: Fraction | None = None
    margin_at_least: Fraction | None = None
    deployed: str | None = None
    error_at_most: Mapping[int, Fraction] = field(default_factory=dict)
    rules: frozenset[str] | None = None
