"""Least sums over what heads attend to in sorted lists (checker/transformer/list_sums), in float64, as the checker bounds them.

They are differentiable in what enforces ratios, and in the ratios.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from prover.transformer.box_bounds import centring, subtracts_means, unembedding_after_norm
from prover.transformer.forward import attended, embedded, falls, normalised, of_block
from prover.transformer.sorted_lists import SortedListsProblem


@dataclass(frozen=True)
class Attended:
    """At a place: between which numbers scores are, "h q c"; what heads write for the outputs, "h j c out" for the positions j
    of the place, or "h q 1 out" at the read's own; and how long that is in the last norm's unit, "h j c" or "h q 1".
    """

    low: Tensor
    high: Tensor
    writes: Tensor
    lengths: Tensor


@dataclass(frozen=True)
class ListTables:
    """The read number `number`, and its queries "q". direct "q out": what is written anyhow. root "q": of a last norm, of that.

    places: the list as a whole, or (apart) each position of it, the separator, and the sorted numbers up to the query.
    """

    problem: SortedListsProblem
    number: int
    queries: Tensor
    places: list[Attended]
    direct: Tensor
    bias: Tensor
    root: Tensor

    @staticmethod
    def of(problem: SortedListsProblem, number: int, apart: bool) -> "ListTables":
        """With all queries that inputs have there."""
        config, weights, length, numbers = problem.model.config, problem.weights, problem.length, problem.numbers
        own, position = of_block(weights, 0), problem.reads[number]
        tokens = torch.arange(config.d_vocab, device=problem.device)[:, None].expand(-1, config.n_ctx)
        stream = embedded(config, weights, tokens)
        query, key, value = attended(config, own, normalised(config, own, "ln1", stream))
        queries = torch.arange(number - 1, numbers - length + number) if number else torch.tensor([numbers])
        queries, everything = queries.to(problem.device), torch.arange(numbers, device=problem.device)
        symbols = [everything] * length + [tokens[-1:, 0]] + [everything] * (number - 1) + [queries] * bool(number)
        every = torch.cat([value[symbol, :, place] for place, symbol in enumerate(symbols)])
        centre = (every.amin(0) + every.amax(0)) / 2
        unembed, bias = unembedding_after_norm(config, weights)
        unembed = unembed * (config.d_model if subtracts_means(config) else 1)  # in the checker's unit, as mu is
        asked, fall = query[queries, :, position], falls(config, own, config.n_ctx)[:, position]
        scores = []
        for place, symbol in enumerate(symbols):
            keys = key[symbol, :, place]
            own_score = (asked * keys).sum(2).T[:, :, None] if place == position else torch.einsum("qhe,che->hqc", asked, keys)
            scores.append(own_score - fall[:, place, None, None])
        written = [
            torch.einsum("che,hed->hcd", value[symbol, :, j] - centre, own["attn.W_O"]) for j, symbol in enumerate(symbols)
        ]
        base = stream[queries, position] + own["attn.b_O"] + torch.einsum("he,hed->d", centre, own["attn.W_O"])
        centred = centring(config, unembed)
        scale = config.d_model if subtracts_means(config) else 1
        root = ((base @ centred).square().mean(1) + float(Fraction(config.eps))).sqrt() * scale
        lengths = [(write @ centred).square().mean(2).sqrt() * scale for write in written]
        writes, listed = [write @ unembed for write in written], [slice(j, j + 1) for j in range(length)]
        places = list[Attended]()
        for some in (listed if apart else [slice(length)]) + [slice(j, j + 1) for j in range(length, position + 1)]:
            own_scores, axis = torch.stack(scores[some]), 2 if some.start == position else 1
            parts = torch.stack(writes[some], axis), torch.stack(lengths[some], axis)
            places.append(Attended(own_scores.amin(0), own_scores.amax(0), *parts))
        return ListTables(problem, number, queries, places, base @ unembed, bias, root)

    def targets(self, query: int) -> range:
        """That may come next, for a query by its number."""
        first = int(self.queries[query]) + 1 if self.number else 0
        return range(first, self.problem.numbers - (self.problem.length - self.number - 1))

    def weights(self, target: int) -> list[tuple[Tensor, Tensor]]:
        """At each place "h q c", from and to, relative to the greatest of what may be there before this target."""
        separator, token = len(self.places) - 1 - self.number, torch.arange(self.problem.numbers, device=self.queries.device)
        below = (token < self.queries[:, None]) & (self.number > 0)
        inside = below | (token == self.queries[:, None]) | (token >= target)
        seen = []
        for place, own in enumerate(self.places):
            if own.high.shape[2] == 1:
                seen.append(own.high)
            else:
                seen.append(own.high.masked_fill(~(inside if place < separator else below), -torch.inf))
        most = torch.cat(seen, 2).amax(2, keepdim=True)
        return [((own.low - most).clamp(max=0).exp(), (own.high - most).clamp(max=0).exp()) for own in self.places]


Terms = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From weights "h x c" (from, to) and leads "h x c" to what is added up, "x c s"."""


@dataclass(frozen=True)
class TargetSums:
    """For a target, pairs "x" of a query, by its number, and a rival. direct "x". Of each place weights "h q c", from and to,
    and leads "h x c", from below.
    """

    tables: ListTables
    target: int
    query: Tensor
    direct: Tensor
    weights: list[tuple[Tensor, Tensor]]
    leads: list[Tensor]

    @staticmethod
    def of(tables: ListTables, target: int, query: Tensor, rival: Tensor) -> "TargetSums":
        """query, rival "x"."""
        direct = tables.direct[query, target] - tables.direct[query, rival]
        beta = tables.bias[target] - tables.bias[rival] - float(tables.problem.margin)
        normed = tables.problem.model.config.normalization_type is not None
        against, leads = (tables.bias[target] - tables.bias - float(tables.problem.margin)).clamp(max=0) * normed, []
        for number, place in enumerate(tables.places):
            lead = place.writes[..., [target]] - place.writes + against * place.lengths[..., None]
            own = number == len(tables.places) - 1
            leads.append(lead[:, query, :, rival].transpose(0, 1) if own else lead.amin(1)[..., rival].transpose(1, 2))
        direct = direct + (beta.clamp(max=0) * tables.root[query] if normed else beta)
        return TargetSums(tables, target, query, direct, tables.weights(target), leads)

    def at(self, rows: Tensor) -> "TargetSums":
        """Some of them."""
        leads = [lead[:, rows] for lead in self.leads]
        return TargetSums(self.tables, self.target, self.query[rows], self.direct[rows], self.weights, leads)

    def in_box(self, low: Tensor, high: Tensor, enforced: Tensor) -> Tensor:
        """The least sums, "x corner", in boxes of ratios "x h", for mu "x h"."""
        total = (self.direct + enforced.sum(1))[:, None]

        def terms(least: Tensor, most: Tensor, leads: Tensor) -> Tensor:
            def product(head: int, value: Tensor) -> Tensor:
                return torch.minimum(least[head] * value, most[head] * value)

            every = [product(0, total + leads[0])]
            for head in range(1, len(leads)):
                part = product(head, leads[head] - enforced[:, head - 1, None])
                every = [before + part * end[:, head - 1, None] for before in every for end in (low, high)]
            return torch.stack(every, 2)

        return self._least(terms)

    def beyond(self, low: Tensor, high: Tensor) -> Tensor:
        """The least of Z - low Z_h and high Z_h - Z for numbers "x h": "x 2 h"."""

        def terms(least: Tensor, most: Tensor, leads: Tensor) -> Tensor:
            over = [least[0] - most[head] * low[:, head - 1, None] for head in range(1, len(leads))]
            under = [least[head] * high[:, head - 1, None] - most[0] for head in range(1, len(leads))]
            return torch.stack(over + under, 2)

        return self._least(terms).unflatten(1, (2, -1))

    def _least(self, terms: Terms) -> Tensor:
        tables, query, target = self.tables, self.query, self.target
        number, rows = tables.number, torch.arange(len(query), device=query.device)

        def at(place: int, first: int = 0, last: int | None = None) -> Tensor:
            lead = self.leads[place]
            low, high = (end[:, query, first:last] for end in self.weights[place])
            return terms(low, high, lead[:, :, first:last].expand(-1, len(query), -1))

        separator = len(tables.places) - 1 - number
        listed = torch.stack([at(place) for place in range(separator)]).amin(0)
        least = listed[:, target] + at(separator)[:, 0]
        if number:
            asked = tables.queries[query]
            least = least + listed[rows, asked] + at(-1)[:, 0]
        below: Tensor | None = None
        for k in range(number - 1):
            step = at(separator + 1 + k, k, target) + listed[:, k:target]
            below = (step if below is None else step + below[:, :-1]).cummin(1).values
        if below is not None:
            least = least + below[rows, asked - (number - 1)]
        above = tables.problem.length - number - 1
        if above:
            least = least + listed[:, target + 1 :].topk(above, 1, largest=False).values.sum(1)
        return least
