"""From a model and a strategy to a certificate."""

from certificates import Certificate, RawTensor, Statement
from prover.pair_problem import PairProblem
from prover.strategy import Evidence, Problem, Strategy


def prove(problem: Problem | PairProblem, strategy: Strategy) -> tuple[Certificate, Evidence]:
    """Search with the strategy and state what was found.

    Raises DoesNotFit if the model is out of the strategy's reach, FormatError if the task is unknown.
    """
    task = problem.task.json
    evidence = strategy.prove(problem)
    statement = Statement(problem.model.digest(), task, evidence.correct, problem.total)
    given = problem.given if isinstance(problem, PairProblem) else None
    table = None if given is None else RawTensor.of_integers(given)
    return Certificate(statement, problem.precision, evidence.steps, table), evidence
