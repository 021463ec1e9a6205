"""A layer of a transformer about to be read at a position p: what its attention sums up there, on inputs of an automaton.

For a head, let w_j = exp(score_j - r) for the key at j, or 0 if x_j is padding, v_j its value, c any vector, Z = sum w_j and
N = sum w_j (v_j - c), over the positions j that p sees. If Z > 0, which it is unless all of these are padding, then what the
head reads is c + N / Z. In the first layer, w_j and v_j depend on the query x_p, on j and on x_j only. In others, they are in
boxes that depend on the *symbols* at p and j only: classes of the tokens up to there (`prefix_classes`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from certificates.automaton import Automaton
from certificates.tensor_file import IntArray
from certificates.transformer import Transformer
from checker.core.automata import AutomatonTask
from checker.core.enclosed_weights import zeros
from checker.core.enclosures import BoolArray, Enclosure
from checker.core.facts import Fact, Setting
from checker.transformer.activations import fraction
from checker.transformer.forward import Forward, Heads, Layers
from checker.transformer.places import instead_of_hidden

Counts = NDArray[np.object_]
_BYTES_PER_EDGE = 160
_EFFORT_PER_EDGE = 100
"""What comparing and sorting takes for each edge of an automaton (a state, a token, and where they lead), beside the counts."""


@dataclass(frozen=True)
class Edges:
    """Steps from some nodes to others: by number "e" the source, the target, the query and the symbol that is read."""

    source: IntArray
    target: IntArray
    query: IntArray
    symbol: IntArray

    def hulls(self, setting: Setting, boxes: Enclosure, terms: tuple[Enclosure, IntArray] | None) -> Enclosure:
        """For each target "t x" the hull of its sources' boxes "s x" plus terms "q c x" of queries and symbols.

        Edges with the same source and target share one sum: that of the box and the hull of the terms of their symbols. terms:
        with the columns "v" of symbols; None for a step that adds nothing.
        """
        setting.meter.sorting(2 * len(self.source))
        setting.meter.allocate(_BYTES_PER_EDGE * len(self.source))
        order = np.lexsort((self.symbol, self.source, self.target))
        source, target, query, symbol = (x[order] for x in (self.source, self.target, self.query, self.symbol))
        alike = np.append(True, (np.diff(source) == 0) & (np.diff(target) == 0))
        alike[0] = False
        first = np.flatnonzero(~alike)
        sums = boxes[source[first]]
        if terms is not None:
            table, columns = terms
            members = np.zeros((len(first), table.shape[1]), np.bool_)
            setting.meter.sorting(members.size)
            setting.meter.allocate(4 * members.size)
            members[np.cumsum(~alike) - 1, columns[symbol]] = True
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
class LayerInput(Fact):
    """What a layer, by its number, works on, for symbols at every position: tokens, or (by_state) states of an automaton.

    stream "x d", heads: of all symbols at all positions, those at j in the rows from first[j] on. automaton: what it accepts
    are inputs of the task; a state of it is a symbol at the position that has just been read.
    """

    layers: Layers
    layer: int
    stream: Enclosure
    heads: Heads
    first: IntArray
    automaton: Automaton
    by_state: bool
    unexplained_dimension: int = 0

    @staticmethod
    def of_tokens(forward: Forward, task: AutomatonTask) -> "LayerInput":
        """In the first layer."""
        first = np.arange(task.n_ctx) * task.d_vocab
        return LayerInput(forward.layers, 0, forward.stream, forward.heads, first, task.automaton, False)


@dataclass(frozen=True)
class Read:
    """A layer that is read at `position` on inputs with some queries there: symbols.

    Nodes and what comes after them: Automaton.followers.
    """

    setting: Setting
    source: LayerInput
    task: AutomatonTask
    position: int
    queries: IntArray

    @property
    def layers(self) -> Layers:
        """Of the model."""
        return self.source.layers

    @property
    def config(self) -> Transformer:
        """The model's."""
        return self.source.layers.config

    @property
    def automaton(self) -> Automaton:
        """That of the symbols."""
        return self.source.automaton

    @cached_property
    def after(self) -> list[IntArray]:
        """For each step "node v": the node after it, or -1 if no input goes on like this."""
        length, (_, states, tokens) = len(self.automaton.order), self.automaton.transitions.shape
        self.setting.meter.hold(8 * length * states * len(self.queries) * tokens)
        self.setting.meter.allocate(24 * states * len(self.queries) * tokens)
        self.setting.meter.toil(_EFFORT_PER_EDGE * length * states * len(self.queries) * tokens)
        return self.automaton.followers(self.position, self.queries, self.source.by_state)

    @cached_property
    def reached(self) -> list[IntArray]:
        """The nodes that inputs may be in before each step, and after the last one."""
        found = [np.arange(len(self.queries))]
        for after in self.after:
            self.setting.meter.sorting(2 * len(found[-1]) * after.shape[1])
            here = after[found[-1]]
            found.append(np.unique(here[here >= 0]))
        self.setting.meter.hold(8 * sum(map(len, found)))
        return found

    @cached_property
    def symbols(self) -> list[IntArray]:
        """For each position that is seen, the symbols that inputs have there: at the read's, the queries."""
        causal, found = self.config.attention_dir == "causal", list[IntArray]()
        for step in np.argsort(self.automaton.order)[: self.position + 1 if causal else None].tolist():
            before, after = self.reached[step], self.reached[step + 1]
            self.setting.meter.sorting(len(after) + before.size * self.after[step].shape[1])
            if self.source.by_state:
                found.append(np.unique(after // len(self.queries)))
            else:
                found.append(np.flatnonzero(np.any(self.after[step][before] >= 0, axis=0)))
        return found

    @cached_property
    def columns(self) -> list[IntArray]:
        """For each position that is seen, the place "v" of a symbol in what is about its symbols; 0 at the read's."""
        _, states, tokens = self.automaton.transitions.shape
        found = [np.zeros(states if self.source.by_state else tokens, np.int64) for _ in self.symbols]
        for position, symbols in enumerate(self.symbols):
            if position != self.position:
                found[position][symbols] = np.arange(len(symbols))
        return found

    def seen(self, step: int) -> int | None:
        """The position that is read in a step, if the read sees it."""
        position = int(self.automaton.order[step])
        return position if position < len(self.symbols) else None

    def symbols_at(self, inputs: IntArray) -> IntArray:
        """At p, of inputs "n k": -1 where the automaton does not accept what comes before."""
        if not self.source.by_state:
            return np.asarray(inputs[:, self.position], np.int64)
        state = np.zeros(len(inputs), np.int64)
        for step in range(self.position + 1):
            state = np.where(state < 0, -1, self.automaton.at(step)[state, inputs[:, step]])
        return np.asarray(state, np.int64)

    @cached_property
    def group(self) -> IntArray:
        """For each head the number of its key and value."""
        config = self.config
        return np.arange(config.n_heads) // (config.n_heads // config.n_key_value_heads)

    def at(self, position: int) -> IntArray:
        """Rows of what the layer works on."""
        rows: IntArray = self.source.first[position] + self.symbols[position]
        return rows

    @cached_property
    def scores(self) -> list[list[Enclosure]]:
        """For each position and head "q c": of the keys of its symbols; at the read's position, of the query's own."""
        query, found = self.source.heads.query[self.at(self.position)], list[list[Enclosure]]()
        numbers = len(self.queries) * len(self.group) * sum(map(len, self.symbols))
        self.setting.meter.hold(numbers * self.setting.arithmetic.element_bytes // 4)
        for position in range(len(self.symbols)):
            key = self.source.heads.key[self.at(position)][:, self.group]
            if position == self.position:
                own = (query * key).sum(2)
                found.append([own[:, head].reshape(-1, 1) for head in range(len(self.group))])
            else:
                heads = range(len(self.group))
                found.append([self.fallen(query[:, head] @ key[:, head].T, position, head) for head in heads])
        return found

    def fallen(self, scores: Enclosure, position: int, head: int) -> Enclosure:
        """Less what keys at another position lose by being far away."""
        falls = self._falls(position, head)
        return scores if falls is None else scores - falls[0]

    def _falls(self, position: int, head: int) -> Enclosure | None:
        """What these are, "1 1 1", if any."""
        if self.config.positional_embedding_type != "alibi":
            return None
        return self.layers.falls(self.source.layer, self.position, np.array([[position]]))[:, [head]]

    @cached_property
    def largest(self) -> list[Enclosure]:
        """The largest score of all that is looked at, r "q 1" for each head."""
        of_heads = zip(*self.scores, strict=True)
        every = [scores[0].concatenate(scores[1:], 1) for scores in of_heads]
        if self._some_are_hidden:
            looked_at = instead_of_hidden(np.concatenate([self.visible(place) for place in range(len(self.symbols))], axis=1))
            every = [scores[np.arange(len(looked_at))[:, None], looked_at] for scores in every]
        return [scores.max(1).reshape(-1, 1).representative() for scores in every]

    @property
    def _some_are_hidden(self) -> bool:
        return self.source.by_state or self.config.pad_token >= 0

    def visible(self, position: int) -> BoolArray:
        """Which of a position's symbols are looked at, "q c": tokens that are no padding, states on the way to the query."""
        own, count = position == self.position, len(self.queries)
        if not self.source.by_state:
            tokens = self.queries[:, None] if own else np.tile(self.symbols[position], (count, 1))
            return np.asarray(tokens != self.config.pad_token, np.bool_)
        found = np.full((count, 1 if own else len(self.symbols[position])), own, np.bool_)
        state, query = np.divmod(self.reached[position + 1], count)
        found[query, self.columns[position][state]] = True
        return found

    @cached_property
    def range(self) -> tuple[Enclosure, Enclosure, Enclosure]:
        """The middle between the least and the greatest value of what is no padding, c "1 h e"; and these less c."""
        rows = np.concatenate([self.at(position) for position in range(len(self.symbols))])
        seen = rows[rows % self.task.d_vocab != self.config.pad_token]
        rows = seen if len(seen) else rows
        every = self.source.heads.value[rows][:, self.group]
        least, most = (end.reshape(1, *every.shape[1:]) for end in (every.min(0), every.max(0)))
        half = fraction(self.setting.arithmetic, Fraction(1, 2)).reshape(1, 1, 1)
        centre = ((least + most) * half).representative()
        return centre, least - centre, most - centre

    def _largest_values(self) -> Enclosure:
        """What values are at most, in magnitude, "1 h e"."""
        centre, least, most = self.range
        return abs(centre) + abs(least).maximum(abs(most))

    def averages(self, z: Enclosure) -> Enclosure:
        """Means of values, less c, "n h e" as "n z"."""
        found = self.layers.mixed(z, len(self.symbols), self._largest_values)
        return found.reshape(found.shape[0], self.out.shape[0])

    def weight(self, position: int, head: int) -> Enclosure:
        """The w of a position's symbols, "q c"."""
        scores = self.scores[position][head] - self.largest[head]
        if self._some_are_hidden:
            scores = scores.minimum(zeros(self.setting, 1, 1))  # as they are, but for those of what is hidden
        found = self.layers.tilted(scores.exp(), lambda: self._sizes_of_scores[head])
        return found.times(self.visible(position).astype(np.int64)) if self._some_are_hidden else found

    @cached_property
    def _sizes_of_scores(self) -> list[Enclosure]:
        """The largest of all symbols at all positions, "q 1" for each head: that of what is subtracted is no larger."""
        query, found = abs(self.source.heads.query[self.at(self.position)]), list[Enclosure]()
        for head, group in enumerate(self.group.tolist()):
            sizes = list[Enclosure]()
            for position in range(len(self.symbols)):
                key, falls = abs(self.source.heads.key[self.at(position)][:, group]), self._falls(position, head)
                size = (query[:, head] @ key.T).max(1).reshape(-1, 1)
                sizes.append(size if falls is None else size + abs(falls[0]))
            found.append(sizes[0].concatenate(sizes[1:], 1).max(1).reshape(-1, 1))
        return found

    def values(self, position: int) -> Enclosure:
        """The v - c of a position's symbols, "c h e"."""
        return self.source.heads.value[self.at(position)][:, self.group] - self.range[0]

    @cached_property
    def out(self) -> Enclosure:
        """What all heads write for what they read, "h x e d" (heads below each other)."""
        return self.layers.weights[f"blocks.{self.source.layer}.attn.W_O"]

    @cached_property
    def base(self) -> Enclosure:
        """The residual stream at p, for each query "q d", if all heads read their c."""
        written, bias = self.range[0].reshape(1, -1) @ self.out, f"blocks.{self.source.layer}.attn.b_O"
        stream = self.source.stream[self.at(self.position)]

        def size() -> Enclosure:
            read = self._largest_values().reshape(1, -1)
            return abs(stream) + self.layers.plus_size((read + read) @ abs(self.out), bias)

        return self.layers.computed(stream + self.layers.plus(written, bias), self.out.shape[0] + 2, size)

    @property
    def width(self) -> int:
        """How many numbers (Z, N) of all heads are."""
        return self.config.n_heads * (1 + self.config.d_head)

    def terms(self, step: int) -> tuple[Enclosure, IntArray] | None:
        """What is summed for each query and symbol, (w, w (v - c)) of all heads, "q c x"; and the columns "v" of symbols."""
        position = self.seen(step)
        if position is None:
            return None
        values, parts = self.values(position), list[Enclosure]()
        for head in range(values.shape[1]):
            weight = self.weight(position, head)
            own = values[:, head].reshape(*((-1, 1) if position == self.position else (1, -1)), values.shape[2])
            weight = weight.reshape(*weight.shape, 1)
            parts.append(weight.concatenate([weight * own], 2))
        return parts[0].concatenate(parts[1:], 2), self.columns[position]

    def mixed(self, sums: Enclosure) -> tuple[Enclosure, IntArray]:
        """N / Z "n z" from (Z, N) of all heads "n x": where all Z are proved to be positive; and which rows these are."""
        _, least, most = self.range
        parts = sums.reshape(-1, self.config.n_heads, 1 + self.config.d_head)
        divisors = parts[:, :, 0].within(self.setting.arithmetic)  # rounded as in a division
        rows = np.flatnonzero(divisors.positive().all(axis=1))
        z = parts[rows, :, 1:].over(parts[rows, :, :1]).maximum(least).minimum(most)
        return self.averages(z), rows

    def symbol_of(self, node: IntArray, token: IntArray) -> IntArray:
        """What is read in a step, from the token and the node after it."""
        return np.asarray(node // len(self.queries) if self.source.by_state else token, np.int64)

    def edges(self, step: int) -> Edges:
        """Those that inputs may take."""
        node, token = np.nonzero(self.after[step] >= 0)
        target = self.after[step][node, token]
        return Edges(node, target, node % len(self.queries), self.symbol_of(target, token))

    def forwards(self) -> Iterator[tuple[int, Edges]]:
        """Every step, with how inputs go on, from the nodes that they may be in before it to those after it, by numbers.

        Every state of the automaton must be one that inputs are in (then they go on from no node but those).
        """
        for step, (before, after) in enumerate(pairwise(self.reached)):
            self.setting.meter.gathering(4 * self.after[step].size)
            edges = self.edges(step)
            self.setting.meter.allocate(_BYTES_PER_EDGE * len(edges.source))
            self.setting.meter.sorting(2 * len(edges.source))
            source, target = np.searchsorted(before, edges.source), np.searchsorted(after, edges.target)
            yield step, Edges(source, target, edges.query, edges.symbol)

    @cached_property
    def last(self) -> IntArray:
        """The nodes after all steps."""
        return np.flatnonzero(np.repeat(self.automaton.due(len(self.after)), len(self.queries)))

    def backwards(self, steps: int) -> Iterator[tuple[int, IntArray, Edges]]:
        """Every step after so many, the last one first: with the nodes that inputs may be in before it, and how they go on,
        from the nodes after it (by their number in what came before, or in `last`) to these.
        """
        row = np.full(self.after[0].shape[0], -1, np.int64)
        row[self.last] = np.arange(len(self.last))
        for step in reversed(range(steps, len(self.after))):
            edges = self.edges(step)
            nodes, target = np.unique(edges.source, return_inverse=True)
            yield step, nodes, Edges(row[edges.target], target, edges.query, edges.symbol)
            row[nodes] = np.arange(len(nodes))
