"""Executions in floating point, in the extracted checker: its bound is just below the rule's, and simulated runs keep to it."""

import itertools
import random
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import chain
from pathlib import Path

import make_golden
import mutate
import numpy as np
import oracle
import pytest
import torch
from golden_pairs import PairSubject, hidden, pairs_step, subjects
from golden_statements import execution
from mutate import Base, Document, Mutant
from test_extracted import GOLDEN, MUTANTS, asked, judged_alike, pytestmark
from test_float_execution import EXACTLY, Execution, _as_float32, executed
from test_statement_attacks import mutants
from test_theorems import as_model

from certificates import Certificate, Model, RawTensor, Statement, read_certificate, write_certificate, write_model
from certificates.writing import serialize_certificate
from checker import verify
from prover.attention.sequence_problem import SequenceProblem
from prover.deployed import FORMATS, required_margin
from prover.proving import deployable, prove
from prover.strategies import ATTENTION_STRATEGIES

__all__ = ["pytestmark"]


def _deployed(model: Model, strategy: str, name: str = "float32") -> Certificate:
    problem = deployable(SequenceProblem(model, torch.device("cpu")), name)
    return prove(problem, ATTENTION_STRATEGIES[strategy].with_settings({}), name)[0]


def _tiny(seed: int) -> Model:
    """Of float32 weights."""
    model = as_model(oracle.random_model(seed, kinds=("maximum", "noise"), largest=260))
    return replace(model, tensors={name: RawTensor("F32", t.shape, _as_float32(t)) for name, t in model.tensors.items()})


def _decimal(number: float, digits: int) -> Fraction:
    """Rounded up to so many significant digits."""
    exact, unit = Fraction(number), Fraction(1)
    while exact < 10 ** (digits - 1) * unit:
        unit /= 10
    while exact >= 10**digits * unit:
        unit *= 10
    return -(-exact // unit) * unit


def _of_pairs(subject: PairSubject, name: str, margin: Fraction) -> Certificate:
    """A claim about no pair, but that the margin is enough."""
    n = subject.config.input_shape[1]
    none = pairs_step(np.zeros((n, n), np.int64))
    proof = subject.claim(0, hidden(range(subject.config.d_mlp)), none, execution(FORMATS[name].number))
    return make_golden.with_statement(replace(proof, precision=80), margin=margin, deployed=name)


def _nothing(model: Model, name: str, margin: Fraction) -> Certificate:
    """A claim about no input, but that the margin is enough."""
    config = model.config
    steps = (make_golden.TABLES, make_golden.everything(config.d_vocab, config.n_ctx), execution(FORMATS[name].number))
    total = config.d_vocab**config.n_ctx
    return Certificate(Statement(model.digest(), make_golden.TASK, 0, total, margin, deployed=name), 80, steps)


class Asked:
    """Whether a margin is enough, of both checkers."""

    def __init__(self, folder: Path, model: Model, name: str) -> None:
        self.folder, self.model, self.name = folder, model, name
        write_model(folder / "model", model)

    def __call__(self, margin: Fraction) -> tuple[bool, bool]:
        return self.of(_nothing(self.model, self.name, margin))

    def of(self, certificate: Certificate) -> tuple[bool, bool]:
        """Of a certificate that claims no inputs."""
        write_certificate(self.folder / "cert", certificate)
        status, answer = asked(self.folder / "cert", self.folder / "model")
        assert status == 0 or (status == 1 and "margin" in answer["refused"])
        verdict = verify(self.folder / "cert", self.folder / "model")
        assert verdict.accepted or "its proof shows" in verdict.reason or "margin is not proved" in verdict.reason
        return status == 0, "margin is not proved" not in verdict.reason


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("seed", [0, 1, 2, 3, 5, 6, 7, 8])  # in 4, numbers are so large that the rule sees them overflow
def test_the_bound_is_hardly_below_that_of_the_rule(seed: int, name: str, tmp_path: Path) -> None:
    """What the prover asks for is enough in both, and 0.7 of it in neither."""
    model = _tiny(seed)
    asked_for, enough = required_margin(model, name), Asked(tmp_path, model, name)
    assert enough(asked_for) == (True, True)
    assert enough(_decimal(float(asked_for) * 0.7, 12)) == (False, False)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("subject", ["sums", "uniform-plain", "uniform", "attending", "sums-untied"])
def test_so_it_is_for_networks_on_two_inputs(subject: str, name: str, tmp_path: Path) -> None:
    network = subjects()[subject]
    model = network.model
    if model.tensors["unembed.W_U"].dtype == "F64" and name != "float64":
        pytest.skip("weights of more bits than the format has")
    asked_for, enough = required_margin(model, name), Asked(tmp_path, model, name)
    assert enough.of(_of_pairs(network, name, asked_for)) == (True, True)
    assert enough.of(_of_pairs(network, name, _decimal(float(asked_for) * 0.7, 12))) == (False, False)


@pytest.mark.parametrize("seed", range(3))
def test_simulated_executions_keep_to_the_bound(seed: int, tmp_path: Path) -> None:
    """In float64, all roundings by 2^-24 up or down, or by anything between."""
    model = _tiny(seed)
    enough = Asked(tmp_path, model, "float32")
    low, high = Fraction(0), required_margin(model, "float32")
    while high - low > high / 100:
        middle = _decimal(float((low + high) / 2), 6)
        low, high = (low, middle) if enough(middle)[0] else (middle, high)
    config = model.config
    tokens = np.array(list(itertools.product(range(config.d_vocab), repeat=config.n_ctx)))
    real, most = executed(model, EXACTLY, tokens), 0.0
    for number in range(8):
        push = (None, None, 1.0, -1.0, 0.5, None, 1.0, -1.0)[number]
        run = Execution(np.random.default_rng(number), push, 2.0**-24)
        most = max(most, float(np.abs(executed(model, run, tokens) - real).max()))
    assert 0.005 < most / float(high / 2) < 1


@pytest.mark.parametrize("strategy", ["brute-force", "classes", "thresholds", "exact"])
def test_a_verdict_names_the_theorem(strategy: str, tmp_path: Path) -> None:
    model = mutate._constructed(5, 4, 1.75)
    for name in ("float32", "float64"):
        certificate = _deployed(model, strategy, name)
        write_model(tmp_path / "model", model)
        write_certificate(tmp_path / "cert", certificate)
        verdict = verify(tmp_path / "cert", tmp_path / "model", verified=True)
        assert verdict.accepted and verdict.verified and verdict.verified.theorem.startswith("deployed_")


@pytest.mark.parametrize("dtype", ["BF16", "F16", "F64"])
def test_weights_of_more_bits_than_the_format_are_refused(dtype: str, tmp_path: Path) -> None:
    config = _tiny(0).config
    widths = {"BF16": 2, "F16": 2, "F64": 8}
    shapes = config.tensor_shapes()
    zeros = {name: RawTensor(dtype, shape, bytes(widths[dtype] * int(np.prod(shape)))) for name, shape in shapes.items()}
    model = Model(config, zeros, None)
    write_model(tmp_path / "model", model)
    write_certificate(tmp_path / "cert", _nothing(model, "float32", Fraction(1)))
    status, _ = asked(tmp_path / "cert", tmp_path / "model")
    assert (status == 0) == verify(tmp_path / "cert", tmp_path / "model").accepted == (dtype != "F64")


@pytest.mark.parametrize(
    ("name", "model"), [("", "small"), ("pairs-", "pairs-sums"), ("pairs-uniform-", "pairs-uniform-plain")]
)
def test_statements_are_judged_alike(name: str, model: str, tmp_path: Path) -> None:
    """Mutants of margins, formats, parameters and steps."""
    certificate, _ = read_certificate(GOLDEN / f"{name}execution.cert")
    content, rng = (GOLDEN / f"{model}.safetensors").read_bytes(), random.Random(1)
    changed = (mutant for mutant, _ in zip(mutants(rng, certificate), range(60), strict=False))
    reasons = ("its proof shows", "is not proved correct", "may have been counted", "may overflow")
    outcomes = judged_alike((Mutant("statement", serialize_certificate(one), content) for one in changed), tmp_path, reasons)
    assert outcomes["True 0"] > 3 and outcomes["False 1"] > 10, outcomes


def test_mutants_are_judged_alike(tmp_path: Path) -> None:
    model = mutate._constructed(4, 3)
    certificate = _deployed(model, "classes")
    base = Base("deployed", mutate._file_of(model), Document.of(serialize_certificate(certificate)))
    families = (*mutate.STRUCTURED, *mutate.DAMAGED)
    each = -(-MUTANTS // (8 * len(families)))
    of_files = (mutate.sample(family(base), each, seed=number) for number, family in enumerate(families))

    def of_statements() -> Iterator[Mutant]:
        rng = random.Random(0)
        for mutant, _ in zip(mutants(rng, certificate), range(each), strict=False):
            yield Mutant("statement", serialize_certificate(mutant), base.model)

    reasons = ("its proof shows", "is not proved correct", "may have been counted", "may overflow")
    outcomes = judged_alike(chain(of_statements(), *of_files), tmp_path, reasons)
    assert outcomes["True 0"] > 3 and outcomes["False 1"] > 10, outcomes
