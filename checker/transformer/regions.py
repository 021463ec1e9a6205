"""Rule `regions`: a transformer is right on all inputs that lead a finer automaton to the same state.

*Model.* A `transformer` (FORMAT.md, 2.6) with one layer, or with several whose last one works on classes of prefixes
(`prefix_classes`). *Task.* An automaton; one of its reads: the position p, after m steps. *Regions* are those of a finer
automaton (`finer`); w_j, v_j, c, Z and N are what the last layer's attention sums up (`reads`), for all heads.

*Theorem.* Let hull(s) = {0} for the first states, and hull(s') the least box that contains hull(s) + (w_j, w_j (v_j - c)) for
all s and tokens that lead to s', j being the position read (or hull(s), if p does not see j). Let rest(s, q) be {0} after the
last step, and before it the least box that contains (w_j, w_j (v_j - c)) + rest(s', q) for all tokens (if j = p, for q only)
that lead the task's automaton from s to s', and to acceptance in the end. Then (Z, N) of an input in the region f is in hull(f)
+ rest(f). If Z > 0 there, and c + N / Z makes the region's output lead by more than the margin (`after_attention`), for all
(Z, N) in it, then all inputs of the region are right at the read. This may be shown for parts of the box of c + N / Z: it is
cut in halves where it is not proved, and these in turn, a stated number of times, along any coordinate.

*Proof.* By induction over the steps, the sum over the positions read so far is in the hull of the state; backwards, that over
the positions read later is in rest.
"""

from dataclasses import dataclass

import numpy as np

from certificates.certificate import Step
from certificates.tensor_file import IntArray
from checker.core.enclosed_weights import zeros
from checker.core.enclosures import BoolArray, Enclosure
from checker.core.errors import Refused
from checker.core.facts import Fact, Setting, take_parameters
from checker.transformer.after_attention import AfterAttention, Boxes
from checker.transformer.finer import FinerAutomaton, RightAtRead, finer_automaton

_BLOCK = 2**18
"""Elements in the largest array of a block of regions."""
_MOST_TOGETHER = 2**13
"""Regions in a block: what is proved of them travels as a number of so many bits."""
_MOST_CUTS, _LARGEST_SCALE = 64, 2**20


@dataclass(frozen=True)
class Cuts:
    """How often boxes that are not proved are cut in halves, and what widths are multiplied by to find the largest, "z"."""

    most: int
    scale: IntArray


def _sums(finer: FinerAutomaton) -> Enclosure:
    """The box of (Z, N) of every region: "f x"."""
    read = finer.read
    setting, width = read.setting, read.width
    steps, boxes = len(finer.tables), zeros(setting, len(read.queries), width)
    for step in range(steps):
        boxes = finer.edges(step).hulls(setting, boxes, read.terms(step))
    if all(read.seen(step) is None for step in range(steps, len(read.after))):
        return boxes
    going_on, rests = read.last, zeros(setting, len(read.last), width)
    for step, nodes, edges in read.backwards(steps):
        going_on, rests = nodes, edges.hulls(setting, rests, read.terms(step))
    return boxes + rests[np.searchsorted(going_on, finer.nodes[-1])]


def _leads(finer: FinerAutomaton, sums: Enclosure, cuts: Cuts) -> BoolArray:
    """In which regions "f", with boxes of sums "f x", the output leads."""
    read, config, query, outputs = finer.read, finer.read.config, finer.query, finer.outputs
    after = AfterAttention(read.layers, read.base, read.out)
    widest = max(read.width, config.d_mlp, config.d_model, config.d_vocab_out)
    per_block, setting = min(_MOST_TOGETHER, max(1, _BLOCK // widest)), read.setting
    after.unembedding  # noqa: B018 - computed here, and not once more in every process

    def proved_from(start: int) -> int:
        """Of a block: a bit for each region."""
        here = slice(start, start + per_block)
        z, rows = read.mixed(sums[here])
        proved = np.zeros(per_block, np.uint8)
        proved[rows] = _lead(after, Boxes(query[here][rows], z), outputs[here][rows], cuts)
        return int.from_bytes(np.packbits(proved, bitorder="little").tobytes(), "little")

    blocks = list(setting.in_order(setting.meter, proved_from, range(0, len(query), per_block)))
    if any(block >> per_block for block in blocks):
        raise Refused("a part of the check that was done elsewhere proves more regions than there are")
    bits = [np.frombuffer(block.to_bytes(-(-per_block // 8), "little"), np.uint8) for block in blocks]
    every = [np.unpackbits(block, count=per_block, bitorder="little") for block in bits]
    return np.asarray(np.concatenate(every)[: len(query)] == 1, np.bool_)


def _lead(after: AfterAttention, boxes: Boxes, outputs: IntArray, cuts: Cuts) -> BoolArray:
    """Those that are not proved are cut in halves, which must be proved, or cut in turn."""
    proved = after.proved(boxes, outputs)
    failed = np.flatnonzero(~proved)
    if cuts.most and len(failed):
        halves, fewer = boxes.at(failed).halves(cuts.scale), Cuts(cuts.most - 1, cuts.scale)
        both = _lead(after, halves, np.tile(outputs[failed], 2), fewer).reshape(2, -1).all(axis=0)
        proved[failed] = both
    return proved


def regions(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> RightAtRead:
    """Apply the rule to a forward pass, or to classes of prefixes. Parameters: `read`, a number, and `cuts`. Hints: those of
    `finer`, and `scale` "z".
    """
    cuts, number = take_parameters(step, "cuts", "read")
    finer, hints = finer_automaton(setting, step, premises, number, scale=(None,))
    scale, width = hints["scale"], finer.read.out.shape[0]
    if not 0 <= cuts <= _MOST_CUTS or len(scale) != width or np.any(scale < 1) or np.any(scale > _LARGEST_SCALE):
        raise Refused(f"there are 0 to {_MOST_CUTS} cuts, and {width} scales from 1 to {_LARGEST_SCALE}")
    return finer.right(_leads(finer, _sums(finer), Cuts(cuts, scale)), finer.read.layers.deployed)
