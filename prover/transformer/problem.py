"""What to prove about a transformer of any depth."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from prover.attention.tasks import OrderStatistic, parse_task
from prover.problem import Problem
from prover.transformer.forward import transformer_logits
from prover.weights import Weights, load_weights


@dataclass(frozen=True)
class TransformerProblem(Problem):
    """How well a transformer, read at the last position, finds the n-th largest of its tokens."""

    @cached_property
    def task(self) -> OrderStatistic:
        """The task. Raises FormatError if it is unknown or the model is unfit for it."""
        return parse_task(self.model.task if self.task_json is None else self.task_json, self.model.config)

    @cached_property
    def weights(self) -> Weights:
        """The model in float64 on the device."""
        return load_weights(self.model, self.device)

    @property
    def total(self) -> int:
        """Number of inputs."""
        return self.model.config.d_vocab**self.model.config.n_ctx

    def inputs(self, places: Tensor) -> Tensor:
        """The inputs "n k" at some places of their lexicographic order."""
        vocab = self.model.config.d_vocab
        strides = vocab ** torch.arange(self.model.config.n_ctx - 1, -1, -1, device=places.device)
        return places[:, None] // strides % vocab

    def true_outputs(self, inputs: Tensor) -> Tensor:
        """The true output "n" of inputs "n k"."""
        from_below = self.task.rank if self.task.reverse else self.model.config.n_ctx + 1 - self.task.rank
        return inputs.sort(1).values[:, from_below - 1]

    def margins(self, inputs: Tensor) -> Tensor:
        """By how much the true output of inputs "n k" leads the best other output, in float64, less the problem's margin."""
        # Rounding of the margin to float64 is far below what the checker can tell apart.
        logits = transformer_logits(self.model.config, self.weights, inputs)[:, -1]
        true = self.true_outputs(inputs)[:, None]
        return logits.gather(1, true)[:, 0] - logits.scatter(1, true, -torch.inf).amax(1) - float(self.margin)
