"""The vectors of checker/rules/factored_logits in float64, with the checker's rounding errors."""

from dataclasses import dataclass

import torch

from prover.pessimistic_tables import Approximate
from prover.strategy import Problem


@dataclass(frozen=True)
class FactoredLogits:
    """See the checker's class of the same name. `biased`: whether the unembedding has a bias."""

    query: Approximate
    token: Approximate
    position: Approximate
    direct: Approximate
    value: Approximate
    position_value: Approximate
    unembed: Approximate
    biased: bool

    @staticmethod
    def of(problem: Problem) -> "FactoredLogits":
        """Computed in the checker's order."""
        attention = "blocks.0.attn."

        def matrix(name: str) -> Approximate:
            value = problem.weights[name]
            value = value[0] if value.ndim == 3 else value[None] if value.ndim == 1 else value
            return Approximate.of(value, problem.precision)

        token, position = matrix("embed.W_E"), matrix("pos_embed.W_pos")
        last = token + Approximate(position.value[-1:], position.radius, problem.precision)
        keys = matrix(attention + "W_K").T.times(problem.model.config.d_head**-0.5)
        query = last @ (matrix(attention + "W_Q") @ keys) + matrix(attention + "b_Q") @ keys
        values = matrix(attention + "W_V") @ matrix(attention + "W_O")
        direct = last + matrix(attention + "b_O") + matrix(attention + "b_V") @ matrix(attention + "W_O")
        unembed, biased = matrix("unembed.W_U").T, "unembed.b_U" in problem.model.tensors
        if biased:
            both = torch.cat([unembed.value, problem.weights["unembed.b_U"][:, None]], 1)
            unembed = Approximate.of(both, problem.precision)
        return FactoredLogits(query, token, position, direct, token @ values, position @ values, unembed, biased)
