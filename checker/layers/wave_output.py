"""Rule `wave-output`: addition modulo p, what neurons write taken apart by frequency.

Let T and s be those of a fact of hidden-tables, U = unembed, x = left[a] + right[b] + bias, and f_j(z) = (cos(2 pi j z / p),
sin(2 pi j z / p)). What neurons write is described by *entries*: a frequency j, a neuron i and a vector v of the plane say that
neuron i writes v . f_j(z). Some entries are *exact*, others *ideal*: for these it is assumed, errors being bounded, that neuron
i reads y_i = y_i(a) + y_i(b) with y_i(a) = h_i(2 a), h_i(n) = alpha_i cos(pi k n / p) + beta_i sin(pi k n / p), k = k_i. For
any vector V of frequency j let P = V . f_j(c) and Q = V . (-sin(2 pi j c / p), cos(2 pi j c / p)), where c = a + b.

*Theorem.* If for 0 < d < p one of the following is greater than r + s, then the pairs that it is about, and their mirror images
(see pairs), are classified correctly:

*By pairs:* for a set of pairs, with extrema over it,

    sum_j (1 - cos(2 pi j d / p)) min P_j - |sin(2 pi j d / p)| max |Q_j|  -  |sin(pi j d / p)| w_j sigma_j,

where V_j is the sum of relu(x_i) v over the exact entries of frequency j, plus that of (x_i + |y_i|) v / 2 over the ideal
ones, plus any vector in place of what direct[a] + direct[b] + constant has of frequency j.

*By angle:* for the pairs of one difference a - b, if there are no exact entries, with extrema over the angles c = 0 .. p - 1,

    sum_jk |cos(pi k (a - b) / p)| ((1 - cos(2 pi j d / p)) min (P_A - |P_B|) - |sin(2 pi j d / p)| max (|Q_A| + |Q_B|))
        -  sum_j 2 |sin(pi j d / p)| w_j sigma_j,

where A and B, for j and k, are the sums of |h_i(c)| v and of h_i(c) v over the entries of frequency j of neurons that read k.

Here, with any positive weights g of the ideal entries, sigma_j is the greatest singular value of the vectors g v of those of
frequency j, and w_j the greatest length over all pairs of the vector of their (x_i - y_i) / g. r is at least the most over all
pairs, c and z of |relu(x_i) / g_i| |g_i (R_i(c) - R_i(z))| (lengths over the neurons, with any positive weights g_i), where
R_i(z) is U_i(z) less what the entries of neuron i say, plus any constant; and of the difference at c and z of what direct[a] +
direct[b] + constant has beside the vectors in V; added.

*Proof.* relu(x) = (x + |x|) / 2. So T(z) is sum_j V_j . f_j(z), plus the sum over the ideal entries of (|x_i| - |y_i|) v .
f_j(z) / 2, plus relu(x) . R(z), plus what V lacks of the path around the MLP. By the addition theorems V_j . (f_j(c) - f_j(c +
d)) = P_j (1 - cos(2 pi j d / p)) - Q_j sin(2 pi j d / p). As ||x_i| - |y_i|| <= |x_i - y_i|, by Cauchy and Schwarz the ideal
entries of frequency j take at most w_j / 2 times the length of the vector of the g v . (f_j(c) - f_j(c + d)), which is at most
sigma_j |f_j(c) - f_j(c + d)| = sigma_j 2 |sin(pi j d / p)|. The rest is at most r, again by Cauchy and Schwarz. So T(c) - T(c +
d) > s. By angle the same holds with relu(y_i) for (x_i + |y_i|) / 2, as |relu(x_i) - relu(y_i)| <= |x_i - y_i|. Now y_i = 2
cos(pi k (a - b) / p) h_i(a + b), and both factors have the period p but for their sign; so the sum of relu(y_i) v over the
entries of frequency j of neurons that read k is |cos(pi k (a - b) / p)| (A +- B) at c modulo p.

*Computation.* sigma_j^2 is at most the greater diagonal element of the vectors' Gram matrix plus the absolute value of the
other; w_j at most the sum of the greatest lengths of what either input adds to the (x_i - y_i) / g; |relu(x) / g| at most that
of the greatest of relu of what either adds to x; |g (R(c) - R(z))| at most twice the greatest of |g R(z)|. Of symmetric tables
both inputs add half of the bias. Both sides are the same for d and p - d. The vectors in place of the path around the MLP are
its Fourier coefficients, with 2 / p rounded to 20 bits (by angle: none).

*Premise:* the tables. *Parameters:* `mirrored`, `angles` (1: by angle), `scale`. *Hints:* `bucket` "a b": the number of the
pair's set, or -1 if it is not claimed (by angle, 0 or more: claimed); `exact`, `ideal` "e 2": frequency (1 to p - 1) and neuron
of the entries; `reading` "i": k_i (0 to p - 1); in units of 2**-scale `exact_vectors`, `ideal_vectors` "e 2" (v), `wave` "i 2"
(alpha, beta), `level` "i" (the constants); `entry_weight` "e", `weight` "i": the logarithms of the weights to base 2, -24 to
24. *Checked:* that the task is addition modulo p with one output for each residue, that the ideal entries are in order of
frequency, then of what their neurons read, and have all frequencies of the exact ones, and the inequality.
"""

from dataclasses import dataclass

import numpy as np

from certificates.certificate import Step
from certificates.tensor_file import IntArray
from checker.core.enclosed_weights import ones, zeros
from checker.core.enclosures import BoolArray, Enclosure
from checker.core.errors import Refused
from checker.core.facts import CertifiedInputs, Fact, Setting, take_hints, take_parameters
from checker.layers.circle import Circle
from checker.layers.composition import composition
from checker.layers.facts import HiddenTables, take_hidden_tables
from checker.layers.pairs import Pairs
from checker.rules.projections import hinted

_SHARE_BITS = 20
_LARGEST_WEIGHT = 24
_TWO = np.full((1, 1), 2, np.int64)


def wave_output(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> CertifiedInputs:
    """Apply the rule to the tables of a hidden layer."""
    tables = take_hidden_tables(step, premises)
    mirrored, angles, scale = take_parameters(step, "mirrored", "angles", "scale")
    p, (neurons, outputs) = composition(setting).d_vocab, tables.unembed.shape
    if len(premises) != 1 or not composition(setting).is_addition or outputs != p:
        raise Refused("wave-output takes one premise, and is about addition modulo p, with one output for each residue")
    hints = _hints(setting, step, p, neurons)
    if angles not in (0, 1) or (angles and len(hints["exact"])):
        raise Refused("angles is 0, or 1 where no entry is exact")
    pairs = Pairs.of(setting, tables, (hints["bucket"] >= 0).astype(np.int64), mirrored)
    if len(pairs.left):
        waves = _Waves.of(setting, tables, hints, scale)
        allowed = waves.rest() + tables.slack
        pairs.require(_proved_by_angle(waves, pairs, allowed) if angles else _proved_by_pairs(waves, pairs, allowed))
    return pairs.certified(setting)


def _hints(setting: Setting, step: Step, p: int, neurons: int) -> dict[str, IntArray]:
    entries = {name: step.hints[name].shape[:1] if name in step.hints else () for name in ("exact", "ideal")}
    shapes: dict[str, tuple[int | None, ...]] = {"bucket": (p, p), "wave": (neurons, 2)}
    shapes |= dict.fromkeys(("exact", "ideal"), (None, 2)) | {f"{name}_vectors": (*e, 2) for name, e in entries.items()}
    shapes |= dict.fromkeys(("reading", "level", "weight"), (neurons,)) | {"entry_weight": entries["ideal"]}
    hints = take_hints(setting, step, **shapes)
    listed, weights = np.concatenate([hints["exact"], hints["ideal"]]), np.concatenate([hints["entry_weight"], hints["weight"]])
    if not len(hints["ideal"]) or np.any((listed < (1, 0)) | (listed >= (p, neurons))):
        raise Refused(
            f"wave-output: entries have frequencies from 1 to {p - 1} and neurons from 0 to {neurons - 1}, one is ideal"
        )
    if np.any(hints["bucket"] < -1) or np.any((hints["reading"] < 0) | (hints["reading"] >= p)):
        raise Refused(f"wave-output: buckets are -1 or more, and reading is 0 to {p - 1}")
    if np.any(np.abs(weights) > _LARGEST_WEIGHT):
        raise Refused(f"wave-output: weights have logarithms from -{_LARGEST_WEIGHT} to {_LARGEST_WEIGHT}")
    setting.meter.hold(p * (len(listed) + neurons) * setting.arithmetic.element_bytes)  # arrays "i t", and of entries "e t"
    return hints


@dataclass(frozen=True)
class _Entries:
    """Frequency and neuron "e", vectors "e 2 1"."""

    frequency: IntArray
    neuron: IntArray
    vectors: Enclosure

    def times(self, values: Enclosure) -> Enclosure:
        """The vectors times values "i n" of the entries' neurons, "e 2 n"."""
        values.meter.gathering(2 * len(self.neuron) * values.shape[1])
        return self.vectors * values[self.neuron][:, None]


@dataclass(frozen=True)
class _Waves:
    """Entries, and what neurons read. A *row* is the ideal entries of one frequency whose neurons read the same.

    inputs "t i": what the first input (the first p rows) and the second one (the last p) add to x. wave "i 2 1": alpha and
    beta; read "i n": h_i(n), n < p. starts "row": the first entry of each; row_frequency, row_reading "row"; firsts "j": the
    first row of each frequency.
    """

    setting: Setting
    tables: HiddenTables
    hints: dict[str, IntArray]
    scale: int
    circle: Circle
    inputs: Enclosure
    wave: Enclosure
    read: Enclosure
    exact: _Entries
    ideal: _Entries
    starts: IntArray
    row_frequency: IntArray
    row_reading: IntArray
    firsts: IntArray

    @staticmethod
    def of(setting: Setting, tables: HiddenTables, hints: dict[str, IntArray], scale: int) -> "_Waves":
        """From hints."""
        exact, ideal = (
            _Entries(hints[name][:, 0], hints[name][:, 1], hinted(setting, hints[f"{name}_vectors"][:, :, None], scale))
            for name in ("exact", "ideal")
        )
        if tables.symmetric:
            inputs = tables.left + tables.bias * _half(setting)
        else:
            inputs = (tables.left + tables.bias).concatenate([tables.right], axis=0)
        p, reads = len(hints["bucket"]), hints["reading"][ideal.neuron]
        order = ideal.frequency * p + reads
        starts = np.flatnonzero(np.diff(order, prepend=-1))
        firsts = np.flatnonzero(np.diff(ideal.frequency[starts], prepend=-1))
        setting.meter.sorting(len(exact.frequency) + len(starts))
        if np.any(np.diff(order) < 0) or not np.all(np.isin(exact.frequency, ideal.frequency[starts])):
            raise Refused("wave-output: ideal entries are in order of frequency and reading, and have all frequencies")
        circle, wave = Circle.of(setting, 2 * p), hinted(setting, hints["wave"][:, :, None], scale)
        read = (wave * circle.at(hints["reading"][:, None] * np.arange(p))).sum(1)
        of_rows = ideal.frequency[starts], reads[starts], firsts
        return _Waves(setting, tables, hints, scale, circle, inputs, wave, read, exact, ideal, starts, *of_rows)

    @property
    def frequencies(self) -> IntArray:
        """All of them, "j"."""
        return self.row_frequency[self.firsts]

    @property
    def residues(self) -> IntArray:
        """All of them, "n"."""
        return np.arange(len(self.hints["bucket"]))

    @property
    def steps(self) -> IntArray:
        """The d to look at."""
        return self.residues[1 : len(self.residues) // 2 + 1]

    def folded(self) -> Enclosure:
        """A, "row 2 c"."""
        return self.ideal.times(abs(self.read)).segment_sum(self.starts)

    def sizes(self) -> Enclosure:
        """|cos(pi k n / p)| for the k of rows, "row n"."""
        return abs(self.circle.at(self.row_reading[:, None] * self.residues)[:, 0])

    def turned(self, frequency: IntArray, vectors: Enclosure, label: IntArray) -> tuple[Enclosure, Enclosure]:
        """P and Q "j n" of vectors "j 2 n" of frequencies "j", at true outputs "n"."""
        towards = self.circle.at(2 * frequency[:, None] * label)
        crossed = vectors[:, ::-1] * towards
        return (vectors * towards).sum(1), crossed[:, 0] - crossed[:, 1]

    def leads(self, frequency: IntArray, least: Enclosure, most: Enclosure) -> Enclosure:
        """The terms "j d" of the left-hand side, from extrema "j"."""
        turns = self.circle.at(2 * frequency[:, None] * self.steps)
        return (ones(self.setting, 1, 1) - turns[:, 0]) * least.reshape(-1, 1) - abs(turns[:, 1]) * most.reshape(-1, 1)

    def deviations(self) -> Enclosure:
        """The sum over j of |sin(pi j d / p)| w_j sigma_j, "1 d"."""
        p, weight = len(self.residues), self.hints["entry_weight"].reshape(-1, 1)
        places = 2 * np.arange(self.inputs.shape[0])
        turned = self.hints["reading"][:, None] * (places // p) % 2  # h(n + p) is h(n), or its negative where k is odd
        off = (self.inputs.T - self.read[:, places % p].times(1 - 2 * turned)).square()
        self.setting.meter.gathering(2 * len(weight) * off.shape[1])
        away = (off[self.ideal.neuron] * _powers(self.setting, -2 * weight)).segment_sum(self.starts)
        away = away.segment_sum(self.firsts).sqrt()
        weighted = self.ideal.vectors * _powers(self.setting, weight)[:, None]
        gram = (weighted * weighted.reshape(-1, 1, 2)).segment_sum(self.starts).segment_sum(self.firsts)
        sigma = (gram[:, 0, 0].maximum(gram[:, 1, 1]) + abs(gram[:, 0, 1])).sqrt()
        reach = (away[:, :p].max(1) + away[:, -p:].max(1)) * sigma
        return reach.reshape(1, -1) @ abs(self.circle.at(self.frequencies[:, None] * self.steps)[:, 1])

    def rest(self) -> Enclosure:
        """The most "1 1" that R can do."""
        p, weight, every = len(self.residues), self.hints["weight"].reshape(-1, 1), np.arange(self.inputs.shape[1])
        writers, none = np.concatenate([every, self.exact.neuron, self.ideal.neuron]), zeros(self.setting, 1, 1, 1)
        self.setting.meter.sorting(len(writers))
        order = np.argsort(writers, kind="stable")
        written = [
            ((none - entries.vectors) * self.circle.at(2 * entries.frequency[:, None] * self.residues)).sum(1)
            for entries in (self.exact, self.ideal)
        ]
        self.setting.meter.gathering(2 * len(writers) * p)
        rest = self.tables.unembed.concatenate(written, axis=0)[order].segment_sum(np.searchsorted(writers[order], every))
        rest = rest - hinted(self.setting, self.hints["level"].reshape(-1, 1), self.scale)
        length = (rest * _powers(self.setting, weight)).lengths().max(0)
        active = (self.inputs.relu() * _powers(self.setting, -weight.T)).T.lengths().reshape(1, -1)
        return ((active[:, :p].max(1) + active[:, -p:].max(1)) * length.reshape(1)).reshape(1, 1).times(_TWO)


def _half(setting: Setting) -> Enclosure:
    return _powers(setting, np.full((1, 1), -1))


def _powers(setting: Setting, exponents: IntArray) -> Enclosure:
    """Powers of two."""
    return setting.arithmetic.exact(np.ones(exponents.shape, np.int64), exponents)


def _around(setting: Setting, tables: HiddenTables) -> Enclosure:
    """What either input adds to the logits around the MLP, "a z" or, the same for all, "1 z"."""
    constant = tables.constant * _half(setting)
    return constant if tables.direct is None else tables.direct + constant


def _proved_by_pairs(waves: _Waves, pairs: Pairs, allowed: Enclosure) -> BoolArray:
    """Which pairs "p" are proved correct, set by set."""
    setting, inputs, p = waves.setting, waves.inputs, len(waves.residues)
    around, towards = _around(setting, waves.tables), waves.circle.at(2 * waves.frequencies[:, None] * waves.residues)
    flat = towards.reshape(-1, p)
    share = hinted(setting, np.full((1, 1), (2 << _SHARE_BITS) // p, np.int64), _SHARE_BITS)
    along = flat @ around.T * share  # 2j a
    allowed = allowed + waves.deviations() + (around - along.T @ flat).range(1).max(0).reshape(1, 1).times(_TWO)
    alone = waves.ideal.times(inputs.T).segment_sum(waves.starts).segment_sum(waves.firsts) * _half(setting)[None]
    alone = alone + along.reshape(-1, 2, around.shape[0])[:, :, np.arange(inputs.shape[0]) % around.shape[0]]

    read, folded, sizes = inputs.T[waves.exact.neuron], waves.folded(), waves.sizes()
    frequency = np.concatenate([waves.exact.frequency, waves.row_frequency])
    setting.meter.sorting(len(frequency) + len(pairs.left))
    order, proved = np.argsort(frequency, kind="stable"), np.zeros(len(pairs.left), np.bool_)
    starts = np.searchsorted(frequency[order], waves.frequencies)
    bucket = waves.hints["bucket"][pairs.left, pairs.right]
    by_bucket = np.argsort(bucket, kind="stable")
    for here in np.split(by_bucket, np.flatnonzero(np.diff(bucket[by_bucket])) + 1):
        first, second, label = pairs.left[here], pairs.right[here] + inputs.shape[0] - p, pairs.label[here]
        setting.meter.gathering(8 * len(frequency) * len(here))
        setting.meter.allocate(2 * len(frequency) * len(here) * setting.arithmetic.element_bytes)
        active = (read[:, first] + read[:, second]).relu()[:, None] * waves.exact.vectors
        ideal = folded[:, :, label] * sizes[:, None, (first - second) % p]
        vectors = active.concatenate([ideal], axis=0)[order].segment_sum(starts) + alone[:, :, first] + alone[:, :, second]
        ahead, across = waves.turned(waves.frequencies, vectors, label)
        lead = waves.leads(waves.frequencies, ahead.min(1), abs(across).max(1)).sum(0).reshape(1, -1)
        proved[here] = (lead - allowed).positive().all()
    return proved


def _proved_by_angle(waves: _Waves, pairs: Pairs, allowed: Enclosure) -> BoolArray:
    """Which pairs "p" are proved correct, difference by difference."""
    setting, p = waves.setting, len(waves.residues)
    allowed = allowed + (waves.deviations() + _around(setting, waves.tables).range(1).max(0).reshape(1, 1)).times(_TWO)
    read = (waves.ideal.vectors * waves.wave[waves.ideal.neuron].reshape(-1, 1, 2)).segment_sum(waves.starts)  # row 2 2
    phases = waves.circle.at(waves.row_reading[:, None] * waves.residues)
    straight = (read[:, :, :, None] * phases[:, None]).sum(2)
    ahead, across = waves.turned(waves.row_frequency, waves.folded(), waves.residues)
    less, more = waves.turned(waves.row_frequency, straight, waves.residues)
    leads = waves.leads(waves.row_frequency, (ahead - abs(less)).min(1), (abs(across) + abs(more)).max(1))
    difference = np.abs(pairs.left - pairs.right)
    setting.meter.sorting(len(difference))
    some, place = np.unique(np.minimum(difference, p - difference), return_inverse=True)
    proved = np.asarray((waves.sizes()[:, some].T @ leads - allowed).positive().all(axis=1), np.bool_)
    return np.asarray(proved[place], np.bool_)
