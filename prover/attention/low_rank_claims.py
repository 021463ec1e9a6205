"""The surrogate of strategy `low-rank-chains`: cells in which every smaller token is harmless, by the bounds of its rule.

Notation of checker/attention/low_rank_chains, formulas of low_rank_bounds without rounding. The directions, the bands of
queries and where centres lie relative to means are those of the problem's weights; all else follows the weights. For a query q
of band b, a label m and c further copies of it, so that C = c + [q = m], let x = risk_b(q) - base_b(m) and
y = risk_b(m - 1) - base_b(m). The n other free tokens, each of them of any size below m, are harmless if
exp(x) [q < m] + n exp(y) < C. Margins are differences of the logarithms of both sides: no weights grow without limit for them.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from prover.attention.ball_trees import small_ball
from prover.attention.factored_logits import FactoredLogits
from prover.attention.low_rank_bounds import bands_of, key_direction, main_directions
from prover.attention.sequence_problem import SequenceProblem
from prover.surrogate import Claims, soft_lengths, soft_maximum, soft_minimum
from prover.weights import Weights

_LEAST_GAIN, _SMALL_GAIN = 2.0**-9, 2.0**-4
"""Relative to the largest gain: below the first, labels have no cover; below the second, the logarithm becomes a line."""
_CLOSE = 1e-6


@dataclass(frozen=True)
class _Values:
    """What leads and losses are made of, about the centres. reach, nu, pi: radii; kappa nu / distance, mu nu distance / 2."""

    unembed: Tensor
    positions: Tensor
    value: Tensor
    reach: Tensor
    nu: Tensor
    pi: Tensor
    kappa: Tensor
    mu: Tensor

    @staticmethod
    def of(factors: FactoredLogits, centres: tuple[Tensor, ...], distance: float, temperature: float = 0.0) -> "_Values":
        """With centres of unembedding, direct path and positions, relative to their means."""
        vectors = (factors.unembed.value, factors.direct.value, factors.position_value.value)
        means = [of_kind.mean(0) + centre for of_kind, centre in zip(vectors, centres, strict=True)]
        unembed, direct, positions = (of_kind - mean for of_kind, mean in zip(vectors, means, strict=True))
        value = factors.value.value + means[1] + means[2]
        if factors.biased:
            value = torch.nn.functional.pad(value, (0, 1), value=1.0)
        reach, nu, pi = (_largest(of_kind.norm(dim=1), temperature) for of_kind in (unembed, direct, positions))
        return _Values(unembed, positions, value, reach, nu, pi, kappa=nu / distance, mu=nu * distance / 2)

    @property
    def lead(self) -> Tensor:
        """The vectors a_m - kappa u_m, "m d"."""
        return self.value - self.kappa * self.unembed[: len(self.value)]


def _largest(lengths: Tensor, temperature: float) -> Tensor:
    """Softly so, the temperature being relative."""
    return soft_maximum(lengths, 0, temperature * float(lengths.detach().amax()))


def _softness(temperature: float) -> float:
    """Of rests and spreads, which are to vanish: less annealed than the rest.

    Weights of size 0.1 that move by 1e-3 a step change scores of size 100 by about one: to Adam anything sharper is noise, and
    scores hardly grow. Measured for V = 256: 98.81% certified where the power is 1/2, 99.73% where it is 1/4.
    """
    return temperature**0.25


@dataclass(frozen=True)
class LowRankClaims:
    """A surrogate. levels "p": logarithms of the shares of queries below the label. parts: how much of what the query leaves
    the others may use, and how much of a gain covers leave. value_basis "d r", key_direction "d 1", band "q".
    """

    problem: SequenceProblem
    levels: Tensor
    parts: tuple[float, float]
    distance: float
    centres: tuple[Tensor, ...]
    value_basis: Tensor
    key_direction: Tensor
    band: Tensor

    @staticmethod
    def of(
        problem: SequenceProblem, rank: int, bands: int, levels: np.ndarray, parts: tuple[float, float], distance: float
    ) -> "LowRankClaims":
        """With centres, directions and bands as the strategy chooses them at the problem's weights."""
        factors, device = FactoredLogits.of(problem), problem.device
        numbers = [of_kind.value.cpu().numpy() for of_kind in (factors.unembed, factors.direct, factors.position_value)]
        centres = tuple(torch.as_tensor(small_ball(n, 1000) - n.mean(0), device=device) for n in numbers)
        lead = _Values.of(factors, centres, distance).lead
        direction = key_direction(factors.query.value)
        return LowRankClaims(
            problem=problem,
            levels=torch.as_tensor(levels, device=device),
            parts=parts,
            distance=distance,
            centres=centres,
            value_basis=torch.as_tensor(main_directions(lead, min(rank, *lead.shape)), device=device),
            key_direction=torch.as_tensor(direction, device=device),
            band=torch.as_tensor(bands_of((factors.query.value.cpu().numpy() @ direction)[:, 0], bands), device=device),
        )

    def __call__(self, weights: Weights, temperature: float) -> Claims:
        """One claim for every cell (q, m, c) with inputs."""
        factors = FactoredLogits.of(self.problem, self.problem.in_order(weights))
        log_gain, gain_margin, log_loss = self._leads(factors, temperature)
        risk, base = self._scores(factors, log_gain, log_loss, temperature)
        vocab, n_ctx = self.problem.d_vocab, self.problem.n_ctx
        label, query = torch.tril_indices(vocab, vocab, device=risk.device)
        band, itself = self.band[query], query == label
        of_label = base[band, label]
        own = torch.where(itself, -torch.inf, self._next_level(risk[band, query] - of_label))
        other = risk[band, (label - 1).clamp_min(0)] - of_label - math.log(self.parts[0])
        margins, shares = [], []
        for copies in range(n_ctx):
            free = n_ctx - 1 - copies
            cell = (itself | (copies > 0)) & ((label > 0) | (free == 0))  # others are copies of the label, or below it
            cost = torch.logaddexp(own, other + math.log(free)) if free else own
            known = gain_margin[label]
            margin = torch.where(cost > -torch.inf, (copies + itself.to(cost.dtype)).log() - cost, known)
            margins.append(torch.stack([margin, known], 1)[cell])
            ways = math.comb(n_ctx - 1, copies) / float(vocab) ** (1 + copies)
            shares.append(ways * (label.to(cost.dtype)[cell] / vocab) ** free)
        return Claims(torch.cat(margins), torch.cat(shares))

    def _next_level(self, share: Tensor) -> Tensor:
        """Rounded up to one of the levels, or to more than all copies together; with the gradient of what it was."""
        place = torch.searchsorted(self.levels, share.detach() + _CLOSE)
        beyond = self.levels.new_tensor([math.log(self.problem.n_ctx)])
        level = torch.cat([self.levels, beyond])[place]
        return share + (torch.maximum(level, share) - share).detach()

    def _leads(self, factors: FactoredLogits, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
        """The logarithm of the gain "m", a margin "m" that is positive if it is known, and the logarithm of the loss "t"."""
        values = _Values.of(factors, self.centres, self.distance, temperature)
        of_tokens, square = values.unembed[: len(values.value)], values.unembed.square().sum(1)
        loss = 2 * values.reach * (values.value.norm(dim=1) + values.nu + values.pi)
        (lead, lead_rest), (points, rest) = (self._split(v, temperature) for v in (values.lead, values.unembed))
        bound = lead @ points.T + lead_rest[:, None] * rest + values.kappa / 2 * square
        itself = torch.eye(*bound.shape, dtype=torch.bool, device=bound.device)
        rival = soft_maximum(torch.where(itself, -torch.inf, bound), 1, temperature)
        at_positions = values.positions @ values.unembed[:, : values.positions.shape[1]].T
        behind = (at_positions.amax(1, keepdim=True) - at_positions[:, : len(of_tokens)]).amax(0)
        own = (values.value * of_tokens).sum(1) - values.kappa / 2 * square[: len(of_tokens)] - values.mu - behind
        gain = own - rival
        largest = gain.detach().amax().clamp_min(1e-3)
        least, small = _LEAST_GAIN * largest, _SMALL_GAIN * largest
        line = least.log() + (gain - least) / (small - least) * math.log(_SMALL_GAIN / _LEAST_GAIN)  # a chord: not above
        log_gain = torch.where(gain > small, gain.clamp_min(small).log(), line)
        return log_gain + math.log(self.parts[1]), log_gain - least.log(), loss.log()

    def _split(self, vectors: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        """Coordinates "n r" and rests "n"."""
        inside = vectors @ self.value_basis
        return inside, soft_lengths(vectors - inside @ self.value_basis.T, _softness(temperature))

    def _scores(self, factors: FactoredLogits, log_gain: Tensor, log_loss: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        """The largest risk of tokens up to t, "b t", and the base of a label, "b m"."""
        query, direction = factors.query.value, self.key_direction
        token = factors.token.value - factors.token.value.mean(0)
        alpha, beta = (query @ direction)[:, 0], (token @ direction)[:, 0]
        query_rest, token_rest = (
            soft_lengths(v - (v @ direction) @ direction.T, _softness(temperature)) for v in (query, token)
        )
        position = query @ factors.position.value.T
        low, high = -self._of_bands(-alpha), self._of_bands(alpha)
        rest = self._of_bands(query_rest) * token_rest
        spread = self._of_bands(
            soft_maximum(position, 1, _softness(temperature)) - soft_minimum(position, 1, _softness(temperature))
        )
        risk = beta * low + rest + log_loss
        risk = temperature * torch.logcumsumexp(risk / temperature, 1) if temperature else risk.cummax(1).values
        ahead = beta.cummax(0).values - beta
        return risk, log_gain + beta * low - rest - ahead * (high - low) - spread

    def _of_bands(self, values: Tensor) -> Tensor:
        """The largest of each band, "b 1"."""
        least = values.new_full((int(self.band.max()) + 1,), -torch.inf)
        return least.scatter_reduce(0, self.band, values, "amax")[:, None]
