"""Training to add, on small numbers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from test_finetuning import prover

from certificates import read_model
from certificates.automaton import read_automaton
from checker import verify
from prover.known_tasks import number_addition
from prover.tasks import write_automaton
from prover.training.addition import AdditionRecipe, sums, train_addition

CPU = torch.device("cpu")


def number(digits: np.ndarray) -> list[int]:
    """From digits "n k", the lowest one first."""
    return [sum(int(d) * 10**i for i, d in enumerate(row)) for row in digits]


@pytest.mark.parametrize("digits", [1, 3, 12])
def test_sums_are_sums_and_inputs_of_the_task(digits: int) -> None:
    inputs, true = (part.numpy() for part in sums(digits, 400, torch.Generator().manual_seed(digits)))
    a, b = number(inputs[:, :digits]), number(inputs[:, digits : 2 * digits])
    assert number(true) == [x + y for x, y in zip(a, b, strict=True)]
    assert np.array_equal(number_addition(digits).outputs_of(inputs), true)
    nines = (inputs[:, :digits] + inputs[:, digits : 2 * digits] == 9).mean(axis=1)
    assert nines[200:].mean() > 3 * nines[:200].mean()


def test_training_is_deterministic_and_begins_at_the_right_digits() -> None:
    recipe = AdditionRecipe(digits=2, steps=3)
    model = train_addition(recipe, CPU)
    assert model.digest() == train_addition(recipe, CPU).digest()
    assert model.task == {"automaton": number_addition(2).digest}


@pytest.fixture(scope="module")
def adder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained by the command, for a short time."""
    path = tmp_path_factory.mktemp("adder") / "adder.safetensors"
    code, said = prover("train", "addition", "--digits", 1, "--steps", 60, "-o", path)
    assert code == 0, said
    assert "of 100000 random sums right" in said and "next: prover finetune" in said
    return path


def test_the_command_writes_model_and_task(adder: Path) -> None:
    model, task = read_model(adder), read_automaton(adder.with_suffix(".json"))
    assert task.digest == number_addition(1).digest and model.task == {"automaton": task.digest}
    assert model.config.n_ctx == 4 and task.count() == 100


def test_the_task_is_found_beside_the_model_and_only_there(adder: Path, tmp_path: Path) -> None:
    code, said = prover("prove", adder, "--strategy", "enumerate", "-o", tmp_path / "all.cert")
    assert code == 0, said
    assert verify(tmp_path / "all.cert", adder).accepted
    alone = tmp_path / "alone.safetensors"
    alone.write_bytes(adder.read_bytes())
    write_automaton(tmp_path / "alone.json", number_addition(2))
    code, said = prover("prove", alone, "--strategy", "enumerate", "-o", tmp_path / "x.cert")
    assert code != 0 and "--task FILE" in said
