"""Networks on two inputs from training to the report: commands, files, and what they say."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from cluster import Cluster
from test_frontier import BROWSER_ARGUMENTS, chromium, sticking_out

import prover
import prover.commands
from certificates import GroupMLP, Model, UniformAttention, read_certificate, read_model, write_model
from certificates.groups import group_table, table_digest
from checker import verify
from checker.decide import check_proof
from prover.layers.two_input_problem import TwoInputProblem
from prover.proving import problem_about, prove
from prover.strategies import TWO_INPUT_STRATEGIES
from prover.studies.frontier import Frontier
from prover.studies.interpret import findings
from prover.studies.runs import Misfit
from prover.training.group_composition import GroupRecipe, train_group_composition
from prover.training.modular_addition import PizzaRecipe, TiedRecipe, train_pizza_addition, train_tied_addition
from prover.weights import raw_tensor

CPU = torch.device("cpu")


def model_of(config: GroupMLP | UniformAttention, weights: dict[str, torch.Tensor], task: object) -> Model:
    return Model(config, {name: raw_tensor(tensor) for name, tensor in weights.items()}, task)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network trained on symmetric:3."""
    torch.set_num_threads(1)
    path = tmp_path_factory.mktemp("models") / "symmetric-3.safetensors"
    recipe = GroupRecipe(hidden=32, candidates=2, trial=100, steps=800, fraction=0.5)
    weights = train_group_composition(torch.from_numpy(group_table("symmetric:3")), recipe)
    write_model(path, model_of(GroupMLP(32, 6, 6), weights, {"name": "group-composition", "group": "symmetric:3"}))
    return path


def said(*arguments: object) -> str:
    """What a command prints, or raises, within this process."""
    done = CliRunner().invoke(prover.commands.cli, list(map(str, arguments)))
    return f"{done.output}{done.exception}"


def run(*arguments: object) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "prover", *map(str, arguments)], capture_output=True, text=True, check=False, timeout=300
    )
    return done.returncode, done.stdout + done.stderr


def test_training_depends_on_the_seed_alone() -> None:
    torch.set_num_threads(1)
    table = torch.from_numpy(group_table("cyclic:5"))
    recipes = [GroupRecipe(hidden=8, candidates=1, steps=40, seed=seed) for seed in (1, 1, 2)]
    first, same, other = (train_group_composition(table, recipe) for recipe in recipes)
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["unembed.W_U"], other["unembed.W_U"])


def test_every_strategy_is_accepted_on_every_architecture() -> None:
    torch.set_num_threads(1)
    tied = train_tied_addition(TiedRecipe(modulus=7, hidden=24, rank=8, steps=600))
    pizza = train_pizza_addition(PizzaRecipe(modulus=7, hidden=32, d_model=16, heads=2, steps=600))
    models = [
        model_of(GroupMLP(24, 7, 7), tied, {"name": "group-composition", "group": "cyclic:7"}),
        model_of(UniformAttention(8, 32, 16, 8, 7, 3, 2), pizza, {"name": "modular-addition", "modulus": 7}),
    ]
    for model in models:
        problem = problem_about(model, CPU)
        assert isinstance(problem, TwoInputProblem) and problem.mirrored
        assert (problem.margins > 0).mean() > 0.9
        for name in ("brute-force", "quadrature", "low-rank-output", "fourier"):
            certificate, evidence = prove(problem, TWO_INPUT_STRATEGIES[name]())
            proof = check_proof(certificate, model)
            assert proof.result.correct == evidence.correct == evidence.cells.sum()
        assert evidence.correct


def test_interpret(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a single setting of each strategy: what they find is tested elsewhere."""
    for strategy in TWO_INPUT_STRATEGIES.values():
        monkeypatch.setattr(strategy, "sweep", classmethod(lambda cls, problem: (cls(),)))

    def interpreted() -> tuple[int, str]:
        done = CliRunner().invoke(prover.commands.cli, ["interpret", str(small), "-o", str(tmp_path)])
        return done.exit_code, done.output

    code, out = interpreted()
    assert code == 0, out
    assert "rho-sets" in out and "irreps" in out
    records = json.loads((tmp_path / "interpretations.json").read_text())
    assert {record["interpretation"] for record in records} == {*TWO_INPUT_STRATEGIES, "irreps"}
    for record in records:
        assert record["conclusion"]
        if record["certificate"]:
            assert verify(tmp_path / record["certificate"], small).correct == record["verdict"]["correct"]
    page = (tmp_path / "report.html").read_text()
    assert "http://" not in page.split("<script>")[0] and "rho-sets" in page
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.cert")}
    assert interpreted()[0] == 0
    assert kept == {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.cert")}  # nothing is done twice
    executable = chromium()
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=BROWSER_ARGUMENTS)
        view, errors = browser.new_page(), []
        view.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        view.on("pageerror", lambda error: errors.append(str(error)))
        view.goto((tmp_path / "report.html").as_uri())
        view.wait_for_selector("#errors-figure .main-svg")
        assert view.locator("#frontier-figure .main-svg").count() >= 1
        assert not errors
        browser.close()
    assert not sticking_out(tmp_path / "report.html")
    from_python = prover.interpret(small, tmp_path)
    assert [finding.name for finding in from_python] == [record["interpretation"] for record in records]


def test_a_cluster_finds_the_same(small: Path, tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Certificates, byte by byte, of the command and from Python."""
    for strategy in TWO_INPUT_STRATEGIES.values():
        some = (strategy(),) if strategy.name in ("brute-force", "rho-sets", "low-rank-output") else ()
        monkeypatch.setattr(strategy, "sweep", classmethod(lambda cls, problem, some=some: some))
    here = prover.interpret(small, tmp_path / "here")
    assert prover.interpret(small, tmp_path / "there", scheduler=cluster.address)[0].conclusion == here[0].conclusion
    assert "report.html" in said("interpret", small, "-o", tmp_path / "too", "--scheduler", cluster.address)
    certificates = sorted((tmp_path / "here").glob("*.cert"))
    assert len(certificates) >= 3
    for certificate, folder in itertools.product(certificates, ("there", "too")):
        assert (tmp_path / folder / certificate.name).read_bytes() == certificate.read_bytes()


def test_findings_are_sorted_by_what_they_prove(small: Path) -> None:
    problem = problem_about(read_model(small), CPU)
    assert isinstance(problem, TwoInputProblem)
    found = findings(problem, Frontier("small", problem.model, (), ()))
    assert all(finding.result is None for finding in found)
    assert next(f for f in found if f.name == "rho-sets").terms is not None
    assert {f.conclusion for f in found if f.name in TWO_INPUT_STRATEGIES} == {"not tried yet"}
    misfit = Misfit("fourier and 12 more", "waves are about addition", ("fourier", "quadrature"))
    found = findings(problem, Frontier("small", problem.model, (), (misfit,)))
    told = {f.name: f.conclusion for f in found if f.name in misfit.strategies}
    assert told == dict.fromkeys(misfit.strategies, "not for this network: waves are about addition")


def test_a_table_from_a_file(small: Path, tmp_path: Path) -> None:
    model = read_model(small)
    bare, table = tmp_path / "bare.safetensors", tmp_path / "table.json"
    write_model(bare, Model(model.config, model.tensors, {"name": "group-composition"}))
    table.write_text(json.dumps(group_table("symmetric:3").tolist()))
    certificate = tmp_path / "proof.cert"
    code, out = run("prove", bare, "--strategy", "rho-sets", "--table", table, "-o", certificate, "--check")
    assert code == 0 and "ACCEPTED" in out, out
    digest = table_digest(group_table("symmetric:3"))
    assert read_certificate(certificate)[0].statement.task == {"name": "group-composition", "table": digest}
    assert digest in out
    code, out = run("prove", bare, "--strategy", "rho-sets", "-o", certificate)
    assert code == 2 and "--table" in out


def test_commands_say_what_to_do(small: Path, tmp_path: Path) -> None:
    assert "prover interpret" in said("frontier", small, "-o", tmp_path)
    assert "brute-force" in said("prove", small, "--strategy", "classes", "-o", tmp_path / "x.cert")
    assert "multiple of 4" in said("train", "modular-addition", "--d-model", 6, "-o", tmp_path / "x")
    assert "cyclic" in said("train", "group-composition", "--group", "symmetric:3", "--tied", "-o", tmp_path / "x")
    assert run("train", "group-composition", "--group", "nonsense", "-o", tmp_path / "x")[0] == 2


def test_importing_a_group_network(small: Path, tmp_path: Path) -> None:
    model = read_model(small)
    state = {
        name: torch.frombuffer(bytearray(t.data), dtype=torch.float32).reshape(t.shape) for name, t in model.tensors.items()
    }
    torch.save(state, tmp_path / "state.pt")
    config = json.dumps({"architecture": "group-mlp", "act_fn": "relu", **vars(model.config)})
    task = json.dumps(model.task)
    code, out = run("import", tmp_path / "state.pt", "--config", config, "--task", task, "-o", tmp_path / "m.safetensors")
    assert code == 0, out
    assert read_model(tmp_path / "m.safetensors").digest() == model.digest()
    assert np.isclose(
        TwoInputProblem(read_model(tmp_path / "m.safetensors"), CPU).margins, TwoInputProblem(model, CPU).margins
    ).all()
