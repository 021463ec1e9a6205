"""Projected tables: whatever the hints, an accepted proof is true of every input that it covers."""

import itertools
import random
from dataclasses import replace

import numpy as np
import oracle
import pytest
import torch

from certificates import AttentionOnly, Certificate, Model, RawTensor, Statement, Step, integer_tensor
from checker import CheckError
from checker.attention.tables import AdditiveTables
from checker.core.facts import CertifiedInputs, Fact, Setting
from checker.core.meter import Budget, Meter
from checker.core.scaled_integers import ScaledArithmetic
from checker.decide import check_proof, parse_task
from checker.registry import RULES
from checker.reporting.verdict import ARITHMETICS
from prover.attention.sequence_problem import SequenceProblem
from prover.proving import prove
from prover.strategies.interpretation import Interpretation
from prover.strategy import DoesNotFit

torch.set_num_threads(1)
TASK = {"name": "max-of-k"}


def as_model(tiny: oracle.TinyModel) -> Model:
    sizes = AttentionOnly(tiny.d_head, tiny.d_model, tiny.vocab, tiny.outputs, tiny.n_ctx)
    return Model(sizes, {name: RawTensor(*tensor) for name, tensor in tiny.tensors.items()}, TASK)


def interpretations(tiny: oracle.TinyModel, rng: random.Random) -> list[Interpretation]:
    ranks = range(-1, min(tiny.d_model, 3) + 1)
    choices = list(itertools.product(ranks, ranks, ranks, (0, 1), (1, 2, 3), (0, 1, 2), (0, 1)))
    return [Interpretation(*choice) for choice in rng.sample(choices, 6)]


def proved(tiny: oracle.TinyModel, strategy: Interpretation, precision: int) -> tuple[Model, Certificate]:
    model = as_model(tiny)
    return model, prove(SequenceProblem(model, torch.device("cpu"), precision), strategy)[0]


def established(model: Model, precision: int, steps: tuple[Step, ...]) -> list[Fact] | None:
    """The facts of the steps; None if the checker refuses one."""
    meter = Meter(Budget())
    task = parse_task(TASK, model.config, {}, meter)
    setting = Setting(model, task, ScaledArithmetic(precision, meter), meter)
    facts: list[Fact] = []
    try:
        for step in steps:
            facts.append(RULES[step.rule](setting, step, tuple(facts[premise] for premise in step.premises)))
    except CheckError:
        return None
    return facts


@pytest.mark.parametrize("part", range(4))
def test_what_the_prover_writes_is_accepted_and_true(part: int) -> None:
    some = 0
    for seed in range(25 * part, 25 * part + 25):
        rng, tiny = random.Random(seed), oracle.random_model(seed, largest=130)
        truth, precision = oracle.truth(tiny), (30, 24, 40, 30, 16)[seed % 5]
        for strategy in interpretations(tiny, rng):
            try:
                model, certificate = proved(tiny, strategy, precision)
            except DoesNotFit:
                assert tiny.kind == "wild" or precision < 20
                continue
            result = check_proof(certificate, model).result
            covered = result.covers(truth.tokens)
            assert result.correct == covered.sum() and not np.any(covered & ~truth.correct), (seed, strategy)
            some += result.correct > 0
    assert some > 20


def test_both_arithmetics_agree() -> None:
    for seed in range(100, 112):
        rng, tiny = random.Random(seed), oracle.random_model(seed, largest=60)
        for strategy in interpretations(tiny, rng)[:2]:
            try:
                model, certificate = proved(tiny, strategy, 30)
            except DoesNotFit:
                continue
            fast, slow = check_proof(certificate, model), check_proof(certificate, model, arithmetic=ARITHMETICS["mpmath"])
            assert (fast.result.correct, fast.operations) == (slow.result.correct, slow.operations)
            assert fast.unexplained_dimension == slow.unexplained_dimension


def test_changed_hints_are_refused_or_still_true() -> None:
    """Rests made smaller, bases bent, centres moved: the tables still enclose what they should, or there are none."""
    accepted = refused = 0
    for seed in range(90):
        rng, tiny = random.Random(seed), oracle.random_model(seed, ("tilted", "maximum", "edge"), largest=90)
        truth = oracle.truth(tiny)
        ranks, switches = [rng.choice((0, 1)) for _ in range(3)], [rng.choice((0, 1)) for _ in range(2)]
        strategy = Interpretation(*ranks, joint=switches[0], residual=seed % 3, diagonal=switches[1])
        try:
            model, certificate = proved(tiny, strategy, 30)
        except DoesNotFit:
            continue
        tables, chains = certificate.steps
        for _ in range(12):
            name = rng.choice(sorted(tables.hints))
            numbers = tables.hints[name].integers().copy()
            if not numbers.size:
                continue
            place = tuple(rng.randrange(size) for size in numbers.shape)
            numbers[place] = rng.choice(
                (0, -1, numbers[place] // 2, numbers[place] * 2, numbers[place] - 1, numbers[place] + 2**20)
            )
            changed = replace(tables, hints={**tables.hints, name: integer_tensor(numbers)})
            facts = established(model, 30, (changed, chains))
            if facts is None:
                refused += 1
                continue
            accepted += 1
            result = facts[-1]
            assert isinstance(result, CertifiedInputs)
            covered = result.covers(truth.tokens)
            assert not np.any(covered & ~truth.correct), (seed, name)
    assert accepted > 30 and refused > 30


def test_tables_enclose_what_they_stand_for() -> None:
    """Differences that matter, of the projected tables, lie within the exact ones' reach: entry by entry."""
    for seed in range(45):
        rng, tiny = random.Random(seed), oracle.random_model(seed, ("tilted", "integers", "maximum"), largest=60)
        ranks = rng.choice((0, 1, -1)), rng.choice((0, 1)), rng.choice((0, 1, -1))
        strategy = Interpretation(*ranks, residual=seed % 3, diagonal=rng.choice((0, 1)))
        model, certificate = proved(tiny, strategy, 30)
        exact, projected = (established(model, 30, (step,)) for step in (Step("additive-tables"), certificate.steps[0]))
        assert exact is not None and projected is not None
        one, other = exact[0], projected[0]
        assert isinstance(one, AdditiveTables) and isinstance(other, AdditiveTables)
        for name in ("token_score", "direct", "token_value"):
            a, b = getattr(one, name), getattr(other, name)  # equal but for a number for each row
            lower = (b - b[:, :1]) - (a - a[:, :1])
            assert not lower.positive().any() and not ((a - a[:, :1]) - (b - b[:, :1])).positive().any()


def test_the_unexplained_dimension_counts_coordinates_and_rests() -> None:
    tiny = oracle.random_model(3, ("maximum",), largest=90)
    vocab, outputs, n_ctx = tiny.vocab, tiny.outputs, tiny.n_ctx
    for residual, of_score, of_value in (
        (0, vocab + vocab, vocab + outputs),
        (1, vocab, vocab),
        (2, vocab + vocab + 1, vocab + outputs + 1),
    ):
        for diagonal in (0, 1):
            model, certificate = proved(tiny, Interpretation(1, 0, -1, residual=residual, diagonal=diagonal), 30)
            score = (vocab + vocab) + vocab + of_score  # coordinates, products with the centre, residual
            value = outputs + of_value + diagonal * vocab
            dimension = check_proof(certificate, model).unexplained_dimension
            assert dimension == score + value + vocab * outputs + n_ctx * (vocab + outputs)


@pytest.mark.parametrize(
    "change",
    [
        {"score": -2},
        {"residual": -1},
        {"residual": 1},
        {"residual": 2},
        {"residual": 3},
        {"diagonal": -1},
        {"diagonal": 2},
        {"score": 1},
        {"score": 31},
        {"scale": 2000},
        {"extra": 0},
    ],
)
def test_parameters_out_of_range_are_refused(change: dict[str, int]) -> None:
    tiny = oracle.random_model(3, ("maximum",), largest=90)
    model, certificate = proved(tiny, Interpretation(1, 1, 1), 30)
    tables, chains = certificate.steps
    steps = (replace(tables, parameters={**tables.parameters, **change}), chains)
    statement = Statement(model.digest(), TASK, certificate.statement.correct, certificate.statement.total)
    with pytest.raises(CheckError):
        check_proof(Certificate(statement, 30, steps), model)
