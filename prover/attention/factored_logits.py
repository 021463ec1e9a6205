"""The vectors of checker/attention/factored_logits in float64, with the checker's rounding errors."""

from dataclasses import dataclass
from functools import cached_property

import torch

from prover.approximate import Approximate
from prover.attention.sequence_problem import SequenceProblem
from prover.weights import Weights


@dataclass(frozen=True)
class Affine:
    """Vectors x_i M + b, as the checker's class of the same name."""

    rows: Approximate
    matrix: Approximate
    shift: Approximate | None

    @cached_property
    def vectors(self) -> Approximate:
        """The vectors, "n e"."""
        product = self.rows @ self.matrix
        return product if self.shift is None else product + self.shift

    def then(self, matrix: Approximate) -> "Affine":
        """Their products with a matrix "e f"."""
        return Affine(self.rows, self.matrix @ matrix, None if self.shift is None else self.shift @ matrix)


@dataclass(frozen=True)
class FactoredLogits:
    """See the checker's class of the same name. `biased`: whether the unembedding has a bias."""

    queries: Affine
    token: Approximate
    position: Approximate
    direct: Approximate
    values: Affine
    position_value: Approximate
    unembed: Approximate
    biased: bool

    @property
    def query(self) -> Approximate:
        """The vectors k, "q d"."""
        return self.queries.vectors

    @property
    def value(self) -> Approximate:
        """The vectors y, "t d"."""
        return self.values.vectors

    @staticmethod
    def of(problem: SequenceProblem, other: Weights | None = None) -> "FactoredLogits":
        """Computed in the checker's order. other: weights in the order of the task's numbers, in place of the model's."""
        attention, weights = "blocks.0.attn.", problem.weights if other is None else other

        def matrix(name: str) -> Approximate:
            value = weights[name]
            value = value[0] if value.ndim == 3 else value[None] if value.ndim == 1 else value
            return Approximate.of(value, problem.precision)

        token, position = matrix("embed.W_E"), matrix("pos_embed.W_pos")
        last = token + Approximate(position.value[-1:], position.radius, problem.precision)
        keys = matrix(attention + "W_K").T.times(problem.model.config.d_head**-0.5)
        queries = Affine(last, matrix(attention + "W_Q") @ keys, matrix(attention + "b_Q") @ keys)
        values = matrix(attention + "W_V") @ matrix(attention + "W_O")
        direct = last + matrix(attention + "b_O") + matrix(attention + "b_V") @ matrix(attention + "W_O")
        unembed, biased = matrix("unembed.W_U").T, "unembed.b_U" in problem.model.tensors
        if biased:
            both = torch.cat([unembed.value, weights["unembed.b_U"][:, None]], 1)
            unembed = Approximate.of(both, problem.precision)
        value = Affine(token, values, None)
        return FactoredLogits(queries, token, position, direct, value, position @ values, unembed, biased)
