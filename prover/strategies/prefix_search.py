"""The search that `thresholds` and `pessimized` share: the longest prefix of tokens that works in every cell."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from certificates import RawTensor, Step
from prover.strategy import Evidence, Problem


def longest_prefix(limit: Tensor, works: Callable[[Tensor], Tensor]) -> Tensor:
    """Elementwise the largest s with 1 <= s <= limit for which works(s), or -1; works is monotone decreasing in s."""
    good, bad = torch.full_like(limit, -1), limit + 1
    trial = torch.ones_like(limit)
    while bool((bad - good.clamp_min(0) > 1).any()):
        open_ = bad - good.clamp_min(0) > 1
        trial = torch.where(open_, (good.clamp_min(0) + bad) // 2, good.clamp(1)).clamp(max=limit.clamp_min(1))
        success = works(trial)
        good = torch.where(open_ & success, trial, good)
        bad = torch.where(open_ & ~success, trial, bad)
    return good


def evidence(problem: Problem, rule: str, size: Tensor) -> Evidence:
    """Proof steps and count for prefix sizes "q m c" (-1: nothing claimed)."""
    free = problem.n_ctx - 1
    correct = 0
    for copies in range(problem.n_ctx):
        sizes, numbers = torch.unique(size[:, :, copies], return_counts=True)
        for s, number in zip(sizes.tolist(), numbers.tolist(), strict=True):
            if s >= 0:
                correct += number * math.comb(free, copies) * s ** (free - copies)
    hint = RawTensor.of_integers(size.cpu().numpy())
    steps = (Step("additive-tables"), Step(rule, (0,), {}, {"size": hint}))
    return Evidence(steps, correct, problem.total)
