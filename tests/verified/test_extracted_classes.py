"""The extracted checker on transformers of several layers: classes of prefixes and regions of their automaton, against the
checker in Python and an oracle. Both bound what layers work on, each in its own way.
"""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_extracted import asked, pytestmark
from test_prefix_classes import applied, classes_step, deep, draw_classes, drawn_margin, in_order
from test_regions import draw_hints, every_input, setting_for, spoiled, step_of, true_leads, width
from thorough import some

from certificates import Certificate, Model, Statement, Step, integer_tensor, write_certificate, write_model
from certificates.automaton import Automaton
from checker import verify
from checker.core.errors import Refused
from checker.transformer.all_reads import all_reads
from checker.transformer.joint_reads import joint_reads
from checker.transformer.regions import regions
from prover.proving import problem_about, prove
from prover.strategies.potentials import Potentials
from prover.strategies.regions import Regions

__all__ = ["pytestmark"]


def layers(seed: int, **fixed: Any) -> Model:
    """Several, with an activation that there is a theorem about."""
    return deep(seed, **{"act_fn": ("relu", "silu", "gelu_new")[seed % 3], **fixed})


def task_of(model: Model, rng: np.random.Generator) -> Automaton:
    """One with reads of positions that the read's steps read."""
    return next(one for one in iter(lambda: in_order(model, rng), None) if np.all(one.reads[:, 1] > one.reads[:, 0]))


def written(folder: Path, model: Model, automaton: Automaton, margin: Fraction, correct: int, steps: list[Step]) -> None:
    given = {name: integer_tensor(table) for name, table in automaton.tables.items()}
    total = len(every_input(automaton))
    statement = Statement(model.digest(), {"automaton": automaton.digest}, correct, total, margin)
    write_model(folder / "model", model)
    write_certificate(folder / "cert", Certificate(statement, 30, tuple(steps), given))


@pytest.mark.parametrize("seed", range(some(60)))
def test_classes_are_judged_alike(seed: int, tmp_path: Path) -> None:
    """Random classes and finer automata, with cuts and margins: it proves nothing that is not so, and of two layers, where each
    prefix has a class of its own, at least as much as Python does with 30 bits.
    """
    rng, model = np.random.default_rng(seed), layers(seed)
    automaton = task_of(model, rng)
    rows = every_input(automaton)
    leads = true_leads(model, automaton, rows)
    margin = Fraction(str(round(float(drawn_margin(leads, rng, seed)), 6)))
    memory = int(rng.choice([1, 2, 10**9]))
    classes, finer = draw_classes(automaton, rng, memory)
    setting, facts, steps = setting_for(model, automaton, 30, margin), [], [Step("transformer-forward"), classes_step(classes)]
    try:
        layer = applied(setting, classes)
    except Refused:
        layer = None
    for read in range(len(automaton.reads)):
        hints = draw_hints(finer, read, rng, int(rng.choice([1, 2, 10**9])), width(model), 0.1 * (seed % 4 == 1), by_state=True)
        step = replace(step_of(read, hints, int(rng.integers(0, 4))), premises=(1,))
        steps.append(step)
        facts += [regions(setting, replace(step, premises=(0,)), (layer,))] if layer else []
    once = bool(rng.integers(2))
    last = Step("joint-reads" if once else "all-reads", tuple(range(2, len(steps))))
    correct = (joint_reads if once else all_reads)(setting, replace(last, premises=()), tuple(facts)).correct if layer else 0
    written(tmp_path, model, automaton, margin, correct if memory > 2 and model.config.n_layers == 2 else 0, [*steps, last])
    status, answer = asked(tmp_path / "cert", tmp_path / "model")
    assert status == 0, answer
    assert int(answer["established"]) <= np.count_nonzero(leads.min(1) > float(margin) - 1e-9)
    assert answer["theorem"] == ("count_class_joint_reads_sound" if once else "count_class_regions_sound")


@pytest.mark.parametrize("seed", range(some(16)))
def test_what_the_prover_finds_of_several_layers_is_accepted(seed: int, tmp_path: Path) -> None:
    rng, model = np.random.default_rng(seed), layers(seed, n_layers=2)
    automaton = task_of(model, rng)
    margin = Fraction(1, 16) if seed % 3 == 0 else Fraction(0)
    problem = problem_about(model, torch.device("cpu"), (30, 64)[seed % 2], automaton=automaton, margin=margin)
    found, evidence = prove(problem, Regions(fine=8, recent=4, cuts=seed % 4))
    write_model(tmp_path / "model", model)
    write_certificate(tmp_path / "cert", found)
    verdict = verify(tmp_path / "cert", tmp_path / "model", verified=True)
    assert verdict.accepted and verdict.correct == evidence.correct, verdict.reason
    assert verdict.verified is not None and verdict.verified.theorem.startswith("count_class_")


@pytest.mark.parametrize("seed", range(some(80)))
def test_spoiled_classes_prove_nothing_false(seed: int, tmp_path: Path) -> None:
    """Where Python refuses hints, so does it; and otherwise what it counts is right."""
    rng, model = np.random.default_rng(seed), layers(seed)
    automaton = task_of(model, rng)
    leads = true_leads(model, automaton, every_input(automaton))
    classes, finer = draw_classes(automaton, rng, (2, 10**9)[seed % 2])
    read = len(automaton.reads) - 1
    hints = [draw_hints(finer, number, rng, 2, width(model), by_state=True) for number in range(read + 1)]
    for _ in range(8):
        of_classes = bool(rng.integers(3))
        own = spoiled(classes, rng, ["sizes", "classes"]) if of_classes else classes
        last = hints[read] if of_classes else spoiled(hints[read], rng, ["queries", "sizes", "finer"])
        about = [replace(step_of(number, one, 0), premises=(1,)) for number, one in enumerate([*hints[:-1], last])]
        proof = [Step("transformer-forward"), classes_step(own), *about]
        written(tmp_path, model, automaton, Fraction(0), 0, [*proof, Step("all-reads", tuple(range(2, len(proof))))])
        status, answer = asked(tmp_path / "cert", tmp_path / "model")
        verdict = verify(tmp_path / "cert", tmp_path / "model")
        if verdict.accepted:
            assert status == 0, (answer, verdict)
        if status == 0:
            # A norm may be undefined in a box: then Python refuses, and no box is known here.
            assert verdict.accepted or "its proof shows" in verdict.reason or "division" in verdict.reason, verdict.reason
            assert int(answer["established"]) <= np.count_nonzero(leads.min(1) > -1e-9)


def test_what_has_no_theorem_is_named(tmp_path: Path) -> None:
    """Potentials of several layers, and reads that are about different classes."""
    plain: dict[str, Any] = {"normalization_type": None, "act_fn": "relu", "gated_mlp": False, "use_qk_norm": False}
    model, rng = deep(0, n_layers=2, n_ctx=2, d_vocab=2, d_vocab_out=2, **plain), np.random.default_rng(0)
    tables = {"transitions": np.array([[[0, 1]] * 2]), "outputs": np.array([[0, 1]] * 2), "reads": np.array([[0, 1], [1, 2]])}
    automaton = Automaton.of(np.arange(2), **tables)
    write_model(tmp_path / "model", model)
    found = prove(problem_about(model, torch.device("cpu"), 64, automaton=automaton), Potentials(recent=4))[0]
    write_certificate(tmp_path / "cert", found)
    status, answer = asked(tmp_path / "cert", tmp_path / "model")
    assert status == 3 and "potentials of several layers" in answer["unsupported"]
    steps = [Step("transformer-forward")]
    for read, memory in enumerate((1, 10**9)):
        classes, finer = draw_classes(automaton, rng, memory)
        hints = draw_hints(finer, read, rng, 1, width(model), by_state=True)
        steps += [classes_step(classes), replace(step_of(read, hints), premises=(1 + 2 * read,))]
    written(tmp_path, model, automaton, Fraction(0), 0, [*steps, Step("joint-reads", (2, 4))])
    status, answer = asked(tmp_path / "cert", tmp_path / "model")
    assert status == 3 and "different classes" in answer["unsupported"]
