"""The terms of the classification inequality that rules about classes of inputs share, for one label at a time.

Notation of additive_tables; leads over blocks of rivals as in rival_blocks. Let c be any vector over outputs,
m a label, B a block, and

    D(q) = lead of (direct - c) at q, less the margin,        T_j(t) = lead of (token_value[t, .] + position_value[j, .] + c),

or, where the step says so, the sum of the leads of (token_value + c) at t and of position_value at j for T_j. By the
lemma of rival_blocks, for every rival o in B

    h_j(q, t, o) = w_j(q, t) * ( (direct[q, m] - direct[q, o] - margin) + (token_value[t, m] - token_value[t, o])
                                 + (position_value[j, m] - position_value[j, o]) )  >=  w_j(q, t) (D(q) + T_j(t)).

*Lemma (position extrema).* With T(t) = min over j <= K-2 of T_j(t), and low(q, t) <= high(q, t) the extrema over j <= K-2 of
w_j(q, t), every free position j has h_j(q, t, o) >= H(q, t, B) = min(low (D(q) + T(t)), high (D(q) + T(t))).
*Proof.* w_j > 0, so h_j >= w_j (D + T), which is least at low if D + T >= 0 and at high otherwise.

By additive-tables an input of true output m is therefore classified correctly if, for every block B with a rival of m,

    own(q, B) + sum over its free tokens t of H(q, t, B) > 0,        own(q, B) = w_{K-1}(q, q) (D(q) + T_{K-1}(q)).

The checker takes for c the middle of direct[., o] over all queries: what all queries share is then pessimised together with
the token's value, where it belongs.
"""

from dataclasses import dataclass

import numpy as np

from certificates.tensor_file import IntArray
from checker.attention.order_statistic import order_statistic
from checker.attention.rival_blocks import Leads, RivalBlocks
from checker.attention.tables import AdditiveTables
from checker.core.enclosed_weights import plus_margin
from checker.core.enclosures import Enclosure
from checker.core.facts import Setting


@dataclass(frozen=True)
class Scores:
    """Attention scores with what is known about their extrema over free positions and token prefixes.

    token, prefix_low, prefix_high: "q t"; own (of the query at its own position), free_low, free_high: "q 1".
    """

    token: Enclosure
    own: Enclosure
    free_low: Enclosure
    free_high: Enclosure
    prefix_low: Enclosure
    prefix_high: Enclosure

    @staticmethod
    def of(tables: AdditiveTables) -> "Scores":
        """Compute the extrema once for all labels."""
        free, queries = tables.position_score[:, :-1], np.arange(tables.position_score.shape[0])
        return Scores(
            token=tables.token_score,
            own=tables.token_score[queries, queries].reshape(-1, 1) + tables.position_score[:, -1:],
            free_low=free.min(1).reshape(-1, 1),
            free_high=free.max(1).reshape(-1, 1),
            prefix_low=tables.token_score.running_min(1),
            prefix_high=tables.token_score.running_max(1),
        )

    def reference(self, queries: IntArray, top: int) -> Enclosure:
        """The constants r(q) subtracted from the scores of `queries`, "q 1": the largest that the query itself or a token
        below `top` at a free position can have.

        Any real number is allowed. This one is the upper end of what is known about the largest score, so that exp only sees
        numbers up to 0 (or what rounding adds to it), and weights lie between 0 and 1.
        """
        others = self.prefix_high[queries, top - 1].reshape(-1, 1) + self.free_high[queries]
        return others.maximum(self.own[queries]).representative()


@dataclass(frozen=True)
class ValueLeads:
    """All leads that labels can have: of the direct path (minus c), and of the values (plus c).

    token: rows (t, j) if `joint`, else rows t, with those of the positions apart. `n_ctx`: number of positions K.
    """

    direct: Leads
    token: Leads
    position: Leads | None
    n_ctx: int

    @staticmethod
    def of(setting: Setting, tables: AdditiveTables, blocks: RivalBlocks, joint: bool) -> "ValueLeads":
        """Prepare the tables for leads over these blocks, the values of token and position taken together or apart."""
        n_ctx, (vocab, outputs) = order_statistic(setting).n_ctx, tables.token_value.shape
        half = setting.arithmetic.exact(np.ones((1, 1), np.int64), np.full((1, 1), -1))
        extremes = tables.direct.max(0) + tables.direct.min(0)
        common = (extremes.reshape(1, outputs) * half).representative()
        direct, token, position = tables.direct - common, tables.token_value + common, tables.position_value
        if joint:
            both = token.reshape(vocab, 1, outputs) + position.reshape(1, n_ctx, outputs)
            token = both.reshape(vocab * n_ctx, outputs)
        apart = None if joint else Leads.of(position, blocks)
        return ValueLeads(Leads.of(direct, blocks), Leads.of(token, blocks), apart, n_ctx)


@dataclass(frozen=True)
class LabelGaps:
    """How far the values of label m lead those of its rivals, block by block: bounds for the first tokens, "t b".

    last: T_{K-1}(t), at the query's position; free: T(t), the least over free positions.
    """

    label: int
    last: Enclosure
    free: Enclosure

    @staticmethod
    def of(leads: ValueLeads, label: int, top: int) -> "LabelGaps":
        """The gaps of one label for tokens below `top`."""
        n_ctx, tokens = leads.n_ctx, np.arange(top)
        if leads.position is None:
            rows = (tokens[:, None] * n_ctx + np.arange(n_ctx)).reshape(-1)
            both = leads.token(rows, label)
            value = both.reshape(top, n_ctx, both.shape[1])
            return LabelGaps(label, value[:, -1], value[:, :-1].min(1))
        token, position = leads.token(tokens, label), leads.position(np.arange(n_ctx), label)
        return LabelGaps(label, token + position[-1:], token + position[:-1].min(0).reshape(1, token.shape[1]))


@dataclass(frozen=True)
class LabelTerms:
    """The terms of one label and some queries. queries "q": which, ascending; own "q b": their own terms; direct "q b": D(q);
    low, high "q 1": extrema over free positions of what these add to a token's score, less r(q).
    """

    scores: Scores
    gaps: LabelGaps
    queries: IntArray
    own: Enclosure
    direct: Enclosure
    low: Enclosure
    high: Enclosure

    @staticmethod
    def of(setting: Setting, leads: ValueLeads, scores: Scores, gaps: LabelGaps, queries: IntArray) -> "LabelTerms":
        """The terms for `queries`, which are among the tokens of the gaps."""
        direct = plus_margin(setting, leads.direct(queries, gaps.label), -1)
        reference = scores.reference(queries, gaps.free.shape[0])
        own = (direct + gaps.last[queries]) * (scores.own[queries] - reference).exp()
        low, high = (free[queries] - reference for free in (scores.free_low, scores.free_high))
        return LabelTerms(scores, gaps, queries, own, direct, low, high)

    def rows(self, queries: IntArray) -> IntArray:
        """The rows of some of the queries."""
        return np.searchsorted(self.queries, queries)

    def worst(self, tokens: slice) -> Enclosure:
        """H(q, t, B) for some of the gaps' tokens, "q t b"."""
        score, gap = self.scores.token[self.queries, tokens], self.gaps.free[tokens]
        low, high = ((score + free).exp().reshape(*score.shape, 1) for free in (self.low, self.high))
        value = self.direct.reshape(len(self.queries), 1, gap.shape[1]) + gap.reshape(1, *gap.shape)
        return value.least_product(low, high)
