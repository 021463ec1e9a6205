"""The extracted checker against the one in Python: the golden corpus, and mutants of certificates at every level.

It counts what it can show, and accepts statements of that number or less. It has a finer arithmetic, and sharper bounds where a
step says `joint` 0; of `low-rank-chains` it takes the classes, and proves them from full tables. So what the checker in Python
refuses, it may accept for three reasons only: the statement is less than was shown, a class could not be proved there (or what
it rests on), or an input that is listed and in a class is just not counted twice.
"""

import hashlib
import json
import os
import subprocess
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import Any

import make_golden
import mutate
import pytest
from thorough import some

import certificates
from certificates import read_certificate, write_certificate, write_model
from checker import verify
from checker.core.errors import CheckError, InvalidInput
from checker.reporting.cli import main
from checker.reporting.second_checker import second_program, second_verdict

GOLDEN = Path(certificates.__file__).parent / "golden"
VERDICTS: list[dict[str, Any]] = json.loads((GOLDEN / "verdicts.json").read_text())
LESS = {"count-too-low.cert", "joint-reads-fewer.cert", "margin-enumeration-ignored.cert"}
"""Golden certificates that state less than they show."""
SHARPER = {
    "pairs-bases-edge.cert",
    "pairs-bases-other.cert",
    "pairs-crosscoder-edge.cert",
    "pairs-crosscoder-uniform-edge.cert",
    "pairs-dictionary-factors-edge.cert",
    "pairs-dictionary-uniform-factors-edge.cert",
    "pairs-dictionary-uniform-factors-pairwise-edge.cert",
    "pairs-low-rank-factors-edge.cert",
    "pairs-low-rank-uniform-factors-edge.cert",
    "pairs-low-rank-uniform-factors-pairwise-edge.cert",
    "pairs-structured-edge.cert",
    "pairs-uniform-edge.cert",
}
"""Golden certificates whose proof just fails, but not by the bounds of the extracted functions."""
OF_SEQUENCES = {
    *("additive-tables", "projected-tables", "prefix-chains", "group-chains"),
    *("low-rank-chains", "enumeration"),
}
COVERED = OF_SEQUENCES | {"float-execution", "hidden-tables", "coded-output", "set-output", "further-inputs", "disjoint-sum"}
OF_TRANSFORMERS = {"transformer-forward", "all-inputs", "prefix-classes", "regions", "potentials", "all-reads", "joint-reads"}
WITHOUT_THEOREM = {"transformer-encoder.safetensors", "transformer-lists.safetensors"}
"""Golden models with an activation, or a task, that is not in Coq."""
BASES = (
    *(
        "brute-force",
        "sampling",
        "skipping",
        "classes",
        "chains",
        "one-block",
        "split",
        "mixed",
        "precise",
        "smallest",
        "second",
        "lengths",
        "differences",
        "norms",
        "low-rank",
    ),
    "trained",
)
"""Certificates (tests/mutation/mutate) by rules that have theorems in Coq."""
MUTANTS = int(os.environ.get("MUTANTS", some(1200)))
"""How many of all certificates are tried, about, as there are fewer of some kinds: `make differential` tries 20,000."""


def _is_built() -> bool:
    try:
        second_program()
    except CheckError:
        return bool(os.environ.get("CI_REQUIRES_COQ"))  # then tests fail
    return True


pytestmark = pytest.mark.skipif(not _is_built(), reason="the extracted checker is not built: make verified")


def asked(certificate: Path, model: Path) -> tuple[int, dict[str, Any]]:
    """Its exit status and answer."""
    done = subprocess.run([second_program(), model, certificate], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (0, 1, 2, 3) and not done.stderr, (done.returncode, done.stderr)
    answer: dict[str, Any] = json.loads(done.stdout)
    assert answer["accepted"] == (done.returncode == 0)
    return done.returncode, answer


def shows_more(answer: dict[str, Any]) -> bool:
    """Than is stated."""
    return int(answer["established"]) > int(answer["statement"]["correct"])


@pytest.mark.parametrize("entry", VERDICTS, ids=[f"{one['certificate']}-{one['model']}" for one in VERDICTS])
def test_golden_verdicts_agree(entry: dict[str, Any]) -> None:
    """Where there is a theorem; what has none is named."""
    certificate, model = GOLDEN / entry["certificate"], GOLDEN / entry["model"]
    status, answer = asked(certificate, model)
    if not entry["accepted"]:
        assert status != 0 or (entry["certificate"] in LESS and shows_more(answer)) or entry["certificate"] in SHARPER
        return
    rules = {step.rule for step in read_certificate(certificate)[0].steps}
    of_a_transformer = rules <= OF_TRANSFORMERS and entry["model"] not in WITHOUT_THEOREM
    assert status == (0 if rules <= COVERED or of_a_transformer else 3)


def judged_alike(mutants: Iterable[mutate.Mutant], folder: Path, reasons: tuple[str, ...]) -> Counter[str]:
    """What is accepted in Python is accepted; and what is accepted but not in Python, for one of the reasons. Counts."""
    certificate, model, outcomes = folder / "cert", folder / "model", Counter[str]()
    for mutant in mutants:
        mutate.put(certificate, mutant.certificate)
        mutate.put(model, mutant.model)
        verdict, (status, answer) = verify(certificate, model), asked(certificate, model)
        outcomes[f"{verdict.accepted} {status}"] += 1
        if verdict.accepted:
            assert status == 0, (mutant.what, answer)
        elif status == 0:
            assert any(reason in verdict.reason for reason in reasons) or shows_more(answer), (mutant.what, verdict)
    return outcomes


@pytest.mark.parametrize("name", BASES)
def test_mutants_are_judged_alike(name: str, tmp_path: Path) -> None:
    base, families = mutate.make_base(name), (*mutate.STRUCTURED, *mutate.DAMAGED)
    each = -(-MUTANTS // (len(BASES) * len(families)))
    mutants = (mutate.sample(family(base), each, seed=number) for number, family in enumerate(families))
    reasons = ("its proof shows", "is not proved correct", "may have been counted")
    reasons += ("is not proved", "radii lie between") if name == "low-rank" else ()
    outcomes = judged_alike(chain.from_iterable(mutants), tmp_path, reasons)
    assert sum(outcomes.values()) > 20 and outcomes["False 1"] + outcomes["False 2"] > 10, outcomes


@pytest.mark.parametrize("strategy", ["brute-force", "sampling", "exact", "classes", "thresholds", "pessimized"])
def test_a_verdict_names_the_theorem(strategy: str, tmp_path: Path) -> None:
    model = mutate._constructed(5, 4, 1.75)
    certificate = mutate._proved(model, strategy)
    write_model(tmp_path / "model", model)
    write_certificate(tmp_path / "cert", certificate)
    verdict = verify(tmp_path / "cert", tmp_path / "model", verified=True)
    sha256 = hashlib.sha256((tmp_path / "cert").read_bytes()).hexdigest()
    assert verdict.accepted and verdict.verified == second_verdict(tmp_path / "cert", tmp_path / "model", sha256)
    assert verdict.verified.theorem.startswith("count_") and len(verdict.verified.axioms) == 64
    assert verify(tmp_path / "cert", tmp_path / "model").verified is None


@pytest.mark.parametrize("rank", [1, 2, 3, 4])
def test_every_rank_has_the_theorem_of_group_chains(rank: int, tmp_path: Path) -> None:
    """Among four tokens: the largest, the smallest (the fourth), and those between, which need classes on two sides."""
    model = replace(mutate._constructed(4, 4, 1.75), task={"n": rank, "name": "nth-max-of-k"})
    certificate = mutate._proved(model, "exact")
    write_model(tmp_path / "model", model)
    write_certificate(tmp_path / "cert", certificate)
    verdict = verify(tmp_path / "cert", tmp_path / "model", verified=True)
    status, answer = asked(tmp_path / "cert", tmp_path / "model")
    assert status == 0 and verdict.accepted and answer["established"] == str(verdict.correct)
    assert verdict.verified is not None and verdict.verified.theorem == "count_group_chains_sound"


@pytest.mark.parametrize("residual", ["0", "1", "2"])
@pytest.mark.parametrize("ranks", [("-1", "-1", "-1"), ("2", "2", "2"), ("3", "-1", "0"), ("-1", "3", "1")])
def test_projected_tables_prove_as_much(residual: str, ranks: tuple[str, str, str], tmp_path: Path) -> None:
    """Tables projected or not, their residuals bounded in every way: the extracted checker counts neither more nor less."""
    shown = 0
    switches = dict(zip(("attention", "copying", "direct"), ranks, strict=True))
    models = (mutate._constructed(5, 4, 3.0), mutate._constructed(4, 3, 3.5, outputs=6), mutate._smallest())
    for number, model in enumerate(models):
        certificate = mutate._proved(model, "interpretation", **switches, residual=residual, diagonal=str(number % 2))
        write_model(tmp_path / "model", model)
        write_certificate(tmp_path / "cert", certificate)
        status, answer = asked(tmp_path / "cert", tmp_path / "model")
        verdict = verify(tmp_path / "cert", tmp_path / "model", verified=True)
        assert verdict.accepted and status == 0 and answer["established"] == str(verdict.correct)
        shown += verdict.correct or 0
    assert shown > 20


def test_inputs_beside_prefix_chains(tmp_path: Path) -> None:
    """Right ones in no class are counted beside them; one in a class is not counted twice."""
    model = mutate._constructed(5, 4, 1.75)
    chains = mutate._proved(model, "thresholds", levels="2")
    inputs = make_golden.all_inputs(5, 4)
    members = make_golden.members_of_chains(chains.steps[1], inputs)
    right = make_golden.leads({name: mutate.decoded(tensor) for name, tensor in model.tensors.items()}, inputs) > 1e-3
    others = make_golden.by_cell(map(tuple, inputs[right & ~members].tolist()))
    write_model(tmp_path / "model", model)

    def judged(rows: list[tuple[int, ...]], correct: int) -> tuple[bool, int, int]:
        """By both checkers; and what the extracted one establishes, where it says so."""
        statement = replace(chains.statement, correct=correct)
        steps = (*chains.steps, make_golden.further(rows, 1))
        write_certificate(tmp_path / "cert", replace(chains, statement=statement, steps=steps))
        status, answer = asked(tmp_path / "cert", tmp_path / "model")
        return verify(tmp_path / "cert", tmp_path / "model").accepted, status, int(answer.get("established", 0))

    count = int(members.sum()) + len(others)
    assert others and judged(others, count) == (True, 0, count)
    twice = make_golden.by_cell([*others, tuple(inputs[members][0].tolist())])
    assert judged(twice, count + 1)[:2] == (False, 1)
    assert judged(twice, count) == (False, 0, count)


def test_both_checkers_read_the_same_certificate(tmp_path: Path) -> None:
    """A file that is replaced between their reading it is refused."""
    model = mutate._constructed(5, 4, 1.75)
    write_model(tmp_path / "model", model)
    write_certificate(tmp_path / "cert", mutate._proved(model, "exact"))
    other = hashlib.sha256(b"what the other one has read").hexdigest()
    with pytest.raises(InvalidInput, match="has changed while"):
        second_verdict(tmp_path / "cert", tmp_path / "model", other)


def test_low_rank_chains_are_proved_from_full_tables(tmp_path: Path) -> None:
    """Their classes are; what a step says of bounds is checked in Python only."""
    for model in (mutate._constructed(5, 4, 3.0), mutate._constructed(4, 3, 3.5, outputs=6), mutate._smallest()):
        certificate = mutate._proved(model, "low-rank-chains")
        write_model(tmp_path / "model", model)
        write_certificate(tmp_path / "cert", certificate)
        verdict = verify(tmp_path / "cert", tmp_path / "model", verified=True)
        status, answer = asked(tmp_path / "cert", tmp_path / "model")
        assert verdict.accepted and status == 0 and answer["established"] == str(verdict.correct) != "0"
    claims = certificate.steps[0].hints["log_gain"].integers()
    false = replace(
        certificate.steps[0], hints={**certificate.steps[0].hints, "log_gain": make_golden.tensor(claims + (1 << 40))}
    )
    write_certificate(tmp_path / "cert", replace(certificate, steps=(false,)))
    refused = verify(tmp_path / "cert", tmp_path / "model", verified=True)
    assert not refused.accepted and "is not proved" in refused.reason and asked(tmp_path / "cert", tmp_path / "model")[0] == 0


def test_what_has_no_theorem_is_refused() -> None:
    certificate, model = GOLDEN / "automaton.cert", GOLDEN / "small.safetensors"
    assert verify(certificate, model).accepted
    refused = verify(certificate, model, verified=True)
    assert not refused.accepted and refused.exit_code == 1 and "no theorem in Coq about this: automata" in refused.reason


def test_verified_only_says_what_the_program_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """About files that the rules in Python accept, and about others."""
    model = mutate._constructed(5, 4, 1.75)
    write_model(tmp_path / "model", model)
    for strategy in ("exact", "classes"):
        certificate = mutate._proved(model, strategy)
        write_certificate(tmp_path / "cert", certificate)
        verdict = verify(tmp_path / "cert", tmp_path / "model", verified=True)
        options = ["verify", str(tmp_path / "cert"), "--model", str(tmp_path / "model"), "--verified-only", "--json"]
        with pytest.raises(SystemExit) as stop:
            main(options)
        alone = json.loads(capsys.readouterr().out)
        assert stop.value.code == 0 and alone["verified"] == asdict(verdict)["verified"]
        for said in ("accepted", "correct", "total", "accuracy_floor", "margin", "model_digest", "task"):
            assert alone[said] == getattr(verdict, said)
        claims_more = replace(certificate.statement, correct=certificate.statement.total)
        write_certificate(tmp_path / "cert", replace(certificate, statement=claims_more))
        with pytest.raises(SystemExit) as stop:
            main(options)
        assert stop.value.code == 1 and "but its proof shows" in json.loads(capsys.readouterr().out)["reason"]


def test_verified_only_speaks_of_executions(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(
            [
                "verify",
                str(GOLDEN / "execution.cert"),
                "--model",
                str(GOLDEN / "small.safetensors"),
                "--verified-only",
                "--json",
            ]
        )
    said = json.loads(capsys.readouterr().out)
    assert stop.value.code == 0 and said["deployed"] == "float32" and "execution of the model in float32" in said["theorem"]
