"""Regions of random automata and random one-layer transformers, against an oracle that evaluates every input."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest
from test_activations import EXACT, real
from test_enclosures import ends, make
from thorough import parts
from transformer_models import draw_model, stored_weights
from transformer_oracle import torch_logits

from certificates import Model, RawTensor, Step, integer_tensor
from certificates.automaton import Automaton
from checker.core.automata import AutomatonTask, parse_automaton
from checker.core.enclosed_weights import zeros
from checker.core.errors import OverBudget, Refused
from checker.core.facts import CertifiedInputs, Setting
from checker.core.meter import Budget, Meter
from checker.core.scaled_integers import ScaledArithmetic
from checker.transformer.after_attention import Boxes
from checker.transformer.all_reads import all_reads
from checker.transformer.boxes import activated, normalised
from checker.transformer.finer import RightAtRead, stood_for
from checker.transformer.reads import Edges, LayerInput, Read
from checker.transformer.regions import regions
from checker.transformer.transformer_forward import take_forward, transformer_forward

SEEDS = parts(90)
SURE = 1e-9
"""Beyond what float64 may be off in the oracle."""


def one_layer(seed: int, **fixed: Any) -> Model:
    """Every feature by turns."""
    sizes = {"n_layers": 1, "d_vocab": 2 + seed % 2, "n_ctx": 2 + seed % 3, "d_vocab_out": 2 + seed % 2}
    return draw_model(seed, size=(0.3, 0.6, 1.2)[seed % 3], **{**sizes, **fixed})


def width(model: Model) -> int:
    """Of what heads read."""
    return model.config.n_heads * model.config.d_head


def draw_automaton(model: Model, rng: np.random.Generator) -> Automaton:
    """Any, with dead ends, states that nothing leads to, reads after any steps; for causal models at any position."""
    length, vocab = model.config.input_shape
    while True:
        states, steps = rng.integers(1, 5), rng.choice([1, length])
        transitions = rng.integers(-1 if rng.random() < 0.7 else 0, states, (steps, states, vocab))
        positions = np.flatnonzero(rng.random(length) < 0.5)
        reads = np.stack([positions, rng.integers(1, length + 1, len(positions))], axis=1)
        usual = len(reads) == 0 or reads.tolist() == [[length - 1, length]]
        outputs = rng.integers(-1 if rng.random() < 0.4 else 0, model.config.d_vocab_out, (1 if usual else len(reads), states))
        automaton = Automaton.of(rng.permutation(length), transitions, *((outputs[0],) if usual else (outputs, reads)))
        if automaton.count():
            return automaton


def setting_for(model: Model, automaton: Automaton, precision: int = 30, margin: Fraction = Fraction(0)) -> Setting:
    meter = Meter(Budget(operations=10**11))
    given = {name: integer_tensor(table) for name, table in automaton.tables.items()}
    task = parse_automaton({"automaton": automaton.digest}, model.config, given, meter)
    return Setting(model, task, ScaledArithmetic(precision, meter), meter, margin=margin)


def within(setting: Setting, memory: int) -> Setting:
    """With so many bytes of memory, and nothing announced yet."""
    meter = Meter(Budget(memory=memory))
    return replace(setting, meter=meter, arithmetic=ScaledArithmetic(30, meter))


def every_input(automaton: Automaton) -> np.ndarray:
    every = itertools.product(range(automaton.transitions.shape[2]), repeat=len(automaton.order))
    rows = np.array(list(every))
    return rows[automaton.outputs_of(rows)[:, 0] >= 0]


def true_leads(model: Model, automaton: Automaton, rows: np.ndarray) -> np.ndarray:
    """By how much the true output leads at each read, "n r"."""
    logits = torch_logits(vars(model.config), stored_weights(model), rows).numpy()[:, automaton.reads[:, 0]]
    own = automaton.outputs_of(rows)[..., None]
    others = logits.copy()
    np.put_along_axis(others, own, -np.inf, 2)
    return np.take_along_axis(logits, own, 2)[..., 0] - others.max(2)


def states_after(automaton: Automaton, rows: np.ndarray, steps: int) -> np.ndarray:
    """In which states the automaton is."""
    state = np.zeros(len(rows), int)
    for i in range(steps):
        state = automaton.at(i)[state, rows[:, automaton.order[i]]]
    return state


def draw_hints(
    automaton: Automaton,
    read: int,
    rng: np.random.Generator,
    memory: int,
    coordinates: int,
    drop: float = 0.0,
    by_state: bool = False,
) -> dict[str, np.ndarray]:
    """A finer automaton that remembers, beside the automaton's state and the query, one of `memory` random numbers.

    Queries are tokens, or (by_state) states of the automaton.
    """
    position, steps = automaton.reads[read].tolist()
    rows = every_input(automaton)
    asked = states_after(automaton, rows, position + 1) if by_state else rows[:, position]
    queries = np.unique(asked)
    if len(queries) > 1 and rng.random() < 0.2:
        queries = queries[1:]
    states: list[tuple[int, int, int]] = [(0, int(q), 0) for q in queries]
    sizes, finer = [], []
    for step in range(steps):
        place, numbers = int(automaton.order[step]), dict[tuple[int, int, int], int]()
        begun: dict[tuple[int, int], set[tuple[int, ...]]] = {}
        ends = (states_after(automaton, rows, step + i) for i in range(2))
        for before, after, query, token in zip(*ends, asked, rows[:, place], strict=True):
            begun.setdefault((int(before), int(query)), set()).add((int(token), int(after)))
        for state, query, _ in states:
            row = np.full(automaton.transitions.shape[2], -1)
            for token, after in sorted(begun.get((state, query), ())):
                if rng.random() >= drop or not numbers:
                    row[token] = numbers.setdefault((after, query, int(rng.integers(memory))), len(numbers))
            finer.append(row)
        states = list(numbers)
        sizes.append(len(states))
    scale = rng.integers(1, 9, coordinates)
    return {"queries": queries, "sizes": np.array(sizes), "finer": np.array(finer), "scale": scale}


def step_of(read: int, hints: dict[str, np.ndarray], cuts: int = 2) -> Step:
    tensors = {name: integer_tensor(np.asarray(hint, np.int64)) for name, hint in hints.items()}
    return Step("regions", (0,), {"cuts": cuts, "read": read}, tensors)


def applied(setting: Setting, read: int, hints: dict[str, np.ndarray], cuts: int = 2) -> RightAtRead:
    forward = transformer_forward(setting, Step("transformer-forward"), ())
    return regions(setting, step_of(read, hints, cuts), (forward,))


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_proved_is_true(seed: int) -> None:
    """Of every kind of model and task; the margin is that by which some input leads."""
    rng, model = np.random.default_rng(seed), one_layer(seed)
    automaton = draw_automaton(model, rng)
    rows = every_input(automaton)
    leads = true_leads(model, automaton, rows)
    positive = leads[leads > 0]
    margin = Fraction(float(rng.choice(positive))).limit_denominator(10**6) if len(positive) and seed % 3 == 0 else Fraction(0)
    setting = setting_for(model, automaton, (30, 64)[seed % 2], margin)
    facts, coordinates = [], width(model)
    for read in range(len(automaton.reads)):
        memory = int(rng.choice([1, 2, 5, 60]))
        hints = draw_hints(automaton, read, rng, memory, coordinates, 0.1 * (seed % 4 == 1))
        fact = applied(setting, read, hints, int(rng.integers(0, 5)))
        held = fact.covers(rows)
        assert fact.correct == np.count_nonzero(held)
        assert np.all(leads[held, read] > float(margin) - SURE)
        facts.append(fact)
    total = all_reads(setting, Step("all-reads"), tuple(facts))
    held = total.covers(rows)
    assert total.correct <= np.count_nonzero(held) and np.all(leads[held].min(1) > float(margin) - SURE)
    assert total.correct == max(0, len(rows) - sum(len(rows) - fact.correct for fact in facts))


@pytest.mark.parametrize("seed", range(0, 60, 3))
def test_single_sequences_are_proved_if_they_are_clearly_right(seed: int) -> None:
    """With a region for each, boxes are points; a margin far below the lead makes no difference."""
    rng, model = np.random.default_rng(seed), one_layer(seed)
    automaton = draw_automaton(model, rng)
    rows, setting = every_input(automaton), setting_for(model, automaton, 64)
    for read, (position, steps) in enumerate(automaton.reads.tolist()):
        if steps < len(automaton.order) and np.any(automaton.order[steps:] <= position):
            continue  # positions are read later that matter
        hints = draw_hints(automaton, read, rng, 10**9, width(model))
        held = applied(setting, read, hints).covers(rows)
        clear = np.isin(rows[:, position], hints["queries"]) & (true_leads(model, automaton, rows)[:, read] > 1e-6)
        causal, padding = model.config.attention_dir == "causal", rows == model.config.pad_token
        blind = np.all(padding[:, : position + 1 if causal else None], axis=1)
        assert np.all(held[clear & ~blind]) and not np.any(held[blind])


def test_ties_are_not_proved() -> None:
    model = one_layer(0, normalization_type=None, tie_word_embeddings=False, d_vocab_out=3)
    columns = np.array(stored_weights(model)["unembed.W_U"])
    columns[:, 2] = columns[:, 1]
    raw = RawTensor("F32", columns.shape, columns.astype("<f4").tobytes())
    model = replace(model, tensors={**{n: t for n, t in model.tensors.items() if n != "unembed.b_U"}, "unembed.W_U": raw})
    automaton = Automaton.of(np.arange(2), np.array([[[0, 0]]]), np.array([1]))
    rng = np.random.default_rng(0)
    assert true_leads(model, automaton, every_input(automaton)).max() == 0
    assert applied(setting_for(model, automaton), 0, draw_hints(automaton, 0, rng, 60, width(model))).correct == 0


@pytest.mark.parametrize(("seed", "read"), [(4, 0), (25, 0), (50, 1), (62, 0)])
def test_nothing_is_proved_where_no_sum_of_weights_is_positive(seed: int, read: int) -> None:
    """Scores are so far apart that weights round to 0 in every region: it was an error of the checker."""
    sizes = {"n_layers": 1, "d_vocab": 2, "n_ctx": 2, "d_vocab_out": 2, "pad_token": -1}
    rng, model = np.random.default_rng(seed), draw_model(seed, size=6.0, **sizes)
    automaton = draw_automaton(model, rng)
    for before in range(read + 1):
        hints = draw_hints(automaton, before, rng, 1, width(model))
    fact = applied(setting_for(model, automaton), read, hints, 0)
    assert fact.correct == 0 and not fact.covers(every_input(automaton)).any()


def spoiled(
    hints: dict[str, np.ndarray], rng: np.random.Generator, names: Sequence[str], by: Sequence[int] = (-3, -2, -1, 1, 2, 2**40)
) -> dict[str, np.ndarray]:
    """One change somewhere in a hint with one of these names: perhaps of a number, by one of these."""
    name = str(rng.choice(names))
    array = hints[name].copy()
    kind = rng.integers(4)
    if kind == 0 and array.size:
        array.reshape(-1)[rng.integers(array.size)] += rng.choice(by)
    elif kind == 1 and len(array):
        array = np.delete(array, rng.integers(len(array)), axis=0)
    elif kind == 2 and len(array):
        array = np.concatenate([array, array[rng.integers(len(array))][None]])
    elif len(array):
        array = array[rng.permutation(len(array))]
    return {**hints, name: array}


@pytest.mark.parametrize("seed", range(25))
def test_spoiled_hints_are_refused_or_prove_what_is_true(seed: int) -> None:
    rng, model = np.random.default_rng(seed), one_layer(seed)
    automaton = draw_automaton(model, rng)
    rows = every_input(automaton)
    leads, refused = true_leads(model, automaton, rows), 0
    setting = setting_for(model, automaton)
    read = int(rng.integers(len(automaton.reads)))
    hints = draw_hints(automaton, read, rng, 2, width(model))
    for _ in range(25):
        try:
            fact = applied(setting, read, spoiled(hints, rng, ["queries", "sizes", "finer", "finer", "finer", "scale"]))
        except (Refused, OverBudget):
            refused += 1
            continue
        held = fact.covers(rows)
        assert fact.correct == np.count_nonzero(held) and np.all(leads[held, read] > -SURE)
    assert refused


SMALL = Automaton.of(np.array([1, 0]), np.array([[[0, 1], [1, 0]]]), np.array([[0, 1], [1, 0]]), np.array([[0, 2], [1, 2]]))
WHOLE = {"queries": [0, 1], "sizes": [4, 4], "finer": [[0, 1], [2, 3], [0, -1], [1, -1], [-1, 2], [-1, 3]], "scale": [1, 1, 3]}
"""Read at the position 0: the states after the first step are the sum, and whether the query is 0 or 1."""


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"queries": []}, "at least one"),
        ({"queries": [1, 0]}, "increasing"),
        ({"queries": [0, 0]}, "increasing"),
        ({"queries": [-1, 1]}, "increasing"),
        ({"queries": [0, 2]}, "tokens"),
        ({"sizes": [4, 5]}, "from nowhere"),
        ({"sizes": [4, 3]}, "no state"),
        ({"sizes": [4, 2**60]}, "rows"),
        ({"sizes": [3, 4]}, "rows"),
        ({"sizes": [4, 0]}, "rows"),
        ({"finer": [[0, 1], [2, 3], [0, -1], [1, -1], [-1, 2], [-1, 2]]}, "does not stand for"),
        ({"finer": [[0, 1], [2, 3], [0, -1], [1, -1], [-1, 2], [3, -1]]}, "no input goes"),
        ({"finer": [[0, 1], [2, 3], [0, -1], [1, -1], [-1, 2], [-2, 3]]}, "no state"),
        ({"finer": [[0, 1], [0, 3], [0, -1], [1, -1], [-1, 2], [-1, 3]]}, "does not stand for"),
        ({"finer": [[0, 1], [2, 3], [0, -1], [1, -1], [-1, 2], [-1, -1]]}, "from nowhere"),
        ({"scale": [1, 1]}, "3 scales"),
        ({"scale": [1, 0, 1]}, "3 scales"),
        ({"scale": [1, 2**21, 1]}, "3 scales"),
    ],
)
def test_what_is_no_finer_automaton_is_refused(change: dict[str, Sequence[Any]], reason: str | None) -> None:
    model = one_layer(0, d_vocab=2, n_ctx=2, attention_dir="bidirectional", d_head=3)
    hints = {name: np.array(hint, np.int64) for name, hint in (WHOLE | change).items()}
    setting = setting_for(model, SMALL)
    if reason is None:
        applied(setting, 0, hints)
        return
    with pytest.raises(Refused, match=reason):
        applied(setting, 0, hints)


def test_queries_that_no_input_has_are_refused() -> None:
    """Everything is numbered by queries: one too many would shift the others' scores."""
    model = one_layer(0, d_vocab=2, n_ctx=2, d_head=3, n_heads=1, n_key_value_heads=1)
    automaton = Automaton.of(np.array([0, 1]), np.array([[[0, 0], [-1, -1]], [[-1, 0], [-1, -1]]]), np.array([1, -1]))
    hints = {"queries": [1], "sizes": [1, 1], "finer": [[0, 0], [-1, 0]], "scale": [1, 1, 1]}
    setting = setting_for(model, automaton)
    applied(setting, 0, {name: np.array(hint, np.int64) for name, hint in hints.items()})
    more = hints | {"queries": [0, 1], "finer": [[-1, -1], [0, 0], [-1, 0]]}
    with pytest.raises(Refused, match="no input has one of the queries"):
        applied(setting, 0, {name: np.array(hint, np.int64) for name, hint in more.items()})


def test_edges_are_announced() -> None:
    """Those of a step, while they are read and while they are sorted."""
    automaton = Automaton.of(np.arange(2), np.zeros((1, 1, 2), np.int64), np.zeros(1, np.int64))
    setting = within(setting_for(one_layer(0), automaton), 10_000)
    none, boxes = np.zeros(200, np.int64), zeros(setting, 1, 1)
    with pytest.raises(OverBudget, match="MiB"):
        Edges(none, none, none, none).hulls(setting, boxes, None)
    with pytest.raises(OverBudget, match="MiB"):
        stood_for(setting, [none[None]], np.ones(2, np.int64), none[:1], [none[None]])


def test_scores_are_held() -> None:
    """Of all heads and positions."""
    model = one_layer(0, d_vocab=3, n_ctx=4, n_heads=2, n_key_value_heads=1, attention_dir="bidirectional", pad_token=-1)
    setting = setting_for(model, Automaton.of(np.arange(4), np.zeros((1, 1, 3), np.int64), np.zeros(1, np.int64)))
    task, evaluated = setting.task, transformer_forward(setting, Step("transformer-forward"), ())
    forward = take_forward(Step("regions", (0,)), (evaluated,))
    assert isinstance(task, AutomatonTask)
    read = Read(setting, LayerInput.of_tokens(forward, task), task, 1, np.arange(3))
    assert [len(symbols) for symbols in read.symbols] == [3] * 4
    before = setting.meter.held
    scores = [one for of_heads in read.scores for one in of_heads]
    assert setting.meter.held - before >= sum(one.lo.nbytes + one.hi.nbytes for one in scores) >= 16 * 2 * (3 * 9 + 3)


def test_premises_and_models_that_do_not_fit_are_refused() -> None:
    model = one_layer(0, d_vocab=2, n_ctx=2, attention_dir="bidirectional", d_head=3)
    setting, hints = setting_for(model, SMALL), {name: np.array(hint, np.int64) for name, hint in WHOLE.items()}
    forward, step = transformer_forward(setting, Step("transformer-forward"), ()), step_of(0, hints)
    own = regions(setting, step, (forward,))
    for premises in ((), (forward, forward), (own,)):
        with pytest.raises(Refused, match="one premise"):
            regions(setting, step, premises)
    for cuts in (-1, 65):
        with pytest.raises(Refused, match="cuts"):
            regions(setting, step_of(0, hints, cuts), (forward,))
    for number in (-1, 2):
        with pytest.raises(Refused, match="no read"):
            regions(setting, step_of(number, hints), (forward,))
    deep = setting_for(draw_model(0, n_layers=2, d_vocab=2, n_ctx=2), SMALL)
    with pytest.raises(Refused, match="takes what prefix-classes says"):
        regions(deep, step, (transformer_forward(deep, Step("transformer-forward"), ()),))
    other = RightAtRead(1, 3, own.covers)
    assert all_reads(setting, Step("all-reads"), (own, other)).correct == max(0, own.correct + 3 - 4)
    nothing = CertifiedInputs(0, np.zeros(2, bool), own.covers, own.covers)
    for premises in ((), (own,), (other, own), (own, own), (own, other, other), (own, other, nothing), (forward, other)):
        with pytest.raises(Refused, match="each of the 2 reads"):
            all_reads(setting, Step("all-reads"), premises)


@pytest.mark.parametrize("name", ["gelu", "gelu_new", "relu", "silu"])
@pytest.mark.parametrize("kind", [12, 30, 64, "mpmath"])
def test_activations_over_boxes_are_their_ranges(kind: object, name: str) -> None:
    """The least and greatest values on a grid are inside, and not far from the ends."""
    rng, arithmetic = np.random.default_rng(2), make(kind)
    low = np.rint(np.concatenate([rng.normal(size=40) * 3, [-2, -0.76, -0.75, -1.28, -1.27, 0, -20]]) * 2**20).astype(np.int64)
    wide = np.rint(np.abs(rng.normal(size=len(low))) * 2.0 ** rng.integers(-15, 2, len(low)) * 2**20).astype(np.int64)
    exponents = np.full((1, len(low)), -20, np.int64)
    x = arithmetic.exact(low[None], exponents).up_to(arithmetic.exact((low + wide)[None], exponents))
    below, above = ends(activated(name, x))
    with mpmath.workdps(60):
        for i in range(len(low)):
            points = [real(Fraction(int(low[i]) * 40 + int(wide[i]) * k, 40 * 2**20)) for k in range(41)]
            values = [EXACT[name](point) for point in points]
            assert real(below[0, i]) <= min(values) and max(values) <= real(above[0, i])
            if kind != 12:
                assert min(values) - real(below[0, i]) < 1e-3 and real(above[0, i]) - max(values) < 1e-4


@pytest.mark.parametrize("name", ["gelu", "gelu_new", "silu"])
def test_the_turns_are_where_activations_turn(name: str) -> None:
    from checker.transformer.boxes import _TURNS  # noqa: PLC0415

    with mpmath.workdps(60):
        turn = real(_TURNS[name])
        assert mpmath.diff(EXACT[name], -turn) > 0 > mpmath.diff(EXACT[name], -turn - mpmath.mpf(10) ** -7)


@pytest.mark.parametrize("kind", [30, 64, "mpmath"])
def test_normalised_boxes_hold_normalised_points(kind: object) -> None:
    rng, arithmetic = np.random.default_rng(3), make(kind)
    for size in (1, 2, 5):
        low = np.rint(rng.normal(size=(30, size)) * 2**20).astype(np.int64)
        wide = np.rint(np.abs(rng.normal(size=(30, size))) * 2.0 ** rng.integers(-15, 2, (30, 1)) * 2**20).astype(np.int64)
        exponents = np.full(low.shape, -20, np.int64)
        x = arithmetic.exact(low, exponents).up_to(arithmetic.exact(low + wide, exponents))
        eps = arithmetic.exact(np.array([[1]]), np.array([[-4]]))
        below, above = (np.array(end, float) for end in ends(normalised(x, eps)))
        for corner in range(60):
            part = rng.integers(0, 2, low.shape) if corner % 2 else rng.random(low.shape)
            point = (low + wide * part) / 2**20
            y = np.sqrt(size) * point / np.sqrt((point**2).sum(1, keepdims=True) + 1 / 16)
            assert np.all(below - 1e-12 <= y) and np.all(y <= above + 1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_halves_are_all_of_the_box(seed: int) -> None:
    """Along the widest coordinate, whatever else they do: at every corner and anywhere between."""
    rng, meter = np.random.default_rng(seed), Meter(Budget())
    arithmetic = ScaledArithmetic((12, 30, 64)[seed % 3], meter)
    low = rng.integers(-1000, 1000, (5, 3))
    high = low + rng.integers(0, 50 if seed % 2 else 2, (5, 3))
    box = arithmetic.exact(low, np.full(low.shape, -7)).up_to(arithmetic.exact(high, np.full(low.shape, -7)))
    query, scale = rng.integers(0, 4, 5), rng.integers(1, 9, 3)
    halves = Boxes(query, box).halves(scale)
    (below, above), (least, most) = ends(halves.z), ends(box)
    assert halves.query.tolist() == [*query, *query]
    narrower = 0
    for row in range(5):
        points = least[row] + (most[row] - least[row]) * (rng.integers(0, 5, (60, 3)) * Fraction(1, 4))
        within = [np.all((below[part] <= points) & (points <= above[part]), axis=1) for part in (row, row + 5)]
        assert np.all(within[0] | within[1])
        widths = [above[part] - below[part] for part in (row, row + 5)]
        narrower += max((most[row] - least[row]) * scale) > max(float(max(w * scale)) for w in widths)
    assert narrower or not seed % 2


def test_both_halves_of_a_box_are_proved() -> None:
    """The head reads a mean of tokens -1 and 1, which decides: a part of the box leads, and the rest does not."""
    sizes = {"d_vocab": 2, "d_vocab_out": 2, "n_ctx": 3, "d_model": 1, "d_head": 1, "n_heads": 1, "n_key_value_heads": 1}
    kind = {"normalization_type": None, "positional_embedding_type": "none", "attn_only": True, "tie_word_embeddings": False}
    model = one_layer(0, **sizes, **kind, attention_dir="causal", use_qk_norm=False, d_mlp=None, act_fn=None)
    values = {"embed.W_E": [-1, 1], "blocks.0.attn.W_V": [1], "blocks.0.attn.W_O": [4], "unembed.W_U": [-1, 1]}
    tensors = {
        name: RawTensor("F32", shape, np.array(values.get(name, [0] * int(np.prod(shape))), "<f4").tobytes())
        for name, shape in model.config.tensor_shapes().items()
    }
    model = replace(model, tensors=tensors)
    automaton = Automaton.of(np.arange(3), np.zeros((1, 1, 2), np.int64), np.array([1]))
    leads = true_leads(model, automaton, every_input(automaton))[:, 0]
    assert (leads > 0).any() and (leads[every_input(automaton)[:, 2] == 1] < 0).any()
    rest = {"queries": [1], "sizes": [1, 1, 1], "finer": [[0, 0], [0, 0], [-1, 0]], "scale": [1]}
    hints = {name: np.array(hint, np.int64) for name, hint in rest.items()}
    for cuts in range(12):
        assert applied(setting_for(model, automaton), 0, hints, cuts).correct == 0


def test_sequences_that_are_no_inputs_are_not_covered() -> None:
    """After the read, the task's automaton dies of a token: such sequences lead to a proved region, too."""
    model = one_layer(0, d_vocab=2, n_ctx=3, d_vocab_out=2, attention_dir="causal")
    always = {n: t for n, t in model.tensors.items() if n != "unembed.b_U"} | {
        "unembed.b_U": RawTensor("F32", (2,), np.array([0, 1000], "<f4").tobytes())
    }
    model = replace(model, tensors=always)
    transitions = np.array([[[0, 0]], [[0, 0]], [[0, -1]]])
    automaton = Automaton.of(np.arange(3), transitions, np.array([[1]]), np.array([[1, 2]]))
    hints = draw_hints(automaton, 0, np.random.default_rng(0), 1, width(model))
    fact = applied(setting_for(model, automaton), 0, hints)
    rows = np.array(list(itertools.product(range(2), repeat=3)))
    assert fact.correct == 4 and fact.covers(rows).tolist() == (rows[:, 2] == 0).tolist()


def test_sizes_do_not_overflow() -> None:
    model = one_layer(0, d_vocab=2, n_ctx=6, attention_dir="causal")
    automaton = Automaton.of(np.arange(6), np.zeros((1, 1, 2), np.int64), np.array([1]))
    hints = draw_hints(automaton, 0, np.random.default_rng(0), 1, width(model))
    rest = 4 + len(hints["finer"]) - len(hints["queries"])
    hints["sizes"] = np.array([*[2**62 - 1] * 4, rest, hints["sizes"][-1]])
    with np.errstate(over="ignore"):
        assert hints["sizes"][:-1].sum() + len(hints["queries"]) == len(hints["finer"])
    with pytest.raises(Refused, match="rows"):
        applied(setting_for(model, automaton), 0, hints)
