"""The extracted checker on rule potentials: against the checker in Python, an oracle, and mutants of certificates.

It bounds sums over all ways to a region, in as many bits as that takes, and does not look at multipliers. So it may count more
inputs than the checker in Python.
"""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_extracted import asked, pytestmark
from test_extracted_transformers import POSITIONS
from test_potentials import Hints, applied, draw_claims, draw_fitting, reads_that_fit, step_of
from test_regions import applied as by_regions
from test_regions import draw_automaton, draw_hints, every_input, setting_for, true_leads, width
from test_regions import step_of as region_step
from thorough import THOROUGH, some

import certificates
from certificates import (
    Certificate,
    Model,
    Statement,
    Step,
    integer_tensor,
    read_model,
    write_certificate,
    write_model,
)
from certificates.automaton import Automaton, read_automaton
from checker import verify
from checker.transformer.all_reads import all_reads
from checker.transformer.finer import RightAtRead
from checker.transformer.joint_reads import joint_reads
from prover.known_tasks import running_sum_sign
from prover.proving import problem_about, prove
from prover.strategies.potentials import Potentials

__all__ = ["pytestmark"]
CPU = torch.device("cpu")


def plain(seed: int, **fixed: Any) -> Model:
    """One layer without norms but those of queries and keys, as potentials have a theorem about it."""
    kind: dict[str, Any] = {"positional_embedding_type": POSITIONS[seed % len(POSITIONS)], "normalization_type": None}
    return draw_fitting(seed, **{**kind, **fixed})


def drawn_task(model: Model, rng: np.random.Generator) -> Automaton:
    """A random automaton no read of which sees what is read later."""
    while True:
        automaton = draw_automaton(model, rng)
        if len(reads_that_fit(model, automaton)) == len(automaton.reads):
            return automaton


def stated(model: Model, automaton: Automaton, steps: list[Step], correct: int, total: int, margin: Fraction) -> Certificate:
    given = {name: integer_tensor(table) for name, table in automaton.tables.items()}
    statement = Statement(model.digest(), {"automaton": automaton.digest}, correct, total, margin)
    return Certificate(statement, 30, tuple(steps), given)


@pytest.mark.parametrize("seed", range(some(60)))
def test_potentials_are_judged_alike(seed: int, tmp_path: Path) -> None:
    """Random claims about each read, of one head and several, with boxes of ratios, multipliers and margins; some reads are
    proved by regions: it proves at least as much as Python does, and nothing that is not so.
    """
    rng, model = np.random.default_rng(seed), plain(seed)
    automaton = drawn_task(model, rng)
    rows = every_input(automaton)
    leads = true_leads(model, automaton, rows)
    positive = leads[leads > 0]
    margin = Fraction(float(rng.choice(positive))).limit_denominator(10**6) if len(positive) and seed % 3 == 0 else Fraction(0)
    margin = Fraction(str(round(float(margin), 6)))
    setting, alone = setting_for(model, automaton, 30, margin), True
    steps, facts = [Step("transformer-forward")], list[RightAtRead]()
    for read in range(len(automaton.reads)):
        memory = int(rng.choice([1, 2, 5, 10**9]))
        if seed % 5 == 0 and rng.random() < 0.5:
            hints = draw_hints(automaton, read, rng, memory, width(model))
            steps.append(region_step(read, hints, 2))
            facts.append(by_regions(setting, read, hints, 2))
        else:
            claims = draw_claims(model, automaton, read, rng, memory)
            steps.append(step_of(read, claims))
            facts.append(applied(setting, read, claims))
            alone = False
    once = bool(rng.integers(2))
    steps.append(Step("joint-reads" if once else "all-reads", tuple(range(1, len(steps)))))
    correct = (joint_reads if once else all_reads)(setting, replace(steps[-1], premises=()), tuple(facts)).correct
    write_model(tmp_path / "model", model)
    write_certificate(tmp_path / "cert", stated(model, automaton, steps, correct, len(rows), margin))
    status, answer = asked(tmp_path / "cert", tmp_path / "model")
    assert status == 0, answer
    assert int(answer["established"]) <= np.count_nonzero(leads.min(1) > float(margin) - 1e-9)
    by_read = "count_regions_sound" if alone else "count_potentials_sound"
    assert answer["theorem"] == ("count_joint_reads_sound" if once else by_read)


@pytest.mark.parametrize("seed", range(some(30)))
def test_what_the_prover_finds_is_accepted(seed: int, tmp_path: Path) -> None:
    rng, model = np.random.default_rng(seed), plain(seed)
    automaton = next(one for one in iter(lambda: drawn_task(model, rng), None) if len(one.reads) == 1)
    margin = Fraction(1, 16) if seed % 3 == 0 else Fraction(0)
    problem = problem_about(model, CPU, (30, 64)[seed % 2], automaton=automaton, margin=margin)
    found, evidence = prove(problem, Potentials(fine=(0, 4, 8)[seed % 3]))
    write_model(tmp_path / "model", model)
    write_certificate(tmp_path / "cert", found)
    verdict = verify(tmp_path / "cert", tmp_path / "model", verified=True)
    assert verdict.accepted and verdict.correct == evidence.correct, verdict.reason
    assert verdict.verified is not None and verdict.verified.theorem == "count_potentials_sound"


@pytest.mark.parametrize("seed", range(some(12)))
def test_sums_of_tokens_are_accepted(seed: int, tmp_path: Path) -> None:
    """Numbers of states, and multipliers: of several reads, and of one head and two."""
    kind = {"attention_dir": "causal", "pad_token": -1, "tie_word_embeddings": False}
    heads = {"n_heads": 1 + seed % 2, "n_key_value_heads": 1 + seed % 2}
    model = plain(seed, d_vocab=3, n_ctx=4, d_vocab_out=3, **kind, **heads)
    problem = problem_about(model, CPU, automaton=running_sum_sign(4, 1))
    found, evidence = prove(problem, Potentials())
    write_model(tmp_path / "model", model)
    write_certificate(tmp_path / "cert", found)
    status, answer = asked(tmp_path / "cert", tmp_path / "model")
    assert status == 0, answer
    assert evidence.correct <= int(answer["established"])


@pytest.mark.skipif(not THOROUGH, reason="half a minute")
def test_every_running_sum_is_right(tmp_path: Path) -> None:
    """The shipped model: 11^20 sequences, at 20 positions."""
    subject = Path(certificates.__file__).parent / "transformers" / "running-sum-20.safetensors"
    problem = problem_about(read_model(subject), CPU, automaton=read_automaton(subject.with_suffix(".json")))
    found, _ = prove(problem, Potentials())
    for rule in ("all-reads", "joint-reads"):
        write_certificate(tmp_path / "cert", replace(found, steps=(*found.steps[:-1], replace(found.steps[-1], rule=rule))))
        status, answer = asked(tmp_path / "cert", subject)
        assert status == 0 and int(answer["established"]) == 11**20, answer


def spoiled_claims(claims: Hints, rng: np.random.Generator) -> Hints:
    """With one hint that says something else."""
    name = str(rng.choice([name for name, hint in claims.items() if np.size(hint)]))
    hint = np.array(claims[name], np.int64)
    where = tuple(int(rng.integers(size)) for size in hint.shape)
    hint[where] += int(rng.choice([-1, 1, 2**10, -(2**26), 2**41]))
    return {**claims, name: hint}


@pytest.mark.parametrize("seed", range(some(60)))
def test_wrong_claims_prove_nothing_wrong(seed: int, tmp_path: Path) -> None:
    """Whatever hints say: what is established is so."""
    rng, model = np.random.default_rng(seed), plain(seed)
    automaton = drawn_task(model, rng)
    rows = every_input(automaton)
    leads, steps = true_leads(model, automaton, rows), [Step("transformer-forward")]
    for read in range(len(automaton.reads)):
        claims = draw_claims(model, automaton, read, rng, int(rng.choice([1, 3, 10**9])))
        steps.append(step_of(read, spoiled_claims(claims, rng)))
    steps.append(Step(("all-reads", "joint-reads")[seed % 2], tuple(range(1, len(steps)))))
    write_model(tmp_path / "model", model)
    certificate = stated(model, automaton, steps, 0, len(rows), Fraction(0))
    write_certificate(tmp_path / "cert", certificate)
    status, answer = asked(tmp_path / "cert", tmp_path / "model")
    if status == 0:
        assert int(answer["established"]) <= np.count_nonzero(leads.min(1) > -1e-9)
        write_certificate(tmp_path / "cert", stated(model, automaton, steps, 0, len(rows) + 1, Fraction(0)))
        assert asked(tmp_path / "cert", tmp_path / "model")[0] == 1
    else:
        assert not verify(tmp_path / "cert", tmp_path / "model").accepted, answer


@pytest.mark.parametrize("norm", ["LN", "RMSPre"])
def test_norms_are_named(norm: str, tmp_path: Path) -> None:
    model = draw_fitting(1, normalization_type=norm, attn_only=True, positional_embedding_type="none", use_qk_norm=False)
    rng = np.random.default_rng(0)
    automaton = drawn_task(model, rng)
    steps = [Step("transformer-forward")]
    steps += [step_of(read, draw_claims(model, automaton, read, rng, 1)) for read in range(len(automaton.reads))]
    steps.append(Step("all-reads", tuple(range(1, len(steps)))))
    write_model(tmp_path / "model", model)
    write_certificate(tmp_path / "cert", stated(model, automaton, steps, 0, len(every_input(automaton)), Fraction(0)))
    status, answer = asked(tmp_path / "cert", tmp_path / "model")
    assert status == 3 and "norms" in answer["unsupported"]
