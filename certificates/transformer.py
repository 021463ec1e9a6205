"""The architecture `transformer`: decoders and encoders of a few layers, as TransformerLens configures them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

from certificates.configuration import TRANSFORMER, VOCAB, WITHOUT_INFLUENCE, Values, size
from certificates.errors import FormatError

_NUMBERS = ("attn_scale", "eps", "rotary_base")
_FRACTION = re.compile(r"-?[0-9]{1,60}(/0*[1-9][0-9]{0,59})?", re.ASCII)
_CHOICES: Mapping[str, tuple[tuple[Any, ...], Any]] = {  # values, and what an absent key means
    "act_fn": (("relu", "gelu", "gelu_new", "silu"), None),
    "attention_dir": (("causal", "bidirectional"), "causal"),
    "attn_only": ((False, True), False),
    "gated_mlp": ((False, True), False),
    "normalization_type": ((None, "LN", "LNPre", "RMS", "RMSPre"), "LN"),
    "positional_embedding_type": (("standard", "rotary", "alibi", "none"), "standard"),
    "rotary_adjacent_pairs": ((False, True), False),
    "tie_word_embeddings": ((False, True), False),
    "use_attn_scale": ((True, False), True),
    "use_qk_norm": ((False, True), False),
}
_RANGES: Mapping[str, tuple[int, int]] = {
    "d_head": (1, 512),
    "d_mlp": (1, 4096),
    "d_model": (1, 512),
    "d_vocab": VOCAB,
    "d_vocab_out": VOCAB,
    "n_ctx": (2, 256),
    "n_heads": (1, 16),
    "n_key_value_heads": (1, 16),
    "n_layers": (1, 8),
    "rotary_dim": (2, 512),
}
_SAME = {"gelu_pytorch_tanh": "gelu_new"}
"""Names of activations that are the same real function as others."""


@dataclass(frozen=True)
class Transformer:
    """Sizes, and what of TransformerLens' configuration changes the function; FORMAT.md defines it.

    Numbers are texts of fractions, "1/100000" or "10000"; attn_scale "-1" stands for sqrt(d_head). What has no influence is
    None, 0, "0" or False, so that equal functions have equal configurations. A pad_token of -1 is none.
    """

    architecture: ClassVar[str] = "transformer"
    described: ClassVar[str] = "transformer"
    ranges: ClassVar[Mapping[str, tuple[int, int]]] = _RANGES
    options: ClassVar[frozenset[str]] = frozenset({*_CHOICES, *_NUMBERS, "pad_token"})
    required: ClassVar[Values] = {
        **{key: value for key, value in TRANSFORMER.items() if key not in (*_CHOICES, *_RANGES)},
        "use_NTK_by_parts_rope": (False, False),
    }
    ignored: ClassVar[frozenset[str]] = WITHOUT_INFLUENCE - {*_CHOICES, *_NUMBERS, *_RANGES, *required}
    unused: ClassVar[frozenset[str]] = frozenset()

    act_fn: str | None
    attention_dir: str
    attn_only: bool
    attn_scale: str
    d_head: int
    d_mlp: int
    d_model: int
    d_vocab: int
    d_vocab_out: int
    eps: str
    gated_mlp: bool
    n_ctx: int
    n_heads: int
    n_key_value_heads: int
    n_layers: int
    normalization_type: str | None
    pad_token: int
    positional_embedding_type: str
    rotary_adjacent_pairs: bool
    rotary_base: str
    rotary_dim: int
    tie_word_embeddings: bool
    use_qk_norm: bool

    @property
    def input_shape(self) -> tuple[int, int]:
        """Number of positions, and of tokens, of an input."""
        return self.n_ctx, self.d_vocab

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every tensor that carries meaning."""
        d, h = self.d_model, self.d_head
        shapes: dict[str, tuple[int, ...]] = {"embed.W_E": (self.d_vocab, d)}
        if self.positional_embedding_type == "standard":
            shapes["pos_embed.W_pos"] = (self.n_ctx, d)
        for layer in range(self.n_layers):
            block = f"blocks.{layer}."
            shapes |= self._norm(f"{block}ln1")
            for name in "QKV":
                heads = self.n_heads if name == "Q" else self.n_key_value_heads
                shapes |= {f"{block}attn.W_{name}": (heads, d, h), f"{block}attn.b_{name}": (heads, h)}
            shapes |= {f"{block}attn.W_O": (self.n_heads, h, d), f"{block}attn.b_O": (d,)}
            if self.positional_embedding_type == "alibi":
                shapes[f"{block}attn.slopes"] = (self.n_heads,)
            if self.use_qk_norm:
                shapes |= {f"{block}attn.q_norm.w": (h,), f"{block}attn.k_norm.w": (h,)}
            if not self.attn_only:
                shapes |= self._norm(f"{block}ln2")
                inner = ("W_in", "W_gate") if self.gated_mlp else ("W_in",)
                shapes |= {f"{block}mlp.{name}": (d, self.d_mlp) for name in inner}
                shapes |= {f"{block}mlp.b_in": (self.d_mlp,), f"{block}mlp.W_out": (self.d_mlp, d), f"{block}mlp.b_out": (d,)}
        shapes |= self._norm("ln_final")
        if not self.tie_word_embeddings:
            shapes["unembed.W_U"] = (d, self.d_vocab_out)
        return shapes | {"unembed.b_U": (self.d_vocab_out,)}

    def _norm(self, name: str) -> dict[str, tuple[int, ...]]:
        weights = {"LN": ("w", "b"), "RMS": ("w",)}.get(str(self.normalization_type), ())
        return {f"{name}.{weight}": (self.d_model,) for weight in weights}


def parse_transformer(config: Mapping[str, Any]) -> Transformer:
    """The configuration, whose keys are known. Raises FormatError naming the key if it is not one that is implemented."""
    without_mlp, position = _choice(config, "attn_only"), _choice(config, "positional_embedding_type")
    normalization, unscaled = _choice(config, "normalization_type"), not _choice(config, "use_attn_scale")
    absent: dict[str, Any] = {"use_attn_scale": None}  # keys without influence, and what stands in their place
    if without_mlp:
        absent |= {"act_fn": None, "d_mlp": 0, "gated_mlp": False}
    if position != "rotary":
        absent |= {"rotary_adjacent_pairs": False, "rotary_base": "0", "rotary_dim": 0}
    if normalization is None and not _choice(config, "use_qk_norm"):
        absent["eps"] = "0"
    elif str(normalization).startswith("LN") and config.get("final_rms"):
        raise FormatError("config final_rms=True is not supported with normalization_type LN or LNPre")
    defaults = {"d_vocab_out": "d_vocab", "n_key_value_heads": "n_heads", "rotary_dim": "d_head"}
    config = {**config, **{key: config.get(other) for key, other in defaults.items() if config.get(key) in (None, -1)}}
    fields: dict[str, Any] = {
        key: size(config, key, *limits) for key, limits in Transformer.ranges.items() if key not in absent
    }
    if fields["n_heads"] % fields["n_key_value_heads"]:
        raise FormatError("config n_heads must be a multiple of n_key_value_heads")
    if _choice(config, "tie_word_embeddings") and fields["d_vocab"] != fields["d_vocab_out"]:
        raise FormatError("config tie_word_embeddings needs d_vocab_out = d_vocab")
    if position == "rotary" and (fields["rotary_dim"] % 2 or fields["rotary_dim"] > fields["d_head"]):
        raise FormatError("config rotary_dim must be even, and at most d_head")
    fields |= {key: _choice(config, key) for key in _CHOICES if key not in absent}
    fields |= {key: str(_number(config, key, least)) for key, least in (("eps", 0), ("rotary_base", 1)) if key not in absent}
    fields |= {key: value for key, value in absent.items() if key != "use_attn_scale"}
    fields["pad_token"] = -1 if config.get("pad_token") is None else size(config, "pad_token", -1, fields["d_vocab"] - 1)
    return Transformer(**fields, attn_scale="1" if unscaled else _scale(config, fields["d_head"]))


def _choice(config: Mapping[str, Any], key: str) -> Any:
    values, default = _CHOICES[key]
    given = config.get(key, default)
    given = _SAME.get(given, given) if isinstance(given, str) else given
    for value in values:
        if given == value and isinstance(given, bool) == isinstance(value, bool):
            return value
    raise FormatError(f"config {key}={given!r} is not supported: it is one of {', '.join(map(repr, values))}")


def _number(config: Mapping[str, Any], key: str, least: int) -> Fraction:
    """An exact number: decimals in JSON are read exactly, and a text is an integer or a fraction like "1/3"."""
    given: Any = config.get(key)
    text = isinstance(given, str) and _FRACTION.fullmatch(given)
    if not text and (isinstance(given, bool) or not isinstance(given, int | Fraction)):
        raise FormatError(f"config {key}={given!r} is not a number, or a fraction in a text")
    number = Fraction(given)
    if not least <= number < 10**60 or number.denominator >= 10**60:
        raise FormatError(f"config {key}={given!r} must be at least {least}, with numbers of at most 60 digits")
    return number


def _scale(config: Mapping[str, Any], d_head: int) -> str:
    scale = _number({"attn_scale": -1, **config}, "attn_scale", -1)
    if scale == -1 or abs(scale * scale - d_head) <= d_head * Fraction(1, 10**6):
        return "-1"  # sqrt(d_head), or a decimal that stands for it
    if scale <= 0:
        raise FormatError("config attn_scale must be positive, or -1 for sqrt(d_head)")
    return str(scale)
