"""State dicts in files, as PyTorch users have them; nothing but tensors and plain Python values is ever unpickled."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from certificates import FormatError

_STATES = ("state_dict", "model", "model_state_dict", "model_state")
"""Under these names, files hold a state dict beside other things."""
_CONFIGS = ("config", "cfg", "model_config")
_CLASS = re.compile(r"(?:GLOBAL|global) ([\w.]+)")


@dataclass(frozen=True)
class Checkpoint:
    """A state dict, and the configuration that was saved beside it, if there was one."""

    state: Mapping[str, Tensor]
    config: dict[str, Any] | None = None


def read_checkpoint(path: Path, which: int = -1) -> Checkpoint:
    """A state dict in a file: of torch.save, perhaps beside its configuration and other things; safetensors; or npz.

    which: of a list of state dicts that were saved during training, this one, -1 for the last. Nothing but tensors and plain
    Python values is ever unpickled. Raises FormatError that says how to save such a file otherwise.
    """
    try:
        return Checkpoint(load_file(path))
    except (SafetensorError, OSError):
        pass
    if path.suffix == ".npz":
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return Checkpoint({name: torch.from_numpy(arrays[name]) for name in arrays.files})
        except (OSError, ValueError, TypeError, EOFError, BadZipFile) as error:
            raise FormatError(f"cannot read {path}: {error}") from error
    content = plain_values(path)
    config = None
    several = isinstance(content, Mapping) and isinstance(content.get("state_dicts"), list)
    if which != -1 and not several:
        raise FormatError(f"{path} holds no list of state dicts, of which number {which} could be taken")
    if several:
        config, content = _config_of(content), _one_of(content["state_dicts"], which, path)
    elif isinstance(content, Mapping) and not _is_state(content):
        config = _config_of(content)
        content = next((content[name] for name in _STATES if isinstance(content.get(name), Mapping)), content)
    if not _is_state(content):
        raise FormatError(
            f"{path} does not hold a state dict (names to tensors), nor one under {', '.join(_STATES)} or state_dicts"
        )
    return Checkpoint(content, config)


def _is_state(content: Any) -> bool:
    return isinstance(content, Mapping) and bool(content) and all(isinstance(value, Tensor) for value in content.values())


def _config_of(content: Mapping[str, Any]) -> dict[str, Any] | None:
    return next((dict(content[name]) for name in _CONFIGS if isinstance(content.get(name), Mapping)), None)


def _one_of(states: list[Any], which: int, path: Path) -> Any:
    if not -len(states) <= which < len(states):
        raise FormatError(f"{path} holds {len(states)} state dicts: there is no number {which}")
    return states[which]


def plain_values(path: Path) -> Any:
    """What torch.save wrote, if it is made of tensors and plain values."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise FormatError(f"cannot read {path}: no such file") from error
    except Exception as error:
        classes = [name for name in _CLASS.findall(str(error)) if "." in name]
        if classes:
            raise FormatError(
                f"{path} holds an object of class {classes[0]}, and loading it could run any code. Where it is installed, "
                "write torch.save(model.state_dict(), path), and the configuration as JSON: "
                "json.dump(model.cfg.to_dict(), file, default=str)"
            ) from error
        raise FormatError(
            f"{path} is neither a safetensors or npz file nor a torch state dict; "
            "write it with torch.save(model.state_dict(), path)"
        ) from error
