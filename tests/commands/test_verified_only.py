"""`checker verify --verified-only` asks the extracted checker alone, says what it says, and needs no numpy.

A script stands in for the program here, in processes in which numpy cannot be imported; tests/verified asks the program itself.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import certificates
import certificates.public
import checker
import checker.public

ROOT = Path(__file__).resolve().parents[2]
STATEMENT = {"correct": "5", "margin": "0.25", "model": "ab" * 32, "task": {"name": "max-of-k"}, "total": "8"}
ACCEPTS = {
    "accepted": True,
    "axioms": "cd" * 32,
    "certificate": "ef" * 32,
    "established": "6",
    "statement": STATEMENT,
    "theorem": "count_group_chains_sound",
}
START = """
import sys
from pathlib import Path
sys.modules["numpy"] = None  # so that importing it fails
from checker.reporting import cli, second_checker
second_checker._BUILT = Path(sys.argv.pop(1))
cli.main()
"""


def run(program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", START, str(program), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": ""}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def ask(folder: Path, answer: dict[str, Any], status: int, *options: str) -> subprocess.CompletedProcess[str]:
    """What the command prints where the program gives this answer about the two files."""
    program = folder / "program"
    compact = json.dumps(answer, sort_keys=True, separators=(",", ":"))
    program.write_text(f"#!/bin/sh\n[ \"$*\" = 'm.safetensors p.cert' ] || exit 9\necho '{compact}'\nexit {status}\n")
    program.chmod(0o755)
    return run(program, "verify", "p.cert", "--model", "m.safetensors", "--verified-only", *options)


def test_it_says_what_the_program_accepts_without_numpy(tmp_path: Path) -> None:
    done = ask(tmp_path, ACCEPTS, 0)
    first, theorem, accuracy, rests, by = done.stdout.splitlines()
    assert (done.returncode, done.stderr, first) == (0, "", "ACCEPTED")
    assert "ab" * 32 in theorem and "at least 5 of 8 inputs" in theorem and '{"name":"max-of-k"}' in theorem
    assert "by more than 0.25, than" in theorem and accuracy.startswith("accuracy >= 0.625")
    assert "no rule in Python" in rests and "count_group_chains_sound in Coq" in by
    without = ask(tmp_path, {**ACCEPTS, "statement": {k: v for k, v in STATEMENT.items() if k != "margin"}}, 0)
    assert "is strictly greater than" in without.stdout


def test_it_prints_one_object_like_that_of_any_verdict(tmp_path: Path) -> None:
    verdict = json.loads(ask(tmp_path, ACCEPTS, 0, "--json").stdout)
    assert set(verdict) == set(checker.Verdict(accepted=False, reason="", exit_code=2).as_json())
    said = {"accepted": True, "exit_code": 0, "correct": 5, "correct_text": "5", "total": 8, "accuracy_floor": "0.625000000000"}
    said |= {"margin": "0.25", "model_digest": "ab" * 32, "task": {"name": "max-of-k"}, "deployed": None, "rules": None}
    assert said.items() <= verdict.items() and verdict["operations"] is verdict["trusted_lines"] is None
    assert verdict["verified"] == {"theorem": "count_group_chains_sound", "axioms": "cd" * 32}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--task", "min-of-k"], "not the pinned"),
        (["--at-least", "0.6250001"], "5 of 8 inputs, less than the pinned"),
        (["--margin-at-least", "0.3"], "margin is 0.25, less than the pinned"),
    ],
)
def test_pins_are_compared_with_the_statement(tmp_path: Path, options: list[str], reason: str) -> None:
    done = ask(tmp_path, ACCEPTS, 0, *options)
    assert done.returncode == 1 and done.stdout.startswith("NOT ACCEPTED") and reason in done.stdout
    met = ask(tmp_path, ACCEPTS, 0, "--task", "max-of-k", "--at-least", "0.625", "--margin-at-least", "0.25")
    assert met.returncode == 0


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [("refused", 1, 1), ("malformed", 2, 2), ("unsupported", 3, 1)],
)
def test_it_refuses_for_the_reason_that_the_program_gives(tmp_path: Path, kind: str, status: int, code: int) -> None:
    done = ask(tmp_path, {"accepted": False, kind: "for a reason"}, status)
    assert (done.returncode, done.stderr) == (code, "") and "for a reason" in done.stdout
    verdict = json.loads(ask(tmp_path, {"accepted": False, kind: "for a reason"}, status, "--json").stdout)
    assert (verdict["accepted"], verdict["exit_code"], verdict["correct"]) == (False, code, None)
    assert ask(tmp_path, {**ACCEPTS, "accepted": False}, 0).returncode == 1, "an answer and a status that disagree"


def test_an_answer_that_is_none_is_an_error(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho broken >&2\nexit 7\n")
    program.chmod(0o755)
    done = run(program, "verify", "p.cert", "--model", "m.safetensors", "--verified-only")
    assert done.returncode == 2 and "status 7: broken" in done.stdout


def test_without_the_program_it_says_how_to_build_it(tmp_path: Path) -> None:
    done = run(tmp_path / "none", "verify", "p.cert", "--model", "m.safetensors", "--verified-only")
    assert done.returncode == 2 and "make verified" in done.stdout


@pytest.mark.parametrize(
    "option",
    [
        ["--verified"],
        ["--jobs", "2"],
        ["--jobs", "1"],
        ["--allow-rules", "enumeration"],
        ["--arithmetic", "mpmath"],
        ["--deployed", "float32"],
        ["--error-at-most", "9:0.5"],
        ["--max-memory", "5"],
        ["--shard", "1/2"],
    ],
)
def test_options_of_the_other_checker_are_refused(tmp_path: Path, option: list[str]) -> None:
    done = ask(tmp_path, ACCEPTS, 0, *option)
    assert done.returncode == 2 and "--verified-only" in done.stdout


def test_automata_and_bad_pins_are_refused(tmp_path: Path) -> None:
    for option, reason in (
        (["--task", "odd.json"], "automata"),
        (["--task", "[1"], "--task"),
        (["--at-least", "2"], "accuracy"),
    ):
        done = ask(tmp_path, ACCEPTS, 0, *option)
        assert done.returncode == 2 and reason in done.stdout, done.stdout


def test_other_commands_say_that_numpy_is_missing(tmp_path: Path) -> None:
    for command in (["verify", "p.cert", "--model", "m.safetensors"], ["show", "p.cert"]):
        done = run(tmp_path / "none", *command)
        assert done.returncode == 2 and "numpy is not installed" in done.stdout + done.stderr


@pytest.mark.parametrize(("package", "public"), [(certificates, certificates.public), (checker, checker.public)])
def test_packages_load_their_public_names_when_they_are_asked_for(package: Any, public: Any) -> None:
    assert package.__all__ == public.__all__
    for name in package.__all__:
        assert getattr(package, name) is getattr(public, name)
    with pytest.raises(AttributeError, match="no attribute 'missing'"):
        package.missing  # noqa: B018
    with pytest.raises(ImportError):
        exec(f"from {package.__name__} import missing")
