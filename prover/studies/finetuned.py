"""A model before and after fine-tuning: both certified, and the report about them."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from prover.attention.sequence_problem import SequenceProblem
from prover.layers.two_input_problem import TwoInputProblem
from prover.problem import Problem
from prover.strategies import ATTENTION_STRATEGIES
from prover.strategy import DoesNotFit, Strategy
from prover.studies.bench import enumerate_with_pytorch
from prover.studies.checked import Verdict, prove_and_check
from prover.studies.frontier_figures import STAGES
from prover.training.examples import Examples, count_right, predictions, some_examples
from prover.training.finetuning import Milestone, State
from prover.weights import load_weights

_ENUMERABLE = 10**8
_SAMPLES = 100_000
_STAGED = 4 * 10**6
"""Stages are compared where V^3 K is no more than this: the most exact ones take seconds then."""


@dataclass(frozen=True)
class Side:
    """One model: the checker's verdict, how many of how many examples are right, and the terms of its losses, by name.

    losses: for sequences the shares of inputs that each simplification loses, for pairs the gap and the errors in logits.
    """

    verdict: Verdict
    right: int
    examples: int
    losses: dict[str, float]


@dataclass(frozen=True)
class Comparison:
    """A fine-tuning run in figures. moved: relative distance by tensor, and of all; changed: share of predictions."""

    strategy: Strategy
    before: Side
    after: Side
    moved: dict[str, float]
    changed: float
    history: tuple[Milestone, ...]
    stopped: str

    @property
    def accepted(self) -> bool:
        """Whether the checker accepted both certificates."""
        return bool(self.before.verdict["accepted"] and self.after.verdict["accepted"])


def compare(problem: Problem, path: Path, tuned: Path, strategy: Strategy, state: State, folder: Path) -> Comparison:
    """Certify the model in `path` and the one in `tuned` with the strategy, as at milestones, and measure both.

    Writes to `folder`.
    """
    strategy, about_tuned = strategy.at_milestones(), replace(problem, model=state.best)
    examples = some_examples(problem, _SAMPLES, torch.Generator().manual_seed(1))
    before = _side(problem, path, strategy, folder / "before.cert", examples)
    after = _side(about_tuned, tuned, strategy, folder / "after.cert", examples)
    old, new = (load_weights(p.model, problem.device) for p in (problem, about_tuned))
    names = [name for name in old if name in problem.model.tensors]
    moved = {name: float((new[name] - old[name]).norm() / old[name].norm()) for name in names if float(old[name].norm())}
    both = [torch.cat([weights[name].reshape(-1) for name in names]) for weights in (old, new)]
    moved["all weights"] = float((both[1] - both[0]).norm() / both[0].norm())
    found = [predictions(problem, weights, examples.inputs) for weights in (old, new)]
    changed = float((found[0] != found[1]).any(1).double().mean())
    return Comparison(strategy, before, after, moved, changed, state.history, state.stopped)


def _side(problem: Problem, path: Path, strategy: Strategy, certificate: Path, examples: Examples) -> Side:
    verdict = prove_and_check(problem, strategy, path, certificate).verdict
    return Side(verdict, *_accuracy(problem, examples), _losses(problem, strategy))


def _accuracy(problem: Problem, examples: Examples) -> tuple[int, int]:
    if len(examples) < problem.total <= _ENUMERABLE and isinstance(problem, SequenceProblem) and problem.task.rank == 1:
        return enumerate_with_pytorch(problem), problem.total
    return count_right(problem, load_weights(problem.model, problem.device), examples), len(examples)


def _losses(problem: Problem, strategy: Strategy) -> dict[str, float]:
    if isinstance(problem, TwoInputProblem):
        terms = strategy.error_terms(problem)
        return {} if terms is None else {"gap": terms.gap, **terms.errors}
    if not isinstance(problem, SequenceProblem) or problem.d_vocab**3 * problem.n_ctx > _STAGED:
        return {}
    losses: dict[str, float] = {}
    missing = 0.0
    stages = [(label, ATTENTION_STRATEGIES[name](**parameters)) for label, name, parameters in STAGES]
    last = next((i for i, (_, stage) in enumerate(stages) if stage == strategy), None)
    stages = stages[: last + 1] if last is not None else [*stages[:4], (f"what {strategy.name} simplifies beside", strategy)]
    for label, stage in stages:
        try:
            correct = stage.prove(problem).correct
        except DoesNotFit:
            continue
        share = (problem.total - correct) / problem.total
        losses[f"{stage.name}: {label.replace('<br>', ' ')}"] = share - missing
        missing = share
    return losses
