"""Rule `coded-output`: pairs of inputs by a code for what neurons write, and perhaps read, the rest being bounded by lengths.

A code describes neuron i by numbers C_ik, for few atoms k: it writes C_i . Phi, Phi_k(z) being what atom k writes, and leaves
out E = U - C Phi. Few directions for all neurons, or for blocks of them, are such atoms, and so are those of a dictionary. The
atoms of a crosscoder have a shape on the other side of the layer as well, l_k[a] and r_k[b]: they read g_k = l_k[a] + r_k[b],
and the size of what neuron i reads is expected to be C_i . |g| + mu_i.

*Theorem.* Let T and s be those of a fact of hidden-tables, U = unembed, and x = left[a] + right[b] + bias. For any real l, r,
C "i k", Phi "k z" and mu "i", put g = l[a] + r[b], E = U - C Phi, rho = |x| - |g| C^T - mu, and

    V = (|x| C) Phi + |g| (C^T E) + mu E + (left U)[a] + (right U)[b] + bias U + 2 (direct[a] + direct[b] + constant).

Let D(y, z) be at least the length of the vector E(y) - E(z) over the neurons. If for every pair (a, b) marked, with the true
output c = ab, and every other output z

    V(c) - V(z)  >  |rho| D(c, z)  +  2 s        (outside V, | . | of a vector is its length),

then all marked pairs are classified correctly (and their mirror images; see pairs).

*Proof.* 2 relu(x) = x + |x|, so 2 T = |x| U + x U + 2 (direct[a] + direct[b] + constant), x U = (left U)[a] + (right U)[b] +
bias U. Now |x| U = |x| C Phi + |x| E, and |x| E = |g| C^T E + mu E + rho E. So 2 T(c) - 2 T(z) differs from V(c) - V(z) by
rho . (E(c) - E(z)), at most the product above (Cauchy and Schwarz): 2 T(c) - 2 T(z) > 2 s. So the logits differ by a positive
multiple of at least T(c) - T(z) - s > 0.

*Without features* l = r = 0. *Without a code* C = I and Phi = U: nothing is left out, and T(c) - T(z) > s is what is checked.
With `pairwise` = 1, D(y, z)^2 = |E(y)|^2 + |E(z)|^2 - 2 E(y) . E(z); else D(y, z) = |E(y)| + |E(z)|.

*What the error is made of.* Say that neuron i reads x^_i = sum_k s_ik C_ik g_k, with signs s_ik of our choice. Then

    rho = (|x| - |x^|) + (|x^| - |g| C^T) - mu.

The first part is at most the error of reading, |x - x^|. The second is the *feature interaction*, twice that of the ReLU: the
linear halves of relu(x^) - sum_k C_ik relu(s_ik g_k) cancel. It is zero, whatever the input, for a neuron with one atom and
C_ik >= 0. E is the error of writing. What the proof loses is a product, of reading and interaction with writing: nothing if
either is exact.

*Premise:* the tables. *Parameters:* `mirrored` (see pairs); with a code `pairwise`, `scale`. *Hints:* `pairs` "a b", 1 for the
pairs to look at, 0 for all others. A code: `atoms` "i j", the numbers of each neuron's atoms, ascending, each atom some
neuron's; in units of 2**-scale `codes` "i j" (C at these atoms; it is 0 elsewhere), `dictionary` "k z" (Phi), `centre` "i"
(mu). Features: in these units `left_features` "a k" (l), `right_features` "b k" (r).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from certificates.certificate import Step
from certificates.tensor_file import IntArray
from checker.core.enclosures import BoolArray, Enclosure
from checker.core.errors import Refused
from checker.core.facts import CertifiedInputs, Fact, Setting, take_hints, take_parameters
from checker.layers.composition import composition
from checker.layers.facts import HiddenTables, take_hidden_tables
from checker.layers.pairs import Pairs
from checker.rules.projections import hinted

_EFFORT_OF_A_COLUMN = 200
"""What looking at a column takes, however few rows it has."""


def coded_output(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> CertifiedInputs:
    """Apply the rule to the tables of a hidden layer."""
    tables = take_hidden_tables(step, premises)
    size, (neurons, outputs), coded = composition(setting).d_vocab, tables.unembed.shape, "codes" in step.hints
    shapes: dict[str, tuple[int | None, ...]] = {"pairs": (size, size)}
    if coded:
        shapes |= {"atoms": (neurons, None), "codes": (neurons, None), "dictionary": (None, outputs), "centre": (neurons,)}
    if coded and "left_features" in step.hints:
        shapes |= {"left_features": (size, None), "right_features": (size, None)}
    mirrored, *numbers = take_parameters(step, "mirrored", *["pairwise", "scale"] * coded)
    hints = take_hints(setting, step, **shapes)
    if len(premises) != 1:
        raise Refused(f"{step.rule} takes one premise")
    pairs = Pairs.of(setting, tables, hints["pairs"], mirrored)
    if coded:
        _require_coded(setting, tables, pairs, hints, *numbers)
    else:
        _require_evaluated(setting, tables, pairs)
    return pairs.certified(setting)


def _require_evaluated(setting: Setting, tables: HiddenTables, pairs: Pairs) -> None:
    """Refuse unless T(c) - T(z) > s for all pairs."""
    neurons, outputs = tables.unembed.shape
    setting.meter.check_affordable(2 * len(pairs.left) * neurons * (outputs + 1), tables.unembed.slowness)
    left = tables.left + tables.bias
    for block in pairs.blocks(max(neurons, outputs)):
        values = tables.values(left, block.left, block.right)
        block.require_lead(block.of_true_output(values) - tables.slack, values)


@dataclass(frozen=True)
class _Sparse:
    """A matrix "i k". Columns that may differ from 0 in the same rows are taken together: `parts` are these rows, and the
    entries there. Column k is number places[k] among those of all parts.
    """

    parts: list[tuple[IntArray, Enclosure]]
    places: IntArray

    @staticmethod
    def of(listed: BoolArray, matrix: Enclosure) -> "_Sparse":
        """From a matrix that is 0 where nothing is listed; in every column something is."""
        together: dict[bytes, list[int]] = {}
        for k, rows in enumerate(listed.T):
            together.setdefault(rows.tobytes(), []).append(k)
        support = [np.flatnonzero(listed[:, columns[0]]) for columns in together.values()]
        parts = [(rows, matrix[rows[:, None], columns]) for rows, columns in zip(support, together.values(), strict=True)]
        return _Sparse(parts, np.argsort(np.concatenate([*together.values()])))

    def after(self, rows: Enclosure) -> Enclosure:
        """From rows "p i" to their products "p k" with the matrix."""
        first, *others = [rows[:, some] @ part for some, part in self.parts]
        return first.concatenate(others, axis=1)[:, self.places]


def _code(setting: Setting, atoms: IntArray, codes: IntArray, count: int, scale: int) -> tuple[_Sparse, _Sparse]:
    """C and its transpose, from hints about `count` atoms."""
    neurons = len(atoms)
    if codes.shape != atoms.shape or not atoms.size or np.any((atoms < 0) | (atoms >= count)):
        raise Refused("every neuron has at least one atom of the dictionary, and there are as many codes as atoms")
    setting.meter.hold((9 + setting.arithmetic.element_bytes // 2) * neurons * count)
    setting.meter.toil((_EFFORT_OF_A_COLUMN + neurons) * (_EFFORT_OF_A_COLUMN + count))
    listed, matrix = np.zeros((neurons, count), np.bool_), np.zeros((neurons, count), np.int64)
    entries = np.arange(neurons)[:, None], atoms
    listed[entries], matrix[entries] = True, codes
    if np.any(np.diff(atoms, axis=1) <= 0) or not listed.any(axis=0).all():
        raise Refused("the atoms of a neuron are in ascending order, and every atom is some neuron's")
    enclosed = hinted(setting, matrix, scale)
    return _Sparse.of(listed, enclosed), _Sparse.of(listed.T, enclosed.T)


def _require_coded(
    setting: Setting, tables: HiddenTables, pairs: Pairs, hints: Mapping[str, IntArray], pairwise: int, scale: int
) -> None:
    """Refuse unless the inequality of the theorem holds for all pairs."""
    sides = [hints[name] for name in ("left_features", "right_features") if name in hints]
    count, (neurons, outputs), two = len(hints["dictionary"]), tables.unembed.shape, np.full((1, 1), 2, np.int64)
    if pairwise not in (0, 1) or any(side.shape[1] != count for side in sides):
        raise Refused("pairwise is 0 or 1, and every atom has a feature on each side, if there are any")
    by_atoms, by_neurons = _code(setting, hints["atoms"], hints["codes"], count, scale)
    dictionary, *features = (hinted(setting, hint, scale) for hint in (hints["dictionary"], *sides))
    centre = hinted(setting, hints["centre"].reshape(1, -1), scale)
    rest = tables.unembed - by_neurons.after(dictionary.T).T
    distance = _distances(rest, pairwise)

    def linear(side: Enclosure) -> Enclosure:
        written = side @ tables.unembed
        return written if tables.direct is None else written + tables.direct.times(two)

    of_right = linear(tables.right)
    of_left = of_right if tables.symmetric else linear(tables.left)
    of_left = of_left + (tables.bias @ tables.unembed + centre @ rest + tables.constant.times(two))
    left, allowed = tables.left + tables.bias, tables.slack.times(two)
    along = dictionary.concatenate([by_atoms.after(rest.T).T], axis=0) if features else dictionary  # Phi, then C^T E
    for block in pairs.blocks(max(neurons, outputs, along.shape[0])):
        size = abs(left[block.left] + tables.right[block.right])  # p i
        beside, coordinates = size - centre, by_atoms.after(size)
        if features:
            seen = abs(features[0][block.left] + features[1][block.right])  # p k
            beside, coordinates = beside - by_neurons.after(seen), coordinates.concatenate([seen], axis=1)
        length = beside.T.lengths().reshape(-1, 1)
        values = coordinates @ along + of_left[block.left] + of_right[block.right]
        block.require_lead(block.of_true_output(values) - allowed, values + length * distance[block.label])


def _distances(rest: Enclosure, pairwise: int) -> Enclosure:
    """D "y z" from E "i z"."""
    outputs = rest.shape[1]
    if not pairwise:
        length = rest.lengths()
        return length.reshape(outputs, 1) + length.reshape(1, outputs)
    products = rest.T @ rest
    squares = products[np.arange(outputs), np.arange(outputs)]
    twice = products.times(np.full((1, 1), 2, np.int64))
    return (squares.reshape(outputs, 1) + squares.reshape(1, outputs) - twice).sqrt()
