"""The ways through a finer automaton, and on to the end: what regions are made of (prover/transformer/finer_automaton)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from certificates.tensor_file import IntArray
from prover.transformer.box_bounds import Box
from prover.transformer.finer_automaton import FinerAutomaton, ReadSums


@dataclass(frozen=True)
class Edges:
    """Steps: from `source` with `token` to `target`, "e" each; there are `targets` of these."""

    source: IntArray
    token: IntArray
    target: IntArray
    targets: int

    @staticmethod
    def of(table: IntArray, targets: int) -> "Edges":
        """A table "s v", -1: none."""
        source, token = np.nonzero(table >= 0)
        return Edges(source, token, table[source, token], targets)

    def counts(self, ways: np.ndarray) -> np.ndarray:
        """For each target the sum of its sources' numbers "s"."""
        return np.bincount(self.target, ways[self.source], self.targets)

    def hull(self, box: Box, terms: Tensor) -> Box:
        """For each target the hull of its sources' boxes "s x" plus the terms "v x" of tokens."""
        index = torch.as_tensor(self.target, device=terms.device)[:, None].expand(-1, terms.shape[1])
        added = terms[self.token]
        nothing, low, high = terms.new_zeros(self.targets, terms.shape[1]), box.low[self.source], box.high[self.source]
        return Box(
            nothing.scatter_reduce(0, index, low + added, "amin", include_self=False),
            nothing.scatter_reduce(0, index, high + added, "amax", include_self=False),
        )


@dataclass(frozen=True)
class RegionPaths:
    """Of one read and query: the steps before the read, and backwards those after it; each region's state of the task.

    share "f": of all inputs.
    """

    sums: ReadSums
    before: Sequence[Edges]
    after: Sequence[Edges]
    state: IntArray
    outputs: IntArray
    share: np.ndarray

    @staticmethod
    def of(sums: ReadSums, finer: FinerAutomaton) -> "RegionPaths":
        """Those of a finer automaton."""
        automaton = sums.problem.required_automaton
        before = [Edges.of(table, size) for table, size in zip(finer.tables, finer.sizes, strict=True)]
        state, ways = np.zeros(1, np.int64), np.ones(1)
        for step, edges in enumerate(before):
            led = np.zeros(edges.targets, np.int64)
            led[edges.target] = sums.after[step][state[edges.source], edges.token]
            state, ways = led, edges.counts(ways)
        states = sums.after[0].shape[0]
        following = [Edges.of(table, states) for table in sums.after[len(before) :]]
        after = [Edges(e.target, e.token, e.source, states) for e in reversed(following)]
        further = np.ones(states)
        for edges in after:
            further = edges.counts(further)
        share = ways * further[state] / automaton.count()
        return RegionPaths(sums, before, after, state, finer.outputs, share)
