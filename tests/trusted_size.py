"""The size of the code that must be trusted: `make size` prints it, and writes the table from which verdicts take theirs.

Counted are lines that hold code: no blank lines, comments or docstrings. The *core* is what deciding imports, directly or not,
but for the rules, and the kinds of models, tasks and statements; these need their files and what those import beyond the core.
What checks a kind of statement is counted with the rules that establish it. Packages' `__init__` files only pass names on (a
test sees to it) and are not counted, but for the registry of rules, which is part of the core.
`checker/reporting` and `checker/crosscheck` are not counted: no verdict in integers depends on them.
"""

import ast
import io
import json
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DECIDING = "checker/decide.py"
REGISTRY = "checker/registry.py"
AUTOMATA = "certificates/automaton.py"
PARALLEL = "checker/core/parallel.py"
"""What divides a check between processes, where more than one is asked for."""
ARCHITECTURES = "certificates/architectures.py"
TABLE = ROOT / "checker" / "reporting" / "trusted_lines.json"
REFRESH = "the table of trusted lines is out of date: run `make size` (or `python tests/trusted_size.py --write`)"
_LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def code_lines(source: str) -> int:
    """Lines of a module with at least one token that is not a comment or part of a docstring."""
    documentation: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            documentation.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _LAYOUT:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - documentation)


def imported(file: str, root: Path = ROOT) -> set[str]:
    """The files of `certificates` and `checker` that a file names in an import, wherever in it that stands."""
    names: set[str] = set()
    for node in ast.walk(ast.parse((root / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute"
            names |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return set(_files(names, root))


def _files(modules: set[str], root: Path) -> Iterator[str]:
    for module in modules:
        if module.split(".")[0] in ("certificates", "checker"):
            path = module.replace(".", "/")
            yield from (name for name in (f"{path}.py", f"{path}/__init__.py") if (root / name).exists())


def registered(name: str, root: Path = ROOT) -> dict[str, str]:
    """The entries of a table in the registry (keys as written there), and the files of what they name."""
    modules, found = _registry(name, root)
    assert isinstance(found, ast.Dict)
    return {
        ast.unparse(key).strip("'"): modules[ast.unparse(value)]
        for key, value in zip(found.keys, found.values, strict=True)
        if key is not None
    }


def rules(root: Path = ROOT) -> dict[str, str]:
    """The rules, by their names, and the files of the functions that apply them."""
    modules, families = _registry("_FAMILIES", root)
    functions = [node.id for node in ast.walk(families) if isinstance(node, ast.Name)]
    return {function.replace("_", "-"): modules[function] for function in sorted(functions)}


def _registry(name: str, root: Path) -> tuple[dict[str, str], ast.expr]:
    """The files of what the registry imports, and a value that it defines."""
    tree = ast.parse((root / REGISTRY).read_text(encoding="utf-8"))
    modules = {
        alias.name: str(node.module).replace(".", "/") + ".py"
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    values = {ast.unparse(node.target): node.value for node in tree.body if isinstance(node, ast.AnnAssign)}
    found = values[name]
    assert found is not None
    return modules, found


def statements(root: Path = ROOT) -> set[str]:
    """The files that define the statements in the registry, and those of what checks them."""
    kinds = registered("STATEMENTS", root)
    return {
        file
        for file in imported(REGISTRY, root)
        for node in ast.parse((root / file).read_text(encoding="utf-8")).body
        if file in kinds.values() or (isinstance(node, ast.ClassDef) and node.name in kinds)
    }


def architectures(root: Path = ROOT) -> tuple[set[str], dict[str, str]]:
    """The files that define architectures, and what the configurations of a class are called."""
    files = {file for file in imported(ARCHITECTURES, root) if "tensor_shapes" in (root / file).read_text(encoding="utf-8")}
    return files, {
        node.name: ast.literal_eval(line.value)
        for file in files
        for node in ast.parse((root / file).read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
        for line in node.body
        if isinstance(line, ast.AnnAssign) and ast.unparse(line.target) == "architecture" and line.value is not None
    }


def closure(start: str, without: set[str], root: Path = ROOT) -> set[str]:
    """A file, and all that it imports, directly or not, leaving out some files."""
    found: set[str] = set()
    waiting = {start}
    while waiting:
        file = waiting.pop()
        found.add(file)
        waiting |= (
            {name for name in imported(file, root) if name == REGISTRY or not name.endswith("__init__.py")} - found - without
        )
    return found


def table(root: Path = ROOT) -> dict[str, Any]:
    """The files of the core, those that each rule and each kind of task needs beyond it, and the lines of each file."""
    of_functions, tasks, (defined, names) = rules(root), registered("TASKS", root), architectures(root)
    core = closure(DECIDING, {*of_functions.values(), *tasks.values(), *statements(root), *defined, AUTOMATA}, root)
    of_rules = {rule: closure(file, core, root) for rule, file in of_functions.items()}
    names = {**names, "Automaton": "automata", '{"name":"sorted-lists"}': "sorted-lists"}
    of_tasks = {names[kind]: closure(file, core, root) for kind, file in tasks.items()}
    processes = closure(PARALLEL, core, root)
    files = sorted(core.union(*of_rules.values(), *of_tasks.values(), processes))
    return {
        "core": sorted(core),
        "processes": sorted(processes),
        "lines": {file: code_lines((root / file).read_text(encoding="utf-8")) for file in files},
        "rules": {rule: sorted(found) for rule, found in sorted(of_rules.items())},
        "tasks": {kind: sorted(found) for kind, found in sorted(of_tasks.items())},
    }


def main() -> None:
    """Print the table; with --write, also write it where the checker finds it."""
    found = table()
    lines = found["lines"]

    def size(files: set[str]) -> int:
        return sum(lines[file] for file in files)

    for file in found["core"]:
        print(f"{lines[file]:6} {file}")
    print(f"{size(found['core']):6} the core\n")
    for rule, files in {**found["rules"], **{f"tasks for {name}": files for name, files in found["tasks"].items()}}.items():
        parts = sorted(files, key=lambda file: -lines[file])
        print(f"{size(files):6} {rule}: {', '.join(f'{Path(file).stem} {lines[file]}' for file in parts)}")
    print(f"{size(found['processes']):6} several processes: --jobs")
    everything = set(lines)
    print(f"{size(everything - set(found['core'])):6} all rules together, and several processes\n{size(everything):6} in all")
    others = {str(path.relative_to(ROOT)) for folder in ("certificates", "checker") for path in ROOT.glob(f"{folder}/**/*.py")}
    print("\nno verdict in integers depends on")
    for file in sorted(others - everything):
        count = code_lines((ROOT / file).read_text(encoding="utf-8"))
        if count:
            print(f"{count:6} {file}")
    if "--write" in sys.argv[1:]:
        TABLE.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
