"""Checks on several machines: shards that are put together give the verdict of one check, and nothing else is accepted."""

import hashlib
import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from certificates import Model, Statement, write_certificate, write_model
from checker import Budget, InvalidInput, covers, verify
from checker.reporting import shards
from checker.reporting.cli import cli, main
from prover.attention.sequence_problem import SequenceProblem
from prover.known_tasks import in_context_copying
from prover.proving import problem_about, prove
from prover.strategies.all_inputs import Enumerate
from prover.strategies.classes import Classes
from prover.strategies.enumeration import BruteForce
from prover.strategies.low_rank_chains import LowRankChains
from prover.strategies.pair_tables import PairTables
from prover.strategies.regions import Regions
from prover.strategy import Strategy
from prover.training.max_of_k import MaxOfKRecipe, train_max_of_k
from prover.training.own_task import OwnTaskRecipe, train_own_task

SHARDS = 3


@pytest.fixture(scope="module")
def model() -> Model:
    return train_max_of_k(MaxOfKRecipe(3, 7, seed=1, d_model=8, d_head=4, steps=200), torch.device("cpu"))


@pytest.fixture(scope="module")
def folder(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, a certificate of it by brute force, and its shards."""
    made = tmp_path_factory.mktemp("shards")
    write_model(made / "model", model)
    write_certificate(made / "cert", prove(SequenceProblem(model, torch.device("cpu")), BruteForce())[0])
    for number in range(1, SHARDS + 1):
        shard(made / "cert", made / "model", number, made / f"{number}.json")
    return made


def shard(certificate: Path, model: Path, number: int, output: Path, of: int = SHARDS, *more: str) -> str:
    command = ["verify", certificate, "--model", model, "--shard", f"{number}/{of}", "-o", output, *more]
    done = CliRunner().invoke(cli, [str(part) for part in command])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


def all_of(folder: Path) -> list[Path]:
    return [folder / f"{number}.json" for number in range(1, SHARDS + 1)]


@pytest.mark.parametrize(("layers", "strategy"), [(1, Regions(fine=4)), (2, PairTables()), (2, PairTables(before=1))])
def test_transformers_with_tasks_of_their_own(
    layers: int, strategy: Strategy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts are blocks of regions, or outputs; processes and shards do the same as one after the other."""
    monkeypatch.setattr("checker.transformer.regions._MOST_TOGETHER", 3)
    task = in_context_copying(4, 3)
    recipe = OwnTaskRecipe(layers=layers, heads=2, d_model=12, d_head=6, d_mlp=0 if layers == 2 else 8, steps=150)
    own = train_own_task(recipe, task, torch.device("cpu"))
    certificate, evidence = prove(problem_about(own, torch.device("cpu"), automaton=task), strategy)
    write_model(tmp_path / "model", own)
    write_certificate(tmp_path / "cert", certificate)
    whole = verify(tmp_path / "cert", tmp_path / "model")
    assert whole.accepted and whole.correct == evidence.correct
    divided = verify(tmp_path / "cert", tmp_path / "model", jobs=2)
    assert replace(divided, seconds=whole.seconds, trusted_lines=whole.trusted_lines) == whole
    for number in range(1, SHARDS + 1):
        shard(tmp_path / "cert", tmp_path / "model", number, tmp_path / f"{number}.json")
    command = ["combine", tmp_path / "cert", *all_of(tmp_path), "--model", tmp_path / "model", "--json"]
    found = json.loads(CliRunner().invoke(cli, [str(part) for part in command]).output)
    assert found["accepted"] and (found["correct"], found["operations"]) == (whole.correct, whole.operations)
    if layers == 1:
        content = json.loads((tmp_path / "1.json").read_text())
        content["outcomes"]["0"][2] |= 8
        (tmp_path / "1.json").write_text(json.dumps(content))
        refused = CliRunner().invoke(cli, [str(part) for part in command[:-1]])
        assert refused.exit_code == 1 and "more regions than there are" in refused.output
    rows = np.array(list(itertools.product(range(3), repeat=4)))
    rows = rows[task.outputs_of(rows)[:, 0] >= 0]
    held = covers(tmp_path / "cert", tmp_path / "model", rows) >= 0
    assert np.count_nonzero(held) == whole.correct


@pytest.mark.parametrize("strategy", [BruteForce(), Classes(), Enumerate()])
@pytest.mark.parametrize("of", [1, 2, 5, 40])
def test_together_they_are_the_check(strategy: Any, of: int, model: Model, tmp_path: Path) -> None:
    """The same theorem, count and operations; a shard takes a part of the work."""
    write_model(tmp_path / "model", model)
    write_certificate(tmp_path / "cert", prove(SequenceProblem(model, torch.device("cpu")), strategy)[0])
    whole = verify(tmp_path / "cert", tmp_path / "model")
    files = [tmp_path / f"{number}.json" for number in range(1, of + 1)]
    for number, file in enumerate(files, 1):
        assert "parts hold" in shard(tmp_path / "cert", tmp_path / "model", number, file, of, "--jobs", str(1 + number % 2))
    together = verify(tmp_path / "cert", tmp_path / "model", shards=files)
    assert together.accepted and together.theorem == whole.theorem and together.operations == whole.operations
    assert together.shards == of and together.trusted_lines is None and whole.shards == 0
    less = Budget(operations=whole.operations - 1)
    assert "budget" in verify(tmp_path / "cert", tmp_path / "model", shards=files, budget=less).reason


def test_by_commands(folder: Path) -> None:
    command = ["combine", folder / "cert", *all_of(folder), "--model", folder / "model"]
    done = CliRunner().invoke(cli, [str(part) for part in command])
    assert done.exit_code == 0 and "ACCEPTED" in done.output and "rests on whoever wrote the 3 shards" in done.output
    done = CliRunner().invoke(cli, [*map(str, command), "--at-least", "1"])
    assert done.exit_code == 1 and "NOT ACCEPTED" in done.output


def test_a_false_claim_is_found_by_combining(model: Model, folder: Path, tmp_path: Path) -> None:
    """Shards of counts say nothing about the claim; whoever adds them up sees that it is too much."""
    certificate, evidence = prove(SequenceProblem(model, torch.device("cpu")), BruteForce())
    lie = Statement(model.digest(), model.task, evidence.correct + 1, 7**3)
    write_certificate(tmp_path / "cert", type(certificate)(lie, certificate.precision, certificate.steps))
    for number in (1, 2):
        shard(tmp_path / "cert", folder / "model", number, tmp_path / f"{number}.json", 2)
    verdict = verify(tmp_path / "cert", folder / "model", shards=[tmp_path / "1.json", tmp_path / "2.json"])
    assert not verdict.accepted and "claims" in verdict.reason


def test_a_class_that_is_not_proved_is_found_by_its_shard(model: Model, folder: Path, tmp_path: Path) -> None:
    """At a higher margin than what was searched for, some class fails, and so does its shard; no file is written."""
    certificate, _ = prove(SequenceProblem(model, torch.device("cpu")), Classes())
    stated = certificate.statement
    assert isinstance(stated, Statement)
    lie = Statement(stated.model_digest, stated.task, stated.correct, stated.total, stated.margin + 10**6)
    write_certificate(tmp_path / "cert", type(certificate)(lie, certificate.precision, certificate.steps))
    with pytest.raises(Exception, match="not proved"):
        shard(tmp_path / "cert", folder / "model", 1, tmp_path / "1.json", 1)
    assert not (tmp_path / "1.json").exists()


def without_the_last(file: Path, scratch: Path) -> Path:
    """As if the check had one part less."""
    content = json.loads(file.read_text())
    content["parts"] -= 1
    content["outcomes"].pop(str(content["parts"]), None)
    (scratch / file.name).write_text(json.dumps(content))
    return scratch / file.name


def edited(change: Callable[[dict[str, Any]], None]) -> Callable[[list[Path], Path], list[Path]]:
    def edit(files: list[Path], scratch: Path) -> list[Path]:
        content = json.loads(files[0].read_text())
        change(content)
        (scratch / "edited.json").write_text(json.dumps(content))
        return [scratch / "edited.json", *files[1:]]

    return edit


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda files, _: files[:2], r"each of the 3 shards is needed once; given: \[1, 2\]"),
        (lambda files, _: [*files, files[0]], r"given: \[1, 1, 2, 3\]"),
        (lambda files, _: [files[0], files[0], files[2]], r"given: \[1, 1, 3\]"),
        (edited(lambda c: c.update(model_digest="0" * 64)), "not of one check"),
        (edited(lambda c: c.update(certificate_sha256="0" * 64)), "not of one check"),
        (edited(lambda c: c.update(version="0.0.1")), "not of one check"),
        (edited(lambda c: c.update(arithmetic="mpmath")), "not of one check"),
        (edited(lambda c: c.update(format="other")), "is no shard"),
        (edited(lambda c: c.update(shard=2)), "its parts are not those of shard 2/3"),
        (edited(lambda c: c.update(shard=0)), "is no shard"),
        (edited(lambda c: c.update(shard=True)), "is no shard"),
        (edited(lambda c: c.update(of=-1)), "is no shard"),
        (edited(lambda c: c.update(parts=1 << 40)), "its parts are not|is no shard|not of one check"),
        (edited(lambda c: c.update(outcomes=[])), "is no shard"),
        (edited(lambda c: c["outcomes"].popitem()), "its parts are not those of shard 1/3"),
        (edited(lambda c: c["outcomes"].update({"1": c["outcomes"].pop("0")})), "its parts are not those of shard 1/3"),
        (lambda files, scratch: [without_the_last(file, scratch) for file in files], "of 6 parts, the check has 7"),
        (edited(lambda c: c["outcomes"].update({"1": [1, 1, 1]})), "its parts are not those of shard 1/3"),
        (edited(lambda c: c["outcomes"].update({"00": [1, 1, 1]})), "is no shard of a check: part '00'"),
        (edited(lambda c: c["outcomes"].update({"1" * 5000: [1, 1, 1]})), "is no shard of a check: part '1111"),
        (edited(lambda c: c["outcomes"].update({"\u0663": [1, 1, 1]})), "is no shard of a check: part"),
        (edited(lambda c: c["outcomes"].update({"0": [10**4200, 1, 1]})), "is no shard of a check: part '0'"),
        (edited(lambda c: c["outcomes"].update({"0": [1, 1, 10**4200]})), "is no shard of a check: part '0'"),
        (edited(lambda c: c.update(of=10**19, parts=1, shard=1, outcomes={"0": [1, 1, 1]})), "is no shard"),
        (edited(lambda c: c.update(of="3")), "is no shard"),
        (edited(lambda c: c.update(code="0" * 64)), "not of one check"),
        (lambda files, _: [*files[:2], Path("/dev/zero")], "larger than|cannot read"),
        (lambda files, _: [*files[:2], Path("a\0b")], "cannot read the shard"),
        (edited(lambda c: c["outcomes"].update({"0": [1, 1, -1]})), "is no shard of a check: part '0'"),
        (edited(lambda c: c["outcomes"].update({"0": [1, 1]})), "is no shard of a check: part '0'"),
        (edited(lambda c: c["outcomes"].update({"0": [-1, 1, 1]})), "is no shard of a check: part '0'"),
        (edited(lambda c: c["outcomes"].update({"0": [1, 1, None]})), "is no shard of a check: part '0'"),
        (edited(lambda c: c["outcomes"].update({"x": [1, 1, 1]})), "is no shard of a check: part 'x'"),
        (edited(lambda c: c.update(more=1)), "is no shard"),
        (lambda files, scratch: [*files[:2], scratch / "missing"], "cannot read the shard"),
        (lambda files, scratch: [*files[:2], files[0].parent / "cert"], "cannot read the shard|JSON"),
    ],
)
def test_what_is_not_accepted(
    spoil: Callable[[list[Path], Path], list[Path]], reason: str, folder: Path, tmp_path: Path
) -> None:
    verdict = verify(folder / "cert", folder / "model", shards=spoil(all_of(folder), tmp_path))
    assert not verdict.accepted
    with pytest.raises(Exception, match=reason):
        verdict.raise_if_refused()


def test_shards_of_something_else(model: Model, folder: Path, tmp_path: Path) -> None:
    problem = SequenceProblem(model, torch.device("cpu"))
    write_certificate(tmp_path / "cert", prove(problem, BruteForce())[0])
    write_certificate(tmp_path / "other", prove(problem, Classes())[0])
    assert "another certificate" in verify(tmp_path / "other", folder / "model", shards=all_of(folder)).reason
    slow = verify(folder / "cert", folder / "model", shards=all_of(folder), arithmetic="mpmath")
    assert "with integers; this is" in slow.reason
    write_certificate(tmp_path / "chains", prove(problem, LowRankChains())[0])
    with pytest.raises(Exception, match="no independent parts to divide"):
        shard(tmp_path / "chains", folder / "model", 1, tmp_path / "x.json")


def test_a_certificate_that_changes_meanwhile(
    model: Model, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shard is about what was read and checked, not about what is in the file when the check ends."""
    certificate, file = (folder / "cert").read_bytes(), tmp_path / "cert"
    file.write_bytes(certificate)
    genuine = shards.check_proof

    def replaced(*arguments: Any, **options: Any) -> Any:
        file.write_bytes(b"something else")
        return genuine(*arguments, **options)

    monkeypatch.setattr(shards, "check_proof", replaced)
    shard(file, folder / "model", 1, tmp_path / "1.json", 1)
    assert json.loads((tmp_path / "1.json").read_text())["certificate_sha256"] == hashlib.sha256(certificate).hexdigest()


def test_pins_are_for_whoever_combines(folder: Path, tmp_path: Path) -> None:
    for pin in (["--at-least", "1"], ["--task", "max-of-k"], ["--allow-rules", "none"], ["--verified"], ["--json"]):
        with pytest.raises(InvalidInput, match="pin what you mean"):
            shard(folder / "cert", folder / "model", 1, tmp_path / "1.json", 1, *pin)
    for output in (folder / "cert", folder / "model", tmp_path / "none" / "1.json"):
        with pytest.raises(InvalidInput, match="cannot write to"):
            shard(folder / "cert", folder / "model", 1, output, 1)
    pins = ["--task", "min-of-k"], ["--allow-rules", "additive-tables"], ["--margin-at-least", "1"]
    for pin in pins:
        command = ["combine", folder / "cert", *all_of(folder), "--model", folder / "model", *pin]
        done = CliRunner().invoke(cli, [str(part) for part in command])
        assert done.exit_code == 1 and "NOT ACCEPTED" in done.output


def test_shards_that_lie_claim_no_more_than_all(model: Model, folder: Path, tmp_path: Path) -> None:
    certificate, _ = prove(SequenceProblem(model, torch.device("cpu")), BruteForce())
    lie = Statement(model.digest(), model.task, 7**3 + 1, 7**3)
    write_certificate(tmp_path / "cert", type(certificate)(lie, certificate.precision, certificate.steps))
    shard(tmp_path / "cert", folder / "model", 1, tmp_path / "1.json", 1)
    content = json.loads((tmp_path / "1.json").read_text())
    right = sum(one[2] for one in content["outcomes"].values())
    content["outcomes"]["0"][2] += 7**3 + 1 - right
    (tmp_path / "1.json").write_text(json.dumps(content))
    verdict = verify(tmp_path / "cert", folder / "model", shards=[tmp_path / "1.json"])
    assert not verdict.accepted and "344 right inputs of 343 cannot be" in verdict.reason


@pytest.mark.parametrize(
    "arguments", [["--shard", "1/3"], ["--shard", "0/3", "-o", "x"], ["--shard", "x", "-o", "x"], ["-o", "x"]]
)
def test_options_that_make_no_sense(arguments: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["verify", str(folder / "cert"), "--model", str(folder / "model"), *arguments])
    assert stop.value.code == 2 and ("--shard takes I/N" in capsys.readouterr().out or "0/3" in arguments)
