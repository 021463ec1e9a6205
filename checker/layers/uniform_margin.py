"""Rule `uniform-margin`: one margin for each element of the group, on all pairs at once.

*Theorem.* Let facts state what disjoint sets of neurons add, over all pairs, to the logit of c = ab less that of z: at least
M_p(g), g = a^-1 z b^-1. Let R be the sum over all other neurons of relu(max_a left + max_b right + bias) range(U), and s that
of the tables. If for every g other than 1: sum_p M_p(g) > R + range(constant) + s, then all pairs are classified correctly.

*Proof.* If z is not c, then g is not 1. T(c) - T(z) is the sum of what the neurons add, which for those in no part is at least
-R, since 0 <= h_i <= relu(max left + max right + bias), and of constant(c) - constant(z); so it is greater than s.

*Premises:* the tables, then the parts. *Checked:* that the parts are about these tables, and disjoint.
"""

import numpy as np

from certificates.certificate import Step
from checker.core.errors import Refused
from checker.core.facts import CertifiedInputs, Fact, Setting, no_cells, take_hints, take_parameters
from checker.layers.composition import composition
from checker.layers.facts import MarginPart, take_hidden_tables
from checker.layers.hidden_tables import most_of_neurons
from checker.layers.pairs import certified_pairs


def uniform_margin(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> CertifiedInputs:
    """Apply the rule. Takes no parameters or hints."""
    tables = take_hidden_tables(step, premises)
    take_parameters(step)
    take_hints(setting, step)
    table = composition(setting).table
    if tables.direct is not None or len(premises) < 2:
        raise Refused("uniform-margin needs at least one part, and a network without a direct path")
    rest = np.ones(tables.bias.shape[1], np.bool_)
    allowed = tables.slack.reshape(1) + tables.constant.range(1)
    margin = None
    for part in premises[1:]:
        if not isinstance(part, MarginPart) or part.tables is not tables:
            raise Refused("uniform-margin adds margins of neurons of the tables that are its first premise")
        if not rest[part.neurons].all():
            raise Refused("two parts count the same neuron")
        rest &= ~part.neurons
        margin = part.margin if margin is None else margin + part.margin
    assert margin is not None
    others = np.flatnonzero(rest)
    if len(others):
        allowed = allowed + most_of_neurons(tables.left, tables.right, tables.bias, tables.unembed, others).reshape(1)
    proved = (margin - allowed).positive()
    elements = np.arange(len(table))
    proved |= table[elements, elements] == elements  # only the unit of a group is its own square
    if not proved.all():
        raise Refused(f"the margin for the element {int(np.argmin(proved))} is not proved to be positive")
    return certified_pairs(~no_cells(setting))
