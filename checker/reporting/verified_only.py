"""A verdict by the checker that is extracted from Coq (checker/verified), asked alone: none of the rules in Python is used.

Python only starts it, compares what it accepted with what the verifier pinned, and says what came out. Numpy is not needed.
"""

import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from certificates.canonical_json import Json, dumps
from certificates.errors import FormatError
from checker.core.errors import CheckError, ClaimNotMet, InvalidInput
from checker.reporting.decimals import floor_decimal, parse_accuracy, parse_decimal
from checker.reporting.outcome import Verdict, elapsed
from checker.reporting.second_checker import SecondVerdict, second_answer


def verify_only(
    certificate: Path, model: Path, *, task: Json = None, at_least: str | None = None, margin_at_least: str | None = None
) -> Verdict:
    """Have the files checked; the pins are those of `verify` (checker/reporting/verdict)."""
    started = time.perf_counter_ns()
    try:
        accuracy = None if at_least is None else parse_accuracy(at_least)
        margin = None if margin_at_least is None else parse_decimal(margin_at_least, "least margin")
        verdict = _accepted(second_answer(certificate, model))
        _require_pinned(verdict, task, accuracy, margin)
    except (CheckError, FormatError) as error:
        code = error.exit_code if isinstance(error, CheckError) else InvalidInput.exit_code
        verdict = Verdict(accepted=False, reason=str(error), exit_code=code)
    return replace(verdict, seconds=elapsed(started))


def _accepted(answer: dict[str, Json]) -> Verdict:
    """From an answer of the program that accepts."""
    statement = answer["statement"]
    if not isinstance(statement, dict):
        raise CheckError(f"the checker extracted from Coq accepts {statement!r}, which is no statement")
    correct, total, margin = int(str(statement["correct"])), int(str(statement["total"])), str(statement.get("margin", "0"))
    exceeds = "is strictly greater than" if margin == "0" else f"is greater, by more than {margin}, than"
    accuracy, deployed = floor_decimal(correct, total), statement.get("deployed")
    too = f" Every execution of the model in {deployed} gives these outputs, too." if deployed else ""
    return Verdict(
        accepted=True,
        reason="the checker extracted from Coq accepts",
        exit_code=0,
        theorem=f"In real arithmetic, the model with digest {statement['model']} is right about at least {correct} of {total} "
        f"inputs: its accuracy on uniformly random ones is at least {accuracy}. The task is {dumps(statement['task'])}. To be "
        f"right means that the true output's logit {exceeds} that of every other output.{too}",
        correct=correct,
        total=total,
        accuracy_floor=accuracy,
        model_digest=str(statement["model"]),
        task=statement["task"],
        margin=margin,
        deployed=None if deployed is None else str(deployed),
        verified=SecondVerdict(str(answer["theorem"]), str(answer["axioms"])),
    )


def _require_pinned(verdict: Verdict, task: Json, accuracy: Fraction | None, margin: Fraction | None) -> None:
    """Refuse unless the statement is what the verifier pinned."""
    if task is not None and task != verdict.task:
        raise ClaimNotMet(f"the certificate is about task {dumps(verdict.task)}, not the pinned {dumps(task)}")
    if accuracy is not None and (verdict.correct or 0) < accuracy * (verdict.total or 0):
        raise ClaimNotMet(
            f"the certificate proves {verdict.correct} of {verdict.total} inputs, less than the pinned {accuracy}"
        )
    if margin is not None and Fraction(verdict.margin or "0") < margin:
        raise ClaimNotMet(f"the certificate's margin is {verdict.margin}, less than the pinned {margin}")
