"""The order in which the inputs of Max-of-K are enumerated: box by box, each box with one query and one maximum.

An input is a tuple (x_0, .., x_{K-1}) of tokens below V; x_{K-1} is the query q, the maximum is m. Inputs are ordered by
q, then m, then the first free position p <= K-2 that holds m (K-1 where only the query does), then lexicographically.
For fixed (q, m, p) the inputs form a product set, a *box*: tokens below m before p, m at p, tokens up to m after it.
"""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Box:
    """All inputs with query `query` and maximum `label` whose first free copy of it is at `first` (K-1: no free copy).

    `start` is the rank of its first input; `choices[i]` is the number of tokens allowed at position `positions[i]`
    (always the tokens 0 .. choices[i]-1), in lexicographic order, the last position varying fastest.
    """

    query: int
    label: int
    first: int
    start: int
    positions: tuple[int, ...]
    choices: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of inputs in the box."""
        product = 1
        for choice in self.choices:
            product *= choice
        return product


def boxes(d_vocab: int, n_ctx: int, start: int, stop: int) -> Iterator[Box]:
    """The boxes that contain an input with start <= rank < stop, in order."""
    free = n_ctx - 1
    per_query = d_vocab**free
    for query in range(start // per_query, min(d_vocab, -(-stop // per_query))):
        base = rank = query * per_query
        for label in range(query, d_vocab):
            if rank >= stop:
                return
            if base + (label + 1) ** free <= start:  # all inputs of this label come before the range
                rank = base + (label + 1) ** free
                continue
            for first in range(n_ctx if label == query else free):
                positions = tuple(p for p in range(free) if p != first)
                choices = tuple(label if p < first else label + 1 for p in positions)
                box = Box(query, label, first, rank, positions, choices)
                if rank < stop and rank + box.size > start and box.size:
                    yield box
                rank += box.size


def rank_of(tokens: tuple[int, ...], d_vocab: int) -> int:
    """The rank of one input among all V^K."""
    free, query, label = tokens[:-1], tokens[-1], max(tokens)
    rank: int = query * d_vocab ** len(free)
    if label > query:
        rank += label ** len(free)
    first = free.index(label) if label in free else len(free)
    for earlier in range(first):
        rank += label**earlier * (label + 1) ** (len(free) - 1 - earlier)
    index = 0
    for position, token in enumerate(free):
        if position != first:
            index = index * (label if position < first else label + 1) + token
    return rank + index
