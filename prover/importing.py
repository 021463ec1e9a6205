"""State dicts of TransformerLens, Hugging Face and others become model files."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from certificates import FormatError, Model, Transformer
from certificates.architectures import parse_config
from certificates.canonical_json import Json, loads_config
from certificates.model_file import build_model
from prover.layouts import mapped
from prover.proving import problem_about
from prover.state_files import plain_values, read_checkpoint
from prover.transformer.lens_versions import as_before
from prover.transformer.names import from_hugging_face, from_transformer_lens
from prover.transformer.plain_grokking import from_plain_grokking, is_plain_grokking
from prover.weights import raw_tensor


@dataclass(frozen=True)
class Source:
    """Tensors by name and the configuration's keys, as they were read; layout: whose names these are."""

    state: Mapping[str, Tensor]
    keys: dict[str, Any]
    layout: str


def import_model(
    state: Path,
    config: str | None,
    task: Json,
    n_ctx: int | None = None,
    mapping: Mapping[str, Any] | None = None,
    which: int = -1,
) -> Model:
    """Build a model from what `read_source` reads. n_ctx: tokens in an input, if other than configured; task: None for none.

    Raises FormatError naming the tensor or key whose meaning is not implemented.
    """
    source = read_source(state, config, mapping, which)
    return model_of(source.state, source.keys, task, n_ctx)


def read_source(state: Path, config: str | None, mapping: Mapping[str, Any] | None = None, which: int = -1) -> Source:
    """Read a state dict and its configuration (a file's path, JSON or of torch.save, or JSON text).

    The configuration is TransformerLens', or config.json of a Llama or Qwen model; None: what is saved beside the tensors, if
    that is enough. mapping: what tensors of other names are (prover/layouts); which: as in `read_checkpoint`. Raises
    FormatError.
    """
    found = read_checkpoint(state, which)
    if config is None and found.config is None and not is_plain_grokking(found.state):
        raise FormatError(f"{state} holds no configuration: name one with --config")
    stored = {} if found.config is None else loads_config(jsonable(found.config))
    given = {} if config is None else _read_config(config)
    for key in given:
        if key in stored and given[key] != stored[key]:
            raise FormatError(f"--config says {key}={given[key]!r}, the file itself {key}={stored[key]!r}")
    keys = stored | given
    if mapping is not None:
        return Source(mapped(mapping, found.state), keys, "a mapping to TransformerLens")
    return Source(found.state, keys, _layout(found.state, keys))


def _layout(state: Mapping[str, Tensor], keys: Mapping[str, Any]) -> str:
    if "hidden_size" in keys:
        return "Hugging Face"
    if is_plain_grokking(state):
        return "Progress measures for grokking"
    return "TransformerLens 4 (TransformerBridge)" if "embed.weight" in state else "TransformerLens"


def _read_config(config: str) -> dict[str, Any]:
    text = config
    if not config.lstrip().startswith("{"):
        try:
            text = Path(config).read_text(encoding="utf-8")
        except OSError as error:
            raise FormatError(f"cannot read the configuration {config}: {error.strerror}") from error
        except UnicodeDecodeError:
            content = plain_values(Path(config))
            if not isinstance(content, Mapping):
                raise FormatError(f"{config} holds no configuration: keys and values") from None
            text = jsonable(content)
    try:
        return loads_config(text)
    except FormatError as error:
        raise FormatError(f"the configuration {config[:60]!r} is not usable: {error}") from error


def model_of(state: Mapping[str, Tensor], keys: dict[str, Any], task: Json, n_ctx: int | None = None) -> Model:
    """The same from tensors by name, and the configuration's keys (decimals as Fractions)."""
    named = state
    if "hidden_size" in keys:
        keys, named = from_hugging_face(keys, named)
    elif is_plain_grokking(named):
        keys, named = from_plain_grokking(keys, named)
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
