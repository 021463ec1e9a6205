"""The pages of strategies: a table of all, and for each name a page, from what its classes say."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import torch

from certificates import read_model
from certificates.automaton import read_automaton
from prover.commands.explain import SYMBOLS, ideas, legend
from prover.papers import cited
from prover.problem import Problem
from prover.proving import problem_about
from prover.strategies import FAMILIES
from prover.strategy import Strategy

_SHIPPED = Path(__file__).resolve().parents[1] / "certificates"
_EXAMPLES: Mapping[str, str] = dict(
    zip(
        FAMILIES,
        (
            "models/max-of-4",
            "models/modular-addition-59",
            "models/max-of-4",
            "transformers/running-sum-20",
            "models/modular-addition-59",
        ),
        strict=True,
    )
)
"""For each family a shipped model, on which sweeps are shown."""
_WRITTEN = "(This page is written by `docs/make_pages.py`; `prover explain {}` prints the same.)"


def strategy_pages() -> dict[str, str]:
    """All of them, by their files' names in docs/."""
    names = dict.fromkeys(name for strategies in FAMILIES.values() for name in strategies)
    return {"strategies.md": _overview(), **{f"strategies/{name}.md": "\n".join(_page(name)) + "\n" for name in names}}


def vacuous_table() -> tuple[Sequence[str], list[Sequence[str]]]:
    """For the page about bounds of 0%: headings and rows."""
    rows: list[Sequence[str]] = []
    for strategies in FAMILIES.values():
        rows += [(f"[`{name}`](strategies/{name}.md)", strategy.vacuous) for name, strategy in strategies.items()]
    return ("strategy", "when its bound is 0%, and what to try then"), rows


def _overview() -> str:
    lines = [
        "# Strategies",
        "",
        _WRITTEN.format("NAME"),
        "",
        "Each strategy is an idea of the mechanism, with a page of its own.",
    ]
    for family, strategies in FAMILIES.items():
        lines += ["", f"## For {family}", "", "| strategy | idea | cost | theorems |", "| --- | --- | --- | --- |"]
        for name, one in strategies.items():
            lines.append(f"| [`{name}`](strategies/{name}.md) | {one.summary} | {one.cost} | {_rules(one, '')} |")
    return "\n".join([*lines, "", f"In costs: {legend(*SYMBOLS)}."]) + "\n"


def _rules(strategy: type[Strategy], up: str) -> str:
    return ", ".join(f"[{rule}]({up}rules.md#{rule})" for rule in strategy.rules)


def _page(name: str) -> Iterator[str]:
    found = {family: strategies[name] for family, strategies in FAMILIES.items() if name in strategies}
    yield from (f"# {name}", "", _WRITTEN.format(name))
    for family, strategy in found.items():
        yield from ("", f"## For {family}", "", f"*{strategy.summary}.*", "")
        yield from ideas(strategy)
        yield from ("", f"**Theorems.** {_rules(strategy, '../')}.")
        yield from ("", f"**Cost.** {strategy.cost} ({legend(strategy.cost)}).")
        yield from ("", f"**Origin.** {strategy.origin}")
        papers = cited(strategy.origin).items()
        yield from ("", *(f"- {citation}: [{paper.title}]({paper.address}). {paper.venue}." for citation, paper in papers))
        yield from ("", f"**Bound 0%.** {strategy.vacuous} See also [my bound is 0%](../vacuous.md).")
        yield from ("", *_switches(strategy, _EXAMPLES[family]))


def _switches(strategy: type[Strategy], example: str) -> Iterator[str]:
    """What may be set, and what `prover frontier` tries."""
    if not strategy.switches():
        yield "**Switches.** None."
        return
    sweep = strategy.sweep(_problem(example))
    model = example.partition("/")[2]
    settings = f"{len(sweep)} setting{'s' * (len(sweep) > 1)}"
    yield "**Switches** (`--set key=value`). The last column is the default sweep: what `prover frontier`, `interpret` and"
    yield f"`study` try. For the shipped `{model}` these make {settings}."
    if "sweep" in vars(strategy):
        yield f"In words: {inspect.cleandoc(strategy.sweep.__doc__ or '')}"
    yield from ("", "| switch | default | meaning | sweep |", "| --- | ---: | --- | --- |")
    for one in strategy.switches():
        tried = dict.fromkeys(getattr(setting, one.name) for setting in sweep)
        values = ", ".join(map(str, sorted(tried)))
        yield f"| `{one.name}` | {one.default} | {one.metadata.get('meaning', '')} | {values} |"


@cache
def _problem(example: str) -> Problem:
    path = _SHIPPED / f"{example}.safetensors"
    automaton = path.with_suffix(".json")
    given = read_automaton(automaton) if automaton.exists() else None
    return problem_about(read_model(path), torch.device("cpu"), automaton=given)
