"""Strategy `enumerate`: evaluate every input, one by one, whatever the task and the architecture."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from certificates import Step, integer_tensor
from prover.problem import Problem
from prover.strategy import MACHINE_PRECISION, DoesNotFit, Evidence, Strategy

_BLOCK = 2**16
_LARGEST, _LARGEST_WIDE = 10**8, 10**6
"""Sequences that can be looked at, up to 30 bits and beyond: more take the checker hours."""


@dataclass(frozen=True)
class Enumerate(Strategy):
    """See checker/rules/all_inputs. Sequences too close to tell are skipped, so that the checker finds the same number."""

    name: ClassVar[str] = "enumerate"
    cost: ClassVar[str] = "V^K K out"
    summary: ClassVar[str] = "every input, one by one: for any task, with or without a name"
    rules: ClassVar[tuple[str, ...]] = (
        "additive-tables",
        "hidden-tables",
        "transformer-forward",
        "executed-forward",
        "all-inputs",
    )
    origin: ClassVar[str] = "A baseline of this project."
    vacuous: ClassVar[str] = (
        "Only if no input is right, or rounding hides that it is. Try `--precision 50`, and see with `prover "
        "inspect` whether it is the right task."
    )
    any_task: ClassVar[bool] = True

    def fitting(self, problem: Problem) -> Problem:
        """See Strategy."""
        length, tokens = problem.shape
        most = _LARGEST if problem.precision <= MACHINE_PRECISION else _LARGEST_WIDE
        if tokens**length > most:
            bits = f"{most:.0e} at {problem.precision} bits"
            raise DoesNotFit(f"{self.name} looks at every sequence of tokens: {tokens**length:.1e}, more than {bits}")
        return problem

    def prove(self, problem: Problem) -> Evidence:
        """Enumerate all sequences of tokens; those that are no inputs take no operations."""
        length, tokens = self.fitting(problem).shape
        sequences = tokens**length
        strides = tokens ** np.arange(length)[::-1]
        unclear, cells = [], np.zeros((tokens, problem.model.config.d_vocab_out), object)
        for start in problem.track(range(0, sequences, _BLOCK), self.name):
            places = np.arange(start, min(start + _BLOCK, sequences))
            inputs = places[:, None] // strides % tokens
            outputs = problem.outputs_of(inputs)
            places, inputs, outputs = (array[outputs[:, 0] >= 0] for array in (places, inputs, outputs))
            sure, wrong = problem.decide(inputs, outputs)
            np.add.at(cells, (inputs[sure, -1], outputs[sure, 0]), 1)
            unclear.append(places[~sure & ~wrong])
        skip = runs(np.concatenate(unclear))
        hints = {"ranges": np.array([[0, tokens]] * length), "skip": skip}
        step = Step("all-inputs", (0,), {}, {name: integer_tensor(hint) for name, hint in hints.items()})
        return Evidence((problem.classifier, step), int(cells.sum()), problem.total, cells)


def runs(places: np.ndarray) -> np.ndarray:
    """Consecutive runs [from, to) of increasing places, "n 2"."""
    breaks = np.flatnonzero(np.diff(places, prepend=-2) != 1)
    starts, stops = places[breaks], places[np.append(breaks, len(places))[1:] - 1] + 1
    return np.stack([starts, stops], axis=1)
