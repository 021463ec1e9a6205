"""Strategy `low-rank-output`: the unembedding of the hidden layer by few directions, what these leave out being bounded.

Directions come from singular vectors, or from representations: those of the group whose matrix entries hold most of the
unembedding (for cyclic groups: Fourier modes). With `blocks`, every neuron is described by the representation that holds most
of its own row only, as in "each neuron is a single frequency": few coordinates for each, at the price of what it mixes in.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import torch

from prover.layers.factor_search import improved
from prover.layers.group_actions import isotypic_projections
from prover.layers.output_factors import Factors, mean_size
from prover.layers.two_input_problem import TwoInputProblem
from prover.strategies.coded_output import Code, CodedOutput
from prover.strategy import DoesNotFit, switch

_TOGETHER, _BY_BLOCK = (4, 6, 8, 10, 12, 14, 16, 17, 20, 24, 32, 48), (2, 3, 4, 6, 8)


@dataclass(frozen=True)
class LowRankOutput(CodedOutput):
    """See the module's docstring."""

    name: ClassVar[str] = "low-rank-output"
    cost: ClassVar[str] = "n^2 m r"
    summary: ClassVar[str] = "the unembedding by few directions, the rest bounded by lengths"
    rules: ClassVar[tuple[str, ...]] = ("hidden-tables", "coded-output")
    origin: ClassVar[str] = (
        "Neurons of one frequency: Nanda et al. 2023; of one representation: Chughtai et al. 2023. The bound of what "
        "directions leave out is of this project."
    )
    vacuous: ClassVar[str] = (
        "If the given directions leave out more than the leads. With `rank=0` the strategy looks for enough of them; "
        "singular vectors (`basis=0`) leave out least."
    )

    rank: int = switch(
        0,
        "directions for each block (representations: dimensions, rounded up); 0: the fewest that prove nearly as much",
    )
    blocks: int = switch(0, "1: neurons by their main representation; 0: all together")
    basis: int = switch(0, "0: singular vectors; 1: representations")
    pairwise: int = switch(1, "1: distances of rests of outputs one by one; 0: by their lengths")
    objective: int = switch(
        0, "0: factors that reconstruct the unembedding best; 1: they are then moved to where they prove most (needs blocks=0)"
    )
    projected: int = switch(1, "1: the tables of a transformer by few directions; 0: folded exactly")
    follows: ClassVar[bool] = True

    @classmethod
    def sweep(cls, problem: TwoInputProblem) -> tuple[Self, ...]:
        """Ranks, with either basis; and by blocks."""
        together = tuple(cls(rank, 0, basis) for rank in _TOGETHER for basis in (0, 1))
        return together + tuple(cls(rank, 1, pairwise=pairwise) for rank in _BY_BLOCK for pairwise in (0, 1))

    def largest(self, problem: TwoInputProblem) -> Mapping[str, int]:
        """As many directions as the unembedding has; representations have as many as there are elements."""
        outputs = problem.hidden.unembed.shape[1]
        return {"rank": outputs if self.basis else min(len(problem.neurons), outputs)}

    def codes(self, problem: TwoInputProblem) -> Iterator[Code]:
        """One for each rank."""
        if self.rank < 0 or not {self.blocks, self.basis, self.pairwise, self.objective, self.projected} <= {0, 1}:
            raise DoesNotFit(f"{self.name} needs a rank of at least 0; all other switches are 0 or 1")
        if self.blocks and self.objective:
            raise DoesNotFit("objective=1 needs blocks=0")
        ranks = (self.rank,) if self.rank else _BY_BLOCK if self.blocks else _TOGETHER
        return (self._code(problem, rank) for rank in ranks)

    def _code(self, problem: TwoInputProblem, rank: int) -> Code:
        """Each neuron has the atoms of its block, as many as the largest has."""
        neurons, table = problem.neurons, problem.task.table
        unembed = problem.hidden.unembed[neurons]
        unembed = unembed - unembed.mean(1, keepdims=True)
        if self.blocks or self.basis:
            if unembed.shape[1] != len(table):
                raise DoesNotFit("representations need one output for each element, and no other: use basis=0 blocks=0")
            onto = isotypic_projections(table)
            held = np.array([((unembed @ projection) ** 2).sum(1) for projection in onto])  # r i
        main = held.argmax(0) if self.blocks else np.zeros(len(neurons), np.int64)
        block, parts = np.unique(main, return_inverse=True)[1], []
        for b in range(block.max() + 1):
            rows = unembed[block == b]
            if self.basis:
                shares = np.array([((rows @ projection) ** 2).sum() for projection in onto])
                ranks = np.array([round(np.trace(projection)) for projection in onto])
                best = np.argsort(-shares)
                rows = rows @ onto[best[: 1 + np.searchsorted(np.cumsum(ranks[best]), rank)]].sum(0)
            p, sizes, q = np.linalg.svd(rows, full_matrices=False)
            kept = int((sizes > 1e-9 * sizes.max()).sum()) if self.basis else rank
            parts.append((p[:, :kept] * np.sqrt(sizes[:kept]), np.sqrt(sizes[:kept, None]) * q[:kept]))
        rank = max(len(right) for _, right in parts)
        codes, atoms = np.zeros((len(neurons), rank * len(parts))), np.zeros((rank * len(parts), unembed.shape[1]))
        for b, (left, right) in enumerate(parts):
            own = slice(rank * b, rank * b + len(right))
            codes[block == b, own], atoms[own] = left, right
        arrays = (codes, atoms, mean_size(problem.hidden.of(neurons)))
        found = Factors(*(torch.as_tensor(array, device=problem.device) for array in arrays))
        if self.objective:
            found = improved(problem, neurons, found, rank, self.pairwise)
        return Code.of(neurons, rank * block[:, None] + np.arange(rank), found)
