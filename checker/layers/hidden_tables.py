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
s is the sum of these bounds times the range max_z U_i - min_z U_i. For the transformer these are not computed but bounded: h_i
by 2 max_a |e(a)| |column i of W_in| + |bias_i|, and the range by 2 |row i of W_out| max_z |column z of W_U| (lengths).

*Hint:* `neurons` "i": the chosen ones, without repetition, in the order they are to have. At least one.
"""

from dataclasses import dataclass

import numpy as np

from certificates.architectures import AttentionOnly, GroupMLP, UniformAttention
from certificates.certificate import Step
from certificates.tensor_file import IntArray
from checker.core.enclosed_weights import plus_bias, weight, zeros
from checker.core.enclosures import Enclosure
from checker.core.errors import Refused
from checker.core.facts import Fact, Setting, take_hints, take_parameters
from checker.layers.composition import composition
from checker.layers.facts import HiddenTables

_ATTENTION, _MLP = "blocks.0.attn.", "blocks.0.mlp."


def hidden_tables(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> HiddenTables:
    """Apply the rule. Takes no premises or parameters."""
    take_parameters(step)
    chosen = take_hints(setting, step, neurons=(None,))["neurons"]
    others = other_neurons(setting, premises, chosen)
    config = setting.model.config
    if isinstance(config, GroupMLP):
        return _group_mlp(setting, config, chosen, others)
    assert isinstance(config, UniformAttention)
    return _uniform_attention(setting, config, chosen, others)


def other_neurons(setting: Setting, premises: tuple[Fact, ...], chosen: IntArray) -> IntArray:
    """The neurons not chosen. Refuses other models and tasks, premises, and what is no choice; announces the tables' memory."""
    if premises:
        raise Refused("the tables of a hidden layer take no premises")
    composition(setting)  # refuses other tasks
    config = setting.model.config
    if isinstance(config, AttentionOnly):
        raise Refused(f"the tables are those of networks with one hidden layer on two inputs, not of a {config.described}")
    if not len(chosen) or np.any((chosen < 0) | (chosen >= config.d_mlp)) or len(np.unique(chosen)) < len(chosen):
        raise Refused("the chosen neurons must be at least one, and different neurons of the model")
    kept = len(chosen) * (2 * config.d_vocab + config.d_vocab_out) + config.d_vocab * config.d_vocab_out
    setting.meter.hold(kept * setting.arithmetic.element_bytes // 4)
    return np.delete(np.arange(config.d_mlp), chosen)


def most_of_neurons(left: Enclosure, right: Enclosure, bias: Enclosure, unembed: Enclosure, some: IntArray) -> Enclosure:
    """The most "1 1" that some neurons can add to a difference of logits."""
    active = (left[:, some].max(0) + right[:, some].max(0) + bias[0, some]).relu()
    return (active * unembed[some].range(1)).reshape(-1, 1).sum(0).reshape(1, 1)


def _group_mlp(setting: Setting, config: GroupMLP, chosen: IntArray, others: IntArray) -> HiddenTables:
    left, unembed = weight(setting, "embed_left.W_E"), weight(setting, "unembed.W_U")
    tied = setting.model.tensors["embed_left.W_E"] == setting.model.tensors["embed_right.W_E"]
    right = left if tied else weight(setting, "embed_right.W_E")
    bias = _bias(setting, "mlp.b_in", config.d_mlp)
    return HiddenTables(
        left[:, chosen],
        right[:, chosen],
        bias[:, chosen],
        unembed[chosen],
        None,
        _bias(setting, "unembed.b_U", config.d_vocab_out),
        most_of_neurons(left, right, bias, unembed, others) if len(others) else zeros(setting, 1, 1),
        tied,
        len(chosen) * ((2 - tied) * config.d_vocab + config.d_vocab_out),
    )


@dataclass(frozen=True)
class UniformWeights:
    """The weights of a transformer with uniform attention, under their roles; embed "a d": of the elements only.

    bias "1 i", out "1 z": the tables `bias` (of all neurons) and `constant`.
    """

    embed: Enclosure
    values: Enclosure
    output: Enclosure
    read: Enclosure
    write: Enclosure
    unembed: Enclosure
    bias: Enclosure
    out: Enclosure

    @staticmethod
    def of(setting: Setting, config: UniformAttention) -> "UniformWeights":
        """From the model."""
        constant, triple = constant_residual(setting, config), np.full((1, 1), 3, np.int64)
        values, output = weight(setting, _ATTENTION + "W_V"), weight(setting, _ATTENTION + "W_O")
        read, unembed = weight(setting, _MLP + "W_in"), weight(setting, "unembed.W_U")
        written = constant + _bias(setting, _MLP + "b_out", config.d_model).times(triple)
        return UniformWeights(
            weight(setting, "embed.W_E")[: config.d_vocab - 1],
            values,
            output,
            read,
            weight(setting, _MLP + "W_out"),
            unembed,
            constant @ read + _bias(setting, _MLP + "b_in", config.d_mlp).times(triple),
            written @ unembed + _bias(setting, "unembed.b_U", config.d_vocab_out).times(triple),
        )

    def most_of_others(self, others: IntArray, farthest: Enclosure) -> Enclosure:
        """The most "1 1" that some neurons can add to a difference of logits, no |e(a)| being greater than `farthest` "1"."""
        active = farthest * self.read[:, others].lengths()
        reach = (active + active + abs(self.bias[0, others])) * self.write[others].T.lengths()
        longest = self.unembed.lengths().max(0).reshape(1, 1)
        return reach.reshape(-1, 1).sum(0).reshape(1, 1) * (longest + longest)


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
    constant = here.times(triple) + everywhere @ values @ output
    return constant


def _uniform_attention(setting: Setting, config: UniformAttention, chosen: IntArray, others: IntArray) -> HiddenTables:
    weights = UniformWeights.of(setting, config)
    moved = weights.embed @ weights.values @ weights.output
    farthest = moved.T.lengths().max(0).reshape(1) if len(others) else None
    left = moved @ weights.read[:, chosen]
    return HiddenTables(
        left,
        left,
        weights.bias[:, chosen],
        weights.write[chosen] @ weights.unembed,
        moved @ weights.unembed,
        weights.out,
        zeros(setting, 1, 1) if farthest is None else weights.most_of_others(others, farthest),
        True,
        len(chosen) * (config.d_vocab - 1 + config.d_vocab_out),
    )


def _bias(setting: Setting, name: str, width: int) -> Enclosure:
    return weight(setting, name) if name in setting.model.tensors else zeros(setting, 1, width)
