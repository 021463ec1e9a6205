"""Rule `executed-forward`: the forward pass of a transformer, in intervals that hold what executions in floating point compute.

*Executions* of a `transformer` (FORMAT.md, 2.6) in float32 or float64, whose unit roundoff is u, and eta the smallest normal
number. They evaluate the formulas there one after the other, with the weights as they are stored. Sums, products and quotients
are computed = exact (1 + e) + f, |e| <= u, |f| <= eta (f: underflow, gradual or to zero). In particular:

- A vector times a matrix (all heads together times W_O), with its bias, is a sum of products in any order, fused or not. What
  comes out is then added to the residual stream.
- A norm of n numbers x subtracts their mean from them, or mean / root from x / root. The mean is their sum, in any order, by n.
  The mean square of x, or of x less the mean, plus eps is within gamma(8 n + 32) (mean x^2 + eps), so it may be found in one
  pass or in two. Its root and a quotient, or its reciprocal root and a product, are within 8 u. Weights and biases come last,
  or weights are multiplied with the reciprocal root first.
- Cosines and sines of rotary positions are within 4 u + (10 + l) u t, t being the angle and l the number of bits of the base's
  integer part: the angle may come from a power of the base, within 4 units in the last place, that has a rounded exponent.
- Scores are scaled by constants that are right up to 3 u: by one anywhere, or by its root on both sides. Softmax subtracts some
  number that is no larger in magnitude than scores are, or none, scales the difference by log2(e) or not, takes exp or exp2
  within 4 units in the last place, and divides by the sum of these exponentials, or multiplies by its reciprocal, before or
  after the sum over values; keys come in one block; those that a query does not see get the weight zero. The sum of
  exponentials is between 2^-40 and 2^40, as it is if the largest score is subtracted.
- ReLU is exact; other activations are within 16 u |z| + eta, z being what they are given.

So these are no executions: attention that takes keys in blocks, or makes products of parts in TF32, as PyTorch's
memory-efficient kernels do on GPUs; and, in float64, libraries that compute softmax, norms or angles in float32.

*Theorem.* Every number that `forward` and `after_attention` enclose, up to logits and their leads, is enclosed together with
the numbers that executions compute for it. So where an output is proved to lead, on an input or a region, it leads in every
execution as well.

*Proof.* By induction over the formulas: each encloses what is exact for computed operands, as these are in their intervals,
and then comes what rounding adds. gamma(n) = n u / (1 - n u) bounds what n roundings make of a number (Higham, Lemma 3.1);
n < 2^16, so it is below 2^-7.

*Sizes.* The sum of absolute values in every sum of products (a score, what a unit reads, ..), weights of norms, what norms
read, the reciprocals of roots, eps and the base of rotary positions are below 2^30, scale and reciprocal scale below 2^20:
*checked*. So nothing overflows, products of a query and a key before they are scaled being below 2^50, sums of exponentials
times values below 2^70, and sums of squares below 2^70. All f add at most `tiny` = 2^80 eta to a result: there are fewer than
2^16 in one formula, each multiplied afterwards by at most 2 for roundings and two such sizes, 2^77 in all; and in softmax, of
up to 2^8 exponentials, by the difference of two values and 2^40, and of as many sums of them, by a value and 2^40: 2^79 + 2^78.

*Sums* of n products have the absolute error gamma(n) (sum of absolute values) + tiny.

*Softmax.* Let S be the largest size of a query's scores, of all keys. A computed score is off by E = gamma(e + 12) S + tiny,
with e numbers in a head: e + 2 for the sum and what is subtracted for distance, 8 for scaling. The logarithm of an exponential
is off by t = E + gamma(4) (2 S + 2 E) + gamma(8) + tiny, beside a number that all keys have in common, which cancels. So
weights are multiplied by a number from exp(-t) to exp(t), each. What a head reads is a mean of values with such weights, and
has gamma(2 n_ctx + 12) max |v| + tiny more, for the sums, products, and the quotient.

*Norms.* Let v >= 1 / I^2 be the mean square plus eps (in LN, of x less its mean m), for the computed x; in LN let s_i = |x_i| +
mean |x|, else s_i = |x_i|. x_i - m is off by gamma(n + 8) s_i, however it is formed. As mean x^2 + eps = v + m^2, what is
computed for v is off by at most b v, b = gamma(8 n + 32) (1 + m^2 I^2) + tiny, with m = 0 but in LN. If b <= 1/4 (*checked*),
1 / root is off by a factor within 1 +- b, since |1 / sqrt(1 + y) - 1| <= |y| for |y| <= 1/2; and by gamma(8). As the three are
at most 1/4, the product is off by at most a = 2 (gamma(n + 8) + b + gamma(8)) times s_i I, and its parts are below 2 s_i I in
size. Weights w and a bias b' have six roundings more at most: gamma(6) (2 s_i I |w| + |b'|), and tiny. As |x_i - m| is at most
sqrt(n) times the root, n <= 2^9, and b <= 1/4 bounds gamma(n + 8) |m| I, what comes out is at most 2^6 |w| + |b'|.

*Turns.* A computed cosine is within k = 4 u + (10 + l) u j of one that is at most 1, as angles are at most the position j. So
x cos - y sin is off by at most (|x| + |y|) (k + 2 gamma(3)) + tiny.

*Leads* (`after_attention`) are sums over what comes after the norm, times its root. With U the unembedding, b_U its bias, and
w, b' those of the last norm (w = 1 and b' = 0 where there are none), logit o is off by at most

    sum_i (a s_i I |w_i| + gamma(6) (2 s_i I |w_i| + |b'_i|)) |U_io|                       (the norm)
    + gamma(d + 1) (sum_i (2 (2 s_i I |w_i| + |b'_i|)) |U_io| + |b_U|) + tiny (1 + sum_i |U_io|),

with 1 / root instead of I where it is not squared. So times the root it is at most k sum_i (2 s_i |w_i| + root |b'_i|) |U_io|
+ root (k |b_U| + tiny (1 + sum_i |U_io|)), k = a + gamma(6) + 2 gamma(d + 1). Without a norm it is at most gamma(d + 1)
(sum_i |x_i U_io| + |b_U|) + tiny. A lead is off by what both logits are.

*Parameter:* `format`, 0 (float32) or 1 (float64). *Checked*, too: that the weights are stored with no more bits, and that there
is no padding.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

import numpy as np

from certificates.certificate import Step
from certificates.tensor_file import IntArray
from certificates.transformer import Transformer
from checker.core.enclosed_weights import dyadic, ones
from checker.core.enclosures import Arithmetic, BoolArray, Enclosure
from checker.core.errors import Refused
from checker.core.facts import Fact, Setting, take_hints, take_parameters
from checker.rules.float_formats import Format, require_stored, taken_format
from checker.transformer.forward import Layers, widened
from checker.transformer.transformer_forward import EvaluatedTransformer, evaluated

_LARGEST_BITS, _LARGEST_SCALE_BITS, _NORMED_BITS, _TINY_BITS = 30, 20, 6, 80


def executed_forward(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> EvaluatedTransformer:
    """Apply the rule. Takes no premises or hints. Parameter: `format`."""
    (number,) = take_parameters(step, "format")
    take_hints(setting, step)
    form, config = taken_format(number), setting.model.config
    if premises or not isinstance(config, Transformer):
        raise Refused(f"{step.rule} takes no premises, and is about the architecture `transformer` only")
    if form.operand_bits < form.bits or config.pad_token >= 0:
        raise Refused(f"{step.rule} is about float32 and float64, and models without padding")
    require_stored(setting.model, form)
    return evaluated(ExecutedLayers(setting, config, form))


class ExecutedLayers(Layers):
    """Layers whose intervals hold what executions in a format compute, too."""

    def __init__(self, setting: Setting, config: Transformer, form: Format) -> None:
        super().__init__(setting, config)
        self.form, self.deployed = form, form.name
        self.tiny = self.number(form.smallest * 2**_TINY_BITS)
        low, high = (self.number(Fraction(2) ** bits) for bits in (-_LARGEST_SCALE_BITS, _LARGEST_SCALE_BITS))
        if not ((self.scale - low).positive() & (high - self.scale).positive()).all():
            raise Refused(f"the scale of scores is not between 2^-{_LARGEST_SCALE_BITS} and 2^{_LARGEST_SCALE_BITS}")
        if max(Fraction(config.eps), Fraction(config.rotary_base)) >= 2**_LARGEST_BITS:
            raise Refused(f"eps or the base of rotary positions is not below 2^{_LARGEST_BITS}")

    def in_arithmetic(self, arithmetic: Arithmetic) -> Layers:
        """See Layers."""
        return ExecutedLayers(replace(self.setting, arithmetic=arithmetic), self.config, self.form)

    def off(self, roundings: int, size: Callable[[], Enclosure]) -> Enclosure | None:
        """See "Sums"."""
        return self.gamma(roundings) * self.below(size()) + self.tiny

    def tilted(self, weights: Enclosure, size: Callable[[], Enclosure]) -> Enclosure:
        """See "Softmax"."""
        scores = self.below(size())
        off = self.gamma(self.config.d_head + 12) * scores + self.tiny
        both = scores + off
        t = (off + self.gamma(4) * (both + both) + self.gamma(8) + self.tiny).representative()
        return weights * (t - t - t).exp().up_to(t.exp())

    def mixed(self, value: Enclosure, keys: int, size: Callable[[], Enclosure]) -> Enclosure:
        """See "Softmax"."""
        return widened(value, self.gamma(2 * keys + 12) * self.below(size()) + self.tiny)

    def of_turns(self, value: Enclosure, first: Enclosure, second: Enclosure, position: IntArray) -> Enclosure:
        """See "Turns"."""
        bits = int(Fraction(self.config.rotary_base)).bit_length()
        tables = self._roundoff(1).reshape(1, 1, 1).times((4 + (10 + bits) * position)[:, None, None])
        tables = tables + self.gamma(3) + self.gamma(3)
        return widened(value, tables * self.below(abs(first) + abs(second)) + self.tiny)

    def of_activation(self, value: Enclosure, given: Enclosure) -> Enclosure:
        """See "Executions"."""
        return value if self.config.act_fn == "relu" else widened(value, self._roundoff(16) * abs(given) + self.tiny)

    def of_norm(
        self, name: str, value: Enclosure, total: Enclosure, read: Callable[[], Enclosure], subtracts: bool
    ) -> Enclosure:
        """See "Norms"."""
        norm = _Norm(self, read(), total, subtracts)
        if not norm.fine.all():
            raise Refused(f"{name} may divide by so little that rounding has no bound")
        parts = self.below(norm.sizes) * norm.inverse
        share, parts = norm.share * parts, self.below(parts + parts)
        if f"{name}.w" in self.weights:
            weight = self.below(abs(self.weights[f"{name}.w"]))
            share, parts = share * weight, parts * weight
        parts = self.below(self.plus_size(parts, f"{name}.b"))
        return widened(value, share + self.gamma(6) * parts + self.tiny)

    def bounded(self, total: Enclosure, read: Callable[[], Enclosure], subtracts: bool) -> BoolArray:
        """Where b <= 1/4, and 1 / root is not too large."""
        return _Norm(self, read(), total, subtracts).fine

    def lost(self, read: Callable[[], Enclosure], total: Enclosure | None, sigma: Enclosure | None) -> Enclosure | None:
        """See "Leads"."""
        x, unembed = read(), self.below(abs(self.unembedding()))
        one, sums = self.gamma(x.shape[1] + 1), "unembed.b_U"
        if total is None or sigma is None:
            return one * self.below(self.plus_size(abs(x) @ unembed, sums)) + self.tiny
        most = self.number(Fraction(2) ** _NORMED_BITS) * ones(self.setting, 1, x.shape[1])
        if "ln_final.w" in self.weights:
            most = most * self.below(abs(self.weights["ln_final.w"]))
        self.below(self.plus_size(self.plus_size(most, "ln_final.b") @ unembed, sums))
        subtracts = self.config.normalization_type in ("LN", "LNPre")
        norm, root = _Norm(self, x, total, subtracts), sigma
        k, parts = norm.share + self.gamma(6) + one + one, self.below(norm.sizes)
        parts = parts + parts
        if subtracts:  # sigma is d times the root
            parts = parts.times(np.full((1, 1), x.shape[1], np.int64))
        if "ln_final.w" in self.weights:
            parts = parts * abs(self.weights["ln_final.w"])
        if "ln_final.b" in self.weights:
            parts = parts + root * abs(self.weights["ln_final.b"])
        own = k * (parts @ unembed)
        if sums in self.weights:
            own = own + root * (k * abs(self.weights[sums]))
        return own + root * (self.tiny + self.tiny * unembed.sum(0).reshape(1, -1))

    def below(self, size: Enclosure) -> Enclosure:
        """A size, which must not be too large."""
        if not (self.number(Fraction(2) ** _LARGEST_BITS) - size).positive().all():
            raise Refused(f"a number may exceed 2^{_LARGEST_BITS}")
        return size

    def gamma(self, roundings: int) -> Enclosure:
        """See "Proof"."""
        return self.number(self.form.gamma(roundings))

    def _roundoff(self, times: int) -> Enclosure:
        return self.number(Fraction(times, 2**self.form.bits))

    def number(self, value: Fraction) -> Enclosure:
        """A number, or a bit more, "1 1"."""
        return dyadic(self.setting, value, up=True)


@dataclass(frozen=True)
class _Norm:
    """See "Norms": of vectors x, "n d" or (without means) "p head e"; total: as `Layers.of_norm` has it."""

    layers: ExecutedLayers
    x: Enclosure
    total: Enclosure
    subtracts: bool

    @cached_property
    def inverse(self) -> Enclosure:
        """The number I."""
        size = self.x.shape[-1]
        factor = np.full((1, 1), size * (size if self.subtracts else 1), np.int64)
        return (self.total.inverse_sqrt() * self.x.arithmetic.reciprocal_sqrt(size).times(factor)).representative()

    @cached_property
    def sizes(self) -> Enclosure:
        """s_i."""
        size = abs(self.x)
        return size + self._mean(size) if self.subtracts else size

    @cached_property
    def share(self) -> Enclosure:
        """The number a."""
        half = self.layers.gamma(self.x.shape[-1] + 8) + self._b + self.layers.gamma(8)
        return half + half

    @property
    def fine(self) -> BoolArray:
        """Where b <= 1/4, and 1 / root is not too large: "n", or "p head"."""
        small = (self.layers.number(Fraction(2) ** _LARGEST_BITS) - self.inverse).positive()
        return np.asarray((small & (self.layers.number(Fraction(1, 4)) - self._b).positive())[..., 0], np.bool_)

    @cached_property
    def _b(self) -> Enclosure:
        ratio = self.layers.number(Fraction(1))
        if self.subtracts:
            ratio = ratio + (abs(self._mean(self.x)) * self.inverse).square()
        return (self.layers.gamma(8 * self.x.shape[-1] + 32) * ratio + self.layers.tiny).representative()

    def _mean(self, x: Enclosure) -> Enclosure:
        return x.sum(1).reshape(-1, 1) * self.layers.number(Fraction(1, x.shape[1]))
