"""Training recipe for addition: one attention head and a small ReLU layer, no normalisation, digits from the lowest one on.

An input is a, b, "=" (token 10) and the sum but for its highest digit: 3 digits + 1 tokens. The model is read from "=" on, and
trained to say the next digit of the sum at all these positions at once, by AdamW. Half of the inputs have many pairs of digits
whose sum is nine, where carries pass.

*Initial positions.* Digits of one place value begin with one random vector, as in "abacus embeddings" (McLeish et al., 2024);
the position at which a digit of the sum is asked for begins with that vector turned by a random rotation R, and W_Q = R^T W_K.
So attention begins at the digits of the right place. That is all that is prescribed; gradients do the rest.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from certificates import Model
from certificates.transformer import Transformer, parse_transformer
from prover.known_tasks import number_addition
from prover.problem import Track, silent
from prover.transformer.forward import transformer_logits
from prover.weights import raw_tensor

_PATIENCE, _LEARNED = 8, 0.05
"""The rate is kept until the mean loss of recent steps is so small, from half of the steps on, up to so many halves."""
_EQUALS, _SHARPNESS, _NOISE, _NINES = 10, 3.0, 0.2, 0.6
"""The token "="; what attention begins with; what positions of one place differ by; the share of nines where they are many."""


@dataclass(frozen=True)
class AdditionRecipe:
    """Sizes and schedule for adding numbers of so many digits; batch: digits of sums in a step, that many if possible.

    The rate is kept for half of the steps, or until sums are learned; over the other half it falls to zero. Deterministic given
    the seed on one machine.
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
    weights = {name: weight.to(device).requires_grad_() for name, weight in _initial(recipe, config, generator).items()}
    optimizer = torch.optim.AdamW(list(weights.values()), lr=recipe.rate, betas=(0.9, 0.98), weight_decay=0.01)
    count, half = max(2, recipe.batch // (recipe.digits + 1)), recipe.steps // 2

    def take_step(rate: float) -> float:
        optimizer.param_groups[0]["lr"] = rate
        inputs, true = (part.to(device) for part in sums(recipe.digits, count, generator))
        found = transformer_logits(config, weights, inputs)[:, 2 * recipe.digits :]
        loss = torch.nn.functional.cross_entropy(found.flatten(0, 1), true.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    recent = math.inf
    for step in track(range(_PATIENCE * half), "learning"):
        loss = take_step(recipe.rate * min(1.0, (step + 1) / 100))
        recent = min(recent, 100.0) * 0.98 + loss * 0.02
        if step + 1 >= half and recent < _LEARNED:
            break
    for step in track(range(half, recipe.steps), "settling"):
        take_step(recipe.rate * min(1.0, 2 * (recipe.steps - step) / recipe.steps))
    return Model(
        config,
        {name: raw_tensor(weight) for name, weight in weights.items()},
        {"automaton": number_addition(recipe.digits).digest},
    )


def _config(recipe: AdditionRecipe) -> Transformer:
    sizes = {"d_model": recipe.d_model, "d_head": recipe.d_head, "d_mlp": recipe.d_mlp, "n_ctx": 3 * recipe.digits + 1}
    return parse_transformer(
        {**sizes, "n_layers": 1, "n_heads": 1, "d_vocab": 11, "d_vocab_out": 10, "act_fn": "relu", "normalization_type": None}
    )


def _initial(recipe: AdditionRecipe, config: Transformer, generator: torch.Generator) -> dict[str, Tensor]:
    """Random weights of variance 1 / fan, and positions as above."""
    digits, size = recipe.digits, recipe.d_model
    weights: dict[str, Tensor] = {}
    for name, shape in config.tensor_shapes().items():
        fan = size if name.startswith(("embed", "pos_embed")) else shape[-2] if len(shape) > 1 else 1
        weights[name] = torch.zeros(shape) if ".b_" in name else torch.randn(shape, generator=generator) * fan**-0.5
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
