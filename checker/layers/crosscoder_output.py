"""Rule `crosscoder-output`: one dictionary for what neurons read of either input and what they write.

A feature f has a shape on each side of the layer: l_f[a] and r_f[b], with which it reads g_f(a, b) = l_f[a] + r_f[b], and what
it writes, Q_f(z). Neuron i is described by codes P_if for few of them, the same on all sides: it writes P_i . Q, and its size
|x_i| is expected to be P_i . |g| + mu_i.

*Theorem.* Let T and s be those of a fact of hidden-tables, U = unembed and x = left[a] + right[b] + bias. For any real l, r,
P "i f", Q "f z" and mu "i", put g = l[a] + r[b], E = U - P Q, rho = |x| - |g| P^T - mu, and

    V = (|x| P) Q + |g| (P^T E) + mu E + (left U)[a] + (right U)[b] + bias U + 2 (direct[a] + direct[b] + constant).

Let D(y, z) be at least the length of the vector E(y) - E(z) over the neurons. If for every pair (a, b) marked, with the true
output c = ab, and every other output z

    V(c) - V(z)  >  |rho| D(c, z)  +  2 s        (outside V, | . | of a vector is its length),

then all marked pairs are classified correctly (and their mirror images; see pairs).

*Proof.* As for low-rank-output, 2 T = |x| U + x U + 2 (direct[a] + direct[b] + constant), x U = (left U)[a] + (right U)[b] +
bias U. Now |x| U = |x| P Q + |x| E, and |x| E = |g| P^T E + mu E + rho E. So 2 T(c) - 2 T(z) differs from V(c) - V(z) by
rho . (E(c) - E(z)), at most the product above (Cauchy and Schwarz): 2 T(c) - 2 T(z) > 2 s.

*What the error is made of.* Say that neuron i reads x^_i = sum_f s_if P_if g_f, with signs s_if of our choice. Then

    rho = (|x| - |x^|) + (|x^| - |g| P^T) - mu.

The first part is at most the error of reading, |x - x^|. The second is the *feature interaction*, twice that of the ReLU: the
linear halves of relu(x^) - sum_f P_if relu(s_if g_f) cancel. It is zero, whatever the input, for a neuron with one feature and
P_if >= 0. E is the error of writing. What the proof loses is a product, of reading and interaction with writing: nothing if
either is exact.

*Premise:* the tables. *Parameters:* `mirrored`, `pairwise` (as for low-rank-output), `scale`. *Hints:* `pairs` "a b" as there;
`atoms` "i k": numbers of features, each of which some neuron has; in units of 2**-scale `codes` "i k" (P_if is the sum of
codes[i, j] over the j with atoms[i, j] = f), `left_features` "a f" (l), `right_features` "b f" (r), `dictionary` "f z" (Q),
`centre` "i" (mu).
"""

from certificates.certificate import Step
from checker.core.errors import Refused
from checker.core.facts import CertifiedInputs, Fact, Setting, take_hints, take_parameters
from checker.layers.composition import composition
from checker.layers.dictionary_output import Codes
from checker.layers.facts import take_hidden_tables
from checker.layers.low_rank_output import Factors, Features
from checker.layers.pairs import Pairs
from checker.rules.projections import hinted


def crosscoder_output(setting: Setting, step: Step, premises: tuple[Fact, ...]) -> CertifiedInputs:
    """Apply the rule to the tables of a hidden layer."""
    tables = take_hidden_tables(step, premises)
    mirrored, pairwise, scale = take_parameters(step, "mirrored", "pairwise", "scale")
    size, (neurons, outputs) = composition(setting).d_vocab, tables.unembed.shape
    of_features = {"left_features": (size, None), "right_features": (size, None), "dictionary": (None, outputs)}
    of_neurons = {"atoms": (neurons, None), "codes": (neurons, None), "centre": (neurons,)}
    hints = take_hints(setting, step, pairs=(size, size), **of_features, **of_neurons)
    atoms, count = hints["atoms"], len(hints["dictionary"])
    if len(premises) != 1 or pairwise not in (0, 1):
        raise Refused("crosscoder-output takes one premise, and pairwise is 0 or 1")
    if {hints[side].shape[1] for side in ("left_features", "right_features")} != {count}:
        raise Refused("every feature has a shape on each side")
    codes = Codes.of(setting, atoms, hints["codes"], scale, count)
    pairs = Pairs.of(setting, tables, hints["pairs"], mirrored)
    left, right, dictionary = (hinted(setting, hints[side], scale) for side in of_features)
    described = codes.by_neurons(dictionary.T).T
    centre = hinted(setting, hints["centre"].reshape(1, -1), scale)
    features = Features(left, right, codes.by_neurons)
    Factors(described, dictionary, centre, codes.by_atoms, 2 * atoms.size, pairwise, features).require(tables, pairs)
    return pairs.certified(setting)
