"""Sparse autoencoders of the real SAELens against this project, both ways; `make interop` runs it. Not part of `make test`.

python tests/interop/saes.py            # in an environment with sae_lens and this project
python tests/interop/saes.py --record   # writes tests/layers/recorded, from which `make test` reads
"""

import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from sae_lens import SAE, JumpReLUSAE, JumpReLUSAEConfig, StandardSAE, StandardSAEConfig, TopKSAE, TopKSAEConfig

import certificates
from checker import verify
from prover.layers.dictionaries import Dictionary
from prover.layers.two_input_problem import TwoInputProblem
from prover.proving import prove
from prover.strategies.dictionary_output import DictionaryOutput
from prover.weights import load_weights

MODELS = Path(certificates.__file__).parent / "models"
RECORDED = Path(__file__).parents[1] / "layers" / "recorded"


def made(kind: str, width: int, count: int, kept: int) -> SAE:
    """An autoencoder of SAELens of one of three kinds."""
    match kind:
        case "topk":
            return TopKSAE(TopKSAEConfig(d_in=width, d_sae=count, k=kept))
        case "jumprelu":
            return JumpReLUSAE(JumpReLUSAEConfig(d_in=width, d_sae=count))
    return StandardSAE(StandardSAEConfig(d_in=width, d_sae=count))


def record() -> None:
    """Random autoencoders, as `save_model` writes them."""
    torch.manual_seed(0)
    for kind in ("standard", "topk", "jumprelu"):
        sae = made(kind, 7, 5, 2)
        with torch.no_grad():
            for parameter in sae.parameters():
                parameter.copy_((torch.randn_like(parameter) * 32).round() / 64)
        sae.save_model(str(RECORDED / f"sae-{kind}"))


def fit(sae: SAE, data: torch.Tensor) -> None:
    """A short training of a TopK autoencoder."""
    adam = torch.optim.Adam(sae.parameters(), lr=1e-2)
    for _ in range(1500):
        loss = (sae(data) - data).square().sum(1).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()


def theirs_here(folder: Path) -> None:
    """Trained by SAELens on what neurons write to the logits, and on what the MLP adds to the residual stream: both prove."""
    model = certificates.read_model(MODELS / "modular-addition-59.safetensors")
    problem = TwoInputProblem(model, torch.device("cpu"))
    rows = problem.hidden.unembed - problem.hidden.unembed.mean(1, keepdims=True)
    stream = load_weights(model, torch.device("cpu"))["blocks.0.mlp.W_out"].numpy()
    for name, data in (("logits", rows), ("stream", stream)):
        sae = made("topk", data.shape[1], 16, 2)
        fit(sae, torch.tensor(data / np.sqrt((data**2).sum(1).mean()), dtype=torch.float32))
        sae.save_model(str(folder / name))
        brought = TwoInputProblem(model, torch.device("cpu"), dictionary=Dictionary.read(folder / name))
        certificate, evidence = prove(brought, DictionaryOutput(16, 2))
        certificates.write_certificate(folder / "proof.cert", certificate)
        verdict = verify(folder / "proof.cert", MODELS / "modular-addition-59.safetensors").raise_if_refused()
        print(f"  SAELens' TopK autoencoder of {name} here: {verdict.accuracy_floor} certified")
        assert verdict.correct == evidence.correct


def ours_there(folder: Path) -> None:
    """Written here, loaded by SAELens: it decodes to the same."""
    dictionary = Dictionary.of_atoms(np.random.default_rng(0).normal(size=(5, 7)))
    dictionary.write_folder(folder / "ours", 2)
    sae = SAE.load_from_disk(str(folder / "ours"))
    data = torch.randn(20, 7, generator=torch.Generator().manual_seed(0))
    codes = sae.encode(data)
    assert int((codes != 0).sum(1).max()) <= 2
    wanted = codes.detach().numpy().astype(np.float64) @ dictionary.atoms
    assert np.allclose(sae(data).detach().numpy(), wanted, atol=1e-4)
    print("  ours in SAELens: loaded, keeps 2 atoms, decodes to the same")


def main() -> None:
    """Record, or compare."""
    if "--record" in sys.argv:
        record()
        return
    print(f"SAELens {version('sae_lens')}, PyTorch {version('torch')}:")
    with tempfile.TemporaryDirectory() as folder:
        theirs_here(Path(folder))
        ours_there(Path(folder))


if __name__ == "__main__":
    main()
