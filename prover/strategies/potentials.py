"""Strategy `potentials`: a transformer on inputs that differ in what its last layer adds up."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from certificates import Step, Transformer, integer_tensor
from certificates.tensor_file import IntArray
from prover.problem import Problem
from prover.strategy import DoesNotFit, Evidence, Strategy, switch
from prover.surrogate import Surrogate
from prover.transformer.finer_automaton import ReadSums
from prover.transformer.last_layer import COUNTED, RECENT, classes_that_fit, last_layer
from prover.transformer.pattern_search import Multipliers
from prover.transformer.problem import TransformerProblem
from prover.transformer.ratio_boxes import BINS, RatioBoxes
from prover.transformer.read_evidence import evidence_of_reads, merged_tables
from prover.transformer.sum_margins import sum_margins
from prover.transformer.token_numbers import token_numbers
from prover.transformer.token_sums import DividedInputs
from prover.transformer.token_terms import Summands

_COARSEST, _MOST_HEADS = 2, 6
"""The first grid that is tried. The checker takes so many heads."""


@dataclass(frozen=True)
class Potentials(Strategy):
    """See checker/transformer/potentials."""

    name: ClassVar[str] = "potentials"
    cost: ClassVar[str] = "reads V (V K + states) (d_mlp + d_vocab_out)"
    summary: ClassVar[str] = "sums over all tokens, exactly, through the MLP: for tasks that count or add"
    rules: ClassVar[tuple[str, ...]] = (
        "transformer-forward",
        "prefix-classes",
        "potentials",
        "all-reads",
        "joint-reads",
        "further-inputs",
        "disjoint-sum",
    )
    origin: ClassVar[str] = "Of this project."
    vacuous: ClassVar[str] = (
        "If the denominators of the heads' softmax go different ways, or units are neither on nor off throughout a "
        "region. Try `--set fine=10`, then `regions`, then fine-tune with this strategy. Of several layers: if those before "
        "the last see more than classes of prefixes tell (`--set recent=2`), or if attention weights are too far apart "
        "for 30 bits (`--precision 45`)."
    )
    any_task: ClassVar[bool] = True

    linear: int = switch(1, "1: potentials linear in the sum of the tokens' numbers, if the task has such numbers")
    fine: int = switch(8, "if it has none: grids of what heads sum up are made finer up to 2^-fine")
    states: int = switch(20_000, "the most states of a finer automaton, for each read and query")
    recent: int = switch(1, RECENT)
    counted: int = switch(1, COUNTED)

    @classmethod
    def sweep(cls, problem: Problem) -> tuple[Self, ...]:
        """One number, or coarse grids of what heads sum up, or none; fine ones take long where there are many reads."""
        return cls(), cls(linear=0, fine=0), cls(linear=0, fine=4)

    def prove(self, problem: Problem) -> Evidence:
        """At each read, divide the inputs by a number, or by finer and finer grids."""
        about, steps = self.fitting(problem), list[Step]()
        layer = last_layer(about, self.recent, self.counted)
        numbers = None if layer.by_state else token_numbers(about.required_automaton)
        for read in problem.track(range(len(about.reads)), self.name):
            sums = [ReadSums(about, layer, read, query) for query in layer.queries(read)]
            met = np.any([one.met for one in sums], axis=0)
            if numbers is None:
                divided = [DividedInputs.of(one, one.greatest(met), one.refined(None, [], np.inf)) for one in sums]
            else:
                divided = [DividedInputs.by_number(one, one.greatest(met), numbers) for one in sums]
            boxes = self._in_boxes(Summands(about, about.weights), divided)
            multipliers = boxes.multipliers() if self.linear and numbers is not None else None
            steps.append(potentials_step(read, boxes if multipliers else self._refined(boxes), multipliers))
        return evidence_of_reads(about, steps, layer.step)

    def at_milestones(self) -> "Potentials":
        """Exact sums, and coarse grids: models that are not tuned yet make all of them finer, for nothing."""
        return replace(self, linear=0, fine=min(self.fine, _COARSEST))

    def surrogate(self, problem: Problem) -> Surrogate:
        """Leads of regions, mostly of those that fail."""
        about = self.fitting(problem)
        rng = np.random.default_rng(int(about.model.digest()[:16], 16))
        return sum_margins(about, last_layer(about, self.recent, self.counted), rng)

    def _in_boxes(self, summands: Summands, divided: Sequence[DividedInputs]) -> RatioBoxes:
        """In as few boxes of ratios as prove most."""
        best = RatioBoxes.of(summands, divided, 1)
        for bins in BINS[1:] if divided[0].corners == 2 else ():
            if best.count == best.regions:
                break
            found = RatioBoxes.of(summands, divided, bins)
            best = found if found.count > best.count else best
        return best

    def _refined(self, boxes: RatioBoxes) -> RatioBoxes:
        """Regions that are not proved are divided by finer and finer grids."""
        for fine in range(_COARSEST, self.fine + 1, 2):
            if boxes.count == boxes.regions:
                break
            divided = list[DividedInputs]()
            for inputs, proved in zip(boxes.divided, boxes.proved, strict=True):
                finer = inputs.sums.refined(inputs.automaton, inputs.automaton.settled(proved), 2.0**-fine)
                divided.append(DividedInputs.of(inputs.sums, inputs.greatest, finer))
            if max(sum(own.sizes) for own in divided) > self.states:
                break
            boxes = self._in_boxes(boxes.searches[0].summands, divided)
        return boxes

    def fitting(self, problem: Problem) -> TransformerProblem:
        """See Strategy."""
        config = problem.model.config
        if not isinstance(problem, TransformerProblem) or not isinstance(config, Transformer):
            raise DoesNotFit(f"{self.name} is for models of the architecture `transformer`")
        with_units = config.act_fn == "relu" and not config.gated_mlp and config.normalization_type is None
        if config.n_heads > _MOST_HEADS or not (config.attn_only or with_units):
            raise DoesNotFit(
                f"{self.name} is for up to {_MOST_HEADS} heads, without an MLP or with one of ReLU units that no norm "
                "precedes; try --strategy regions"
            )
        automaton = problem.automaton
        if automaton is None:
            raise DoesNotFit(f"{self.name} is about tasks that are automata: give one with --task FILE.json")
        order = automaton.order.tolist()
        for position, steps in automaton.reads.tolist():
            seen = range(position + 1 if config.attention_dir == "causal" else len(order))
            if not set(seen) <= set(order[:steps]):
                raise DoesNotFit(f"the read at position {position} sees tokens that the task reads later; try regions")
        classes_that_fit(problem, self.recent, self.counted)
        return problem


def potentials_step(read: int, boxes: RatioBoxes, multipliers: Sequence[Multipliers] | None) -> Step:
    """The rule's step for a read by its number: with multipliers for each box, or with the sums of every state."""
    divided, numbers, proved = boxes.divided, list[IntArray](), boxes.proved
    if multipliers is not None:
        proved = boxes.in_all([own.proved for own in multipliers])
        numbers = [own.numbers[step] for step in range(len(divided[0].numbers)) for own in divided]
    config, corners = boxes.searches[0].summands.problem.model.config, divided[0].corners
    others, rivals, units = config.n_heads - 1, config.d_vocab_out - 1, config.d_mlp
    hints = boxes.hints(proved)
    hints |= {
        "queries": np.array([own.sums.query for own in divided]),
        **merged_tables(divided),
        "slopes": np.rint(hints["slopes"] * 256).astype(np.int64),
        "ratios": _scaled(hints["ratios"]),
        "enforced": _scaled(hints["enforced"]),
        "numbers": np.concatenate(numbers) if numbers else np.zeros(0, np.int64),
        "inner": _stacked([part for box in multipliers or () for part in box.inner], 2 * (units * corners + others)),
        "outer": _stacked([part for box in multipliers or () for part in box.outer], rivals * corners),
    }
    return Step("potentials", (0,), {"read": read}, {name: integer_tensor(hint) for name, hint in hints.items()})


def _stacked(parts: Sequence[np.ndarray], columns: int) -> IntArray:
    """Multipliers, the first ones repeated where there are fewer."""
    most = max((len(part) for part in parts), default=0)
    rows = [np.concatenate([part, np.repeat(part[:1], most - len(part), axis=0)]) for part in parts]
    return _scaled(np.stack(rows)) if rows else np.zeros((0, 0, columns), np.int64)


def _scaled(numbers: np.ndarray) -> IntArray:
    return np.asarray(np.rint(numbers * 2.0**24), np.int64)
