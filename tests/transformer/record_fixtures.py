"""Writes tests/transformer/recorded: tiny random models of other libraries, with their logits. Not part of `make test`.

    python tests/transformer/record_fixtures.py     # in environments with torch, and transformer_lens 2, 3 and 4 in turn

Weights are multiples of 2**-6, so that they fit float16; the logits are the library's own, in float64.
"""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

FOLDER = Path(__file__).parent / "recorded"
SIZES: dict[str, Any] = {"d_model": 6, "n_ctx": 5, "d_head": 4, "n_heads": 2, "d_vocab": 7, "d_mlp": 9, "dtype": torch.float64}
LENS: dict[str, dict[str, Any]] = {
    "relu": {"n_layers": 1, "act_fn": "relu", "normalization_type": None, "d_vocab_out": 3},
    "ln-gelu": {"n_layers": 2, "act_fn": "gelu", "normalization_type": "LN"},
    "lnpre-attention": {"n_layers": 2, "attn_only": True, "normalization_type": "LNPre", "eps": 1e-3},
    "rms-gated": {
        **{"n_layers": 2, "act_fn": "silu", "gated_mlp": True, "normalization_type": "RMS", "eps": 1e-6},
        **{"positional_embedding_type": "rotary", "rotary_base": 100, "n_heads": 4, "n_key_value_heads": 2},
    },
    "rmspre-adjacent": {
        **{"n_layers": 1, "act_fn": "gelu_new", "normalization_type": "RMSPre", "positional_embedding_type": "rotary"},
        **{"rotary_adjacent_pairs": True, "rotary_dim": 2, "attn_scale": 1.5},
    },
    "bidirectional": {
        "n_layers": 2,
        "act_fn": "gelu_pytorch_tanh",
        "normalization_type": None,
        "attention_dir": "bidirectional",
    },
    "unscaled": {"n_layers": 1, "act_fn": "silu", "normalization_type": "LN", "use_attn_scale": False, "gated_mlp": True},
    "alibi": {
        **{"n_layers": 2, "act_fn": "gelu", "normalization_type": "LN", "positional_embedding_type": "alibi"},
        **{"n_heads": 3, "d_head": 2},
    },
}
FACE: dict[str, dict[str, Any]] = {
    "qwen3": {"num_key_value_heads": 1, "tie_word_embeddings": True, "rms_norm_eps": 1e-6, "rope_theta": 3.0},
    "qwen2": {"num_key_value_heads": 2, "tie_word_embeddings": False, "rms_norm_eps": 1e-5, "hidden_act": "gelu"},
    "llama": {"num_key_value_heads": 2, "tie_word_embeddings": False, "rms_norm_eps": 1e-5, "attention_bias": True},
}


def _randomise(model: torch.nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_((torch.randn(parameter.shape, generator=generator) * 32).round() / 64)


def _save(name: str, state: dict[str, torch.Tensor], config: str, tokens: torch.Tensor, logits: torch.Tensor) -> None:
    weights = {key: t if t.dtype == torch.bool else t.half() for key, t in state.items()}
    tensors = {**weights, "tokens": tokens, "logits": logits}
    save_file(
        {key: t.detach().clone().contiguous() for key, t in tensors.items()}, FOLDER / f"{name}.safetensors", {"config": config}
    )


NATIVE: dict[str, dict[str, Any]] = {
    "relu": {"n_layers": 1, "act_fn": "relu", "normalization_type": None, "d_vocab_out": 3},
    "ln-gelu": {"n_layers": 2, "act_fn": "gelu", "normalization_type": "LN"},
    "unscaled": {"n_layers": 1, "act_fn": "gelu_new", "normalization_type": "LNPre", "use_attn_scale": False},
    "rms-gated": {
        **{"n_layers": 2, "act_fn": "silu", "gated_mlp": True, "normalization_type": "RMS"},
        **{"positional_embedding_type": "rotary", "rotary_base": 100, "n_heads": 4, "n_key_value_heads": 2},
    },
}


def _tokens() -> torch.Tensor:
    return torch.randint(0, SIZES["d_vocab"], (4, SIZES["n_ctx"]), generator=torch.Generator().manual_seed(1))


def record_hooked(prefix: str) -> None:
    """TransformerLens 2 or 3."""
    from transformer_lens import HookedTransformer, HookedTransformerConfig  # noqa: PLC0415

    for seed, (name, settings) in enumerate(LENS.items()):
        model = HookedTransformer(HookedTransformerConfig(**{**SIZES, **settings}))
        _randomise(model, seed)
        config = json.dumps(model.cfg.to_dict(), default=str)
        _save(f"{prefix}-{name}", model.state_dict(), config, _tokens(), model(_tokens()))


def record_native() -> None:
    """TransformerLens 4."""
    from transformer_lens import TransformerBridge  # noqa: PLC0415

    for seed, (name, settings) in enumerate(NATIVE.items()):
        sizes = {key: value for key, value in SIZES.items() if key != "dtype"}
        model = TransformerBridge.boot_native({**sizes, **settings}).double()
        _randomise(model, 200 + seed)
        config = json.dumps(model.cfg.to_dict(), default=str)
        _save(f"native-{name}", model.state_dict(), config, _tokens(), model(_tokens()))


def record_hugging_face() -> None:
    """Llama and Qwen models of transformers."""
    from transformers import AutoConfig, AutoModelForCausalLM  # noqa: PLC0415

    for seed, (name, settings) in enumerate(FACE.items()):
        sizes = {"hidden_size": 6, "intermediate_size": 9, "num_hidden_layers": 2, "num_attention_heads": 2, "head_dim": 4}
        config = AutoConfig.for_model(name, vocab_size=7, max_position_embeddings=5, **sizes, **settings)
        model = AutoModelForCausalLM.from_config(config).double()
        _randomise(model, 100 + seed)
        state = {
            key: t for key, t in model.state_dict().items() if not (key == "lm_head.weight" and config.tie_word_embeddings)
        }
        _save(f"face-{name}", state, config.to_json_string(use_diff=True), _tokens(), model(_tokens()).logits)


def main() -> None:
    """Record what the environment has: transformers are recorded with TransformerLens 2."""
    FOLDER.mkdir(exist_ok=True)
    major = int(version("transformer_lens").partition(".")[0])
    if major == 2:
        record_hooked("lens")
        record_hugging_face()
    elif major == 3:
        record_hooked("lens3")
    else:
        record_native()


if __name__ == "__main__":
    main()
