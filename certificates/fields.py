"""Reading JSON values whose form is fixed: what statements and proofs are written in."""

import re
from collections.abc import Collection, Mapping

from certificates.canonical_json import Json
from certificates.errors import FormatError

_HEX_DIGEST = re.compile(r"[0-9a-f]{64}")


def exact_fields(value: Json, names: Collection[str], what: str) -> dict[str, Json]:
    """An object with exactly these fields. Raises FormatError if it is something else."""
    if not isinstance(value, dict) or set(value) != set(names):
        raise FormatError(f"{what} must be an object with exactly the fields {sorted(names)}")
    return value


def integer(value: Json, what: str) -> int:
    """An integer of 64 bits. Raises FormatError if it is something else."""
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise FormatError(f"{what} is not a 64-bit integer")
    return value


def model_digest(statement: Mapping[str, Json]) -> str:
    """The digest of the model that a statement is about. Raises FormatError if it is none."""
    digest = statement["model"]
    if not isinstance(digest, str) or not _HEX_DIGEST.fullmatch(digest):
        raise FormatError("statement: model is not a SHA-256 in lower-case hexadecimal")
    return digest
