"""What tokens add to sums that one-layer transformers depend on, and bounds of these sums, in float64.

They are what the checker computes (checker/transformer/potentials), but for rounding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from certificates.tensor_file import IntArray
from prover.problem import BoolArray
from prover.transformer.box_bounds import subtracts_means, unembedding_after_norm
from prover.transformer.finer_automaton import FinerAutomaton, ReadSums
from prover.transformer.problem import TransformerProblem

FloatArray = np.ndarray
Terms = list[FloatArray]
_TRIED = 64
"""Multipliers among which some are chosen."""
_RATIOS, _ROUNDS, _LARGEST, _SLACK = 12, 5, 2.0**14, 2.0**-8
"""So many ratios are tried in each round; between which numbers they are, and how much room they get in the end."""


@dataclass(frozen=True)
class Functionals:
    """What is asked of the residual stream after attention: columns "d x", and what is added.

    before_norm: the constants are multiplied by the root of a last norm.
    """

    columns: FloatArray
    constants: FloatArray
    before_norm: bool = False


@dataclass(frozen=True)
class Summands:
    """The parts of a one-layer model whose sums matter."""

    problem: TransformerProblem

    def __getitem__(self, name: str) -> FloatArray:
        """A weight."""
        return self.problem.weights[name].cpu().numpy()

    @cached_property
    def units(self) -> Functionals:
        """What the MLP's units read."""
        if self.problem.model.config.attn_only:
            return Functionals(np.zeros((self.problem.model.config.d_model, 0)), np.zeros(0))
        return Functionals(self["blocks.0.mlp.W_in"], self["blocks.0.mlp.b_in"])

    @cached_property
    def _unembedding(self) -> tuple[FloatArray, FloatArray]:
        config = self.problem.model.config
        unembed, bias = (part.cpu().numpy() for part in unembedding_after_norm(config, self.problem.weights))
        return unembed * (config.d_model if subtracts_means(config) else 1), bias  # in the checker's unit, as multipliers are

    def leads(self, output: IntArray, slopes: FloatArray) -> tuple[Functionals, FloatArray]:
        """For outputs "k" with slopes "k m": of the leads with slopes, "k r" each; and how units influence leads, "m k r"."""
        (unembed, bias), config = self._unembedding, self.problem.model.config
        rivals = (output[:, None] + np.arange(1, config.d_vocab_out)) % config.d_vocab_out
        lead = unembed[:, output][:, :, None] - unembed[:, rivals]
        added = bias[output][:, None] - bias[rivals] - float(self.problem.margin)
        if config.attn_only:
            return Functionals(lead, added, config.normalization_type is not None), np.zeros((0, *rivals.shape))
        influence = np.einsum("md,dkr->mkr", self["blocks.0.mlp.W_out"], lead)
        added = added + np.einsum("d,dkr->kr", self["blocks.0.mlp.b_out"], lead)
        scaled = influence * slopes.T[:, :, None]
        columns = lead + np.einsum("dm,mkr->dkr", self.units.columns, scaled)
        return Functionals(columns, added + np.einsum("m,mkr->kr", self.units.constants, scaled)), influence


@dataclass(frozen=True)
class DividedInputs:
    """Inputs with one query at a read, divided by a finer automaton: tables "s v" for each step, sizes after each.

    numbers: of all states, if they are numbered: those before each step, and of the regions. greatest "h": scores are relative
    to these.
    """

    sums: ReadSums
    tables: Sequence[IntArray]
    sizes: Sequence[int]
    outputs: IntArray
    greatest: FloatArray
    numbers: Sequence[IntArray] = ()

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
        outputs = sums.problem.required_automaton.outputs[sums.read][state]
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
        """For each step source, token and target, by target."""
        found = []
        for table in self.tables:
            source, token = np.nonzero(table >= 0)
            target = table[source, token]
            order = np.argsort(target, kind="stable")
            found.append((source[order], token[order], target[order]))
        return found

    @property
    def corners(self) -> int:
        """Of the box of ratios."""
        return 2 ** (len(self.greatest) - 1)

    @cached_property
    def _added(self) -> FloatArray:
        """What a token adds to (Z, N) of each head, "step v h 1+e"; 0 where nothing is seen."""
        heads = len(self.greatest)
        scale = np.exp(self.sums.greatest(self.sums.met) - self.greatest)
        added = self.sums.terms[: len(self.tables)]
        return added.reshape(*added.shape[:2], heads, -1) * scale[:, None]

    def _parts(self, functionals: Functionals) -> FloatArray:
        """What the heads add to sums, "step v h x", that of others than the first being divided by ratios."""
        columns, sums = functionals.columns.reshape(len(functionals.columns), -1), self.sums
        constants = functionals.constants.reshape(-1)
        fixed = sums.bounds.base.cpu().numpy() @ columns + constants * (not functionals.before_norm)
        out = sums.problem.weights["blocks.0.attn.W_O"].cpu().numpy()
        found = np.einsum("svhe,hed,dx->svhx", self._added[..., 1:], out, columns, optimize=True)
        found[:, :, 0] += self._added[:, :, 0, :1] * fixed
        if functionals.before_norm:
            for ends, sign in zip(sums.roots, (1, -1), strict=True):
                some = np.where(sign * constants > 0, constants, 0)
                found += (self._added[..., 0] * ends[: len(self.tables)])[..., None] * some
        return found

    def enforced(self, functionals: Functionals) -> FloatArray:
        """Multipliers of ratios "x h": what other heads than the first add on average, so that ratios hardly matter."""
        weights, parts = self._added[:, :, 1:, 0], self._parts(functionals)[:, :, 1:]
        return np.asarray((parts.sum((0, 1)) / np.maximum(weights.sum((0, 1)), 1e-300)[:, None]).T)

    @cached_property
    def ratios(self) -> FloatArray:
        """Between which numbers Z / Z_h is, "h 2", with some room: the interval is divided again and again.

        On all inputs, but for regions with some of which nothing is seen but padding.
        """
        found, sighted = np.zeros((len(self.greatest) - 1, 2)), self.hulls(list(self._added[..., 0]))[0].min(1) > 0
        sighted |= not sighted.any()
        for head in range(len(found)):
            first, other = self._added[:, :, 0, 0], self._added[:, :, 1 + head, 0]
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

    def terms(self, functionals: Functionals) -> Terms:
        """What a token adds to sums at all corners, for each step "v x corners", the last two as one."""
        parts, enforced, weights = self._parts(functionals), self.enforced(functionals), self._added[..., :1]
        sums = [parts[:, :, 0] + weights[:, :, 0] * enforced.sum(1)]
        for head in range(1, len(self.greatest)):
            part = parts[:, :, head] - weights[:, :, head] * enforced[:, head - 1]
            sums = [before + part * ratio for before in sums for ratio in self.ratios[head - 1]]
        every = np.stack(sums, axis=3)
        return list(every.reshape(*every.shape[:2], -1))

    @property
    def checked(self) -> Terms:
        """What a token adds to the sums that are positive if ratios are where they should be, for each step "v h"."""
        first, others = self._added[:, :, :1, 0], self._added[:, :, 1:, 0]
        pairs = np.stack([first - others * self.ratios[:, 0], others * self.ratios[:, 1] - first], axis=3)
        return list(pairs.reshape(*pairs.shape[:2], -1))

    def hulls(self, terms: Terms) -> tuple[FloatArray, FloatArray]:
        """The least and the greatest sums of every region, "f x"."""
        low = high = np.zeros((1, terms[0].shape[1]))
        for (source, token, target), added in zip(self.edges, terms, strict=True):
            starts = np.flatnonzero(np.diff(target, prepend=-1))
            low = np.minimum.reduceat(low[source] + added[token], starts)
            high = np.maximum.reduceat(high[source] + added[token], starts)
        return low, high

    def ways(self, regions: BoolArray) -> list[tuple[IntArray, IntArray]]:
        """For each step that leads to some regions the token, and by how much the number rises."""
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
