"""Models of the real TransformerLens (and, with version 2, of transformers) imported here; `make interop` runs it. Not part of
`make test`, which reads what tests/transformer/record_fixtures.py recorded.

    python tests/interop/lens.py            # in an environment with transformer_lens and this project
"""

import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(Path(__file__).parents[1] / "transformer"))
import record_fixtures

from prover.importing import import_model
from prover.transformer.forward import transformer_logits
from prover.weights import load_weights


def main() -> None:
    """Make models with the library, import them, compare all logits."""
    print(f"TransformerLens {version('transformer_lens')}, transformers {version('transformers')}, PyTorch {version('torch')}:")
    with tempfile.TemporaryDirectory() as folder:
        record_fixtures.FOLDER = Path(folder)
        record_fixtures.main()
        for path in sorted(Path(folder).glob("*.safetensors")):
            state = load_file(path)
            with safe_open(path, "pt") as file:
                config = file.metadata()["config"]
            tokens, logits = state.pop("tokens"), state.pop("logits")
            save_file(state, Path(folder) / "state")
            model = import_model(Path(folder) / "state", config, None)
            ours = transformer_logits(model.config, load_weights(model, torch.device("cpu")), tokens)
            difference = float((ours - logits).abs().max())
            print(f"  {path.stem}: logits differ by {difference:.1g}")
            assert difference < 1e-5


if __name__ == "__main__":
    main()
