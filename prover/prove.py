"""From a model and a strategy to a certificate."""

from fractions import Fraction

import torch

from certificates import AttentionOnly, Certificate, Model, Transformer
from certificates.canonical_json import Json
from certificates.tensor_file import IntArray
from prover.attention.sequence_problem import SequenceProblem
from prover.layers.two_input_problem import TwoInputProblem
from prover.problem import Problem, Track, silent
from prover.strategy import Evidence, MLPEvidence, Strategy
from prover.transformer.problem import TransformerProblem


def problem_about(
    model: Model,
    device: torch.device,
    precision: int = 30,
    track: Track = silent,
    task: Json = None,
    given: IntArray | None = None,
    margin: Fraction = Fraction(0),
) -> Problem:
    """What there is to prove about a model. task: default, that of the model file; given: a multiplication table for it;
    margin: by more than this much the logits of true outputs are to lead.
    """
    if isinstance(model.config, AttentionOnly):
        return SequenceProblem(model, device, precision, track, task, margin)
    if isinstance(model.config, Transformer):
        return TransformerProblem(model, device, precision, track, task, margin)
    return TwoInputProblem(model, device, precision, track, task, margin, given)


def prove(problem: Problem, strategy: Strategy) -> tuple[Certificate, Evidence | MLPEvidence]:
    """Search with the strategy and state what was found.

    Raises DoesNotFit if the model is out of the strategy's reach, FormatError if the task is unknown.
    """
    task = problem.task.json
    evidence = strategy.prove(problem)
    statement = evidence.statement(problem.model.digest(), task, problem.total, problem.margin)
    return Certificate(statement, problem.precision, evidence.steps, problem.stated_table), evidence
