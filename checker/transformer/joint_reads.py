"""Rule `joint-reads`: inputs that are right at every read, of which each is counted once.

*Premises.* For each of a task's reads, in their order, a fact about the regions of a finer automaton (`finer`), some of which
are proved: their inputs are right at the read.

*Theorem.* Inputs that are in a proved region at every read are right at all of them. Their number is what follows.

*Following a read.* A *record* tells for each query to which state of the finer automaton the tokens so far have led, or that
they led to none. The record and the next token determine the next one; after the last step m of the finer automaton it tells
for each query whether the region is proved, and the position read, if that comes later, leaves the query that is its token. At
the end, no query is left but the input's own (if it is one): in the steps up to m, others lead to none where the position is
read. So an input is in a proved region exactly if its record at the end is not empty.

*Number.* Records after a step are *alike* if the same further tokens lead to records at the end that are not empty: backwards,
those whose tokens lead to records that are alike. Every input has one run through the task's automaton and, for each read,
through records that are alike; so the ways add up, as those of automata do. Records that only lead to empty ones are left out.
"""

import numpy as np

from certificates.certificate import Step
from certificates.tensor_file import IntArray
from checker.core.automata import AutomatonTask
from checker.core.enclosures import BoolArray
from checker.core.errors import Refused
from checker.core.facts import CertifiedInputs, Fact, Setting
from checker.transformer.all_reads import right_at_all, take_reads
from checker.transformer.finer import FinerAutomaton


def joint_reads(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> CertifiedInputs:
    """Apply the rule to facts of `regions` or `potentials`. Takes no parameters or hints."""
    facts, task = take_reads(setting, step, premises), setting.task
    followed = [fact.followed for fact in facts if fact.followed is not None]
    if not isinstance(task, AutomatonTask) or len(followed) < len(facts):
        raise Refused("joint-reads is about regions of finer automata: for others there is all-reads")
    watched = [_alike(setting, _records(setting, finer, proved)) for finer, proved in followed]
    return right_at_all(setting, facts, _number(setting, task, watched))


def _records(setting: Setting, finer: FinerAutomaton, proved: BoolArray) -> list[IntArray]:
    """For each step "k v": which record follows, by number; after the last one 0 or, where it is empty, -1."""
    meter, read, found = setting.meter, finer.read, list[IntArray]()
    records, length = np.arange(len(read.queries))[None], len(read.after)
    own = read.queries[:, None] == np.arange(read.task.d_vocab)
    for step, position in enumerate(read.task.automaton.order.tolist()):
        size = records.size * own.shape[1]
        meter.allocate(64 * size)
        meter.gathering(8 * size)
        meter.sorting(2 * size)
        if step < len(finer.tables):
            after = np.where(records[:, :, None] < 0, -1, finer.tables[step][records])
        else:
            after = np.where(own | (position != read.position), records[:, :, None], -1)
        if step == len(finer.tables) - 1:
            after = np.where((after < 0) | ~proved[after], -1, 0)
        if step == length - 1:
            after = after.max(axis=1, keepdims=True)
        rows = after.transpose(0, 2, 1)
        records, which = np.unique(rows.reshape(-1, rows.shape[2]), axis=0, return_inverse=True)
        meter.hold(8 * which.size)
        found.append(which.reshape(rows.shape[:2]))
    return [*found[:-1], records[found[-1], 0]]


def _alike(setting: Setting, records: list[IntArray]) -> list[IntArray]:
    """The same of what is alike, "k v": by number what follows in each step, or -1 where all ends are empty."""
    last, found = records[-1], list[IntArray]()
    for before in [*records[-2::-1], np.zeros((1, 1), np.int64)]:
        setting.meter.allocate(32 * last.size)
        setting.meter.sorting(2 * last.size)
        kinds, which = np.unique(last, axis=0, return_inverse=True)
        leads = np.any(kinds >= 0, axis=1)
        setting.meter.hold(8 * kinds.size)
        found.insert(0, kinds[leads])
        last = np.where(leads, np.cumsum(leads) - 1, -1)[which.reshape(-1)][before]
    return found


def _number(setting: Setting, task: AutomatonTask, watched: list[list[IntArray]]) -> int:
    """How many inputs have records at every read that are not empty at the end."""
    automaton, meter = task.automaton, setting.meter
    if not all(len(tables[0]) for tables in watched):
        return 0
    states, ways = np.zeros((1, 1 + len(watched)), np.int64), np.ones(1, object)
    for step in range(task.n_ctx):
        size = states.size * task.d_vocab
        meter.allocate(64 * size)
        meter.gathering(8 * size)
        followers = [automaton.at(step), *(tables[step] for tables in watched)]
        after = np.stack([follower[state] for follower, state in zip(followers, states.T, strict=True)], axis=2)
        fits = np.all(after >= 0, axis=2) & automaton.due(step + 1)[after[:, :, 0]]
        source = np.nonzero(fits)[0]
        meter.sorting(2 * len(source) * states.shape[1])
        meter.scripting(len(source))
        states, which = np.unique(after[fits], axis=0, return_inverse=True)
        longer = np.zeros(len(states), object)
        np.add.at(longer, which.reshape(-1), ways[source])
        ways = longer
    return sum(ways.tolist())
