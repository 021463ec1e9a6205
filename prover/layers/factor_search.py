"""Factors of a hidden layer's unembedding, moved from where they reconstruct it best to where they prove the most.

Whatever the codes C "i k" and atoms Phi "k z" are, rule coded-output has a margin for every pair (its docstring; C may be
sparse, and there may be features). Reconstruction minimises the length of the rest U - C Phi; but what counts is how far the
rest can move the output that comes closest to the true one, on pairs where that is close. So the objective is made of these
margins. Where C is sparse, the largest codes of each neuron count, but all of them receive a gradient, so that others may take
their places.
"""

import numpy as np
import torch
from torch import Tensor

from certificates.tensor_file import IntArray
from prover.layers.examined_pairs import ExaminedPairs
from prover.layers.output_factors import Factors, coded_leads
from prover.layers.two_input_problem import TwoInputProblem

_STEPS, _MILESTONE = 800, 100
_RATE = 0.02
_MOST_PAIRS = 4096


def improved(problem: TwoInputProblem, neurons: IntArray, start: Factors, sparsity: int, pairwise: int) -> Factors:
    """Factors for which as many pairs or more are proved, with at most `sparsity` codes for each neuron."""
    unit = max(2 * float(np.median(problem.margins)), 1e-9)  # the rule's margins are twice those of the logits
    sizes = [max(float(array.abs().max()), 1e-9) for array in start.arrays]
    parameters = [(array / size).requires_grad_() for array, size in zip(start.arrays, sizes, strict=True)]
    adam = torch.optim.Adam(parameters, lr=_RATE)
    pairs, chosen = ExaminedPairs.every(problem), torch.as_tensor(neurons, device=problem.device)
    generator = torch.Generator().manual_seed(0)

    def factors() -> Factors:
        codes, atoms, *others = (part * size for part, size in zip(parameters, sizes, strict=True))
        return Factors(_sparse(codes, atoms, sparsity), atoms, *others)

    @torch.no_grad()
    def proved(found: Factors) -> int:
        allowed = 2 * problem.slack(neurons)
        leads = (coded_leads(problem.layer, chosen, found, pairwise, part) for part in pairs.split())
        return sum(int((part > allowed).sum()) for part in leads)

    best, most = start, proved(start)
    for step in range(1, _STEPS + 1):
        some = torch.randperm(len(pairs.true), generator=generator)[:_MOST_PAIRS].to(problem.device)
        examined = ExaminedPairs(pairs.first[some], pairs.second[some], pairs.true[some])
        margins = coded_leads(problem.layer, chosen, factors(), pairwise, examined)
        adam.param_groups[0]["lr"] = _RATE * (1 - (step - 1) / _STEPS)
        adam.zero_grad()
        torch.nn.functional.softplus(4 * (0.25 - margins / unit)).mean().backward()
        adam.step()
        if step % _MILESTONE == 0 or step == _STEPS:
            with torch.no_grad():
                found = factors()
            if (now := proved(found)) >= most:
                best, most = found, now
    return best


def _sparse(codes: Tensor, atoms: Tensor, sparsity: int) -> Tensor:
    """The codes of each neuron that add most to C Phi; the others are zero, with the gradient they would have."""
    if sparsity >= codes.shape[1]:
        return codes
    kept = torch.zeros_like(codes).scatter(1, (codes * atoms.norm(dim=1)).abs().topk(sparsity, 1).indices, 1.0)
    return codes * kept + (codes - codes.detach()) * (1 - kept)
