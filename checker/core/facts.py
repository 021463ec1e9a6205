"""What rules have established. Only rules construct facts (a test enforces it), so the code that adds up a verdict cannot be
handed a number from a certificate where a proved one is needed. Facts that only one family of rules speaks of are defined
there (attention/tables, layers/facts, layers/quadrature_claims).
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from certificates.certificate import Step
from certificates.model_file import Model
from certificates.tensor_file import IntArray, RawTensor
from checker.core.enclosures import Arithmetic, BoolArray
from checker.core.errors import Refused
from checker.core.in_order import InOrder, in_turn
from checker.core.meter import Meter
from checker.core.tasks import Task

_LARGEST_HINT = 2**62


@dataclass(frozen=True)
class Setting:
    """What every rule may look at: the model and task of the statement, the arithmetic, the meter, and who does parts in order.

    An input is classified correctly if the logit of its true output exceeds that of every other one by more than `margin`.
    """

    model: Model
    task: Task
    arithmetic: Arithmetic
    meter: Meter
    in_order: InOrder = in_turn
    margin: Fraction = Fraction(0)


class Fact:
    """Base of all facts. unexplained_dimension: how many numbers were taken as they are to establish it."""

    unexplained_dimension: int


class Classifier(Fact, ABC):
    """Base of facts that tell of single inputs how they are classified. deployed: as of `CertifiedInputs`."""

    deployed: str | None = None

    @property
    @abstractmethod
    def least_work(self) -> tuple[int, int]:
        """Operations and effort that inputs of the task take at least, on average over any of them."""

    @abstractmethod
    def classifies(self, setting: Setting, inputs: IntArray, outputs: IntArray) -> BoolArray:
        """Which of some inputs "n k" are proved to have these outputs "n r" at the task's reads, by more than the margin."""


@dataclass(frozen=True)
class CertifiedInputs(Fact):
    """At least `correct` inputs, all of them in `cells`, are classified correctly: those that a rule counted.

    `cells` marks cells of the task. For inputs of shape "n k", `may_count` tells which might be among
    those counted: it is true of every one that is, and free of any arithmetic that could come out differently than it did
    when counting. It need not be true of inputs that were listed one by one; none of these comes after `last`, a row
    (cell, x_0, .., x_{K-1}), in lexicographic order. `covers` tells which are proved correct; it serves to answer questions
    only, and no rule may rely on it. deployed: a floating-point format in which every execution classifies them correctly, too.
    """

    correct: int
    cells: BoolArray
    covers: Callable[[IntArray], BoolArray]
    may_count: Callable[[IntArray], BoolArray]
    unexplained_dimension: int = 0
    last: tuple[int, ...] = ()
    deployed: str | None = None


def take_parameters(step: Step, *names: str) -> tuple[int, ...]:
    """The step's parameters, which must be exactly these."""
    if set(step.parameters) != set(names):
        raise Refused(f"{step.rule} takes exactly the parameters {sorted(names)}, found {sorted(step.parameters)}")
    return tuple(step.parameters[name] for name in names)


def take_hints(setting: Setting, step: Step, **shapes: tuple[int | None, ...]) -> dict[str, IntArray]:
    """The step's integer hint tensors, which must be exactly these, with these shapes (None: any size).

    Numbers are less than 2**62 in size, so that the sum, difference or absolute value of any two does not overflow.
    """
    if set(step.hints) != set(shapes):
        raise Refused(f"{step.rule} takes exactly the hints {sorted(shapes)}, found {sorted(step.hints)}")
    for tensor in step.hints.values():
        setting.meter.hold(8 * math.prod(tensor.shape))
        setting.meter.gathering(2 * math.prod(tensor.shape))  # read, and compared with what they may be
    # Rules sort one at a time, to see whether its numbers differ.
    setting.meter.allocate(9 * max((math.prod(tensor.shape) for tensor in step.hints.values()), default=0))
    return {name: _integers(name, step.hints[name], shape) for name, shape in shapes.items()}


def _integers(name: str, tensor: RawTensor, shape: tuple[int | None, ...]) -> IntArray:
    fits = len(shape) == len(tensor.shape) and all(w in (None, s) for w, s in zip(shape, tensor.shape, strict=True))
    if not fits:
        wanted = ["any" if size is None else size for size in shape]
        raise Refused(f"hint {name!r} has shape {list(tensor.shape)}, expected {wanted}")
    numbers = tensor.integers()
    if np.any((numbers <= -_LARGEST_HINT) | (numbers >= _LARGEST_HINT)):
        raise Refused(f"hint {name!r} has a number that is not less than 2**62 in size")
    return numbers


def no_cells(setting: Setting) -> BoolArray:
    """A mask with no cell of the task in it, to be filled by a rule."""
    shape = setting.task.cell_shape
    setting.meter.hold(math.prod(shape))
    setting.meter.gathering(math.prod(shape) // 4)
    return np.zeros(shape, np.bool_)
