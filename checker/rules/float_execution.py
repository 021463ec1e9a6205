"""Rule `float-execution`: inputs that lead by a margin are classified correctly by every execution in floating point, too.

*Executions.* A format has the unit roundoff u, with which sums, products and quotients are rounded, and u', the relative error
with which numbers may be rounded or cut off before and after matrix products: float32 and float64 (none), and float32 whose
products take operands in TF32 or bfloat16. An execution evaluates the model's formula (additive_tables, hidden_tables) by
operations with

    computed = exact (1 + e) + f,    |e| <= u,    |f| <= eta, the smallest normal number

(f: underflow, gradual or to zero), in any order of summation, with or without fused multiplications, matrix products in any
association of those that follow each other (W_Q W_K^T, W_V W_O, W_O W_U, W_out W_U may be made first), token and position being
added before anything else, the weights as they are stored. Scores are scaled by constants that are right up to 3 u each: by one
anywhere, or by its root on both sides. Softmax subtracts some number that is no larger in magnitude than scores are, or none,
scales the difference by log2(e) or not, takes exp or exp2 within 4 units in the last place, and divides by the sum of these
exponentials, or multiplies by its reciprocal, before or after the sum over values; keys come in one block. This sum is between
2^-40 and 2^40, as it is if the largest score is subtracted. Uniform attention multiplies by a rounded 1/3 or divides by 3, or
takes the softmax of equal scores, whose exponentials come out equal. ReLU and maximum are exact. Nothing overflows: *checked*.

*Theorem.* Let B(o) be at least |computed - real| for logit o of every input. If the margin exceeds 2 max B, each input that
leads by more than the margin is classified correctly by every execution.

*Sizes.* The size of a number is what its formula gives with absolute values of all weights, and of the sums of a token and its
position, the largest for any tokens. A product of n factors 1 + e or 1 / (1 + e), |e| <= u, and m with u', differs from 1 by at
most gamma(n, m) = x / (1 - x), x = n u + m u' < 1 (Higham, Lemma 3.1). Every monomial of a computed number has its exact value
times such a product. With d = d_model, h = d_head (all heads together), K = n_ctx, and counting one rounding for each sum of
two residuals, one for each product and one for each term of a sum, biases included, no monomial of

    a score has more than          n = 2 d + h + 12   (residuals 2, W_Q and W_K d + 1 each, query . key h, scale 8)
    a logit, given the weights,    n = 2 d + h + 4 K + 12    (W_V d + 2, softmax and its sum 2 K + 1, W_O h + 2, W_U d + 1)
    what a neuron reads            n = 2 d + h + 12   (uniform attention),    2   (group MLP)
    a logit, given the neurons,    n = m + 3 d + h + 30   (m neurons; direct paths have those of a residual first)

roundings by u, and none more than 24 by u' (every matrix product has two operands and a result).

*Underflow.* An f somewhere, in a sum or as an operand, is multiplied until the result by at most 2 times the sums of absolute
values of what follows, and of what it is multiplied with: 2 for roundings, x <= 1/4. No entry takes more than 2 n operations.
Let |M| be the sum of the absolute values of all entries, R the sum of the entries of a residual's size. So a score is off by at
most phi = 16 n eta A^2, where A = 1 + R + |W_Q| + |W_K| + the sums of a query's and a key's sizes, and logits by 16 n eta times
the product of 1 + R, 1 + |M| for all M on the way, and 1 + the sums of the values attended to, with their bias, and of what is
read there; for attention times K 2^40, as underflow makes f / 2^-40 of an attention weight, and f 2^40 if in a reciprocal.

*Attention.* Let S be the size of scores. Computed ones are off by E = gamma S + phi at most, and the logarithm of an
exponential by t = E + gamma(4, 0) (2 S + 2 E) + gamma(8, 0) + 4 eta more or less than a number that all have in common.
*Lemma.* Weights a_j that sum to one, tilted to a_j exp(t_j) / sum, |t_j| <= t, change sum_j a_j v_j by at most (t / 2) (max v -
min v). *Proof.* Along s t_j, 0 <= s <= 1, the derivative is the covariance of t_j and v_j, at most the product of their
standard deviations, which are at most t and half the range. So B(o) = (t / 2) range(o) + gamma size(o) + underflow, range(o)
being that of the values that can be attended to.

*One hidden layer.* What neuron i reads is off by e_i = gamma size_i and underflow; so is its activation, at most size_i, as
ReLU is 1-Lipschitz. B(o) = sum_i e_i |U_i(o)| + gamma (sum_i (size_i + e_i) |W_out|_i + sizes of direct paths) |W_U| +
underflow; for |U| we take |W_out| |W_U|.

*Premise:* the inputs. *Parameter:* `format`, 0 .. 3: see FORMATS. *Checked:* that the weights are stored with no more bits than
the format has, that x <= 1/4, that nothing overflows, and the inequality.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from certificates.attention_only import AttentionOnly
from certificates.certificate import Step
from certificates.two_inputs import GroupMLP, UniformAttention
from checker.core.enclosed_weights import dyadic, weight, zeros
from checker.core.enclosures import Enclosure
from checker.core.errors import Refused
from checker.core.facts import CertifiedInputs, Fact, Setting, take_hints
from checker.rules.float_formats import Format, executed, require_stored, take_format

_ATTENTION, _MLP = "blocks.0.attn.", "blocks.0.mlp."


def float_execution(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> CertifiedInputs:
    """Apply the rule to certified inputs."""
    form, inputs = take_format(step, premises)
    take_hints(setting, step)
    require_stored(setting.model, form)
    return executed(setting, form, inputs, *errors_in(setting, form))


def errors_in(setting: Setting, form: Format) -> tuple[Enclosure, Enclosure]:
    """B "1 o", and what no number but exponentials exceeds, "1 1"."""
    config = setting.model.config
    if type(config) not in _ERRORS:
        raise Refused(f"float-execution is not yet about the architecture {config.architecture}")
    return _ERRORS[type(config)](_Sizes(setting, form))


@dataclass(frozen=True)
class _Sizes:
    """Absolute values of weights, and what rounding in a format makes of them."""

    setting: Setting
    form: Format

    def of(self, name: str, width: int = 1) -> Enclosure:
        """Absolute values of a weight; absent biases are zeros, of this width."""
        present = name in self.setting.model.tensors
        return abs(weight(self.setting, name)) if present else zeros(self.setting, 1, width)

    def upper(self, number: Fraction) -> Enclosure:
        """A number, or a bit more."""
        return dyadic(self.setting, number, up=True)

    def gamma(self, roundings: int, operands: int = 24) -> Enclosure:
        """Of so many roundings by u, and by u' if that is coarser."""
        return self.upper(self.form.gamma(roundings, operands))

    def underflow(self, operations: int) -> Enclosure:
        """Eta times a number of operations."""
        return self.upper(operations * self.form.smallest)

    def chain(self, *sums: Enclosure) -> Enclosure:
        """The product of 1 + s "1 1"."""
        one = product = self.upper(Fraction(1))
        for s in sums:
            product = product * (one + s)
        return product


def _total(array: Enclosure) -> Enclosure:
    """The sum of all entries, "1 1"."""
    return array.reshape(-1, 1).sum(0).reshape(1, 1)


def _highest(array: Enclosure) -> Enclosure:
    """The largest of each column, "1 n"."""
    return array.max(0).reshape(1, -1)


def _attention_only(sizes: _Sizes) -> tuple[Enclosure, Enclosure]:
    setting, config = sizes.setting, sizes.setting.model.config
    assert isinstance(config, AttentionOnly)
    d, h, k = config.d_model, config.d_head, config.n_ctx
    embed, place, unembed = weight(setting, "embed.W_E"), weight(setting, "pos_embed.W_pos"), sizes.of("unembed.W_U")
    matrices = {letter: sizes.of(f"{_ATTENTION}W_{letter}") for letter in "QKVO"}
    total = {letter: _total(matrix) for letter, matrix in matrices.items()}

    def read(position: int) -> list[Enclosure]:
        rows = abs(embed + place[position : position + 1])
        return [_highest(rows), _highest(rows @ matrices["K"]), _highest(rows @ matrices["V"])]

    most = read(0)
    for position in range(1, k):
        most = [one.maximum(other) for one, other in zip(most, read(position), strict=True)]
    last, residual = abs(embed + place[k - 1 :]), _total(most[0])
    key, value = (read + sizes.of(f"{_ATTENTION}b_{letter}", h) for read, letter in zip(most[1:], "KV", strict=True))
    query = last @ matrices["Q"] + sizes.of(f"{_ATTENTION}b_Q", h)
    scale, two = setting.arithmetic.reciprocal_sqrt(h), np.full((1, 1), 2, np.int64)
    score = _highest(query @ key.T) * scale
    around = sizes.chain(residual + total["Q"] + total["K"] + _total(_highest(query)) + _total(key))
    around = around * around
    off = sizes.gamma(2 * d + h + 12) * score + sizes.underflow(16 * (2 * d + h + 12)) * around
    tilt = off + sizes.gamma(4, 0) * (score + off).times(two) + sizes.gamma(8, 0) + sizes.underflow(4)

    output = weight(setting, _ATTENTION + "W_O") @ weight(setting, "unembed.W_U")
    values = weight(setting, _ATTENTION + "W_V")
    spread = ((embed @ values) @ output).range(0) + ((place @ values) @ output).range(0)
    attended = value @ matrices["O"] + sizes.of(_ATTENTION + "b_O", d)
    size = _highest(last @ unembed) + attended @ unembed + sizes.of("unembed.b_U", config.d_vocab_out)
    count, half = 2 * d + h + 4 * k + 12, sizes.upper(Fraction(1, 2))
    along = sizes.chain(residual + _total(attended), _total(value), total["V"], total["O"], _total(unembed))
    lost = sizes.underflow(16 * count * k * 2**40) * along
    error = tilt * half * spread.reshape(1, -1) + sizes.gamma(count) * size + lost
    # Exponentials times values, not yet divided by their sum, are up to 2^40 times as large; products of scores, d_head times.
    return error, (around + along + _total(attended) + _total(size)) * sizes.upper(Fraction(2**40))


def _group_mlp(sizes: _Sizes) -> tuple[Enclosure, Enclosure]:
    config = sizes.setting.model.config
    assert isinstance(config, GroupMLP)
    left, right = _highest(sizes.of("embed_left.W_E")), _highest(sizes.of("embed_right.W_E"))
    read, unembed = left + right + sizes.of("mlp.b_in", config.d_mlp), sizes.of("unembed.W_U")
    return _written(
        sizes, read, sizes.gamma(2), unembed, sizes.of("unembed.b_U", config.d_vocab_out), 0, sizes.chain(_total(unembed))
    )


def _uniform_attention(sizes: _Sizes) -> tuple[Enclosure, Enclosure]:
    config = sizes.setting.model.config
    assert isinstance(config, UniformAttention)
    d, h, size = config.d_model, config.d_head * config.n_heads, config.d_vocab - 1
    embed, place = weight(sizes.setting, "embed.W_E"), weight(sizes.setting, "pos_embed.W_pos")
    rows, last = abs(embed[:size] + place[:1]).maximum(abs(embed[:size] + place[1:2])), abs(embed[size:] + place[2:])
    names = (_ATTENTION + "W_V", _ATTENTION + "W_O", _MLP + "W_in", _MLP + "W_out")
    values, output, into, out = (sizes.of(name) for name in names)
    unembed, third = sizes.of("unembed.W_U"), sizes.upper(Fraction(1, 3))
    # Of the three tokens two are elements and the last is "=".
    seen = _highest(rows @ values).times(np.full((1, 1), 2, np.int64)) + last @ values
    attended = seen * third + sizes.of(_ATTENTION + "b_V", h)
    residual = last + attended @ output + sizes.of(_ATTENTION + "b_O", d)
    read = residual @ into + sizes.of(_MLP + "b_in", config.d_mlp)
    final = residual + sizes.of(_MLP + "b_out", d)
    direct = final @ unembed + sizes.of("unembed.b_U", config.d_vocab_out)
    along = sizes.chain(
        _total(_highest(rows.maximum(last))) + _total(final),
        _total(attended),
        *(_total(matrix) for matrix in (values, output, into, out, unembed)),
    )
    return _written(sizes, read, sizes.gamma(2 * d + h + 12), out @ unembed, direct, 3 * d + h, along)


def _written(
    sizes: _Sizes, read: Enclosure, gamma: Enclosure, written: Enclosure, direct: Enclosure, beside: int, along: Enclosure
) -> tuple[Enclosure, Enclosure]:
    """For one hidden layer, from the sizes of what neurons read "1 i", of what they write "i o", and of direct paths "1 o"."""
    count, along = read.shape[1] + beside + 30, along * sizes.chain(_total(read))
    off = gamma * read
    size = (read + off) @ written + direct
    error = off @ written + sizes.gamma(count) * size + sizes.underflow(16 * count) * along
    return error, along + _total(size)


_ERRORS: Mapping[type, Callable[[_Sizes], tuple[Enclosure, Enclosure]]] = {
    AttentionOnly: _attention_only,
    GroupMLP: _group_mlp,
    UniformAttention: _uniform_attention,
}
