"""How much room regions have, as a function of the weights: the objective of fine-tuning for strategy `regions`.

The finer automata (prover/transformer/finer_automaton) are chosen at the weights of one moment: for some reads and queries,
those where most inputs are lost. Then hulls, boxes and leads are differentiable in the weights: what a model attends to
for no reason makes boxes wide, and so costs leads.
"""

import numpy as np
import torch
from torch import Tensor

from prover.surrogate import Claims, Surrogate
from prover.transformer.box_bounds import Box
from prover.transformer.finer_automaton import FinerAutomaton, ReadSums
from prover.transformer.forward import falls, of_block
from prover.transformer.last_layer import LastLayer
from prover.transformer.problem import TransformerProblem
from prover.transformer.region_paths import RegionPaths
from prover.weights import Weights

_GRID, _ENOUGH = 2.0**-5, 0.25
"""How fine grids are; and the share of the leads that there would be if boxes were points, from which on a region has room."""
_LOOKED_AT, _KEPT = 48, 8
"""So many reads with their queries are looked at, at random, and so many of them are kept: where most inputs are lost."""


def weighted(sums: ReadSums, weights: Weights, layer: LastLayer) -> tuple[Tensor, Tensor]:
    """Weights "k v h" and values less the centre "k v h e", as ReadSums has them for the problem's weights."""
    query, key, value, config = layer.query, layer.key, layer.value, layer.config
    met = torch.as_tensor(sums.met, device=key.device)[..., None]
    lost = falls(config, of_block(weights, config.n_layers - 1), key.shape[2])[:, sums.position]
    scores = torch.einsum("he,vhke->kvh", query[sums.query, :, sums.position], key) - lost.T[:, None]
    scores = scores.masked_fill(~met, -torch.inf)
    shifted = value.permute(2, 0, 1, 3) - torch.as_tensor(sums.centre, device=key.device)
    return (scores - scores.amax((0, 1)).nan_to_num(neginf=0)).exp(), shifted  # 0: all is padding


def leads(paths: RegionPaths, weights: Weights, layer: LastLayer) -> Tensor:
    """At least by how much the outputs of regions lead, "f", in units that depend on the model (see BoxBounds)."""
    sums, (weight, shifted) = paths.sums, weighted(paths.sums, weights, layer)
    order, steps = sums.automaton.order, len(paths.before)
    met = torch.as_tensor(sums.met, device=weight.device)[..., None]
    terms = torch.cat([weight[..., None], weight[..., None] * shifted], 3)[order].flatten(2)
    nothing = terms.new_zeros(1, terms.shape[2])
    box = Box(nothing, nothing)
    for step, edges in enumerate(paths.before):
        box = edges.hull(box, terms[step])
    nothing = nothing.expand(sums.after[0].shape[0], -1)
    rest = Box(nothing, nothing)
    for step, edges in zip(reversed(range(steps, len(order))), paths.after, strict=True):
        rest = edges.hull(rest, terms[step])
    box = box + rest.at(torch.as_tensor(paths.state, device=weight.device))
    low, high = (end.unflatten(1, (weight.shape[2], -1)) for end in (box.low, box.high))
    total = Box(low[..., :1].clamp_min(1e-300), high[..., :1].clamp_min(1e-300))
    read = Box(low[..., 1:], high[..., 1:]).over(total)
    least, most = (torch.where(met[..., None], shifted, end) for end in (torch.inf, -torch.inf))
    read = Box(torch.maximum(read.low, least.amin((0, 1))), torch.minimum(read.high, most.amax((0, 1))))
    outputs = torch.as_tensor(paths.outputs, device=weight.device)
    return sums.bounds_with(weights, layer).least_leads(Box(read.low.flatten(1), read.high.flatten(1)), outputs)[0]


def usual_lead(sums: ReadSums, finer: FinerAutomaton) -> float:
    """The median lead that there would be if boxes were points, their middles."""
    middle = torch.as_tensor((finer.boxes[0] + finer.boxes[1]) / 2, device=sums.problem.device)
    outputs = torch.as_tensor(finer.outputs, device=sums.problem.device)
    return max(float(sums.bounds.least_leads(Box(middle, middle), outputs)[0].abs().median()), 1e-12)


def region_margins(problem: TransformerProblem, layer: LastLayer, rng: np.random.Generator) -> Surrogate:
    """Claims about regions of some reads and queries, with grids that are not fine; leads relative to what is enough."""
    every = [(read, query) for read in range(len(problem.reads)) for query in layer.queries(read)]
    found = list[tuple[float, float, int, RegionPaths, float]]()
    for number in rng.permutation(len(every))[:_LOOKED_AT].tolist():
        sums = ReadSums(problem, layer, *every[number])
        finer = sums.refined(None, [], _GRID)
        paths, enough = RegionPaths.of(sums, finer), _ENOUGH * usual_lead(sums, finer)
        margins = (leads(paths, problem.weights, layer) / enough).cpu().numpy()
        found.append((-float(paths.share[margins <= 0].sum()), float(margins.min()), number, paths, enough))
    kept = [(paths, enough) for *_, paths, enough in sorted(found, key=lambda one: one[:3])[:_KEPT]]

    def claims(weights: Weights, temperature: float) -> Claims:
        own = layer.at(weights)
        margins = torch.cat([leads(paths, weights, own) / enough for paths, enough in kept])
        share = torch.as_tensor(np.concatenate([paths.share for paths, _ in kept]), device=margins.device)
        return Claims(margins[:, None], share)

    return claims
