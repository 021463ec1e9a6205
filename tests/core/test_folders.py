"""The floors of the house: every part imports only what stands on floors below it, so there are no cycles.

A *part* is a folder, or a file that stands in none. The floors are written down here, from the ground up; what a part imports
is read from its source. Parts on one floor do not see each other: attention and layers, above all.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

FLOORS: Mapping[str, Sequence[frozenset[str]]] = {
    "prover": [
        frozenset({"weights", "problem", "error_terms", "approximate", "spelling"}),  # models as tensors; what is to be proved
        frozenset({"surrogate"}),  # what would be proved, differentiable
        frozenset({"strategy", "papers"}),  # what a strategy is; where ideas of strategies were published
        frozenset({"bases", "deployed", "layouts", "state_files", "tasks"}),  # what both families need; automata; others' files
        frozenset({"attention", "layers", "known_tasks"}),  # what the strategies of a family share
        frozenset({"transformer"}),  # what the strategies for transformers of any depth share
        frozenset({"strategies", "proving", "training"}),  # ways to search; from what was found to a certificate; models
        frozenset(
            {"attack", "comparing", "importing", "studies"}
        ),  # wrong inputs; models of others; many proofs, compared, and pages about them
        frozenset({"provenance", "representations"}),  # what was imported; factorisations searched by what they prove
        frozenset({"python"}),  # all of it from Python
        frozenset({"commands"}),
        frozenset({"__main__"}),
    ],
    "checker": [
        frozenset({"core"}),
        frozenset({"rules", "crosscheck"}),  # what any family may use; a second arithmetic
        frozenset({"attention", "layers", "transformer"}),  # the rules of a family
        frozenset({"registry"}),  # the registry: the one place that knows all rules
        frozenset({"decide"}),  # what applies them
        frozenset({"reporting"}),
        frozenset({"__main__", "public"}),  # the public names, which the package passes on
    ],
}


def modules(package: str) -> Iterator[tuple[str, ast.Module]]:
    """The parts of a package with the sources of their modules."""
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT / package).with_suffix("").parts
        if parts != ("__init__",):
            yield parts[0], ast.parse(path.read_text(encoding="utf-8"))


def imported(package: str, tree: ast.AST) -> Iterator[str]:
    """The parts of the package that a source imports."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            whole = [*(node.module or "").split(".")]
            is_module = (ROOT.joinpath(*whole, f"{alias.name}.py").exists() for alias in node.names)
            is_folder = (ROOT.joinpath(*whole, alias.name, "__init__.py").exists() for alias in node.names)
            names = [
                f"{node.module}.{alias.name}" if module or folder else str(node.module)
                for alias, module, folder in zip(node.names, is_module, is_folder, strict=True)
            ]
        for name in names:
            first, *rest = name.split(".")
            if first == package and rest:
                yield rest[0]


def arrows(package: str) -> set[tuple[str, str]]:
    """Which part imports which other one."""
    found = {(part, other) for part, tree in modules(package) for other in imported(package, tree)}
    return {(part, other) for part, other in found if part != other}


@pytest.mark.parametrize("package", FLOORS)
def test_every_part_has_a_floor(package: str) -> None:
    named = [part for floor in FLOORS[package] for part in floor]
    assert sorted(named) == sorted({part for part, _ in modules(package)})


@pytest.mark.parametrize("package", FLOORS)
def test_imports_lead_down(package: str) -> None:
    floor = {part: number for number, parts in enumerate(FLOORS[package]) for part in parts}
    upward = {(part, other) for part, other in arrows(package) if floor[other] >= floor[part]}
    assert not upward, "a part imports what does not stand below it"


def test_upward_imports_are_noticed() -> None:
    tree = ast.parse("from prover.commands import options\nimport prover.studies.demo\nfrom prover.strategy import Strategy")
    assert set(imported("prover", tree)) == {"commands", "studies", "strategy"}
    assert set(imported("checker", ast.parse("from checker.registry import RULES"))) == {"registry"}
    assert set(imported("checker", ast.parse("from checker.rules import projections"))) == {"rules"}
    assert set(imported("checker", ast.parse("def f():\n    from checker.core.facts import Fact"))) == {"core"}


@pytest.mark.parametrize("package", ["certificates", "checker", "prover", "tests"])
def test_folders_are_at_most_two_deep(package: str) -> None:
    depths = {len(path.relative_to(ROOT).parent.parts) for path in (ROOT / package).rglob("*.py")}
    assert max(depths) <= 2
