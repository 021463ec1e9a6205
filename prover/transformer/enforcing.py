"""What enforces ratios in sums over several heads (checker/transformer/potentials): numbers mu for which sums have most room.

The least sum of a region is concave in the mu of each head, so that golden sections find the best; head by head.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from prover.transformer.token_sums import DividedInputs, FloatArray

_SECTIONS, _GOLDEN = 16, (5**0.5 - 1) / 2
Room = Callable[[FloatArray, FloatArray], FloatArray]
"""From the least and the greatest sums of regions, "f x" each, to what is to be large "x", concave in least sums."""


def best_enforced(inputs: DividedInputs, parts: Tensor, room: Room) -> Tensor:
    """The mu "x h" of sums, from what heads add to them (see TokenTerms): others than the first one's."""
    totals = inputs.of_tokens.totals[:, :, 1:, None]
    found, own = inputs.of_tokens.enforced(parts), parts[:, :, 1:] / totals
    ends = (torch.where(totals > 0, own, -sign * torch.inf) * sign for sign in (-1, 1))
    low, high = (sign * end.amax((0, 1)).cpu().numpy() for sign, end in zip((-1, 1), ends, strict=True))
    low, high = (np.where(np.isfinite(end), end, 0) for end in (low, high))  # a head that sees nothing but padding

    def value(head: int, mu: FloatArray) -> FloatArray:
        tried = found.clone()
        tried[:, head] = torch.as_tensor(mu, device=found.device)
        least, most = inputs.hulls(inputs.terms(parts, tried))
        shape = (len(least), -1, inputs.corners)
        return room(least.reshape(shape).min(2), most.reshape(shape).max(2))

    for head in range(found.shape[1]):
        start, end = low[head], high[head]
        inner = [end - _GOLDEN * (end - start), start + _GOLDEN * (end - start)]
        values = [value(head, mu) for mu in inner]
        for _ in range(_SECTIONS):
            left = values[0] >= values[1]
            start, end = np.where(left, start, inner[0]), np.where(left, inner[1], end)
            new = np.where(left, end - _GOLDEN * (end - start), start + _GOLDEN * (end - start))
            gained = value(head, new)
            inner = [np.where(left, new, inner[1]), np.where(left, inner[0], new)]
            values = [np.where(left, gained, values[1]), np.where(left, values[0], gained)]
        found[:, head] = torch.as_tensor(np.where(values[0] >= values[1], *inner), device=found.device)
    return found
