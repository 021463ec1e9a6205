"""Strategy `classes`: composition classes, with the tokens of every cell sorted into groups by how much they hurt.

In a cell with c copies of the maximum and n = K-1-c other free tokens, a token that satisfies the inequality n-fold goes
into the first group; one that satisfies it once, beside n-1 tokens of the first group, into the second; the rest is
excluded. Then every composition of the two groups that holds is claimed.
"""

import math
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from certificates import RawTensor, Step
from prover.pessimistic_tables import LabelTerms
from prover.strategy import Evidence, Problem, Strategy

_BLOCK = 2**23


@dataclass
class _Claims:
    """Everything claimed so far, in the layout of the rule's hints."""

    vocab: int
    groupings: dict[bytes, int] = field(default_factory=dict)
    cells: list[tuple[int, int, int, int]] = field(default_factory=list)
    classes: list[tuple[int, int, int]] = field(default_factory=list)
    correct: int = 0

    def grouping(self, groups: Tensor) -> int:
        """Row of this assignment of tokens to groups, shared with equal ones."""
        row = np.zeros(self.vocab, np.uint8)
        row[: len(groups)] = groups.cpu().numpy()
        return self.groupings.setdefault(row.tobytes(), len(self.groupings))


@dataclass(frozen=True)
class Classes(Strategy):
    """See the module's docstring and checker/rules/composition_classes."""

    name: ClassVar[str] = "classes"
    cost: ClassVar[str] = "V^3 out"
    summary: ClassVar[str] = "how many tokens from which group per (query, maximum, copies), rivals one by one"

    def prove(self, problem: Problem) -> Evidence:
        """Search label by label."""
        claims = _Claims(problem.d_vocab)
        for label in problem.track(range(problem.d_vocab), "classes"):
            _claim_label(problem, label, claims)
        if not claims.cells:
            return Evidence((Step("disjoint-sum"),), 0, problem.total)
        groupings = np.frombuffer(b"".join(claims.groupings), np.uint8).reshape(-1, problem.d_vocab)
        hints = {
            "groupings": RawTensor.of_integers(groupings),
            "cells": RawTensor.of_integers(np.array(claims.cells, np.int64)),
            "classes": RawTensor.of_integers(np.array(claims.classes, np.int64)),
        }
        steps = (Step("additive-tables"), Step("composition-classes", (0,), {}, hints))
        return Evidence(steps, claims.correct, problem.total)


def _claim_label(problem: Problem, label: int, claims: _Claims) -> None:
    terms = LabelTerms(problem.tables, label)
    outputs = problem.tables.direct.shape[1]
    per_block = max(1, _BLOCK // (max(label, 1) * outputs))
    for start in range(0, label + 1, per_block):
        queries = slice(start, min(start + per_block, label + 1))
        worst = terms.free_token(queries)  # q t o
        for query in range(queries.start, queries.stop):
            for copies in range(0 if query == label else 1, problem.n_ctx):
                _claim_cell(terms, (label, query, copies), worst[query - start], claims)


def _claim_cell(terms: LabelTerms, cell: tuple[int, int, int], worst: Tensor, claims: _Claims) -> None:
    """Sort the tokens below the label into groups and claim the compositions that hold. worst: "t o"."""
    _, query, copies = cell
    free = terms.tables.n_ctx - 1
    others = free - copies
    base = terms.own[query] + copies * terms.copy[query]
    if not bool((base > 0).all()):
        return

    def holds(margin: Tensor) -> Tensor:
        return terms.surely_positive(margin.amin(-1))

    if others == 0:
        groups = torch.zeros(len(worst), dtype=torch.int64, device=worst.device)
        sizes, minima = (0, 0), torch.zeros(2, worst.shape[1], dtype=worst.dtype, device=worst.device)
    else:
        harmless = holds(base + others * worst)
        least = worst[harmless].amin(0) if bool(harmless.any()) else torch.zeros_like(base)
        needs_company = others > 1 and not bool(harmless.any())
        bearable = holds(base + worst + (others - 1) * least) & ~harmless
        if needs_company:
            bearable = torch.zeros_like(bearable)
        groups = harmless.long() + 2 * bearable.long()
        least_bearable = worst[bearable].amin(0) if bool(bearable.any()) else torch.zeros_like(base)
        sizes, minima = (int(harmless.sum()), int(bearable.sum())), torch.stack([least, least_bearable])
    choices = []
    for second in range(others, -1, -1):  # in the order of the hint
        first = others - second
        if (first and not sizes[0]) or (second and not sizes[1]):
            continue
        if bool(holds(base + first * minima[0] + second * minima[1])):
            choices.append((first, second))
    if not choices:
        return
    index = len(claims.cells)
    claims.cells.append((*cell, claims.grouping(groups)))
    for first, second in choices:
        claims.classes.append((index, first, second))
        arrangements = math.comb(free, copies) * math.comb(others, first)
        claims.correct += arrangements * sizes[0] ** first * sizes[1] ** second
