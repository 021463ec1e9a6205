"""The `checker` command: verify, combine, covers, show, task, refute, rules.

What needs numpy is imported where it is used: `checker verify --verified-only` does without.
"""

import inspect
import json
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, get_args

import click
from click.core import ParameterSource

from certificates import __version__
from certificates.canonical_json import Json, dumps, loads_relaxed
from certificates.decimals import decimal
from certificates.errors import FormatError
from certificates.mlp_statement import MLPStatement
from checker.core.errors import CheckError, InvalidInput
from checker.core.meter import Budget
from checker.reporting.decimals import floor_decimal
from checker.reporting.outcome import ArithmeticName, Verdict, frequency_bounds
from checker.reporting.progress import shown
from checker.reporting.verified_only import verify_only

if TYPE_CHECKING:
    from certificates.automaton import Automaton
    from certificates.certificate import Certificate

_INTERNAL_ERROR, _INTERRUPTED = 3, 130
_PINNED_ERROR = re.compile(r"[0-9]{1,9}:[0-9.]+")
_NAME = re.compile(r"(?!null$)[a-z][a-z-]*")
_MODEL = click.option("--model", "model", required=True, type=click.Path(path_type=Path), help="The model file.")
_CERTIFICATE = click.argument("certificate", type=click.Path(path_type=Path))


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}, invoke_without_command=True)
@click.version_option(__version__)
@click.pass_context
def cli(context: click.Context) -> None:
    """Check compact proofs of model performance, in exact integer arithmetic.

    Exit status: 0 accepted; 1 a rule refused, or the pinned claim is not met; 2 a problem with the input; 3 a bug here.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def _pins(command: Callable[..., None]) -> Callable[..., None]:
    """The options of commands that check."""
    for option in (
        click.option(
            "--max-memory", type=click.IntRange(1), default=Budget.memory >> 20, show_default=True, help="MiB, about."
        ),
        click.option("--max-operations", type=click.IntRange(1), default=Budget.operations, show_default=True),
        click.option(
            "--jobs", type=click.IntRange(1), default=1, show_default=True, help="Processes. The verdict is the same."
        ),
        click.option(
            "--arithmetic",
            type=click.Choice(get_args(ArithmeticName)),
            default="integers",
            help="integers: fast. mpmath: an independent implementation, for small models and spot checks.",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object, whatever happens."),
        click.option("--verified", is_flag=True, help="Ask the checker that is proved correct in Coq, too: both must accept."),
        click.option(
            "--allow-rules", metavar="NAMES", help="Refuse every other rule: additive-tables,prefix-chains. See `checker show`."
        ),
        click.option(
            "--error-at-most",
            "errors",
            multiple=True,
            metavar="K:E",
            help="About an MLP: pin a frequency's greatest e / A, as in 9:0.83.",
        ),
        click.option("--deployed", metavar="FORMAT", help="Pin the format whose executions are proved right, too: float32."),
        click.option("--margin-at-least", help="Pin a least margin, by which true outputs lead, as a decimal number: 0.1."),
        click.option("--at-least", help="Pin a least accuracy, as a decimal number: 0.95."),
        click.option(
            "--task", help='Pin the task: a name, a file with an automaton, .json, or JSON: \'{"n":2,"name":"nth-max-of-k"}\'.'
        ),
    ):
        command = option(command)
    return command


_WITH_VERIFIED_ONLY = {"certificate", "model", "task", "at_least", "margin_at_least", "as_json", "verified_only"}
_ABOUT_THE_CLAIM = ("task", "at_least", "margin_at_least", "deployed", "errors", "allow_rules", "verified", "as_json")
"""Those that a shard cannot answer to."""


@cli.command(
    "verify",
    short_help="Check a certificate and print the theorem.",
    epilog="Example: checker verify proof.cert --model model.safetensors --at-least 0.95\n\n"
    "Trusting two rules only: checker verify proof.cert --model model.safetensors --allow-rules additive-tables,prefix-chains"
    "\n\nTrusting Coq in place of Python: checker verify proof.cert --model model.safetensors --verified-only",
)
@_CERTIFICATE
@_MODEL
@_pins
@click.option(
    "--shard",
    metavar="I/N",
    help="Do every N-th part only, and write a shard with -o, for `checker combine`. Limits are those of the whole check.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where to write the shard.")
@click.option(
    "--verified-only",
    is_flag=True,
    help="Ask only the checker that is proved correct in Coq (`make verified` builds it), and no rule in Python.",
)
def verify_command(
    certificate: Path, model: Path, shard: str | None, output: Path | None, verified_only: bool, **pins: Any
) -> None:
    """Check CERTIFICATE against a model file and print the theorem that it proves."""
    if verified_only:
        _verify_only(certificate, model, **pins)
    if shard is None and output is None:
        _verify(certificate, model, (), **pins)
        return
    numbers = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", shard or "")
    if numbers is None or output is None:
        raise InvalidInput("--shard takes I/N such as 2/8, and -o names the file to write")
    if any(pins[name] for name in _ABOUT_THE_CLAIM):
        raise InvalidInput("a shard says nothing of the claim: pin what you mean in `checker combine`")
    if not output.resolve().parent.is_dir() or output.resolve() in (certificate.resolve(), model.resolve()):
        raise InvalidInput(f"cannot write to {output}: name a new file in a folder that exists")
    from checker.reporting.shards import check_shard, write_shard
    from checker.reporting.verdict import ARITHMETICS

    arithmetic, budget = pins["arithmetic"], Budget(pins["max_operations"], pins["max_memory"] << 20)
    number, of = map(int, numbers.groups())
    done = check_shard(certificate, model, number, of, arithmetic, ARITHMETICS[arithmetic], budget, pins["jobs"])
    write_shard(done, output)
    click.echo(f"wrote {output}: {len(done.outcomes)} of {done.parts} parts hold; all {of} shards: checker combine")


@cli.command(
    "combine",
    short_help="Put the shards of a check together.",
    epilog="Example: checker combine proof.cert shard-*.json --model model.safetensors --at-least 0.95",
)
@_CERTIFICATE
@click.argument("shards", nargs=-1, required=True, type=click.Path(path_type=Path))
@_MODEL
@_pins
def combine_command(certificate: Path, shards: tuple[Path, ...], model: Path, **pins: Any) -> None:
    """Check CERTIFICATE, but for the parts that SHARDS (of `checker verify --shard`) are about; each is needed exactly once.

    What is proved then rests on whoever wrote the shards, which the verdict says.
    """
    _verify(certificate, model, shards, **pins)


def _verify(
    certificate: Path,
    model: Path,
    shards: tuple[Path, ...],
    task: str | None,
    at_least: str | None,
    margin_at_least: str | None,
    deployed: str | None,
    errors: tuple[str, ...],
    allow_rules: str | None,
    verified: bool,
    as_json: bool,
    arithmetic: ArithmeticName,
    jobs: int,
    max_operations: int,
    max_memory: int,
) -> NoReturn:
    from checker.reporting.verdict import verify

    try:
        (pinned, _), error_at_most = _task(task), _pinned_errors(errors)
    except FormatError as error:
        verdict = refusal(str(error), InvalidInput.exit_code)
    else:
        verdict = verify(
            certificate,
            model,
            task=pinned,
            at_least=at_least,
            margin_at_least=margin_at_least,
            deployed=deployed,
            error_at_most=error_at_most,
            allow_rules=None if allow_rules is None else [name.strip() for name in allow_rules.split(",")],
            arithmetic=arithmetic,
            budget=Budget(max_operations, max_memory << 20),
            jobs=jobs,
            verified=verified,
            shards=shards,
            watched=shown,
        )
    _print_verdict(verdict, as_json, jobs)
    sys.exit(verdict.exit_code)


def _verify_only(
    certificate: Path,
    model: Path,
    task: str | None,
    at_least: str | None,
    margin_at_least: str | None,
    as_json: bool,
    **others: object,
) -> NoReturn:
    context = click.get_current_context()
    for name in others.keys() | context.params.keys():
        if name not in _WITH_VERIFIED_ONLY and context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            raise InvalidInput(
                "with --verified-only there is nothing to choose but --task, --at-least, --margin-at-least, --json"
            )
    if task is not None and task.endswith(".json"):
        raise InvalidInput(f"--verified-only: there is no theorem in Coq about automata, such as {task}")
    verdict = verify_only(certificate, model, task=_task(task)[0], at_least=at_least, margin_at_least=margin_at_least)
    _print_verdict(verdict, as_json)
    sys.exit(verdict.exit_code)


def _task(text: str | None) -> "tuple[Json, Automaton | None]":
    """The task that an option states, and the automaton, if it is a file with one."""
    if text is not None and text.endswith(".json"):
        from certificates.automaton import read_automaton

        automaton = read_automaton(Path(text))
        return {"automaton": automaton.digest}, automaton
    try:
        task: Json = None if text is None else {"name": text} if _NAME.fullmatch(text) else loads_relaxed(text)
    except FormatError as error:
        raise FormatError(f"--task: {error}") from error
    if text is not None and task is None:
        raise FormatError("--task: null is not a task")
    return task, None


def _pinned_errors(texts: tuple[str, ...]) -> dict[int, str]:
    if not all(_PINNED_ERROR.fullmatch(text) for text in texts):
        raise FormatError("--error-at-most: write a frequency and its greatest relative error, as in 9:0.83")
    errors = {int(frequency): error for frequency, error in (text.split(":") for text in texts)}
    if len(errors) < len(texts):
        raise FormatError("--error-at-most: a frequency is pinned twice")
    return errors


@cli.command(
    "covers",
    short_help="Is this input among those certified?",
    epilog="Example: checker covers proof.cert --model model.safetensors 5,17,17,63",
)
@_CERTIFICATE
@_MODEL
@click.argument("tokens")
def covers_command(certificate: Path, model: Path, tokens: str) -> None:
    """Check CERTIFICATE, then tell whether the input TOKENS (comma-separated) is among those it certifies.

    The exit status is 0 either way; -1 and the like are written after --, as in: checker covers .. -- -1,2,3
    """
    from certificates.certificate import read_certificate
    from checker.reporting.coverage import covers

    sequence = _integers(tokens)
    step = int(covers(certificate, model, [sequence])[0])
    if step < 0:
        click.echo(f"{tokens}: not certified (the model may still be right about it)")
    else:
        rule = read_certificate(certificate)[0].steps[step].rule
        click.echo(f"{tokens}: certified, by step {step} ({rule})")


@cli.command(
    "show",
    short_help="Print claim and outline, unchecked.",
    epilog="Example: checker show proof.cert",
)
@_CERTIFICATE
def show_command(certificate: Path) -> None:
    """Print what CERTIFICATE claims and the outline of its proof. Nothing is checked."""
    from certificates.certificate import read_certificate

    parsed, size = read_certificate(certificate)
    click.echo(outline(parsed, size))


@cli.command(
    "task",
    short_help="Print what an automaton's file is about.",
    epilog="Example: checker task balanced.json",
)
@click.argument("file", type=click.Path(path_type=Path))
def task_command(file: Path) -> None:
    """Print the digest of the automaton in FILE, by which theorems name it, its size, and its exact number of inputs."""
    from certificates.automaton import read_automaton

    automaton = read_automaton(file)
    steps, states, tokens = automaton.transitions.shape
    click.echo(f"task: {dumps({'automaton': automaton.digest})}")
    click.echo(f"{states} states, {tokens} tokens, {len(automaton.order)} positions in the order {automaton.order.tolist()}")
    click.echo(f"transitions: {'the same for every step' if steps == 1 else 'a table for every step'}")
    click.echo(f"inputs: {automaton.count()} of {tokens ** len(automaton.order)} sequences")


@cli.command(
    "rules",
    short_help="Print the theorem of a rule.",
    epilog="Example: checker rules prefix-chains",
)
@click.argument("name", required=False)
def rules_command(name: str | None) -> None:
    """List the rules that certificates may use, or print what rule NAME says: its theorem, with the proof."""
    from checker.registry import RULES
    from checker.reporting.verdict import near_rule

    if name is None:
        for rule in RULES:
            click.echo(f"{rule:20} {theorem_of(rule)[0].partition(': ')[2]}")
    elif name not in RULES:
        near = near_rule(name)
        hint = f", did you mean {near}?" if near else f"; there are {', '.join(RULES)}"
        raise InvalidInput(f"there is no rule {name!r}{hint}")
    else:
        click.echo("\n".join(theorem_of(name)))


@cli.command(
    "refute",
    short_help="Is the model proved to be wrong about this input?",
    epilog="Example: checker refute model.safetensors 5,17,17,63 17 --task max-of-k",
)
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("tokens")
@click.argument("answers")
@click.option("--task", required=True, help="The task: a name, JSON, or a file with an automaton, .json.")
def refute_command(model: Path, tokens: str, answers: str, task: str) -> None:
    """Prove, in exact arithmetic, that MODEL answers ANSWERS (one output for each read) to the input TOKENS, which is wrong.

    The exit status is 0 if it is proved and wrong, 1 if not.
    """
    from certificates.model_file import read_model
    from certificates.writing import integer_tensor
    from checker.reporting.refutation import true_and_proved

    stated, automaton = _task(task)
    tables = automaton.tables if automaton else {}
    given = {name: integer_tensor(table) for name, table in tables.items()}
    asked, said = _integers(tokens), _integers(answers)
    true, proved = true_and_proved(read_model(model), stated, given, asked, said)
    wrong = true.tolist() != said
    what = f"{answers} where {','.join(map(str, true.tolist()))} is right" if wrong else f"{answers}, which is right"
    gets = "gets" if proved else "is not proved to get"
    click.echo(f"{'REFUTED' if wrong and proved else 'NOT REFUTED'}: {tokens} {gets} {what}")
    sys.exit(0 if wrong and proved else 1)


def theorem_of(rule: str) -> list[str]:
    """The lines of a rule's statement and proof, which stand at the head of its file."""
    from checker.registry import RULES

    stated = inspect.getdoc(sys.modules[RULES[rule].__module__])
    return (stated or f"Rule `{rule}`: python -OO leaves out what it says").splitlines()


def _integers(text: str) -> list[int]:
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise InvalidInput(f"{text!r} is not a list of integers such as 5,17,17,63") from error
    if any(abs(number) >= 2**31 for number in numbers):
        raise InvalidInput("tokens and outputs are small integers")
    return numbers


def outline(certificate: "Certificate", size: int) -> str:
    """The claim and the steps, for a person."""
    statement = certificate.statement
    if isinstance(statement, MLPStatement):
        bounds = (bound.sentence for bound in frequency_bounds(statement))
        claim = f"has an MLP that works as a quadrature of these amplitudes A up to errors e: {'; '.join(bounds)}"
    else:
        ratio = floor_decimal(statement.correct, statement.total) if statement.total else "undefined"
        claim = f"is right about at least {statement.correct} of {statement.total} inputs ({ratio})"
        claim += f", by a margin of more than {decimal(statement.margin)}" if statement.margin else ""
        claim += f", also in {statement.deployed} executions" if statement.deployed else ""
    lines = [
        f"CLAIM (not checked): the model with digest {statement.model_digest}",
        f"  {claim}",
        f"  task: {dumps(statement.task)}",
        f"PROOF: {len(certificate.steps)} steps, {certificate.precision}-bit rounding, {size} bytes",
    ]
    for index, step in enumerate(certificate.steps):
        premises = f" from {', '.join(f'step {p}' for p in step.premises)}" if step.premises else ""
        parameters = "".join(f" {name}={value}" for name, value in sorted(step.parameters.items()))
        hints = "".join(
            f"\n      hint {name}: {'x'.join(map(str, hint.shape)) or 'scalar'} {hint.dtype}"
            for name, hint in sorted(step.hints.items())
        )
        lines.append(f"  step {index}: {step.rule}{premises}{parameters}{hints}")
    return "\n".join(lines)


def refusal(reason: str, exit_code: int) -> Verdict:
    """The verdict on something that never got as far as a check."""
    return Verdict(accepted=False, reason=reason, exit_code=exit_code)


def _print_verdict(verdict: Verdict, as_json: bool, jobs: int = 1) -> None:
    if as_json:
        click.echo(json.dumps(verdict.as_json()))
        return
    for warning in verdict.warnings:
        click.secho(f"WARNING: {warning}", fg="yellow", bold=True, err=True)
    if not verdict.accepted:
        click.secho(f"NOT ACCEPTED: {verdict.reason}", fg="red", bold=True)
        return
    click.secho("ACCEPTED", fg="green", bold=True)
    click.echo(verdict.theorem)
    accuracy = "" if verdict.accuracy_floor is None else f"accuracy >= {verdict.accuracy_floor}   "
    if verdict.rules is None:
        click.echo(f"{accuracy}{verdict.seconds} s")
    else:
        click.echo(
            f"{accuracy}operations {verdict.operations}   "
            f"unexplained dimension {verdict.unexplained_dimension}   "
            f"certificate {verdict.certificate_bytes} bytes   {verdict.seconds} s"
        )
    rules = verdict.rules or ()
    if not rules:
        click.echo("rests on no rule in Python: the checker extracted from Coq was asked alone")
    elif verdict.shards:
        click.echo(f"rests on whoever wrote the {verdict.shards} shards: their parts were not checked again")
    else:
        parts = ["core", f"{len(rules)} {'rule' if len(rules) == 1 else 'rules'}", *["several processes"][: jobs - 1]]
        click.echo(f"rests on {verdict.trusted_lines:,} lines: {', '.join(parts[:-1])} and {parts[-1]}")
    if verdict.verified is not None:
        click.echo(f"verified: by the theorem {verdict.verified.theorem} in Coq (axioms {verdict.verified.axioms[:12]})")


def _unwind(*_: object) -> None:
    """On SIGTERM: leave through all `with` and `finally`, so that no process stays behind; a second one is ignored."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(128 + signal.SIGTERM)


def main(arguments: list[str] | None = None) -> None:
    """Run the command; every failure becomes an exit status and one line (or one JSON object), never a traceback."""
    signal.signal(signal.SIGTERM, _unwind)
    argv = sys.argv[1:] if arguments is None else arguments
    as_json = "--json" in argv
    try:
        cli.main(argv, prog_name="checker", standalone_mode=False)
        return
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        verdict = refusal(f"{error.format_message()} (try --help)", InvalidInput.exit_code)
    except (CheckError, FormatError) as error:
        verdict = refusal(str(error), error.exit_code if isinstance(error, CheckError) else InvalidInput.exit_code)
    except ModuleNotFoundError as error:
        if error.name != "numpy":
            raise
        verdict = refusal("numpy is not installed; `checker verify --verified-only` does without", InvalidInput.exit_code)
    except MemoryError:
        verdict = refusal("out of memory", InvalidInput.exit_code)
    except (KeyboardInterrupt, click.Abort):
        verdict = refusal("interrupted", _INTERRUPTED)
    except Exception as error:
        verdict = refusal(f"internal error, please report it: {type(error).__name__}: {error}", _INTERNAL_ERROR)
    if as_json or "verify" in argv[:1]:
        _print_verdict(verdict, as_json)
    else:
        click.secho(f"Error: {verdict.reason}", fg="red", err=True)
    sys.exit(verdict.exit_code)
