"""Models by the name of a recipe and its settings: what `prover train` and studies share."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch

from certificates import GroupMLP, Model, UniformAttention
from certificates.automaton import Automaton
from certificates.canonical_json import Json
from certificates.groups import group_table
from prover.known_tasks import number_addition
from prover.problem import Track, silent
from prover.spelling import meant
from prover.training.addition import AdditionRecipe, train_addition
from prover.training.coupled_adam import Weights
from prover.training.group_composition import GroupRecipe, train_group_composition
from prover.training.max_of_k import MaxOfKRecipe, train_max_of_k
from prover.training.modular_addition import PizzaRecipe, TiedRecipe, train_pizza_addition, train_tied_addition
from prover.training.own_task import OwnTaskRecipe, train_own_task
from prover.training.sorted_lists import SortedListsRecipe, train_sorted_lists
from prover.weights import raw_tensor


@dataclass(frozen=True)
class Composition:
    """A network that multiplies in a group (cyclic:N, symmetric:N, ..). tied: one embedding for both, cyclic groups only.

    hidden: number of neurons, 0 for as many as the recipe has.
    """

    group: str
    hidden: int = 0
    tied: bool = False
    seed: int = GroupRecipe.seed


RECIPES: Mapping[str, type] = {
    "max-of-k": MaxOfKRecipe,
    "group-composition": Composition,
    "modular-addition": PizzaRecipe,
    "addition": AdditionRecipe,
    "own-task": OwnTaskRecipe,
    "sorted-lists": SortedListsRecipe,
}
"""What `trained` takes, by the commands of `prover train`."""


def recipe_of(name: str, settings: Mapping[str, Any]) -> Any:
    """A recipe with some settings. Raises ValueError that names the settings there are."""
    if name not in RECIPES:
        raise ValueError(f"there is no recipe {name!r}{meant(name, RECIPES) or '; there are ' + ', '.join(RECIPES)}")
    known = {field.name: field for field in fields(RECIPES[name])}
    for key, value in settings.items():
        if key not in known:
            hint = meant(key, known) or f"; it has {', '.join(known)}"
            raise ValueError(f"recipe {name} has no setting {key!r}{hint}")
        kind: Any = known[key].type
        if not isinstance(value, (int, float) if kind is float else kind) or (isinstance(value, bool) and kind is not bool):
            raise ValueError(f"setting {key} of recipe {name} is {value!r}: not of type {kind.__name__}")
    try:
        return RECIPES[name](**settings)
    except TypeError as error:
        raise ValueError(f"recipe {name}: {error}") from error


def trained(
    recipe: Any, device: torch.device, track: Track = silent, automaton: Automaton | None = None
) -> tuple[Model, Automaton | None]:
    """A model by a recipe, and its task if that has no name. automaton: the task of an OwnTaskRecipe. Raises ValueError."""
    match recipe:
        case MaxOfKRecipe():
            return train_max_of_k(recipe, device, track), None
        case AdditionRecipe():
            return train_addition(recipe, device, track), number_addition(recipe.digits)
        case OwnTaskRecipe():
            if automaton is None:
                raise ValueError("recipe own-task needs a task: an automaton")
            return train_own_task(recipe, automaton, device, track), automaton
        case SortedListsRecipe():
            return train_sorted_lists(recipe, device, track), None
        case PizzaRecipe():
            return _modular_addition(recipe, track), None
    return _composition(recipe, track), None


def _composition(recipe: Composition, track: Track) -> Model:
    table = group_table(recipe.group)
    if not recipe.tied:
        hidden = recipe.hidden or GroupRecipe.hidden
        weights = train_group_composition(torch.from_numpy(table), GroupRecipe(seed=recipe.seed, hidden=hidden), track)
    elif recipe.group.startswith("cyclic:"):
        weights = train_tied_addition(TiedRecipe(len(table), recipe.hidden or TiedRecipe.hidden, recipe.seed), track)
    else:
        raise ValueError("a tied embedding is for cyclic groups: a network with one embedding has ab = ba")
    config = GroupMLP(d_mlp=weights["mlp.b_in"].shape[0], d_vocab=len(table), d_vocab_out=len(table))
    return _model(config, weights, {"name": "group-composition", "group": recipe.group})


def _modular_addition(recipe: PizzaRecipe, track: Track) -> Model:
    if recipe.d_model % recipe.heads:
        raise ValueError(f"d_model must be a multiple of {recipe.heads}, the number of heads")
    weights = train_pizza_addition(recipe, track)
    d_head, vocab = recipe.d_model // recipe.heads, recipe.modulus + 1
    config = UniformAttention(d_head, recipe.hidden, recipe.d_model, vocab, recipe.modulus, 3, recipe.heads)
    return _model(config, weights, {"name": "modular-addition", "modulus": recipe.modulus})


def _model(config: GroupMLP | UniformAttention, weights: Weights, task: Json) -> Model:
    return Model(config, {name: raw_tensor(tensor) for name, tensor in weights.items()}, task)
