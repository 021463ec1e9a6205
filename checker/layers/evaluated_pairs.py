"""Rule `evaluated-pairs`: pairs of inputs, each evaluated neuron by neuron.

*Theorem.* Let T and s be those of a fact of hidden-tables. If for every pair (a, b) marked, with the true output c = ab, and
every other output z: T(a, b)(c) - T(a, b)(z) > s, then all marked pairs are classified correctly (and their mirror images;
see pairs). *Proof.* The logits differ by a positive multiple of at least T(c) - T(z) - s > 0.

*Premise:* the tables. *Parameter:* `mirrored`. *Hint:* `pairs` "a b", 1 for the pairs to evaluate, 0 for all others.
"""

from certificates.certificate import Step
from checker.core.errors import Refused
from checker.core.facts import CertifiedInputs, Fact, Setting, take_hints, take_parameters
from checker.layers.composition import composition
from checker.layers.facts import take_hidden_tables
from checker.layers.pairs import Pairs


def evaluated_pairs(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> CertifiedInputs:
    """Apply the rule to the tables of a hidden layer."""
    tables = take_hidden_tables(step, premises)
    (mirrored,) = take_parameters(step, "mirrored")
    size = composition(setting).d_vocab
    wanted = take_hints(setting, step, pairs=(size, size))["pairs"]
    if len(premises) != 1:
        raise Refused("evaluated-pairs takes one premise")
    pairs = Pairs.of(setting, tables, wanted, mirrored)
    neurons, outputs = tables.unembed.shape
    setting.meter.check_affordable(2 * len(pairs.left) * neurons * (outputs + 1), tables.unembed.slowness)
    left = tables.left + tables.bias
    for block in pairs.blocks(max(neurons, outputs)):
        values = (left[block.left] + tables.right[block.right]).relu() @ tables.unembed + tables.constant
        if tables.direct is not None:
            values = values + tables.direct[block.left] + tables.direct[block.right]
        block.require_lead(block.of_true_output(values) - tables.slack, values)
    return pairs.certified(setting)
