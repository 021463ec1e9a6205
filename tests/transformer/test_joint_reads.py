"""Inputs that are right at every read: their number against all inputs, one by one."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from test_regions import SMALL, WHOLE, applied, draw_automaton, draw_hints, every_input, one_layer, setting_for, width
from thorough import parts

from certificates import Step
from certificates.automaton import Automaton
from checker.core.errors import OverBudget, Refused
from checker.core.meter import Budget, Meter
from checker.transformer.all_reads import all_reads
from checker.transformer.finer import RightAtRead
from checker.transformer.joint_reads import joint_reads

JOINT = Step("joint-reads")


@pytest.mark.parametrize("seed", parts(60))
def test_every_input_is_counted_once(seed: int) -> None:
    """Whatever regions are proved: their inputs are those of the union of all that are not, taken away."""
    rng, model = np.random.default_rng(seed), one_layer(seed)
    automaton = draw_automaton(model, rng)
    rows, setting, facts = every_input(automaton), setting_for(model, automaton), list[RightAtRead]()
    share = rng.choice([0.3, 0.8, 0.95])
    for read in range(len(automaton.reads)):
        memory, drop = int(rng.choice([1, 2, 5, 60])), 0.15 * (seed % 4 == 1)
        finer, _ = applied(setting, read, draw_hints(automaton, read, rng, memory, width(model), drop), 0).followed
        facts.append(finer.right(rng.random(len(finer.nodes[-1])) < share))
    found = joint_reads(setting, JOINT, tuple(facts))
    held = found.covers(rows)
    assert np.array_equal(held, np.all([fact.covers(rows) for fact in facts], axis=0))
    assert found.correct == np.count_nonzero(held) >= all_reads(setting, Step("all-reads"), tuple(facts)).correct


def test_outputs_are_those_of_the_steps_at_which_they_are_due() -> None:
    """States that are met at other times need none."""
    transitions = np.array([[[0, 0], [-1, -1], [-1, -1]], [[1, 2], [-1, -1], [-1, -1]]])
    automaton = Automaton.of(np.arange(2), transitions, np.array([[0, -1, -1], [-1, 0, 1]]), np.array([[0, 1], [1, 2]]))
    model = one_layer(0, d_vocab=2, n_ctx=2, attention_dir="bidirectional", d_head=3)
    rng, setting, facts = np.random.default_rng(0), setting_for(model, automaton), list[RightAtRead]()
    for read in range(2):
        finer, _ = applied(setting, read, draw_hints(automaton, read, rng, 60, width(model), 0.0), 0).followed
        facts.append(finer.right(np.ones(len(finer.nodes[-1]), np.bool_)))
    found = joint_reads(setting, JOINT, tuple(facts))
    assert found.correct == np.count_nonzero(found.covers(every_input(automaton))) == 4


def test_what_it_takes_is_announced() -> None:
    """Before it is done: records, sorting out which are alike, and following them."""
    model = one_layer(0, d_vocab=2, n_ctx=2, attention_dir="bidirectional", d_head=3)
    hints = {name: np.array(hint, np.int64) for name, hint in WHOLE.items()}
    setting = setting_for(model, SMALL)
    facts = tuple(applied(setting, read, hints) for read in (0,))
    other = replace(facts[0], read=1)
    meter = Meter(Budget())
    joint_reads(replace(setting, meter=meter), JOINT, (*facts, other))
    assert meter.effort > 20_000 and not meter.operations and meter.held > 100
    for memory in (64, 200):
        with pytest.raises(OverBudget):
            joint_reads(replace(setting, meter=Meter(Budget(memory=memory))), JOINT, (*facts, other))


def test_each_part_announces_what_it_takes() -> None:
    """Memory and sorting, in every one of the three."""
    model = one_layer(0, d_vocab=2, n_ctx=2, attention_dir="bidirectional", d_head=3)
    setting = setting_for(model, SMALL)
    fact = applied(setting, 0, {name: np.array(hint, np.int64) for name, hint in WHOLE.items()})
    announced = set[tuple[str, str]]()

    class Noting(Meter):
        """A meter that notes which functions announce something."""

        def allocate(self, size: int) -> None:
            announced.add(("memory", sys._getframe(1).f_code.co_name))
            super().allocate(size)

        def sorting(self, size: int) -> None:
            announced.add(("sorting", sys._getframe(1).f_code.co_name))
            super().sorting(size)

    joint_reads(replace(setting, meter=Noting(Budget())), JOINT, (fact, replace(fact, read=1)))
    assert announced >= {(what, part) for what in ("memory", "sorting") for part in ("_records", "_alike", "_number")}


def test_other_premises_are_refused() -> None:
    model = one_layer(0, d_vocab=2, n_ctx=2, attention_dir="bidirectional", d_head=3)
    hints = {name: np.array(hint, np.int64) for name, hint in WHOLE.items()}
    setting = setting_for(model, SMALL)
    own = applied(setting, 0, hints)
    other = replace(own, read=1)
    assert joint_reads(setting, JOINT, (own, other)).correct <= own.correct
    for premises in ((), (own,), (other, own), (own, own), (own, other, other)):
        with pytest.raises(Refused, match="each of the 2 reads"):
            joint_reads(setting, JOINT, premises)
    with pytest.raises(Refused, match="finer automata"):
        joint_reads(setting, JOINT, (own, replace(other, followed=None)))
