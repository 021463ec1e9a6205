"""What a statement is about: a finite set of inputs, and the true output of each."""

from typing import Protocol

from certificates.tensor_file import IntArray


class Task(Protocol):
    """A kind of task. Rules that can say something about it find out which by its class; the rest of the core needs only this.

    sentence: all of what the task is, for the theorem. Inputs are sequences of n_ctx tokens below d_vocab, `total` in number,
    which lie in *cells*: how many along each axis is the cell_shape. The model is read at the positions `reads`: an input is
    classified correctly if the output is right at each of them.
    """

    @property
    def sentence(self) -> str: ...
    @property
    def d_vocab(self) -> int: ...
    @property
    def n_ctx(self) -> int: ...
    @property
    def total(self) -> int: ...
    @property
    def reads(self) -> tuple[int, ...]: ...
    @property
    def cell_shape(self) -> tuple[int, ...]: ...

    def numbered(self, tokens: IntArray) -> IntArray:
        """What tokens are called inside a proof. All that follows is about these numbers."""

    def outputs_of(self, inputs: IntArray) -> IntArray:
        """True outputs "n r" of sequences "n k" at the reads; -1 everywhere for those that are no inputs."""

    def cells_of(self, inputs: IntArray) -> tuple[IntArray, ...]:
        """The cells of inputs "n k": an index "n" for each axis."""

    def cells_within(self, first: IntArray, end: IntArray) -> tuple[slice, ...]:
        """Cells that hold all inputs with first[j] <= x_j < end[j] at every position j."""
