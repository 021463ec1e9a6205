"""Inputs of a task that a model gets wrong, looked for at random; half of them where a task's states are rare."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from certificates.automaton import Automaton
from certificates.tensor_file import IntArray
from prover.transformer.problem import TransformerProblem

_BLOCK = 2**14


@dataclass(frozen=True)
class Found:
    """Inputs "n k" that were wrong, what the model answers "n r", and the least lead of all that were tried."""

    tried: int
    wrong: IntArray
    answers: IntArray
    least: float


def attack(problem: TransformerProblem, tries: int, seed: int = 0) -> Found:
    """Evaluate random inputs in float64."""
    rng, wrong, answers, least = np.random.default_rng(seed), [], [], np.inf
    for block, by_state in problem.track(list(_blocks(tries)), "attack"):
        inputs = _inputs(problem, block, rng, by_state)
        leads = problem.margins(inputs, problem.outputs_of(inputs))
        bad = problem.as_tokens(np.unique(inputs[leads <= 0], axis=0))
        wrong.append(bad)
        answers.append(problem.answers(bad))
        least = min(least, float(leads.min()))
    every, first = np.unique(np.concatenate(wrong), axis=0, return_index=True)
    return Found(tries, every, np.concatenate(answers)[first], least)


def _blocks(tries: int) -> Iterator[tuple[int, bool]]:
    for number, start in enumerate(range(0, tries, _BLOCK)):
        yield min(_BLOCK, tries - start), number % 2 == 1


def _inputs(problem: TransformerProblem, count: int, rng: np.random.Generator, by_state: bool) -> IntArray:
    length, tokens = problem.shape
    if problem.automaton is None:
        return rng.integers(0, tokens, (count, length))
    return walks(problem.automaton, count, rng, by_state)


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
