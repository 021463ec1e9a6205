"""Tasks about the order of the tokens of a sequence: the largest, the smallest, the n-th largest."""

from dataclasses import dataclass

import numpy as np

from certificates.architectures import ModelConfig
from certificates.attention_only import AttentionOnly
from certificates.canonical_json import Json, dumps
from certificates.certificate import Given
from certificates.errors import FormatError
from certificates.tensor_file import IntArray
from checker.core.errors import Refused
from checker.core.facts import Setting
from checker.core.meter import Meter
from checker.core.tasks import Task


@dataclass(frozen=True)
class OrderStatistic:
    """Inputs: all sequences of K = n_ctx tokens below V = d_vocab. True output: the n-th largest token, n = `rank`.

    Tokens are counted with multiplicity: with A tokens above m and B equal to it, m is the n-th largest iff A < n <= A + B.

    Rules work on *numbered* tokens. Where `reverse` is set, token t has the number V-1-t, and so has output t < V; the n-th
    largest number then belongs to the n-th smallest token. So Min-of-K is Max-of-K in other numbers. Everything in a
    certificate is in numbers.

    The rules sort inputs into *cells* (q, m, c): the last token (the query), the true output, and how many of the first
    K-1 tokens (the free positions) equal it. Every input lies in exactly one cell.
    """

    sentence: str
    d_vocab: int
    n_ctx: int
    rank: int = 1
    reverse: bool = False

    @property
    def total(self) -> int:
        """Number of inputs."""
        total: int = self.d_vocab**self.n_ctx
        return total

    @property
    def cell_shape(self) -> tuple[int, ...]:
        """How many queries, true outputs and numbers of copies there are."""
        return self.d_vocab, self.d_vocab, self.n_ctx

    @property
    def free(self) -> int:
        """Number of free positions, K - 1."""
        return self.n_ctx - 1

    def numbered(self, tokens: IntArray) -> IntArray:
        """The numbers of some tokens (and of tokens with some numbers)."""
        return self.d_vocab - 1 - tokens if self.reverse else tokens

    def cells_of(self, numbers: IntArray) -> tuple[IntArray, IntArray, IntArray]:
        """Query, true output and number of free copies of it, for inputs of shape "n k" (all in numbers)."""
        true = np.sort(numbers, axis=1)[:, self.n_ctx - self.rank]
        copies = (numbers[:, :-1] == true[:, None]).sum(axis=1, dtype=np.int64)
        return numbers[:, -1], true, copies

    @property
    def reads(self) -> tuple[int, ...]:
        """The last position."""
        return (self.n_ctx - 1,)

    def outputs_of(self, inputs: IntArray) -> IntArray:
        """The true outputs."""
        return self.cells_of(inputs)[1][:, None]

    def cells_within(self, first: IntArray, end: IntArray) -> tuple[slice, ...]:
        """Those with such a query."""
        return (slice(first[-1], end[-1]),)

    def require_largest(self, rule: str) -> None:
        """Refuse unless the true output is the largest number: for rules that know of no tokens above it."""
        if self.rank != 1:
            raise Refused(f"{rule} is about the largest or smallest token only; use group-chains or further-inputs")


def in_numbered_order(task: Task, count: int) -> IntArray:
    """Where to find each of `count` >= V tokens or outputs, of which those from V on keep their places."""
    places = np.arange(count)
    places[: task.d_vocab] = task.numbered(places[: task.d_vocab])
    return places


def order_statistic(setting: Setting) -> OrderStatistic:
    """The task, if it is about the order of tokens. Refuses other tasks."""
    if not isinstance(setting.task, OrderStatistic):
        raise Refused("this rule is about the order of the tokens of a sequence; for other tasks there is all-inputs")
    return setting.task


def parse_sequence_task(task: Json, config: ModelConfig, given: Given, meter: Meter) -> OrderStatistic:
    """The task that a statement names, for a transformer of these sizes. Raises FormatError if it is unknown."""
    length, vocab = config.input_shape
    if given:
        raise FormatError(f"the tensors {sorted(given)} came with a certificate whose task needs none")
    rank = task.get("n") if isinstance(task, dict) else None
    if task == {"name": "max-of-k"}:
        what, rank = "largest token", 1
    elif task == {"name": "min-of-k"}:
        what, rank = "smallest token", length
    elif type(rank) is int and task == {"name": "nth-max-of-k", "n": rank} and 1 <= rank <= length:
        what = f"token number {rank} in descending order, equal ones counted separately,"
    else:
        raise FormatError(
            f'task {dumps(task)} is unknown; this checker knows {{"name":"max-of-k"}}, {{"name":"min-of-k"}} and '
            f'{{"n":N,"name":"nth-max-of-k"}} with 1 <= N <= {length}, and {{"automaton":SHA256}} with an automaton'
        )
    if config.d_vocab_out < vocab:
        raise FormatError(f"{dumps(task)} needs an output for every token: {config.d_vocab_out} < {vocab}")
    sentence = (
        f"{dumps(task)}: given a sequence of {length} tokens from 0 to {vocab - 1}, "
        f"the output at the last position is the {what} of the sequence"
    )
    smallest = rank == length and rank > 1
    return OrderStatistic(sentence, vocab, length, 1 if smallest else rank, smallest)


def attention_only(setting: Setting) -> AttentionOnly:
    """The sizes of an attention-only transformer. Refuses other models."""
    if not isinstance(setting.model.config, AttentionOnly):
        raise Refused(f"this rule is about attention-only transformers, not a {setting.model.config.described}")
    return setting.model.config
