"""Surrogates against what is certified, and fine-tuning from the command to the report."""

import json
import math
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import oracle
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_frontier import BROWSER_ARGUMENTS, chromium, sticking_out
from test_low_rank_chains import capable_model
from test_theorems import as_model

from certificates import AttentionOnly, Model, read_model, write_model
from checker import verify
from checker.decide import check_proof
from prover.attention.full_prefixes import full_prefix_claims
from prover.attention.projected_tables import DIFFERENCES, LENGTHS, NORMS, ProjectedTables
from prover.attention.sequence_problem import SequenceProblem
from prover.proving import prove
from prover.strategies import ATTENTION_STRATEGIES
from prover.strategies.interpretation import Interpretation
from prover.strategies.low_rank_chains import LowRankChains
from prover.strategies.prefix_chains import Pessimized, Thresholds
from prover.strategy import DoesNotFit, Strategy
from prover.surrogate import Claims, soft_maximum, soft_minimum
from prover.training.checkpoints import read_checkpoint, run_key, write_checkpoint
from prover.training.examples import predictions, some_examples, varied_examples
from prover.training.finetuning import Recipe, State, finetune
from prover.training.max_of_k import MaxOfKRecipe, train_max_of_k
from prover.weights import load_weights

torch.set_num_threads(1)
CPU = torch.device("cpu")
TAME = ("maximum", "noise", "integers")
"""Kinds of random models whose weights do not differ by so much that rounding decides."""
SMALL = Recipe(steps=60, milestone=20, warmup=10, rate=2e-3)


@pytest.fixture(scope="module")
def model() -> Model:
    """Trained for a short time: far from certified."""
    return train_max_of_k(MaxOfKRecipe(length=3, vocab=8, seed=1, d_model=8, d_head=8, steps=300), CPU)


# --- surrogates ---------------------------------------------------------------------------------------------------------------


@given(
    values=st.lists(st.floats(-50, 50), min_size=1, max_size=8),
    temperature=st.floats(1e-3, 10),
)
def test_soft_extrema_are_on_the_safe_side(values: list[float], temperature: float) -> None:
    numbers = torch.tensor(values, dtype=torch.float64)
    least, most = float(soft_minimum(numbers, 0, temperature)), float(soft_maximum(numbers, 0, temperature))
    slack = temperature * np.log(len(values)) + 1e-9
    assert min(values) - slack <= least <= min(values) + 1e-9
    assert max(values) - 1e-9 <= most <= max(values) + slack
    assert float(soft_minimum(numbers, 0, 0.0)) == min(values)


def test_a_claim_holds_if_all_its_conditions_do() -> None:
    claims = Claims(torch.tensor([[1.0, 2.0], [1.0, -1e-9], [0.5, 0.1]]), torch.tensor([0.5, 0.25, 0.125]))
    assert float(claims.bound()) == 0.625
    bounds = [float(claims.bound(temperature)) for temperature in (1.0, 0.1, 0.01, 1e-4)]
    assert abs(bounds[-1] - 0.625 - 0.125) < 1e-4, "a margin of zero counts half"


def rounding(problem: SequenceProblem) -> float:
    """Margins above this the checker can tell from zero; the surrogate knows nothing of rounding."""
    tables = problem.tables
    steepness = tables.token_score.abs().max() + tables.position_score.abs().max()  # weights are rounded to the largest one
    return 8 * (tables.weight_error * tables.largest_gap + tables.gap_error) * math.exp(2 * min(float(steepness), 300.0))


BETWEEN = ("brute-force", "exact", "classes", "thresholds", "pessimized")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), place=st.sampled_from(("largest", "smallest")), name=st.sampled_from(BETWEEN))
def test_surrogates_are_at_most_what_is_certified(seed: int, place: str, name: str) -> None:
    tiny = oracle.random_model(seed, TAME, place=place)
    problem = SequenceProblem(as_model(tiny), CPU, 40)
    strategy = ATTENTION_STRATEGIES[name]()
    claims = strategy.surrogate(problem)(load_weights(problem.model, CPU), 0.0)
    held = (claims.margin.amin(1) > rounding(problem)).to(claims.share.dtype)
    certificate, evidence = prove(problem, strategy)
    certified = check_proof(certificate, problem.model).result.correct
    assert certified == evidence.correct
    assert float((claims.share * held).sum()) * problem.total <= certified + 1e-6 * problem.total
    assert abs(float(claims.share.sum()) - 1) < 1e-9, "every input is in one cell"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**32),
    place=st.sampled_from(("largest", "smallest")),
    ranks=st.tuples(*[st.integers(-1, 2)] * 3),
    residual=st.sampled_from((LENGTHS, DIFFERENCES, NORMS)),
    switches=st.tuples(st.integers(0, 1), st.integers(0, 1)),
)
def test_surrogates_of_interpretations_are_at_most_what_is_certified(
    seed: int, place: str, ranks: tuple[int, ...], residual: int, switches: tuple[int, int]
) -> None:
    tiny = oracle.random_model(seed, TAME, place=place)
    problem = SequenceProblem(as_model(tiny), CPU, 40)
    attention, copying, direct = (min(rank, tiny.d_model) for rank in ranks)
    strategy = Interpretation(attention, copying, direct, switches[0], residual=residual, diagonal=switches[1])
    claims = strategy.surrogate(problem)(load_weights(problem.model, CPU), 0.0)
    held = (claims.margin.amin(1) > rounding(problem)).to(claims.share.dtype)
    certified = strategy.prove(problem).correct
    assert float((claims.share * held).sum()) * problem.total <= certified + 1e-6 * problem.total
    assert abs(float(claims.share.sum()) - 1) < 1e-9, "every input is in one cell"


@pytest.mark.parametrize("part", range(4))
def test_the_surrogate_of_low_rank_chains_is_at_most_what_is_certified(part: int) -> None:
    """But for margins within the rounding of roots, which may be large beside what vanishes."""
    some = 0
    for seed in range(10 * part, 10 * part + 10):
        problem, strategy = SequenceProblem(as_model(capable_model(seed)), CPU, 40), LowRankChains(bands=1 + seed % 3)
        cold, warm = (strategy.surrogate(problem)(load_weights(problem.model, CPU), t) for t in (0.0, 0.1))
        held = cold.margin.amin(1) > 1
        certified = strategy.prove(problem).correct
        assert float(cold.share[held].sum()) * problem.total <= certified + 1e-6 * problem.total
        assert abs(float(cold.share.sum()) - 1) < 1e-9, "every input is in one cell"
        assert not bool(((warm.margin.amin(1) > 1e-9) & (cold.margin.amin(1) <= 0)).any()), "warm, nothing more is claimed"
        some += bool(held.any())
    assert some > 4


INTERPRETATIONS = [
    Interpretation(attention, copying, direct, joint=joint, residual=residual, diagonal=diagonal)
    for residual in (LENGTHS, DIFFERENCES, NORMS)
    for attention, copying, direct, joint, diagonal in ((1, -1, -1, 1, 0), (2, 3, 0, 0, 1), (0, 1, 2, 1, 0))
]


@pytest.mark.parametrize("strategy", INTERPRETATIONS, ids=str)
def test_surrogates_of_interpretations_bound_tables_as_the_strategy_does(model: Model, strategy: Interpretation) -> None:
    """Margins are those of full prefixes about the tables of the proof, but for what roots are rounded up by."""
    problem = SequenceProblem(model, CPU, 40)
    ranks = {"score": strategy.attention, "direct": strategy.direct, "value": strategy.copying}
    tables = ProjectedTables.of(problem, ranks, strategy.residual, strategy.diagonal == 1).tables
    expected = full_prefix_claims(tables, strategy.joint == 1, 0.0).margin
    found = strategy.surrogate(problem)(load_weights(model, CPU), 0.0).margin
    assert torch.allclose(found, expected, rtol=1e-3, atol=5e-3)


@pytest.mark.parametrize("joint", [True, False])
def test_warmer_surrogates_claim_less(model: Model, joint: bool) -> None:
    tables = SequenceProblem(model, CPU).tables
    cold = full_prefix_claims(tables, joint, 0.0)
    for temperature in (1e-3, 0.1, 1.0):
        warm = full_prefix_claims(tables, joint, temperature)
        positive = cold.margin > 0
        assert bool((warm.margin[~positive] <= 1e-9).all()), "nothing is claimed that is not claimed when cold"


def test_chains_reach_what_equal_shares_reach() -> None:
    """A margin that is just enough for n equal tokens is enough for the search, whatever the grid of shares."""
    found = 0
    for seed in range(60):
        tiny = oracle.random_model(seed, TAME)
        problem = SequenceProblem(as_model(tiny), CPU, 40)
        claims = Pessimized().surrogate(problem)(load_weights(problem.model, CPU), 0.0)
        held = claims.margin[:, 0] > rounding(problem)
        found += int((held & (claims.margin[:, 0] < 0.3)).sum())
        share = float((claims.share * held).sum())
        assert share * problem.total <= Pessimized().prove(problem).correct + 1e-6 * problem.total
    assert found > 20


@pytest.mark.parametrize("temperature", [0.1, 1.0])
@pytest.mark.parametrize("strategy", [Pessimized(), Pessimized(joint=0), *INTERPRETATIONS], ids=str)
def test_gradients_against_finite_differences(model: Model, temperature: float, strategy: Strategy) -> None:
    surrogate = strategy.surrogate(SequenceProblem(model, CPU))
    weights = {name: w.clone().requires_grad_(".b_" not in name) for name, w in load_weights(model, CPU).items()}
    loss = surrogate(weights, temperature).loss()
    loss.backward()
    rng = random.Random(0)
    for name, w in weights.items():
        if not w.requires_grad:
            continue
        place, step = tuple(rng.randrange(n) for n in w.shape), 1e-6
        with torch.no_grad():
            ends = []
            for sign in (1, -1):
                moved = {**weights, name: w.clone()}
                moved[name][place] += sign * step
                ends.append(float(surrogate(moved, temperature).loss()))
        expected = (ends[0] - ends[1]) / (2 * step)
        assert w.grad is not None
        assert abs(float(w.grad[place]) - expected) <= 1e-4 * max(1.0, abs(expected)), name


def test_the_middle_one_has_no_surrogate(model: Model) -> None:
    problem = SequenceProblem(model, CPU, task_json={"name": "nth-max-of-k", "n": 2})
    with pytest.raises(DoesNotFit, match="largest or smallest"):
        next(finetune(problem, ATTENTION_STRATEGIES["classes"](), SMALL))
    with pytest.raises(DoesNotFit, match="no differentiable surrogate"):
        ATTENTION_STRATEGIES["sampling"]().surrogate(problem)


# --- examples -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", [{"name": "max-of-k"}, {"name": "min-of-k"}, {"name": "nth-max-of-k", "n": 2}])
def test_examples_have_their_true_outputs(model: Model, task: dict[str, object]) -> None:
    problem = SequenceProblem(model, CPU, task_json=task)
    place = {"max-of-k": -1, "min-of-k": 0, "nth-max-of-k": -2}[str(task["name"])]
    generator = torch.Generator().manual_seed(0)
    every, some = some_examples(problem, 10**4, generator), varied_examples(problem, 2000, generator)
    assert len(every) == len(torch.unique(every.inputs, dim=0)) == problem.total and len(some) == 2000
    for examples in (every, some):
        assert torch.equal(examples.true, examples.inputs.sort(1).values[:, [place]])
    assert int(some.inputs.min()) == 0 and int(some.inputs.max()) == 7
    if place != -2:
        rare = 0 if place == -1 else 7
        assert int((some.true == rare).sum()) > 80, "true outputs that are rare at random occur"


# --- the loop -----------------------------------------------------------------------------------------------------------------


def test_what_is_kept_is_certified(model: Model) -> None:
    problem, strategy = SequenceProblem(model, CPU), Pessimized()
    states = list(finetune(problem, strategy, replace(SMALL, steps=200)))
    first, last = states[0], states[-1]
    assert last.best_correct > first.best_correct
    tuned = SequenceProblem(last.best, CPU)
    certificate, evidence = prove(tuned, strategy)
    assert check_proof(certificate, last.best).result.correct == evidence.correct == last.best_correct
    assert [milestone.step for milestone in last.history] == list(range(0, last.step + 1, 20))
    before, after = load_weights(model, CPU), load_weights(last.best, CPU)
    for name in before:
        assert torch.equal(before[name], after[name]) == (".b_" in name), "biases that are zero stay so, the others move"
    assert {name: t.dtype for name, t in last.best.tensors.items()} == {name: t.dtype for name, t in model.tensors.items()}


def test_accuracy_is_a_constraint(model: Model) -> None:
    states = list(finetune(SequenceProblem(model, CPU), Pessimized(), replace(SMALL, keep_accuracy=2.0)))
    assert states[-1].best == model and states[-1].best_correct == states[0].best_correct


def test_every_input_certified_ends_the_run(model: Model) -> None:
    perfect = ATTENTION_STRATEGIES["brute-force"]()
    states = list(finetune(SequenceProblem(model, CPU), perfect, replace(SMALL, steps=2000)))
    assert states[-1].best_correct == 8**3 and states[-1].stopped == "every input is certified"
    assert states[-1].step < 2000


@pytest.mark.parametrize("rate", [1e3, 1e30])
def test_divergence_ends_the_run(model: Model, rate: float) -> None:
    states = list(finetune(SequenceProblem(model, CPU), Pessimized(), replace(SMALL, rate=rate)))
    last = states[-1]
    assert last.best_correct >= states[0].best_correct
    assert "finite" in last.stopped or last.stopped == "all steps were taken"
    if rate > 1e20:
        assert "not finite; the best model so far is kept" in last.stopped and last.best == model


def test_an_interrupted_run_ends_as_one_that_was_not(model: Model, tmp_path: Path) -> None:
    problem, strategy = SequenceProblem(model, CPU), Thresholds(levels=1)
    whole = list(finetune(problem, strategy, SMALL))
    key = run_key(problem, strategy, SMALL)
    write_checkpoint(tmp_path / "c.pt", key, whole[1])
    stored = read_checkpoint(tmp_path / "c.pt", key, model)
    assert stored.history[1:] == whole[1].history[1:] and stored.best == whole[1].best
    again = list(finetune(problem, strategy, SMALL, stored))
    assert same(again[-1], whole[-1])
    with pytest.raises(Exception, match="belongs to another run"):
        read_checkpoint(tmp_path / "c.pt", run_key(problem, strategy, replace(SMALL, seed=1)), model)
    (tmp_path / "c.pt").write_bytes(b"nonsense")
    with pytest.raises(Exception, match="is no checkpoint"):
        read_checkpoint(tmp_path / "c.pt", key, model)


def same(one: State, other: State) -> bool:
    weights = all(torch.equal(one.weights[name], other.weights[name]) for name in other.weights)
    return weights and one.best == other.best and one.history[1:] == other.history[1:]


# --- the command --------------------------------------------------------------------------------------------------------------


def prover(*arguments: object) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "prover", *map(str, arguments)], capture_output=True, text=True, check=False, timeout=300
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def finished(model: Model, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("finetuning")
    write_model(folder / "model.safetensors", model)
    command = ("finetune", folder / "model.safetensors", "--strategy", "pessimized", "--steps", 400)
    code, output = prover(*command, "-o", folder / "tuned.safetensors")
    assert code == 0, output
    return folder, output


def test_the_command_certifies_before_and_after(finished: tuple[Path, str], model: Model) -> None:
    folder, output = finished
    results = folder / "tuned-finetuning"
    record = json.loads((results / "finetuning.json").read_text())
    before = verify(results / "before.cert", folder / "model.safetensors")
    after = verify(results / "after.cert", folder / "tuned.safetensors")
    assert before.accepted and after.accepted
    assert (record["before"]["verdict"]["correct"], record["after"]["verdict"]["correct"]) == (before.correct, after.correct)
    assert before.correct is not None and after.correct is not None and after.correct > before.correct
    assert record["after"]["examples"] == 8**3 and record["after"]["right"] >= after.correct
    lost = sum(record["after"]["losses"].values()) * 8**3
    assert abs(lost - (8**3 - after.correct)) < 1e-6, "the stages add up to what is not certified"
    assert 0 < record["relative_distance"]["all weights"] < 2
    tuned = read_model(folder / "tuned.safetensors")
    inputs = some_examples(SequenceProblem(model, CPU), 10**4, torch.Generator()).inputs
    changed = [predictions(SequenceProblem(m, CPU), load_weights(m, CPU), inputs) for m in (model, tuned)]
    assert abs(record["predictions_changed"] - float((changed[0] != changed[1]).double().mean())) < 1e-12
    assert "certified accuracy" in output and "step 50" in output


def test_the_command_continues_and_refuses_another_run(finished: tuple[Path, str]) -> None:
    folder, _ = finished
    command = ("finetune", folder / "model.safetensors", "--strategy", "pessimized")
    content = (folder / "tuned.safetensors").read_bytes()
    code, output = prover(*command, "--steps", 400, "-o", folder / "tuned.safetensors")
    assert code == 0 and "continuing at step" in output and (folder / "tuned.safetensors").read_bytes() == content
    code, output = prover(*command, "--steps", 300, "-o", folder / "tuned.safetensors")
    assert code == 2 and "belongs to another run" in output and "Traceback" not in output
    code, output = prover(*command, "-o", folder / "model.safetensors")
    assert code != 0 and "is the model itself" in output
    code, output = prover("finetune", folder / "model.safetensors", "--strategy", "sampling", "-o", folder / "x.safetensors")
    assert code == 2 and "no differentiable surrogate" in output


def test_the_page_in_a_browser(finished: tuple[Path, str]) -> None:
    executable = chromium()
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    page_path = finished[0] / "tuned-finetuning" / "report.html"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=BROWSER_ARGUMENTS)
        view, errors = browser.new_page(), []
        view.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        view.on("pageerror", lambda error: errors.append(str(error)))
        view.goto(page_path.resolve().as_uri())
        view.wait_for_selector("#history-figure .scatterlayer .trace", state="attached")
        view.wait_for_selector("#losses-figure .scatterlayer .trace", state="attached")
        view.wait_for_selector("#moved-figure .barlayer .trace", state="attached")
        assert view.title() == "tuned: fine-tuned"
        assert "certified after" in view.inner_text("main")
        browser.close()
    assert not errors and not sticking_out(page_path)


def test_tied_and_missing_tensors_stay_so() -> None:
    config = AttentionOnly(4, 4, 5, 5, 2)
    trained = train_max_of_k(MaxOfKRecipe(length=2, vocab=5, seed=0, d_model=4, d_head=4, steps=50), CPU)
    tensors = {name: tensor for name, tensor in trained.tensors.items() if ".b_" not in name}
    tensors["blocks.0.attn.W_K"] = tensors["blocks.0.attn.W_Q"]
    tied = Model(config, tensors, trained.task)
    last = list(finetune(SequenceProblem(tied, CPU), ATTENTION_STRATEGIES["brute-force"](), SMALL))[-1]
    assert set(last.best.tensors) == set(tensors)
    assert last.best.tensors["blocks.0.attn.W_K"] == last.best.tensors["blocks.0.attn.W_Q"]
    assert last.best.tensors["embed.W_E"] != tensors["embed.W_E"]
