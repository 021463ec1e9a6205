"""From a model and a strategy to a certificate."""

import torch

from certificates import AttentionOnly, Certificate, Model, RawTensor
from certificates.canonical_json import Json
from certificates.tensor_file import IntArray
from prover.layers.two_input_problem import PairProblem
from prover.strategy import Evidence, MLPEvidence, Problem, Strategy, Track, silent


def problem_about(
    model: Model,
    device: torch.device,
    precision: int = 30,
    track: Track = silent,
    task: Json = None,
    given: IntArray | None = None,
) -> Problem | PairProblem:
    """What there is to prove about a model. task: default, that of the model file; given: a multiplication table for it."""
    if isinstance(model.config, AttentionOnly):
        return Problem(model, device, precision, track, task)
    return PairProblem(model, device, precision, track, task, given)


def prove(problem: Problem | PairProblem, strategy: Strategy) -> tuple[Certificate, Evidence | MLPEvidence]:
    """Search with the strategy and state what was found.

    Raises DoesNotFit if the model is out of the strategy's reach, FormatError if the task is unknown.
    """
    task = problem.task.json
    evidence = strategy.prove(problem)
    statement = evidence.statement(problem.model.digest(), task, problem.total)
    given = problem.given if isinstance(problem, PairProblem) else None
    table = None if given is None else RawTensor.of_integers(given)
    return Certificate(statement, problem.precision, evidence.steps, table), evidence
