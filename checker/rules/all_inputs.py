"""Rule `all-inputs`: every input of a task, or those in some runs of them, evaluated one by one.

*Theorem.* Let the task's inputs be all sequences of n_ctx tokens below d_vocab, numbered 0, 1, .. in lexicographic order: their
*places*. Of the inputs whose place is not skipped, count those that a classifier proves to be classified as their true output.
At least as many inputs as are counted are classified correctly.

*Proof.* Different places are different inputs, each of which is looked at once; and a classifier is a fact.

*Premise:* a classifier. *Hint:* `skip` "n 2": runs [from, to) of places that are not counted even if they could be, in
ascending order and apart. (The prover, which computes in floating point, names inputs about which it and the checker might
disagree.)
"""

import numpy as np

from certificates.certificate import Step
from certificates.tensor_file import IntArray
from checker.core.enclosures import BoolArray
from checker.core.errors import Refused
from checker.core.facts import CertifiedInputs, Classifier, Fact, Setting, no_cells, take_hints, take_parameters
from checker.core.parallel import in_order

_BLOCK = 2**13
"""Inputs that are evaluated at a time."""
_EFFORT_PER_TOKEN = 64
"""What it takes to make an input of its place and to find its true output, for each token."""


def all_inputs(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> CertifiedInputs:
    """Apply the rule to a classifier. Hint: `skip` "n 2"."""
    take_parameters(step)
    edges, task, meter = take_hints(setting, step, skip=(None, 2))["skip"].reshape(-1), setting.task, setting.meter
    if len(premises) != 1 or not isinstance(premises[0], Classifier):
        raise Refused("all-inputs needs exactly one premise, which establishes a classifier")
    classifier, total = premises[0], task.total
    if total >= 2**62 or total != task.d_vocab**task.n_ctx:
        raise Refused("all-inputs is about tasks whose inputs are all sequences of tokens, fewer than 2**62")
    if np.any(edges < 0) or np.any(edges > total) or np.any(edges[1:] <= edges[:-1]):
        raise Refused("runs of skipped inputs must be non-empty, apart, in increasing order, and within the task")
    first, end = np.append(0, edges[1::2]), np.append(edges[::2], total)
    before = np.append(0, np.cumsum(end - first))  # how many inputs are looked at before each of these runs
    considered = int(before[-1])
    meter.check_affordable(considered * setting.model.config.d_vocab_out)
    strides = np.cumprod([1, *[task.d_vocab] * (task.n_ctx - 1)])[::-1]

    def count(start: int) -> int:
        looked = np.arange(start, min(start + _BLOCK, considered))
        meter.sorting(len(looked))
        meter.toil(_EFFORT_PER_TOKEN * len(looked) * task.n_ctx)
        run = np.searchsorted(before, looked, side="right") - 1
        inputs = (looked - before[run] + first[run])[:, None] // strides % task.d_vocab
        return int(np.count_nonzero(classifier.classifies(inputs, task.true_outputs(inputs))))

    def may_count(numbers: IntArray) -> BoolArray:
        meter.toil(_EFFORT_PER_TOKEN * (numbers.size + 300))
        places = task.numbered(numbers) @ strides
        return np.asarray(np.searchsorted(edges, places, side="right") % 2 == 0, np.bool_)

    def covers(numbers: IntArray) -> BoolArray:
        held, inputs = may_count(numbers), task.numbered(numbers)
        held[held] = classifier.classifies(inputs[held], task.true_outputs(inputs[held]))
        return held

    correct = sum(in_order(meter, setting.jobs, count, range(0, considered, _BLOCK)))
    outputs = setting.model.config.d_vocab_out
    return CertifiedInputs(correct, ~no_cells(setting), covers, may_count, considered * outputs)
