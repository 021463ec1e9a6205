"""Rule `projected-hidden-tables`: the tables of hidden_tables for uniform attention, by few coordinates.

Folding the weights of a transformer costs more than some proofs about the tables. But a trained MLP reads few directions of the
residual stream, and writes along few: two bases, G and H, give all tables by low-rank products, and lengths of what they leave
out (rules/projections, with (1 - 3 eps) |G^T v|^2 counted as the part of v inside) give the slack.

*Theorem.* That of hidden_tables for uniform attention, with the tables

    left = (E V G) (G^T W_in),    unembed = (W_out H) (H^T W_U),    direct = (E V G) (G^T W_U)    for the elements' rows E,

bias and constant as there, and the slack s below.

*Proof.* N is three times the logits, and e(a) = E[a] V. Let |v|' be the seminorm in the lemma's proof (rules/projections): v .
u differs from the product of coordinates by at most |v|' |u|', and |v|'^2 <= |v|^2 - (1 - 3 eps) |G^T v|^2. e(a) is a
combination of the rows of W_O with the coefficients E[a] W_V, so |e(a)|' is at most S = max_a |E[a]| |W_V| sigma, sigma^2
being the sum of the |row of W_O|'^2 (lengths of matrices: Frobenius). Let t_i = |column i of W_in|', g = max_z |column z of
W_U|', and with H instead of G, p_i = |row i of W_out|', q = max_z |column z of W_U|'. Then left[a, i] is off by at most S t_i,
unembed[i, z] by p_i q, direct[a, z] by S g. For a chosen neuron let h be its activation, and h' that by the tables: 0 <= h' <=
m_i = relu(2 max_a left[a, i] + bias_i), and |h - h'| <= 2 S t_i. Let r_i be the range of row i of the table unembed. Then h
(U_i(y) - U_i(z)) differs from h' (unembed[i, y] - unembed[i, z]) by at most |h - h'| (r_i + 2 p_i q) + h' 2 p_i q. All
together

    s = sum over the chosen of 2 S t_i r_i + (4 S t_i + 2 m_i) p_i q,    plus 4 S g,    plus what other neurons add.

What others add is bounded as in hidden_tables, max_a |e(a)| being at most the root of max_a |G^T e(a)|^2 + S^2.

*Parameter:* `tilt` of the bases. *Hints:* `neurons` "i" as for hidden-tables; `reading` "d r" (G), `writing` "d w" (H).
"""

import numpy as np

from certificates.architectures import UniformAttention
from certificates.certificate import Step
from checker.core.errors import Refused
from checker.core.facts import Fact, Setting, take_hints, take_parameters
from checker.layers.facts import HiddenTables
from checker.layers.hidden_tables import UniformWeights, other_neurons
from checker.rules.projections import Basis


def projected_hidden_tables(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> HiddenTables:
    """Apply the rule. Takes no premises."""
    (tilt,) = take_parameters(step, "tilt")
    config = setting.model.config
    if not isinstance(config, UniformAttention):
        raise Refused("projected-hidden-tables is about transformers with uniform attention")
    hints = take_hints(setting, step, neurons=(None,), reading=(config.d_model, None), writing=(config.d_model, None))
    chosen, two = hints["neurons"], np.full((1, 1), 2, np.int64)
    others = other_neurons(setting, premises, chosen)
    reading, writing = (Basis.of(setting, hints[name], tilt) for name in ("reading", "writing"))
    weights = UniformWeights.of(setting, config)

    carried, sigma = reading.parts(weights.output)
    inside = weights.embed @ (weights.values @ carried)  # a r
    length = weights.values.reshape(-1, 1).lengths() * sigma.reshape(-1, 1).sum(0).sqrt()
    outside = weights.embed.T.lengths().max(0).reshape(1, 1) * length.reshape(1, 1)  # S
    read, t = reading.parts(weights.read[:, chosen].T)
    directly, g = reading.parts(weights.unembed.T)
    written, p = writing.parts(weights.write[chosen])
    unembedded, q = writing.parts(weights.unembed.T)
    left, bias, unembed = inside @ read.T, weights.bias[:, chosen], written @ unembedded.T

    shifted = (outside * t.sqrt().reshape(1, -1)).times(two)  # 2 S t_i
    most = left.max(0).reshape(1, -1).times(two) + bias
    slack = shifted @ unembed.range(1).reshape(-1, 1)
    written_off = (shifted + most.relu()) @ p.sqrt().reshape(-1, 1)
    slack = slack + (written_off * q.max(0).reshape(1, 1).sqrt()).times(two)
    slack = slack + (outside * g.max(0).reshape(1, 1).sqrt()).times(two + two)
    if len(others):
        squares = inside.T.square().sum(0).max(0).reshape(1) + outside.reshape(1).square()
        slack = slack + weights.most_of_others(others, squares.sqrt())
    size, (rank, width) = config.d_vocab - 1, (hints[name].shape[1] for name in ("reading", "writing"))
    kept = rank * (size + len(chosen) + config.d_vocab_out) + width * (len(chosen) + config.d_vocab_out) + 2 * len(chosen)
    direct = inside @ directly.T
    return HiddenTables(left, left, bias, unembed, direct, weights.out, slack, True, kept)
