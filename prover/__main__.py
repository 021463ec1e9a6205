"""The `prover` command, also as `python -m prover`."""

import sys


def main() -> None:
    """Run the command; without PyTorch, say how to get it."""
    try:
        from prover.commands import main as run  # noqa: PLC0415 - may fail where only the checker is installed
    except ModuleNotFoundError as error:
        sys.exit(f"Error: the prover needs {error.name}, which is not installed: pip install 'compact-proofs[prover]'")
    except KeyboardInterrupt:  # PyTorch takes a while
        print("\ninterrupted; nothing has begun yet", file=sys.stderr)
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
