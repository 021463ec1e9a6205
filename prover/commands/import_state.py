"""`prover import`: a TransformerLens state dict becomes a model file."""

from pathlib import Path

import click

from certificates import AttentionOnly, UniformAttention, write_model
from certificates.canonical_json import dumps
from prover.commands.options import OUTPUT, parse_task
from prover.importing import import_model


@click.command(
    "import",
    short_help="Turn a TransformerLens state dict into a model file.",
    epilog="Example: prover import state.pt --config config.json -o model.safetensors",
)
@click.argument("state", type=click.Path(path_type=Path))
@click.option("--config", required=True, help="TransformerLens configuration: a JSON file, or JSON text.")
@click.option("--task", default="max-of-k", help="What the model was trained for: a name or JSON.")
@OUTPUT
def import_command(state: Path, config: str, task: str, output: Path) -> None:
    """Turn STATE, a TransformerLens state dict (torch or safetensors), into a model file."""
    model = import_model(state, config, parse_task(task))
    write_model(output, model)
    config = model.config
    click.echo(f"wrote {output}: model digest {model.digest()}")
    inputs = f"sequences of n_ctx = {config.n_ctx} tokens" if isinstance(config, AttentionOnly) else "pairs of elements"
    click.echo(f"  task {dumps(model.task)}: {inputs} from 0 to {config.d_vocab - 1 - isinstance(config, UniformAttention)}")
