"""Model files: TransformerLens tensor names in a safetensors container, with the configuration in its metadata.

This module checks the tensors against the configuration and binds both in a digest. What the model computes (its semantics)
is the checker's business.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from certificates.architectures import ModelConfig, parse_config
from certificates.canonical_json import Json, dumps, loads_config, loads_relaxed
from certificates.errors import FormatError
from certificates.tensor_file import RawTensor, read_tensor_file

_MASK, _IGNORE = "blocks.0.attn.mask", "blocks.0.attn.IGNORE"


def stated(config: ModelConfig) -> dict[str, Any]:
    """What a configuration says; a padding token only if there is one."""
    return {key: value for key, value in vars(config).items() if (key, value) != ("pad_token", -1)}


@dataclass(frozen=True)
class Model:
    """A model file's content: sizes, raw weights by TransformerLens name, and the task it says it was trained for."""

    config: ModelConfig
    tensors: Mapping[str, RawTensor]
    task: Json

    def digest(self) -> str:
        """SHA-256 (hex) over the meaningful configuration and the contents of every weight tensor (FORMAT.md)."""
        sha = hashlib.sha256()

        def absorb(data: bytes) -> None:
            sha.update(len(data).to_bytes(8, "little"))
            sha.update(data)

        absorb(b"compact-proof-model-1")
        absorb(dumps({"architecture": self.config.architecture, **stated(self.config)}).encode())
        for name in sorted(self.tensors):
            tensor = self.tensors[name]
            absorb(dumps([name, tensor.dtype, list(tensor.shape)]).encode())
            absorb(tensor.data)
        return sha.hexdigest()


def _is_causal_mask(tensor: RawTensor, n_ctx: int) -> bool:
    rows = b"".join(b"\x01" * (i + 1) + b"\x00" * (n_ctx - i - 1) for i in range(n_ctx))
    return tensor == RawTensor("BOOL", (n_ctx, n_ctx), rows)


def _is_minus_infinity(tensor: RawTensor) -> bool:
    patterns = {"F32": b"\x00\x00\x80\xff", "F64": b"\x00" * 6 + b"\xf0\xff", "F16": b"\x00\xfc", "BF16": b"\x80\xff"}
    return math.prod(tensor.shape) == 1 and tensor.data == patterns.get(tensor.dtype)


def build_model(config: dict[str, Any], tensors: Mapping[str, RawTensor], task: Json) -> Model:
    """Check names, shapes and buffers of a TransformerLens state dict against its configuration."""
    sizes = parse_config(config)
    weights: dict[str, RawTensor] = {}
    shapes, positions = sizes.tensor_shapes(), vars(sizes).get("n_ctx", 0)  # 0: there is no attention, and so no buffer of it
    for name, tensor in tensors.items():
        if name == _MASK and positions:
            if not _is_causal_mask(tensor, positions):
                raise FormatError(f"buffer {name} is not the causal mask")
        elif name == _IGNORE and positions:
            if not _is_minus_infinity(tensor):
                raise FormatError(f"buffer {name} is not -infinity")
        elif name not in shapes:
            raise FormatError(f"tensor {name!r} is unknown: this is no {sizes.described}")
        elif tensor.shape != shapes[name]:
            raise FormatError(f"tensor {name!r} has shape {list(tensor.shape)}, expected {list(shapes[name])}")
        elif tensor.dtype not in ("F16", "BF16", "F32", "F64"):
            raise FormatError(f"tensor {name!r} has dtype {tensor.dtype}; weights are F16, BF16, F32 or F64")
        else:
            weights[name] = tensor
    for name in shapes:
        if name not in weights and not name.rpartition(".")[2].startswith("b") and name not in sizes.unused:
            raise FormatError(f"tensor {name!r} is missing")
    return Model(sizes, weights, task)


def read_model(path: Path) -> Model:
    """Read a model file. Raises FormatError with the reason if it is not one."""
    file = read_tensor_file(path)
    try:
        if "config" not in file.metadata:
            raise FormatError("metadata has no config: not a model file (see `prover import`)")
        unknown = set(file.metadata) - {"config", "task", "format"}
        if unknown:
            raise FormatError(f"unknown metadata {sorted(unknown)}")
        task = loads_relaxed(file.metadata["task"]) if "task" in file.metadata else None
        return build_model(loads_config(file.metadata["config"]), file.tensors, task)
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error
