"""The rules: theorems whose hypotheses the checker can verify, one file each. And the kinds of tasks, and of statements."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from certificates.architectures import ModelConfig
from certificates.attention_only import AttentionOnly
from certificates.automaton import Automaton
from certificates.canonical_json import Json
from certificates.certificate import Given, OtherStatement, Step
from certificates.mlp_statement import MLPStatement
from certificates.transformer import Transformer
from certificates.two_inputs import GroupMLP, UniformAttention
from checker.attention.additive_tables import additive_tables
from checker.attention.enumeration import enumeration
from checker.attention.group_chains import group_chains
from checker.attention.low_rank_chains import low_rank_chains
from checker.attention.order_statistic import parse_sequence_task
from checker.attention.prefix_chains import prefix_chains
from checker.attention.projected_tables import projected_tables
from checker.core.automata import parse_automaton
from checker.core.facts import Fact, Setting
from checker.core.meter import Meter
from checker.core.pins import Pins
from checker.core.tasks import Task
from checker.layers.coded_output import coded_output
from checker.layers.composition import parse_pair_task
from checker.layers.hidden_tables import hidden_tables
from checker.layers.mlp_quadrature import mlp_quadrature
from checker.layers.quadrature_claims import require_quadrature
from checker.layers.set_output import set_output
from checker.layers.wave_output import wave_output
from checker.rules.all_inputs import all_inputs
from checker.rules.disjoint_sum import disjoint_sum
from checker.rules.float_execution import float_execution
from checker.rules.further_inputs import further_inputs
from checker.transformer.all_reads import all_reads
from checker.transformer.executed_forward import executed_forward
from checker.transformer.joint_reads import joint_reads
from checker.transformer.list_sums import list_sums
from checker.transformer.pair_tables import pair_tables
from checker.transformer.potentials import potentials
from checker.transformer.prefix_classes import prefix_classes
from checker.transformer.regions import regions
from checker.transformer.sorted_lists import parse_sorted_lists
from checker.transformer.transformer_forward import transformer_forward

Rule: TypeAlias = Callable[[Setting, Step, tuple[Fact, ...]], Fact]
_FAMILIES: tuple[tuple[Rule, ...], ...] = (
    (all_inputs, disjoint_sum, float_execution, further_inputs),
    (additive_tables, enumeration, group_chains, low_rank_chains, prefix_chains, projected_tables),
    (coded_output, hidden_tables, mlp_quadrature, set_output, wave_output),
    (executed_forward, transformer_forward),
    (all_reads, joint_reads, list_sums, pair_tables, potentials, prefix_classes, regions),
)
RULES: Mapping[str, Rule] = {rule.__name__.replace("_", "-"): rule for family in _FAMILIES for rule in family}
"""Every rule a certificate can name. The function `some_rule` applies the rule `some-rule`."""

TASKS: Mapping[type[ModelConfig] | type[Automaton] | str, Callable[[Json, ModelConfig, Given, Meter], Task]] = {
    AttentionOnly: parse_sequence_task,
    Automaton: parse_automaton,
    GroupMLP: parse_pair_task,
    Transformer: parse_sequence_task,
    UniformAttention: parse_pair_task,
    '{"name":"sorted-lists"}': parse_sorted_lists,
}
"""The tasks with names of every architecture, those without, which are automata, and those of their own, by their JSON."""

STATEMENTS: Mapping[type[OtherStatement], Callable[[OtherStatement, Fact, Pins], None]] = {MLPStatement: require_quadrature}
"""Statements about something else than a number of inputs: what refuses unless the last fact is what one says, and it what is
pinned."""
