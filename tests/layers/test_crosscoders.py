"""Rule coded-output with features against the truth and an oracle; crosscoders, their training, terms and search."""

import json
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_dictionaries
import torch
from hidden_oracle import HiddenModel, activations, unembed_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from test_dictionaries import run
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
from test_surrogates_pairs import small_network
from thorough import some

from certificates import FormatError, Step, read_model, write_certificate, write_model
from checker import verify
from prover.layers import crosscoder, factor_search
from prover.layers.crosscoder import Crosscoder, train
from prover.layers.dictionaries import Dictionary
from prover.layers.two_input_problem import Hidden, TwoInputProblem
from prover.proving import prove
from prover.representations import representation_search
from prover.representations.crosscoder_search import CrosscoderTerms
from prover.strategies.crosscoder_output import CrosscoderOutput
from prover.strategy import DoesNotFit
from prover.weights import load_weights

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
    if count > 1 and draw(st.booleans()):  # another feature
        others = np.array(draw(st.lists(st.integers(0, count - 1), min_size=count, max_size=count)))
        others = np.where(others == atoms[:, 0], (others + 1) % count, others)
        atoms, codes = np.stack([others, atoms[:, 0]], 1), np.stack([draw(numbers), codes[:, 0]], 1)
        order = np.argsort(atoms, axis=1)
        atoms, codes = (np.take_along_axis(hint, order, 1) for hint in (atoms, codes))
    centre = np.array(draw(st.lists(st.sampled_from([0, 0, 0, 1, -3]), min_size=count, max_size=count)))
    shapes = {"left_features": left * reversed_, "right_features": right * reversed_}
    return scale, {"atoms": atoms, "codes": codes, "dictionary": dictionary, "centre": centre, **shapes}


def step_of(scale: int, hints: dict[str, np.ndarray], pairwise: int, marks: np.ndarray, mirrored: int = 0) -> Step:
    parameters = {"mirrored": mirrored, "pairwise": pairwise, "scale": scale}
    return Step("coded-output", (0,), parameters, {k: of_integers(v) for k, v in {"pairs": marks, **hints}.items()})


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


def test_what_is_proved_by_features_is_true_whatever_the_hints() -> None:
    counts: Counter[str] = Counter()

    @settings(HYPOTHESIS, max_examples=120)
    @given(tiny=ANY, precision=st.sampled_from([12, 30, 64, 64]), data=st.data())
    def one(tiny: HiddenModel, precision: int, data: st.DataObject) -> None:
        one_network(tiny, precision, data, counts)

    one()
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


@settings(HYPOTHESIS, max_examples=some(60))
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


# --- crosscoders --------------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crosscoder, "_STEPS", 400)
    monkeypatch.setattr(factor_search, "_STEPS", 50)


def planted(neurons: int = 40, size: int = 9, seed: int = 0) -> tuple[Hidden, np.ndarray]:
    """Neurons with one of four features each, scaled and perhaps reversed in what they read; which one."""
    rng = np.random.default_rng(seed)
    left, right, output = (rng.normal(size=(4, size)) for _ in range(3))
    output -= output.mean(1, keepdims=True)
    which, codes, signs = rng.integers(0, 4, neurons), 1 + rng.random(neurons), rng.choice([-1, 1], neurons)
    reads = codes * signs
    sides = (left[which].T * reads, right[which].T * reads, np.zeros(neurons), output[which] * codes[:, None])
    return Hidden(*sides, np.zeros((size, size)), np.zeros(size), np.ones(neurons), False), which


def all_pairs(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    first, second = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    return first.reshape(-1), second.reshape(-1)


def test_training_finds_a_planted_crosscoder() -> None:
    hidden, which = planted()
    found = train(hidden, 8, 1, 1)
    used = found.codes.argmax(1).numpy()
    assert torch.all((found.codes > 0).sum(1) == 1)
    assert all(len(set(which[used == k])) == 1 for k in set(used)), "a feature is that of neurons with the same one"
    seen = found.seen(*all_pairs(9))
    x = torch.as_tensor(hidden.left)[:, None] + torch.as_tensor(hidden.right)
    assert (found.read(seen) - x.reshape(81, -1)).norm() < 0.02 * x.norm(), "what is reversed as well"
    assert found.interaction(seen).abs().max() < 1e-9
    assert (found.codes @ found.output - torch.as_tensor(hidden.unembed)).norm() < 0.02 * np.linalg.norm(hidden.unembed)
    assert all(error.norm() < 0.02 * x.norm() for error in found.of_reading(hidden))
    assert found.centre(hidden).abs().max() < 0.1


def test_the_penalty_makes_features_interact_less() -> None:
    """Neurons at many phases of a wave: two features describe each, but as sizes they do not add up."""
    phases = np.linspace(0, np.pi, 60, endpoint=False)
    wave = np.cos(2 * np.pi * np.arange(11)[:, None] / 11 - phases)
    hidden = Hidden(wave, wave, np.zeros(60), wave.T, np.zeros((11, 11)), np.zeros(11), np.ones(60), True)
    plain, penalised = (train(hidden, 6, 2, penalty) for penalty in (0, 1))
    pairs = all_pairs(11)
    sizes = [float(one.interaction(one.seen(*pairs)).norm()) for one in (plain, penalised)]
    assert sizes[1] < 0.7 * sizes[0]
    assert all(torch.all((one.kept(1).codes > 0).sum(1) <= 1) for one in (plain, penalised))


def test_the_interaction_has_the_right_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    left, right, output, codes = (torch.randn(size, generator=generator, dtype=torch.float64) for size in 4 * ((5, 5),))
    pairs, signs = all_pairs(5), torch.ones(5, 5, dtype=torch.float64)

    def mean_square(left: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        one = Crosscoder(left, right, output, codes.abs(), signs)
        return one.interaction(one.seen(*pairs)).square().mean()

    assert torch.autograd.gradcheck(mean_square, (left.requires_grad_(), codes.requires_grad_()), atol=1e-6)


def test_files_of_crosscoders(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    written = Dictionary.of_sides([rng.normal(size=(4, 7)), rng.normal(size=(4, 7)), rng.normal(size=(4, 9))])
    written.write(tmp_path / "c.safetensors")
    tensors = load_file(tmp_path / "c.safetensors")
    shapes = {"W_dec": (4, 3, 9), "W_enc": (3, 9, 4), "b_dec": (3, 9), "b_enc": (4,)}
    assert {name: tensor.shape for name, tensor in tensors.items()} == shapes
    assert not tensors["W_dec"][:, :2, 7:].any(), "narrow sides are filled up"
    again = Dictionary.read(tmp_path / "c.safetensors")
    assert again.sides == 3 and np.allclose(again.atoms, written.atoms, atol=1e-6)
    tensors["b_dec"] += 1
    save_file(tensors, tmp_path / "bias.safetensors")
    assert np.array_equal(Dictionary.read(tmp_path / "bias.safetensors").atoms[4], np.ones(27))
    save_file(tensors | {"b_dec": np.zeros(27, np.float32)}, tmp_path / "bad.safetensors")
    with pytest.raises(FormatError, match="no dictionary"):
        Dictionary.read(tmp_path / "bad.safetensors")


def test_neurons_by_the_features_of_a_file() -> None:
    hidden, which = planted()
    trained = train(hidden, 8, 1, 0)
    sides = [side.numpy() for side in (trained.left.T, trained.right.T, trained.output)]
    found = Crosscoder.of_dictionary(Dictionary.of_sides(sides), hidden, 1)
    assert torch.allclose(found.codes, trained.codes, atol=0.05) and len(set(which)) == 4
    seen = found.seen(*all_pairs(9))
    assert torch.allclose(found.read(seen), trained.read(seen), atol=0.2)
    with pytest.raises(DoesNotFit, match="2 x 9 numbers an atom"):
        Crosscoder.of_dictionary(Dictionary.of_sides(sides[:2]), hidden, 1)


# --- the search ---------------------------------------------------------------------------------------------------------------

network = test_dictionaries.network


def test_search(network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def settings_of_family() -> list[CrosscoderOutput]:
        two = [CrosscoderOutput(12, 2, penalty=penalty, single=single) for penalty in (0, 1) for single in (0, 1)]
        return [CrosscoderOutput(12, 1, penalty=0), *two]

    monkeypatch.setattr(representation_search, "FAMILIES", {"crosscoder": settings_of_family})
    code, output = run("search", network, "--family", "crosscoder", "-o", tmp_path / "out")
    assert code == 0, output
    records = json.loads((tmp_path / "out" / "frontier.json").read_text())
    assert len(records) == 10 and all(record["accepted"] for record in records)
    assert any(record["correct"] for record in records)
    terms = json.loads((tmp_path / "out" / "crosscoders.json").read_text())
    assert {entry["name"] for entry in terms} == {path.stem for path in (tmp_path / "out").glob("*.cert")}
    for entry in terms:
        single = entry["parameters"]["single"] or entry["parameters"]["sparsity"] == 1
        if single and not entry["parameters"]["objective"]:
            assert entry["interaction"] < 1e-6
        assert 0 <= entry["accuracy"] <= 1 and min(entry[name] for name in ("left", "right", "writing")) >= 0
    assert "One feature for each neuron" in output and "without penalty, cut to one" in output
    assert "What features leave out" in (tmp_path / "out" / "report.html").read_text()
    dictionary = (
        tmp_path / "out" / (next(r for r in terms if not r["parameters"]["objective"])["name"] + ".dictionary.safetensors")
    )
    command = ("prove", network, "-o", tmp_path / "x.cert", "--dictionary", dictionary)
    code, output = run(*command, "--strategy", "crosscoder", "--set", "sparsity=1")
    assert code == 0 and verify(tmp_path / "x.cert", network).accepted, output
    code, output = run(*command, "--strategy", "dictionary")
    assert code != 0 and "the dictionary has atoms" in output
    code, output = run("prove", network, "-o", tmp_path / "x.cert", "--strategy", "crosscoder", "--set", "single=2")
    assert code != 0 and "penalty and single are 0 or 1" in output


def test_terms_of_a_crosscoder_that_is_exact(network: Path, tmp_path: Path) -> None:
    """A feature for each neuron: nothing is left out, and the network does what it does."""
    problem = TwoInputProblem(read_model(network), torch.device("cpu"))
    hidden = problem.hidden.of(problem.neurons)
    sides = [
        (hidden.left + hidden.bias / 2).T,
        (hidden.right + hidden.bias / 2).T,
        hidden.unembed - hidden.unembed.mean(1)[:, None],
    ]
    problem = replace(problem, dictionary=Dictionary.of_sides(sides))
    evidence = CrosscoderOutput(len(problem.neurons), 1).prove(problem)
    assert evidence.correct == int((problem.margins > 0).sum())
    terms = CrosscoderTerms.of(problem, problem.neurons, evidence.steps[-1])
    assert terms.accuracy == evidence.correct / problem.total
    assert max(terms.left, terms.right, terms.interaction, terms.writing) < 1e-4
    claims = CrosscoderOutput(len(problem.neurons), 1).surrogate(problem)(load_weights(problem.model, problem.device), 0.0)
    assert round(float(claims.bound()) * problem.total) == evidence.correct


@pytest.mark.parametrize("switches", [{}, {"objective": 1, "single": 1}, {"sparsity": 1, "penalty": 0, "pairwise": 0}])
def test_surrogates_are_at_most_what_is_certified(
    switches: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with features that describe little, and on transformers; and the certificates are accepted."""
    monkeypatch.setattr(crosscoder, "_STEPS", 50)
    monkeypatch.setattr(factor_search, "_STEPS", 10)
    found = 0
    for seed in range(8):
        problem = small_network(seed)
        strategy = CrosscoderOutput(**{"atoms": 8, **switches})
        claims = strategy.surrogate(problem)(load_weights(problem.model, problem.device), 0.0)
        certificate, evidence = prove(problem, strategy)
        beyond_rounding = claims.margin.amin(1) > 1e-6
        assert float((claims.share * beyond_rounding).sum()) * problem.total <= evidence.correct + 1e-6
        write_model(tmp_path / "m", problem.model)
        write_certificate(tmp_path / "c", certificate)
        verdict = verify(tmp_path / "c", tmp_path / "m")
        assert verdict.accepted, verdict.reason
        found += evidence.correct
    assert found > 20
