"""Rule `potentials`: a transformer is right on all inputs of a region, by sums over what its last layer attends to.

*Model.* A `transformer` (FORMAT.md, 2.6) with one layer, or with several whose last one works on classes of prefixes
(`prefix_classes`); an MLP, if any, is of ReLU units that read the residual stream as it is. *Task* and *regions*: those of a
finer automaton (`finer`), in the m steps of which all positions that the read sees are read. w_j, v_j, c, Z, N: see `reads`,
for each head h of the last layer.

*Ratios.* Let Z be that of the first head, and rho_h = Z / Z_h for the others, all positive; for each query and h let there be
numbers e_h0, .., e_hB (hints), B >= 1. A *box* has a place i from 0 to B-1 for each h; with a_h = e_hi and b_h = e_h,i+1, its
corners kappa are a_h or b_h for each h, and rho is *in* it if a_h <= rho_h < b_h for each h. Some boxes are *claimed* for a
region: all those with places from i_h to j_h, for each h (checked). If for each h, Z - e_h,i_h Z_h > 0 and e_h,j_h+1 Z_h - Z >
0 on an input, then rho is in a claimed box: of e_h,i_h, .., e_h,j_h+1, the last one that is at most rho_h is not the very last,
and its place is that of the box. (So nothing else is asked of e: numbers need not rise.)

*Sums.* Let b be the residual stream with each head reading its c, O_h what head h writes, and y a vector. In the residual
stream x after attention, for any numbers mu_h (hints), since mu_h (Z - rho_h Z_h) = 0,

    Z x.y = sum_j w_0j (b.y + (v_0j - c_0) O_0 y + sum_h mu_h) + sum_h rho_h sum_j w_hj ((v_hj - c_h) O_h y - mu_h),

which depends on rho linearly: if rho is in a box, it is between the least and the greatest of what the corners kappa of that
give in place of rho. For each of these it is a sum of terms F_j that depend on the query, j and x_j only. So is Z times what a
unit i reads, p_i, with y the unit's weights and its bias added to b.y.

*Theorem.* Let a region have the output o, and on each of its inputs let rho be in a claimed box. For a rival r, let D be the
difference of the two outputs' columns in the unembedding (its rows multiplied by the last norm's weights, less their mean in
LN), beta that of their biases, less the margin, and a_i = W_out[i].D. For each claimed box, let 0 <= s_i <= 1, for each unit,
let l_i and u_i be bounds of what all its corners give for Z p_i, and S_r a lower bound of what they give for

    Z (x.D + b_out.D + beta + sum_i s_i a_i p_i)

(a Z x.y, plus what is added) on all inputs of the region. If for each claimed box and every rival

    S_r  +  sum_i min(a_i, 0) max(relu(u_i) - s_i u_i, relu(l_i) - s_i l_i)  >  0

then o leads by more than the margin.

*Proof.* Take an input of the region. If all is padding that p sees, all sums are 0 on it, so S_r <= 0, and the inequality is
false, as min(a_i, 0) multiplies a number >= 0. Else take the claimed box that rho is in. As sums are between what its corners
give, l_i <= Z p_i <= u_i, and S_r is at most the sum that it bounds. Z > 0, and the lead less the margin, times Z, is
Z (x.D + b_out.D + beta) + sum_i a_i relu(Z p_i). For t = Z p_i, relu(t) - s t is convex and at least 0, so at most the greater
of its values at l and u. So a relu(t) >= a s t, plus min(a, 0) times that.

*A last norm* divides by its root sigma(x) = sqrt(|x|^2 / d + eps), in LN of x less its mean. The lead less the margin, times
sigma, is x.D + sigma beta. If that is positive, so is sigma, since x.D were 0 otherwise. With m_hj = (v_hj - c_h) O_h, x is b
plus, for each head, a mean of m_hj with weights w_hj / Z_h. Lengths are convex: so

    Z sigma(x)  >=  sum_j w_0j (sigma(b) + b.m_0j / (d sigma(b)))  +  sum_h>0 rho_h sum_j w_hj b.m_hj / (d sigma(b)),
    Z sigma(x)  <=  sum_j w_0j sigma(b + m_0j)                     +  sum_h>0 rho_h sum_j w_hj |m_hj| / sqrt(d),

the tangent at b, which needs sigma(b) > 0 (checked for every query, or the step is refused), and Jensen's inequality. So
Z sigma beta is at least beta times the first sum if beta >= 0, the second one if not: in the sums above, this takes the place
of what is added for beta.

*Sums over the inputs of a region.* There are two ways. (1) Let hull(s) be {0} for the first states, and hull(s') the least
interval that contains hull(s) + F_j for all s and tokens that lead to s'; then the sum is in the hull of the region's state.
(2) Let every state of the finer automaton have a *number* X (hint), and let some regions with one query be a *family*. For any
*multiplier* alpha (hint), an input of a region f in it adds F_j - alpha (X(s') - X(s)) in each step, and these differences
add up to X(f) - X(first state). So its sum is at least

    alpha (X(f) - X(first state)) + sum over the steps of the least F_j - alpha (X(s') - X(s))

over all steps (s, token, s') on a way from the first states to a region of the family; alpha X is the potential of a shortest
path. The greatest of the bounds for several alpha counts. Families are the regions with the same query for l, u and the ratios,
and those with the same query and slopes for S_r; of regions for which a box is claimed, box by box.
"""

from dataclasses import dataclass
from fractions import Fraction
from itertools import product

import numpy as np

from certificates.certificate import Step
from certificates.tensor_file import IntArray
from certificates.transformer import Transformer
from checker.core.enclosed_weights import plus_margin, zeros
from checker.core.enclosures import BoolArray, Enclosure
from checker.core.errors import Refused
from checker.core.facts import Fact, Setting, take_parameters
from checker.transformer.activations import fraction
from checker.transformer.after_attention import AfterAttention
from checker.transformer.finer import FinerAutomaton, RightAtRead, finer_automaton
from checker.transformer.reads import Read

_SLOPE_BITS, _MULTIPLIER_BITS = 8, 24
_MOST_HEADS = 6
_MOST_BOXES = 64
_LARGEST_NUMBER, _LARGEST_MULTIPLIER = 2**20, 2**40
_BLOCK = 2**18
"""Elements in the largest array of a block of families."""


@dataclass(frozen=True)
class Patterns:
    """Outputs "k" with slopes s "k m" of the units; the a of all rivals "m k r"; and y and what is added to b.y, "d x" and
    "1 x": first of all units, then for the first summand of the theorem, "k r". beta "1 x", if there is a last norm and any.
    """

    output: IntArray
    slopes: Enclosure
    influence: Enclosure
    columns: Enclosure
    constants: Enclosure
    beta: Enclosure | None = None

    def of_rivals(self, pattern: IntArray) -> IntArray:
        """The columns "i r" for the first summand."""
        units, _, rivals = self.influence.shape
        return np.asarray(units + pattern[:, None] * rivals + np.arange(rivals), np.int64)


@dataclass(frozen=True)
class Terms:
    """For each step F "q c x", if it adds anything, and the columns "v" of symbols.

    For a box; x: for each column of the patterns all corners, then Z - a_h Z_h and b_h Z_h - Z for the heads but the first.
    """

    steps: list[tuple[Enclosure, IntArray] | None]
    corners: int
    heads: int

    def at_corners(self, columns: IntArray) -> IntArray:
        """Of columns "i c" of the patterns, those at all corners, "i c x corners"."""
        return (columns[:, :, None] * self.corners + np.arange(self.corners)).reshape(len(columns), -1)

    def least(self, bounds: Enclosure) -> Enclosure:
        """The least of all corners: from "f c x corners" to "f c"."""
        return bounds.reshape(bounds.shape[0], -1, self.corners).min(2)


@dataclass(frozen=True)
class Bounds:
    """Of regions, for a box: l and u "f m"; S_r "f r"; of Z - a_h Z_h and b_h Z_h - Z "f h"."""

    low: Enclosure
    high: Enclosure
    sums: Enclosure
    ratios: Enclosure


@dataclass(frozen=True)
class Families:
    """By number "i" the query of each, in increasing order; and of the regions "f" that are claimed their families."""

    query: IntArray
    of: IntArray


def _patterns(read: Read, output: IntArray, slopes: IntArray) -> Patterns:
    setting, layers, config = read.setting, read.layers, read.config
    weights, count, units = layers.weights, len(output), config.d_mlp
    setting.meter.allocate(16 * count * config.d_vocab_out)
    rivals = (output[:, None] + np.arange(1, config.d_vocab_out)) % config.d_vocab_out
    unembed, bias = AfterAttention(layers, read.base, read.out).unembedding
    lead = (unembed[:, output].reshape(-1, count, 1) - unembed[:, rivals]).reshape(config.d_model, -1)
    added = zeros(setting, 1, rivals.size)
    if bias is not None:
        added = plus_margin(setting, (bias[:, output].reshape(-1, count, 1) - bias[:, rivals]).reshape(1, -1), -1)
    s = setting.arithmetic.exact(slopes, np.full(slopes.shape, -_SLOPE_BITS, np.int64))
    if config.attn_only:
        beta = None if config.normalization_type is None or bias is None else added
        constants = added if beta is None else zeros(setting, 1, rivals.size)
        return Patterns(output, s, zeros(setting, 0, *rivals.shape), lead, constants, beta)
    mlp = f"blocks.{config.n_layers - 1}.mlp."
    influence = weights[f"{mlp}W_out"] @ lead
    if f"{mlp}b_out" in weights:
        added = added + weights[f"{mlp}b_out"] @ lead
    scaled = (influence.reshape(units, *rivals.shape) * s.T.reshape(units, count, 1)).reshape(units, -1)
    inward = weights[f"{mlp}W_in"]
    bias = layers.plus(zeros(setting, 1, units), f"{mlp}b_in")
    columns = inward.concatenate([lead + inward @ scaled], 1)
    constants = bias.concatenate([added + bias @ scaled], 1)
    return Patterns(output, s, influence.reshape(units, *rivals.shape), columns, constants)


@dataclass(frozen=True)
class Roots:
    """For a last norm: beta "1 x"; as the norm reads them b "q d", its square "q 1", and what heads write, "e d" each; the root
    of b "q 1".
    """

    read: Read
    after: AfterAttention
    beta: Enclosure
    base: Enclosure
    square: Enclosure
    written: list[Enclosure]
    root: Enclosure

    @staticmethod
    def of(read: Read, beta: Enclosure) -> "Roots":
        """Of a model with a last norm."""
        after, size = AfterAttention(read.layers, read.base, read.out), read.config.d_head
        base, out = read.base @ after.centring, read.out @ after.centring
        square = base.square().sum(1).reshape(-1, 1)
        written = [out[start : start + size] for start in range(0, out.shape[0], size)]
        return Roots(read, after, beta, base, square, written, after.root(square))

    def least(self, position: int, head: int) -> Enclosure:
        """What a head's tokens at a position give, "q c x", for the root times beta (see the theorem)."""
        low, high = (end.reshape(*end.shape, 1) for end in self._bounds(position, head))
        beta, zero = self.beta.reshape(1, 1, -1), zeros(self.read.setting, 1, 1, 1)
        return low * beta.maximum(zero) + high * beta.minimum(zero)

    def _bounds(self, position: int, head: int) -> tuple[Enclosure, Enclosure]:
        """For the root, from below and from above, "q c"."""
        moved = self.read.values(position)[:, head] @ self.written[head]
        lengths, share = moved.square().sum(1), fraction(moved.arithmetic, Fraction(1, moved.shape[1]))
        if position == self.read.position:
            products, lengths = (self.base * moved).sum(1).reshape(-1, 1), lengths.reshape(-1, 1)
        else:
            products, lengths = self.base @ moved.T, lengths.reshape(1, -1)
        low = (products * share).over(self.root)
        if head:
            return low, (lengths * share).sqrt()
        return self.root + low, self.after.root(self.square + products + products + lengths)


def _terms(read: Read, steps: int, patterns: Patterns, ratios: Enclosure, enforced: Enclosure) -> Terms:
    """For ratios a_h, b_h "q h 2", and mu_h "q x h" of the columns of patterns."""
    config, queries = read.config, len(read.queries)
    heads, size, columns = config.n_heads, config.d_head, patterns.columns.shape[1]
    written = [read.out[head * size : (head + 1) * size] @ patterns.columns for head in range(heads)]
    roots = None if patterns.beta is None else Roots.of(read, patterns.beta)
    fixed = (read.base @ patterns.columns + patterns.constants + enforced.sum(2)).reshape(queries, 1, columns)
    corners, found = 2 ** (heads - 1), list[tuple[Enclosure, IntArray] | None]()
    for step in range(steps):
        position = read.seen(step)
        if position is None:
            found.append(None)
            continue
        weights = [read.weight(position, head).reshape(queries, -1, 1) for head in range(heads)]
        tokens, values = weights[0].shape[1], read.values(position)
        read.setting.meter.hold(queries * tokens * columns * corners * read.setting.arithmetic.element_bytes // 4)
        shape = (queries, 1, columns) if position == read.position else (1, tokens, columns)
        own = [(values[:, head] @ written[head]).reshape(*shape) for head in range(heads)]
        if roots is not None:
            own = [part + roots.least(position, head) for head, part in enumerate(own)]
        sums, checks = [weights[0] * (fixed + own[0])], list[Enclosure]()
        for head in range(1, heads):
            part = weights[head] * (own[head] - enforced[:, :, head - 1].reshape(queries, 1, columns))
            least, most = (ratios[:, head - 1, end].reshape(queries, 1, 1) for end in (0, 1))
            sums = [before + part * ratio for before in sums for ratio in (least, most)]
            checks += [weights[0] - weights[head] * least, weights[head] * most - weights[0]]
        stacked = [part.reshape(queries, tokens, columns, 1) for part in sums]
        every = stacked[0].concatenate(stacked[1:], 3).reshape(queries, tokens, -1).concatenate(checks, 2)
        found.append((every, read.columns[position]))
    return Terms(found, corners, heads)


def _in_hulls(finer: FinerAutomaton, regions: IntArray, pattern: IntArray, terms: Terms, patterns: Patterns) -> Bounds:
    """Way (1), for regions with these patterns."""
    sums = zeros(finer.read.setting, len(finer.read.queries), terms.corners * patterns.columns.shape[1] + 2 * (terms.heads - 1))
    for step, added in enumerate(terms.steps):
        sums = finer.edges(step).hulls(finer.read.setting, sums, added)
    units, rows = patterns.influence.shape[0], regions[:, None]
    low, high = sums[rows, terms.at_corners(np.arange(units)[None])].ends()
    greatest = high.reshape(len(regions), units, terms.corners).max(2)
    first = sums[rows, terms.at_corners(patterns.of_rivals(pattern))]
    return Bounds(
        terms.least(low),
        greatest,
        terms.least(first),
        sums[rows, np.arange(sums.shape[1] - 2 * (terms.heads - 1), sums.shape[1])],
    )


@dataclass(frozen=True)
class Ways:
    """Steps that lead to regions of families: for each step, by number "e", the family, the symbol, and X(s') - X(s).

    rises "f": X(f) - X(first state) of the regions that are claimed.
    """

    families: Families
    steps: list[tuple[IntArray, IntArray, IntArray]]
    rises: IntArray

    def least(self, setting: Setting, terms: Terms, columns: IntArray, multipliers: Enclosure, up: bool) -> Enclosure:
        """Way (2): for claimed regions bounds "f c" of their families' columns "i c" of sums: from below, or (up) of their
        negatives. multipliers "i a c".
        """
        count, size, width = multipliers.shape
        longest = max(len(family) for family, _, _ in self.steps)
        per_block, found = max(1, _BLOCK * count // max(1, longest * size * width)), list[Enclosure]()
        for start in range(0, count, per_block):
            own = multipliers[start : start + per_block]
            total = zeros(setting, *own.shape)
            for every, added in zip(self.steps, terms.steps, strict=True):
                here = slice(*np.searchsorted(every[0], [start, start + per_block]).tolist())
                family, token, rise = (part[here] for part in every)
                reduced = own[family - start].times(-rise.reshape(-1, 1, 1))
                if added is not None:
                    table, place = added
                    term = table[self.families.query[family][:, None], place[token][:, None], columns[family]]
                    term = term.reshape(len(family), 1, width)
                    reduced = reduced - term if up else reduced + term
                least, _ = reduced.segment_hull(np.flatnonzero(np.diff(family, prepend=-1))).ends()
                total = total + least
            found.append(total)
        sums, of = found[0].concatenate(found[1:], 0), self.families.of
        least, _ = (sums[of] + multipliers[of].times(self.rises.reshape(-1, 1, 1))).ends()
        return least.max(1)


def _ways(finer: FinerAutomaton, regions: IntArray, families: Families, numbers: list[IntArray]) -> Ways:
    """Of the regions "f" that are claimed. numbers: X of the states before each step, and of all regions."""
    meter, first = finer.read.setting.meter, np.searchsorted(families.query, np.arange(len(finer.read.queries)))
    most = int(np.unique(families.query, return_counts=True)[1].max())
    meter.allocate(len(finer.nodes[-1]) * most)
    leads = np.zeros((len(finer.nodes[-1]), most), np.bool_)
    leads[regions, families.of - first[finer.query[regions]]] = True
    steps = list[tuple[IntArray, IntArray, IntArray]]()
    for step in reversed(range(len(finer.tables))):
        edges = finer.edges(step)
        meter.allocate(32 * len(edges.source) * most)
        meter.gathering(4 * len(edges.source) * most)
        leading = leads[edges.target]
        edge, own = np.nonzero(leading)
        meter.sorting(4 * len(edge))
        rise = numbers[step + 1][edges.target] - numbers[step][edges.source]
        rows = np.column_stack([first[edges.query[edge]] + own, edges.symbol[edge], rise[edge]])
        rows = rows[np.lexsort(rows.T[::-1])]
        rows = rows[np.any(np.diff(rows, axis=0, prepend=-1) != 0, axis=1)]
        meter.hold(24 * len(rows))
        steps.insert(0, (rows[:, 0], rows[:, 1], rows[:, 2]))
        leads, starts = np.zeros((len(finer.tables[step]), most), np.bool_), np.flatnonzero(np.diff(edges.source, prepend=-1))
        leads[edges.source[starts]] = np.logical_or.reduceat(leading, starts, axis=0)
    return Ways(families, steps, numbers[-1][regions] - numbers[0][finer.query[regions]])


def _by_multipliers(
    finer: FinerAutomaton, regions: IntArray, pattern: IntArray, terms: Terms, patterns: Patterns, hints: dict[str, IntArray]
) -> tuple[Bounds, dict[str, IntArray]]:
    """Way (2), for regions with these patterns; and the hints with the multipliers of further boxes only."""
    setting, numbers, query = finer.read.setting, hints["numbers"], finer.query[regions]
    ends = np.cumsum([*map(len, finer.tables), len(finer.nodes[-1])])
    if len(numbers) != ends[-1] or _beyond(numbers, _LARGEST_NUMBER):
        raise Refused(f"every state of the finer automaton has a number, from {-_LARGEST_NUMBER} to {_LARGEST_NUMBER}")
    split = np.split(numbers, ends[:-1])
    queries, own_query = np.unique(query, return_inverse=True)
    goals, own_goal = np.unique(np.stack([query, pattern], axis=1), axis=0, return_inverse=True)

    def multipliers(name: str, families: int) -> Enclosure:
        hint = hints[name][:families]
        if len(hint) < families or not hint.shape[1] or _beyond(hint, _LARGEST_MULTIPLIER):
            raise Refused(f"hint {name!r} has multipliers for {families} families, at least one for each sum, none too large")
        return _dyadic(setting, hint)

    ways = _ways(finer, regions, Families(goals[:, 0], own_goal.reshape(-1)), split)
    first = terms.at_corners(patterns.of_rivals(goals[:, 1]))
    sums = terms.least(ways.least(setting, terms, first, multipliers("outer", len(goals)), up=False))
    units, last, inner = (
        patterns.influence.shape[0],
        terms.corners * patterns.columns.shape[1],
        multipliers("inner", len(queries)),
    )
    columns = np.tile(terms.at_corners(np.arange(units)[None]), (len(queries), 1))
    checked = np.tile(last + np.arange(2 * (terms.heads - 1)), (len(queries), 1))
    ways = _ways(finer, regions, Families(queries, own_query.reshape(-1)), split)
    both = np.split(np.arange(inner.shape[2]), [columns.shape[1], 2 * columns.shape[1]])
    low, lowest = (terms.least(ways.least(setting, terms, columns, inner[:, :, both[i]], up=i == 1)) for i in (0, 1))
    bounds = Bounds(low, low - low - lowest, sums, ways.least(setting, terms, checked, inner[:, :, both[2]], up=False))
    return bounds, {**hints, "inner": hints["inner"][len(queries) :], "outer": hints["outer"][len(goals) :]}


def _leads(patterns: Patterns, pattern: IntArray, bounds: Bounds) -> BoolArray:
    """In which regions with these patterns "f" the output leads, if rho is in the box."""
    leads = np.ones(len(pattern), np.bool_)
    for number in np.unique(pattern).tolist():
        rows = np.flatnonzero(pattern == number)
        slope, influence = patterns.slopes[number : number + 1], patterns.influence[:, number]
        beyond = [end[rows].relu() - end[rows] * slope for end in (bounds.low, bounds.high)]
        least = bounds.sums[rows] + beyond[0].maximum(beyond[1]) @ influence.minimum(influence - influence)
        leads[rows] = least.positive().all(axis=1)
    return leads


def _in_claimed(places: IntArray, claimed: BoolArray, positive: BoolArray, leads: BoolArray) -> BoolArray:
    """For which regions "f" the theorem holds, given the places "box h" of boxes.

    "box f": which are claimed, and in which the output leads; positive "box f h 2": Z - a_h Z_h > 0, b_h Z_h - Z > 0.
    """
    proved, size = np.all(leads | ~claimed, axis=0), np.ones(claimed.shape[1], np.int64)
    for head, place in enumerate(places.T[:, :, None]):
        least, most = np.where(claimed, place, len(places)).min(axis=0), np.where(claimed, place, -1).max(axis=0)
        ends = claimed[:, :, None] & np.stack([place == least, place == most], axis=2)
        proved &= np.all(positive[:, :, head] | ~ends, axis=(0, 2))
        size *= most - least + 1
    return np.asarray(proved & claimed.any(axis=0) & (claimed.sum(axis=0) == size), np.bool_)


def _beyond(hint: IntArray, largest: int) -> bool:
    return bool(np.any((hint < -largest) | (hint > largest)))


def _dyadic(setting: Setting, hint: IntArray) -> Enclosure:
    return setting.arithmetic.exact(hint, np.full(hint.shape, -_MULTIPLIER_BITS, np.int64))


def potentials(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> RightAtRead:
    """Apply the rule to a forward pass, or to classes of prefixes. Parameter: `read`, a number. Hints: those of `finer`, and

    ratios "q h 1+B": e_h0, .. for each query and head but the first. Boxes are in the order of their places, that of the last
    head changing first. pattern "f", for each box in turn: by its number the pattern of each region, or -1 if the box is not
    claimed for it. outputs "k", slopes "k m" (in 1 / 256): those of patterns. enforced "q x h", for each box: mu_h of all
    units, then of all rivals of all patterns. numbers "x": X of all states, those after the last step, too; or none, for way
    (1). inner "i a x", for each box and query of its regions: multipliers for l at all corners, for u, and for the ratios.
    outer "i b x", for each box, query and pattern: for S_r at all corners. Ratios, mu and multipliers in 2^-24.
    """
    (number,) = take_parameters(step, "read")
    config = setting.model.config
    if not isinstance(config, Transformer) or not _is_fit(config):
        raise Refused(
            f"potentials is about transformers with at most {_MOST_HEADS} heads, without an MLP or with one of ReLU units that "
            "no norm precedes"
        )
    units, rivals, others, corners = config.d_mlp, config.d_vocab_out - 1, config.n_heads - 1, 2 ** (config.n_heads - 1)
    finer, hints = finer_automaton(
        setting, step, premises, number, pattern=(None,), outputs=(None,), slopes=(None, units), numbers=(None,),
        ratios=(None, others, None), enforced=(None, None, others),
        inner=(None, None, 2 * (units * corners + others)), outer=(None, None, rivals * corners),
    )  # fmt: skip
    read, steps, pattern = finer.read, len(finer.tables), hints["pattern"]
    outputs, slopes, proved = hints["outputs"], hints["slopes"], np.zeros(len(finer.nodes[-1]), np.bool_)
    if any(read.seen(later) is not None for later in range(steps, len(read.after))):
        raise Refused("potentials needs a read in whose steps all positions are read that it sees")
    if len(outputs) != len(slopes) or np.any(outputs < 0) or np.any(outputs > rivals):
        raise Refused("every pattern has an output of the model")
    if np.any(slopes < 0) or np.any(slopes > 1 << _SLOPE_BITS):
        raise Refused(f"slopes are from 0 to {1 << _SLOPE_BITS}")
    ratios, bins = hints["ratios"], hints["ratios"].shape[2] - 1
    if bins < 1 or bins**others > _MOST_BOXES:
        raise Refused(f"ratios make 1 to {_MOST_BOXES} boxes")
    places = np.array([*product(range(bins), repeat=others)], np.int64).reshape(bins**others, others)
    boxes, sizes = len(places), (len(read.queries), (units + len(outputs) * rivals) * len(places))
    if len(pattern) != boxes * len(proved) or np.any(pattern < -1) or np.any(pattern >= len(outputs)):
        raise Refused("every region has a pattern, or -1")
    if ratios.shape[0] != sizes[0] or hints["enforced"].shape[:2] != sizes:
        raise Refused(f"there are ratios for {sizes[0]} queries, and {sizes[1]} sums to enforce them in")
    if any(_beyond(hints[name], _LARGEST_MULTIPLIER) for name in ("ratios", "enforced")):
        raise Refused("a ratio, or what enforces it, is too large")
    pattern = pattern.reshape(boxes, -1)
    setting.meter.hold(4 * pattern.size * config.n_heads)
    claimed, leads, positive = pattern >= 0, np.zeros(pattern.shape, np.bool_), np.zeros((*pattern.shape, others, 2), np.bool_)
    if np.any(outputs[pattern[claimed]] != np.broadcast_to(finer.outputs, pattern.shape)[claimed]):
        raise Refused("a region has a pattern with another output")
    if not np.any(claimed):
        return finer.right(proved)
    patterns, heads = _patterns(read, outputs, slopes), np.arange(others)
    for box, enforced in enumerate(np.split(hints["enforced"], boxes, axis=1)):
        regions = np.flatnonzero(claimed[box])
        if not len(regions):
            continue
        ends = np.stack([ratios[:, heads, places[box]], ratios[:, heads, places[box] + 1]], axis=2)
        terms = _terms(read, steps, patterns, _dyadic(setting, ends), _dyadic(setting, enforced))
        if len(hints["numbers"]):
            bounds, hints = _by_multipliers(finer, regions, pattern[box, regions], terms, patterns, hints)
        else:
            bounds = _in_hulls(finer, regions, pattern[box, regions], terms, patterns)
        positive[box, regions] = bounds.ratios.positive().reshape(len(regions), others, 2)
        leads[box, regions] = _leads(patterns, pattern[box, regions], bounds)
    if len(hints["numbers"]) and len(hints["inner"]) + len(hints["outer"]):
        raise Refused("there are multipliers for more families than there are")
    return finer.right(_in_claimed(places, claimed, positive, leads))


def _is_fit(config: Transformer) -> bool:
    with_units = not config.gated_mlp and config.act_fn == "relu" and config.normalization_type is None
    return config.n_heads <= _MOST_HEADS and (config.attn_only or with_units)
