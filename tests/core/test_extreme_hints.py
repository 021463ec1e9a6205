"""Numbers at the edge of 64 bits, in every hint of every rule: absolute values and differences of some would overflow."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import make_golden
import numpy as np
import pytest
from thorough import THOROUGH

from certificates import Certificate, FormatError, RawTensor, Statement, read_model
from certificates.certificate import read_certificate
from checker import Budget
from checker.core.errors import CheckError
from checker.decide import check_proof
from checker.reporting.coverage import shows

FOLDER = make_golden.FOLDER
CASES: list[dict[str, Any]] = [one for one in json.loads((FOLDER / "verdicts.json").read_text()) if one["accepted"]]
TRIED = CASES if THOROUGH else CASES[::3]
BEYOND, WITHIN = (-(2**63), 2**62), (2**62 - 1, 1 - 2**62)


def certificate_of(case: dict[str, Any]) -> Certificate:
    return read_certificate(FOLDER / case["certificate"])[0]


def about(case: dict[str, Any]) -> str:
    """What is the same for certificates that count the same inputs."""
    statement = certificate_of(case).statement
    return json.dumps([case["model"], str(statement.task), str(getattr(statement, "margin", ""))])


MOST = {about(case): 0 for case in CASES}
for one in CASES:
    MOST[about(one)] = max(MOST[about(one)], int(one["correct"] or 0))


def with_number(certificate: Certificate, numbers: tuple[int, ...]) -> Iterator[Certificate]:
    """One number of a hint in place of another: the first and the last of each hint, at a precision beyond machine integers."""
    for index, step in enumerate(certificate.steps):
        for name, tensor in step.hints.items():
            for place in {0, tensor.integers().size - 1} if tensor.integers().size else ():
                for number in numbers:
                    values = tensor.integers().copy()
                    values.reshape(-1)[place] = number
                    hints = {**step.hints, name: RawTensor("I64", values.shape, values.astype("<i8").tobytes())}
                    steps = [*certificate.steps[:index], replace(step, hints=hints), *certificate.steps[index + 1 :]]
                    yield replace(certificate, precision=64, steps=tuple(steps))


@pytest.mark.parametrize("case", TRIED, ids=lambda case: case["certificate"])
def test_numbers_that_could_overflow_are_refused(case: dict[str, Any]) -> None:
    model = read_model(FOLDER / case["model"])
    for certificate in with_number(certificate_of(case), BEYOND):
        with pytest.raises(CheckError, match=r"not less than 2\*\*62"):
            check_proof(certificate, model)


@pytest.mark.parametrize("case", TRIED, ids=lambda case: case["certificate"])
def test_other_large_numbers_prove_nothing_more(case: dict[str, Any]) -> None:
    """Than the golden corpus proves of the model and task in the best case; and are no error of the checker."""
    model, statement = read_model(FOLDER / case["model"]), certificate_of(case).statement
    if not isinstance(statement, Statement):
        return
    for certificate in with_number(certificate_of(case), WITHIN):
        try:
            shown = shows(certificate, model, Budget())
        except (CheckError, FormatError):
            continue
        assert shown <= MOST[about(case)]


def test_the_hole_that_there_was() -> None:
    """`numbers` of -2^63 passed a look at their absolute values: sums along edges no longer added up to their ends."""
    (case,) = [one for one in json.loads((FOLDER / "verdicts.json").read_text()) if "number-extreme" in one["certificate"]]
    assert not case["accepted"] and certificate_of(case).precision == 64
    assert np.any(next(step for step in certificate_of(case).steps if step.hints).hints["numbers"].integers() == -(2**63))
