"""How much room sums have, as a function of the weights: the objective of fine-tuning for strategy `potentials`.

Regions and their patterns are chosen at the weights of one moment: for some reads and queries, those
where most inputs are lost. Then the least sums, which are those along shortest paths, are differentiable in the weights.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from certificates.tensor_file import IntArray
from prover.surrogate import Claims, Surrogate
from prover.transformer.box_bounds import Box
from prover.transformer.finer_automaton import ReadSums
from prover.transformer.last_layer import LastLayer
from prover.transformer.pattern_search import PatternSearch
from prover.transformer.problem import TransformerProblem
from prover.transformer.ratio_boxes import RatioBoxes
from prover.transformer.region_margins import weighted
from prover.transformer.region_paths import RegionPaths
from prover.transformer.token_numbers import token_numbers
from prover.transformer.token_sums import DividedInputs, FloatArray
from prover.transformer.token_terms import Summands, TokenTerms
from prover.weights import Weights

_GRID, _ENOUGH = 2.0**-2, 0.25
"""The grid where tokens have no numbers; and the share of the usual lead from which on a region has room."""
_NEWTON = 3
"""Steps to ratios, from those of the search."""
_LOOKED_AT, _KEPT = 8, 12
"""So many reads are looked at, at random, and so many of their queries are kept: where most inputs are lost."""


@dataclass(frozen=True)
class SumLeads:
    """For a read and query. patterns: outputs "k", slopes "k m". regions "f": those that have one, and pattern "f": which.

    ratios: between which numbers Z / Z_h is "h 2", for the problem's weights. enforced: mu of units "m h" and of leads "x h".
    """

    inputs: DividedInputs
    paths: RegionPaths
    patterns: tuple[IntArray, FloatArray]
    regions: IntArray
    pattern: IntArray
    ratios: Tensor
    enforced: tuple[Tensor, Tensor]

    @staticmethod
    def of(search: PatternSearch, number: int) -> "SumLeads":
        """For a query by its number, with the patterns that leave most room."""
        inputs, tried = search.divided[number], search.candidates
        least = tried.least[number]
        regions = np.flatnonzero(least.max(1) > -np.inf)
        kept, pattern = np.unique(least[regions].argmax(1), return_inverse=True)
        paths = RegionPaths.of(inputs.sums, inputs.automaton)
        ratios = torch.as_tensor(inputs.ratios, device=inputs.sums.problem.device)
        for _ in range(_NEWTON):
            ratios = _nearer(paths, inputs.of_tokens, ratios).detach()
        patterns, enforced = (tried.outputs[kept], tried.slopes[kept]), tried.enforced[number][kept].flatten(0, 1)
        return SumLeads(inputs, paths, patterns, regions, pattern.reshape(-1), ratios, (search.of_units[number][1], enforced))

    @property
    def share(self) -> FloatArray:
        """Of all inputs that of each region."""
        return self.paths.share[self.regions]

    def sums(self, weights: Weights) -> tuple[Tensor, Tensor]:
        """For each region the least of all leads "f", and a usual one, times Z."""
        layer = self.inputs.sums.layer.at(weights)
        terms = TokenTerms(self.inputs.sums, weights, layer, *weighted(self.inputs.sums, weights, layer))
        summands, ratios = Summands(self.inputs.sums.problem, weights), _nearer(self.paths, terms, self.ratios)
        (outputs, slopes), corners = self.patterns, self.inputs.corners
        slope = torch.as_tensor(slopes, device=ratios.device)
        leads, influence = summands.leads(outputs, slope)
        both, own = [], torch.as_tensor(self.pattern, device=ratios.device)
        for functionals, enforced in zip((summands.units, leads), self.enforced, strict=True):
            hull = _hull(self.paths, terms.at_corners(terms.parts(functionals), ratios, enforced))
            both.append(Box(*(end[self.regions].unflatten(1, (-1, corners)) for end in (hull.low, hull.high))))
        low, high, first = both[0].low.amin(2), both[0].high.amax(2), both[1]
        beyond = torch.maximum(*(end.relu() - end * slope[own] for end in (low, high)))
        lost = torch.einsum("fm,mfr->fr", beyond, influence.clamp(max=0)[:, own])
        rows, every = torch.arange(len(own), device=own.device), (len(own), len(outputs), -1)
        middle = (first.low + first.high).mean(2).reshape(every)[rows, own] / 2
        return (first.low.amin(2).reshape(every)[rows, own] + lost).amin(1), middle.abs().amin(1)


def _hull(paths: RegionPaths, terms: Tensor) -> Box:
    nothing = terms.new_zeros(1, terms.shape[2])
    box = Box(nothing, nothing)
    for edges, added in zip(paths.before, terms, strict=True):
        box = edges.hull(box, added)
    return box


def _nearer(paths: RegionPaths, terms: TokenTerms, ratios: Tensor) -> Tensor:
    """Between which numbers Z / Z_h is "h 2": from others that are near by a step of Newton's method (here Dinkelbach's)."""
    if not len(ratios):
        return ratios
    start = ratios.detach().requires_grad_()
    sighted = _hull(paths, terms.totals).low.amin(1) > 0  # else something sees nothing but padding
    beyond = _hull(paths, terms.beyond(start)).low[sighted if sighted.any() else ~sighted].amin(0)
    (slope,) = torch.autograd.grad(beyond.sum(), start, retain_graph=True)
    return start.detach() - beyond.reshape(slope.shape) / torch.where(slope == 0, 1, slope)


def sum_margins(problem: TransformerProblem, layer: LastLayer, rng: np.random.Generator) -> Surrogate:
    """Claims about regions of some reads and queries: their least leads, relative to what is enough."""
    found = list[tuple[float, float, SumLeads, float]]()
    numbers = None if layer.by_state else token_numbers(problem.required_automaton)
    for read in rng.permutation(len(problem.reads))[:_LOOKED_AT].tolist():
        divided = list[DividedInputs]()
        for query in layer.queries(read):
            one = ReadSums(problem, layer, read, query)
            greatest = one.greatest(one.met)
            if numbers is None:
                divided.append(DividedInputs.of(one, greatest, one.refined(None, [], _GRID)))
            else:
                divided.append(DividedInputs.by_number(one, greatest, numbers))
        (search,) = RatioBoxes.of(Summands(problem, problem.weights), divided, 1).searches
        for number in range(len(divided)):
            leads = SumLeads.of(search, number)
            least, usual = (part.detach().cpu().numpy() for part in leads.sums(problem.weights))
            enough = _ENOUGH * max(float(np.median(usual)), 1e-12)
            found.append((-float(leads.share[least <= 0].sum()), float(least.min()) / enough, leads, enough))
    kept = [(leads, enough) for *_, leads, enough in sorted(found, key=lambda one: one[:2])[:_KEPT]]

    def claims(weights: Weights, temperature: float) -> Claims:
        margins = torch.cat([leads.sums(weights)[0] / enough for leads, enough in kept])
        share = torch.as_tensor(np.concatenate([leads.share for leads, _ in kept]), device=margins.device)
        return Claims(margins[:, None], share)

    return claims
