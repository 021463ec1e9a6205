"""What is proved about an MLP as a quadrature, next to what is proved at no more cost by a bound that knows of no mechanism."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from html import escape
from pathlib import Path
from typing import Any

from rich.table import Table

from certificates import write_certificate
from prover.layers.two_input_problem import TwoInputProblem
from prover.prove import prove
from prover.strategies.mlp_quadrature import MLPQuadrature
from prover.strategy import DoesNotFit
from prover.studies.demo import ceil_scientific, check_in_separate_process

_HEADINGS = ("frequency", "amplitude", "error", "relative error", "naive bound", "times tighter")


@dataclass(frozen=True)
class MLPFindings:
    """The verdicts on two certificates: the quadrature, and the same rule without ideal neurons (the naive bound)."""

    quadrature: Mapping[str, Any]
    naive: Mapping[str, Any]

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
            certificate, _ = prove(problem, strategy)
        except DoesNotFit:
            return None
        write_certificate(output / f"{name}.cert", certificate)
        verdicts.append(check_in_separate_process(output / f"{name}.cert", path))
    return MLPFindings(*verdicts) if all(verdict["accepted"] for verdict in verdicts) else None


def mlp_table(found: MLPFindings) -> Table:
    """For a terminal."""
    table = Table(title=f"what the MLP adds to the logits, as a quadrature ({found.operations})")
    for heading in _HEADINGS:
        table.add_column(heading, justify="right")
    for row in found.rows():
        table.add_row(*row)
    return table


def mlp_html(found: MLPFindings | None) -> str:
    """For the page."""
    if found is None:
        return "<p>Only for transformers that add.</p>"
    lines = ["".join(f"<th>{escape(heading)}</th>" for heading in _HEADINGS)]
    lines += ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in found.rows()]
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + f"</table><p>{escape(found.operations)}</p>"
