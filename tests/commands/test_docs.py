"""What the README and docs tell a newcomer to do works, and what is generated in them is up to date."""

import importlib
import importlib.util
import re
import shlex
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ET
from contextlib import nullcontext
from pathlib import Path

import click
import numpy as np
import pytest
import rules_page
import torch

import certificates
import checker.reporting.cli
import prover.commands
from certificates import read_model, write_certificate, write_model
from certificates.automaton import read_automaton
from checker.decide import check_proof
from checker.registry import RULES
from prover.attention.sequence_problem import SequenceProblem
from prover.commands.explain import explained, legend
from prover.layouts import mapped, read_mapping
from prover.papers import cited
from prover.proving import prove
from prover.strategies import ATTENTION_STRATEGIES, FAMILIES
from prover.strategy import Strategy
from prover.studies.study_plan import read_plan

ROOT = Path(__file__).resolve().parents[2]
ALL_STRATEGIES = list(dict.fromkeys(strategy for family in FAMILIES.values() for strategy in family.values()))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "checker" / "verified" / "README.md"]
OWN, STRATEGY = ROOT / "docs" / "own-model-and-task.md", ROOT / "docs" / "own-strategy.md"


EXECUTED = {"checking.md": 1, "own-model-and-task.md": 2, "own-strategy.md": 1, "python.md": 1}
"""Blocks of Python by page; python.md and the notebook are those of test_python."""


def blocks(page: Path, language: str = "python") -> list[str]:
    """A page's code in a language."""
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


def test_every_block_of_code_is_tested_here() -> None:
    """But for commands, which test_examples types, and plain text."""
    found = {page.name: len(blocks(page)) for page in PAGES if blocks(page)}
    assert found == EXECUTED
    languages = {language for page in PAGES for language in re.findall(r"^```([a-z]+)$", page.read_text(), re.MULTILINE)}
    assert languages == {"python", "json", "toml", "text"}
    others = [page.name for page in PAGES if blocks(page, "json") or blocks(page, "toml")]
    assert others == ["own-model-and-task.md", "studies.md"]


def test_the_study_in_the_docs_is_one(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(blocks(ROOT / "docs" / "studies.md", "toml")[0])
    plan = read_plan(tmp_path / "study.toml")
    model = read_model(ROOT / "certificates" / "models" / "max-of-4.safetensors")
    planned = plan.strategies_for(model, SequenceProblem(model, torch.device("cpu")))
    assert len(plan.sources) == 151 and {strategy.name for strategy in planned} == set(plan.strategies)


def test_the_mapping_in_the_docs_is_one(tmp_path: Path) -> None:
    (text,) = blocks(OWN, "json")
    (tmp_path / "names.json").write_text(text)
    sizes = {"tok.weight": (7, 64), "pos.weight": (3, 64), "head.weight": (7, 64), "mask": (3, 3)}
    sizes |= {f"layers.{layer}.qkv.weight": (192, 64) for layer in range(2)}
    sizes |= {f"layers.{layer}.fc1.weight": (128, 64) for layer in range(2)}
    state = mapped(read_mapping(tmp_path / "names.json"), {name: torch.rand(size) for name, size in sizes.items()})
    assert state["blocks.1.attn.W_Q"].shape == (4, 64, 16) and state["blocks.1.mlp.W_in"].shape == (64, 128)


def test_the_task_in_the_docs_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = (part for part in blocks(OWN) if "automaton_from" in part)
    exec(compile(code, str(OWN), "exec"), {"__name__": "docs"})
    odd = read_automaton(tmp_path / "odd.json")
    assert odd.count() == 16**4 and odd.outputs_of(np.array([[1, 2, 3, 5], [1, 2, 3, 4]]))[:, 0].tolist() == [1, 0]


def test_addition_in_the_docs_has_all_sums(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = (part for part in blocks(OWN) if "import addition" in part)
    exec(compile(code, str(OWN), "exec"), {"__name__": "docs"})
    adds = read_automaton(tmp_path / "adds.json")
    assert adds.count() == 10**20 and adds.transitions.shape[2] == 10 and len(adds.order) == 34 and len(adds.reads) == 11


@pytest.mark.skipif(importlib.util.find_spec("ruff") is None, reason="ruff is not installed")
@pytest.mark.parametrize("check", [["check"], ["format", "--diff"]], ids=str)
def test_the_strategy_in_the_docs_is_written_as_those_of_the_prover(check: list[str]) -> None:
    (code,) = (part for part in blocks(STRATEGY) if "class Harmless" in part)
    command = [sys.executable, "-m", "ruff", *check, "--stdin-filename", "prover/strategies/harmless.py", "-"]
    done = subprocess.run(command, input=code, cwd=ROOT, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stdout


def test_the_strategy_in_the_docs_proves_something() -> None:
    (code,) = (part for part in blocks(STRATEGY) if "class Harmless" in part)
    namespace: dict[str, type[Strategy]] = {"__name__": "docs"}  # type: ignore[dict-item]
    exec(compile(code, str(STRATEGY), "exec"), namespace)
    model = read_model(Path(certificates.__file__).parent / "models" / "max-of-4.safetensors")
    strategy = namespace["Harmless"]
    assert strategy.vacuous and set(strategy.rules) <= set(RULES)
    certificate, evidence = prove(SequenceProblem(model, torch.device("cpu")), strategy())
    assert check_proof(certificate, model).result.correct == evidence.correct == evidence.cells.sum()
    assert evidence.correct > 0.1 * 64**4


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for file in linked_from(page):
        assert file.exists(), file


def test_what_is_generated_is_up_to_date() -> None:
    make_pages = importlib.import_module("make_pages")
    pages = make_pages.pages()
    for path, text in pages.items():
        assert path.read_text() == text, f"{path.name}: run docs/make_pages.py"
    assert set((ROOT / "docs" / "strategies").iterdir()) <= set(pages), "a page of a strategy that there is not"


def test_every_rule_has_one_typeset_theorem() -> None:
    assert list(tomllib.loads(rules_page.THEOREMS.read_text())) == sorted(RULES)


@pytest.mark.skipif(importlib.util.find_spec("latex2mathml") is None, reason="latex2mathml is not installed")
@pytest.mark.parametrize("rule", RULES)
def test_theorems_can_be_typeset(rule: str) -> None:
    """What is between dollars becomes MathML, of commands that are all known; none is left over as text."""
    converter = importlib.import_module("latex2mathml.converter")
    text = tomllib.loads(rules_page.THEOREMS.read_text())[rule]
    displayed, rest = re.findall(r"^\$\$(.*?)\$\$$", text, re.MULTILINE), re.sub(r"\$\$.*?\$\$", "", text)
    formulas = [*displayed, *re.findall(r"\$([^$\n]*(?:\n[^$\n]+)?)\$", rest)]
    assert displayed and text.count("$") == 4 * len(displayed) + 2 * (len(formulas) - len(displayed))
    for formula in formulas:
        ET.fromstring(converter.convert(formula))
        assert "\\" not in re.sub(r"<.*?>", "", converter.convert(formula)), formula
        assert formula.count("{") == formula.count("}") and not re.search(r"\\[^a-zA-Z]", formula), formula


def test_every_page_is_in_the_menu_and_links_lead_to_it() -> None:
    """From the README on. Pages of strategies come into the menu by docs/site_files.py."""
    menu = (ROOT / "mkdocs.yml").read_text()
    found, to_read = set[Path](), [ROOT / "README.md"]
    while to_read:
        page = to_read.pop()
        found.add(page)
        to_read += [one for one in linked_from(page) if one.suffix == ".md" and one not in found]
    for page in (ROOT / "docs").rglob("*.md"):
        assert page in found or page.name == "index.md", f"no link leads to {page.name}"
        assert page.name in menu or page.parent.name == "strategies", page.name


def linked_from(page: Path) -> list[Path]:
    """Files that a page links to."""
    prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", prose)
    return [(page.parent / target).resolve() for target in targets if not target.startswith("http")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_exist_and_have_the_options_that_pages_use(page: Path) -> None:
    for line in re.findall(r"^ {4,}((?:prover|checker) .*)$", page.read_text(), re.MULTILINE):
        tool, *words = shlex.split(line, comments=True)
        command: click.Command = prover.commands.cli if tool == "prover" else checker.reporting.cli.cli
        while isinstance(command, click.Group):
            command = command.commands[words.pop(0)]
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        used = {word.partition("=")[0] for word in words if re.fullmatch(r"--?[a-z][a-z-]*(=.*)?", word)}
        assert used <= known, line


@pytest.mark.parametrize("strategy", ALL_STRATEGIES, ids=lambda strategy: f"{strategy.__module__}.{strategy.name}")
def test_strategies_are_explained(strategy: type[Strategy]) -> None:
    lines = list(explained(strategy, "models"))
    assert strategy.rules and set(strategy.rules) <= set(RULES)
    assert strategy.cost and legend(strategy.cost) and strategy.vacuous.endswith(".") and strategy.origin.endswith(".")
    assert set(re.findall(r"\w+ et al\. \d+", strategy.origin)) == set(cited(strategy.origin)), "a paper that is not in PAPERS"
    for words in (strategy.origin, strategy.vacuous, *(paper.title for paper in cited(strategy.origin).values())):
        assert words in " ".join("\n".join(lines).split())
    for switches in re.findall(r"`((?:--set \S+ ?)+)`", strategy.vacuous):
        settings = dict(one.split("=") for one in switches.replace("--set", "").split())
        assert strategy.with_settings(settings) != strategy()
    for name in re.findall(r"`([a-z][a-z-]*)`", strategy.vacuous):
        assert any(name in family for family in FAMILIES.values()), name
    for one in strategy.switches():
        assert one.metadata["meaning"] and any(line.startswith(f"    {one.name}={one.default}") for line in lines)


def test_the_check_in_the_docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = blocks(ROOT / "docs" / "checking.md")
    model = read_model(ROOT / "certificates" / "models" / "max-of-4.safetensors")
    write_model(tmp_path / "model.safetensors", model)
    for strategy, fine in (("interpretation", False), ("classes", True)):
        certificate, _ = prove(SequenceProblem(model, torch.device("cpu")), ATTENTION_STRATEGIES[strategy]())
        write_certificate(tmp_path / "proof.cert", certificate)
        with nullcontext() if fine else pytest.raises(SystemExit, match="1999/2000"):
            exec(compile(code, "checking.md", "exec"), {"__name__": "docs"})
