"""Bounds of sums that one-layer transformers depend on, over inputs that a finer automaton divides, in float64.

They are what the checker computes (checker/transformer/potentials), but for rounding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from certificates.tensor_file import IntArray
from prover.problem import BoolArray
from prover.transformer.finer_automaton import FinerAutomaton, ReadSums
from prover.transformer.token_terms import TokenTerms

FloatArray = np.ndarray
Terms = list[FloatArray]
_TRIED = 64
"""Multipliers among which some are chosen."""
_RATIOS, _ROUNDS, _LARGEST, _SLACK = 12, 5, 2.0**14, 2.0**-8
"""So many ratios are tried in each round; between which numbers they are, and how much room they get in the end."""


@dataclass(frozen=True)
class DividedInputs:
    """Inputs with one query at a read, divided by a finer automaton: tables "s v" for each step, sizes after each.

    numbers: of all states, if they are numbered: those before each step, and of the regions. greatest "h": scores are relative
    to these. between: a box of ratios "h 2" that is asked about, if not all that there are.
    """

    sums: ReadSums
    tables: Sequence[IntArray]
    sizes: Sequence[int]
    outputs: IntArray
    greatest: FloatArray
    numbers: Sequence[IntArray] = ()
    between: FloatArray | None = None

    @staticmethod
    def by_number(sums: ReadSums, greatest: FloatArray, token_numbers: IntArray) -> "DividedInputs":
        """By the task's state and the sum of the tokens' numbers."""
        state, number = np.zeros(1, np.int64), np.zeros(1, np.int64)
        tables, sizes, numbers = list[IntArray](), list[int](), [number]
        for step in range(sums.steps):
            after = sums.after[step][state]
            source, token = np.nonzero(after >= 0)
            led = np.column_stack([after[source, token], number[source] + token_numbers[token]])
            found, target = np.unique(led, axis=0, return_inverse=True)
            table = np.full(after.shape, -1, np.int64)
            table[source, token] = target.reshape(-1)
            state, number = found.T
            tables.append(table)
            sizes.append(len(found))
            numbers.append(number)
        outputs = sums.automaton.outputs[sums.read][state]
        return DividedInputs(sums, tables, sizes, outputs, greatest, numbers)

    @staticmethod
    def of(sums: ReadSums, greatest: FloatArray, finer: FinerAutomaton) -> "DividedInputs":
        """By a finer automaton without numbers."""
        return DividedInputs(sums, finer.tables, finer.sizes, finer.outputs, greatest)

    @property
    def automaton(self) -> FinerAutomaton:
        """The finer automaton, with no regions known, and no boxes."""
        nothing, every = np.zeros((self.sizes[-1], 0)), np.ones(self.sizes[-1], np.bool_)
        return FinerAutomaton(self.tables, self.sizes, (nothing, nothing), self.outputs, ~every, every)

    @cached_property
    def edges(self) -> list[tuple[IntArray, IntArray, IntArray]]:
        """For each step source, symbol and target, by target."""
        found, node = [], np.zeros(1, np.int64)
        for table, after, size in zip(self.tables, self.sums.after, self.sizes, strict=False):
            source, token = np.nonzero(table >= 0)
            target, led = table[source, token], after[node[source], token]
            order = np.argsort(target, kind="stable")
            found.append((source[order], self.sums.symbols(led, token)[order], target[order]))
            node = np.zeros(size, np.int64)
            node[target] = led
        return found

    @property
    def corners(self) -> int:
        """Of the box of ratios."""
        return 2 ** (len(self.greatest) - 1)

    @cached_property
    def of_tokens(self) -> TokenTerms:
        """What tokens add, for the model as it is."""
        weight, value = self.sums.visible
        scale = np.exp(self.sums.greatest(self.sums.met) - self.greatest)
        both = (torch.as_tensor(part, device=self._device) for part in (weight * scale, value - self.sums.centre))
        return TokenTerms(self.sums, self.sums.problem.weights, self.sums.layer, *both)

    @property
    def _device(self) -> torch.device:
        return self.sums.problem.device

    @cached_property
    def ratios(self) -> FloatArray:
        """Between which numbers Z / Z_h is "h 2"."""
        return self._all_ratios if self.between is None else self.between

    @property
    def _all_ratios(self) -> FloatArray:
        """With some room: the interval is divided again and again.

        On all inputs, but for regions with some of which nothing is seen but padding.
        """
        found, totals = np.zeros((len(self.greatest) - 1, 2)), self.of_tokens.totals.cpu().numpy()
        sighted = self.hulls(list(totals))[0].min(1) > 0
        sighted |= not sighted.any()
        for head in range(len(found)):
            first, other = totals[:, :, 0], totals[:, :, 1 + head]
            least, most = np.array([1 / _LARGEST, 1 / _LARGEST]), np.array([_LARGEST, _LARGEST])  # for both ends
            for _ in range(_ROUNDS):
                tried = np.geomspace(least, most, _RATIOS)
                terms = [first[..., None] - other[..., None] * tried[:, 0], other[..., None] * tried[:, 1] - first[..., None]]
                low = self.hulls(list(np.concatenate(terms, axis=2)))[0][sighted]
                below, above = (low.min(0) > 0).reshape(2, -1)
                last, next_one = max(int(below.sum()) - 1, 0), min(int((~above).sum()), _RATIOS - 1)
                least = np.array([tried[last, 0], tried[max(next_one - 1, 0), 1]])
                most = np.array([tried[min(last + 1, _RATIOS - 1), 0], tried[next_one, 1]])
            found[head] = least[0] * (1 - _SLACK), most[1] * (1 + _SLACK)
        return found

    def terms(self, parts: Tensor, enforced: Tensor) -> Terms:
        """What a token adds to sums at all corners, for each step "v x corners", the last two as one. See TokenTerms."""
        ratios = torch.as_tensor(self.ratios, device=self._device)
        return list(self.of_tokens.at_corners(parts, ratios, enforced).cpu().numpy())

    @property
    def checked(self) -> Terms:
        """What a token adds to the sums that are positive if ratios are where they should be, for each step "v h"."""
        return list(self.of_tokens.beyond(torch.as_tensor(self.ratios, device=self._device)).cpu().numpy())

    def hulls(self, terms: Terms) -> tuple[FloatArray, FloatArray]:
        """The least and the greatest sums of every region, "f x"."""
        low = high = np.zeros((1, terms[0].shape[1]))
        for (source, token, target), added in zip(self.edges, terms, strict=True):
            starts = np.flatnonzero(np.diff(target, prepend=-1))
            low = np.minimum.reduceat(low[source] + added[token], starts)
            high = np.maximum.reduceat(high[source] + added[token], starts)
        return low, high

    def ways(self, regions: BoolArray) -> list[tuple[IntArray, IntArray]]:
        """For each step that leads to some regions the symbol, and by how much the number rises."""
        leads, found = regions, list[tuple[IntArray, IntArray]]()
        for step in reversed(range(len(self.tables))):
            source, token, target = (part[leads[self.edges[step][2]]] for part in self.edges[step])
            rise = self.numbers[step + 1][target] - self.numbers[step][source]
            rows = np.unique(np.column_stack([token, rise]), axis=0)
            found.insert(0, (rows[:, 0], rows[:, 1]))
            leads = np.zeros(len(self.tables[step]), np.bool_)
            leads[source] = True
        return found

    @property
    def rises(self) -> IntArray:
        """Numbers of regions, less that at the start."""
        return self.numbers[-1] - self.numbers[0]


def linear_bounds(ways: Sequence[tuple[IntArray, IntArray]], terms: Terms, rises: IntArray) -> tuple[FloatArray, FloatArray]:
    """Multipliers "a c" worth trying, and the lower bounds "a f c" that they give for regions with these rises."""
    slopes = list[FloatArray]()
    for (token, rise), added in zip(ways, terms, strict=True):
        i, j = np.nonzero(rise[:, None] < rise)
        if len(i):
            slopes.append((added[token[j]] - added[token[i]]) / (rise[j] - rise[i])[:, None])
    every = np.concatenate(slopes) if slopes else np.zeros((1, terms[0].shape[1]))
    multipliers = np.quantile(every, np.linspace(0, 1, _TRIED), axis=0)
    total = np.zeros_like(multipliers)
    for (token, rise), added in zip(ways, terms, strict=True):
        total += (added[token] - multipliers[:, None] * rise[:, None]).min(1)
    return multipliers, total[:, None] + multipliers[:, None] * rises[:, None]
