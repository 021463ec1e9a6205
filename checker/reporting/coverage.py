"""Which inputs does a certificate certify, and by which step? How many does its proof show, whatever it claims?"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from certificates.certificate import Certificate, read_certificate
from certificates.model_file import Model, read_model
from certificates.tensor_file import IntArray
from checker.core.errors import InvalidInput, OtherNumber
from checker.core.facts import CertifiedInputs
from checker.core.meter import Budget
from checker.decide import check_proof


def shows(certificate: Certificate, model: Model, budget: Budget) -> int:
    """The number of correct inputs that the proof shows, which the statement may not yet claim.

    Raises CheckError or FormatError if the certificate is not accepted for another reason.
    """
    try:
        result = check_proof(certificate, model, budget=budget).result
    except OtherNumber as error:
        return error.shown
    if not isinstance(result, CertifiedInputs):
        raise InvalidInput("the certificate is about an MLP: it certifies no inputs")
    return result.correct


def covers(certificate: Path | str, model: Path | str, inputs: Sequence[Sequence[int]] | IntArray) -> IntArray:
    """For each input (shape "n k"), the proof step that certifies it, or -1. Checks the whole certificate first.

    Raises CheckError or FormatError if the certificate is not accepted or an input is not one of the task.
    """
    parsed_model = read_model(Path(model))
    proof = check_proof(read_certificate(Path(certificate))[0], parsed_model)
    if not isinstance(proof.result, CertifiedInputs):
        raise InvalidInput("the certificate is about an MLP: it certifies no inputs")
    task = proof.task
    try:
        tokens = np.asarray(inputs)
    except ValueError as error:  # rows of different lengths
        raise InvalidInput(f"an input is {task.n_ctx} integers") from error
    if tokens.ndim != 2 or tokens.shape[1] != task.n_ctx or tokens.dtype.kind not in "iu":
        raise InvalidInput(f"an input is {task.n_ctx} integers")
    if np.any(tokens < 0) or np.any(tokens >= task.d_vocab):
        raise InvalidInput(f"tokens lie between 0 and {task.d_vocab - 1}")
    numbers = task.numbered(tokens.astype(np.int64))
    step = np.full(len(tokens), -1)
    for index, fact in enumerate(proof.facts):
        # Steps that add to earlier ones cover what those cover: the first is the one to name.
        if isinstance(fact, CertifiedInputs):
            step[fact.covers(numbers) & (step == -1)] = index
    return step
