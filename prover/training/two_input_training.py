"""Training recipes for one hidden layer on two inputs: finite groups, and addition in uniform-attention transformers.

All of them minimise cross-entropy plus a *coupled* L2 penalty on a factorised network: Adam on loss + decay / 2 |weights|^2,
as in Kingma and Ba (2015), not the decoupled decay of AdamW. On a product of matrices such a penalty acts as a sum of powers
of singular values, and on the two sides of a ReLU neuron as a sum of norms, so whole neurons, whole irreducible representations
and whole frequencies die. The rate falls linearly to (almost) zero at the end, and the last steps see every pair: what is left
of the noise disappears, and neurons sit on their orbits to within a thousandth. Networks and tasks: Chughtai et al. (2023)
and Wu et al. (2025) for groups; Zhong et al. (2023) and Yip et al. (2024) for the uniform-attention ("pizza") transformer.

Every function returns float32 weights under the names of the model files, deterministic given the seed on one machine and one
number of threads.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from prover.problem import Track, silent

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class GroupRecipe:
    """logits(a, b) = relu(W_L[a] + W_R[b] + b_in) W_U + b_U, each embedding a product n x rank x hidden until it is saved.

    Where a run ends is decided in its first steps: four of eleven single runs on symmetric:5 (mixed schedules) ended, or were
    ending, with the standard representation and the sign (once a 5-dimensional one as well) on complete orbits; the others kept
    two 4-dimensional representations or more, a higher loss and incomplete orbits. So there are `candidates` runs, cut to
    a third twice after `trial` steps each by the objective that is minimised anyway, and only the best one is trained to the
    end. Each step sees all pairs (a, b) with a in a random `fraction` of the group, and all pairs in the last `decay_steps`.

    Measured on one core, seeds 0 to 9 of symmetric:5: 100% accuracy with margins of 5.83 or more in 44 to 62 seconds, 36 to 75
    neurons alive, the standard representation and the sign on complete orbits for every seed (seed 1 keeps 23 neurons of an
    incomplete third orbit beside them, worth at most 1.1 of a gap of 5.8). The same recipe, two seeds each, gives 100% for
    symmetric:4 and alternating:5 with complete orbits, for dihedral:30 and cyclic:6 x symmetric:3 with incomplete ones, and for
    cyclic:59 (one seed; four frequencies dominate), in 5 to 12 seconds. A decay of 5e-4 in the first half killed every neuron
    on symmetric:5 (two seeds); rank 16 and a factorised unembedding (one seed each) and 256 neurons (two) gave no complete
    network in single runs.
    """

    hidden: int = 128
    seed: int = 0
    rank: int = 64
    candidates: int = 8
    trial: int = 500
    steps: int = 2000
    decay_steps: int = 400
    fraction: float = 0.25
    rate: float = 1e-2
    decay: float = 2e-4


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


class CoupledAdam:
    """Adam on the loss plus decay / 2 times the squared norm of the parameters; neurons can be removed on the way."""

    def __init__(self, parameters: Weights, decay: float) -> None:
        self.parameters = {name: p.requires_grad_() for name, p in parameters.items()}
        self.decay = decay
        self.first = {name: torch.zeros_like(p) for name, p in parameters.items()}
        self.second = {name: torch.zeros_like(p) for name, p in parameters.items()}
        self.steps = 0

    @torch.no_grad()
    def step(self, rate: float, betas: tuple[float, float] = (0.9, 0.98)) -> None:
        self.steps += 1
        for name, parameter in self.parameters.items():
            assert parameter.grad is not None
            gradient = parameter.grad.add_(parameter, alpha=self.decay)
            first = self.first[name].mul_(betas[0]).add_(gradient, alpha=1 - betas[0]) / (1 - betas[0] ** self.steps)
            second = self.second[name].mul_(betas[1]).addcmul_(gradient, gradient, value=1 - betas[1])
            parameter.sub_(rate * first / ((second / (1 - betas[1] ** self.steps)).sqrt() + 1e-8))
            parameter.grad = None

    def penalty(self) -> float:
        return self.decay / 2 * sum(float(p.detach().square().sum()) for p in self.parameters.values())

    def keep(self, neurons: Tensor, dimension: dict[str, int]) -> None:
        """Forget all but these neurons; `dimension` says where each parameter counts them."""
        for name, axis in dimension.items():
            self.parameters[name] = self.parameters[name].detach().index_select(axis, neurons).requires_grad_()
            self.first[name] = self.first[name].index_select(axis, neurons)
            self.second[name] = self.second[name].index_select(axis, neurons)


class Batches:
    """Every index once in a random order, then again in another order; without replacement, `size` at a time."""

    def __init__(self, count: int, size: int, generator: torch.Generator) -> None:
        self.count, self.size, self.generator = count, max(1, min(size, count)), generator
        self.order, self.place = torch.empty(0, dtype=torch.long), 0

    def next(self) -> Tensor:
        if self.place + self.size > len(self.order):
            self.order, self.place = torch.randperm(self.count, generator=self.generator), 0
        self.place += self.size
        return self.order[self.place - self.size : self.place]


def softmax_error(logits: Tensor, correct: Tensor) -> tuple[float, Tensor]:
    """Mean cross-entropy and its gradient in the logits, which are overwritten by it."""
    logits -= logits.amax(1, keepdim=True)
    of_correct = logits.gather(1, correct[:, None])
    error = logits.exp_()
    total = error.sum(1, keepdim=True)
    loss = float((total.log() - of_correct).mean())
    error /= total
    error.scatter_add_(1, correct[:, None], error.new_full((1, 1), -1.0).expand(len(correct), 1))
    error /= len(correct)
    return loss, error


@torch.no_grad()
def group_gradients(folded: tuple[Tensor, ...], table: Tensor, rows: Tensor) -> tuple[float, tuple[Tensor, ...]]:
    """Loss over all pairs with a in `rows`, and its gradients in left, right, b_in, W_U and b_U."""
    left, right, b_in, unembed, b_out = folded
    shape = (len(rows), len(table), len(b_in))
    hidden = ((left[rows] + b_in)[:, None] + right).clamp_min_(0).view(-1, len(b_in))
    loss, error = softmax_error(torch.addmm(b_out, hidden, unembed), table[rows].reshape(-1))
    back = (error @ unembed.T).mul_(hidden > 0).view(shape)
    of_rows = back.sum(1)
    of_left = torch.zeros_like(left).index_copy_(0, rows, of_rows)
    return loss, (of_left, back.sum(0), of_rows.sum(0), hidden.T @ error, error.sum(0))


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


class GroupRun:
    """One run of the group recipe, resumable; neurons whose weights have died are dropped as it goes."""

    def __init__(self, table: Tensor, recipe: GroupRecipe, seed: int) -> None:
        n, rank, hidden = len(table), recipe.rank, recipe.hidden
        generator = torch.Generator().manual_seed(seed)
        draw = drawer(generator)
        self.table, self.recipe = table, recipe
        self.adam = CoupledAdam(
            {
                "left.0": draw(n, rank, fan=rank),
                "left.1": draw(rank, hidden, fan=hidden),
                "right.0": draw(n, rank, fan=rank),
                "right.1": draw(rank, hidden, fan=hidden),
                "b_in": torch.zeros(hidden),
                "W_U": draw(hidden, n, fan=hidden),
                "b_U": torch.zeros(n),
            },
            recipe.decay,
        )
        self.batches = Batches(n, round(recipe.fraction * n), generator)

    def fold(self) -> tuple[Tensor, ...]:
        p = self.adam.parameters
        return p["left.0"] @ p["left.1"], p["right.0"] @ p["right.1"], p["b_in"] * 1, p["W_U"] * 1, p["b_U"] * 1

    def step(self, rate: float, everything: bool = False) -> None:
        rows = torch.arange(len(self.table)) if everything else self.batches.next()
        folded = self.fold()
        _, gradients = group_gradients(tuple(x.detach() for x in folded), self.table, rows)
        torch.autograd.backward(folded, gradients)
        self.adam.step(rate)
        if self.adam.steps % 100 == 0:
            self.drop_dead()

    @torch.no_grad()
    def drop_dead(self) -> None:
        left, right, b_in, unembed, _ = self.fold()
        alive = (left.abs().amax(0) + right.abs().amax(0) + b_in.abs()) * unembed.abs().amax(1) > 1e-5
        if int((~alive).sum()) >= max(4, len(alive) // 16):
            self.adam.keep(alive.nonzero()[:, 0], {"left.1": 1, "right.1": 1, "b_in": 0, "W_U": 0})

    @torch.no_grad()
    def objective(self) -> float:
        return group_gradients(self.fold(), self.table, torch.arange(len(self.table)))[0] + self.adam.penalty()

    @torch.no_grad()
    def weights(self) -> Weights:
        left, right, b_in, unembed, b_out = self.fold()
        dead = self.recipe.hidden - len(b_in)
        widen = torch.nn.functional.pad
        return group_weights(widen(left, (0, dead)), widen(right, (0, dead)), widen(b_in, (0, dead)),
                             widen(unembed, (0, 0, 0, dead)), b_out)  # fmt: skip


def train_group_composition(table: Tensor, recipe: GroupRecipe, track: Track = silent) -> Weights:
    """Train on the multiplication table of a group, table[a, b] = ab, an integer tensor n x n."""
    runs = [GroupRun(table, recipe, recipe.seed * 1000 + i) for i in range(recipe.candidates)]
    while len(runs) > 1:
        for run in track(runs, f"{len(runs)} candidates"):
            for _ in range(recipe.trial):
                run.step(recipe.rate)
        runs = sorted(runs, key=GroupRun.objective)[: max(1, len(runs) // 3)]
    run = runs[0]
    for step in track(range(recipe.steps), "training"):
        left = (recipe.steps - step) / recipe.decay_steps
        run.step(recipe.rate * min(1.0, max(0.01, left)), left <= 1)
    return run.weights()


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


def group_weights(left: Tensor, right: Tensor, b_in: Tensor, unembed: Tensor, b_out: Tensor) -> Weights:
    """The tensors of a group network under their names."""
    named = {"embed_left.W_E": left, "embed_right.W_E": right, "mlp.b_in": b_in, "unembed.W_U": unembed, "unembed.b_U": b_out}
    return {name: w.detach().contiguous() for name, w in named.items()}


def drawer(generator: torch.Generator) -> Callable[..., Tensor]:
    """Gaussian matrices of variance 1 / fan."""

    def draw(*shape: int, fan: int) -> Tensor:
        return torch.randn(shape, generator=generator).mul_(fan**-0.5)

    return draw
