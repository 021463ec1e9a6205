"""What to prove about an attention-only transformer that reads sequences of tokens."""

from dataclasses import dataclass, replace
from functools import cached_property

import torch

from prover.attention.pessimistic_tables import Tables, additive_tables
from prover.attention.tasks import OrderStatistic, parse_task
from prover.problem import Problem
from prover.weights import Weights, load_weights


@dataclass(frozen=True)
class SequenceProblem(Problem):
    """How well an attention-only transformer finds the n-th largest of its tokens."""

    @cached_property
    def task(self) -> OrderStatistic:
        """The task. Raises FormatError if it is unknown or the model is unfit for it."""
        return parse_task(self.model.task if self.task_json is None else self.task_json, self.model.config)

    @cached_property
    def weights(self) -> Weights:
        """The model in float64 on the device, its tokens and outputs in the order of the task's numbers."""
        return self.in_order(load_weights(self.model, self.device))

    def in_order(self, weights: Weights) -> Weights:
        """Weights as in the model file, with tokens and outputs in the order of the task's numbers."""
        if not self.task.reverse:
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
    def total(self) -> int:
        """Number of inputs."""
        return self.d_vocab**self.n_ctx
