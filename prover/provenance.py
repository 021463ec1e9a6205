"""What an imported model was made of, and what was done to its weights before: a model file has no place for it.

TransformerLens' processing changes weights, not the function, or adds the same to all logits. What a configuration does not say
of it is seen in the weights: means that training leaves only by chance are 0.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from certificates import GroupMLP, Model
from certificates.writing import write_atomically
from prover.importing import Source
from prover.weights import load_weights

_NEARLY_ZERO = 1e-3
"""A mean of numbers is a mean of 0 if it is at most this part of their size (root mean square): weights are rounded."""
_SAID = {"_name_or_path", "dtype", "model_name", "model_type", "normalization_type", "original_architecture", "torch_dtype"}
"""Keys of configurations that are recorded, beside versions."""


@dataclass(frozen=True)
class Provenance:
    """source: the state dict's file; layout: whose names its tensors had; said: by the configuration; processed: see
    `processed`.
    """

    source: str
    sha256: str
    layout: str
    said: Mapping[str, str]
    processed: tuple[str, ...]
    model_digest: str

    def write(self, model: Path) -> Path:
        """Write it beside the model file, as MODEL.import.json."""
        file = model.with_suffix(".import.json")
        write_atomically(file, (json.dumps(asdict(self), indent=1) + "\n").encode())
        return file


def provenance(file: Path, source: Source, model: Model) -> Provenance:
    """Of a model that was made of what was read from a file."""
    keys = source.keys
    said = {key: str(value) for key, value in sorted(keys.items()) if key in _SAID or key.endswith("version")}
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return Provenance(file.name, digest, source.layout, said, tuple(processed(model, keys)), model.digest())


def processed(model: Model, keys: Mapping[str, Any]) -> Iterator[str]:
    """What TransformerLens calls such processing, each with where it is seen."""
    norm = keys.get("normalization_type")
    if norm in ("LNPre", "RMSPre"):
        yield f"fold_ln: the norms' weights were folded into what reads after them (normalization_type {norm})"
    if isinstance(model.config, GroupMLP):
        return
    weights = load_weights(model, torch.device("cpu"))
    written = [w for name, w in weights.items() if name.rpartition(".")[2] in ("W_E", "W_pos", "W_O", "W_out")]
    if all(_centred(weight) for weight in written):
        yield "center_writing_weights: what is written to the residual stream has mean 0"
    if "unembed.W_U" in weights and _centred(weights["unembed.W_U"]):
        yield "center_unembed: what is added to the logits has mean 0 over all outputs"
    values, outputs = ([w for name, w in weights.items() if name.endswith(f".b_{part}")] for part in "VO")
    if values and not any(w.any() for w in values) and any(w.any() for w in outputs):
        yield "fold_value_biases: b_V is 0, and b_O is not"


def _centred(weight: torch.Tensor) -> bool:
    """Whether means over the last axis are 0."""
    size = weight.square().mean().sqrt()
    return bool(size > 0) and bool((weight.mean(-1).abs() <= _NEARLY_ZERO * size).all())
