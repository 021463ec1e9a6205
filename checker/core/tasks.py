"""Tasks: which inputs there are, and which output is the true one."""

from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np

from certificates.architectures import AttentionOnly, ModelConfig, UniformAttention
from certificates.canonical_json import Json, dumps
from certificates.errors import FormatError
from certificates.groups import LARGEST_ORDER, group_table, table_digest
from certificates.tensor_file import IntArray
from checker.core.errors import Refused


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

    json: Json
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

    def in_numbered_order(self, count: int) -> IntArray:
        """Where to find each of `count` >= V tokens or outputs, of which those from V on keep their places."""
        places = np.arange(count)
        places[: self.d_vocab] = self.numbered(places[: self.d_vocab])
        return places

    def cells_of(self, numbers: IntArray) -> tuple[IntArray, IntArray, IntArray]:
        """Query, true output and number of free copies of it, for inputs of shape "n k" (all in numbers)."""
        true = np.sort(numbers, axis=1)[:, self.n_ctx - self.rank]
        copies = (numbers[:, :-1] == true[:, None]).sum(axis=1, dtype=np.int64)
        return numbers[:, -1], true, copies

    def require_largest(self, rule: str) -> None:
        """Refuse unless the true output is the largest number: for rules that know of no tokens above it."""
        if self.rank != 1:
            raise Refused(f"{rule} is about the largest or smallest token only; use group-chains or further-inputs")


@dataclass(frozen=True)
class Composition:
    """Inputs: all pairs (a, b) of elements of a finite set, 0 .. n-1. True output: their product table[a, b] ("a b").

    `group` tells that the table is known to be that of a group. Every input is a cell of its own.
    """

    json: Json
    sentence: str
    table: IntArray
    group: bool

    n_ctx: int = 2

    @property
    def d_vocab(self) -> int:
        """Number of elements n."""
        return len(self.table)

    @property
    def total(self) -> int:
        """Number of inputs."""
        return self.d_vocab**2

    @property
    def cell_shape(self) -> tuple[int, ...]:
        """How many first and second elements there are."""
        return self.table.shape

    @cached_property
    def commutative(self) -> bool:
        """Whether ab = ba for all a, b."""
        return bool(np.array_equal(self.table, self.table.T))

    @property
    def is_addition(self) -> bool:
        """Whether it is addition modulo n."""
        elements = np.arange(self.d_vocab)
        return bool(np.array_equal(self.table, (elements[:, None] + elements) % self.d_vocab))

    def numbered(self, elements: IntArray) -> IntArray:
        """Elements are numbers already."""
        return elements


Task: TypeAlias = OrderStatistic | Composition


def parse_task(task: Json, config: ModelConfig, table: IntArray | None = None) -> Task:
    """The task that a statement names, for a model of these sizes; `table` is what came with the certificate, if anything.

    Raises FormatError if it is unknown, or not one for this model.
    """
    if isinstance(config, AttentionOnly):
        if table is not None:
            raise FormatError("a multiplication table came with a certificate whose task needs none")
        return _order_statistic(task, config)
    return _composition(task, config, table)


def _composition(task: Json, config: ModelConfig, table: IntArray | None) -> Composition:
    fields = task if isinstance(task, dict) else {}
    group, modulus, digest = fields.get("group"), fields.get("modulus"), fields.get("table")
    given = table is not None
    if task == {"name": "modular-addition", "modulus": modulus} and type(modulus) is int:
        table, product = group_table(f"cyclic:{modulus}"), f"sum modulo {modulus}"
    elif task == {"name": "group-composition", "group": group} and isinstance(group, str):
        table, product = group_table(group), f"product in the group {group}"
    elif task == {"name": "group-composition", "table": digest} and table is not None:
        if (
            table.ndim != 2
            or table.shape != (len(table),) * 2
            or not 2 <= len(table) <= LARGEST_ORDER
            or table.min() < 0
            or table.max() >= len(table)
        ):
            raise FormatError("a multiplication table is a square of numbers below its size")
        if digest != table_digest(table):
            raise FormatError(f"the multiplication table with this certificate has digest {table_digest(table)}, not {digest}")
        given, product = False, f"entry in the multiplication table with SHA-256 {digest}"
    else:
        raise FormatError(
            f'task {dumps(task)} is unknown; for this model this checker knows {{"group":NAME,"name":"group-composition"}}, '
            '{"modulus":P,"name":"modular-addition"}, and {"name":"group-composition","table":SHA256} with a table'
        )
    if given:
        raise FormatError("a multiplication table came with a certificate whose task needs none")
    size, tokens = len(table), config.d_vocab - isinstance(config, UniformAttention)
    if tokens != size or config.d_vocab_out < size:
        raise FormatError(f"{dumps(task)} is about {size} elements: the model has {tokens}, and {config.d_vocab_out} outputs")
    follows = f", followed by the token {size}" if isinstance(config, UniformAttention) else ""
    sentence = f"{dumps(task)}: given two elements a, b from 0 to {size - 1}{follows}, the output is their {product}"
    return Composition(task, sentence, table, group=digest is None)


def _order_statistic(task: Json, config: AttentionOnly) -> OrderStatistic:
    vocab, length = config.d_vocab, config.n_ctx
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
            f'{{"n":N,"name":"nth-max-of-k"}} with 1 <= N <= {length}'
        )
    if config.d_vocab_out < vocab:
        raise FormatError(f"{dumps(task)} needs an output for every token: {config.d_vocab_out} < {vocab}")
    sentence = (
        f"{dumps(task)}: given a sequence of {length} tokens from 0 to {vocab - 1}, "
        f"the output at the last position is the {what} of the sequence"
    )
    smallest = rank == length and rank > 1
    return OrderStatistic(task, sentence, vocab, length, 1 if smallest else rank, smallest)
