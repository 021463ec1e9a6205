"""Rule `low-rank-output`: pairs of inputs by a few coordinates of their neurons, what these leave out being bounded.

*Theorem.* Let T and s be those of a fact of hidden-tables, U = unembed, and x = left[a] + right[b] + bias. Let the neurons be
divided into consecutive blocks B, and let P "i r", Q "B r z" and mu "i" be real. Put E_i(z) = U_i(z) - P_i . Q_B(z) for i in B,
and

    V(z) = sum_B (|x_B| P_B) . Q_B(z) + (left U)[a] + (right U)[b] + bias U + mu E(z) + 2 (direct[a] + direct[b] + constant).

Let D(y, z) be at least the length of the vector E(y) - E(z) over the neurons. If for every pair (a, b) marked, with the true
output c = ab, and every other output z

    V(c) - V(z)  >  | |x| - mu | D(c, z)  +  2 s        (| . | outside: the length of a vector),

then all marked pairs are classified correctly (and their mirror images; see pairs).

*Proof.* 2 relu(x) = x + |x|, so 2 T = |x| U + x U + 2 (direct[a] + direct[b] + constant); x U = (left U)[a] + (right U)[b] +
bias U, and |x| U(z) = sum_B (|x_B| P_B) . Q_B(z) + mu E(z) + (|x| - mu) E(z). So 2 T(c) - 2 T(z) differs from V(c) - V(z) by
(|x| - mu) . (E(c) - E(z)), at most the product above (Cauchy and Schwarz): 2 T(c) - 2 T(z) > 2 s.

With `pairwise` = 1, D(y, z)^2 = |E(y)|^2 + |E(z)|^2 - 2 E(y) . E(z); else D(y, z) = |E(y)| + |E(z)|.

*Premise:* the tables. *Parameters:* `mirrored`, `pairwise`, `scale`. *Hints:* `pairs` "a b", 1 for the pairs to look at, 0 for
all others; `starts` "B", the first neuron of every block; in units of 2**-scale `left_factor` "i r" (P), `right_factor`
"B r z" (Q), `centre` "i" (mu).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from certificates.certificate import Step
from checker.core.enclosures import Enclosure
from checker.core.errors import Refused
from checker.core.facts import CertifiedInputs, Fact, Setting, take_hints, take_parameters
from checker.layers.composition import composition
from checker.layers.facts import HiddenTables, take_hidden_tables
from checker.layers.pairs import Pairs
from checker.rules.projections import hinted


def low_rank_output(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> CertifiedInputs:
    """Apply the rule to the tables of a hidden layer."""
    tables = take_hidden_tables(step, premises)
    mirrored, pairwise, scale = take_parameters(step, "mirrored", "pairwise", "scale")
    size, (neurons, outputs) = composition(setting).d_vocab, tables.unembed.shape
    blocks, rank = _shape(step)
    shapes: dict[str, tuple[int | None, ...]] = {
        "pairs": (size, size),
        "starts": (blocks,),
        "left_factor": (neurons, rank),
        "right_factor": (blocks, rank, outputs),
        "centre": (neurons,),
    }
    hints = take_hints(setting, step, **shapes)
    starts = hints["starts"]
    if len(premises) != 1 or pairwise not in (0, 1):
        raise Refused("low-rank-output takes one premise, and pairwise is 0 or 1")
    if starts[0] != 0 or np.any((starts < 0) | (starts >= neurons)) or np.any(np.diff(starts) <= 0):
        raise Refused("blocks start at neuron 0 and follow each other; none is empty")
    pairs = Pairs.of(setting, tables, hints["pairs"], mirrored)
    parts = [slice(int(start), int(stop)) for start, stop in zip(starts, [*starts[1:], neurons], strict=True)]
    left_factor = hinted(setting, hints["left_factor"], scale)
    right_factor = hinted(setting, hints["right_factor"], scale)

    described = [left_factor[part] @ right_factor[b] for b, part in enumerate(parts)]

    def coordinates(sizes: Enclosure) -> Enclosure:
        by_block = [sizes[:, part] @ left_factor[part] for part in parts]
        return by_block[0].concatenate(by_block[1:], axis=1)

    factors = Factors(
        described[0].concatenate(described[1:], axis=0),
        right_factor.reshape(blocks * rank, outputs),
        hinted(setting, hints["centre"].reshape(1, -1), scale),
        coordinates,
        blocks * rank,
        pairwise,
    )
    factors.require(tables, pairs)
    return pairs.certified(setting)


@dataclass(frozen=True)
class Features:
    """What sizes |x| are expected to be beside mu (rule crosscoder-output): |g| P^T, with g = left[a] + right[b] "f".

    expected: from |g| "p f" to |g| P^T "p i".
    """

    left: Enclosure
    right: Enclosure
    expected: Callable[[Enclosure], Enclosure]


@dataclass(frozen=True)
class Factors:
    """The unembedding as P Q + E. described "i z": P Q; right "r z": Q; centre "1 i": mu. coordinates: from |x| "p i" to
    |x| P "p r", in which arrays have `width` elements for each pair.
    """

    described: Enclosure
    right: Enclosure
    centre: Enclosure
    coordinates: Callable[[Enclosure], Enclosure]
    width: int
    pairwise: int
    features: Features | None = None

    def require(self, tables: HiddenTables, pairs: Pairs) -> None:
        """Refuse unless the inequality of the theorem holds for all pairs."""
        rest = tables.unembed - self.described
        distance = _distances(rest, self.pairwise)
        two = np.full((1, 1), 2, np.int64)
        constant = tables.bias @ tables.unembed + self.centre @ rest + tables.constant.times(two)
        of_left = tables.left @ tables.unembed
        of_right = of_left if tables.symmetric else tables.right @ tables.unembed
        if tables.direct is not None:
            direct = tables.direct.times(two)
            of_left = of_left + direct
            of_right = of_left if tables.symmetric else of_right + direct
        of_left = of_left + constant
        allowed = tables.slack.times(two)
        left = tables.left + tables.bias
        features, along = self.features, self.right
        if features is not None:
            along = along.concatenate([self.coordinates(rest.T).T], axis=0)  # Q, then P^T E
        for block in pairs.blocks(max(*tables.unembed.shape, self.width)):
            sizes = abs(left[block.left] + tables.right[block.right])  # p i
            beside, coordinates = sizes - self.centre, self.coordinates(sizes)
            if features is not None:
                seen = abs(features.left[block.left] + features.right[block.right])  # p f
                beside, coordinates = beside - features.expected(seen), coordinates.concatenate([seen], axis=1)
            length = beside.T.lengths().reshape(-1, 1)
            values = coordinates @ along + of_left[block.left] + of_right[block.right]
            block.require_lead(block.of_true_output(values) - allowed, values + length * distance[block.label])


def _shape(step: Step) -> tuple[int, int]:
    """Number of blocks and rank, both at least one."""
    hint = step.hints.get("right_factor")
    if hint is None or len(hint.shape) != 3 or 0 in hint.shape:
        raise Refused("low-rank-output needs a hint right_factor with at least one block and one column")
    return hint.shape[0], hint.shape[1]


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
