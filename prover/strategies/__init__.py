"""All strategies, by name. To add one: a frozen dataclass derived from `Strategy` in its own file, and a line here."""

from collections.abc import Mapping

from prover.strategies.classes import Classes
from prover.strategies.enumeration import BruteForce, Sampling
from prover.strategies.exact import Exact
from prover.strategies.interpretation import Interpretation
from prover.strategies.low_rank_chains import LowRankChains
from prover.strategies.prefix_chains import Pessimized, Thresholds
from prover.strategy import Strategy

STRATEGIES: Mapping[str, type[Strategy]] = {
    strategy.name: strategy
    for strategy in (BruteForce, Exact, Classes, Thresholds, Pessimized, Interpretation, LowRankChains, Sampling)
}
"""Every strategy, from most to least thorough."""
