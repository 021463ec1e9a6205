"""The terms of the classification inequality that rules about composition classes share, for one label at a time.

Notation of rules/additive_tables. For a label m, a rival o != m and free positions j <= K-2, write

    gap_j(q, t, o) = (direct[q, m] - direct[q, o]) + (token_value[t, m] - token_value[t, o])
                     + (position_value[j, m] - position_value[j, o]),             h_j(q, t, o) = w_j(q, t) gap_j(q, t, o).

*Lemma (position extrema).* With free_gap(q, t, o) = min over j <= K-2 of gap_j(q, t, o), and with low(q, t) <= high(q, t)
the extrema over j <= K-2 of w_j(q, t), every free position has h_j(q, t, o) >= min(low free_gap, high free_gap).
*Proof.* w_j > 0, so h_j >= w_j free_gap, which is least at low if free_gap >= 0 and at high otherwise. Both minima are
sums of separate minima because gap and score are sums of a term in t and a term in j.
"""

from dataclasses import dataclass

import numpy as np

from certificates.tensor_file import IntArray
from checker.enclosures import Enclosure
from checker.facts import AdditiveTables


@dataclass(frozen=True)
class Scores:
    """Attention scores with what is known about their extrema over free positions and token prefixes.

    token, prefix_low, prefix_high: "q t"; position: "q j"; free_low, free_high: "q 1".
    """

    token: Enclosure
    position: Enclosure
    free_low: Enclosure
    free_high: Enclosure
    prefix_low: Enclosure
    prefix_high: Enclosure

    @staticmethod
    def of(tables: AdditiveTables) -> "Scores":
        """Compute the extrema once for all labels."""
        free = tables.position_score[:, :-1]
        queries = free.shape[0]
        return Scores(
            token=tables.token_score,
            position=tables.position_score,
            free_low=free.min(1).reshape(queries, 1),
            free_high=free.max(1).reshape(queries, 1),
            prefix_low=tables.token_score.running_min(1),
            prefix_high=tables.token_score.running_max(1),
        )

    def reference(self, queries: IntArray, label: IntArray | int) -> Enclosure:
        """The constants r(q) subtracted from the scores of `queries`, "q 1": near the largest score of a token <= label.

        Any real number is allowed; this choice keeps the weights that matter near one.
        """
        largest = self.prefix_high[queries, label].reshape(len(queries), 1) + self.free_high[queries]
        return largest.representative()


@dataclass(frozen=True)
class LabelGaps:
    """Differences between the values of label m and of its rivals (all outputs but m, in order).

    token: "t o" for t <= m; position: "j o" for all K positions; free: "1 o", the least over free positions.
    """

    label: int
    rivals: IntArray
    token: Enclosure
    position: Enclosure
    free: Enclosure

    @staticmethod
    def of(tables: AdditiveTables, label: int) -> "LabelGaps":
        """The gaps of one label."""
        outputs = tables.direct.shape[1]
        rivals = np.delete(np.arange(outputs), label)
        token = tables.token_value[: label + 1, label : label + 1] - tables.token_value[: label + 1, rivals]
        position = tables.position_value[:, label : label + 1] - tables.position_value[:, rivals]
        return LabelGaps(label, rivals, token, position, position[:-1].min(0).reshape(1, outputs - 1))


@dataclass(frozen=True)
class LabelTerms:
    """The inequality's parts that do not depend on the composition, for one label and some queries.

    own "q o": the query's own term h_{K-1}(q, q, o); free "q o": direct gaps plus the least
    positional gaps; copy "q o": lower bound of h_j(q, m, o) over free positions; reference "q 1": r(q).
    """

    own: Enclosure
    free: Enclosure
    copy: Enclosure
    reference: Enclosure

    @staticmethod
    def of(tables: AdditiveTables, scores: Scores, gaps: LabelGaps, queries: IntArray) -> "LabelTerms":
        """The parts for `queries`, all <= the label."""
        label, rows = gaps.label, len(queries)
        direct = tables.direct[queries, label].reshape(rows, 1) - tables.direct[np.ix_(queries, gaps.rivals)]
        reference = scores.reference(queries, label)
        own_score = scores.token[queries, queries].reshape(rows, 1) + scores.position[queries, -1:]
        own = (direct + gaps.token[queries] + gaps.position[-1:]) * (own_score - reference).exp()
        free = direct + gaps.free
        label_score = scores.token[queries, label].reshape(rows, 1) - reference
        copy = (free + gaps.token[label : label + 1]).least_product(
            (label_score + scores.free_low[queries]).exp(), (label_score + scores.free_high[queries]).exp()
        )
        return LabelTerms(own, free, copy, reference)
