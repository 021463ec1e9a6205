"""The extracted checker on networks on two inputs: against the checker in Python, and against fractions.

As in test_extracted, it may accept what the checker in Python does not only for what it can show beyond that.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from itertools import chain
from pathlib import Path

import golden_pairs
import mutate
import numpy as np
import pair_oracle
import pytest
from golden_pairs import PairSubject, hidden, pairs_step
from test_extracted import MUTANTS, asked, judged_alike, pytestmark
from test_pair_attacks import FAMILIES, PairBase

from certificates import RawTensor, write_certificate
from checker import verify

__all__ = ["pytestmark"]
BASES = (
    *("evaluated", "given", "uniform", "bases", "factors", "uniform-factors"),
    *("structured", "structured-symmetric", "sets", "sets-by-table"),
)
"""Certificates (tests/layers/test_pair_attacks) by rules that have theorems in Coq."""


@pytest.mark.parametrize("name", BASES)
def test_mutants_are_judged_alike(name: str, tmp_path: Path) -> None:
    base = PairBase.of(name)
    each = -(-MUTANTS // (2 * len(BASES) * len(FAMILIES)))  # half as many as about transformers
    mutants = (mutate.sample(family(base), each, seed=number) for number, (family, _) in enumerate(FAMILIES))
    reasons = ("its proof shows", "is not proved", "may have been counted")
    outcomes = judged_alike(chain.from_iterable(mutants), tmp_path, reasons)
    assert outcomes["True 0"] and outcomes["False 1"] + outcomes["False 2"] > 5, outcomes


@pytest.mark.parametrize(("name", "architecture"), [("sets", "mlp"), ("bases", "uniform")])
def test_a_verdict_names_the_theorem(name: str, architecture: str, tmp_path: Path) -> None:
    base = PairBase.of(name)
    mutate.put(tmp_path / "cert", base.document.content())
    mutate.put(tmp_path / "model", base.model)
    verdict = verify(tmp_path / "cert", tmp_path / "model", verified=True)
    assert verdict.accepted and verdict.verified and verdict.verified.theorem == f"count_{architecture}_pairs_sound"


def _weights(rng: random.Random, shapes: Mapping[str, tuple[int, ...]], unit: float) -> dict[str, RawTensor]:
    """Small multiples of a unit, so that there are ties; some biases are absent."""
    tensors: dict[str, RawTensor] = {}
    for name, shape in shapes.items():
        if not (".b_" in name and rng.random() < 0.4):
            values = np.array([unit * rng.randint(-3, 3) for _ in range(int(np.prod(shape)))]).reshape(shape)
            tensors |= golden_pairs.stored({name: values}, rng.choice(("F16", "F32", "F64")))
    return tensors


def _mlp(rng: random.Random) -> dict[str, RawTensor]:
    n, m = rng.randint(2, 4), rng.randint(1, 4)
    outputs = n + rng.randint(0, 2)
    shapes = {"embed_left.W_E": (n, m), "embed_right.W_E": (n, m), "mlp.b_in": (m,), "unembed.W_U": (m, outputs)}
    return _weights(rng, shapes | {"unembed.b_U": (outputs,)}, 1 / 4)


def _uniform(rng: random.Random) -> dict[str, RawTensor]:
    """Token "=", positions and residual stream in multiples of 3, so that means over three positions are dyadic numbers."""
    n, d, heads, head, m = rng.randint(2, 3), rng.randint(1, 3), rng.randint(1, 2), rng.randint(1, 2), rng.randint(1, 3)
    outputs = n + rng.randint(0, 2)
    attention, mlp = golden_pairs.ATTENTION, golden_pairs.MLP
    inner = {"embed.W_E": (n + 1, d), "pos_embed.W_pos": (3, d)}
    shapes = {
        f"{attention}W_V": (heads, d, head),
        f"{attention}b_V": (heads, head),
        f"{attention}W_O": (heads, head, d),
        f"{attention}b_O": (d,),
        f"{mlp}W_in": (d, m),
        f"{mlp}b_in": (m,),
        f"{mlp}W_out": (m, d),
        f"{mlp}b_out": (d,),
        "unembed.W_U": (d, outputs),
        "unembed.b_U": (outputs,),
    }
    return _weights(rng, inner, 3 / 4) | _weights(rng, shapes, 1 / 2)


@pytest.mark.parametrize("network", [_mlp, _uniform])
@pytest.mark.parametrize("seed", range(40))
def test_it_counts_just_what_fractions_do(
    network: Callable[[random.Random], dict[str, RawTensor]], seed: int, tmp_path: Path
) -> None:
    """With no margin; with margins that some pairs meet exactly, and do not exceed; and with one a little smaller."""
    rng = random.Random(seed)
    tensors = network(rng)
    n = PairSubject(tensors, None).config.input_shape[1]
    table = np.array([[rng.randrange(n) for _ in range(n)] for _ in range(n)])
    subject = golden_pairs.with_table(PairSubject(tensors, None), table)
    mutate.put(tmp_path / "model", subject.file())
    certificate = subject.claim(0, hidden(range(subject.config.d_mlp)), pairs_step(np.ones((n, n), np.int64)))
    values = pair_oracle.logits(tensors)
    leads = {values[a, b, table[a, b]] - np.delete(values[a, b], table[a, b]).max() for a, b in np.ndindex(n, n)}
    met = [lead for lead in leads if lead > 0 and lead.denominator & (lead.denominator - 1) == 0]
    for margin in {Fraction(0), *met, *(lead - Fraction(1, 2**20) for lead in met)}:
        write_certificate(tmp_path / "cert", replace(certificate, statement=replace(certificate.statement, margin=margin)))
        status, answer = asked(tmp_path / "cert", tmp_path / "model")
        assert status == 0 and int(answer["established"]) == int(pair_oracle.right(tensors, table, margin).sum())
