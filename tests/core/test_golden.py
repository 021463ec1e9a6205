"""The golden corpus: the checker gives the recorded verdicts, they are true, and the script that made them repeats itself."""

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import automaton_oracle
import make_golden
import numpy as np
import oracle
import pair_oracle
import pytest
from transformer_models import stored_weights
from transformer_oracle import exact_logits, torch_logits

from certificates import AttentionOnly, Certificate, MLPStatement, Model, Statement, Transformer, read_model
from certificates.certificate import read_certificate
from checker import covers, verify
from checker.decide import check_proof
from checker.registry import RULES

FOLDER = make_golden.FOLDER
VERDICTS: list[dict[str, Any]] = json.loads((FOLDER / "verdicts.json").read_text())
ACCEPTED = [entry for entry in VERDICTS if entry["accepted"]]
ABOUT_MLPS = [
    entry for entry in ACCEPTED if isinstance(read_certificate(FOLDER / entry["certificate"])[0].statement, MLPStatement)
]


def _name(entry: dict[str, Any]) -> str:
    return str(entry["certificate"]).removesuffix(".cert")


def recorded(entry: dict[str, Any]) -> int | None:
    """The number of correct inputs; none is proved by a refused certificate, nor by one about an MLP."""
    return None if entry["correct"] is None else int(entry["correct"])


def test_the_index_is_sorted_complete_and_well_formed() -> None:
    keys = ["certificate", "model", "accepted", "exit_code", "correct", "operations", "why"]
    assert all(list(entry) == keys for entry in VERDICTS)
    assert [entry["certificate"] for entry in VERDICTS] == sorted(path.name for path in FOLDER.glob("*.cert"))
    assert {entry["model"] for entry in VERDICTS} == {path.name for path in FOLDER.glob("*.safetensors")}
    assert all(path.stat().st_size < 4096 for path in FOLDER.iterdir() if path.name != "verdicts.json")
    for entry in VERDICTS:
        assert entry["accepted"] == (entry["exit_code"] == 0)
        assert (entry["operations"] is None) == (not entry["accepted"])
        assert (entry["correct"] is not None) == (entry["accepted"] and entry not in ABOUT_MLPS)
        assert entry["why"]


def test_every_rule_is_accepted_and_refused_somewhere() -> None:
    refused = [entry for entry in VERDICTS if entry["exit_code"] == 1]
    for group in (ACCEPTED, refused):
        used = {step.rule for entry in group for step in read_certificate(FOLDER / entry["certificate"])[0].steps}
        assert used >= set(RULES) - {"low-rank-chains"}  # whose hints nobody writes by hand: see its own tests


@pytest.mark.parametrize("entry", VERDICTS, ids=_name)
def test_the_checker_gives_the_recorded_verdict(entry: dict[str, Any]) -> None:
    verdict = verify(FOLDER / entry["certificate"], FOLDER / entry["model"])
    assert (verdict.accepted, verdict.exit_code) == (entry["accepted"], entry["exit_code"])
    assert verdict.reason
    assert verdict.correct == recorded(entry)
    assert verdict.operations == entry["operations"]


@pytest.mark.parametrize("entry", VERDICTS, ids=_name)
def test_the_slow_arithmetic_agrees(entry: dict[str, Any]) -> None:
    verdict = verify(FOLDER / entry["certificate"], FOLDER / entry["model"], arithmetic="mpmath")
    assert (verdict.exit_code, verdict.correct) == (entry["exit_code"], recorded(entry))
    assert verdict.operations == entry["operations"]


@pytest.mark.parametrize("precision", [31, 64])
@pytest.mark.parametrize("entry", ACCEPTED, ids=_name)
def test_what_is_accepted_is_accepted_with_more_bits(entry: dict[str, Any], precision: int) -> None:
    """Above 30 bits arrays hold Python integers, with which numpy does not always do as with its own."""
    certificate, _ = read_certificate(FOLDER / entry["certificate"])
    proof = check_proof(replace(certificate, precision=precision), read_model(FOLDER / entry["model"]))
    assert proof.operations == entry["operations"]


def mlp_is_a_quadrature(entry: dict[str, Any]) -> None:
    """The same about what the neurons add to the logits."""
    statement = read_certificate(FOLDER / entry["certificate"])[0].statement
    assert isinstance(statement, MLPStatement)
    model = read_model(FOLDER / entry["model"])
    for claim in statement.claims:
        most = pair_oracle.off_quadrature(model.tensors, claim.frequency, Fraction(claim.amplitude, 2**statement.scale))
        assert most <= Fraction(claim.error, 2**statement.scale)


def labelled(certificate: Certificate, row: Sequence[int]) -> int:
    """The true output of a sequence by the certificate's automaton."""
    tables = (certificate.given[name].integers().tolist() for name in ("order", "transitions", "outputs"))
    return automaton_oracle.output_of(*tables, row)


@dataclass(frozen=True)
class Labelled(oracle.TinyModel):
    """With the true outputs of an automaton (0 for what is no input)."""

    certificate: Certificate | None = None

    def label(self, tokens: Sequence[int]) -> int:
        """The true output."""
        assert self.certificate is not None
        return max(labelled(self.certificate, tokens), 0)


def inputs_are_right(entry: dict[str, Any]) -> None:
    """The same about sequences that a transformer of any depth reads."""
    certificate, _ = read_certificate(FOLDER / entry["certificate"])
    statement, model = certificate.statement, read_model(FOLDER / entry["model"])
    assert isinstance(statement, Statement)
    length, vocab = model.config.input_shape
    rows = np.array(list(itertools.product(range(vocab), repeat=length)))
    counted = covers(FOLDER / entry["certificate"], FOLDER / entry["model"], rows) >= 0
    if statement.task == {"name": "sorted-lists"}:
        return lists_are_right(certificate, model, rows[counted])
    if "reads" in certificate.given:
        return inputs_are_right_at_reads(certificate, model, rows, counted)
    own = "automaton" in statement.task
    assert own or statement.task == {"name": "max-of-k"}
    assert statement.total == len(rows) and int(counted.sum()) == int(entry["correct"])
    for row in rows[counted].tolist():
        logits = exact_logits(vars(model.config), stored_weights(model), row)
        assert logits.pop(labelled(certificate, row) if own else max(row)) > max(logits) + float(statement.margin)


def inputs_are_right_at_reads(certificate: Certificate, model: Model, rows: np.ndarray, counted: np.ndarray) -> None:
    """At least as many as stated, at every read."""
    tables = {name: table.integers().tolist() for name, table in certificate.given.items()}
    outputs = np.array([automaton_oracle.outputs_at_reads(tables, row) for row in rows.tolist()])
    logits = torch_logits(vars(model.config), stored_weights(model), rows).numpy()[:, [read[0] for read in tables["reads"]]]
    own = np.take_along_axis(logits, outputs[..., None], 2)[..., 0]
    np.put_along_axis(logits, outputs[..., None], -np.inf, 2)
    assert isinstance(certificate.statement, Statement) and certificate.statement.total == np.count_nonzero(outputs[:, 0] >= 0)
    assert np.all((own - logits.max(2))[counted] > float(certificate.statement.margin) + 1e-9)
    assert np.all(outputs[counted] >= 0) and np.count_nonzero(counted) >= certificate.statement.correct


def lists_are_right(certificate: Certificate, model: Model, counted: np.ndarray) -> None:
    """At least as many as stated, at every read."""
    statement, (positions, vocab) = certificate.statement, model.config.input_shape
    length = positions // 2
    every = [(*one, vocab - 1, *sorted(one)) for one in itertools.permutations(range(vocab - 1), length)]
    assert (
        isinstance(statement, Statement) and statement.total == len(every) and set(map(tuple, counted.tolist())) <= set(every)
    )
    logits = torch_logits(vars(model.config), stored_weights(model), counted).numpy()[:, length:-1]
    own = np.take_along_axis(logits, counted[:, length + 1 :, None], 2)[..., 0]
    np.put_along_axis(logits, counted[:, length + 1 :, None], -np.inf, 2)
    assert np.all(own - logits.max(2) > float(statement.margin) + 1e-9) and len(counted) >= statement.correct


def pairs_are_right(entry: dict[str, Any]) -> None:
    """The same about pairs of elements."""
    certificate, _ = read_certificate(FOLDER / entry["certificate"])
    statement, model = certificate.statement, read_model(FOLDER / entry["model"])
    assert isinstance(statement, Statement)
    if "automaton" in statement.task:
        size = model.config.input_shape[1]
        table = np.array([[labelled(certificate, (a, b)) for b in range(size)] for a in range(size)])
    else:
        table = pair_oracle.table_of(statement.task, certificate.given.get("table"))
    right = pair_oracle.right(model.tensors, table, statement.margin)
    counted = covers(FOLDER / entry["certificate"], FOLDER / entry["model"], np.argwhere(right | ~right)) >= 0
    assert int(counted.sum()) == int(entry["correct"])
    assert np.all(right.reshape(-1)[counted])
    assert statement.total == table.size


@pytest.mark.parametrize("entry", ACCEPTED, ids=_name)
def test_what_is_accepted_is_true(entry: dict[str, Any]) -> None:
    model = read_model(FOLDER / entry["model"])
    config = model.config
    if entry in ABOUT_MLPS:
        return mlp_is_a_quadrature(entry)
    if isinstance(config, Transformer):
        return inputs_are_right(entry)
    if not isinstance(config, AttentionOnly):
        return pairs_are_right(entry)
    tensors = {name: (t.dtype, t.shape, t.data) for name, t in model.tensors.items()}
    certificate, _ = read_certificate(FOLDER / entry["certificate"])
    statement = certificate.statement
    assert isinstance(statement, Statement)
    task, own = statement.task, "automaton" in statement.task
    rank = 1 if own else {"max-of-k": 1, "min-of-k": config.n_ctx}.get(task["name"]) or task["n"]
    sizes = (config.d_vocab, config.n_ctx, config.d_model, config.d_head, config.d_vocab_out)
    tiny = Labelled(*sizes, tensors, certificate=certificate) if own else oracle.TinyModel(*sizes, tensors, rank=rank)
    truth = oracle.truth(tiny, statement.margin)
    inputs = np.array([not own or labelled(certificate, row) >= 0 for row in truth.tokens.tolist()])
    counted = covers(FOLDER / entry["certificate"], FOLDER / entry["model"], truth.tokens) >= 0
    assert int(counted.sum()) == int(entry["correct"])
    assert np.all((truth.correct & inputs)[counted])
    if entry["certificate"] in ("enumeration.cert", "enumeration-smallest.cert", "all-biases.cert", "ties-not-counted.cert"):
        assert truth.count == int(entry["correct"])
    assert statement.total == inputs.sum()
    assert len(inputs) == config.d_vocab**config.n_ctx


def test_making_the_corpus_again_changes_nothing(tmp_path: Path) -> None:
    make_golden.main(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in FOLDER.iterdir()}
    for path in sorted(FOLDER.iterdir()):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name
