"""Two earlier interpretations of group networks, as claims to be measured against the rule `group-sets`.

cosets (Stander et al., "Grokking group multiplication with cosets", 2024): a neuron's left side is constant on right cosets of
a subgroup, its right side on the left cosets of a conjugate, the preactivation vanishes exactly where ab is in a coset of that
conjugate, and the unembedding tells membership in this coset. In terms of sets: X = Y, mu = -lam, and K(x, y) tells x = y.

irreps (Chughtai et al., "A toy model of universality", 2023): the embeddings hold matrix entries of real representations rho(a)
and rho(b), the neurons multiply them, and the logits are the sum over rho of c_rho chi_rho(a b z^-1).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from certificates.tensor_file import IntArray
from prover.group_actions import FloatArray, GroupSet, identity, inverses, orbits, real_characters
from prover.group_set_search import GroupSetBlock, Layer, Placed, clusters, fitted

_LEAST_SHARE = 0.02


def coset_blocks(sets: Sequence[GroupSet], layer: Layer, table: IntArray, tolerance: float) -> list[GroupSetBlock]:
    """Blocks as of group_set_search.group_set_blocks, made to agree with the claim; other neurons are left over."""
    blocks = []
    for first, second, groups in clusters(sets, layer, table, tolerance):
        if first is not second:
            continue
        orbit = orbits(first, second)
        graphs = [number for number in range(int(orbit.max()) + 1) if (orbit == number).sum() == first.size]
        for group in groups:
            partners = {graph: np.argmax(orbit == graph, 1) for graph in graphs}  # of each x, the y with K(x, y) = 1
            graph = min(graphs, key=lambda graph, one=group[0], partners=partners: _off(one, partners[graph]))
            partner = partners[graph]
            blocks.append(fitted(layer, table, first, second, orbit, [_as_coset(one, graph, partner) for one in group]))
    return blocks


def _off(placed: Placed, partner: IntArray) -> float:
    """How far mu is from -lam."""
    return float(((placed.lam + placed.mu[partner]) ** 2).sum())


def _as_coset(placed: Placed, graph: int, partner: IntArray) -> Placed:
    """The neuron with the nearest functions that meet the claim."""
    lam = (placed.lam - placed.mu[partner]) / 2
    mu = np.empty_like(lam)
    mu[partner] = -lam
    kernel = np.zeros_like(placed.kernel)
    kernel[graph] = placed.kernel[graph] - np.delete(placed.kernel, graph).mean()
    return Placed(placed.neuron, placed.beta, placed.gamma, lam, mu, kernel)


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
    def proof_margin(self) -> float:
        """The claim's margin less what the parts deviate; positive would be a proof."""
        return self.gap - self.left - self.right - self.hidden - self.unembedding


def irrep_claim(layer: Layer, table: IntArray) -> IrrepClaim:
    """Fit the claim with the representations that hold at least 2% of the unembedding, and measure it."""
    size, one, inverse = len(table), identity(table), inverses(table)
    idempotents = np.array([chi * chi[one] / size for chi in real_characters(table)])
    unembed = layer.unembed - layer.unembed.mean(1, keepdims=True)
    projections = idempotents[:, table[inverse]]  # "r g h": e_rho(g^-1 h)
    shares = np.array([((unembed @ projection) ** 2).sum() for projection in projections]) / (unembed**2).sum()
    trivial = np.array([np.ptp(idempotent) < 1e-9 for idempotent in idempotents])
    used = np.flatnonzero((shares >= _LEAST_SHARE) & ~trivial)
    onto = projections[used].sum(0)
    active = np.maximum(layer.left[:, None] + layer.right, 0)  # "a b i"
    by_product = np.zeros_like(layer.left)
    np.add.at(by_product, table.ravel(), active.reshape(size * size, -1) / size)
    kept = by_product.mean(0) + onto @ (by_product - by_product.mean(0))
    reach = np.ptp(layer.unembed, axis=1)
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
        outside(layer.left),
        outside(layer.right),
        float(np.abs(active - kept[table]).max((0, 1)) @ reach),
        float(active.max((0, 1)) @ np.ptp(unembed - unembed @ onto, axis=1)),
        float((errors - right_answer).max()),
    )
