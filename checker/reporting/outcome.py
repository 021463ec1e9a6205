"""What comes out of a check, whoever made it: nothing here needs more than the standard library."""

import time
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from certificates.canonical_json import Json
from certificates.mlp_statement import FrequencyClaim, MLPStatement
from checker.core.errors import CheckError
from checker.reporting.decimals import ceil_decimal, exact_decimal
from checker.reporting.second_checker import SecondVerdict

ArithmeticName = Literal["integers", "mpmath"]


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


def frequency_bounds(statement: MLPStatement) -> tuple[FrequencyBound, ...]:
    """What a statement about an MLP says of each frequency."""
    return tuple(FrequencyBound.of(claim, statement.scale) for claim in statement.claims)


@dataclass(frozen=True)
class Verdict:
    """The outcome of a check; the fields are the keys of `checker verify --json`.

    `correct` and `total` are integers of any size. `accuracy_floor` is correct/total as a decimal string, rounded down.
    `trusted_lines`: lines of code that an accepted proof rests on, those of the core, of the rules it names,
    and with several processes, of what divides the work.
    `seconds` (a decimal string) excludes start-up. `model_digest` is that of the model file. `margin` (a decimal string) is by
    how much more the true outputs' logits lead, and `deployed` the format whose executions are proved right, too. `mlp` is what
    a certificate about an MLP proves, which then has no `correct`, `total`, `accuracy_floor` or `margin`. `verified` is what
    the second checker says, if it was asked; asked alone, it tells nothing of operations and rules. `shards`: of so many shards
    the parts were not checked again, but believed; then there are no trusted lines to count. What could not be determined, and
    what is not proved, is None. `exit_code` is what the command returns (0 accepted, 1 refused, 2 bad input).
    """

    accepted: bool
    reason: str
    exit_code: int
    theorem: str | None = None
    correct: int | None = None
    total: int | None = None
    accuracy_floor: str | None = None
    operations: int | None = None
    unexplained_dimension: int | None = None
    trusted_lines: int | None = None
    rules: tuple[str, ...] | None = None
    certificate_bytes: int | None = None
    seconds: str | None = None
    model_digest: str | None = None
    task: Json = None
    margin: str | None = None
    deployed: str | None = None
    warnings: tuple[str, ...] = ()
    mlp: tuple[FrequencyBound, ...] | None = None
    verified: SecondVerdict | None = None
    shards: int = 0

    def as_json(self) -> dict[str, Any]:
        """What `checker verify --json` prints: the fields, and counts as texts, for readers that truncate them."""
        counts = {"correct_text": self.correct, "total_text": self.total}
        return {**asdict(self), **{name: None if count is None else str(count) for name, count in counts.items()}}

    def raise_if_refused(self) -> Self:
        """This verdict, if it accepts. Raises CheckError with the reason if not."""
        if not self.accepted:
            raise CheckError(self.reason)
        return self


def elapsed(started: int) -> str:
    """Seconds since a moment of time.perf_counter_ns, as a decimal string."""
    milliseconds = (time.perf_counter_ns() - started) // 10**6
    return f"{milliseconds // 1000}.{milliseconds % 1000:03d}"
