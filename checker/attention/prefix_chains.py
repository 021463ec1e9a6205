"""Rule `prefix-chains`: inputs whose tokens, in order of size, stay below a descending chain of thresholds.

*Theorem.* For Max-of-K, consider classes (see classes, cell_classes) whose levels are prefixes: L_i holds the tokens below a
size s_i <= m. With

    g_i = min(low_i u, high_i u),      u = D(q) + min over t < s_i of T(t),

where low_i <= high_i are the extrema of w_j(q, t) over t < s_i and j <= K-2, their inequality may be used.

*Proof.* For a token t < s_i, H(q, t, B) is w (D(q) + T(t)) for some w from low_i to high_i, none of them negative, and
D(q) + T(t) >= u: so it is at least w u, and hence g_i.

*Parameter:* joint (0 or 1; see label_terms). *Hints:* `rivals` "l o": the block of every output, for every label or for all
(see rival_blocks). `numbers` "c r": k_1 .. k_r for every c. `size` "q m c r": s_1 .. s_r, or -1 throughout where nothing is
claimed. *Checked:* that the claims are such classes, and the inequality for every class and block.
"""

import numpy as np

from certificates.certificate import Step
from certificates.tensor_file import IntArray
from checker.attention.cell_classes import Cells, Minima, require_correct
from checker.attention.classes import Classes, Numbers
from checker.attention.label_terms import LabelTerms
from checker.attention.order_statistic import order_statistic
from checker.attention.prefixes import GATHERED_PER_TOKEN, tokens_below
from checker.attention.tables import take_tables
from checker.core.enclosures import BoolArray, Enclosure
from checker.core.errors import Refused
from checker.core.facts import CertifiedInputs, Fact, Setting, take_hints, take_parameters


def prefix_chains(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> CertifiedInputs:
    """Apply the rule to additive tables. Parameter: `joint`. Hints: `rivals` "l o", `numbers` "c r", `size` "q m c r"."""
    tables = take_tables(step, premises)
    (joint,) = take_parameters(step, "joint")
    task, outputs = order_statistic(setting), tables.direct.shape[1]
    vocab, n_ctx = task.d_vocab, task.n_ctx
    hints = take_hints(setting, step, rivals=(None, outputs), numbers=(n_ctx, None), size=(vocab, vocab, n_ctx, None))
    size, levels = hints["size"], hints["numbers"].shape[1]
    task.require_largest(step.rule)
    numbers = Numbers.hinted(task, hints["numbers"][:, None])
    if size.shape[3] != levels:
        raise Refused("a chain has as many levels in `size` as in `numbers`")
    setting.meter.hold(vocab * vocab * n_ctx)
    claimed = (size != -1).any(axis=3)
    cells = Cells.claimed(setting, claimed[..., None], levels)
    sizes = size[cells.query, cells.label, cells.copies].reshape(-1, 1, levels)
    classes = Classes.of(task, numbers, (cells.label, cells.copies, cells.above), cells.copies, sizes)

    def minima(terms: LabelTerms, part: IntArray) -> Minima:
        prefix_gap = terms.gaps.free.running_min(0)

        def least(which: IntArray, side: int, level: int) -> Enclosure:
            query, last = cells.query[which], sizes[which, side, level] - 1
            row = terms.rows(query)
            low = terms.scores.prefix_low[query, last].reshape(-1, 1) + terms.low[row]
            high = terms.scores.prefix_high[query, last].reshape(-1, 1) + terms.high[row]
            return (terms.direct[row] + prefix_gap[last]).least_product(low.exp(), high.exp())

        return least

    require_correct(setting, tables, (hints["rivals"], joint), cells, classes, 1, minima)

    def covers(tokens: IntArray) -> BoolArray:
        setting.meter.gathering(GATHERED_PER_TOKEN * (tokens.size + 1000) * levels)
        query, label, copies = task.cells_of(tokens)
        within = tokens_below(tokens, label, size[query, label, copies])
        return np.asarray(claimed[query, label, copies] & numbers.fit(copies, within), np.bool_)

    correct = classes.count(task, setting.meter, np.ones(len(cells.label), np.int64))
    return CertifiedInputs(correct, claimed, covers, covers)
