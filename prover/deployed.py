"""How far logits computed in floating point may be off, as rule float-execution (checker/rules) bounds it, and so which margin
it takes. Found in float64, and rounded up by more than all the roundings there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from certificates import AttentionOnly, GroupMLP, Model
from prover.strategy import DoesNotFit
from prover.weights import Weights, load_weights

_ROOM = 1e-5
_DIGITS = 3
_ATTENTION, _MLP = "blocks.0.attn.", "blocks.0.mlp."


@dataclass(frozen=True)
class Format:
    """The rule's number of a format, bits of a number and of an operand, and the exponent of the largest power of two."""

    number: int
    bits: int
    operand_bits: int
    largest: int

    def gamma(self, roundings: int, operands: int = 24) -> float:
        """Of so many roundings, and of operands if these are coarser."""
        x = roundings * 2.0**-self.bits + (operands * 2.0**-self.operand_bits if self.operand_bits < self.bits else 0.0)
        if x > 0.25:
            raise DoesNotFit("the model is too large for an analysis of rounding in this format")
        return x / (1 - x)

    def underflow(self, operations: int) -> float:
        """The smallest normal number, so many times."""
        return operations * 2.0 ** (1 - self.largest)


FORMATS = {
    "float32": Format(0, 24, 24, 127),
    "float64": Format(1, 53, 53, 1023),
    "tf32": Format(2, 24, 10, 127),
    "bfloat16": Format(3, 24, 7, 127),
}


def required_margin(model: Model, name: str) -> Fraction:
    """A margin that is enough for the rule, a decimal of few digits.

    Raises DoesNotFit if the weights have more bits than the format.
    """
    form = FORMATS[name]
    stored = {"BF16": 8, "F16": 11, "F32": 24, "F64": 53}
    if any(stored[tensor.dtype] > form.bits for tensor in model.tensors.values()):
        raise DoesNotFit(f"the weights are stored with more bits than {name} has; convert them first")
    weights = load_weights(model, torch.device("cpu"))
    error = _attention_only if isinstance(model.config, AttentionOnly) else _one_layer
    return _few_digits(2 * float(error(model, weights, form).max()) * (1 + _ROOM))


def _few_digits(number: float) -> Fraction:
    exact, unit = Fraction(number), Fraction(1)
    while exact < 10 ** (_DIGITS - 1) * unit:
        unit /= 10
    while exact >= 10**_DIGITS * unit:
        unit *= 10
    return -(-exact // unit) * unit


def _chain(*sums: Tensor | float) -> float:
    product = 1.0
    for one in sums:
        product *= 1 + float(one)
    return product


def _sizes(weights: Weights) -> Callable[[str], Tensor]:
    """Absolute values of weights as matrices, heads side by side; biases as rows."""

    def of(name: str) -> Tensor:
        array = weights[name].abs()
        if ".b_" in name:
            return array.reshape(1, -1)
        if name.endswith("W_O"):
            return array.reshape(-1, array.shape[-1])
        return array.transpose(0, 1).reshape(array.shape[1], -1) if array.ndim == 3 else array

    return of


def _highest(array: Tensor) -> Tensor:
    return array.amax(0, keepdim=True)


def _attention_only(model: Model, weights: Weights, form: Format) -> Tensor:
    config, of = model.config, _sizes(weights)
    assert isinstance(config, AttentionOnly)
    d, h, k = config.d_model, config.d_head, config.n_ctx
    unembed, matrices = of("unembed.W_U"), {letter: of(f"{_ATTENTION}W_{letter}") for letter in "QKVO"}
    rows = (weights["embed.W_E"] + weights["pos_embed.W_pos"][:, None]).abs()  # j t d
    residual, last = rows.amax((0, 1)).sum(), rows[-1]
    key, value = ((rows @ matrices[letter]).amax((0, 1))[None] + of(f"{_ATTENTION}b_{letter}") for letter in "KV")
    query = last @ matrices["Q"] + of(_ATTENTION + "b_Q")
    score = float((query @ key.T).max()) / h**0.5
    around = _chain(residual + matrices["Q"].sum() + matrices["K"].sum() + _highest(query).sum() + key.sum()) ** 2
    off = form.gamma(2 * d + h + 12) * score + form.underflow(16 * (2 * d + h + 12)) * around
    tilt = off + form.gamma(4, 0) * 2 * (score + off) + form.gamma(8, 0) + form.underflow(4)
    output = weights[_ATTENTION + "W_O"][0] @ weights["unembed.W_U"]
    embedded = [weights[name] @ weights[_ATTENTION + "W_V"][0] @ output for name in ("embed.W_E", "pos_embed.W_pos")]
    spread = sum(table.amax(0) - table.amin(0) for table in embedded)
    attended = value @ matrices["O"] + of(_ATTENTION + "b_O")
    size = _highest(last @ unembed) + attended @ unembed + of("unembed.b_U")
    count, total = 2 * d + h + 4 * k + 12, [matrices[letter].sum() for letter in "VO"]
    along = _chain(residual + attended.sum(), value.sum(), *total, unembed.sum())
    return tilt / 2 * spread + form.gamma(count) * size + form.underflow(16 * count * k) * 2.0**40 * along


def _one_layer(model: Model, weights: Weights, form: Format) -> Tensor:
    config, of = model.config, _sizes(weights)
    unembed = of("unembed.W_U")
    if isinstance(config, GroupMLP):
        read = _highest(of("embed_left.W_E")) + _highest(of("embed_right.W_E")) + of("mlp.b_in")
        gamma, written, direct, beside, along = form.gamma(2), unembed, of("unembed.b_U"), 0, _chain(unembed.sum())
    else:
        d, size = config.d_model, config.d_vocab - 1
        rows = (weights["embed.W_E"] + weights["pos_embed.W_pos"][:, None]).abs()  # j t d
        elements, last = rows[:2, :size].amax(0), rows[2, size:]
        values, output, into, out = (of(f"blocks.0.{name}") for name in ("attn.W_V", "attn.W_O", "mlp.W_in", "mlp.W_out"))
        h = values.shape[1]
        seen = 2 * _highest(elements @ values) + last @ values
        attended = seen / 3 + of(_ATTENTION + "b_V")
        residual = last + attended @ output + of(_ATTENTION + "b_O")
        final = residual + of(_MLP + "b_out")
        read, written, direct = residual @ into + of(_MLP + "b_in"), out @ unembed, final @ unembed + of("unembed.b_U")
        largest = torch.maximum(_highest(elements), last).sum() + final.sum()
        gamma, beside = form.gamma(2 * d + h + 12), 3 * d + h
        along = _chain(largest, attended.sum(), *(matrix.sum() for matrix in (values, output, into, out, unembed)))
    count, off = read.shape[1] + beside + 30, gamma * read
    size_of = (read + off) @ written + direct
    return off @ written + form.gamma(count) * size_of + form.underflow(16 * count) * along * _chain(read.sum())
