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

So only h is bounded coordinate by coordinate, from boxes of what its units read, normalised as in `boxes`.
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
from checker.transformer.forward import Layers


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


@dataclass(frozen=True)
class AfterAttention:
    """base "q d": b for every query. out "z d": O."""

    layers: Layers
    base: Enclosure
    out: Enclosure

    def proved(self, boxes: Boxes, outputs: IntArray) -> BoolArray:
        """For which boxes the output "n" is proved to lead all others, by more than the margin."""
        config, proved = self.layers.config, np.zeros(len(outputs), np.bool_)
        normed = config.normalization_type is not None
        hidden, rows = (None, np.arange(len(outputs))) if config.attn_only else self._hidden(boxes)
        boxes, outputs = boxes.at(rows), outputs[rows]
        unembed, bias = self.unembedding
        sigma = self._sigma(boxes, hidden) if normed and bias else None
        for output in np.unique(outputs).tolist():
            own = np.flatnonzero(outputs == output)
            columns = unembed[:, output : output + 1] - unembed
            lead = self._through(columns, boxes.at(own), hidden[own] if hidden else None)
            if bias:
                beta = plus_margin(self.layers.setting, bias[:, output : output + 1], -1) - bias
                lead = lead + (sigma[own] * beta if sigma else beta)
            positive = lead.positive()
            positive[:, output] = True
            proved[rows[own]] = positive.all(axis=1)
        return proved

    def _through(self, columns: Enclosure, boxes: Boxes, hidden: Enclosure | None) -> Enclosure:
        """The product of x' (or, without h, of x) and a matrix "d c": "n c"."""
        found = (self.base @ columns)[boxes.query] + boxes.z @ (self.out @ columns)
        if hidden is None:
            return found
        found = found + hidden @ (self.layers.weights[f"{self._block}.mlp.W_out"] @ columns)
        bias = f"{self._block}.mlp.b_out"
        return found + self.layers.weights[bias] @ columns if bias in self.layers.weights else found

    def _hidden(self, boxes: Boxes) -> tuple[Enclosure, IntArray]:
        """What the MLP's units give, h "n m", in those rows where it is proved to be defined; and which these are."""
        config, layers, rows = self.layers.config, self.layers, np.arange(len(boxes.query))
        over_boxes = partial(activated, config.act_fn)
        if config.normalization_type is None:
            return layers.units(config.n_layers - 1, lambda weights: self._through(weights, boxes, None), over_boxes), rows
        x = self._through(self.centring, boxes, None)
        squares, share = x.square().sum(1).reshape(-1, 1) + self._eps(config.d_model), Fraction(1, 16)
        divisors = (squares * fraction(x.arithmetic, share)).sqrt().within(x.arithmetic)  # rounded more than in a division
        rows = np.flatnonzero(divisors.positive())
        y = layers.scaled(f"{self._block}.ln2", normalised(x[rows], self._eps(config.d_model)))
        return layers.units(config.n_layers - 1, lambda weights: y @ weights, over_boxes), rows

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

    def _sigma(self, boxes: Boxes, hidden: Enclosure | None) -> Enclosure:
        """The last norm's root "n 1", times d if means are subtracted."""
        return self.root(self._through(self.centring, boxes, hidden).square().sum(1).reshape(-1, 1))

    def root(self, squares: Enclosure) -> Enclosure:
        """A norm's root, from the sum of squares of what `centring` makes of what it reads; times d if that subtracts means."""
        share = fraction(self.layers.setting.arithmetic, Fraction(1, self.layers.config.d_model))
        return (squares * share + self._eps(1)).sqrt()

    @cached_property
    def centring(self) -> Enclosure:
        """The matrix that subtracts the mean, times d, or the identity if norms do not."""
        size = self.layers.config.d_model
        places = np.arange(size)
        centring = (places[:, None] == places).astype(np.int64)
        if self._subtracts_means:
            centring = size * centring - 1
        return self.layers.setting.arithmetic.exact(centring, np.zeros((size, size), np.int64))

    @property
    def _subtracts_means(self) -> bool:
        return self.layers.config.normalization_type in ("LN", "LNPre")

    def _eps(self, times: int) -> Enclosure:
        """eps, so often, and d^2 times as often if norms subtract means, which are multiplied by d."""
        config = self.layers.config
        factor = times * (config.d_model**2 if self._subtracts_means else 1)
        return fraction(self.layers.setting.arithmetic, factor * Fraction(config.eps))
