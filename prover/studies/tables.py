"""Tables, for terminals and for pages."""

import json
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from rich.table import Table
from rich.text import Text

from certificates.writing import write_atomically


def terminal_table(title: str, left: Sequence[str], right: Sequence[str], last: Sequence[str] = ()) -> Table:
    """An empty table: columns of words, then columns of numbers, then words again."""
    table = Table(title=title)
    for headings, justify in ((left, "left"), (right, "right"), (last, "left")):
        for heading in headings:
            table.add_column(heading, justify=justify, overflow="fold")  # type: ignore[arg-type]
    return table


def table_content(table: Table) -> tuple[list[str], list[tuple[str, ...]]]:
    """The headings and rows of a terminal's table, without its colours."""
    columns = [[Text.from_markup(str(cell)).plain for cell in column.cells] for column in table.columns]
    return [str(column.header) for column in table.columns], list(zip(*columns, strict=True))


def write_table(table: Table, path: Path) -> None:
    """A terminal's table as JSON: {"headings": [..], "rows": [[..], ..]}."""
    headings, rows = table_content(table)
    write_atomically(path, json.dumps({"headings": headings, "rows": rows}, indent=1).encode())


def html_table(headings: Sequence[str], rows: Iterable[Sequence[str]], style: str = "") -> str:
    """A table of plain texts. style: its class."""
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table{f' class={style}' if style else ''}><tr>{head}</tr>{body}</table>"
