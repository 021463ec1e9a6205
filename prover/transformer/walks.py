"""Random inputs of tasks that are automata."""

import numpy as np

from certificates.automaton import Automaton
from certificates.tensor_file import IntArray


def walks(automaton: Automaton, count: int, rng: np.random.Generator, by_state: bool) -> IntArray:
    """Random inputs: every token that goes on is as likely as any other, or (by_state) every state that can come next."""
    inputs, state = np.zeros((count, len(automaton.order)), np.int64), np.zeros(count, np.int64)
    going_on = automaton.followers(-1, np.zeros(1, np.int64))  # no position: so nodes are states
    for position, table in zip(automaton.order.tolist(), going_on, strict=True):
        alike = (table[:, :, None] == table[:, None, :]).sum(2) if by_state else np.ones_like(table)
        chance = np.where(table >= 0, 1 / alike, 0)
        edges = np.cumsum(chance, axis=1)[state]
        token = (edges < rng.random((count, 1)) * edges[:, -1:]).sum(1)
        inputs[:, position], state = token, table[state, token]
    return inputs
