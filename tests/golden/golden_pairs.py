"""The part of the golden corpus that is about networks with one hidden layer on two inputs (see make_golden).

Where a rule stops proving something is found by `pair_oracle`: most networks come in two versions, one just inside and one at
or just beyond that place, so that nothing in a bound can be forgotten, or be too large, without a verdict changing.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pair_oracle as oracle
from make_golden import ATTENTION, Corpus, changed, model_file, noise, stored, tensor, with_statement, with_tensor

from certificates import (
    Certificate,
    FrequencyClaim,
    GroupMLP,
    MLPStatement,
    Model,
    RawTensor,
    Statement,
    Step,
    UniformAttention,
    integer_tensor,
)

MLP = "blocks.0.mlp."
FINE = Fraction(1, 512)
CYCLIC = {"modulus": 3, "name": "modular-addition"}
SYMMETRIC = {"group": "symmetric:3", "name": "group-composition"}
UNIFORM = {"act_fn": "relu", "attention_pattern": "uniform", "n_layers": 1, "normalization_type": None}


@dataclass(frozen=True)
class PairSubject:
    """A network on two inputs and its task; `given`: the multiplication table, if the task does not name a group."""

    tensors: Mapping[str, RawTensor]
    task: Any
    given: RawTensor | None = None

    @property
    def config(self) -> GroupMLP | UniformAttention:
        """The sizes."""
        outputs = self.tensors["unembed.W_U"].shape[1]
        if "embed_left.W_E" in self.tensors:
            size, d_mlp = self.tensors["embed_left.W_E"].shape
            return GroupMLP(d_mlp, size, outputs)
        vocab, d_model = self.tensors["embed.W_E"].shape
        n_ctx = len(oracle.decoded(self.tensors["pos_embed.W_pos"]))
        heads, _, d_head = self.tensors[ATTENTION + "W_V"].shape
        return UniformAttention(d_head, self.tensors[MLP + "W_in"].shape[1], d_model, vocab, outputs, n_ctx, heads)

    @property
    def json(self) -> dict[str, Any]:
        """The configuration."""
        config = self.config
        return {**vars(config), **({"architecture": "group-mlp"} if isinstance(config, GroupMLP) else UNIFORM)}

    @property
    def model(self) -> Model:
        """The project's view of it."""
        weights = {name: t for name, t in self.tensors.items() if not name.endswith((".mask", ".IGNORE"))}
        return Model(self.config, weights, self.task)

    @property
    def table(self) -> np.ndarray:
        """The multiplication table."""
        return oracle.table_of(self.task, self.given)

    def file(self) -> bytes:
        """The model file."""
        return model_file(self.json, self.tensors, self.task)

    def tables(self, neurons: Sequence[int]) -> oracle.Tables:
        """The tables of its neurons."""
        return oracle.Tables.of(self.tensors, neurons)

    def with_tensors(self, **weights: Any) -> "PairSubject":
        """The same network with other tensors (`__` stands for a dot in their names)."""
        more = {name.replace("__", "."): np.asarray(value, np.float64) for name, value in weights.items()}
        return replace(self, tensors={**self.tensors, **stored(more, "F32")})

    def claim(self, correct: int | np.ndarray, *steps: Step, precision: int = 30) -> Certificate:
        """A certificate about it."""
        size = len(self.table)
        statement = Statement(self.model.digest(), self.task, int(np.sum(correct)), size**2)
        return Certificate(statement, precision, steps, {} if self.given is None else {"table": self.given})


def floats(numbers: Any) -> np.ndarray:
    """Fractions as floats."""
    return np.asarray(numbers).astype(np.float64)


def mlp(left: Any, right: Any, unembed: Any, bias: Any = None, out: Any = None, dtype: str = "F32") -> dict[str, RawTensor]:
    """The tensors of a group MLP."""
    weights = {"embed_left.W_E": left, "embed_right.W_E": right, "mlp.b_in": bias, "unembed.W_U": unembed, "unembed.b_U": out}
    return stored({name: floats(value) for name, value in weights.items() if value is not None}, dtype)


def given_task(table: np.ndarray) -> dict[str, str]:
    """The task with this table."""
    text = json.dumps(table.tolist(), separators=(",", ":"))
    return {"name": "group-composition", "table": hashlib.sha256(text.encode()).hexdigest()}


def with_table(subject: PairSubject, table: Any) -> PairSubject:
    """The same network with a task that comes with its table."""
    array = np.array(table, np.int64)
    return replace(subject, task=given_task(array), given=integer_tensor(array))


# --- networks --------------------------------------------------------------------------------------------------------

# Functions of s = a + b = 0 .. 4 that are 1 where s mod 3 is 0, 1, 2 and else 0: constants, and weights of relu(s - 0, .., 3).
CORNERS = np.array([[-1, 1, 0], [1, -2, 1], [1, 1, -2], [-2, 1, 1]])
START = (1, 0, 0)
KNOTS = (0, -1, -2, -3)
STEPS = np.arange(3.0)[:, None]


def sums(reach: Fraction = Fraction(0), out: Any = START) -> PairSubject:
    """Addition modulo 3 by four neurons, which gives a margin of 1 everywhere; two further neurons can add `reach` and 0."""
    more = np.array([[-1, 1], [0, -1], [1, -2]]) / 4
    table = np.concatenate([STEPS.repeat(4, 1), more], axis=1)
    rest = np.array([[-reach, reach, 0], [3, 0, -3]])
    return PairSubject(mlp(table, table, np.concatenate([CORNERS, rest]), (*KNOTS, 0, -1 / 2), out), CYCLIC)


def differences(dtype: str = "F32") -> PairSubject:
    """Subtraction modulo 3, which is no group: s = a + (2 - b)."""
    left, right = STEPS.repeat(4, 1), (2 - STEPS).repeat(4, 1)
    weights = mlp(left, right, np.roll(CORNERS, 1, axis=1), KNOTS, np.roll(START, 1), dtype)
    return with_table(PairSubject(weights, None), (np.arange(3)[:, None] - np.arange(3)) % 3)


def exclusive(outputs: int = 3) -> PairSubject:
    """Addition modulo 2 without biases, with an output that is no element."""
    left = [[0, -1 / 2, 1], [1, 1 / 2, 1]]
    right = [[0, -1 / 2, 0], [1, 1 / 2, 0]]
    unembed = np.array([[0, 1, 0], [0, -2, 0], [1 / 2, 0, 1 / 4]])[:, :outputs]
    return PairSubject(mlp(left, right, unembed, dtype="F16"), {"modulus": 2, "name": "modular-addition"})


def constant(task: Any, size: int, favourite: int, given: RawTensor | None = None) -> PairSubject:
    """A network that always gives the same output."""
    bias = np.eye(size)[favourite]
    return PairSubject(mlp(np.zeros((size, 1)), np.zeros((size, 1)), np.ones((1, size)), None, bias, "F16"), task, given)


def uniform_weights(size: float = 0.0, outputs: int = 4) -> dict[str, np.ndarray]:
    """Addition modulo 3 by attention: two heads carry the sum of the tokens, of which four neurons make logits; and noise."""
    values = np.zeros((2, 5, 1))
    values[:, 0, 0] = 1, 2
    output = np.zeros((2, 1, 5))
    output[:, 0, 1] = 1
    embed = np.zeros((4, 5))
    embed[:3, 0] = range(3)
    read, write = np.zeros((5, 6)), np.zeros((6, 5))
    read[1, :4], write[:4, 2:] = 1, CORNERS
    weights = {
        "embed.W_E": embed + size * noise(4, 5, 31),
        "pos_embed.W_pos": size * noise(3, 5, 32),
        ATTENTION + "W_V": values + size * noise(10, 1, 33).reshape(2, 5, 1),
        ATTENTION + "W_O": output + size * noise(2, 5, 34).reshape(2, 1, 5),
        MLP + "W_in": read + size * noise(5, 6, 35),
        MLP + "W_out": write + size * noise(6, 5, 36),
        MLP + "b_in": np.array([*KNOTS, -1, 1 / 2]) + size * noise(1, 6, 37)[0],
        "unembed.W_U": np.eye(5, outputs, -2) + size * noise(5, outputs, 38),
        "unembed.b_U": np.array([*START, -1])[:outputs] + size * noise(1, outputs, 39)[0],
    }
    if not size:
        return weights
    return weights | {
        ATTENTION + "b_V": size * noise(2, 1, 40),
        ATTENTION + "b_O": size * noise(1, 5, 41)[0],
        MLP + "b_out": size * noise(1, 5, 42)[0],
    }


def uniform_subject(reach: float = 0.0, size: float = 1 / 32, outputs: int = 4) -> PairSubject:
    """The network, with the last two neurons' weights scaled by `reach`."""
    weights = uniform_weights(size, outputs)
    weights[MLP + "W_out"][4:] = noise(2, 5, 43) * reach
    return PairSubject(stored(weights, "F32"), CYCLIC)


WAVES, PHASES = 5, 2 * np.pi * np.arange(12) / 12
"""Neurons of frequencies 1 and 2 by turns, at twelve phases."""


def waves(tied: bool = True) -> PairSubject:
    """Addition modulo 5 by neurons that read a single frequency each."""
    angle = 2 * np.pi * np.outer(np.arange(WAVES), 1 + np.arange(12) % 2) / WAVES
    left, unembed = np.cos(angle - PHASES), np.cos(angle - 2 * PHASES).T
    weights = mlp(left, left if tied else np.cos(angle + PHASES), unembed)
    return PairSubject(weights, {"modulus": WAVES, "name": "modular-addition"})


def spectral(favour: float) -> PairSubject:
    """`waves` with noise, and an output that is favoured."""
    angle = 2 * np.pi * np.outer(np.arange(WAVES), 1 + np.arange(12) % 2) / WAVES
    left = np.cos(angle - PHASES) + noise(5, 12, 81) / 256
    unembed, bias = np.cos(angle - 2 * PHASES).T + noise(12, 5, 82) / 256, noise(1, 12, 83)[0] / 256
    out = noise(1, 5, 84)[0] / 256 + favour * (np.arange(5) == 1)
    return PairSubject(mlp(left, left, unembed, bias, out), {"modulus": WAVES, "name": "modular-addition"})


def five() -> PairSubject:
    """Any transformer whatever for addition modulo 5: two heads, three dimensions, six neurons."""
    weights = {
        "embed.W_E": noise(6, 3, 71),
        "pos_embed.W_pos": noise(3, 3, 72),
        ATTENTION + "W_V": noise(6, 1, 73).reshape(2, 3, 1),
        ATTENTION + "W_O": noise(2, 3, 74).reshape(2, 1, 3),
        ATTENTION + "b_V": noise(2, 1, 75),
        ATTENTION + "b_O": noise(1, 3, 76)[0],
        MLP + "W_in": noise(3, 6, 77),
        MLP + "b_in": noise(1, 6, 78)[0],
        MLP + "W_out": noise(6, 3, 79),
        "unembed.W_U": noise(3, 5, 80),
    }
    return PairSubject(stored(weights, "F32"), {"modulus": 5, "name": "modular-addition"})


# Neurons (beta, gamma, t) that together are 1 where a + b = beta - gamma and else 0, all multiplied by 3 in the tables.
ATTENDING = [
    (x, y, int(t))
    for x, y in np.ndindex(3, 3)
    for t in (*CORNERS[:, (x - y) % 3], int(x == y))  # relu(a + b), .., relu(a + b - 3), 1
    if t or x == y
]


def attending_to_sets() -> PairSubject:
    """Uniform attention whose direct path does nothing; and neurons at cells of two sets of three points."""
    weights = uniform_weights(0, 3)
    knots = [k for x, y in np.ndindex(3, 3) for k, t in enumerate((*CORNERS[:, (x - y) % 3], int(x == y))) if t or x == y]
    write = np.zeros((len(knots), 5))
    write[range(len(knots)), [2 + (x - y) % 3 for x, y, _ in ATTENDING]] = [t for *_, t in ATTENDING]
    read = np.zeros((5, len(knots)))
    read[1] = [float(k < 4) for k in knots]
    weights |= {MLP + "W_in": read, MLP + "W_out": write, MLP + "b_in": np.array([-k if k < 4 else 1 for k in knots])}
    return PairSubject(stored(weights | {"unembed.b_U": np.zeros(3)}), CYCLIC)


def swapping() -> PairSubject:
    """Addition modulo 2 by a neuron at each cell of two sets of two points."""
    swaps = np.array([[0, 1], [1, 0]])
    neurons = [(x, y, 1.0, (-1, 1), (-1, 1)) for x, y in np.ndindex(2, 2)]
    left, right, unembed = on_sets(swaps, [(swaps, swaps, np.eye(2), neurons)])
    return PairSubject(mlp(left, right, unembed.T, dtype="F16"), {"modulus": 2, "name": "modular-addition"})


def with_outputs(out: Sequence[float]) -> PairSubject:
    """A network for addition modulo 2 that always gives these outputs."""
    weights = mlp(np.zeros((2, 1)), np.zeros((2, 1)), np.zeros((1, len(out))), None, out, "F16")
    return PairSubject(weights, {"modulus": 2, "name": "modular-addition"})


Neuron = tuple[int, int, float, Any, Any]
"""beta, gamma, t, and the functions lam and mu."""


def on_sets(table: np.ndarray, sets: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray, Sequence[Neuron]]]) -> list[np.ndarray]:
    """left, right and unembed of neurons at cells of sets: (action on X, action on Y, kernel, neurons)."""
    unit = next(g for g in range(len(table)) if all(table[g] == np.arange(len(table))))
    back = [int(np.flatnonzero(row == unit)[0]) for row in table]
    columns: list[list[Any]] = [[], [], []]
    for action_x, action_y, kernel, neurons in sets:
        for beta, gamma, t, lam, mu in neurons:
            columns[0].append(np.array(lam)[action_x[back, beta]])
            columns[1].append(np.array(mu)[action_y[:, gamma]])
            columns[2].append(t * kernel[beta, action_y[:, gamma]])
    return [np.array(part, np.float64).T for part in columns]


CELLS_3 = tuple(np.ndindex(3, 3))
SHIFTS = (np.arange(3)[:, None] + np.arange(3)) % 3
POINTS = np.array([[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]])
REGULAR = np.array(oracle.named_group("symmetric:3"))
# A function of y^-1 x is invariant.
SKEW = np.array([[(0, 3, -1)[POINTS[REGULAR[y].tolist().index(0), x]] for y in range(6)] for x in range(3)])
SOME_CELLS = ((0, 1), (0, 4), (1, 0), (1, 5), (2, 2), (2, 2))
EYE = np.eye(3, dtype=np.int64)
LOOP = ((0, 1, 2, 3, 4), (1, 0, 3, 4, 2), (2, 4, 0, 1, 3), (3, 2, 4, 0, 1), (4, 3, 1, 2, 0))
UPWARDS = (-1, 0, 1)


@cache
def rotations(out: Fraction = Fraction(0), size: float = 0.0) -> PairSubject:
    """Addition modulo 3 by two neurons at each cell of two sets of three points, and one more; noise of a size."""
    neurons = [(x, y, 1.0, UPWARDS, np.array(UPWARDS) + 1 - 2 * k) for x, y in CELLS_3 for k in (0, 1)]
    left, right, unembed = on_sets(SHIFTS, [(SHIFTS, SHIFTS, EYE, neurons)])
    left, right = left + size * noise(3, 18, 51), right + size * noise(3, 18, 52)
    unembed = np.concatenate([unembed.T + size * noise(18, 3, 53), [[0, size, -size]]])
    left, right = (np.concatenate([part, STEPS / 4 - 1 / 4], axis=1) for part in (left, right))
    return PairSubject(mlp(left, right, unembed, None, (0, out / 4, out)), CYCLIC)


@cache
def permutations(out: Fraction = Fraction(0), outer: float = 1 / 256) -> PairSubject:
    """S3 by two neurons at each cell of two sets of three points, and six at cells of sets of three and six, all with noise.

    Two more neurons belong to no cell.
    """
    first = [(x, y, 1 + k / 4, UPWARDS, np.array(UPWARDS) + 1 - 2 * k) for x, y in CELLS_3 for k in (0, 1)]
    second = [(x, y, 1 / 128, (0, 1 / 2, 1), np.arange(6) / 4) for x, y in SOME_CELLS]
    parts = on_sets(REGULAR, [(POINTS, POINTS, EYE, first), (POINTS, REGULAR, SKEW, second)])
    more = [noise(6, 2, 60 + k) / 16 for k in range(3)]
    left, right, unembed = (
        np.concatenate([part, others], axis=1) + outer * noise(6, 26, 63 + k)
        for k, (part, others) in enumerate(zip(parts, more, strict=True))
    )
    bias = np.arange(26) % 3 / 4
    left = left - bias
    return PairSubject(mlp(left, right, unembed.T, bias, [0, out, out / 2, out / 4, out, 0]), SYMMETRIC)


# --- steps -----------------------------------------------------------------------------------------------------------


def hidden(neurons: Any) -> Step:
    """A step of rule hidden-tables."""
    return Step("hidden-tables", (), {}, {"neurons": tensor(neurons)})


def pairs_step(pairs: Any, mirrored: int = 0, premises: tuple[int, ...] = (0,)) -> Step:
    """A step of rule coded-output without a code."""
    return Step("coded-output", premises, {"mirrored": mirrored}, {"pairs": tensor(pairs)})


def low_rank_step(
    pairs: Any, starts: Any, factors: Sequence[Any], mirrored: int = 0, pairwise: int = 1, scale: int = 6
) -> Step:
    """A step of rule coded-output: by factors of blocks of neurons, in units of 2**-scale."""
    codes, right, centre = map(np.asarray, factors)
    blocks, rank, outputs = right.shape
    block = np.searchsorted(starts, np.arange(len(codes)), side="right") - 1
    hints = {
        "pairs": pairs,
        "atoms": rank * block[:, None] + np.arange(rank),
        "codes": codes,
        "dictionary": right.reshape(blocks * rank, outputs),
        "centre": centre,
    }
    parameters = {"mirrored": mirrored, "pairwise": pairwise, "scale": scale}
    return Step("coded-output", (0,), parameters, {name: tensor(hint) for name, hint in hints.items()})


def dictionary_step(pairs: Any, factors: Sequence[Any], mirrored: int = 0, pairwise: int = 1) -> Step:
    """A step of rule coded-output: the same factors of two blocks, and a fifth atom, the sum of the first of either block.

    Every neuron has some of it, and so much less of the other two.
    """
    same = low_rank_step(pairs, STARTS, factors, mirrored, pairwise)
    codes, rows = (same.hints[name].integers() for name in ("codes", "dictionary"))
    shared = np.array([3, -5, 2, 7])
    split = np.stack([codes[:, 0] - shared, codes[:, 1], -shared, shared], 1)
    split[2:] = np.stack([-shared, codes[:, 0] - shared, codes[:, 1], shared], 1)[2:]
    atoms = [[0, 1, 2, 4], [0, 1, 2, 4], [0, 2, 3, 4], [0, 2, 3, 4]]
    return with_hints(same, atoms=atoms, codes=split, dictionary=np.concatenate([rows, rows[:1] + rows[2:3]]))


def in_units(hint: Any, scale: int = 6) -> Any:
    """The numbers that a hint stands for."""
    return oracle.fractions(np.asarray(hint)) / Fraction(2) ** scale


def crosscoder_step(pairs: Any, mirrored: int = 0, pairwise: int = 1, outputs: int = 3, uniform: bool = False) -> Step:
    """A step of rule coded-output about FOUR: atoms as in low_rank_step, with features that read nearly the same."""
    same = low_rank_step(pairs, STARTS, (LEFT_FACTOR, right_factor(outputs, 8), [3, -2, 1, 4]), mirrored, pairwise)
    apart = 0 if uniform else np.array([3, 1, 1, -2]) * 16  # of FOUR, as in `untied`
    knots = np.array(KNOTS)[list(FOUR)] * 64
    left, right = 64 * STEPS + knots + apart + [1, -2, 0, 3], 64 * STEPS - apart + [2, 0, -1, 1]
    if uniform:  # three times as large
        left, right = 3 * left, 3 * right
    left, right = left.astype(np.int64), right.astype(np.int64)
    left[1], right[2] = left[1] + [5, 0, -3, 2], right[2] - [0, 4, 1, 2]
    features = {"left_features": tensor(left), "right_features": tensor(right)}
    return replace(same, hints={**same.hints, **features})


def structured_step(
    pairs: Any, action: Any, generators: Any, neurons: Sequence[tuple[int, int, int]], mirrored: int = 0, scale: int = 4
) -> Step:
    """A step of rule set-output about pairs; neurons: (beta, gamma, t), t in units of 2**-scale."""
    columns = dict(zip(("beta", "gamma", "t"), np.array(neurons).T, strict=True))
    hints = {"pairs": pairs, "action": action, "generators": generators, **columns}
    parameters = {"mirrored": mirrored, "scale": scale}
    return Step("set-output", (0,), parameters, {name: tensor(hint) for name, hint in hints.items()})


Sets = tuple[Any, Any, Any, Sequence[tuple[int, int, int]]]
"""An action on X, an action on Y, a kernel, and neurons: (beta, gamma, t)."""


def sets_step(generators: Any, *sets: Sets, scale: int = 4) -> Step:
    """A step of rule set-output about all pairs, every set having points of its own; t in units of 2**-scale."""
    actions = [np.array(action) for one in sets for action in one[:2]]
    starts = np.cumsum([0, *(action.shape[1] for action in actions)])
    whole, neurons = np.zeros((starts[-1],) * 2, np.int64), list[tuple[int, int, int]]()
    for k, (_, _, kernel, members) in enumerate(sets):
        x, y, end = starts[2 * k : 2 * k + 3]
        whole[x:y, y:end] = kernel
        neurons += [(x + beta, y + gamma, t) for beta, gamma, t in members]
    hints = {
        "action": np.concatenate([action + start for action, start in zip(actions, starts, strict=False)], axis=1),
        "generators": generators,
        "kernel": whole,
        **dict(zip(("beta", "gamma", "t"), np.array(neurons).T, strict=True)),
    }
    return Step("set-output", (0,), {"scale": scale}, {name: tensor(hint) for name, hint in hints.items()})


EVERY = np.ones((3, 3), np.int64)
UPPER = np.triu(EVERY)
FOUR = (2, 0, 3, 1)
"""The neurons of `sums` that are of use, in some order."""

STARTS = (0, 2)
# In units of 1/64: rows of unembed of FOUR, block by block, but not quite.
LEFT_FACTOR = np.array([[64, 1], [0, 63], [64, 0], [-1, 65]])
CENTRE = np.array([50, 130, 60, 100])


def right_factor(outputs: int = 3, off: int = 1) -> np.ndarray:
    """Rows of unembed, nearly, block by block."""
    rows = np.pad(CORNERS[list(FOUR)], ((0, 0), (0, outputs - 3))) * 64
    rows[:, 0] += off
    rows[1::2, 1] -= 2 * off
    return rows.reshape(2, 2, outputs)


def factors(outputs: int = 3) -> tuple[Any, Any, Any]:
    """Factors that leave something out."""
    return LEFT_FACTOR, right_factor(outputs), CENTRE


ROTATING = [(*cell, 16) for cell in CELLS_3 for _ in (0, 1)]
PERMUTING = [(*cell, t) for cell in CELLS_3 for t in (16, 20)]
SKEWED = [(*cell, 1) for cell in SOME_CELLS]
KEPT = (*range(18), 18, 19, 20, 21, 22, 23, 24)
"""Neurons of `permutations`: all but the last."""
STILL = np.zeros((6, 1), np.int64)
"""S3 on a point that stays where it is."""


NARROW, TILT = 1 / 64, 14
READING = 2**30 * np.eye(5, dtype=np.int64)[:, 1:] + 2**12 * np.array(
    [[0, 0, 1, 2], [1, 0, 0, 0], [2, 1, -3, 0], [0] * 4, [0] * 4]
)
WRITING = 2**30 * np.eye(5, dtype=np.int64)[:, 2:] + 2**13 * np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0], [0] * 3, [0] * 3])
"""Bases of a part of the residual stream, not quite orthonormal."""


def projected_step(reading: Any = READING, writing: Any = WRITING, neurons: Any = FOUR, tilt: int = TILT) -> Step:
    """A step of rule hidden-tables with bases."""
    hints = {"neurons": tensor(neurons), "reading": tensor(reading), "writing": tensor(writing)}
    return Step("hidden-tables", (), {"tilt": tilt}, hints)


def wave_hints() -> dict[str, Any]:
    """Each neuron of `spectral` writes and reads one frequency; four of them nearly ideally."""
    main = np.stack([1 + np.arange(12) % 2, np.arange(12)], axis=1)
    main = main[np.argsort(main[:, 0], kind="stable")]
    twice, once = (np.rint(2**12 * np.stack([np.cos(x), np.sin(x)], 1)).astype(np.int64) for x in (2 * PHASES, PHASES))
    ideal = main[:, 1] % 3 == 1
    upper = np.triu(5 * np.arange(5)[:, None] + np.arange(5) + 1) - 1
    return {
        "bucket": np.where(np.eye(5) > 0, 2**40, upper),
        "exact": main[~ideal][::-1],
        "exact_vectors": twice[main[~ideal, 1]][::-1],
        "ideal": main[ideal],
        "ideal_vectors": twice[main[ideal, 1]],
        "reading": 1 + np.arange(12) % 2,
        "wave": once,
        "level": np.zeros(12, np.int64),
        "weight": np.arange(12) % 2,
        "entry_weight": [1, 0, -1, 0],
    }


def angle_hints() -> dict[str, Any]:
    """The neurons of `waves` as waves that they read and write, for all pairs."""
    neuron = np.argsort(np.arange(12) % 2, kind="stable")
    twice, once = (np.rint(2**24 * np.stack([np.cos(x), np.sin(x)], 1)).astype(np.int64) for x in (2 * PHASES, PHASES))
    zero = np.zeros(12, np.int64)
    return {
        "bucket": np.zeros((5, 5), np.int64),
        "exact": np.zeros((0, 2), np.int64),
        "exact_vectors": np.zeros((0, 2), np.int64),
        "ideal": np.stack([1 + neuron % 2, neuron], axis=1),
        "ideal_vectors": twice[neuron],
        "reading": 1 + np.arange(12) % 2,
        "wave": once,
        "level": zero,
        "weight": zero,
        "entry_weight": zero,
    }


def wave_step(mirrored: int = 1, scale: int = 12, angles: int = 0, **hints: Any) -> Step:
    """A step of rule wave-output."""
    said = {name: tensor(hint) for name, hint in {**(angle_hints() if angles else wave_hints()), **hints}.items()}
    return Step("wave-output", (0,), {"angles": angles, "mirrored": mirrored, "scale": scale}, said)


def rotating(pairs: Any = EVERY, neurons: Any = ROTATING, **more: Any) -> Step:
    """Rule set-output about pairs, of `rotations`."""
    return structured_step(pairs, more.pop("action", SHIFTS), more.pop("generators", [1]), neurons, **more)


def rotating_sets(neurons: Any = ROTATING, **more: Any) -> Step:
    """Rule set-output about all pairs, of `rotations`."""
    one = more.pop("action_x", SHIFTS), more.pop("action_y", SHIFTS), more.pop("kernel", EYE), neurons
    return sets_step(more.pop("generators", [1]), one, **more)


def finer(neurons: Sequence[tuple[int, int, int]], bits: int) -> list[tuple[int, int, int]]:
    """The same t in smaller units."""
    return [(beta, gamma, t << bits) for beta, gamma, t in neurons]


def permuting_sets(*sets: Sets, generators: Any = (1, 2)) -> Step:
    """Rule set-output about all pairs, of `permutations`: two kinds of sets, of one of which some cells are empty; t in units
    of 2**-7. And a neuron that is at no cell of either.
    """
    main = POINTS, POINTS, EYE, finer(PERMUTING, 3)
    skew = POINTS, REGULAR, SKEW, SKEWED
    return sets_step(generators, *(sets or (main, skew, (STILL, STILL, [[0]], [(0, 0, 0)]))), scale=7)


def exact_sets(step: Step) -> list[oracle.Sets]:
    """What a step about all pairs says."""
    hints = {name: hint.integers() for name, hint in step.hints.items()}
    t = in_units(hints["t"], step.parameters["scale"])
    return oracle.parts_of(hints["action"], hints["kernel"], list(zip(hints["beta"], hints["gamma"], t, strict=True)))


def limit(excess: Fraction | float, inside: bool) -> Fraction:
    """A number just below `excess`, or equal to it or just above."""
    fine = int(excess * 4096)
    if isinstance(excess, Fraction) and fine == excess * 4096 and not inside:
        return Fraction(excess)
    return Fraction(fine, 4096) + (-FINE if inside else FINE)


def summing_pairs(inside: bool) -> PairSubject:
    """`sums` that coded-output proves without a code, or does not any more."""
    return sums(limit(oracle.evaluated(sums().tables(FOUR), sums().table, EVERY), inside))


def summing_factors(inside: bool, pairwise: int) -> PairSubject:
    """`sums` that coded-output proves by blocks, or does not any more."""
    p, q, mu = map(in_units, factors())
    excess = oracle.low_rank(sums().tables(FOUR), sums().table, UPPER, STARTS, (p, q, mu), pairwise)
    return sums(limit(excess / 2, inside))


def crossing_hints(step: Step) -> tuple[Any, Any, Any, Any, Any]:
    """What a step of coded-output with features says: P, Q, mu, l and r."""
    names = ("atoms", "codes", "dictionary", "centre", "left_features", "right_features")
    atoms, *integers = (step.hints[name].integers() for name in names)
    codes, q, mu, left, right = (in_units(numbers, step.parameters["scale"]) for numbers in integers)
    p = in_units(np.zeros((len(atoms), len(q))))
    for (i, j), k in np.ndenumerate(atoms):
        p[i, k] += codes[i, j]
    return p, q, mu, left, right


def untied(reach: Fraction = Fraction(0)) -> PairSubject:
    """`sums`, whose two inputs are read differently; the sums are the same."""
    subject = sums(reach)
    left, right = (oracle.decoded(subject.tensors[f"embed_{side}.W_E"]) for side in ("left", "right"))
    apart = np.array([1, -2, 3, 1, 0, 0]) / 4
    return subject.with_tensors(embed_left__W_E=floats(left) + apart, embed_right__W_E=floats(right) - apart)


def crossing(inside: bool, pairwise: int) -> PairSubject:
    """`untied` that coded-output proves with features, or does not any more."""
    hints = crossing_hints(crosscoder_step(EVERY, pairwise=pairwise))
    excess = oracle.crosscoder(untied().tables(FOUR), SHIFTS, EVERY, hints, pairwise)
    return untied(limit(excess / 2, inside))


def attending_to_features(inside: bool) -> PairSubject:
    """A network with uniform attention that coded-output proves with features, or does not any more."""

    def excess(subject: PairSubject) -> float:
        hints = crossing_hints(crosscoder_step(UPPER, 1, outputs=4, uniform=True))
        return oracle.crosscoder(subject.tables(FOUR), subject.table, UPPER, hints, 1)

    none, one = excess(uniform_subject()), excess(uniform_subject(1.0))
    reach = none / (none - one) * (0.998 if inside else 1.002)
    return uniform_subject(round(reach * 2**12) / 2**12)


def attending(inside: bool, pairwise: int | None) -> PairSubject:
    """A network with uniform attention that coded-output proves without a code (None) or by blocks, or does not any more."""

    def excess(subject: PairSubject) -> float:
        tables, table = subject.tables(FOUR), subject.table
        if pairwise is None:
            return float(oracle.evaluated(tables, table, UPPER))
        return oracle.low_rank(tables, table, UPPER, STARTS, tuple(map(in_units, factors(4))), pairwise) / 2

    none, one = excess(uniform_subject()), excess(uniform_subject(1.0))
    reach = none / (none - one) * (0.998 if inside else 1.002)
    return uniform_subject(round(reach * 2**12) / 2**12)


def projecting(inside: bool) -> PairSubject:
    """A network that hidden-tables with bases and coded-output prove, or do not any more."""

    def excess(subject: PairSubject) -> float:
        tables = oracle.Tables.projected(subject.tensors, FOUR, READING, WRITING, TILT)
        return float(oracle.evaluated(tables, subject.table, UPPER))

    none, one = excess(uniform_subject(size=NARROW)), excess(uniform_subject(1.0, NARROW))
    reach = none / (none - one) * (0.998 if inside else 1.002)
    return uniform_subject(round(reach * 2**12) / 2**12, NARROW)


def turning_waves(inside: bool) -> PairSubject:
    """`spectral` that wave-output proves, or does not any more."""
    few, many = 0, 2**14
    while many - few > 1:
        middle = (few + many) // 2
        spare = oracle.waves(spectral(middle / 2**12).tables(range(12)), wave_hints(), 12)
        few, many = (middle, many) if min(spare.values()) > 0 else (few, middle)
    return spectral((few if inside else few + 1) / 2**12)


def turning(inside: bool, by_sets: bool) -> PairSubject:
    """`rotations` that set-output proves, all pairs at once or each by itself, or does not any more."""
    subject = rotations(size=1 / 256)
    tables = subject.tables(range(18))
    if by_sets:
        excess = oracle.uniform(tables, subject.table, exact_sets(rotating_sets()))
    else:
        of_each = [(x, y, Fraction(t, 16)) for x, y, t in ROTATING]
        excess = oracle.structured(tables, subject.table, EVERY, SHIFTS, of_each)
    return rotations(limit(excess, inside), 1 / 256)


def shuffling(inside: bool, by_sets: bool) -> PairSubject:
    """`permutations` that set-output proves, all pairs at once or each by itself, or does not any more."""
    subject = permutations()
    if by_sets:
        parts = exact_sets(permuting_sets())
        return permutations(limit(oracle.uniform(subject.tables(KEPT), subject.table, parts), inside))
    of_each = [(x, y, Fraction(t, 16)) for x, y, t in PERMUTING]
    every = np.ones((6, 6), np.int64)
    excess = oracle.structured(subject.tables(range(18)), subject.table, every, POINTS, of_each)
    return permutations(limit(excess, inside))


# --- the corpus ------------------------------------------------------------------------------------------------------


@cache
def subjects() -> dict[str, PairSubject]:
    """Networks by name."""
    found = {
        "waves": waves(),
        "waves-untied": waves(tied=False),
        "sums": sums(Fraction(255, 256)),
        "sums-edge": summing_pairs(False),
        "sums-beyond": sums(Fraction(257, 256)),
        "factors-pairwise": summing_factors(True, 1),
        "factors-pairwise-edge": summing_factors(False, 1),
        "factors": summing_factors(True, 0),
        "factors-edge": summing_factors(False, 0),
        "crosscoder": crossing(True, 0),
        "crosscoder-edge": crossing(False, 0),
        "crosscoder-pairwise": crossing(True, 1),
        "crosscoder-pairwise-edge": crossing(False, 1),
        "uniform-crosscoder": attending_to_features(True),
        "uniform-crosscoder-edge": attending_to_features(False),
        "sums-untied": untied(Fraction(1, 4)),
        "differences": differences(),
        "differences-bf16": differences("F64"),
        "exclusive": exclusive(),
        "exclusive-two": exclusive(2),
        "uniform-plain": uniform_subject(size=0),
        "uniform": attending(True, None),
        "uniform-edge": attending(False, None),
        "uniform-factors": attending(True, 0),
        "uniform-factors-edge": attending(False, 0),
        "uniform-factors-pairwise": attending(True, 1),
        "uniform-factors-pairwise-edge": attending(False, 1),
        "uniform-five": five(),
        "uniform-narrow": projecting(True),
        "uniform-narrow-edge": projecting(False),
        "spectral": turning_waves(True),
        "spectral-edge": turning_waves(False),
        "uniform-three": uniform_subject(size=0, outputs=3),
        "attending": attending_to_sets(),
        "swaps": swapping(),
        "swaps-diagonal": swapping().with_tensors(unembed__W_U=np.array([[1, 0], [0, 0], [0, 0], [1, 0]])),
        "rotations": rotations(),
        "permutations": permutations(),
        "output-behind": with_outputs((1, 0, 1 / 2)),
        "output-tied": with_outputs((1, 0, 1)),
        "output-ahead": with_outputs((1, 0, 2)),
        "favourite-2": constant(None, 2, 0),
        "favourite-4": constant(None, 4, 0),
        "favourite-5": constant(None, 5, 0),
        "favourite-6": constant(None, 6, 0),
        "favourite-10": constant(None, 10, 0),
        "structured": turning(True, False),
        "structured-edge": turning(False, False),
        "sets": turning(True, True),
        "sets-edge": turning(False, True),
        "structured-symmetric": shuffling(True, False),
        "structured-symmetric-edge": shuffling(False, False),
        "sets-symmetric": shuffling(True, True),
        "sets-symmetric-edge": shuffling(False, True),
    }
    for name, (task, favourite) in GROUPS.items():
        found[f"group-{name}"] = constant(task, len(oracle.table_of(task)), favourite)
    return found


GROUPS: Mapping[str, tuple[Any, int]] = {
    "cyclic": ({"group": "cyclic:4", "name": "group-composition"}, 3),
    "dihedral": ({"group": "dihedral:3", "name": "group-composition"}, 4),
    "dihedral-rotation": ({"group": "dihedral:3", "name": "group-composition"}, 1),
    "symmetric": (SYMMETRIC, 3),
    "alternating": ({"group": "alternating:4", "name": "group-composition"}, 5),
    "product": ({"group": "product(dihedral:3,cyclic:2)", "name": "group-composition"}, 9),
    "product-second": ({"group": "product(cyclic:2,symmetric:3)", "name": "group-composition"}, 9),
    "nested-first": ({"group": "product(product(cyclic:2,cyclic:2),cyclic:3)", "name": "group-composition"}, 4),
    "nested": ({"group": "product(cyclic:2,product(cyclic:2,cyclic:3))", "name": "group-composition"}, 7),
}


class PairCorpus:
    """Collects cases about these networks."""

    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus

    def add(self, name: str, content: Certificate | bytes, exit_code: int, why: str, model: str) -> None:
        """One certificate, and what it must get."""
        self.corpus.add(f"pairs-{name}", content, exit_code, why, f"pairs-{model}")

    def claim(self, name: str, code: int, why: str, model: str, correct: Any, *steps: Step, **more: Any) -> None:
        """One certificate about a network, under its own task."""
        self.add(name, subjects()[model].claim(correct, *steps, **more), code, why, model)

    def both(self, name: str, why: str, model: str, correct: Any, *steps: Step, **more: Any) -> None:
        """A network just inside of what a rule proves, and one beyond."""
        self.claim(name, 0, why, model, correct, *steps, **more)
        self.claim(f"{name}-edge", 1, f"{why}: a little too much", f"{model}-edge", correct, *steps, **more)


def add_cases(corpus: Corpus) -> None:
    """All cases about networks on two inputs."""
    pairs = PairCorpus(corpus)
    for part in (
        proved,
        of_angles,
        of_frequencies,
        of_bases,
        of_mlps,
        of_tables,
        of_pairs,
        of_codes,
        of_features,
        of_structure,
        of_sets,
        of_margins,
        of_tasks,
        of_models,
    ):
        part(pairs)


def proved(corpus: PairCorpus) -> None:
    """Every rule, just where it stops proving something."""
    claim, both = corpus.claim, corpus.both
    four, every = hidden(FOUR), np.ones((6, 6), np.int64)
    both("evaluated", "rules hidden-tables and coded-output, two neurons left out", "sums", EVERY, four, pairs_step(EVERY))
    claim("evaluated-beyond", 1, "the neurons left out can do more", "sums-beyond", EVERY, four, pairs_step(EVERY))
    claim("evaluated-precise", 0, "rounded to 60 bits", "sums", EVERY, four, pairs_step(EVERY), precision=60)
    claim("evaluated-precise-edge", 1, "rounded to 60 bits: a tie", "sums-edge", EVERY, four, pairs_step(EVERY), precision=60)
    claim("evaluated-mirrored", 0, "pairs and their mirror images", "sums", EVERY, four, pairs_step(UPPER, 1))
    claim("evaluated-mirrored-edge", 1, "a tie, and its mirror image", "sums-edge", EVERY, four, pairs_step(UPPER, 1))
    claim("evaluated-upper", 0, "pairs without their mirror images", "sums", UPPER, four, pairs_step(UPPER))
    claim("evaluated-none", 0, "no pairs", "sums", 0, four, pairs_step(0 * EVERY))
    apart = (pairs_step(UPPER), pairs_step(1 - UPPER), Step("disjoint-sum", (1, 2)))
    claim("evaluated-sum", 0, "two sets of pairs, added up", "sums", EVERY, four, *apart)
    overlapping = (pairs_step(UPPER), pairs_step(UPPER.T), Step("disjoint-sum", (1, 2)))
    claim("evaluated-sum-overlaps", 1, "the diagonal is counted twice", "sums", 12, four, *overlapping)
    claim("evaluated-given", 0, "subtraction, by its table", "differences", EVERY, four, pairs_step(EVERY))
    claim("evaluated-doubles", 0, "the same in double precision", "differences-bf16", EVERY, four, pairs_step(EVERY))
    two = np.ones((2, 2), np.int64)
    claim("evaluated-exclusive", 0, "no biases, three outputs", "exclusive", two, hidden([0, 1, 2]), pairs_step(two))
    both("uniform", "uniform attention, two heads, two neurons left out", "uniform", EVERY, four, pairs_step(UPPER, 1))
    claim("uniform-plain", 0, "no biases of attention", "uniform-plain", EVERY, four, pairs_step(UPPER, 1))
    claim("uniform-all", 0, "all neurons", "uniform", EVERY, hidden(range(6)), pairs_step(EVERY))
    by_factors = [low_rank_step(UPPER, STARTS, factors(), 1, pairwise) for pairwise in (0, 1)]
    for name, pairwise in (("factors", 0), ("factors-pairwise", 1)):
        why = "rule coded-output, blocks, " + ("distances of all pairs of outputs" if pairwise else "lengths")
        both(f"low-rank-{name}", why, name, EVERY, four, by_factors[pairwise])
        both(
            f"low-rank-uniform-{name}",
            f"{why}, with uniform attention",
            f"uniform-{name}",
            EVERY,
            four,
            low_rank_step(UPPER, STARTS, factors(4), 1, pairwise),
        )
        why = "rule coded-output, a dictionary, " + ("distances of all pairs of outputs" if pairwise else "lengths")
        both(f"dictionary-{name}", why, name, EVERY, four, dictionary_step(UPPER, factors(), 1, pairwise))
        both(
            f"dictionary-uniform-{name}",
            f"{why}, with uniform attention",
            f"uniform-{name}",
            EVERY,
            four,
            dictionary_step(UPPER, factors(4), 1, pairwise),
        )
        crossed = "crosscoder-pairwise" if pairwise else "crosscoder"
        why = "rule coded-output, features, " + ("distances of all pairs of outputs" if pairwise else "lengths")
        both(crossed, why, crossed, EVERY, four, crosscoder_step(EVERY, pairwise=pairwise))
    why, step = "rule coded-output, features, with uniform attention", crosscoder_step(UPPER, 1, outputs=4, uniform=True)
    both("crosscoder-uniform", why, "uniform-crosscoder", EVERY, four, step)
    tilted = [LEFT_FACTOR, right_factor(off=0), CENTRE]
    untied = low_rank_step(EVERY, STARTS, [np.rint(LEFT_FACTOR / 64), np.roll(tilted[1], 1, 2) // 64, CENTRE // 64], scale=0)
    claim("low-rank-given", 0, "the two inputs differ, and nothing is left out", "differences", EVERY, four, untied)
    one_block = [[[4, 0], [-8, 0], [0, 4]], [[[0, 4, 0], [2, 0, 1]]], [0, 0, 0]]
    exact = low_rank_step(two, [0], one_block, scale=2)
    claim("low-rank-exclusive", 0, "no biases, one block", "exclusive", two, hidden([0, 1, 2]), exact)
    eighteen = hidden(range(18))
    both("structured", "rule set-output, each pair", "structured", EVERY, eighteen, rotating())
    both("structured-symmetric", "of S3", "structured-symmetric", every, eighteen, permuting())
    both("sets", "rule set-output, all pairs", "sets", EVERY, eighteen, rotating_sets())
    parts = hidden(KEPT), permuting_sets()
    both("sets-symmetric", "of S3, two parts, a neuron in none, another left out", "sets-symmetric", every, *parts)
    reordered = [*range(18, 24), *range(18), 24]
    still = STILL, STILL, [[0]], [(0, 0, 0)]
    other = (POINTS, REGULAR, SKEW, SKEWED), (POINTS, POINTS, EYE, finer(PERMUTING, 3)), still
    parts = hidden(reordered), permuting_sets(*other, generators=(3, 1))
    claim("sets-reordered", 0, "parts and generators in another order", "sets-symmetric", every, *parts)
    claim("sets-reordered-edge", 1, "a little too much", "sets-symmetric-edge", every, *parts)
    both("sets-same", "both sets are the same points", "sets", EVERY, eighteen, same_points())


def permuting(generators: Any = (1, 2), **more: Any) -> Step:
    """Rule set-output about pairs, of `permutations`."""
    return structured_step(np.ones((6, 6)), more.pop("action", POINTS), generators, PERMUTING, **more)


def same_points() -> Step:
    """As `rotating_sets`, on three points instead of twice three."""
    step = rotating_sets()
    return with_hints(step, action=SHIFTS, kernel=EYE, gamma=step.hints["gamma"].integers() - 3)


def with_hints(step: Step, **hints: Any) -> Step:
    """A step with some hints replaced, or left out (None)."""
    new = {name: hint if isinstance(hint, RawTensor) else tensor(hint) for name, hint in hints.items() if hint is not None}
    kept = {name: hint for name, hint in step.hints.items() if name not in hints}
    return replace(step, hints={**kept, **new})


def with_parameters(step: Step, **parameters: int) -> Step:
    """A step with some parameters replaced."""
    return replace(step, parameters={**step.parameters, **parameters})


def refused(corpus: PairCorpus, prefix: str, model: str, correct: Any, good: Sequence[Step], cases: Sequence[Any]) -> None:
    """An accepted proof, of which one step is another: (name, why, position, step)."""
    for name, why, position, step in cases:
        steps = list(good)
        steps[position] = step
        corpus.claim(f"{prefix}-{name}", 1, why, model, correct, *steps)


MLP_SAID = {
    "frequency": [1, 3],
    "read": [4, 2, 1],
    "second": [2**27, -(2**26)],
    "bias": [2**28, 2**27],
    "basis": [[2**30, 0], [0, 2**30], [0, 0]],
    "group": [0, 1, 0, 1, 0, 1],
    "phase": [3, 19, 0, 11, 7, 5],
    "size": [2**22, 2**23, 0, 2**21, 2**22, 2**23],
    "amplitude": [2**19, 2**18],
}
"""Anything whatever about the six neurons of `five`, in units of 2**-20 and 2**-30."""
MLP_LEAST = (1.4878416335, 1.7324276465)
"""The errors that the rule leaves, from a test that computes them on its own (test_mlp_quadrature)."""


def mlp_errors(beyond: int | None = None) -> list[int]:
    """The errors that are just enough, in units of 2**-20; that of one claim (`beyond`) is a little too small."""
    return [math.floor(least * 2**20 * (1 - 1e-6 if k == beyond else 1 + 1e-6)) for k, least in enumerate(MLP_LEAST)]


def mlp_claim(subject: PairSubject, beyond: int | None = None, **said: Any) -> Certificate:
    """A certificate about what neurons add to the logits."""
    hints = {**MLP_SAID, "error": mlp_errors(beyond), **said}
    parameters = {"parts": 2, "scale": 20, "tilt": 29}
    step = Step("mlp-quadrature", (), parameters, {name: tensor(hint) for name, hint in hints.items()})
    numbers = zip(*(np.asarray(hints[name]).tolist() for name in ("frequency", "amplitude", "error")), strict=True)
    claims = tuple(FrequencyClaim(*one) for one in numbers)
    return Certificate(MLPStatement(subject.model.digest(), subject.task, 20, claims), 60, (step,))


def of_mlps(corpus: PairCorpus) -> None:
    """Rule mlp-quadrature."""
    good = mlp_claim(five())
    step = good.steps[0]
    corpus.add("mlp", good, 0, "any amplitudes, with errors that are just enough", "uniform-five")
    corpus.add("mlp-edge-first", mlp_claim(five(), 0), 1, "the first error is a little too small", "uniform-five")
    corpus.add("mlp-edge-second", mlp_claim(five(), 1), 1, "the second error is a little too small", "uniform-five")
    larger = [2 * error for error in mlp_errors()]
    corpus.add("mlp-larger", mlp_claim(five(), error=larger), 0, "larger errors are true as well", "uniform-five")
    for name, why, hints in (
        ("unread", "twice a frequency is not read", {"read": [4, 1]}),
        ("repeated", "a frequency is repeated", {"frequency": [1, 1]}),
        ("zero", "frequency 0", {"frequency": [0, 1]}),
        ("group", "a third frequency", {"group": [0, 1, 0, 1, 0, 2]}),
        ("phase", "a phase beyond the circle", {"phase": [3, 20, 0, 11, 7, 5]}),
        ("size", "a negative size", {"size": [2**22, 2**23, 0, 2**21, 2**22, -(2**23)]}),
        ("amplitude", "a negative amplitude", {"amplitude": [2**19, -1]}),
        ("basis", "not orthonormal", {"basis": [[2**30, 0], [0, 2**30], [2**20, 0]]}),
    ):
        negative = name == "amplitude"
        certificate = mlp_claim(five(), **{"error": larger, **hints})
        corpus.add(f"mlp-{name}", certificate, 2 if negative else 1, why, "uniform-five")
    corpus.add(
        "mlp-parts",
        replace(good, steps=(replace(step, parameters={**step.parameters, "parts": 17}),)),
        1,
        "17 parts",
        "uniform-five",
    )
    corpus.add("mlp-scale", replace(good, statement=replace(good.statement, scale=19)), 1, "other units", "uniform-five")
    less = tuple(replace(claim, error=claim.error - 1) for claim in good.statement.claims)
    corpus.add(
        "mlp-less", replace(good, statement=replace(good.statement, claims=less)), 1, "smaller than proved", "uniform-five"
    )
    more = tuple(replace(claim, error=claim.error + 1) for claim in good.statement.claims)
    corpus.add(
        "mlp-more", replace(good, statement=replace(good.statement, claims=more)), 1, "not what is proved", "uniform-five"
    )
    one = replace(good.statement, claims=good.statement.claims[:1])
    corpus.add("mlp-one", replace(good, statement=one), 1, "one claim of two", "uniform-five")
    accuracy = Statement(five().model.digest(), five().task, 0, 25)
    corpus.add("mlp-accuracy", replace(good, statement=accuracy), 1, "no accuracy is proved", "uniform-five")
    pairs = (hidden(range(6)), pairs_step(np.zeros((5, 5))))
    corpus.add("mlp-pairs", replace(good, steps=pairs), 1, "nothing is proved about the MLP", "uniform-five")
    after = (hidden(range(6)), replace(step, premises=(0,)))
    corpus.add("mlp-premise", replace(good, steps=after), 1, "no premises", "uniform-five")
    sums_claim = replace(good, statement=MLPStatement(subjects()["sums"].model.digest(), CYCLIC, 20, good.statement.claims))
    corpus.add("mlp-architecture", sums_claim, 1, "a network of another architecture", "sums")


def of_angles(corpus: PairCorpus) -> None:
    """Rule wave-output, by angle."""
    good, twelve = angle_hints(), hidden(range(12))

    def step(mirrored: int = 0, angles: int = 1, **hints: Any) -> Step:
        return wave_step(mirrored, 24, angles, **{**good, **hints})

    every = np.arange(5)
    apart = (every[:, None] - every) % 5
    corpus.claim("angles", 0, "neurons that read and write a single frequency", "waves", 25, twelve, step())
    for precision in (31, 64, 256):
        corpus.claim(f"angles-{precision}", 0, f"to {precision} bits", "waves", 25, twelve, step(), precision=precision)
    upper = np.where(apart.T < 5, np.triu(np.ones((5, 5), np.int64)) - 1, 0)
    corpus.claim("angles-mirrored", 0, "pairs with a <= b", "waves", 25, twelve, step(1, bucket=upper))
    corpus.claim("angles-some", 0, "differences of 0 only", "waves", 5, twelve, step(bucket=np.where(apart == 0, 7, -1)))
    corpus.claim("angles-none", 0, "nothing is claimed", "waves", 0, twelve, step(bucket=0 * apart - 1))
    corpus.claim("angles-pairs", 0, "the same by pairs", "waves", 25, twelve, step(angles=0, bucket=5 * apart + every))
    roll = np.roll(good["wave"], 1, axis=0)
    wrong = [
        (name, why, 1, other)
        for name, why, other in (
            ("two", "angles is 0 or 1", step(angles=2)),
            ("exact", "no entry is exact", step(exact=[[1, 0]], exact_vectors=[[0, 0]])),
            ("frequency-zero", "frequencies are 1 to 4", step(ideal=good["ideal"] - [1, 0])),
            ("order", "entries are in order", step(ideal=good["ideal"][::-1])),
            ("read", "not what neurons read", step(wave=roll)),
            ("read-other", "not the frequency that neurons read", step(reading=3 - good["reading"])),
            ("written", "not what neurons write", step(ideal_vectors=good["ideal_vectors"] * [1, -1])),
            ("nothing-written", "nothing is said to be written", step(ideal_vectors=0 * good["ideal_vectors"])),
            ("level", "not the mean of what neurons write", step(level=good["level"] + 2**24)),
            ("premises", "one premise", replace(step(), premises=(0, 0))),
        )
    ]
    refused(corpus, "angles", "waves", 25, (twelve, step()), wrong)


def of_frequencies(corpus: PairCorpus) -> None:
    """Rule wave-output, by pairs."""
    twelve, step = hidden(range(12)), wave_step()
    good = wave_hints()
    whole = good["bucket"]
    corpus.both("frequencies", "what neurons write, by frequency", "spectral", 25, twelve, step)
    corpus.claim("frequencies-precise", 0, "rounded to 60 bits", "spectral", 25, twelve, step, precision=60)
    corpus.claim("frequencies-upper", 0, "without mirror images", "spectral", 15, twelve, wave_step(0))
    corpus.claim("frequencies-none", 0, "no pairs", "spectral", 0, twelve, wave_step(bucket=0 * whole - 1))
    corpus.claim("frequencies-untied", 0, "two embeddings", "waves-untied", 0, twelve, wave_step(0, bucket=0 * whole - 1))
    two = {
        name: np.repeat(good[name], 2, axis=0) for name in ("exact", "exact_vectors", "ideal", "ideal_vectors", "entry_weight")
    }
    halves = wave_step(scale=13, **two, wave=2 * good["wave"])
    corpus.claim("frequencies-halves", 0, "every entry twice, each with half of its vector", "spectral", 25, twelve, halves)
    last = np.arange(4) == 3
    wrong = [
        (name, why, wave_step(**hints))
        for name, why, hints in (
            ("bucket", "a bucket of -2", {"bucket": np.where(whole == 3, -2, whole)}),
            ("lower", "pairs below the diagonal are mirrored", {"bucket": whole.T}),
            ("one-bucket", "one bucket for all", {"bucket": np.minimum(whole, 0)}),
            ("reading-five", "neurons read 0 to 4", {"reading": good["reading"] + 3}),
            ("reading-negative", "neurons read 0 to 4", {"reading": good["reading"] - 2}),
            ("frequency-zero", "frequencies are 1 to 4", {"exact": good["exact"] * [0, 1]}),
            ("frequency-five", "frequencies are 1 to 4", {"ideal": good["ideal"] + [4, 0]}),
            ("frequency-new", "no ideal entry of this frequency", {"exact": good["exact"] + [2, 0]}),
            ("order", "ideal entries are in order", {"ideal": good["ideal"][::-1]}),
            ("neuron-twelve", "neurons are 0 to 11", {"exact": good["exact"] + [0, 1]}),
            ("neuron-negative", "neurons are 0 to 11", {"ideal": good["ideal"] - [0, 2]}),
            ("weight", "a weight of 2**25", {"weight": good["weight"] + 24}),
            ("weight-least", "a weight with no inverse", {"weight": [-(2**63)] * 12}),
            ("entry-weight", "a weight of 2**-25", {"entry_weight": -25 * last}),
            ("entry-weight-least", "a weight with no inverse", {"entry_weight": np.where(last, -(2**63), 0)}),
            ("vectors", "not what neurons write", {"exact_vectors": np.roll(good["exact_vectors"], 1, axis=0)}),
            ("read", "not what neurons read", {"wave": np.roll(good["wave"], 1, axis=0)}),
            ("read-large", "a number beyond 53 bits", {"wave": np.full((12, 2), 2**53)}),
            ("level", "not the mean of what neurons write", {"level": good["level"] + 2**12}),
            ("short", "an entry without a vector", {"exact_vectors": good["exact_vectors"][1:]}),
            ("short-weights", "an entry without a weight", {"entry_weight": [0, 0, 0]}),
            ("no-ideal", "no ideal entry", {name: good[name][:0] for name in ("ideal", "ideal_vectors", "entry_weight")}),
        )
    ]
    wrong += [
        ("mirrored", "mirrored is 0 or 1", wave_step(2)),
        ("scale", "a scale of 1101", wave_step(scale=1101)),
        ("premises", "one premise", replace(step, premises=(0, 0))),
    ]
    refused(corpus, "frequencies", "spectral", 25, (twelve, step), [(name, why, 1, other) for name, why, other in wrong])
    corpus.claim("frequencies-untied-mirrored", 1, "the network is not symmetric", "waves-untied", 25, twelve, step)
    one = {**dict.fromkeys(("reading", "weight", "level"), [1] * 4), "wave": [[1, 1]] * 4, "bucket": 0 * EVERY - 1}
    corpus.claim("frequencies-subtraction", 1, "the task is not addition", "differences", 0, hidden(FOUR), wave_step(0, **one))


def of_bases(corpus: PairCorpus) -> None:
    """Rule hidden-tables with bases."""
    good, pairs = projected_step(), pairs_step(UPPER, 1)
    corpus.both("bases", "tables by two bases, two neurons left out", "uniform-narrow", EVERY, good, pairs)
    corpus.claim("bases-precise", 0, "rounded to 60 bits", "uniform-narrow", EVERY, good, pairs, precision=60)
    corpus.claim("bases-all", 0, "all neurons", "uniform-narrow", EVERY, projected_step(neurons=range(6)), pairs)
    quarter = np.concatenate([2**29 * np.ones((3, 1)), np.zeros((2, 1))])
    corpus.claim(
        "bases-tilt-two",
        0,
        "just as orthonormal as it says",
        "uniform-narrow",
        0,
        projected_step(quarter, tilt=2),
        pairs_step(0 * EVERY),
    )
    quarter[0] -= 1
    off, none = projected_step(quarter, tilt=2), np.zeros((5, 0))
    corpus.claim("bases-tilt-two-edge", 1, "a little less", "uniform-narrow", 0, off, pairs_step(0 * EVERY))
    wrong = [
        ("tilt", "less orthonormal than it says", projected_step(tilt=TILT + 3)),
        ("tilt-one", "a tilt of 1", projected_step(tilt=1)),
        ("tilt-31", "a tilt of 31", projected_step(tilt=31)),
        ("no-reading", "a basis without columns", projected_step(reading=none)),
        ("no-writing", "a basis without columns", projected_step(writing=none)),
        ("wide", "more columns than rows", projected_step(reading=2**30 * np.eye(5, 6))),
        ("long", "more rows than there are dimensions", projected_step(writing=2**30 * np.eye(6, 5))),
        ("large", "a number beyond 53 bits", projected_step(reading=np.full((5, 1), 2**53))),
        ("other", "a basis of something else", projected_step(reading=READING[:, :1])),
        ("repeated", "a neuron is chosen twice", projected_step(neurons=(*FOUR, 5, 5))),
        ("none", "no neuron is chosen", projected_step(neurons=np.zeros(0))),
        ("scale", "an unknown parameter", with_parameters(good, scale=0)),
        ("untilted", "two bases without a tilt", replace(good, parameters={})),
        ("one-way", "a basis for reading only", with_hints(good, writing=None)),
        ("other-way", "a basis for writing only", with_hints(good, reading=None)),
        ("missing", "a tilt of no bases", with_hints(good, reading=None, writing=None)),
    ]
    refused(corpus, "bases", "uniform-narrow", EVERY, (good, pairs), [(name, why, 0, step) for name, why, step in wrong])
    after = (hidden(FOUR), replace(good, premises=(0,)), pairs_step(UPPER, 1, (1,)))
    corpus.claim("bases-premise", 1, "no premises", "uniform-narrow", EVERY, *after)
    corpus.claim("bases-architecture", 1, "a network of another architecture", "sums", EVERY, good, pairs)


def of_tables(corpus: PairCorpus) -> None:
    """Rule hidden-tables."""
    good, step = (hidden(FOUR), pairs_step(EVERY)), hidden(FOUR)
    cases = [
        ("none", "no neuron is chosen", hidden(np.zeros(0))),
        ("repeated", "a neuron is chosen twice, which does nothing", hidden((*FOUR, 5, 5))),
        ("unknown", "neuron 6 of 6", hidden((*FOUR, 6))),
        ("negative", "neuron -2", hidden((*FOUR, -2))),
        ("in-rows", "neurons are a list", with_hints(step, neurons=[FOUR])),
        ("no-hint", "no neurons", with_hints(step, neurons=None)),
        ("more-hints", "an unknown hint", with_hints(step, more=[0])),
        ("parameter", "an unknown parameter", with_parameters(step, scale=0)),
    ]
    refused(corpus, "tables", "sums", EVERY, good, [(name, why, 0, step) for name, why, step in cases])
    marks = (oracle.table_of(SYMMETRIC) == 3).astype(np.int64)
    steps = hidden(np.zeros(0)), pairs_step(marks)
    corpus.claim("tables-none-needed", 1, "no neuron is chosen, and none is needed", "group-symmetric", marks, *steps)
    twice = (hidden(FOUR), replace(step, premises=(0,)), pairs_step(EVERY, premises=(1,)))
    corpus.claim("tables-premise", 1, "hidden-tables takes no premises", "sums", EVERY, *twice)
    corpus.claim("tables-last", 1, "tables are no correct inputs", "sums", 0, hidden(FOUR))
    for rule in ("additive-tables", "projected-tables", "low-rank-chains"):
        corpus.claim(f"tables-{rule}", 1, "a rule about attention only", "sums", 0, Step(rule))
    every = Step("enumeration", (0,), {}, {"ranges": tensor([(0, 3)] * 3), "skip": tensor(np.zeros((0, 2)))})
    corpus.claim("tables-enumeration", 1, "a rule about sequences", "sums", EVERY, hidden(FOUR), every)
    listed = Step("further-inputs", (0, 1), {}, {"inputs": tensor([(0, 0)])})
    corpus.claim("tables-further-inputs", 0, "any classifier will do", "sums", 1, hidden(FOUR), pairs_step(0 * EVERY), listed)


def of_pairs(corpus: PairCorpus) -> None:
    """Rule coded-output without a code, and what all rules about pairs have in common."""
    step, four = pairs_step(EVERY), hidden(FOUR)
    cases = [
        ("marked-2", "an entry 2", pairs_step(2 * EVERY)),
        ("marked-negative", "an entry -1", pairs_step(-EVERY)),
        ("shape", "a row too many", pairs_step(np.ones((4, 3)))),
        ("mirrored-2", "mirrored is 0 or 1", pairs_step(UPPER, 2)),
        ("mirrored-negative", "mirrored is 0 or 1", pairs_step(UPPER, -1)),
        ("mirrored-lower", "a > b, mirrored", pairs_step(UPPER.T, 1)),
        ("two-premises", "tables twice", replace(step, premises=(0, 0))),
        ("no-parameter", "no parameter mirrored", replace(step, parameters={})),
        ("parameter", "an unknown parameter", with_parameters(step, scale=0)),
        ("hint", "an unknown hint", with_hints(step, t=[0])),
    ]
    refused(corpus, "evaluated", "sums", EVERY, (four, step), [(name, why, 1, other) for name, why, other in cases])
    for other in (step, rotating()):
        corpus.claim(f"{other.rule}-alone", 1, "no tables", "sums", EVERY, replace(other, premises=()))
    # Not an error of the count alone: the number is what these pairs and their mirror images are.
    corpus.claim("evaluated-mirrored-all", 1, "a > b, mirrored", "sums", EVERY, four, pairs_step(EVERY, 1))
    corpus.claim(
        "evaluated-from-fact", 1, "a premise that is no tables", "sums", EVERY, four, step, replace(step, premises=(1,))
    )
    corpus.claim(
        "evaluated-untied", 1, "the two inputs have different weights", "differences", EVERY, four, pairs_step(UPPER, 1)
    )
    plus = with_table(subjects()["differences"], (np.arange(3)[:, None] + np.arange(3)) % 3)
    diagonal = oracle.right(plus.tensors, plus.table)
    claim = plus.claim(np.diag(diagonal), hidden(FOUR), pairs_step(diagonal * EYE, 1))
    corpus.add(
        "evaluated-untied-only", claim, 1, "mirrored, the task being commutative, the network not symmetric", "differences"
    )
    minus = with_table(subjects()["sums"], (np.arange(3)[:, None] - np.arange(3)) % 3)
    diagonal = oracle.right(minus.tensors, minus.table) * EYE
    claim = minus.claim(diagonal, four, pairs_step(diagonal, 1))
    corpus.add("evaluated-not-commutative", claim, 1, "mirrored, the network being symmetric, the task not", "sums")
    for name, code in (("output-behind", 0), ("output-tied", 1), ("output-ahead", 1)):
        why = "an output that is no element is " + name.removeprefix("output-")
        corpus.claim(f"evaluated-{name}", code, why, name, 1, hidden([0]), pairs_step([[1, 0], [0, 0]]))


def refused_codes(corpus: PairCorpus, prefix: str, model: str, step: Step, cases: Sequence[Any], false: Sequence[Any]) -> None:
    """What is no code, even where no pairs are claimed, so that nothing is to be proved; and codes that prove too little."""
    good = (hidden(FOUR), step)
    refused(corpus, prefix, model, EVERY, good, [(name, why, 1, other) for name, why, other in false])
    for name, why, other in cases:
        pairs = other.hints["pairs"].integers()
        nothing = with_hints(other, pairs=0 * pairs) if np.array_equal(pairs, step.hints["pairs"].integers()) else other
        corpus.claim(f"{prefix}-{name}", 1, why, model, 0, hidden(FOUR), nothing)
    corpus.claim(f"{prefix}-nothing", 0, "no pairs", model, 0, hidden(FOUR), with_hints(step, pairs=0 * EVERY))


def of_codes(corpus: PairCorpus) -> None:
    """Rule coded-output with a code."""
    step, split = low_rank_step(UPPER, STARTS, factors(), 1, 0), dictionary_step(UPPER, factors(), 1, 0)
    atoms, codes, rows, centre = (step.hints[name].integers() for name in ("atoms", "codes", "dictionary", "centre"))
    split_atoms, split_codes = (split.hints[name].integers() for name in ("atoms", "codes"))
    one_before = {"atoms": atoms + 1, "dictionary": np.concatenate([rows[:1], rows])}
    one_more = {"atoms": np.pad(atoms, ((0, 0), (0, 1)), mode="edge"), "codes": np.pad(codes, ((0, 0), (0, 1)))}
    cases = [
        ("pairwise-2", "pairwise is 0 or 1", with_parameters(step, pairwise=2)),
        ("pairwise-negative", "pairwise is 0 or 1", with_parameters(step, pairwise=-1)),
        ("no-atoms", "no atoms", with_hints(step, dictionary=rows[:0], atoms=atoms[:, :0], codes=codes[:, :0])),
        ("no-codes-each", "neurons without atoms", with_hints(step, atoms=atoms[:, :0], codes=codes[:, :0])),
        ("atom-beyond", "an atom that there is not", with_hints(step, atoms=changed(atoms, (2, 1), 4))),
        ("atom-negative", "an atom counted from the end", with_hints(step, atoms=changed(atoms, (0, 0), -4))),
        ("atom-unused", "an atom that no neuron has", with_hints(step, dictionary=np.concatenate([rows, rows[:1]]))),
        ("atom-unused-first", "an atom that no neuron has", with_hints(step, **one_before)),
        ("atom-twice", "an atom twice", with_hints(step, **one_more)),
        ("atoms-descend", "atoms out of order", with_hints(step, atoms=atoms[:, ::-1], codes=codes[:, ::-1])),
        ("atoms-wrap", "differences beyond 64 bits", with_hints(step, atoms=changed(atoms, (0, 0), np.iinfo(np.int64).min))),
        ("codes-few", "a code for the first atom only", with_hints(step, codes=codes[:, :1])),
        ("flat-dictionary", "atoms in a row", with_hints(step, dictionary=rows.reshape(-1))),
        ("blocks", "atoms block by block", with_hints(step, dictionary=rows.reshape(2, 2, -1))),
        ("no-dictionary", "no dictionary", with_hints(step, dictionary=None)),
        ("no-codes", "atoms without codes", with_hints(step, codes=None)),
        ("codes-alone", "codes, and nothing else", replace(step, hints={n: step.hints[n] for n in ("pairs", "codes")})),
        ("codes-short", "a neuron without codes", with_hints(step, codes=codes[:3])),
        ("atoms-short", "a neuron without atoms", with_hints(step, atoms=atoms[:3])),
        ("centre-short", "a neuron without a centre", with_hints(step, centre=centre[:3])),
        ("outputs", "an output without a column", with_hints(step, dictionary=rows[:, :2])),
        ("scale", "a scale beyond the range", with_parameters(step, scale=1101)),
        ("scale-negative", "a scale beyond the range", with_parameters(step, scale=-1101)),
        ("two-premises", "tables twice", replace(step, premises=(0, 0))),
        ("no-premise", "no tables", replace(step, premises=())),
        ("parameter", "no parameter scale", replace(step, parameters={"mirrored": 1, "pairwise": 0})),
        ("hint", "no centre", with_hints(step, centre=None)),
    ]
    false = [
        ("mirrored-lower", "a > b, mirrored", with_hints(step, pairs=UPPER.T)),
        ("atoms-swapped", "atoms of other neurons", with_hints(step, atoms=atoms[::-1])),
        ("codes-other", "another code", with_hints(step, codes=changed(codes, (1, 1), -codes[1, 1]))),
        ("split-other", "a little more of an atom", with_hints(split, codes=split_codes + 64 * EYE[1:2, [0, 0, 1, 0]])),
        ("split-exchanged", "codes of other atoms", with_hints(split, codes=split_codes[:, [0, 1, 3, 2]])),
        ("split-atoms", "codes of other neurons", with_hints(split, atoms=split_atoms[::-1])),
    ]
    refused_codes(corpus, "coded", "factors", step, cases, false)
    for bits, code in ((53, 1), (52, 0)):  # 64 times 1/64, or 32 times 1/32
        large = 2**bits * np.eye(2, dtype=np.int64)[[0, 1, 0, 1]], right_factor(off=0) * 2 ** (94 - bits - 6), 0 * CENTRE
        same = low_rank_step(UPPER, STARTS, large, 1, scale=47)
        corpus.claim(f"coded-{bits}-bits", code, f"a code of 2**{bits} units", "factors", EVERY, hidden(FOUR), same)


def of_features(corpus: PairCorpus) -> None:
    """Rule coded-output with features."""
    step = crosscoder_step(EVERY, pairwise=0)
    hints = {name: hint.integers() for name, hint in step.hints.items()}
    left, right, atoms, rows = (hints[name] for name in ("left_features", "right_features", "atoms", "dictionary"))
    alone = {"pairs": step.hints["pairs"], "left_features": tensor(left), "right_features": tensor(right)}
    cases = [
        ("left-few", "a feature without a shape on the left", with_hints(step, left_features=left[:, :3])),
        ("right-few", "a feature without a shape on the right", with_hints(step, right_features=right[:, :3])),
        ("both-few", "a feature without shapes", with_hints(step, left_features=left[:, :3], right_features=right[:, :3])),
        ("one-column", "one shape for all features", with_hints(step, right_features=right[:, :1])),
        ("left-short", "an element without a row", with_hints(step, left_features=left[:2])),
        ("right-short", "an element without a row", with_hints(step, right_features=right[:2])),
        ("atom-unused", "a feature that no neuron has", with_hints(step, atoms=np.minimum(atoms, 2))),
        ("atom-beyond", "a feature that there is not", with_hints(step, atoms=changed(atoms, (3, 1), 4))),
        ("codes-few", "a code for the first feature only", with_hints(step, codes=hints["codes"][:, :1])),
        ("outputs", "an output without a column", with_hints(step, dictionary=rows[:, :2])),
        ("mirrored", "a network that is not symmetric", with_parameters(step, mirrored=1)),
        ("pairwise-2", "pairwise is 0 or 1", with_parameters(step, pairwise=2)),
        ("two-premises", "tables twice", replace(step, premises=(0, 0))),
        ("no-premise", "no tables", replace(step, premises=())),
        ("left-missing", "features of the second input only", with_hints(step, left_features=None)),
        ("right-missing", "features of the first input only", with_hints(step, right_features=None)),
        ("without-code", "features without a code", Step("coded-output", (0,), {"mirrored": 0}, alone)),
    ]
    false = [
        ("one-sided", "features that read one input only", with_hints(step, right_features=0 * right)),
        ("reversed", "one side of a feature is reversed", with_hints(step, left_features=left * [1, 1, -1, 1])),
        ("none", "no features, which describe more than is left", with_hints(step, left_features=None, right_features=None)),
    ]
    refused_codes(corpus, "crosscoder", "crosscoder", step, cases, false)
    better = with_hints(step, codes=np.abs(hints["codes"]), left_features=-left, right_features=-right)
    corpus.claim("crosscoder-negative", 0, "all features reversed", "sums-untied", EVERY, hidden(FOUR), better)


def of_structure(corpus: PairCorpus) -> None:
    """Rule set-output, each pair; and group laws."""
    model, eighteen = "structured", hidden(range(18))
    step = rotating()
    beyond = [(x, y, t) if x < 2 else (3, y, t) for x, y, t in ROTATING]
    constant_map = np.zeros((3, 3), np.int64)
    cases = [
        ("beta-beyond", "beta is no point", rotating(neurons=beyond)),
        ("gamma-beyond", "gamma is no point", rotating(neurons=[*ROTATING[:-1], (2, 3, 16)])),
        ("short", "a neuron without a cell", rotating(neurons=ROTATING[:-1])),
        ("generators-none", "no generators", rotating(generators=np.zeros(0))),
        ("generators-many", "two generators of three elements", rotating(generators=[1, 2])),
        ("generators-all", "all elements as generators", rotating(generators=[0, 1, 2])),
        ("generators-unknown", "element 3 of 3", rotating(generators=[3])),
        ("generators-negative", "element -2", rotating(generators=[-2])),
        ("generators-few", "the unit generates nothing else", rotating(generators=[0])),
        ("action-constant", "rows that are no permutations", rotating(action=constant_map)),
        ("action-false", "an element acts as another", rotating(action=SHIFTS[[0, 1, 1]])),
        ("action-reversed", "an element acts as its inverse", rotating(action=changed(SHIFTS, 2, (1, 2, 0)))),
        ("action-trivial", "no point is moved", rotating(action=np.tile(np.arange(3), (3, 1)))),
        ("action-empty", "no points", rotating(action=np.zeros((3, 0)))),
        ("t-53-bits", "a number beyond 53 bits", rotating(neurons=[(0, 0, 2**53), *ROTATING[1:]])),
        ("scale", "a scale beyond the range", with_parameters(step, scale=1101)),
        ("mirrored", "the two inputs have different weights", rotating(UPPER, mirrored=1)),
        ("marked", "an entry 2", rotating(2 * EVERY)),
        ("two-premises", "tables twice", replace(step, premises=(0, 0))),
        ("parameter", "no parameter scale", replace(step, parameters={"mirrored": 0})),
        ("hint", "no generators", with_hints(step, generators=None)),
        ("false", "t negative", rotating(neurons=[(x, y, -t) for x, y, t in ROTATING])),
    ]
    refused(corpus, "structured", model, EVERY, (eighteen, step), [(name, why, 1, other) for name, why, other in cases])
    all_but_false = hidden([18, *range(18)])  # the first of which does hardly anything
    for name, first, code in (
        ("first", (0, 0), 0),
        ("beta-negative", (-1, 2), 1),
        ("gamma-negative", (0, -3), 1),
        ("unsorted", (0, 1), 1),
    ):
        why = {"first": "another neuron", "unsorted": "neurons out of order"}.get(name, f"{name.partition('-')[0]} is no point")
        other = rotating(neurons=[(*first, 0), *ROTATING])
        corpus.claim(f"structured-{name}", code, why, model, EVERY, all_but_false, other)
    apart = rotating(action=np.concatenate([SHIFTS, SHIFTS + 3], axis=1), neurons=[*ROTATING, (2, 5, 0)])
    corpus.claim("structured-apart", 0, "a neuron with points of two orbits", model, EVERY, hidden(range(19)), apart)
    other = permuting(action=POINTS - 3 * (np.arange(6) > 0)[:, None])
    corpus.claim("structured-action-negative", 1, "points below 0", "structured-symmetric", 36, eighteen, other)
    # Three further points, without neurons: what the elements do to them does not matter to the inequality.
    for name, why, more, code in (
        ("more-points", "a second orbit", SHIFTS, 0),
        ("more-points-false", "no action on a second orbit", SHIFTS[[0, 1, 1]], 1),
    ):
        other = rotating(action=np.concatenate([SHIFTS, more + 3], axis=1))
        corpus.claim(f"structured-{name}", code, why, model, EVERY, eighteen, other)
    parity = np.zeros(6, np.int64)
    parity[[2, REGULAR[1, 2]]] = 1  # as element 1 demands, but not element 2
    other = permuting(action=np.concatenate([POINTS, 3 + (parity[:, None] ^ np.arange(2))], axis=1))
    why = "an action for the first generator only"
    corpus.claim("structured-first-generator", 1, why, "structured-symmetric", 36, eighteen, other)
    direct = structured_step(EVERY, SHIFTS, [1], ATTENDING, scale=0)
    why = "the same, but for that a proof"
    corpus.claim("structured-direct-only", 1, why, "attending", EVERY, hidden(range(len(ATTENDING))), direct)
    corner = structured_step(np.eye(2), [[0, 1], [1, 0]], [1], [(0, 0, 16), (1, 1, 16)])
    corpus.claim("structured-empty-cells", 0, "two of four cells have no neurons", "swaps-diagonal", 2, hidden([0, 3]), corner)
    one = structured_step([[1]], [[0]], [0], [(0, 0, 1)])
    direct = with_hints(one, pairs=EVERY, action=SHIFTS, generators=[1], **dict.fromkeys(("beta", "gamma", "t"), [0] * 4))
    corpus.claim("structured-direct", 1, "a network with a direct path", "uniform-three", EVERY, hidden(FOUR), direct)
    swaps = np.array([[0, 1], [1, 0]])
    for name, neurons in (("exclusive", [(0, 0, -4), (0, 0, 8), (0, 0, 8)]), ("exclusive-two", [(0, 0, 0)] * 3)):
        exclusive_step = structured_step(np.ones((2, 2)), swaps, [1], neurons)
        why = "an output that is no element" if name == "exclusive" else "too little said about the neurons"
        corpus.claim(f"structured-{name}", 1, why, name, np.ones((2, 2)), hidden(range(3)), exclusive_step)
    stray = np.array([[0, 1, 0], [1, 0, 1]])
    for name, action, code in (("swap", swaps, 0), ("stray", stray, 1), ("fixed", np.array([[0, 1, 2], [1, 0, 2]]), 0)):
        neurons = [(x, y, 16) for x, y in np.ndindex(2, 2)]
        steps = hidden(range(4)), structured_step(np.ones((2, 2)), action, [1], neurons)
        why = {"swap": "two points", "stray": "a third point, which is mapped away", "fixed": "a third point, which stays"}[
            name
        ]
        corpus.claim(f"structured-{name}", code, why, "swaps", np.ones((2, 2)), *steps)
    some = changed(np.ones((6, 6), np.int64), (2, 3), 0)
    part = with_hints(permuting(generators=[2, 1]), pairs=some)
    corpus.claim("structured-some", 0, "all pairs but one", "structured-symmetric", some, eighteen, part)
    untransitive = np.concatenate([POINTS, REGULAR + 3], axis=1)
    wider = permuting(action=untransitive)
    corpus.claim("structured-two-orbits", 0, "a second orbit, empty", "structured-symmetric", 36, eighteen, wider)
    not_by_table = with_table(subjects()["structured"], SHIFTS)
    corpus.add("structured-table", not_by_table.claim(EVERY, eighteen, step), 0, "a group by its table", model)
    backwards = with_table(subjects()["structured-symmetric"], REGULAR)
    corpus.add(
        "structured-table-symmetric", backwards.claim(36, eighteen, permuting()), 0, "S3 by its table", "structured-symmetric"
    )


def lawless(size: int, generators: Any) -> tuple[Step, ...]:
    """A claim of no pairs, by a set of one point, on which whatever table acts: true, and refused only for the table's sake."""
    nothing = structured_step(np.zeros((size, size)), np.zeros((size, 1)), generators, [(0, 0, 0)])
    return hidden([0]), nothing


def of_sets(corpus: PairCorpus) -> None:
    """Rule set-output, all pairs at once."""
    eighteen, step = hidden(range(18)), rotating_sets()
    at, said = list(ROTATING), {name: hint.integers() for name, hint in step.hints.items()}
    tiny = [(*row[:2], 1) for row in at]
    least, nil = np.iinfo(np.int64).min, np.zeros((3, 3), np.int64)
    of_use, no_action = (SHIFTS, SHIFTS, EYE, at), (nil, nil, nil, [])
    twice = np.concatenate([SHIFTS, SHIFTS + 3], axis=1)
    cases = [
        ("none", "no neurons", with_hints(step, beta=[], gamma=[], t=[])),
        ("beta-beyond", "beta is no point", rotating_sets([*at[:-1], (6, 2, 16)])),
        ("beta-negative", "beta is no point", rotating_sets([(-6, 0, 16), *at[1:]])),
        ("gamma-beyond", "gamma is no point", rotating_sets([*at[:-1], (2, 3, 16)])),
        ("gamma-negative", "gamma is no point", rotating_sets([(0, -6, 16), *at[1:]])),
        ("beta-least", "the least of 64 bits", with_hints(step, beta=changed(said["beta"], 0, least))),
        ("unsorted", "neurons out of order", rotating_sets([at[2], at[1], at[0], *at[3:]])),
        ("unsorted-orbits", "the orbits of gamma out of order", rotating_sets([*at[:-1], (2, -1, 0)])),
        ("action-x", "an element acts as another", rotating_sets(action_x=SHIFTS[[0, 1, 1]])),
        ("action-y", "an element acts as another", rotating_sets(action_y=SHIFTS[[0, 1, 1]])),
        ("action-inverse", "a kernel for another action", rotating_sets(action_x=SHIFTS[[0, 2, 1]])),
        ("action-shifted", "the unit moves points", rotating_sets(action_x=SHIFTS[[1, 2, 0]], action_y=SHIFTS[[1, 2, 0]])),
        ("action-unit", "further points, all of which all elements map to one", sets_step([1], of_use, no_action)),
        ("kernel", "not invariant", rotating_sets(kernel=changed(EYE, (0, 1), 1))),
        ("kernel-skew", "invariant the other way", rotating_sets(kernel=EYE[::-1])),
        ("kernel-elsewhere", "not invariant where no neurons are", with_hints(step, kernel=changed(said["kernel"], (4, 1), 1))),
        ("kernel-large", "beyond 2**20", rotating_sets(tiny, kernel=EYE * (2**20 + 1), scale=20)),
        ("kernel-small", "beyond -2**20", rotating_sets(tiny, kernel=EYE * (2**20 + 1) - 2**20 - 1, scale=20)),
        ("kernel-least", "the least of 64 bits", rotating_sets(kernel=np.full((3, 3), least))),
        ("kernel-shape", "a point without a row", with_hints(step, kernel=said["kernel"][:-1])),
        ("kernel-flat", "a kernel is a matrix", with_hints(step, kernel=said["kernel"].reshape(-1))),
        ("generators-few", "the unit generates nothing else", rotating_sets(generators=[0])),
        ("in-rows", "neurons are a list", with_hints(step, beta=[said["beta"]])),
        ("short", "a neuron without a cell", with_hints(step, beta=[0])),
        ("t-53-bits", "a number beyond 53 bits", with_hints(step, t=[2**53, *[16] * 17])),
        ("t-least", "the least of 64 bits", with_hints(step, t=[least, *[16] * 17])),
        ("scale", "a scale beyond the range", with_parameters(step, scale=1101)),
        ("no-kernel", "no kernel", with_hints(step, kernel=None)),
        ("both", "pairs and a kernel", with_parameters(with_hints(step, pairs=EVERY), mirrored=0)),
        ("two-premises", "tables twice", replace(step, premises=(0, 0))),
        ("parameter", "an unknown parameter", with_parameters(step, mirrored=0)),
        ("no-parameter", "no scale", replace(step, parameters={})),
        ("away", "beta on points of another orbit, where the kernel is 0", with_hints(step, beta=said["beta"] + 3)),
    ]
    good = (eighteen, step)
    refused(corpus, "sets", "sets", EVERY, good, [(name, why, 1, other) for name, why, other in cases])
    for name, why, other in (
        ("two-orbits-x", "a second orbit, empty", rotating_sets(action_x=twice, kernel=np.tile(EYE, (2, 1)))),
        ("two-orbits-y", "a second orbit, empty", rotating_sets(action_y=twice, kernel=np.tile(EYE, (1, 2)))),
        (
            "fixed",
            "a point that stays",
            rotating_sets(action_x=np.pad(SHIFTS, ((0, 0), (0, 1)), constant_values=3), kernel=np.eye(4, 3)),
        ),
        ("kernel-largest", "a kernel of 2**20, and small t", rotating_sets(tiny, kernel=EYE * 2**20, scale=20)),
    ):
        corpus.claim(f"sets-{name}", 0, why, "sets", EVERY, eighteen, other)
    # The points of both sets take turns, so that neurons in the order of their points are in that of their cells.
    mixed = np.repeat(2 * SHIFTS, 2, axis=1) + np.tile([0, 1], 3)
    kernel = np.zeros((6, 6), np.int64)
    kernel[::2, 1::2] = EYE
    other = with_hints(step, action=mixed, kernel=kernel, beta=2 * said["beta"], gamma=2 * (said["gamma"] - 3) + 1)
    corpus.claim("sets-mixed", 0, "the points of two orbits take turns", "sets", EVERY, eighteen, other)
    corpus.claim("sets-mixed-edge", 1, "a little too much", "sets-edge", EVERY, eighteen, other)
    other = rotating_sets([*at, (2, 2, 0)])
    corpus.claim("sets-nineteen", 0, "another neuron", "rotations", EVERY, hidden(range(19)), other)
    wider, kernel = np.concatenate([SHIFTS, SHIFTS + 3, SHIFTS + 6], axis=1), np.pad(said["kernel"], ((0, 3), (0, 3)))
    for name, point in (("shared-x", (2, 8)), ("shared-y", (8, 5))):
        beta, gamma, t = (np.append(said[n], more) for n, more in zip(("beta", "gamma", "t"), (*point, 0), strict=True))
        other = with_hints(step, action=wider, kernel=kernel, beta=beta, gamma=gamma, t=t)
        why = "a second part, which has an orbit with the first in common"
        corpus.claim(f"sets-{name}", 0, why, "rotations", EVERY, hidden(range(19)), other)
    by_table = with_table(subjects()["sets"], SHIFTS)
    corpus.add("sets-table", by_table.claim(EVERY, *good), 0, "a group by its table", "sets")
    swaps = np.array([[0, 1], [1, 0]])
    outputs = sets_step([1], (swaps, swaps, [[1, 0], [0, 1]], [(0, 0, 16)] * 3))
    corpus.claim("sets-outputs", 1, "an output that is no element", "exclusive", 4, hidden(range(3)), outputs)
    every, dot = np.arange(4), np.zeros((2, 1), np.int64)
    halves, loop = (every // 2, every % 2), np.array(LOOP)
    for name, why, table, generators, code in (
        ("group", "a group", every[:, None] ^ every, [1, 2], 0),
        ("powers", "no inverses", np.minimum(every[:, None] + every, 3), [0, 1], 1),
        ("left-unit", "a unit from the left only", 2 * (halves[0][:, None] ^ halves[0]) + halves[1], [2, 3], 1),
        ("right-unit", "a unit from the right only", 2 * (halves[0][:, None] ^ halves[0]) + halves[1][:, None], [2, 3], 1),
        ("band", "every element is its own square", 2 * halves[0][:, None] + halves[1], [0, 3], 1),
        ("loop", "not associative", loop, [1, 2], 1),
        ("loop-doubled", "one of the generators associates", np.block([[loop, loop + 5], [loop + 5, loop]]), [5, 1, 2], 1),
        ("renumbered", "a group whose unit is not 0", np.roll(np.roll((REGULAR + 1) % 6, 1, axis=0), 1, axis=1), [2, 3], 0),
    ):
        subject = with_table(constant(None, len(table), 0), table)
        corpus.add(f"table-{name}", subject.claim(0, *lawless(len(table), generators)), code, why, f"favourite-{len(table)}")
    subject = constant({"modulus": 2, "name": "modular-addition"}, 2, 0)
    trivial = hidden([0]), sets_step([1], (dot, dot, [[1]], [(0, 0, 0)]))
    corpus.add("sets-trivial", subject.claim(4, *trivial), 1, "sets of one point say nothing", "favourite-2")


def of_margins(corpus: PairCorpus) -> None:
    """Rule set-output, all pairs at once: parts, tables, and what is in no part."""
    every = np.ones((6, 6), np.int64)
    for name, neurons, sets in (
        ("first", (*range(18), 24, *range(18, 24)), ([*PERMUTING, (2, 2, 0)], SKEWED)),
        ("second", KEPT, (PERMUTING, [*SKEWED, (2, 5, 0)])),
    ):
        step = permuting_sets((POINTS, POINTS, EYE, finer(sets[0], 3)), (POINTS, REGULAR, SKEW, sets[1]))
        why = f"a neuron that writes nothing, in the {name} part"
        corpus.claim(f"margin-of-{name}", 0, why, "permutations", every, hidden(neurons), step)
    skewed = POINTS, POINTS, changed(EYE, (0, 0), 2), []
    step = permuting_sets((POINTS, POINTS, EYE, finer(PERMUTING, 3)), (POINTS, REGULAR, SKEW, SKEWED), skewed)
    why = "a kernel that the first generator leaves as it is"
    corpus.claim("margin-first-generator", 1, why, "permutations", every, hidden(range(24)), step)
    main = permuting_sets((POINTS, POINTS, EYE, finer(PERMUTING, 3)))
    corpus.claim("margin-alone", 1, "the other neurons may do too much", "sets-symmetric-edge", every, hidden(range(18)), main)
    evaluated = hidden(FOUR), pairs_step(EVERY), replace(rotating_sets(), premises=(1,))
    corpus.claim("margin-of-pairs", 1, "correct pairs are no tables", "sums", EVERY, *evaluated)
    direct = hidden([0]), rotating_sets([(0, 0, 0)])
    corpus.claim("margin-direct", 1, "a network with a direct path", "uniform-three", EVERY, *direct)
    steps = hidden(range(len(ATTENDING))), rotating_sets(ATTENDING, scale=0)
    corpus.claim("margin-direct-only", 1, "the same, but for that a proof", "attending", EVERY, *steps)


def of_tasks(corpus: PairCorpus) -> None:
    """Tasks of every kind, and what is no task."""
    for name, (task, favourite) in GROUPS.items():
        marks = (oracle.table_of(task) == favourite).astype(np.int64)
        corpus.claim(f"task-{name}", 0, f"the group {task['group']}", f"group-{name}", marks, hidden([0]), pairs_step(marks))
    good = subjects()["sums"].claim(EVERY, hidden(FOUR), pairs_step(EVERY))
    composition = {"name": "group-composition"}
    long_name = "product(cyclic:1," * 12 + "cyclic:3" + ")" * 12
    corpus.add("task-by-name", with_statement(good, task={**composition, "group": "cyclic:3"}), 0, "the same by name", "sums")
    for name, why, task in (
        ("modulus-text", "a modulus is an integer", {"modulus": "3", "name": "modular-addition"}),
        ("modulus-true", "a modulus is an integer", {"modulus": True, "name": "modular-addition"}),
        ("modulus-list", "a modulus is an integer", {"modulus": [3], "name": "modular-addition"}),
        ("modulus-4", "four elements", {"modulus": 4, "name": "modular-addition"}),
        ("modulus-2", "two elements", {"modulus": 2, "name": "modular-addition"}),
        ("modulus-negative", "a modulus is positive", {"modulus": -3, "name": "modular-addition"}),
        ("modulus-large", "a modulus of 40 digits", {"modulus": 10**40, "name": "modular-addition"}),
        ("extra", "an unknown field", {"modulus": 3, "name": "modular-addition", "group": "cyclic:3"}),
        ("null-group", "no group", {**composition, "group": None}),
        ("null-table", "no table", {**composition, "table": None}),
        ("nothing", "no group", composition),
        ("group-unknown", "no such group", {**composition, "group": "quaternion:3"}),
        ("group-padded", "a leading zero", {**composition, "group": "cyclic:03"}),
        ("group-space", "a space", {**composition, "group": "cyclic:3 "}),
        ("group-newline", "a line feed", {**composition, "group": "cyclic:3\n"}),
        ("group-one", "one element", {**composition, "group": "cyclic:1"}),
        ("group-large", "2049 elements", {**composition, "group": "cyclic:2049"}),
        ("group-open", "a parenthesis is missing", {**composition, "group": "product(cyclic:1,cyclic:3"}),
        ("group-long", "a name of more than 200 characters", {**composition, "group": long_name}),
        ("group-list", "a name is a string", {**composition, "group": ["cyclic:3"]}),
        ("table-missing", "no table", given_task(SHIFTS)),
        ("max-of-k", "a task about sequences", {"name": "max-of-k"}),
        ("text", "a task is an object", "modular-addition"),
    ):
        corpus.add(f"task-{name}", with_statement(good, task=task), 2, why, "sums")
    superfluous = with_tensor(good, "table", tensor(SHIFTS))
    corpus.add("task-table-superfluous", superfluous, 2, "a table, though the task has a name", "sums")
    named = with_statement(good, task={**composition, "group": "cyclic:3"})
    corpus.add("task-table-beside-group", with_tensor(named, "table", tensor(SHIFTS)), 2, "a table, and a group", "sums")
    for name, why, table in (
        ("square", "a row is missing", SHIFTS[:2]),
        ("entry", "an entry 3", changed(SHIFTS, (2, 2), 3)),
        ("negative", "an entry -1", changed(SHIFTS, (2, 2), -1)),
        ("narrow", "a column is missing", SHIFTS[:, :2]),
        ("broad", "a column too many", SHIFTS[:, [0, 1, 2, 0]]),
        ("flat", "a table is a matrix", SHIFTS.reshape(-1)),
        ("deep", "a table is a matrix", SHIFTS[None]),
        ("scalar", "a table is a matrix", np.array(0)),
        ("empty", "no elements", np.zeros((0, 0))),
        ("single", "one element", np.zeros((1, 1))),
        ("four", "four elements", (np.arange(4)[:, None] + np.arange(4)) % 4),
    ):
        subject = with_table(subjects()["sums"], table)
        content = replace(
            with_statement(good, task=subject.task), given={} if subject.given is None else {"table": subject.given}
        )
        corpus.add(f"task-table-{name}", content, 2, why, "sums")
    given = replace(with_statement(good, task=given_task(SHIFTS)), given={"table": tensor(SHIFTS)})
    corpus.add("task-table", given, 0, "the same by its table", "sums")
    corpus.add(
        "task-table-32-bits",
        replace(given, given={"table": RawTensor("I32", (3, 3), SHIFTS.astype("<i4").tobytes())}),
        0,
        "any dtype",
        "sums",
    )
    corpus.add("task-table-other", replace(given, given={"table": tensor(SHIFTS[::-1])}), 2, "another table", "sums")
    corpus.add(
        "task-table-floats",
        replace(given, given={"table": RawTensor("F32", (3, 3), bytes(36))}),
        2,
        "a table of floats",
        "sums",
    )
    nameless = with_statement(given, task={**composition, "table": None})
    corpus.add("task-table-null", nameless, 2, "a table without its digest", "sums")
    upper = given_task(SHIFTS)
    upper["table"] = upper["table"].upper()
    corpus.add("task-table-upper-case", with_statement(given, task=upper), 2, "upper-case digest", "sums")
    corpus.add("task-total", with_statement(good, total=8), 2, "there are nine pairs", "sums")
    corpus.add(
        "task-few-outputs", few().claim(0, hidden([0]), pairs_step(0 * EVERY)), 2, "an element without an output", "few-outputs"
    )
    attention = with_statement(subjects()["uniform"].claim(EVERY, hidden(FOUR), pairs_step(EVERY)), total=16)
    attention = with_statement(attention, task={"modulus": 4, "name": "modular-addition"})
    corpus.add("task-uniform-4", attention, 2, 'the token "=" is no element', "uniform")


def few() -> PairSubject:
    """A network with two outputs for three elements."""
    return PairSubject(mlp(np.zeros((3, 1)), np.zeros((3, 1)), np.ones((1, 2))), CYCLIC)


def of_models(corpus: PairCorpus) -> None:
    """Configurations and tensors."""
    good = subjects()["sums"].claim(EVERY, hidden(FOUR), pairs_step(EVERY))
    attention = subjects()["uniform"].claim(EVERY, hidden(FOUR), pairs_step(UPPER, 1))
    for name, (subject, _, tensors, code, why) in variants().items():
        certificate = good if subject == "sums" else attention
        digest = replace(subjects()[subject], tensors={**subjects()[subject].tensors, **tensors}).model.digest()
        corpus.add(f"model-{name}", with_statement(certificate, model_digest=digest), code, why, name)
    corpus.add("model-mlp-missing", good, 2, "a tensor is missing", "mlp-missing")
    corpus.add("model-other-digest", attention, 2, "query weights are part of the digest", "uniform-queries")


Variant = tuple[str, Callable[[dict[str, Any]], dict[str, Any]], dict[str, RawTensor], int, str]


def variants() -> dict[str, Variant]:
    """Model files: the network, how its configuration is changed, more tensors, exit status, reason."""

    def having(**more: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
        return lambda config: {**config, **more}

    def without(*keys: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
        return lambda config: {key: value for key, value in config.items() if key not in keys}

    head = (2, 5, 1)
    queries = {ATTENTION + name: RawTensor("F16", head, bytes(20)) for name in ("W_Q", "W_K")}
    biases = {ATTENTION + name: RawTensor("F16", (2, 1), bytes(4)) for name in ("b_Q", "b_K")}
    nan = {ATTENTION + "W_Q": RawTensor("F16", head, b"\x00\x7e" + bytes(18))}
    mask = {ATTENTION + "mask": RawTensor("BOOL", (3, 3), bytes([1, 0, 0, 1, 1, 0, 1, 1, 1]))}
    open_mask = {ATTENTION + "mask": RawTensor("BOOL", (3, 3), bytes([1] * 9))}
    longer = RawTensor("F16", (4, 5), bytes(40))
    stray = {"pos_embed.W_pos": RawTensor("F16", (3, 1), bytes(6))}
    ranked = {"mlp.b_in": RawTensor("F16", (1, 6), bytes(12))}
    same, plain = having(), "sums"
    found: dict[str, Variant] = {
        "mlp-scale": (plain, having(attn_scale=7, act_fn="relu", seed=1, eps=1e-05), {}, 0, "keys that mean nothing"),
        "mlp-outputs-default": (plain, having(d_vocab_out=-1), {}, 0, "as many outputs as elements"),
        "mlp-outputs-absent": (plain, without("d_vocab_out"), {}, 0, "as many outputs as elements"),
        "mlp-unnamed": (plain, without("architecture"), {}, 2, "no architecture is named"),
        "mlp-misnamed": (plain, having(architecture="mlp"), {}, 2, "no such architecture"),
        "mlp-gelu": (plain, having(act_fn="gelu"), {}, 2, "another activation function"),
        "mlp-true": (plain, having(d_mlp=True), {}, 2, "a size is an integer"),
        "mlp-heads": (plain, having(n_heads=1), {}, 2, "a key of other architectures"),
        "mlp-pattern": (plain, having(attention_pattern="uniform"), {}, 2, "a key of other architectures"),
        "mlp-gated": (plain, having(gated_mlp=False), {}, 2, "a key of other architectures"),
        "mlp-unknown": (plain, having(dropout=0), {}, 2, "an unknown key"),
        "mlp-width": (plain, without("d_mlp"), {}, 2, "no d_mlp"),
        "mlp-wrong-width": (plain, having(d_mlp=5), {}, 2, "tensors do not fit"),
        "mlp-wide": (plain, having(d_vocab=2049), {}, 2, "a vocabulary of 2049"),
        "mlp-positions": (plain, same, stray, 2, "a tensor of other architectures"),
        "mlp-mask": (plain, same, mask, 2, "a buffer of other architectures"),
        "mlp-bias": (plain, same, ranked, 2, "a bias with two axes"),
        "uniform-queries": ("uniform", same, queries | biases, 0, "queries and keys mean nothing"),
        "uniform-keys": ("uniform", same, {ATTENTION + "W_K": queries[ATTENTION + "W_K"]}, 0, "keys without queries"),
        "uniform-nan": ("uniform", same, nan, 2, "a weight without meaning is not a number"),
        "uniform-mask": ("uniform", same, mask, 0, "the mask is ignored"),
        "uniform-open-mask": ("uniform", same, open_mask, 2, "the mask buffer is not causal"),
        "uniform-scale": ("uniform", having(attn_scale=3, n_params=5), {}, 0, "attention has no scores"),
        "uniform-named": (
            "uniform",
            having(architecture="uniform-attention", attn_only=False, gated_mlp=False),
            {},
            0,
            "its name",
        ),
        "uniform-misnamed": ("uniform", having(architecture="group-mlp"), {}, 2, "another's name"),
        "uniform-attention-only": ("uniform", having(architecture="attention-only"), {}, 2, "another's name"),
        "uniform-softmax": ("uniform", having(attention_pattern="softmax"), {}, 2, "attention is not uniform"),
        "uniform-no-pattern": ("uniform", without("attention_pattern"), {}, 2, "attention is not uniform"),
        "uniform-no-pattern-named": (
            "uniform",
            lambda config: {**without("attention_pattern")(config), "architecture": "uniform-attention"},
            {},
            2,
            "the pattern is not said",
        ),
        "uniform-gelu": ("uniform", having(act_fn="gelu"), {}, 2, "another activation function"),
        "uniform-no-function": ("uniform", without("act_fn"), {}, 2, "no activation function"),
        "uniform-attn-only": ("uniform", having(attn_only=True), {}, 2, "there is an MLP"),
        "uniform-gated": ("uniform", having(gated_mlp=True), {}, 2, "a gated MLP"),
        "uniform-layers": ("uniform", having(n_layers=2), {}, 2, "two layers"),
        "uniform-no-layers": ("uniform", without("n_layers"), {}, 2, "no number of layers"),
        "uniform-norm": ("uniform", having(normalization_type="LN"), {}, 2, "layers are normalised"),
        "uniform-no-norm": ("uniform", without("normalization_type"), {}, 2, "the default is to normalise"),
        "uniform-context": ("uniform", having(n_ctx=4), {"pos_embed.W_pos": longer}, 2, "four positions"),
        "uniform-heads": ("uniform", having(n_heads=1), {}, 2, "tensors do not fit"),
        "uniform-no-heads": ("uniform", without("n_heads"), {}, 2, "no number of heads"),
        "uniform-window": ("uniform", having(window_size=2), {}, 2, "a window"),
        "uniform-rotary": ("uniform", having(positional_embedding_type="rotary"), {}, 2, "rotary positions"),
        "uniform-unknown": ("uniform", having(dropout=0), {}, 2, "an unknown key"),
    }
    return found


def model_files() -> dict[str, bytes]:
    """Every network of these cases, by file name."""
    files = {name: subject.file() for name, subject in subjects().items()}
    for name, (subject, change, tensors, _, _) in variants().items():
        about = subjects()[subject]
        files[name] = model_file(change(about.json), {**about.tensors, **tensors}, about.task)
    missing = dict(subjects()["sums"].tensors)
    del missing["embed_right.W_E"]
    files["mlp-missing"] = model_file(subjects()["sums"].json, missing, CYCLIC)
    files["few-outputs"] = few().file()
    return {f"pairs-{name}.safetensors": content for name, content in files.items()}
