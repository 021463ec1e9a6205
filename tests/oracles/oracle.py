"""What tiny models really do on the tasks: an oracle that shares no code with the project, and models to ask it about.

`truth` decodes the stored bytes of a `TinyModel` itself, into fractions, and runs the transformer on every input as a
textbook would: embed, attend with a softmax, mix the values, unembed, with mpmath at 60 digits (more when scores are
large). Products of weights are exact, so the softmax is the only inexact part. Where the scores of two outputs are too
close to tell, the sign of the difference is decided exactly: multiplied by the softmax denominator, it is a sum of
c_i exp(s_i) with rational c_i and algebraic s_i. Once equal s_i are merged and zero c_i dropped, it vanishes only if
nothing is left (Lindemann-Weierstrass); otherwise enough digits show its sign. A tie is an error of the model.
"""

import itertools
import random
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import mpmath
import numpy as np
from mpmath.ctx_mp import MPContext

ATTENTION = "blocks.0.attn."
DTYPES = ("F16", "BF16", "F32", "F64")
_CODES = {"F16": "e", "F32": "f", "F64": "d"}
_LARGEST = {"F16": 65504.0, "BF16": 3.3e38, "F32": 3.4e38, "F64": 1.7e308}
_DIGITS = 60

Matrix = list[list[Fraction]]


# --- models ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TinyModel:
    """Sizes, and the tensors as they are stored: name -> (dtype, shape, little-endian bytes). Absent biases are zero.

    The true output is the rank-th largest token of an input, equal ones counted separately.
    """

    vocab: int
    n_ctx: int
    d_model: int
    d_head: int
    outputs: int
    tensors: Mapping[str, tuple[str, tuple[int, ...], bytes]]
    kind: str = ""
    rank: int = 1

    def label(self, tokens: Sequence[int]) -> int:
        """The true output."""
        return sorted(tokens, reverse=True)[self.rank - 1]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every tensor there may be."""
        return shapes(self.vocab, self.n_ctx, self.d_model, self.d_head, self.outputs)

    def numbers(self, name: str) -> list[Fraction]:
        """The stored numbers of a tensor, exactly, in row-major order; zeros if it is absent."""
        if name not in self.tensors:
            return [Fraction(0)] * int(np.prod(self.shapes[name]))
        dtype, _, data = self.tensors[name]
        if dtype == "BF16":  # the upper half of a float32
            data = b"".join(b"\0\0" + data[i : i + 2] for i in range(0, len(data), 2))
        code = _CODES.get(dtype, "f")
        return [Fraction(number) for number in struct.unpack(f"<{len(data) // struct.calcsize(code)}{code}", data)]

    def matrix(self, name: str) -> Matrix:
        """A weight (of the one head) as rows; a bias as one row."""
        numbers, width = self.numbers(name), self.shapes[name][-1]
        return [numbers[i : i + width] for i in range(0, len(numbers), width)]


def shapes(vocab: int, n_ctx: int, d_model: int, d_head: int, outputs: int) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor of the architecture."""
    return {
        "embed.W_E": (vocab, d_model),
        "pos_embed.W_pos": (n_ctx, d_model),
        ATTENTION + "W_Q": (1, d_model, d_head),
        ATTENTION + "W_K": (1, d_model, d_head),
        ATTENTION + "W_V": (1, d_model, d_head),
        ATTENTION + "W_O": (1, d_head, d_model),
        ATTENTION + "b_Q": (1, d_head),
        ATTENTION + "b_K": (1, d_head),
        ATTENTION + "b_V": (1, d_head),
        ATTENTION + "b_O": (d_model,),
        "unembed.W_U": (d_model, outputs),
        "unembed.b_U": (outputs,),
    }


def stored(number: float, dtype: str) -> bytes:
    """A number as it is stored: out-of-range numbers become the largest, BF16 rounds toward zero."""
    number = min(max(number, -_LARGEST[dtype]), _LARGEST[dtype])
    if dtype == "BF16":
        return struct.pack("<f", number)[2:]
    return struct.pack("<" + _CODES[dtype], number)


# --- the oracle ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Truth:
    """Of all V**K inputs, "n k" in lexicographic order, which the model classifies correctly; `label` "n": the true outputs.

    `lead` "n" is the least lead of the true output over another one, less what is required, about. `margin` "n" is that times
    the softmax denominator relative to the largest weight of the query, divided by the largest number that the logits are
    made of, and what is required: what is small here is close
    to a tie for anyone who computes with rounding.
    """

    tokens: np.ndarray
    correct: np.ndarray
    margin: np.ndarray
    lead: np.ndarray
    label: np.ndarray
    smallest: bool = False

    def numbers(self, tokens: np.ndarray) -> np.ndarray:
        """What certificates call these tokens: t, or V-1-t where the true output is the smallest (FORMAT.md)."""
        return np.array(int(self.tokens.max()) - tokens) if self.smallest else tokens

    @cached_property
    def count(self) -> int:
        """Number of inputs classified correctly."""
        return int(self.correct.sum())

    def of(self, tokens: Sequence[int]) -> bool:
        """Whether this input is classified correctly."""
        vocab = int(self.tokens.max()) + 1
        return bool(self.correct[int(sum(int(t) * vocab**i for i, t in enumerate(reversed(tokens))))])


def _times(a: Matrix, b: Matrix) -> Matrix:
    columns = list(zip(*b, strict=True))
    return [[sum((x * y for x, y in zip(row, column, strict=True)), Fraction(0)) for column in columns] for row in a]


def _plus(a: Matrix, b: Matrix) -> Matrix:
    """Sum of two matrices; a single row is added to every row."""
    rows = b * len(a) if len(b) == 1 else b
    return [[x + y for x, y in zip(p, q, strict=True)] for p, q in zip(a, rows, strict=True)]


def truth(model: TinyModel, required: Fraction = Fraction(0)) -> Truth:
    """Run the model on every input; correct ones lead by more than is required."""
    vocab, n_ctx = model.vocab, model.n_ctx
    free = list(itertools.product(range(vocab), repeat=n_ctx - 1))
    tokens = np.array([(*x, q) for x in free for q in range(vocab)], np.int64)
    tables = _Tables(model, required)
    correct = np.zeros((len(free), vocab), np.bool_)
    margin, lead = np.zeros((len(free), vocab)), np.zeros((len(free), vocab))
    for q in range(vocab):
        correct[:, q], margin[:, q], lead[:, q] = tables.run(q, np.array([(*x, q) for x in free], np.int64))
    label = np.array([model.label(x) for x in tokens.tolist()])
    return Truth(tokens, correct.reshape(-1), margin.reshape(-1), lead.reshape(-1), label, model.rank == n_ctx)


class _Tables:
    """Exact ingredients of the forward pass: residuals, queries, keys, and what each attended token adds to the logits."""

    def __init__(self, model: TinyModel, required: Fraction) -> None:
        self.required = required
        vocab, n_ctx, self.d_head = model.vocab, model.n_ctx, model.d_head
        self.label_of = model.label
        embed, position, unembed = (model.matrix(n) for n in ("embed.W_E", "pos_embed.W_pos", "unembed.W_U"))
        w_q, w_k, w_v, w_o, b_q, b_k, b_v, b_o = (
            model.matrix(ATTENTION + n) for n in ("W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V", "b_O")
        )
        residual = [_plus(embed, [position[j]]) for j in range(n_ctx)]  # j t d
        queries = _plus(_times(residual[-1], w_q), b_q)
        keys = [_plus(_times(residual[j], w_k), b_k) for j in range(n_ctx)]
        # Scores before division by sqrt(d_head): dot[q][j][t].
        by_position = [_times(queries, [list(column) for column in zip(*keys[j], strict=True)]) for j in range(n_ctx)]
        self.dot = [[by_position[j][q] for j in range(n_ctx)] for q in range(vocab)]
        values = [_plus(_times(residual[j], w_v), b_v) for j in range(n_ctx)]
        self.head = [_times(_times(values[j], w_o), unembed) for j in range(n_ctx)]  # j t o
        self.skip = _plus(_times(_plus(residual[-1], b_o), unembed), model.matrix("unembed.b_U"))  # q o
        flat = itertools.chain(itertools.chain(*self.skip), itertools.chain(*itertools.chain(*self.head)))
        self.largest = max([required, *(abs(number) for number in flat)])
        steepest = max(abs(number) for number in itertools.chain(*itertools.chain(*self.dot)))
        self.digits = _DIGITS + len(str(int(steepest)))

    def run(self, q: int, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Which inputs ending in q are classified correctly, their margins and leads."""
        context = MPContext()
        context.dps = self.digits

        def number(x: Fraction) -> mpmath.mpf:
            return context.mpf(x.numerator) / x.denominator

        root = context.sqrt(self.d_head)
        scores = np.array([[number(dot) / root for dot in row] for row in self.dot[q]], object)  # j t
        steepest = max(itertools.chain(*scores.tolist()))
        exponentials = np.array([[context.exp(score - steepest) for score in row] for row in scores], object)
        head = np.array([[[number(x) for x in row] for row in table] for table in self.head], object)  # j t o
        skip = np.array([number(x) for x in self.skip[q]], object)

        positions = np.arange(tokens.shape[1])
        weights = exponentials[positions, tokens]  # n j
        denominator = weights.sum(axis=1)
        attention = weights / denominator[:, None]
        mixed = sum(attention[:, j, None] * head[j, tokens[:, j]] for j in positions)
        logits = skip + mixed

        label = np.array([self.label_of(x) for x in tokens.tolist()])
        everyone = np.arange(len(tokens))
        lead = logits[everyone, label][:, None] - number(self.required) - logits
        doubt = number(self.largest) * context.mpf(10) ** (20 - _DIGITS)
        correct = np.zeros(len(tokens), np.bool_)
        least, leads = np.zeros(len(tokens)), np.zeros(len(tokens))
        for i in everyone:
            rivals = [o for o in range(logits.shape[1]) if o != label[i]]
            smallest = min(lead[i, o] for o in rivals)
            leads[i] = float(smallest)
            least[i] = float(smallest * denominator[i] / number(self.largest)) if self.largest else 0.0
            if abs(smallest) > doubt:
                correct[i] = smallest > 0
            else:
                close = [o for o in rivals if abs(lead[i, o]) <= doubt]
                correct[i] = all(lead[i, o] > -doubt for o in rivals) and all(
                    self.sign(q, tokens[i].tolist(), int(label[i]), o) > 0 for o in close
                )
        return correct, least, leads

    def sign(self, q: int, tokens: list[int], winner: int, rival: int) -> int:
        """The sign, exactly, of the winner's logit minus the rival's."""
        coefficients: dict[Fraction, Fraction] = {}
        direct = self.skip[q][winner] - self.skip[q][rival] - self.required
        for j, t in enumerate(tokens):
            dot = self.dot[q][j][t]
            gap = direct + self.head[j][t][winner] - self.head[j][t][rival]
            coefficients[dot] = coefficients.get(dot, Fraction(0)) + gap
        left = {dot: gap for dot, gap in coefficients.items() if gap}
        if not left:
            return 0
        top = max(left)
        context = MPContext()
        digits = self.digits
        while True:
            context.dps = digits
            root = context.sqrt(self.d_head)
            terms = [
                (context.mpf(gap.numerator) / gap.denominator)
                * context.exp(context.mpf((dot - top).numerator) / (dot - top).denominator / root)
                for dot, gap in left.items()
            ]
            total = sum(terms)
            if abs(total) > sum(abs(term) for term in terms) * context.mpf(10) ** (self.digits - _DIGITS + 10 - digits):
                return 1 if total > 0 else -1
            digits *= 2


# --- models to ask about ---------------------------------------------------------------------------------------------

BIASES = tuple(name for name in shapes(2, 2, 1, 1, 2) if ".b_" in name)
KINDS = ("maximum", "maximum", "maximum", "edge", "noise", "integers", "wild")
Weights = dict[str, np.ndarray]


def random_model(seed: int, kinds: Sequence[str] = KINDS, largest: int = 700, place: str = "largest") -> TinyModel:
    """A tiny model; kinds take turns. `largest` bounds the number of inputs. place: which token is the true output,
    the "largest", the "smallest", or one in the "middle".

    maximum: built to find that token, then perturbed; edge: the same, with some outputs' biases such that an input is
    within 1e-6 of a tie, or on it; tilted: Gaussian weights, with one token's bias such that some of its inputs
    are correct and one is on the edge; noise: Gaussian weights; integers: small integers, full of ties; wild: from subnormals
    to 1e20. About a third of all models have ties made on purpose.
    """
    rng = random.Random(seed)
    kind = kinds[seed % len(kinds)]
    least = 3 if place == "middle" else 2
    vocab, n_ctx = rng.choice([(v, k) for v in range(2, 7) for k in range(least, 5) if v**k <= largest])
    rank = {"largest": 1, "smallest": n_ctx}.get(place) or rng.randint(2, n_ctx - 1)
    d_model, d_head = rng.randint(1, 4), rng.randint(1, 4)
    outputs = vocab + rng.choice((0, 0, 1, 2))
    shape = shapes(vocab, n_ctx, d_model, d_head, outputs)
    if kind == "maximum":
        weights = _maximum(rng, shape, place, perturbed=rng.choice((0.0, 0.01, 0.1, 0.3)))
    elif kind == "noise":
        size = 10.0 ** rng.uniform(-1, 0.5)
        weights = {name: _gaussian(rng, sizes) * size for name, sizes in shape.items()}
    elif kind == "tilted":
        weights = _tilted(rng, {name: _gaussian(rng, sizes) for name, sizes in shape.items()}, rank)
    elif kind == "edge":
        weights = _edge(rng, _maximum(rng, shape, place, perturbed=rng.choice((0.1, 0.5))), rank)
    elif kind == "integers":
        weights = {name: _integers(rng, sizes) for name, sizes in shape.items()}
    else:
        weights = _wild(rng, shape)
    if kind not in ("maximum", "edge", "tilted"):
        weights = {name: weight for name, weight in weights.items() if name not in BIASES or rng.random() < 0.5}
    if rng.random() < 0.3 and kind != "tilted":
        _make_ties(rng, weights)
    dtype = "F64" if kind in ("edge", "tilted") else rng.choice(DTYPES)
    mixed = kind in ("maximum", "noise", "integers", "wild") and rng.random() < 0.2
    return pack(weights, lambda: rng.choice(DTYPES) if mixed else dtype, kind, rank)


def pack(weights: Weights, dtype: object, kind: str = "", rank: int = 1) -> TinyModel:
    """Store float64 arrays; `dtype` is a name, or called for every tensor to give one."""
    tensors = {}
    for name, weight in weights.items():
        chosen = dtype if isinstance(dtype, str) else dtype()
        tensors[name] = (chosen, weight.shape, b"".join(stored(float(x), chosen) for x in weight.reshape(-1)))
    vocab, d_model = weights["embed.W_E"].shape
    d_head, outputs = weights[ATTENTION + "W_Q"].shape[2], weights["unembed.W_U"].shape[1]
    return TinyModel(vocab, weights["pos_embed.W_pos"].shape[0], d_model, d_head, outputs, tensors, kind, rank)


def _gaussian(rng: random.Random, sizes: tuple[int, ...]) -> np.ndarray:
    return np.array([rng.gauss(0, 1) for _ in range(int(np.prod(sizes)))]).reshape(sizes)


def _integers(rng: random.Random, sizes: tuple[int, ...]) -> np.ndarray:
    return np.array([float(rng.randint(-2, 2)) for _ in range(int(np.prod(sizes)))]).reshape(sizes)


def _maximum(rng: random.Random, shape: dict[str, tuple[int, ...]], place: str, perturbed: float) -> Weights:
    """Token t embeds as its size; attention prefers large tokens (or small ones, or none); output o at value y is
    2 y o - o**2, largest at y.
    """
    weights = {name: np.zeros(sizes) for name, sizes in shape.items()}
    vocab, d_model = shape["embed.W_E"]
    outputs = shape["unembed.b_U"][0]
    steep = rng.uniform(1.0, 6.0) * shape[ATTENTION + "b_Q"][1] ** 0.5
    steep *= {"largest": 1.0, "smallest": -1.0}.get(place) or rng.uniform(-0.3, 0.3)
    share = rng.choice((0.0, 0.01, 0.1))  # how much of the query's own size reaches the logits directly
    size, read = np.arange(vocab), d_model - 1  # the size is written to dimension 0 and the answer to the last
    own = share if read == 0 else 1.0
    weights["embed.W_E"][:, 0] = size * (share or 2.0**-6 if read == 0 else own)
    unit = weights["embed.W_E"][1, 0]
    weights[ATTENTION + "b_Q"][0, 0] = steep
    weights[ATTENTION + "W_K"][0, 0, 0] = 1 / unit
    weights[ATTENTION + "W_V"][0, 0, 0] = 1 / unit
    weights[ATTENTION + "W_O"][0, 0, read] = 1.0
    weights["unembed.W_U"][read] = 2 * np.arange(outputs)
    weights["unembed.W_U"][0] += 2 * share * np.arange(outputs) if read else 0
    weights["unembed.b_U"][:] = -(np.arange(outputs) ** 2) + share * np.arange(outputs)
    for name, weight in weights.items():
        if rng.random() < 0.7:
            weights[name] = weight + perturbed * _gaussian(rng, weight.shape) * (0.2 if name.startswith("embed") else 1)
    # A change of units inside the head, which nothing outside of it can notice.
    for group in ((("W_Q", 1), ("b_Q", 1), ("W_K", -1), ("b_K", -1)), (("W_V", 1), ("b_V", 1), ("W_O", -1))):
        factor = 2.0 ** rng.choice((0, 0, 0, 5, -9, 60))
        for name, power in group:
            weights[ATTENTION + name] *= factor**power
    return {name: weight for name, weight in weights.items() if name not in BIASES or weight.any() or rng.random() < 0.3}


def textbook(weights: Weights, tokens: Sequence[int]) -> np.ndarray:
    """Logits of one input in float64, for biases of zero where they are absent."""
    attention = {name.removeprefix(ATTENTION): weight for name, weight in weights.items() if name.startswith(ATTENTION)}
    residual = weights["embed.W_E"][list(tokens)] + weights["pos_embed.W_pos"]
    query, keys, values = (
        part @ attention["W_" + name][0] + attention.get("b_" + name, np.zeros((1, 1)))[0]
        for name, part in (("Q", residual[-1]), ("K", residual), ("V", residual))
    )
    scores = keys @ query / len(query) ** 0.5
    pattern = np.exp(scores - scores.max())
    mixed = (pattern / pattern.sum()) @ values @ attention["W_O"][0] + attention.get("b_O", 0.0)
    logits: np.ndarray = (residual[-1] + mixed) @ weights["unembed.W_U"] + weights.get("unembed.b_U", 0.0)
    return logits


def _label(tokens: Sequence[int], rank: int) -> int:
    return sorted(tokens)[-rank]


def _edge(rng: random.Random, weights: Weights, rank: int) -> Weights:
    """Shift some outputs' biases until the true output of some input all but ties with them."""
    vocab, n_ctx = len(weights["embed.W_E"]), len(weights["pos_embed.W_pos"])
    weights.setdefault("unembed.b_U", np.zeros(weights["unembed.W_U"].shape[1]))
    for _ in range(rng.randint(1, 3)):
        tokens = [rng.randrange(vocab) for _ in range(n_ctx)]
        label = _label(tokens, rank)
        rival = rng.choice([o for o in range(len(weights["unembed.b_U"])) if o != label])
        logits = textbook(weights, tokens)
        lead = logits[label] - logits[rival]
        weights["unembed.b_U"][rival] += lead + rng.choice((0.0, 1e-13, 1e-9, 1e-6)) * abs(logits).max()
    return weights


def tilted_token(vocab: int, n_ctx: int, rank: int) -> int:
    """The token whose bias is shifted in tilted models: the true output of many inputs."""
    return {1: vocab - 1, n_ctx: 0}.get(rank, vocab // 2)


def _tilted(rng: random.Random, weights: Weights, rank: int) -> Weights:
    """Shift one token's bias until it wins on a random share of the inputs whose true output it is."""
    vocab, n_ctx = len(weights["embed.W_E"]), len(weights["pos_embed.W_pos"])
    weights["pos_embed.W_pos"] *= rng.choice((0.0, 0.0, 0.2, 1.0))
    weights[ATTENTION + "W_Q"] *= rng.choice((0.3, 1.0, 2.0))
    top, leads, largest = tilted_token(vocab, n_ctx, rank), [], 0.0
    for tokens in itertools.product(range(vocab), repeat=n_ctx):
        if _label(tokens, rank) == top:
            logits = textbook(weights, tokens)
            leads.append(logits[top] - np.delete(logits, top).max())
            largest = max(largest, abs(logits).max())
    edge = sorted(leads)[int(rng.uniform(0.0, 0.7) * len(leads))]
    weights["unembed.b_U"][top] -= edge + rng.choice((0.0, 1e-13, 1e-6, 1e-4)) * largest
    return weights


def _wild(rng: random.Random, shape: dict[str, tuple[int, ...]]) -> Weights:
    """Every tensor, or every number, at its own order of magnitude; some subnormal, some zero."""
    each = rng.random() < 0.5
    spread = rng.choice((1, 3, 20))
    weights = {}
    for name, sizes in shape.items():
        exponent = rng.uniform(-spread, spread)
        numbers = [
            rng.gauss(0, 1) * 10.0 ** (rng.uniform(-spread, spread) if each else exponent) for _ in range(int(np.prod(sizes)))
        ]
        tiny = (5e-324, -5e-324, 1e-310, 1e-45, -1e-40, 6e-8, 0.0, -0.0)
        weights[name] = np.array([rng.choice(tiny) if rng.random() < 0.1 else x for x in numbers]).reshape(sizes)
    return weights


def _make_ties(rng: random.Random, weights: Weights) -> None:
    """Make tokens, outputs or attention scores equal."""
    for _ in range(rng.randint(1, 2)):
        what = rng.choice(("outputs", "tokens", "zero", "positions"))
        if what == "outputs":
            a, b = rng.sample(range(weights["unembed.W_U"].shape[1]), 2)
            weights["unembed.W_U"][:, a] = weights["unembed.W_U"][:, b]
            if "unembed.b_U" in weights and rng.random() < 0.7:
                weights["unembed.b_U"][a] = weights["unembed.b_U"][b]
        elif what == "tokens":
            a, b = rng.sample(range(weights["embed.W_E"].shape[0]), 2)
            weights["embed.W_E"][a] = weights["embed.W_E"][b]
        elif what == "positions":
            weights["pos_embed.W_pos"][:] = weights["pos_embed.W_pos"][0]
        else:
            names = ("embed.W_E", "unembed.W_U", *(ATTENTION + n for n in ("W_Q", "W_K", "W_V", "W_O")))
            weights[rng.choice(names)][:] = 0.0
