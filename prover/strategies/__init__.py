"""All strategies, by name. To add one: a frozen dataclass derived from `Strategy` in its own file, and a line here."""

from collections.abc import Mapping

from certificates import AttentionOnly, Model, Transformer, UniformAttention
from prover.spelling import meant
from prover.strategies.all_inputs import Enumerate
from prover.strategies.classes import Classes
from prover.strategies.crosscoder_output import CrosscoderOutput
from prover.strategies.dictionary_output import DictionaryOutput
from prover.strategies.enumeration import BruteForce, Sampling
from prover.strategies.evaluated_pairs import BruteForcePairs
from prover.strategies.exact import Exact
from prover.strategies.fourier_output import Fourier
from prover.strategies.group_sets import Cosets, RhoSets
from prover.strategies.interpretation import Interpretation
from prover.strategies.list_sums import ListSums
from prover.strategies.low_rank_chains import LowRankChains
from prover.strategies.low_rank_output import LowRankOutput
from prover.strategies.mlp_quadrature import MLPQuadrature
from prover.strategies.pair_tables import PairTables
from prover.strategies.potentials import Potentials
from prover.strategies.prefix_chains import Pessimized, Thresholds
from prover.strategies.quadrature import Quadrature
from prover.strategies.regions import Regions
from prover.strategies.structured_output import StructuredOutput
from prover.strategy import Strategy

BRUTE_FORCE = "brute-force"
"""The strategy that evaluates every input, of whatever architecture: the measure of all others."""

ATTENTION_STRATEGIES: Mapping[str, type[Strategy]] = {
    strategy.name: strategy
    for strategy in (BruteForce, Exact, Classes, Thresholds, Pessimized, Interpretation, LowRankChains, Sampling)
}
"""Every strategy for attention-only transformers, from most to least thorough."""

TWO_INPUT_STRATEGIES: Mapping[str, type[Strategy]] = {
    strategy.name: strategy
    for strategy in (
        BruteForcePairs,
        LowRankOutput,
        Fourier,
        DictionaryOutput,
        CrosscoderOutput,
        StructuredOutput,
        Quadrature,
        RhoSets,
        Cosets,
    )
}
"""Every strategy for networks with one hidden layer on two inputs, likewise."""


FOR_ANY_TASK: Mapping[str, type[Strategy]] = {Enumerate.name: Enumerate}
"""Strategies for every architecture, and for tasks of one's own."""

TRANSFORMER_STRATEGIES: Mapping[str, type[Strategy]] = {
    strategy.name: strategy for strategy in (Regions, Potentials, PairTables, ListSums)
}
"""Strategies for transformers of the architecture `transformer`, and tasks of one's own."""

SEQUENCE_STRATEGIES: Mapping[str, type[Strategy]] = {**ATTENTION_STRATEGIES, **FOR_ANY_TASK, **TRANSFORMER_STRATEGIES}
"""Every strategy for models whose inputs are sequences of tokens: what `prover frontier` is about."""

MLP_STRATEGIES: Mapping[str, type[Strategy]] = {MLPQuadrature.name: MLPQuadrature}
"""Strategies that prove something about an MLP, not about accuracy."""


FAMILIES: Mapping[str, Mapping[str, type[Strategy]]] = {
    "attention-only transformers": ATTENTION_STRATEGIES,
    "networks with one hidden layer on two inputs": TWO_INPUT_STRATEGIES,
    "any model, any task": FOR_ANY_TASK,
    "transformers of one or two layers, tasks of one's own": TRANSFORMER_STRATEGIES,
    "transformers with uniform attention: what the MLP does": MLP_STRATEGIES,
}
"""All of them, by what they are for."""


def known_strategy(known: Mapping[str, type[Strategy]], name: str) -> type[Strategy]:
    """The strategy of this name, among those for models like the one at hand. Raises ValueError naming them."""
    if name not in known:
        there_are = f"; there are {', '.join(known)}"
        if any(name in family for family in FAMILIES.values()):
            raise ValueError(f"strategy {name} is not for models like this one{there_are}")
        raise ValueError(f"strategy {name} is unknown{meant(name, known) or there_are}")
    return known[name]


def all_strategies_for(model: Model) -> Mapping[str, type[Strategy]]:
    """Those of `strategies_for`, those for any task, and those about MLPs."""
    about_mlp = MLP_STRATEGIES if isinstance(model.config, UniformAttention) else {}
    return {**strategies_for(model), **FOR_ANY_TASK, **about_mlp}


def strategies_for(model: Model) -> Mapping[str, type[Strategy]]:
    """The strategies that bound the accuracy of models of this architecture."""
    if isinstance(model.config, Transformer):
        return {**FOR_ANY_TASK, **TRANSFORMER_STRATEGIES}
    return ATTENTION_STRATEGIES if isinstance(model.config, AttentionOnly) else TWO_INPUT_STRATEGIES
