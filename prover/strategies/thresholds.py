"""Strategy `thresholds`: in every cell the longest prefix of tokens that is harmless, rivals one by one."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from prover.pessimistic_tables import LabelTerms, Tables, least_product
from prover.strategies.prefix_search import evidence, longest_prefix
from prover.strategy import Evidence, Problem, Strategy


@dataclass(frozen=True)
class Thresholds(Strategy):
    """See the module's docstring and checker/rules/thresholds."""

    name: ClassVar[str] = "thresholds"
    cost: ClassVar[str] = "V^3 + V^2 K out"
    summary: ClassVar[str] = "prefixes of harmless tokens per (query, maximum, copies), rivals one by one"

    def prove(self, problem: Problem) -> Evidence:
        """Binary search for the longest prefix, label by label."""
        vocab, n_ctx = problem.d_vocab, problem.n_ctx
        size = torch.full((vocab, vocab, n_ctx), -1, dtype=torch.int64)
        for label in problem.track(range(vocab), "thresholds"):
            size[: label + 1, label] = sizes_of_label(problem.tables, label).cpu()
        return evidence(problem, "thresholds", size)


def sizes_of_label(tables: Tables, label: int) -> Tensor:
    """Prefix sizes "q c" for queries q <= label; -1 where nothing can be claimed."""
    terms = LabelTerms(tables, label)
    free = tables.n_ctx - 1
    copies = torch.arange(tables.n_ctx, device=tables.direct.device)
    base = terms.own[:, None] + copies[:, None] * terms.copy[:, None]  # q c o
    nothing_else = terms.surely_positive(base[:, -1].amin(-1))
    possible = torch.ones(base.shape[:2], dtype=torch.bool, device=copies.device)
    possible[:label, 0] = False  # a query below the maximum needs a copy of it

    token_score = tables.token_score[: label + 1, : label + 1]
    low, _ = terms.weights(token_score.cummin(1).values)
    _, high = terms.weights(token_score.cummax(1).values)
    least_gap = terms.token_gap.cummin(0).values
    rows = torch.arange(label + 1, device=copies.device)[:, None]

    def works(size: Tensor) -> Tensor:
        last = size - 1
        gap = terms.free_gap[:, None] + least_gap[last]
        other = least_product(tables, gap, low[rows, last][..., None], high[rows, last][..., None])
        margin = base + (free - copies)[:, None] * other
        return terms.surely_positive(margin.amin(-1))

    size = longest_prefix(torch.full(possible.shape, label, device=copies.device), works)
    size[:, -1] = torch.where(nothing_else, 0, -1)
    return torch.where(possible, size, -1)
