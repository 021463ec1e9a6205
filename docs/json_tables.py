"""The page of JSON: keys and types of what is written for machines, from the dataclasses that are written."""

import types
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, Union, get_args, get_origin, get_type_hints

from checker.reporting.outcome import FrequencyBound, Verdict
from checker.reporting.second_checker import SecondVerdict
from checker.reporting.shards import Shard
from prover.studies.study import Record
from prover.studies.summary import Budget, Setting, Statistics, Summary

WRITTEN: Mapping[type, Mapping[str, str]] = {
    Verdict: {
        "accepted": "whether the claim is proved, and every pin is met",
        "reason": "why, or why not, in words",
        "exit_code": "the command's exit status",
        "theorem": "what is proved, in words",
        "correct": "so many inputs are proved right",
        "total": "of so many, all inputs of the task",
        "accuracy_floor": "correct / total as a decimal number, rounded down",
        "operations": "length of the proof",
        "unexplained_dimension": "how many numbers the proof takes as they are",
        "trusted_lines": "lines of code that the verdict rests on (more with `--jobs`); null with shards or `--verified-only`",
        "rules": "the rules that the proof uses, by name",
        "certificate_bytes": "size of the certificate",
        "seconds": "how long the check took, a decimal number",
        "model_digest": "digest of the model file (FORMAT.md, 2.3)",
        "task": "the task that the certificate is about",
        "margin": "by how much more true outputs lead, a decimal number",
        "deployed": "the floating-point format whose executions are proved right, too",
        "warnings": "what a reader should know, as that the model was trained for another task",
        "mlp": "what a certificate about an MLP proves, one entry for each frequency; it has no correct, total or margin",
        "verified": "what the checker extracted from Coq says, if it was asked",
        "shards": "of so many shards the parts were believed; 0: everything was checked here",
    },
    FrequencyBound: {
        "frequency": "k",
        "amplitude": "A, an exact decimal number",
        "error": "e, likewise",
        "relative_error": "e / A, rounded up; null if A is 0",
    },
    SecondVerdict: {
        "theorem": "the theorem in Coq that the count rests on",
        "axioms": "SHA-256 of what Coq prints about its axioms",
    },
    Shard: {
        "format": 'always "compact-proofs shard 1"',
        "version": "of the checker",
        "code": "digest of the checker's sources",
        "certificate_sha256": "digest of the certificate file",
        "model_digest": "digest of the model file",
        "arithmetic": "integers or mpmath",
        "shard": "which one this is, from 1",
        "of": "how many shards there are",
        "parts": "how many parts the check has",
        "outcomes": "by the part's number, as a text: its operations, its effort, and what it counted",
    },
    Record: {
        "model": "digest of the model",
        "name": "of the setting",
        "strategy": "by name",
        "parameters": "its switches",
        "misfit": "why the strategy cannot be used, or null",
        "verdict": "some keys of the checker's verdict; empty for a misfit",
        "certificate_sha256": "digest of the certificate, which is kept with --keep",
        "seconds": "for `prove` and `check`",
    },
    Summary: {
        "version": "of the prover",
        "models": "digests, by name",
        "missing": "runs that are not done yet",
        "settings": "from the longest proofs to the shortest",
        "budgets": "what is proved within so many operations",
    },
    Setting: {
        "name": "of the setting",
        "strategy": "by name",
        "parameters": "its switches; null for the best of several settings",
        "models": "on how many models it was accepted",
        "misfits": "on how many it cannot be used",
        "refused": "on how many the checker refused",
        "much": "on how many the bound is 95% or more",
        "nothing": "on how many it is 0",
        "bound": "share of inputs proved right, over models",
        "operations": "length of the proof, over models",
        "unexplained_dimension": "likewise",
    },
    Budget: {
        "operations": "at most so many",
        "bound": "the best bound of each model within them, over models",
    },
    Statistics: {
        "mean": "bounds are rounded down, costs up",
        "deviation": "standard deviation of the population",
        "quantiles": "by name: least, 5%, 25%, median, 75%, 95%, greatest",
    },
}
"""Dataclasses whose fields are keys, and what each of these means."""


def json_table(kind: type) -> tuple[Sequence[str], list[Sequence[str]]]:
    """For a dataclass: headings and rows. Raises KeyError if a field has no meaning here."""
    hints = get_type_hints(kind)
    rows = [(f"`{field.name}`", _in_words(hints[field.name]), WRITTEN[kind][field.name]) for field in fields(kind)]
    return ("key", "type", "meaning"), list(rows)


def _in_words(kind: Any) -> str:
    """A type, as JSON has it."""
    plain = {int: "integer", str: "text", bool: "true or false", float: "number", types.NoneType: "null", Any: "any"}
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return "any JSON" if len(parts) > 3 else " or ".join(map(_in_words, parts))
    if origin is tuple:
        same = parts[1:] == (...,)
        return f"list of {_in_words(parts[0])}" if same else f"list of {len(parts)}: {', '.join(map(_in_words, parts))}"
    if origin is not None:
        return f"object, each: {_in_words(parts[1])}"
    return plain[kind] if kind in plain else f"[{kind.__name__}](#{kind.__name__.lower()})"
