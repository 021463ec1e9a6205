"""Tasks as automata: what is read, counted and labelled, against walking through every sequence; and the builder."""

import itertools
import json
import math
import random
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import automaton_oracle
import numpy as np
import oracle
import pytest
import torch
from click.testing import CliRunner
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from certificates import AttentionOnly, FormatError, GroupMLP, RawTensor, Step, UniformAttention, integer_tensor
from certificates.automaton import TABLES, Automaton, read_automaton
from certificates.groups import group_table
from checker import CheckError
from checker.attention.additive_tables import additive_tables
from checker.attention.order_statistic import parse_sequence_task
from checker.core.errors import OverBudget, Refused
from checker.core.facts import CertifiedInputs, Setting
from checker.core.meter import Budget, Meter
from checker.core.parallel import in_processes
from checker.core.scaled_integers import ScaledArithmetic
from checker.decide import check_proof, parse_task
from checker.reporting.cli import cli
from checker.rules.all_inputs import all_inputs
from prover.attention.sequence_problem import SequenceProblem
from prover.problem import tensors_of
from prover.proving import prove
from prover.strategies.all_inputs import Enumerate
from prover.strategies.classes import Classes
from prover.strategy import DoesNotFit
from prover.tasks import addition, automaton_from, read_automaton_from, write_automaton

CPU = torch.device("cpu")
QUICK = settings(max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def automata(draw: Any) -> Automaton:
    """Small ones of every kind: dead ends, states that nothing leads to, outputs that are missing, orders of all sorts."""
    length, tokens, states = draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(1, 4))
    steps = draw(st.sampled_from([1, length]))
    order = draw(st.permutations(range(length)))
    entries = st.integers(-1, states - 1)
    transitions = [[[draw(entries) for _ in range(tokens)] for _ in range(states)] for _ in range(steps)]
    outputs = [draw(st.integers(-1, 2)) for _ in range(states)]
    return Automaton.of(np.array(order), np.array(transitions), np.array(outputs))


def walked(automaton: Automaton, row: Sequence[int]) -> int:
    tables = (automaton.tables[name].tolist() for name in ("order", "transitions", "outputs"))
    return automaton_oracle.output_of(*tables, row)


@given(automaton=automata())
@QUICK
def test_labels_and_counts_are_those_of_walking(automaton: Automaton) -> None:
    length, tokens = len(automaton.order), automaton.transitions.shape[2]
    rows = list(itertools.product(range(tokens), repeat=length))
    found = [walked(automaton, row) for row in rows]
    assert automaton.outputs_of(np.array(rows))[:, 0].tolist() == found
    assert automaton.count() == sum(output >= 0 for output in found)


@st.composite
def automata_with_reads(draw: Any) -> Automaton:
    """Read at some positions, after any number of steps."""
    automaton = draw(automata())
    length, states = len(automaton.order), automaton.transitions.shape[1]
    positions = sorted(draw(st.sets(st.integers(0, length - 1), min_size=1)))
    reads = [[position, draw(st.integers(1, length))] for position in positions]
    assume(reads != [[length - 1, length]])
    outputs = [[draw(st.integers(-1, 2)) for _ in range(states)] for _ in reads]
    return Automaton.of(automaton.order, automaton.transitions, np.array(outputs), np.array(reads))


@given(automaton=automata_with_reads())
@QUICK
def test_labels_at_reads_and_counts_are_those_of_walking(automaton: Automaton) -> None:
    length, tokens = len(automaton.order), automaton.transitions.shape[2]
    rows = list(itertools.product(range(tokens), repeat=length))
    tables = {name: table.tolist() for name, table in automaton.tables.items()}
    found = [automaton_oracle.outputs_at_reads(tables, row) for row in rows]
    assert automaton.outputs_of(np.array(rows)).tolist() == found
    assert automaton.count() == sum(outputs[0] >= 0 for outputs in found)


@given(automaton=automata_with_reads())
@QUICK
def test_what_is_built_for_reads_is_the_same_task_and_no_larger(automaton: Automaton) -> None:
    places = {position: step for step, position in enumerate(automaton.order.tolist())}

    def step(state: int, token: int, position: int) -> int | None:
        after = int(automaton.at(places[position])[state, token])
        return None if after < 0 else after

    def output(read: int) -> Callable[[int], int | None]:
        return lambda state: None if automaton.outputs[read, state] < 0 else int(automaton.outputs[read, state])

    reads = {position: (steps, output(read)) for read, (position, steps) in enumerate(automaton.reads.tolist())}
    small = read_automaton_from(0, step, reads, automaton.transitions.shape[2], automaton.order.tolist())
    rows = np.array(list(itertools.product(range(automaton.transitions.shape[2]), repeat=len(automaton.order))))
    assert np.array_equal(small.outputs_of(rows), automaton.outputs_of(rows))
    assert small.transitions.shape[1] <= automaton.transitions.shape[1]
    assert small.count() == automaton.count()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"reads": [[1, 2]]}, "has no reads"),
        ({"reads": [[0, 0], [1, 2]]}, "number of steps"),
        ({"reads": [[0, 3], [1, 2]]}, "number of steps"),
        ({"reads": [[0, 1], [2, 2]]}, "number of steps"),
        ({"reads": [[1, 2], [0, 1]]}, "order of their positions"),
        ({"reads": [[0, 1], [0, 2]]}, "order of their positions"),
        ({"reads": [[0, 1]]}, "one for each read"),
        ({"outputs": [0, 1]}, "one for each read"),
        ({"outputs": [[0], [1]]}, "one for each read"),
        ({"outputs": [[0, 1], [0, -2]]}, "or -1, which is none"),
        ({"reads": [[0, 1, 1], [1, 2, 2]]}, "position"),
    ],
)
def test_reads_that_are_none(change: dict[str, Any], reason: str) -> None:
    tables = {"order": [0, 1], "transitions": [[[0, 1], [1, 0]]], "outputs": [[0, 1], [1, 0]], "reads": [[0, 1], [1, 2]]}
    assert Automaton.of(**{name: np.array(table) for name, table in tables.items()}).count() == 4
    with pytest.raises(FormatError, match=reason):
        Automaton.of(**{name: np.array(table) for name, table in (tables | change).items()})


def test_an_automaton_with_reads_from_a_file(tmp_path: Path) -> None:
    automaton = addition([0, 1], [2, 3], [4, 5, 6], {})
    write_automaton(tmp_path / "task.json", automaton)
    again = read_automaton(tmp_path / "task.json")
    assert again.digest == automaton.digest and again.count() == 10**4 and "reads" in again.tables
    with pytest.raises(FormatError, match="for the architecture `transformer`"):
        parse_task({"automaton": automaton.digest}, AttentionOnly(1, 1, 10, 10, 6), tensors_of(automaton), Meter(Budget()))


@pytest.mark.parametrize("places", [([1, 2], [4, 5], [7, 8, 9]), ([2, 1], [5, 4], [9, 8, 7]), ([4, 1], [2, 5], [7, 8, 9])])
def test_addition(places: tuple[list[int], list[int], list[int]]) -> None:
    """Whichever digit comes first: inputs are sums with right digits, and read before each of them."""
    automaton = addition(*places, {0: 3, 3: 7, 6: 9})
    assert automaton.count() == 10**4 and automaton.reads[:, 0].tolist() == [6, 7, 8]
    rng = np.random.default_rng(0)
    for _ in range(100):
        numbers, row = rng.integers(0, 10, (2, 2)), np.full(10, -1)
        row[[0, 3, 6]] = 3, 7, 9
        total = (numbers @ [1, 10]).sum()
        for digits, where in zip((*numbers, (total // [1, 10, 100]) % 10), places, strict=True):
            row[where] = digits
        assert automaton.outputs_of(row[None, :9]).tolist() == [row[7:].tolist()]
        wrong = rng.choice([0, 3, 6, 7, 8])
        row[wrong] = (row[wrong] + 1) % 10
        assert automaton.outputs_of(row[None, :9]).tolist() == [[-1] * 3]


def built(automaton: Automaton) -> Automaton:
    """The same task, from its tables as a step function."""
    tables = automaton.transitions.tolist()
    places = {position: step for step, position in enumerate(automaton.order.tolist())}

    def step(state: int, token: int, position: int) -> int | None:
        after = tables[places[position] if len(tables) > 1 else 0][state][token]
        return None if after < 0 else after

    outputs = [None if output < 0 else output for output in automaton.outputs[0].tolist()]
    length, tokens = len(automaton.order), automaton.transitions.shape[2]
    return automaton_from(0, step, outputs.__getitem__, length, tokens, automaton.order.tolist())


@given(automaton=automata())
@QUICK
def test_what_is_built_is_the_same_task_and_no_larger(automaton: Automaton) -> None:
    length, tokens = len(automaton.order), automaton.transitions.shape[2]
    small, rows = built(automaton), np.array(list(itertools.product(range(tokens), repeat=length)))
    assert np.array_equal(small.outputs_of(rows), automaton.outputs_of(rows))
    assert small.transitions.size <= max(automaton.transitions.size, tokens * len(small.transitions))
    again = built(small)
    assert again.transitions.size <= small.transitions.size


@pytest.mark.parametrize(("vocab", "length"), [(1, 3), (2, 4), (4, 3), (3, 5)])
def test_named_tasks_about_order_are_automata(vocab: int, length: int) -> None:
    rows = np.array(list(itertools.product(range(vocab), repeat=length)))
    config = AttentionOnly(1, 1, vocab, vocab, length)
    for rank in range(1, length + 1):
        named = parse_sequence_task({"name": "nth-max-of-k", "n": rank}, config, {}, Meter(Budget()))
        automaton = automaton_from(
            (),
            lambda kept, token, _: tuple(sorted((*kept, token), reverse=True)[:rank]),  # noqa: B023 - used at once
            lambda kept: kept[-1],
            length,
            vocab,
        )
        assert automaton.count() == named.total == len(rows)
        assert np.array_equal(named.numbered(named.outputs_of(named.numbered(rows))), automaton.outputs_of(rows))


@pytest.mark.parametrize("name", ["cyclic:5", "symmetric:3", "dihedral:4"])
def test_named_tasks_about_products_are_automata(name: str) -> None:
    table = group_table(name)
    size = len(table)
    named = parse_task({"name": "group-composition", "group": name}, GroupMLP(1, size, size), {}, Meter(Budget()))
    automaton = automaton_from(-1, lambda a, t, _: t if a < 0 else size + int(table[a, t]), lambda s: s - size, 2, size)
    rows = np.array(list(itertools.product(range(size), repeat=2)))
    assert automaton.count() == named.total and np.array_equal(named.outputs_of(rows), automaton.outputs_of(rows))


def test_balanced_brackets_are_counted_by_catalan_numbers() -> None:
    for pairs in range(1, 12):
        automaton = automaton_from(
            0,
            lambda opened, bracket, _: opened + 1 - 2 * bracket if opened >= bracket else None,
            lambda opened: 1 if opened == 0 else None,
            2 * pairs,
            2,
        )
        assert automaton.count() == math.comb(2 * pairs, pairs) // (pairs + 1)


def test_digits_may_be_read_from_the_last_to_the_first() -> None:
    """Three-digit sums: a_2 a_1 a_0 b_2 b_1 b_0 c_2 c_1 c_0, read a_0 b_0 c_0 a_1 ..: is c the sum without its carry?"""
    order = [position for digit in (2, 1, 0) for position in (digit, 3 + digit, 6 + digit)]

    def step(state: tuple[int, int, bool], token: int, position: int) -> tuple[int, int, bool]:
        carry, total, right = state
        if position < 6:
            return carry, total + token, right
        total += carry
        return total // 10, 0, right and total % 10 == token

    automaton = automaton_from((0, 0, True), step, lambda state: int(state[2]), 9, 10, order)
    assert automaton.count() == 10**9
    rng, rows = np.random.default_rng(0), []
    for _ in range(50):
        a, b = rng.integers(0, 1000, 2).tolist()
        rows += [[*map(int, f"{a:03d}{b:03d}{(a + b) % 1000:03d}")], [*map(int, f"{a:03d}{b:03d}{(a + b + 10) % 1000:03d}")]]
    assert automaton.outputs_of(np.array(rows))[:, 0].tolist() == [1, 0] * 50


def test_counts_are_exact_beyond_machine_integers() -> None:
    parity = automaton_from(0, lambda s, t, _: (s + t) % 2, lambda s: s or None, 64, 7)
    assert parity.transitions.shape[1] == 2
    assert parity.count() == (7**64 - 1) // 2  # odd sums: 4 even tokens, 3 odd ones


# --- files, and what a certificate brings along --------------------------------------------------------------------------


def test_a_file_is_read_as_it_was_written_and_named_by_digest(tmp_path: Path) -> None:
    automaton = automaton_from(0, lambda s, t, _: (s + t) % 3, lambda s: s, 4, 5)
    path = tmp_path / "sums.json"
    write_automaton(path, automaton)
    again = read_automaton(path)
    assert all(np.array_equal(getattr(again, name), getattr(automaton, name)) for name in TABLES)
    path.write_text(json.dumps(json.loads(path.read_text()), indent=3))  # however it is spelled
    assert read_automaton(path).digest == automaton.digest
    printed = CliRunner().invoke(cli, ["task", str(path)])
    assert printed.exit_code == 0 and automaton.digest in printed.output and "inputs: 625 of 625" in printed.output


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not valid JSON"),
        ("[]", "an object with exactly"),
        ('{"order":[0],"outputs":[0]}', "an object with exactly"),
        ('{"order":[0],"outputs":[0],"transitions":[[[0]]],"start":0}', "an object with exactly"),
        ('{"order":0,"outputs":[0],"transitions":[[[0]]]}', "order is 1 deep"),
        ('{"order":[0],"outputs":[true],"transitions":[[[0]]]}', "outputs is 1 deep"),
        ('{"order":[0],"outputs":[0.0],"transitions":[[[0]]]}', "not an integer"),
        ('{"order":[0],"outputs":[0],"transitions":[[0]]}', "transitions is 3 deep"),
        ('{"order":[0],"outputs":[0,0],"transitions":[[[0],[0,1]]]}', "transitions is 3 deep"),
        ('{"order":[0],"outputs":[99999999999999999999],"transitions":[[[0]]]}', "outputs is 1 deep"),
        ('{"order":[1],"outputs":[0],"transitions":[[[0]]]}', "every position"),
        ('{"order":[],"outputs":[0],"transitions":[[[0]]]}', "an order"),
        ('{"order":[0],"outputs":[0],"transitions":[[[1]]]}', "leads to a state"),
        ('{"order":[0],"outputs":[-2],"transitions":[[[0]]]}', "an output is"),
        ('{"order":[0,1,2],"outputs":[0],"transitions":[[[0]],[[0]]]}', "transitions are for 1 or 3 steps"),
        ('{"order":[0],"outputs":[0,0],"transitions":[[[0]]]}', "transitions are for 1 or 1 steps"),
    ],
)
def test_a_file_that_is_no_automaton_is_refused(text: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "task.json"
    path.write_text(text)
    with pytest.raises(FormatError, match=why):
        read_automaton(path)


def test_large_automata_are_refused_before_their_tables_are_read() -> None:
    config = AttentionOnly(1, 1, 2048, 2048, 3)
    for states, budget, refusal, why in ((2049, 2**31, FormatError, "more than"), (1024, 2**28, OverBudget, "max-memory")):
        tables = {
            "order": RawTensor("I8", (3,), bytes(3)),
            "outputs": RawTensor("I8", (states,), bytes(states)),
            "transitions": RawTensor("I8", (1, states, 2048), bytes(states * 2048)),
        }
        with pytest.raises(refusal, match=why):
            parse_task({"automaton": "0" * 64}, config, tables, Meter(Budget(memory=budget)))


# --- every input, for any task ------------------------------------------------------------------------------------------


def own_task(rng: random.Random, length: int, tokens: int, outputs: int) -> Automaton:
    """At random: weights of tokens and positions, summed modulo some number; not all sequences are inputs."""
    modulus = rng.randint(2, 4)
    value = [[rng.randrange(modulus) for _ in range(tokens)] for _ in range(length)]
    output = [rng.randrange(-1, outputs) for _ in range(modulus)]
    output[0] = rng.randrange(outputs)
    order = rng.sample(range(length), length)
    banned = rng.randrange(tokens * length)

    def step(state: int, token: int, position: int) -> int | None:
        return None if tokens > 1 and banned == position * tokens + token else (state + value[position][token]) % modulus

    found: Callable[[int], int | None] = lambda s: None if output[s] < 0 else output[s]  # noqa: E731
    return automaton_from(0, step, found, length, tokens, order)


@pytest.mark.parametrize("chunk", range(3))
def test_every_input_of_any_task_is_counted_if_and_only_if_it_is_right(chunk: int) -> None:
    from test_theorems import as_model  # noqa: PLC0415 - the same models

    some = 0
    for seed in range(20 * chunk, 20 * chunk + 20):
        rng, tiny = random.Random(seed), oracle.random_model(seed, kinds=("maximum", "noise", "integers"), largest=260)
        automaton = own_task(rng, tiny.n_ctx, tiny.vocab, tiny.outputs)
        if not automaton.count():
            continue
        labels = {row: walked(automaton, row) for row in itertools.product(range(tiny.vocab), repeat=tiny.n_ctx)}

        class Relabelled(oracle.TinyModel):
            def label(self, tokens: Sequence[int]) -> int:
                return max(labels[tuple(tokens)], 0)  # noqa: B023 - used at once

        truth = oracle.truth(Relabelled(**vars(tiny)))
        inputs = np.array([labels[tuple(row)] >= 0 for row in truth.tokens.tolist()])
        model = as_model(tiny)
        problem = SequenceProblem(model, CPU, 40, automaton=automaton)
        certificate, evidence = prove(problem, Enumerate())
        proof = check_proof(certificate, model)
        covered = proof.result.covers(truth.tokens)
        assert not np.any(covered & ~(truth.correct & inputs)) and covered.sum() == evidence.correct == proof.result.correct
        missed = truth.correct & inputs & ~covered
        assert not np.any(np.abs(truth.margin[missed]) > 2.0**-20)
        assert proof.task.total == inputs.sum()
        some += evidence.correct > 0
        with pytest.raises(DoesNotFit, match="enumerate"):
            prove(problem, Classes())
    assert some > 10


def test_jobs_make_no_difference() -> None:
    from test_theorems import as_model  # noqa: PLC0415 - as above

    tiny = oracle.random_model(3, kinds=("maximum",), largest=260)
    model = as_model(tiny)
    certificate, _ = prove(SequenceProblem(model, CPU, 30), Enumerate())
    both = [check_proof(certificate, model, in_order=partial(in_processes, jobs)) for jobs in (1, 2)]
    assert both[0].operations == both[1].operations


def test_tensors_of_an_automaton_are_what_is_checked() -> None:
    automaton = automaton_from(0, lambda s, t, _: (s + t) % 2, lambda s: s, 2, 3)
    config = UniformAttention(1, 1, 1, 4, 2, 3, 1)
    task = parse_task({"automaton": automaton.digest}, config, tensors_of(automaton), Meter(Budget()))
    assert task.total == 9 and "accepts" in task.sentence
    with pytest.raises(FormatError, match="digest"):
        parse_task({"automaton": "0" * 64}, config, tensors_of(automaton), Meter(Budget()))
    with pytest.raises((FormatError, CheckError), match="exactly the tensors"):
        parse_task({"automaton": automaton.digest}, config, {}, Meter(Budget()))


def test_a_task_without_inputs_is_none() -> None:
    nothing = Automaton.of(np.array([1, 0]), np.zeros((1, 1, 3), np.int64), np.array([-1]))
    with pytest.raises(FormatError, match="accepts no sequence"):
        parse_task({"automaton": nothing.digest}, GroupMLP(1, 3, 3), tensors_of(nothing), Meter(Budget()))


def test_ranges_are_within_the_tokens_and_cells_are_last_tokens() -> None:
    from test_theorems import as_model  # noqa: PLC0415 - as above

    model = as_model(oracle.random_model(3, kinds=("maximum",), largest=260))
    length, vocab = model.config.input_shape
    every = automaton_from(0, lambda s, t, _: 0, lambda s: 0, length, vocab)
    meter = Meter(Budget())
    task = parse_task({"automaton": every.digest}, model.config, tensors_of(every), meter)
    setting = Setting(model, task, ScaledArithmetic(30, meter), meter)
    tables = additive_tables(setting, Step("additive-tables"), ())

    def counted(*ranges: tuple[int, int], skip: Sequence[tuple[int, int]] = ()) -> CertifiedInputs:
        hints = {"ranges": np.array(ranges), "skip": np.array(skip, np.int64).reshape(-1, 2)}
        stored = {name: integer_tensor(hint) for name, hint in hints.items()}
        return all_inputs(setting, Step("all-inputs", (0,), {}, stored), (tables,))

    free = [(0, vocab)] * (length - 1)
    for wrong in ((-1, vocab), (0, vocab + 1), (1, 1)):
        with pytest.raises(Refused, match="a range is empty or not within"):
            counted(*free, wrong)
    with pytest.raises(Refused, match="runs of skipped inputs"):
        counted(*free, (1, 2), skip=[(0, vocab**length)])
    fact = counted(*free, (1, 2))
    assert fact.cells.tolist() == [token == 1 for token in range(vocab)]
    rows = np.array([row for row in itertools.product(range(vocab), repeat=length) if row[-1] == 1])
    assert fact.may_count(rows).all() and not fact.covers(rows).all()  # whatever may be counted, proved or not
