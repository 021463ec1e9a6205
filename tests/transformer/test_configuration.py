"""Configurations of transformers: each that means something else is refused by the name of its key."""

import json
from typing import Any

import pytest
from transformer_models import ALL, draw_config

from certificates import FormatError, RawTensor
from certificates.architectures import parse_config
from certificates.canonical_json import loads_config
from certificates.model_file import build_model
from certificates.transformer import Transformer

PLAIN = {
    "architecture": "transformer",
    **{"n_layers": 2, "n_heads": 4, "d_head": 4, "d_model": 6, "d_vocab": 5, "n_ctx": 3, "d_mlp": 7, "act_fn": "relu"},
    **{"normalization_type": "LN", "eps": 1e-5, "n_key_value_heads": 2},
}
ROTARY = {"positional_embedding_type": "rotary", "rotary_base": 10000}


def parsed(**changes: Any) -> Transformer:
    return parse_config(loads_config(json.dumps({**PLAIN, **changes})))


@pytest.mark.parametrize(
    "change",
    [
        *({"n_layers": value} for value in (0, 9, True, "2", None, 1.5)),
        *({"n_heads": value} for value in (0, 17, -1, None)),
        *({"n_key_value_heads": value} for value in (0, 3, True, 8)),
        *({"d_model": value} for value in (0, 513)),
        *({"d_vocab_out": value} for value in (1, 4096)),
        *({"act_fn": value} for value in ("gelu_fast", "solu_ln", None, True, "")),
        *({"normalization_type": value} for value in ("LayerNorm", "", False, 0)),
        *({"eps": value} for value in (-1e-5, None, "1e-5", "1/0", True, "1/-3", "٣")),
        *({"attention_dir": value} for value in ("forward", None)),
        *({"pad_token": value} for value in (5, -2, True, "0", 1.5)),
        *({"attn_scale": value} for value in (0, -2, "x", None, False)),
        *({"positional_embedding_type": value} for value in ("ALiBi", "shortformer", "relative_positional_bias", None)),
        *({**ROTARY, "rotary_dim": value} for value in (3, 6, 0, True)),
        *({**ROTARY, "rotary_base": value} for value in ("1/2", 0, None)),
        *({key: True} for key in ("parallel_attn_mlp", "post_embedding_ln", "use_local_attn", "load_in_4bit", "final_rms")),
        *({key: True} for key in ("use_normalization_before_and_after", "scale_attn_by_inverse_layer_idx")),
        *({key: 1} for key in ("attn_only", "gated_mlp", "use_qk_norm", "tie_word_embeddings", "use_attn_scale")),
        *(
            {key: 2}
            for key in ("num_experts", "experts_per_token", "window_size", "attn_scores_soft_cap", "output_logits_soft_cap")
        ),
        {"attn_types": ["local", "global"]},
        {"use_NTK_by_parts_rope": True},
        {"tie_word_embeddings": True, "d_vocab_out": 6},
        {"surprise": 1},
    ],
    ids=str,
)
def test_other_configurations_are_refused_by_name(change: dict[str, Any]) -> None:
    with pytest.raises(FormatError, match=next(reversed(change))):
        parsed(**change)


def test_equal_functions_have_equal_configurations() -> None:
    plain = parsed()
    assert plain == parsed(eps="1/100000", d_vocab_out=-1, attn_scale=2.0, rotary_base=7, dtype="torch.float64")
    assert parsed(attn_only=True, act_fn="solu") == parsed(attn_only=True, act_fn=None, d_mlp=None, gated_mlp=True)
    assert parsed(act_fn="gelu_pytorch_tanh") == parsed(act_fn="gelu_new")
    assert parsed(use_attn_scale=False) == parsed(attn_scale=1) != plain
    assert parsed(attn_scale=2.00001) != plain == parsed(attn_scale=2.0000001)
    assert parsed(**ROTARY) == parsed(**ROTARY, rotary_dim=4) != parsed(**ROTARY, rotary_dim=2)
    assert parsed(normalization_type=None, eps="1/2") == parsed(normalization_type=None)
    assert parsed(normalization_type="RMS", final_rms=True) == parsed(normalization_type="RMS")
    assert parsed(pad_token=None) == parsed(pad_token=-1) == plain != parsed(pad_token=0) != parsed(pad_token=1)
    assert parsed(n_key_value_heads=4) == parsed(n_key_value_heads=None) != plain


@pytest.mark.parametrize("seed", range(0, ALL, 5))
def test_what_is_kept_is_read_alike_and_in_the_digest(seed: int) -> None:
    config = parse_config(draw_config(seed))
    assert parse_config({**vars(config), "architecture": "transformer"}) == config
    tensors = {name: RawTensor("F16", shape, bytes(2 * _size(shape))) for name, shape in config.tensor_shapes().items()}
    model = build_model({**vars(config), "architecture": "transformer"}, tensors, None)
    for name in tensors:
        rest = {other: tensor for other, tensor in tensors.items() if other != name}
        if name.rpartition(".")[2].startswith("b"):
            assert build_model({**vars(config), "architecture": "transformer"}, rest, None).digest() != model.digest()
        else:
            with pytest.raises(FormatError, match="missing"):
                build_model({**vars(config), "architecture": "transformer"}, rest, None)
    for extra in ("unembed.W_E", "blocks.9.ln1.w", "blocks.0.attn._W_K", "ln_final.b_"):
        with pytest.raises(FormatError, match="unknown"):
            build_model({**vars(config), "architecture": "transformer"}, {**tensors, extra: tensors["embed.W_E"]}, None)


def _size(shape: tuple[int, ...]) -> int:
    product = 1
    for size in shape:
        product *= size
    return product
