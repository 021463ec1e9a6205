"""Looks for certificates that take longer to check than the meter says.

*What is promised.* The meter lets effort exceed a budget of operations two and a half times, so that no file is checked for
more than twice as long as `brute-force` takes for the budget. That holds if the seconds of a check are at most 2 / 2.5 = 0.8
of what `brute-force` takes for as many operations as the check has effort: the `LIMIT`.

*The search.* Every rule's golden certificates are *grown*: the model's sizes, the hints' axes (by repeating, padding, counting
on, or with noise), parameters, and the number of steps. A shape that the rule refuses is put right. Inequalities count as
proved (at their usual cost), so that a rule goes on to its end however little sense a grown hint makes. Then seconds of
processor time are compared with effort. `python tests/core/pace_search.py` (`make pace`) searches for a given time.
"""

import argparse
import math
import random
import re
import signal
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import make_golden
import mutate
import numpy as np
from primitive_pace import brute_force_pace

from certificates import AttentionOnly, Certificate, Model, RawTensor, Statement, Step, integer_tensor, read_model
from certificates.architectures import ModelConfig, UniformAttention
from certificates.certificate import parse_certificate, read_certificate
from certificates.tensor_file import MAX_FILE_BYTES, parse_tensor_file
from checker import decide
from checker.core.errors import CheckError
from checker.core.meter import Budget, Meter
from checker.core.scaled_integers import ScaledIntegers
from checker.registry import RULES

LIMIT = 0.8
"""Seconds for each effort, at most, in those of `brute-force` for each operation."""
CAP = 15 * 10**7
"""Effort at which a check is cut off: half a second at the pace of `brute-force`."""
FIXED_SECONDS = 0.1
"""What a check may take that has next to no effort."""
_EXPECTED = re.compile(r"hint '([a-z_]+)' has shape \[([0-9, ]*)\], expected \[(.*)\]$")


@dataclass(frozen=True)
class Subject:
    """A certificate and its model, and which step is to be grown."""

    name: str
    certificate: Certificate
    model: Model
    target: int

    @property
    def step(self) -> Step:
        """The step to be grown."""
        return self.certificate.steps[self.target]

    def with_step(self, step: Step) -> "Subject":
        """The same with another step in its place."""
        steps = [step if index == self.target else other for index, other in enumerate(self.certificate.steps)]
        return replace(self, certificate=replace(self.certificate, steps=tuple(steps)))


@dataclass(frozen=True)
class Check:
    """What a check took: seconds of processor time and effort; why it ended."""

    seconds: float
    effort: int
    reason: str

    def relative(self, pace: float) -> float:
        """Seconds for each effort, in those of `brute-force` for each operation, if the check takes long enough to tell."""
        return max(self.seconds - FIXED_SECONDS, 0) * pace / max(self.effort, 1)


class TooLongError(Exception):
    """A check has taken so much longer than allowed that its end is not awaited."""


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """Raise TooLongError after some seconds of processor time."""

    def ring(signum: int, frame: object) -> None:
        raise TooLongError

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def check(subject: Subject, cap: int = CAP, most_seconds: float = 5.0, memory: int = Budget.memory) -> Check:
    """Check a certificate whose inequalities all hold, whatever its digest and counts are."""
    meters: list[Meter] = []

    def meter(budget: Budget) -> Meter:
        meters.append(Meter(budget))
        meters[0].most_effort = cap
        return meters[0]

    positive = ScaledIntegers.positive

    def proved(values: ScaledIntegers) -> np.ndarray:
        return np.ones_like(positive(values))

    total = _total(subject.model.config)
    statement = replace(subject.certificate.statement, model_digest="")
    if isinstance(statement, Statement):
        statement = replace(statement, total=total)
    certificate = replace(subject.certificate, statement=statement)
    with (
        patch.object(decide, "Meter", meter),
        patch.object(decide, "_require_order", lambda steps, allowed: None),
        patch.object(Model, "digest", lambda model: ""),
        patch.object(ScaledIntegers, "positive", proved),
    ):
        started = time.process_time()
        try:
            with alarm(most_seconds):
                decide.check_proof(certificate, subject.model, budget=Budget(memory=memory))
            reason = "accepted"
        except TooLongError:
            reason = "still running"
        except CheckError as error:
            reason = str(error)
        seconds = time.process_time() - started
    return Check(seconds, meters[0].effort if meters else 0, reason)


def peak(subject: Subject, memory: int) -> int:
    """The most bytes allocated at a time while the certificate is checked within this budget of memory."""
    tracemalloc.start()
    try:
        check(subject, memory=memory)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _elements(config: ModelConfig) -> int:
    return config.d_vocab - isinstance(config, UniformAttention)


def _total(config: ModelConfig) -> int:
    return int(_elements(config) ** (config.n_ctx if isinstance(config, AttentionOnly) else 2))


@cache
def subjects() -> dict[str, list[Subject]]:
    """For every rule, the golden certificates that use it."""
    found: dict[str, list[Subject]] = {rule: [] for rule in RULES}

    def add(name: str, certificate: Certificate, model: Model) -> None:
        for index, step in enumerate(certificate.steps):
            found[step.rule].append(Subject(name, certificate, model, index))

    for path in sorted(make_golden.FOLDER.glob("*.cert")):
        entry = make_golden.FOLDER / str(_MODELS[path.name])
        if _ACCEPTED[path.name]:
            add(path.stem, read_certificate(path)[0], read_model(entry))
    base = mutate.make_base("low-rank")
    with_model = Path(mutate._SCRATCH.name)
    mutate.put(with_model, base.model)
    add("low-rank", parse_certificate(parse_tensor_file(base.document.content())), read_model(with_model))
    return found


def _verdicts() -> tuple[dict[str, str], dict[str, bool]]:
    import json  # noqa: PLC0415

    entries = json.loads((make_golden.FOLDER / "verdicts.json").read_text())
    return {e["certificate"]: e["model"] for e in entries}, {e["certificate"]: e["accepted"] for e in entries}


_MODELS, _ACCEPTED = _verdicts()

# --- growing ---------------------------------------------------------------------------------------------------------

Growth = Callable[[np.ndarray, int, int, random.Random], np.ndarray]


def _index(values: np.ndarray, axis: int, where: np.ndarray) -> np.ndarray:
    return np.take(values, where, axis=axis)


def _along(values: np.ndarray, axis: int, numbers: np.ndarray) -> np.ndarray:
    """Numbers, one for each place along an axis, so that they broadcast."""
    return numbers.reshape([-1 if i == axis else 1 for i in range(values.ndim)])


def repeated(values: np.ndarray, axis: int, size: int, rng: random.Random) -> np.ndarray:
    """Again and again."""
    return _index(values, axis, np.arange(size) % values.shape[axis])


def stretched(values: np.ndarray, axis: int, size: int, rng: random.Random) -> np.ndarray:
    """Each place many times, one after the other."""
    return _index(values, axis, np.arange(size) * values.shape[axis] // size)


def counted_on(values: np.ndarray, axis: int, size: int, rng: random.Random) -> np.ndarray:
    """Again and again, each time higher."""
    turn = np.arange(size) // values.shape[axis]
    step = int(values.max()) + 1 if values.size else 1
    return repeated(values, axis, size, rng) + _along(values, axis, turn * step)


def padded(values: np.ndarray, axis: int, size: int, rng: random.Random) -> np.ndarray:
    """Followed by one number."""
    grown = _index(values, axis, np.minimum(np.arange(size), values.shape[axis] - 1))
    fill = rng.choice([0, -1, 1, int(values.max()) if values.size else 0])
    return np.where(_along(values, axis, np.arange(size)) < values.shape[axis], grown, fill)


def numbered(values: np.ndarray, axis: int, size: int, rng: random.Random) -> np.ndarray:
    """Just the numbers of the places."""
    shape = tuple(size if i == axis else width for i, width in enumerate(values.shape))
    return np.broadcast_to(_along(values, axis, np.arange(size)), shape).copy()


def noise(values: np.ndarray, axis: int, size: int, rng: random.Random) -> np.ndarray:
    """Numbers like those that there are."""
    shape = tuple(size if i == axis else width for i, width in enumerate(values.shape))
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 1)
    return np.random.default_rng(rng.randrange(2**32)).integers(low, high, shape, endpoint=True)


def same(values: np.ndarray, axis: int, size: int, rng: random.Random) -> np.ndarray:
    """One number everywhere."""
    shape = tuple(size if i == axis else width for i, width in enumerate(values.shape))
    return np.full(shape, rng.choice([0, -1, 1, int(values.max()) if values.size else 0]))


GROWTHS: tuple[Growth, ...] = (repeated, stretched, counted_on, padded, numbered, noise, same)
MOST_NUMBERS = 2**22
"""In one grown hint."""


def grown(tensor: RawTensor, shape: tuple[int, ...], rng: random.Random, growth: Growth | None = None) -> RawTensor:
    """A hint with another shape (or None for an axis: as it is)."""
    values = tensor.integers()
    for axis, size in enumerate(shape):
        if size != values.shape[axis]:
            if math.prod(values.shape) // max(values.shape[axis], 1) * size > MOST_NUMBERS:
                raise OverflowError
            empty = values.shape[axis] == 0
            values = np.zeros((*values.shape[:axis], size, *values.shape[axis + 1 :]), np.int64) if empty else values
            values = (growth or rng.choice(GROWTHS))(values, axis, size, rng)
    return integer_tensor(values)


def grown_model(model: Model, sizes: Mapping[str, int]) -> Model:
    """A model whose weights are repeated to other sizes."""
    config = replace(model.config, **sizes)
    shapes, tensors = config.tensor_shapes(), {}
    for name, tensor in model.tensors.items():
        width = len(tensor.data) // max(math.prod(tensor.shape), 1)
        values = np.frombuffer(tensor.data, f"V{width}").reshape(tensor.shape)
        for axis, size in enumerate(shapes[name]):
            values = _index(values, axis, np.arange(size) % values.shape[axis])
        if values.nbytes > MAX_FILE_BYTES // 8:
            raise OverflowError
        tensors[name] = RawTensor(tensor.dtype, shapes[name], values.tobytes())
    return Model(config, tensors, model.task)


def _grow_model(subject: Subject, rng: random.Random) -> Subject:
    """Some sizes larger, and a task for it."""
    config, sizes = subject.model.config, {}
    for name in rng.sample(sorted(config.ranges), rng.randint(0, 3)):
        low, high = config.ranges[name]
        sizes[name] = max(
            low, min(high, vars(config)[name] * rng.choice([1, 2, 3, 8, 30, 100, 300, 1000]), rng.choice([300, 5000]))
        )
    if "d_vocab" in sizes or "d_vocab_out" in sizes:
        elements = sizes.get("d_vocab", config.d_vocab) - isinstance(config, UniformAttention)
        outputs = sizes.get("d_vocab_out", config.d_vocab_out)
        sizes["d_vocab_out"] = elements if rng.random() < 0.7 or outputs < elements else outputs
    model = grown_model(subject.model, sizes)
    certificate = subject.certificate
    elements = _elements(model.config)
    if not isinstance(config, AttentionOnly) and elements != _elements(config):
        names = [f"cyclic:{elements}"] + [f"dihedral:{elements // 2}"] * (elements % 2 == 0)
        task: Any = {"group": rng.choice(names), "name": "group-composition"}
        if certificate.statement.task.get("name") == "modular-addition" or rng.random() < 0.3:  # type: ignore[union-attr]
            task = {"modulus": elements, "name": "modular-addition"}
        certificate = replace(certificate, statement=replace(certificate.statement, task=task), given={})
    if isinstance(config, AttentionOnly) and rng.random() < 0.2:
        tasks = [{"name": "min-of-k"}, {"name": "nth-max-of-k", "n": min(2, model.config.n_ctx)}]
        certificate = replace(certificate, statement=replace(certificate.statement, task=rng.choice(tasks)))
    return replace(subject, model=model, certificate=certificate)


def _grow_hints(subject: Subject, rng: random.Random) -> Subject:
    """Some axes of the target's hints longer, those of one length in the same way or not."""
    step, lengths = subject.step, dict[int, int]()
    hints, factor = dict(step.hints), rng.choice([3, 10, 30, 100, 300, 1000, 10_000, 100_000])
    together = rng.random() < 0.5
    for name in rng.sample(sorted(hints), rng.randint(0, len(hints))):
        shape = list(hints[name].shape)
        for axis in range(len(shape)):
            if rng.random() < 0.5:
                wanted = lengths.setdefault(shape[axis], max(1, shape[axis]) * factor)
                shape[axis] = wanted if together else max(1, shape[axis]) * rng.choice([2, factor])
        hints[name] = grown(hints[name], tuple(shape), rng)
    return subject.with_step(replace(step, hints=hints))


def _grow_parameters(subject: Subject, rng: random.Random) -> Subject:
    step, extremes = subject.step, (-1, 0, 1, 2, 3, 15, 16, 30, 50, 1000, 2**53 - 1, 2**62)
    parameters = {name: rng.choice(extremes) if rng.random() < 0.2 else value for name, value in step.parameters.items()}
    certificate = subject.certificate
    if rng.random() < 0.15:
        certificate = replace(certificate, precision=rng.choice([12, 20, 30, 31, 64, 256]))
    return replace(subject, certificate=certificate).with_step(replace(step, parameters=parameters))


def _more_steps(subject: Subject, rng: random.Random) -> Subject:
    """The target again and again, on the same premises or on each other, and a sum of all, and perhaps a list of inputs."""
    count, chained = rng.choice([2, 10, 100, 250]), rng.random() < 0.5
    steps = list(subject.certificate.steps[: subject.target + 1])
    copies = [subject.target]
    for _ in range(count - 1):
        premises = subject.step.premises
        if chained and premises:
            premises = (*premises[:-1], copies[-1])
        copies.append(len(steps))
        steps.append(replace(subject.step, premises=premises))
    steps.append(Step("disjoint-sum", tuple(copies)))
    return replace(subject, certificate=replace(subject.certificate, steps=tuple(steps)))


def fitted(subject: Subject, rng: random.Random) -> tuple[Subject, Check]:
    """Shapes that a rule refuses put right, one after the other."""
    done = check(subject)
    for _ in range(60):
        refusal = _EXPECTED.search(done.reason)
        if refusal is None:
            break
        at = re.search(r"step ([0-9]+) ", done.reason)
        index = int(at[1]) if at else subject.target
        name, wanted = refusal[1], [part.strip().strip("'") for part in refusal[3].split(",") if part.strip()]
        step = subject.certificate.steps[index]
        shape = step.hints[name].shape
        if len(wanted) != len(shape):
            break
        fits = tuple(size if text == "any" else int(text) for size, text in zip(shape, wanted, strict=True))
        mended = grown(step.hints[name], fits, rng)
        steps = [
            replace(other, hints={**other.hints, name: mended})
            if other.rule == step.rule and name in other.hints and other.hints[name].shape == shape
            else other
            for other in subject.certificate.steps
        ]
        subject = replace(subject, certificate=replace(subject.certificate, steps=tuple(steps)))
        done = check(subject)
    return subject, done


def candidate(rule: str, seed: int) -> Subject:
    """One grown certificate of a rule."""
    rng = random.Random(f"{rule} {seed}")
    subject = rng.choice(subjects()[rule])
    if rng.random() < 0.8:
        subject = _grow_model(subject, rng)
    if rng.random() < 0.6:
        subject = _grow_hints(subject, rng)
    subject = _grow_parameters(subject, rng)
    return _more_steps(subject, rng) if rng.random() < 0.3 else subject


@dataclass
class Search:
    """Results for a rule: how many candidates took long enough to tell, and the slowest relative to its effort."""

    rule: str
    pace: float
    tried: int = 0
    told: int = 0
    slowest: float = 0.0
    what: str = ""
    reasons: dict[str, int] = field(default_factory=dict)

    def look_at(self, seed: int) -> None:
        """Check one candidate, more than once if it seems slow."""
        rng = random.Random(f"fit {self.rule} {seed}")
        try:
            subject, done = fitted(candidate(self.rule, seed), rng)
        except (OverflowError, ValueError) as error:  # too large to be made, or of nothing
            self.reasons[type(error).__name__] = self.reasons.get(type(error).__name__, 0) + 1
            return
        self.tried += 1
        key = re.sub(r"[0-9]+", "#", done.reason)[:90]
        self.reasons[key] = self.reasons.get(key, 0) + 1
        if done.seconds < 3 * FIXED_SECONDS:
            return
        self.told += 1
        for _ in range(2):
            if done.relative(self.pace) > LIMIT:
                again = check(subject)
                done = min(done, again, key=lambda one: one.relative(self.pace))
        if done.relative(self.pace) > self.slowest:
            self.slowest = done.relative(self.pace)
            self.what = f"seed {seed}: {subject.name}, {done.seconds:.2f} s, effort {done.effort:.2g}, {done.reason[:160]}"


def main() -> None:
    """Search for a given time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rules", nargs="*", default=sorted(RULES))
    parser.add_argument("--seconds", type=float, default=60.0, help="for each rule")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--reasons", action="store_true")
    options = parser.parse_args()
    pace, failed = brute_force_pace(), False
    print(f"brute-force: {pace:.3g} operations per second")
    for rule in options.rules:
        search, seed, started = Search(rule, pace), options.first, time.process_time()
        while time.process_time() - started < options.seconds:
            search.look_at(seed)
            seed += 1
        failed |= search.slowest > LIMIT
        print(f"{rule:18} {search.tried:6} tried, {search.told:5} long enough, {search.slowest:5.2f}  {search.what}")
        if options.reasons:
            for reason, count in sorted(search.reasons.items(), key=lambda item: -item[1])[:25]:
                print(f"    {count:6} {reason}")
        sys.stdout.flush()
    sys.exit(failed)


if __name__ == "__main__":
    main()
