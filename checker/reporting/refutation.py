"""Is it proved what a model answers to an input? So that a wrong answer is a fact, too.

An input is classified as an output at a read if that output's logit exceeds every other one. Rules about single inputs
(core/facts, Classifier) prove this of any output, not of true ones only; nothing else is needed to prove an answer wrong.
"""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from certificates.attention_only import AttentionOnly
from certificates.canonical_json import Json
from certificates.certificate import Given, Step
from certificates.model_file import Model
from certificates.tensor_file import IntArray
from certificates.transformer import Transformer
from checker.core.errors import InvalidInput
from checker.core.facts import Classifier, Setting
from checker.core.meter import Budget, Meter
from checker.core.scaled_integers import ScaledArithmetic
from checker.decide import parse_task
from checker.registry import RULES

_CLASSIFIERS = {AttentionOnly.architecture: "additive-tables", Transformer.architecture: "transformer-forward"}
_PRECISION = 50


def true_and_proved(
    model: Model, task: Json, given: Given, tokens: Sequence[int], answers: Sequence[int]
) -> tuple[IntArray, bool]:
    """The true outputs of an input at the task's reads, and whether the model is proved to give these answers there.

    given: an automaton's tables, if the task is one. Raises CheckError or FormatError if something does not fit.
    """
    name = _CLASSIFIERS.get(model.config.architecture)
    if name is None:
        raise InvalidInput(f"answers are proved of the architectures {sorted(_CLASSIFIERS)} only")
    meter = Meter(Budget())
    parsed = parse_task(task, model.config, given, meter)
    setting = Setting(model, parsed, ScaledArithmetic(_PRECISION, meter), meter, margin=Fraction(0))
    if len(tokens) != parsed.n_ctx or not all(0 <= token < parsed.d_vocab for token in tokens):
        raise InvalidInput(f"an input is {parsed.n_ctx} tokens from 0 to {parsed.d_vocab - 1}")
    if len(answers) != len(parsed.reads) or not all(0 <= answer < model.config.d_vocab_out for answer in answers):
        raise InvalidInput(f"there are {len(parsed.reads)} answers, outputs from 0 to {model.config.d_vocab_out - 1}")
    numbers = parsed.numbered(np.array([tokens], np.int64))
    true = parsed.outputs_of(numbers)
    if np.any(true < 0):
        raise InvalidInput(f"{','.join(map(str, tokens))} is no input of the task")
    classifier = RULES[name](setting, Step(name), ())
    outputs = parsed.numbered(np.array([answers], np.int64))
    proved = isinstance(classifier, Classifier) and bool(classifier.classifies(setting, numbers, outputs).all())
    return parsed.numbered(true)[0], proved


def refutes(model: Model, task: Json, given: Given, tokens: Sequence[int], answers: Sequence[int]) -> bool:
    """Whether the model is proved to give these answers to an input, and they are wrong. Raises as `true_and_proved`."""
    true, proved = true_and_proved(model, task, given, tokens, answers)
    return proved and true.tolist() != list(answers)
