"""Factors of a hidden layer's unembedding, moved from where they reconstruct it best to where they prove the most.

Whatever the factors P "i r" and Q "r z" are, rule low-rank-output has a margin for every pair (its docstring; P may be sparse,
see dictionary-output). Reconstruction minimises the length of the rest U - P Q; but what counts is how far the rest can move
the output that comes closest to the true one, on pairs where that is close. So the objective is made of these margins. Where P
is sparse, the largest entries of each row count, but all of them receive a gradient, so that others may take their places.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from prover.group_actions import FloatArray
from prover.pair_problem import Hidden, PairProblem

_STEPS = 800
_RATE = 0.02
_MOST_PAIRS = 4096


@dataclass(frozen=True)
class FactorPair:
    """left "i r" (P), right "r z" (Q), and the centre "i" of |x| (mu)."""

    left: FloatArray
    right: FloatArray
    centre: FloatArray


def improved(problem: PairProblem, hidden: Hidden, start: FactorPair, sparsity: int, pairwise: int) -> FactorPair:
    """Factors for which more pairs are proved, with at most `sparsity` entries in each row of P."""
    unit = max(2 * float(np.median(problem.margins)), 1e-9)  # the rule's margins are twice those of the logits
    arrays = (start.left, start.right, start.centre)
    sizes = [max(float(np.abs(array).max()), 1e-9) for array in arrays]
    parameters = [torch.as_tensor(array / size).requires_grad_() for array, size in zip(arrays, sizes, strict=True)]
    adam = torch.optim.Adam(parameters, lr=_RATE)
    margins = _Margins(problem, hidden, pairwise)
    generator = torch.Generator().manual_seed(0)

    def factors() -> tuple[Tensor, Tensor, Tensor]:
        p, q, mu = (part * size for part, size in zip(parameters, sizes, strict=True))
        return _sparse(p, q, sparsity), q, mu

    for step in range(_STEPS):
        some = torch.randperm(margins.count, generator=generator)[:_MOST_PAIRS]
        adam.param_groups[0]["lr"] = _RATE * (1 - step / _STEPS)
        adam.zero_grad()
        torch.nn.functional.softplus(4 * (0.25 - margins(*factors(), some) / unit)).mean().backward()
        adam.step()
    return FactorPair(*(part.detach().numpy() for part in factors()))


def _sparse(p: Tensor, q: Tensor, sparsity: int) -> Tensor:
    """The entries of each row of P that add most to P Q; the others are zero, with the gradient they would have."""
    if sparsity >= p.shape[1]:
        return p
    kept = torch.zeros_like(p).scatter(1, (p * q.norm(dim=1)).abs().topk(sparsity, 1).indices, 1.0)
    return p * kept + (p - p.detach()) * (1 - kept)


class _Margins:
    """The least margin of some of the pairs, as a differentiable function of the factors."""

    def __init__(self, problem: PairProblem, hidden: Hidden, pairwise: int) -> None:
        table = problem.task.table
        a, b = np.nonzero(np.triu(np.ones(table.shape)) if problem.mirrored else np.ones(table.shape))
        self.count, self.pairwise = len(a), pairwise
        self.true = torch.as_tensor(table[a, b], dtype=torch.long)
        before = hidden.left[a] + hidden.right[b] + hidden.bias
        self.sizes = torch.as_tensor(np.abs(before))  # p i
        self.unembed = torch.as_tensor(hidden.unembed)
        self.known = torch.as_tensor(before @ hidden.unembed + 2 * (hidden.direct[a] + hidden.direct[b] + hidden.constant))

    def __call__(self, p: Tensor, q: Tensor, mu: Tensor, some: Tensor) -> Tensor:
        sizes, true = self.sizes[some], self.true[some]
        rest = self.unembed - p @ q
        squares = rest.square().sum(0)
        if self.pairwise:
            distances = (squares[:, None] + squares - 2 * rest.T @ rest).clamp_min(1e-12).sqrt()
        else:
            distances = squares.clamp_min(1e-12).sqrt()[:, None] + squares.clamp_min(1e-12).sqrt()
        values = sizes @ p @ q + self.known[some] + mu @ rest
        rivals = values + (sizes - mu).norm(dim=1)[:, None] * distances[true]
        own = values.gather(1, true[:, None])
        return own[:, 0] - rivals.scatter(1, true[:, None], -torch.inf).amax(1)
