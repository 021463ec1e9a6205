"""Strategy `dictionary`: every neuron of the hidden layer writes along few atoms of one dictionary (rule coded-output)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Self

import torch

from certificates import UniformAttention
from prover.layers.dictionaries import Codes, Dictionary, train
from prover.layers.factor_search import improved
from prover.layers.output_factors import Factors, mean_size
from prover.layers.two_input_problem import Hidden, TwoInputProblem
from prover.strategies.coded_output import Code, CodedOutput
from prover.strategy import DoesNotFit, switch
from prover.weights import load_weights


@dataclass(frozen=True)
class DictionaryOutput(CodedOutput):
    """A dictionary for what neurons write, trained here unless one is given."""

    name: ClassVar[str] = "dictionary"
    cost: ClassVar[str] = "n^2 (m s + n r)"
    summary: ClassVar[str] = "every neuron writes along few atoms of a dictionary, the rest bounded by lengths"
    rules: ClassVar[tuple[str, ...]] = ("hidden-tables", "coded-output")
    origin: ClassVar[str] = (
        "Dictionaries: Bricken et al. 2023, as TopK autoencoders: Gao et al. 2024. To describe weights by one, and "
        "to bound the rest, is of this project."
    )
    vacuous: ClassVar[str] = (
        "If there are too few atoms for what neurons write. Try `--set atoms=24 --set sparsity=3`, or `--set "
        "objective=1`, or give your own with `--dictionary`."
    )

    atoms: int = switch(16, "atoms of the dictionary")
    sparsity: int = switch(2, "how many atoms a neuron writes along")
    objective: int = switch(
        0, "0: the dictionary reconstructs the unembedding (a TopK autoencoder); 1: it is then moved to where it proves most"
    )
    pairwise: int = switch(1, "1: distances of rests of outputs one by one; 0: by their lengths")
    projected: int = switch(1, "1: the tables of a transformer by few directions; 0: folded exactly")

    @classmethod
    def sweep(cls, problem: TwoInputProblem) -> tuple[Self, ...]:
        """Small dictionaries and larger ones."""
        return tuple(cls(atoms, sparsity) for atoms in (8, 12, 16, 24) for sparsity in (1, 2, 3))

    def codes(self, problem: TwoInputProblem) -> Iterator[Code]:
        """One: that of a dictionary that is trained, unless one is given."""
        switches = {self.objective, self.pairwise, self.projected}
        if self.atoms < 1 or not 1 <= self.sparsity <= self.atoms or not switches <= {0, 1}:
            raise DoesNotFit(f"{self.name} needs 1 <= sparsity <= atoms; all other switches are 0 or 1")
        neurons = problem.neurons
        factors, sparsity = self._reconstruction(problem, problem.hidden.of(neurons))
        if self.objective:
            factors = improved(problem, neurons, factors, sparsity, self.pairwise)
        yield Code.of(neurons, Codes.of_matrix(factors.codes.cpu().numpy(), sparsity).atoms, factors)

    def _reconstruction(self, problem: TwoInputProblem, hidden: Hidden) -> tuple[Factors, int]:
        """Factors that reconstruct the unembedding, and how many codes each neuron has."""
        rows = hidden.unembed - hidden.unembed.mean(1, keepdims=True)
        given = problem.dictionary
        found = train(rows, self.atoms, self.sparsity) if given is None else _of_logits(given, problem, rows.shape[1])
        sparsity = min(self.sparsity, len(found.atoms))
        codes = found.encode(rows, sparsity)
        parts = (codes.matrix(len(found.atoms)), found.atoms, mean_size(hidden))
        return Factors(*(torch.as_tensor(part, device=problem.device) for part in parts)), sparsity


def _of_logits(given: Dictionary, problem: TwoInputProblem, outputs: int) -> Dictionary:
    """Atoms as what they add to the logits. Those of a transformer's residual stream, or of what its MLP adds to it, go through
    the unembedding, which is linear, as there is no final norm. Raises DoesNotFit if they are of another size.
    """
    width, config = given.atoms.shape[1], problem.model.config
    stream = config.d_model if isinstance(config, UniformAttention) else None
    if given.sides != 1 or width not in (outputs, stream):
        several = "" if given.sides == 1 else " on several sides"
        sizes = f"there are {outputs} logits" + ("" if stream is None else f", and {stream} numbers in the residual stream")
        raise DoesNotFit(f"the dictionary has atoms of {width} numbers{several}: {sizes}")
    if width == outputs:
        return given
    atoms = given.atoms @ load_weights(problem.model, problem.device)["unembed.W_U"].cpu().numpy()[:, :outputs]
    return Dictionary.of_atoms(atoms - atoms.mean(1, keepdims=True))
