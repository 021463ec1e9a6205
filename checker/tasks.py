"""Tasks: which inputs there are, and which output is the true one."""

from dataclasses import dataclass

import numpy as np

from certificates.canonical_json import Json, dumps
from certificates.errors import FormatError
from certificates.model_file import ModelConfig
from certificates.tensor_file import IntArray


@dataclass(frozen=True)
class MaxOfK:
    """Inputs: all sequences of K = n_ctx tokens below V = d_vocab. True output: the largest token of the sequence.

    The rules sort inputs into *cells* (q, m, c): the last token (the query), the maximum, and how many of the first
    K-1 tokens (the free positions) equal the maximum. Every input lies in exactly one cell.
    """

    d_vocab: int
    n_ctx: int

    @property
    def json(self) -> Json:
        """The task as it is written in files."""
        return {"name": "max-of-k"}

    @property
    def total(self) -> int:
        """Number of inputs."""
        total: int = self.d_vocab**self.n_ctx
        return total

    @property
    def sentence(self) -> str:
        """The task in words."""
        return (
            f"max-of-k: given a sequence of {self.n_ctx} tokens from 0 to {self.d_vocab - 1}, "
            "the output at the last position is the largest token of the sequence"
        )

    @property
    def free(self) -> int:
        """Number of free positions, K - 1."""
        return self.n_ctx - 1

    def cells_of(self, tokens: IntArray) -> tuple[IntArray, IntArray, IntArray]:
        """Query, maximum and number of free copies of it, for inputs of shape "n k"."""
        maximum = tokens.max(axis=1)
        copies = (tokens[:, :-1] == maximum[:, None]).sum(axis=1, dtype=np.int64)
        return tokens[:, -1], maximum, copies


def parse_task(task: Json, config: ModelConfig) -> MaxOfK:
    """The task that a statement names, for a model of these sizes. Raises FormatError if it is unknown."""
    if task != {"name": "max-of-k"}:
        raise FormatError(f'task {dumps(task)} is unknown; this checker knows {{"name":"max-of-k"}}')
    if config.d_vocab_out < config.d_vocab:
        raise FormatError(f"max-of-k needs an output for every token: {config.d_vocab_out} < {config.d_vocab}")
    return MaxOfK(config.d_vocab, config.n_ctx)
