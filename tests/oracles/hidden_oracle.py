"""What tiny networks with one hidden layer really do: an oracle that shares no code with the project, and models for it.

`truth` decodes the stored bytes itself, into fractions, and runs the network on every pair of elements as its definition
says: for transformers token by token, head by head, with attention 1/3 to each of the three positions. Nothing is rounded.
"""

import itertools
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import strategies as st
from oracle import DTYPES, stored

Exact = np.ndarray[Any, Any]  # of Fractions
Stored = tuple[str, tuple[int, ...], bytes]
ATTENTION, MLP = "blocks.0.attn.", "blocks.0.mlp."
_CODES = {"F16": "e", "F32": "f", "F64": "d"}


@dataclass(frozen=True)
class HiddenModel:
    """The tensors as they are stored (absent biases are zero), and the task: its JSON and its table of products "a b".

    A group MLP, or a transformer with uniform attention where there is a tensor "embed.W_E". `exact`: all weights are small
    multiples of 1/4, so that no arithmetic of 64 bits has anything to round.
    """

    tensors: Mapping[str, Stored]
    task: Any
    table: np.ndarray
    exact: bool = False

    @property
    def transformer(self) -> bool:
        return "embed.W_E" in self.tensors

    @property
    def outputs(self) -> int:
        return self.tensors["unembed.W_U"][1][1]

    @property
    def elements(self) -> range:
        return range(len(self.table))

    @property
    def symmetric(self) -> bool:
        """Whether the logits of (a, b) and (b, a) are the same by construction."""
        return self.transformer or self.tensors["embed_left.W_E"] == self.tensors["embed_right.W_E"]

    @property
    def commutative(self) -> bool:
        return bool(np.all(self.table == self.table.T))

    def weight(self, name: str) -> Exact:
        """The stored numbers, exactly. Zero if absent."""
        if name not in self.tensors:
            return np.array(Fraction(0), object)
        dtype, shape, data = self.tensors[name]
        if dtype == "BF16":  # the upper half of a float32
            data = b"".join(b"\0\0" + data[i : i + 2] for i in range(0, len(data), 2))
        code = _CODES.get(dtype, "f")
        numbers = struct.unpack(f"<{len(data) // struct.calcsize(code)}{code}", data)
        return exactly(numbers).reshape(shape)


def exactly(numbers: Any) -> Exact:
    """An array of fractions."""
    flat = np.empty(np.size(numbers), object)
    flat[:] = [Fraction(x) for x in np.reshape(numbers, -1).tolist()]
    return flat.reshape(np.shape(numbers))


def relu(numbers: Exact) -> Exact:
    return np.maximum(numbers, Fraction(0))


# --- the oracle ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Truth:
    """logits "a b z", `lead` "a b" of the true output over the best other one, and where it is positive: `correct`.

    No number that a forward pass forms, nor a product of the largest entries of its factors, is above `reach`.
    """

    logits: Exact
    lead: Exact
    correct: np.ndarray
    reach: Fraction


def truth(model: HiddenModel) -> Truth:
    """Run the model on every pair."""
    logits = np.array([[_forward(model, a, b)[1] for b in model.elements] for a in model.elements], object)
    lead = leads(logits, model.table)
    return Truth(logits, lead, np.array(lead > 0, np.bool_), _reach(model))


def activations(model: HiddenModel) -> Exact:
    """What the ReLUs are applied to, "a b i"."""
    return np.array([[_forward(model, a, b)[0] for b in model.elements] for a in model.elements], object)


def unembed_of(model: HiddenModel) -> Exact:
    """What each neuron adds to the logits, "i z"."""
    unembed = model.weight("unembed.W_U")
    return model.weight(MLP + "W_out") @ unembed if model.transformer else unembed


def slack_of(model: HiddenModel, neurons: Any) -> Fraction:
    """The sum of relu(max_a left + max_b right + bias) range(U) over some neurons."""
    most, unembed = relu(activations(model).max(axis=(0, 1))), unembed_of(model)
    return sum((most[i] * (max(unembed[i]) - min(unembed[i])) for i in neurons), Fraction(0))


def leads(logits: Exact, table: np.ndarray) -> Exact:
    """ "a b" from "a b z"."""
    result = np.empty(table.shape, object)
    for a, b in np.ndindex(table.shape):
        others = [x for z, x in enumerate(logits[a, b]) if z != table[a, b]]
        result[a, b] = logits[a, b, table[a, b]] - max(others)
    return result


def _forward(model: HiddenModel, a: int, b: int) -> tuple[Exact, Exact]:
    """What the ReLUs are applied to, and the logits."""
    unembed, constant = model.weight("unembed.W_U"), model.weight("unembed.b_U")
    if not model.transformer:
        inputs = model.weight("embed_left.W_E")[a] + model.weight("embed_right.W_E")[b] + model.weight("mlp.b_in")
        return inputs, relu(inputs) @ unembed + constant
    tokens = (a, b, len(model.table))
    stream = [model.weight("embed.W_E")[t] + model.weight("pos_embed.W_pos")[j] for j, t in enumerate(tokens)]
    w_v, w_o, b_v = (model.weight(ATTENTION + name) for name in ("W_V", "W_O", "b_V"))
    attended = model.weight(ATTENTION + "b_O")
    for head in range(len(w_v)):
        values = [x @ w_v[head] + (b_v[head] if b_v.shape else b_v) for x in stream]
        attended = attended + sum(values) / 3 @ w_o[head]
    middle = stream[2] + attended
    inputs = middle @ model.weight(MLP + "W_in") + model.weight(MLP + "b_in")
    final = middle + relu(inputs) @ model.weight(MLP + "W_out") + model.weight(MLP + "b_out")
    return inputs, final @ unembed + constant


def _reach(model: HiddenModel) -> Fraction:
    def top(name: str) -> Fraction:
        return max(abs(model.weight(name).reshape(-1)))

    def width(name: str) -> int:
        return model.weight(name).shape[-1]

    if not model.transformer:
        inputs = top("embed_left.W_E") + top("embed_right.W_E") + top("mlp.b_in")
        return width("embed_left.W_E") * inputs * top("unembed.W_U") + top("unembed.b_U")
    d, heads = width("embed.W_E"), model.weight(ATTENTION + "W_V").shape[0] * width(ATTENTION + "W_V")
    stream = top("embed.W_E") + top("pos_embed.W_pos")
    values = d * stream * top(ATTENTION + "W_V") + top(ATTENTION + "b_V")
    middle = stream + heads * values * top(ATTENTION + "W_O") + top(ATTENTION + "b_O")
    hidden = d * middle * top(MLP + "W_in") + top(MLP + "b_in")
    final = middle + width(MLP + "W_in") * hidden * top(MLP + "W_out") + top(MLP + "b_out")
    return d * final * top("unembed.W_U") + top("unembed.b_U")


# --- models to ask about ---------------------------------------------------------------------------------------------


def permutations_table(size: int) -> np.ndarray:
    """The symmetric group."""
    every = list(itertools.permutations(range(size)))
    return np.array([[every.index(tuple(p[i] for i in q)) for q in every] for p in every])


GROUPS: dict[str, np.ndarray] = {
    "cyclic:2": np.array([[0, 1], [1, 0]]),
    "product(cyclic:2,cyclic:2)": np.array([[a ^ b for b in range(4)] for a in range(4)]),
    "cyclic:5": np.array([[(a + b) % 5 for b in range(5)] for a in range(5)]),
    "symmetric:3": permutations_table(3),
}
QUARTERS = [k / 4 for k in range(-6, 7)]
WILD = [0.0, 1.0, -1.0, 2.0, -2.0, 0.5, 3.0, -0.25, 1e-3, 7.0, -11.0, 1e4, -1e-20, 1e20, 5e-324, 0.1, -0.1, 1e-7]


def pack(weights: Mapping[str, np.ndarray], dtype: str | Mapping[str, str]) -> dict[str, Stored]:
    """Store arrays of floats, all with one dtype or each with its own."""
    named = {name: dtype if isinstance(dtype, str) else dtype[name] for name in weights}
    return {
        name: (named[name], weight.shape, b"".join(stored(float(x), named[name]) for x in weight.reshape(-1)))
        for name, weight in weights.items()
    }


def shapes(transformer: bool, size: int, hidden: int, outputs: int, d: int, heads: int, d_head: int) -> dict[str, Any]:
    """Shape of every tensor there may be."""
    if not transformer:
        return {
            "embed_left.W_E": (size, hidden),
            "embed_right.W_E": (size, hidden),
            "mlp.b_in": (hidden,),
            "unembed.W_U": (hidden, outputs),
            "unembed.b_U": (outputs,),
        }
    return {
        "embed.W_E": (size + 1, d),
        "pos_embed.W_pos": (3, d),
        ATTENTION + "W_V": (heads, d, d_head),
        ATTENTION + "W_O": (heads, d_head, d),
        ATTENTION + "b_V": (heads, d_head),
        ATTENTION + "b_O": (d,),
        MLP + "W_in": (d, hidden),
        MLP + "b_in": (hidden,),
        MLP + "W_out": (hidden, d),
        MLP + "b_out": (d,),
        "unembed.W_U": (d, outputs),
        "unembed.b_U": (outputs,),
    }


@st.composite
def tasks(draw: Any, sizes: st.SearchStrategy[int] = st.integers(2, 6)) -> tuple[Any, np.ndarray]:  # noqa: B008
    """Modular addition, groups by name, and any table whatever (whose digest the certificate must then name)."""
    kind = draw(st.sampled_from(["addition", "group", "table", "symmetric table"]))
    if kind == "group":
        name = draw(st.sampled_from(sorted(GROUPS)))
        return {"name": "group-composition", "group": name}, GROUPS[name]
    size = draw(sizes)
    if kind == "addition":
        every = np.arange(size)
        return {"name": "modular-addition", "modulus": size}, (every[:, None] + every) % size
    entries = draw(st.lists(st.integers(0, size - 1), min_size=size**2, max_size=size**2))
    table = np.array(entries).reshape(size, size)
    return None, np.maximum(table, table.T) if kind == "symmetric table" else table


@st.composite
def random_models(draw: Any, numbers: st.SearchStrategy[list[float]]) -> HiddenModel:
    """Weights out of a list of numbers; often with the same numbers on both sides, and for several outputs."""
    pool = draw(numbers)
    task, table = draw(tasks())
    size = len(table)
    outputs, hidden = size + draw(st.sampled_from([0, 0, 0, 1, 2])), draw(st.integers(1, 6))
    transformer = draw(st.booleans())
    sizes = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 2))
    weights = {}
    for name, shape in shapes(transformer, size, hidden, outputs, *sizes).items():
        if ".b_" in name and draw(st.booleans()):
            continue
        count = int(np.prod(shape))
        weights[name] = np.array(draw(st.lists(st.sampled_from(pool), min_size=count, max_size=count))).reshape(shape)
    if not transformer and draw(st.booleans()):
        weights["embed_right.W_E"] = weights["embed_left.W_E"]
    if outputs > size and draw(st.booleans()):
        weights["unembed.W_U"][:, -1] = weights["unembed.W_U"][:, 0]  # a tie between an element and no element
    dtype = draw(st.sampled_from(DTYPES))
    mixed = {name: draw(st.sampled_from(DTYPES)) for name in weights} if draw(st.booleans()) else dtype
    return HiddenModel(pack(weights, mixed), task, table, exact=pool is QUARTERS)


def bent(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """f(0) "z" and c "k z" with f(s) = f(0) + sum over k of c_k relu(s - k), for values f(s) "s z"."""
    slopes = np.diff(values, axis=0)
    return values[0], np.diff(slopes, axis=0, prepend=np.zeros((1, values.shape[1])))


@st.composite
def built_models(draw: Any, noise: st.SearchStrategy[float]) -> HiddenModel:
    """Networks made to solve their task, with a lead of our choice for each pair (or sum a + b), ties and errors included.

    The hidden layer sees s = n a + b, or s = a + b for transformers, and forms any function of it. Then noise is added.
    """
    transformer = draw(st.booleans())
    if transformer:
        size = draw(st.integers(2, 4))
        every = np.arange(size)
        task, table = {"name": "modular-addition", "modulus": size}, (every[:, None] + every) % size
        step = 1
    else:
        task, table = draw(tasks(st.integers(2, 3)).filter(lambda both: len(both[1]) <= 4))
        size = step = len(table)
    outputs = size + draw(st.sampled_from([0, 0, 1]))
    sums = [step * a + b for a in range(size) for b in range(size)]
    values = np.zeros((max(sums) + 1, outputs))
    lead = st.sampled_from([1.0, 1.0, 0.5, 0.25, 2.0, 0.0, -0.25])
    for s, true in zip(sums, table.reshape(-1), strict=True):
        values[s, true] = draw(lead)
    start, bends = bent(values)
    knots = len(bends)
    if transformer:
        weights = {name: np.zeros(shape) for name, shape in shapes(True, size, knots, outputs, outputs + 1, 1, 1).items()}
        weights["embed.W_E"][:size, 0] = 3 * np.arange(size)
        weights[ATTENTION + "W_V"][0, 0] = weights[ATTENTION + "W_O"][0, 0, 0] = 1
        weights[MLP + "W_in"][0], weights[MLP + "b_in"] = 1, -np.arange(knots)
        weights[MLP + "W_out"][:, 1:], weights["unembed.W_U"][1:] = bends, np.eye(outputs)
    else:
        weights = {name: np.zeros(shape) for name, shape in shapes(False, size, knots, outputs, 0, 0, 0).items()}
        weights["embed_left.W_E"] += step * np.arange(size)[:, None]
        weights["embed_right.W_E"] += np.arange(size)[:, None]
        weights["mlp.b_in"], weights["unembed.W_U"] = -np.arange(knots), bends
    weights["unembed.b_U"] = start
    scale = draw(noise)
    if scale:
        rng = np.random.default_rng(draw(st.integers(0, 2**32)))
        weights = {name: weight + scale * rng.normal(size=weight.shape) for name, weight in weights.items()}
    dtype = draw(st.sampled_from(["F32", "F64"])) if scale else "F64"
    return HiddenModel(pack(weights, dtype), task, table, exact=not scale)
