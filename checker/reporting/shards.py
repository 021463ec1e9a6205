"""One check on several machines. Each of them checks a *shard*: everything but the independent parts of the first step that has
such, of which it does every n-th. It writes down what came out of them; whoever combines the shards checks the same certificate
once more, and takes what was written in place of doing those parts.

What combining trusts: that whoever wrote a shard ran this checker. A shard is bound to the certificate's and the model's
digest, to the checker's code and arithmetic, and every part has to be in exactly one; that it tells the truth, only doing its
parts again can show.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, cast

from certificates import __version__
from certificates.canonical_json import loads_relaxed
from certificates.certificate import read_identified_certificate
from certificates.errors import FormatError
from certificates.model_file import read_model
from certificates.tensor_file import read_content
from certificates.writing import write_atomically
from checker.core.enclosures import Arithmetic
from checker.core.errors import InvalidInput
from checker.core.in_order import InOrder, Item, Result
from checker.core.meter import Budget, Meter
from checker.core.parallel import in_processes
from checker.decide import check_proof

_FORMAT = "compact-proofs shard 1"
MOST_SHARDS = 10**6
_PART = re.compile(r"0|[1-9][0-9]{0,17}")
_LONGEST = 10**4000
"""Counts are shorter than what Python refuses to print."""
Outcome = tuple[int, int, int]
"""Operations, effort and result of a part: what it counted, 0 if it only checks."""


@dataclass(frozen=True)
class Shard:
    """What came out of parts number shard - 1, shard - 1 + of, .. of the `parts` that a check has, by their numbers.

    code: a digest of the sources of the checker that did them.
    """

    format: str
    version: str
    code: str
    certificate_sha256: str
    model_digest: str
    arithmetic: str
    shard: int
    of: int
    parts: int
    outcomes: Mapping[int, Outcome]

    @property
    def about(self) -> tuple[object, ...]:
        """In what all shards of one check agree."""
        return self.version, self.code, self.certificate_sha256, self.model_digest, self.arithmetic, self.of, self.parts


@cache
def code_digest() -> str:
    """Of the sources of this checker."""
    root, content = Path(__file__).resolve().parents[2], hashlib.sha256()
    for file in sorted(file for package in ("certificates", "checker") for file in root.joinpath(package).rglob("*.py")):
        content.update(hashlib.sha256(file.read_bytes()).digest())
    return content.hexdigest()


class _Finished(Exception):
    """The parts of a shard are done; what comes after them in the check is not its business."""


def check_shard(
    certificate: Path,
    model: Path,
    shard: int,
    of: int,
    arithmetic: str,
    make: Callable[[int, Meter], Arithmetic],
    budget: Budget,
    jobs: int,
) -> Shard:
    """Do the parts of one shard, 1 <= shard <= of. Raises CheckError if one of them, or what leads to it, is refused."""
    if not 1 <= shard <= of:
        raise InvalidInput(f"shards are numbered from 1/{of} to {of}/{of}; {shard}/{of} is none")
    (parsed, _, sha256), parsed_model = read_identified_certificate(certificate), read_model(model)
    outcomes: dict[int, Outcome] = {}
    parts = 0

    def own_parts(meter: Meter, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        nonlocal parts
        parts = len(items)
        numbers = range(shard - 1, parts, of)
        results = in_processes(jobs, meter, function, [items[number] for number in numbers])
        for number in numbers:
            operations, effort = meter.operations, meter.effort
            result: Any = next(results)
            outcomes[number] = (meter.operations - operations, meter.effort - effort, result or 0)
            yield result
        raise _Finished

    try:
        check_proof(parsed, parsed_model, arithmetic=make, budget=budget, in_order=own_parts)
    except _Finished:
        about = (sha256, parsed_model.digest(), arithmetic)
        return Shard(_FORMAT, __version__, code_digest(), *about, shard, of, parts, outcomes)
    raise InvalidInput("this certificate has no independent parts to divide: check it as a whole")


def write_shard(shard: Shard, path: Path) -> None:
    """Write a shard as JSON."""
    content = {**asdict(shard), "outcomes": {str(number): list(one) for number, one in shard.outcomes.items()}}
    write_atomically(path, json.dumps(content).encode())


def read_shard(path: Path) -> Shard:
    """Read it back. Raises FormatError if it is none."""
    try:
        content: Any = loads_relaxed(read_content(path).decode())
    except ValueError as error:  # FormatError, too
        raise FormatError(f"cannot read the shard {path}: {error}") from error
    if not isinstance(content, dict) or set(content) != {field.name for field in fields(Shard)}:
        raise FormatError(f"{path} is no shard of a check")
    shard, of, parts, outcomes = (content.pop(name) for name in ("shard", "of", "parts", "outcomes"))
    if not all(isinstance(text, str) for text in content.values()) or content["format"] != _FORMAT:
        raise FormatError(f"{path} is no shard of a check")
    if not (_is_count(of, MOST_SHARDS + 1) and _is_count(shard, of + 1) and shard and _is_count(parts, 2**62)):
        raise FormatError(f"{path} is no shard of a check")
    if not isinstance(outcomes, dict):
        raise FormatError(f"{path} is no shard of a check")
    found: dict[int, Outcome] = {}
    for number, one in outcomes.items():
        three = one if isinstance(one, list) and len(one) == 3 and _PART.fullmatch(number) else [-1] * 3
        if not all(_is_count(value, limit) for value, limit in zip(three, (2**63, 2**63, _LONGEST), strict=True)):
            raise FormatError(f"{path} is no shard of a check: part {number[:20]!r}")
        operations, effort, result = one
        found[int(number)] = (operations, effort, result)
    own = max(-((shard - 1 - parts) // of), 0)
    if len(found) != own or any(number >= parts or number % of != shard - 1 for number in found):
        raise FormatError(f"{path}: its parts are not those of shard {shard}/{of}")
    return Shard(**content, shard=shard, of=of, parts=parts, outcomes=found)


def _is_count(value: object, limit: int) -> bool:
    return type(value) is int and 0 <= value < limit


def combined(shards: Sequence[Shard], certificate_sha256: str, model_digest: str, arithmetic: str, jobs: int) -> InOrder:
    """Who takes the parts of the first step that has such from shards. Raises InvalidInput unless they are all shards of this
    check, each of them once.
    """
    first = shards[0]
    if any(shard.about != first.about for shard in shards):
        raise InvalidInput("the shards are not of one check: they differ in certificate, model, checker, arithmetic or number")
    if (first.certificate_sha256, first.model_digest) != (certificate_sha256, model_digest):
        raise InvalidInput("the shards are about another certificate or model")
    if (first.version, first.code, first.arithmetic) != (__version__, code_digest(), arithmetic):
        made = f"version {first.version}, code {first.code[:12]}, with {first.arithmetic}"
        raise InvalidInput(f"the shards are of {made}; this is {__version__}, {code_digest()[:12]}, with {arithmetic}")
    if len(shards) != first.of or {shard.shard for shard in shards} != set(range(1, len(shards) + 1)):
        raise InvalidInput(f"each of the {first.of} shards is needed once; given: {sorted(shard.shard for shard in shards)}")
    outcomes = {number: one for shard in shards for number, one in shard.outcomes.items()}
    calls = 0

    def recorded(meter: Meter, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        nonlocal calls
        calls += 1
        if calls > 1:
            yield from in_processes(jobs, meter, function, items)
            return
        if len(items) != first.parts:
            raise InvalidInput(f"the shards are of {first.parts} parts, the check has {len(items)}")
        for number in range(len(items)):
            operations, effort, result = outcomes[number]
            meter.check_affordable(operations)
            meter.toil(effort)
            meter.operations += operations
            yield cast(Result, result)

    return recorded
