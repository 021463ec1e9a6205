"""The `prover` command: from training and import to proofs, fine-tuning, attacks and studies."""

import sys

import click
import torch

from certificates import FormatError, __version__
from prover.commands.attack import attack_command
from prover.commands.explain import doctor_command, explain_command, inspect_command, strategies_command
from prover.commands.finetune import finetune_command
from prover.commands.import_state import import_command
from prover.commands.names import Commands
from prover.commands.prove import prove_command
from prover.commands.search import search_command
from prover.commands.studies import bench_command, demo_command, deployed_command, frontier_command, interpret_command
from prover.commands.study import study_command
from prover.commands.task import task_command
from prover.commands.train import train
from prover.strategy import DoesNotFit
from prover.studies.sole_use import InUse
from prover.studies.workers import unwind_when_terminated

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110, "show_default": True}


@click.group(cls=Commands, context_settings=_CONTEXT)
@click.version_option(__version__)
def cli() -> None:
    """Find compact proofs of model performance and write them as certificates, for `checker verify` to check."""
    # Tables are small: further threads gain little, wait for each other at great length on a busy machine, and change the
    # order of sums, and with it certificates.
    torch.set_num_threads(1)


for _command in (
    *(train, import_command, task_command, inspect_command, strategies_command, explain_command, prove_command),
    *(attack_command, finetune_command, doctor_command),
    *(demo_command, frontier_command, interpret_command, search_command, study_command, bench_command, deployed_command),
):
    cli.add_command(_command)


def main() -> None:
    """Run the command; problems with the input become one line."""
    unwind_when_terminated()
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except (KeyboardInterrupt, click.Abort) as stop:
        interrupt = stop.__cause__ or stop
        click.echo("; ".join(["\ninterrupted", *getattr(interrupt, "__notes__", ())]), err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code if isinstance(error, click.UsageError) else 2)
    except (FormatError, DoesNotFit, InUse) as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2)
