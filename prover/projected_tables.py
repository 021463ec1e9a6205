"""Hints for rule projected-tables: which directions hold the tables, and what they leave out."""

from dataclasses import dataclass

import numpy as np
import torch

from prover.factored_logits import FactoredLogits
from prover.low_rank_bounds import Basis, Grid, inner, safe_root
from prover.pessimistic_tables import Approximate, Tables
from prover.strategy import Problem

EXACT = -1
"""The rank of a table that is taken as it is."""


@dataclass(frozen=True)
class ProjectedTables:
    """Tables with their spreads, and parameters and hints with which the checker arrives at them."""

    tables: Tables
    parameters: dict[str, int]
    hints: dict[str, np.ndarray]

    @staticmethod
    def of(problem: Problem, score: int, direct: int, value: int) -> "ProjectedTables":
        """Project on so many directions each (EXACT: not at all)."""
        factors = FactoredLogits.of(problem)
        largest = max(f.largest for f in (factors.value, factors.direct, factors.query, factors.token, factors.unembed))
        grid = Grid.fitting(max(largest, largest**2), problem.precision)
        hints = {"token_centre": _middle(factors.token, grid), "unembed_centre": _middle(factors.unembed, grid)}
        token, unembed = (
            v - grid.exact(hints[h][None]) for v, h in ((factors.token, "token_centre"), (factors.unembed, "unembed_centre"))
        )
        vectors = {
            "score": (factors.query, token, score),
            "direct": (_extended(factors, factors.direct, 1.0), unembed, direct),
            "value": (_extended(factors, factors.value, 0.0), unembed, value),
        }
        parameters, tables, spreads = {"scale": grid.scale}, {}, {}
        for name, (left, right, rank) in vectors.items():
            if rank == EXACT:
                parameters[name], tables[name] = EXACT, left @ right.T
                spreads[name] = torch.zeros_like(tables[name].value)
                continue
            parameters[name], tables[name], spreads[name], of_table = _project(left, right, rank, grid)
            hints |= {f"{name}_{hint}": numbers for hint, numbers in of_table.items()}
        position_score = factors.query @ factors.position.T
        position_value = _extended(factors, factors.position_value, 0.0) @ unembed.T
        return ProjectedTables(
            Tables(
                tables["score"].value,
                position_score.value,
                tables["direct"].value,
                tables["value"].value,
                position_value.value,
                score_radius=2 * (tables["score"].radius + position_score.radius),
                gap_radius=4 * (3 * tables["direct"].radius + tables["value"].radius + position_value.radius),
                precision=problem.precision,
                score_spread=spreads["score"],
                direct_spread=spreads["direct"],
                value_spread=spreads["value"],
            ),
            parameters,
            hints,
        )


def _middle(vectors: Approximate, grid: Grid) -> np.ndarray:
    """The mean of some vectors "n d", rounded to the grid."""
    return grid.nearest(vectors.value.mean(0).cpu().numpy())


def _extended(factors: FactoredLogits, vectors: Approximate, last: float) -> Approximate:
    if not factors.biased:
        return vectors
    return Approximate(torch.nn.functional.pad(vectors.value, (0, 1), value=last), vectors.radius, vectors.precision)


def _project(
    left: Approximate, right: Approximate, rank: int, grid: Grid
) -> tuple[int, Approximate, torch.Tensor, dict[str, np.ndarray]]:
    """Tilt, middle, spread and hints of a table of products of "i d" and "o d"."""
    hints = {"centre": _middle(left, grid)}
    middle = grid.exact(hints["centre"][None])
    difference, main, tilt = left - middle, middle @ right.T, 0
    if rank:
        basis = Basis.of(_directions(difference.value, right.value, rank), grid.precision)
        hints["basis"], tilt = basis.hint, basis.tilt
        of_left, hints["left"] = basis.split(difference, grid)
        of_right, hints["right"] = basis.split(right, grid)
        main = of_left @ of_right.T + main
    else:
        for name, vectors in (("left", difference), ("right", right)):
            hints[name] = grid.above(safe_root(inner(vectors, vectors), 2.0**-grid.scale))
    width = grid.exact(hints["left"][:, None]) @ grid.exact(hints["right"][None])
    middle_of_table = Approximate(main.value.expand_as(width.value), main.radius + 2 * width.radius, grid.precision)
    return tilt, middle_of_table, width.value, hints


def _directions(left: torch.Tensor, right: torch.Tensor, rank: int) -> np.ndarray:
    """Orthonormal directions "d r" that hold most of the products: of the right vectors, seen by the left ones."""
    seen = torch.linalg.svd(left @ right.T, full_matrices=False)[2][:rank]  # r o
    return np.asarray(torch.linalg.qr(right.T @ seen.T)[0].cpu())
