"""What to prove about an attention-only transformer that reads sequences of tokens."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from certificates import FormatError, Step
from certificates.tensor_file import IntArray
from prover.attention.pessimistic_tables import Tables, additive_tables
from prover.attention.tasks import OrderStatistic, parse_task
from prover.problem import BoolArray, Problem
from prover.weights import Weights, load_weights

_BLOCK = 2**22
"""Elements in the largest array of one block of inputs."""


@dataclass(frozen=True)
class SequenceProblem(Problem):
    """How well an attention-only transformer finds the n-th largest of its tokens, or does a task of one's own."""

    @cached_property
    def task(self) -> OrderStatistic:
        """The task. Raises FormatError if it is unknown or the model is unfit for it."""
        if self.automaton is not None:
            raise FormatError("the task has no name")
        return parse_task(self.model.task if self.task_json is None else self.task_json, self.model.config)

    @cached_property
    def weights(self) -> Weights:
        """The model in float64 on the device, its tokens and outputs in the order of the task's numbers."""
        return self.in_order(load_weights(self.model, self.device))

    def in_order(self, weights: Weights) -> Weights:
        """Weights as in the model file, with tokens and outputs in the order of the task's numbers."""
        if self.automaton is not None or not self.task.reverse:
            return weights
        ordered = {**weights, "embed.W_E": weights["embed.W_E"].flip(0)}
        for name in ("unembed.W_U", "unembed.b_U"):
            kept = weights[name][..., self.d_vocab :]
            ordered[name] = torch.cat([weights[name][..., : self.d_vocab].flip(-1), kept], -1)
        return ordered

    @cached_property
    def tables(self) -> Tables:
        """The additive tables, with the checker's rounding errors."""
        return replace(additive_tables(self.weights, self.precision), margin=float(self.margin))

    @property
    def d_vocab(self) -> int:
        """Number of tokens V."""
        return self.model.config.d_vocab

    @property
    def n_ctx(self) -> int:
        """Sequence length K."""
        return self.model.config.n_ctx

    @property
    def shape(self) -> tuple[int, int]:
        """Number of positions, and of tokens."""
        return self.n_ctx, self.d_vocab

    @property
    def classifier(self) -> Step:
        """The additive tables."""
        return Step("additive-tables")

    def outputs_of(self, inputs: IntArray) -> IntArray:
        """True outputs "n 1" of sequences "n k" (in the task's numbers); -1 for those that are no inputs."""
        if self.automaton is not None:
            return self.automaton.outputs_of(inputs)
        return np.sort(inputs, axis=1)[:, self.n_ctx - self.task.rank, None]

    def decide(self, inputs: IntArray, outputs: IntArray) -> tuple[BoolArray, BoolArray]:
        """Which inputs "n k" (in the task's numbers) the checker surely proves, and which it surely does not."""
        on_device = (torch.as_tensor(array, device=self.device) for array in (inputs, outputs[:, 0]))
        sure, wrong = self.decide_tensors(*on_device)
        return sure.cpu().numpy(), wrong.cpu().numpy()

    def decide_tensors(self, numbers: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
        """The same on the device."""
        nothing = numbers.new_zeros(0, dtype=torch.bool)
        size = max(1, _BLOCK // self.tables.direct.shape[1])
        blocks = zip(numbers.split(size), true.split(size), strict=True)
        parts = [self._decide(*block) for block in blocks] if len(numbers) else [(nothing, nothing)]
        sure, wrong = zip(*parts, strict=True)
        return torch.cat(sure), torch.cat(wrong)

    def _decide(self, numbers: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
        tables, rows = self.tables, torch.arange(len(numbers), device=numbers.device)
        query = numbers[:, -1]
        score = tables.token_score[query[:, None], numbers] + tables.position_score[query]
        weight = (score - score.amax(1, keepdim=True)).exp()  # n j
        margin = torch.zeros_like(tables.direct[query])  # n o, and how far the checker's may lie from it
        error = torch.zeros_like(margin)
        for j in range(self.n_ctx):
            value = tables.direct[query] + tables.token_value[numbers[:, j]] + tables.position_value[j]
            gap, of_token = value[rows, true, None] - tables.margin - value, weight[:, j, None]
            change = of_token * tables.weight_error + tables.block_error  # the largest weight is one
            margin += of_token * gap
            error += (of_token + change) * tables.gap_error + change * gap.abs()
        margin[rows, true] = torch.inf
        return (margin > error).all(1), (margin < -error).any(1)
