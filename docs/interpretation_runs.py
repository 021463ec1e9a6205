"""The runs behind docs/interpretations.md: `make interpret` (half an hour on one core; interrupted, it goes on).

`prover interpret` on every network; what the page shows is gathered in OUTPUT/interpretations.json.
"""

import json
from pathlib import Path
from typing import Any

from prover_commands import gather, model_file, run, slug

GROUPS = ("alternating:5", "symmetric:4", "dihedral:30", "product(cyclic:6,symmetric:3)")
MODULI = {
    **{f"modulus-59-seed-{seed}": f"--modulus 59 --seed {seed}" for seed in (0, 2)},
    "modulus-113": "--modulus 113 --seed 0",
    "modulus-113-d-model-64": "--modulus 113 --d-model 64 --seed 0",
}
NETWORKS = {
    "symmetric-5": "",
    **{slug(name): f"group-composition --group {name} --seed 0" for name in GROUPS},
    **{f"cyclic-59-seed-{seed}": f"group-composition --group cyclic:59 --tied --seed {seed}" for seed in range(3)},
    "modular-addition-59": "",
    **{name: f"modular-addition {options}" for name, options in MODULI.items()},
}
"""Name, and arguments of `prover train`; none: the model is shipped."""


def outcome(name: str, training: str, output: Path) -> dict[str, Any]:
    """Of one network: what every interpretation certifies, and at which share of brute force; what is done is only read."""
    folder = output / name
    if not (folder / "interpretations.json").exists():
        run("interpret", model_file(name, training, output), "-o", folder)
    found = json.loads((folder / "interpretations.json").read_text())
    kept: dict[str, Any] = {"name": name, "train": training, "interpretations": {}}
    for one in found:
        if one["verdict"] is not None and one["verdict"]["accepted"]:
            figures = {part: one["verdict"][part] for part in ("correct", "total", "operations")}
            kept["interpretations"][one["interpretation"]] = figures
    if (folder / "mlp.json").exists():
        mlp = json.loads((folder / "mlp.json").read_text())
        kept["mlp"] = {side: {part: mlp[side][part] for part in ("mlp", "operations")} for side in ("quadrature", "naive")}
    return kept


if __name__ == "__main__":
    about = "The runs behind docs/interpretations.md."
    gather(about, "interpret-out", "interpretations.json", "networks", lambda o: (outcome(*one, o) for one in NETWORKS.items()))
