"""The checker's forward pass against an oracle in multiple precision, over all features."""

import itertools
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from transformer_models import ALL, draw_model, stored_weights
from transformer_oracle import exact_logits

from certificates import Model
from checker.core.facts import Setting
from checker.core.meter import Budget, Meter
from checker.core.scaled_integers import ScaledArithmetic
from checker.transformer.forward import Forward, Layers


def setting_of(model: Model, precision: int = 30) -> Setting:
    meter = Meter(Budget())
    return Setting(model, None, ScaledArithmetic(precision, meter), meter)  # type: ignore[arg-type]


def all_inputs(model: Model) -> np.ndarray:
    return np.array(list(itertools.product(range(model.config.d_vocab), repeat=model.config.n_ctx)), np.int64)


def bounds(setting: Setting, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper ends of the logits, as fractions."""
    found = Forward(Layers(setting, setting.model.config)).logits(inputs, (inputs.shape[1] - 1,))[:, 0]
    unit = Fraction(2) ** -found.shift
    return found.lo.astype(object) * unit, found.hi.astype(object) * unit


@pytest.mark.parametrize(("precision", "width"), [(30, np.inf), (64, 1e-7)])
@pytest.mark.parametrize("seed", range(ALL))
def test_enclosures_hold_the_exact_logits_and_are_tight(seed: int, precision: int, width: float) -> None:
    model = draw_model(seed)
    inputs = all_inputs(model)
    low, high = bounds(setting_of(model, precision), inputs)
    sample = np.random.default_rng(seed).choice(len(inputs), 3)
    for row in sample:
        exact = exact_logits(vars(model.config), stored_weights(model), inputs[row].tolist())
        with mpmath.workdps(60):
            ends = [[mpmath.mpf(end.numerator) / end.denominator for end in side[row]] for side in (low, high)]
            for least, logit, most in zip(ends[0], exact, ends[1], strict=True):
                assert least <= logit <= most
                assert most - least < width * max(1, *map(abs, exact))
