"""Rule `dictionary-output`: rule low-rank-output where every neuron writes along few atoms of a dictionary.

*Theorem.* That of rule low-rank-output with one block, for Q "r z" the dictionary, and for P "i r" the matrix whose entry
(i, k) is the sum of codes[i, j] over the j with atoms[i, j] = k.

*Proof.* It holds for any P and Q; P_i . Q(z) = sum_j codes[i, j] Q(atoms[i, j], z), and the k-th coordinate of |x| P is the sum
of |x_i| codes[i, j] over all (i, j) with atoms[i, j] = k.

So a neuron costs as many multiplications for each pair as it has atoms, not as many as there are.

*Premise:* the tables. *Parameters:* `mirrored`, `pairwise`, `scale`. *Hints:* `pairs` "a b" as there; `atoms` "i s": numbers of
atoms, each of which some neuron has; in units of 2**-scale `codes` "i s", `dictionary` "r z", `centre` "i" (mu).
"""

from dataclasses import dataclass

import numpy as np

from certificates.certificate import Step
from certificates.tensor_file import IntArray
from checker.core.enclosures import Enclosure
from checker.core.errors import Refused
from checker.core.facts import CertifiedInputs, Fact, Setting, take_hints, take_parameters
from checker.layers.composition import composition
from checker.layers.facts import take_hidden_tables
from checker.layers.low_rank_output import Factors
from checker.layers.pairs import Pairs
from checker.rules.projections import hinted

_BYTES_PER_CODE = 64
"""Memory for the order of the codes, roughly."""


@dataclass(frozen=True)
class Codes:
    """P "i r" by its entries: atoms and values "i s". `order`: entries by atoms, those of atom k from starts[k] on."""

    atoms: IntArray
    values: Enclosure
    order: IntArray
    starts: IntArray

    @staticmethod
    def of(setting: Setting, atoms: IntArray, codes: IntArray, scale: int, count: int) -> "Codes":
        """From hints. Refuses unless the atoms are those with the numbers 0 .. count - 1."""
        if atoms.shape != codes.shape or not np.array_equal(np.unique(atoms), np.arange(count)) or not count:
            raise Refused("codes are as many as atoms, and every atom of the dictionary is some neuron's")
        setting.meter.hold(_BYTES_PER_CODE * atoms.size)
        order = np.argsort(atoms.reshape(-1), kind="stable")
        starts = np.flatnonzero(np.diff(atoms.reshape(-1)[order], prepend=-1))
        return Codes(atoms, hinted(setting, codes, scale), order, starts)

    def by_atoms(self, rows: Enclosure) -> Enclosure:
        """From rows "p i" to rows P "p r"."""
        flat, width = self.values.reshape(-1, 1), self.atoms.shape[1]
        # Matrix products, one for each atom: several times as fast as single products and sums of segments.
        first, *others = [rows[:, part // width] @ flat[part] for part in np.split(self.order, self.starts[1:])]
        return first.concatenate(others, axis=1)

    def by_neurons(self, rows: Enclosure) -> Enclosure:
        """From rows "p r" to rows P^T "p i"."""
        columns = rows.T
        found = self.values[:, :1] * columns[self.atoms[:, 0]]
        for j in range(1, self.atoms.shape[1]):
            found = found + self.values[:, j : j + 1] * columns[self.atoms[:, j]]
        return found.T


def dictionary_output(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> CertifiedInputs:
    """Apply the rule to the tables of a hidden layer."""
    tables = take_hidden_tables(step, premises)
    mirrored, pairwise, scale = take_parameters(step, "mirrored", "pairwise", "scale")
    size, (neurons, outputs) = composition(setting).d_vocab, tables.unembed.shape
    shapes: dict[str, tuple[int | None, ...]] = {
        "pairs": (size, size),
        "atoms": (neurons, None),
        "codes": (neurons, None),
        "dictionary": (None, outputs),
        "centre": (neurons,),
    }
    hints = take_hints(setting, step, **shapes)
    if len(premises) != 1 or pairwise not in (0, 1):
        raise Refused("dictionary-output takes one premise, and pairwise is 0 or 1")
    atoms, count = hints["atoms"], len(hints["dictionary"])
    codes = Codes.of(setting, atoms, hints["codes"], scale, count)
    pairs = Pairs.of(setting, tables, hints["pairs"], mirrored)
    dictionary = hinted(setting, hints["dictionary"], scale)
    described = codes.by_neurons(dictionary.T).T
    centre = hinted(setting, hints["centre"].reshape(1, -1), scale)
    Factors(described, dictionary, centre, codes.by_atoms, max(atoms.size, count), pairwise).require(tables, pairs)
    return pairs.certified(setting)
