"""Every number that the checker certifies, against what tiny models really do (tests/oracles/oracle.py).

For random models, tame to wild: what the prover writes is accepted; the certified number is that of the inputs `covers`
names, all of which the model classifies correctly; and whatever claims a greedy prover gets past the checker are true.
"""

import itertools
import math
import random
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial

import numpy as np
import oracle
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from make_golden import chains, sizes_of
from thorough import parts, some

from certificates import (
    AttentionOnly,
    Certificate,
    Model,
    RawTensor,
    Statement,
    Step,
    integer_tensor,
    write_certificate,
    write_model,
)
from checker import CheckError, InvalidInput, covers, verify
from checker.attention.classes import fitting_tuples
from checker.attention.order_statistic import OrderStatistic
from checker.core.facts import CertifiedInputs, Fact, Setting
from checker.core.meter import Budget, Meter
from checker.core.scaled_integers import ScaledArithmetic
from checker.crosscheck.mpmath_intervals import MpmathArithmetic
from checker.decide import Pins, check_proof, parse_task
from checker.registry import RULES
from checker.reporting.verdict import ARITHMETICS
from prover.attention import chain_counts as prover_counts
from prover.attention.sequence_problem import SequenceProblem
from prover.proving import prove
from prover.strategies import ATTENTION_STRATEGIES
from prover.strategies.classes import Classes
from prover.strategies.prefix_chains import Pessimized, Thresholds
from prover.strategy import DoesNotFit, Strategy

torch.set_num_threads(1)
PLACES = ("largest", "smallest", "middle")
CPU = torch.device("cpu")
PRECISIONS = (30, 30, 30, 20, 12, 40, 64)
LEAST_SHARE = 0.3
ONE_SIDED = ("brute-force", "sampling", "pessimized", "thresholds", "interpretation", "low-rank-chains")
"""Strategies for the largest or smallest token only."""


def task_json(tiny: oracle.TinyModel) -> object:
    """The task that a tiny model is asked about, as a certificate names it."""
    names = {1: {"name": "max-of-k"}, tiny.n_ctx: {"name": "min-of-k"}}
    return names.get(tiny.rank, {"name": "nth-max-of-k", "n": tiny.rank})


def as_model(tiny: oracle.TinyModel) -> Model:
    """The project's view of the same stored bytes."""
    config = AttentionOnly(tiny.d_head, tiny.d_model, tiny.vocab, tiny.outputs, tiny.n_ctx)
    return Model(config, {name: RawTensor(*tensor) for name, tensor in tiny.tensors.items()}, task_json(tiny))


NO_MARGIN = Fraction(0)


def certificate_for(
    model: Model, steps: tuple[Step, ...], correct: int, precision: int, margin: Fraction = NO_MARGIN
) -> Certificate:
    return Certificate(Statement(model.digest(), model.task, correct, task_of(model).total, margin), precision, steps)


def claim(model: Model, precision: int, *steps: Step, margin: Fraction = NO_MARGIN) -> CertifiedInputs | None:
    """What the checker says about these steps with the count that they do establish; None if it refuses them."""
    meter = Meter(Budget())
    setting = Setting(model, task_of(model), ScaledArithmetic(precision, meter), meter, margin=margin)
    facts: list[Fact] = []
    try:
        for step in steps:
            facts.append(RULES[step.rule](setting, step, tuple(facts[premise] for premise in step.premises)))
    except CheckError:
        return None
    return check_proof(certificate_for(model, steps, facts[-1].correct, precision, margin), model).result


def margin_now_and_then(tiny: oracle.TinyModel, seed: int) -> Fraction:
    """For every fourth seed a margin that decides about some input."""
    return some_margin(tiny, random.Random(seed)) if seed % 4 == 3 else NO_MARGIN


def task_of(model: Model) -> OrderStatistic:
    return parse_task(model.task, model.config, {}, Meter(Budget()))


def assert_true(fact: CertifiedInputs, truth: oracle.Truth, exact: bool = True) -> np.ndarray:
    """Each input that the fact covers is classified correctly, and (`exact`) it counts as many as it covers."""
    numbers = truth.numbers(truth.tokens)
    covered, may_count = fact.covers(numbers), fact.may_count(numbers)
    wrong = truth.tokens[covered & ~truth.correct]
    assert not len(wrong), f"certified, but classified wrongly: {wrong[:5].tolist()}"
    if fact.last:  # inputs that were listed one by one
        keys = zip(numbers.tolist(), truth.numbers(truth.label).tolist(), strict=True)
        may_count = may_count | np.array([(x[-1], m, x[:-1].count(m), *x) <= fact.last for x, m in keys])
    assert fact.correct <= min(truth.count, may_count.sum()) and not np.any(covered & ~may_count)
    assert not exact or fact.correct == covered.sum()
    return covered


def by_cell(tiny: oracle.TinyModel, truth: oracle.Truth, covered: np.ndarray) -> np.ndarray:
    """Numbers of covered inputs by query and true output, "q m"."""
    counts = np.zeros((tiny.vocab, tiny.vocab), object)
    query, true = truth.numbers(truth.tokens)[:, -1], truth.numbers(truth.label)
    np.add.at(counts, (query[covered], true[covered]), 1)
    return counts


# --- what the prover writes ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """How one strategy did on one model."""

    strategy: str
    kind: str
    certified: int
    truth: int


def switched(rng: random.Random) -> list[Strategy]:
    """The strategies that have switches, with these set at random."""
    chains = {"rivals": rng.randint(0, 3), "joint": rng.randint(0, 1)}
    levels = {"levels": rng.randint(1, 3)}
    return [Thresholds(**chains, **levels), Pessimized(**chains, **levels), Classes(rng.randint(0, 3), rng.randint(0, 1))]


def some_margin(tiny: oracle.TinyModel, rng: random.Random) -> Fraction:
    """A margin that some inputs have and others have not: the lead of one of them, exactly if that has few digits."""
    leads = sorted(lead for lead in oracle.truth(tiny).lead.tolist() if 1e-5 < lead < 1e19)
    return Fraction(f"{rng.choice(leads[: len(leads) // 2 + 1]):.6f}") if leads else Fraction(1, 4)


def examine(
    tiny: oracle.TinyModel,
    precision: int,
    files: object = None,
    more: Sequence[Strategy] = (),
    margin: Fraction = Fraction(0),
) -> list[Outcome]:
    """Prove with every strategy and hold every certified number against the oracle; `files`: also through files, there."""
    truth, model, outcomes = oracle.truth(tiny, margin), as_model(tiny), []
    problem = SequenceProblem(model, CPU, precision, margin=margin)
    for strategy in (*(strategy() for strategy in ATTENTION_STRATEGIES.values()), *more):
        name = strategy.name
        try:
            certificate, evidence = prove(problem, strategy)
        except DoesNotFit:
            unfit = 1 < tiny.rank < tiny.n_ctx and name in ONE_SIDED
            assert tiny.kind == "wild" or unfit, f"{name} gives up on an ordinary model"
            continue
        proof = check_proof(certificate, model, pins=Pins(task=task_json(tiny), margin_at_least=margin))
        covered = assert_true(proof.result, truth)
        assert proof.result.correct == evidence.correct, strategy
        assert np.array_equal(evidence.cells, by_cell(tiny, truth, covered)), strategy
        if name in ("brute-force", "exact") and tiny.kind != "wild":
            # Exact but for ties within rounding: 14 bits are what is lost between the weights and a margin.
            missed = truth.correct & ~covered
            assert not np.any(truth.margin[missed] > 2.0 ** (14 - min(precision, 34)))
        if files is not None:
            write_certificate(files / "certificate", certificate)
            write_model(files / "model", model)
            verdict = verify(files / "certificate", files / "model", task=task_json(tiny))
            assert verdict.accepted, verdict.reason
            assert (verdict.correct, verdict.operations) == (evidence.correct, proof.operations)
            step = covers(files / "certificate", files / "model", truth.tokens)
            assert np.array_equal(step >= 0, covered)
        outcomes.append(Outcome(name, tiny.kind, proof.result.correct, truth.count))
    return outcomes


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("chunk", parts(4))
def test_what_the_prover_writes_is_accepted_and_true(chunk, place, tmp_path):
    outcomes = []
    for seed in range(20 * chunk, 20 * chunk + 20):
        largest = 700 if seed % 5 == 0 else 260
        tiny = oracle.random_model(seed, largest=largest, place=place)
        precision = PRECISIONS[(seed // 7 + seed) % len(PRECISIONS)]
        more = switched(random.Random(seed)) if seed % 2 else ()
        try:
            margin = some_margin(tiny, random.Random(seed)) if seed % 4 == 3 else Fraction(0)
            outcomes += examine(tiny, precision, tmp_path if seed % 5 == 1 else None, more, margin)
        except Exception as error:
            error.add_note(f"random_model({seed}, largest={largest}, place={place!r}), precision {precision}, margin {margin}")
            raise
    # Random models on which every bound is zero would prove nothing about the checker.
    some = [outcome for outcome in outcomes if outcome.certified > 0]
    exact = [outcome for outcome in some if outcome.certified == outcome.truth]
    shares = Counter(outcome.strategy for outcome in exact)
    print(
        f"\n{place}, chunk {chunk}: {len(outcomes)} certificates; {len(some) / len(outcomes):.0%} certify something, "
        f"{len(exact) / len(outcomes):.0%} all that is true ({dict(shares)})"
    )
    assert len(some) >= LEAST_SHARE * len(outcomes)
    assert shares["exact"] > 0 and shares["classes"] > 0 and (place == "middle" or shares["brute-force"] > 0)
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
    return oracle.pack(weights, draw(st.sampled_from(oracle.DTYPES)), "wild", draw(st.integers(1, sizes[1])))


HYPOTHESIS = settings(
    deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@settings(HYPOTHESIS, max_examples=some(80))
@given(tiny_models(), st.sampled_from((12, 20, 30, 64)))
def test_what_the_prover_writes_is_accepted_and_true_for_simple_numbers(tiny, precision):
    examine(tiny, precision)


# --- what a greedy prover gets past the checker ----------------------------------------------------------------------


def greedy_model(seed: int, place: str = "largest") -> oracle.TinyModel:
    """Models with something to certify, above all such as are right about some inputs of a cell and wrong about others."""
    kinds = ("tilted", "tilted", "edge", "tilted", "maximum", "tilted", "integers", "tilted", "wild")
    return oracle.random_model(seed, kinds, largest=130, place=place)


def greedy_precision(seed: int) -> int:
    return (12, 30, 16, 30, 40)[seed % 5]


TABLES = Step("additive-tables")


def hints_of(**hints: object) -> dict[str, RawTensor]:
    return {name: integer_tensor(np.array(hint, np.int64)) for name, hint in hints.items()}


def split(rng: random.Random, number: int, parts: int) -> list[int]:
    """The number as a sum of so many natural numbers."""
    cuts = sorted(rng.randint(0, number) for _ in range(parts - 1))
    return [b - a for a, b in itertools.pairwise([0, *cuts, number])]


def random_blocks(rng: random.Random, tiny: oracle.TinyModel) -> list[list[int]]:
    """Outputs in blocks of rivals, numbered in any order: for all labels, or for each of them."""
    rows = []
    for _ in range(rng.choice((1, tiny.vocab))):
        blocks = [rng.randint(0, rng.choice((0, tiny.outputs - 1))) for _ in range(tiny.outputs)]
        used = sorted(set(blocks))
        rng.shuffle(used)
        rows.append([used.index(block) for block in blocks])
    return rows


def fits(entries: Sequence[int], limits: Sequence[int], numbers: Sequence[int]) -> bool:
    """Whether in ascending order the first k_1 entries are below the first limit, the next k_2 below the second, .."""
    allowed = [limit for limit, number in zip(limits, numbers, strict=True) for _ in range(number)]
    return len(allowed) == len(entries) and all(e < limit for e, limit in zip(sorted(entries), allowed, strict=True))


@dataclass(frozen=True)
class Place:
    """Where an input belongs, in numbers: query, true output, its free copies, and the other free tokens on either side."""

    query: int
    true: int
    copies: int
    below: tuple[int, ...]
    above: tuple[int, ...]

    @property
    def cell(self) -> tuple[int, int, int]:
        return self.query, self.true, self.copies

    @property
    def class_key(self) -> tuple[int, int, int, int]:
        return self.true, self.query, self.copies, len(self.above)


def places(truth: oracle.Truth) -> list[Place]:
    """The places of all inputs."""
    found = []
    for row, true in zip(truth.numbers(truth.tokens).tolist(), truth.numbers(truth.label).tolist(), strict=True):
        *free, query = row
        below, above = (tuple(t for t in free if side * t > side * true) for side in (-1, 1))
        found.append(Place(query, true, free.count(true), below, above))
    return found


def some_of(rng: random.Random, keys: Iterable[tuple[int, ...]], true: int, number: int, where: int) -> list[tuple[int, ...]]:
    """Some of the keys, those with this true output first: models on the edge are on the edge there."""
    everything = sorted(set(keys))
    rng.shuffle(everything)
    return sorted(everything, key=lambda key: key[where] != true)[:number]


@dataclass(frozen=True)
class Chains:
    """Claims of prefix-chains about a tiny model."""

    tiny: oracle.TinyModel
    rivals: list[list[int]]
    joint: int
    numbers: list[list[int]]  # c r

    @staticmethod
    def random(rng: random.Random, tiny: oracle.TinyModel) -> "Chains":
        levels, free = rng.randint(1, 4), tiny.n_ctx - 1
        numbers = [split(rng, free - copies, levels) for copies in range(tiny.n_ctx)]
        return Chains(tiny, random_blocks(rng, tiny), rng.randint(0, 1), numbers)

    def step(self, sizes: Mapping[tuple[int, int, int], tuple[int, ...]]) -> Step:
        size = np.full((self.tiny.vocab, self.tiny.vocab, self.tiny.n_ctx, len(self.numbers[0])), -1)
        for cell, of_levels in sizes.items():
            size[cell] = of_levels
        hints = hints_of(rivals=self.rivals, numbers=self.numbers, size=size)
        return Step("prefix-chains", (0,), {"joint": self.joint}, hints)

    def members(self, inputs: list[Place], sizes: Mapping[tuple[int, int, int], tuple[int, ...]]) -> np.ndarray:
        held = [x.cell in sizes and fits(x.below, sizes[x.cell], self.numbers[x.copies]) for x in inputs]
        return np.array(held)


@pytest.mark.parametrize("place", ["largest", "smallest"])
@pytest.mark.parametrize("part", parts(3))
def test_prefix_chains_enlarged_greedily_are_true(part, place):
    """Per cell, the chain with the most members that the checker accepts; then all of them together."""
    accepted = refused = 0
    for seed in range(16 * part, 16 * part + 16):
        rng, tiny, precision = random.Random(seed), greedy_model(seed, place), greedy_precision(seed)
        margin = margin_now_and_then(tiny, seed)
        model, truth = as_model(tiny), oracle.truth(tiny, margin)
        inputs, chains = places(truth), Chains.random(rng, tiny)
        best: dict[tuple[int, int, int], tuple[int, ...]] = {}
        for cell in some_of(rng, (x.cell for x in inputs), tiny.vocab - 1, 8, 1):
            levels = range(len(chains.numbers[0]))
            every = itertools.combinations_with_replacement(range(cell[1] + 1), len(levels))
            here = [x for x in inputs if x.cell == cell]
            counted = {sizes: int(chains.members(here, {cell: sizes}).sum()) for sizes in every}
            trials = sorted(counted, key=lambda sizes: (-counted[sizes], sizes))
            for sizes in [*trials[:4], *sorted(rng.sample(trials, min(len(trials), 8)), key=trials.index)]:
                fact = claim(model, precision, TABLES, chains.step({cell: sizes}), margin=margin)
                if fact is not None:
                    covered = assert_true(fact, truth)
                    assert np.array_equal(covered, chains.members(inputs, {cell: sizes}))
                    best[cell] = sizes
                    accepted += counted[sizes] > 0
                    break
                refused += 1
        fact = claim(model, precision, TABLES, chains.step(best), margin=margin)
        if fact is not None:  # arrays of other cells may cost a little precision
            assert np.array_equal(assert_true(fact, truth), chains.members(inputs, best))
    assert accepted > 15 and refused > 50, (accepted, refused)


Claimed = dict[tuple[int, int, int, int], tuple[tuple[int, ...], tuple[list[int], list[int]]]]
"""(true output, query, copies, number above) -> a grouping, and numbers of tokens on each level, below and above."""


def group_step(claimed: Claimed, tiny: oracle.TinyModel, rivals: list[list[int]], joint: int, levels: int) -> Step:
    """A step that claims these classes."""
    rank, sides = (1, 1) if tiny.rank in (1, tiny.n_ctx) else (tiny.rank, 2)
    kinds = sorted({(grouping, tuple(map(tuple, numbers[:sides]))) for grouping, numbers in claimed.values()})
    grouping = np.full((tiny.vocab, tiny.vocab, tiny.n_ctx, rank), -1)
    for (m, q, c, above), (of_tokens, numbers) in claimed.items():  # without a place of their own: taken for others
        grouping[q, m, c, min(above, rank - 1)] = kinds.index((of_tokens, tuple(map(tuple, numbers[:sides]))))
    hints = hints_of(
        rivals=rivals,
        levels=np.array([of_tokens for of_tokens, _ in kinds], np.int64).reshape(-1, tiny.vocab),
        numbers=np.array([numbers for _, numbers in kinds], np.int64).reshape(-1, sides, levels),
        grouping=grouping,
    )
    return Step("group-chains", (0,), {"joint": joint}, hints)


def group_members(inputs: list[Place], claimed: Claimed) -> np.ndarray:
    """The inputs of the claimed classes, from the rule's definition."""
    members = np.zeros(len(inputs), np.bool_)
    for i, x in enumerate(inputs):
        if x.class_key in claimed:
            grouping, sides = claimed[x.class_key]
            of_side = [[grouping[t] for t in side] for side in (x.below, x.above)]
            limits = range(2, len(sides[0]) + 2)  # level i or less
            members[i] = all(0 not in level and fits(level, limits, k) for level, k in zip(of_side, sides, strict=True))
    return members


def enlarged(rng: random.Random, claimed: tuple[tuple[int, ...], tuple[list[int], list[int]]]) -> Iterator[object]:
    """Classes a little larger than this one: an excluded token let in, a token moved down, a number moved up."""
    grouping, sides = claimed
    levels = len(sides[0])
    for token in rng.sample(range(len(grouping)), len(grouping)):
        new = rng.randint(1, levels) if grouping[token] == 0 else grouping[token] - 1
        if new:
            yield tuple(new if t == token else level for t, level in enumerate(grouping)), sides
    for side, level in itertools.product((0, 1), range(levels - 1)):
        if sides[side][level]:
            moved = tuple(list(numbers) for numbers in sides)
            moved[side][level] -= 1
            moved[side][level + 1] += 1
            yield grouping, moved


@dataclass
class GreedyClasses:
    """The largest classes found so far that the checker accepts for a tiny model. inputs: of all cells."""

    tiny: oracle.TinyModel
    precision: int
    truth: oracle.Truth
    inputs: list[Place]
    rivals: list[list[int]]
    joint: int
    levels: int
    margin: Fraction = NO_MARGIN
    best: Claimed = field(default_factory=dict)
    accepted: int = 0
    refused: int = 0

    @staticmethod
    def about(rng: random.Random, tiny: oracle.TinyModel, precision: int, margin: Fraction = NO_MARGIN) -> "GreedyClasses":
        truth = oracle.truth(tiny, margin)
        of_rivals = random_blocks(rng, tiny), rng.randint(0, 1)
        return GreedyClasses(tiny, precision, truth, places(truth), *of_rivals, rng.randint(1, 4), margin)

    def check(self, claimed: Claimed) -> bool:
        """Whether the checker accepts these classes: then what it says about them is true."""
        step = group_step(claimed, self.tiny, self.rivals, self.joint, self.levels)
        fact = claim(as_model(self.tiny), self.precision, TABLES, step, margin=self.margin)
        if fact is not None:
            assert np.array_equal(assert_true(fact, self.truth), group_members(self.inputs, claimed))
        return fact is not None

    def attempt(self, key: tuple[int, int, int, int], trial: object) -> None:
        """Keep the class if it is larger than the best one, and accepted."""
        inputs = [x for x in self.inputs if x.class_key == key]
        before = group_members(inputs, {key: self.best[key]}).sum() if key in self.best else 0
        if group_members(inputs, {key: trial}).sum() <= before:
            return
        if self.check({key: trial}):
            self.best[key] = trial
            self.accepted += 1
        else:
            self.refused += 1


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("part", parts(3))
def test_group_chains_enlarged_greedily_are_true(part, place):
    accepted = refused = 0
    for seed in range(18 * part, 18 * part + 18):
        rng, tiny = random.Random(seed), greedy_model(seed, place)
        greedy = GreedyClasses.about(rng, tiny, greedy_precision(seed), margin_now_and_then(tiny, seed))
        tilted = oracle.tilted_token(tiny.vocab, tiny.n_ctx, tiny.rank)
        true = int(greedy.truth.numbers(np.array([tilted]))[0])
        for key in some_of(rng, (x.class_key for x in greedy.inputs), true, 7, 0):
            m, _, copies, above = key
            free = (tiny.n_ctx - 1 - copies - above, above)
            by_distance = tuple(min(abs(t - m), greedy.levels) for t in range(tiny.vocab))
            by_chance = (tuple(rng.randint(0, greedy.levels) for _ in range(tiny.vocab)) for _ in range(4))
            for grouping in ((1,) * tiny.vocab, by_distance, *by_chance):
                greedy.attempt(key, (grouping, tuple(split(rng, number, greedy.levels) for number in free)))
            for _ in range(2):
                for trial in list(enlarged(rng, greedy.best[key])) if key in greedy.best else []:
                    greedy.attempt(key, trial)
        greedy.check(greedy.best)
        accepted, refused = accepted + greedy.accepted, refused + greedy.refused
    assert accepted > 15 and refused > 100, (accepted, refused)


def test_classes_in_cells_without_inputs_are_refused():
    """Or where the true output is another: whatever the numbers, every row that fills its positions is tried."""
    refused = 0
    for seed in range(12):
        tiny = greedy_model(seed, PLACES[seed % 3])
        inputs = {x.class_key for x in places(oracle.truth(tiny))}
        free, two_sides = tiny.n_ctx - 1, tiny.rank not in (1, tiny.n_ctx)
        # A model that classifies everything as the class says, were its inputs' true output that: only sense can refuse it.
        for m, q, c in itertools.product(range(tiny.vocab), range(tiny.vocab), range(tiny.n_ctx)):
            easy = always(m, tiny)
            for above in range(free - c + 1) if two_sides else (0,):
                below = free - c - above
                nobody = (below and m == 0) or (above and m == tiny.vocab - 1)
                trial = ((1,) * tiny.vocab, ([below], [above]))
                step = group_step({(m, q, c, above): trial}, tiny, [[0] * tiny.outputs], 0, 1)
                fact = claim(as_model(easy), 30, TABLES, step)
                assert (fact is not None) == ((m, q, c, above) in inputs and not nobody)
                refused += fact is None
            if not two_sides:
                numbers = [[free - copies] for copies in range(tiny.n_ctx)]
                step = Chains(tiny, [[0] * tiny.outputs], 0, numbers).step({(q, m, c): (m,)})
                fact = claim(as_model(easy), 30, TABLES, step)
                nobody = m == 0 and c < free  # tokens from an empty prefix
                assert (fact is not None) == ((q == m or (q < m and c > 0)) and not nobody)
    assert refused > 300


def always(number: int, tiny: oracle.TinyModel) -> oracle.TinyModel:
    """A model of these sizes that always gives one output (that with this number)."""
    weights = {name: np.zeros(size) for name, size in tiny.shapes.items()}
    output = tiny.vocab - 1 - number if tiny.rank == tiny.n_ctx else number
    weights["unembed.b_U"][output] = 1.0
    return oracle.pack(weights, "F32", rank=tiny.rank)


def random_region(rng: random.Random, tiny: oracle.TinyModel) -> tuple[list[list[int]], list[list[int]]]:
    """Ranges of the tokens and the label, and runs of skipped inputs."""
    ranges = [sorted(rng.sample(range(tiny.vocab + 1), 2)) for _ in range(tiny.n_ctx)]
    label = rng.choice(([0, tiny.vocab], sorted(rng.sample(range(tiny.vocab + 1), 2))))
    within = math.prod(b - a for a, b in ranges)
    edges = sorted(rng.sample(range(within + 1), 2 * rng.randint(0, min(3, (within + 1) // 2))))
    return [*ranges, label], [edges[i : i + 2] for i in range(0, len(edges), 2)]


def region_members(numbers: np.ndarray, ranges: list[list[int]], runs: list[list[int]]) -> np.ndarray:
    """Which inputs an enumeration is about, from its definition; `numbers` are all inputs in lexicographic order."""
    (*tokens, label), members, place = ranges, [], 0
    for row in numbers.tolist():
        within = all(a <= t < b for t, (a, b) in zip(row, tokens, strict=True))
        skipped = any(a <= place < b for a, b in runs)
        members.append(within and label[0] <= max(row) < label[1] and not skipped)
        place += within
    return np.array(members)


def test_enumerations_without_skips_and_in_parts_are_true():
    more = 0
    for seed in range(60):
        rng, precision = random.Random(seed), greedy_precision(seed)
        tiny = greedy_model(seed, PLACES[seed % 2])
        margin = margin_now_and_then(tiny, seed // 2)
        model, truth = as_model(tiny), oracle.truth(tiny, margin)
        numbers = truth.numbers(truth.tokens)
        in_order = np.lexsort(numbers.T[::-1])
        everything = [[0, tiny.vocab]] * (tiny.n_ctx + 1)
        for ranges, runs in ((everything, []), random_region(rng, tiny), random_region(rng, tiny)):
            fact = claim(model, precision, TABLES, enumeration_step(ranges, runs), margin=margin)
            if fact is not None:
                # Without the prover's skips a margin may be decided in one order of addition and not in another.
                covered = assert_true(fact, truth, exact=False)
                members = region_members(numbers[in_order], ranges, runs)
                assert np.array_equal(fact.may_count(numbers[in_order]), members)
                assert fact.correct <= (members & truth.correct[in_order]).sum()
                cells = task_of(model).cells_of(numbers[in_order][members])
                assert fact.cells[cells].all()
                more += int(covered.sum())
    assert more > 500


def test_parts_of_an_enumeration_count_what_the_whole_does():
    """Cells dealt out to ranges of queries and labels, and added up: near ties are decided alike, cell by cell."""
    for seed in range(20):
        tiny, precision = greedy_model(seed, PLACES[seed % 2]), greedy_precision(seed)
        model, vocab, free = as_model(tiny), tiny.vocab, [[0, tiny.vocab]] * (tiny.n_ctx - 1)
        whole = claim(model, precision, TABLES, enumeration_step([*free, [0, vocab], [0, vocab]], []))
        cut, level = seed % (vocab - 1) + 1, seed % 3 % (vocab - 1) + 1
        blocks = [([0, cut], [0, level]), ([0, cut], [level, vocab]), ([cut, vocab], [0, vocab])]
        steps = [enumeration_step([*free, *block], []) for block in blocks]
        parts = claim(model, precision, TABLES, *steps, Step("disjoint-sum", (1, 2, 3)))
        if whole is not None:
            assert parts is not None and parts.correct == whole.correct
            assert claim(model, precision, TABLES, *steps, steps[0], Step("disjoint-sum", (1, 2, 3, 4))) is None


def enumeration_step(ranges: Sequence[Sequence[int]], skip: Sequence[Sequence[int]]) -> Step:
    hints = {"ranges": np.array(ranges, np.int64), "skip": np.array(skip, np.int64).reshape(-1, 2)}
    return Step("enumeration", (0,), {}, {name: integer_tensor(hint) for name, hint in hints.items()})


def further_step(step: int, inputs: Sequence[Sequence[int]], n_ctx: int) -> Step:
    hint = np.array(inputs, np.int64).reshape(-1, n_ctx)
    return Step("further-inputs", (0, step), {}, {"inputs": integer_tensor(hint)})


def in_order(inputs: Iterable[Sequence[int]], tiny: oracle.TinyModel) -> list[tuple[int, ...]]:
    """Inputs (in numbers) as they are listed: by query, true output, free copies of it, then lexicographically."""
    rank = 1 if tiny.rank == tiny.n_ctx else tiny.rank

    def key(row: tuple[int, ...]) -> tuple[object, ...]:
        true = sorted(row)[-rank]
        return row[-1], true, row[:-1].count(true), row

    return sorted(map(tuple, inputs), key=key)


@pytest.mark.parametrize("place", PLACES)
def test_further_inputs_listed_greedily_are_true(place):
    """Beside some fact, every input is offered by itself; those that are accepted, together, and in two steps."""
    listed = repeated = 0
    for seed in range(some(18)):
        rng, tiny, precision = random.Random(seed), greedy_model(seed, place), greedy_precision(seed)
        margin = margin_now_and_then(tiny, seed)
        model, truth, n_ctx = as_model(tiny), oracle.truth(tiny, margin), tiny.n_ctx
        one_sided, says = tiny.rank in (1, n_ctx), partial(claim, model, precision, margin=margin)
        classes = [
            strategy().prove(SequenceProblem(model, CPU, margin=margin))
            for strategy in (Classes, *([Pessimized] if one_sided else []))
        ]
        bases = [(TABLES, Step("disjoint-sum")), *(evidence.steps for evidence in classes if len(evidence.steps) > 1)]
        bases += [(TABLES, enumeration_step(*random_region(rng, tiny)))] if one_sided else []
        for base in bases:
            last, exact = len(base) - 1, base[-1].rule != "enumeration"
            before = says(*(base if base[-1].premises else base[-1:]))
            if before is None:
                continue
            rows = truth.numbers(truth.tokens)
            held = before.may_count(rows)
            more = []
            for i in rng.sample(range(len(rows)), min(len(rows), 25)):
                fact = says(*base, further_step(last, [rows[i]], n_ctx))
                if held[i]:
                    assert fact is None, "an input that may have been counted"
                    repeated += 1
                elif fact is not None:
                    assert truth.correct[i] and fact.correct == before.correct + 1
                    more.append(tuple(rows[i].tolist()))
            more = in_order(more, tiny)
            fact = says(*base, further_step(last, more, n_ctx))
            assert fact is not None
            covered = assert_true(fact, truth, exact)
            assert fact.correct == before.correct + len(more)
            assert np.array_equal(covered, before.covers(rows) | [tuple(row) in set(more) for row in rows.tolist()])
            listed += len(more)
            if more:
                cut = rng.randint(0, len(more))
                twice = (further_step(last, more[:cut], n_ctx), further_step(last + 1, more[cut:], n_ctx))
                again = says(*base, *twice)
                assert again is not None and again.correct == fact.correct
                assert np.array_equal(assert_true(again, truth, exact), covered)
                if 0 < cut < len(more):  # lists upon lists go on in order
                    back = (further_step(last, more[cut:], n_ctx), further_step(last + 1, more[:cut], n_ctx))
                    assert says(*base, *back) is None
                    summed = (Step("disjoint-sum", (last + 1,)), further_step(last + 2, more[:cut], n_ctx))
                    assert says(*base, back[0], *summed) is None
                for wrong in (more[:1], [*more, more[0]]):
                    assert says(*base, further_step(last, more, n_ctx), further_step(last + 1, wrong, n_ctx)) is None
                assert says(*base, further_step(last, [more[0], *more], n_ctx)) is None
    assert listed > some(40) and repeated > some(40)


def test_sums_of_different_rules_are_true_and_overlaps_are_refused():
    """Cells dealt out to two rules and added up; then the same with one cell claimed twice."""
    summed = 0
    for seed in range(30):
        rng, tiny = random.Random(seed), greedy_model(seed, PLACES[seed % 2])
        model, truth = as_model(tiny), oracle.truth(tiny)
        problem, inputs = SequenceProblem(model, CPU), places(truth)
        classes = prove(problem, Classes(blocks=0, fine=0))[0].steps
        chains = prove(problem, Thresholds(levels=2))[0].steps[1]
        if len(classes) < 2:
            continue
        hints = {name: hint.integers() for name, hint in chains.hints.items()}
        claimed = claimed_by(classes[1])
        both = [(q, m, c, 0) for m, q, c, _ in claimed if hints["size"][q, m, c, 0] >= 0]
        if len(both) < 2:
            continue
        of_classes = rng.sample(both, len(both) // 2)
        mine: Claimed = {(m, q, c, 0): claimed[m, q, c, 0] for q, m, c, _ in of_classes}
        rest = hints["size"].copy()
        for q, m, c, _ in of_classes:
            rest[q, m, c] = -1
        rivals = [list(range(tiny.outputs))]
        numbers = hints["numbers"].tolist()
        sizes = {tuple(cell): tuple(rest[tuple(cell)]) for cell in np.argwhere(rest[..., 0] >= 0).tolist()}
        by_chains = Chains(tiny, rivals, 0, numbers)
        steps = (TABLES, group_step(mine, tiny, rivals, 0, 3), by_chains.step(sizes), Step("disjoint-sum", (1, 2)))
        fact = claim(model, 30, *steps)
        assert fact is not None
        covered = assert_true(fact, truth)
        assert np.array_equal(covered, group_members(inputs, mine) | by_chains.members(inputs, sizes))
        everything = (*steps[:2], chains, steps[3])
        assert claim(model, 30, *everything) is None
        left = [tuple(row) for row in truth.numbers(truth.tokens)[truth.correct & ~covered].tolist()]
        fact = claim(model, 30, *steps, further_step(3, in_order(sorted(left)[:3], tiny), tiny.n_ctx))
        if fact is not None:
            assert assert_true(fact, truth).sum() == covered.sum() + len(left[:3])
        summed += 1
    assert summed > 8


def claimed_by(step: Step) -> Claimed:
    """What a step's classes are, for the largest or smallest token."""
    levels, numbers, grouping = (step.hints[name].integers() for name in ("levels", "numbers", "grouping"))
    return {
        (m, q, c, 0): (tuple(levels[g].tolist()), (numbers[g, 0].tolist(), [0] * numbers.shape[2]))
        for q, m, c, _ in np.argwhere(grouping != -1).tolist()
        for g in grouping[q, m, c].tolist()
    }


# --- counting --------------------------------------------------------------------------------------------------------


def test_chain_counts_are_those_of_the_definition():
    """Checker and prover, against all tuples."""
    rng = random.Random(0)
    for _ in range(400):
        levels, entries = rng.randint(1, 4), rng.randint(0, 4)
        numbers = split(rng, entries, levels)
        rows = np.array([sorted(rng.randint(0, 4) for _ in range(levels)) for _ in range(3)])
        expected = [
            sum(fits(x, sizes, numbers) for x in itertools.product(range(sizes[-1]), repeat=entries)) for sizes in rows.tolist()
        ]
        counts = fitting_tuples(Meter(Budget()), rows, numbers)
        assert counts.tolist() == expected and all(type(count) is int for count in counts)
        widths = np.diff(rows, axis=1, prepend=0)
        assert prover_counts.fitting_tuples(list(widths.T.astype(object)), numbers).tolist() == expected
        near = prover_counts.fitting_tuples([torch.as_tensor(w, dtype=torch.float64) for w in widths.T.copy()], numbers)
        assert near.tolist() == expected


def test_large_chain_counts_are_exact():
    """63 of 2000 tokens each below a third, a half or all of them: far beyond machine integers and floats."""
    sizes, numbers = np.array([[700, 1000, 2000]]), (60, 2, 1)
    (count,) = fitting_tuples(Meter(Budget()), sizes, numbers)
    widths = [np.array([width], object) for width in (700, 300, 1000)]
    assert prover_counts.fitting_tuples(widths, numbers).tolist() == [count]
    # The largest in the last level or not; below it at most two in the second.
    ways = {
        (a, b): math.comb(63, a) * math.comb(63 - a, b) * 700**a * 300**b * 1000 ** (63 - a - b)
        for a in range(64)
        for b in range(64 - a)
    }
    assert count == sum(number for (a, b), number in ways.items() if a >= 60 and a + b >= 62)


# --- two arithmetics -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("part", parts(2))
def test_both_arithmetics_give_the_same_verdict_count_and_operations(part, place):
    for seed in range(100 + 8 * part, 108 + 8 * part):
        tiny = oracle.random_model(seed, largest=90, place=place)
        model, precision = as_model(tiny), (12, 20, 30, 40, 64)[seed % 5]
        problem = SequenceProblem(model, CPU, precision)
        for strategy in (*(strategy() for strategy in ATTENTION_STRATEGIES.values()), *switched(random.Random(seed))):
            try:
                certificate, _ = prove(problem, strategy)
            except DoesNotFit:
                continue
            fast = check_proof(certificate, model)
            slow = check_proof(certificate, model, arithmetic=ARITHMETICS["mpmath"])
            assert fast.result.correct == slow.result.correct, (seed, strategy)
            assert fast.operations == slow.operations, (seed, strategy)
            assert fast.unexplained_dimension == slow.unexplained_dimension


def test_the_slow_arithmetic_is_sound_on_greedy_claims():
    """160 bits see further than the prover dares to claim: enumerate everything, without skips."""
    for seed in range(18):
        tiny = greedy_model(seed)
        model, truth, meter = as_model(tiny), oracle.truth(tiny), Meter(Budget())
        setting = Setting(model, task_of(model), MpmathArithmetic(meter), meter)
        tables = RULES["additive-tables"](setting, Step("additive-tables"), ())
        step = enumeration_step([[0, tiny.vocab]] * (tiny.n_ctx + 1), [])
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
    for steps in ((TABLES, enumeration_step([[0, 2]] * 3, [[0, 4]])), (Step("disjoint-sum"),)):
        check_proof(certificate_for(model, steps, 0, 30), model)
        with pytest.raises(InvalidInput):
            check_proof(certificate_for(broken, steps, 0, 30), broken)


def test_classes_without_cells_cover_nothing():
    tiny = oracle.random_model(0)
    for step in (group_step({}, tiny, [[0] * tiny.outputs], 0, 2), Step("disjoint-sum")):
        fact = claim(as_model(tiny), 30, *((TABLES, step) if step.hints else (step,)))
        assert fact is not None and fact.correct == 0
        assert not fact.covers(oracle.truth(tiny).tokens).any()


def test_an_input_that_an_enumeration_counts_cannot_be_listed_again():
    """A list once asked what was covered, in an order of addition in which (1, 0, 1, 0, 0, 0) was not found correct again."""
    weights = {
        "embed.W_E": [[-1.375, -1.875], [-0.125, -2.0]],
        "pos_embed.W_pos": [[2.375, 2.375], [-1.625, 3.0], [-0.25, 0.0], [-0.875, 2.625], [-1.875, -1.625], [-0.125, -0.125]],
        "blocks.0.attn.W_Q": [[[-2.0, 2.625], [1.875, 1.0]]],
        "blocks.0.attn.W_K": [[[0.75, 2.625], [-1.375, -1.625]]],
        "blocks.0.attn.W_V": [[[2.875, -2.75], [-1.0, -2.625]]],
        "blocks.0.attn.W_O": [[[1.0, 2.5], [1.375, 2.125]]],
        "unembed.W_U": [[-1.5, -2.5], [-3.0, -2.875]],
        "unembed.b_U": [2.069857846527232, 0.0],
    }
    tiny = oracle.pack({name: np.array(weight) for name, weight in weights.items()}, "F64")
    model, twice = as_model(tiny), (1, 0, 1, 0, 0, 0)
    enumerated = (TABLES, enumeration_step([[t, t + 1] for t in (*twice, 1)], []))
    fact = claim(model, 12, *enumerated)
    assert fact is not None and fact.correct == 1 and fact.may_count(np.array([twice])).all()
    assert claim(model, 12, *enumerated, further_step(1, [twice], 6)) is None


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


@pytest.mark.parametrize(("last", "proved"), [(-10.0, False), (-2.5, True)])
def test_where_smaller_tokens_help_the_least_that_they_weigh_counts(last: float, proved: bool) -> None:
    """Every free token is in favour of 1, and the last position against it: two positions weigh 1, and one about 5.

    With that one as the least for both smaller tokens, all would be well: 1 + 2 * 5 - 9 > 0, but 1 + 1 + 5 - 9 < 0.
    """
    weights = {name: np.zeros(size) for name, size in oracle.shapes(2, 4, 3, 1, 2).items()}
    weights["pos_embed.W_pos"][:, 0] = [0, 0, 1.6, 0]
    weights["pos_embed.W_pos"][3, 1] = last
    weights["blocks.0.attn.b_Q"][:] = weights["blocks.0.attn.W_K"][0, 0, 0] = weights["blocks.0.attn.W_V"][0, 1, 0] = 1
    weights["blocks.0.attn.W_O"][0, 0, 2] = weights["unembed.W_U"][2, 1] = weights["unembed.b_U"][1] = 1
    tiny = oracle.pack(weights, "F64")
    truth = oracle.truth(tiny)
    step = chains(sizes_of({(0, 1, 1): (1,)}, 2, 4, 1), [(3,), (2,), (1,), (0,)], range(2))
    found = claim(as_model(tiny), 30, Step("additive-tables"), step)
    assert (found is not None) == proved == all(truth.of(row) for row in ((0, 0, 1, 0), (0, 1, 0, 0), (1, 0, 0, 0)))
