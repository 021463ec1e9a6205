"""TransformerLens state dicts become model files."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from certificates import FormatError, Model
from certificates.canonical_json import Json, loads_config
from certificates.model_file import build_model
from prover.prove import problem_about
from prover.weights import raw_tensor


def read_state_dict(path: Path) -> Mapping[str, Tensor]:
    """A state dict saved with torch.save or as safetensors. Raises FormatError if it is neither."""
    try:
        return load_file(path)
    except (SafetensorError, OSError):
        pass
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise FormatError(f"cannot read {path}: no such file") from error
    except Exception as error:
        raise FormatError(
            f"{path} is neither a safetensors file nor a torch state dict; write it with torch.save(model.state_dict(), path)"
        ) from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise FormatError(f"{path} does not hold a state dict (names to tensors)")
    return state


def import_model(state: Path, config: str, task: Json) -> Model:
    """Build a model from a state dict and its TransformerLens configuration (a JSON file's path, or JSON text).

    Raises FormatError naming the tensor or key if the model is not one whose meaning is implemented.
    """
    text = config
    if not config.lstrip().startswith("{"):
        try:
            text = Path(config).read_text()
        except OSError as error:
            raise FormatError(f"cannot read the configuration {config}: {error.strerror}") from error
    tensors = {}
    for name, tensor in read_state_dict(state).items():
        if tensor.is_floating_point() and name.rpartition(".")[2] != "IGNORE" and not bool(tensor.isfinite().all()):
            raise FormatError(f"tensor {name!r} holds NaN or infinity")
        try:
            tensors[name] = raw_tensor(tensor)
        except KeyError as error:
            raise FormatError(f"tensor {name!r} has dtype {tensor.dtype}; weights are floating-point numbers") from error
    try:
        keys = loads_config(text)
    except FormatError as error:
        raise FormatError(f"the configuration {config[:60]!r} is not usable: {error}") from error
    model = build_model(keys, tensors, task)
    _ = problem_about(model, torch.device("cpu"), task=task).task  # raises if the model is unfit for it
    return model


def jsonable(config: Mapping[str, object]) -> str:
    """`HookedTransformerConfig.to_dict()` as JSON text: values that JSON lacks (dtypes, devices) become strings."""
    return json.dumps(dict(config), default=str)
