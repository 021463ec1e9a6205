"""Pair tables for random automata and transformers of two layers, against an oracle that evaluates every input."""

import itertools
import sys
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_enclosures import ends
from test_regions import SURE, every_input, setting_for, true_leads
from thorough import parts
from transformer_models import draw_model, stored_weights

from certificates import Model, RawTensor, Step, integer_tensor
from certificates.automaton import Automaton
from checker.core.enclosures import Enclosure
from checker.core.errors import OverBudget, Refused
from checker.core.facts import Setting
from checker.transformer.finer import RightAtRead
from checker.transformer.first_layer import FirstLayer
from checker.transformer.pair_paths import Paths, Steps
from checker.transformer.pair_tables import SecondLayer, Weighed, pair_tables
from checker.transformer.reads import LayerInput, Read
from checker.transformer.transformer_forward import transformer_forward
from prover.tasks import automaton_from

PLAIN = {"n_layers": 2, "attn_only": True, "normalization_type": None, "use_qk_norm": False, "attention_dir": "causal"}
PLAIN |= {"pad_token": -1}


def draw_fitting(seed: int, **fixed: Any) -> Model:
    """Every feature that the rule is about, by turns."""
    heads, groups = ((1, 1), (1, 1), (2, 2), (3, 3), (2, 1))[seed % 5]
    sizes = {"n_heads": heads, "n_key_value_heads": groups, "d_vocab": 2 + seed % 2, "n_ctx": 2 + seed % 4}
    kind = {
        "d_head": 1 + seed % 3,
        "positional_embedding_type": ("standard", "none")[seed % 7 == 2],
        "d_vocab_out": sizes["d_vocab"] if seed % 4 == 1 else 2 + seed % 2,
    }
    return draw_model(seed, **{"size": (0.3, 0.6, 1.2)[seed // 2 % 3], **PLAIN, **sizes, **kind, **fixed})


def draw_automaton(model: Model, rng: np.random.Generator) -> Automaton:
    """Minimal ones; the last position is read at any time, the others in their order."""
    length, vocab = model.config.input_shape
    order = np.insert(np.arange(length - 1), rng.integers(length), length - 1)
    while True:
        states, least = int(rng.integers(1, 4)), -1 if rng.random() < 0.6 else 0
        table = rng.integers(least, states, (length, states, vocab))
        outputs = rng.integers(least, model.config.d_vocab_out, states)

        def step(state: int, token: int, position: int, table: np.ndarray = table) -> int | None:
            after = int(table[position, state, token])
            return after if after >= 0 else None

        def output(state: int, outputs: np.ndarray = outputs) -> int | None:
            return int(outputs[state]) if outputs[state] >= 0 else None

        automaton = automaton_from(0, step, output, length, vocab, order.tolist())
        if automaton.count():
            return automaton


Hints = dict[str, np.ndarray]


def step_of(head: int, before: int, hints: Hints) -> Step:
    tensors = {name: integer_tensor(hint) for name, hint in hints.items()}
    return Step("pair-tables", (0,), {"before": before, "head": head}, tensors)


def applied(setting: Setting, head: int, before: int, hints: Hints) -> RightAtRead:
    forward = transformer_forward(setting, Step("transformer-forward"), ())
    return pair_tables(setting, step_of(head, before, hints), (forward,))


def draw_hints(model: Model, rng: np.random.Generator) -> Hints:
    """Any; some means of about the size of leads."""
    (length, vocab), outputs = model.config.input_shape, model.config.d_vocab_out
    found = np.stack([rng.integers(length, size=vocab), *rng.integers(vocab, size=(2, vocab))], axis=1)
    found[found[:, 0] == 0, 1] = 0
    means = rng.normal(size=(vocab, outputs, outputs - 1, model.config.n_heads - 1))
    means *= rng.choice([0.1, 1.0, 30.0], (vocab, 1, 1, means.shape[3]))  # some of them far off
    return {"references": found, "means": np.asarray(np.rint(means * 2**24), np.int64)}


def no_hints(model: Model) -> Hints:
    """All zero."""
    vocab, outputs = model.config.d_vocab, model.config.d_vocab_out
    means = np.zeros((vocab, outputs, outputs - 1, model.config.n_heads - 1), np.int64)
    return {"references": np.zeros((vocab, 3), np.int64), "means": means}


class Exact:
    """A model's weights in float64, absent biases zero."""

    def __init__(self, model: Model) -> None:
        self.config, self.weights = model.config, stored_weights(model)
        self.shapes = model.config.tensor_shapes()

    def __getitem__(self, name: str) -> np.ndarray:
        return self.weights.get(name, np.zeros(self.shapes[name]))

    @property
    def scale(self) -> float:
        scale = self.config.attn_scale
        return self.config.d_head**0.5 if scale == "-1" else float(Fraction(scale))

    @property
    def group(self) -> np.ndarray:
        return np.arange(self.config.n_heads) // (self.config.n_heads // self.config.n_key_value_heads)

    def unembedding(self) -> np.ndarray:
        return self["embed.W_E"].T if self.config.tie_word_embeddings else self["unembed.W_U"]

    def embedded(self, token: int, position: int) -> np.ndarray:
        x = self["embed.W_E"][token]
        return x + self["pos_embed.W_pos"][position] if self.config.positional_embedding_type == "standard" else x

    def part(self, layer: int, letter: str, head: int, x: np.ndarray) -> np.ndarray:
        number = head if letter == "Q" else self.group[head]
        name = f"blocks.{layer}.attn."
        found = x @ self[f"{name}W_{letter}"][number] + self[f"{name}b_{letter}"][number]
        return found / self.scale if letter == "Q" else found

    def after_first(self, tokens: np.ndarray, position: int) -> np.ndarray:
        """The residual stream at a position."""
        x = [self.embedded(int(t), j) for j, t in enumerate(tokens[: position + 1])]
        found = x[-1] + self["blocks.0.attn.b_O"]
        for head in range(self.config.n_heads):
            query = self.part(0, "Q", head, x[-1])
            w = np.exp([query @ self.part(0, "K", head, one) for one in x])
            mean = sum(a * self.part(0, "V", head, one) for a, one in zip(w / w.sum(), x, strict=True))
            found = found + mean @ self["blocks.0.attn.W_O"][head]
        return found


@pytest.mark.parametrize("seed", parts(60))
def test_what_the_first_layer_leaves_is_within_its_bounds(seed: int) -> None:
    """For all inputs; and nothing is lost where all tokens are known."""
    rng, model = np.random.default_rng(seed), draw_fitting(seed)
    automaton, exact = draw_automaton(model, rng), Exact(model)
    rows, setting = every_input(automaton), setting_for(model, automaton, (30, 64)[seed % 2])
    length, vocab = model.config.input_shape
    forward = transformer_forward(setting, Step("transformer-forward"), ()).forward
    read = Read(setting, LayerInput.of_tokens(forward, setting.task), setting.task, length - 1, np.arange(vocab))  # type: ignore[arg-type]
    columns = rng.integers(-4, 5, (model.config.d_model, 3))
    given = setting.arithmetic.exact(columns, np.zeros(columns.shape, np.int64))
    for position, paired in itertools.product(range(length), (False, True)):
        if paired and not position:
            continue
        low, high = ends(FirstLayer(read, position, paired).through(given))
        assert low.shape == (vocab if paired else 1, vocab, 3)
        for row in rows:
            place = (row[position - 1] if paired else 0, row[position])
            true = exact.after_first(row, position) @ columns
            assert np.all(low[place] - SURE < true) and np.all(true < high[place] + SURE)
        if position == int(paired) and seed % 2 and seed // 2 % 3 < 2:  # scores are not far apart
            assert np.all(high - low < 1e-6)


@pytest.mark.parametrize("seed", parts(72))
def test_what_is_proved_is_true(seed: int) -> None:
    """Of every kind of model and task; the margin is that by which some input leads."""
    rng, model = np.random.default_rng(seed), draw_fitting(seed)
    automaton = draw_automaton(model, rng)
    rows = every_input(automaton)
    leads = true_leads(model, automaton, rows)[:, 0]
    positive = leads[leads > 0]
    with_margin = len(positive) and seed % 3 == 0
    margin = Fraction(float(rng.choice(positive))).limit_denominator(10**6) if with_margin else Fraction(0)
    setting = setting_for(model, automaton, (30, 64)[seed % 2], margin)
    for before, head in itertools.product((0, 1), range(model.config.n_heads)):
        fact = applied(setting, head, before, draw_hints(model, rng))
        held = fact.covers(rows)
        assert fact.correct == np.count_nonzero(held)
        assert np.all(leads[held] > float(margin) - SURE)


@pytest.mark.parametrize("seed", parts(60))
def test_a_margin_decides_about_inputs_of_two_tokens(seed: int) -> None:
    """Everything is known: with one head, what an input leads by is what is proved, and never more."""
    rng, model = np.random.default_rng(seed), draw_fitting(seed, n_ctx=2, n_heads=1, n_key_value_heads=1)
    automaton = draw_automaton(model, rng)
    rows = every_input(automaton)
    leads = true_leads(model, automaton, rows)[:, 0]
    for row in np.flatnonzero(leads > 1e-3):
        for share, proved, precision in ((1 - 1e-6, True, 64), (1 + 1e-6, False, 64), (1 + 1e-6, False, 12)):
            setting = setting_for(model, automaton, precision, Fraction(float(leads[row] * share)))
            held = applied(setting, 0, 1, draw_hints(model, rng)).covers(rows)
            assert held[row] == proved


class Stated:
    """What the theorem says, written down once more in float64, pair by pair; and what it proves, sequence by sequence."""

    def __init__(self, model: Model, automaton: Automaton, head: int, before: int, hints: Hints, margin: float) -> None:
        self.exact, self.config, self.head, self.before = Exact(model), model.config, head, before
        self.found: dict[Any, np.ndarray] = {}
        self.hints, self.margin, (self.length, self.vocab) = hints, margin, model.config.input_shape
        after = automaton.followers(self.length - 1, np.arange(self.vocab))
        self.tokens = [np.flatnonzero(np.any(table >= 0, axis=0)) for table in (after[i] for i in np.argsort(automaton.order))]
        values = [
            [self.exact.part(0, "V", own, self.exact.embedded(int(t), j)) for j in range(self.length) for t in self.tokens[j]]
            for own in range(self.config.n_heads)
        ]
        self.centre = [(np.min(value, axis=0) + np.max(value, axis=0)) / 2 for value in values]

    def bounds(self, position: int, known: Mapping[int, int], column: np.ndarray) -> np.ndarray:
        """From below and from above, of y times a column."""
        key = (position, *known.items(), column.tobytes())
        if key not in self.found:
            self.found[key] = self.new_bounds(position, known, column)
        return self.found[key]

    def new_bounds(self, position: int, known: Mapping[int, int], column: np.ndarray) -> np.ndarray:
        exact, x = self.exact, self.exact.embedded(known[position], position)
        found = np.full(2, (x + exact["blocks.0.attn.b_O"]) @ column)
        for head in range(self.config.n_heads):
            u, query = exact["blocks.0.attn.W_O"][head] @ column, exact.part(0, "Q", head, x)
            above, below, every = np.zeros(2), np.zeros(2), []
            for k in range(position + 1):
                options = [exact.embedded(int(t), k) for t in ([known[k]] if k in known else self.tokens[k])]
                w = np.array([np.exp(query @ exact.part(0, "K", head, one)) for one in options])
                v = np.array([(exact.part(0, "V", head, one) - self.centre[head]) @ u for one in options])
                above += [(w * v).min(), (w * v).max()]
                below += [w.min(), w.max()]
                every += v.tolist()
            quotients = above[:, None] / below
            found = found + np.clip([quotients.min(), quotients.max()], min(every), max(every)) + self.centre[head] @ u
        return found

    def known(self, position: int, a: int, b: int) -> dict[int, int]:
        return {position: b, position - 1: a} if position else {0: b}

    def weights(self, row: np.ndarray, head: int) -> np.ndarray:
        """From the least to the greatest w at each position, for the pairs of one sequence: "position 2"."""
        exact, last, one = self.exact, self.length - 1, "blocks.1.attn."
        query, previous = int(row[-1]), int(row[-2])
        given, group = self.known(last, previous, query) if self.before else {last: query}, exact.group[head]
        q = np.array([self.bounds(last, given, column) for column in exact[f"{one}W_Q"][head].T])
        q = (q + exact[f"{one}b_Q"][head][:, None]) / exact.scale
        middle = q.mean(1)

        def keys(position: int, a: int, b: int) -> np.ndarray:
            known = self.known(position, a, b)
            return np.array([self.bounds(position, known, column) for column in exact[f"{one}W_K"][group].T])

        place, *pair = self.hints["references"][query].tolist()
        reference, found = keys(place, *pair)[:, 1], []
        for position in range(self.length):
            pair = int(row[position - 1]), int(row[position])
            along = self.bounds(position, self.known(position, *pair), exact[f"{one}W_K"][group] @ middle) - reference @ middle
            off = keys(position, *pair) - reference[:, None]
            corners = [off[:, i] * (q - middle[:, None])[:, j] for i in range(2) for j in range(2)]
            found.append(along + np.array([np.min(corners, axis=0).sum(), np.max(corners, axis=0).sum()]))
        return np.exp(found)

    def added(self, position: int, a: int, b: int, output: int, head: int) -> np.ndarray:
        """G for a pair, for all rivals."""
        one, found, number = "blocks.1.attn.", [], self.exact.group[head]
        for lead in self.leads(output):
            written = self.exact[f"{one}W_O"][head] @ lead
            column = self.exact[f"{one}W_V"][number] @ written
            least = self.bounds(position, self.known(position, a, b), column)[0]
            found.append(least + self.exact[f"{one}b_V"][number] @ written)
        return np.array(found)

    def leads(self, output: int) -> list[np.ndarray]:
        """D for all rivals."""
        unembed = self.exact.unembedding()
        return [unembed[:, output] - unembed[:, r] for r in range(self.config.d_vocab_out) if r != output]

    def least_products(self, rows: np.ndarray, output: int, head: int, plus: np.ndarray) -> np.ndarray:
        """Least w (plus + G) of sequences, "n position r"."""
        found = []
        for row in rows.tolist():
            every = np.array([self.added(k, row[k - 1], row[k], output, head) for k in range(self.length)]) + plus
            weights = self.weights(np.array(row), head)
            found.append(np.minimum(weights[:, :1] * every, weights[:, 1:] * every))
        return np.array(found)

    def sums(self, rows: np.ndarray, output: int) -> np.ndarray:
        """Of all inputs of a family with one output: sums of F for the rival with the least, in shares of the greatest term."""
        bias, query, last = self.exact["unembed.b_U"], int(rows[0, -1]), self.length - 1
        rivals = [r for r in range(self.config.d_vocab_out) if r != output]
        given = self.known(last, int(rows[0, -2]), query) if self.before else {last: query}
        plus = np.array([self.bounds(last, given, lead)[0] for lead in self.leads(output)])
        plus += np.array(self.leads(output)) @ self.exact["blocks.1.attn.b_O"] + bias[output] - bias[rivals] - self.margin
        others = [head for head in range(self.config.n_heads) if head != self.head]
        for number, head in enumerate(others):
            pairs = [(k, int(a), int(b)) for k in range(self.length) for a in self.tokens[k - 1] for b in self.tokens[k]]
            least = np.min([self.added(*pair, output, head) for pair in pairs], axis=0)
            mean = self.hints["means"][query, output, :, number] / 2**24
            sums = self.least_products(rows, output, head, -mean).sum(1).min(0)
            totals = np.array([self.weights(row, head).sum(0) for row in rows])
            plus += np.maximum(least, mean + np.minimum(sums / totals[:, 0].min(), sums / totals[:, 1].max()))
        terms = self.least_products(rows, output, self.head, plus)
        found: np.ndarray = terms.sum(1).min(1) / np.abs(terms).max()
        return found


def proved_by_sums(automaton: Automaton, rows: np.ndarray, sums: np.ndarray, before: int) -> tuple[np.ndarray, np.ndarray]:
    """Which sequences are proved: those one of whose steps has only positive sums. And how near to zero that was decided."""
    true, last = automaton.outputs_of(rows)[:, 0], rows.shape[1] - 1
    state, previous = np.zeros(len(rows), int), np.zeros(len(rows), int)
    best = np.full(len(rows), -np.inf)
    for step, place in enumerate(automaton.order.tolist()):
        key = np.column_stack([true, rows[:, -1], rows[:, -2] * before, state, previous, rows[:, place]])
        _, group = np.unique(key, axis=0, return_inverse=True)
        least = np.full(group.max() + 1, np.inf)
        np.minimum.at(least, group.reshape(-1), sums)
        best = np.maximum(best, least[group.reshape(-1)])
        state = automaton.at(step)[state, rows[:, place]]
        previous = previous if place == last else rows[:, place]
    return best > 0, np.abs(best)


@pytest.mark.parametrize("seed", parts(72))
def test_what_is_proved_is_what_the_theorem_says(seed: int) -> None:
    """Sequence by sequence, and step by step."""
    rng, model = np.random.default_rng(seed), draw_fitting(seed, n_ctx=2 + seed % 3, size=0.6)
    automaton = draw_automaton(model, rng)
    rows = every_input(automaton)
    head, before, hints = int(rng.integers(model.config.n_heads)), seed // 2 % 2, draw_hints(model, rng)
    leads = true_leads(model, automaton, rows)[:, 0]
    margin = float(max(0, np.quantile(leads, 0.2))) if seed % 2 else 0.0
    if seed % 3:  # so that some are proved
        size = model.config.d_vocab_out
        biases = np.zeros(size)
        biases[int(np.bincount(automaton.outputs_of(rows)[:, 0]).argmax())] = rng.choice([0.5, 2, 4])
        model = replace(
            model, tensors={**model.tensors, "unembed.b_U": RawTensor("F64", (size,), biases.astype("<f8").tobytes())}
        )
    stated, true = Stated(model, automaton, head, before, hints, margin), automaton.outputs_of(rows)[:, 0]
    family = np.column_stack([true, rows[:, -1], rows[:, -2] * before])
    sums = np.zeros(len(rows))
    for one in np.unique(family, axis=0):
        here = np.all(family == one, axis=1)
        sums[here] = stated.sums(rows[here], int(one[0]))
    expected, distance = proved_by_sums(automaton, rows, sums, before)
    setting = setting_for(model, automaton, 64, Fraction(margin))
    held = applied(setting, head, before, hints).covers(rows)
    clear = distance > 1e-9
    assert np.array_equal(held[clear], expected[clear])
    assert clear.mean() >= 0.5


def copying(seed: int = 0) -> tuple[Model, Automaton]:
    """A model of two heads, and a task: 2 tokens, 3 positions, the last token but one."""
    sizes = {"n_heads": 2, "n_key_value_heads": 2, "d_vocab": 2, "n_ctx": 3, "d_vocab_out": 2}
    kind = {"positional_embedding_type": "standard", "tie_word_embeddings": False}
    last = automaton_from(0, lambda state, token, place: token if place < 2 else state, lambda state: state, 3, 2)
    return draw_fitting(seed, **sizes, **kind), last


def test_ties_are_not_proved() -> None:
    """Two outputs are alike, so that nothing is right."""
    model, automaton = copying()
    columns = np.array(stored_weights(model)["unembed.W_U"])
    columns[:, 1] = columns[:, 0]
    raw = RawTensor("F32", columns.shape, columns.astype("<f4").tobytes())
    tensors = {name: tensor for name, tensor in model.tensors.items() if name != "unembed.b_U"} | {"unembed.W_U": raw}
    for before, precision in itertools.product((0, 1), (12, 30, 64)):
        setting = setting_for(replace(model, tensors=tensors), automaton, precision)
        assert applied(setting, 0, before, no_hints(model)).correct == 0


def test_every_head_has_a_guess_of_its_own() -> None:
    """Of three heads, one is added up; less is proved if the guess of one of the others is far off."""
    model = draw_fitting(21, n_heads=3, n_key_value_heads=3, n_ctx=3, size=0.6)
    automaton, near = draw_automaton(model, np.random.default_rng(21)), no_hints(model)
    found = []
    for other in (0, 1):
        means = near["means"].copy()
        means[..., other] = -64 * 2**24
        found.append(applied(setting_for(model, automaton), 0, 1, {**near, "means": means}).correct)
    best = applied(setting_for(model, automaton), 0, 1, near).correct
    assert found[0] != found[1] and max(found) < best


@pytest.mark.parametrize(
    ("fixed", "reason"),
    [
        ({"n_layers": 1}, "two layers"),
        ({"n_layers": 3}, "two layers"),
        ({"attn_only": False}, "without MLPs"),
        ({"normalization_type": "LNPre", "eps": "1/3"}, "norms"),
        ({"positional_embedding_type": "rotary", "d_head": 2, "rotary_dim": 2}, "rotary"),
        ({"positional_embedding_type": "alibi"}, "ALiBi"),
        ({"pad_token": 1}, "padding"),
        ({"use_qk_norm": True, "eps": "1/3"}, "norms"),
        ({"attention_dir": "bidirectional"}, "causal"),
    ],
)
def test_other_models_are_refused(fixed: dict[str, Any], reason: str) -> None:
    """By what the rule says of itself."""
    model = draw_fitting(0, d_vocab=2, n_ctx=3, d_vocab_out=2, **fixed)
    with pytest.raises(Refused, match=reason):
        applied(setting_for(model, copying()[1]), 0, 0, no_hints(model))


def test_weights_that_are_kept_are_announced() -> None:
    """Of all heads, for all tokens at a position and at those before it."""
    model, automaton = copying()
    setting = setting_for(model, automaton)
    forward = transformer_forward(setting, Step("transformer-forward"), ()).forward
    read = Read(setting, LayerInput.of_tokens(forward, setting.task), setting.task, 2, np.arange(2))  # type: ignore[arg-type]
    before, columns = (
        setting.meter.held,
        setting.arithmetic.exact(np.ones((model.config.d_model, 1), int), np.zeros((1, 1), int)),
    )
    FirstLayer(read, 2, True).through(columns)
    assert setting.meter.held >= before + 2 * 2 * 6 * 16


def test_other_reads_are_refused() -> None:
    """Not at the last position, or before all tokens are read; or others read in another order."""
    model, _ = copying()
    transitions, outputs = np.zeros((1, 1, 2), np.int64), np.zeros((1, 1), np.int64)
    for order, reads in (([0, 1, 2], [[1, 3]]), ([0, 1, 2], [[2, 2]]), ([1, 0, 2], None), ([2, 1, 0], None)):
        given = (outputs, np.array(reads)) if reads else (outputs[0],)
        automaton = Automaton.of(np.array(order), transitions, *given)
        with pytest.raises(Refused, match="from first to last"):
            applied(setting_for(model, automaton), 0, 0, no_hints(model))


@pytest.mark.parametrize("seed", parts(45))
def test_states_that_nothing_leads_to_make_no_difference(seed: int) -> None:
    """Also if they go on with tokens that no input has there."""
    rng, model = np.random.default_rng(seed), draw_fitting(seed)
    automaton, hints = draw_automaton(model, rng), draw_hints(model, rng)
    steps, states, vocab = automaton.transitions.shape
    more = np.concatenate([automaton.transitions, rng.integers(-1, states, (steps, 2, vocab))], axis=1)
    outputs = np.concatenate([automaton.outputs[0], [0, -1]])
    padded, before = Automaton.of(automaton.order, more, outputs), seed // 2 % 2
    rows, found = every_input(automaton), []
    for one in (automaton, padded):
        assert np.array_equal(every_input(one), rows)
        found.append(applied(setting_for(model, one), 0, before, hints).covers(rows))
    assert np.array_equal(*found)


def test_tokens_that_no_input_has_at_the_end() -> None:
    """Though a state that nothing leads to goes on with them."""
    model, _ = copying()
    transitions = np.full((1, 2, 2), -1)
    transitions[0, 0, 0], transitions[0, 1, 1] = 0, 1
    automaton = Automaton.of(np.arange(3), transitions, np.zeros(2, np.int64))
    for before in (0, 1):
        fact = applied(setting_for(model, automaton), 0, before, no_hints(model))
        assert fact.correct == np.count_nonzero(fact.covers(np.zeros((1, 3), np.int64))) <= 1


def test_what_sums_keep_is_announced() -> None:
    """Least sums of all states, for all rivals: many steps, of few pairs."""
    steps = [Steps(np.arange(100), np.arange(100), np.zeros(100, np.int64))] * 100
    setting = setting_for(*copying())
    setting.meter.held = setting.meter.budget.memory - 2**24
    terms = {100: setting.arithmetic.exact(np.ones((1, 200), np.int64), np.zeros((1, 200), np.int64))}
    with pytest.raises(OverBudget, match="MiB"):
        Paths(setting, steps, [100] * 101, np.zeros(100, np.int64)).doubtful(terms)


def test_keys_that_are_kept_are_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all pairs at all positions."""
    model, automaton = copying()
    setting = setting_for(model, automaton)
    forward = transformer_forward(setting, Step("transformer-forward"), ()).forward
    before, held, hold = setting.meter.held, list[tuple[str, int]](), setting.meter.hold

    def noting(size: int) -> None:
        held.append((Path(sys._getframe(1).f_code.co_filename).stem, size))
        hold(size)

    monkeypatch.setattr(setting.meter, "hold", noting)
    SecondLayer(Read(setting, LayerInput.of_tokens(forward, setting.task), setting.task, 2, np.arange(2)), False)  # type: ignore[arg-type]
    read_and_weights = 8 * 3 * 2 * 2 * 2 + 2 * 2 * 12 * 32
    assert setting.meter.held >= before + read_and_weights // 2 + 2 * 3 * 4 * model.config.d_head * 16
    size = setting.arithmetic.exact(np.ones((1, 1), np.int64), np.zeros((1, 1), np.int64)).element_bytes // 4
    assert ("pair_tables", 2**2 * 3 * model.config.n_key_value_heads * model.config.d_head * size) in held


def second_layer(setting: Setting) -> SecondLayer:
    """At the last of three positions, of two tokens."""
    forward = transformer_forward(setting, Step("transformer-forward"), ()).forward
    return SecondLayer(Read(setting, LayerInput.of_tokens(forward, setting.task), setting.task, 2, np.arange(2)), False)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", [7, 12, 17, 22])
def test_guesses_are_those_of_a_query_a_rival_and_a_head(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = draw_fitting(seed)
    rng = np.random.default_rng(seed)
    hints, automaton = draw_hints(model, rng), draw_automaton(model, rng)
    setting, asked = setting_for(model, automaton), list[tuple[int, int, list[Fraction]]]()

    def least_mean(layer: SecondLayer, paths: Paths, own: Weighed, added: object, head: int, guess: Enclosure) -> None:
        asked.append((own.family.query, head, [Fraction(number) for number in ends(guess)[0].reshape(-1).tolist()]))

    monkeypatch.setattr(SecondLayer, "_least_mean", least_mean)
    applied(setting, 0, 0, hints)
    assert asked
    for query, head, guess in asked:
        said = hints["means"][query, :, :, head - 1].tolist()
        assert guess in [[Fraction(number, 2**24) for number in rivals] for rivals in said]


@pytest.mark.parametrize("seed", [7, 12, 17, 22])
def test_without_a_mean_the_least_of_all_pairs_counts(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the mean were further below."""
    model = draw_fitting(seed, size=0.4)
    setting, terms = setting_for(model, draw_automaton(model, np.random.default_rng(seed))), SecondLayer._terms
    low = setting.arithmetic.exact(np.full((1, 1), -1000), np.zeros((1, 1), np.int64))
    leads: dict[bool, list[np.ndarray]] = {True: [], False: []}
    for mean in (None, low):
        noted = leads[mean is None]

        def noting(*arguments: Any, noted: list[np.ndarray] = noted) -> Any:
            noted.append(np.asarray(ends(arguments[-1])[0], np.float64))
            return terms(*arguments)

        monkeypatch.setattr(SecondLayer, "_least_mean", lambda *_, mean=mean: mean)
        monkeypatch.setattr(SecondLayer, "_terms", noting)
        applied(setting, 0, 0, no_hints(model))
    assert leads[True] and all(np.allclose(*both, atol=1e-4) for both in zip(*leads.values(), strict=True))


def test_a_mean_is_the_least_that_any_total_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a sum of -3 is divided by a total between 1 and 2."""
    setting = setting_for(*copying())
    layer = second_layer(setting)

    def number(value: int) -> Enclosure:
        return setting.arithmetic.exact(np.full((1, 1), value, np.int64), np.zeros((1, 1), np.int64))

    least = iter([number(1), number(-2), number(-3)])

    class Given:
        """Paths of which the least sums are known."""

        def least(self, terms: object) -> list[Enclosure]:
            return [next(least)]

    monkeypatch.setattr(layer, "_terms", lambda *_: {})
    mean = layer._least_mean(Given(), Weighed(None, [{0: number(1)}]), [], 0, number(5))  # type: ignore[arg-type]
    assert mean is not None and ends(mean)[0] <= 5 - 3 and ends(mean)[1] >= 5 - Fraction(3, 2)


def test_single_inputs_are_looked_up_quickly() -> None:
    """What `covers` takes does not depend on how many families there are, once it was asked about each."""
    model, automaton = copying()
    setting, rows = setting_for(model, automaton), every_input(automaton)
    fact = applied(setting, 0, 1, no_hints(model))
    fact.covers(rows)
    before = setting.meter.effort
    fact.covers(rows[:1])
    assert 0 < setting.meter.effort - before < 200_000


def test_wide_tables_are_announced() -> None:
    """Before they are made."""
    model, automaton = copying()
    setting = setting_for(model, automaton)
    setting.meter.held = setting.meter.budget.memory - 20_000
    with pytest.raises(OverBudget, match="MiB"):
        applied(setting, 0, 0, no_hints(model))


def test_some_sequences_of_a_family_may_be_proved() -> None:
    """Doubtful steps are counted out one by one: there are cases in which some inputs with the same last tokens and output are
    proved, and others are not.
    """
    partly, seed = 0, 0
    while partly < 3 and seed < 60:
        rng, model = np.random.default_rng(seed), draw_fitting(seed, n_ctx=4)
        automaton = draw_automaton(model, rng)
        rows = every_input(automaton)
        held = applied(setting_for(model, automaton), 0, 1, draw_hints(model, rng)).covers(rows)
        family = np.column_stack([rows[:, -2:], automaton.outputs_of(rows)])
        partly += sum(len(np.unique(held[np.all(family == one, axis=1)])) == 2 for one in np.unique(family, axis=0))
        seed += 1
    assert partly >= 3
