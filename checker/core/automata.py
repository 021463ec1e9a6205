"""Tasks that are automata: a statement names the digest, and the tables come with the certificate."""

from dataclasses import dataclass

from certificates.architectures import ModelConfig
from certificates.automaton import TABLES, Automaton
from certificates.canonical_json import Json, dumps
from certificates.certificate import Given
from certificates.errors import FormatError
from certificates.tensor_file import IntArray
from checker.core.meter import Meter

_MOST_ENTRIES = 2**22
"""Of the transitions of an automaton."""
_BYTES_PER_ENTRY, _EFFORT_PER_ENTRY = 256, 200
"""What reading, digesting and validating an entry takes."""


@dataclass(frozen=True)
class AutomatonTask:
    """Inputs and true outputs are an automaton's. Every last token is a cell."""

    json: Json
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
    if set(given) != set(TABLES):
        raise FormatError(f"a task that is an automaton comes with exactly the tensors {list(TABLES)}, found {sorted(given)}")
    length, vocab = config.input_shape
    order, values, transitions = (given[name].shape for name in TABLES)
    steps = transitions[0] if len(transitions) == 3 else 0
    if order != (length,) or len(values) != 1 or transitions != (steps, *values, vocab) or steps not in (1, length):
        raise FormatError(
            f"an automaton for this model has an order [{length}], outputs [states] and transitions [1 or {length}, states, "
            f"{vocab}]: found {list(order)}, {list(values)} and {list(transitions)}"
        )
    entries = steps * values[0] * vocab
    if entries > _MOST_ENTRIES:
        raise FormatError(
            f"the automaton has {entries} transitions, more than {_MOST_ENTRIES}: minimise it, or use one table for all steps"
        )
    meter.hold(_BYTES_PER_ENTRY * entries)
    meter.toil(_EFFORT_PER_ENTRY * entries)
    automaton = Automaton.of(given["order"].integers(), given["transitions"].integers(), given["outputs"].integers())
    if task != {"automaton": automaton.digest}:
        raise FormatError(f"the task is {dumps(task)}, but the automaton with this certificate has digest {automaton.digest}")
    if automaton.outputs.max() >= config.d_vocab_out:
        raise FormatError(f"the automaton has the output {automaton.outputs.max()}: the model has {config.d_vocab_out}")
    sentence = (
        f"{dumps(task)}: given a sequence of {length} tokens from 0 to {vocab - 1} that the automaton with this digest "
        "accepts, the output is the automaton's"
    )
    meter.scripting(length * values[0] * vocab)
    total = automaton.count()
    if total == 0:
        raise FormatError("the automaton accepts no sequence: no run ends in a state that has an output")
    return AutomatonTask(task, sentence, automaton, total)
