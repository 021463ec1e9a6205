"""Rule wave-output: what it accepts is true, it accepts what its theorem says and no more, and it accepts real networks.

What networks really do is found in fractions (hidden_oracle), what the theorem leaves in floats (pair_oracle): neither shares
code with the checker.
"""

import random
import tracemalloc
from dataclasses import replace
from fractions import Fraction
from typing import Any

import hidden_oracle
import numpy as np
import pair_oracle
import pytest
import torch
from hidden_oracle import HiddenModel, pack
from test_hidden_rules import Check, of_integers, tables_step
from test_quadrature import transformer
from thorough import parts

from certificates import Certificate, RawTensor, Step
from checker.core.errors import CheckError, OverBudget, Refused
from checker.core.meter import Budget, Meter
from checker.core.scaled_integers import ScaledArithmetic
from checker.decide import check_proof
from checker.registry import RULES
from checker.reporting.verdict import ARITHMETICS
from prover.layers.two_input_problem import TwoInputProblem
from prover.proving import prove
from prover.strategies.fourier_output import Fourier
from prover.strategy import DoesNotFit

CPU = torch.device("cpu")
SCALE = 24
Hints = dict[str, Any]


# --- networks and hints ------------------------------------------------------------------------------------------------------


def addition(p: int) -> np.ndarray:
    return np.add.outer(np.arange(p), np.arange(p)) % p


def group_mlp(p: int, weights: dict[str, np.ndarray], dtype: str = "F64") -> HiddenModel:
    return HiddenModel(pack(weights, dtype), {"name": "group-composition", "group": f"cyclic:{p}"}, addition(p))


def cosines(p: int, neurons: int, seed: int, noise: float, tied: bool) -> HiddenModel:
    """Neurons that read and write one frequency each, and noise; biases too."""
    rng = np.random.default_rng(seed)
    half = p // 2
    frequency, turn = 1 + np.arange(neurons) % half, np.arange(neurons) // half / max(neurons // half, 1)
    phase = 2 * np.pi * turn + rng.random()
    angle = 2 * np.pi * np.outer(np.arange(p), frequency) / p
    left = np.cos(angle - phase) + noise * rng.normal(size=angle.shape)
    weights = {
        "embed_left.W_E": left,
        "embed_right.W_E": left if tied else np.cos(angle - phase) + noise * rng.normal(size=angle.shape),
        "mlp.b_in": noise * rng.normal(size=neurons),
        "unembed.W_U": (np.cos(angle - 2 * phase) + noise * rng.normal(size=angle.shape)).T,
        "unembed.b_U": noise * rng.normal(size=p),
    }
    return group_mlp(p, weights)


def uniform(p: int, seed: int, noise: float) -> HiddenModel:
    model = transformer(p, seed, noise)
    return HiddenModel({n: (t.dtype, t.shape, t.data) for n, t in model.tensors.items()}, model.task, addition(p))


def wild(p: int, rng: random.Random) -> HiddenModel:
    """Weights of all sizes, many of them equal: ties are common."""
    few, hidden = rng.choice([hidden_oracle.QUARTERS, [0.0, 1.0, -1.0], hidden_oracle.WILD]), rng.randint(1, 6)
    tensors = {
        name: np.reshape([rng.choice(few) for _ in range(int(np.prod(shape)))], shape)
        for name, shape in hidden_oracle.shapes(False, p, hidden, p, 0, 0, 0).items()
        if ".b_" not in name or rng.random() < 0.5
    }
    if rng.random() < 0.5:
        tensors["embed_right.W_E"] = tensors["embed_left.W_E"]
    return group_mlp(p, tensors)


def favoured(tiny: HiddenModel, output: int, favour: float) -> HiddenModel:
    """One output is more likely."""
    dtype, shape, data = tiny.tensors["unembed.b_U"]
    assert dtype == "F64"
    more = np.frombuffer(data, "<f8") + favour * (np.arange(shape[0]) == output)
    return replace(tiny, tensors={**tiny.tensors, "unembed.b_U": (dtype, shape, more.tobytes())})


def tables_of(tiny: HiddenModel, chosen: Any) -> pair_oracle.Tables:
    return pair_oracle.Tables.of({name: RawTensor(*tensor) for name, tensor in tiny.tensors.items()}, list(chosen))


def in_units(numbers: Any) -> list[int]:
    limit = 2.0**52
    return [int(np.clip(np.rint(float(x) * 2.0**SCALE), -limit, limit)) for x in np.reshape(numbers, -1)]


def buckets(p: int, rng: random.Random, mirrored: int) -> np.ndarray:
    """One for each pair, or difference, or some at random, however numbered."""
    a, b = np.ogrid[:p, :p]
    kind = rng.choice(["each", "difference", "few", "one"])
    many = {"each": p * a + b, "difference": (a - b) % p, "few": 0 * addition(p), "one": 0 * addition(p) + 7}[kind]
    if kind == "few":
        many = np.array([[rng.choice([-1, 0, 3, 2**62 - 1, 2**40]) for _ in range(p)] for _ in range(p)])
    return np.where(a > b, -1, many) if mirrored else many + 0 * addition(p)


def hints(p: int, tables: pair_oracle.Tables, rng: random.Random, mirrored: int, ideal: float, angles: int = 0) -> Hints:
    """Entries that are Fourier coefficients or nearly so, exact or ideal (with this probability), whole or in pieces."""
    left, unembed = (table.astype(float) for table in (tables.left, tables.unembed))
    turn = np.exp(2j * np.pi * np.outer(np.arange(1, p // 2 + 1), np.arange(p)) / p)
    half = np.where(2 * np.arange(1, p // 2 + 1) == p, 1, 2) / p
    read, written = left.T @ turn.T * half, unembed @ turn.T * half  # i j
    main = abs(read).argmax(1)
    listed: dict[str, list[tuple[int, int, complex]]] = {"exact": [], "ideal": []}
    lost, off = rng.choice([(0, [0]), (0, [0, 1e-3]), (1 / len(main), [0, 1e-3, 0.01])])
    named = [rng.choice([j + 1, j + 1, p - 1 - j]) for j in range(len(half))]  # by angle all by the same name: no sums are torn
    reading = [(named[j] if angles else rng.choice([j + 1, j + 1, p - 1 - j])) if rng.random() >= lost / 4 else 0 for j in main]
    for i, j in np.ndindex(*written.shape):
        kind = "ideal" if rng.random() < ideal or angles else "exact"
        if rng.random() < lost / len(half) / 2:
            continue
        v, name = written[i, j] * (1 + rng.choice(off)), j + 1
        if (named[j] > p // 2) if angles else rng.random() < 0.3:
            v, name = v.conjugate(), p - name
        if rng.random() < 0.2 and not (angles and lost):  # in pieces, one of them of either kind
            piece = v * complex(rng.random(), 0.1 * rng.random())
            listed["ideal" if angles else rng.choice(["exact", "ideal"])].append((name, i, piece))
            v = v - piece
        listed[kind].append((name, i, v))
    rng.shuffle(listed["exact"])
    missing = {name for name, *_ in listed["exact"]} - {name for name, *_ in listed["ideal"]}
    listed["ideal"] += [(name, rng.randrange(len(main)), 0j) for name in missing]
    rng.shuffle(listed["ideal"])
    listed["ideal"].sort(key=lambda entry: (entry[0], reading[entry[1]]))
    found: Hints = {}
    for kind, entries in listed.items():
        found[kind] = np.reshape([entry[:2] for entry in entries], (-1, 2))
        found[f"{kind}_vectors"] = np.reshape([in_units([v.real, v.imag]) for *_, v in entries], (-1, 2))
    best = zip(reading, main, read[range(len(main)), main], strict=True)
    value = [0 if not k else v.conjugate() if k != j + 1 else v for k, j, v in best]
    return {
        "bucket": buckets(p, rng, mirrored),
        **found,
        "reading": reading,
        "wave": [in_units([v.real, v.imag]) for v in np.array(value, complex)],
        "level": in_units(unembed.mean(1) * rng.choice([1] * 7 + [0.9])),
        "weight": [rng.randint(-2, 2) for _ in main],
        "entry_weight": [rng.randint(-2, 2) for _ in found["ideal"]],
    }


def step_of(said: Hints, mirrored: int = 0, scale: int = SCALE, angles: int = 0) -> Step:
    arrays = {name: np.array(numbers, np.int64) for name, numbers in said.items()}
    parameters = {"angles": angles, "mirrored": mirrored, "scale": scale}
    return Step("wave-output", (0,), parameters, {n: of_integers(a) for n, a in arrays.items()})


def cells_of(said: Hints, mirrored: int) -> np.ndarray:
    cells = np.array(said["bucket"]) >= 0
    return cells | cells.T if mirrored else cells


# --- true, and exactly what the theorem says ---------------------------------------------------------------------------------


def edge_case(seed: int, angles: int) -> tuple[HiddenModel, list[int], Hints, int]:
    """A network, neurons, hints that claim what the theorem gives, whether mirrored."""
    rng = random.Random(seed)
    p, noise = 2 + seed % 6, rng.choice([0.0, 1e-3, 0.01, 0.03]) / (1 + 3 * angles)
    neurons = rng.choice([6, 8, 10]) * (p // 2) if angles else rng.choice([5, 8, 12])
    tiny = uniform(p, seed, noise / 4) if seed % 3 == 0 else cosines(p, neurons, seed, noise, seed % 3 == 1)
    chosen = list(range(tiny.tensors["unembed.W_U" if not tiny.transformer else hidden_oracle.MLP + "W_out"][1][0]))
    rng.shuffle(chosen)
    if tiny.transformer:  # the last two do next to nothing
        chosen = [i for i in chosen if i < len(chosen) - 2]
    mirrored = int(tiny.symmetric and rng.random() < 0.5)
    tables = tables_of(tiny, chosen)
    said = hints(p, tables, rng, mirrored, rng.choice([0.0, 0.3, 0.9]), angles)
    spare = pair_oracle.waves(tables, said, SCALE, angles)
    proved = [bucket for bucket, left in spare.items() if left > 5e-4]
    said["bucket"] = np.where(np.isin(said["bucket"], proved), said["bucket"], -1)
    return tiny, chosen, said, mirrored


def most_favour(tiny: HiddenModel, chosen: list[int], said: Hints, rival: int, angles: int) -> float:
    """By how much an output may be favoured so that the inequality just holds."""
    tables, few, many = tables_of(tiny, chosen), 0.0, 1e4
    unit = pair_oracle.fractions((3 if tiny.transformer else 1) * np.eye(len(tiny.table))[rival])
    while many - few > 1e-8 * many:
        middle = (few + many) / 2
        other = replace(tables, constant=tables.constant + Fraction(middle) * unit)
        inside = min(pair_oracle.waves(other, said, SCALE, angles).values()) > 0
        few, many = (middle, many) if inside else (few, middle)
    return few


@pytest.mark.parametrize("angles", [0, 1])
@pytest.mark.parametrize("part", parts(8))
def test_acceptance_ends_where_the_theorem_does(part: int, angles: int) -> None:
    """An output is favoured by so much that the inequality just holds, or just fails."""
    some = ideal = 0
    for seed in range(21 * part, 21 * part + 24):
        tiny, chosen, said, mirrored = edge_case(seed, angles)
        if not cells_of(said, mirrored).any():
            continue
        rival = (np.argwhere(cells_of(said, 0))[0].sum() + 1) % len(tiny.table)
        few = most_favour(tiny, chosen, said, rival, angles)
        for favour, accepted in ((few * (1 - 1e-6), True), (few * (1 + 1e-6), False)):
            check = Check(favoured(tiny, rival, favour), 60)
            fact = check.apply(step_of(said, mirrored, angles=angles), check.tables(chosen))
            assert (fact is not None) == accepted, (seed, favour)
            if fact is not None:
                assert np.array_equal(fact.cells, cells_of(said, mirrored)) and fact.correct == fact.cells.sum()
                check.assert_true(fact.cells)
        some, ideal = some + 1, ideal + (len(said["ideal"]) > 1)
    assert some > 5 and ideal > 3


def extreme(said: Hints, rng: random.Random) -> Hints:
    """Something in it changed, perhaps to what no machine integer can be doubled or negated."""
    name = rng.choice(sorted(name for name in said if len(said[name])))
    numbers = np.array(said[name], np.int64)
    place = tuple(rng.randrange(n) for n in numbers.shape)
    near = [-1, 0, 1, 2, len(said["bucket"]), 24, -24, 25, -25, int(numbers[place]) + 1, -int(numbers[place])]
    numbers[place] = rng.choice([*near, *near, 2**53, 2**63 - 1, -(2**63), 2**62, 2**32])
    if rng.random() < 0.1:
        numbers[...] = numbers[place]
    return {**said, name: numbers}


@pytest.mark.parametrize("angles", [0, 1])
@pytest.mark.parametrize("part", parts(8))
def test_whatever_the_hints_say_nothing_false_is_accepted(part: int, angles: int) -> None:
    """Networks with weights of all sizes and with ties; entries, buckets and claims at random, then with one changed."""
    accepted = 0
    for seed in range(60 * part, 60 * part + 60):
        rng = random.Random(seed)
        p = rng.randint(2, 7)
        near = rng.random() < 0.4 + 0.5 * angles
        tiny = (
            cosines(p, rng.randint(1 + 5 * angles, 6) * (1 + 3 * angles), seed, 0.1 / (1 + 99 * angles), rng.random() < 0.5)
            if near
            else wild(p, rng)
        )
        check = Check(tiny, rng.choice([12, 20, 30, 30, 64]))
        chosen = rng.sample(range(check.neurons), rng.randint(max(1, check.neurons - 1), check.neurons))
        mirrored = int(tiny.symmetric and rng.random() < 0.4)
        tables = tables_of(tiny, chosen)
        said = hints(p, tables, rng, mirrored, rng.choice([0, 0, 0.2]), angles)
        if not len(said["ideal"]):
            continue
        spare = pair_oracle.waves(tables, said, SCALE, angles)
        claimed = np.isin(said["bucket"], [bucket for bucket, left in spare.items() if left > 0])
        good = {**said, "bucket": np.where(claimed, said["bucket"], -1)}
        right = {**said, "bucket": np.where(check.truth.correct, said["bucket"], -1)}
        for tried in (said, good, right, extreme(good, rng), extreme(extreme(right, rng), rng)):
            scale = SCALE if rng.random() < 0.8 else rng.choice([0, 20, 25, -1100, 1100])
            fact = check.apply(step_of(tried, mirrored, scale, angles), check.tables(chosen))
            if fact is not None:
                check.assert_true(fact.cells)
                assert np.array_equal(fact.cells, cells_of(tried, mirrored))
                accepted += bool(fact.correct)
    assert accepted > 9


@pytest.mark.parametrize("p", [2, 3, 4, 5, 6, 7])
@pytest.mark.parametrize("kind", ["tied", "untied", "transformer"])
def test_networks_near_single_cosines_are_proved(kind: str, p: int) -> None:
    """By the strategy; a certificate that names frequencies by their negatives proves the same."""
    tiny = uniform(p, p, 1e-3) if kind == "transformer" else cosines(p, 6 * (p // 2), p, 1e-3, kind == "tied")
    check = Check(tiny, 30)
    certificate, evidence = prove(
        TwoInputProblem(replace(check.model, task=tiny.task), CPU), Fourier(exact=20, ideal=10, projected=0)
    )
    result = check_proof(certificate, check.model).result
    assert result.correct == evidence.correct >= p * p / 2
    assert result.correct == result.cells.sum()
    check.assert_true(result.cells)
    said = {name: hint.integers() for name, hint in certificate.steps[1].hints.items()}
    said["reading"], said["wave"] = -said["reading"] % p, said["wave"] * [1, -1]
    for name in ("exact", "ideal"):
        said[name] = np.stack([p - said[name][:, 0], said[name][:, 1]], 1)
        said[f"{name}_vectors"] = said[f"{name}_vectors"] * [1, -1]
    order = np.lexsort((said["reading"][said["ideal"][:, 1]], said["ideal"][:, 0]))
    said |= {name: said[name][order] for name in ("ideal", "ideal_vectors", "entry_weight")}
    said["bucket"] = np.where(said["bucket"] < 0, -1, 2**60 - said["bucket"])
    step = replace(certificate.steps[1], hints={name: of_integers(hint) for name, hint in said.items()})
    assert np.array_equal(check_proof(with_step(certificate, step), check.model).result.cells, result.cells)


def with_step(certificate: Certificate, step: Step) -> Certificate:
    return replace(certificate, steps=(certificate.steps[0], step))


# --- refusals ----------------------------------------------------------------------------------------------------------------


def small(p: int = 5, tied: bool = True) -> tuple[Check, Hints]:
    """All pairs of a network are claimed, each neuron writing a single frequency; the last entry is ideal."""
    check = Check(cosines(p, 12, 1, 1e-6, tied), 30)
    said = hints(p, tables_of(check.tiny, range(12)), random.Random(2), 0, 0.2)
    said["bucket"] = p * np.arange(p)[:, None] + np.arange(p)
    spare = pair_oracle.waves(tables_of(check.tiny, range(12)), said, SCALE)
    said["bucket"] = np.where(np.reshape([spare[n] > 0 for n in range(p * p)], (p, p)), said["bucket"], -1)
    return check, said


def test_what_entries_and_neurons_take_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers for each residue of every entry and of every neuron."""
    (check, said), held, hold = small(), list[int](), Meter.hold
    monkeypatch.setattr(Meter, "hold", lambda meter, size: held.append(size) or hold(meter, size))
    check_proof(certificate_of(check, said), check.model)
    entries, size = len(said["exact"]) + len(said["ideal"]), ScaledArithmetic(30, Meter(Budget())).element_bytes
    assert 5 * (entries + 12) * size in held


def refused(check: Check, step: Step, *premises: Any) -> str:
    with pytest.raises(Refused) as error:
        RULES["wave-output"](check.setting, step, premises or (check.tables(),))
    return str(error.value)


def test_weights_that_have_no_negative_are_refused() -> None:
    """With -2**63, whose negative is itself (and which no hint may be), nothing that a neuron writes would count: this network
    is always wrong. The rule itself has a much smaller limit.
    """
    p, angle = 3, 2 * np.pi * np.arange(3) / 3
    left = np.concatenate([np.eye(3), np.zeros((3, 1))], axis=1)
    check = Check(group_mlp(p, {"embed_left.W_E": left, "embed_right.W_E": left, "unembed.W_U": np.zeros((4, 3))}))
    vectors = [[int(1000 * np.cos(2 * x)), int(1000 * np.sin(2 * x))] for x in angle]
    none = {"reading": [1] * 4, "wave": [[0, 0]] * 4, "level": [0] * 4}
    said = {
        "bucket": np.where(np.eye(3) > 0, np.arange(3), -1),
        "exact": [[1, 0], [1, 1], [1, 2]],
        "exact_vectors": vectors,
        "ideal": [[1, 3]],
        "ideal_vectors": [[0, 0]],
        "weight": [1 - 2**62] * 3 + [0],
        "entry_weight": [0],
        **none,
    }
    assert "weights have logarithms" in refused(check, step_of(said, scale=0))
    for weight in (24, -24):
        assert "is not proved correct" in refused(check, step_of({**said, "weight": [weight] * 4}, scale=0))
    waves = np.stack([np.cos(np.arange(3)[:, None] * 0 + angle - 2 * x) for x in angle])[:, 0]
    check = Check(
        group_mlp(p, {"embed_left.W_E": 0 * left, "embed_right.W_E": 0 * left, "unembed.W_U": np.vstack([waves, 0 * angle])})
    )
    ideal = {
        "exact": np.zeros((0, 2)),
        "exact_vectors": np.zeros((0, 2)),
        "ideal": [[1, 0], [1, 1], [1, 2]],
        "ideal_vectors": vectors,
    }
    reads = {"wave": [in_units([np.cos(x), np.sin(x)]) for x in [*angle, 0]], "weight": [0] * 4}
    said = {**said, **ideal, **reads, "entry_weight": [1 - 2**62, 1 - 2**62, 0]}
    for angles in (0, 1):
        assert "weights have logarithms" in refused(check, step_of(said, scale=0, angles=angles))


@pytest.mark.parametrize(
    ("match", "changes"),
    [
        ("buckets are -1 or more", {"bucket": -2}),
        ("buckets are -1 or more", {"bucket": 1 - 2**62}),
        ("reading is 0 to 4", {"reading": 5}),
        ("reading is 0 to 4", {"reading": -1}),
        ("reading is 0 to 4", {"reading": 2**62 - 1}),
        ("entries have frequencies from 1 to 4 and neurons from 0 to 11", {"exact": [0, 0]}),
        ("entries have frequencies from 1 to 4 and neurons from 0 to 11", {"exact": [5, 0]}),
        ("entries have frequencies from 1 to 4 and neurons from 0 to 11", {"exact": [1, 12]}),
        ("entries have frequencies from 1 to 4 and neurons from 0 to 11", {"exact": [1, -1]}),
        ("entries have frequencies from 1 to 4 and neurons from 0 to 11", {"ideal": [0, 0]}),
        ("entries have frequencies from 1 to 4 and neurons from 0 to 11", {"ideal": [-1, 0]}),
        ("entries have frequencies from 1 to 4 and neurons from 0 to 11", {"ideal": [1, 2**62 - 1]}),
        ("weights have logarithms from -24 to 24", {"weight": 25}),
        ("weights have logarithms from -24 to 24", {"weight": -25}),
        ("weights have logarithms from -24 to 24", {"entry_weight": 25}),
        ("weights have logarithms from -24 to 24", {"entry_weight": -25}),
        ("weights have logarithms from -24 to 24", {"entry_weight": 1 - 2**62}),
        ("beyond 53 bits", {"wave": [0, 2**53]}),
        ("beyond 53 bits", {"level": -(2**53)}),
        ("beyond 53 bits", {"exact_vectors": [0, 2**53]}),
        ("beyond 53 bits", {"ideal_vectors": [-(2**53), 0]}),
        ("is not proved correct", {"bucket": 0}),
        ("is not proved correct", {"exact_vectors": [2**52, 2**52]}),
        ("is not proved correct", {"wave": [2**50, 0]}),
        ("is not proved correct", {"level": 2**52}),
        ("in order of frequency and reading", {"ideal": [1, 0]}),
    ],
)
def test_a_number_out_of_range_is_refused(match: str, changes: Hints) -> None:
    check, said = small()
    assert check.apply(step_of(said), check.tables()).correct > 12
    ((name, number),) = changes.items()
    changed = np.array(said[name], np.int64)
    changed[-1] = number
    assert match in refused(check, step_of({**said, name: changed}))


def test_shapes_are_those_of_the_model() -> None:
    check, said = small()
    for name in said:
        numbers = np.array(said[name])
        for other in (numbers[:-1], numbers[None], numbers[..., :0], numbers.reshape(-1)[:1].reshape(())):
            assert "expected" in refused(check, step_of({**said, name: other})), name
        missing = {other: hint for other, hint in said.items() if other != name}
        assert "exactly the hints" in refused(check, step_of(missing))
    empty = {"ideal": np.zeros((0, 2)), "ideal_vectors": np.zeros((0, 2)), "entry_weight": np.zeros(0)}
    assert "one is ideal" in refused(check, step_of({**said, **empty}))


def test_without_exact_entries_all_is_ideal() -> None:
    """By pairs and by angle, also where two embeddings are read."""
    for tied in (True, False):
        check = Check(cosines(5, 24, 1, 1e-6, tied), 30)
        said = hints(5, tables_of(check.tiny, range(24)), random.Random(2), 0, 0.0, 1)
        assert len(said["exact"]) == 0
        for angles in (0, 1):
            spare = pair_oracle.waves(tables_of(check.tiny, range(24)), said, SCALE, angles)
            some = {**said, "bucket": np.where(np.isin(said["bucket"], [n for n in spare if spare[n] > 0]), said["bucket"], -1)}
            fact = check.apply(step_of(some, angles=angles), check.tables())
            assert fact.correct == cells_of(some, 0).sum() > 10
            check.assert_true(fact.cells)
        for frequency, accepted in ((said["ideal"][0, 0], True), (5 - said["ideal"][0, 0], False)):
            more = step_of({**some, "bucket": 0 * addition(5) - 1, "exact": [[frequency, 0]], "exact_vectors": [[0, 0]]})
            assert check.apply(more, check.tables()) is not None
            more = step_of(
                {**some, "bucket": np.where(np.eye(5) > 0, 0, -1), "exact": [[frequency, 0]], "exact_vectors": [[0, 0]]}
            )
            fact = check.apply(more, check.tables())
            assert (fact is not None) == accepted
            assert accepted or "have all frequencies" in refused(check, more)


def test_ideal_entries_are_in_order() -> None:
    """Of all frequencies, but the other way round."""
    check = Check(cosines(5, 24, 1, 1e-6, True), 30)
    said = hints(5, tables_of(check.tiny, range(24)), random.Random(2), 0, 0.0, 1)
    said["bucket"] = np.where(np.eye(5) > 0, 0, -1)
    assert check.apply(step_of(said, angles=1), check.tables()) is not None
    turned = {**said, **{name: np.array(said[name])[::-1] for name in ("ideal", "ideal_vectors", "entry_weight")}}
    for angles in (0, 1):
        assert "in order of frequency and reading" in refused(check, step_of(turned, angles=angles))
    empty = {"ideal": np.zeros((0, 2)), "ideal_vectors": np.zeros((0, 2)), "entry_weight": np.zeros(0)}
    for claimed in (said["bucket"], 0 * said["bucket"] - 1):
        assert "one is ideal" in refused(check, step_of({**said, **empty, "bucket": claimed}))


def test_parameters_premises_and_tasks() -> None:
    check, said = small()
    for mirrored in (2, -1):
        assert "mirrored is 0 or 1" in refused(check, step_of(said, mirrored))
    for angles in (1, 2, -1):
        assert "angles is 0, or 1 where no entry is exact" in refused(check, step_of(said, angles=angles))
    assert "only those with a <= b" in refused(check, step_of(said, 1))
    upper = {**said, "bucket": np.triu(said["bucket"] + 1) - 1}
    whole = check.apply(step_of(said), check.tables())
    assert np.array_equal(check.apply(step_of(upper, 1), check.tables()).cells, whole.cells)
    untied, other = small(tied=False)
    assert "symmetric" in refused(untied, step_of({**other, "bucket": np.triu(other["bucket"] + 1) - 1}, 1))
    for scale in (1101, -1101):
        assert "a scale must lie between" in refused(check, step_of(said, scale=scale))
    with pytest.raises(Refused, match="exactly the parameters"):
        RULES["wave-output"](check.setting, replace(step_of(said), parameters={"scale": 0}), (check.tables(),))
    assert "takes one premise" in refused(check, step_of(said), check.tables(), check.tables())
    with pytest.raises(Refused, match="the first premise"):
        RULES["wave-output"](check.setting, step_of(said), ())
    wider = {n: t for n, t in check.tiny.tensors.items() if not n.startswith("unembed")}
    wider["unembed.W_U"] = ("F16", (12, 6), bytes(144))
    assert "one output for each residue" in refused(Check(replace(check.tiny, tensors=wider)), step_of(said))
    for table in (-addition(5) % 5, (addition(5) + 1) % 5, np.roll(addition(5), 1, axis=1)):
        assert "about addition modulo p" in refused(Check(replace(check.tiny, task=None, table=table)), step_of(said))


def test_nothing_claimed_is_nothing_proved() -> None:
    check, said = small()
    fact = check.apply(step_of({**said, "bucket": np.full((5, 5), -1)}), check.tables())
    assert fact.correct == 0 and not fact.cells.any()


def test_pairs_are_looked_at_in_blocks() -> None:
    """With many entries, though they say nothing, few at a time; in the end all of them."""
    check, said = small()
    more = {"exact": [[1, 0]] * 2**15, "exact_vectors": [[0, 0]] * 2**15}
    many = {**said, **{name: np.concatenate([said[name], hint]) for name, hint in more.items()}}
    whole = check.apply(step_of(said), check.tables())
    assert np.array_equal(check.apply(step_of(many), check.tables()).cells, whole.cells) and whole.cells[3:].sum() > 5
    assert "is not proved" in refused(check, step_of({**many, "bucket": np.maximum(many["bucket"], 0)}))


def test_the_strategy_knows_what_it_is_about() -> None:
    check, _ = small()
    for other in (replace(check.model, task={"name": "group-composition", "group": "product(cyclic:2,cyclic:2)"}), None):
        problem = TwoInputProblem(replace(check.model, task=check.tiny.task) if other is None else quadruple(), CPU)
        with pytest.raises(DoesNotFit):
            prove(problem, Fourier(buckets=0) if other is None else Fourier())


def quadruple() -> Any:
    tiny = cosines(4, 2, 0, 0.0, True)
    return replace(Check(tiny).model, task={"name": "group-composition", "group": "product(cyclic:2,cyclic:2)"})


# --- budgets, arithmetics --------------------------------------------------------------------------------------------------


def certificate_of(check: Check, said: Hints, mirrored: int = 0) -> Certificate:
    correct = int(cells_of(said, mirrored).sum())
    return check.certificate((tables_step(range(check.neurons)), step_of(said, mirrored)), correct)


def test_both_arithmetics_agree_and_budgets_are_respected() -> None:
    check, said = small()
    certificate = certificate_of(check, said)
    proof = check_proof(certificate, check.model)
    slow = check_proof(certificate, check.model, arithmetic=ARITHMETICS["mpmath"])
    assert (slow.operations, slow.result.correct) == (proof.operations, proof.result.correct)
    check_proof(certificate, check.model, budget=Budget(operations=proof.operations))
    for operations in (0, 1, proof.operations // 2, proof.operations - 1):
        with pytest.raises(OverBudget):
            check_proof(certificate, check.model, budget=Budget(operations=operations))


@pytest.mark.parametrize(("p", "entries", "memory"), [(64, 20000, 2**24), (160, 159, 2**27), (2, 50000, 35 * 10**6)])
def test_many_entries_or_frequencies_are_refused_before_their_numbers_exist(p: int, entries: int, memory: int) -> None:
    weights = {"embed_left.W_E": np.ones((p, 1)), "embed_right.W_E": np.ones((p, 1)), "unembed.W_U": np.ones((1, p))}
    check, one = Check(group_mlp(p, weights), 30), np.zeros(1)
    listed = np.stack([np.sort(1 + np.arange(entries) % (p - 1)), np.zeros(entries)], 1)
    both = dict.fromkeys(("exact", "ideal"), listed) | {f"{name}_vectors": 0 * listed for name in ("exact", "ideal")}
    said = {"bucket": 0 * addition(p), **both, "reading": one, "wave": np.zeros((1, 2)), "level": one, "weight": one}
    certificate = certificate_of(check, {**said, "entry_weight": np.zeros(entries)})
    tracemalloc.start()
    try:
        with pytest.raises(OverBudget):
            check_proof(certificate, check.model, budget=Budget(memory=memory))
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < memory


def test_changed_certificates_are_refused_or_still_true() -> None:
    """All of the checker, certificates of the strategy with a number changed."""
    check = Check(cosines(5, 12, 3, 1e-2, True), 30)
    certificate, _ = prove(TwoInputProblem(replace(check.model, task=check.tiny.task), CPU), Fourier(exact=100, ideal=10))
    said, rng = {name: hint.integers() for name, hint in certificate.steps[1].hints.items()}, random.Random(5)
    for _ in range(60):
        changed = extreme(said, rng)
        step = replace(certificate.steps[1], hints={name: of_integers(hint) for name, hint in changed.items()})
        try:
            proof = check_proof(with_step(certificate, step), check.model)
        except CheckError:
            continue
        check.assert_true(proof.result.cells)
