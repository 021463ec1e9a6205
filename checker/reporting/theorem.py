"""The theorem that a proof establishes, in words."""

from certificates.architectures import ModelConfig
from certificates.certificate import Statement
from certificates.decimals import decimal
from certificates.mlp_statement import MLPStatement
from certificates.transformer import Transformer
from checker.decide import Proof
from checker.reporting.decimals import floor_decimal
from checker.reporting.outcome import frequency_bounds


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
        f"{_deployed(statement, config)}"
    )


def _deployed(statement: Statement, config: ModelConfig) -> str:
    if statement.deployed is None:
        return ""
    rule = "executed-forward" if isinstance(config, Transformer) else "float-execution"
    return (
        f" Every execution of the model in {statement.deployed}, as rule {rule} describes executions, classifies "
        "these inputs correctly, too."
    )


def _exceeds(statement: Statement) -> str:
    return f"is greater, by more than {decimal(statement.margin)}, than" if statement.margin else "is strictly greater than"
