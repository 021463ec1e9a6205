"""Executions in floating point, simulated (tests/oracles/executions) or PyTorch's, against what rule executed-forward encloses.

A coarse format makes errors visible.
"""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_pair_tables as pair_tests
import test_potentials as potentials_tests
import torch
import torch.nn.functional as F  # noqa: N812
from executions import SHIFTS, Execution, Simulated
from test_enclosures import ends
from test_forward import all_inputs, setting_of
from test_prefix_classes import classes_step, deep, draw_classes, in_order
from test_regions import (
    SMALL,
    WHOLE,
    draw_automaton,
    draw_hints,
    every_input,
    one_layer,
    setting_for,
    states_after,
    step_of,
    width,
)
from thorough import THOROUGH, parts, some
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformer_models import ALL, draw_config, draw_model, stored_weights
from transformer_oracle import torch_logits

from certificates import Model, RawTensor, Statement, Step, integer_tensor, write_certificate, write_model
from certificates.architectures import parse_config
from certificates.automaton import Automaton
from checker import verify
from checker.core.enclosures import Enclosure
from checker.core.errors import Refused
from checker.core.facts import Fact, Setting
from checker.rules.all_inputs import all_inputs as all_inputs_rule
from checker.rules.disjoint_sum import disjoint_sum
from checker.rules.float_execution import float_execution
from checker.rules.float_formats import FORMATS, Format
from checker.rules.further_inputs import further_inputs
from checker.transformer.activations import ACTIVATIONS
from checker.transformer.all_reads import all_reads
from checker.transformer.executed_forward import ExecutedLayers, executed_forward
from checker.transformer.finer import RightAtRead
from checker.transformer.forward import Heads
from checker.transformer.joint_reads import joint_reads
from checker.transformer.pair_tables import pair_tables
from checker.transformer.places import Places
from checker.transformer.potentials import potentials
from checker.transformer.prefix_classes import prefix_classes
from checker.transformer.regions import regions
from checker.transformer.transformer_forward import EvaluatedTransformer, evaluated, transformer_forward
from prover.proving import deployable, problem_about, prove
from prover.strategies.all_inputs import Enumerate
from prover.strategies.regions import Regions
from prover.tasks import automaton_from

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


def require_right(setting: Setting, premise: Fact, step: Step, rows: np.ndarray, leads: list[np.ndarray]) -> None:
    """The inputs of regions that a step proves lead in every run. rows: all inputs; leads: theirs, in each run."""
    try:
        fact = regions(setting, step, (premise,))
    except Refused:
        return
    held = fact.covers(rows)
    assert fact.deployed == "coarse" and fact.correct == np.count_nonzero(held)
    assert all(np.all(in_run[held] > 0) for in_run in leads)


@pytest.mark.parametrize("seed", range(2 * ALL if THOROUGH else ALL))
def test_logits_of_executions_are_enclosed(seed: int) -> None:
    """At every position of every input, of every kind of model; with few bits, unless norms then divide by little."""
    model, closest = draw_model(seed, pad_token=-1, size=(0.6, 0.3)[seed // ALL]), 0.0
    without_norms = model.config.normalization_type is None and not model.config.use_qk_norm
    inputs = all_inputs(model)
    inputs = inputs[np.random.default_rng(seed).permutation(len(inputs))[: some(60)]]
    for bits, precision in ((11, 30), (14, 30), (34, 64))[0 if THOROUGH else seed % 2 :]:
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


@pytest.mark.parametrize("seed", parts(40))
def test_all_inputs_of_proved_regions_are_right_in_executions(seed: int) -> None:
    """Of every kind of model and task."""
    rng, model = np.random.default_rng(seed), one_layer(seed, pad_token=-1)
    automaton, bits = draw_automaton(model, rng), (9, 12, 16, 22)[seed // 2 % 4]
    rows, setting = every_input(automaton), setting_for(model, automaton, (30, 64, 12, 31)[seed % 4])
    try:
        forward = executed(setting, bits)
    except Refused:
        bits = 34
        forward = executed(setting, bits)
    in_runs = [leads_in(model, run, rows, automaton) for run in runs(some(24), bits)]
    for read in range(len(automaton.reads)):
        hints = draw_hints(automaton, read, rng, int(rng.choice([1, 2, 60])), width(model), 0.1 * (seed % 4 == 1))
        require_right(
            setting, forward, step_of(read, hints, int(rng.integers(0, 4))), rows, [leads[:, read] for leads in in_runs]
        )


@pytest.mark.parametrize("seed", parts(40))
def test_streams_and_leads_of_executions_are_in_the_boxes_of_classes(seed: int) -> None:
    """And the inputs of proved regions are right."""
    rng, model = np.random.default_rng(seed), deep(seed) if THOROUGH else deep(seed, n_ctx=2 + seed % 2)
    automaton, bits = in_order(model, rng), (12, 16, 22, 28)[seed // 2 % 4]
    rows, setting = every_input(automaton), setting_for(model, automaton, (30, 64, 12, 31)[seed % 4])
    classes, finer = draw_classes(automaton, rng, int(rng.choice([1, 2, 60])))
    try:
        layer = prefix_classes(setting, classes_step(classes), (executed(setting, bits),))
    except Refused:
        return
    low, high = sides(layer.stream)
    states = np.stack([states_after(finer, rows, i + 1) for i in range(rows.shape[1])], 1)
    in_runs = []
    for number, run in enumerate(runs(some(24), bits)):
        execution = simulated(model, run)
        execution(rows)
        require_inside(execution.streams[-2], low[layer.first + states], high[layer.first + states], number)
        in_runs.append(leads_in(model, run, rows, automaton))
    for read, (position, steps) in enumerate(automaton.reads.tolist()):
        hints = draw_hints(finer, read, rng, int(rng.choice([1, 2, 60])), width(model), 0.1 * (seed % 4 == 1), by_state=True)
        if steps <= position:
            return
        require_right(
            setting, layer, step_of(read, hints, int(rng.integers(0, 4))), rows, [leads[:, read] for leads in in_runs]
        )


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
        runs = [Execution(np.random.default_rng(i), 0.0, 2.0**-12, "least") for i in range(100)]
        if region_of_all(model, form).covers(rows).any():
            assert all(np.all(leads_in(model, run, rows, LAST) > 0) for run in runs), times
    assert proved == {False, True}


@pytest.mark.parametrize(("kind", "units"), [("stream", 16), ("mlp", 26), ("attention", 42)])
def test_regions_are_proved_from_the_lead_on_that_rounding_takes(kind: str, units: int) -> None:
    """The stream is (1, 1), and the logits 1 + x, 1: the sum that makes the stream takes 6 u, the logits 2 gamma(5), some 10 u.

    An MLP of 3 units, which adds nothing, takes 2 gamma(5) more. If attention writes the first 1, that takes gamma(3) once
    more, values gamma(5), and their mean gamma(18).
    """
    unit, proved = np.eye(4), []
    for share in (0.95, 1.05):
        stream = unit[1] + (unit[2] if kind == "attention" else unit[0])
        attention = {"W_V": unit[2:3].T, "W_O": unit[:1]} if kind == "attention" else {}
        unembed = np.stack([(1 + share * units * 2.0**-12) * unit[0], unit[1]], 1)
        mlp = {"attn_only": False, "d_mlp": 3, "act_fn": "relu", "gated_mlp": False} if kind == "mlp" else {}
        weights = {f"blocks__0__attn__{name}": weight for name, weight in attention.items()}
        model = handmade(mlp | {"positional_embedding_type": "none"}, embed__W_E=stream, unembed__W_U=unembed, **weights)
        proved.append(region_of_all(model, coarse(12)).correct)
    assert proved == [0, 8]


def test_regions_allow_for_what_norms_before_an_mlp_lose() -> None:
    """The unit reads y - (1 - x) y of a norm, which is off by 2 (gamma(12) + gamma(64) + gamma(8)) and 12 u: some 370 u."""
    unit, proved = np.eye(4), []
    norm = {"normalization_type": "RMSPre", "eps": "1/10", "positional_embedding_type": "none"}
    mlp = {"attn_only": False, "d_mlp": 1, "act_fn": "relu", "gated_mlp": False}
    for times in (330, 500):
        model = handmade(
            norm | mlp,
            embed__W_E=unit[0] + unit[1],
            blocks__0__mlp__W_in=(unit[:1] - (1 - times * 2.0**-12) * unit[1:2]).T,
            blocks__0__mlp__W_out=unit[3:],
            unembed__W_U=np.stack([unit[3], 0 * unit[3]], 1),
        )
        proved.append(region_of_all(model, coarse(12)).correct)
    assert proved == [0, 8]


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


def explicit(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None,
    is_causal: bool,
    scale: float | None,
    enable_gqa: bool,
) -> torch.Tensor:
    """Attention as one writes it down."""
    if enable_gqa:
        key, value = (x.repeat_interleave(query.shape[1] // x.shape[1], 1) for x in (key, value))
    scores = query @ key.transpose(-1, -2)
    scores = scores / query.shape[-1] ** 0.5 if scale is None else scores * scale
    if attn_mask is not None:
        scores = scores + attn_mask
    if is_causal:
        scores = scores.masked_fill(torch.ones(scores.shape[-2:]).triu(1).bool(), -torch.inf)
    return scores.softmax(-1) @ value


@pytest.mark.parametrize("seed", range(ALL))
def test_logits_of_pytorch_are_enclosed(seed: int) -> None:
    """In float32, on processors: with explicit attention and fused ones, of single inputs and of all at once."""
    model = draw_model(seed, pad_token=-1)
    inputs = all_inputs(model)
    inputs = inputs[np.random.default_rng(seed).permutation(len(inputs))[: some(40)]]
    setting, reads = setting_of(model, 64), range(model.config.n_ctx)
    try:
        forward = executed_forward(setting, Step("executed-forward", (), {"format": 0}), ()).forward
        low, high = sides(forward.logits(inputs, reads))
    except Refused:
        assert model.config.normalization_type is not None
        return
    config, weights, usual = vars(model.config), stored_weights(model), F.scaled_dot_product_attention
    found = [torch_logits(config, weights, inputs, torch.float32, attend) for attend in (explicit, usual)]
    with sdpa_kernel(SDPBackend.MATH):
        found.append(torch_logits(config, weights, inputs, torch.float32))
    found.append(torch.cat([torch_logits(config, weights, inputs[i : i + 1], torch.float32) for i in range(len(inputs))]))
    for logits in found:
        assert np.all((low <= logits.numpy()) & (logits.numpy() <= high))


def known(setting: Setting, array: np.ndarray) -> Enclosure:
    """Of numbers with up to 20 binary digits after the point."""
    return setting.arithmetic.exact(np.rint(array * 2**20).astype(np.int64), np.full(array.shape, -20))


@pytest.mark.parametrize("seed", parts(64))
def test_each_part_encloses_what_executions_make_of_known_numbers(seed: int) -> None:
    """Norms, attention and MLPs, one by one: where nothing else makes intervals wide."""
    kind, act = ("LN", "RMS", "LNPre", "RMSPre")[seed % 4], ("relu", "gelu", "gelu_new", "silu")[seed // 4 % 4]
    fixed = {"normalization_type": kind, "act_fn": act, "attn_only": False, "attn_scale": 1, "n_layers": 1, "n_ctx": 3}
    position = {"positional_embedding_type": ("standard", "alibi")[seed // 8 % 2], "gated_mlp": seed % 3 == 0, "eps": "1/10"}
    model = draw_model(seed, pad_token=-1, use_qk_norm=False, attention_dir="causal", **fixed, **position)
    bits, setting, rng = (15, 18, 21)[seed % 3], setting_of(model, 64), np.random.default_rng(seed)
    layers, config = ExecutedLayers(setting, model.config, coarse(bits)), model.config
    x = np.rint(rng.normal(size=(5, config.d_model)) * 2**20) / 2**20 * rng.choice([1, 4])
    heads = [
        np.rint(rng.normal(size=(2, 3, count, config.d_head)) * 2**20) / 2**20 * rng.choice([1, 3])
        for count in (config.n_heads, config.n_key_value_heads, config.n_key_value_heads)
    ]
    places = Places.of(setting.meter, np.array([[0, 0, 0], [1, 1, 1]]), True, config.d_vocab)
    order = places.position + 3 * (places.token > 0)
    of_heads = Heads(*(known(setting, part.reshape(6, *part.shape[2:])[order]) for part in heads))
    normed = sides(layers.norm("ln_final", known(setting, x)))
    attended = sides(layers.attention(0, of_heads, places, np.arange(6)))
    layers.norm = lambda _, read: read  # type: ignore[method-assign]
    written = sides(layers.mlp(0, known(setting, x), ACTIVATIONS[act]))
    closest = np.zeros(3)
    for number, run in enumerate(runs(some(64), bits)):
        part = simulated(model, run)
        found = part.norm("ln_final", x), part.attended("blocks.0.attn.", *heads).reshape(6, -1)[order]
        found = *found, part.mlp("blocks.0.mlp.", x)
        bounds = enumerate(zip(found, (normed, attended, written), strict=True))
        closest = np.maximum(closest, [require_inside(own, *ends, (number, which)) for which, (own, ends) in bounds])
    assert closest[0] > 0.1 and closest[2] > 0.1


@pytest.mark.parametrize("kind", [None, "LN", "RMSPre"])
def test_intervals_are_as_wide_as_the_rule_says(kind: str | None) -> None:
    """No narrower, and hardly wider: of some numbers, by its formulas."""
    fixed = {"normalization_type": kind, "positional_embedding_type": "rotary", "d_head": 6, "d_model": 5, "eps": "1/10"}
    model = draw_model(1, pad_token=-1, tie_word_embeddings=False, act_fn="gelu", attn_only=False, **fixed)
    setting, config, w = setting_of(model, 64), model.config, stored_weights(model)
    layers, u, n = ExecutedLayers(setting, config, coarse(20)), 2.0**-20, 5
    rng = np.random.default_rng(0)

    def gamma(roundings: int) -> float:
        return roundings * u / (1 - roundings * u)

    def require(found: Enclosure, value: Any, off: Any) -> None:
        low, high = sides(found)
        assert np.all(low <= value - off * (1 - 1e-7)) and np.all(low >= value - off * (1 + 1e-3))
        assert np.all(high >= value + off * (1 - 1e-7)) and np.all(high <= value + off * (1 + 1e-3))

    x, y, zero = (np.rint(rng.normal(size=(3, n)) * 2**20) / 2**20 for _ in range(3))
    product = layers.linear(known(setting, x), known(setting, y.T), "none")
    require(product, x @ y.T, gamma(6) * abs(x) @ abs(y.T))
    require(layers.added(known(setting, x), known(setting, y)), x + y, u * abs(x + y))
    e = gamma(6 + 12) * abs(x)
    tilt = e + gamma(4) * 2 * (abs(x) + e) + gamma(8)
    low, high = sides(layers.tilted(known(setting, 1 + 0 * x), lambda: abs(known(setting, x))))
    assert np.all(abs(np.log(high) / tilt - 1) < 1e-3) and np.all(abs(np.log(low) / tilt + 1) < 1e-3)
    require(layers.mixed(known(setting, x), 7, lambda: abs(known(setting, y))), x, gamma(26) * abs(y))
    position, bits = np.array([0, 2, 50]), int(Fraction(config.rotary_base)).bit_length()
    tables = (4 + (10 + bits) * position) * u + 2 * gamma(3)
    shape = (3, n, 1)
    turned = layers.of_turns(*(known(setting, a.reshape(shape)) for a in (zero, x, y)), position)
    require(turned, zero.reshape(shape), tables[:, None, None] * (abs(x) + abs(y)).reshape(shape))
    require(layers.of_activation(known(setting, x), known(setting, y)), x, 16 * u * abs(y))
    unembed, bias = abs(w["unembed.W_U"]), abs(w.get("unembed.b_U", np.zeros(config.d_vocab_out)))
    if kind is None:
        _, high = sides(layers.lost(lambda: known(setting, x), None, None) or known(setting, x))
        assert np.all(abs(high / (gamma(6) * (abs(x) @ unembed + bias)) - 1) < 1e-3)
        return
    mean = x.mean(1, keepdims=True) * (kind == "LN")
    square = ((x - mean) ** 2).mean(1, keepdims=True) + 0.1
    root, size = np.sqrt(square), abs(x) + abs(x).mean(1, keepdims=True) * (kind == "LN")
    b = gamma(8 * n + 32) * (1 + mean**2 / square)
    a, own = 2 * (gamma(n + 8) + b + gamma(8)), {"ln_final.w": 1, "ln_final.b": 0} | w
    weight, added = (abs(own[f"ln_final.{name}"]) for name in "wb")
    parts = 2 * size / root * weight + added
    require(
        layers.norm("ln_final", known(setting, x)),
        (x - mean) / root * own["ln_final.w"] + own["ln_final.b"],
        a * size / root * weight + gamma(6) * parts,
    )
    times = n if kind == "LN" else 1
    total, sigma = n * times**2 * square, times * root
    off = (a + gamma(6) + 2 * gamma(n + 1)) * (parts @ unembed + bias)
    low, high = sides(layers.lost(lambda: known(setting, x), known(setting, total), known(setting, sigma)) or known(setting, x))
    assert np.all(abs(high / (sigma * off) - 1) < 1e-3) and np.all(low <= high)


# --- what is refused, and what is concluded -------------------------------------------------------------------------------


def applied(model: Model, number: int = 0) -> EvaluatedTransformer:
    return executed_forward(setting_of(model), Step("executed-forward", (), {"format": number}), ())


def test_formats_and_models_that_do_not_fit_are_refused() -> None:
    model = handmade({})
    assert [applied(model, number).deployed for number in (0, 1)] == ["float32", "float64"]
    for number, reason in ((2, "float32 and float64"), (3, "float32 and float64"), (4, "below 4"), (-1, "below 4")):
        with pytest.raises(Refused, match=reason):
            applied(model, number)
    with pytest.raises(Refused, match="without padding"):
        applied(handmade({"pad_token": 1}))
    with pytest.raises(Refused, match="takes no premises"):
        executed_forward(setting_of(model), Step("executed-forward", (0,), {"format": 0}), (applied(model),))
    with pytest.raises(Refused, match="exactly the parameters"):
        executed_forward(setting_of(model), Step("executed-forward", (), {}), ())
    precise = draw_model(0, "F64", **PLAIN)
    assert applied(precise, 1).deployed == "float64" and applied(draw_model(0, "F16", **PLAIN)).deployed == "float32"
    with pytest.raises(Refused, match="more bits than float32"):
        applied(precise)
    assert applied(handmade({"attn_scale": 2**19})) and applied(handmade({"attn_scale": f"1/{2**19}"}))
    for scale in (str(2**21), f"1/{2**21}"):
        with pytest.raises(Refused, match="scale of scores"):
            applied(handmade({"attn_scale": scale}))
    rotary = {"positional_embedding_type": "rotary", "d_head": 2, "rotary_dim": 2}
    assert applied(handmade({**rotary, "rotary_base": 10**6}))
    with pytest.raises(Refused, match="base of rotary"):
        applied(handmade({**rotary, "rotary_base": 10**10}))


@pytest.mark.parametrize(
    "large",
    [
        {"embed__W_E": 2.0**30},
        {"embed__W_E": 1, "blocks__0__attn__W_Q": 2.0**29},
        {"embed__W_E": 1, "blocks__0__attn__W_Q": 2.0**14, "blocks__0__attn__W_K": 2.0**14},
        {"embed__W_E": 1, "blocks__0__attn__b_V": 2.0**30},
        {"embed__W_E": 1, "blocks__0__attn__W_V": 2.0**20, "blocks__0__attn__W_O": 2.0**10},
        {"embed__W_E": 1, "blocks__0__attn__b_O": 2.0**30},
        {"embed__W_E": 1, "unembed__W_U": 2.0**28},
        {"embed__W_E": 1, "unembed__b_U": 2.0**30},
    ],
)
def test_large_numbers_are_refused(large: dict[str, Any]) -> None:
    """By the forward pass, and by regions."""
    model = handmade({}, **large)
    with pytest.raises(Refused, match="may exceed"):
        applied(model).forward.logits(all_inputs(model), (2,))
    with pytest.raises(Refused, match="may exceed"):
        region_of_all(model, FORMATS[0])


@pytest.mark.parametrize("eps", ["0", "1/10000000000"])
def test_norms_that_may_divide_by_little_are_refused(eps: str) -> None:
    """All that is read is alike up to 2^-20, which rounding may lose."""
    norm = {"normalization_type": "LN", "eps": eps}
    wide, thin = ([[1, 1, 1, 1 + off], [1, 1, 1 + off, 1]] for off in (1, 2.0**-20))
    rest = {"ln_final__w": 1, "blocks__0__ln1__w": 1, "unembed__W_U": [[0, 0], [0, 0], [1, 0], [1, 0]]}
    assert applied(handmade(norm, embed__W_E=wide, **rest)).deployed == "float32"
    assert region_of_all(handmade(norm, embed__W_E=wide, **rest), FORMATS[0]).correct == 8
    with pytest.raises(Refused, match="divide by so little"):
        applied(handmade(norm, embed__W_E=thin, **rest))
    layers = {"use_qk_norm": True, "eps": "0"}
    with pytest.raises(Refused, match=r"divide by so little|not proved to be positive"):
        applied(handmade(layers, embed__W_E=1, blocks__0__attn__W_Q=0))


def test_only_facts_about_executions_lead_to_facts_about_executions() -> None:
    model = one_layer(0, d_vocab=2, n_ctx=2, attention_dir="bidirectional", d_head=3, pad_token=-1)
    setting, hints = setting_for(model, SMALL), {name: np.array(hint, np.int64) for name, hint in WHOLE.items()}
    float32, float64 = (executed_forward(setting, Step("executed-forward", (), {"format": i}), ()) for i in (0, 1))
    real = transformer_forward(setting, Step("transformer-forward"), ())
    facts = [regions(setting, step_of(0, hints), (forward,)) for forward in (float32, float64, real)]
    assert [fact.deployed for fact in facts] == ["float32", "float64", None]
    for rule in (all_reads, joint_reads):
        for first in facts:
            for second in facts:
                found = rule(setting, Step("all-reads"), (first, replace(second, read=1)))
                assert found.deployed == (first.deployed if first.deployed == second.deployed else None)
    ranges = {"ranges": integer_tensor(np.array([[0, 2], [0, 2]])), "skip": integer_tensor(np.zeros((0, 2), int))}
    counted = [all_inputs_rule(setting, Step("all-inputs", (0,), {}, ranges), (forward,)) for forward in (float32, real)]
    assert [fact.deployed for fact in counted] == ["float32", None]
    assert disjoint_sum(setting, Step("disjoint-sum"), (counted[0],)).deployed is None
    none = {"inputs": integer_tensor(np.zeros((0, 2), int))}
    assert further_inputs(setting, Step("further-inputs", (0, 1), {}, none), (float32, counted[0])).deployed is None
    with pytest.raises(Refused):
        float_execution(setting, Step("float-execution", (0,), {"format": 0}), (counted[1],))


def test_rules_that_know_nothing_of_executions_conclude_nothing_about_them() -> None:
    rng = np.random.default_rng(1)
    model = potentials_tests.draw_fitting(1, n_layers=1, pad_token=-1)
    claims = None
    while not claims:
        automaton = draw_automaton(model, rng)
        for read in potentials_tests.reads_that_fit(model, automaton):
            claims = potentials_tests.draw_claims(model, automaton, read, rng, 3)
    setting = setting_for(model, automaton)
    forward = executed_forward(setting, Step("executed-forward", (), {"format": 0}), ())
    assert potentials(setting, potentials_tests.step_of(read, claims), (forward,)).deployed is None
    model = pair_tests.draw_fitting(0)
    automaton = pair_tests.draw_automaton(model, rng)
    setting = setting_for(model, automaton)
    forward = executed_forward(setting, Step("executed-forward", (), {"format": 0}), ())
    assert pair_tables(setting, pair_tests.step_of(0, 1, pair_tests.draw_hints(model, rng)), (forward,)).deployed is None


def test_statements_say_what_is_proved(tmp_path: Path) -> None:
    """A certificate about executions is accepted, of float32 only, and true in float32 runs."""
    model = handmade(
        {"attn_only": False, "d_mlp": 3, "act_fn": "gelu", "gated_mlp": False}, **several(np.random.default_rng(2))
    )
    rows = all_inputs(model)
    answers = torch_logits(vars(model.config), stored_weights(model), rows)[:, -1].argmax(1).numpy()
    automaton = automaton_from(1, lambda state, token, _: 2 * state + token, lambda state: answers[state - 8], 3, 2)
    write_model(tmp_path / "model", model)
    problem = deployable(problem_about(model, torch.device("cpu"), automaton=automaton), "float32")
    for strategy in (Regions(), Enumerate()):
        proof, _ = prove(problem, strategy, "float32")
        assert isinstance(proof.statement, Statement) and proof.statement.correct > 4
        for deployed in ("float32", None, "float64"):
            write_certificate(tmp_path / "proof", replace(proof, statement=replace(proof.statement, deployed=deployed)))
            verdict = verify(tmp_path / "proof", tmp_path / "model")
            assert verdict.accepted == (deployed == "float32") and verdict.exit_code == (deployed != "float32")


def several(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Weights of PLAIN, at random."""
    names = ["embed.W_E", "pos_embed.W_pos", *(f"blocks.0.attn.W_{letter}" for letter in "QKVO"), "unembed.W_U"]
    names += [f"blocks.0.mlp.W_{name}" for name in ("in", "out")]
    shapes = parse_config(draw_config(0, **{**PLAIN, "attn_only": False, "d_mlp": 3})).tensor_shapes()
    return {name.replace(".", "__"): rng.normal(size=shapes[name]) for name in names}
