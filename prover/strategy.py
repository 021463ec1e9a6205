"""What a strategy is: a named way of finding the evidence for a list of proof steps."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
import torch

from certificates import FrequencyClaim, MLPStatement, Model, Statement, Step
from certificates.canonical_json import Json
from prover.attention.pessimistic_tables import Tables, additive_tables
from prover.error_terms import ErrorTerms
from prover.surrogate import Surrogate
from prover.tasks import Task, parse_task
from prover.weights import Weights, load_weights

Item = TypeVar("Item")
Track = Callable[[Iterable[Any], str], Iterator[Any]]


def silent(items: Iterable[Item], what: str) -> Iterator[Item]:
    """A `Track` that shows nothing."""
    yield from items


class DoesNotFit(ValueError):
    """The strategy cannot be used on this model; the message gives the estimate and what to do instead."""


@dataclass(frozen=True)
class Problem:
    """What to prove something about: how well a model does a task, searched on `device`, checked at `precision` bits.

    `track(items, description)` iterates over items and shows progress. `task_json` defaults to the model file's task.
    """

    model: Model
    device: torch.device
    precision: int = 30
    track: Track = silent
    task_json: Json = None

    @cached_property
    def task(self) -> Task:
        """The task. Raises FormatError if it is unknown or the model is unfit for it."""
        return parse_task(self.model.task if self.task_json is None else self.task_json, self.model.config)

    @cached_property
    def weights(self) -> Weights:
        """The model in float64 on the device, its tokens and outputs in the order of the task's numbers."""
        return self.in_order(load_weights(self.model, self.device))

    def in_order(self, weights: Weights) -> Weights:
        """Weights as in the model file, with tokens and outputs in the order of the task's numbers."""
        if not self.task.reverse:
            return weights
        ordered = {**weights, "embed.W_E": weights["embed.W_E"].flip(0)}
        for name in ("unembed.W_U", "unembed.b_U"):
            kept = weights[name][..., self.d_vocab :]
            ordered[name] = torch.cat([weights[name][..., : self.d_vocab].flip(-1), kept], -1)
        return ordered

    @cached_property
    def tables(self) -> Tables:
        """The additive tables, with the checker's rounding errors."""
        return additive_tables(self.weights, self.precision)

    @property
    def d_vocab(self) -> int:
        """Number of tokens V."""
        return self.model.config.d_vocab

    @property
    def n_ctx(self) -> int:
        """Sequence length K."""
        return self.model.config.n_ctx

    @property
    def total(self) -> int:
        """Number of inputs."""
        return self.d_vocab**self.n_ctx


@dataclass(frozen=True)
class Evidence:
    """Proof steps, the number of correct inputs they establish, and the number they look at.

    cells "q m": the correct inputs by query and true output, as Python integers.
    """

    steps: tuple[Step, ...]
    correct: int
    covered: int
    cells: np.ndarray

    def statement(self, model_digest: str, task: Json, total: int) -> Statement:
        """What the steps prove."""
        return Statement(model_digest, task, self.correct, total)


@dataclass(frozen=True)
class MLPEvidence:
    """Proof steps, and what they establish about an MLP in units of 2**-scale."""

    steps: tuple[Step, ...]
    scale: int
    claims: tuple[FrequencyClaim, ...]

    def statement(self, model_digest: str, task: Json, total: int) -> MLPStatement:
        """What the steps prove."""
        return MLPStatement(model_digest, task, self.scale, self.claims)


@dataclass(frozen=True)
class Strategy(ABC):
    """Base of all strategies. Subclasses are frozen dataclasses; their fields are the switches of `--set key=value`."""

    name: ClassVar[str]
    cost: ClassVar[str]
    summary: ClassVar[str]
    rate: ClassVar[float] = 1e-3
    """Adam's learning rate in fine-tuning, if the recipe has none: how far weights have to move for such proofs."""

    @abstractmethod
    def prove(self, problem: Problem) -> Evidence | MLPEvidence:
        """Search for evidence. Raises DoesNotFit if the model is out of this strategy's reach."""

    def error_terms(self, problem: Any) -> ErrorTerms | None:
        """What stands between the interpretation and a proof, if the strategy can tell. Raises as `prove` does."""
        return None

    def surrogate(self, problem: Any) -> Surrogate:
        """What this strategy would certify, differentiable (prover/surrogate), for weights near the problem's.

        Raises DoesNotFit as `prove` does, and if the strategy has none.
        """
        raise DoesNotFit(f"{self.name} has no differentiable surrogate, so it cannot be an objective")

    @classmethod
    def sweep(cls, problem: Problem) -> tuple[Self, ...]:
        """The settings that `prover frontier` tries on this problem. Default: just the defaults."""
        return (cls(),)

    @classmethod
    def with_settings(cls, settings: dict[str, str]) -> Self:
        """An instance with some integer switches set. Raises ValueError naming the switches there are."""
        known = {field.name for field in fields(cls)}
        for key in settings:
            if key not in known:
                raise ValueError(f"strategy {cls.name} has no switch {key!r}; it has {sorted(known) or 'none'}")
        try:
            return cls(**{key: int(value) for key, value in settings.items()})
        except ValueError as error:
            raise ValueError(f"the switches of {cls.name} are integers: {error}") from error
