"""What to prove about a transformer of any depth."""

import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from certificates import Certificate, FormatError, Statement, Step, integer_tensor, write_certificate, write_model
from certificates.automaton import Automaton
from certificates.tensor_file import IntArray
from checker import verify
from prover.attention.tasks import OrderStatistic, parse_task
from prover.deployed import FORMATS
from prover.problem import BoolArray, Problem, Task
from prover.strategy import DoesNotFit
from prover.transformer.forward import transformer_logits
from prover.transformer.walks import walks
from prover.weights import Weights, load_weights

_BLOCK = 2**22
"""Numbers in the largest array of a block of inputs."""
_LOST, _SURE, _ROUNDINGS = 6, 46, 4
"""Bits of sums that rounding takes; those of precision from which on float64 would not tell; what executions take more."""
_SAMPLE, _PROBED = 2**13, 200
"""Random inputs, and about how many of them the checker is asked at once."""


@dataclass(frozen=True)
class TransformerProblem(Problem):
    """How well a transformer finds the n-th largest of its tokens, or does a task of one's own.

    deployed: in every execution in this format, too.
    """

    deployed: str | None = None

    @cached_property
    def task(self) -> Task:
        """The task. Raises FormatError if it is unknown or the model is unfit for it."""
        return self._order

    @cached_property
    def _order(self) -> OrderStatistic:
        if self.automaton is not None:
            raise FormatError("the task has no name")
        return parse_task(self.model.task if self.task_json is None else self.task_json, self.model.config)

    @cached_property
    def weights(self) -> Weights:
        """The model in float64 on the device."""
        return load_weights(self.model, self.device)

    @property
    def required_automaton(self) -> Automaton:
        """The task, if it is an automaton. Raises FormatError if it has a name."""
        if self.automaton is None:
            raise FormatError("the task is no automaton")
        return self.automaton

    def random_inputs(self, count: int, rng: np.random.Generator, by_state: bool) -> IntArray:
        """Inputs "n k" in the task's numbers. by_state: see `walks`."""
        if self.automaton is not None:
            return walks(self.automaton, count, rng, by_state)
        length, tokens = self.shape
        return rng.integers(0, tokens, (count, length))

    @cached_property
    def influence(self) -> IntArray:
        """How much a coordinate of what the last block's heads read matters, "head x d_head", roughly: from 1 to 1024."""
        length = self.weights[f"blocks.{self.model.config.n_layers - 1}.attn.W_O"].norm(dim=2).flatten().cpu().numpy()
        return np.maximum(1, np.rint(1024 * length / max(length.max(), 1e-300))).astype(np.int64)

    @property
    def room(self) -> float:
        """How far a sum is from zero, relative to the greatest of its terms, that the checker surely proves to be positive."""
        bits = self.precision if self.deployed is None else min(self.precision, FORMATS[self.deployed].bits - _ROUNDINGS)
        return 2.0 ** (_LOST - min(bits, _SURE))

    @property
    def shape(self) -> tuple[int, int]:
        """Number of positions, and of tokens."""
        return self.model.config.input_shape

    @property
    def reads(self) -> list[int]:
        """Positions at which the model is read."""
        return [self.shape[0] - 1] if self.automaton is None else self.automaton.reads[:, 0].tolist()

    @property
    def classifier(self) -> Step:
        """The forward pass."""
        if self.deployed is not None:
            return Step("executed-forward", (), {"format": FORMATS[self.deployed].number})
        return Step("transformer-forward")

    def outputs_of(self, inputs: IntArray) -> IntArray:
        """True outputs "n r" of sequences "n k" at the reads, in the task's numbers; -1: no input."""
        if self.automaton is not None:
            return self.automaton.outputs_of(inputs)
        return np.sort(inputs, axis=1)[:, self.shape[0] - self._order.rank, None]

    def decide(self, inputs: IntArray, outputs: IntArray) -> tuple[BoolArray, BoolArray]:
        """Which inputs "n k" (in the task's numbers) the checker surely proves, and which it surely does not."""
        margins = self.margins(inputs, outputs)
        return margins >= self.least, margins <= -self.least

    def margins(self, inputs: IntArray, outputs: IntArray) -> np.ndarray:
        """By how much outputs "n r" lead on inputs "n k" at all reads, less the problem's margin, in float64."""
        return self.leads(inputs, outputs).min(1, initial=np.inf)

    def leads(self, inputs: IntArray, outputs: IntArray) -> np.ndarray:
        """The same at each read, "n r"."""
        inputs, outputs = self.as_tokens(inputs), self.as_tokens(outputs)
        config = self.model.config
        widest = config.n_ctx * max(config.d_mlp, config.n_heads * max(config.d_head, config.n_ctx), config.d_model)
        pairs = (torch.as_tensor(array, device=self.device).split(max(1, _BLOCK // widest)) for array in (inputs, outputs))
        parts = [self._leads(*pair).cpu().numpy() for pair in zip(*pairs, strict=True)]
        return np.concatenate(parts) if parts else np.zeros((0, len(self.reads)))

    def as_tokens(self, numbers: IntArray) -> IntArray:
        """The tokens with these numbers in the task."""
        return self.shape[1] - 1 - numbers if self.automaton is None and self._order.reverse else numbers

    def answers(self, tokens: IntArray) -> IntArray:
        """What the model answers to tokens "n k" at the reads, "n r", in float64."""
        found = transformer_logits(self.model.config, self.weights, torch.as_tensor(tokens, device=self.device))
        answers: IntArray = found[:, self.reads].argmax(2).cpu().numpy()
        return answers

    def _leads(self, inputs: Tensor, outputs: Tensor) -> Tensor:
        logits = transformer_logits(self.model.config, self.weights, inputs)[:, self.reads]
        others = logits.scatter(2, outputs[..., None], -torch.inf).amax(2)
        return logits.gather(2, outputs[..., None])[..., 0] - others - float(self.margin)

    @cached_property
    def least(self) -> float:
        """A margin from which on the checker surely proves inputs right, with room: it is asked about those just beyond.

        Raises DoesNotFit if it cannot tell any margin of a sample from zero; if all of the sample is wrong, it is 1.
        """
        inputs = np.unique(self.random_inputs(_SAMPLE, np.random.default_rng(0), by_state=False), axis=0)
        outputs = self.outputs_of(inputs)
        margins = self.margins(inputs, outputs)
        most = float(margins.max())
        least = most * 2.0**-32
        with tempfile.TemporaryDirectory() as folder:
            model, probe = Path(folder) / "model", Path(folder) / "probe"
            write_model(model, self.model)
            while 0 < least <= most:
                asked = np.argsort(np.where(margins < least, np.inf, margins))[
                    : min(_PROBED, np.count_nonzero(margins >= least))
                ]
                write_certificate(probe, self._claim(inputs[asked], outputs[asked]))
                if verify(probe, model).accepted:
                    return 4 * least
                least *= 4
        if most > 0:
            raise DoesNotFit("the checker cannot tell any margin of a sample from zero; try --precision 50, which takes longer")
        return 1.0

    def cells(self, inputs: IntArray, outputs: IntArray) -> list[IntArray]:
        """Those of inputs, the last key first: the last token; if the task has a name, also output and free copies of it."""
        copies = [] if self.automaton is not None else [(inputs[:, :-1] == outputs).sum(axis=1), outputs[:, 0]]
        return [*copies, inputs[:, -1]]

    def _claim(self, inputs: IntArray, outputs: IntArray) -> Certificate:
        """That these are right: cell by cell."""
        listed = inputs[np.lexsort([*inputs.T[::-1], *self.cells(inputs, outputs)])]
        further = Step("further-inputs", (0, 1), {}, {"inputs": integer_tensor(listed)})
        statement = Statement(self.model.digest(), self.stated_task, len(inputs), self.total, self.margin)
        return Certificate(statement, self.precision, (self.classifier, Step("disjoint-sum"), further), self.given_tensors)
