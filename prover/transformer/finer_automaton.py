"""Finer automata for the rule `regions` (checker/transformer/regions), found by merging sequences whose sums are alike.

Step by step, every state is followed along every token, which adds (w, w (v - c)) to the box of its sums; what arrives in one
state of the task's automaton in the same cell of a grid becomes one state. So tokens that hardly matter, or that come to
the same, are forgotten, and others are remembered, whatever the model does. The finer the grid, the tighter the boxes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from certificates.tensor_file import IntArray
from checker.transformer.regions import followers
from prover.problem import BoolArray
from prover.transformer.problem import TransformerProblem

FloatArray = np.ndarray


@dataclass(frozen=True)
class FinerAutomaton:
    """For one query: for each step a table "s v", and the number of states after it. known: regions that are proved already."""

    tables: Sequence[IntArray]
    sizes: Sequence[int]
    known: BoolArray

    def settled(self, proved: BoolArray) -> list[BoolArray]:
        """After each step, the states from which every way leads to a proved region."""
        found = [proved]
        for table in reversed(self.tables[1:]):
            found.insert(0, np.all((table < 0) | found[0][table], axis=1))
        return found

    def without(self, regions: BoolArray) -> "FinerAutomaton":
        """Without some of its last states."""
        number = np.where(regions, -1, np.cumsum(~regions) - 1)
        last = self.tables[-1]
        table = np.where(last < 0, -1, number[last])
        return FinerAutomaton(
            [*self.tables[:-1], table], [*self.sizes[:-1], int(np.count_nonzero(~regions))], self.known[~regions]
        )


@dataclass(frozen=True)
class ReadSums:
    """What the attention of a one-layer model sums up when it is read at a position on inputs with this query there."""

    problem: TransformerProblem
    position: int
    query: int

    @cached_property
    def after(self) -> list[IntArray]:
        """For each step "state v" the next state, or -1."""
        return followers(self.problem.automaton, self.position, np.array([self.query]))

    @cached_property
    def terms(self) -> tuple[list[FloatArray | None], FloatArray]:
        """For each step "v h 1+e" (None: a position that is not seen), and a unit "h 1+e" for how much a sum may be off."""
        config, order = self.problem.model.config, self.problem.automaton.order.tolist()
        query, key, value = (part.double().numpy() for part in self.problem.heads)  # "v h k e"
        seen = [p <= self.position or config.attention_dir == "bidirectional" for p in range(len(order))]
        allowed = [np.any(self.after[order.index(p)] >= 0, axis=0) for p in range(len(order))]
        scores = np.einsum("he,vhke->kvh", query[self.query, :, self.position], key)
        scores[~np.array(allowed)] = -np.inf
        scores[~np.array(seen)] = -np.inf
        weight = np.exp(scores - scores.max((0, 1)))
        some = np.isfinite(scores)[..., None]
        values = value.transpose(2, 0, 1, 3)  # "k v h e"
        least, most = (extreme(np.where(some, values, -sign * np.inf), (0, 1)) for extreme, sign in ((np.min, -1), (np.max, 1)))
        weighted = np.concatenate([weight[..., None], weight[..., None] * (values - (least + most) / 2)], axis=3)
        total = np.where(np.array(allowed)[..., None] & np.array(seen)[:, None, None], weight, 0)
        usual = (total.sum(1) / np.array([max(1, a.sum()) for a in allowed])[:, None]).sum(0)  # "h"
        spread = np.concatenate([np.ones((len(usual), 1)), (most - least) / 2], axis=1)
        return [weighted[p] if seen[p] else None for p in order], usual[:, None] * np.maximum(spread, 1e-12)

    def refined(self, coarse: FinerAutomaton | None, settled: list[BoolArray], steps: int, width: float) -> FinerAutomaton:
        """With a grid so wide, in units, for the steps before the read. States of a coarse one that are settled stay whole."""
        terms, unit = self.terms
        low = high = np.zeros((1, unit.size))
        state, parent = np.zeros(1, np.int64), np.zeros(1, np.int64)
        tables, sizes = list[IntArray](), list[int]()
        for step in range(steps):
            after = self.after[step][state] if coarse is None else coarse.tables[step][parent]
            source, token = np.nonzero(after >= 0)
            least, greatest, of_step = low[source], high[source], terms[step]
            if of_step is not None:
                added = of_step.reshape(len(of_step), -1)[token]
                least, greatest = least + added, greatest + added
            cell, into = np.floor((least + greatest) / (2 * width * unit.reshape(-1)) + 0.5), after[source, token]
            if coarse is not None:
                cell[settled[step][into]] = 0
            _, target = np.unique(np.column_stack([into, cell]), axis=0, return_inverse=True)
            target = target.reshape(-1)
            order = np.argsort(target, kind="stable")
            starts = np.flatnonzero(np.diff(target[order], prepend=-1))
            low, high = np.minimum.reduceat(least[order], starts), np.maximum.reduceat(greatest[order], starts)
            first = order[starts]
            state, parent = self.after[step][state[source[first]], token[first]], into[first]
            table = np.full(after.shape, -1, np.int64)
            table[source, token] = target
            tables.append(table)
            sizes.append(len(starts))
        known = np.zeros(sizes[-1], np.bool_) if coarse is None else settled[-1][parent]
        return FinerAutomaton(tables, sizes, known)
