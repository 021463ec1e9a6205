"""Numbers of tokens whose sum a task depends on, if there are any: what a potential may be linear in.

From a state in the midst of an automaton, two tokens t, u lead where two others t', u' lead only if x(t) + x(u) = x(t') +
x(u'), should x be such numbers. These equations always hold for equal numbers; they are of use if they determine x but for
that, and for a factor. (At the margins of an automaton states are merged that do not differ any more, so some state in the
midst is looked for.)
"""

import numpy as np

from certificates.automaton import Automaton
from certificates.tensor_file import IntArray

_STATES, _LARGEST, _EXACT = 200, 2**12, 1e-6
"""So many states are tried. Numbers are at most so large."""


def token_numbers(automaton: Automaton) -> IntArray | None:
    """For every token a number >= 0, if the task depends on a sum. Of two tokens, the second is counted in any case."""
    state = np.zeros(1, np.int64)
    tried = 0
    for step in range(len(automaton.order) - 1):
        for one in state.tolist():
            found = _from_state(automaton.at(step), one, automaton.at(step + 1))
            tried += 1
            if found is not None:
                return found
        if tried > _STATES:
            break
        state = np.unique(automaton.at(step)[state])
        state = state[state >= 0]
    return np.arange(2) if automaton.transitions.shape[2] == 2 else None


def _from_state(table: IntArray, state: int, second: IntArray) -> IntArray | None:
    first = table[state]
    tokens = np.flatnonzero((first >= 0) & np.any(second[first] >= 0, axis=1))
    if len(tokens) < 2:
        return None
    led = second[first[tokens]][:, tokens]
    pairs = np.argwhere(led >= 0)
    to = led[pairs[:, 0], pairs[:, 1]]
    _, one, which = np.unique(to, return_index=True, return_inverse=True)
    counts = np.zeros((len(pairs), len(tokens)))
    np.add.at(counts, (np.arange(len(pairs))[:, None], pairs), 1)
    equations = counts - counts[one][which.reshape(-1)]
    values, vectors = np.linalg.eigh(equations.T @ equations)
    if np.count_nonzero(values < _EXACT) != 2:
        return None
    plane = vectors[:, :2]
    direction = plane[:, 0] * plane[:, 1].sum() - plane[:, 1] * plane[:, 0].sum()  # of sum zero
    gaps = np.diff(np.unique(np.round(direction, 9)))
    if not len(gaps):
        return None
    numbers = (direction - direction.min()) / gaps.min()
    whole = np.rint(numbers).astype(np.int64)
    if whole.max() > _LARGEST or np.any(equations @ whole):
        return None
    if len(np.unique(whole)) < len(np.unique(table[:, tokens], axis=1).T):  # tokens that differ have the same number
        return None
    found = np.zeros(second.shape[1], np.int64)
    found[tokens] = whole if whole[0] < whole[-1] else whole.max() - whole
    return found
