"""What training on two inputs shares: coupled L2 penalties on factorised networks, with batches of all pairs.

All recipes minimise cross-entropy plus a *coupled* L2 penalty on a factorised network: Adam on loss + decay / 2 |weights|^2,
as in Kingma and Ba (2015), not the decoupled decay of AdamW. On a product of matrices such a penalty acts as a sum of powers
of singular values, and on the two sides of a ReLU neuron as a sum of norms, so whole neurons, whole irreducible representations
and whole frequencies die. The rate falls linearly to (almost) zero at the end, and the last steps see every pair: what is left
of the noise disappears, and neurons sit on their orbits to within a thousandth.

Trained weights are float32 under the names of the model files, deterministic given the seed on one machine and one number of
threads.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Weights = dict[str, Tensor]


class CoupledAdam:
    """Adam on the loss plus decay / 2 times the squared norm of the parameters; neurons can be removed on the way."""

    def __init__(self, parameters: Weights, decay: float) -> None:
        self.parameters = {name: p.requires_grad_() for name, p in parameters.items()}
        self.decay = decay
        self.first = {name: torch.zeros_like(p) for name, p in parameters.items()}
        self.second = {name: torch.zeros_like(p) for name, p in parameters.items()}
        self.steps = 0

    @torch.no_grad()
    def step(self, rate: float, betas: tuple[float, float] = (0.9, 0.98)) -> None:
        self.steps += 1
        for name, parameter in self.parameters.items():
            assert parameter.grad is not None
            gradient = parameter.grad.add_(parameter, alpha=self.decay)
            first = self.first[name].mul_(betas[0]).add_(gradient, alpha=1 - betas[0]) / (1 - betas[0] ** self.steps)
            second = self.second[name].mul_(betas[1]).addcmul_(gradient, gradient, value=1 - betas[1])
            parameter.sub_(rate * first / ((second / (1 - betas[1] ** self.steps)).sqrt() + 1e-8))
            parameter.grad = None

    def penalty(self) -> float:
        return self.decay / 2 * sum(float(p.detach().square().sum()) for p in self.parameters.values())

    def keep(self, neurons: Tensor, dimension: dict[str, int]) -> None:
        """Forget all but these neurons; `dimension` says where each parameter counts them."""
        for name, axis in dimension.items():
            self.parameters[name] = self.parameters[name].detach().index_select(axis, neurons).requires_grad_()
            self.first[name] = self.first[name].index_select(axis, neurons)
            self.second[name] = self.second[name].index_select(axis, neurons)


class Batches:
    """Every index once in a random order, then again in another order; without replacement, `size` at a time."""

    def __init__(self, count: int, size: int, generator: torch.Generator) -> None:
        self.count, self.size, self.generator = count, max(1, min(size, count)), generator
        self.order, self.place = torch.empty(0, dtype=torch.long), 0

    def next(self) -> Tensor:
        if self.place + self.size > len(self.order):
            self.order, self.place = torch.randperm(self.count, generator=self.generator), 0
        self.place += self.size
        return self.order[self.place - self.size : self.place]


def softmax_error(logits: Tensor, correct: Tensor) -> tuple[float, Tensor]:
    """Mean cross-entropy and its gradient in the logits, which are overwritten by it."""
    logits -= logits.amax(1, keepdim=True)
    of_correct = logits.gather(1, correct[:, None])
    error = logits.exp_()
    total = error.sum(1, keepdim=True)
    loss = float((total.log() - of_correct).mean())
    error /= total
    error.scatter_add_(1, correct[:, None], error.new_full((1, 1), -1.0).expand(len(correct), 1))
    error /= len(correct)
    return loss, error


def group_weights(left: Tensor, right: Tensor, b_in: Tensor, unembed: Tensor, b_out: Tensor) -> Weights:
    """The tensors of a group network under their names."""
    named = {"embed_left.W_E": left, "embed_right.W_E": right, "mlp.b_in": b_in, "unembed.W_U": unembed, "unembed.b_U": b_out}
    return {name: w.detach().contiguous() for name, w in named.items()}


def drawer(generator: torch.Generator) -> Callable[..., Tensor]:
    """Gaussian matrices of variance 1 / fan."""

    def draw(*shape: int, fan: int) -> Tensor:
        return torch.randn(shape, generator=generator).mul_(fan**-0.5)

    return draw
