"""Rule `all-inputs`: all inputs with tokens in some ranges, each evaluated; for every task and every classifier.

*Theorem.* Let every position have a range of tokens. Of the inputs of the task whose tokens are all in their ranges, count
those that are not skipped and that a classifier proves to be classified as their true output. At least so many are correct.

*Proof.* Every sequence with tokens in the ranges is looked at once, and counted only if it is an input of the task.

*Premise:* the classifier (tables, a forward pass). *Hints:* `ranges` "n 2": from, and up to but without, for the tokens of
every position. `skip` "m 2": runs of the sequences with tokens in the ranges, in lexicographic order, that are not counted even
if they could be. (The prover, which computes in floating point, names those where it and the checker might disagree.)
"""

import math

import numpy as np

from certificates.certificate import Step
from certificates.tensor_file import IntArray
from checker.core.enclosures import BoolArray
from checker.core.errors import Refused
from checker.core.facts import CertifiedInputs, Classifier, Fact, Setting, no_cells, take_hints, take_parameters

_BLOCK = 2**16
"""Sequences that are looked at together."""
_EFFORT_PER_TOKEN = 64
"""What it takes to find a sequence from its place, or its place, and its true output, for each token."""


def all_inputs(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> CertifiedInputs:
    """Apply the rule to a classifier. Hints: `ranges` "n 2", `skip` "m 2"."""
    take_parameters(step)
    task = setting.task
    hints = take_hints(setting, step, ranges=(task.n_ctx, 2), skip=(None, 2))
    (first, end), edges = hints["ranges"].T, hints["skip"].reshape(-1)
    if len(premises) != 1 or not isinstance(premises[0], Classifier):
        raise Refused("all-inputs takes one premise: tables or a forward pass")
    classifier = premises[0]
    if np.any(first < 0) or np.any(first >= end) or np.any(end > task.d_vocab):
        raise Refused(f"a range is empty or not within the {task.d_vocab} tokens")
    sizes = end - first
    within = math.prod(sizes.tolist())
    if within >= 2**62:  # so that places in their order are machine integers
        raise Refused(f"{within} sequences have tokens in the ranges, which is not less than 2**62")
    if np.any(edges < 0) or np.any(edges > within) or np.any(edges[1:] <= edges[:-1]):
        raise Refused("runs of skipped inputs must be non-empty, apart, in increasing order, and within the ranges")
    looked_up = within - int((edges[1::2] - edges[::2]).sum())  # of which so many are no inputs, at most:
    inputs, (operations, effort) = looked_up - task.d_vocab**task.n_ctx + task.total, classifier.least_work
    setting.meter.check_affordable(max(0, inputs) * operations, 0)
    setting.meter.toil(2 * _EFFORT_PER_TOKEN * within * task.n_ctx + max(0, inputs) * effort, really=False)
    strides = np.cumprod([1, *sizes[:0:-1]])[::-1]

    def held(inputs: IntArray) -> BoolArray:
        """Which sequences "k n" are inputs in the ranges, and not skipped."""
        setting.meter.toil(_EFFORT_PER_TOKEN * (inputs.size + 300))
        places = (inputs - first) @ strides
        inside = np.all((first <= inputs) & (inputs < end), axis=1) & (task.outputs_of(inputs)[:, 0] >= 0)
        return np.asarray(inside & (np.searchsorted(edges, places, side="right") % 2 == 0), np.bool_)

    def counted(start: int) -> int:
        places = np.arange(start, min(start + _BLOCK, within))
        setting.meter.toil(_EFFORT_PER_TOKEN * len(places) * task.n_ctx)
        setting.meter.allocate(_EFFORT_PER_TOKEN * len(places) * task.n_ctx)
        inputs = places[:, None] // strides % sizes + first
        inputs = inputs[held(inputs)]
        return int(np.count_nonzero(classifier.classifies(setting, inputs, task.outputs_of(inputs))))

    correct = sum(setting.in_order(setting.meter, counted, range(0, within, _BLOCK)))
    cells = no_cells(setting)
    cells[task.cells_within(first, end)] = True

    def covers(inputs: IntArray) -> BoolArray:
        known = held(inputs)
        known[known] = classifier.classifies(setting, inputs[known], task.outputs_of(inputs[known]))
        return known

    return CertifiedInputs(correct, cells, covers, held, deployed=classifier.deployed)
