"""Tasks about pairs: the product of two elements of a finite set."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from certificates.architectures import ModelConfig
from certificates.canonical_json import Json, dumps
from certificates.certificate import Given
from certificates.errors import FormatError
from certificates.groups import group_table, table_digest
from certificates.tensor_file import IntArray, RawTensor
from certificates.two_inputs import UniformAttention
from checker.core.errors import Refused
from checker.core.facts import Setting
from checker.core.meter import Meter

_BYTES_PER_ENTRY = 64
"""Of a multiplication table: what making it takes, and asking whether it is commutative, or addition."""
_GATHERED_PER_ENTRY = 16
"""How many numbers could be gathered while one entry is made, or digested."""


@dataclass(frozen=True)
class Composition:
    """Inputs: all pairs (a, b) of elements of a finite set, 0 .. n-1. True output: their product table[a, b] ("a b").

    `group` tells that the table is known to be that of a group. Every input is a cell of its own.
    """

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

    @property
    def reads(self) -> tuple[int, ...]:
        """After both."""
        return (self.n_ctx - 1,)

    def outputs_of(self, inputs: IntArray) -> IntArray:
        """The products."""
        return self.table[inputs[:, 0], inputs[:, 1]][:, None]

    def cells_of(self, inputs: IntArray) -> tuple[IntArray, ...]:
        """The inputs themselves."""
        return inputs[:, 0], inputs[:, 1]

    def cells_within(self, first: IntArray, end: IntArray) -> tuple[slice, ...]:
        """The inputs themselves."""
        return slice(first[0], end[0]), slice(first[1], end[1])


def composition(setting: Setting) -> Composition:
    """The task, if it is about products of two elements. Refuses other tasks."""
    if not isinstance(setting.task, Composition):
        raise Refused("this rule is about products of two elements; for other tasks there is all-inputs")
    return setting.task


def parse_pair_task(task: Json, config: ModelConfig, given: Given, meter: Meter) -> Composition:
    """The task that a statement names, for a network of these sizes; `given`: what came with the certificate.

    Raises FormatError if it is unknown, or not one for this model; nothing is made that is larger than the model's table.
    """
    fields = task if isinstance(task, dict) else {}
    group, modulus, digest = fields.get("group"), fields.get("modulus"), fields.get("table")
    size = config.input_shape[1]
    meter.hold(_BYTES_PER_ENTRY * size**2)
    meter.gathering(_GATHERED_PER_ENTRY * size**2)
    if task == {"name": "modular-addition", "modulus": modulus} and type(modulus) is int:
        table, product = group_table(f"cyclic:{modulus}", size), f"sum modulo {modulus}"
    elif task == {"name": "group-composition", "group": group} and isinstance(group, str):
        table, product = group_table(group, size), f"product in the group {group}"
    elif task == {"name": "group-composition", "table": digest} and set(given) == {"table"}:
        table, product = _given_table(given["table"], size, digest), f"entry in the multiplication table with SHA-256 {digest}"
        given = {}
    else:
        raise FormatError(
            f'task {dumps(task)} is unknown; for this model this checker knows {{"group":NAME,"name":"group-composition"}}, '
            '{"modulus":P,"name":"modular-addition"}, {"name":"group-composition","table":SHA256} with a table, and '
            '{"automaton":SHA256} with an automaton'
        )
    if given:
        raise FormatError(f"the tensors {sorted(given)} came with a certificate whose task needs none")
    if len(table) != size or config.d_vocab_out < size:
        raise FormatError(
            f"{dumps(task)} is about {len(table)} elements: the model has {size}, and {config.d_vocab_out} outputs"
        )
    follows = f", followed by the token {size}" if isinstance(config, UniformAttention) else ""
    sentence = f"{dumps(task)}: given two elements a, b from 0 to {size - 1}{follows}, the output is their {product}"
    return Composition(sentence, table, group=digest is None)


def _given_table(given: RawTensor, size: int, digest: Json) -> IntArray:
    if given.shape != (size, size):
        raise FormatError(
            f"a multiplication table for {size} elements, as the model has, is a square: found {list(given.shape)}"
        )
    table = given.integers()
    if table.min() < 0 or table.max() >= size:
        raise FormatError("a multiplication table holds numbers below its size")
    if digest != table_digest(table):
        raise FormatError(f"the multiplication table with this certificate has digest {table_digest(table)}, not {digest}")
    return table
