"""Lists without repetitions: rows in strictly increasing order."""

import numpy as np

from certificates.tensor_file import IntArray


def strictly_increasing(rows: IntArray) -> bool:
    """Whether the rows of a matrix increase strictly in lexicographic order (so that no two are equal)."""
    difference = rows[1:] - rows[:-1]
    first = np.argmax(difference != 0, axis=1)
    return bool(np.all(difference[np.arange(len(difference)), first] > 0))
