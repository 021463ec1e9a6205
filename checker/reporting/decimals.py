"""Exact numbers as decimal strings, rounded to the safe side where they are rounded; and back."""

import re
from fractions import Fraction

from checker.core.errors import InvalidInput

_DECIMAL = re.compile(r"[0-9]{1,3}(\.[0-9]{1,100})?")


def floor_decimal(numerator: int, denominator: int, digits: int = 12) -> str:
    """Numerator / denominator as a decimal string, rounded down: `digits` places, or more to show three of its digits."""
    while 0 < numerator * 10 ** (digits - 2) < denominator:
        digits += 1
    whole, rest = divmod(numerator * 10**digits // denominator, 10**digits)
    return f"{whole}.{rest:0{digits}d}"


def ceil_decimal(numerator: int, denominator: int, digits: int = 6) -> str:
    """Numerator / denominator as a decimal string, rounded up."""
    whole, rest = divmod(-(-numerator * 10**digits // denominator), 10**digits)
    return f"{whole}.{rest:0{digits}d}"


def exact_decimal(number: int, scale: int) -> str:
    """Number * 2**-scale, number >= 0, as a decimal string."""
    if scale <= 0:
        return str(number << -scale)
    whole, rest = divmod(number * 5**scale, 10**scale)
    return f"{whole}.{rest:0{scale}d}".rstrip("0").rstrip(".")


def parse_accuracy(text: Fraction | str) -> Fraction:
    """An exact accuracy from a decimal string or a fraction. Raises InvalidInput unless it lies between 0 and 1."""
    value = parse_decimal(text, "least accuracy")
    if not 0 <= value <= 1:
        raise InvalidInput(f"an accuracy lies between 0 and 1, found {text}")
    return value


def parse_decimal(text: Fraction | str, what: str) -> Fraction:
    """An exact number from a decimal string or a fraction. Raises InvalidInput if it is neither."""
    if not isinstance(text, Fraction | str):
        raise InvalidInput(f'a {what} has to be exact, so it is a string: write "{text}"')
    try:
        return text if isinstance(text, Fraction) else Fraction(_DECIMAL.fullmatch(text)[0])  # type: ignore[index]
    except TypeError as error:
        raise InvalidInput(f"{text!r} is not a {what}: write it as a decimal number such as 0.95") from error
