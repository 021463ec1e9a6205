"""Strategy `list-sums`, and models that are trained for it: what is proved of them is accepted."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from certificates import FormatError, Model, read_model, write_certificate, write_model
from checker import covers, verify
from prover.commands import cli
from prover.proving import problem_about, prove
from prover.strategies.list_sums import ListSums
from prover.strategy import DoesNotFit
from prover.training.examples import count_right, random_examples, varied_examples
from prover.training.sorted_lists import SortedListsRecipe, train_sorted_lists
from prover.weights import load_weights

CPU = torch.device("cpu")
SMALL = SortedListsRecipe(length=2, numbers=5, d_model=16, d_head=8, steps=150, batch=64, rate=1e-2)


@pytest.fixture(scope="module")
def sorter() -> Model:
    return train_sorted_lists(SMALL, CPU)


def test_a_trained_model_is_proved_to_sort_every_list(sorter: Model, tmp_path: Path) -> None:
    problem = problem_about(sorter, CPU)
    certificate, evidence = prove(problem, ListSums())
    assert evidence.correct == problem.total == 20
    write_certificate(tmp_path / "proof", certificate)
    write_model(tmp_path / "model", sorter)
    verdict = verify(tmp_path / "proof", tmp_path / "model")
    assert verdict.accepted and verdict.correct == 20 and "increasing order" in str(verdict.theorem)
    rows = np.array([[4, 2, 5, 2, 4], [4, 2, 5, 4, 2], [4, 4, 5, 4, 4]])
    assert (covers(tmp_path / "proof", tmp_path / "model", rows) >= 0).tolist() == [True, False, False]
    shown = CliRunner().invoke(cli, ["inspect", str(tmp_path / "model")])
    assert shown.exit_code == 0 and "list-sums" in shown.output


def test_the_command_trains_the_same(sorter: Model, tmp_path: Path) -> None:
    sizes = {name: getattr(SMALL, name) for name in ("length", "numbers", "d_model", "d_head", "steps", "batch", "rate")}
    arguments = [part for name, size in sizes.items() for part in (f"--{name.replace('_', '-')}", str(size))]
    done = CliRunner().invoke(cli, ["train", "sorted-lists", *arguments, "-o", str(tmp_path / "model.safetensors")])
    assert done.exit_code == 0, done.output
    assert "20000 of 20000" in done.output
    assert read_model(tmp_path / "model.safetensors").digest() == sorter.digest()
    refused = CliRunner().invoke(cli, ["train", "sorted-lists", "--length", "3", "--numbers", "2", "-o", str(tmp_path / "x")])
    assert refused.exit_code == 1 and "at most" in refused.output


def test_a_frontier_says_what_it_is_about(sorter: Model, tmp_path: Path) -> None:
    write_model(tmp_path / "model.safetensors", sorter)
    arguments = ["frontier", str(tmp_path / "model.safetensors"), "--strategies", "list-sums", "-o", str(tmp_path / "out")]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    assert "sort lists of 2 out of 5 numbers" in (tmp_path / "out" / "report.html").read_text()


def test_examples_are_inputs(sorter: Model) -> None:
    problem = problem_about(sorter, CPU)
    for examples in (random_examples(problem, 500, torch.Generator()), varied_examples(problem, 500, torch.Generator())):
        assert torch.all(examples.true == examples.inputs[:, 3:]) and torch.all(examples.true >= 0)
        assert count_right(problem, load_weights(sorter, CPU), examples) == 500


def test_fewer_boxes_and_positions_together_prove_no_more(sorter: Model) -> None:
    key = sorter.tensors["blocks.0.attn.W_K"]
    blurred = replace(key, data=(np.frombuffer(key.data, "<f4") * np.float32(0.5)).tobytes())
    problem = problem_about(replace(sorter, tensors={**sorter.tensors, "blocks.0.attn.W_K": blurred}), CPU)
    found = [prove(problem, ListSums(bins=bins, together=together))[1].correct for bins, together in ((1, 1), (1, 0), (2, 0))]
    assert 0 < found[0] <= found[1] <= found[2] <= 20


def test_what_it_is_not_for(sorter: Model) -> None:
    problem = problem_about(sorter, CPU)
    for bins in (0, 65):
        with pytest.raises(DoesNotFit, match="bins"):
            prove(problem, ListSums(bins=bins))
    for change in ({"attention_dir": "bidirectional"}, {"pad_token": 1}, {"n_layers": 2}):
        with pytest.raises(DoesNotFit):
            ListSums().fitting(problem_about(replace(sorter, config=replace(sorter.config, **change)), CPU))
    with pytest.raises(DoesNotFit, match="sorted-lists"):
        ListSums().fitting(problem_about(sorter, CPU, task={"name": "max-of-k"}))
    short = problem_about(replace(sorter, config=replace(sorter.config, n_ctx=4)), CPU)
    with pytest.raises(FormatError, match="positions"):
        short.task  # noqa: B018
