"""Print the size of the code that must be trusted: checker/ and the parts of certificates/ that it imports.

Counts lines that hold code: no blank lines, comments or docstrings. `python tests/trusted_size.py`.
"""

import ast
import io
import tokenize
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
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


def main() -> None:
    """One line per file, then the total."""
    total = everything = 0
    for path in sorted([*ROOT.glob("certificates/*.py"), *ROOT.glob("checker/**/*.py")]):
        source = path.read_text()
        size = code_lines(source)
        total += size
        everything += len(source.splitlines())
        print(f"{size:6} {path.relative_to(ROOT)}")
    print(f"{total:6} lines of code ({everything} with docstrings, comments and blank lines)")


if __name__ == "__main__":
    main()
