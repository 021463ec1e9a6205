"""What a study is about, from a TOML file: which models, and which strategies at which settings.

    [models]                      # by a recipe of `prover train`, one for each seed,
    recipe = "max-of-k"
    seeds = [1, 151]              # the first and the last one
    length = 4                    # and the recipe's other settings
    # files = ["*.safetensors"]   # or files, as seen from this one

    [strategies]                  # default: all, as `prover frontier` sweeps them
    exact = "default"
    pessimized = "sweep"
    interpretation = [{copying = 11, direct = 0, diagonal = 1}, {}]

`task = "brackets.json"` at the top: the automaton that they do, if it has no name. `precision`: bits to which the checker
rounds.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from certificates import FormatError, Model, read_model
from certificates.automaton import Automaton, read_automaton
from prover.known_tasks import number_addition
from prover.problem import Problem
from prover.strategies import known_strategy, strategies_for
from prover.strategy import Strategy
from prover.training.addition import AdditionRecipe
from prover.training.by_name import recipe_of

_MOST_SEEDS = 10**6


@dataclass(frozen=True)
class Source:
    """Where a model comes from: a recipe to train it by, or a file. name: of its file in the study's folder."""

    name: str
    recipe: Any = None
    file: Path | None = None

    def path_in(self, folder: Path) -> Path:
        """Where the model is, or will be when it is trained, if this is the study's folder."""
        return self.file or folder / "models" / f"{self.name}.safetensors"

    def model_in(self, folder: Path) -> Model:
        """Read it."""
        return read_model(self.path_in(folder))


@dataclass(frozen=True)
class Plan:
    """A study: models, and for each strategy by name what is to be tried: "sweep", or settings. No strategies: all, swept."""

    sources: tuple[Source, ...]
    strategies: Mapping[str, str | Sequence[Mapping[str, int]]]
    automaton: Automaton | None
    precision: int

    def strategies_for(self, model: Model, problem: Problem) -> list[Strategy]:
        """All runs about a model. Raises ValueError if a strategy is not for such models, or has no such switch."""
        known, found = strategies_for(model), []
        for name, wanted in (self.strategies or dict.fromkeys(known, "sweep")).items():
            strategy = known_strategy(known, name)
            if wanted == "sweep":
                found += strategy.sweep(problem)
            else:
                found += [strategy.with_settings({key: str(value) for key, value in one.items()}) for one in wanted]
        return list(dict.fromkeys(found))


def read_plan(path: Path) -> Plan:
    """Read a study's file. Raises FormatError that says what is wrong with it."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FormatError(f"cannot read the study {path}: {error}") from error
    try:
        _require_known(content, {"models", "strategies", "task", "precision"}, "the study")
        task = content.get("task")
        automaton = None if task is None else read_automaton(path.parent / _text(task, "task"))
        sources = tuple(_sources(content.get("models", {}), path.parent, automaton))
        if automaton is None and isinstance(sources[0].recipe, AdditionRecipe):
            automaton = number_addition(sources[0].recipe.digits)
        strategies = {name: _settings(name, wanted) for name, wanted in content.get("strategies", {}).items()}
        precision = content.get("precision", 30)
        if not isinstance(precision, int) or not 12 <= precision <= 256:
            raise ValueError("precision is a number of bits, 12 to 256")
        return Plan(sources, strategies, automaton, precision)
    except (ValueError, TypeError, AttributeError) as error:
        raise FormatError(f"{path}: {error}") from error


def _sources(models: Mapping[str, Any], folder: Path, automaton: Automaton | None) -> list[Source]:
    if ("recipe" in models) == ("files" in models):
        raise ValueError('[models] says either recipe = "max-of-k" and seeds = [1, 151], or files = ["*.safetensors"]')
    if "files" in models:
        _require_known(models, {"files"}, "[models] with files")
        patterns = models["files"]
        if not isinstance(patterns, list) or not all(isinstance(one, str) and not Path(one).is_absolute() for one in patterns):
            raise ValueError('files is a list of names as seen from the study, such as ["models/*.safetensors"]')
        found = sorted({file for pattern in patterns for file in folder.glob(pattern)})
        if not found:
            raise ValueError(f"no files are named like {', '.join(patterns)} in {folder}")
        names = [file.stem for file in found]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"two model files have the name {', '.join(sorted(twice))}")
        return [Source(file.stem, file=file) for file in found]
    settings = {key: value for key, value in models.items() if key not in {"recipe", "seeds"}}
    name = _text(models["recipe"], "recipe")
    seeds = models.get("seeds")
    is_range = isinstance(seeds, list) and len(seeds) == 2 and all(type(seed) is int for seed in seeds)
    if not is_range or not 0 <= seeds[1] - seeds[0] < _MOST_SEEDS:
        raise ValueError(f"seeds = {seeds!r} is not the first and the last seed, such as [1, 151]")
    if "seed" in settings:
        raise ValueError("a study has seeds = [first, last], not a seed")
    recipes = [recipe_of(name, {**settings, "seed": seed}) for seed in range(seeds[0], seeds[1] + 1)]
    named = settings if automaton is None else {**settings, "task": automaton.digest[:8]}
    changed = "".join(f"-{key}-{value}".replace(":", "-") for key, value in sorted(named.items()))
    return [Source(f"{name}{changed}-seed-{recipe.seed}", recipe) for recipe in recipes]


def _settings(name: str, wanted: Any) -> str | Sequence[Mapping[str, int]]:
    if wanted == "sweep":
        return "sweep"
    if wanted == "default":
        return [{}]
    one_or_more = wanted if isinstance(wanted, list) else [wanted]
    if not all(isinstance(one, dict) and all(type(value) is int for value in one.values()) for one in one_or_more):
        raise ValueError(f'strategy {name} is "default", "sweep", or settings such as [{{ copying = 11 }}, {{}}]')
    return one_or_more


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name} is {value!r}, not a text")
    return value


def _require_known(found: Mapping[str, Any], known: set[str], where: str) -> None:
    unknown = sorted(set(found) - known)
    if unknown:
        raise ValueError(f"{where} has no {', '.join(unknown)}; it may have {', '.join(sorted(known))}")
