"""Training to add modulo N: group networks with one embedding, and transformers with uniform attention ("pizza").

Tasks and networks: Zhong et al. (2023) and Yip et al. (2024).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from prover.problem import Track, silent
from prover.training.coupled_adam import Batches, CoupledAdam, Weights, drawer, group_weights, softmax_error


@dataclass(frozen=True)
class TiedRecipe:
    """Addition modulo N by a group network with W_L = W_R (two equal tensors); pairs are seen up to their order. Embedding and
    unembedding are products until they are saved.

    Measured on one core, N = 59, seeds 0 to 2: 100% accuracy with margins of 5.98 or more in about 16 seconds, 123 to 132
    neurons alive, four or five frequencies. On average a neuron's strongest frequency holds 99.1 to 99.96% of its output row;
    without a factorised unembedding it was 93 to 94%, without any factors all 29 frequencies stayed (one seed: 407 neurons).
    """

    modulus: int = 59
    hidden: int = 512
    seed: int = 0
    rank: int = 64
    steps: int = 3000
    fraction: float = 0.34
    rate: float = 1e-2
    decay: float = 2e-4


@dataclass(frozen=True)
class PizzaRecipe:
    """Addition modulo p by a one-layer transformer with uniform attention, read at "=".

    Attention being uniform, everything but the ReLU folds into p x hidden, hidden x p and p x p tables once per step; the
    gradient goes through the fold to every TransformerLens tensor. (AdamW with weight decay 1.0 on half of the pairs needs
    12,000 steps and four minutes for 99.6% at p = 59.)

    Measured on one core, three seeds each: p = 59, 100% in about 20 seconds, three to five frequencies; p = 113, 100% in 70 to
    95 seconds, four frequencies. On average a neuron's strongest frequency holds 96 to 99% of its output row (99.95% for
    p = 59, seed 1); with the rest of the row cut off the accuracy is still 100% (99.5% for p = 113, seed 2). A decay of 2e-4
    gave p = 113, seed 0, a network that mixes nine frequencies, with margins down to 0.1.
    """

    modulus: int = 113
    hidden: int = 512
    seed: int = 0
    d_model: int = 128
    heads: int = 4
    steps: int = 3000
    fraction: float = 0.34
    rate: float = 3e-3
    decay: float = 1e-4


@torch.no_grad()
def symmetric_gradients(folded: tuple[Tensor, ...], modulus: int, steps: Tensor) -> tuple[float, tuple[Tensor, ...]]:
    """Loss over all pairs (a, a + step mod p) and its gradients in f, c, U, k, s.

    The logits are relu(f_a + f_b + c) U + k + s_a + s_b.
    """
    per_token, constant, unembed, b_out, skip = folded
    a = torch.arange(modulus)
    b = ((a + steps[:, None]) % modulus).reshape(-1)
    shape = (len(steps), modulus, len(constant))
    hidden = per_token[b].view(shape).add_(per_token + constant).clamp_min_(0).view(-1, len(constant))
    logits = torch.addmm(b_out, hidden, unembed).add_(skip[b])
    logits.view(len(steps), modulus, modulus).add_(skip)
    loss, error = softmax_error(logits, ((2 * a + steps[:, None]) % modulus).reshape(-1))
    of_skip = error.view(len(steps), modulus, modulus).sum(0).index_add_(0, b, error)
    back = (error @ unembed.T).mul_(hidden > 0)
    of_token = back.view(shape).sum(0)
    of_constant = of_token.sum(0)
    return loss, (of_token.index_add_(0, b, back), of_constant, hidden.T @ error, error.sum(0), of_skip)


def train_tied_addition(recipe: TiedRecipe, track: Track = silent) -> Weights:
    """Train a group network for cyclic:N whose two embeddings are equal."""
    n, hidden = recipe.modulus, recipe.hidden
    generator = torch.Generator().manual_seed(recipe.seed)
    draw = drawer(generator)
    parameters = {
        "b_in": torch.zeros(hidden),
        "out.0": draw(hidden, recipe.rank, fan=hidden),
        "out.1": draw(recipe.rank, n, fan=recipe.rank),
        "b_U": torch.zeros(n),
        "side.0": draw(n, recipe.rank, fan=recipe.rank),
        "side.1": draw(recipe.rank, hidden, fan=recipe.rank),
    }
    skip = torch.zeros(n, n)

    def fold() -> tuple[Tensor, ...]:
        side, unembed = (parameters[f"{name}.0"] @ parameters[f"{name}.1"] for name in ("side", "out"))
        return side, parameters["b_in"] * 1, unembed, parameters["b_U"] * 1

    def gradients(folded: tuple[Tensor, ...], steps: Tensor) -> tuple[Tensor, ...]:
        return symmetric_gradients((*folded, skip), n, steps)[1][:4]

    optimise_addition(fold, gradients, parameters, recipe, generator, track)
    with torch.no_grad():
        side, b_in, unembed, b_out = fold()
    return group_weights(side, side.clone(), b_in, unembed, b_out)


def train_pizza_addition(recipe: PizzaRecipe, track: Track = silent) -> Weights:
    """Train the uniform-attention transformer; tensors as in TransformerLens, without W_Q and W_K, which have no influence."""
    p, width, heads, d_head = recipe.modulus, recipe.d_model, recipe.heads, recipe.d_model // recipe.heads
    generator = torch.Generator().manual_seed(recipe.seed)
    draw = drawer(generator)
    weights = {
        "embed.W_E": draw(p + 1, width, fan=width),
        "pos_embed.W_pos": draw(3, width, fan=width),
        "blocks.0.attn.W_V": draw(heads, width, d_head, fan=width),
        "blocks.0.attn.W_O": draw(heads, d_head, width, fan=width),
        "blocks.0.attn.b_V": torch.zeros(heads, d_head),
        "blocks.0.attn.b_O": torch.zeros(width),
        "blocks.0.mlp.W_in": draw(width, recipe.hidden, fan=width),
        "blocks.0.mlp.b_in": torch.zeros(recipe.hidden),
        "blocks.0.mlp.W_out": draw(recipe.hidden, width, fan=recipe.hidden),
        "blocks.0.mlp.b_out": torch.zeros(width),
        "unembed.W_U": draw(width, p, fan=width),
        "unembed.b_U": torch.zeros(p),
    }

    def fold() -> tuple[Tensor, ...]:
        w_v = weights["blocks.0.attn.W_V"].permute(1, 0, 2).reshape(width, -1)
        w_vo = w_v @ weights["blocks.0.attn.W_O"].reshape(-1, width)
        embed, positions, unembed = weights["embed.W_E"], weights["pos_embed.W_pos"], weights["unembed.W_U"]
        attended = embed @ w_vo / 3
        bias = weights["blocks.0.attn.b_V"].reshape(-1) @ weights["blocks.0.attn.W_O"].reshape(-1, width)
        always = embed[p] + positions[2] + attended[p] + positions.sum(0) @ w_vo / 3 + bias + weights["blocks.0.attn.b_O"]
        constant = always @ weights["blocks.0.mlp.W_in"] + weights["blocks.0.mlp.b_in"]
        b_out = (always + weights["blocks.0.mlp.b_out"]) @ unembed + weights["unembed.b_U"]
        per_token = attended[:p] @ weights["blocks.0.mlp.W_in"]
        return per_token, constant, weights["blocks.0.mlp.W_out"] @ unembed, b_out, attended[:p] @ unembed

    def gradients(folded: tuple[Tensor, ...], steps: Tensor) -> tuple[Tensor, ...]:
        return symmetric_gradients(folded, p, steps)[1]

    optimise_addition(fold, gradients, weights, recipe, generator, track)
    return {name: w.detach().contiguous() for name, w in weights.items()}


def optimise_addition(
    fold: Callable[[], tuple[Tensor, ...]],
    gradients: Callable[[tuple[Tensor, ...], Tensor], tuple[Tensor, ...]],
    parameters: Weights,
    recipe: TiedRecipe | PizzaRecipe,
    generator: torch.Generator,
    track: Track,
) -> None:
    """Each step sees the pairs (a, a + d) for about a third of the differences d = 0 .. (N - 1) / 2; the last 15% see all.

    The rate rises for 50 steps and falls linearly over the last 30%.
    """
    adam = CoupledAdam(parameters, recipe.decay)
    differences = recipe.modulus // 2 + 1
    batches = Batches(differences, round(recipe.fraction * differences), generator)
    for step in track(range(recipe.steps), "training"):
        left = (recipe.steps - step) / recipe.steps
        folded = fold()
        steps = torch.arange(differences) if left <= 0.15 else batches.next()
        torch.autograd.backward(folded, gradients(tuple(x.detach() for x in folded), steps))
        adam.step(recipe.rate * min(1.0, (step + 1) / 50, max(0.01, left / 0.3)))
