"""Names as the commands take them: to one that is almost right, the answer is a question."""

import click
from click.shell_completion import CompletionItem

from prover.spelling import meant


class Name(click.ParamType):
    """One of some names; says which one may be meant by another one. what: what it is the name of, such as "a strategy"."""

    def __init__(self, what: str, known: tuple[str, ...]) -> None:
        self.name, self.what, self.known = what.rsplit(maxsplit=1)[-1], what, known

    def convert(self, value: str, parameter: click.Parameter | None, context: click.Context | None) -> str:
        """The name, if there is such a one."""
        if value not in self.known:
            hint = meant(value, self.known) or ": there are " + ", ".join(self.known)
            self.fail(f"{value!r} is not {self.what}{hint}", parameter, context)
        return value

    def shell_complete(self, context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The names that begin like this."""
        return [CompletionItem(name) for name in self.known if name.startswith(incomplete)]


class Commands(click.Group):
    """A group of commands that says which one may be meant by a name that is none."""

    def resolve_command(self, context: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, but for the question."""
        name = args[0]
        if self.get_command(context, name) is None and not name.startswith("-"):
            hint = meant(name, self.commands) or "; there are " + ", ".join(self.commands)
            context.fail(f"there is no command {name!r}{hint}")
        return super().resolve_command(context, args)
