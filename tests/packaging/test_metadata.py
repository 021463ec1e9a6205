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
    """The oldest that is required, and both ends that were tried, as the README says."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (oldest,) = (one.removeprefix("torch>=") for one in extras["prover"] if one.startswith("torch"))
    found = re.search(r"tested are (\d+\.\d+)\.0 and (\d+\.\d+)\.\d+ ", (ROOT / "constraints.txt").read_text())
    assert found and found[1] == oldest and f"torch=={oldest}.*" in (ROOT / "Makefile").read_text()
    assert f"PyTorch {oldest} to {found[2]}" in (ROOT / "README.md").read_text()
