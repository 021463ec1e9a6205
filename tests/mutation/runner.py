"""Try mutants on copies of the project, several at once; what was caught is remembered (mutants-out/) and not tried again.

A result is kept under a digest of the mutant, of all that is trusted, and of the sources of the tests named with it. Whatever
changes among these is tried anew. Every test must pass on the unchanged project before a failure of it means anything.
"""

import argparse
import ast
import hashlib
import json
import os
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
COPIED = (*TRUSTED, "prover", "tests")
PATIENCE = 3600
"""Seconds after which a test counts as failed: a mutant may run for ever."""
NOT_RUN = {4, 5}
"""Exit codes of pytest where no test was run: there is no test of this name."""


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

    @staticmethod
    def read() -> "Memory":
        """What the file holds; a last line that was cut off is nothing."""
        memory = Memory()
        files = [path for top in TRUSTED for path in (ROOT / top).rglob("*") if path.is_file() and path.suffix != ".pyc"]
        memory.trusted = digest_of(files)
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

    def add(self, mutant: Mutant, caught_by: str | None, seconds: float) -> None:
        """Remember a result."""
        key = self.key(mutant)
        self.known[key] = caught_by is not None
        record = {"key": key, "caught": caught_by is not None, "by": caught_by, "seconds": round(seconds, 1), **asdict(mutant)}
        RESULTS.parent.mkdir(exist_ok=True)
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")


# --- one mutant ---------------------------------------------------------------------------------------------------------------


class Stopped(Exception):
    """The run was interrupted while a test was under way."""


@dataclass
class Workers:
    """Copies of the project, one for each worker, and the tests that run in them."""

    copies: SimpleQueue[Path] = field(default_factory=SimpleQueue)
    running: set[subprocess.Popen[bytes]] = field(default_factory=set)
    stopped: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fails(self, test: str, copy: Path, thorough: bool) -> bool:
        """Whether a test fails in a copy, drawing as many cases as `make test` or as `make thorough`.

        Raises ValueError if there is no such test.
        """
        # No byte code: a mutant and its original may have the same size, and be written in the same second.
        path = f"{copy}:{Path(__file__).parent}"  # the latter for the plugin
        settings = {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
        settings |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # some take a second to import
        settings |= {"THOROUGH": "1"} if thorough else {}
        plugins = ("no:cacheprovider", "no_shrinking", "_hypothesis_pytestplugin")
        options = ["-x", "-q", *(part for name in plugins for part in ("-p", name)), "-m", ""]
        with self.lock:
            if self.stopped:
                raise Stopped
            process = subprocess.Popen(
                [sys.executable, "-m", "pytest", *options, test],
                cwd=copy,
                env={**os.environ, **settings},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C reaches this process only, which then ends its tests and theirs
            )
            self.running.add(process)
        try:
            code = process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            kill(process)
            return True
        finally:
            with self.lock:
                self.running.discard(process)
        if self.stopped:
            raise Stopped
        if code in NOT_RUN:
            raise ValueError(f"there is no test {test}")
        return bool(code)

    def try_one(self, mutant: Mutant) -> str | None:
        """A test that fails on a copy of the project with this mutant in it: most are caught by a quarter of the cases."""
        copy = self.copies.get()
        try:
            with mutated(copy, mutant):
                tries = ((test, thorough) for thorough in (False, True) for test in mutant.tests)
                return next((test for test, thorough in tries if self.fails(test, copy, thorough)), None)
        finally:
            self.copies.put(copy)

    def stop(self) -> None:
        """End all tests."""
        with self.lock:
            self.stopped = True
            for process in self.running:
                kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a test and the processes that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


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


def unchanged(test: str) -> Mutant:
    """No mutant at all, which a test must not notice."""
    return Mutant("", "", "", (test,))


def hunt(
    workers: Workers, memory: Memory, mutants: Sequence[Mutant], jobs: int, say: Callable[[Mutant, str | None], str]
) -> list[Mutant]:
    """Try all mutants; says what became of each, and how long the rest will take. Returns those that no test noticed."""
    survivors, started = [], time.monotonic()

    def attempt(mutant: Mutant) -> tuple[Mutant, str | None, float]:
        before = time.monotonic()
        return mutant, workers.try_one(mutant), time.monotonic() - before

    with ThreadPoolExecutor(jobs) as pool:
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


def run(mutants: Sequence[Mutant], jobs: int) -> int:
    """Try these mutants; the exit status: 0 if all were caught, 1 if not, 2 if tests fail without any."""
    memory = Memory.read()
    stale = [mutant for mutant in mutants if mutant.old not in (ROOT / mutant.file).read_text(encoding="utf-8")]
    for mutant in stale:
        print(f"STALE     {mutant.file}: {mutant.old!r} is not there any more", flush=True)
    fresh = [mutant for mutant in mutants if mutant not in stale]
    todo = [mutant for mutant in fresh if not memory.known.get(memory.key(mutant))]
    tests = list(dict.fromkeys(test for mutant in todo for test in mutant.tests))
    controls = [unchanged(test) for test in tests]
    controls = [control for control in controls if memory.known.get(memory.key(control)) is not False]
    print(f"{len(mutants)} mutants, {len(fresh) - len(todo)} of them known to be caught; {jobs} at a time", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        workers = Workers()
        for number in range(jobs):
            copy = Path(folder) / str(number)
            for name in COPIED:
                shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
            shutil.copy(ROOT / "pyproject.toml", copy)
            workers.copies.put(copy)
        passing = hunt(workers, memory, controls, jobs, lambda m, by: f"{'FAILS' if by else 'passes'} unchanged: {m.tests[0]}")
        if len(passing) < len(controls):
            print("tests fail without any mutant: what they say of mutants means nothing")
            return 2
        survivors = hunt(workers, memory, todo, jobs, described)
    for mutant in survivors:
        print(described(mutant, None))
    print(f"{len(fresh) - len(survivors)} of {len(mutants)} mutants caught, {len(survivors)} survived, {len(stale)} stale")
    return 1 if survivors or stale else 0


def described(mutant: Mutant, caught_by: str | None) -> str:
    """One line."""
    return f"{'caught   ' if caught_by else 'SURVIVED '} {mutant.file}: {mutant.old!r} -> {mutant.new!r}"


def main(mutants: Sequence[Mutant]) -> int:
    """Try all mutants, or those of some files; the exit status."""
    parser = argparse.ArgumentParser(description="Weaken the checker in one place at a time and see that a test fails.")
    parser.add_argument("file", nargs="?", default="", help="only mutants of files whose name contains this")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many at a time (default: one per core)")
    arguments = parser.parse_args()
    chosen = [mutant for mutant in mutants if arguments.file in mutant.file]
    try:
        return run(chosen, max(1, arguments.jobs))
    except KeyboardInterrupt:
        print("\ninterrupted; the same command goes on from here (results so far: mutants-out/results.jsonl)")
        return 130
    except ValueError as error:
        print(f"Error: {error}")
        return 2
