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

import numpy as np

from certificates.tensor_file import IntArray
from certificates.transformer import Transformer
from checker.core.enclosed_weights import weight
from checker.core.enclosures import Arithmetic, Enclosure
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
    """The parts of a transformer, its weights being enclosures in the setting's arithmetic."""

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
            stream = stream + self.weights["pos_embed.W_pos"][position]
        return stream, self.heads(0, stream, position)

    def plus(self, x: Enclosure, bias: str) -> Enclosure:
        return x + self.weights[bias] if bias in self.weights else x

    def heads(self, layer: int, stream: Enclosure, position: IntArray) -> Heads:
        x, attention = self.norm(f"blocks.{layer}.ln1", stream), f"blocks.{layer}.attn."

        def projected(letter: str) -> Enclosure:
            flat = self.plus(x @ self.weights[f"{attention}W_{letter}"], f"{attention}b_{letter}")
            return flat.reshape(len(position), -1, self.config.d_head)

        def compared(letter: str) -> Enclosure:
            heads = projected(letter)
            if self.config.use_qk_norm:
                heads = self._over_root_mean_square(heads, 1) * self.weights[f"{attention}{letter.lower()}_norm.w"]
            return self._turned(heads, position) if self.config.rotary_dim else heads

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
            if config.positional_embedding_type == "alibi":
                scores = scores - self.falls(layer, position, looks_at)
            weights = (scores - scores.max(2).reshape(*shape, 1).representative()).exp()
            if config.pad_token >= 0:
                weights, blind = weights.times(visible[:, None].astype(np.int64)), ~visible.any(axis=1)[:, None]
            mixed, total = (weights.reshape(*shape, 1, seen) @ value).reshape(*shape, config.d_head), weights.sum(2)
            if config.pad_token >= 0:
                total = total + self.setting.arithmetic.exact(blind.astype(np.int64), np.zeros(blind.shape, np.int64))
            parts.append(mixed.over(total.reshape(*shape, 1)).reshape(len(here), -1))
        joined = parts[0].concatenate(parts[1:], 0)
        return self.plus(joined @ self.weights[f"blocks.{layer}.attn.W_O"], f"blocks.{layer}.attn.b_O")

    def falls(self, layer: int, position: int, seen: IntArray) -> Enclosure:
        """What scores of keys at positions "p k" lose by being far from a query, slope |j - l|: "p head k"."""
        return self.weights[f"blocks.{layer}.attn.slopes"].reshape(-1, 1).times(abs(position - seen)[:, None])

    def mlp(self, layer: int, stream: Enclosure, activation: Callable[[Enclosure], Enclosure]) -> Enclosure:
        x, mlp = self.norm(f"blocks.{layer}.ln2", stream), f"blocks.{layer}.mlp."
        hidden = self.units(layer, lambda weights: x @ weights, activation)
        return self.plus(hidden @ self.weights[f"{mlp}W_out"], f"{mlp}b_out")

    def units(
        self, layer: int, read: Callable[[Enclosure], Enclosure], activation: Callable[[Enclosure], Enclosure]
    ) -> Enclosure:
        """What the MLP's units give, "p m". read: what they read through weights "d m"."""
        mlp = f"blocks.{layer}.mlp."
        inner = read(self.weights[f"{mlp}W_in"])
        if self.config.gated_mlp:
            return self.plus(activation(read(self.weights[f"{mlp}W_gate"])) * inner, f"{mlp}b_in")
        return activation(self.plus(inner, f"{mlp}b_in"))

    def norm(self, name: str, x: Enclosure) -> Enclosure:
        """LN, RMS or nothing, with weight and bias where there are any."""
        kind, size = self.config.normalization_type, self.config.d_model
        if kind is None:
            return x
        if kind in ("LN", "LNPre"):
            x = self._over_root_mean_square(x.times(np.full((1, 1), size, np.int64)) - x.sum(1).reshape(-1, 1), size**2)
        else:
            x = self._over_root_mean_square(x, 1)
        return self.scaled(name, x)

    def scaled(self, name: str, x: Enclosure) -> Enclosure:
        """Times a norm's weight, plus its bias, where there are any."""
        return self.plus(x * self.weights[f"{name}.w"] if f"{name}.w" in self.weights else x, f"{name}.b")

    def unembedding(self) -> Enclosure:
        """W_U "d out"."""
        return self.weights["embed.W_E"].T if self.config.tie_word_embeddings else self.weights["unembed.W_U"]

    def _over_root_mean_square(self, x: Enclosure, factor: int) -> Enclosure:
        """Vectors x along the last axis become x / sqrt(mean x^2 + factor eps)."""
        *others, size = x.shape
        eps = fraction(self.setting.arithmetic, factor * size * Fraction(self.config.eps))
        total = x.square().sum(len(others)).reshape(*others, 1) + eps
        root = self.setting.arithmetic.reciprocal_sqrt(size).times(np.full((1, 1), size, np.int64))  # of the size
        return x * (total.inverse_sqrt() * root)

    def _turned(self, x: Enclosure, position: IntArray) -> Enclosure:
        """Rotary embedding: pairs (a, b) of the first coordinates of "p head e" become (a cos - b sin, b cos + a sin).

        The coordinates come in another order, the same for queries and keys, whose products are all that matters.
        """
        config, pairs = self.config, self.config.rotary_dim // 2
        cosine, sine = (table[position].reshape(len(position), 1, pairs) for table in self.turns)
        first = np.arange(pairs) * (2 if config.rotary_adjacent_pairs else 1)
        second = first + (1 if config.rotary_adjacent_pairs else pairs)
        others = np.arange(config.rotary_dim, config.d_head)
        a, b = x[:, :, first], x[:, :, second]
        return (a * cosine - b * sine).concatenate([b * cosine + a * sine, x[:, :, others]], 2)


class Forward:
    """A transformer, and what its first layer works on, for every position and token.

    That is computed in a finer arithmetic, and rounded once: there are few such numbers, and errors in them grow most.
    """

    def __init__(self, setting: Setting, config: Transformer) -> None:
        self.setting, self.config, self.layers = setting, config, Layers(setting, config)
        self.layers.hold(config.d_vocab * config.n_ctx)
        stream, heads = Layers(replace(setting, arithmetic=setting.arithmetic.finer()), config).embedded()
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
            stream = stream + layers.attention(layer, heads, places, asked)
            if not config.attn_only:
                stream = stream + layers.mlp(layer, stream, ACTIVATIONS[config.act_fn])
        last = layers.norm("ln_final", stream)
        return layers.plus(last @ layers.unembedding(), "unembed.b_U")[np.searchsorted(asked, places.number[:, reads])]
