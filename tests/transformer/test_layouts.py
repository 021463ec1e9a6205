"""State dicts of other layouts and in other files: each model is compared with an independent forward pass."""

import importlib
import json
import math
import sys
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

import prover.commands
from certificates import FormatError, Model, read_model
from prover.comparing import greatest_difference
from prover.importing import import_model
from prover.layouts import mapped, read_mapping
from prover.state_files import read_checkpoint
from prover.transformer.forward import transformer_logits
from prover.weights import load_weights, raw_tensor

CPU = torch.device("cpu")
VOCAB, CONTEXT, WIDTH, HEADS, HEAD, NEURONS = 7, 3, 8, 2, 4, 12


def ours(model: Model, tokens: Tensor) -> Tensor:
    return transformer_logits(model.config, load_weights(model, CPU), tokens)


def all_inputs() -> Tensor:
    return torch.cartesian_prod(*[torch.arange(VOCAB)] * CONTEXT)


def close(left: Tensor, right: Tensor) -> bool:
    return torch.allclose(left, right.double(), rtol=0, atol=1e-5)


# --- the checkpoints of progress measures -------------------------------------------------------------------------------------


def grokking_state(layers: int = 1) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(3)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator) / 2

    state = {"embed.W_E": draw(WIDTH, VOCAB), "pos_embed.W_pos": draw(CONTEXT, WIDTH), "unembed.W_U": draw(WIDTH, VOCAB)}
    for layer in range(layers):
        block = f"blocks.{layer}."
        state |= {f"{block}attn.W_{x}": draw(HEADS, HEAD, WIDTH) for x in "KQV"}
        state |= {f"{block}attn.W_O": draw(WIDTH, HEADS * HEAD), f"{block}attn.mask": torch.ones(CONTEXT, CONTEXT).tril()}
        state |= {f"{block}mlp.W_in": draw(NEURONS, WIDTH), f"{block}mlp.b_in": draw(NEURONS)}
        state |= {f"{block}mlp.W_out": draw(WIDTH, NEURONS), f"{block}mlp.b_out": draw(WIDTH)}
    return state


def grokking_logits(state: dict[str, Tensor], tokens: Tensor, act: Callable[[Tensor], Tensor] = torch.relu) -> Tensor:
    """As the paper's code does it, head by head and position by position."""
    state = {name: tensor.double() for name, tensor in state.items()}
    x = state["embed.W_E"].T[tokens] + state["pos_embed.W_pos"]
    for layer in range(sum(name.endswith("W_K") for name in state)):
        own = {name.removeprefix(f"blocks.{layer}."): w for name, w in state.items()}
        total = torch.zeros_like(x)
        for head in range(HEADS):
            query, key, value = (x @ own[f"attn.W_{letter}"][head].T for letter in "QKV")
            for position in range(CONTEXT):
                scores = (query[:, position, None] * key[:, : position + 1]).sum(-1) / math.sqrt(HEAD)
                mixed = (scores.softmax(-1)[..., None] * value[:, : position + 1]).sum(1)
                total[:, position] += mixed @ own["attn.W_O"][:, head * HEAD : (head + 1) * HEAD].T
        x = x + total
        x = x + act(x @ own["mlp.W_in"].T + own["mlp.b_in"]) @ own["mlp.W_out"].T + own["mlp.b_out"]
    return x @ state["unembed.W_U"]


@pytest.mark.parametrize("layers", [1, 2])
def test_checkpoints_of_progress_measures(layers: int, tmp_path: Path) -> None:
    state = grokking_state(layers)
    torch.save(OrderedDict(state), tmp_path / "state.pth")
    model = import_model(tmp_path / "state.pth", None, None)
    assert (model.config.n_layers, model.config.n_heads, model.config.act_fn) == (layers, HEADS, "relu")
    assert close(ours(model, all_inputs()), grokking_logits(state, all_inputs()))


def test_all_checkpoints_of_a_run_in_one_file(tmp_path: Path) -> None:
    """As their full_run_data.pth: a list of state dicts, the configuration beside it, losses."""
    first, last = grokking_state(), {name: tensor / 2 for name, tensor in grokking_state().items()}
    last["blocks.0.attn.mask"] *= 2
    config = {"num_layers": 1, "num_heads": HEADS, "d_model": WIDTH, "act_type": "GeLU", "p": VOCAB - 1, "lr": 1e-3}
    run = {"state_dicts": [first, last], "epochs": [0, 100], "train_losses": np.zeros(2).tolist(), "config": config}
    torch.save(run, tmp_path / "run.pth")
    for which, state in ((-1, last), (0, first)):
        model = import_model(tmp_path / "run.pth", None, None, which=which)
        assert close(ours(model, all_inputs()), grokking_logits(state, all_inputs(), torch.nn.functional.gelu))
    with pytest.raises(FormatError, match="holds 2 state dicts: there is no number 2"):
        read_checkpoint(tmp_path / "run.pth", 2)


@pytest.mark.parametrize(
    ("change", "config", "message"),
    [
        ({}, '{"act_type": "SiLU"}', "act_type='SiLU' is not supported"),
        ({}, '{"num_heads": 3}', "num_heads=3, but the layout and its tensors say 2"),
        ({}, '{"normalization_type": "LN"}', "normalization_type='LN', but the layout"),
        ({}, '{"n_layers": 5}', "n_layers=5, but the layout"),
        ({}, '{"use_attn_scale": false}', "'use_attn_scale' is unknown in this layout"),
        ({}, '{"act_type": ["ReLU"]}', "is not supported"),
        ({"blocks.x.attn.W_K": torch.zeros(3, 3)}, "{}", "blocks.x.attn.W_K"),
        ({"blocks.0.attn.W_O": torch.zeros(WIDTH, 7)}, "{}", "7 columns: not a multiple of 2 heads"),
        ({"blocks.0.mlp.W_in": torch.zeros(3)}, "{}", "has 1 axes, in the layout of progress measures it has 2"),
        ({"blocks.0.ln1.w_ln": torch.ones(WIDTH)}, "{}", r"blocks.0.ln1.w_ln"),
        ({"blocks.0.attn.mask": torch.ones(CONTEXT, CONTEXT)}, "{}", "is not the standard one"),
    ],
)
def test_what_is_not_in_that_layout(change: dict[str, Tensor], config: str, message: str, tmp_path: Path) -> None:
    torch.save(grokking_state() | change, tmp_path / "state")
    with pytest.raises(FormatError, match=message):
        import_model(tmp_path / "state", config, None)


# --- files --------------------------------------------------------------------------------------------------------------------


class Config:
    """A class that a file must not bring to life."""

    def __init__(self) -> None:
        self.d_model = 3


def test_parts_of_that_layout_that_are_missing(tmp_path: Path) -> None:
    for name in ("blocks.0.attn.W_K", "blocks.0.mlp.W_in", "pos_embed.W_pos"):
        torch.save({key: tensor for key, tensor in grokking_state().items() if key != name}, tmp_path / "state")
        with pytest.raises(FormatError, match=f"there is no tensor '{name}'"):
            import_model(tmp_path / "state", None, None)


def test_configurations_that_contradict_each_other(tmp_path: Path) -> None:
    torch.save({"model": grokking_state(), "config": {"act_type": "GeLU"}}, tmp_path / "run.pth")
    assert import_model(tmp_path / "run.pth", "{}", None).config.act_fn == "gelu", "what the file says counts"
    with pytest.raises(FormatError, match="--config says act_type='ReLU', the file itself act_type='GeLU'"):
        import_model(tmp_path / "run.pth", '{"act_type": "ReLU"}', None)
    with pytest.raises(FormatError, match="no list of state dicts"):
        import_model(tmp_path / "run.pth", None, None, which=3)
    np.savez(tmp_path / "empty.npz")
    (tmp_path / "none.npz").write_bytes(b"")
    with pytest.raises(FormatError, match="cannot read"):
        read_checkpoint(tmp_path / "none.npz")


def test_files_with_a_configuration_beside_the_tensors(tmp_path: Path) -> None:
    """As TransformerLens' grokking demo saves it, with the configuration as a dictionary."""
    path = sorted((Path(__file__).parent / "recorded").glob("lens-relu.safetensors"))[0]
    from safetensors import safe_open  # noqa: PLC0415 - metadata
    from safetensors.torch import load_file  # noqa: PLC0415

    state = load_file(path)
    tokens, logits = state.pop("tokens"), state.pop("logits")
    with safe_open(path, "pt") as file:
        config = json.loads(file.metadata()["config"])
    torch.save({"model": state, "config": config, "test_losses": [1.0]}, tmp_path / "run.pth")
    model = import_model(tmp_path / "run.pth", None, None)
    assert close(ours(model, tokens), logits)
    torch.save(config, tmp_path / "cfg.pt")
    torch.save({"state_dict": state}, tmp_path / "state.pt")
    assert import_model(tmp_path / "state.pt", str(tmp_path / "cfg.pt"), None).digest() == model.digest()
    with pytest.raises(FormatError, match="holds no configuration: name one with --config"):
        import_model(tmp_path / "state.pt", None, None)


def test_classes_are_not_unpickled(tmp_path: Path) -> None:
    torch.save({"model": grokking_state(), "config": Config()}, tmp_path / "run.pth")
    with pytest.raises(FormatError, match=r"class \S*test_layouts.Config, .* run any code.*json.dump\(model.cfg.to_dict"):
        read_checkpoint(tmp_path / "run.pth")
    with pytest.raises(FormatError, match=r"holds no configuration|class"):
        torch.save([1, 2], tmp_path / "list.pt")
        import_model(tmp_path / "run.pth", str(tmp_path / "list.pt"), None)


@pytest.mark.parametrize("content", [{"model": 3}, [1], {}, {"losses": [1.0]}])
def test_files_without_a_state_dict(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "file.pt")
    with pytest.raises(FormatError, match="does not hold a state dict"):
        read_checkpoint(tmp_path / "file.pt")


# --- anybody's code -----------------------------------------------------------------------------------------------------------


class Plain(torch.nn.Module):
    """A transformer as people write it: a fused projection for all heads, torch.nn.Linear, LayerNorm first."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.tok, self.pos = torch.nn.Embedding(VOCAB, WIDTH), torch.nn.Embedding(CONTEXT, WIDTH)
        names = ("norm1", "qkv", "proj", "norm2", "fc1", "fc2")
        sizes = (None, (WIDTH, 3 * WIDTH), (WIDTH, WIDTH), None, (WIDTH, NEURONS), (NEURONS, WIDTH))
        self.layers = torch.nn.ModuleList(
            torch.nn.ModuleDict(
                {n: torch.nn.Linear(*s) if s else torch.nn.LayerNorm(WIDTH) for n, s in zip(names, sizes, strict=True)}
            )
            for _ in range(2)
        )
        self.final, self.head = torch.nn.LayerNorm(WIDTH), torch.nn.Linear(WIDTH, VOCAB, bias=False)
        self.register_buffer("mask", torch.ones(CONTEXT, CONTEXT).tril())

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.tok(tokens) + self.pos.weight
        for layer in self.layers:
            parts = layer["qkv"](layer["norm1"](x)).chunk(3, -1)
            query, key, value = (p.unflatten(-1, (HEADS, HEAD)).transpose(1, 2) for p in parts)
            mixed = torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
            x = x + layer["proj"](mixed.transpose(1, 2).flatten(2))
            x = x + layer["fc2"](torch.nn.functional.gelu(layer["fc1"](layer["norm2"](x))))
        return self.head(self.final(x))


CONFIG = {"n_layers": 2, "n_heads": HEADS, "d_model": WIDTH, "d_head": HEAD, "d_mlp": NEURONS, "n_ctx": CONTEXT}
CONFIG |= {"d_vocab": VOCAB, "act_fn": "gelu", "normalization_type": "LN", "eps": 1e-5}


def plain_mapping() -> dict[str, Any]:
    mapping: dict[str, Any] = {"embed.W_E": "tok.weight", "pos_embed.W_pos": "pos.weight", "unused": ["mask"]}
    mapping |= {"unembed.W_U": {"from": "head.weight", "steps": ["transpose"]}}
    mapping |= {"ln_final.w": "final.weight", "ln_final.b": "final.bias"}
    block, theirs = "blocks.{layer}.", "layers.{layer}."
    for number, letter in enumerate("QKV"):
        rows = {"rows": [number * WIDTH, (number + 1) * WIDTH]}
        matrix = [rows, {"reshape": [HEADS, HEAD, WIDTH]}, {"permute": [0, 2, 1]}]
        mapping[f"{block}attn.W_{letter}"] = {"from": f"{theirs}qkv.weight", "steps": matrix}
        mapping[f"{block}attn.b_{letter}"] = {"from": f"{theirs}qkv.bias", "steps": [rows, {"reshape": [HEADS, HEAD]}]}
    output = ["transpose", {"reshape": [HEADS, HEAD, WIDTH]}]
    mapping |= {f"{block}attn.W_O": {"from": f"{theirs}proj.weight", "steps": output}, f"{block}attn.b_O": f"{theirs}proj.bias"}
    for ours_, name in (("in", "fc1"), ("out", "fc2")):
        mapping[f"{block}mlp.W_{ours_}"] = {"from": f"{theirs}{name}.weight", "steps": ["transpose"]}
        mapping[f"{block}mlp.b_{ours_}"] = f"{theirs}{name}.bias"
    for number in "12":
        mapping |= {f"{block}ln{number}.{x}": f"{theirs}norm{number}.{y}" for x, y in (("w", "weight"), ("b", "bias"))}
    return mapping


def import_command(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(prover.commands.cli, ["import", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def test_a_module_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the command: tensors by a mapping, and the module itself as the judge."""
    plain = Plain()
    torch.save(plain.state_dict(), tmp_path / "state.pt")
    (tmp_path / "names.json").write_text(json.dumps(plain_mapping()))
    source = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\nfrom test_layouts import Plain\n"
    (tmp_path / "judge.py").write_text(
        f"{source}logits = Plain()\n"
        "def wrong(tokens):\n    found = logits(tokens)\n    found[5, -1, 2] += 0.1\n    return found\n"
    )
    monkeypatch.chdir(tmp_path)
    given = ("state.pt", "--config", json.dumps(CONFIG), "--mapping", "names.json", "--task", "none", "-o", "model.safetensors")
    code, out = import_command(*given, "--against", "judge:logits")
    assert code == 0 and "agrees with judge:logits on random inputs" in out
    assert close(ours(read_model(tmp_path / "model.safetensors"), all_inputs()), plain(all_inputs()).detach())
    with pytest.raises(FormatError, match=r"does something else than its source: logits differ by .*, most on input \d,\d,\d"):
        import_command(*given, "--against", "judge:wrong")
    for name in ("judge:nothing", "nobody:logits", "judge", "judge:__name__"):
        with pytest.raises(FormatError, match=r"--against|no function"):
            import_command(*given, "--against", name)
    importlib.invalidate_caches()
    sys.modules.pop("judge")


def test_functions_that_are_almost_the_same(tmp_path: Path) -> None:
    """Another GELU, or another epsilon, is another function, also where some output is never meant to win."""
    torch.save(grokking_state(), tmp_path / "state")
    model = import_model(tmp_path / "state", '{"act_type": "GeLU"}', None)
    masked = torch.zeros(VOCAB).index_fill(0, torch.tensor(VOCAB - 1), -1e9)

    def theirs(approximate: str) -> Callable[[Tensor], Tensor]:
        act = partial(torch.nn.functional.gelu, approximate=approximate)
        return lambda tokens: (grokking_logits(grokking_state(), tokens, act) + masked).float()

    weights = {**model.tensors, "unembed.b_U": raw_tensor(masked)}
    with_mask = Model(model.config, weights, None)
    assert greatest_difference(with_mask, theirs("none")) < 1e-5
    with pytest.raises(FormatError, match="does something else"):
        greatest_difference(with_mask, theirs("tanh"))
    with pytest.raises(FormatError, match="does something else"):
        greatest_difference(with_mask, lambda tokens: torch.randn(len(tokens), CONTEXT, VOCAB) + masked)


def test_shapes_of_the_source(tmp_path: Path) -> None:
    torch.save(grokking_state(), tmp_path / "state")
    model = import_model(tmp_path / "state", None, None)
    assert greatest_difference(model, lambda tokens: ours(model, tokens)[:, -1]) == 0
    with pytest.raises(FormatError, match="the source gives logits of shape"):
        greatest_difference(model, lambda tokens: ours(model, tokens)[..., :3])
    with pytest.raises(FormatError, match="does something else"):
        greatest_difference(model, lambda tokens: ours(model, tokens) * math.nan)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"embed.W_E": "tokens.weight"}, "from 'tokens.weight', which is not there; there are final.bias"),
        ({"unused": []}, "does not use: mask; list them"),
        ({"embed.W_E": 3}, "neither a name nor"),
        ({"embed.W_E": {"from": "tok.weight", "step": []}}, "neither a name nor"),
        ({"unused": 5}, '"unused" is a list of names'),
        ({"ln_final.w": "layers.{layer}.norm1.weight"}, "of every layer: name {layer} on both sides"),
        ({"blocks.1.ln1.w": "layers.1.norm1.weight"}, "says twice what blocks.1.ln1.w is"),
        ({"embed.W_E": {"from": "tok.weight", "steps": [{"rows": [0, 2], "permute": [1, 0]}]}}, "a step does one thing"),
        ({"embed.W_E": {"from": "tok.weight", "steps": ["flip"]}}, "there are transpose, rows, reshape, permute"),
        (
            {"embed.W_E": {"from": "tok.weight", "steps": [{"rows": [0, 99]}]}},
            r"\[0, 99\]\} does not apply to shape",
        ),
        ({"embed.W_E": {"from": "tok.weight", "steps": [{"reshape": [5, 5]}]}}, "does not apply to shape"),
        ({"embed.W_E": {"from": "tok.weight", "steps": [{"permute": [0, 0]}]}}, "does not apply to shape"),
        ({"ln_final.b": {"from": "final.bias", "steps": ["transpose"]}}, "does not apply to shape"),
    ],
)
def test_mappings_that_are_wrong(change: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        mapped(plain_mapping() | change, Plain().state_dict())


def test_files_that_are_no_mapping(tmp_path: Path) -> None:
    for text in ("[", "[]", '{"a": "b", "a": "c"}'):
        (tmp_path / "names.json").write_text(text)
        with pytest.raises(FormatError, match="mapping"):
            read_mapping(tmp_path / "names.json")
