"""What is proved about an MLP as a quadrature, next to what is proved at no more cost by a bound that knows of no mechanism."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from html import escape
from pathlib import Path

from rich.table import Table

from prover.layers.two_input_problem import TwoInputProblem
from prover.strategies.mlp_quadrature import MLPQuadrature
from prover.strategy import DoesNotFit
from prover.studies.checked import Verdict, prove_and_check
from prover.studies.rounding import ceil_scientific
from prover.studies.tables import html_table, terminal_table

_HEADINGS = ("frequency", "amplitude", "error", "relative error", "naive bound", "times tighter")


@dataclass(frozen=True)
class MLPFindings:
    """The verdicts on two certificates: the quadrature, and the same rule without ideal neurons (the naive bound)."""

    quadrature: Verdict
    naive: Verdict

    @property
    def operations(self) -> str:
        """Both lengths."""
        return f"{ceil_scientific(self.quadrature['operations'])}, naive {ceil_scientific(self.naive['operations'])} operations"

    def rows(self) -> Iterator[tuple[str, ...]]:
        """One for each frequency, as in _HEADINGS."""
        for bound, other in zip(self.quadrature["mlp"], self.naive["mlp"], strict=True):
            error, naive = Fraction(bound["error"]), Fraction(other["error"])
            yield (
                str(bound["frequency"]),
                f"{float(Fraction(bound['amplitude'])):.4g}",
                f"{float(error):.4g}",
                str(bound["relative_error"]),
                f"{float(naive):.4g}",
                f"{float(naive / error):.1f}" if error else "-",
            )


def mlp_findings(problem: TwoInputProblem, path: Path, output: Path) -> MLPFindings | None:
    """Prove and check both about the model stored at `path`, writing to `output`; None if the rule is not about this model."""
    verdicts = []
    for name, strategy in (("mlp-quadrature", MLPQuadrature()), ("mlp-naive", MLPQuadrature(mechanism=0))):
        try:
            verdicts.append(prove_and_check(problem, strategy, path, output / f"{name}.cert").verdict)
        except DoesNotFit:
            return None
    return MLPFindings(*verdicts) if all(verdict["accepted"] for verdict in verdicts) else None


def mlp_table(found: MLPFindings) -> Table:
    """For a terminal."""
    table = terminal_table(
        f"what the MLP adds to the logits, as a quadrature ({found.operations})", _HEADINGS[:1], _HEADINGS[1:]
    )
    for row in found.rows():
        table.add_row(*row)
    return table


def mlp_html(found: MLPFindings) -> str:
    """For the page."""
    return html_table(_HEADINGS, found.rows()) + f"<p>{escape(found.operations)}</p>"
