"""A transformer of one layer about to be read at a position p: what its attention sums up there, on inputs of an automaton.

For a head, let w_j = exp(score_j - r) for the key at j, or 0 if x_j is padding, v_j its value, c any vector, Z = sum w_j and
N = sum w_j (v_j - c), over the positions j that p sees. If Z > 0, which it is unless all of these are padding, then what the
head reads is c + N / Z. w_j and v_j depend on the query x_p, on j and on x_j only.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from certificates.tensor_file import IntArray
from checker.core.automata import AutomatonTask
from checker.core.enclosed_weights import zeros
from checker.core.enclosures import BoolArray, Enclosure
from checker.core.facts import Setting
from checker.transformer.activations import fraction
from checker.transformer.forward import Forward
from checker.transformer.places import instead_of_hidden

Counts = NDArray[np.object_]
_EFFORT_PER_EDGE = 100
"""What comparing and sorting takes for each edge of an automaton (a state, a token, and where they lead), beside the counts."""


@dataclass(frozen=True)
class Edges:
    """Steps from some nodes to others: by number "e" the source, the target, the query and the token that is read."""

    source: IntArray
    target: IntArray
    query: IntArray
    token: IntArray

    def hulls(self, setting: Setting, boxes: Enclosure, terms: tuple[Enclosure, IntArray] | None) -> Enclosure:
        """For each target "t x" the hull of its sources' boxes "s x" plus terms "q c x" of queries and tokens.

        Edges with the same source and target share one sum: that of the box and the hull of the terms of their tokens. terms:
        with the columns "v" of tokens; None for a step that adds nothing.
        """
        setting.meter.sorting(2 * len(self.source))
        order = np.lexsort((self.token, self.source, self.target))
        source, target, query, token = (x[order] for x in (self.source, self.target, self.query, self.token))
        alike = np.append(True, (np.diff(source) == 0) & (np.diff(target) == 0))
        alike[0] = False
        first = np.flatnonzero(~alike)
        sums = boxes[source[first]]
        if terms is not None:
            table, columns = terms
            members = np.zeros((len(first), table.shape[1]), np.bool_)
            setting.meter.sorting(members.size)
            setting.meter.allocate(4 * members.size)
            members[np.cumsum(~alike) - 1, columns[token]] = True
            digits = [members[:, i : i + 62] for i in range(0, members.shape[1], 62)]
            keys = np.column_stack([query[first], *(part @ (1 << np.arange(part.shape[1])) for part in digits)])
            _, one, which = np.unique(keys, axis=0, return_index=True, return_inverse=True)
            row, column = np.nonzero(members[one])
            of_sets = table[query[first][one][row], column].segment_hull(np.flatnonzero(np.diff(row, prepend=-1)))
            sums = sums + of_sets[which.reshape(-1)]
        return sums.segment_hull(np.flatnonzero(np.diff(target[first], prepend=-1)))

    def counts(self, setting: Setting, ways: Counts, targets: int) -> Counts:
        """For each target the sum of its sources' numbers."""
        setting.meter.scripting(len(self.source))
        longer = np.zeros(targets, object)
        np.add.at(longer, self.target, ways[self.source])
        return longer


@dataclass(frozen=True)
class Read:
    """A transformer with one layer, about to be read at `position` on inputs with some queries there.

    Nodes and what comes after them: Automaton.followers.
    """

    setting: Setting
    forward: Forward
    task: AutomatonTask
    position: int
    queries: IntArray

    @cached_property
    def after(self) -> list[IntArray]:
        """For each step "node v": the node after it, or -1 if no input goes on like this."""
        length, (_, states, tokens) = self.task.n_ctx, self.task.automaton.transitions.shape
        self.setting.meter.hold(8 * length * states * len(self.queries) * tokens)
        self.setting.meter.allocate(24 * states * len(self.queries) * tokens)
        self.setting.meter.toil(_EFFORT_PER_EDGE * length * states * len(self.queries) * tokens)
        return self.task.automaton.followers(self.position, self.queries)

    @cached_property
    def tokens(self) -> list[IntArray]:
        """For each position that is seen, the tokens that inputs have there: at the read's, the queries."""
        causal = self.forward.config.attention_dir == "causal"
        steps = np.argsort(self.task.automaton.order)[: self.position + 1 if causal else None]
        reached, found = np.arange(len(self.queries)), list[IntArray]()
        for after in self.after:
            self.setting.meter.sorting(2 * len(reached) * after.shape[1])
            here = after[reached]
            found.append(np.flatnonzero(np.any(here >= 0, axis=0)))
            reached = np.unique(here[here >= 0])
        return [found[step] for step in steps.tolist()]

    @cached_property
    def columns(self) -> list[IntArray]:
        """For each position that is seen, the place "v" of a token in what is about its tokens; 0 at the read's."""
        found = [np.zeros(self.task.d_vocab, np.int64) for _ in self.tokens]
        for position, tokens in enumerate(self.tokens):
            if position != self.position:
                found[position][tokens] = np.arange(len(tokens))
        return found

    def seen(self, step: int) -> int | None:
        """The position that is read in a step, if the read sees it."""
        position = int(self.task.automaton.order[step])
        return position if position < len(self.tokens) else None

    @cached_property
    def group(self) -> IntArray:
        """For each head the number of its key and value."""
        config = self.forward.config
        return np.arange(config.n_heads) // (config.n_heads // config.n_key_value_heads)

    def at(self, position: int) -> IntArray:
        """Rows of the forward pass."""
        return position * self.task.d_vocab + self.tokens[position]

    @cached_property
    def scores(self) -> list[list[Enclosure]]:
        """For each position and head "q c": of the keys of its tokens; at the read's position, of the query's own."""
        query, found = self.forward.heads.query[self.at(self.position)], list[list[Enclosure]]()
        for position in range(len(self.tokens)):
            key = self.forward.heads.key[self.at(position)][:, self.group]
            if position == self.position:
                own = (query * key).sum(2)
                found.append([own[:, head].reshape(-1, 1) for head in range(len(self.group))])
            else:
                heads = range(len(self.group))
                found.append([self.fallen(query[:, head] @ key[:, head].T, position, head) for head in heads])
        return found

    def fallen(self, scores: Enclosure, position: int, head: int) -> Enclosure:
        """Less what keys at another position lose by being far away."""
        if self.forward.config.positional_embedding_type != "alibi":
            return scores
        return scores - self.forward.layers.falls(0, self.position, np.array([[position]]))[0, [head]]

    @cached_property
    def largest(self) -> list[Enclosure]:
        """The largest score of all that is no padding, r "q 1" for each head."""
        of_heads = zip(*self.scores, strict=True)
        every = [scores[0].concatenate(scores[1:], 1) for scores in of_heads]
        if self.forward.config.pad_token >= 0:
            looked_at = instead_of_hidden(np.concatenate([self.visible(place) for place in range(len(self.tokens))], axis=1))
            every = [scores[np.arange(len(looked_at))[:, None], looked_at] for scores in every]
        return [scores.max(1).reshape(-1, 1).representative() for scores in every]

    def visible(self, position: int) -> BoolArray:
        """Which of a position's tokens are no padding, "q c"."""
        own = position == self.position
        tokens = self.queries[:, None] if own else np.tile(self.tokens[position], (len(self.queries), 1))
        return np.asarray(tokens != self.forward.config.pad_token, np.bool_)

    @cached_property
    def range(self) -> tuple[Enclosure, Enclosure, Enclosure]:
        """The middle between the least and the greatest value of what is no padding, c "1 h e"; and these less c."""
        rows = np.concatenate([self.at(position) for position in range(len(self.tokens))])
        seen = rows[rows % self.task.d_vocab != self.forward.config.pad_token]
        rows = seen if len(seen) else rows
        every = self.forward.heads.value[rows][:, self.group]
        least, most = (end.reshape(1, *every.shape[1:]) for end in (every.min(0), every.max(0)))
        half = fraction(self.setting.arithmetic, Fraction(1, 2)).reshape(1, 1, 1)
        centre = ((least + most) * half).representative()
        return centre, least - centre, most - centre

    def weight(self, position: int, head: int) -> Enclosure:
        """The w of a position's tokens, "q c"."""
        scores = self.scores[position][head] - self.largest[head]
        if self.forward.config.pad_token < 0:
            return scores.exp()
        scores = scores.minimum(zeros(self.setting, 1, 1))  # as they are, but for those of padding
        return scores.exp().times(self.visible(position).astype(np.int64))

    def values(self, position: int) -> Enclosure:
        """The v - c of a position's tokens, "c h e"."""
        return self.forward.heads.value[self.at(position)][:, self.group] - self.range[0]

    @cached_property
    def out(self) -> Enclosure:
        """What all heads write for what they read, "h x e d" (heads below each other)."""
        return self.forward.layers.weights["blocks.0.attn.W_O"]

    @cached_property
    def base(self) -> Enclosure:
        """The residual stream at p, for each query "q d", if all heads read their c."""
        written = self.forward.layers.plus(self.range[0].reshape(1, -1) @ self.out, "blocks.0.attn.b_O")
        return self.forward.stream[self.at(self.position)] + written

    def edges(self, step: int) -> Edges:
        """Those that inputs may take."""
        node, token = np.nonzero(self.after[step] >= 0)
        return Edges(node, self.after[step][node, token], node % len(self.queries), token)

    @cached_property
    def last(self) -> IntArray:
        """The nodes after all steps."""
        return np.flatnonzero(np.repeat(self.task.automaton.due(len(self.after)), len(self.queries)))

    def backwards(self, steps: int) -> Iterator[tuple[int, IntArray, Edges]]:
        """Every step after so many, the last one first: with the nodes that inputs may be in before it, and how they go on,
        from the nodes after it (by their number in what came before, or in `last`) to these.
        """
        row = np.full(self.after[0].shape[0], -1, np.int64)
        row[self.last] = np.arange(len(self.last))
        for step in reversed(range(steps, len(self.after))):
            edges = self.edges(step)
            nodes, target = np.unique(edges.source, return_inverse=True)
            yield step, nodes, Edges(row[edges.target], target, edges.query, edges.token)
            row[nodes] = np.arange(len(nodes))
