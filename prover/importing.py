"""State dicts of TransformerLens and Hugging Face become model files."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from certificates import FormatError, Model, Transformer
from certificates.architectures import parse_config
from certificates.canonical_json import Json, loads_config
from certificates.model_file import build_model
from prover.proving import problem_about
from prover.transformer.lens_versions import as_before
from prover.transformer.names import from_hugging_face, from_transformer_lens
from prover.weights import raw_tensor


def read_state_dict(path: Path) -> Mapping[str, Tensor]:
    """A state dict saved with torch.save, as safetensors, or as npz. Raises FormatError if it is none of them."""
    try:
        return load_file(path)
    except (SafetensorError, OSError):
        pass
    if path.suffix == ".npz":
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return {name: torch.from_numpy(arrays[name]) for name in arrays.files}
        except (OSError, ValueError, TypeError, BadZipFile) as error:
            raise FormatError(f"cannot read {path}: {error}") from error
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise FormatError(f"cannot read {path}: no such file") from error
    except Exception as error:
        raise FormatError(
            f"{path} is neither a safetensors or npz file nor a torch state dict; "
            "write it with torch.save(model.state_dict(), path)"
        ) from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise FormatError(f"{path} does not hold a state dict (names to tensors)")
    return state


def import_model(state: Path, config: str, task: Json, n_ctx: int | None = None) -> Model:
    """Build a model from a state dict and its configuration (a JSON file's path, or JSON text).

    The configuration is TransformerLens', or config.json of a Llama or Qwen model. n_ctx: tokens in an input, if other than
    configured; task: None for none. Raises FormatError naming the tensor or key whose meaning is not implemented.
    """
    text = config
    if not config.lstrip().startswith("{"):
        try:
            text = Path(config).read_text()
        except OSError as error:
            raise FormatError(f"cannot read the configuration {config}: {error.strerror}") from error
    try:
        keys = loads_config(text)
    except FormatError as error:
        raise FormatError(f"the configuration {config[:60]!r} is not usable: {error}") from error
    return model_of(read_state_dict(state), keys, task, n_ctx)


def model_of(state: Mapping[str, Tensor], keys: dict[str, Any], task: Json, n_ctx: int | None = None) -> Model:
    """The same from tensors by name, and the configuration's keys (decimals as Fractions)."""
    named = state
    if "hidden_size" in keys:
        keys, named = from_hugging_face(keys, named)
    else:
        keys, named = as_before(keys, named)
    if _architecture(keys) == Transformer.architecture:
        keys, named = from_transformer_lens({**keys, "architecture": Transformer.architecture}, named, n_ctx)
    elif n_ctx is not None:
        raise FormatError("n_ctx can be chosen for the architecture transformer only")
    tensors = {}
    for name, tensor in named.items():
        if tensor.is_floating_point() and name.rpartition(".")[2] != "IGNORE" and not bool(tensor.isfinite().all()):
            raise FormatError(f"tensor {name!r} holds NaN or infinity")
        try:
            tensors[name] = raw_tensor(tensor)
        except KeyError as error:
            raise FormatError(f"tensor {name!r} has dtype {tensor.dtype}; weights are floating-point numbers") from error
    model = build_model(keys, tensors, task)
    if task is not None:
        _ = problem_about(model, torch.device("cpu"), task=task).task  # raises if the model is unfit for it
    return model


def _architecture(keys: Mapping[str, object]) -> object:
    """What the configuration says; if it says nothing: attention-only where it is one, else transformer."""
    if "architecture" in keys:
        return keys["architecture"]
    try:
        return parse_config(dict(keys)).architecture
    except FormatError:
        return "uniform-attention" if "attention_pattern" in keys else Transformer.architecture


def jsonable(config: Mapping[str, object]) -> str:
    """`HookedTransformerConfig.to_dict()` as JSON text: values that JSON lacks (dtypes, devices) become strings."""
    return json.dumps(dict(config), default=str)
