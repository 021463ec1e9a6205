"""What follows the last attention layer of a transformer, over boxes: by how much an output leads.

*Inequality.* Let z be what the heads read, less a centre, side by side, and x = b + z O the residual stream after attention:
b is known for each query, or in a box. Then come the MLP, x' = x + h W_out + b_out with h = h(x), the last norm, and the
unembedding. For outputs c and o, let D be the column of c less that of o in the unembedding, its rows multiplied by the weights
of the last norm. By the definitions, the logit of c exceeds that of o by more than delta exactly if

    D.x' + sigma beta > 0,      D.x' = (b D) + z (O D) + h (W_out D) + b_out D,

sigma = 1 without a norm, else the root of mean square plus eps, beta being the difference of biases (that of the last norm
through the unembedding, and the unembedding's own) less delta. In LN, x' less its mean comes in place of x'; that is the same
as D less its mean. Both are multiplied by d, as in `forward`. Nothing needs the box of x', but sigma, where beta is not zero.
If the number is positive, sigma is not zero, since otherwise x' (or x' less its mean) would be.

So only h is bounded coordinate by coordinate, from boxes of what its units read, normalised as in `boxes`. For executions in
floating point (`executed_forward`), x' is off by what the sum that makes it loses, and leads by what logits lose.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, partial

import numpy as np

from certificates.tensor_file import IntArray
from checker.core.enclosed_weights import plus_margin, zeros
from checker.core.enclosures import BoolArray, Enclosure
from checker.transformer.activations import fraction
from checker.transformer.boxes import activated, normalised
from checker.transformer.forward import Layers, widened


@dataclass(frozen=True)
class Boxes:
    """Some boxes "n z" of what the heads read, each with a query "n" (a row of `base`)."""

    query: IntArray
    z: Enclosure

    def at(self, rows: IntArray) -> "Boxes":
        """Some of them."""
        return Boxes(self.query[rows], self.z[rows])

    def halves(self, scale: IntArray) -> "Boxes":
        """All lower halves, then all upper halves: along the coordinate of each in which it is widest, times a scale "z"."""
        (low, high), width = self.z.ends(), self.z.shape[1]
        middle = ((low + high) * fraction(self.z.arithmetic, Fraction(1, 2))).representative()
        cut = width * (np.arange(width) == self.z.times(scale).widest(1)[:, None])
        ends = low.concatenate([middle], 1), high.concatenate([middle], 1)
        rows, columns = np.arange(len(self.query))[:, None], np.arange(width)
        lower, upper = low.up_to(ends[1][rows, columns + cut]), ends[0][rows, columns + cut].up_to(high)
        return Boxes(np.tile(self.query, 2), lower.concatenate([upper], 0))


def _identity(size: int) -> IntArray:
    places = np.arange(size)
    return np.asarray(places[:, None] == places, np.int64)


@dataclass(frozen=True)
class Hidden:
    """What the MLP's units give, h "n m". off "n d": how far x' may be from the sum of x and what they write, if it may."""

    units: Enclosure
    off: Enclosure | None

    def at(self, rows: IntArray) -> "Hidden":
        """Some of them."""
        return Hidden(self.units[rows], None if self.off is None else self.off[rows])


@dataclass(frozen=True)
class AfterAttention:
    """base "q d": b for every query. out "z d": O."""

    layers: Layers
    base: Enclosure
    out: Enclosure

    def proved(self, boxes: Boxes, outputs: IntArray) -> BoolArray:
        """For which boxes the output "n" is proved to lead all others, by more than the margin."""
        proved, rows = np.zeros(len(outputs), np.bool_), np.arange(len(outputs))
        hidden, rows = (None, rows) if self.layers.config.attn_only else self._hidden(boxes)
        total, sigma = None, None
        if self.layers.config.normalization_type is not None and (self.unembedding[1] or self.layers.deployed):
            total, sigma, defined = self._last_norm(boxes.at(rows), hidden)
            hidden, rows = hidden.at(defined) if hidden else None, rows[defined]
        boxes, outputs = boxes.at(rows), outputs[rows]
        lost = self.layers.lost(lambda: self._through(self._identity, boxes, hidden), total, sigma)
        unembed, bias = self.unembedding
        for output in np.unique(outputs).tolist():
            own = np.flatnonzero(outputs == output)
            columns = unembed[:, output : output + 1] - unembed
            lead = self._through(columns, boxes.at(own), hidden.at(own) if hidden else None)
            if bias:
                beta = plus_margin(self.layers.setting, bias[:, output : output + 1], -1) - bias
                lead = lead + (sigma[own] * beta if sigma else beta)
            if lost:
                lead = lead - lost[own, output].reshape(-1, 1) - lost[own]
            positive = lead.positive()
            positive[:, output] = True
            proved[rows[own]] = positive.all(axis=1)
        return proved

    def _through(self, columns: Enclosure, boxes: Boxes, hidden: Hidden | None) -> Enclosure:
        """The product of x' (or, without h, of x) and a matrix "d c": "n c"."""
        found = (self.base @ columns)[boxes.query] + boxes.z @ (self.out @ columns)
        if hidden is None:
            return found
        found = found + hidden.units @ (self.layers.weights[f"{self._block}.mlp.W_out"] @ columns)
        bias = f"{self._block}.mlp.b_out"
        found = found + self.layers.weights[bias] @ columns if bias in self.layers.weights else found
        return found if hidden.off is None else widened(found, hidden.off @ abs(columns))

    def _hidden(self, boxes: Boxes) -> tuple[Hidden, IntArray]:
        """What the MLP's units give, in those rows where it is proved to be defined; and which these are."""
        config, layers, rows = self.layers.config, self.layers, np.arange(len(boxes.query))
        over_boxes, layer = partial(activated, config.act_fn), config.n_layers - 1

        def stream() -> Enclosure:
            return self._through(self._identity, boxes.at(rows), None)

        if config.normalization_type is None:
            units = layers.units(layer, lambda weights: self._through(weights, boxes, None), lambda: abs(stream()), over_boxes)
        else:
            x = self._through(self.centring, boxes, None)
            squares = x.square().sum(1).reshape(-1, 1) + self._eps(config.d_model)
            rows = self._defined(squares)
            rows = rows[layers.bounded(squares[rows], stream, self._subtracts_means)]
            y = layers.scaled(f"{self._block}.ln2", normalised(x[rows], self._eps(config.d_model)))
            y = layers.of_norm(f"{self._block}.ln2", y, squares[rows], stream, self._subtracts_means)
            units = layers.units(layer, lambda weights: y @ weights, lambda: abs(y), over_boxes)

        def size() -> Enclosure:
            written = abs(units) @ abs(layers.weights[f"{self._block}.mlp.W_out"])
            return abs(stream()) + layers.plus_size(written, f"{self._block}.mlp.b_out")

        return Hidden(units, layers.off(config.d_mlp + 2, size)), rows

    def _defined(self, squares: Enclosure) -> IntArray:
        """In which rows a norm may divide by the root of these."""
        share = fraction(squares.arithmetic, Fraction(1, 16))
        divisors = (squares * share).sqrt().within(squares.arithmetic)  # rounded more than in a division
        return np.flatnonzero(divisors.positive())

    def _last_norm(self, boxes: Boxes, hidden: Hidden | None) -> tuple[Enclosure, Enclosure, IntArray]:
        """Of its mean square: n times it, and its root "n 1", both of d times x if means are subtracted; and in which rows."""
        squares, rows = self._through(self.centring, boxes, hidden).square().sum(1).reshape(-1, 1), np.arange(len(boxes.query))
        sigma = self.root(squares)
        if not self.layers.deployed:
            return squares, sigma, rows
        total = squares + self._eps(self.layers.config.d_model)
        rows = self._defined(total)
        inside = hidden.at(rows) if hidden else None
        fine = self.layers.bounded(
            total[rows], lambda: self._through(self._identity, boxes.at(rows), inside), self._subtracts_means
        )
        rows = rows[fine]
        return total[rows], sigma[rows], rows

    @property
    def _block(self) -> str:
        return f"blocks.{self.layers.config.n_layers - 1}"

    @cached_property
    def unembedding(self) -> tuple[Enclosure, Enclosure | None]:
        """What the logits' leads are made of: U "d out", times the norm's weights and less its mean; biases "1 out", if any."""
        layers, unembed = self.layers, self.layers.unembedding()
        biases = [layers.weights["unembed.b_U"]] if "unembed.b_U" in layers.weights else []
        if "ln_final.b" in layers.weights:
            biases.append(layers.weights["ln_final.b"].reshape(1, -1) @ unembed)
        if layers.setting.margin and not biases:
            biases.append(zeros(layers.setting, 1, unembed.shape[1]))
        if "ln_final.w" in layers.weights:
            unembed = unembed * layers.weights["ln_final.w"].reshape(-1, 1)
        return self.centring @ unembed, sum(biases[1:], biases[0]) if biases else None

    def root(self, squares: Enclosure) -> Enclosure:
        """A norm's root, from the sum of squares of what `centring` makes of what it reads; times d if that subtracts means."""
        share = fraction(self.layers.setting.arithmetic, Fraction(1, self.layers.config.d_model))
        return (squares * share + self._eps(1)).sqrt()

    @cached_property
    def centring(self) -> Enclosure:
        """The matrix that subtracts the mean, times d, or the identity if norms do not."""
        if not self._subtracts_means:
            return self._identity
        size = self.layers.config.d_model
        return self._known(size * _identity(size) - 1)

    @cached_property
    def _identity(self) -> Enclosure:
        return self._known(_identity(self.layers.config.d_model))

    def _known(self, integers: IntArray) -> Enclosure:
        return self.layers.setting.arithmetic.exact(integers, np.zeros(integers.shape, np.int64))

    @property
    def _subtracts_means(self) -> bool:
        return self.layers.config.normalization_type in ("LN", "LNPre")

    def _eps(self, times: int) -> Enclosure:
        """eps, so often, and d^2 times as often if norms subtract means, which are multiplied by d."""
        config = self.layers.config
        factor = times * (config.d_model**2 if self._subtracts_means else 1)
        return fraction(self.layers.setting.arithmetic, factor * Fraction(config.eps))
