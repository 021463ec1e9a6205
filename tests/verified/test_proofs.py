"""The theorems in Coq: no admitted proof, and no axiom beyond those of the classical reals."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

_VERIFIED = Path(__file__).parents[2] / "checker" / "verified"
_AXIOMS = {
    "ClassicalDedekindReals.sig_not_dec",
    "ClassicalDedekindReals.sig_forall_dec",
    "FunctionalExtensionality.functional_extensionality_dep",
    "Classical_Prop.classic",
}


def test_nothing_is_assumed_in_the_sources() -> None:
    """Comments are taken out first, so the words may be used to explain."""
    for source in sorted(_VERIFIED.rglob("*.v")):
        code = re.sub(r"\(\*.*?\*\)", "", source.read_text(), flags=re.DOTALL)
        assert not re.search(r"\b(Admitted|admit|Axioms?|Parameters?|Conjecture|Unset)\b", code), source.name


def test_every_proof_file_is_built() -> None:
    listed = {line for line in (_VERIFIED / "_CoqProject").read_text().split("\n") if line.endswith(".v")}
    assert listed == {str(path.relative_to(_VERIFIED)) for path in (_VERIFIED / "proofs").glob("*.v")}


def test_axioms_are_those_of_the_classical_reals(tmp_path: Path) -> None:
    theorems = re.findall(r"^Print Assumptions (\w+)\.", (_VERIFIED / "Axioms.v").read_text(), flags=re.MULTILINE)
    printed = re.split("Axioms:\n|Closed under the global context", _printed(tmp_path))
    assert theorems and len(printed) == len(theorems) + 1
    for axioms in printed[1:]:
        assert set(re.findall(r"^(\S+)\s*:", axioms, flags=re.MULTILINE)) <= _AXIOMS


def _printed(folder: Path) -> str:
    """What Coq prints about the theorems: as `make verified` left it, if no source is newer, or else after building again."""
    sources, kept = [*sorted(_VERIFIED.rglob("*.v")), _VERIFIED / "_CoqProject"], _VERIFIED / "build" / "axioms.txt"
    if kept.exists() and all(
        source.stat().st_mtime < kept.stat().st_mtime for source in sources if source.parent != kept.parent
    ):
        return kept.read_text()
    if shutil.which("coqc") is None:
        pytest.skip("coqc is not installed: make coq, as root")
    copy = folder / "verified"
    shutil.copytree(_VERIFIED, copy, ignore=shutil.ignore_patterns("*.vo*", "*.glob", "*.aux", "build"))
    for source in (line for line in (copy / "_CoqProject").read_text().split("\n") if line.endswith(".v")):
        _coqc(copy, source)
    return _coqc(copy, "Axioms.v")


def _coqc(folder: Path, source: str) -> str:
    command = ["coqc", "-w", "none", "-Q", "proofs", "CompactProofs", source]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
