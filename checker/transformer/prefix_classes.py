"""Rule `prefix-classes`: what the last layer of a transformer works on, for all inputs that begin alike, at once.

*Model.* A `transformer` (FORMAT.md, 2.6) with several layers, causal, without padding. *Task.* An automaton that reads
positions in their order.

*Classes* (hints). At the start there is one class. In step i = 0, 1, .., a class and the token at i lead to a class, or to
none. Every class stands for a state of the task's automaton, the first one for the start. *Checked:* if a class and a token
lead to a class, then the task's automaton goes on likewise from what the former stands for; every class is led to; and as many
sequences are accepted as there are inputs of the task. So classes are the states of an automaton that accepts just these, with
the same outputs: those of what classes stand for.

*Theorem.* For every position i and every class after step i there is a box, in which the residual stream at i that the last
layer reads is, on every input that is led to the class by x_0, .., x_i.

*Proof.* By induction over the layers. What the first one reads at i is the embedding of a token that leads to the class: in the
hull of these. Let a layer be given such boxes, and so boxes of the queries, keys and values made of them. An input that is led
to the class s after step i is led to some classes s_0, .., s_i = s on the way, and its keys and values at 0, .., i are in their
boxes. So for s as the query, (Z, N) at i is in the hull of sums along such ways (as in `regions`). As there is no padding,
Z > 0; where this is seen, what the heads read is in c + N / Z (`reads`), and in any case, being a mean of values, between the
least and the greatest ones. What attention and the MLP add to the residual stream is in the boxes that follow. Nothing at i
depends on later positions, as the model is causal.

Where a norm may be undefined, the step is refused. All this is done in a finer arithmetic, and rounded once (as in `forward`):
errors grow from layer to layer.
"""

from dataclasses import replace
from functools import partial

import numpy as np

from certificates.automaton import Automaton
from certificates.certificate import Step
from certificates.tensor_file import IntArray
from checker.core.automata import AutomatonTask
from checker.core.enclosed_weights import zeros
from checker.core.enclosures import Enclosure
from checker.core.errors import Refused
from checker.core.facts import Fact, Setting, take_hints, take_parameters
from checker.transformer.boxes import activated
from checker.transformer.finer import stood_for, tables_of
from checker.transformer.reads import LayerInput, Read
from checker.transformer.transformer_forward import take_forward


def prefix_classes(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> LayerInput:
    """Apply the rule to a forward pass. Takes no parameters. Hints: `sizes` "n" and `classes` "x v", see `stood_for`."""
    take_parameters(step)
    forward, task = take_forward(step, premises), setting.task
    config = forward.config
    if not isinstance(task, AutomatonTask) or np.any(np.diff(task.automaton.order) < 0):
        raise Refused("prefix-classes is about tasks that are automata, and read all positions from the first to the last")
    if config.n_layers == 1 or config.attention_dir != "causal" or config.pad_token >= 0:
        raise Refused("prefix-classes is about causal transformers with several layers, without padding")
    hints = take_hints(setting, step, sizes=(task.n_ctx,), classes=(None, task.d_vocab))
    sizes = np.append(1, hints["sizes"])
    tables = tables_of(hints["classes"], sizes)
    coarser = [task.automaton.at(i) for i in range(task.n_ctx)]
    states = stood_for(setting, tables, sizes, np.zeros(1, np.int64), coarser)
    most, rows = max(map(len, states)), task.n_ctx * task.d_vocab + len(task.reads)
    setting.meter.hold(8 * most * rows)
    setting.meter.gathering(most * rows)
    setting.meter.scripting(most * task.n_ctx * task.d_vocab)
    automaton = task.automaton.refined(tables, states)
    if automaton.count() != task.total:
        raise Refused("some inputs of the task are in no class")
    finer = replace(setting, arithmetic=setting.arithmetic.finer())
    layers = forward.layers.in_arithmetic(finer.arithmetic)
    layers.hold(task.n_ctx * task.d_vocab)
    stream, heads = layers.embedded()
    source = LayerInput(layers, 0, stream, heads, np.arange(task.n_ctx) * task.d_vocab, automaton, by_state=False)
    for _ in range(config.n_layers - 1):
        source = _after(finer, task, source, sizes)
    stream, heads = source.stream.within(setting.arithmetic), source.heads.within(setting.arithmetic)
    return replace(source, layers=forward.layers, stream=stream, heads=heads)


def _after(setting: Setting, task: AutomatonTask, source: LayerInput, sizes: IntArray) -> LayerInput:
    """What the next layer works on. sizes: how many classes there are at the start, and after each step."""
    layers, layer, length = source.layers, source.layer, task.n_ctx
    parts = [_attended(setting, task, source, position) for position in range(length)]
    stream = parts[0].concatenate(parts[1:], 0)
    if not layers.config.attn_only:
        stream = layers.added(stream, layers.mlp(layer, stream, partial(activated, layers.config.act_fn)))
    layers.hold(stream.shape[0])
    heads = layers.heads(layer + 1, stream, np.repeat(np.arange(length), sizes[1:]))
    return LayerInput(layers, layer + 1, stream, heads, np.cumsum(sizes)[:-1] - 1, source.automaton, by_state=True)


def _attended(setting: Setting, task: AutomatonTask, source: LayerInput, position: int) -> Enclosure:
    """The residual stream after attention at a position, in each class after its step, "s d"."""
    length, every = position + 1, source.automaton
    outputs, last = np.zeros((1, every.transitions.shape[1]), np.int64), np.array([[position, length]])
    some = Automaton(every.order[:length], every.transitions[:length], outputs, last)  # whatever comes after the position
    here = every.transitions[position]
    queries = np.unique(here[here >= 0]) if source.by_state else np.flatnonzero(np.any(here >= 0, axis=0))
    read = Read(setting, replace(source, automaton=some), task, position, queries)
    boxes = zeros(setting, len(queries), read.width)
    for step, edges in read.forwards():
        boxes = edges.hulls(setting, boxes, read.terms(step))
    z, rows = read.mixed(boxes)
    place = np.full(boxes.shape[0], len(rows), np.int64)
    place[rows] = np.arange(len(rows))
    _, least, most = read.range
    z = z.concatenate([read.averages(least.up_to(most))], 0)[place]
    state, query = np.divmod(read.reached[-1], len(queries))
    return (read.base[query] + z @ read.out).segment_hull(np.flatnonzero(np.diff(state, prepend=-1)))
