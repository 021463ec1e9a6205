"""Strategy `list-sums`: what comes next in a sorted list, whatever else is in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from certificates import Step, Transformer, integer_tensor
from certificates.tensor_file import IntArray
from prover.problem import Problem
from prover.strategy import DoesNotFit, Evidence, Strategy, switch
from prover.transformer.list_bounds import ListTables, TargetSums
from prover.transformer.read_evidence import evidence_of_reads
from prover.transformer.sorted_lists import SortedListsProblem

_BITS, _MOST_HEADS, _MOST_BOXES = 24, 6, 64
_LARGEST = 2.0**27
"""Ratio that hints have."""
_NEWTON, _HALVINGS, _FIRST = 8, 14, 16.0
"""Steps to ratios; steps to what enforces them, and the first of these, in logits."""
_WIDER = 2.0**-10
"""By this share, the interval of ratios."""


@dataclass(frozen=True)
class ListSums(Strategy):
    """See checker/transformer/list_sums."""

    name: ClassVar[str] = "list-sums"
    cost: ClassVar[str] = "reads V^3 K d_vocab_out 2^heads"
    summary: ClassVar[str] = "sums over all lists with the same two neighbours: for models that sort lists"
    rules: ClassVar[tuple[str, ...]] = ("transformer-forward", "list-sums", "all-reads")
    origin: ClassVar[str] = "Of this project."
    vacuous: ClassVar[str] = (
        "If weights of tokens differ much from one place in the list to another, or other tokens of the list take much of "
        "the attention. Try `--set bins=4`, then more training."
    )

    bins: int = switch(2, "the interval of each ratio between heads is divided into so many, where one is not enough")

    together: int = switch(0, "1: all positions of the list are bounded at once: a shorter proof that shows less")

    @classmethod
    def sweep(cls, problem: Problem) -> tuple[Self, ...]:
        """Positions of the list together or apart; more or fewer boxes of ratios."""
        return cls(bins=1, together=1), cls(together=1), cls(bins=1), cls()

    def prove(self, problem: Problem) -> Evidence:
        """At each read, for all pairs of neighbours, find what enforces ratios between heads."""
        about = self.fitting(problem)
        with torch.no_grad():
            steps = [self._step(about, read) for read in problem.track(range(about.length), self.name)]
        return evidence_of_reads(about, steps)

    def fitting(self, problem: Problem) -> SortedListsProblem:
        """See Strategy."""
        config = problem.model.config
        if not isinstance(problem, SortedListsProblem) or not isinstance(config, Transformer):
            raise DoesNotFit(f"{self.name} is for models of the architecture `transformer` and the task sorted-lists")
        plain = config.n_layers == 1 and config.attn_only and config.attention_dir == "causal" and config.pad_token < 0
        if not plain or config.n_heads > _MOST_HEADS:
            raise DoesNotFit(
                f"{self.name} is for causal models of one layer, attention only, up to {_MOST_HEADS} heads, unpadded"
            )
        if self.bins < 1 or self.bins ** (config.n_heads - 1) > _MOST_BOXES:
            raise DoesNotFit(f"{self.name} has bins=1 or more, and up to {_MOST_BOXES} boxes of ratios, bins^(heads - 1)")
        return problem

    def _step(self, problem: SortedListsProblem, number: int) -> Step:
        tables, needed = [ListTables.of(problem, number, apart) for apart in (False, not self.together)], False
        config, targets = problem.model.config, [tables[0].targets(query) for query in range(len(tables[0].queries))]
        rivals, others, found = config.d_vocab_out - 1, config.n_heads - 1, dict[tuple[int, int], tuple[IntArray, IntArray]]()
        for target in range(problem.numbers):
            queries = [query for query, own in enumerate(targets) if target in own]
            if queries:
                ratios, enforced, apart = self._of_target(tables, target, queries)
                needed |= apart
                for query, *own in zip(queries, ratios, enforced, strict=True):
                    found[int(tables[0].queries[query]), target] = own[0], own[1]
        families = sorted(found)
        hints = {
            "families": np.array(families, np.int64).reshape(-1, 2),
            "groups": np.arange(problem.length) * needed,
            "ratios": np.stack([found[own][0] for own in families]).reshape(len(families), others, self.bins + 1),
            "enforced": np.stack([found[own][1] for own in families]).reshape(len(families), self.bins**others, rivals, others),
        }
        return Step("list-sums", (0,), {"read": number}, {name: integer_tensor(hint) for name, hint in hints.items()})

    def _of_target(self, tables: Sequence[ListTables], target: int, queries: list[int]) -> tuple[IntArray, IntArray, bool]:
        """For each query ratios "q h 1+B", all the same if nothing proves it, and what enforces them "q x r h"; and whether
        positions of the list were taken apart for any.
        """
        config, device, needed = tables[0].problem.model.config, tables[0].problem.device, False
        rivals, others = config.d_vocab_out - 1, config.n_heads - 1
        query = torch.tensor(queries, device=device)
        rival = (target + torch.arange(1, rivals + 1, device=device)) % config.d_vocab_out
        ends = _ratios(TargetSums.of(tables[0], target, query, rival[:1].expand(len(query))), others)
        edges = np.repeat(ends[0][:, :, None], self.bins + 1, 2)
        enforced = np.zeros((len(queries), self.bins**others, rivals, others), np.int64)
        left = np.arange(len(queries))
        for bins, own in ((1, tables[0]), (1, tables[1]), (self.bins, tables[1])):
            between = _geometric(ends[0][left], ends[1][left], bins)
            pairs = TargetSums.of(own, target, query[left].repeat_interleave(rivals), rival.repeat(len(left)))
            proved = np.ones(len(left), np.bool_)
            for places in product(range(bins), repeat=others):
                heads, place = np.arange(others), np.array(places, np.int64)
                box = (_unscaled(between[:, heads, place + up], device).repeat_interleave(rivals, 0) for up in (0, 1))
                mu, sure = _enforcing(pairs, *box)
                proved &= sure.reshape(len(left), rivals).all(1).cpu().numpy()
                column = sum(int(one) * self.bins**power for power, one in enumerate(reversed(places)))
                enforced[left, column] = mu.reshape(len(left), rivals, others)
            further = np.repeat(between[proved][:, :, -1:], self.bins - bins, 2)
            edges[left[proved]] = np.concatenate([between[proved], further], axis=2)
            needed |= bool(proved.any()) and own is not tables[0]
            left = left[~proved]
            if not len(left):
                break
        return edges, enforced, needed


def _ratios(sums: TargetSums, others: int) -> tuple[IntArray, IntArray]:
    """Between which numbers Z / Z_h is, "x h" each, in the units of hints: by Newton's method."""
    low = torch.ones(len(sums.query), others, dtype=torch.float64, device=sums.query.device)
    high = torch.ones_like(low)
    for _ in range(_NEWTON if others else 0):
        with torch.enable_grad():
            low.requires_grad_(), high.requires_grad_()
            beyond = sums.beyond(low, high)
            steps = torch.autograd.grad(beyond.sum(), (low, high))
        gone = torch.stack(steps, 1)
        low, high = (torch.stack([low, high], 1).detach() - beyond.detach() / gone).unbind(1)
    room = sums.tables.problem.room
    low, high = low * (1 - _WIDER) - room, high * (1 + _WIDER + room * high)
    return _scaled(low.clamp(0, _LARGEST)), _scaled(high.clamp(0, _LARGEST)) + 1


def _enforcing(pairs: TargetSums, low: Tensor, high: Tensor) -> tuple[IntArray, Tensor]:
    """What enforces ratios "x h", in the units of hints, and with which pairs "x" sums are positive. By ever shorter steps."""
    others, problem = low.shape[1], pairs.tables.problem
    scale = float(pairs.tables.direct.abs().max()) + float(pairs.leads[0].abs().max())
    enough = problem.room * scale
    mu, best = torch.zeros_like(low), torch.full((len(low),), -np.inf, dtype=torch.float64, device=low.device)
    chosen, length = mu.clone(), _FIRST * scale / 64
    rows = torch.arange(len(low), device=low.device)
    for _ in range(_HALVINGS if others else 1):
        with torch.enable_grad():
            own = mu[rows].requires_grad_()
            least = pairs.at(rows).in_box(low[rows], high[rows], own).amin(1)
            (slope,) = torch.autograd.grad(least.sum(), own, allow_unused=True)
        better = least.detach() > best[rows]
        best[rows] = torch.where(better, least.detach(), best[rows])
        chosen[rows[better]] = mu[rows[better]]
        kept = best[rows] <= enough
        if not others or not kept.any():
            break
        step = slope / slope.norm(dim=1, keepdim=True).clamp_min(1e-300)
        mu[rows] = _unscaled(_scaled(mu[rows] + length * step), low.device)
        rows, length = rows[kept], length / 2
    return _scaled(chosen), best > enough


def _geometric(low: IntArray, high: IntArray, bins: int) -> IntArray:
    """Edges "x h 1+B" from low to high "x h"."""
    first, last = np.maximum(low, 1)[..., None], np.maximum(high, 1)[..., None]
    inner = np.rint(first * (last / first) ** (np.arange(1, bins) / bins)).astype(np.int64)
    return np.concatenate([low[..., None], inner, high[..., None]], axis=2)


def _scaled(numbers: Tensor) -> IntArray:
    return np.asarray(np.rint(numbers.cpu().numpy() * 2.0**_BITS), np.int64)


def _unscaled(numbers: IntArray, device: torch.device) -> Tensor:
    return torch.as_tensor(numbers / 2.0**_BITS, device=device)
