"""`prover import`: a state dict of TransformerLens or Hugging Face becomes a model file."""

from pathlib import Path

import click

from certificates import AttentionOnly, Transformer, UniformAttention, write_model
from certificates.canonical_json import dumps
from prover.commands.options import OUTPUT, parse_task
from prover.importing import import_model


@click.command(
    "import",
    short_help="Turn a state dict of TransformerLens or Hugging Face into a model file.",
    epilog="Example: prover import state.pt --config config.json -o model.safetensors",
)
@click.argument("state", type=click.Path(path_type=Path))
@click.option("--config", required=True, help="Configuration: a JSON file, or JSON text; config.json of Hugging Face, too.")
@click.option("--task", default="max-of-k", help="What the model was trained for: a name or JSON, or none.")
@click.option("--n-ctx", type=click.IntRange(2), help="Tokens in an input, if fewer than configured.")
@OUTPUT
def import_command(state: Path, config: str, task: str, n_ctx: int | None, output: Path) -> None:
    """Turn STATE, a state dict of TransformerLens or Hugging Face (torch, safetensors or npz), into a model file."""
    model = import_model(state, config, None if task == "none" else parse_task(task), n_ctx)
    write_model(output, model)
    config = model.config
    click.echo(f"wrote {output}: model digest {model.digest()}")
    sequences = isinstance(config, AttentionOnly | Transformer)
    inputs = f"sequences of n_ctx = {config.n_ctx} tokens" if sequences else "pairs of elements"
    click.echo(f"  task {dumps(model.task)}: {inputs} from 0 to {config.d_vocab - 1 - isinstance(config, UniformAttention)}")
