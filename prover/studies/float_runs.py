"""What is proved of executions in float32, and real ones: PyTorch's, which must never get a certified input wrong."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from rich.table import Table
from torch import Tensor

from certificates import AttentionOnly, GroupMLP, write_certificate
from prover.deployed import FORMATS, required_margin
from prover.problem import Problem
from prover.proving import deployable, prove
from prover.strategies import strategies_for
from prover.strategy import DoesNotFit, Evidence
from prover.studies.checked import check_in_separate_process
from prover.studies.rounding import floor_percent
from prover.studies.tables import terminal_table
from prover.training.examples import outputs, some_examples
from prover.transformer.forward import ACTIVATIONS, attended, embedded, falls, normalised, of_block, unembedding
from prover.transformer.problem import TransformerProblem
from prover.weights import Weights, load_weights, logits

_ATTENTION, _MLP = "blocks.0.attn.", "blocks.0.mlp."
_CLOSEST = 10_000
_AT_ONCE = 2**16
Run = Callable[[Weights, Tensor], Tensor]
"""Logits "n r out" at the task's reads, for inputs "n k", in the type of the weights."""


def fused_attention(weights: Weights, tokens: Tensor) -> Tensor:
    """An attention-only transformer by PyTorch's own scaled_dot_product_attention."""
    residual = weights["embed.W_E"][tokens] + weights["pos_embed.W_pos"]
    query, key, value = (
        (residual @ weights[f"{_ATTENTION}W_{letter}"][0] + weights[f"{_ATTENTION}b_{letter}"][0])[:, None] for letter in "QKV"
    )
    mixed = torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)[:, 0, -1]
    last = residual[:, -1] + mixed @ weights[_ATTENTION + "W_O"][0] + weights[_ATTENTION + "b_O"]
    return (last @ weights["unembed.W_U"] + weights["unembed.b_U"])[:, None]


def fused_transformer(problem: TransformerProblem, weights: Weights, tokens: Tensor) -> Tensor:
    """A transformer by PyTorch's own attention and linear maps."""
    config, functional = problem.model.config, torch.nn.functional
    stream = embedded(config, weights, tokens)
    for layer in range(config.n_layers):
        own, causal, mask = of_block(weights, layer), config.attention_dir == "causal", None
        if config.positional_embedding_type == "alibi":
            mask, length = -falls(config, own, tokens.shape[1]), tokens.shape[1]
            hidden = torch.ones(length, length, device=tokens.device, dtype=torch.bool).triu(1) & causal
            mask, causal = mask.masked_fill(hidden, -torch.inf), False
        query, key, value = attended(config, own, normalised(config, own, "ln1", stream))
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=causal, scale=1.0)
        written = own["attn.W_O"].flatten(0, 1).T
        stream = stream + functional.linear(mixed.transpose(1, 2).flatten(2), written, own["attn.b_O"])
        if not config.attn_only:
            x, activation = normalised(config, own, "ln2", stream), ACTIVATIONS[str(config.act_fn)]
            bias = None if config.gated_mlp else own["mlp.b_in"]
            inner = functional.linear(x, own["mlp.W_in"].T, bias)
            gate = functional.linear(x, own["mlp.W_gate"].T) if config.gated_mlp else inner
            hidden = activation(gate) * inner + own["mlp.b_in"] if config.gated_mlp else activation(inner)
            stream = stream + functional.linear(hidden, own["mlp.W_out"].T, own["mlp.b_out"])
    last = normalised(config, weights, "ln_final", stream[:, problem.reads])
    return functional.linear(last, unembedding(config, weights).T, weights["unembed.b_U"])


def two_inputs(weights: Weights, pairs: Tensor) -> Tensor:
    """A network with one hidden layer on two inputs, as it is written down."""
    if "embed_left.W_E" in weights:
        read = weights["embed_left.W_E"][pairs[:, 0]] + weights["embed_right.W_E"][pairs[:, 1]] + weights["mlp.b_in"]
        return (read.relu() @ weights["unembed.W_U"] + weights["unembed.b_U"])[:, None]
    equals = torch.full_like(pairs[:, :1], len(weights["embed.W_E"]) - 1)
    residual = weights["embed.W_E"][torch.cat([pairs, equals], 1)] + weights["pos_embed.W_pos"]
    values = torch.einsum("njd,hde->njhe", residual, weights[_ATTENTION + "W_V"]) + weights[_ATTENTION + "b_V"]
    here = (
        residual[:, -1] + torch.einsum("nhe,hed->nd", values.mean(1), weights[_ATTENTION + "W_O"]) + weights[_ATTENTION + "b_O"]
    )
    active = (here @ weights[_MLP + "W_in"] + weights[_MLP + "b_in"]).relu()
    last = here + active @ weights[_MLP + "W_out"] + weights[_MLP + "b_out"]
    return (last @ weights["unembed.W_U"] + weights["unembed.b_U"])[:, None]


def runs(problem: Problem) -> Iterator[tuple[str, Run, int]]:
    """Ways to run a model: names, functions, and how many inputs at a time."""
    plain: dict[str, Run] = {"plain": two_inputs}
    if isinstance(problem, TransformerProblem):
        plain = {"explicit": partial(outputs, problem), "fused": partial(fused_transformer, problem)}
    elif isinstance(problem.model.config, AttentionOnly):
        plain = {"explicit": lambda weights, tokens: logits(weights, tokens)[:, None], "fused": fused_attention}
    for name, run in plain.items():
        for batch in (_AT_ONCE, 1000, 7):
            yield f"{name}, batches of {batch}", run, batch
    name, run = next(iter(plain.items()))
    yield f"{name}, compiled", torch.compile(run), _AT_ONCE


@dataclass(frozen=True)
class Executed:
    """How many inputs were run, in how many ways; how many certified ones were wrong; the largest error over the bound, if
    there is one for all inputs.
    """

    inputs: int
    ways: int
    wrong: int
    error: float | None


@torch.no_grad()
def execute(problem: Problem, inputs: int) -> Executed:
    """Run random inputs in float32, and of these the closest ones that lead by more than the margin, in every way there is.

    What leads by more than the margin in float64 is at least what is certified.
    """
    general = isinstance(problem, TransformerProblem)
    examples = some_examples(problem, inputs, torch.Generator().manual_seed(0))
    exact = load_weights(problem.model, problem.device)
    true = examples.true
    real = torch.cat([outputs(problem, exact, part) for part in examples.inputs.split(_AT_ONCE)])
    rivals = real.scatter(2, true[..., None], -torch.inf).amax(2)
    lead = (real.gather(2, true[..., None])[..., 0] - rivals).amin(1)
    certified = (lead > float(problem.margin)).nonzero()[:, 0]
    closest = certified[lead[certified].argsort()[:_CLOSEST]]
    single = {name: tensor.float() for name, tensor in exact.items()}
    bound = None if general else float(required_margin(problem.model, "float32")) / 2
    wrong, error, ways = 0, 0.0, 0
    for name, run, batch in problem.track(list(runs(problem)), "running"):
        chosen = certified if batch == _AT_ONCE else closest if batch > 7 else closest[:500]
        try:
            found = torch.cat([run(single, part) for part in examples.inputs[chosen].split(batch)])
        except RuntimeError as failure:  # no compiler on this machine
            if "compiled" not in name:
                raise
            print(f"{name}: not run ({str(failure).splitlines()[0]})")
            continue
        wrong += int((found.argmax(2) != true[chosen]).any(1).sum())
        error, ways = max(error, float((found.double() - real[chosen]).abs().max())), ways + 1
    return Executed(len(real), ways, wrong, None if bound is None else error / bound)


def strategy_for(problem: Problem) -> str:
    """The most thorough one that is affordable."""
    if isinstance(problem, TransformerProblem):
        return "regions"
    if isinstance(problem.model.config, AttentionOnly):
        return "exact" if problem.total <= 2**25 else "classes"
    return "rho-sets" if isinstance(problem.model.config, GroupMLP) else "fourier"


def float_runs_table(problems: dict[Path, Problem], folder: Path, inputs: int) -> tuple[Table, bool]:
    """A row for each model, certificates in the folder; and whether all is as the theorem says."""
    left = ("model", "strategy")
    right = ("real arithmetic", "float32", "margin", "margin TF32", "margin bfloat16", "run", "ways", "wrong", "error / bound")
    table, fine = (
        terminal_table("proved in real arithmetic and of every execution in float32; run by PyTorch", left, right),
        True,
    )
    for path, problem in problems.items():
        name = strategy_for(problem)
        strategy = strategies_for(problem.model)[name]()
        shares = []
        for deployed in (None, "float32"):
            certificate, evidence = prove(problem if deployed is None else deployable(problem, deployed), strategy, deployed)
            target = folder / f"{path.stem}-{deployed or 'real'}.cert"
            write_certificate(target, certificate)
            verdict = check_in_separate_process(target, path)
            fine &= bool(verdict["accepted"])
            assert isinstance(evidence, Evidence)
            shares.append(floor_percent(evidence.correct, problem.total) if verdict["accepted"] else "refused")
        found = execute(deployable(problem, "float32"), inputs)
        fine &= found.wrong == 0 and (found.error is None or found.error <= 1)
        margins = [_margin(problem, form) for form in FORMATS if form != "float64"]
        error = "-" if found.error is None else f"{found.error:.1e}"
        counts = (str(found.inputs), str(found.ways), str(found.wrong), error)
        table.add_row(path.stem, name, *shares, *margins, *counts)
    return table, fine


def _margin(problem: Problem, form: str) -> str:
    if isinstance(problem, TransformerProblem):
        return "-"  # intervals hold what is computed: there is no margin for all inputs
    try:
        return f"{float(required_margin(problem.model, form)):.3g}"
    except DoesNotFit:
        return "-"
