"""What the README tells a newcomer to do works."""

import re
from pathlib import Path

import torch

import certificates
from certificates import read_model
from checker.core.decide import check_proof
from prover.attention.sequence_problem import SequenceProblem
from prover.prove import prove
from prover.strategy import Strategy

README = Path(__file__).resolve().parents[2] / "README.md"


def test_the_strategy_in_the_readme_proves_something() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    namespace: dict[str, type[Strategy]] = {"__name__": "readme"}  # type: ignore[dict-item]
    exec(compile(code, str(README), "exec"), namespace)
    model = read_model(Path(certificates.__file__).parent / "models" / "max-of-4.safetensors")
    certificate, evidence = prove(SequenceProblem(model, torch.device("cpu")), namespace["Harmless"]())
    assert check_proof(certificate, model).result.correct == evidence.correct == evidence.cells.sum()
    assert evidence.correct > 0.1 * 64**4
