"""Rule `mlp-quadrature`: a ReLU layer after uniform attention integrates numerically, frequency by frequency.

The task is addition modulo p, p >= 3, with one output for each residue. w = 2 pi / p; E[a] are the rows of the embedding, a
below p; u_i(a, b) is what neuron i's ReLU is applied to after the tokens a, b and "="; U = W_out W_U. What the neurons add to
the logits has, at frequency k, the Fourier coefficients X_k(a, b) = 2/p sum_z (cos(k w z), sin(k w z)) sum_i relu(u_i(a, b))
U_i(z).

*Theorem.* For each claimed frequency k, with its amplitude A and error e, for all a and b below p,

    |X_k(a, b) - A |cos(k w (a - b) / 2)| (cos(k w (a + b)), sin(k w (a + b)))|  <=  e       (Euclidean length).

*Ideal neurons.* Neuron i is given a claimed frequency k, a size A_i >= 0 and a phase y_i, one of the N-th parts of the
circle, N = 2 p `parts`; all neurons of a frequency share numbers q, r. Ideally it reads A_i (cos(k w a - y_i) + q cos(2 k w a
- 2 y_i)) from a, the same from b, and a constant r A_i. As cos(x + t) + cos(x - t) = 2 cos t cos x, these add up to A_i F(x -
y_i), with F(x) = 2 cos t cos x + 2 q cos 2t cos 2x + r, x = k w (a + b) / 2, t = k w (a - b) / 2. Changing the sign of cos t
is moving x by pi, N/2 parts; so let cos t >= 0. Then t takes no other values than those for a - b = 0 .. p/2. With f =
relu(F), ideal neurons add sum_i g_i A_i f(x - y_i) to X_k, where g_i = 2/p sum_z (cos(k w z), sin(k w z)) U_i(z). Lemma 2 of
phase_sums takes this sum over phases apart. Of the neurons of frequency k, the harmonic 2 is to be A cos t (cos 2x, sin
2x); the other harmonics, and all harmonics of the neurons of other frequencies, are errors.

*Deviations.* Let v_i be u_i less what is ideal. As relu(u) = (u + |u|) / 2, X_k differs from what ideal neurons add by at
most half of |sum_i g_i v_i| + sum_i |g_i| |v_i|. With waves j that are "read", E[a] is E_0, plus cos(j w a) c_j + sin(j w a)
s_j for all j, plus a rest R[a], for any c_j and s_j: the rule takes Fourier coefficients. So v_i(a, b) is a constant d_i,
plus for all j (cos(j w a) + cos(j w b)) d_ij + (sin(j w a) + sin(j w b)) d'_ij, plus (R[a] + R[b]) V W_in,i / 3, where V =
W_V W_O. The second part is 2 cos(j w (a - b) / 2) (cos y d_ij + sin y d'_ij) with y = j w (a + b) / 2, so at most 2 |(d_ij,
d'_ij)|, and the sum over i of g_i times it at most 2 sway (lemma 1 there). As to the third, by the lemma of rules/projections
with a basis G and Frobenius norms, |R[a] V W_in,i| <= |R[a] V G| |G^T W_in,i| + |R[a]| |W_V| |W_O| t_i, where t_i is the rest
of W_in,i.

Nothing here takes more operations than a product of a matrix of weights by a few columns (for each frequency, wave and column
of G), p^2 `parts` for each frequency, and p `parts` for each neuron and frequency. No table of neurons and inputs is formed.

*Parameters:* `parts` (1 to 16), `scale`, `tilt` of the basis. *Hints:* `frequency` "k" and `read` "j", 1 to p - 1;
`amplitude`, `error` "k" in units of 2**-scale; `second`, `bias` "k": q and r in units of 2**-30; `basis` "d r"; for the
neurons, `group` "i" (the number of its frequency in the list), `phase` "i" (0 to N - 1), and `size` "i": 3 p A_i in units of
2**-scale. *Checked:* that frequencies differ, and waves; that for each frequency k, k or -k and 2k or -2k modulo p are among
the waves; that amplitudes and sizes are not negative; and the inequality.
"""

from collections.abc import Sequence

import numpy as np

from certificates.certificate import Step
from certificates.mlp_statement import FrequencyClaim
from certificates.tensor_file import IntArray
from certificates.two_inputs import UniformAttention
from checker.core.enclosed_weights import ones, weight
from checker.core.enclosures import Enclosure
from checker.core.errors import Refused
from checker.core.facts import Fact, Setting, take_hints, take_parameters
from checker.layers.circle import Circle
from checker.layers.composition import composition
from checker.layers.hidden_tables import constant_residual
from checker.layers.phase_sums import bends, coefficient_bounds, length, sway
from checker.layers.quadrature_claims import MLPQuadrature
from checker.rules.projections import UNIT_BITS, Basis, hinted

_ATTENTION, _MLP = "blocks.0.attn.", "blocks.0.mlp."
_MOST_PARTS = 16


def mlp_quadrature(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> MLPQuadrature:
    """Apply the rule. Takes no premises. Below, u_i is multiplied by 3p; X_k by p/2, 3p, 4 and N, in all by 6 p^2 N."""
    parts, scale, tilt = take_parameters(step, "parts", "scale", "tilt")
    config, p = setting.model.config, composition(setting).d_vocab
    if premises or not isinstance(config, UniformAttention):
        raise Refused("mlp-quadrature takes no premises, and is about transformers with uniform attention")
    if not composition(setting).is_addition or config.d_vocab_out != p or p < 3:
        raise Refused("mlp-quadrature is about addition modulo at least 3, with one output for each residue")
    if not 1 <= parts <= _MOST_PARTS:
        raise Refused(f"parts: a number from 1 to {_MOST_PARTS}")
    hints = _hints(setting, step, config, 2 * p * parts)
    circle = Circle.of(setting, 2 * p * parts)
    frequency, claims = hints["frequency"], len(hints["frequency"])
    size = hinted(setting, hints["size"].reshape(1, -1), scale)
    second, bias = (hinted(setting, hints[name].reshape(1, -1), UNIT_BITS) for name in ("second", "bias"))

    cos, sin, cos_twice, sin_twice = (circle.at(n * hints["phase"][None])[:, part] for n in (1, 2) for part in (0, 1))
    doubled = size * second[:, hints["group"]]
    ideal = (size * cos, size * sin, doubled * cos_twice, doubled * sin_twice, size * bias[:, hints["group"]])
    deviation, rest = _deviations(setting, config, circle, hints, ideal, Basis.of(setting, hints["basis"], tilt))
    unembed = weight(setting, "unembed.W_U") @ _waves(circle, frequency, p).T
    g = weight(setting, _MLP + "W_out") @ unembed  # i 2k
    total = _error_of_deviations(deviation, rest, g).times(np.full((1, 1), circle.parts, np.int64))

    whole = np.full((1, 1), 3 * p**2 * circle.parts, np.int64)
    amplitude, error = (hinted(setting, hints[name].reshape(1, -1), scale).times(whole) for name in ("amplitude", "error"))
    weights = (size.T * g).times(np.full((1, 1), 4, np.int64))
    bounds = coefficient_bounds(setting, circle.parts)
    for number in range(claims):
        neurons = np.flatnonzero((hints["group"] == number) & (hints["size"] > 0))
        t = frequency[number] * np.arange(p // 2 + 1).reshape(-1, 1) * parts
        values = _profiles(circle, t, second[:, number : number + 1], bias[:, number : number + 1])
        wanted = abs(circle.at(t)[:, 0]) * amplitude[:, number : number + 1]
        total = total + _error_of_sum(circle, bounds, values, hints["phase"][neurons], weights[neurons], number, wanted)
    proved = (error + error - total).positive()[0]
    if not proved.all():
        raise Refused(f"the error claimed of frequency {frequency[np.argmin(proved)]} is not proved")
    claimed = zip(*(hints[name].tolist() for name in ("frequency", "amplitude", "error")), strict=True)
    told = (deviation.shape[0] + 2 * claims) * config.d_mlp
    return MLPQuadrature(scale, tuple(FrequencyClaim(*claim) for claim in claimed), told)


def _hints(setting: Setting, step: Step, config: UniformAttention, parts: int) -> dict[str, IntArray]:
    claims = step.hints["frequency"].shape if "frequency" in step.hints else ()
    shapes: dict[str, tuple[int | None, ...]] = {"read": (None,), "basis": (config.d_model, None)}
    shapes |= dict.fromkeys(("frequency", "amplitude", "error", "second", "bias"), claims)
    shapes |= dict.fromkeys(("group", "phase", "size"), (config.d_mlp,))
    hints, p = take_hints(setting, step, **shapes), composition(setting).d_vocab
    for name in ("frequency", "read"):
        listed = hints[name]
        beyond = listed.ndim != 1 or not 0 < len(listed) < p or np.any((listed < 1) | (listed >= p))
        if beyond or len(np.unique(listed)) < len(listed):
            raise Refused(f"{name}: one or more different numbers from 1 to {p - 1}")
    for name, end in (("group", len(hints["frequency"])), ("phase", parts), ("size", 1 << 53), ("amplitude", 1 << 53)):
        if np.any((hints[name] < 0) | (hints[name] >= end)):
            raise Refused(f"{name}: numbers from 0 to {end - 1}")
    return hints


def _deviations(
    setting: Setting,
    config: UniformAttention,
    circle: Circle,
    hints: dict[str, IntArray],
    ideal: Sequence[Enclosure],
    basis: Basis,
) -> tuple[Enclosure, Enclosure]:
    """d, below it all d_ij, then all d'_ij ("j i"); and the most that the rest of one input can do, "1 i"."""
    p, into = composition(setting).d_vocab, weight(setting, _MLP + "W_in")
    embed = weight(setting, "embed.W_E")[:p]
    values, output = weight(setting, _ATTENTION + "W_V"), weight(setting, _ATTENTION + "W_O")
    p_times, triple = np.full((1, 1), p, np.int64), np.full((1, 1), 3, np.int64)
    waves = ones(setting, 1, p).concatenate([_waves(circle, hints["read"], p)], axis=0)
    told = (waves @ embed).times(np.where(np.arange(waves.shape[0]) == 0, 1, 2).reshape(-1, 1))
    rest = embed.times(p_times) - waves.T @ told
    carried = told @ values @ output @ into
    constant = constant_residual(setting, config) @ into
    if _MLP + "b_in" in setting.model.tensors:
        constant = constant + weight(setting, _MLP + "b_in").times(triple)
    constant = carried[:1] + carried[:1] + constant.times(p_times)
    deviation = constant.concatenate([carried[1:]], axis=0)
    for part, places in zip(ideal, _places(setting, hints, p), strict=True):
        deviation = deviation - part.times(places)
    inside = (rest @ (values @ (output @ basis.matrix))).T.lengths().max(0).reshape(1, 1)
    along, outside = basis.parts(into.T)
    farthest = rest.T.lengths().max(0).reshape(1, 1) * _frobenius(values) * _frobenius(output)
    return deviation, inside * along.T.lengths().reshape(1, -1) + farthest * outside.reshape(1, -1).sqrt()


def _waves(circle: Circle, frequencies: IntArray, p: int) -> Enclosure:
    """Cosines of all frequencies at the p residues, and below them all sines: "2j a"."""
    waves = circle.at(frequencies[:, None] * np.arange(p) * (circle.parts // p))
    return waves[:, 0].concatenate([waves[:, 1]], axis=0)


def _places(setting: Setting, hints: dict[str, IntArray], p: int) -> IntArray:
    """Where among the deviations an ideal neuron has its cosines and sines, those of twice the frequency, and its constant."""
    read, group = hints["read"], hints["group"]
    every, rows = np.arange(len(group)), 1 + 2 * len(read)
    setting.meter.hold(8 * 5 * rows * len(group))
    places = np.zeros((5, rows, len(group)), np.int64)
    for harmonic in (1, 2):
        wave = harmonic * hints["frequency"].reshape(-1, 1) % p
        same, found = read == wave, (read == wave) | (read == -wave % p)
        if not found.any(axis=1).all():
            raise Refused("the waves of every frequency and of twice the frequency must be read")
        where = np.argmax(found, axis=1)
        sign = np.where(same[np.arange(len(wave)), where], 1, -1)
        places[2 * harmonic - 2, 1 + where[group], every] = 1
        places[2 * harmonic - 1, 1 + len(read) + where[group], every] = sign[group]
    places[4, 0] = 1
    return places


def _frobenius(matrix: Enclosure) -> Enclosure:
    return matrix.reshape(-1, 1).lengths().reshape(1, 1)


def _error_of_deviations(deviation: Enclosure, rest: Enclosure, g: Enclosure) -> Enclosure:
    """Four times the error, "1 k"."""
    waves, claims = deviation.shape[0] // 2, g.shape[1] // 2
    together = deviation @ g
    most = length(deviation[1 : 1 + waves], deviation[1 + waves :]).sum(0).reshape(1, -1)
    each = abs(deviation[:1]) + most.times(np.full((1, 1), 2, np.int64)) + rest.times(np.full((1, 1), 4, np.int64))
    error = each @ length(g[:, :claims], g[:, claims:]) + length(together[:1, :claims], together[:1, claims:])
    error = error + sway(together[1 : 1 + waves], together[1 + waves :]).sum(0).reshape(1, -1)
    return error + error


def _profiles(circle: Circle, t: IntArray, second: Enclosure, bias: Enclosure) -> Enclosure:
    """The functions f, "t n"."""
    places = np.arange(circle.parts).reshape(1, -1)
    once = abs(circle.at(t)[:, 0]) * circle.at(places)[:, 0]
    twice = circle.at(2 * t)[:, 0] * second * circle.at(2 * places)[:, 0]
    return ((once + twice).times(np.full((1, 1), 2, np.int64)) + bias).relu()


def _error_of_sum(
    circle: Circle, bounds: Enclosure, values: Enclosure, phase: IntArray, weights: Enclosure, number: int, wanted: Enclosure
) -> Enclosure:
    """By how much a sum over neurons is off what is wanted: `wanted` "t 1" at the frequency `number`, nothing at others."""
    claims = weights.shape[1] // 2
    own = (np.arange(claims) == number).astype(np.int64).reshape(1, -1)
    if not len(phase):
        return (wanted + wanted).max(0).reshape(1, 1).times(own)
    harmonics = np.arange(circle.parts // 2 + 1).reshape(-1, 1)
    values.meter.allocate(len(harmonics) * len(phase) * values.element_bytes)
    at_phases = circle.at(harmonics * phase)
    p, q = (at_phases[:, part] @ weights for part in (0, 1))
    bound = bounds * bends(values).max(0).reshape(1, 1)
    others = (bound * sway(p[1:], q[1:])).times(1 - (harmonics[1:] == 2) * own).sum(0).reshape(1, -1)
    steady = values.sum(1).reshape(-1, 1).max(0).reshape(1, 1) * length(p[:1, :claims], p[:1, claims:])
    twice = values @ circle.at(2 * np.arange(circle.parts).reshape(-1, 1))[:, 0]
    columns = np.array([number, claims + number])
    ahead = twice * p[2:3, columns] - wanted.times(np.array([[1, 0]]))
    across = twice * q[2:3, columns] - wanted.times(np.array([[0, 1]]))
    return others + steady + sway(ahead, across).max(0).reshape(1, 1).times(own)
