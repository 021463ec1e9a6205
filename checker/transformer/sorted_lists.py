"""The task of sorting a list: numbers in any order, a separator, the same numbers in increasing order, each to be foretold.

Of V tokens the last one is the separator, the others are numbers. For lists of n numbers, sequences have 2 n + 1 tokens:

    x_0, .., x_{n-1}: different numbers     x_n: the separator     x_{n+1} < .. < x_{2n}: the same numbers

The model is read at n, .., 2n - 1; the true output at each is the token that comes next. There are (V-1)! / (V-1-n)! inputs:
the order of the first n numbers is free, and all else follows.
"""

import math
from dataclasses import dataclass

import numpy as np

from certificates.architectures import ModelConfig
from certificates.automaton import Automaton
from certificates.canonical_json import Json, dumps
from certificates.certificate import Given
from certificates.errors import FormatError
from certificates.tensor_file import IntArray
from certificates.transformer import Transformer
from checker.core.automata import AutomatonTask
from checker.core.meter import Meter

NAME: Json = {"name": "sorted-lists"}


@dataclass(frozen=True)
class SortedLists:
    """Lists of `length` numbers. Every last token is a cell."""

    d_vocab: int
    length: int

    @property
    def sentence(self) -> str:
        """What the task is."""
        return (
            f"{dumps(NAME)}: given {self.length} different tokens from 0 to {self.d_vocab - 2} in any order, the token "
            f"{self.d_vocab - 1}, and those {self.length} tokens in increasing order, the output at each of the positions "
            f"{self.length} to {2 * self.length - 1} is the next token"
        )

    @property
    def n_ctx(self) -> int:
        """Number of tokens of an input."""
        return 2 * self.length + 1

    @property
    def total(self) -> int:
        """Number of inputs."""
        return math.perm(self.d_vocab - 1, self.length)

    @property
    def cell_shape(self) -> tuple[int, ...]:
        """How many last tokens there are."""
        return (self.d_vocab,)

    @property
    def reads(self) -> tuple[int, ...]:
        """The separator's position, and those of all but the greatest number after it."""
        return tuple(range(self.length, 2 * self.length))

    def numbered(self, tokens: IntArray) -> IntArray:
        """Tokens are numbers already."""
        return tokens

    def outputs_of(self, inputs: IntArray) -> IntArray:
        """The next tokens."""
        listed, after = inputs[:, : self.length], inputs[:, self.length + 1 :]
        sorted_up = np.all(np.sort(listed, axis=1) == after, axis=1) & np.all(np.diff(after, axis=1) > 0, axis=1)
        is_input = sorted_up & (inputs[:, self.length] == self.d_vocab - 1) & (after[:, -1] < self.d_vocab - 1)
        return np.asarray(np.where(is_input[:, None], after, -1), np.int64)

    def cells_of(self, inputs: IntArray) -> tuple[IntArray, ...]:
        """The last token."""
        return (inputs[:, -1],)

    def cells_within(self, first: IntArray, end: IntArray) -> tuple[slice, ...]:
        """The range of the last token."""
        return (slice(first[-1], end[-1]),)

    @property
    def relaxed(self) -> AutomatonTask:
        """All sequences with the separator in its place, and any numbers elsewhere: every input is one."""
        allowed = np.zeros((self.n_ctx, 1, self.d_vocab), np.int64)
        allowed[:, :, -1] = -1
        allowed[self.length] = -1 - allowed[self.length]
        automaton = Automaton.of(np.arange(self.n_ctx), allowed, np.zeros(1, np.int64))
        return AutomatonTask(f"any numbers in place of those of {dumps(NAME)}", automaton, automaton.count())


def parse_sorted_lists(task: Json, config: ModelConfig, given: Given, meter: Meter) -> SortedLists:
    """The task, for a model of these sizes. Raises FormatError if the model is unfit for it."""
    length, vocab = config.input_shape
    if not isinstance(config, Transformer):
        raise FormatError(f"{dumps(task)} is for the architecture `transformer`: the model has {config.architecture}")
    if given:
        raise FormatError(f"the tensors {sorted(given)} came with a certificate whose task needs none")
    if length % 2 == 0 or length // 2 >= vocab or config.d_vocab_out < vocab - 1:
        raise FormatError(
            f"{dumps(task)} needs 2 n + 1 positions, at least n numbers beside the separator, and an output for each of them: "
            f"found {length} positions, {vocab} tokens and {config.d_vocab_out} outputs"
        )
    return SortedLists(vocab, length // 2)
