"""The runs behind docs/finetuning.md: `make finetune` (hours on one core; interrupted, it goes on where it stopped).

Every model is trained by its command, or is a shipped one; then `prover finetune` does the rest, with its default settings
where nothing else is said. What the page shows of a run is gathered in OUTPUT/finetuning.json.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prover_commands import gather, model_file, run, slug

from checker import verify


@dataclass(frozen=True)
class Tuning:
    """A model (its training: arguments of `prover train`, or none if it is shipped), and arguments of `prover finetune`."""

    table: str
    model: str
    training: str
    options: str

    @property
    def name(self) -> str:
        """Of its files."""
        words = self.options.replace("--strategy", "").replace("--set", "").replace("--", "").split()
        return "-".join([self.model, *words])

    @property
    def is_about_pairs(self) -> bool:
        """Whether brute force evaluates every pair, which takes seconds."""
        return self.training.startswith("group-composition") or self.model == "modular-addition-59"


def group(table: str, name: str, seed: int, options: str, tied: str = "") -> Tuning:
    """A network for a finite group."""
    return Tuning(table, f"{slug(name)}-seed-{seed}", f"group-composition --group {name}{tied} --seed {seed}", options)


CHEAP = "--strategy low-rank-chains --set rank=8 --set bands=12 --set slack=60"
GROWING = {64: 3000, 128: 5000, 256: 8000, 512: 15000}
"""Tokens, and training steps: the models of `prover bench`."""
PRODUCT = "product(cyclic:6,symmetric:3)"
UNEXPLAINED = (10, 19, 37, 42, 48, 82, 87, 90)
"""Seeds of the study's hundred networks (docs/studies.md) of which `rho-sets` proves nothing."""


def growing(table: str, vocab: int, options: str) -> Tuning:
    """A Max-of-4 model with so many tokens."""
    return Tuning(table, f"max-of-4-of-{vocab}", f"max-of-k --vocab {vocab} --seed 1 --steps {GROWING[vocab]}", options)


TUNINGS = (
    Tuning("one", "max-of-4-seed123", "", "--strategy pessimized"),
    Tuning("all", "max-of-4-seed123", "", "--strategy interpretation"),
    Tuning("all", "max-of-4-seed123", "", "--strategy interpretation --set copying=8 --set direct=0 --set diagonal=1"),
    Tuning("all", "max-of-4-seed123", "", "--strategy low-rank-chains"),
    Tuning("all", "max-of-10-seed1", "", "--strategy pessimized"),
    Tuning("all", "max-of-10-seed1", "", "--strategy low-rank-chains"),
    Tuning("all", "modular-addition-59", "", "--strategy quadrature"),
    group("all", "cyclic:59", 0, "--strategy quadrature", " --tied"),
    group("all", "cyclic:59", 0, "--strategy quadrature --set outputs=1", " --tied"),
    *(group("groups", "cyclic:59", seed, "--strategy quadrature --steps 600", " --tied") for seed in range(5)),
    *(group("groups", PRODUCT, seed, "--strategy rho-sets --steps 1500") for seed in range(5)),
    *(group("groups", "dihedral:30", seed, "--strategy rho-sets --steps 1500") for seed in range(5)),
    *(group("symmetric", "symmetric:5", seed, "--strategy rho-sets") for seed in UNEXPLAINED),
    Tuning("cheap", "max-of-4-seed123", "", CHEAP),
    *(growing("cheap", vocab, CHEAP) for vocab in (64, 128, 256)),
    Tuning("all", "max-of-5-of-128", "max-of-k --length 5 --vocab 128 --steps 5000 --seed 3", "--strategy pessimized"),
    Tuning("all", "min-of-6", "min-of-k --length 6 --seed 4", "--strategy pessimized"),
    *(growing("usual", vocab, "--strategy low-rank-chains") for vocab in (64, 128, 256)),
    Tuning("all", "max-of-20", "max-of-k --length 20 --seed 1 --steps 4000", "--strategy pessimized"),
    Tuning("usual", "max-of-4-of-256-seed2", "max-of-k --vocab 256 --seed 2 --steps 8000", "--strategy low-rank-chains"),
    growing("usual", 512, "--strategy low-rank-chains"),
)


def outcome(tuning: Tuning, output: Path) -> dict[str, Any]:
    """Train, fine-tune, and say what came of it; what is done already is only read."""
    model = model_file(tuning.model, tuning.training, output)
    tuned = output / f"{tuning.name}.safetensors"
    found = tuned.with_name(f"{tuned.stem}-finetuning") / "finetuning.json"
    if not found.exists():
        run("finetune", model, *tuning.options.split(), "-o", tuned)
    report = json.loads(found.read_text())
    kept: dict[str, Any] = {
        "table": tuning.table,
        "model": tuning.model,
        "train": tuning.training,
        "finetune": tuning.options,
        "steps": report["history"][-1]["step"],
        "moved": report["relative_distance"]["all weights"],
        "changed": report["predictions_changed"],
        **{side: kept_of(report[side]) for side in ("before", "after")},
    }
    if tuning.is_about_pairs:
        certificate = output / "brute-force" / f"{tuning.name}.cert"
        if not certificate.exists():
            run("prove", tuned, "--strategy", "brute-force", "-o", certificate)
        kept["brute_force"] = verify(certificate, tuned).operations
    return kept


def kept_of(side: Mapping[str, Any]) -> dict[str, Any]:
    """One model: what was certified, and the rest of its figures."""
    verdict = {name: side["verdict"][name] for name in ("accepted", "correct", "total", "operations")}
    return {**verdict, **{name: side[name] for name in ("right", "examples", "losses")}}


if __name__ == "__main__":
    about = "The runs behind docs/finetuning.md."
    gather(about, "finetune-out", "finetuning.json", "runs", lambda output: (outcome(one, output) for one in TUNINGS))
