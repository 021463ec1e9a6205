"""Rule `pair-tables`: a transformer of two layers is right on inputs that its first layer tells apart by pairs of neighbours.

*Model.* A `transformer` (FORMAT.md, 2.6) with two layers, causal, without MLPs, norms, or rotary embedding. *Task* and
*families* of inputs: see `pair_paths`. The read is at the last position p. For a family, let P be the tokens that it gives: q
at p, and perhaps the one before it.

*First layer.* What it leaves at j, y_j, is bounded for every pair of tokens at j - 1 and j, and y_p also given P only, the
other tokens being any (`first_layer`): its products with any columns.

*Second layer.* Of one head (a parameter), let Q be its query at p, divided by the scale, K_j its keys, and Q', K' any vectors.
Given P and a pair at j, the score relative to that of K' is

    Q.K_j - Q.K' = y_j.(W_K Q') + (b_K - K').Q' + (Q - Q').(K_j - K'),

in which Q and K_j are bounded coordinate by coordinate, y_j.(W_K Q') as a whole. (Q' is in the middle of Q; K' that of a pair
in a hint.) Let w_j be the exponential of this less a number of the family.

*Theorem.* For outputs o and r let D be the difference of their columns in the unembedding, beta that of their biases, less the
margin. Let L be at most y_p.D + b_O.D + beta, given P, plus for every other head h the least of (y_j W_V + b_V) O_h D over all
positions and pairs; and G_j at most (y_j W_V + b_V) O D for this head, given a pair at j. Let F be the least of w_j (L + G_j),
w_j being anywhere within its bounds, given P and a pair at j. If for an input with the true output o the sum of F over all
positions is positive for every rival r, then the input is right.

*Proof.* By o's logit that of r is exceeded, less the margin, by the sum over heads of (sum w_j G'_j / sum w_j) + L', G' and L'
being what G and L bound from below. In other heads, a mean of G' is at least the least of them. In this one, it is at least the
mean of the G_j. So with Z = sum w_j > 0, Z times the lead less the margin is at least the sum of w_j (L + G_j).

*Number.* For every family and output, sums of F are those of paths: all inputs are right but those that take doubtful steps
only. Families have no input in common.
"""

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
from checker.transformer.pair_paths import Family
from checker.transformer.reads import Read
from checker.transformer.transformer_forward import EvaluatedTransformer


@dataclass(frozen=True)
class Asked:
    """A family; and w "pair 1" of the pairs that occur in each step, by its number, and after the last one."""

    family: Family
    weights: dict[int, Enclosure]


class SecondLayer:
    """What a second layer does with pairs of neighbours; one of its heads is looked at more closely.

    before: whether families give the token before p.
    """

    def __init__(self, read: Read, head: int, before: bool) -> None:
        self.read, self.head, self.layers = read, head, read.forward.layers
        self.pairs = [FirstLayer(read, position, position > 0) for position in range(read.position + 1)]
        self.last = self.pairs[-1] if before else FirstLayer(read, read.position, False)
        order = [*read.task.automaton.order.tolist(), read.position]
        self.places = {step: place for step, place in enumerate(order) if place < read.position or step == len(order) - 1}
        """The position of the pairs that a step stands for, by its number, or last states."""
        read.setting.meter.hold(self._bytes(self.layers.config.d_head))
        self.keys = [self._flat(layer, self._part("W_K", head)) for layer in self.pairs]

    def asked(self, families: list[Family], reference: IntArray) -> list[Asked]:
        """Of families. K' is about the key for a pair at a position."""
        setting, (position, before, token), found = self.read.setting, reference.tolist(), list[Asked]()
        queries = (self._at_last(self._part("W_Q", self.head), families) + self._part("b_Q", self.head)) * self.layers.scale
        least, most = queries.ends()
        middle = ((least + most) * fraction(setting.arithmetic, Fraction(1, 2))).representative()
        other = self.keys[position][[before * self.read.task.d_vocab + token]].representative()
        directions, constant = self._part("W_K", self.head) @ middle.T, other @ middle.T
        setting.meter.allocate(self._bytes(len(families)))
        along = [self._flat(layer, directions) - constant for layer in self.pairs]
        for number, family in enumerate(families):
            beyond, scores = (queries[[number]] - middle[[number]]).T, list[Enclosure]()
            for step, place in self.places.items():
                pairs = family.pairs[step]
                scores.append(along[place][pairs][:, [number]] + (self.keys[place][pairs] - other) @ beyond)
            every = scores[0].concatenate(scores[1:], 0)
            setting.meter.hold(every.shape[0] * setting.arithmetic.element_bytes)
            weights = (every - every.max(0).reshape(1, 1).representative()).exp()
            ends = np.cumsum([0, *(score.shape[0] for score in scores)]).tolist()
            parts = (weights[start:end] for start, end in pairwise(ends))
            found.append(Asked(family, dict(zip(self.places, parts, strict=True))))
        return found

    def right(self, output: int, every: list[Asked]) -> list[tuple[int, list[IntArray]]]:
        """For each family: of its inputs with an output, how many are right at least; and the doubtful steps of all."""
        rivals, found = np.delete(np.arange(self.layers.config.d_vocab_out), output), list[tuple[int, list[IntArray]]]()
        unembed = self.layers.unembedding()
        lead = unembed[:, [output]] - unembed[:, rivals]
        added, direct = self._added(lead, rivals, output)
        leads = self._at_last(lead, [asked.family for asked in every]) + direct
        for number, asked in enumerate(every):
            paths, numbers = asked.family.to(output)
            if not len(paths.last):
                found.append((0, []))
                continue
            least = {
                step: (added[place][asked.family.pairs[step]] + leads[[number]]).least_product(*asked.weights[step].ends())
                for step, place in self.places.items()
            }
            doubtful = paths.doubtful(least)
            found.append((paths.count() - paths.count(doubtful), [own[d] for own, d in zip(numbers, doubtful, strict=True)]))
        return found

    def _added(self, lead: Enclosure, rivals: IntArray, output: int) -> tuple[list[Enclosure], Enclosure]:
        """G "pair r" at each position; and all of L but y_p.D, "1 r"."""
        setting, config, closely = self.read.setting, self.layers.config, list[Enclosure]()
        setting.meter.allocate(2 * self._bytes(len(rivals)))
        direct = self.layers.plus(zeros(setting, 1, config.d_model), "blocks.1.attn.b_O") @ lead
        if "unembed.b_U" in self.layers.weights:
            bias = self.layers.weights["unembed.b_U"]
            direct = direct + bias[:, [output]] - bias[:, rivals]
        for head in range(config.n_heads):
            written = self.layers.weights["blocks.1.attn.W_O"][head * config.d_head : (head + 1) * config.d_head] @ lead
            bias, columns = self._part("b_V", head) @ written, self._part("W_V", head) @ written
            tables = [self._flat(layer, columns) + bias for layer in self.pairs]
            if head == self.head:
                closely = tables
            else:
                met = [table[rows] for table, rows in zip(tables, self._met, strict=True)]
                direct = direct + met[0].concatenate(met[1:], 0).min(0).reshape(1, -1)
        return closely, plus_margin(setting, direct, -1)

    @cached_property
    def _met(self) -> list[IntArray]:
        """At each position the numbers of pairs that inputs may have there."""
        tokens, vocab = self.read.tokens, self.read.task.d_vocab
        pairs = [(before[:, None] * vocab + own).reshape(-1) for before, own in pairwise(tokens)]
        return [tokens[0], *pairs]

    def _part(self, name: str, head: int) -> Enclosure:
        """The weights or biases of one head, "x e"."""
        size, weights, full = self.layers.config.d_head, self.layers.weights, f"blocks.1.attn.{name}"
        number = head if name.endswith("Q") else int(self.read.group[head])
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


def pair_tables(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> RightAtRead:
    """Apply the rule to a forward pass. Parameters: `head`, by its number, and `before`: 1 if families give the token before p,
    else 0. Hint: references "q 3", for every token at p a position, the token before it (0 at the first one), and that there.
    """
    before, head = take_parameters(step, "before", "head")
    task, config = setting.task, setting.model.config
    if not isinstance(config, Transformer) or not isinstance(task, AutomatonTask) or not _is_fit(config):
        raise Refused(
            "pair-tables is about causal transformers with two layers, without MLPs, norms and rotary embedding, and about "
            "tasks that are automata"
        )
    (evaluated,) = premises if len(premises) == 1 else (None,)
    if not isinstance(evaluated, EvaluatedTransformer):
        raise Refused("pair-tables takes one premise: a transformer's forward pass")
    length, vocab = task.n_ctx, task.d_vocab
    order = task.automaton.order
    if task.automaton.reads.tolist() != [[length - 1, length]] or np.any(np.diff(order[order < length - 1]) < 0):
        raise Refused("pair-tables is about tasks read at the last position only, the others being read from first to last")
    if before not in (0, 1) or not 0 <= head < config.n_heads:
        raise Refused(f"before is 0 or 1, and head 0 to {config.n_heads - 1}")
    references = take_hints(setting, step, references=(vocab, 3))["references"]
    if np.any(references < 0) or np.any(references >= (length, vocab, vocab)) or np.any(references[references[:, 0] == 0, 1]):
        raise Refused("a reference is a position, and the tokens before it (0 at the first one) and there")
    read = Read(setting, evaluated.forward, task, length - 1, np.arange(vocab))
    layer, every = SecondLayer(read, head, bool(before)), list[Asked]()
    for query in read.tokens[-1].tolist():
        given = read.tokens[-2].tolist() if before else [-1]
        families = [family for own in given if len((family := Family.of(read, query, own)).outputs)]
        every += layer.asked(families, references[query])
    outputs = np.unique(np.concatenate([asked.family.outputs for asked in every])).tolist()
    found = dict(zip(outputs, setting.in_order(setting.meter, lambda output: layer.right(output, every), outputs), strict=True))

    def covers(inputs: IntArray) -> BoolArray:
        proved, true = np.zeros(len(inputs), np.bool_), task.outputs_of(inputs)[:, 0]
        for number, asked in enumerate(every):
            own = asked.family
            for output in np.unique(own.outputs).tolist():
                here = (inputs[:, -1] == own.query) & (true == output)
                if before:
                    here &= inputs[:, -2] == own.before
                rows = np.flatnonzero(here)
                taken = own.followed(inputs[rows])
                sure = [~np.isin(steps, bad) for steps, bad in zip(taken.T, found[output][number][1], strict=True)]
                proved[rows] = np.any(sure, axis=0)
        return proved

    return RightAtRead(0, sum(count for counts in found.values() for count, _ in counts), covers)


def _is_fit(config: Transformer) -> bool:
    plain = config.attn_only and config.normalization_type is None and not config.use_qk_norm and not config.rotary_dim
    return config.n_layers == 2 and config.attention_dir == "causal" and plain
