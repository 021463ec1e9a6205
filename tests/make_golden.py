"""Writes certificates/golden: tiny models, and certificates with the verdict each must get. Rerunning changes nothing.

    python tests/make_golden.py [FOLDER]

The weights are sixteenths given by formulas and the hints are written out below, so that the corpus depends on neither
the prover nor on any random generator. What each certificate is expected to get is stated here, by hand; the checker only
supplies the operation counts, and the script fails if its verdict is another one.
"""

import itertools
import json
import math
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from certificates import Certificate, Model, ModelConfig, RawTensor, Statement, Step
from certificates.canonical_json import dumps
from certificates.certificate import FORMAT_NAME, serialize_certificate
from certificates.input_order import rank_of
from certificates.tensor_file import parse_tensor_file, serialize_tensor_file
from checker import verify

FOLDER = Path(__file__).resolve().parent.parent / "certificates" / "golden"
TASK = {"name": "max-of-k"}
TABLES = Step("additive-tables")
ATTENTION = "blocks.0.attn."
_CODES = {"F16": "<f2", "F32": "<f4", "F64": "<f8"}

# --- models ----------------------------------------------------------------------------------------------------------


def noise(rows: int, columns: int, salt: int) -> np.ndarray:
    """Sixteenths between -1/2 and 1/2 that look irregular."""
    i, j = np.ogrid[:rows, :columns]
    return (((i + 1) * 37 + (j + 1) * 101 + (i + 2) * (j + 3) * 29 + salt * 53) % 17 - 8) / 16


def constructed_weights(vocab: int, n_ctx: int, outputs: int, steep: float, salt: int = 0) -> dict[str, np.ndarray]:
    """A model that mostly finds the maximum: one-hot tokens, attention to large ones, value 3, direct path 1, and noise."""
    eye = np.eye(vocab)
    query, key = np.zeros((vocab, vocab)), np.zeros((vocab, vocab))
    query[:, 0], key[:, 0] = 1, steep * np.arange(vocab)
    return {
        "embed.W_E": eye,
        "pos_embed.W_pos": noise(n_ctx, vocab, salt + 1) / 4,
        ATTENTION + "W_Q": (query + noise(vocab, vocab, salt + 2) / 4)[None],
        ATTENTION + "W_K": (key + noise(vocab, vocab, salt + 3) / 2)[None],
        ATTENTION + "W_V": eye[None],
        ATTENTION + "W_O": (3 * eye)[None],
        "unembed.W_U": np.eye(vocab, outputs) + noise(vocab, outputs, salt + 4) / 4,
    }


def stored(weights: Mapping[str, np.ndarray], dtype: str = "F16") -> dict[str, RawTensor]:
    """Weights as tensors of one dtype."""
    return {name: RawTensor(dtype, w.shape, w.astype(_CODES[dtype]).tobytes()) for name, w in weights.items()}


def constructed_model(vocab: int, n_ctx: int, outputs: int | None = None, steep: float = 2.0, salt: int = 0) -> Model:
    """The model with `constructed_weights`."""
    outputs = outputs or vocab
    config = ModelConfig(vocab, vocab, vocab, outputs, n_ctx)
    return Model(config, stored(constructed_weights(vocab, n_ctx, outputs, steep, salt)), TASK)


def forward(weights: Mapping[str, np.ndarray], tokens: np.ndarray) -> np.ndarray:
    """Logits "n o" of inputs "n k" as a textbook computes them, in float64; absent biases are zero."""
    w = {name.removeprefix(ATTENTION): np.asarray(value, np.float64) for name, value in weights.items()}
    residual = w["embed.W_E"][tokens] + w["pos_embed.W_pos"]
    last = residual[:, -1]
    query = last @ w["W_Q"][0] + w.get("b_Q", 0.0)
    keys, values = residual @ w["W_K"][0] + w.get("b_K", 0.0), residual @ w["W_V"][0] + w.get("b_V", 0.0)
    scores = np.einsum("nh,njh->nj", query, keys) / np.sqrt(query.shape[1])
    pattern = np.exp(scores - scores.max(1, keepdims=True))
    mixed = np.einsum("nj,njh->nh", pattern / pattern.sum(1, keepdims=True), values)
    logits: np.ndarray = (last + mixed @ w["W_O"][0] + w.get("b_O", 0.0)) @ w["unembed.W_U"] + w.get("unembed.b_U", 0.0)
    return logits


def all_inputs(vocab: int, n_ctx: int) -> np.ndarray:
    """Every input, "n k", in lexicographic order."""
    return np.array(list(itertools.product(range(vocab), repeat=n_ctx)), np.int64)


def leads(weights: Mapping[str, np.ndarray], tokens: np.ndarray) -> np.ndarray:
    """By how much the maximum of every input leads the best other output."""
    logits = forward(weights, tokens)
    rows, label = np.arange(len(tokens)), tokens.max(1)
    own = logits[rows, label]
    logits[rows, label] = -np.inf
    return own - logits.max(1)


# Four tokens, three positions: the model of most certificates.
SMALL = constructed_weights(4, 3, 4, steep=2.0)
SMALL_CONFIG = {"d_head": 4, "d_model": 4, "d_vocab": 4, "d_vocab_out": 4, "n_ctx": 3}
# Three tokens, three positions, five outputs, every bias, mixed dtypes, buffers and a chatty configuration.
FULL = {
    **constructed_weights(3, 3, 5, steep=2.0, salt=7),
    ATTENTION + "b_Q": noise(1, 3, 11),
    ATTENTION + "b_K": noise(1, 3, 12),
    ATTENTION + "b_V": noise(1, 3, 13) / 2,
    ATTENTION + "b_O": noise(1, 3, 14)[0] / 4,
    "unembed.b_U": noise(1, 5, 15)[0] / 4,
}
FULL_CONFIG = {"d_head": 3, "d_model": 3, "d_vocab": 3, "d_vocab_out": 5, "n_ctx": 3}
# Two tokens, two positions; outputs 1 and 2 are the same column, so whenever the maximum is 1 there is a tie.
TIED = constructed_weights(2, 2, 3, steep=4.0)
TIED["unembed.W_U"] = np.array([[1, 0, 0], [0, 1, 1]], np.float64)
TIED_CONFIG = {"d_head": 2, "d_model": 2, "d_vocab": 2, "d_vocab_out": 3, "n_ctx": 2}

REQUIRED = {"attn_only": True, "n_heads": 1, "n_layers": 1, "normalization_type": None}


def model_file(config: Mapping[str, Any], tensors: Mapping[str, RawTensor], task: Any = None) -> bytes:
    """A model file with this configuration; decimals must be given as JSON text by the caller."""
    metadata = {"config": json.dumps(dict(config), sort_keys=True)}
    if task is not None:
        metadata["task"] = dumps(task)
    return serialize_tensor_file(metadata, tensors)


def _full_tensors() -> dict[str, RawTensor]:
    tensors = stored(FULL, "F32") | stored({"unembed.W_U": FULL["unembed.W_U"]}, "F64")
    tensors |= stored({"embed.W_E": FULL["embed.W_E"]}, "F16")
    tensors[ATTENTION + "mask"] = RawTensor("BOOL", (3, 3), bytes([1, 0, 0, 1, 1, 0, 1, 1, 1]))
    tensors[ATTENTION + "IGNORE"] = RawTensor("F32", (), b"\x00\x00\x80\xff")
    return tensors


def model_files() -> dict[str, bytes]:
    """Every model of the corpus, by file name."""
    small, config = stored(SMALL), {**SMALL_CONFIG, **REQUIRED}
    chatty = {**FULL_CONFIG, **REQUIRED, "attn_scale": 1.7320508, "act_fn": "relu", "attention_dir": "causal", "eps": 1e-05}
    not_a_number = RawTensor("F16", (4, 4), b"\x00\x7e" + small["embed.W_E"].data[2:])
    two_heads = {name: RawTensor(t.dtype, (2, *t.shape[1:]), t.data * 2) for name, t in small.items() if t.shape[0] == 1}
    open_mask = RawTensor("BOOL", (3, 3), bytes([1, 1, 1] * 3))
    return {
        "small.safetensors": model_file(config, small, TASK),
        "full.safetensors": model_file(chatty, _full_tensors()),
        "tied.safetensors": model_file({**TIED_CONFIG, **REQUIRED}, stored(TIED, "F32"), TASK),
        "nan-weight.safetensors": model_file(config, small | {"embed.W_E": not_a_number}, TASK),
        "two-heads.safetensors": model_file({**config, "n_heads": 2}, small | two_heads, TASK),
        "open-mask.safetensors": model_file(config, small | {ATTENTION + "mask": open_mask}, TASK),
        "rotary.safetensors": model_file({**config, "positional_embedding_type": "rotary"}, small, TASK),
    }


# --- hints -----------------------------------------------------------------------------------------------------------

# size[q][m] lists the prefix sizes for c = 0, 1, 2 copies of the maximum.
NONE = (-1, -1, -1)
SIZE = (
    ((-1, -1, 0), (-1, -1, 0), (-1, 1, 0), (-1, 2, 0)),
    (NONE, (1, 1, 0), (-1, 1, 0), (-1, 2, 0)),
    (NONE, NONE, (2, 2, 0), (-1, -1, 0)),
    (NONE, NONE, NONE, (3, 3, 0)),
)
PESSIMIZED_SIZE = (
    ((-1, -1, 0), (-1, -1, 0), (-1, 1, 0), (-1, 2, 0)),
    (NONE, (1, 1, 0), NONE, (-1, 2, 0)),
    (NONE, NONE, (2, 2, 0), (-1, -1, 0)),
    (NONE, NONE, NONE, (2, 3, 0)),
)
# A grouping assigns tokens to group 1, group 2 or none (0); entries for tokens from the maximum on are not used.
GROUPINGS = ((0, 0, 0, 0), (1, 2, 2, 0), (1, 2, 0, 2))
# Rows (m, q, c, grouping).
CELLS = (
    (0, 0, 2, 0),
    (1, 0, 2, 0),
    (1, 1, 0, 1),
    (2, 0, 1, 1),
    (2, 1, 1, 1),
    (2, 2, 0, 1),
    (3, 0, 1, 1),
    (3, 1, 1, 2),
    (3, 2, 2, 0),
    (3, 3, 0, 1),
)
# Rows (cell, tokens of group 1, tokens of group 2).
CLASSES = (
    (0, 0, 0),
    (1, 0, 0),
    (2, 2, 0),
    (3, 0, 1),
    (3, 1, 0),
    (4, 1, 0),
    (5, 0, 2),
    (5, 1, 1),
    (5, 2, 0),
    (6, 0, 1),
    (6, 1, 0),
    (7, 0, 1),
    (7, 1, 0),
    (8, 0, 0),
    (9, 0, 2),
    (9, 1, 1),
    (9, 2, 0),
)


def tensor(values: Any, shape: tuple[int, ...] | None = None) -> RawTensor:
    """An integer hint."""
    array = np.array(values, np.int64)
    return RawTensor.of_integers(array if shape is None else array.reshape(shape))


def thresholds(size: Any, rule: str = "thresholds") -> Step:
    """A step of rule thresholds or pessimized."""
    return Step(rule, (0,), {}, {"size": tensor(size)})


def classes(groupings: Any = GROUPINGS, cells: Any = CELLS, rows: Any = CLASSES) -> Step:
    """A step of rule composition-classes."""
    hints = {"groupings": tensor(groupings), "cells": tensor(cells), "classes": tensor(rows)}
    return Step("composition-classes", (0,), {}, hints)


def enumeration(start: int, stop: int, skip: Iterable[tuple[int, int]] = ()) -> Step:
    """A step of rule enumeration."""
    rows = list(skip)
    return Step("enumeration", (0,), {"start": start, "stop": stop}, {"skip": tensor(rows, (len(rows), 2))})


def members_of_prefixes(size: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """Which inputs the prefix classes claim, straight from their definition."""
    maximum, query = tokens.max(1), tokens[:, -1]
    is_maximum = tokens[:, :-1] == maximum[:, None]
    chosen = size[query, maximum, is_maximum.sum(1)]
    others = np.where(is_maximum, -1, tokens[:, :-1])
    return (chosen != -1) & (others.max(1) < chosen)


def count_by_formula(size: np.ndarray) -> int:
    """What the formula of rule thresholds gives for a hint, were it not checked for sense."""
    free = size.shape[2] - 1
    return sum(math.comb(free, c) * s ** (free - c) for (_, _, c), s in np.ndenumerate(size.astype(object)) if s != -1)


def members_of_classes(step: Step, tokens: np.ndarray) -> np.ndarray:
    """Which inputs the composition classes claim, straight from their definition."""
    groupings, cells, rows = (step.hints[name].integers().tolist() for name in ("groupings", "cells", "classes"))
    chosen = {(tuple(cells[cell][:3]), tuple(counts)): cells[cell][3] for cell, *counts in rows}
    by_cell = {cell: row for (cell, _), row in chosen.items()}
    claimed = []
    for *free, query in tokens.tolist():
        maximum = max(*free, query)
        cell = (maximum, query, free.count(maximum))
        groups = [groupings[by_cell.get(cell, 0)][t] for t in free if t != maximum]
        counts = tuple(groups.count(g + 1) for g in range(len(rows[0]) - 1))
        claimed.append(0 not in groups and (cell, counts) in chosen)
    return np.array(claimed)


def correct_in_range(weights: Mapping[str, np.ndarray], config: Mapping[str, int], step: Step) -> int:
    """How many inputs an enumeration counts; fails where float64 could be wrong about one."""
    tokens = all_inputs(config["d_vocab"], config["n_ctx"])
    lead = leads(weights, tokens)
    start, stop = step.parameters["start"], step.parameters["stop"]
    skipped = {rank for a, b in step.hints["skip"].integers().tolist() for rank in range(start + a, start + b)}
    counted = 0
    for row, ahead in zip(tokens.tolist(), lead, strict=True):
        rank = rank_of(tuple(row), config["d_vocab"])
        if start <= rank < stop and rank not in skipped:
            if not (abs(ahead) > 1e-6 or ahead == 0):
                raise ValueError(f"input {row} is too close to a tie for this corpus: {ahead}")
            counted += ahead > 0
    return counted


# --- certificates ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A certificate, the model it is checked with, and the verdict it must get (`correct` of the accepted ones)."""

    certificate: str
    content: bytes
    model: str
    exit_code: int
    correct: int | None
    why: str


def claim(model: str, correct: int, *steps: Step, precision: int = 30) -> Certificate:
    """A certificate about a model of the corpus."""
    sizes, tensors = {
        "small": (SMALL_CONFIG, stored(SMALL)),
        "full": (FULL_CONFIG, {name: t for name, t in _full_tensors().items() if not name.endswith(("mask", "IGNORE"))}),
        "tied": (TIED_CONFIG, stored(TIED, "F32")),
    }[model]
    config = ModelConfig(**sizes)
    digest = Model(config, tensors, TASK).digest()
    return Certificate(Statement(digest, TASK, correct, config.d_vocab**config.n_ctx), precision, steps)


def with_statement(certificate: Certificate, **changes: Any) -> Certificate:
    """The same proof under another statement."""
    return replace(certificate, statement=replace(certificate.statement, **changes))


def rewritten(certificate: Certificate, key: str, old: str, new: str) -> bytes:
    """The certificate with one piece of its metadata's text replaced."""
    file = parse_tensor_file(serialize_certificate(certificate))
    if file.metadata[key].count(old) != 1:
        raise ValueError(f"{old!r} does not occur exactly once in {key}")
    return serialize_tensor_file({**file.metadata, key: file.metadata[key].replace(old, new)}, file.tensors)


def with_tensor(certificate: Certificate, name: str, hint: RawTensor) -> bytes:
    """The certificate with one more tensor."""
    file = parse_tensor_file(serialize_certificate(certificate))
    return serialize_tensor_file(file.metadata, {**file.tensors, name: hint})


def changed(rows: Any, index: Any, value: Any) -> np.ndarray:
    """A copy of a hint with one entry replaced."""
    array = np.array(rows, np.int64)
    array[index] = value
    return array


def cases() -> list[Case]:
    """The corpus. Hints and counts of the accepted ones are checked against exhaustive enumeration by the tests."""
    result: list[Case] = []

    def add(name: str, content: Certificate | bytes, exit_code: int, why: str, model: str = "small") -> None:
        correct = content.statement.correct if isinstance(content, Certificate) and exit_code == 0 else None
        data = content if isinstance(content, bytes) else serialize_certificate(content)
        result.append(Case(f"{name}.cert", data, f"{model}.safetensors", exit_code, correct, why))

    tokens = all_inputs(4, 3)
    size = np.array(SIZE)
    in_prefixes = int(members_of_prefixes(size, tokens).sum())
    in_classes = int(members_of_classes(classes(), tokens).sum())
    good = claim("small", in_prefixes, TABLES, thresholds(size))
    good_classes = claim("small", in_classes, TABLES, classes())

    # Accepted: every rule.
    add("thresholds", good, 0, "rules additive-tables and thresholds")
    add("thresholds-precise", replace(good, precision=60), 0, "the same, rounded to 60 bits")
    add("composition-classes", good_classes, 0, "rules additive-tables and composition-classes, two groups")
    pessimized = np.array(PESSIMIZED_SIZE)
    add(
        "pessimized",
        claim("small", int(members_of_prefixes(pessimized, tokens).sum()), TABLES, thresholds(pessimized, "pessimized")),
        0,
        "rules additive-tables and pessimized",
    )
    everything = enumeration(0, 64)
    count = correct_in_range(SMALL, SMALL_CONFIG, everything)
    add("enumeration", claim("small", count, TABLES, everything), 0, "rule enumeration, all 64 inputs")
    part = enumeration(9, 50, [(0, 2), (7, 8), (8, 9), (38, 41)])
    in_part = correct_in_range(SMALL, SMALL_CONFIG, part)
    add("enumeration-part", claim("small", in_part, TABLES, part), 0, "rule enumeration, inputs 9 to 49, some skipped")
    low, high = np.where(np.arange(4)[:, None, None] < 2, size, -1), np.where(np.arange(4)[:, None, None] < 2, -1, size)
    top = enumeration(48, 64)
    with_query_2 = np.where(np.arange(4)[:, None, None] == 2, size, -1)
    parts = (thresholds(low), thresholds(with_query_2), top)
    total = sum(int(members_of_prefixes(s, tokens).sum()) for s in (low, with_query_2))
    total += correct_in_range(SMALL, SMALL_CONFIG, top)
    summed = claim("small", total, TABLES, *parts, Step("disjoint-sum", (1, 2, 3)))
    add("disjoint-sum", summed, 0, "rule disjoint-sum: queries 0 and 1, query 2, and all inputs with query 3")
    nested = claim(
        "small",
        total,
        TABLES,
        *parts,
        Step("disjoint-sum", (3, 1)),
        TABLES,
        Step("disjoint-sum"),
        Step("disjoint-sum", (2, 6, 4)),
    )
    unused = nested  # step 5, a second set of tables, is never used
    used = replace(nested, steps=(*nested.steps[:5], *nested.steps[6:7], Step("disjoint-sum", (2, 5, 4))))
    add("disjoint-sum-nested", used, 0, "sums of sums, one of them empty")
    add("nothing", claim("small", 0, Step("disjoint-sum")), 0, "the empty sum: no input is claimed")
    full = enumeration(0, 27)
    full_count = correct_in_range(FULL, FULL_CONFIG, full)
    add(
        "all-biases",
        claim("full", full_count, TABLES, full),
        0,
        "every bias, more outputs than tokens, F16 F32 and F64 weights, both buffers, ignored configuration keys",
        "full",
    )
    tied = enumeration(0, 4)
    tied_count = correct_in_range(TIED, TIED_CONFIG, tied)
    add("ties-not-counted", claim("tied", tied_count, TABLES, tied), 0, "ties are errors of the model", "tied")

    # Refused by the count or by a rule.
    add("count-too-high", with_statement(good, correct=in_prefixes + 1), 1, "one more than the proof establishes")
    add("count-too-low", with_statement(good, correct=in_prefixes - 1), 1, "one less than the proof establishes")
    add("ties-counted", claim("tied", tied_count + 1, TABLES, tied), 1, "counts an input on which the model ties", "tied")
    tie = np.full((2, 2, 2), -1)
    tie[1, 1, 1] = 0
    add("tie-in-class", claim("tied", 1, TABLES, thresholds(tie)), 1, "claims the class of input (1, 1), a tie", "tied")
    for name, why, index, value in (
        ("size-above-maximum", "a prefix reaches the maximum", (0, 0, 0), 1),
        ("size-in-empty-cell", "the query lies above the maximum", (3, 0, 2), 0),
        ("size-minus-two", "-2 is no prefix size", (0, 0, 0), -2),
        ("no-copy-of-maximum", "q < m and c = 0", (0, 1, 0), 1),
        ("empty-prefix", "free tokens from nothing", (1, 1, 1), 0),
    ):
        wrong = changed(size, index, value)
        add(name, claim("small", count_by_formula(wrong), TABLES, thresholds(wrong)), 1, why)
    lead = leads(SMALL, tokens)
    bad = tokens[np.argmin(lead)].tolist()
    maximum, copies = max(bad), bad[:-1].count(max(bad))
    for name, rule, base in (
        ("class-not-correct", "thresholds", size),
        ("class-not-correct-pessimized", "pessimized", pessimized),
    ):
        wrong = changed(base, (bad[-1], maximum, copies), maximum)
        members = int(members_of_prefixes(wrong, tokens).sum())
        add(name, claim("small", members, TABLES, thresholds(wrong, rule)), 1, f"claims a class with {bad}, which is wrong")
    cell_row = (maximum, bad[-1], copies, 0)
    others = 2 - copies
    whole = classes(((1,) * 4,), (cell_row,), ((0, others),))
    members = int(members_of_classes(whole, tokens).sum())
    add("composition-not-correct", claim("small", members, TABLES, whole), 1, f"claims a class with {bad}, which is wrong")

    def of_classes(name: str, why: str, more: int = 0, **hints: Any) -> None:
        add(name, claim("small", in_classes + more, TABLES, classes(**hints)), 1, why)

    of_classes("class-repeated", "a class is listed twice", 1, rows=(*CLASSES[:2], *CLASSES[1:]))
    of_classes("classes-unsorted", "two classes are out of order", rows=(CLASSES[1], CLASSES[0], *CLASSES[2:]))
    of_classes("cells-unsorted", "two cells are out of order", cells=(CELLS[1], CELLS[0], *CELLS[2:]))
    of_classes("cell-repeated", "a cell is listed twice, with two groupings", cells=(*CELLS[:9], (*CELLS[8][:3], 2), CELLS[9]))
    of_classes("group-empty", "chooses tokens from a group without tokens", -1, rows=changed(CLASSES, (2, slice(1, 3)), (0, 2)))
    of_classes("group-unknown", "a grouping names group 3 of 2", groupings=((3,) * 4, *GROUPINGS[1:]))
    of_classes("grouping-unknown", "a cell names grouping 3 of 0..2", cells=changed(CELLS, (0, 3), 3))
    of_classes("cell-unknown", "a class names cell 10 of 0..9", rows=changed(CLASSES, (16, 0), 10))
    of_classes("positions-left-over", "a class leaves free positions unfilled", rows=changed(CLASSES, (2, 1), 1))
    of_classes("class-negative", "a class chooses -1 tokens of a group", rows=changed(CLASSES, (6, slice(1, 3)), (-1, 3)))
    overlap = claim("small", 2 * in_prefixes, TABLES, thresholds(size), thresholds(size), Step("disjoint-sum", (1, 2)))
    add("sum-overlaps", overlap, 1, "both parts of a disjoint-sum count the same cells")
    repeated = claim("small", 2 * in_prefixes, TABLES, thresholds(size), Step("disjoint-sum", (1, 1)))
    add("sum-repeats-premise", repeated, 1, "the same step is added twice")
    split = claim("small", in_part, TABLES, enumeration(0, 10), enumeration(10, 64), Step("disjoint-sum", (1, 2)))
    add("sum-splits-cell", split, 1, "two ranges share the cells of one (query, maximum)")
    add("sum-of-tables", claim("small", 0, TABLES, Step("disjoint-sum", (0,))), 1, "disjoint-sum of tables")
    for name, why, step in (
        ("skip-out-of-range", "skips beyond the end of the range", enumeration(0, 64, [(63, 65)])),
        ("skip-overlaps", "skipped runs overlap", enumeration(0, 64, [(1, 4), (3, 5)])),
        ("skip-empty-run", "a skipped run is empty", enumeration(0, 64, [(4, 4)])),
        ("range-beyond-inputs", "stop is beyond the last input", enumeration(0, 65)),
        ("range-empty", "start equals stop", enumeration(5, 5)),
        ("range-negative", "start is negative", enumeration(-1, 64)),
    ):
        add(name, claim("small", count, TABLES, step), 1, why)
    no_stop = replace(everything, parameters={"start": 0})
    add("parameter-missing", claim("small", count, TABLES, no_stop), 1, "enumeration without stop")
    more = replace(thresholds(size), parameters={"start": 0})
    add("parameter-unknown", claim("small", in_prefixes, TABLES, more), 1, "thresholds takes no parameters")
    no_hint = Step("thresholds", (0,))
    add("hint-missing", claim("small", in_prefixes, TABLES, no_hint), 1, "thresholds without size")
    add("hint-unknown", with_tensor(good, "1.sizes", tensor([0])), 1, "a tensor that thresholds does not take")
    flat = Step("thresholds", (0,), {}, {"size": tensor(size.reshape(-1))})
    add("hint-reshaped", claim("small", in_prefixes, TABLES, flat), 1, "size has the wrong shape")
    add("premise-missing", claim("small", in_prefixes, replace(thresholds(size), premises=())), 1, "thresholds without tables")
    forward_premise = claim("small", in_prefixes, replace(thresholds(size), premises=(1,)), TABLES)
    add("premise-forward", forward_premise, 1, "a step builds on a later one")
    to_itself = claim("small", in_prefixes, TABLES, replace(thresholds(size), premises=(0, 1)))
    add("premise-itself", to_itself, 1, "a step builds on itself")
    negative = claim("small", in_prefixes, TABLES, replace(thresholds(size), premises=(-2, 0)))
    add("premise-negative", negative, 1, "premises count from 0")
    add("step-unused", unused, 1, "a step that no later one uses")
    add("only-tables", claim("small", 0, TABLES), 1, "the last step establishes no count")
    add("precision-too-small", replace(good, precision=11), 1, "precision is 12 to 256")

    # Not a certificate of this format, or not about this model.
    other = claim("small", in_prefixes, TABLES, thresholds(high))
    add("model-of-another", good, 2, "a certificate checked with another model", "full")
    add("digest-wrong", with_statement(other, model_digest="0" * 64), 2, "the digest of no model here")
    add("digest-upper-case", rewritten(good, "statement", good.statement.model_digest, "A" * 64), 2, "upper-case digest")
    add("rule-unknown", claim("small", 0, Step("induction")), 2, "a rule that does not exist")
    add("task-unknown", with_statement(good, task={"name": "min-of-k"}), 2, "a task that does not exist")
    add("task-with-extras", with_statement(good, task={"length": 3, "name": "max-of-k"}), 2, "a task with an unknown field")
    add("total-wrong", with_statement(good, total=63), 2, "the task has 64 inputs")
    add("float-in-json", rewritten(good, "proof", '"precision":30', '"precision":30.0'), 2, "numbers are integers")
    add("not-canonical-json", rewritten(good, "proof", '"precision":30', '"precision": 30'), 2, "a space in canonical JSON")
    twice = rewritten(good, "proof", '"precision":30', '"precision":12,"precision":30')
    add("repeated-json-key", twice, 2, "a JSON key is repeated")
    padded = rewritten(good, "statement", '"correct":"', '"correct":"0')
    add("leading-zero", padded, 2, "a count with a leading zero")
    as_number = rewritten(good, "statement", f'"correct":"{in_prefixes}"', f'"correct":{in_prefixes}')
    add("count-as-number", as_number, 2, "counts are decimal strings")
    add("statement-extra-field", rewritten(good, "statement", '"task"', '"note":"","task"'), 2, "an unknown field")
    add("version-unknown", rewritten(good, "version", "1", "2"), 2, "version 2 is unknown")
    add("format-unknown", rewritten(good, "format", FORMAT_NAME, "proof"), 2, "not a certificate")
    file = parse_tensor_file(serialize_certificate(good))
    add("metadata-extra", serialize_tensor_file({**file.metadata, "note": ""}, file.tensors), 2, "unknown metadata")
    add("tensor-of-no-step", with_tensor(good, "2.size", tensor(size)), 2, "a tensor that belongs to no step")
    float_hint = Step("thresholds", (0,), {}, stored({"size": size.astype(np.float64)}, "F32"))
    add("hint-of-floats", claim("small", in_prefixes, TABLES, float_hint), 2, "hints are integers")
    content = serialize_certificate(good)
    add("truncated", content[:-1], 2, "the last byte is missing")
    add("trailing-byte", content + b"\x00", 2, "a byte too many")
    add("header-truncated", content[:100], 2, "the file ends within the header")
    add("empty-file", b"", 2, "nothing at all")
    for name, why in (
        ("nan-weight", "a weight is not a number"),
        ("two-heads", "two heads are not supported"),
        ("open-mask", "the mask buffer is not causal"),
        ("rotary", "rotary positions are not supported"),
    ):
        certificate = good
        if name == "nan-weight":  # about this very model, so that the weight is what is wrong
            tensors = parse_tensor_file(model_files()["nan-weight.safetensors"]).tensors
            certificate = with_statement(good, model_digest=Model(ModelConfig(**SMALL_CONFIG), tensors, TASK).digest())
        add(f"model-{name}", certificate, 2, why, name)
    return sorted(result, key=lambda case: case.certificate)


def main(folder: Path) -> None:
    """Write the corpus. Raises ValueError if the checker's verdict is not the one stated here."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in model_files().items():
        (folder / name).write_bytes(content)
    verdicts = []
    for case in cases():
        (folder / case.certificate).write_bytes(case.content)
        verdict = verify(folder / case.certificate, folder / case.model)
        if (verdict.exit_code, verdict.correct) != (case.exit_code, case.correct):
            raise ValueError(f"{case.certificate}: expected {case.exit_code}, {case.correct}; found {verdict}")
        verdicts.append(
            {
                "certificate": case.certificate,
                "model": case.model,
                "accepted": case.exit_code == 0,
                "exit_code": case.exit_code,
                "correct": None if case.correct is None else str(case.correct),
                "operations": verdict.operations,
                "why": case.why,
            }
        )
    (folder / "verdicts.json").write_text(json.dumps(verdicts, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
