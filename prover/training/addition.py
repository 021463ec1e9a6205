"""Training recipe for addition: one attention head and a small ReLU layer, no normalisation, digits from the lowest one on.

An input is a, b, "=" (token 10) and the sum but for its highest digit: 3 digits + 1 tokens. The model is read from "=" on, and
trained to say the next digit of the sum at all these positions at once, by AdamW. Half of the inputs have many pairs of digits
whose sum is nine, where carries pass.

*Initial positions.* Digits of one place value begin with one random vector, as in "abacus embeddings" (McLeish et al., 2024);
the position at which a digit of the sum is asked for begins with that vector turned by a random rotation R, and W_Q = R^T W_K.
So attention begins at the digits of the right place. That is all that is prescribed; gradients do the rest.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from certificates import Model
from certificates.transformer import Transformer, parse_transformer
from prover.known_tasks import number_addition
from prover.problem import Track, silent
from prover.training.random_weights import random_weights
from prover.transformer.forward import transformer_logits
from prover.weights import raw_tensor

_ATTEMPTS, _PATIENCE, _LEARNED = 5, 2, 0.05
"""Sums are learned if the mean loss of recent steps is so small, after half of the steps or up to so many halves; if they are
not, other initial weights are drawn, up to so many times.
"""
_EQUALS, _SHARPNESS, _NOISE, _NINES = 10, 3.0, 0.2, 0.6
"""The token "="; what attention begins with; what positions of one place differ by; the share of nines where they are many."""


@dataclass(frozen=True)
class AdditionRecipe:
    """Sizes and schedule for adding numbers of so many digits; batch: digits of sums in a step, that many if possible.

    The rate is kept for half of the steps, or until sums are learned; over the other half it falls to zero. If sums are not
    learned, it begins afresh from other weights. Deterministic given the seed on one machine.
    """

    digits: int = 10
    seed: int = 0
    d_model: int = 32
    d_head: int = 16
    d_mlp: int = 24
    steps: int = 6000
    batch: int = 1408
    rate: float = 4e-3


def train_addition(recipe: AdditionRecipe, device: torch.device, track: Track = silent) -> Model:
    """Train a model; its weights are stored in float32."""
    generator = torch.Generator().manual_seed(recipe.seed)
    config = _config(recipe)
    for _ in range(_ATTEMPTS):
        initial = _initial(recipe, config, generator)
        run = _Run(recipe, config, {name: weight.to(device).requires_grad_() for name, weight in initial.items()}, generator)
        if run.learns(track):
            break
    run.settles(track)
    return Model(
        config,
        {name: raw_tensor(weight) for name, weight in run.weights.items()},
        {"automaton": number_addition(recipe.digits).digest},
    )


@dataclass(frozen=True)
class _Run:
    recipe: AdditionRecipe
    config: Transformer
    weights: dict[str, Tensor]
    generator: torch.Generator

    @cached_property
    def optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(list(self.weights.values()), lr=self.recipe.rate, betas=(0.9, 0.98), weight_decay=0.01)

    def learns(self, track: Track) -> bool:
        """Take steps, half of them or more, until sums are learned."""
        recent, half = 100.0, self.recipe.steps // 2
        for step in track(range(_PATIENCE * half), "learning"):
            recent = 0.98 * recent + 0.02 * self.step(min(1.0, (step + 1) / 100))
            if step + 1 >= half and recent < _LEARNED:
                return True
        return False

    def settles(self, track: Track) -> None:
        """Take the other half."""
        steps = self.recipe.steps
        for step in track(range(steps // 2, steps), "settling"):
            self.step(min(1.0, 2 * (steps - step) / steps))

    def step(self, share: float) -> float:
        """Take one step, with this share of the rate; the loss before it."""
        recipe, device = self.recipe, self.weights["embed.W_E"].device
        self.optimizer.param_groups[0]["lr"] = recipe.rate * share
        count = max(2, recipe.batch // (recipe.digits + 1))
        inputs, true = (part.to(device) for part in sums(recipe.digits, count, self.generator))
        found = transformer_logits(self.config, self.weights, inputs)[:, 2 * recipe.digits :]
        loss = torch.nn.functional.cross_entropy(found.flatten(0, 1), true.flatten())
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return float(loss.detach())


def _config(recipe: AdditionRecipe) -> Transformer:
    sizes = {"d_model": recipe.d_model, "d_head": recipe.d_head, "d_mlp": recipe.d_mlp, "n_ctx": 3 * recipe.digits + 1}
    return parse_transformer(
        {**sizes, "n_layers": 1, "n_heads": 1, "d_vocab": 11, "d_vocab_out": 10, "act_fn": "relu", "normalization_type": None}
    )


def _initial(recipe: AdditionRecipe, config: Transformer, generator: torch.Generator) -> dict[str, Tensor]:
    """Random weights, and positions as above."""
    digits, size = recipe.digits, recipe.d_model
    weights = random_weights(config, generator)
    place = torch.randn(digits + 1, size, generator=generator) * size**-0.5 * _SHARPNESS
    turned = torch.linalg.qr(torch.randn(size, size, generator=generator))[0]
    begin = torch.cat([place[:digits], place[:digits], place @ turned])
    weights["pos_embed.W_pos"] = begin + _NOISE * weights["pos_embed.W_pos"]
    weights["blocks.0.attn.W_K"] *= _SHARPNESS
    weights["blocks.0.attn.W_Q"] = turned.T @ weights["blocks.0.attn.W_K"]
    return weights


def sums(digits: int, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Random inputs "n k" and the digits of the sum "n digits+1", from the lowest one on; the second half with many nines."""
    a, b = torch.randint(10, (2, count, digits), generator=generator)
    nines = torch.rand(count, digits, generator=generator) < _NINES
    nines[: count // 2] = False
    b = torch.where(nines, 9 - a, b)
    carry, found = torch.zeros(count, dtype=torch.long), list[Tensor]()
    for place in range(digits):
        total = a[:, place] + b[:, place] + carry
        found.append(total % 10)
        carry = total // 10
    true = torch.stack([*found, carry], 1)
    return torch.cat([a, b, torch.full((count, 1), _EQUALS), true[:, :-1]], 1), true
