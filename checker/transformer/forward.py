"""The function that a `transformer` file defines (FORMAT.md, 2.6), evaluated in enclosures on many inputs at once.

It is written down as there, but for some things that do not change it. Activations that are alike are computed once
(`Places`), and none is that the logits asked for do not depend on. Positions that a causal query must not see are left out,
not masked. Padding gets the score of a key that is none, and then the weight 0; where there is no other key, the sum of weights
becomes 1. Scores are taken relative to the greatest of their query, and the sum of their exponentials divides the weighted sum
of the values: this multiplies the numerator and the denominator of a softmax by one positive number. And norms are

    (x - mean x) / sqrt(mean (x - mean x)^2 + eps)  =  sqrt(d) y / sqrt(sum y^2 + d^3 eps),    y = d x - sum x,
    x / sqrt(mean x^2 + eps)                        =  sqrt(d) x / sqrt(sum x^2 + d eps).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial

import numpy as np

from certificates.tensor_file import IntArray
from certificates.transformer import Transformer
from checker.core.enclosed_weights import weight
from checker.core.enclosures import Arithmetic, BoolArray, Enclosure
from checker.core.facts import Setting
from checker.transformer.activations import ACTIVATIONS, fraction
from checker.transformer.places import Places, instead_of_hidden
from checker.transformer.rotary import rotations


@dataclass(frozen=True)
class Heads:
    """What attention works on, for each of some places: query "p head e", divided by the scale, key and value "p group e"."""

    query: Enclosure
    key: Enclosure
    value: Enclosure

    def at(self, rows: IntArray) -> "Heads":
        """Those of some rows, in this order."""
        return Heads(self.query[rows], self.key[rows], self.value[rows])

    def within(self, arithmetic: Arithmetic) -> "Heads":
        """Rounded."""
        return Heads(*(part.within(arithmetic) for part in (self.query, self.key, self.value)))


class Layers:
    """The parts of a transformer, its weights being enclosures in the setting's arithmetic.

    All that is computed goes through one of the methods from `off` to `lost`, which change nothing here. In `executed_forward`
    they make intervals wide enough for what executions in floating point may compute, too.
    """

    deployed: str | None = None
    """The format in which executions are within the intervals as well, if they are."""

    def __init__(self, setting: Setting, config: Transformer) -> None:
        self.setting, self.config = setting, config
        held = sum(len(tensor.data) for tensor in setting.model.tensors.values())  # at least twice the number of weights
        setting.meter.hold(held * setting.arithmetic.element_bytes // 2)
        self.weights = {name: weight(setting, name) for name in setting.model.tensors}
        if config.rotary_dim:
            self.turns = rotations(setting, Fraction(config.rotary_base), config.rotary_dim, config.n_ctx)
        scale = Fraction(config.attn_scale)
        inverse = Fraction(scale.denominator, abs(scale.numerator))
        self.scale = setting.arithmetic.reciprocal_sqrt(config.d_head) if scale == -1 else fraction(setting.arithmetic, inverse)

    def in_arithmetic(self, arithmetic: Arithmetic) -> "Layers":
        """The same in another arithmetic."""
        return Layers(replace(self.setting, arithmetic=arithmetic), self.config)

    def off(self, roundings: int, size: Callable[[], Enclosure]) -> Enclosure | None:
        """How far a computed sum of products may be from this sum. roundings: of each of these; size: the sum of their absolute
        values.
        """
        return None

    def computed(self, value: Enclosure, roundings: int, size: Callable[[], Enclosure]) -> Enclosure:
        """A sum of products, see `off`."""
        off = self.off(roundings, size)
        return value if off is None else widened(value, off)

    def tilted(self, weights: Enclosure, size: Callable[[], Enclosure]) -> Enclosure:
        """Exponentials of scores, whose products have absolute values that add up to `size`."""
        return weights

    def mixed(self, value: Enclosure, keys: int, size: Callable[[], Enclosure]) -> Enclosure:
        """Means of so many values, weighted by attention. size: their largest absolute value."""
        return value

    def of_turns(self, value: Enclosure, first: Enclosure, second: Enclosure, position: IntArray) -> Enclosure:
        """A coordinate that a rotary embedding makes of two, at positions "p"."""
        return value

    def of_activation(self, value: Enclosure, given: Enclosure) -> Enclosure:
        """What an activation gives."""
        return value

    def of_norm(
        self, name: str, value: Enclosure, total: Enclosure, read: Callable[[], Enclosure], subtracts: bool
    ) -> Enclosure:
        """What a norm makes of vectors `read`, with weight and bias. total: n times the mean square plus eps, of d times `read`
        less its mean, if that subtracts means, else of `read`.
        """
        return value

    def bounded(self, total: Enclosure, read: Callable[[], Enclosure], subtracts: bool) -> BoolArray:
        """For which vectors what a norm makes of them can be bounded."""
        return np.ones(total.shape[0], np.bool_)

    def lost(self, read: Callable[[], Enclosure], total: Enclosure | None, sigma: Enclosure | None) -> Enclosure | None:
        """By how much logits "n out" may be off, from the residual stream "n d", in units of `after_attention`."""
        return None

    def hold(self, rows: int) -> None:
        """Announce what a layer works on in so many rows: the residual stream and heads."""
        config = self.config
        width = config.d_model + config.d_head * (config.n_heads + 2 * config.n_key_value_heads)
        self.setting.meter.hold(rows * width * self.setting.arithmetic.element_bytes)

    def embedded(self) -> tuple[Enclosure, Heads]:
        """What the first layer works on, for every position and token: the residual stream and heads."""
        position, token = np.divmod(np.arange(self.config.n_ctx * self.config.d_vocab), self.config.d_vocab)
        stream = self.weights["embed.W_E"][token]
        if self.config.positional_embedding_type == "standard":
            stream = self.added(stream, self.weights["pos_embed.W_pos"][position])
        return stream, self.heads(0, stream, position)

    def plus(self, x: Enclosure, bias: str) -> Enclosure:
        return x + self.weights[bias] if bias in self.weights else x

    def plus_size(self, size: Enclosure, bias: str) -> Enclosure:
        """A sum of absolute values, and that of a bias."""
        return size + abs(self.weights[bias]) if bias in self.weights else size

    def added(self, x: Enclosure, y: Enclosure) -> Enclosure:
        both = x + y
        return self.computed(both, 1, lambda: abs(both))

    def linear(self, x: Enclosure, matrix: Enclosure, bias: str) -> Enclosure:
        """X W, plus a bias."""
        product = self.plus(x @ matrix, bias)
        return self.computed(product, matrix.shape[0] + 1, lambda: self.plus_size(abs(x) @ abs(matrix), bias))

    def heads(self, layer: int, stream: Enclosure, position: IntArray) -> Heads:
        x, attention = self.norm(f"blocks.{layer}.ln1", stream), f"blocks.{layer}.attn."

        def projected(letter: str) -> Enclosure:
            flat = self.linear(x, self.weights[f"{attention}W_{letter}"], f"{attention}b_{letter}")
            return flat.reshape(len(position), -1, self.config.d_head)

        def compared(letter: str) -> Enclosure:
            heads = projected(letter)
            if self.config.use_qk_norm:
                heads = self._over_root_mean_square(f"{attention}{letter.lower()}_norm", heads, heads, 1)
            return self.turned(heads, position) if self.config.rotary_dim else heads

        return Heads(compared("Q") * self.scale, compared("K"), projected("V"))

    def attention(self, layer: int, heads: Heads, places: Places, asked: IntArray) -> Enclosure:
        """What it adds to the places asked for, "p d_model"."""
        config, parts = self.config, list[Enclosure]()
        group = np.arange(config.n_heads) // (config.n_heads // config.n_key_value_heads)
        for position in np.unique(places.position[asked]).tolist():
            here = asked[places.position[asked] == position]
            shape = (len(here), config.n_heads)
            seen = position + 1 if config.attention_dir == "causal" else config.n_ctx
            sees = places.number[places.row[here], :seen]
            looks_at = np.arange(seen)[None]
            if config.pad_token >= 0:
                self.setting.meter.gathering(4 * sees.size)
                visible = places.token[sees] != config.pad_token
                looks_at = instead_of_hidden(visible)
                sees = np.take_along_axis(sees, looks_at, 1)
            key, value = (part[sees[:, None, :], group[:, None]] for part in (heads.key, heads.value))  # "p head seen e"
            scores = (key @ heads.query[here].reshape(*shape, config.d_head, 1)).reshape(*shape, seen)
            falls = self.falls(layer, position, looks_at) if config.positional_embedding_type == "alibi" else None
            scores = scores if falls is None else scores - falls
            weights = (scores - scores.max(2).reshape(*shape, 1).representative()).exp()
            weights = self.tilted(weights, partial(_sizes_of_scores, heads.query[here], key, falls))
            if config.pad_token >= 0:
                weights, blind = weights.times(visible[:, None].astype(np.int64)), ~visible.any(axis=1)[:, None]
            mixed, total = (weights.reshape(*shape, 1, seen) @ value).reshape(*shape, config.d_head), weights.sum(2)
            if config.pad_token >= 0:
                total = total + self.setting.arithmetic.exact(blind.astype(np.int64), np.zeros(blind.shape, np.int64))
            means = self.mixed(mixed.over(total.reshape(*shape, 1)), seen, partial(_largest_size, value))
            parts.append(means.reshape(len(here), -1))
        joined = parts[0].concatenate(parts[1:], 0)
        return self.linear(joined, self.weights[f"blocks.{layer}.attn.W_O"], f"blocks.{layer}.attn.b_O")

    def falls(self, layer: int, position: int, seen: IntArray) -> Enclosure:
        """What scores of keys at positions "p k" lose by being far from a query, slope |j - l|: "p head k"."""
        return self.weights[f"blocks.{layer}.attn.slopes"].reshape(-1, 1).times(abs(position - seen)[:, None])

    def mlp(self, layer: int, stream: Enclosure, activation: Callable[[Enclosure], Enclosure]) -> Enclosure:
        x, mlp = self.norm(f"blocks.{layer}.ln2", stream), f"blocks.{layer}.mlp."
        hidden = self.units(layer, lambda weights: x @ weights, lambda: abs(x), activation)
        return self.linear(hidden, self.weights[f"{mlp}W_out"], f"{mlp}b_out")

    def units(
        self,
        layer: int,
        read: Callable[[Enclosure], Enclosure],
        size: Callable[[], Enclosure],
        activation: Callable[[Enclosure], Enclosure],
    ) -> Enclosure:
        """What the MLP's units give, "p m". read: what they read through weights "d m"; size: of what they read, "p d"."""
        mlp = f"blocks.{layer}.mlp."

        def active(name: str, bias: str) -> Enclosure:
            inner = linear(name, bias)
            return self.of_activation(activation(inner), inner)

        def linear(name: str, bias: str) -> Enclosure:
            matrix = self.weights[f"{mlp}{name}"]
            product = self.plus(read(matrix), bias)
            return self.computed(product, matrix.shape[0] + 1, lambda: self.plus_size(size() @ abs(matrix), bias))

        if not self.config.gated_mlp:
            return active("W_in", f"{mlp}b_in")
        inner, gate = linear("W_in", ""), active("W_gate", "")
        products = self.plus(gate * inner, f"{mlp}b_in")
        return self.computed(products, 2, lambda: self.plus_size(abs(gate) * abs(inner), f"{mlp}b_in"))

    def norm(self, name: str, x: Enclosure) -> Enclosure:
        """LN, RMS or nothing, with weight and bias where there are any."""
        kind, size = self.config.normalization_type, self.config.d_model
        if kind is None:
            return x
        if kind not in ("LN", "LNPre"):
            return self._over_root_mean_square(name, x, x, 1)
        centred = x.times(np.full((1, 1), size, np.int64)) - x.sum(1).reshape(-1, 1)
        return self._over_root_mean_square(name, x, centred, size**2, subtracts=True)

    def scaled(self, name: str, x: Enclosure) -> Enclosure:
        """Times a norm's weight, plus its bias, where there are any."""
        return self.plus(x * self.weights[f"{name}.w"] if f"{name}.w" in self.weights else x, f"{name}.b")

    def unembedding(self) -> Enclosure:
        """W_U "d out"."""
        return self.weights["embed.W_E"].T if self.config.tie_word_embeddings else self.weights["unembed.W_U"]

    def _over_root_mean_square(
        self, name: str, read: Enclosure, x: Enclosure, factor: int, subtracts: bool = False
    ) -> Enclosure:
        """Vectors x along the last axis, made of those that are read, become x / sqrt(mean x^2 + factor eps); then `scaled`."""
        *others, size = x.shape
        eps = fraction(self.setting.arithmetic, factor * size * Fraction(self.config.eps))
        total = x.square().sum(len(others)).reshape(*others, 1) + eps
        root = self.setting.arithmetic.reciprocal_sqrt(size).times(np.full((1, 1), size, np.int64))  # of the size
        return self.of_norm(name, self.scaled(name, x * (total.inverse_sqrt() * root)), total, lambda: read, subtracts)

    @property
    def pairs(self) -> tuple[IntArray, IntArray, IntArray]:
        """Which coordinates of a head a rotary embedding turns in pairs, first and second ones, and which it leaves."""
        config, number = self.config, np.arange(self.config.rotary_dim // 2)
        first, apart = (2 * number, 1) if config.rotary_adjacent_pairs else (number, len(number))
        return first, first + apart, np.arange(config.rotary_dim, config.d_head)

    def turned(self, x: Enclosure, position: IntArray) -> Enclosure:
        """Rotary embedding: pairs (a, b) of the first coordinates of "p head e" become (a cos - b sin, b cos + a sin).

        The coordinates come in another order, the same for queries and keys, whose products are all that matters.
        """
        cosine, sine = (table[position].reshape(len(position), 1, -1) for table in self.turns)
        first, second, others = self.pairs
        a, b = x[:, :, first], x[:, :, second]
        turned = self.of_turns(a * cosine - b * sine, a, b, position), self.of_turns(b * cosine + a * sine, a, b, position)
        return turned[0].concatenate([turned[1], x[:, :, others]], 2)


def widened(value: Enclosure, off: Enclosure) -> Enclosure:
    """All numbers that are no further away than this."""
    off = off.representative()
    return value + (off - off - off).up_to(off)


def _sizes_of_scores(query: Enclosure, key: Enclosure, falls: Enclosure | None) -> Enclosure:
    """The largest sum of absolute values of what is added up in a score: "p h 1", of "p h e", "p h k e", and "p h k"."""
    size = (abs(key) @ abs(query).reshape(*query.shape, 1)).max(2)
    return size if falls is None else size + abs(falls).max(2).reshape(*falls.shape[:2], 1)


def _largest_size(values: Enclosure) -> Enclosure:
    """Of values "p h k e", that of all keys."""
    return abs(values).max(2)


class Forward:
    """A transformer, and what its first layer works on, for every position and token.

    That is computed in a finer arithmetic, and rounded once: there are few such numbers, and errors in them grow most.
    """

    def __init__(self, layers: Layers) -> None:
        setting, config = layers.setting, layers.config
        self.setting, self.config, self.layers = setting, config, layers
        self.layers.hold(config.d_vocab * config.n_ctx)
        stream, heads = layers.in_arithmetic(setting.arithmetic.finer()).embedded()
        self.stream, self.heads = stream.within(setting.arithmetic), heads.within(setting.arithmetic)

    def logits(self, inputs: IntArray, reads: Sequence[int]) -> Enclosure:
        """At some positions in ascending order, "n r out", of inputs "n k"."""
        config, layers = self.config, self.layers
        places = Places.of(self.setting.meter, inputs, config.attention_dir == "causal", config.d_vocab)
        start = places.position * config.d_vocab + places.token
        asked = np.arange(len(start))
        stream, heads = self.stream[start], self.heads.at(start)
        for layer in range(config.n_layers):
            if layer > 0:
                heads = layers.heads(layer, stream, places.position)
            if layer == config.n_layers - 1:
                asked = np.flatnonzero(np.isin(places.position, reads))
                stream = stream[asked]
            stream = layers.added(stream, layers.attention(layer, heads, places, asked))
            if not config.attn_only:
                stream = layers.added(stream, layers.mlp(layer, stream, ACTIVATIONS[config.act_fn]))
        last = layers.norm("ln_final", stream)
        return layers.linear(last, layers.unembedding(), "unembed.b_U")[np.searchsorted(asked, places.number[:, reads])]
