"""The trust boundary: a certificate and a model file go in, a verdict comes out.

`check_proof` accepts only if, in this order:

1. both files parse strictly as FORMAT.md says, the statement's digest is that of this model's weights, all finite;
2. the statement's task is known and fits the model, and its total, if it has one, is the task's number of inputs;
3. every step names a known rule, builds on earlier steps only, every step but the last is used, and every rule's
   hypotheses hold, within the budget;
4. the last step establishes exactly the statement's number of correct inputs, or its claims about an MLP;
5. what the verifier pinned (task, accuracy, errors of frequencies) is what the statement says.

The theorem is about the real-valued function that the stored weights define. Nothing here reads or writes anything but the
two files.
"""

import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np

from certificates.canonical_json import Json, dumps
from certificates.certificate import Certificate, FrequencyClaim, MLPStatement, Statement, read_certificate
from certificates.errors import FormatError
from certificates.groups import LARGEST_ORDER
from certificates.model_file import Model, read_model
from certificates.tensor_file import IntArray
from checker.core.enclosures import Arithmetic
from checker.core.errors import CheckError, ClaimNotMet, InvalidInput, OverBudget, Refused, StepRefused
from checker.core.exact_weights import decode
from checker.core.facts import CertifiedInputs, Fact, MLPQuadrature, Setting
from checker.core.meter import Budget, Meter
from checker.core.scaled_integers import ScaledArithmetic
from checker.core.tasks import Task, parse_task
from checker.rules import RULES

ArithmeticName = Literal["integers", "mpmath"]
_DECIMAL = re.compile(r"[0-9]{1,3}(\.[0-9]{1,100})?")
_BYTES_PER_WEIGHT = 128


@dataclass(frozen=True)
class FrequencyBound:
    """What is proved about an MLP at one frequency: exact decimals, but for relative_error = error / amplitude, rounded up.

    relative_error is None where the amplitude is 0.
    """

    frequency: int
    amplitude: str
    error: str
    relative_error: str | None

    @staticmethod
    def of(claim: FrequencyClaim, scale: int) -> "FrequencyBound":
        """A claim in units of 2**-scale."""
        relative = None if claim.amplitude == 0 else ceil_decimal(claim.error, claim.amplitude)
        return FrequencyBound(
            claim.frequency, exact_decimal(claim.amplitude, scale), exact_decimal(claim.error, scale), relative
        )

    @property
    def sentence(self) -> str:
        """For the theorem."""
        relative = "" if self.relative_error is None else f", relative error e / A <= {self.relative_error}"
        return f"k = {self.frequency}: A = {self.amplitude}, e = {self.error}{relative}"


@dataclass(frozen=True)
class Verdict:
    """The outcome of a check; the fields are the keys of `checker verify --json`.

    `correct` and `total` are integers of any size, repeated as decimal strings for readers that truncate.
    `accuracy_floor` is correct/total as a decimal string, rounded down. `seconds` (a decimal string) excludes start-up.
    `model_digest` is that of the model file. `mlp` is what a certificate about an MLP proves, which then has no `correct`,
    `total` or `accuracy_floor`. What could not be determined, and what is not proved, is None. `exit_code`
    is what the command returns (0 accepted, 1 refused, 2 bad input).
    """

    accepted: bool
    reason: str
    exit_code: int
    theorem: str | None = None
    correct: int | None = None
    total: int | None = None
    correct_text: str | None = None
    total_text: str | None = None
    accuracy_floor: str | None = None
    operations: int | None = None
    unexplained_dimension: int | None = None
    certificate_bytes: int | None = None
    seconds: str | None = None
    model_digest: str | None = None
    task: Json = None
    warnings: tuple[str, ...] = ()
    mlp: tuple[FrequencyBound, ...] | None = None


@dataclass(frozen=True)
class Proof:
    """An accepted proof: everything a verdict or a coverage query needs."""

    certificate: Certificate
    model: Model
    task: Task
    facts: tuple[Fact, ...]
    result: CertifiedInputs | MLPQuadrature
    operations: int

    @property
    def unexplained_dimension(self) -> int:
        """Sum over the facts that the proof uses."""
        return sum(fact.unexplained_dimension for fact in self.facts)

    @property
    def mlp(self) -> tuple[FrequencyBound, ...] | None:
        """What has been proved of each frequency of an MLP, if the statement is about one."""
        if isinstance(self.result, CertifiedInputs):
            return None
        return tuple(FrequencyBound.of(claim, self.result.scale) for claim in self.result.claims)

    @property
    def theorem(self) -> str:
        """What has been proved, in words."""
        statement = self.certificate.statement
        config = self.model.config
        if isinstance(statement, MLPStatement):
            p = self.task.d_vocab
            return (
                f"In real arithmetic, for all a, b from 0 to {p - 1}: what the neurons of the {config.described} with model "
                f"digest {statement.model_digest} add to the logits after the tokens a, b, {p} (without b_out) has, at a "
                f"frequency k, the Fourier component X cos(2 pi k z / {p}) + Y sin(2 pi k z / {p}), z being the output, and "
                f"(X, Y) is within the distance e of the quadrature's A |cos(pi k (a - b) / {p})| (cos(2 pi k (a + b) / {p}), "
                f"sin(2 pi k (a + b) / {p})), for each of the following. "
                f"{'; '.join(bound.sentence for bound in self.mlp or ())}. The task is {self.task.sentence}."
            )
        return (
            f"In real arithmetic, the {config.described} with model digest {statement.model_digest} is right about at "
            f"least {statement.correct} of {statement.total} inputs: its accuracy on uniformly random ones is at least "
            f"{floor_decimal(statement.correct, statement.total)}. The task is {self.task.sentence}. To be right means that "
            f"the true output's logit is strictly greater than that of every other of the {config.d_vocab_out} outputs."
        )


def floor_decimal(numerator: int, denominator: int, digits: int = 12) -> str:
    """Numerator / denominator as a decimal string, rounded down: `digits` places, or more to show three of its digits."""
    while 0 < numerator * 10 ** (digits - 2) < denominator:
        digits += 1
    whole, rest = divmod(numerator * 10**digits // denominator, 10**digits)
    return f"{whole}.{rest:0{digits}d}"


def ceil_decimal(numerator: int, denominator: int, digits: int = 6) -> str:
    """Numerator / denominator as a decimal string, rounded up."""
    whole, rest = divmod(-(-numerator * 10**digits // denominator), 10**digits)
    return f"{whole}.{rest:0{digits}d}"


def exact_decimal(number: int, scale: int) -> str:
    """Number * 2**-scale, number >= 0, as a decimal string."""
    if scale <= 0:
        return str(number << -scale)
    whole, rest = divmod(number * 5**scale, 10**scale)
    return f"{whole}.{rest:0{scale}d}".rstrip("0").rstrip(".")


def check_proof(
    certificate: Certificate,
    model: Model,
    *,
    task: Json = None,
    at_least: Fraction | None = None,
    error_at_most: Mapping[int, Fraction] | None = None,
    arithmetic: ArithmeticName = "integers",
    budget: Budget = Budget(),  # noqa: B008 - frozen
    jobs: int = 1,
) -> Proof:
    """Check a parsed certificate against a parsed model. Raises CheckError with the reason unless all of it holds."""
    statement = certificate.statement
    if statement.model_digest != model.digest():
        raise InvalidInput(
            f"the certificate is about a model with digest {statement.model_digest}, "
            f"but the model file has digest {model.digest()}"
        )
    meter = Meter(budget)
    for tensor in model.tensors.values():
        meter.allocate(_BYTES_PER_WEIGHT * math.prod(tensor.shape))
    try:
        for name, tensor in model.tensors.items():  # also those that no rule will look at
            decode(name, tensor)
        if certificate.table is not None and (
            len(certificate.table.shape) != 2 or max(certificate.table.shape) > LARGEST_ORDER
        ):
            raise InvalidInput(f"a multiplication table has two dimensions of at most {LARGEST_ORDER}")
        table = None if certificate.table is None else certificate.table.integers()
        known_task = parse_task(statement.task, model.config, table)
    except FormatError as error:
        raise InvalidInput(str(error)) from error
    if isinstance(statement, Statement) and statement.total != known_task.total:
        raise InvalidInput(f"the statement's total is {statement.total}, but the task has {known_task.total} inputs")
    facts = _apply_rules(certificate, model, known_task, meter, arithmetic, jobs)
    result = facts[-1]
    if isinstance(statement, MLPStatement):
        if not isinstance(result, MLPQuadrature):
            raise Refused("the statement is about an MLP, but the last step does not establish anything about one")
        if (result.scale, result.claims) != (statement.scale, statement.claims):
            raise Refused("the statement's claims about the MLP are not those that its proof shows")
    elif not isinstance(result, CertifiedInputs):
        raise Refused("the last step does not establish a number of correctly classified inputs")
    elif result.correct != statement.correct:
        raise Refused(f"the statement claims {statement.correct} correct inputs, but its proof shows {result.correct}")
    _require_pins(statement, task, at_least, error_at_most or {})
    return Proof(certificate, model, known_task, facts, result, meter.operations)


def _require_pins(
    statement: Statement | MLPStatement, task: Json, at_least: Fraction | None, error_at_most: Mapping[int, Fraction]
) -> None:
    if task is not None and task != statement.task:
        raise ClaimNotMet(f"the certificate is about task {dumps(statement.task)}, not the pinned {dumps(task)}")
    if at_least is not None and isinstance(statement, MLPStatement):
        raise ClaimNotMet("the certificate is about what an MLP adds to the logits: it proves no accuracy that could be pinned")
    if at_least is not None and isinstance(statement, Statement) and statement.correct < at_least * statement.total:
        raise ClaimNotMet(
            f"the certificate proves an accuracy of at least {floor_decimal(statement.correct, statement.total)}, "
            f"which is less than the pinned {floor_decimal(at_least.numerator, at_least.denominator)}"
        )
    claims = {claim.frequency: claim for claim in statement.claims} if isinstance(statement, MLPStatement) else {}
    for frequency, most in error_at_most.items():
        if frequency not in claims:
            raise ClaimNotMet(f"the certificate proves nothing about an MLP at the pinned frequency {frequency}")
        claim = claims[frequency]
        if claim.amplitude == 0 or claim.error > most * claim.amplitude:
            found = "unbounded" if claim.amplitude == 0 else ceil_decimal(claim.error, claim.amplitude)
            raise ClaimNotMet(
                f"the relative error that the certificate proves at frequency {frequency} is {found}, which is more than the "
                f"pinned {floor_decimal(most.numerator, most.denominator, 6)}"
            )


def _apply_rules(
    certificate: Certificate, model: Model, task: Task, meter: Meter, arithmetic: ArithmeticName, jobs: int
) -> tuple[Fact, ...]:
    steps = certificate.steps
    used = {premise for step in steps for premise in step.premises} | {len(steps) - 1}
    for index, step in enumerate(steps):
        if step.rule not in RULES:
            raise InvalidInput(f"step {index}: rule {step.rule!r} is unknown; this checker knows {sorted(RULES)}")
        if any(not 0 <= premise < index for premise in step.premises):
            raise StepRefused(index, step.rule, "a premise is not an earlier step")
        if index not in used:
            raise StepRefused(index, step.rule, "no later step uses this one")
    facts: list[Fact] = []
    index = 0
    try:
        setting = Setting(model, task, _arithmetic(arithmetic, certificate.precision, meter), meter, jobs)
        for index, step in enumerate(steps):  # noqa: B007 - the index is used where an exception is caught
            facts.append(RULES[step.rule](setting, step, tuple(facts[premise] for premise in step.premises)))
    except FormatError as error:
        raise InvalidInput(str(error)) from error
    except OverBudget as error:
        raise OverBudget(f"step {index} ({steps[index].rule}): {error}") from error
    except Refused as error:
        raise StepRefused(index, steps[index].rule, str(error)) from error
    return tuple(facts)


def _arithmetic(name: ArithmeticName, precision: int, meter: Meter) -> Arithmetic:
    scaled = ScaledArithmetic(precision, meter)  # also checks the precision
    if name == "integers":
        return scaled
    if name != "mpmath":
        raise InvalidInput(f"arithmetic {name!r} is unknown; there are integers and mpmath")
    from checker.crosscheck.mpmath_intervals import MpmathArithmetic  # noqa: PLC0415 - slow to import, seldom used

    return MpmathArithmetic(meter)


def verify(
    certificate: Path | str,
    model: Path | str,
    *,
    task: Json = None,
    at_least: Fraction | str | None = None,
    error_at_most: Mapping[int, Fraction | str] | None = None,
    arithmetic: ArithmeticName = "integers",
    budget: Budget = Budget(),  # noqa: B008 - frozen
    jobs: int = 1,
) -> Verdict:
    """Check the certificate file against the model file.

    certificate, model: paths. task: pin the statement's task (a JSON value, e.g. {"name": "max-of-k"}, or just a name).
    at_least: pin a least accuracy, exactly (a Fraction, or a decimal string such as "0.95"). error_at_most: for certificates
    about an MLP, pin frequencies and their greatest relative errors e / A, likewise, e.g. {9: "0.83"}. arithmetic: "integers"
    (fast) or "mpmath" (independent, slow). budget: limits on operations and memory. jobs: processes; the verdict does not
    depend on their number.

    Always returns a Verdict; `accepted` is True only if the statement is proved and every pin is met. An exception means a
    bug of the checker, never a property of the files.
    """
    started = time.perf_counter_ns()
    size: int | None = None
    statement = parsed_model = None
    warnings: tuple[str, ...] = ()
    try:
        bound = None if at_least is None else parse_accuracy(at_least)
        errors = {frequency: parse_decimal(text, "relative error") for frequency, text in (error_at_most or {}).items()}
        pinned: Json = {"name": task} if isinstance(task, str) else task
        parsed, size = read_certificate(Path(certificate))
        statement = parsed.statement
        parsed_model = read_model(Path(model))
        if parsed_model.task is not None and parsed_model.task != statement.task:
            warnings = (
                f"TASK MISMATCH: the certificate is about {dumps(statement.task)}, "
                f"but the model file says it was trained for {dumps(parsed_model.task)}",
            )
        proof = check_proof(
            parsed,
            parsed_model,
            task=pinned,
            at_least=bound,
            error_at_most=errors,
            arithmetic=arithmetic,
            budget=budget,
            jobs=jobs,
        )
    except (CheckError, FormatError, MemoryError) as error:
        reason = "out of memory" if isinstance(error, MemoryError) else str(error)
        return Verdict(
            accepted=False,
            reason=reason,
            exit_code=error.exit_code if isinstance(error, CheckError) else 2,
            certificate_bytes=size,
            seconds=_seconds_since(started),
            model_digest=None if parsed_model is None else parsed_model.digest(),
            task=None if statement is None else statement.task,
            warnings=warnings,
        )
    verdict = Verdict(
        accepted=True,
        reason="every step of the proof holds",
        exit_code=0,
        theorem=proof.theorem,
        operations=proof.operations,
        unexplained_dimension=proof.unexplained_dimension,
        certificate_bytes=size,
        seconds=_seconds_since(started),
        model_digest=proof.certificate.statement.model_digest,
        task=proof.certificate.statement.task,
        warnings=warnings,
        mlp=proof.mlp,
    )
    if not isinstance(proof.result, CertifiedInputs):
        return verdict
    return replace(
        verdict,
        correct=proof.result.correct,
        total=proof.task.total,
        correct_text=str(proof.result.correct),
        total_text=str(proof.task.total),
        accuracy_floor=floor_decimal(proof.result.correct, proof.task.total),
    )


def parse_accuracy(text: Fraction | str) -> Fraction:
    """An exact accuracy from a decimal string or a fraction. Raises InvalidInput unless it lies between 0 and 1."""
    value = parse_decimal(text, "least accuracy")
    if not 0 <= value <= 1:
        raise InvalidInput(f"an accuracy lies between 0 and 1, found {text}")
    return value


def parse_decimal(text: Fraction | str, what: str) -> Fraction:
    """An exact number from a decimal string or a fraction. Raises InvalidInput if it is neither."""
    try:
        return text if isinstance(text, Fraction) else Fraction(_DECIMAL.fullmatch(text)[0])  # type: ignore[index]
    except TypeError as error:
        raise InvalidInput(f"{text!r} is not a {what}: write it as a decimal number such as 0.95") from error


def _seconds_since(started: int) -> str:
    milliseconds = (time.perf_counter_ns() - started) // 10**6
    return f"{milliseconds // 1000}.{milliseconds % 1000:03d}"


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
