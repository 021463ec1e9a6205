"""Run tests on request, each time in a child of this process, which has imported the libraries that take seconds to import.

A request is a line {"tests": [...], "thorough": ...}. Three lines answer: `process` and the child's id, which leads a group of
its own; `case` and the first that failed (not if the child was ended); `code` and pytest's exit code.
"""

import importlib
import json
import os
import sys
from collections.abc import Sequence

import pytest

LIBRARIES = ("hypothesis.strategies", "mpmath", "numpy", "safetensors", "sympy", "torch")
"""Nothing of the project, where the mutants are."""
PLUGINS = ("no:cacheprovider", "no_shrinking", "_hypothesis_pytestplugin")
OPTIONS = ("-x", "-q", "--assert=plain", *(part for name in PLUGINS for part in ("-p", name)), "-m", "")


class FirstFailure:
    """A plugin for pytest: remembers the first case that fails."""

    case = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """After each part of a case."""
        if report.failed and not self.case:
            self.case = report.nodeid


def run(tests: Sequence[str], thorough: bool, answers: int) -> int:
    """What the child does; the exit code."""
    os.setsid()
    os.write(answers, f"process {os.getpid()}\n".encode())
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    if thorough:
        os.environ["THOROUGH"] = "1"
    first = FirstFailure()
    code = int(pytest.main([*OPTIONS, *tests], plugins=[first]))
    os.write(answers, f"case {first.case}\n".encode())
    return code


def main() -> None:
    """Answer requests until there are no more."""
    for name in LIBRARIES:
        importlib.import_module(name)
    answers = os.dup(1)
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if not child:
            code = 3  # pytest's own for an internal error
            try:
                code = run(request["tests"], request["thorough"], answers)
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        os.write(answers, f"code {os.waitstatus_to_exitcode(status)}\n".encode())


if __name__ == "__main__":
    main()
