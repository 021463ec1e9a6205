"""Facts about one hidden layer on two inputs."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from certificates.certificate import Step
from certificates.tensor_file import IntArray
from checker.core.enclosures import BoolArray, Enclosure
from checker.core.errors import Refused
from checker.core.facts import Classifier, Fact, Setting

_BLOCK = 2**18
"""Elements in the largest array of one block of pairs: small enough for the processor's cache."""


@dataclass(frozen=True)
class HiddenTables(Classifier):
    """One hidden layer on two inputs (see hidden_tables): neurons of interest, and the `slack` "1 1": what a
    difference of their logits must exceed, because of all others and of the margin.

    left "a i", right "b i", bias "1 i", unembed "i z". direct "a z": what either input adds to the logits by itself (None:
    nothing). constant "1 z". `symmetric`: left and right are the same, so that (a, b) and (b, a) have the same logits.
    """

    left: Enclosure
    right: Enclosure
    bias: Enclosure
    unembed: Enclosure
    direct: Enclosure | None
    constant: Enclosure
    slack: Enclosure
    symmetric: bool
    unexplained_dimension: int

    def values(self, shifted: Enclosure, left: IntArray, right: IntArray) -> Enclosure:
        """T "p z" for pairs (left[p], right[p]), from `shifted` = left + bias."""
        values = (shifted[left] + self.right[right]).relu() @ self.unembed + self.constant
        return values if self.direct is None else values + self.direct[left] + self.direct[right]

    @cached_property
    def least_work(self) -> tuple[int, int]:
        """The product with the unembedding, and two operations on every neuron, on numbers that are looked up first."""
        (neurons, outputs), arithmetic = self.unembed.shape, self.unembed.arithmetic
        products = 2 * neurons * outputs
        return products + 2 * neurons, products * arithmetic.product_slowness + 20 * neurons * arithmetic.slowness

    def classifies(self, setting: Setting, inputs: IntArray, outputs: IntArray) -> BoolArray:
        """Where T(true output) exceeds all others by more than the slack."""
        proved, per_block = np.zeros(len(inputs), np.bool_), max(1, _BLOCK // max(self.unembed.shape))
        shifted = self.left + self.bias
        for start in range(0, len(inputs), per_block):
            (left, right), labels = inputs[start : start + per_block].T, outputs[start : start + per_block, 0]
            rows, values = np.arange(len(labels)), self.values(shifted, left, right)
            leads = (values[rows, labels].reshape(-1, 1) - self.slack - values).positive()
            leads[rows, labels] = True
            proved[start : start + per_block] = leads.all(axis=1)
        return proved


def take_hidden_tables(step: Step, premises: tuple[Fact, ...]) -> HiddenTables:
    """The first premise of a rule that works on a hidden layer."""
    if not premises or not isinstance(premises[0], HiddenTables):
        raise Refused(f"the first premise of {step.rule} establishes the tables of a hidden layer")
    return premises[0]
