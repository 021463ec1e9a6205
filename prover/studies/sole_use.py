"""One process at a time in a folder of results: a second one would do everything twice.

Whoever works there leaves the file `in-use.lock`, with its process and machine, and removes it at the end. The lock of a
process that is no more, as after a power failure, is removed by the next one, and so is one that still does not say whose it is
after a minute; of processes of other machines nothing is known.
"""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NAME, _SECONDS_TO_WRITE = "in-use.lock", 60


class InUse(RuntimeError):
    """Another process works in the folder; the message names it, and what to do if that is not so."""


@contextmanager
def sole_use(folder: Path) -> Iterator[None]:
    """Nobody else gets the folder meanwhile. Raises InUse if somebody has it."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / _NAME
    if not _taken(file):
        _clear_if_left_behind(file)
        if not _taken(file):
            raise InUse(_told(file))
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def _taken(file: Path) -> bool:
    """Whether the lock could be made; that it is not there yet is tested in the same moment (O_EXCL)."""
    try:
        descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
    return True


def _holder(file: Path) -> tuple[int, str] | None:
    """Process and machine; None if the lock does not say (it is just being written, or is no more)."""
    try:
        found = json.loads(file.read_bytes())
        return int(found["pid"]), str(found["host"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _clear_if_left_behind(file: Path) -> None:
    """Remove the lock of a process that is no more. One of several moves it away; if it turns out to be new, it is put back."""
    holder = _holder(file)
    if _being_written(file) if holder is None else holder[1] != socket.gethostname() or _runs(holder[0]):
        return
    aside = file.with_name(f"{_NAME}.{os.getpid()}")
    try:
        file.rename(aside)
        if _holder(aside) != holder:
            os.link(aside, file)
    except (FileNotFoundError, FileExistsError):
        pass
    aside.unlink(missing_ok=True)


def _being_written(file: Path) -> bool:
    """Not if it has been there for long, as when its process ended in between."""
    try:
        return time.time() - file.stat().st_mtime < _SECONDS_TO_WRITE
    except FileNotFoundError:
        return True


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        pass
    return True


def _told(file: Path) -> str:
    holder = _holder(file)
    who = "another process" if holder is None else f"process {holder[0]} on {holder[1]}"
    return f"{who} works in {file.parent}: wait for it, or name another folder; if it is no more, delete {file}"
