"""Inputs of a task that a model gets wrong: looked for at random, half of them where a task's states are rare, and from those
with the least leads by changing single tokens; or in regions where a proof fails.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from certificates.tensor_file import IntArray
from prover.strategies.regions import Regions
from prover.transformer.descent import descended
from prover.transformer.problem import TransformerProblem
from prover.transformer.region_paths import RegionPaths
from prover.transformer.region_samples import RegionInputs

_BLOCK, _AT_ONCE = 2**14, 2**9
"""Inputs, and regions, that are looked at at once."""
_DESCENTS, _ROUNDS = 32, 2
"""From so many inputs of a block others are looked for; how often each token is changed."""


@dataclass(frozen=True)
class Found:
    """Inputs "n k" that were wrong, what the model answers "n r", and the least lead of all that were tried.

    tried: random ones; descents: from so many of them, others were looked for nearby.
    """

    tried: int
    descents: int
    wrong: IntArray
    answers: IntArray
    least: float


def attack(problem: TransformerProblem, tries: int, seed: int = 0) -> Found:
    """Evaluate random inputs in float64, and change those with the least leads."""
    rng, wrong, descents, least = np.random.default_rng(seed), list[IntArray](), 0, np.inf
    for block, by_state in problem.track(list(_blocks(tries)), "attack"):
        inputs = problem.random_inputs(block, rng, by_state)
        leads = problem.margins(inputs, problem.outputs_of(inputs))
        nearby = descended(problem, inputs[np.argsort(leads, kind="stable")[:_DESCENTS]], _ROUNDS, rng)
        descents += len(nearby)
        near = problem.margins(nearby, problem.outputs_of(nearby))
        wrong += [inputs[leads <= 0], nearby[near <= 0]]
        least = min(least, float(leads.min()), float(near.min()))
    every = problem.as_tokens(np.unique(np.concatenate(wrong), axis=0))
    return Found(tries, descents, every, problem.answers(every), least)


def _blocks(tries: int) -> Iterator[tuple[int, bool]]:
    for number, start in enumerate(range(0, tries, _BLOCK)):
        yield min(_BLOCK, tries - start), number % 2 == 1


@dataclass(frozen=True)
class FailingRegion:
    """Inputs that strategy `regions` treats alike, and does not prove right at a read, by its number. share: of all inputs.

    wrong "k", answers "r": one of them that is wrong there, and what the model answers; empty if none was found.
    """

    read: int
    query: int
    output: int
    share: float
    wrong: IntArray
    answers: IntArray


def failing_regions(problem: TransformerProblem, strategy: Regions, tries: int, seed: int = 0) -> list[FailingRegion]:
    """Every region that is not proved, those with most inputs first; so many random inputs of each are evaluated in float64."""
    rng, found = np.random.default_rng(seed), list[FailingRegion]()
    asked = strategy.asked(problem)
    for sums in problem.track(asked, "regions"):
        finer, proved = strategy.searched(sums)
        paths, failed = RegionPaths.of(sums, finer), np.flatnonzero(~proved)
        for regions in np.split(failed, range(_AT_ONCE, len(failed), _AT_ONCE)):
            inputs = RegionInputs(paths).drawn(np.repeat(regions, tries), rng)
            leads = problem.leads(inputs, problem.outputs_of(inputs))[:, sums.read].reshape(-1, tries)
            worst = inputs.reshape(len(regions), tries, inputs.shape[1])[np.arange(len(regions)), leads.argmin(1)]
            answers, is_wrong = problem.answers(worst), leads.min(1) <= 0
            for number, region in enumerate(regions.tolist()):
                shown = slice(None) if is_wrong[number] else slice(0)
                found.append(
                    FailingRegion(
                        *(sums.read, sums.query, int(paths.outputs[region]), float(paths.share[region])),
                        *(worst[number, shown], answers[number, shown]),
                    )
                )
    return sorted(found, key=lambda region: -region.share)
