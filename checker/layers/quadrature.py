"""Rule `quadrature`: addition modulo an odd p by neurons of a single frequency each.

Notation of hidden_tables, for tables that are symmetric: left = right. C(j) = cos(2 pi j / p), S(j) = sin(2 pi j / p).

*Theorem.* Let neuron i have a frequency k_i and numbers alpha_i, beta_i; put l_i(a) = alpha_i C(k_i a) + beta_i S(k_i a) and
e_i = 2 max_a |left[a, i] - l_i(a)| + |bias_i|. For a frequency k, a sign + or -, and residues s, delta modulo p let

    G(s, z) = sum over the neurons i of frequency k of relu(+-l_i(s)) U_i(z),
    M_k(+-, delta) = the minimum over s of G(s, 2s) - G(s, 2s + delta).

If for a residue d and all delta other than 0, with the sums over all frequencies and neurons,

    2 sum_k |C(kd)| M_k(sign of C(kd), delta)  >  sum_i e_i range(U_i) + 2 max_a range(direct[a]) + range(constant) + slack,

then all pairs (a, b) with a - b = 2d or a - b = -2d modulo p are classified correctly.

*Proof.* Let s = (a + b)/2 and a - b = 2d modulo p, so a = s + d and b = s - d. Then l_i(a) + l_i(b) = 2 C(k_i d) l_i(s), as
cos(u + v) + cos(u - v) = 2 cos u cos v and sin(u + v) + sin(u - v) = 2 sin u cos v. ReLU commutes with positive factors, so
relu(l_i(a) + l_i(b)) = 2 |C(k_i d)| relu(sign(C(k_i d)) l_i(s)), and as ReLU changes no faster than its argument, h_i(a, b) is
within e_i of that. Now c = a + b = 2s; let z = c + delta. The sum over i of h_i (U_i(c) - U_i(z)) is at least the left-hand
side, in which G is taken at its minimum over s, less the sum of e_i range(U_i). C is even, so -d gives the same.

*Premise:* the tables. *Parameter:* `scale`. *Hints:* for the neurons "i" `frequency` (1 to p - 1), `alpha`, `beta` in units of
2**-scale; `claimed` "d", d = 0 .. (p - 1)/2: 1 where the pairs with differences 2d and -2d are claimed, else 0. *Checked:* that
the task is addition modulo an odd p with one output for each residue, and the inequality.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from certificates.certificate import Step
from certificates.tensor_file import IntArray
from checker.core.enclosed_weights import zeros
from checker.core.enclosures import Enclosure
from checker.core.errors import Refused
from checker.core.facts import CertifiedInputs, Fact, Setting, take_hints, take_parameters
from checker.layers.circle import cosines_and_sines
from checker.layers.composition import composition
from checker.layers.facts import HiddenTables, take_hidden_tables
from checker.layers.pairs import certified_pairs
from checker.rules.projections import hinted


def quadrature(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> CertifiedInputs:
    """Apply the rule to the tables of a hidden layer."""
    waves = ReadWaves.of(setting, step, premises, ())
    ideal, unembed, zero = waves.ideal, waves.tables.unembed, zeros(setting, 1, 1)

    def leads(here: IntArray) -> list[Enclosure]:
        return [_least_leads(part.relu().T @ unembed[here]) for part in (ideal[here], zero - ideal[here])]

    return waves.certified(leads, waves.allowed(unembed.range(1)))


@dataclass(frozen=True)
class ReadWaves:
    """What neurons read, as single waves. cosine, sine "i a": C(k_i a), S(k_i a); ideal "i a": l_i(a); unread "i": e_i."""

    setting: Setting
    tables: HiddenTables
    hints: dict[str, IntArray]
    scale: int
    cos: Enclosure
    sin: Enclosure
    cosine: Enclosure
    sine: Enclosure
    ideal: Enclosure
    unread: Enclosure

    @staticmethod
    def of(setting: Setting, step: Step, premises: tuple[Fact, ...], more: tuple[str, ...]) -> "ReadWaves":
        """From premises, parameters and hints, which are checked; more: names of hints "i" of other rules."""
        tables = take_hidden_tables(step, premises)
        (scale,) = take_parameters(step, "scale")
        p, (neurons, outputs) = composition(setting).d_vocab, tables.unembed.shape
        if not p % 2 or outputs != p or not composition(setting).is_addition:
            raise Refused("quadrature is about addition modulo an odd number, with one output for each residue")
        if len(premises) != 1 or not tables.symmetric:
            raise Refused("quadrature takes one premise, the tables of a symmetric network")
        one_each = dict.fromkeys(("frequency", "alpha", "beta", *more), (neurons,))
        hints = take_hints(setting, step, claimed=(p // 2 + 1,), **one_each)
        frequency, claimed = hints["frequency"], hints["claimed"]
        if np.any((frequency < 1) | (frequency >= p)) or np.any((claimed < 0) | (claimed > 1)):
            raise Refused("frequencies are 1 to p - 1, and claimed is 0 or 1")

        cos, sin = cosines_and_sines(setting, p)
        alpha, beta = (hinted(setting, hints[name].reshape(-1, 1), scale) for name in ("alpha", "beta"))
        places = frequency[:, None] * np.arange(p) % p
        cosine, sine = cos[places], sin[places]
        ideal = alpha * cosine + beta * sine
        off = abs(tables.left.T - ideal).max(1)
        unread = off + off + abs(tables.bias.reshape(-1))
        return ReadWaves(setting, tables, hints, scale, cos, sin, cosine, sine, ideal, unread)

    def hinted(self, name: str) -> Enclosure:
        """Numbers of the neurons, "i 1"."""
        return hinted(self.setting, self.hints[name].reshape(-1, 1), self.scale)

    def allowed(self, reach: Enclosure) -> Enclosure:
        """The right-hand side of the theorem, "1", if reach "i" is at least range(U_i)."""
        tables = self.tables
        allowed = (self.unread * reach).reshape(-1, 1).sum(0) + tables.slack.reshape(1)
        allowed = allowed + tables.constant.range(1)
        if tables.direct is not None:
            direct = tables.direct.range(1).reshape(-1, 1).max(0)
            allowed = allowed + direct + direct
        return allowed

    def certified(self, leads: Callable[[IntArray], list[Enclosure]], allowed: Enclosure) -> CertifiedInputs:
        """Check the theorem for what is claimed. leads: from the neurons of a frequency to M(+, delta) and M(-, delta)."""
        frequency, claimed, p = self.hints["frequency"], self.hints["claimed"], self.tables.unembed.shape[1]
        residues, differences = np.arange(p), np.flatnonzero(claimed)
        total: Enclosure | None = None
        for k in np.unique(frequency):
            both = leads(np.flatnonzero(frequency == k))
            at = k * differences % p
            sign = ((4 * at > p) & (4 * at < 3 * p)).astype(np.int64)  # 1 where the cosine is negative
            term = abs(self.cos[at]).reshape(-1, 1) * both[0].reshape(1, p).concatenate([both[1].reshape(1, p)], axis=0)[sign]
            total = term if total is None else total + term
        assert total is not None
        proved = (total + total - allowed).positive()
        proved[:, 0] = True
        if not proved.all():
            raise Refused(
                f"the pairs with differences of 2 * {int(differences[np.argmin(proved.all(axis=1))])} are not proved correct"
            )
        difference = (residues[:, None] - residues) % p
        half = difference * ((p + 1) // 2) % p
        return certified_pairs(np.asarray(claimed[np.minimum(half, p - half)] == 1, np.bool_))


def _least_leads(values: Enclosure) -> Enclosure:
    """The minimum over s of G(s, 2s) - G(s, 2s + delta), "delta", from G "s z"."""
    p = values.shape[0]
    s = np.arange(p)
    shifted = values[s[:, None], (2 * s[:, None] + s) % p]
    return (shifted[:, :1] - shifted).min(0)
