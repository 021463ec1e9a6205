"""Every number that the checker certifies, against what tiny models really do (tests/oracle.py).

For random models, tame to wild: what the prover writes is accepted; the certified number is that of the inputs `covers`
names, all of which the model classifies correctly; and whatever claims a greedy prover gets past the checker are true.
"""

import itertools
import math
import random
import struct
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import oracle
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from certificates import Certificate, Model, ModelConfig, RawTensor, Statement, Step, write_certificate, write_model
from checker import CheckError, InvalidInput, verify
from checker.facts import CertifiedInputs, Fact, Setting
from checker.meter import Budget, Meter
from checker.mpmath_intervals import MpmathArithmetic
from checker.rules import RULES
from checker.scaled_integers import ScaledArithmetic
from checker.tasks import MaxOfK
from checker.verdict import check_proof
from prover.prove import prove
from prover.strategies import STRATEGIES
from prover.strategy import DoesNotFit, Problem

torch.set_num_threads(1)
TASK = {"name": "max-of-k"}
CPU = torch.device("cpu")
PRECISIONS = (30, 30, 30, 20, 12, 40, 64)
LEAST_SHARE = 0.3


def as_model(tiny: oracle.TinyModel) -> Model:
    """The project's view of the same stored bytes."""
    config = ModelConfig(tiny.d_head, tiny.d_model, tiny.vocab, tiny.outputs, tiny.n_ctx)
    return Model(config, {name: RawTensor(*tensor) for name, tensor in tiny.tensors.items()}, TASK)


def certificate_for(model: Model, steps: tuple[Step, ...], correct: int, precision: int) -> Certificate:
    return Certificate(Statement(model.digest(), TASK, correct, task_of(model).total), precision, steps)


def claim(model: Model, precision: int, *steps: Step) -> CertifiedInputs | None:
    """What the checker says about these steps with the count that they do establish; None if it refuses them."""
    meter = Meter(Budget())
    setting = Setting(model, task_of(model), ScaledArithmetic(precision, meter), meter)
    facts: list[Fact] = []
    try:
        for step in steps:
            facts.append(RULES[step.rule](setting, step, tuple(facts[premise] for premise in step.premises)))
    except CheckError:
        return None
    return check_proof(certificate_for(model, steps, facts[-1].correct, precision), model).result


def task_of(model: Model) -> MaxOfK:
    return MaxOfK(model.config.d_vocab, model.config.n_ctx)


def assert_true(fact: CertifiedInputs, truth: oracle.Truth, exact: bool = True) -> np.ndarray:
    """Each input that the fact covers is classified correctly, and (`exact`) it counts as many as it covers."""
    covered = fact.covers(truth.tokens)
    wrong = truth.tokens[covered & ~truth.correct]
    assert not len(wrong), f"certified, but classified wrongly: {wrong[:5].tolist()}"
    assert fact.correct <= truth.count
    assert not exact or fact.correct == covered.sum()
    return covered


# --- what the prover writes ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """How one strategy did on one model."""

    strategy: str
    kind: str
    certified: int
    truth: int


def examine(tiny: oracle.TinyModel, precision: int, files: object = None) -> list[Outcome]:
    """Prove with every strategy and hold every certified number against the oracle; `files`: also through files, there."""
    truth, model, outcomes = oracle.truth(tiny), as_model(tiny), []
    problem = Problem(model, CPU, precision)
    for name, strategy in STRATEGIES.items():
        try:
            certificate, evidence = prove(problem, strategy())
        except DoesNotFit:
            assert tiny.kind == "wild", f"{name} gives up on an ordinary model"
            continue
        proof = check_proof(certificate, model, task=TASK)
        covered = assert_true(proof.result, truth)
        assert proof.result.correct == evidence.correct
        if name == "brute-force" and tiny.kind != "wild":
            # Exact but for ties within rounding: 14 bits are what is lost between the weights and a margin.
            missed = truth.correct & ~covered
            assert not np.any(truth.margin[missed] > 2.0 ** (14 - min(precision, 34)))
        if files is not None:
            write_certificate(files / "certificate", certificate)
            write_model(files / "model", model)
            verdict = verify(files / "certificate", files / "model", task=TASK)
            assert verdict.accepted, verdict.reason
            assert (verdict.correct, verdict.operations) == (evidence.correct, proof.operations)
        outcomes.append(Outcome(name, tiny.kind, proof.result.correct, truth.count))
    return outcomes


@pytest.mark.parametrize("chunk", range(16))
def test_what_the_prover_writes_is_accepted_and_true(chunk, tmp_path):
    outcomes = []
    for seed in range(20 * chunk, 20 * chunk + 20):
        tiny = oracle.random_model(seed, largest=700 if seed % 5 == 0 else 260)
        precision = PRECISIONS[(seed // 7 + seed) % len(PRECISIONS)]
        try:
            outcomes += examine(tiny, precision, tmp_path if seed % 5 == 1 else None)
        except Exception as error:
            error.add_note(f"random_model({seed}, largest={700 if seed % 5 == 0 else 260}), precision {precision}")
            raise
    # Random models on which every bound is zero would prove nothing about the checker.
    some = [outcome for outcome in outcomes if outcome.certified > 0]
    exact = [outcome for outcome in some if outcome.certified == outcome.truth]
    shares = Counter(outcome.strategy for outcome in exact)
    print(
        f"\nchunk {chunk}: {len(outcomes)} certificates; {len(some) / len(outcomes):.0%} certify something, "
        f"{len(exact) / len(outcomes):.0%} all that is true ({dict(shares)})"
    )
    assert len(some) >= LEAST_SHARE * len(outcomes)
    assert shares["brute-force"] > 0 and shares["classes"] > 0
    assert any(outcome.certified < outcome.truth for outcome in outcomes)


NUMBERS = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, 3.0, -0.25, 1e-3, 7.0, -11.0, 1e4, -1e-20, 1e20, 5e-324, 0.1)


@st.composite
def tiny_models(draw):
    """Models that shrink to few tokens, small sizes and simple numbers."""
    sizes = (draw(st.integers(2, 4)), draw(st.integers(2, 3)), draw(st.integers(1, 2)), draw(st.integers(1, 2)))
    shape = oracle.shapes(*sizes, sizes[0] + draw(st.integers(0, 1)))
    weights = {}
    for name, size in shape.items():
        if name in oracle.BIASES and not draw(st.booleans()):
            continue
        numbers = draw(st.lists(st.sampled_from(NUMBERS), min_size=math.prod(size), max_size=math.prod(size)))
        weights[name] = np.array(numbers).reshape(size)
    return oracle.pack(weights, draw(st.sampled_from(oracle.DTYPES)), "wild")


HYPOTHESIS = settings(
    deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@settings(HYPOTHESIS, max_examples=80)
@given(tiny_models(), st.sampled_from((12, 20, 30, 64)))
def test_what_the_prover_writes_is_accepted_and_true_for_simple_numbers(tiny, precision):
    examine(tiny, precision)


# --- what a greedy prover gets past the checker ----------------------------------------------------------------------


def greedy_model(seed: int) -> oracle.TinyModel:
    """Models with something to certify, above all such as are right about some inputs of a cell and wrong about others."""
    kinds = ("tilted", "tilted", "edge", "tilted", "maximum", "tilted", "integers", "tilted", "wild")
    return oracle.random_model(seed, kinds, largest=130)


def greedy_precision(seed: int) -> int:
    return (12, 30, 16, 30, 40)[seed % 5]


def cells_of(tiny: oracle.TinyModel) -> list[tuple[int, int, int]]:
    """All (query, maximum, copies) that have inputs."""
    vocab, n_ctx = tiny.vocab, tiny.n_ctx
    return [(q, m, c) for m in range(vocab) for q in range(m + 1) for c in range(0 if q == m else 1, n_ctx)]


def in_cell(tokens: np.ndarray, cell: tuple[int, int, int]) -> np.ndarray:
    """Which inputs have this query, maximum and number of free copies of it."""
    query, maximum, copies = cell
    found = (tokens[:, :-1] == maximum).sum(axis=1) == copies
    return (tokens[:, -1] == query) & (tokens.max(axis=1) == maximum) & found


def prefix_members(tokens: np.ndarray, size: np.ndarray) -> np.ndarray:
    """The inputs that prefix sizes "q m c" claim, from the rule's definition."""
    members = np.zeros(len(tokens), np.bool_)
    for query, maximum, copies in np.argwhere(size >= 0):
        small = (tokens[:, :-1] < size[query, maximum, copies]) | (tokens[:, :-1] == maximum)
        members |= in_cell(tokens, (query, maximum, copies)) & small.all(axis=1)
    return members


def prefix_steps(rule: str, size: np.ndarray) -> tuple[Step, ...]:
    return Step("additive-tables"), Step(rule, (0,), {}, {"size": RawTensor.of_integers(size)})


def chosen_cells(tiny: oracle.TinyModel, rng: random.Random, number: int) -> list[tuple[int, int, int]]:
    """Some of the cells, those of the last token first: models on the edge are on the edge there."""
    cells = cells_of(tiny)
    rng.shuffle(cells)
    return sorted(cells, key=lambda cell: cell[1] < tiny.vocab - 1)[:number]


@pytest.mark.parametrize("rule", ["thresholds", "pessimized"])
@pytest.mark.parametrize("part", range(2))
def test_prefixes_enlarged_greedily_are_true(rule, part):
    """Per cell, the longest prefix that the checker accepts; then all of them together."""
    accepted = longer = 0
    for seed in range(40 * part, 40 * part + 40):
        rng, tiny, precision = random.Random(seed), greedy_model(seed), greedy_precision(seed)
        model, truth = as_model(tiny), oracle.truth(tiny)
        certificate, _ = prove(Problem(model, CPU, precision), STRATEGIES[rule]())
        cautious = certificate.steps[1].hints["size"].integers()
        size = np.full_like(cautious, -1)
        for q, m, c in chosen_cells(tiny, rng, 16):
            for larger in range(m, 0, -1) if c < tiny.n_ctx - 1 else (m, 0):
                alone = np.full_like(size, -1)
                alone[q, m, c] = larger
                fact = claim(model, precision, *prefix_steps(rule, alone))
                if fact is not None:
                    covered = assert_true(fact, truth)
                    assert np.array_equal(covered, prefix_members(truth.tokens, alone))
                    size[q, m, c] = larger
                    accepted += 1
                    break
            assert size[q, m, c] >= cautious[q, m, c]
            longer += size[q, m, c] > cautious[q, m, c] and c < tiny.n_ctx - 1
        fact = claim(model, precision, *prefix_steps(rule, size))
        if fact is not None:  # arrays of other cells may cost a little precision
            covered = assert_true(fact, truth)
            assert np.array_equal(covered, prefix_members(truth.tokens, size))
    assert accepted > 50 and longer > 0


Claimed = dict[tuple[int, int, int], tuple[tuple[int, ...], set[tuple[int, ...]]]]
"""Cell (q, m, c) -> groups of the tokens, and the numbers of tokens chosen from each group."""


def class_steps(claimed: Claimed, vocab: int, groups: int) -> tuple[Step, ...]:
    cells = sorted(claimed, key=lambda cell: (cell[1], cell[0], cell[2]))
    groupings = sorted({claimed[cell][0] for cell in cells})
    rows = [(m, q, c, groupings.index(claimed[q, m, c][0])) for q, m, c in cells]
    classes = [(i, *chosen) for i, cell in enumerate(cells) for chosen in sorted(claimed[cell][1])]
    hints = {
        "groupings": np.array(groupings, np.int64).reshape(-1, vocab),
        "cells": np.array(rows, np.int64).reshape(-1, 4),
        "classes": np.array(classes, np.int64).reshape(-1, 1 + groups),
    }
    stored = {name: RawTensor.of_integers(hint) for name, hint in hints.items()}
    return Step("additive-tables"), Step("composition-classes", (0,), {}, stored)


def class_members(tokens: np.ndarray, claimed: Claimed) -> np.ndarray:
    """The inputs of the claimed classes, from the rule's definition."""
    members = np.zeros(len(tokens), np.bool_)
    for cell, (group, compositions) in claimed.items():
        for i in np.flatnonzero(in_cell(tokens, cell)):
            others = [group[t] for t in tokens[i, :-1] if t != cell[1]]
            chosen = tuple(others.count(g + 1) for g in range(len(next(iter(compositions)))))
            members[i] = 0 not in others and chosen in compositions
    return members


def claimed_by(certificate: Certificate, groups: int) -> Claimed:
    """What a certificate's classes are, with room for more groups."""
    if len(certificate.steps) == 1:
        return {}
    hints = {name: hint.integers() for name, hint in certificate.steps[1].hints.items()}
    claimed: Claimed = {}
    for index, *chosen in hints["classes"].tolist():
        m, q, c, grouping = hints["cells"][index].tolist()
        cell = claimed.setdefault((q, m, c), (tuple(hints["groupings"][grouping].tolist()), set()))
        cell[1].add((*chosen, *[0] * (groups - len(chosen))))
    return claimed


def compositions(total: int, group: tuple[int, ...], label: int, groups: int) -> set[tuple[int, ...]]:
    """All ways to choose `total` tokens from non-empty groups."""
    ways = itertools.product(range(total + 1), repeat=groups)
    present = set(group[:label])
    return {w for w in ways if sum(w) == total and all(not n or g + 1 in present for g, n in enumerate(w))}


@pytest.mark.parametrize("part", range(3))
def test_classes_enlarged_greedily_are_true(part):
    groups, accepted = 3, 0
    for seed in range(24 * part, 24 * part + 24):
        rng, tiny, precision = random.Random(seed), greedy_model(seed), greedy_precision(seed)
        vocab, free = tiny.vocab, tiny.n_ctx - 1
        model, truth = as_model(tiny), oracle.truth(tiny)
        best = claimed_by(prove(Problem(model, CPU, precision), STRATEGIES["classes"]())[0], groups)
        for cell in chosen_cells(tiny, rng, 8):
            _, m, c = cell
            group, chosen = best.get(cell, ((0,) * vocab, set()))
            trials = [(tuple(1 + (t >= m // 2) for t in range(vocab)), None)]  # two halves, nothing excluded
            trials += [(tuple(rng.randint(0, groups) for _ in range(vocab)), None) for _ in range(2)]
            excluded = [t for t in range(m) if not group[t]]
            for t in excluded:
                moved = tuple(rng.randint(1, groups) if s == t else g for s, g in enumerate(group))
                trials += [(moved, None), (moved, chosen)]
            missing = compositions(free - c, group, m, groups) - chosen
            trials += [(group, chosen | {one}) for one in sorted(missing)]
            for trial, kept in trials:
                all_ways = compositions(free - c, trial, m, groups)
                ways = all_ways if kept is None else kept
                if not ways:
                    continue
                if kept is None and rng.random() < 0.5:  # some of the compositions, if not all
                    ways = {way for way in sorted(all_ways) if rng.random() < 0.5} or all_ways
                alone: Claimed = {cell: (trial, ways)}
                fact = claim(model, precision, *class_steps(alone, vocab, groups))
                if fact is not None:
                    covered = assert_true(fact, truth)
                    assert np.array_equal(covered, class_members(truth.tokens, alone))
                    if covered.sum() > class_members(truth.tokens, {cell: best[cell]} if cell in best else {}).sum():
                        best[cell] = (trial, ways)
                    accepted += 1
        fact = claim(model, precision, *class_steps(best, vocab, groups))
        if fact is not None:
            covered = assert_true(fact, truth)
            assert np.array_equal(covered, class_members(truth.tokens, best))
    assert accepted > 80


def test_enumerations_without_skips_and_in_parts_are_true():
    more = 0
    for seed in range(60):
        rng, tiny, precision = random.Random(seed), greedy_model(seed), greedy_precision(seed)
        model, truth, total = as_model(tiny), oracle.truth(tiny), tiny.vocab**tiny.n_ctx
        nothing = RawTensor.of_integers(np.zeros((0, 2), np.int64))
        start, stop = sorted(rng.sample(range(total + 1), 2))
        skip = np.array(sorted(rng.sample(range(stop - start + 1), 2)) if stop - start > 1 else [0, 1]).reshape(1, 2)
        for first, last, hint in ((0, total, nothing), (start, stop, nothing), (start, stop, RawTensor.of_integers(skip))):
            parameters = {"start": first, "stop": last}
            steps = (Step("additive-tables"), Step("enumeration", (0,), parameters, {"skip": hint}))
            fact = claim(model, precision, *steps)
            if fact is not None:
                # Without the prover's skips a margin may be decided in one order of addition and not in another.
                covered = assert_true(fact, truth, exact=False)
                assert covered.sum() <= last - first
                more += int(covered.sum())
    assert more > 500


def test_sums_of_different_rules_are_true_and_overlaps_are_refused():
    """Cells dealt out to two rules and added up; then the same with one cell claimed twice."""
    summed = 0
    for seed in range(24):
        rng, tiny = random.Random(seed), greedy_model(seed)
        model, truth = as_model(tiny), oracle.truth(tiny)
        problem = Problem(model, CPU)
        classes = claimed_by(prove(problem, STRATEGIES["classes"]())[0], 2)
        size = prove(problem, STRATEGIES["thresholds"]())[0].steps[1].hints["size"].integers().copy()
        both = [cell for cell in classes if size[cell] >= 0]
        if len(both) < 2:
            continue
        mine: Claimed = {cell: classes[cell] for cell in rng.sample(both, len(both) // 2)}
        rest = size.copy()
        for cell in mine:
            rest[cell] = -1
        total = Step("disjoint-sum", (1, 2))
        steps = class_steps(mine, tiny.vocab, 2)
        fact = claim(model, 30, *steps, prefix_steps("thresholds", rest)[1], total)
        assert fact is not None
        covered = assert_true(fact, truth)
        assert np.array_equal(covered, class_members(truth.tokens, mine) | prefix_members(truth.tokens, rest))
        assert claim(model, 30, *steps, prefix_steps("thresholds", size)[1], total) is None
        summed += 1
    assert summed > 8


# --- two arithmetics -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", range(3))
def test_both_arithmetics_give_the_same_verdict_count_and_operations(part):
    for seed in range(100 + 14 * part, 114 + 14 * part):
        tiny = oracle.random_model(seed, largest=90)
        model, precision = as_model(tiny), (12, 20, 30, 40, 64)[seed % 5]
        problem = Problem(model, CPU, precision)
        for name, strategy in STRATEGIES.items():
            try:
                certificate, _ = prove(problem, strategy())
            except DoesNotFit:
                continue
            fast = check_proof(certificate, model)
            slow = check_proof(certificate, model, arithmetic="mpmath")
            assert fast.result.correct == slow.result.correct, (seed, name)
            assert fast.operations == slow.operations, (seed, name)
            assert fast.unexplained_dimension == slow.unexplained_dimension


def test_the_slow_arithmetic_is_sound_on_greedy_claims():
    """160 bits see further than the prover dares to claim: enumerate everything, without skips."""
    nothing = RawTensor.of_integers(np.zeros((0, 2), np.int64))
    for seed in range(18):
        tiny = greedy_model(seed)
        model, truth, meter = as_model(tiny), oracle.truth(tiny), Meter(Budget())
        setting = Setting(model, task_of(model), MpmathArithmetic(meter), meter)
        tables = RULES["additive-tables"](setting, Step("additive-tables"), ())
        step = Step("enumeration", (0,), {"start": 0, "stop": len(truth.tokens)}, {"skip": nothing})
        try:
            fact = RULES["enumeration"](setting, step, (tables,))
        except CheckError:
            assert tiny.kind == "wild"
            continue
        covered = assert_true(fact, truth, exact=False)
        missed = truth.correct & ~covered
        assert not np.any(truth.margin[missed] > (1e-30 if tiny.kind != "wild" else 1))


# --- the oracle ------------------------------------------------------------------------------------------------------


def test_the_oracle_agrees_with_a_float64_forward_pass():
    for seed in range(40):
        rng = random.Random(seed)
        shape = oracle.shapes(rng.randint(2, 5), rng.randint(2, 4), rng.randint(1, 4), rng.randint(1, 4), 6)
        weights = {name: oracle._gaussian(rng, size) for name, size in shape.items()}
        truth = oracle.truth(oracle.pack(weights, "F64"))
        for tokens, correct, margin in zip(truth.tokens, truth.correct, truth.margin, strict=True):
            if abs(margin) > 1e-9:
                assert correct == (oracle.textbook(weights, tokens.tolist()).argmax() == tokens.max())
                assert correct == truth.of(tokens.tolist()) == (margin > 0)


def two_token_model(**changes) -> dict[str, np.ndarray]:
    """Logits of output o: the attention-weighted share of tokens o among three, plus b_U."""
    weights = {name: np.zeros(size) for name, size in oracle.shapes(2, 3, 2, 1, 2).items() if ".b_" not in name}
    weights["embed.W_E"] = np.eye(2)
    weights["blocks.0.attn.W_V"] = np.array([[[-1.0], [1.0]]])
    weights["blocks.0.attn.W_O"] = np.array([[[-0.5, 0.5]]])
    weights["unembed.W_U"] = np.eye(2)
    return weights | changes


def test_the_oracle_counts_ties_as_errors_and_decides_the_smallest_lead():
    # Uniform attention: the direct path adds 1 to the query's output, the mix (n1 - n0) / 6 to output 1, minus that to 0.
    truth = oracle.truth(oracle.pack(two_token_model(), "F32"))
    assert not truth.of((1, 1, 0)) and truth.of((0, 0, 0)) and truth.of((0, 0, 1))
    # Outputs that cannot be told apart: nothing is correct.
    same = two_token_model(**{"unembed.W_U": np.ones((2, 2))})
    assert oracle.truth(oracle.pack(same, "F64")).count == 0
    # A lead of one part in 2**1074 decides.
    for bias, count in ((5e-324, 7), (-5e-324, 1)):
        tied = same | {"unembed.b_U": np.array([0.0, bias])}
        assert oracle.truth(oracle.pack(tied, "F64")).count == count
    # One part in exp(20000) of attention to the maximum decides where all else is tied.
    faint = two_token_model(
        **{
            "embed.W_E": np.array([[1.0, 0.0], [1.0, 1.0]]),
            "blocks.0.attn.W_Q": np.array([[[200.0], [0.0]]]),
            "blocks.0.attn.W_K": np.array([[[0.0], [-100.0]]]),
            "blocks.0.attn.W_V": np.array([[[0.0], [1.0]]]),
            "blocks.0.attn.W_O": np.array([[[0.0, 1.0]]]),
            "unembed.W_U": np.array([[0.0, 0.0], [0.0, 1.0]]),
        }
    )
    truth = oracle.truth(oracle.pack(faint, "F64"))
    assert truth.of((1, 0, 0)) and not truth.of((0, 0, 0))


@pytest.mark.parametrize(
    ("dtype", "data", "values"),
    [
        ("F16", struct.pack("<2H", 0x0001, 0xBC00), (2.0**-24, -1.0)),
        ("BF16", struct.pack("<2H", 0x3F80, 0x8001), (1.0, -(2.0**-133))),
        ("F32", struct.pack("<2I", 0x80000000, 0x00000001), (0.0, 2.0**-149)),
        ("F64", struct.pack("<2Q", 1, 0x3FF0000000000001), (5e-324, 1 + 2.0**-52)),
    ],
)
def test_the_oracle_reads_every_dtype(dtype, data, values):
    tiny = oracle.TinyModel(2, 2, 1, 1, 2, {"embed.W_E": (dtype, (2, 1), data)})
    assert tiny.numbers("embed.W_E") == [oracle.Fraction(value) for value in values]


# --- regressions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", oracle.shapes(2, 2, 1, 1, 2))
def test_no_weight_may_be_nan_or_infinite(name, number):
    """Even the key bias, which cancels out of every inequality: such a model computes nothing."""
    weights = {tensor: np.ones(size) for tensor, size in oracle.shapes(2, 2, 1, 1, 2).items()}
    model = as_model(oracle.pack(weights, "F64"))
    shape = model.tensors[name].shape
    data = struct.pack("<d", number) * math.prod(shape)
    broken = replace(model, tensors={**model.tensors, name: RawTensor("F64", shape, data)})
    skip = RawTensor.of_integers(np.array([[0, 4]]))
    enumeration = (Step("additive-tables"), Step("enumeration", (0,), {"start": 0, "stop": 4}, {"skip": skip}))
    for steps in (enumeration, (Step("disjoint-sum"),)):
        check_proof(certificate_for(model, steps, 0, 30), model)
        with pytest.raises(InvalidInput):
            check_proof(certificate_for(broken, steps, 0, 30), broken)


def test_classes_without_cells_cover_nothing():
    tiny = oracle.random_model(0)
    fact = claim(as_model(tiny), 30, *class_steps({}, tiny.vocab, 2))
    assert fact is not None and fact.correct == 0
    assert not fact.covers(oracle.truth(tiny).tokens).any()


def test_terms_far_below_the_largest_of_their_array_are_not_relied_on():
    """The query's own term is about 1e-64 and the copies' certified bound 0, at the scale of weights near one."""
    weights = {name: np.zeros(size) for name, size in oracle.shapes(2, 3, 1, 1, 2).items()}
    weights["blocks.0.attn.b_Q"][:] = 1.0
    weights["pos_embed.W_pos"][:, 0] = [0.0, 44.0, -104.0]
    weights["blocks.0.attn.W_K"][:] = weights["blocks.0.attn.W_V"][:] = weights["blocks.0.attn.W_O"][:] = 1.0
    weights["unembed.W_U"][0] = [0.0, -1.0]
    weights["unembed.b_U"][:] = [2.0**-40, 0.0]
    examine(oracle.pack(weights, "F64", "wild"), 30)


@pytest.mark.parametrize("precision", [26, 27, 28, 30])
def test_own_weights_far_above_the_others_blur_their_array(precision):
    """One query's own weight is exp(27); another query's term is 1, and a bias common to all outputs 1e6.

    The checker multiplies and adds whole arrays, at a resolution set by the largest weight times the largest gap.
    """
    weights = {name: np.zeros(size) for name, size in oracle.shapes(2, 2, 2, 1, 2).items()}
    weights["embed.W_E"][1, 0] = 1.0
    weights["pos_embed.W_pos"][1, 1] = 27.0
    weights["blocks.0.attn.W_Q"][0, 0, 0] = weights["blocks.0.attn.W_K"][0, 1, 0] = 1.0
    weights["unembed.b_U"][:] = [1e6, 1e6 + 1]
    examine(oracle.pack(weights, "F64", "wild"), precision)


@pytest.mark.parametrize("precision", [31, 40, 64, 256])
def test_precisions_beyond_machine_integers(precision):
    for seed in (0, 1, 4):
        examine(oracle.random_model(seed, largest=90), precision)


def test_scores_beyond_the_range_of_exp_are_given_up_by_the_prover():
    """Or certified; but nothing is written that the checker then refuses."""
    weights = {name: np.zeros(size) for name, size in oracle.shapes(2, 2, 1, 1, 2).items()}
    weights["embed.W_E"][:, 0] = [0.0, 1.0]
    weights["pos_embed.W_pos"][:, 0] = [0.0, 4.0]
    weights["blocks.0.attn.b_Q"][:] = 2.0**20
    weights["blocks.0.attn.W_K"][:] = weights["blocks.0.attn.W_V"][:] = weights["blocks.0.attn.W_O"][:] = 1.0
    weights["unembed.W_U"][0] = [0.0, 1.0]
    examine(oracle.pack(weights, "F64", "wild"), 30)
