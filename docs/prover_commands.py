"""What the scripts that make docs/results have in common: commands of the prover, and models trained by them once."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def run(*arguments: str | Path) -> None:
    """A command of the prover; one whose bound is nothing ends with status 1, and is a result as well."""
    print("prover", *arguments, flush=True)
    done = subprocess.run([sys.executable, "-m", "prover", *map(str, arguments)], cwd=ROOT, check=False)
    if done.returncode not in (0, 1):
        sys.exit(done.returncode)


def model_file(name: str, training: str, output: Path) -> Path:
    """Of a shipped model or, if there are arguments of `prover train`, of one that they make, below `output`."""
    if not training:
        return ROOT / "certificates" / "models" / f"{name}.safetensors"
    model = output / "models" / f"{name}.safetensors"
    if not model.exists():
        run("train", *training.split(), "-o", model)
    return model


def slug(group: str) -> str:
    """A group's name in names of files."""
    return group.replace(":", "-").replace("(", "-").replace(")", "").replace(",", "-")
