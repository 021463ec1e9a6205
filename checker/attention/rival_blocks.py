"""Rivals taken together: the outputs in blocks, and how far a label leads each block.

For a table X[i, o], a label m and a block B of outputs, the *lead* of m over B in row i is

    lead(X)(i, m, B) = X[i, m] - max over o in B, o != m, of X[i, o].

*Lemma.* If Y = X_1 + .. + X_n, then Y[i, m] - Y[i, o] >= lead(X_1)(i, m, B) + .. + lead(X_n)(i, m, B) for every o in B
other than m. *Proof.* Each summand X_k[i, m] - X_k[i, o] is at least its lead.

So one inequality for a block stands for one for each of its rivals. A single block is the cheapest; with one block for
each output, leads are the differences themselves and nothing is lost. Every label may have blocks of its own, so that the few
rivals that come close to it can stand alone.
"""

from dataclasses import dataclass

import numpy as np

from certificates.tensor_file import IntArray
from checker.core.enclosures import Enclosure
from checker.core.errors import Refused


@dataclass(frozen=True)
class RivalBlocks:
    """A partition of the outputs for every label, or one for all. block "l o": the number of each output's block, where l
    is the label, or 0 if there is one row only.
    """

    block: IntArray

    @staticmethod
    def of(block: IntArray, labels: int) -> "RivalBlocks":
        """From the hint `rivals`: one row, or one for each of the `labels`; rows number their blocks 0, 1, .. ."""
        if len(block) not in (1, labels):
            raise Refused(f"rivals must have one row, or one for each of {labels} labels, not {len(block)}")
        present = np.zeros((len(block), block.shape[1]), np.bool_)
        if np.any(block < 0) or np.any(block >= block.shape[1]):
            raise Refused("a block of rivals has a number out of range")
        present[np.arange(len(block))[:, None], block] = True
        if np.any(present[:, 1:] > present[:, :-1]):
            raise Refused("the blocks of rivals must be numbered 0, 1, .. without a gap")
        return RivalBlocks(block)

    @property
    def most(self) -> int:
        """The largest number of blocks that a label has."""
        return int(self.block.max()) + 1

    def members(self, label: int) -> list[IntArray]:
        """The outputs of each of the label's blocks, in order."""
        block = self.block[label % len(self.block)]  # the label's row, or the only one
        return [np.flatnonzero(block == number) for number in range(int(block.max()) + 1)]

    def rivals(self, label: int) -> list[IntArray]:
        """The outputs other than the label of each of its blocks that has any."""
        blocks = [members[members != label] for members in self.members(label)]
        return [rivals for rivals in blocks if len(rivals)]


@dataclass(frozen=True)
class Leads:
    """A table "i o", prepared for taking leads.

    best "i (b + o)", if the blocks are shared: the largest entry of each block, then, for each output, the largest other entry
    of its block (for a block of one: that entry, which is never used). So all leads cost one subtraction each.
    """

    blocks: RivalBlocks
    table: Enclosure
    best: Enclosure | None

    @staticmethod
    def of(table: Enclosure, blocks: RivalBlocks) -> "Leads":
        """Prepare a table."""
        return Leads(blocks, table, _best(table, blocks.members(0)) if len(blocks.block) == 1 else None)

    def __call__(self, rows: IntArray, label: int) -> Enclosure:
        """Leads of the label over each block with a rival of it, in some rows: "i b"."""
        entries = self.table[rows, label].reshape(len(rows), 1)
        if self.best is not None:
            return entries - self.best[np.ix_(rows, self._columns(label))]
        largest = [self.table[np.ix_(rows, rivals)].max(1).reshape(len(rows), 1) for rivals in self.blocks.rivals(label)]
        return entries - largest[0].concatenate(largest[1:], axis=1)

    def _columns(self, label: int) -> IntArray:
        """For each block with a rival of the label, the column of `best` that holds the block's largest rival."""
        block = self.blocks.block[0]
        columns, own = np.arange(self.blocks.most), int(block[label])
        columns[own] = self.blocks.most + label
        return columns if np.count_nonzero(block == own) > 1 else np.delete(columns, own)


def _best(table: Enclosure, blocks: list[IntArray]) -> Enclosure:
    """`Leads.best` for a table "i o"."""
    largest, others = [], []
    for members in blocks:
        part, last = table[:, members], len(members) - 1
        upto = part.running_max(1)
        largest.append(upto[:, last:])
        if last == 0:
            others.append(part)
            continue
        after = part[:, ::-1].running_max(1)[:, ::-1]
        between = upto[:, : last - 1].maximum(after[:, 2:])
        others.append(after[:, 1:2].concatenate([between, upto[:, last - 1 : last]], axis=1))
    place = np.argsort(np.concatenate(blocks), kind="stable")
    return largest[0].concatenate([*largest[1:], others[0].concatenate(others[1:], axis=1)[:, place]], axis=1)
