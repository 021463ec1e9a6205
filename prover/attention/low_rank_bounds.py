"""Hints for the bounds of checker/attention/low_rank_chains: leads of labels, losses of tokens, coordinates of scores.

Every hint is rounded to the safe side of what the checker will find, so that it is accepted.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from prover.approximate import Approximate
from prover.attention.ball_trees import BallTree, small_ball
from prover.attention.factored_logits import FactoredLogits
from prover.bases import Basis, Grid, inner, safe_root
from prover.strategy import DoesNotFit


def main_directions(vectors: Tensor, rank: int) -> np.ndarray:
    """The `rank` directions "d r" that hold most of some vectors "n d"."""
    return np.asarray(torch.linalg.svd(vectors)[2][:rank].T)


def key_direction(queries: Tensor) -> np.ndarray:
    """The main direction "d 1" of queries "q d", such that most of them point along it."""
    direction = main_directions(queries, 1)
    return direction * (-1.0 if float((queries @ torch.as_tensor(direction)).mean()) < 0 else 1.0)


def bands_of(alpha: np.ndarray, bands: int) -> np.ndarray:
    """The band of each query "q": neighbours by their coordinate alpha "q", as many in each."""
    band = np.empty(len(alpha), np.int64)
    for number, members in enumerate(np.array_split(np.argsort(alpha, kind="stable"), min(bands, len(alpha)))):
        band[members] = number
    return band


@dataclass(frozen=True)
class Leads:
    """Hints about values. log_gain and log_loss "t" as real numbers; gains are known for the `labels` with a cover."""

    hints: dict[str, np.ndarray]
    parameters: dict[str, int]
    labels: np.ndarray
    log_gain: np.ndarray
    log_loss: np.ndarray

    @staticmethod
    def of(factors: FactoredLogits, grid: Grid, rank: int, distance: float, slack: float, margin: float) -> "Leads":
        """`distance`: of rivals that matter from the label, where the quadratic bound of the direct path is tight.

        `slack`: the part of the largest lead that may be lost by taking larger balls. margin: what leads must exceed.
        """
        precision, vocab, width = grid.precision, len(factors.value.value), factors.value.value.shape[1]
        unembed_centre = grid.nearest(small_ball(factors.unembed.value.numpy(), 1000))
        direct_centre = grid.nearest(small_ball(factors.direct.value.numpy(), 1000))
        position_centre = grid.nearest(small_ball(factors.position_value.value.numpy(), 1000))
        unembed = factors.unembed - grid.exact(unembed_centre[None])
        square = inner(unembed, unembed)
        squares = grid.above(square.upper.numpy()[:, 0])
        radius = int(grid.above(np.sqrt(np.ldexp(float(squares.max()), -grid.scale) * (1 + 2.0 ** (5 - precision)))))
        direct = factors.direct - grid.exact(direct_centre[None])
        positions = factors.position_value - grid.exact(position_centre[None])
        nu, pi = (int(grid.above(safe_root(inner(v, v), 2.0**-grid.scale)).max()) for v in (direct, positions))
        kappa = max(int(nu / distance), 1)
        mu = -(-nu * nu // (2 * kappa))
        if mu >= 1 << 52:
            raise DoesNotFit("low-rank-chains: the direct path is too large")

        def number(value: int) -> Approximate:
            return grid.exact(np.full((1, 1), value))

        value = factors.value + (grid.exact(direct_centre[None]) + grid.exact(position_centre[None]))
        if factors.biased:
            both = torch.cat([value.value, torch.ones(vocab, 1, dtype=torch.float64)], 1)
            value = Approximate(both, value.radius + 2.0**-precision, precision)
        length = grid.above(safe_root(inner(value, value), 2.0**-grid.scale))
        loss = (grid.exact(length[:, None]) + number(nu) + number(pi)) * (number(radius) + number(radius))
        upper = loss.upper.numpy()[:, 0] + margin
        log_loss = np.log(np.maximum(upper, upper.max() * 2.0**-10)) + 2.0 ** (14 - precision)

        of_tokens = Approximate(unembed.value[:vocab], unembed.radius, precision)
        lead = value - of_tokens * number(kappa)
        basis = Basis.of(main_directions(lead.value, min(rank, *lead.value.shape)), precision)
        points, unembed_rest = basis.split(unembed, grid)
        inside, lead_rest = basis.split(lead, grid)
        lead_length = grid.above(safe_root(inner(inside, inside), 2.0**-grid.scale))

        tree = BallTree.of(points.value.numpy())
        reach = tree.radius + 4 * math.sqrt(points.value.shape[1]) * (points.radius + 2.0**-grid.scale)
        reach = np.sqrt(reach**2 + 2.0 ** (6 - min(precision, 26)) * float(reach.max()) ** 2)
        radii, centre = grid.above(reach), grid.nearest(tree.centre)
        starts, ends = tree.runs.T
        tops = np.array(
            [[hint[tree.order[b:e]].max() for b, e in zip(starts, ends, strict=True)] for hint in (unembed_rest, squares)]
        )
        half = np.ldexp(float(kappa), -grid.scale - 1)
        rows = np.concatenate([inside.value.numpy(), *(_column(grid, hint) for hint in (lead_length, lead_rest))], 1)
        rows = np.concatenate([rows, np.full((vocab, 1), half)], 1)
        numbers = np.concatenate(
            [np.ldexp(hint.astype(np.float64), -grid.scale) for hint in (centre, radii[:, None], tops.T)], 1
        )
        bound = rows @ numbers.T
        exact_rows = Approximate(torch.as_tensor(rows), inside.radius + np.abs(rows).max() * 2.0**-precision, precision)
        error = (exact_rows @ Approximate.of(torch.as_tensor(numbers), precision).T).radius

        at_positions = positions @ Approximate(unembed.value[:, :width], unembed.radius, precision).T
        behind = (at_positions.value.amax(1, keepdim=True) - at_positions.value[:, :vocab]).amax(0)
        first = inner(value, of_tokens) - Approximate(square.value[:vocab] * half, square.radius * half * 2, precision)
        own = (first.value[:, 0] - behind).numpy() - np.ldexp(float(mu), -grid.scale) - margin
        error = 8 * (error + first.radius + at_positions.radius + np.abs(own).max() * 2.0 ** (2 - precision))
        place = np.argsort(tree.order)
        singles = bound[:, tree.children[:, 0] < 0]
        holds = (starts <= place[:vocab, None]) & (place[:vocab, None] < ends)
        singles = np.where(holds[:, tree.children[:, 0] < 0], -np.inf, singles)
        least = own - singles.max(1) - error  # the gain with all rivals apart
        smallest = max(8 * error, max(least.max(), 0.0) * 2.0**-10)
        known = least > 2 * smallest
        limit = np.where(known, singles.max(1) + slack * np.maximum(least, 0), np.inf)
        cover = tree.covers(bound, limit)
        used, ball = np.unique(cover[:, 1], return_inverse=True)
        labels, first_of = np.unique(cover[:, 0], return_index=True)
        gain = np.full(vocab, smallest)
        if len(labels):
            gain[labels] = (own - error)[labels] - np.maximum.reduceat(bound[cover[:, 0], cover[:, 1]], first_of)
        keep = used if len(used) else np.array([0])
        hints = {
            "unembed_centre": unembed_centre,
            "direct_centre": direct_centre,
            "position_centre": position_centre,
            "value_basis": basis.hint,
            "value_length": length,
            "lead_length": lead_length,
            "lead_rest": lead_rest,
            "unembed_rest": unembed_rest,
            "unembed_square": squares,
            "order": tree.order,
            "runs": tree.runs[keep],
            "centre": centre[keep],
            "radius": radii[keep],
            "cover": np.stack([cover[:, 0], ball.reshape(-1)], 1),
        }
        parameters = {
            "value_tilt": basis.tilt,
            "direct_radius": nu,
            "position_radius": pi,
            "unembed_radius": radius,
            "pull": kappa,
            "allowance": mu,
        }
        log_gain = np.log(np.maximum(gain, smallest)) - 2.0 ** (14 - precision)
        return Leads(hints, parameters, labels, log_gain, log_loss)


def _column(grid: Grid, hint: np.ndarray) -> np.ndarray:
    return np.ldexp(hint[:, None].astype(np.float64), -grid.scale)


@dataclass(frozen=True)
class Scores:
    """Hints about scores, and what the checker will make of them: alpha, beta, rests, ahead, spread (all "q" or "t")."""

    hints: dict[str, np.ndarray]
    tilt: int
    alpha: np.ndarray
    beta: np.ndarray
    query_rest: np.ndarray
    token_rest: np.ndarray
    spread: np.ndarray
    radii: tuple[float, float, float]

    @staticmethod
    def of(factors: FactoredLogits, grid: Grid) -> "Scores":
        """Along the main direction of the queries."""
        token_centre = grid.nearest(factors.token.value.mean(0).numpy())
        token = factors.token - grid.exact(token_centre[None])
        basis = Basis.of(key_direction(factors.query.value), grid.precision)
        alpha, query_rest = basis.split(factors.query, grid)
        beta, token_rest = basis.split(token, grid)
        position = factors.query @ factors.position.T
        return Scores(
            hints={
                "token_centre": token_centre,
                "key_basis": basis.hint,
                "query_rest": query_rest,
                "token_rest": token_rest,
            },
            tilt=basis.tilt,
            alpha=alpha.value.numpy()[:, 0],
            beta=beta.value.numpy()[:, 0],
            query_rest=_column(grid, query_rest)[:, 0],
            token_rest=_column(grid, token_rest)[:, 0],
            spread=(position.value.amax(1) - position.value.amin(1)).numpy(),
            radii=(2 * alpha.radius, 2 * beta.radius, 4 * position.radius),
        )

    def of_band(self, members: np.ndarray, leads: Leads, precision: int) -> tuple[np.ndarray, np.ndarray]:
        """More than the largest risk of tokens up to t, and less than the base of label m."""
        low, high = self.alpha[members].min(), self.alpha[members].max()
        rest = self.query_rest[members].max() * self.token_rest
        risk = np.maximum.accumulate(self.beta * low + rest + leads.log_loss)
        ahead = np.maximum.accumulate(self.beta) - self.beta
        spread = self.spread[members].max()
        base = leads.log_gain + self.beta * low - rest - ahead * (high - low) - spread
        alpha_radius, beta_radius, spread_radius = self.radii
        sizes = [self.beta * low, rest, leads.log_loss, leads.log_gain, ahead * (high - low), spread]
        largest = sum(float(np.abs(size).max()) for size in sizes)
        scale = max(abs(low), abs(high)) + alpha_radius
        error = 6 * (scale * beta_radius + (np.abs(self.beta).max() + beta_radius) * alpha_radius) + spread_radius
        error += (largest + scale * np.abs(self.beta).max()) * 2.0 ** (6 - min(precision, 26))
        return risk + error, base - error
