"""Strategies `brute-force` and `sampling`: evaluate all inputs, or those with some tokens, as many as a budget allows."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from certificates import Step, integer_tensor
from prover.attention.full_prefixes import full_prefixes
from prover.attention.pessimistic_tables import Tables
from prover.attention.sequence_problem import SequenceProblem
from prover.attention.single_inputs import count_by_cell, further_inputs, surely_correct
from prover.strategies.all_inputs import runs
from prover.strategy import MACHINE_PRECISION, DoesNotFit, Evidence, Strategy, switch
from prover.surrogate import Surrogate

_BLOCK = 2**20
_LARGEST, _LARGEST_WIDE = 18 * 10**9, 3 * 10**8
"""Operations a full enumeration may take, within the checker's default budget: up to 30 bits, and beyond, where each takes
more than a hundred times as long.
"""
_LARGEST_SCORE = 2.0**19


@dataclass(frozen=True)
class BruteForce(Strategy):
    """See checker/attention/enumeration: every input, by look-ups in the additive tables."""

    name: ClassVar[str] = "brute-force"
    cost: ClassVar[str] = "V^K out"
    summary: ClassVar[str] = "every input, by look-ups in additive tables: the exact number"
    rules: ClassVar[tuple[str, ...]] = ("additive-tables", "enumeration")
    origin: ClassVar[str] = "The baseline of Gross et al. 2024, who run the network; here its tables are looked up."
    vacuous: ClassVar[str] = (
        "Only if no input is right, or none by more than the margin. See with `prover inspect` whether it is the right task."
    )

    def surrogate(self, problem: SequenceProblem) -> Surrogate:
        """Cells in which every smaller token is harmless."""
        return full_prefixes(problem)

    def expected_operations(self, problem: SequenceProblem) -> int:
        """Two for each input and output."""
        return 2 * problem.total * problem.model.config.d_vocab_out

    def fitting(self, problem: SequenceProblem) -> SequenceProblem:
        """See Strategy."""
        work, most = self.expected_operations(problem), _most(problem)
        if work > most:
            raise DoesNotFit(
                f"brute force takes about {work:.1e} operations on {problem.total:.1e} inputs, more than {most:.1e} at "
                f"{problem.precision} bits; use classes, thresholds or pessimized, or enumerate a part with sampling"
            )
        return _about_the_largest(problem)

    def prove(self, problem: SequenceProblem) -> Evidence:
        """Enumerate everything."""
        self.fitting(problem)
        evidence, close = _enumerate(problem, np.array([[0, problem.d_vocab]] * (problem.n_ctx + 1)))
        further = close[surely_correct(problem, close)]  # normalised one by one, most of them can be told after all
        if not len(further):
            return evidence
        cells = evidence.cells + count_by_cell(problem, further)
        steps = (*evidence.steps, further_inputs(problem, 1, further))
        return Evidence(steps, evidence.correct + len(further), problem.total, cells)


@dataclass(frozen=True)
class Sampling(Strategy):
    """The naive baseline: certify only what was enumerated: those with the largest tokens."""

    name: ClassVar[str] = "sampling"
    cost: ClassVar[str] = "inputs out"
    summary: ClassVar[str] = "the naive baseline: enumerate the inputs with some tokens, certify only those"
    rules: ClassVar[tuple[str, ...]] = ("additive-tables", "enumeration")
    origin: ClassVar[str] = "A baseline of this project."
    vacuous: ClassVar[str] = (
        "Nearly always: the bound is at most the share of inputs that it looks at. Any other strategy does better."
    )

    inputs: int = switch(100_000, "how many at most")

    @classmethod
    def sweep(cls, problem: SequenceProblem) -> tuple[Self, ...]:
        """Powers of ten below the number of inputs."""
        return tuple(cls(inputs=10**digits) for digits in range(3, 7) if 10**digits < problem.total) or (cls(),)

    def largest(self, problem: SequenceProblem) -> Mapping[str, int]:
        """All inputs."""
        return {"inputs": problem.total}

    def expected_operations(self, problem: SequenceProblem) -> int:
        """Two for each input and output."""
        return 2 * min(self.inputs, problem.total) * problem.model.config.d_vocab_out

    def prove(self, problem: SequenceProblem) -> Evidence:
        """Enumerate a product of sets of tokens, few of them queries."""
        if self.inputs < 1:
            raise DoesNotFit("sampling needs inputs >= 1")
        if self.expected_operations(problem) > _most(problem):
            raise DoesNotFit(f"sampling {self.inputs} inputs takes too long; ask for fewer")
        vocab, free = problem.d_vocab, problem.n_ctx - 1
        of_free = _widths(self.inputs, vocab, free)
        widths = np.array([*of_free, min(vocab, self.inputs // math.prod(of_free))])
        tokens = np.stack([vocab - widths, np.full(problem.n_ctx, vocab)], axis=1)
        return _enumerate(problem, np.vstack([tokens, [tokens[:, 0].max(), vocab]]))[0]


def _most(problem: SequenceProblem) -> int:
    return _LARGEST if problem.precision <= MACHINE_PRECISION else _LARGEST_WIDE


def _widths(most: int, vocab: int, positions: int) -> tuple[int, ...]:
    """Numbers up to `vocab`, one for each position and in ascending order, with the largest product up to `most`."""

    @cache
    def best(most: int, positions: int) -> tuple[int, ...]:
        if not positions:
            return ()
        found = ((*best(most // width, positions - 1), width) for width in range(min(most, vocab), 0, -1))
        return max(found, key=math.prod)

    return tuple(sorted(best(most, positions)))


@dataclass(frozen=True)
class _CellTables:
    """Summands of one query and label, and bounds on the checker's error in each. own "o"; free "j t o", t <= label."""

    own: Tensor
    own_error: Tensor
    free: Tensor
    error: Tensor

    @staticmethod
    def of(tables: Tables, query: int, label: int) -> "_CellTables":
        rivals = torch.arange(tables.direct.shape[1], device=tables.direct.device)
        rivals = rivals[rivals != label]

        def gap(table: Tensor) -> Tensor:
            return table[:, label, None] - table[:, rivals]

        def product(gap: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
            change = weight * tables.weight_error + tables.block_error * weight.max()
            return gap * weight, (weight + change) * tables.gap_error + change * gap.abs()

        value = gap(tables.direct[query : query + 1]) - tables.margin + gap(tables.token_value[: label + 1])
        position = gap(tables.position_value)
        score = tables.token_score[query, : label + 1] + tables.position_score[query, :-1, None]
        own_score = tables.token_score[query, query] + tables.position_score[query, -1]
        reference = torch.maximum(score.max(), own_score)
        own = product(value[query] + position[-1], (own_score - reference).exp())
        return _CellTables(*own, *product(value + position[:-1, None], (score - reference).exp()[:, :, None]))


def _evaluate(cell: _CellTables, low: list[int], high: list[int]) -> tuple[int, Tensor]:
    """Of the inputs with these free tokens: how many are surely proved correct, and those "n j" too close to tell."""
    widths = [b - a for a, b in zip(low, high, strict=True)]
    inner = widths.index(max(widths))
    outer = [j for j in range(len(widths)) if j != inner]
    last = cell.free[inner, low[inner] : high[inner]]
    errors = (float(error[a:b].max()) for error, a, b in zip(cell.error, low, high, strict=True))
    most_error = float(cell.own_error.max()) + sum(errors)
    rows, correct, unclear = math.prod(widths) // widths[inner], 0, []
    per_block = max(1, _BLOCK // last.numel())
    for begin in range(0, rows, per_block):
        number = torch.arange(begin, min(begin + per_block, rows), device=last.device)
        tokens = torch.full((len(number), len(widths)), low[inner], device=last.device)
        partial = cell.own
        for j in reversed(outer):
            tokens[:, j] = low[j] + number % widths[j]
            number = number // widths[j]
            partial = partial + cell.free[j, tokens[:, j]]
        margin = (partial.expand(len(tokens), -1).T[:, :, None] + last.T[:, None]).amin(0)
        correct += int((margin > most_error).sum())
        row, column = (~(margin.abs() > most_error)).nonzero().T
        close = tokens[row]
        close[:, inner] += column
        proved, left = _decide(cell, close)
        correct += int(proved.sum())
        unclear.append(close[left])
    return correct, torch.cat(unclear)


def _decide(cell: _CellTables, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """As `_evaluate`, with error bounds of each input and rival, for the few inputs that need it."""
    margin, error = cell.own.expand(len(tokens), -1), cell.own_error.expand(len(tokens), -1)
    for j, of_position in enumerate(tokens.T):
        margin, error = margin + cell.free[j, of_position], error + cell.error[j, of_position]
    correct = (margin > error).all(1)
    wrong = (margin + error < 0).any(1)
    return correct, ~(correct | wrong)


def _about_the_largest(problem: SequenceProblem) -> SequenceProblem:
    if problem.task.rank != 1:
        raise DoesNotFit("enumeration is for the largest or smallest token only; use exact or classes")
    return problem


def _enumerate(problem: SequenceProblem, ranges: np.ndarray) -> tuple[Evidence, Tensor]:
    """Evidence for the inputs with tokens and label in these ranges "K+1 2", and those "n k" of them too close to tell."""
    tables, free = problem.tables, problem.n_ctx - 1
    _about_the_largest(problem)
    span = float(tables.token_score.max() - tables.token_score.min() + 2 * tables.position_score.abs().max())
    if not span + tables.score_radius < _LARGEST_SCORE:
        raise DoesNotFit(f"attention scores spread over {span:.3g}: the checker's exp ends at 2**20")
    cells = np.zeros((problem.d_vocab, problem.d_vocab), object)
    unclear = [torch.zeros((0, problem.n_ctx), dtype=torch.int64, device=problem.device)]
    (*low, _, first_label), (*high, _, last_label) = ranges.T.tolist()
    for query in problem.track(range(*ranges[-2]), "enumeration"):
        for label in range(max(query, first_label), last_label):
            cell = _CellTables.of(tables, query, label)
            for copy in range(free + (query == label)):  # the first free position that holds the label
                least = [max(a, label) if j == copy else a for j, a in enumerate(low)]
                most = [min(b, label + (j >= copy)) for j, b in enumerate(high)]
                if all(a < b for a, b in zip(least, most, strict=True)):
                    correct, close = _evaluate(cell, least, most)
                    cells[query, label] += correct
                    unclear.append(torch.cat([close, torch.full_like(close[:, :1], query)], 1))
    skipped = torch.cat(unclear)
    widths = (ranges[:-1, 1] - ranges[:-1, 0]).tolist()
    strides = np.array([math.prod(widths[j + 1 :]) for j in range(len(widths))])
    places = (skipped.cpu().numpy() - ranges[:-1, 0]) @ strides
    hints = {"ranges": integer_tensor(ranges), "skip": integer_tensor(runs(np.sort(places)))}
    steps = (Step("additive-tables"), Step("enumeration", (0,), {}, hints))
    return Evidence(steps, int(cells.sum()), math.prod(widths), cells), skipped
