"""Strategies `brute-force` and `sampling`: evaluate all inputs, or a contiguous range of as many as a budget allows."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from certificates import RawTensor, Step
from certificates.input_order import Box, boxes
from prover.attention.full_prefixes import full_prefixes
from prover.attention.pessimistic_tables import Tables
from prover.attention.sequence_problem import SequenceProblem
from prover.attention.single_inputs import count_by_cell, further_inputs, surely_correct
from prover.strategy import DoesNotFit, Evidence, Strategy
from prover.surrogate import Surrogate

_BLOCK = 2**20
_LARGEST = 18 * 10**9
"""Operations a full enumeration may take: within the checker's default budget."""
_LARGEST_SCORE = 2.0**19


@dataclass(frozen=True)
class BruteForce(Strategy):
    """See checker/attention/enumeration: every input, by look-ups in the additive tables."""

    name: ClassVar[str] = "brute-force"
    cost: ClassVar[str] = "V^K out"
    summary: ClassVar[str] = "every input, by look-ups in additive tables: the exact number"

    def surrogate(self, problem: SequenceProblem) -> Surrogate:
        """Cells in which every smaller token is harmless."""
        return full_prefixes(problem)

    def prove(self, problem: SequenceProblem) -> Evidence:
        """Enumerate everything."""
        work = 2 * problem.total * problem.model.config.d_vocab_out
        if work > _LARGEST:
            raise DoesNotFit(
                f"brute force takes about {work:.1e} operations on {problem.total:.1e} inputs, more than {_LARGEST:.1e}; "
                "use classes, thresholds or pessimized, or enumerate a part with sampling"
            )
        evidence, close = _enumerate(problem, 0, problem.total)
        further = close[surely_correct(problem, close)]  # normalised one by one, most of them can be told after all
        if not len(further):
            return evidence
        cells = evidence.cells + count_by_cell(problem, further)
        steps = (*evidence.steps, further_inputs(1, further))
        return Evidence(steps, evidence.correct + len(further), problem.total, cells)


@dataclass(frozen=True)
class Sampling(Strategy):
    """The naive baseline: certify only what was enumerated. `inputs` many from rank `start` on (-1: the last ones)."""

    name: ClassVar[str] = "sampling"
    cost: ClassVar[str] = "inputs out"
    summary: ClassVar[str] = "the naive baseline: enumerate a range of inputs, certify only those (inputs=N, start=RANK)"

    inputs: int = 100_000
    start: int = -1

    @classmethod
    def sweep(cls, problem: SequenceProblem) -> tuple[Self, ...]:
        """Powers of ten below the number of inputs."""
        return tuple(cls(inputs=10**digits) for digits in range(3, 7) if 10**digits < problem.total) or (cls(),)

    def prove(self, problem: SequenceProblem) -> Evidence:
        """Enumerate the range, clipped to the inputs there are."""
        end = min(problem.total, 2**63 - 1)  # ranks are 64-bit parameters
        start = max(end - self.inputs, 0) if self.start == -1 else self.start
        stop = min(start + self.inputs, end)
        if not 0 <= start < stop:
            raise DoesNotFit(f"sampling needs inputs >= 1 and 0 <= start < {end}")
        if 2 * (stop - start) * problem.model.config.d_vocab_out > _LARGEST:
            raise DoesNotFit(f"sampling {stop - start} inputs takes too long; ask for fewer")
        return _enumerate(problem, start, stop)[0]


@dataclass(frozen=True)
class _LabelGaps:
    """Value gaps between label m and its rivals: direct "q o", token "t o" (q, t <= m), position "j o"."""

    label: int
    direct: Tensor
    token: Tensor
    position: Tensor

    @staticmethod
    def of(tables: Tables, label: int) -> "_LabelGaps":
        def gap(table: Tensor) -> Tensor:
            rivals = torch.arange(table.shape[1], device=table.device)
            return table[:, label, None] - table[:, rivals[rivals != label]]

        return _LabelGaps(
            label, gap(tables.direct[: label + 1]), gap(tables.token_value[: label + 1]), gap(tables.position_value)
        )


@dataclass(frozen=True)
class _CellTables:
    """Summands h_j "t o" of one query and label, and bounds on the checker's error in each."""

    own: Tensor  # o
    own_error: Tensor
    terms: tuple[Tensor, ...]
    errors: tuple[Tensor, ...]

    @staticmethod
    def of(tables: Tables, gaps: _LabelGaps, query: int) -> "_CellTables":
        direct = gaps.direct[query]
        positions = tables.n_ctx - 1
        score = tables.token_score[query, : gaps.label + 1]
        reference = score.max() + tables.position_score[query, :-1].max()

        def product(gap: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
            change = weight * tables.weight_error + tables.block_error * weight.max()
            return gap * weight, (weight + change) * tables.gap_error + change * gap.abs()

        own_weight = (score[query] + tables.position_score[query, -1] - reference).exp()
        own, own_error = product(direct + gaps.token[query] + gaps.position[-1], own_weight)
        pairs = [
            product(
                direct + gaps.token + gaps.position[j],
                (score + tables.position_score[query, j] - reference).exp()[:, None],
            )
            for j in range(positions)
        ]
        return _CellTables(own, own_error, tuple(a for a, _ in pairs), tuple(e for _, e in pairs))


def _evaluate(tables: _CellTables, box: Box, first: int, stop: int) -> tuple[Tensor, Tensor]:
    """For inputs first .. stop-1 of the box: which are surely proved correct, and which are too close to tell."""
    positions, choices = box.positions, box.choices
    fixed = [] if box.first == len(tables.terms) else [box.first]
    base = sum((tables.terms[j][box.label] for j in fixed), start=tables.own)
    error = float(tables.own_error.max() + sum(e.max() for e in tables.errors))
    width = choices[-1] if positions else 1
    correct, close = [], []
    for begin in range(first // width, -(-stop // width), max(1, _BLOCK // (width * len(base)))):
        rows = torch.arange(begin, min(begin + max(1, _BLOCK // (width * len(base))), -(-stop // width)))
        partial, digits = base.expand(len(rows), -1), rows.to(base.device)
        for position, choice in zip(reversed(positions[:-1]), reversed(choices[:-1]), strict=True):
            partial = partial + tables.terms[position][digits % choice]
            digits = digits // choice
        if positions:
            margin = (partial.T[:, :, None] + tables.terms[positions[-1]][:width].T[:, None]).amin(0).reshape(-1)
        else:
            margin = partial.amin(1)
        correct.append(margin > error)
        close.append(~(margin.abs() > error))
    offset = first // width * width
    keep = slice(first - offset, stop - offset)
    return torch.cat(correct)[keep], torch.cat(close)[keep]


def _tokens_of(box: Box, free: int, index: Tensor) -> Tensor:
    """Tokens "n j" at the `free` positions of the inputs with these numbers within the box (its label at the first copy)."""
    tokens = torch.full((len(index), free), box.label, device=index.device)
    for position, choice in zip(reversed(box.positions), reversed(box.choices), strict=True):
        tokens[:, position] = index % choice
        index = index // choice
    return tokens


def _decide(tables: _CellTables, box: Box, index: Tensor) -> tuple[Tensor, Tensor]:
    """As `_evaluate`, with error bounds of each input and rival, for the few inputs that need it."""
    tokens = _tokens_of(box, len(tables.terms), index)
    margin, error = tables.own.expand(len(index), -1), tables.own_error.expand(len(index), -1)
    for j, (term, bound) in enumerate(zip(tables.terms, tables.errors, strict=True)):
        margin, error = margin + term[tokens[:, j]], error + bound[tokens[:, j]]
    correct = (margin > error).all(1)
    wrong = (margin + error < 0).any(1)
    return correct, ~(correct | wrong)


def _enumerate(problem: SequenceProblem, start: int, stop: int) -> tuple[Evidence, Tensor]:
    """Evidence for the range, and the inputs "n k" in it that are too close to tell."""
    tables = problem.tables
    if problem.task.rank != 1:
        raise DoesNotFit("enumeration is for the largest or smallest token only; use exact or classes")
    span = float(tables.token_score.max() - tables.token_score.min() + 2 * tables.position_score.abs().max())
    if not span + tables.score_radius < _LARGEST_SCORE:
        raise DoesNotFit(f"attention scores spread over {span:.3g}: the checker's exp ends at 2**20")
    labels: dict[int, _LabelGaps] = {}
    cell: tuple[int, int] | None = None
    cells = np.zeros((problem.d_vocab, problem.d_vocab), object)
    skipped: list[np.ndarray] = []
    skipped_inputs: list[Tensor] = [torch.zeros((0, problem.n_ctx), dtype=torch.int64, device=problem.device)]
    todo: Iterable[Box] = boxes(problem.d_vocab, problem.n_ctx, start, stop)
    for box in problem.track(list(todo), "enumeration"):
        if cell != (box.query, box.label):
            cell = (box.query, box.label)
            if box.label not in labels:
                labels[box.label] = _LabelGaps.of(tables, box.label)
            terms = _CellTables.of(tables, labels[box.label], box.query)
        first, last = max(start - box.start, 0), min(stop - box.start, box.size)
        good, close = _evaluate(terms, box, first, last)
        index = close.nonzero()[:, 0]
        decided, unclear = _decide(terms, box, index + first)
        cells[cell] += int(good.sum()) + int(decided.sum())
        skipped.append(index[unclear].cpu().numpy() + (box.start - start + first))
        free = _tokens_of(box, problem.n_ctx - 1, index[unclear] + first)
        skipped_inputs.append(torch.cat([free, torch.full_like(free[:, :1], box.query)], 1))
    hints = {"skip": RawTensor.of_integers(_runs(np.concatenate(skipped)))}
    steps = (Step("additive-tables"), Step("enumeration", (0,), {"start": start, "stop": stop}, hints))
    return Evidence(steps, int(cells.sum()), stop - start, cells), torch.cat(skipped_inputs)


def _runs(ranks: np.ndarray) -> np.ndarray:
    """Consecutive runs [from, to) of increasing ranks, "n 2"."""
    if not len(ranks):
        return np.zeros((0, 2), np.int64)
    breaks = np.flatnonzero(np.diff(ranks) != 1) + 1
    starts = np.concatenate([ranks[:1], ranks[breaks]])
    stops = np.concatenate([ranks[breaks - 1], ranks[-1:]]) + 1
    return np.stack([starts, stops], axis=1)
