"""What a strategy is: a named way of finding the evidence for a list of proof steps."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from fractions import Fraction
from typing import Any, ClassVar, Self

import numpy as np

from certificates import FrequencyClaim, MLPStatement, Statement, Step
from certificates.canonical_json import Json
from prover.error_terms import ErrorTerms
from prover.spelling import meant
from prover.surrogate import Surrogate

MACHINE_PRECISION = 30
"""Up to so many bits the checker works on machine integers: beyond, a hundred times as slowly."""


class DoesNotFit(ValueError):
    """The strategy cannot be used on this model; the message gives the estimate and what to do instead."""


@dataclass(frozen=True)
class Evidence:
    """Proof steps, the number of correct inputs they establish, and the number they look at.

    cells "q m": the correct inputs by query and true output, as Python integers.
    """

    steps: tuple[Step, ...]
    correct: int
    covered: int
    cells: np.ndarray

    def statement(self, model_digest: str, task: Json, total: int, margin: Fraction) -> Statement:
        """What the steps prove."""
        return Statement(model_digest, task, self.correct, total, margin)


@dataclass(frozen=True)
class MLPEvidence:
    """Proof steps, and what they establish about an MLP in units of 2**-scale."""

    steps: tuple[Step, ...]
    scale: int
    claims: tuple[FrequencyClaim, ...]

    def statement(self, model_digest: str, task: Json, total: int, margin: Fraction) -> MLPStatement:
        """What the steps prove. Raises DoesNotFit if there is a margin, about which they say nothing."""
        if margin:
            raise DoesNotFit("what an MLP adds has no margin: leave out --margin")
        return MLPStatement(model_digest, task, self.scale, self.claims)


def switch(default: int, meaning: str) -> Any:
    """A field of a strategy: an integer that `--set` may change, and what it means."""
    return field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True)
class Strategy(ABC):
    """Base of all strategies. Subclasses are frozen dataclasses; their fields are the switches of `--set key=value`."""

    name: ClassVar[str]
    cost: ClassVar[str]
    summary: ClassVar[str]
    rules: ClassVar[tuple[str, ...]] = ()
    """The rules that its proofs may use."""
    origin: ClassVar[str] = "Of this project."
    """Where the idea was published; papers are named as in prover/papers."""
    vacuous: ClassVar[str] = ""
    """For which models its bound is 0%, and what to try then."""
    any_task: ClassVar[bool] = False
    """Whether it is for tasks without a name, too."""
    resumes: ClassVar[bool] = False
    """Whether its search keeps what it finds in the problem's folder, and goes on from there."""
    rate: ClassVar[float] = 1e-3
    """Adam's learning rate in fine-tuning, if the recipe has none: how far weights have to move for such proofs."""

    @abstractmethod
    def prove(self, problem: Any) -> Evidence | MLPEvidence:
        """Search for evidence. Raises DoesNotFit if the model is out of this strategy's reach."""

    def fitting(self, problem: Any) -> Any:
        """The problem. Raises DoesNotFit if it is out of this strategy's reach, as far as that is seen without a search."""
        return problem

    def error_terms(self, problem: Any) -> ErrorTerms | None:
        """What stands between the interpretation and a proof, if the strategy can tell. Raises as `prove` does."""
        return None

    def surrogate(self, problem: Any) -> Surrogate:
        """What this strategy would certify, differentiable (prover/surrogate), for weights near the problem's.

        Raises DoesNotFit as `prove` does, and if the strategy has none.
        """
        raise DoesNotFit(f"{self.name} has no differentiable surrogate, so it cannot be an objective")

    def expected_operations(self, problem: Any) -> int | None:
        """The length of the proof, about, if it is known before the search: where inputs are evaluated one by one."""
        return None

    def largest(self, problem: Any) -> Mapping[str, int]:
        """Of switches that are limited by the model: the largest value that makes a difference; a larger one is the same."""
        return {}

    def limited(self, problem: Any, given: Collection[str]) -> tuple[Self, tuple[str, ...]]:
        """The same with none of the switches that were given beyond that; and what was changed, in words."""
        limits = self.largest(problem) if given else {}
        most = {name: value for name, value in limits.items() if name in given and getattr(self, name) > value}
        told = (
            f"{name}={getattr(self, name)} is the same as {name}={value}, the largest that makes a difference to this model"
            for name, value in most.items()
        )
        return replace(self, **most), tuple(told)

    def at_milestones(self) -> Self:
        """What fine-tuning proves with on the way, where this would take too long: less is found, never more."""
        return self

    @classmethod
    def sweep(cls, problem: Any) -> tuple[Self, ...]:
        """The settings that `prover frontier` tries on this problem. Default: just the defaults."""
        return (cls(),)

    @classmethod
    def switches(cls) -> tuple[Field[int], ...]:
        """The fields, some of which say in `metadata["meaning"]` what they mean."""
        return fields(cls)

    @classmethod
    def with_settings(cls, settings: dict[str, str]) -> Self:
        """An instance with some integer switches set. Raises ValueError naming the switch that may be meant, or all."""
        known = [one.name for one in cls.switches()]
        for key in settings:
            if key not in known:
                hint = meant(key, known) or f"; it has {', '.join(known) or 'none'}"
                raise ValueError(f"strategy {cls.name} has no switch {key!r}{hint}")
        try:
            return cls(**{key: int(value) for key, value in settings.items()})
        except ValueError as error:
            raise ValueError(f"the switches of {cls.name} are integers: {error}") from error
