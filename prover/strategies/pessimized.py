"""Strategy `pessimized`: as `thresholds`, but all rivals at once, so that nothing of size V^3 is formed."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from prover.pessimistic_tables import Tables, least_product, surely_positive
from prover.strategies.prefix_search import evidence, longest_prefix
from prover.strategy import Evidence, Problem, Strategy


@dataclass(frozen=True)
class Pessimized(Strategy):
    """See the module's docstring and checker/rules/pessimized."""

    name: ClassVar[str] = "pessimized"
    cost: ClassVar[str] = "V^2 d + V^2 K"
    summary: ClassVar[str] = "prefixes of harmless tokens, each table pessimised over all rivals at once"

    def prove(self, problem: Problem) -> Evidence:
        """Binary search for the longest prefix, in all cells at once."""
        return evidence(problem, "pessimized", prefix_sizes(problem.tables))


def _lead(table: Tensor, labels: int) -> Tensor:
    """Entries of the first `labels` columns minus the largest other entry of their row, "... o" -> "... m"."""
    top = table.topk(2, dim=-1).values
    others = torch.where(table == top[..., :1], top[..., 1:], top[..., :1])
    return (table - others)[..., :labels]


def prefix_sizes(tables: Tables) -> Tensor:
    """Prefix sizes "q m c"; -1 where nothing can be claimed."""
    vocab, n_ctx = tables.d_vocab, tables.n_ctx
    free = n_ctx - 1
    device = tables.direct.device
    common = (tables.direct.amax(0) + tables.direct.amin(0)) / 2
    direct = _lead(tables.direct - common, vocab)
    value = _lead((tables.token_value + common)[:, None] + tables.position_value, vocab)  # t j m
    own_value, free_value = value[:, -1], value[:, :-1].amin(1)
    least_value = free_value.cummin(0).values
    queries = torch.arange(vocab, device=device)
    copies = torch.arange(n_ctx, device=device)
    free_low = tables.position_score[:, :-1].amin(1, keepdim=True)
    free_high = tables.position_score[:, :-1].amax(1, keepdim=True)
    prefix_low, prefix_high = tables.token_score.cummin(1).values, tables.token_score.cummax(1).values
    reference = prefix_high + free_high  # q m

    own_score = (tables.token_score.diagonal() + tables.position_score[:, -1])[:, None]
    possible_pair = queries[:, None] <= queries
    own_weight = torch.where(possible_pair, own_score - reference, -torch.inf).exp()
    largest_weight = float(own_weight.max())
    own = least_product(tables, direct + own_value, own_weight, own_weight, largest_weight)
    label_score = tables.token_score - reference
    copy = least_product(
        tables, direct + free_value.diagonal(), (label_score + free_low).exp(), (label_score + free_high).exp()
    )
    base = own[..., None] + copies * copy[..., None]  # q m c

    def works(size: Tensor) -> Tensor:
        last = size - 1
        q, m = queries[:, None, None], queries[None, :, None]
        low = (prefix_low[q, last] + (free_low - reference)[..., None]).exp()
        high = (prefix_high[q, last] + (free_high - reference)[..., None]).exp()
        other = least_product(tables, direct[..., None] + least_value[last, m], low, high)
        return surely_positive(tables, base + (free - copies) * other, largest_weight)

    limit = queries[None, :, None].expand(base.shape).contiguous()
    size = longest_prefix(limit, works)
    size[..., -1] = torch.where(surely_positive(tables, base[..., -1], largest_weight), 0, -1)
    possible = possible_pair[..., None].repeat(1, 1, n_ctx)
    possible[..., 0] &= queries[:, None] == queries
    return torch.where(possible, size, -1)
