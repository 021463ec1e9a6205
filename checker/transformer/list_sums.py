"""Rule `list-sums`: a transformer knows what comes next in a sorted list, by sums over what its heads attend to.

*Model.* A `transformer` (FORMAT.md, 2.6) with one layer, causal, attention only, without padding. *Task.* Sorted lists
(`sorted_lists`) a_1 < .. < a_n of numbers below S, the separator; its read number i, at the position p = n + i: that of a_i
behind the separator or, if i = 0, of the separator. w_j, v_j, c, Z, N: see `reads`, for each head h; there, any number may be
anywhere but in the separator's place, so what is said of w_j and v_j holds for all inputs.

*Families.* Those inputs with a_i = q and a_{i+1} = t, i - 1 <= q < t < S - (n - i - 1) (if i = 0, q is the separator, and t < S
- (n - 1)). No input is in two of them, and one has n! C(q, i - 1) C(S - 1 - t, n - i - 1) inputs (n! C(S - 1 - t, n - 1) if i =
0), since i - 1 numbers are less than q, n - i - 1 greater than t, and the first n are in any order.

*Sums.* Let F_j be functions of the token at j, for j <= p, and L(a) at most F_j(a) for all j < n. On an input of a family, F_0
+ .. + F_p at its tokens is F_n(S) and, for each k, F_j(a_k) where a_k stands in the list, and F_{n+k}(a_k) if k <= i. So it is
at least

    F_n(S) + L(t) + (L + F_p)(q) + B_{i-1}(q - 1) + the n - i - 1 least of L(t + 1), .., L(S - 1)

(F_n(S) + L(t) + the n - 1 least ones if i = 0), with B_0 = 0 and B_k(x) = min over y <= x of B_{k-1}(y - 1) + (L + F_{n+k})(y).
Indeed, by induction, B_k(x) is at most the sum of (L + F_{n+1})(a_1), .., (L + F_{n+k})(a_k) for a_1 < .. < a_k <= x; and n - i
- 1 different numbers are greater than t.

*Ratios.* Let Z be that of the first head, and rho_h = Z / Z_h > 0 for the others. For each family and h let there be numbers
e_h0, .., e_hB (hints), B >= 1, with Z - e_h0 Z_h > 0 and e_hB Z_h - Z > 0 on its inputs. On each of them, the last of these
numbers that is at most rho_h is not the last of all; let it be a_h, and b_h the one after it. All choices of such pairs are
*boxes*; rho is in one with a_h <= rho_h < b_h for all h, so boxes with a_h >= b_h for some h need not be looked at.

*Theorem.* For a rival r let D be the difference of t's and r's columns in the unembedding (its rows multiplied by the last
norm's weights, less their mean in LN), beta that of their biases less the margin, and b the residual stream with each head
reading its c. With a last norm let sigma be its root and m = min(beta, 0), without one sigma = 1, m = 0. If for each box and
rival and all choices of kappa_h among a_h and b_h, with |.| of what is left without the mean in LN, the sum of

    w_0j (b.D + g + G_0j + sum_h mu_h) + sum_h kappa_h w_hj (G_hj - mu_h),
    G_hj = ((v_hj - c_h) O_h).D + m |(v_hj - c_h) O_h| / sqrt(d),

g = m sigma(b) with a last norm and beta without one, is positive on all inputs of a family, for some numbers mu_h (hints), then
they are right at the read, by more than the margin.

*Proof.* Take an input, and its box. The sum is linear in each kappa_h, so it is positive, too, at kappa = rho. There it is,
since what mu adds is mu_h (Z - rho_h Z_h) = 0, Z times x.D + beta, or with a norm x.D + m s, x being the residual stream after
attention, and s = sigma(b) plus, for each head, the average of |(v_j - c) O_h| / sqrt(d). The lead less the margin is x.D +
beta or, times sigma(x) > 0, x.D + beta sigma(x). But sigma(x) is the length of (x, sqrt(d eps)) / sqrt(d), and x - b is the sum
of the averages of (v_j - c) O_h; so sigma(x) <= s, and beta sigma(x) >= m s. (If sigma(x) = 0, so is x.D: a contradiction.)

For the tokens of the list, F_j is in an interval for all j of a *group* (hint) of its positions; L is the least of all groups.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import product

import numpy as np

from certificates.certificate import Step
from certificates.tensor_file import IntArray
from certificates.transformer import Transformer
from checker.core.enclosed_weights import plus_margin, zeros
from checker.core.enclosures import BoolArray, Enclosure
from checker.core.errors import Refused
from checker.core.facts import Fact, Setting, take_hints, take_parameters
from checker.core.ordering import strictly_increasing
from checker.transformer.activations import fraction
from checker.transformer.after_attention import AfterAttention
from checker.transformer.finer import RightAtRead
from checker.transformer.places import instead_of_hidden
from checker.transformer.reads import LayerInput, Read
from checker.transformer.sorted_lists import SortedLists
from checker.transformer.transformer_forward import take_forward

_BITS, _LARGEST = 24, 2**52
"""Of ratios and what enforces them."""
_MOST_HEADS, _MOST_BOXES = 6, 64
_BLOCK = 2**18
"""Elements in the largest array of a block of families."""
_ARRAYS = 6
"""So many of them there are at once."""
_EFFORT_PER_FAMILY = 2**14
"""What counting its inputs takes."""
_EFFORT_PER_TOKEN = 100
"""What following an input takes."""


@dataclass(frozen=True)
class Place:
    """What heads attend to at a position, or at one of several: of each head scores "q c" of queries and tokens; what it writes
    for the outputs there, "j c out" for those positions j, or "q 1 out" at the read's own; and its length, "j c 1" or "q 1 1".
    """

    scores: list[Enclosure]
    writes: list[Enclosure]
    lengths: list[Enclosure]


@dataclass(frozen=True)
class ListRead:
    """The read number i of sorted lists, with some queries. groups "n": of the list's positions, which are taken together."""

    read: Read
    number: int
    groups: IntArray

    @property
    def numbers(self) -> int:
        """How many there are: S."""
        return self.read.task.d_vocab - 1

    @cached_property
    def after(self) -> AfterAttention:
        """What follows."""
        return AfterAttention(self.read.layers, self.read.base, self.read.out)

    @cached_property
    def root(self) -> Enclosure:
        """For each query sigma(b), "q 1", if there is a last norm."""
        return self.after.root((self.read.base @ self.after.centring).square().sum(1).reshape(-1, 1))

    @cached_property
    def places(self) -> tuple[list[Place], list[Place]]:
        """The list's positions, group by group; and the separator with the sorted numbers up to the query."""
        read, size = self.read, self.read.config.d_head
        written = [read.out[start : start + size] for start in range(0, read.out.shape[0], size)]
        moved = [matrix @ self.after.centring for matrix in written]
        unembed, share = self.after.unembedding[0], fraction(read.setting.arithmetic, Fraction(1, read.config.d_model))
        held = (read.position + len(self.groups)) * len(written) * self.numbers * (len(read.queries) + unembed.shape[1] + 1)
        read.setting.meter.hold(held * read.setting.arithmetic.element_bytes)

        def place(position: int) -> Place:
            shape = (-1, 1) if position == read.position else (1, -1)
            values, found = read.values(position), Place([], [], [])
            for head, matrix in enumerate(written):
                squares = (values[:, head] @ moved[head]).square().sum(1)
                found.scores.append(read.scores[position][head])
                found.writes.append((values[:, head] @ (matrix @ unembed)).reshape(*shape, unembed.shape[1]))
                found.lengths.append((squares.reshape(-1, 1) * share).sqrt().reshape(*shape, 1))
            return found

        every = [place(position) for position in range(read.position + 1)]
        listed = [_together([every[j] for j in np.flatnonzero(self.groups == group)]) for group in np.unique(self.groups)]
        return listed, every[len(self.groups) :]

    def of_target(self, target: int, asked: IntArray) -> "Families":
        """With queries "f", by their numbers."""
        unembed, rivals = self.after.unembedding[0], self.read.config.d_vocab_out - 1
        others = (target + np.arange(1, rivals + 1)) % (rivals + 1)
        logits = (self.read.base @ unembed)[asked]
        direct = (logits[:, [target]] - logits[:, others]).reshape(-1, 1, rivals)
        bias, normed, against = self.after.unembedding[1], self.read.config.normalization_type is not None, None
        if bias is not None:
            bias = bias.reshape(1, -1)
            against = plus_margin(self.read.setting, bias[:, [target]] - bias[:, others], -1)
            against = against.minimum(zeros(self.read.setting, 1, 1)) if normed else against
            direct = direct + (against * self.root[asked] if normed else against).reshape(-1, 1, rivals)

        (listed, after), query, heads = self.places, self.read.queries[asked], range(self.read.config.n_heads)
        token = np.arange(self.numbers)
        below = (token < query[:, None]) & (self.number > 0)
        inside = below | (token == query[:, None]) | (token >= target)
        seen = [inside] * len(listed) + [np.ones((len(asked), 1), np.bool_)] + [below] * (self.number - 1)
        seen += [np.ones((len(asked), 1), np.bool_)] * bool(self.number)

        def largest(head: int) -> Enclosure:
            """Of the scores of what may be there, "f 1"."""
            rows = asked[:, None]
            found = [
                place.scores[head][rows, instead_of_hidden(some)].max(1).reshape(-1, 1)
                for place, some in zip([*listed, *after], seen, strict=True)
            ]
            return found[0].concatenate(found[1:], 1).max(1).reshape(-1, 1).representative()

        most, none = [largest(head) for head in heads], zeros(self.read.setting, 1, 1)

        def attended(place: Place, own: bool) -> Attended:
            weights, leads = list[Enclosure](), list[Enclosure]()
            for head in heads:
                # of what cannot be there, scores may be greater
                weights.append((place.scores[head][asked] - most[head]).minimum(none).exp())
                lead = place.writes[head][:, :, target : target + 1] - place.writes[head][:, :, others]
                if against is not None and normed:
                    lead = lead + place.lengths[head] * against.reshape(1, 1, rivals)
                hull = lead.reshape(lead.shape[0], -1).segment_hull(np.zeros(1, np.int64)).reshape(1, *lead.shape[1:])
                leads.append(lead[asked] if own else hull)
            return Attended(weights, leads)

        arrays = (len(listed) + len(after)) * len(heads) * self.numbers * (rivals + len(asked))
        self.read.setting.meter.allocate(arrays * direct.element_bytes)
        return Families(
            self, target, query, direct, [attended(place, own=False) for place in listed],
            [attended(place, own=number == self.number) for number, place in enumerate(after)],
        )  # fmt: skip


def _together(places: list[Place]) -> Place:
    """Any of these."""
    joined, shape = Place([], [], []), places[0].scores[0].shape
    for head in range(len(places[0].scores)):
        rows = [place.scores[head].reshape(1, -1) for place in places]
        hull = rows[0].concatenate(rows[1:], 0).segment_hull(np.zeros(1, np.int64))
        writes, lengths = [place.writes[head] for place in places], [place.lengths[head] for place in places]
        joined.scores.append(hull.reshape(*shape))
        joined.writes.append(writes[0].concatenate(writes[1:], 0))
        joined.lengths.append(lengths[0].concatenate(lengths[1:], 0))
    return joined


@dataclass(frozen=True)
class Attended:
    """For families "f" with one target, at a place: for each head w "f c", and its lead (v - c) O_h D "1 c r" (or "f 1 r")."""

    weights: list[Enclosure]
    leads: list[Enclosure]

    def at(self, columns: slice) -> "Attended":
        """Some tokens."""
        return Attended([weight[:, columns] for weight in self.weights], [lead[:, columns] for lead in self.leads])


Terms = Callable[[Attended], Enclosure]
"""What is added up at a place: some numbers "x" for each of k copies of all families, "kf c x"."""


@dataclass(frozen=True)
class Families:
    """Those of some queries "f" with the same target t. direct "f 1 r": b.D + g. At the list's places, and at the others."""

    lists: ListRead
    target: int
    query: IntArray
    direct: Enclosure
    listed: list[Attended]
    after: list[Attended]

    def at(self, rows: IntArray) -> "Families":
        """Some of them."""

        def some(place: Attended, own: bool) -> Attended:
            leads = [lead[rows] for lead in place.leads] if own else place.leads
            return Attended([weight[rows] for weight in place.weights], leads)

        after = [some(place, number == self.lists.number) for number, place in enumerate(self.after)]
        listed = [some(place, own=False) for place in self.listed]
        return Families(self.lists, self.target, self.query[rows], self.direct[rows], listed, after)

    def leads(self, ends: list[Enclosure], enforced: Enclosure) -> BoolArray:
        """For which families "f" the theorem's sums are positive in a box a, b, "f h" each, given mu "f r h"."""
        total = self.direct
        for head in range(enforced.shape[2]):
            total = total + enforced[:, None, :, head]

        def terms(place: Attended) -> Enclosure:
            (count, tokens), rivals = place.weights[0].shape, total.shape[2]
            every = ((total + place.leads[0]) * place.weights[0].reshape(count, tokens, 1)).reshape(1, count, tokens, rivals)
            for head, (weight, lead) in enumerate(zip(place.weights[1:], place.leads[1:], strict=True)):
                part = lead - enforced[:, None, :, head]
                both = [every + part * (weight * end[:, [head]]).reshape(count, tokens, 1) for end in ends]
                every = both[0].concatenate(both[1:], 0)
            return every.reshape(-1, tokens, rivals)

        return self._positive(terms)

    def within(self, low: Enclosure, high: Enclosure) -> BoolArray:
        """For which families "f" the ratios are between numbers "f h"."""

        def terms(place: Attended) -> Enclosure:
            first, parts = place.weights[0], list[Enclosure]()
            for head, weight in enumerate(place.weights[1:]):
                parts += [first - weight * low[:, [head]], weight * high[:, [head]] - first]
            return parts[0].concatenate(parts[1:], 0).reshape(-1, first.shape[1], 1)

        return self._positive(terms) if low.shape[1] else np.ones(len(self.query), np.bool_)

    def _positive(self, terms: Terms) -> BoolArray:
        """For which families "f" all sums are."""
        number, target = self.lists.number, self.target
        listed = terms(self.listed[0])
        rows, query = np.arange(listed.shape[0]), np.tile(self.query, listed.shape[0] // len(self.query))
        listed.meter.allocate(_ARRAYS * math.prod(listed.shape) * listed.element_bytes)
        for place in self.listed[1:]:
            listed = listed.minimum(terms(place))
        least = listed[:, target] + terms(self.after[0])[:, 0]
        if number:
            least = least + listed[rows, query] + terms(self.after[number])[:, 0]
        below: Enclosure | None = None
        for k in range(number - 1):
            step = terms(self.after[1 + k].at(slice(k, target))) + listed[:, k:target]
            below = (step if below is None else step + below[:, :-1]).running_min(1)
        if below is not None:
            least = least + below[rows, query - (number - 1)]
        above = len(self.lists.groups) - number - 1
        if above:
            least = least + listed[:, target + 1 :].sort(1)[:, :above].sum(1)
        return np.asarray(least.positive().all(axis=1).reshape(-1, len(self.query)).all(axis=0), np.bool_)


def list_sums(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> RightAtRead:
    """Apply the rule to a forward pass. Parameter: `read`, a number. Hints:

    families "f 2": q and t of each, in increasing order. groups "n": of the list's positions, by numbers. ratios "f h 1+B":
    e_h0, .. for each head but the first. enforced "f x r h": mu_h for each of the B^h boxes, that of the last head changing
    first, and the rivals t + 1, t + 2, .. modulo the number of outputs. Ratios and mu in 2^-24.
    """
    (number,) = take_parameters(step, "read")
    task, forward = setting.task, take_forward(step, premises)
    config = forward.config
    if not isinstance(task, SortedLists) or not _is_fit(config):
        raise Refused(
            "list-sums is about sorted lists, and causal transformers with one layer, attention only, with at most "
            f"{_MOST_HEADS} heads and without padding"
        )
    if not 0 <= number < task.length:
        raise Refused(f"the task has the reads 0 to {task.length - 1}, but no read {number}")
    others, rivals = config.n_heads - 1, config.d_vocab_out - 1
    hints = take_hints(
        setting, step, families=(None, 2), groups=(task.length,), ratios=(None, others, None),
        enforced=(None, None, rivals, others),
    )  # fmt: skip
    families, ratios, enforced, edges = hints["families"], hints["ratios"], hints["enforced"], hints["ratios"].shape[2]
    count, boxes = len(families), max(edges - 1, 0) ** others
    if edges < 2 or boxes > _MOST_BOXES or len(ratios) != count or enforced.shape[:2] != (count, boxes):
        raise Refused(f"there are 1 to {_MOST_BOXES} boxes for each family")
    if any(np.any((hint < -_LARGEST) | (hint > _LARGEST)) for hint in (ratios, enforced)):
        raise Refused("a ratio, or what enforces it, is too large")
    if np.any(hints["groups"] < 0) or np.any(hints["groups"] >= task.length):
        raise Refused("every position of the list has a group, numbered from 0")
    _require_families(task, number, families)
    proved = np.zeros(count, np.bool_)
    setting.meter.scripting(count)
    setting.meter.gathering(count * task.d_vocab // 4)  # targets are looked for one by one
    if count:
        queries, asked = np.unique(families[:, 0], return_inverse=True)
        source, position = LayerInput.of_tokens(forward, task.relaxed), task.reads[number]
        lists = ListRead(Read(setting, source, task.relaxed, position, queries), number, hints["groups"])
        per_block = max(1, _BLOCK // (lists.numbers * max(1, rivals) << others))
        for target in np.unique(families[:, 1]).tolist():
            rows = np.flatnonzero(families[:, 1] == target)
            for start in range(0, len(rows), per_block):
                here = rows[start : start + per_block]
                proved[here] = _proved(lists.of_target(target, asked[here]), ratios[here], enforced[here])
    setting.meter.toil(_EFFORT_PER_FAMILY * count)
    inputs = [_inputs(task, number, *family) for family in families[proved].tolist()]

    def covers(inputs: IntArray) -> BoolArray:
        setting.meter.toil(_EFFORT_PER_TOKEN * inputs.size + task.d_vocab**2)
        of_pairs = np.zeros((task.d_vocab, task.d_vocab), np.bool_)
        of_pairs[tuple(families[proved].T)] = True
        position = task.reads[number]
        own = of_pairs[inputs[:, position], inputs[:, position + 1]]
        return np.asarray(own & (task.outputs_of(inputs)[:, 0] >= 0), np.bool_)

    return RightAtRead(number, sum(inputs), covers)


def _require_families(task: SortedLists, number: int, families: IntArray) -> None:
    query, target = families.T
    above = target < task.d_vocab - 1 - (task.length - number - 1)
    below = (number - 1 <= query) & (query < target) if number else query == task.d_vocab - 1
    if not strictly_increasing(families) or not np.all(above & below & (target >= 0)):
        raise Refused("families are of a number and a greater one, between which there is room for a read, in increasing order")


def _inputs(task: SortedLists, number: int, query: int, target: int) -> int:
    """How many inputs a family has."""
    above = math.comb(task.d_vocab - 2 - target, task.length - number - 1)
    below = math.comb(query, number - 1) if number else 1
    return math.factorial(task.length) * above * below


def _proved(families: Families, ratios: IntArray, enforced: IntArray) -> BoolArray:
    """Which families are, given ratios "f h 1+B", and mu "f x r h"."""
    setting = families.lists.read.setting

    def dyadic(hint: IntArray) -> Enclosure:
        return setting.arithmetic.exact(hint, np.full(hint.shape, -_BITS, np.int64))

    proved, (others, edges) = families.within(dyadic(ratios[:, :, 0]), dyadic(ratios[:, :, -1])), ratios.shape[1:]
    for box, places in enumerate(product(range(edges - 1), repeat=others)):
        heads, place = np.arange(others), np.array(places, np.int64)
        low, high = ratios[:, heads, place], ratios[:, heads, place + 1]
        rows = np.flatnonzero(proved & np.all(low < high, axis=1))
        if len(rows):
            ends = [dyadic(low[rows]), dyadic(high[rows])]
            proved[rows] = families.at(rows).leads(ends, dyadic(enforced[rows, box]))
    return proved


def _is_fit(config: Transformer) -> bool:
    plain = config.n_layers == 1 and config.attn_only and config.attention_dir == "causal" and config.pad_token < 0
    return plain and config.n_heads <= _MOST_HEADS
