"""What is proved of executions in float32, and real ones: PyTorch's, which must never get a certified input wrong."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.table import Table
from torch import Tensor

from certificates import AttentionOnly, GroupMLP, ModelConfig, write_certificate
from prover.deployed import FORMATS, required_margin
from prover.problem import Problem
from prover.proving import deployable, prove
from prover.strategies import strategies_for
from prover.strategy import DoesNotFit, Evidence
from prover.studies.checked import check_in_separate_process
from prover.studies.rounding import floor_percent
from prover.studies.tables import terminal_table
from prover.training.examples import outputs, some_examples
from prover.weights import Weights, load_weights, logits

_ATTENTION, _MLP = "blocks.0.attn.", "blocks.0.mlp."
_CLOSEST = 10_000
_AT_ONCE = 2**16
Run = Callable[[Weights, Tensor], Tensor]
"""Logits "n out" for inputs "n k", in the type of the weights."""


def fused_attention(weights: Weights, tokens: Tensor) -> Tensor:
    """An attention-only transformer by PyTorch's own scaled_dot_product_attention."""
    residual = weights["embed.W_E"][tokens] + weights["pos_embed.W_pos"]
    query, key, value = (
        (residual @ weights[f"{_ATTENTION}W_{letter}"][0] + weights[f"{_ATTENTION}b_{letter}"][0])[:, None] for letter in "QKV"
    )
    mixed = torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)[:, 0, -1]
    last = residual[:, -1] + mixed @ weights[_ATTENTION + "W_O"][0] + weights[_ATTENTION + "b_O"]
    return last @ weights["unembed.W_U"] + weights["unembed.b_U"]


def two_inputs(weights: Weights, pairs: Tensor) -> Tensor:
    """A network with one hidden layer on two inputs, as it is written down."""
    if "embed_left.W_E" in weights:
        read = weights["embed_left.W_E"][pairs[:, 0]] + weights["embed_right.W_E"][pairs[:, 1]] + weights["mlp.b_in"]
        return read.relu() @ weights["unembed.W_U"] + weights["unembed.b_U"]
    equals = torch.full_like(pairs[:, :1], len(weights["embed.W_E"]) - 1)
    residual = weights["embed.W_E"][torch.cat([pairs, equals], 1)] + weights["pos_embed.W_pos"]
    values = torch.einsum("njd,hde->njhe", residual, weights[_ATTENTION + "W_V"]) + weights[_ATTENTION + "b_V"]
    here = (
        residual[:, -1] + torch.einsum("nhe,hed->nd", values.mean(1), weights[_ATTENTION + "W_O"]) + weights[_ATTENTION + "b_O"]
    )
    active = (here @ weights[_MLP + "W_in"] + weights[_MLP + "b_in"]).relu()
    return (here + active @ weights[_MLP + "W_out"] + weights[_MLP + "b_out"]) @ weights["unembed.W_U"] + weights["unembed.b_U"]


def runs(config: ModelConfig) -> Iterator[tuple[str, Run, int]]:
    """Ways to run a model: names, functions, and how many inputs at a time."""
    plain = {"explicit": logits, "fused": fused_attention} if isinstance(config, AttentionOnly) else {"plain": two_inputs}
    for name, run in plain.items():
        for batch in (_AT_ONCE, 1000, 7):
            yield f"{name}, batches of {batch}", run, batch
    name, run = next(iter(plain.items()))
    yield f"{name}, compiled", torch.compile(run), _AT_ONCE


@dataclass(frozen=True)
class Executed:
    """How many inputs were run, in how many ways; how many certified ones were wrong; the largest error over the bound."""

    inputs: int
    ways: int
    wrong: int
    error: float


@torch.no_grad()
def execute(problem: Problem, inputs: int) -> Executed:
    """Run random inputs in float32, and of these the closest ones that lead by more than the margin, in every way there is.

    What leads by more than the margin in float64 is at least what is certified.
    """
    examples = some_examples(problem, inputs, torch.Generator().manual_seed(0))
    exact = load_weights(problem.model, problem.device)
    true = examples.true[:, 0]
    real = torch.cat([outputs(problem, exact, part)[:, 0] for part in examples.inputs.split(_AT_ONCE)])
    rows = torch.arange(len(real), device=real.device)
    rivals = real.clone()
    rivals[rows, true] = -torch.inf
    lead = real[rows, true] - rivals.amax(1)
    certified = (lead > float(problem.margin)).nonzero()[:, 0]
    closest = certified[lead[certified].argsort()[:_CLOSEST]]
    single = {name: tensor.float() for name, tensor in exact.items()}
    bound, wrong, error, ways = float(required_margin(problem.model, "float32")) / 2, 0, 0.0, 0
    for name, run, batch in problem.track(list(runs(problem.model.config)), "running"):
        chosen = certified if batch == _AT_ONCE else closest if batch > 7 else closest[:500]
        try:
            found = torch.cat([run(single, part) for part in examples.inputs[chosen].split(batch)])
        except RuntimeError as failure:  # no compiler on this machine
            if "compiled" not in name:
                raise
            print(f"{name}: not run ({str(failure).splitlines()[0]})")
            continue
        wrong += int((found.argmax(1) != true[chosen]).sum())
        error, ways = max(error, float((found.double() - real[chosen]).abs().max()) / bound), ways + 1
    return Executed(len(real), ways, wrong, error)


def strategy_for(problem: Problem) -> str:
    """The most thorough one that is affordable."""
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
        fine &= found.wrong == 0 and found.error <= 1
        margins = [_margin(problem, form) for form in FORMATS if form != "float64"]
        counts = (str(found.inputs), str(found.ways), str(found.wrong), f"{found.error:.1e}")
        table.add_row(path.stem, name, *shares, *margins, *counts)
    return table, fine


def _margin(problem: Problem, form: str) -> str:
    try:
        return f"{float(required_margin(problem.model, form)):.3g}"
    except DoesNotFit:
        return "-"
