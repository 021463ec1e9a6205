"""Inputs with their true outputs, and what weights make of them: what models are trained, fine-tuned and measured on."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from prover.attention.sequence_problem import SequenceProblem
from prover.layers.hidden_layer import hidden_layer
from prover.layers.two_input_problem import TwoInputProblem
from prover.problem import Problem
from prover.transformer.forward import transformer_logits
from prover.transformer.problem import TransformerProblem
from prover.weights import Weights, logits

_AT_ONCE = 65536


@dataclass(frozen=True)
class Examples:
    """inputs "n k" (tokens, or two elements); true "n r": the outputs at the positions where the model is read."""

    inputs: Tensor
    true: Tensor

    def __len__(self) -> int:
        return len(self.true)


def random_examples(problem: Problem, count: int, generator: torch.Generator) -> Examples:
    """Uniformly random inputs, independent of each other; of a task of one's own as prover/transformer/walks finds them."""
    if isinstance(problem, TransformerProblem):
        return _found(problem, count, generator, by_state=False)
    if isinstance(problem, TwoInputProblem):
        table = torch.as_tensor(problem.task.table, dtype=torch.long)
        pairs = torch.randint(len(table), (count, 2), generator=generator)
        return Examples(pairs.to(problem.device), table[pairs[:, :1], pairs[:, 1:]].to(problem.device))
    tokens = torch.randint(problem.d_vocab, (count, problem.n_ctx), generator=generator).to(problem.device)
    return _sequences(problem, tokens)


def varied_examples(problem: Problem, count: int, generator: torch.Generator) -> Examples:
    """Random inputs, the second half with every true output alike: of a long sequence the largest token is hardly ever small.

    For these, all tokens are below (for the smallest: above) a uniformly random one; for a task of one's own, rare states are
    as likely as others.
    """
    if isinstance(problem, TransformerProblem):
        usual, rare = _found(problem, count - count // 2, generator, False), _found(problem, count // 2, generator, True)
        return Examples(torch.cat([usual.inputs, rare.inputs]), torch.cat([usual.true, rare.true]))
    examples = random_examples(problem, count, generator)
    if isinstance(problem, TwoInputProblem):
        return examples
    caps = 1 + torch.randint(problem.d_vocab, (count // 2, 1), generator=generator).to(problem.device)
    capped = examples.inputs[: len(caps)] * caps // problem.d_vocab
    if problem.task.reverse:
        capped = problem.d_vocab - 1 - capped
    return _sequences(problem, torch.cat([examples.inputs[len(caps) :], capped]))


def some_examples(problem: Problem, most: int, generator: torch.Generator) -> Examples:
    """Every input once if there are no more than `most`, else so many random ones."""
    if problem.total > most or isinstance(problem, TransformerProblem):
        return random_examples(problem, most, generator)
    if isinstance(problem, TwoInputProblem):
        table = torch.as_tensor(problem.task.table, dtype=torch.long, device=problem.device)
        return Examples(torch.cartesian_prod(*[torch.arange(len(table), device=problem.device)] * 2), table.reshape(-1, 1))
    every = torch.arange(problem.d_vocab, device=problem.device)
    return _sequences(problem, torch.cartesian_prod(*[every] * problem.n_ctx).reshape(-1, problem.n_ctx))


def _sequences(problem: SequenceProblem, tokens: Tensor) -> Examples:
    rank, n_ctx = problem.task.rank, problem.n_ctx
    return Examples(tokens, tokens.sort(1).values[:, [rank - 1 if problem.task.reverse else n_ctx - rank]])


def _found(problem: TransformerProblem, count: int, generator: torch.Generator, by_state: bool) -> Examples:
    rng = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))
    inputs = problem.random_inputs(count, rng, by_state)
    true, tokens = problem.outputs_of(inputs), problem.as_tokens(inputs)
    true = true if problem.automaton is not None else problem.as_tokens(true)
    return Examples(torch.as_tensor(tokens, device=problem.device), torch.as_tensor(true, device=problem.device))


def outputs(problem: Problem, weights: Weights, inputs: Tensor) -> Tensor:
    """Logits "n r out" for inputs "n k"; weights as in the model file, absent biases zero."""
    if isinstance(problem, TransformerProblem):
        return transformer_logits(problem.model.config, weights, inputs)[:, problem.reads]
    if isinstance(problem, TwoInputProblem):
        return hidden_layer(weights, problem.model.config).logits(inputs[:, 0], inputs[:, 1])[:, None]
    return logits(weights, inputs)[:, None]


@torch.no_grad()
def predictions(problem: Problem, weights: Weights, inputs: Tensor) -> Tensor:
    """The outputs "n r" with the largest logits, in floating point."""
    return torch.cat([outputs(problem, weights, part).argmax(2) for part in inputs.split(_AT_ONCE)])


def count_right(problem: Problem, weights: Weights, examples: Examples) -> int:
    """How many examples are right, at all reads, in floating point."""
    return int((predictions(problem, weights, examples.inputs) == examples.true).all(1).sum())
