"""`prover frontier`: its files, its resumption after interruptions, and its page in a real browser."""

import base64
import gzip
import io
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from cluster import Cluster
from rich.console import Console

import prover
import prover.commands
import prover.studies.checked
import prover.studies.frontier
import prover.studies.runs
from certificates import FormatError, Model, RawTensor, read_model, write_model
from checker import verify
from checker.decide import check_proof
from prover.attention.cells import by_token, cell_totals
from prover.attention.sequence_problem import SequenceProblem
from prover.proving import prove
from prover.strategies import ATTENTION_STRATEGIES
from prover.strategies.enumeration import BruteForce, Sampling
from prover.strategies.prefix_chains import Thresholds
from prover.strategy import DoesNotFit, Strategy
from prover.studies.frontier import Frontier, explore, frontier_table
from prover.studies.frontier_figures import STAGES, staged_results
from prover.studies.frontier_page import report_page
from prover.studies.rounding import ceil_share
from prover.studies.runs import Misfit, Result, certificate_name
from prover.training.max_of_k import MaxOfKRecipe, train_max_of_k

ROOT = Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")
VOCAB, LENGTH = 5, 3
VERDICT = {*verify(Path("none"), Path("none")).__dict__, "correct_text", "total_text"}


SWEEPS = {name: strategy.sweep for name, strategy in ATTENTION_STRATEGIES.items()}


@pytest.fixture(scope="module", autouse=True)
def one_setting_each() -> Iterator[None]:
    """The tests of the command make do with one per strategy."""
    with pytest.MonkeyPatch.context() as patch:
        for strategy in ATTENTION_STRATEGIES.values():
            if strategy is not Sampling:
                patch.setattr(strategy, "sweep", classmethod(lambda cls, problem: (cls(),)))
        yield


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model, trained for long enough that some inputs are certified and some are not."""
    file = tmp_path_factory.mktemp("model") / "tiny <model>.safetensors"
    write_model(file, train_max_of_k(MaxOfKRecipe(LENGTH, VOCAB, seed=1, d_model=8, d_head=4, steps=150), CPU))
    return file


@pytest.fixture(scope="module")
def problem(path: Path) -> SequenceProblem:
    return SequenceProblem(read_model(path), CPU)


def frontier_command(path: Path, output: Path, *arguments: object) -> tuple[int, str]:
    command = ["frontier", path, "-o", output, "--device", "cpu", *arguments]
    result = CliRunner().invoke(prover.commands.cli, [str(argument) for argument in command])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def finished(path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a whole frontier."""
    output = tmp_path_factory.mktemp("frontier") / "new" / "folder"
    code, out = frontier_command(path, output)
    assert code == 0 and all(name in out for name in ATTENTION_STRATEGIES)
    return output


def visible(output: Path) -> set[str]:
    return {file.name for file in output.iterdir()}


def test_files(path: Path, finished: Path, problem: SequenceProblem) -> None:
    records = json.loads((finished / "frontier.json").read_text())
    names = {certificate_name(strategy) for kind in ATTENTION_STRATEGIES.values() for strategy in kind.sweep(problem)}
    assert visible(finished) == {f"{name}.{end}" for name in names for end in ("cert", "json")} | {
        "frontier.json",
        "report.html",
    }
    assert len(records) == len(names) and {record["strategy"] for record in records} == set(ATTENTION_STRATEGIES)
    lengths = [record["operations"] for record in records]
    assert lengths == sorted(lengths, reverse=True)
    for record in records:
        assert set(record) == VERDICT | {"strategy", "parameters", "prove_seconds"}
        assert record["accepted"] and isinstance(record["parameters"], dict) and record["prove_seconds"] >= 0
        name = certificate_name(ATTENTION_STRATEGIES[record["strategy"]](**record["parameters"]))
        verdict = verify(finished / f"{name}.cert", path)
        assert verdict.accepted and (verdict.correct, verdict.operations) == (record["correct"], record["operations"])


def test_names_and_sweeps(problem: SequenceProblem) -> None:
    assert certificate_name(Sampling()) == "sampling"
    assert certificate_name(Sampling(inputs=1000)) == "sampling-inputs=1000"
    assert certificate_name(Thresholds(rivals=3, levels=1)) == "thresholds-rivals=3-levels=1"
    assert Sampling.sweep(problem) == (Sampling(),), "more inputs than there are would be the same certificate again"
    large = SequenceProblem(read_model(ROOT / "certificates/models/max-of-10.safetensors"), CPU)
    assert [strategy.inputs for strategy in Sampling.sweep(large)] == [10**3, 10**4, 10**5, 10**6]


@pytest.mark.parametrize("name", ATTENTION_STRATEGIES)
def test_every_setting_of_the_sweeps_is_accepted(name: str, problem: SequenceProblem) -> None:
    settings = SWEEPS[name](problem)
    assert len({certificate_name(strategy) for strategy in settings}) == len(settings) >= 1
    for strategy in settings:
        try:
            certificate, evidence = prove(problem, strategy)
        except DoesNotFit:
            continue
        assert check_proof(certificate, problem.model).result.correct == evidence.correct


def tiny_problem(n: int) -> SequenceProblem:
    """Finding the n-th largest."""
    return SequenceProblem(train_max_of_k(MaxOfKRecipe(LENGTH, VOCAB, seed=1, d_model=8, d_head=4, steps=400, n=n), CPU), CPU)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_cells_count_what_is_certified(n: int) -> None:
    problem = tiny_problem(n)
    totals = cell_totals(VOCAB, LENGTH, problem.task.rank)
    assert totals.sum() == VOCAB**LENGTH
    found = 0
    for strategy in ATTENTION_STRATEGIES.values():
        try:
            _, evidence = prove(problem, strategy())
        except DoesNotFit:
            continue
        assert evidence.cells.dtype == object and evidence.cells.shape == (VOCAB, VOCAB)
        assert all(type(count) is int for count in evidence.cells.flat)
        assert (evidence.cells <= totals).all() and evidence.cells.sum() == evidence.correct
        found += evidence.correct > 0
    assert found >= 2


@pytest.mark.parametrize("rank", [1, 2, 3, 4])
def test_cell_totals_by_enumeration(rank: int) -> None:
    counted = np.zeros((4, 4), object)
    for tokens in np.ndindex(4, 4, 4, 4):
        counted[tokens[-1], sorted(tokens)[-rank]] += 1
    assert (counted == cell_totals(4, 4, rank)).all()


def test_cells_by_token() -> None:
    """Min-of-K counts in reversed numbers; the page shows tokens."""
    counted = np.zeros((4, 4), object)
    for tokens in np.ndindex(4, 4, 4):
        counted[tokens[-1], min(tokens)] += 1
    assert (by_token(cell_totals(4, 3, 1), tiny_problem(3).task) == counted).all()


@pytest.mark.parametrize("n, words", [(1, "the maximum of 3"), (2, "the second largest of 3"), (3, "the minimum of 3")])
def test_pages_of_other_tasks(n: int, words: str, tmp_path: Path) -> None:
    file = tmp_path / "model"
    write_model(file, tiny_problem(n).model)
    code, _ = frontier_command(file, tmp_path / "out", "--strategies", "classes,pessimized")
    text = (tmp_path / "out" / "report.html").read_text()
    assert code == 0 and words in text and "theorem" in text


def test_cells_of_part_of_the_inputs(problem: SequenceProblem) -> None:
    """A sample has at most so many inputs, and its cells are those of all inputs that it counts."""
    _, everything = prove(problem, Sampling(inputs=VOCAB**LENGTH))
    _, enumerated = prove(problem, BruteForce())
    assert everything.covered == VOCAB**LENGTH and (everything.cells == enumerated.cells).all()
    for inputs in (1, 7, 25, VOCAB**2, VOCAB**LENGTH - 1):
        _, some = prove(problem, Sampling(inputs=inputs))
        assert inputs / 2 < some.covered <= inputs
        assert some.cells.sum() == some.correct <= some.covered and (some.cells <= everything.cells).all()


def test_only_some_strategies(path: Path, tmp_path: Path) -> None:
    code, out = frontier_command(path, tmp_path, "--strategies", "pessimized, classes")
    assert code == 0 and "thresholds" not in out
    assert {file.stem for file in tmp_path.glob("*.cert")} == {"pessimized", "classes"}
    code, out = frontier_command(path, tmp_path, "--strategies", "nonsense")
    assert code == 2 and "nonsense" in out and "pessimized" in out


def test_jobs_write_the_same_certificates(path: Path, finished: Path, tmp_path: Path) -> None:
    code, _ = frontier_command(path, tmp_path, "--jobs", 2)
    assert code == 0 and visible(tmp_path) == visible(finished)
    for certificate in finished.glob("*.cert"):
        assert certificate.read_bytes() == (tmp_path / certificate.name).read_bytes()


def test_a_cluster_writes_the_same_certificates(path: Path, finished: Path, tmp_path: Path, cluster: Cluster) -> None:
    """From the command, and from Python."""
    few = ("thresholds", "pessimized")
    assert frontier_command(path, tmp_path / "a", "--strategies", ",".join(few), "--scheduler", cluster.address)[0] == 0
    found = prover.frontier(path, tmp_path / "b", few, scheduler=cluster.address)
    assert sorted(result.name for result in found.results) == sorted(few)
    for folder, name in itertools.product(("a", "b"), few):
        assert (tmp_path / folder / f"{name}.cert").read_bytes() == (finished / f"{name}.cert").read_bytes()


def test_what_does_not_fit_is_listed(tmp_path: Path) -> None:
    model = ROOT / "certificates/models/max-of-10.safetensors"
    code, out = frontier_command(model, tmp_path, "--strategies", "brute-force,pessimized")
    assert code == 0 and "does not fit" in out
    assert len(json.loads((tmp_path / "frontier.json").read_text())) == 1
    assert "Did not fit" in (tmp_path / "report.html").read_text()


# --- interruption and resumption ----------------------------------------------------------------------------------------------


class Runs:
    """Notes which strategies were really run."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: list[str] = []
        genuine = prover.studies.checked.prove

        def noted(problem: SequenceProblem, strategy: Strategy) -> Any:
            self.names.append(strategy.name)
            return genuine(problem, strategy)

        monkeypatch.setattr(prover.studies.checked, "prove", noted)


def test_nothing_is_done_twice(path: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = shutil.copytree(finished, tmp_path / "copy")
    runs = Runs(monkeypatch)
    assert frontier_command(path, output)[0] == 0 and runs.names == []
    assert (output / "frontier.json").read_bytes() == (finished / "frontier.json").read_bytes()
    assert (output / "report.html").read_bytes().count(b"sampling") == (finished / "report.html").read_bytes().count(
        b"sampling"
    )


def edit(file: Path, **changes: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: (folder / "classes.cert").unlink(),
        lambda folder: (folder / "classes.json").unlink(),
        lambda folder: (folder / "classes.json").write_text("{"),
        lambda folder: (folder / "classes.json").write_text("{}"),
        lambda folder: (folder / "classes.json").write_text("[]"),
        lambda folder: (folder / "classes.cert").write_bytes((folder / "thresholds.cert").read_bytes()),
        lambda folder: edit(folder / "classes.json", certificate_sha256="0" * 64),
        lambda folder: edit(folder / "classes.json", parameters={"groups": 2}),
        lambda folder: edit(folder / "classes.json", verdict={"accepted": False, "reason": "tired", "task": None}),
    ],
)
def test_what_does_not_match_is_done_again(
    spoil: Any, path: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = shutil.copytree(finished, tmp_path / "copy")
    spoil(output)
    runs = Runs(monkeypatch)
    assert frontier_command(path, output)[0] == 0 and runs.names == ["classes"]
    for certificate in finished.glob("*.cert"):
        assert certificate.read_bytes() == (output / certificate.name).read_bytes()


def test_another_model_in_the_same_folder(path: Path, finished: Path, tmp_path: Path, problem: SequenceProblem) -> None:
    output = shutil.copytree(finished, tmp_path / "copy")
    embedding = problem.model.tensors["embed.W_E"]
    constant = RawTensor("F32", embedding.shape, np.ones(embedding.shape, "<f4").tobytes())
    other = tmp_path / "other.safetensors"
    write_model(other, Model(problem.model.config, {**problem.model.tensors, "embed.W_E": constant}, problem.model.task))
    before = {file: file.read_bytes() for file in output.iterdir()}
    with pytest.raises(FormatError, match=r"results about model .* name another folder"):
        frontier_command(other, output, "--strategies", "pessimized")
    assert before == {file: file.read_bytes() for file in output.iterdir()}


def test_another_version_in_the_same_folder(path: Path, finished: Path, tmp_path: Path) -> None:
    output = shutil.copytree(finished, tmp_path / "copy")
    edit(output / "classes.json", version="0.0.1")
    with pytest.raises(FormatError, match=r"of version 0.0.1"):
        frontier_command(path, output)


@pytest.mark.parametrize(
    ("module", "moment", "fatal"),
    [
        *((prover.studies.checked, moment, 2) for moment in ("prove", "write_certificate")),
        *((prover.studies.runs, "verify", 2), (prover.studies.frontier, "write_atomically", 3)),
        (prover.studies.frontier, "write_atomically", 4),
    ],
)
def test_interrupted_at_any_moment(module: Any, moment: str, fatal: int, path: Path, finished: Path, tmp_path: Path) -> None:
    """Ctrl-C in the second run keeps the first, leaves no partial files, and the rerun does the rest."""
    calls = 0

    def interrupting(genuine: Any) -> Any:
        def wrapped(*arguments: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == fatal:
                raise KeyboardInterrupt
            return genuine(*arguments)

        return wrapped

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, moment, interrupting(getattr(module, moment)))
        code, out = frontier_command(path, tmp_path, "--strategies", "classes,thresholds,pessimized")
    assert code == 1 and "Aborted" in out, "click's answer to KeyboardInterrupt"
    assert calls >= fatal
    left = visible(tmp_path)
    allowed = {"classes.cert", "classes.json", "thresholds.cert", "frontier.json", "report.html"}
    assert {"classes.cert", "classes.json"} <= left <= allowed
    with pytest.MonkeyPatch.context() as patch:
        runs = Runs(patch)
        assert frontier_command(path, tmp_path, "--strategies", "classes,thresholds,pessimized")[0] == 0
    assert runs.names == ["thresholds", "pessimized"]
    assert len(json.loads((tmp_path / "frontier.json").read_text())) == 3
    for certificate in tmp_path.glob("*.cert"):
        assert certificate.read_bytes() == (finished / certificate.name).read_bytes()


@pytest.mark.parametrize("jobs", [1, 2])
def test_killed_by_ctrl_c(jobs: int, path: Path, tmp_path: Path) -> None:
    """A real Ctrl-C, to the whole process group, as a terminal sends it."""
    some = ("--strategies", "brute-force,exact,classes,thresholds,pessimized")  # with their sweeps: enough to be interrupted
    command = [sys.executable, "-m", "prover", "frontier", path, "-o", tmp_path, "--jobs", str(jobs), "--device", "cpu", *some]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment,
        start_new_session=True,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - shells have background jobs ignore it
    )
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("*.json")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and b"Traceback" not in errors, errors
    kept = len([file for file in tmp_path.glob("*.cert") if file.with_suffix(".json").exists()])
    told = f"interrupted; {kept} result{'s' * (kept > 1)} kept in {tmp_path}: the same command goes on from there"
    assert told.encode() in errors
    time.sleep(0.2)
    assert not [name for name in visible(tmp_path) if name.startswith(".")], "temporary files are gone"
    before = {file: file.stat().st_mtime_ns for file in tmp_path.glob("*.cert") if file.with_suffix(".json").exists()}
    assert 1 <= len(before) < 20
    assert frontier_command(path, tmp_path, *some)[0] == 0
    assert all(file.stat().st_mtime_ns == when for file, when in before.items())
    assert len(json.loads((tmp_path / "frontier.json").read_text())) >= 5


def test_interrupted_before_anything_is_kept(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(prover.studies.checked, "prove", interrupt)
    monkeypatch.setattr(sys, "argv", ["prover", "frontier", str(path), "-o", str(tmp_path / "out")])
    monkeypatch.setattr(prover.commands, "unwind_when_terminated", lambda: None)
    with pytest.raises(SystemExit) as stop:
        prover.commands.main()
    assert stop.value.code == 130 and not visible(tmp_path / "out")
    assert "interrupted; nothing is kept: nothing was finished yet" in capsys.readouterr().err


def test_a_refused_certificate_is_shown_and_fails_the_command(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine = prover.studies.checked.prove

    def boastful(problem: SequenceProblem, strategy: Strategy) -> Any:
        certificate, evidence = genuine(problem, strategy)
        statement = type(certificate.statement)(problem.model.digest(), problem.model.task, 125, 125)
        return type(certificate)(statement, certificate.precision, certificate.steps), evidence

    monkeypatch.setattr(prover.studies.checked, "prove", boastful)
    code, out = frontier_command(path, tmp_path, "--strategies", "pessimized")
    assert code == 1 and "claims 125" in re.sub(r"\s+│[│\s-]*", " ", out)
    assert "claims 125" in (tmp_path / "report.html").read_text()
    monkeypatch.undo()
    assert frontier_command(path, tmp_path, "--strategies", "pessimized")[0] == 0


# --- the page -----------------------------------------------------------------------------------------------------------------


def test_shares_are_rounded_up() -> None:
    assert ceil_share(0, 10) == 0.0 and ceil_share(10, 10) == 1.0 and ceil_share(1, 3) == 0.334
    assert ceil_share(1, 64**20) > 0 and ceil_share(9999, 10000) == 1.0 and ceil_share(1, 2) == 0.5


def made_up(problem: SequenceProblem, name: str, correct: int, operations: int, total: int = 125) -> Result:
    verdict = {
        **{"accepted": True, "reason": "", "theorem": f"Theorem of {name}", "correct": correct, "total": total},
        **{"operations": operations, "unexplained_dimension": 105, "certificate_bytes": 1, "seconds": "0.001"},
    }
    parameters = asdict(ATTENTION_STRATEGIES[name]()) if name in ATTENTION_STRATEGIES else {}
    return Result(name, name, parameters, 0.0, verdict, None)


def test_the_frontier(problem: SequenceProblem) -> None:
    points = [("classes", 100, 50), ("thresholds", 90, 60), ("pessimized", 80, 20), ("new", 80, 30), ("perfect", 125, 900)]
    results = tuple(made_up(problem, *point) for point in points)
    frontier = Frontier("m", problem.model, results, (Misfit("brute-force", "too large"),))
    assert [result.name for result in frontier.best] == ["pessimized", "classes", "perfect"]
    assert [result.name for _, result in staged_results(frontier)] == ["classes", "pessimized"]
    assert {name for _, name, _ in STAGES} <= set(ATTENTION_STRATEGIES)
    text = report_page(frontier)
    assert "Theorem of perfect" in text and "too large" in text and "has counts by query and true output" in text
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(frontier_table(frontier))
    assert "does not fit: too large" in console.export_text()


def test_a_page_without_certificates(problem: SequenceProblem) -> None:
    assert "No certificate was accepted" in report_page(Frontier("m", problem.model, (), ()))


def told(page: str) -> str:
    """What a page says, also in its figures, which are packed."""

    def unpacked(found: re.Match[str]) -> str:
        return gzip.decompress(base64.b64decode(found[1])).decode()

    return re.sub(r'draw\("[a-z-]+", "([^"]+)"', unpacked, page)


def test_published_points_are_about_their_models_only(problem: SequenceProblem) -> None:
    assert "sub-cubic" not in told(report_page(Frontier("m", problem.model, (), ())))
    published = read_model(ROOT / "certificates/models/max-of-4.safetensors")
    assert "sub-cubic" in told(report_page(Frontier("m", published, (), ())))


BROWSER_ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--no-first-run"),
]


def chromium() -> str:
    """The browser's path; without one the test is skipped, or fails where CI_REQUIRES_CHROMIUM is 1."""
    pytest.importorskip("playwright")
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        reason = "no chromium: install it, for example by `apt-get install chromium`"
        if os.environ.get("CI_REQUIRES_CHROMIUM") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def test_the_page_in_a_browser(finished: Path) -> None:
    executable = chromium()
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    trouble: list[str] = []
    url = (finished / "report.html").resolve().as_uri()

    def note_request(address: str) -> None:
        if address != url and not address.startswith(("data:", "blob:")):
            trouble.append(f"request: {address}")

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=BROWSER_ARGUMENTS)
        tab = browser.new_page(viewport={"width": 1280, "height": 900})
        tab.on("console", lambda message: trouble.append(f"console: {message.type}: {message.text}"))
        tab.on("pageerror", lambda error: trouble.append(f"page error: {error}"))
        tab.on("request", lambda request: note_request(request.url))
        tab.goto(url)
        tab.wait_for_selector("#cells-figure .heatmaplayer image", state="attached")
        assert tab.title() == "tiny <model>: compact proofs"
        default_stages = [name for _, name, parameters in STAGES if not parameters]
        marks = {
            "#frontier-figure .trace.scatter path.point": 2 * len(ATTENTION_STRATEGIES),
            "#frontier-figure .trace.scatter path.js-line": 4,
            "#dimension-figure .trace.scatter path.point": 2 * (len(ATTENTION_STRATEGIES) - 1),
            "#waterfall-figure .waterfalllayer .point path, #waterfall-figure .barlayer .point path": len(default_stages) + 1,
            "#cells-figure .heatmaplayer image": 1,
        }
        assert {selector: tab.locator(selector).count() for selector in marks} == marks
        figures = tab.locator(".js-plotly-plot")
        assert figures.count() == 4 and all(figures.nth(i).bounding_box()["height"] > 200 for i in range(4))
        assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "nothing sticks out"

        before = tab.evaluate("document.getElementById('cells-figure').data[0].z")
        assert len(before) == VOCAB and before[0][VOCAB - 1] is None
        tab.select_option("#choose-certificate", "sampling")
        tab.select_option("#choose-certificate", "thresholds")
        assert tab.evaluate("document.getElementById('cells-figure').data[0].z[0].length") == VOCAB

        links = tab.locator("#certificates a")
        assert links.count() == len(ATTENTION_STRATEGIES)
        assert all((finished / links.nth(i).get_attribute("href")).exists() for i in range(len(ATTENTION_STRATEGIES)))
        tab.click("#certificates th:has-text('operations')")
        values = tab.eval_on_selector_all("#certificates tbody tr", "rows => rows.map(r => Number(r.cells[3].dataset.value))")
        assert values == sorted(values)
        browser.close()
    assert not trouble


CUT_TEXTS = """() => [...document.querySelectorAll(".js-plotly-plot")].flatMap(plot => {
  const box = plot.getBoundingClientRect(), grid = plot.querySelector(".gridlayer").getBoundingClientRect();
  return [...plot.querySelectorAll(".main-svg text")].filter(text => {
    const at = text.getBoundingClientRect();
    const cut = at.left < box.left - 1 || at.right > box.right + 1 || at.top < box.top - 1 || at.bottom > box.bottom + 1;
    const covers = text.closest(".legend") && at.bottom > grid.top + 2;
    return at.width > 0 && !text.closest(".hoverlayer") && (cut || covers);
  }).map(text => `${plot.id}: ${text.textContent}`);
})"""
"""Texts in figures that are partly outside of them, or in a legend that lies on the plot."""


def sticking_out(page: Path) -> list[tuple[str, int, int]]:
    """At which widths, in which colours, a page is wider than the window, and how wide, or a figure cuts its text; also where a
    browser has complaints.
    """
    executable = chromium()
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    found = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=BROWSER_ARGUMENTS)
        tab = browser.new_page()
        tab.on("pageerror", lambda error: found.append((str(error), 0, 0)))
        tab.goto(page.resolve().as_uri())
        tab.wait_for_selector(".js-plotly-plot .plot-container", state="attached")
        for colours in ("light", "dark"):
            tab.emulate_media(color_scheme=colours)
            for width in (1400, 800, 390):
                tab.set_viewport_size({"width": width, "height": 900})
                for _ in range(20):  # figures follow, on a busy machine slowly
                    tab.wait_for_timeout(150)
                    shown = tab.evaluate("document.documentElement.scrollWidth")
                    wrong = [colours] * (shown > width) + [f"{colours}: {cut}" for cut in tab.evaluate(CUT_TEXTS)]
                    if not wrong:
                        break
                found += [(what, width, shown) for what in wrong]
        browser.close()
    return found


def test_the_page_fits_all_windows_and_is_small(finished: Path) -> None:
    assert (finished / "report.html").stat().st_size < 2_500_000, "two of them are Plotly's"
    assert not sticking_out(finished / "report.html")


def test_explore_tells_what_is_known_as_it_goes(problem: SequenceProblem, path: Path, tmp_path: Path) -> None:
    known = [len(frontier.results) for frontier in explore(problem, path, tmp_path, ["thresholds", "pessimized"])]
    assert known == [0, 1, 2]
