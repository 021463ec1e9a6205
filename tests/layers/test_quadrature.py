"""Strategy quadrature: cosines against mpmath, and certified pairs against exact evaluation."""

from dataclasses import replace
from fractions import Fraction

import hidden_oracle
import mpmath
import numpy as np
import pytest
import torch
from thorough import THOROUGH, parts

from certificates import GroupMLP, Model, RawTensor, UniformAttention
from checker.core.facts import Setting
from checker.core.meter import Budget, Meter
from checker.core.scaled_integers import ScaledArithmetic
from checker.decide import check_proof, parse_task
from checker.layers.circle import Circle
from prover.layers.examined_pairs import ExaminedPairs
from prover.layers.hidden_layer import HiddenLayer
from prover.layers.two_input_problem import TwoInputProblem
from prover.layers.wave_bound import Entries, wave_bound
from prover.proving import prove
from prover.strategies.quadrature import Quadrature
from prover.strategy import DoesNotFit

CPU = torch.device("cpu")


def network(p: int, neurons: int, seed: int, noise: float, bias: float = 0.0) -> Model:
    """Tied single cosines that add modulo p, more or less."""
    random = np.random.default_rng(seed)
    k = 1 + np.arange(neurons) % (p // 2)
    phase = 2 * np.pi * (np.arange(neurons) // (p // 2)) / max(neurons // (p // 2), 1) + random.uniform(0, 1)
    a = np.arange(p)[:, None]
    left = np.cos(2 * np.pi * k * a / p - phase) + noise * random.normal(size=(p, neurons))
    unembed = np.cos(2 * np.pi * k * a / p - 2 * phase).T + noise * random.normal(size=(neurons, p))
    values = {
        "embed_left.W_E": left,
        "embed_right.W_E": left,
        "mlp.b_in": bias * random.normal(size=neurons),
        "unembed.W_U": unembed,
        "unembed.b_U": bias * random.normal(size=p),
    }
    tensors = {n: RawTensor("F32", v.shape, v.astype(np.float32).tobytes()) for n, v in values.items()}
    return Model(GroupMLP(neurons, p, p), tensors, {"name": "group-composition", "group": f"cyclic:{p}"})


def exactly_correct(model: Model) -> np.ndarray:
    """Which pairs are right, in rational arithmetic from the stored weights."""
    tensors = {name: np.frombuffer(t.data, np.float32).reshape(t.shape) for name, t in model.tensors.items()}
    fraction = np.frompyfunc(lambda x: Fraction(float(x)), 1, 1)
    left, bias, unembed, constant = (fraction(tensors[n]) for n in ("embed_left.W_E", "mlp.b_in", "unembed.W_U", "unembed.b_U"))
    p = len(left)
    right = np.zeros((p, p), bool)
    for a in range(p):
        for b in range(p):
            logits = np.maximum(left[a] + left[b] + bias, Fraction(0)) @ unembed + constant
            true = (a + b) % p
            right[a, b] = all(logits[true] > logits[z] for z in range(p) if z != true)
    return right


@pytest.mark.parametrize("precision", [12, 30, 60])
@pytest.mark.parametrize("parts", [3, 59, 113])
def test_the_circle_is_enclosed(parts: int, precision: int) -> None:
    circle = Circle.of(setting_of(precision), parts)
    assert circle.parts == parts
    points = circle.at(np.arange(-parts, 2 * parts)[None])
    with mpmath.workprec(200):
        for n, function in enumerate((mpmath.cos, mpmath.sin)):
            for j in range(-parts, 2 * parts):
                value = function(2 * mpmath.pi * j / parts) * mpmath.mpf(2) ** points.shift
                low, high = (int(end[0, n, j + parts]) for end in (points.lo, points.hi))
                assert low <= value <= high and high - low <= max(3, 2 ** (precision - 48))


def setting_of(precision: int) -> Setting:
    model, meter = network(3, 2, 0, 0.0), Meter(Budget())
    return Setting(model, parse_task(model.task, model.config, {}, meter), ScaledArithmetic(precision, meter), meter)


def test_making_cosines_takes_effort() -> None:
    setting = setting_of(30)
    Circle.of(setting, 59)
    assert setting.meter.operations == 2 * 59
    assert setting.meter.effort > 59 * 4000  # some 20 microseconds each


OUTPUTS = pytest.mark.parametrize("outputs", [0, 1])
"""By pairs, or by angle."""


@OUTPUTS
@pytest.mark.parametrize("seed", range(24))
def test_certified_pairs_are_correct(seed: int, outputs: int) -> None:
    p = (3, 5, 7, 4, 6)[seed % 5]
    model = network(p, (p // 2) * (3 + seed % 5), seed, (0.0, 1e-3, 2e-2, 0.1)[seed % 4], (0.0, 1e-2)[seed % 2])
    certificate, evidence = prove(TwoInputProblem(model, CPU), Quadrature(outputs))
    proof = check_proof(certificate, model)
    assert proof.result.correct == evidence.correct
    assert not np.any(proof.result.cells & ~exactly_correct(model))


@OUTPUTS
@pytest.mark.parametrize("p", [6, 7])
def test_it_certifies_something(p: int, outputs: int) -> None:
    found = [prove(TwoInputProblem(network(p, 3 * many, 1, 1e-4), CPU), Quadrature(outputs))[1].correct for many in (6, 8, 12)]
    assert max(found) == 49 if p == 7 else max(found) > 0


@OUTPUTS
@pytest.mark.parametrize("precision", [31, 64, 256])
def test_every_precision_will_do(precision: int, outputs: int) -> None:
    model = network(5, 24, 1, 1e-4)
    certificate, evidence = prove(TwoInputProblem(model, CPU), Quadrature(outputs))
    assert evidence.correct == 25
    assert check_proof(replace(certificate, precision=precision), model).result.correct == 25


@pytest.mark.parametrize("seed", parts(200))
def test_what_the_bounds_say_is_less_than_what_a_few_neurons_do(seed: int) -> None:
    """In floating point, by loops over all pairs: with one neuron or two there is not much room below the true margins."""
    random = np.random.default_rng(seed)
    p, neurons = int(random.choice([3, 4, 5, 6, 7, 9])), int(random.integers(1, 4))
    noises = random.choice([0.0, 1e-3, 0.1, 1.0], 3)
    frequency = random.integers(1, p // 2 + 1, neurons) if seed % 2 else np.full(neurons, random.integers(1, p // 2 + 1))
    a, size = np.arange(p)[:, None], random.uniform(0.2, 2, neurons)
    phase = random.uniform(0, 2 * np.pi, neurons)
    left = size * np.cos(2 * np.pi * frequency * a / p - phase) + noises[0] * random.normal(size=(p, neurons))
    write = np.cos(2 * np.pi * frequency * a / p - 2 * phase - noises[1] * random.normal(size=neurons)).T
    write = write / size[:, None] + noises[2] * random.normal(size=(neurons, p))
    bias = noises[int(random.integers(3))] * random.normal(size=neurons)
    layer = HiddenLayer(*map(torch.as_tensor, (left, left, bias, write, np.zeros((p, p)), np.zeros(p), np.zeros(neurons))), 1)
    first, second = (torch.as_tensor(part) for part in np.divmod(np.arange(p * p), p))
    pairs = ExaminedPairs(first, second, (first + second) % p)
    lead = pairs.lead(layer.logits(first, second), layer.logits(first, second)).numpy()
    reading = torch.as_tensor(frequency)
    main = torch.nn.functional.one_hot(reading, p // 2 + 1).bool()
    every = torch.as_tensor(random.random(main.shape) < 0.5) | main
    every[:, 0] = False
    for entries in (Entries(main & False, main, reading), Entries(every & ~main, main, reading)):
        for symmetric in (True, False):
            margins = wave_bound(layer, torch.arange(neurons), entries, pairs, symmetric).of_each.amin(1).numpy()
            assert np.all(margins <= lead + 1e-9)
            buckets = random.integers(0, 3, p * p)
            margins = wave_bound(layer, torch.arange(neurons), entries, pairs, symmetric).margins(torch.as_tensor(buckets), 3)
            assert np.all(margins.amin(1).numpy()[buckets] <= lead + 1e-9)
    for written in (main, every):
        for symmetric in (True, False):
            entries = Entries(main & False, written, reading)
            margins = wave_bound(layer, torch.arange(neurons), entries, None, symmetric).of_each.amin(1).numpy()
            difference = (first - second).numpy() % p
            assert np.all(margins[np.minimum(difference, p - difference)] <= lead + 1e-9)


def transformer(p: int, seed: int, noise: float, favour: float = 0.0) -> Model:
    """The same after uniform attention: neurons read and write different directions, and nothing is quite as it should be."""
    random = np.random.default_rng(seed)
    half, hidden = p // 2, 12 * (p // 2) + 2
    k = 1 + np.arange(hidden) % half
    phase = 2 * np.pi * (np.arange(hidden) // half) / 12
    waves = 2 * np.pi * np.outer(np.arange(p), np.arange(1, half + 1)) / p
    embed, into, write = np.zeros((p + 1, 4 * half)), np.zeros((4 * half, hidden)), np.zeros((hidden, 4 * half))
    embed[:p, : 2 * half] = np.concatenate([np.cos(waves), np.sin(waves)], axis=1)
    every = np.arange(hidden)
    into[k - 1, every], into[half + k - 1, every] = np.cos(phase), np.sin(phase)
    write[every, 2 * half + k - 1], write[every, 3 * half + k - 1] = np.cos(2 * phase), np.sin(2 * phase)
    write[-2:] = 0
    unembed = np.zeros((4 * half, p))
    unembed[2 * half :] = embed[:p, : 2 * half].T
    attention = np.zeros((4 * half, 4 * half))
    attention[: 2 * half, : 2 * half] = np.eye(2 * half)
    weights = {
        "embed.W_E": embed,
        "pos_embed.W_pos": np.zeros((3, 4 * half)),
        "blocks.0.attn.W_V": np.eye(4 * half)[None],
        "blocks.0.attn.W_O": attention[None],
        "blocks.0.mlp.W_in": into,
        "blocks.0.mlp.b_in": np.zeros(hidden),
        "blocks.0.mlp.W_out": write,
        "unembed.W_U": unembed,
        "unembed.b_U": np.zeros(p),
    }
    weights = {name: weight + noise * random.normal(size=weight.shape) for name, weight in weights.items()}
    weights["unembed.b_U"][0] += favour
    tensors = {name: RawTensor("F64", w.shape, w.astype("<f8").tobytes()) for name, w in weights.items()}
    config = UniformAttention(4 * half, hidden, 4 * half, p + 1, p, 3, 1)
    return Model(config, tensors, {"name": "modular-addition", "modulus": p})


@OUTPUTS
@pytest.mark.parametrize("p", [3, 4, 5, 6, 7, 9, *([15] if THOROUGH else [])])
def test_a_transformer_is_proved(p: int, outputs: int) -> None:
    """Also where p is no prime, and a cosine has either sign."""
    model = transformer(p, 1, 1e-4)
    certificate, evidence = prove(TwoInputProblem(model, CPU), Quadrature(outputs))
    proof = check_proof(certificate, model)
    assert proof.result.correct == evidence.correct > 0
    every = np.arange(p)
    tensors = {name: (t.dtype, t.shape, t.data) for name, t in model.tensors.items()}
    truth = hidden_oracle.truth(hidden_oracle.HiddenModel(tensors, model.task, (every[:, None] + every) % p))
    assert not np.any(proof.result.cells & ~truth.correct)


def test_it_knows_what_it_is_about() -> None:
    with pytest.raises(DoesNotFit, match="outputs 0 or 1"):
        prove(TwoInputProblem(network(5, 6, 0, 0.0), CPU), Quadrature(2))
    other = replace(network(6, 6, 0, 0.0), task={"name": "group-composition", "group": "symmetric:3"})
    with pytest.raises(DoesNotFit, match="addition modulo p"):
        prove(TwoInputProblem(other, CPU), Quadrature())
