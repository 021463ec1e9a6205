"""Models of others keep their meaning: logits of TransformerLens and transformers, recorded by record_fixtures.py."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformer_models import ALL, draw_model, stored_weights
from transformer_oracle import torch_logits

import certificates
from certificates import FormatError, Transformer, read_model, write_model
from prover.importing import import_model
from prover.transformer.forward import transformer_logits
from prover.weights import load_weights, stored_tensor

RECORDED = sorted((Path(__file__).parent / "recorded").glob("*.safetensors"))
CPU = torch.device("cpu")


def recorded(path: Path) -> tuple[dict[str, torch.Tensor], str]:
    with safe_open(path, "pt") as file:
        return load_file(path), file.metadata()["config"]


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_logits_are_those_of_the_library(path: Path, tmp_path: Path) -> None:
    state, config = recorded(path)
    tokens, logits = state.pop("tokens"), state.pop("logits")
    save_file(state, tmp_path / "state")
    model = import_model(tmp_path / "state", config, None)
    write_model(tmp_path / "model", model)
    assert read_model(tmp_path / "model") == model and isinstance(model.config, Transformer)
    ours = transformer_logits(model.config, load_weights(model, CPU), tokens)
    # Hugging Face keeps its rotary angles in float32, and TransformerLens multiplies slopes by distances in float32.
    own = 1e-9 if path.stem.endswith("alibi") else 1e-10
    assert torch.allclose(ours, logits, rtol=0, atol=own if path.stem.startswith("lens") else 1e-5)
    short = import_model(tmp_path / "state", config, None, 3)
    assert short.config.n_ctx == 3
    if model.config.attention_dir == "causal":
        assert torch.allclose(transformer_logits(short.config, load_weights(short, CPU), tokens[:, :3]), ours[:, :3])


def test_attention_only_models_of_newer_versions_come_in(tmp_path: Path) -> None:
    model = read_model(Path(certificates.__file__).parent / "models" / "max-of-4.safetensors")
    state = {name: stored_tensor(raw) for name, raw in model.tensors.items()}
    config = {"n_layers": 1, "n_heads": 1, "attn_only": True, "normalization_type": None, "act_fn": None, **vars(model.config)}
    newer = config | {"uses_rms_norm": False, "clip_qkv": None, "yarn_factor": 1.0, "use_attention_sinks": False}
    save_file(state | {"blocks.0.attn.mask": torch.zeros(0, 0)}, tmp_path / "state")
    assert import_model(tmp_path / "state", json.dumps(newer), {"name": "max-of-k"}).digest() == model.digest()
    linear = {"unembed.weight": state["unembed.W_U"].T, "blocks.0.attn.o.weight": state["blocks.0.attn.W_O"][0].T}
    linear |= {f"blocks.0.attn.{x.lower()}.weight": state[f"blocks.0.attn.W_{x}"][0].T for x in "QKV"}
    linear |= {f"blocks.0.attn.{x.lower()}.bias": state[f"blocks.0.attn.b_{x}"].flatten() for x in "QKVO"}
    linear |= {"embed.weight": state["embed.W_E"], "pos_embed.weight": state["pos_embed.W_pos"]}
    linear["unembed.bias"] = state["unembed.b_U"]
    save_file({name: tensor.contiguous() for name, tensor in linear.items()}, tmp_path / "native")
    native = newer | {"architecture": "TransformerLensNative"}
    assert import_model(tmp_path / "native", json.dumps(native), {"name": "max-of-k"}).digest() == model.digest()
    linear["blocks.0.attn.extra.weight"] = torch.zeros(2, 2)
    save_file({name: tensor.contiguous() for name, tensor in linear.items()}, tmp_path / "extra")
    with pytest.raises(FormatError, match=r"blocks.0.attn.extra.weight"):
        import_model(tmp_path / "extra", json.dumps(native), {"name": "max-of-k"})


def test_npz_files_are_read(tmp_path: Path) -> None:
    state, config = recorded(RECORDED[0])
    save_file({name: t for name, t in state.items() if "." in name}, tmp_path / "state")
    np.savez(tmp_path / "state.npz", **{name: t.numpy() for name, t in state.items() if "." in name})
    assert import_model(tmp_path / "state.npz", config, None) == import_model(tmp_path / "state", config, None)
    (tmp_path / "other.npz").write_bytes(b"PK not a zip file")
    with pytest.raises(FormatError):
        import_model(tmp_path / "other.npz", config, None)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("face-llama", {"rope_scaling": {"factor": 2}}, "rope_scaling"),
        ("face-llama", {"model_type": "gemma"}, "model_type"),
        ("face-llama", {"sliding_window": 3}, "sliding_window"),
        ("face-llama", {"hidden_act": "gelu_fast"}, "hidden_act"),
        ("face-llama", {"layer_types": ["sliding_attention"]}, "layer_types"),
        ("face-llama", {"tie_word_embeddings": True}, "lm_head"),
        ("face-llama", {"surprise": 1}, "surprise"),
        ("face-qwen3", {"head_dim": 3}, "shape"),
        ("lens-rms-gated", {"rotary_base": 1000}, "rotary_"),
        ("lens-rms-gated", {"use_NTK_by_parts_rope": True}, "use_NTK_by_parts_rope"),
        ("lens-relu", {"positional_embedding_type": "shortformer"}, "positional_embedding_type"),
        ("lens-bidirectional", {"positional_embedding_type": "alibi"}, "another function"),
        ("lens-relu", {"parallel_attn_mlp": True}, "parallel_attn_mlp"),
        ("lens-ln-gelu", {"final_rms": True}, "final_rms"),
        ("lens3-relu", {"use_yarn_rope": True}, "use_yarn_rope"),
        ("lens3-relu", {"uses_rms_norm": True}, "uses_rms_norm"),
        ("lens3-rms-gated", {"rotary_scaling_factor": 2.0}, "rotary_scaling_factor"),
        ("native-relu", {"use_qk_norm": True}, "use_qk_norm"),
        ("native-relu", {"scale_embedding": True}, "scale_embedding"),
        ("native-rms-gated", {"rope_scaling": {"factor": 2}}, "rope_scaling"),
        ("native-relu", {"d_head": 3}, "shape"),
    ],
)
def test_what_has_another_meaning_is_refused(name: str, change: dict[str, object], message: str, tmp_path: Path) -> None:
    state, config = recorded(Path(__file__).parent / "recorded" / f"{name}.safetensors")
    save_file({key: t for key, t in state.items() if "." in key}, tmp_path / "state")
    with pytest.raises(FormatError, match=message):
        import_model(tmp_path / "state", json.dumps({**json.loads(config), **change}), None)


@pytest.mark.parametrize("name", ["blocks.0.attn.mask", "blocks.0.attn.IGNORE", "blocks.0.attn.rotary_cos", "blocks.9.ln1.w"])
def test_other_buffers_are_refused(name: str, tmp_path: Path) -> None:
    state, config = recorded(Path(__file__).parent / "recorded" / "lens-rms-gated.safetensors")
    state = {key: t for key, t in state.items() if "." in key}
    save_file(state | {name: torch.zeros(state.get(name, torch.zeros(3)).shape)}, tmp_path / "state")
    with pytest.raises(FormatError, match=name):
        import_model(tmp_path / "state", config, None)


@pytest.mark.parametrize("seed", range(ALL))
def test_the_forward_pass_agrees_with_an_independent_one(seed: int) -> None:
    model = draw_model(seed)
    tokens = np.random.default_rng(seed).integers(0, model.config.d_vocab, (5, model.config.n_ctx))
    ours = transformer_logits(model.config, load_weights(model, CPU), torch.from_numpy(tokens))
    assert torch.allclose(ours, torch_logits(vars(model.config), stored_weights(model), tokens), rtol=1e-9, atol=1e-9)
