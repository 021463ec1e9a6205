"""What to prove about a network with one hidden layer on two inputs, and its tables in float64 (see layers/hidden_tables)."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from certificates import FormatError, GroupMLP, RawTensor, Step, UniformAttention, integer_tensor
from certificates.canonical_json import dumps
from certificates.groups import group_table, table_digest
from certificates.tensor_file import IntArray
from prover.layers.dictionaries import Dictionary
from prover.layers.group_actions import FloatArray
from prover.layers.hidden_layer import HiddenLayer, hidden_layer
from prover.layers.projected_layer import Bases, cheapest_bases
from prover.problem import BoolArray, Problem, Task
from prover.weights import load_weights

_ALLOWANCE = 1.1
"""The slack of bases is found by small differences of squares: the checker's rounding makes it a few percent greater."""
_DROPPED = 0.02
"""Neurons are dropped while all they can do is at most this share of the median margin."""


@dataclass(frozen=True)
class Composition(Task):
    """The true output of (a, b) is table[a, b]."""

    table: IntArray

    @property
    def is_addition(self) -> bool:
        """Whether the table is that of addition modulo the number of elements."""
        residues = np.arange(len(self.table))
        return np.array_equal(self.table, np.add.outer(residues, residues) % len(self.table))


@dataclass(frozen=True)
class Hidden:
    """logits = relu(left[a] + right[b] + bias) unembed + direct[a] + direct[b] + constant, up to a positive factor.

    left, right "a i", bias "i", unembed "i z", direct "a z", constant "z". reach "i": what a neuron that is not chosen is taken
    to add to a difference of logits at most. symmetric: left and right are the same.
    """

    left: FloatArray
    right: FloatArray
    bias: FloatArray
    unembed: FloatArray
    direct: FloatArray
    constant: FloatArray
    reach: FloatArray
    symmetric: bool

    def active(self, a: int) -> FloatArray:
        """Activations "b i" for one first input."""
        return np.maximum(self.left[a] + self.right + self.bias, 0)

    def of(self, neurons: IntArray) -> "Hidden":
        """The same with some neurons only, in this order."""
        sides = self.left[:, neurons], self.right[:, neurons], self.bias[neurons], self.unembed[neurons]
        return Hidden(*sides, self.direct, self.constant, self.reach[neurons], self.symmetric)


@dataclass(frozen=True)
class TwoInputProblem(Problem):
    """How well a network composes two elements; `given` is the multiplication table if the task names none.

    dictionary: one that was brought along, for strategies that use one. bases: those by which tables are computed, for the
    `chosen` neurons (None: tables are folded exactly).
    """

    given: IntArray | None = None
    dictionary: Dictionary | None = None
    bases: Bases | None = None
    chosen: IntArray | None = None

    @cached_property
    def task(self) -> Composition:
        """The task. Raises FormatError if it is unknown, or the model is unfit for it."""
        if self.automaton is not None:
            raise FormatError("the task has no name")
        task, config = self.model.task if self.task_json is None else self.task_json, self.model.config
        fields = task if isinstance(task, dict) else {}
        if fields.get("name") == "modular-addition" and type(fields.get("modulus")) is int and len(fields) == 2:
            table = group_table(f"cyclic:{fields['modulus']}")
        elif fields.get("name") == "group-composition" and isinstance(fields.get("group"), str) and len(fields) == 2:
            table = group_table(str(fields["group"]))
        elif fields.get("name") == "group-composition" and self.given is not None and set(fields) <= {"name", "table"}:
            table, task = self.given, {"name": "group-composition", "table": table_digest(self.given)}
        else:
            raise FormatError(
                f"task {dumps(task)} is unknown for this model; give one with --task: "
                '\'{"name": "modular-addition", "modulus": 59}\', \'{"name": "group-composition", "group": "symmetric:5"}\', '
                "or group-composition and --table FILE"
            )
        elements = config.d_vocab - isinstance(config, UniformAttention)
        if elements != len(table) or config.d_vocab_out < len(table):
            raise FormatError(f"the task is about {len(table)} elements, the model has {elements}")
        return Composition(task, table)

    @property
    def shape(self) -> tuple[int, int]:
        """Two positions, and the number of elements."""
        config = self.model.config
        return 2, config.d_vocab - isinstance(config, UniformAttention)

    @property
    def classifier(self) -> Step:
        """The tables of all neurons."""
        return self.hidden_step(np.arange(len(self.hidden.bias)))

    def outputs_of(self, inputs: IntArray) -> IntArray:
        """True outputs "n 1" of pairs "n 2"; -1 for those that are no inputs."""
        if self.automaton is not None:
            return self.automaton.outputs_of(inputs)
        return self.task.table[inputs[:, 0], inputs[:, 1], None]

    def decide(self, inputs: IntArray, outputs: IntArray) -> tuple[BoolArray, BoolArray]:
        """Which pairs the checker surely proves, and which it surely does not."""
        hidden, (left, right) = self.hidden, inputs.T
        active = np.maximum(hidden.left[left] + hidden.right[right] + hidden.bias, 0)
        logits = active @ hidden.unembed + hidden.direct[left] + hidden.direct[right] + hidden.constant
        margin = lead(logits, outputs[:, 0]) - self.required
        return margin > self.tolerance, margin < -self.tolerance

    @property
    def given_tensors(self) -> dict[str, RawTensor]:
        """The table that was given, or the automaton."""
        return super().given_tensors if self.given is None else {"table": integer_tensor(self.given)}

    @property
    def mirrored(self) -> bool:
        """Whether (b, a) is right if (a, b) is."""
        return self.hidden.symmetric and np.array_equal(self.task.table, self.task.table.T)

    @cached_property
    def layer(self) -> HiddenLayer:
        """All neurons, on the device."""
        weights = load_weights(self.model, self.device)
        layer = hidden_layer(weights, self.model.config)
        return layer if self.bases is None else self.bases.project(layer, weights)

    def projected(self, share: float) -> "TwoInputProblem":
        """The same with tables by few coordinates, where tables are folded from weights and that is enough: bases may leave a
        share of the median margin open.
        """
        config, neurons = self.model.config, self.neurons
        if not isinstance(config, UniformAttention):
            return self
        most = share * max(float(np.median(self.margins)), 0.0)
        weights = load_weights(self.model, self.device)
        bases = cheapest_bases(weights, self.layer, neurons, most, self.precision)
        return self if bases is None else replace(self, bases=bases, chosen=neurons)

    @cached_property
    def hidden(self) -> Hidden:
        """All neurons."""
        layer = self.layer
        if isinstance(self.model.config, GroupMLP):
            symmetric = self.model.tensors["embed_left.W_E"] == self.model.tensors["embed_right.W_E"]
        else:
            symmetric = True
        tensors = (layer.left, layer.right, layer.bias, layer.unembed, layer.direct, layer.constant, layer.reach)
        return Hidden(*(tensor.cpu().numpy() for tensor in tensors), symmetric)

    @cached_property
    def margins(self) -> FloatArray:
        """By how much the true output leads, "a b", in units of the tables."""
        hidden, table = self.hidden, self.task.table
        rows = []
        for a in range(len(table)):
            logits = hidden.active(a) @ hidden.unembed + hidden.direct[a] + hidden.direct + hidden.constant
            rows.append(lead(logits, table[a]))
        return np.array(rows)

    @cached_property
    def neurons(self) -> IntArray:
        """Neurons that matter: the others together can change no difference of logits by more than a share of the margins."""
        if self.chosen is not None:
            return self.chosen
        reach = self.hidden.reach
        order = np.argsort(reach, kind="stable")
        dropped = np.searchsorted(np.cumsum(reach[order]), _DROPPED * max(float(np.median(self.margins)), 0.0), side="right")
        kept: IntArray = np.sort(order[min(int(dropped), len(order) - 1) :])
        return kept

    def slack(self, neurons: IntArray) -> float:
        """What a difference of logits must exceed, in units of the tables, because of all neurons but these, of what bases
        leave out, and of the margin.
        """
        others = float(np.delete(self.hidden.reach, neurons).sum())
        return self.required + (others if self.bases is None else _ALLOWANCE * (others + self.left_open))

    @property
    def required(self) -> float:
        """The margin that is to be proved, in units of the tables."""
        return float(self.margin) * (3 if isinstance(self.model.config, UniformAttention) else 1)

    @property
    def left_open(self) -> float:
        """What the bases leave out, if there are any, can add to a difference of logits."""
        return 0.0 if self.bases is None else self.bases.slack

    @cached_property
    def tolerance(self) -> float:
        """How far the checker's rounding can shift a difference of logits, generously."""
        hidden = self.hidden
        active = max(float(np.abs(hidden.left).max() + np.abs(hidden.right).max() + np.abs(hidden.bias).max()), 1e-300)
        largest = active * float(np.abs(hidden.unembed).max()) + float(
            np.abs(hidden.direct).max() + np.abs(hidden.constant).max()
        )
        return 2.0 ** (4 - self.precision) * len(hidden.bias) * largest

    def marked(self, certain: BoolArray) -> BoolArray:
        """Those of the pairs "a b" that are to be looked at: one of each two mirror images."""
        return np.triu(certain & certain.T) if self.mirrored else certain

    def hidden_step(self, neurons: IntArray) -> Step:
        """The first step of every proof."""
        chosen = {"neurons": integer_tensor(neurons)}
        if self.bases is None:
            return Step("hidden-tables", (), {}, chosen)
        reading, writing = self.bases.reading, self.bases.writing
        hints = {"reading": integer_tensor(reading.hint), "writing": integer_tensor(writing.hint)}
        return Step("hidden-tables", (), {"tilt": min(reading.tilt, writing.tilt)}, chosen | hints)


def lead(logits: FloatArray, true: IntArray) -> FloatArray:
    """By how much the true outputs "p" lead in logits "p z"."""
    rows = np.arange(len(true))
    rivals = logits.copy()
    rivals[rows, true] = -np.inf
    result: FloatArray = logits[rows, true] - rivals.max(1)
    return result
