"""Rule `hidden-tables`: networks with one hidden layer on two inputs, as tables of their neurons.

*Models.* A group MLP: logits(a, b) = relu(W_L[a] + W_R[b] + b_in) W_U + b_U. Or a one-layer transformer with uniform attention,
read at the last of its three positions, where it sees a, b and the token "=": with x = (a, b, "="),

    residual = E["="] + P[2] + b_O + b_V W_O + 1/3 sum_j (E[x_j] + P[j]) V,    V = sum over heads of W_V W_O,
    logits = (residual + relu(residual W_in + b_in) W_out + b_out) W_U + b_U.

*Theorem.* There are tables of these sizes, n the number of elements, and s >= 0, such that for all a, b and outputs y, z

    N(y) - N(z)  differs by at most s from  T(y) - T(z),
    T = relu(left[a] + right[b] + bias) unembed + direct[a] + direct[b] + constant,

where N is a positive multiple of the logits, and the columns of left, right, bias and the rows of unembed are those of chosen
neurons. Where left = right, N is the same for (a, b) and (b, a). The slack of the tables is s plus that multiple of the
margin: wherever T(y) - T(z) is greater, the logit of y exceeds that of z by more than the margin.

*Proof.* Group MLP: left = W_L, right = W_R, direct = 0, N the logits. Transformer: N is three times the logits. ReLU commutes
with positive factors, so 3 relu(residual W_in + b_in) = relu(3 residual W_in + 3 b_in), and 3 residual = e(a) + e(b) + c with
e(a) = E[a] V and c = 3 (E["="] + P[2] + b_O + b_V W_O) + (P[0] + P[1] + P[2] + E["="]) V; so left = right = e W_in,
bias = c W_in + 3 b_in, unembed = W_out W_U, direct = e W_U, constant = (c + 3 b_out) W_U + 3 b_U. In both cases the neurons
not chosen add sum_i h_i (U_i(y) - U_i(z)) to N(y) - N(z), with 0 <= h_i <= relu(max_a left[a, i] + max_b right[b, i] + bias_i);
s is the sum of these bounds times the range max_z U_i - min_z U_i. For the transformer these are not computed but bounded: h_i
by 2 max_a |e(a)| |column i of W_in| + |bias_i|, and the range by 2 |row i of W_out| max_z |column z of W_U| (lengths).

*By few coordinates.* Folding a transformer's weights costs more than some proofs about the tables. But a trained MLP reads few
directions of the residual stream, and writes along few: with bases G and H as hints the tables are, E being the elements' rows,

    left = right = (E V G) (G^T W_in),    unembed = (W_out H) (H^T W_U),    direct = (E V G) (G^T W_U),

bias and constant as before, and lengths of what the bases leave out go into s. *Proof.* Let |v|' be the seminorm in the lemma's
proof (rules/projections): v . u differs from the product of coordinates by at most |v|' |u|', and |v|'^2 <= |v|^2 - (1 - 3 eps)
|G^T v|^2. e(a) is a combination of the rows of W_O with the coefficients E[a] W_V, so |e(a)|' is at most S = max_a |E[a]| |W_V|
sigma, sigma^2 being the sum of the |row of W_O|'^2 (lengths of matrices: Frobenius). Let t_i = |column i of W_in|', g = max_z
|column z of W_U|', and with H instead of G, p_i = |row i of W_out|', q = max_z |column z of W_U|'. Then left[a, i] is off by at
most S t_i, unembed[i, z] by p_i q, direct[a, z] by S g. For a chosen neuron let h be its activation, and h' that by the tables:
0 <= h' <= m_i = relu(2 max_a left[a, i] + bias_i), and |h - h'| <= 2 S t_i. Let r_i be the range of row i of the table unembed.
Then h (U_i(y) - U_i(z)) differs from h' (unembed[i, y] - unembed[i, z]) by at most |h - h'| (r_i + 2 p_i q) + h' 2 p_i q. All
together

    s = sum over the chosen of 2 S t_i r_i + (4 S t_i + 2 m_i) p_i q,    plus 4 S g,    plus what other neurons add.

What others add is bounded as before, max_a |e(a)| being at most the root of max_a |G^T e(a)|^2 + S^2.

*Hints:* `neurons` "i": the chosen ones, without repetition, in the order they are to have, at least one. Perhaps, for the
transformer, `reading` "d r" (G) and `writing` "d w" (H), with the *parameter* `tilt` of the bases.
"""

import numpy as np

from certificates.certificate import Step
from certificates.tensor_file import IntArray
from certificates.two_inputs import GroupMLP, UniformAttention
from checker.core.enclosed_weights import plus_bias, plus_margin, weight, zeros
from checker.core.enclosures import Enclosure
from checker.core.errors import Refused
from checker.core.facts import Fact, Setting, take_hints, take_parameters
from checker.layers.facts import HiddenTables
from checker.rules.projections import Basis

_ATTENTION, _MLP = "blocks.0.attn.", "blocks.0.mlp."


def hidden_tables(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> HiddenTables:
    """Apply the rule. Takes no premises."""
    config = setting.model.config
    size = config.input_shape[1]
    if premises or not isinstance(config, (GroupMLP, UniformAttention)):
        raise Refused(f"{step.rule} takes no premises, and is about a hidden layer on two inputs, not {config.described}s")
    shapes, parameters = dict[str, tuple[int | None, ...]](neurons=(None,)), list[str]()
    if isinstance(config, UniformAttention) and "reading" in step.hints:
        shapes, parameters = shapes | {"reading": (config.d_model, None), "writing": (config.d_model, None)}, ["tilt"]
    tilt, hints = take_parameters(step, *parameters), take_hints(setting, step, **shapes)
    chosen, other = hints["neurons"], np.ones(config.d_mlp, np.bool_)
    other[chosen[(chosen >= 0) & (chosen < config.d_mlp)]] = False
    if not len(chosen) or len(chosen) + np.count_nonzero(other) != config.d_mlp:
        raise Refused("the chosen neurons must be at least one, and different neurons of the model")
    kept = len(chosen) * (2 * size + config.d_vocab_out) + size * config.d_vocab_out
    setting.meter.hold(kept * setting.arithmetic.element_bytes // 4)
    if isinstance(config, GroupMLP):
        return _group_mlp(setting, config, chosen, np.flatnonzero(other))
    bases = [Basis.of(setting, hints[name], *tilt) for name in ("reading", "writing") if tilt]
    return _uniform_attention(setting, config, chosen, np.flatnonzero(other), bases)


def most_of_neurons(left: Enclosure, right: Enclosure, bias: Enclosure, unembed: Enclosure, some: IntArray) -> Enclosure:
    """The most "1 1" that some neurons can add to a difference of logits."""
    active = (left[:, some].max(0) + right[:, some].max(0) + bias[0, some]).relu()
    return (active * unembed[some].range(1)).reshape(-1, 1).sum(0).reshape(1, 1)


def _group_mlp(setting: Setting, config: GroupMLP, chosen: IntArray, others: IntArray) -> HiddenTables:
    left, unembed = weight(setting, "embed_left.W_E"), weight(setting, "unembed.W_U")
    tied = setting.model.tensors["embed_left.W_E"] == setting.model.tensors["embed_right.W_E"]
    right = left if tied else weight(setting, "embed_right.W_E")
    bias, constant = _bias(setting, "mlp.b_in", config.d_mlp), _bias(setting, "unembed.b_U", config.d_vocab_out)
    slack = most_of_neurons(left, right, bias, unembed, others) if len(others) else zeros(setting, 1, 1)
    kept = len(chosen) * ((2 - tied) * config.d_vocab + config.d_vocab_out)
    of_chosen = left[:, chosen], right[:, chosen], bias[:, chosen], unembed[chosen]
    return HiddenTables(*of_chosen, None, constant, plus_margin(setting, slack, 1), tied, kept)


def constant_residual(setting: Setting, config: UniformAttention) -> Enclosure:
    """The part c "1 d" of three times the residual of uniform attention that is the same for all inputs."""
    embed, positions = weight(setting, "embed.W_E"), weight(setting, "pos_embed.W_pos")
    values, output = weight(setting, _ATTENTION + "W_V"), weight(setting, _ATTENTION + "W_O")
    size, triple = config.d_vocab - 1, np.full((1, 1), 3, np.int64)
    here = embed[size:] + positions[2:]
    if _ATTENTION + "b_V" in setting.model.tensors:
        here = here + weight(setting, _ATTENTION + "b_V") @ output
    here = plus_bias(setting, here, _ATTENTION + "b_O")
    everywhere = positions.sum(0).reshape(1, config.d_model) + embed[size:]
    return here.times(triple) + everywhere @ values @ output


def _uniform_attention(
    setting: Setting, config: UniformAttention, chosen: IntArray, others: IntArray, bases: list[Basis]
) -> HiddenTables:
    size, outputs, (two, triple) = config.d_vocab - 1, config.d_vocab_out, (np.full((1, 1), k, np.int64) for k in (2, 3))
    values, output = weight(setting, _ATTENTION + "W_V"), weight(setting, _ATTENTION + "W_O")
    embed, unembed = weight(setting, "embed.W_E")[:size], weight(setting, "unembed.W_U")
    all_read, all_write = weight(setting, _MLP + "W_in"), weight(setting, _MLP + "W_out")
    read, write, always = all_read[:, chosen], all_write[chosen], constant_residual(setting, config)
    all_bias = always @ all_read + _bias(setting, _MLP + "b_in", config.d_mlp).times(triple)
    bias, always = all_bias[:, chosen], always + _bias(setting, _MLP + "b_out", config.d_model).times(triple)
    constant = always @ unembed + _bias(setting, "unembed.b_U", outputs).times(triple)
    if bases:
        reading, writing = bases
        carried, sigma = reading.parts(output)
        inside = embed @ (values @ carried)  # a r
        length = values.reshape(-1, 1).lengths() * sigma.reshape(-1, 1).sum(0).sqrt()
        outside = embed.T.lengths().max(0).reshape(1, 1) * length.reshape(1, 1)  # S
        (read_by, t), (directly, g) = reading.parts(read.T), reading.parts(unembed.T)
        (written, p), (unembedded, q) = writing.parts(write), writing.parts(unembed.T)
        left, table, direct = inside @ read_by.T, written @ unembedded.T, inside @ directly.T
        shifted = (outside * t.sqrt().reshape(1, -1)).times(two)  # 2 S t_i
        most = (left.max(0).reshape(1, -1).times(two) + bias).relu()  # m_i
        slack = shifted @ table.range(1).reshape(-1, 1) + (outside * g.max(0).reshape(1, 1).sqrt()).times(two + two)
        slack = slack + ((shifted + most) @ p.sqrt().reshape(-1, 1) * q.max(0).reshape(1, 1).sqrt()).times(two)
        width = inside.shape[1], written.shape[1]
        kept = width[0] * (size + len(chosen) + outputs) + width[1] * (len(chosen) + outputs) + 2 * len(chosen)
    else:
        inside = embed @ values @ output
        left, table, direct = inside @ read, write @ unembed, inside @ unembed
        slack, kept = zeros(setting, 1, 1), len(chosen) * (size + outputs)
    if len(others):
        farthest = inside.T.lengths().max(0).reshape(1)
        if bases:
            farthest = (farthest.square() + outside.reshape(1).square()).sqrt()
        active = farthest * all_read[:, others].lengths()
        reach = (active + active + abs(all_bias[0, others])) * all_write[others].T.lengths()
        longest = unembed.lengths().max(0).reshape(1, 1)
        beyond = reach.reshape(-1, 1).sum(0).reshape(1, 1) * (longest + longest)
        slack = slack + beyond if bases else beyond
    return HiddenTables(left, left, bias, table, direct, constant, plus_margin(setting, slack, 3), True, kept)


def _bias(setting: Setting, name: str, width: int) -> Enclosure:
    return weight(setting, name) if name in setting.model.tensors else zeros(setting, 1, width)
