"""What the first layer of a causal transformer without MLPs and norms leaves at a position j, if few tokens are known.

*Bounds.* The token at j is known, and perhaps the one before it; those at other positions k < j are any that inputs have there.
Multiplied by a column y, the residual stream after the first layer is x_j.y + b_O.y plus, for each head,

    c.u + sum w_k ((v_k - c).u) / sum w_k,    u = W_O y,  w_k = exp(score_k - r) > 0,  over the keys at all k <= j,

with any r and c. A known token contributes known terms to both sums; one that is not, something between the least and the
greatest term of all tokens. And the quotient is a mean of numbers (v_k - c).u, so between the least and the greatest of them,
also where the sum below is not proved to be positive by its enclosure.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from certificates.tensor_file import IntArray
from checker.core.enclosures import Enclosure
from checker.transformer.reads import Read


@dataclass(frozen=True)
class Weights:
    """Of one head: w of known tokens, those at j "1 b 1" and those before it "a b 1"; of others at each k "b t"; all added up,
    as divisors "a b 1".
    """

    known: list[Enclosure]
    others: list[Enclosure]
    total: Enclosure


@dataclass(frozen=True)
class FirstLayer:
    """At a position that a read sees: for every token b there and, if `paired`, every token a before it (else a is 0)."""

    read: Read
    position: int
    paired: bool

    def through(self, columns: Enclosure) -> Enclosure:
        """The residual stream times columns "d x": "a b x"."""
        read, size = self.read, self.read.config.d_head
        here = read.source.stream[self._every(self.position)]
        found = read.layers.plus(here, "blocks.0.attn.b_O") @ columns
        found = found.reshape(1, *found.shape)
        for head, weights in enumerate(self._weights):
            written = read.out[head * size : (head + 1) * size] @ columns
            found = found + self._means(head, weights, written) + (read.range[0][:, head] @ written).reshape(1, 1, -1)
        return found

    @cached_property
    def _known(self) -> list[IntArray]:
        """Rows of the forward pass: of all tokens at j, and perhaps of those before it."""
        return [self._every(position) for position in (self.position, self.position - 1)[: 1 + self.paired]]

    @cached_property
    def _others(self) -> list[IntArray]:
        """Rows of the tokens at other positions."""
        return [self.read.at(position) for position in range(self.position + 1 - len(self._known))]

    def _every(self, position: int) -> IntArray:
        vocab = self.read.task.d_vocab
        return position * vocab + np.arange(vocab)

    @cached_property
    def _weights(self) -> list[Weights]:
        heads, found, setting = self.read.source.heads, list[Weights](), self.read.setting
        tokens = sum(map(len, (*self._known, *self._others)))
        setting.meter.hold(len(self.read.group) * self.read.task.d_vocab * tokens * setting.arithmetic.element_bytes // 4)
        for head, group in enumerate(self.read.group.tolist()):
            query = heads.query[self._known[0]][:, head]
            own = (query * heads.key[self._known[0]][:, group]).sum(1).reshape(-1, 1)
            scores = [own] + [query @ heads.key[rows][:, group].T for rows in (*self._known[1:], *self._others)]
            largest = scores[0].concatenate(scores[1:], 1).max(1).reshape(-1, 1).representative()
            weights = [(score - largest).exp() for score in scores]
            known = [weights[0].reshape(1, -1, 1)] + [w.T.reshape(*w.shape[::-1], 1) for w in weights[1 : len(self._known)]]
            others, total = weights[len(self._known) :], sum(known[1:], known[0])
            for weight in others:
                total = total + weight.min(1).up_to(weight.max(1)).reshape(1, -1, 1)
            found.append(Weights(known, others, total.within(total.arithmetic)))  # rounded as in a division
        return found

    def _means(self, head: int, weights: Weights, written: Enclosure) -> Enclosure:
        """Of the numbers (v_k - c).u: "a b x"."""
        read, group = self.read, int(self.read.group[head])

        def values(rows: IntArray) -> Enclosure:
            return (read.source.heads.value[rows][:, group] - read.range[0][:, head]) @ written

        known = [values(rows) for rows in self._known]
        own, width = known[0].reshape(1, *known[0].shape), known[0].shape[1]
        total, least, most = weights.known[0] * own, own, own
        for weight, value in zip(weights.known[1:], known[1:], strict=True):
            before = value.reshape(-1, 1, width)
            total, least, most = total + weight * before, least.minimum(before), most.maximum(before)
        for weight, rows in zip(weights.others, self._others, strict=True):
            value = values(rows)
            terms = weight.reshape(*weight.shape, 1) * value.reshape(1, *value.shape)
            total = total + terms.min(1).up_to(terms.max(1)).reshape(*own.shape)
            least = least.minimum(value.min(0).reshape(1, 1, width))
            most = most.maximum(value.max(0).reshape(1, 1, width))
        divisors, flat = weights.total.reshape(-1, 1), (-1, width)
        least, most = least.reshape(*flat), most.reshape(*flat)
        rows = np.flatnonzero(divisors.positive())
        means = total.reshape(*flat)[rows].over(divisors[rows]).maximum(least[rows]).minimum(most[rows])
        place = len(rows) + np.arange(divisors.shape[0])
        place[rows] = np.arange(len(rows))
        return means.concatenate([least.up_to(most)], 0)[place].reshape(*total.shape)
