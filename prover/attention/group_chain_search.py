"""The search for group-chains: the tokens of every cell sorted into levels by how much they hurt.

A class is a cell -- query q, true output m, c free copies of it -- with A free tokens above m and n - A below it. If all of
them may be any token, the class is complete. Otherwise some candidates are tried: tokens that cost at most a fraction of the
n-th part of what the query and the copies earn are *harmless*; what n - e harmless ones leave is for e exceptions, all on
level 2, or with one of them, on level 3, allowed a larger share. The candidate with the most inputs is claimed.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from certificates import Step, integer_tensor
from prover.attention.chain_counts import fitting_tuples
from prover.attention.pessimistic_tables import LabelTerms, ValueLeads, contiguous_blocks
from prover.attention.sequence_problem import SequenceProblem

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
class Claims:
    """Everything claimed so far. groupings: levels of all tokens, numbered in order."""

    problem: SequenceProblem
    wanted: np.ndarray  # q m c
    groupings: dict[bytes, int] = field(default_factory=dict)
    rows: list[np.ndarray] = field(default_factory=list)  # m, q, c, A, grouping, numbers "side level", widths "side level"

    @property
    def sides(self) -> int:
        """Tokens can lie below the label only, or also above it."""
        return 1 if self.problem.task.rank == 1 else 2

    def add(self, label: int, cells: np.ndarray, levels: np.ndarray, numbers: np.ndarray) -> None:
        """Claim classes. cells "x 3": q, c, A; levels "x t" of the first tokens; numbers "x side level"."""
        padded = np.ones((len(levels), self.problem.d_vocab), np.uint8)
        padded[:, : levels.shape[1]] = levels
        padded[:, label] = 1  # of no importance: rows are shared more often
        kinds, kind = np.unique(padded, axis=0, return_inverse=True)
        index = np.array([self.groupings.setdefault(row.tobytes(), len(self.groupings)) for row in kinds])
        below, above = padded[:, :label], padded[:, label + 1 :]
        widths = [(side == level).sum(1) for side in (below, above)[: self.sides] for level in range(1, _LEVELS + 1)]
        parts = [np.full(len(cells), label), *cells.T, index[kind.reshape(-1)], *numbers.reshape(len(cells), -1).T, *widths]
        self.rows.append(np.stack(parts, axis=1))

    def sorted_rows(self) -> np.ndarray:
        """All rows, by label, query, copies and number above."""
        width = 5 + 2 * self.sides * _LEVELS
        rows = np.concatenate(self.rows) if self.rows else np.zeros((0, width), np.int64)
        return rows[np.lexsort(rows[:, 3::-1].T)]

    def step(self, block: np.ndarray, joint: bool) -> Step:
        """The step that claims the classes; tables are step 0."""
        vocab, rows, numbers = self.problem.d_vocab, self.sorted_rows(), self.sides * _LEVELS
        kinds, kind = np.unique(rows[:, 4 : 5 + numbers], axis=0, return_inverse=True)
        grouping = np.full((vocab, vocab, self.problem.n_ctx, self.problem.task.rank), -1)
        grouping[rows[:, 1], rows[:, 0], rows[:, 2], rows[:, 3]] = kind.reshape(-1)
        levels = np.frombuffer(b"".join(self.groupings), np.uint8).reshape(-1, vocab)
        hints = {
            "rivals": block,
            "levels": levels[kinds[:, 0]],
            "numbers": kinds[:, 1:].reshape(-1, self.sides, _LEVELS),
            "grouping": grouping,
        }
        stored = {name: integer_tensor(hint) for name, hint in hints.items()}
        return Step("group-chains", (0,), {"joint": int(joint)}, stored)

    def count(self) -> np.ndarray:
        """Inputs in the claimed classes, "q m c" of Python integers."""
        vocab, n_ctx, rows = self.problem.d_vocab, self.problem.n_ctx, self.sorted_rows()
        counts = np.zeros((vocab, vocab, n_ctx), object)
        kinds, kind = np.unique(rows[:, [2, *range(5, 5 + self.sides * _LEVELS)]], axis=0, return_inverse=True)
        for index, (copies, *numbers) in enumerate(kinds.tolist()):
            members = rows[kind.reshape(-1) == index]
            inputs = np.ones(len(members), object)
            arrangements = math.factorial(n_ctx - 1) // math.factorial(copies)
            for side in range(self.sides):
                pattern = numbers[side * _LEVELS : (side + 1) * _LEVELS]
                start = 5 + (self.sides + side) * _LEVELS
                inputs = inputs * fitting_tuples(list(members[:, start : start + _LEVELS].astype(object).T), pattern)
                arrangements //= math.factorial(sum(pattern))
            np.add.at(counts, (members[:, 1], members[:, 0], members[:, 2]), inputs * arrangements)
        return counts

    def keep(self, cells: np.ndarray) -> None:
        """Forget all claims outside some cells "q m c"."""
        rows = self.sorted_rows()
        rows = rows[cells[rows[:, 1], rows[:, 0], rows[:, 2]]]
        used, place = np.unique(rows[:, 4], return_inverse=True)
        rows[:, 4] = place.reshape(-1)
        names = list(self.groupings)
        self.groupings, self.rows = {names[old]: new for new, old in enumerate(used)}, [rows] if len(rows) else []


def claim_classes(problem: SequenceProblem, block: np.ndarray, joint: bool, wanted: np.ndarray) -> Claims:
    """Search classes in the wanted cells "q m c", for rivals in these blocks, token and position `joint` or apart."""
    leads = ValueLeads.of(problem.tables, block, joint)
    claims = Claims(problem, wanted)
    for label in problem.track(np.flatnonzero(wanted.any(axis=(0, 2))).tolist(), "classes"):
        _claim_label(LabelTerms(leads, label, label + 1 if problem.task.rank == 1 else problem.d_vocab), claims)
    return claims


def cell_sizes(problem: SequenceProblem) -> np.ndarray:
    """Number of inputs in every cell, "q m c" of Python integers."""
    vocab, free, rank = problem.d_vocab, problem.n_ctx - 1, problem.task.rank
    sizes = np.zeros((vocab, vocab, free + 1), object)
    for label in range(vocab):
        for copies, above, queries in _cells(label, free, vocab if rank > 1 else label + 1, rank):
            below = free - copies - above
            ways = math.comb(free, copies) * math.comb(free - copies, above)
            sizes[queries, label, copies] += ways * label**below * (vocab - 1 - label) ** above
    return sizes


def _worst_margins(
    problem: SequenceProblem, block: np.ndarray, wanted: np.ndarray
) -> Iterator[tuple[int, LabelTerms, Tensor, Tensor]]:
    """For every label with wanted cells: what query and copies earn, and what the worst of tokens leave of it, "q c b"."""
    free, rank = problem.n_ctx - 1, problem.task.rank
    leads = ValueLeads.of(problem.tables, block, False)
    copies = torch.arange(free + 1, device=problem.device)[:, None]
    for label in problem.track(np.flatnonzero(wanted.any(axis=(0, 2))).tolist(), "close rivals"):
        terms = LabelTerms(leads, label, label + 1 if rank == 1 else problem.d_vocab)
        tokens = [slice(0, label), slice(label + 1, terms.top)]
        least = [terms.token_terms(part).amin(1) for part in tokens if part.stop > part.start]
        worst = torch.stack(least).amin(0) if least else torch.zeros_like(terms.own)
        base = terms.own[:, None] + copies * terms.copy[:, None]
        yield label, terms, base, base + (free - copies) * worst[:, None]


def adapted_blocks(problem: SequenceProblem, wanted: np.ndarray) -> np.ndarray:
    """Blocks "m o" of rivals that lose nothing in the wanted cells "q m c": halved as long as one with several rivals might
    come close to the label somewhere, if all tokens were the worst ones.
    """
    alone = contiguous_blocks(problem.model.config.d_vocab_out, 0)
    hopeful, critical = np.zeros_like(wanted), np.zeros((problem.d_vocab, alone.shape[1]), np.bool_)
    for label, terms, base, margin in _worst_margins(problem, alone, wanted):
        positive = terms.surely_positive(base.amin(2)).cpu().numpy()
        hopeful[: terms.top, label] = wanted[: terms.top, label] & positive
        close = ~terms.surely_positive(margin).cpu().numpy() & hopeful[: terms.top, label, :, None]
        critical[label, np.delete(alone[0], label)] = close.any(axis=(0, 1))
    block = np.where(critical, 1 + np.arange(alone.shape[1]), 0)
    while True:
        block = np.stack([np.unique(row, return_inverse=True)[1].reshape(-1) for row in block])
        finer = 2 * block
        for label, terms, _, margin in _worst_margins(problem, block, hopeful):
            close = ~terms.surely_positive(margin).cpu().numpy() & hopeful[: terms.top, label, :, None]
            numbers = np.unique(np.delete(block[label], label))
            for number in numbers[close.any(axis=(0, 1))]:
                rivals = np.flatnonzero((block[label] == number) & (np.arange(len(block[label])) != label))
                finer[label, rivals[(len(rivals) + 1) // 2 :]] += 1
        if np.array_equal(finer, 2 * block):
            return block
        block = finer


def _cells(label: int, free: int, top: int, rank: int) -> Iterator[tuple[int, int, slice]]:
    """All (c, A, queries below `top`) whose inputs have this label as the true output."""
    for copies in range(free + 1):
        for above in range(free + 1 - copies):
            for larger, equal, first, last in ((0, 0, 0, label), (0, 1, label, label + 1), (1, 0, label + 1, top)):
                if above + larger < rank <= above + larger + copies + equal:
                    yield copies, above, slice(first, last)


def _claim_label(terms: LabelTerms, claims: Claims) -> None:
    """Claim a class in every cell of one label, if there is one."""
    label, top, free = terms.label, terms.top, terms.tables.n_ctx - 1
    wanted = torch.as_tensor(claims.wanted[:top, label], device=terms.own.device)  # q c
    per_block = max(1, _BLOCK // (top * terms.own.shape[1]))
    for start in range(0, top, per_block):
        stop = min(start + per_block, top)
        worst = terms.token_terms(slice(0, top), slice(start, stop))  # q t b
        for copies, above, queries in _cells(label, free, top, claims.problem.task.rank):
            inside = torch.arange(max(queries.start, start), min(queries.stop, stop), device=worst.device)
            inside = inside[wanted[inside, copies]]
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


def _claim_cells(terms: LabelTerms, free: tuple[int, int], cells: Tensor, worst: Tensor, claims: Claims) -> None:
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
    # Rivals that cannot catch up even with the worst tokens everywhere play no part.
    least = torch.where(usable[:, None], worst, torch.inf).amin(1)
    close = ~terms.surely_positive(base + count * least)[todo]
    order = close.sum(1).argsort()
    todo, close = todo[order], close[order]
    for rows in torch.arange(len(todo), device=todo.device).split(max(1, _BLOCK // (8 * terms.top * base.shape[1]))):
        kept = int(close[rows].sum(1).max())
        rivals = close[rows].to(torch.uint8).topk(kept, dim=1).indices
        chosen = todo[rows]
        part = worst[chosen].gather(2, rivals[:, None].expand(-1, terms.top, -1))
        _claim_incomplete(terms, free, cells[chosen], base[chosen].gather(1, rivals), part, claims)


def _claim_incomplete(
    terms: LabelTerms, free: tuple[int, int], cells: Tensor, base: Tensor, worst: Tensor, claims: Claims
) -> None:
    """Claim the best candidate of each cell "x 3". base "x b", worst "x t b": for the rivals that matter."""
    tokens = torch.arange(terms.top, device=worst.device)
    sides = [
        (side, where)
        for side, (number, where) in enumerate(zip(free, (tokens < terms.label, tokens > terms.label), strict=True))
        if number
    ]
    gain = torch.zeros(len(base), dtype=base.dtype, device=base.device)
    levels = torch.zeros(len(base), terms.top, dtype=torch.uint8, device=base.device)
    numbers = torch.zeros(len(base), claims.sides, _LEVELS, dtype=torch.int64, device=base.device)
    for trial, patterns in _candidates(base, worst, torch.stack([where for _, where in sides]).any(0), free):
        share = torch.ones_like(gain)
        for side, where in sides:
            present = [(((trial == level) & where).sum(1).double() / int(where.sum())) for level in range(1, _LEVELS + 1)]
            share = share * fitting_tuples(present, patterns[side])
        rows = (share > gain).nonzero()[:, 0]
        if not len(rows):
            continue
        margin, level, part = base[rows], trial[rows], worst[rows]
        for side, where in sides:
            for upto, used in enumerate(patterns[side]):
                if used:
                    margin = margin + used * _least(part, (level > 0) & (level <= upto + 1) & where)
        rows = rows[terms.surely_positive(margin.amin(1))]
        gain[rows], levels[rows] = share[rows], trial[rows]
        for side, _ in sides:
            numbers[rows, side] = torch.tensor(patterns[side], device=base.device)
    found = gain > 0
    if bool(found.any()):
        claims.add(terms.label, cells[found].cpu().numpy(), levels[found].cpu().numpy(), numbers[found].cpu().numpy())


def _candidates(
    base: Tensor, worst: Tensor, usable: Tensor, free: tuple[int, int]
) -> Iterator[tuple[Tensor, list[tuple[int, ...]]]]:
    """Levels "x t" to try, and the numbers of tokens on each level for both sides."""
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
            yield levels, patterns
