"""From a model and a strategy to a certificate."""

from certificates import Certificate, FormatError, Statement
from certificates.canonical_json import Json, dumps
from prover.strategy import DoesNotFit, Evidence, Problem, Strategy

MAX_OF_K: Json = {"name": "max-of-k"}


def prove(problem: Problem, strategy: Strategy, task: Json = None) -> tuple[Certificate, Evidence]:
    """Search with the strategy and state what was found. `task` defaults to the model file's own.

    Raises DoesNotFit if the model is out of the strategy's reach, FormatError if the task is unknown.
    """
    model = problem.model
    task = task if task is not None else model.task
    if task != MAX_OF_K:
        raise FormatError(f"task {dumps(task)} is unknown; give --task '{dumps(MAX_OF_K)}' for Max-of-K models")
    if model.config.d_vocab_out < model.config.d_vocab:
        raise DoesNotFit("max-of-k needs an output for every token")
    evidence = strategy.prove(problem)
    statement = Statement(model.digest(), task, evidence.correct, problem.total)
    return Certificate(statement, problem.precision, evidence.steps), evidence
