"""One process at a time in a folder: who is there is told, who is gone is not waited for."""

import json
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TypeAlias

import pytest
from click.testing import CliRunner

import prover
from prover.commands import cli
from prover.studies.sole_use import InUse, sole_use

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "certificates" / "models" / "max-of-4.safetensors"
LOCK = "in-use.lock"


def gone() -> int:
    """The number of a process that has ended."""
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def test_only_one_gets_in(tmp_path: Path) -> None:
    with sole_use(tmp_path / "new"):
        with pytest.raises(InUse, match=f"process {os.getpid()} on .* works in .*new: wait for it"), sole_use(tmp_path / "new"):
            pass
        assert (tmp_path / "new" / LOCK).exists(), "whoever is refused takes nobody's lock away"
        with sole_use(tmp_path / "other"):
            pass
    with sole_use(tmp_path / "new"):
        pass
    assert not list((tmp_path / "new").iterdir())


def test_it_is_free_again_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), sole_use(tmp_path):
        raise KeyboardInterrupt
    with sole_use(tmp_path):
        pass


@pytest.mark.parametrize("content", [json.dumps({"pid": 1, "host": "elsewhere"}), "", "{}", "[]", '{"pid": "x", "host": 1}'])
def test_what_cannot_be_known_is_respected(content: str, tmp_path: Path) -> None:
    (tmp_path / LOCK).write_text(content)
    with pytest.raises(InUse, match=f"if it is no more, delete .*{LOCK}"), sole_use(tmp_path):
        pass
    assert (tmp_path / LOCK).read_text() == content


def test_a_lock_that_was_left_behind_is_taken_over(tmp_path: Path) -> None:
    with sole_use(tmp_path):
        left = json.loads((tmp_path / LOCK).read_text())
    (tmp_path / LOCK).write_text(json.dumps({**left, "pid": gone()}))
    with sole_use(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text()) == left
    assert not list(tmp_path.iterdir())


def test_a_lock_that_was_never_written_is_taken_over_after_a_minute(tmp_path: Path) -> None:
    (tmp_path / LOCK).touch()
    with pytest.raises(InUse), sole_use(tmp_path):
        pass
    before = time.time() - 61
    os.utime(tmp_path / LOCK, (before, before))
    with sole_use(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()
    assert not list(tmp_path.iterdir())


Event: TypeAlias = "multiprocessing.synchronize.Event"


def _try_it(folder: Path, start: Event, leave: Event, ahead: "multiprocessing.Queue[bool]") -> None:
    start.wait()
    try:
        with sole_use(folder):
            ahead.put(True)
            leave.wait(10)
    except InUse:
        ahead.put(False)


def test_of_several_that_find_a_lock_left_behind_one_gets_in(tmp_path: Path) -> None:
    with sole_use(tmp_path):
        left = json.loads((tmp_path / LOCK).read_text())
    (tmp_path / LOCK).write_text(json.dumps({**left, "pid": gone()}))
    context = multiprocessing.get_context("fork")
    start, leave, ahead = context.Event(), context.Event(), context.Queue()
    processes = [context.Process(target=_try_it, args=(tmp_path, start, leave, ahead)) for _ in range(4)]
    for process in processes:
        process.start()
    start.set()
    assert sorted(ahead.get(timeout=60) for _ in processes) == [False] * 3 + [True]
    leave.set()
    for process in processes:
        process.join(60)


def test_studies_and_frontiers_keep_others_out(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text('[models]\nrecipe = "max-of-k"\nseeds = [1, 1]\n')
    commands = (["frontier", MODEL], ["study", tmp_path / "study.toml"], ["search", MODEL, "--family", "low-rank"])
    with sole_use(tmp_path / "out"):
        for command in commands:
            refused = CliRunner().invoke(cli, [*map(str, command), "-o", str(tmp_path / "out")])
            assert refused.exit_code != 0 and isinstance(refused.exception, InUse), refused.output
        with pytest.raises(InUse):
            prover.frontier(MODEL, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())
