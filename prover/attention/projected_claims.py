"""The surrogate of strategy `interpretation`: the claims of full_prefixes about projected tables, residuals included.

Formulas of projected_tables without rounding. The directions are those that the strategy chooses at the problem's
weights; coordinates, centres and residuals follow the weights, so that the circuits move towards their descriptions.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from prover.approximate import Approximate
from prover.attention.factored_logits import Affine, FactoredLogits
from prover.attention.full_prefixes import full_prefix_claims
from prover.attention.pessimistic_tables import Tables
from prover.attention.projected_tables import (
    DIFFERENCES,
    EXACT,
    NORMS,
    ProjectedTables,
    projected_vectors,
    token_middle,
    unembed_middle,
)
from prover.attention.sequence_problem import SequenceProblem
from prover.bases import UNIT_BITS
from prover.surrogate import Claims, soft_lengths
from prover.weights import Weights

_NOTHING = 1e-300
"""Below this a norm has no gradient."""


@dataclass(frozen=True)
class ProjectedClaims:
    """A surrogate. ranks: as for ProjectedTables; bases "e r": of the tables of a rank above 0."""

    problem: SequenceProblem
    ranks: dict[str, int]
    bases: dict[str, Tensor]
    residual: int
    diagonal: bool
    joint: bool

    @staticmethod
    def of(problem: SequenceProblem, ranks: dict[str, int], residual: int, diagonal: bool, joint: bool) -> "ProjectedClaims":
        """With directions as the strategy chooses them at the problem's weights."""
        hints = ProjectedTables.of(problem, ranks, residual, diagonal).hints
        bases = {
            name: torch.as_tensor(hints[f"{name}_basis"] * 2.0**-UNIT_BITS, device=problem.device)
            for name in ranks
            if f"{name}_basis" in hints
        }
        return ProjectedClaims(problem, ranks, bases, residual, diagonal, joint)

    def __call__(self, weights: Weights, temperature: float) -> Claims:
        """One claim for every cell (q, m, c) with inputs."""
        factors = FactoredLogits.of(self.problem, self.problem.in_order(weights))
        centres = (token_middle(factors, self.residual), unembed_middle(factors, self.residual))
        vectors = projected_vectors(factors, *(Approximate(centre[None], 0.0, self.problem.precision) for centre in centres))
        score, score_spread = self._table("score", *vectors["score"], temperature)
        direct, direct_spread = self._table("direct", *vectors["direct"], temperature)
        value, value_spread = self._table("value", *vectors["value"], temperature)
        unembed, positions = vectors["value"][1].value, factors.position_value.value
        return full_prefix_claims(
            Tables(
                score,
                factors.query.value @ factors.position.value.T,
                direct,
                value,
                positions @ unembed[:, : positions.shape[1]].T,
                score_radius=0.0,
                gap_radius=0.0,
                precision=self.problem.precision,
                score_spread=score_spread,
                direct_spread=direct_spread,
                value_spread=value_spread,
            ),
            self.joint,
            temperature,
        )

    def _table(self, name: str, left: Affine | Approximate, right: Approximate, temperature: float) -> tuple[Tensor, Tensor]:
        """Of products of "i e" and "o e": what is computed and what is left out, both "i o"."""
        of_left, of_right = (left.vectors if isinstance(left, Affine) else left).value, right.value
        exact = of_left @ of_right.T
        if self.ranks[name] == EXACT:
            return exact, torch.zeros_like(exact)
        basis = self.bases.get(name, of_right.new_zeros(of_right.shape[1], 0))
        difference = of_left - of_left.mean(0)
        inside = difference @ basis
        table = inside @ (of_right @ basis).T + of_left.mean(0) @ of_right.T
        if self.residual == DIFFERENCES:
            width = (difference - inside @ basis.T).abs() @ of_right.abs().amax(0)[:, None]
        else:
            if self.residual == NORMS and isinstance(left, Affine):
                matrix = left.matrix.value
                along = matrix @ basis
                norm = (matrix @ matrix.T - along @ along.T).square().sum().clamp_min(_NOTHING) ** 0.25
                of_rows = soft_lengths(left.rows.value - left.rows.value.mean(0), temperature) * norm
            else:
                of_rows = soft_lengths(difference - inside @ basis.T, temperature)
            width = of_rows[:, None] * soft_lengths(of_right - of_right @ basis @ basis.T, temperature)
        spread = width.expand(table.shape)
        if name == "value" and self.diagonal:
            itself = torch.eye(*table.shape, dtype=torch.bool, device=table.device)
            table, spread = torch.where(itself, exact, table), torch.where(itself, 0.0, spread)
        return table, spread
