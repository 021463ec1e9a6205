"""Rule `pair-tables`: a transformer of two layers is right on inputs that its first layer tells apart by pairs of neighbours.

*Model.* A `transformer` (FORMAT.md, 2.6) with two layers, causal, without MLPs, norms, rotary embedding, ALiBi or padding.
*Task* and *families* of inputs: see `pair_paths`. The read is at the last position p. For a family, let P be the tokens that it
gives: q at p, and perhaps the one before it.

*First layer.* What it leaves at j, y_j, is bounded for every pair of tokens at j - 1 and j, and y_p also given P only, the
other tokens being any (`first_layer`): its products with any columns.

*Second layer.* Of a head, let Q be its query at p, divided by the scale, y_j W_K + b_K its keys, and Q', K' any vectors. Given
P and a pair at j, the score less Q.(K' + b_K), which is the same for all j, is

    Q.(y_j W_K - K') = y_j.(W_K Q') - K'.Q' + (Q - Q').(y_j W_K - K'),

in which Q and y_j W_K are bounded coordinate by coordinate, y_j.(W_K Q') as a whole. (Q' is in the middle of Q; K' about
y_j W_K for a pair in a hint.) Let w_j be the exponential of this less a number of the family.

*Theorem.* For a family and an output o, and every rival r, let D be the difference of their columns in the unembedding, beta
that of their biases, less the margin; and let G_j be at most (y_j W_V + b_V) O D, for each head, given a pair at j. Let L be at
most y_p.D + b_O.D + beta, given P, plus a number for every head but one (a parameter), which is either the least G_j over all j
and all pairs, or m + S / Z, with any m (a hint), S at most the sum of w_j (G_j - m) over the positions of an input of the
family with output o, and Z from the least to the greatest sum of its w_j, whatever that input is. Let F be the least of
w_j (L + G_j) for that one head, given P and a pair at j. If for such an input the sum of F over all positions is positive for
every rival, then it is right.

*Proof.* The lead of o over r, less the margin, is y_p.D + b_O.D + beta plus, for every head, the mean of (y_j W_V + b_V) O D
with weights w_j: at least the mean of the G_j, hence at least the least of them, and at least m + sum w_j (G_j - m) / sum w_j.
So it is at least L plus the mean for the one head, and times sum w_j > 0 at least the sum of F.

*Number.* For every family and output, sums are those of paths, and S and Z least sums of all of them. All inputs are right but
those that take doubtful steps only. Families have no input in common.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise

import numpy as np

from certificates.certificate import Step
from certificates.tensor_file import IntArray
from certificates.transformer import Transformer
from checker.core.automata import AutomatonTask
from checker.core.enclosed_weights import plus_margin, zeros
from checker.core.enclosures import BoolArray, Enclosure
from checker.core.errors import Refused
from checker.core.facts import Fact, Setting, take_hints, take_parameters
from checker.transformer.activations import fraction
from checker.transformer.finer import RightAtRead
from checker.transformer.first_layer import FirstLayer
from checker.transformer.pair_paths import Family, Paths
from checker.transformer.reads import LayerInput, Read
from checker.transformer.transformer_forward import take_forward

_MEAN_BITS, _LARGEST_MEAN = 24, 2**50


@dataclass(frozen=True)
class Weighed:
    """A family; and for each head w "pair 1" of the pairs that occur in each step, by its number, and after the last one."""

    family: Family
    weights: list[dict[int, Enclosure]]


class SecondLayer:
    """What a second layer does with pairs of neighbours. before: whether families give the token before p."""

    def __init__(self, read: Read, before: bool) -> None:
        self.read, self.layers = read, read.layers
        self.pairs = [FirstLayer(read, position, position > 0) for position in range(read.position + 1)]
        self.last = self.pairs[-1] if before else FirstLayer(read, read.position, False)
        order = [*read.task.automaton.order.tolist(), read.position]
        self.places = {step: place for step, place in enumerate(order) if place < read.position or step == len(order) - 1}
        """The position of the pairs that a step stands for, by its number, or last states."""
        config = self.layers.config
        read.setting.meter.hold(self._bytes(config.n_key_value_heads * config.d_head))
        self.keys = [
            [self._flat(layer, self._part("W_K", head)) for layer in self.pairs] for head in np.unique(read.group).tolist()
        ]

    def weighed(self, families: list[Family], reference: IntArray) -> list[Weighed]:
        """The weights for some families, at least one. K' are about y_j W_K for a pair at a position."""
        found = [Weighed(family, []) for family in families]
        for head in range(self.layers.config.n_heads):
            for own, weights in zip(found, self._weights(families, reference, head), strict=True):
                own.weights.append(weights)
        return found

    def _weights(self, families: list[Family], reference: IntArray, head: int) -> Iterator[dict[int, Enclosure]]:
        setting, keys, (position, before, token) = self.read.setting, self.keys[self.read.group[head]], reference.tolist()
        queries = (self._at_last(self._part("W_Q", head), families) + self._part("b_Q", head)) * self.layers.scale
        least, most = queries.ends()
        middle = ((least + most) * fraction(setting.arithmetic, Fraction(1, 2))).representative()
        other = keys[position][[before * self.read.task.d_vocab + token]].representative()
        directions, constant = self._part("W_K", int(self.read.group[head])) @ middle.T, other @ middle.T
        setting.meter.allocate(self._bytes(len(families)))
        along = [self._flat(layer, directions) - constant for layer in self.pairs]
        for number, family in enumerate(families):
            beyond, scores = (queries[[number]] - middle[[number]]).T, list[Enclosure]()
            for step, place in self.places.items():
                pairs = family.pairs[step]
                scores.append(along[place][pairs][:, [number]] + (keys[place][pairs] - other) @ beyond)
            every = scores[0].concatenate(scores[1:], 0)
            setting.meter.hold(every.shape[0] * setting.arithmetic.element_bytes)
            weights = (every - every.max(0).reshape(1, 1).representative()).exp()
            ends = np.cumsum([0, *(score.shape[0] for score in scores)]).tolist()
            parts = (weights[start:end] for start, end in pairwise(ends))
            yield dict(zip(self.places, parts, strict=True))

    def right(self, output: int, every: list[Weighed], head: int, means: Enclosure) -> list[tuple[int, list[IntArray]]]:
        """For each family: of its inputs with an output, how many are right at least; and the doubtful steps of all.

        means: m for queries, rivals and the heads but the given one, "q r h".
        """
        rivals, found = np.delete(np.arange(self.layers.config.d_vocab_out), output), list[tuple[int, list[IntArray]]]()
        unembed = self.layers.unembedding()
        lead = unembed[:, [output]] - unembed[:, rivals]
        self.read.setting.meter.allocate(2 * self.layers.config.n_heads * self._bytes(len(rivals)))
        added = [self._added(lead, one) for one in range(self.layers.config.n_heads)]
        direct = self._at_last(lead, [own.family for own in every]) + self._direct(lead, rivals, output)
        others = [one for one in range(len(added)) if one != head]
        least = [self._least(added[other]) for other in others]
        for number, own in enumerate(every):
            if output not in own.family.numbers:
                found.append((0, []))
                continue
            (paths, numbers), leads = own.family.to(output), direct[[number]]
            for place, other in enumerate(others):
                guess = means[own.family.query, :, place].reshape(1, -1)
                mean = self._least_mean(paths, own, added[other], other, guess)
                leads = leads + (least[place] if mean is None else mean.maximum(least[place]))
            doubtful = paths.doubtful(self._terms(own, added[head], head, leads))
            right = paths.count() - paths.count(doubtful)
            found.append((right, [steps[taken] for steps, taken in zip(numbers, doubtful, strict=True)]))
        return found

    def _terms(self, own: Weighed, added: list[Enclosure], head: int, leads: Enclosure) -> dict[int, Enclosure]:
        """F "pair r" for L "1 r"."""
        pairs, weights = own.family.pairs, own.weights[head]
        return {
            step: (added[place][pairs[step]] + leads).least_product(*weights[step].ends())
            for step, place in self.places.items()
        }

    def _least(self, added: list[Enclosure]) -> Enclosure:
        """The least G of all pairs at all positions, "1 r"."""
        met = [table[rows] for table, rows in zip(added, self._met, strict=True)]
        return met[0].concatenate(met[1:], 0).min(0).reshape(1, -1)

    def _least_mean(self, paths: Paths, own: Weighed, added: list[Enclosure], head: int, guess: Enclosure) -> Enclosure | None:
        """The number m + S / Z "1 r" for a head, m being a guess; None if Z is not proved to be positive."""
        minus, weights = np.full((1, 1), -1, np.int64), own.weights[head]
        least = paths.least(weights)[0]
        most = paths.least({step: weight.times(minus) for step, weight in weights.items()})[0].times(minus)
        totals = least.up_to(most).within(least.arithmetic)  # rounded as in a division
        if not totals.positive().all():
            return None
        sums = paths.least(self._terms(own, added, head, guess.times(minus)))[0]
        return guess + sums.over(totals)

    def _added(self, lead: Enclosure, head: int) -> list[Enclosure]:
        """G "pair r" at each position."""
        size, group = self.layers.config.d_head, int(self.read.group[head])
        written = self.layers.weights["blocks.1.attn.W_O"][head * size : (head + 1) * size] @ lead
        bias, columns = self._part("b_V", group) @ written, self._part("W_V", group) @ written
        return [self._flat(layer, columns) + bias for layer in self.pairs]

    def _direct(self, lead: Enclosure, rivals: IntArray, output: int) -> Enclosure:
        """b_O.D + beta, "1 r"."""
        setting = self.read.setting
        direct = self.layers.plus(zeros(setting, 1, self.layers.config.d_model), "blocks.1.attn.b_O") @ lead
        if "unembed.b_U" in self.layers.weights:
            bias = self.layers.weights["unembed.b_U"]
            direct = direct + bias[:, [output]] - bias[:, rivals]
        return plus_margin(setting, direct, -1)

    @cached_property
    def _met(self) -> list[IntArray]:
        """At each position the numbers of pairs that inputs may have there."""
        tokens, vocab = self.read.symbols, self.read.task.d_vocab
        pairs = [(before[:, None] * vocab + own).reshape(-1) for before, own in pairwise(tokens)]
        return [tokens[0], *pairs]

    def _part(self, name: str, number: int) -> Enclosure:
        """The weights or biases of a head, or of a group's keys or values, by its number: "x e"."""
        size, weights, full = self.layers.config.d_head, self.layers.weights, f"blocks.1.attn.{name}"
        return weights[full][:, number * size : (number + 1) * size] if full in weights else zeros(self.read.setting, 1, size)

    def _bytes(self, columns: int) -> int:
        """What tables of all pairs at all positions take, for so many columns."""
        pairs = self.read.task.d_vocab**2 * len(self.pairs)
        return pairs * columns * self.read.setting.arithmetic.element_bytes // 4

    def _flat(self, layer: FirstLayer, columns: Enclosure) -> Enclosure:
        """y_j times columns "d x", for pairs by their numbers: "pair x"."""
        return layer.through(columns).reshape(-1, columns.shape[1])

    def _at_last(self, columns: Enclosure, families: list[Family]) -> Enclosure:
        """y_p times columns "d x", given what families give: "f x"."""
        given = [(max(family.before, 0), family.query) for family in families]
        before, query = np.array(given, np.int64).reshape(-1, 2).T
        return self.last.through(columns)[before, query]


class Coverage:
    """Which inputs are among those that were counted. Doubtful steps are found once more, as parts of a check give numbers."""

    def __init__(
        self, setting: Setting, every: list[Weighed], right: Callable[[int], list[tuple[int, list[IntArray]]]]
    ) -> None:
        self.setting, self.every, self.right = setting, every, right
        self.places = {(own.family.query, own.family.before): number for number, own in enumerate(every)}
        self.found: dict[int, list[list[IntArray]]] = {}

    def __call__(self, inputs: IntArray) -> BoolArray:
        meter, proved = self.setting.meter, np.zeros(len(inputs), np.bool_)
        before = inputs[:, -2] if self.every[0].family.before >= 0 else np.full(len(inputs), -1, np.int64)
        kind = np.column_stack([inputs[:, -1], before, self.setting.task.outputs_of(inputs)[:, 0]])
        meter.sorting(4 * len(kind))
        kinds, which = np.unique(kind, axis=0, return_inverse=True)
        for number, (query, token, output) in enumerate(kinds.tolist()):
            place = self.places.get((query, token))
            if output < 0 or place is None:
                continue
            meter.gathering(len(inputs))
            rows, doubtful = np.flatnonzero(which.reshape(-1) == number), self._doubtful(output)[place]
            taken = self.every[place].family.followed(inputs[rows])
            meter.sorting(taken.size + sum(map(len, doubtful)))
            proved[rows] = np.any([~np.isin(own, steps) for own, steps in zip(taken.T, doubtful, strict=True)], axis=0)
        return proved

    def _doubtful(self, output: int) -> list[list[IntArray]]:
        """For each family, and each step by which a position is read."""
        if output not in self.found:
            self.found[output] = [doubtful for _, doubtful in self.right(output)]
            self.setting.meter.hold(8 * sum(len(steps) for doubtful in self.found[output] for steps in doubtful))
        return self.found[output]


def pair_tables(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> RightAtRead:
    """Apply the rule to a forward pass. Parameters: `head`, by its number, and `before`: 1 if families give the token before p,
    else 0. Hints: references "q 3", for every token at p a position, the token before it (0 at the first one), and that there.
    means "q o r h", in 2^-24: for every token at p, output, rival (in increasing order) and head but the given one, m.
    """
    before, head = take_parameters(step, "before", "head")
    task, config = setting.task, setting.model.config
    if not isinstance(config, Transformer) or not isinstance(task, AutomatonTask) or not _is_fit(config):
        raise Refused(
            "pair-tables is about causal transformers with two layers, without MLPs, norms, rotary embedding, ALiBi and "
            "padding, and about tasks that are automata"
        )
    forward = take_forward(step, premises)
    length, vocab = task.n_ctx, task.d_vocab
    order = task.automaton.order
    if task.automaton.reads.tolist() != [[length - 1, length]] or np.any(np.diff(order[order < length - 1]) < 0):
        raise Refused("pair-tables is about tasks read at the last position only, the others being read from first to last")
    if before not in (0, 1) or not 0 <= head < config.n_heads:
        raise Refused(f"before is 0 or 1, and head 0 to {config.n_heads - 1}")
    outputs, heads = config.d_vocab_out, config.n_heads
    hints = take_hints(setting, step, references=(vocab, 3), means=(vocab, outputs, outputs - 1, heads - 1))
    references, means = hints["references"], hints["means"]
    if np.any(references < 0) or np.any(references >= (length, vocab, vocab)) or np.any(references[references[:, 0] == 0, 1]):
        raise Refused("a reference is a position, and the tokens before it (0 at the first one) and there")
    if np.any(means < -_LARGEST_MEAN) or np.any(means > _LARGEST_MEAN):
        raise Refused("a mean is too large")
    read = Read(setting, LayerInput.of_tokens(forward, task), task, length - 1, np.arange(vocab))
    layer, every = SecondLayer(read, bool(before)), list[Weighed]()
    for query in read.symbols[-1].tolist():
        given = read.symbols[-2].tolist() if before else [-1]
        families = [family for token in given if (family := Family.of(read, query, token)).numbers]
        every += layer.weighed(families, references[query])

    def right(output: int) -> list[tuple[int, list[IntArray]]]:
        """For each family."""
        guesses = setting.arithmetic.exact(means[:, output], np.full(means[:, output].shape, -_MEAN_BITS, np.int64))
        return layer.right(output, every, head, guesses)

    met = sorted(set[int]().union(*(own.family.numbers for own in every)))
    correct = sum(setting.in_order(setting.meter, lambda output: sum(count for count, _ in right(output)), met))
    return RightAtRead(0, correct, Coverage(setting, every, right))


def _is_fit(config: Transformer) -> bool:
    plain = config.attn_only and config.normalization_type is None and not config.use_qk_norm and not config.rotary_dim
    seeing_all = config.positional_embedding_type != "alibi" and config.pad_token < 0
    return config.n_layers == 2 and config.attention_dir == "causal" and plain and seeing_all
