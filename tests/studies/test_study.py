"""`prover study`: its plan, its folder, its sums; the same bytes from one process, two, and a Dask cluster that loses one."""

import json
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cluster import Cluster
from test_frontier import sticking_out, told
from thorough import THOROUGH

import prover.commands
import prover.commands.study
import prover.studies.checked
import prover.studies.study
import prover.studies.workers
from certificates import FormatError, __version__
from checker import verify
from prover.known_tasks import number_addition
from prover.studies.frontier_figures import PUBLISHED
from prover.studies.rounding import floor_share
from prover.studies.runs import Run, carry_out
from prover.studies.study import Record, Study, known_study, run_study, take_over
from prover.studies.study_page import write_study_page
from prover.studies.study_plan import read_plan
from prover.studies.summary import summary, write_summary
from prover.studies.workers import Workers, WorkersLost
from prover.tasks import write_automaton
from prover.training.addition import AdditionRecipe
from prover.training.by_name import recipe_of, trained
from prover.training.max_of_k import MaxOfKRecipe

PLAN = """
[models]
recipe = "max-of-k"
seeds = [1, {last}]
length = 3
vocab = 5
d_model = 8
d_head = 4
steps = 60
[strategies]
thresholds = "sweep"
interpretation = [{{ copying = 2 }}, {{}}]
low-rank-chains = {{ bands = 3 }}
"""
SETTINGS = {"thresholds", "thresholds-levels=1", "thresholds-levels=2", "interpretation-copying=2", "interpretation"}


def plan_file(folder: Path, last: int = 2) -> Path:
    file = folder / f"tiny-{last}.toml"
    file.write_text(PLAN.format(last=last))
    return file


def study(plan: Path, output: Path, *arguments: object) -> tuple[int, str]:
    command = ["study", plan, "-o", output, *arguments]
    result = CliRunner().invoke(prover.commands.cli, [str(argument) for argument in command])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return plan_file(tmp_path_factory.mktemp("plan"))


@pytest.fixture(scope="module")
def finished(plan: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("finished")
    code, out = study(plan, output, "--keep")
    assert code == 0 and "2 models" in out
    return output


def runs(folder: Path) -> set[str]:
    return {file.name for file in (folder / "runs").glob("*.json")}


# --- what is done -------------------------------------------------------------------------------------------------------------


def test_what_a_study_writes(finished: Path) -> None:
    found = json.loads((finished / "study.json").read_text())
    names = {one["name"] for one in found["settings"]}
    assert SETTINGS | {"low-rank-chains-bands=3", "thresholds (best of 3)", "interpretation (best of 2)"} == names
    assert len(found["models"]) == 2 and found["missing"] == 0 and found["version"] == __version__
    assert len(runs(finished)) == 12 and "thresholds (best of 3)" in (finished / "report.html").read_text()
    for file in (finished / "runs").iterdir():
        record = json.loads(file.read_text())
        certificate = finished / "certificates" / f"{file.stem}.cert"
        model = next(f for f in (finished / "models").iterdir() if found["models"][f.stem] == record["model"])
        verdict = verify(certificate, model)
        assert verdict.accepted and verdict.correct == record["verdict"]["correct"]


def test_processes_write_the_same_bytes(plan: Path, finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "models", tmp_path / "models")
    assert study(plan, tmp_path, "--jobs", 2)[0] == 0
    assert (tmp_path / "study.json").read_bytes() == (finished / "study.json").read_bytes()
    assert runs(tmp_path) == runs(finished) and not (tmp_path / "certificates").exists()


class Counted:
    """Counts runs, and interrupts one."""

    def __init__(self, patch: pytest.MonkeyPatch, fatal: int = 0) -> None:
        self.calls = 0

        def counted(run: Run) -> Any:
            self.calls += 1
            if self.calls == fatal:
                raise KeyboardInterrupt
            return carry_out(run)

        patch.setattr(prover.studies.study, "carry_out", counted)


def test_nothing_is_done_twice(plan: Path, finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted(monkeypatch)
    assert study(plan, finished)[0] == 0 and counted.calls == 0


def test_the_same_from_python(plan: Path, finished: Path) -> None:
    found = prover.study(plan, finished)
    assert [asdict(one) for one in found.settings] == json.loads((finished / "study.json").read_text())["settings"]


def test_interrupted_and_resumed(plan: Path, finished: Path, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        Counted(patch, fatal=5)
        code, out = study(plan, tmp_path)
    assert code == 1 and "Aborted" in out and len(runs(tmp_path)) == 4
    assert json.loads((tmp_path / "study.json").read_text())["missing"] == 8, "what is known is summed up"
    assert prover.commands.study._kept(read_plan(plan), tmp_path) == f"2 models and 4 runs kept in {tmp_path}"
    assert not prover.commands.study._kept(read_plan(plan), tmp_path / "new")
    with pytest.MonkeyPatch.context() as patch:
        counted = Counted(patch)
        assert study(plan, tmp_path)[0] == 0 and counted.calls == 8
    assert (tmp_path / "study.json").read_bytes() == (finished / "study.json").read_bytes()


def test_extended_and_merged(plan: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more seed takes six more runs; two folders with a seed each make one without any."""
    counted, longer, output = Counted(monkeypatch), plan_file(tmp_path, 3), tmp_path / "longer"
    code, out = study(longer, output, "--take", finished)
    assert code == 0 and "took over 12 runs" in out and counted.calls == 6
    assert take_over(finished, output) == 0
    assert study(plan, tmp_path / "again", "--take", output)[0] == 0 and counted.calls == 6
    assert (tmp_path / "again" / "study.json").read_bytes() == (finished / "study.json").read_bytes()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"model": 1}'])
def test_spoiled_records_are_made_again(content: str, plan: Path, finished: Path, tmp_path: Path) -> None:
    output = shutil.copytree(finished, tmp_path / "copy")
    spoiled = min((output / "runs").iterdir())
    spoiled.write_text(content)
    assert study(plan, output)[0] == 0
    assert (output / "study.json").read_bytes() == (finished / "study.json").read_bytes()


def test_what_was_refused_is_tried_again(plan: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = shutil.copytree(finished, tmp_path / "copy")
    file = min((output / "runs").iterdir())
    record = json.loads(file.read_text())
    file.write_text(json.dumps({**record, "verdict": {**record["verdict"], "accepted": False, "reason": "out of memory"}}))
    wanted = read_plan(plan)
    assert sum(one.refused for one in summary(known_study(wanted, output)).settings if one.parameters is not None) == 1
    counted = Counted(monkeypatch)
    assert study(plan, output)[0] == 0 and counted.calls == 1
    (output / "certificates" / f"{file.stem}.cert").unlink()
    assert study(plan, output)[0] == 0 and counted.calls == 1, "certificates are not asked for"
    assert study(plan, output, "--keep")[0] == 0 and counted.calls == 2


def test_a_run_that_fails_stops_no_other(plan: Path, tmp_path: Path, finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "out"
    shutil.copytree(finished / "models", output / "models")
    genuine = prover.studies.checked.prove

    def failing(problem: Any, strategy: Any) -> Any:
        if strategy.name == "interpretation":
            raise ValueError("numpy went wrong")
        return genuine(problem, strategy)

    monkeypatch.setattr(prover.studies.checked, "prove", failing)
    assert study(plan, output)[0] == 1, "something was refused"
    found = {one["name"]: one for one in json.loads((output / "study.json").read_text())["settings"]}
    assert found["interpretation"]["refused"] == 2 and found["thresholds"]["models"] == 2
    monkeypatch.undo()
    assert study(plan, output)[0] == 0
    assert (output / "study.json").read_bytes() == (finished / "study.json").read_bytes()


def test_certificates_that_are_not_those_of_the_record_are_made_again(
    plan: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = shutil.copytree(finished, tmp_path / "copy")
    min((output / "certificates").iterdir()).write_bytes(b"")
    first, second = sorted((output / "runs").iterdir())[:2]
    second.write_bytes(first.read_bytes())
    counted = Counted(monkeypatch)
    assert study(plan, output, "--keep")[0] == 0 and counted.calls == 2
    assert (output / "study.json").read_bytes() == (finished / "study.json").read_bytes()


def test_two_names_of_one_model_are_one_model(finished: Path, tmp_path: Path) -> None:
    model = min((finished / "models").iterdir())
    for name in ("a", "b"):
        shutil.copy(model, tmp_path / f"{name}.safetensors")
    (tmp_path / "plan.toml").write_text('[models]\nfiles = ["*.safetensors"]\n[strategies]\nexact = "default"\n')
    assert study(tmp_path / "plan.toml", tmp_path / "out")[0] == 0
    (one,) = json.loads((tmp_path / "out" / "study.json").read_text())["settings"]
    assert one["models"] == 1 and len(runs(tmp_path / "out")) == 1


def test_shares_are_rounded_down() -> None:
    shown = {0.99999: "99.99%", 1.0: "100.00%", 0.500056: "50.00%", 0.0: "0.00%", 0.1: "10.00%", 0.57: "57.00%"}
    assert {share: floor_share(share) for share in shown} == shown


def test_what_is_no_folder_of_a_study(plan: Path, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="is no study's folder"):
        study(plan, tmp_path, "--take", tmp_path / "typo")


def test_files_and_misfits(finished: Path, tmp_path: Path) -> None:
    """Models by file; a strategy that a model does not fit is counted, not an error."""
    for file in (finished / "models").iterdir():
        shutil.copy(file, tmp_path)
    plan = tmp_path / "files.toml"
    plan.write_text('[models]\nfiles = ["*.safetensors"]\n[strategies]\nclasses = [{ blocks = -1 }, {}]\nexact = "default"\n')
    assert study(plan, tmp_path / "out")[0] == 0
    by_name = {one["name"]: one for one in json.loads((tmp_path / "out" / "study.json").read_text())["settings"]}
    assert by_name["classes-blocks=-1"]["misfits"] == 2 and by_name["classes-blocks=-1"]["bound"] is None
    assert by_name["classes"]["models"] == by_name["exact"]["models"] == by_name["classes (best of 2)"]["models"] == 2
    assert not list((tmp_path / "out" / "models").iterdir())


def test_all_strategies_are_swept_unless_some_are_named(tmp_path: Path, plan: Path) -> None:
    text = plan.read_text()
    (tmp_path / "all.toml").write_text(text[: text.index("[strategies]")].replace("seeds = [1, 2]", "seeds = [1, 1]"))
    wanted = read_plan(tmp_path / "all.toml")
    model = trained(wanted.sources[0].recipe, prover.studies.study._CPU)[0]
    problem = prover.studies.study.problem_about(model, prover.studies.study._CPU)
    assert {one.name for one in wanted.strategies_for(model, problem)} >= {
        "brute-force",
        "exact",
        "sampling",
        "low-rank-chains",
    }


# --- plans that are wrong -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[models", "cannot read the study"),
        ("", r"\[models\] says either"),
        ("colour = 1", "has no colour; it may have models"),
        ('[models]\nrecipe = "max-of-k"\nfiles = ["x"]', r"\[models\] says either"),
        ('[models]\nfiles = ["*.none"]', "no files are named like"),
        ('[models]\nfiles = "*.safetensors"', "files is a list of names"),
        ('[models]\nfiles = ["/*.safetensors"]', "files is a list of names"),
        ('[models]\nrecipe = "max"\nseeds = [1, 2]', "there is no recipe 'max'; there are max-of-k"),
        ('[models]\nrecipe = "max-of-k"', "is not the first and the last seed"),
        ('[models]\nrecipe = "max-of-k"\nseeds = [2, 1]', "is not the first and the last seed"),
        ('[models]\nrecipe = "max-of-k"\nseeds = [1, 2]\nseed = 3', "not a seed"),
        ('[models]\nrecipe = "max-of-k"\nseeds = [1, 2]\ndepth = 3', "no setting 'depth'; it has length"),
        ('[models]\nrecipe = "max-of-k"\nseeds = [1, 2]\nlength = "long"', "not of type int"),
        ('[models]\nrecipe = "max-of-k"\nseeds = [1, 2]\nlength = true', "not of type int"),
        ('[models]\nrecipe = "group-composition"\nseeds = [1, 2]', "group"),
        ('precision = 3\n[models]\nrecipe = "max-of-k"\nseeds = [1, 2]', "12 to 256"),
        ('[models]\nrecipe = "max-of-k"\nseeds = [1, 2]\n[strategies]\nclasses = "all"', '"default", "sweep", or settings'),
        ('[models]\nrecipe = "max-of-k"\nseeds = [1, 2]\n[strategies]\nclasses = [1]', '"default", "sweep", or settings'),
        ('task = 3\n[models]\nrecipe = "max-of-k"\nseeds = [1, 2]', "not a text"),
    ],
)
def test_plans_that_are_wrong(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(FormatError, match=message):
        read_plan(tmp_path / "bad.toml")


@pytest.mark.parametrize(
    ("strategies", "message"),
    [('rho-sets = "default"', "not for models like this one"), ("exact = { depth = 3 }", "no switch 'depth'")],
)
def test_strategies_that_are_wrong(strategies: str, message: str, plan: Path, finished: Path, tmp_path: Path) -> None:
    text = plan.read_text()
    bad = tmp_path / "bad.toml"
    bad.write_text(text[: text.index("[strategies]")] + f"[strategies]\n{strategies}\n")
    code, out = study(bad, shutil.copytree(finished, tmp_path / "copy"))
    assert code == 1 and re.search(message, out)


def test_models_are_named_by_what_they_were_trained_for(tmp_path: Path) -> None:
    """A folder holds models of several tasks; none is taken for one of another task."""
    names = set()
    for digits in (1, 2):
        write_automaton(tmp_path / "task.json", number_addition(digits))
        (tmp_path / "plan.toml").write_text('task = "task.json"\n[models]\nrecipe = "own-task"\nseeds = [1, 1]\nlayers = 2\n')
        (source,) = read_plan(tmp_path / "plan.toml").sources
        names.add(source.name)
    assert len(names) == 2


def test_recipes() -> None:
    assert recipe_of("max-of-k", {"length": 7}) == MaxOfKRecipe(length=7)
    assert recipe_of("own-task", {"rate": 1}).rate == 1
    with pytest.raises(ValueError, match="needs a task"):
        trained(recipe_of("own-task", {}), prover.studies.study._CPU)
    with pytest.raises(ValueError, match="cyclic"):
        trained(recipe_of("group-composition", {"group": "symmetric:3", "tied": True}), prover.studies.study._CPU)
    with pytest.raises(ValueError, match="multiple"):
        trained(recipe_of("modular-addition", {"d_model": 6}), prover.studies.study._CPU)


def test_a_task_without_a_name(tmp_path: Path) -> None:
    """The recipe for addition brings its task along; strategies are those for such models."""
    plan = tmp_path / "adders.toml"
    plan.write_text(
        '[models]\nrecipe = "addition"\nseeds = [0, 0]\ndigits = 1\nd_model = 8\nd_head = 4\nd_mlp = 8\nsteps = 3\n'
        '[strategies]\nenumerate = "default"\n'
    )
    wanted = read_plan(plan)
    assert wanted.automaton is not None and wanted.automaton.digest == number_addition(1).digest
    assert wanted.sources[0].recipe == AdditionRecipe(1, 0, 8, 4, 8, 3)
    assert study(plan, tmp_path / "out")[0] == 0
    (one,) = json.loads((tmp_path / "out" / "study.json").read_text())["settings"]
    assert one["models"] == 1


# --- sums ---------------------------------------------------------------------------------------------------------------------


def record(model: int, name: str, correct: int, operations: int, **changes: Any) -> Record:
    verdict = {"accepted": True, "reason": "", "correct": correct, "total": 999, "operations": operations}
    verdict |= {"unexplained_dimension": 7, "certificate_bytes": 1, "rules": []}
    made = {
        "misfit": None,
        "certificate_sha256": "",
        "seconds": {},
        "strategy": name.split("-", maxsplit=1)[0],
        "parameters": {},
    }
    return Record(**{**made, "model": str(model), "name": name, "verdict": verdict, **changes})


def test_sums_over_models(tmp_path: Path) -> None:
    counts = [0, 999, 950, 100, 333, 998]
    records = [record(i, "classes", count, 1000 + i) for i, count in enumerate(counts)]
    records += [record(i, "classes-fine=0", 500, 100) for i in range(6)]
    records += [record(0, "exact", 0, 0, misfit="too large"), record(1, "exact", 999, 5000)]
    found = summary(Study({f"m{i}": str(i) for i in range(6)}, tuple(records), 4))
    by_name = {one.name: one for one in found.settings}
    classes = by_name["classes"]
    assert classes.models == 6 and classes.nothing == 1 and classes.much == 3, "950 of 999 is more than 95%"
    bounds = [count / 999 for count in counts]
    assert classes.bound.mean == pytest.approx(statistics.mean(bounds), abs=1e-8)
    assert Fraction(classes.bound.mean) <= Fraction(sum(counts), 6 * 999), "rounded down"
    assert classes.bound.deviation == pytest.approx(statistics.pstdev(bounds), abs=1e-8)
    assert classes.bound.quantiles["least"] == 0 and classes.bound.quantiles["greatest"] == 1
    assert classes.bound.quantiles["median"] == pytest.approx(333 / 999, abs=1e-8)
    assert classes.operations.mean == 1002.5
    best = by_name["classes (best of 2)"]
    assert best.bound.mean == pytest.approx(statistics.mean(max(bound, 500 / 999) for bound in bounds), abs=1e-8)
    assert by_name["exact"].misfits == 1 and by_name["exact"].models == 1 and found.missing == 4
    assert found.settings[0].name == "exact", "the longest first"
    within = {budget.operations: budget.bound for budget in found.budgets}
    assert within[100].mean == pytest.approx(500 / 999, abs=1e-8) and within[100].deviation == 0
    assert max(within.values(), key=lambda one: one.mean) == within[max(within)]
    write_summary(found, tmp_path)
    assert json.loads((tmp_path / "study.json").read_text())["missing"] == 4


def test_quantiles_are_values_of_models() -> None:
    """The lower one of two: docstring and page say so."""
    records = (record(0, "classes", 100, 10), record(1, "classes", 900, 20))
    (one,) = summary(Study({"a": "0", "b": "1"}, records, 0)).settings
    assert one.bound is not None and one.bound.quantiles["median"] == pytest.approx(100 / 999, abs=1e-8)
    assert one.bound.quantiles["95%"] == one.bound.quantiles["median"] < one.bound.quantiles["greatest"]


def test_published_points_beside_it(tmp_path: Path) -> None:
    found = summary(Study({"m": "0"}, (record(0, "classes", 900, 1000),), 1))
    write_study_page(found, "one <model>", PUBLISHED, tmp_path)
    text = (tmp_path / "report.html").read_text()
    assert "sub-cubic" in text and "one &lt;model&gt;" in text and "runs not done yet" in text
    assert not sticking_out(tmp_path / "report.html")
    write_study_page(summary(Study({}, (), 3)), "none", (), tmp_path)
    assert "sub-cubic" not in told((tmp_path / "report.html").read_text())


def test_the_page_fits_all_windows(finished: Path) -> None:
    assert not sticking_out(finished / "report.html")


# --- a cluster ----------------------------------------------------------------------------------------------------------------


def while_running(plan: Path, output: Path, cluster: Cluster, do: Callable[[], None]) -> tuple[int, str]:
    """The command in a process of its own; when it has written its first run, something happens."""
    command = [sys.executable, "-m", "prover", "study", plan, "-o", output, "--scheduler", cluster.address]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[2], stderr=subprocess.STDOUT, stdout=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not list(output.glob("runs/*.json")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    do()
    out, _ = process.communicate(timeout=120)
    return process.returncode, out.decode()


def test_a_cluster_writes_the_same_bytes_and_survives_a_worker(
    plan: Path, finished: Path, tmp_path: Path, cluster: Cluster
) -> None:
    """No files are shared: workers get bytes, and send bytes. One of two is killed in the middle."""
    output = tmp_path / "out"
    code, out = while_running(plan, output, cluster, cluster.workers[0].kill)
    assert code == 0, out
    assert (output / "study.json").read_bytes() == (finished / "study.json").read_bytes()


@pytest.mark.skipif(not THOROUGH, reason="half a minute, most of it waiting")
def test_a_scheduler_that_goes_away(plan: Path, finished: Path, tmp_path: Path, cluster: Cluster) -> None:
    output = tmp_path / "out"
    for worker in cluster.workers[1:]:
        worker.send_signal(signal.SIGSTOP)  # so that it does not end too early
    code, out = while_running(plan, output, cluster, cluster.scheduler.kill)
    cluster.workers[1].send_signal(signal.SIGCONT)
    assert code == 2 and "went away" in out and "the same command goes on from there" in out and "Traceback" not in out, out
    assert 1 <= len(runs(output)) < 12
    assert study(plan, output)[0] == 0
    assert (output / "study.json").read_bytes() == (finished / "study.json").read_bytes()


def test_nobody_there(plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr(prover.studies.workers, "_PATIENCE", 0.2)
    code, out = study(plan, tmp_path, "--scheduler", "tcp://127.0.0.1:1")
    assert code == 1 and "no Dask scheduler answers at tcp://127.0.0.1:1" in out
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(WorkersLost, match=r"compact-proofs\[cluster\]"):
        run_study(read_plan(plan), tmp_path, Workers(scheduler="tcp://127.0.0.1:1"))


def test_workers_of_another_version_are_refused(plan: Path, finished: Path, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"this worker has version .* is run by 0.0.1: install one version"):
        carry_out(Run(b"", prover.studies.study_plan.strategies_for, "0.0.1"))  # type: ignore[arg-type]
