"""Inputs that the checker certifies one by one (checker/attention/further_inputs)."""

import numpy as np
import torch
from torch import Tensor

from certificates import RawTensor, Step
from prover.attention.sequence_problem import SequenceProblem

_BLOCK = 2**22


def surely_correct(problem: SequenceProblem, numbers: Tensor) -> Tensor:
    """For inputs "n k" (in the task's numbers): which the checker will find to be classified correctly."""
    blocks = numbers.split(max(1, _BLOCK // problem.tables.direct.shape[1]))
    return torch.cat([_decide(problem, block) for block in blocks]) if len(numbers) else numbers.new_zeros(0, dtype=torch.bool)


def _decide(problem: SequenceProblem, numbers: Tensor) -> Tensor:
    tables, rows = problem.tables, torch.arange(len(numbers), device=numbers.device)
    query = numbers[:, -1]
    true = numbers.sort(1).values[:, problem.n_ctx - problem.task.rank]
    score = tables.token_score[query[:, None], numbers] + tables.position_score[query]
    weight = (score - score.amax(1, keepdim=True)).exp()  # n j
    margin = torch.zeros_like(tables.direct[query])  # n o, and how far the checker's may lie below
    error = torch.zeros_like(margin)
    for j in range(problem.n_ctx):
        value = tables.direct[query] + tables.token_value[numbers[:, j]] + tables.position_value[j]
        gap, of_token = value[rows, true, None] - tables.margin - value, weight[:, j, None]
        change = of_token * tables.weight_error + tables.block_error  # the largest weight is one
        margin += of_token * gap
        error += (of_token + change) * tables.gap_error + change * gap.abs()
    margin[rows, true] = torch.inf
    return (margin > error).all(1)


def count_by_cell(problem: SequenceProblem, numbers: Tensor) -> np.ndarray:
    """How many of some inputs "n k" there are by query and true output, "q m" of Python integers."""
    counts = np.zeros((problem.d_vocab, problem.d_vocab), object)
    true = numbers.sort(1).values[:, problem.n_ctx - problem.task.rank]
    np.add.at(counts, (numbers[:, -1].cpu().numpy(), true.cpu().numpy()), 1)
    return counts


def further_inputs(problem: SequenceProblem, step: int, numbers: Tensor) -> Step:
    """The step that adds these inputs to those of an earlier step; tables are step 0."""
    rows = np.unique(numbers.cpu().numpy(), axis=0)
    true = np.sort(rows, axis=1)[:, problem.n_ctx - problem.task.rank]
    copies = (rows[:, :-1] == true[:, None]).sum(1)
    in_order = rows[np.lexsort((copies, true, rows[:, -1]))]  # cell by cell; np.unique has sorted them lexicographically
    return Step("further-inputs", (0, step), {}, {"inputs": RawTensor.of_integers(in_order)})
