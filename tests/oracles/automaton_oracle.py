"""What an automaton says of a sequence, by walking through it. Shares nothing with the project."""

from collections.abc import Sequence


def output_of(
    order: Sequence[int], transitions: Sequence[Sequence[Sequence[int]]], outputs: Sequence[int], row: Sequence[int]
) -> int:
    """The true output, or -1 if the sequence is no input."""
    state = 0
    for step, position in enumerate(order):
        state = transitions[step if len(transitions) > 1 else 0][state][row[position]]
        if state < 0:
            return -1
    return outputs[state]
