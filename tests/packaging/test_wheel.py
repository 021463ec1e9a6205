"""The wheel, built and installed where there is nothing but what the checker needs. Nothing is fetched.

The build uses this environment's setuptools instead of a fetched one. The new environment sees of this one only the three
packages that the checker depends on, with their metadata: pip itself finds that nothing else is required.
"""

import os
import subprocess
import sys
import venv
import zipfile
from importlib.metadata import distribution
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest

import certificates

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("certificates", "checker", "prover")
DEPENDENCIES = ("click", "mpmath", "numpy")
GOLDEN = ROOT / "certificates" / "golden"


def run(*command: object) -> subprocess.CompletedProcess[str]:
    """Where no clone of the project is in the way."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    words = [str(part) for part in command]
    return subprocess.run(words, cwd="/", env=environment, capture_output=True, text=True, check=False)


def pip(*arguments: object) -> None:
    done = run(sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: the build leaves files in its tree."""
    source = tmp_path_factory.mktemp("source") / "tree"
    for package in PACKAGES:
        copytree(ROOT / package, source / package, ignore=ignore_patterns("__pycache__", "build"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (source / name).write_bytes((ROOT / name).read_bytes())
    output = tmp_path_factory.mktemp("wheel")
    pip("wheel", source, "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", output)
    (built,) = output.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def commands(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the commands of an environment that has the wheel."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, with_pip=False)
    site = home / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    for name in DEPENDENCIES:
        found = distribution(name)
        for top in {file.parts[0] for file in found.files or () if file.parts[0] not in ("..", "__pycache__")}:
            (site / top).symlink_to(found.locate_file(top))
    pip("--python", home / "bin" / "python", "install", "--no-index", wheel)
    return home / "bin"


def test_it_has_all_files(wheel: Path) -> None:
    """All code, so that checkers from a wheel and from a clone have one digest, and what is read at run time."""
    held = set(zipfile.ZipFile(wheel).namelist())
    wanted = {file for package in PACKAGES for file in (ROOT / package).rglob("*.py")}
    wanted |= {file for folder in ("golden", "models", "transformers") for file in (ROOT / "certificates" / folder).iterdir()}
    single = ("certificates/FORMAT.md", "certificates/py.typed", "checker/py.typed", "checker/reporting/trusted_lines.json")
    wanted |= {ROOT / name for name in single}
    wanted |= set((ROOT / "prover" / "studies").glob("*.html"))
    assert {file.relative_to(ROOT).as_posix() for file in wanted} <= held


_GOLDEN_CASES = """
import json, pathlib, sys, certificates, checker
folder = pathlib.Path(certificates.__file__).parent / "golden"
for case in json.loads((folder / "verdicts.json").read_text())[::10]:
    verdict = checker.verify(folder / case["certificate"], folder / case["model"])
    assert verdict.exit_code == case["exit_code"], (case, verdict)
assert "torch" not in sys.modules
print(folder)
"""


def test_the_checker_works_without_pytorch(commands: Path) -> None:
    assert run(commands / "python", "-c", "import torch").returncode == 1
    assert run(commands / "checker", "--version").stdout == f"checker, version {certificates.__version__}\n"
    verdict = run(commands / "checker", "verify", GOLDEN / "all-biases.cert", "--model", GOLDEN / "full.safetensors")
    assert verdict.returncode == 0 and "24" in verdict.stdout
    done = run(commands / "python", "-c", _GOLDEN_CASES)
    assert done.returncode == 0 and done.stdout.startswith(str(commands.parent)), done.stderr


def test_the_prover_says_what_it_needs(commands: Path) -> None:
    done = run(commands / "prover", "--help")
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "pip install 'compact-proofs[prover]'" in done.stderr
