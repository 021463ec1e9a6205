"""Rule set-output, both theorems: on random networks its bounds are those of an oracle in fractions, what it accepts true.

Actions have several orbits whose points are numbered at random; neurons have points of any orbits; elements are renumbered.
"""

import contextlib
from dataclasses import dataclass
from fractions import Fraction
from unittest import mock

import numpy as np
import pair_oracle as oracle
import pytest

from certificates import GroupMLP, Model, RawTensor, Step, integer_tensor
from certificates.groups import group_table, table_digest
from checker import CheckError
from checker.core.enclosures import Enclosure
from checker.core.facts import CertifiedInputs, Setting
from checker.core.meter import Budget, Meter
from checker.core.scaled_integers import ScaledArithmetic, ScaledIntegers
from checker.decide import parse_task
from checker.layers import set_output
from checker.layers.facts import HiddenTables
from checker.layers.group_laws import Group
from checker.layers.hidden_tables import hidden_tables
from checker.layers.set_output import _parts, ideal_margin
from prover.layers.group_actions import coset_action, generators, side_by_side, subgroup_classes

GROUPS = ("cyclic:2", "cyclic:3", "cyclic:4", "product(cyclic:2,cyclic:2)", "symmetric:3", "cyclic:6", "dihedral:4")
FINE = Fraction(1, 2**16)
"""What rounding may cost, where numbers are multiples of 1/64 and not larger than a few."""
Array = np.ndarray


@dataclass(frozen=True)
class Network:
    """A group MLP whose first neurons, as many as there are in the hints, are those of the tables."""

    table: Array
    weights: dict[str, Array]
    hints: dict[str, Array]

    @property
    def tensors(self) -> dict[str, RawTensor]:
        return {name: RawTensor("F64", w.shape, np.ascontiguousarray(w).tobytes()) for name, w in self.weights.items()}

    def applied(self, **hints: Array) -> CertifiedInputs | None:
        """What the rule establishes with these hints as well, if anything."""
        size, width = self.weights["embed_left.W_E"].shape
        model, meter = Model(GroupMLP(width, size, size), self.tensors, None), Meter(Budget())
        stored = {"table": integer_tensor(self.table)}
        named = {"name": "group-composition", "table": table_digest(self.table)}
        task = parse_task(named, model.config, stored, Meter(Budget()))
        setting = Setting(model, task, ScaledArithmetic(30, meter), meter)
        stored_hints = {name: integer_tensor(hint) for name, hint in {**self.hints, **hints}.items()}
        chosen = {"neurons": integer_tensor(np.arange(len(self.hints["beta"])))}
        tables = hidden_tables(setting, Step("hidden-tables", (), {}, chosen), ())
        parameters = {"scale": 6} | ({"mirrored": 0} if "pairs" in hints else {})
        with contextlib.suppress(CheckError):
            return set_output.set_output(setting, Step("set-output", (0,), parameters, stored_hints), (tables,))
        return None

    @property
    def tables(self) -> oracle.Tables:
        return oracle.Tables.of(self.tensors, range(len(self.hints["beta"])))

    @property
    def neurons(self) -> list[tuple[int, int, Fraction]]:
        columns = (self.hints[name].tolist() for name in ("beta", "gamma", "t"))
        return [(beta, gamma, Fraction(t, 64)) for beta, gamma, t in zip(*columns, strict=True)]


def renumbered_group(name: str, random: np.random.Generator) -> Array:
    table = group_table(name)
    names = random.permutation(len(table))
    return names[table][np.argsort(names)][:, np.argsort(names)]


def random_network(seed: int) -> tuple[Network, Array]:
    """Neurons near cells of sets, or with any points at all; and a kernel of their action."""
    random = np.random.default_rng(seed)
    table = renumbered_group(GROUPS[seed % len(GROUPS)], random)
    size = len(table)
    every = [np.zeros((size, 1), np.int64), *(coset_action(table, h).action for h in subgroup_classes(table, size))]
    action = side_by_side([every[k] for k in random.integers(len(every), size=random.integers(1, 4))])
    points = action.shape[1]
    names = random.permutation(points)
    action = names[action][:, np.argsort(names)]
    codes = action[:, :, None] * points + action[:, None, :]
    orbits = np.unique(codes.min(0), return_inverse=True)[1].reshape(points, points)
    kernel = random.integers(-2, 3, int(orbits.max()) + 1)[orbits]
    count = int(random.integers(1, 12))
    beta, gamma = random.integers(points, size=count), random.integers(points, size=count)
    if random.integers(2):  # in one orbit
        gamma = action[random.integers(size, size=count), beta]
    orbit = action.min(0)
    order = np.lexsort((gamma, beta, orbit[gamma], orbit[beta]))
    beta, gamma = beta[order], gamma[order]
    t = random.integers(-64, 65, count)
    other = int(random.integers(3))
    ideal = np.eye(points)[beta[:, None], action[:, gamma].T] if seed % 2 else kernel[beta[:, None], action[:, gamma].T]
    noise = [0, 1, 8][random.integers(3)]

    def numbers(*shape: int, most: int = 32) -> Array:
        return random.integers(-most, most + 1, shape) / 64 if most else np.zeros(shape)

    written = t[:, None] / 64 * ideal + numbers(count, size, most=noise)
    weights = {
        "embed_left.W_E": numbers(size, count + other, most=64),
        "embed_right.W_E": numbers(size, count + other, most=64),
        "mlp.b_in": numbers(count + other),
        "unembed.W_U": np.concatenate([written, numbers(other, size, most=1)]),
        "unembed.b_U": numbers(size, most=noise),
    }
    hints = {"action": action, "generators": generators(table), "beta": beta, "gamma": gamma, "t": t}
    return Network(table, weights, hints), kernel


@pytest.mark.parametrize("part", range(6))
def test_margins_are_those_of_the_oracle(part: int) -> None:
    """Theorem 1: for every part and element what an independent evaluation finds, to within rounding."""
    compared = 0
    for seed in range(40 * part, 40 * part + 40):
        network, kernel = random_network(seed)
        found: list[list[Fraction]] = []

        def margin(
            setting: Setting, tables: HiddenTables, group: Group, part: set_output.Part, found: list[list[Fraction]] = found
        ) -> Enclosure:
            claimed = ideal_margin(setting, tables, group, part)
            assert isinstance(claimed, ScaledIntegers)
            found.append([Fraction(int(low)) / Fraction(2) ** claimed.shift for low in claimed.lo])
            return claimed

        with mock.patch.object(set_output, "ideal_margin", margin):
            fact = network.applied(kernel=kernel)
        parts = oracle.parts_of(network.hints["action"], kernel, network.neurons)
        margins = [one.margin(network.tables, network.table) for one in parts]
        assert len(found) == len(margins), seed
        for claimed, true in zip(found, margins, strict=True):
            assert all(y - FINE <= x <= y for x, y in zip(claimed, true, strict=True)), seed
            compared += len(true)
        if fact is not None:
            assert oracle.uniform(network.tables, network.table, parts) > 0
            assert oracle.right(network.tensors, network.table).all()
    assert compared > 300


@pytest.mark.parametrize("part", range(6))
def test_pairs_are_accepted_if_and_only_if_the_oracle_says_so(part: int) -> None:
    """Theorem 2, pair by pair, but where the excess is next to nothing."""
    outcomes = {True: 0, False: 0}
    for seed in range(1000 + 20 * part, 1000 + 20 * part + 20):
        network, _ = random_network(2 * seed + 1)
        size, right = len(network.table), oracle.right(network.tensors, network.table)
        for a, b in np.ndindex(size, size):
            pairs = np.zeros((size, size), np.int64)
            pairs[a, b] = 1
            excess = oracle.structured(network.tables, network.table, pairs, network.hints["action"], network.neurons)
            accepted = network.applied(pairs=pairs) is not None
            assert right[a, b] or not accepted, (seed, a, b)
            if abs(excess) > FINE:
                assert accepted == (excess > 0), (seed, a, b, excess)
                outcomes[accepted] += 1
    assert min(outcomes.values()) > 2


def look_up(table: Array, writes: Array, weak: float = 0.0, constant: float = 0.0) -> Network:
    """A neuron for each pair (a, b), which writes what it writes for ab alone; one more that may disturb; and a constant.

    The group acts on itself; the neuron has the points a and b^-1. The margin is the least of what neurons write.
    """
    size = len(table)
    unit = int(np.flatnonzero(table[:, 0] == 0)[0])
    inverse = np.argmax(table == unit, axis=1)
    beta, gamma = (side.ravel() for side in np.indices((size, size)))
    a, b, count = beta, inverse[gamma], size**2
    left, right, unembed = np.zeros((size, count + 1)), np.zeros((size, count + 1)), np.zeros((count + 1, size))
    left[a, np.arange(count)] = right[b, np.arange(count)] = 1
    unembed[np.arange(count), table[a, b]] = writes / 64
    unembed[-1, 0] = weak
    bias = np.array([-1.0] * count + [1.0])
    weights = (left, right, bias, unembed, np.eye(size)[0] * constant)
    names = ("embed_left.W_E", "embed_right.W_E", "mlp.b_in", "unembed.W_U", "unembed.b_U")
    hints = {"action": table, "generators": generators(table), "beta": beta, "gamma": gamma, "t": writes}
    return Network(table, dict(zip(names, weights, strict=True)), hints)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("singly", [False, True])
def test_a_margin_must_exceed_all_that_disturbs_it(sign: int, singly: bool) -> None:
    """A neuron that is not among those of the tables, and a constant; together less than 1, exactly 1, more."""
    table, little = group_table("cyclic:2"), 2.0**-24
    for constant, weak in ((0, 1), (1, 0), (0.5, 0.5), (0.25, 0.75)):
        for more in (-little, 0, little):
            for both in ((constant + more, weak), (constant, weak + more)):
                network = look_up(table, np.full(4, 64), sign * both[1], sign * both[0])
                hint = {"pairs": np.ones((2, 2), np.int64)} if singly else {"kernel": np.eye(2, dtype=np.int64)}
                assert (network.applied(**hint) is not None) == (abs(both[0]) + abs(both[1]) < 1)


@pytest.mark.parametrize("name", GROUPS)
def test_the_weakest_cell_decides(name: str) -> None:
    """All pairs at once are certified if the least that a neuron writes is more than the constant; each pair, if its own is."""
    random = np.random.default_rng(11)
    table = renumbered_group(name, random)
    size = len(table)
    kernel, every = np.eye(size, dtype=np.int64), np.ones((size, size), np.int64)
    for constant in (0.25, 0.5, 0.75):
        writes = random.integers(32, 97, size**2)
        network = look_up(table, writes, constant=constant)
        assert (network.applied(kernel=kernel) is not None) == (writes.min() > 64 * constant)
        assert (network.applied(pairs=every) is not None) <= oracle.right(network.tensors, table).all()
        flat = look_up(table, np.full(size**2, 48), constant=constant)
        assert (flat.applied(kernel=kernel) is not None) == (constant < 0.75)


def test_a_claim_of_no_pairs_needs_a_group_too() -> None:
    network = look_up(group_table("cyclic:3"), np.full(9, 64))
    nothing = np.zeros((3, 3), np.int64)
    assert network.applied(pairs=nothing).correct == 0  # type: ignore[union-attr]
    assert network.applied(pairs=nothing, generators=np.array([0])) is None
    spoilt = np.array([[0, 1, 2], [1, 2, 0], [2, 0, 2]])
    assert Network(spoilt, network.weights, network.hints).applied(pairs=nothing) is None


def test_neurons_of_a_part_share_both_orbits() -> None:
    """Two orbits of two points each: neurons with beta in one and gamma in either are two parts."""
    meter = Meter(Budget())
    arithmetic = ScaledArithmetic(30, meter)
    config = GroupMLP(d_mlp=2, d_vocab=2, d_vocab_out=2)
    task = parse_task({"name": "group-composition", "group": "cyclic:2"}, config, {}, meter)
    setting = Setting(Model(config, {}, None), task, arithmetic, meter)
    ones = arithmetic.exact(np.ones((2, 1), np.int64), np.zeros((2, 1), np.int64))
    action, kernel = np.array([[0, 1, 2, 3], [1, 0, 3, 2]]), np.arange(16).reshape(4, 4)
    parts = list(_parts(setting, action, kernel, np.array([0, 0]), np.array([1, 2]), ones, ones))
    assert [part.neurons.tolist() for part in parts] == [[0], [1]] and [part.diagonal for part in parts] == [True, False]
    assert [part.kernel.tolist() for part in parts] == [kernel[:2, :2].tolist(), kernel[:2, 2:].tolist()]
