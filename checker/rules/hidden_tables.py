"""Rule `hidden-tables`: networks with one hidden layer on two inputs, as tables of their neurons.

*Models.* A group MLP: logits(a, b) = relu(W_L[a] + W_R[b] + b_in) W_U + b_U. Or a one-layer transformer with uniform attention,
read at the last of its three positions, where it sees a, b and the token "=": with x = (a, b, "="),

    residual = E["="] + P[2] + b_O + b_V W_O + 1/3 sum_j (E[x_j] + P[j]) V,    V = sum over heads of W_V W_O,
    logits = (residual + relu(residual W_in + b_in) W_out + b_out) W_U + b_U.

*Theorem.* There are tables of these sizes, n the number of elements, and s >= 0, such that for all a, b and outputs y, z

    N(y) - N(z)  differs by at most s from  T(y) - T(z),
    T = relu(left[a] + right[b] + bias) unembed + direct[a] + direct[b] + constant,

where N is a positive multiple of the logits, and the columns of left, right, bias and the rows of unembed are those of chosen
neurons. Where left = right, N is the same for (a, b) and (b, a).

*Proof.* Group MLP: left = W_L, right = W_R, direct = 0, N the logits. Transformer: N is three times the logits. ReLU commutes
with positive factors, so 3 relu(residual W_in + b_in) = relu(3 residual W_in + 3 b_in), and 3 residual = e(a) + e(b) + c with
e(a) = E[a] V and c = 3 (E["="] + P[2] + b_O + b_V W_O) + (P[0] + P[1] + P[2] + E["="]) V; so left = right = e W_in,
bias = c W_in + 3 b_in, unembed = W_out W_U, direct = e W_U, constant = (c + 3 b_out) W_U + 3 b_U. In both cases the neurons
not chosen add sum_i h_i (U_i(y) - U_i(z)) to N(y) - N(z), with 0 <= h_i <= relu(max_a left[a, i] + max_b right[b, i] + bias_i);
s is the sum of these bounds times max_z U_i - min_z U_i.

*Hint:* `neurons` "i": the chosen ones, without repetition, in the order they are to have. At least one.
"""

from dataclasses import dataclass

import numpy as np

from certificates.architectures import GroupMLP, UniformAttention
from certificates.certificate import Step
from certificates.tensor_file import IntArray
from checker.enclosed_weights import plus_bias, weight
from checker.enclosures import Enclosure
from checker.errors import Refused
from checker.facts import Fact, HiddenTables, Setting, take_hints, take_parameters
from checker.rules.projections import hinted

_ATTENTION, _MLP = "blocks.0.attn.", "blocks.0.mlp."


@dataclass(frozen=True)
class _Network:
    """All neurons; None for a bias that is absent or a table that is zero. Sides that are the same are the same object."""

    left: Enclosure
    right: Enclosure
    bias: Enclosure
    unembed: Enclosure
    direct: Enclosure | None
    constant: Enclosure


def hidden_tables(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> HiddenTables:
    """Apply the rule. Takes no premises or parameters."""
    take_parameters(step)
    chosen = take_hints(setting, step, neurons=(None,))["neurons"]
    if premises:
        raise Refused("hidden-tables takes no premises")
    size = setting.composition.d_vocab
    config = setting.model.config
    if isinstance(config, GroupMLP):
        network = _group_mlp(setting)
    elif isinstance(config, UniformAttention):
        network = _uniform_attention(setting, config, size)
    else:
        raise Refused(f"hidden-tables is about networks with one hidden layer on two inputs, not a {config.described}")
    neurons, outputs = network.unembed.shape
    if not len(chosen) or np.any((chosen < 0) | (chosen >= neurons)) or len(np.unique(chosen)) < len(chosen):
        raise Refused("the chosen neurons must be at least one, and different neurons of the model")
    symmetric = network.left is network.right
    others, slack = np.delete(np.arange(neurons), chosen), _zeros(setting, 1, 1)
    if len(others):
        slack = most_of_neurons(network.left, network.right, network.bias, network.unembed, others).reshape(1, 1)
    left = network.left[:, chosen]
    dimension = len(chosen) * ((1 if symmetric else 2) * size + outputs)
    setting.meter.hold(dimension * left.element_bytes // 4)
    return HiddenTables(
        left,
        left if symmetric else network.right[:, chosen],
        network.bias[:, chosen],
        network.unembed[chosen],
        network.direct,
        network.constant,
        slack,
        symmetric,
        dimension,
    )


def most_of_neurons(left: Enclosure, right: Enclosure, bias: Enclosure, unembed: Enclosure, some: IntArray) -> Enclosure:
    """The most "1" that some neurons, at least one, can add to a difference of logits."""
    active = (left[:, some].max(0) + right[:, some].max(0) + bias[0, some]).relu()
    row = unembed[some]
    return (active * (row.max(1) - row.min(1))).reshape(-1, 1).sum(0)


def _group_mlp(setting: Setting) -> _Network:
    tensors = setting.model.tensors
    left = weight(setting, "embed_left.W_E")
    tied = tensors["embed_left.W_E"] == tensors["embed_right.W_E"]
    right = left if tied else weight(setting, "embed_right.W_E")
    unembed = weight(setting, "unembed.W_U")
    neurons, outputs = unembed.shape
    bias, constant = _bias(setting, "mlp.b_in", neurons), _bias(setting, "unembed.b_U", outputs)
    return _Network(left, right, bias, unembed, None, constant)


def _uniform_attention(setting: Setting, config: UniformAttention, size: int) -> _Network:
    embed, positions = weight(setting, "embed.W_E"), weight(setting, "pos_embed.W_pos")
    values, output = weight(setting, _ATTENTION + "W_V"), weight(setting, _ATTENTION + "W_O")
    read, write = weight(setting, _MLP + "W_in"), weight(setting, _MLP + "W_out")
    unembed = weight(setting, "unembed.W_U")
    here = embed[size:] + positions[2:]
    if _ATTENTION + "b_V" in setting.model.tensors:
        here = here + weight(setting, _ATTENTION + "b_V") @ output
    here = plus_bias(setting, here, _ATTENTION + "b_O")
    triple = np.full((1, 1), 3, np.int64)
    everywhere = positions.sum(0).reshape(1, config.d_model) + embed[size:]
    constant = here.times(triple) + everywhere @ values @ output
    moved = embed[:size] @ values @ output
    bias = constant @ read + _bias(setting, _MLP + "b_in", config.d_mlp).times(triple)
    out = constant + _bias(setting, _MLP + "b_out", config.d_model).times(triple)
    logits = out @ unembed + _bias(setting, "unembed.b_U", config.d_vocab_out).times(triple)
    left = moved @ read
    return _Network(left, left, bias, write @ unembed, moved @ unembed, logits)


def _bias(setting: Setting, name: str, width: int) -> Enclosure:
    return weight(setting, name) if name in setting.model.tensors else _zeros(setting, 1, width)


def _zeros(setting: Setting, rows: int, columns: int) -> Enclosure:
    return hinted(setting, np.zeros((rows, columns), np.int64), 0)
