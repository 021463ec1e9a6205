"""What a strategy would certify, as a differentiable function of the weights: the objective of fine-tuning.

A strategy exposes one function, its *surrogate*: weights and a temperature to `Claims`. Everything discrete (which sets, which
directions, which cells) is chosen when the surrogate is made, at the weights of that moment. Minima over tables are soft: the
soft minimum of x_1 .. x_n at temperature T is -T log sum exp(-x_i / T), which is at most the minimum, and at least the minimum
less T log n; so all elements have a gradient, and the surrogate stays on the safe side. In the limit T -> 0, whatever it says
is certified can be certified by the strategy, up to rounding.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from prover.weights import Weights


@dataclass(frozen=True)
class Claims:
    """Claims "x", each of which holds if all its conditions are positive. Different claims are about different inputs.

    margin "x c": the conditions, relative to what they would be if nothing were lost: 1 is the most to be had where that is
    known. share "x": of all inputs. pull: what else to minimise, such as the distance to a structure that conditions need.
    """

    margin: Tensor
    share: Tensor
    pull: Tensor | None = None

    def bound(self, temperature: float = 0.0) -> Tensor:
        """The share of inputs that is certified: claims count by the sigmoid of margin / temperature, or hard at 0."""
        worst = self.margin.amin(1)
        held = torch.sigmoid(worst / temperature) if temperature else (worst > 0).to(worst.dtype)
        return (self.share * held).sum()

    def loss(self) -> Tensor:
        """What fine-tuning minimises beside the task's loss: small where all margins are well above zero."""
        loss = torch.nn.functional.softplus(2 * (1 - self.margin)).mean()
        return loss if self.pull is None else loss + self.pull


Surrogate = Callable[[Weights, float], Claims]
"""From weights by name (as in the model file, absent biases zero) and a temperature to claims."""


def soft_minimum(values: Tensor, dim: int, temperature: float) -> Tensor:
    """At most the minimum along a dimension, and smooth; the minimum itself at temperature 0."""
    if not temperature:
        return values.amin(dim)
    return -temperature * torch.logsumexp(-values / temperature, dim)


def soft_maximum(values: Tensor, dim: int, temperature: float) -> Tensor:
    """At least the maximum along a dimension, and smooth; the maximum itself at temperature 0."""
    return -soft_minimum(-values, dim, temperature)


def soft_lengths(vectors: Tensor, temperature: float) -> Tensor:
    """Lengths of rows "n d", or more, and smooth at zero: for what is to vanish.

    A length is steepest at zero, where steps of Adam throw it from side to side; these gradients would drown all others.
    """
    return (vectors.square().sum(1) + temperature**2).sqrt() if temperature else vectors.norm(dim=1)
