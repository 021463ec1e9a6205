"""Strategy `classes`: the tokens of every cell sorted into levels by how much they hurt (checker/rules/group_chains).

A class is a cell -- query q, true output m, c free copies of it, A free tokens above it -- and n other free tokens. If all of
them may be any token, the class is complete. Otherwise some candidates are tried: tokens that cost at most a fraction of the
n-th part of what the query and the copies earn are *harmless*; what n - e harmless ones leave is for e exceptions, all on
level 2, or with one of them, on level 3, allowed a larger share. The candidate with the most inputs is claimed.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from certificates import RawTensor, Step
from prover.chain_counts import fitting_tuples
from prover.pessimistic_tables import LabelTerms, ValueLeads, contiguous_blocks
from prover.strategy import DoesNotFit, Evidence, Problem, Strategy

_BLOCK = 2**23
_LEVELS = 3
_HARMLESS = (1.0, 0.8, 0.6, 0.4, 0.25, 0.1, 0.02)
"""Fractions of an equal share of the budget that a harmless token may cost."""
_EXCEPTIONS = (
    *((number, 0, 0.0) for number in range(5)),
    *((1, 1, share) for share in (0.65, 0.85)),
    *((number, 1, share) for number, share in ((2, 0.6), (3, 0.5))),
)
"""Exceptions on each side on levels 2 and 3, and the share of the budget that the latter get."""
_ALMOST = 1 - 1e-9


@dataclass
class _Claims:
    """Everything claimed so far, in the layout of the rule's hints. widths: tokens added by each "side level"."""

    vocab: int
    sides: int
    groupings: dict[bytes, int] = field(default_factory=dict)
    rows: list[np.ndarray] = field(default_factory=list)  # m, q, c, A, grouping, numbers "side level", widths "side level"

    def add(self, label: int, cells: np.ndarray, levels: np.ndarray, numbers: np.ndarray) -> None:
        """Claim classes. cells "x 3": q, c, A; levels "x t" of the first tokens; numbers "x side level"."""
        padded = np.ones((len(levels), self.vocab), np.uint8)
        padded[:, : levels.shape[1]] = levels
        padded[:, label] = 1  # of no importance: rows are shared more often
        kinds, kind = np.unique(padded, axis=0, return_inverse=True)
        index = np.array([self.groupings.setdefault(row.tobytes(), len(self.groupings)) for row in kinds])
        below, above = padded[:, :label], padded[:, label + 1 :]
        widths = [(side == level).sum(1) for side in (below, above)[: self.sides] for level in range(1, _LEVELS + 1)]
        parts = [np.full(len(cells), label), *cells.T, index[kind.reshape(-1)], *numbers.reshape(len(cells), -1).T, *widths]
        self.rows.append(np.stack(parts, axis=1))


@dataclass(frozen=True)
class Classes(Strategy):
    """See the module's docstring. rivals: in how many blocks of neighbours they are taken (0: each alone). joint: whether the
    values of token and position are pessimised together (1) or apart (0).
    """

    name: ClassVar[str] = "classes"
    cost: ClassVar[str] = "V^3 rivals"
    summary: ClassVar[str] = "how many tokens of which level of harm per (query, true output, copies)"

    rivals: int = 0
    joint: int = 0

    def prove(self, problem: Problem) -> Evidence:
        """Search label by label."""
        if not (self.rivals >= 0 and self.joint in (0, 1)):
            raise DoesNotFit("classes needs rivals >= 0 and joint 0 or 1")
        outputs, vocab, rank = problem.model.config.d_vocab_out, problem.d_vocab, problem.task.rank
        block = contiguous_blocks(outputs, self.rivals)
        leads = ValueLeads.of(problem.tables, block, bool(self.joint))
        claims = _Claims(vocab, 1 if rank == 1 else 2)
        for label in problem.track(range(vocab), "classes"):
            terms = LabelTerms(leads, label, label + 1 if rank == 1 else vocab)
            _claim_label(terms, rank, claims)
        if not claims.rows:
            return Evidence((Step("disjoint-sum"),), 0, problem.total, np.zeros((vocab, vocab), object))
        rows = np.concatenate(claims.rows)
        rows = rows[np.lexsort(rows[:, 3::-1].T)]
        cells = _count(rows, vocab, problem.n_ctx, claims.sides)
        groupings = np.frombuffer(b"".join(claims.groupings), np.uint8).reshape(-1, vocab)
        hints = {
            "rivals": RawTensor.of_integers(block),
            "groupings": RawTensor.of_integers(groupings),
            "cells": RawTensor.of_integers(rows[:, [0, 1, 2, 4]]),
            "numbers": RawTensor.of_integers(rows[:, 5 : 5 + claims.sides * _LEVELS]),
        }
        steps = (Step("additive-tables"), Step("group-chains", (0,), {"joint": self.joint}, hints))
        return Evidence(steps, int(cells.sum()), problem.total, cells)


def _cells(terms: LabelTerms, rank: int) -> Iterator[tuple[int, int, slice]]:
    """All (c, A, queries) whose inputs have this label as the true output."""
    label, free = terms.label, terms.tables.n_ctx - 1
    for copies in range(free + 1):
        for above in range(free + 1 - copies):
            for larger, equal, first, last in ((0, 0, 0, label), (0, 1, label, label + 1), (1, 0, label + 1, terms.top)):
                if above + larger < rank <= above + larger + copies + equal:
                    yield copies, above, slice(first, last)


def _claim_label(terms: LabelTerms, rank: int, claims: _Claims) -> None:
    """Claim a class in every cell of one label, if there is one."""
    label, top, free = terms.label, terms.top, terms.tables.n_ctx - 1
    per_block = max(1, _BLOCK // (top * terms.own.shape[1]))
    for start in range(0, top, per_block):
        stop = min(start + per_block, top)
        worst = terms.token_terms(slice(0, top), slice(start, stop))  # q t b
        for copies, above, queries in _cells(terms, rank):
            inside = torch.arange(max(queries.start, start), min(queries.stop, stop), device=worst.device)
            below = free - copies - above
            if len(inside) == 0 or (below and label == 0) or (above and label == top - 1):
                continue
            base = (terms.own + copies * terms.copy)[inside]
            inside = inside[terms.surely_positive(base.amin(1))]
            cells = torch.stack([inside, torch.full_like(inside, copies), torch.full_like(inside, above)], 1)
            _claim_cells(terms, (below, above), cells, worst[inside - start], claims)


def _least(worst: Tensor, allowed: Tensor) -> Tensor:
    """Least terms "x b" of the allowed tokens "x t"; 0 where there are none."""
    least = torch.where(allowed[..., None], worst, torch.inf).amin(1)
    return torch.where(least == torch.inf, 0.0, least)


def _claim_cells(terms: LabelTerms, free: tuple[int, int], cells: Tensor, worst: Tensor, claims: _Claims) -> None:
    """Claim the best class of each cell "x 3", for `free` other tokens below and above. worst: "x t b"."""
    if not len(cells):
        return
    label, count = terms.label, sum(free)
    base = terms.own[cells[:, 0]] + cells[:, 1, None] * terms.copy[cells[:, 0]]
    tokens = torch.arange(terms.top, device=worst.device)
    sides = [(number, where) for number, where in zip(free, (tokens < label, tokens > label), strict=True) if number]
    usable = torch.zeros(terms.top, dtype=torch.bool, device=worst.device)
    for _, where in sides:
        usable |= where
    margin = base
    for number, where in sides:
        margin = margin + number * _least(worst, where.expand(len(base), -1))
    complete = terms.surely_positive(margin.amin(1))
    if bool(complete.any()):
        numbers = np.zeros((int(complete.sum()), claims.sides, _LEVELS), np.int64)
        for side, number in enumerate(free[: claims.sides]):
            numbers[:, side, 0] = number
        claims.add(label, cells[complete].cpu().numpy(), np.ones((len(numbers), terms.top), np.uint8), numbers)
    todo = (~complete).nonzero()[:, 0]
    if not len(todo) or not count:
        return
    base, worst = base[todo], worst[todo]
    gain = torch.zeros(len(todo), dtype=base.dtype, device=base.device)
    levels = torch.zeros(len(todo), terms.top, dtype=torch.uint8, device=base.device)
    numbers = torch.zeros(len(todo), claims.sides, _LEVELS, dtype=torch.int64, device=base.device)
    for trial, of_side in _candidates(base, worst, usable, free):
        share = torch.ones_like(gain)
        margin = base
        for (_, where), pattern in zip(sides, of_side, strict=True):
            present = [(trial == level) & where for level in range(1, _LEVELS + 1)]
            share = share * fitting_tuples([p.sum(1).double() / int(where.sum()) for p in present], pattern)
            for level, used in enumerate(pattern):
                if used:
                    margin = margin + used * _least(worst, (trial > 0) & (trial <= level + 1) & where)
        better = (share > gain) & terms.surely_positive(margin.amin(1))
        gain = torch.where(better, share, gain)
        levels = torch.where(better[:, None], trial, levels)
        chosen = torch.zeros_like(numbers[0])
        for side, pattern in zip([i for i in (0, 1) if free[i]], of_side, strict=True):
            chosen[side] = torch.tensor(pattern)
        numbers = torch.where(better[:, None, None], chosen, numbers)
    found = gain > 0
    if bool(found.any()):
        claims.add(label, cells[todo][found].cpu().numpy(), levels[found].cpu().numpy(), numbers[found].cpu().numpy())


def _candidates(
    base: Tensor, worst: Tensor, usable: Tensor, free: tuple[int, int]
) -> Iterator[tuple[Tensor, list[tuple[int, ...]]]]:
    """Levels "x t" to try, and the numbers of tokens on each level for each side that has any."""
    count = sum(free)
    cost = (-worst / base[:, None]).amax(2).clamp_min(0)  # x t, as a fraction of the budget
    tried = set()
    for fraction in _HARMLESS:
        harmless = (cost < fraction * _ALMOST / count) & usable
        least = _least(worst, harmless)
        for second, third, share in _EXCEPTIONS:
            patterns = []
            for number in free:
                highest = min(third, number)
                middle = min(second, number - highest)
                patterns.append((number - highest - middle, middle, highest))
            twos, threes = (sum(pattern[level] for pattern in patterns) for level in (1, 2))
            if (fraction, tuple(patterns), share) in tried:
                continue
            tried.add((fraction, tuple(patterns), share))
            levels = harmless.to(torch.uint8)
            if twos + threes:
                rest = base + (count - twos - threes) * least
                part = (-worst / rest[:, None]).amax(2)
                part = torch.where((rest > 0).all(1)[:, None] & usable, part, torch.inf)
                high = (part < share * _ALMOST / threes) if threes else torch.zeros_like(harmless)
                low = (part < (1 - share) * _ALMOST / twos) if twos else torch.zeros_like(harmless)
                levels = torch.where(harmless, 1, torch.where(low, 2, torch.where(high, 3, 0))).to(torch.uint8)
            yield levels, [pattern for pattern, number in zip(patterns, free, strict=True) if number]


def _count(rows: np.ndarray, vocab: int, n_ctx: int, sides: int) -> np.ndarray:
    """Inputs in the claimed classes, by query and true output."""
    cells = np.zeros((vocab, vocab), object)
    fixed = [2, *range(5, 5 + sides * _LEVELS)]
    kinds, kind = np.unique(rows[:, fixed], axis=0, return_inverse=True)
    for index, (copies, *numbers) in enumerate(kinds.tolist()):
        members = rows[kind.reshape(-1) == index]
        inputs = np.ones(len(members), object)
        arrangements = math.factorial(n_ctx - 1) // math.factorial(copies)
        for side in range(sides):
            pattern = numbers[side * _LEVELS : (side + 1) * _LEVELS]
            start = 5 + (sides + side) * _LEVELS
            widths = list(members[:, start : start + _LEVELS].astype(object).T)
            inputs = inputs * fitting_tuples(widths, pattern)
            arrangements //= math.factorial(sum(pattern))
        np.add.at(cells, (members[:, 1], members[:, 0]), inputs * arrangements)
    return cells
