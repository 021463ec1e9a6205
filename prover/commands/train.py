"""`prover train`: models to prove things about."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import torch

from certificates import Model, write_model
from certificates.automaton import Automaton, read_automaton
from prover.commands.names import Commands
from prover.commands.options import DEVICE, OUTPUT, pick_device, progress_bars
from prover.known_tasks import number_addition
from prover.layers.two_input_problem import TwoInputProblem
from prover.proving import problem_about
from prover.tasks import write_automaton
from prover.training.addition import AdditionRecipe, train_addition
from prover.training.by_name import Composition, trained
from prover.training.examples import count_right, varied_examples
from prover.training.group_composition import GroupRecipe
from prover.training.max_of_k import MaxOfKRecipe, sampled_accuracy, train_max_of_k
from prover.training.modular_addition import PizzaRecipe
from prover.training.own_task import NORMS, POSITIONS, OwnTaskRecipe, train_own_task
from prover.training.sorted_lists import SortedListsRecipe, train_sorted_lists
from prover.weights import load_weights


@click.group(cls=Commands)
def train() -> None:
    """Train models to prove things about."""


def _recipe_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that all tasks about order statistics share."""
    for option in (
        click.option("--length", type=click.IntRange(2, 64), default=MaxOfKRecipe.length, help="Sequence length K."),
        click.option("--vocab", type=click.IntRange(2, 2048), default=MaxOfKRecipe.vocab, help="Number of tokens V."),
        click.option("--seed", type=click.IntRange(-(2**63), 2**63 - 1), default=MaxOfKRecipe.seed),
        click.option("--d-model", type=click.IntRange(1), default=MaxOfKRecipe.d_model),
        click.option("--d-head", type=click.IntRange(1), default=MaxOfKRecipe.d_head),
        click.option("--steps", type=click.IntRange(0), default=MaxOfKRecipe.steps),
        click.option("--batch", type=click.IntRange(1), default=MaxOfKRecipe.batch),
        DEVICE,
        OUTPUT,
    ):
        command = option(command)
    return command


def _beside(output: Path) -> Path:
    """Where a model's task goes."""
    task = output.with_suffix(".json")
    if task == output:
        raise click.ClickException(f"{output} is where the task goes; name the model FILE.safetensors")
    return task


def _write_with_task(output: Path, model: Model, automaton: Automaton, where: torch.device, count: int, what: str) -> None:
    """Write a model, and its task beside it; say how many of so many random inputs are right, and what these are."""
    task = _beside(output)
    write_model(output, model)
    write_automaton(task, automaton)
    problem = problem_about(model, where, automaton=automaton)
    examples = varied_examples(problem, count, torch.Generator().manual_seed(0))
    right = count_right(problem, load_weights(model, where), examples)
    click.echo(f"wrote {output} and {task}: {right} of {len(examples)} {what} (no bound)")
    click.echo(f"  model digest {model.digest()}")


def _train(recipe: MaxOfKRecipe, device: str, output: Path) -> None:
    where = pick_device(device)
    with progress_bars() as track:
        model = train_max_of_k(recipe, where, track)
    write_model(output, model)
    accuracy = sampled_accuracy(model, 100_000, where)
    click.echo(f"wrote {output}: accuracy about {accuracy:.4f} on 100,000 random inputs (an estimate, not a bound)")
    click.echo(f"  model digest {model.digest()}")


@train.command("max-of-k", epilog="Example: prover train max-of-k --length 4 --vocab 64 --seed 123 -o model.safetensors")
@_recipe_options
def train_max_of_k_command(device: str, output: Path, **sizes: int) -> None:
    """Train a one-layer, one-head, attention-only transformer to output the largest of K tokens."""
    _train(MaxOfKRecipe(**sizes), device, output)


@train.command("min-of-k", epilog="Example: prover train min-of-k --length 4 --vocab 64 -o model.safetensors")
@_recipe_options
def train_min_of_k_command(device: str, output: Path, **sizes: int) -> None:
    """Train such a transformer to output the smallest of K tokens."""
    _train(MaxOfKRecipe(n=sizes["length"], **sizes), device, output)


@train.command("nth-max-of-k", epilog="Example: prover train nth-max-of-k -n 2 --length 4 --vocab 64 -o model.safetensors")
@click.option("-n", type=click.IntRange(1), required=True, help="Which one: 1 is the largest, 2 the second largest, ..")
@_recipe_options
def train_nth_max_of_k_command(n: int, device: str, output: Path, **sizes: int) -> None:
    """Train such a transformer to output the n-th largest of K tokens, equal ones counted separately."""
    if n > sizes["length"]:
        raise click.ClickException(f"-n must be at most {sizes['length']}, the length")
    _train(MaxOfKRecipe(n=n, **sizes), device, output)


@train.command(
    "addition",
    short_help="Train a one-layer transformer to add numbers, digit by digit.",
    epilog="Example: prover train addition --digits 10 -o adder.safetensors",
)
@click.option("--digits", type=click.IntRange(1, 60), default=AdditionRecipe.digits, show_default=True)
@click.option("--seed", type=click.IntRange(-(2**63), 2**63 - 1), default=AdditionRecipe.seed)
@click.option("--d-model", type=click.IntRange(1), default=AdditionRecipe.d_model)
@click.option("--d-head", type=click.IntRange(1), default=AdditionRecipe.d_head)
@click.option("--d-mlp", type=click.IntRange(1), default=AdditionRecipe.d_mlp, help="Number of neurons.")
@click.option("--steps", type=click.IntRange(0), default=AdditionRecipe.steps, help="More if sums are not learned by half.")
@click.option("--batch", type=click.IntRange(1), default=AdditionRecipe.batch, help="Digits of sums in a step.")
@DEVICE
@OUTPUT
def train_addition_command(device: str, output: Path, **sizes: int) -> None:
    """Train a transformer with one attention head and one ReLU layer: a, b, "=", and the sum from its lowest digit on.

    Beside the model it writes the task, an automaton: are all digits right in greedy decoding? A minute or two.
    """
    _beside(output)  # may refuse, before the work
    recipe, where = AdditionRecipe(**sizes), pick_device(device)
    automaton = number_addition(recipe.digits)
    with progress_bars() as track:
        model = train_addition(recipe, where, track)
    _write_with_task(output, model, automaton, where, 100_000, "random sums right in all digits")
    click.echo(f"  next: prover finetune {output} --strategy regions -o tuned.safetensors")


@train.command(
    "own-task",
    short_help="Train a transformer to do a task of your own.",
    epilog="Example: prover task balanced-brackets length=16 -o brackets.json && "
    "prover train own-task brackets.json --layers 2 -o model.safetensors",
)
@click.argument("task", type=click.Path(path_type=Path))
@click.option("--layers", type=click.IntRange(1, 8), default=OwnTaskRecipe.layers)
@click.option("--heads", type=click.IntRange(1, 16), default=OwnTaskRecipe.heads)
@click.option("--d-model", type=click.IntRange(1, 512), default=OwnTaskRecipe.d_model)
@click.option("--d-head", type=click.IntRange(1), default=OwnTaskRecipe.d_head)
@click.option("--d-mlp", type=click.IntRange(0), default=OwnTaskRecipe.d_mlp, help="Number of neurons of a layer; 0: no MLP.")
@click.option("--norm", type=click.Choice(NORMS), default=OwnTaskRecipe.norm, help="Normalisation before each layer's parts.")
@click.option("--positions", type=click.Choice(POSITIONS), default=OwnTaskRecipe.positions, help="standard: learned ones.")
@click.option("--pad-token", type=click.IntRange(-1), default=OwnTaskRecipe.pad_token, help="One that attention ignores.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=OwnTaskRecipe.seed)
@click.option("--steps", type=click.IntRange(0), default=OwnTaskRecipe.steps)
@click.option("--batch", type=click.IntRange(1), default=OwnTaskRecipe.batch)
@click.option("--rate", type=click.FloatRange(0, min_open=True), default=OwnTaskRecipe.rate, help="Learning rate.")
@click.option("--decay", type=click.FloatRange(0), default=OwnTaskRecipe.decay, help="Weight decay.")
@DEVICE
@OUTPUT
def train_own_task_command(task: Path, device: str, output: Path, **recipe: Any) -> None:
    """Train a transformer with a ReLU MLP to do TASK, an automaton (see `prover task`), and write the task beside the model."""
    _beside(output)  # may refuse, before the work
    automaton, where = read_automaton(task), pick_device(device)
    with progress_bars() as track:
        model = train_own_task(OwnTaskRecipe(**recipe), automaton, where, track)
    _write_with_task(output, model, automaton, where, 20_000, "inputs right, half of them with rare states")


@train.command(
    "sorted-lists",
    short_help="Train a one-layer transformer to sort a list.",
    epilog="Example: prover train sorted-lists --length 10 --numbers 51 -o model.safetensors",
)
@click.option("--length", type=click.IntRange(1, 127), default=SortedListsRecipe.length, show_default=True)
@click.option("--numbers", type=click.IntRange(1, 2047), default=SortedListsRecipe.numbers, help="Numbers from 0 on, so many.")
@click.option("--heads", type=click.IntRange(1, 16), default=SortedListsRecipe.heads)
@click.option("--d-model", type=click.IntRange(1, 512), default=SortedListsRecipe.d_model)
@click.option("--d-head", type=click.IntRange(1, 512), default=SortedListsRecipe.d_head)
@click.option("--norm", type=click.Choice(NORMS), default=SortedListsRecipe.norm, help="Normalisation, also before the logits.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=SortedListsRecipe.seed)
@click.option("--steps", type=click.IntRange(0), default=SortedListsRecipe.steps)
@click.option("--batch", type=click.IntRange(1), default=SortedListsRecipe.batch)
@click.option("--rate", type=click.FloatRange(0, min_open=True), default=SortedListsRecipe.rate, help="Learning rate.")
@click.option("--decay", type=click.FloatRange(0), default=SortedListsRecipe.decay, help="Weight decay.")
@DEVICE
@OUTPUT
def train_sorted_lists_command(device: str, output: Path, **recipe: Any) -> None:
    """Train a transformer without MLP on different numbers in any order, a separator, and the same in increasing order.

    It is to foretell each number behind the separator. Ten minutes for the default sizes.
    """
    where = pick_device(device)
    try:
        with progress_bars() as track:
            model = train_sorted_lists(SortedListsRecipe(**recipe), where, track)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    write_model(output, model)
    problem = problem_about(model, where)
    examples = varied_examples(problem, 20_000, torch.Generator().manual_seed(0))
    right = count_right(problem, load_weights(model, where), examples)
    click.echo(
        f"wrote {output}: {right} of {len(examples)} random lists right, half of them of numbers near each other (no bound)"
    )
    click.echo(f"  model digest {model.digest()}")


@train.command(
    "group-composition",
    short_help="Train a network with one hidden layer to multiply in a group.",
    epilog="Example: prover train group-composition --group symmetric:5 --hidden 128 --seed 1 -o model.safetensors",
)
@click.option("--group", required=True, help="cyclic:N, dihedral:N, symmetric:N, alternating:N or product(G,H).")
@click.option("--hidden", type=click.IntRange(1, 2**16), help="Number of neurons.  [default: 128, tied: 512]")
@click.option("--tied", is_flag=True, help="One embedding for both inputs (cyclic groups only).")
@click.option("--seed", type=click.IntRange(0, 2**32), default=GroupRecipe.seed)
@OUTPUT
def train_group_composition_command(group: str, hidden: int | None, tied: bool, seed: int, output: Path) -> None:
    """Train logits(a, b) = relu(W_L[a] + W_R[b] + b_in) W_U + b_U on all pairs of elements (a minute or two)."""
    _train_on_pairs(Composition(group, hidden or 0, tied, seed), output)


@train.command(
    "modular-addition",
    short_help="Train a transformer with uniform attention to add.",
    epilog="Example: prover train modular-addition --modulus 113 --seed 1 -o model.safetensors",
)
@click.option("--modulus", type=click.IntRange(2, 2047), default=PizzaRecipe.modulus)
@click.option("--hidden", type=click.IntRange(1, 2**16), default=PizzaRecipe.hidden, help="Number of neurons.")
@click.option("--d-model", type=click.IntRange(4, 2**12), default=PizzaRecipe.d_model, help="A multiple of 4, the heads.")
@click.option("--seed", type=click.IntRange(0, 2**32), default=PizzaRecipe.seed)
@OUTPUT
def train_modular_addition_command(modulus: int, hidden: int, d_model: int, seed: int, output: Path) -> None:
    """Train a one-layer transformer with a ReLU MLP and uniform attention on all pairs (a minute or two)."""
    _train_on_pairs(PizzaRecipe(modulus, hidden, seed, d_model), output)


def _train_on_pairs(recipe: Composition | PizzaRecipe, output: Path) -> None:
    try:
        with progress_bars() as track:
            model, _ = trained(recipe, torch.device("cpu"), track)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    write_model(output, model)
    right = (TwoInputProblem(model, torch.device("cpu")).margins > 0).mean()
    click.echo(f"wrote {output}: accuracy {right:.4f} on all pairs, in floating point")
    click.echo(f"  model digest {model.digest()}")
