"""Sorted lists as the search sees them (checker/transformer/sorted_lists)."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from certificates import FormatError
from certificates.canonical_json import Json
from certificates.tensor_file import IntArray
from prover.problem import Task
from prover.transformer.problem import TransformerProblem

SORTED_LISTS: Json = {"name": "sorted-lists"}


@dataclass(frozen=True)
class SortedListsProblem(TransformerProblem):
    """How well a transformer foretells a list in increasing order. The last token separates the list from that."""

    @cached_property
    def task(self) -> Task:
        """See Problem."""
        (length, tokens), outputs = self.shape, self.model.config.d_vocab_out
        if length % 2 == 0 or length // 2 >= tokens or outputs < tokens - 1:
            raise FormatError(
                "sorted-lists needs 2 n + 1 positions, n numbers beside the separator, and an output for every number: found "
                f"{length} positions, {tokens} tokens and {outputs} outputs"
            )
        return Task(SORTED_LISTS)

    @property
    def length(self) -> int:
        """Of the list."""
        return self.shape[0] // 2

    @property
    def numbers(self) -> int:
        """How many there are; the token after them is the separator."""
        return self.shape[1] - 1

    @property
    def total(self) -> int:
        """Number of inputs."""
        return math.perm(self.numbers, self.length)

    @property
    def reads(self) -> list[int]:
        """Positions at which the model is read."""
        return list(range(self.length, 2 * self.length))

    def random_inputs(self, count: int, rng: np.random.Generator, by_state: bool) -> IntArray:
        """Inputs "n k". by_state: of a random part of the numbers each, so that gaps are as often narrow as wide."""
        first, most = np.zeros((count, 1)), np.full((count, 1), float(self.numbers))
        if by_state:
            ends = np.sort(rng.random((count, 2)) * (self.numbers - self.length), axis=1)
            first, most = ends[:, :1], ends[:, 1:] + self.length
        order = rng.random((count, self.numbers))
        place = np.arange(self.numbers)
        listed = np.argsort(order + 1.0 * ((place < np.floor(first)) | (place >= np.ceil(most))), axis=1)[:, : self.length]
        return sorted_lists(listed, self.numbers)

    def outputs_of(self, inputs: IntArray) -> IntArray:
        """True outputs "n r" of sequences "n k" at the reads; -1: no input."""
        after = inputs[:, self.length + 1 :]
        increasing = np.all(np.diff(after, axis=1, prepend=-1, append=self.numbers) > 0, axis=1)
        same = np.all(sorted_lists(inputs[:, : self.length], self.numbers) == inputs, axis=1)
        return np.asarray(np.where((increasing & same)[:, None], after, -1), np.int64)

    def as_tokens(self, numbers: IntArray) -> IntArray:
        """Tokens are numbers already."""
        return numbers

    def cells(self, inputs: IntArray, outputs: IntArray) -> list[IntArray]:
        """The last token."""
        return [inputs[:, -1]]


def sorted_lists(listed: IntArray, separator: int) -> IntArray:
    """Lists "n l", the separator, and the same in increasing order."""
    between = np.full((len(listed), 1), separator, np.int64)
    return np.concatenate([listed.astype(np.int64), between, np.sort(listed, axis=1).astype(np.int64)], axis=1)
