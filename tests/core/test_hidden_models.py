"""Model files of networks with one hidden layer: what is read is what was written, and nothing else has a meaning."""

import itertools
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hidden_oracle import ATTENTION, pack, shapes

from certificates import FormatError, GroupMLP, Model, RawTensor, UniformAttention, read_model, write_model
from certificates.architectures import parse_config
from certificates.model_file import build_model

SMALL_MLP = {"architecture": "group-mlp", "act_fn": "relu", "d_mlp": 4, "d_vocab": 3, "d_vocab_out": 3}
SMALL_ATTENTION = {
    "act_fn": "relu",
    "attention_pattern": "uniform",
    "d_head": 2,
    "d_mlp": 4,
    "d_model": 5,
    "d_vocab": 4,
    "d_vocab_out": 3,
    "n_ctx": 3,
    "n_heads": 2,
    "n_layers": 1,
    "normalization_type": None,
}
CONFIGS = {"mlp": SMALL_MLP, "attention": SMALL_ATTENTION}


def weights(kind: str) -> dict[str, RawTensor]:
    sizes = shapes(kind == "attention", 3, 4, 3, 5, 2, 2)
    rng = np.random.default_rng(1)
    arrays = {name: rng.normal(size=shape) for name, shape in sizes.items()}
    return {name: RawTensor(*tensor) for name, tensor in pack(arrays, "F32").items()}


def test_sizes_are_read() -> None:
    assert parse_config(SMALL_MLP) == GroupMLP(d_mlp=4, d_vocab=3, d_vocab_out=3)
    attention = UniformAttention(d_head=2, d_mlp=4, d_model=5, d_vocab=4, d_vocab_out=3, n_ctx=3, n_heads=2)
    assert parse_config(SMALL_ATTENTION) == attention
    for config in CONFIGS.values():  # as in TransformerLens, the outputs are the tokens unless said otherwise
        without = {key: value for key, value in config.items() if key != "d_vocab_out"}
        assert parse_config(without).d_vocab_out == parse_config(config | {"d_vocab_out": -1}).d_vocab_out == config["d_vocab"]


@pytest.mark.parametrize("kind", CONFIGS)
def test_what_is_written_is_read(kind: str, tmp_path: Path) -> None:
    """Also without biases; each tensor, its dtype and its absence change the digest."""
    full = weights(kind)
    digests = set()
    for dropped in (set(), *({name} for name in full if ".b_" in name), {name for name in full if ".b_" in name}):
        tensors = {name: tensor for name, tensor in full.items() if name not in dropped}
        model = build_model(CONFIGS[kind], tensors, {"name": "group-composition", "group": "cyclic:3"})
        write_model(tmp_path / "model", model)
        assert read_model(tmp_path / "model") == model
        digests.add(model.digest())
    for name, tensor in full.items():
        other = tensor.data[:-1] + bytes([tensor.data[-1] ^ 128])
        digests.add(build_model(CONFIGS[kind], full | {name: RawTensor("F32", tensor.shape, other)}, None).digest())
    biases = sum(".b_" in name for name in full)
    assert len(digests) == 2 + biases + len(full)


def test_the_digest_tells_architectures_apart() -> None:
    tensors = weights("mlp")
    one, other = GroupMLP(4, 3, 3), UniformAttention(2, 4, 5, 4, 3, 3, 2)
    assert Model(one, tensors, None).digest() != Model(other, tensors, None).digest()


CHANGES: list[tuple[str, dict[str, Any]]] = [
    *(
        ("mlp", {key: value})
        for key, value in (("act_fn", "gelu"), ("architecture", "mlp"), ("architecture", None), ("n_ctx", 2))
    ),
    *(("mlp", {key: value}) for key, value in itertools.product(("d_mlp", "d_vocab"), (0, -1, True, "3", None, 2**21))),
    ("mlp", {"act_fn": None}),
    ("mlp", {"d_vocab": 1}),
    ("mlp", {"normalization_type": "LN"}),
    ("attention", {"act_fn": "gelu"}),
    ("attention", {"act_fn": "solu_ln"}),
    ("attention", {"architecture": "attention-only"}),
    ("attention", {"architecture": "group-mlp"}),
    ("attention", {"attention_pattern": "causal"}),
    ("attention", {"attention_pattern": True}),
    ("attention", {"attn_only": True}),
    ("attention", {"attn_only": 0}),
    ("attention", {"d_vocab": 2050}),
    ("attention", {"gated_mlp": True}),
    ("attention", {"n_ctx": 2}),
    ("attention", {"n_ctx": 4}),
    ("attention", {"n_heads": 0}),
    ("attention", {"n_heads": True}),
    ("attention", {"n_layers": 2}),
    ("attention", {"n_layers": True}),
    ("attention", {"normalization_type": "LN"}),
    ("attention", {"parallel_attn_mlp": True}),
    ("attention", {"positional_embedding_type": "rotary"}),
    ("attention", {"something": 1}),
]


@pytest.mark.parametrize(("kind", "change"), CHANGES)
def test_other_configurations_are_refused(kind: str, change: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        parse_config(CONFIGS[kind] | change)


@pytest.mark.parametrize(("kind", "key"), [("mlp", "d_mlp"), ("mlp", "architecture"), ("attention", "attention_pattern")])
def test_keys_that_matter_must_be_there(kind: str, key: str) -> None:
    for missing in (key, "act_fn" if kind == "attention" else key):
        with pytest.raises(FormatError):
            parse_config({name: value for name, value in CONFIGS[kind].items() if name != missing})


@pytest.mark.parametrize("kind", CONFIGS)
def test_tensors_are_those_of_the_architecture(kind: str) -> None:
    full, config = weights(kind), CONFIGS[kind]
    for name, tensor in full.items():
        without = {other: value for other, value in full.items() if other != name}
        if ".b_" not in name:
            with pytest.raises(FormatError, match="missing"):
                build_model(config, without, None)
        for wrong in (
            RawTensor("F32", (*tensor.shape, 1), tensor.data),
            RawTensor("F32", (), bytes(4)),
            RawTensor("I32", tensor.shape, tensor.data),
        ):
            with pytest.raises(FormatError, match=r"shape|dtype"):
                build_model(config, full | {name: wrong}, None)
    for extra in ("blocks.1.mlp.W_in", "mlp.b_out", "embed.b_E", "blocks.0.ln1.w"):
        with pytest.raises(FormatError, match="unknown"):
            build_model(config, full | {extra: next(iter(full.values()))}, None)


def test_queries_and_keys_may_be_there_and_buffers_have_their_values() -> None:
    full = weights("attention")
    queries = RawTensor("F32", (2, 5, 2), bytes(80))
    model = build_model(SMALL_ATTENTION, full | {ATTENTION + "W_Q": queries, ATTENTION + "W_K": queries}, None)
    assert set(model.tensors) == {*full, ATTENTION + "W_Q", ATTENTION + "W_K"}
    causal = RawTensor("BOOL", (3, 3), bytes([1, 0, 0, 1, 1, 0, 1, 1, 1]))
    minus_infinity = RawTensor("F32", (), struct.pack("<f", float("-inf")))
    buffers = {ATTENTION + "mask": causal, ATTENTION + "IGNORE": minus_infinity}
    assert build_model(SMALL_ATTENTION, full | buffers, None).digest() == build_model(SMALL_ATTENTION, full, None).digest()
    for name, wrong in ((ATTENTION + "mask", RawTensor("BOOL", (3, 3), bytes(9))), (ATTENTION + "IGNORE", queries)):
        with pytest.raises(FormatError, match="buffer"):
            build_model(SMALL_ATTENTION, full | {name: wrong}, None)
        with pytest.raises(FormatError, match="unknown"):
            build_model(SMALL_MLP, weights("mlp") | {name: buffers[name]}, None)
    with pytest.raises(FormatError, match="unknown"):  # a mask of no positions is the causal one of a model without any
        build_model(SMALL_MLP, weights("mlp") | {ATTENTION + "mask": RawTensor("BOOL", (0, 0), b"")}, None)
