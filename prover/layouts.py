"""Tensors of anybody's PyTorch code by a *mapping*: a JSON file that says which of theirs is which of ours, and how to turn it.

    {
      "embed.W_E": "tok.weight",
      "blocks.{layer}.attn.W_Q": {"from": "layers.{layer}.qkv.weight",
                                  "steps": [{"rows": [0, 64]}, {"reshape": [4, 16, 64]}, {"permute": [0, 2, 1]}]},
      "blocks.{layer}.mlp.W_in": {"from": "layers.{layer}.fc1.weight", "steps": ["transpose"]},
      "unused": ["layers.{layer}.attn.mask"]
    }

Ours are TransformerLens' names (certificates/FORMAT.md, 2). Steps are done in turn: "transpose" swaps the axes of a matrix,
"rows" [first, end] takes a part of the first axis, "reshape" and "permute" are torch's. {layer} stands for each layer, from 0.
Every tensor of the state dict must be used, or listed as unused.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from certificates import FormatError

_LAYER = "{layer}"
_MOST_LAYERS = 64


def read_mapping(path: Path) -> dict[str, Any]:
    """Read a mapping. Raises FormatError if it is none."""
    try:
        mapping = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_no_repeated_name)
    except (OSError, ValueError) as error:
        raise FormatError(f"cannot read the mapping {path}: {error}") from error
    if not isinstance(mapping, dict):
        raise FormatError(f"{path} is no mapping: a JSON object from our names to theirs")
    return mapping


def _no_repeated_name(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} stands there twice")
    return dict(pairs)


def mapped(mapping: Mapping[str, Any], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict under our names. Raises FormatError naming the tensor that is missing, left over, or of another shape."""
    left_out = mapping.get("unused", [])
    if not isinstance(left_out, list) or not all(isinstance(pattern, str) for pattern in left_out):
        raise FormatError(f'"unused" is a list of names, not {left_out!r}')
    unused = {name for pattern in left_out for _, name in _layers(pattern, pattern, state)}
    found, taken = {}, set[str]()
    for ours, entry in mapping.items():
        if ours == "unused":
            continue
        theirs, steps = (entry, []) if isinstance(entry, str) else _entry(ours, entry)
        names = list(_layers(ours, theirs, state))
        if not names:
            raise FormatError(f"the mapping takes {ours} from {theirs!r}, which is not there; there are {_some(state)}")
        if len(names) > 1 and _LAYER not in ours:
            raise FormatError(f"the mapping takes {ours} from {theirs!r}, of every layer: name {_LAYER} on both sides")
        for name, source in names:
            if name in found:
                raise FormatError(f"the mapping says twice what {name} is")
            found[name] = _turned(state[source], steps, name)
            taken.add(source)
    left = sorted(set(state) - taken - unused)
    if left:
        raise FormatError(f'tensors that the mapping does not use: {", ".join(left)}; list them under "unused" if they are not')
    return found


def _entry(ours: str, entry: Any) -> tuple[str, list[Any]]:
    known = isinstance(entry, dict) and isinstance(entry.get("from"), str) and set(entry) <= {"from", "steps"}
    if not known or not isinstance(entry.get("steps", []), list):
        raise FormatError(f'the mapping of {ours} is neither a name nor {{"from": name, "steps": [..]}}: {entry!r}')
    return entry["from"], entry.get("steps", [])


def _layers(ours: str, theirs: str, state: Mapping[str, Tensor]) -> Iterator[tuple[str, str]]:
    """Both names, for every layer that there is; without {layer}, just these."""
    if _LAYER not in theirs:
        if theirs in state:
            yield ours, theirs
        return
    for layer in range(_MOST_LAYERS):
        source = theirs.replace(_LAYER, str(layer))
        if source in state:
            yield ours.replace(_LAYER, str(layer)), source


def _turned(tensor: Tensor, steps: list[Any], name: str) -> Tensor:
    for step in steps:
        try:
            if isinstance(step, dict) and len(step) != 1:
                raise ValueError("a step does one thing")
            match step:
                case "transpose":
                    tensor = tensor.transpose(0, 1)
                case {"rows": [int(first), int(end)]} if 0 <= first < end <= len(tensor):
                    tensor = tensor[first:end]
                case {"reshape": [*shape]}:
                    tensor = tensor.reshape(shape)
                case {"permute": [*axes]}:
                    tensor = tensor.permute(axes)
                case _:
                    raise ValueError("there are transpose, rows, reshape, permute")
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            shape = list(tensor.shape)
            raise FormatError(f"the mapping of {name}: {json.dumps(step)} does not apply to shape {shape}: {error}") from error
    return tensor


def _some(state: Mapping[str, Tensor]) -> str:
    names = sorted(state)
    return ", ".join(names[:12]) + (", .." if len(names) > 12 else "")
