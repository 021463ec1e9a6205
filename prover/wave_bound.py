"""The bound of rule `quadrature` in floats, term by term, differentiable (theorem and notation: checker/rules/quadrature).

Amplitudes are those of the discrete Fourier transform, so they follow the weights; each neuron's frequency is given.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from prover.hidden_layer import HiddenLayer
from prover.surrogate import soft_minimum

_NOTHING = 1e-300


def strongest_frequencies(left: Tensor) -> Tensor:
    """The frequency "i" that holds most of what each neuron reads, from left "a i"."""
    return 1 + torch.fft.rfft(left, dim=0)[1:].abs().argmax(0)


@dataclass(frozen=True)
class WaveBound:
    """alpha, beta "i": amplitudes; lead "d delta": the theorem's left-hand side, d = 0 .. (p - 1)/2, delta = 1 .. p - 1.

    Errors, by how much they can shift a difference of logits: unread (what neurons read beside their frequency), bias, direct.
    unlike: how far the weights are from single waves without biases and without a direct path, as a mean square: shares of
    what neurons read, weighted by what they write.
    """

    alpha: Tensor
    beta: Tensor
    lead: Tensor
    unread: Tensor
    bias: Tensor
    direct: Tensor
    unlike: Tensor

    @property
    def margins(self) -> Tensor:
        """What is left of the least lead "d"; certifies if it is more than the slack."""
        return self.lead.amin(1) - self.unread - self.bias - self.direct


def wave_bound(layer: HiddenLayer, neurons: Tensor, frequency: Tensor, temperature: float = 0.0) -> WaveBound:
    """Evaluate the theorem for these neurons, whose frequencies are "i"; minima over s are soft at a temperature."""
    left, bias, unembed = layer.left[:, neurons], layer.bias[neurons], layer.unembed[neurons]
    p = len(left)
    angle = 2 * math.pi / p * (torch.outer(torch.arange(p, device=left.device), frequency) % p).to(left.dtype)
    alpha, beta = 2 / p * (left * angle.cos()).sum(0), 2 / p * (left * angle.sin()).sum(0)
    ideal = alpha * angle.cos() + beta * angle.sin()
    rest, reach = left - ideal, _range(unembed)
    weight = reach.square() / (left.square().sum(0) @ reach.square()).clamp_min(_NOTHING)
    direct, constant = _range(layer.direct).amax(), _range(layer.constant)
    beside = (layer.direct - layer.direct.mean(1, keepdim=True)).square().mean()
    lead = _lead(ideal, unembed, frequency, temperature)
    return WaveBound(
        alpha,
        beta,
        lead,
        2 * rest.abs().amax(0) @ reach,
        bias.abs() @ reach + constant,
        2 * direct,
        (rest.square().sum(0) + p * bias.square()) @ weight + beside / lead.square().mean().clamp_min(_NOTHING),
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
