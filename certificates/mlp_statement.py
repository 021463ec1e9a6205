"""Statements about what the MLP of a model adds to its logits (FORMAT.md, 3)."""

from dataclasses import dataclass

from certificates.canonical_json import Json
from certificates.errors import FormatError
from certificates.fields import exact_fields, integer, model_digest

_LARGEST_SCALE = 1100


@dataclass(frozen=True)
class FrequencyClaim:
    """What an MLP adds at a frequency is a quadrature's, of this amplitude, up to this error: in units of 2**-scale."""

    frequency: int
    amplitude: int
    error: int


@dataclass(frozen=True)
class MLPStatement:
    """The MLP of the model with this digest adds what a quadrature does, frequency by frequency."""

    model_digest: str
    task: Json
    scale: int
    claims: tuple[FrequencyClaim, ...]


def parse_mlp_statement(value: Json) -> MLPStatement:
    """Read a statement with the field `mlp`. Raises FormatError on anything FORMAT.md does not allow."""
    fields = exact_fields(value, {"mlp", "model", "scale", "task"}, "statement")
    digest, claims = model_digest(fields), fields["mlp"]
    if not isinstance(claims, list) or not claims:
        raise FormatError("statement: mlp is not a list of claims")
    scale = integer(fields["scale"], "statement: scale")
    if not 0 <= scale <= _LARGEST_SCALE:
        raise FormatError(f"statement: scale is not from 0 to {_LARGEST_SCALE}")
    return MLPStatement(digest, fields["task"], scale, tuple(_parse_claim(claim) for claim in claims))


def _parse_claim(value: Json) -> FrequencyClaim:
    fields = exact_fields(value, {"amplitude", "error", "frequency"}, "statement: a claim")
    numbers = {name: integer(number, f"statement: {name}") for name, number in fields.items()}
    if min(numbers.values()) < 0:
        raise FormatError("statement: a claim has a negative number")
    return FrequencyClaim(**numbers)
