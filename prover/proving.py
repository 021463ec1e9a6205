"""From a model and a strategy to a certificate."""

from dataclasses import replace
from fractions import Fraction

import torch

from certificates import AttentionOnly, Certificate, Model, Statement, Step, Transformer
from certificates.automaton import Automaton
from certificates.canonical_json import Json
from certificates.tensor_file import IntArray
from prover.attention.sequence_problem import SequenceProblem
from prover.deployed import FORMATS, required_margin
from prover.layers.two_input_problem import TwoInputProblem
from prover.problem import Problem, Track, silent
from prover.strategy import DoesNotFit, Evidence, MLPEvidence, Strategy
from prover.transformer.problem import TransformerProblem
from prover.transformer.sorted_lists import SORTED_LISTS, SortedListsProblem


def problem_about(
    model: Model,
    device: torch.device,
    precision: int = 30,
    track: Track = silent,
    task: Json = None,
    given: IntArray | None = None,
    margin: Fraction = Fraction(0),
    automaton: Automaton | None = None,
) -> Problem:
    """What there is to prove about a model. task: default, that of the model file; given: a multiplication table for it;
    margin: by more than this much the logits of true outputs are to lead; automaton: a task without a name.
    """
    if isinstance(model.config, AttentionOnly):
        return SequenceProblem(model, device, precision, track, task, margin, automaton)
    if isinstance(model.config, Transformer):
        listed = automaton is None and (model.task if task is None else task) == SORTED_LISTS
        kind = SortedListsProblem if listed else TransformerProblem
        return kind(model, device, precision, track, task, margin, automaton)
    return TwoInputProblem(model, device, precision, track, task, margin, automaton, given)


def deployable(problem: Problem, deployed: str) -> Problem:
    """The same about executions in a floating-point format, by its name: with a margin that is large enough for rule
    float-execution (prover/deployed), or for general transformers in intervals that hold what is computed.
    """
    if isinstance(problem, TransformerProblem):
        return replace(problem, deployed=deployed)
    return replace(problem, margin=max(problem.margin, required_margin(problem.model, deployed)))


def prove(problem: Problem, strategy: Strategy, deployed: str | None = None) -> tuple[Certificate, Evidence | MLPEvidence]:
    """Search with the strategy and state what was found; deployed: also of executions in this format (see `deployable`).

    Raises DoesNotFit if the model or task is out of the strategy's reach, FormatError if the task is unknown.
    """
    if problem.automaton is not None and not strategy.any_task:
        raise DoesNotFit(f"{strategy.name} is about tasks with a name; for others there is --strategy enumerate")
    general = isinstance(problem, TransformerProblem)
    if deployed is not None and general and "executed-forward" not in strategy.rules:
        raise DoesNotFit(f"{strategy.name} knows nothing of executions in floating point: use regions, or enumerate")
    task = problem.stated_task
    evidence = strategy.prove(problem)
    statement = evidence.statement(problem.model.digest(), task, problem.total, problem.margin)
    steps = evidence.steps
    if deployed is not None and isinstance(statement, Statement):
        statement = replace(statement, deployed=deployed)
        if not general:
            steps = (*steps, Step("float-execution", (len(steps) - 1,), {"format": FORMATS[deployed].number}))
    return Certificate(statement, problem.precision, steps, problem.given_tensors), evidence
