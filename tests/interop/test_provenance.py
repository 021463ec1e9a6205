"""What an import records: of states of the libraries themselves, as recorded, and processed as TransformerLens does it."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from certificates import read_model
from prover.commands import cli

RECORDED = Path(__file__).parents[1] / "transformer" / "recorded"
LAYOUTS = {
    "face-qwen3": "Hugging Face",
    "lens-ln-gelu": "TransformerLens",
    "lens3-relu": "TransformerLens",
    "native-relu": "TransformerLens 4 (TransformerBridge)",
}


def recorded(name: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    with safe_open(RECORDED / f"{name}.safetensors", "pt") as file:
        config = json.loads(file.metadata()["config"])
    return {key: t for key, t in load_file(RECORDED / f"{name}.safetensors").items() if "." in key}, config


def imported(state: dict[str, torch.Tensor], config: dict[str, Any], folder: Path) -> tuple[dict[str, Any], str]:
    """What is written beside the model, and what is printed."""
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, folder / "state.safetensors")
    command = ["import", str(folder / "state.safetensors"), "--config", json.dumps(config), "--task", "none"]
    done = CliRunner().invoke(cli, [*command, "-o", str(folder / "model.safetensors")])
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads((folder / "model.import.json").read_text())
    assert found["sha256"] == hashlib.sha256((folder / "state.safetensors").read_bytes()).hexdigest()
    assert found["model_digest"] == read_model(folder / "model.safetensors").digest()
    return found, done.output


def names(found: dict[str, Any]) -> set[str]:
    return {text.partition(":")[0] for text in found["processed"]}


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_layout_and_what_the_configuration_says(name: str, tmp_path: Path) -> None:
    found, out = imported(*recorded(name), tmp_path)
    assert found["layout"] == LAYOUTS[name] and f"in the names of {LAYOUTS[name]}" in out
    assert found["source"] == "state.safetensors" and not found["processed"] and "processed before" not in out
    assert ("model_type" in found["said"]) == name.startswith("face") or "normalization_type" in found["said"]


@pytest.mark.parametrize("name", ["lens-lnpre-attention", "lens-rmspre-adjacent", "lens3-lnpre-attention", "native-unscaled"])
def test_norms_whose_weights_were_folded(name: str, tmp_path: Path) -> None:
    found, out = imported(*recorded(name), tmp_path)
    assert names(found) == {"fold_ln"} and "processed before, fold_ln" in out


def processed(state: dict[str, torch.Tensor], what: str) -> dict[str, torch.Tensor]:
    """The formulas of TransformerLens' process_weights_, in float64, stored in float32."""
    found = {name: tensor.double() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    for name, tensor in found.items():
        last = name.rpartition(".")[2]
        if what == "center_writing_weights" and last in ("W_E", "W_pos", "W_O", "W_out", "b_O", "b_out"):
            found[name] = tensor - tensor.mean(-1, keepdim=True)
        if what == "center_unembed" and last in ("W_U", "b_U"):
            found[name] = tensor - tensor.mean(-1, keepdim=True)
        if what == "fold_value_biases" and last == "b_O":
            owner = name.removesuffix("b_O")
            found[name] = tensor + (found[f"{owner}b_V"][:, :, None] * found[f"{owner}W_O"]).sum((0, 1))
    if what == "fold_value_biases":
        found |= {name: torch.zeros_like(tensor) for name, tensor in found.items() if name.endswith(".b_V")}
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in found.items()}


@pytest.mark.parametrize("name", ["lens-relu", "lens-ln-gelu", "lens3-lnpre-attention"])
@pytest.mark.parametrize("what", ["center_writing_weights", "center_unembed", "fold_value_biases"])
def test_what_is_seen_in_the_weights(name: str, what: str, tmp_path: Path) -> None:
    state, config = recorded(name)
    assert names(imported(processed(state, what), config, tmp_path)[0]) - {"fold_ln"} == {what}
