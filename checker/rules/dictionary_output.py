"""Rule `dictionary-output`: rule low-rank-output where every neuron writes along few atoms of a dictionary.

*Theorem.* That of rule low-rank-output with one block, for Q "r z" the dictionary, and for P "i r" the matrix whose entry
(i, k) is the sum of codes[i, j] over the j with atoms[i, j] = k.

*Proof.* It holds for any P and Q; P_i . Q(z) = sum_j codes[i, j] Q(atoms[i, j], z), and the k-th coordinate of |x| P is the sum
of |x_i| codes[i, j] over all (i, j) with atoms[i, j] = k.

So a neuron costs as many multiplications for each pair as it has atoms, not as many as there are.

*Premise:* the tables. *Parameters:* `mirrored`, `pairwise`, `scale`. *Hints:* `pairs` "a b" as there; `atoms` "i s": numbers of
atoms, each of which some neuron has; in units of 2**-scale `codes` "i s", `dictionary` "r z", `centre` "i" (mu).
"""

import numpy as np

from certificates.certificate import Step
from checker.enclosures import Enclosure
from checker.errors import Refused
from checker.facts import CertifiedInputs, Fact, Setting, take_hidden_tables, take_hints, take_parameters
from checker.rules.low_rank_output import Factors
from checker.rules.pairs import Pairs
from checker.rules.projections import hinted

_BYTES_PER_CODE = 64
"""Memory for the order of the codes, roughly."""


def dictionary_output(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> CertifiedInputs:
    """Apply the rule to the tables of a hidden layer."""
    tables = take_hidden_tables(step, premises)
    mirrored, pairwise, scale = take_parameters(step, "mirrored", "pairwise", "scale")
    size, (neurons, outputs) = setting.composition.d_vocab, tables.unembed.shape
    shapes: dict[str, tuple[int | None, ...]] = {
        "pairs": (size, size),
        "atoms": (neurons, None),
        "codes": (neurons, None),
        "dictionary": (None, outputs),
        "centre": (neurons,),
    }
    hints = take_hints(setting, step, **shapes)
    atoms, count = hints["atoms"], len(hints["dictionary"])
    if len(premises) != 1 or pairwise not in (0, 1):
        raise Refused("dictionary-output takes one premise, and pairwise is 0 or 1")
    if atoms.shape != hints["codes"].shape or not np.array_equal(np.unique(atoms), np.arange(count)) or not count:
        raise Refused("codes are as many as atoms, and every atom of the dictionary is some neuron's")
    setting.meter.hold(_BYTES_PER_CODE * atoms.size)
    pairs = Pairs.of(setting, tables, hints["pairs"], mirrored)
    codes, dictionary = (hinted(setting, hints[name], scale) for name in ("codes", "dictionary"))

    described = codes[:, :1] * dictionary[atoms[:, 0]]
    for j in range(1, atoms.shape[1]):
        described = described + codes[:, j : j + 1] * dictionary[atoms[:, j]]
    order = np.argsort(atoms.reshape(-1), kind="stable")
    neuron, sorted_codes = order // atoms.shape[1], codes.reshape(-1, 1)[order]
    starts = np.flatnonzero(np.diff(atoms.reshape(-1)[order], prepend=-1))

    def coordinates(sizes: Enclosure) -> Enclosure:
        return (sizes.T[neuron] * sorted_codes).segment_sum(starts).T

    centre = hinted(setting, hints["centre"].reshape(1, -1), scale)
    Factors(described, dictionary, centre, coordinates, max(atoms.size, count), pairwise).require(tables, pairs)
    return pairs.certified(setting)
