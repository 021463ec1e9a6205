"""Names that are almost right."""

from collections.abc import Iterable
from difflib import get_close_matches


def meant(text: str, known: Iterable[str]) -> str:
    """A question whether one of these was meant, if one is much like the text."""
    found = get_close_matches(text, list(known), 1)
    return f", did you mean {found[0]}?" if found else ""
