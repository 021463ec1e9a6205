"""Rule crosscoder-output against the truth and an oracle; crosscoders, their training, their terms and the search for them."""

from collections import Counter
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from hidden_oracle import HiddenModel, activations, unembed_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_dictionaries import many_codes
from test_hidden_rules import (
    ANY,
    EXACT,
    SIDES,
    Check,
    length,
    of_integers,
    rounded,
    slack_without,
)

from certificates import Step
from checker import Budget
from checker.verdict import check_proof

torch.set_num_threads(1)
HYPOTHESIS = settings(deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow])

# --- the rule -----------------------------------------------------------------------------------------------------------------


def times(check: Check) -> int:
    """The rule's tables are three times as large for transformers."""
    return 3 if check.tiny.transformer else 1


def sides_of(check: Check, chosen: Any) -> tuple[np.ndarray, np.ndarray]:
    """Shapes l "a i", r "b i" with x = l[a] + r[b], from activations alone."""
    x = activations(check.tiny)[:, :, chosen] * times(check)
    return x[:, 0], x[0] - x[0, 0]


@st.composite
def hints_of(draw: Any, check: Check, chosen: list[int]) -> tuple[int, dict[str, np.ndarray]]:
    """The scale and hints: a feature for each neuron that reads (or writes) just what it does, or nearly; or nonsense."""
    scale, count = draw(st.sampled_from([0, 4, 5, 12])), len(chosen)
    reads, writes = (draw(st.sampled_from(["near", "near", "exact", "nonsense"])) for _ in range(2))
    left, right = (rounded(side, scale) for side in sides_of(check, chosen))
    dictionary = rounded(np.broadcast_to(unembed_of(check.tiny)[chosen], (count, check.tiny.outputs)), scale)
    numbers = st.lists(st.integers(-2, 2), min_size=count, max_size=count)
    if reads == "near":
        left, right = left + draw(st.integers(-1, 1)), right + draw(numbers)
    elif reads == "nonsense":
        left, right = left * 0 + draw(numbers), right * 0 + draw(numbers)
    if writes == "near":
        dictionary = dictionary + draw(st.integers(-1, 1))
    elif writes == "nonsense":
        dictionary = dictionary * 0 + np.array(draw(numbers))[:, None] * 2**scale
    reversed_ = np.array(draw(st.lists(st.sampled_from([1, -1]), min_size=count, max_size=count)))
    atoms, codes = np.arange(count)[:, None], np.full((count, 1), 2**scale)
    if draw(st.booleans()):  # another feature, which may be the same
        others = np.array(draw(st.lists(st.integers(0, count - 1), min_size=count, max_size=count)))
        atoms, codes = np.stack([others, atoms[:, 0]], 1), np.stack([draw(numbers), codes[:, 0]], 1)
    centre = np.array(draw(st.lists(st.sampled_from([0, 0, 0, 1, -3]), min_size=count, max_size=count)))
    shapes = {"left_features": left * reversed_, "right_features": right * reversed_}
    return scale, {"atoms": atoms, "codes": codes, "dictionary": dictionary, "centre": centre, **shapes}


def step_of(scale: int, hints: dict[str, np.ndarray], pairwise: int, marks: np.ndarray, mirrored: int = 0) -> Step:
    parameters = {"mirrored": mirrored, "pairwise": pairwise, "scale": scale}
    return Step("crosscoder-output", (0,), parameters, {k: of_integers(v) for k, v in {"pairs": marks, **hints}.items()})


def known_leads(check: Check, chosen: list[int], scale: int, hints: dict[str, np.ndarray], pairwise: int) -> tuple[Any, float]:
    """By what the inequality holds "a b": twice the lead without the other neurons, less rho . (E(c) - E(z)) and its bound."""
    unit, factor = Fraction(1, 2**scale), times(check)
    p = np.full((len(chosen), len(hints["dictionary"])), Fraction(0), object)
    for (i, j), k in np.ndenumerate(hints["atoms"]):
        p[i, k] += int(hints["codes"][i, j]) * unit
    names = ("left_features", "right_features", "dictionary", "centre")
    left, right, q, mu = (hints[name].astype(object) * unit for name in names)
    x, unembed = activations(check.tiny) * factor, unembed_of(check.tiny)
    others = np.setdiff1d(np.arange(check.neurons), chosen).astype(int)
    values = check.truth.logits * factor - np.maximum(x[:, :, others], Fraction(0)) @ unembed[others]
    rest, slack = unembed[chosen] - p @ q, slack_without(check, chosen) * factor
    lead, reach = np.zeros(check.tiny.table.shape), 0.0
    for a, b in np.ndindex(lead.shape):
        rho, true = abs(x[a, b, chosen]) - p @ abs(left[a] + right[b]) - mu, check.tiny.table[a, b]
        found = []
        for z in set(range(check.tiny.outputs)) - {true}:
            first, second = rest[:, true], rest[:, z]
            apart = length(first - second) if pairwise else length(first) + length(second)
            known = 2 * (values[a, b, true] - values[a, b, z]) - rho @ (first - second) - 2 * slack
            found.append(float(known) - length(rho) * apart)
            sizes = [length(rho) * apart, float(max(abs(values[a, b]))), float(abs(x[a, b, chosen]) @ abs(p @ q).sum(1))]
            reach = max(reach, *sizes, float((p @ abs(left[a] + right[b])) @ abs(rest).sum(1)))
        lead[a, b] = min(found)
    return lead, max(reach, float(slack)) * 2.0**-20


def test_crosscoder_output_is_true_whatever_the_hints() -> None:
    counts: Counter[str] = Counter()

    @settings(HYPOTHESIS, max_examples=120)
    @given(tiny=ANY, precision=st.sampled_from([12, 30, 64, 64]), data=st.data())
    def run(tiny: HiddenModel, precision: int, data: st.DataObject) -> None:
        one_network(tiny, precision, data, counts)

    run()
    assert counts["something is lost"] > 30 and counts["nothing is lost"] > 60, "or nothing would have been tested"


def one_network(tiny: HiddenModel, precision: int, data: st.DataObject, counts: Counter[str]) -> None:
    check = Check(tiny, precision)
    chosen = data.draw(st.permutations(range(check.neurons)))
    if data.draw(st.integers(0, 3)) == 0:
        chosen = chosen[: data.draw(st.integers(1, len(chosen)))]
    (scale, hints), pairwise = data.draw(hints_of(check, chosen)), data.draw(SIDES)
    tables = check.tables(chosen)
    accepted = check.one_by_one(tables, lambda marks: step_of(scale, hints, pairwise, marks))
    check.assert_true(accepted)
    mirrored = check.one_by_one(tables, lambda marks: step_of(scale, hints, pairwise, marks, 1))
    check.assert_true(mirrored)
    assert (tiny.symmetric and tiny.commutative) or not mirrored.any()
    if tiny.exact:
        lead, unit = known_leads(check, chosen, scale, hints, pairwise)
        lost = np.asarray(2 * times(check) * check.truth.lead - lead > unit, np.bool_)
        counts["something is lost"] += int((accepted & lost).sum())
        counts["nothing is lost"] += int((accepted & ~lost).sum())
        assert precision < 64 or not np.any(accepted[lead < -unit])
        if precision == 64 and (not tiny.transformer or len(chosen) == check.neurons):  # else their slack is more
            assert np.all(accepted[lead > unit])


@settings(HYPOTHESIS, max_examples=60)
@given(tiny=EXACT, data=st.data())
def test_exact_reading_accepts_exactly_the_correct_pairs(tiny: HiddenModel, data: st.DataObject) -> None:
    """Whatever they write is said to be: what a proof loses is a product. Ties are errors."""
    check, chosen = Check(tiny), data.draw(st.permutations(range(Check(tiny).neurons)))
    scale, count = 8, len(chosen)
    left, right = (rounded(side, scale) for side in sides_of(check, chosen))
    dictionary = np.array(data.draw(st.lists(st.integers(-300, 300), min_size=count, max_size=count)))
    hints = {
        "atoms": np.arange(count)[:, None],
        "codes": np.full((count, 1), 2**scale),
        "dictionary": np.broadcast_to(dictionary[:, None] * (1 + np.arange(tiny.outputs)), (count, tiny.outputs)),
        "centre": np.zeros(count, np.int64),
        "left_features": left,
        "right_features": right,
    }
    pairs = zip((left, right), sides_of(check, chosen), strict=True)
    exact = all(np.array_equal(side.astype(object) * Fraction(1, 2**scale), true) for side, true in pairs)
    accepted = check.one_by_one(check.tables(chosen), lambda marks: step_of(scale, hints, data.draw(SIDES), marks))
    check.assert_true(accepted)
    assert not exact or np.array_equal(accepted, check.truth.correct)


def test_there_are_few_pairs_at_a_time_where_there_are_many_codes() -> None:
    """As for dictionary-output; half as many."""
    certificate, model, codes = many_codes(256, features=True)
    check_proof(certificate, model, budget=Budget(memory=2 * 32 * 128 * codes))
