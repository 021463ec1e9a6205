"""The page of rules: each theorem as it stands in its file."""

from checker.reporting.cli import theorem_of
from checker.rules import RULES


def rules_page() -> str:
    """All of them, by name."""
    lines = [
        "# Rules",
        "",
        "(This page is written by `docs/make_pages.py`; `checker rules NAME` prints the same.)",
        "",
        "What the checker can apply: each rule is a theorem. FORMAT.md, section 5, tells what a checker of your own has to do.",
    ]
    for rule, apply in RULES.items():
        file = f"{apply.__module__.replace('.', '/')}.py"
        lines += ["", f"## {rule}", "", f"In `{file}`.", "", "```text", *theorem_of(rule), "```"]
    return "\n".join(lines) + "\n"
