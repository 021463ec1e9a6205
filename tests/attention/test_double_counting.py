"""No input is counted twice, even where the same margin comes out differently when it is summed in another order.

In the model below large terms cancel exactly and tiny ones straddle one unit of rounding. An enumeration counts inputs whose
margin, summed in the order of `covers`, is not positive: a rule that believed `covers` would count them again.
"""

import itertools

import numpy as np
import oracle
import pytest

from certificates import AttentionOnly, Certificate, Model, RawTensor, Statement, Step
from checker import CheckError
from checker.core.decide import check_proof, parse_task
from checker.core.facts import CertifiedInputs, Fact, Setting
from checker.core.meter import Budget, Meter
from checker.core.scaled_integers import ScaledArithmetic
from checker.rules import RULES

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
    meter = Meter(Budget())
    task = parse_task(TASK, sizes, None, meter)
    setting = Setting(model, task, ScaledArithmetic(precision, meter), meter)
    nothing = RawTensor.of_integers(np.zeros((0, 2), np.int64))
    steps = [Step("additive-tables"), Step("enumeration", (0,), {"start": 0, "stop": 81}, {"skip": nothing})]

    def facts(*more: Step) -> list[Fact]:
        found: list[Fact] = []
        for step in (*steps, *more):
            found.append(RULES[step.rule](setting, step, tuple(found[premise] for premise in step.premises)))
        return found

    counted = facts()[1]
    assert isinstance(counted, CertifiedInputs)
    every = np.array(list(itertools.product(range(3), repeat=4)))
    assert counted.covers(every).sum() < counted.correct <= counted.may_count(every).sum()  # what makes it a trap
    added = []
    for row in every[~counted.covers(every)]:
        try:
            facts(Step("further-inputs", (0, 1), {}, {"inputs": RawTensor.of_integers(row[None])}))
            added.append(row)
        except CheckError:
            continue
    total = counted.correct + len(added)
    assert total <= oracle.truth(tiny).count
    check_proof(Certificate(Statement(model.digest(), TASK, counted.correct, 81), precision, tuple(steps)), model)
