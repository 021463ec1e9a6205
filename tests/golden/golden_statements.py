"""Cases about what statements may say beside a task's name and a number: margins, automata, executions in floating point."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pair_oracle
from golden_pairs import EVERY, FOUR, hidden, pairs_step, subjects
from make_golden import SUBJECTS, TABLES, Corpus, claim, everything, further, rewritten, tensor, with_statement

from certificates import Certificate, RawTensor, Step

NONE = np.zeros((0, 2), np.int64)
Tables = Mapping[str, Any]


def all_inputs(ranges: Any, skip: Any = NONE, premises: tuple[int, ...] = (0,)) -> Step:
    """A step of rule all-inputs."""
    return Step("all-inputs", premises, {}, {"ranges": tensor(ranges), "skip": tensor(skip)})


def execution(number: int, premise: int = 1) -> Step:
    """A step of rule float-execution."""
    return Step("float-execution", (premise,), {"format": number})


def largest_after(order: Any) -> dict[str, Any]:
    """The largest token, of sequences whose token that is read first is not 0: state 0 is the start, s the largest so far."""
    rows = [[-1, 1, 2, 3], *([max(s, t) for t in range(4)] for s in range(1, 4))]
    return {"order": order, "transitions": [rows], "outputs": [-1, 1, 2, 3]}


def given(tables: Tables) -> dict[str, RawTensor]:
    """The tensors of an automaton, whatever it is."""
    return {name: tensor(table) for name, table in tables.items()}


def digest(tables: Tables) -> dict[str, str]:
    """The task that is this automaton."""
    lists = {name: np.array(table).tolist() for name, table in tables.items()}
    return {"automaton": hashlib.sha256(json.dumps(lists, sort_keys=True, separators=(",", ":")).encode()).hexdigest()}


def add_cases(corpus: Corpus) -> None:
    """All of them."""
    of_margins(corpus)
    of_pairs_with_margins(corpus)
    of_automata(corpus)
    of_executions(corpus)


def led(name: str, margin: float) -> int:
    """How many inputs of a model lead by more than a margin; fails where float64 could be wrong about one."""
    ahead = SUBJECTS[name].leads - margin
    if np.abs(ahead).min() < 1e-6:
        raise ValueError(f"a lead is too close to {margin} for this corpus")
    return int((ahead > 0).sum())


def of_margins(corpus: Corpus) -> None:
    """Margins of sequences, and how they are written."""
    add = corpus.add
    for name, model, margin, step in (
        ("enumeration", "small", Fraction(1, 4), everything(4, 3)),
        (
            "all-inputs",
            "second",
            Fraction(1, 8),
            all_inputs([(0, SUBJECTS["second"].config.d_vocab)] * SUBJECTS["second"].config.n_ctx),
        ),
    ):
        few = led(model, float(margin))
        good = with_statement(claim(model, few, TABLES, step), margin=margin)
        add(f"margin-{name}", good, 0, "inputs that lead by more than a margin", model)
        add(f"margin-{name}-ignored", with_statement(good, margin=Fraction(0)), 1, "fewer than without the margin", model)
        more = with_statement(good, correct=led(model, 0.0))
        add(f"margin-{name}-none", more, 1, "as many as without the margin", model)
    good = with_statement(claim("small", led("small", 0.25), TABLES, everything(4, 3)), margin=Fraction(1, 4))
    for name, why, text in (
        ("longer", "not the shortest spelling", '"0.250"'),
        ("shorter", "no digit before the point", '".25"'),
        ("zero", "0 is left out", '"0"'),
        ("negative", "not positive", '"-0.25"'),
        ("fraction", "not a decimal", '"1/4"'),
        ("exponent", "no exponents", '"25e-2"'),
        ("number", "a string is wanted", "1"),
        ("null", "a string is wanted", "null"),
    ):
        add(f"margin-{name}", rewritten(good, "statement", '"0.25"', text), 2, why)


def of_pairs_with_margins(corpus: Corpus) -> None:
    """Margins of networks on two inputs: that of the closest pair is a tie."""
    for name in ("sums", "uniform-plain"):
        subject = subjects()[name]
        table = pair_oracle.table_of(subject.task)
        values = pair_oracle.logits(subject.tensors)
        leads = [values[a, b, table[a, b]] - max(np.delete(values[a, b], table[a, b])) for a, b in np.ndindex(*table.shape)]
        every, decimal = np.ones(table.shape, np.int64), Fraction(1, 10**6)
        closest = min(leads)
        steps = hidden(range(subject.config.d_mlp)), pairs_step(every)
        good = subject.claim(every, *steps)
        below = -(-closest // decimal) * decimal - decimal
        corpus.add(
            f"pairs-margin-{name}", with_statement(good, margin=below), 0, "just below that of all pairs", f"pairs-{name}"
        )
        beyond = with_statement(good, margin=below + decimal)
        corpus.add(f"pairs-margin-{name}-beyond", beyond, 1, "at that of a pair, or above", f"pairs-{name}")


def of_automata(corpus: Corpus) -> None:
    """Automata that say which sequences are inputs, and what is none."""
    add, subject = corpus.add, SUBJECTS["small"]
    step, first = all_inputs([(0, 4)] * 3), largest_after([0, 1, 2])
    later = first["transitions"][0][1:]

    def about(tables: Tables, correct: int, *steps: Step, total: int = 48) -> Certificate:
        proof = replace(claim("small", correct, TABLES, *steps), given=given(tables))
        return with_statement(proof, task=digest(tables), total=total)

    def right(read_first: int) -> int:
        return int(((subject.leads > 0) & (subject.inputs[:, read_first] > 0)).sum())

    good = about(first, right(0), step)
    add("automaton", good, 0, "the largest token, if the first is not 0")
    last = largest_after([2, 1, 0])
    add("automaton-order", about(last, right(2), step), 0, "read from last to first: the last is not 0")
    by_step = {**first, "transitions": first["transitions"] * 3}
    add("automaton-by-step", about(by_step, right(0), step), 0, "a table for every step")
    more = {
        "order": [0, 1, 2],
        "transitions": [[[4, 1, 2, 3], *later, [4, 4, 4, 4], [5, 5, 0, 1]]],
        "outputs": [-1, 1, 2, 3, -1, 0],
    }
    add("automaton-unreachable", about(more, right(0), step), 0, "a state that leads nowhere, and one that nothing leads to")
    listed = [row for row, ahead in zip(subject.inputs.tolist(), subject.leads, strict=True) if ahead > 0 and row[0] > 0]
    by_last = sorted(row for row in listed if row[2] == 3)
    lists = all_inputs([(0, 4), (0, 4), (0, 3)]), further(sorted(by_last, key=lambda row: (row[2], row)), 1)
    add("automaton-further", about(first, right(0), *lists), 0, "some in ranges, others one by one")
    add("automaton-further-twice", about(first, right(0), step, further(by_last[:1], 1)), 1, "one of them once more")
    none = further([(0, 0, 3)], 1)
    add("automaton-further-none", about(first, right(0), lists[0], none), 1, "a list with a sequence that is no input")
    inside = [row for row in listed if row[1] > 0]
    add("automaton-ranges", about(first, len(inside), all_inputs([(0, 4), (1, 4), (0, 4)])), 0, "a part of them")
    skipped = about(first, right(0) - 1, all_inputs([(0, 4)] * 3, [(_place(listed[0]), _place(listed[0]) + 1)]))
    add("automaton-skip", skipped, 0, "all but one that is skipped")
    for name, why, code, other in (
        ("count", "one more than are right", 1, with_statement(good, correct=right(0) + 1)),
        ("total", "all sequences instead of those accepted", 2, with_statement(good, total=64)),
        ("digest", "the digest of another one", 2, with_statement(good, task=digest(last))),
        ("digest-upper", "upper-case digest", 2, with_statement(good, task={"automaton": digest(first)["automaton"].upper()})),
        ("name", "another field", 2, with_statement(good, task={**digest(first), "name": "max-of-k"})),
        ("absent", "no tables", 2, replace(good, given={})),
        ("partly", "no outputs", 2, replace(good, given={k: v for k, v in good.given.items() if k != "outputs"})),
        ("table", "a multiplication table as well", 2, replace(good, given={**good.given, "table": tensor([[0]])})),
        ("unasked", "tables for a task that has a name", 2, with_statement(good, task={"name": "max-of-k"}, total=64)),
        ("enumeration", "a rule about the order of tokens", 1, about(first, right(0), everything(4, 3))),
        ("twice", "two premises", 1, about(first, right(0), TABLES, all_inputs([(0, 4)] * 3, premises=(0, 1)))),
        ("no-classifier", "inputs are no classifier", 1, about(first, right(0), step, all_inputs([(0, 4)] * 3, NONE, (1,)))),
        ("range-empty", "an empty range", 1, about(first, 0, all_inputs([(0, 4), (2, 2), (0, 4)]))),
        ("range-wide", "more tokens than there are", 1, about(first, right(0), all_inputs([(0, 4), (0, 5), (0, 4)]))),
        ("range-negative", "a token below 0", 1, about(first, right(0), all_inputs([(0, 4), (-1, 4), (0, 4)]))),
        ("skip-touching", "runs that touch", 1, about(first, right(0), all_inputs([(0, 4)] * 3, [(0, 1), (1, 2)]))),
        ("skip-beyond", "beyond the last sequence", 1, about(first, right(0), all_inputs([(0, 4)] * 3, [(60, 65)]))),
    ):
        add(f"automaton-{name}", other, code, why)
    for name, why, tables in (
        ("positions", "a position is named twice", {**first, "order": [0, 1, 1]}),
        ("short", "positions are missing", {**first, "order": [0, 1]}),
        ("state", "a transition to a state that does not exist", {**first, "transitions": [[[-1, 1, 2, 4], *later]]}),
        ("dead", "-1 only is no state", {**first, "transitions": [[[-2, 1, 2, 3], *later]]}),
        ("output", "an output that the model does not have", {**first, "outputs": [-1, 1, 2, 5]}),
        ("output-negative", "-1 only is no output", {**first, "outputs": [-1, 1, 2, -2]}),
        ("outputs-few", "a state without an output", {**first, "outputs": [-1, 1, 2]}),
        ("two-steps", "tables for two steps of three", {**first, "transitions": first["transitions"] * 2}),
        ("tokens", "a token without transitions", {**first, "transitions": [[row[:3] for row in first["transitions"][0]]]}),
        ("empty", "no sequence is accepted", {**first, "outputs": [-1, -1, -1, -1]}),
        ("flat", "transitions are three deep", {**first, "transitions": first["transitions"][0]}),
    ):  # fmt: skip
        add(f"automaton-{name}", about(tables, right(0), step), 2, why)
    floats = replace(good, given={**good.given, "outputs": RawTensor("F32", (4,), bytes(16))})
    add("automaton-floats", floats, 2, "tables of floats")
    pairs = subjects()["sums"]
    adding = {"order": [1, 0], "transitions": [[[1, 2, 3], *([(s + t) % 3 + 1 for t in range(3)] for s in range(3))]]}
    adding["outputs"] = [-1, 0, 1, 2]
    proof = replace(pairs.claim(9, hidden(FOUR), all_inputs([(0, 3)] * 2)), given=given(adding))
    add("pairs-automaton", with_statement(proof, task=digest(adding)), 0, "addition read from last to first", "pairs-sums")
    code = with_statement(replace(pairs.claim(9, hidden(FOUR), pairs_step(EVERY)), given=given(adding)), task=digest(adding))
    add("pairs-automaton-coded", code, 1, "a rule about products of two elements", "pairs-sums")


def _place(row: list[int]) -> int:
    return row[0] * 16 + row[1] * 4 + row[2]


def of_executions(corpus: Corpus) -> None:
    """Executions in floating point."""
    add, margin = corpus.add, Fraction(1, 100)
    few = led("small", float(margin))
    sums = subjects()["sums"]
    pairs = sums.claim(EVERY, hidden(range(sums.config.d_mlp)), pairs_step(EVERY))
    uniform = subjects()["uniform-plain"]
    of_uniform = uniform.claim(9, hidden(range(uniform.config.d_mlp)), pairs_step(EVERY))
    for name, proof, model in (
        ("", claim("small", few, TABLES, everything(4, 3)), "small"),
        ("pairs-", pairs, "pairs-sums"),
        ("pairs-uniform-", of_uniform, "pairs-uniform-plain"),
    ):
        sure = replace(with_statement(proof, margin=margin, deployed="float32"), steps=(*proof.steps, execution(0)))
        add(f"{name}execution", sure, 0, "right in float32, too", model)
        tight = with_statement(sure, margin=Fraction(1, 10**8))
        add(f"{name}execution-margin", tight, 1, "the margin is too small", model)
    sure = with_statement(claim("small", few, TABLES, everything(4, 3), execution(0)), margin=margin, deployed="float32")
    double = replace(with_statement(sure, deployed="float64"), steps=(*sure.steps[:2], execution(1)))
    add("execution-float64", double, 0, "right in float64, too")
    in_tf32 = with_statement(sure, deployed="tf32")
    for name, why, code, other in (
        ("unsaid", "the statement does not name the format", 1, with_statement(sure, deployed=None)),
        ("unproved", "no step is about executions", 1, replace(sure, steps=sure.steps[:2])),
        ("other", "proved of another format", 1, with_statement(sure, deployed="float64")),
        ("unknown", "no such format", 1, replace(sure, steps=(*sure.steps[:2], execution(4)))),
        ("negative", "no such format", 1, replace(sure, steps=(*sure.steps[:2], execution(-1)))),
        ("tf32", "far from enough for TF32", 1, replace(in_tf32, steps=(*sure.steps[:2], execution(2)))),
        ("tables", "tables are no inputs", 1, replace(sure, steps=(TABLES, execution(0, 0)))),
        ("dropped", "lost in a sum", 1, replace(sure, steps=(*sure.steps, Step("disjoint-sum", (2,))))),
        ("name", "not the name of a format", 2, rewritten(sure, "statement", '"float32"', '"Float 32"')),
        ("null", "left out where nothing is said", 2, rewritten(sure, "statement", '"float32"', "null")),
        ("empty", "left out where nothing is said", 2, rewritten(sure, "statement", '"float32"', '""')),
    ):  # fmt: skip
        add(f"execution-{name}", other, code, why)
