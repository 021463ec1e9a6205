"""Try mutants on copies of the project, several at once; what was caught is remembered (mutants-out/) and not tried again.

A result is kept under a digest of the mutant, of all that is trusted, and of the sources of the tests named with it. Whatever
changes among these is tried anew. Every test must pass on the unchanged project before a failure of it means anything.

Most mutants are caught by a quarter of the cases, as `make test` draws them; all cases are drawn for the others. First come
the cases that caught mutants of the same file before, then those that call the function in which the mutant is (so they did on
the unchanged project), the quickest first, then all others.
"""

import argparse
import ast
import compileall
import hashlib
import json
import os
import py_compile
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from queue import SimpleQueue

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "mutants-out" / "results.jsonl"
TRUSTED = ("checker", "certificates")
COPIED = (*TRUSTED, "prover", "tests", "docs")
PATIENCE = 1200
"""Seconds after which a case counts as failed, as a mutant may run for ever; a quarter of it where few cases are drawn."""
NOT_RUN = {4, 5}
"""Exit codes of pytest where no test was run: there is no test of this name."""
LAST_CASES = 12
"""So many of the cases that caught mutants of a file are tried first on the next one."""


@dataclass(frozen=True)
class Mutant:
    """One replacement, and the tests that should notice it."""

    file: str
    old: str
    new: str
    tests: tuple[str, ...]


# --- what is known already ----------------------------------------------------------------------------------------------------


def sources_of(test: str) -> set[Path]:
    """A test's file, and the files beside the tests that it imports, directly or not."""
    folders = [folder for folder in (ROOT / "tests").iterdir() if folder.is_dir()]
    found: set[Path] = set()
    todo = [ROOT / test.partition("::")[0]]
    while todo:
        path = todo.pop()
        if path in found or not path.exists():
            continue
        found.add(path)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            todo += [folder / f"{name}.py" for name in names for folder in folders]
    return found


def digest_of(paths: Sequence[Path]) -> str:
    """Of names and contents."""
    state = hashlib.sha256()
    for path in sorted(paths):
        content = path.read_bytes()
        state.update(f"{path.relative_to(ROOT)}\0{len(content)}\0".encode() + content)
    return state.hexdigest()


@dataclass
class Memory:
    """The results of earlier runs, and of this one: a line of JSON each."""

    known: dict[str, bool] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    trusted: str = ""
    called: dict[str, "Cases"] = field(default_factory=dict)

    @staticmethod
    def read() -> "Memory":
        """What the file holds; a last line that was cut off is nothing."""
        memory = Memory()
        memory.trusted = digest_of([path for top in TRUSTED for path in (ROOT / top).rglob("*.py")])
        for line in RESULTS.read_text(encoding="utf-8").splitlines() if RESULTS.exists() else []:
            try:
                record = json.loads(line)
                memory.known[record["key"]] = record["caught"]
            except (ValueError, KeyError, TypeError):
                continue
        return memory

    def key(self, mutant: Mutant) -> str:
        """Under which a result is kept."""
        for test in mutant.tests:
            if test not in self.digests:
                self.digests[test] = digest_of(list(sources_of(test)))
        content = [asdict(mutant), self.trusted, [self.digests[test] for test in mutant.tests]]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def cases_file(self, test: str) -> Path:
        """Where it is kept what the cases of a test call."""
        return RESULTS.parent / "cases" / f"{self.key(unchanged(test, thorough=False))}.json"

    def cases(self, test: str) -> "Cases":
        """What the cases of a test call."""
        if test not in self.called:
            self.called[test] = Cases.read(self.cases_file(test))
        return self.called[test]

    def passes(self, control: Mutant) -> bool:
        """Whether a test is known to pass without any mutant."""
        return self.known.get(self.key(control)) is False and self.cases_file(control.tests[0]).exists()

    def add(self, mutant: Mutant, caught_by: str | None, seconds: float) -> None:
        """Remember a result."""
        key = self.key(mutant)
        self.known[key] = caught_by is not None
        record = {"key": key, "caught": caught_by is not None, "by": caught_by, "seconds": round(seconds, 1), **asdict(mutant)}
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")


# --- one mutant ---------------------------------------------------------------------------------------------------------------


class Stopped(Exception):
    """The run was interrupted while a test was under way."""


@dataclass
class Nursery:
    """A copy of the project, and the process whose children run tests in it."""

    copy: Path
    process: subprocess.Popen[str]
    child: int | None = None

    @staticmethod
    def of(copy: Path) -> "Nursery":
        """Copies the project and starts the process."""
        for name in COPIED:
            if (ROOT / name).exists():
                shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        # Byte code goes by the source's digest: a mutant and its original may have the same size and second of writing.
        compileall.compile_dir(copy, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
        settings = {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
        settings |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # some take a second to import
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("nursery.py"))],
            cwd=copy,
            env={**os.environ, **settings},
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C reaches this process only, which then ends the others
        )
        return Nursery(copy, process)

    def run(
        self, tests: Sequence[str], thorough: bool, first: Sequence[str] = (), record: Path | None = None
    ) -> tuple[int, str]:
        """Run tests, some cases first; pytest's exit code, and the first case that failed, if one is known.

        Raises ValueError if there is no such test.
        """
        assert self.process.stdin and self.process.stdout
        request = {"tests": tests, "thorough": thorough, "first": first, "record": record and str(record)}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        patience, running, failed = self.patience(thorough), "", ""
        try:
            for line in self.process.stdout:
                kind, _, value = line.rstrip("\n").partition(" ")
                if kind == "process":
                    self.child = int(value)
                elif kind == "begins":
                    patience.cancel()
                    patience, running = self.patience(thorough), value
                elif kind == "failed":
                    failed = failed or value
                elif int(value) in NOT_RUN:
                    raise ValueError(f"there is no test among {', '.join(tests)}, or one of them is not there")
                else:
                    return int(value), failed or (running if int(value) < 0 else "")
        finally:
            patience.cancel()
            self.end_child()  # with all that it started
            self.child = None
        raise Stopped

    def patience(self, thorough: bool) -> threading.Timer:
        """Ends the tests under way after a while."""
        timer = threading.Timer(PATIENCE if thorough else PATIENCE / 4, self.end_child)
        timer.start()
        return timer

    def end_child(self) -> None:
        """End the tests under way, and the processes that they started."""
        if self.child is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.child, signal.SIGKILL)

    def end(self) -> None:
        """End everything."""
        self.process.kill()
        self.end_child()
        self.process.wait()


@dataclass
class Cases:
    """What the cases of one test did on the unchanged project: the functions that any of them called, as "file:line", and for
    each case its seconds and the numbers of those that it called.
    """

    functions: dict[str, int]
    cases: dict[str, tuple[float, list[int]]]

    @staticmethod
    def read(path: Path) -> "Cases":
        """From a file of a recorder."""
        record = json.loads(path.read_text(encoding="utf-8"))
        return Cases({name: number for number, name in enumerate(record["functions"])}, record["cases"])


def functions_of(mutant: Mutant) -> set[str]:
    """The functions in which a mutant is, innermost, as "file:line"; none for what is outside of functions."""
    source = (ROOT / mutant.file).read_text(encoding="utf-8")
    starts = [at for at in range(len(source)) if source.startswith(mutant.old, at)]
    lines = {source.count("\n", 0, at) + 1 for at in starts}
    around: dict[int, int] = {}
    for node in ast.walk(ast.parse(source)):  # outer ones first
        if isinstance(node, ast.FunctionDef):
            begin = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            around |= dict.fromkeys(lines.intersection(range(begin, (node.end_lineno or begin) + 1)), begin)
    return {f"{mutant.file}:{begin}" for begin in around.values()}


@dataclass
class Workers:
    """The copies of the project, and what is known of cases that catch mutants."""

    memory: Memory
    all: Sequence[Nursery]
    idle: SimpleQueue[Nursery] = field(default_factory=SimpleQueue)
    catching: dict[str, list[str]] = field(default_factory=dict)
    """For each file the cases that caught a mutant of it, the last one first. Each passes alone without any mutant."""

    def __post_init__(self) -> None:
        """All are idle at first."""
        for nursery in self.all:
            self.idle.put(nursery)

    def order(self, mutant: Mutant) -> list[str]:
        """The cases of a mutant's tests, in the order in which they are tried."""
        functions, rank = functions_of(mutant), dict[str, tuple[bool, float]]()
        for test in mutant.tests:
            known = self.memory.cases(test)
            wanted = {known.functions[name] for name in functions if name in known.functions}
            for case, (seconds, called) in known.cases.items():
                rank[case] = (bool(functions) and wanted.isdisjoint(called), seconds)
        likely = [case for case in self.catching.get(mutant.file, []) if case in rank][:LAST_CASES]
        return list(dict.fromkeys([*likely, *sorted(rank, key=lambda case: rank[case])]))

    def try_one(self, mutant: Mutant, thorough: bool) -> str | None:
        """A case that fails on a copy of the project with this mutant in it, or the tests if the case is not known."""
        nursery = self.idle.get()
        try:
            if not mutant.file:
                return self.try_control(nursery, mutant, thorough)
            with mutated(nursery.copy, mutant):
                code, case = nursery.run(mutant.tests, thorough, self.order(mutant))
            known = self.catching.setdefault(mutant.file, [])
            if case and (case in known or nursery.run([case], thorough)[0] == 0):
                known[:] = [case, *(other for other in known if other != case)]
            return (case or mutant.tests[0]) if code else None
        finally:
            self.idle.put(nursery)

    def try_control(self, nursery: Nursery, control: Mutant, thorough: bool) -> str | None:
        """The same without any mutant; records what the cases call."""
        record = None if thorough else self.memory.cases_file(control.tests[0])
        code, case = nursery.run(control.tests, thorough, record=record)
        if code and record:  # recording takes time, and some tests measure it
            code, case = nursery.run(control.tests, thorough)
        return (case or control.tests[0]) if code else None

    def stop(self) -> None:
        """End all tests."""
        for nursery in self.all:
            nursery.end()


@contextmanager
def mutated(copy: Path, mutant: Mutant) -> Iterator[None]:
    """Put a mutant into a copy, and take it out again. One that names no file changes nothing."""
    path = copy / (mutant.file or "pyproject.toml")
    source = path.read_text(encoding="utf-8")
    path.write_text(source.replace(mutant.old, mutant.new) if mutant.file else source, encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(source, encoding="utf-8")


# --- all of them --------------------------------------------------------------------------------------------------------------


def unchanged(test: str, thorough: bool) -> Mutant:
    """No mutant at all, which a test must not notice, with few cases or with all."""
    return Mutant("", "", "all cases" if thorough else "", (test,))


def hunt(
    workers: Workers, memory: Memory, mutants: Sequence[Mutant], thorough: bool, say: Callable[[Mutant, str | None], str]
) -> list[Mutant]:
    """Try all mutants; says what became of each, and how long the rest will take. Returns those that no test noticed."""
    survivors, started = [], time.monotonic()

    def attempt(mutant: Mutant) -> tuple[Mutant, str | None, float]:
        before = time.monotonic()
        return mutant, workers.try_one(mutant, thorough), time.monotonic() - before

    with ThreadPoolExecutor(len(workers.all)) as pool:
        futures = [pool.submit(attempt, mutant) for mutant in mutants]
        try:
            for number, future in enumerate(as_completed(futures), 1):
                mutant, caught_by, seconds = future.result()
                memory.add(mutant, caught_by, seconds)
                survivors += [mutant] if caught_by is None else []
                left = (time.monotonic() - started) / number * (len(mutants) - number)
                print(f"[{number}/{len(mutants)}, {left / 60:.0f} min left] {say(mutant, caught_by)}", flush=True)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            workers.stop()
            raise
    return survivors


def hunt_all(workers: Workers, memory: Memory, mutants: Sequence[Mutant]) -> list[Mutant] | None:
    """Try all with few cases, then all cases on those that nothing noticed, which are returned.

    None if tests fail without any mutant.
    """
    for thorough in (False, True):
        controls = [unchanged(test, thorough) for test in dict.fromkeys(test for mutant in mutants for test in mutant.tests)]
        controls = [control for control in controls if not memory.passes(control)]
        passing = hunt(workers, memory, controls, thorough, control_described)
        if len(passing) < len(controls):
            return None
        mutants = hunt(workers, memory, mutants, thorough, described if thorough else first_described)
    return list(mutants)


def run(mutants: Sequence[Mutant], jobs: int) -> int:
    """Try these mutants; the exit status: 0 if all were caught, 1 if not, 2 if tests fail without any."""
    memory = Memory.read()
    (RESULTS.parent / "cases").mkdir(parents=True, exist_ok=True)
    stale = [mutant for mutant in mutants if mutant.old not in (ROOT / mutant.file).read_text(encoding="utf-8")]
    for mutant in stale:
        print(f"STALE     {mutant.file}: {mutant.old!r} is not there any more", flush=True)
    fresh = [mutant for mutant in mutants if mutant not in stale]
    todo = [mutant for mutant in fresh if not memory.known.get(memory.key(mutant))]
    print(f"{len(mutants)} mutants, {len(fresh) - len(todo)} of them known to be caught; {jobs} at a time", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        workers = Workers(memory, [Nursery.of(Path(folder) / str(number)) for number in range(jobs)])
        try:
            survivors = hunt_all(workers, memory, todo)
        finally:
            workers.stop()
    if survivors is None:
        print("tests fail without any mutant: what they say of mutants means nothing")
        return 2
    for mutant in survivors:
        print(described(mutant, None))
    print(f"{len(fresh) - len(survivors)} of {len(mutants)} mutants caught, {len(survivors)} survived, {len(stale)} stale")
    return 1 if survivors or stale else 0


def control_described(control: Mutant, failed: str | None) -> str:
    """One line."""
    return f"{'FAILS' if failed else 'passes'} unchanged: {control.tests[0]}"


def first_described(mutant: Mutant, caught_by: str | None) -> str:
    """One line, where nothing is said yet of mutants that were not caught."""
    return described(mutant, caught_by).replace("SURVIVED ", "later    ", 1)


def described(mutant: Mutant, caught_by: str | None) -> str:
    """One line."""
    return f"{'caught   ' if caught_by else 'SURVIVED '} {mutant.file}: {mutant.old!r} -> {mutant.new!r}"


def merged(mutants: Sequence[Mutant]) -> list[Mutant]:
    """Each mutant once, with all tests that are named with it."""
    tests: dict[tuple[str, str, str], dict[str, None]] = {}
    for mutant in mutants:
        tests.setdefault((mutant.file, mutant.old, mutant.new), {}).update(dict.fromkeys(mutant.tests))
    return [Mutant(*replacement, tuple(named)) for replacement, named in tests.items()]


def main(mutants: Sequence[Mutant]) -> int:
    """Try all mutants, or those of some files; the exit status."""
    parser = argparse.ArgumentParser(description="Weaken the checker in one place at a time and see that a test fails.")
    parser.add_argument("file", nargs="?", default="", help="only mutants of files whose name contains this")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many at a time (default: one per core)")
    arguments = parser.parse_args()
    chosen = merged([mutant for mutant in mutants if arguments.file in mutant.file])
    try:
        return run(chosen, max(1, arguments.jobs))
    except KeyboardInterrupt:
        print("\ninterrupted; the same command goes on from here (results so far: mutants-out/results.jsonl)")
        return 130
    except ValueError as error:
        print(f"Error: {error}")
        return 2
