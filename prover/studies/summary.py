"""What a study found, summed up over its models: for every setting of a strategy, and for every length of proof.

Each statistic is over all models on which the setting was accepted: a mean (bounds rounded down, costs up), a standard
deviation of the population, and quantiles. These are values of single models, rounded down to the lower one: of n in ascending
order, number q (n - 1) rounded down, counted from 0. So the median of two models is the lower value.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

from rich.table import Table

from certificates import __version__
from certificates.writing import write_atomically
from prover.studies.rounding import ceil_scientific, floor_share
from prover.studies.study import Record, Study
from prover.studies.tables import terminal_table

QUANTILES = {"least": 0, "5%": 5, "25%": 25, "median": 50, "75%": 75, "95%": 95, "greatest": 100}
"""By name: parts in a hundred."""
_MUCH = Fraction(95, 100)
_STEPS = 8
"""Lengths of proof that are looked at: so many for each power of ten."""


@dataclass(frozen=True)
class Statistics:
    """Of one number over models: mean, standard deviation (of the population), and QUANTILES by name, as decimal numbers."""

    mean: float
    deviation: float
    quantiles: dict[str, float]


@dataclass(frozen=True)
class Setting:
    """One setting of a strategy on all models. much, nothing: of how many a bound of 95% or more was proved, and none at all.

    The statistics are None if no certificate was accepted.
    """

    name: str
    strategy: str
    parameters: dict[str, int] | None
    models: int
    misfits: int
    refused: int
    much: int
    nothing: int
    bound: Statistics | None
    operations: Statistics | None
    unexplained_dimension: Statistics | None


@dataclass(frozen=True)
class Budget:
    """The best bound of each model by any proof of at most so many operations (0 if there is none)."""

    operations: int
    bound: Statistics


@dataclass(frozen=True)
class Summary:
    """Everything, from the longest proofs to the shortest ones."""

    version: str
    models: dict[str, str]
    missing: int
    settings: tuple[Setting, ...]
    budgets: tuple[Budget, ...]


def summary(study: Study) -> Summary:
    """What is known of a study, summed up."""
    by_name: dict[str, list[Record]] = {}
    for record in study.records:
        by_name.setdefault(record.name, []).append(record)
    settings = [_setting(name, records[0].parameters, records) for name, records in by_name.items()]
    for strategy in dict.fromkeys(record.strategy for record in study.records):
        tried = [setting for setting in settings if setting.strategy == strategy]
        if len(tried) > 1:
            records = [record for record in study.records if record.strategy == strategy]
            settings.append(_setting(f"{strategy} (best of {len(tried)})", None, _best_of_each(records)))
    settings.sort(key=lambda one: (-one.operations.mean if one.operations else 0.0, one.name))
    return Summary(__version__, dict(sorted(study.models.items())), study.missing, tuple(settings), tuple(_budgets(study)))


def write_summary(found: Summary, output: Path) -> None:
    """Write study.json."""
    write_atomically(output / "study.json", (json.dumps(asdict(found), indent=1) + "\n").encode())


def summary_table(found: Summary) -> Table:
    """For a terminal."""
    numbers = ("models", "certified accuracy", "sd", "5%", "median", "95%", "none", "operations", "unexplained dim.")
    table = terminal_table(f"{len(found.models)} models: means over those that a setting fits", ("setting",), numbers)
    for one in found.settings:
        if one.bound is None or one.operations is None or one.unexplained_dimension is None:
            table.add_row(one.name, "0", *["-"] * (len(numbers) - 1))
            continue
        shown = [floor_share(one.bound.quantiles[name]) for name in ("5%", "median", "95%")]
        table.add_row(
            one.name,
            str(one.models),
            floor_share(one.bound.mean),
            f"{100 * one.bound.deviation:.2f}%",
            *shown,
            str(one.nothing),
            ceil_scientific(math.ceil(one.operations.mean)),
            ceil_scientific(math.ceil(one.unexplained_dimension.mean)),
        )
    return table


def _bound_of(record: Record) -> Fraction:
    return Fraction(record.verdict["correct"], record.verdict["total"])


def _best_of_each(records: Sequence[Record]) -> list[Record]:
    """The best accepted record of each model, the shortest of equally good ones; of a model without one, any."""
    best: dict[str, Record] = {}
    for record in records:
        before = best.get(record.model)
        if before is None or _merit(record) > _merit(before):
            best[record.model] = record
    return list(best.values())


def _merit(record: Record) -> tuple[Fraction, int]:
    return (_bound_of(record), -record.verdict["operations"]) if record.accepted else (Fraction(-1), 0)


def _setting(name: str, parameters: dict[str, int] | None, records: Sequence[Record]) -> Setting:
    accepted = [record for record in records if record.accepted]
    misfits = sum(record.misfit is not None for record in records)
    bounds = [_bound_of(record) for record in accepted]
    costs = {key: [Fraction(record.verdict[key]) for record in accepted] for key in ("operations", "unexplained_dimension")}
    return Setting(
        name,
        records[0].strategy,
        parameters,
        len(accepted),
        misfits,
        len(records) - misfits - len(accepted),
        sum(bound >= _MUCH for bound in bounds),
        sum(not bound for bound in bounds),
        _statistics(bounds, math.floor, 8) if bounds else None,
        **{key: _statistics(values, math.ceil, 1) if values else None for key, values in costs.items()},
    )


def _statistics(values: Sequence[Fraction], rounded: Callable[[Fraction], int], digits: int) -> Statistics:
    """Of at least one value, rounded to so many digits after the point."""
    unit = 10**digits

    def shown(value: Fraction) -> float:
        return rounded(value * unit) / unit

    ordered, mean = sorted(values), sum(values, Fraction(0)) / len(values)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))
    quantiles = {name: shown(ordered[part * (len(ordered) - 1) // 100]) for name, part in QUANTILES.items()}
    return Statistics(shown(mean), round(deviation, digits), quantiles)


def _budgets(study: Study) -> list[Budget]:
    proved = [record for record in study.records if record.accepted]
    if not proved:
        return []
    lengths = [record.verdict["operations"] for record in proved]
    first, last = (
        round_(_STEPS * math.log10(bound)) for round_, bound in ((math.floor, min(lengths)), (math.ceil, max(lengths)))
    )
    found = []
    for step in range(first, last + 1):
        most = math.ceil(10 ** (step / _STEPS))
        best = dict.fromkeys(study.models.values(), Fraction(0))
        for record in proved:
            if record.verdict["operations"] <= most:
                best[record.model] = max(best[record.model], _bound_of(record))
        found.append(Budget(most, _statistics(list(best.values()), math.floor, 8)))
    return found
