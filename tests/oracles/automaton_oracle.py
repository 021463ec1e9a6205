"""What an automaton says of a sequence, by walking through it. Shares nothing with the project."""

from collections.abc import Mapping, Sequence
from typing import Any


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


def outputs_at_reads(tables: Mapping[str, Any], row: Sequence[int]) -> list[int]:
    """The true outputs at an automaton's reads, or -1 for each if the sequence is no input."""
    transitions, state, states = tables["transitions"], 0, [0]
    for step, position in enumerate(tables["order"]):
        state = transitions[step if len(transitions) > 1 else 0][state][row[position]]
        if state < 0:
            return [-1] * len(tables["outputs"])
        states.append(state)
    found = [outputs[states[steps]] for outputs, (_, steps) in zip(tables["outputs"], tables["reads"], strict=True)]
    return [-1] * len(found) if -1 in found else found
