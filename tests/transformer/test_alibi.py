"""ALiBi: what is proved of single inputs is just what they lead by, whatever the slopes, in either direction."""

from fractions import Fraction

import numpy as np
import pytest
from test_regions import applied, draw_hints, every_input, setting_for, true_leads, width
from thorough import parts
from transformer_models import draw_model

from certificates.automaton import Automaton


@pytest.mark.parametrize("direction", ["causal", "bidirectional"])
@pytest.mark.parametrize("seed", parts(24))
def test_leads_decide(seed: int, direction: str) -> None:
    """The output is the same for all inputs, at a position in the middle: that which is right more often."""
    heads, sizes = 2 + seed % 2, {"n_layers": 1, "d_vocab": 2, "n_ctx": 4, "d_vocab_out": 2, "attention_dir": direction}
    kind = {"positional_embedding_type": "alibi", "n_heads": heads, "n_key_value_heads": heads, "pad_token": seed % 3 - 1}
    model = draw_model(seed, size=1.0, **sizes, **kind, tie_word_embeddings=False)
    position, rng = int(1 + seed % 3), np.random.default_rng(seed)
    tables = [
        Automaton.of(np.arange(4), np.zeros((1, 1, 2), int), np.array([[output]]), np.array([[position, 4]]))
        if position < 3
        else Automaton.of(np.arange(4), np.zeros((1, 1, 2), int), np.array([output]))
        for output in (0, 1)
    ]
    automaton = max(tables, key=lambda one: np.count_nonzero(true_leads(model, one, every_input(one)) > 0))
    rows = every_input(automaton)
    leads = true_leads(model, automaton, rows)[:, 0]
    hints = draw_hints(automaton, 0, rng, 10**9, width(model))
    seen = rows[:, : position + 1] if direction == "causal" else rows
    clear = np.isin(rows[:, position], hints["queries"]) & (leads > 1e-3) & np.any(seen != model.config.pad_token, axis=1)
    for row in rng.permutation(np.flatnonzero(clear))[:3].tolist():
        for share in (1 - 1e-6, 1 + 1e-6):
            setting = setting_for(model, automaton, 64, Fraction(float(leads[row] * share)))
            assert applied(setting, 0, hints).covers(rows[[row]])[0] == (share < 1)
