"""Writes certificates/golden: tiny models, and certificates with the verdict each must get. Rerunning changes nothing.

    python tests/golden/make_golden.py [FOLDER]

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

from certificates import AttentionOnly, Certificate, Model, RawTensor, Statement, Step, integer_tensor
from certificates.canonical_json import dumps
from certificates.certificate import FORMAT_NAME
from certificates.tensor_file import parse_tensor_file
from certificates.writing import serialize_certificate, serialize_tensor_file
from checker import verify

FOLDER = Path(__file__).resolve().parents[2] / "certificates" / "golden"
TASK = {"name": "max-of-k"}
MIN_TASK = {"name": "min-of-k"}
SECOND_TASK = {"n": 2, "name": "nth-max-of-k"}
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
    config = AttentionOnly(vocab, vocab, vocab, outputs, n_ctx)
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


def leads(weights: Mapping[str, np.ndarray], tokens: np.ndarray, rank: int = 1) -> np.ndarray:
    """By how much the rank-th largest token of every input leads the best other output."""
    logits = forward(weights, tokens)
    rows, label = np.arange(len(tokens)), np.sort(tokens, axis=1)[:, -rank]
    own = logits[rows, label]
    logits[rows, label] = -np.inf
    return own - logits.max(1)


@dataclass(frozen=True)
class Subject:
    """A model of the corpus and its task: the rank-th largest token (rank K: the smallest), in numbers V-1-t if `reverse`."""

    weights: Mapping[str, np.ndarray]
    tensors: Mapping[str, RawTensor]
    task: Any = None
    rank: int = 1
    reverse: bool = False

    @property
    def config(self) -> AttentionOnly:
        """The sizes."""
        (vocab, d_model), n_ctx = self.tensors["embed.W_E"].shape, self.tensors["pos_embed.W_pos"].shape[0]
        d_head, outputs = self.tensors[ATTENTION + "W_Q"].shape[2], self.tensors["unembed.W_U"].shape[1]
        return AttentionOnly(d_head, d_model, vocab, outputs, n_ctx)

    @property
    def model(self) -> Model:
        """The project's view of it."""
        buffers = ("mask", "IGNORE")
        return Model(self.config, {k: t for k, t in self.tensors.items() if not k.endswith(buffers)}, self.task)

    @property
    def inputs(self) -> np.ndarray:
        """All inputs in numbers, "n k"."""
        return all_inputs(self.config.d_vocab, self.config.n_ctx)

    @property
    def leads(self) -> np.ndarray:
        """By how much the true output of every input leads the others."""
        tokens = self.config.d_vocab - 1 - self.inputs if self.reverse else self.inputs
        return leads(self.weights, tokens, self.config.n_ctx if self.reverse else self.rank)

    def file(self) -> bytes:
        """The model file."""
        return model_file({**vars(self.config), **REQUIRED}, self.tensors, self.task)


def smallest_weights() -> dict[str, np.ndarray]:
    """The constructed model for tokens named the other way around: it mostly finds the minimum."""
    weights = constructed_weights(4, 3, 5, steep=2.0, salt=9)
    weights["embed.W_E"] = weights["embed.W_E"][::-1]
    weights["unembed.W_U"] = np.concatenate([weights["unembed.W_U"][:, 3::-1], weights["unembed.W_U"][:, 4:]], axis=1)
    return weights


def mean_weights(vocab: int, n_ctx: int) -> dict[str, np.ndarray]:
    """A model that attends almost evenly, and for a mean y of the tokens gives output o the logit 2 y o - o**2: often enough
    the mean is nearest to the second largest token.
    """
    size, output = np.arange(vocab), np.arange(vocab)
    return {
        "embed.W_E": np.stack([size, np.ones(vocab), np.zeros(vocab)], axis=1) + noise(vocab, 3, 21) / 8,
        "pos_embed.W_pos": noise(n_ctx, 3, 22) / 8,
        ATTENTION + "W_Q": noise(3, 1, 23)[None] / 4,
        ATTENTION + "W_K": noise(3, 1, 24)[None] / 4,
        ATTENTION + "W_V": np.array([[[1.0], [0.0], [0.0]]]),
        ATTENTION + "W_O": np.array([[[0.0, 0.0, 1.0]]]),
        "unembed.W_U": np.stack([0.0 * output, -(output**2), 2.0 * output]),
    }


def _full_tensors() -> dict[str, RawTensor]:
    tensors = stored(FULL, "F32") | stored({"unembed.W_U": FULL["unembed.W_U"]}, "F64")
    tensors |= stored({"embed.W_E": FULL["embed.W_E"]}, "F16")
    tensors[ATTENTION + "mask"] = RawTensor("BOOL", (3, 3), bytes([1, 0, 0, 1, 1, 0, 1, 1, 1]))
    tensors[ATTENTION + "IGNORE"] = RawTensor("F32", (), b"\x00\x00\x80\xff")
    return tensors


# Four tokens, three positions: the model of most certificates.
SMALL = constructed_weights(4, 3, 4, steep=2.0)
# Four tokens, four positions, five outputs: room for chains of two levels.
LONGER = constructed_weights(4, 4, 5, steep=1.75, salt=5)
# The smallest of three out of four tokens, with an output that is no token.
SMALLEST = smallest_weights()
# The second largest of four out of four tokens.
SECOND = mean_weights(4, 4)
# Three tokens, three positions, five outputs, every bias, mixed dtypes, buffers and a chatty configuration.
FULL = {
    **constructed_weights(3, 3, 5, steep=2.0, salt=7),
    ATTENTION + "b_Q": noise(1, 3, 11),
    ATTENTION + "b_K": noise(1, 3, 12),
    ATTENTION + "b_V": noise(1, 3, 13) / 2,
    ATTENTION + "b_O": noise(1, 3, 14)[0] / 4,
    "unembed.b_U": noise(1, 5, 15)[0] / 4,
}
# Two tokens, two positions; outputs 1 and 2 are the same column, so whenever the maximum is 1 there is a tie.
TIED = constructed_weights(2, 2, 3, steep=4.0)
TIED["unembed.W_U"] = np.array([[1, 0, 0], [0, 1, 1]], np.float64)

SUBJECTS = {
    "small": Subject(SMALL, stored(SMALL), TASK),
    "longer": Subject(LONGER, stored(LONGER), TASK),
    "smallest": Subject(SMALLEST, stored(SMALLEST), MIN_TASK, reverse=True),
    "second": Subject(SECOND, stored(SECOND), SECOND_TASK, rank=2),
    "full": Subject(FULL, _full_tensors()),
    "tied": Subject(TIED, stored(TIED, "F32"), TASK),
}

REQUIRED = {"attn_only": True, "n_heads": 1, "n_layers": 1, "normalization_type": None}


def model_file(config: Mapping[str, Any], tensors: Mapping[str, RawTensor], task: Any = None) -> bytes:
    """A model file with this configuration; decimals must be given as JSON text by the caller."""
    metadata = {"config": json.dumps(dict(config), sort_keys=True)}
    if task is not None:
        metadata["task"] = dumps(task)
    return serialize_tensor_file(metadata, tensors)


def model_files() -> dict[str, bytes]:
    """Every model of the corpus, by file name."""
    small, config = stored(SMALL), {**vars(SUBJECTS["small"].config), **REQUIRED}
    chatty = {**vars(SUBJECTS["full"].config), **REQUIRED, "attn_scale": 1.7320508, "act_fn": "relu"}
    chatty |= {"attention_dir": "causal", "eps": 1e-05}
    not_a_number = RawTensor("F16", (4, 4), b"\x00\x7e" + small["embed.W_E"].data[2:])
    two_heads = {name: RawTensor(t.dtype, (2, *t.shape[1:]), t.data * 2) for name, t in small.items() if t.shape[0] == 1}
    open_mask = RawTensor("BOOL", (3, 3), bytes([1, 1, 1] * 3))
    files = {f"{name}.safetensors": subject.file() for name, subject in SUBJECTS.items()}
    return files | {
        "full.safetensors": model_file(chatty, _full_tensors()),
        "few-outputs.safetensors": few_outputs().file(),
        "nan-weight.safetensors": model_file(config, small | {"embed.W_E": not_a_number}, TASK),
        "two-heads.safetensors": model_file({**config, "n_heads": 2}, small | two_heads, TASK),
        "open-mask.safetensors": model_file(config, small | {ATTENTION + "mask": open_mask}, TASK),
        "rotary.safetensors": model_file({**config, "positional_embedding_type": "rotary"}, small, TASK),
    }


def few_outputs() -> Subject:
    """A model that has no output for its last token."""
    weights = {**SMALL, "unembed.W_U": SMALL["unembed.W_U"][:, :3]}
    return Subject(weights, stored(weights), TASK)


# --- hints -----------------------------------------------------------------------------------------------------------

Cell = tuple[int, int, int]
Sizes = Mapping[Cell, tuple[int, ...]]

# Numbers of tokens on each level, for c = 0, 1, .. copies of the true output; sizes by cell (q, m, c).
NUMBERS = ((2,), (1,), (0,))
SIZES: Sizes = {
    **{(0, 0, 2): (0,), (0, 1, 2): (0,), (0, 2, 1): (1,), (0, 2, 2): (0,), (0, 3, 1): (2,), (0, 3, 2): (0,)},
    **{(1, 1, 0): (1,), (1, 1, 1): (1,), (1, 1, 2): (0,), (1, 2, 1): (1,), (1, 2, 2): (0,), (1, 3, 1): (2,), (1, 3, 2): (0,)},
    **{(2, 2, 0): (2,), (2, 2, 1): (2,), (2, 2, 2): (0,), (2, 3, 2): (0,)},
    **{(3, 3, 0): (3,), (3, 3, 1): (3,), (3, 3, 2): (0,)},
}
SINGLE_SIZES: Sizes = {  # all rivals in one block
    **{(0, 0, 2): (0,), (0, 1, 2): (0,), (0, 2, 1): (1,), (0, 2, 2): (0,), (0, 3, 1): (2,), (0, 3, 2): (0,)},
    **{(1, 1, 0): (1,), (1, 1, 1): (1,), (1, 1, 2): (0,), (1, 2, 2): (0,), (1, 3, 1): (2,), (1, 3, 2): (0,)},
    **{(2, 2, 0): (2,), (2, 2, 1): (2,), (2, 2, 2): (0,), (3, 3, 0): (2,), (3, 3, 1): (3,), (3, 3, 2): (0,)},
}
LONGER_NUMBERS = ((2, 1), (1, 1), (1, 0), (0, 0))
LONGER_SIZES: Sizes = {
    **{(0, 0, 3): (0, 0), (0, 1, 2): (1, 1), (0, 1, 3): (0, 0), (0, 2, 2): (2, 2), (0, 3, 1): (2, 2), (0, 3, 2): (3, 3)},
    **{(1, 1, 0): (1, 1), (1, 1, 1): (1, 1), (1, 2, 2): (2, 2), (1, 3, 1): (1, 2), (1, 3, 2): (3, 3), (1, 3, 3): (0, 0)},
    **{(2, 2, 0): (2, 2), (2, 2, 1): (2, 2), (2, 2, 2): (2, 2), (2, 2, 3): (0, 0), (2, 3, 2): (2, 2), (2, 3, 3): (0, 0)},
    **{(3, 3, 0): (2, 3), (3, 3, 1): (3, 3), (3, 3, 2): (3, 3), (3, 3, 3): (0, 0)},
}
LONGER_BLOCK_SIZES: Sizes = {  # the rivals in the blocks BLOCKS, the values of token and position together
    **{(0, 2, 2): (2, 2), (0, 3, 1): (1, 1), (0, 3, 2): (2, 2), (1, 2, 2): (1, 1), (1, 3, 1): (1, 1), (1, 3, 2): (2, 2)},
    **{(1, 1, 0): (1, 1), (2, 2, 0): (2, 2), (2, 3, 2): (1, 1), (3, 3, 0): (2, 3), (3, 3, 1): (3, 3), (3, 3, 3): (0, 0)},
}
BLOCKS = (0, 0, 0, 1, 1)
BLOCKS_OF_LABELS = (BLOCKS, (1, 0, 0, 2, 2), (0, 0, 0, 1, 1), (0, 1, 2, 3, 3))
LABEL_BLOCKS = ((0, 1, 2, 3, 3), (3, 2, 1, 0, 0), (0, 1, 2, 3, 4), (1, 2, 3, 0, 4))
SMALLEST_SIZES: Sizes = {
    **{(0, 0, 2): (0, 0), (0, 1, 2): (0, 0), (0, 2, 1): (1, 1), (0, 2, 2): (0, 0), (0, 3, 1): (2, 2), (0, 3, 2): (0, 0)},
    **{(1, 1, 0): (1, 1), (1, 1, 1): (1, 1), (1, 3, 1): (2, 2), (2, 2, 0): (2, 2), (2, 2, 1): (2, 2), (2, 3, 2): (0, 0)},
    **{(3, 3, 0): (3, 3), (3, 3, 1): (3, 3), (3, 3, 2): (0, 0)},
}
SMALLEST_NUMBERS = ((1, 1), (1, 0), (0, 0))

# A grouping assigns tokens to level 1, level 2, .. or none (0); its entry for the true output is not used.
GROUPINGS = ((1, 1, 1, 1), (1, 0, 2, 1))
# Rows (m, q, c, grouping), and numbers of tokens on each level.
CELLS = (
    *((0, 0, 2, 0), (1, 0, 2, 0), (1, 1, 0, 0), (2, 0, 1, 0), (2, 1, 1, 1)),
    *((2, 2, 0, 0), (3, 0, 1, 1), (3, 2, 2, 0), (3, 3, 0, 0)),
)
COUNTS = ((0, 0), (0, 0), (2, 0), (1, 0), (1, 0), (0, 2), (0, 1), (0, 0), (2, 0))
LONGER_GROUPINGS = ((1, 1, 1, 1), (1, 1, 2, 1), (1, 2, 0, 1), (1, 1, 0, 1))
LONGER_CELLS = (
    *((0, 0, 3, 0), (1, 0, 2, 0), (1, 1, 0, 0), (1, 1, 1, 0), (2, 0, 2, 0), (2, 1, 2, 0), (2, 2, 0, 0), (2, 2, 1, 0)),
    *((3, 0, 1, 1), (3, 0, 2, 0), (3, 1, 1, 2), (3, 2, 2, 3), (3, 3, 0, 1), (3, 3, 1, 0)),
)
LONGER_COUNTS = (
    *((0, 0), (1, 0), (3, 0), (2, 0), (1, 0), (1, 0), (3, 0), (2, 0)),
    *((1, 1), (1, 0), (1, 1), (1, 0), (1, 2), (2, 0)),
)
# With the second largest token as the true output there are two sides: tokens below and above it.
SECOND_GROUPINGS = ((1, 1, 1, 1), (0, 1, 1, 0), (1, 1, 1, 2), (0, 0, 1, 1))
SECOND_CELLS = (
    *((0, 0, 3, 0), (0, 1, 3, 0), (1, 0, 1, 0), (1, 0, 2, 0), (1, 0, 2, 0), (1, 1, 0, 2), (1, 1, 1, 0), (1, 1, 1, 2)),
    *((1, 1, 2, 0), (1, 1, 2, 2), (1, 2, 3, 0), (2, 1, 1, 0), (2, 1, 2, 1), (2, 2, 1, 1), (2, 2, 1, 0), (3, 2, 3, 0)),
    (3, 3, 1, 3),
)
SECOND_COUNTS = (
    *((0, 0, 0, 0), (0, 0, 0, 0), (1, 0, 1, 0), (1, 0, 0, 0), (0, 0, 1, 0), (2, 0, 0, 1), (2, 0, 0, 0), (0, 1, 1, 0)),
    *((1, 0, 0, 0), (0, 0, 1, 0), (0, 0, 0, 0), (1, 0, 1, 0), (1, 0, 0, 0), (2, 0, 0, 0), (1, 0, 1, 0), (0, 0, 0, 0)),
    (2, 0, 0, 0),
)
# Inputs outside of all those classes, one by one, in the order of their cells.
FURTHER = ((0, 1, 0), (1, 2, 1), (0, 3, 2), (1, 3, 2))
SMALLEST_FURTHER = ((0, 2, 1), (3, 0, 2), (3, 1, 2))
SECOND_FURTHER = ((1, 2, 3, 0), (3, 2, 2, 0), (0, 0, 1, 2), (0, 3, 1, 2), (2, 1, 3, 3))


def tensor(values: Any, shape: tuple[int, ...] | None = None) -> RawTensor:
    """An integer hint."""
    array = np.array(values, np.int64)
    return integer_tensor(array if shape is None else array.reshape(shape))


def sizes_of(sizes: Sizes, vocab: int, n_ctx: int, levels: int) -> np.ndarray:
    """The hint `size` "q m c r" that claims these cells."""
    hint = np.full((vocab, vocab, n_ctx, levels), -1, np.int64)
    for cell, of_levels in sizes.items():
        hint[cell] = of_levels
    return hint


def chains(size: Any, numbers: Any, rivals: Any, joint: int = 0) -> Step:
    """A step of rule prefix-chains. rivals: the blocks of the outputs, one row for all labels or one for each."""
    hints = {"rivals": tensor(np.atleast_2d(rivals)), "numbers": tensor(numbers), "size": tensor(size)}
    return Step("prefix-chains", (0,), {"joint": joint}, hints)


def groups(
    groupings: Any, cells: Any, numbers: Any, rivals: Any, joint: int = 0, n_ctx: int = 3, rank: int = 1, vocab: int = 4
) -> Step:
    """A step of rule group-chains, from rows (m, q, c, row of `groupings`) and as many rows of numbers, of tokens below m and
    then (unless `rank` is 1) above it. rivals: the blocks of the outputs, one row for all labels or one for each. Classes with
    `rank` or more tokens above m have no place of their own.
    """
    sides = 1 if rank == 1 else 2
    groupings, cells, numbers = (np.asarray(rows, np.int64) for rows in (groupings, cells, numbers))
    both, kind = np.unique(np.concatenate([cells[:, 3:], numbers], axis=1), axis=0, return_inverse=True)
    of_kinds = both[:, 1:].reshape(len(both), sides, numbers.shape[1] // sides)
    grouping = np.full((vocab, vocab, n_ctx, rank), -1)
    for (m, q, c, _), k in zip(cells.tolist(), kind.reshape(-1).tolist(), strict=True):
        grouping[q, m, c, min(of_kinds[k, 1:].sum(), rank - 1)] = k
    hints = {"rivals": np.atleast_2d(rivals), "levels": groupings[both[:, 0]], "numbers": of_kinds, "grouping": grouping}
    return Step("group-chains", (0,), {"joint": joint}, {name: tensor(hint) for name, hint in hints.items()})


Ranges = Iterable[tuple[int, int]]


def enumeration(tokens: Ranges, label: tuple[int, int] | None = None, skip: Ranges = ()) -> Step:
    """A step of rule enumeration: ranges of the tokens at every position, and of the label (any); runs that are skipped."""
    of_tokens, runs = list(tokens), list(skip)
    ranges = [*of_tokens, label or (0, max(end for _, end in of_tokens))]
    return Step("enumeration", (0,), {}, {"ranges": tensor(ranges), "skip": tensor(runs, (len(runs), 2))})


def everything(vocab: int, n_ctx: int, skip: Ranges = ()) -> Step:
    """An enumeration of all inputs."""
    return enumeration([(0, vocab)] * n_ctx, skip=skip)


def by_cell(inputs: Iterable[tuple[int, ...]], rank: int = 1) -> list[tuple[int, ...]]:
    """Inputs in the order in which they are listed: by query, true output, free copies of it, then lexicographically."""

    def key(row: tuple[int, ...]) -> tuple[Any, ...]:
        true = sorted(row)[-rank]
        return row[-1], true, row[:-1].count(true), row

    return sorted(inputs, key=key)


def further(inputs: Any, step: int = 1) -> Step:
    """A step of rule further-inputs."""
    return Step("further-inputs", (0, step), {}, {"inputs": tensor(inputs)})


BEYOND = 2**60
"""Larger than any token or level."""


def members_of_chains(step: Step, numbers: np.ndarray) -> np.ndarray:
    """Which inputs (in numbers, "n k") the prefix chains claim, straight from their definition: in ascending order, the first
    k_1 free tokens other than the maximum are below s_1, the next k_2 below s_2, and so on.
    """
    size, of_level = step.hints["size"].integers(), step.hints["numbers"].integers()
    free, query, maximum = numbers[:, :-1], numbers[:, -1], numbers.max(1)
    others = np.sort(np.where(free == maximum[:, None], BEYOND, free), axis=1)
    copies = (free == maximum[:, None]).sum(1)
    members = np.zeros(len(numbers), np.bool_)
    for c in range(free.shape[1] + 1):
        here = copies == c
        limits = size[query[here], maximum[here], c]
        allowed = np.repeat(limits, of_level[c], axis=1)
        if allowed.shape[1] != free.shape[1] - c:
            raise ValueError("numbers that do not fill the free positions")
        members[here] = (limits != -1).all(1) & (others[here, : allowed.shape[1]] < allowed).all(1)
    return members


def members_of_groups(step: Step, numbers: np.ndarray, rank: int = 1) -> np.ndarray:
    """Which inputs (in numbers, "n k") the group chains claim, straight from their definition: on either side of the true
    output, in ascending order of level, the first k_1 free tokens have level 1, the next k_2 level 2 or less, and so on.
    """
    of_token, grouping, of_side = (step.hints[name].integers() for name in ("levels", "grouping", "numbers"))
    free, query, true = numbers[:, :-1], numbers[:, -1], np.sort(numbers, axis=1)[:, -rank]
    copies, above = (free == true[:, None]).sum(1), (free > true[:, None]).sum(1)
    found = grouping[query, true, copies, above]
    here, row = np.flatnonzero(found >= 0), found[found >= 0]
    level = np.take_along_axis(of_token[row], free[here], axis=1)
    level = np.where(level == 0, BEYOND, level)  # excluded
    members = np.zeros(len(numbers), np.bool_)
    members[here] = True
    for side in range(of_side.shape[1]):
        on_side = free[here] > true[here, None] if side else free[here] < true[here, None]
        levels = np.sort(np.where(on_side, level, 2 * BEYOND), axis=1)
        allowed = np.full((len(of_side), free.shape[1]), 2 * BEYOND)
        for i, number in enumerate(of_side[:, side]):
            allowed[i, : number.sum()] = np.repeat(np.arange(1, len(number) + 1), number)
        members[here] &= (levels <= allowed[row]).all(1) & (on_side.sum(1) == of_side[row, side].sum(1))
    return members


def in_patterns(widths: list[int], numbers: list[int]) -> int:
    """What the formula of checker/attention/classes gives, for arguments of any kind."""
    total, result = sum(numbers), 0
    for pattern in itertools.product(range(total + 1), repeat=len(numbers)):
        enough = all(sum(pattern[:i]) >= sum(numbers[:i]) for i in range(1, len(numbers)))
        if sum(pattern) == total and enough:
            ways = math.factorial(total) // math.prod(map(math.factorial, pattern))
            result += ways * math.prod(w**a for w, a in zip(widths, pattern, strict=True))
    return result


def count_by_formula(step: Step) -> int:
    """What the formula of prefix-chains gives for its hints, were they not checked for sense."""
    size, numbers = step.hints["size"].integers().astype(object), step.hints["numbers"].integers().tolist()
    count = 0
    for q, m, c in np.argwhere((size != -1).any(axis=3)).tolist():
        widths = np.diff(size[q, m, c], prepend=0).tolist()
        count += math.comb(size.shape[2] - 1, c) * in_patterns(widths, numbers[c])
    return count


def groups_by_formula(step: Step, n_ctx: int) -> int:
    """What the formula of group-chains gives for its hints, were they not checked for sense (as far as it can be used)."""
    of_token, grouping, rows = (step.hints[name].integers() for name in ("levels", "grouping", "numbers"))
    count = 0
    for q, m, c, above in np.argwhere(grouping != -1).tolist():
        kind = min(int(grouping[q, m, c, above]), len(rows) - 1)
        ways = math.factorial(n_ctx - 1) // math.factorial(c)
        for level, numbers in zip((of_token[kind, :m], of_token[kind, m + 1 :]), rows[kind].tolist(), strict=False):
            widths = [int((level == i + 1).sum()) for i in range(len(numbers))]
            ways = ways * in_patterns(widths, numbers) // math.factorial(max(sum(numbers), 0))
        count += ways
    return count


def correct_in_ranges(subject: Subject, step: Step) -> int:
    """How many inputs an enumeration counts; fails where float64 could be wrong about one."""
    *tokens, label = step.hints["ranges"].integers().tolist()
    skipped = {place for a, b in step.hints["skip"].integers().tolist() for place in range(a, b)}
    counted, place = 0, 0
    for row, ahead in zip(subject.inputs.tolist(), subject.leads, strict=True):
        if not all(a <= t < b for t, (a, b) in zip(row, tokens, strict=True)):
            continue
        if label[0] <= max(row) < label[1] and place not in skipped:
            if not (abs(ahead) > 1e-6 or ahead == 0):
                raise ValueError(f"input {row} is too close to a tie for this corpus: {ahead}")
            counted += ahead > 0
        place += 1
    return int(counted)


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
    """A certificate about a model of the corpus and its task."""
    subject = SUBJECTS[model]
    config, task = subject.config, subject.task or TASK
    return Certificate(Statement(subject.model.digest(), task, correct, config.d_vocab**config.n_ctx), precision, steps)


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


class Corpus:
    """Collects cases. Hints and counts of the accepted ones are checked against exhaustive enumeration by the tests."""

    def __init__(self) -> None:
        self.cases: list[Case] = []

    def add(self, name: str, content: Certificate | bytes, exit_code: int, why: str, model: str = "small") -> None:
        """One certificate, and what it must get."""
        about_inputs = isinstance(content, Certificate) and isinstance(content.statement, Statement)
        correct = content.statement.correct if about_inputs and exit_code == 0 else None
        data = content if isinstance(content, bytes) else serialize_certificate(content)
        self.cases.append(Case(f"{name}.cert", data, f"{model}.safetensors", exit_code, correct, why))


EACH, ALL = range(4), (0, 0, 0, 0)
"""Blocks of four rivals: each alone, or all together."""


def small_chains(sizes: Any = SIZES, numbers: Any = NUMBERS, rivals: Any = EACH, joint: int = 0) -> Step:
    """Prefix chains about the small model."""
    size = sizes_of(sizes, 4, 3, 1) if isinstance(sizes, dict) else sizes
    return chains(size, numbers, rivals, joint)


def longer_chains(sizes: Sizes = LONGER_SIZES, numbers: Any = LONGER_NUMBERS, rivals: Any = range(5), joint: int = 0) -> Step:
    """Prefix chains of two levels about the longer model."""
    return chains(sizes_of(sizes, 4, 4, 2), numbers, rivals, joint)


def small_groups(groupings: Any = GROUPINGS, cells: Any = CELLS, numbers: Any = COUNTS, **more: Any) -> Step:
    """Group chains about the small model."""
    return groups(groupings, cells, numbers, more.pop("rivals", EACH), **more)


def second_groups(groupings: Any = SECOND_GROUPINGS, cells: Any = SECOND_CELLS, numbers: Any = SECOND_COUNTS) -> Step:
    """Group chains about the second largest token."""
    return groups(groupings, cells, numbers, EACH, n_ctx=4, rank=2)


def members(subject: str, step: Step) -> int:
    """How many inputs a step's classes hold."""
    about = SUBJECTS[subject]
    if step.rule == "prefix-chains":
        return int(members_of_chains(step, about.inputs).sum())
    return int(members_of_groups(step, about.inputs, about.rank).sum())


def claim_members(subject: str, step: Step, more: int = 0) -> Certificate:
    """A certificate that one step's classes are correct."""
    return claim(subject, members(subject, step) + more, TABLES, step)


def cases() -> list[Case]:
    """The corpus."""
    import golden_lists  # noqa: PLC0415 - which is written with the functions of this file
    import golden_pairs  # noqa: PLC0415 - likewise
    import golden_statements  # noqa: PLC0415 - likewise
    import golden_transformers  # noqa: PLC0415 - likewise

    corpus = Corpus()
    for part in (
        accepted,
        projected,
        refused_counts,
        refused_chains,
        refused_groups,
        refused_further,
        refused_steps,
        other_tasks,
        unread,
    ):
        part(corpus)
    golden_pairs.add_cases(corpus)
    golden_transformers.add_cases(corpus)
    golden_lists.add_lists(corpus)
    golden_statements.add_cases(corpus)
    return sorted(corpus.cases, key=lambda case: case.certificate)


def accepted(corpus: Corpus) -> None:
    """Every rule, with all that it can do."""
    add, good = corpus.add, claim_members("small", small_chains())
    add("prefix-chains", good, 0, "rules additive-tables and prefix-chains: one level, every rival for itself")
    add("prefix-chains-precise", replace(good, precision=60), 0, "the same, rounded to 60 bits")
    joint = claim_members("small", small_chains(joint=1))
    add("prefix-chains-joint", joint, 0, "the same, the values of token and position taken together")
    single = claim_members("small", small_chains(SINGLE_SIZES, rivals=ALL, joint=1))
    add("prefix-chains-one-block", single, 0, "all rivals in one block")
    add("prefix-chains-nothing", claim_members("small", small_chains({})), 0, "no class is claimed")
    add("prefix-chains-levels", claim_members("longer", longer_chains()), 0, "chains of two levels", "longer")
    in_blocks = longer_chains(LONGER_BLOCK_SIZES, rivals=BLOCKS, joint=1)
    add("prefix-chains-blocks", claim_members("longer", in_blocks), 0, "rivals in two blocks, values taken together", "longer")
    apart = longer_chains({(3, 3, 0): (2, 3), (3, 3, 1): (3, 3), (1, 1, 0): (1, 1)}, rivals=BLOCKS)
    add("prefix-chains-blocks-apart", claim_members("longer", apart), 0, "rivals in two blocks, values taken apart", "longer")

    of_label = longer_chains({**LONGER_BLOCK_SIZES, (1, 3, 1): (1, 2)}, rivals=BLOCKS_OF_LABELS, joint=1)
    why = "every label has blocks of rivals of its own"
    add("prefix-chains-blocks-of-labels", claim_members("longer", of_label), 0, why, "longer")

    add("group-chains", claim_members("small", small_groups()), 0, "rules additive-tables and group-chains, two levels")
    few = groups(GROUPINGS, ((1, 1, 0, 0), (3, 3, 1, 0)), ((2, 0), (1, 0)), ALL, joint=1)
    add("group-chains-one-block", claim_members("small", few), 0, "all rivals in one block, values taken together")
    nothing = groups(np.zeros((0, 4)), np.zeros((0, 4)), np.zeros((0, 1)), EACH)
    add("group-chains-nothing", claim_members("small", nothing), 0, "no class is claimed")
    longer = groups(LONGER_GROUPINGS, LONGER_CELLS, LONGER_COUNTS, range(5), n_ctx=4)
    add("group-chains-levels", claim_members("longer", longer), 0, "tokens taken from two levels", "longer")
    of_label = groups(LONGER_GROUPINGS, LONGER_CELLS, LONGER_COUNTS, LABEL_BLOCKS, n_ctx=4)
    add("group-chains-blocks-of-labels", claim_members("longer", of_label), 0, why, "longer")
    second = second_groups()
    add("group-chains-second", claim_members("second", second), 0, "the second largest: tokens below and above", "second")
    smallest = chains(sizes_of(SMALLEST_SIZES, 4, 3, 2), SMALLEST_NUMBERS, range(5))
    add("prefix-chains-smallest", claim_members("smallest", smallest), 0, "the smallest: hints in numbers", "smallest")
    by_groups = groups(((1, 1, 1, 1),), ((1, 1, 0, 0), (3, 0, 1, 0), (3, 3, 1, 0)), ((2,), (1,), (1,)), range(5))
    add("group-chains-smallest", claim_members("smallest", by_groups), 0, "the smallest, by group chains", "smallest")

    every = everything(4, 3)
    count = correct_in_ranges(SUBJECTS["small"], every)
    add("enumeration", claim("small", count, TABLES, every), 0, "rule enumeration, all 64 inputs")
    some = enumeration([(0, 3), (1, 4), (1, 4)], skip=[(0, 2), (7, 9), (26, 27)])
    in_some = correct_in_ranges(SUBJECTS["small"], some)
    add("enumeration-part", claim("small", in_some, TABLES, some), 0, "rule enumeration, a product of ranges, some skipped")
    whole = enumeration([(0, 4), (0, 4), (1, 3)], (2, 4), [(5, 6), (31, 32)])
    in_whole = correct_in_ranges(SUBJECTS["small"], whole)
    add("enumeration-cells", claim("small", in_whole, TABLES, whole), 0, "rule enumeration, queries 1 and 2, maxima 2 and 3")
    nobody = enumeration([(1, 2), (0, 1), (2, 3)], (0, 2))
    add("enumeration-of-none", claim("small", 0, TABLES, nobody), 0, "no input with the query 2 has a maximum below 2")
    of_smallest = correct_in_ranges(SUBJECTS["smallest"], every)
    of_smallest = claim("smallest", of_smallest, TABLES, every)
    add("enumeration-smallest", of_smallest, 0, "the smallest token: hints are about numbers", "smallest")
    full = everything(3, 3)
    add(
        "all-biases",
        claim("full", correct_in_ranges(SUBJECTS["full"], full), TABLES, full),
        0,
        "every bias, more outputs than tokens, F16 F32 and F64 weights, both buffers, ignored configuration keys",
        "full",
    )
    tied = everything(2, 2)
    tied_count = correct_in_ranges(SUBJECTS["tied"], tied)
    add("ties-not-counted", claim("tied", tied_count, TABLES, tied), 0, "ties are errors of the model", "tied")

    chosen = small_groups()
    beside = claim("small", members("small", chosen) + len(FURTHER), TABLES, chosen, further(FURTHER))
    add("further-inputs", beside, 0, "rule further-inputs: four inputs that no class holds")
    twice = (further(FURTHER[:2]), further(FURTHER[2:], 2))
    add("further-inputs-twice", replace(beside, steps=(TABLES, chosen, *twice)), 0, "the same in two steps, one upon the other")
    alone = claim("small", len(FURTHER), TABLES, Step("disjoint-sum"), further(FURTHER))
    add("further-inputs-alone", alone, 0, "inputs beside none")
    none = replace(claim_members("small", chosen), steps=(TABLES, chosen, further(np.zeros((0, 3)))))
    add("further-inputs-none", none, 0, "no further input")
    skipped = enumeration([(1, 3), (0, 4), (1, 3)], skip=[(7, 8)])  # FURTHER[3]
    more = correct_in_ranges(SUBJECTS["small"], skipped) + 1
    add("further-inputs-skipped", claim("small", more, TABLES, skipped, further(FURTHER[3:])), 0, "an input that was skipped")
    for name, step, inputs in (("smallest", by_groups, SMALLEST_FURTHER), ("second", second, SECOND_FURTHER)):
        content = claim(name, members(name, step) + len(inputs), TABLES, step, further(inputs))
        add(f"further-inputs-{name}", content, 0, f"true output: {name}; inputs in numbers", name)

    add("disjoint-sum", claim("small", *summed()), 0, "rule disjoint-sum: chains, groups, and all inputs with query 3")
    total, *steps = summed()
    nested = (*steps[:4], Step("disjoint-sum", (3, 1)), Step("disjoint-sum"), Step("disjoint-sum", (2, 5, 4)))
    add("disjoint-sum-nested", claim("small", total, *nested), 0, "sums of sums, one of them empty")
    add("nothing", claim("small", 0, Step("disjoint-sum")), 0, "the empty sum: no input is claimed")


BY_EIGHTHS: Mapping[str, Any] = {
    "token_centre": [1, 0, 0, 0],
    "unembed_centre": [2, 2, 2, 2],
    "direct_centre": [2, 2, 2, 2],
    "direct_left": [9] * 4,
    "direct_right": [9] * 4,
}


def projection(**changes: Any) -> Step:
    """A step of rule projected-tables about the small model: the direct path without coordinates, all else as it is.

    x_q and u_o have lengths below 9/8, and numbers are in units of 1/8.
    """
    parameters = {"scale": 3, "residual": 0, "diagonal": 0, "score": -1, "direct": 0, "value": -1}
    hints = dict(BY_EIGHTHS)
    parameters |= {name: change for name, change in changes.items() if name in parameters}
    hints |= {name: change for name, change in changes.items() if name not in parameters}
    return Step("projected-tables", (), parameters, {name: tensor(h) for name, h in hints.items() if h is not None})


# The first r axes as a basis.
AXES = [np.eye(4, r, dtype=np.int64) << 30 for r in range(5)]
PLAIN = {"direct": -1, "direct_centre": None, "direct_left": None, "direct_right": None}
# Values 3 x_t (u_o - u*), |x_t - x*| < 7/8: y along three axes, so that a matrix of norm 3 is left out.
BY_NORM = {**PLAIN, "residual": 2, "value": 30, "value_basis": AXES[3], "value_centre": [2, 2, 2, 2]}
BY_NORM |= {"value_left": [7] * 4, "value_right": [2, 3, 2, 6], "value_norm": [25]}
# Scores along all axes, so that next to nothing is left out.
SCORE = {"score": 30, "score_basis": AXES[4], "score_centre": [2, 2, 2, 2]}
# Values along two axes: without the diagonal their lengths leave too much open.
COPYING = {**PLAIN, "value": 30, "value_basis": AXES[2], "value_centre": [6, 6, 6, 6]}
COPYING |= {"value_left": [9, 9, 20, 20], "value_right": [3, 4, 8, 6], "diagonal": 1}
# Row differences, without coordinates for the direct path and with two for the values.
DIFFERENCES = {"residual": 1, "direct_left": None, "direct_right": None}


def projected(corpus: Corpus) -> None:
    """Rule projected-tables."""
    full = small_groups()
    exact = claim("small", members("small", full), projection(**PLAIN), full)
    corpus.add("projected-tables-plain", exact, 0, "rule projected-tables, no table projected")
    few = groups(((1, 1, 1, 1),), ((0, 0, 2, 0), (1, 1, 2, 0), (2, 2, 2, 0)), ((0,),) * 3, EACH)
    count = members("small", few)
    of_score = {"score_left": [9] * 4, "score_right": [1] * 4}
    axes = {**SCORE, "score_left": [1] * 4, "score_right": [1] * 4}  # scores by lengths; what is left out is tiny
    wide = {"score_left": [44] * 4, "score_right": [14] * 4}
    fine = {name: [entry << 49 for entry in hint] for name, hint in BY_EIGHTHS.items()} | {"scale": 52}
    zeros = {**PLAIN, "token_centre": [0] * 4, "unembed_centre": [0] * 4}
    for name, status, why, changes in (
        ("", 0, "the direct path without coordinates", {}),
        ("-left-too-small", 1, "a vector of the left side is longer than its rest", {"direct_left": [9, 9, 7, 9]}),
        ("-right-too-small", 1, "a vector of the right side is longer than its rest", {"direct_right": [9, 9, 7, 9]}),
        ("-left-negative", 1, "a rest is negative", {"direct_left": [9, 9, -9, 9]}),
        ("-no-centre", 1, "a projected table without its centre", {"direct_centre": None}),
        ("-centre-too-short", 1, "a centre of three coordinates", {"direct_centre": [0, 0, 0]}),
        ("-unasked", 1, "rests of a table that is taken as it is", {"direct": -1}),
        ("-tilt-minus-two", 1, "-2 is no way to take a table", {"value": -2}),
        ("-scale-too-large", 1, "scales end at 1100, even for zeros", {**zeros, "scale": 1101}),
        ("-scale-too-small", 1, "scales start at -1100, even for zeros", {**zeros, "scale": -1101}),
        ("-fine", 0, "units of 2**-52", fine),
        ("-beyond-53-bits", 1, "a hint is 2**53", {**fine, "token_centre": [1 << 53, 0, 0, 0]}),
        ("-below-53-bits", 1, "a hint is -2**53", {**fine, "token_centre": [-(1 << 53), 0, 0, 0]}),
        ("-axes", 0, "scores along all axes", axes),
        ("-tilt-two", 0, "a tilt of 2 makes rests large", {**axes, **wide, "score": 2}),
        ("-tilt-two-rests", 1, "rests that neglect the tilt", {**axes, "score": 2}),
        ("-tilt-one", 1, "tilts start at 2", {**axes, **wide, "score": 1}),
        ("-tilt-31", 1, "tilts end at 30", {**axes, "score": 31}),
        ("-no-axes", 1, "a basis without columns", {**axes, **wide, "score_basis": AXES[0]}),
        ("-not-orthonormal", 1, "axes too long for the tilt", {**axes, "score": 10, "score_basis": AXES[4] * 513 // 512}),
        ("-rest-negative", 1, "a rest is negative", {**axes, "score_left": [1, 1, -1, 1]}),
        ("-norms", 0, "values along three axes, a spectral norm bounding the residual", BY_NORM),
        ("-norms-score", 0, "scores as well", {**BY_NORM, **SCORE, **of_score, "score_norm": [1]}),
        ("-norm-too-small", 1, "the matrix left out has the norm 3", {**BY_NORM, "value_norm": [24]}),
        ("-norm-negative", 1, "a norm is negative", {**BY_NORM, "value_norm": [-25]}),
        ("-norm-rows-too-long", 1, "a row is longer than claimed", {**BY_NORM, "value_left": [7, 7, 6, 7]}),
        ("-norm-right-too-small", 1, "a vector of the right side has a larger rest", {**BY_NORM, "value_right": [2, 3, 2, 5]}),
        ("-norm-missing", 1, "no norm", {**BY_NORM, "value_norm": None}),
        ("-norms-direct", 1, "the direct path has no matrix: no norm", {"residual": 2, "direct_norm": [9]}),
        ("-norms-direct-lengths", 0, "the direct path takes lengths where others take norms", {"residual": 2}),
        ("-differences", 0, "row differences", DIFFERENCES),
        ("-differences-score", 0, "row differences of scores with coordinates", {**DIFFERENCES, **SCORE}),
        ("-differences-left", 1, "row differences need no rests", {"residual": 1}),
        ("-diagonal", 0, "the values' diagonal as it is, the rest along two axes", COPYING),
        ("-no-diagonal", 1, "the same without the diagonal, whose widths are then too large", {**COPYING, "diagonal": 0}),
        ("-diagonal-two", 1, "diagonal is 0 or 1", {"diagonal": 2}),
        ("-residual-three", 1, "residual is 0, 1 or 2", {**DIFFERENCES, "residual": 3}),
        ("-residual-negative", 1, "residual is 0, 1 or 2", {**DIFFERENCES, "residual": -1}),
    ):
        corpus.add(f"projected-tables{name}", claim("small", count, projection(**changes), few), status, why)
    upon = claim("small", count, TABLES, replace(projection(), premises=(0,)), replace(few, premises=(1,)))
    corpus.add("projected-tables-premise", upon, 1, "projected-tables takes no premises")


def summed() -> tuple[int, *tuple[Step, ...]]:
    """A sum of three rules, and what it amounts to."""
    low = small_chains({cell: size for cell, size in SIZES.items() if cell[0] < 2})
    chosen = [row for row, (_, query, _, _) in enumerate(CELLS) if query == 2]
    middle = small_groups(cells=[CELLS[row] for row in chosen], numbers=[COUNTS[row] for row in chosen])
    top = enumeration([(0, 4), (0, 4), (3, 4)])
    total = members("small", low) + members("small", middle) + correct_in_ranges(SUBJECTS["small"], top)
    return total, TABLES, low, middle, top, Step("disjoint-sum", (1, 2, 3))


def refused_counts(corpus: Corpus) -> None:
    """Numbers that a proof does not establish, ties, and enumerations and sums that are none."""
    add, good = corpus.add, claim_members("small", small_chains())
    correct = good.statement.correct
    add("count-too-high", with_statement(good, correct=correct + 1), 1, "one more than the proof establishes")
    add("count-too-low", with_statement(good, correct=correct - 1), 1, "one less than the proof establishes")
    tied = everything(2, 2)
    more = correct_in_ranges(SUBJECTS["tied"], tied) + 1
    add("ties-counted", claim("tied", more, TABLES, tied), 1, "counts an input on which the model ties", "tied")
    tie = chains(sizes_of({(1, 1, 1): (0,)}, 2, 2, 1), ((1,), (0,)), range(3))
    add("tie-in-chain", claim("tied", 1, TABLES, tie), 1, "claims the class of input (1, 1), a tie", "tied")
    in_group = groups(((1, 1),), ((1, 1, 1, 0),), ((0,),), range(3))
    add("tie-in-group", claim("tied", 1, TABLES, in_group), 1, "claims the class of input (1, 1), a tie", "tied")
    listed = claim("tied", 1, TABLES, Step("disjoint-sum"), further(((1, 1),)))
    add("tie-listed", listed, 1, "lists input (1, 1), a tie", "tied")

    every = everything(4, 3)
    count = correct_in_ranges(SUBJECTS["small"], every)
    for name, why, step in (
        ("skip-out-of-range", "skips beyond the last input", everything(4, 3, [(64, 65)])),
        ("skip-negative", "skips before the first input", everything(4, 3, [(-1, 0)])),
        ("skip-overlaps", "skipped runs overlap", everything(4, 3, [(1, 4), (3, 5)])),
        ("skip-touches", "two runs that are one", everything(4, 3, [(1, 4), (4, 5)])),
        ("skip-empty-run", "a skipped run is empty", everything(4, 3, [(4, 4)])),
        ("skip-backwards", "a skipped run ends before it begins", everything(4, 3, [(5, 4)])),
        ("skip-wraps", "differences of runs wrap around", everything(4, 3, [(2**62, -(2**63)), (-5, 64)])),
        ("range-beyond-tokens", "a range ends beyond the last token", enumeration([(0, 4), (0, 5), (0, 4)])),
        ("range-beyond-labels", "the range of the label ends beyond the last token", enumeration([(0, 4)] * 3, (0, 5))),
        ("range-negative", "a range begins before the first token", enumeration([(-1, 4), (0, 4), (0, 4)])),
        ("range-missing", "no range for the label", replace(every, hints={**every.hints, "ranges": tensor([(0, 4)] * 3)})),
    ):
        add(name, claim("small", count, TABLES, step), 1, why)
    for name, why, step in (
        ("range-empty", "a range is empty", enumeration([(0, 4), (2, 2), (0, 4)])),
        ("range-backwards", "a range ends before it begins", enumeration([(0, 4), (0, 4), (3, 2)])),
        ("range-of-labels-empty", "the range of the label is empty", enumeration([(0, 4)] * 3, (4, 4))),
    ):
        add(name, claim("small", 0, TABLES, step), 1, why)

    step, both = small_chains(), Step("disjoint-sum", (1, 2))
    add("sum-overlaps", claim("small", 2 * correct, TABLES, step, step, both), 1, "both parts count the same cells")
    doubled = claim("small", correct + members("small", small_groups()), TABLES, step, small_groups(), both)
    add("sum-overlaps-of-rules", doubled, 1, "chains and groups count the same cells")
    repeated = claim("small", 2 * correct, TABLES, step, Step("disjoint-sum", (1, 1)))
    add("sum-repeats-premise", repeated, 1, "the same step is added twice")
    split = claim("small", count, TABLES, *(enumeration([x, (0, 4), (0, 4)]) for x in ((0, 2), (2, 4))), both)
    add("sum-splits-cell", split, 1, "two ranges share the cells of one (query, maximum)")
    add("sum-of-tables", claim("small", 0, TABLES, Step("disjoint-sum", (0,))), 1, "disjoint-sum of tables")
    first = small_chains({cell: size for cell, size in SIZES.items() if cell[0] == 0})
    listed = further(((1, 2, 1),))
    rest = small_groups(cells=((2, 1, 1, 1),), numbers=((1, 0),))
    overlap = claim("small", members("small", first) + 2, TABLES, first, listed, rest, Step("disjoint-sum", (2, 3)))
    add("sum-overlaps-further", overlap, 1, "a class is claimed in the cell of a further input")


def refused_chains(corpus: Corpus) -> None:
    """Every hypothesis of prefix-chains."""

    def by_formula(name: str, why: str, step: Step, model: str = "small") -> None:
        corpus.add(f"prefix-chains-{name}", claim(model, count_by_formula(step), TABLES, step), 1, why, model)

    for name, why, cell, size in (
        ("above-maximum", "a prefix reaches the maximum", (0, 0, 0), 1),
        ("in-empty-cell", "the query lies above the maximum", (3, 0, 2), 0),
        ("minus-two", "-2 is no prefix size", (0, 0, 0), -2),
        ("no-copy", "q < m and c = 0", (0, 1, 0), 1),
    ):
        by_formula(name, why, small_chains(SIZES | {cell: (size,)}))
    for name, why, cell, of_levels in (
        ("decreasing", "the sizes of a chain decrease", (1, 3, 1), (2, 1)),
        ("half-claimed", "a chain with a level that claims nothing", (1, 3, 1), (-1, 2)),
        ("second-above-maximum", "the second level reaches the maximum", (3, 3, 0), (2, 4)),
    ):
        by_formula(name, why, longer_chains({**LONGER_SIZES, cell: of_levels}), "longer")
    unfilled = claim_members("small", small_chains(SIZES | {(1, 1, 1): (0,)}))
    corpus.add("prefix-chains-empty-prefix", unfilled, 1, "takes tokens from a prefix without tokens")
    half = claim_members("longer", longer_chains({**LONGER_SIZES, (1, 3, 1): (-1, 2)}))
    corpus.add("prefix-chains-half-claimed-not-counted", half, 1, "the same, counting it for nothing", "longer")
    for name, why, numbers in (
        ("positions-left-over", "fewer tokens than free positions", ((1, 1), (1, 1), (1, 0), (0, 0))),
        ("too-many-tokens", "more tokens than free positions", ((2, 1), (1, 2), (1, 0), (0, 0))),
        ("number-negative", "-1 tokens of a level", ((2, 1), (3, -1), (1, 0), (0, 0))),
        ("number-negative-first", "-1 tokens of the first level", ((2, 1), (-1, 3), (1, 0), (0, 0))),
        ("number-too-large", "more tokens of a level than positions", ((2, 1), (1, 1), (1, 0), (4, -4))),
    ):
        by_formula(name, why, longer_chains(numbers=numbers), "longer")
    for name, why, rivals in (
        ("blocks-with-gap", "blocks of rivals numbered 0, 2", (0, 0, 2, 2)),
        ("blocks-from-one", "blocks of rivals numbered 1, 2, ..", (1, 2, 3, 4)),
        ("block-negative", "a block of rivals numbered -1", (-1, 0, 1, 2)),
        ("block-too-large", "a block of rivals numbered 4 of 0..3", (0, 1, 2, 4)),
        ("blocks-of-two-labels", "blocks of rivals for two of four labels", (EACH, EACH)),
        ("blocks-of-no-label", "no blocks of rivals", np.zeros((0, 4))),
        ("block-of-label-negative", "a block of the last label is numbered -1", (EACH, EACH, EACH, (-1, 0, 1, 2))),
        ("blocks-of-label-with-gap", "the blocks of the last label have a gap", (EACH, EACH, EACH, (0, 1, 3, 3))),
    ):
        corpus.add(f"prefix-chains-{name}", claim_members("small", small_chains(rivals=rivals)), 1, why)
    for name, why, joint in (("joint-two", "joint is 0 or 1", 2), ("joint-negative", "joint is 0 or 1", -1)):
        corpus.add(f"prefix-chains-{name}", claim_members("small", small_chains(joint=joint)), 1, why)
    size = sizes_of(SIZES, 4, 3, 1)
    count = members("small", small_chains())
    fifth = np.array(NUMBERS) * np.array([[1, 0, 0, 0, 0]])
    five = claim("small", count, TABLES, small_chains(np.repeat(size, 5, axis=3), fifth))
    corpus.add("prefix-chains-five-levels", five, 1, "a chain has at most four levels")
    four = claim("small", count, TABLES, small_chains(np.repeat(size, 4, axis=3), fifth[:, :4]))
    corpus.add("prefix-chains-four-levels", four, 0, "three levels too many, but allowed")
    no_level = claim("small", 0, TABLES, small_chains(size[..., :0], np.zeros((3, 0))))
    corpus.add("prefix-chains-no-level", no_level, 1, "a chain has at least one level")
    wider = claim("small", count, TABLES, small_chains(np.repeat(size, 2, axis=3), NUMBERS))
    corpus.add("prefix-chains-levels-differ", wider, 1, "two levels in `size`, one in `numbers`")
    bad, cell = least_lead("small")
    for name, sizes, rivals in (("not-correct", SIZES, EACH), ("not-correct-one-block", SINGLE_SIZES, ALL)):
        step = small_chains({**sizes, cell: (cell[1],)}, rivals=rivals, joint=1)
        corpus.add(f"prefix-chains-{name}", claim_members("small", step), 1, f"claims a class with {bad}, which is wrong")
    bad, cell = least_lead("longer")
    step = longer_chains({**LONGER_SIZES, cell: (cell[1],) * 2})
    corpus.add("prefix-chains-levels-not-correct", claim_members("longer", step), 1, f"claims {bad}, which is wrong", "longer")


def least_lead(name: str) -> tuple[list[int], Cell]:
    """The worst input of a subject (in numbers), and its cell, where the true output is the largest."""
    subject = SUBJECTS[name]
    worst = subject.inputs[np.argmin(subject.leads)].tolist()
    return worst, (worst[-1], max(worst), worst[:-1].count(max(worst)))


def refused_groups(corpus: Corpus) -> None:
    """Every hypothesis of group-chains."""

    def wrong(name: str, why: str, **hints: Any) -> None:
        step = small_groups(**hints)
        corpus.add(f"group-chains-{name}", claim("small", groups_by_formula(step, 3), TABLES, step), 1, why)

    fewer = {"cells": CELLS[:2] + CELLS[3:], "numbers": COUNTS[:2] + COUNTS[3:]}
    empty_level = {**fewer, "groupings": ((2, 2, 2, 2), (0, 0, 0, 0))}
    wrong("empty-level", "takes tokens from a level without tokens", **empty_level)
    wrong("level-unknown", "a grouping names level 3 of 2, where it is not used", groupings=((1, 1, 1, 3), GROUPINGS[1]))
    wrong("level-negative", "a grouping names level -1, where it is not used", groupings=((1, 1, 1, -1), GROUPINGS[1]))
    good = small_groups()
    grouping = good.hints["grouping"].integers()

    def by_hint(name: str, why: str, hint: str, values: Any) -> None:
        step = replace(good, hints={**good.hints, hint: tensor(values)})
        corpus.add(f"group-chains-{name}", claim("small", members("small", good), TABLES, step), 1, why)

    for name, why, value in (
        ("grouping-unknown", "a class names grouping 6 of 0..5", len(good.hints["numbers"].integers())),
        ("grouping-negative", "a class names grouping -2", -2),
    ):
        by_hint(name, why, "grouping", changed(grouping, (0, 3, 1, 0), value))
    twice = groups(GROUPINGS, ((3, 3, 1, 0), (3, 3, 2, 0)), ((1, 0), (1, 0)), EACH)
    once = groups(GROUPINGS, ((3, 3, 1, 0),), ((1, 0),), EACH)
    why = "the class of one copy is claimed for two copies as well"
    corpus.add("group-chains-copies-twice", claim("small", 2 * members("small", once), TABLES, twice), 1, why)
    wrapped = groups(((1, 1, 1, 1),), ((3, 3, 2, 0),), ((2**62,) * 4,), EACH)
    corpus.add("group-chains-numbers-wrap", claim("small", 1, TABLES, wrapped), 1, "numbers whose sum is 0 modulo 2^64")
    by_hint("queries-missing", "groupings for three of four queries", "grouping", grouping[:3])
    by_hint("labels-missing", "groupings for three of four labels", "grouping", grouping[:, :3])
    by_hint("copies-missing", "groupings for less than two copies", "grouping", grouping[:, :, :2])
    by_hint("above-largest", "groupings for tokens above the largest", "grouping", np.repeat(grouping, 2, axis=3))
    by_hint("rows-differ", "a grouping without levels", "levels", good.hints["levels"].integers()[:-1])
    by_hint("rows-differ-numbers", "a grouping without numbers", "numbers", good.hints["numbers"].integers()[:-1])
    for name, why, index, row in (
        ("positions-left-over", "a class leaves a free position unfilled", 2, (1, 0)),
        ("number-negative", "a class takes -1 tokens of a level", 1, (1, -1)),
    ):
        wrong(name, why, numbers=changed(COUNTS, index, row))
    no_copy = {"cells": changed(CELLS, 3, (2, 0, 0, 0)), "numbers": changed(COUNTS, 3, (2, 0))}
    wrong("no-copy", "q < m and c = 0: the true output does not occur", **no_copy)
    last = {"cells": (*CELLS[:2], (1, 2, 1, 0), *CELLS[3:]), "numbers": (*COUNTS[:2], (1, 0), *COUNTS[3:])}
    wrong("query-above", "the query is larger than the true output", **last)
    false = {"cells": (*CELLS[:7], (3, 2, 1, 0), *CELLS[7:]), "numbers": (*COUNTS[:7], (1, 0), *COUNTS[7:])}
    wrong("false-among-true", "not all members of one class are classified correctly", **false)
    more = {"cells": (*CELLS, (3, 3, 2, 0)), "numbers": (*COUNTS, (1, 0))}
    wrong("too-many-tokens", "a class fills more than the free positions", **more)
    wrong("five-levels", "at most four levels", numbers=np.array(COUNTS) @ np.eye(2, 5, dtype=int))
    no_level = {"groupings": ((0, 0, 0, 0),), "cells": ((0, 0, 2, 0), (1, 0, 2, 0)), "numbers": np.zeros((2, 0))}
    wrong("no-level", "at least one level", **no_level)
    wrong("blocks-with-gap", "blocks of rivals numbered 0, 2", rivals=(0, 0, 2, 2))
    wrong("joint-two", "joint is 0 or 1", joint=2)
    bad, (query, maximum, copies) = least_lead("small")
    whole = groups(((1,) * 4,), ((maximum, query, copies, 0),), ((2 - copies,),), EACH)
    corpus.add("group-chains-not-correct", claim_members("small", whole), 1, f"claims a class with {bad}, which is wrong")

    for name, why, index, row, numbers in (
        ("second-too-large", "no token lies above the one said to be second", 3, (1, 0, 1, 0), (2, 0, 0, 0)),
        ("second-too-small", "two tokens lie above the one said to be second", 5, (1, 1, 0, 2), (1, 0, 1, 1)),
        ("second-query-counts", "the query and a free token lie above", 10, (1, 2, 2, 0), (0, 0, 1, 0)),
        ("second-wrong-side", "numbers of a side without tokens", 1, (0, 1, 2, 0), (1, 0, 0, 0)),
    ):
        step = second_groups(cells=changed(SECOND_CELLS, index, row), numbers=changed(SECOND_COUNTS, index, numbers))
        content = claim("second", groups_by_formula(step, 4), TABLES, step)
        corpus.add(f"group-chains-{name}", content, 1, why, "second")
    step = second_groups()
    count, numbers, keys = members("second", step), step.hints["numbers"].integers(), step.hints["grouping"].integers()
    same = changed(keys, (0, 1, 2, 0), keys[0, 1, 2, 1])
    for name, why, hint, values in (
        ("one-side", "numbers for one side only", "numbers", numbers[:, :1]),
        ("three-sides", "numbers for three sides", "numbers", np.pad(numbers, ((0, 0), (0, 1), (0, 0)))),
        ("other-number-above", "classes under a number of tokens above that is not theirs", "grouping", keys[..., ::-1]),
        ("same-above-twice", "the class with one token above is claimed for none as well", "grouping", same),
        ("beyond-second", "groupings for two tokens above the second", "grouping", np.pad(keys, [(0, 0)] * 3 + [(0, 1)])),
    ):
        other = replace(step, hints={**step.hints, hint: tensor(values)})
        number = groups_by_formula(other, 4) if values is same else count
        content = claim("second", number, TABLES, other)
        corpus.add(f"group-chains-second-{name}", content, 1, why, "second")


def refused_further(corpus: Corpus) -> None:
    """Every hypothesis of further-inputs."""
    step = small_groups()
    count = members("small", step)

    def wrong(name: str, why: str, inputs: Any, number: int = len(FURTHER)) -> None:
        corpus.add(f"further-inputs-{name}", claim("small", count + number, TABLES, step, further(inputs)), 1, why)

    wrong("repeated", "an input is listed twice", (*FURTHER, FURTHER[-1]), 5)
    wrong("unsorted", "two inputs are out of order", (FURTHER[1], FURTHER[0], *FURTHER[2:]))
    wrong("covered", "an input that a class holds", (*FURTHER, (2, 2, 3)), 5)
    wrong("token-unknown", "token 4 of 0..3", (*FURTHER[:3], (1, 3, 4)))
    wrong("token-negative", "token -1", ((-1, 1, 0), *FURTHER[1:]))
    worst = least_lead("small")[0]
    wrong("wrong", f"{worst} is classified wrongly", by_cell((*FURTHER, tuple(worst))), 5)
    wrong("too-short", "inputs of two tokens", [row[:2] for row in FURTHER])
    twice = claim("small", count + 5, TABLES, step, further(FURTHER), further(FURTHER[1:2], 2))
    corpus.add("further-inputs-listed-before", twice, 1, "an input that an earlier list holds")
    lexicographic = sorted(FURTHER)
    wrong("lexicographic", "inputs are listed cell by cell", lexicographic)
    later = claim("small", count + 4, TABLES, step, further(FURTHER[2:]), further(FURTHER[:2], 2))
    corpus.add("further-inputs-going-back", later, 1, "lists upon lists go on in order")
    part = enumeration([(0, 4), (0, 4), (1, 3)])
    counted = correct_in_ranges(SUBJECTS["small"], part)
    counted_twice = claim("small", counted + 1, TABLES, part, further(FURTHER[3:]))
    corpus.add("further-inputs-enumerated", counted_twice, 1, "an input that an enumeration counts")
    for name, why, premises in (
        ("no-tables", "without tables", (1,)),
        ("premises-swapped", "the fact before the tables", (1, 0)),
        ("two-facts", "tables and two facts", (0, 1, 1)),
    ):
        content = claim("small", count + 4, TABLES, step, replace(further(FURTHER), premises=premises))
        corpus.add(f"further-inputs-{name}", content, 1, why)
    no_fact = claim("small", 4, TABLES, replace(further(FURTHER), premises=(0,)))
    corpus.add("further-inputs-no-fact", no_fact, 1, "without a fact about inputs")
    two_tables = claim("small", 4, TABLES, replace(further(FURTHER), premises=(0, 0)))
    corpus.add("further-inputs-two-tables", two_tables, 1, "tables in the place of a fact")
    extra = replace(further(FURTHER), parameters={"joint": 0})
    corpus.add("further-inputs-parameter", claim("small", count + 4, TABLES, step, extra), 1, "takes no parameters")


def refused_steps(corpus: Corpus) -> None:
    """Parameters, hints and premises that are not those of the rule; steps that make no proof."""
    add, step, good = corpus.add, small_chains(), claim_members("small", small_chains())
    correct, size = good.statement.correct, sizes_of(SIZES, 4, 3, 1)
    start = replace(everything(4, 3), parameters={"start": 0})
    add("parameter-of-ranks", claim("small", correct, TABLES, start), 1, "enumeration takes no parameters")
    more = replace(step, parameters={"joint": 0, "start": 0})
    add("parameter-unknown", claim("small", correct, TABLES, more), 1, "prefix-chains takes joint only")
    for rule in (step, small_groups()):
        content = claim("small", members("small", rule), TABLES, replace(rule, parameters={}))
        add(f"parameter-missing-{rule.rule}", content, 1, f"{rule.rule} without joint")
    for name in step.hints:
        fewer = replace(step, hints={key: hint for key, hint in step.hints.items() if key != name})
        add(f"hint-missing-{name}", claim("small", correct, TABLES, fewer), 1, f"prefix-chains without {name}")
    add("hint-unknown", with_tensor(good, "1.sizes", tensor([0])), 1, "a tensor that prefix-chains does not take")
    one_row = replace(step, hints={**step.hints, "rivals": tensor(EACH)})
    add("hint-flat", claim("small", correct, TABLES, one_row), 1, "rivals has no rows")
    flat = replace(step, hints={**step.hints, "size": tensor(size.reshape(-1))})
    add("hint-reshaped", claim("small", correct, TABLES, flat), 1, "size has the wrong shape")
    add("premise-missing", claim("small", correct, replace(step, premises=())), 1, "prefix-chains without tables")
    add("premise-forward", claim("small", correct, replace(step, premises=(1,)), TABLES), 1, "a step builds on a later one")
    to_itself = claim("small", correct, TABLES, replace(step, premises=(0, 1)))
    add("premise-itself", to_itself, 1, "a step builds on itself")
    negative = claim("small", correct, TABLES, replace(step, premises=(-2, 0)))
    add("premise-negative", negative, 1, "premises count from 0")
    twice = claim("small", correct, TABLES, TABLES, replace(step, premises=(0, 1)))
    add("premise-too-many", twice, 1, "prefix-chains with two tables")
    total, *steps = summed()
    add("step-unused", claim("small", total, *steps[:4], TABLES, steps[4]), 1, "a step that no later one uses")
    add("only-tables", claim("small", 0, TABLES), 1, "the last step establishes no count")
    add("precision-too-small", replace(good, precision=11), 1, "precision is 12 to 256")
    add("precision-too-large", replace(good, precision=257), 1, "precision is 12 to 256")


def other_tasks(corpus: Corpus) -> None:
    """Rules that do not fit a task, tasks that are none, and numbers mistaken for tokens."""
    add, good = corpus.add, claim_members("small", small_chains())
    size = sizes_of({(1, 1, 3): (0,)}, 4, 4, 1)
    add(
        "task-second-prefix-chains",
        claim("second", 1, TABLES, chains(size, ((3,), (2,), (1,), (0,)), EACH)),
        1,
        "prefix-chains is about the largest or smallest token only",
        "second",
    )
    every = everything(4, 4)
    count = int((SUBJECTS["second"].leads > 0).sum())
    why = "enumeration is about the largest or smallest token only"
    add("task-second-enumeration", claim("second", count, TABLES, every), 1, why, "second")
    first = claim("second", members("second", second_groups()), TABLES, second_groups())
    as_largest = with_statement(first, task={"n": 1, "name": "nth-max-of-k"})
    add("task-second-as-first", as_largest, 1, "classes with two sides about the largest token", "second")
    by_number = claim_members("smallest", chains(sizes_of({(3, 3, 0): (3,)}, 4, 3, 1), NUMBERS, range(5)))
    as_largest = with_statement(by_number, task=TASK)
    add("task-smallest-as-largest", as_largest, 1, "the right hints under the wrong task", "smallest")
    add("task-first-of-k", with_statement(good, task={"n": 1, "name": "nth-max-of-k"}), 0, "max-of-k by another name")
    last = claim_members("smallest", chains(sizes_of(SMALLEST_SIZES, 4, 3, 2), SMALLEST_NUMBERS, range(5)))
    last = with_statement(last, task={"n": 3, "name": "nth-max-of-k"})
    add("task-last-of-k", last, 0, "min-of-k by another name", "smallest")
    for name, why, task in (
        ("unknown", "a task that does not exist", {"name": "median-of-k"}),
        ("with-extras", "a task with an unknown field", {"length": 3, "name": "max-of-k"}),
        ("min-with-n", "min-of-k takes no n", {"n": 3, "name": "min-of-k"}),
        ("without-n", "nth-max-of-k needs n", {"name": "nth-max-of-k"}),
        ("n-zero", "n counts from 1", {"n": 0, "name": "nth-max-of-k"}),
        ("n-too-large", "there are three tokens", {"n": 4, "name": "nth-max-of-k"}),
        ("n-true", "n is an integer", {"n": True, "name": "nth-max-of-k"}),
        ("n-text", "n is an integer", {"n": "1", "name": "nth-max-of-k"}),
        ("text", "a task is an object", "max-of-k"),
        ("null", "a task is an object", None),
    ):
        add(f"task-{name}", with_statement(good, task=task), 2, why)
    few = few_outputs().model
    lacking = Certificate(Statement(few.digest(), TASK, 0, 64), 30, (Step("disjoint-sum"),))
    add("task-few-outputs", lacking, 2, "a token without an output", "few-outputs")


def unread(corpus: Corpus) -> None:
    """Not a certificate of this format, or not about this model."""
    add, good = corpus.add, claim_members("small", small_chains())
    correct = good.statement.correct
    add("model-of-another", good, 2, "a certificate checked with another model", "full")
    add("digest-wrong", with_statement(good, model_digest="0" * 64), 2, "the digest of no model here")
    add("digest-upper-case", rewritten(good, "statement", good.statement.model_digest, "A" * 64), 2, "upper-case digest")
    add("rule-unknown", claim("small", 0, Step("induction")), 2, "a rule that does not exist")
    for rule in ("thresholds", "pessimized", "composition-classes"):
        add(f"rule-{rule}", claim("small", 0, TABLES, Step(rule, (0,))), 2, "a rule that no longer exists")
    add("total-wrong", with_statement(good, total=63), 2, "the task has 64 inputs")
    add("float-in-json", rewritten(good, "proof", '"precision":30', '"precision":30.0'), 2, "numbers are integers")
    add("not-canonical-json", rewritten(good, "proof", '"precision":30', '"precision": 30'), 2, "a space in canonical JSON")
    twice = rewritten(good, "proof", '"precision":30', '"precision":12,"precision":30')
    add("repeated-json-key", twice, 2, "a JSON key is repeated")
    padded = rewritten(good, "statement", '"correct":"', '"correct":"0')
    add("leading-zero", padded, 2, "a count with a leading zero")
    as_number = rewritten(good, "statement", f'"correct":"{correct}"', f'"correct":{correct}')
    add("count-as-number", as_number, 2, "counts are decimal strings")
    add("statement-extra-field", rewritten(good, "statement", '"task"', '"note":"","task"'), 2, "an unknown field")
    add("version-unknown", rewritten(good, "version", "2", "3"), 2, "version 3 is unknown")
    add("version-older", rewritten(good, "version", "2", "1"), 2, "version 1 has to be proved again")
    add("format-unknown", rewritten(good, "format", FORMAT_NAME, "proof"), 2, "not a certificate")
    file = parse_tensor_file(serialize_certificate(good))
    add("metadata-extra", serialize_tensor_file({**file.metadata, "note": ""}, file.tensors), 2, "unknown metadata")
    add("tensor-of-no-step", with_tensor(good, "2.size", tensor([0])), 2, "a tensor that belongs to no step")
    step = small_chains()
    floats = stored({"size": step.hints["size"].integers().astype(np.float64)}, "F32")
    float_hint = replace(step, hints={**step.hints, **floats})
    add("hint-of-floats", claim("small", correct, TABLES, float_hint), 2, "hints are integers")
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
            digest = Model(SUBJECTS["small"].config, tensors, TASK).digest()
            certificate = with_statement(good, model_digest=digest)
        add(f"model-{name}", certificate, 2, why, name)


def main(folder: Path) -> None:
    """Write the corpus. Raises ValueError if the checker's verdict is not the one stated here."""
    folder.mkdir(parents=True, exist_ok=True)
    import golden_lists  # noqa: PLC0415 - as above
    import golden_pairs  # noqa: PLC0415 - as above
    import golden_transformers  # noqa: PLC0415 - as above

    parts = (golden_pairs.model_files(), golden_transformers.model_files(), golden_lists.model_files())
    for name, content in model_files().items() | {item for part in parts for item in part.items()}:
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
