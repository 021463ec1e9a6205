"""Strategy `low-rank-chains`: chains of harmless prefixes without a table of size V x V (checker/attention/low_rank_chains).

The unembedding vectors lie in a tree of balls in the coordinates that matter most for the values; each label's rivals are
covered by balls as large as its lead allows. Queries whose scores are alike share a band, in which one direction carries the
scores. The shares of a chain are, for every profile and number of copies, those of a grid that certify the most inputs.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import ClassVar, Self

import numpy as np

from certificates import Step, integer_tensor
from prover.attention.chain_counts import fitting_tuples
from prover.attention.factored_logits import FactoredLogits
from prover.attention.low_rank_bounds import Leads, Scores, bands_of
from prover.attention.low_rank_claims import LowRankClaims
from prover.attention.sequence_problem import SequenceProblem
from prover.bases import UNIT_BITS, Grid
from prover.strategy import DoesNotFit, Evidence, Strategy, switch
from prover.surrogate import Surrogate

_SHARES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_LEVELS = 3
_ALMOST, _CLOSE = 1 - 2.0**-9, 1e-9


@dataclass(frozen=True)
class LowRankChains(Strategy):
    """See the module's docstring."""

    name: ClassVar[str] = "low-rank-chains"
    cost: ClassVar[str] = "V d^2 + V r balls + V bands"
    summary: ClassVar[str] = "chains of harmless prefixes without any table of size V^2: coordinates, balls, bands"
    rules: ClassVar[tuple[str, ...]] = ("low-rank-chains",)
    origin: ClassVar[str] = "Of this project."
    vacuous: ClassVar[str] = (
        "If circuits have more directions than claimed, so that balls and bands take more than the leads. Try `--set "
        "rank=20 --set bands=48`, then `pessimized`."
    )

    rank: int = switch(0, "coordinates of values, at most as many as there are; 0: twice the binary logarithm of V")
    bands: int = switch(24, "bands of queries")
    profiles: int = switch(12, "levels of what a query below the maximum may cost")
    distance: int = switch(
        150, "in hundredths: how far the rivals that matter are from their label, where the bound for the direct path is tight"
    )
    slack: int = switch(2, "per cent of a lead that larger balls may cost")

    @classmethod
    def sweep(cls, problem: SequenceProblem) -> tuple[Self, ...]:
        """From the fewest operations to the best bound."""
        return tuple(cls(rank=rank, bands=bands) for rank, bands in ((8, 12), (10, 24), (0, 24), (0, 48), (20, 48)))

    def largest(self, problem: SequenceProblem) -> Mapping[str, int]:
        """The coordinates that values have, that of the unembedding's bias among them; a band for each query."""
        width = problem.model.config.d_model + ("unembed.b_U" in problem.model.tensors)
        return {"rank": min(problem.d_vocab, width), "bands": problem.d_vocab}

    def _rank(self, problem: SequenceProblem) -> int:
        """The number of coordinates. Raises DoesNotFit if the task or the switches are out of this strategy's reach."""
        if problem.task.rank != 1:
            raise DoesNotFit(f"{self.name} is for the largest or smallest token only; use classes")
        if min(self.bands, self.profiles, self.distance) < 1 or min(self.rank, self.slack) < 0:
            raise DoesNotFit(f"{self.name} needs bands, profiles, distance >= 1 and rank, slack >= 0")
        return self.rank or 2 * (problem.d_vocab - 1).bit_length()

    def surrogate(self, problem: SequenceProblem) -> Surrogate:
        """Cells in which every smaller token is harmless."""
        parts = (_ALMOST, 1 - self.slack / 100)
        levels = _levels(self.profiles)
        return LowRankClaims.of(problem, self._rank(problem), self.bands, levels, parts, self.distance / 100)

    def prove(self, problem: SequenceProblem) -> Evidence:
        """Bounds for leads and scores, then chains band by band."""
        rank = self._rank(problem)
        factors = FactoredLogits.of(problem)
        largest = max(f.largest for f in (factors.value, factors.direct, factors.query, factors.token, factors.unembed))
        grid = Grid.fitting(max(largest, largest**2), problem.precision)
        leads = Leads.of(factors, grid, rank, self.distance / 100, self.slack / 100, float(problem.margin))
        scores = Scores.of(factors, grid)
        band = bands_of(scores.alpha, self.bands)
        bands = int(band.max()) + 1
        risks = [scores.of_band(np.flatnonzero(band == number), leads, problem.precision) for number in range(bands)]
        chains = _Chains(problem.n_ctx, band, leads.labels, tuple(risks), self.profiles)
        own, size, log_share = chains.search()
        cells = chains.count(own, size)
        unit = 2.0**UNIT_BITS
        hints = leads.hints | scores.hints
        hints |= {
            "log_gain": np.floor(leads.log_gain * unit).astype(np.int64),
            "log_loss": np.ceil(leads.log_loss * unit).astype(np.int64),
            "log_own": np.rint(chains.log_own * unit).astype(np.int64),
            "log_share": np.rint(log_share * unit).astype(np.int64),
            "numbers": chains.numbers,
            "band": band,
            "own": own,
            "size": size,
        }
        parameters = leads.parameters | {"scale": grid.scale, "key_tilt": scores.tilt}
        stored = {name: integer_tensor(hint) for name, hint in hints.items()}
        return Evidence((Step(self.name, (), parameters, stored),), int(cells.sum()), problem.total, cells)


def _levels(profiles: int) -> np.ndarray:
    """Logarithms of the shares of queries below the label, "p"."""
    return np.log(0.95 * ((np.arange(profiles) + 1) / profiles) ** 1.6)


@dataclass(frozen=True)
class _Chains:
    """The search for sizes. risks: for every band, the largest risk "t" and the base "m"."""

    n_ctx: int
    band: np.ndarray
    labels: np.ndarray
    risks: tuple[tuple[np.ndarray, np.ndarray], ...]
    profiles: int

    @property
    def vocab(self) -> int:
        return len(self.band)

    @property
    def log_own(self) -> np.ndarray:
        """Logarithms of the shares of queries below the label, "p"."""
        return _levels(self.profiles)

    @property
    def numbers(self) -> np.ndarray:
        """How many of the other tokens belong to each level, "c r": one to each of the upper ones, if there are enough."""
        rows = []
        for free in range(self.n_ctx - 1, -1, -1):
            single = min(_LEVELS, free) - 1 if free else 0
            rows.append((free - single, *(1 for _ in range(single)), *(0 for _ in range(_LEVELS - single - 1))))
        return np.array(rows)

    def search(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The hints own "m b p", size "m b p c r" and log_share "p c r" (as real numbers)."""
        bands, profiles = len(self.risks), self.profiles
        own = np.zeros((self.vocab, bands, profiles), np.int64)
        members = [np.flatnonzero(self.band == number) for number in range(bands)]
        for number, (risk, base) in enumerate(self.risks):
            sizes = np.searchsorted(risk, base[self.labels, None] + self.log_own - 1e-9)
            own[self.labels, number] = np.minimum(sizes, self.labels[:, None])
        places = np.zeros((*own.shape[:2], profiles + 1), np.int64)
        for number in range(bands):
            places[:, number, 1:] = np.searchsorted(members[number], own[:, number])
        queries = np.concatenate([np.diff(places, axis=2), np.zeros_like(places[..., :1])], 2)  # m b p
        queries[self.labels, self.band[self.labels], profiles] = 1
        size = np.full((*queries.shape, self.n_ctx, _LEVELS), -1, np.int64)
        log_share = np.full((profiles + 1, self.n_ctx, _LEVELS), -20.0)
        for profile, copies in product(range(profiles + 1), range(self.n_ctx)):
            if profile == profiles:
                budget = copies + 1.0
            elif copies:
                budget = copies - math.exp(self.log_own[profile])
            else:
                continue
            label, number = np.nonzero(queries[:, :, profile])
            if len(label):
                found, log_share[profile, copies] = self._best(
                    label, number, queries[label, number, profile], budget, self.numbers[copies]
                )
                size[label, number, profile, copies] = found
        return own, size, log_share

    def _best(
        self, label: np.ndarray, number: np.ndarray, queries: np.ndarray, budget: float, numbers: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Sizes "x r" and logarithms of shares "r" that certify the most inputs."""
        best, found, chosen = -1.0, np.zeros((len(label), _LEVELS), np.int64), np.full(_LEVELS, -20.0)
        depth = int((numbers > 0).sum())
        alike = [numbers[level] / numbers[: level + 1].sum() for level in range(1, depth)][::-1]
        for shares in product(*((*_SHARES, share) for share in alike)):
            if not depth:
                break
            left, parts = budget * _ALMOST, []
            for share, count in zip(shares, numbers[1:depth][::-1], strict=True):
                parts.append(left * share / count)
                left -= left * share
            parts.append(left / numbers[0])
            log_share = np.log(parts[::-1])
            if np.any(np.diff(log_share) < -_CLOSE):
                continue
            log_share = np.maximum.accumulate(log_share)
            sizes = np.empty((len(label), depth), np.int64)
            for band in np.unique(number).tolist():
                of_band = number == band
                risk, base = self.risks[band]
                sizes[of_band] = np.searchsorted(risk, base[label[of_band], None] + log_share - 1e-9)
            sizes = np.minimum(sizes, label[:, None])
            widths = np.diff(sizes, axis=1, prepend=0) / self.vocab
            total = float((fitting_tuples(list(widths.T), numbers[:depth].tolist()) * queries).sum())
            if total > best:
                best, chosen = total, np.concatenate([log_share, np.full(_LEVELS - depth, -20.0)])
                found = np.concatenate([sizes, np.repeat(sizes[:, -1:], _LEVELS - depth, 1)], 1)
        empty = (found[:, :depth] == 0).any(axis=1)
        return np.where(empty[:, None], -1, found), chosen

    def count(self, own: np.ndarray, size: np.ndarray) -> np.ndarray:
        """Inputs in the claimed classes, "q m"."""
        cells = np.zeros((self.vocab, self.vocab), object)
        known: dict[tuple[int, ...], int] = {}
        for label in self.labels.tolist():
            for query in range(label + 1):
                band = self.band[query]
                profile = self.profiles if query == label else int((query >= own[label, band]).sum())
                if query < label and profile == self.profiles:
                    continue
                for copies in range(self.n_ctx):
                    levels = size[label, band, profile, copies]
                    if levels[0] == -1:
                        continue
                    key = (copies, *levels.tolist())
                    if key not in known:
                        widths = [int(w) for w in np.diff(levels, prepend=0)]
                        fitting = fitting_tuples(widths, self.numbers[copies].tolist())
                        known[key] = fitting * math.comb(self.n_ctx - 1, copies)
                    cells[query, label] += known[key]
        return cells
