"""Hints for rule projected-tables: which directions hold the tables, and what they leave out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from prover.approximate import Approximate
from prover.attention.factored_logits import Affine, FactoredLogits
from prover.attention.low_rank_bounds import main_directions
from prover.attention.pessimistic_tables import Tables
from prover.attention.sequence_problem import SequenceProblem
from prover.bases import Basis, Grid, inner, safe_root

EXACT = -1
"""The rank of a table that is taken as it is."""
LENGTHS, DIFFERENCES, NORMS = range(3)
"""How residuals are bounded."""


@dataclass(frozen=True)
class ProjectedTables:
    """Tables with their spreads, and parameters and hints with which the checker arrives at them."""

    tables: Tables
    parameters: dict[str, int]
    hints: dict[str, np.ndarray]

    @staticmethod
    def of(
        problem: SequenceProblem,
        ranks: dict[str, int],
        residual: int,
        diagonal: bool,
        directions: Mapping[str, Tensor] | None = None,
    ) -> "ProjectedTables":
        """Project score, direct and value on so many directions each (EXACT: not at all): those given, orthonormal "e r", or
        those that hold most.
        """
        factors = FactoredLogits.of(problem)
        circuits = (factors.queries.rows, factors.queries.matrix, factors.query, factors.values.matrix, factors.value)
        largest = max(f.largest for f in (factors.direct, factors.token, factors.unembed, *circuits))
        grid = Grid.fitting(max(largest, largest**2), problem.precision)
        hints = {
            "token_centre": grid.nearest(token_middle(factors, residual).cpu().numpy()),
            "unembed_centre": grid.nearest(unembed_middle(factors, residual).cpu().numpy()),
        }
        token_centre, unembed_centre = (grid.exact(hints[name][None]) for name in ("token_centre", "unembed_centre"))
        vectors = projected_vectors(factors, token_centre, unembed_centre)
        values, unembed = vectors["value"]
        parameters = {"scale": grid.scale, "residual": residual, "diagonal": int(diagonal)}
        tables, spreads = {}, {}
        for name, (left, right) in vectors.items():
            if ranks[name] == EXACT:
                parameters[name], tables[name] = EXACT, _vectors(left) @ right.T
                spreads[name] = torch.zeros_like(tables[name].value)
                continue
            given = (directions or {}).get(name)
            projection = _Projection.best(left, right, ranks[name], residual, grid, given)
            parameters[name], tables[name], spreads[name] = projection.tilt, projection.main, projection.width
            hints |= {f"{name}_{hint}": numbers for hint, numbers in projection.hints.items()}
            if name == "value" and diagonal:
                own = inner(_vectors(values), Approximate(unembed.value[: problem.d_vocab], unembed.radius, unembed.precision))
                tables[name] = _with_diagonal(tables[name], own)
                spreads[name].fill_diagonal_(0.0)
        position = factors.position.T
        by_norm = "score_norm" in hints
        position_score = factors.queries.then(position).vectors if by_norm else factors.query @ position
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
                margin=float(problem.margin),
            ),
            parameters,
            hints,
        )


def projected_vectors(
    factors: FactoredLogits, token_centre: Approximate, unembed_centre: Approximate
) -> dict[str, tuple[Affine | Approximate, Approximate]]:
    """The vectors "i e" and "o e" whose products are the entries of each table; centres "1 e"."""
    unembed = factors.unembed - unembed_centre
    values = Affine(factors.values.rows, _extended(factors, factors.values.matrix, 0.0), None)
    return {
        "score": (factors.queries, factors.token - token_centre),
        "direct": (_extended(factors, factors.direct, 1.0), unembed),
        "value": (values, unembed),
    }


def token_middle(factors: FactoredLogits, residual: int) -> Tensor:
    """What is taken off the embeddings, "d": their mean, or the middle of their extremes for row differences."""
    token = factors.token.value
    return _middle_of_extremes(token) if residual == DIFFERENCES else token.mean(0)


def unembed_middle(factors: FactoredLogits, residual: int) -> Tensor:
    """What is taken off the unembedding vectors, "e": a mean in which an output of number m has the weight m + 1, as the larger
    it is, the more inputs have it as their true output; or the middle of extremes.
    """
    unembed = factors.unembed.value
    if residual == DIFFERENCES:
        return _middle_of_extremes(unembed)
    weight = torch.arange(1, len(unembed) + 1, dtype=unembed.dtype, device=unembed.device)
    return weight @ unembed / weight.sum()


def _mean(vectors: Approximate, grid: Grid) -> np.ndarray:
    """The mean of some vectors "n d", rounded to the grid."""
    return grid.nearest(vectors.value.mean(0).cpu().numpy())


def _middle_of_extremes(vectors: Tensor) -> Tensor:
    return (vectors.amax(0) + vectors.amin(0)) / 2


def _extended(factors: FactoredLogits, vectors: Approximate, last: float) -> Approximate:
    if not factors.biased:
        return vectors
    return Approximate(torch.nn.functional.pad(vectors.value, (0, 1), value=last), vectors.radius, vectors.precision)


def _vectors(vectors: Affine | Approximate) -> Approximate:
    return vectors.vectors if isinstance(vectors, Affine) else vectors


def _with_diagonal(table: Approximate, diagonal: Approximate) -> Approximate:
    value = table.value.clone()
    value[: len(value), : len(value)].diagonal().copy_(diagonal.value[:, 0])
    return Approximate(value, max(table.radius, diagonal.radius), table.precision)


@dataclass(frozen=True)
class _Projection:
    """Tilt (0: no basis), middle, spread and hints of a table of products of "i e" and "o e"."""

    tilt: int
    main: Approximate
    width: Tensor
    hints: dict[str, np.ndarray]

    @staticmethod
    def best(
        left: Affine | Approximate, right: Approximate, rank: int, residual: int, grid: Grid, given: Tensor | None
    ) -> "_Projection":
        """With the directions given, or with those that leave the least spread."""
        columns = _directions(left, right, rank) if given is None else [given.cpu().numpy()]
        bases = [Basis.of(found, grid.precision) for found in columns] if rank else [None]
        projections = [_Projection.of(left, right, basis, residual, grid) for basis in bases]
        return min(projections, key=lambda projection: float(projection.width.mean()))

    @staticmethod
    def of(left: Affine | Approximate, right: Approximate, basis: Basis | None, residual: int, grid: Grid) -> "_Projection":
        """As the checker does it, hints chosen as small as it will accept them."""
        rows = left.rows if residual == NORMS and isinstance(left, Affine) else _vectors(left)
        hints = {"centre": _mean(rows, grid)}
        centre = grid.exact(hints["centre"][None])
        difference, middle = rows - centre, centre
        of_left = of_right = None
        if basis:
            hints["basis"] = basis.hint
        if residual == NORMS and isinstance(left, Affine):
            gram = left.matrix @ left.matrix.T
            if basis:
                along = left.matrix @ basis.matrix
                of_left, gram = difference @ along, gram - (along @ along.T) * basis.share
            entries = Approximate(gram.value.reshape(1, -1), gram.radius, grid.precision)
            root = safe_root(inner(entries, entries), 2.0**-grid.scale)
            hints["norm"] = grid.above(np.sqrt(root * (1 + 2.0 ** (6 - min(grid.precision, 26))) + 2.0**-grid.scale))
            hints["left"] = _lengths(difference, grid)
            middle = Affine(centre, left.matrix, left.shift).vectors
            of_right, hints["right"] = basis.split(right, grid) if basis else (None, _lengths(right, grid))
            reach = grid.exact(hints["left"][:, None]) * grid.exact(hints["norm"][None])
            width = reach @ grid.exact(hints["right"][None])
        elif residual == DIFFERENCES:
            if basis:
                of_left, of_right = difference @ basis.matrix, right @ basis.matrix
                difference = difference - of_left @ basis.matrix.T
            largest = Approximate(right.value.abs().amax(0)[:, None], right.radius, grid.precision)
            width = Approximate(difference.value.abs(), difference.radius, grid.precision) @ largest
        else:
            of_left, hints["left"] = basis.split(difference, grid) if basis else (None, _lengths(difference, grid))
            of_right, hints["right"] = basis.split(right, grid) if basis else (None, _lengths(right, grid))
            width = grid.exact(hints["left"][:, None]) @ grid.exact(hints["right"][None])
        main = middle @ right.T
        if of_left is not None and of_right is not None:
            main = of_left @ of_right.T + main
        shape = (len(rows.value), len(right.value))
        table = Approximate(main.value.expand(shape), main.radius + 2 * width.radius, grid.precision)
        return _Projection(basis.tilt if basis else 0, table, width.value.expand(shape).clone(), hints)


def _lengths(vectors: Approximate, grid: Grid) -> np.ndarray:
    return grid.above(safe_root(inner(vectors, vectors), 2.0**-grid.scale))


def _directions(left: Affine | Approximate, right: Approximate, rank: int) -> Iterable[np.ndarray]:
    """Orthonormal directions "e r" that hold much: of the right vectors, as the left ones see them; of the circuit's matrix."""
    vectors = _vectors(left).value
    seen = torch.linalg.svd((vectors - vectors.mean(0)) @ right.value.T, full_matrices=False)[2][:rank]  # r o
    yield np.asarray(torch.linalg.qr(right.value.T @ seen.T)[0].cpu())
    if isinstance(left, Affine):
        yield main_directions(left.matrix.value, rank)
