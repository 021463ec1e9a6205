"""What the scripts that make docs/results have in common: commands of the prover, and models trained by them once."""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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


def gather(about: str, output: str, file: str, key: str, outcomes: Callable[[Path], Iterator[dict[str, Any]]]) -> None:
    """A script's whole work: outcomes(folder) one after the other; OUTPUT/file is written anew after each."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("-o", "--output", type=Path, default=ROOT / output)
    folder = parser.parse_args().output.resolve()
    done: list[dict[str, Any]] = []
    for found in outcomes(folder):
        done.append(found)
        (folder / file).write_text(json.dumps({key: done}, indent=1) + "\n")
    print(f"{len(done)} {key} are in {folder / file}")


def slug(group: str) -> str:
    """A group's name in names of files."""
    return group.replace(":", "-").replace("(", "-").replace(")", "").replace(",", "-")
