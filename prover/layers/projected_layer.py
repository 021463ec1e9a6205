"""Bases of the residual stream by which the tables of a hidden layer are cheap (checker/layers/hidden_tables)."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from certificates.tensor_file import IntArray
from prover.bases import Basis
from prover.layers.hidden_layer import HiddenLayer
from prover.weights import Weights

_RANKS = (*range(2, 25), 28, 32, 40, 48, 64)
_SHARES = (1.0, 0.1)
"""What neurons read, next to what attention writes, when directions are chosen."""
_ROUNDING = 2.0**-24
"""Squares of rests are off by about this share of squared lengths in the checker, generously."""
_ATTENTION, _MLP = "blocks.0.attn.", "blocks.0.mlp."


@dataclass(frozen=True)
class Bases:
    """G and H of the rule, as hinted; slack: what they leave open for chosen neurons; price: of the tables, in operations."""

    reading: Basis
    writing: Basis
    slack: float
    price: int

    def project(self, layer: HiddenLayer, weights: Weights) -> HiddenLayer:
        """The tables by the bases; what neurons that are not chosen can do is measured as the rule does."""
        folded = _Folded.of(weights)
        inside, reach = folded.embed @ (folded.values @ _inside(folded.output, self.reading)), _Rests.of(folded, self.reading)
        left = inside @ _inside(folded.read, self.reading).T
        unembed = _inside(folded.write, self.writing) @ _inside(folded.unembed, self.writing).T
        farthest = (inside.square().sum(1).max() + reach.outside**2).sqrt()
        active = (2 * farthest * folded.read.norm(dim=1) + layer.bias.abs()) * folded.write.norm(dim=1)
        direct = inside @ _inside(folded.unembed, self.reading).T
        reached = 2 * active * folded.unembed.norm(dim=1).max()
        return replace(layer, left=left, right=left, unembed=unembed, direct=direct, reach=reached)


@dataclass(frozen=True)
class _Folded:
    """embed "a d", values, output "k d"; read, write "i d", unembed "z d": rows of the residual stream."""

    embed: Tensor
    values: Tensor
    output: Tensor
    read: Tensor
    write: Tensor
    unembed: Tensor

    @staticmethod
    def of(weights: Weights) -> "_Folded":
        values, output = weights[_ATTENTION + "W_V"], weights[_ATTENTION + "W_O"]
        return _Folded(
            weights["embed.W_E"][:-1],
            values.permute(1, 0, 2).reshape(values.shape[1], -1),
            output.reshape(-1, output.shape[2]),
            weights[_MLP + "W_in"].T,
            weights[_MLP + "W_out"],
            weights["unembed.W_U"].T,
        )


@dataclass(frozen=True)
class _Rests:
    """S; t "i"; g."""

    outside: Tensor
    read: Tensor
    direct: Tensor

    @staticmethod
    def of(folded: _Folded, basis: Basis) -> "_Rests":
        sigma = _rest(folded.output, basis).square().sum().sqrt()
        outside = folded.embed.norm(dim=1).max() * folded.values.norm() * sigma
        return _Rests(outside, _rest(folded.read, basis), _rest(folded.unembed, basis).max())


def _inside(rows: Tensor, basis: Basis) -> Tensor:
    return rows @ basis.matrix.value.to(rows)


def _rest(rows: Tensor, basis: Basis) -> Tensor:
    lengths = rows.square().sum(1)
    left = lengths - (1 - 3 * 2.0**-basis.tilt) * _inside(rows, basis).square().sum(1)
    return (left.clamp_min(0) + _ROUNDING * lengths.max()).sqrt()


def cheapest_bases(weights: Weights, layer: HiddenLayer, neurons: IntArray, most: float, precision: int) -> Bases | None:
    """The cheapest bases that leave open at most `most` of a difference of (threefold) logits, if there are any."""
    folded, chosen = _Folded.of(weights), torch.as_tensor(neurons)
    folded = replace(folded, read=folded.read[chosen], write=folded.write[chosen])
    ranks = [rank for rank in _RANKS if rank <= folded.embed.shape[1]]
    read_directions = [
        torch.linalg.svd(torch.cat([_unit(folded.output), share * _unit(folded.read), share / 10 * _unit(folded.unembed)]))[2].T
        for share in _SHARES
    ]
    write_directions = torch.linalg.svd(torch.cat([_unit(folded.write), _unit(folded.unembed)]), full_matrices=False)[2].T
    reading = [Basis.of(found[:, :rank].cpu().numpy(), precision) for found in read_directions for rank in ranks]
    writing = [Basis.of(write_directions[:, :rank].cpu().numpy(), precision) for rank in ranks]
    rests = [_Rests.of(folded, basis) for basis in reading]
    ends = [(_rest(folded.write, basis), _rest(folded.unembed, basis).max()) for basis in writing]
    best: Bases | None = None
    cheapest = 1 << 62
    spread = layer.unembed[chosen].amax(1) - layer.unembed[chosen].amin(1)
    active = (2 * layer.left[:, chosen].amax(0) + layer.bias[chosen]).relu()
    for reader, rest in zip(reading, rests, strict=True):
        shifted = 2 * rest.outside * rest.read
        reads = shifted @ spread + 4 * rest.outside * rest.direct
        for writer, (p, q) in zip(writing, ends, strict=True):
            slack = float(reads + 2 * ((shifted + active) @ p) * q)
            width_in, width_out = reader.matrix.value.shape[1], writer.matrix.value.shape[1]
            of_reading = 2 * folded.output.numel() + folded.embed.numel() + folded.unembed.numel() + folded.read.numel()
            price = 2 * width_in * (of_reading + layer.left[:, chosen].numel())
            price += 2 * width_out * (folded.write.numel() + folded.unembed.numel() + layer.left[:, chosen].numel())
            if slack <= most and price < cheapest:
                best, cheapest = Bases(reader, writer, slack, price), price
    return best


def _unit(rows: Tensor) -> Tensor:
    return rows / rows.norm().clamp_min(1e-300)
