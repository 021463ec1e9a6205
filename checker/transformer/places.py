"""Which activations of a transformer have to be computed: those at the same place are computed once."""

from dataclasses import dataclass

import numpy as np

from certificates.tensor_file import IntArray
from checker.core.meter import Meter


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
        prefix, first = np.zeros(count, np.int64), 0
        numbers, rows, positions = [], [], []
        for position in range(length):
            if causal:
                meter.sorting(2 * count)
                _, row, prefix = np.unique(prefix * vocab + inputs[:, position], return_index=True, return_inverse=True)
            else:
                row = prefix = np.arange(count)
            numbers.append(first + prefix)
            rows.append(row)
            positions.append(np.full(len(row), position, np.int64))
            first += len(row)
        meter.gathering(8 * count * length)
        row, position = np.concatenate(rows), np.concatenate(positions)
        return Places(np.stack(numbers, axis=1), row, position, inputs[row, position])
