"""The same from Python: what the docs and the notebook show works, and answers are those of the commands."""

import json
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from click.testing import CliRunner

import prover
from certificates import FormatError, Model, read_model
from checker import verify
from prover.commands import cli
from prover.representations import representation_search
from prover.strategies.low_rank_output import LowRankOutput
from prover.strategy import DoesNotFit
from prover.tasks import write_automaton
from prover.training.own_task import OwnTaskRecipe, train_own_task
from prover.weights import stored_tensor

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "certificates" / "models"


def test_all_names_are_there() -> None:
    assert all(getattr(prover, name) is not None for name in prover.__all__)
    with pytest.raises(AttributeError, match="no attribute 'sorcery'"):
        _ = prover.sorcery


def test_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "certificates").symlink_to(ROOT / "certificates")
    (code,) = (part.partition("\n```")[0] for part in (ROOT / "docs" / "python.md").read_text().split("```python\n")[1:])
    exec(compile(code, "python.md", "exec"), {"__name__": "docs"})
    assert "is right about at least" in capsys.readouterr().out
    assert verify(tmp_path / "proof.cert", MODELS / "max-of-4.safetensors", at_least="0.95").accepted


def test_the_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    cells = json.loads((ROOT / "docs" / "quickstart.ipynb").read_text())["cells"]
    namespace = {"__name__": "notebook"}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), "quickstart.ipynb", "exec"), namespace)
    out = capsys.readouterr().out
    assert "is right about at least" in out and "after: 1.000000000000" in out
    assert (tmp_path / "frontier-out" / "frontier.json").exists()


def test_a_proof_knows_what_it_proves() -> None:
    model = prover.load_model(MODELS / "max-of-4-seed1.safetensors")
    proof = prover.prove(model, "pessimized", margin="0.01")
    verdict = proof.verify(margin_at_least="0.01")
    assert verdict.accepted and Fraction(verdict.correct or 0, verdict.total or 1) == proof.bound
    assert not proof.verify(at_least="0.9999").accepted
    assert (proof.covers([[0, 0, 0, 63], [63, 63, 63, 62]]) >= -1).all()


def test_what_notebooks_show_is_short() -> None:
    """Not the bytes of weights and hints."""
    model = prover.load_model(MODELS / "max-of-4.safetensors")
    assert len(repr(model)) < 2000 and len(repr(prover.prove(model, "pessimized"))) < 3000


def test_margins_are_exact() -> None:
    with pytest.raises(ValueError, match=r"write \"0\.1\""):
        prover.prove(MODELS / "max-of-4.safetensors", "pessimized", margin=0.1)


def test_tasks_of_one_s_own() -> None:
    def step(state: int, token: int, position: int) -> int:
        return (state + token) % 2

    odd = prover.automaton_from(0, step, lambda state: state, length=2, tokens=60)
    proof = prover.prove(MODELS / "modular-addition-59.safetensors", "brute-force")
    assert proof.bound == 1
    with pytest.raises(DoesNotFit, match="about tasks with a name"):
        prover.prove(MODELS / "max-of-4.safetensors", "classes", task=odd)


def test_tasks_by_name(tmp_path: Path) -> None:
    """As for --task: a name, JSON, a file; or a dict."""
    path = MODELS / "max-of-4-seed1.safetensors"
    wanted = prover.prove(path, "pessimized", task={"name": "min-of-k"}).certificate
    for task in ("min-of-k", '{"name": "min-of-k"}'):
        assert prover.prove(path, "pessimized", task=task).certificate == wanted
    with pytest.raises(FormatError, match="is unknown; give one with --task: max-of-k"):
        prover.prove(path, "pessimized", task="least-of-k")
    with pytest.raises(ValueError, match=r'a task is a name such as "min-of-k", a dict, or an Automaton, not 3'):
        prover.prove(path, "pessimized", task=3)  # type: ignore[arg-type]
    automaton = prover.automaton_from(0, lambda s, t, _: max(s, t), lambda s: s, length=4, tokens=64)
    write_automaton(tmp_path / "largest.json", automaton)
    with pytest.raises(DoesNotFit, match="about tasks with a name"):
        prover.prove(path, "pessimized", task=str(tmp_path / "largest.json"))


def test_the_task_beside_a_model_file_is_found(tmp_path: Path) -> None:
    """As the commands find it."""
    own = prover.automaton_from(0, lambda s, t, _: s ^ t, lambda s: s, length=3, tokens=2)
    recipe = OwnTaskRecipe(layers=1, heads=1, d_model=4, d_head=2, d_mlp=2, steps=1)
    prover.save_model(train_own_task(recipe, own, torch.device("cpu")), tmp_path / "model.safetensors")
    write_automaton(tmp_path / "model.json", own)
    assert prover.prove(tmp_path / "model.safetensors", "enumerate").total == 8
    with pytest.raises(FormatError, match="automaton"):
        prover.prove(prover.load_model(tmp_path / "model.safetensors"), "enumerate")


def test_searches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same as the command finds, and from there on; names that are wrong are said to be."""
    few = {"low-rank": lambda: [LowRankOutput(rank=2), LowRankOutput(rank=4)]}
    monkeypatch.setattr(representation_search, "FAMILIES", few)
    path = MODELS / "symmetric-5.safetensors"
    found = prover.search(path, tmp_path, "low-rank", "reconstruction")
    assert len(found.results) == 2 and all(result.accepted for result in found.results)
    before = {file: file.stat().st_mtime_ns for file in tmp_path.glob("*.cert")}
    command = ["search", str(path), "--family", "low-rank", "--objective", "reconstruction", "-o", str(tmp_path)]
    assert CliRunner().invoke(cli, command).exit_code == 0
    assert len(before) == 2 and before == {file: file.stat().st_mtime_ns for file in tmp_path.glob("*.cert")}
    with pytest.raises(ValueError, match=r"no family 'low-rnk', did you mean low-rank\?"):
        prover.search(path, tmp_path, "low-rnk")
    with pytest.raises(ValueError, match="no objective 'proof'; there are reconstruction, bound, both"):
        prover.search(path, tmp_path, "low-rank", "proof")


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(ValueError, match="not for models like this one; there are brute-force"):
        prover.prove(MODELS / "symmetric-5.safetensors", "classes")
    with pytest.raises(ValueError, match="has no switch 'colour'"):
        prover.prove(MODELS / "max-of-4.safetensors", "classes", colour=3)
    with pytest.raises(FormatError, match="cannot read"):
        prover.load_model(MODELS / "none.safetensors")


def test_models_from_memory() -> None:
    model = read_model(MODELS / "max-of-4.safetensors")
    state = {name: stored_tensor(raw) for name, raw in model.tensors.items()}
    config = {"n_layers": 1, "n_heads": 1, "attn_only": True, "normalization_type": None, "act_fn": None, **vars(model.config)}
    found = prover.model_from_state(state, config, {"name": "max-of-k"})
    assert isinstance(found, Model) and found.digest() == model.digest()
    theirs = SimpleNamespace(state_dict=lambda: state, cfg=SimpleNamespace(to_dict=lambda: config))
    assert prover.from_transformer_lens(theirs, {"name": "max-of-k"}).digest() == model.digest()


def test_interpretations_are_of_networks_on_two_inputs(tmp_path: Path) -> None:
    with pytest.raises(DoesNotFit, match="use frontier"):
        prover.interpret(MODELS / "max-of-4.safetensors", tmp_path)
    assert not list(tmp_path.iterdir())
