"""Executions in floating point against what rule float-execution says that they may be off.

An execution is simulated in float64: every result is multiplied by 1 + e, |e| <= u, with e chosen at random or always
the largest, and products and sums come in some order. That is all that the theorem assumes; a coarse u makes errors visible.
"""

import itertools
import random
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import oracle
import pytest
import torch
from hidden_oracle import ATTENTION, MLP, HiddenModel, built_models, random_models
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from test_enclosures import ends
from test_hidden_rules import QUARTERS
from test_hidden_rules import as_model as hidden_as_model
from test_theorems import as_model

from certificates import AttentionOnly, GroupMLP, Model, ModelConfig, RawTensor, Step, UniformAttention
from checker.core.enclosed_weights import dyadic
from checker.core.errors import Refused
from checker.core.facts import CertifiedInputs, Setting
from checker.core.meter import Budget, Meter
from checker.core.scaled_integers import ScaledArithmetic
from checker.rules.float_execution import errors_in, float_execution
from checker.rules.float_formats import FORMATS as OF_RULE
from checker.rules.float_formats import Format
from prover.deployed import FORMATS, required_margin
from prover.weights import load_weights

Array = NDArray[np.float64]
COARSE = Format("coarse", 12, 12, 127)
CPU = torch.device("cpu")


def setting_for(model: Model, margin: Fraction = Fraction(0), precision: int = 40) -> Setting:
    meter = Meter(Budget())
    return Setting(model, None, ScaledArithmetic(precision, meter), meter, 1, margin)  # type: ignore[arg-type]


def bounds(model: Model, form: Format = COARSE) -> Array:
    """B(o), rounded up."""
    error, _ = errors_in(setting_for(model), form)
    return np.array([float(high) for high in ends(error)[1].reshape(-1)])


@dataclass
class Execution:
    """Operations with errors: `push` is e / u, or None for any; order: of sums."""

    rng: np.random.Generator
    push: float | None
    u: float = 2.0**-12

    def off(self, array: Any, times: int = 1) -> Array:
        """A result as it is computed."""
        exact = np.asarray(array, np.float64)
        e = self.rng.uniform(-1, 1, exact.shape) if self.push is None else self.push
        return np.asarray(exact * (1 + times * self.u * e))

    def sum(self, terms: list[Array]) -> Array:
        """In any order."""
        terms = [terms[i] for i in self.rng.permutation(len(terms))]
        while len(terms) > 1:
            first, second = (terms.pop(self.rng.integers(len(terms))) for _ in range(2))
            terms.append(self.off(first + second))
        return terms[0]

    def product(self, left: Array, right: Array, *more: Array) -> Array:
        """A matrix product, and what is added to it."""
        terms = [self.off(left[..., k, None] * right[k]) for k in range(len(right))]
        return self.sum([*terms, *(np.broadcast_to(x, terms[0].shape) for x in more)])


def executed(model: Model, run: Execution, tokens: NDArray[np.int64]) -> Array:
    """The logits of an attention-only transformer, one association of products or another."""
    w = {name.removeprefix(ATTENTION): t.numpy() for name, t in load_weights(model, CPU).items()}
    config = model.config
    assert isinstance(config, AttentionOnly)
    residual = run.off(w["embed.W_E"][tokens] + w["pos_embed.W_pos"])  # n j d
    query = run.product(residual[:, -1], w["W_Q"][0], w["b_Q"][0])
    key = run.product(residual, w["W_K"][0], w["b_K"][0])
    scale = run.off(config.d_head**-0.5, 3)
    kind = run.rng.integers(3)
    if kind == 0:
        query = run.off(query * scale)
    dots = [run.off(query[:, None, i] * key[:, :, i]) for i in range(config.d_head)]
    score = run.sum(dots) if kind == 0 else run.off(run.sum(dots) * scale)
    shift = score.max(1, keepdims=True) if run.rng.integers(2) else np.zeros(1)
    weight = run.off(np.exp(run.off(run.off(score - shift))), 8)
    total = run.sum([weight[:, j] for j in range(config.n_ctx)])
    after = bool(run.rng.integers(2))
    attention = weight if after else run.off(weight / total[:, None])
    if run.rng.integers(2):  # W_V W_O first, or even W_V W_O W_U
        values = run.product(residual, run.product(w["W_V"][0], w["W_O"][0]), run.product(w["b_V"][0], w["W_O"][0]))
    else:
        values = run.product(run.product(residual, w["W_V"][0], w["b_V"][0]), w["W_O"][0])
    mixed = run.sum([run.off(attention[:, j, None] * values[:, j]) for j in range(config.n_ctx)])
    mixed = run.off(mixed / total[:, None]) if after else mixed
    last = run.sum([residual[:, -1], mixed, np.broadcast_to(w["b_O"], mixed.shape)])
    return run.product(last, w["unembed.W_U"], w["unembed.b_U"])


EXACTLY = Execution(np.random.default_rng(0), 0.0)
"""Float64 itself."""


@pytest.mark.parametrize("chunk", range(4))
def test_attention_is_never_further_off_than_is_said(chunk: int) -> None:
    closest = 0.0
    for seed in range(15 * chunk, 15 * chunk + 15):
        tiny = oracle.random_model(seed, kinds=("maximum", "edge", "noise", "integers"), largest=260)
        model = as_model(tiny)
        bound = bounds(model)
        tokens = np.array(list(itertools.product(range(tiny.vocab), repeat=tiny.n_ctx)))
        real = executed(model, EXACTLY, tokens)
        for number in range(6):
            rng = np.random.default_rng(number)
            run = Execution(rng, (None, None, 1.0, -1.0, 0.5, None)[number])
            off = np.abs(executed(model, run, tokens) - real).max(0)
            assert np.all(off <= bound * (1 + 1e-9) + 1e-300), (seed, number, (off / bound).max())
            closest = max(closest, float((off / np.maximum(bound, 1e-300)).max()))
    assert closest > 0.02  # or else the bound would say little


def through_a_layer(model: Model, run: Execution) -> Array:
    """The logits "a b o" of a network with one hidden layer."""
    w = {name: t.numpy() for name, t in load_weights(model, CPU).items()}
    config = model.config
    if isinstance(config, GroupMLP):
        left, right = w["embed_left.W_E"][:, None], w["embed_right.W_E"][None]
        shape = np.broadcast_shapes(left.shape, right.shape)
        read = run.sum([np.broadcast_to(x, shape) for x in (left, right, w["mlp.b_in"])])
        return run.product(np.maximum(read, 0), w["unembed.W_U"], w["unembed.b_U"])
    size = config.d_vocab - 1
    a, b = np.divmod(np.arange(size**2), size)
    tokens = np.stack([a, b, np.full(size**2, size)], 1)
    residual = run.off(w["embed.W_E"][tokens] + w["pos_embed.W_pos"])
    added = []
    for head in range(config.n_heads):
        values = run.product(residual, w[ATTENTION + "W_V"][head], w[ATTENTION + "b_V"][head])
        third = run.off(1 / 3)
        seen = run.sum([run.off(values[:, j] * third) for j in range(3)])
        added.append(run.product(seen, w[ATTENTION + "W_O"][head]))
    here = run.sum([residual[:, 2], *added, np.broadcast_to(w[ATTENTION + "b_O"], added[0].shape)])
    active = np.maximum(run.product(here, w[MLP + "W_in"], w[MLP + "b_in"]), 0)
    final = run.off(here + run.product(active, w[MLP + "W_out"], w[MLP + "b_out"]))
    return run.product(final, w["unembed.W_U"], w["unembed.b_U"])


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(tiny=st.one_of(random_models(st.just(QUARTERS)), built_models(st.just(0.0))), seed=st.integers(0, 100))
def test_a_layer_is_never_further_off_than_is_said(tiny: HiddenModel, seed: int) -> None:
    model = hidden_as_model(tiny)
    bound, real = bounds(model), through_a_layer(model, EXACTLY)
    for push in (None, 1.0, -1.0):
        off = np.abs(through_a_layer(model, Execution(np.random.default_rng(seed), push)) - real)
        assert np.all(off.reshape(-1, off.shape[-1]).max(0) <= bound * (1 + 1e-9) + 1e-12)


def test_the_prover_asks_for_margins_that_are_enough_and_hardly_more() -> None:
    for seed in range(12):
        tiny = oracle.random_model(seed, kinds=("maximum", "noise"), largest=260)
        tensors = {name: RawTensor("F32", t.shape, _as_float32(t)) for name, t in as_model(tiny).tensors.items()}
        model = replace(as_model(tiny), tensors=tensors)
        for name, form in zip(FORMATS, OF_RULE, strict=True):
            assert name == form.name
            wanted, least = float(required_margin(model, name)), 2 * bounds(model, form).max()
            assert least < wanted <= 1.02 * least


def _as_float32(tensor: RawTensor) -> bytes:
    from prover.weights import stored_tensor  # noqa: PLC0415 - used here only

    return stored_tensor(tensor).to(torch.float32).numpy().tobytes()


# --- what is refused ------------------------------------------------------------------------------------------------------


def wide(**changes: Array) -> Model:
    """A model of 64 positions, of float32 weights."""
    rng = random.Random(1)
    config = AttentionOnly(d_head=2, d_model=2, d_vocab=3, d_vocab_out=3, n_ctx=64)
    weights = {
        name: np.array([rng.uniform(-1, 1) for _ in range(int(np.prod(shape)))]).reshape(shape)
        for name, shape in config.tensor_shapes().items()
    }
    weights |= {name.replace("__", "."): array for name, array in changes.items()}
    return Model(config, {name: RawTensor("F32", w.shape, w.astype("<f4").tobytes()) for name, w in weights.items()}, None)


def apply(model: Model, margin: Fraction, number: int = 0) -> CertifiedInputs:
    none = CertifiedInputs(0, np.zeros(1, np.bool_), lambda x: x[:, 0] > 0, lambda x: x[:, 0] > 0, 7)
    return float_execution(setting_for(model, margin), Step("float-execution", (0,), {"format": number}), (none,))


def test_long_inputs_subnormal_and_large_weights() -> None:
    model = wide()
    least = Fraction(required_margin(model, "float32"))
    found = apply(model, least)
    assert found.deployed == "float32" and found.unexplained_dimension == 0
    with pytest.raises(Refused, match="state a larger one"):
        apply(model, least / 2)
    uneven = bounds(model, OF_RULE[0])
    with pytest.raises(Refused, match="state a larger one"):  # enough for some logits only
        apply(model, Fraction(float(uneven.min() + uneven.max())))
    tokens = np.random.default_rng(2).integers(0, 3, (200, 64))
    off = np.abs(executed(model, Execution(np.random.default_rng(3), 1.0), tokens) - executed(model, EXACTLY, tokens))
    assert np.all(off.max(0) <= bounds(model))
    assert apply(wide(embed__W_E=np.full((3, 2), 2.0**-149)), least).deployed == "float32"  # subnormal
    for huge in ({"embed__W_E": np.full((3, 2), 2.0**100)}, {"unembed__W_U": np.full((2, 3), 2.0**125)}):
        with pytest.raises(Refused, match="overflow"):
            apply(wide(**huge), Fraction(10) ** 19)


def zero_but(config: ModelConfig, **weights: Any) -> Model:
    """A model of float32 weights, zero except for these."""
    arrays = {name: np.zeros(shape, "<f4") for name, shape in config.tensor_shapes().items()}
    for name, array in weights.items():
        arrays[name.replace("__", ".")][...] = array
    return Model(config, {name: RawTensor("F32", w.shape, w.tobytes()) for name, w in arrays.items()}, None)


def test_large_values_make_underflow_in_what_follows_visible() -> None:
    """W_O W_U is 2^-150, which float32 makes zero. Times b_V it would be 2^-30, which decides. Once accepted."""
    large, small, rival = (np.float32(2.0**x) for x in (120, -149, -32))
    model = zero_but(
        UniformAttention(1, 1, 1, 3, 2, 3, 1),
        blocks__0__attn__b_V=large,
        blocks__0__attn__W_O=small,
        unembed__W_U=[[0.5, 0]],
        unembed__b_U=[0, rival],
    )
    real, folded = Fraction(2) ** -30, large * (small * np.float32(0.5))
    assert real > rival > folded and abs(real - Fraction(float(folded))) <= bounds(model, OF_RULE[0])[0]
    with pytest.raises(Refused, match="state a larger one"):
        apply(model, Fraction(1, 2**33))
    larger = zero_but(model.config, blocks__0__attn__b_V=2.0**126)
    with pytest.raises(Refused, match="overflow"):
        apply(larger, Fraction(2) ** 100)


def test_sums_before_they_are_divided_may_overflow() -> None:
    """64 times 2^124 is too large, before it is divided by 64. Once accepted."""
    config = AttentionOnly(d_head=1, d_model=1, d_vocab=3, d_vocab_out=3, n_ctx=64)
    outputs = {"blocks__0__attn__W_O": 2.0**-149, "unembed__b_U": [2.0**70, 0, 0]}
    with pytest.raises(Refused, match="overflow"):
        apply(zero_but(config, blocks__0__attn__b_V=2.0**124, **outputs), Fraction(2) ** 69)
    assert apply(zero_but(config, blocks__0__attn__b_V=2.0**80, **outputs), Fraction(2) ** 69).deployed == "float32"


def test_weights_with_more_bits_than_the_format_are_refused() -> None:
    model = as_model(oracle.random_model(0, kinds=("noise",), largest=100))
    tensors = {name: RawTensor("F64", t.shape, _doubles(t)) for name, t in model.tensors.items()}
    precise = replace(model, tensors=tensors)
    assert apply(precise, Fraction(1), 1).deployed == "float64"
    with pytest.raises(Refused, match="more bits than float32"):
        apply(precise, Fraction(10) ** 6)


def _doubles(tensor: RawTensor) -> bytes:
    from prover.weights import stored_tensor  # noqa: PLC0415 - used here only

    return stored_tensor(tensor).to(torch.float64).numpy().tobytes()


@pytest.mark.parametrize("precision", [12, 31, 64, 256])
def test_any_precision_bounds_the_same(precision: int) -> None:
    model = wide()
    error, _ = errors_in(setting_for(model, precision=precision), OF_RULE[0])
    low, high = (np.array([float(x) for x in side.reshape(-1)]) for side in ends(error))
    assert np.all(low <= bounds(model, OF_RULE[0]) * (1 + 1e-6)) and np.all(high >= low)
    assert np.all(high <= low * (1 + 2.0 ** (12 - precision)) + 1e-30) or precision < 20


def test_one_premise_and_a_known_format() -> None:
    none = CertifiedInputs(0, np.zeros(1, np.bool_), lambda x: x[:, 0] > 0, lambda x: x[:, 0] > 0)
    for number, premises, why in (
        (-1, (none,), "a number below 4"),
        (4, (none,), "a number below 4"),
        (1, (none, none), "one"),
    ):
        with pytest.raises(Refused, match=why):
            float_execution(setting_for(wide(), Fraction(10)), Step("float-execution", (0,), {"format": number}), premises)


@pytest.mark.parametrize("number", [Fraction(1, 3), Fraction(2, 3) ** 80, Fraction(10**19, 7), Fraction(5, 8), Fraction(0)])
def test_numbers_are_rounded_to_the_side_that_is_asked_for(number: Fraction) -> None:
    setting = setting_for(wide(), precision=200)
    below, above = (ends(dyadic(setting, number, up))[int(up)][0, 0] for up in (False, True))
    assert below <= number <= above and above - below <= number / 2**50
    assert (below == above) == (number in (Fraction(5, 8), Fraction(0)))
