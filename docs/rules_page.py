"""The page of rules: each theorem typeset, and then as it stands in its file."""

import tomllib
from pathlib import Path

from checker.registry import RULES
from checker.reporting.cli import theorem_of

THEOREMS = Path(__file__).with_name("theorems.toml")
"""The typeset ones, by their rules' names."""


def rules_page() -> str:
    """All of them, by name. Raises KeyError if one is not typeset."""
    typeset = tomllib.loads(THEOREMS.read_text())
    lines = [
        "# Rules",
        "",
        "(This page is written by `docs/make_pages.py`; `checker rules NAME` prints the plain text.)",
        "",
        "What the checker can apply: each rule is a theorem. It stands here twice: typeset, for a quick look, and then in the",
        "words of its file, with all definitions and the proof. The latter counts. FORMAT.md, section 5, tells what a checker",
        "of your own has to do.",
    ]
    for rule, apply in RULES.items():
        file = f"{apply.__module__.replace('.', '/')}.py"
        lines += ["", f"## {rule}", "", typeset[rule].strip(), "", f"In `{file}`:", "", "```text", *theorem_of(rule), "```"]
    return "\n".join(lines) + "\n"
