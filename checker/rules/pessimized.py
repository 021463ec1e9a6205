"""Rule `pessimized`: prefix classes (rules/prefix_classes), all rivals at once; nothing of size V**3.

*Theorem.* Let c be any vector over outputs. For a table X[i, o] write lead X(i, m) = X[i, m] - max over o != m of X[i, o], and

    D(q, m) = lead of (direct - c),      T_j(t, m) = lead of (token_value[t, .] + position_value[j, .] + c).

With T(t, m) = min over j <= K-2 of T_j(t, m), class (q, m, k; s) -- k copies of m, n = K-1-k other free tokens below s --
is classified correctly if

    w_{K-1}(q, q) (D(q, m) + T_{K-1}(q, m)) + k * min(l a, h a) + n * min(L b, H b) > 0,
    a = D(q, m) + T(m, m),      b = D(q, m) + min over t < s of T(t, m),

where l <= h are the extrema of w_j(q, m) over j <= K-2, and L <= H those of w_j(q, t) over t < s and j <= K-2.

*Proof.* For every rival o at once, gap_j(q, t, o) >= D(q, m) + T_j(t, m), because the gap is that of (direct - c) plus that
of (token + position + c), and the maximum of a sum is at most the sum of the maxima. Weights are positive, so the
inequality of additive-tables follows as in rules/thresholds. For n = 0 the last term is absent.

The checker takes for c the middle of direct[., o] over all queries: what all queries share is then pessimised together with
the value path, where it belongs. *Checked:* the inequality, for every claimed class.
"""

import numpy as np

from certificates.certificate import Step
from checker.enclosures import Enclosure
from checker.facts import AdditiveTables, CertifiedInputs, Fact, Setting, take_tables
from checker.rules.label_terms import Scores
from checker.rules.prefix_classes import PrefixClasses


def _lead(table: Enclosure, labels: int) -> Enclosure:
    """Lead of every label m below `labels` over the other outputs, in every row: "i o" -> "i m"."""
    outputs = table.shape[1]
    before = table.running_max(1)
    after = table[:, ::-1].running_max(1)[:, ::-1]
    inner = before[:, : outputs - 2].maximum(after[:, 2:])
    others = after[:, 1:2].concatenate([inner, before[:, outputs - 2 : outputs - 1]], axis=1)
    return table[:, :labels] - others[:, :labels]


def pessimized(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> CertifiedInputs:
    """Apply the rule to additive tables. Hint: `size` "q m c"."""
    tables = take_tables(step, premises)
    classes = PrefixClasses.claimed(setting, step)
    if len(classes.query) == 0:
        return classes.certified()
    task = setting.task
    scores = Scores.of(tables)
    direct, own_value, free_value = _leads(setting, tables)
    least_value = free_value.running_min(0)

    # One row per cell (q, m), then one per class.
    cells, row = np.unique(np.stack([classes.query, classes.label], axis=1), axis=0, return_inverse=True)
    row = row.reshape(-1)
    q, m = cells[:, 0], cells[:, 1]
    reference = scores.reference(q, m).reshape(-1)
    free_low, free_high = scores.free_low[q, 0] - reference, scores.free_high[q, 0] - reference
    own_weight = (scores.token[q, q] + scores.position[q, -1] - reference).exp()
    own = (direct[q, m] + own_value[q, m]) * own_weight
    copy = (direct[q, m] + free_value[m, m]).least_product(
        (scores.token[q, m] + free_low).exp(), (scores.token[q, m] + free_high).exp()
    )
    last = np.maximum(classes.size - 1, 0)  # where n = 0 any token will do: the term is multiplied by 0
    low = (scores.prefix_low[classes.query, last] + free_low[row]).exp()
    high = (scores.prefix_high[classes.query, last] + free_high[row]).exp()
    others = (direct[classes.query, classes.label] + least_value[last, classes.label]).least_product(low, high)
    margin = own[row] + copy[row].times(classes.copies) + others.times(task.free - classes.copies)
    proved = margin.positive()
    if not proved.all():
        raise classes.refusal(int(np.argmin(proved)))
    return classes.certified()


def _leads(setting: Setting, tables: AdditiveTables) -> tuple[Enclosure, Enclosure, Enclosure]:
    """D "q m", T_{K-1} "t m" and T "t m" of the theorem."""
    vocab, n_ctx = setting.task.d_vocab, setting.task.n_ctx
    outputs = tables.direct.shape[1]
    half = setting.arithmetic.exact(np.ones((1, 1), np.int64), np.full((1, 1), -1))
    extremes = tables.direct.max(0) + tables.direct.min(0)
    common = (extremes.reshape(1, outputs) * half).representative()
    value = (tables.token_value + common).reshape(vocab, 1, outputs) + tables.position_value.reshape(1, n_ctx, outputs)
    leads = _lead(value.reshape(vocab * n_ctx, outputs), vocab).reshape(vocab, n_ctx, vocab)
    return _lead(tables.direct - common, vocab), leads[:, -1], leads[:, :-1].min(1)
