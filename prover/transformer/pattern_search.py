"""Hints for the rule `potentials` (checker/transformer/potentials): slopes of units, and multipliers.

For one read, its inputs being divided for each query. Slopes are found from exact bounds of what units read in each region: a
unit that is always on has slope 1, one that is always off 0, and others the slope of the chord. Few patterns, each with one
output, are kept: again and again the one that proves most regions that are not proved yet.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from certificates.tensor_file import IntArray
from prover.problem import BoolArray
from prover.transformer.enforcing import best_enforced
from prover.transformer.token_sums import DividedInputs, FloatArray, linear_bounds
from prover.transformer.token_terms import Functionals, Summands

_STEPS = 4
"""Slopes are multiples of 1 / 4."""
_MOST, _LEAST, _AT_ONCE = 96, 24, 256
"""Patterns that are tried (times corners, but not fewer than so many), and columns at once."""
_ENFORCED, _BEYOND = 2, 1e-3
"""How often ratios are enforced for regions that are not proved yet; and what room counts beyond what is needed."""
_PIECES = (1, 2, 3, 4, 6, 8)
"""So many multipliers are tried."""


@dataclass(frozen=True)
class Multipliers:
    """Of what is proved, for each query "f". inner: for each query "a x", if anything is; outer: for each query and pattern
    likewise "b x".
    """

    inner: Sequence[FloatArray]
    outer: Sequence[FloatArray]
    proved: Sequence[BoolArray]

    @property
    def count(self) -> int:
        """How many regions are proved."""
        return sum(int(np.count_nonzero(proved)) for proved in self.proved)


@dataclass(frozen=True)
class Candidates:
    """Patterns worth trying: outputs "k" and slopes "k m". For each query: enforced "k r h", what enforces ratios for rivals;
    least "f k", the least leads of regions, -inf where the pattern has another output. size "k": the greatest of all terms.
    relative: see TransformerProblem.room.
    """

    outputs: IntArray
    slopes: FloatArray
    enforced: Sequence[Tensor]
    least: Sequence[FloatArray]
    size: FloatArray
    relative: float

    @property
    def room(self) -> float:
        """What the checker surely proves, if it is about those that prove anything."""
        useful = np.any(np.concatenate(self.least) > self.relative * self.size, axis=0)
        return float(self.relative * self.size[useful].max(initial=0))

    def joined(self, others: "Candidates") -> "Candidates":
        """These, then the others."""
        return Candidates(
            np.concatenate([self.outputs, others.outputs]),
            np.concatenate([self.slopes, others.slopes]),
            [torch.cat(both) for both in zip(self.enforced, others.enforced, strict=True)],
            [np.concatenate(both, axis=1) for both in zip(self.least, others.least, strict=True)],
            np.concatenate([self.size, others.size]),
            self.relative,
        )


@dataclass(frozen=True)
class PatternSearch:
    """About inputs at one read, divided for each of its queries, in increasing order. asked "f": about which regions."""

    summands: Summands
    divided: Sequence[DividedInputs]
    asked: Sequence[BoolArray]

    @cached_property
    def of_units(self) -> list[tuple[Tensor, Tensor]]:
        """For each query what heads add to what units read (see TokenTerms), and what enforces ratios there "m h"."""
        found = list[tuple[Tensor, Tensor]]()
        for inputs in self.divided:
            parts = inputs.of_tokens.parts(self.summands.units)
            if inputs.corners > 1 and parts.shape[3]:
                found.append((parts, best_enforced(inputs, parts, lambda low, high: (low - high).sum(0))))
            else:
                found.append((parts, inputs.of_tokens.enforced(parts)))
        return found

    @cached_property
    def read_by_units(self) -> list[tuple[FloatArray, FloatArray]]:
        """For each query l and u "f m", as they are."""
        found = list[tuple[FloatArray, FloatArray]]()
        for inputs, of_units in zip(self.divided, self.of_units, strict=True):
            low, high = (end.reshape(len(end), -1, inputs.corners) for end in inputs.hulls(inputs.terms(*of_units)))
            found.append((low.min(2), high.max(2)))
        return found

    @cached_property
    def candidates(self) -> Candidates:
        """The most frequent ones; with several heads, those that leave most room to regions not proved yet are added, with what
        enforces ratios for these.
        """
        rows = list[FloatArray]()
        for inputs, (low, high) in zip(self.divided, self.read_by_units, strict=True):
            chord = np.clip(high, 0, None) / np.maximum(np.clip(high, 0, None) - np.clip(low, None, 0), 1e-300)
            for steps in (1, _STEPS):
                rows.append(np.column_stack([inputs.outputs, np.rint(chord * steps) / steps]))
        some, times = np.unique(np.concatenate(rows), axis=0, return_counts=True)
        most = max(_MOST // self.divided[0].corners, _LEAST)
        kept = some[np.sort(np.argsort(-times, kind="stable")[:most])]
        found = self._with_least(kept[:, 0].astype(np.int64), kept[:, 1:], None)
        for _ in range(_ENFORCED if self.divided[0].corners > 1 else 0):
            best = [
                np.where(~asked | (least.max(1) > found.room), -1, least.argmax(1))
                for asked, least in zip(self.asked, found.least, strict=True)
            ]
            tried = np.unique(np.concatenate(best))
            tried = tried[tried >= 0]
            if not len(tried):
                break
            counted = [own[:, None] == tried for own in best]
            found = found.joined(self._with_least(found.outputs[tried], found.slopes[tried], counted))
        return found

    @staticmethod
    def lost(low: FloatArray, high: FloatArray, slopes: FloatArray, influence: FloatArray) -> FloatArray:
        """What is lost by slopes "m" or "f m" on rivals, with influences "m r": "f r"."""
        beyond = np.maximum(*(np.clip(end, 0, None) - end * slopes for end in (low, high)))
        return beyond @ np.minimum(influence, 0)

    def leads(self, outputs: IntArray, slopes: FloatArray) -> tuple[Functionals, FloatArray]:
        """See Summands."""
        functionals, influence = self.summands.leads(outputs, torch.as_tensor(slopes, device=self.summands.problem.device))
        return functionals, influence.cpu().numpy()

    def _with_least(self, outputs: IntArray, slopes: FloatArray, counted: Sequence[BoolArray] | None) -> Candidates:
        """Ratios are enforced on average, or, for each query, so that regions that are counted "f k" have most room."""
        functionals, influence = self.leads(outputs, slopes)
        every, enforced, rivals = list[FloatArray](), list[Tensor](), functionals.constants.shape[1]
        size = np.zeros(len(outputs))
        for number, (inputs, (low, high)) in enumerate(zip(self.divided, self.read_by_units, strict=True)):
            parts = inputs.of_tokens.parts(functionals)
            lost = np.stack([self.lost(low, high, slopes[k], influence[:, k]) for k in range(len(outputs))], axis=1)  # "f k r"
            mu = inputs.of_tokens.enforced(parts)
            if counted is not None and counted[number].any():
                mu = self._enforced(inputs, parts, lost, counted[number])
            terms = inputs.terms(parts, mu)
            size = np.maximum(size, np.abs(np.stack(terms)).max((0, 1)).reshape(len(outputs), -1).max(1))
            some = [
                inputs.hulls([added[:, start : start + _AT_ONCE] for added in terms])[0]
                for start in range(0, terms[0].shape[1], _AT_ONCE)
            ]
            least = np.concatenate(some, axis=1).reshape(*lost.shape, inputs.corners).min(3) + lost
            every.append(np.where(inputs.outputs[:, None] == outputs, least.min(2), -np.inf))
            enforced.append(mu.reshape(len(outputs), rivals, -1))
        return Candidates(outputs, slopes, enforced, every, size, self.summands.problem.room)

    @staticmethod
    def _enforced(inputs: DividedInputs, parts: Tensor, lost: FloatArray, counted: BoolArray) -> Tensor:
        """For the candidates "k" that some region counts, the others as they are on average."""
        own, rivals = np.flatnonzero(counted.any(0)), lost.shape[2]
        rows = np.flatnonzero(counted.any(1))
        columns = torch.as_tensor((own[:, None] * rivals + np.arange(rivals)).reshape(-1), device=parts.device)
        weights, added = np.repeat(counted[rows][:, own], rivals, axis=1), lost[rows][:, own].reshape(len(rows), -1)

        def room(low: FloatArray, high: FloatArray) -> FloatArray:
            least = low[rows] + added
            return np.asarray((weights * (np.minimum(least, 0) + _BEYOND * least)).sum(0))

        mu = inputs.of_tokens.enforced(parts)
        mu[columns] = best_enforced(inputs, parts[..., columns], room)
        return mu

    @cached_property
    def kept(self) -> tuple[IntArray, list[IntArray]]:
        """The candidates that are kept, and for each query those of regions "f", or -1: among the kept ones."""
        every = np.concatenate(self.candidates.least)
        proved, kept = (every > self.candidates.room) & np.concatenate(self.asked)[:, None], list[int]()
        left = proved.copy()
        while left.any():
            kept.append(int(left.sum(0).argmax()))
            left[left[:, kept[-1]]] = False
        own = np.where(proved[:, kept].any(1), proved[:, kept].argmax(1), -1) if kept else np.full(len(every), -1)
        ends = np.cumsum([len(part) for part in self.candidates.least])[:-1]
        return np.array(kept, np.int64), np.split(own, ends)

    @property
    def chosen(self) -> tuple[IntArray, FloatArray, list[IntArray]]:
        """Outputs and slopes of the patterns that are kept, and for each query those of regions "f", or -1."""
        kept, patterns = self.kept
        return self.candidates.outputs[kept], self.candidates.slopes[kept], patterns

    def enforced(self, number: int) -> FloatArray:
        """For a query by its number, what enforces ratios "x h": for units, then for the rivals of patterns that are kept."""
        outputs, slopes, _ = self.chosen
        found = torch.cat([self.of_units[number][1], self.candidates.enforced[number][self.kept[0]].flatten(0, 1)])
        columns = torch.cat([self.summands.units.columns, self.leads(outputs, slopes)[0].flat.columns], 1)
        moved = torch.as_tensor(self.divided[number].sums.centre - self._centre, device=found.device)[1:, None]
        last = self.summands.problem.model.config.n_layers - 1
        written = moved @ self.summands.weights[f"blocks.{last}.attn.W_O"][1:]
        return np.asarray((found + (written[:, 0] @ columns).T).cpu().numpy())

    @cached_property
    def _centre(self) -> FloatArray:
        """The middle of the values that the checker takes: of all queries."""
        least, most = (np.stack(ends) for ends in zip(*(inputs.sums.range for inputs in self.divided), strict=True))
        return np.asarray((least.min(0) + most.max(0)) / 2)

    @property
    def regions(self) -> int:
        """How many there are."""
        return sum(int(np.count_nonzero(asked)) for asked in self.asked)

    @property
    def count(self) -> int:
        """How many regions are proved with exact sums."""
        return sum(int(np.count_nonzero(pattern >= 0)) for pattern in self.chosen[2])

    def multipliers(self) -> Multipliers:
        """As few as prove what is proved with exact sums, if so many are enough."""
        best: Multipliers | None = None
        for pieces in _PIECES:
            found = self._multipliers(pieces)
            if best is None or found.count > best.count:
                best = found
            if found.count == self.count:
                break
        assert best is not None
        return best

    def _multipliers(self, pieces: int) -> Multipliers:
        outputs, slopes, patterns = self.chosen
        functionals, influence = self.leads(outputs, slopes)
        inner, outer, proved = list[FloatArray](), list[FloatArray](), list[BoolArray]()
        for query, (inputs, pattern) in enumerate(zip(self.divided, patterns, strict=True)):
            claimed = np.flatnonzero(pattern >= 0)
            if not len(claimed):
                proved.append(pattern >= 0)
                continue
            weight = np.abs(np.minimum(influence, 0)).max(2).T[pattern[claimed]]  # "f m"
            found, low, high, between = self._inner(query, claimed, slopes[pattern[claimed]], weight, pieces)
            sure = np.zeros(len(pattern), np.bool_)
            for number in np.unique(pattern[claimed]).tolist():
                rows = np.flatnonzero(pattern[claimed] == number)
                needed = -self.lost(low[rows], high[rows], slopes[number], influence[:, number]).repeat(inputs.corners, axis=1)
                own = Functionals(functionals.columns[:, number], functionals.constants[number], functionals.before_norm)
                terms = inputs.terms(inputs.of_tokens.parts(own), self.candidates.enforced[query][self.kept[0][number]])
                ways = inputs.ways(pattern == number)
                multipliers, bounds = linear_bounds(ways, terms, inputs.rises[claimed[rows]])
                room = self.summands.problem.room * max(
                    np.abs(np.stack(terms)).max(), np.abs(bounds).max(), np.abs(needed).max(initial=0)
                )
                some, enough = _cover(multipliers, bounds > needed + room, bounds, pieces)
                if (enough & between[rows]).any():
                    outer.append(some)
                sure[claimed[rows[enough & between[rows]]]] = True
            if sure.any():
                inner.append(found)
            proved.append(sure)
        return Multipliers(inner, outer, proved)

    def _inner(
        self, query: int, claimed: IntArray, slopes: FloatArray, weight: FloatArray, pieces: int
    ) -> tuple[FloatArray, FloatArray, FloatArray, BoolArray]:
        """Multipliers "a x"; l and u "f m" of claimed regions with slopes "f m", a unit having a weight "f m"; and where ratios
        are between their bounds.
        """
        inputs = self.divided[query]
        marked = np.zeros(len(inputs.outputs), np.bool_)
        marked[claimed] = True
        terms = inputs.terms(*self.of_units[query])
        both = [np.concatenate([added, -added], axis=1) for added in terms]
        ways, rises = inputs.ways(marked), inputs.rises[claimed]
        multipliers, bounds = linear_bounds(ways, both, rises)
        importance = np.concatenate([weight * slopes, weight * (1 - slopes)], axis=1).repeat(inputs.corners, axis=1)
        loss = importance * np.clip(-bounds, 0, None) - 1e-6 * bounds  # "a f x"
        kept = [loss.sum(1).argmin(0)]
        columns = np.arange(bounds.shape[2])
        least = np.take_along_axis(loss, kept[0][None, None], 0)[0]
        while len(kept) < pieces:
            kept.append(np.minimum(loss, least).sum(1).argmin(0))
            least = np.minimum(least, np.take_along_axis(loss, kept[-1][None, None], 0)[0])
        best = np.max([bounds[one, :, columns].T for one in kept], axis=0).reshape(len(claimed), -1, inputs.corners).min(2)
        checks, positive = linear_bounds(ways, inputs.checked, rises)
        enough, between = _cover(checks, positive > 0, positive, pieces)
        enough = np.concatenate([enough, np.repeat(enough[:1], pieces - len(enough), axis=0)])
        found = np.concatenate([np.stack([multipliers[one, columns] for one in kept]), enough], axis=1)
        units = best.shape[1] // 2
        return found, best[:, :units], -best[:, units:], between


def _cover(multipliers: FloatArray, enough: BoolArray, bounds: FloatArray, most: int) -> tuple[FloatArray, BoolArray]:
    """At most so many of the multipliers "a r" for each rival, enough "a f r" for most; and for which "f" they are enough."""
    columns = np.arange(multipliers.shape[1])
    left, kept = np.ones(enough.shape[1:], np.bool_), list[IntArray]()
    while len(kept) < most and (not kept or left.any()):
        gain = (enough & left).sum(1) + 1e-3 * (np.arange(len(enough))[:, None] == bounds.min(1).argmax(0))
        kept.append(gain.argmax(0))
        left &= ~enough[kept[-1], :, columns].T
    return np.stack([multipliers[one, columns] for one in kept]), ~left.any(1)
