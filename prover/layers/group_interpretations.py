"""Two earlier interpretations of group networks, as claims to be measured.

cosets (Stander et al., "Grokking group multiplication with cosets", 2024): a neuron's left side is constant on right cosets of
a subgroup, its right side on the left cosets of a conjugate, the preactivation vanishes exactly where ab is in a coset of that
conjugate, and the unembedding tells membership in this coset. In terms of sets: X = Y, x ~ y is the graph of a map that
commutes with the action, mu(y) = -lam(x) where x ~ y, and K(x, y) tells whether x ~ y.

irreps (Chughtai et al., "A toy model of universality", 2023): the embeddings hold matrix entries of real representations rho(a)
and rho(b), the neurons multiply them, and the logits are the sum over rho of c_rho chi_rho(a b z^-1).
"""

from dataclasses import dataclass

import numpy as np
import torch

from certificates.tensor_file import IntArray
from prover.error_terms import ErrorTerms
from prover.layers.group_actions import FloatArray, identity, inverses, isotypic_projections
from prover.layers.group_set_bound import SetBlock, profiles, sides
from prover.layers.group_set_search import Cluster
from prover.layers.two_input_problem import Hidden

_LEAST_SHARE = 0.02


def coset_kernel(cluster: Cluster) -> IntArray | None:
    """The kernel [x ~ y] for the ~ for which mu is nearest to -lam, if X = Y."""
    if cluster.first is not cluster.second:
        return None
    graphs = [cluster.orbit == number for number in range(int(cluster.orbit.max()) + 1)]
    related = [graph for graph in graphs if graph.sum() == len(graph)]
    nearest = min(related, key=lambda graph: float(((cluster.lam + cluster.mu[:, np.argmax(graph, 1)]) ** 2).sum()))
    return nearest.astype(np.int64)


def coset_deviation(hidden: Hidden, table: IntArray, block: SetBlock) -> float:
    """How far preactivations are from vanishing where x ~ y: what it makes of differences of logits at most."""
    left, right = (torch.as_tensor(side) for side in sides(hidden.of(block.neurons), table))
    lam, mu = profiles(left, block.first, block.beta)[0].numpy(), profiles(right, block.second, block.gamma)[0].numpy()
    partner = np.argmax(block.kernel, 1)
    return float(np.abs(lam + mu[partner]).max(0) @ np.ptp(hidden.unembed[block.neurons], axis=1))


@dataclass(frozen=True)
class IrrepClaim:
    """How far a network is from logits = sum of c_rho chi_rho(a b z^-1), in differences of logits.

    ranks (squared dimensions, for real types) and coefficients "r" of the representations used; gap: the claim's least margin.
    Bounds that add the deviation of each part, neuron by neuron: left, right (from the span of matrix entries of rho), hidden
    (activations from functions of ab), unembedding (from the span). actual: the largest error of a difference of logits, which
    costs brute force.
    """

    ranks: FloatArray
    coefficients: FloatArray
    gap: float
    left: float
    right: float
    hidden: float
    unembedding: float
    actual: float

    @property
    def terms(self) -> ErrorTerms:
        """The same as terms of a report; what makes activations no functions of ab is unevenness."""
        errors = self.left + self.right + self.hidden + self.unembedding
        used = " + ".join(f"{rank:.0f}" for rank in self.ranks)
        conclusion = (
            f"vacuous: what single neurons deviate adds up to {errors:.3g}, the gap is {self.gap:.3g} (representations with "
            f"{used} matrix entries in fact explain all differences of logits to within {self.actual:.3g})"
        )
        return ErrorTerms(self.gap, self.left, self.right, self.unembedding, self.hidden, 0.0, 0.0, self.actual, conclusion)


def irrep_claim(hidden: Hidden, table: IntArray) -> IrrepClaim:
    """Fit the claim with the representations that hold at least 2% of the unembedding, and measure it."""
    size, one, inverse = len(table), identity(table), inverses(table)
    projections = isotypic_projections(table)
    idempotents = projections[:, one]
    unembed = hidden.unembed - hidden.unembed.mean(1, keepdims=True)
    shares = np.array([((unembed @ projection) ** 2).sum() for projection in projections]) / (unembed**2).sum()
    used = np.flatnonzero(shares >= _LEAST_SHARE)
    onto = projections[used].sum(0)
    active = np.maximum((hidden.left + hidden.bias)[:, None] + hidden.right, 0)  # "a b i"
    by_product = np.zeros_like(hidden.left)
    np.add.at(by_product, table.ravel(), active.reshape(size * size, -1) / size)
    kept = by_product.mean(0) + onto @ (by_product - by_product.mean(0))
    reach = np.ptp(hidden.unembed, axis=1)
    logits = active @ unembed
    by_place = np.zeros(size)
    np.add.at(by_place, table[table[:, :, None], inverse].ravel(), logits.ravel() / size**2)  # mean over ab z^-1 = g
    coefficients = np.array([idempotents[k] @ by_place / (idempotents[k] @ idempotents[k]) for k in used])
    claim = coefficients @ idempotents[used]
    errors = logits - claim[table[table[:, :, None], inverse]]
    right_answer = np.take_along_axis(errors, table[:, :, None], 2)

    def outside(side: FloatArray) -> float:
        centred = side - side.mean(0)
        return float(np.abs(centred - onto @ centred).max(0) @ reach)

    return IrrepClaim(
        idempotents[used, one] * size,
        coefficients,
        float(claim[one] - np.delete(claim, one).max()),
        outside(hidden.left),
        outside(hidden.right),
        float(np.abs(active - kept[table]).max((0, 1)) @ reach),
        float(active.max((0, 1)) @ np.ptp(unembed - unembed @ onto, axis=1)),
        float((errors - right_answer).max()),
    )
