"""Levels that are prefixes of the tokens: what the rules prefix-chains and low-rank-chains share."""

import numpy as np

from certificates.tensor_file import IntArray

GATHERED_PER_TOKEN = 3
"""How many numbers could be gathered while a token is compared with a size."""


def tokens_below(tokens: IntArray, label: IntArray, sizes: IntArray) -> IntArray:
    """How many of the free tokens, other than the label "x", of inputs "x k" are below sizes "x r": "x 1 r"."""
    free = tokens[:, :-1]
    others = np.where(free == label[:, None], np.iinfo(np.int64).max, free)
    return np.stack([(others < size[:, None]).sum(axis=1) for size in sizes.T], axis=1)[:, None]
