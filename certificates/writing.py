"""Writing model files and certificates: what the prover needs and the checker does not.

Deterministic (the same content gives the same bytes), and atomic: a file is written whole or not at all.
"""

import errno
import os
import struct
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from certificates.attention_only import AttentionOnly
from certificates.canonical_json import Json, dumps
from certificates.certificate import FORMAT_NAME, VERSION, Certificate, Statement
from certificates.decimals import decimal
from certificates.errors import FormatError
from certificates.mlp_statement import MLPStatement
from certificates.model_file import Model, stated
from certificates.tensor_file import INTEGER_TYPES, RawTensor
from certificates.transformer import Transformer
from certificates.two_inputs import GroupMLP


def integer_tensor(values: NDArray[np.generic]) -> RawTensor:
    """Integers, stored with the narrowest dtype that holds them all. Raises FormatError if they have more than 64 bits."""
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    for name, code in INTEGER_TYPES.items():
        limits = np.iinfo(code)
        if limits.min <= low and high <= limits.max:
            return RawTensor(name, values.shape, np.ascontiguousarray(values.astype(code)).tobytes())
    raise FormatError("integers beyond 64 bits cannot be stored in a tensor")


def serialize_tensor_file(metadata: Mapping[str, str], tensors: Mapping[str, RawTensor]) -> bytes:
    """The container's bytes: deterministic, names sorted, header padded to 8 bytes as other readers expect."""
    header: dict[str, Json] = {"__metadata__": dict(metadata)}
    position = 0
    for name in sorted(tensors):
        tensor = tensors[name]
        stop = position + len(tensor.data)
        header[name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": [position, stop]}
        position = stop
    text = dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(tensors[name].data for name in sorted(tensors))


def write_atomically(path: Path, content: bytes) -> None:
    """Write a whole file or nothing: temporary file in the same folder (made if need be), fsync, rename.

    Raises FormatError if the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder; name a file")
        _write_and_rename(path, content)
    except OSError as error:
        raise FormatError(f"cannot write {path}: {error.strerror or error}") from error


def _write_and_rename(path: Path, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _statement_json(statement: Statement | MLPStatement) -> Json:
    if isinstance(statement, MLPStatement):
        claims: list[Json] = [dict(vars(claim)) for claim in statement.claims]
        return {"mlp": claims, "model": statement.model_digest, "scale": statement.scale, "task": statement.task}
    fields: dict[str, Json] = {
        "correct": str(statement.correct),
        "model": statement.model_digest,
        "task": statement.task,
        "total": str(statement.total),
    }
    if statement.margin:
        fields["margin"] = decimal(statement.margin)
    if statement.deployed is not None:
        fields["deployed"] = statement.deployed
    return fields


def serialize_certificate(certificate: Certificate) -> bytes:
    """The certificate's bytes; deterministic."""
    steps: list[Json] = [
        {"parameters": dict(step.parameters), "premises": list(step.premises), "rule": step.rule} for step in certificate.steps
    ]
    metadata = {
        "format": FORMAT_NAME,
        "version": VERSION,
        "statement": dumps(_statement_json(certificate.statement)),
        "proof": dumps({"precision": certificate.precision, "steps": steps}),
    }
    tensors = {f"{index}.{name}": tensor for index, step in enumerate(certificate.steps) for name, tensor in step.hints.items()}
    return serialize_tensor_file(metadata, {**tensors, **certificate.given})


def write_certificate(path: Path, certificate: Certificate) -> int:
    """Write the certificate atomically; returns its size in bytes."""
    content = serialize_certificate(certificate)
    write_atomically(path, content)
    return len(content)


def write_model(path: Path, model: Model) -> None:
    """Write a model file atomically; `read_model` gives the same model, with the same digest."""
    sizes = model.config
    config = {**stated(sizes), **{key: wanted for key, (wanted, default) in sizes.required.items() if wanted != default}}
    if isinstance(sizes, AttentionOnly):
        config["attention_dir"] = "causal"
    elif isinstance(sizes, GroupMLP | Transformer):
        config["architecture"] = sizes.architecture
    metadata = {"config": dumps(config), "format": "pt"}
    if model.task is not None:
        metadata["task"] = dumps(model.task)
    write_atomically(path, serialize_tensor_file(metadata, model.tensors))
