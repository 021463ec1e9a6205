"""Tasks that are automata: a statement names the digest, and the tables come with the certificate."""

import math
from dataclasses import dataclass

from certificates.architectures import ModelConfig
from certificates.automaton import TABLES, WITH_READS, Automaton
from certificates.canonical_json import Json, dumps
from certificates.certificate import Given
from certificates.errors import FormatError
from certificates.tensor_file import IntArray
from checker.core.meter import Meter

_MOST_ENTRIES = 2**22
"""Of the transitions and outputs of an automaton."""
_BYTES_PER_ENTRY, _EFFORT_PER_ENTRY = 256, 200
"""What reading, digesting and validating an entry takes."""


@dataclass(frozen=True)
class AutomatonTask:
    """Inputs and true outputs are an automaton's. Every last token is a cell."""

    sentence: str
    automaton: Automaton
    total: int

    @property
    def d_vocab(self) -> int:
        """Number of tokens."""
        vocab: int = self.automaton.transitions.shape[2]
        return vocab

    @property
    def n_ctx(self) -> int:
        """Number of positions."""
        return len(self.automaton.order)

    @property
    def cell_shape(self) -> tuple[int, ...]:
        """How many last tokens there are."""
        return (self.d_vocab,)

    def numbered(self, tokens: IntArray) -> IntArray:
        """Tokens are numbers already."""
        return tokens

    @property
    def reads(self) -> tuple[int, ...]:
        """The automaton's."""
        return tuple(self.automaton.reads[:, 0].tolist())

    def outputs_of(self, inputs: IntArray) -> IntArray:
        """The automaton's."""
        return self.automaton.outputs_of(inputs)

    def cells_of(self, inputs: IntArray) -> tuple[IntArray, ...]:
        """The last token."""
        return (inputs[:, -1],)

    def cells_within(self, first: IntArray, end: IntArray) -> tuple[slice, ...]:
        """The range of the last token."""
        return (slice(first[-1], end[-1]),)


def parse_automaton(task: Json, config: ModelConfig, given: Given, meter: Meter) -> AutomatonTask:
    """The task {"automaton": SHA256}; given: its tables.

    Raises FormatError if the tables are no automaton, another one, or not one for such a model.
    """
    if set(given) not in (TABLES, WITH_READS):
        raise FormatError(
            f"a task that is an automaton comes with exactly the tensors {sorted(TABLES)}, perhaps reads: found {sorted(given)}"
        )
    length, vocab = config.input_shape
    shapes = {name: tensor.shape for name, tensor in given.items()}
    steps, states = shapes["transitions"][:2] if len(shapes["transitions"]) == 3 else (0, 0)
    expected = {"order": (length,), "outputs": (states,), "transitions": (steps, states, vocab)}
    if "reads" in shapes:
        reads = min(shapes["reads"][:1], default=0)
        expected |= {"outputs": (reads, states), "reads": (reads, 2)}
    if shapes != expected or steps not in (1, length):
        raise FormatError(
            f"an automaton for this model has an order [{length}], transitions [1 or {length}, states, {vocab}] and outputs "
            "[states], or outputs [r, states] and reads [r, 2]: found "
            + ", ".join(f"{name} {list(shape)}" for name, shape in sorted(shapes.items()))
        )
    entries = steps * states * vocab + math.prod(expected["outputs"])
    if entries > _MOST_ENTRIES:
        raise FormatError(
            f"the automaton has {entries} transitions and outputs, more than {_MOST_ENTRIES}: minimise it, or use one table "
            "for all steps"
        )
    meter.hold(_BYTES_PER_ENTRY * entries)
    meter.toil(_EFFORT_PER_ENTRY * entries)
    automaton = Automaton.of(**{name: tensor.integers() for name, tensor in given.items()})
    if task != {"automaton": automaton.digest}:
        raise FormatError(f"the task is {dumps(task)}, but the automaton with this certificate has digest {automaton.digest}")
    if automaton.outputs.max() >= config.d_vocab_out:
        raise FormatError(f"the automaton has the output {automaton.outputs.max()}: the model has {config.d_vocab_out}")
    if "reads" in given and config.architecture != "transformer":
        raise FormatError(f"an automaton with reads is for the architecture `transformer`: the model has {config.architecture}")
    sentence = (
        f"{dumps(task)}: given a sequence of {length} tokens from 0 to {vocab - 1} that the automaton with this digest "
        "accepts, the output is the automaton's"
        + (f" at each of the positions {automaton.reads[:, 0].tolist()}" if "reads" in given else "")
    )
    meter.scripting(length * states * vocab)
    total = automaton.count()
    if total == 0:
        raise FormatError("the automaton accepts no sequence: no run has all outputs")
    return AutomatonTask(sentence, automaton, total)
