"""The trust boundary: a certificate and a model go in, and a proof comes out or the reason why there is none.

Both have been read strictly, as FORMAT.md says (certificates/). `check_proof` accepts only if, in this order:

1. the statement's digest is that of this model's weights, all of which are finite;
2. the statement's task is known and fits the model, and its total, if it has one, is the task's number of inputs;
3. every step names a known rule that the verifier allows, and builds on earlier steps only; every step but the last is used;
4. every rule's hypotheses hold, within the budget. It then establishes a fact: of inputs, that *at least* so many are right;
5. the last fact is what the statement says: its number *equals* the statement's. A rule never sees the statement's number, and
   this is the only place where the two are compared (statements of other kinds are compared by what the registry names);
6. what the verifier pinned (task, accuracy, margin, executions, errors of frequencies) is what the statement says.

The theorem is about the real-valued function that the stored weights define, and, if the statement names a floating-point
format, about executions in it as well. Every rule is told the statement's margin. Nothing here reads or writes a file, and
the result is a `Proof`: how it is reported decides nothing.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from certificates.architectures import ModelConfig
from certificates.automaton import Automaton
from certificates.canonical_json import Json, dumps
from certificates.certificate import Certificate, Given, Statement, Step
from certificates.errors import FormatError
from certificates.model_file import Model
from checker.core.enclosures import Arithmetic
from checker.core.errors import ClaimNotMet, InvalidInput, OtherNumber, OverBudget, Refused, StepRefused
from checker.core.exact_weights import decode
from checker.core.facts import CertifiedInputs, Fact, Setting
from checker.core.in_order import InOrder, in_turn
from checker.core.meter import Budget, Meter
from checker.core.pins import Pins
from checker.core.scaled_integers import ScaledArithmetic
from checker.core.tasks import Task
from checker.registry import RULES, STATEMENTS, TASKS

_BYTES_PER_WEIGHT = 128
_GATHERED_PER_WEIGHT = 4
"""How many numbers could be gathered while one weight is decoded."""


@dataclass(frozen=True)
class Proof:
    """An accepted proof: everything that a report needs. One fact for each step; the last one is the `result`."""

    certificate: Certificate
    model: Model
    task: Task
    facts: tuple[Fact, ...]
    result: Fact
    operations: int

    @property
    def unexplained_dimension(self) -> int:
        """Sum over the facts that the proof uses."""
        return sum(fact.unexplained_dimension for fact in self.facts)


def check_proof(
    certificate: Certificate,
    model: Model,
    *,
    pins: Pins = Pins(),  # noqa: B008 - frozen
    arithmetic: Callable[[int, Meter], Arithmetic] = ScaledArithmetic,
    budget: Budget = Budget(),  # noqa: B008 - frozen
    in_order: InOrder = in_turn,
) -> Proof:
    """Check a parsed certificate against a parsed model. Raises CheckError with the reason unless all of it holds.

    arithmetic: makes one of a precision that charges a meter. in_order: who does independent parts; the outcome does not
    depend on it.
    """
    statement = certificate.statement
    if statement.model_digest != model.digest():
        raise InvalidInput(
            f"the certificate is about a model with digest {statement.model_digest}, "
            f"but the model file has digest {model.digest()}"
        )
    meter = Meter(budget)
    try:
        for name, tensor in model.tensors.items():  # also those that no rule will look at
            meter.allocate(_BYTES_PER_WEIGHT * math.prod(tensor.shape))
            meter.gathering(_GATHERED_PER_WEIGHT * math.prod(tensor.shape))
            decode(name, tensor)
        task = parse_task(statement.task, model.config, certificate.given, meter)
        if isinstance(statement, Statement) and statement.total != task.total:
            raise InvalidInput(f"the statement's total is {statement.total}, but the task has {task.total} inputs")
        _require_order(certificate, pins.rules)
        margin = statement.margin if isinstance(statement, Statement) else Fraction(0)
        setting = Setting(model, task, arithmetic(certificate.precision, meter), meter, in_order, margin)
        facts = _apply_rules(certificate.steps, setting)
    except FormatError as error:
        raise InvalidInput(str(error)) from error
    if isinstance(statement, Statement):
        _require_stated(statement, facts[-1])
        _require_pinned(statement, pins)
    else:
        STATEMENTS[type(statement)](statement, facts[-1], pins)
    if pins.task is not None and pins.task != statement.task:
        raise ClaimNotMet(f"the certificate is about task {dumps(statement.task)}, not the pinned {dumps(pins.task)}")
    return Proof(certificate, model, task, facts, facts[-1], meter.operations)


def parse_task(task: Json, config: ModelConfig, given: Given, meter: Meter) -> Task:
    """The task that a statement names, for a model of these sizes; given: what came with the certificate."""
    unnamed = isinstance(task, dict) and "automaton" in task
    return TASKS.get(dumps(task), TASKS[Automaton if unnamed else type(config)])(task, config, given, meter)


def _require_order(certificate: Certificate, allowed: frozenset[str] | None) -> None:
    steps = certificate.steps
    used = {premise for step in steps for premise in step.premises} | {len(steps) - 1}
    for index, step in enumerate(steps):
        if step.rule not in RULES:
            raise InvalidInput(f"step {index}: rule {step.rule!r} is unknown; this checker knows {sorted(RULES)}")
        if allowed is not None and step.rule not in allowed:
            raise ClaimNotMet(f"step {index} uses rule {step.rule}, which is not among those allowed: {sorted(allowed)}")
        if any(not 0 <= premise < index for premise in step.premises):
            raise StepRefused(index, step.rule, "a premise is not an earlier step")
        if index not in used:
            raise StepRefused(index, step.rule, "no later step uses this one")


def _apply_rules(steps: Sequence[Step], setting: Setting) -> tuple[Fact, ...]:
    facts: list[Fact] = []
    for index, step in enumerate(steps):
        try:
            facts.append(RULES[step.rule](setting, step, tuple(facts[premise] for premise in step.premises)))
        except OverBudget as error:
            raise OverBudget(f"step {index} ({step.rule}): {error}") from error
        except Refused as error:
            raise StepRefused(index, step.rule, str(error)) from error
    return tuple(facts)


def _require_stated(statement: Statement, result: Fact) -> None:
    """Refuse unless the last fact is what the statement says."""
    if not isinstance(result, CertifiedInputs):
        raise Refused("the last step does not establish a number of correctly classified inputs")
    if result.correct != statement.correct:
        raise OtherNumber(statement.correct, result.correct)
    if result.deployed != statement.deployed:
        stated, proved = _executions(statement.deployed), _executions(result.deployed)
        raise Refused(f"the statement is about {stated}, but its proof about {proved}")
    if statement.correct > statement.total:
        raise ClaimNotMet(f"{statement.correct} right inputs of {statement.total} cannot be")


def _executions(deployed: str | None) -> str:
    return "real arithmetic only" if deployed is None else f"executions in {deployed}"


def _require_pinned(statement: Statement, pins: Pins) -> None:
    """Refuse unless the statement is what the verifier pinned."""
    if pins.at_least is not None and statement.correct < pins.at_least * statement.total:
        raise ClaimNotMet(
            f"the certificate proves {statement.correct} of {statement.total} inputs, less than the pinned {pins.at_least}"
        )
    if pins.margin_at_least is not None and statement.margin < pins.margin_at_least:
        raise ClaimNotMet(f"the certificate's margin is {statement.margin}, less than the pinned {pins.margin_at_least}")
    if pins.deployed not in (None, statement.deployed):
        raise ClaimNotMet(f"the certificate is about {_executions(statement.deployed)}, not the pinned {pins.deployed}")
    if pins.error_at_most:
        raise ClaimNotMet(f"the certificate proves nothing about an MLP at the pinned frequency {min(pins.error_at_most)}")
