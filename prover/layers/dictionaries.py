"""Sparse dictionaries: rows of a table as combinations of few atoms; training for reconstruction, and files.

`train` is the TopK sparse autoencoder of Gao et al. (2024, "Scaling and evaluating sparse autoencoders"): an encoder, of whose
activations the `sparsity` largest are kept and rectified, and a decoder with atoms of length one that start as rows of the
data; Adam on the mean squared error. There is no bias beside the atoms: it would be one more atom that every row has. Files are
safetensors with the names of SAELens: `W_enc` "z r", `W_dec` "r z", `b_enc` "r", `b_dec` "z"; folders are SAELens' own, with
such a file and cfg.json. Crosscoders have one more axis: `W_enc` "side z r", `W_dec` "r side z", `b_dec` "side z".
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from certificates import FormatError
from certificates.tensor_file import IntArray
from certificates.writing import write_atomically
from prover.layers.group_actions import FloatArray

_WEIGHTS = "sae_weights.safetensors"
_OF_ENCODERS = {"threshold", "b_gate", "b_mag", "r_mag"}
"""Tensors of other encoders than ours, which have no influence on atoms."""
_STEPS = 2000
_RATE = 1e-2


@dataclass(frozen=True)
class Codes:
    """Rows "i" as combinations of atoms: numbers of atoms and coefficients, both "i s"."""

    atoms: IntArray
    values: FloatArray

    @staticmethod
    def of_matrix(dense: FloatArray, sparsity: int) -> "Codes":
        """The largest coefficients of each row of "i r"."""
        atoms = np.sort(np.argsort(-np.abs(dense), axis=1, kind="stable")[:, :sparsity], axis=1)
        return Codes(atoms, np.take_along_axis(dense, atoms, 1))

    def matrix(self, count: int) -> FloatArray:
        """The coefficients of all `count` atoms, "i r"."""
        dense = np.zeros((len(self.atoms), count))
        np.add.at(dense, (np.arange(len(self.atoms))[:, None], self.atoms), self.values)
        return dense


@dataclass(frozen=True)
class Dictionary:
    """atoms "r z" (W_dec), encoder "z r" (W_enc), encoder_bias "r" (b_enc). Of crosscoders, z runs over all sides in turn."""

    atoms: FloatArray
    encoder: FloatArray
    encoder_bias: FloatArray
    sides: int = 1

    @staticmethod
    def of_atoms(atoms: FloatArray, sides: int = 1) -> "Dictionary":
        """With the encoder that is the decoder's inverse as far as there is one."""
        return Dictionary(atoms, np.linalg.pinv(atoms), np.zeros(len(atoms)), sides)

    @staticmethod
    def of_sides(sides: Sequence[FloatArray]) -> "Dictionary":
        """From atoms "r z" on every side. Sides of different width are filled up with zeros."""
        width = max(side.shape[1] for side in sides)
        padded = [np.pad(side, ((0, 0), (0, width - side.shape[1]))) for side in sides]
        return Dictionary.of_atoms(np.concatenate(padded, axis=1), len(sides))

    def encode(self, rows: FloatArray, sparsity: int) -> Codes:
        """Rows "i z" by `sparsity` different atoms each: orthogonal matching pursuit.

        One atom after the other that has most in common with what is left of the row, all coefficients fitted anew.
        """
        unit = self.atoms / np.maximum(np.linalg.norm(self.atoms, axis=1, keepdims=True), 1e-300)
        atoms, values = np.empty((len(rows), sparsity), np.int64), np.empty((len(rows), sparsity))
        for i, row in enumerate(rows):
            rest, chosen = row, []
            for _ in range(sparsity):
                common = np.abs(unit @ rest)
                common[chosen] = -1.0
                chosen.append(int(common.argmax()))
                fitted = np.linalg.lstsq(self.atoms[chosen].T, row, rcond=None)[0]
                rest = row - fitted @ self.atoms[chosen]
            order = np.argsort(chosen)
            atoms[i], values[i] = np.array(chosen)[order], fitted[order]
        return Codes(atoms, values)

    @staticmethod
    def read(path: Path) -> "Dictionary":
        """A file, or a folder of SAELens. A bias b_dec becomes one more atom. Raises FormatError if it is no dictionary."""
        try:
            tensors = load_file(path / _WEIGHTS if path.is_dir() else path)
        except (OSError, SafetensorError) as error:
            raise FormatError(f"cannot read the dictionary {path}: {error}") from error
        tensors = {name: tensor for name, tensor in tensors.items() if name not in _OF_ENCODERS}
        if not {"W_enc", "W_dec"} <= set(tensors) <= {"W_enc", "W_dec", "b_enc", "b_dec"}:
            raise FormatError(
                f"{path} is no dictionary: it needs W_enc and W_dec, may have b_enc and b_dec, has {list(tensors)}"
            )
        count, *row = tensors["W_dec"].shape if tensors["W_dec"].ndim in (2, 3) else (0, 0)
        biases = {"b_enc": np.zeros(count), "b_dec": np.zeros(row)}
        found = {name: np.asarray(tensor, np.float64) for name, tensor in (biases | tensors).items()}
        shapes = {"W_dec": (count, *row), "W_enc": (*row, count), "b_enc": (count,), "b_dec": tuple(row)}
        if not found["W_dec"].size or any(
            found[name].shape != shape or not np.isfinite(found[name]).all() for name, shape in shapes.items()
        ):
            raise FormatError(f"{path} is no dictionary: W_dec is r x z, W_enc z x r, b_enc r, b_dec z, all of them finite")
        atoms, sides = found["W_dec"].reshape(count, -1), row[0] if len(row) == 2 else 1
        if not found["b_dec"].any():
            return Dictionary(atoms, found["W_enc"].reshape(-1, count), found["b_enc"], sides)
        return Dictionary.of_atoms(np.concatenate([atoms, found["b_dec"].reshape(1, -1)]), sides)

    def write(self, path: Path) -> None:
        """Write the file, atomically."""
        count, width = self.atoms.shape
        row = (width,) if self.sides == 1 else (self.sides, width // self.sides)
        decoder, encoder = self.atoms.reshape(count, *row), self.encoder.reshape(*row, count)
        tensors = {"W_dec": decoder, "W_enc": encoder, "b_enc": self.encoder_bias, "b_dec": np.zeros(row)}
        write_atomically(path, save({name: np.ascontiguousarray(tensor, np.float32) for name, tensor in tensors.items()}))

    def write_folder(self, folder: Path, sparsity: int) -> None:
        """Write a folder for `SAE.load_from_disk` of SAELens: a TopK autoencoder that keeps so many atoms."""
        count, width = self.atoms.shape
        config = {"architecture": "topk", "k": sparsity, "d_in": width, "d_sae": count, "dtype": "float32", "device": "cpu"}
        config |= {"apply_b_dec_to_input": False, "normalize_activations": "none", "reshape_activations": "none"}
        folder.mkdir(exist_ok=True)
        self.write(folder / _WEIGHTS)
        write_atomically(folder / "cfg.json", json.dumps(config).encode())


def train(rows: FloatArray, atoms: int, sparsity: int, seed: int = 0) -> Dictionary:
    """Reconstruct rows "i z" by `sparsity` of `atoms` atoms each."""
    generator = torch.Generator().manual_seed(seed)
    data = torch.as_tensor(rows / np.sqrt((rows**2).sum(1).mean()))
    picked = torch.randperm(len(data), generator=generator)[torch.arange(atoms) % len(data)]
    noise = torch.randn((atoms, data.shape[1]), generator=generator, dtype=data.dtype) * 1e-2
    decoder = torch.nn.functional.normalize(data[picked] + noise, dim=1).requires_grad_()
    encoder = decoder.detach().T.clone().requires_grad_()
    encoder_bias = torch.zeros(atoms, dtype=data.dtype, requires_grad=True)
    adam = torch.optim.Adam([decoder, encoder, encoder_bias], lr=_RATE)
    for step in range(_STEPS):
        adam.param_groups[0]["lr"] = _RATE * min(1.0, 5 * (_STEPS - step) / _STEPS)
        activations = data @ encoder + encoder_bias
        best = activations.topk(sparsity, 1)
        codes = torch.zeros_like(activations).scatter(1, best.indices, best.values.relu())
        loss = (codes @ torch.nn.functional.normalize(decoder, dim=1) - data).square().sum(1).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    size = float(np.sqrt((rows**2).sum(1).mean()))
    unit = torch.nn.functional.normalize(decoder, dim=1)
    arrays = (unit, encoder, encoder_bias * size)
    return Dictionary(*(tensor.detach().numpy() for tensor in arrays))
