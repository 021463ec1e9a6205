"""Transformers of two layers that tell positions apart by the token there and the one before it: where they look, and how to
make them look at nothing else.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from certificates.tensor_file import IntArray
from prover.surrogate import Claims, Surrogate
from prover.transformer.descent import descended
from prover.transformer.forward import (
    attention_pattern,
    first_heads,
    of_block,
    residual_stream,
    transformer_logits,
    unembedding,
)
from prover.transformer.problem import TransformerProblem
from prover.weights import Weights

_SAMPLES = 2**14
_STARTS, _ROUNDS = 128, 2
"""Inputs from which those with a small lead are looked for, when a surrogate is made."""
_SMALL, _PULL = 1e-3, 0.4
"""The share of attention beyond neighbours that is small enough; and what the rest of it weighs in fine-tuning."""
_ENOUGH = 0.25
"""The share of the usual lead from which on an input has room."""


@dataclass(frozen=True)
class Observed:
    """What the second layer does at the last position, for random inputs "n k"."""

    problem: TransformerProblem

    @cached_property
    def inputs(self) -> IntArray:
        """Random inputs "n k"."""
        return self.problem.random_inputs(_SAMPLES, np.random.default_rng(0), by_state=False)

    @cached_property
    def _heads(self) -> tuple[Tensor, Tensor]:
        """How much each head attends to which position, "n h k"; and what it adds to the logits, "n h out"."""
        config, weights = self.problem.model.config, self.problem.weights
        stream = residual_stream(config, weights, torch.as_tensor(self.inputs, device=self.problem.device), 1)
        own = of_block(weights, 1)
        pattern, value = attention_pattern(config, own, stream, stream.new_zeros(stream.shape[:2], dtype=torch.bool))
        added = torch.einsum("nhk,nhke,hed->nhd", pattern[:, :, -1], value, own["attn.W_O"])
        return pattern[:, :, -1], added @ unembedding(config, weights)

    def head(self) -> int:
        """The head that adds most to the true output's logit, compared with all others."""
        added = self._heads[1]
        true = torch.as_tensor(self.problem.outputs_of(self.inputs), device=added.device)
        own = added.gather(2, true[:, None].expand(-1, added.shape[1], -1))[..., 0]
        return int((own - added.mean(2)).mean(0).argmax())

    def references(self, head: int) -> IntArray:
        """For every token at the last position, where a head attends to most: a position, the token before it, and that there.

        For a token that is in no input of the sample: the last position.
        """
        length, vocab = self.problem.shape
        attended = self._heads[0][:, head].cpu().numpy()
        found = np.array([[length - 1, 0, token] for token in range(vocab)])
        for token in range(vocab):
            rows = np.flatnonzero(self.inputs[:, -1] == token)
            if len(rows):
                row, place = divmod(int(attended[rows].argmax()), length)
                pair = self.inputs[rows[row], max(place - 1, 0)], self.inputs[rows[row], place]
                found[token] = place, pair[0] if place else 0, pair[1]
        return found

    def means(self, head: int) -> np.ndarray:
        """The least mean of what each other head adds to leads, "q o r h": for last tokens, outputs, and rivals in order.

        Of inputs of the sample; where there are none, of those with the same output, or 0.
        """
        added, true = self._heads[1].cpu().numpy(), self.problem.outputs_of(self.inputs)[:, 0]
        others, (_, count, outputs) = np.delete(np.arange(added.shape[1]), head), added.shape
        found = np.zeros((self.problem.shape[1], outputs, outputs - 1, count - 1))
        for output in np.unique(true).tolist():
            rows = np.flatnonzero(true == output)
            leads = added[rows][:, others, output, None] - np.delete(added[rows][:, others], output, axis=2)  # "n h r"
            found[:, output] = leads.min(0).T
            query = self.inputs[rows, -1]
            for token in np.unique(query).tolist():
                found[token, output] = leads[query == token].min(0).T
        return found


def beyond_neighbours(heads: tuple[Tensor, Tensor, Tensor], before: bool) -> Tensor:
    """How far attention in the first layer is from looking at neighbours only, at all positions and for all tokens: a mean.

    The logarithm of the weight of all other positions together, with the tokens that draw most attention, relative to that of
    the position and the one before it (at the last position: if `before`), where it is more than that of a small share.
    """
    query, key, _ = heads  # "v head k e"
    length, found = query.shape[2], list[Tensor]()
    for position in range(1, length):
        here = query[:, :, position]
        near = torch.einsum("bhe,bhe->bh", here, key[:, :, position])[:, None]
        paired = position < length - 1 or before
        if paired:
            near = torch.logaddexp(near, torch.einsum("bhe,ahe->bah", here, key[:, :, position - 1]))
        others = torch.einsum("bhe,ahke->bhka", here, key[:, :, : position - paired]).amax(3)
        if others.shape[2]:
            found.append(softplus(others.logsumexp(2)[:, None] - near - np.log(_SMALL)).mean())
    return torch.stack(found).mean() if found else query.sum() * 0


def neighbour_margins(problem: TransformerProblem, before: bool, rng: np.random.Generator) -> Surrogate:
    """Leads on inputs with a small lead, as they are at the weights of this moment, relative to what is enough; and, as a pull,
    what the first layer attends to beyond neighbours.
    """
    random = problem.random_inputs(_STARTS, rng, by_state=False)
    enough = _ENOUGH * max(float(np.median(np.abs(problem.margins(random, problem.outputs_of(random))))), 1e-12)
    worst = descended(problem, random, _ROUNDS, rng)
    inputs, true = (torch.as_tensor(array, device=problem.device) for array in (worst, problem.outputs_of(worst)[:, 0]))
    config, share = problem.model.config, torch.full((len(worst),), 1 / len(worst), device=problem.device)

    def claims(weights: Weights, temperature: float) -> Claims:
        logits = transformer_logits(config, weights, inputs)[:, -1]
        lead = logits.gather(1, true[:, None])[:, 0] - logits.scatter(1, true[:, None], -torch.inf).amax(1)
        pull = _PULL * beyond_neighbours(first_heads(config, weights), before)
        return Claims(((lead - float(problem.margin)) / enough)[:, None], share, pull)

    return claims
