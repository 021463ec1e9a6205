"""Rule `additive-tables`: the logits of a one-layer, one-head, attention-only transformer as table look-ups.

*Model.* K = n_ctx tokens x; embedding r_j = E[x_j] + P[j]; causal softmax attention read at the last position, whose
query attends to all K positions with scores s_j = ((r_{K-1} W_Q + b_Q) . (r_j W_K + b_K)) / sqrt(d_head); residual
r_{K-1} + sum_j softmax(s)_j (r_j W_V + b_V) W_O + b_O; logits = residual W_U + b_U. No normalisation.

*Theorem.* Let q = x_{K-1} and define, over all tokens t, positions j and outputs o,

    token_score[q, t]    = ((E[q] + P[K-1]) W_Q + b_Q) . (E[t] W_K) / sqrt(d_head)
    position_score[q, j] = ((E[q] + P[K-1]) W_Q + b_Q) . (P[j] W_K) / sqrt(d_head)
    direct[q, o]         = [ (E[q] + P[K-1] + b_O + b_V W_O) W_U + b_U ](o)
    token_value[t, o]    = [ E[t] W_V W_O W_U ](o)
    position_value[j, o] = [ P[j] W_V W_O W_U ](o)

and w_j(q, t) = exp(token_score[q, t] + position_score[q, j] - r(q)) for an arbitrary real r(q). Then x is classified as
m, by more than a margin, if and only if for every output o != m

    sum_j w_j(q, x_j) * ( (direct[q, m] - direct[q, o] - margin) + (token_value[x_j, m] - token_value[x_j, o])
                          + (position_value[j, m] - position_value[j, o]) )  >  0.

*Proof.* s_j = token_score + position_score + (query . b_K) / sqrt(d_head); the last term does not depend on j, and
neither does r(q), so both cancel in the softmax: softmax(s)_j = w_j / sum_i w_i. The attention weights sum to one, so
b_V W_O and all that does not depend on j can be moved into the sum over j, which gives
logit(o) = sum_j w_j (direct + token_value + position_value) / sum_j w_j. The denominator is positive; multiply by it, and
logit(m) - logit(o) - margin becomes the sum above.

Tokens and outputs are taken in the order of the task's numbers (order_statistic), which renames them and changes nothing.

*Checked:* nothing beyond the model file's shapes. The tables are enclosures of the real tables.
"""

from certificates.certificate import Step
from checker.attention.order_statistic import attention_only, in_numbered_order
from checker.attention.tables import AdditiveTables
from checker.core.enclosed_weights import plus_bias, weight
from checker.core.errors import Refused
from checker.core.facts import Fact, Setting, take_hints, take_parameters


def additive_tables(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> AdditiveTables:
    """Apply the rule. Takes no premises, parameters or hints."""
    take_parameters(step)
    take_hints(setting, step)
    if premises:
        raise Refused("additive-tables takes no premises")
    config = attention_only(setting)

    outputs = in_numbered_order(setting.task, config.d_vocab_out)
    tokens = weight(setting, "embed.W_E")[in_numbered_order(setting.task, config.d_vocab)]
    positions = weight(setting, "pos_embed.W_pos")
    unembed = weight(setting, "unembed.W_U")[:, outputs]
    last = tokens + positions[config.n_ctx - 1 :]
    query = plus_bias(setting, last @ weight(setting, "blocks.0.attn.W_Q"), "blocks.0.attn.b_Q")
    query = query * setting.arithmetic.reciprocal_sqrt(config.d_head)
    key_map = weight(setting, "blocks.0.attn.W_K")
    output = weight(setting, "blocks.0.attn.W_O") @ unembed
    value_map = weight(setting, "blocks.0.attn.W_V")
    direct = plus_bias(setting, plus_bias(setting, last, "blocks.0.attn.b_O") @ unembed, "unembed.b_U", outputs)
    if "blocks.0.attn.b_V" in setting.model.tensors:
        direct = direct + weight(setting, "blocks.0.attn.b_V") @ output
    unexplained_dimension = (
        2 * config.d_vocab * config.d_vocab_out + config.d_vocab**2 + config.n_ctx * (config.d_vocab + config.d_vocab_out)
    )
    setting.meter.hold(unexplained_dimension * direct.element_bytes // 4)
    return AdditiveTables(
        token_score=query @ (tokens @ key_map).T,
        position_score=query @ (positions @ key_map).T,
        direct=direct,
        token_value=(tokens @ value_map) @ output,
        position_value=(positions @ value_map) @ output,
        unexplained_dimension=unexplained_dimension,
    )
