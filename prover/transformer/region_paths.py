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
    """Steps: from `source` with `token` to `target`, "e" each, and the symbols read; there are `targets` of these."""

    source: IntArray
    token: IntArray
    symbol: IntArray
    target: IntArray
    targets: int

    def counts(self, ways: np.ndarray) -> np.ndarray:
        """For each target the sum of its sources' numbers "s"."""
        return np.bincount(self.target, ways[self.source], self.targets)

    def hull(self, box: Box, terms: Tensor) -> Box:
        """For each target the hull of its sources' boxes "s x" plus the terms "v x" of symbols."""
        index = torch.as_tensor(self.target, device=terms.device)[:, None].expand(-1, terms.shape[1])
        added = terms[self.symbol]
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
        before, state, ways = list[Edges](), np.zeros(1, np.int64), np.ones(1)
        for table, size, led in zip(finer.tables, finer.sizes, sums.after, strict=False):
            source, token = np.nonzero(table >= 0)
            node, target = led[state[source], token], table[source, token]
            edges = Edges(source, token, sums.symbols(node, token), target, size)
            state = np.zeros(size, np.int64)
            state[target], ways = node, edges.counts(ways)
            before.append(edges)
        states, after = sums.after[0].shape[0], list[Edges]()
        further = np.ones(states)
        for table in reversed(sums.after[len(before) :]):
            source, token = np.nonzero(table >= 0)
            target = table[source, token]
            after.append(Edges(target, token, sums.symbols(target, token), source, states))
            further = after[-1].counts(further)
        share = ways * further[state] / sums.automaton.count()
        return RegionPaths(sums, before, after, state, finer.outputs, share)
