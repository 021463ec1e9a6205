"""Rule `regions`: a transformer of one layer is right on all inputs that lead a finer automaton to the same state.

*Model.* A `transformer` (FORMAT.md, 2.6) with one layer. *Task.* An automaton; one of its reads: the position p, after m steps.

*Finer automaton* (hints). At the start it has a state for each of some *queries*, tokens at p. Every later state stands for a
state of the task's automaton and a query, the first ones for the start and their query. In step i <= m, a state and a token
lead to a state, or to none. *Checked:* if to one, then the task's automaton goes on likewise from what the state stands for,
and can still accept; the query stays the same, and if the position read is p, it is the token; and every state is led to. So
an input x is led to at most one state after step m, by its tokens and its query x_p. Those led to one state are a *region*:
they have the same query, and the same output at the read, as they lead the task's automaton to the same state.

*Theorem.* For a head, let w_j = exp(score_j - r) for the key at j, v_j its value, and c any vector; then what the head reads is
c + N / Z with Z = sum w_j and N = sum w_j (v_j - c), over the positions j that p sees. w_j and v_j depend on the query, j and
x_j only. Let hull(s) = {0} for the first states, and hull(s') the least box that contains hull(s) + (w_j, w_j (v_j - c)) for
all s and tokens that lead to s', j being the position read (or hull(s), if p does not see j). Let rest(s, q) be {0} after the
last step, and before it the least box that contains (w_j, w_j (v_j - c)) + rest(s', q) for all tokens (if j = p, for q only)
that lead the task's automaton from s to s', and to acceptance in the end. Then (Z, N) of an input in the region f is in hull(f)
+ rest(f). If Z > 0 there, and c + N / Z makes the region's output lead by more than the margin (`after_attention`), for all
(Z, N) in it, then all inputs of the region are right at the read. This may be shown for parts of the box of c + N / Z: it is
cut in halves where it is not proved, and these in turn, a stated number of times, along any coordinate.

*Proof.* By induction over the steps, the sum over the positions read so far is in the hull of the state; backwards, that over
the positions read later is in rest. *Number.* Regions are disjoint, so the inputs of those proved add up: for each, the ways
that lead to f, times the ways from there on that the task's automaton accepts (with the token q at p).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from certificates.certificate import Step
from certificates.tensor_file import IntArray
from checker.core.automata import AutomatonTask
from checker.core.enclosed_weights import zeros
from checker.core.enclosures import BoolArray, Enclosure
from checker.core.errors import Refused
from checker.core.facts import Fact, Setting, take_hints, take_parameters
from checker.transformer.activations import fraction
from checker.transformer.after_attention import AfterAttention, Boxes
from checker.transformer.forward import Forward
from checker.transformer.transformer_forward import EvaluatedTransformer

Counts = NDArray[np.object_]
_BLOCK = 2**18
"""Elements in the largest array of a block of regions."""
_MOST_CUTS, _LARGEST_SCALE = 64, 2**20
_EFFORT_PER_EDGE = 100
"""What comparing and sorting takes for each edge of an automaton (a state, a token, and where they lead), beside the counts."""


@dataclass(frozen=True)
class RightAtRead(Fact):
    """At a read, by its number, at least `correct` inputs are right. covers: which of some inputs "n k" are proved to be."""

    read: int
    correct: int
    covers: Callable[[IntArray], BoolArray]
    unexplained_dimension: int = 0


@dataclass(frozen=True)
class Cuts:
    """How often boxes that are not proved are cut in halves, and what widths are multiplied by to find the largest, "z"."""

    most: int
    scale: IntArray


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
        self.setting.meter.toil(_EFFORT_PER_EDGE * length * states * len(self.queries) * tokens)
        return self.task.automaton.followers(self.position, self.queries)

    @cached_property
    def tokens(self) -> list[IntArray]:
        """For each position that is seen, the tokens that inputs have there: at the read's, the queries."""
        causal = self.forward.config.attention_dir == "causal"
        steps = np.argsort(self.task.automaton.order)[: self.position + 1 if causal else None]
        return [np.flatnonzero(np.any(self.after[step] >= 0, axis=0)) for step in steps.tolist()]

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
                found.append([query[:, head] @ key[:, head].T for head in range(len(self.group))])
        return found

    @cached_property
    def largest(self) -> list[Enclosure]:
        """The largest score of all, r "q 1" for each head."""
        of_heads = zip(*self.scores, strict=True)
        every = [scores[0].concatenate(scores[1:], 1) for scores in of_heads]
        return [scores.max(1).reshape(-1, 1).representative() for scores in every]

    @cached_property
    def values(self) -> tuple[Enclosure, Enclosure, Enclosure]:
        """The middle between the least and the greatest value, c "1 h e"; and these less c."""
        rows = np.concatenate([self.at(position) for position in range(len(self.tokens))])
        every = self.forward.heads.value[rows][:, self.group]
        least, most = (end.reshape(1, *every.shape[1:]) for end in (every.min(0), every.max(0)))
        half = fraction(self.setting.arithmetic, Fraction(1, 2)).reshape(1, 1, 1)
        centre = ((least + most) * half).representative()
        return centre, least - centre, most - centre

    def terms(self, step: int) -> tuple[Enclosure, IntArray] | None:
        """What is summed for each query and token, (w, w (v - c)) of all heads, "q c x"; and the columns "v" of tokens."""
        position = int(self.task.automaton.order[step])
        if position >= len(self.tokens):
            return None
        value = self.forward.heads.value[self.at(position)][:, self.group] - self.values[0]
        columns, parts = np.zeros(self.task.d_vocab, np.int64), list[Enclosure]()
        if position != self.position:
            columns[self.tokens[position]] = np.arange(len(self.tokens[position]))
        for head, (scores, largest) in enumerate(zip(self.scores[position], self.largest, strict=True)):
            weight = (scores - largest).exp().reshape(*scores.shape, 1)
            own = value[:, head].reshape(*((-1, 1) if position == self.position else (1, -1)), value.shape[2])
            parts.append(weight.concatenate([weight * own], 2))
        return parts[0].concatenate(parts[1:], 2), columns

    def nothing(self, rows: int) -> Enclosure:
        """Sums before anything is read."""
        config = self.forward.config
        return zeros(self.setting, rows, config.n_heads * (1 + config.d_head))

    def edges(self, step: int) -> Edges:
        """Those that inputs may take."""
        node, token = np.nonzero(self.after[step] >= 0)
        return Edges(node, self.after[step][node, token], node % len(self.queries), token)

    def rest(self, steps: int) -> tuple[IntArray, Enclosure, Counts]:
        """For every node after so many steps a row (-1: no input goes on); the rests of rows, and how many inputs go on."""
        last = np.repeat(self.task.automaton.due(len(self.after)), len(self.queries))
        row = np.where(last, np.cumsum(last) - 1, -1)
        boxes, ways = self.nothing(int(last.sum())), np.ones(int(last.sum()), object)
        for step in reversed(range(steps, len(self.after))):
            edges = self.edges(step)
            nodes, target = np.unique(edges.source, return_inverse=True)
            backwards = Edges(row[edges.target], target, edges.query, edges.token)
            boxes = backwards.hulls(self.setting, boxes, self.terms(step))
            ways = backwards.counts(self.setting, ways, len(nodes))
            row = np.full(len(row), -1, np.int64)
            row[nodes] = np.arange(len(nodes))
        return row, boxes, ways

    def leads(self, query: IntArray, sums: Enclosure, outputs: IntArray, cuts: Cuts) -> BoolArray:
        """For which queries "f" and boxes of sums "f x" the output "f" leads. cuts: see the rule."""
        layers, config, (centre, least, most) = self.forward.layers, self.forward.config, self.values
        out = layers.weights["blocks.0.attn.W_O"]
        base = self.forward.stream[self.at(self.position)] + layers.plus(centre.reshape(1, -1) @ out, "blocks.0.attn.b_O")
        after, proved = AfterAttention(layers, base, out), np.zeros(len(query), np.bool_)
        per_block = max(
            1, _BLOCK // max(config.n_heads * (1 + config.d_head), config.d_mlp, config.d_model, config.d_vocab_out)
        )
        for start in range(0, len(query), per_block):
            here = slice(start, start + per_block)
            parts = sums[here].reshape(-1, config.n_heads, 1 + config.d_head)
            divisors = parts[:, :, 0].within(self.setting.arithmetic)  # rounded as in a division
            rows = np.flatnonzero(divisors.positive().all(axis=1))
            z = parts[rows, :, 1:].over(parts[rows, :, :1]).maximum(least).minimum(most)
            boxes = Boxes(query[here][rows], z.reshape(len(rows), -1))
            proved[start + rows] = self._leads(after, boxes, outputs[here][rows], cuts)
        return proved

    def _leads(self, after: AfterAttention, boxes: Boxes, outputs: IntArray, cuts: Cuts) -> BoolArray:
        """Those that are not proved are cut in halves, which must be proved, or cut in turn."""
        proved = after.proved(boxes, outputs)
        failed = np.flatnonzero(~proved)
        if cuts.most and len(failed):
            halves, fewer = boxes.at(failed).halves(cuts.scale), Cuts(cuts.most - 1, cuts.scale)
            both = self._leads(after, halves, np.tile(outputs[failed], 2), fewer).reshape(2, -1).all(axis=0)
            proved[failed] = both
        return proved

    def walked(self, tables: Sequence[IntArray], sizes: Sequence[int]) -> tuple[IntArray, Enclosure, Counts]:
        """The regions of a finer automaton, a table "s v" for each step and the number of states after it: each one's node, the
        box of its sums, and how many inputs it has.
        """
        setting, count = self.setting, len(self.queries)
        node, boxes, ways = np.arange(count), self.nothing(count), np.ones(count, object)
        if np.any(self.after[0][node].max(axis=1) < 0):
            raise Refused("no input has one of the queries")
        for step, (table, states) in enumerate(zip(tables, sizes, strict=True)):
            setting.meter.gathering(8 * table.size)
            source, token = np.nonzero(table >= 0)
            target = table[source, token]
            after, led = self.after[step][node[source], token], np.full(states, -1, np.int64)
            if np.any(table < -1) or np.any(target >= states) or np.any(after < 0):
                raise Refused(f"step {step} of the finer automaton leads to what is no state, or where no input goes")
            led[target] = after
            if np.any(led < 0) or np.any(led[target] != after):
                raise Refused(
                    f"step {step} of the finer automaton leads to a state it does not stand for, or to one from nowhere"
                )
            edges = Edges(source, target, node[source] % count, token)
            node, boxes = led, edges.hulls(setting, boxes, self.terms(step))
            ways = edges.counts(setting, ways, states)
        rows, rests, further = self.rest(len(sizes))
        return node, boxes + rests[rows[node]], ways * further[rows[node]]

    def right(self, number: int, tables: Sequence[IntArray], sizes: Sequence[int], cuts: Cuts) -> RightAtRead:
        """The theorem, for a read by its number."""
        automaton, count = self.task.automaton, len(self.queries)
        node, sums, ways = self.walked(tables, sizes)
        proved = self.leads(node % count, sums, automaton.outputs[number][node // count], cuts)

        def covers(inputs: IntArray) -> BoolArray:
            self.setting.meter.toil(_EFFORT_PER_EDGE * inputs.size)
            asked = inputs[:, self.position]
            state = np.minimum(np.searchsorted(self.queries, asked), count - 1)
            state[(self.queries[state] != asked) | (self.task.outputs_of(inputs)[:, 0] < 0)] = -1
            for table, position in zip(tables, automaton.order.tolist(), strict=False):
                state = np.where(state < 0, -1, table[state, inputs[:, position]])
            return np.asarray((state >= 0) & proved[state], np.bool_)

        return RightAtRead(number, sum(ways[proved].tolist()), covers)


def regions(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> RightAtRead:
    """Apply the rule to a forward pass. Parameters: `read`, a number, and `cuts`. Hints: `queries`, `sizes`, `finer`, `scale`.

    sizes "m": how many states there are after each step. finer "x v" has a row for every state, but for those after step m:
    where each token leads, or -1. scale "z": see Cuts.
    """
    cuts, number = take_parameters(step, "cuts", "read")
    task = setting.task
    (evaluated,) = premises if len(premises) == 1 else (None,)
    if not isinstance(evaluated, EvaluatedTransformer):
        raise Refused("regions takes one premise: a transformer's forward pass")
    forward = evaluated.forward
    if not isinstance(task, AutomatonTask) or forward.config.n_layers != 1:
        raise Refused("regions is about a transformer with one layer, and a task that is an automaton")
    automaton = task.automaton
    if not 0 <= number < len(task.reads):
        raise Refused(f"the task has the reads 0 to {len(task.reads) - 1}, but no read {number}")
    position, steps = automaton.reads[number].tolist()
    hints = take_hints(setting, step, queries=(None,), sizes=(steps,), finer=(None, task.d_vocab), scale=(None,))
    queries, sizes, finer = hints["queries"], np.append(len(hints["queries"]), hints["sizes"]), hints["finer"]
    if not len(queries) or np.any(np.diff(queries, prepend=-1) <= 0) or queries[-1] >= task.d_vocab:
        raise Refused("queries are tokens, in increasing order, at least one")
    if np.any(sizes < 1) or np.any(sizes[:-1] > len(finer)) or sizes[-1] > finer.size or sizes[:-1].sum() != len(finer):
        raise Refused("the finer automaton has as many rows as it has states before its last step")
    scale, width = hints["scale"], forward.config.n_heads * forward.config.d_head
    if not 0 <= cuts <= _MOST_CUTS or len(scale) != width or np.any(scale < 1) or np.any(scale > _LARGEST_SCALE):
        raise Refused(f"there are 0 to {_MOST_CUTS} cuts, and {width} scales from 1 to {_LARGEST_SCALE}")
    read = Read(setting, forward, task, position, queries)
    return read.right(number, np.split(finer, np.cumsum(sizes[:-1]))[:-1], sizes[1:].tolist(), Cuts(cuts, scale))
