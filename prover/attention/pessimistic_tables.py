"""The additive tables in float64, with a model of the checker's rounding: pessimistic terms for every search.

The checker encloses every number and accepts what holds for the enclosures' worst endpoints. So that whatever the prover
writes is accepted, the prover searches with terms that are worse still: every table carries `radius`, an upper bound on
the distance of the checker's endpoints from the float64 value (checker/core/scaled_integers rounds to `precision` bits
relative to the largest element of an array; float64's own error is far smaller). What is too close is given up.

Notation: checker/attention/additive_tables.py, label_terms.py. Shapes: q queries, t tokens, j positions, o outputs, b blocks.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from prover.approximate import Approximate
from prover.weights import Weights


@dataclass(frozen=True)
class Tables:
    """Float64 tables and the radii of scores and of value gaps. precision: bits of the checker. margin: leads must exceed it.

    The spreads tell how far entries of tables that are only known by their middle may lie from it.
    """

    token_score: Tensor  # q t
    position_score: Tensor  # q j
    direct: Tensor  # q out
    token_value: Tensor  # t out
    position_value: Tensor  # j out
    score_radius: float
    gap_radius: float
    precision: int
    score_spread: Tensor  # q t
    direct_spread: Tensor  # q out
    value_spread: Tensor  # t out
    margin: float = 0.0

    @property
    def n_ctx(self) -> int:
        """Number of positions K."""
        return self.position_score.shape[1]

    @property
    def d_vocab(self) -> int:
        """Number of tokens V."""
        return self.token_score.shape[0]

    @cached_property
    def largest_gap(self) -> float:
        """No value gap of any position is larger in magnitude."""
        tables = (self.direct.abs() + self.direct_spread, self.token_value.abs() + self.value_spread, self.position_value.abs())
        direct, *values = (float(table.max()) for table in tables)
        return 2 * (2 * direct + sum(values)) + self.margin

    @property
    def gap_error(self) -> float:
        """Error of a value gap, the rounding before a product included."""
        return self.gap_radius + self.block_error * self.largest_gap

    @property
    def weight_error(self) -> float:
        """Relative error of a weight exp(score - reference)."""
        return math.expm1(min(self.score_radius, 50.0)) + 2.0 ** (6 - min(self.precision, 40))

    @property
    def block_error(self) -> float:
        """Error of any number relative to the largest of its array, from rounding before a product."""
        return 2.0 ** (3 - min(self.precision, 40))


def additive_tables(weights: Weights, precision: int) -> Tables:
    """The tables of rule additive-tables for these float64 weights, computed in the checker's order."""

    def matrix(name: str) -> Approximate:
        value = weights[name]
        value = value[0] if value.ndim == 3 else value[None] if value.ndim == 1 else value
        return Approximate.of(value, precision)

    tokens, positions, unembed = matrix("embed.W_E"), matrix("pos_embed.W_pos"), matrix("unembed.W_U")
    last = tokens + Approximate(positions.value[-1:], positions.radius, precision)
    query = last @ matrix("blocks.0.attn.W_Q") + matrix("blocks.0.attn.b_Q")
    key_map, value_map = matrix("blocks.0.attn.W_K"), matrix("blocks.0.attn.W_V")
    query = query.times(key_map.value.shape[1] ** -0.5)
    output = matrix("blocks.0.attn.W_O") @ unembed
    direct = (last + matrix("blocks.0.attn.b_O")) @ unembed + matrix("unembed.b_U")
    direct = direct + matrix("blocks.0.attn.b_V") @ output
    token_score, position_score = query @ (tokens @ key_map).T, query @ (positions @ key_map).T
    token_value, position_value = (tokens @ value_map) @ output, (positions @ value_map) @ output
    return Tables(
        token_score.value,
        position_score.value,
        direct.value,
        token_value.value,
        position_value.value,
        score_radius=2 * (token_score.radius + position_score.radius),
        gap_radius=4 * (3 * direct.radius + token_value.radius + position_value.radius),
        precision=precision,
        score_spread=torch.zeros_like(token_score.value),
        direct_spread=torch.zeros_like(direct.value),
        value_spread=torch.zeros_like(token_value.value),
    )


def least_product(tables: Tables, gap: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """A number below what the checker finds for min(low * gap, high * gap). No weight is greater than one."""
    pessimistic = gap - tables.gap_error
    floor = (low * (1 - tables.weight_error) - tables.block_error).clamp_min(0)
    ceiling = high * (1 + tables.weight_error) + tables.block_error
    return pessimistic * torch.where(pessimistic >= 0, floor, ceiling)


def contiguous_blocks(outputs: int, count: int) -> np.ndarray:
    """Block numbers "1 o" of outputs in `count` runs of neighbours; 0 (or too many): every output for itself."""
    count = count if 0 < count < outputs else outputs
    return (np.arange(outputs) * count // outputs)[None]


@dataclass(frozen=True)
class Leads:
    """Leads of labels over blocks of rivals (checker/attention/rival_blocks) in the rows of a table "i o". block: "l o"."""

    table: Tensor
    spread: Tensor
    block: np.ndarray

    def __call__(self, rows: slice, label: int) -> Tensor:
        """Leads of the label over each block with a rival of it, "i b"."""
        block = self.block[label if len(self.block) > 1 else 0].copy()
        part, device = self.table[rows] + self.spread[rows], self.table.device
        block[label] = len(block)  # in a block of its own, the last
        blocks, number = np.unique(block, return_inverse=True)
        best = torch.full((len(part), len(blocks)), -torch.inf, dtype=part.dtype, device=device)
        index = torch.as_tensor(number.reshape(-1), device=device).expand(len(part), -1)
        return (part - 2 * self.spread[rows])[:, label, None] - best.scatter_reduce(1, index, part, "amax")[:, :-1]


@dataclass(frozen=True)
class ValueLeads:
    """Leads in the direct path and in the values of token and position, `joint` or apart (checker/attention/label_terms)."""

    tables: Tables
    direct: Leads
    token: Leads
    position: Leads | None

    @staticmethod
    def of(tables: Tables, block: np.ndarray, joint: bool) -> "ValueLeads":
        """Prepare the tables for leads over these blocks."""
        upper = tables.direct + tables.direct_spread
        common = (upper.amax(0) + upper.amin(0)) / 2
        direct = Leads(tables.direct - common, tables.direct_spread, block)
        token, position = tables.token_value + common, tables.position_value
        if not joint:
            apart = Leads(position, torch.zeros_like(position), block)
            return ValueLeads(tables, direct, Leads(token, tables.value_spread, block), apart)
        both = (token[:, None] + position).reshape(-1, token.shape[1])
        return ValueLeads(tables, direct, Leads(both, tables.value_spread.repeat_interleave(len(position), 0), block), None)

    def of_label(self, label: int, top: int) -> tuple[Tensor, Tensor]:
        """Bounds for tokens below `top` at the last and at free positions, "t b"."""
        n_ctx = self.tables.n_ctx
        if self.position is None:
            both = self.token(slice(0, top * n_ctx), label).reshape(top, n_ctx, -1)
            return both[:, -1], both[:, :-1].amin(1)
        token, position = self.token(slice(0, top), label), self.position(slice(0, n_ctx), label)
        return token + position[-1], token + position[:-1].amin(0)


@dataclass(frozen=True)
class LabelTerms:
    """Pessimistic terms of checker/attention/label_terms for label m and all queries below `top` (m + 1 in Max-of-K)."""

    leads: ValueLeads
    label: int
    top: int

    @property
    def tables(self) -> Tables:
        """The additive tables."""
        return self.leads.tables

    @cached_property
    def gaps(self) -> tuple[Tensor, Tensor]:
        """Leads in the values at the last and at free positions, "t b"."""
        return self.leads.of_label(self.label, self.top)

    @cached_property
    def direct(self) -> Tensor:
        """Leads in the direct path, "q b"."""
        return self.leads.direct(slice(0, self.top), self.label) - self.tables.margin

    @cached_property
    def own_scores(self) -> tuple[Tensor, Tensor]:
        """Bounds of the query's own score, "q 1"."""
        score = self.tables.token_score.diagonal()[: self.top] + self.tables.position_score[: self.top, -1]
        spread = self.tables.score_spread.diagonal()[: self.top]
        return (score - spread)[:, None], (score + spread)[:, None]

    @cached_property
    def reference(self) -> Tensor:
        """The checker's r(q) up to rounding, "q 1"."""
        tokens = (self.tables.token_score + self.tables.score_spread)[: self.top, : self.top].amax(1, keepdim=True)
        free = self.tables.position_score[: self.top, :-1].amax(1, keepdim=True)
        return torch.maximum(tokens + free, self.own_scores[1])

    @cached_property
    def own(self) -> Tensor:
        """The query's own term, "q b"."""
        low, high = ((score - self.reference).exp() for score in self.own_scores)
        return least_product(self.tables, self.direct + self.gaps[0], low, high)

    def surely_positive(self, margin: Tensor) -> Tensor:
        """Which sums of this label's terms the checker will find positive.

        It multiplies and aligns whole arrays, at a resolution set by the largest gap in any of them; no weight exceeds one.
        """
        return margin > 1e-12 * self.tables.largest_gap

    def scores(self, tokens: slice) -> tuple[Tensor, Tensor]:
        """Bounds of the scores of some tokens at free positions, less the reference, "q t"."""
        free = self.tables.position_score[: self.top, :-1]
        score, spread = (table[: self.top, tokens] for table in (self.tables.token_score, self.tables.score_spread))
        low = score - spread + free.min(1, keepdim=True).values - self.reference
        return low, score + spread + free.max(1, keepdim=True).values - self.reference

    def token_terms(self, tokens: slice, queries: slice = slice(None)) -> Tensor:
        """The terms H of free tokens, "q t b", for some of the queries."""
        low, high = (score.exp() for score in self.scores(tokens))
        gap = self.direct[queries, None] + self.gaps[1][tokens]
        return least_product(self.tables, gap, low[queries, :, None], high[queries, :, None])

    @cached_property
    def copy(self) -> Tensor:
        """The term of a free copy of the label, "q b"."""
        return self.token_terms(slice(self.label, self.label + 1))[:, 0]

    @cached_property
    def prefix_terms(self) -> Tensor:
        """The least term that a token below s can have by rule prefix-chains, "q s b" for s = 1 .. m."""
        low, high = self.scores(slice(0, self.label))
        gap = self.direct[:, None] + self.gaps[1][: self.label].cummin(0).values
        return least_product(self.tables, gap, low.cummin(1).values.exp()[..., None], high.cummax(1).values.exp()[..., None])
