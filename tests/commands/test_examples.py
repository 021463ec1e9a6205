"""What pages tell to type is typed: commands of the README and docs, page by page, in a folder with the files they speak of.

What takes long is done with fewer steps, and what came of it is replaced by a shipped model that was made by the same command;
what cannot be done here is listed, with the reason. `test_docs` sees that all of them exist and have their options.
"""

import json
import re
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

import checker.reporting.cli
import prover.commands
from certificates import Model, write_model
from certificates.automaton import Automaton, read_automaton
from prover.training.own_task import OwnTaskRecipe, train_own_task
from prover.weights import load_weights, raw_tensor

ROOT = Path(__file__).resolve().parents[2]
MODELS, TRANSFORMERS = ROOT / "certificates" / "models", ROOT / "certificates" / "transformers"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "checker" / "verified" / "README.md"]

NOT_RUN: Mapping[str, str] = {
    "make ": "makes an environment, or takes longer than all tests",
    ". .venv": "for a shell: commands are called without it here",
    "pip install": "needs the network",
    "dask ": "needs a cluster; tests/studies starts a small one",
    "eval ": "for a shell; test_reference does it",
    "_PROVER_COMPLETE=fish": "needs fish",
    "checker/verified/build/": "needs what Coq extracts (make verified), where tests/verified runs it",
    "checker verify proof.cert --model model.safetensors --verified": "the same",
    "checker refute adder.safetensors 0,3,1,..": "stands for an input that an attack finds",
    "prover prove MODEL --strategy dictionary": "stands for a model and a folder of one's own",
    "prover study": "hours, or a cluster; tests/studies runs small ones",
    "prover search": "an hour; tests/layers runs small ones",
    "prover frontier": "minutes; tests/studies runs small ones",
    "prover interpret": "a minute; tests/studies runs a small one",
    "prover train group-composition": "a minute; tests/studies trains smaller ones",
    "prover train addition": "minutes; tests/training trains smaller ones",
    "prover train modular-addition": "minutes; tests/studies trains smaller ones",
    "prover train sorted-lists": "a quarter of an hour; tests/transformer trains smaller ones",
    "prover prove sorter.safetensors": "minutes; tests/transformer proves smaller ones",
    "prover finetune": "a minute or more, however few the steps; tests/training moves smaller models",
}
"""Beginnings of lines that are not run, and why."""
SHORTER: Mapping[str, str] = {
    "prover train max-of-k": "--steps 2",
    "prover train own-task": "--steps 2",
    "prover attack": "--tries 500",
}
"""Beginnings of lines, and what is written behind them so that they take seconds."""
MADE: Mapping[str, Path] = {
    "prover train max-of-k": MODELS / "max-of-4-seed123.safetensors",
}
"""Of those, what stands for the model that the whole line makes."""


def lines_of(page: Path) -> list[str]:
    """The commands of a page."""
    prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    tools = r"(?:prover|checker|make|pip|dask|eval|\.) |_PROVER_|checker/verified/build/"
    return re.findall(rf"^ {{4}}((?:{tools}).*)$", prose, re.MULTILINE)


def beginning(line: str, known: Mapping[str, object]) -> str | None:
    return next((one for one in known if line.startswith(one)), None)


def typed(line: str) -> None:
    """Do what a line says; fewer steps where it would take long."""
    shorter = beginning(line, SHORTER)
    words = shlex.split(line, comments=True) + (SHORTER[shorter].split() if shorter else [])
    target = None
    if ">" in words:
        words, target = words[: words.index(">")], Path(words[-1])
    tool = {"prover": prover.commands.cli, "checker": checker.reporting.cli.cli}[words[0]]
    done = CliRunner().invoke(tool, words[1:])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    if target is not None:
        target.write_text(done.stdout)
        assert json.loads(done.stdout)["accepted"]
    made = beginning(line, MADE)
    if made is not None:
        shutil.copy(MADE[made], words[words.index("-o") + 1])


def code_of(page: str, about: str) -> str:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)
    return next(block for block in blocks if about in block)


def always_one(automaton: Automaton) -> Model:
    """A small transformer that answers 1, whatever the input."""
    recipe = OwnTaskRecipe(heads=1, d_model=8, d_head=4, d_mlp=8, steps=1)
    model = train_own_task(recipe, automaton, torch.device("cpu"))
    bias = torch.zeros(model.config.d_vocab_out)
    bias[1] = 1e3
    return Model(model.config, {**model.tensors, "unembed.b_U": raw_tensor(bias)}, model.task)


def provide(page: Path) -> None:
    """The files that a page speaks of but does not make, in the working directory."""
    for name in ("certificates", "docs"):
        Path(name).symlink_to(ROOT / name)
    for about in ("automaton_from", "import addition"):
        exec(compile(code_of("own-model-and-task.md", about), "own-model-and-task.md", "exec"), {"__name__": "docs"})
    odd = read_automaton(Path("odd.json"))
    shutil.copy(MODELS / "max-of-4-seed123.safetensors", "model.safetensors")
    shutil.copy(TRANSFORMERS / "addition-10.safetensors", "adder.safetensors")
    shutil.copy(TRANSFORMERS / "addition-10.json", "adds.json")
    if page.name == "own-model-and-task.md":
        model = always_one(odd)
        state = {name: tensor.float() for name, tensor in load_weights(model, torch.device("cpu")).items()}
        torch.save(state, "state.pt")
        Path("config.json").write_text(json.dumps({**vars(model.config), "architecture": "transformer"}))
        Path("names.json").write_text(json.dumps({name: name for name in state}))
        Path("my_model.py").write_text(
            "import torch\nfrom pathlib import Path\nfrom prover.importing import import_model\n"
            "from prover.transformer.forward import transformer_logits\nfrom prover.weights import load_weights\n"
            "model = import_model(Path('state.pt'), 'config.json', None)\n"
            "weights = load_weights(model, torch.device('cpu'))\n\n\n"
            "def logits(tokens):\n    return transformer_logits(model.config, weights, tokens)\n"
        )
    elif page.name == "checking.md":
        typed("prover prove model.safetensors --strategy classes -o proof.cert")
        for shard in ("2/3", "3/3"):
            typed(f"checker verify proof.cert --model model.safetensors --shard {shard} -o shard-{shard[0]}.json")


@pytest.mark.parametrize("page", [page for page in PAGES if lines_of(page)], ids=lambda page: page.name)
def test_what_pages_tell_to_type(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    elsewhere = lines_of(PAGES[0]) if page != PAGES[0] else []
    lines = [line for line in lines_of(page) if beginning(line, NOT_RUN) is None and line not in elsewhere]
    if lines:
        provide(page)
    for line in lines:
        if line.startswith("checker refute model.safetensors"):
            write_model(Path("model.safetensors"), always_one(read_automaton(Path("odd.json"))))
        typed(line)
        if line.startswith("checker refute model.safetensors"):
            shutil.copy(MODELS / "max-of-4-seed123.safetensors", "model.safetensors")


def test_lines_that_are_not_run_or_shorter_are_there() -> None:
    """No reason is left over from a line that is gone."""
    every = [line for page in PAGES for line in lines_of(page)]
    for known in (NOT_RUN, SHORTER, MADE):
        assert all(any(line.startswith(one) for line in every) for one in known), known


def test_no_line_trains_as_long_as_it_says() -> None:
    for page in PAGES:
        for line in lines_of(page):
            assert not line.startswith("prover train") or beginning(line, {**NOT_RUN, **SHORTER}), line


def test_what_make_is_told_to_make_is_in_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z0-9]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for line in (line for page in PAGES for line in lines_of(page) if line.startswith("make ")):
        assert shlex.split(line, comments=True)[1] in targets, line
