"""Training recipe for Max-of-K: the one of Gross et al. (2024), "Compact Proofs of Model Performance".

One layer, one head, attention only, no normalisation, biases frozen at zero; weights drawn from N(0, (0.8/sqrt(d_model))^2);
AdamW with learning rate 1e-3 and default weight decay; batches of 128 uniform sequences; cross-entropy at the last
position in float64.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from certificates import AttentionOnly, Model
from prover.attention.sequence_problem import SequenceProblem
from prover.attention.tasks import order_statistic
from prover.problem import Track, silent
from prover.training.examples import count_right, random_examples
from prover.weights import load_weights, logits, raw_tensor


@dataclass(frozen=True)
class MaxOfKRecipe:
    """Sizes and schedule for finding the n-th largest of `length` tokens. Deterministic given the seed on one machine."""

    length: int = 4
    vocab: int = 64
    seed: int = 123
    d_model: int = 32
    d_head: int = 32
    steps: int = 3000
    batch: int = 128
    n: int = 1


def train_max_of_k(recipe: MaxOfKRecipe, device: torch.device, track: Track = silent) -> Model:
    """Train a model; its weights are stored in float32. Raises ValueError if n is not one of 1 .. length."""
    if not 1 <= recipe.n <= recipe.length:
        raise ValueError(f"n must be 1 to {recipe.length}, the length")
    config = AttentionOnly(recipe.d_head, recipe.d_model, recipe.vocab, recipe.vocab, recipe.length)
    generator = torch.Generator().manual_seed(recipe.seed)
    weights: dict[str, Tensor] = {}
    for name, shape in config.tensor_shapes().items():
        if ".b_" in name:
            weights[name] = torch.zeros(shape, device=device)
        else:
            initial = torch.randn(shape, generator=generator) * 0.8 / recipe.d_model**0.5
            weights[name] = initial.to(device).requires_grad_()
    optimizer = torch.optim.AdamW([w for w in weights.values() if w.requires_grad], lr=1e-3, betas=(0.9, 0.999))
    for _ in track(range(recipe.steps), "training"):
        tokens = torch.randint(recipe.vocab, (recipe.batch, recipe.length), generator=generator).to(device)
        true = tokens.sort(1).values[:, recipe.length - recipe.n]
        loss = torch.nn.functional.cross_entropy(logits(weights, tokens).double(), true)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return Model(config, {name: raw_tensor(w) for name, w in weights.items()}, order_statistic(recipe.n, recipe.length))


def sampled_accuracy(model: Model, samples: int, device: torch.device, seed: int = 0) -> float:
    """Accuracy on uniformly random inputs, in float64 (an estimate, not a bound)."""
    problem, generator = SequenceProblem(model, device), torch.Generator().manual_seed(seed)
    examples = random_examples(problem, samples, generator)
    return count_right(problem, load_weights(model, device), examples) / samples
