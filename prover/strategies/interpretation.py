"""Strategy `interpretation`: mechanistic claims about the circuits, each switched on or off, and then `pessimized`.

What the literature says of such models becomes a choice of projected tables (checker/rules/projected_tables): attention (the
query-key circuit) is one direction, the size of a token; the output-value circuit copies along few directions; the direct path
adds the same for all queries. What a claim leaves out is bounded by lengths, so a claim that is wrong costs accuracy.
"""

import itertools
from dataclasses import dataclass
from typing import ClassVar, Self

from certificates import RawTensor, Step
from prover.projected_tables import EXACT, ProjectedTables
from prover.strategies.prefix_chains import claim_chains
from prover.strategy import DoesNotFit, Evidence, Problem, Strategy


@dataclass(frozen=True)
class Interpretation(Strategy):
    """attention, copying, direct: how many directions describe the query-key circuit, the output-value circuit and the direct
    path, beside their means (-1: the circuit as it is). joint, levels: as for pessimized.
    """

    name: ClassVar[str] = "interpretation"
    cost: ClassVar[str] = "V d^2 + V^2 r + V^2 K"
    summary: ClassVar[str] = "pessimized, with circuits described by few directions: attention=1 is the size direction"

    attention: int = 1
    copying: int = EXACT
    direct: int = EXACT
    joint: int = 1
    levels: int = 3

    @classmethod
    def sweep(cls, problem: Problem) -> tuple[Self, ...]:
        """The product of the choices."""
        choices = itertools.product((EXACT, 1, 2, 4), (EXACT, 4, 8), (EXACT, 0, 8), (1, 0))
        return tuple(cls(*choice) for choice in choices if choice[:3] != (EXACT, EXACT, EXACT))

    def prove(self, problem: Problem) -> Evidence:
        """Project, then search label by label."""
        ranks, largest = (self.attention, self.direct, self.copying), problem.model.config.d_model
        if not all(EXACT <= rank <= largest for rank in ranks):
            raise DoesNotFit(f"interpretation needs attention, copying and direct from -1 to {largest}")
        projected = ProjectedTables.of(problem, *ranks)
        step, cells = claim_chains(self, problem, projected.tables, 1, self.levels, self.joint)
        stored = {name: RawTensor.of_integers(hint) for name, hint in projected.hints.items()}
        steps = (Step("projected-tables", (), projected.parameters, stored), step)
        return Evidence(steps, int(cells.sum()), problem.total, cells)
