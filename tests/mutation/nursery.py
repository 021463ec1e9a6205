"""Run tests on request, each time in a child of this process, which has imported the libraries that take seconds to import.

A request is a line {"tests": [...], "thorough": .., "first": [...], "record": ..}. The cases of `first` run first, in this
order. If `record` names a file, it will tell for each case how long it took, and which functions of what is trusted it called.
Lines answer: `process` and the child's id, which leads a group of its own; `begins` and a case; `failed` and a case; `code` and
pytest's exit code.
"""

import importlib
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

LIBRARIES = ("hypothesis.strategies", "mpmath", "numpy", "safetensors", "sympy", "torch")
"""Nothing of the project, where the mutants are."""
PLUGINS = ("no:cacheprovider", "no_shrinking", "_hypothesis_pytestplugin")
OPTIONS = ("-x", "-q", "--assert=plain", *(part for name in PLUGINS for part in ("-p", name)), "-m", "")


class Reporter:
    """A plugin for pytest: says which cases begin, and which fail."""

    def __init__(self, answers: int) -> None:
        self.answers = answers

    def say(self, line: str) -> None:
        """A line of the answer."""
        os.write(self.answers, f"{line}\n".encode())

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Before each case."""
        self.say(f"begins {nodeid}")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """After each part of a case."""
        if report.failed:
            self.say(f"failed {report.nodeid}")


class InOrder:
    """A plugin for pytest: these cases first, in this order; each case once."""

    def __init__(self, first: Sequence[str]) -> None:
        self.place = {case: place for place, case in enumerate(first)}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """When all are known."""
        once = {item.nodeid: item for item in items}
        items[:] = sorted(once.values(), key=lambda item: self.place.get(item.nodeid, len(self.place)))


class Recorder:
    """A plugin for pytest: for each case its seconds, and which functions of what is trusted it calls, as numbers in a list."""

    def __init__(self, folders: tuple[str, ...]) -> None:
        self.root = f"{Path.cwd()}{os.sep}"
        self.folders = tuple(self.root + folder + os.sep for folder in folders)
        self.functions: dict[tuple[str, int], int] = {}
        self.cases: dict[str, tuple[float, list[int]]] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Around each case."""
        called: set[tuple[str, int]] = set()

        def trace(frame: FrameType, event: str, argument: object) -> None:
            called.add((frame.f_code.co_filename, frame.f_code.co_firstlineno))

        before = time.monotonic()
        sys.settrace(trace)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            seconds = time.monotonic() - before
            trusted = [function for function in called if function[0].startswith(self.folders)]
            numbers = [self.functions.setdefault(function, len(self.functions)) for function in trusted]
            self.cases[item.nodeid] = (seconds, sorted(numbers))

    def write(self, path: Path) -> None:
        """Files as from the copy's root."""
        functions = [f"{file.removeprefix(self.root)}:{line}" for file, line in self.functions]
        path.write_text(json.dumps({"functions": functions, "cases": self.cases}), encoding="utf-8")


def run(request: dict[str, Any], answers: int) -> int:
    """What the child does; the exit code."""
    os.setsid()
    reporter = Reporter(answers)
    reporter.say(f"process {os.getpid()}")
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    if request["thorough"]:
        os.environ["THOROUGH"] = "1"
    recorder = Recorder(("checker", "certificates"))
    plugins = [reporter, InOrder(request["first"]), *([recorder] if request["record"] else [])]
    code = int(pytest.main([*OPTIONS, *request["tests"]], plugins=plugins))
    if request["record"]:
        recorder.write(Path(request["record"]))
    return code


def main() -> None:
    """Answer requests until there are no more."""
    for name in LIBRARIES:
        importlib.import_module(name)
    answers = os.dup(1)
    for line in sys.stdin:
        child = os.fork()
        if not child:
            code = 3  # pytest's own for an internal error
            try:
                code = run(json.loads(line), answers)
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        os.write(answers, f"code {os.waitstatus_to_exitcode(status)}\n".encode())


if __name__ == "__main__":
    main()
