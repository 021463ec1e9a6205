"""Numbers as texts: bounds are rounded down, what is missing and what it costs are rounded up."""

import math


def floor_percent(correct: int, total: int) -> str:
    """correct/total in percent with four decimals, rounded down."""
    whole, rest = divmod(correct * 10**6 // total, 10**4)
    return f"{whole}.{rest:04d}%"


def ceil_scientific(number: int) -> str:
    """A count with three significant digits, rounded up."""
    digits = len(str(number))
    if digits <= 4:
        return str(number)
    mantissa = -(-number // 10 ** (digits - 3))
    return f"{mantissa / 100:.2f}e{digits - 1}" if mantissa < 1000 else f"1.00e{digits}"


def ceil_share(part: int, total: int) -> float:
    """The share part / total with three significant digits, rounded up."""
    if not part:
        return 0.0
    digits = 2 - math.floor(math.log10(part / total))
    return float(f"{-(-part * 10**digits // total)}e{-digits}")


def ceil_percent(part: int, total: int) -> str:
    """The share part / total in percent with three significant digits, rounded up."""
    return f"{100 * ceil_share(part, total):.3g}%"


def floor_share(bound: float) -> str:
    """A share that is already rounded down to some eight digits, in percent with two decimals, rounded down."""
    return f"{math.floor(bound * 10**4 + 1e-6) / 100:.2f}%"
