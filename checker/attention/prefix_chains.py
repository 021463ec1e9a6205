"""Rule `prefix-chains`: inputs whose tokens, in order of size, stay below a descending chain of thresholds.

*Classes.* For a cell (q, m, c), c >= 1 if q < m, let n = K-1-c be the number of free tokens other than m, k_1 + .. + k_r = n
numbers and s_1 <= .. <= s_r <= m sizes. The class holds the inputs of the cell whose n other free tokens *fit* in the sense
of chain_counts: in ascending order, the first k_1 are below s_1, the next k_2 below s_2, and so on. It has
(K-1 choose c) times as many members as there are fitting n-tuples. Classes of different cells are disjoint.

*Theorem.* The class is classified correctly if for every block B of rivals with a rival of m (notation of label_terms)

    own(q, B) + c * copy(q, B) + sum_i k_i * min(L_i g_i, H_i g_i) > 0,      g_i = D(q) + min over t < s_i of T(t),

where copy is H(q, m, B), and L_i <= H_i are the extrema of w_j(q, t) over t < s_i and j <= K-2.

*Proof.* Give the tokens of a member that are not m, in ascending order, the levels 1 (k_1 times), 2 (k_2 times), ..: a token
t of level i is below s_i. By the lemma of label_terms, h_j(q, t, o) >= w_j(q, t) (D(q) + T(t)) >= w_j g_i, with w_j in
[L_i, H_i] and positive, so it is at least min(L_i g_i, H_i g_i). Sum over the tokens.

*Parameter:* joint (0 or 1; see label_terms). *Hints:* `rivals` "l o": the block of every output, for every label or for all
(see rival_blocks). `numbers` "c r": k_1 .. k_r for every c. `size` "q m c r": s_1 .. s_r, or -1 throughout where nothing is
claimed. *Checked:* that the claims are such classes, and the inequality for every class and block.
"""

import math
from dataclasses import dataclass

import numpy as np

from certificates.certificate import Step
from certificates.tensor_file import IntArray
from checker.attention.chain_counts import charge_for_counting, fitting_tuples
from checker.attention.label_terms import LabelGaps, LabelTerms, Scores, ValueLeads
from checker.attention.order_statistic import OrderStatistic, order_statistic
from checker.attention.rival_blocks import RivalBlocks
from checker.attention.tables import take_tables
from checker.core.enclosures import BoolArray, Enclosure
from checker.core.errors import Refused
from checker.core.facts import CertifiedInputs, Fact, Setting, take_hints, take_parameters
from checker.core.parallel import in_order

_BLOCK = 2**19
"""Elements in the largest array of one block of classes."""
_MAX_LEVELS = 4
_BYTES_PER_CLASS = 128
"""Memory for what is remembered of a class, roughly."""


@dataclass(frozen=True)
class Chains:
    """The classes a step claims. query, label, copies "x", levels "x r": all classes, sorted by label."""

    task: OrderStatistic
    numbers: IntArray
    size: IntArray
    query: IntArray
    label: IntArray
    copies: IntArray
    levels: IntArray

    @staticmethod
    def claimed(task: OrderStatistic, numbers: IntArray, size: IntArray) -> "Chains":
        """From the hints; refuses claims that are no classes."""
        if np.any(numbers < 0) or np.any(numbers > task.free):
            raise Refused(f"the numbers of tokens per level must lie between 0 and {task.free}")
        if np.any(numbers.sum(axis=1) + np.arange(task.n_ctx) != task.free):
            raise Refused("the levels of a chain must fill all free positions that the copies leave")
        label, query, copies = np.nonzero((size != -1).any(axis=3).transpose(1, 0, 2))
        levels = size[query, label, copies]
        if np.any(query > label) or np.any((copies == 0) & (query < label)):
            raise Refused("a class is claimed in a cell (q, m, c) without inputs: q > m, or q < m and c = 0")
        if np.any(levels < 0) or np.any(levels > label[:, None]):
            raise Refused("a prefix size must lie between 0 and the label")
        if np.any(levels[:, 1:] < levels[:, :-1]):
            raise Refused("the sizes of a chain must not decrease")
        return Chains(task, numbers, size, query, label, copies, levels)

    def certified(self, setting: Setting) -> CertifiedInputs:  # constructs a fact: called by the rule only, after its checks
        """The fact that all claimed classes are classified correctly."""
        correct = 0
        for copies, numbers in enumerate(self.numbers.tolist()):
            levels, classes = np.unique(self.levels[self.copies == copies], axis=0, return_counts=True)
            charge_for_counting(setting.meter, len(levels), numbers)
            fitting = fitting_tuples(levels, numbers)
            correct += math.comb(self.task.free, copies) * sum(map(int, fitting * classes.astype(object)))
        return CertifiedInputs(correct, np.asarray((self.size != -1).any(axis=3), np.bool_), self._covers, self._covers)

    def _covers(self, tokens: IntArray) -> BoolArray:
        query, label, copies = self.task.cells_of(tokens)
        levels, needed = self.size[query, label, copies], np.cumsum(self.numbers[copies], axis=1)
        others = np.where(tokens[:, :-1] == label[:, None], self.task.d_vocab, tokens[:, :-1])
        below = (others[:, None, :] < levels[:, :, None]).sum(axis=2)
        return np.asarray((levels != -1).all(axis=1) & (below >= needed).all(axis=1), np.bool_)


def prefix_chains(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> CertifiedInputs:
    """Apply the rule to additive tables. Parameter: `joint`. Hints: `rivals` "l o", `numbers` "c r", `size` "q m c r"."""
    tables = take_tables(step, premises)
    (joint,) = take_parameters(step, "joint")
    task, outputs = order_statistic(setting), tables.direct.shape[1]
    vocab, n_ctx = task.d_vocab, task.n_ctx
    hints = take_hints(setting, step, rivals=(None, outputs), numbers=(n_ctx, None), size=(vocab, vocab, n_ctx, None))
    levels = hints["numbers"].shape[1]
    if not 1 <= levels <= _MAX_LEVELS or hints["size"].shape[3] != levels:
        raise Refused(f"a chain has 1 to {_MAX_LEVELS} levels, as many in `size` as in `numbers`")
    task.require_largest(step.rule)
    if joint not in (0, 1):
        raise Refused("joint is 0 or 1")
    setting.meter.allocate(_BYTES_PER_CLASS * vocab * vocab * n_ctx)
    chains = Chains.claimed(task, hints["numbers"], hints["size"])
    blocks = RivalBlocks.of(hints["rivals"], vocab)
    scores = Scores.of(tables)
    leads = ValueLeads.of(setting, tables, blocks, joint == 1)
    per_block = max(1, _BLOCK // (blocks.most * n_ctx))  # queries

    def check_label(label: int) -> None:
        gaps = LabelGaps.of(leads, label, label + 1)
        least = gaps.free.running_min(0)
        of_label = np.flatnonzero(chains.label == label)
        queries = np.unique(chains.query[of_label])
        for start in range(0, len(queries), per_block):
            block = queries[start : start + per_block]
            terms = LabelTerms.of(leads, scores, gaps, block)
            _check(chains, scores, terms, least, block, of_label[np.isin(chains.query[of_label], block)])

    list(in_order(setting.meter, setting.jobs, check_label, np.unique(chains.label).tolist()))
    return chains.certified(setting)


def _check(chains: Chains, scores: Scores, terms: LabelTerms, least: Enclosure, block: IntArray, part: IntArray) -> None:
    """Check the inequality for the classes `part`, of one label, whose queries are in `block`. least: running minima of T."""
    depth = (chains.numbers[chains.copies[part]] > 0).astype(np.int64) * np.arange(1, chains.numbers.shape[1] + 1)
    last_level = depth.max(axis=1)
    part = part[np.argsort(last_level, kind="stable")]  # so that classes with nothing on the further levels come first
    ends = np.searchsorted(np.sort(last_level), np.arange(chains.numbers.shape[1] + 1), side="right")
    row = np.searchsorted(block, chains.query[part])
    margin = terms.own[row] + terms.copy[row].times(chains.copies[part].reshape(-1, 1))
    begin = 0
    for level, end in enumerate(ends):
        proved = margin[: end - begin].positive().all(axis=1)
        if not proved.all():
            bad = int(part[begin + np.argmin(proved)])
            raise Refused(
                f"class (query {chains.query[bad]}, maximum {chains.label[bad]}, copies {chains.copies[bad]}, "
                f"prefix sizes {chains.levels[bad].tolist()}) is not proved correct"
            )
        margin, begin = margin[end - begin :], int(end)
        if begin == len(part):
            return
        rest = part[begin:]
        query, rows = chains.query[rest], row[begin:]
        last = np.maximum(chains.levels[rest, level] - 1, 0)  # an empty prefix has no members: any token will do
        reference = terms.reference[rows]
        low = scores.prefix_low[query, last].reshape(-1, 1) + scores.free_low[query] - reference
        high = scores.prefix_high[query, last].reshape(-1, 1) + scores.free_high[query] - reference
        others = (terms.direct[rows] + least[last]).least_product(low.exp(), high.exp())
        margin = margin + others.times(chains.numbers[chains.copies[rest], level].reshape(-1, 1))
