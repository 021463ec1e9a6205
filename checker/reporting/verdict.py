"""From two files to a verdict: reads them, has them checked (checker/decide), and says what came out."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from fractions import Fraction
from functools import partial
from pathlib import Path

from certificates.canonical_json import Json, dumps
from certificates.certificate import read_identified_certificate
from certificates.decimals import decimal
from certificates.errors import FormatError
from certificates.mlp_statement import MLPStatement
from certificates.model_file import read_model
from checker.core.automata import AutomatonTask
from checker.core.enclosures import Arithmetic
from checker.core.errors import CheckError, InvalidInput
from checker.core.in_order import InOrder, in_turn
from checker.core.meter import Budget, Meter
from checker.core.parallel import in_processes
from checker.core.pins import Pins
from checker.core.scaled_integers import ScaledArithmetic
from checker.decide import Proof, check_proof
from checker.registry import RULES
from checker.reporting.decimals import floor_decimal, parse_accuracy, parse_decimal
from checker.reporting.outcome import ArithmeticName, Verdict, elapsed, frequency_bounds
from checker.reporting.second_checker import second_program, second_verdict
from checker.reporting.shards import combined, read_shard
from checker.reporting.theorem import theorem
from checker.reporting.trusted_lines import trusted_lines
from checker.transformer.sorted_lists import SortedLists


def _mpmath(precision: int, meter: Meter) -> Arithmetic:
    """The cross-check, which no other verdict depends on."""
    from checker.crosscheck.mpmath_intervals import MpmathArithmetic  # noqa: PLC0415 - slow to import, seldom used

    ScaledArithmetic(precision, meter)  # refuses the same precisions
    return MpmathArithmetic(meter)


ARITHMETICS: Mapping[ArithmeticName, Callable[[int, Meter], Arithmetic]] = {"integers": ScaledArithmetic, "mpmath": _mpmath}


def verify(
    certificate: Path | str,
    model: Path | str,
    *,
    task: Json = None,
    at_least: Fraction | str | None = None,
    margin_at_least: Fraction | str | None = None,
    deployed: str | None = None,
    error_at_most: Mapping[int, Fraction | str] | None = None,
    allow_rules: Collection[str] | None = None,
    arithmetic: ArithmeticName = "integers",
    budget: Budget = Budget(),  # noqa: B008 - frozen
    jobs: int = 1,
    verified: bool = False,
    shards: Sequence[Path | str] = (),
    watched: Callable[[InOrder], InOrder] | None = None,
) -> Verdict:
    """Check the certificate file against the model file.

    certificate, model: paths. task: pin the statement's task (a JSON value, e.g. {"name": "max-of-k"}, or just a name).
    at_least: pin a least accuracy, exactly (a Fraction, or a decimal string such as "0.95"). margin_at_least: pin a least
    margin, likewise. deployed: pin the floating-point format of the executions, e.g. "float32". error_at_most: for certificates
    about an MLP, pin frequencies and their greatest relative errors e / A, e.g. {9: "0.83"}. allow_rules: refuse proofs by any
    other rule than these. arithmetic: "integers" (fast) or "mpmath" (independent, slow). budget: limits on
    operations and memory. jobs: processes; the verdict does not depend on their number. verified: accept only what the second
    checker, proved correct in Coq, accepts as well (checker/verified). shards: files (checker/reporting/shards) of one check
    that are believed instead of doing the parts that they are about. watched: given what does the independent parts
    of the check, something that does the same, and may show how far it is.

    Always returns a Verdict; `accepted` is True only if the statement is proved and every pin is met. An exception means a
    bug of the checker, never a property of the files.
    """
    started = time.perf_counter_ns()
    size: int | None = None
    statement = parsed_model = second = None
    warnings: tuple[str, ...] = ()
    try:
        pins = Pins(
            task={"name": task} if isinstance(task, str) else task,
            at_least=None if at_least is None else parse_accuracy(at_least),
            margin_at_least=None if margin_at_least is None else parse_decimal(margin_at_least, "least margin"),
            deployed=deployed,
            error_at_most={k: parse_decimal(text, "relative error") for k, text in (error_at_most or {}).items()},
            rules=None if allow_rules is None else _known(allow_rules),
        )
        if arithmetic not in ARITHMETICS:
            raise InvalidInput(f"arithmetic {arithmetic!r} is unknown; there are {' and '.join(ARITHMETICS)}")
        if verified:
            second_program()  # is it there at all?
        parsed, size, sha256 = read_identified_certificate(Path(certificate))
        statement = parsed.statement
        parsed_model = read_model(Path(model))
        if parsed_model.task is not None and parsed_model.task != statement.task:
            warnings = (
                f"TASK MISMATCH: the certificate is about {dumps(statement.task)}, "
                f"but the model file says it was trained for {dumps(parsed_model.task)}",
            )
        in_order: InOrder = in_turn if jobs == 1 else partial(in_processes, jobs)
        if shards:
            read = [read_shard(Path(shard)) for shard in shards]
            in_order = combined(read, sha256, parsed_model.digest(), arithmetic, jobs)
        if watched is not None:
            in_order = watched(in_order)
        proof = check_proof(
            parsed, parsed_model, pins=pins, arithmetic=ARITHMETICS[arithmetic], budget=budget, in_order=in_order
        )
        if verified:
            second = second_verdict(Path(certificate), Path(model), sha256)
    except (CheckError, FormatError, MemoryError) as error:
        verdict = Verdict(
            accepted=False,
            reason="out of memory" if isinstance(error, MemoryError) else str(error),
            exit_code=error.exit_code if isinstance(error, CheckError) else InvalidInput.exit_code,
        )
    else:
        verdict = _accepted(proof, jobs, len(shards))
    return replace(
        verdict,
        certificate_bytes=size,
        seconds=elapsed(started),
        model_digest=None if parsed_model is None else parsed_model.digest(),
        task=None if statement is None else statement.task,
        warnings=warnings,
        verified=second,
    )


def _known(names: Collection[str]) -> frozenset[str]:
    unknown = sorted(set(names) - set(RULES))
    if unknown or isinstance(names, str):
        near = near_rule(unknown[0]) if unknown else None
        hint = f"did you mean {near}?" if near else f"this checker knows {sorted(RULES)}"
        raise InvalidInput(f"rules to allow: {unknown or names} unknown; {hint}")
    return frozenset(names)


def near_rule(name: str) -> str | None:
    """The rule whose name is much like this, if there is one."""
    return next(iter(get_close_matches(name, RULES, 1)), None)


def _tasks(proof: Proof) -> str:
    if isinstance(proof.task, SortedLists):
        return "sorted-lists"
    return "automata" if isinstance(proof.task, AutomatonTask) else proof.model.config.architecture


def _accepted(proof: Proof, jobs: int, shards: int) -> Verdict:
    statement = proof.certificate.statement
    rules = tuple(sorted({step.rule for step in proof.certificate.steps}))
    verdict = Verdict(
        accepted=True,
        reason="every step of the proof holds",
        exit_code=0,
        theorem=theorem(proof),
        operations=proof.operations,
        unexplained_dimension=proof.unexplained_dimension,
        trusted_lines=None if shards else trusted_lines(_tasks(proof), rules, jobs),
        shards=shards,
        rules=rules,
    )
    if isinstance(statement, MLPStatement):
        return replace(verdict, mlp=frequency_bounds(statement))
    return replace(
        verdict,
        correct=statement.correct,
        total=statement.total,
        accuracy_floor=floor_decimal(statement.correct, statement.total),
        margin=decimal(statement.margin),
        deployed=statement.deployed,
    )
