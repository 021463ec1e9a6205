"""The `prover` command: train, import, strategies, prove, finetune, demo, frontier, interpret, search, bench."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import certificates
from certificates import (
    AttentionOnly,
    FormatError,
    GroupMLP,
    Model,
    UniformAttention,
    __version__,
    read_model,
    write_certificate,
    write_model,
)
from certificates.canonical_json import Json, dumps, loads_relaxed
from certificates.groups import group_table
from certificates.tensor_file import IntArray
from checker import verify
from prover.importing import import_model
from prover.layers.dictionaries import Dictionary
from prover.layers.two_input_problem import TwoInputProblem
from prover.problem import Track
from prover.prove import problem_about, prove
from prover.search.crosscoder_search import (
    crosscoder_results,
    crosscoder_section,
    crosscoder_table,
    single_feature_conclusion,
    write_crosscoders,
)
from prover.search.representation_search import (
    FAMILIES,
    OBJECTIVES,
    conclusion,
    search_settings,
    write_dictionaries,
    write_search_page,
)
from prover.strategies import ATTENTION_STRATEGIES, MLP_STRATEGIES, TWO_INPUT_STRATEGIES, all_strategies_for, strategies_for
from prover.strategies.dictionary_output import DictionaryOutput
from prover.strategy import DoesNotFit, MLPEvidence, Strategy
from prover.studies.bench import bench
from prover.studies.demo import demo_table, floor_percent
from prover.studies.finetuning_bench import finetuning_bench
from prover.studies.finetuning_files import (
    compare,
    comparison_table,
    read_checkpoint,
    run_key,
    write_checkpoint,
    write_comparison,
)
from prover.studies.frontier import explore, frontier_table, write_results
from prover.studies.growth import growth_table
from prover.studies.interpret import findings, findings_table, write_findings
from prover.studies.interpret_page import write_page
from prover.studies.mlp_findings import mlp_findings, mlp_table
from prover.studies.report import write_report
from prover.studies.two_input_bench import pair_bench
from prover.training.finetuning import Recipe, State, finetune
from prover.training.max_of_k import MaxOfKRecipe, sampled_accuracy, train_max_of_k
from prover.training.two_input_training import (
    GroupRecipe,
    PizzaRecipe,
    TiedRecipe,
    train_group_composition,
    train_pizza_addition,
    train_tied_addition,
)
from prover.weights import raw_tensor

_CONSOLE = Console()
_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110, "show_default": True}
_DEVICE = click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", help="Where to compute.")
_OUTPUT = click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="File to write.")
_FOLDER = click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to write to.",
)


@contextmanager
def progress_bars() -> Iterator[Track]:
    """A function that iterates over items and shows a progress bar for them (on a terminal)."""
    with Progress(console=_CONSOLE, transient=True, disable=not _CONSOLE.is_terminal) as progress:
        yield lambda items, what: progress.track(list(items), description=what)


def pick_device(name: str) -> torch.device:
    """The device of a --device option."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise click.ClickException("no CUDA device is available; use --device cpu")
    return torch.device(name)


def parse_task(text: str | None) -> Json:
    """The value of a --task option: JSON, or just a name."""
    if text is None:
        return None
    return loads_relaxed(text) if text.lstrip().startswith("{") else {"name": text}


def read_table(path: Path) -> IntArray:
    """A multiplication table: a file with a JSON list of rows, table[a][b] = ab."""
    try:
        table = np.array(json.loads(path.read_text()))
    except (OSError, ValueError) as error:
        raise click.ClickException(f"cannot read the table {path}: {error}") from error
    if table.ndim != 2 or table.shape[0] != table.shape[1] or table.dtype.kind != "i":
        raise click.ClickException(f"{path} is not a multiplication table: a square JSON list of rows of integers")
    return table.astype(np.int64)


@click.group(context_settings=_CONTEXT)
@click.version_option(__version__)
def cli() -> None:
    """Find compact proofs of model performance and write them as certificates, for `checker verify` to check."""
    # Tables are small: further threads gain little, wait for each other at great length on a busy machine, and change the
    # order of sums, and with it certificates.
    torch.set_num_threads(1)


@cli.group()
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
        _DEVICE,
        _OUTPUT,
    ):
        command = option(command)
    return command


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
    "group-composition",
    short_help="Train a network with one hidden layer to multiply in a group.",
    epilog="Example: prover train group-composition --group symmetric:5 --hidden 128 --seed 1 -o model.safetensors",
)
@click.option("--group", required=True, help="cyclic:N, dihedral:N, symmetric:N, alternating:N or product(G,H).")
@click.option("--hidden", type=click.IntRange(1, 2**16), help="Number of neurons.  [default: 128, tied: 512]")
@click.option("--tied", is_flag=True, help="One embedding for both inputs (cyclic groups only).")
@click.option("--seed", type=click.IntRange(0, 2**32), default=GroupRecipe.seed)
@_OUTPUT
def train_group_composition_command(group: str, hidden: int | None, tied: bool, seed: int, output: Path) -> None:
    """Train logits(a, b) = relu(W_L[a] + W_R[b] + b_in) W_U + b_U on all pairs of elements (a minute or two)."""
    table = group_table(group)
    with progress_bars() as track:
        if not tied:
            recipe = GroupRecipe(seed=seed, hidden=hidden or GroupRecipe.hidden)
            weights = train_group_composition(torch.from_numpy(table), recipe, track)
        elif group.startswith("cyclic:"):
            weights = train_tied_addition(TiedRecipe(len(table), hidden or TiedRecipe.hidden, seed), track)
        else:
            raise click.ClickException("--tied is for cyclic groups: a network with one embedding has ab = ba")
    config = GroupMLP(d_mlp=weights["mlp.b_in"].shape[0], d_vocab=len(table), d_vocab_out=len(table))
    _save_pairs(config, weights, {"name": "group-composition", "group": group}, output)


@train.command(
    "modular-addition",
    short_help="Train a transformer with uniform attention to add.",
    epilog="Example: prover train modular-addition --modulus 113 --seed 1 -o model.safetensors",
)
@click.option("--modulus", type=click.IntRange(2, 2047), default=PizzaRecipe.modulus)
@click.option("--hidden", type=click.IntRange(1, 2**16), default=PizzaRecipe.hidden, help="Number of neurons.")
@click.option("--d-model", type=click.IntRange(4, 2**12), default=PizzaRecipe.d_model, help="A multiple of 4, the heads.")
@click.option("--seed", type=click.IntRange(0, 2**32), default=PizzaRecipe.seed)
@_OUTPUT
def train_modular_addition_command(modulus: int, hidden: int, d_model: int, seed: int, output: Path) -> None:
    """Train a one-layer transformer with a ReLU MLP and uniform attention on all pairs (a minute or two)."""
    if d_model % PizzaRecipe.heads:
        raise click.ClickException(f"--d-model must be a multiple of {PizzaRecipe.heads}, the number of heads")
    recipe = PizzaRecipe(modulus, hidden, seed, d_model)
    with progress_bars() as track:
        weights = train_pizza_addition(recipe, track)
    d_head = recipe.d_model // recipe.heads
    config = UniformAttention(d_head, hidden, recipe.d_model, modulus + 1, modulus, 3, recipe.heads)
    _save_pairs(config, weights, {"name": "modular-addition", "modulus": modulus}, output)


def _save_pairs(config: GroupMLP | UniformAttention, weights: dict[str, torch.Tensor], task: Json, output: Path) -> None:
    model = Model(config, {name: raw_tensor(tensor) for name, tensor in weights.items()}, task)
    write_model(output, model)
    right = (TwoInputProblem(model, torch.device("cpu")).margins > 0).mean()
    click.echo(f"wrote {output}: accuracy {right:.4f} on all pairs, in floating point")
    click.echo(f"  model digest {model.digest()}")


@cli.command(
    "import",
    short_help="Turn a TransformerLens state dict into a model file.",
    epilog="Example: prover import state.pt --config config.json -o model.safetensors",
)
@click.argument("state", type=click.Path(path_type=Path))
@click.option("--config", required=True, help="TransformerLens configuration: a JSON file, or JSON text.")
@click.option("--task", default="max-of-k", help="What the model was trained for: a name or JSON.")
@_OUTPUT
def import_command(state: Path, config: str, task: str, output: Path) -> None:
    """Turn STATE, a TransformerLens state dict (torch or safetensors), into a model file."""
    model = import_model(state, config, parse_task(task))
    write_model(output, model)
    config = model.config
    click.echo(f"wrote {output}: model digest {model.digest()}")
    inputs = f"sequences of n_ctx = {config.n_ctx} tokens" if isinstance(config, AttentionOnly) else "pairs of elements"
    click.echo(f"  task {dumps(model.task)}: {inputs} from 0 to {config.d_vocab - 1 - isinstance(config, UniformAttention)}")


@cli.command(
    "strategies",
    short_help="List the strategies.",
    epilog="Example: prover strategies",
)
def strategies_command() -> None:
    """List the strategies, with their asymptotic cost.

    V tokens, K positions, d = d_model, out = outputs; n elements, m neurons, r directions.
    """
    for title, strategies in (
        ("attention-only transformers", ATTENTION_STRATEGIES),
        ("networks with one hidden layer on two inputs", TWO_INPUT_STRATEGIES),
        ("transformers with uniform attention: what the MLP does", MLP_STRATEGIES),
    ):
        table = Table("strategy", "cost", "what it does", "switches (--set)", title=title)
        for strategy in strategies.values():
            switches = ", ".join(f"{key}={value}" for key, value in vars(strategy()).items())
            table.add_row(strategy.name, strategy.cost, strategy.summary, switches)
        _CONSOLE.print(table)


def _build_strategy(known: Mapping[str, type[Strategy]], name: str, settings: tuple[str, ...]) -> Strategy:
    if name not in known:
        raise click.ClickException(f"strategy {name} is not for models like this one; there are {', '.join(known)}")
    for setting in settings:
        if "=" not in setting:
            raise click.ClickException(f"--set takes KEY=VALUE, found {setting!r}")
    pairs = dict(setting.partition("=")[::2] for setting in settings)
    try:
        return known[name].with_settings(pairs)
    except ValueError as error:
        raise click.ClickException(str(error)) from error


@cli.command(
    "prove",
    short_help="Search for a proof and write a certificate.",
    epilog="Example: prover prove model.safetensors --strategy classes -o proof.cert --check",
)
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--strategy",
    required=True,
    type=click.Choice(list({**ATTENTION_STRATEGIES, **TWO_INPUT_STRATEGIES, **MLP_STRATEGIES})),
    help="See `prover strategies`.",
)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Set a switch of the strategy.")
@click.option("--task", help="Task: a name or JSON; default: the model file's.")
@click.option(
    "--table", type=click.Path(path_type=Path), help="Multiplication table, a JSON list of rows, for group-composition."
)
@click.option(
    "--dictionary", type=click.Path(path_type=Path), help="For dictionary and crosscoder: safetensors with W_enc, W_dec."
)
@click.option("--precision", type=click.IntRange(12, 256), default=30, help="Bits to which the checker rounds.")
@click.option("--check", is_flag=True, help="Run the checker on what was written.")
@_DEVICE
@_OUTPUT
def prove_command(
    model: Path,
    strategy: str,
    settings: tuple[str, ...],
    task: str | None,
    table: Path | None,
    dictionary: Path | None,
    precision: int,
    check: bool,
    device: str,
    output: Path,
) -> None:
    """Search for a proof about MODEL and write it as a certificate."""
    if output.exists() and output.resolve() == model.resolve():
        raise click.ClickException(f"{output} is the model itself; name another file to write")
    parsed = read_model(model)
    search = _build_strategy(all_strategies_for(parsed), strategy, settings)
    with progress_bars() as track:
        given = None if table is None else read_table(table)
        problem = problem_about(parsed, pick_device(device), precision, track, parse_task(task), given)
        if dictionary is not None:
            if not isinstance(problem, TwoInputProblem) or not isinstance(search, DictionaryOutput):
                raise click.ClickException("--dictionary is for strategies dictionary and crosscoder")
            problem = replace(problem, dictionary=Dictionary.read(dictionary))
        certificate, evidence = prove(problem, search)
    size = write_certificate(output, certificate)
    if isinstance(evidence, MLPEvidence):
        click.echo(f"wrote {output} ({size} bytes)")
        for claim in evidence.claims:
            unit = 2.0**-evidence.scale
            click.echo(f"  frequency {claim.frequency}: amplitude {claim.amplitude * unit:.5g}, error {claim.error * unit:.5g}")
    else:
        click.echo(f"wrote {output} ({size} bytes); expected bound: {floor_percent(evidence.correct, problem.total)}")
        click.echo(f"  {evidence.correct} of {problem.total} inputs")
        if not evidence.correct:
            click.echo("  The proof is vacuous: this strategy does not explain the model, or --precision is too low.")
    if check:
        verdict = verify(output, model)
        click.echo(f"checker: {'ACCEPTED' if verdict.accepted else 'NOT ACCEPTED'}: {verdict.theorem or verdict.reason}")
        sys.exit(verdict.exit_code)


@cli.command(
    "finetune",
    short_help="Move a model towards a strategy's proof of it.",
    epilog="Example: prover finetune model.safetensors --strategy pessimized -o tuned.safetensors",
)
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--strategy",
    required=True,
    type=click.Choice(list({**ATTENTION_STRATEGIES, **TWO_INPUT_STRATEGIES})),
    help="See `prover strategies`.",
)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Set a switch of the strategy.")
@click.option("--task", help="Task: a name or JSON; default: the model file's.")
@click.option("--steps", type=click.IntRange(1), default=Recipe.steps, help="Gradient steps at most.")
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="Learning rate; default: the strategy's.")
@click.option(
    "--keep-accuracy",
    type=click.FloatRange(0, 1),
    default=Recipe.keep_accuracy,
    help="Share of the model's accuracy that must be kept.",
)
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=Recipe.seed)
@_DEVICE
@_OUTPUT
def finetune_command(
    model: Path,
    strategy: str,
    settings: tuple[str, ...],
    task: str | None,
    steps: int,
    rate: float | None,
    keep_accuracy: float,
    seed: int,
    device: str,
    output: Path,
) -> None:
    """Move the weights of MODEL by gradient steps until STRATEGY proves more about them, and certify both models.

    Writes the new model, and beside it a folder OUTPUT-finetuning with both certificates, finetuning.json, report.html and a
    checkpoint: an interrupted run continues where it stopped. The bound is that of the certificates, whatever the steps did.
    """
    if output.exists() and output.resolve() == model.resolve():
        raise click.ClickException(f"{output} is the model itself; name another file to write")
    parsed = read_model(model)
    search = _build_strategy(strategies_for(parsed), strategy, settings)
    problem = problem_about(parsed, pick_device(device), task=parse_task(task))
    recipe = Recipe(steps=steps, rate=rate, keep_accuracy=keep_accuracy, seed=seed)
    folder = output.with_name(f"{output.stem}-finetuning")
    checkpoint, key = folder / "checkpoint.pt", run_key(problem, search, recipe)
    start = read_checkpoint(checkpoint, key, parsed) if checkpoint.exists() else None
    if start:
        click.echo(f"continuing at step {start.step} ({checkpoint})")
    for state in _with_progress(finetune(problem, search, recipe, start), problem.total, steps):
        write_checkpoint(checkpoint, key, state)
    write_model(output, state.best)
    comparison = compare(problem, model, output, search, state, folder)
    write_comparison(comparison, output.stem, state.best, folder)
    Console(width=max(_CONSOLE.width, 110)).print(comparison_table(comparison))
    click.echo(f"wrote {output}; certificates, finetuning.json and report.html are in {folder}")
    sys.exit(0 if comparison.accepted else 1)


def _with_progress(states: Iterator[State], total: int, steps: int) -> Iterator[State]:
    """The same states, shown as they come: as a bar on a terminal, else line by line."""
    with Progress(console=_CONSOLE, transient=True, disable=not _CONSOLE.is_terminal) as progress:
        bar = progress.add_task("fine-tuning", total=steps)
        for state in states:
            last = state.history[-1]
            text = f"certified {floor_percent(last.correct, total)}, accuracy {floor_percent(last.right, last.examples)}"
            progress.update(bar, completed=last.step, description=text)
            if not _CONSOLE.is_terminal:
                click.echo(f"step {last.step}: {text}")
            yield state


@cli.command(
    "demo",
    short_help="Every strategy on one model, as a table.",
    epilog="Example: prover demo certificates/models/max-of-4.safetensors -o demo-out",
)
@click.argument("model", type=click.Path(path_type=Path))
@_DEVICE
@_FOLDER
def demo_command(model: Path, device: str, output: Path) -> None:
    """Prove with every strategy, check each certificate in a separate process, and print one table."""
    with progress_bars() as track:
        problem = problem_about(read_model(model), pick_device(device), track=track)
        table, accepted = demo_table(problem, model, output)
    Console(width=max(_CONSOLE.width, 150)).print(table)
    click.echo(f"certificates and results.json are in {output}")
    sys.exit(0 if accepted else 1)


def _parse_names(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[str, ...]:
    """The value of --strategies."""
    names = tuple(name.strip() for name in value.split(",")) if value else ()
    unknown = [name for name in names if name not in ATTENTION_STRATEGIES]
    if unknown:
        raise click.BadParameter(
            f"unknown: {', '.join(unknown)}; there are {', '.join(ATTENTION_STRATEGIES)}", context, parameter
        )
    return names


@cli.command(
    "frontier",
    short_help="Every strategy at many settings, as a report.",
    epilog="Example: prover frontier certificates/models/max-of-4.safetensors -o frontier-out --jobs 2",
)
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--strategies", callback=_parse_names, metavar="NAME,NAME,..", help="Only these (default: all).")
@click.option("--jobs", type=click.IntRange(1), default=1, help="Number of processes.")
@_DEVICE
@_FOLDER
def frontier_command(model: Path, strategies: tuple[str, ...], jobs: int, device: str, output: Path) -> None:
    """Prove with every strategy at many settings, check every certificate, and write a report about all of them.

    Writes certificates, frontier.json and report.html. Whatever OUTPUT already holds about this model is kept and shown;
    an interrupted run continues where it stopped.
    """
    problem = problem_about(read_model(model), pick_device(device))
    if isinstance(problem, TwoInputProblem):
        raise click.ClickException("frontier is for attention-only transformers; use `prover interpret` for this model")
    with progress_bars() as track, closing(explore(problem, model, output, strategies, jobs, track)) as states:
        frontier = next(states)
        try:
            for frontier in states:  # noqa: B007 - the last one is what matters
                pass
        except BrokenProcessPool as error:
            raise click.ClickException("a process died, of too little memory? Run again with fewer --jobs.") from error
        finally:
            if frontier.results or frontier.misfits:
                write_results(frontier, output)
                write_report(frontier, output)
    Console(width=max(_CONSOLE.width, 150)).print(frontier_table(frontier))
    click.echo(f"certificates, frontier.json and report.html are in {output}")
    sys.exit(0 if all(result.accepted for result in frontier.results) else 1)


@cli.command(
    "interpret",
    short_help="Compare interpretations of a network on two inputs by what they prove.",
    epilog="Example: prover interpret certificates/models/symmetric-5.safetensors -o interpret-out",
)
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--jobs", type=click.IntRange(1), default=1, help="Number of processes.")
@_DEVICE
@_FOLDER
def interpret_command(model: Path, jobs: int, device: str, output: Path) -> None:
    """Prove with every interpretation of MODEL, check every certificate, and say what each is worth.

    Writes certificates, frontier.json, interpretations.json and report.html. An interrupted run continues where it stopped.
    """
    problem = problem_about(read_model(model), pick_device(device))
    if not isinstance(problem, TwoInputProblem):
        raise click.ClickException("interpret is for networks on two inputs; use `prover frontier` for this model")
    with progress_bars() as track, closing(explore(problem, model, output, (), jobs, track)) as states:
        for frontier in states:
            write_results(frontier, output)
    found = findings(problem, frontier)
    mlp = mlp_findings(problem, model, output)
    write_findings(found, mlp, output)
    write_page(frontier, found, mlp, output)
    Console(width=max(_CONSOLE.width, 190)).print(findings_table(model.stem, found))
    if mlp is not None:
        _CONSOLE.print(mlp_table(mlp))
    click.echo(f"certificates, frontier.json, interpretations.json and report.html are in {output}")
    sys.exit(0 if all(result.accepted for result in frontier.results) else 1)


@cli.command(
    "search",
    short_help="Search factorisations of a network by what they prove.",
    epilog="Example: prover search certificates/models/modular-addition-59.safetensors --family low-rank -o search-out",
)
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--family", type=click.Choice(list(FAMILIES)), required=True, help="What is factored, and how.")
@click.option("--objective", type=click.Choice([*OBJECTIVES, "both"]), default="both", help="What the factors are trained for.")
@click.option("--jobs", type=click.IntRange(1), default=1, help="Number of processes.")
@_DEVICE
@_FOLDER
def search_command(model: Path, family: str, objective: str, jobs: int, device: str, output: Path) -> None:
    """Train factors of MODEL's tables, small and large, to reconstruct them or for the bound; certify each; compare.

    Factored are the unembedding of a hidden layer; in family crosscoder also what neurons read, with and without a penalty on
    the interaction of features; of an attention-only transformer (family low-rank), its circuits. Writes certificates,
    frontier.json, report.html and dictionaries; an interrupted run continues where it stopped.
    """
    problem = problem_about(read_model(model), pick_device(device))
    wanted = search_settings(problem.model, family, list(OBJECTIVES) if objective == "both" else [objective])
    with progress_bars() as track, closing(explore(problem, model, output, wanted, jobs, track)) as states:
        for frontier in states:
            write_results(frontier, output)
    write_dictionaries(frontier, output)
    crosscoders = crosscoder_results(problem, frontier, output) if isinstance(problem, TwoInputProblem) else []
    write_search_page(frontier, output, crosscoder_section(crosscoders) if crosscoders else "")
    console = Console(width=max(_CONSOLE.width, 150))
    console.print(frontier_table(frontier))
    click.echo(conclusion(frontier))
    if crosscoders:
        write_crosscoders(crosscoders, output)
        console.print(crosscoder_table(crosscoders))
        click.echo(single_feature_conclusion(crosscoders))
    click.echo(f"certificates, frontier.json, report.html and dictionaries are in {output}")
    sys.exit(0 if all(result.accepted for result in frontier.results) else 1)


@cli.command(
    "bench",
    short_help="Time proving and checking.",
    epilog="Example: prover bench -o bench-out certificates/models/max-of-4-seed123.safetensors",
)
@click.argument("models", nargs=-1, type=click.Path(path_type=Path))
@_DEVICE
@_FOLDER
def bench_command(models: tuple[Path, ...], device: str, output: Path) -> None:
    """Time proving and checking on MODELS, against PyTorch enumerating all inputs, or brute force on pairs of inputs.

    Without MODELS: on the shipped ones; how proofs grow with the vocabulary, on models trained for it (some minutes); and steps
    of fine-tuning per second.
    """
    paths = list(models) or sorted((Path(certificates.__file__).parent / "models").glob("*.safetensors"))
    with progress_bars() as track:
        console = Console(width=max(_CONSOLE.width, 130))
        on_pairs = [path for path in paths if not isinstance(read_model(path).config, AttentionOnly)]
        on_sequences = [path for path in paths if path not in on_pairs]
        if on_sequences:
            console.print(bench(on_sequences, output, pick_device(device), track))
        if on_pairs:
            console.print(pair_bench(on_pairs, output, pick_device(device), track))
        if not models:
            console.print(growth_table(output, pick_device(device), track))
            console.print(finetuning_bench(paths, pick_device(device), track))


def main() -> None:
    """Run the command; problems with the input become one line."""
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code if isinstance(error, click.UsageError) else 2)
    except (FormatError, DoesNotFit) as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2)
