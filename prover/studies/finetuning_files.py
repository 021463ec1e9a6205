"""The files of a fine-tuning run: checkpoints, both certificates, and the report about before and after."""

import io
import json
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import torch
from rich.table import Table
from torch import Tensor

from certificates import FormatError, Model, write_certificate
from certificates.tensor_file import write_atomically
from prover.attention.sequence_problem import SequenceProblem
from prover.error_terms import ERRORS
from prover.layers.two_input_problem import TwoInputProblem
from prover.problem import Problem
from prover.prove import prove
from prover.strategies import ATTENTION_STRATEGIES
from prover.strategy import DoesNotFit, Strategy
from prover.studies.bench import enumerate_with_pytorch
from prover.studies.demo import ceil_scientific, check_in_separate_process, floor_percent
from prover.studies.figures import STAGES, ceil_share
from prover.studies.page import card, embed, page
from prover.training.examples import Examples, predictions, some_examples
from prover.training.finetuning import Milestone, Recipe, State
from prover.weights import load_weights, raw_tensor

_ENUMERABLE = 10**8
_SAMPLES = 100_000
_STAGED = 4 * 10**6
"""Stages are compared where V^3 K is no more than this: the most exact ones take seconds then."""


# --- checkpoints --------------------------------------------------------------------------------------------------------------


def run_key(problem: Problem, strategy: Strategy, recipe: Recipe) -> str:
    """What a checkpoint belongs to."""
    return json.dumps(
        {
            "model": problem.model.digest(),
            "task": problem.task.json,
            "strategy": strategy.name,
            "settings": asdict(strategy),
            "recipe": asdict(recipe),
        },
        sort_keys=True,
    )


def write_checkpoint(path: Path, key: str, state: State) -> None:
    """Store a run's state, atomically."""
    content = {
        "key": key,
        "weights": dict(state.weights),
        "optimizer": dict(state.optimizer),
        "best": load_stored(state.best),
        "best_correct": str(state.best_correct),
        "history": [{**asdict(milestone), "correct": str(milestone.correct)} for milestone in state.history],
        "stopped": state.stopped,
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_atomically(path, buffer.getvalue())


def read_checkpoint(path: Path, key: str, model: Model) -> State:
    """Read it back. Raises FormatError if it is of another run, or none."""
    try:
        content = torch.load(path, weights_only=True)
        found = content["key"]
    except Exception as error:
        raise FormatError(f"{path} is no checkpoint ({error}); delete it to start afresh") from error
    if found != key:
        raise FormatError(f"{path} belongs to another run ({found}); delete it to start afresh, or name another -o")
    best = replace(model, tensors={name: raw_tensor(tensor) for name, tensor in content["best"].items()})
    history = tuple(Milestone(**{**record, "correct": int(record["correct"])}) for record in content["history"])
    optimizer, stopped = content["optimizer"], content["stopped"]
    return State(content["weights"], optimizer, best, int(content["best_correct"]), history, stopped)


def load_stored(model: Model) -> dict[str, Tensor]:
    """The tensors of a model file in their own types."""
    types = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64}
    return {
        name: torch.frombuffer(bytearray(raw.data), dtype=types[raw.dtype]).reshape(raw.shape)
        for name, raw in model.tensors.items()
    }


# --- before and after ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Side:
    """One model: the checker's verdict, how many of how many examples are right, and the terms of its losses, by name.

    losses: for sequences the shares of inputs that each simplification loses, for pairs the gap and the errors in logits.
    """

    verdict: dict[str, Any]
    right: int
    examples: int
    losses: dict[str, float]


@dataclass(frozen=True)
class Comparison:
    """A fine-tuning run in figures. moved: relative distance by tensor, and of all; changed: share of predictions."""

    strategy: Strategy
    before: Side
    after: Side
    moved: dict[str, float]
    changed: float
    history: tuple[Milestone, ...]
    stopped: str

    @property
    def accepted(self) -> bool:
        """Whether the checker accepted both certificates."""
        return bool(self.before.verdict["accepted"] and self.after.verdict["accepted"])


def compare(problem: Problem, path: Path, tuned: Path, strategy: Strategy, state: State, folder: Path) -> Comparison:
    """Certify the model in `path` and the one in `tuned` with the same strategy, and measure both. Writes to `folder`."""
    about_tuned = replace(problem, model=state.best)
    examples = some_examples(problem, _SAMPLES, torch.Generator().manual_seed(1))
    before = _side(problem, path, strategy, folder / "before.cert", examples)
    after = _side(about_tuned, tuned, strategy, folder / "after.cert", examples)
    old, new = (load_weights(p.model, problem.device) for p in (problem, about_tuned))
    names = [name for name in old if name in problem.model.tensors]
    moved = {name: float((new[name] - old[name]).norm() / old[name].norm()) for name in names if float(old[name].norm())}
    both = [torch.cat([weights[name].reshape(-1) for name in names]) for weights in (old, new)]
    moved["all weights"] = float((both[1] - both[0]).norm() / both[0].norm())
    found = [predictions(problem, weights, examples.inputs) for weights in (old, new)]
    changed = float((found[0] != found[1]).double().mean())
    return Comparison(strategy, before, after, moved, changed, state.history, state.stopped)


def _side(problem: Problem, path: Path, strategy: Strategy, certificate: Path, examples: Examples) -> Side:
    proof, _ = prove(problem, strategy)
    write_certificate(certificate, proof)
    return Side(check_in_separate_process(certificate, path), *_accuracy(problem, examples), _losses(problem, strategy))


def _accuracy(problem: Problem, examples: Examples) -> tuple[int, int]:
    if len(examples) < problem.total <= _ENUMERABLE and isinstance(problem, SequenceProblem) and problem.task.rank == 1:
        return enumerate_with_pytorch(problem), problem.total
    found = predictions(problem, load_weights(problem.model, problem.device), examples.inputs)
    return int((found == examples.true).sum()), len(examples)


def _losses(problem: Problem, strategy: Strategy) -> dict[str, float]:
    if isinstance(problem, TwoInputProblem):
        terms = strategy.error_terms(problem)
        return {} if terms is None else {"gap": terms.gap, **terms.errors}
    if problem.d_vocab**3 * problem.n_ctx > _STAGED:
        return {}
    losses: dict[str, float] = {}
    missing = 0.0
    stages = [(label, ATTENTION_STRATEGIES[name](**parameters)) for label, name, parameters in STAGES]
    last = next((i for i, (_, stage) in enumerate(stages) if stage == strategy), None)
    stages = stages[: last + 1] if last is not None else [*stages[:4], (f"what {strategy.name} simplifies beside", strategy)]
    for label, stage in stages:
        try:
            correct = stage.prove(problem).correct
        except DoesNotFit:
            continue
        share = (problem.total - correct) / problem.total
        losses[f"{stage.name}: {label.replace('<br>', ' ')}"] = share - missing
        missing = share
    return losses


# --- the report ---------------------------------------------------------------------------------------------------------------


def comparison_table(comparison: Comparison) -> Table:
    """For a terminal."""
    table = Table("", "before", "after", title=f"fine-tuned towards {comparison.strategy.name}: {comparison.stopped}")
    table.columns[1].justify = table.columns[2].justify = "right"
    for row in _rows(comparison):
        table.add_row(*row)
    return table


def _rows(comparison: Comparison) -> list[tuple[str, str, str]]:
    before, after = comparison.before, comparison.after
    rows = [("certified accuracy", *(_bound(side) for side in (before, after)))]
    rows += [("operations", *(ceil_scientific(side.verdict["operations"] or 0) for side in (before, after)))]
    every = before.examples == before.verdict["total"]
    measured = "all inputs, in floating point" if every else f"{before.examples:,} random inputs"
    rows += [(f"accuracy ({measured})", *(floor_percent(side.right, side.examples) for side in (before, after)))]
    unit = "" if "gap" in before.losses else "lost by "
    for name in {**before.losses, **after.losses}:
        rows.append((unit + name, *(_loss(side, name) for side in (before, after))))
    rows.append(("distance moved, relative", "", f"{comparison.moved['all weights']:.4f}"))
    rows.append(("predictions changed", "", f"{comparison.changed:.4%}"))
    return rows


def _bound(side: Side) -> str:
    verdict = side.verdict
    return floor_percent(verdict["correct"], verdict["total"]) if verdict["accepted"] else str(verdict["reason"])


def _loss(side: Side, name: str) -> str:
    if name not in side.losses:
        return "-"
    value = side.losses[name]
    return f"{value:.3g} logits" if name in ("gap", *ERRORS) else f"{100 * value:+.3g}%"


def write_comparison(comparison: Comparison, model_name: str, model: Model, folder: Path) -> None:
    """Write finetuning.json and report.html."""
    record = {
        "strategy": comparison.strategy.name,
        "parameters": asdict(comparison.strategy),
        "before": asdict(comparison.before),
        "after": asdict(comparison.after),
        "relative_distance": comparison.moved,
        "predictions_changed": comparison.changed,
        "stopped": comparison.stopped,
        "history": [
            {name: None if isinstance(v, float) and math.isnan(v) else v for name, v in asdict(milestone).items()}
            for milestone in comparison.history
        ],
    }
    write_atomically(folder / "finetuning.json", json.dumps(record, indent=1).encode())
    total = comparison.after.verdict["total"]
    rows = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in _rows(comparison))
    missing = [ceil_share(side.verdict["total"] - (side.verdict["correct"] or 0), total) for side in _sides(comparison)]
    content = page(
        f"{model_name}: fine-tuned",
        f"{model_name}, fine-tuned towards {comparison.strategy.name}",
        model.digest(),
        "finetuned.html",
        cards=card(_bound(comparison.before), "certified before")
        + card(_bound(comparison.after), "certified after")
        + card(f"{100 * missing[0]:.3g}% to {100 * missing[1]:.3g}%", "not certified, before and after")
        + card(f"{comparison.moved['all weights']:.3f}", "relative distance moved"),
        theorem=str(comparison.after.verdict["theorem"] or comparison.after.verdict["reason"]),
        table=f"<table><tr><th></th><th>before</th><th>after</th></tr>{rows}</table>",
        history=embed(_history_figure(comparison, total), "history-figure"),
        losses=embed(_losses_figure(comparison), "losses-figure") if comparison.after.losses else "",
        moved=embed(_moved_figure(comparison), "moved-figure"),
        strategy=comparison.strategy.name,
    )
    write_atomically(folder / "report.html", content.encode())


def _sides(comparison: Comparison) -> tuple[Side, Side]:
    return comparison.before, comparison.after


def _history_figure(comparison: Comparison, total: int) -> go.Figure:
    history = comparison.history
    steps = [milestone.step for milestone in history]
    open_share = [max((total - milestone.correct) / total, 1e-20) for milestone in history]
    least = 10 ** (math.floor(math.log10(min([share for share in open_share if share > 1e-19] or [0.1]))) - 1)
    figure = go.Figure()
    shown = [max(share, least) for share in open_share]
    figure.add_scatter(x=steps, y=shown, name="not certified", mode="lines+markers")
    wrong = [max(1 - milestone.right / milestone.examples, least) for milestone in history]
    figure.add_scatter(x=steps, y=wrong, name="wrong on examples", mode="lines", line={"dash": "dot"})
    figure.update_xaxes(title="steps")
    figure.update_yaxes(type="log", title="share of inputs (lowest: none)", exponentformat="power")
    return figure.update_layout(height=420, template="plotly_white", margin={"t": 20})


def _losses_figure(comparison: Comparison) -> go.Figure:
    figure = go.Figure()
    for name, side in (("before", comparison.before), ("after", comparison.after)):
        figure.add_bar(y=list(side.losses), x=list(side.losses.values()), name=name, orientation="h")
    in_logits = "gap" in comparison.after.losses
    figure.update_xaxes(title="logits" if in_logits else "share of inputs lost", tickformat="" if in_logits else ".2~%")
    figure.update_yaxes(autorange="reversed", automargin=True)
    height = 140 + 60 * len(comparison.after.losses)
    return figure.update_layout(barmode="group", height=height, template="plotly_white", margin={"t": 20})


def _moved_figure(comparison: Comparison) -> go.Figure:
    figure = go.Figure(go.Bar(y=list(comparison.moved), x=list(comparison.moved.values()), orientation="h"))
    figure.update_xaxes(title="length of the change, relative to the length of the tensor")
    figure.update_yaxes(autorange="reversed", automargin=True)
    return figure.update_layout(height=120 + 34 * len(comparison.moved), template="plotly_white", margin={"t": 20})
