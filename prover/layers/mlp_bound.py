"""The bound of rule mlp-quadrature in float64; theorem and notation are those of checker/layers/mlp_quadrature."""

from dataclasses import dataclass

import numpy as np

from certificates import UniformAttention
from certificates.tensor_file import IntArray
from prover.layers.group_actions import FloatArray
from prover.layers.two_input_problem import TwoInputProblem
from prover.strategy import DoesNotFit
from prover.weights import load_weights

_ATTENTION, _MLP = "blocks.0.attn.", "blocks.0.mlp."


@dataclass(frozen=True)
class Layer:
    """What the rule looks at: embed "a d", values "d e", output "e d", into "d i", write "i d", unembed "d z".

    constant "i": what the ReLUs are applied to, times 3, for embeddings of 0.
    """

    embed: FloatArray
    values: FloatArray
    output: FloatArray
    into: FloatArray
    write: FloatArray
    unembed: FloatArray
    constant: FloatArray

    @staticmethod
    def of(problem: TwoInputProblem) -> "Layer":
        """Raises DoesNotFit if the rule is not about this model and task."""
        config, p = problem.model.config, len(problem.task.table)
        if not isinstance(config, UniformAttention):
            raise DoesNotFit("mlp-quadrature is about transformers with uniform attention")
        if not problem.task.is_addition or config.d_vocab_out != p or p < 3:
            raise DoesNotFit("mlp-quadrature is about addition modulo at least 3, with one output for each residue")
        weights = {name: tensor.cpu().numpy() for name, tensor in load_weights(problem.model, problem.device).items()}
        embed, positions = weights["embed.W_E"], weights["pos_embed.W_pos"]
        values = weights[_ATTENTION + "W_V"].transpose(1, 0, 2).reshape(config.d_model, -1)
        output = weights[_ATTENTION + "W_O"].reshape(-1, config.d_model)
        here = embed[p] + positions[2] + weights[_ATTENTION + "b_V"].reshape(-1) @ output + weights[_ATTENTION + "b_O"]
        constant = 3 * here + (positions.sum(0) + embed[p]) @ values @ output
        into = weights[_MLP + "W_in"]
        return Layer(
            embed[:p],
            values,
            output,
            into,
            weights[_MLP + "W_out"],
            weights["unembed.W_U"],
            constant @ into + 3 * weights[_MLP + "b_in"],
        )

    @property
    def p(self) -> int:
        """The modulus."""
        return len(self.embed)

    def towards(self, frequency: IntArray) -> FloatArray:
        """The g "i k" of the theorem, as complex numbers."""
        angle = 2 * np.pi * np.outer(np.arange(self.p), frequency) / self.p
        g: FloatArray = self.write @ (self.unembed @ np.exp(1j * angle)) * (2 / self.p)
        return g

    def waves(self, read: IntArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """What each input makes the neurons read, times 3: a constant "i" and waves "j i" (d - i d'); and the rest R "a d"."""
        phasor = np.exp(2j * np.pi * np.outer(read, np.arange(self.p)) / self.p)
        mean, told = self.embed.mean(0), phasor.conj() @ self.embed * (2 / self.p)
        rest = self.embed - mean - (phasor.T @ told).real
        carried = np.vstack([mean, told]) @ self.values @ self.output @ self.into
        return carried[0].real, carried[1:], rest


@dataclass(frozen=True)
class Interpretation:
    """Everything a certificate says but amplitudes and errors: the hints of the rule, in real numbers; phase "i" in parts."""

    frequency: IntArray
    read: IntArray
    group: IntArray
    size: FloatArray
    phase: IntArray
    second: FloatArray
    bias: FloatArray
    basis: FloatArray
    tilt: int
    parts: int


@dataclass(frozen=True)
class Bound:
    """For the frequencies "k": deviation: what deviations of neurons may do. others: what harmonics but the second may.

    main "k t", complex: the second harmonic of the quadrature, which is to be A |cos t|; cosine "k t": |cos t|.
    """

    deviation: FloatArray
    others: FloatArray
    main: FloatArray
    reverse: FloatArray
    cosine: FloatArray

    def error(self, amplitude: FloatArray) -> FloatArray:
        """The error "k" at these amplitudes "k"."""
        off = np.abs(self.main - amplitude[:, None] * self.cosine) + np.abs(self.reverse)
        error: FloatArray = self.deviation + self.others + off.max(1)
        return error


def bound_of(layer: Layer, said: Interpretation) -> Bound:
    """As the rule computes it. All that is linear in the ReLUs' arguments is three times too large, and g makes up for it."""
    g = layer.towards(said.frequency) / 3
    constant, waves, rest = layer.waves(said.read)
    total = 2 * said.parts * layer.p
    angle = 2 * np.pi * said.phase / total
    deviation = np.vstack([2 * constant + layer.constant - said.size * said.bias[said.group], waves])
    columns = np.arange(len(said.group))
    for harmonic, amplitude in ((1, said.size), (2, said.size * said.second[said.group])):
        wave = harmonic * said.frequency[:, None] % layer.p
        same = said.read == wave
        found = same | (said.read == -wave % layer.p)
        place = found.argmax(1)
        phasor = amplitude * np.exp(-1j * harmonic * angle)
        forward = same[np.arange(len(place)), place][said.group]
        deviation[1 + place[said.group], columns] -= np.where(forward, phasor, phasor.conj())
    each = np.abs(deviation[0]) + 2 * np.abs(deviation[1:]).sum(0) + 4 * _rest(layer, rest, said)
    cosines, sines = deviation[1:].real, -deviation[1:].imag
    error = each @ np.abs(g) + np.abs(deviation[0].real @ g) + 2 * sway(cosines @ g, sines @ g).sum(0)
    others, main, reverse, cosine = np.zeros(len(said.frequency)), [], [], []
    for k, frequency in enumerate(said.frequency):
        here = said.group == k
        t = np.pi * frequency * np.arange(layer.p // 2 + 1)[:, None] / layer.p
        values = profiles(t, total, said.second[k], said.bias[k])
        bends = np.abs(np.roll(values, 1, 1) + np.roll(values, -1, 1) - 2 * values).sum(1).max()
        h = np.arange(1, total // 2 + 1)
        weights = said.size[here, None] * g[here]
        p, q = (part(np.outer(h, angle[here])) @ weights for part in (np.cos, np.sin))
        coefficient = bends * (total / (np.pi * h) ** 2 + 0.6 / total) / 4
        harmonics = 2 * coefficient[:, None] * sway(p, q)
        harmonics[1, k] = 0
        others += harmonics.sum(0) + values.mean(1).max() * np.abs(weights.sum(0))
        second = 2 * (values * np.cos(4 * np.pi * np.arange(total) / total)).mean(1)
        main.append(second * (p[1, k] - 1j * q[1, k]) / 2)
        reverse.append(second * (p[1, k] + 1j * q[1, k]) / 2)
        cosine.append(np.abs(np.cos(t[:, 0])))
    return Bound(error / 2, others, np.array(main), np.array(reverse), np.array(cosine))


def sway(p: FloatArray, q: FloatArray) -> FloatArray:
    """At most max over y of |cos y P + sin y Q|, for vectors of the plane as complex numbers."""
    swayed: FloatArray = (np.abs(p - 1j * q) + np.abs(p + 1j * q)) / 2
    return swayed


def profiles(t: FloatArray, parts: int, second: float, bias: float) -> FloatArray:
    """What a neuron of size 1 at phase 0 gives, "t x"."""
    x = 2 * np.pi * np.arange(parts) / parts
    summed: FloatArray = 2 * np.abs(np.cos(t)) * np.cos(x) + 2 * second * np.cos(2 * t) * np.cos(2 * x) + bias
    return np.maximum(summed, 0)


def _rest(layer: Layer, rest: FloatArray, said: Interpretation) -> FloatArray:
    """The most "i" that the rest of one input can do."""
    inside = np.linalg.norm(rest @ (layer.values @ (layer.output @ said.basis)), axis=1).max()
    along = said.basis.T @ layer.into
    share = 1 - 3 * 2.0**-said.tilt
    outside = np.sqrt(np.maximum((layer.into**2).sum(0) - share * (along**2).sum(0), 0))
    farthest = np.linalg.norm(rest, axis=1).max() * np.linalg.norm(layer.values) * np.linalg.norm(layer.output)
    bounds: FloatArray = inside * np.linalg.norm(along, axis=0) + farthest * outside
    return bounds
