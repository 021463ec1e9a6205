"""The file layer tells a file that is exactly what FORMAT.md says from everything else, and never fails otherwise.

* What is written can be read back, here and by the public safetensors library; what that library writes can be read here.
* Whatever else is in a file -- cut short, too long, overlapping, of absurd sizes, hostile JSON, random bytes -- the one
  exception is `FormatError`.
* Canonical JSON has one spelling per value and no floating point.
* A file is written whole or not at all.
"""

import contextlib
import errno
import json
import os
import struct
import tracemalloc
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from certificates import AttentionOnly, integer_tensor
from certificates.canonical_json import dumps, loads, loads_config, loads_relaxed
from certificates.certificate import Certificate, Statement, Step, parse_certificate, read_certificate
from certificates.errors import FormatError
from certificates.model_file import Model, read_model
from certificates.tensor_file import ITEM_BYTES, RawTensor, parse_tensor_file, read_tensor_file
from certificates.writing import serialize_tensor_file, write_atomically, write_certificate, write_model

thorough = settings(max_examples=150, deadline=None)
MAX_INT = 2**63 - 1


def container(header: Any, body: bytes = b"") -> bytes:
    """A container with this header (bytes, text, or a value to be spelled as JSON) and these tensor bytes."""
    text = header if isinstance(header, bytes) else (header if isinstance(header, str) else json.dumps(header)).encode()
    return struct.pack("<Q", len(text)) + text + body


def entry(dtype: Any = "U8", shape: Any = (1,), offsets: Any = (0, 1)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def bytes_of(tensor: RawTensor) -> int:
    return len(tensor.data)


# --- round trips ---------------------------------------------------------------------------------------------------------

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).filter(lambda name: name != "__metadata__")


@st.composite
def raw_tensors(draw: Any) -> RawTensor:
    dtype = draw(st.sampled_from(sorted(ITEM_BYTES)))
    shape = tuple(draw(st.lists(st.integers(0, 3), max_size=4)))
    size = ITEM_BYTES[dtype] * int(np.prod(shape, dtype=np.int64))
    data = draw(st.binary(min_size=size, max_size=size))
    return RawTensor(dtype, shape, bytes(byte & 1 for byte in data) if dtype == "BOOL" else data)


tensor_tables = st.dictionaries(names, raw_tensors(), max_size=4)
metadata_tables = st.dictionaries(names, st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=3)


@thorough
@given(metadata=metadata_tables, tensors=tensor_tables)
def test_what_is_written_can_be_read(metadata: dict[str, str], tensors: dict[str, RawTensor]) -> None:
    content = serialize_tensor_file(metadata, tensors)
    file = parse_tensor_file(content)
    assert file.metadata == metadata and file.tensors == tensors
    assert content == serialize_tensor_file(dict(reversed(metadata.items())), dict(reversed(tensors.items())))


@thorough
@given(metadata=metadata_tables, tensors=tensor_tables)
def test_the_public_library_reads_what_we_write(metadata: dict[str, str], tensors: dict[str, RawTensor]) -> None:
    library = pytest.importorskip("safetensors")
    read = dict(library.deserialize(serialize_tensor_file(metadata, tensors)))
    assert set(read) == set(tensors)
    for name, tensor in tensors.items():
        assert read[name]["dtype"] == tensor.dtype and tuple(read[name]["shape"]) == tensor.shape
        assert bytes(read[name]["data"]) == tensor.data


NUMPY_NAMES = {
    "BOOL": "?",
    "U8": "u1",
    "I8": "i1",
    "I16": "<i2",
    "I32": "<i4",
    "I64": "<i8",
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
}


@thorough
@given(metadata=st.none() | metadata_tables.filter(bool), tensors=tensor_tables)
def test_we_read_what_the_public_library_writes(metadata: dict[str, str] | None, tensors: dict[str, RawTensor]) -> None:
    front = pytest.importorskip("safetensors.numpy")
    tensors = {name: tensor for name, tensor in tensors.items() if tensor.dtype in NUMPY_NAMES}
    arrays = {name: np.frombuffer(t.data, NUMPY_NAMES[t.dtype]).reshape(t.shape) for name, t in tensors.items()}
    file = parse_tensor_file(front.save(arrays, metadata))
    assert file.tensors == tensors and file.metadata == (metadata or {})


def test_files_of_the_numpy_and_torch_front_ends(tmp_path: Path) -> None:
    front = pytest.importorskip("safetensors.numpy")
    path = tmp_path / "numpy.safetensors"
    front.save_file({"b": np.arange(6, dtype=np.int64).reshape(2, 3), "a": np.array([1.5, -0.0], np.float32)}, path, {"k": "v"})
    file = read_tensor_file(path)
    assert file.metadata == {"k": "v"} and file.tensors["b"].integers().tolist() == [[0, 1, 2], [3, 4, 5]]
    assert file.tensors["a"] == RawTensor("F32", (2,), struct.pack("<ff", 1.5, -0.0))
    write_atomically(tmp_path / "ours.safetensors", serialize_tensor_file(file.metadata, file.tensors))
    again = front.load_file(tmp_path / "ours.safetensors")
    assert again["b"].tolist() == [[0, 1, 2], [3, 4, 5]] and again["a"].tolist() == [1.5, 0.0]
    torch = pytest.importorskip("torch")
    torch_front = pytest.importorskip("safetensors.torch")
    torch_front.save_file({"w": torch.tensor([1.0, -2.5], dtype=torch.bfloat16)}, path)
    assert read_tensor_file(path).tensors["w"] == RawTensor("BF16", (2,), bytes.fromhex("803f20c0"))


@thorough
@given(values=st.lists(st.integers(-(2**63), 2**63 - 1), max_size=5), limit=st.sampled_from([1, 200, 2**15, 2**31, 2**63]))
def test_integer_tensors_keep_their_values(values: list[int], limit: int) -> None:
    array = np.array([v % limit if v > 0 else -(-v % limit) for v in values], np.int64)
    tensor = integer_tensor(array)
    assert tensor.integers().dtype == np.int64 and np.array_equal(tensor.integers(), array)
    assert len(tensor.data) == ITEM_BYTES[tensor.dtype] * len(array)


def test_integer_tensors_refuse_other_types_and_sizes() -> None:
    for dtype in ("BOOL", "F16", "BF16", "F32", "F64"):
        with pytest.raises(FormatError):
            RawTensor(dtype, (1,), bytes(ITEM_BYTES[dtype])).integers()
    with pytest.raises(FormatError):
        integer_tensor(np.array([2**63], np.uint64))


# --- anything else is a FormatError ---------------------------------------------------------------------------------------

SMALL = serialize_tensor_file(
    {"format": "pt", "note": "ü"},
    {"a": RawTensor("I16", (2, 2), bytes(range(8))), "b": RawTensor("F32", (), b"\0" * 4), "c": RawTensor("U8", (0,), b"")},
)


@pytest.mark.parametrize("length", range(len(SMALL)))
def test_truncated_anywhere(length: int) -> None:
    with pytest.raises(FormatError):
        parse_tensor_file(SMALL[:length])


@pytest.mark.parametrize("extra", [b"\0", b" ", b"\n", SMALL, b"\0" * 4096])
def test_trailing_bytes(extra: bytes) -> None:
    with pytest.raises(FormatError):
        parse_tensor_file(SMALL + extra)


DEEP = 100_000
BAD_FILES: dict[str, bytes] = {
    "empty": b"",
    "header longer than the file": struct.pack("<Q", 3) + b"{}",
    "header as long as can be written": struct.pack("<Q", 2**64 - 1) + b"{}",
    "no header": struct.pack("<Q", 0),
    "not UTF-8": container(b'{"a\xff":1}'),
    "UTF-16": container('{"a":1}'.encode("utf-16")),
    "UTF-8 with a byte order mark": container(b"\xef\xbb\xbf{}"),
    "an encoded surrogate": container(b'{"\xed\xa0\x80":1}'),
    "not JSON": container("{"),
    "two values": container("{}{}"),
    "a list": container("[]"),
    "a number": container("1"),
    "null": container("null"),
    "a decimal": container('{"a":1.5}'),
    "an exponent": container('{"__metadata__":{},"x":1e5}'),
    "NaN": container('{"a":NaN}'),
    "infinity": container('{"a":-Infinity}'),
    "a number too long to convert": container('{"a":' + "9" * 10_000 + "}"),
    "repeated tensor": container('{"a":%s,"a":%s}' % ((json.dumps(entry()),) * 2), b"\0"),
    "repeated metadata key": container('{"__metadata__":{"k":"1","k":"2"}}'),
    "repeated metadata": container('{"__metadata__":{},"__metadata__":{}}'),
    "repeated dtype": container('{"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"\0"),
    "deep lists": container("[" * DEEP + "]" * DEEP),
    "deep lists, not closed": container("[" * DEEP),
    "deep objects": container('{"a":' * DEEP + "1" + "}" * DEEP),
    "deep shape": container('{"a":{"dtype":"U8","data_offsets":[0,1],"shape":' + "[" * DEEP + "]" * DEEP + "}}", b"\0"),
    "metadata is a list": container({"__metadata__": []}),
    "metadata is null": container({"__metadata__": None}),
    "metadata with a number": container({"__metadata__": {"k": 1}}),
    "metadata with null": container({"__metadata__": {"k": None}}),
    "tensor is a list": container({"a": [1]}),
    "tensor without offsets": container({"a": {"dtype": "U8", "shape": [1]}}, b"\0"),
    "tensor with one more field": container({"a": {**entry(), "stride": [1]}}, b"\0"),
    "unknown dtype": container({"a": entry("F8_E4M3")}, b"\0"),
    "unsigned 64-bit": container({"a": entry("U64", [1], [0, 8])}, b"\0" * 8),
    "lower-case dtype": container({"a": entry("u8")}, b"\0"),
    "dtype is a number": container({"a": entry(8)}, b"\0"),
    "dtype is a list": container({"a": entry(["U8"])}, b"\0"),
    "shape is a number": container({"a": entry(shape=1)}, b"\0"),
    "shape with a string": container({"a": entry(shape=["1"])}, b"\0"),
    "shape with a boolean": container({"a": entry(shape=[True])}, b"\0"),
    "negative shape": container({"a": entry(shape=[-1])}, b"\0"),
    "negative shapes with a fitting product": container({"a": entry(shape=[-1, -1])}, b"\0"),
    "nine dimensions": container({"a": entry(shape=[1] * 9)}, b"\0"),
    "a million dimensions": container({"a": entry(shape=[1] * 10**6)}, b"\0"),
    "one offset": container({"a": entry(offsets=[1])}, b"\0"),
    "three offsets": container({"a": entry(offsets=[0, 1, 1])}, b"\0"),
    "negative offset": container({"a": entry(offsets=[-1, 0])}, b"\0"),
    "boolean offset": container({"a": entry(offsets=[False, True])}, b"\0"),
    "offsets in the wrong order": container({"a": entry(offsets=[1, 0])}, b"\0"),
    "offsets beyond the file": container({"a": entry(shape=[2], offsets=[0, 2])}, b"\0"),
    "offsets beyond 64 bits": container({"a": entry(shape=[1], offsets=[2**64, 2**64 + 1])}, b"\0"),
    "shape whose product wraps to the size": container({"a": entry(shape=[2**62, 4], offsets=[0, 0])}),
    "shape whose product wraps to zero": container({"a": entry(shape=[2**62, 2**62], offsets=[0, 0])}),
    "shape that wraps to one byte": container({"a": entry(shape=[2**64 + 1], offsets=[0, 1])}, b"\0"),
    "huge although empty": container({"a": entry(shape=[2**62, 0], offsets=[0, 0])}),
    "size in bytes wraps": container({"a": entry("I64", [2**61], [0, 0])}),
    "enormous numbers": container({"a": entry(shape=[10**4000] * 8)}, b"\0"),
    "too few bytes": container({"a": entry("I16", [2], [0, 3])}, b"\0" * 3),
    "too many bytes": container({"a": entry("I16", [1], [0, 3])}, b"\0" * 3),
    "bytes for an empty tensor": container({"a": entry(shape=[0])}, b"\0"),
    "trailing byte": container({"a": entry()}, b"\0\0"),
    "bytes without tensors": container({}, b"\0"),
    "gap at the start": container({"a": entry(offsets=[1, 2])}, b"\0\0"),
    "gap between": container({"a": entry(), "b": entry(offsets=[2, 3])}, b"\0\0\0"),
    "overlap": container({"a": entry(shape=[2], offsets=[0, 2]), "b": entry(shape=[2], offsets=[1, 3])}, b"\0\0\0"),
    "the same bytes twice": container({"a": entry(), "b": entry()}, b"\0"),
    "empty tensor inside another": container(
        {"a": entry(shape=[2], offsets=[0, 2]), "b": entry(shape=[0], offsets=[1, 1])}, b"\0\0"
    ),
}


@pytest.mark.parametrize("what", BAD_FILES)
def test_malformed_containers(what: str, tmp_path: Path) -> None:
    with pytest.raises(FormatError) as caught:
        parse_tensor_file(BAD_FILES[what])
    assert 0 < len(str(caught.value)) < 50_000
    path = tmp_path / "bad"
    path.write_bytes(BAD_FILES[what])
    for reader in (read_tensor_file, read_model, read_certificate):
        with pytest.raises(FormatError, match="bad"):  # the message names the file
            reader(path)


def test_bytes_claimed_by_many_tensors_are_not_copied_for_each() -> None:
    size = 2**20
    content = container({f"t{i}": entry(shape=[size], offsets=[0, size]) for i in range(100)}, bytes(size))
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match="overlaps"):
            parse_tensor_file(content)
        assert tracemalloc.get_traced_memory()[1] < 8 * size
    finally:
        tracemalloc.stop()


def test_empty_tensors_may_share_an_offset() -> None:
    """In any order in the header: what counts is that the bytes are covered once, back to back."""
    header = {"z": entry(shape=[0, 5], offsets=[0, 0]), "b": entry(offsets=[1, 2]), "y": entry(shape=[0], offsets=[1, 1])}
    file = parse_tensor_file(container({**header, "a": entry(), "x": entry(shape=[2**20, 0], offsets=[2, 2])}, b"\1\2"))
    assert [file.tensors[name].data for name in "abxyz"] == [b"\1", b"\2", b"", b"", b""]


@thorough
@given(content=st.binary(max_size=64) | st.builds(container, st.binary(max_size=40), st.binary(max_size=4)))
def test_random_bytes(content: bytes) -> None:
    with contextlib.suppress(FormatError):
        parse_tensor_file(content)


@settings(max_examples=400, deadline=None)
@given(edits=st.lists(st.tuples(st.integers(0, len(SMALL) - 1), st.integers(0, 255)), min_size=1, max_size=3))
def test_random_edits_of_a_good_file(edits: list[tuple[int, int]]) -> None:
    content = bytearray(SMALL)
    for position, byte in edits:
        content[position] = byte
    try:
        file = parse_tensor_file(bytes(content))
    except FormatError:
        return
    for tensor in file.tensors.values():  # whatever was accepted is consistent
        assert len(tensor.data) == ITEM_BYTES[tensor.dtype] * int(np.prod(tensor.shape, dtype=np.int64))


hostile_numbers = st.one_of(
    st.integers(-1, 9), st.sampled_from([2**31, 2**32, 2**62, 2**63, 2**64, 2**64 + 1, -(2**63)]), st.booleans(), st.none()
)
hostile_entries = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from([*sorted(ITEM_BYTES), "F8", "", None, 1]),
        "shape": st.lists(hostile_numbers, max_size=3),
        "data_offsets": st.lists(hostile_numbers, min_size=1, max_size=3),
    }
)


@settings(max_examples=300, deadline=None)
@given(header=st.dictionaries(st.sampled_from("abc"), hostile_entries, max_size=3), body=st.binary(max_size=9))
def test_random_headers(header: dict[str, Any], body: bytes) -> None:
    try:
        file = parse_tensor_file(container(header, body))
    except FormatError:
        return
    covered = sum(bytes_of(tensor) for tensor in file.tensors.values())
    assert covered == len(body) and set(file.tensors) == set(header)


def test_unreadable_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    long_name = tmp_path / ("x" * 300)
    for path in (tmp_path / "missing", tmp_path, tmp_path / "missing" / "deeper", loop, long_name):
        for reader in (read_tensor_file, read_model, read_certificate):
            with pytest.raises(FormatError):
                reader(path)
    small = tmp_path / "small"
    small.write_bytes(SMALL)
    assert read_tensor_file(small) == parse_tensor_file(SMALL)
    monkeypatch.setattr("certificates.tensor_file.MAX_FILE_BYTES", len(SMALL) - 1)
    with pytest.raises(FormatError, match="larger"):
        read_tensor_file(small)


# --- canonical JSON -------------------------------------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@thorough
@given(value=json_values)
def test_canonical_json_round_trip(value: Any) -> None:
    text = dumps(value)
    assert text.isascii() and loads(text) == value and json.loads(text) == value
    assert dumps(loads(text)) == text


@thorough
@given(value=json_values, indent=st.sampled_from([None, 1]), ascii_only=st.booleans())
def test_one_spelling_per_value(value: Any, indent: int | None, ascii_only: bool) -> None:
    other = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    if other != dumps(value):
        with pytest.raises(FormatError):
            loads(other)
    assert loads_relaxed(other) == value


BAD_JSON = [
    *(
        "",
        " ",
        "{",
        "tru",
        "'a'",
        "01",
        "+1",
        "1.",
        ".5",
        "0x10",
        "[1,]",
        '{"a":1,}',
        '{"a"}',
        "{a:1}",
        '"\n"',
        '"\\x"',
        "\x00",
    ),
    *("NaN", "Infinity", "-Infinity", "[NaN]", '{"a":Infinity}'),
    *('{"a":1,"a":1}', '{"a":1,"a":2}', '{"\\u0061":1,"a":2}', '[{"b":{"c":1,"c":1}}]'),
    *("9" * 5000, "-" + "9" * 5000, "[" * DEEP + "]" * DEEP, '{"a":' * DEEP + "1" + "}" * DEEP, "[" * DEEP),
    "\ufeff1",
]
FLOATS = ["1.0", "0.0", "-0.0", "1e2", "1E2", "1e-2", "1.5e300", "[1.0]", '{"a":1e400}']
NOT_CANONICAL = [
    *(" 1", "1 ", "1\n", "[1, 2]", "[ ]", '{"a": 1}', '{"b":1,"a":2}', "-0", '"\\u0061"', '"\\/"', '"é"', '"\\u00E9"'),
    *('"\\u000a"', '{"a":1 }', "\t{}", '"\x7f\u0100"'),
]


@pytest.mark.parametrize("text", BAD_JSON, ids=lambda text: ascii(text[:20]))
@pytest.mark.parametrize("reader", [loads, loads_relaxed, loads_config])
def test_what_is_no_json_of_ours(reader: Callable[[str], Any], text: str) -> None:
    with pytest.raises(FormatError):
        reader(text)


@pytest.mark.parametrize("text", FLOATS)
def test_no_floating_point(text: str) -> None:
    for reader in (loads, loads_relaxed):
        with pytest.raises(FormatError):
            reader(text)


@pytest.mark.parametrize("text", NOT_CANONICAL, ids=ascii)
def test_other_spellings(text: str) -> None:
    with pytest.raises(FormatError):
        loads(text)
    loads_relaxed(text)


def test_configurations_read_decimals_exactly() -> None:
    config = loads_config('{"a": 0.1, "b": 1e-3, "c": -2.5E2, "d": 3, "e": [0.2]}')
    assert config == {"a": Fraction(1, 10), "b": Fraction(1, 1000), "c": Fraction(-250), "d": 3, "e": [Fraction(1, 5)]}
    assert not any(isinstance(value, float) for value in config.values())
    for text in ("[]", "1", "null", '{"a":1e99999}', '{"a":1e-99999}', '{"a":0.%s}' % ("1" * 100), '{"a":%s.5}' % ("1" * 50)):
        with pytest.raises(FormatError):
            loads_config(text)


@pytest.mark.parametrize("depth", [*range(900, 1010, 3), 5000, 40_000])
def test_nesting_near_the_recursion_limit(depth: int, tmp_path: Path) -> None:
    """Whether or not the parser copes, nothing that handles the parsed value afterwards may fail on its depth."""
    model = tiny_model()
    certificate = tiny_certificate(model)
    write_model(tmp_path / "model", model)
    write_certificate(tmp_path / "certificate", certificate)
    good_model, good = read_tensor_file(tmp_path / "model"), read_tensor_file(tmp_path / "certificate")
    path = tmp_path / "deep"
    for deep in ("[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth):
        config = good_model.metadata["config"]
        variants = [
            (
                good,
                {"statement": f'{{"correct":"0","model":"{model.digest()}","task":{deep},"total":"9"}}'},
                read_certificate,
            ),
            (good, {"proof": f'{{"precision":{deep},"steps":[]}}'}, read_certificate),
            (
                good,
                {"proof": f'{{"precision":30,"steps":[{{"parameters":{{"a":{deep}}},"premises":[],"rule":"x"}}]}}'},
                read_certificate,
            ),
            (good_model, {"task": deep}, read_model),
            (good_model, {"config": config[:-1] + f',"act_fn":{deep}}}'}, read_model),
            (good_model, {"config": config[:-1] + f',"attn_scale":{deep}}}'}, read_model),
            (good_model, {"config": config[:-1] + f',"what":{deep}}}'}, read_model),
        ]
        for base, change, reader in variants:
            path.write_bytes(serialize_tensor_file({**base.metadata, **change}, base.tensors))
            with contextlib.suppress(FormatError):
                reader(path)


# --- certificates ---------------------------------------------------------------------------------------------------------


def tiny_model() -> Model:
    config = AttentionOnly(d_head=1, d_model=2, d_vocab=3, d_vocab_out=3, n_ctx=2)
    tensors = {
        name: RawTensor("F32", shape, struct.pack("<f", 0.5) * int(np.prod(shape)))
        for name, shape in config.tensor_shapes().items()
    }
    return Model(config, tensors, {"name": "max-of-k"})


def tiny_certificate(model: Model) -> Certificate:
    hints = {"skip": integer_tensor(np.zeros((0, 2), np.int64)), "more": integer_tensor(np.array([[1, -300]]))}
    steps = (Step("additive-tables"), Step("enumeration", (0,), {"joint": 1, "scale": 9}, hints))
    return Certificate(Statement(model.digest(), {"name": "max-of-k"}, 0, 9), 30, steps)


def test_models_and_certificates_round_trip(tmp_path: Path) -> None:
    model = tiny_model()
    certificate = tiny_certificate(model)
    write_model(tmp_path / "model", model)
    size = write_certificate(tmp_path / "certificate", certificate)
    assert read_model(tmp_path / "model") == model and read_model(tmp_path / "model").digest() == model.digest()
    assert read_certificate(tmp_path / "certificate") == (certificate, size)
    assert size == (tmp_path / "certificate").stat().st_size


def test_files_cut_short_are_refused_by_every_reader(tmp_path: Path) -> None:
    model = tiny_model()
    write_model(tmp_path / "model", model)
    write_certificate(tmp_path / "certificate", tiny_certificate(model))
    readers: list[tuple[str, Callable[[Path], Any]]] = [("model", read_model), ("certificate", read_certificate)]
    for name, reader in readers:
        content = (tmp_path / name).read_bytes()
        path = tmp_path / "cut"
        for length in [*range(0, 40), *range(40, len(content), 7), len(content) - 1]:
            path.write_bytes(content[:length])
            with pytest.raises(FormatError):
                reader(path)


STATEMENT = {"correct": "0", "model": "0" * 64, "task": {"name": "max-of-k"}, "total": "9"}
PROOF: dict[str, Any] = {"precision": 30, "steps": [{"parameters": {}, "premises": [], "rule": "disjoint-sum"}]}
METADATA = {"format": "compact-proof-certificate", "version": "2", "statement": dumps(STATEMENT), "proof": dumps(PROOF)}  # type: ignore[arg-type]


def step(**changes: Any) -> str:
    return dumps({"precision": 30, "steps": [{**PROOF["steps"][0], **changes}]})


BAD_METADATA: dict[str, dict[str, Any]] = {
    "other format": {"format": "pt"},
    "no version": {"version": None},
    "version 1": {"version": "1"},
    "version 3": {"version": "3"},
    "version with a space": {"version": "2 "},
    "one more key": {"comment": "x"},
    "no statement": {"statement": None},
    "no proof": {"proof": None},
    "statement is a list": {"statement": "[]"},
    "statement with one more field": {"statement": dumps({**STATEMENT, "at_least": "1"})},
    "statement without total": {"statement": dumps({k: v for k, v in STATEMENT.items() if k != "total"})},
    "statement with spaces": {"statement": json.dumps(STATEMENT)},
    **{
        f"correct is {value!r}": {"statement": dumps({**STATEMENT, "correct": value})}
        for value in (0, True, "", "-1", "+1", "01", "1.0", "1e3", " 1", "1 ", "0x1", "\u0663", "1_000", "9" * 4001, ["1"])
    },
    **{
        f"model is {value!r}": {"statement": dumps({**STATEMENT, "model": value})}
        for value in ("0" * 63, "0" * 65, "A" * 64, "g" * 64, "0" * 64 + "\n", 0, None)
    },
    "proof without precision": {"proof": dumps({"steps": PROOF["steps"]})},
    "no steps": {"proof": dumps({"precision": 30, "steps": []})},
    "steps is an object": {"proof": dumps({"precision": 30, "steps": {}})},
    "too many steps": {"proof": dumps({"precision": 30, "steps": PROOF["steps"] * 10_000})},
    **{
        f"precision {value!r}": {"proof": dumps({**PROOF, "precision": value})}
        for value in ("30", True, None, 2**63, -(2**63) - 1)
    },
    "precision is a float": {"proof": '{{"precision":30.0,"steps":{}}}'.format(dumps(PROOF["steps"]))},
    "rule is a number": {"proof": step(rule=1)},
    "step with one more field": {"proof": step(hints={})},
    "premises is a number": {"proof": step(premises=0)},
    "premise is a string": {"proof": step(premises=["0"])},
    "premise is a boolean": {"proof": step(premises=[False])},
    "more premises than there can be steps": {"proof": step(premises=[0] * 257)},
    "premise beyond 64 bits": {"proof": step(premises=[2**63])},
    "parameters is a list": {"proof": step(parameters=[])},
    "parameter is a string": {"proof": step(parameters={"a": "1"})},
    "parameter is null": {"proof": step(parameters={"a": None})},
    "parameter beyond 64 bits": {"proof": step(parameters={"a": 2**63})},
}


def test_a_step_has_as_many_premises_as_there_are_steps_or_fewer() -> None:
    metadata = {**METADATA, "proof": step(premises=[0] * 256)}
    assert len(parse_certificate(parse_tensor_file(serialize_tensor_file(metadata, {}))).steps[0].premises) == 256


@pytest.mark.parametrize("what", BAD_METADATA)
def test_malformed_certificates(what: str) -> None:
    assert parse_certificate(parse_tensor_file(serialize_tensor_file(METADATA, {}))).statement.total == 9
    metadata = {key: text for key, text in {**METADATA, **BAD_METADATA[what]}.items() if text is not None}
    with pytest.raises(FormatError):
        parse_certificate(parse_tensor_file(serialize_tensor_file(metadata, {})))


@pytest.mark.parametrize(
    "name", ["x", "1.skip", "00.skip", "0.", "0.Skip", "0.skip ", "0.skip\n", "-1.skip", "0skip", "\u0660.skip", "9999.a"]
)
def test_hints_belong_to_steps(name: str) -> None:
    file = parse_tensor_file(serialize_tensor_file(METADATA, {name: RawTensor("U8", (0,), b"")}))
    with pytest.raises(FormatError):
        parse_certificate(file)


# --- whole or not at all --------------------------------------------------------------------------------------------------


class Interrupted(BaseException):
    """Stands for a KeyboardInterrupt at the worst moment."""


@pytest.mark.parametrize("moment", ["write", "fsync", "chmod", "replace"])
@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "no space left"), Interrupted()], ids=["disk full", "interrupted"])
@pytest.mark.parametrize("existing", [None, b"the old content"])
def test_an_interrupted_write_leaves_nothing_behind(
    moment: str, failure: BaseException, existing: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "folder" / "file"
    path.parent.mkdir()
    if existing is not None:
        path.write_bytes(existing)

    def fail(*_: Any, **__: Any) -> Any:
        raise failure

    if moment == "write":
        genuine = os.fdopen

        def opened(*args: Any, **kwargs: Any) -> Any:
            stream = genuine(*args, **kwargs)
            stream.write(b"half")
            proxy = type("Stream", (), {"write": fail, "__enter__": lambda self: self, "__exit__": lambda *_: stream.close()})
            return proxy()

        monkeypatch.setattr(os, "fdopen", opened)
    else:
        monkeypatch.setattr(os, moment, fail)
    with pytest.raises(FormatError if isinstance(failure, OSError) else Interrupted):
        write_atomically(path, b"the new content")
    monkeypatch.undo()
    left = {entry.name: entry.read_bytes() for entry in path.parent.iterdir()}
    assert left == ({} if existing is None else {"file": existing})
    write_atomically(path, b"the new content")
    assert [entry.read_bytes() for entry in path.parent.iterdir()] == [b"the new content"]


def test_nothing_is_visible_before_the_content_is_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order is: write, fsync, rename; until the rename the old file is there, whole."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    events: list[tuple[str, bytes]] = []
    for name in ("fsync", "replace"):
        genuine = getattr(os, name)

        def spy(*args: Any, name: str = name, genuine: Callable[..., Any] = genuine) -> Any:
            events.append((name, path.read_bytes()))
            return genuine(*args)

        monkeypatch.setattr(os, name, spy)
    write_atomically(path, b"new" * 10_000)
    assert events[:2] == [("fsync", b"old"), ("replace", b"old")] and path.read_bytes() == b"new" * 10_000


def test_folders_are_made_and_errors_are_plain(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a" / "b" / "file", b"x")
    assert (tmp_path / "a" / "b" / "file").read_bytes() == b"x"
    with pytest.raises(FormatError, match="cannot write"):
        write_atomically(tmp_path / "a" / "b" / "file" / "below-a-file", b"x")
    assert [entry.name for entry in (tmp_path / "a" / "b").iterdir()] == ["file"]
