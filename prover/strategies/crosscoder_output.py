"""Strategy `crosscoder`: neurons read and write few features of one dictionary (rule coded-output)."""

from dataclasses import dataclass
from typing import ClassVar, Self

import torch

from prover.layers.crosscoder import Crosscoder, train
from prover.layers.output_factors import Factors
from prover.layers.two_input_problem import Hidden, TwoInputProblem
from prover.strategies.dictionary_output import DictionaryOutput
from prover.strategy import DoesNotFit, switch


@dataclass(frozen=True)
class CrosscoderOutput(DictionaryOutput):
    """A dictionary whose atoms have a part for each side: those that neurons read on the left and right, and write."""

    name: ClassVar[str] = "crosscoder"
    cost: ClassVar[str] = "n^2 (m s + n r)"
    summary: ClassVar[str] = "every neuron reads and writes few features of one dictionary, the rest bounded by lengths"
    rules: ClassVar[tuple[str, ...]] = ("hidden-tables", "coded-output")
    origin: ClassVar[str] = (
        "Crosscoders: Lindsey et al. 2024, the TopK variant: Gao et al. 2024. To describe weights by one, and to "
        "bound the rest, is of this project."
    )
    vacuous: ClassVar[str] = (
        "If there are too few atoms, or features interact within neurons. Try `--set atoms=24 --set sparsity=2`, "
        "then `dictionary`, which says nothing of what neurons read."
    )

    penalty: int = switch(1, "1: the TopK crosscoder is trained with the feature interaction as a penalty")
    single: int = switch(0, "1: each neuron keeps its largest feature only")

    @classmethod
    def sweep(cls, problem: TwoInputProblem) -> tuple[Self, ...]:
        """Small crosscoders and larger ones."""
        return tuple(cls(atoms, sparsity) for atoms in (8, 16, 24) for sparsity in (1, 2))

    def _reconstruction(self, problem: TwoInputProblem, hidden: Hidden) -> tuple[Factors, int]:
        """Factors with features that reconstruct all sides, and how many codes each neuron has."""
        if not {self.penalty, self.single} <= {0, 1}:
            raise DoesNotFit("penalty and single are 0 or 1")
        given = problem.dictionary
        if given is None:
            found = train(hidden, self.atoms, self.sparsity, self.penalty)
        else:
            found = Crosscoder.of_dictionary(given, hidden, self.sparsity)
        sparsity = 1 if self.single else min(self.sparsity, found.codes.shape[1])
        found = found.kept(sparsity)
        features = torch.stack([found.left, found.right])
        parts = (found.codes, found.output, found.centre(hidden), features)
        return Factors(*(part.to(problem.device) for part in parts)), sparsity
