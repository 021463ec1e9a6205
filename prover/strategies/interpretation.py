"""Strategy `interpretation`: mechanistic claims about the circuits, each switched on or off, and then `pessimized`.

What the literature says of such models becomes a choice of projected tables (rule projected-tables): attention (the
query-key circuit) is one direction, the size of a token; the output-value circuit copies: a token raises its own output, and
others along few directions; the direct path adds the same for all queries. What a claim leaves out is bounded by lengths about
a mean, by row differences, or by spectral norms of the circuits' matrices, so a claim that is wrong costs accuracy.
"""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from torch import Tensor

from certificates import Step, integer_tensor
from prover.attention.direction_search import improved_directions
from prover.attention.full_prefixes import require_extreme
from prover.attention.projected_claims import ProjectedClaims
from prover.attention.projected_tables import DIFFERENCES, EXACT, LENGTHS, NORMS, ProjectedTables
from prover.attention.sequence_problem import SequenceProblem
from prover.strategies.prefix_chains import claim_chains
from prover.strategy import DoesNotFit, Evidence, Strategy, switch
from prover.surrogate import Surrogate


@dataclass(frozen=True)
class Interpretation(Strategy):
    """See the module's docstring; `attention`, `copying` and `direct` are the circuits' directions, beside their means."""

    name: ClassVar[str] = "interpretation"
    cost: ClassVar[str] = "V d^2 + V^2 r + V^2 K"
    summary: ClassVar[str] = "pessimized, with circuits described by few directions: attention=1 is the size direction"
    rules: ClassVar[tuple[str, ...]] = ("projected-tables", "prefix-chains")
    origin: ClassVar[str] = (
        "Circuits: Elhage et al. 2021. The size direction, copying, and bounds of what low-rank circuits leave out, "
        "by row differences and singular values: Gross et al. 2024. Bounds by lengths about a mean are of this "
        "project."
    )
    vacuous: ClassVar[str] = (
        "If circuits have more directions than claimed, so that what is left out exceeds the leads. Claim more "
        "(`--set attention=4`), or take a circuit as it is (-1); with all as they are, this is `pessimized`."
    )

    attention: int = switch(1, "directions of the query-key circuit; -1: the circuit as it is")
    copying: int = switch(EXACT, "directions of the output-value circuit; -1: as it is")
    direct: int = switch(EXACT, "directions of the direct path; -1: as it is")
    joint: int = switch(1, "1: values of token and position are pessimised together; 0: apart")
    levels: int = switch(3, "levels of the chains, 1 to 3")
    residual: int = switch(LENGTHS, "what is left out is bounded by lengths (0), row differences (1) or spectral norms (2)")
    diagonal: int = switch(0, "1: a token's effect on its own output is taken as it is, where copying is not -1")
    objective: int = switch(0, "0: directions hold most of a table; 1: they are then moved to where they prove most")

    @classmethod
    def sweep(cls, problem: SequenceProblem) -> tuple[Self, ...]:
        """The product of the choices, but for those that change nothing."""
        few, more = (math.ceil(problem.model.config.d_model / part) for part in (4, 3))
        attention = itertools.product((EXACT, 1, 4), (LENGTHS, DIFFERENCES, NORMS))
        copying = ((EXACT, 0), (few, 0), (few, 1), (more, 1))
        choices = itertools.product(attention, copying, (EXACT, 0), (1, 0))
        return tuple(
            cls(rank, directions, direct, joint, residual=residual, diagonal=diagonal)
            for (rank, residual), (directions, diagonal), direct, joint in choices
            if residual == LENGTHS or max(rank, directions, direct if residual == DIFFERENCES else EXACT) != EXACT
        )

    def _ranks(self, problem: SequenceProblem) -> dict[str, int]:
        """Of the tables. Raises DoesNotFit if the switches are out of this strategy's reach."""
        ranks = {"score": self.attention, "direct": self.direct, "value": self.copying}
        largest = problem.model.config.d_model
        if not all(EXACT <= rank <= largest for rank in ranks.values()):
            raise DoesNotFit(f"interpretation needs attention, copying and direct from -1 to {largest}")
        if self.residual not in (LENGTHS, DIFFERENCES, NORMS) or not {self.diagonal, self.objective} <= {0, 1}:
            raise DoesNotFit("interpretation needs residual 0, 1 or 2; diagonal and objective are 0 or 1")
        return ranks

    def surrogate(self, problem: SequenceProblem) -> Surrogate:
        """Cells in which every smaller token is harmless, by the projected tables."""
        require_extreme(problem)
        claims = ProjectedClaims.of(problem, self._ranks(problem), self.residual, self.diagonal == 1, self.joint == 1)
        return replace(claims, bases=improved_directions(claims)) if self.objective else claims

    def prove(self, problem: SequenceProblem) -> Evidence:
        """Project, then search label by label."""
        ranks, diagonal = self._ranks(problem), self.diagonal == 1
        tried: list[Mapping[str, Tensor] | None] = [None]
        if self.objective:
            require_extreme(problem)
            claims = ProjectedClaims.of(problem, ranks, self.residual, diagonal, self.joint == 1)
            tried.append(improved_directions(claims))  # for a surrogate: it may prove less
        found = []
        for directions in tried:
            projected = ProjectedTables.of(problem, ranks, self.residual, diagonal, directions)
            found.append((projected, *claim_chains(self, problem, projected.tables, 1, self.levels, self.joint)))
        projected, step, cells = max(found, key=lambda one: int(one[2].sum()))
        stored = {name: integer_tensor(hint) for name, hint in projected.hints.items()}
        steps = (Step("projected-tables", (), projected.parameters, stored), step)
        return Evidence(steps, int(cells.sum()), problem.total, cells)
