"""Tiny random transformers with every feature in turn, for tests."""

import random
from typing import Any

import numpy as np

from certificates import Model, RawTensor
from certificates.architectures import parse_config
from certificates.model_file import build_model

ALL = 24
"""So many seeds together use all features."""


def draw_config(seed: int, **fixed: Any) -> dict[str, Any]:
    """A configuration with TransformerLens' keys: features by turns, sizes at random."""
    rng = random.Random(seed)
    position = ("standard", "rotary", "alibi" if seed % 2 else "none")[seed % 3]
    heads, groups = ((1, 1), (2, 2), (4, 2), (2, 1), (3, 3))[seed % 5]
    d_head = rng.choice((2, 3, 4)) if position != "rotary" else 6
    config = {
        "architecture": "transformer",
        "n_layers": 1 + seed % 2,
        "n_heads": heads,
        "n_key_value_heads": groups,
        "d_head": d_head,
        "d_model": rng.randint(2, 6),
        "d_vocab": rng.randint(2, 4),
        "n_ctx": rng.randint(2, 4),
        "d_mlp": rng.randint(1, 6),
        "attn_only": seed % 7 == 3,
        "act_fn": ("relu", "gelu", "gelu_new", "silu")[seed // 2 % 4],
        "gated_mlp": seed % 4 >= 2,
        "normalization_type": (None, "LN", "RMS", "LNPre", "RMSPre")[seed // 3 % 5],
        "eps": rng.choice(("1/100000", "1/10", "1/3")),
        "use_qk_norm": seed % 5 in (1, 3),
        "positional_embedding_type": position,
        "rotary_base": rng.choice((3, 100, 10000, "5/2")),
        "rotary_dim": rng.choice((2, 4, 6)) if position == "rotary" else 2,
        "rotary_adjacent_pairs": seed // 3 % 2 == 0,
        "attention_dir": "bidirectional" if seed % 12 in (2, 5, 8) else "causal",
        "attn_scale": rng.choice((-1, "3/2", 1)),
        "tie_word_embeddings": seed % 4 == 1,
        "pad_token": seed // 4 % 2 if seed % 4 == 2 or seed % 12 == 5 else -1,
    }
    return {**config, **fixed}


def draw_model(seed: int, dtype: str = "F32", size: float = 0.6, **fixed: Any) -> Model:
    """A model with such a configuration; some biases are absent, some weights are on a grid so that ties happen."""
    rng, config = np.random.default_rng(seed), draw_config(seed, **fixed)
    codes, tensors = {"F16": "<f2", "F32": "<f4", "F64": "<f8"}, {}
    for name, shape in parse_config(config).tensor_shapes().items():
        if name.rpartition(".")[2].startswith("b") and rng.random() < 0.4:
            continue
        weight = rng.normal(size=shape) * size
        if name.endswith(".w"):
            weight = 1 + weight / 4
        weight = np.round(weight * 4) / 4 if seed % 4 == 0 else weight
        tensors[name] = RawTensor(dtype, shape, weight.astype(codes[dtype]).tobytes())
    return build_model(config, tensors, {"name": "max-of-k"})


def stored_weights(model: Model) -> dict[str, np.ndarray]:
    """The numbers in the model's tensors, in float64."""
    codes = {"F16": "<f2", "F32": "<f4", "F64": "<f8"}
    return {
        name: np.frombuffer(t.data, codes[t.dtype]).reshape(t.shape).astype(np.float64) for name, t in model.tensors.items()
    }
