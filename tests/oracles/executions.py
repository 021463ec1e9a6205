"""Executions of a transformer in floating point, simulated: what rule executed-forward must enclose.

Numbers are float64, every result is multiplied by 1 + e, |e| <= u, for a coarser u. How sums are arranged, how norms, scores
and softmax are computed, and the errors themselves are drawn, or are always the largest. It shares no code with the checker.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import erf
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_ERF = np.vectorize(erf, otypes=[np.float64])
ACTS: Mapping[str, Callable[[Array], Array]] = {
    "relu": lambda z: np.maximum(z, 0),
    "gelu": lambda z: z * (1 + _ERF(z / np.sqrt(2))) / 2,
    "gelu_new": lambda z: z * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))) / 2,
    "silu": lambda z: z / (1 + np.exp(-z)),
}
SHIFTS = ("most", "none", "least", "any")
"""What softmax subtracts from scores."""


@dataclass
class Execution:
    """push: e / u, or None for any, or 0 for signs at random. shift: one of SHIFTS, or None for any."""

    rng: np.random.Generator
    push: float | None
    u: float
    shift: str | None = None

    def errors(self, shape: tuple[int, ...]) -> Array:
        """From -1 to 1."""
        if self.push is None:
            return self.rng.uniform(-1, 1, shape)
        return self.rng.choice([-1.0, 1.0], shape) if self.push == 0 else np.full(shape, self.push)

    def either(self, choices: int = 2) -> int:
        """A choice."""
        return int(self.rng.integers(choices))

    def off(self, exact: Any, times: float = 1) -> Array:
        """A result as it is computed."""
        exact = np.asarray(exact, np.float64)
        return np.asarray(exact * (1 + times * self.u * self.errors(exact.shape)))

    def sum(self, terms: list[Array]) -> Array:
        """In any order."""
        terms = [terms[i] for i in self.rng.permutation(len(terms))]
        row = self.either() == 0  # one after the other: then most roundings meet in one term
        while len(terms) > 1:
            first, second = (terms.pop(-1 if row else self.either(len(terms))) for _ in range(2))
            terms.append(self.off(first + second))
        return terms[0]

    def product(self, left: Array, right: Array, *more: Array) -> Array:
        """A vector times a matrix, and what is added to it."""
        terms = [self.off(left[..., k, None] * right[k]) for k in range(len(right))]
        return self.sum([*terms, *(np.broadcast_to(x, terms[0].shape) for x in more)])

    def gamma(self, roundings: int) -> float:
        return roundings * self.u / (1 - roundings * self.u)


@dataclass
class Simulated:
    """A model that is executed on inputs "n k". streams: what enters each layer, "n k d"; logits "n k out"."""

    config: Mapping[str, Any]
    weights: Mapping[str, Array]
    run: Execution

    def __call__(self, tokens: NDArray[np.int64]) -> Array:
        config, w, run = self.config, self.weights, self.run
        x = w["embed.W_E"][tokens]
        if "pos_embed.W_pos" in w:
            x = run.off(x + w["pos_embed.W_pos"][: tokens.shape[1]])
        self.streams = [x]
        for layer in range(config["n_layers"]):
            own = f"blocks.{layer}."
            x = run.off(x + self.attention(f"{own}attn.", self.norm(f"{own}ln1", x)))
            if not config["attn_only"]:
                x = run.off(x + self.mlp(f"{own}mlp.", self.norm(f"{own}ln2", x)))
            self.streams.append(x)
        unembed = w["embed.W_E"].T if config["tie_word_embeddings"] else w["unembed.W_U"]
        return run.product(self.norm("ln_final", x), unembed, *self.bias("unembed.b_U"))

    def bias(self, name: str) -> list[Array]:
        return [self.weights[name].reshape(-1)] if name in self.weights else []

    def norm(self, name: str, x: Array) -> Array:
        kind = self.config["normalization_type"]
        return x if kind is None else self.normed(name, x, kind.startswith("LN"))

    def normed(self, name: str, x: Array, subtracts: bool) -> Array:
        run, n, eps = self.run, x.shape[-1], float(Fraction(self.config["eps"]))
        terms = [x[..., i, None] for i in range(n)]
        mean = run.off(run.sum(terms) / n) if subtracts else np.zeros(1)
        exact = x.mean(-1, keepdims=True) if subtracts else 0
        v, square = ((x - exact) ** 2).mean(-1, keepdims=True) + eps, (x**2).mean(-1, keepdims=True) + eps
        kind = run.either(3)
        if kind == 0:  # whatever is allowed
            v = v + run.gamma(8 * n + 32) * square * run.errors(v.shape)
        else:  # in one pass, or in two
            apart = [run.off((t - mean * (kind == 2)) ** 2, 1 if kind == 1 else 3) for t in terms]
            v = run.off(run.sum(apart) / n)
            v = run.off(v - run.off(mean**2)) if kind == 1 and subtracts else v
            v = run.off(v + run.off(eps))
        with np.errstate(invalid="ignore"):  # a sum of squares that is lost: no number is right then
            over = run.off(1 / np.sqrt(v), 7)
        w, b = self.weights.get(f"{name}.w"), self.bias(f"{name}.b")
        kind = run.either(3)
        if w is not None and kind == 2:
            over = run.off(over * w)
        if subtracts and run.either():
            y = run.off(run.off(x * over) - run.off(mean * over))
        else:
            y = run.off((run.off(x - mean) if subtracts else x) * over)
        if w is not None and kind < 2:
            y = run.off(y * w)
        return run.off(y + b[0]) if b else y

    def heads(self, own: str, letter: str, x: Array) -> Array:
        """Those of a layer, "n k h e"."""
        run, w = self.run, self.weights[f"{own}W_{letter}"]
        flat = run.product(x, w.transpose(1, 0, 2).reshape(w.shape[1], -1), *self.bias(f"{own}b_{letter}"))
        heads = flat.reshape(*x.shape[:2], len(w), -1)
        if letter == "V":
            return heads
        if self.config["use_qk_norm"]:
            heads = self.normed(f"{own}{letter.lower()}_norm", heads, subtracts=False)
        return self.turned(heads) if self.config["positional_embedding_type"] == "rotary" else heads

    def turned(self, heads: Array) -> Array:
        run, width, base = self.run, self.config["rotary_dim"], Fraction(self.config["rotary_base"])
        number, bits = np.arange(width // 2), int(base).bit_length()
        angle = np.arange(heads.shape[1])[:, None] * float(base) ** (-2 * number / width)
        room = 4 * run.u + (10 + bits) * run.u * angle
        cosine, sine = (t + room * run.errors(t.shape) for t in (np.cos(angle), np.sin(angle)))
        first, apart = (2 * number, 1) if self.config["rotary_adjacent_pairs"] else (number, width // 2)
        a, b = heads[..., first], heads[..., first + apart]
        cosine, sine, found = cosine[:, None], sine[:, None], heads.copy()
        found[..., first] = run.off(run.off(a * cosine) - run.off(b * sine))
        found[..., first + apart] = run.off(run.off(b * cosine) + run.off(a * sine))
        return found

    def attention(self, own: str, x: Array) -> Array:
        return self.attended(own, *(self.heads(own, letter, x) for letter in "QKV"))

    def attended(self, own: str, query: Array, key: Array, value: Array) -> Array:
        """What is added to the residual stream, "n k d", of heads."""
        config, run = self.config, self.run
        group = np.arange(config["n_heads"]) // (config["n_heads"] // key.shape[2])
        key, value = key[:, :, group], value[:, :, group]
        scale = config["d_head"] ** -0.5 if config["attn_scale"] == "-1" else float(1 / Fraction(config["attn_scale"]))
        where = run.either(4)
        if where == 0:
            query = run.off(query * run.off(scale, 3))
        elif where == 1:
            key = run.off(key * run.off(scale, 3))
        elif where == 2:
            query, key = (run.off(y * run.off(np.sqrt(scale), 3)) for y in (query, key))
        parts = []
        for j in range(query.shape[1]):
            seen = j + 1 if config["attention_dir"] == "causal" else query.shape[1]
            dots = run.sum([run.off(query[:, j, None, :, i] * key[:, :seen, :, i]) for i in range(config["d_head"])])
            score = run.off(dots * run.off(scale, 3)) if where == 3 else dots
            if config["positional_embedding_type"] == "alibi":
                far = abs(j - np.arange(seen))[:, None] * self.weights[f"{own}slopes"]
                score = run.off(score - run.off(far))
            parts.append(self.mixed(score, value[:, :seen]))
        w = self.weights[f"{own}W_O"]
        joined = np.stack(parts, 1)
        return run.product(joined.reshape(*joined.shape[:2], -1), w.reshape(-1, w.shape[2]), *self.bias(f"{own}b_O"))

    def mixed(self, score: Array, value: Array) -> Array:
        """What heads read, "n h e", with scores "n s h", of values "n s h e"."""
        run, (most, least) = self.run, (end(score, axis=1, keepdims=True) for end in (np.max, np.min))
        shifts = {"most": most, "none": 0 * most, "least": least}
        shifts["any"] = np.abs(score).max(1, keepdims=True) * run.errors(most.shape)
        shift = shifts[run.shift or SHIFTS[run.either(4)]]
        exponents = score - shift
        fits = np.all((np.exp(np.clip(exponents, -99, 99)).sum(1, keepdims=True) - 1) ** 2 < 2.0**78, axis=1, keepdims=True)
        fits &= np.exp(np.clip(exponents, -99, 99)).sum(1, keepdims=True) > 2.0**-39
        shift = np.where(fits, shift, most)
        difference = run.off(score - shift)
        if run.either():
            weight = run.off(np.exp2(run.off(run.off(np.log2(np.e)) * difference)), 8)
        else:
            weight = run.off(np.exp(difference), 8)
        total, kind = run.sum([weight[:, s] for s in range(score.shape[1])])[:, None], run.either(3)
        if kind == 0:
            weight = run.off(weight / total)
        elif kind == 1:
            weight = run.off(weight * run.off(1 / total))
        mixed = run.sum([run.off(weight[:, s, :, None] * value[:, s]) for s in range(score.shape[1])])
        return run.off(mixed / total[:, 0, :, None]) if kind == 2 else mixed

    def mlp(self, own: str, x: Array) -> Array:
        run, w, act = self.run, self.weights, ACTS[self.config["act_fn"]]

        def active(z: Array) -> Array:
            found = act(z)
            return found if self.config["act_fn"] == "relu" else found + 16 * run.u * np.abs(z) * run.errors(z.shape)

        bias = self.bias(f"{own}b_in")
        if self.config["gated_mlp"]:
            hidden = run.off(active(run.product(x, w[f"{own}W_gate"])) * run.product(x, w[f"{own}W_in"]))
            hidden = run.off(hidden + bias[0]) if bias else hidden
        else:
            hidden = active(run.product(x, w[f"{own}W_in"], *bias))
        return run.product(hidden, w[f"{own}W_out"], *self.bias(f"{own}b_out"))
