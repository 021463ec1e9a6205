"""The recipe for tasks of one's own: it learns, comes out the same twice, and its file is ready for proofs."""

from pathlib import Path

import pytest
from click.testing import CliRunner

import prover.commands
from certificates import read_model
from certificates.automaton import read_automaton
from checker import verify


def run(*arguments: object) -> str:
    result = CliRunner().invoke(prover.commands.cli, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result.output


SMALL = ("--heads", 1, "--d-model", 16, "--d-head", 8, "--d-mlp", 16, "--batch", 64, "--steps", 300)


@pytest.mark.parametrize(
    "sizes", [(), ("--norm", "LN", "--layers", 2), ("--norm", "RMS"), ("--positions", "alibi", "--pad-token", 0)], ids=str
)
def test_trained_and_proved(sizes: tuple[object, ...], tmp_path: Path) -> None:
    """Is the sum of four bits odd? Few steps are enough for more than half, and every file is what proofs expect."""
    run("task", "parity", "length=4", "-o", tmp_path / "parity.json")
    models = [tmp_path / name for name in ("a.safetensors", "b.safetensors")]
    for model in models:
        out = run("train", "own-task", tmp_path / "parity.json", *SMALL, *sizes, "--seed", 3, "-o", model)
        assert read_model(model).digest() in out
    assert models[0].read_bytes() == models[1].read_bytes()
    automaton = read_automaton(tmp_path / "a.json")
    assert read_model(models[0]).task == {"automaton": automaton.digest} and automaton.count() == 16
    run("prove", models[0], "--strategy", "enumerate", "--precision", 50, "-o", tmp_path / "proof.cert")
    verdict = verify(tmp_path / "proof.cert", models[0])
    assert verdict.accepted and verdict.correct is not None and verdict.correct > 8


def test_the_task_needs_a_file_of_its_own(tmp_path: Path) -> None:
    run("task", "parity", "length=4", "-o", tmp_path / "parity.json")
    arguments = ("train", "own-task", tmp_path / "parity.json", "--steps", 0, "-o", tmp_path / "parity.json")
    result = CliRunner().invoke(prover.commands.cli, [str(argument) for argument in arguments])
    assert result.exit_code == 1 and "is where the task goes" in result.output
