"""What there is to prove something about: a model and a task, whatever the architecture."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from certificates import Model, RawTensor, Step, integer_tensor
from certificates.automaton import Automaton
from certificates.canonical_json import Json
from certificates.tensor_file import IntArray

BoolArray: TypeAlias = NDArray[np.bool_]
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
    margin: by more than this much the logits of true outputs are to lead. automaton: the task, if it has no name. folder: in
    which a long search may keep what it has found, to go on from there.
    """

    model: Model
    device: torch.device
    precision: int = 30
    track: Track = silent
    task_json: Json = None
    margin: Fraction = Fraction(0)
    automaton: Automaton | None = None
    folder: Path | None = field(default=None, kw_only=True)

    @property
    @abstractmethod
    def task(self) -> Task:
        """The task. Raises FormatError if it is unknown or the model is unfit for it."""

    @property
    def stated_task(self) -> Json:
        """The task as statements name it. Raises FormatError as `task` does."""
        return self.task.json if self.automaton is None else {"automaton": self.automaton.digest}

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """Number of positions, and of tokens, of the sequences that inputs are."""

    @property
    def total(self) -> int:
        """Number of inputs."""
        length, tokens = self.shape
        return tokens**length if self.automaton is None else self.automaton.count()

    @abstractmethod
    def outputs_of(self, inputs: IntArray) -> IntArray:
        """True outputs "n r" of sequences "n k" at the reads, in the task's numbers; -1: no input."""

    @property
    @abstractmethod
    def classifier(self) -> Step:
        """The step that establishes what the checker evaluates single inputs with."""

    @abstractmethod
    def decide(self, inputs: IntArray, outputs: IntArray) -> tuple[BoolArray, BoolArray]:
        """Which inputs "n k" (in the task's numbers) the checker surely proves, and which it surely does not."""

    @property
    def given_tensors(self) -> dict[str, RawTensor]:
        """What a certificate must bring along so that the task is known, by name."""
        return {} if self.automaton is None else tensors_of(self.automaton)


def tensors_of(automaton: Automaton) -> dict[str, RawTensor]:
    """The tables of an automaton as a certificate brings them along."""
    return {name: integer_tensor(table) for name, table in automaton.tables.items()}
