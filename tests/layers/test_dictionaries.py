"""Rule coded-output, codes that overlap, against the truth and the same factors in one block; dictionaries, files, search."""

import json
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hidden_oracle import HiddenModel, pack, shapes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from test_frontier import BROWSER_ARGUMENTS, chromium, sticking_out
from test_hidden_rules import (
    ANY,
    EXACT,
    PRECISIONS,
    SIDES,
    Check,
    Factors,
    low_rank_leads,
    of_integers,
    rounded,
    small,
    tables_step,
    unembed_of,
)
from thorough import THOROUGH, some

import certificates
from certificates import Certificate, FormatError, GroupMLP, Model, Step, read_certificate, write_model
from certificates.groups import group_table
from checker import Budget, OverBudget, verify
from checker.decide import check_proof
from checker.layers.coded_output import _code
from checker.rules.projections import hinted
from prover.attention import direction_search
from prover.commands import cli
from prover.layers import factor_search
from prover.layers.dictionaries import Codes, Dictionary, train
from prover.layers.two_input_problem import TwoInputProblem
from prover.representations import representation_search
from prover.strategies.dictionary_output import DictionaryOutput
from prover.strategies.interpretation import Interpretation
from prover.strategies.low_rank_output import LowRankOutput
from prover.strategy import DoesNotFit
from prover.training.group_composition import GroupRecipe, train_group_composition
from prover.weights import load_weights, raw_tensor

torch.set_num_threads(1)

# --- the rule -----------------------------------------------------------------------------------------------------------------


@st.composite
def sparse_hints(draw: Any, check: Check, chosen: list[int]) -> tuple[Factors, dict[str, np.ndarray]]:
    """A dictionary with codes, and the same factors without zeros left out: exact (a row for an atom), near, or nonsense."""
    unembed, scale = unembed_of(check.tiny)[chosen], draw(st.sampled_from([0, 4, 12]))
    kind = draw(st.sampled_from(["exact", "near", "nonsense"]))
    count = len(chosen) if kind != "nonsense" else draw(st.integers(1, 3))
    rows = (
        unembed if kind != "nonsense" else np.array(draw(st.lists(st.integers(-2, 2), min_size=count, max_size=count)))[:, None]
    )
    dictionary = rounded(np.broadcast_to(rows, (count, check.tiny.outputs)), scale)
    if kind == "near":
        dictionary = dictionary + draw(st.integers(-1, 1))
    width = draw(st.integers(1, min(3, count)))
    listed = st.sets(st.integers(0, count - 1), min_size=width, max_size=width)
    codes = np.zeros((len(chosen), width), np.int64)
    if kind == "nonsense":
        atoms = np.array([sorted(draw(listed)) for _ in chosen])
        codes = np.array([draw(st.lists(st.integers(-2, 2), min_size=width, max_size=width)) for _ in chosen]) * 2**scale
    else:  # its own atom, and others that cost nothing
        atoms = np.array([sorted([*sorted(draw(listed) - {i})[: width - 1], i]) if width > 1 else [i] for i in range(count)])
        codes[atoms == np.arange(count)[:, None]] = 2**scale
    used = np.unique(atoms)
    atoms, dictionary = np.searchsorted(used, atoms), dictionary[used]
    dense = np.zeros((len(chosen), len(used)), np.int64)
    np.put_along_axis(dense, atoms, codes, 1)
    centre = np.array(draw(st.lists(st.sampled_from([0, 1, 3, -5]), min_size=len(chosen), max_size=len(chosen)))) * 2**scale
    same = Factors(np.zeros(1, np.int64), dense, dictionary[None], centre, scale, draw(SIDES))
    return same, {"atoms": atoms, "codes": codes, "dictionary": dictionary, "centre": centre}


def step_of(hints: dict[str, np.ndarray], same: Factors, marks: np.ndarray, mirrored: int = 0) -> Step:
    parameters = {"mirrored": mirrored, "pairwise": same.pairwise, "scale": same.scale}
    stored = {name: of_integers(hint) for name, hint in {"pairs": marks, **hints}.items()}
    return Step("coded-output", (0,), parameters, stored)


@settings(max_examples=some(80), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tiny=ANY, precision=PRECISIONS, data=st.data())
def test_what_is_proved_by_a_dictionary_is_true_whatever_the_hints(
    tiny: HiddenModel, precision: int, data: st.DataObject
) -> None:
    check = Check(tiny, precision)
    chosen = data.draw(st.permutations(range(check.neurons)))
    same, hints = data.draw(sparse_hints(check, chosen))
    tables = check.tables(chosen)
    accepted = check.one_by_one(tables, lambda marks: step_of(hints, same, marks))
    check.assert_true(accepted)
    check.assert_true(check.one_by_one(tables, lambda marks: step_of(hints, same, marks, 1)))
    if tiny.exact and precision == 64:
        lead, unit = low_rank_leads(check, chosen, same)
        assert np.all(accepted[lead > unit]) and not np.any(accepted[lead < -unit])


@settings(max_examples=some(40), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tiny=EXACT, data=st.data())
def test_it_agrees_with_the_same_factors_written_out(tiny: HiddenModel, data: st.DataObject) -> None:
    check = Check(tiny)
    chosen = list(range(check.neurons))
    same, hints = data.draw(sparse_hints(check, chosen))
    tables = check.tables(chosen)
    sparse = check.one_by_one(tables, lambda marks: step_of(hints, same, marks))
    assert np.array_equal(sparse, check.one_by_one(tables, same.step))


def many_codes(pairs: int, hidden: int, count: int, features: bool = False) -> tuple[Certificate, Model]:
    """Neurons with codes for all of `count` atoms, some pairs claimed. All pairs have the same true output."""
    size = 16
    weights = {name: np.zeros(shape) for name, shape in shapes(False, size, hidden, size, 0, 0, 0).items()}
    weights["unembed.b_U"][1] = 1
    check = Check(HiddenModel(pack(weights, "F16"), None, np.ones((size, size), np.int64), True), 30)
    marks = (np.arange(size**2) < pairs).reshape(size, size).astype(np.int64)
    hints = {
        "atoms": np.tile(np.arange(count), (hidden, 1)),
        "codes": np.zeros((hidden, count), np.int64),
        "dictionary": np.zeros((count, size), np.int64),
        "centre": np.zeros(hidden, np.int64),
    }
    if features:
        hints |= {"left_features": np.zeros((size, count), np.int64), "right_features": np.zeros((size, count), np.int64)}
    stored = {name: of_integers(hint) for name, hint in {"pairs": marks, **hints}.items()}
    step = Step("coded-output", (0,), {"mirrored": 0, "pairwise": 0, "scale": 0}, stored)
    return check.certificate((tables_step(range(hidden)), step), pairs), check.model


def test_codes_take_memory() -> None:
    certificate, model = many_codes(0, 64, 64)
    check_proof(certificate, model, budget=Budget(memory=360 * 64**2))
    with pytest.raises(OverBudget):
        check_proof(certificate, model, budget=Budget(memory=200 * 64**2))


def test_codes_take_time() -> None:
    """Also those that are not listed; and so does looking at rows and columns that are hardly there."""
    setting = small().setting
    for atoms, count in ((np.arange(1000)[:, None], 1000), (np.arange(10**4)[None], 10**4)):
        before = setting.meter.effort
        _code(setting, atoms, 0 * atoms, count, 0)
        assert setting.meter.effort - before > 10**6


def test_columns_that_are_taken_together_come_back_in_their_places() -> None:
    """Columns 0 and 2 are listed for the same neurons, column 1 for another one."""
    setting = small().setting
    atoms, codes = np.array([[0, 2], [0, 2], [1, 3]]), np.array([[1, 2], [3, 4], [5, 6]])
    matrix = np.zeros((3, 4), np.int64)
    matrix[np.arange(3)[:, None], atoms] = codes
    code, transpose = _code(setting, atoms, codes, 4, 0)
    half = setting.arithmetic.exact(np.ones((1, 1), np.int64), np.full((1, 1), -1))
    for sparse, rows, wanted in ((code, np.arange(1, 4), matrix), (transpose, np.arange(1, 5), matrix.T)):
        apart = sparse.after(hinted(setting, rows[None], 0)) - hinted(setting, (rows @ wanted)[None], 0)
        assert (half - abs(apart)).positive().all()


def test_what_codes_take_is_announced_and_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """A matrix of neurons and atoms, however few codes are listed: bytes that stay, and its entries looked at."""
    setting, toiled, neurons, count = small().setting, list[int](), 30, 30
    monkeypatch.setattr(setting.meter, "toil", lambda effort, really=True: toiled.append(effort))
    before = setting.meter.held
    _code(setting, np.arange(neurons)[:, None], np.zeros((neurons, 1), np.int64), count, 0)
    assert setting.meter.held - before >= 9 * neurons * count
    assert toiled[0] >= (200 + neurons) * (200 + count)


def test_codes_that_are_not_listed_take_memory() -> None:
    """As many as neurons times atoms: a thousand of either, each neuron with one atom."""
    certificate, model = many_codes(0, 1000, 1)
    one_each = {"atoms": np.arange(1000)[:, None], "dictionary": np.zeros((1000, 16), np.int64)}
    step = certificate.steps[1]
    step = replace(step, hints={**step.hints, **{name: of_integers(hint) for name, hint in one_each.items()}})
    certificate = replace(certificate, steps=(certificate.steps[0], step))
    check_proof(certificate, model)
    tracemalloc.start()
    try:
        with pytest.raises(OverBudget):
            check_proof(certificate, model, budget=Budget(memory=2**24))
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 2**24


@pytest.mark.parametrize("features", [False, True])
def test_there_are_few_pairs_at_a_time_where_there_are_many_atoms(features: bool) -> None:
    """Some 5,000 bytes for each atom: of 64 pairs (32 with features), not of all 256."""
    certificate, model = many_codes(256, 2, 2**12, features)
    check_proof(certificate, model)
    tracemalloc.start()
    try:
        check_proof(certificate, model)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 2**12 * 9000


# --- dictionaries -------------------------------------------------------------------------------------------------------------


def test_training_finds_a_sparse_dictionary() -> None:
    rng = np.random.default_rng(0)
    atoms = np.linalg.qr(rng.normal(size=(12, 12)))[0][:6]
    codes = np.zeros((200, 6))
    for row in codes:
        row[rng.choice(6, 2, replace=False)] = 1 + rng.random(2)
    rows = codes @ atoms
    found = train(rows, 6, 2)
    encoded = found.encode(rows, 2)
    rest = rows - encoded.matrix(6) @ found.atoms
    assert (rest**2).sum() < 0.15 * (rows**2).sum()
    assert encoded.atoms.shape == encoded.values.shape == (200, 2)
    assert np.all(np.diff(encoded.atoms, axis=1) > 0), "different atoms"


def test_codes_and_matrices() -> None:
    dense = np.array([[0.0, 3, -1], [2, 0, 0.5]])
    codes = Codes.of_matrix(dense, 2)
    assert np.array_equal(codes.matrix(3), dense)
    assert np.array_equal(Codes.of_matrix(dense, 1).matrix(3), [[0, 3, 0], [2, 0, 0]])


def test_dictionary_files(tmp_path: Path) -> None:
    dictionary = Dictionary.of_atoms(np.random.default_rng(0).normal(size=(4, 7)))
    dictionary.write(tmp_path / "d.safetensors")
    assert {name: t.shape for name, t in load_file(tmp_path / "d.safetensors").items()} == {
        "W_dec": (4, 7), "W_enc": (7, 4), "b_dec": (7,), "b_enc": (4,)
    }  # fmt: skip
    again = Dictionary.read(tmp_path / "d.safetensors")
    assert np.allclose(again.atoms, dictionary.atoms, atol=1e-6) and np.allclose(again.encoder, dictionary.encoder, atol=1e-6)
    eye = np.eye(4, 7, dtype=np.float32)
    save_file({"W_dec": eye, "W_enc": np.ascontiguousarray(eye.T)}, tmp_path / "plain.safetensors")
    assert np.array_equal(Dictionary.read(tmp_path / "plain.safetensors").atoms, eye)
    save_file({"W_dec": eye, "W_enc": np.ascontiguousarray(eye.T), "b_dec": np.ones(7, np.float32)}, tmp_path / "b.safetensors")
    assert np.array_equal(Dictionary.read(tmp_path / "b.safetensors").atoms[4], np.ones(7)), "a bias is an atom as well"
    bad: list[dict[str, np.ndarray]] = [
        {"W_dec": eye},
        {"W_dec": eye, "W_enc": eye},
        {"W_dec": eye, "W_enc": np.ascontiguousarray(eye.T), "other": eye},
        {"W_dec": eye * np.nan, "W_enc": np.ascontiguousarray(eye.T)},
        {"W_dec": np.zeros(3, np.float32), "W_enc": eye},
    ]
    for tensors in bad:
        save_file(tensors, tmp_path / "bad.safetensors")
        with pytest.raises(FormatError, match="no dictionary"):
            Dictionary.read(tmp_path / "bad.safetensors")
    with pytest.raises(FormatError, match="cannot read"):
        Dictionary.read(tmp_path / "missing.safetensors")


# --- the search ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Addition modulo 7."""
    path = tmp_path_factory.mktemp("models") / "cyclic-7.safetensors"
    recipe = GroupRecipe(hidden=24, candidates=1, trial=1, steps=600, fraction=1.0, decay=1e-4)
    weights = train_group_composition(torch.from_numpy(group_table("cyclic:7")), recipe)
    config = GroupMLP(weights["mlp.b_in"].shape[0], 7, 7)
    task = {"name": "group-composition", "group": "cyclic:7"}
    write_model(path, Model(config, {name: raw_tensor(tensor) for name, tensor in weights.items()}, task))
    return path


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    return result.exit_code, result.output + (str(result.exception) if result.exception else "")


@pytest.fixture
def shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(factor_search, "_STEPS", 150)
    families = {
        "low-rank": lambda: [LowRankOutput(rank=rank) for rank in (2, 3, 6)],
        "sparse-dictionary": lambda: [DictionaryOutput(atoms, 2) for atoms in (4, 7, 14)],
    }
    monkeypatch.setattr(representation_search, "FAMILIES", families)


@pytest.mark.usefixtures("shorter")
@pytest.mark.parametrize("family", ["low-rank", "sparse-dictionary"] if THOROUGH else ["sparse-dictionary"])
def test_search(network: Path, tmp_path: Path, family: str) -> None:
    code, output = run("search", network, "--family", family, "-o", tmp_path / "out")
    assert code == 0, output
    records = json.loads((tmp_path / "out" / "frontier.json").read_text())
    assert len(records) == 6 and all(record["accepted"] for record in records)
    by_objective = [sum(r["correct"] for r in records if r["parameters"]["objective"] == number) for number in (0, 1)]
    assert by_objective[1] >= by_objective[0] and by_objective[1] > 0, "what was trained for the bound certifies more"
    assert "factors trained for the bound certify more on" in output
    files = sorted(path.name for path in (tmp_path / "out").glob("*.dictionary"))
    assert len(files) == (6 if family == "sparse-dictionary" else 0)
    if files:
        dictionary = tmp_path / "out" / files[-1]
        command = ("prove", network, "--strategy", "dictionary", "--dictionary", dictionary, "-o", tmp_path / "x.cert")
        code, output = run(*command)
        assert code == 0, output
        verdict = verify(tmp_path / "x.cert", network)
        assert verdict.accepted
        certificate, _ = read_certificate(tmp_path / "x.cert")
        assert certificate.steps[-1].rule == "coded-output"
    executable = chromium()
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=BROWSER_ARGUMENTS)
        view, errors = browser.new_page(), []
        view.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        view.on("pageerror", lambda error: errors.append(str(error)))
        view.goto((tmp_path / "out" / "report.html").resolve().as_uri())
        view.wait_for_selector("#operations-figure .scatterlayer .trace", state="attached")
        assert view.title() == "cyclic-7: representations"
        browser.close()
    assert not errors and not sticking_out(tmp_path / "out" / "report.html")


def test_search_of_circuits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direction_search, "_STEPS", 20)
    settings = [Interpretation(1, 4, diagonal=1), Interpretation(2, 4, 2)]
    monkeypatch.setattr(representation_search, "_of_circuits", lambda: settings)
    model = Path(certificates.__file__).parent / "models" / "max-of-4.safetensors"
    code, output = run("search", model, "--family", "low-rank", "-o", tmp_path / "out")
    assert code == 0, output
    records = json.loads((tmp_path / "out" / "frontier.json").read_text())
    assert len(records) == 4 and all(record["accepted"] for record in records)
    switches = ("attention", "copying", "direct", "diagonal")
    by_setting = {
        (*(record["parameters"][name] for name in switches), record["parameters"]["objective"]): record["correct"]
        for record in records
    }
    certified = [[by_setting[(one.attention, one.copying, one.direct, one.diagonal, n)] for n in (0, 1)] for one in settings]
    assert all(before <= after for before, after in certified) and any(before < after for before, after in certified)
    assert "attention 2, copying 4, direct 2" in (tmp_path / "out" / "report.html").read_text()
    code, output = run("search", model, "--family", "crosscoder", "-o", tmp_path / "none")
    assert code != 0 and "for this model there is --family low-rank" in output


def test_what_is_no_search(network: Path, tmp_path: Path) -> None:
    code, output = run("prove", network, "--strategy", "rho-sets", "--dictionary", "x", "-o", tmp_path / "x.cert")
    assert code != 0 and "--dictionary is for strategies dictionary and crosscoder" in output
    Dictionary.of_atoms(np.eye(4, 9)).write(tmp_path / "other.safetensors")
    command = ("prove", network, "--strategy", "dictionary", "-o", tmp_path / "x.cert")
    code, output = run(*command, "--dictionary", tmp_path / "other.safetensors")
    assert code != 0 and "atoms of 9 numbers: there are 7 logits" in output
    code, output = run(*command, "--set", "sparsity=17")
    assert code != 0 and "1 <= sparsity <= atoms" in output


# --- SAELens ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["standard", "topk", "jumprelu"])
def test_folders_that_sae_lens_wrote(kind: str) -> None:
    """Recorded by tests/interop/saes.py from the real package; only the decoder and its bias matter."""
    folder = Path(__file__).parent / "recorded" / f"sae-{kind}"
    tensors = load_file(folder / "sae_weights.safetensors")
    found = Dictionary.read(folder)
    assert np.array_equal(found.atoms[:5], tensors["W_dec"]) and np.array_equal(found.atoms[5], tensors["b_dec"])


def test_folders_for_sae_lens(tmp_path: Path) -> None:
    """What `SAE.load_from_disk` wants; that it does load them, tests/interop/saes.py tries with the real package."""
    dictionary = Dictionary.of_atoms(np.random.default_rng(0).normal(size=(5, 7)))
    dictionary.write_folder(tmp_path / "sae", 2)
    config = json.loads((tmp_path / "sae" / "cfg.json").read_text())
    recorded = json.loads((Path(__file__).parent / "recorded" / "sae-topk" / "cfg.json").read_text())
    assert set(config) <= set(recorded) and (config["d_in"], config["d_sae"], config["k"]) == (7, 5, 2)
    assert np.allclose(Dictionary.read(tmp_path / "sae").atoms, dictionary.atoms, atol=1e-6)


def test_dictionaries_of_the_residual_stream(tmp_path: Path) -> None:
    """Atoms of d_model numbers go through the unembedding; the certificate is that of the atoms in the logits."""
    path = Path(certificates.__file__).parent / "models" / "modular-addition-59.safetensors"
    problem = TwoInputProblem(certificates.read_model(path), torch.device("cpu"))
    weights = load_weights(problem.model, torch.device("cpu"))
    stream = train(weights["blocks.0.mlp.W_out"].numpy(), 16, 2)
    logits = stream.atoms @ weights["unembed.W_U"].numpy()
    logits -= logits.mean(1, keepdims=True)
    found = [
        DictionaryOutput(16, 2).prove(replace(problem, dictionary=dictionary))
        for dictionary in (stream, Dictionary.of_atoms(logits))
    ]
    assert found[0].correct == found[1].correct > 0
    with pytest.raises(DoesNotFit, match="atoms of 9 numbers: there are 59 logits, and 128 numbers in the residual stream"):
        DictionaryOutput(16, 2).prove(replace(problem, dictionary=Dictionary.of_atoms(np.eye(4, 9))))
