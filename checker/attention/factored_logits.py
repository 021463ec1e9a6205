"""The logits of the model of additive_tables by inner products of vectors: all that is needed below V x V.

*Lemma.* With x_q = E[q] + P[K-1], let (rows of matrices; e = d_model, or d_model + 1 if there is a bias b_U)

    k_q = ((x_q W_Q + b_Q) W_K^T) / sqrt(d_head)    y_t = E[t] W_V W_O    z_j = P[j] W_V W_O    f_q = x_q + b_O + b_V W_O

and let u_o be column o of W_U, followed by b_U[o] if there is one, less any vector common to all outputs; f_q is followed by 1,
y_t and z_j by 0. Then an input of query q is classified as m, by more than a margin, if and only if for every o other than m

    sum_j w_j(q, x_j) ((f_q + y_t + z_j) . (u_m - u_o) - margin) > 0  at t = x_j,

w_j(q, t) = exp(k_q . (E[t] + P[j]) - r(q)), with any real r(q) (that of the key bias b_K is part of it).

*Proof.* This is the theorem of additive-tables: k_q . E[t], k_q . P[j], f_q . u_o, y_t . u_o and z_j . u_o are its tables, but
for what is common to all outputs, which cancels in u_m - u_o.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from checker.attention.order_statistic import attention_only, in_numbered_order
from checker.core.enclosed_weights import plus_bias, weight
from checker.core.enclosures import Enclosure
from checker.core.facts import Setting

_ATTENTION = "blocks.0.attn."


@dataclass(frozen=True)
class Affine:
    """Vectors x_i M + b: rows "n d", matrix "d e", shift "1 e" (None: zero)."""

    rows: Enclosure
    matrix: Enclosure
    shift: Enclosure | None = None

    @cached_property
    def vectors(self) -> Enclosure:
        """The vectors, "n e", multiplied out when they are first asked for."""
        product = self.rows @ self.matrix
        return product if self.shift is None else product + self.shift

    def then(self, matrix: Enclosure) -> "Affine":
        """The products of the vectors with a matrix "e f", for which they need not be multiplied out."""
        return Affine(self.rows, self.matrix @ matrix, None if self.shift is None else self.shift @ matrix)


@dataclass(frozen=True)
class FactoredLogits:
    """queries "q d": k. token "t d": E. position "j d": P. direct "q d": f without its 1. values "t d", position_value "j d":
    y and z without their 0. unembed "o e": u before anything is taken off.
    """

    queries: Affine
    token: Enclosure
    position: Enclosure
    direct: Enclosure
    values: Affine
    position_value: Enclosure
    unembed: Enclosure

    @staticmethod
    def of(setting: Setting) -> "FactoredLogits":
        """From the weights, tokens and outputs in the order of the task's numbers."""
        config, task = attention_only(setting), setting.task
        outputs = in_numbered_order(task, config.d_vocab_out)
        token, position = (
            weight(setting, "embed.W_E")[in_numbered_order(task, config.d_vocab)],
            weight(setting, "pos_embed.W_pos"),
        )
        last = token + position[config.n_ctx - 1 :]
        keys = weight(setting, _ATTENTION + "W_K").T * setting.arithmetic.reciprocal_sqrt(config.d_head)
        bias = weight(setting, _ATTENTION + "b_Q") @ keys if _ATTENTION + "b_Q" in setting.model.tensors else None
        queries = Affine(last, weight(setting, _ATTENTION + "W_Q") @ keys, bias)
        output = weight(setting, _ATTENTION + "W_O")
        values = weight(setting, _ATTENTION + "W_V") @ output
        direct = plus_bias(setting, last, _ATTENTION + "b_O")
        if _ATTENTION + "b_V" in setting.model.tensors:
            direct = direct + weight(setting, _ATTENTION + "b_V") @ output
        unembed = weight(setting, "unembed.W_U")[:, outputs].T
        if "unembed.b_U" in setting.model.tensors:
            unembed = unembed.concatenate([weight(setting, "unembed.b_U")[:, outputs].T], axis=1)
        return FactoredLogits(queries, token, position, direct, Affine(token, values), position @ values, unembed)

    def followed(self, setting: Setting, vectors: Enclosure, last: int) -> Enclosure:
        """Vectors "n d", followed by `last` if there is a bias of the unembedding to go with it, "n e"."""
        if vectors.shape[1] == self.unembed.shape[1]:
            return vectors
        entries = np.full((vectors.shape[0], 1), last, np.int64)
        return vectors.concatenate([setting.arithmetic.exact(entries, np.zeros(entries.shape, np.int64))], axis=1)
