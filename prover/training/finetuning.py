"""Fine-tuning towards a proof: gradient steps on the task's loss and on what a strategy would certify (prover/surrogate).

Nothing here adds trust: the objective only proposes weights. At every milestone the weights are rounded to the model file's
types, the strategy searches for its proof of *that* model, and the best model so far is kept, as long as its accuracy does not
fall below a share of the original's. What counts in the end is the certificate, which the checker accepts or not.

A run is a sequence of states, one for each milestone; any of them can be stored and continued, with the same outcome.
"""

import math
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from certificates import Model
from prover.attention.sequence_problem import SequenceProblem
from prover.problem import Problem
from prover.strategy import DoesNotFit, Strategy
from prover.training.examples import count_right, outputs, some_examples, varied_examples
from prover.weights import TYPES, load_weights, raw_tensor

_HOTTEST, _COLDEST = 0.1, 0.003
"""The temperature of soft minima falls geometrically from the first to the last step."""
_SAMPLES = 100_000
"""Inputs on which accuracies and changed predictions are measured, if there are more."""


@dataclass(frozen=True)
class Recipe:
    """steps at most; Adam at `rate` (default: the strategy's), which falls linearly over the last third, gradients clipped to
    length 1; `milestone`: steps between proofs; batch: of the task's loss, which alone counts in the first `warmup` steps, so
    that the model tells inputs apart that it has hardly seen before claims lump them together (attention-only models).
    keep_accuracy: share of the original's accuracy below which no model is kept. Deterministic given the seed on one machine.
    """

    steps: int = 2500
    rate: float | None = None
    batch: int = 128
    milestone: int = 50
    warmup: int = 300
    keep_accuracy: float = 0.999
    seed: int = 0


@dataclass(frozen=True)
class Milestone:
    """What was measured after some steps: certified inputs; how many of how many examples are right; mean losses so far."""

    step: int
    correct: int
    right: int
    examples: int
    task_loss: float
    surrogate_loss: float


@dataclass(frozen=True)
class State:
    """A run after some steps; `optimizer` is Adam's state. stopped: why it will not go on, if so."""

    weights: Mapping[str, Tensor]
    optimizer: Mapping[str, Any]
    best: Model
    best_correct: int
    history: tuple[Milestone, ...]
    stopped: str = ""

    @property
    def step(self) -> int:
        """Steps taken."""
        return self.history[-1].step


def finetune(problem: Problem, strategy: Strategy, recipe: Recipe, start: State | None = None) -> Iterator[State]:
    """Run from the problem's model, or continue from a state. Yields the state at every milestone, the first one at once.

    Raises DoesNotFit if the strategy cannot be used on this model, or has no surrogate.
    """
    run = _Run(problem, strategy, recipe)
    strategy.surrogate(problem)  # tells at once if there is none
    state = start or run.first()
    yield state
    while not state.stopped:
        state = run.next(state)
        yield state


@dataclass(frozen=True)
class _Run:
    problem: Problem
    strategy: Strategy
    recipe: Recipe

    @cached_property
    def names(self) -> dict[str, str]:
        """For every trained tensor, the one of which it is a copy: itself, but for tensors that are tied."""
        names: dict[str, str] = {}
        stored = self.problem.model.tensors
        for name, tensor in stored.items():
            if not any(tensor.data) and ".b_" in name:
                continue  # frozen at zero
            names[name] = next((other for other in names if stored[other] == tensor), name)
        return names

    def first(self) -> State:
        """The model as it is."""
        original = load_weights(self.problem.model, self.problem.device)
        weights = {name: original[name] for name in dict.fromkeys(self.names.values())}
        correct = self.strategy.at_milestones().prove(self.problem).correct
        milestone = Milestone(0, correct, *self.accuracy(self.problem.model), math.nan, math.nan)
        return State(weights, {}, self.problem.model, correct, (milestone,), self._reason_to_stop(0, correct))

    def _reason_to_stop(self, step: int, correct: int) -> str:
        if correct == self.problem.total:
            return "every input is certified"
        return "all steps were taken" if step >= self.recipe.steps else ""

    def whole(self, trained: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """All weights by name, those that are not trained included."""
        fixed = load_weights(self.problem.model, self.problem.device)
        return {name: trained[self.names[name]] if name in self.names else fixed[name] for name in fixed}

    def rounded(self, trained: Mapping[str, Tensor]) -> Model:
        """The model file's types."""
        stored = dict(self.problem.model.tensors)
        for name, source in self.names.items():
            stored[name] = raw_tensor(trained[source].detach().to(TYPES[stored[name].dtype]))
        return replace(self.problem.model, tensors=stored)

    def about(self, model: Model) -> Problem:
        """The same problem about other weights."""
        return replace(self.problem, model=model)

    def accuracy(self, model: Model) -> tuple[int, int]:
        """How many of how many examples are right: of all inputs, or of random ones if they are too many."""
        examples = some_examples(self.problem, _SAMPLES, torch.Generator().manual_seed(self.recipe.seed))
        return count_right(self.problem, load_weights(model, self.problem.device), examples), len(examples)

    def next(self, state: State) -> State:
        """Take the steps to the next milestone, and prove."""
        recipe = self.recipe
        surrogate = self.strategy.surrogate(self.about(self.rounded(state.weights)))
        trained = {name: tensor.detach().clone().requires_grad_() for name, tensor in state.weights.items()}
        rate = self.strategy.rate if recipe.rate is None else recipe.rate
        warmup = recipe.warmup if isinstance(self.problem, SequenceProblem) else 0
        adam = torch.optim.Adam(list(trained.values()), lr=rate)
        if state.optimizer:
            adam.load_state_dict(deepcopy(dict(state.optimizer)))  # or the state would change with its successor
        weights = self.whole(trained)
        end, losses = min(state.step + recipe.milestone, recipe.steps), []
        for step in range(state.step, end):
            temperature = _HOTTEST * (_COLDEST / _HOTTEST) ** (step / recipe.steps)
            adam.param_groups[0]["lr"] = rate * min(1.0, 3 * (recipe.steps - step) / recipe.steps)
            generator = torch.Generator().manual_seed(recipe.seed * 2**32 + step)
            examples = varied_examples(self.problem, recipe.batch, generator)
            found = outputs(self.problem, weights, examples.inputs)
            task_loss = torch.nn.functional.cross_entropy(found.flatten(0, 1), examples.true.flatten())
            claims_loss = surrogate(weights, temperature).loss()
            share = float(step >= warmup)
            adam.zero_grad()
            (task_loss + share * claims_loss).backward()
            length = float(torch.nn.utils.clip_grad_norm_(list(trained.values()), 1.0))
            if not math.isfinite(length):
                return replace(state, stopped=f"step {step}: the gradient is not finite; the best model so far is kept")
            adam.step()
            losses.append((float(task_loss.detach()), float(claims_loss.detach())))
        model = self.rounded(trained)
        if not all(bool(w.isfinite().all()) for w in load_weights(model, self.problem.device).values()):
            return replace(state, stopped=f"step {end}: weights are not finite; the best model so far is kept")
        right, count = self.accuracy(model)
        try:
            correct = self.strategy.at_milestones().prove(self.about(model)).correct
        except DoesNotFit as error:
            return replace(state, stopped=f"step {end}: {error}; the best model so far is kept")
        best, best_correct = state.best, state.best_correct
        if correct > best_correct and right >= recipe.keep_accuracy * state.history[0].right:
            best, best_correct = model, correct
        means = (sum(part) / len(losses) for part in zip(*losses, strict=True))
        history = (*state.history, Milestone(end, correct, right, count, *means))
        kept = {name: tensor.detach() for name, tensor in trained.items()}
        return State(kept, adam.state_dict(), best, best_correct, history, self._reason_to_stop(end, best_correct))
