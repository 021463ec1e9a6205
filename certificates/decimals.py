"""Margins as statements spell them."""

from fractions import Fraction

from certificates.errors import FormatError


def decimal(number: Fraction) -> str:
    """The shortest exact decimal of a number from 0 to 10**20; FormatError if it takes more than 60 digits after the point."""
    digits = next((digits for digits in range(61) if (number * 10**digits).denominator == 1), None)
    if digits is None or not 0 <= number < 10**20:
        raise FormatError(f"{number} has no decimal with at most 20 digits before the point and 60 after it")
    whole, rest = divmod(int(number * 10**digits), 10**digits)
    return f"{whole}.{rest:0{digits}d}" if digits else str(whole)
