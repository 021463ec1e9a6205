"""Strategy `dictionary`: every neuron of the hidden layer writes along few atoms of one dictionary (rule dictionary-output)."""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from certificates import RawTensor
from prover.layers.dictionaries import Codes, train
from prover.layers.examined_pairs import ExaminedPairs, surrogate_by_pairs
from prover.layers.factor_search import improved
from prover.layers.hidden_layer import HiddenLayer
from prover.layers.output_factors import Factors, low_rank_leads, mean_size, proved_pairs
from prover.layers.two_input_problem import Hidden, TwoInputProblem
from prover.strategies.evaluated_pairs import pairs_evidence
from prover.strategies.low_rank_output import OPEN
from prover.strategy import DoesNotFit, Evidence, Strategy
from prover.surrogate import Surrogate

_SCALE_BITS = 24


@dataclass(frozen=True)
class DictionaryOutput(Strategy):
    """atoms, sparsity: of the dictionary, and how many of them a neuron writes along. objective: 0: the dictionary reconstructs
    the unembedding (a TopK autoencoder, unless one is given), 1: it is then moved to where it proves the most. pairwise: as for
    low-rank-output, as is projected.
    """

    rule: ClassVar[str] = "dictionary-output"
    name: ClassVar[str] = "dictionary"
    cost: ClassVar[str] = "n^2 (m s + n r)"
    summary: ClassVar[str] = "every neuron writes along few atoms of a dictionary, the rest bounded by lengths"

    atoms: int = 16
    sparsity: int = 2
    objective: int = 0
    pairwise: int = 1
    projected: int = 1

    @classmethod
    def sweep(cls, problem: TwoInputProblem) -> tuple[Self, ...]:
        """Small dictionaries and larger ones."""
        return tuple(cls(atoms, sparsity) for atoms in (8, 12, 16, 24) for sparsity in (1, 2, 3))

    def prove(self, problem: TwoInputProblem) -> Evidence:
        """Train (or take the dictionary that is given), and list the pairs for which the bound holds beyond rounding."""
        problem = problem.projected(OPEN) if self.projected else problem
        factors, sparsity, scale = self._found(problem)
        neurons = problem.neurons
        right = proved_pairs(problem, neurons, factors, self.pairwise)
        codes = Codes.of_matrix(factors.left.cpu().numpy(), sparsity)
        used, places = np.unique(codes.atoms, return_inverse=True)
        numbers = {
            "codes": codes.values,
            "dictionary": factors.right[0].cpu().numpy()[used],
            "centre": factors.centre.cpu().numpy(),
        }
        if factors.features is not None:
            shapes = factors.features.cpu().numpy()[:, :, used]
            numbers |= {"left_features": shapes[0], "right_features": shapes[1]}
        integers = {name: np.rint(np.ldexp(n, scale)).astype(np.int64) for name, n in numbers.items()}
        hints = {"atoms": places.reshape(codes.atoms.shape), **integers}
        stored = {name: RawTensor.of_integers(hint) for name, hint in hints.items()}
        parameters = {"pairwise": self.pairwise, "scale": scale}
        return pairs_evidence(problem, (problem.hidden_step(neurons),), self.rule, right, parameters, stored)

    def surrogate(self, problem: TwoInputProblem) -> Surrogate:
        """The pairs, by the dictionary and the codes found."""
        folded = problem.projected(OPEN) if self.projected else problem
        factors, neurons, left_open = self._found(folded)[0], torch.as_tensor(folded.neurons), 4 * folded.left_open

        def leads(layer: HiddenLayer, pairs: ExaminedPairs, temperature: float) -> Tensor:
            found = low_rank_leads(layer, neurons, factors, self.pairwise, pairs, temperature)
            return found - 4 * layer.slack(neurons) - left_open

        return surrogate_by_pairs(problem, leads)

    def _found(self, problem: TwoInputProblem) -> tuple[Factors, int, int]:
        """Factors of one block in units of 2**-scale, how many entries each row of the first has, and scale."""
        switches = {self.objective, self.pairwise, self.projected}
        if self.atoms < 1 or not 1 <= self.sparsity <= self.atoms or not switches <= {0, 1}:
            raise DoesNotFit(f"{self.name} needs 1 <= sparsity <= atoms; all other switches are 0 or 1")
        neurons = problem.neurons
        factors, sparsity = self._reconstruction(problem, problem.hidden.of(neurons))
        if self.objective:
            factors = improved(problem, neurons, factors, sparsity, self.pairwise)
        rounded, scale = factors.rounded(_SCALE_BITS)
        return rounded, sparsity, scale

    def _reconstruction(self, problem: TwoInputProblem, hidden: Hidden) -> tuple[Factors, int]:
        """Factors of one block that reconstruct the unembedding, and how many entries each row of the first has."""
        rows = hidden.unembed - hidden.unembed.mean(1, keepdims=True)
        given = problem.dictionary
        if given is not None and (given.sides != 1 or given.atoms.shape[1] != rows.shape[1]):
            raise DoesNotFit(f"the dictionary has atoms of {given.atoms.shape[1]} numbers, the unembedding has {rows.shape[1]}")
        found = given or train(rows, self.atoms, self.sparsity)
        sparsity = min(self.sparsity, len(found.atoms))
        codes = found.encode(rows, sparsity)
        parts = (codes.matrix(len(found.atoms)), found.atoms[None], mean_size(hidden))
        return Factors(np.zeros(1, np.int64), *(torch.as_tensor(part, device=problem.device) for part in parts)), sparsity
