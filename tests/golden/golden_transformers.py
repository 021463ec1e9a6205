"""The part of the golden corpus that is about transformers of any depth (see make_golden).

Three models together have every feature. What they get right is counted by `transformer_oracle`, in multiple precision.
"""

import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
from make_golden import TASK, Corpus, claim, model_file, noise, stored, tensor
from transformer_oracle import exact_logits, torch_logits

from certificates import Certificate, Model, Statement, Step
from certificates.architectures import parse_config
from certificates.certificate import parse_certificate
from certificates.model_file import build_model
from certificates.tensor_file import parse_tensor_file

SIZES = {"architecture": "transformer", "d_model": 3, "d_vocab": 2, "n_ctx": 3, "d_mlp": 4}
CONFIGS: dict[str, dict[str, Any]] = {
    "decoder": {
        **{"n_layers": 2, "n_heads": 2, "d_head": 2, "act_fn": "gelu_new", "normalization_type": "LN", "eps": "1/100000"},
        **{"d_vocab_out": 3},
    },
    "turning": {
        **{"n_layers": 2, "n_heads": 2, "n_key_value_heads": 1, "d_head": 4, "act_fn": "silu", "gated_mlp": True},
        **{"normalization_type": "RMS", "eps": "1/1000000", "use_qk_norm": True, "tie_word_embeddings": True},
        **{"positional_embedding_type": "rotary", "rotary_base": 100},
    },
    "encoder": {
        **{"n_layers": 1, "n_heads": 1, "d_head": 3, "act_fn": "gelu", "normalization_type": "RMSPre", "eps": "1/3"},
        **{"positional_embedding_type": "none", "attention_dir": "bidirectional", "attn_scale": "3/2", "d_vocab_out": 2},
    },
    "one-layer": {
        **{"n_layers": 1, "n_heads": 2, "d_head": 2, "act_fn": "silu", "gated_mlp": True, "normalization_type": "LN"},
        **{"eps": "1/1000", "d_vocab_out": 2},
    },
    "one-head": {
        **{"n_layers": 1, "n_heads": 1, "d_head": 2, "act_fn": "relu", "normalization_type": None, "d_vocab_out": 3},
        **{"attention_dir": "bidirectional"},
    },
    "two-heads": {
        **{"n_layers": 1, "n_heads": 2, "d_head": 1, "act_fn": "relu", "normalization_type": None, "d_vocab_out": 3},
        **{"attention_dir": "bidirectional"},
    },
    "falling": {
        **{"n_layers": 1, "n_heads": 2, "d_head": 2, "act_fn": "relu", "normalization_type": None, "d_vocab_out": 3},
        **{"positional_embedding_type": "alibi", "attention_dir": "bidirectional"},
    },
    "padded": {
        **{"n_layers": 2, "n_heads": 2, "d_head": 3, "act_fn": "relu", "normalization_type": None, "d_vocab_out": 3},
        **{"positional_embedding_type": "alibi", "pad_token": 0},
    },
    "two-layers": {
        **{"n_layers": 2, "n_heads": 2, "d_head": 2, "attn_only": True, "normalization_type": None, "d_vocab_out": 3},
    },
}
FORWARD = Step("transformer-forward")


def executed(number: int = 0) -> Step:
    """The forward pass of executions in a format, by its number."""
    return Step("executed-forward", (), {"format": number})


@cache
def weights(name: str) -> Mapping[str, np.ndarray]:
    """Sixteenths that look irregular; norms are by about one."""
    found = {}
    for salt, (tensor_name, shape) in enumerate(parse_config({**SIZES, **CONFIGS[name]}).tensor_shapes().items()):
        array = noise(int(np.prod(shape[:-1])), shape[-1], 7 * salt + len(name)).reshape(shape)
        found[tensor_name] = 2 * array if array.ndim > 1 else array / 2 + tensor_name.endswith(".w")
    return found


def model(name: str) -> Model:
    """The project's view of it."""
    return build_model({**SIZES, **CONFIGS[name]}, stored(weights(name)), TASK)


@cache
def right(name: str) -> tuple[int, ...]:
    """Which of the inputs, in lexicographic order, are classified correctly."""
    found = []
    for place, tokens in enumerate(itertools.product(range(2), repeat=3)):
        logits = exact_logits(vars(model(name).config), weights(name), tokens)
        true = logits.pop(max(tokens))
        assert abs(true - max(logits)) > 1e-3, "clearly right or wrong"
        found += [place] if true > max(logits) else []
    return tuple(found)


def every(skip: Any = (), ranges: Any = ((0, 2), (0, 2), (0, 2))) -> Step:
    """The step that looks at every input."""
    return Step("all-inputs", (0,), {}, {"ranges": tensor(ranges), "skip": tensor(skip, (len(skip), 2))})


def proof(name: str, correct: int, *steps: Step) -> Certificate:
    """A certificate about one of the models."""
    return Certificate(Statement(model(name).digest(), TASK, correct, 8), 30, steps)


LARGEST: dict[str, Any] = {
    **{"order": [0, 1, 2], "transitions": [[[0, 1], [1, 1]]], "outputs": [[0, 1], [0, 1]], "reads": [[1, 2], [2, 3]]}
}
"""The largest token so far. Read after two tokens, and after all."""


@cache
def right_at_reads() -> np.ndarray:
    """Which of the inputs of `one-layer` are right at which read, "n r"."""
    rows = np.array(list(itertools.product(range(2), repeat=3)))
    logits = torch_logits(vars(model("one-layer").config), weights("one-layer"), rows).numpy()[:, 1:]
    lead = (logits[..., 1] - logits[..., 0]) * np.where(np.maximum.accumulate(rows, axis=1)[:, 1:], 1, -1)
    assert np.abs(lead).min() > 1e-3, "clearly right or wrong"
    return lead > 0


def remembering(read: int, cuts: int = 0, **changes: Any) -> Step:
    """A finer automaton that forgets no token read before: states are numbered in the order of (query, tokens)."""
    steps, states = read + 2, [(query,) for query in range(2)]
    sizes, finer = [], []
    for step in range(steps):
        own = step == read + 1  # the position read
        after = [(*state, token) for state in states for token in range(2) if not own or token == state[0]]
        finer += [[after.index((*state, token)) if (*state, token) in after else -1 for token in range(2)] for state in states]
        states = after
        sizes.append(len(states))
    hints = {"queries": [0, 1], "sizes": sizes, "finer": finer, "scale": [1, 2, 1, 2]} | changes
    shapes = {"queries": (-1,), "sizes": (-1,), "finer": (-1, 2), "scale": (-1,)}
    return Step(
        "regions", (0,), {"cuts": cuts, "read": read}, {name: tensor(hint, shapes[name]) for name, hint in hints.items()}
    )


def add_regions(corpus: Corpus) -> None:
    """Certificates about `one-layer`, on the task LARGEST."""
    right_there, total = right_at_reads(), Step("all-reads", (1, 2))
    count = 8 - int((~right_there).sum())
    assert 2 <= count < 8

    def add(name: str, correct: int, exit_code: int, why: str, *steps: Step, tables: Any = LARGEST) -> None:
        lists = {key: np.array(table).tolist() for key, table in tables.items()}
        text = json.dumps(lists, sort_keys=True, separators=(",", ":"))
        task = {"automaton": hashlib.sha256(text.encode()).hexdigest()}
        statement = Statement(model("one-layer").digest(), task, correct, 8)
        given = {key: tensor(table) for key, table in tables.items()}
        corpus.add(name, Certificate(statement, 30, (FORWARD, *steps), given), exit_code, why, "transformer-one-layer")

    first, second = remembering(0), remembering(1)
    add("regions", count, 0, "a region for every sequence", first, second, total)
    add("regions-cut", count, 0, "boxes are cut where they are not proved", remembering(0, cuts=3), second, total)
    add("regions-more", count + 1, 1, "one input more than is right", first, second, total)
    some = 8 - int((~right_there[:, 0]).sum()) - int((~right_there[:, 1] | (np.arange(8) % 2 == 0)).sum())
    if some < 1:
        raise ValueError("nothing is left to be proved")
    one = remembering(1, queries=[1], sizes=[2, 4, 4], finer=[[0, 1], [0, 1], [2, 3], [-1, 0], [-1, 1], [-1, 2], [-1, 3]])
    add("regions-one-query", some, 0, "inputs with another last token are not counted", first, one, total)
    table = second.hints["finer"].integers().tolist()
    dropped = [*table[:-1], [-1, -1]]
    fewer = [int(n) for n in second.hints["sizes"].integers()]
    lost = int(right_there[7, 1])
    short = remembering(1, finer=dropped, sizes=[*fewer[:-1], fewer[-1] - 1])
    add("regions-dropped", count - lost, 0, "one sequence is led to no state", first, short, total)
    merged = [[max(0, target - 1) if target >= 0 else -1 for target in row] for row in table[6:]]
    for name, changes, why in (
        ("nowhere", {"sizes": [*fewer[:-1], fewer[-1] + 1]}, "nothing leads to one of the states"),
        ("unknown", {"finer": [*table[:-1], [-1, fewer[-1]]]}, "one leads to what is no state"),
        ("other-query", {"finer": [*table[:-1], table[-1][::-1]]}, "the token read is not the query"),
        ("other-state", {"finer": [*table[:6], *merged], "sizes": short.hints["sizes"].integers()}, "0 0 0 meets 0 1 0"),
        ("below", {"finer": [*table[:-1], [-2, table[-1][1]]]}, "an entry below -1"),
        ("no-query", {"queries": []}, "there are no queries"),
        ("queries-turned", {"queries": [1, 0]}, "queries do not increase"),
        ("rows", {"finer": [*table, table[-1]]}, "a row too many"),
        ("cut-too-often", {"cuts": 65}, "too many cuts"),
        ("scale-none", {"scale": [1, 0, 1, 1]}, "a scale of 0"),
        ("scale-short", {"scale": [1]}, "there are more coordinates"),
    ):
        add(f"regions-{name}", count, 1, why, first, remembering(1, **changes), total)
    add("regions-read", count, 1, "there is no such read", first, replace(second, parameters={"cuts": 0, "read": 2}), total)
    add("regions-alone", int(right_there[:, 1].sum()), 1, "a fact about one read only", second)
    add("regions-read-twice", count, 1, "the first read twice", first, first, total)
    add("regions-turned", count, 1, "reads in the wrong order", second, first, total)
    add("regions-one-missing", count, 1, "a read is missing", first, replace(total, premises=(1,)))
    add("regions-premise", count, 1, "no forward pass", replace(first, premises=()), second, total)
    both, joint = int(right_there.all(axis=1).sum()), Step("joint-reads", (1, 2))
    at_last = right_there.all(axis=1) & (np.arange(8) % 2 == 1)
    add("joint-reads", both, 0, "each input is counted once", first, second, joint)
    add("joint-reads-more", both + 1, 1, "one input more than is right", first, second, joint)
    add("joint-reads-fewer", both - 1, 1, "one input fewer", first, second, joint)
    add("joint-reads-one-query", int(at_last.sum()), 0, "inputs with another last token are not counted", first, one, joint)
    add("joint-reads-turned", both, 1, "reads in the wrong order", second, first, joint)
    add("joint-reads-one-missing", both, 1, "a read is missing", first, replace(joint, premises=(1,)))
    add("joint-reads-parameter", both, 1, "a parameter", first, second, replace(joint, parameters={"read": 0}))
    add("reads-usual", 0, 2, "reads that are the usual one", first, tables=LARGEST | {"reads": [[2, 3]], "outputs": [[0, 1]]})
    add("reads-turned", 0, 2, "reads in another order", first, tables=LARGEST | {"reads": [[2, 3], [1, 2]]})
    add("reads-late", 0, 2, "a read after more steps than there are", first, tables=LARGEST | {"reads": [[1, 4], [2, 3]]})
    add("reads-every", int(right_there.all(axis=1).sum()), 0, "every input, at all reads", every())
    add("reads-every-more", int(right_there.all(axis=1).sum()) + 1, 1, "one more", every())


MAXIMUM: dict[str, Any] = {"order": [0, 1, 2], "transitions": [[[0, 1], [1, 1]]], "outputs": [0, 2]}
"""Twice the largest token, read after all."""


@cache
def right_about_largest() -> np.ndarray:
    """Which of the inputs of `decoder` are right about it."""
    rows = np.array(list(itertools.product(range(2), repeat=3)))
    logits = torch_logits(vars(model("decoder").config), weights("decoder"), rows).numpy()[:, 2]
    label = 2 * rows.max(axis=1)
    true, others = logits[np.arange(8), label], np.where(np.arange(3) == label[:, None], -np.inf, logits).max(axis=1)
    assert np.abs(true - others).min() > 1e-3, "clearly right or wrong"
    return true > others


def add_prefix_classes(corpus: Corpus) -> None:
    """Certificates about `decoder`, on the task MAXIMUM: every prefix has a class, of which it is the number in base two."""
    steps, hints = 3, {"sizes": [2, 4, 8], "classes": [[0, 1], [0, 1], [2, 3], [0, 1], [2, 3], [4, 5], [6, 7]]}
    own = [[-1] * 2 for _ in range(24)]
    for query in range(8):
        for step in range(steps):
            own[8 * step + query][query >> (2 - step) & 1] = query
    count = int(right_about_largest().sum())
    assert 2 <= count < 8

    def classes(**changes: Any) -> Step:
        shapes = {"sizes": (-1,), "classes": (-1, 2)}
        return Step("prefix-classes", (0,), {}, {name: tensor(hint, shapes[name]) for name, hint in (hints | changes).items()})

    def leads(**changes: Any) -> Step:
        found = {"queries": np.arange(8), "sizes": [8, 8, 8], "finer": own, "scale": [1] * 4} | changes
        shapes = {"queries": (-1,), "sizes": (-1,), "finer": (-1, 2), "scale": (-1,)}
        tensors = {name: tensor(hint, shapes[name]) for name, hint in found.items()}
        return Step("regions", (1,), {"cuts": 0, "read": 0}, tensors)

    def add(name: str, correct: int, exit_code: int, why: str, *steps: Step, tables: Any = MAXIMUM) -> None:
        text = json.dumps({key: np.array(t).tolist() for key, t in tables.items()}, sort_keys=True, separators=(",", ":"))
        task = {"automaton": hashlib.sha256(text.encode()).hexdigest()}
        statement = Statement(model("decoder").digest(), task, correct, 8)
        given = {key: tensor(table) for key, table in tables.items()}
        proof = (FORWARD, *steps, Step("all-reads", (len(steps),)))
        corpus.add(name, Certificate(statement, 30, proof, given), exit_code, why, "transformer-decoder")

    add("classes", count, 0, "a class for every prefix", classes(), leads())
    add("classes-more", count + 1, 1, "one input more than is right", classes(), leads())
    table = hints["classes"]
    for name, changes, why in (
        ("nowhere", {"sizes": [2, 4, 9]}, "nothing leads to one of the classes"),
        ("unknown", {"classes": [*table[:-1], [6, 8]]}, "one leads to what is no class"),
        ("meet", {"classes": [*table[:3], [0, 1], [1, 3], [4, 5], [6, 7]], "sizes": [2, 4, 8]}, "0 0 1 meets 0 1 0"),
        ("other-state", {"classes": [[0, 1], [0, 1], [2, 3], [0, 0], [1, 2], [3, 4], [5, 6]], "sizes": [2, 4, 7]},
         "0 0 0 meets 0 0 1"),
        ("fewer", {"classes": [*table[:-1], [6, -1]], "sizes": [2, 4, 7]}, "an input is in none"),
        ("rows", {"classes": [*table, [0, 0]]}, "a row too many"),
        ("none", {"sizes": [2, 0, 8]}, "no class after a step"),
    ):  # fmt: skip
        add(f"classes-{name}", count, 1, why, classes(**changes), leads())
    turned = [row[::-1] for row in own[16:]]
    add("classes-other-query", count, 1, "another class than the query", classes(), leads(finer=[*own[:16], *turned]))
    add("classes-query", count, 1, "a query that is no class", classes(), leads(queries=[*range(7), 8]))
    add("classes-left-out", count, 1, "several layers, but no classes", replace(leads(), premises=(0,)))
    add("classes-twice", count, 1, "classes are no forward pass", classes(), replace(classes(), premises=(1,)), leads())
    turned_order = MAXIMUM | {"order": [1, 0, 2]}
    add("classes-order", count, 1, "the first two are read the other way", classes(), leads(), tables=turned_order)
    early = MAXIMUM | {"outputs": [[0, 2]], "reads": [[2, 2]]}
    add("classes-early", count, 1, "the position is read after the read's steps", classes(),
        leads(sizes=[8, 8], finer=own[:16]), tables=early)  # fmt: skip


ONES: dict[str, Any] = {
    **{"order": [2, 0, 1], "transitions": [[[1, 4], [1, 2], [2, 3], [3, 3], [4, 5], [5, 6], [6, 6]]]},
    **{"outputs": [-1, 1, 1, 0, 0, 2, 2]},
}
"""The last token is read first. How many of the others are ones? The states are 1 + 3 x last token + that number."""
COUNTED: dict[str, Any] = {
    "queries": [0, 1],
    "sizes": [2, 4, 6],
    "finer": [[0, -1], [-1, 1], [0, 1], [2, 3], [0, 1], [1, 2], [3, 4], [4, 5]],
    "numbers": [0, 0, 0, 0, 0, 1, 0, 1, 0, 1, 2, 0, 1, 2],
    "pattern": [0, 0, -1, -1, 1, 1],
    "outputs": [1, 2],
    "slopes": [[0, 0, 0, 0], [256, 0, 256, 0]],
    "inner": np.zeros((2, 1, 8)),
    "outer": np.full((2, 2, 2), [[0, 0], [2**20, -(2**20)]]),
    "ratios": np.zeros((2, 0, 2)),
    "enforced": np.zeros((2, 8, 0)),
}
"""A region for each query and number of ones; multipliers 0 are enough. Of `one-head`."""
SIXTEENTH = 2**20
COUNTED_TWICE: dict[str, Any] = COUNTED | {
    "pattern": [0, 0, 0, -1, 1, 1],
    "outputs": [2, 0],
    "slopes": np.zeros((2, 4)),
    "inner": np.zeros((2, 1, 18)),
    "outer": np.zeros((2, 1, 4)),
    "ratios": [[[19 * SIXTEENTH, 27 * SIXTEENTH]], [[14 * SIXTEENTH, 18 * SIXTEENTH]]],
    "enforced": np.zeros((2, 8, 1)),
}
"""Of `two-heads`."""


def counting(hints: Mapping[str, Any] = COUNTED, **changes: Any) -> Step:
    """The step that says so."""
    arrays = {name: np.array(hint) for name, hint in {**hints, **changes}.items()}
    return Step("potentials", (0,), {"read": 0}, {name: tensor(array, array.shape) for name, array in arrays.items()})


def add_potentials(corpus: Corpus) -> None:
    """Certificates about `one-head` and `two-heads`, on the task ONES, and on one that the latter does."""

    def add(
        name: str,
        correct: int,
        exit_code: int,
        why: str,
        *steps: Step,
        margin: str = "0",
        subject: str = "one-head",
        precision: int = 30,
    ) -> None:
        tables = ONES if subject == "one-head" else ONES | {"outputs": [-1, 2, 2, 2, 1, 0, 0]}
        text = json.dumps({key: np.array(t).tolist() for key, t in tables.items()}, sort_keys=True, separators=(",", ":"))
        task = {"automaton": hashlib.sha256(text.encode()).hexdigest()}
        statement = Statement(model(subject).digest(), task, correct, 8, Fraction(margin))
        given = {key: tensor(table) for key, table in tables.items()}
        proved = Certificate(statement, precision, (FORWARD, *steps), given)
        corpus.add(name, proved, exit_code, why, f"transformer-{subject}")

    def nothing_of(inner: int, corners: int) -> dict[str, Any]:
        return {"numbers": [], "inner": np.zeros((0, 0, 2 * inner)), "outer": np.zeros((0, 0, 2 * corners))}

    total = Step("all-reads", (1,))
    add("potentials", 6, 0, "a region for each query and number of ones", counting(), total)
    add("potentials-every-state", 6, 0, "sums of every state", counting(**nothing_of(4, 1)), total)
    add("potentials-margin", 6, 0, "every lead is more than a margin", counting(), total, margin="1/100")
    add("potentials-large-margin", 6, 1, "not every lead is", counting(), total, margin="3/2")
    add("potentials-more", 7, 1, "one input more than is right", counting(), total)
    wrong = {"pattern": [0, 0, -1, 2, 1, 1], "outputs": [1, 2, 0], "slopes": [[0] * 4, [256, 0, 256, 0], [0] * 4]}
    wrong |= {"outer": np.zeros((3, 1, 2)), "enforced": np.zeros((2, 10, 0))}
    add("potentials-wrong", 7, 1, "a wrong region is claimed, too", counting(**wrong), total)
    fewer = counting(pattern=[0, -1, -1, -1, 1, 1])
    add("potentials-fewer", 4, 0, "one region is not claimed", fewer, total)
    add("potentials-slopes", 3, 0, "with other slopes, less is proved", counting(slopes=np.zeros((2, 4))), total)
    for name, changes, why in (
        ("output", {"outputs": [2, 1]}, "patterns with the other's output"),
        ("no-output", {"outputs": [1, 3]}, "the model has no such output"),
        ("no-pattern", {"pattern": [0, 0, -1, -1, 1, 2]}, "there is no such pattern"),
        ("below", {"pattern": [0, 0, -2, -1, 1, 1]}, "an entry below -1"),
        ("steep", {"slopes": [[0, 0, 0, 257], [256, 0, 256, 0]]}, "a slope of more than 1"),
        ("falling", {"slopes": [[0, 0, 0, -1], [256, 0, 256, 0]]}, "a slope of less than 0"),
        ("number-missing", {"numbers": COUNTED["numbers"][:-1]}, "a state has no number"),
        ("number-large", {"numbers": [2**20 + 1, *COUNTED["numbers"][1:]]}, "a number is too large"),
        ("inner-missing", {"inner": np.zeros((1, 1, 8))}, "a query has no multipliers"),
        ("outer-missing", {"outer": np.zeros((1, 1, 2))}, "a family has no multipliers"),
        ("outer-none", {"outer": np.zeros((2, 0, 2))}, "families have no multipliers"),
        ("outer-large", {"outer": np.full((2, 1, 2), 2**40 + 1)}, "a multiplier is too large"),
        ("ratios-missing", {"ratios": np.zeros((1, 0, 2))}, "a query has no ratios"),
        ("enforced-missing", {"enforced": np.zeros((2, 7, 0))}, "in one sum, nothing enforces ratios"),
    ):
        add(f"potentials-{name}", 6, 1, why, counting(**changes), total)
    add("potentials-alone", 6, 1, "a fact about one read only", counting())
    extreme = {"numbers": [0, 0, -(2**63), -(2**63), *[0] * 10], "outer": np.full((4, 1, 2), -(2**24))}
    claims = {"pattern": [0, 0, 2, 2, 1, 1], "outputs": [1, 2, 0], "slopes": wrong["slopes"], "enforced": np.zeros((2, 10, 0))}
    add(
        "potentials-number-extreme",
        8,
        1,
        "whose absolute value is negative",
        counting(**claims, **extreme),
        total,
        precision=64,
    )
    twice = {"subject": "two-heads"}
    add(
        "potentials-two-heads",
        4,
        0,
        "ratios of two heads; with other multipliers, more would be proved",
        counting(COUNTED_TWICE),
        total,
        **twice,
    )
    add("potentials-two-every", 7, 0, "sums of every state", counting(COUNTED_TWICE, **nothing_of(9, 2)), total, **twice)
    add("potentials-two-more", 8, 1, "one input more than is right", counting(COUNTED_TWICE), total, **twice)
    for name, ratios in (("low", [19, 23]), ("high", [22, 27]), ("turned", [27, 19])):
        own = [[[ratio * SIXTEENTH for ratio in ratios]], COUNTED_TWICE["ratios"][1]]
        changed = counting(COUNTED_TWICE, ratios=own)
        add(f"potentials-ratio-{name}", 7, 1, "ratios are not where they should be", changed, total, **twice)
    boxes = nothing_of(9, 2) | {
        "ratios": [[[ratio * SIXTEENTH for ratio in own]] for own in ([19, 23, 27], [14, 16, 18])],
        "pattern": COUNTED_TWICE["pattern"] * 2,
        "enforced": np.zeros((2, 16, 1)),
    }
    add("potentials-two-boxes", 7, 0, "ratios are divided", counting(COUNTED_TWICE, **boxes), total, **twice)
    first = boxes | {"pattern": [*COUNTED_TWICE["pattern"], *[-1] * 6]}
    add("potentials-one-box", 7, 1, "half of the ratios only", counting(COUNTED_TWICE, **first), total, **twice)
    short = boxes | {"pattern": COUNTED_TWICE["pattern"]}
    add("potentials-box-missing", 7, 1, "patterns are missing for a box", counting(COUNTED_TWICE, **short), total, **twice)
    large = np.full((2, 8, 1), 2**40 + 1)
    add("potentials-enforced-large", 7, 1, "too large", counting(COUNTED_TWICE, enforced=large), total, **twice)


MEANS: Any = np.full((2, 3, 2, 1), SIXTEENTH)


def pairs(head: int = 1, before: int = 1, references: Any = ((1, 0, 0), (2, 1, 1)), means: Any = MEANS) -> Step:
    """The step about pairs of neighbours."""
    hints = {"references": tensor(references, (-1, 3)), "means": tensor(means, np.shape(means))}
    return Step("pair-tables", (0,), {"before": before, "head": head}, hints)


def add_pair_tables(corpus: Corpus) -> None:
    """Certificates about `two-layers`, on a task like ONES, which it gets wrong if the tokens are 1 1 0."""

    def add(name: str, correct: int, exit_code: int, why: str, *steps: Step, tables: Any = None, margin: str = "0") -> None:
        tables = tables or ONES | {"outputs": [-1, 1, 1, 1, 0, 1, 1]}
        text = json.dumps({key: np.array(t).tolist() for key, t in tables.items()}, sort_keys=True, separators=(",", ":"))
        task = {"automaton": hashlib.sha256(text.encode()).hexdigest()}
        statement = Statement(model("two-layers").digest(), task, correct, 8, Fraction(margin))
        given = {key: tensor(table) for key, table in tables.items()}
        corpus.add(name, Certificate(statement, 30, (FORWARD, *steps), given), exit_code, why, "transformer-two-layers")

    total = Step("all-reads", (1,))
    add("pairs", 6, 0, "all but one of those that are right", pairs(), total)
    add("pairs-more", 7, 1, "one more: it is right, but not proved to be", pairs(), total)
    add("pairs-other-head", 4, 0, "the other head looked at", pairs(head=0), total)
    add("pairs-far-means", 1, 0, "a poor guess of what the other adds", pairs(head=0, means=-64 * MEANS), total)
    add("pairs-alone", 1, 0, "the token before the last one may be any", pairs(before=0), total)
    add("pairs-margin", 6, 0, "every lead is more than a margin", pairs(), total, margin="1/4")
    add("pairs-large-margin", 6, 1, "not every lead is", pairs(), total, margin="3/2")
    for name, changes, why in (
        ("no-head", {"head": 2}, "there are two heads"),
        ("before-two", {"before": 2}, "neither 0 nor 1"),
        ("references-missing", {"references": ((1, 0, 0),)}, "a token has none"),
        ("reference-late", {"references": ((3, 0, 0), (2, 1, 1))}, "there is no such position"),
        ("reference-token", {"references": ((1, 0, 2), (2, 1, 1))}, "there is no such token"),
        ("reference-first", {"references": ((0, 1, 0), (2, 1, 1))}, "nothing is before the first token"),
        ("means-missing", {"means": MEANS[:, :, :, :0]}, "there is another head"),
        ("mean-large", {"means": MEANS + 2**50}, "a mean is too large"),
        ("reference-below", {"references": ((1, -1, 0), (2, 1, 1))}, "a token below 0"),
    ):
        add(f"pairs-{name}", 6, 1, why, pairs(**changes), total)
    add("pairs-premise", 6, 1, "no forward pass", replace(pairs(), premises=()), total)
    add("pairs-unsummed", 6, 1, "a fact about one read only", pairs())
    order = {"order": [1, 0, 2], "transitions": [[[0, 0]]], "outputs": [1]}
    add("pairs-order", 1, 1, "the first two are read the other way", pairs(), total, tables=order)
    add(
        "pairs-early",
        1,
        1,
        "not read at the last position",
        pairs(),
        total,
        tables=order | {"outputs": [[1]], "reads": [[1, 3]]},
    )
    first = proof("one-head", 1, FORWARD, pairs(), total)
    corpus.add("pairs-one-layer", first, 1, "a model with one layer", "transformer-one-head")


def add_executions(corpus: Corpus) -> None:
    """The same about executions in floating point: certificates that are in the corpus already, with another first step."""

    def add(name: str, exit_code: int, why: str, like: str, step: Step, deployed: str | None = "float32") -> None:
        (case,) = (case for case in corpus.cases if case.certificate == f"{like}.cert")
        certificate = parse_certificate(parse_tensor_file(case.content))
        assert isinstance(certificate.statement, Statement)
        statement = replace(certificate.statement, deployed=deployed)
        proof = replace(certificate, statement=statement, steps=(step, *certificate.steps[1:]))
        corpus.add(f"executed-{name}", proof, exit_code, why, case.model.removesuffix(".safetensors"))

    for like in ("transformer-encoder-every", "regions", "joint-reads"):
        add(like.removeprefix("transformer-").removesuffix("-every"), 0, "in every execution in float32, too", like, executed())
    add("float64", 0, "in every execution in float64, too", "regions", executed(1), "float64")
    for like in ("transformer-decoder-every", "transformer-turning-every", "classes"):
        name = like.removeprefix("transformer-").removesuffix("-every")
        add(name, 0, "in every execution in float64, too", like, executed(1), "float64")
    add("decoder-float32", 1, "a norm may divide by too little for float32", "transformer-decoder-every", executed())
    add("turning-float32", 1, "it leads by too little for float32", "transformer-turning-every", executed())
    add("classes-float32", 1, "one leads by too little for float32", "classes", executed())
    add("unsaid", 1, "the statement does not name the format", "regions", executed(), None)
    add("unproved", 1, "nothing is about executions", "regions", FORWARD)
    add("other", 1, "proved of another format", "regions", executed(1))
    add("tf32", 1, "not of this format", "regions", executed(2), "tf32")
    add("unknown", 1, "no such format", "regions", executed(4))
    add("negative", 1, "no such format", "regions", executed(-1))
    add("format-missing", 1, "a format must be named", "regions", Step("executed-forward"))
    add("potentials", 1, "potentials know nothing of executions", "potentials", executed())
    add("pairs", 1, "pair-tables know nothing of executions", "pairs", executed())
    add("padded", 1, "a model with padding", "transformer-padded-every", executed())


def model_files() -> dict[str, bytes]:
    """Every model of this part, by file name."""
    files = {f"transformer-{name}": model_file({**SIZES, **CONFIGS[name]}, stored(weights(name)), TASK) for name in CONFIGS}
    for name, changes in {
        "alibi": {"positional_embedding_type": "alibi"},
        "parallel": {"parallel_attn_mlp": True},
        "without-eps": {"eps": None},
        "named-otherwise": {"architecture": "attention-only"},
    }.items():
        files[f"transformer-{name}"] = model_file({**SIZES, **CONFIGS["decoder"], **changes}, stored(weights("decoder")), TASK)
    other = {**SIZES, **CONFIGS["turning"], "rotary_adjacent_pairs": True}
    files["transformer-other-pairs"] = model_file(other, stored(weights("turning")), TASK)
    return {f"{name}.safetensors": content for name, content in files.items()}


def add_cases(corpus: Corpus) -> None:
    """Certificates about them."""
    for name in [name for name in CONFIGS if name != "two-heads"]:  # which is always wrong about the largest token
        count, places = len(right(name)), right(name)
        assert 0 < count < 8
        subject, last = f"transformer-{name}", places[-1]
        corpus.add(f"{subject}-every", proof(name, count, FORWARD, every()), 0, "every input", subject)
        corpus.add(f"{subject}-skip", proof(name, count - 1, FORWARD, every([[last, last + 1]])), 0, "but for one", subject)
        corpus.add(f"{subject}-skipped", proof(name, count, FORWARD, every([[last, last + 1]])), 1, "one is skipped", subject)
        corpus.add(f"{subject}-more", proof(name, count + 1, FORWARD, every()), 1, "one input more than is right", subject)
    decoder = proof("decoder", len(right("decoder")), FORWARD, every())
    for name, why in (
        ("alibi", "there are no slopes"),
        ("parallel", "attention and MLP side by side are not supported"),
        ("without-eps", "a key with influence is missing"),
        ("named-otherwise", "it is no attention-only transformer"),
    ):
        corpus.add(f"model-transformer-{name}", decoder, 2, why, f"transformer-{name}")
    turning = proof("turning", len(right("turning")), FORWARD, every())
    corpus.add("model-transformer-other-pairs", turning, 2, "other pairs are turned", "transformer-other-pairs")
    add_regions(corpus)
    add_potentials(corpus)
    add_pair_tables(corpus)
    add_prefix_classes(corpus)
    add_executions(corpus)
    there = "transformer-decoder"
    corpus.add("transformer-premise", proof("decoder", 0, FORWARD, Step("transformer-forward", (0,))), 1, "a premise", there)
    corpus.add("transformer-tables", proof("decoder", 0, Step("additive-tables"), every()), 1, "it has no tables", there)
    corpus.add("transformer-for-another", claim("small", 0, FORWARD, every((), ((0, 4),) * 3)), 1, "not a transformer")
