"""What there is to prove something about: a model and a task, whatever the architecture."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeVar

import torch

from certificates import Model, RawTensor
from certificates.canonical_json import Json

Item = TypeVar("Item")
Track = Callable[[Iterable[Any], str], Iterator[Any]]


def silent(items: Iterable[Item], what: str) -> Iterator[Item]:
    """A `Track` that shows nothing."""
    yield from items


@dataclass(frozen=True)
class Task:
    """What a model was trained for, as the search sees it: as it is stated, and what else architectures' own tasks add."""

    json: Json


@dataclass(frozen=True)
class Problem(ABC):
    """How well a model does a task, searched on `device`, checked at `precision` bits.

    `track(items, description)` iterates over items and shows progress. `task_json` defaults to the model file's task.
    margin: by more than this much the logits of true outputs are to lead.
    """

    model: Model
    device: torch.device
    precision: int = 30
    track: Track = silent
    task_json: Json = None
    margin: Fraction = Fraction(0)

    @property
    @abstractmethod
    def task(self) -> Task:
        """The task. Raises FormatError if it is unknown or the model is unfit for it."""

    @property
    @abstractmethod
    def total(self) -> int:
        """Number of inputs."""

    @property
    def stated_table(self) -> RawTensor | None:
        """What a certificate must bring along so that the task is known, if anything."""
        return None
