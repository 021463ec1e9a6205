"""Tables, for terminals and for pages."""

from collections.abc import Iterable, Sequence
from html import escape

from rich.table import Table


def terminal_table(title: str, left: Sequence[str], right: Sequence[str], last: Sequence[str] = ()) -> Table:
    """An empty table: columns of words, then columns of numbers, then words again."""
    table = Table(title=title)
    for headings, justify in ((left, "left"), (right, "right"), (last, "left")):
        for heading in headings:
            table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    return table


def html_table(headings: Sequence[str], rows: Iterable[Sequence[str]], style: str = "") -> str:
    """A table of plain texts. style: its class."""
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table{f' class={style}' if style else ''}><tr>{head}</tr>{body}</table>"
