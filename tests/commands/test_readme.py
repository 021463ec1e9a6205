"""What the README and docs tell a newcomer to do works."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

import certificates
from certificates import read_model
from certificates.automaton import read_automaton
from checker.core.decide import check_proof
from prover.attention.sequence_problem import SequenceProblem
from prover.prove import prove
from prover.strategy import Strategy

ROOT = Path(__file__).resolve().parents[2]
README, OWN = ROOT / "README.md", ROOT / "docs" / "own-model-and-task.md"


def blocks(page: Path) -> list[str]:
    """A page's Python."""
    return re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)


def test_the_task_in_the_docs_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = (part for part in blocks(OWN) if "automaton_from" in part)
    exec(compile(code, str(OWN), "exec"), {"__name__": "docs"})
    odd = read_automaton(tmp_path / "odd.json")
    assert odd.count() == 64**4 and odd.outputs_of(np.array([[1, 2, 3, 5], [1, 2, 3, 4]]))[:, 0].tolist() == [1, 0]


def test_addition_in_the_docs_has_all_sums(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = (part for part in blocks(OWN) if "import addition" in part)
    exec(compile(code, str(OWN), "exec"), {"__name__": "docs"})
    adds = read_automaton(tmp_path / "adds.json")
    assert adds.count() == 10**20 and adds.transitions.shape[2] == 10 and len(adds.order) == 34 and len(adds.reads) == 11


def test_the_strategy_in_the_readme_proves_something() -> None:
    (code,) = (part for part in blocks(README) if "class Harmless" in part)
    namespace: dict[str, type[Strategy]] = {"__name__": "readme"}  # type: ignore[dict-item]
    exec(compile(code, str(README), "exec"), namespace)
    model = read_model(Path(certificates.__file__).parent / "models" / "max-of-4.safetensors")
    certificate, evidence = prove(SequenceProblem(model, torch.device("cpu")), namespace["Harmless"]())
    assert check_proof(certificate, model).result.correct == evidence.correct == evidence.cells.sum()
    assert evidence.correct > 0.1 * 64**4
