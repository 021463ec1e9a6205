"""What each symbol adds to sums that the last layer depends on, for any weights of the model, in float64.

It is what the checker computes (checker/transformer/potentials), but for rounding, and it is differentiable in the weights.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import torch
from torch import Tensor

from certificates.tensor_file import IntArray
from prover.transformer.box_bounds import BoxBounds, subtracts_means, unembedding_after_norm
from prover.transformer.finer_automaton import ReadSums
from prover.transformer.forward import of_block
from prover.transformer.last_layer import LastLayer
from prover.transformer.problem import TransformerProblem
from prover.weights import Weights


@dataclass(frozen=True)
class Functionals:
    """What is asked of the residual stream after attention: columns "d x", and what is added.

    before_norm: the constants are multiplied by the root of a last norm.
    """

    columns: Tensor
    constants: Tensor
    before_norm: bool = False

    @property
    def flat(self) -> "Functionals":
        """With one axis "x"."""
        return Functionals(self.columns.flatten(1), self.constants.flatten(), self.before_norm)


@dataclass(frozen=True)
class Summands:
    """The parts of a model, with some weights, whose sums matter."""

    problem: TransformerProblem
    weights: Weights

    @cached_property
    def units(self) -> Functionals:
        """What the MLP's units read."""
        if self.problem.model.config.attn_only:
            embed = self.weights["embed.W_E"]
            return Functionals(embed.new_zeros(embed.shape[1], 0), embed.new_zeros(0))
        return Functionals(self._block["mlp.W_in"], self._block["mlp.b_in"])

    @cached_property
    def _block(self) -> Weights:
        return of_block(self.weights, self.problem.model.config.n_layers - 1)

    @cached_property
    def _unembedding(self) -> tuple[Tensor, Tensor]:
        config = self.problem.model.config
        unembed, bias = unembedding_after_norm(config, self.weights)
        return unembed * (config.d_model if subtracts_means(config) else 1), bias  # in the checker's unit, as multipliers are

    def leads(self, output: IntArray, slopes: Tensor) -> tuple[Functionals, Tensor]:
        """For outputs "k" with slopes "k m": of the leads with slopes, "k r" each; and how units influence leads, "m k r"."""
        (unembed, bias), config = self._unembedding, self.problem.model.config
        own = torch.as_tensor(output, device=unembed.device)
        rivals = (own[:, None] + torch.arange(1, config.d_vocab_out, device=own.device)) % config.d_vocab_out
        lead = unembed[:, own][:, :, None] - unembed[:, rivals]
        added = bias[own][:, None] - bias[rivals] - float(self.problem.margin)
        if config.attn_only:
            return Functionals(lead, added, config.normalization_type is not None), lead.new_zeros(0, *rivals.shape)
        influence = torch.einsum("md,dkr->mkr", self._block["mlp.W_out"], lead)
        added = added + torch.einsum("d,dkr->kr", self._block["mlp.b_out"], lead)
        scaled = influence * slopes.T[:, :, None]
        columns = lead + torch.einsum("dm,mkr->dkr", self.units.columns, scaled)
        return Functionals(columns, added + torch.einsum("m,mkr->kr", self.units.constants, scaled)), influence


@dataclass(frozen=True)
class TokenTerms:
    """At a read with a query, for some weights and what the last layer then works on.

    weight "k v h", and moved "k v h e": values less the centre.
    """

    sums: ReadSums
    weights: Weights
    layer: LastLayer
    weight: Tensor
    moved: Tensor

    @cached_property
    def totals(self) -> Tensor:
        """What tokens add to Z of each head, "step v h", in the steps before the read."""
        return self.weight[self.sums.automaton.order[: self.sums.steps]]

    @cached_property
    def _bounds(self) -> BoxBounds:
        return self.sums.bounds_with(self.weights, self.layer)

    def _written(self, columns: Tensor) -> Tensor:
        """Through a matrix "d x", what heads write, less what they write for their centre, "step v h x"."""
        moved = self.moved[self.sums.automaton.order[: self.sums.steps]]
        own = of_block(self.weights, self.sums.problem.model.config.n_layers - 1)
        return torch.einsum("svhe,hex->svhx", moved, own["attn.W_O"] @ columns)

    @cached_property
    def roots(self) -> tuple[Tensor, Tensor]:
        """From below and above what tokens give through heads, "step v h", for the root of the last norm.

        Times d_model if it subtracts means, as in the checker.
        """
        config, centring = self.sums.problem.model.config, self._bounds.centring
        base, moved = self._bounds.base @ centring, self._written(centring)
        eps, size = float(Fraction(config.eps)), config.d_model
        root = (base @ base / size + eps).sqrt()
        low, high = moved @ base / (size * root), (moved.square().sum(3) / size).clamp_min(1e-300).sqrt()
        first = torch.arange(low.shape[2], device=low.device) == 0
        longer = ((moved + base).square().sum(3) / size + eps).sqrt()
        unit = size if subtracts_means(config) else 1
        return unit * (low + root * first), unit * torch.where(first, longer, high)

    def parts(self, functionals: Functionals) -> Tensor:
        """What the heads add to sums, "step v h x", that of others than the first being divided by ratios."""
        columns, constants = functionals.flat.columns, functionals.flat.constants
        fixed = self._bounds.base @ columns + constants * (not functionals.before_norm)
        first = torch.arange(self.totals.shape[2], device=columns.device)[:, None] == 0
        found = self._written(columns) + fixed * first
        if functionals.before_norm:
            low, high = (ends[..., None] for ends in self.roots)
            found = found + low * torch.where(constants >= 0, constants, 0) + high * torch.where(constants < 0, constants, 0)
        return self.totals[..., None] * found

    def enforced(self, parts: Tensor) -> Tensor:
        """Multipliers of ratios "x h": what other heads than the first add on average, so that ratios hardly matter."""
        return (parts[:, :, 1:].sum((0, 1)) / self.totals[:, :, 1:].sum((0, 1)).clamp_min(1e-300)[:, None]).T

    def at_corners(self, parts: Tensor, ratios: Tensor, enforced: Tensor) -> Tensor:
        """What a token adds to sums at all corners of the box of ratios "h 2", "step v x corners", the last two as one."""
        weights = self.totals[..., None]
        sums = [parts[:, :, 0] + weights[:, :, 0] * enforced.sum(1)]
        for head in range(1, weights.shape[2]):
            part = parts[:, :, head] - weights[:, :, head] * enforced[:, head - 1]
            sums = [before + part * ratio for before in sums for ratio in ratios[head - 1]]
        return torch.stack(sums, 3).flatten(2)

    def beyond(self, ratios: Tensor) -> Tensor:
        """What a token adds to sums that are positive if ratios are where they should be, "step v h 2", the last two as one."""
        first, others = self.totals[:, :, :1], self.totals[:, :, 1:]
        return torch.stack([first - others * ratios[:, 0], others * ratios[:, 1] - first], 3).flatten(2)
