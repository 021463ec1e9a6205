"""Rule mlp-quadrature: what it accepts is true of every pair, by an oracle that shares no code; what it should refuse, it does.

The oracle runs the network in fractions and takes Fourier components with 200 bits. `Bound`, the prover's own idea of the
rule's bound in float64, tells where acceptance should begin: somewhat above it all is accepted, somewhat below nothing.
"""

import json
import tracemalloc
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import golden_pairs
import hidden_oracle
import mpmath
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from certificates import (
    Certificate,
    FormatError,
    FrequencyClaim,
    GroupMLP,
    MLPStatement,
    Model,
    RawTensor,
    Statement,
    Step,
    UniformAttention,
    integer_tensor,
    read_certificate,
    read_model,
    write_certificate,
    write_model,
)
from certificates.canonical_json import dumps
from certificates.certificate import parse_certificate
from certificates.groups import table_digest
from certificates.tensor_file import parse_tensor_file
from certificates.writing import serialize_certificate
from checker import covers, verify
from checker.core.errors import CheckError, ClaimNotMet, InvalidInput, OverBudget, Refused
from checker.core.meter import Budget
from checker.decide import Pins, check_proof
from checker.reporting.cli import cli
from checker.reporting.decimals import ceil_decimal, exact_decimal
from checker.reporting.outcome import FrequencyBound, frequency_bounds
from checker.reporting.verdict import ARITHMETICS
from prover.layers.mlp_bound import Interpretation, Layer, bound_of
from prover.layers.two_input_problem import TwoInputProblem
from prover.proving import prove
from prover.strategies.mlp_quadrature import MLPQuadrature
from prover.strategy import DoesNotFit
from prover.studies.mlp_findings import mlp_findings, mlp_html, mlp_table

CPU = torch.device("cpu")
ATTENTION, MLP = "blocks.0.attn.", "blocks.0.mlp."
SHIPPED = Path(__file__).parents[2] / "certificates/models/modular-addition-59.safetensors"


def model_of(p: int, heads: int, weights: dict[str, np.ndarray]) -> Model:
    tensors = {name: RawTensor("F64", w.shape, w.astype("<f8").tobytes()) for name, w in weights.items()}
    d, hidden = weights[MLP + "W_in"].shape
    d_head = weights[ATTENTION + "W_V"].shape[2]
    outputs = weights["unembed.W_U"].shape[1]
    return Model(
        UniformAttention(d_head, hidden, d, p + 1, outputs, 3, heads), tensors, {"name": "modular-addition", "modulus": p}
    )


def wild(p: int, seed: int, outputs: int = 0) -> Model:
    """Random weights of all sizes; outputs: instead of p."""
    random = np.random.default_rng(seed)
    d, heads, d_head, hidden = (int(random.integers(1, n)) for n in (6, 3, 4, 7))
    shapes = hidden_oracle.shapes(True, p, hidden, outputs or p, d, heads, d_head)
    weights = {n: random.normal(size=s) * 10.0 ** random.integers(-3, 3, size=s) for n, s in shapes.items()}
    kept = {n: w for n, w in weights.items() if ".b_" not in n or random.random() < 0.7}
    return model_of(p, heads, kept)


def planted(p: int, seed: int, noise: float, frequencies: tuple[int, ...] = ()) -> Model:
    """Neurons of one or two frequencies that do what the theorem says, and noise."""
    random = np.random.default_rng(seed)
    hidden = 12
    frequency = np.array(frequencies or random.permutation(np.arange(1, (p + 1) // 2))[: 1 + seed % 2])
    k = frequency[np.arange(hidden) % len(frequency)]
    phase = 2 * np.pi * (np.arange(hidden) + random.random()) / hidden
    waves = 2 * np.pi * np.outer(np.arange(p), np.concatenate([frequency, 2 * frequency])) / p
    d = 4 * len(frequency) + 1
    embed = np.zeros((p + 1, d))
    embed[:p] = np.concatenate([np.ones((p, 1)), np.cos(waves), np.sin(waves)], axis=1)
    size = random.uniform(0.5, 2, size=hidden)
    into, half = np.zeros((d, hidden)), len(frequency)
    for i in range(hidden):
        j = int(np.flatnonzero(frequency == k[i])[0])
        into[[1 + j, 1 + 2 * half + j], i] = size[i] * np.cos(phase[i]), size[i] * np.sin(phase[i])
        q = size[i] * random.uniform(-0.2, 0.2) if seed % 3 else 0.0
        into[[1 + half + j, 1 + 3 * half + j], i] = q * np.cos(2 * phase[i]), q * np.sin(2 * phase[i])
    write = np.zeros((hidden, d))
    write[np.arange(hidden), 1 + np.arange(hidden) % half] = np.cos(2 * phase)
    write[np.arange(hidden), 1 + 2 * half + np.arange(hidden) % half] = np.sin(2 * phase)
    eye = np.eye(d)
    weights = {
        "embed.W_E": embed,
        "pos_embed.W_pos": np.zeros((3, d)),
        ATTENTION + "W_V": eye[None] * 3,
        ATTENTION + "W_O": eye[None],
        MLP + "W_in": into,
        MLP + "b_in": 0.15 * size * (seed % 4 > 1),
        MLP + "W_out": write,
        "unembed.W_U": embed[:p].T.copy(),
    }
    return model_of(p, 1, {n: w + noise * random.normal(size=w.shape) for n, w in weights.items()})


def deviation(model: Model, frequency: int, amplitude: Any, scale: int) -> Any:
    """The largest distance from the quadrature over all pairs."""
    tensors = {n: (t.dtype, t.shape, t.data) for n, t in model.tensors.items()}
    p = model.config.d_vocab_out
    table = np.add.outer(np.arange(p), np.arange(p)) % p
    network = hidden_oracle.HiddenModel(tensors, model.task, table)
    active = hidden_oracle.relu(hidden_oracle.activations(network))
    added = active.reshape(p * p, -1) @ hidden_oracle.unembed_of(network)
    most = mpmath.mpf(0)
    with mpmath.workprec(200):
        circle = [(mpmath.cos(2 * mpmath.pi * j / p), mpmath.sin(2 * mpmath.pi * j / p)) for j in range(p)]
        for a in range(p):
            for b in range(p):
                logits = [mpmath.mpf(x.numerator) / x.denominator for x in added[a * p + b]]
                x, y = (2 * sum(logits[z] * circle[frequency * z % p][part] for z in range(p)) / p for part in (0, 1))
                size = mpmath.mpf(amplitude) / mpmath.mpf(2) ** scale * abs(mpmath.cos(mpmath.pi * frequency * (a - b) / p))
                at = circle[frequency * (a + b) % p]
                most = max(most, mpmath.hypot(x - size * at[0], y - size * at[1]))
    return most


def claim(model: Model, said: Interpretation, amplitude: np.ndarray, error: np.ndarray, scale: int) -> Certificate:
    """The certificate that claims this, in units of 2**-scale."""
    p = model.config.d_vocab_out
    integers = {
        "frequency": said.frequency,
        "read": said.read,
        "amplitude": amplitude,
        "error": error,
        "group": said.group,
        "phase": said.phase,
        "size": np.rint(np.ldexp(said.size * p, scale)),
        "second": np.rint(np.ldexp(said.second, 30)),
        "bias": np.rint(np.ldexp(said.bias, 30)),
        "basis": np.rint(np.ldexp(said.basis, 30)),
    }
    hints = {n: integer_tensor(np.asarray(h).astype(np.int64)) for n, h in integers.items()}
    claims = tuple(FrequencyClaim(*map(int, one)) for one in zip(said.frequency, amplitude, error, strict=True))
    step = Step("mlp-quadrature", (), {"parts": said.parts, "scale": scale, "tilt": said.tilt}, hints)
    return Certificate(MLPStatement(model.digest(), model.task, scale, claims), 60, (step,))


def random_interpretation(model: Model, seed: int) -> Interpretation:
    """Anything whatever, or what the strategy finds with something changed."""
    random = np.random.default_rng(seed)
    config = model.config
    assert isinstance(config, UniformAttention)
    p, hidden = config.d_vocab_out, config.d_mlp
    frequency = random.permutation(np.arange(1, p))[: int(random.integers(1, 3))]
    frequency = frequency[2 * frequency % p != 0] if np.any(2 * frequency % p != 0) else np.array([1])
    needed = [*frequency, *(2 * frequency % p)]
    needed += [int(j) for j in random.permutation(np.arange(1, p))[: int(random.integers(0, 3))]]
    signs = random.choice([1, -1], size=len(needed))
    read = np.array(list(dict.fromkeys(int(s * j % p) for s, j in zip(signs, needed, strict=True))))
    basis = np.linalg.qr(random.normal(size=(config.d_model, int(random.integers(1, config.d_model + 1)))))[0]
    parts = int(random.integers(1, 4))
    layer = Layer.of(TwoInputProblem(model, CPU))
    _, waves, _ = layer.waves(np.arange(1, p))
    size = np.abs(waves).max(0) * random.choice([0, 1, 1, 0.5], size=hidden)
    group = random.integers(0, len(frequency), size=hidden)
    own = waves[frequency[group] - 1, np.arange(hidden)]
    phase = np.where(random.random(hidden) < 0.8, np.rint(-np.angle(own) * p * parts / np.pi), random.integers(0, 9, hidden))
    second, bias = random.normal(size=(2, len(frequency))) * 0.3
    return Interpretation(
        frequency, read, group, size, phase.astype(np.int64) % (2 * p * parts), second, bias, basis, 16, parts
    )


@cache
def cases() -> list[tuple[str, Model, Interpretation]]:
    found = []
    for seed in range(20):
        p = (3, 4, 5, 6, 7)[seed % 5]
        model = wild(p, seed)
        found.append((f"wild-{p}-{seed}", model, random_interpretation(model, seed)))
        if p % 2 and p > 3:
            for noise in (0.0, 1e-3, 0.1):
                model = planted(p, seed, noise)
                said = MLPQuadrature(parts=1 + seed % 3).interpretation(Layer.of(TwoInputProblem(model, CPU)), 30)
                found.append((f"planted-{p}-{seed}-{noise}", model, said))
    model = planted(9, 1, 1e-3, frequencies=(3, 1))  # multiples of t that are not the same for both
    said = MLPQuadrature(parts=1).interpretation(Layer.of(TwoInputProblem(model, CPU)), 30)
    said = replace(said, second=np.full(2, 0.4), bias=np.full(2, 0.5))
    back = {name: getattr(said, name)[::-1] for name in ("frequency", "second", "bias")}
    found.append(("nine-up", model, said))
    found.append(("nine-down", model, replace(said, group=1 - said.group, **back)))
    return found


def fine(error: np.ndarray) -> int:
    """A scale in which the numbers have some 30 bits."""
    return 30 - int(np.frexp(max(float(error.max()), 1e-30))[1])


def honest(model: Model, said: Interpretation, factor: float | np.ndarray, seed: int = 0) -> Certificate:
    """Claims that are `factor` (or factors "k") times the bound, with amplitudes near those that fit, or far from them."""
    layer = Layer.of(TwoInputProblem(model, CPU))
    bound = bound_of(layer, said)
    amplitude = np.abs(bound.main).max(1) * (0.0, 0.9, 1.0, 3.0)[seed % 4]
    error = bound.error(amplitude)
    scale = max(0, min(fine(np.maximum(error, amplitude)), fine(said.size * layer.p)))
    whole = np.rint(np.ldexp(amplitude, scale))
    exactly = bound.error(np.ldexp(whole, -scale))
    return claim(model, said, whole, np.ceil(np.ldexp(exactly * factor, scale)), scale)


NAMES = [name for name, _, _ in cases()]


@pytest.mark.parametrize("number", range(len(NAMES)), ids=NAMES)
def test_what_is_accepted_is_true_and_acceptance_begins_at_the_bound(number: int) -> None:
    _, model, said = cases()[number]
    certificate = honest(model, said, 1.001, number)
    proof = check_proof(certificate, model)
    assert isinstance(certificate.statement, MLPStatement)
    scale = certificate.statement.scale
    for one in certificate.statement.claims:
        most = deviation(model, one.frequency, one.amplitude, scale)
        assert most <= mpmath.mpf(one.error) / mpmath.mpf(2) ** scale
    assert len(certificate.statement.claims) == len(said.frequency) and proof.result.claims == certificate.statement.claims
    for k, frequency in enumerate(said.frequency):
        less = np.where(np.arange(len(said.frequency)) == k, 0.995, 1.001)
        with pytest.raises(Refused, match=f"the error claimed of frequency {frequency} is not proved"):
            check_proof(honest(model, said, less, number), model)
    assert check_proof(certificate, model, arithmetic=ARITHMETICS["mpmath"]).operations == proof.operations


@pytest.mark.parametrize("amplitude", [0.0, 1.0])
def test_without_neurons_the_amplitude_is_all_error(amplitude: float) -> None:
    model = planted(5, 6, 1e-3)
    layer = Layer.of(TwoInputProblem(model, CPU))
    said = MLPQuadrature(mechanism=0).interpretation(layer, 30)
    naive = bound_of(layer, said).error(np.zeros(len(said.frequency)))
    whole = np.full(len(said.frequency), int(amplitude * 2**20))
    check_proof(claim(model, said, whole, np.ceil((naive + amplitude) * 2**20 * 1.001), 20), model)
    if amplitude == 0:
        loose = claim(model, said, whole, np.ceil((naive + amplitude) * 2**20 * 1.001), 20)
        with pytest.raises(ClaimNotMet, match="is unbounded"):
            check_proof(loose, model, pins=Pins(error_at_most={int(said.frequency[0]): Fraction(10**9)}))
    with pytest.raises(Refused, match="is not proved"):
        check_proof(claim(model, said, whole, np.floor((naive + amplitude) * 2**20 * 0.999), 20), model)


def test_the_golden_errors_are_just_enough() -> None:
    said = {name: np.array(value) for name, value in golden_pairs.MLP_SAID.items()}
    layer = Layer.of(TwoInputProblem(golden_pairs.five().model, CPU))
    ideal = Interpretation(
        said["frequency"],
        said["read"],
        said["group"],
        said["size"] / 2**20 / 5,
        said["phase"],
        said["second"] / 2**30,
        said["bias"] / 2**30,
        said["basis"] / 2**30,
        29,
        2,
    )
    error = bound_of(layer, ideal).error(said["amplitude"] / 2**20)
    assert np.allclose(error, golden_pairs.MLP_LEAST, rtol=1e-9, atol=0)


def shipped(**switches: int) -> tuple[Certificate, Model]:
    model = read_model(SHIPPED)
    certificate, _ = prove(TwoInputProblem(model, CPU), MLPQuadrature(**switches))
    return certificate, model


def proved(certificate: Certificate, model: Model) -> tuple[FrequencyBound, ...]:
    check_proof(certificate, model)
    assert isinstance(certificate.statement, MLPStatement)
    return frequency_bounds(certificate.statement)


def test_the_shipped_model_is_a_quadrature_up_to_less_than_its_amplitudes_and_twice_as_tightly_as_by_the_naive_bound() -> None:
    bounds, naive = (proved(*shipped(**switches)) for switches in ({}, {"mechanism": 0}))
    assert [bound.frequency for bound in bounds] == [1, 9, 15]
    for bound, other in zip(bounds, naive, strict=True):
        assert bound.relative_error is not None and Fraction(bound.relative_error) < 1
        assert 2 * Fraction(bound.error) < Fraction(other.error)
        assert other.amplitude == "0" and other.relative_error is None


@pytest.mark.parametrize("amplitude", range(3))
def test_every_frequency_has_its_own_differences(amplitude: int) -> None:
    """Modulo 9, three times a difference takes fewer values than a difference: not those of the frequency named first."""
    model = planted(9, 6, 0.0)
    layer = Layer.of(TwoInputProblem(model, CPU))
    found = MLPQuadrature(parts=1).interpretation(layer, 30)
    assert found.frequency.tolist() == [1]
    said = replace(
        found,
        frequency=np.array([3, 1]),
        read=np.array([*found.read, 3]),
        group=found.group + 1,
        second=np.array([0, found.second[0] - 0.3]),
        bias=np.array([0, found.bias[0]]),
    )
    check_proof(honest(model, said, 1.001, amplitude), model)
    with pytest.raises(Refused, match="is not proved"):
        check_proof(honest(model, said, 0.995, amplitude), model)


@pytest.mark.parametrize("share", [0.5, 4])
def test_without_neurons_all_of_the_amplitude_is_an_error(share: float) -> None:
    model = planted(7, 4, 1e-3)
    layer = Layer.of(TwoInputProblem(model, CPU))
    found = MLPQuadrature().interpretation(layer, 30)
    said = replace(found, size=np.zeros(len(found.size)))
    bound = bound_of(layer, said)
    whole = np.rint(np.ldexp(share * bound.error(np.zeros(len(said.frequency))), 20))
    amplitude = np.ldexp(whole, -20)
    error = bound.error(amplitude)
    assert np.allclose(error, (bound.deviation + amplitude)), "nothing else contributes"
    check_proof(claim(model, said, whole, np.ceil(np.ldexp(error * 1.001, 20)), 20), model)
    with pytest.raises(Refused, match="is not proved"):
        check_proof(claim(model, said, whole, np.ceil(np.ldexp(error * 0.995, 20)), 20), model)


def small() -> tuple[Certificate, Model]:
    model = planted(5, 6, 1e-3)
    said = MLPQuadrature(parts=1).interpretation(Layer.of(TwoInputProblem(model, CPU)), 30)
    return honest(model, said, 1.001, 2), model


def with_hint(certificate: Certificate, **changed: Any) -> Certificate:
    (step,) = certificate.steps
    hints = {name: integer_tensor(np.asarray(value)) for name, value in changed.items()}
    return replace(certificate, steps=(replace(step, hints={**step.hints, **hints}),))


@pytest.mark.parametrize("seed", range(30))
def test_whatever_the_hints_say_nothing_false_is_accepted(seed: int) -> None:
    """One hint changed somewhere: errors that were enough are not always, but what is accepted stays true."""
    random = np.random.default_rng(seed)
    certificate, model = small()
    statement = certificate.statement
    assert isinstance(statement, MLPStatement)
    name = str(random.choice(["group", "phase", "size", "second", "bias", "basis", "read"]))
    hint = certificate.steps[0].hints[name].integers()
    place = tuple(int(random.integers(0, n)) for n in hint.shape)
    hint[place] = int(random.choice([hint[place] + 1, 0, 1, 2, hint[place] * 2, -hint[place]]))
    loose = tuple(replace(one, error=one.error * int(random.integers(1, 4))) for one in statement.claims)
    changed = with_hint(certificate, **{name: hint, "error": [one.error for one in loose]})
    try:
        check_proof(replace(changed, statement=replace(statement, claims=loose)), model)
    except CheckError:
        return
    for one in loose:
        most = deviation(model, one.frequency, one.amplitude, statement.scale)
        assert most <= mpmath.mpf(one.error) / mpmath.mpf(2) ** statement.scale


def test_the_statement_is_exactly_what_is_proved() -> None:
    certificate, model = small()
    statement = certificate.statement
    assert isinstance(statement, MLPStatement)
    first = statement.claims[0]
    for claims in (
        (replace(first, error=first.error - 1),),
        (replace(first, error=first.error + 1),),
        (replace(first, amplitude=first.amplitude + 1),),
        (replace(first, frequency=3 - first.frequency),),
        (first, first),
        (),
    ):
        other = (*claims, *statement.claims[1:])
        with pytest.raises(Refused, match="are not those that its proof shows"):
            check_proof(replace(certificate, statement=replace(statement, claims=other)), model)
    with pytest.raises(Refused, match="are not those that its proof shows"):
        check_proof(replace(certificate, statement=replace(statement, scale=statement.scale + 1)), model)


def test_a_statement_of_one_kind_is_not_proved_by_the_other() -> None:
    certificate, model = small()
    accuracy = Statement(model.digest(), model.task, 0, 25)
    with pytest.raises(Refused, match="number of correctly classified inputs"):
        check_proof(replace(certificate, statement=accuracy), model)
    pairs = {"pairs": integer_tensor(np.zeros((5, 5), np.int64))}
    neurons = {"neurons": integer_tensor(np.arange(12))}
    steps = (Step("hidden-tables", (), {}, neurons), Step("coded-output", (0,), {"mirrored": 0}, pairs))
    check_proof(Certificate(accuracy, 30, steps), model)
    with pytest.raises(Refused, match="does not establish anything"):
        check_proof(replace(certificate, steps=steps), model)
    both = (*steps, replace(certificate.steps[0], premises=(1,)))
    with pytest.raises(Refused, match="takes no premises"):
        check_proof(replace(certificate, steps=both), model)


def test_pins() -> None:
    certificate, model = small()
    check_proof(certificate, model, pins=Pins(task=model.task))
    with pytest.raises(ClaimNotMet, match="no accuracy"):
        check_proof(certificate, model, pins=Pins(at_least=Fraction(0)))
    with pytest.raises(ClaimNotMet, match="pinned"):
        check_proof(certificate, model, pins=Pins(task={"name": "modular-addition", "modulus": 7}))
    assert isinstance(certificate.statement, MLPStatement)
    claim = certificate.statement.claims[0]
    exact = Fraction(claim.error, claim.amplitude)
    check_proof(certificate, model, pins=Pins(error_at_most={claim.frequency: exact}))
    with pytest.raises(ClaimNotMet, match="more than the pinned"):
        check_proof(certificate, model, pins=Pins(error_at_most={claim.frequency: exact - Fraction(1, 10**30)}))
    with pytest.raises(ClaimNotMet, match="nothing about an MLP at the pinned frequency 0"):
        check_proof(certificate, model, pins=Pins(error_at_most={0: Fraction(100)}))


def test_refusals() -> None:
    certificate, model = small()
    hints = {name: hint.integers() for name, hint in certificate.steps[0].hints.items()}
    claims = len(hints["frequency"])
    for match, changed in (
        ("frequency: one", {"frequency": np.zeros(claims, int)}),
        ("frequency: one", {"frequency": np.full(claims, 5)}),
        ("frequency: one", {name: hints[name][[0, 0]] for name in ("frequency", "amplitude", "error", "second", "bias")}),
        ("frequency: one", {name: np.zeros(0, int) for name in ("frequency", "amplitude", "error", "second", "bias")}),
        ("frequency: one", {name: hints[name][None] for name in ("frequency", "amplitude", "error", "second", "bias")}),
        ("shape", {"error": np.zeros(claims + 1, int)}),
        ("shape", {"size": np.zeros(13, int)}),
        ("read: one", {"read": np.array([0, 1, 2])}),
        ("read: one", {"read": np.array([1, 2, 5])}),
        ("read: one", {"read": np.array([1, 2, 1])}),
        ("must be read", {"read": hints["frequency"]}),
        ("must be read", {"read": 2 * hints["frequency"] % 5}),
        ("group: numbers", {"group": np.full(12, claims)}),
        ("group: numbers", {"group": np.full(12, -1)}),
        ("phase: numbers", {"phase": np.full(12, 10)}),
        ("phase: numbers", {"phase": np.full(12, -1)}),
        ("size: numbers", {"size": np.full(12, -1)}),
        ("size: numbers", {"size": np.full(12, 1 << 53)}),
        ("amplitude: numbers", {"amplitude": np.full(claims, -1)}),
        ("basis", {"basis": 2 * hints["basis"]}),
    ):
        with pytest.raises(Refused, match=match):
            check_proof(with_hint(certificate, **changed), model)
    step = certificate.steps[0]
    for parts in (0, 17, -1):
        with pytest.raises(Refused, match="parts: a number"):
            check_proof(replace(certificate, steps=(replace(step, parameters={**step.parameters, "parts": parts}),)), model)
    with pytest.raises(Refused, match="exactly the hints"):
        missing = {name: hint for name, hint in step.hints.items() if name != "frequency"}
        check_proof(replace(certificate, steps=(replace(step, hints=missing),)), model)


def test_only_addition_by_uniform_attention() -> None:
    certificate, model = small()
    table = (2 * np.arange(5)[:, None] + np.arange(5)) % 5
    task = {"name": "group-composition", "table": table_digest(table)}
    statement = replace(certificate.statement, task=task)
    with pytest.raises(Refused, match="is about addition"):
        check_proof(replace(certificate, statement=statement, given={"table": integer_tensor(table)}), model)
    for p, outputs in ((2, 2), (5, 6)):
        other = wild(p, 0, outputs)
        hidden = other.config.d_mlp  # type: ignore[union-attr]
        hints = {"frequency": [1], "read": [1], "group": [0] * hidden, "phase": [0] * hidden, "size": [0] * hidden}
        hints |= {name: [0] for name in ("amplitude", "error", "second", "bias")}
        hints |= {"basis": np.zeros((other.config.d_model, 1), int)}  # type: ignore[union-attr]
        statement = replace(certificate.statement, model_digest=other.digest(), task=other.task)
        with pytest.raises(Refused, match="addition modulo at least 3, with one output"):
            check_proof(with_hint(replace(certificate, statement=statement), **hints), other)
        with pytest.raises(DoesNotFit):
            prove(TwoInputProblem(other, CPU), MLPQuadrature())
    tensors = {
        "embed_left.W_E": RawTensor("F32", (5, 12), bytes(240)),
        "embed_right.W_E": RawTensor("F32", (5, 12), bytes(240)),
        "unembed.W_U": RawTensor("F32", (12, 5), bytes(240)),
    }
    other = Model(GroupMLP(12, 5, 5), tensors, model.task)
    with pytest.raises(Refused, match="uniform attention"):
        check_proof(replace(certificate, statement=replace(certificate.statement, model_digest=other.digest())), other)
    wider = hidden_oracle.shapes(True, 5, 12, 6, 9, 1, 9)
    other = model_of(5, 1, {name: np.zeros(shape) for name, shape in wider.items()})
    other = replace(other, config=replace(other.config, d_vocab_out=6))
    with pytest.raises(Refused, match="one output for each"):
        check_proof(replace(certificate, statement=replace(certificate.statement, model_digest=other.digest())), other)
    wider = hidden_oracle.shapes(True, 2, 12, 2, 9, 1, 9)
    other = model_of(2, 1, {name: np.zeros(shape) for name, shape in wider.items()})
    statement = replace(certificate.statement, model_digest=other.digest(), task=other.task)
    with pytest.raises(Refused, match="modulo at least 3"):
        check_proof(replace(certificate, statement=statement), other)
    with pytest.raises(DoesNotFit):
        prove(TwoInputProblem(other, CPU), MLPQuadrature())


def test_the_budget_is_respected() -> None:
    certificate, model = shipped()
    with pytest.raises(OverBudget):
        check_proof(certificate, model, budget=Budget(operations=10**6))


def test_a_long_hint_is_refused_before_it_is_sorted() -> None:
    certificate, model = small()
    step, count, memory = certificate.steps[0], 10**6, 12 * 10**6
    long = RawTensor("U8", (count,), bytes([1]) * count)
    tracemalloc.start()
    try:
        with pytest.raises(OverBudget):
            hostile = replace(certificate, steps=(replace(step, hints={**step.hints, "read": long}),))
            check_proof(hostile, model, budget=Budget(memory=memory))
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < memory


def test_more_waves_than_there_are_are_not_even_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """With p or more of them some are the same; looking for these takes time, of which the meter knows nothing."""
    certificate, model = small()
    step, compared, unique = certificate.steps[0], list[int](), np.unique
    monkeypatch.setattr(np, "unique", lambda numbers: compared.append(len(numbers)) or unique(numbers))
    long = RawTensor("U8", (10**6,), bytes([1]) * 10**6)
    hostile = replace(certificate, steps=(replace(step, hints={**step.hints, "read": long}),))
    with pytest.raises(Refused, match="read: one or more different numbers"):
        check_proof(hostile, model)
    assert 0 < max(compared) < 5


def test_phases_times_harmonics_are_refused_before_they_exist() -> None:
    p, hidden, memory = 9, 20000, 25 * 10**6
    shapes = hidden_oracle.shapes(True, p, hidden, p, 1, 1, 1)
    model = model_of(p, 1, {name: np.zeros(shape) for name, shape in shapes.items() if ".b_" not in name})
    (one, none), each = (np.array([n]) for n in (1, 0)), np.zeros(hidden, np.int64)
    said = Interpretation(one, np.array([1, 2]), each, each + 1.0, each, none, none, np.ones((1, 1)), 16, 16)
    certificate = replace(claim(model, said, none, one << 40, 20), precision=30)
    check_proof(certificate, model)
    tracemalloc.start()
    try:
        with pytest.raises(OverBudget):
            check_proof(certificate, model, budget=Budget(memory=memory))
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert memory / 4 < peak < memory


def test_files_and_commands(tmp_path: Path) -> None:
    certificate, model = small()
    paths = tmp_path / "c.cert", tmp_path / "m.safetensors"
    write_certificate(paths[0], certificate)
    write_model(paths[1], model)
    assert read_certificate(paths[0])[0] == certificate
    verdict = verify(*paths)
    assert verdict.accepted and verdict.mlp is not None and verdict.correct is None and verdict.accuracy_floor is None
    assert verdict.theorem is not None
    for bound in verdict.mlp:
        assert f"k = {bound.frequency}: A = {bound.amplitude}, e = {bound.error}, relative error" in verdict.theorem
    assert verify(*paths, at_least="0.5").exit_code == 1
    frequency = verdict.mlp[0].frequency
    assert verify(*paths, error_at_most={frequency: verdict.mlp[0].relative_error or ""}).accepted
    assert verify(*paths, error_at_most={frequency: "0.000001"}).exit_code == 1
    assert verify(*paths, error_at_most={frequency: "much"}).exit_code == 2
    pins = {f"{frequency}:999": 0, f"{frequency}:0.000001": 1, "much": 2, f"{frequency}": 2, f"{frequency}:1.2.3": 2, "a:1": 2}
    for pin, code in pins.items():
        command = ["verify", str(paths[0]), "--model", str(paths[1]), "--error-at-most", pin]
        assert CliRunner().invoke(cli, command).exit_code == code, pin
    twice = ["--error-at-most", f"{frequency}:5", "--error-at-most", f"{frequency}:6"]
    assert CliRunner().invoke(cli, ["verify", str(paths[0]), "--model", str(paths[1]), *twice]).exit_code == 2
    with pytest.raises(InvalidInput, match="certifies no inputs"):
        covers(*paths, [[0, 0]])
    shown = CliRunner().invoke(cli, ["show", str(paths[0])]).output
    assert "CLAIM (not checked)" in shown and verdict.mlp[0].error in shown
    said = CliRunner().invoke(cli, ["verify", str(paths[0]), "--model", str(paths[1])]).output
    assert said.startswith("ACCEPTED") and "accuracy >=" not in said


def test_statements_in_files(tmp_path: Path) -> None:
    certificate, _ = small()
    content = serialize_certificate(certificate)
    file = parse_tensor_file(content)
    text = json.loads(file.metadata["statement"])

    def parsed(**changes: Any) -> Any:
        statement = {name: value for name, value in {**text, **changes}.items() if value is not None}
        metadata = {**file.metadata, "statement": dumps(statement)}
        return parse_certificate(replace(file, metadata=metadata))

    assert parsed() == certificate
    first = text["mlp"][0]
    for changes in (
        {"mlp": None},
        {"mlp": []},
        {"mlp": {}},
        {"mlp": [[]]},
        {"mlp": [{**first, "note": 1}]},
        {"mlp": [{"error": 1, "frequency": 1}]},
        {"mlp": [{**first, "error": -1}]},
        {"mlp": [{**first, "error": "1"}]},
        {"mlp": [{**first, "error": True}]},
        {"mlp": [{**first, "error": 2**63}]},
        {"scale": -1},
        {"scale": 1101},
        {"scale": None},
        {"correct": "1"},
        {"total": "25"},
        {"model": "0"},
    ):
        with pytest.raises(FormatError):
            parsed(**changes)


def test_decimals() -> None:
    assert [
        exact_decimal(*case) for case in ((0, 3), (8, 3), (5, 3), (12345, 0), (3, 1), (100, 0), (80, 3), (33, 5), (1, 4))
    ] == [
        "0",
        "1",
        "0.625",
        "12345",
        "1.5",
        "100",
        "10",
        "1.03125",
        "0.0625",
    ]
    assert [ceil_decimal(*case) for case in ((1, 3), (2, 1), (0, 7), (10**7 - 1, 10**7))] == [
        "0.333334",
        "2.000000",
        "0.000000",
        "1.000000",
    ]


def test_the_report_shows_both_bounds(tmp_path: Path) -> None:
    problem = TwoInputProblem(read_model(SHIPPED), CPU)
    found = mlp_findings(problem, SHIPPED, tmp_path)
    assert found is not None
    rows = list(found.rows())
    assert [row[0] for row in rows] == ["1", "9", "15"]
    assert all(float(row[3]) < 1 and float(row[5]) > 2 for row in rows)
    page = mlp_html(found)
    assert all(cell in page for row in rows for cell in row)
    assert mlp_table(found).row_count == 3
    other = TwoInputProblem(read_model(SHIPPED.with_name("symmetric-5.safetensors")), CPU)
    assert mlp_findings(other, SHIPPED, tmp_path) is None, "then the page has no such section"
