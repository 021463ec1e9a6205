"""Certificates: a statement about a model's weights and a proof of it, step by step.

A proof is a list of steps. Each names a rule of the checker, the earlier steps it builds on, integer parameters, and
hint tensors (stored as `<step>.<hint>`). The last step must establish the statement. FORMAT.md specifies the file.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

from certificates.canonical_json import Json, loads
from certificates.errors import FormatError
from certificates.fields import exact_fields, integer, model_digest
from certificates.mlp_statement import MLPStatement, parse_mlp_statement
from certificates.tensor_file import RawTensor, TensorFile, parse_tensor_file, read_content

FORMAT_NAME = "compact-proof-certificate"
VERSION = "2"
MAX_STEPS = 256
_DIGITS = re.compile(r"0|[1-9][0-9]{0,3999}")
_NAME = re.compile(r"[a-z_-]{1,40}")
_MARGIN = re.compile(r"(0|[1-9][0-9]{0,19})(\.[0-9]{0,59}[1-9])?")
_FORMAT = re.compile(r"[a-z0-9]{1,40}")
_GIVEN = frozenset({"order", "outputs", "reads", "table", "transitions"})
"""Tensors that belong to no step: they say what the task is, where its name does not."""
Given: TypeAlias = Mapping[str, RawTensor]
_HINT_NAME = re.compile(r"(0|[1-9][0-9]{0,2})\.([a-z_]+)")


@dataclass(frozen=True)
class Statement:
    """The model with this digest classifies at least `correct` of the `total` inputs of `task` correctly.

    margin: by more than this. deployed: a floating-point format whose executions classify these inputs correctly, too.
    """

    model_digest: str
    task: Json
    correct: int
    total: int
    margin: Fraction = Fraction(0)
    deployed: str | None = None


OtherStatement: TypeAlias = MLPStatement
OTHER_STATEMENTS: Mapping[str, Callable[[Json], OtherStatement]] = {"mlp": parse_mlp_statement}
"""Statements about something else than a number of inputs, by the field that says so."""


@dataclass(frozen=True)
class Step:
    """One application of a rule to earlier steps (`premises`)."""

    rule: str
    premises: tuple[int, ...] = ()
    parameters: Mapping[str, int] = field(default_factory=dict)
    hints: Mapping[str, RawTensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Certificate:
    """A statement and its proof. `precision` is the number of bits to which the checker rounds (outward).

    given: what the statement's task is about, where it names no more than a digest: a multiplication `table` "a b", or an
    automaton's `order`, `outputs` and `transitions`, perhaps `reads`.
    """

    statement: Statement | OtherStatement
    precision: int
    steps: tuple[Step, ...]
    given: Given = field(default_factory=dict)


def _natural(value: Json, what: str) -> int:
    if not isinstance(value, str) or not _DIGITS.fullmatch(value):
        raise FormatError(f"{what} is not a natural number written as a decimal string")
    return int(value)


def _parse_statement(text: str) -> Statement | OtherStatement:
    value = loads(text)
    given = value if isinstance(value, dict) else {}
    for field_of_kind, parse in OTHER_STATEMENTS.items():
        if field_of_kind in given:
            return parse(value)
    about_inputs = {"correct", "model", "task", "total"} | {"margin", "deployed"} & set(given)
    fields = exact_fields(value, about_inputs, "statement")
    digest = model_digest(fields)
    correct = _natural(fields["correct"], "statement: correct")
    total = _natural(fields["total"], "statement: total")
    return Statement(digest, fields["task"], correct, total, _parse_margin(fields), _parse_deployed(fields))


def _parse_margin(fields: Mapping[str, Json]) -> Fraction:
    margin = fields.get("margin", "0")
    if not isinstance(margin, str) or not _MARGIN.fullmatch(margin) or fields.get("margin") == "0":
        raise FormatError("statement: margin is not a positive decimal number in its shortest form (0 is left out)")
    return Fraction(margin)


def _parse_deployed(fields: Mapping[str, Json]) -> str | None:
    deployed = fields.get("deployed", "")
    if not isinstance(deployed, str) or bool(_FORMAT.fullmatch(deployed)) != ("deployed" in fields):
        raise FormatError("statement: deployed is not the name of a floating-point format")
    return deployed or None


def _parse_step(value: Json, index: int, hints: Mapping[str, RawTensor]) -> Step:
    what = f"step {index}"
    fields = exact_fields(value, {"parameters", "premises", "rule"}, what)
    rule, premises, parameters = fields["rule"], fields["premises"], fields["parameters"]
    if not isinstance(rule, str) or not isinstance(premises, list) or not isinstance(parameters, dict):
        raise FormatError(f"{what}: rule is a string, premises a list, parameters an object")
    if len(premises) > MAX_STEPS:
        raise FormatError(f"{what}: more than {MAX_STEPS} premises")
    for name in (rule, *parameters):
        if not _NAME.fullmatch(name):
            raise FormatError(f"{what}: {name!r} is not a name (lower-case letters, - and _)")
    return Step(
        rule,
        tuple(integer(premise, f"{what}: premise") for premise in premises),
        {name: integer(number, f"{what}: parameter {name!r}") for name, number in parameters.items()},
        hints,
    )


def parse_certificate(file: TensorFile) -> Certificate:
    """Read a certificate from a parsed container. Raises FormatError on anything FORMAT.md does not allow."""
    metadata = file.metadata
    if metadata.get("format") != FORMAT_NAME:
        raise FormatError(f"not a certificate: metadata format is {metadata.get('format')!r}, not {FORMAT_NAME!r}")
    if metadata.get("version") != VERSION:
        found = metadata.get("version")
        older = "; prove again with this version" if found == "1" else ""
        raise FormatError(f"certificate version {found!r} is not {VERSION!r}, which this checker reads{older}")
    if set(metadata) != {"format", "version", "statement", "proof"}:
        raise FormatError("metadata must be exactly format, version, statement and proof")
    proof = exact_fields(loads(metadata["proof"]), {"precision", "steps"}, "proof")
    raw_steps = proof["steps"]
    if not isinstance(raw_steps, list) or not 1 <= len(raw_steps) <= MAX_STEPS:
        raise FormatError(f"a proof is a list of 1 to {MAX_STEPS} steps")
    hints: list[dict[str, RawTensor]] = [{} for _ in raw_steps]
    for name, tensor in file.tensors.items():
        if name in _GIVEN:
            continue
        match = _HINT_NAME.fullmatch(name)
        if match is None or int(match[1]) >= len(hints):
            raise FormatError(f"tensor {name!r} belongs to no step")
        hints[int(match[1])][match[2]] = tensor
    steps = tuple(_parse_step(raw, index, hints[index]) for index, raw in enumerate(raw_steps))
    precision = integer(proof["precision"], "proof: precision")
    given = {name: file.tensors[name] for name in _GIVEN & set(file.tensors)}
    return Certificate(_parse_statement(metadata["statement"]), precision, steps, given)


def read_certificate(path: Path) -> tuple[Certificate, int]:
    """Read a certificate and its size in bytes. Raises FormatError with the reason if it is not one."""
    return read_identified_certificate(path)[:2]


def read_identified_certificate(path: Path) -> tuple[Certificate, int, str]:
    """The same, and the SHA-256 of the bytes that were read. Raises FormatError as `read_certificate` does."""
    content = read_content(path)
    try:
        return parse_certificate(parse_tensor_file(content)), len(content), hashlib.sha256(content).hexdigest()
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error
