"""How much is tried: `make test` tries a quarter of what `make thorough` does, of whatever is drawn at random."""

import os

THOROUGH = os.environ.get("THOROUGH") == "1"


def some(number: int) -> int:
    """So many examples, or a quarter of them."""
    return number if THOROUGH else -(-number // 4)


def parts(number: int) -> range:
    """The values of a parameter that stands for seeds of its own."""
    return range(some(number))
