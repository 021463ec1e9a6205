"""Executions in floating point, simulated (tests/oracles/executions) or PyTorch's, against what rule executed-forward encloses.

A coarse format makes errors visible.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from executions import SHIFTS, Execution, Simulated
from test_enclosures import ends
from test_forward import all_inputs, setting_of
from test_prefix_classes import classes_step, deep, draw_classes, in_order
from test_regions import draw_automaton, draw_hints, every_input, one_layer, setting_for, states_after, step_of, width
from thorough import THOROUGH, parts, some
from transformer_models import ALL, draw_model, stored_weights

from certificates import Model, RawTensor
from certificates.automaton import Automaton
from checker.core.enclosures import Enclosure
from checker.core.errors import Refused
from checker.core.facts import Setting
from checker.rules.float_formats import FORMATS, Format
from checker.transformer.executed_forward import ExecutedLayers
from checker.transformer.finer import RightAtRead
from checker.transformer.prefix_classes import prefix_classes
from checker.transformer.regions import regions
from checker.transformer.transformer_forward import EvaluatedTransformer, evaluated

ROOM = 1e-13
"""Relative to the numbers, what float64 may be off in simulations."""


def coarse(bits: int) -> Format:
    return Format("coarse", bits, bits, 127)


def runs(number: int, bits: int) -> list[Execution]:
    """Executions: of random errors, of the largest ones, all in one direction or any."""
    pushes = (None, 0.0, 0.0, 1.0, -1.0, 0.0)
    return [
        Execution(np.random.default_rng(i), pushes[i % 6], 2.0**-bits, None if i % 2 else SHIFTS[i // 2 % 4])
        for i in range(number)
    ]


def simulated(model: Model, run: Execution) -> Simulated:
    return Simulated(vars(model.config), stored_weights(model), run)


def sides(enclosure: Enclosure) -> tuple[np.ndarray, np.ndarray]:
    low, high = ends(enclosure)
    return low.astype(np.float64), high.astype(np.float64)


def require_inside(found: np.ndarray, low: np.ndarray, high: np.ndarray, what: Any) -> float:
    """And how far from the middle they get, of what is allowed."""
    room = ROOM * (1 + np.abs(low) + np.abs(high))
    assert np.all((low - room <= found) & (found <= high + room)), what
    return float((np.abs(found - (low + high) / 2) / np.maximum((high - low) / 2, 1e-300)).max())


def executed(setting: Setting, bits: int) -> EvaluatedTransformer:
    return evaluated(ExecutedLayers(setting, setting.model.config, coarse(bits)))


@pytest.mark.parametrize("seed", range(2 * ALL if THOROUGH else ALL))
def test_logits_of_executions_are_enclosed(seed: int) -> None:
    """At every position of every input, of every kind of model; with few bits, unless norms then divide by little."""
    model, closest = draw_model(seed, pad_token=-1, size=(0.6, 0.3)[seed // ALL]), 0.0
    without_norms = model.config.normalization_type is None and not model.config.use_qk_norm
    inputs = all_inputs(model)
    inputs = inputs[np.random.default_rng(seed).permutation(len(inputs))[: some(80)]]
    for bits, precision in ((11, 30), (14, 30), (34, 64)):
        try:
            low, high = sides(executed(setting_of(model, precision), bits).forward.logits(inputs, range(model.config.n_ctx)))
        except Refused:
            assert bits < 34 or not without_norms
            continue
        for number, run in enumerate(runs(some(24), bits)):
            closest = max(closest, require_inside(simulated(model, run)(inputs), low, high, (seed, bits, number)))
    assert closest > 0.02 or not without_norms or model.config.n_layers > 1


def leads_in(model: Model, run: Execution, rows: np.ndarray, automaton: Automaton) -> np.ndarray:
    """By how much the true output leads at each read, "n r"."""
    logits = simulated(model, run)(rows)[:, automaton.reads[:, 0]]
    own = automaton.outputs_of(rows)[..., None]
    others = logits.copy()
    np.put_along_axis(others, own, -np.inf, 2)
    return np.take_along_axis(logits, own, 2)[..., 0] - others.max(2)


@pytest.mark.parametrize("seed", parts(60))
def test_all_inputs_of_proved_regions_are_right_in_executions(seed: int) -> None:
    """Of every kind of model and task."""
    rng, model = np.random.default_rng(seed), one_layer(seed, pad_token=-1)
    automaton, bits = draw_automaton(model, rng), (9, 12, 16, 22)[seed // 2 % 4]
    rows, setting = every_input(automaton), setting_for(model, automaton, (30, 64)[seed % 2])
    try:
        forward = executed(setting, bits)
    except Refused:
        bits = 34
        forward = executed(setting, bits)
    in_runs = [leads_in(model, run, rows, automaton) for run in runs(some(16), bits)]
    for read in range(len(automaton.reads)):
        hints = draw_hints(automaton, read, rng, int(rng.choice([1, 2, 60])), width(model), 0.1 * (seed % 4 == 1))
        try:
            fact = regions(setting, step_of(read, hints, int(rng.integers(0, 4))), (forward,))
        except Refused:
            continue
        held = fact.covers(rows)
        assert fact.deployed == "coarse" and fact.correct == np.count_nonzero(held)
        assert all(np.all(leads[held, read] > 0) for leads in in_runs)


@pytest.mark.parametrize("seed", parts(60))
def test_streams_and_leads_of_executions_are_in_the_boxes_of_classes(seed: int) -> None:
    """And the inputs of proved regions are right."""
    rng, model = np.random.default_rng(seed), deep(seed)
    automaton, bits = in_order(model, rng), (12, 16, 22, 28)[seed // 2 % 4]
    rows, setting = every_input(automaton), setting_for(model, automaton, (30, 64)[seed % 2])
    classes, finer = draw_classes(automaton, rng, int(rng.choice([1, 2, 60])))
    try:
        layer = prefix_classes(setting, classes_step(classes), (executed(setting, bits),))
    except Refused:
        return
    low, high = sides(layer.stream)
    states = np.stack([states_after(finer, rows, i + 1) for i in range(rows.shape[1])], 1)
    in_runs = []
    for number, run in enumerate(runs(some(16), bits)):
        execution = simulated(model, run)
        execution(rows)
        require_inside(execution.streams[-2], low[layer.first + states], high[layer.first + states], number)
        in_runs.append(leads_in(model, run, rows, automaton))
    for read, (position, steps) in enumerate(automaton.reads.tolist()):
        hints = draw_hints(finer, read, rng, int(rng.choice([1, 2, 60])), width(model), 0.1 * (seed % 4 == 1), by_state=True)
        if steps <= position:
            return
        try:
            fact = regions(setting, step_of(read, hints, int(rng.integers(0, 4))), (layer,))
        except Refused:
            continue
        held = fact.covers(rows)
        assert fact.deployed == "coarse" and fact.correct == np.count_nonzero(held)
        assert all(np.all(leads[held, read] > 0) for leads in in_runs)


def handmade(config: dict[str, Any], **weights: Any) -> Model:
    """A model of three positions, two tokens and outputs; zero except for these float32 weights, and with no other biases."""
    model = draw_model(0, **{**PLAIN, **config})
    tensors = {}
    for name, shape in model.config.tensor_shapes().items():
        given = weights.get(name.replace(".", "__"))
        if given is not None or not name.rpartition(".")[2].startswith("b"):
            array = np.zeros(shape, "<f4")
            array[...] = 0 if given is None else given
            tensors[name] = RawTensor("F32", shape, array.tobytes())
    return replace(model, tensors=tensors)


PLAIN = {
    "n_layers": 1,
    "n_heads": 1,
    "n_key_value_heads": 1,
    "d_head": 1,
    "d_model": 4,
    "d_vocab": 2,
    "d_vocab_out": 2,
    "n_ctx": 3,
    "attn_only": True,
    "normalization_type": None,
    "use_qk_norm": False,
    "positional_embedding_type": "standard",
    "attention_dir": "causal",
    "attn_scale": 1,
    "tie_word_embeddings": False,
    "pad_token": -1,
}
LAST = Automaton.of(np.arange(3), np.array([[[0, 0]]]), np.array([0]))
"""The output is 0, whatever is read."""


def region_of_all(model: Model, form: Format) -> RightAtRead:
    """One region for each query."""
    setting = setting_for(model, LAST, 64)
    hints = draw_hints(LAST, 0, np.random.default_rng(0), 1, width(model))
    return regions(setting, step_of(0, hints), (evaluated(ExecutedLayers(setting, model.config, form)),))


def test_what_is_subtracted_from_scores_may_be_as_large_as_those_of_other_positions() -> None:
    """The first position's score is -25, the others' are 0, less -25: then these are rounded, too. Once they might not be."""
    unit, form, proved = np.eye(4), coarse(12), set[bool]()
    for times in (50, 100, 400, 1000):
        model = handmade(
            {},
            pos_embed__W_pos=[-25 * unit[1], unit[2], unit[0] - (1 - 2 * times * 2.0**-12) * unit[2]],
            blocks__0__attn__W_Q=unit[:1].T,
            blocks__0__attn__W_K=unit[1:2].T,
            blocks__0__attn__W_V=unit[2:3].T,
            blocks__0__attn__W_O=unit[3:],
            unembed__W_U=np.stack([unit[3], -unit[3]], 1),
        )
        rows = every_input(LAST)
        proved.add(bool(region_of_all(model, form).covers(rows).all()))
        runs = [Execution(np.random.default_rng(i), 0.0, 2.0**-12, "least") for i in range(400)]
        if region_of_all(model, form).covers(rows).any():
            assert all(np.all(leads_in(model, run, rows, LAST) > 0) for run in runs), times
    assert proved == {False, True}


def test_logits_that_overflow_are_refused() -> None:
    """After a last norm, logits of 2^129 are infinite in float32. Once accepted."""
    norm = {"normalization_type": "RMS", "eps": "1/100000"}
    model = handmade(norm, embed__W_E=1, ln_final__w=2.0**100, unembed__W_U=[[2.0**29, 2.0**28]] * 4)
    with pytest.raises(Refused, match="may exceed"):
        region_of_all(model, FORMATS[0])
    model = handmade(norm, embed__W_E=1, ln_final__w=1, unembed__W_U=[[1, 0]] * 4, unembed__b_U=[2.0**127, 0])
    with pytest.raises(Refused, match="may exceed"):
        region_of_all(model, FORMATS[0])
    model = handmade(norm | {"eps": "1" + 59 * "0"}, embed__W_E=2.0**28, ln_final__w=2.0**20, unembed__W_U=[[2, 1]] * 4)
    with pytest.raises(Refused, match="eps"):  # infinite, so that a norm gives zero
        region_of_all(model, FORMATS[0])
    model = handmade(norm, embed__W_E=1, ln_final__w=1, unembed__W_U=[[2, 1]] * 4)
    assert region_of_all(model, FORMATS[0]).correct == 8
