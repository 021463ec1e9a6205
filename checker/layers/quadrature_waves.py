"""Rule `quadrature-waves`: as quadrature, by neurons that write a single frequency as well, without a table of p x p entries.

Notation of quadrature.

*Theorem.* Let neuron i also have numbers gamma_i, eta_i; put u_i(z) = gamma_i C(k_i z) + eta_i S(k_i z), E_i = U_i - u_i,
A_i^2 = alpha_i^2 + beta_i^2 and B_i^2 = gamma_i^2 + eta_i^2, A_i, B_i >= 0. For a frequency k and a sign + or - let

    P(s), Q(s) = sum over the neurons i of frequency k of relu(+-l_i(s)) times gamma_i, and times eta_i,
    X(s) = P(s) C(2ks) + Q(s) S(2ks),    Y(s) = Q(s) C(2ks) - P(s) S(2ks),
    M_k(+-, delta) = (1 - C(k delta)) min over s of X(s) - |S(k delta)| max over s of |Y(s)|.

If the inequality of quadrature holds for a d and all delta other than 0 with these M_k, and on its right-hand side
2 B_i + range(E_i) in the place of range(U_i) and the sum of 2 A_i range(E_i) added, the same pairs are classified correctly.

*Proof.* range(U_i) <= 2 B_i + range(E_i), as |u_i(z)| <= B_i. By the proof there, the sum of h_i (U_i(c) - U_i(z)) is thus at
least the sum of g_i (U_i(c) - U_i(z)) less that of e_i (2 B_i + range(E_i)), where g_i = 2 |C(k_i d)| relu(+-l_i(s)) for the
sign of C(k_i d). As 0 <= g_i <= 2 A_i, the former is at least the sum of g_i (u_i(c) - u_i(z)) less that of 2 A_i range(E_i).
The sum of relu(+-l_i(s)) u_i(z) over the neurons of a frequency k is P(s) C(kz) + Q(s) S(kz); at z = 2s + delta, by the
addition theorems, X(s) C(k delta) + Y(s) S(k delta), and X(s) at delta = 0. The difference of the two,
X(s) (1 - C(k delta)) - Y(s) S(k delta), is at least M_k(+-, delta), as C <= 1.

*Cost.* P and Q of the sign - are those of + less sums of l_i(s) gamma_i and l_i(s) eta_i, which are waves of frequency k.

*Premise, parameter, hints, checks:* as for quadrature, with hints `gamma`, `eta` "i" in units of 2**-scale.
"""

import numpy as np

from certificates.certificate import Step
from certificates.tensor_file import IntArray
from checker.core.enclosed_weights import ones
from checker.core.enclosures import Enclosure
from checker.core.facts import CertifiedInputs, Fact, Setting
from checker.layers.quadrature import ReadWaves


def quadrature_waves(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> CertifiedInputs:
    """Apply the rule to the tables of a hidden layer."""
    waves = ReadWaves.of(setting, step, premises, ("gamma", "eta"))
    gamma, eta = waves.hinted("gamma"), waves.hinted("eta")
    read, write = waves.hinted("alpha").concatenate([waves.hinted("beta")], axis=1), gamma.concatenate([eta], axis=1)
    unwritten = (waves.tables.unembed - (gamma * waves.cosine + eta * waves.sine)).range(1)
    reading, writing = read.T.lengths(), write.T.lengths()
    beside = ((reading + reading) * unwritten).reshape(-1, 1).sum(0)
    one = ones(setting, 1, 1)[0]

    residues = np.arange(waves.cos.shape[0])
    twice = 2 * residues % len(residues)

    def leads(here: IntArray) -> list[Enclosure]:
        cosine, sine = waves.cosine[here[0]], waves.sine[here[0]]
        above = waves.ideal[here].relu().T @ write[here]  # s 2
        wave = cosine.reshape(-1, 1).concatenate([sine.reshape(-1, 1)], axis=1)
        below = above - wave @ (read[here].T @ write[here])
        both = []
        for sums in (above, below):
            x = sums[:, 0] * cosine[twice] + sums[:, 1] * sine[twice]
            y = sums[:, 1] * cosine[twice] - sums[:, 0] * sine[twice]
            both.append((one - cosine) * x.min(0) - abs(sine) * abs(y).max(0))
        return both

    return waves.certified(leads, waves.allowed(writing + writing + unwritten) + beside)
