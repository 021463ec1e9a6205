"""Mutants of what is about transformers of any depth (see mutants)."""

from collections.abc import Iterator

from runner import Mutant

FORWARD = ("tests/transformer/test_activations.py", "tests/transformer/test_forward.py")
EVERY = ("tests/transformer/test_every_input.py",)
CONFIGURATION = ("tests/transformer/test_configuration.py",)
_REPLACED = {
    "checker/transformer/forward.py": (
        FORWARD,
        (
            "group = np.arange(config.n_heads) // (config.n_heads // config.n_key_value_heads)",
            "group = np.arange(config.n_heads) % config.n_key_value_heads",
        ),
        ('seen = position + 1 if config.attention_dir == "causal" else config.n_ctx', "seen = position + 1"),
        ('seen = position + 1 if config.attention_dir == "causal" else config.n_ctx', "seen = config.n_ctx"),
        ("stream = stream + finer.weights", "stream = finer.weights"),
        ("if self.config.use_qk_norm", "if False"),
        ('compared("K"), projected("V")', 'projected("K"), projected("V")'),
        ('compared("Q") * self.scale', 'compared("Q")'),
        ('activation(x @ self.weights[f"{mlp}W_gate"]) * inner', 'activation(x @ self.weights[f"{mlp}W_gate"] * inner)'),
        ('kind in ("LN", "LNPre")', 'kind == "LN"'),
        ("size**2)", "size)"),
        ("factor * size * Fraction", "factor * Fraction"),
        ("(total.inverse_sqrt() * root)", "total.inverse_sqrt()"),
        ("a * cosine - b * sine", "a * cosine + b * sine"),
        ("second = first + (1 if config.rotary_adjacent_pairs else pairs)", "second = first + pairs"),
        ("x[:, :, others]], 2)", "x[:, :, others] - x[:, :, others]], 2)"),
        ('layers.norm("ln_final", stream)', "stream"),
    ),
    "checker/transformer/places.py": (
        FORWARD,
        ("alike * vocab + inputs", "inputs"),
        ("            if causal:", "            if True:"),
        ("numbers.append(first + alike)", "numbers.append(alike)"),
    ),
    "checker/transformer/activations.py": (
        FORWARD,
        ("Fraction(44715, ", "Fraction(44175, "),
        ("Fraction(1, 2 * n + 1)", "Fraction(1, 2 * n)"),
        ("centre + tail(", "centre - tail("),
        ("ratio.times(np.full((1, 1), n, np.int64))", "ratio"),
        ("ends[:1].up_to(ends[1:])", "ends[1:]"),
        ("below.over((below", "above.over((below"),
        ("_gelu_of_known(known) + (x - known)", "_gelu_of_known(known) + (known - known)"),
    ),
    "checker/transformer/rotary.py": (
        FORWARD,
        ("n % 4 < 2", "n % 4 < 3"),
        ("angle = _times(angle, ratio)", "angle = ratio"),
        ("(low - more, high - less)", "(low + less, high + more)"),
        ("_root(base, dim // 2)", "_root(base, dim)"),
    ),
    "checker/transformer/transformer_forward.py": (
        EVERY,
        ("leads.all(axis=1)", "leads.any(axis=1)"),
        ("setting.task.numbered(inputs), setting.task.numbered(outputs)", "inputs, outputs"),
        ("leads[rows, true[here]] = True", "leads[:] |= leads[:, :1]"),
        ("if premises or not isinstance(config, Transformer)", "if not isinstance(config, Transformer)"),
    ),
    "certificates/transformer.py": (
        CONFIGURATION,
        ('if fields["n_heads"] % fields["n_key_value_heads"]:', "if False:"),
        ('fields["rotary_dim"] % 2 or', ""),
        ('fields["d_vocab"] != fields["d_vocab_out"]:', "False:"),
        ("and isinstance(given, bool) == isinstance(value, bool)", ""),
        ("if not least <= number < 10**60", "if not number < 10**60"),
        ('str(normalization).startswith("LN") and config.get("final_rms")', "False"),
        ("d_head * Fraction(1, 10**6)", "d_head * Fraction(1, 10)"),
        ('"1" if unscaled else', ""),
    ),
    "certificates/model_file.py": (
        CONFIGURATION,
        ('name.rpartition(".")[2].startswith("b")', '".b_" in name'),
    ),
    "checker/core/scaled_integers.py": (
        ("tests/core/test_enclosures.py",),
        ("low // np.where(low >= 0, b.hi, b.lo)", "low // b.hi"),
        ("-(-high // np.where(high >= 0, b.lo, b.hi))", "high // np.where(high >= 0, b.lo, b.hi)"),
        ("if smallest <= 0:", "if smallest < 0:"),
        ("bits = (62 - a.shape[-1].bit_length()) // 2", "bits = 36"),
        ("<< bits * (i + j)", "<< bits * max(i, j)"),
    ),
}


def transformer_mutants() -> Iterator[Mutant]:
    """All of them."""
    for file, (tests, *pairs) in _REPLACED.items():
        yield from (Mutant(file, old, new, tests) for old, new in pairs)
