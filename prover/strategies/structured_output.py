"""Strategy `structured-output`: only the output side on sets; every pair's neurons are computed, its rivals bounded.

Works where orbits are incomplete, which `rho-sets` cannot explain: what neurons read need not be structured at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from certificates import integer_tensor
from certificates.tensor_file import IntArray
from prover.layers.examined_pairs import ExaminedPairs, leads_of_all, surrogate_by_pairs
from prover.layers.group_actions import BoolArray, FloatArray, generators, identity, inverses, is_group, side_by_side
from prover.layers.group_set_bound import SetBlock
from prover.layers.group_set_search import TOLERANCES, any_kernel, block_of, clusters, transitive_sets
from prover.layers.hidden_layer import HiddenLayer
from prover.layers.two_input_problem import TwoInputProblem
from prover.strategies.evaluated_pairs import pairs_evidence
from prover.strategy import DoesNotFit, Evidence, Strategy
from prover.surrogate import Surrogate, soft_minimum

_SCALE_BITS = 30


@dataclass(frozen=True)
class Writers:
    """Neurons "i" that write t [z gamma = beta] on points of the union of some sets; the sets' actions "g y", one by one.

    Neurons that write nothing of the kind have t = 0.
    """

    neurons: IntArray
    beta: IntArray
    gamma: IntArray
    t: FloatArray
    actions: tuple[IntArray, ...]

    @property
    def hit(self) -> BoolArray:
        """[z gamma = beta], "i z"."""
        hit: BoolArray = self.beta[:, None] == side_by_side(self.actions)[:, self.gamma].T
        return hit

    def left_out(self, layer: HiddenLayer, t: Tensor) -> Tensor:
        """What neurons write beside t times that, "i z"."""
        return layer.unembed[torch.as_tensor(self.neurons)] - t[:, None] * torch.as_tensor(self.hit, device=t.device)

    def fitted_t(self, layer: HiddenLayer) -> Tensor:
        """The t "i" that are nearest to what neurons write, constants aside, by least squares."""
        centred = torch.as_tensor(self.hit - self.hit.mean(1, keepdims=True), device=layer.unembed.device)
        written = layer.unembed[torch.as_tensor(self.neurons)]
        return (written * centred).sum(1) / centred.square().sum(1).clamp_min(1e-300)


@dataclass(frozen=True)
class StructuredOutput(Strategy):
    """See the module's docstring."""

    name: ClassVar[str] = "structured-output"
    cost: ClassVar[str] = "n^2 m + n^2 Y^2"
    summary: ClassVar[str] = "neurons write on sets on which the group acts; rivals bounded as an assignment problem"
    rules: ClassVar[tuple[str, ...]] = ("hidden-tables", "set-output", "coded-output")
    origin: ClassVar[str] = (
        "Sets on which the group acts: Wu et al. 2025. Their use for the output side alone, and rivals as an "
        "assignment problem, are of this project."
    )
    vacuous: ClassVar[str] = (
        "If what neurons write on sets is less than what they write beside them. Then try `low-rank-output`, or "
        "fine-tune with this strategy."
    )
    rate: ClassVar[float] = 3e-3

    def prove(self, problem: TwoInputProblem) -> Evidence:
        """Look for the sets, and list the pairs for which the bound holds beyond rounding."""
        return self.evidence(problem, *self._found(problem))

    def surrogate(self, problem: TwoInputProblem) -> Surrogate:
        """The pairs, by the sets found; how much neurons write on them follows the weights."""
        writers, _ = self._found(problem)
        first = writers.fitted_t(problem.layer)

        def moved(layer: HiddenLayer) -> Tensor:
            change = (writers.fitted_t(layer) - first) * torch.as_tensor(writers.t != 0, device=first.device)
            return torch.as_tensor(writers.t, device=first.device) + change

        def leads(layer: HiddenLayer, pairs: ExaminedPairs, temperature: float) -> Tensor:
            found = assignment_leads(layer, problem.task.table, writers, moved(layer), pairs, temperature)
            return found - layer.slack(torch.as_tensor(writers.neurons))

        def rest(layer: HiddenLayer) -> Tensor:
            left_out = writers.left_out(layer, moved(layer))
            return left_out - left_out.mean(1, keepdim=True)

        return surrogate_by_pairs(problem, leads, rest)

    def _found(self, problem: TwoInputProblem) -> tuple[Writers, BoolArray]:
        """The best sets, and the pairs "a b" that can be proved with them."""
        hidden, table = problem.hidden, problem.task.table
        if hidden.direct.any() or hidden.unembed.shape[1] != len(table) or not is_group(table):
            raise DoesNotFit(f"{self.name} is about networks that multiply in a group, without a direct path")
        best, sets = None, transitive_sets(table)
        for tolerance in TOLERANCES:
            found, _ = clusters(sets, hidden, table, tolerance)
            writers = writers_of([block_of(cluster, any_kernel(cluster), hidden) for cluster in found], problem.neurons)
            if not writers.actions:
                continue
            right = assignment_margins(problem, writers) > problem.slack(writers.neurons) + 2 * problem.tolerance
            if best is None or right.sum() > best[1].sum():
                best = writers, right
        if best is None:
            raise DoesNotFit(f"{self.name} finds no set on which neurons write")
        return best

    def evidence(self, problem: TwoInputProblem, writers: Writers, right: np.ndarray) -> Evidence:
        """One step about the pairs that are right."""
        scale = _SCALE_BITS - int(np.frexp(np.abs(writers.t).max())[1])
        hints = {
            "action": side_by_side(writers.actions),
            "generators": generators(problem.task.table),
            "beta": writers.beta,
            "gamma": writers.gamma,
            "t": np.rint(np.ldexp(writers.t, scale)).astype(np.int64),
        }
        stored = {name: integer_tensor(hint) for name, hint in hints.items()}
        steps = (problem.hidden_step(writers.neurons),)
        return pairs_evidence(problem, steps, "set-output", right, {"scale": scale}, stored)


def writers_of(blocks: Sequence[SetBlock], neurons: IntArray) -> Writers:
    """From the blocks whose kernel says of every x that it goes with one y, "x ~ y"; the neurons cell by cell."""
    beta, gamma, t = np.zeros_like(neurons), np.zeros_like(neurons), np.zeros(len(neurons))
    actions: list[IntArray] = []
    start = 0
    for block in blocks:
        partner = partners(block.kernel)
        if partner is None:
            continue
        at = np.searchsorted(neurons, block.neurons).clip(max=len(neurons) - 1)
        kept = neurons[at] == block.neurons
        step = block.kernel[0, partner[0]] - block.kernel[0, (partner[0] + 1) % len(partner)]
        beta[at[kept]], gamma[at[kept]] = start + partner[block.beta[kept]], start + block.gamma[kept]
        t[at[kept]] = step * block.t[kept]
        actions.append(block.second.action)
        start += block.second.size
    order = np.lexsort((gamma, beta))
    return Writers(neurons[order], beta[order], gamma[order], t[order], tuple(actions))


def partners(kernel: IntArray) -> IntArray | None:
    """For a kernel "x y" of two values that matches every x with one y, this y, for all x; None for other kernels."""
    values = np.unique(kernel)
    if len(values) != 2 or kernel.shape[0] != kernel.shape[1]:
        return None
    for value in values:
        matched = kernel == value
        if (matched.sum(0) == 1).all() and (matched.sum(1) == 1).all():
            partner: IntArray = matched.argmax(1)
            return partner
    return None


def assignment_margins(problem: TwoInputProblem, writers: Writers) -> FloatArray:
    """What the rule compares with the slack, "a b"."""
    t = torch.as_tensor(writers.t, device=problem.device)

    def leads(layer: HiddenLayer, pairs: ExaminedPairs, temperature: float) -> Tensor:
        return assignment_leads(layer, problem.task.table, writers, t, pairs, temperature)

    return leads_of_all(problem, leads)


def assignment_leads(
    layer: HiddenLayer, table: IntArray, writers: Writers, t: Tensor, pairs: ExaminedPairs, temperature: float = 0.0
) -> Tensor:
    """What the rule compares with the slack, "p" (theorem 2 of checker/layers/set_output); t "i": instead of the writers'."""
    device, neurons = layer.unembed.device, torch.as_tensor(writers.neurons)
    others = np.arange(len(table)) != identity(table)
    left_out = writers.left_out(layer, t)
    errors = left_out.amax(1) - left_out.amin(1)
    moved = np.array([(action != np.arange(action.shape[1])).sum(1)[others] for action in writers.actions])
    tuples = torch.as_tensor(np.unique(moved, axis=1), device=device)
    points = sum(action.shape[1] for action in writers.actions)
    cell = torch.as_tensor(writers.beta * points + writers.gamma, device=device)
    active = ((layer.left + layer.bias)[:, neurons][pairs.first] + layer.right[:, neurons][pairs.second]).relu()
    values = active.new_zeros(len(active), points**2).index_add(1, cell, active * t).reshape(-1, points, points)
    least, start = active.new_zeros(len(active), tuples.shape[1]), 0
    for action, counts in zip(writers.actions, tuples, strict=True):
        stop, acts = start + action.shape[1], torch.as_tensor(action, device=device)
        back = acts[torch.as_tensor(inverses(table), device=device)]
        sums = _least_sums(values[:, start:stop, start:stop], acts[pairs.true], back[pairs.true])
        least = least + sums[:, counts]
        start = stop
    return soft_minimum(least, 1, temperature) - active @ errors - (layer.constant.amax() - layer.constant.amin())


def _least_sums(values: Tensor, true: Tensor, back: Tensor) -> Tensor:
    """The sums "p d" of the d smallest gaps of tables "p x y"; true "p y": cy, back: its inverse."""
    own = values.gather(1, true[:, None])[:, 0]
    potential = (own + values.mean(2).gather(1, true) - values.mean(1)) / 2
    values = values - potential.gather(1, back)[:, :, None]
    rivals = values.scatter(1, true[:, None], -torch.inf)
    gaps = (own - potential - rivals.amax(1)).sort(1).values
    return torch.cat([gaps.new_zeros(len(gaps), 1), gaps.cumsum(1)], 1)
