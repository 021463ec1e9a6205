"""Searches of strategy `regions` that are interrupted, and go on where they stopped."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from test_regions import one_layer

import prover.transformer.kept_searches
from certificates import Model, integer_tensor, write_model
from certificates.tensor_file import read_tensor_file
from certificates.writing import serialize_tensor_file
from prover.commands import cli
from prover.strategies.regions import Regions
from prover.tasks import automaton_from, write_automaton
from prover.transformer.finer_automaton import ReadSums

SEARCHES = 3
"""One for each token at the last position."""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A random model and a task: is the sum of three tokens odd?"""
    found = one_layer(7, d_vocab=3, n_ctx=3, d_vocab_out=2, tie_word_embeddings=False)
    automaton = automaton_from(0, lambda odd, token, _: (odd + token) % 2, lambda odd: odd, 3, 3)
    write_model(tmp_path / "model.safetensors", Model(found.config, found.tensors, {"automaton": automaton.digest}))
    write_automaton(tmp_path / "model.json", automaton)
    return tmp_path / "model.safetensors"


def run(model: Path, *settings: str) -> Result:
    arguments = ["prove", str(model), "--strategy", "regions", "-o", str(model.with_name("proof.cert"))]
    return CliRunner().invoke(cli, [*arguments, *(part for setting in settings for part in ("--set", setting))])


def interrupted_at(number: int, patch: pytest.MonkeyPatch) -> list[int]:
    """The search with this number, counted from 0, is interrupted. Returns a list to which each adds its query."""
    searched, genuine = list[int](), Regions.searched

    def searching(self: Regions, sums: ReadSums) -> Any:
        if len(searched) == number:
            raise KeyboardInterrupt
        searched.append(sums.query)
        return genuine(self, sums)

    patch.setattr(Regions, "searched", searching)
    return searched


@pytest.mark.parametrize("number", range(SEARCHES))
@pytest.mark.parametrize("seconds", [0, 10], ids=["written at once", "written in the end"])
def test_the_same_command_goes_on(number: int, seconds: int, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(model).exit_code == 0
    proof, folder = model.with_name("proof.cert"), model.with_name("proof-search")
    whole = proof.read_bytes()
    proof.unlink()
    assert not folder.exists()
    monkeypatch.setattr(prover.transformer.kept_searches, "_SECONDS_BETWEEN_WRITES", seconds)
    with monkeypatch.context() as patch:
        before = interrupted_at(number, patch)
        stopped = run(model)
        assert stopped.exit_code == 1 and not proof.exists() and len(before) == number
        assert len(prover.transformer.kept_searches.kept_in(folder)) == number
    with monkeypatch.context() as patch:
        after = interrupted_at(SEARCHES, patch)
        found = run(model)
    assert found.exit_code == 0 and proof.read_bytes() == whole and not folder.exists()
    assert sorted(before + after) == [0, 1, 2]
    said = f"continuing: {number} part{'s' * (number != 1)} of the search kept in {folder}"
    assert (said in found.output) == (number > 0)


def test_other_settings_and_other_files_are_refused(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        interrupted_at(2, patch)
        run(model)
    folder = model.with_name("proof-search")
    other = run(model, "fine=4")
    assert other.exit_code != 0 and "belongs to another search" in str(other.exception)
    file = prover.transformer.kept_searches.kept_in(folder)[0]
    file.write_bytes(file.read_bytes()[:-1])
    broken = run(model)
    assert broken.exit_code != 0 and "keeps no search" in str(broken.exception)
    file.unlink()
    kept = read_tensor_file(prover.transformer.kept_searches.kept_in(folder)[0])
    for name, shape in (("sizes", (0,)), ("sizes", (2, 1)), ("finer", (1,)), ("finer", (3, 9))):
        tensors = {**kept.tensors, name: integer_tensor(np.zeros(shape, np.int64))}
        file.write_bytes(serialize_tensor_file(kept.metadata, tensors))
        wrong = run(model)
        assert wrong.exit_code != 0 and "keeps no search" in str(wrong.exception)
    file.unlink()
    (folder / "notes.txt").write_text("mine")
    assert run(model).exit_code == 0 and [file.name for file in folder.iterdir()] == ["notes.txt"]


def test_terminated(model: Path) -> None:
    """A process that is told to end keeps what it has found, and says so where it can."""
    script = """
import os, signal, sys
from prover.commands import main
from prover.strategies.regions import Regions
genuine, calls, stop = Regions.searched, [], getattr(signal, sys.argv.pop())
def searching(self, sums):
    calls.append(sums)
    if len(calls) == 3:
        os.kill(os.getpid(), stop)
    return genuine(self, sums)
Regions.searched = searching
main()
"""
    command = [sys.executable, "-c", script, "prove", str(model), "--strategy", "regions", "-o"]
    for name, code in (("SIGTERM", 128 + signal.SIGTERM), ("SIGINT", 130)):
        output = model.with_name(f"{name}.cert")
        done = subprocess.run(
            [*command, str(output), name],
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # shells have background jobs ignore it
        )
        folder = model.with_name(f"{name}-search")
        assert done.returncode == code and len(prover.transformer.kept_searches.kept_in(folder)) == 2, done.stderr
        assert name == "SIGTERM" or f"2 parts of the search kept in {folder}: the same command goes on" in done.stderr
