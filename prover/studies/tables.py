"""Tables, for terminals and for pages."""

import json
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path

from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from certificates.writing import write_atomically

_UNLIMITED = 10_000
"""Columns of a terminal in which every table fits."""


def terminal_table(title: str, left: Sequence[str], right: Sequence[str], last: Sequence[str] = ()) -> Table:
    """An empty table: columns of words, then columns of numbers, then words again."""
    table = Table(title=title)
    for headings, justify in ((left, "left"), (right, "right"), (last, "left")):
        for heading in headings:
            table.add_column(heading, justify=justify, overflow="fold")  # type: ignore[arg-type]
    return table


def print_table(table: Table, console: Console) -> None:
    """Print it; where the terminal is narrower than the table, `stacked`."""
    fits = console.measure(table, options=console.options.update(width=_UNLIMITED)).maximum <= console.width
    console.print(table if fits else stacked(table))


def stacked(table: Table) -> Group:
    """A table for narrow terminals: each row's words on lines of their own, and below them its numbers in columns."""
    words, numbers = ([column for column in table.columns if column.justify == side] for side in ("left", "right"))
    widths = [max(map(_longest_word, (str(column.header), *map(str, column.cells)))) for column in numbers]
    parts: list[Text | Padding] = [Text(str(table.title), "italic", overflow="fold")]
    parts.append(_in_columns((str(column.header) for column in numbers), widths))
    for said, measured in zip(_rows(words), _rows(numbers), strict=True):
        shown = Text(": ").join(Text.from_markup(cell) for cell in said if cell)
        shown.overflow = "fold"
        parts.append(shown)
        if not set(measured) <= {"-", ""}:
            parts.append(_in_columns(measured, widths))
    return Group(*parts, Text(str(table.caption or ""), "dim italic"))


def _rows(columns: Sequence[Column]) -> Iterator[tuple[str, ...]]:
    return zip(*(map(str, column.cells) for column in columns), strict=True)


def _in_columns(cells: Iterable[str], widths: Sequence[int]) -> Padding:
    """One row of numbers, or of their headings, which are broken between words."""
    grid = Table.grid(*(Column(justify="right", width=width, overflow="fold") for width in widths), padding=(0, 1, 0, 0))
    grid.add_row(*cells)
    return Padding(grid, (0, 0, 0, 2))


def _longest_word(text: str) -> int:
    return max(map(len, Text.from_markup(text).plain.split()), default=1)


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
