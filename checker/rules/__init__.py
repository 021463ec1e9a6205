"""The rules: each is a theorem whose hypotheses the checker can verify, one file each."""

from collections.abc import Callable, Mapping

from certificates.certificate import Step
from checker.facts import Fact, Setting
from checker.rules.additive_tables import additive_tables
from checker.rules.composition_classes import composition_classes
from checker.rules.disjoint_sum import disjoint_sum
from checker.rules.enumeration import enumeration
from checker.rules.pessimized import pessimized
from checker.rules.thresholds import thresholds

Rule = Callable[[Setting, Step, tuple[Fact, ...]], Fact]

RULES: Mapping[str, Rule] = {
    "additive-tables": additive_tables,
    "composition-classes": composition_classes,
    "disjoint-sum": disjoint_sum,
    "enumeration": enumeration,
    "pessimized": pessimized,
    "thresholds": thresholds,
}
"""Every rule a certificate can name."""
