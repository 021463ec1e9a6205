"""Searches that are done, in files beside the certificate to come: an interrupted search goes on where it stopped.

A *search* is that of one read and query. The folder has a file for each, written whole or not at all: every few seconds, and
when the work ends in an exception. A file says which model, task and settings it is about. Nothing here adds trust: what a
search found is a hint, whatever file it comes from.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from certificates import FormatError, __version__, integer_tensor
from certificates.tensor_file import IntArray, read_tensor_file
from certificates.writing import serialize_tensor_file, write_atomically
from prover.problem import Problem
from prover.strategy import Strategy

_SECONDS_BETWEEN_WRITES = 10


@dataclass(frozen=True)
class Found:
    """For one read and query a finer automaton of the regions that are proved; if there are none, the last size is 0."""

    tables: list[IntArray]
    sizes: list[int]


class KeptSearches:
    """What a problem's folder keeps of searches by their reads and queries: nothing if it has none."""

    def __init__(self, problem: Problem, strategy: Strategy) -> None:
        about = {"model": problem.model.digest(), "task": problem.stated_task, "margin": str(problem.margin)}
        made = {"strategy": strategy.name, "settings": asdict(strategy), "version": __version__}
        self._about, self._vocab = about | made, problem.model.config.d_vocab
        self._folder, self._written, self._waiting = problem.folder, time.monotonic(), dict[tuple[int, int], Found]()

    def known(self, read: int, query: int) -> Found | None:
        """What was found before. Raises FormatError if the file is about something else, or none."""
        if self._folder is None or not (file := _file(self._folder, read, query)).exists():
            return None
        try:
            stored = read_tensor_file(file)
            sizes, rows = (stored.tensors[name].integers() for name in ("sizes", "finer"))
            if sizes.ndim != 1 or rows.shape != (1 + int(sizes[:-1].sum()), self._vocab) or min(sizes, default=-1) < 0:
                raise ValueError("tables that do not fit")
            found = Found(np.split(rows, np.cumsum([1, *sizes[:-1]])[:-1]), sizes.tolist())
        except (FormatError, KeyError, ValueError) as error:
            raise FormatError(f"{file} keeps no search ({error}); delete it to start afresh") from error
        key = stored.metadata.get("key")
        if key != self._key_of(read, query):
            raise FormatError(f"{file} belongs to another search ({key}); delete {file.parent}, or name another -o")
        return found

    def add(self, read: int, query: int, found: Found) -> None:
        """Keep what was found."""
        if self._folder is not None:
            self._waiting[read, query] = found
            if time.monotonic() - self._written > _SECONDS_BETWEEN_WRITES:
                self._write()

    def _key_of(self, read: int, query: int) -> str:
        return json.dumps({**self._about, "read": read, "query": query}, sort_keys=True)

    @contextmanager
    def or_written(self) -> Iterator[None]:
        """Whatever exception ends this, all that was found is written first."""
        try:
            yield
        except BaseException:
            self._write()
            raise

    def _write(self) -> None:
        for (read, query), found in self._waiting.items():
            hints = {"sizes": np.array(found.sizes), "finer": np.concatenate(found.tables)}
            tensors = {name: integer_tensor(hint) for name, hint in hints.items()}
            assert self._folder is not None
            write_atomically(
                _file(self._folder, read, query), serialize_tensor_file({"key": self._key_of(read, query)}, tensors)
            )
        self._written = time.monotonic()
        self._waiting.clear()


def _file(folder: Path, read: int, query: int) -> Path:
    return folder / f"read-{read}-query-{query}.safetensors"


def kept_in(folder: Path) -> list[Path]:
    """The files of searches in a folder."""
    return sorted(folder.glob("read-*-query-*.safetensors"))


def forget(folder: Path) -> None:
    """Delete them, and the folder if there is nothing else in it."""
    for file in kept_in(folder):
        file.unlink()
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
