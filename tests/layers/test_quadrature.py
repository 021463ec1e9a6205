"""Rules quadrature and quadrature-waves: cosines against mpmath, and certified pairs against exact evaluation."""

from dataclasses import replace
from fractions import Fraction

import hidden_oracle
import mpmath
import numpy as np
import pytest
import torch

from certificates import Certificate, GroupMLP, Model, RawTensor, Statement, Step, UniformAttention
from certificates.groups import table_digest
from checker.core.decide import check_proof, parse_task
from checker.core.errors import CheckError, Refused
from checker.core.facts import Setting
from checker.core.meter import Budget, Meter
from checker.core.scaled_integers import ScaledArithmetic
from checker.layers.circle import cosines_and_sines
from prover.layers.hidden_layer import HiddenLayer
from prover.layers.two_input_problem import TwoInputProblem
from prover.layers.wave_bound import strongest_frequencies, wave_bound
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
    setting = Setting(model, parse_task(model.task, model.config, None, meter), ScaledArithmetic(precision, meter), meter)
    with mpmath.workprec(200):
        for enclosure, function in zip(cosines_and_sines(setting, parts), (mpmath.cos, mpmath.sin), strict=True):
            for j in range(parts):
                value = function(2 * mpmath.pi * j / parts) * mpmath.mpf(2) ** enclosure.shift
                assert int(enclosure.lo[j]) <= value <= int(enclosure.hi[j])
                assert int(enclosure.hi[j]) - int(enclosure.lo[j]) <= max(3, 2 ** (precision - 48))


OUTPUTS = pytest.mark.parametrize("outputs", [0, 1])
"""Rule quadrature, or quadrature-waves."""


@OUTPUTS
@pytest.mark.parametrize("seed", range(24))
def test_certified_pairs_are_correct(seed: int, outputs: int) -> None:
    p = (3, 5, 7)[seed % 3]
    model = network(p, (p // 2) * (3 + seed % 5), seed, (0.0, 1e-3, 2e-2, 0.1)[seed % 4], (0.0, 1e-2)[seed % 2])
    certificate, evidence = prove(TwoInputProblem(model, CPU), Quadrature(outputs))
    proof = check_proof(certificate, model)
    assert proof.result.correct == evidence.correct
    assert not np.any(proof.result.cells & ~exactly_correct(model))


@OUTPUTS
def test_it_certifies_something(outputs: int) -> None:
    found = [prove(TwoInputProblem(network(7, 3 * many, 1, 1e-4), CPU), Quadrature(outputs))[1].correct for many in (6, 8, 12)]
    assert max(found) == 49


@pytest.mark.parametrize("seed", range(200))
def test_what_the_bounds_say_is_less_than_what_a_few_neurons_do(seed: int) -> None:
    """In floating point, by loops over all pairs: with one neuron or two there is not much room below the true margins."""
    random = np.random.default_rng(seed)
    p, neurons = int(random.choice([3, 5, 7, 9])), int(random.integers(1, 4))
    noises = random.choice([0.0, 1e-3, 0.1, 1.0], 3)
    frequency = random.integers(1, p, neurons) if seed % 2 else np.full(neurons, random.integers(1, p))
    a, size = np.arange(p)[:, None], random.uniform(0.2, 2, neurons)
    phase = random.uniform(0, 2 * np.pi, neurons)
    left = size * np.cos(2 * np.pi * frequency * a / p - phase) + noises[0] * random.normal(size=(p, neurons))
    write = np.cos(2 * np.pi * frequency * a / p - 2 * phase - noises[1] * random.normal(size=neurons)).T
    write = write / size[:, None] + noises[2] * random.normal(size=(neurons, p))
    bias = noises[int(random.integers(3))] * random.normal(size=neurons)
    layer = HiddenLayer(*map(torch.as_tensor, (left, left, bias, write, np.zeros((p, p)), np.zeros(p), np.zeros(neurons))), 1)
    least = np.full(p, np.inf)
    for first in range(p):
        for second in range(p):
            logits = np.maximum(left[first] + left[second] + bias, 0) @ write
            lead = logits[(first + second) % p] - np.delete(logits, (first + second) % p).max()
            least[(first - second) % p] = min(least[(first - second) % p], lead)
    for outputs in (False, True):
        margins = wave_bound(layer, torch.arange(neurons), torch.as_tensor(frequency), outputs).margins
        for d, margin in enumerate(margins.tolist()):
            assert margin <= min(least[2 * d % p], least[-2 * d % p]) + 1e-9


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


def with_all_claimed(model: Model, outputs: int) -> tuple[Certificate, float, float]:
    """All differences claimed from all neurons but the last two; the least margin, and the least of all that disturbs it."""
    problem = TwoInputProblem(model, CPU, precision=60)
    object.__setattr__(problem, "neurons", np.arange(model.config.d_mlp - 2))  # type: ignore[union-attr]
    neurons, p = torch.as_tensor(problem.neurons), len(problem.task.table)
    bound = wave_bound(problem.layer, neurons, strongest_frequencies(problem.layer.left[:, neurons]), outputs == 1)
    errors = [float(error) for error in (bound.unread, bound.bias, bound.direct, problem.layer.slack(neurons))]
    errors += [float(bound.unwritten)] if outputs and p > 3 else []  # of three numbers, any are a wave and a constant
    certificate, _ = prove(problem, Quadrature(outputs))
    hints = dict(certificate.steps[1].hints)
    hints["claimed"] = RawTensor.of_integers(np.ones(len(model.tensors["unembed.b_U"].data) // 16 + 1, int))
    steps = (certificate.steps[0], replace(certificate.steps[1], hints=hints))
    claimed = replace(certificate, statement=replace(certificate.statement, correct=p**2), steps=steps)
    return claimed, float(bound.lead.min()) - sum(errors), min(errors)


@OUTPUTS
@pytest.mark.parametrize(("p", "seed"), [(3, 0), (3, 4), (5, 0), (5, 4), (7, 2), (7, 4)])
def test_the_margin_is_exactly_what_the_theorem_says(p: int, seed: int, outputs: int) -> None:
    """An output is favoured by so much that the inequality just holds, or just fails, for one delta (another each time)."""
    noise = 4e-4
    few, many = 0.0, 1e3
    assert with_all_claimed(transformer(p, seed, noise, few), outputs)[1] > 0
    for _ in range(40):
        middle = (few + many) / 2
        inside = with_all_claimed(transformer(p, seed, noise, middle), outputs)[1] > 0
        few, many = (middle, many) if inside else (few, middle)
    certificate, margin, disturbance = with_all_claimed(model := transformer(p, seed, noise, few - noise / 100), outputs)
    assert 0 < margin < disturbance / 50
    assert check_proof(certificate, model).result.correct == p**2
    assert exactly_correct_transformer(model).all()
    certificate, margin, disturbance = with_all_claimed(model := transformer(p, seed, noise, few + noise / 100), outputs)
    assert 0 > margin > -disturbance / 50
    with pytest.raises(Refused, match="not proved correct"):
        check_proof(certificate, model)


def test_the_pairs_of_a_difference() -> None:
    """d = 1 stands for a - b = 2 and a - b = -2."""
    model = transformer(7, 0, 1e-4)
    certificate, _ = prove(TwoInputProblem(model, CPU), Quadrature())
    hints = {**certificate.steps[1].hints, "claimed": RawTensor.of_integers(np.array([0, 1, 0, 0]))}
    steps = (certificate.steps[0], replace(certificate.steps[1], hints=hints))
    proof = check_proof(replace(certificate, statement=replace(certificate.statement, correct=14), steps=steps), model)
    every = np.arange(7)
    assert np.array_equal(proof.result.cells, np.isin((every[:, None] - every) % 7, [2, 5]))


def test_making_cosines_takes_effort() -> None:
    model = network(3, 2, 0, 0.0)
    meter = Meter(Budget())
    cosines_and_sines(Setting(model, parse_task(model.task, model.config, None, meter), ScaledArithmetic(30, meter), meter), 59)
    assert meter.operations == 2 * 59
    assert meter.effort > 59 * 4000  # some 20 microseconds each


def exactly_correct_transformer(model: Model) -> np.ndarray:
    """Which pairs are right, in rational arithmetic."""
    tensors = {name: (t.dtype, t.shape, t.data) for name, t in model.tensors.items()}
    every = np.arange(model.config.d_vocab - 1)
    return hidden_oracle.truth(hidden_oracle.HiddenModel(tensors, model.task, (every[:, None] + every) % len(every))).correct


@OUTPUTS
@pytest.mark.parametrize("p", [3, 5, 7, 9, 11, 15])
def test_a_frequency_may_be_named_by_its_negative(p: int, outputs: int) -> None:
    """cos and sin of -k: the certificate proves the same, also where p is no prime and a cosine has either sign."""
    model = transformer(p, 1, 1e-3)
    certificate, _ = prove(TwoInputProblem(model, CPU), Quadrature(outputs))
    correct = check_proof(certificate, model).result.correct
    assert correct > 0
    step = certificate.steps[1]
    hints = {name: hint.integers() for name, hint in step.hints.items()}
    hints["frequency"], hints["beta"] = p - hints["frequency"], -hints["beta"]
    if outputs:
        hints["eta"] = -hints["eta"]
    stored = {name: RawTensor.of_integers(hint) for name, hint in hints.items()}
    other = replace(certificate, steps=(certificate.steps[0], replace(step, hints=stored)))
    assert check_proof(other, model).result.correct == correct


def claim(model: Model, hints: dict[str, np.ndarray], correct: int) -> Certificate:
    stored = {name: RawTensor.of_integers(hint) for name, hint in hints.items()}
    neurons = {"neurons": RawTensor.of_integers(np.arange(model.config.d_mlp))}  # type: ignore[union-attr]
    rule = "quadrature-waves" if "eta" in hints else "quadrature"
    steps = (Step("hidden-tables", (), {}, neurons), Step(rule, (0,), {"scale": 20}, stored))
    return Certificate(Statement(model.digest(), model.task, correct, 49), 30, steps)


@OUTPUTS
@pytest.mark.parametrize("seed", range(40))
def test_whatever_the_hints_say_nothing_false_is_accepted(seed: int, outputs: int) -> None:
    random = np.random.default_rng(seed)
    model = network(7, 3 * int(random.integers(2, 9)), seed, float(random.choice([0.0, 0.01])))
    certificate, _ = prove(TwoInputProblem(model, CPU), Quadrature(outputs))
    hints = {name: tensor.integers() for name, tensor in certificate.steps[1].hints.items()}
    scale, amplitudes = certificate.steps[1].parameters["scale"], ["alpha", "beta", "gamma", "eta"][: 2 + 2 * outputs]
    for name in amplitudes:
        hints[name] = hints[name] >> (scale - 20)
    changed = str(random.choice(["frequency", *amplitudes, "claimed"]))
    hints[changed] = random.permutation(hints[changed]) if changed != "claimed" else np.ones_like(hints[changed])
    right = exactly_correct(model)
    for correct in {int(right.sum()), 49, int(hints["claimed"][0]) * 7 + 14 * int(hints["claimed"][1:].sum())}:
        try:
            proof = check_proof(claim(model, hints, correct), model)
        except CheckError:
            continue
        assert not np.any(proof.result.cells & ~right)


@OUTPUTS
def test_refusals(outputs: int) -> None:
    model = network(7, 12, 0, 0.0)
    amplitudes = ("alpha", "beta", "gamma", "eta")[: 2 + 2 * outputs]
    good = {"frequency": np.ones(12, int), "claimed": np.zeros(4, int), **dict.fromkeys(amplitudes, np.ones(12, int))}
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
    nothing = claim(even, good, 0)
    with pytest.raises(Refused, match="modulo an odd number"):
        check_proof(replace(nothing, statement=replace(nothing.statement, total=36)), even)
    more = {
        **model.tensors,
        "unembed.W_U": RawTensor("F32", (12, 8), bytes(4 * 12 * 8)),
        "unembed.b_U": RawTensor("F32", (8,), bytes(32)),
    }
    other = Model(GroupMLP(12, 7, 8), more, model.task)
    with pytest.raises(Refused, match="one output for each residue"):
        check_proof(claim(other, good, 0), other)
    table = -np.add.outer(np.arange(7), np.arange(7)) % 7
    task = {"name": "group-composition", "table": table_digest(table)}
    nothing = claim(model, good, 0)
    statement = replace(nothing.statement, task=task)
    with pytest.raises(Refused, match="is about addition"):
        check_proof(replace(nothing, statement=statement, table=RawTensor.of_integers(table)), model)
