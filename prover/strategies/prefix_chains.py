"""Strategies `pessimized` and `thresholds`: descending chains of harmless prefixes (checker/attention/prefix_chains).

In a cell with n free tokens below the maximum, a chain of three levels allows the largest of them to cost up to a share of
what the query and the copies earn, the next one a share of the rest, and divides what remains among the others. The shares
are those of a grid, or the same for all tokens, whichever certifies the most inputs; every size is the largest that its share
allows.

`pessimized` takes all rivals together, which costs nothing of size V**3; `thresholds` takes them one by one.
"""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from certificates import Step, integer_tensor
from prover.attention.chain_counts import fitting_tuples
from prover.attention.full_prefixes import full_prefixes
from prover.attention.pessimistic_tables import LabelTerms, Tables, ValueLeads, contiguous_blocks
from prover.attention.sequence_problem import SequenceProblem
from prover.strategy import DoesNotFit, Evidence, Strategy, switch
from prover.surrogate import Surrogate

_SHARES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_ALMOST = 1 - 1e-9
_LARGEST = 3 * 10**10
"""Numbers that a search may look at: some minutes' worth."""


@dataclass(frozen=True)
class _PrefixChains(Strategy):
    """What both have in common."""

    rivals: int
    levels: int
    joint: int

    def prove(self, problem: SequenceProblem) -> Evidence:
        """Search label by label."""
        step, cells = claim_chains(self, problem, problem.tables, self.rivals, self.levels, self.joint)
        return Evidence((Step("additive-tables"), step), int(cells.sum()), problem.total, cells)

    def largest(self, problem: SequenceProblem) -> Mapping[str, int]:
        """As many blocks as there are rivals."""
        return {"rivals": problem.model.config.d_vocab_out}

    def surrogate(self, problem: SequenceProblem) -> Surrogate:
        """Cells in which every smaller token is harmless."""
        return full_prefixes(problem, self.joint == 1)


@dataclass(frozen=True)
class Pessimized(_PrefixChains):
    """See the module's docstring."""

    name: ClassVar[str] = "pessimized"
    cost: ClassVar[str] = "V^2 d + V^2 K"
    summary: ClassVar[str] = "chains of prefixes of harmless tokens, all rivals at once"
    rules: ClassVar[tuple[str, ...]] = ("additive-tables", "prefix-chains")
    origin: ClassVar[str] = (
        "Pessimal ablation, the worst case in place of what is not looked at, is of Gross et al. 2024. Chains of "
        "prefixes are of this project."
    )
    vacuous: ClassVar[str] = (
        "If the smallest tokens already cost more than the largest one earns, or if only the worst of all rivals "
        "together cannot be beaten. Then try `--set rivals=16`, next `thresholds`, next `classes`."
    )

    rivals: int = switch(1, "blocks of neighbouring rivals; 0: each alone")
    levels: int = switch(3, "levels of the chains, 1 to 3")
    joint: int = switch(1, "1: values of token and position are pessimised together; 0: apart")

    @classmethod
    def sweep(cls, problem: SequenceProblem) -> tuple[Self, ...]:
        """All rivals together or in a few blocks; chains of any length; positions exact or pessimised apart."""
        choices = itertools.product((1, 4, 16), (1, 2, 3), (0, 1))
        return tuple(cls(rivals, levels, joint) for rivals, levels, joint in choices)


@dataclass(frozen=True)
class Thresholds(_PrefixChains):
    """See the module's docstring."""

    name: ClassVar[str] = "thresholds"
    cost: ClassVar[str] = "V^3 + V^2 K out"
    summary: ClassVar[str] = "chains of prefixes of harmless tokens, rivals one by one"
    rules: ClassVar[tuple[str, ...]] = ("additive-tables", "prefix-chains")
    origin: ClassVar[str] = "Of this project."
    vacuous: ClassVar[str] = (
        "If the smallest tokens already cost more than the largest one earns. Then try `classes`, for which any "
        "tokens may be the harmless ones."
    )

    rivals: int = switch(0, "blocks of neighbouring rivals; 0: each alone")
    levels: int = switch(3, "levels of the chains, 1 to 3")
    joint: int = switch(0, "1: values of token and position are pessimised together; 0: apart")

    @classmethod
    def sweep(cls, problem: SequenceProblem) -> tuple[Self, ...]:
        """Chains of any length."""
        return tuple(cls(levels=levels) for levels in (1, 2, 3))


def claim_chains(
    strategy: Strategy, problem: SequenceProblem, tables: Tables, rivals: int, levels: int, joint: int
) -> tuple[Step, np.ndarray]:
    """The step that claims the best chains, from tables that step 0 establishes, and how many inputs it certifies, "q m"."""
    if problem.task.rank != 1:
        raise DoesNotFit(f"{strategy.name} is for the largest or smallest token only; use classes")
    if not (1 <= levels <= 3 and joint in (0, 1) and rivals >= 0):
        raise DoesNotFit(f"{strategy.name} needs rivals >= 0, levels 1 to 3 and joint 0 or 1")
    vocab, n_ctx, outputs = problem.d_vocab, problem.n_ctx, problem.model.config.d_vocab_out
    work = vocab**2 * n_ctx * (len(_SHARES) + 1) ** (levels - 1) * (rivals or outputs)
    if work > _LARGEST:
        raise DoesNotFit(
            f"the search looks at about {work:.1e} numbers, more than {_LARGEST:.0e}; set levels lower, or use pessimized"
        )
    block = contiguous_blocks(outputs, rivals)
    leads = ValueLeads.of(tables, block, bool(joint))
    size = np.full((vocab, vocab, n_ctx, levels), -1, np.int64)
    numbers = [_numbers(n_ctx - 1 - copies, levels) for copies in range(n_ctx)]
    for label in problem.track(range(vocab), strategy.name):
        terms = LabelTerms(leads, label, label + 1)
        for copies in range(n_ctx):
            first = label if copies == 0 else 0  # a query below the maximum needs a copy of it
            chains = _best_chains(terms, slice(first, label + 1), copies, numbers[copies])
            size[first : label + 1, label, copies] = chains.cpu().numpy()
    hints = {"rivals": block, "numbers": np.array(numbers), "size": size}
    stored = {name: integer_tensor(hint) for name, hint in hints.items()}
    return Step("prefix-chains", (0,), {"joint": joint}, stored), _count(size, numbers)


def _numbers(free: int, levels: int) -> tuple[int, ...]:
    """How many of the `free` tokens belong to each level: one to each of the upper ones, as long as there are any left."""
    single = min(levels, free) - 1 if free else 0
    return (free - single, *(1 for _ in range(single)), *(0 for _ in range(levels - single - 1)))


def _best_chains(terms: LabelTerms, queries: slice, copies: int, numbers: tuple[int, ...]) -> Tensor:
    """Sizes "q level" of a chain for each query; -1 where nothing can be claimed."""
    base = (terms.own + copies * terms.copy)[queries]  # q b
    depth = sum(1 for number in numbers if number)
    if depth == 0:
        proved = terms.surely_positive(base.amin(1))
        return torch.where(proved, 0, -1)[:, None].expand(-1, len(numbers))
    if terms.label == 0:
        return torch.full((len(base), len(numbers)), -1, device=base.device)
    least = terms.prefix_terms[queries]  # q s b
    cost = (-least).transpose(1, 2).contiguous()  # q b s, increasing

    def longest(budget: Tensor) -> Tensor:
        """The longest prefix whose cost is below the budget "q f b", for every block."""
        return torch.searchsorted(cost, budget.transpose(1, 2).contiguous() * _ALMOST).amin(1)

    def left(budget: Tensor, size: Tensor, number: int) -> Tensor:
        index = (size - 1).clamp_min(0)[..., None].expand(-1, -1, least.shape[2])
        return budget + number * torch.where(size[..., None] > 0, least.gather(1, index), 0.0)

    budget, sizes, tokens = base[:, None], [], sum(numbers)  # q f b; from the highest level downwards
    for number in reversed(numbers[1:depth]):
        shares = torch.tensor((*_SHARES, number / tokens), dtype=base.dtype, device=base.device)  # the last: all tokens alike
        tokens -= number
        share = shares.repeat(budget.shape[1])[None, :, None]
        budget = budget.repeat_interleave(len(shares), 1)
        sizes = [size.repeat_interleave(len(shares), 1) for size in sizes]
        size = longest(budget * share / number)
        if sizes:
            size = torch.minimum(size, sizes[-1])
        budget = left(budget, size, number)
        sizes.append(size)
    last = longest(budget / numbers[0])
    sizes.append(torch.minimum(last, sizes[-1]) if sizes else last)
    proved = terms.surely_positive(left(budget, sizes[-1], numbers[0]).amin(2))
    levels = torch.stack(sizes[::-1], -1)  # q f level
    widths = levels.double().diff(dim=-1, prepend=torch.zeros_like(levels[..., :1], dtype=torch.float64)) / terms.label
    gain = torch.where(proved, fitting_tuples(widths.unbind(-1), numbers[:depth]), 0.0)
    best = gain.max(1)
    chosen = levels.gather(1, best.indices[:, None, None].expand(-1, 1, depth))[:, 0]
    chosen = torch.cat([chosen, chosen[:, -1:].expand(-1, len(numbers) - depth)], 1)
    return torch.where(best.values[:, None] > 0, chosen, -1)


def _count(size: np.ndarray, numbers: list[tuple[int, ...]]) -> np.ndarray:
    """Inputs in the claimed chains, "q m"."""
    cells = np.zeros(size.shape[:2], object)
    free = len(numbers) - 1
    for copies, of_level in enumerate(numbers):
        query, label = np.nonzero(size[:, :, copies, 0] != -1)
        kinds, kind = np.unique(size[query, label, copies], axis=0, return_inverse=True)
        widths = np.diff(kinds, axis=1, prepend=0).astype(object)
        fitting = fitting_tuples(list(widths.T), of_level) * math.comb(free, copies)
        cells[query, label] += fitting[kind.reshape(-1)]
    return cells
