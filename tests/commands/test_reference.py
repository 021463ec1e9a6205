"""The reference of commands and of JSON says what is there; and the shell completes what it says."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from json_tables import WRITTEN

import checker.reporting.cli
import prover.commands
from certificates.automaton import WITH_READS, read_automaton
from checker import verify
from checker.reporting.outcome import Verdict

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "certificates" / "models" / "max-of-4.safetensors"
TRANSFORMERS = ROOT / "certificates" / "transformers"
JSON_TYPES = {
    "integer": int,
    "text": str,
    "truth": bool,
    "number": float,
    "null": type(None),
    "list": list,
    "object": dict,
    "[": dict,
    "any": object,
}


def documented(title: str) -> dict[str, str]:
    """The keys that a section of the page has, and their types."""
    sections = re.split(r"^##+ (.*)$", (ROOT / "docs" / "json.md").read_text(), flags=re.MULTILINE)
    section = sections[sections.index(title) + 1]
    return dict(re.findall(r"^\| `([^`]+)` \| ([^|]*) \|", section, re.MULTILINE))


def assert_as_documented(found: Mapping[str, Any], keys: Mapping[str, str]) -> None:
    assert set(found) == set(keys)
    for key, value in found.items():
        parts = keys[key].replace("true or false", "truth").split(" or ")
        kinds = tuple(kind for name, kind in JSON_TYPES.items() for part in parts if part.startswith(name))
        assert isinstance(value, kinds), (key, value, keys[key])


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate and results.json."""
    folder = tmp_path_factory.mktemp("demo")
    done = CliRunner().invoke(prover.commands.cli, ["demo", str(MODEL), "--strategy", "pessimized", "-o", str(folder)])
    assert done.exit_code == 0, done.output
    return folder


def test_verdicts_have_the_documented_keys(demo: Path) -> None:
    keys = documented("Verdict") | dict.fromkeys(("correct_text", "total_text"), "text or null")
    for certificate in ("pessimized.cert", "none.cert"):
        command = ["verify", str(demo / certificate), "--model", str(MODEL), "--json"]
        printed = CliRunner().invoke(checker.reporting.cli.cli, command).stdout
        assert_as_documented(json.loads(printed), keys)


def test_verdicts_about_an_mlp_have_them_too(tmp_path: Path) -> None:
    model, proof = ROOT / "certificates" / "models" / "modular-addition-59.safetensors", tmp_path / "proof.cert"
    command = ["prove", str(model), "--strategy", "mlp-quadrature", "-o", str(proof)]
    assert CliRunner().invoke(prover.commands.cli, command).exit_code == 0
    verdict = json.loads(json.dumps(verify(proof, model).as_json()))
    assert verdict["accepted"] and verdict["mlp"]
    for entry in verdict["mlp"]:
        assert_as_documented(entry, documented("FrequencyBound"))


def test_shards_have_the_documented_keys(demo: Path, tmp_path: Path) -> None:
    certificate, shard = demo / "pessimized.cert", tmp_path / "shard.json"
    command = ["verify", str(certificate), "--model", str(MODEL), "--shard", "1/2", "-o", str(shard)]
    assert CliRunner().invoke(checker.reporting.cli.cli, command).exit_code == 0
    assert_as_documented(json.loads(shard.read_text()), documented("Shard"))


def test_results_have_the_documented_keys(demo: Path) -> None:
    keys = (
        documented("Verdict")
        | dict.fromkeys(("correct_text", "total_text"), "text")
        | documented("results.json, frontier.json")
    )
    for one in json.loads((demo / "results.json").read_text()):
        assert_as_documented(one, keys)


def test_what_is_written_as_dataclasses_is_documented() -> None:
    titles = {"Summary": "study.json"}
    for kind, meanings in WRITTEN.items():
        assert set(meanings) == set(documented(titles.get(kind.__name__, kind.__name__))), kind
    assert list(WRITTEN[Verdict]) == list(vars(Verdict(accepted=False, reason="", exit_code=1)))


def test_automata_have_the_documented_keys() -> None:
    keys = documented("Automaton")
    file = TRANSFORMERS / "running-sum-20.json"
    assert set(keys) == WITH_READS and set(json.loads(file.read_text())) == WITH_READS
    assert read_automaton(file).count()


def test_every_command_and_option_is_in_the_page() -> None:
    page = (ROOT / "docs" / "commands.md").read_text()
    commands = {"prover": prover.commands.cli, "checker": checker.reporting.cli.cli}
    while commands:
        name, command = commands.popitem()
        section = re.split(rf"^## {name}$", page, flags=re.MULTILINE)[1].partition("\n## ")[0]
        if isinstance(command, click.Group):
            commands |= {f"{name} {part}": below for part, below in command.commands.items()}
        else:
            assert all(f"`{option}`" in section for one in command.params for option in one.opts if option.startswith("-"))


@pytest.mark.parametrize(
    ("tool", "line", "among"),
    [("prover", "prove --strategy rho", "rho-sets"), ("checker", "ver", "verify")],
)
def test_the_shell_completes(tool: str, line: str, among: str) -> None:
    words = f"{tool} {line}"
    asked = {f"_{tool.upper()}_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    module = {"prover": "prover.__main__", "checker": "checker.reporting.cli"}[tool]
    start = f"import sys; sys.argv = [{tool!r}]; from {module} import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", start], env={**os.environ, **asked}, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert f"plain,{among}" in done.stdout.splitlines(), done.stderr


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_takes_the_line_that_the_page_tells() -> None:
    """For the checker, which starts quicker, with a function of its name in place of what is installed."""
    line = re.search(r"^    (eval .*?)\s+#", (ROOT / "docs" / "commands.md").read_text(), re.MULTILINE)
    assert line is not None
    told = line[1].replace("PROVER", "CHECKER").replace("prover", "checker")
    start = 'import sys; sys.argv = ["checker"]; from checker.reporting.cli import main; main()'
    script = f"checker() {{ {sys.executable} -c '{start}'; }}; export -f checker; {told}; complete -p checker"
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "_checker_completion" in done.stdout, done.stderr
