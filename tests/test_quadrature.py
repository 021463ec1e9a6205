"""Rule quadrature: cosines against mpmath, and certified pairs against exact evaluation."""

from fractions import Fraction

import mpmath
import numpy as np
import pytest
import torch

from certificates import Certificate, GroupMLP, Model, RawTensor, Statement, Step
from checker.errors import CheckError, Refused
from checker.facts import Setting
from checker.meter import Budget, Meter
from checker.rules.circle import cosines_and_sines
from checker.scaled_integers import ScaledArithmetic
from checker.tasks import parse_task
from checker.verdict import check_proof
from prover.pair_problem import PairProblem
from prover.prove import prove
from prover.strategies.quadrature import Quadrature

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
    model = network(3, 2, 0, 0.0)
    meter = Meter(Budget())
    setting = Setting(model, parse_task(model.task, model.config), ScaledArithmetic(precision, meter), meter)
    with mpmath.workprec(200):
        for enclosure, function in zip(cosines_and_sines(setting, parts), (mpmath.cos, mpmath.sin), strict=True):
            for j in range(parts):
                value = function(2 * mpmath.pi * j / parts) * mpmath.mpf(2) ** enclosure.shift
                assert int(enclosure.lo[j]) <= value <= int(enclosure.hi[j])
                assert int(enclosure.hi[j]) - int(enclosure.lo[j]) <= max(3, 2 ** (precision - 48))


@pytest.mark.parametrize("seed", range(24))
def test_certified_pairs_are_correct(seed: int) -> None:
    p = (3, 5, 7)[seed % 3]
    model = network(p, (p // 2) * (3 + seed % 5), seed, (0.0, 1e-3, 2e-2, 0.1)[seed % 4], (0.0, 1e-2)[seed % 2])
    certificate, evidence = prove(PairProblem(model, CPU), Quadrature())
    proof = check_proof(certificate, model)
    assert proof.result.correct == evidence.correct
    assert not np.any(proof.result.cells & ~exactly_correct(model))


def test_it_certifies_something() -> None:
    found = [prove(PairProblem(network(7, 3 * many, 1, 1e-4), CPU), Quadrature())[1].correct for many in (6, 8, 12)]
    assert max(found) == 49


def claim(model: Model, hints: dict[str, np.ndarray], correct: int) -> Certificate:
    stored = {name: RawTensor.of_integers(hint) for name, hint in hints.items()}
    neurons = {"neurons": RawTensor.of_integers(np.arange(model.config.d_mlp))}  # type: ignore[union-attr]
    steps = (Step("hidden-tables", (), {}, neurons), Step("quadrature", (0,), {"scale": 20}, stored))
    return Certificate(Statement(model.digest(), model.task, correct, 49), 30, steps)


@pytest.mark.parametrize("seed", range(40))
def test_whatever_the_hints_say_nothing_false_is_accepted(seed: int) -> None:
    random = np.random.default_rng(seed)
    model = network(7, 3 * int(random.integers(2, 9)), seed, float(random.choice([0.0, 0.01])))
    certificate, _ = prove(PairProblem(model, CPU), Quadrature())
    hints = {name: tensor.integers() for name, tensor in certificate.steps[1].hints.items()}
    scale = certificate.steps[1].parameters["scale"]
    for name in ("alpha", "beta"):
        hints[name] = hints[name] >> (scale - 20)
    changed = str(random.choice(["frequency", "alpha", "beta", "claimed"]))
    hints[changed] = random.permutation(hints[changed]) if changed != "claimed" else np.ones_like(hints[changed])
    right = exactly_correct(model)
    for correct in {int(right.sum()), 49, int(hints["claimed"][0]) * 7 + 14 * int(hints["claimed"][1:].sum())}:
        try:
            proof = check_proof(claim(model, hints, correct), model)
        except CheckError:
            continue
        assert not np.any(proof.result.cells & ~right)


def test_refusals() -> None:
    model = network(7, 12, 0, 0.0)
    good = {"frequency": np.ones(12, int), "alpha": np.ones(12, int), "beta": np.ones(12, int), "claimed": np.zeros(4, int)}
    assert check_proof(claim(model, good, 0), model).result.correct == 0
    for name, bad in (("frequency", 0), ("frequency", 7), ("claimed", 2), ("claimed", -1), ("frequency", -1)):
        with pytest.raises(Refused, match="frequencies"):
            check_proof(claim(model, {**good, name: np.full_like(good[name], bad)}, 0), model)
    untied = dict(model.tensors)
    untied["embed_right.W_E"] = RawTensor("F32", (7, 12), bytes(4 * 7 * 12))
    with pytest.raises(Refused, match="symmetric"):
        other = Model(model.config, untied, model.task)
        check_proof(claim(other, good, 0), other)
    even = network(6, 12, 0, 0.0)
    with pytest.raises(CheckError):
        check_proof(claim(even, good, 0), even)
