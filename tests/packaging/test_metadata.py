"""What is said in several places is the same in all."""

import re
import tomllib
from pathlib import Path

import certificates

ROOT = Path(__file__).resolve().parents[2]


def test_one_version() -> None:
    assert f"version: {certificates.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert re.findall(r"^## ([\d.]+)", (ROOT / "docs" / "changes.md").read_text(), re.MULTILINE)[0] == certificates.__version__


def test_one_range_of_pytorch() -> None:
    """The oldest that is required, the one that `make` installs, and both as the README says; tried were these."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (oldest,) = (one.removeprefix("torch>=") for one in extras["prover"] if one.startswith("torch"))
    constraints = (ROOT / "constraints.txt").read_text()
    found = re.search(r"^torch==(\d+\.\d+)\.", constraints, re.MULTILINE)
    assert found and f"PyTorch {oldest} to {found[1]}" in (ROOT / "README.md").read_text()
    assert f"{oldest}.0" in constraints and f"torch=={oldest}.*" in (ROOT / "Makefile").read_text()
