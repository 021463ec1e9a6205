"""The runner of mutants, on a project of one line: what it reports, remembers, and refuses to conclude."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import runner
from runner import Mutant

TEST = "tests/core/test_sign.py"
CAUGHT = Mutant("checker/sign.py", "number > 0", "number < 0", (f"{TEST}::test_of_zero", TEST))
SURVIVES = Mutant("checker/sign.py", "number > 0", "number >= 1", (TEST,))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checker that tells whether an integer is positive, and its tests."""
    for folder in ("checker", "certificates", "prover", "tests/core"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\npythonpath = ["."]\n')
    (tmp_path / "checker/sign.py").write_text("def positive(number):\n    return number > 0\n")
    (tmp_path / TEST).write_text(
        "import number_pool\nfrom checker.sign import positive\n\n\n"
        "def test_of_zero():\n    assert not positive(0)\n\n\n"
        "def test_of_others():\n    assert [positive(n) for n in number_pool.NUMBERS] == [True, False]\n"
    )
    (tmp_path / "tests/core/number_pool.py").write_text("NUMBERS = (3, -3)\n")
    monkeypatch.setattr(runner, "ROOT", tmp_path)
    monkeypatch.setattr(runner, "RESULTS", tmp_path / "mutants-out" / "results.jsonl")
    return tmp_path


def tried() -> list[tuple[str, bool]]:
    """What the file of results holds: replacements, and whether a test noticed."""
    records = [json.loads(line) for line in runner.RESULTS.read_text().splitlines()]
    return [(record["new"], record["caught"]) for record in records]


def test_results_are_kept_until_something_changes(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.run([CAUGHT, SURVIVES], 2) == 1
    out = capsys.readouterr().out
    assert "SURVIVED  checker/sign.py: 'number > 0' -> 'number >= 1'" in out
    assert "1 of 2 mutants caught, 1 survived, 0 stale" in out
    few, all_cases = [("", False), ("", False), ("number < 0", True), ("number >= 1", False)], [("all cases", False)]
    assert sorted(tried()) == sorted([*few, *all_cases, ("number >= 1", False)])
    assert (project / "checker/sign.py").read_text().endswith("number > 0\n"), "only copies are changed"

    runner.RESULTS.write_text(runner.RESULTS.read_text() + '{"key": "cut o')
    assert runner.run([CAUGHT, SURVIVES], 1) == 1
    assert "1 of them known to be caught" in capsys.readouterr().out
    assert runner.run([CAUGHT], 1) == 0

    runner.RESULTS.unlink()
    assert runner.run([CAUGHT], 1) == 0 and len(tried()) == 3
    for file in ("checker/sign.py", "tests/core/number_pool.py"):  # what is trusted, and what a test imports
        (project / file).write_text((project / file).read_text() + "# changed\n")
        before = len(tried())
        assert runner.run([CAUGHT], 1) == 0 and len(tried()) == before + 3


def test_a_test_that_fails_anyway_proves_nothing(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "tests/core/number_pool.py").write_text("NUMBERS = (-3, 3)\n")
    assert runner.run([SURVIVES], 1) == 2
    assert "FAILS unchanged" in capsys.readouterr().out


def test_a_test_that_is_not_there_proves_nothing(project: Path) -> None:
    with pytest.raises(ValueError, match="there is no test"):
        runner.run([Mutant("checker/sign.py", "number > 0", "True", (f"{TEST}::test_of_nothing",))], 1)
    with pytest.raises(ValueError, match="there is no test"):
        runner.run([Mutant("checker/sign.py", "number > 0", "True", ("tests/core/test_nothing.py",))], 1)


def test_stale_mutants_are_reported(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.run([Mutant("checker/sign.py", "number > 7", "True", (TEST,))], 1) == 1
    assert "STALE" in capsys.readouterr().out


def test_a_mutant_that_never_ends_is_noticed(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    endless = Mutant("checker/sign.py", "return number > 0", "while True: pass", (TEST,))
    assert runner.run([CAUGHT], 1) == 0  # so that it is known how the tests do without any mutant
    monkeypatch.setattr(runner, "PATIENCE", 20)
    assert runner.run([endless], 1) == 0


def test_ctrl_c(project: Path) -> None:
    """Tests under way are ended, and the next run goes on."""
    (project / "mutants_here.py").write_text(
        "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background job ignores it
        f"import sys\nfrom pathlib import Path\nsys.path.insert(0, {str(Path(runner.__file__).parent)!r})\nimport runner\n"
        f"runner.ROOT = Path({str(project)!r})\nrunner.RESULTS = runner.ROOT / 'mutants-out' / 'results.jsonl'\n"
        f"sleepy = runner.Mutant('checker/sign.py', 'return', 'import time; time.sleep(300); return', ({TEST!r},))\n"
        f"sys.argv = ['mutants', '--jobs', '1']\nsys.exit(runner.main([{CAUGHT!r}, sleepy]))\n".replace(
            "Mutant(file", "runner.Mutant(file"
        )
    )
    environment = {**os.environ, "TMPDIR": str(project)}
    process = subprocess.Popen(
        [sys.executable, "mutants_here.py"], cwd=project, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 120
    while (not runner.RESULTS.exists() or ("number < 0", True) not in tried()) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 130 and b"the same command goes on" in out, errors
    assert b"Traceback" not in errors
    assert not list(project.glob("tmp*")), "the copies are gone"
    assert ("number < 0", True) in tried() and runner.run([CAUGHT], 1) == 0 and len(tried()) == 3
