"""The prover's search for group sets: actions, and bounds that never exceed what a network does, however wild its weights."""

import numpy as np
import pytest

from certificates.groups import group_table
from prover.cell_tables import CellBlock, cell_bound, linear_part
from prover.group_actions import coset_action, generated, generators, identity, orbits, real_characters, subgroup_classes
from prover.group_interpretations import irrep_claim
from prover.group_set_search import GroupSetBlock, Layer, bound
from prover.structured_output import structured_bound


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
        for permutation in group_set.symmetries():
            assert np.array_equal(permutation[group_set.action], group_set.action[:, permutation])
    characters = real_characters(table)
    assert len(characters) == representations
    assert np.allclose(characters @ characters.T, len(table) * np.eye(representations))


def _network(seed: int) -> tuple[Layer, np.ndarray, CellBlock]:
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
    t = random.normal(size=count)
    inverse = np.argmax(table == identity(table), 1)
    lam, mu = random.normal(size=(x.size, count)), random.normal(size=(y.size, count))
    noise = 10.0 ** random.integers(-6, 1)
    size = len(table)
    layer = Layer(
        lam[x.action[inverse][:, beta], np.arange(count)] + noise * random.normal(size=(size, count)),
        mu[y.action[:, gamma], np.arange(count)] + noise * random.normal(size=(size, count)),
        t[:, None] * kernel[beta[:, None], y.action[:, gamma].T] + noise * random.normal(size=(count, size)),
    )
    halves = bool(random.integers(2))
    pairs = [(sigma, tau) for sigma in x.symmetries() for tau in y.symmetries()]
    kept = tuple((s, u) for s, u in pairs if np.array_equal(kernel[np.ix_(s, u)], kernel))
    return layer, table, CellBlock(x, y, kernel, np.arange(count), beta, gamma, t, kept if halves else kept[:1], halves)


def _true_margins(layer: Layer, table: np.ndarray) -> np.ndarray:
    """logit(ab) - logit(a g b), "g a b", by plain loops over a and b."""
    size = len(table)
    margins = np.empty((size, size, size))
    for a in range(size):
        for b in range(size):
            logits = sum(max(layer.left[a, i] + layer.right[b, i], 0) * layer.unembed[i] for i in range(layer.left.shape[1]))
            margins[:, a, b] = [logits[table[a, b]] - logits[table[table[a, g], b]] for g in range(size)]
    return margins


@pytest.mark.parametrize("seed", range(120))
def test_bounds_hold(seed: int) -> None:
    layer, table, block = _network(seed)
    least = _true_margins(layer, table).min((1, 2)) + 1e-9
    linear, by_range = linear_part(layer, table, block.neurons) if block.halves else (np.zeros(len(table)), 0.0)
    margin = cell_bound(layer, table, block).margin
    assert np.all(margin + linear <= least)
    assert np.all(margin + by_range <= least)
    random = np.random.default_rng(seed)
    shared = GroupSetBlock(
        block.first.action, block.second.action, generators(table), block.kernel,
        random.integers(-(2**20), 2**20, block.first.size), random.integers(-(2**20), 2**20, block.second.size),
        int(random.integers(-(2**20), 2**20)), block.neurons, block.beta, block.gamma,
        random.integers(0, 2**30, len(block.t)), np.rint(block.t * 2**20).astype(np.int64), 20, 20, int(block.kernel[0, 0]),
    )  # fmt: skip
    assert np.all(bound(layer, shared).margin <= least)


@pytest.mark.parametrize("seed", range(120))
def test_structured_output_holds(seed: int) -> None:
    layer, table, block = _network(seed)
    others = np.arange(len(table)) != identity(table)
    correct = _true_margins(layer, table)[others].min(0) > 0
    structured = structured_bound(layer, table, [block])
    assert not np.any(structured.assignment & ~correct)
    assert not np.any(structured.exact & ~correct)
    assert not np.any(structured.assignment & ~structured.exact)


def test_irreps_are_far_from_a_proof_even_of_a_network_that_is_exactly_theirs() -> None:
    table = group_table("cyclic:5")
    angle = 2 * np.pi * np.arange(5) / 5
    phases = 2 * np.pi * np.arange(40) / 40
    side = np.cos(angle[:, None] - phases)
    claim = irrep_claim(Layer(side, side, np.cos(angle - 2 * phases[:, None])), table)
    assert claim.gap > 0
    assert claim.left < 1e-9
    assert claim.hidden > claim.gap
