"""Inputs with a small lead, by changing one token at a time."""

import numpy as np

from certificates.tensor_file import IntArray
from prover.transformer.problem import TransformerProblem


def descended(problem: TransformerProblem, inputs: IntArray, rounds: int, rng: np.random.Generator) -> IntArray:
    """From inputs "n k" others of the task with the same leads or less: in a round, every position once, in random order.

    A round evaluates n x k x d_vocab inputs, in float64.
    """
    (length, tokens), found = problem.shape, inputs
    for position in [place for _ in range(rounds) for place in rng.permutation(length).tolist()]:
        tried = np.repeat(found, tokens, axis=0)
        tried[:, position] = np.tile(np.arange(tokens), len(found))
        outputs = problem.outputs_of(tried)
        fits = np.flatnonzero(np.all(outputs >= 0, axis=1))
        leads = np.full(len(tried), np.inf)
        leads[fits] = problem.margins(tried[fits], outputs[fits])
        found = tried[np.arange(len(found)) * tokens + leads.reshape(-1, tokens).argmin(axis=1)]
    return found
