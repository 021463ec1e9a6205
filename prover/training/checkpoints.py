"""The state of a fine-tuning run in a file, from which it can be continued."""

import io
import json
from dataclasses import asdict, replace
from pathlib import Path

import torch

from certificates import FormatError, Model
from certificates.writing import write_atomically
from prover.problem import Problem
from prover.strategy import Strategy
from prover.training.finetuning import Milestone, Recipe, State
from prover.weights import raw_tensor, stored_tensor


def run_key(problem: Problem, strategy: Strategy, recipe: Recipe) -> str:
    """What a checkpoint belongs to."""
    return json.dumps(
        {
            "model": problem.model.digest(),
            "task": problem.stated_task,
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
        "best": {name: stored_tensor(raw) for name, raw in state.best.tensors.items()},
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
