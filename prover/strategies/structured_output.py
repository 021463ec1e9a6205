"""Strategy `structured-output`: only the output side on sets; every pair's neurons are computed, its rivals bounded.

Works where orbits are incomplete, which `rho-sets` cannot explain: what neurons read need not be structured at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from certificates import RawTensor
from certificates.tensor_file import IntArray
from prover.group_actions import FloatArray, generators, identity, inverses, is_group
from prover.group_set_bound import SetBlock
from prover.group_set_search import TOLERANCES, any_kernel, block_of, clusters, transitive_sets
from prover.pair_problem import Hidden, PairProblem
from prover.strategies.evaluated_pairs import pairs_evidence
from prover.strategy import DoesNotFit, Evidence, Strategy

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


@dataclass(frozen=True)
class StructuredOutput(Strategy):
    """See the module's docstring."""

    name: ClassVar[str] = "structured-output"
    cost: ClassVar[str] = "n^2 m + n^2 Y^2"
    summary: ClassVar[str] = "neurons write on sets on which the group acts; rivals bounded as an assignment problem"

    def prove(self, problem: PairProblem) -> Evidence:
        """Look for the sets, and list the pairs for which the bound holds beyond rounding."""
        hidden, table = problem.hidden, problem.task.table
        if hidden.direct.any() or hidden.unembed.shape[1] != len(table) or not is_group(table):
            raise DoesNotFit(f"{self.name} is about networks that multiply in a group, without a direct path")
        best, sets = None, transitive_sets(table)
        for tolerance in TOLERANCES:
            found, _ = clusters(sets, hidden, table, tolerance)
            writers = writers_of([block_of(cluster, any_kernel(cluster), hidden) for cluster in found], problem.neurons)
            if not writers.actions:
                continue
            margins = assignment_margins(hidden, table, writers)
            right = margins > problem.slack(writers.neurons) + 2 * problem.tolerance
            if best is None or right.sum() > best[1].sum():
                best = writers, right
        if best is None:
            raise DoesNotFit(f"{self.name} finds no set on which neurons write")
        return self.evidence(problem, *best)

    def evidence(self, problem: PairProblem, writers: Writers, right: np.ndarray) -> Evidence:
        """One step about the pairs that are right."""
        scale = _SCALE_BITS - int(np.frexp(np.abs(writers.t).max())[1])
        hints = {
            "action": np.concatenate(shifted(writers.actions), axis=1),
            "generators": generators(problem.task.table),
            "beta": writers.beta,
            "gamma": writers.gamma,
            "t": np.rint(np.ldexp(writers.t, scale)).astype(np.int64),
        }
        stored = {name: RawTensor.of_integers(hint) for name, hint in hints.items()}
        steps = (problem.hidden_step(writers.neurons),)
        return pairs_evidence(problem, steps, "structured-output", right, {"scale": scale}, stored)


def shifted(actions: Sequence[IntArray]) -> list[IntArray]:
    """Actions "g y" on disjoint sets of numbers, one after the other."""
    starts = np.cumsum([0, *(action.shape[1] for action in actions)])
    return [action + start for action, start in zip(actions, starts, strict=False)]


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


def assignment_margins(hidden: Hidden, table: IntArray, writers: Writers) -> FloatArray:
    """What the rule compares with the slack, "a b" (see checker/rules/structured_output)."""
    layer, one = hidden.of(writers.neurons), identity(table)
    others, back = np.arange(len(table)) != one, inverses(table)
    hit = writers.beta[:, None] == np.concatenate(shifted(writers.actions), axis=1)[:, writers.gamma].T
    errors = np.ptp(layer.unembed - writers.t[:, None] * hit, axis=1)
    moved = np.array([(action != np.arange(action.shape[1])).sum(1)[others] for action in writers.actions])
    tuples = np.unique(moved, axis=1)
    points = sum(action.shape[1] for action in writers.actions)
    cell = writers.beta * points + writers.gamma
    margins = np.empty(table.shape)
    for a in range(len(table)):
        active = layer.active(a)
        values = np.zeros((points**2, len(table)))
        np.add.at(values, cell, (active * writers.t).T)
        square = values.T.reshape(len(table), points, points)
        least, start = np.zeros((len(table), tuples.shape[1])), 0
        for action, counts in zip(writers.actions, tuples, strict=True):
            stop = start + action.shape[1]
            least += _least_sums(square[:, start:stop, start:stop], action[table[a]], action[back[table[a]]])[:, counts]
            start = stop
        margins[a] = least.min(1) - active @ errors - np.ptp(hidden.constant)
    return margins


def _least_sums(values: FloatArray, true: IntArray, back: IntArray) -> FloatArray:
    """The sums "p d" of the d smallest gaps of tables "p x y"; true "p y": cy, back: its inverse."""
    pairs, points = true.shape
    rows, columns = np.arange(pairs)[:, None], np.arange(points)
    own = values[rows, true, columns]
    potential = (own + values.mean(2)[rows, true] - values.mean(1)) / 2
    values = values - potential[rows, back][:, :, None]
    values[rows, true, columns] = -np.inf
    gaps = np.sort(own - potential - values.max(1), axis=1)
    return np.concatenate([np.zeros((pairs, 1)), np.cumsum(gaps, axis=1)], axis=1)
