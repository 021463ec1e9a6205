"""The safetensors container, read strictly (writing.py writes it).

Models and certificates are safetensors files. The public library returns floating-point arrays and tolerates more than
FORMAT.md allows, so the trusted side reads the container itself: an 8-byte little-endian header length, a JSON header,
and the tensors' bytes, back to back, with nothing left over. No floating-point array is ever created here.
"""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from certificates.canonical_json import Json, loads_relaxed
from certificates.errors import FormatError
from certificates.fields import exact_fields

IntArray: TypeAlias = NDArray[np.int64]

ITEM_BYTES = {
    "BOOL": 1,
    "U8": 1,
    "I8": 1,
    "I16": 2,
    "I32": 4,
    "I64": 8,
    "F16": 2,
    "BF16": 2,
    "F32": 4,
    "F64": 8,
}
INTEGER_TYPES = {"U8": "<u1", "I8": "<i1", "I16": "<i2", "I32": "<i4", "I64": "<i8"}
_MAX_RANK = 8
MAX_FILE_BYTES = 2**28
"""No model or certificate of this version is larger; a larger file is refused before it is read."""
_MAX_HEADER_BYTES = 2**20


@dataclass(frozen=True)
class RawTensor:
    """A tensor as stored: its dtype name, its shape and its little-endian bytes."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if self.dtype not in ITEM_BYTES:
            raise FormatError(f"unsupported dtype {self.dtype!r}")
        if len(self.shape) > _MAX_RANK or math.prod(max(size, 1) for size in self.shape) > MAX_FILE_BYTES:
            raise FormatError("a shape with too many or too large dimensions")
        if len(self.data) != math.prod(self.shape) * ITEM_BYTES[self.dtype]:
            raise FormatError(f"{len(self.data)} bytes do not fit shape {list(self.shape)} of {self.dtype}")

    def integers(self) -> IntArray:
        """The values of an integer tensor. Raises FormatError on any other dtype."""
        if self.dtype not in INTEGER_TYPES:
            raise FormatError(f"expected an integer tensor, found {self.dtype}")
        return np.frombuffer(self.data, INTEGER_TYPES[self.dtype]).astype(np.int64).reshape(self.shape)


@dataclass(frozen=True)
class TensorFile:
    """A parsed container: string metadata and named tensors."""

    metadata: Mapping[str, str]
    tensors: Mapping[str, RawTensor]


def _dict(value: Json, what: str) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise FormatError(f"{what} is not a JSON object")
    return value


def _natural_numbers(value: Json, what: str) -> tuple[int, ...]:
    numbers = [item for item in value if type(item) is int and item >= 0] if isinstance(value, list) else []
    if numbers != value:
        raise FormatError(f"{what} is not a list of natural numbers")
    return tuple(numbers)


def parse_tensor_file(content: bytes) -> TensorFile:
    """Parse a container held in memory.

    Raises FormatError on anything that FORMAT.md does not allow: truncation, trailing bytes, overlapping or unordered
    tensors, sizes that disagree with shapes, unknown dtypes, non-string metadata.
    """
    if len(content) < 8:
        raise FormatError("the file is truncated: no header length")
    (header_bytes,) = struct.unpack("<Q", content[:8])
    if header_bytes > _MAX_HEADER_BYTES:
        raise FormatError(
            f"this is no safetensors file: it would begin with a header of {header_bytes} bytes, more than {_MAX_HEADER_BYTES} "
            "(files of torch.save and numpy are brought in by `prover import`)"
        )
    if header_bytes > len(content) - 8:
        raise FormatError("the file is truncated: its header is longer than the file")
    try:
        header_text = content[8 : 8 + header_bytes].decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError("the header is not UTF-8") from error
    header = _dict(loads_relaxed(header_text), "the header")
    body = memoryview(content)[8 + header_bytes :]

    metadata: dict[str, str] = {}
    for key, text in _dict(header.pop("__metadata__", {}), "__metadata__").items():
        if not isinstance(text, str):
            raise FormatError(f"metadata {key!r} is not a string")
        metadata[key] = text

    extents: list[tuple[int, int, str]] = []
    kinds: dict[str, tuple[str, tuple[int, ...]]] = {}
    for name, value in header.items():
        entry = exact_fields(value, {"dtype", "shape", "data_offsets"}, f"tensor {name!r}")
        dtype = entry["dtype"]
        if not isinstance(dtype, str):
            raise FormatError(f"dtype of {name!r} is not a string")
        shape = _natural_numbers(entry["shape"], f"shape of {name!r}")
        offsets = _natural_numbers(entry["data_offsets"], f"data_offsets of {name!r}")
        if len(offsets) != 2:
            raise FormatError(f"data_offsets of {name!r} are not two numbers")
        start, stop = offsets
        if not start <= stop <= len(body):
            raise FormatError(f"tensor {name!r} lies outside the file: truncated?")
        extents.append((start, stop, name))
        kinds[name] = dtype, shape

    position = 0
    for start, stop, name in sorted(extents):
        if start != position:
            raise FormatError(f"tensor {name!r} overlaps another or leaves a gap")
        position = stop
    if position != len(body):
        raise FormatError(f"{len(body) - position} trailing bytes after the last tensor")
    tensors: dict[str, RawTensor] = {}
    for start, stop, name in extents:  # only now: tensors that overlap could be copied any number of times
        try:
            tensors[name] = RawTensor(*kinds[name], bytes(body[start:stop]))
        except FormatError as error:
            raise FormatError(f"tensor {name!r}: {error}") from error
    return TensorFile(metadata, tensors)


def read_content(path: Path) -> bytes:
    """All bytes of a file. Raises FormatError if it is too large, or cannot be read."""
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise FormatError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    if len(content) > MAX_FILE_BYTES:
        raise FormatError(f"{path} is larger than {MAX_FILE_BYTES} bytes")
    return content


def read_tensor_file(path: Path) -> TensorFile:
    """Read and parse the container at `path`. Raises FormatError, also when the file cannot be read."""
    content = read_content(path)
    try:
        return parse_tensor_file(content)
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error
