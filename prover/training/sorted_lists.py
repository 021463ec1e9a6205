"""Training recipe for sorted lists: a transformer of one layer without MLP, cross-entropy at all reads, AdamW.

Lists are drawn at random. The rate rises for some steps, then falls to zero.
"""

from dataclasses import dataclass
from fractions import Fraction

import torch

from certificates import Model
from certificates.transformer import Transformer, parse_transformer
from prover.problem import Track, silent
from prover.training.own_task import KNOWN_NORMS
from prover.training.random_weights import random_weights
from prover.transformer.forward import transformer_logits
from prover.transformer.sorted_lists import SORTED_LISTS
from prover.weights import raw_tensor

_WARMUP = 100


@dataclass(frozen=True)
class SortedListsRecipe:
    """Lists of `length` out of so many numbers; the model's sizes; and the schedule. Deterministic given the seed."""

    length: int = 10
    numbers: int = 51
    heads: int = 2
    d_model: int = 96
    d_head: int = 48
    norm: str = "LN"
    seed: int = 0
    steps: int = 5000
    batch: int = 512
    rate: float = 1e-3
    decay: float = 0.005


def train_sorted_lists(recipe: SortedListsRecipe, device: torch.device, track: Track = silent) -> Model:
    """Train a model to continue a list in increasing order; its weights are stored in float32. Raises ValueError."""
    if recipe.length > recipe.numbers:
        raise ValueError(f"a list has at most as many numbers as there are: {recipe.numbers}")
    config, generator = _config(recipe), torch.Generator().manual_seed(recipe.seed)
    weights = {name: weight.to(device).requires_grad_() for name, weight in random_weights(config, generator).items()}
    optimizer = torch.optim.AdamW(list(weights.values()), lr=recipe.rate, betas=(0.9, 0.98), weight_decay=recipe.decay)
    separator = torch.full((recipe.batch, 1), recipe.numbers)
    for step in track(range(recipe.steps), "training"):
        listed = torch.rand(recipe.batch, recipe.numbers, generator=generator).argsort(1)[:, : recipe.length]
        inputs = torch.cat([listed, separator, listed.sort(1).values], 1).to(device)
        optimizer.param_groups[0]["lr"] = recipe.rate * min(1.0, (step + 1) / _WARMUP) * (1 - step / recipe.steps)
        found = transformer_logits(config, weights, inputs)[:, recipe.length : -1]
        loss = torch.nn.functional.cross_entropy(found.flatten(0, 1), inputs[:, recipe.length + 1 :].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return Model(config, {name: raw_tensor(weight) for name, weight in weights.items()}, SORTED_LISTS)


def _config(recipe: SortedListsRecipe) -> Transformer:
    return parse_transformer(
        {
            "n_layers": 1,
            "attn_only": True,
            "n_heads": recipe.heads,
            "d_model": recipe.d_model,
            "d_head": recipe.d_head,
            "n_ctx": 2 * recipe.length + 1,
            "d_vocab": recipe.numbers + 1,
            "d_vocab_out": max(2, recipe.numbers),
            "normalization_type": KNOWN_NORMS[recipe.norm],
            "eps": Fraction(1, 10**5),
        }
    )
