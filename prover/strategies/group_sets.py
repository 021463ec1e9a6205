"""Strategies `rho-sets` and `cosets`: neurons sit on finite sets on which the group acts; every pair at once, or none.

The rule is set-output, for all pairs at once. What the interpretations claim becomes the choice of the kernels; all else the
checker computes from the weights.
"""

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from certificates.tensor_file import IntArray
from prover.error_terms import ERRORS, ErrorTerms
from prover.layers.complete_sets import CompleteNetwork, nearest_complete
from prover.layers.group_actions import identity, is_group
from prover.layers.group_interpretations import coset_deviation, coset_kernel
from prover.layers.group_set_bound import fitted_t, set_bound, sets_step
from prover.layers.group_set_search import Cluster, SetProof, any_kernel, search, transitive_sets
from prover.layers.hidden_layer import HiddenLayer, hidden_layer
from prover.layers.two_input_problem import TwoInputProblem
from prover.strategies.evaluated_pairs import pairs_evidence
from prover.strategy import DoesNotFit, Evidence, Strategy
from prover.surrogate import Claims, Surrogate
from prover.weights import Weights

_PULL, _SMOOTH, _NOTHING = 10.0, 1e-12, 1e-300


@dataclass(frozen=True)
class GroupSets(Strategy):
    """Base of both strategies."""

    cost: ClassVar[str] = "m X Y + n X Y"
    rules: ClassVar[tuple[str, ...]] = ("hidden-tables", "set-output", "coded-output")
    rate: ClassVar[float] = 5e-3

    @abstractmethod
    def kernel(self, cluster: Cluster) -> IntArray | None:
        """The kernel "x y" that the interpretation has for a cluster of neurons, if any."""

    def deviation(self, problem: TwoInputProblem, proof: SetProof) -> float:
        """How far the network is from what the interpretation claims beside, in logits."""
        return 0.0

    def found(self, problem: TwoInputProblem) -> SetProof:
        """The best proof. Raises DoesNotFit if the rules are not about such networks or tasks."""
        hidden, table = problem.hidden, problem.task.table
        if hidden.direct.any() or hidden.unembed.shape[1] != len(table):
            raise DoesNotFit(f"{self.name} is about networks without a direct path, and with one output for each element")
        if not is_group(table):
            raise DoesNotFit(f"{self.name} is about the multiplication table of a group")
        return search(hidden, table, transitive_sets(table), self.kernel)

    def prove(self, problem: TwoInputProblem) -> Evidence:
        """Certify all pairs, or none."""
        proof = self.found(problem)
        if proof.worst <= problem.required + problem.tolerance:
            nothing = np.zeros(problem.task.table.shape, np.bool_)
            return pairs_evidence(problem, (problem.hidden_step(problem.neurons),), "coded-output", nothing, {}, {})
        steps = problem.hidden_step(proof.neurons), sets_step(problem.task.table, proof.blocks)
        return Evidence(steps, problem.total, problem.total, np.ones(problem.task.table.shape, np.bool_))

    def surrogate(self, problem: TwoInputProblem) -> Surrogate:
        """One claim, about all pairs, by the best proof's blocks; and a pull towards the nearest network on whole sets.

        Margins are relative to all that makes them, errors included, so that the pull decides where almost nothing holds yet.
        """
        proof, layer, table = self.found(problem), problem.layer, problem.task.table
        target = nearest_complete(problem.hidden, table, transitive_sets(table), self.kernel)
        if target is None and not proof.blocks:
            raise DoesNotFit(f"{self.name} finds no sets that are small enough for all their cells to have neurons")
        neurons = torch.as_tensor(proof.neurons)
        rivals = torch.as_tensor(np.delete(np.arange(len(table)), identity(table)))
        first = [fitted_t(layer, block) for block in proof.blocks]
        at = int(np.argmin(proof.margin))
        usual = sum(float(2 * bound.gap[at] - bound.margin[at]) for bound in proof.bounds) + proof.leftover + proof.bias

        def claims(weights: Weights, temperature: float) -> Claims:
            now = hidden_layer(weights, problem.model.config)
            margin = -(now.slack(neurons) + now.constant.amax() - now.constant.amin()).expand(len(rivals))
            for block, guess in zip(proof.blocks, first, strict=True):
                t = torch.as_tensor(block.t, device=guess.device) + fitted_t(now, block) - guess
                margin = margin + set_bound(now, table, block, t, temperature).margin[rivals]
            pull = None if target is None else _PULL * _apart(now, target)
            return Claims(margin[None] / max(usual, _NOTHING), margin.new_ones(1), pull)

        return claims

    def error_terms(self, problem: TwoInputProblem) -> ErrorTerms:
        """What makes the margin of the best proof, at the element for which it is least."""
        proof = self.found(problem)
        at = int(np.argmin(proof.margin))
        gap, left, right, unevenness = (
            float(sum(getattr(bound, name)[at] for bound in proof.bounds)) for name in ("gap", "left", "right", "unevenness")
        )
        unembedding = float(sum(bound.unembedding for bound in proof.bounds))
        others = proof.bias, proof.leftover, self.deviation(problem, proof)
        terms = ErrorTerms(gap, left, right, unembedding, unevenness, *others)
        return replace(terms, conclusion=_conclusion(terms, proof, problem.tolerance))


@dataclass(frozen=True)
class RhoSets(GroupSets):
    """Wu et al. 2025: any kernel that is invariant under the group."""

    name: ClassVar[str] = "rho-sets"
    summary: ClassVar[str] = "neurons on finite sets on which the group acts, with the kernels that fit best; all pairs or none"
    origin: ClassVar[str] = "Wu et al. 2025. The bound, from weights alone, is of this project."
    vacuous: ClassVar[str] = (
        "If an orbit is incomplete: every cell needs a neuron. Or if errors exceed the gap; `prover interpret` says "
        "which. Then try `structured-output`, or fine-tune with this strategy."
    )

    def kernel(self, cluster: Cluster) -> IntArray | None:
        """The one that fits best."""
        return any_kernel(cluster)


@dataclass(frozen=True)
class Cosets(GroupSets):
    """Stander et al. 2024: both sets are the same, and neurons tell by two values whether ab is in a coset.

    Of the claim, the proof uses that X = Y and K(x, y) = [x ~ y] (layers/group_interpretations). That mu(y) = -lam(x) where
    x ~ y, so that preactivations vanish there, the rule does not need: it takes lam and mu from the weights, neuron by neuron.
    How far this is from true, in logits, is the term `beside` of a report.
    """

    name: ClassVar[str] = "cosets"
    summary: ClassVar[str] = "rho-sets where X = Y and the kernel tells whether ab is in a coset; all pairs or none"
    origin: ClassVar[str] = (
        "Stander et al. 2024, put into the words of Wu et al. 2025. The bound, from weights alone, is of this project."
    )
    vacuous: ClassVar[str] = (
        "If an orbit is incomplete: every cell needs a neuron. Or if errors exceed the gap; `prover interpret` says "
        "which. Then try `structured-output`, or fine-tune with this strategy."
    )

    def kernel(self, cluster: Cluster) -> IntArray | None:
        """[x ~ y]."""
        return coset_kernel(cluster)

    def deviation(self, problem: TwoInputProblem, proof: SetProof) -> float:
        """By how much preactivations fail to vanish where x ~ y."""
        return sum(coset_deviation(problem.hidden, problem.task.table, block) for block in proof.blocks)


def _apart(layer: HiddenLayer, target: CompleteNetwork) -> Tensor:
    """The distance of two networks, as a sum of lengths: the pull does not weaken on the way, and in the end all arrive."""
    pairs = (
        (layer.left.T + layer.bias[:, None], target.left.T),
        (layer.right.T, target.right.T),
        (layer.unembed, target.unembed),
    )
    squares = [(now - torch.as_tensor(then, device=now.device)).square().sum(1) for now, then in pairs]
    return torch.stack(squares).add(_SMOOTH).sqrt().sum()


def _conclusion(terms: ErrorTerms, proof: SetProof, tolerance: float) -> str:
    if proof.worst > tolerance:
        return f"every pair is certified: of a gap of {terms.gap:.3g}, errors leave {terms.margin:.3g}"
    lacking = max(proof.incomplete, key=lambda orbits: orbits.reach, default=None)
    if lacking is not None:
        sizes = f"{lacking.first} x {lacking.second}"
        return f"vacuous: of {lacking.cells} cells of the {sizes} orbit at most {lacking.filled} have neurons"
    if not proof.blocks:
        return "vacuous: no neurons sit on sets as the interpretation has them"
    worst = max(ERRORS, key=lambda name: terms.errors[name])
    return f"vacuous: errors of {terms.gap - terms.margin:.3g}, most of them {worst}, exceed the gap of {terms.gap:.3g}"
