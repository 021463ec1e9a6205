"""Rivals taken together: the outputs in blocks, and how far a label leads each block.

For a table X[i, o], a label m and a block B of outputs, the *lead* of m over B in row i is

    lead(X)(i, m, B) = X[i, m] - max over o in B, o != m, of X[i, o].

*Lemma.* If Y = X_1 + .. + X_n, then Y[i, m] - Y[i, o] >= lead(X_1)(i, m, B) + .. + lead(X_n)(i, m, B) for every o in B
other than m. *Proof.* Each summand X_k[i, m] - X_k[i, o] is at least its lead.

So one inequality for a block stands for one for each of its rivals. A single block is the cheapest; with one block for
each output, leads are the differences themselves and nothing is lost.
"""

from dataclasses import dataclass

import numpy as np

from certificates.tensor_file import IntArray
from checker.enclosures import Enclosure
from checker.errors import Refused


@dataclass(frozen=True)
class RivalBlocks:
    """A partition of the outputs. members: the outputs of every block, in order; block: the number of each output's."""

    members: tuple[IntArray, ...]
    block: IntArray

    @staticmethod
    def of(block: IntArray) -> "RivalBlocks":
        """From the block numbers 0 .. B-1 of all outputs, each of which occurs."""
        numbers = np.unique(block)
        if not np.array_equal(numbers, np.arange(len(numbers))):
            raise Refused("the blocks of rivals must be numbered 0, 1, .. without a gap")
        return RivalBlocks(tuple(np.flatnonzero(block == number) for number in numbers), block)

    def columns(self, label: int) -> IntArray:
        """For each block with a rival of the label, the column of `Leads.best` that holds the block's largest rival."""
        columns = np.arange(len(self.members))
        own = int(self.block[label])
        columns[own] = len(self.members) + label
        return columns if len(self.members[own]) > 1 else np.delete(columns, own)


@dataclass(frozen=True)
class Leads:
    """A table "i o", prepared for taking leads. best "i (b + o)": the largest entry of each block, then, for each
    output, the largest other entry of its block (for a block of one: that entry, which is never used).
    """

    blocks: RivalBlocks
    table: Enclosure
    best: Enclosure

    @staticmethod
    def of(table: Enclosure, blocks: RivalBlocks) -> "Leads":
        """Prepare a table."""
        largest, others = [], []
        for members in blocks.members:
            part, last = table[:, members], len(members) - 1
            upto = part.running_max(1)
            largest.append(upto[:, last:])
            if last == 0:
                others.append(part)
                continue
            after = part[:, ::-1].running_max(1)[:, ::-1]
            between = upto[:, : last - 1].maximum(after[:, 2:])
            others.append(after[:, 1:2].concatenate([between, upto[:, last - 1 : last]], axis=1))
        place = np.argsort(np.concatenate(blocks.members), kind="stable")
        best = largest[0].concatenate([*largest[1:], others[0].concatenate(others[1:], axis=1)[:, place]], axis=1)
        return Leads(blocks, table, best)

    def __call__(self, rows: IntArray, label: int) -> Enclosure:
        """Leads of the label over each block with a rival of it, in some rows: "i b"."""
        entries = self.table[rows, label].reshape(len(rows), 1)
        return entries - self.best[np.ix_(rows, self.blocks.columns(label))]
