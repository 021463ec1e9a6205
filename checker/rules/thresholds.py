"""Rule `thresholds`: prefix classes (rules/prefix_classes), rivals one by one.

*Theorem.* Class (q, m, c; s) is classified correctly if for every output o != m, with n = K-1-c,

    own(q, o) + c * copy(q, o) + n * min(L g, H g) > 0,        g = free(q, o) + min over t < s of token gap(t, o),

where own, copy and free are those of rules/label_terms, and L <= H are the extrema of w_j(q, t) over t < s and j <= K-2.

*Proof.* By additive-tables, a member x is correct if sum_j h_j(q, x_j, o) > 0 for every o != m. The last position
contributes own; each of the c copies at least copy (lemma of label_terms). A free token t < s at position j has
gap_j(q, t, o) >= g, and weight w_j in [L, H], positive, so h_j >= w_j g >= min(L g, H g); there are n of them.
For n = 0 the last term is absent. *Checked:* the inequality, for every claimed class and every rival.
"""

import numpy as np

from certificates.certificate import Step
from checker.facts import CertifiedInputs, Fact, Setting, take_tables
from checker.rules.label_terms import LabelGaps, LabelTerms, Scores
from checker.rules.prefix_classes import PrefixClasses

_BLOCK = 2**19
"""Elements in the largest array of one block of classes."""


def thresholds(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> CertifiedInputs:
    """Apply the rule to additive tables. Hint: `size` "q m c"."""
    tables = take_tables(step, premises)
    classes = PrefixClasses.claimed(setting, step)
    scores = Scores.of(tables)
    per_block = max(1, _BLOCK // (tables.direct.shape[1] * setting.task.n_ctx))  # queries
    for label in np.unique(classes.label):
        gaps = LabelGaps.of(tables, int(label))
        least_gap = gaps.token.running_min(0)
        of_label = np.flatnonzero(classes.label == label)
        queries = np.unique(classes.query[of_label])
        for start in range(0, len(queries), per_block):
            block = queries[start : start + per_block]
            terms = LabelTerms.of(tables, scores, gaps, block)
            part = of_label[np.isin(classes.query[of_label], block)]
            query, copies = classes.query[part], classes.copies[part].reshape(-1, 1)
            row = np.searchsorted(block, query)
            last = np.maximum(classes.size[part] - 1, 0)  # where n = 0 any token will do: the term is multiplied by 0
            low = scores.prefix_low[query, last].reshape(-1, 1) + scores.free_low[query]
            high = scores.prefix_high[query, last].reshape(-1, 1) + scores.free_high[query]
            reference = terms.reference[row]
            others = (terms.free[row] + least_gap[last]).least_product((low - reference).exp(), (high - reference).exp())
            margin = terms.own[row] + terms.copy[row].times(copies) + others.times(setting.task.free - copies)
            proved = margin.positive().all(axis=1)
            if not proved.all():
                raise classes.refusal(int(part[np.argmin(proved)]))
    return classes.certified()
