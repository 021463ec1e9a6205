"""`prover import`: a state dict of TransformerLens, Hugging Face or anybody's PyTorch code becomes a model file."""

from pathlib import Path

import click

from certificates import AttentionOnly, Transformer, UniformAttention, write_model
from certificates.automaton import Automaton
from certificates.canonical_json import Json, dumps
from prover.commands.options import OUTPUT
from prover.comparing import function_named, greatest_difference
from prover.importing import model_of, read_source
from prover.layouts import read_mapping
from prover.provenance import provenance
from prover.tasks import task_named

_NO_TASK = "none"


@click.command(
    "import",
    short_help="Turn a state dict of TransformerLens, Hugging Face or your own code into a model file.",
    epilog="Example: prover import state.pt --config config.json -o model.safetensors\n\n"
    "Of your own code: prover import state.pt --config config.json --mapping names.json --against my_model:logits "
    "-o model.safetensors",
)
@click.argument("state", type=click.Path(path_type=Path))
@click.option("--config", help="Configuration: a file (JSON, or of torch.save), or JSON text. Default: what STATE holds, too.")
@click.option("--task", default="max-of-k", help="What the model was trained for: a name or JSON, or none.")
@click.option("--n-ctx", type=click.IntRange(2), help="Tokens in an input, if fewer than configured.")
@click.option("--mapping", type=click.Path(path_type=Path), help="Tensors of other names: a JSON file, ours to theirs.")
@click.option("--which", type=int, default=-1, help="Of a list of state dicts from training, this one; -1: the last.")
@click.option("--against", metavar="MODULE:FUNCTION", help="A function from tokens to logits, that has to agree.")
@OUTPUT
def import_command(
    state: Path,
    config: str | None,
    task: str,
    n_ctx: int | None,
    mapping: Path | None,
    which: int,
    against: str | None,
    output: Path,
) -> None:
    """Turn STATE, a state dict (torch, safetensors or npz), into a model file.

    Beside it, MODEL.import.json says what it was made of, and which processing of TransformerLens is seen in it (fold_ln,
    center_writing_weights, center_unembed, fold_value_biases).

    Names are those of TransformerLens 2 to 4, of Hugging Face's Llama and Qwen models, of the checkpoints of "Progress measures
    for grokking", or what --mapping says (docs/own-model-and-task.md). Files of torch.save may hold the state dict beside its
    configuration, under "model", "state_dict" or "state_dicts"; classes are never unpickled. Of the function of --against,
    which is code of yours, logits on random inputs are compared.
    """
    names = None if mapping is None else read_mapping(mapping)
    source = read_source(state, config, names, which)
    model = model_of(source.state, source.keys, _named(task), n_ctx)
    if against is not None:
        difference = greatest_difference(model, function_named(against))
        click.echo(f"agrees with {against} on random inputs: logits differ by some {difference:.1g} of what they vary by")
    write_model(output, model)
    config_ = model.config
    click.echo(f"wrote {output}: model digest {model.digest()}")
    sequences = isinstance(config_, AttentionOnly | Transformer)
    inputs = f"sequences of n_ctx = {config_.n_ctx} tokens" if sequences else "pairs of elements"
    click.echo(f"  task {dumps(model.task)}: {inputs} from 0 to {config_.d_vocab - 1 - isinstance(config_, UniformAttention)}")
    found = provenance(state, source, model)
    told = found.write(output)
    click.echo(f"  made of {found.source} (sha256 {found.sha256[:12]}..), in the names of {found.layout}: {told} says more")
    for text in found.processed:
        click.echo(f"  processed before, {text}")


def _named(task: str) -> Json:
    """The value of --task: a task with a name, or none."""
    found = None if task == _NO_TASK else task_named(task)
    if isinstance(found, Automaton):
        raise click.ClickException(f"import with --task none; {task} is for --task of the other commands")
    return found
