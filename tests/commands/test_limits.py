"""Switches that are larger than makes a difference: they do what the largest useful value does, and a warning says so."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import prover
from certificates import GroupMLP, Model, read_model, write_model
from prover.attention.sequence_problem import SequenceProblem
from prover.commands import cli
from prover.layers.two_input_problem import TwoInputProblem
from prover.strategies.classes import Classes
from prover.strategies.enumeration import Sampling
from prover.strategies.low_rank_chains import LowRankChains
from prover.strategies.low_rank_output import LowRankOutput
from prover.strategies.mlp_quadrature import MLPQuadrature
from prover.strategies.prefix_chains import Pessimized, Thresholds
from prover.strategy import Strategy
from prover.training.max_of_k import MaxOfKRecipe, train_max_of_k
from prover.weights import raw_tensor

MODELS = Path(__file__).resolve().parents[2] / "certificates" / "models"
CPU = torch.device("cpu")
VOCAB = 6


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("limits") / "model.safetensors"
    write_model(file, train_max_of_k(MaxOfKRecipe(length=3, vocab=VOCAB, seed=1, d_model=8, d_head=4, steps=300), CPU))
    return file


def require_alike(strategy: Strategy, problem: SequenceProblem | TwoInputProblem, switch: str, largest: int) -> None:
    """The strategy as it was given, and as it is limited, find the same."""
    limited, (told,) = strategy.limited(problem, [switch])
    assert getattr(limited, switch) == largest and f"is the same as {switch}={largest}" in told
    assert limited.prove(problem).steps == strategy.prove(problem).steps
    assert limited.limited(problem, [switch]) == (limited, ())
    assert strategy.limited(problem, []) == (strategy, ()), "defaults may be larger than a tiny model needs"


@pytest.mark.parametrize(
    ("strategy", "switch", "largest"),
    [
        (Classes(blocks=1000), "blocks", VOCAB),
        (Classes(blocks=1000, fine=0), "blocks", VOCAB),
        (Pessimized(rivals=1000), "rivals", VOCAB),
        (Thresholds(rivals=1000), "rivals", VOCAB),
        (Sampling(inputs=100_000), "inputs", VOCAB**3),
        (LowRankChains(rank=1000), "rank", VOCAB),
        (LowRankChains(bands=1000), "bands", VOCAB),
    ],
)
def test_of_attention_only_models(strategy: Strategy, switch: str, largest: int, path: Path) -> None:
    require_alike(strategy, SequenceProblem(read_model(path), CPU), switch, largest)


@pytest.mark.parametrize("basis", [0, 1])
@pytest.mark.parametrize("neurons", [4, 16])
def test_of_a_hidden_layer(basis: int, neurons: int) -> None:
    rng = np.random.default_rng(0)
    config = GroupMLP(neurons, 6, 6)
    shapes = config.tensor_shapes()
    tensors = {name: raw_tensor(torch.tensor(rng.normal(size=shape), dtype=torch.float32)) for name, shape in shapes.items()}
    problem = TwoInputProblem(Model(config, tensors, {"name": "group-composition", "group": "symmetric:3"}), CPU)
    kept = len(problem.neurons)
    require_alike(LowRankOutput(1000, basis=basis), problem, "rank", 6 if basis else min(kept, 6))


@pytest.mark.parametrize(("switch", "value"), [("rank", 1000), ("further", 1000)])
def test_of_an_mlp(switch: str, value: int) -> None:
    problem = TwoInputProblem(read_model(MODELS / "modular-addition-59.safetensors"), CPU)
    strategy = MLPQuadrature(**{switch: value})
    require_alike(strategy, problem, switch, strategy.largest(problem)[switch])


def test_the_command_warns(path: Path, tmp_path: Path) -> None:
    command = ["prove", str(path), "--strategy", "low-rank-chains", "-o", str(tmp_path / "proof.cert")]
    found = CliRunner().invoke(cli, [*command, "--set", "rank=1000"])
    assert found.exit_code == 0 and f"warning: rank=1000 is the same as rank={VOCAB}, the largest" in found.output
    assert "warning" not in CliRunner().invoke(cli, [*command, "--set", "rank=3"]).output


def test_from_python_it_warns(path: Path) -> None:
    with pytest.warns(UserWarning, match=f"rivals=1000 is the same as rivals={VOCAB}"):
        proof = prover.prove(path, "pessimized", rivals=1000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert prover.prove(path, "pessimized", rivals=VOCAB).certificate == proof.certificate
