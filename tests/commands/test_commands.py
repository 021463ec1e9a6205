"""The commands as a user meets them: exit statuses, JSON, messages, and files that come out the same twice."""

import json
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

import checker.reporting.cli
import checker.reporting.verdict
import prover.commands
from certificates import FormatError, read_certificate, read_model, write_certificate, write_model
from certificates.architectures import parse_config
from certificates.model_file import Model
from checker import verify
from checker.core.errors import CheckError
from checker.core.in_order import in_turn
from checker.core.meter import Budget, Meter
from checker.registry import RULES
from checker.reporting.decimals import floor_decimal
from checker.reporting.progress import shown
from prover.attention.sequence_problem import SequenceProblem
from prover.commands import options
from prover.importing import import_model
from prover.proving import problem_about, prove
from prover.strategies import ATTENTION_STRATEGIES, known_strategy
from prover.strategies.enumeration import BruteForce, Sampling
from prover.strategies.evaluated_pairs import BruteForcePairs
from prover.strategy import Strategy
from prover.studies.expected import duration
from prover.tasks import automaton_from, write_automaton
from prover.training.max_of_k import MaxOfKRecipe, train_max_of_k
from prover.weights import load_weights

ROOT = Path(__file__).resolve().parents[2]
KEYS = {
    "accepted",
    "theorem",
    "correct",
    "total",
    "correct_text",
    "total_text",
    "accuracy_floor",
    "operations",
    "unexplained_dimension",
    "trusted_lines",
    "rules",
    "certificate_bytes",
    "seconds",
    "model_digest",
    "task",
    "margin",
    "deployed",
    "reason",
}
CONFIG = {
    "n_layers": 1,
    "d_model": 8,
    "n_ctx": 3,
    "d_head": 4,
    "n_heads": 1,
    "d_vocab": 6,
    "d_vocab_out": 6,
    "attn_only": True,
    "normalization_type": None,
    "attn_scale": 2.0,
    "eps": 1e-05,
    "dtype": "torch.float32",
    "device": "cpu",
    "seed": 3,
    "act_fn": None,
    "attn_scores_soft_cap": -1.0,
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small trained model, a certificate with a bound strictly between 0 and 1, and one that a rule refuses."""
    folder = tmp_path_factory.mktemp("files")
    device = torch.device("cpu")
    model = train_max_of_k(MaxOfKRecipe(length=3, vocab=6, seed=1, d_model=8, d_head=4, steps=300), device)
    write_model(folder / "model.safetensors", model)
    write_model(folder / "other.safetensors", train_max_of_k(MaxOfKRecipe(3, 6, 2, 8, 4, steps=0), device))
    write_model(folder / "min.safetensors", Model(model.config, model.tensors, {"name": "min-of-k"}))
    certificate, evidence = prove(SequenceProblem(model, device), ATTENTION_STRATEGIES["thresholds"]())
    assert 0 < evidence.correct <= 216
    write_certificate(folder / "good.cert", certificate)
    wrong = type(certificate.statement)(model.digest(), {"name": "max-of-k"}, evidence.correct + 1, 216)
    write_certificate(folder / "wrong.cert", type(certificate)(wrong, certificate.precision, certificate.steps))
    return {path.stem: path for path in folder.iterdir()}


def run_checker(*arguments: object, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        checker.reporting.cli.main([str(argument) for argument in arguments])
        sys.exit(0)
    captured = capsys.readouterr()
    return int(stop.value.code or 0), captured.out, captured.err


def run_prover(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(prover.commands.cli, [str(argument) for argument in arguments])
    message = str(result.exception) if result.exception is not None and not isinstance(result.exception, SystemExit) else ""
    return result.exit_code, result.output + message


def test_accepted(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run_checker("verify", files["good"], "--model", files["model"], capsys=capsys)
    assert code == 0 and out.startswith("ACCEPTED") and "at least" in out
    lines = verify(files["good"], files["model"]).trusted_lines
    assert lines and lines > 1000 and f"rests on {lines:,} lines: core and 2 rules\n" in out


def test_rules_that_are_not_allowed_are_refused(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is computed; the refusal names the first of them. Names that are no rules are no pins."""
    arguments = ("verify", files["good"], "--model", files["model"], "--allow-rules", "additive-tables,enumeration")
    code, out, _ = run_checker(*arguments, "--max-operations", 1, capsys=capsys)
    assert code == 1 and "step 1 uses rule prefix-chains" in out
    for allowed, code in (({"prefix-chains", "additive-tables"}, 0), (["additive-tables"], 1), ((), 1), (("sorcery",), 2)):
        verdict = verify(files["good"], files["model"], allow_rules=allowed)
        assert verdict.exit_code == code and ("sorcery" in verdict.reason) == (code == 2)
    assert verify(files["good"], files["model"], allow_rules="prefix-chains").exit_code == 2  # a text is no list of names


@pytest.mark.parametrize(
    "arguments, code",
    [
        ([], 0),
        (["--task", '{"name":"max-of-k"}'], 0),
        (["--arithmetic", "mpmath"], 0),
        (["--at-least", "0"], 0),
        (["--at-least", "1.01"], 2),
        (["--at-least", "much"], 2),
        (["--at-least", "1e-3"], 2),
        (["--task", '{"name":"min-of-k"}'], 1),
        (["--task", "{"], 2),
        (["--max-operations", "100"], 2),
        (["--max-memory", "0"], 2),
        (["--no-such-option"], 2),
        (["--allow-rules", "additive-tables,prefix-chains"], 0),
        (["--allow-rules", "prefix-chains, enumeration, additive-tables"], 0),
        (["--allow-rules", "additive-tables"], 1),
        (["--allow-rules", ""], 2),
        (["--allow-rules", "additive-tables,prefix-chains,"], 2),
        (["--allow-rules", "additive-tables,prefix_chains"], 2),
    ],
)
def test_json_in_every_case(
    files: dict[str, Path], capsys: pytest.CaptureFixture[str], arguments: list[str], code: int
) -> None:
    got, out, _ = run_checker("verify", files["good"], "--model", files["model"], "--json", *arguments, capsys=capsys)
    verdict = json.loads(out)
    assert got == code and set(verdict) >= KEYS and verdict["accepted"] == (code == 0) and verdict["reason"]
    if code == 0:
        assert verdict["correct_text"] == str(verdict["correct"]) and verdict["total"] == 216
        assert verdict["accuracy_floor"].startswith("0." if verdict["correct"] < 216 else "1.")
        assert verdict["total_text"] == "216" and verdict["rules"] == ["additive-tables", "prefix-chains"]
    else:
        assert verdict["correct"] is verdict["correct_text"] is verdict["trusted_lines"] is None


@pytest.mark.parametrize(
    "certificate, model, code",
    [
        ("wrong", "model", 1),
        ("good", "other", 2),
        ("model", "model", 2),
        ("good", "good", 2),
        ("missing", "model", 2),
        ("good", "missing", 2),
    ],
)
def test_not_accepted(
    files: dict[str, Path], capsys: pytest.CaptureFixture[str], certificate: str, model: str, code: int
) -> None:
    missing = Path("no-such-file")
    arguments = ("verify", files.get(certificate, missing), "--model", files.get(model, missing))
    got, out, _ = run_checker(*arguments, capsys=capsys)
    assert got == code and out.startswith("NOT ACCEPTED: ")
    got, out, _ = run_checker(*arguments, "--json", capsys=capsys)
    assert got == code and not json.loads(out)["accepted"]


def test_the_pinned_accuracy_is_exact(files: dict[str, Path]) -> None:
    correct = read_certificate(files["good"])[0].statement.correct
    exactly, more = f"{correct * 10**12 // 216}", f"{correct * 10**12 // 216 + 1}"
    floor, above = (f"{text[:-12] or '0'}.{text[-12:].zfill(12)}" for text in (exactly, more))
    assert verify(files["good"], files["model"], at_least=floor).accepted
    if correct < 216:
        verdict = verify(files["good"], files["model"], at_least=above)
        assert not verdict.accepted and verdict.exit_code == 1


def test_margins_and_executions_are_proved_and_pinned(files: dict[str, Path], tmp_path: Path) -> None:
    target = tmp_path / "proof.cert"
    prove_it = ("prove", files["model"], "--strategy", "exact", "-o", target, "--check")
    code, out = run_prover(*prove_it, "--margin", "0.25")
    assert code == 0 and "by a margin of more than 0.25" in out and "greater, by more than 0.25, than" in out
    verdict = verify(target, files["model"], margin_at_least="0.25")
    assert verdict.accepted and verdict.margin == "0.25" and verdict.deployed is None
    for pins in ({"margin_at_least": "0.2500001"}, {"deployed": "float32"}):
        refused = verify(target, files["model"], **pins)
        assert refused.exit_code == 1 and ("pinned" in refused.reason)
    refused = verify(target, files["model"], error_at_most={1: "100"})
    assert refused.exit_code == 1 and "nothing about an MLP at the pinned frequency 1" in refused.reason
    assert verify(files["good"], files["model"]).margin == "0"
    code, out = run_prover(*prove_it, "--deployed", "float32")
    assert code == 0 and "Every execution of the model in float32" in out
    verdict = verify(target, files["model"], deployed="float32")
    assert verdict.accepted and verdict.deployed == "float32" and float(verdict.margin or 0) > 0
    assert verify(target, files["model"], deployed="float64").exit_code == 1
    code, out = run_prover(*prove_it, "--margin", "0.5", "--deployed", "float32")
    assert code == 0 and verify(target, files["model"], deployed="float32").margin == "0.5"  # the larger one
    for text in ("-1", "1e3", "a half"):
        code, out = run_prover(*prove_it, "--margin", text)
        assert code == 1 and "not a decimal number" in out


def test_a_task_of_one_s_own(files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The largest token of sequences that do not begin with 0, from its file to a pinned verdict."""
    path, target = tmp_path / "own.json", tmp_path / "own.cert"
    own = automaton_from(-1, lambda s, t, j: max(s, t) if j or t else None, lambda s: s, length=3, tokens=6)
    write_automaton(path, own)
    code, out = run_prover("prove", files["model"], "--strategy", "enumerate", "--task", path, "-o", target)
    assert code == 0 and "of 180 inputs" in out
    code, out, _ = run_checker("verify", target, "--model", files["model"], "--task", path, capsys=capsys)
    assert code == 0 and own.digest in out
    code, out, _ = run_checker("verify", files["good"], "--model", files["model"], "--task", path, capsys=capsys)
    assert code == 1 and "pinned" in out
    code, out, _ = run_checker("verify", target, "--model", files["model"], "--task", tmp_path / "no.json", capsys=capsys)
    assert code == 2 and "cannot read" in out
    code, out = run_prover("prove", files["model"], "--strategy", "classes", "--task", path, "-o", target)
    assert code == 1 and "enumerate" in out


def test_another_task_is_pointed_out(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run_checker("verify", files["good"], "--model", files["min"], capsys=capsys)
    assert code == 0 and "TASK MISMATCH" in err and "min-of-k" in err
    assert verify(files["good"], files["min"]).warnings


def test_an_internal_error_is_no_traceback(
    files: dict[str, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(checker.reporting.verdict, "verify", broken)
    code, out, err = run_checker("verify", files["good"], "--model", files["model"], "--json", capsys=capsys)
    assert code == 3 and "oops" in json.loads(out)["reason"] and "Traceback" not in err


def test_covers(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    def covers(tokens: str) -> tuple[int, str, str]:
        return run_checker("covers", files["good"], "--model", files["model"], tokens, capsys=capsys)

    answers = {covers(f"{a},{b},5") for a in range(6) for b in (0, 5)}
    assert all(
        code == 0 and ("certified, by step 1 (prefix-chains)" in out or "not certified" in out) for code, out, _ in answers
    )
    for tokens in ("1,2", "1,2,6", "1,2,-1", "a,b,c", "1,2,99999999999999999999999"):
        code, _, err = covers(tokens)
        assert code == 2 and "Error: " in err


def test_show_needs_no_model(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run_checker("show", files["good"], capsys=capsys)
    assert code == 0 and "CLAIM (not checked)" in out and "step 1: prefix-chains from step 0" in out


@pytest.mark.parametrize("command", [["verify"], ["covers"], ["show"]])
def test_checker_help_has_an_example(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run_checker(*command, "--help", capsys=capsys)
    assert code == 0 and "Example:" in out


@pytest.mark.parametrize("command", ["train max-of-k", "import", "strategies", "prove", "demo", "frontier", "bench"])
def test_prover_help_has_an_example(command: str) -> None:
    code, out = run_prover(*command.split(), "--help")
    assert code == 0 and "Example:" in out


def test_training_is_deterministic(tmp_path: Path) -> None:
    for name in ("a", "b"):
        sizes = ("--length", 3, "--vocab", 5, "--seed", 7, "--steps", 20)
        code, out = run_prover("train", "max-of-k", *sizes, "-o", tmp_path / name)
        assert code == 0 and "estimate" in out
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_strategies_are_listed() -> None:
    code, _ = run_prover("strategies")
    assert code == 0


@pytest.mark.parametrize("strategy", list(ATTENTION_STRATEGIES))
def test_prove_and_check(files: dict[str, Path], tmp_path: Path, strategy: str) -> None:
    code, out = run_prover("prove", files["model"], "--strategy", strategy, "--check", "-o", tmp_path / "p.cert")
    assert code == 0 and "expected bound" in out and "ACCEPTED" in out


def test_prove_with_switches(files: dict[str, Path], tmp_path: Path) -> None:
    output = ("-o", tmp_path / "p.cert")
    code, out = run_prover("prove", files["model"], "--strategy", "sampling", "--set", "inputs=10", *output)
    assert code == 0
    ranges = read_certificate(tmp_path / "p.cert")[0].steps[1].hints["ranges"].integers()
    assert ranges.tolist() == [[4, 6], [1, 6], [5, 6], [5, 6]]
    code, out = run_prover(
        "prove", files["model"], "--strategy", "thresholds", "--set", "levels=1", "--set", "joint=1", *output
    )
    assert code == 0
    step = read_certificate(tmp_path / "p.cert")[0].steps[1]
    assert step.parameters == {"joint": 1} and step.hints["numbers"].shape[1] == 1
    code, out = run_prover("prove", files["model"], "--strategy", "sampling", "--set", "colour=3", *output)
    assert code != 0 and "inputs" in out
    code, out = run_prover("prove", files["model"], "--strategy", "classes", "--task", "median-of-k", *output)
    assert code != 0 and "max-of-k" in out
    code, out = run_prover("prove", files["model"], "--strategy", "nonsense", *output)
    assert code == 2 and "pessimized" in out


@pytest.mark.parametrize("task", ["min-of-k", '{"n":2,"name":"nth-max-of-k"}'])
def test_other_tasks(files: dict[str, Path], tmp_path: Path, task: str, capsys: pytest.CaptureFixture[str]) -> None:
    """From training to a verdict under a pin; and a rule that cannot be used says so."""
    name = json.loads(task)["name"] if task.startswith("{") else task
    model, certificate = tmp_path / "model", tmp_path / "p.cert"
    number = ("-n", "2") if name == "nth-max-of-k" else ()
    sizes = ("--length", 3, "--vocab", 5, "--d-model", 8, "--d-head", 4, "--steps", 300)
    code, out = run_prover("train", name, *number, *sizes, "-o", model)
    assert code == 0, out
    code, out = run_prover("prove", model, "--strategy", "exact", "--check", "-o", certificate)
    assert code == 0 and "ACCEPTED" in out
    verdict = verify(certificate, model, task=json.loads(task) if number else task)
    assert verdict.accepted and verdict.correct and not verdict.warnings
    assert json.dumps(verdict.task, separators=(",", ":"), sort_keys=True) in str(verdict.theorem)
    code, out, _ = run_checker("verify", certificate, "--model", model, "--task", "max-of-k", "--json", capsys=capsys)
    assert code == 1 and "max-of-k" in json.loads(out)["reason"]
    code, out = run_prover("prove", model, "--strategy", "thresholds", "-o", certificate)
    assert (code == 0) == (name == "min-of-k"), out


def test_brute_force_says_when_it_does_not_fit(tmp_path: Path) -> None:
    model = ROOT / "certificates/models/max-of-10.safetensors"
    code, out = run_prover("prove", model, "--strategy", "brute-force", "-o", tmp_path / "p.cert")
    assert code != 0 and "1.2e+18 inputs" in out and "sampling" in out
    assert not (tmp_path / "p.cert").exists()


def test_import_of_transformerlens_states(files: dict[str, Path], tmp_path: Path) -> None:
    weights = {name: w.float() for name, w in load_weights(read_model(files["model"]), torch.device("cpu")).items()}
    state = {name: w for name, w in weights.items() if ".b_" not in name or name == "unembed.b_U"}
    state["blocks.0.attn.mask"] = torch.tril(torch.ones(3, 3, dtype=torch.bool))
    state["blocks.0.attn.IGNORE"] = torch.tensor(-torch.inf)
    torch.save(state, tmp_path / "state.pt")
    save_file({name: w.contiguous() for name, w in state.items()}, tmp_path / "state.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    for source in ("state.pt", "state.safetensors"):
        arguments = ("import", tmp_path / source, "--config", tmp_path / "config.json")
        code, out = run_prover(*arguments, "-o", tmp_path / f"{source}.model")
        assert code == 0, out
    first, second = (read_model(tmp_path / f"{source}.model") for source in ("state.pt", "state.safetensors"))
    assert first.digest() == second.digest() and "blocks.0.attn.b_Q" not in first.tensors
    certificate, evidence = prove(SequenceProblem(first, torch.device("cpu")), ATTENTION_STRATEGIES["thresholds"]())
    write_certificate(tmp_path / "p.cert", certificate)
    verdict = verify(tmp_path / "p.cert", tmp_path / "state.pt.model")
    assert verdict.accepted and verdict.correct == evidence.correct > 0


@pytest.mark.parametrize(
    "change, message",
    [
        ({"n_heads": 2}, "n_heads"),
        ({"normalization_type": "LN"}, "normalization_type"),
        ({"attn_scale": 3.0}, "attn_scale"),
        ({"n_layers": 2}, "n_layers"),
        ({"attn_only": False}, "attn_only"),
        ({"positional_embedding_type": "rotary"}, "positional_embedding_type"),
        ({"use_attn_scale": False}, "use_attn_scale"),
        ({"d_vocab": 7}, "shape"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_import_refuses_other_models(files: dict[str, Path], tmp_path: Path, change: dict[str, object], message: str) -> None:
    torch.save(load_weights(read_model(files["model"]), torch.device("cpu")), tmp_path / "state.pt")
    with pytest.raises(FormatError, match=message):
        import_model(tmp_path / "state.pt", json.dumps({**CONFIG, "architecture": "attention-only", **change}), None)


def test_both_commands_run_as_modules(files: dict[str, Path]) -> None:
    arguments = [sys.executable, "-m", "checker", "verify", files["good"], "--model", files["model"], "--json"]
    done = subprocess.run(arguments, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0 and json.loads(done.stdout)["accepted"] and not done.stderr
    done = subprocess.run([sys.executable, "-m", "prover", "prove", "nowhere"], capture_output=True, cwd=ROOT, check=False)
    assert done.returncode == 2 and b"Traceback" not in done.stderr


# --- what newcomers stumbled over ---------------------------------------------------------------------------------------------


def test_where_output_goes_is_tested_before_the_work(files: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for output in (tmp_path, tmp_path / "file" / "proof.cert", "/proc/none/proof.cert"):
        code, out = run_prover("prove", files["model"], "--strategy", "classes", "-o", output)
        assert code == 2 and ("name a file" in out or "cannot write" in out)
    code, out = run_prover("demo", files["model"], "-o", tmp_path / "file")
    assert code == 2 and "cannot write" in out
    assert run_prover("prove", files["model"], "--strategy", "classes", "-o", tmp_path / "new" / "folder" / "p.cert")[0] == 0


def test_names_that_are_almost_right() -> None:
    code, out = run_prover("explain", "pesimized")
    assert code == 2 and "did you mean pessimized?" in out
    assert run_prover("explain", "pessimized")[0] == 0
    code, out = run_prover("frontier", ROOT / "certificates/models/max-of-4.safetensors", "--strategies", "exakt", "-o", "x")
    assert code == 2 and "did you mean exact?" in out
    with pytest.raises(ValueError, match=r"unknown, did you mean exact\?"):
        known_strategy(ATTENTION_STRATEGIES, "exakt")
    with pytest.raises(ValueError, match="not for models like this one"):
        known_strategy(ATTENTION_STRATEGIES, "regions")
    assert "did you mean prefix-chains?" in verify("x", "y", allow_rules=["prefix-chain"]).reason
    ruled = CliRunner().invoke(checker.reporting.cli.cli, ["rules", "prefix-chain"])
    assert "did you mean prefix-chains?" in str(ruled.exception)


@pytest.mark.parametrize(
    ("command", "question"),
    [
        ("task adition -o x", "did you mean addition?"),
        ("task addition digit=3 -o x", "did you mean digits?"),
        ("task addition length=3 -o x", "addition has no parameter 'length'; it takes digits"),
        ("train max-of-q --length 4 -o x", "did you mean max-of-k?"),
        ("train sorting -o x", "there are max-of-k, min-of-k"),
        ("prov model", "did you mean prove?"),
        ("search model --family lowrank -o x", "did you mean low-rank?"),
        ("search model --family low-rank --objective bond -o x", "did you mean bound?"),
        ("prove {model} --strategy thresholds --set levls=2 -o x", "no switch 'levls', did you mean levels?"),
        ("prove {model} --strategy thresholds --set colour=2 -o x", "no switch 'colour'; it has rivals, levels, joint"),
    ],
)
def test_a_question_is_the_answer_to_a_near_miss(
    command: str, question: str, files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out = run_prover(*command.format(**files).split())
    assert code != 0 and question in out.replace("\n", " "), out
    assert not (tmp_path / "x").exists()


def test_a_folder_of_another_model_is_left_alone(files: dict[str, Path], tmp_path: Path) -> None:
    """By demo, and by a study."""
    assert run_prover("demo", files["model"], "--strategy", "pessimized", "-o", tmp_path)[0] == 0
    kept = (tmp_path / "results.json").read_bytes()
    code, out = run_prover("demo", ROOT / "certificates/models/max-of-4.safetensors", "-o", tmp_path)
    assert code != 0 and "name another folder" in out and (tmp_path / "results.json").read_bytes() == kept
    (tmp_path / "study.toml").write_text('[models]\nrecipe = "max-of-k"\nseeds = [1, 1]\nlength = 2\n')
    code, out = run_prover("study", tmp_path / "study.toml", "-o", tmp_path)
    assert code != 0 and "name another folder" in out
    assert run_prover("demo", files["model"], "--strategy", "pessimized", "-o", tmp_path)[0] == 0


@pytest.mark.parametrize("words", [("strategies",), ("explain", "potentials"), ("inspect", "transformers/addition-10")])
def test_what_is_told_fits_the_terminal(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    *before, last = words
    last = str(ROOT / f"certificates/{last}.safetensors") if "/" in last else last
    code, out = run_prover(*before, last)
    whole = (str(ROOT), '{"automaton"')  # what can be copied, and digests
    assert code == 0 and all(len(line) <= 80 or any(one in line for one in whole) for line in out.splitlines())


def test_folders_of_fine_tuned_models_are_left_alone(files: dict[str, Path], tmp_path: Path) -> None:
    """What is there is about two models, of before and after."""
    (tmp_path / "finetuning.json").write_text(json.dumps({"before": {}, "after": {}}))
    code, out = run_prover("frontier", files["model"], "--strategies", "pessimized", "-o", tmp_path)
    assert code != 0 and "name another folder" in out


@pytest.mark.parametrize(
    ("file", "fits", "not_fits"),
    [
        ("models/max-of-10", ("classes", "sampling"), ("brute-force", "exact")),
        ("transformers/addition-10", ("regions",), ("pair-tables", "potentials", "enumerate")),
        ("transformers/in-context-copying-26", ("pair-tables",), ("regions", "potentials", "enumerate")),
    ],
)
def test_inspect_names_strategies_that_fit(file: str, fits: tuple[str, ...], not_fits: tuple[str, ...]) -> None:
    code, out = run_prover("inspect", ROOT / f"certificates/{file}.safetensors")
    named = {line.split()[0] for line in out.splitlines() if line.startswith("  ") and line.strip()}
    assert code == 0 and set(fits) <= named and not named & set(not_fits)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks into /proc")
def test_a_check_that_is_terminated_leaves_no_process_behind(tmp_path: Path) -> None:
    """Its workers end what they are at, and nothing after that."""
    model = ROOT / "certificates/models/max-of-4.safetensors"
    problem = SequenceProblem(read_model(model), torch.device("cpu"))
    write_certificate(tmp_path / "cert", prove(problem, ATTENTION_STRATEGIES["sampling"](inputs=3 * 10**6))[0])
    command = [sys.executable, "-m", "checker", "verify", str(tmp_path / "cert"), "--model", str(model), "--jobs", "2"]
    started = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    children, workers = Path(f"/proc/{started.pid}/task/{started.pid}/children"), list[str]()
    while started.poll() is None and len(workers) < 2:
        workers = children.read_text().split()
    time.sleep(0.1)  # what is raised while a process starts is ignored
    started.terminate()
    assert started.wait(60) == 143 and len(workers) == 2
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)


@pytest.mark.parametrize(
    "install",
    [
        "from checker.reporting.cli import _unwind; signal.signal(signal.SIGTERM, _unwind)",
        "from prover.studies.workers import unwind_when_terminated as u; u()",
    ],
)
def test_terminated_twice_what_is_cleaned_up_at_exit_is_not_interrupted(install: str) -> None:
    """A pool that breaks terminates workers that are on their way out already."""
    again = "os.kill(os.getpid(), signal.SIGTERM)"
    script = f"import atexit, os, signal; {install}; atexit.register(lambda: ({again}, print('cleaned'))); {again}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (143, "cleaned\n", "")


def test_another_task_than_the_model_file_s_is_pointed_out_to_the_prover(files: dict[str, Path], tmp_path: Path) -> None:
    output = ("--strategy", "pessimized", "-o", tmp_path / "p.cert")
    assert "warning" not in run_prover("prove", files["model"], *output)[1]
    code, out = run_prover("prove", files["model"], "--task", "min-of-k", *output)
    warning = 'warning: the model file says {"name":"max-of-k"}, this is about {"name":"min-of-k"}'
    assert code == 0 and warning in out
    for command in ("demo", "frontier"):
        only = ("--strategy" if command == "demo" else "--strategies", "pessimized")
        for task in ("max-of-k", "min-of-k"):
            code, out = run_prover(command, files["model"], "--task", task, *only, "-o", tmp_path / f"{command}-{task}")
            assert code == 0 and (warning in out) == (task == "min-of-k")


@given(st.integers(0, 10**40), st.integers(1, 10**40))
def test_shares_are_shown_rounded_down(numerator: int, denominator: int) -> None:
    shown, exact = Fraction(floor_decimal(numerator, denominator)), Fraction(numerator, denominator)
    assert shown <= exact < shown + Fraction(1, 10**12)
    assert exact == 0 or shown > Fraction(99, 100) * exact, "small ones keep three digits"


def test_all_unknown_keys_are_named() -> None:
    with pytest.raises(FormatError, match="keys unknown: 'colour', 'taste'"):
        parse_config({"colour": 1, "taste": 2})


def test_files_of_other_kinds_are_refused_with_advice(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, tmp_path / "state.pt")
    with pytest.raises(FormatError, match=r"no safetensors file.*prover import"):
        read_model(tmp_path / "state.pt")


def test_a_pinned_accuracy_in_floating_point_is_asked_for_as_a_string(files: dict[str, Path]) -> None:
    verdict = verify(files["good"], files["model"], at_least=0.5)  # type: ignore[arg-type]
    assert verdict.exit_code == 2 and 'write "0.5"' in verdict.reason


def test_a_verdict_can_be_raised(files: dict[str, Path]) -> None:
    assert verify(files["good"], files["model"]).raise_if_refused().accepted
    with pytest.raises(CheckError, match="claims"):
        verify(files["wrong"], files["model"]).raise_if_refused()


def test_theorems_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run_checker("rules", capsys=capsys)
    assert code == 0 and all(f"\n{rule} " in f"\n{out}" for rule in RULES)
    for rule in RULES:
        code, out, _ = run_checker("rules", rule, capsys=capsys)
        assert code == 0 and out.startswith(f"Rule `{rule}`") and "heorem" in out
    code, _, errors = run_checker("rules", "sorcery", capsys=capsys)
    assert code == 2 and "prefix-chains" in errors


@pytest.mark.parametrize("name", ["max-of-4", "symmetric-5", "modular-addition-59", "addition-10"])
def test_models_are_inspected(name: str) -> None:
    (path,) = (ROOT / "certificates").glob(f"*/{name}.safetensors")
    code, out = run_prover("inspect", path)
    assert code == 0 and read_model(path).digest() in out and "random inputs right" in out
    assert ("fourier" in out) == (name == "modular-addition-59") and ("regions" in out) == (name == "addition-10")


def test_a_model_without_a_task_is_inspected(files: dict[str, Path], tmp_path: Path) -> None:
    model = read_model(files["model"])
    write_model(tmp_path / "bare.safetensors", Model(model.config, model.tensors, {"name": "median-of-k"}))
    code, out = run_prover("inspect", tmp_path / "bare.safetensors")
    assert code == 0 and "none that is known" in out and "Name the task" in out


def test_the_doctor_proves_something() -> None:
    code, out = run_prover("doctor")
    assert code == 0 and "proved and checked" in out and torch.__version__.partition("+")[0] in out


def test_long_work_is_seen_without_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with options.progress_bars() as track:
        assert list(track("abc", "counting")) == list("abc") and not capsys.readouterr().err
        monkeypatch.setattr(options, "_SECONDS_TO_FIRST_LINE", -1)
        assert list(track("abc", "counting")) == list("abc")
        assert capsys.readouterr().err == "counting: 1 of 3, about 1 s left\n", "after the first one"
        monkeypatch.setattr(options, "_SECONDS_BETWEEN_LINES", -1)
        assert list(track("abc", "counting")) == list("abc")
    assert "counting: 2 of 3, about 1 s left" in capsys.readouterr().err


def test_what_lies_ahead_is_told_before_long_work(files: dict[str, Path], tmp_path: Path) -> None:
    """On standard error, so that it is seen when output is piped; nothing where nothing is left to do."""
    code, out = run_prover("frontier", files["model"], "--strategies", "brute-force,pessimized", "-o", tmp_path / "frontier")
    assert code == 0 and out.startswith("19 of 19 runs to do, each proved and checked; brute-force takes 2.6e+03 operations")
    code, out = run_prover("frontier", files["model"], "--strategies", "brute-force", "-o", tmp_path / "frontier")
    assert code == 0 and "to do" not in out
    tune = ("finetune", files["model"], "--steps", 60, "-o")
    code, out = run_prover(*tune, tmp_path / "a", "--strategy", "brute-force")
    assert code == 0 and out.startswith("at most 60 steps, and 2 proofs on the way of 2.6e+03 operations, about 1 s for one")
    code, out = run_prover(*tune, tmp_path / "b", "--strategy", "low-rank-chains")
    assert code == 0 and out.startswith("at most 60 steps, and 2 proofs on the way; what is left is estimated after the first")
    assert "step 0" in out and "proofs alone may take about 1 s" in out


def test_durations_are_rounded_to_what_matters() -> None:
    said = {0.1: "about 1 s", 89: "about 89 s", 91: "about 2 min", 5000: "about 84 min", 86400: "about 24.0 h"}
    assert {seconds: duration(seconds) for seconds in said} == said


@pytest.mark.parametrize(
    ("name", "strategy"),
    [("symmetric-5", BruteForcePairs()), ("modular-addition-59", BruteForcePairs()), ("max-of-4", Sampling())],
)
def test_expected_operations_are_about_those_of_the_proof(name: str, strategy: Strategy, tmp_path: Path) -> None:
    path = ROOT / "certificates" / "models" / f"{name}.safetensors"
    problem = problem_about(read_model(path), torch.device("cpu"))
    write_certificate(tmp_path / "proof.cert", prove(problem, strategy)[0])
    found = verify(tmp_path / "proof.cert", path).operations or 0
    assert found / 2 < (strategy.expected_operations(problem) or 0) < 2 * found


def test_expected_operations_of_brute_force_are_about_those_of_the_demo() -> None:
    problem = problem_about(read_model(ROOT / "certificates" / "models" / "max-of-4.safetensors"), torch.device("cpu"))
    demo = json.loads((ROOT / "docs" / "results" / "demo.json").read_text())
    (found,) = (one["operations"] for one in demo if one["strategy"] == "brute-force")
    assert 0.9 * found < (BruteForce().expected_operations(problem) or 0) < 1.1 * found


def test_long_checks_show_progress_on_terminals(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """And nothing where nobody looks; what is found is the same."""
    meter = Meter(Budget())
    watched = shown(in_turn)
    assert list(watched(meter, abs, [-1, -2])) == [1, 2] and not capsys.readouterr().err
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert list(watched(meter, abs, [-1, -2])) == [1, 2] and "checking" in capsys.readouterr().err
    assert list(watched(meter, abs, [-1])) == [1] and not capsys.readouterr().err
