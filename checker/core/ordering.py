"""Lists without repetitions: rows in strictly increasing order."""

import numpy as np

from certificates.tensor_file import IntArray


def strictly_increasing(rows: IntArray) -> bool:
    """Whether the rows of a matrix increase strictly in lexicographic order (so that no two are equal)."""
    before, after = rows[:-1], rows[1:]
    first = np.arange(len(before)), np.argmax(before != after, axis=1)
    return bool(np.all(before[first] < after[first]))
