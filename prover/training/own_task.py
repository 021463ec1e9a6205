"""Training recipe for a task of one's own: a plain transformer, cross-entropy at all reads, AdamW.

Half of the inputs in a batch are random, in the other half rare states of the task's automaton are as likely as common ones
(prover/transformer/walks): of random brackets, hardly any are balanced. The rate rises for some steps, then falls to zero.
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from certificates import Model
from certificates.automaton import Automaton
from certificates.transformer import Transformer, parse_transformer
from prover.problem import Track, silent
from prover.training.random_weights import random_weights
from prover.transformer.forward import transformer_logits
from prover.transformer.walks import walks
from prover.weights import raw_tensor

_WARMUP, _BATCHES_AT_ONCE = 100, 50
KNOWN_NORMS = {"none": None, "LN": "LN", "RMS": "RMS"}
"""By what `norm` may be, the names of architectures."""
NORMS = tuple(KNOWN_NORMS)
POSITIONS = ("standard", "rotary", "alibi", "none")
"""What `positions` may be: learned, turned by, taken from scores (the slopes are trained, too), or none."""


@dataclass(frozen=True)
class OwnTaskRecipe:
    """Sizes (d_mlp 0: no MLP), kinds of norms and of positions, a token that attention ignores (-1: none), and the schedule.

    Deterministic given the seed on one machine.
    """

    layers: int = 1
    heads: int = 4
    d_model: int = 64
    d_head: int = 16
    d_mlp: int = 128
    norm: str = "none"
    positions: str = "standard"
    pad_token: int = -1
    seed: int = 0
    steps: int = 3000
    batch: int = 256
    rate: float = 2e-3
    decay: float = 0.01


def train_own_task(recipe: OwnTaskRecipe, automaton: Automaton, device: torch.device, track: Track = silent) -> Model:
    """Train a model to give the automaton's outputs; its weights are stored in float32."""
    rng, config = np.random.default_rng(recipe.seed), _config(recipe, automaton)
    generator = torch.Generator().manual_seed(recipe.seed)
    weights = {name: weight.to(device).requires_grad_() for name, weight in random_weights(config, generator).items()}
    optimizer = torch.optim.AdamW(list(weights.values()), lr=recipe.rate, betas=(0.9, 0.98), weight_decay=recipe.decay)
    reads = automaton.reads[:, 0].tolist()
    pool: list[tuple[Tensor, Tensor]] = []
    for step in track(range(recipe.steps), "training"):
        if not pool:
            pool = _batches(automaton, recipe.batch, rng, device)
        inputs, true = pool.pop()
        share = min(1.0, (step + 1) / _WARMUP) * (1 - step / recipe.steps)
        optimizer.param_groups[0]["lr"] = recipe.rate * share
        found = transformer_logits(config, weights, inputs)[:, reads]
        loss = torch.nn.functional.cross_entropy(found.flatten(0, 1), true.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return Model(config, {name: raw_tensor(weight) for name, weight in weights.items()}, {"automaton": automaton.digest})


def _batches(automaton: Automaton, size: int, rng: np.random.Generator, device: torch.device) -> list[tuple[Tensor, Tensor]]:
    count = _BATCHES_AT_ONCE * size
    inputs = np.concatenate([walks(automaton, count - count // 2, rng, False), walks(automaton, count // 2, rng, True)])
    inputs = inputs[rng.permutation(count)]
    parts = (torch.as_tensor(array, device=device).split(size) for array in (inputs, automaton.outputs_of(inputs)))
    return list(zip(*parts, strict=True))


def _config(recipe: OwnTaskRecipe, automaton: Automaton) -> Transformer:
    return parse_transformer(
        {
            "n_layers": recipe.layers,
            "attn_only": recipe.d_mlp == 0,
            "n_heads": recipe.heads,
            "d_model": recipe.d_model,
            "d_head": recipe.d_head,
            "d_mlp": recipe.d_mlp,
            "n_ctx": len(automaton.order),
            "d_vocab": automaton.transitions.shape[2],
            "d_vocab_out": max(2, int(automaton.outputs.max()) + 1),
            "act_fn": "relu",
            "normalization_type": KNOWN_NORMS[recipe.norm],
            "positional_embedding_type": recipe.positions,
            "rotary_base": 10000,
            "pad_token": recipe.pad_token,
            "eps": Fraction(1, 10**5),
        }
    )
