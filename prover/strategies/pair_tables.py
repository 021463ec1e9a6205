"""Strategy `pair-tables`: a transformer of two layers whose second layer relates pairs of neighbouring tokens."""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from certificates import Step, Transformer, integer_tensor
from prover.problem import Problem
from prover.strategy import DoesNotFit, Evidence, Strategy, switch
from prover.surrogate import Surrogate
from prover.transformer.neighbours import Observed, neighbour_margins
from prover.transformer.problem import TransformerProblem
from prover.transformer.read_evidence import evidence_of_reads

_MEAN_BITS = 24


@dataclass(frozen=True)
class PairTables(Strategy):
    """See checker/transformer/pair_tables."""

    name: ClassVar[str] = "pair-tables"
    cost: ClassVar[str] = "K V^3 d_vocab_out^2"
    summary: ClassVar[str] = "two layers, the first of which looks at neighbours: copying, matching"
    rules: ClassVar[tuple[str, ...]] = ("transformer-forward", "pair-tables", "all-reads", "further-inputs", "disjoint-sum")
    origin: ClassVar[str] = (
        "The mechanism, a head that looks at the token before and one that matches: Olsson et al. 2022. The proof is "
        "of this project."
    )
    vacuous: ClassVar[str] = (
        "If the first layer attends to other tokens than neighbours, as it mostly does after training: at the last "
        "position it may see itself only (with `before=1` its neighbour, too). Then fine-tune with this strategy."
    )
    any_task: ClassVar[bool] = True

    before: int = switch(0, "1: tell inputs apart by the last token but one, too (takes d_vocab times as long)")
    head: int = switch(-1, "the head of the second layer that is looked at closely, or -1: the one that matters most")

    @classmethod
    def sweep(cls, problem: Problem) -> tuple[Self, ...]:
        """Both ways to tell inputs apart."""
        return cls(), cls(before=1)

    def prove(self, problem: Problem) -> Evidence:
        """There is little to search for: keys that scores are compared with, and about what all heads but one add."""
        about = self.fitting(problem)
        observed = Observed(about)
        head = observed.head() if self.head < 0 else self.head
        means = np.asarray(np.rint(observed.means(head) * 2**_MEAN_BITS), np.int64)
        hints = {"means": integer_tensor(means), "references": integer_tensor(observed.references(head))}
        step = Step("pair-tables", (0,), {"before": self.before, "head": head}, hints)
        return evidence_of_reads(about, [step])

    def surrogate(self, problem: Problem) -> Surrogate:
        """Leads on inputs that are nearly wrong, and attention that goes nowhere else."""
        about = self.fitting(problem)
        rng = np.random.default_rng(int(about.model.digest()[:16], 16))
        return neighbour_margins(about, bool(self.before), rng)

    def fitting(self, problem: Problem) -> TransformerProblem:
        """See Strategy."""
        config = problem.model.config
        if not isinstance(problem, TransformerProblem) or not isinstance(config, Transformer):
            raise DoesNotFit(f"{self.name} is for models of the architecture `transformer`")
        plain = config.attn_only and config.normalization_type is None and not config.use_qk_norm and not config.rotary_dim
        plain = plain and config.positional_embedding_type != "alibi" and config.pad_token < 0
        if config.n_layers != 2 or config.attention_dir != "causal" or not plain:
            raise DoesNotFit(
                f"{self.name} is for causal models of two layers, attention only, without norms, rotary embedding, ALiBi and "
                "padding; try --strategy enumerate"
            )
        automaton = problem.automaton
        if automaton is None:
            raise DoesNotFit(f"{self.name} is about tasks that are automata: give one with --task FILE.json")
        last, order = len(automaton.order) - 1, automaton.order
        if automaton.reads.tolist() != [[last, last + 1]] or np.any(np.diff(order[order < last]) < 0):
            raise DoesNotFit(
                f"{self.name} is about models that are read at the last position only, and tasks that read the other positions "
                "from the first to the last; try --strategy enumerate"
            )
        if self.before not in (0, 1) or not -1 <= self.head < config.n_heads:
            raise DoesNotFit(f"{self.name} has before=0 or 1, and a head from 0 to {config.n_heads - 1}, or -1")
        return problem
