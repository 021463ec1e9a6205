"""The rules: each is a theorem whose hypotheses the checker can verify, one file each."""

from collections.abc import Callable, Mapping

from certificates.certificate import Step
from checker.facts import Fact, Setting
from checker.rules.additive_tables import additive_tables
from checker.rules.crosscoder_output import crosscoder_output
from checker.rules.dictionary_output import dictionary_output
from checker.rules.disjoint_sum import disjoint_sum
from checker.rules.enumeration import enumeration
from checker.rules.evaluated_pairs import evaluated_pairs
from checker.rules.fourier_output import fourier_output
from checker.rules.further_inputs import further_inputs
from checker.rules.group_chains import group_chains
from checker.rules.group_sets import group_sets
from checker.rules.hidden_tables import hidden_tables
from checker.rules.low_rank_chains import low_rank_chains
from checker.rules.low_rank_output import low_rank_output
from checker.rules.mlp_quadrature import mlp_quadrature
from checker.rules.prefix_chains import prefix_chains
from checker.rules.projected_hidden_tables import projected_hidden_tables
from checker.rules.projected_tables import projected_tables
from checker.rules.quadrature import quadrature
from checker.rules.quadrature_waves import quadrature_waves
from checker.rules.structured_output import structured_output
from checker.rules.uniform_margin import uniform_margin

Rule = Callable[[Setting, Step, tuple[Fact, ...]], Fact]

RULES: Mapping[str, Rule] = {
    "additive-tables": additive_tables,
    "crosscoder-output": crosscoder_output,
    "dictionary-output": dictionary_output,
    "disjoint-sum": disjoint_sum,
    "enumeration": enumeration,
    "evaluated-pairs": evaluated_pairs,
    "fourier-output": fourier_output,
    "further-inputs": further_inputs,
    "group-chains": group_chains,
    "group-sets": group_sets,
    "hidden-tables": hidden_tables,
    "low-rank-chains": low_rank_chains,
    "low-rank-output": low_rank_output,
    "mlp-quadrature": mlp_quadrature,
    "prefix-chains": prefix_chains,
    "projected-hidden-tables": projected_hidden_tables,
    "projected-tables": projected_tables,
    "quadrature": quadrature,
    "quadrature-waves": quadrature_waves,
    "structured-output": structured_output,
    "uniform-margin": uniform_margin,
}
"""Every rule a certificate can name."""
