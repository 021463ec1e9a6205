"""Random inputs of regions: where a proof fails, counterexamples are likely."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from certificates.tensor_file import IntArray
from prover.transformer.region_paths import Edges, RegionPaths

FloatArray = np.ndarray


@dataclass(frozen=True)
class RegionInputs:
    """Of some regions, each input of one as likely as any other of it."""

    paths: RegionPaths

    def drawn(self, chosen: IntArray, rng: np.random.Generator) -> IntArray:
        """One input "n k" for each of the regions chosen, by number."""
        sums, steps = self.paths.sums, len(self.paths.before)
        order = sums.problem.required_automaton.order
        found, state = np.zeros((len(chosen), len(order)), np.int64), chosen
        for step, edges in reversed(list(enumerate(self.paths.before))):
            edge = _drawn(edges.target, self._ways[step][edges.source], state, rng)
            found[:, order[step]], state = edges.token[edge], edges.source[edge]
        state = self.paths.state[chosen]
        for step, edges in zip(range(steps, len(order)), reversed(self.paths.after), strict=True):
            # Backwards: an edge leads from the state after the step, its source, to the one before it.
            edge = _drawn(edges.target, self._further[step - steps][edges.source], state, rng)
            found[:, order[step]], state = edges.token[edge], edges.source[edge]
        return found

    @cached_property
    def _ways(self) -> Sequence[FloatArray]:
        """For each step before the read, how many ways lead to each state before it."""
        return _summed(self.paths.before, np.ones(1))

    @cached_property
    def _further(self) -> Sequence[FloatArray]:
        """For each step after the read, how many ways lead on from each state after it."""
        states = self.paths.sums.after[0].shape[0]
        return _summed(self.paths.after, np.ones(states))[::-1]


def _summed(steps: Sequence[Edges], first: FloatArray) -> list[FloatArray]:
    found = [first]
    for edges in steps[:-1]:
        found.append(edges.counts(found[-1]))
    return found[: len(steps)]


def _drawn(groups: IntArray, weights: FloatArray, asked: IntArray, rng: np.random.Generator) -> IntArray:
    """For each group "n" asked for, an edge that belongs to it, as likely as its weight."""
    order = np.argsort(groups, kind="stable")
    found = np.zeros(len(asked), np.int64)
    starts, stops = (np.searchsorted(groups[order], asked, side) for side in ("left", "right"))
    for group, start, stop in np.unique(np.column_stack([asked, starts, stops]), axis=0).tolist():
        rows = np.flatnonzero(asked == group)
        share = np.cumsum(weights[order[start:stop]] / weights[order[start:stop]].sum())
        found[rows] = order[start + np.minimum(np.searchsorted(share, rng.random(len(rows))), stop - start - 1)]
    return found
