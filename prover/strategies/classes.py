"""Strategy `classes`: how many tokens of which level of harm an input has (prover/attention/group_chain_search).

Coarse to fine: rivals are first taken in a few blocks. Only cells that this does not prove completely are searched again, with
blocks that are chosen for every label such that nothing is lost: rivals that may come close to it stand alone, the others in
blocks as large as their distance allows. The disjoint parts are added.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from certificates import Step
from prover.attention.full_prefixes import full_prefixes
from prover.attention.group_chain_search import Claims, adapted_blocks, cell_sizes, claim_classes
from prover.attention.pessimistic_tables import contiguous_blocks
from prover.attention.sequence_problem import SequenceProblem
from prover.strategy import DoesNotFit, Evidence, Strategy, switch
from prover.surrogate import Surrogate

_LARGEST = 2 * 10**10
"""Terms that a search may look at: some minutes' worth."""


@dataclass(frozen=True)
class Classes(Strategy):
    """See the module's docstring."""

    name: ClassVar[str] = "classes"
    cost: ClassVar[str] = "V^3 blocks"
    summary: ClassVar[str] = "how many tokens of which level of harm per (query, true output, copies)"
    rules: ClassVar[tuple[str, ...]] = ("additive-tables", "group-chains", "disjoint-sum")
    origin: ClassVar[str] = (
        "The cubic proof of Gross et al. 2024 looks at the same cells. Levels of harm, and blocks chosen for each "
        "label, are of this project."
    )
    vacuous: ClassVar[str] = (
        "If in every cell other tokens may take more than the copies of the true output add. Then evaluate inputs "
        "one by one, with `exact` or `brute-force`."
    )

    blocks: int = switch(1, "blocks of neighbouring rivals in the first stage; 0: each rival alone")
    fine: int = switch(1, "1: a second stage, with blocks chosen for each label; 0: none")

    @classmethod
    def sweep(cls, problem: SequenceProblem) -> tuple[Self, ...]:
        """Coarse stages alone, then with the second stage."""
        return (*(cls(blocks, fine=0) for blocks in (1, 4, 16)), cls())

    def largest(self, problem: SequenceProblem) -> Mapping[str, int]:
        """As many blocks as there are rivals."""
        return {"blocks": problem.model.config.d_vocab_out}

    def surrogate(self, problem: SequenceProblem) -> Surrogate:
        """Cells in which every smaller token is harmless."""
        return full_prefixes(problem)

    def prove(self, problem: SequenceProblem) -> Evidence:
        """Search stage by stage."""
        if self.blocks < 0 or self.fine not in (0, 1):
            raise DoesNotFit("classes needs blocks >= 0 and fine 0 or 1")
        outputs = problem.model.config.d_vocab_out
        rivals = outputs if self.fine or not self.blocks else self.blocks
        work = problem.d_vocab**3 * problem.n_ctx * rivals
        if work > _LARGEST:
            raise DoesNotFit(
                f"the search looks at about {work:.1e} terms, more than {_LARGEST:.0e}; "
                f"use {'classes with fine=0, ' if self.fine else ''}pessimized or thresholds"
            )
        sizes = cell_sizes(problem)
        block = contiguous_blocks(outputs, self.blocks)
        joint = int(block.max()) + 1 < outputs  # with every rival alone nothing is gained by it
        coarse = claim_classes(problem, block, joint, sizes > 0)
        steps = [coarse.step(block, joint)] if coarse.rows else []
        if not self.fine:
            return _evidence(problem, [coarse], steps)
        complete = coarse.count() == sizes
        coarse.keep(complete)
        wanted = (sizes > 0) & ~complete
        block_of_label = adapted_blocks(problem, wanted)
        fine = claim_classes(problem, block_of_label, False, wanted)
        steps = [coarse.step(block, joint)] if coarse.rows else []
        steps += [fine.step(block_of_label, False)] if fine.rows else []
        return _evidence(problem, [coarse, fine], steps)


def _evidence(problem: SequenceProblem, stages: list[Claims], parts: list[Step]) -> Evidence:
    """All claims, added."""
    cells = sum((claims.count().sum(axis=2) for claims in stages), np.zeros((problem.d_vocab, problem.d_vocab), object))
    steps = (Step("additive-tables"), *parts) if parts else ()
    if len(parts) != 1:
        steps = (*steps, Step("disjoint-sum", tuple(range(1, len(parts) + 1))))
    return Evidence(steps, int(cells.sum()), problem.total, cells)
