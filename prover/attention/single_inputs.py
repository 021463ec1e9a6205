"""Inputs that the checker certifies one by one (checker/attention/further_inputs)."""

import numpy as np
from torch import Tensor

from certificates import Step, integer_tensor
from prover.attention.sequence_problem import SequenceProblem


def surely_correct(problem: SequenceProblem, numbers: Tensor) -> Tensor:
    """For inputs "n k" (in the task's numbers): which the checker will find to be classified correctly."""
    true = numbers.sort(1).values[:, problem.n_ctx - problem.task.rank]
    return problem.decide_tensors(numbers, true)[0]


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
    return Step("further-inputs", (0, step), {}, {"inputs": integer_tensor(in_order)})
