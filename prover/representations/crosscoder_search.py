"""What a search of crosscoders found: what is certified, and what a network does whose neurons do what their features do.

The published comparison (Manning-Coe et al. 2026, not certified) lets every neuron use one feature only, of a crosscoder that
was trained with and without the feature interaction as a penalty. Here both are cut to the largest feature of each neuron.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from html import escape
from pathlib import Path

import torch
from rich.table import Table

from certificates import Step, read_certificate
from certificates.tensor_file import IntArray
from certificates.writing import write_atomically
from prover.layers.crosscoder import Crosscoder
from prover.layers.examined_pairs import ExaminedPairs
from prover.layers.two_input_problem import TwoInputProblem
from prover.strategies.crosscoder_output import CrosscoderOutput
from prover.studies.frontier import Frontier
from prover.studies.rounding import ceil_scientific, floor_percent
from prover.studies.runs import Result
from prover.studies.tables import html_table, terminal_table


@dataclass(frozen=True)
class CrosscoderTerms:
    """How far neurons are from what their features do, in floating point.

    accuracy: of the network whose neurons do what each of their features does, sum_f c_if relu(s_if g_f), and write what they
    wrote. The others are root mean squares over pairs, relative to the sizes |x| (writing: to the unembedding). left, right:
    errors of reading, constants shared equally. interaction: that of features. writing: what the dictionary leaves out.
    """

    accuracy: float
    left: float
    right: float
    interaction: float
    writing: float

    @staticmethod
    def of(problem: TwoInputProblem, neurons: IntArray, step: Step) -> "CrosscoderTerms":
        """Those of a step of rule coded-output with features about some neurons, computed where the problem is (a CPU)."""
        layer, hidden, chosen = problem.layer, problem.hidden.of(neurons), torch.as_tensor(neurons)
        found = Crosscoder.of_step(step, hidden)
        correct, sizes, interactions = 0.0, 0.0, 0.0
        for pairs in ExaminedPairs.every(problem).split():
            images = pairs.inputs(problem.mirrored)
            x = layer.left[pairs.first] + layer.right[pairs.second] + layer.bias
            seen = found.seen(pairs.first, pairs.second)
            interaction, active = found.interaction(seen), x.relu()
            active[:, chosen] = found.read(seen).relu() - interaction / 2  # sum_f c_if relu(s_if g_f)
            logits = active @ layer.unembed + layer.direct[pairs.first] + layer.direct[pairs.second] + layer.constant
            correct += float(images[pairs.lead(logits, logits) > 0].sum())
            sizes += float((images * x[:, chosen].square().sum(1)).sum())
            interactions += float((images * interaction.square().sum(1)).sum())
        errors = [float(error.square().sum(1).mean() / (sizes / problem.total)) ** 0.5 for error in found.of_reading(hidden)]
        unembed = torch.as_tensor(hidden.unembed - hidden.unembed.mean(1, keepdims=True))
        rest = unembed - found.codes @ found.output
        writing = float((rest - rest.mean(1, keepdim=True)).norm() / unembed.norm())
        return CrosscoderTerms(correct / problem.total, *errors, (interactions / sizes) ** 0.5, writing)


@dataclass(frozen=True)
class CrosscoderResult:
    """An accepted certificate of strategy crosscoder."""

    result: Result
    terms: CrosscoderTerms

    @property
    def switches(self) -> CrosscoderOutput:
        """How it was found."""
        return CrosscoderOutput(**self.result.parameters)

    @property
    def kind(self) -> str:
        """What was trained, and what of it was kept."""
        switches = self.switches
        if switches.sparsity == 1:
            return "one each"
        trained = f"{switches.sparsity} each, {'with' if switches.penalty else 'without'} penalty"
        return trained + (", cut to one" if switches.single else "")

    @property
    def cells(self) -> tuple[str, ...]:
        """A row of the table."""
        objective = "the bound" if self.switches.objective else "reconstruction"
        certified = floor_percent(self.result.correct, self.result.total)
        terms = (self.terms.left, self.terms.right, self.terms.interaction, self.terms.writing)
        accuracy = f"{100 * self.terms.accuracy:.2f}%"
        found = (objective, certified, ceil_scientific(self.result.operations), accuracy, *(f"{term:.3f}" for term in terms))
        return str(self.switches.atoms), self.kind, *found


_WORDS = ("features", "crosscoder", "objective")
_NUMBERS = ("certified", "operations", "accuracy", "left", "right", "interaction", "writing")


def crosscoder_results(problem: TwoInputProblem, frontier: Frontier, folder: Path) -> list[CrosscoderResult]:
    """Those of a search whose certificates are in a folder, by size and kind."""
    here, found = replace(problem, device=torch.device("cpu")), []
    for result in frontier.accepted:
        if result.strategy == CrosscoderOutput.name:
            tables, step = read_certificate(folder / f"{result.name}.cert")[0].steps
            terms = CrosscoderTerms.of(here, tables.hints["neurons"].integers(), step)
            found.append(CrosscoderResult(result, terms))
    return sorted(found, key=lambda one: (one.switches.objective, one.switches.atoms, one.kind))


def crosscoder_table(found: Sequence[CrosscoderResult]) -> Table:
    """One row for each, to be printed."""
    table = terminal_table("what features leave out", _WORDS, _NUMBERS)
    for one in found:
        table.add_row(*one.cells)
    return table


def single_feature_conclusion(found: Sequence[CrosscoderResult]) -> str:
    """What remains where every neuron has one feature, on average over all sizes."""
    lines = []
    for kind in sorted({one.kind for one in found if one.switches.single or one.switches.sparsity == 1}):
        some = [one for one in found if one.kind == kind and not one.switches.objective]
        if some:
            certified = sum(one.result.correct / one.result.total for one in some) / len(some)
            accuracy = sum(one.terms.accuracy for one in some) / len(some)
            lines.append(f"{kind}: accuracy {100 * accuracy:.1f}%, certified {100 * certified:.1f}%")
    sizes = len({one.switches.atoms for one in found})
    return f"One feature for each neuron (to reconstruct, means over {sizes} sizes): " + "; ".join(lines) + "."


def crosscoder_section(found: Sequence[CrosscoderResult]) -> str:
    """The part of the report page."""
    return (
        f"<section><h2>What features leave out</h2><p>{escape(single_feature_conclusion(found))}</p>"
        f'<div class="scroll">{html_table((*_WORDS, *_NUMBERS), [one.cells for one in found])}</div>'
        '<p class="explanation">accuracy: not certified; of the network whose neurons do what each of their features does. '
        "left, right, interaction: root mean squares of the errors of reading either input, and of interactions of features, "
        "relative to what neurons read; writing: what the dictionary leaves of the unembedding. A proof loses the product of "
        "the first three with the last.</p></section>"
    )


def write_crosscoders(found: Sequence[CrosscoderResult], output: Path) -> None:
    """Write crosscoders.json: one object for each, with the name of its certificate, its switches and its terms."""
    records = [{"name": o.result.name, "parameters": dict(o.result.parameters), **asdict(o.terms)} for o in found]
    write_atomically(output / "crosscoders.json", (json.dumps(records, indent=1) + "\n").encode())
