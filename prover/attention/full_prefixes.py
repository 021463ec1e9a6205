"""The surrogate of all strategies that count classes of sequences: cells in which every smaller token is harmless.

For a query q, a true output m and a number c of further copies of m, let all n = K-1-c other tokens be anything below m, and
every bound at its worst for each of them (notation: checker/attention/label_terms, prefix_chains with one level of size m, all
rivals in one block). If own(q) + c copy(q, m) + n min(L g, H g) > 0, every strategy that looks at classes, or at inputs one by
one, can certify the whole cell. Margins are divided by the sum of the weights, so they are in logits.
"""

import math

import torch
from torch import Tensor

from prover.attention.pessimistic_tables import Tables, additive_tables
from prover.attention.sequence_problem import SequenceProblem
from prover.strategy import DoesNotFit
from prover.surrogate import Claims, Surrogate, soft_maximum, soft_minimum
from prover.weights import Weights

_LEAST_LOG_WEIGHT = -30.0
"""Logarithms of weights are clamped here before exponentiation where there is a temperature: in a loss, not in a bound."""


def full_prefixes(problem: SequenceProblem, joint: bool = True) -> Surrogate:
    """The surrogate of strategies that look at additive tables. Raises DoesNotFit for the n-th largest, 1 < n < K."""
    require_extreme(problem)

    def claims(weights: Weights, temperature: float) -> Claims:
        return full_prefix_claims(additive_tables(problem.in_order(weights), problem.precision), joint, temperature)

    return claims


def require_extreme(problem: SequenceProblem) -> None:
    """Raises DoesNotFit unless the task is the largest or smallest token: these surrogates are about nothing else."""
    if problem.task.rank != 1:
        raise DoesNotFit("only for the largest or smallest token is there a surrogate, an objective to fine-tune for")


def full_prefix_claims(tables: Tables, joint: bool, temperature: float) -> Claims:
    """One claim for every cell (q, m, c) with inputs."""
    vocab, n_ctx = tables.d_vocab, tables.n_ctx
    direct, (at_last, at_free) = _direct_leads(tables), _value_leads(tables, joint, temperature)
    token_low, token_high = tables.token_score - tables.score_spread, tables.token_score + tables.score_spread
    free = tables.position_score[:, :-1]
    free_low, free_high = soft_minimum(free, 1, temperature)[:, None], soft_maximum(free, 1, temperature)[:, None]
    own_score = token_high.diagonal()[:, None] + tables.position_score[:, -1:]
    copy_low, copy_high = token_low + free_low, token_high + free_high  # q m
    other_low = _before(-_running_maximum(-token_low, temperature)) + free_low
    other_high = _before(_running_maximum(token_high, temperature)) + free_high
    reference = torch.maximum(torch.maximum(copy_high, other_high), own_score).detach()

    def weight(score: Tensor) -> Tensor:
        return (score - reference).clamp_min(_LEAST_LOG_WEIGHT if temperature else -torch.inf).exp()

    others = _before(-_running_maximum(-at_free.T, temperature))  # "m s": least lead of m at tokens below s, at s = m
    gap_own, gap_copy, gap_other = direct + at_last, direct + at_free.diagonal(), direct + others.diagonal()
    own = _least(gap_own, weight(own_score - 2 * tables.score_spread.diagonal()[:, None]), weight(own_score))
    copy = _least(gap_copy, weight(copy_low), weight(copy_high))
    other = _least(gap_other, weight(other_low), weight(other_high))
    copies = torch.arange(n_ctx, device=direct.device, dtype=direct.dtype)
    rest = n_ctx - 1 - copies
    filled = torch.where(rest > 0, other[..., None], 0.0) * rest  # q m c; nothing is below 0
    total = weight(own_score)[..., None] + copies * weight(copy_high)[..., None] + rest * weight(other_high)[..., None]
    margin = (own[..., None] + copies * copy[..., None] + filled) / total
    query, label = torch.meshgrid(*[torch.arange(vocab, device=direct.device)] * 2, indexing="ij")
    ways = torch.tensor([math.comb(n_ctx - 1, c) for c in range(n_ctx)], dtype=direct.dtype, device=direct.device)
    share = ways * (label.to(direct.dtype)[..., None] / vocab) ** rest / float(vocab) ** (1 + copies)
    has_inputs = ((query == label)[..., None] | ((query < label)[..., None] & (copies > 0))) & (share > 0)
    return Claims(margin[has_inputs][:, None], share[has_inputs])


def _least(gap: Tensor, low: Tensor, high: Tensor) -> Tensor:
    return torch.minimum(gap * low, gap * high)


def _running_maximum(values: Tensor, temperature: float) -> Tensor:
    """Soft maxima of the first 1, 2, .. elements of every row."""
    if not temperature:
        return values.cummax(1).values
    return temperature * torch.logcumsumexp(values / temperature, 1)


def _before(running: Tensor) -> Tensor:
    """From values over the first 1, 2, .. to those over the first 0, 1, .. (the first repeated, as there are no members)."""
    return torch.cat([running[:, :1], running[:, :-1]], 1)


def _leads(table: Tensor, spread: Tensor, vocab: int) -> Tensor:
    """By how much each label "i m" leads over the best other output, at worst, from a table "i o" and its spread."""
    upper = table + spread
    (best, second), (number, _) = (part.unbind(1) for part in upper.topk(2, 1))
    rival = torch.where(number[:, None] == torch.arange(vocab, device=table.device), second[:, None], best[:, None])
    return (table - spread)[:, :vocab] - rival


def _common(tables: Tables) -> Tensor:
    """What all queries share of the direct path, as the checker takes it out, "o"."""
    upper = tables.direct + tables.direct_spread
    return (upper.amax(0) + upper.amin(0)) / 2


def _direct_leads(tables: Tables) -> Tensor:
    return _leads(tables.direct - _common(tables), tables.direct_spread, tables.d_vocab) - tables.margin


def _value_leads(tables: Tables, joint: bool, temperature: float) -> tuple[Tensor, Tensor]:
    """Leads at the last position of the query, "q m", and at the worst free position of a token, "t m"."""
    vocab, token, position = tables.d_vocab, tables.token_value + _common(tables), tables.position_value
    if joint:
        leads = torch.stack([_leads(token + row, tables.value_spread, vocab) for row in position])  # j t m
        return leads[-1], soft_minimum(leads[:-1], 0, temperature)
    of_token, of_position = _leads(token, tables.value_spread, vocab), _leads(position, torch.zeros_like(position), vocab)
    return of_token + of_position[-1], of_token + soft_minimum(of_position[:-1], 0, temperature)
