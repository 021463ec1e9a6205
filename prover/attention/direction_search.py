"""Directions of projected tables, moved from where they hold most of a table to where the proof certifies the most.

The directions are parameters, made orthonormal by a QR decomposition at every step; the weights stay as they are. The objective
is the surrogate's bound (projected_claims), each cell counting by a sigmoid of its margin that sharpens on the way.
"""

from dataclasses import replace

import torch
from torch import Tensor

from prover.attention.projected_claims import ProjectedClaims

_STEPS = 300
_RATE = 1e-3
_SOFT = (1.0, 0.3)
"""Temperature of the sigmoids at the start and at the end, in units of the median size of a margin."""


def improved_directions(claims: ProjectedClaims) -> dict[str, Tensor]:
    """For each table that is projected, orthonormal directions "e r"."""
    weights = claims.problem.weights
    unit = float(claims(weights, 0.0).margin.abs().median())
    parameters = {name: basis.clone().requires_grad_() for name, basis in claims.bases.items()}
    if not parameters or not unit:
        return dict(claims.bases)

    def directions() -> dict[str, Tensor]:
        return {name: torch.linalg.qr(parameter)[0] for name, parameter in parameters.items()}

    adam = torch.optim.Adam(parameters.values(), lr=_RATE)
    for step in range(_STEPS):
        done = step / _STEPS
        adam.param_groups[0]["lr"] = _RATE * (1 - done)
        temperature = unit * _SOFT[0] ** (1 - done) * _SOFT[1] ** done
        adam.zero_grad()
        (-replace(claims, bases=directions())(weights, 0.0).bound(temperature)).backward()
        adam.step()
    with torch.no_grad():
        return directions()
