"""The theorem that a proof establishes, in words."""

from dataclasses import dataclass

from certificates.canonical_json import decimal
from certificates.certificate import Statement
from certificates.mlp_statement import FrequencyClaim, MLPStatement
from checker.core.decide import Proof
from checker.reporting.decimals import ceil_decimal, exact_decimal, floor_decimal


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


def theorem(proof: Proof) -> str:
    """What has been proved, in words."""
    statement, config, task = proof.certificate.statement, proof.model.config, proof.task
    if isinstance(statement, MLPStatement):
        p = task.d_vocab
        return (
            f"In real arithmetic, for all a, b from 0 to {p - 1}: what the neurons of the {config.described} with model "
            f"digest {statement.model_digest} add to the logits after the tokens a, b, {p} (without b_out) has, at a "
            f"frequency k, the Fourier component X cos(2 pi k z / {p}) + Y sin(2 pi k z / {p}), z being the output, and "
            f"(X, Y) is within the distance e of the quadrature's A |cos(pi k (a - b) / {p})| (cos(2 pi k (a + b) / {p}), "
            f"sin(2 pi k (a + b) / {p})), for each of the following. "
            f"{'; '.join(bound.sentence for bound in frequency_bounds(statement))}. The task is {task.sentence}."
        )
    return (
        f"In real arithmetic, the {config.described} with model digest {statement.model_digest} is right about at "
        f"least {statement.correct} of {statement.total} inputs: its accuracy on uniformly random ones is at least "
        f"{floor_decimal(statement.correct, statement.total)}. The task is {task.sentence}. To be right means that the "
        f"true output's logit {_exceeds(statement)} that of every other of the {config.d_vocab_out} outputs."
        f"{_deployed(statement)}"
    )


def _deployed(statement: Statement) -> str:
    if statement.deployed is None:
        return ""
    return (
        f" Every execution of the model in {statement.deployed}, as rule float-execution describes executions, classifies "
        "these inputs correctly, too."
    )


def _exceeds(statement: Statement) -> str:
    return f"is greater, by more than {decimal(statement.margin)}, than" if statement.margin else "is strictly greater than"
