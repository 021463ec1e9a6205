"""Surrogates of strategies for two inputs: never more than is certified, gradients, and what fine-tuning towards them gives."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_group_search import _coset_network, _problem
from test_quadrature import network
from thorough import some

from certificates import GroupMLP, Model, RawTensor, UniformAttention, read_model, write_certificate, write_model
from certificates.groups import group_table
from checker import verify
from prover.layers.complete_sets import nearest_complete
from prover.layers.group_set_search import any_kernel, transitive_sets
from prover.layers.two_input_problem import TwoInputProblem
from prover.proving import prove
from prover.strategies import TWO_INPUT_STRATEGIES
from prover.strategies.evaluated_pairs import BruteForcePairs
from prover.strategies.fourier_output import Fourier
from prover.strategies.group_sets import Cosets, GroupSets, RhoSets
from prover.strategies.low_rank_output import LowRankOutput
from prover.strategies.quadrature import Quadrature
from prover.strategies.structured_output import StructuredOutput
from prover.strategy import DoesNotFit, Strategy
from prover.training.finetuning import Recipe, State, finetune
from prover.weights import load_weights

torch.set_num_threads(1)
CPU = torch.device("cpu")
ATTENTION_STRATEGIES = (
    BruteForcePairs(),
    LowRankOutput(rank=2),
    LowRankOutput(rank=3, basis=1, pairwise=0),
    Fourier(exact=20, ideal=1),
    LowRankOutput(rank=2, blocks=1),
    StructuredOutput(),
    Quadrature(),
    Quadrature(outputs=1),
    RhoSets(),
    Cosets(),
)


def small_network(seed: int) -> TwoInputProblem:
    """On sets or of single waves to within some noise, or a transformer that adds a little, or just random."""
    random = np.random.default_rng(seed)
    kind, noise = seed % 4, float(random.choice([0.0, 1e-4, 1e-2, 0.1, 1.0]))
    if kind == 0:
        return TwoInputProblem(
            network(int(random.choice([3, 5, 7])), int(random.integers(6, 20)), seed, noise, noise / 10), CPU
        )
    if kind == 1:
        group = str(random.choice(["symmetric:3", "cyclic:5", "dihedral:4"]))
        table = group_table(group)
        sets = transitive_sets(table)
        hidden = _coset_network(sets[random.integers(len(sets))], table, random, noise, int(random.integers(2)))
        return _problem(hidden, {"name": "group-composition", "group": group}, bias=noise / 10)
    if kind == 2:
        elements = int(random.choice([3, 5]))
        config = UniformAttention(2, 6, 5, elements + 1, elements, 3, 2)
        values = {n: random.normal(size=shape) for n, shape in config.tensor_shapes().items()}
        return TwoInputProblem(_model(config, values, {"name": "modular-addition", "modulus": elements}), CPU)
    config = GroupMLP(int(random.integers(1, 9)), 6, 6)
    values = {n: random.normal(size=shape) for n, shape in config.tensor_shapes().items()}
    return TwoInputProblem(_model(config, values, {"name": "group-composition", "group": "symmetric:3"}), CPU)


def _model(config: GroupMLP | UniformAttention, values: dict[str, np.ndarray], task: object) -> Model:
    tensors = {n: RawTensor("F32", v.shape, v.astype(np.float32).tobytes()) for n, v in values.items()}
    return Model(config, tensors, task)


@settings(max_examples=some(100), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), strategy=st.sampled_from(ATTENTION_STRATEGIES))
def test_surrogates_are_at_most_what_is_certified(seed: int, strategy: Strategy) -> None:
    problem = small_network(seed)
    weights = load_weights(problem.model, CPU)
    try:
        surrogate = strategy.surrogate(problem)
    except DoesNotFit:
        return
    cold, warm = surrogate(weights, 0.0), surrogate(weights, 0.1)
    assert abs(float(cold.share.sum()) - 1) < 1e-9, "every pair is in one claim"
    certified = strategy.prove(problem).correct
    beyond_rounding = cold.margin.amin(1) > 1e-6
    assert float((cold.share * beyond_rounding).sum()) * problem.total <= certified + 1e-6
    assert not bool(((warm.margin > 1e-9) & (cold.margin <= 0)).any()), "nothing is claimed that is not claimed when cold"


@pytest.mark.parametrize("strategy", ATTENTION_STRATEGIES, ids=str)
def test_surrogates_say_what_is_certified_where_the_bound_is_clear(strategy: Strategy) -> None:
    problem = TwoInputProblem(network(7, 21, 1, 1e-6), CPU)
    if isinstance(strategy, GroupSets | StructuredOutput):
        table = group_table("symmetric:3")
        three = next(one for one in transitive_sets(table) if one.size == 3)
        hidden = _coset_network(three, table, np.random.default_rng(0), 1e-6)
        problem = _problem(hidden, {"name": "group-composition", "group": "symmetric:3"})
    found = strategy.surrogate(problem)(load_weights(problem.model, CPU), 0.0).bound()
    assert abs(float(found) - strategy.prove(problem).correct / problem.total) < 1e-9


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("strategy", ATTENTION_STRATEGIES, ids=str)
def test_gradients_against_finite_differences(seed: int, strategy: Strategy) -> None:
    problem, generator = small_network(seed), torch.Generator().manual_seed(seed)
    start = load_weights(problem.model, CPU)
    try:
        surrogate = strategy.surrogate(problem)
    except DoesNotFit:
        return
    start = {n: w + 0.003 * torch.randn(w.shape, generator=generator, dtype=w.dtype) for n, w in start.items()}
    weights = {n: w.clone().requires_grad_() for n, w in start.items()}
    surrogate(weights, 0.1).loss().backward()
    direction = {n: torch.randn(w.shape, generator=generator, dtype=w.dtype) for n, w in start.items()}
    along = sum(float((w.grad * direction[n]).sum()) for n, w in weights.items() if w.grad is not None)
    step, ends = 1e-7, []
    for sign in (1, -1):
        ends.append(float(surrogate({n: w + sign * step * direction[n] for n, w in start.items()}, 0.1).loss()))
    assert abs((ends[0] - ends[1]) / (2 * step) - along) <= 1e-4 * max(1.0, abs(along))


# --- fine-tuning --------------------------------------------------------------------------------------------------------------


def tuned(problem: TwoInputProblem, strategy: Strategy, recipe: Recipe, folder: Path) -> State:
    """The last state of a run, whose best model has a certificate that the checker accepts."""
    state = list(finetune(problem, strategy, recipe))[-1]
    best = replace(problem, model=state.best)
    certificate, _ = prove(best, strategy)
    write_model(folder / "model", state.best)
    write_certificate(folder / "certificate", certificate)
    verdict = verify(folder / "certificate", folder / "model")
    assert verdict.correct == state.best_correct and read_model(folder / "model") == state.best
    return state


@pytest.mark.parametrize("outputs", [0, 1])
def test_waves_become_single(outputs: int, tmp_path: Path) -> None:
    """Both embeddings stay one."""
    problem, strategy = TwoInputProblem(network(11, 40, 0, 0.1, 0.1), CPU), Quadrature(outputs)
    assert strategy.prove(problem).correct == 0
    state = tuned(problem, strategy, Recipe(steps=800, rate=3e-3), tmp_path)
    assert state.stopped == "every input is certified"
    tensors = state.best.tensors
    assert tensors["embed_left.W_E"] == tensors["embed_right.W_E"] != problem.model.tensors["embed_left.W_E"]


@pytest.mark.parametrize("strategy", [RhoSets(), Cosets()])
def test_sets_are_completed(strategy: Strategy, tmp_path: Path) -> None:
    """Cells without neurons get them from those that do something else."""
    table, random = group_table("symmetric:4"), np.random.default_rng(1)
    four = next(one for one in transitive_sets(table) if one.size == 4)
    hidden = _coset_network(four, table, random, 0.01, 4)
    others = (0.3 * random.normal(size=(24, 6)), 0.3 * random.normal(size=(24, 6)), 0.1 * random.normal(size=(6, 24)))
    both = replace(
        hidden,
        left=np.concatenate([hidden.left + hidden.bias, others[0]], 1),
        right=np.concatenate([hidden.right, others[1]], 1),
        unembed=np.concatenate([8 * hidden.unembed, others[2]]),
        bias=np.zeros(len(hidden.bias) + 6),
    )
    problem = _problem(both, {"name": "group-composition", "group": "symmetric:4"})
    assert strategy.prove(problem).correct == 0
    state = tuned(problem, strategy, Recipe(keep_accuracy=0.0), tmp_path)
    assert state.stopped == "every input is certified"


def test_without_neurons_enough_nothing_is_completed() -> None:
    table, random = group_table("symmetric:4"), np.random.default_rng(2)
    four = next(one for one in transitive_sets(table) if one.size == 4)
    problem = _problem(_coset_network(four, table, random, 0.01, 12), {"name": "group-composition", "group": "symmetric:4"})
    assert nearest_complete(problem.hidden, table, transitive_sets(table), any_kernel) is None
    nothing = replace(problem.hidden, unembed=0 * problem.hidden.unembed)
    with pytest.raises(DoesNotFit, match="small enough"):
        RhoSets().surrogate(_problem(nothing, problem.model.task))


@pytest.mark.parametrize("strategy", ATTENTION_STRATEGIES, ids=str)
def test_whatever_the_steps_do_the_certificate_is_accepted(strategy: Strategy, tmp_path: Path) -> None:
    for seed in range(4):
        try:
            tuned(small_network(seed + 8), strategy, Recipe(steps=9, milestone=3, rate=0.03, keep_accuracy=0.0), tmp_path)
        except DoesNotFit:
            continue


def test_all_strategies_for_pairs_are_among_these() -> None:
    without = {"dictionary", "crosscoder"}  # which are trained: see test_crosscoders
    assert {one.name for one in ATTENTION_STRATEGIES} == set(TWO_INPUT_STRATEGIES) - without
