"""Inputs counted by cell: by query q and true output m, in exact integers (object arrays "q m")."""

import math

import numpy as np

from prover.attention.tasks import OrderStatistic


def cell_totals(d_vocab: int, n_ctx: int, rank: int) -> np.ndarray:
    """Number of inputs "q m" whose last number is q and whose `rank`-th largest is m."""
    free = n_ctx - 1

    def at_most(label: int, larger: int) -> int:
        """Free tokens' numbers of which no more than `larger` exceed the label."""
        above, below = d_vocab - 1 - label, label + 1
        return sum(math.comb(free, count) * above**count * below ** (free - count) for count in range(larger + 1))

    # The rank-th largest is at most m if fewer than `rank` numbers exceed m, the query among them if it does.
    totals = np.zeros((d_vocab, d_vocab), object)
    for label in range(d_vocab):
        totals[: label + 1, label] += at_most(label, rank - 1)
        totals[label + 1 :, label] += at_most(label, rank - 2)
    return np.diff(totals, axis=1, prepend=0)


def by_token(cells: np.ndarray, task: OrderStatistic) -> np.ndarray:
    """Cells "q m" by tokens instead of the task's numbers."""
    return cells[::-1, ::-1] if task.reverse else cells
