"""Named groups, their numbering, and the tasks about products of two elements, against permutations and sympy.

Also the laws that the checker verifies of tables and permutations that come with a certificate (layers/group_laws).
"""

import hashlib
import itertools
import json
import math
import random
import tracemalloc
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from certificates import (
    AttentionOnly,
    Certificate,
    FormatError,
    GroupMLP,
    Model,
    ModelConfig,
    RawTensor,
    Statement,
    Step,
    UniformAttention,
    integer_tensor,
)
from certificates.canonical_json import dumps
from certificates.groups import group_table, table_digest
from checker.core.errors import OverBudget, Refused
from checker.core.facts import Setting
from checker.core.meter import Budget, Meter
from checker.core.scaled_integers import ScaledArithmetic
from checker.core.tasks import Task
from checker.decide import check_proof, parse_task
from checker.layers.composition import Composition
from checker.layers.group_laws import Group

Table = list[list[int]]
QUICK = settings(max_examples=60, deadline=None, derandomize=True, database=None)


# --- named groups -------------------------------------------------------------------------------------------------------


def cayley(elements: list[tuple[int, ...]]) -> Table:
    """The products (p q)(i) = p(q(i)) of permutations, as numbers in the list."""
    number = {element: i for i, element in enumerate(elements)}
    return [[number[tuple(p[i] for i in q)] for q in elements] for p in elements]


def dihedral(size: int) -> list[tuple[int, ...]]:
    """rho^r sigma^s, number r + size * s, on the corners of a polygon: sigma first, then r turns."""
    return [tuple((r + (-i if s else i)) % size for i in range(size)) for s in (0, 1) for r in range(size)]


def even(permutation: tuple[int, ...]) -> bool:
    """By its cycles."""
    left = set(range(len(permutation)))
    cycles = 0
    while left:
        cycles, place = cycles + 1, min(left)
        while place in left:
            left.remove(place)
            place = permutation[place]
    return (len(permutation) - cycles) % 2 == 0


def product(one: Table, other: Table) -> Table:
    pairs = list(itertools.product(range(len(one)), range(len(other))))
    return [[one[g][k] * len(other) + other[h][m] for k, m in pairs] for g, h in pairs]


EXPECTED: dict[str, Callable[[], Table]] = {
    **{f"cyclic:{n}": lambda n=n: [[(a + b) % n for b in range(n)] for a in range(n)] for n in (2, 3, 10, 59)},
    **{f"dihedral:{n}": lambda n=n: cayley(dihedral(n)) for n in (3, 4, 5, 12)},
    "dihedral:1": lambda: [[0, 1], [1, 0]],
    "dihedral:2": lambda: [[a ^ b for b in range(4)] for a in range(4)],
    **{f"symmetric:{n}": lambda n=n: cayley(list(itertools.permutations(range(n)))) for n in (2, 3, 4, 5)},
    **{f"alternating:{n}": lambda n=n: cayley([p for p in itertools.permutations(range(n)) if even(p)]) for n in (3, 4, 5)},
    "product(cyclic:3,symmetric:3)": lambda: product(EXPECTED["cyclic:3"](), EXPECTED["symmetric:3"]()),
    "product(symmetric:3,cyclic:3)": lambda: product(EXPECTED["symmetric:3"](), EXPECTED["cyclic:3"]()),
    "product(cyclic:2,product(cyclic:3,dihedral:3))": lambda: product(
        EXPECTED["cyclic:2"](), product(EXPECTED["cyclic:3"](), EXPECTED["dihedral:3"]())
    ),
    "product(product(cyclic:2,cyclic:3),dihedral:3)": lambda: product(
        product(EXPECTED["cyclic:2"](), EXPECTED["cyclic:3"]()), EXPECTED["dihedral:3"]()
    ),
    "product(cyclic:1,cyclic:3)": lambda: group_table("cyclic:3").tolist(),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_elements_are_numbered_as_documented(name: str) -> None:
    table = group_table(name)
    assert table.dtype == np.int64 and table.tolist() == EXPECTED[name]()


def is_group(table: Table) -> bool:
    """By the axioms, triple by triple."""
    every = range(len(table))
    latin = all(sorted(line) == list(every) for line in (*table, *zip(*table, strict=True)))
    return latin and all(table[table[x][y]][z] == table[x][table[y][z]] for x, y, z in itertools.product(every, repeat=3))


@pytest.mark.parametrize("name", [name for name in EXPECTED if name not in ("cyclic:59", "symmetric:5", "alternating:5")])
def test_tables_are_those_of_groups(name: str) -> None:
    assert is_group(group_table(name).tolist())


@pytest.mark.parametrize(
    ("name", "order", "centre", "derived"),
    [
        ("cyclic:12", 12, 12, 1),
        ("dihedral:6", 12, 2, 3),
        ("symmetric:4", 24, 1, 12),
        ("alternating:5", 60, 1, 60),
        ("product(alternating:4,cyclic:2)", 24, 2, 4),
    ],
)
def test_sympy_finds_the_same_groups(name: str, order: int, centre: int, derived: int) -> None:
    """The rows of the table are permutations (x goes to a x): orders of the group they generate and of its subgroups."""
    combinatorics = pytest.importorskip("sympy.combinatorics")
    table = group_table(name)
    rows = combinatorics.PermutationGroup([combinatorics.Permutation(row) for row in table.tolist()])
    assert len(table) == order == rows.order()
    assert (rows.center().order(), rows.derived_subgroup().order()) == (centre, derived)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "cyclic",
        "cyclic:",
        "cyclic:0",
        "cyclic:1",
        "cyclic:-3",
        "cyclic:03",
        "cyclic:3 ",
        " cyclic:3",
        "cyclic:3\n",
        "cyclic:\u0663",
        "Cyclic:3",
        "cyclic:3.0",
        "cyclic:2049",
        "cyclic:9999999999999999999999",
        "dihedral:0",
        "dihedral:1025",
        "symmetric:1",
        "symmetric:7",
        "symmetric:2048",
        "alternating:1",
        "alternating:2",
        "alternating:7",
        "quaternion:8",
        "product()",
        "product(,)",
        "product(cyclic:2)",
        "product(cyclic:2,)",
        "product(cyclic:2,cyclic:3",
        "product(cyclic:2,cyclic:3))",
        "product(cyclic:2, cyclic:3)",
        "product(cyclic:2,cyclic:2,cyclic:2)",
        "product(cyclic:2,,cyclic:3)",
        "product(cyclic:1,cyclic:1)",
        "product(cyclic:64,cyclic:33)",
        "product(symmetric:6,symmetric:6)",
        "product(cyclic:2,symmetric:7)",
        "product(cyclic:2)(,cyclic:3)",
        "product(" * 90,
        "product(cyclic:1," * 40 + "cyclic:2" + ")" * 40,
    ],
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(FormatError, match="not the name of a group"):
        group_table(name)


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("cyclic:2048", 2048),
        ("dihedral:1024", 2048),
        ("symmetric:6", 720),
        ("alternating:6", 360),
        ("product(cyclic:32,cyclic:64)", 2048),
    ],
)
def test_the_largest_groups(name: str, order: int) -> None:
    table = group_table(name)
    assert table.shape == (order, order) and np.array_equal(np.sort(table, axis=1)[-1], np.arange(order))
    assert np.array_equal(table[table[3, 5]], table[3][table[5]])  # (3 5) x = 3 (5 x)


@QUICK
@given(st.lists(st.lists(st.integers(0, 2047), min_size=3, max_size=3), min_size=1, max_size=3))
def test_the_digest_is_that_of_compact_json(rows: Table) -> None:
    text = json.dumps(rows).replace(" ", "")
    assert table_digest(np.array(rows)) == hashlib.sha256(text.encode()).hexdigest()


# --- tasks --------------------------------------------------------------------------------------------------------------

COMPOSITION = "group-composition"


def mlp(size: int, outputs: int | None = None) -> GroupMLP:
    return GroupMLP(d_mlp=1, d_vocab=size, d_vocab_out=size if outputs is None else outputs)


def attention(tokens: int, outputs: int) -> UniformAttention:
    return UniformAttention(d_head=1, d_mlp=1, d_model=1, d_vocab=tokens, d_vocab_out=outputs, n_ctx=3, n_heads=1)


def parsed(task: object, config: ModelConfig, table: np.ndarray | None = None, budget: Budget = Budget()) -> Task:  # noqa: B008
    """As `parse_task`, of a table of integers."""
    return parse_task(task, config, {} if table is None else {"table": integer_tensor(table)}, Meter(budget))  # type: ignore[arg-type]


@pytest.mark.parametrize("config", [mlp(6), mlp(6, 9), attention(7, 6), attention(7, 7)])
def test_tasks_for_models_of_the_right_size(config: ModelConfig) -> None:
    table = group_table("symmetric:3")
    wild = (table + 1) % 6
    for task, given_table, product, group in (
        ({"name": "modular-addition", "modulus": 6}, None, group_table("cyclic:6"), True),
        ({"name": COMPOSITION, "group": "symmetric:3"}, None, table, True),
        ({"name": COMPOSITION, "table": table_digest(table)}, table, table, False),
        ({"name": COMPOSITION, "table": table_digest(wild)}, wild, wild, False),
    ):
        found = parsed(task, config, given_table)
        assert isinstance(found, Composition) and dumps(task) in found.sentence and found.group is group
        assert np.array_equal(found.table, product) and (found.total, found.n_ctx) == (36, 2)
        assert found.commutative == np.array_equal(product, product.T)
        with pytest.raises(FormatError):
            parsed(task, config, None if given_table is not None else product)


@pytest.mark.parametrize("config", [mlp(5), mlp(7), mlp(6, 5), attention(6, 6), attention(8, 8), attention(7, 5)])
def test_models_of_another_size_are_refused(config: ModelConfig) -> None:
    table = group_table("cyclic:6")
    for task, given_table in (
        ({"name": "modular-addition", "modulus": 6}, None),
        ({"name": COMPOSITION, "group": "cyclic:6"}, None),
        ({"name": COMPOSITION, "table": table_digest(table)}, table),
    ):
        with pytest.raises(FormatError, match=r"elements|square"):
            parsed(task, config, given_table)


@pytest.mark.parametrize(
    "task",
    [
        None,
        "modular-addition",
        [],
        {},
        {"name": "max-of-k"},
        {"name": "modular-addition"},
        {"name": "modular-addition", "modulus": None},
        {"name": "modular-addition", "modulus": True},
        {"name": "modular-addition", "modulus": "2"},
        {"name": "modular-addition", "modulus": 0},
        {"name": "modular-addition", "modulus": 1},
        {"name": "modular-addition", "modulus": -2},
        {"name": "modular-addition", "modulus": 10**3000},
        {"name": "modular-addition", "modulus": 2, "group": "cyclic:2"},
        {"name": "modular-addition", "modulus": 2, "table": None},
        {"name": COMPOSITION},
        {"name": COMPOSITION, "modulus": 2},
        {"name": COMPOSITION, "group": None},
        {"name": COMPOSITION, "group": 2},
        {"name": COMPOSITION, "group": ["cyclic:2"]},
        {"name": COMPOSITION, "group": "cyclic:2", "table": None},
        {"name": COMPOSITION, "table": None},
        {"name": COMPOSITION, "table": "0" * 64},
        {"name": COMPOSITION, "table": ["0"]},
        {"name": COMPOSITION, "table": [[0, 1], [1, 0]]},
    ],
)
def test_other_tasks_are_refused(task: object) -> None:
    table = np.array([[0, 1], [1, 0]])
    for given_table in (None, table):
        with pytest.raises(FormatError):
            parsed(task, mlp(2), given_table)
    with pytest.raises(FormatError):
        parsed({"name": COMPOSITION, "group": "cyclic:2"}, AttentionOnly(1, 1, 2, 2, 2))
    with pytest.raises(FormatError, match="needs none"):
        parsed({"name": "max-of-k"}, AttentionOnly(1, 1, 2, 2, 2), table)


@pytest.mark.parametrize(
    "table",
    [
        [[0, 1], [1, 2]],
        [[0, 1], [1, -1]],
        [[0, 1], [1, 2**40]],
        [[0, 1]],
        [[0, 1], [1, 0], [0, 1]],
        [[[0, 1], [1, 0]], [[0, 1], [1, 0]]],
        [0, 1],
        [],
        [[]],
        [[0]],
        np.zeros((0, 0), np.int64),
        0,
    ],
)
def test_tables_that_are_no_squares_of_elements_are_refused(table: object) -> None:
    numbers = np.array(table, np.int64)
    task = {"name": COMPOSITION, "table": hashlib.sha256(json.dumps(numbers.tolist()).replace(" ", "").encode()).hexdigest()}
    for config in (mlp(2), mlp(3), attention(3, 3)):
        with pytest.raises(FormatError):
            parsed(task, config, numbers)


def test_the_digest_of_a_table_is_compared_as_it_is() -> None:
    table = np.array([[0, 1], [1, 0]])
    digest = table_digest(table)
    other = np.array([[1, 0], [0, 1]])
    for wrong in (digest.upper(), digest[:-1], digest + " ", table_digest(other), "", None, 0, [digest]):
        with pytest.raises(FormatError):
            parsed({"name": COMPOSITION, "table": wrong}, mlp(2), table)
    assert parsed({"name": COMPOSITION, "table": digest}, mlp(2), table).total == 4


def test_no_table_is_made_that_is_larger_than_the_model_s() -> None:
    """Neither for a group of another size, nor its parts; nor is the one that came along read or digested."""
    large = np.zeros((2048, 2048), np.int64)
    chain = "cyclic:1600"
    for _ in range(8):
        chain = f"product(cyclic:1600,{chain})"
    tasks: list[tuple[object, np.ndarray | None]] = [
        ({"name": "modular-addition", "modulus": 2048}, None),
        *(({"name": COMPOSITION, "group": name}, None) for name in ("cyclic:2048", "dihedral:1024", "symmetric:6", chain)),
        *(({"name": COMPOSITION, "table": digest}, large) for digest in ("0" * 64, table_digest(large))),
    ]
    for task, table in tasks:
        stored = {} if table is None else {"table": integer_tensor(table)}
        tracemalloc.start()
        with pytest.raises(FormatError):
            parse_task(task, mlp(5), stored, Meter(Budget(memory=2**20)))  # type: ignore[arg-type]
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert most < 2**20, task


@pytest.mark.parametrize(
    "name", ["cyclic:360", "symmetric:6", "alternating:6", "dihedral:180", "product(symmetric:5,cyclic:3)", None]
)
def test_the_memory_that_a_task_takes_is_announced(name: str | None) -> None:
    """Of what is made for the largest table, of its digest, and of what rules ask of it, before any of it is made."""
    table = group_table("cyclic:360" if name is None else name)
    size = len(table)
    stored = {"table": integer_tensor(table)} if name is None else {}
    task = {"name": COMPOSITION, "table": table_digest(table)} if name is None else {"name": COMPOSITION, "group": name}
    for memory, fits in ((60 * size**2, False), (68 * size**2, True)):
        tracemalloc.start()
        try:
            found = parse_task(task, mlp(size), stored, Meter(Budget(memory=memory)))  # type: ignore[arg-type]
        except OverBudget:
            found = None
        else:
            assert isinstance(found, Composition)
            assert found.is_addition == (name in ("cyclic:360", None)) and (found.commutative or not found.is_addition)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert (found is not None) == fits and most < (memory if fits else 2**20)


def model_of_zeros(config: GroupMLP) -> Model:
    tensors = {name: RawTensor("F16", shape, bytes(2 * math.prod(shape))) for name, shape in config.tensor_shapes().items()}
    return Model(config, tensors, None)


def test_a_check_refuses_weights_beyond_its_budget_before_any_step() -> None:
    model = model_of_zeros(GroupMLP(d_mlp=2**12, d_vocab=2, d_vocab_out=2))
    statement = Statement(model.digest(), {"name": "modular-addition", "modulus": 2}, 0, 4)
    with pytest.raises(OverBudget, match=r"^checking takes .*max-memory"):
        check_proof(Certificate(statement, 30, (Step("hidden-tables"),)), model, budget=Budget(memory=2**19))


def test_a_check_refuses_a_task_beyond_its_budget_before_it_is_made() -> None:
    model = model_of_zeros(mlp(2048))
    table = RawTensor("I16", (2048, 2048), bytes(2 * 2048**2))
    for task, stored in (
        ({"name": "modular-addition", "modulus": 2048}, {}),
        ({"name": COMPOSITION, "table": "0" * 64}, {"table": table}),
    ):
        certificate = Certificate(Statement(model.digest(), task, 0, 2048**2), 30, (Step("hidden-tables"),), stored)
        tracemalloc.start()
        with pytest.raises(OverBudget, match="max-memory"):
            check_proof(certificate, model, budget=Budget(memory=2**22))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert most < 2**20


# --- laws ---------------------------------------------------------------------------------------------------------------


def setting_of(table: Table, named: str | None = None, budget: Budget = Budget()) -> Setting:  # noqa: B008 - frozen
    """About a task that only gives a table, or names a group."""
    numbers = np.array(table, np.int64)
    config = mlp(len(numbers))
    task = {"name": COMPOSITION, "group": named} if named else {"name": COMPOSITION, "table": table_digest(numbers)}
    meter = Meter(budget)
    known = parsed(task, config, None if named else numbers)
    return Setting(Model(config, {}, None), known, ScaledArithmetic(30, meter), meter)


def accepted(setting: Setting, generators: list[int]) -> Group | None:
    try:
        return Group.of(setting, np.array(generators, np.int64))
    except Refused:
        return None


def generated(table: Table, generators: list[int]) -> set[int]:
    """All products, however bracketed."""
    found = set(generators)
    while True:
        more = {table[a][b] for a in found for b in found} | found
        if more == found:
            return found
        found = more


def latin_square(rng: random.Random, size: int) -> Table:
    """Row by row, by chance; until it works."""
    while True:
        rows: Table = []
        for _ in range(200):
            row = rng.sample(range(size), size)
            if all(a != b for earlier in rows for a, b in zip(earlier, row, strict=True)):
                rows.append(row)
            if len(rows) == size:
                return rows


def with_unit(table: Table) -> Table:
    """A Latin square with rows and columns moved so that 0 becomes a unit: a loop."""
    rows = sorted(table)
    order = sorted(range(len(rows)), key=lambda column: rows[0][column])
    return [[row[column] for column in order] for row in rows]


def renumbered(rng: random.Random, table: Table) -> Table:
    """The same multiplication, the elements shuffled."""
    new = rng.sample(range(len(table)), len(table))
    shuffled = [[0] * len(table) for _ in table]
    for a, row in enumerate(table):
        for b, c in enumerate(row):
            shuffled[new[a]][new[b]] = new[c]
    return shuffled


QUATERNION_UNITS = cayley(  # the quaternion group, by its action on itself: generated by i and j
    sorted(
        {
            (0, 1, 2, 3, 4, 5, 6, 7),
            (1, 2, 3, 0, 5, 6, 7, 4),
            (2, 3, 0, 1, 6, 7, 4, 5),
            (3, 0, 1, 2, 7, 4, 5, 6),
            (4, 7, 6, 5, 2, 1, 0, 3),
            (5, 4, 7, 6, 3, 2, 1, 0),
            (6, 5, 4, 7, 0, 3, 2, 1),
            (7, 6, 5, 4, 1, 0, 3, 2),
        }
    )
)


def magmas(rng: random.Random) -> Iterator[Table]:
    """Groups, and things that are nearly groups."""
    for name in ("cyclic:4", "product(cyclic:2,cyclic:2)", "symmetric:3", "dihedral:4", "cyclic:7"):
        yield renumbered(rng, group_table(name).tolist())
    yield renumbered(rng, QUATERNION_UNITS)
    for size in (3, 4, 5, 5, 5):
        square = latin_square(rng, size)
        yield square
        yield renumbered(rng, with_unit(square))
    for size in (2, 4, 6):  # monoids, not groups; and x - y, whose rows and columns are fine
        yield [[a * b % size for b in range(size)] for a in range(size)]
        yield renumbered(rng, [[max(a, b) for b in range(size)] for a in range(size)])
        yield [[(a - b) % (size + 1) for b in range(size + 1)] for a in range(size + 1)]
    left_zeros, right_zeros = [[a for _ in range(3)] for a in range(3)], [list(range(3)) for _ in range(3)]
    for zeros in (left_zeros, right_zeros):  # associative, with products that have a quotient on one side
        yield zeros
        yield renumbered(rng, product([[0, 1], [1, 0]], zeros))
    table = renumbered(rng, group_table("dihedral:4").tolist())
    a, b = rng.sample(range(8), 2)
    table[a], table[b] = table[b], table[a]
    yield table


@pytest.mark.parametrize("seed", range(6))
def test_tables_of_groups_are_accepted_with_elements_that_generate_them_and_no_others(seed: int) -> None:
    rng = random.Random(seed)
    outcomes = set()
    for table in magmas(rng):
        true = is_group(table)
        for _ in range(6):
            generators = rng.sample(range(len(table)), rng.randint(1, min(3, len(table))))
            group = accepted(setting_of(table), generators)
            few = 2 ** len(generators) <= len(table)
            expected = true and few and len(generated(table, generators)) == len(table)
            assert (group is not None) == expected, (table, generators)
            outcomes.add((true, group is not None))
            if group is not None:
                every = range(len(table))
                assert all(table[group.unit][x] == x == table[x][group.unit] for x in every)
                assert all(table[x][int(group.inverse[x])] == group.unit for x in every)
        assert true or accepted(setting_of(table), list(range(len(table)))) is None
    assert outcomes == {(True, True), (True, False), (False, False)}


def test_a_monoid_is_no_group() -> None:
    """1, a, a^2, .. up to a power that stays: associative, generated by 1 and a, and 1 is the first that is its own square."""
    for size in (4, 6, 9):
        powers = np.minimum(np.add.outer(np.arange(size), np.arange(size)), size - 1)
        with pytest.raises(Refused, match="an element no inverse"):
            Group.of(setting_of(powers.tolist()), np.array([0, 1]))


def test_the_unit_must_move_no_point() -> None:
    """Maps of all points to one satisfy all other laws of an action."""
    table = group_table("cyclic:4")
    setting = setting_of(table.tolist(), "cyclic:4")
    group = Group.of(setting, np.array([1]))
    group.require_action(setting, table)
    for action in (np.zeros((4, 3), np.int64), np.where(table < 2, 0, 2)[:, [0, 0, 2, 2]]):
        with pytest.raises(Refused, match="the unit each to itself"):
            group.require_action(setting, action)


def test_elements_that_associate_must_generate_everything() -> None:
    """A product of Z_2 with a loop that is no group: the elements of Z_2 pass the test of associativity alone."""
    loop = with_unit([[0, 1, 2, 3, 4], [1, 0, 3, 4, 2], [2, 4, 0, 1, 3], [3, 2, 4, 0, 1], [4, 3, 1, 2, 0]])
    assert not is_group(loop)
    table = product([[0, 1], [1, 0]], loop)
    for generators in ([0], [5], [0, 5]):
        with pytest.raises(Refused, match="do not generate"):
            Group.of(setting_of(table), np.array(generators))
    for generator in range(10):
        if generator not in (0, 5):
            assert accepted(setting_of(table), [5, generator]) is None


@pytest.mark.parametrize("generators", [[], [-1], [6], [1, 6], [2**62, 1], [0], [2], [3], [0, 3], [1, 2, 3]])
def test_generators_are_few_elements_that_generate(generators: list[int]) -> None:
    for named in ("cyclic:6", None):
        assert accepted(setting_of(group_table("cyclic:6").tolist(), named), generators) is None
    assert accepted(setting_of(group_table("cyclic:6").tolist(), "cyclic:6"), [3, 2]) is not None


@pytest.mark.parametrize("name", ["cyclic:2", "cyclic:2048", "dihedral:1024", "product(symmetric:5,cyclic:17)"])
def test_redundant_generators_are_refused_and_law_checks_take_no_longer_than_announced(name: str) -> None:
    """A group of n elements is generated by log2 n of them; checks of more (324 s for 2048) are not even begun."""
    table = group_table(name)
    task = {"name": COMPOSITION, "table": table_digest(table)}
    config, most = mlp(len(table)), len(table).bit_length() - 1
    for count in (most + 1, len(table)):
        meter = Meter(Budget())
        setting = Setting(Model(config, {}, None), parsed(task, config, table), ScaledArithmetic(30, meter), meter)
        with pytest.raises(Refused, match="at most log2"):
            Group.of(setting, np.arange(count))
        assert meter.effort == 0
    chosen: list[int] = []
    members = {0}
    while len(members) < len(table):
        chosen.append(next(g for g in range(len(table)) if g not in members))
        members = set(np.flatnonzero(subgroup(table, chosen)).tolist())
    meter = Meter(Budget())
    setting = Setting(Model(config, {}, None), parsed(task, config, table), ScaledArithmetic(30, meter), meter)
    group = Group.of(setting, np.array(chosen))
    assert len(chosen) <= most and meter.effort >= 5 * (1 + len(chosen)) * table.size
    before = meter.effort
    group.require_action(setting, table)
    assert meter.effort - before >= 5 * (1 + len(chosen)) * table.size


def subgroup(table: np.ndarray, elements: list[int]) -> np.ndarray:
    """The elements that some generate, as a mask."""
    members, newest = np.zeros(len(table), np.bool_), np.array([0])
    while len(newest):
        members[newest] = True
        products = np.unique(table[np.ix_(newest, elements)])
        newest = products[~members[products]]
    return members


def acts(table: Table, action: Table) -> bool:
    """By the definition, pair by pair."""
    points = range(len(action[0]))
    if any(sorted(permutation) != list(points) for permutation in action):
        return False
    every = range(len(table))
    return all(action[table[g][h]][x] == action[g][action[h][x]] for g in every for h in every for x in points)


def actions(rng: random.Random, table: Table) -> Iterator[Table]:
    """True ones, and false ones of the same shape: homomorphisms spoilt, reversed or of another group."""
    size = len(table)
    inverse = [row.index(next(e for e in range(size) if table[e][e] == e)) for row in table]
    left = [list(row) for row in table]
    right = [[table[x][inverse[g]] for x in range(size)] for g in range(size)]
    conjugation = [[table[table[g][x]][inverse[g]] for x in range(size)] for g in range(size)]
    trivial = [list(range(3)) for _ in range(size)]
    yield from (left, right, conjugation, trivial)
    yield [[table[x][g] for x in range(size)] for g in range(size)]  # from the wrong side
    yield [left[inverse[g]] for g in range(size)]
    for true in (left, conjugation, trivial):
        spoilt = [list(row) for row in true]
        g = rng.randrange(size)
        x, y = rng.sample(range(len(true[0])), 2)
        spoilt[g][x], spoilt[g][y] = spoilt[g][y], spoilt[g][x]
        yield spoilt
        yield [row if h != g else [min(v, 1) for v in row] for h, row in enumerate(true)]  # no permutation
        yield [row if h != g else [v + 1 for v in row] for h, row in enumerate(true)]
        yield [row if h != g else [v - 1 for v in row] for h, row in enumerate(true)]
        yield [true[rng.randrange(size)] for _ in range(size)]
    constant = [1, 2, 0]
    yield [constant for _ in range(size)]  # each g by the same turn: the unit must not move anything


@pytest.mark.parametrize("name", ["cyclic:4", "symmetric:3", "dihedral:4", "cyclic:7", "alternating:4"])
@pytest.mark.parametrize("from_table", [False, True])
def test_actions_are_accepted_if_and_only_if_they_are(name: str, from_table: bool) -> None:
    table = group_table(name).tolist()
    outcomes = set()
    for seed in range(4):
        rng = random.Random(seed)
        setting = setting_of(table, None if from_table else name)
        group = None
        while group is None:
            group = accepted(setting, rng.sample(range(len(table)), rng.randint(1, 3)))
        for action in actions(rng, table):
            true = acts(table, action)
            outcomes.add(true)
            try:
                group.require_action(setting, np.array(action))
            except Refused:
                assert not true, action
            else:
                assert true, action
    assert outcomes == {True, False}


def test_checks_of_laws_are_counted_and_limited() -> None:
    """Of a table: 1 + generators for each entry; of an action: the same."""
    table = group_table("symmetric:3").tolist()
    for named, operations in (("symmetric:3", 6 * 2), (None, 6 * 2 + (1 + 2) * 36)):
        setting = setting_of(table, named)
        group = Group.of(setting, np.array([1, 2]))
        assert setting.meter.operations == operations
        group.require_action(setting, np.array(table))
        assert setting.meter.operations == operations + 3 * 36
        with pytest.raises(OverBudget):
            Group.of(setting_of(table, named, Budget(operations=operations - 1)), np.array([1, 2]))
