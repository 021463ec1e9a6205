"""The prover's search for group sets: actions, bounds that never exceed what a network does, and proofs the checker accepts."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from certificates import GroupMLP, Model, RawTensor
from certificates.groups import group_table
from checker.decide import check_proof
from prover.layers.examined_pairs import ExaminedPairs
from prover.layers.group_actions import (
    GroupSet,
    coset_action,
    generated,
    generators,
    identity,
    inverses,
    is_group,
    orbits,
    real_characters,
    subgroup_classes,
)
from prover.layers.group_interpretations import irrep_claim
from prover.layers.group_set_bound import SetBlock, set_bound
from prover.layers.group_set_search import any_kernel, search, transitive_sets
from prover.layers.hidden_layer import HiddenLayer
from prover.layers.two_input_problem import Hidden, TwoInputProblem
from prover.proving import prove
from prover.strategies import TWO_INPUT_STRATEGIES
from prover.strategies.group_sets import Cosets, GroupSets, RhoSets
from prover.strategies.structured_output import assignment_leads, writers_of
from prover.strategy import DoesNotFit

torch.set_num_threads(1)


@pytest.mark.parametrize(
    ("group", "classes", "representations"),
    [
        ("symmetric:4", 11, 5),
        ("alternating:5", 9, 5),
        ("dihedral:6", 10, 6),
        ("cyclic:12", 6, 7),
        ("product(cyclic:2,cyclic:2)", 5, 4),
    ],
)
def test_subgroups_actions_and_characters(group: str, classes: int, representations: int) -> None:
    table = group_table(group)
    found = subgroup_classes(table, len(table))
    assert len(found) == classes - 1  # all but the whole group
    assert generated(table, generators(table)).all()
    for subgroup in found:
        group_set = coset_action(table, subgroup)
        assert group_set.size * subgroup.sum() == len(table)
        assert np.array_equal(group_set.action[table], group_set.action[:, group_set.action].reshape(*table.shape, -1))
        assert len(group_set.twins(0)) * subgroup.sum() == _normaliser(table, subgroup)
    characters = real_characters(table)
    assert len(characters) == representations
    assert np.allclose(characters @ characters.T, len(table) * np.eye(representations))


def _normaliser(table: np.ndarray, subgroup: np.ndarray) -> int:
    members, inverse = set(np.flatnonzero(subgroup).tolist()), inverses(table)
    return sum({int(table[table[g, h], inverse[g]]) for h in members} == members for g in range(len(table)))


def test_groups_are_told_from_other_tables() -> None:
    random = np.random.default_rng(0)
    for group in ("cyclic:6", "symmetric:3", "product(cyclic:2,cyclic:2)", "dihedral:4"):
        table, names = group_table(group), random.permutation(len(group_table(group)))
        assert is_group(table) and is_group(names[table][np.argsort(names)][:, np.argsort(names)])
        assert not is_group(table[names[::-1]]) or np.array_equal(table[names[::-1]], table)
    assert not is_group(np.array([[0, 1, 2], [1, 2, 0], [2, 0, 2]]))
    loop = np.array([[0, 1, 2, 3, 4], [1, 0, 3, 4, 2], [2, 4, 0, 1, 3], [3, 2, 4, 0, 1], [4, 3, 1, 2, 0]])  # not associative
    assert not is_group(loop)


def _hidden(left: np.ndarray, right: np.ndarray, unembed: np.ndarray, bias: float | np.ndarray = 0.0) -> Hidden:
    """A network without output bias, part of whose inner bias is in the bias."""
    moved = np.zeros(left.shape[1]) + bias
    zeros = np.zeros((len(left), unembed.shape[1]))
    reach = np.maximum(left.max(0) + right.max(0), 0) * np.ptp(unembed, axis=1)
    return Hidden(left - moved, right, moved, unembed, zeros, zeros[0], reach, False)


def _network(seed: int) -> tuple[Hidden, np.ndarray, SetBlock]:
    """A tiny network near or far from sets, and a block that claims it sits on them."""
    random = np.random.default_rng(seed)
    table = group_table(["cyclic:4", "symmetric:3", "product(cyclic:2,cyclic:2)", "cyclic:5"][seed % 4])
    sets = [coset_action(table, subgroup) for subgroup in subgroup_classes(table, 6)]
    first, second = random.choice(len(sets), 2)
    x, y = sets[first], sets[second]
    count = int(random.integers(1, 9))
    orbit = orbits(x, y)
    kernel = random.integers(-3, 4, int(orbit.max()) + 1)[orbit]
    beta, gamma = random.integers(x.size, size=count), random.integers(y.size, size=count)
    t = random.integers(-(2**21), 2**21, count) / 2**20
    lam, mu = random.normal(size=(x.size, count)), random.normal(size=(y.size, count))
    noise = 10.0 ** random.integers(-6, 1)
    size = len(table)
    hidden = _hidden(
        lam[x.action[inverses(table)][:, beta], np.arange(count)] + noise * random.normal(size=(size, count)),
        mu[y.action[:, gamma], np.arange(count)] + noise * random.normal(size=(size, count)),
        t[:, None] * kernel[beta[:, None], y.action[:, gamma].T] + noise * random.normal(size=(count, size)),
        random.normal(size=count),
    )
    return hidden, table, SetBlock(x, y, kernel, np.arange(count), beta, gamma, t)


def _true_margins(hidden: Hidden, table: np.ndarray) -> np.ndarray:
    """logit(ab) - logit(a g b), "g a b", by plain loops over a and b."""
    size = len(table)
    margins = np.empty((size, size, size))
    for a in range(size):
        for b in range(size):
            inner = [hidden.left[a, i] + hidden.right[b, i] + hidden.bias[i] for i in range(len(hidden.bias))]
            logits = sum(max(value, 0) * hidden.unembed[i] for i, value in enumerate(inner))
            margins[:, a, b] = [logits[table[a, b]] - logits[table[table[a, g], b]] for g in range(size)]
    return margins


@pytest.mark.parametrize("seed", range(120))
def test_bounds_hold(seed: int) -> None:
    hidden, table, block = _network(seed)
    bound = set_bound(hidden, table, block)
    assert np.all(bound.margin.numpy() <= _true_margins(hidden, table).min((1, 2)) + 1e-9)
    terms = (bound.unevenness, bound.left, bound.right, bound.unembedding)
    assert all(bool((term >= -1e-12).all()) for term in terms)


@pytest.mark.parametrize("seed", range(120))
def test_structured_output_holds(seed: int) -> None:
    hidden, table, block = _network(seed)
    others = np.arange(len(table)) != identity(table)
    correct = _true_margins(hidden, table)[others].min(0) > 0
    writers = writers_of([block], np.arange(len(hidden.bias)))
    if writers.actions:
        tables = (hidden.left, hidden.right, hidden.bias, hidden.unembed, hidden.direct, hidden.constant, hidden.reach)
        layer = HiddenLayer(*(torch.as_tensor(values) for values in tables), 1)
        first, second = (torch.as_tensor(side.ravel()) for side in np.indices(table.shape))
        pairs = ExaminedPairs(first, second, torch.as_tensor(table.ravel()))
        leads = assignment_leads(layer, table, writers, torch.as_tensor(writers.t), pairs).numpy()
        assert not np.any((leads.reshape(table.shape) > 1e-9) & ~correct)


def _coset_network(
    group_set: GroupSet, table: np.ndarray, random: np.random.Generator, noise: float, lacking: int = 0
) -> Hidden:
    """For every cell but `lacking` of them, one neuron or two, the preactivation of which vanishes where ab is in a coset."""
    cells = np.delete(np.arange(group_set.size**2), random.permutation(group_set.size**2)[:lacking])
    cells = np.sort(np.concatenate([cells, random.choice(cells, len(cells) // 2)]))
    beta, gamma, count = cells // group_set.size, cells % group_set.size, len(cells)
    share = 1 / np.bincount(cells)[cells]  # each cell has the same in total
    strength = random.uniform(0.5, 2, count)
    lam = random.permutation(group_set.size) / group_set.size
    left = strength * lam[group_set.action[inverses(table)][:, beta]]
    right = -strength * lam[group_set.action[:, gamma]]
    unembed = -(share / strength)[:, None] * (beta[:, None] == group_set.action[:, gamma].T)
    sides = (side + noise * random.normal(size=side.shape) for side in (left, right, unembed))
    return _hidden(*sides, random.normal(size=count))


def _problem(hidden: Hidden, task: object, given: np.ndarray | None = None, bias: float = 0.0) -> TwoInputProblem:
    values = (hidden.left, hidden.right, hidden.bias, hidden.unembed, bias * np.arange(hidden.unembed.shape[1]))
    names = ("embed_left.W_E", "embed_right.W_E", "mlp.b_in", "unembed.W_U", "unembed.b_U")
    tensors = {n: RawTensor("F64", v.shape, np.ascontiguousarray(v).tobytes()) for n, v in zip(names, values, strict=True)}
    model = Model(GroupMLP(len(hidden.bias), len(hidden.left), hidden.unembed.shape[1]), tensors, task)
    return TwoInputProblem(model, torch.device("cpu"), given=given)


def _checked(problem: TwoInputProblem, strategy: GroupSets) -> int:
    """How many pairs the checker finds certified, if it accepts."""
    certificate, evidence = prove(problem, strategy)
    result = check_proof(certificate, problem.model).result
    assert result.correct == evidence.correct == evidence.cells.sum()
    assert np.array_equal(result.cells, evidence.cells)
    terms = strategy.error_terms(problem)
    assert np.isclose(terms.margin, strategy.found(problem).worst)
    assert (evidence.correct > 0) == (terms.margin > problem.tolerance) == terms.conclusion.startswith("every pair")
    return result.correct


@pytest.mark.parametrize("strategy", [RhoSets(), Cosets()])
@pytest.mark.parametrize("group", ["symmetric:3", "symmetric:4", "dihedral:5", "cyclic:5"])
def test_networks_on_sets_are_certified_as_far_as_they_are(group: str, strategy: GroupSets) -> None:
    table, task = group_table(group), {"name": "group-composition", "group": group}
    random = np.random.default_rng(0)
    faithful = {"symmetric:3": 3, "symmetric:4": 4, "dihedral:5": 5, "cyclic:5": 5}[group]
    chosen = next(one for one in transitive_sets(table) if one.size == faithful)
    certified = [
        _checked(_problem(_coset_network(chosen, table, random, noise), task), strategy) for noise in (0.0, 1e-4, 0.01, 1.0)
    ]
    assert certified == [len(table) ** 2, len(table) ** 2, certified[2], 0]
    for lacking in (1, 3):
        problem = _problem(_coset_network(chosen, table, random, 1e-5, lacking), task)
        assert _checked(problem, strategy) == 0
        sizes = f"of {faithful**2} cells of the {faithful} x {faithful} orbit at most {faithful**2 - lacking} have"
        assert sizes in strategy.error_terms(problem).conclusion


def test_claims_that_differ() -> None:
    """A kernel of three values on five points is no coset network's; deviations from mu = -lam are only reported."""
    table, random = group_table("cyclic:5"), np.random.default_rng(1)
    (points,) = transitive_sets(table)
    hidden = _coset_network(points, table, random, 0.0)
    exact = _problem(hidden, {"name": "modular-addition", "modulus": 5})
    raised = _problem(replace(hidden, bias=hidden.bias + 0.01), exact.model.task)
    assert _checked(exact, Cosets()) == _checked(raised, Cosets()) == 25
    assert Cosets().error_terms(exact).beside < 1e-12 < Cosets().error_terms(raised).beside
    assert RhoSets().error_terms(raised).beside == 0
    graded = replace(hidden, unembed=hidden.unembed - hidden.unembed[:, [1, 2, 3, 4, 0]])
    problem = _problem(graded, exact.model.task)
    assert RhoSets().error_terms(problem).unembedding < 1e-6 < Cosets().error_terms(problem).unembedding


def test_several_blocks_and_what_does_not_matter() -> None:
    """Two sets, neither of which tells all elements apart, neurons on no set, and a bias of the output."""
    table, random = group_table("product(cyclic:2,cyclic:3)"), np.random.default_rng(2)
    task = {"name": "group-composition", "group": "product(cyclic:2,cyclic:3)"}
    two, three = (next(one for one in transitive_sets(table) if one.size == size) for size in (2, 3))
    parts = [_coset_network(one, table, random, 1e-5) for one in (two, three)]
    parts.append(_hidden(random.normal(size=(6, 3)), random.normal(size=(6, 3)), 1e-3 * random.normal(size=(3, 6))))
    both = _hidden(
        np.concatenate([part.left + part.bias for part in parts], 1),
        np.concatenate([part.right for part in parts], 1),
        np.concatenate([part.unembed for part in parts]),
    )
    problem = _problem(both, task, bias=1e-3)
    blocks = RhoSets().found(problem).blocks
    assert {2, 3} <= {block.first.size for block in blocks}
    terms = RhoSets().error_terms(problem)
    assert _checked(problem, RhoSets()) == 36 and np.isclose(terms.bias, 5e-3) and terms.leftover > 0
    assert _checked(_problem(both, task, bias=1.0), RhoSets()) == 0
    assert _checked(_problem(parts[0], task), RhoSets()) == 0
    assert _checked(_problem(parts[2], task), RhoSets()) == 0
    assert _checked(_problem(replace(parts[2], unembed=0 * parts[2].unembed), task), RhoSets()) == 0
    assert search(both, table, [], any_kernel).worst < 0


def test_tables_that_come_with_the_task() -> None:
    names = np.random.default_rng(3).permutation(6)
    table = names[group_table("symmetric:3")][np.argsort(names)][:, np.argsort(names)]
    three = next(one for one in transitive_sets(table) if one.size == 3)
    hidden = _coset_network(three, table, np.random.default_rng(3), 1e-5)
    task = {"name": "group-composition"}
    assert _checked(_problem(hidden, task, table), RhoSets()) == 36
    with pytest.raises(DoesNotFit, match="of a group"):
        RhoSets().prove(_problem(hidden, task, table[::-1]))
    wide = replace(hidden, unembed=np.concatenate([hidden.unembed, hidden.unembed[:, :1]], 1))
    with pytest.raises(DoesNotFit, match="one output for each"):
        Cosets().prove(_problem(wide, task, table))


def test_strategies_are_known_by_name() -> None:
    assert [TWO_INPUT_STRATEGIES[name].name for name in ("brute-force", "rho-sets", "cosets")] == [
        "brute-force",
        "rho-sets",
        "cosets",
    ]


def test_irreps_are_far_from_a_proof_even_of_a_network_that_is_exactly_theirs() -> None:
    table = group_table("cyclic:5")
    angle = 2 * np.pi * np.arange(5) / 5
    phases = 2 * np.pi * np.arange(40) / 40
    side = np.cos(angle[:, None] - phases)
    terms = irrep_claim(_hidden(side, side, np.cos(angle - 2 * phases[:, None]), 0.5), table).terms
    assert terms.gap > 0 > terms.margin
    assert terms.left < 1e-9
    assert terms.unevenness > terms.gap
    assert "vacuous" in terms.conclusion
