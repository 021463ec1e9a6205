"""The bounds of rules `quadrature` and `quadrature-waves` in floats, term by term, differentiable.

Theorems and notation are those of these rules. Amplitudes are those of the discrete Fourier transform, so
they follow the weights; each neuron's frequency is given.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from prover.layers.hidden_layer import HiddenLayer
from prover.surrogate import soft_maximum, soft_minimum

_NOTHING = 1e-300


def strongest_frequencies(left: Tensor) -> Tensor:
    """The frequency "i" that holds most of what each neuron reads, from left "a i"."""
    return 1 + torch.fft.rfft(left, dim=0)[1:].abs().argmax(0)


@dataclass(frozen=True)
class WaveBound:
    """read "2 i": alpha, beta; written "2 i": gamma, eta; lead "d delta": the theorem's left-hand side, d = 0 .. (p - 1)/2,
    delta = 1 .. p - 1.

    Errors, by how much they can shift a difference of logits: unread (what neurons read beside their frequency), bias, direct,
    unwritten (what neurons write beside it; 0 for rule quadrature, which takes the outputs as they are). unlike: how far the
    weights are from single waves without biases and without a direct path, as a mean square: shares of what neurons read,
    weighted by what they write, and, where they are to write waves, the other way round.
    """

    read: Tensor
    written: Tensor
    lead: Tensor
    unread: Tensor
    bias: Tensor
    direct: Tensor
    unwritten: Tensor
    unlike: Tensor

    @property
    def margins(self) -> Tensor:
        """What is left of the least lead "d"; certifies if it is more than the slack."""
        return self.lead.amin(1) - self.unread - self.bias - self.direct - self.unwritten


def wave_bound(
    layer: HiddenLayer, neurons: Tensor, frequency: Tensor, outputs: bool = False, temperature: float = 0.0
) -> WaveBound:
    """Evaluate the theorem for these neurons, whose frequencies are "i"; minima over s are soft at a temperature.

    outputs: by rule quadrature-waves, where neurons write single waves as well.
    """
    left, bias, unembed = layer.left[:, neurons], layer.bias[neurons], layer.unembed[neurons]
    p = len(left)
    angle = 2 * math.pi / p * (torch.outer(torch.arange(p, device=left.device), frequency) % p).to(left.dtype)
    waves = torch.stack([angle.cos(), angle.sin()])  # 2 a i
    read, written = 2 / p * (waves * left).sum(1), 2 / p * (waves * unembed.T).sum(1)
    ideal = (read[:, None] * waves).sum(0)
    rest, reach = left - ideal, _range(unembed)
    direct, constant = _range(layer.direct).amax(), _range(layer.constant)
    beside = (layer.direct - layer.direct.mean(1, keepdim=True)).square().mean()
    strength, unwritten, unlike = reach, reach.new_zeros(()), reach.new_zeros(())
    if outputs:
        unlike_waves = unembed - (written[:, None] * waves).sum(0).T
        strength = 2 * written.norm(dim=0) + _range(unlike_waves)
        unwritten = 2 * read.norm(dim=0) @ _range(unlike_waves)
        power = left.square().sum(0)
        unlike = unlike_waves.square().sum(1) @ power / (unembed.square().sum(1) @ power).clamp_min(_NOTHING)
        lead = _lead_of_waves(ideal, written, frequency, temperature)
    else:
        lead = _lead(ideal, unembed, frequency, temperature)
    weight = reach.square() / (left.square().sum(0) @ reach.square()).clamp_min(_NOTHING)
    return WaveBound(
        read,
        written,
        lead,
        2 * rest.abs().amax(0) @ strength,
        bias.abs() @ strength + constant,
        2 * direct,
        unwritten,
        (rest.square().sum(0) + p * bias.square()) @ weight + beside / lead.square().mean().clamp_min(_NOTHING) + unlike,
    )


def _range(values: Tensor) -> Tensor:
    return values.amax(-1) - values.amin(-1)


def _lead(ideal: Tensor, unembed: Tensor, frequency: Tensor, temperature: float) -> Tensor:
    p = len(ideal)
    s = torch.arange(p, device=ideal.device)
    column, total = (2 * s[:, None] + s) % p, ideal.new_zeros(p // 2 + 1, p)
    for k in frequency.unique():
        here = frequency == k
        cosine = torch.cos(2 * math.pi / p * (k * s[: p // 2 + 1] % p).to(ideal.dtype))
        for sign in (1, -1):
            shifted = ((sign * ideal[:, here]).relu() @ unembed[here]).gather(1, column)
            least = soft_minimum(shifted[:, :1] - shifted, 0, temperature)
            total = total + 2 * torch.outer((sign * cosine).relu(), least)
    return total[:, 1:]


def _lead_of_waves(ideal: Tensor, written: Tensor, frequency: Tensor, temperature: float) -> Tensor:
    p = len(ideal)
    s = torch.arange(p, device=ideal.device)
    total = ideal.new_zeros(p // 2 + 1, p)
    for k in frequency.unique():
        here = frequency == k
        angle = 2 * math.pi / p * (k * s % p).to(ideal.dtype)
        cosine, sine = angle.cos(), angle.sin()
        double = 2 * s % p
        for sign in (1, -1):
            active = (sign * ideal[:, here]).relu()
            first, second = active @ written[0, here], active @ written[1, here]
            along = first * cosine[double] + second * sine[double]
            across = second * cosine[double] - first * sine[double]
            least, most = soft_minimum(along, 0, temperature), soft_maximum(across.abs(), 0, temperature)
            part = least * (1 - cosine) - most * sine.abs()
            total = total + 2 * torch.outer((sign * cosine[: p // 2 + 1]).relu(), part)
    return total[:, 1:]
