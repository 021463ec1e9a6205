"""Potentials for random automata and transformers of one layer, against an oracle that evaluates every input."""

import itertools
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from test_regions import (
    SMALL,
    SURE,
    WHOLE,
    draw_automaton,
    draw_hints,
    every_input,
    setting_for,
    spoiled,
    states_after,
    true_leads,
    within,
)
from thorough import parts
from transformer_models import draw_model, stored_weights

from certificates import AttentionOnly, Model, RawTensor, Step, integer_tensor
from certificates.automaton import Automaton
from checker.core.errors import OverBudget, Refused
from checker.core.facts import Setting
from checker.transformer.finer import RightAtRead
from checker.transformer.potentials import potentials
from checker.transformer.regions import regions
from checker.transformer.transformer_forward import transformer_forward
from prover.proving import problem_about
from prover.transformer.finer_automaton import ReadSums
from prover.transformer.last_layer import LastLayer
from prover.transformer.problem import TransformerProblem
from prover.transformer.token_sums import DividedInputs

Hints = dict[str, np.ndarray]


def draw_fitting(seed: int, **fixed: Any) -> Model:
    """Every feature that the rule is about, by turns; in half of the cases with a last norm there are no biases after it."""
    attn_only = seed % 3 == 1
    norm = (None, "LN", "RMS", "LNPre", "RMSPre")[seed // 3 % 5] if attn_only else None
    heads, groups = ((1, 1), (1, 1), (2, 2), (3, 3), (2, 1))[seed % 5]
    sizes = {"n_layers": 1, "n_heads": heads, "n_key_value_heads": groups, "d_vocab": 2 + seed % 2, "n_ctx": 2 + seed % 3}
    kind = {
        "attn_only": attn_only,
        "normalization_type": norm,
        "act_fn": "relu",
        "gated_mlp": False,
        "d_mlp": 1 + seed // 2 % 3,
    }
    config = {**sizes, **kind, "d_vocab_out": sizes["d_vocab"] if seed % 4 == 1 else 2 + seed % 2, **fixed}
    model = draw_model(seed, size=(0.3, 0.6, 1.2)[seed % 3], **config)
    if norm is None or seed // 15 % 2:
        return model
    return replace(model, tensors={n: t for n, t in model.tensors.items() if n not in ("unembed.b_U", "ln_final.b")})


def reads_that_fit(model: Model, automaton: Automaton) -> list[int]:
    """Those that see nothing that is read later."""
    causal, order = model.config.attention_dir == "causal", automaton.order.tolist()
    return [
        read
        for read, (position, steps) in enumerate(automaton.reads.tolist())
        if all(place > position and causal for place in order[steps:])
    ]


def regions_of(hints: Hints, automaton: Automaton, rows: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """The region of each input with a query, or -1: by walking through the finer automaton."""
    tables = np.split(hints["finer"], np.cumsum([len(hints["queries"]), *hints["sizes"][:-1]])[:-1])
    found = []
    for row, query in zip(rows.tolist(), asked.tolist(), strict=True):
        state = hints["queries"].tolist().index(query) if query in hints["queries"] else -1
        for table, place in zip(tables, automaton.order.tolist(), strict=False):
            state = int(table[state, row[place]]) if state >= 0 else -1
        found.append(state)
    return np.array(found)


def with_claims(
    model: Model, automaton: Automaton, read: int, hints: Hints, pattern: np.ndarray, outputs: Sequence[int], slopes: np.ndarray
) -> Hints:
    """Without numbers and multipliers; ratios are bounded as they are, and not enforced."""
    config, problem = model.config, problem_about(model, torch.device("cpu"), automaton=automaton)
    others, corners, rivals = config.n_heads - 1, 2 ** (config.n_heads - 1), config.d_vocab_out - 1
    assert isinstance(problem, TransformerProblem)
    ratios = [np.zeros((0, 2))] * len(hints["queries"])
    if others:
        layer = LastLayer.of_tokens(problem)
        sums = [ReadSums(problem, layer, read, int(query)) for query in hints["queries"]]
        met = np.any([one.met for one in sums], axis=0)
        ratios = [DividedInputs.of(one, one.greatest(met), one.refined(None, [], np.inf)).ratios for one in sums]
    claims = {"pattern": pattern, "outputs": np.array(outputs), "slopes": slopes, "numbers": np.zeros(0)}
    kept = {name: hint for name, hint in hints.items() if name != "scale"}
    return {
        **{**kept, **claims, "ratios": np.rint(np.array(ratios).reshape(len(ratios), others, 2) * 2**24)},
        "enforced": np.zeros((len(ratios), config.d_mlp + len(outputs) * rivals, others)),
        "inner": np.zeros((0, 0, 2 * (config.d_mlp * corners + others))),
        "outer": np.zeros((0, 0, rivals * corners)),
    }


def in_boxes(hints: Hints, bins: int, rng: np.random.Generator) -> Hints:
    """Ratios are divided, mostly in increasing order; all boxes are claimed for most regions, and only some for others."""
    low, high = hints["ratios"][..., :1], hints["ratios"][..., 1:]
    inner = np.rint(low + (high - low) * np.sort(rng.random((*low.shape[:2], bins - 1)), axis=2))
    edges = np.concatenate([low, inner if rng.random() < 0.8 else inner[..., ::-1], high], axis=2)
    boxes = bins ** low.shape[1]
    pattern = np.tile(hints["pattern"], (boxes, 1))
    pattern[rng.random(pattern.shape) < 0.3 * (rng.random(pattern.shape[1]) < 0.5)] = -1
    enforced = np.tile(hints["enforced"], (1, boxes, 1))
    enforced += np.rint(rng.normal(size=enforced.shape) * rng.choice([0, 2**22])).astype(enforced.dtype)
    return {**hints, "ratios": edges, "pattern": pattern.reshape(-1), "enforced": enforced}


def numbered(hints: Hints, query_of: np.ndarray, rng: np.random.Generator, size: float) -> Hints:
    """With random numbers, and some multipliers for every family. Ratios are enforced somehow."""
    boxes, pieces = hints["pattern"].reshape(-1, len(query_of)), int(rng.integers(1, 4))
    pairs = [np.column_stack([query_of, box])[box >= 0] for box in boxes]
    counts = sum(len(np.unique(box[:, 0])) for box in pairs), sum(len(np.unique(box, axis=0)) for box in pairs)
    numbers = rng.integers(-3, 4, len(hints["finer"]) + len(query_of))
    found = {"numbers": numbers, "enforced": np.rint(rng.normal(size=hints["enforced"].shape) * size * 2**24)}
    for name, count in zip(("inner", "outer"), counts, strict=True):
        found[name] = np.rint(rng.normal(size=(count, pieces, hints[name].shape[2])) * size * 2**24)
    return {**hints, **found}


def draw_claims(
    model: Model, automaton: Automaton, read: int, rng: np.random.Generator, memory: int, by_state: bool = False
) -> Hints:
    """A finer automaton with random patterns, in half of the cases with numbers. by_state: see `draw_hints`; of one head."""
    hints = draw_hints(automaton, read, rng, memory, 1, 0.05, by_state)
    rows, position = every_input(automaton), automaton.reads[read, 0]
    asked = states_after(automaton, rows, position + 1) if by_state else rows[:, position]
    region = regions_of(hints, automaton, rows, asked)
    true = automaton.outputs_of(rows)[:, read]
    own = [np.flatnonzero(region == number)[:1] for number in range(hints["sizes"][-1])]
    outputs, units = rng.permutation(np.repeat(np.arange(model.config.d_vocab_out), 4)), model.config.d_mlp
    slopes = rng.choice([0, 256, int(rng.integers(257))], (len(outputs), units))
    pattern, query_of = np.full(len(own), -1), np.zeros(len(own), int)
    for number, one in enumerate(own):
        if len(one) and rng.random() < 0.95:  # a region may have no input, if what was dropped leads to all
            pattern[number] = rng.choice(np.flatnonzero(outputs == true[one[0]]))
            query_of[number] = np.searchsorted(hints["queries"], asked[one[0]])
    hints = with_claims(model, automaton, read, hints, pattern, outputs, slopes)
    if model.config.n_heads > 1 and rng.random() < 0.6:
        hints = in_boxes(hints, int(rng.integers(2, 5)), rng)
    if rng.random() < 0.5:
        return hints
    return numbered(hints, query_of, rng, float(rng.choice([0, 0.1, 1])))


def step_of(read: int, hints: Hints) -> Step:
    tensors = {name: integer_tensor(np.asarray(hint, np.int64)) for name, hint in hints.items()}
    return Step("potentials", (0,), {"read": read}, tensors)


def applied(setting: Setting, read: int, hints: Hints) -> RightAtRead:
    return potentials(setting, step_of(read, hints), (transformer_forward(setting, Step("transformer-forward"), ()),))


@pytest.mark.parametrize("seed", parts(96))
def test_what_is_proved_is_true(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every kind of model and task; the margin is that by which some input leads."""
    rng, model = np.random.default_rng(seed), draw_fitting(seed)
    automaton = draw_automaton(model, rng)
    rows = every_input(automaton)
    leads = true_leads(model, automaton, rows)
    positive = leads[leads > 0]
    with_margin = len(positive) and seed % 4 == 0
    margin = Fraction(float(rng.choice(positive))).limit_denominator(10**6) if with_margin else Fraction(0)
    setting = setting_for(model, automaton, (30, 64)[seed % 2], margin)
    fitting = reads_that_fit(model, automaton)
    for read in range(len(automaton.reads)):
        for memory in (1, 3, 10**9):
            hints = draw_claims(model, automaton, read, rng, memory)
            if read not in fitting:
                with pytest.raises(Refused, match="all positions are read"):
                    applied(setting, read, hints)
                continue
            fact = applied(setting, read, hints)
            held = fact.covers(rows)
            assert fact.correct == np.count_nonzero(held)
            assert np.all(leads[held, read] > float(margin) - SURE)
            with monkeypatch.context() as family_by_family:
                family_by_family.setattr("checker.transformer.potentials._BLOCK", 1)
                assert np.array_equal(applied(setting, read, hints).covers(rows), held)


def slopes_of(units: int) -> np.ndarray:
    return np.array(list(itertools.product([0, 256], repeat=units)), np.int64).reshape(2**units, units)


@pytest.mark.parametrize("seed", parts(60))
def test_a_margin_decides_about_single_inputs(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """All sums of a region with one input are exact: with the right slopes, what it leads by is what is proved; never more."""
    monkeypatch.setattr("checker.transformer.potentials._BLOCK", (1, 2**18)[seed % 2])
    rng, model = np.random.default_rng(seed), draw_fitting(seed, normalization_type=None)
    while not reads_that_fit(model, automaton := draw_automaton(model, rng)):
        pass
    read = int(rng.choice(reads_that_fit(model, automaton)))
    rows = every_input(automaton)
    leads, hints = true_leads(model, automaton, rows)[:, read], draw_hints(automaton, read, rng, 10**9, 1)
    region = regions_of(hints, automaton, rows, rows[:, automaton.reads[read, 0]])
    units = model.config.d_mlp
    slopes = np.concatenate([slopes_of(units), rng.integers(1, 256, (4, units))])  # those of units that harm may be any
    inside, times = np.unique(region[region >= 0], return_counts=True)
    alone = np.isin(region, inside[times == 1]) & (leads > 1e-3)
    alone &= np.any(rows[:, : 1 + automaton.reads[read, 0]] != model.config.pad_token, axis=1)
    for row in rng.permutation(np.flatnonzero(alone))[:2].tolist():
        output = int(automaton.outputs_of(rows[row : row + 1])[0, read])
        pattern = np.full(int(hints["sizes"][-1]), -1)
        claims = with_claims(model, automaton, read, hints, pattern, [output] * len(slopes), slopes)
        for share, precision in ((1 - 1e-6, 64), (1 + 1e-6, 64), (1 + 1e-6, 12)):
            setting, proved = setting_for(model, automaton, precision, Fraction(float(leads[row] * share))), []
            forward = transformer_forward(setting, Step("transformer-forward"), ())
            for number in range(len(slopes)):
                pattern[region[row]] = number
                more = numbered(claims, np.zeros(len(pattern), int), rng, 1.0)
                proved.append([potentials(setting, step_of(read, own), (forward,)).correct for own in (claims, more)])
            if share > 1:
                assert not np.any(proved)
            elif model.config.n_heads == 1:
                assert np.all(np.max(proved, axis=0) == 1) and all(hulls == multiplied for hulls, multiplied in proved)


class Stated:
    """The theorem's left-hand side, written down once more in float64: for a query, after each of some tokens."""

    def __init__(self, model: Model, query: int, tokens: np.ndarray) -> None:
        weights, self.config = stored_weights(model), model.config
        heads, size, d, mlp = model.config.n_heads, model.config.d_head, model.config.d_model, "blocks.0.mlp."

        def bias(name: str, *shape: int) -> np.ndarray:
            return weights.get(name, np.zeros(shape)).reshape(shape)

        every, at_query = (weights["embed.W_E"] + position for position in weights["pos_embed.W_pos"])

        def read_through(letter: str, x: np.ndarray) -> np.ndarray:
            return x @ weights[f"blocks.0.attn.W_{letter}"] + bias(f"blocks.0.attn.b_{letter}", heads, 1, size)

        x = at_query[query : query + 1]
        first = read_through("Q", x) / size**0.5
        scores = np.concatenate([(first * read_through("K", part)).sum(2) for part in (every[tokens], x)], axis=1)
        w = np.exp(scores - scores.max(1, keepdims=True))
        values = np.concatenate([read_through("V", part) for part in (every[tokens], x)], axis=1)
        self.centre = ((values.min(1) + values.max(1)) / 2)[:, None] @ weights["blocks.0.attn.W_O"]
        values = values @ weights["blocks.0.attn.W_O"]
        self.total = w[:, :-1] + w[:, -1:]  # Z "h t"
        self.read = (w[..., None] * values)[:, :-1] + (w[..., None] * values)[:, -1:]  # Z times what heads write "h t d"
        self.fixed = x[0] + bias("blocks.0.attn.b_O", d)
        self.unembed, self.bias = weights["unembed.W_U"], bias("unembed.b_U", model.config.d_vocab_out)
        self.inward, self.b_in = weights[f"{mlp}W_in"], bias(f"{mlp}b_in", model.config.d_mlp)
        self.outward, self.b_out = weights[f"{mlp}W_out"], bias(f"{mlp}b_out", d)

    def at_corners(self, y: np.ndarray, added: float, ratios: np.ndarray, enforced: np.ndarray) -> np.ndarray:
        """Sums for all corners and tokens "corner t"."""
        found = []
        for corner in itertools.product(*ratios):
            total = self.total[0] * (self.fixed @ y + added) + self.read[0] @ y
            for head, (ratio, mu) in enumerate(zip(corner, enforced, strict=True), 1):
                off = mu + (self.centre[head] @ y).item()
                total = total + ratio * (self.read[head] @ y) + off * (self.total[0] - ratio * self.total[head])
            found.append(total)
        return np.array(found)

    def least(self, output: int, slopes: np.ndarray, ratios: np.ndarray, enforced: np.ndarray) -> float:
        """The greatest margin for which the left-hand side is positive, for every rival."""
        found, count = [], self.config.d_vocab_out
        units = [self.at_corners(self.inward[:, i], self.b_in[i], ratios, enforced[i]) for i in range(len(self.b_in))]
        for number in range(1, count):
            rival = (output + number) % count
            d = self.unembed[:, output] - self.unembed[:, rival]
            a = self.outward @ d
            y, added = (
                d + self.inward @ (slopes * a),
                self.b_out @ d + self.bias[output] - self.bias[rival] + (slopes * a) @ self.b_in,
            )
            sums, lost = self.at_corners(y, added, ratios, enforced[len(units) + number - 1]), 0.0
            for i, read in enumerate(units):
                lost += min(a[i], 0) * max(max(end, 0) - slopes[i] * end for end in (read.min(), read.max()))
            found.append(((sums + lost) / self.total[0]).min())
        return float(min(found))


@pytest.mark.parametrize("seed", parts(72))
def test_what_is_proved_is_what_the_theorem_says(seed: int) -> None:
    """Two positions: sums over the inputs of a query are exact, by either way, and so is the greatest margin."""
    rng, heads = np.random.default_rng(seed), 1 + seed % 3
    plain = {"attention_dir": "causal", "positional_embedding_type": "standard", "use_qk_norm": False, "attn_scale": -1}
    sizes = {"n_ctx": 2, "d_vocab": 3, "n_heads": heads, "n_key_value_heads": heads, "d_head": 2, "d_mlp": 1 + seed % 4}
    kind = {
        "pad_token": -1,
        "attn_only": False,
        "normalization_type": None,
        "tie_word_embeddings": False,
        "d_vocab_out": 2 + seed % 2,
    }
    model = draw_fitting(seed, **plain, **sizes, **kind)
    kept = np.sort(rng.permutation(3)[: 1 + seed // 3 % 3])
    before = np.where(np.isin(np.arange(3), kept), 0, -1)  # the first token is one of these
    output, query = int(rng.integers(model.config.d_vocab_out)), int(rng.integers(3))
    automaton = Automaton.of(np.arange(2), np.stack([before[None], np.zeros((1, 3), np.int64)]), np.array([output]))
    one = {"queries": [query], "sizes": [1, 1], "finer": [before, np.where(np.arange(3) == query, 0, -1)]}
    hints, slopes = {name: np.array(hint) for name, hint in one.items()}, rng.integers(0, 257, (1, model.config.d_mlp))
    claims = with_claims(model, automaton, 0, hints, np.zeros(1, int), [output], slopes)
    if seed % 4:
        claims["enforced"] = np.rint(rng.normal(size=claims["enforced"].shape) * 2**22)
    more = numbered(claims, np.zeros(1, int), rng, 0.0) | {"enforced": claims["enforced"], "numbers": rng.integers(-9, 9, 3)}
    stated = Stated(model, query, kept)
    ratio = stated.total[0] / stated.total[1:]
    if ratio.size and not 0.01 < ratio.min() <= ratio.max() < 100:
        return
    wide = rng.random(2) / 2 + 1e-4
    ratios = np.stack([ratio.min(1) * (1 - wide[0]), ratio.max(1) * (1 + wide[1])], axis=1)
    claims["ratios"] = more["ratios"] = np.rint(ratios[None] * 2**24)
    if heads > 1 and seed // 2 % 2:
        claims = in_boxes(claims, 2 + seed % 2, rng)
        claims["pattern"][:] = 0
        more = numbered(claims, np.zeros(1, int), rng, 0.0) | {"enforced": claims["enforced"], "numbers": more["numbers"]}
    edges = [list(itertools.pairwise(own)) for own in claims["ratios"][0] / 2**24]
    of_boxes = np.split(claims["enforced"][0] / 2**24, len(claims["pattern"]))
    boxes = zip(itertools.product(*edges), of_boxes, strict=True)
    margin = min(stated.least(output, slopes[0] / 256, np.array(box), enforced) for box, enforced in boxes)
    biases = stored_weights(model).get("unembed.b_U", np.zeros(model.config.d_vocab_out)).copy()
    biases[output] += 1 - margin  # as margins are not negative
    raw = RawTensor("F64", biases.shape, biases.astype("<f8").tobytes())
    setting = replace(setting_for(model, automaton, 64), model=replace(model, tensors={**model.tensors, "unembed.b_U": raw}))
    for share, correct in ((1 - 1e-6, len(kept)), (1 + 1e-6, 0)):
        for own in (claims, more):
            assert applied(replace(setting, margin=Fraction(share)), 0, own).correct == correct


def before_last_norm(model: Model, tokens: Sequence[int]) -> tuple[np.ndarray, float, float]:
    """Of an input of two tokens what the last norm reads, in float64, and its root at least and at most, by the theorem."""
    weights, config = stored_weights(model), model.config
    subtracts, eps, size = str(config.normalization_type).startswith("LN"), float(Fraction(config.eps)), config.d_model

    def centred(x: np.ndarray) -> np.ndarray:
        return x - x.mean(-1, keepdims=True) if subtracts else x

    def named(name: str, *shape: int) -> np.ndarray:
        return weights.get(name, np.zeros(shape)).reshape(shape)

    def root(x: np.ndarray) -> np.ndarray:
        return np.sqrt((x**2).mean(-1) + eps)

    stream = weights["embed.W_E"][list(tokens)] + weights["pos_embed.W_pos"]
    x = centred(stream) / root(centred(stream))[:, None]
    x = x * weights.get("blocks.0.ln1.w", np.ones(size)) + named("blocks.0.ln1.b", size)
    attn, heads, width = "blocks.0.attn.", config.n_heads, config.d_head
    query, key, value = (x @ weights[f"{attn}W_{c}"] + named(f"{attn}b_{c}", heads, 1, width) for c in "QKV")
    scores = np.einsum("he,hje->hj", query[:, -1], key) / width**0.5
    share = np.exp(scores - scores.max(1, keepdims=True))
    share /= share.sum(1, keepdims=True)
    written = value @ weights[f"{attn}W_O"]  # "h j d"
    middle = ((value.min(1) + value.max(1)) / 2)[:, None] @ weights[f"{attn}W_O"]
    moved, base = centred(written - middle), centred(stream[-1] + named(f"{attn}b_O", size) + middle.sum((0, 1)))
    most = np.sqrt((moved**2).mean(2))
    most[0] = root(base + moved[0])
    after, tangent = (
        base + np.einsum("hj,hjd->d", share, moved),
        root(base) + (share * (moved @ base)).sum() / size / root(base),
    )
    assert tangent < root(after) + 1e-9 < (share * most).sum() + 2e-9
    return after, float(tangent), float((share * most).sum())


@pytest.mark.parametrize("seed", parts(72))
def test_biases_and_a_margin_after_a_last_norm(seed: int) -> None:
    """An input alone: what is proved is x.D plus a bound of the root times what biases and margin add; never more."""
    rng, heads = np.random.default_rng(seed), 1 + seed % 2
    plain = {"attention_dir": "causal", "positional_embedding_type": "standard", "use_qk_norm": False, "attn_scale": -1}
    sizes = {"n_ctx": 2, "d_vocab": 3, "n_heads": heads, "n_key_value_heads": heads, "d_head": 2, "d_vocab_out": 2 + seed % 2}
    plain["pad_token"] = -1
    kind = {"attn_only": True, "normalization_type": ("LN", "RMS", "LNPre", "RMSPre")[seed // 2 % 4], "d_mlp": None}
    model = draw_model(seed, **plain, **sizes, **kind, n_layers=1, act_fn=None, tie_word_embeddings=False)
    first, query = (int(token) for token in rng.integers(3, size=2))
    x, least, most = before_last_norm(model, (first, query))
    weights, outputs = stored_weights(model), model.config.d_vocab_out
    logits = (x * weights.get("ln_final.w", np.ones(len(x)))) @ weights["unembed.W_U"]
    output = int(rng.integers(outputs))
    lead = np.delete(logits[output] - logits, output)
    if least < 0.01 or np.abs(lead).min() < 0.01:
        return
    bias = weights.get("ln_final.b", np.zeros(len(x))) @ weights["unembed.W_U"]
    enough = lead / np.where(lead > 0, most, least)
    against = rng.normal(size=outputs - 1) * enough  # what the biases of others are greater by
    against += (enough - against).min() - 1  # so that 1 is the greatest margin
    wanted = np.insert(against, output, 0.0) - bias
    raw = RawTensor("F64", (outputs,), wanted.astype("<f8").tobytes())
    model = replace(model, tensors={**model.tensors, "unembed.b_U": raw})
    own = (np.where(np.arange(3) == token, 0, -1) for token in (first, query))
    before, last = own
    automaton = Automaton.of(np.arange(2), np.stack([before[None], last[None]]), np.array([output]))
    hints = {"queries": np.array([query]), "sizes": np.array([1, 1]), "finer": np.stack([before, last])}
    claims = with_claims(model, automaton, 0, hints, np.zeros(1, int), [output], np.zeros((1, 0), int))
    more = numbered(claims, np.zeros(1, int), rng, 1.0) | {"enforced": claims["enforced"]}
    room = 1e-6 if heads == 1 else 0.05  # ratios are known but roughly
    for share, correct in ((1 - room, 1), (1 + 1e-6, 0)):
        setting = setting_for(model, automaton, 64, Fraction(share))
        for hinted in (claims, more):
            fact = applied(setting, 0, hinted)
            assert fact.correct == correct


@pytest.mark.parametrize("seed", range(25))
def test_spoiled_hints_are_refused_or_prove_what_is_true(seed: int) -> None:
    rng, model = np.random.default_rng(seed), draw_fitting(seed)
    while not reads_that_fit(model, automaton := draw_automaton(model, rng)):
        pass
    rows = every_input(automaton)
    leads, refused = true_leads(model, automaton, rows), 0
    setting, read = setting_for(model, automaton), reads_that_fit(model, automaton)[0]
    hints = draw_claims(model, automaton, read, rng, 2)
    names = [*hints, "finer", "pattern", "outputs", "numbers", "inner", "outer"]
    for _ in range(30):
        try:
            fact = applied(setting, read, spoiled(hints, rng, names))
        except (Refused, OverBudget):
            refused += 1
            continue
        held = fact.covers(rows)
        assert fact.correct == np.count_nonzero(held) and np.all(leads[held, read] > -SURE)
    assert refused


def whole(model: Model, **change: Any) -> Hints:
    """Claims about all regions of WHOLE (see test_regions), with numbers: the sums so far. One head."""
    units, rivals = model.config.d_mlp, model.config.d_vocab_out - 1
    hints = {**WHOLE, "pattern": [0, 1, 1, 0], "outputs": [0, 1], "slopes": np.zeros((2, units))}
    hints |= {
        "numbers": [0, 0, 0, 1, 1, 2, 0, 1, 1, 2],
        "inner": np.zeros((2, 1, 2 * units)),
        "outer": np.zeros((4, 1, rivals)),
        "ratios": np.zeros((2, 0, 2)),
        "enforced": np.zeros((2, units + 2 * rivals, 0)),
    }
    return {name: np.array(hint, np.int64) for name, hint in {**hints, **change}.items() if name != "scale"}


def small_model(**fixed: Any) -> Model:
    sizes = {"n_layers": 1, "n_heads": 1, "n_key_value_heads": 1, "d_vocab": 2, "n_ctx": 2, "d_head": 3, "d_mlp": 2}
    kind = {"attention_dir": "bidirectional", "normalization_type": None, "gated_mlp": False, "act_fn": "relu"}
    return draw_model(0, **{**sizes, **kind, **fixed})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"numbers": [], "inner": np.zeros((0, 0, 4)), "outer": np.zeros((0, 0, 1))}, None),
        ({"pattern": [0, 1, 1]}, "every region has a pattern"),
        ({"pattern": [0, 1, 1, 2]}, "every region has a pattern"),
        ({"pattern": [0, 1, 1, -2]}, "every region has a pattern"),
        ({"pattern": [0, 0, 1, 0]}, "another output"),
        ({"outputs": [1, 1]}, "another output"),
        ({"outputs": [0, 2]}, "output of the model"),
        ({"outputs": [0, -1]}, "output of the model"),
        ({"outputs": [0, 1, 1]}, "output of the model"),
        ({"slopes": [[0, -1], [0, 0]]}, "slopes"),
        ({"slopes": [[0, 257], [0, 0]]}, "slopes"),
        ({"numbers": [0] * 9}, "has a number"),
        ({"numbers": [0] * 9 + [2**20 + 1]}, "has a number"),
        ({"numbers": [0] * 9 + [-(2**20) - 1]}, "has a number"),
        ({"inner": np.zeros((1, 1, 4))}, "2 families"),
        ({"inner": np.zeros((2, 0, 4))}, "at least one"),
        ({"inner": np.full((2, 1, 4), 2**40 + 1)}, "too large"),
        ({"outer": np.zeros((3, 1, 1))}, "4 families"),
        ({"outer": np.zeros((4, 0, 1))}, "at least one"),
        ({"outer": np.full((4, 1, 1), -(2**40) - 1)}, "too large"),
        ({"finer": [[0, 1], [2, 3], [0, -1], [1, -1], [-1, 2], [-1, 2]]}, "does not stand for"),
        ({"ratios": np.zeros((1, 0, 2))}, "2 queries"),
        ({"enforced": np.zeros((2, 3, 0))}, "4 sums"),
        ({"enforced": np.zeros((1, 4, 0))}, "4 sums"),
        ({"ratios": np.zeros((2, 0, 1))}, "1 to 64 boxes"),
        ({"ratios": np.zeros((2, 0, 9))}, None),
        ({"inner": np.zeros((3, 1, 4))}, "more families"),
        ({"outer": np.zeros((5, 1, 1))}, "more families"),
    ],
)
def test_claims_of_another_form_are_refused(change: dict[str, Any], reason: str | None) -> None:
    model = small_model()
    setting, hints = setting_for(model, SMALL), whole(model, **change)
    if reason is None:
        applied(setting, 0, hints)
        return
    with pytest.raises(Refused, match=reason):
        applied(setting, 0, hints)


def test_models_and_premises_that_do_not_fit_are_refused() -> None:
    model = small_model()
    setting, step = setting_for(model, SMALL), step_of(0, whole(model))
    forward = transformer_forward(setting, Step("transformer-forward"), ())
    own = potentials(setting, step, (forward,))
    for premises in ((), (forward, forward), (own,)):
        with pytest.raises(Refused, match="one premise"):
            potentials(setting, step, premises)
    with pytest.raises(Refused, match="no read"):
        potentials(setting, step_of(2, whole(model)), (forward,))
    others: list[dict[str, Any]] = [
        {"n_heads": 7, "n_key_value_heads": 7},
        {"act_fn": "gelu"},
        {"gated_mlp": True},
        {"normalization_type": "RMS"},
        {"normalization_type": "LNPre"},
    ]
    for other in others:
        unfit = small_model(**other)
        elsewhere = setting_for(unfit, SMALL)
        with pytest.raises(Refused, match="at most 6 heads"):
            potentials(elsewhere, step, (transformer_forward(elsewhere, Step("transformer-forward"), ()),))
    normed = small_model(attn_only=True, normalization_type="RMS", d_mlp=None, act_fn=None)
    without = replace(normed, tensors={n: t for n, t in normed.tensors.items() if not n.startswith("unembed.b")})
    applied(setting_for(without, SMALL), 0, whole(without))
    tables = replace(setting, model=Model(AttentionOnly(2, 1, 1, 2, 2), {}, None))
    with pytest.raises(Refused, match="at most 6 heads"):
        potentials(tables, step, (forward,))


def test_ties_are_not_proved() -> None:
    model = small_model(tie_word_embeddings=False, d_vocab_out=3)
    columns = np.array(stored_weights(model)["unembed.W_U"])
    columns[:, 2] = columns[:, 1]
    raw = RawTensor("F32", columns.shape, columns.astype("<f4").tobytes())
    model = replace(model, tensors={**{n: t for n, t in model.tensors.items() if n != "unembed.b_U"}, "unembed.W_U": raw})
    for output in (0, 1):
        automaton = Automaton.of(np.arange(2), np.array([[[0, 0]]]), np.array([output]))
        hints = {"queries": [0, 1], "sizes": [2, 2], "finer": [[0, 0], [1, 1], [0, -1], [-1, 1]]}
        for slopes in slopes_of(2):
            arrays = {name: np.array(hint) for name, hint in hints.items()}
            claims = with_claims(model, automaton, 0, arrays, np.array([0, 0]), [output], slopes[None])
            if output == 1:
                assert applied(setting_for(model, automaton), 0, claims).correct == 0


def test_the_same_regions_are_proved_by_boxes_or_by_sums() -> None:
    """With single inputs, both rules prove the same: everything that clearly leads."""
    for seed in range(0, 12, 2):
        model, rng = (
            draw_fitting(
                seed, attn_only=True, normalization_type=None, d_mlp=None, act_fn=None, n_heads=1, n_key_value_heads=1
            ),
            np.random.default_rng(seed),
        )
        length, vocab = model.config.input_shape
        automaton = Automaton.of(np.arange(length), np.zeros((1, 1, vocab), np.int64), np.array([1]))
        hints, setting = draw_hints(automaton, 0, rng, 10**9, model.config.d_head), setting_for(model, automaton, 64)
        regional = {name: integer_tensor(np.asarray(hint, np.int64)) for name, hint in hints.items()}
        forward = transformer_forward(setting, Step("transformer-forward"), ())
        boxes = regions(setting, Step("regions", (0,), {"cuts": 0, "read": 0}, regional), (forward,))
        claims = with_claims(model, automaton, 0, hints, np.zeros(int(hints["sizes"][-1]), int), [1], np.zeros((1, 0)))
        assert applied(setting, 0, claims).correct == boxes.correct


@pytest.mark.parametrize("name", ["ratios", "enforced"])
def test_ratios_and_what_enforces_them_are_not_too_large(name: str) -> None:
    model = small_model(n_heads=2, n_key_value_heads=2)
    automaton = Automaton.of(np.arange(2), np.array([[[0, 0]]]), np.array([1]))
    hints = {"queries": [0, 1], "sizes": [2, 2], "finer": [[0, 0], [1, 1], [0, -1], [-1, 1]]}
    arrays = {key: np.array(hint) for key, hint in hints.items()}
    claims = with_claims(model, automaton, 0, arrays, np.array([0, 0]), [1], np.zeros((1, model.config.d_mlp)))
    applied(setting_for(model, automaton), 0, claims)
    for size in (2**40 + 1, -(2**40) - 1):
        with pytest.raises(Refused, match="too large"):
            applied(setting_for(model, automaton), 0, {**claims, name: np.full(claims[name].shape, size)})


@pytest.mark.parametrize(("heads", "bins", "fits"), [(2, 64, True), (2, 65, False), (3, 8, True), (3, 9, False), (6, 2, True)])
def test_there_are_not_too_many_boxes(heads: int, bins: int, fits: bool) -> None:
    model = small_model(n_heads=heads, n_key_value_heads=heads, d_mlp=1)
    automaton = Automaton.of(np.arange(2), np.array([[[0, 0]]]), np.array([1]))
    hints = {"queries": [0, 1], "sizes": [2, 2], "finer": [[0, 0], [1, 1], [0, -1], [-1, 1]]}
    arrays = {key: np.array(hint) for key, hint in hints.items()}
    claims = with_claims(model, automaton, 0, arrays, np.array([-1, 0]), [1], np.zeros((1, 1)))
    claims = in_boxes(claims, bins, np.random.default_rng(0))
    claims["pattern"][:-1] = -1
    setting = setting_for(model, automaton)
    if fits:
        applied(setting, 0, claims)
        return
    with pytest.raises(Refused, match="1 to 64 boxes"):
        applied(setting, 0, claims)


@pytest.mark.parametrize("seed", parts(40))
def test_only_boxes_that_hold_all_ratios_prove(seed: int) -> None:
    """Everything else is proved in all boxes, as the output always leads by far: regions count whose boxes hold all ratios."""
    rng, heads = np.random.default_rng(seed), 2 + seed % 2
    plain = {"attention_dir": "causal", "positional_embedding_type": "standard", "use_qk_norm": False, "attn_scale": -1}
    plain["pad_token"] = -1
    sizes = {"n_ctx": 2, "d_vocab": 3, "n_heads": heads, "n_key_value_heads": heads, "d_head": 2, "d_vocab_out": 2}
    model = draw_fitting(seed, **plain, **sizes, attn_only=False, d_mlp=1, normalization_type=None, tie_word_embeddings=False)
    biases = np.array([0.0, 1e4])
    raw = RawTensor("F64", biases.shape, biases.astype("<f8").tobytes())
    model = replace(model, tensors={**model.tensors, "unembed.b_U": raw})
    query, bins = int(rng.integers(3)), 3
    total = Stated(model, query, np.arange(3)).total
    ratio = total[0] / total[1:]  # "h t"
    if not 0.01 < ratio.min() <= ratio.max() < 100 or (ratio.max(1) / ratio.min(1)).min() < 1.1:
        return
    automaton = Automaton.of(np.arange(2), np.zeros((1, 1, 3), np.int64), np.array([1]))
    hints = {"queries": np.array([query]), "sizes": np.array([1, 1]), "finer": np.stack([np.zeros(3, int)] * 2)}
    hints["finer"][1, np.arange(3) != query] = -1
    claims = with_claims(model, automaton, 0, hints, np.zeros(1, int), [1], np.zeros((1, 1)))
    least, most = ratio.min(1), ratio.max(1)
    edges = np.stack([0.9 * least, 0.7 * least + 0.3 * most, 0.3 * least + 0.7 * most, 1.1 * most], axis=1)
    places = np.array(list(itertools.product(range(bins), repeat=heads - 1)))
    claims["ratios"] = np.rint(edges[None] * 2**24)
    claims["enforced"] = np.tile(claims["enforced"], (1, len(places), 1))
    setting = setting_for(model, automaton, 64)
    for _ in range(12):
        claimed = rng.random(len(places)) < rng.choice([0.5, 1])
        if rng.random() < 0.5:
            low, high = np.sort(rng.integers(0, bins, (2, heads - 1)), axis=0)
            claimed = np.all((places >= low) & (places <= high), axis=1)
        own = {**claims, "pattern": np.where(claimed, 0, -1)}
        more = numbered(own, np.zeros(1, int), rng, 0.0) | {"enforced": own["enforced"]}
        assert [applied(setting, 0, hinted).correct for hinted in (own, more)] == [3 * bool(claimed.all())] * 2


def peak_until_refused(model: Model, automaton: Automaton, memory: int, hints: Hints) -> int:
    """How many bytes are taken before the budget is exceeded."""
    setting = within(setting_for(model, automaton), memory)
    forward, step = transformer_forward(setting, Step("transformer-forward"), ()), step_of(0, hints)
    tracemalloc.start()
    try:
        with pytest.raises(OverBudget, match="MiB"):
            potentials(setting, step, (forward,))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_patterns_are_announced() -> None:
    """With one head and no MLP a file says no more of a pattern than its output, however many rivals this has."""
    model = small_model(attn_only=True, d_vocab_out=128)
    automaton = Automaton.of(np.arange(2), np.zeros((1, 1, 2), np.int64), np.array([1]))
    hints = {"queries": np.array([0, 1]), "sizes": np.array([2, 2]), "finer": np.array([[0, 0], [1, 1], [0, -1], [-1, 1]])}
    claims = with_claims(model, automaton, 0, hints, np.array([0, 0]), [1] * 2**15, np.zeros((2**15, 0)))
    assert peak_until_refused(model, automaton, 2**24, claims) < 2**23


def test_which_families_states_lead_to_is_announced() -> None:
    """A bit for each region and each pattern, of which every region may have its own."""
    length = 13
    model = small_model(attn_only=True, n_ctx=length, d_vocab_out=2, d_head=1)
    automaton = Automaton.of(np.arange(length), np.zeros((1, 1, 2), np.int64), np.array([1]))
    sizes = [2**step for step in range(length)]  # a state for every prefix
    last = np.stack([np.arange(sizes[-1]), np.full(sizes[-1], -1)], axis=1)
    rows = [*(np.arange(2 * size).reshape(size, 2) for size in sizes[:-1]), last]
    hints = {"queries": np.array([0]), "sizes": np.array([*sizes[1:], sizes[-1]]), "finer": np.concatenate(rows)}
    claims = with_claims(model, automaton, 0, hints, np.arange(sizes[-1]), [1] * sizes[-1], np.zeros((sizes[-1], 0)))
    claims |= {"numbers": np.zeros(len(hints["finer"]) + sizes[-1])}
    claims |= {"inner": np.zeros((1, 1, 0)), "outer": np.zeros((sizes[-1], 1, 1))}
    assert peak_until_refused(model, automaton, 2**24 - 1, claims) < 2**24
