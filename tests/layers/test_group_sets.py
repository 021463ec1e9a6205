"""Rule set-output, all pairs at once: whatever the hints, what it establishes of each part and of all is true of a network."""

import contextlib
from dataclasses import dataclass, replace
from fractions import Fraction
from unittest import mock

import numpy as np
import pytest

from certificates import Certificate, GroupMLP, Model, RawTensor, Statement, Step, integer_tensor
from certificates.groups import group_table, table_digest
from checker import CheckError
from checker.core.enclosures import Enclosure
from checker.core.facts import CertifiedInputs, Fact, Setting
from checker.core.meter import Budget, Meter
from checker.core.scaled_integers import ScaledArithmetic, ScaledIntegers
from checker.decide import check_proof, parse_task
from checker.layers import set_output
from checker.layers.facts import HiddenTables
from checker.layers.group_laws import Group
from checker.layers.set_output import ideal_margin
from checker.registry import RULES
from checker.reporting.verdict import ARITHMETICS
from prover.layers.group_actions import coset_action, generated, inverses, subgroup_classes

GROUPS = [*(f"cyclic:{n}" for n in (2, 3, 4, 5, 6)), "symmetric:3", "product(cyclic:2,cyclic:2)", "dihedral:3"]
UNIT = 2.0**-20
TENSORS = ("embed_left.W_E", "embed_right.W_E", "mlp.b_in", "unembed.W_U", "unembed.b_U")
Array = np.ndarray
Hints = dict[str, Array]


@dataclass(frozen=True)
class Case:
    """A network with weights in units of 2**-20, and blocks of neurons with the sets that they sit on.

    neurons: others that the tables are to have as well, at a point of their own.
    """

    table: Array
    group: str | None
    weights: dict[str, Array]
    neurons: Array
    blocks: tuple[Hints, ...]

    @property
    def task(self) -> dict[str, str]:
        return {"name": "group-composition"} | (
            {"table": table_digest(self.table)} if self.group is None else {"group": self.group}
        )

    @property
    def model(self) -> Model:
        size, width = self.weights["embed_left.W_E"].shape
        tensors = {name: RawTensor("F64", w.shape, np.ascontiguousarray(w).tobytes()) for name, w in self.weights.items()}
        return Model(GroupMLP(width, size, size), tensors, self.task)

    @property
    def chosen(self) -> Array:
        """The neurons of the tables, in their order there."""
        return np.concatenate([*(block["neurons"] for block in self.blocks), self.neurons])

    @property
    def hints(self) -> Hints:
        """Every block on points of its own, side by side; then a point that stays where it is, for the other neurons."""
        sides = [(block["action_x"], block["action_y"]) for block in self.blocks]
        starts = np.cumsum([0, *(action.shape[1] for both in sides for action in both)])
        kernel, still = np.zeros((starts[-1] + 1,) * 2, np.int64), len(self.neurons)
        beta, gamma = [np.full(still, starts[-1])], [np.full(still, starts[-1])]
        for k, block in reversed(list(enumerate(self.blocks))):
            x, y, end = starts[2 * k : 2 * k + 3]
            kernel[x:y, y:end] = block["kernel"]
            beta.insert(0, x + block["beta"])
            gamma.insert(0, y + block["gamma"])
        return {
            "action": np.concatenate(
                [
                    *(a + start for a, start in zip([a for both in sides for a in both], starts, strict=False)),
                    np.full((len(self.table), 1), starts[-1]),
                ],
                axis=1,
            ),
            "generators": self.blocks[0]["generators"],
            "kernel": kernel,
            "beta": np.concatenate(beta),
            "gamma": np.concatenate(gamma),
            "t": np.concatenate([*(block["t"] for block in self.blocks), np.zeros(still, np.int64)]),
        }

    @property
    def steps(self) -> tuple[Step, ...]:
        stored = {name: integer_tensor(hint) for name, hint in self.hints.items()}
        tables = Step("hidden-tables", (), {}, {"neurons": integer_tensor(self.chosen)})
        return tables, Step("set-output", (0,), {"scale": 20}, stored)

    @property
    def certificate(self) -> Certificate:
        total = self.table.size
        given = {"table": integer_tensor(self.table)} if self.group is None else {}
        return Certificate(Statement(self.model.digest(), self.task, total, total), 30, self.steps, given)


def rounded(values: Array) -> Array:
    return np.rint(values / UNIT) * UNIT


def transitive(table: Array, random: np.random.Generator, faithful: bool = False) -> Array:
    """A transitive action "g x", its points in any order."""
    size = len(table)
    actions = [np.zeros((size, 1), np.int64), *(coset_action(table, h).action for h in subgroup_classes(table, size))]
    if faithful:
        actions = [action for action in actions if len(np.unique(action, axis=0)) == size]
    action = actions[random.integers(len(actions))]
    names = random.permutation(action.shape[1])
    return names[action][:, np.argsort(names)]


def block_on_sets(
    table: Array, random: np.random.Generator, style: str, noise: float, flaw: str | None = None
) -> tuple[Hints, tuple[Array, Array, Array]]:
    """A block, and left "a i", right "b i" and unembed "i z" of its neurons, but for noise as it says.

    With a flaw, the network sits on what are no sets, or has a kernel that is not invariant.
    """
    action_x = transitive(table, random, style == "cosets")
    action_y = action_x if style == "cosets" else transitive(table, random)
    if flaw == "intransitive":
        action_y = np.zeros((len(table), 2), np.int64) + np.arange(2)
    x, y = action_x.shape[1], action_y.shape[1]
    orbit = orbits_of(action_x, action_y)
    if style == "free":
        kernel = random.integers(-3, 4, int(orbit.max()) + 1)[orbit]
        cells = np.sort(random.integers(x * y, size=random.integers(1, 7)))
        lam, mu = random.normal(size=(x, len(cells))), random.normal(size=(y, len(cells)))
        t = random.normal(size=len(cells))
    else:  # all cells, all with the same in total; and, for cosets, preactivations that vanish where K is 1
        kernel = (orbit == (orbit[0, 0] if style == "cosets" else random.integers(orbit.max() + 1))).astype(np.int64)
        cells = np.sort(np.concatenate([np.arange(x * y), random.integers(x * y, size=random.integers(3))]))
        strength = 2.0 ** random.integers(-1, 2, len(cells))
        lam, mu = random.permutation(x) / x, random.random(y)
        lam, mu = np.outer(lam, strength), np.outer(-lam if style == "cosets" else mu, strength)
        t = -1 / (np.bincount(cells)[cells] * strength)
    if flaw == "kernel":
        kernel[tuple(random.integers(size) for size in kernel.shape)] += random.choice([-1, 1])
    elif flaw == "action":
        first, second = random.choice(len(table), 2, replace=False)
        action_y = action_y.copy()
        action_y[[first, second]] = action_y[[second, first]]
    elif flaw == "right":  # an action from the right
        action_x, action_y = (action[inverses(table)] for action in (action_x, action_y))
    beta, gamma, each = cells // y, cells % y, np.arange(len(cells))
    t = np.rint(t / UNIT).astype(np.int64)
    wrong = random.random() < 0.1
    block = {
        "action_x": action_x,
        "action_y": action_y,
        "generators": some_generators(table, random),
        "kernel": kernel,
        "beta": beta,
        "gamma": gamma,
        "t": random.permutation(-t) if wrong else t,
    }
    at_a, at_b = action_x[inverses(table)][:, beta], action_y[:, gamma]
    ideal = (
        lam[at_a, each],
        mu[at_b, each],
        (t * UNIT)[:, None] * kernel[beta[:, None], action_y[:, gamma].T],
    )
    noises = [random.normal(size=w.shape) for w in ideal]
    if random.integers(2):  # as large everywhere, and balanced where it can be, so that bounds are met
        noises = [balanced(at_a, random), balanced(at_b, random), random.choice([-1.0, 1.0], ideal[2].shape)]
    shaken = [rounded(w + noise * random_part) for w, random_part in zip(ideal, noises, strict=True)]
    for k in np.flatnonzero(random.random(3) < 0.3):
        shaken[k] = rounded(ideal[k])
    return block, (shaken[0], shaken[1], shaken[2])


def balanced(places: Array, random: np.random.Generator) -> Array:
    """Signs "g i", of either as many among the g with places[g, i] the same, if these are even in number."""
    signs = np.empty(places.shape)
    order = np.lexsort((random.random(places.shape), places), axis=0)
    alternating = np.broadcast_to((-1.0) ** np.arange(len(places))[:, None], places.shape)
    np.put_along_axis(signs, order, alternating, 0)
    return signs * random.choice([-1.0, 1.0], (1, places.shape[1]))


def some_generators(table: Array, random: np.random.Generator) -> Array:
    """Elements that generate the group, each of them new to the subgroup that those before it generate; in any order."""
    chosen: list[int] = []
    for element in random.permutation(len(table)):
        if not generated(table, chosen)[element]:
            chosen.append(int(element))
    return random.permutation(chosen)


def orbits_of(action_x: Array, action_y: Array) -> Array:
    """The number of the orbit of each "x y"."""
    codes = action_x[:, :, None] * action_y.shape[1] + action_y[:, None, :]
    return np.unique(codes.min(0), return_inverse=True)[1].reshape(codes.shape[1:])


def random_case(seed: int, flawed: bool = False) -> Case:
    random = np.random.default_rng(seed)
    group: str | None = GROUPS[seed % len(GROUPS)]
    table = group_table(str(group))
    if random.random() < 0.2:  # the same group, known by its table only
        names = random.permutation(len(table))
        table, group = names[table][np.argsort(names)][:, np.argsort(names)], None
    size, noise = len(table), 2.0 ** float(random.choice([-30, -16, -10, -6, -3, 0]))
    styles = [["cosets"], ["cosets", "free"], ["free"], ["free"] * 2, ["even"], ["even", "cosets"]][random.integers(6)]
    blocks, parts = [], []
    for style in styles:
        flaw = str(random.choice(["kernel", "action", "right", "intransitive"])) if flawed else None
        block, part = block_on_sets(table, random, style, noise, flaw)
        blocks.append(block)
        parts.append(part)
    others, small = int(random.integers(4)), 2.0 ** float(random.choice([-20, -8, -2]))
    shapes = ((size, others), (size, others), (others, size))
    parts.append(tuple(rounded(random.normal(size=s) * w) for s, w in zip(shapes, (1, 1, small), strict=True)))
    left, right, unembed = (np.concatenate([part[k] for part in parts], int(k < 2)) for k in range(3))
    width = left.shape[1]
    bias = rounded(random.normal(size=width) * random.integers(2))
    names = random.permutation(width)  # old number -> new number
    place = np.argsort(names)
    ends = np.cumsum([0, *(len(block["beta"]) for block in blocks)])
    blocks = [{**b, "neurons": names[start : start + len(b["beta"])]} for b, start in zip(blocks, ends, strict=False)]
    weights = (left - bias, right, bias, unembed, rounded(random.normal(size=size) * small * random.integers(2)))
    ordered = (weights[0][:, place], weights[1][:, place], bias[place], unembed[place], weights[4])
    seen = names[ends[-1] :][: random.integers(others + 1)]
    return Case(table, group, dict(zip(TENSORS, ordered, strict=True)), random.permutation(seen), tuple(blocks))


def spoilt(case: Case, random: np.random.Generator) -> Case:
    """One hint changed to something that should be refused, or be true all the same."""
    k = int(random.integers(len(case.blocks)))
    block = {name: hint.copy() for name, hint in case.blocks[k].items()}
    name = str(random.choice(sorted(set(block) - {"neurons"})))
    size, which = len(case.table), block[name]
    if name == "kernel":
        which[tuple(random.integers(s) for s in which.shape)] += random.choice([-1, 1, 1000])
    elif name in ("action_x", "action_y"):
        mode = random.integers(4)
        if mode == 0:  # from the right
            which = which[inverses(case.table)]
        elif mode == 1 and which.shape[1] > 1:  # two elements changed places, or two points
            first, second = random.choice(size, 2, replace=False)
            which[[first, second]] = which[[second, first]]
        elif mode == 2:
            which[random.integers(size)] = random.permutation(which.shape[1])
        else:
            which[:, :] = np.arange(which.shape[1])  # as many orbits as points
    elif name == "generators":
        k, block = 0, {key: hint.copy() for key, hint in case.blocks[0].items()}
        which = random.integers(size, size=random.integers(1, 3))
    elif name in ("beta", "gamma"):
        which[random.integers(len(which))] = random.integers(block["kernel"].shape[name == "gamma"])
    else:
        which[random.integers(len(which))] *= random.choice([-1, 0, 2])
    block[name] = which
    return replace(case, blocks=(*case.blocks[:k], block, *case.blocks[k + 1 :]))


@dataclass
class Established:
    """For each part of the neurons "i" (numbers of the network) what is claimed of it, "g"; and of all pairs, if anything."""

    parts: list[tuple[list[int], list[Fraction]]]
    fact: Fact | None


def established(case: Case) -> Established:
    """What the rule establishes on its way."""
    model, meter = case.model, Meter(Budget())
    table = {"table": integer_tensor(case.table)} if case.group is None else {}
    task = parse_task(case.task, model.config, table, Meter(Budget()))
    setting = Setting(model, task, ScaledArithmetic(30, meter), meter)
    tables, step = case.steps
    found = Established([], None)

    def margin(setting: Setting, tables: HiddenTables, group: Group, part: set_output.Part) -> Enclosure:
        claimed = ideal_margin(setting, tables, group, part)
        assert isinstance(claimed, ScaledIntegers)
        unit = Fraction(2) ** -claimed.shift
        found.parts.append((case.chosen[part.neurons].tolist(), [int(low) * unit for low in claimed.lo]))
        return claimed

    with mock.patch.object(set_output, "ideal_margin", margin), contextlib.suppress(CheckError):
        found.fact = RULES[step.rule](setting, step, (RULES[tables.rule](setting, tables, ()),))
    return found


class Truth:
    """The network in exact arithmetic, by plain loops."""

    def __init__(self, case: Case) -> None:
        self.table = case.table.tolist()
        self.left, self.right, self.inner, self.unembed, self.outer = (
            [[Fraction(v) for v in row] for row in np.atleast_2d(case.weights[name]).tolist()] for name in TENSORS
        )

    def adds(self, a: int, b: int, neurons: list[int]) -> list[Fraction]:
        """What these neurons add to each logit."""
        sums = [Fraction(0)] * len(self.table)
        for i in neurons:
            active = self.left[a][i] + self.right[b][i] + self.inner[0][i]
            if active > 0:
                sums = [one + active * u for one, u in zip(sums, self.unembed[i], strict=True)]
        return sums

    def least(self, neurons: list[int]) -> list[Fraction]:
        """The least that they add to the logit of ab less that of agb, over all a and b, for each g."""
        elements = range(len(self.table))
        least = [None] * len(elements)
        for a in elements:
            for b in elements:
                sums = self.adds(a, b, neurons)
                for g in elements:
                    margin = sums[self.table[a][b]] - sums[self.table[self.table[a][g]][b]]
                    least[g] = margin if least[g] is None else min(least[g], margin)
        return least

    def all_right(self) -> bool:
        elements, everything = range(len(self.table)), list(range(len(self.unembed)))
        for a in elements:
            for b in elements:
                logits = [x + y for x, y in zip(self.adds(a, b, everything), self.outer[0], strict=True)]
                true = self.table[a][b]
                if any(logits[z] >= logits[true] for z in elements if z != true):
                    return False
        return True


def holds(case: Case) -> tuple[int, bool]:
    """Fail unless all that is established is true; returns the number of parts, and whether pairs are certified."""
    found, truth = established(case), Truth(case)
    for neurons, claimed in found.parts:
        assert all(low <= least for low, least in zip(claimed, truth.least(neurons), strict=True))
    if found.parts:
        assert sorted(case.chosen) == sorted(i for neurons, _ in found.parts for i in neurons)
    if found.fact is None:
        return len(found.parts), False
    assert isinstance(found.fact, CertifiedInputs) and found.fact.correct == case.table.size and found.fact.cells.all()
    assert truth.all_right()
    assert check_proof(case.certificate, case.model).result.correct == case.table.size
    return len(found.parts), True


@pytest.mark.parametrize("part", range(8))
def test_what_is_established_is_true(part: int) -> None:
    parts = certified = 0
    for seed in range(100 * part, 100 * part + 100):
        case = random_case(seed)
        found, right = holds(case)
        assert found == len(case.blocks) + (len(case.neurons) > 0), seed
        parts, certified = parts + found, certified + right
    assert parts >= 100 and certified >= 8


@pytest.mark.parametrize("part", range(4))
def test_changed_hints_are_refused_or_true(part: int) -> None:
    accepted = refused = certified = 0
    for seed in range(10**4 + 80 * part, 10**4 + 80 * part + 80):
        case = spoilt(random_case(seed), np.random.default_rng(seed))
        found, right = holds(case)
        accepted, refused, certified = accepted + (found > 0), refused + (found == 0), certified + right
    assert accepted > 20 and refused > 20 and certified > 0


@pytest.mark.parametrize("part", range(4))
def test_what_is_no_action_and_no_kernel_is_refused_or_true(part: int) -> None:
    """Networks whose neurons agree with the hints, so that only the laws that these break stand in the way."""
    accepted = refused = 0
    for seed in range(2 * 10**4 + 80 * part, 2 * 10**4 + 80 * part + 80):
        found, _ = holds(random_case(seed, flawed=True))
        accepted, refused = accepted + (found > 0), refused + (found == 0)
    assert accepted > 5 and refused > 40


def sound_case() -> Case:
    """One that is accepted, with two blocks on three points each, and three neurons more, of no use but seen."""
    random = np.random.default_rng(7)
    table = group_table("symmetric:3")
    made = []
    while len(made) < 2:
        block, part = block_on_sets(table, random, "cosets", 2.0**-16)
        if block["kernel"].shape == (3, 3) and block["t"].max() < 0:
            made.append((block, part))
    idle = (np.zeros((6, 3)), np.zeros((6, 3)), np.zeros((3, 6)))
    left, right, unembed = (np.concatenate([*(part[k] for _, part in made), idle[k]], int(k < 2)) for k in range(3))
    first, second = (len(block["beta"]) for block, _ in made)
    numbers = (np.arange(first), np.arange(first, first + second))
    hints = tuple({**block, "neurons": which} for (block, _), which in zip(made, numbers, strict=True))
    weights = (left, right, np.zeros(left.shape[1]), unembed, np.zeros(6))
    idle_ones = np.arange(first + second, first + second + 3)
    return Case(table, "symmetric:3", dict(zip(TENSORS, weights, strict=True)), idle_ones, hints)


def changed(case: Case, **hints: Array | None) -> Certificate:
    """The certificate with hints replaced, or taken away."""
    tables, step = case.steps
    stored = {**step.hints, **{name: integer_tensor(hint) for name, hint in hints.items() if hint is not None}}
    stored = {name: tensor for name, tensor in stored.items() if hints.get(name, 0) is not None}
    return replace(case.certificate, steps=(tables, replace(step, hints=stored)))


def at(hint: Array, place: object, number: int) -> Array:
    copy = hint.astype(np.int64)
    copy[place] = number
    return copy


SOUND = sound_case()
HINTS = SOUND.hints
POINTS, LEAST = len(HINTS["kernel"]), 1 - 2**62


def test_the_case_is_accepted_by_both_arithmetics() -> None:
    assert holds(SOUND) == (3, True)
    proofs = [check_proof(SOUND.certificate, SOUND.model, arithmetic=ARITHMETICS[name]) for name in ("integers", "mpmath")]
    assert proofs[0].operations == proofs[1].operations
    assert all(proof.result.cells.all() for proof in proofs)
    kernel = HINTS["kernel"].copy()
    kernel[:3, 3:6] = np.where(kernel[:3, 3:6] == 1, 2**20, 2**20 - 1)
    check_proof(changed(SOUND, kernel=kernel), SOUND.model)


@pytest.mark.parametrize(
    ("reason", "hints"),
    [
        ("not invariant", {"kernel": at(HINTS["kernel"], (0, 3), 7)}),
        ("of at most", {"kernel": HINTS["kernel"] + 2**20}),
        ("of at most", {"kernel": HINTS["kernel"] - 2**20 - 1}),
        ("of at most", {"kernel": at(HINTS["kernel"], (0, 0), LEAST)}),
        ("of at most", {"kernel": HINTS["kernel"][:-1]}),
        ("of at most", {"kernel": HINTS["kernel"][:, :-1]}),
        ("not an action", {"action": np.concatenate([HINTS["action"][[0, 2, 1, 3, 4, 5], :3], HINTS["action"][:, 3:]], 1)}),
        ("not an action", {"action": HINTS["action"][inverses(SOUND.table)]}),
        ("the unit each to itself", {"action": HINTS["action"][::-1]}),
        ("the unit each to itself", {"action": HINTS["action"] * 0}),
        ("points to points", {"action": HINTS["action"] - 1}),
        ("points to points", {"action": HINTS["action"] + 1}),
        ("points to points", {"action": at(HINTS["action"], (0, 0), LEAST)}),
        ("not an action", {"action": at(HINTS["action"], (1, 0), 1 - int(HINTS["action"][1, 0] > 0))}),
        ("do not generate", {"generators": np.array([0])}),
        ("do not generate", {"generators": np.array([1, 1])}),
        ("do not generate", {"generators": np.array([3, 4])}),
        ("at most log2", {"generators": np.array([1, 2, 3])}),
        ("at most log2", {"generators": np.arange(6)}),
        ("do not generate", {"generators": np.zeros(0, np.int64)}),
        ("at most log2", {"generators": np.array([1, 6])}),
        ("at most log2", {"generators": np.array([1, -4])}),
        ("the order of their parts", {"beta": HINTS["beta"][::-1]}),
        ("the order of their parts", {"gamma": 5 - np.minimum(HINTS["gamma"], 5)}),
        ("must be points", {"beta": at(HINTS["beta"], -1, POINTS)}),
        ("must be points", {"beta": at(HINTS["beta"], 0, -1)}),
        ("must be points", {"gamma": at(HINTS["gamma"], -1, POINTS)}),
        ("must be points", {"gamma": at(HINTS["gamma"], 0, -1)}),
        ("must be points", {"beta": at(HINTS["beta"], 0, LEAST)}),
        ("must be points", {"action": np.zeros((6, 0), np.int64), "kernel": np.zeros((0, 0), np.int64)}),
        ("beyond 53 bits", {"t": at(HINTS["t"], 0, 2**53)}),
        ("beyond 53 bits", {"t": at(HINTS["t"], 0, LEAST)}),
        ("has shape", {"t": HINTS["t"][1:]}),
        ("has shape", {"beta": HINTS["beta"][1:]}),
        ("has shape", {"kernel": HINTS["kernel"].reshape(-1)}),
        ("has shape", {"action": HINTS["action"][:5]}),
        ("takes exactly the hints", {"kernel": None}),
        ("takes exactly the hints", {"action": None}),
        ("takes exactly the hints", {"lam": HINTS["t"]}),
        ("takes exactly the hints", {"neurons": HINTS["t"]}),
        ("takes exactly the parameters", {"pairs": np.ones((6, 6), np.int64)}),
        ("not proved to be positive", {"t": 0 * HINTS["t"]}),
    ],
)
def test_wrong_hints_are_refused(reason: str, hints: dict[str, Array | None]) -> None:
    with pytest.raises(CheckError, match=reason):
        check_proof(changed(SOUND, **hints), SOUND.model)


def test_premises_and_parameters_are_as_they_should() -> None:
    tables, first = SOUND.steps
    for step, reason in (
        (replace(first, premises=()), "no later step uses"),
        (replace(first, premises=(0, 0)), "one premise"),
        (replace(first, parameters={}), "exactly the parameters"),
        (replace(first, parameters={"scale": 20, "mirrored": 0}), "exactly the parameters"),
        (replace(first, parameters={"scale": 1101}), "scale must lie"),
    ):
        with pytest.raises(CheckError, match=reason):
            check_proof(replace(SOUND.certificate, steps=(tables, step)), SOUND.model)


def test_outputs_are_the_elements_and_no_other() -> None:
    size, width = SOUND.weights["embed_left.W_E"].shape
    wider = {**SOUND.weights, "unembed.W_U": np.zeros((width, size + 1)), "unembed.b_U": np.zeros(size + 1)}
    tensors = {name: RawTensor("F64", w.shape, np.ascontiguousarray(w).tobytes()) for name, w in wider.items()}
    model = Model(GroupMLP(width, size, size + 1), tensors, SOUND.task)
    statement = replace(SOUND.certificate.statement, model_digest=model.digest())
    with pytest.raises(CheckError, match="one output for each element and no direct path"):
        check_proof(replace(SOUND.certificate, statement=statement), model)


def test_operations_are_those_of_blocks_and_not_of_pairs() -> None:
    """The cost is about m |X| |Y| + n |X| |Y| + n m, whatever the number of pairs."""
    operations = check_proof(SOUND.certificate, SOUND.model).operations
    neurons, size = len(SOUND.chosen), 6
    assert operations < 12 * neurons * 9 + 12 * 2 * size * 9 + 12 * neurons * size
    with pytest.raises(CheckError, match="budget"):
        check_proof(SOUND.certificate, SOUND.model, budget=Budget(operations=operations - 1))
    check_proof(SOUND.certificate, SOUND.model, budget=Budget(operations=operations))
