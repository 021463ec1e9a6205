"""Rule `fourier-output`: addition modulo p, what neurons write taken apart by frequency.

Let T and s be those of a fact of hidden-tables, U = unembed, x = left[a] + right[b] + bias, and f_j(z) = (cos(2 pi j z / p),
sin(2 pi j z / p)). What neurons write is described by *entries*: a frequency j, a neuron i and a vector v of the plane say that
neuron i writes v . f_j(z). Some entries are *exact*, others *ideal*: for these it is assumed, errors being bounded, that neuron
i reads y_i(a) + y_i(b) with y_i(a) = alpha_i cos(2 pi k a / p) + beta_i sin(2 pi k a / p), k = k_i. Let y = y(a) + y(b).

*Theorem.* Let V(a, b, z) = sum over j of (X_j, Y_j) . f_j(z), where (X_j, Y_j) is the sum of 2 relu(x_i) v over the exact
entries of frequency j, plus that of (x_i + |y_i|) v over the ideal ones, plus any vector in place of what 2 (direct[a] +
direct[b] + constant) has of frequency j. With c = a + b, let P_j = (X_j, Y_j) . f_j(c) and Q_j = (Y_j, -X_j) . f_j(c). If for
all pairs of a bucket, and 0 < d < p, with extrema over the bucket,

    sum_j (1 - cos(2 pi j d / p)) min P_j - |sin(2 pi j d / p)| max |Q_j|  >  sum_j 2 |sin(pi j d / p)| w_j sigma_j + r + 2 s,

then they are classified correctly (and so are their mirror images; see pairs). Here, with any positive weights g of the
ideal entries, sigma_j is the greatest singular value of the vectors g v of those of frequency j, and w_j the greatest length
over all pairs of the vector of their (x_i - y_i) / g. r is at least the most over all pairs, c and z of |2 relu(x_i) / g_i|
|g_i (R_i(c) - R_i(z))| (lengths over the neurons, with any positive weights g_i), where R_i(z) is U_i(z) less what the entries
of neuron i say, plus any constant; and of the difference at c and z of what 2 (direct[a] + direct[b] + constant) has beside
the vectors in V; added.

*Proof.* 2 relu(x) = x + |x|. So 2 T(z) is V(a, b, z), plus the sum over the ideal entries of (|x_i| - |y_i|) v . f_j(z), plus
2 relu(x) . R(z), plus what V lacks of the path around the MLP, plus terms that do not depend on z. By the addition theorems
V(a, b, c + d) = sum_j P_j cos(2 pi j d / p) + Q_j sin(2 pi j d / p), so V(a, b, c) - V(a, b, c + d) is at least the left side.
As ||x_i| - |y_i|| <= |x_i - y_i|, by Cauchy and Schwarz the ideal entries of frequency j take at most w_j times the length of
the vector of the g v . (f_j(c) - f_j(c + d)), which is at most sigma_j |f_j(c) - f_j(c + d)| = sigma_j 2 |sin(pi j d / p)|. The
rest is at most r, again by Cauchy and Schwarz. So 2 T(c) - 2 T(c + d) > 2 s.

*Computation.* y_i = 2 cos(pi k (a - b) / p) (alpha_i cos(pi k (a + b) / p) + beta_i sin(pi k (a + b) / p)), and the absolute
values of both factors have the period p in a - b and a + b. sigma_j^2 is at most the greater diagonal element of the vectors'
Gram matrix plus the absolute value of the other; w_j at most the sum of the greatest lengths of (left[a] + bias - y(a)) / g and
of (right[b] - y(b)) / g; |relu(x) / g| at most that of the greatest of relu(left[a] + bias) / g and of relu(right[b]) / g;
|g (R(c) - R(z))| at most twice the greatest of |g R(z)|. Both sides are the same for d and p - d. The vectors in place of the
path around the MLP are its Fourier coefficients, with 2 / p rounded to 20 bits, and the constants are means.

*Premise:* the tables. *Parameters:* `mirrored`, `scale`. *Hints:* `bucket` "a b": the number of the pair's bucket, or -1 if it
is not claimed; `exact`, `ideal` "e 2": frequency (1 to p - 1) and neuron of the entries, at least one each; `reading` "i": k_i
(0 to p - 1); in units of 2**-scale `exact_vectors`, `ideal_vectors` "e 2" (v), `alpha`, `beta` "i"; `entry_weight` "e",
`weight` "i": the logarithms of the weights to base 2, -24 to 24. *Checked:* that the task is addition modulo p with one output
for each residue, and the inequality.
"""

from dataclasses import dataclass, replace

import numpy as np

from certificates.certificate import Step
from certificates.tensor_file import IntArray
from checker.core.enclosed_weights import ones, zeros
from checker.core.enclosures import Enclosure
from checker.core.errors import Refused
from checker.core.facts import CertifiedInputs, Fact, Setting, take_hints, take_parameters
from checker.layers.circle import cosines_and_sines
from checker.layers.composition import composition
from checker.layers.facts import HiddenTables, take_hidden_tables
from checker.layers.pairs import Pairs
from checker.rules.projections import hinted

_SHARE_BITS = 20
_BYTES_PER_ENTRY = 128
_LARGEST_WEIGHT = 24
_TWO = np.full((1, 1), 2, np.int64)


@dataclass(frozen=True)
class _Circle:
    """cos and sin of the multiples of pi / p, "n", n < 2p."""

    cos: Enclosure
    sin: Enclosure
    p: int

    def waves(self, places: IntArray) -> tuple[Enclosure, Enclosure]:
        """Cosines and sines of 2 pi / p times integers."""
        return self.half_waves(2 * places)

    def half_waves(self, places: IntArray) -> tuple[Enclosure, Enclosure]:
        """Cosines and sines of pi / p times integers."""
        self.cos.meter.allocate(2 * places.size * self.cos.element_bytes)
        return self.cos[places % (2 * self.p)], self.sin[places % (2 * self.p)]


@dataclass(frozen=True)
class _Entries:
    """Entries in ascending order of frequency, then of what their neuron reads: neuron "e", first and second coordinate "e 1",
    weight "e" (its logarithm).

    A *row* is the entries that agree in both: its first entry (starts "row") and what they read (reading "row").
    frequencies "j": all of them; firsts "j": the first row of each.
    """

    frequency: IntArray
    neuron: IntArray
    first: Enclosure
    second: Enclosure
    weight: IntArray
    starts: IntArray
    reading: IntArray
    frequencies: IntArray
    firsts: IntArray

    @staticmethod
    def of(listed: IntArray, vectors: Enclosure, weight: IntArray, reading: IntArray) -> "_Entries":
        """From rows (frequency, neuron), vectors "e 2", logarithms of weights "e", and what neurons read, "i"."""
        order = np.argsort(listed[:, 0] * (reading.max() + 1) + reading[listed[:, 1]], kind="stable")
        frequency, neuron = listed[order].T
        reads, chosen = reading[neuron], vectors[order]
        starts = np.flatnonzero((np.diff(frequency, prepend=-1) != 0) | (np.diff(reads, prepend=-1) != 0))
        frequencies, firsts = np.unique(frequency[starts], return_index=True)
        parts = chosen[:, :1], chosen[:, 1:], weight[order]
        return _Entries(frequency, neuron, *parts, starts, reads[starts], frequencies, firsts)

    def totals(self, of_entries: Enclosure) -> Enclosure:
        """For each frequency, the sum of numbers "e n" of its entries, "j n"."""
        return of_entries.segment_sum(self.starts).segment_sum(self.firsts)

    def rows(self, values: Enclosure) -> tuple[Enclosure, Enclosure]:
        """For each row, the sum of v times the values "n i" of the entries' neurons: both coordinates "row n"."""
        of_entries = values.T[self.neuron]
        return (of_entries * self.first).segment_sum(self.starts), (of_entries * self.second).segment_sum(self.starts)

    def sums(self, values: Enclosure) -> tuple[Enclosure, Enclosure]:
        """The same for each frequency, "j n"."""
        first, second = self.rows(values)
        return first.segment_sum(self.firsts), second.segment_sum(self.firsts)

    def products(self, values: Enclosure) -> tuple[Enclosure, Enclosure]:
        """As `sums`, by a matrix product for each frequency: faster where n is large and frequencies are few."""
        ends = [*self.starts[self.firsts][1:], len(self.neuron)]
        vectors = self.first.concatenate([self.second], axis=1)
        parts = [slice(int(start), int(end)) for start, end in zip(self.starts[self.firsts], ends, strict=True)]
        first, *others = [(values[:, self.neuron[part]] @ vectors[part]).T.reshape(2, 1, -1) for part in parts]
        both = first.concatenate(others, axis=1)
        return both[0], both[1]

    def written(self, circle: _Circle) -> Enclosure:
        """What entries write, "e z"."""
        cos, sin = circle.waves(self.frequency[:, None] * np.arange(circle.p))
        return self.first * cos + self.second * sin


@dataclass(frozen=True)
class _Reading:
    """What neurons read ideally: k "i", alpha and beta "1 i"."""

    circle: _Circle
    frequency: IntArray
    alpha: Enclosure
    beta: Enclosure

    @property
    def of_one(self) -> Enclosure:
        """y_i(a), "a i"."""
        cos, sin = self.circle.waves(np.arange(self.circle.p)[:, None] * self.frequency)
        return self.alpha * cos + self.beta * sin

    @property
    def of_sum(self) -> Enclosure:
        """The absolute value of y_i at a + b = s (modulo p) where |cos(pi k (a - b) / p)| is 1, "s i"."""
        cos, sin = self.circle.half_waves(np.arange(self.circle.p)[:, None] * self.frequency)
        return abs(self.alpha * cos + self.beta * sin).times(_TWO)


def fourier_output(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> CertifiedInputs:
    """Apply the rule to the tables of a hidden layer."""
    tables = take_hidden_tables(step, premises)
    mirrored, scale = take_parameters(step, "mirrored", "scale")
    p, (neurons, outputs) = composition(setting).d_vocab, tables.unembed.shape
    if len(premises) != 1 or not composition(setting).is_addition or outputs != p:
        raise Refused("fourier-output takes one premise, and is about addition modulo p, with one output for each residue")
    hints = _hints(setting, step, p, neurons)
    pairs = Pairs.of(setting, tables, (hints["bucket"] >= 0).astype(np.int64), mirrored)
    bucket = hints["bucket"][pairs.left, pairs.right]
    order = np.argsort(bucket, kind="stable")
    pairs, bucket = Pairs(pairs.left[order], pairs.right[order], pairs.label[order], pairs.mirrored), bucket[order]
    if not len(bucket):
        return pairs.certified(setting)

    circle = _Circle(*cosines_and_sines(setting, 2 * p), p)
    exact_vectors, ideal_vectors = (hinted(setting, hints[name], scale) for name in ("exact_vectors", "ideal_vectors"))
    alpha, beta = (hinted(setting, hints[name].reshape(1, -1), scale) for name in ("alpha", "beta"))
    reading = _Reading(circle, hints["reading"], alpha, beta)
    unused = np.zeros(max(neurons, len(hints["exact"])), np.int64)
    exact = _Entries.of(hints["exact"], exact_vectors, unused, unused)
    ideal = _Entries.of(hints["ideal"], ideal_vectors, hints["entry_weight"], reading.frequency)
    frequencies = np.unique(np.concatenate([exact.frequencies, ideal.frequencies]))

    alone, unsaid = _of_one_input(setting, tables, circle, ideal, frequencies)
    ahead, across = _coordinates(setting, tables, pairs, exact, ideal, reading, frequencies, alone)
    steps, starts = np.arange(1, p // 2 + 1), np.flatnonzero(np.diff(bucket, prepend=-1))
    cos, sin = circle.waves(frequencies[:, None] * steps)  # j d
    least, most = ahead.T.segment_min(starts), (zeros(setting, 1, 1) - abs(across)).T.segment_min(starts)  # bucket j
    lead = least @ (ones(setting, 1, 1) - cos) + most @ abs(sin)
    allowed = _of_deviations(setting, tables, ideal, reading, steps) + unsaid + tables.slack.times(_TWO)
    allowed = allowed + _of_rest(setting, tables, circle, exact, ideal, hints["weight"])
    proved = (lead - allowed).positive().all(axis=1)
    pairs.require(np.repeat(proved, np.diff(starts, append=len(bucket))))
    return pairs.certified(setting)


def _hints(setting: Setting, step: Step, p: int, neurons: int) -> dict[str, IntArray]:
    shapes: dict[str, tuple[int | None, ...]] = {"bucket": (p, p)}
    shapes |= dict.fromkeys(("exact", "ideal", "exact_vectors", "ideal_vectors"), (None, 2))
    shapes |= dict.fromkeys(("reading", "alpha", "beta", "weight"), (neurons,))
    shapes |= {"entry_weight": step.hints["ideal"].shape[:1] if "ideal" in step.hints else (None,)}
    hints = take_hints(setting, step, **shapes)
    if np.any(hints["bucket"] < -1) or np.any((hints["reading"] < 0) | (hints["reading"] >= p)):
        raise Refused(f"fourier-output: buckets are -1 or more, and reading is 0 to {p - 1}")
    for name in ("exact", "ideal"):
        frequency, neuron = hints[name].T
        if not len(frequency) or len(frequency) != len(hints[f"{name}_vectors"]):
            raise Refused(f"fourier-output: {name} has one entry or more, and a vector for each")
        if np.any((frequency < 1) | (frequency >= p) | (neuron < 0) | (neuron >= neurons)):
            raise Refused(f"fourier-output: {name} has frequencies from 1 to {p - 1} and neurons from 0 to {neurons - 1}")
        setting.meter.hold(_BYTES_PER_ENTRY * len(frequency))
        setting.meter.allocate(p * len(frequency) * setting.arithmetic.element_bytes)  # arrays "e z"
    weights = np.concatenate([hints["entry_weight"], hints["weight"]])
    if np.any((weights < -_LARGEST_WEIGHT) | (weights > _LARGEST_WEIGHT)):  # abs(-2**63) is negative
        raise Refused(f"fourier-output: weights have logarithms from -{_LARGEST_WEIGHT} to {_LARGEST_WEIGHT}")
    return hints


def _spread(setting: Setting, values: Enclosure, among: IntArray, wanted: IntArray) -> Enclosure:
    """Rows "j n" with the numbers `among`, ascending, as rows with the numbers `wanted`: zeros where there is none."""
    places = np.where(np.isin(wanted, among), np.searchsorted(among, wanted), len(among))
    return values.concatenate([zeros(setting, 1, values.shape[1])], axis=0)[places]


def _of_one_input(
    setting: Setting, tables: HiddenTables, circle: _Circle, ideal: _Entries, frequencies: IntArray
) -> tuple[tuple[Enclosure, ...], Enclosure]:
    """What either input adds to X and Y by itself, "j a": X of a, with all that is always there; Y of a; X of b; Y of b. And
    what the path around the MLP has beside, "1 1".
    """
    cos, sin = circle.waves(frequencies[:, None] * np.arange(circle.p))  # j z
    share = hinted(setting, np.full((1, 1), (2 << _SHARE_BITS) // circle.p, np.int64), _SHARE_BITS)

    def by_frequency(rows: Enclosure) -> tuple[Enclosure, Enclosure, Enclosure]:
        x, y = (wave @ rows.T * share for wave in (cos, sin))
        return x, y, (rows - (x.T @ cos + y.T @ sin)).range(1).max(0).reshape(1, 1)

    x, y, unsaid = by_frequency(tables.constant.times(_TWO))
    left, right = (ideal.sums(side) for side in (tables.left + tables.bias, tables.right))
    left_x, left_y, right_x, right_y = (_spread(setting, part, ideal.frequencies, frequencies) for part in (*left, *right))
    left_x, left_y = left_x + x, left_y + y
    if tables.direct is not None:
        x, y, beside = by_frequency(tables.direct.times(_TWO))
        left_x, left_y, right_x, right_y = left_x + x, left_y + y, right_x + x, right_y + y
        unsaid = unsaid + beside + beside
    return (left_x, left_y, right_x, right_y), unsaid


def _coordinates(
    setting: Setting,
    tables: HiddenTables,
    pairs: Pairs,
    exact: _Entries,
    ideal: _Entries,
    reading: _Reading,
    frequencies: IntArray,
    alone: tuple[Enclosure, ...],
) -> tuple[Enclosure, Enclosure]:
    """P_j and Q_j of all pairs, "j p"."""
    circle, evaluated = reading.circle, np.unique(exact.neuron)
    doubled = replace(exact, neuron=np.searchsorted(evaluated, exact.neuron), first=exact.first.times(_TWO))
    doubled = replace(doubled, second=exact.second.times(_TWO))
    left, right = (tables.left + tables.bias)[:, evaluated], tables.right[:, evaluated]
    by_sum = ideal.rows(reading.of_sum)  # row s
    by_difference = abs(circle.half_waves(ideal.reading[:, None] * np.arange(circle.p))[0])  # row a-b
    setting.meter.hold(len(frequencies) * len(pairs.left) * setting.arithmetic.element_bytes)  # both, their parts, extrema
    found: list[tuple[Enclosure, Enclosure]] = []
    for block in pairs.blocks(max(len(exact.neuron), len(ideal.starts), len(frequencies))):
        of_exact = doubled.products((left[block.left] + right[block.right]).relu())
        factor = by_difference[:, (block.left - block.right) % circle.p]
        of_ideal = [(part[:, block.label] * factor).segment_sum(ideal.firsts) for part in by_sum]
        x, y = (
            _spread(setting, of_exact[n], exact.frequencies, frequencies)
            + _spread(setting, of_ideal[n], ideal.frequencies, frequencies)
            + alone[n][:, block.left]
            + alone[2 + n][:, block.right]
            for n in (0, 1)
        )
        cos, sin = circle.waves(frequencies[:, None] * block.label)
        found.append((x * cos + y * sin, y * cos - x * sin))
    (ahead, across), *others = found
    ahead = ahead.concatenate([other for other, _ in others], axis=1)
    return ahead, across.concatenate([other for _, other in others], axis=1)


def _powers(setting: Setting, exponents: IntArray) -> Enclosure:
    """Powers of two."""
    return setting.arithmetic.exact(np.ones(exponents.shape, np.int64), exponents)


def _of_deviations(setting: Setting, tables: HiddenTables, ideal: _Entries, reading: _Reading, steps: IntArray) -> Enclosure:
    """The sum over j of 2 |sin(pi j d / p)| w_j sigma_j, "1 d"."""
    part, exponents = reading.of_one, ideal.weight.reshape(-1, 1)
    squares = [(side - part).square().T[ideal.neuron] for side in (tables.left + tables.bias, tables.right)]
    shares = _powers(setting, -2 * exponents)
    left, right = (ideal.totals(square * shares).sqrt().max(1).reshape(1, -1) for square in squares)
    u, v = (coordinate * _powers(setting, exponents) for coordinate in (ideal.first, ideal.second))
    products = (u.square(), v.square(), u * v)
    first, second, mixed = (ideal.totals(product).reshape(1, -1) for product in products)
    sigma = (first.maximum(second) + abs(mixed)).sqrt()
    _, sin = reading.circle.half_waves(ideal.frequencies[:, None] * steps)
    return ((left + right) * sigma).times(_TWO) @ abs(sin)


def _of_rest(
    setting: Setting, tables: HiddenTables, circle: _Circle, exact: _Entries, ideal: _Entries, weight: IntArray
) -> Enclosure:
    """The most "1 1" that the rest R can do."""
    neuron = np.concatenate([exact.neuron, ideal.neuron])
    order = np.argsort(neuron, kind="stable")
    writers, starts = np.unique(neuron[order], return_index=True)
    described = exact.written(circle).concatenate([ideal.written(circle)], axis=0)[order].segment_sum(starts)
    rest = tables.unembed - _spread(setting, described, writers, np.arange(tables.unembed.shape[0]))
    share = hinted(setting, np.full((1, 1), (1 << _SHARE_BITS) // circle.p, np.int64), _SHARE_BITS)
    rest = (rest - rest.sum(1).reshape(-1, 1) * share) * _powers(setting, weight.reshape(-1, 1))
    length, less = rest.lengths().max(0).reshape(1, 1), _powers(setting, -weight.reshape(1, -1))
    sides = (tables.left + tables.bias, tables.right)
    left, right = ((side.relu() * less).T.lengths().max(0).reshape(1, 1) for side in sides)
    return ((left + right) * length).times(_TWO + _TWO)
