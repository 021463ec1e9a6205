"""Certificates with automata, margins and executions, mutated: what is still accepted is true, whatever number it comes to."""

import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import oracle
import pytest
from golden_statements import digest
from test_golden import FOLDER, Labelled, labelled

from certificates import (
    AttentionOnly,
    Certificate,
    FormatError,
    Model,
    RawTensor,
    Statement,
    integer_tensor,
    read_certificate,
    read_model,
)
from certificates.automaton import TABLES, Automaton
from certificates.certificate import parse_certificate
from certificates.tensor_file import parse_tensor_file
from certificates.writing import serialize_certificate
from checker.core.errors import CheckError
from checker.core.facts import CertifiedInputs
from checker.decide import Proof, check_proof

BASES = (
    "automaton",
    "automaton-order",
    "automaton-by-step",
    "automaton-further",
    "automaton-skip",
    "margin-enumeration",
    "execution",
)
SHOWN = re.compile(r"its proof shows ([0-9]+)$")


def changed(rng: random.Random, tensor: RawTensor) -> RawTensor:
    """A tensor of integers with an entry, a row or two entries changed."""
    values = tensor.integers().copy()
    if values.size:
        index = tuple(rng.randrange(size) for size in values.shape)
        other = tuple(rng.randrange(size) for size in values.shape)
        kind = rng.randrange(4)
        if kind == 0:
            values[index], values[other] = values[other], values[index]
        elif kind == 1:
            values[index] += rng.choice((-1, 1))
        elif kind == 2:
            values[index] = rng.choice((-1, 0, 1, values.max()))
        else:
            values[index[0]] = values[other[0]]
    return integer_tensor(values)


def with_automaton(certificate: Certificate, tables: Mapping[str, RawTensor]) -> Certificate:
    """The same proof about another automaton, whose digest and number of inputs are stated as they are."""
    arrays = {name: table.integers() for name, table in tables.items()}
    try:
        total = Automaton.of(**arrays).count()
    except FormatError:
        total = certificate.statement.total
    statement = replace(certificate.statement, task=digest(arrays), total=total)
    return replace(certificate, statement=statement, given=tables)


def mutants(rng: random.Random, good: Certificate) -> Iterator[Certificate]:
    """Endlessly: one or two changes each."""
    while True:
        mutant = good
        for _ in range(rng.randint(1, 2)):
            kind, statement = rng.randrange(6), mutant.statement
            assert isinstance(statement, Statement)
            if kind == 0 and mutant.given:
                name = rng.choice(sorted(TABLES))
                mutant = with_automaton(mutant, {**mutant.given, name: changed(rng, mutant.given[name])})
            elif kind == 1:
                margin = rng.choice(
                    (Fraction(0), statement.margin * 2, statement.margin / 2, Fraction(rng.randrange(2000), 1000))
                )
                mutant = replace(mutant, statement=replace(statement, margin=margin))
            elif kind == 2:
                deployed = rng.choice((None, "float32", "float64", "tf32"))
                mutant = replace(mutant, statement=replace(statement, deployed=deployed))
            elif kind == 3 and len(mutant.steps) > 1:
                steps = list(mutant.steps)
                at = rng.randrange(len(steps))
                step = steps[at]
                if step.hints:
                    name = rng.choice(sorted(step.hints))
                    steps[at] = replace(step, hints={**step.hints, name: changed(rng, step.hints[name])})
                elif step.parameters:
                    steps[at] = replace(step, parameters={name: rng.randrange(-1, 5) for name in step.parameters})
                mutant = replace(mutant, steps=tuple(steps))
            elif kind == 4 and len(mutant.steps) > 2:
                mutant = replace(mutant, steps=mutant.steps[:-1])
            elif kind == 5:
                mutant = replace(mutant, precision=rng.choice((12, 20, 31, 64)))
        yield mutant


def proved(certificate: Certificate, model: Model) -> Proof | None:
    """The proof, through the file's bytes, of the number that it comes to, if of any."""
    for _ in range(2):
        try:
            parsed = parse_certificate(parse_tensor_file(serialize_certificate(certificate)))
            return check_proof(parsed, model)
        except (CheckError, FormatError) as error:
            shown = SHOWN.search(str(error))
            if shown is None:
                return None
            certificate = replace(certificate, statement=replace(certificate.statement, correct=int(shown[1])))
    return None


@cache
def model_of(name: str) -> Model:
    return read_model(FOLDER / name)


def assert_true(proof: Proof) -> int:
    """Every input that is counted is one, and leads by more than the margin; the number of those counted."""
    certificate, config = proof.certificate, proof.model.config
    assert isinstance(config, AttentionOnly) and isinstance(proof.result, CertifiedInputs)
    statement: Any = certificate.statement
    tensors = {name: (t.dtype, t.shape, t.data) for name, t in proof.model.tensors.items()}
    sizes = (config.d_vocab, config.n_ctx, config.d_model, config.d_head, config.d_vocab_out)
    own = bool(certificate.given)
    tiny = Labelled(*sizes, tensors, certificate=certificate) if own else oracle.TinyModel(*sizes, tensors)
    truth = oracle.truth(tiny, statement.margin)
    inputs = np.array([not own or labelled(certificate, row) >= 0 for row in truth.tokens.tolist()])
    covered = proof.result.covers(truth.tokens)
    assert not np.any(covered & ~(truth.correct & inputs)), statement
    assert proof.result.correct == statement.correct == covered.sum() and statement.total == inputs.sum()
    return int(covered.sum())


@pytest.mark.parametrize("name", BASES)
def test_no_mutant_gets_a_false_claim_accepted(name: str) -> None:
    good, _ = read_certificate(FOLDER / f"{name}.cert")
    rng, stages = random.Random(name), Counter[str]()
    for mutant in (mutant for mutant, _ in zip(mutants(rng, good), range(120), strict=False)):
        proof = proved(mutant, model_of("small.safetensors"))
        stages["refused" if proof is None else "accepted"] += 1
        if proof is not None and stages["accepted"] <= 40:
            assert_true(proof)
    assert stages["accepted"] > 5 and stages["refused"] > 10, stages
