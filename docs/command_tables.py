"""The page of commands: what each of them takes, from click's own description of it."""

import re
from collections.abc import Iterator, Mapping

import click

import checker.reporting.cli
import prover.commands

_TOOLS: Mapping[str, click.Command] = {"prover": prover.commands.cli, "checker": checker.reporting.cli.cli}
_MOST = 2**63 - 1
"""An option up to this takes any integer."""


def commands_text() -> str:
    """Every command of `prover` and `checker`, as Markdown."""
    return "\n".join(line for name, tool in _TOOLS.items() for line in _described(name, tool)).strip()


def _described(name: str, command: click.Command) -> Iterator[str]:
    """A heading, the text of --help, a table, and what is below the command."""
    yield from ("", f"## {name}", "", _paragraphs(command.help or ""), "")
    if isinstance(command, click.Group):
        yield from ("| command | what it does |", "| --- | --- |")
        for part, below in command.commands.items():
            anchor = f"{name} {part}".replace(" ", "-")
            yield f"| [`{name} {part}`](#{anchor}) | {below.get_short_help_str(200)} |"
        for part, below in command.commands.items():
            yield from _described(f"{name} {part}", below)
        return
    arguments = [one.make_metavar(click.Context(command)) for one in command.params if isinstance(one, click.Argument)]
    yield from (f"`{' '.join([name, '[OPTIONS]', *arguments])}`", "")
    yield from ("| option | value | default | meaning |", "| --- | --- | --- | --- |")
    yield from (f"| {' | '.join(_cells(option))} |" for option in command.params if isinstance(option, click.Option))
    for example in re.sub(r"^Examples?: ", "", command.epilog or "").split("\n\n"):
        about, _, line = example.rpartition(": ")
        yield from ("", f"{about or 'Example'}: `{line}`")


def _paragraphs(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def _cells(option: click.Option) -> tuple[str, ...]:
    """Names, value, default, meaning."""
    default, meaning = option.to_info_dict()["default"], (option.help or "").replace("|", "\\|")
    shown = "(required)" if option.required else "" if default is None or option.is_flag else f"`{default}`"
    if option.multiple and "again" not in meaning:
        meaning += " May be given again."
    return ", ".join(f"`{name}`" for name in option.opts), "" if option.is_flag else _value(option), shown, meaning


def _value(option: click.Option) -> str:
    kind = option.type
    if option.metavar:
        return f"`{option.metavar}`"
    if isinstance(kind, click.Choice):
        return ", ".join(f"`{choice}`" for choice in kind.choices)
    if isinstance(kind, click.IntRange | click.FloatRange):
        least = [] if kind.min is None or kind.min < -_MOST else [f"from {kind.min}"]
        most = [] if kind.max is None or kind.max >= _MOST else [f"to {kind.max}"]
        return " ".join(["integer" if isinstance(kind, click.IntRange) else "number", *least, *most])
    return {"path": "file or folder", "float": "number"}.get(kind.name, kind.name)
