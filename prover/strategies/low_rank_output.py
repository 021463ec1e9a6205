"""Strategy `low-rank-output`: the unembedding of the hidden layer by few directions, what these leave out being bounded.

Directions come from singular vectors, or from representations: those of the group whose matrix entries hold most of the
unembedding (for cyclic groups: Fourier modes). With `blocks`, every neuron is described by the representation that holds most
of its own row only, as in "each neuron is a single frequency": few coordinates for each, at the price of what it mixes in.
"""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from certificates import RawTensor
from certificates.tensor_file import IntArray
from prover.layers.examined_pairs import ExaminedPairs, surrogate_by_pairs
from prover.layers.factor_search import improved
from prover.layers.group_actions import BoolArray, isotypic_projections
from prover.layers.hidden_layer import HiddenLayer
from prover.layers.output_factors import Factors, low_rank_leads, mean_size, proved_pairs
from prover.layers.two_input_problem import TwoInputProblem
from prover.strategies.evaluated_pairs import pairs_evidence
from prover.strategy import DoesNotFit, Evidence, Strategy
from prover.surrogate import Surrogate

_SCALE_BITS = 24
_TOGETHER, _BY_BLOCK = (4, 6, 8, 10, 12, 14, 16, 17, 20, 24, 32, 48), (2, 3, 4, 6, 8)
OPEN = 0.05
"""Share of the median margin that the bases of a transformer may leave open."""
_NEARLY = 200
"""Nearly as much: within total / 200 pairs."""


@dataclass(frozen=True)
class LowRankOutput(Strategy):
    """rank: directions for each block (0: the fewest that prove nearly as much as any). blocks: 1: neurons by their main
    representation, 0: all together. basis: 0: singular vectors, 1: representations (the rank then counts their dimensions, and
    is rounded up). pairwise: 1: distances of rests of outputs one by one. objective: 0: factors that reconstruct the
    unembedding best, 1: they are then moved to where they prove the most (layers/factor_search; needs blocks=0). projected: 1:
    the tables of a transformer by few directions, 0: folded exactly.
    """

    name: ClassVar[str] = "low-rank-output"
    cost: ClassVar[str] = "n^2 m r"
    summary: ClassVar[str] = "the unembedding by few directions, the rest bounded by lengths"

    rank: int = 0
    blocks: int = 0
    basis: int = 0
    pairwise: int = 1
    objective: int = 0
    projected: int = 1

    @classmethod
    def sweep(cls, problem: TwoInputProblem) -> tuple[Self, ...]:
        """Ranks, with either basis; and by blocks."""
        together = tuple(cls(rank, 0, basis) for rank in _TOGETHER for basis in (0, 1))
        return together + tuple(cls(rank, 1, pairwise=pairwise) for rank in _BY_BLOCK for pairwise in (0, 1))

    def prove(self, problem: TwoInputProblem) -> Evidence:
        """Factor the unembedding, and list the pairs for which the bound holds beyond rounding."""
        problem = problem.projected(OPEN) if self.projected else problem
        neurons, factors, scale, right = self._found(problem)
        numbers = {"left_factor": factors.left, "right_factor": factors.right, "centre": factors.centre}
        hints = {name: _integers(number, scale) for name, number in numbers.items()}
        hints["starts"] = RawTensor.of_integers(factors.starts)
        parameters = {"pairwise": self.pairwise, "scale": scale}
        return pairs_evidence(problem, (problem.hidden_step(neurons),), "low-rank-output", right, parameters, hints)

    def surrogate(self, problem: TwoInputProblem) -> Surrogate:
        """The pairs, by the directions found; what neurons write along them follows the weights."""
        folded = problem.projected(OPEN) if self.projected else problem
        ordered, factors, _, _ = self._found(folded)
        neurons, left_open = torch.as_tensor(ordered), 4 * folded.left_open
        first = problem.layer.unembed[neurons]

        def moved(layer: HiddenLayer) -> Factors:
            return factors.moved(_about_mean(layer.unembed[neurons] - first))

        def leads(layer: HiddenLayer, pairs: ExaminedPairs, temperature: float) -> Tensor:
            found = low_rank_leads(layer, neurons, moved(layer), self.pairwise, pairs, temperature)
            return found - 4 * layer.slack(neurons) - left_open

        def rest(layer: HiddenLayer) -> Tensor:
            return _about_mean(layer.unembed[neurons] - moved(layer).product)

        return surrogate_by_pairs(problem, leads, rest)

    def _found(self, problem: TwoInputProblem) -> tuple[IntArray, Factors, int, BoolArray]:
        """What `factors` gives at the best rank, and the pairs "a b" that can be proved with it."""
        if self.rank < 0 or not {self.blocks, self.basis, self.pairwise, self.objective, self.projected} <= {0, 1}:
            raise DoesNotFit(f"{self.name} needs a rank of at least 0; all other switches are 0 or 1")
        if self.blocks and self.objective:
            raise DoesNotFit("objective=1 needs blocks=0")
        ranks = (self.rank,) if self.rank else _BY_BLOCK if self.blocks else _TOGETHER
        found = [self._proved(problem, rank) for rank in ranks]
        most = max(int(right.sum()) for *_, right in found)
        return next(one for one in found if _NEARLY * (most - one[3].sum()) <= problem.total)

    def _proved(self, problem: TwoInputProblem, rank: int) -> tuple[IntArray, Factors, int, BoolArray]:
        neurons, factors, scale = self.factors(problem, rank)
        return neurons, factors, scale, proved_pairs(problem, neurons, factors, self.pairwise)

    def factors(self, problem: TwoInputProblem, rank: int) -> tuple[IntArray, Factors, int]:
        """Neurons in the order of their blocks, the factors rounded to units of 2**-scale, and scale."""
        neurons, table = problem.neurons, problem.task.table
        unembed = problem.hidden.unembed[neurons]
        unembed = unembed - unembed.mean(1, keepdims=True)
        if self.blocks or self.basis:
            if unembed.shape[1] != len(table):
                raise DoesNotFit("representations need one output for each element, and no other: use basis=0 blocks=0")
            onto = isotypic_projections(table)
            held = np.array([((unembed @ projection) ** 2).sum(1) for projection in onto])  # r i
        block = held.argmax(0) if self.blocks else np.zeros(len(neurons), np.int64)
        order = np.argsort(block, kind="stable")
        neurons, unembed, block = neurons[order], unembed[order], block[order]
        starts = np.flatnonzero(np.diff(block, prepend=-1))
        left, right = [], []
        for rows in np.split(unembed, starts[1:]):
            if self.basis:
                shares = np.array([((rows @ projection) ** 2).sum() for projection in onto])
                ranks = np.array([round(np.trace(projection)) for projection in onto])
                best = np.argsort(-shares)
                rows = rows @ onto[best[: 1 + np.searchsorted(np.cumsum(ranks[best]), rank)]].sum(0)  # noqa: PLW2901
            p, sizes, q = np.linalg.svd(rows, full_matrices=False)
            kept = int((sizes > 1e-9 * sizes.max()).sum()) if self.basis else rank
            left.append(p[:, :kept] * np.sqrt(sizes[:kept]))
            right.append(np.sqrt(sizes[:kept, None]) * q[:kept])
        rank = max(part.shape[1] for part in left)
        parts = (
            np.concatenate([np.pad(part, ((0, 0), (0, rank - part.shape[1]))) for part in left]),
            np.array([np.pad(part, ((0, rank - len(part)), (0, 0))) for part in right]),
            mean_size(problem.hidden.of(neurons)),
        )
        found = Factors(starts, *(torch.as_tensor(part, device=problem.device) for part in parts))
        if self.objective:
            found = improved(problem, neurons, found, rank, self.pairwise)
        return neurons, *found.rounded(_SCALE_BITS)


def _about_mean(rows: Tensor) -> Tensor:
    return rows - rows.mean(1, keepdim=True)


def _integers(numbers: Tensor, scale: int) -> RawTensor:
    return RawTensor.of_integers(np.rint(np.ldexp(numbers.cpu().numpy(), scale)).astype(np.int64))
