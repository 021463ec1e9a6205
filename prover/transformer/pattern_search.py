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

from certificates.tensor_file import IntArray
from prover.problem import BoolArray
from prover.transformer.token_sums import DividedInputs, FloatArray, linear_bounds
from prover.transformer.token_terms import Functionals, Summands

_STEPS = 4
"""Slopes are multiples of 1 / 4."""
_MOST, _LEAST, _AT_ONCE = 96, 24, 256
"""Patterns that are tried (times corners, but not fewer than so many), and columns at once."""
_ROOM = 2.0**-20
"""How far leads are from zero, relative to the greatest, that the checker surely proves at 30 bits."""
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
class PatternSearch:
    """About inputs at one read, divided for each of its queries, in increasing order."""

    summands: Summands
    divided: Sequence[DividedInputs]

    @cached_property
    def read_by_units(self) -> list[tuple[FloatArray, FloatArray]]:
        """For each query l and u "f m", as they are."""
        found = list[tuple[FloatArray, FloatArray]]()
        for inputs in self.divided:
            low, high = (end.reshape(len(end), -1, inputs.corners) for end in inputs.hulls(inputs.terms(self.summands.units)))
            found.append((low.min(2), high.max(2)))
        return found

    @cached_property
    def candidates(self) -> tuple[IntArray, FloatArray]:
        """Outputs "k" and slopes "k m" worth trying: the most frequent ones."""
        rows = list[FloatArray]()
        for inputs, (low, high) in zip(self.divided, self.read_by_units, strict=True):
            chord = np.clip(high, 0, None) / np.maximum(np.clip(high, 0, None) - np.clip(low, None, 0), 1e-300)
            for steps in (1, _STEPS):
                rows.append(np.column_stack([inputs.outputs, np.rint(chord * steps) / steps]))
        found, times = np.unique(np.concatenate(rows), axis=0, return_counts=True)
        most = max(_MOST // self.divided[0].corners, _LEAST)
        kept = found[np.sort(np.argsort(-times, kind="stable")[:most])]
        return kept[:, 0].astype(np.int64), kept[:, 1:]

    @staticmethod
    def lost(low: FloatArray, high: FloatArray, slopes: FloatArray, influence: FloatArray) -> FloatArray:
        """What is lost by slopes "m" or "f m" on rivals, with influences "m r": "f r"."""
        beyond = np.maximum(*(np.clip(end, 0, None) - end * slopes for end in (low, high)))
        return beyond @ np.minimum(influence, 0)

    def leads(self, outputs: IntArray, slopes: FloatArray) -> tuple[Functionals, FloatArray]:
        """See Summands."""
        functionals, influence = self.summands.leads(outputs, torch.as_tensor(slopes, device=self.summands.problem.device))
        return functionals, influence.cpu().numpy()

    @cached_property
    def least(self) -> list[FloatArray]:
        """For each query the least leads "f k" of regions with each candidate; -inf where that has another output."""
        outputs, slopes = self.candidates
        functionals, influence = self.leads(outputs, slopes)
        rivals = functionals.constants.shape[1]
        found = list[FloatArray]()
        for inputs, (low, high) in zip(self.divided, self.read_by_units, strict=True):
            terms = inputs.terms(functionals)
            parts = [
                inputs.hulls([added[:, start : start + _AT_ONCE] for added in terms])[0]
                for start in range(0, terms[0].shape[1], _AT_ONCE)
            ]
            least = np.concatenate(parts, axis=1).reshape(len(low), -1, rivals, inputs.corners).min(3)
            for number in range(len(outputs)):
                least[:, number] += self.lost(low, high, slopes[number], influence[:, number])
            found.append(np.where(inputs.outputs[:, None] == outputs, least.min(2), -np.inf))
        return found

    @cached_property
    def chosen(self) -> tuple[IntArray, FloatArray, list[IntArray]]:
        """Outputs and slopes of the patterns that are kept, and for each query those of regions "f", or -1."""
        (outputs, slopes), every = self.candidates, np.concatenate(self.least)
        greatest = np.abs(every[np.isfinite(every)]).max(initial=0)
        proved, kept = every > _ROOM * greatest, list[int]()
        left = proved.copy()
        while left.any():
            kept.append(int(left.sum(0).argmax()))
            left[left[:, kept[-1]]] = False
        own = np.where(proved[:, kept].any(1), proved[:, kept].argmax(1), -1) if kept else np.full(len(every), -1)
        ends = np.cumsum([len(part) for part in self.least])[:-1]
        return outputs[kept], slopes[kept], np.split(own, ends)

    @property
    def regions(self) -> int:
        """How many there are."""
        return sum(inputs.sizes[-1] for inputs in self.divided)

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
        for inputs, pattern in zip(self.divided, patterns, strict=True):
            claimed = np.flatnonzero(pattern >= 0)
            if not len(claimed):
                proved.append(pattern >= 0)
                continue
            weight = np.abs(np.minimum(influence, 0)).max(2).T[pattern[claimed]]  # "f m"
            found, low, high, between = self._inner(inputs, claimed, slopes[pattern[claimed]], weight, pieces)
            sure = np.zeros(len(pattern), np.bool_)
            for number in np.unique(pattern[claimed]).tolist():
                rows = np.flatnonzero(pattern[claimed] == number)
                needed = -self.lost(low[rows], high[rows], slopes[number], influence[:, number]).repeat(inputs.corners, axis=1)
                own = Functionals(functionals.columns[:, number], functionals.constants[number], functionals.before_norm)
                ways = inputs.ways(pattern == number)
                multipliers, bounds = linear_bounds(ways, inputs.terms(own), inputs.rises[claimed[rows]])
                room = _ROOM * max(np.abs(bounds).max(), np.abs(needed).max(initial=0))
                some, enough = _cover(multipliers, bounds > needed + room, bounds, pieces)
                if (enough & between[rows]).any():
                    outer.append(some)
                sure[claimed[rows[enough & between[rows]]]] = True
            if sure.any():
                inner.append(found)
            proved.append(sure)
        return Multipliers(inner, outer, proved)

    def _inner(
        self, inputs: DividedInputs, claimed: IntArray, slopes: FloatArray, weight: FloatArray, pieces: int
    ) -> tuple[FloatArray, FloatArray, FloatArray, BoolArray]:
        """Multipliers "a x"; l and u "f m" of claimed regions with slopes "f m", a unit having a weight "f m"; and where ratios
        are between their bounds.
        """
        marked = np.zeros(len(inputs.outputs), np.bool_)
        marked[claimed] = True
        terms = inputs.terms(self.summands.units)
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
