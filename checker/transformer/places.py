"""Which activations of a transformer have to be computed: those at the same place are computed once."""

from dataclasses import dataclass

import numpy as np

from certificates.tensor_file import IntArray
from checker.core.enclosures import BoolArray
from checker.core.meter import Meter


def instead_of_hidden(visible: BoolArray) -> IntArray:
    """Of what is visible, "p k", the places in each row: in place of what is hidden, that of the first that is not (or 0)."""
    return np.where(visible, np.arange(visible.shape[1]), visible.argmax(axis=1)[:, None])


@dataclass(frozen=True)
class Places:
    """What a transformer works on when it is given some inputs: pairs of an input and a position, alike ones only once.

    Under causal attention, everything at a position depends on the tokens up to it alone; so two inputs with the same tokens
    up to a position share a *place* there. Otherwise every input has places of its own. Places are numbered by position.

    number "n k": the place of input and position. row "p": an input that has the place; position "p"; token "p": what stands
    there.
    """

    number: IntArray
    row: IntArray
    position: IntArray
    token: IntArray

    @staticmethod
    def of(meter: Meter, inputs: IntArray, causal: bool, vocab: int) -> "Places":
        """The places of inputs "n k", tokens being below `vocab`."""
        count, length = inputs.shape
        meter.gathering(12 * count * length)
        alike, first = np.zeros(count, np.int64), 0
        numbers, rows = list[IntArray](), list[IntArray]()
        for j in range(length):
            if causal:
                meter.sorting(2 * count)
                _, row, alike = np.unique(alike * vocab + inputs[:, j], return_index=True, return_inverse=True)
            else:
                row = alike = np.arange(count)
            numbers.append(first + alike)
            rows.append(row)
            first += len(row)
        row, position = np.concatenate(rows), np.repeat(np.arange(length), [len(row) for row in rows])
        return Places(np.stack(numbers, axis=1), row, position, inputs[row, position])
