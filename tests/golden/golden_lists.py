"""The part of the golden corpus that is about sorted lists: a model of two heads, trained and rounded to eighths.

It is right on all six lists of two of three numbers.
"""

import itertools
from dataclasses import replace
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
from golden_transformers import proof
from make_golden import Corpus, model_file, stored, tensor
from transformer_oracle import torch_logits

from certificates import Certificate, Statement, Step
from certificates.model_file import build_model

LISTS = {"name": "sorted-lists"}
CONFIG: dict[str, Any] = {
    **{"architecture": "transformer", "n_layers": 1, "n_heads": 2, "d_head": 2, "d_model": 4, "d_vocab": 4, "d_vocab_out": 3},
    **{"n_ctx": 5, "attn_only": True, "normalization_type": "LN", "eps": "1/1000"},
}
EIGHTHS: dict[str, Any] = {
    "embed.W_E": [[-5, 4, -2, -4], [1, -2, -1, -1], [4, -1, 10, -1], [-1, -1, 4, -6]],
    "pos_embed.W_pos": [[-2, -4, 0, 2], [-2, -2, -4, 2], [-6, 1, -7, -6], [3, 0, -3, -3], [-2, 3, 1, 2]],
    "blocks.0.ln1.w": [6, 4, 6, 6],
    "blocks.0.ln1.b": [1, -3, -1, 0],
    "blocks.0.attn.W_Q": [[[-1, 5], [-1, -1], [-6, -6], [4, -2]], [[-5, -4], [-2, 0], [3, -4], [0, 1]]],
    "blocks.0.attn.b_Q": [[-2, 1], [-3, 1]],
    "blocks.0.attn.W_K": [[[9, -2], [1, 5], [5, -1], [-1, -4]], [[-2, 1], [2, -1], [5, 4], [1, 4]]],
    "blocks.0.attn.W_V": [[[-5, -3], [1, 3], [2, 0], [-2, 0]], [[-8, 2], [1, -2], [0, 4], [6, 6]]],
    "blocks.0.attn.b_V": [[0, -2], [-1, 0]],
    "blocks.0.attn.W_O": [[[-1, 1, 5, 3], [-4, -4, 0, -7]], [[-10, 6, 5, -1], [3, 8, -7, 2]]],
    "blocks.0.attn.b_O": [-1, -2, 1, 5],
    "ln_final.w": [12, 17, 16, 6],
    "ln_final.b": [0, -2, 0, 1],
    "unembed.W_U": [[-4, 5, 14], [4, 7, -10], [9, -7, -1], [-1, -4, 1]],
    "unembed.b_U": [-1, 0, 0],
}
WEIGHTS = {name: np.array(eighths) / 8 for name, eighths in EIGHTHS.items()}
SIXTEENTH = 2**20
"""Of a ratio, or of what enforces one."""
FAMILIES: Any = ([[3, 0], [3, 1]], [[0, 1], [0, 2], [1, 2]])
RATIOS: Any = ([[[9, 12]], [[11, 15]]], [[[15, 19]], [[14, 16]], [[10, 14]]])
ENFORCED: Any = ([[[[0], [0]]], [[[-208], [0]]]], [[[[-51], [0]]], [[[0], [0]]], [[[0], [0]]]])
FORWARD, TOTAL = Step("transformer-forward"), Step("all-reads", (1, 2))


def lists(read: int, number: int | None = None, **changes: Any) -> Step:
    """The step about a read, which may call it otherwise."""
    hints = {"families": FAMILIES[read], "groups": [0, read], "ratios": RATIOS[read], "enforced": ENFORCED[read]} | changes
    for name in ("ratios", "enforced"):
        hints[name] = np.array(hints[name]) * SIXTEENTH
    shapes = {"families": (-1, 2), "groups": (-1,), "ratios": (-1, 1, np.shape(hints["ratios"])[-1])}
    shapes["enforced"] = np.shape(hints["enforced"])
    parameters = {"read": read if number is None else number}
    return Step("list-sums", (0,), parameters, {name: tensor(hint, shapes[name]) for name, hint in hints.items()})


@cache
def right() -> int:
    """How many lists are right, by an oracle."""
    rows = np.array([[*one, 3, *sorted(one)] for one in itertools.permutations(range(3), 2)])
    logits = torch_logits(vars(build_model(CONFIG, stored(WEIGHTS), LISTS).config), WEIGHTS, rows).numpy()[:, 2:4]
    return int((logits.argmax(2) == rows[:, 3:]).all(1).sum())


def model_files() -> dict[str, bytes]:
    """The model, and one of another size, by file name."""
    shorter = {**WEIGHTS, "pos_embed.W_pos": WEIGHTS["pos_embed.W_pos"][:4]}
    return {
        "transformer-lists.safetensors": model_file(CONFIG, stored(WEIGHTS), LISTS),
        "transformer-lists-short.safetensors": model_file({**CONFIG, "n_ctx": 4}, stored(shorter), LISTS),
    }


def add_lists(corpus: Corpus) -> None:
    """Certificates about it."""
    assert right() == 6
    digest = build_model(CONFIG, stored(WEIGHTS), LISTS).digest()

    def add(name: str, correct: int, exit_code: int, why: str, *steps: Step, task: Any = LISTS, margin: str = "0") -> None:
        statement = Statement(digest, task, correct, 6, Fraction(margin))
        corpus.add(f"lists-{name}", Certificate(statement, 30, (FORWARD, *steps)), exit_code, why, "transformer-lists")

    both = lists(0), lists(1)
    every = Step("all-inputs", (0,), {}, {"ranges": tensor([[0, 4]] * 5, (5, 2)), "skip": tensor([], (0, 2))})
    add("every", 6, 0, "each list by itself", every)
    add("sums", 4, 0, "all but one pair of neighbours", *both, TOTAL)
    add("sums-more", 5, 1, "one more: it is right, but not proved to be", *both, TOTAL)
    add("sums-together", 2, 0, "the list's positions bounded at once", lists(0), lists(1, groups=[1, 1]), TOTAL)
    add("sums-margin", 4, 0, "every lead is more than a margin", *both, TOTAL, margin="1/16")
    add("sums-large-margin", 4, 1, "not every lead is", *both, TOTAL, margin="9")
    add("sums-one-family", 2, 0, "one pair of neighbours left out", lists(0, **_some(0, [0])), lists(1), TOTAL)
    add("sums-boxes", 4, 0, "ratios are divided", lists(0, **_boxes([9, 10, 12], [11, 13, 15])), lists(1), TOTAL)
    add("sums-turned-boxes", 4, 0, "edges fall", lists(0, **_boxes([9, 13, 12], [11, 16, 15])), lists(1), TOTAL)
    add("sums-empty-boxes", 4, 1, "no box is left", lists(0, **_boxes([12, 12, 12], [15, 15, 15])), lists(1), TOTAL)
    add("sums-unenforced", 4, 1, "nothing enforces a ratio", lists(0, enforced=np.zeros((2, 1, 2, 1))), lists(1), TOTAL)
    for name, why, changes in (
        ("low", "ratios are not below", {"ratios": [[[9, 10]], [[11, 13]]]}),
        ("high", "ratios are not above", {"ratios": [[[11, 12]], [[14, 15]]]}),
        ("too-large", "a ratio is too large", {"ratios": [[[9, 2**33]], [[11, 15]]]}),
        ("too-few", "a family has no ratios", {"ratios": RATIOS[0][:1]}),
        ("no-box", "there is no box", {"ratios": [[[9]], [[11]]], "enforced": np.zeros((2, 0, 2, 1))}),
        ("boxes-missing", "a box has nothing that enforces it", {"ratios": [[[9, 10, 12]], [[11, 13, 15]]]}),
        ("enforced-large", "too large", {"enforced": np.full((2, 1, 2, 1), 2**33)}),
        ("group", "there is no such group", {"groups": [0, 2]}),
        ("group-below", "a group below 0", {"groups": [0, -1]}),
        ("order", "families fall", {"families": FAMILIES[0][::-1]}),
        ("twice", "a family counted twice", {"families": [[3, 0], [3, 0]]}),
        ("query", "not the separator", {"families": [[2, 0], [3, 1]]}),
        ("target", "nothing comes after the greatest number", {"families": [[3, 0], [3, 2]]}),
        ("target-below", "a number below 0", {"families": [[3, -1], [3, 0]]}),
    ):
        add(f"sums-{name}", 4, 1, why, lists(0, **changes), lists(1), TOTAL)
    for name, families in (("equal", [[0, 1], [0, 2], [1, 1]]), ("falling", [[0, 1], [1, 0], [1, 2]])):
        add(f"sums-{name}", 4, 1, "no greater number", lists(0), lists(1, families=families), TOTAL)
    add("sums-read", 4, 1, "there is no such read", lists(0), lists(1, number=2), TOTAL)
    add("sums-one-read", 4, 1, "a read is missing", lists(0), Step("all-reads", (1,)))
    add("sums-exchanged", 4, 1, "reads in another order", lists(1), lists(0), TOTAL)
    add("sums-premise", 4, 1, "no forward pass", replace(lists(0), premises=()), lists(1), TOTAL)
    add("sums-joint", 4, 1, "no regions of finer automata", *both, Step("joint-reads", (1, 2)))
    other = proof("one-head", 1, FORWARD, lists(0), Step("all-reads", (1,)))
    corpus.add("lists-sums-other-task", other, 1, "not about sorted lists", "transformer-one-head")
    add("named", 4, 2, "there is no such task", *both, TOTAL, task={"length": 2, "name": "sorted-lists"})
    short = build_model({**CONFIG, "n_ctx": 4}, stored({**WEIGHTS, "pos_embed.W_pos": WEIGHTS["pos_embed.W_pos"][:4]}), LISTS)
    statement = Statement(short.digest(), LISTS, 4, 6)
    corpus.add(
        "lists-short",
        Certificate(statement, 30, (FORWARD, *both, TOTAL)),
        2,
        "an even number of positions",
        "transformer-lists-short",
    )


def _some(read: int, rows: list[int]) -> dict[str, Any]:
    parts = {"families": FAMILIES[read], "ratios": RATIOS[read], "enforced": ENFORCED[read]}
    return {name: [part[row] for row in rows] for name, part in parts.items()}


def _boxes(*edges: list[int]) -> dict[str, Any]:
    """For the first read: what enforces the only box, for each of two."""
    return {"ratios": [[own] for own in edges], "enforced": np.repeat(np.array(ENFORCED[0]), 2, axis=1)}
