"""`prover frontier` about tasks of one's own: which strategies fit, what the page says, going on where it stopped."""

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from test_frontier import sticking_out, told

from certificates import write_model
from certificates.automaton import read_automaton
from prover import frontier
from prover.commands import cli
from prover.tasks import automaton_from, write_automaton
from prover.training.own_task import OwnTaskRecipe, train_own_task

LENGTH, TOKENS = 5, 3


@pytest.fixture(scope="module")
def explored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A small model of one layer and its frontier; and what was printed."""
    folder = tmp_path_factory.mktemp("own")
    task = automaton_from(0, lambda total, token, _: total + token, lambda total: int(total > LENGTH), LENGTH, TOKENS)
    recipe = OwnTaskRecipe(heads=1, d_model=8, d_head=4, d_mlp=4, steps=300)
    write_model(folder / "own.safetensors", train_own_task(recipe, task, torch.device("cpu")))
    write_automaton(folder / "own.json", task)
    result = CliRunner().invoke(cli, ["frontier", str(folder / "own.safetensors"), "-o", str(folder / "out")])
    assert result.exit_code == 0, result.output
    return folder, result.output


def test_every_strategy_that_fits_is_swept(explored: tuple[Path, str]) -> None:
    """The others are told once, with a reason; the longest proof proves the most."""
    folder, output = explored
    results = json.loads((folder / "out/frontier.json").read_text())
    settings = [(one["strategy"], tuple(one["parameters"].values())) for one in results]
    assert len(set(settings)) == len(settings) == 1 + 5 + 3
    assert {name for name, _ in settings} == {"enumerate", "regions", "potentials"}
    assert all(one["accepted"] and one["total"] == TOKENS**LENGTH for one in results)
    assert max(one["correct"] for one in results) == next(one["correct"] for one in results if one["strategy"] == "enumerate")
    assert output.count("does not fit") == 2 and "pair-tables and 1 more" in output


def test_what_the_page_says(explored: tuple[Path, str]) -> None:
    page = told((explored[0] / "out/report.html").read_text())
    assert f"{TOKENS**LENGTH} sequences of {LENGTH} tokens out of {TOKENS}" in page
    for said in ("boxes that are not cut", "potentials linear", "prover attack --regions", "pair-tables and 1 more"):
        assert said in page
    assert not sticking_out(explored[0] / "out/report.html")


def test_nothing_is_done_twice(explored: tuple[Path, str]) -> None:
    """And a strategy for other models is an error that says which there are."""
    folder = explored[0]
    before = {path: path.stat().st_mtime_ns for path in (folder / "out").glob("*.cert")}
    again = CliRunner().invoke(cli, ["frontier", str(folder / "own.safetensors"), "-o", str(folder / "out")])
    assert again.exit_code == 0 and {path: path.stat().st_mtime_ns for path in before} == before
    other = ["frontier", str(folder / "own.safetensors"), "--strategies", "classes", "-o", str(folder / "other")]
    refused = CliRunner().invoke(cli, other)
    assert refused.exit_code != 0 and "not for models like this one" in str(refused.output) + str(refused.exception)


def test_from_python(explored: tuple[Path, str], tmp_path: Path) -> None:
    """The task is given; so the model file need not name it."""
    folder = explored[0]
    task = read_automaton(folder / "own.json")
    found = frontier(folder / "own.safetensors", tmp_path, ("potentials",), task=task)
    assert {result.total for result in found.results} == {TOKENS**LENGTH} and found.automaton is not None
