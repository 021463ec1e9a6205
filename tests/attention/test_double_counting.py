"""No input is counted twice, even where the same margin comes out differently when it is summed in another order.

In the model below large terms cancel exactly and tiny ones straddle one unit of rounding. An enumeration counts inputs whose
margin, summed in the order of `further-inputs`, is not positive: a rule that believed a recomputation would miscount them.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import oracle
import pytest
from make_golden import SUBJECTS, TABLES, by_cell, correct_in_ranges, enumeration, everything, further

from certificates import AttentionOnly, Certificate, Model, RawTensor, Statement, Step, integer_tensor
from checker import CheckError
from checker.attention.enumeration import _EFFORT_OF_A_PRODUCT
from checker.attention.order_statistic import order_statistic
from checker.attention.tables import AdditiveTables
from checker.core.errors import OverBudget, Refused
from checker.core.facts import CertifiedInputs, Fact, Setting
from checker.core.meter import Budget, Meter
from checker.core.scaled_integers import ScaledArithmetic
from checker.decide import check_proof, parse_task
from checker.registry import RULES

TASK = {"name": "max-of-k"}


def cancelling_model(depth: float) -> oracle.TinyModel:
    """Three tokens, four positions; scores 0 and -depth by position; values 1, -1, -1, 3 by position, 2^20 for token 1."""
    weights = {name: np.zeros(size) for name, size in oracle.shapes(3, 4, 3, 1, 3).items()}
    weights["embed.W_E"][1, 0] = 2.0**20
    weights["pos_embed.W_pos"][:, 0] = [1, -1, -1, 3]
    weights["pos_embed.W_pos"][:, 1] = [0, -depth, 0, -depth]
    weights["blocks.0.attn.b_Q"][:] = 1
    weights["blocks.0.attn.W_K"][0, 1, 0] = weights["blocks.0.attn.W_V"][0, 0, 0] = 1
    weights["blocks.0.attn.W_O"][0, 0, 2] = weights["unembed.W_U"][2, 2] = 1
    return oracle.pack(weights, "F64")


@pytest.mark.parametrize(("depth", "precision"), [(28.25, 30), (72.5, 31), (85.0, 40)])
def test_further_inputs_do_not_repeat_what_an_enumeration_counted(depth: float, precision: int) -> None:
    tiny = cancelling_model(depth)
    sizes = AttentionOnly(tiny.d_head, tiny.d_model, tiny.vocab, tiny.outputs, tiny.n_ctx)
    model = Model(sizes, {name: RawTensor(*tensor) for name, tensor in tiny.tensors.items()}, TASK)
    task, meter = parse_task(TASK, sizes, {}, Meter(Budget())), Meter(Budget())
    setting = Setting(model, task, ScaledArithmetic(precision, meter), meter)
    steps = [Step("additive-tables"), everything(3, 4)]

    def facts(*more: Step) -> list[Fact]:
        found: list[Fact] = []
        for step in (*steps, *more):
            found.append(RULES[step.rule](setting, step, tuple(found[premise] for premise in step.premises)))
        return found

    counted = facts()[1]
    assert isinstance(counted, CertifiedInputs)
    every = np.array(list(itertools.product(range(3), repeat=4)))
    tables = facts()[0]
    assert isinstance(tables, AdditiveTables)
    listable = tables.classifies(setting, every, setting.task.outputs_of(every))
    assert listable.sum() < counted.correct <= counted.may_count(every).sum()  # what makes it a trap
    added = []
    for row in every[~listable]:
        try:
            facts(Step("further-inputs", (0, 1), {}, {"inputs": integer_tensor(row[None])}))
            added.append(row)
        except CheckError:
            continue
    total = counted.correct + len(added)
    assert total <= oracle.truth(tiny).count
    check_proof(Certificate(Statement(model.digest(), TASK, counted.correct, 81), precision, tuple(steps)), model)


# --- lists upon lists ------------------------------------------------------------------------------------------------


def always_largest(vocab: int, n_ctx: int) -> Model:
    """A model that always gives its last token: right whenever that occurs."""
    weights = {name: np.zeros(size) for name, size in oracle.shapes(vocab, n_ctx, 1, 1, vocab).items()}
    weights["unembed.b_U"][-1] = 1
    tensors = {name: RawTensor(*tensor) for name, tensor in oracle.pack(weights, "F32").tensors.items()}
    return Model(AttentionOnly(1, 1, vocab, vocab, n_ctx), tensors, TASK)


@dataclass
class Bench:
    """Rules applied to facts about one model, as a check does."""

    setting: Setting
    tables: Fact

    @staticmethod
    def of(model: Model) -> "Bench":
        meter = Meter(Budget())
        setting = Setting(model, parse_task(TASK, model.config, {}, Meter(Budget())), ScaledArithmetic(30, meter), meter)
        return Bench(setting, RULES["additive-tables"](setting, TABLES, ()))

    def apply(self, step: Step, *premises: Fact) -> CertifiedInputs:
        fact = RULES[step.rule](self.setting, step, premises)
        assert isinstance(fact, CertifiedInputs)
        return fact

    def listed(self, inputs: Iterable[Sequence[int]], before: CertifiedInputs) -> CertifiedInputs:
        return self.apply(
            further(np.array([*inputs], np.int64).reshape(-1, order_statistic(self.setting).n_ctx)), self.tables, before
        )

    def refuses(self, inputs: Iterable[Sequence[int]], before: CertifiedInputs) -> bool:
        try:
            self.listed(inputs, before)
        except Refused:
            return True
        return False


def test_what_may_have_been_counted_is_refused_whatever_is_proved_of_it() -> None:
    """Alone an input may be proved or not as roundings happen to fall, which must not decide about counting it again."""
    bench = Bench.of(always_largest(3, 3))
    first = bench.apply(enumeration([(0, 3), (0, 3), (0, 3)]), bench.tables)
    forgetful = replace(first, covers=lambda tokens: np.zeros(len(tokens), np.bool_))
    assert bench.refuses([(0, 1, 2)], first) and bench.refuses([(0, 1, 2)], forgetful)


def test_every_product_that_is_looked_at_is_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    """One for each query, each label from it on, and each free position at which the label may stand first, or none."""
    bench, announced = Bench.of(always_largest(3, 3)), list[int]()
    monkeypatch.setattr(bench.setting.meter, "toil", lambda effort, really=True: announced.append(effort))
    bench.apply(enumeration([(0, 3), (0, 3), (0, 3)]), bench.tables)
    assert announced.count(_EFFORT_OF_A_PRODUCT) == (3 + 2 + 2) + (3 + 2) + 3


def test_lists_upon_lists_cost_what_they_do_together() -> None:
    """An input is looked for among enumerated ones once, and among listed ones never, however many lists there are."""
    efforts = []
    for lists, wrapped in ((1, False), (50, False), (50, True)):
        bench = Bench.of(always_largest(9, 4))
        first = bench.apply(enumeration([(0, 9), (0, 9), (0, 9), (0, 4)]), bench.tables)
        asked = []

        def may_count(tokens: np.ndarray, first: CertifiedInputs = first, asked: list[int] = asked) -> np.ndarray:
            asked.append(len(tokens))
            return first.may_count(tokens)

        fact = replace(first, may_count=may_count)
        rows = by_cell(row for row in itertools.product(range(9), repeat=4) if max(row) == 8 and row[3] > 3)
        for part in np.array_split(np.array(rows), lists):
            fact = bench.listed(part, fact)
            if wrapped:
                fact = bench.apply(Step("disjoint-sum"), fact)
        assert fact.correct == first.correct + len(rows) and sum(asked) == len(rows) > 1500
        efforts.append(bench.setting.meter.effort)
    assert max(efforts) < 3 * efforts[0], "but for what each step takes by itself"


def test_asking_many_premises_of_a_sum_takes_time() -> None:
    """Each of them looks at all inputs listed after the sum."""
    bench, efforts = Bench.of(always_largest(8, 4)), []
    nothing, rows = bench.apply(Step("disjoint-sum")), np.zeros((1000, 4), np.int64)
    for count in (0, 1, 2, 7):
        fact = bench.apply(Step("disjoint-sum"), *(bench.listed([(0, 0, 7, q)], nothing) for q in range(count)))
        before = bench.setting.meter.effort
        assert not fact.may_count(rows).any()
        efforts.append(bench.setting.meter.effort - before)
    assert rows.size < efforts[2] - efforts[1] < (efforts[3] - efforts[1]) // 5


def test_an_input_is_listed_once_whatever_lies_between() -> None:
    """In the same list, in the next one, after a sum, beside another list, and after a list of nothing."""
    bench = Bench.of(always_largest(4, 3))
    nothing = bench.apply(Step("disjoint-sum"))
    rows = by_cell(row for row in itertools.product(range(4), repeat=3) if max(row) == 3)
    assert rows != sorted(rows)
    assert bench.refuses([rows[0], rows[0]], nothing) and bench.refuses(sorted(rows), nothing)
    for first, last in itertools.combinations(range(len(rows)), 2):
        some = bench.listed(rows[first:last], nothing)
        beside = bench.apply(Step("disjoint-sum"), nothing, some, nothing)
        empty = bench.listed([], some)
        for before in (some, beside, empty, bench.listed([], beside)):
            assert bench.listed(rows[last:], before).correct == len(rows) - first
            assert before.covers(np.array(rows)).tolist() == [first <= i < last for i in range(len(rows))]
            for again in (rows[first : first + 1], rows[last - 1 :], [rows[last], rows[last - 1]]):
                assert bench.refuses(again, before)
    of_query = {q: bench.listed([row for row in rows if row[-1] == q], nothing) for q in range(4)}
    both = bench.apply(Step("disjoint-sum"), of_query[0], of_query[2])
    assert all(bench.refuses([row], both) for row in rows if row[-1] <= 2)
    assert bench.listed([row for row in rows if row[-1] == 3], both).correct == len([row for row in rows if row[-1] != 1])


def test_one_input_of_a_space_beyond_machine_integers() -> None:
    """16**64 inputs: of those enumerated, the others differ in one token."""
    bench = Bench.of(always_largest(16, 64))
    row = np.array([15, *[7, 2, 0] * 20, 3, 15, 9])
    ranges = [(int(t), int(t) + 1) for t in row]
    ranges[1], ranges[60] = (7, 9), (0, 2)
    fact = bench.apply(enumeration(ranges, skip=[(2, 3)]), bench.tables)  # (x_1, x_60) = (8, 0)
    assert fact.correct == 3
    others = np.tile(row, (len(row) + 3, 1))
    others[np.arange(len(row)), np.arange(len(row))] = (row + 5) % 16
    others[-3:, 1], others[-3:, 60] = (7, 8, 8), (1, 0, 1)
    assert fact.may_count(others).tolist() == [*[False] * len(row), True, False, True]
    assert bench.listed([others[-2]], fact).correct == 4 and bench.refuses([others[-1]], fact) and bench.refuses([row], fact)


def test_time_that_is_not_operations_is_announced() -> None:
    """Before it is spent: sorting inputs, looking for their places, and skipping."""
    bench = Bench.of(always_largest(6, 3))
    meter, rows = bench.setting.meter, np.array(by_cell(itertools.product(range(6), repeat=3)))
    fact = bench.apply(enumeration([(0, 6)] * 3, skip=[(0, 216)]), bench.tables)
    assert fact.correct == 0 and not fact.may_count(rows).any()
    meter.most_effort = meter.effort + rows.size
    operations = meter.operations
    for ask in (lambda: fact.may_count(rows), lambda: bench.listed(rows, fact)):
        with pytest.raises(OverBudget):
            ask()
    assert meter.operations == operations


@pytest.mark.parametrize("block", [1, 7, 40])
def test_products_of_sets_are_counted_in_parts_as_a_whole(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where they are large they are cut in two, again and again; skipped inputs stay the same."""
    model = SUBJECTS["longer"].model
    steps = [everything(4, 4, [(3, 40), (77, 78)]), enumeration([(0, 3), (1, 4), (0, 4), (1, 3)], (1, 4), [(5, 9)])]
    counted = [correct_in_ranges(SUBJECTS["longer"], step) for step in steps]
    monkeypatch.setattr("checker.attention.enumeration._BLOCK", block)
    bench = Bench.of(model)
    assert [bench.apply(step, bench.tables).correct for step in steps] == counted
