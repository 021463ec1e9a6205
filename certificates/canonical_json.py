"""JSON with one spelling per value and no floating point.

Certificates are compared, hashed and mutated as text, so each value has exactly one accepted spelling: keys sorted, no
spaces, ASCII, integers only (integers that may be large are written as decimal strings), no repeated key.
Model configurations are written by other programs, so `loads_config` accepts any spelling and reads decimals exactly.
"""

import json
import re
from fractions import Fraction
from typing import Any, NoReturn, TypeAlias

from certificates.errors import FormatError

Json: TypeAlias = "bool | int | str | list[Json] | dict[str, Json] | None"

_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")
_MAX_DEPTH = 32
_DECIMAL = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,60})?([eE][+-]?[0-9]{1,3})?")


def _no_repeated_key(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise FormatError("JSON object repeats a key")
    return table


def _no_constant(text: str) -> NoReturn:
    raise FormatError(f"JSON value {text} is not a number of this format")


def _no_decimal(text: str) -> NoReturn:
    raise FormatError(f"JSON number {text[:40]} is not an integer")


def _exact_decimal(text: str) -> Fraction:
    if not _DECIMAL.fullmatch(text):
        raise FormatError(f"JSON number {text[:40]} is too long")
    return Fraction(text)


def _check_depth(text: str) -> None:
    depth = 0
    for bracket in _BRACKET.findall(_STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > _MAX_DEPTH:
            raise FormatError(f"JSON is nested more than {_MAX_DEPTH} deep")


def _parse(text: str, parse_float: Any) -> Any:
    _check_depth(text)
    try:
        return json.loads(text, object_pairs_hook=_no_repeated_key, parse_constant=_no_constant, parse_float=parse_float)
    except FormatError:
        raise
    except ValueError as error:
        raise FormatError(f"not valid JSON: {error}") from error


def dumps(value: Json) -> str:
    """The canonical spelling of `value`."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def loads(text: str) -> Json:
    """Read canonical JSON; anything spelled differently is a FormatError."""
    value: Json = _parse(text, _no_decimal)
    if dumps(value) != text:
        raise FormatError("JSON is not in canonical form (sorted keys, no spaces, ASCII)")
    return value


def loads_relaxed(text: str) -> Json:
    """Read JSON in any spelling, but without decimals or repeated keys (container headers, tasks)."""
    value: Json = _parse(text, _no_decimal)
    return value


def loads_config(text: str) -> dict[str, Any]:
    """Read a model configuration: any spelling, decimals become exact `Fraction`s."""
    value = _parse(text, _exact_decimal)
    if not isinstance(value, dict):
        raise FormatError("the configuration is not a JSON object")
    return value
